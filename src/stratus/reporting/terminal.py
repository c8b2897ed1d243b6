"""The report and the live progress in a terminal, with rich."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stratus.kit.clock import iso
from stratus.model.reports import Attempt, IncidentState, Report, TimelineEntry
from stratus.reporting.notify import duration, headline
from stratus.reporting.numbers import headline_of

COLOURS = {"info": "default", "good": "green", "warning": "yellow", "bad": "red"}
STATE_COLOURS = {
    IncidentState.RESOLVED: "green",
    IncidentState.HEALTHY: "green",
    IncidentState.UNRESOLVED: "yellow",
    IncidentState.NEEDS_HUMAN: "red",
}

MOVED = {"better": "green", "worse": "red", "unknown": "yellow", "same": "dim"}
MOST_SERVICES = 5
"""Services of an attempt that are told with their numbers; all of them are in the report's files."""


def progress_line(entry: TimelineEntry) -> Text:
    """One line of live progress: time, stage, what happened."""
    line = Text()
    line.append(iso(entry.at)[11:19] + "  ", style="dim")
    line.append(f"{entry.stage:<20}", style="bold cyan")
    line.append(entry.text, style=COLOURS[entry.severity])
    return line


def render(report: Report) -> RenderableType:
    """Return the end of an incident as one rich renderable."""
    colour = STATE_COLOURS.get(report.state, "cyan")
    parts: list[RenderableType] = []
    if report.root_cause:
        cause = report.root_cause
        parts.append(
            Text.assemble(
                ("Root cause  ", "bold"), (cause.object, "bold magenta"), f"  {cause.fault} {cause.confidence:.0%}"
            )
        )
        parts.append(Padding(Text(cause.summary), (0, 0, 0, 12)))
        for item in cause.evidence[:5]:
            parts.append(
                Padding(Text.assemble((f"{item.id} ", "dim"), (f"{item.kind}: ", "dim"), item.summary), (0, 0, 0, 12))
            )
    for attempt in report.attempts:
        parts.append(_attempt(attempt))
    held = [r for r in report.rehearsals if r.held_back]
    parts.extend(Text(f"held back  {r.summary}: {r.prediction.text()}", style="yellow") for r in held)
    if report.agreement.total:
        parts.append(Text(f"rehearsals {report.agreement.text()}", style="dim"))
    if report.suggestion:
        parts.append(Text("\nProposed, not executed:", style="bold yellow"))
        parts.extend(Text("  " + line, style="yellow") for line in report.suggestion)
    if report.changes:
        parts.append(Text("\nDifferent now:", style="bold"))
        parts.extend(Text("  " + line, style="green") for line in report.changes[:20])
    parts.append(Text())
    parts.append(_times(report))
    for citation in report.knowledge[:4]:
        parts.append(
            Text(f"knowledge  {citation.kind} {citation.id} ({citation.score:.2f})  {citation.title}", style="dim")
        )
    parts.extend(Text(f"note  {note}", style="dim") for note in report.notes)
    return Panel(Group(*parts), title=f"[bold {colour}]{headline(report)}[/]", border_style=colour, padding=(1, 2))


def _attempt(attempt: Attempt) -> RenderableType:
    colour = {"RESOLVED": "green", "IMPROVED": "green", "REGRESSED": "red"}.get(attempt.verdict or "", "yellow")
    text = Text("\n")
    text.append(f"Attempt {attempt.number}  ", style="bold")
    text.append(attempt.verdict or "not executed", style=f"bold {colour}")
    if attempt.health_before is not None and attempt.health_after is not None:
        text.append(f"  health {attempt.health_before:+.3f} -> {attempt.health_after:+.3f}")
    if attempt.undone and attempt.undo_proof is not None:
        proof = attempt.undo_proof
        said = f"undone, proved on {proof.checked} object(s)" if proof.proved else "undone, NOT proved"
        text.append("  " + said, style="cyan" if proof.proved else "bold red")
    lines: list[RenderableType] = [text, Padding(Text(attempt.summary), (0, 0, 0, 11))]
    lines += [Padding(Text("$ " + command, style="bold"), (0, 0, 0, 11)) for command in attempt.commands]
    if attempt.prediction is not None:
        lines.append(Padding(Text(f"foretold {attempt.prediction.text()}", style="dim"), (0, 0, 0, 11)))
    if attempt.verdict_report is not None:
        lines.append(Padding(Text(attempt.verdict_report.reason, style="dim"), (0, 0, 0, 11)))
        told = [s for s in attempt.verdict_report.services if s.decided or s.direction != "same"][:MOST_SERVICES]
        lines += [Padding(Text(headline_of(s), style=MOVED[s.direction]), (0, 0, 0, 11)) for s in told]
    lines += [Padding(Text(f"refused: {r.message}", style="red"), (0, 0, 0, 11)) for r in attempt.refusals]
    return Group(*lines)


def _times(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    m, u = report.mttr, report.usage
    parts = [f"detect {duration(m.detect)}", f"diagnose {duration(m.diagnose)}", f"mitigate {duration(m.mitigate)}"]
    table.add_row("MTTR" if report.state == IncidentState.RESOLVED else "Time", duration(m.total), *parts)
    if u.model_calls:
        table.add_row(
            "Model", u.reasoner, f"{u.model_calls} calls", f"{u.tokens_in}+{u.tokens_out} tokens", f"${u.cost:.4f}"
        )
    return table


def show(report: Report, console: Console) -> None:
    """Write the report to a console."""
    console.print(render(report))
