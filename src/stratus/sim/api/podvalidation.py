"""Validation of pod specs, in pods and in templates."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import internals
from stratus.sim.api.names import (
    check_labels,
    label_problems,
    qualified_problems,
    subdomain_problems,
    value_problems,
)
from stratus.sim.api.podspec import qos_class
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_FIELD_PATHS = frozenset(
    {
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "metadata.labels", "metadata.annotations",
    }
)  # fmt: skip
_SUBSCRIPTED = re.compile(r"metadata\.(labels|annotations)\['[^']+'\]")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*|[ -<>-~]+")


def non_negative(path: str, value: Any, problems: Problems) -> None:
    """Refuse a negative number."""
    if value is not None and value < 0:
        problems.invalid(path, value, "must be greater than or equal to 0")


def port_number(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is no port number."""
    if not 1 <= (value or 0) <= 65535:
        problems.invalid(path, value or 0, "must be between 1 and 65535, inclusive")


def port_name(path: str, value: str, problems: Problems) -> None:
    """Refuse what is no port name."""
    if len(value) > 15:
        problems.invalid(path, value, "must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", value):
        problems.invalid(path, value, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        return
    if not re.search(r"[a-z]", value):
        problems.invalid(path, value, "must contain at least one letter (a-z)")
    if "--" in value:
        problems.invalid(path, value, "must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        problems.invalid(path, value, "must not begin or end with a hyphen")


def target_port(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is neither a port number nor a port name."""
    if isinstance(value, str):
        port_name(path, value, problems)
    else:
        port_number(path, value, problems)


def resources(path: str, given: Obj, problems: Problems) -> None:
    """Check requests against limits, and the names of both."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for field, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            here = f"{path}.{field}[{name}]"
            if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
                problems.invalid(here, name, "must be a standard resource type or fully qualified")
                problems.invalid(here, name, "must be a standard resource for containers")
            elif parse(value) < 0:
                problems.invalid(here, value, "must be greater than or equal to 0")
    for name, value in requests.items():
        limit = limits.get(name)
        if limit is not None and parse(value) > parse(limit) and parse(value) >= 0:
            problems.invalid(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limit}")


def validate_pod_spec(
    path: str,
    spec: Obj,
    problems: Problems,
    *,
    restart: tuple[str, ...] = ("Always", "OnFailure", "Never"),
    claims: tuple[str, ...] = (),
) -> None:
    """Collect what is wrong with a pod spec; `claims` are volumes that come from a StatefulSet's templates."""
    volumes = _volumes(f"{path}.volumes", spec.get("volumes") or [], problems) | set(claims)
    host_network = bool(spec.get("hostNetwork"))
    containers = spec.get("containers") or []
    if not containers:
        problems.required(f"{path}.containers")
    names: set[str] = set()
    _containers(f"{path}.containers", containers, names, volumes, host_network, problems)
    _containers(
        f"{path}.initContainers", spec.get("initContainers") or [], names, volumes, host_network, problems, init=True
    )
    policy = spec.get("restartPolicy")
    if policy not in restart:
        problems.unsupported(f"{path}.restartPolicy", policy or "", restart)
    if spec.get("dnsPolicy") not in ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        allowed = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
        problems.unsupported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), allowed)
    check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector", problems)
    if spec.get("serviceAccountName"):
        for problem in subdomain_problems(spec["serviceAccountName"]):
            problems.invalid(f"{path}.serviceAccountName", spec["serviceAccountName"], problem)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        problems.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    if spec.get("hostname"):
        for problem in label_problems(spec["hostname"]):
            problems.invalid(f"{path}.hostname", spec["hostname"], problem)
    _tolerations(f"{path}.tolerations", spec.get("tolerations") or [], problems)
    _affinity(f"{path}.affinity", spec.get("affinity") or {}, problems)
    _spread(f"{path}.topologySpreadConstraints", spec.get("topologySpreadConstraints") or [], problems)


def _volumes(path: str, volumes: list[Obj], problems: Problems) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        here, name = f"{path}[{index}]", volume.get("name", "")
        sources = [k for k in volume if k != "name"]
        for extra in sources[1:]:
            problems.forbidden(f"{here}.{extra}", "may not specify more than 1 volume type")
        bad = bool(sources[1:])
        if not sources:
            problems.required(here, "must specify a volume type")
        if not name:
            problems.required(f"{here}.name")
            continue
        for problem in label_problems(name):
            problems.invalid(f"{here}.name", name, problem)
            bad = True
        if name in names:
            problems.duplicate(f"{here}.name", name)
        for source, field in (("secret", "secretName"), ("configMap", "name"), ("persistentVolumeClaim", "claimName"),
                              ("hostPath", "path")):  # fmt: skip
            if volume.get(source) is not None and not volume[source].get(field):
                problems.required(f"{here}.{source}.{field}")
        if not bad:
            names.add(name)
    return names


def _containers(
    path: str, containers: list[Obj], names: set[str], volumes: set[str], host_network: bool, problems: Problems,
    *, init: bool = False,
) -> None:  # fmt: skip
    host_ports: set[str] = set()
    for index, container in enumerate(containers):
        here, name = f"{path}[{index}]", container.get("name", "")
        if not name:
            problems.required(f"{here}.name")
        else:
            for problem in label_problems(name):
                problems.invalid(f"{here}.name", name, problem)
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        image = container.get("image", "")
        if not image:
            problems.required(f"{here}.image")
        elif image != image.strip():
            problems.invalid(f"{here}.image", image, "must not have leading or trailing whitespace")
        if container.get("terminationMessagePolicy") not in ("File", "FallbackToLogsOnError"):
            allowed = ["FallbackToLogsOnError", "File"]
            problems.unsupported(f"{here}.terminationMessagePolicy", container.get("terminationMessagePolicy"), allowed)
        _ports(f"{here}.ports", container.get("ports") or [], host_ports, host_network, problems)
        _env(f"{here}.env", container.get("env") or [], problems)
        _env_from(f"{here}.envFrom", container.get("envFrom") or [], problems)
        mounts: set[str] = set()
        for at, mount in enumerate(container.get("volumeMounts") or ()):
            place, target = f"{here}.volumeMounts[{at}]", mount.get("mountPath", "")
            if not mount.get("name"):
                problems.required(f"{place}.name")
            elif mount["name"] not in volumes:
                problems.not_found(f"{place}.name", mount["name"])
            if not target:
                problems.required(f"{place}.mountPath")
            if target in mounts:
                problems.invalid(f"{place}.mountPath", target, "must be unique")
            mounts.add(target)
        policy = container.get("imagePullPolicy")
        if policy not in ("Always", "IfNotPresent", "Never"):
            problems.unsupported(f"{here}.imagePullPolicy", policy, ["Always", "IfNotPresent", "Never"])
        resources(f"{here}.resources", container.get("resources") or {}, problems)
        sidecar = container.get("restartPolicy") == "Always"
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(probe) is None:
                continue
            if init and not sidecar:
                problems.forbidden(f"{here}.{probe}", "may not be set for init containers without restartPolicy=Always")
            else:
                _probe(f"{here}.{probe}", container[probe], probe, problems)


def _ports(path: str, ports: list[Obj], host_ports: set[str], host_network: bool, problems: Problems) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name = port.get("name")
        if name:
            before = len(problems.causes)
            port_name(f"{here}.name", name, problems)
            if len(problems.causes) == before:
                if name in names:
                    problems.duplicate(f"{here}.name", name)
                names.add(name)
        if not port.get("containerPort"):
            problems.required(f"{here}.containerPort")
        else:
            port_number(f"{here}.containerPort", port["containerPort"], problems)
        host = port.get("hostPort")
        if host:
            port_number(f"{here}.hostPort", host, problems)
            if host_network and host != port.get("containerPort"):
                problems.invalid(f"{here}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")
        protocol = port.get("protocol")
        if protocol not in ("TCP", "UDP", "SCTP"):
            problems.unsupported(f"{here}.protocol", protocol, ["SCTP", "TCP", "UDP"])
        if host:
            key = f"{protocol}/{port.get('hostIP', '')}/{host}"
            if key in host_ports:
                problems.duplicate(f"{here}.hostPort", key)
            host_ports.add(key)


def _env(path: str, env: list[Obj], problems: Problems) -> None:
    for index, entry in enumerate(env):
        here, name = f"{path}[{index}]", entry.get("name", "")
        if not name:
            problems.required(f"{here}.name")
        elif not _ENV_NAME.fullmatch(name):
            problems.invalid(
                f"{here}.name",
                name,
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            )
        source = entry.get("valueFrom")
        if source is None:
            continue
        if entry.get("value"):
            problems.invalid(f"{here}.valueFrom", "", "may not be specified when `value` is not empty")
        kinds = [k for k, v in source.items() if v is not None]
        if not kinds:
            text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef`"
            problems.invalid(f"{here}.valueFrom", "", f"{text} or `fileKeyRef`")
        elif len(kinds) > 1:
            problems.invalid(f"{here}.valueFrom", "", "may not have more than one field specified at a time")
        ref = source.get("fieldRef")
        if ref is not None:
            place = ref.get("fieldPath", "")
            if not place:
                problems.required(f"{here}.valueFrom.fieldRef.fieldPath")
            elif place not in _FIELD_PATHS and not _SUBSCRIPTED.fullmatch(place):
                text = f"error converting fieldPath: field label not supported: {place}"
                problems.invalid(f"{here}.valueFrom.fieldRef.fieldPath", place, text)
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if source.get(kind) is not None and not source[kind].get("key"):
                problems.required(f"{here}.valueFrom.{kind}.key")


def _env_from(path: str, sources: list[Obj], problems: Problems) -> None:
    for index, source in enumerate(sources):
        kinds = [k for k in ("configMapRef", "secretRef") if source.get(k) is not None]
        if not kinds:
            problems.invalid(f"{path}[{index}]", "", "must specify one of: `configMapRef` or `secretRef`")
        for kind in kinds:
            if not source[kind].get("name"):
                problems.required(f"{path}[{index}].{kind}.name")


def _probe(path: str, probe: Obj, kind: str, problems: Problems) -> None:
    handlers = [h for h in _PROBE_HANDLERS if probe.get(h) is not None]
    if not handlers:
        problems.required(path, "must specify a handler type")
    for extra in handlers[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    http = probe.get("httpGet")
    if http is not None and handlers[0] == "httpGet":
        target_port(f"{path}.httpGet.port", http.get("port", 0), problems)
    tcp = probe.get("tcpSocket")
    if tcp is not None and handlers[0] == "tcpSocket":
        target_port(f"{path}.tcpSocket.port", tcp.get("port", 0), problems)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        non_negative(f"{path}.{field}", probe.get(field), problems)
    if kind != "readinessProbe" and probe.get("successThreshold", 1) > 1:
        problems.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _tolerations(path: str, tolerations: list[Obj], problems: Problems) -> None:
    for index, t in enumerate(tolerations):
        here, operator = f"{path}[{index}]", t.get("operator") or ""
        if t.get("key"):
            for problem in qualified_problems(t["key"]):
                problems.invalid(f"{here}.key", t["key"], problem)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            problems.invalid(f"{here}.operator", operator, text)
        if t.get("tolerationSeconds") is not None and t.get("effect") != "NoExecute":
            problems.invalid(
                f"{here}.effect", t.get("effect", ""), "effect must be 'NoExecute' when `tolerationSeconds` is set"
            )
        if operator in ("", "Equal"):
            for problem in value_problems(t.get("value") or ""):
                problems.invalid(f"{here}.operator", t["value"], problem)
        elif operator == "Exists":
            if t.get("value"):
                problems.invalid(f"{here}.operator", operator, "value must be empty when `operator` is 'Exists'")
        else:
            problems.unsupported(f"{here}.operator", operator, ["Equal", "Exists"])
        if t.get("effect") not in (None, "", "NoSchedule", "PreferNoSchedule", "NoExecute"):
            problems.unsupported(f"{here}.effect", t["effect"], ["NoSchedule", "PreferNoSchedule", "NoExecute"])


_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def _node_term(path: str, term: Obj, problems: Problems) -> None:
    for index, e in enumerate(term.get("matchExpressions") or ()):
        here, operator = f"{path}.matchExpressions[{index}]", e.get("operator")
        if operator in ("In", "NotIn") and not e.get("values"):
            problems.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and e.get("values"):
            problems.forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator not in _NODE_OPERATORS:
            problems.invalid(f"{here}.operator", operator, "not a valid selector operator")


def _affinity(path: str, affinity: Obj, problems: Problems) -> None:
    node = affinity.get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        here = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = required.get("nodeSelectorTerms") or []
        if not terms:
            problems.required(here, "must have at least one node selector term")
        for index, term in enumerate(terms):
            _node_term(f"{here}[{index}]", term, problems)
    for kind in ("podAffinity", "podAntiAffinity"):
        for index, term in enumerate(
            (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        ):
            if not term.get("topologyKey"):
                here = f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{index}].topologyKey"
                problems.required(here, "can not be empty")


def _spread(path: str, constraints: list[Obj], problems: Problems) -> None:
    for index, c in enumerate(constraints):
        here = f"{path}[{index}]"
        if (c.get("maxSkew") or 0) <= 0:
            problems.invalid(f"{here}.maxSkew", c.get("maxSkew", 0), "must be greater than zero")
        if not c.get("topologyKey"):
            problems.required(f"{here}.topologyKey", "can not be empty")
        if c.get("whenUnsatisfiable") not in ("DoNotSchedule", "ScheduleAnyway"):
            allowed = ["DoNotSchedule", "ScheduleAnyway"]
            problems.unsupported(f"{here}.whenUnsatisfiable", c.get("whenUnsatisfiable", ""), allowed)


_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_update(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what a pod may not change of itself."""
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(old.get(field) or ()):
            problems.forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    images = {**spec}
    for field in ("containers", "initContainers"):
        if old.get(field):
            images[field] = [{**c, "image": o.get("image")} for c, o in zip(spec[field], old[field], strict=True)]
    for field in ("activeDeadlineSeconds", "ephemeralContainers"):
        images.pop(field, None)
        if field in old:
            images[field] = old[field]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        images["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    kept = [t for t in old.get("tolerations") or () if t not in (spec.get("tolerations") or ())]
    if kept:
        problems.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    if old.get("tolerations") is not None:
        images["tolerations"] = old["tolerations"]
    else:
        images.pop("tolerations", None)
    if images != old:
        problems.forbidden("spec", _CHANGEABLE + "\n" + internals.difference(_POD_SPEC, images, old))


_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy")


def validate_ephemeral(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what is wrong with a pod's new debug containers; those it has stay as they are."""
    path = "spec.ephemeralContainers"
    entries, before = spec.get("ephemeralContainers") or [], old.get("ephemeralContainers") or []
    mains = [c.get("name") for f in ("containers", "initContainers") for c in old.get(f) or ()]
    names = set(mains)
    for index, entry in enumerate(entries):
        here, name = f"{path}[{index}]", entry.get("name", "")
        if not name:
            problems.required(f"{here}.name")
        else:
            for problem in label_problems(name):
                problems.invalid(f"{here}.name", name, problem)
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        if not entry.get("image"):
            problems.required(f"{here}.image")
        target = entry.get("targetContainerName")
        if target and target not in mains:
            problems.not_found(f"{here}.targetContainerName", target)
        for field in _NOT_EPHEMERAL:
            if entry.get(field):
                problems.forbidden(f"{here}.{field}", "cannot be set for an Ephemeral Container")
        if any((entry.get("resources") or {}).values()):
            problems.forbidden(f"{here}.resources", "cannot be set for an Ephemeral Container")
    given = {e.get("name"): (i, e) for i, e in enumerate(entries)}
    for was in before:
        name = was.get("name")
        if name not in given:
            problems.forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n')
        elif given[name][1] != was:
            problems.forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n')


_RESIZABLE = frozenset({"cpu", "memory"})


def validate_pod_resize(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what a resize may not do: change the class of service, or anything but cpu and memory."""
    before, after = qos_class(old), qos_class(spec)
    if before != after:
        problems.invalid("spec", before, "Pod QOS Class may not change as a result of resizing")
    for field in ("containers", "initContainers"):
        for index, (new, was) in enumerate(zip(spec.get(field) or (), old.get(field) or (), strict=False)):
            here = f"spec.{field}[{index}].resources"
            a, b = new.get("resources") or {}, was.get("resources") or {}
            if a == b:
                continue
            resources(here, a, problems)
            for part in ("limits", "requests"):
                x, y = a.get(part) or {}, b.get(part) or {}
                for name in sorted(set(x) | set(y)):
                    if name not in _RESIZABLE and x.get(name) != y.get(name):
                        problems.forbidden("spec", "only cpu and memory resources are mutable")
                    elif name in y and name not in x:
                        problems.forbidden(f"{here}.{part}", f"resource {part} cannot be removed")
