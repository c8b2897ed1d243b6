"""What functions and aggregations take and give."""

from __future__ import annotations

from dataclasses import dataclass

from stratus.sim.telemetry.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Negative,
    Node,
    Number,
    Range,
    Selector,
    Subquery,
    Text,
)

AGGREGATIONS = frozenset(
    {
        "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile",
        "count_values",
    }
)  # fmt: skip
#: Kind of the parameter of the aggregations that have one.
PARAMETER = {"topk": "scalar", "bottomk": "scalar", "quantile": "scalar", "count_values": "string"}


@dataclass(frozen=True)
class Signature:
    """Kinds of the arguments, how many of the last may be left out (-1: it may be repeated), and the result's kind."""

    arguments: tuple[str, ...]
    optional: int = 0
    gives: str = "vector"

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the least and the largest number of arguments."""
        if self.optional < 0:
            return len(self.arguments) - 1, 64
        return len(self.arguments) - self.optional, len(self.arguments)

    def kind(self, number: int) -> str:
        """Return the kind of an argument."""
        return self.arguments[min(number, len(self.arguments) - 1)]


def _of(names: str, *arguments: str, optional: int = 0, gives: str = "vector") -> dict[str, Signature]:
    return dict.fromkeys(names.split(), Signature(arguments, optional, gives))


_OVER_TIME = (
    "rate irate increase delta idelta deriv changes resets sum_over_time avg_over_time min_over_time max_over_time "
    "count_over_time last_over_time present_over_time stddev_over_time stdvar_over_time absent_over_time"
)
_PLAIN = (
    "abs ceil floor exp ln log2 log10 sqrt sgn sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh deg rad "
    "absent sort sort_desc timestamp histogram_count histogram_sum"
)
SIGNATURES: dict[str, Signature] = {
    **_of(_OVER_TIME, "matrix"),
    **_of("quantile_over_time", "scalar", "matrix"),
    **_of("predict_linear", "matrix", "scalar"),
    **_of("holt_winters", "matrix", "scalar", "scalar"),
    **_of(_PLAIN, "vector"),
    **_of("round", "vector", "scalar", optional=1),
    **_of("clamp", "vector", "scalar", "scalar"),
    **_of("clamp_min clamp_max", "vector", "scalar"),
    **_of("histogram_quantile", "scalar", "vector"),
    **_of("label_replace", "vector", "string", "string", "string", "string"),
    **_of("label_join", "vector", "string", "string", "string", optional=-1),
    **_of("time pi", gives="scalar"),
    **_of("scalar", "vector", gives="scalar"),
    **_of("vector", "scalar"),
    **_of("minute hour day_of_week day_of_month day_of_year days_in_month month year", "vector", optional=1),
}


def kind_of(node: Node) -> str:
    """Return what an expression gives: scalar, string, vector or matrix."""
    if isinstance(node, Number):
        return "scalar"
    if isinstance(node, Text):
        return "string"
    if isinstance(node, Range | Subquery):
        return "matrix"
    if isinstance(node, Selector | Aggregate):
        return "vector"
    if isinstance(node, Negative):
        return kind_of(node.inner)
    if isinstance(node, Call):
        return SIGNATURES[node.function].gives
    assert isinstance(node, Binary)
    return "scalar" if kind_of(node.left) == kind_of(node.right) == "scalar" else "vector"
