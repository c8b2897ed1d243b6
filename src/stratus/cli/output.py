"""How commands speak: people read stderr or a terminal, programs read stdout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from stratus.errors import UsageError
from stratus.model.reports import Report, TimelineEntry

#: Columns of a table that is not shown on a terminal.
PIPED = 160


def console(*, machine: bool = False) -> Console:
    """Return where to write for people: stdout, or stderr when stdout belongs to a machine.

    Into a pipe or a file a line stays one line and a table gets the room it needs, so that it can be searched.
    """
    out = Console(stderr=machine, highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        return Console(stderr=machine, highlight=False, soft_wrap=True, width=PIPED)
    return out


class Progress:
    """Live lines while an incident is worked on."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def __call__(self, entry: TimelineEntry) -> None:
        """Show one line of the timeline."""
        from stratus.reporting.terminal import progress_line

        self.out.print(progress_line(entry))


def finish(report: Report, *, as_json: bool, report_dir: Path | None) -> int:
    """Print the report, write its files, and return the exit code."""
    if as_json:
        print_json(report)
    else:
        from stratus.reporting.terminal import show

        show(report, console())
    if report_dir is not None:
        write_files(report, report_dir)
        console(machine=as_json).print(f"report: {report_dir / 'report.html'}", style="dim", markup=False)
    return report.exit_code


def print_json(report: Report) -> None:
    """Print a report for a machine."""
    sys.stdout.write(report.model_dump_json(by_alias=True, indent=1) + "\n")
    sys.stdout.flush()


def write_files(report: Report, folder: Path) -> None:
    """Write report.json, report.md and report.html.

    Raises:
        UsageError: the folder cannot be written.
    """
    from stratus.reporting.html import html
    from stratus.reporting.markdown import markdown

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(markdown(report), encoding="utf-8")
        (folder / "report.html").write_text(html(report), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {folder} ({error.strerror}): give another --report-dir"
        ) from error
