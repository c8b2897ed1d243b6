"""Scrapes the cluster's past on demand: which series there were at every scrape, worked out when somebody asks."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stratus.sim.store import Key, Obj
from stratus.sim.telemetry.apirequests import NAMES, ApiRequests
from stratus.sim.telemetry.counters import Counters
from stratus.sim.telemetry.history import KEPT, History
from stratus.sim.telemetry.kubestate import samples_of
from stratus.sim.telemetry.objectlog import ObjectLog
from stratus.sim.telemetry.probes import probe_samples, touched
from stratus.sim.telemetry.promql.nodes import Matcher
from stratus.sim.telemetry.promql.series import Floats, Series, array
from stratus.sim.telemetry.samples import LabelKey, Sample
from stratus.sim.telemetry.targets import target_samples, with_target

if TYPE_CHECKING:
    from stratus.sim.apps.runtime import AppRuntime

#: Seconds between two scrapes, on whole multiples of cluster time.
SCRAPE = 15.0
#: Namespaces with one of these labels are in a service mesh.
_MESHED = (("istio-injection", "enabled"), ("istio.io/dataplane-mode", "ambient"))
_PODS, _NODES, _SPACES = "pods", "nodes", "namespaces"

SampleKey = tuple[str, LabelKey]


class Steps:
    """A series as the scrapes at which its value changed; None says that it ended."""

    __slots__ = ("at", "values")

    def __init__(self) -> None:
        self.at: list[float] = []
        self.values: list[float] = []

    def add(self, at: float, value: float | None) -> None:
        """Let the value be this one from a scrape on."""
        told = math.nan if value is None else value
        if self.at and self.at[-1] == at:
            self.values[-1] = told
        else:
            self.at.append(at)
            self.values.append(told)

    def trim(self, start: float) -> bool:
        """Forget what was before a moment; tell whether anything is left."""
        cut = bisect_right(self.at, start) - 1
        if cut > 0:
            del self.at[:cut], self.values[:cut]
        return len(self.at) > 1 or not math.isnan(self.values[0])

    def series(self, labels: dict[str, str], grid: Floats) -> Series | None:
        """Return the samples on the grid of scrapes."""
        if len(self.at) == 1 and self.at[0] <= grid[0]:
            return None if math.isnan(self.values[0]) else Series(labels, grid, np.full(len(grid), self.values[0]))
        place = np.searchsorted(array(self.at), grid, side="right") - 1
        values = array(self.values)[np.maximum(place, 0)]
        there = (place >= 0) & ~np.isnan(values)
        if not there.any():
            return None
        ended = np.zeros(len(grid), dtype=bool)
        ended[1:] = there[:-1] & ~there[1:]
        keep = there | ended
        stale = ended[keep]
        return Series(labels, grid[keep], values[keep], stale if stale.any() else None)


class Recorder:
    """The series of the last hour, worked out up to the newest scrape whenever somebody looks.

    Looking changes nothing but what is already worked out: the same moment gives the same series, asked for early or
    late. A scrape sees objects as they were just before it, and the ticks that ended by then.
    """

    def __init__(
        self, log: ObjectLog, history: History, runtime: AppRuntime, now: Callable[[], float], begun: float
    ) -> None:
        self.log = log
        self.history = history
        self.runtime = runtime
        self._now = now
        self._slots: list[float] = []
        self._begun = math.floor(begun / SCRAPE) * SCRAPE
        self._last = self._begun
        self._seen = 0
        self._started = False
        self._steps: dict[str, dict[LabelKey, Steps]] = {}
        self._cache: dict[str, list[Series]] = {}
        self._grid: Floats | None = None
        self.state: dict[Key, Obj] = {}
        self._current: dict[Key, dict[SampleKey, float]] = {}
        self._measured: dict[SampleKey, float] = {}
        self.counters = Counters()
        self._counted = -math.inf
        self.requests = ApiRequests(begun)

    def copy_state(self, other: Recorder) -> None:
        """Take over what another recorder has worked out, for a copy of its cluster."""
        self._slots, self._last, self._seen, self._started = (
            list(other._slots),
            other._last,
            other._seen,
            other._started,
        )
        self._begun = other._begun
        for name, table in other._steps.items():
            mine = self._steps[name] = {}
            for labels, steps in table.items():
                twin = mine[labels] = Steps()
                twin.at, twin.values = list(steps.at), list(steps.values)
        self.state, self._current = dict(other.state), dict(other._current)
        self._measured, self.counters, self._counted = dict(other._measured), other.counters.copy(), other._counted
        self.requests = other.requests.copy()

    # working out

    def catch_up(self) -> list[float]:
        """Work out the scrapes up to now; returns the moments of the new ones."""
        now = self._now()
        fresh = []
        at = self._last + SCRAPE
        while at <= now:
            fresh.append(at)
            at += SCRAPE
        if not fresh:
            return []
        if not self._started:
            self._started = True
            self._seen = self.log.dropped
            for key, obj in self.log.first():
                self._place(fresh[0], key, obj)
        versions = self.log.since(self._seen)
        ticks = self.history.between(self._counted, math.inf)
        place = tick = 0
        for at in fresh:
            latest: dict[Key, Obj | None] = {}
            begin = place
            while place < len(versions) and versions[place].at < at:
                latest[versions[place].key] = versions[place].now
                place += 1
            self.requests.note(at, versions[begin:place])
            for key, last in latest.items():
                self._place(at, key, last)
            first = tick
            while tick < len(ticks) and ticks[tick].at <= at:
                tick += 1
            if tick > first:
                self.counters.add(ticks[first:tick])
                self._counted = ticks[tick - 1].at
            self._measure(at, self._samples_now(self.counters))
        self._seen = max(self._seen, self.log.dropped) + place
        self._slots += fresh
        self._last = fresh[-1]
        self._cache.clear()
        self._grid = None
        self._trim()
        return fresh

    def _trim(self) -> None:
        start = self._last - KEPT
        if self._slots[0] >= start - 0.1 * KEPT:
            return
        self._slots = [at for at in self._slots if at >= start]
        self.requests.trim(start)
        for name in list(self._steps):
            table = self._steps[name]
            for labels in [k for k, steps in table.items() if not steps.trim(start)]:
                del table[labels]
            if not table:
                del self._steps[name]

    def _place(self, at: float, key: Key, obj: Obj | None) -> None:
        """An object is another one from a scrape on."""
        if obj is None:
            self.state.pop(key, None)
        else:
            self.state[key] = obj
        made = {(n, labels): value for n, labels, value in samples_of(key[0], obj)} if obj is not None else {}
        before = self._current.get(key, {})
        self._change(at, before, made)
        if made:
            self._current[key] = made
        else:
            self._current.pop(key, None)
        for space, name in touched(key, obj, self.state):
            self._probe(at, space, name)

    def _probe(self, at: float, namespace: str, name: str) -> None:
        key = ("probe", namespace, name)
        made = {(n, labels): value for n, labels, value in probe_samples(namespace, name, self.state)}
        self._change(at, self._current.get(key, {}), made)
        self._current[key] = made

    def _change(self, at: float, before: dict[SampleKey, float], after: dict[SampleKey, float]) -> None:
        for sample, value in after.items():
            if before.get(sample) != value:
                self.write(sample[0], sample[1], at, value)
        for sample in before:
            if sample not in after:
                self.write(sample[0], sample[1], at, None)

    def write(self, name: str, labels: LabelKey, at: float, value: float | None) -> None:
        """Let a series have a value from a scrape on."""
        self._steps.setdefault(name, {}).setdefault(labels, Steps()).add(at, value)
        self._cache.pop(name, None)

    def _samples_now(self, counters: Counters) -> list[Sample]:
        places = {
            (key[1], key[2]): str(obj["spec"].get("nodeName", "")) for key, obj in self.state.items() if key[0] == _PODS
        }
        meshed = frozenset(
            key[2]
            for key, obj in self.state.items()
            if key[0] == _SPACES and any((obj["metadata"].get("labels") or {}).get(k) == v for k, v in _MESHED)
        )
        return [*counters.samples(places, meshed), *target_samples(o for k, o in self.state.items() if k[0] == _NODES)]

    def _measure(self, at: float, samples: Iterable[Sample]) -> None:
        made = {(name, labels): value for name, labels, value in samples}
        self._change(at, self._measured, made)
        self._measured = made

    # answers

    @property
    def grid(self) -> Floats:
        """Return the moments of all scrapes kept."""
        if self._grid is None:
            self._grid = array(self._slots)
        return self._grid

    def names(self) -> list[str]:
        """Return the names of all metrics there are."""
        self.catch_up()
        return sorted({*self._steps, *NAMES})

    def select(self, matchers: Sequence[Matcher]) -> Iterable[Series]:
        """Return the series that fit all matchers."""
        self.catch_up()
        named = [m for m in matchers if m.label == "__name__"]
        rest = [m for m in matchers if m.label != "__name__"]
        fixed = next((m.value for m in named if m.op == "="), None)
        names = self.names() if fixed is None else [fixed]
        for name in names:
            if all(m.matches(name) for m in named):
                for series in self._family(name):
                    if all(m.matches(series.labels.get(m.label, "")) for m in rest):
                        yield series

    def _family(self, name: str) -> list[Series]:
        found = self._cache.get(name)
        if found is None:
            grid = self.grid
            found = []
            if len(grid):
                for labels, steps in self._steps.get(name, {}).items():
                    series = steps.series(with_target(name, dict(labels)), grid)
                    if series is not None:
                        found.append(series)
                found += self._idle(name)
                if name in NAMES:
                    told = self.requests.series(name, grid, self._nodes())
                    found += [Series(with_target(name, dict(labels)), grid, values) for labels, values in told]
                # Prometheus goes through series in this order; sums then come out the same to the last digit.
                found.sort(key=lambda series: sorted(series.labels.items()))
            self._cache[name] = found
        return found

    def _idle(self, name: str) -> list[Series]:
        """Return what containers use that do nothing an application describes."""
        if name not in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
            return []
        busy = set(self._steps.get(name, {}))
        found = []
        for labels, steps in self._steps.get("container_start_time_seconds", {}).items():
            cpu, memory = self._rest(dict(labels))
            if labels in busy:
                continue
            base = steps.series({}, self.grid)
            if base is not None:
                cpu_total = np.maximum(np.round((base.times - base.values) * cpu, 6), 0.0)
                values = cpu_total if "cpu" in name else np.full(len(base.times), memory)
                found.append(Series(with_target(name, dict(labels)), base.times, values, base.stale))
        return found

    def _nodes(self) -> int:
        return sum(key[0] == _NODES for key in self.state)

    def _rest(self, labels: dict[str, str]) -> tuple[float, float]:
        """Return (cores, bytes) of a container at rest."""
        pod = self.state.get((_PODS, labels.get("namespace", ""), labels.get("pod", "")))
        for container in pod["spec"].get("containers", ()) if pod is not None else ():
            if container["name"] == labels.get("container"):
                behaviour = self.runtime.behaviour(container)
                return behaviour.cpu, behaviour.memory
        return 0.0, 0.0

    # now

    def present(self) -> list[Sample]:
        """Return all samples of this very moment, sorted by name: what a scraper would be given."""
        self.catch_up()
        now = self._now()
        found: list[Sample] = []
        state: dict[Key, Obj] = dict(self.state)
        late_versions = self.log.since(self._seen)
        for version in late_versions:
            if version.now is None:
                state.pop(version.key, None)
            else:
                state[version.key] = version.now
        counters = self.counters
        late = self.history.between(self._counted, now)
        if late:
            counters = counters.copy()
            counters.add(late)
        for key, obj in state.items():
            found += samples_of(key[0], obj)
            if key[0] == "services":
                found += probe_samples(key[1], key[2], state)
        kept, self.state = self.state, state
        try:
            found += self._samples_now(counters)
            found += self._idle_now(found, now)
            found += self.requests.samples(now, self._nodes(), late_versions)
        finally:
            self.state = kept
        return sorted((name, tuple(sorted(with_target(name, dict(labels)).items())), v) for name, labels, v in found)

    def _idle_now(self, found: list[Sample], now: float) -> list[Sample]:
        busy = {labels for name, labels, _ in found if name == "container_cpu_usage_seconds_total"}
        idle: list[Sample] = []
        for name, labels, started in found:
            if name == "container_start_time_seconds" and labels not in busy:
                cpu, memory = self._rest(dict(labels))
                idle.append(("container_cpu_usage_seconds_total", labels, round(max(now - started, 0.0) * cpu, 6)))
                idle.append(("container_memory_working_set_bytes", labels, memory))
        return idle
