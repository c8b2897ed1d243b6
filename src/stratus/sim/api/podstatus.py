"""The row of a pod: how its many states become one word under STATUS."""

from __future__ import annotations

from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.api.durations import human, since

Obj = dict[str, Any]


def _terminated(state: Obj) -> str:
    """Return the word for an ended container."""
    if state.get("reason"):
        return str(state["reason"])
    if state.get("signal"):
        return f"Signal:{state['signal']}"
    return f"ExitCode:{state.get('exitCode', 0)}"


def summary(pod: Obj) -> tuple[str, int, int, int, float | None]:
    """Return (STATUS, ready containers, containers, restarts, moment of the last restart)."""
    spec, status = pod["spec"], pod.get("status", {})
    reason = status.get("reason") or status.get("phase") or ""
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    total, ready, restarts = len(spec.get("containers") or ()) + len(sidecars), 0, 0
    sidecar_restarts = 0
    last: float | None = None
    sidecar_last: float | None = None
    initializing = False
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = _later(last, container)
        state = container.get("state") or {}
        if container["name"] in sidecars:
            sidecar_restarts += container.get("restartCount", 0)
            sidecar_last = _later(sidecar_last, container)
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if ended is not None:
            reason = f"Init:{_terminated(ended)}"
        elif waiting.get("reason") not in (None, "", "PodInitializing"):
            reason = f"Init:{waiting['reason']}"
        else:
            reason = f"Init:{index}/{len(spec.get('initContainers') or ())}"
        initializing = True
        break
    if not initializing or conditions.get("Initialized", {}).get("status") == "True":
        restarts, last = sidecar_restarts, sidecar_last
        running = False
        for container in reversed(status.get("containerStatuses") or []):
            restarts += container.get("restartCount", 0)
            last = _later(last, container)
            state = container.get("state") or {}
            waiting, ended = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                reason = waiting["reason"]
            elif ended is not None:
                reason = _terminated(ended)
            elif container.get("ready") and state.get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            reason = "Running" if conditions.get("Ready", {}).get("status") == "True" else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Failed", "Succeeded"):
            reason = "Terminating"
    return reason, ready, total, restarts, last


def _later(last: float | None, container: Obj) -> float | None:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if not ended.get("finishedAt"):
        return last
    moment = parse_iso(ended["finishedAt"])
    return moment if last is None else max(last, moment)


def pod_row(pod: Obj, now: float) -> list[Any]:
    """Return the cells of a pod."""
    reason, ready, total, restarts, last = summary(pod)
    shown = str(restarts)
    if restarts and last is not None:
        shown = f"{restarts} ({human(now - last)} ago)"
    spec, status = pod["spec"], pod.get("status", {})
    gates = spec.get("readinessGates")
    gate_text = "<none>"
    if gates:
        good = {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}
        gate_text = f"{sum(g['conditionType'] in good for g in gates)}/{len(gates)}"
    age = since(pod["metadata"].get("creationTimestamp"), now)
    return [
        pod["metadata"]["name"], f"{ready}/{total}", reason, shown, age, status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>", status.get("nominatedNodeName") or "<none>", gate_text,
    ]  # fmt: skip
