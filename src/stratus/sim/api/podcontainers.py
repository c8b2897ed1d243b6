"""Validation of containers: names, images, ports, variables, mounts, resources, hooks and probes."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import fieldrules, internals
from stratus.sim.api.downward import field_ref, resource_ref
from stratus.sim.api.fieldrules import maybe_one_of, non_negative, one_of, target_port
from stratus.sim.api.names import label_problems
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_ENV_NAME = re.compile(r"[ -<>-~]+")
_ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ID = "must be between 0 and 2147483647, inclusive"
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_SECURITY_CONTEXT = "io.k8s.api.core.v1.SecurityContext"


class Surroundings:
    """What a container's rules need of the pod around it."""

    def __init__(self, volumes: set[str], grace: int, block: set[str] | None = None) -> None:
        self.volumes = volumes
        self.grace = grace
        self.block = block or set()


def containers(path: str, listed: list[Obj], around: Surroundings, problems: Problems) -> set[str]:
    """Check a pod's main containers; return their names."""
    if not listed:
        problems.required(path)
    names: set[str] = set()
    for index, container in enumerate(listed):
        here, name = f"{path}[{index}]", container.get("name", "")
        _common(here, container, around, problems)
        if name in names:
            problems.duplicate(f"{here}.name", name)
        names.add(name)
        _hooks(f"{here}.lifecycle", container.get("lifecycle"), around, problems)
        for kind in _PROBES:
            _probe(f"{here}.{kind}", container.get(kind), kind, around, problems)
    _host_ports(path, listed, problems)
    return names


def init_containers(path: str, listed: list[Obj], names: set[str], around: Surroundings, problems: Problems) -> None:
    """Check a pod's init containers; their names are added to those given."""
    for index, container in enumerate(listed):
        here, name = f"{path}[{index}]", container.get("name", "")
        _common(here, container, around, problems)
        if name in names:
            problems.duplicate(f"{here}.name", name)
        elif name:
            names.add(name)
        _host_ports(path, [container], problems)
        policy = container.get("restartPolicy")
        if policy is not None and policy not in ("Always", "OnFailure", "Never"):
            problems.unsupported(f"{here}.restartPolicy", policy, ["Always"])
        if policy == "Always":
            _hooks(f"{here}.lifecycle", container.get("lifecycle"), around, problems)
            for kind in _PROBES:
                _probe(f"{here}.{kind}", container.get(kind), kind, around, problems)
            continue
        for field in ("lifecycle", *_PROBES):
            if container.get(field) is not None:
                text = "may not be set for init containers without restartPolicy=Always"
                problems.forbidden(f"{here}.{field}", text)


def _common(here: str, container: Obj, around: Surroundings, problems: Problems) -> None:
    name = container.get("name", "")
    if not name:
        problems.required(f"{here}.name")
    else:
        for problem in label_problems(name):
            problems.invalid(f"{here}.name", name, problem)
    if not container.get("image"):
        problems.required(f"{here}.image")
    one_of(f"{here}.terminationMessagePolicy", container.get("terminationMessagePolicy"),
           ("File", "FallbackToLogsOnError"), problems)  # fmt: skip
    _ports(f"{here}.ports", container.get("ports") or [], problems)
    _env(f"{here}.env", container.get("env") or [], problems)
    _env_from(f"{here}.envFrom", container.get("envFrom") or [], problems)
    _mounts(f"{here}.volumeMounts", container, around, problems)
    _devices(f"{here}.volumeDevices", container, around, problems)
    one_of(f"{here}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never"), problems)
    fieldrules.requirements(f"{here}.resources", container.get("resources") or {}, problems)
    _resizing(f"{here}.resizePolicy", container.get("resizePolicy") or [], problems)
    security_context(f"{here}.securityContext", container.get("securityContext"), problems)


def images(path: str, listed: list[Obj], problems: Problems) -> None:
    """Refuse images with spaces around them: in pods only, templates may have them."""
    for index, container in enumerate(listed):
        image = container.get("image", "")
        if image != image.strip():
            problems.invalid(f"{path}[{index}].image", image, "must not have leading or trailing whitespace")


# ports


def _ports(path: str, ports: list[Obj], problems: Problems) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here, name = f"{path}[{index}]", port.get("name")
        if name and fieldrules.port_name(f"{here}.name", name, problems):
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        if not port.get("containerPort"):
            problems.required(f"{here}.containerPort")
        else:
            fieldrules.port_number(f"{here}.containerPort", port["containerPort"], problems)
        if port.get("hostPort"):
            fieldrules.port_number(f"{here}.hostPort", port["hostPort"], problems)
        fieldrules.protocol(f"{here}.protocol", port.get("protocol"), problems)


