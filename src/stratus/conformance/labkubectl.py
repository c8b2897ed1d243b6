"""The verbs of kubectl that the recorded lifecycles use, done in process on a lab's virtual clock."""

from __future__ import annotations

import json
from typing import Any

from stratus.conformance.lab import PATCHES, Lab
from stratus.kit.clock import iso
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Obj

_ALIASES = {
    "deploy": "Deployment", "deployment": "Deployment", "ds": "DaemonSet", "sts": "StatefulSet", "job": "Job",
    "cm": "ConfigMap", "configmap": "ConfigMap", "pod": "Pod", "svc": "Service", "quota": "ResourceQuota",
    "pdb": "PodDisruptionBudget", "namespace": "Namespace", "node": "Node", "rs": "ReplicaSet",
    "hpa": "HorizontalPodAutoscaler",
}  # fmt: skip


def run(lab: Lab, argv: list[str], namespace: str, stdin: str = "") -> Any:
    """Do what a command line does; `argv` begins with the verb."""
    verb, rest = argv[0], argv[1:]
    flags = {a.partition("=")[0]: a.partition("=")[2] for a in rest if a.startswith("--")}
    words: list[str] = []
    position = 0
    while position < len(rest):
        if rest[position] in ("-p", "-l", "-o", "-f"):
            flags[rest[position]] = rest[position + 1]
            position += 2
            continue
        if not rest[position].startswith("-"):
            words.append(rest[position])
        position += 1
    return _VERBS[verb](lab, words, flags, namespace, stdin)


def _target(words: list[str]) -> tuple[str, str, list[str]]:
    if "/" in words[0]:
        short, _, name = words[0].partition("/")
        return _ALIASES[short], name, words[1:]
    return _ALIASES[words[0]], words[1] if len(words) > 1 else "", words[2:]


def _apply(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    lab.apply(stdin, namespace)


def _create(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    key, _, value = flags["--from-literal"].partition("=")
    lab.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": words[1]}, "data": {key: value}}, namespace
    )


def _set(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    what, words = words[0], words[1:]
    kind, name, pairs = _target(words)
    if what == "selector":
        lab.patch(kind, name, {"spec": {"selector": dict(p.split("=") for p in pairs)}}, namespace, "merge")
        return
    stored = lab.get(kind, name, namespace)
    assert stored is not None
    first = stored["spec"]["template"]["spec"]["containers"][0]["name"]
    containers: list[Obj]
    if what == "image":
        containers = [{"name": p.split("=")[0], "image": p.split("=")[1]} for p in pairs]
    elif what == "env":
        containers = [{"name": first, "env": [{"name": p.split("=")[0], "value": p.split("=")[1]} for p in pairs]}]
    else:
        resources = {
            part: dict(p.split("=") for p in flags[f"--{part}"].split(","))
            for part in ("requests", "limits")
            if f"--{part}" in flags
        }
        containers = [{"name": first, "resources": resources}]
    lab.patch(kind, name, {"spec": {"template": {"spec": {"containers": containers}}}}, namespace)


def _patch(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    kind, name, _ = _target(words)
    lab.patch(kind, name, json.loads(flags["-p"]), namespace, flags.get("--type", "strategic"))


def _scale(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    kind, name, _ = _target(words)
    target = lab.path(kind, namespace, name) + "/scale"
    lab.request("PATCH", target, {"spec": {"replicas": int(flags["--replicas"])}}, kind=PATCHES["merge"])


def _label(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    kind, name, pairs = _target(words)
    lab.patch(kind, name, {"metadata": {"labels": dict(p.split("=") for p in pairs)}}, namespace, "merge")


def _taint(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    node = lab.get("Node", words[1])
    assert node is not None
    taints = list(node["spec"].get("taints") or ())
    for word in words[2:]:
        if word.endswith("-"):
            taints = [t for t in taints if t["key"] != word[:-1]]
        else:
            pair, _, effect = word.partition(":")
            key, _, value = pair.partition("=")
            taints.append({"key": key, "value": value, "effect": effect})
    lab.patch("Node", words[1], {"spec": {"taints": taints or None}}, how="merge")


def _uncordon(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    lab.patch("Node", words[0], {"spec": {"unschedulable": None}}, how="merge")


def _drain(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    lab.patch("Node", words[0], {"spec": {"unschedulable": True}}, how="merge")
    key, _, value = flags["--pod-selector"].partition("=")
    for pod in lab.pods(namespace, **{key: value}):
        if pod["spec"].get("nodeName") == words[0]:
            meta = {"name": pod["metadata"]["name"], "namespace": namespace}
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
            lab.request("POST", lab.path("Pod", namespace, meta["name"]) + "/eviction", body, ok=False)


def _delete(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    options: Obj = {}
    policy = {"orphan": "Orphan", "background": "Background", "foreground": "Foreground"}
    options["propagationPolicy"] = policy[flags.get("--cascade") or "background"]
    if "--grace-period" in flags:
        options["gracePeriodSeconds"] = int(flags["--grace-period"])
    if "-l" in flags:
        key, _, value = flags["-l"].partition("=")
        names = [p["metadata"]["name"] for p in lab.pods(namespace, **{key: value})]
        kind = _ALIASES[words[0]]
    else:
        kind, name, _ = _target(words)
        names = [name]
    for name in names:
        lab.delete(kind, name, namespace, **options)


def _rollout(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    verb, (kind, name, _) = words[0], _target(words[1:])
    if verb == "restart":
        stamp = {"kubectl.kubernetes.io/restartedAt": iso(lab.clock.now())}
        template = {"metadata": {"annotations": stamp}}
        lab.patch(kind, name, {"spec": {"template": template}}, namespace)
    elif verb == "undo":
        _undo(lab, kind, name, namespace, int(flags.get("--to-revision") or 0))


def _undo(lab: Lab, kind: str, name: str, namespace: str, revision: int) -> None:
    stored = lab.get(kind, name, namespace)
    assert stored is not None
    if kind != "Deployment":
        revisions = [o for r, o in lab.store.owned_by(stored["metadata"]["uid"]) if r == "controllerrevisions.apps"]
        revisions.sort(key=lambda o: o["revision"])
        lab.patch(kind, name, revisions[-2]["data"], namespace)
        return
    note = "deployment.kubernetes.io/revision"
    sets = [o for r, o in lab.store.owned_by(stored["metadata"]["uid"]) if r == "replicasets.apps"]
    sets.sort(key=lambda rs: int(rs["metadata"]["annotations"][note]))
    chosen = (
        sets[-2] if not revision else next(rs for rs in sets if rs["metadata"]["annotations"][note] == str(revision))
    )
    template = json.loads(json.dumps(chosen["spec"]["template"]))
    template["metadata"]["labels"].pop("pod-template-hash")
    lab.patch(kind, name, [{"op": "replace", "path": "/spec/template", "value": template}], namespace, "json")


def _get(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
    return None


def _exec(lab: Lab, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> ExecResult:
    pods = lab.pods(namespace)
    return lab.exec(pods[0]["metadata"]["name"], words[1:], namespace=namespace)


_VERBS = {
    "apply": _apply,
    "create": _create,
    "set": _set,
    "patch": _patch,
    "scale": _scale,
    "label": _label,
    "taint": _taint,
    "uncordon": _uncordon,
    "drain": _drain,
    "delete": _delete,
    "rollout": _rollout,
    "get": _get,
    "exec": _exec,
}
