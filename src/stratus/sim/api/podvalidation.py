"""Validation of pod specs, in pods and in templates."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldrules
from stratus.sim.api.fieldrules import maybe_one_of, one_of
from stratus.sim.api.names import check_labels, qualified_problems
from stratus.sim.api.podcontainers import Surroundings, containers, host_network, identity, images, init_containers
from stratus.sim.api.podcontainers import profile as security_profile
from stratus.sim.api.podplacement import affinity, spreading, tolerations
from stratus.sim.api.podvolumes import volumes
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def validate_pod_spec(
    path: str, spec: Obj, problems: Problems, *, claims: tuple[str, ...] = (), template: bool = True
) -> None:
    """Collect what is wrong with a pod spec; `claims` are volumes that come from a StatefulSet's templates."""
    found = volumes(f"{path}.volumes", spec.get("volumes") or [], problems) | set(claims)
    grace = spec.get("terminationGracePeriodSeconds")
    around = Surroundings(found, 30 if grace is None else grace)
    main = spec.get("containers") or []
    names = containers(f"{path}.containers", main, around, problems)
    init_containers(f"{path}.initContainers", spec.get("initContainers") or [], names, around, problems)
    if spec.get("hostNetwork"):
        host_network(f"{path}.containers", main, problems, template=template)
    one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART, problems)
    one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS, problems)
    check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector", problems)
    _security(f"{path}.securityContext", spec.get("securityContext") or {}, spec, problems)
    affinity(f"{path}.affinity", spec.get("affinity") or {}, problems)
    _dns(f"{path}.dnsConfig", spec, problems)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        here = f"{path}.readinessGates[{index}].conditionType"
        fieldrules.qualified(here, gate.get("conditionType", ""), problems)
    _gates(f"{path}.schedulingGates", spec.get("schedulingGates") or [], problems)
    spreading(f"{path}.topologySpreadConstraints", spec.get("topologySpreadConstraints") or [], problems)
    _plain(path, spec, problems)


def _plain(path: str, spec: Obj, problems: Problems) -> None:
    """Check the fields that are one value each."""
    for field in ("serviceAccountName", "nodeName"):
        if spec.get(field):
            fieldrules.subdomain(f"{path}.{field}", spec[field], problems)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        problems.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            fieldrules.dns_label(f"{path}.{field}", spec[field], problems)
    tolerations(f"{path}.tolerations", spec.get("tolerations") or [], problems)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        fieldrules.ip_address(f"{path}.hostAliases[{index}].ip", alias.get("ip", ""), problems)
        for at, name in enumerate(alias.get("hostnames") or ()):
            fieldrules.subdomain(f"{path}.hostAliases[{index}].hostnames[{at}]", name, problems)
    for field in ("priorityClassName", "runtimeClassName"):
        if spec.get(field):
            fieldrules.subdomain(f"{path}.{field}", spec[field], problems)
    preemption = ("PreemptLowerPriority", "Never")
    maybe_one_of(f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), preemption, problems)
    for name, value in (spec.get("overhead") or {}).items():
        here = f"{path}.overhead[{name}]"
        fieldrules.container_resource(here, name, problems)
        fieldrules.amount(here, name, value, problems)
    system = (spec.get("os") or {}).get("name")
    if spec.get("os") is not None:
        one_of(f"{path}.os.name", system, ("linux", "windows"), problems)


def _security(path: str, context: Obj, spec: Obj, problems: Problems) -> None:
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        identity(f"{path}.{field}", context.get(field), problems)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        identity(f"{path}.supplementalGroups[{index}]", group, problems)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        problems.invalid(f"{path}.shareProcessNamespace", True, text)
    names: set[str] = set()
    for index, sysctl in enumerate(context.get("sysctls") or ()):
        here, name = f"{path}.sysctls[{index}].name", sysctl.get("name", "")
        if not name:
            problems.required(here)
        elif name in names:
            problems.duplicate(here, name)
        names.add(name)
    policies = ("Always", "OnRootMismatch")
    maybe_one_of(f"{path}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), policies, problems)
    security_profile(f"{path}.seccompProfile", context.get("seccompProfile"), problems)
    security_profile(f"{path}.appArmorProfile", context.get("appArmorProfile"), problems, "appArmor")
    grouping = ("Merge", "Strict")
    maybe_one_of(f"{path}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), grouping, problems)


def _dns(path: str, spec: Obj, problems: Problems) -> None:
    config = spec.get("dnsConfig")
    servers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None":
        if config is None:
            problems.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not servers:
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            problems.required(f"{path}.nameservers", text)
            return
    if config is None:
        return
    if len(servers) > 3:
        problems.invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        fieldrules.ip_address(f"{path}.nameservers[{index}]", server, problems)
    searches = config.get("searches") or []
    if len(searches) > 32:
        problems.invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    for index, search in enumerate(searches):
        text = search.removesuffix(".") if search != "." else ""
        if text:
            fieldrules.subdomain(f"{path}.searches[{index}]", text, problems)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            problems.required(f"{path}.options[{index}]", "must not be empty")


def _gates(path: str, gates: list[Obj], problems: Problems) -> None:
    names: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name", "")
        for problem in qualified_problems(name):
            problems.invalid(f"{path}[{index}]", name, problem)
        if name in names:
            problems.duplicate(f"{path}[{index}]", name)
        names.add(name)


def validate_pod(spec: Obj, problems: Problems) -> None:
    """Collect what is wrong with the spec of a new pod."""
    validate_pod_spec("spec", spec, problems, template=False)
    for field in ("containers", "initContainers"):
        images(f"spec.{field}", spec.get(field) or [], problems)


def validate_template(path: str, template: Obj, problems: Problems, *, claims: tuple[str, ...] = ()) -> None:
    """Collect what is wrong with the template of a workload's pods."""
    meta = template.get("metadata") or {}
    check_labels(meta.get("labels"), f"{path}.labels", problems)
    for key in meta.get("annotations") or ():
        for problem in qualified_problems(key.lower()):
            problems.invalid(f"{path}.annotations", key, problem)
    spec = template.get("spec") or {}
    validate_pod_spec(f"{path}.spec", spec, problems, claims=claims)
    if spec.get("ephemeralContainers"):
        problems.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
