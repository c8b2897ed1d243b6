"""How each kind of step changes objects; what it changes inside the emulation is in inner.py."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from stratus.errors import UsageError
from stratus.kit.clock import iso
from stratus.sim.corefile import COREFILE, denial
from stratus.sim.faults import steps as s
from stratus.sim.faults.chaosmesh import GROUP, chaos, definition
from stratus.sim.faults.hands import STRATEGIC, Before, Hands
from stratus.sim.faults.inner import delete_pods, inner, lacking
from stratus.sim.store import Obj


def named(hands: Hands, step: s.AnyStep) -> str:
    """Say what a step is about that is not there; empty when all is."""
    space = hands.space(step)
    target = about(step)
    if target is None:
        return lacking(hands, step, space)
    kind, name = target
    try:
        found = hands.find(kind, space, name)
    except UsageError as error:
        return str(error)
    if found is None:
        return f"there is no {kind} {name} in {space}"
    return _misfit(step, kind, name, found) or lacking(hands, step, space)


def about(step: s.AnyStep) -> tuple[str, str] | None:
    """Return (kind, name) of the object that a step needs."""
    if isinstance(step, s.OnWorkload | s.KillContainer | s.Exec):
        return step.kind, step.name
    if isinstance(step, s.SetSelector | s.SetTargetPort):
        return "Service", step.service
    if isinstance(step, s.SetKey | s.SetFlag):
        return "ConfigMap", step.config_map
    if isinstance(step, s.SetSecretKey):
        return "Secret", step.secret
    if isinstance(step, s.Delete | s.Patch | s.Remember | s.TellEvent):
        return step.kind, step.name
    if isinstance(step, s.StopKubelet | s.Taint | s.Cordon):
        return "Node", step.node
    return None


def _misfit(step: s.AnyStep, kind: str, name: str, found: Obj) -> str:
    if isinstance(step, s.OnWorkload | s.KillContainer | s.Exec) and step.container:
        names = [c["name"] for c in found["spec"]["template"]["spec"]["containers"]]
        if step.container not in names:
            return f"{kind} {name} has no container {step.container}; it has {', '.join(names)}"
    text = (found.get("data") or {}).get(step.key, "") if isinstance(step, s.SetKey) else ""
    if isinstance(step, s.SetKey) and step.replace and step.replace[0] not in text:
        return f"ConfigMap {name}: {step.key} does not contain {step.replace[0]!r}"
    if isinstance(step, s.SetFlag):
        return _flagged(step, found)[1]
    if isinstance(step, s.SetTargetPort) and step.port and all(p["port"] != step.port for p in found["spec"]["ports"]):
        return f"Service {name} has no port {step.port}"
    return ""


def perform(hands: Hands, step: s.AnyStep) -> list[Before]:
    """Carry a step out; return what it replaced.

    Raises:
        UsageError: what it is about is not there, or the API refuses.
    """
    missing = named(hands, step)
    if missing:
        raise UsageError(missing)
    space = hands.space(step)
    if isinstance(step, s.OnWorkload):
        return [_on_workload(hands, step, space)]
    if isinstance(step, s.SetSelector | s.SetTargetPort):
        return [_service(hands, step, space)]
    if isinstance(step, s.SetKey | s.SetSecretKey | s.SetFlag):
        return [_key(hands, step, space)]
    if isinstance(step, s.Patch):
        return [hands.patch(step.kind, space, step.name, step.patch)]
    if isinstance(step, s.Remember):
        value: Any = hands.find(step.kind, space, step.name)
        for part in step.path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return [Before("field", (step.kind, space, step.name), copy.deepcopy(value), step.path)]
    if isinstance(step, s.Taint):
        taints = (hands.find("Node", "", step.node) or {})["spec"].get("taints") or []
        kept = [t for t in taints if (t["key"], t["effect"]) != (step.key, step.effect)]
        new = {"key": step.key, "effect": step.effect, **({"value": step.value} if step.value else {})}
        return [hands.patch("Node", "", step.node, {"spec": {"taints": [*kept, new]}})]
    if isinstance(step, s.Cordon):
        return [hands.patch("Node", "", step.node, {"spec": {"unschedulable": True}})]
    if isinstance(step, s.DnsAnswer):
        return [_dns(hands, step)]
    if isinstance(step, s.Create):
        return [hands.create(step.object, space)]
    if isinstance(step, s.Delete):
        was = hands.find(step.kind, space, step.name)
        hands.send("DELETE", hands.path(hands.resource(step.kind), space, step.name))
        return [Before("deleted", (step.kind, space, step.name), was)]
    if isinstance(step, s.DeletePods):
        delete_pods(hands, space, step.labels)
        return [Before("pods", (space,), step.labels)] if step.on_heal else []
    if isinstance(step, s.Chaos):
        return [_chaos(hands, chaos(step.kind, step.name, space, step.labels, step.spec, step.schedule), space)]
    if isinstance(step, s.NetworkChaos):
        spec: dict[str, Any] = {"direction": "to", "action": "loss"}
        if step.delay:
            spec.update(action="delay", delay={"latency": step.delay, "correlation": "100", "jitter": "0ms"})
        else:
            spec["loss"] = {"loss": step.loss or "50", "correlation": "100"}
        return [_chaos(hands, chaos("NetworkChaos", step.name, space, step.labels, spec, ""), space)]
    return inner(hands, step, space)


def _on_workload(hands: Hands, step: s.OnWorkload, space: str) -> Before:
    if isinstance(step, s.Scale):
        return hands.patch(step.kind, space, step.name, {"spec": {"replicas": step.replicas}})
    if isinstance(step, s.PatchTemplate):
        return hands.patch(step.kind, space, step.name, {"spec": {"template": step.template}}, STRATEGIC)
    found = hands.find(step.kind, space, step.name) or {}
    containers = found["spec"]["template"]["spec"]["containers"]
    container = next(c for c in containers if c["name"] == (step.container or containers[0]["name"]))
    part: Obj = {"name": container["name"]}
    spec: Obj = {}
    meta: Obj = {}
    if isinstance(step, s.SetImage):
        part["image"] = step.image
    elif isinstance(step, s.SetEnv):
        if step.value is None:
            part["env"] = [{"$patch": "delete", "name": step.env}]
        else:
            part["env"] = [{"name": step.env, "value": step.value, "valueFrom": None}]
    elif isinstance(step, s.SetCommand):
        part.update({k: v for k, v in (("command", step.command), ("args", step.args)) if v is not None})
    elif isinstance(step, s.SetResources):
        part["resources"] = {k: v for k, v in (("limits", step.limits), ("requests", step.requests)) if v}
    elif isinstance(step, s.SetProbe):
        part[f"{step.probe}Probe"] = {"$patch": "replace", **step.value} if step.value is not None else None
    elif isinstance(step, s.SetNodeSelector):
        old = found["spec"]["template"]["spec"].get("nodeSelector") or {}
        spec["nodeSelector"] = {**dict.fromkeys(old), **step.labels}
    elif isinstance(step, s.Restart):
        meta = {"annotations": {"kubectl.kubernetes.io/restartedAt": iso(hands.now())}}
    if len(part) > 1:
        spec["containers"] = [part]
    template = {k: v for k, v in (("metadata", meta), ("spec", spec)) if v}
    return hands.patch(step.kind, space, step.name, {"spec": {"template": template}}, STRATEGIC)


def _service(hands: Hands, step: s.SetSelector | s.SetTargetPort, space: str) -> Before:
    spec = (hands.find("Service", space, step.service) or {})["spec"]
    if isinstance(step, s.SetSelector):
        old = {} if step.add else dict.fromkeys(spec.get("selector") or {})
        return hands.patch("Service", space, step.service, {"spec": {"selector": {**old, **step.selector}}})
    ports = copy.deepcopy(spec["ports"])
    chosen = next(p for p in ports if not step.port or p["port"] == step.port)
    chosen["targetPort"] = step.target_port
    return hands.patch("Service", space, step.service, {"spec": {"ports": ports}})


def _key(hands: Hands, step: s.SetKey | s.SetSecretKey | s.SetFlag, space: str) -> Before:
    if isinstance(step, s.SetSecretKey):
        coded = None if step.value is None else base64.b64encode(step.value.encode()).decode()
        return hands.patch("Secret", space, step.secret, {"data": {step.key: coded}})
    found = hands.find("ConfigMap", space, step.config_map) or {}
    if isinstance(step, s.SetFlag):
        value: str | None = _flagged(step, found)[0]
    elif step.replace is not None:
        value = found["data"][step.key].replace(*step.replace)
    else:
        value = step.value
    return hands.patch("ConfigMap", space, step.config_map, {"data": {step.key: value}})


def _flagged(step: s.SetFlag, config_map: Obj) -> tuple[str, str]:
    """Return the document with the flag switched, and what is in the way."""
    where = f"ConfigMap {step.config_map}, {step.key}"
    try:
        document = json.loads((config_map.get("data") or {}).get(step.key, ""))
        flags = document["flags"]
        names = ", ".join(sorted(flags))
    except (ValueError, TypeError, KeyError):
        return "", f"{where}: this is no flagd document with `flags`"
    if step.flag not in flags:
        return "", f"{where}: there is no flag {step.flag}; there are {names}"
    variants = flags[step.flag].get("variants") or {}
    if step.variant not in variants:
        return "", f"{where}: the flag {step.flag} has no variant {step.variant!r}; it has {', '.join(variants)}"
    flags[step.flag]["defaultVariant"] = step.variant
    return json.dumps(document, indent=2), ""


def _dns(hands: Hands, step: s.DnsAnswer) -> Before:
    block = denial(step.host, step.rcode)
    found = hands.find("ConfigMap", "kube-system", "coredns")
    if found is None:
        data = {"Corefile": COREFILE.replace("    ready\n", f"    ready\n{block}")}
        meta = {"name": "coredns", "namespace": "kube-system"}
        return hands.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}, "kube-system")
    text = (found.get("data") or {}).get("Corefile", "")
    place = text.find("\n", text.find("{")) + 1
    return hands.patch(
        "ConfigMap", "kube-system", "coredns", {"data": {"Corefile": text[:place] + block + text[place:]}}
    )


def _chaos(hands: Hands, obj: Obj, space: str) -> Before:
    wanted = definition(obj["kind"])
    if hands.find("CustomResourceDefinition", "", wanted["metadata"]["name"]) is None:
        hands.create(wanted, "")
    return hands.create(obj, space)


__all__ = ["GROUP", "about", "named", "perform"]
