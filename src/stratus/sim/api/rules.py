"""What each kind insists on: rules for new objects, and for what an update may not touch."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from stratus.sim.api.cron import schedule_problem
from stratus.sim.api.names import check_labels, subdomain_problems
from stratus.sim.api.podvalidation import (
    non_negative,
    port_name,
    port_number,
    target_port,
    validate_pod_spec,
    validate_pod_update,
)
from stratus.sim.api.selectors import from_selector, labels_match
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
Rule = Callable[[Obj, Problems], None]
Change = Callable[[Obj, Obj, Problems], None]
_IMMUTABLE = "field is immutable"
_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)


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
        problems.invalid("type", o.get("type"), _IMMUTABLE)
    _config_map_update(o, old, problems)


def _pod(o: Obj, problems: Problems) -> None:
    if o["spec"].get("ephemeralContainers"):
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create")
    validate_pod_spec("spec", o["spec"], problems)


def _pod_update(o: Obj, old: Obj, problems: Problems) -> None:
    validate_pod_update(o["spec"], old["spec"], problems)


def label_selector(path: str, selector: Obj, problems: Problems) -> bool:
    """Check a LabelSelector; tell whether it is well formed."""
    before = len(problems.causes)
    check_labels(selector.get("matchLabels"), f"{path}.matchLabels", problems)
    for index, e in enumerate(selector.get("matchExpressions") or ()):
        here, operator = f"{path}.matchExpressions[{index}]", e.get("operator")
        if operator in ("In", "NotIn"):
            if not e.get("values"):
                problems.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if e.get("values"):
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                problems.forbidden(f"{here}.values", text)
        else:
            problems.invalid(f"{here}.operator", operator, "not a valid selector operator")
    return len(problems.causes) == before


def _workload(o: Obj, word: str, problems: Problems, *, restart: tuple[str, ...] = ("Always",)) -> None:
    spec = o["spec"]
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    good = False
    if selector is None:
        problems.required("spec.selector")
    else:
        good = label_selector("spec.selector", selector, problems)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            problems.invalid("spec.selector", selector, f"empty selector is invalid for {word}")
            good = False
            if word != "deployment":
                return
        elif not good:
            problems.invalid("spec.selector", selector, "invalid label selector")
    template = spec.get("template") or {}
    if selector is None or good:
        requirements = from_selector(selector)
        if requirements is None or not labels_match(requirements, labels):
            problems.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    check_labels(labels, "spec.template.labels", problems)
    claims = tuple(c.get("metadata", {}).get("name", "") for c in spec.get("volumeClaimTemplates") or ())
    validate_pod_spec("spec.template.spec", template.get("spec") or {}, problems, restart=restart, claims=claims)


def _int_or_percent(path: str, value: Any, problems: Problems) -> int | None:
    """Check a number or percentage; return it as a number where that is possible."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+%", value):
            problems.invalid(path, value, _PERCENT)
            return None
        return int(value[:-1])
    if value is not None and value < 0:
        problems.invalid(path, value, "must be greater than or equal to 0")
    return value  # type: ignore[no-any-return]


def _over_hundred(path: str, value: Any, problems: Problems) -> None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+%", value) and int(value[:-1]) > 100:
        problems.invalid(path, value, "must not be greater than 100%")


def _deployment(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    non_negative("spec.replicas", spec.get("replicas"), problems)
    _workload(o, "deployment", problems)
    strategy = spec.get("strategy") or {}
    path, kind = "spec.strategy", strategy.get("type")
    if kind == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            problems.forbidden(f"{path}.rollingUpdate", text)
    elif kind == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        down = _int_or_percent(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), problems)
        up = _int_or_percent(f"{path}.rollingUpdate.maxSurge", rolling.get("maxSurge"), problems)
        if down == 0 and up == 0:
            text = "may not be 0 when `maxSurge` is 0"
            problems.invalid(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), text)
        _over_hundred(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), problems)
    else:
        problems.unsupported(f"{path}.type", kind, ["Recreate", "RollingUpdate"])
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and 0 <= deadline <= ready:
        problems.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _same_selector(o: Obj, old: Obj, problems: Problems) -> None:
    if o["spec"].get("selector") != old["spec"].get("selector"):
        problems.invalid("spec.selector", o["spec"].get("selector"), _IMMUTABLE)


def _replica_set(o: Obj, problems: Problems) -> None:
    non_negative("spec.replicas", o["spec"].get("replicas"), problems)
    non_negative("spec.minReadySeconds", o["spec"].get("minReadySeconds"), problems)
    _workload(o, "replicaset", problems)


