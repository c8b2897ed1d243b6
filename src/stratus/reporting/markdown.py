"""The report as Markdown, for tickets and postmortems."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.kit.clock import iso
from stratus.model.rehearsals import Rehearsed
from stratus.model.reports import Attempt, Report
from stratus.reporting.notify import duration, headline
from stratus.reporting.numbers import COMPONENT_HEADINGS, SERVICE_HEADINGS, Row, component_rows, service_rows


def markdown(report: Report) -> str:
    """Return the whole report as one Markdown document."""
    parts = [f"# {headline(report)}", *_summary(report)]
    parts += _section("Timeline", (f"- `{iso(e.at)}` **{e.stage}** {_inline(e.text)}" for e in report.timeline))
    if report.root_cause:
        cause = report.root_cause
        parts += [
            "## Root cause",
            f"`{cause.object}`: {cause.fault.replace('_', ' ')} ({cause.confidence:.0%}). {_inline(cause.summary)}",
            "\n".join(f"- {e.id} ({e.kind}) {_inline(e.summary)}" for e in cause.evidence),
        ]
    rows = (
        f"| {h.id} | {h.status} | {h.confidence:.0%} | {h.fault} | `{h.object}` | {_cell(h.summary)} |"
        for h in report.hypotheses
    )
    parts += _table("Hypotheses", "| id | status | confidence | class | object | summary |", rows)
    for attempt in report.attempts:
        parts += _attempt(attempt)
    parts += _rehearsals(report)
    if report.suggestion:
        parts += ["## Proposed, not executed", _code(report.suggestion)]
    if report.changes:
        parts += ["## What is different now", _code(report.changes)]
    parts += _section(
        "Knowledge used", (f"- {c.kind} `{c.id}` ({c.score:.2f}): {_inline(c.title)}" for c in report.knowledge)
    )
    parts += _section("Notes", (f"- {_inline(n)}" for n in report.notes))
    parts += _section("Sources that gave nothing", (f"- {k}: {_inline(v)}" for k, v in report.missing.items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: Report) -> list[str]:
    m, u = report.mttr, report.usage
    lines = [
        f"- State: **{report.state.value}** (mode {report.mode})",
        f"- Alerts: {', '.join(dict.fromkeys(a.name for a in report.incident.alerts)) or 'none'}",
        f"- Services: {', '.join(report.incident.services) or 'none named'}",
        f"- Time: detect {duration(m.detect)}, diagnose {duration(m.diagnose)}, mitigate {duration(m.mitigate)}, "
        f"total {duration(m.total)}",
        f"- Thinking: {u.reasoner}, {u.model_calls} model calls, {u.tokens_in} tokens in, {u.tokens_out} out, "
        f"${u.cost:.4f}",
    ]
    return ["\n".join(lines)]


def _attempt(attempt: Attempt) -> list[str]:
    end = "undone" if attempt.undone else "kept" if attempt.executed else "not executed"
    parts = [f"## Attempt {attempt.number}: {attempt.verdict or 'no verdict'}, {end}", _inline(attempt.summary)]
    if attempt.commands:
        parts.append(_code(attempt.commands))
    if attempt.diff:
        parts.append(_code(attempt.diff, "diff"))
    if attempt.verdict_report is not None:
        v = attempt.verdict_report
        parts.append(f"Verdict **{v.verdict}**: {_inline(v.reason)}")
        parts += _table("", _header(SERVICE_HEADINGS), (_line(r) for r in service_rows(v)))
        parts += _table("", _header(COMPONENT_HEADINGS), (_line(r) for r in component_rows(v)))
        if v.policy:
            parts.append(f"Rule: {_inline(v.policy)}.")
        parts += [f"- alert not counted: {_inline(text)}" for text in v.ignored]
    if attempt.prediction is not None:
        parts.append(f"Foretold: {_inline(attempt.prediction.text())}")
    if attempt.undo_proof is not None:
        p = attempt.undo_proof
        said = "proved by reading back" if p.proved else "NOT proved"
        parts.append(f"Undo {said}: {p.checked} object(s) checked, {len(p.differences)} difference(s).")
    parts += [f"- refused: `{r.command}`: {_inline(r.message)}" for r in attempt.refusals]
    return parts


def _header(headings: tuple[str, ...]) -> str:
    return f"| {' | '.join(_cell(h) for h in headings)} |"


def _line(row: Row) -> str:
    cells = [_cell(cell) for cell in row.cells]
    return f"| {' | '.join([f'**{cells[0]}**' if row.decided else cells[0], *cells[1:]])} |"


def _rehearsals(report: Report) -> list[str]:
    """Return what was foretold of every plan, and how that went together with what happened."""
    rows = (
        f"| {r.attempt} | {_fate(r)} | {r.prediction.foretold} | {r.confidence:.0%} | {_cell(r.summary)} "
        f"| {_cell(r.prediction.text())} | {r.prediction.cpu:.2f} |"
        for r in report.rehearsals
    )
    header = "| attempt | | foretold | confidence | plan | why | CPU s |"
    parts = _table("Rehearsals", header, rows)
    table = report.agreement.rows()
    if table:
        parts.append(f"Foretold and happened: {report.agreement.text()}.")
        parts += _table("", f"| {' | '.join(table[0])} |", (f"| {' | '.join(row)} |" for row in table[1:]))
    return parts


def _fate(row: Rehearsed) -> str:
    return "held back" if row.held_back else "taken" if row.chosen else "passed over"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    text = "\n".join(lines)
    return [f"## {title}", text] if text else []


def _table(title: str, header: str, rows: Iterable[str]) -> list[str]:
    body = "\n".join(rows)
    if not body:
        return []
    rule = "|" + "---|" * (header.replace("\\|", "").count("|") - 1)
    return ([f"## {title}"] if title else []) + [f"{header}\n{rule}\n{body}"]


def _code(lines: Iterable[str], language: str = "") -> str:
    body = "\n".join(lines)
    fence = "```"
    while fence in body:
        fence += "`"
    return f"{fence}{language}\n{body}\n{fence}"


def _inline(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _inline(text).replace("|", "\\|")
