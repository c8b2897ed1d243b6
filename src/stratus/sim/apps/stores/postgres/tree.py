"""Expressions and queries as trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Literal:
    """A constant; `unknown` when it is a quoted one whose type is to be found."""

    value: Any
    unknown: bool = False
    at: int | None = None


@dataclass(slots=True)
class Column:
    """A column by name, perhaps with its table (and that one's schema) before it."""

    parts: tuple[str, ...]
    at: int


@dataclass(slots=True)
class Star:
    """All columns (of a table)."""

    table: str = ""
    at: int = 0


@dataclass(slots=True)
class Call:
    """A function."""

    name: str
    args: list[Expr]
    at: int
    distinct: bool = False
    star: bool = False
    filter: Expr | None = None
    order: list[Order] = field(default_factory=list)
    window: bool = False


@dataclass(slots=True)
class Binary:
    """An operator between two things."""

    op: str
    left: Expr
    right: Expr
    at: int


@dataclass(slots=True)
class Unary:
    """An operator before a thing: `-`, `+`, `not`."""

    op: str
    value: Expr
    at: int


@dataclass(slots=True)
class Cast:
    """A change of type."""

    value: Expr
    type: str
    at: int


@dataclass(slots=True)
class Case:
    """CASE; `operand` is None in the form with conditions."""

    operand: Expr | None
    branches: list[tuple[Expr, Expr]]
    otherwise: Expr | None


@dataclass(slots=True)
class Test:
    """`IS NULL` and its relatives: `null`, `true`, `false`, `unknown`, or `distinct` from `other`."""

    value: Expr
    kind: str
    negated: bool
    other: Expr | None = None


@dataclass(slots=True)
class Among:
    """IN a list or the rows of a query."""

    value: Expr
    options: list[Expr] | Select
    negated: bool


@dataclass(slots=True)
class Between:
    """BETWEEN two bounds."""

    value: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass(slots=True)
class Quantified:
    """`op ANY (...)` or `op ALL (...)` over an array or a query."""

    op: str
    left: Expr
    right: Expr
    every: bool
    at: int


@dataclass(slots=True)
class SubQuery:
    """A query as a value; `exists` asks only whether it has rows, `array` makes an array of them."""

    query: Select
    exists: bool = False
    array: bool = False


@dataclass(slots=True)
class ArrayOf:
    """ARRAY[...] or a row."""

    items: list[Expr]


@dataclass(slots=True)
class Element:
    """An element of an array."""

    value: Expr
    index: Expr


Expr = (
    Literal | Column | Star | Call | Binary | Unary | Cast | Case | Test | Among | Between | Quantified | SubQuery
    | ArrayOf | Element
)  # fmt: skip


@dataclass(slots=True)
class Order:
    """One key of ORDER BY."""

    value: Expr
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(slots=True)
class Source:
    """Something in FROM: a table, a query or a function, and how it is joined to what stands before it."""

    name: tuple[str, ...] = ()
    query: Select | None = None
    call: Call | None = None
    alias: str = ""
    columns: tuple[str, ...] = ()
    join: str = "cross"
    on: Expr | None = None
    using: tuple[str, ...] = ()
    at: int = 0
    lateral: bool = False


@dataclass(slots=True)
class Select:
    """A query. `values` are rows given as such; `union` is (kind, query) that follows."""

    items: list[tuple[Expr, str]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    where: Expr | None = None
    group: list[Expr] = field(default_factory=list)
    having: Expr | None = None
    order: list[Order] = field(default_factory=list)
    limit: Expr | None = None
    offset: Expr | None = None
    distinct: bool = False
    distinct_on: list[Expr] = field(default_factory=list)
    values: list[list[Expr]] | None = None
    unions: list[tuple[str, Select]] = field(default_factory=list)
    named: dict[str, tuple[tuple[str, ...], Any]] = field(default_factory=dict)
    locking: str = ""
    at: int = 0
