"""What each kind insists on: rules for new objects, and for what an update may not touch."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from stratus.sim.api import (
    accessrules,
    crds,
    fieldrules,
    jobrules,
    networkrules,
    quotarules,
    scalingrules,
    servicerules,
    storagerules,
    workloadrules,
)
from stratus.sim.api.fieldrules import maybe_one_of
from stratus.sim.api.goerrors import json_error
from stratus.sim.api.podplacement import taints
from stratus.sim.api.podupdates import validate_pod_update
from stratus.sim.api.podvalidation import validate_pod
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_LARGEST = 1 << 20


def _config_map(o: Obj, problems: Problems) -> None:
    for key in o.get("data") or ():
        fieldrules.config_key(f"data[{key}]", key, problems)
        if key in (o.get("binaryData") or ()):
            problems.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in o.get("binaryData") or ():
        fieldrules.config_key(f"binaryData[{key}]", key, problems)
    if sum(len(str(v)) for f in ("data", "binaryData") for v in (o.get(f) or {}).values()) > _LARGEST:
        problems.too_long("", _LARGEST)


def _config_map_update(o: Obj, old: Obj, problems: Problems) -> None:
    if not old.get("immutable"):
        return
    text = "field is immutable when `immutable` is set"
    if not o.get("immutable"):
        problems.forbidden("immutable", text)
    for field in ("data", "binaryData"):
        if (o.get(field) or {}) != (old.get(field) or {}):
            problems.forbidden(field, text)


_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _secret(o: Obj, problems: Problems) -> None:
    data, kind = o.get("data") or {}, str(o.get("type"))
    for key in data:
        fieldrules.config_key(f"data[{key}]", key, problems)
    if sum(len(v) * 3 // 4 for v in data.values()) > _LARGEST:
        problems.too_long("data", _LARGEST)
    for key in _NEEDED.get(kind, ()):
        if key not in data or (kind.endswith("ssh-auth") and not data[key]):
            problems.required(f"data[{key}]")
        elif kind.endswith(("dockercfg", "dockerconfigjson")):
            _credentials(f"data[{key}]", data[key], problems)
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        problems.required("data[username]")
        problems.required("data[password]")
    if kind == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        if not (o["metadata"].get("annotations") or {}).get(name):
            problems.required(f"metadata.annotations[{name}]")


def _credentials(path: str, value: str, problems: Problems) -> None:
    try:
        text = base64.b64decode(value)
        json.loads(text)
    except ValueError as error:
        why = str(error) if isinstance(error, binascii.Error) else json_error(text, error)
        problems.invalid(path, "<secret contents redacted>", why)


def _secret_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("type") != old.get("type"):
        problems.invalid("type", o.get("type"), IMMUTABLE)
    _config_map_update(o, old, problems)


def _pod(o: Obj, problems: Problems) -> None:
    if o["spec"].get("ephemeralContainers"):
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create")
    validate_pod(o["spec"], problems)


def _pod_update(o: Obj, old: Obj, problems: Problems) -> None:
    validate_pod_update(o["spec"], old["spec"], problems)


def _node(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    taints("metadata.taints", spec.get("taints") or [], problems)
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        fieldrules.cidr(f"spec.podCIDRs[{index}]", cidr, problems)


def _node_update(o: Obj, old: Obj, problems: Problems) -> None:
    new, was = o.get("spec") or {}, old.get("spec") or {}
    if was.get("podCIDRs") and new.get("podCIDRs") != was["podCIDRs"]:
        text = 'node updates may not change podCIDR except from "" to valid'
        problems.forbidden("spec.podCIDRs", text)
    if was.get("providerID") and new.get("providerID") != was["providerID"]:
        problems.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
    taints("metadata.taints", new.get("taints") or [], problems)


_HIGHEST = 1000000000
_SYSTEM = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def _priority(o: Obj, problems: Problems) -> None:
    name, value = o["metadata"].get("name") or "", o.get("value", 0)
    if name.startswith("system-"):
        why = ""
        if name not in _SYSTEM:
            why = f"{name} is not a known system priority class"
        elif _SYSTEM[name] != value:
            why = f"value of {name} PriorityClass must be {_SYSTEM[name]}"
        elif o.get("globalDefault"):
            why = f"globalDefault of {name} PriorityClass must be false"
        if why:
            text = f"priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            problems.forbidden("metadata.name", text)
    elif value > _HIGHEST:
        problems.forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST}")
    maybe_one_of("preemptionPolicy", o.get("preemptionPolicy"), ("PreemptLowerPriority", "Never"), problems)


def _priority_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("value") != old.get("value"):
        problems.forbidden("value", "may not be changed in an update.")
    if o.get("preemptionPolicy") != old.get("preemptionPolicy"):
        problems.invalid("preemptionPolicy", o.get("preemptionPolicy"), IMMUTABLE)


def _lease(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    seconds, count = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        problems.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if count is not None and count < 0:
        problems.invalid("spec.leaseTransitions", count, "must be greater than or equal to 0")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        problems.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def _runtime_class(o: Obj, problems: Problems) -> None:
    fieldrules.dns_label("handler", o.get("handler", ""), problems)


def _runtime_class_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("handler") != old.get("handler"):
        problems.invalid("handler", o.get("handler"), IMMUTABLE)


CREATE: dict[str, Rule] = {
    **workloadrules.CREATE,
    **jobrules.CREATE,
    **servicerules.CREATE,
    **networkrules.CREATE,
    **storagerules.CREATE,
    **accessrules.CREATE,
    **scalingrules.CREATE,
    **quotarules.CREATE,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Pod": _pod,
    "CustomResourceDefinition": crds.validate,
    "Node": _node,
    "PriorityClass": _priority,
    "Lease": _lease,
    "RuntimeClass": _runtime_class,
}
UPDATE: dict[str, Change] = {
    **workloadrules.UPDATE,
    **jobrules.UPDATE,
    **servicerules.UPDATE,
    **networkrules.UPDATE,
    **storagerules.UPDATE,
    **accessrules.UPDATE,
    **quotarules.UPDATE,
    "ConfigMap": _config_map_update,
    "Secret": _secret_update,
    "Pod": _pod_update,
    "Node": _node_update,
    "CustomResourceDefinition": crds.validate_update,
    "PriorityClass": _priority_update,
    "RuntimeClass": _runtime_class_update,
}
