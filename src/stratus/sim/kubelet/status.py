"""Writes a pod's status from what its kubelet knows: phase, conditions and container statuses."""

from __future__ import annotations

from stratus.kit.clock import iso
from stratus.sim.controllers.common import condition
from stratus.sim.kubelet.state import ContainerState, Instance, PodState
from stratus.sim.podresources import pod_requests, qos_class
from stratus.sim.quantity import format_bytes, format_milli
from stratus.sim.runtime import Run
from stratus.sim.store import Obj


def should_restart(pod: Obj, state: ContainerState, instance: Instance, spec: Obj | None = None) -> bool:
    """Tell whether an ended container is started again.

    A container's own restart rules and policy (`restartPolicyRules`, `restartPolicy`) come before its pod's policy.
    """
    if "deletionTimestamp" in pod["metadata"] or state.ephemeral:
        return False
    if state.sidecar:
        return True
    if spec is None:
        group = pod["spec"].get(state.group) or ()
        spec = next((c for c in group if c["name"] == state.name), {})
    for rule in spec.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        listed = instance.exit_code in (codes.get("values") or ())
        if listed if codes.get("operator") == "In" else bool(codes) and not listed:
            return True
    policy = spec.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    if policy == "Never":
        return False
    if state.init or policy == "OnFailure":
        return instance.exit_code != 0
    return True


def _terminated(instance: Instance) -> Obj:
    body: Obj = {"exitCode": instance.exit_code}
    body["reason"] = instance.reason
    if instance.message:
        body["message"] = instance.message
    if instance.reason == "ContainerStatusUnknown":
        return {"terminated": body | {"startedAt": None, "finishedAt": None}}
    body["startedAt"] = "1970-01-01T00:00:00Z" if instance.reason == "StartError" else iso(instance.started_at)
    body["finishedAt"] = iso(instance.finished_at or 0.0)
    body["containerID"] = instance.id
    return {"terminated": body}


def unknown_end(now: float, spec: Obj) -> Instance:
    """Return what is reported of a container that never ran when its pod was deleted."""
    return Instance(
        id="",
        restart=0,
        started_at=now,
        run=Run(),
        image=spec.get("image", ""),
        image_id="",
        finished_at=now,
        exit_code=137,
        reason="ContainerStatusUnknown",
        message="The container could not be located when the pod was terminated",
    )


def initialized(state: PodState) -> bool:
    """Tell whether all init containers have done their part."""
    for container in state.containers.values():
        if not container.init:
            continue
        current = container.current
        if container.sidecar:
            if current is None or not (current.running and current.started):
                return False
        elif current is None or current.running or current.exit_code != 0:
            return False
    return True


def is_ready(state: ContainerState) -> bool:
    """Tell whether a container counts as ready."""
    current = state.current
    if current is None or state.ephemeral:
        return False
    if state.init and not state.sidecar:
        return not current.running and current.exit_code == 0
    return current.running and current.started and current.ready


