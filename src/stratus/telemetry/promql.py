"""PromQL for the conventions of `data/conventions.yaml`, and the reading of what Prometheus answers; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from stratus.model.base import Json


@dataclass(frozen=True)
class Convention:
    """How one kind of instrumentation names its metrics; see the data file."""

    name: str
    counter: str
    bucket: str
    unit: float
    service: tuple[str, ...]
    namespace: tuple[str, ...]
    failed: Mapping[str, str]
    matchers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bound:
    """A convention with the labels that a Prometheus really has for it.

    Attributes:
        service: label that names the service.
        namespace: label that names the namespace, or empty when there is none.
        failed: label that tells failures, or empty: then failures are unknown.
    """

    convention: Convention
    service: str
    namespace: str = ""
    failed: str = ""

    def _select(self, namespaces: Sequence[str], *more: str) -> str:
        parts = [*self.convention.matchers, f'{self.service}!=""', *more]
        if self.namespace and namespaces:
            parts.append(matcher(self.namespace, namespaces))
        return ",".join(parts)

    @property
    def _by(self) -> str:
        return ", ".join(filter(None, (self.service, self.namespace)))

    def rate(self, namespaces: Sequence[str], window: int) -> str:
        """Return the query for requests per second."""
        return f"sum by ({self._by}) (rate({self.convention.counter}{{{self._select(namespaces)}}}[{window}s]))"

    def failures(self, namespaces: Sequence[str], window: int) -> str:
        """Return the query for failed requests per second."""
        failed = f'{self.failed}=~"{self.convention.failed[self.failed]}"'
        return f"sum by ({self._by}) (rate({self.convention.counter}{{{self._select(namespaces, failed)}}}[{window}s]))"

    def latency(self, namespaces: Sequence[str], window: int) -> str:
        """Return the query for the 99th percentile, in the convention's unit."""
        buckets = f"rate({self.convention.bucket}{{{self._select(namespaces)}}}[{window}s])"
        return f"histogram_quantile(0.99, sum by ({self._by}, le) ({buckets}))"

    def identity(self, labels: Mapping[str, str], namespaces: Sequence[str]) -> tuple[str, str]:
        """Return (namespace, service) of a series; without a label, the only namespace asked for."""
        only = namespaces[0] if len(namespaces) == 1 else ""
        return (labels.get(self.namespace, "") if self.namespace else only, labels.get(self.service, ""))


@dataclass(frozen=True)
class Tables:
    """The data file."""

    requests: tuple[Convention, ...]
    usage: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@cache
def tables() -> Tables:
    """Return the conventions, read once."""
    text = (files("stratus.telemetry") / "data" / "conventions.yaml").read_text(encoding="utf-8")
    data: Json = yaml.safe_load(text)
    requests = tuple(
        Convention(
            name=row["name"],
            counter=row["counter"],
            bucket=row["bucket"],
            unit=float(row["unit"]),
            service=tuple(row["service"]),
            namespace=tuple(row["namespace"]),
            failed=row["failed"],
            matchers=tuple(row.get("matchers", ())),
        )
        for row in data["requests"]
    )
    return Tables(requests, {name: tuple(queries) for name, queries in data["usage"].items()})


def matcher(label: str, values: Iterable[str]) -> str:
    """Return a matcher for any of the values, which are taken literally."""
    text = "|".join(_literal(v) for v in values)
    return f'{label}=~"{text}"'


def _literal(value: str) -> str:
    """Escape a value for a regular expression inside a PromQL string."""
    quoted = "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in value)
    return quoted.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def presence(convention: Convention, window: int) -> str:
    """Return the query that tells whether a convention is in use and with which labels."""
    labels = ", ".join(dict.fromkeys([*convention.service, *convention.namespace, *convention.failed]))
    select = ",".join(convention.matchers)
    return f"count by ({labels}) (last_over_time({convention.counter}{{{select}}}[{window}s]))"


def bind(convention: Convention, rows: Iterable[Mapping[str, str]]) -> Bound | None:
    """Choose the labels that the counter carries; None when it does not name services."""
    held = {label for row in rows for label, value in row.items() if value}

    def first(candidates: Iterable[str]) -> str:
        return next((label for label in candidates if label in held), "")

    service = first(convention.service)
    return Bound(convention, service, first(convention.namespace), first(convention.failed)) if service else None


def number(text: Any) -> float | None:
    """Read a sample value; None for NaN, infinities and what is no number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
