"""Evaluates PromQL over a grid of moments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from stratus.sim.telemetry.promql import functions as fn
from stratus.sim.telemetry.promql import windows as win
from stratus.sim.telemetry.promql.aggregation import aggregate
from stratus.sim.telemetry.promql.binary import scalars, set_operation, vectors, with_scalar
from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    Negative,
    Node,
    Number,
    Range,
    Selector,
    Shift,
    Subquery,
    Text,
)
from stratus.sim.telemetry.promql.parser import parse
from stratus.sim.telemetry.promql.series import Bools, Floats, Series, Source, array
from stratus.sim.telemetry.promql.signatures import kind_of
from stratus.sim.telemetry.promql.vectors import Labels, Vector, empty, key_of, stacked, without_name

#: A series without a new sample for this many seconds is taken to have ended.
LOOK_BACK = 300.0
#: A range query gives this many points of a series at most.
MOST_POINTS = 11_000

Window = Callable[[Series, Floats, float], tuple[Floats, Bools]]

_WINDOWS: dict[str, Window] = {
    "rate": lambda s, e, r: win.extrapolated(s, e, r, counter=True, rate=True),
    "increase": lambda s, e, r: win.extrapolated(s, e, r, counter=True, rate=False),
    "delta": lambda s, e, r: win.extrapolated(s, e, r, counter=False, rate=False),
    "irate": lambda s, e, r: win.instant_change(s, e, r, rate=True),
    "idelta": lambda s, e, r: win.instant_change(s, e, r, rate=False),
    "count_over_time": win.counted,
    "last_over_time": win.newest,
}
_SLICES: dict[str, win.Slice] = {
    "sum_over_time": win.total,
    "avg_over_time": win.mean,
    "min_over_time": win.least,
    "max_over_time": win.most,
    "stddev_over_time": win.deviation,
    "stdvar_over_time": win.variance,
    "present_over_time": lambda times, values, end: 1.0,
    "changes": win.changes,
    "resets": win.resets,
    "deriv": win.derivative,
}


@dataclass(frozen=True)
class Query:
    """An answer.

    Attributes:
        kind: scalar, string, vector or matrix, of the expression.
        times: the grid.
        rows: a scalar is one row without labels.
        samples: for a range vector, its series.
        text: for a string.
    """

    kind: str
    times: Floats
    rows: Vector
    samples: tuple[Series, ...] = ()
    text: str = ""

    def values(self) -> list[tuple[Labels, float]]:
        """Return labels and value of every row at the last moment."""
        rows = self.rows
        return [(rows.labels[n], float(rows.values[n, -1])) for n in range(len(rows)) if rows.present[n, -1]]


class Engine:
    """Answers queries from a source of series.

    Attributes:
        resolution: seconds between the steps of a subquery that names none.
    """

    def __init__(self, source: Source, *, resolution: float = 60.0) -> None:
        self.source = source
        self.resolution = resolution

    def instant(self, query: str, at: float) -> Query:
        """Evaluate at one moment.

        Raises:
            PromQLError: it cannot be understood or evaluated.
        """
        node = parse(query)
        times = array([at])
        if isinstance(node, Text):
            return Query("string", times, empty(1), text=node.value)
        run = _Run(self, times)
        with np.errstate(all="ignore"):
            if isinstance(node, Range | Subquery):
                return Query("matrix", times, empty(1), samples=tuple(run.raw(node)))
            found = run.vector_or_scalar(node)
        if not isinstance(found, Vector):
            return Query("scalar", times, _row(found))
        if not isinstance(node, Call) or node.function not in ("sort", "sort_desc"):
            found = found if isinstance(node, Aggregate) and node.op in ("topk", "bottomk") else _sorted(found)
        return Query("vector", times, found)

    def range(self, query: str, start: float, end: float, step: float) -> Query:
        """Evaluate at all moments from start to end.

        Raises:
            PromQLError: it cannot be understood or evaluated, or asks for too much.
        """
        node = parse(query)
        if kind_of(node) not in ("vector", "scalar"):
            kind = {"matrix": "range vector"}.get(kind_of(node), kind_of(node))
            raise PromQLError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
        if step <= 0:
            raise PromQLError("zero or negative query resolution step widths are not accepted. Try a positive integer")
        if end < start:
            raise PromQLError("end timestamp must not be before start time")
        number = int((end - start) / step + 1e-9) + 1
        if number > MOST_POINTS:
            raise PromQLError(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution "
                "(?step=XX)"
            )
        times = np.asarray(start + step * np.arange(number), dtype=np.float64)
        return self.grid(node, times)

    def grid(self, node: Node, times: Floats) -> Query:
        """Evaluate an expression at given moments, in ascending order."""
        with np.errstate(all="ignore"):
            found = _Run(self, times).vector_or_scalar(node)
        if not isinstance(found, Vector):
            return Query("scalar", times, _row(found))
        return Query("vector", times, _sorted(found))


def _row(values: Floats) -> Vector:
    return Vector([{}], values[np.newaxis, :], np.ones((1, len(values)), dtype=bool))


def _sorted(vector: Vector) -> Vector:
    order = sorted((n for n in range(len(vector)) if vector.present[n].any()), key=lambda n: key_of(vector.labels[n]))
    return Vector([vector.labels[n] for n in order], vector.values[order], vector.present[order])


class _Run:
    """One evaluation; `whole` are the first and last moment of the query, for `@ start()` and `@ end()`."""

    def __init__(self, engine: Engine, times: Floats, whole: tuple[float, float] | None = None) -> None:
        self.engine = engine
        self.times = times
        self.whole = whole or (float(times[0]), float(times[-1]))

    def vector_or_scalar(self, node: Node) -> Vector | Floats:
        return self.scalar(node) if kind_of(node) == "scalar" else self.vector(node)

    # scalars

    def scalar(self, node: Node) -> Floats:
        if isinstance(node, Number):
            return np.full(len(self.times), node.value)
        if isinstance(node, Negative):
            return -self.scalar(node.inner)
        if isinstance(node, Binary):
            return scalars(node.op, self.scalar(node.left), self.scalar(node.right))
        assert isinstance(node, Call)
        if node.function == "time":
            return self.times.astype(np.float64)
        if node.function == "pi":
            return np.full(len(self.times), np.pi)
        return fn.scalar_of(self.vector(node.arguments[0]))

    # vectors

    def vector(self, node: Node) -> Vector:
        if isinstance(node, Selector):
            return self.selected(node)[0]
        if isinstance(node, Negative):
            inner = self.vector(node.inner)
            return inner.mapped(-inner.values)
        if isinstance(node, Aggregate):
            return self.aggregated(node)
        if isinstance(node, Binary):
            return self.binary(node)
        assert isinstance(node, Call)
        return self.call(node)

    def aggregated(self, node: Aggregate) -> Vector:
        parameter: Floats | str | None = None
        if node.parameter is not None:
            parameter = node.parameter.value if isinstance(node.parameter, Text) else self.scalar(node.parameter)
        return aggregate(node, self.vector(node.inner), parameter)

    def binary(self, node: Binary) -> Vector:
        kinds = kind_of(node.left), kind_of(node.right)
        if kinds == ("vector", "scalar"):
            left = self.vector(node.left)
            return with_scalar(node.op, left, self.scalar(node.right), swapped=False, boolean=node.boolean)
        if kinds == ("scalar", "vector"):
            right = self.vector(node.right)
            return with_scalar(node.op, right, self.scalar(node.left), swapped=True, boolean=node.boolean)
        left, right = self.vector(node.left), self.vector(node.right)
        if node.op in ("and", "or", "unless"):
            return set_operation(node.op, left, right, node.matching)
        return vectors(node.op, left, right, node.matching, boolean=node.boolean)

    def moments(self, shift: Shift) -> Floats:
        """Return the moments a selector looks at."""
        times = self.times
        if shift.at is not None:
            at = {"start": self.whole[0], "end": self.whole[1]}.get(str(shift.at))
            times = np.full(len(times), float(shift.at) if at is None else at)
        return times - shift.offset

    def selected(self, node: Selector) -> tuple[Vector, Floats]:
        """Return the rows of a selector, and when the samples were taken."""
        wanted = self.moments(node.shift)
        labels, rows, masks, stamps = [], [], [], []
        for series in self.engine.source.select(node.matchers):
            if not len(series.times):
                continue
            place = np.searchsorted(series.times, wanted + win.SLACK, side="right") - 1
            safe = np.maximum(place, 0)
            stamp = series.times[safe]
            there = (place >= 0) & (stamp >= wanted - LOOK_BACK - win.SLACK)
            if series.stale is not None:
                there &= ~series.stale[safe]
            if there.any():
                labels.append(series.labels)
                rows.append(series.values[safe])
                masks.append(there)
                stamps.append(stamp)
        found = stacked(labels, rows, masks, len(self.times))
        return found, np.stack(stamps) if stamps else found.values

    def raw(self, node: Range | Subquery) -> Iterable[Series]:
        """Return the samples of a range vector at the only moment."""
        shift = node.selector.shift if isinstance(node, Range) else node.shift
        end = float(self.moments(shift)[-1])
        for series in self.ranged(node):
            times, values = series.samples
            low, high = win.bounds(series, array([end]), node.seconds)
            if high[0] > low[0]:
                yield Series(series.labels, times[low[0] : high[0]], values[low[0] : high[0]])

    def ranged(self, node: Node) -> Iterable[Series]:
        """Return the series behind a range vector."""
        if isinstance(node, Range):
            return self.engine.source.select(node.selector.matchers)
        assert isinstance(node, Subquery)
        ends = self.moments(node.shift)
        step = node.step or self.engine.resolution
        first = np.ceil((float(ends.min()) - node.seconds) / step - 1e-9)
        last = np.floor(float(ends.max()) / step + 1e-9)
        if last < first:
            return []
        grid = np.arange(first, last + 1) * step
        inner = _Run(self.engine, grid, self.whole)
        found = inner.vector(node.inner)
        return [
            Series(labels, grid[mask], values[mask])
            for labels, values, mask in zip(found.labels, found.values, found.present, strict=True)
            if mask.any()
        ]

    # functions

    def over(self, node: Node, window: Window, *, keep_name: bool = False) -> Vector:
        """Apply a function to the window of each series."""
        assert isinstance(node, Range | Subquery)
        ends = self.moments(node.selector.shift if isinstance(node, Range) else node.shift)
        labels, rows, masks = [], [], []
        for series in self.ranged(node):
            values, present = window(series, ends, node.seconds)
            if present.any():
                labels.append(series.labels)
                rows.append(values)
                masks.append(present)
        found = stacked(labels, rows, masks, len(self.times))
        return found if keep_name else found.unnamed()

    def slices(self, node: Node, function: win.Slice) -> Vector:
        return self.over(node, lambda s, e, r: win.sliced(s, e, r, function))

    def text(self, node: Node) -> str:
        assert isinstance(node, Text)
        return node.value

    def call(self, node: Call) -> Vector:
        name, args = node.function, node.arguments
        if name in _WINDOWS:
            return self.over(args[0], _WINDOWS[name], keep_name=name == "last_over_time")
        if name in _SLICES:
            return self.slices(args[0], _SLICES[name])
        if name in fn.SIMPLE:
            return fn.simple(name, self.vector(args[0]))
        special = getattr(self, f"_{name}", None)
        if special is not None:
            found: Vector = special(args)
            return found
        if name in ("sort", "sort_desc"):
            return fn.ordered(self.vector(args[0]), descending=name == "sort_desc")
        if name in ("histogram_count", "histogram_sum"):
            return empty(len(self.times))  # only for native histograms, which nothing here has
        inner = self.vector(args[0]) if args else _row(self.times.astype(np.float64))
        return fn.calendar(name, inner)

    def _quantile_over_time(self, args: tuple[Node, ...]) -> Vector:
        level = dict(zip(self.times.tolist(), self.scalar(args[0]).tolist(), strict=True))
        node = args[1]
        assert isinstance(node, Range | Subquery)
        ends = self.moments(node.selector.shift if isinstance(node, Range) else node.shift)
        by_end = dict(zip(ends.tolist(), level.values(), strict=True))
        return self.slices(node, lambda times, values, end: win.quantile_of(values, by_end[end]))

    def _predict_linear(self, args: tuple[Node, ...]) -> Vector:
        node = args[0]
        assert isinstance(node, Range | Subquery)
        ahead = float(self.scalar(args[1])[0])
        ends = self.moments(node.selector.shift if isinstance(node, Range) else node.shift)
        # The line is told from the moment of the query, which an offset moves away from the window's end.
        late = float(self.times[0] - ends[0])
        return self.slices(node, win.prediction(ahead + late))

    def _holt_winters(self, args: tuple[Node, ...]) -> Vector:
        level, trend = (float(self.scalar(a)[0]) for a in args[1:])
        for what, value in (("smoothing", level), ("trend", trend)):
            if not 0 < value < 1:
                raise PromQLError(f"invalid {what} factor. Expected: 0 < {what[0]}f < 1, got: {value:f}")
        return self.slices(args[0], win.smoothed(level, trend))

    def _absent(self, args: tuple[Node, ...]) -> Vector:
        there = self.vector(args[0]).present.any(axis=0)
        return fn.absent_row(_labels_of(args[0]), there)

    def _absent_over_time(self, args: tuple[Node, ...]) -> Vector:
        there = self.over(args[0], win.counted, keep_name=True).present.any(axis=0)
        return fn.absent_row(_labels_of(args[0]), there)

    def _timestamp(self, args: tuple[Node, ...]) -> Vector:
        if isinstance(args[0], Selector):
            found, stamps = self.selected(args[0])
            return found.mapped(stamps)
        found = self.vector(args[0])
        return found.mapped(np.broadcast_to(self.times, found.values.shape))

    def _vector(self, args: tuple[Node, ...]) -> Vector:
        return _row(self.scalar(args[0]))

    def _round(self, args: tuple[Node, ...]) -> Vector:
        to = self.scalar(args[1]) if len(args) > 1 else np.ones(len(self.times))
        return fn.rounded(self.vector(args[0]), to)

    def _clamp(self, args: tuple[Node, ...]) -> Vector:
        return fn.clamped(self.vector(args[0]), self.scalar(args[1]), self.scalar(args[2]))

    def _clamp_min(self, args: tuple[Node, ...]) -> Vector:
        return fn.clamped(self.vector(args[0]), self.scalar(args[1]), np.full(len(self.times), np.inf))

    def _clamp_max(self, args: tuple[Node, ...]) -> Vector:
        return fn.clamped(self.vector(args[0]), np.full(len(self.times), -np.inf), self.scalar(args[1]))

    def _histogram_quantile(self, args: tuple[Node, ...]) -> Vector:
        return fn.histogram_quantile(self.scalar(args[0]), self.vector(args[1]))

    def _label_replace(self, args: tuple[Node, ...]) -> Vector:
        target, template, source, pattern = (self.text(a) for a in args[1:])
        return fn.label_replace(self.vector(args[0]), target, template, source, pattern)

    def _label_join(self, args: tuple[Node, ...]) -> Vector:
        target, separator, *sources = (self.text(a) for a in args[1:])
        return fn.label_join(self.vector(args[0]), target, separator, sources)


def _labels_of(node: Node) -> Labels:
    """Return the labels that a missing selector is told with: those it fixes, once each."""
    inner = node.selector if isinstance(node, Range) else node
    if not isinstance(inner, Selector):
        return {}
    fixed: dict[str, list[Matcher]] = {}
    for one in inner.matchers:
        fixed.setdefault(one.label, []).append(one)
    labels = {name: ms[0].value for name, ms in fixed.items() if len(ms) == 1 and ms[0].op == "=" and ms[0].value}
    return without_name(labels)