def _host_ports(path: str, listed: list[Obj], problems: Problems) -> None:
    taken: set[str] = set()
    for index, container in enumerate(listed):
        for at, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in taken:
                problems.duplicate(f"{path}[{index}].ports[{at}].hostPort", key)
            taken.add(key)


def host_network(path: str, listed: list[Obj], problems: Problems, *, template: bool) -> None:
    """Insist on equal ports inside and outside, where the pod has no network of its own; templates may be silent."""
    for index, container in enumerate(listed):
        for at, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if host != port.get("containerPort", 0) and (host or not template):
                here = f"{path}[{index}].ports[{at}].hostPort"
                problems.invalid(here, host, "must match `containerPort` when `hostNetwork` is true")


# variables


def _env(path: str, env: list[Obj], problems: Problems) -> None:
    for index, entry in enumerate(env):
        here, name = f"{path}[{index}]", entry.get("name", "")
        if not name:
            problems.required(f"{here}.name")
        elif not _ENV_NAME.fullmatch(name):
            problems.invalid(f"{here}.name", name, _ENV_TEXT)
        if entry.get("valueFrom") is not None:
            _value_from(f"{here}.valueFrom", entry["valueFrom"], entry.get("value"), problems)


def _value_from(path: str, source: Obj, value: Any, problems: Problems) -> None:
    kinds = [k for k in _SOURCES if source.get(k) is not None]
    if "fieldRef" in kinds:
        field_ref(f"{path}.fieldRef", source["fieldRef"], problems)
    if "resourceFieldRef" in kinds:
        resource_ref(f"{path}.resourceFieldRef", source["resourceFieldRef"], problems)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in kinds:
            fieldrules.subdomain(f"{path}.{kind}.name", source[kind].get("name", ""), problems)
            _key(f"{path}.{kind}.key", source[kind].get("key", ""), problems)
    if not kinds:
        listed = ", ".join(f"`{s}`" for s in _SOURCES[:-1])
        problems.invalid(path, "", f"must specify one of: {listed} or `{_SOURCES[-1]}`")
    if value:
        if kinds:
            problems.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(kinds) > 1:
        problems.invalid(path, "", "may not have more than one field specified at a time")


def _key(path: str, key: str, problems: Problems) -> None:
    if not key:
        problems.required(path)
    else:
        fieldrules.config_key(path, key, problems)


def _env_from(path: str, sources: list[Obj], problems: Problems) -> None:
    for index, source in enumerate(sources):
        prefix = source.get("prefix")
        if prefix and not _ENV_NAME.fullmatch(prefix):
            problems.invalid(f"{path}[{index}].prefix", prefix, _ENV_TEXT)
        kinds = [k for k in ("configMapRef", "secretRef") if source.get(k) is not None]
        for kind in kinds:
            here, name = f"{path}[{index}].{kind}.name", source[kind].get("name", "")
            if not name:
                problems.required(here)
            else:
                fieldrules.subdomain(here, name, problems)
        if not kinds:
            problems.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            problems.invalid(path, "", "may not have more than one field specified at a time")


# mounts


def _mounts(path: str, container: Obj, around: Surroundings, problems: Problems) -> None:
    devices = container.get("volumeDevices") or []
    raw_names = {d.get("name") for d in devices}
    raw_paths = {d.get("devicePath") for d in devices}
    taken: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        here, name, target = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            problems.required(f"{here}.name")
        if name not in around.volumes:
            problems.not_found(f"{here}.name", name)
        if not target:
            problems.required(f"{here}.mountPath")
        if target in taken:
            problems.invalid(f"{here}.mountPath", target, "must be unique")
        taken.add(target)
        if name in raw_names:
            problems.invalid(f"{here}.name", name, "must not already exist in volumeDevices")
        if target in raw_paths:
            problems.invalid(f"{here}.mountPath", target, "must not already exist as a path in volumeDevices")
        if mount.get("subPath"):
            fieldrules.descending_path(f"{path}.subPath", mount["subPath"], problems)
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                text = "subPathExpr and subPath are mutually exclusive"
                problems.invalid(f"{path}.subPathExpr", mount["subPathExpr"], text)
            fieldrules.descending_path(f"{path}.subPathExpr", mount["subPathExpr"], problems)
        _propagation(f"{path}.mountPropagation", mount.get("mountPropagation"), container, problems)


def _propagation(path: str, value: Any, container: Obj, problems: Problems) -> None:
    if value is None:
        return
    maybe_one_of(path, value, ("Bidirectional", "HostToContainer", "None"), problems)
    if value == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        problems.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _devices(path: str, container: Obj, around: Surroundings, problems: Problems) -> None:
    mounts = container.get("volumeMounts") or []
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(container.get("volumeDevices") or ()):
        here, name, place = f"{path}[{index}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            problems.required(f"{here}.name")
        if name in names:
            problems.invalid(f"{here}.name", name, "must be unique")
        names.add(name)
        if name and name not in around.volumes:
            problems.not_found(f"{here}.name", name)
        if not place:
            problems.required(f"{here}.devicePath")
        if place in paths:
            problems.invalid(f"{here}.devicePath", place, "must be unique")
        paths.add(place)
        fieldrules.no_backsteps(f"{here}.devicePath", place, problems)
        if any(m.get("name") == name for m in mounts):
            problems.invalid(f"{here}.name", name, "must not already exist in volumeMounts")


