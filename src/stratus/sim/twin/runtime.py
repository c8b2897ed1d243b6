"""Plays the containers of a twin by what was seen of them; where nothing was seen, it guesses and says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.registry import ImageRegistry
from stratus.sim.runtime import ExecResult, ProbeResult, Run
from stratus.sim.store import Obj
from stratus.sim.twin.doubts import Doubts
from stratus.sim.twin.learning import Lesson, Memory
from stratus.sim.twin.manners import PROBES, Manner, check, place_of, probe_text, settings_of

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

SLICES, POLICIES = "endpointslices.discovery.k8s.io", "networkpolicies.networking.k8s.io"
#: How a container ends of which nothing is known, when the worst is assumed: soon, with a failure.
WORST_AFTER, WORST_CODE = 2.0, 1


class ObservedRuntime(AppRuntime):
    """A container runtime that knows manners instead of programs.

    What a container does holds as long as its settings are those under which it was seen, and, for one that failed, as
    long as nothing has changed about the Services that it leans on. Everything else is a doubt.
    """

    def __init__(self, registry: ImageRegistry, doubts: Doubts) -> None:
        super().__init__(registry)
        self.doubts = doubts
        self.lesson = Lesson()
        #: Manner of each container that runs; None: guessed.
        self.present: dict[tuple[str, str], Manner | None] = {}
        #: How things stood with the Services that failing containers lean on, when the twin was made.
        self.world: dict[tuple[str, str], str] = {}

    def fork(self, control: ControlPlane) -> ObservedRuntime:
        """Return a copy that lives in a forked control plane."""
        twin = super().fork(control)
        assert isinstance(twin, ObservedRuntime)
        twin.present = dict(self.present)
        return twin

    def teach(self, lesson: Lesson, memory: Memory) -> None:
        """Take over what was learnt now, and what was seen before as far as it still holds; note how the world is.

        Args:
            lesson: from what is to be seen.
            memory: of earlier looks at the same cluster; what is seen now comes before it.
        """
        self.lesson = lesson
        for key, (manner, stood) in memory.items():
            if all(self._standing(key[0][0], name) == how for name, how in stood.items()):
                lesson.known.setdefault(key, manner)
        for (place, _), now in lesson.known.items():
            for name in now.leans_on if now is not None else ():
                self.world[place[0], name] = self._standing(place[0], name)

    def remembers(self) -> Memory:
        """Return what a later twin of the same cluster may take over."""
        return {
            key: (manner, {name: self.world[key[0][0], name] for name in manner.leans_on})
            for key, manner in self.lesson.known.items()
            if manner is not None
        }

    def _standing(self, space: str, name: str) -> str:
        """Return how a Service stands: what it selects, who answers for it, and which policies there are."""
        service = self.store.get("services", space, name) or {}
        ready = sorted(
            (endpoint.get("targetRef") or {}).get("uid", "") or str(endpoint.get("addresses"))
            for item in self.store.list(SLICES, space)
            if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
            for endpoint in item.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") is not False
        )
        policies = [p.get("spec") for p in self.store.list(POLICIES, space)]
        return json.dumps([service.get("spec"), ready, policies], sort_keys=True, default=str)

    def _holds(self, pod: Obj, manner: Manner) -> bool:
        """Tell whether a failing container still has the world in which it failed."""
        space = pod["metadata"].get("namespace", "")
        seen = ((name, self.world.get((space, name))) for name in manner.leans_on)
        return all(was is None or was == self._standing(space, name) for name, was in seen)

    # containers

    def resumes(self, pod: Obj, container: Obj, began: float) -> Run:
        """Go on with a container that ran already, since a moment; return what will become of it."""
        key = (pod["metadata"]["uid"], container["name"])
        found = self.lesson.by_pod.get(key)
        manner = self.present[key] = found[0] if found is not None else None
        if manner is None or manner.kind != "ends":
            return Run()
        left = max(0.5, began + manner.after - self.now())
        return Run(exit_after=left, exit_code=manner.code, reason=manner.reason or None, message=manner.told)

    def start(self, pod: Obj, container: Obj, env: dict[str, str], restart: int) -> Run:
        """Start a container: as it was seen to start, or as a doubt has it."""
        key = (pod["metadata"]["uid"], container["name"])
        manner = self._manner(pod, container, key)
        self.present[key] = manner
        if manner is None:
            if self.doubts.well(self._question(pod, container)):
                return self._guessed(pod, container)
            return Run(exit_after=WORST_AFTER, exit_code=WORST_CODE)
        if manner.kind == "refused":
            return Run(exit_after=0.0, exit_code=manner.code, reason="StartError", message=manner.told)
        if manner.kind == "ends":
            return Run(
                exit_after=manner.after, exit_code=manner.code, reason=manner.reason or None, message=manner.told
            )
        return Run()

    def _manner(self, pod: Obj, container: Obj, key: tuple[str, str]) -> Manner | None:
        settings = settings_of(pod, container, self.store.get)
        place = (place_of(pod, container), settings)
        own = self.lesson.by_pod.get(key)
        # A pod's own way counts before that of its kind, unless what it reads has changed under it.
        if own is not None and own[1] == settings and place in self.lesson.known:
            manner: Manner | None = own[0]
        else:
            manner = self.lesson.known.get(place)
        if manner is not None and manner.ill and not self._holds(pod, manner):
            return None
        return manner

    @staticmethod
    def _question(pod: Obj, container: Obj) -> str:
        space, workload, name = place_of(pod, container)
        return f"how container {name} of {space}/{workload} runs with settings it was not seen with"

    @staticmethod
    def _guessed(pod: Obj, container: Obj) -> Run:
        """Return how a container goes well of which nothing is known: an init container or a Job's ends, others run."""
        ends = container in (pod["spec"].get("initContainers") or ()) and container.get("restartPolicy") != "Always"
        if ends or pod["spec"].get("restartPolicy", "Always") != "Always":
            return Run(exit_after=2.0, exit_code=0)
        return Run()

    def poll(self, pod: Obj, container: Obj) -> Run:
        """Nothing here waits for anything."""
        return Run()

    def stop(self, pod: Obj, container: Obj) -> None:
        """A container has ended."""
        self.present.pop((pod["metadata"]["uid"], container["name"]), None)

    def forget(self, uid: str) -> None:
        """A pod is gone for good."""
        for key in [k for k in self.present if k[0] == uid]:
            del self.present[key]

    def probe(self, pod: Obj, container: Obj, probe: Obj) -> ProbeResult:
        """Answer a probe as it was answered, or as a doubt has it."""
        key = (pod["metadata"]["uid"], container["name"])
        if key not in self.present:
            return ProbeResult(False, "it does not run")
        manner = self.present[key]
        if manner is None:
            return ProbeResult(self.doubts.well(self._question(pod, container)), "not known")
        readiness = probe is container.get("readinessProbe")
        if manner.kind == "ends":
            return ProbeResult(bool(manner.ready) or not readiness, "as observed")
        if check(container, probe) in manner.passes or not any(probe is container.get(kind) for kind in PROBES):
            return ProbeResult(True)
        if readiness and probe_text(container) == manner.readiness and manner.ready is not None:
            if manner.ready or self._holds(pod, manner):
                return ProbeResult(manner.ready, "as observed")
        elif not readiness and probe is container.get("startupProbe") and not manner.started:
            return ProbeResult(False, "as observed")
        space, workload, name = place_of(pod, container)
        well = self.doubts.well(f"whether container {name} of {space}/{workload} passes a probe it was not seen with")
        return ProbeResult(well, "not known")

    # what nobody can ask of a twin

    def listens(self, pod: Obj, container: Obj) -> frozenset[int]:
        """Return the ports that a running container declares."""
        if (pod["metadata"]["uid"], container["name"]) not in self.present:
            return frozenset()
        return frozenset(p["containerPort"] for p in container.get("ports") or () if "containerPort" in p)

    def logs(
        self, pod: Obj, container: Obj, *, previous: bool, since: float | None, limit: int
    ) -> list[tuple[float, str]]:
        """Return no lines."""
        return []

    def exec(self, pod: Obj, container: Obj, argv: list[str], stdin: str) -> ExecResult:
        """Do nothing, successfully: what a hook does is part of how its container was seen to behave."""
        return ExecResult()

    def usage(self, pod: Obj, container: Obj) -> tuple[float, float]:
        """Return nothing used; autoscalers are not let see it."""
        return 0.0, 0.0
