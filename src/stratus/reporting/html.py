"""The report as one self-contained HTML file: no script, no request to anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stratus.kit.clock import iso
from stratus.model.reports import IncidentState, Report
from stratus.reporting.chart import health_chart
from stratus.reporting.notify import duration, headline
from stratus.reporting.numbers import COMPONENT_HEADINGS, SERVICE_HEADINGS, component_rows, service_rows, split_rows

MOODS: dict[str | None, str] = {"RESOLVED": "good", "IMPROVED": "good", "REGRESSED": "bad", "UNCHANGED": "warning",
                                "UNKNOWN": "warning", None: "info"}  # fmt: skip
STATE_MOODS = {IncidentState.RESOLVED: "good", IncidentState.HEALTHY: "good", IncidentState.UNRESOLVED: "warning",
               IncidentState.NEEDS_HUMAN: "bad"}  # fmt: skip


def html(report: Report) -> str:
    """Render the report as a complete HTML document (UTF-8 text)."""
    m = report.mttr
    total = m.total or 1.0
    chart = health_chart(report)
    return _environment().get_template("report.html.j2").render(
        report=report,
        headline=headline(report),
        mood=STATE_MOODS.get(report.state, "info"),
        moods=MOODS,
        undone=sum(a.undone for a in report.attempts),
        split=[round(100 * part / total, 2) for part in (m.detect, m.diagnose, m.mitigate)],
        chart=Markup(chart) if chart else "",  # noqa: S704 - our own SVG, numbers only
        service_rows=service_rows,
        split_rows=split_rows,
        component_rows=component_rows,
        service_headings=SERVICE_HEADINGS,
        component_headings=COMPONENT_HEADINGS,
        direction=_direction,
        duration=duration,
        iso=iso,
        clock=lambda at: iso(at)[11:19],
    )  # fmt: skip


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("stratus.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    env.filters["percent"] = lambda value: f"{value:.0%}"
    env.filters["number"] = _number
    return env


def _direction(word: str) -> Markup:
    return Markup('<span class="mark m-{0}">{0}</span>').format(word)


def _number(value: Any) -> str:
    return "unknown" if value is None else f"{value:.3g}"
