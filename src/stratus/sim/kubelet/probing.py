"""Runs liveness, readiness and startup probes on their periods and acts on what they find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stratus.sim.answering import unanswered
from stratus.sim.controllers.common import key_of
from stratus.sim.kubelet import timing
from stratus.sim.kubelet.state import ContainerState, Instance, PodState, ProbeCount
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet

KINDS = ("startup", "liveness", "readiness")
#: Seconds from a pass over a pod to the readiness probe that it asks for.
ASKED = 0.01
#: The timer of a probe that nobody answers.
HANGING = "hanging"


class Prober:
    """The probe workers of all containers; a worker is a timer on a beat counted from the start of the pod's sandbox.

    A pass over a pod whose container runs but is not ready has its readiness probed at once, and the beat counts from
    then on. Results count in a row and outlive a restart of the container, as the real worker's do.
    """

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        #: Probes that wait for an answer that will not come: pod, container and what is told then.
        self.hanging: dict[tuple[tuple[str, str], str], tuple[Obj, str, str]] = {}

    def begin(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, instance: Instance) -> None:
        """A container has just started: set what it counts as before the first probe, and the next beats."""
        instance.started = not spec.get("startupProbe")
        instance.ready = instance.started and not spec.get("readinessProbe")
        for kind in KINDS:
            if spec.get(f"{kind}Probe"):
                count = container.probes.setdefault(kind, ProbeCount(base=state.workers_at))
                count.held = False
                self._next(pod, spec, count, kind)

    def resume(self, pod: Obj, spec: Obj, container: ContainerState) -> None:
        """Go on asking a container that ran before this kubelet knew of it."""
        instance = container.running
        for kind in KINDS:
            if instance is not None and spec.get(f"{kind}Probe"):
                count = container.probes.setdefault(kind, ProbeCount(base=instance.started_at))
                self._next(pod, spec, count, kind)

    def asked(self, pod: Obj, spec: Obj, container: ContainerState) -> bool:
        """A pass may have found the container running and not ready: then readiness is probed now, out of turn."""
        instance, count = container.running, container.probes.get("readiness")
        if instance is None or count is None or instance.ready or not instance.started:
            return False
        count.base = self.kubelet.clock.now() + ASKED
        self.kubelet.wake_pod(pod, count.base, f"probe readiness {spec['name']}")
        return True

    def _next(self, pod: Obj, spec: Obj, count: ProbeCount, kind: str) -> None:
        period = float(spec[f"{kind}Probe"].get("periodSeconds") or 10)
        beats = math.floor((self.kubelet.clock.now() - count.base) / period + 1e-9) + 1
        self.kubelet.wake_pod(pod, count.base + max(1, beats) * period, f"probe {kind} {spec['name']}")

    def run(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, kind: str) -> None:
        """One beat of one worker."""
        probe, count = spec.get(f"{kind}Probe"), container.probes.get(kind)
        # While a pod is being stopped its worker goes on: what it knows is that the container runs.
        instance = container.current if state.terminating and not state.finished else container.running
        if not probe or count is None or instance is None or count.held:
            return
        if "deletionTimestamp" in pod["metadata"] and kind != "readiness":
            return
        if kind == "startup" and instance.started:
            return
        self._next(pod, spec, count, kind)
        if self.kubelet.clock.now() < instance.started_at + timing.STARTED - 1e-9:
            # The status, which a worker goes by, does not know of the container yet.
            return
        # The status knows the start to the second only.
        if int(self.kubelet.clock.now() - int(instance.started_at)) < int(probe.get("initialDelaySeconds") or 0):
            return
        if kind != "startup" and not instance.started and instance.running:
            return
        if instance.finished_at is not None and all(c.running is None for c in state.containers.values()):
            self._hangs(pod, spec, container, kind)
            return
        result = self.kubelet.control.runtime.probe(pod, spec, probe)
        if not result.ok:
            how = "probe errored and resulted in unknown state" if result.errored else "probe failed"
            text = f"{kind.capitalize()} {how}: {result.message}"
            self.kubelet.tell(pod, "Warning", "Unhealthy", text, spec, container)
        if result.errored:
            # A probe that could not be made says nothing about the container.
            return
        count.run = count.run + 1 if count.last == result.ok else 1
        count.last = result.ok
        field, default = ("successThreshold", 1) if result.ok else ("failureThreshold", 3)
        if count.run >= int(probe.get(field) or default):
            self._settled(pod, spec, state, container, instance, kind, result.ok)

    def _hangs(self, pod: Obj, spec: Obj, container: ContainerState, kind: str) -> None:
        """The pod's network is gone: nobody answers, which is told when the time for it is over, pod or no pod."""
        probe = spec[f"{kind}Probe"]
        text = unanswered(pod, spec, probe)
        if text:
            tag = f"{HANGING} {kind} {spec['name']}"
            message = f"{kind.capitalize()} probe failed: {text}"
            self.hanging[key_of(pod), tag] = (pod, f"spec.{container.group}{{{spec['name']}}}", message)
            self.kubelet.wake_pod(pod, self.kubelet.clock.now() + float(probe.get("timeoutSeconds") or 1), tag)

    def gives_up(self, key: tuple[str, str], tag: str) -> None:
        """The time for an answer that never came is over."""
        pod, where, message = self.hanging.pop((key, tag))
        kubelet = self.kubelet
        if kubelet.store.get("namespaces", "", key[0]) is not None:
            node = pod["spec"].get("nodeName", "")
            kubelet.control.events.record(
                pod, "Warning", "Unhealthy", message, kubelet.component, host=node, field_path=where
            )

    def _settled(
        self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, instance: Instance, kind: str, ok: bool
    ) -> None:
        """A probe has given the same answer often enough."""
        count = container.probes[kind]
        if kind == "readiness":
            if instance.ready != ok:
                instance.ready = ok
                self.kubelet.report(pod)
        elif not ok:
            count.held, count.run = True, 0
            if state.verdict is not None or instance.killed_for:
                return
            reason = f"Container {spec['name']} failed {kind} probe, will be restarted"
            seconds = self.grace(pod, probe=spec[f"{kind}Probe"])
            self.kubelet.ender.kill(pod, spec, state, container, reason, grace=seconds, restart=True)
        elif kind == "startup":
            instance.started = True
            instance.ready = not spec.get("readinessProbe")
            self.kubelet.report(pod)
            self.asked(pod, spec, container)
            if container.sidecar:
                self.kubelet.enqueue((pod["metadata"]["namespace"], pod["metadata"]["name"]))

    @staticmethod
    def grace(pod: Obj, probe: Obj) -> float | None:
        """Return the grace period a failed probe gives its container, None for the pod's own."""
        seconds = probe.get("terminationGracePeriodSeconds")
        return None if seconds is None else float(seconds)
