"""Writes samples in the text format that Prometheus scrapes, and series with their history as OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.sim.telemetry.catalogue import help_of, type_of
from stratus.sim.telemetry.promql.nodes import quoted
from stratus.sim.telemetry.promql.series import Series
from stratus.sim.telemetry.promql.text import compact
from stratus.sim.telemetry.samples import Sample


def _labelled(name: str, labels: Iterable[tuple[str, str]]) -> str:
    told = ",".join(f"{k}={quoted(v)}" for k, v in labels if k != "__name__")
    return f"{name}{{{told}}}" if told else name


def exposition(samples: Iterable[Sample]) -> str:
    """Return the text for samples that are sorted by name."""
    families: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for name, labels, value in samples:
        family, kind = type_of(name)
        kinds[family] = kind
        families.setdefault(family, []).append(f"{_labelled(name, labels)} {compact(value)}")
    lines: list[str] = []
    for family in sorted(families):
        lines += [f"# HELP {family} {help_of(family)}", f"# TYPE {family} {kinds[family]}", *families[family]]
    return "\n".join(lines) + "\n"


def federated(series: Iterable[Series], now: float) -> str:
    """Return the newest sample of each series, with its time."""
    found: dict[str, list[str]] = {}
    for one in series:
        times, values = one.times, one.values
        if not len(times) or times[-1] < now - 300.0 or (one.stale is not None and one.stale[-1]):
            continue
        name = one.labels["__name__"]
        text = f"{_labelled(name, sorted(one.labels.items()))} {compact(float(values[-1]))} {round(times[-1] * 1000)}"
        found.setdefault(name, []).append(text)
    lines = [line for name in sorted(found) for line in (f"# TYPE {name} untyped", *found[name])]
    return "\n".join(lines) + "\n"


def open_metrics(series: Iterable[Series], *, shift: float = 0.0) -> str:
    """Return series with all their samples, for `promtool tsdb create-blocks-from openmetrics`.

    Args:
        series: what to write; markers of an end cannot be written and are left out.
        shift: seconds added to every time.
    """
    found: dict[str, list[str]] = {}
    for one in series:
        name = one.labels["__name__"]
        head = _labelled(name, sorted(one.labels.items()))
        times, values = one.samples
        found.setdefault(name, []).extend(
            f"{head} {compact(value)} {at + shift:.3f}"
            for at, value in zip(times.tolist(), values.tolist(), strict=True)
        )
    lines = [line for name in sorted(found) for line in (f"# TYPE {name} unknown", *found[name])]
    return "\n".join([*lines, "# EOF"]) + "\n"
