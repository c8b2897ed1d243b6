"""An arena: a fresh embedded cluster, a scenario injected into it, and a twin in which nobody acts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stratus.bench.snapshot import WINDOW, Snapshot, capture, changed, fired, firing, workloads
from stratus.bench.suites.loading import app_of, faults_of
from stratus.bench.suites.schema import Scenario, Suite
from stratus.errors import StratusError
from stratus.model.base import Noun
from stratus.sim.faults.noise import OFF, Level

if TYPE_CHECKING:
    from stratus.bench.suites.checks import Check
    from stratus.sim.cluster import EmbeddedCluster

LOOK = 45.0
"""Seconds of cluster time between two looks at the alerts."""
LEAST, MOST = 150.0, 600.0
"""Seconds of cluster time that a cluster gets to settle before it is judged, at least and at most."""
WORSE = 0.03
"""Rise of the worst error rate that counts as worse; above the emulated noise."""
KEPT = 6
"""Healthy clusters kept in memory to copy from."""


class Aftermath(Noun):
    """What the cluster has come to.

    Attributes:
        after: the state judged.
        alone: the state at the same moment if nobody had acted.
        touched: objects that differ from the state before anybody acted, and would not if nobody had.
        violations: ways in which it is worse than before anybody acted, and worse than if nobody had.
        settled: seconds it was given to settle.
    """

    after: Snapshot
    alone: Snapshot
    touched: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    settled: float = 0.0


class Arena:
    """One scenario on one embedded cluster; use it as a context manager.

    Attributes:
        cluster: what is worked on; `twin`: what becomes of it when nobody acts, from the end of `inject` on.
        healthy, broken: before the injection, and when its symptoms show.
        injected_at: when it was injected, epoch seconds of cluster time.
    """

    def __init__(self, scenario: Scenario, cluster: EmbeddedCluster, noise: Level) -> None:
        self.scenario = scenario
        self.cluster = cluster
        self.noise = noise
        cluster.api.gate.rehearsal = False
        if noise != OFF:
            cluster.set_noise(noise)
            cluster.advance(WINDOW)
        self.healthy = capture(cluster, self._checks())
        self.injected_at = cluster.clock.now()
        self._broken: Snapshot | None = None
        self._twin: EmbeddedCluster | None = None
        self._alone: dict[float, Snapshot] = {}

    @classmethod
    def open(cls, scenario: Scenario, seed: int = 0, noise: Level = OFF, *, suite: Suite | None = None) -> Arena:
        """Start a cluster for a scenario; nothing is injected yet.

        Args:
            scenario: of a suite as it was loaded.
            seed: of the cluster.
            noise: level, unless the scenario fixes one.
            suite: the scenario's; needed when the suite has applications or faults of its own.
        """
        folder = suite.folder if suite is not None else ""
        cluster = _healthy(app_of(scenario, folder), faults_of(folder), seed)
        return cls(scenario, cluster, scenario.noise if scenario.noise is not None else noise)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the cluster and its twin."""
        self.cluster.close()
        if self._twin is not None:
            self._twin.close()

    def branch(self) -> Arena:
        """Return a copy of the arena as it is now; what is done there does not happen here. Close it when done."""
        copy = type(self).__new__(type(self))
        copy.scenario, copy.noise, copy.healthy = self.scenario, self.noise, self.healthy
        copy.injected_at, copy._broken = self.injected_at, self._broken
        copy.cluster = self.cluster.fork()
        copy.cluster.api.gate.rehearsal = False
        copy._alone = self._alone
        copy._twin = self._twin.fork() if self._twin is not None else None
        return copy

    @property
    def broken(self) -> Snapshot:
        """The state when the symptoms showed."""
        if self._broken is None:
            raise StratusError("nothing was injected into this arena yet: call inject() first")
        return self._broken

    @property
    def twin(self) -> EmbeddedCluster:
        """The cluster in which nobody acts."""
        if self._twin is None:
            raise StratusError("nothing was injected into this arena yet: call inject() first")
        return self._twin

    def inject(self) -> Snapshot:
        """Inject the scenario's faults, wait for an alert (`scenario.wait` at most), and fork the twin.

        Without faults half of that time passes.
        """
        from stratus.sim.faults.scenario import Scenario as Play

        faults = self.scenario.faults
        self.injected_at = self.cluster.clock.now()
        if faults:
            self.cluster.play(Play(faults=faults))
        begun = max((f.onset for f in faults), default=0.0) + self._delay()
        waited = 0.0
        while waited < self.scenario.wait:
            step = max(LOOK, begun) if faults and not waited else LOOK
            self.cluster.advance(step)
            waited += step
            if not faults:
                if waited >= self.scenario.wait / 2:
                    break
            elif self._alarmed():
                break
        self._broken = capture(self.cluster, self._checks())
        self._twin = self.cluster.fork()
        return self._broken

    def _alarmed(self) -> bool:
        now = self.healthy.model_copy(update={"alerts": tuple(firing(self.cluster))})
        return bool(now.concerning(self.healthy.alerts))

    def finish(self, *, given_up: bool = False, most: float = MOST) -> Aftermath:
        """Let the cluster settle, let its twin live as long, and compare.

        Args:
            given_up: whoever worked on it says that nothing was repaired, or that nothing is wrong: then everything has
                to be as it was.
            most: seconds to settle, at most; `LEAST` does when nobody has done anything.
        """
        settled, alerts = self._settle(max(LEAST, most))
        after = capture(self.cluster, self._checks(), alerts=alerts)
        alone = self._left_alone(self.cluster.clock.now())
        moved = set(changed(self.broken, alone)) | set(after.noisy) | set(alone.noisy)
        touched = tuple(k for k in changed(self.broken, after) if k not in moved)
        violations = worse(self.healthy, self.broken, after, alone)
        if given_up:
            violations += tuple(f"{key} is not as it was" for key in touched)
        return Aftermath(after=after, alone=alone, touched=touched, violations=violations, settled=settled)

    def _left_alone(self, moment: float) -> Snapshot:
        """Return what the twin has come to at a moment; branches of an arena share what they have seen of it."""
        known = self._alone.get(moment)
        if known is None:
            twin = self.twin
            if twin.clock.now() > moment:
                raise StratusError("the twin is further than the cluster: finish an arena once, or a branch of it")
            twin.advance(moment - twin.clock.now())
            # Its alerts are nothing that anybody is judged by.
            known = self._alone[moment] = capture(twin, self._checks(), alerts=())
        return known

    def _settle(self, most: float) -> tuple[float, set[str]]:
        """Let time pass until the last two minutes were calm, within bounds; return how long, and the last alerts."""
        passed = 0.0
        while True:
            step = LOOK if passed else LEAST
            self.cluster.advance(step)
            passed += step
            seen = fired(self.cluster)
            now = self.healthy.model_copy(update={"alerts": tuple(seen)})
            calm = not now.concerning(self.healthy.alerts)
            if passed >= most or (calm and self._whole() and self._must()):
                return passed, seen

    def _whole(self) -> bool:
        away = self.healthy.bystanders()
        return all(s.complete for key, s in workloads(self.cluster).items() if key.split("/")[1] not in away)

    def _must(self) -> bool:
        """Whether what the strict oracle asks besides holds already; some of it, such as scaling down, takes time."""
        from stratus.bench.oracles.original import failures

        must = self.scenario.strict.must
        now = capture(self.cluster, must) if must else self.healthy
        return not any(failures(check, now, self.healthy) for check in must)

    def _delay(self) -> float:
        steps = [s for i in self.cluster.faulting.active.values() for s in i.steps]
        return max((s.after for s in steps), default=0.0)

    def _checks(self) -> tuple[Check, ...]:
        return (*self.scenario.original, *self.scenario.strict.must)


