"""`kubectl expose` and `kubectl autoscale`: a Service or an autoscaler for something that exists."""

from __future__ import annotations

from stratus.cluster.kubectl.context import Context, Found, Outcome, pairs, refuse, rules, strategic_type
from stratus.cluster.kubectl.manifests import parse_documents
from stratus.cluster.kubectl.targets import find
from stratus.cluster.kubectl.verbs.scaling import check_scalable
from stratus.kit.kube import dig
from stratus.kit.patches import merge_apply, strategic_apply
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

_EXPOSABLE = ("Deployment", "ReplicaSet", "Pod", "Service", "ReplicationController")


def compile_verb(ctx: Context) -> Outcome:
    """Compile `expose` and `autoscale`."""
    make, kind = (_service, "v1/Service") if ctx.parsed.verb == "expose" else (_autoscaler, "autoscaling/v2/" + _HPA)
    writes = []
    for found in find(ctx, ctx.parsed.words, by_name=True):
        resource = ctx.resource(kind)
        name = ctx.parsed.one("name") or found.ref.name
        ref = ctx.ref(resource, name)
        body = overridden(ctx, make(ctx, found, name))
        if ctx.reader.get(ref) is not None:
            raise refuse("already_exists", f"{ref} exists already", "choose another --name")
        body["metadata"]["namespace"] = ctx.namespace
        writes.append(ctx.write("POST", resource, ref, body))
    return Outcome(writes=tuple(writes))


def overridden(ctx: Context, body: Json) -> Json:
    """Return a made object with what `--overrides` says, merged as `--override-type` wants it."""
    text = ctx.parsed.one("overrides")
    if not text:
        return body
    documents = parse_documents(text, what="patch")
    change = documents[0] if len(documents) == 1 else None
    how = ctx.parsed.one("override-type", "merge")
    if not isinstance(change, dict) or how not in ("merge", "strategic"):
        raise refuse(
            "bad_patch",
            "--overrides is one JSON object, merged or strategic",
            """write --overrides='{"spec": {...}}'""",
        )
    name = body["metadata"]["name"]
    if how == "strategic":
        kind = strategic_type(ObjectRef(api_version=body["apiVersion"], kind=body["kind"], name=name))
        made: Json = strategic_apply(body, change, rules(), kind)
    else:
        made = merge_apply(body, change)
    if [made.get("apiVersion"), made.get("kind")] != [body["apiVersion"], body["kind"]] or (
        (made.get("metadata") or {}).get("name") != name
    ):
        raise refuse("bad_patch", "--overrides cannot change kind or name", "leave kind and metadata.name out")
    return made


_HPA = "HorizontalPodAutoscaler"


def _service(ctx: Context, found: Found, name: str) -> Json:
    flags = ctx.parsed
    if found.resource.kind not in _EXPOSABLE:
        raise refuse("not_applicable", f"{found} cannot be exposed", f"name one of {', '.join(_EXPOSABLE)}")
    labels = found.obj["metadata"].get("labels") or {}
    if "labels" in flags:
        labels = pairs(tuple(filter(None, flags.one("labels").split(","))), "a label")
    spec: Json = {"ports": _ports(ctx, found), "selector": _selector(ctx, found)}
    for flag, field in (
        ("type", "type"),
        ("cluster-ip", "clusterIP"),
        ("load-balancer-ip", "loadBalancerIP"),
        ("session-affinity", "sessionAffinity"),
    ):
        if flags.one(flag):
            spec[field] = flags.one(flag)
    if flags.one("external-ip"):
        spec["externalIPs"] = [flags.one("external-ip")]
    meta: Json = {"name": name}
    if labels:
        meta["labels"] = labels
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _selector(ctx: Context, found: Found) -> dict[str, str]:
    if ctx.parsed.one("selector"):
        return pairs(tuple(ctx.parsed.one("selector").split(",")), "a label")
    kind = found.resource.kind
    if kind == "Pod":
        selector = found.obj["metadata"].get("labels")
    elif kind in ("Service", "ReplicationController"):
        selector = dig(found.obj, "spec", "selector")
    else:
        if dig(found.obj, "spec", "selector", "matchExpressions"):
            raise refuse("not_applicable", f"The selector of {found} is no plain one", "give --selector")
        selector = dig(found.obj, "spec", "selector", "matchLabels")
    if not selector:
        raise refuse("not_applicable", f"{found} has no selector to take over", "give --selector")
    return dict(selector)


def _ports(ctx: Context, found: Found) -> list[Json]:
    flags = ctx.parsed
    numbers: list[tuple[int, str]] = []
    if flags.one("port"):
        for text in flags.one("port").split(","):
            if not text.isdigit():
                raise refuse("bad_value", f"--port={text} is not a number", "write --port=N")
            numbers.append((int(text), ""))
    elif found.resource.kind == "Service":
        numbers = [(p["port"], p.get("protocol", "")) for p in dig(found.obj, "spec", "ports", default=[])]
    else:
        spec = dig(found.obj, "spec", default={})
        spec = spec if found.resource.kind == "Pod" else dig(spec, "template", "spec", default={})
        numbers = [
            (p["containerPort"], p.get("protocol", ""))
            for c in spec.get("containers") or ()
            for p in c.get("ports") or ()
        ]
    if not numbers:
        raise refuse("missing_argument", f"{found} declares no port", "give --port")
    goal = flags.one("target-port")
    ports = []
    for at, (number, protocol) in enumerate(numbers):
        port: Json = {"port": number, "protocol": flags.one("protocol", protocol or "TCP").upper()}
        port["targetPort"] = (int(goal) if goal.isdigit() else goal) if goal else number
        if len(numbers) > 1:
            port["name"] = f"port-{at + 1}"
        ports.append(port)
    return ports


def _autoscaler(ctx: Context, found: Found, name: str) -> Json:
    check_scalable(found)
    most = ctx.number("max", least=1)
    least = ctx.number("min", default=-1)
    if least > most:
        raise refuse("bad_value", f"--min={least} is above --max={most}", "give --min not above --max")
    spec: Json = {
        "scaleTargetRef": {"apiVersion": found.ref.api_version, "kind": found.ref.kind, "name": found.ref.name},
        "maxReplicas": most,
    }
    if least > 0:  # kubectl takes 0 for "not said"
        spec["minReplicas"] = least
    metrics = [_metric(name, flag, ctx.parsed.one(flag)) for flag, name in _METRICS if ctx.parsed.one(flag)]
    if metrics:
        spec["metrics"] = metrics
    return {"apiVersion": "autoscaling/v2", "kind": _HPA, "metadata": {"name": name}, "spec": spec}


_METRICS = (("cpu", "cpu"), ("cpu-percent", "cpu"), ("memory", "memory"))


#: What a number without a unit is meant in.
_UNITS = {"cpu": "m", "memory": "Mi"}


def _metric(resource: str, flag: str, text: str) -> Json:
    share = text.removesuffix("%")
    if flag == "cpu-percent" or text.endswith("%"):
        if not share.isdigit():
            raise refuse("bad_value", f"--{flag}={text} is not a percentage", f"write --{flag}=70%")
        target: Json = {"type": "Utilization", "averageUtilization": int(share)}
    else:
        unit = _UNITS.get(flag, "") if text.isdigit() else ""
        target = {"type": "AverageValue", "averageValue": text + unit}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}
