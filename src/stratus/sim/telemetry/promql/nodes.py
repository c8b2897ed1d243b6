"""The parts a PromQL expression is made of; times in seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Matcher:
    """One label matcher; `op` is `=`, `!=`, `=~` or `!~`, patterns match whole values."""

    label: str
    op: str
    value: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Return the compiled expression of a pattern matcher."""
        return re.compile(self.value, re.DOTALL)

    def matches(self, value: str) -> bool:
        """Tell whether a label's value (empty when it is absent) fits."""
        if self.op == "=":
            return value == self.value
        if self.op == "!=":
            return value != self.value
        return (self.pattern.fullmatch(value) is not None) == (self.op == "=~")

    def __str__(self) -> str:
        return f"{self.label}{self.op}{quoted(self.value)}"


@dataclass(frozen=True)
class Node:
    """Any expression."""


@dataclass(frozen=True)
class Number(Node):
    """A scalar written out."""

    value: float


@dataclass(frozen=True)
class Text(Node):
    """A string written out."""

    value: str


@dataclass(frozen=True)
class Shift:
    """When a selector looks: `offset` seconds before, or at the moment `at` (epoch s, or `start`, `end`)."""

    offset: float = 0.0
    at: float | str | None = None


@dataclass(frozen=True)
class Selector(Node):
    """An instant vector selector; the name is among the matchers as `__name__`."""

    matchers: tuple[Matcher, ...]
    shift: Shift = Shift()

    @property
    def name(self) -> str:
        """Return the metric's name, empty when the selector does not fix it."""
        return next((m.value for m in self.matchers if m.label == "__name__" and m.op == "="), "")


@dataclass(frozen=True)
class Range(Node):
    """A range vector selector."""

    selector: Selector
    seconds: float


@dataclass(frozen=True)
class Subquery(Node):
    """An expression evaluated over a range; `step` 0 is the default resolution."""

    inner: Node
    seconds: float
    step: float
    shift: Shift = Shift()


@dataclass(frozen=True)
class Call(Node):
    """A function call."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Aggregate(Node):
    """An aggregation over `by` the labels of `grouping`, or `without` them."""

    op: str
    inner: Node
    parameter: Node | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True)
class Matching:
    """How two vectors are paired; `side` is `one`, `left` (many on the left) or `right`."""

    labels: tuple[str, ...] = ()
    on: bool = False
    side: str = "one"
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binary(Node):
    """A binary operation; `boolean` comparisons give 0 and 1 instead of filtering."""

    op: str
    left: Node
    right: Node
    boolean: bool = False
    matching: Matching = field(default_factory=Matching)


@dataclass(frozen=True)
class Negative(Node):
    """A minus in front of an expression."""

    inner: Node


def quoted(text: str) -> str:
    """Return a string as PromQL and the exposition formats write it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
