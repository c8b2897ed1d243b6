"""Terminal, Markdown, HTML, Slack: complete, escaped, self-contained."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from builders_reporting import attempt, story, vector
from rich.console import Console

from stratus.model.reports import IncidentState, Report, TimelineEntry
from stratus.reporting.chart import health_chart
from stratus.reporting.html import html
from stratus.reporting.markdown import markdown
from stratus.reporting.notify import drafts, duration, headline
from stratus.reporting.report import build_report
from stratus.reporting.terminal import progress_line, show

STATES = list(IncidentState)


def full(state: IncidentState = IncidentState.RESOLVED, **changes: object) -> Report:
    report = build_report(story(state, **changes))
    return report.model_copy(update={"notifications": drafts(report)})


class Wellformed(HTMLParser):
    VOID = frozenset({"meta", "br", "rect", "line", "path", "circle", "link", "img", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("state", STATES)
def test_html_is_well_formed_and_asks_nobody_for_anything(state: IncidentState) -> None:
    page = html(full(state))
    parser = Wellformed()
    parser.feed(page)
    assert parser.wrong == []
    assert parser.stack == []
    assert "<script" not in page
    assert not [v for k, v in parser.attributes if k in ("src", "href")]
    assert "url(" not in page
    assert "@import" not in page


def test_html_escapes_what_the_cluster_says() -> None:
    entry = TimelineEntry(at=1.0, stage="LogAnalysis", text="<script>alert(1)</script>")
    page = html(full(timeline=(entry,)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "on &lt;web&gt; &amp; friends" in page


def test_html_tells_the_whole_story() -> None:
    page = html(full())
    for text in ("UNCHANGED", "RESOLVED", "proved on 1 object", "kept", "rollout undo", "spec.replicas: 1 -&gt; 2",
                 "Roll back", "HighRequestErrorRate", "emulated", "3 min 20 s"):  # fmt: skip
        assert text in page, text


def test_html_of_an_incident_without_attempts_causes_or_health() -> None:
    page = html(full(IncidentState.HEALTHY, attempts=(), ledger=(), health=(), citations=()))
    assert "Root cause" not in page
    assert "<svg" not in page


def test_the_chart_stays_inside_its_frame_and_marks_the_attempts() -> None:
    svg = health_chart(full())
    assert svg.count("<rect") == 2
    assert svg.count("<path") == 2, "the mean and the worst service"
    numbers = [float(n) for n in re.findall(r'c[xy]="(-?[\d.]+)"', svg)]
    assert numbers
    assert all(0 <= n <= 1000 for n in numbers)
    assert health_chart(full(health=(vector(1.0, 0.2),))) == "", "one sample is no line"
    assert health_chart(full(health=(vector(1.0, None), vector(2.0, None)))) == "", "unknown is not drawn as zero"


def test_markdown_has_every_part_and_survives_hostile_text() -> None:
    text = markdown(full())
    for heading in ("# Resolved", "## Timeline", "## Root cause", "## Hypotheses", "## Attempt 1: UNCHANGED, undone",
                    "## Attempt 2: RESOLVED, kept", "## What is different now", "## Knowledge used"):  # fmt: skip
        assert heading in text, heading
    assert "<web>" not in text
    hostile = attempt(1, "RESOLVED", undone=False).model_copy(update={"commands": ("a ``` b",)})
    assert "````\na ``` b\n````" in markdown(full(attempts=(hostile,)))


def test_unknown_numbers_are_said_to_be_unknown() -> None:
    tried = attempt(1, "UNKNOWN", undone=True)
    assert tried.verdict_report is not None
    lost = tried.verdict_report.changes[0].model_copy(update={"after": None, "direction": "unknown"})
    blind = tried.model_copy(update={"verdict_report": tried.verdict_report.model_copy(update={"changes": (lost,)})})
    report = full(IncidentState.UNRESOLVED, attempts=(blind,))
    assert "| unknown |" in markdown(report)
    assert ">unknown<" in html(report)


@pytest.mark.parametrize("state", STATES)
def test_the_terminal_shows_every_end(state: IncidentState) -> None:
    sink = io.StringIO()
    console = Console(file=sink, width=110)
    show(full(state), console)
    console.print(progress_line(TimelineEntry(at=0.0, stage="Undo", text="done", severity="good")))
    text = sink.getvalue()
    assert "shop/Deployment/web" in text
    assert "undone, proved on 1 object" in text
    assert "00:00:00" in text


def test_slack_blocks_are_within_slacks_limits_and_escaped() -> None:
    long = attempt(1, "RESOLVED", undone=False).model_copy(update={"commands": ("kubectl <x> & y " * 400,)})
    slack = next(n for n in full(attempts=(long,)).notifications if n.channel == "slack")
    header, section, context = slack.payload["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert "<x>" not in section["text"]["text"]
    assert context["elements"]


def test_drafts_name_cause_action_undo_and_time() -> None:
    plain = next(n for n in full().notifications if n.channel == "plain")
    assert plain.title == "Resolved: shop/web (inc-1)"
    for text in ("Cause: shop/Deployment/web", "Changed: kubectl", "taken back (UNCHANGED, undo proved)", "MTTR 3 min"):
        assert text in plain.body, text


def test_a_draft_for_a_human_gives_the_reason() -> None:
    entry = TimelineEntry(at=1.0, stage="Report", text="needs_human: field spec.replicas was changed by somebody else")
    report = full(IncidentState.NEEDS_HUMAN, timeline=(entry,))
    assert "changed by somebody else" in report.notifications[1].body
    assert headline(report).startswith("Needs a human")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250 ms"), (42, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_notebooks_show_the_page_in_a_frame_and_other_nouns_as_tables() -> None:
    report = full()
    assert report._repr_html_().startswith("<iframe srcdoc=")
    assert "<script>" not in report.incident._repr_html_()
    assert "inc-1" in report.incident._repr_html_()
