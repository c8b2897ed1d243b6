"""The numbers behind a verdict as rows of text: scores of services, and the components that were compared."""

from __future__ import annotations

from stratus.model.base import Noun
from stratus.model.health import ComponentChange, ServiceVerdict, VerdictReport

SERVICE_HEADINGS = ("service", "H before", "H after", "", "decided by")
COMPONENT_HEADINGS = ("component", "before", "after", "counts as worse | better from", "")


class Row(Noun):
    """One line of a table.

    Attributes:
        cells: in the order of the headings.
        direction: better, worse, same or unknown.
        decided: whether the verdict rests on it.
    """

    cells: tuple[str, ...]
    direction: str
    decided: bool = False


def service_rows(verdict: VerdictReport) -> list[Row]:
    """Return each service's mean score before and after, with its spread and the number of samples."""
    return [
        Row(
            cells=(
                one.service,
                _score(one.before, one.spread_before, one.samples_before),
                _score(one.after, one.spread_after, one.samples_after),
                one.direction,
                ", ".join(one.decided) or "-",
            ),
            direction=one.direction,
            decided=bool(one.decided),
        )
        for one in verdict.services
    ]


def split_rows(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows that tell something, and those that are as before."""
    moved = [row for row in rows if row.decided or row.direction != "same"]
    return moved, [row for row in rows if row not in moved]


def component_rows(verdict: VerdictReport, *, all_of_them: bool = False) -> list[Row]:
    """Return the components that moved (or all), with spread, number of samples and the bounds that were used."""
    shown = [c for c in verdict.changes if all_of_them or c.direction != "same"]
    return [
        Row(
            cells=(
                one.component,
                _figure(one.before, one.spread_before, one.samples_before),
                _figure(one.after, one.spread_after, one.samples_after),
                bound(one),
                f"{one.direction}, decided" if one.decided else one.direction,
            ),
            direction=one.direction,
            decided=one.decided,
        )
        for one in sorted(shown, key=lambda c: (not c.decided, c.direction == "same"))
    ]


def bound(one: ComponentChange) -> str:
    """Return from which difference on a component counts, such as `0.043 | 0.061`; states of objects have one bound."""
    if one.direction == "unknown" or (not one.noise and one.noise_better is None):
        return "-"
    text = f"{one.noise:.3g}" if one.noise_better is None else f"{one.noise:.3g} | {one.noise_better:.3g}"
    return f"{text} of p99/(p99+SLO)" if one.scale == "term" else text


def headline_of(one: ServiceVerdict) -> str:
    """Return one service in one line, for a terminal."""
    why = f", decided by {', '.join(one.decided)}" if one.decided else ""
    before = _score(one.before, one.spread_before, one.samples_before)
    after = _score(one.after, one.spread_after, one.samples_after)
    return f"{one.service}  H {before} -> {after}  {one.direction}{why}"


def _score(mean: float | None, spread: float | None, samples: int) -> str:
    if mean is None:
        return "unknown"
    return f"{mean:+.3f}" + (f" ± {spread:.3f}" if spread is not None else "") + f" (n {samples})"


def _figure(mean: float | None, spread: float | None, samples: int) -> str:
    if mean is None:
        return "unknown"
    return f"{mean:.3g}" + (f" ± {spread:.2g}" if spread is not None else "") + (f" (n {samples})" if samples else "")
