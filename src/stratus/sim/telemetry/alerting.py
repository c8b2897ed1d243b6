"""Evaluates rules on the cluster's series, as Prometheus would, up to now and only when somebody asks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stratus.sim.telemetry.rules import Group, Rule, Rules
from stratus.sim.telemetry.samples import LabelKey
from stratus.sim.telemetry.templates import fill_template

if TYPE_CHECKING:
    from stratus.sim.telemetry.promql.evaluator import Engine
    from stratus.sim.telemetry.promql.vectors import Vector
    from stratus.sim.telemetry.recorder import Recorder


@dataclass(frozen=True)
class Active:
    """An alert whose condition holds.

    Attributes:
        rule: the rule, `group` the name of its group.
        series: labels of the series it came from; `labels` its own, the name among them.
        since: when the condition began to hold; `fired` when it had held long enough, None while it is pending.
        seen: when it was last seen to hold.
        value: of the expression then.
    """

    rule: Rule
    group: str
    series: LabelKey
    labels: LabelKey
    since: float
    seen: float
    value: float
    fired: float | None = None

    @property
    def state(self) -> str:
        """Return `pending` or `firing`."""
        return "pending" if self.fired is None else "firing"

    def annotations(self) -> dict[str, str]:
        """Return the filled annotations."""
        words = dict(self.series)
        return {name: fill_template(text, words, self.value) for name, text in self.rule.annotations.items()}


class Alerting:
    """The state of all rules.

    Attributes:
        errors: what the newest evaluation of a rule ended in, by (group, number of the rule); `failing`: since when.
    """

    def __init__(self, rules: Rules, recorder: Recorder, engine: Engine, begun: float) -> None:
        self.rules = rules
        self.recorder = recorder
        self.engine = engine
        self.errors: dict[tuple[str, int], str] = {}
        self.failing: dict[tuple[str, int], float] = {}
        self._active: dict[tuple[str, int], dict[LabelKey, Active]] = {}
        self._evaluated = {group.name: math.floor(begun / group.interval) * group.interval for group in rules.groups}

    def copy_state(self, other: Alerting) -> None:
        """Take over what another cluster's rules have come to."""
        self._active = {key: dict(table) for key, table in other._active.items()}
        self._evaluated = dict(other._evaluated)
        self.errors, self.failing = dict(other.errors), dict(other.failing)

    def evaluated(self, group: Group) -> float:
        """Return when a group was last evaluated."""
        return self._evaluated[group.name]

    def catch_up(self, now: float) -> None:
        """Evaluate all groups for the moments up to now that were not yet asked about."""
        from stratus.sim.telemetry.promql.series import array

        self.recorder.catch_up()
        grid = self.recorder.grid
        for group in self.rules.groups:
            at = self._evaluated[group.name] + group.interval
            if len(grid):
                # What is no longer kept cannot be evaluated.
                at = max(at, math.ceil(float(grid[0]) / group.interval) * group.interval)
            moments = []
            while at <= now:
                moments.append(at)
                at += group.interval
            if not moments:
                continue
            self._evaluated[group.name] = moments[-1]
            for number, rule in enumerate(group.rules):
                self._rule(group, number, rule, array(moments).tolist())

    def _rule(self, group: Group, number: int, rule: Rule, moments: list[float]) -> None:
        from stratus.sim.telemetry.promql.parser import PromQLError, parse
        from stratus.sim.telemetry.promql.series import array

        key = (group.name, number)
        try:
            rows = self.engine.grid(parse(rule.expr), array(moments)).rows
            self.errors.pop(key, None)
            self.failing.pop(key, None)
        except PromQLError as error:
            self.errors[key] = str(error)
            self.failing.setdefault(key, moments[0])
            return
        if rule.record:
            self._record(rule, rows, moments)
            return
        table = self._active.get(key, {})
        if not len(rows) and not table:
            return
        found: dict[LabelKey, list[tuple[float, float]]] = {labels: [] for labels in table}
        for labels, values, present in zip(rows.labels, rows.values.tolist(), rows.present.tolist(), strict=True):
            bare = tuple(sorted((k, v) for k, v in labels.items() if k != "__name__"))
            held = found.setdefault(bare, [])
            held += [(at, value) for at, value, there in zip(moments, values, present, strict=True) if there]
        self._active[key] = {}
        for series, points in found.items():
            last = self._walk(rule, group.name, series, table.get(series), dict(points), moments)
            if last is not None:
                self._active[key][series] = last

    def _record(self, rule: Rule, rows: Vector, moments: list[float]) -> None:
        for labels, values, present in zip(rows.labels, rows.values.tolist(), rows.present.tolist(), strict=True):
            own = {k: v for k, v in labels.items() if k != "__name__"} | rule.labels
            told = tuple(sorted((k, v) for k, v in own.items() if v))
            for at, value, there in zip(moments, values, present, strict=True):
                self.recorder.write(rule.record, told, at, value if there else None)

    def _walk(
        self,
        rule: Rule,
        group: str,
        series: LabelKey,
        active: Active | None,
        points: dict[float, float],
        moments: list[float],
    ) -> Active | None:
        """Let one alert go through some moments."""
        told = active
        for at in moments:
            value = points.get(at)
            if value is not None:
                if active is None:
                    active = Active(rule, group, series, _labels(rule, series, value), at, at, value)
                fired = active.fired
                if fired is None and at - active.since >= rule.wait - 1e-6:
                    fired = at
                active = replace(active, seen=at, value=value, fired=fired)
            elif active is not None and not (
                active.fired is not None and rule.keep_firing_for and at - active.seen < rule.keep_firing_for
            ):
                active = None
            self._tell(told, active, at)
            told = active
        return active

    def _tell(self, before: Active | None, after: Active | None, at: float) -> None:
        """Keep the series ALERTS and ALERTS_FOR_STATE."""
        old = (before.labels, before.state) if before is not None else None
        new = (after.labels, after.state) if after is not None else None
        if old == new:
            return
        if old is not None:
            self.recorder.write("ALERTS", _with_state(*old), at, None)
            if new is None or new[0] != old[0]:
                self.recorder.write("ALERTS_FOR_STATE", old[0], at, None)
        if after is not None:
            self.recorder.write("ALERTS", _with_state(after.labels, after.state), at, 1.0)
            self.recorder.write("ALERTS_FOR_STATE", after.labels, at, after.since)

    def active(self, now: float) -> Iterator[Active]:
        """Return all alerts that are pending or firing."""
        self.catch_up(now)
        for group in self.rules.groups:
            for number in range(len(group.rules)):
                table = self._active.get((group.name, number), {})
                yield from (table[key] for key in sorted(table))

    def failures(self) -> list[tuple[Group, Rule, str, float]]:
        """Return the rules whose newest evaluation came to nothing, with the reason, and since when."""
        return [
            (group, rule, self.errors[group.name, number], self.failing[group.name, number])
            for group in self.rules.groups
            for number, rule in enumerate(group.rules)
            if (group.name, number) in self.errors
        ]

    def of_rule(self, group: str, number: int) -> list[Active]:
        """Return a rule's alerts as of its newest evaluation."""
        table = self._active.get((group, number), {})
        return [table[key] for key in sorted(table)]


def _labels(rule: Rule, series: LabelKey, value: float) -> LabelKey:
    words = dict(series)
    labels = {**words, **{k: fill_template(v, words, value) for k, v in rule.labels.items()}, "alertname": rule.alert}
    return tuple(sorted((k, v) for k, v in labels.items() if v))


def _with_state(labels: LabelKey, state: str) -> LabelKey:
    return tuple(sorted((*labels, ("alertstate", state))))
