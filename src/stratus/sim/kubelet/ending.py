"""Brings containers and pods to an end: signals, grace periods, the order of sidecars, a deleted pod's way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.kit.clock import parse_iso
from stratus.sim.controllers.common import key_of, spread, with_meta
from stratus.sim.kubelet import hooks, timing
from stratus.sim.kubelet.state import ContainerState, PodState
from stratus.sim.kubelet.status import unknown_end
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet

Verdict = tuple[str, str, str]
OVERDUE = "Pod was active on the node longer than the specified deadline"


def timers_of(container: str) -> list[str]:
    """Return the tags of all timers that a running container may have."""
    tags = [f"{what} {container}" for what in ("exit", "poll", "turn", "dead", "reap")]
    return tags + [f"probe {kind} {container}" for kind in ("startup", "liveness", "readiness")]


class Ender:
    """How containers stop, and what follows for their pods."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet

    # one container

    def kill(
        self,
        pod: Obj,
        spec: Obj,
        state: PodState,
        container: ContainerState,
        message: str,
        *,
        grace: float | None = None,
        restart: bool = False,
    ) -> None:
        """Run a container's preStop hook, send it SIGTERM, and SIGKILL when its grace period is over."""
        instance = container.running
        if instance is None:
            return
        kubelet, now = self.kubelet, self.kubelet.clock.now()
        kubelet.tell(pod, "Normal", "Killing", message, spec, container)
        instance.killed_for = "restart" if restart else "stop"
        allowed = float(pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace)
        hook = (spec.get("lifecycle") or {}).get("preStop") or {}
        wait = 0.0
        if hook and allowed > 0:
            wait = min(allowed, hooks.takes(hook))
            if hooks.run(kubelet, pod, spec, hook):
                kubelet.tell(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", spec, container)
            if container.running is not instance or instance.died_at is not None:
                # The hook itself has ended the process.
                return
        instance.waits_turn = container.sidecar and not restart and allowed > 0 and self._before(pod, state, spec)
        if instance.waits_turn:
            kubelet.wake_pod(pod, now + allowed, f"turn {spec['name']}")
            return
        self._signal(pod, container, now + wait, allowed - wait)

    def _signal(self, pod: Obj, container: ContainerState, at: float, left: float) -> None:
        """SIGTERM arrives at `at`; `left` seconds later, but not at once, SIGKILL would."""
        instance = container.running
        if instance is None:
            return
        instance.waits_turn = False
        left = max(left, timing.LEAST_GRACE)
        needed = instance.run.stops_after
        forced = needed is None or needed > left
        instance.end_code = 137 if forced else instance.run.stop_code
        self.kubelet.wake_pod(pod, at + (left if needed is None or forced else needed) + 0.02, f"dead {container.name}")

    def _before(self, pod: Obj, state: PodState, spec: Obj) -> bool:
        """Tell whether containers still run that must end before a sidecar: all proper ones, and later sidecars."""
        names = [c["name"] for c in pod["spec"].get("initContainers") or ()]
        later = set(names[names.index(spec["name"]) + 1 :])
        return any(
            c.running is not None and (c.main or (c.sidecar and c.name in later)) for c in state.containers.values()
        )

    def turn(self, pod: Obj, state: PodState, name: str) -> None:
        """A sidecar's wait for the others is over because its grace period is."""
        container = state.containers.get(name)
        if container is not None and container.running is not None and container.running.waits_turn:
            self._signal(pod, container, self.kubelet.clock.now(), 0.0)

    def _next_turns(self, pod: Obj, state: PodState) -> None:
        for spec in reversed(pod["spec"].get("initContainers") or ()):
            container = state.containers[spec["name"]]
            if container.running is not None and container.running.waits_turn and not self._before(pod, state, spec):
                grace = float(pod["spec"].get("terminationGracePeriodSeconds", 30))
                self._signal(pod, container, self.kubelet.clock.now(), grace)

    def dead(self, pod: Obj, state: PodState, name: str) -> None:
        """A process that was told to end has ended; the kubelet is going to notice."""
        container, spec = state.containers.get(name), self.kubelet.spec_of(pod, name)
        if container is None or spec is None or container.running is None:
            return
        container.running.died_at = self.kubelet.clock.now()
        self.kubelet.control.runtime.stop(pod, spec)
        noise = spread(state.uid, name, "reap", container.running.restart)
        now = self.kubelet.clock.now()
        at = now + timing.REAP + timing.REAP_MORE * noise
        if state.terminating:
            # The next status tells of the end, once the sandbox is gone as well.
            then, least = at + timing.TEARDOWN, now + timing.NOTICE_LEAST + timing.TEARDOWN
            at += self.kubelet.pace.notice(pod, then, least, len(state.unwritten)) - then
        self.kubelet.wake_pod(pod, at, f"reap {name}")

    def reap(self, pod: Obj, state: PodState, name: str) -> None:
        """The kubelet notices that a process it has stopped is gone."""
        container = state.containers.get(name)
        if container is not None and container.running is not None:
            self.ended(pod, state, container, container.running.end_code, "", "")

    def exits(self, pod: Obj, state: PodState, name: str) -> None:
        """A process ends by itself."""
        container = state.containers.get(name)
        if container is not None and container.running is not None and not container.running.killed_for:
            run = container.running.run
            self.ended(pod, state, container, run.exit_code, run.reason or "", run.message)

    def ended(self, pod: Obj, state: PodState, container: ContainerState, code: int, reason: str, message: str) -> None:
        """Note the end of a container's process and see to what comes next."""
        kubelet = self.kubelet
        instance = container.running
        spec = kubelet.spec_of(pod, container.name)
        if instance is None or spec is None:
            return
        now = kubelet.clock.now()
        instance.finished_at = now if instance.died_at is None else instance.died_at
        instance.exit_code = code
        instance.reason = reason or ("Completed" if code == 0 else "Error")
        instance.message = message or self._last_words(pod, spec, code)
        instance.ready = False
        instance.started = False
        timers = timers_of(container.name)
        if state.terminating:
            # Whether it is ready is asked until the whole pod has ended.
            timers.remove(f"probe readiness {container.name}")
        kubelet.control.timers.cancel_key(kubelet.name, key_of(pod), timers)
        if instance.died_at is None:
            kubelet.control.runtime.stop(pod, spec)
        if state.terminating or state.verdict is not None:
            self._next_turns(pod, state)
            self.check_gone(pod, state)
            return
        if state.finishing:
            self._next_turns(pod, state)
        if instance.killed_for == "restart":
            kubelet.starter.act(pod, state)
        at = now + 0.05 + 0.75 * spread(state.uid, container.name, instance.restart) * timing.RELIST
        # An end is noticed by the pass that tells of it.
        at = kubelet.pace.notice(pod, at, now + timing.NOTICE_LEAST, len(state.unwritten))
        kubelet.wake_pod(pod, at, "pass")

    def _last_words(self, pod: Obj, spec: Obj, code: int) -> str:
        """Return what the container left in its termination message file, or the end of its log."""
        path = spec.get("terminationMessagePath") or "/dev/termination-log"
        read = getattr(self.kubelet.control.runtime, "read_file", None)
        text: str = (read(pod, spec, path) or "") if read is not None else ""
        if not text and code and spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            lines = self.kubelet.control.runtime.logs(pod, spec, previous=False, since=None, limit=80)
            return "".join(line + "\n" for _, line in lines)[-2048:]
        return text[:4096]

    # whole pods

    def stop_all(self, pod: Obj, state: PodState, grace: float | None) -> None:
        """Stop every container that runs and is not on its way out yet."""
        for name, container in state.containers.items():
            spec = self.kubelet.spec_of(pod, name)
            if spec is not None and container.running is not None and container.running.killed_for != "stop":
                self.kill(pod, spec, state, container, f"Stopping container {name}", grace=grace)

    def condemn(self, pod: Obj, state: PodState, verdict: Verdict, grace: float | None = None) -> None:
        """End a pod that may not run on: its phase, reason and message will be the verdict's."""
        if state.verdict is not None or state.finished:
            return
        state.verdict = verdict
        self.stop_all(pod, state, grace)
        self.kubelet.report(pod)
        self.check_gone(pod, state)

    def overdue(self, pod: Obj, state: PodState) -> None:
        """A pod has run longer than its activeDeadlineSeconds."""
        if state.verdict is None and not state.finished and not state.terminating:
            state.overdue = True
            self._tell_overdue(pod, state)
            self.condemn(pod, state, ("Failed", "DeadlineExceeded", OVERDUE))

    def _tell_overdue(self, pod: Obj, state: PodState) -> None:
        """The event is recorded each time the status is worked out: twice when stopping begins, twice at its end."""
        if state.overdue:
            for _ in range(2):
                self.kubelet.control.events.record(
                    pod, "Normal", "DeadlineExceeded", OVERDUE, self.kubelet.component, host=state.node
                )

    def terminate(self, pod: Obj, state: PodState) -> None:
        """A pod is marked for deletion: stop it, or go on with that."""
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        if not state.terminating:
            state.terminating = True
            stop = parse_iso(pod["metadata"]["deletionTimestamp"]) - self.kubelet.clock.now()
            self.stop_all(pod, state, max(min(grace, max(stop, 0.0) + 1.0), 0.0) if grace else 0.0)
            for container in state.containers.values():
                # Nothing is started any more, so why the last start failed is no longer told.
                container.error = None if container.current is None else container.error
            self.kubelet.report(pod)
        self.check_gone(pod, state)

    def check_gone(self, pod: Obj, state: PodState) -> None:
        """When the last container has ended, the sandbox goes next."""
        if state.finished:
            if state.terminating:
                self._removal(pod, state)
        elif all(c.running is None for c in state.containers.values()):
            at = self.kubelet.clock.now() + (timing.TEARDOWN if state.sandbox else timing.NOTHING)
            self.kubelet.wake_pod(pod, self.kubelet.pace.notice(pod, at, at, len(state.unwritten)), "finish")

    def finish(self, pod: Obj, state: PodState) -> None:
        """The sandbox is gone: report the final phase, and let a deleted pod go."""
        if any(c.running is not None for c in state.containers.values()):
            self.kubelet.wake_pod(pod, self.kubelet.clock.now() + 0.2, "finish")
            return
        if not state.finished:
            state.finished = True
            if state.terminating and state.sandbox:
                for name, container in state.containers.items():
                    if container.current is None:
                        container.current = unknown_end(self.kubelet.clock.now(), self.kubelet.spec_of(pod, name) or {})
            self._tell_overdue(pod, state)
            pod = self.kubelet.report(pod)
        if state.terminating:
            self._removal(pod, state)

    def _removal(self, pod: Obj, state: PodState) -> None:
        """The API server is told to drop the pod once everything it had on the node is cleaned up."""
        if state.sandbox:
            noise = spread(state.uid, "removal")
            self.kubelet.wake_pod(pod, self.kubelet.clock.now() + 0.15 + 0.5 * noise, "remove")
        else:
            self.remove(pod)

    def remove(self, pod: Obj) -> None:
        """Delete a pod's object for good; finalizers may keep it."""
        store, key = self.kubelet.store, key_of(pod)
        current = store.get("pods", *key)
        if current is None or "deletionTimestamp" not in current["metadata"]:
            return
        state = self.kubelet.pods.get(key)
        if state is not None and state.unwritten:
            # The last status is written first.
            self.kubelet.wake_pod(pod, state.write_at, "remove")
            return
        if current["metadata"].get("deletionGracePeriodSeconds") != 0:
            store.update("pods", with_meta(current, deletionGracePeriodSeconds=0))
        left = store.get("pods", *key)
        if left is not None and not left["metadata"].get("finalizers"):
            store.delete("pods", *key)

    def abandon(self, pod: Obj, state: PodState, key: tuple[str, str]) -> None:
        """A pod's object is gone while it was running: its containers are stopped and forgotten."""
        for name, container in state.containers.items():
            spec = self.kubelet.spec_of(pod, name)
            if spec is not None and container.running is not None:
                if not container.running.killed_for:
                    self.kubelet.tell(pod, "Normal", "Killing", f"Stopping container {name}", spec, container)
                container.running.finished_at = self.kubelet.clock.now()
                self.kubelet.control.runtime.stop(pod, spec)
        self.kubelet.forget(key, state)