def container_status(pod: Obj, spec: Obj, state: ContainerState, default: tuple[str, str]) -> Obj:
    """Return one entry of containerStatuses; `default` is the waiting reason before the first start."""
    current, last = state.current, state.last
    status: Obj = {"name": spec["name"]}
    shown_last: Obj = _terminated(last) if last is not None else {}
    reference = current or last
    if current is None:
        reason, message = state.error or default
        status["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    elif current.running:
        status["state"] = {"running": {"startedAt": iso(current.started_at)}}
    elif state.error is not None and should_restart(pod, state, current):
        reason, message = state.error
        status["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        shown_last = _terminated(current)
    else:
        status["state"] = _terminated(current)
    status["lastState"] = shown_last
    status["ready"] = is_ready(state)
    status["restartCount"] = reference.restart if reference is not None else 0
    status["image"] = reference.image if reference is not None else spec.get("image", "")
    status["imageID"] = reference.image_id if reference is not None else ""
    if reference is not None and reference.id:
        status["containerID"] = reference.id
    if not state.ephemeral:
        status["started"] = bool(current is not None and current.running and current.started)
    resources = spec.get("resources") or {}
    if reference is not None and reference.id:
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
        status["resources"] = resources
    mounts = []
    for mount in spec.get("volumeMounts") or ():
        entry = {"name": mount["name"], "mountPath": mount["mountPath"]}
        if mount.get("readOnly"):
            entry |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        mounts.append(entry)
    if mounts:
        status["volumeMounts"] = mounts
    return status


def phase_of(pod: Obj, state: PodState) -> str:
    """Return the phase the containers add up to."""
    if state.verdict is not None and all(c.running is None for c in state.containers.values()):
        return state.verdict[0]
    init = [c for c in state.containers.values() if c.init and not c.sidecar]
    for container in init:
        current = container.current
        if current is None or current.running:
            return "Pending"
        if current.exit_code != 0:
            return "Pending" if should_restart(pod, container, current) or state.terminating else "Failed"
    mains = [c for c in state.containers.values() if c.main]
    if not initialized(state) and all(c.current is None for c in mains):
        return "Pending"
    running = waiting = stopped = failed = 0
    for container in mains:
        current = container.current
        if current is None:
            if container.last is not None:
                stopped += 1
                failed += 1
            else:
                waiting += 1
        elif current.running:
            running += 1
        else:
            stopped += 1
            failed += current.exit_code != 0
    if waiting:
        return "Pending"
    if running:
        return "Running"
    if state.terminating:
        return "Failed" if failed else "Succeeded"
    for container in mains:
        if container.current is not None and should_restart(pod, container, container.current):
            return "Running"
    return "Failed" if failed else "Succeeded"


def pod_status(pod: Obj, state: PodState, host_ip: str, now: float) -> Obj:
    """Return the status to write; transition times of unchanged conditions are kept."""
    old = pod.get("status") or {}
    generation = pod["metadata"].get("generation", 1)
    computed = phase_of(pod, state)
    phase = computed
    if computed in ("Succeeded", "Failed") and not state.finished and old.get("phase") not in ("Succeeded", "Failed"):
        # The sandbox is still there: the end is reported once it is gone.
        phase = old.get("phase", "Pending") if old.get("phase") == "Running" or state.terminating else "Running"
    conditions = _conditions(pod, state, computed, generation, now)
    status: Obj = {"observedGeneration": generation, "phase": phase, "conditions": conditions}
    if state.verdict is not None and phase == state.verdict[0]:
        if state.verdict[2]:
            status["message"] = state.verdict[2]
        if state.verdict[1]:
            status["reason"] = state.verdict[1]
    if host_ip:
        status["hostIP"] = host_ip
        status["hostIPs"] = [{"ip": host_ip}]
    if state.ip:
        status["podIP"] = state.ip
        status["podIPs"] = [{"ip": state.ip}]
    status["startTime"] = iso(state.started_at)
    spec = pod["spec"]
    first = ("PodInitializing", "") if spec.get("initContainers") else ("ContainerCreating", "")
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            container_status(pod, c, state.containers[c["name"]], first) for c in spec["initContainers"]
        ]
    status["containerStatuses"] = [
        container_status(pod, c, state.containers[c["name"]], first) for c in spec.get("containers") or ()
    ]
    if spec.get("ephemeralContainers"):
        status["ephemeralContainerStatuses"] = [
            container_status(pod, c, state.containers[c["name"]], first)
            for c in spec["ephemeralContainers"]
            if c["name"] in state.containers
        ]
    status["qosClass"] = old.get("qosClass") or qos_class(spec)
    if state.amounts is None or state.amounts[0] is not spec:
        state.amounts = (spec, _shown(pod_requests(spec)), _shown(pod_requests(spec, "limits")))
    _, requests, limits = state.amounts
    if requests:
        status["allocatedResources"] = requests
    status["resources"] = {k: v for k, v in (("limits", limits), ("requests", requests)) if v}
    for field in ("nominatedNodeName", "resourceClaimStatuses"):
        if field in old:
            status[field] = old[field]
    return status


def _shown(amounts: dict[str, float]) -> dict[str, str]:
    return {k: format_bytes(v) if k.endswith(("memory", "storage")) else format_milli(v) for k, v in amounts.items()}


#: The conditions that a kubelet writes; those of others come before them.
_OWN = frozenset({"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"})


def _conditions(pod: Obj, state: PodState, phase: str, generation: int, now: float) -> list[Obj]:
    spec = pod["spec"]
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    if any(c.current is not None and not c.current.id for c in state.containers.values()):
        # Containers that were never found do not make a pod count as one that has run its course.
        ended = None
    sandbox = state.sandbox and not state.finished
    wanted: list[tuple[str, bool, str, str]] = [("PodReadyToStartContainers", sandbox, "", "")]
    init = spec.get("initContainers") or ()
    incomplete = [
        c["name"]
        for c in init
        if not (
            state.containers[c["name"]].current is not None
            and (
                state.containers[c["name"]].current.started  # type: ignore[union-attr]
                if c.get("restartPolicy") == "Always"
                else is_ready(state.containers[c["name"]])
            )
        )
    ]
    if phase == "Succeeded":
        wanted.append(("Initialized", True, "PodCompleted", ""))
    elif incomplete:
        text = f"containers with incomplete status: [{' '.join(incomplete)}]"
        wanted.append(("Initialized", False, "ContainersNotInitialized", text))
    else:
        wanted.append(("Initialized", True, "", ""))
    counted = [*(c for c in init if c.get("restartPolicy") == "Always"), *(spec.get("containers") or ())]
    unready = [c["name"] for c in counted if not is_ready(state.containers[c["name"]])]
    if ended:
        both = (False, ended, "")
    elif unready:
        both = (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        both = (True, "", "")
    ready = both
    if both[0] and spec.get("readinessGates"):
        ready = _gated(pod, spec["readinessGates"])
    wanted.append(("Ready", *ready))
    wanted.append(("ContainersReady", *both))
    result = []
    had = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    for type_, value, reason, message in wanted:
        word = "True" if value else "False"
        found = had.get(type_)
        if found is not None and _says(found, generation, word, reason, message):
            result.append(found)
            continue
        since = found["lastTransitionTime"] if found is not None and found["status"] == word else iso(now)
        entry: Obj = {
            "type": type_,
            "observedGeneration": generation,
            "status": word,
            "lastProbeTime": None,
            "lastTransitionTime": since,
        }
        if reason:
            entry["reason"] = reason
        if message:
            entry["message"] = message
        result.append(entry)
    scheduled = had.get("PodScheduled")
    if scheduled is not None and _says(scheduled, generation, "True", "", ""):
        result.append(scheduled)
    else:
        result.append(
            {
                "type": "PodScheduled",
                "observedGeneration": generation,
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": scheduled["lastTransitionTime"] if scheduled else iso(now),
            }
        )
    return [c for type_, c in had.items() if type_ not in _OWN] + result


def _says(entry: Obj, generation: int, status: str, reason: str, message: str) -> bool:
    """Tell whether a condition of this kubelet's says the same already."""
    return (
        entry["status"] == status
        and entry.get("observedGeneration") == generation
        and entry.get("reason", "") == reason
        and entry.get("message", "") == message
        and len(entry) == 5 + bool(reason) + bool(message)
        and entry.get("lastProbeTime", "") is None
    )


def _gated(pod: Obj, gates: list[Obj]) -> tuple[bool, str, str]:
    """Return the Ready condition of a pod whose containers are ready but that has readiness gates."""
    problems = []
    for gate in gates:
        type_ = gate["conditionType"]
        found = condition(pod, type_)
        if found is None:
            problems.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif found["status"] != "True":
            problems.append(f'the status of pod readiness gate "{type_}" is not "True", but {found["status"]}')
    return (False, "ReadinessGatesNotReady", ", ".join(problems)) if problems else (True, "", "")
