"""Make docs/reference/kubectl.md: every command of kubectl against a served cluster, pass or fail, and why.

python -m tests.sim.kubectl.table [--only WORDS]
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from . import rows_change, rows_create, rows_read, rows_rollout, rows_streams
from .bench import KUBECTL, Bench, Row, outcome, served

PAGE = Path(__file__).parents[3] / "docs/reference/kubectl.md"
SECTIONS = (
    rows_create.create, rows_read.get, rows_read.describe, rows_rollout.rollout, rows_change.change,
    rows_change.apply, rows_change.delete, rows_change.wait, rows_streams.logs, rows_streams.streams,
    rows_rollout.nodes, rows_rollout.auth, rows_rollout.config, rows_read.discovery,
)  # fmt: skip
ROWS: tuple[Row, ...] = tuple(row for section in SECTIONS for row in section.rows)
HEAD = """\
# kubectl on an embedded cluster

What the real kubectl (1.37) does against a served embedded cluster, over HTTPS, with an application running. Each row
is a check of `tests/sim/kubectl`: it runs the commands, reads their output, and then looks at what is in the cluster:
an exit code alone counts for nothing. This page is made by `python -m tests.sim.kubectl.table`; a test compares it
with what a run gives.
"""


def page(results: dict[str, str]) -> str:
    """Return the page; `results` holds what went wrong by command, nothing for what passed."""
    good = sum(not results[row.command] for row in ROWS)
    lines = [HEAD, f"{good} of {len(ROWS)} rows pass.", ""]
    for section in SECTIONS:
        lines += [f"## {section.title}", "", "| `kubectl` | what is checked | result |", "|---|---|---|"]
        for row in section.rows:
            wrong = results[row.command]
            said = f"fail: {row.fails or wrong.splitlines()[0]}" if wrong else "pass"
            cells = (f"`{row.command}`", row.what, said)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def expected() -> dict[str, str]:
    """Return the results the rows themselves announce."""
    return {row.command: row.fails for row in ROWS}


def run(bench: Bench, rows: tuple[Row, ...] = ROWS) -> dict[str, str]:
    """Run rows; return what went wrong by command."""
    return {row.command: outcome(bench, row) for row in rows}


def commands() -> set[str]:
    """Return every command and subcommand that kubectl itself lists."""
    found: set[str] = set()
    todo = [""]
    while todo:
        path = todo.pop()
        text = subprocess.run([KUBECTL, *path.split(), "--help"], capture_output=True, text=True, check=True).stdout
        heads = [part for part in text.split("\n\n") if re.match(r"[A-Z][\w ()]*Commands[^\n]*:\n", part)]
        for part in heads:
            for name in re.findall(r"^  ([a-z][\w-]*) ", part, re.M):
                full = f"{path} {name}".strip()
                found.add(full)
                # Only create has commands below its commands.
                if not path or full in ("create secret", "create service"):
                    todo.append(full)
    return found


def main() -> None:
    """Run all rows and write the page, or run those whose command or section has the words given."""
    words = sys.argv[2] if sys.argv[1:2] == ["--only"] else ""
    rows = tuple(r for r in ROWS if words.lower() in f"{r.section} {r.command}".lower())
    results = {}
    with served() as bench:
        for row in rows:
            results[row.command] = outcome(bench, row)
            sys.stderr.write(f"{'fail' if results[row.command] else 'pass'}  {row.command}\n")
            if results[row.command]:
                sys.stderr.write(f"      {results[row.command]}\n")
    if not words:
        PAGE.write_text(page(results), encoding="utf-8")
    good = sum(not wrong for wrong in results.values())
    sys.stderr.write(f"{good} of {len(rows)} rows pass\n")


if __name__ == "__main__":
    main()
