"""Runs liveness, readiness and startup probes on their periods and acts on what they find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stratus.sim.kubelet.state import ContainerState, Instance, PodState, ProbeCount
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet

KINDS = ("startup", "liveness", "readiness")
#: Seconds from a container's start to its first readiness probe when there is no initial delay.
FIRST = 0.03


class Prober:
    """The probe workers of all containers; a worker is a timer on a fixed beat counted from the pod's start."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet

    def begin(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, instance: Instance) -> None:
        """A container has just started: set what it counts as before the first probe, and the next beats."""
        container.probes = {}
        instance.started = not spec.get("startupProbe")
        instance.ready = instance.started and not spec.get("readinessProbe")
        for kind in KINDS:
            probe = spec.get(f"{kind}Probe")
            if probe and kind == "readiness" and instance.started and not probe.get("initialDelaySeconds"):
                # The first readiness probe does not wait for a beat.
                self.kubelet.wake_pod(pod, self.kubelet.clock.now() + FIRST, f"probe {kind} {spec['name']}")
            elif probe:
                self._next(pod, spec, state, kind, first=True)

    def _next(self, pod: Obj, spec: Obj, state: PodState, kind: str, *, first: bool = False) -> None:
        probe = spec[f"{kind}Probe"]
        period = float(probe.get("periodSeconds") or 10)
        now = self.kubelet.clock.now()
        earliest = now + 1e-6
        if first:
            earliest = now + max(float(probe.get("initialDelaySeconds") or 0), 1e-6)
        beats = math.ceil((earliest - state.workers_at) / period - 1e-9)
        self.kubelet.wake_pod(pod, state.workers_at + max(1, beats) * period, f"probe {kind} {spec['name']}")

    def run(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, kind: str) -> None:
        """One beat of one worker."""
        probe = spec.get(f"{kind}Probe")
        instance = container.running
        if not probe or instance is None or instance.killed_for:
            return
        if state.terminating and kind != "readiness":
            return
        if (kind == "startup") == instance.started:
            # Startup probes end with the first success; the others begin with it.
            if kind != "startup":
                self._next(pod, spec, state, kind)
            return
        result = self.kubelet.control.runtime.probe(pod, spec, probe)
        count = container.probes.setdefault(kind, ProbeCount())
        if result.ok:
            count.successes += 1
            count.failures = 0
        else:
            count.failures += 1
            count.successes = 0
            text = f"{kind.capitalize()} probe failed: {result.message}"
            self.kubelet.tell(pod, "Warning", "Unhealthy", text, spec, container)
        if result.ok and count.successes >= int(probe.get("successThreshold") or 1):
            self._passed(pod, spec, state, container, instance, kind)
        elif not result.ok and count.failures >= int(probe.get("failureThreshold") or 3):
            if kind == "readiness":
                if instance.ready:
                    instance.ready = False
                    self.kubelet.report(pod)
            else:
                container.probes.pop(kind, None)
                reason = f"Container {spec['name']} failed {kind} probe, will be restarted"
                seconds = probe.get("terminationGracePeriodSeconds")
                self.kubelet.kill(pod, spec, state, container, reason, grace=seconds, restart=True)
                return
        if not (kind == "startup" and instance.started):
            self._next(pod, spec, state, kind)

    def _passed(
        self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, instance: Instance, kind: str
    ) -> None:
        if kind == "startup":
            instance.started = True
            if not spec.get("readinessProbe"):
                instance.ready = True
            else:
                self.run(pod, spec, state, container, "readiness")
            self.kubelet.report(pod)
            if container.sidecar:
                self.kubelet.enqueue((pod["metadata"]["namespace"], pod["metadata"]["name"]))
        elif kind == "readiness" and not instance.ready:
            instance.ready = True
            self.kubelet.report(pod)
