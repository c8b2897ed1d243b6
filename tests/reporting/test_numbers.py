"""Every verdict is shown with its numbers: scores, samples, spreads, bounds, and what decided."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from builders_reporting import attempt, story
from rich.console import Console

from stratus.model.health import ComponentChange, ServiceVerdict, VerdictReport
from stratus.model.reports import Report
from stratus.reporting.html import html
from stratus.reporting.markdown import markdown
from stratus.reporting.numbers import bound, component_rows, headline_of, service_rows, split_rows
from stratus.reporting.report import build_report
from stratus.reporting.terminal import MOST_SERVICES, show

WEB = ServiceVerdict(
    service="shop/web", before=0.2, after=-0.1, spread_before=0.012, spread_after=0.004, samples_before=5,
    samples_after=7, direction="worse", decided=("error_rate",),
)  # fmt: skip
API = ServiceVerdict(service="shop/api", before=0.3, after=0.3, samples_before=1, samples_after=1)
GONE = ServiceVerdict(service="shop/<gone>", before=0.3, samples_before=1, direction="unknown")
ERRORS = ComponentChange(
    component="shop/web error_rate", before=0.1, after=0.43, noise=0.042, noise_better=0.061, direction="worse",
    samples_before=5, samples_after=7, spread_before=0.011, spread_after=0.02, decided=True,
)  # fmt: skip
LATENCY = ComponentChange(
    component="shop/web latency_p99", before=0.2, after=0.21, noise=0.02, noise_better=0.03, direction="same",
    scale="term", samples_before=5, samples_after=7,
)  # fmt: skip
PODS = ComponentChange(component="shop/web pods", before=1.0, after=0.5, noise=0.02, direction="worse", decided=True)
LOST = ComponentChange(component="shop/<gone> endpoints", before=2, after=None, noise=0.0, direction="unknown")
VERDICT = VerdictReport(
    verdict="REGRESSED",
    reason="worse",
    changes=(LATENCY, LOST, ERRORS, PODS),
    services=(WEB, API, GONE),
    policy="strict: one-sided Welch test",
    ignored=("Nightly: fires | during backups",),
)


@pytest.fixture
def report() -> Report:
    tried = attempt(1, "REGRESSED", undone=True).model_copy(update={"verdict_report": VERDICT})
    return build_report(story(attempts=(tried,)))


def test_rows_of_services() -> None:
    first, second, third = service_rows(VERDICT)
    assert first.cells == ("shop/web", "+0.200 ± 0.012 (n 5)", "-0.100 ± 0.004 (n 7)", "worse", "error_rate")
    assert second.cells == ("shop/api", "+0.300 (n 1)", "+0.300 (n 1)", "same", "-")
    assert third.cells[2] == "unknown", "what is not known is not nothing"
    assert split_rows([first, second, third]) == ([first, third], [second])


def test_rows_of_components() -> None:
    rows = component_rows(VERDICT)
    assert [r.cells[0] for r in rows] == ["shop/web error_rate", "shop/web pods", "shop/<gone> endpoints"]
    assert rows[0].cells[1:] == ("0.1 ± 0.011 (n 5)", "0.43 ± 0.02 (n 7)", "0.042 | 0.061", "worse, decided")
    assert rows[1].cells[1:] == ("1", "0.5", "0.02", "worse, decided"), "states of objects have no spread"
    assert rows[2].cells[1:] == ("2", "unknown", "-", "unknown")
    assert [r.cells[0] for r in component_rows(VERDICT, all_of_them=True)][-1] == "shop/web latency_p99"
    assert bound(LATENCY) == "0.02 | 0.03 of p99/(p99+SLO)", "the bound of a latency is none in seconds"


def test_json(report: Report) -> None:
    (tried,) = json.loads(report.model_dump_json(by_alias=True))["attempts"]
    found = tried["verdict_report"]
    assert found["services"][0]["decided"] == ["error_rate"]
    assert [c["component"] for c in found["changes"] if c["decided"]] == ["shop/web error_rate", "shop/web pods"]
    assert (found["policy"], found["ignored"]) == (VERDICT.policy, list(VERDICT.ignored))


def test_markdown(report: Report) -> None:
    text = markdown(report)
    assert "| service | H before | H after |  | decided by |" in text
    assert "| **shop/web** | +0.200 ± 0.012 (n 5) | -0.100 ± 0.004 (n 7) | worse | error_rate |" in text
    assert (
        "| **shop/web error_rate** | 0.1 ± 0.011 (n 5) | 0.43 ± 0.02 (n 7) | 0.042 \\| 0.061 | worse, decided |" in text
    )
    assert "Rule: strict: one-sided Welch test." in text
    assert "alert not counted: Nightly: fires | during backups" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(columns) == 1, block


def test_html(report: Report) -> None:
    page = html(report)
    rows = re.findall(r'<tr class="decided">(.*?)</tr>', page)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert texts[0] == "shop/web +0.200 ± 0.012 (n 5) -0.100 ± 0.004 (n 7) worse error_rate"
    assert texts[1] == "shop/web error_rate 0.1 ± 0.011 (n 5) 0.43 ± 0.02 (n 7) 0.042 | 0.061 worse decided"
    assert "1 service as before" in page
    assert "shop/&lt;gone&gt;" in page
    assert "<gone>" not in page
    assert "alert not counted: Nightly" in page
    assert "strict: one-sided Welch test" in page


def test_html_of_a_verdict_without_numbers() -> None:
    """Such as that of a plan that was refused, or of a report of an earlier version."""
    tried = attempt(1, "UNCHANGED", undone=True).model_copy(
        update={"verdict_report": VerdictReport(verdict="UNCHANGED", reason="nothing")}
    )
    page = html(build_report(story(attempts=(tried,))))
    assert 'class="verdict"' not in page
    assert "the numbers that decided" not in page
    assert VerdictReport.model_validate({"verdict": "UNCHANGED", "reason": "x"}).services == ()


def test_terminal(report: Report) -> None:
    out = StringIO()
    show(report, Console(file=out, width=140))
    text = out.getvalue()
    assert "shop/web  H +0.200 ± 0.012 (n 5) -> -0.100 ± 0.004 (n 7)  worse, decided by error_rate" in text
    assert "shop/<gone>" in text
    assert "shop/api" not in text, "what did not move is in the files"
    assert headline_of(API) == "shop/api  H +0.300 (n 1) -> +0.300 (n 1)  same"


def test_a_terminal_is_not_flooded(report: Report) -> None:
    many = tuple(WEB.model_copy(update={"service": f"shop/s{i}"}) for i in range(30))
    tried = report.attempts[0].model_copy(update={"verdict_report": VERDICT.model_copy(update={"services": many})})
    out = StringIO()
    show(report.model_copy(update={"attempts": (tried,)}), Console(file=out, width=140))
    assert out.getvalue().count("decided by error_rate") == MOST_SERVICES
