"""Lets kubelets take over pods that run already: what they would remember is read off the pods' statuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stratus.kit.kube import PULL_REASONS, moment, pod_finished
from stratus.sim.kubelet.state import BACKOFF_FIRST, BACKOFF_MOST, Backoff, ContainerState, Instance, PodState
from stratus.sim.runtime import Run
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane
    from stratus.sim.twin.runtime import ObservedRuntime

_GROUPS = (
    ("initContainers", "initContainerStatuses"),
    ("containers", "containerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
)
_WAIT = re.compile(r"back-off (?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)? restarting")


def adopt(control: ControlPlane, runtime: ObservedRuntime, pod: Obj, *, followed: bool) -> None:
    """Enter a pod that a node has taken; one that no node has, or that has run to its end, needs no kubelet.

    Args:
        control: the control plane of the twin, before it has done anything.
        runtime: plays the containers.
        pod: as read.
        followed: whether it is looked after; of others it only counts that they are there.
    """
    meta, status = pod["metadata"], pod.get("status") or {}
    node = pod["spec"].get("nodeName")
    begun = moment(status.get("startTime"))
    if not node or not begun or pod_finished(pod) or control.store.get("nodes", "", node) is None:
        return
    address = status.get("podIP", "")
    state = PodState(
        meta["uid"], node, begun, {}, ip=address, sandbox=bool(address), mounted=bool(address), workers_at=begun
    )
    key = (meta.get("namespace", ""), meta["name"])
    control.kubelet.pods[key] = state
    for group, statuses in _GROUPS:
        told = {row.get("name"): row for row in status.get(statuses) or ()}
        for spec in pod["spec"].get(group) or ():
            row = told.get(spec["name"], {})
            container = _container(spec, row, group, control.clock.now())
            state.containers[spec["name"]] = container
            if container.running is not None:
                _go_on(control, runtime, pod, state, spec, container, followed=followed)


def _container(spec: Obj, row: Obj, group: str, now: float) -> ContainerState:
    init = group == "initContainers"
    container = ContainerState(
        spec["name"],
        init=init,
        sidecar=init and spec.get("restartPolicy") == "Always",
        ephemeral=group == "ephemeralContainers",
    )
    shown = row.get("state") or {}
    ended = (row.get("lastState") or {}).get("terminated")
    restarts = int(row.get("restartCount") or 0)
    if shown.get("running"):
        container.current = _instance(spec, row, restarts)
        container.current.started_at = moment(shown["running"].get("startedAt"))
        container.current.started = row.get("started") is not False
        container.current.ready = bool(row.get("ready"))
        container.last = _ended(spec, row, ended, restarts - 1) if ended else None
    elif shown.get("terminated"):
        container.current = _ended(spec, row, shown["terminated"], restarts)
        container.last = _ended(spec, row, ended, restarts - 1) if ended else None
    elif ended:
        container.current = _ended(spec, row, ended, restarts)
    waiting = shown.get("waiting") or {}
    if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        container.error = (waiting["reason"], str(waiting.get("message") or ""))
    if waiting.get("reason") in PULL_REASONS:
        container.pull_error = ("ErrImagePull", str(waiting.get("message") or ""))
        container.pull_backoff = Backoff(BACKOFF_MOST, now)
    if container.current is not None and restarts:
        delay = _waits(str(waiting.get("message") or "")) or min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (restarts - 1))
        container.backoff = Backoff(delay, container.current.started_at or now)
    return container


def _instance(spec: Obj, row: Obj, restart: int) -> Instance:
    image = row.get("image") or spec.get("image", "")
    return Instance(row.get("containerID", ""), max(0, restart), 0.0, Run(), image, row.get("imageID", ""))


def _ended(spec: Obj, row: Obj, ended: Obj, restart: int) -> Instance:
    instance = _instance(spec, row, restart)
    instance.id = ended.get("containerID", "") or instance.id
    instance.started_at = moment(ended.get("startedAt"))
    instance.finished_at = moment(ended.get("finishedAt"))
    instance.exit_code = int(ended.get("exitCode") or 0)
    instance.reason, instance.message = str(ended.get("reason") or ""), str(ended.get("message") or "")
    instance.seen = True
    return instance


def _waits(message: str) -> float:
    """Read how long a crashed container waits off the kubelet's message."""
    found = _WAIT.search(message)
    if found is None:
        return 0.0
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _go_on(
    control: ControlPlane,
    runtime: ObservedRuntime,
    pod: Obj,
    state: PodState,
    spec: Obj,
    container: ContainerState,
    *,
    followed: bool,
) -> None:
    """Let a running container run on; only one that is not well is asked again how it is."""
    instance = container.running
    assert instance is not None
    instance.run = runtime.resumes(pod, spec, instance.started_at)
    if not followed:
        return
    control.kubelet.starter.expect(pod, container, instance.run)
    manner = runtime.present.get((state.uid, spec["name"]))
    if manner is None or not (instance.started and instance.ready):
        control.kubelet.prober.resume(pod, spec, container)
