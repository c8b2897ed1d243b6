"""Notification drafts: what a person would want to read first; drafting sends nothing."""

from __future__ import annotations

from stratus.model.base import Json
from stratus.model.reports import IncidentState, Notification, Report

SIGNS: dict[IncidentState, tuple[str, str]] = {
    IncidentState.RESOLVED: (":white_check_mark:", "Resolved"),
    IncidentState.HEALTHY: (":white_check_mark:", "Nothing wrong"),
    IncidentState.UNRESOLVED: (":warning:", "Not resolved, system restored"),
    IncidentState.NEEDS_HUMAN: (":rotating_light:", "Needs a human"),
}
SLACK_TEXT_LIMIT = 2900
"""A section block of Slack holds 3,000 characters."""


def drafts(report: Report) -> tuple[Notification, ...]:
    """Return one Slack draft (blocks in `payload`) and one plain one."""
    title = headline(report)
    lines = facts(report)
    plain = "\n".join([title, "", *(f"- {line}" for line in lines)])
    return (
        Notification(channel="slack", title=title, body=_mrkdwn(title, lines), payload=blocks(report, title, lines)),
        Notification(channel="plain", title=title, body=plain),
    )


def headline(report: Report) -> str:
    """Return one line: how it ended and where."""
    _, word = SIGNS.get(report.state, (":hourglass:", report.state.value.replace("_", " ").capitalize()))
    where = ", ".join(report.incident.services[:3]) or ", ".join(report.incident.namespaces) or "cluster"
    return f"{word}: {where} ({report.incident.id})"


def facts(report: Report) -> list[str]:
    """Return the few lines that matter: cause, what was done, what was undone, how long, what is left to do."""
    lines = []
    if report.incident.alerts:
        lines.append("Alerts: " + ", ".join(dict.fromkeys(a.name for a in report.incident.alerts)))
    if report.root_cause:
        cause = report.root_cause
        lines.append(
            f"Cause: {cause.object} ({cause.fault.replace('_', ' ')}, {cause.confidence:.0%}): {cause.summary}"
        )
    kept = [a for a in report.attempts if a.executed and not a.undone]
    undone = [a for a in report.attempts if a.undone]
    for attempt in kept:
        lines.append("Changed: " + "; ".join(attempt.commands or (attempt.summary,)))
    for attempt in undone:
        proof = "undo proved" if attempt.undo_proof and attempt.undo_proof.proved else "undo NOT proved"
        lines.append(f"Tried and taken back ({attempt.verdict}, {proof}): {'; '.join(attempt.commands)}")
    if report.suggestion:
        lines.append("Proposed, not executed: " + "; ".join(report.suggestion))
    if report.state == IncidentState.RESOLVED:
        m = report.mttr
        lines.append(
            f"MTTR {duration(m.total)} (detect {duration(m.detect)}, diagnose {duration(m.diagnose)}, "
            f"mitigate {duration(m.mitigate)})"
        )
    if report.state == IncidentState.NEEDS_HUMAN and report.timeline:
        lines.append("Reason: " + report.timeline[-1].text)
    lines.extend(report.notes[:3])
    return lines


def duration(seconds: float) -> str:
    """Write seconds for people: `850 ms`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def blocks(report: Report, title: str, lines: list[str]) -> Json:
    """Return a Slack message with blocks; text is escaped as Slack asks for."""
    sign, _ = SIGNS.get(report.state, (":hourglass:", ""))
    body = "\n".join(f"• {_escape(line)}" for line in lines)[:SLACK_TEXT_LIMIT] or "No details."
    return {
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": f"{sign} {title}"[:150], "emoji": True}},
            {"type": "section", "text": {"type": "mrkdwn", "text": body}},
            {
                "type": "context",
                "elements": [{"type": "mrkdwn", "text": f"incident `{report.incident.id}` · mode `{report.mode}`"}],
            },
        ],
    }


def _mrkdwn(title: str, lines: list[str]) -> str:
    return "\n".join([f"*{_escape(title)}*", *(f"• {_escape(line)}" for line in lines)])


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