def worse(healthy: Snapshot, broken: Snapshot, after: Snapshot, alone: Snapshot) -> tuple[str, ...]:
    """Return the ways in which a state is worse than before anybody acted and than if nobody had."""
    was, now, left = (_worst(s) for s in (broken, after, alone))
    if now is None:
        return ("traffic has vanished",) if left is not None else ()
    expected = max(was or 0.0, left or 0.0)
    found = []
    if now > expected + WORSE:
        found.append(f"the worst error rate was {was or 0.0:.3f}, would be {left or 0.0:.3f}, and is {now:.3f}")
    for name, figures in alone.services.items():
        mine = after.services.get(name)
        before = broken.services.get(name)
        usual = healthy.services.get(name)
        least = min(figures.rate or 0.0, *((f.rate or 0.0 if f is not None else 0.0) for f in (before, usual)))
        if least > 0.05 and ((mine.rate if mine is not None else 0.0) or 0.0) < 0.1 * least:
            found.append(f"{name} answers no more; it would have answered {least:.2f} requests a second")
    return tuple(found)


def _worst(snapshot: Snapshot) -> float | None:
    rates = [f.errors for f in snapshot.services.values() if f.errors is not None]
    return max(rates) if rates else None


_lock = threading.Lock()
_templates: OrderedDict[tuple[str, str, int], EmbeddedCluster] = OrderedDict()


def _healthy(app: str, faults: Path | None, seed: int) -> EmbeddedCluster:
    """Return a copy of a healthy cluster that has lived for a while; the original is kept for the next one."""
    from stratus.sim.cluster import EmbeddedCluster

    stamp = ""
    if Path(app).suffix in (".yaml", ".yml"):
        stamp = f"{Path(app).stat().st_mtime_ns}"
    key = (f"{app}@{stamp}", f"{faults or ''}", seed)
    with _lock:
        template = _templates.pop(key, None)
        if template is None:
            template = EmbeddedCluster(app=app, seed=seed, faults=faults)
            # What alerts have come to is worked out once, and copied with the cluster.
            firing(template)
        _templates[key] = template
        while len(_templates) > KEPT:
            _templates.popitem(last=False)[1].close()
        return template.fork()
