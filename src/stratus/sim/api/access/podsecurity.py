"""Pod Security: the levels privileged, baseline and restricted, asked for by labels of the namespace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

from stratus.sim.api.status import forbidden
from stratus.sim.store import Store

Obj = dict[str, Any]
LABEL = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
#: Where the pod of an object that makes pods is written.
_TEMPLATES = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
Check = Callable[[Obj, list[Obj]], str]


@cache
def _allowed(name: str) -> frozenset[str]:
    data = json.loads(resources.files("stratus.sim.api.access").joinpath("podsecurity.json").read_text("utf-8"))
    return frozenset(data[name])


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)


def _who(names: list[str], word: str = "container") -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _security(container: Obj) -> Obj:
    return container.get("securityContext") or {}


# the checks of each level, in the order of their ids


def _apparmor(spec: Obj, containers: list[Obj]) -> str:
    bad = []
    places = [("pod", spec), *((f'container "{c["name"]}"', c) for c in containers)]
    for who, place in places:
        found = ((place.get("securityContext") or {}).get("appArmorProfile") or {}).get("type")
        if found not in (None, "", "RuntimeDefault", "Localhost"):
            bad.append(f'{who} must not set AppArmor profile type to "{found}"')
    return f"forbidden AppArmor profile{'s' if len(bad) > 1 else ''} ({', '.join(bad)})" if bad else ""


def _added(containers: list[Obj], allowed: frozenset[str]) -> str:
    names, extra = [], set()
    for c in containers:
        over = {a for a in (_security(c).get("capabilities") or {}).get("add") or () if a not in allowed}
        if over:
            names.append(c["name"])
            extra |= over
    if not names:
        return ""
    return f"{_who(names)} must not include {_quoted(sorted(extra))} in securityContext.capabilities.add"


def _capabilities(spec: Obj, containers: list[Obj]) -> str:
    found = _added(containers, _allowed("capabilities"))
    return f"non-default capabilities ({found})" if found else ""


def _host_namespaces(spec: Obj, containers: list[Obj]) -> str:
    found = [f"{f}=true" for f in ("hostNetwork", "hostPID", "hostIPC") if spec.get(f)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _host_paths(spec: Obj, containers: list[Obj]) -> str:
    found = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath")]
    return f"hostPath volumes ({_who(found, 'volume')})" if found else ""


def _host_ports(spec: Obj, containers: list[Obj]) -> str:
    names, ports = [], set()
    for c in containers:
        found = {p["hostPort"] for p in c.get("ports") or () if p.get("hostPort")}
        if found:
            names.append(c["name"])
            ports |= found
    if not names:
        return ""
    verb = "use" if len(names) > 1 else "uses"
    return (
        f"hostPort ({_who(names)} {verb} hostPort{'s' if len(ports) > 1 else ''} {', '.join(map(str, sorted(ports)))})"
    )


def _privileged(spec: Obj, containers: list[Obj]) -> str:
    names = [c["name"] for c in containers if _security(c).get("privileged")]
    return f"privileged ({_who(names)} must not set securityContext.privileged=true)" if names else ""


def _proc_mount(spec: Obj, containers: list[Obj]) -> str:
    bad = [c for c in containers if _security(c).get("procMount") not in (None, "", "Default")]
    if not bad:
        return ""
    kinds = _quoted(sorted({_security(c)["procMount"] for c in bad}))
    return f"procMount ({_who([c['name'] for c in bad])} must not set securityContext.procMount to {kinds})"


def _selinux(spec: Obj, containers: list[Obj]) -> str:
    bad: list[str] = []
    setters = []
    places = [("pod", spec), *((c["name"], c) for c in containers)]
    kinds, user, role = set(), False, False
    for who, place in places:
        found = (place.get("securityContext") or {}).get("seLinuxOptions") or {}
        wrong = found.get("type", "") not in _allowed("selinux_types")
        if wrong:
            kinds.add(found["type"])
        user, role = user or bool(found.get("user")), role or bool(found.get("role"))
        if wrong or found.get("user") or found.get("role"):
            setters.append(who)
    if not setters:
        return ""
    if kinds:
        bad.append(f"type{'s' if len(kinds) > 1 else ''} {_quoted(sorted(kinds))}")
    bad += ["user may not be set"] if user else []
    bad += ["role may not be set"] if role else []
    inner = [s for s in setters if s != "pod"]
    whose = " and ".join((["pod"] if "pod" in setters else []) + ([_who(inner)] if inner else []))
    return f"seLinuxOptions ({whose} set forbidden securityContext.seLinuxOptions: {'; '.join(bad)})"


def _seccomp_type(place: Obj) -> str | None:
    found: str | None = ((place.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    return found


def _seccomp_baseline(spec: Obj, containers: list[Obj]) -> str:
    bad = []
    if _seccomp_type(spec) == "Unconfined":
        bad.append("pod")
    names = [c["name"] for c in containers if _seccomp_type(c) == "Unconfined"]
    if names:
        bad.append(_who(names))
    if not bad:
        return ""
    return f'seccompProfile ({" and ".join(bad)} must not set securityContext.seccompProfile.type to "Unconfined")'


def _sysctls(spec: Obj, containers: list[Obj]) -> str:
    names = [s["name"] for s in (spec.get("securityContext") or {}).get("sysctls") or ()]
    bad = [n for n in names if n not in _allowed("sysctls")]
    return f"forbidden sysctls ({', '.join(bad)})" if bad else ""


def _escalation(spec: Obj, containers: list[Obj]) -> str:
    names = [c["name"] for c in containers if _security(c).get("allowPrivilegeEscalation") is not False]
    text = f"{_who(names)} must set securityContext.allowPrivilegeEscalation=false" if names else ""
    return f"allowPrivilegeEscalation != false ({text})" if names else ""


def _capabilities_restricted(spec: Obj, containers: list[Obj]) -> str:
    bad = []
    names = [c["name"] for c in containers if "ALL" not in ((_security(c).get("capabilities") or {}).get("drop") or ())]
    if names:
        bad.append(f'{_who(names)} must set securityContext.capabilities.drop=["ALL"]')
    extra = _added(containers, frozenset({"NET_BIND_SERVICE"}))
    if extra:
        bad.append(extra)
    return f"unrestricted capabilities ({'; '.join(bad)})" if bad else ""


def _volumes(spec: Obj, containers: list[Obj]) -> str:
    names, kinds = [], set()
    for volume in spec.get("volumes") or ():
        kind = next((k for k in volume if k != "name"), "")
        if kind and kind not in _allowed("volumes"):
            names.append(volume["name"])
            kinds.add(kind)
    if not names:
        return ""
    verb = "use" if len(names) > 1 else "uses"
    types = f"restricted volume type{'s' if len(kinds) > 1 else ''} {_quoted(sorted(kinds))}"
    return f"restricted volume types ({_who(names, 'volume')} {verb} {types})"


def _non_root(spec: Obj, containers: list[Obj]) -> str:
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    false = [c["name"] for c in containers if _security(c).get("runAsNonRoot") is False]
    unset = [c["name"] for c in containers if _security(c).get("runAsNonRoot") is None]
    bad = []
    if pod is False and unset:
        bad.append("pod must not set securityContext.runAsNonRoot=false")
    if false:
        bad.append(f"{_who(false)} must not set securityContext.runAsNonRoot=false")
    if not bad and pod is None and unset:
        bad.append(f"pod or {_who(unset)} must set securityContext.runAsNonRoot=true")
    return f"runAsNonRoot != true ({', '.join(bad)})" if bad else ""


def _as_root(spec: Obj, containers: list[Obj]) -> str:
    bad = ["pod"] if (spec.get("securityContext") or {}).get("runAsUser") == 0 else []
    names = [c["name"] for c in containers if _security(c).get("runAsUser") == 0]
    if names:
        bad.append(_who(names))
    return f"runAsUser=0 ({' and '.join(bad)} must not set runAsUser=0)" if bad else ""


def _seccomp_restricted(spec: Obj, containers: list[Obj]) -> str:
    good = (None, "RuntimeDefault", "Localhost")
    bad = []
    if _seccomp_type(spec) not in good:
        bad.append(f'pod must not set securityContext.seccompProfile.type to "{_seccomp_type(spec)}"')
    wrong = [c for c in containers if _seccomp_type(c) not in good]
    if wrong:
        kinds = _quoted(sorted({str(_seccomp_type(c)) for c in wrong}))
        names = [c["name"] for c in wrong]
        bad.append(f"{_who(names)} must not set securityContext.seccompProfile.type to {kinds}")
    unset = [c["name"] for c in containers if _seccomp_type(c) is None] if _seccomp_type(spec) is None else []
    if unset:
        text = f'pod or {_who(unset)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        bad.append(text)
    return f"seccompProfile ({'; '.join(bad)})" if bad else ""


_BASELINE: tuple[Check, ...] = (
    _apparmor, _capabilities, _host_namespaces, _host_paths, _host_ports, _privileged, _proc_mount, _selinux,
    _seccomp_baseline, _sysctls,
)  # fmt: skip
_RESTRICTED: tuple[Check, ...] = (
    _escalation, _capabilities_restricted, _volumes, _non_root, _as_root, _seccomp_restricted
)  # fmt: skip
#: What the stricter level asks for in its own words.
_REPLACED = frozenset({_capabilities, _host_paths, _seccomp_baseline})


def violations(level: str, spec: Obj) -> list[str]:
    """Return what speaks against a pod under a level, each with its reason; empty when it is allowed."""
    if level == "privileged":
        return []
    groups = ("initContainers", "containers", "ephemeralContainers")
    containers = [c for g in groups for c in spec.get(g) or ()]
    checks = list(_BASELINE)
    if level == "restricted":
        checks = [*(c for c in _BASELINE if c not in _REPLACED), *_RESTRICTED]
    return [text for check in checks if (text := check(spec, containers))]


def wanted(labels: dict[str, str] | None, mode: str) -> tuple[str, str]:
    """Return the level and version a namespace asks for in a mode (`enforce`, `audit`, `warn`)."""
    level = (labels or {}).get(f"{LABEL}{mode}", "privileged")
    version = (labels or {}).get(f"{LABEL}{mode}-version", "latest")
    # A level nobody knows is the strictest: a typing error must not open the namespace.
    return (level if level in LEVELS else "restricted"), version


def pod_specs(stored: str, obj: Obj) -> Iterator[Obj]:
    """Yield the pod spec of an object that makes pods."""
    value: Any = obj
    for step in _TEMPLATES.get(stored, ()):
        value = value.get(step) or {}
    if stored in _TEMPLATES and value.get("spec"):
        yield value["spec"]


def check(store: Store, stored: str, obj: Obj, old: Obj | None, warnings: list[str]) -> None:
    """Hold a new or changed pod, or what makes pods, against the levels of its namespace.

    Raises:
        ApiError: 403 for a pod that the namespace does not admit.
    """
    if stored == "namespaces":
        _check_namespace(store, obj, old, warnings)
        return
    if stored != "pods" and stored not in _TEMPLATES:
        return
    space = store.get("namespaces", "", obj["metadata"].get("namespace", ""))
    labels = space["metadata"].get("labels") if space is not None else None
    if not labels or not any(key.startswith(LABEL) for key in labels):
        return
    if stored != "pods":
        level, version = wanted(labels, "warn")
        for spec in pod_specs(stored, obj):
            if found := violations(level, spec):
                warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(found)}')
        return
    if old is not None and old["spec"] == obj["spec"]:
        return
    level, version = wanted(labels, "enforce")
    found = violations(level, obj["spec"])
    if found:
        why = f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
        raise forbidden("pods", "", obj["metadata"].get("name", ""), why)
    level, version = wanted(labels, "warn")
    if found := violations(level, obj["spec"]):
        warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(found)}')


def _check_namespace(store: Store, obj: Obj, old: Obj | None, warnings: list[str]) -> None:
    """Tell of the pods that a namespace, now stricter, would not admit any more."""
    if old is None:
        return
    level, version = wanted(obj["metadata"].get("labels"), "enforce")
    before, _ = wanted(old["metadata"].get("labels"), "enforce")
    if LEVELS.index(level) <= LEVELS.index(before):
        return
    name = obj["metadata"]["name"]
    grouped: dict[str, list[str]] = {}
    for pod in store.list("pods", name):
        if found := violations(level, pod["spec"]):
            reasons = ", ".join(text.partition(" (")[0] for text in found)
            grouped.setdefault(reasons, []).append(pod["metadata"]["name"])
    if grouped:
        warnings.append(
            f'existing pods in namespace "{name}" violate the new PodSecurity enforce level "{level}:{version}"'
        )
    for reasons, pods in sorted(grouped.items(), key=lambda item: item[1][0]):
        others = len(pods) - 1
        more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
        warnings.append(f"{pods[0]}{more}: {reasons}")
