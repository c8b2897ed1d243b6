"""Writes the statuses of pods to the API server, in order; one that is replaced before its turn is never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.sim.controllers.common import with_status
from stratus.sim.kubelet.state import PodState
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet

#: The timer of a status that waits for its turn.
WRITE = "write"


class StatusWriter:
    """The status manager: each pod has statuses that wait, as few as the pace of the node leaves room for."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet

    def put(self, pod: Obj, state: PodState, status: Obj) -> Obj:
        """Have a status written, now or at its turn; return the pod as it is stored then."""
        kubelet = self.kubelet
        if not state.unwritten:
            now = kubelet.clock.now()
            state.write_at = kubelet.pace.write(pod, now)
            if state.write_at <= now:
                kubelet.pace.wrote(pod, now)
                return kubelet.store.update("pods", with_status(pod, status))
            kubelet.wake_pod(pod, state.write_at, WRITE)
        state.unwritten = (*state.unwritten, status)
        return pod

    def turn(self, pod: Obj, state: PodState) -> None:
        """A turn has come: the latest status is written, or an older one when more turns follow at once."""
        if not state.unwritten:
            return
        kubelet, now = self.kubelet, self.kubelet.clock.now()
        first = max(0, len(state.unwritten) - 1 - kubelet.pace.wrote(pod, now))
        for status in state.unwritten[:first]:
            kubelet.pace.passed_over(pod, status)
        status, state.unwritten = state.unwritten[first], state.unwritten[first + 1 :]
        pod = kubelet.store.update("pods", with_status(pod, _joined(pod, status)))
        if state.unwritten:
            state.write_at = kubelet.pace.write(pod, now)
            kubelet.wake_pod(pod, state.write_at, WRITE)


def seen(pod: Obj, state: PodState) -> Obj:
    """Return a pod with the latest status that its kubelet has worked out, written or not."""
    return with_status(pod, state.unwritten[-1]) if state.unwritten else pod


def _joined(pod: Obj, status: Obj) -> Obj:
    """Return a status with the conditions of others that have been written meanwhile."""
    known = {c["type"] for c in status.get("conditions") or ()}
    others = [c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] not in known]
    return {**status, "conditions": [*others, *status.get("conditions", ())]} if others else status
