"""`kubectl run`: a Pod made of flags, and with `--expose` the Service in front of it."""

from __future__ import annotations

import json
import re

from stratus.cluster.kubectl.context import Context, Found, Outcome, pairs, refuse
from stratus.cluster.kubectl.verbs.creating import post
from stratus.cluster.kubectl.verbs.exposing import overridden
from stratus.model.base import Json

_RESTARTS = ("Always", "OnFailure", "Never")
_VARIABLE = re.compile(r"^[^=\s]+=")


def compile_verb(ctx: Context) -> Outcome:
    """Compile `run`."""
    flags = ctx.parsed
    if len(flags.words) != 1:
        raise refuse(
            "missing_argument",
            "`run` needs exactly one name; a command stands behind --",
            "write `kubectl run NAME --image=IMAGE -- COMMAND`",
        )
    name = flags.words[0]
    labels = {"run": name}
    if flags.one("labels"):
        labels = pairs(tuple(flags.one("labels").split(",")), "a label")
    pod = overridden(ctx, _pod(ctx, name, labels))
    wanted = [pod]
    if flags.on("expose"):
        if not flags.one("port"):
            raise refuse("missing_argument", "--expose needs --port", "write --port=N --expose")
        number = ctx.number("port", least=1)
        spec = {"selector": labels, "ports": [{"port": number, "protocol": "TCP", "targetPort": number}]}
        meta: Json = {"name": name, **({"labels": labels} if flags.one("labels") else {})}
        wanted.append({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    writes = []
    for body in wanted:
        resource = ctx.resource(f"v1/{body['kind']}")
        body["metadata"]["namespace"] = ctx.namespace
        writes.append(post(ctx, Found(resource, ctx.ref(resource, body["metadata"]["name"]), body)))
    return Outcome(writes=tuple(writes))


def _pod(ctx: Context, name: str, labels: dict[str, str]) -> Json:
    flags = ctx.parsed
    image = flags.one("image")
    if not image or any(char.isspace() for char in image):
        raise refuse("missing_argument", "--image is needed", "write --image=IMAGE")
    restart = flags.one("restart", "Always")
    if restart not in _RESTARTS:
        raise refuse("bad_value", f"--restart={restart} is not known", f"use one of {', '.join(_RESTARTS)}")
    container: Json = {"name": name, "image": image}
    if flags.tail:
        container["command" if flags.on("command") else "args"] = list(flags.tail)
    elif flags.on("command"):
        raise refuse("missing_argument", "--command needs a command behind --", "write --command -- COMMAND")
    variables = flags.many("env")
    for text in variables:
        if not _VARIABLE.match(text):
            raise refuse("bad_value", f"--env={json.dumps(text)} is not a variable", "write --env=NAME=VALUE")
    if variables:
        container["env"] = [{"name": n, "value": v} for n, _, v in (text.partition("=") for text in variables)]
    if flags.one("port"):
        container["ports"] = [{"containerPort": ctx.number("port", least=1)}]
    if flags.one("image-pull-policy"):
        container["imagePullPolicy"] = flags.one("image-pull-policy")
    if flags.on("privileged"):
        container["securityContext"] = {"privileged": True}
    meta: Json = {"name": name, "labels": labels}
    if flags.many("annotations"):
        meta["annotations"] = pairs(tuple(a for text in flags.many("annotations") for a in text.split(",")), "a note")
    spec = {"containers": [container], "restartPolicy": restart, "dnsPolicy": "ClusterFirst"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
