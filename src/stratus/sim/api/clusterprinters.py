"""Rows of the kinds that run a cluster: nodes, storage, access, admission, flow control, certificates, measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.sim.api.durations import human, since
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
Row = list[Any]


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Obj, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _annotated(obj: Obj, *keys: str) -> bool:
    annotations = obj["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in keys)


def _node(o: Obj, now: float) -> Row:
    status = o.get("status") or {}
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    word = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    if (o.get("spec") or {}).get("unschedulable"):
        word += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = o["metadata"].get("labels") or {}
    roles = {k[len(prefix) :] for k in labels if k.startswith(prefix) and k != prefix}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    found = {a["type"]: a["address"] for a in reversed(status.get("addresses") or [])}
    info = status.get("nodeInfo") or {}
    return [
        _name(o), word, ",".join(sorted(roles)) or "<none>", _age(o, now), info.get("kubeletVersion", ""),
        found.get("InternalIP", "<none>"), found.get("ExternalIP", "<none>"), info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>", info.get("containerRuntimeVersion") or "<unknown>",
    ]  # fmt: skip


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: list[str] | None) -> str:
    have = list(dict.fromkeys(modes or ()))
    return ",".join(_MODES[m] for m in _MODES if m in have)


def _class_of(o: Obj) -> str:
    """Return a claim's or volume's storage class; the annotation of old counts before the field."""
    old = (o["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class")
    return str(old or o["spec"].get("storageClassName") or "")


def _claim(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status") or {}
    phase = "Terminating" if o["metadata"].get("deletionTimestamp") else status.get("phase", "")
    volume, capacity, modes = spec.get("volumeName") or "", "", ""
    if volume:
        capacity = (status.get("capacity") or {}).get("storage", "0")
        modes = _modes(status.get("accessModes"))
    attributes = spec.get("volumeAttributesClassName") or "<unset>"
    mode = spec.get("volumeMode") or "<unset>"
    return [_name(o), phase, volume, capacity, modes, _class_of(o), attributes, _age(o, now), mode]


def _volume(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status") or {}
    phase = "Terminating" if o["metadata"].get("deletionTimestamp") else status.get("phase", "")
    claim = spec.get("claimRef")
    shown = f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""
    return [
        _name(o), (spec.get("capacity") or {}).get("storage", "0"), _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), phase, shown, _class_of(o),
        spec.get("volumeAttributesClassName") or "<unset>", status.get("reason", ""), _age(o, now),
        spec.get("volumeMode") or "<unset>",
    ]  # fmt: skip


def _storage_class(o: Obj, now: float) -> Row:
    name = _name(o)
    key = "storageclass.{}kubernetes.io/is-default-class"
    if _annotated(o, key.format(""), key.format("beta.")):
        name += " (default)"
    return [
        name, o["provisioner"], o.get("reclaimPolicy", "Delete"), o.get("volumeBindingMode", "Immediate"),
        bool(o.get("allowVolumeExpansion")), _age(o, now),
    ]  # fmt: skip


def _attributes_class(o: Obj, now: float) -> Row:
    name = _name(o)
    if _annotated(o, "volumeattributesclass.alpha.kubernetes.io/is-default-class"):
        name += " (default)"
    return [name, o.get("driverName", ""), _age(o, now)]


def _attachment(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    volume = (spec.get("source") or {}).get("persistentVolumeName") or ""
    attached = bool((o.get("status") or {}).get("attached"))
    return [_name(o), spec.get("attacher", ""), volume, spec.get("nodeName", ""), attached, _age(o, now)]


def _csi_driver(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    tokens = spec.get("tokenRequests")
    audiences = "<unset>" if tokens is None else ",".join(t.get("audience", "") for t in tokens)
    modes = ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>"
    flags = [spec.get("attachRequired", True), spec.get("podInfoOnMount", False), spec.get("storageCapacity", False)]
    return [_name(o), *flags, audiences, spec.get("requiresRepublish", False), modes, _age(o, now)]


def _csi_node(o: Obj, now: float) -> Row:
    return [_name(o), len((o.get("spec") or {}).get("drivers") or ()), _age(o, now)]


def _csi_capacity(o: Obj, now: float) -> Row:
    return [_name(o), o.get("storageClassName", ""), o.get("capacity", "")]


def _binding(o: Obj, now: float) -> Row:
    ref = o["roleRef"]
    by_kind: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for s in o.get("subjects") or ():
        name = f"{s.get('namespace', '')}/{s['name']}" if s["kind"] == "ServiceAccount" else s["name"]
        by_kind.setdefault(s["kind"], []).append(name)
    people = [", ".join(by_kind[k]) for k in ("User", "Group", "ServiceAccount")]
    return [_name(o), f"{ref['kind']}/{ref['name']}", _age(o, now), *people]


def _signing_request(o: Obj, now: float) -> Row:
    spec, status = o.get("spec") or {}, o.get("status") or {}
    kinds = {c["type"] for c in status.get("conditions") or ()}
    word = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        word += ",Failed"
    if status.get("certificate"):
        word += ",Issued"
    seconds = spec.get("expirationSeconds")
    lasting = "<none>" if seconds is None else human(float(seconds))
    return [_name(o), _age(o, now), spec.get("signerName") or "<none>", spec.get("username", ""), lasting, word]


def _webhooks(o: Obj, now: float) -> Row:
    return [_name(o), len(o.get("webhooks") or ()), _age(o, now)]


def _policy(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    param = spec.get("paramKind")
    shown = f"{param.get('apiVersion', '')}/{param.get('kind', '')}" if param else "<unset>"
    return [_name(o), len(spec.get("validations") or spec.get("mutations") or ()), shown, _age(o, now)]


def _policy_binding(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    ref = spec.get("paramRef")
    shown = "<unset>"
    if ref and ref.get("name"):
        # Without a namespace nobody can tell here whether the parameter lives in one.
        shown = f"{ref.get('namespace') or '*'}/{ref['name']}"
    elif ref and ref.get("selector") is not None:
        shown = _go_selector(ref["selector"])
    return [_name(o), spec.get("policyName", ""), shown, _age(o, now)]


def _go_selector(selector: Obj) -> str:
    labels = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    listed = "".join(
        f"LabelSelectorRequirement{{Key:{e.get('key', '')},Operator:{e.get('operator', '')},"
        f"Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    wanted = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{listed}}},"
    return f"&LabelSelector{{{wanted}}}"


def _priority_class(o: Obj, now: float) -> Row:
    policy = o.get("preemptionPolicy", "PreemptLowerPriority")
    return [_name(o), o.get("value", 0), bool(o.get("globalDefault")), _age(o, now), policy]


def _flow_schema(o: Obj, now: float) -> Row:
    spec, status = o.get("spec") or {}, o.get("status") or {}
    method = spec.get("distinguisherMethod")
    dangling = next((c.get("status", "") for c in status.get("conditions") or () if c["type"] == "Dangling"), "?")
    return [
        _name(o), (spec.get("priorityLevelConfiguration") or {}).get("name", ""), spec.get("matchingPrecedence", 0),
        method["type"] if method else "<none>", _age(o, now), dangling,
    ]  # fmt: skip


def _priority_level(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    limited = spec.get("limited")
    shares: Any = "<none>"
    queuing: list[Any] = ["<none>"] * 3
    if limited is not None:
        shares = limited.get("nominalConcurrencyShares", 0)
        found = (limited.get("limitResponse") or {}).get("queuing")
        if found is not None:
            queuing = [found.get(k, 0) for k in ("queues", "handSize", "queueLengthLimit")]
    return [_name(o), spec.get("type", ""), shares, *queuing, _age(o, now)]


def _api_service(o: Obj, now: float) -> Row:
    service = (o.get("spec") or {}).get("service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    found = next((c for c in (o.get("status") or {}).get("conditions") or () if c["type"] == "Available"), None)
    word = "Unknown"
    if found is not None:
        word = found["status"] if found["status"] == "True" else f"{found['status']} ({found.get('reason', '')})"
    return [_name(o), where, word, _age(o, now)]


def _component(o: Obj, now: float) -> Row:
    word, message, error = "Unknown", "", ""
    for condition in o.get("conditions") or ():
        if condition["type"] == "Healthy":
            word = "Healthy" if condition["status"] == "True" else "Unhealthy"
            message, error = condition.get("message", ""), condition.get("error", "")
            break
    return [_name(o), word, message, error]


def _controller_revision(o: Obj, now: float) -> Row:
    owner = next((r for r in o["metadata"].get("ownerReferences") or () if r.get("controller")), None)
    shown = "<none>"
    if owner:
        group = owner["apiVersion"].partition("/")[0] if "/" in owner["apiVersion"] else ""
        shown = f"{owner['kind']}.{group}".strip(".").lower() + f"/{owner['name']}"
    return [_name(o), shown, o.get("revision", 0), _age(o, now)]


def _lease(o: Obj, now: float) -> Row:
    return [_name(o), (o.get("spec") or {}).get("holderIdentity") or "", _age(o, now)]


def _runtime_class(o: Obj, now: float) -> Row:
    return [_name(o), o.get("handler", ""), _age(o, now)]


def _named(o: Obj, now: float) -> Row:
    return [_name(o), _age(o, now)]


def _service_cidr(o: Obj, now: float) -> Row:
    return [_name(o), ",".join((o.get("spec") or {}).get("cidrs") or ()), _age(o, now)]


def _ip_address(o: Obj, now: float) -> Row:
    ref = (o.get("spec") or {}).get("parentRef")
    shown = "<none>"
    if ref:
        group = f".{ref['group']}" if ref.get("group") else ""
        parts = [f"{ref.get('resource', '')}{group}".lower(), ref.get("namespace", ""), ref.get("name", "")]
        shown = "/".join(p for p in parts if p)
    # A real server gives an age that no column announces.
    return [_name(o), shown, _age(o, now)]


def _resource_claim(o: Obj, now: float) -> Row:
    status, going = o.get("status") or {}, bool(o["metadata"].get("deletionTimestamp"))
    states = ["deleted"] if going else []
    if status.get("allocation") is not None:
        states += ["allocated", *(["reserved"] if status.get("reservedFor") else [])]
    elif not going:
        states.append("pending")
    return [_name(o), ",".join(states), _age(o, now)]


def _resource_slice(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    pool = (spec.get("pool") or {}).get("name", "")
    return [_name(o), spec.get("nodeName") or "", spec.get("driver", ""), pool, _age(o, now)]


def _measured(o: Obj, now: float) -> Row:
    usages = [c.get("usage") or {} for c in o.get("containers") or ()] or [o.get("usage") or {}]
    cpu = sum(parse(u.get("cpu", "0")) for u in usages)
    memory = sum(parse(u.get("memory", "0")) for u in usages)
    return [_name(o), f"{int(cpu * 10**9)}n", f"{int(memory) // 1024}Ki", o.get("window", "")]


CLUSTER_PRINTERS: dict[str, Callable[[Obj, float], Row]] = {
    "Node": _node,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "StorageClass": _storage_class,
    "VolumeAttributesClass": _attributes_class,
    "VolumeAttachment": _attachment,
    "CSIDriver": _csi_driver,
    "CSINode": _csi_node,
    "CSIStorageCapacity": _csi_capacity,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "CertificateSigningRequest": _signing_request,
    "ValidatingWebhookConfiguration": _webhooks,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingAdmissionPolicy": _policy,
    "MutatingAdmissionPolicy": _policy,
    "ValidatingAdmissionPolicyBinding": _policy_binding,
    "MutatingAdmissionPolicyBinding": _policy_binding,
    "PriorityClass": _priority_class,
    "FlowSchema": _flow_schema,
    "PriorityLevelConfiguration": _priority_level,
    "APIService": _api_service,
    "ComponentStatus": _component,
    "ControllerRevision": _controller_revision,
    "Lease": _lease,
    "RuntimeClass": _runtime_class,
    "ServiceCIDR": _service_cidr,
    "IPAddress": _ip_address,
    "DeviceClass": _named,
    "ResourceClaim": _resource_claim,
    "ResourceClaimTemplate": _named,
    "ResourceSlice": _resource_slice,
    "NodeMetrics": _measured,
    "PodMetrics": _measured,
}