def _daemon_set(o: Obj, problems: Problems) -> None:
    _workload(o, "daemonset", problems)
    kind = (o["spec"].get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        problems.unsupported("spec.updateStrategy.type", kind, ["RollingUpdate", "OnDelete"])


def _stateful_set(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        problems.invalid("spec.podManagementPolicy", spec.get("podManagementPolicy"), text)
    kind = (spec.get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        problems.invalid("spec.updateStrategy", spec.get("updateStrategy"), "must be 'RollingUpdate' or 'OnDelete'")
    non_negative("spec.replicas", spec.get("replicas"), problems)
    _workload(o, "statefulset", problems)


_STATEFUL_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def _stateful_set_update(o: Obj, old: Obj, problems: Problems) -> None:
    a = {k: v for k, v in o["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    b = {k: v for k, v in old["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    if a != b:
        listed = ", ".join(f"'{f}'" for f in _STATEFUL_CHANGEABLE[:-1])
        text = f"updates to statefulset spec for fields other than {listed} and '{_STATEFUL_CHANGEABLE[-1]}'"
        problems.forbidden("spec", f"{text} are forbidden")


def _job_spec(path: str, spec: Obj, problems: Problems) -> None:
    for field in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        non_negative(f"{path}.{field}", spec.get(field), problems)
    template = (spec.get("template") or {}).get("spec") or {}
    before = len(problems.causes)
    policy = template.get("restartPolicy")
    validate_pod_spec(
        f"{path}.template.spec", {**template, "restartPolicy": "Never"} if policy == "Always" else template, problems
    )
    if policy == "Always" and len(problems.causes) >= before:
        problems.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    uid, selector = o["metadata"].get("uid"), spec.get("selector") or {}
    if not spec.get("manualSelector"):
        match = selector.get("matchLabels") or {}
        if selector and match not in (
            {"batch.kubernetes.io/controller-uid": uid},
            {"controller-uid": uid},
        ):
            problems.invalid("spec.selector", selector, "`selector` not auto-generated")
    _job_spec("spec", spec, problems)
    requirements = from_selector(selector)
    if requirements and not labels_match(requirements, labels):
        problems.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _without_placement(template: Obj) -> Obj:
    gone = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    spec = {k: v for k, v in (template.get("spec") or {}).items() if k not in gone}
    return {"spec": spec}


def _job_update(o: Obj, old: Obj, problems: Problems) -> None:
    spec, before = o["spec"], old["spec"]
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "manualSelector"):
        if spec.get(field) != before.get(field):
            problems.invalid(f"spec.{field}", spec.get(field), _IMMUTABLE)
    if spec.get("completions") != before.get("completions") and spec.get("completionMode") != "Indexed":
        problems.invalid("spec.completions", spec.get("completions"), _IMMUTABLE)
    a, b = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend"):
        # What steers scheduling may be changed before a job starts.
        a, b = _without_placement(a), _without_placement(b)
    if a != b:
        where = "spec.template.spec" if a.get("spec") != b.get("spec") else "spec.template"
        problems.invalid(where, a.get("spec") if where.endswith("spec") else a, _IMMUTABLE)


def _cron_job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    text = spec.get("schedule", "")
    if not text:
        problems.required("spec.schedule")
    elif problem := schedule_problem(text):
        problems.invalid("spec.schedule", text, problem)
    zone = spec.get("timeZone")
    if zone is not None:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            problems.invalid("spec.timeZone", zone, f"unknown time zone {zone}")
    if spec.get("concurrencyPolicy") not in ("Allow", "Forbid", "Replace"):
        problems.unsupported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ["Allow", "Forbid", "Replace"])
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    _job_spec("spec.jobTemplate.spec", (spec.get("jobTemplate") or {}).get("spec") or {}, problems)


def _service(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    ports = spec.get("ports") or []
    if kind == "ExternalName":
        if spec.get("clusterIP") or spec.get("clusterIPs"):
            problems.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
        if not spec.get("externalName"):
            problems.required("spec.externalName")
    elif not ports and not headless:
        problems.required("spec.ports")
    names: set[str] = set()
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            problems.required(f"{here}.name")
        elif name:
            for problem in [] if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) else [1]:
                from stratus.sim.api.names import LABEL_TEXT

                problems.invalid(f"{here}.name", name, LABEL_TEXT if problem else "")
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        port_number(f"{here}.port", port.get("port"), problems)
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            problems.unsupported(f"{here}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"])
        target_port(f"{here}.targetPort", port.get("targetPort"), problems)
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            shown = {
                "Name": "", "Protocol": port.get("protocol"), "AppProtocol": None, "Port": port.get("port", 0),
                "TargetPort": 0, "NodePort": 0,
            }  # fmt: skip
            problems.duplicate(f"spec.ports[{index}]", shown)
        seen.add(key)
    check_labels(spec.get("selector"), "spec.selector", problems)
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        problems.unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ["ClientIP", "None"])
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        allowed = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
        problems.unsupported("spec.type", kind, allowed)
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6" and not (headless and not spec.get("selector")):
            problems.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
    policy = spec.get("externalTrafficPolicy")
    if policy and kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
        text = "may only be set for externally-accessible services"
        problems.invalid("spec.externalTrafficPolicy", policy, text)


def _service_update(o: Obj, old: Obj, problems: Problems) -> None:
    a, b = o["spec"], old["spec"]
    if "ExternalName" in (a.get("type"), b.get("type")):
        return
    if b.get("clusterIPs") and a.get("clusterIPs") != b["clusterIPs"]:
        problems.invalid("spec.clusterIPs[0]", a.get("clusterIPs"), "may not change once set")


def _ingress(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        problems.invalid("spec", _ingress_dump(spec), "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        _backend("spec.defaultBackend", spec["defaultBackend"], problems)
    for index, rule in enumerate(spec.get("rules") or ()):
        here, host = f"spec.rules[{index}]", rule.get("host", "")
        if host:
            for problem in subdomain_problems(host[2:] if host.startswith("*.") else host):
                problems.invalid(f"{here}.host", host, problem)
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            problems.required(f"{here}.http.paths")
        for at, path in enumerate(http.get("paths") or ()):
            _ingress_path(f"{here}.http.paths[{at}]", path, problems)


def _ingress_dump(spec: Obj) -> Obj:
    return {"IngressClassName": spec.get("ingressClassName"), "DefaultBackend": None, "TLS": None, "Rules": None}


def _ingress_path(here: str, path: Obj, problems: Problems) -> None:
    kind, value = path.get("pathType"), path.get("path", "")
    if kind is None:
        problems.required(f"{here}.pathType", "pathType must be specified")
    elif kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
        for bad in ("//", "/./", "/../", "%2f", "%2F"):
            if bad in value:
                problems.invalid(f"{here}.path", value, f"must not contain '{bad}'")
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
    else:
        problems.unsupported(f"{here}.pathType", kind, ["Exact", "ImplementationSpecific", "Prefix"])
    _backend(f"{here}.backend", path.get("backend") or {}, problems)


def _backend(here: str, backend: Obj, problems: Problems) -> None:
    service = backend.get("service")
    if service is None:
        if backend.get("resource") is None:
            problems.required(here, "resource or service backend is required")
        return
    if not service.get("name"):
        problems.required(f"{here}.service.name")
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        problems.invalid(here, "", "cannot set both port name & port number")
    elif port.get("name"):
        port_name(f"{here}.service.port.name", port["name"], problems)
    elif port.get("number"):
        port_number(f"{here}.service.port.number", port["number"], problems)
    else:
        problems.required(f"{here}.service.port", "port name or number is required")


def _network_policy(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    for field, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(field) or ()):
            for at, peer in enumerate(rule.get(side) or ()):
                block = peer.get("ipBlock")
                if block is None:
                    continue
                here, cidr = f"spec.{field}[{index}].{side}[{at}].ipBlock.cidr", block.get("cidr", "")
                try:
                    if "/" not in cidr:
                        raise ValueError
                    ipaddress.ip_network(cidr, strict=False)
                except ValueError:
                    text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
                    problems.invalid(here, cidr, text)
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            problems.unsupported(f"spec.policyTypes[{index}]", kind, ["Ingress", "Egress"])


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
        _int_or_percent(f"spec.{field}", spec.get(field), problems)
        _over_hundred(f"spec.{field}", spec.get(field), problems)
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
        problems.forbidden("spec", _CLAIM_TEXT)
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


def _crd(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    names, group = spec.get("names") or {}, spec.get("group", "")
    if o["metadata"].get("name") != f"{names.get('plural')}.{group}":
        problems.invalid("metadata.name", o["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    versions = spec.get("versions") or []
    if sum(bool(v.get("storage")) for v in versions) != 1:
        shown = [
            {
                "Name": v.get("name"), "Served": bool(v.get("served")), "Storage": bool(v.get("storage")),
                "Deprecated": bool(v.get("deprecated")), "DeprecationWarning": None, "Schema": None,
                "Subresources": None, "AdditionalPrinterColumns": None, "SelectableFields": None,
            }
            for v in versions
        ]  # fmt: skip
        problems.invalid("spec.versions", shown, "must have exactly one version marked as storage version")
        problems.invalid("status.storedVersions", [], "must have at least one stored version")
    for index, version in enumerate(versions):
        if version.get("schema") is None:
            problems.required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        problems.unsupported("spec.scope", spec.get("scope", ""), ["Cluster", "Namespaced"])


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
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Ingress": _ingress,
    "NetworkPolicy": _network_policy,
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
    "CustomResourceDefinition": _crd,
    "Node": _node,
}
UPDATE: dict[str, Change] = {
    "ConfigMap": _config_map_update,
    "Secret": _secret_update,
    "Pod": _pod_update,
    "Deployment": _same_selector,
    "ReplicaSet": _same_selector,
    "DaemonSet": _same_selector,
    "StatefulSet": _stateful_set_update,
    "Job": _job_update,
    "Service": _service_update,
    "PersistentVolumeClaim": _claim_update,
    "RoleBinding": _binding_update,
    "ClusterRoleBinding": _binding_update,
    "StorageClass": _frozen("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "PriorityClass": _frozen("value", "preemptionPolicy", text="may not be changed in an update."),
}
