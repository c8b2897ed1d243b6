"""What each kind insists on: rules for new objects, and for what an update may not touch."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import crds, internals, networkrules, workloadrules
from stratus.sim.api.podvalidation import validate_pod_spec, validate_pod_update
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule, int_or_percent, label_selector, over_hundred
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]


def _key(path: str, key: str, problems: Problems) -> None:
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
        text = (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
        problems.invalid(f"{path}[{key}]", key, text)


def _config_map(o: Obj, problems: Problems) -> None:
    for key in o.get("data") or ():
        _key("data", key, problems)
        if key in (o.get("binaryData") or ()):
            problems.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in o.get("binaryData") or ():
        _key("binaryData", key, problems)
    if sum(len(str(v)) for f in ("data", "binaryData") for v in (o.get(f) or {}).values()) > 1 << 20:
        problems.too_long("", 1 << 20)


def _config_map_update(o: Obj, old: Obj, problems: Problems) -> None:
    if not old.get("immutable"):
        return
    text = "field is immutable when `immutable` is set"
    if not o.get("immutable"):
        problems.forbidden("immutable", text)
    for field in ("data", "binaryData"):
        if (o.get(field) or {}) != (old.get(field) or {}):
            problems.forbidden(field, text)


def _secret(o: Obj, problems: Problems) -> None:
    data, kind = o.get("data") or {}, o.get("type")
    for key in data:
        _key("data", key, problems)
    needed = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
              "kubernetes.io/dockercfg": (".dockercfg",), "kubernetes.io/ssh-auth": ("ssh-privatekey",)}  # fmt: skip
    for key in needed.get(str(kind), ()):
        if key not in data:
            problems.required(f"data[{key}]")
    if kind == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        if not (o["metadata"].get("annotations") or {}).get(name):
            problems.required(f"metadata.annotations[{name}]")


def _secret_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("type") != old.get("type"):
        problems.invalid("type", o.get("type"), IMMUTABLE)
    _config_map_update(o, old, problems)


def _pod(o: Obj, problems: Problems) -> None:
    if o["spec"].get("ephemeralContainers"):
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create")
    validate_pod_spec("spec", o["spec"], problems)


def _pod_update(o: Obj, old: Obj, problems: Problems) -> None:
    validate_pod_update(o["spec"], old["spec"], problems)


_METRIC_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")


def _autoscaler(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    low, high, metrics = spec.get("minReplicas"), spec.get("maxReplicas", 0), spec.get("metrics") or []
    if low is not None and low < 1:
        problems.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        problems.required("spec.maxReplicas", "must be set and greater than 0")
    if low is not None and high < low:
        problems.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    ref = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        if not ref.get(field):
            problems.required(f"spec.scaleTargetRef.{field}")
    for index, metric in enumerate(metrics):
        if metric.get("type") not in _METRIC_TYPES:
            if metric.get("type"):
                problems.unsupported(f"spec.metrics[{index}].type", metric["type"], _METRIC_TYPES)
            else:
                problems.required(f"spec.metrics[{index}].type", "must specify a metric source type")
            continue
        field = metric["type"][:1].lower() + metric["type"][1:]
        if metric.get(field) is None:
            text = "must populate information for the given metric source"
            problems.required(f"spec.metrics[{index}].{field}", text)
        source = metric.get("resource")
        if metric.get("type") == "Resource" and source is not None:
            target = source.get("target") or {}
            if target.get("averageUtilization") is None and target.get("averageValue") is None:
                here = f"spec.metrics[{index}].resource.target.averageUtilization"
                problems.required(here, "must set either a target raw value or a target utilization")
    if low == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        problems.forbidden("spec.metrics", text)


def _budget(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = {"MinAvailable": spec["minAvailable"], "Selector": spec.get("selector"),
                 "MaxUnavailable": spec["maxUnavailable"],
                 "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}  # fmt: skip
        problems.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        int_or_percent(f"spec.{field}", spec.get(field), problems)
        over_hundred(f"spec.{field}", spec.get(field), problems)
    if spec.get("selector") is not None:
        label_selector("spec.selector", spec["selector"], problems)


_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def _modes(modes: list[str], problems: Problems) -> None:
    if not modes:
        problems.required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            problems.unsupported("spec.accessModes", mode, _ACCESS_MODES)


def _claim(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    _modes(spec.get("accessModes") or [], problems)
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        problems.required("spec.resources[storage]")
    elif parse(size) <= 0:
        problems.invalid("spec.resources[storage]", size, "must be greater than zero")


_CLAIM_TEXT = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _claim_update(o: Obj, old: Obj, problems: Problems) -> None:
    a, b = o["spec"], old["spec"]
    bound = old.get("status", {}).get("phase") == "Bound"
    skip = {"volumeAttributesClassName"} if bound else set()
    if not b.get("volumeName"):
        skip.add("volumeName")  # the binder sets it once
    if b.get("storageClassName") is None:
        skip.add("storageClassName")
    x = {k: v for k, v in a.items() if k not in skip and k != "resources"}
    y = {k: v for k, v in b.items() if k not in skip and k != "resources"}
    want = ((a.get("resources") or {}).get("requests") or {}).get("storage")
    have = ((b.get("resources") or {}).get("requests") or {}).get("storage")
    if x != y or (want != have and not bound):
        type_name = "io.k8s.api.core.v1.PersistentVolumeClaimSpec"
        was = {**b, "resources": {**(b.get("resources") or {})}}
        now = {**a, **{k: b[k] for k in skip if k in b}}
        for f in skip - set(b):
            now.pop(f, None)
        problems.forbidden("spec", f"{_CLAIM_TEXT}\n{internals.difference(type_name, now, was)}")
    elif want is not None and have is not None and parse(want) < parse(have):
        text = "field can not be less than status.capacity"
        problems.forbidden("spec.resources.requests.storage", text)


_PV_PLAIN = frozenset(
    {
        "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
        "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip


def _volume(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    _modes(spec.get("accessModes") or [], problems)
    if not (spec.get("capacity") or {}).get("storage"):
        problems.required("spec.capacity")
    if not [k for k in spec if k not in _PV_PLAIN]:
        problems.required("spec", "must specify a volume type")


def _rules(namespaced: bool) -> Rule:
    def fn(o: Obj, problems: Problems) -> None:
        for index, rule in enumerate(o.get("rules") or ()):
            here = f"rules[{index}]"
            if not rule.get("verbs"):
                problems.required(f"{here}.verbs", "verbs must contain at least one value")
            if rule.get("nonResourceURLs"):
                if namespaced:
                    text = "namespaced rules cannot apply to non-resource URLs"
                    problems.invalid(f"{here}.nonResourceURLs", rule["nonResourceURLs"], text)
                continue
            if not rule.get("apiGroups"):
                problems.required(f"{here}.apiGroups", "resource rules must supply at least one api group")
            if not rule.get("resources"):
                problems.required(f"{here}.resources", "resource rules must supply at least one resource")

    return fn


def _binding(namespaced: bool) -> Rule:
    kinds = ["Role", "ClusterRole"] if namespaced else ["ClusterRole"]

    def fn(o: Obj, problems: Problems) -> None:
        ref = o.get("roleRef") or {}
        if ref.get("apiGroup") != "rbac.authorization.k8s.io":
            problems.unsupported("roleRef.apiGroup", ref.get("apiGroup"), ["rbac.authorization.k8s.io"])
        if ref.get("kind", "") not in kinds:
            problems.unsupported("roleRef.kind", ref.get("kind", ""), kinds)
        if not ref.get("name"):
            problems.required("roleRef.name")
        for index, subject in enumerate(o.get("subjects") or ()):
            if not subject.get("name"):
                problems.required(f"subjects[{index}].name")
            # A RoleBinding may leave out an account's namespace; it then names nobody.
            if subject.get("kind") == "ServiceAccount" and not namespaced and not subject.get("namespace"):
                problems.required(f"subjects[{index}].namespace")
            elif subject.get("kind") not in ("ServiceAccount", "User", "Group"):
                allowed = ["ServiceAccount", "User", "Group"]
                problems.unsupported(f"subjects[{index}].kind", subject.get("kind", ""), allowed)

    return fn


def _binding_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("roleRef") != old.get("roleRef"):
        ref = o["roleRef"]
        shown = {"APIGroup": ref.get("apiGroup"), "Kind": ref.get("kind"), "Name": ref.get("name")}
        problems.invalid("roleRef", shown, "cannot change roleRef")


def _storage_class(o: Obj, problems: Problems) -> None:
    if not o.get("provisioner"):
        problems.required("provisioner")
    if o.get("reclaimPolicy") not in ("Delete", "Retain"):
        problems.unsupported("reclaimPolicy", o.get("reclaimPolicy"), ["Delete", "Retain"])


def _frozen(*fields: str, text: str = "updates to {} are forbidden.") -> Change:
    def fn(o: Obj, old: Obj, problems: Problems) -> None:
        for field in fields:
            if o.get(field) != old.get(field):
                problems.forbidden(field, text.format(field))

    return fn


_QUOTA = frozenset(
    {
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "services",
        "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
        "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip


def _quota(o: Obj, problems: Problems) -> None:
    for name, value in ((o.get("spec") or {}).get("hard") or {}).items():
        here = f"spec.hard[{name}]"
        if "/" not in name and name not in _QUOTA and not name.startswith(("requests.", "hugepages-")):
            problems.invalid(here, name, "must be a standard resource type or fully qualified")
            problems.invalid(here, name, "must be a standard resource for quota")
        elif parse(value) < 0:
            problems.invalid(here, value, "must be greater than or equal to 0")


def _limit_range(o: Obj, problems: Problems) -> None:
    for index, item in enumerate((o.get("spec") or {}).get("limits") or ()):
        here = f"spec.limits[{index}]"
        values = {f: item.get(f) or {} for f in ("max", "min", "default", "defaultRequest")}
        for name in sorted({n for v in values.values() for n in v}):
            high, low, default, request = (values[f].get(name) for f in ("max", "min", "default", "defaultRequest"))
            if high is not None and low is not None and parse(low) > parse(high):
                problems.invalid(f"{here}.min[{name}]", low, f"min value {low} is greater than max value {high}")
            if request is not None and high is not None and parse(request) > parse(high):
                text = f"default request value {request} is greater than max value {high}"
                problems.invalid(f"{here}.defaultRequest[{name}]", request, text)
            if default is not None and high is not None and parse(default) > parse(high):
                text = f"default value {default} is greater than max value {high}"
                problems.invalid(f"{here}.default[{name}]", high, text)
            elif default is not None and request is not None and parse(request) > parse(default):
                text = f"default request value {request} is greater than default limit value {default}"
                problems.invalid(f"{here}.defaultRequest[{name}]", request, text)


def _node(o: Obj, problems: Problems) -> None:
    for index, taint in enumerate((o.get("spec") or {}).get("taints") or ()):
        here = f"metadata.taints[{index}]"
        effect = taint.get("effect", "")
        if not effect:
            for _ in range(2):
                problems.required(f"{here}.effect")
        elif effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            for _ in range(2):
                problems.unsupported(f"{here}.effect", effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"])


CREATE: dict[str, Rule] = {
    **workloadrules.CREATE,
    **networkrules.CREATE,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Pod": _pod,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "Role": _rules(True),
    "ClusterRole": _rules(False),
    "RoleBinding": _binding(True),
    "ClusterRoleBinding": _binding(False),
    "StorageClass": _storage_class,
    "ResourceQuota": _quota,
    "LimitRange": _limit_range,
    "CustomResourceDefinition": crds.validate,
    "Node": _node,
}
UPDATE: dict[str, Change] = {
    **workloadrules.UPDATE,
    **networkrules.UPDATE,
    "ConfigMap": _config_map_update,
    "Secret": _secret_update,
    "Pod": _pod_update,
    "PersistentVolumeClaim": _claim_update,
    "RoleBinding": _binding_update,
    "ClusterRoleBinding": _binding_update,
    "CustomResourceDefinition": crds.validate_update,
    "StorageClass": _frozen("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "PriorityClass": _frozen("value", "preemptionPolicy", text="may not be changed in an update."),
}