def _resizing(path: str, policies: list[Obj], problems: Problems) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        name = policy.get("resourceName", "")
        if name in seen:
            problems.duplicate(f"{path}[{index}]", name)
        seen.add(name)
        one_of(path, name, ("cpu", "memory"), problems)
        one_of(path, policy.get("restartPolicy"), ("NotRequired", "RestartContainer"), problems)


# security


def identity(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is no user or group id."""
    if value is not None and not 0 <= value <= 2147483647:
        problems.invalid(path, value, _ID)


def profile(path: str, value: Obj | None, problems: Problems, word: str = "seccomp") -> None:
    """Check a seccomp or AppArmor profile."""
    if value is None:
        return
    kind, local = value.get("type", ""), value.get("localhostProfile")
    if not kind:
        problems.required(f"{path}.type", f"type is required when {word}Profile is set")
        return
    if kind == "Localhost":
        if not local:
            problems.required(f"{path}.localhostProfile", f"must be set when {word} type is Localhost")
        elif word == "seccomp":
            fieldrules.descending_path(f"{path}.localhostProfile", local, problems)
        return
    if local is not None:
        text = f"can only be set when {word} type is Localhost"
        problems.invalid(f"{path}.localhostProfile", local, text)
    if kind not in ("RuntimeDefault", "Unconfined"):
        problems.unsupported(f"{path}.type", kind, ["Localhost", "RuntimeDefault", "Unconfined"])


def security_context(path: str, context: Obj | None, problems: Problems) -> None:
    """Check a container's security context."""
    if context is None:
        return
    identity(f"{path}.runAsUser", context.get("runAsUser"), problems)
    identity(f"{path}.runAsGroup", context.get("runAsGroup"), problems)
    maybe_one_of(f"{path}.procMount", context.get("procMount"), ("Default", "Unmasked"), problems)
    profile(f"{path}.seccompProfile", context.get("seccompProfile"), problems)
    if context.get("allowPrivilegeEscalation") is False:
        shown = internals.dump(_SECURITY_CONTEXT, context)
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            problems.invalid(path, shown, text)
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            problems.invalid(path, shown, text)
    profile(f"{path}.appArmorProfile", context.get("appArmorProfile"), problems, "appArmor")


# hooks and probes


def _hooks(path: str, lifecycle: Obj | None, around: Surroundings, problems: Problems) -> None:
    for name in ("postStart", "preStop"):
        if lifecycle is not None and lifecycle.get(name) is not None:
            _handler(f"{path}.{name}", lifecycle[name], around, problems)


def _handler(path: str, handler: Obj, around: Surroundings, problems: Problems) -> None:
    seen = 0
    for kind in _HANDLERS:
        action = handler.get(kind)
        if action is None:
            continue
        if seen:
            problems.forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
            continue
        seen += 1
        if kind == "exec":
            if not action.get("command"):
                problems.required(f"{path}.exec.command")
        elif kind == "httpGet":
            _http(f"{path}.httpGet", action, problems)
        elif kind == "sleep":
            seconds = action.get("seconds", 0)
            if seconds < 0 or seconds > around.grace:
                text = f"must be non-negative and less than terminationGracePeriodSeconds ({around.grace})"
                problems.invalid(f"{path}.{kind}", seconds, text)
        else:
            target_port(f"{path}.{kind}.port", action.get("port", 0), problems)
    if not seen:
        problems.required(path, "must specify a handler type")


def _http(path: str, action: Obj, problems: Problems) -> None:
    if not action.get("path"):
        problems.required(f"{path}.path")
    target_port(f"{path}.port", action.get("port", 0), problems)
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        problems.unsupported(f"{path}.scheme", action.get("scheme", ""), ["HTTP", "HTTPS"])
    for header in action.get("httpHeaders") or ():
        fieldrules.header_name(f"{path}.httpHeaders", header.get("name", ""), problems)


def _probe(path: str, probe: Obj | None, kind: str, around: Surroundings, problems: Problems) -> None:
    if probe is None:
        return
    _handler(path, probe, around, problems)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        non_negative(f"{path}.{field}", probe.get(field), problems)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if kind == "readinessProbe":
        if grace is not None:
            text = "must not be set for readinessProbes"
            problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, text)
    elif probe.get("successThreshold", 1) != 1:
        problems.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
