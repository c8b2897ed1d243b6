"""`stratus bench`: suites of incidents on the embedded cluster, played by Stratus and others, and counted.

Exit codes: 0; 1 Stratus itself (or the malicious brain on its engine) has left a system worse; 2 bad input; 3 episodes
could not be played; 130 interrupted, and what was finished is kept.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from stratus.cli.output import console
from stratus.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from stratus.bench.record import Record
    from stratus.bench.summary import Block, Summary

app = typer.Typer(help="Measure on the embedded cluster (figures are emulated).", no_args_is_help=True)

Out = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the summary to this file (`-`: stdout).")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Episodes at a time, each in a process of its own.")]
NAMES = ("off", "on", "heavy")
HELD = ("stratus", "malicious")
"""Agents whose violations are a failure of Stratus."""


@app.command("list")
def list_(
    suite: Annotated[str, typer.Option("--suite", help="Show the scenarios of this suite.")] = "",
    suites: Annotated[Path | None, typer.Option("--suites", help="Folder of suites.")] = None,
) -> int:
    """Show suites and solvers, or the scenarios of one suite."""
    from stratus.bench import agents
    from stratus.bench.suites.loading import load_suite, suite_names

    _suites_in(suites)
    out = console()
    if suite:
        found = load_suite(suite)
        table = Table("scenario", "application", "family", "tasks", "title")
        for s in found.scenarios:
            table.add_row(s.id, Path(s.app).stem, s.family, " ".join(s.tasks), s.title)
        for gap in found.not_covered:
            table.add_row(gap.id, "-", "not covered", " ".join(gap.tasks), gap.reason)
        out.print(table)
        return 0
    table = Table("suite", "scenarios", "covered", "title")
    for name in suite_names():
        found = load_suite(name)
        whole = len(found.scenarios) + len(found.not_covered)
        table.add_row(found.name, str(whole), f"{len(found.scenarios)} ({found.coverage:.0%})", found.title)
    out.print(table)
    table = Table("solver", "what it is")
    for name in agents.names():
        table.add_row(name, agents.about(name))
    out.print(table)
    return 0


@app.command("run")
def run(
    suite: Annotated[str, typer.Option("--suite", help="Suites by name or folder, separated by commas.")] = "catalogue",
    solver: Annotated[str, typer.Option("--solver", help="Solvers, separated by commas; see `list`.")] = "stratus",
    reasoner: Annotated[str, typer.Option("--reasoner", help="`rules`, or PROVIDER:MODEL.")] = "rules",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Episodes a scenario, seeds 0, 1, ...")] = 1,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="Begin with this seed.")] = 0,
    noise: Annotated[str, typer.Option("--noise", help="off, on or heavy.")] = "off",
    jobs: Jobs = 1,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this scenario; repeatable.")] = None,
    fraction: Annotated[int, typer.Option("--fraction", min=1, help="A fixed n-th of each suite.")] = 1,
    ablate: Annotated[str, typer.Option("--ablate", help="Stratus without this part, besides the solvers.")] = "",
    renamed: Annotated[int | None, typer.Option("--renamed", help="Rename and reshuffle with this seed.")] = None,
    suites: Annotated[Path | None, typer.Option("--suites", help="Folder of suites.")] = None,
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Rounds of acting in one episode.")] = 6,
    commands: Annotated[int, typer.Option("--commands", min=1, help="Commands of an agent that runs its own.")] = 40,
    model_calls: Annotated[int, typer.Option("--model-calls", min=0, help="Calls of a model in one episode.")] = 40,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the logs; else .stratus/bench/N.")] = None,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report here, too.")] = None,
) -> int:
    """Play episodes, one log each, and print what they come to."""
    from stratus.bench import agents
    from stratus.bench.outcome import Budget
    from stratus.bench.record import Plan
    from stratus.bench.runner import run as start

    _suites_in(suites)
    if noise not in NAMES:
        raise UsageError(f"--noise is one of {', '.join(NAMES)}, not {noise!r}")
    solvers = [*_split(solver), *(agents.WITHOUT + part for part in _split(ablate))]
    if not solvers or not _split(suite):
        raise UsageError("name at least one --suite and one --solver")
    plan = Plan(
        suites=tuple(dict.fromkeys(_split(suite))),
        solvers=tuple(dict.fromkeys(solvers)),
        reasoner=reasoner,
        seeds=seeds,
        first_seed=first_seed,
        noise=noise,
        renamed=renamed,
        only=tuple(only or ()),
        fraction=fraction,
        budget=Budget(attempts=attempts, commands=commands, model_calls=model_calls),
        command=_command(),
        machine=_machine(),
    )
    folder = out or _fresh()
    people = console(machine=json_file is not None and str(json_file) == "-")
    start(plan, folder, processes=jobs, on_record=_Live(people, folder))
    return _close(folder, json_file, html, people)


@app.command("resume")
def resume(out: Out, jobs: Jobs = 1, json_file: JsonFile = None) -> int:
    """Go on with a run that was interrupted, or play again what could not be played."""
    from stratus.bench.runner import resume as go_on

    people = console(machine=json_file is not None and str(json_file) == "-")
    count = go_on(out, processes=jobs, on_record=_Live(people, out))
    people.print(f"{count} episode(s) played", style="dim")
    return _close(out, json_file, None, people)


@app.command("rescore")
def rescore(out: Out, json_file: JsonFile = None) -> int:
    """Judge the logs of a run again with today's oracles; nothing is played."""
    from stratus.bench.runner import rescore as again

    count, different = again(out)
    people = console(machine=json_file is not None and str(json_file) == "-")
    people.print(f"{count} episode(s) judged again, {len(different)} differently", style="dim")
    for name in different:
        people.print(f"  {name}", markup=False)
    return _close(out, json_file, None, people)


@app.command("report")
def report(
    out: Annotated[list[Path], typer.Argument(help="Folders of runs; several become one report.", metavar="RUN...")],
    html: Annotated[Path | None, typer.Option("--html", help="Write the report here; else RUN/report.html.")] = None,
    json_file: JsonFile = None,
) -> int:
    """Write the report of one run, or of several together, as one HTML file."""
    from stratus.bench.page import page
    from stratus.bench.record import write_whole
    from stratus.bench.summary import merged

    plan, found = merged(out)
    target = html or out[0] / "report.html"
    write_whole(target, page(plan, found))
    people = console(machine=json_file is not None and str(json_file) == "-")
    people.print(f"report: {target}", markup=False)
    if json_file is not None:
        from stratus.bench.summary import summarise

        _write_json(summarise(plan, found), json_file)
    return 0


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Folder of another run, or the same.")],
    solver_a: Annotated[str, typer.Option("--solver-a", help="Solver of the first, when it has several.")] = "",
    solver_b: Annotated[str, typer.Option("--solver-b", help="Solver of the second.")] = "",
    json_file: JsonFile = None,
) -> int:
    """Compare two runs (or two solvers of one) episode by episode."""
    from stratus.bench.comparing import chosen
    from stratus.bench.comparing import compare as against
    from stratus.bench.record import records, write_whole

    one = chosen(records(first), solver_a, str(first))
    other = chosen(records(second), solver_b, str(second))
    rows = against(one, other)
    people = console(machine=json_file is not None and str(json_file) == "-")
    table = Table("mark", "n", "first", "second", "difference (95 %)", "ratio", "only first", "only second")
    for r in rows:
        ratio = "-" if r.ratio is None else f"{r.ratio:.2f}"
        said = r.difference.text() + (" *" if r.decided else "")
        shares = ("-" if v is None else f"{v:.0%}" for v in (r.first, r.second))
        table.add_row(r.mark, str(r.n), *shares, said, ratio, str(r.only_first), str(r.only_second))
    people.print(table)
    if json_file is not None:
        text = "[" + ",\n".join(r.model_dump_json() for r in rows) + "]\n"
        if str(json_file) == "-":
            sys.stdout.write(text)
        else:
            write_whole(json_file, text)
    return 0


@app.command("lint")
def lint(folder: Annotated[Path, typer.Argument(help="Folder of a suite.")]) -> int:
    """Check a suite of your own; exit 2 when something is wrong with it."""
    from stratus.bench.suites.linting import lint_suite

    findings = lint_suite(folder)
    for found in findings:
        console().print(f"{found.level}: {found.where}: {found.message}", markup=False)
    if not findings:
        console().print("nothing to say about it", style="dim")
    return 2 if any(found.level == "error" for found in findings) else 0


class _Live:
    """One line an episode."""

    def __init__(self, out: Console, folder: Path) -> None:
        from stratus.bench.record import read_plan

        self.out, self.folder = out, folder
        self._count = 0
        self._plan = read_plan

    def __call__(self, record: Record) -> None:
        self._count += 1
        marks = record.score
        told = [f"{self._count}/{len(self._plan(self.folder).jobs)}", record.job.name]
        if record.error:
            told.append(f"could not be played: {record.error}")
        elif record.outcome is not None:
            told.append(record.outcome.state)
            for name in ("root_cause", "mitigation_original", "mitigation_strict"):
                value = getattr(marks, name)
                if value is not None:
                    told.append(f"{name.removeprefix('mitigation_')} {'yes' if value else 'no'}")
        if record.violations:
            told.append("VIOLATES: " + "; ".join(record.violations))
        self.out.print(" ".join(told), style="red" if record.violations or record.error else "dim", markup=False)


def _close(out: Path, json_file: Path | None, html: Path | None, people: Console) -> int:
    from stratus.bench.summary import merged, summarise

    plan, found = merged([out])
    summary = summarise(plan, found)
    people.print(_table(summary))
    left = len(plan.jobs) - len(found)
    where = f"{out}" + (f"; {left} episode(s) are left: stratus bench resume {out}" if left else "")
    people.print(f"emulated; logs in {where}", style="dim", markup=False)
    if json_file is not None:
        _write_json(summary, json_file)
    if html is not None:
        from stratus.bench.page import page
        from stratus.bench.record import write_whole

        write_whole(html, page(plan, found))
        people.print(f"report: {html}", markup=False)
    if any(r.violations and r.job.solver in HELD for r in found):
        return 1
    return 3 if left or any(r.error for r in found) else 0


def _table(summary: Summary) -> Table:
    table = Table(
        "suite", "solver", "episodes", "detection", "localization", "root cause", "original", "strict", "end to end",
        "TNR violations", "undos proved", "MTTR s",
    )  # fmt: skip
    for suite, blocks in [*summary.suites.items(), ("all", summary.overall)]:
        if suite == "all" and len(summary.suites) < 2:
            continue
        for name, b in blocks.items():
            table.add_row(suite, name, *_row(b))
    return table


def _row(b: Block) -> tuple[str, ...]:
    undone = f"{b.undo_fidelity.hits}/{b.undos}" if b.undos else "-"
    rates = (b.detection, b.localization, b.root_cause, b.mitigation_original, b.mitigation_strict, b.end_to_end)
    return (str(b.episodes), *(r.text() for r in rates), str(b.tnr_violations.hits), undone, b.mttr.text())


def _write_json(summary: Summary, file: Path) -> None:
    from stratus.bench.record import write_whole

    text = summary.model_dump_json(indent=1) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        write_whole(file, text)


def _suites_in(folder: Path | None) -> None:
    """Read suites from another folder; workers see it, too."""
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}: give --suites a folder of suites")
        from stratus.bench.suites.loading import VARIABLE

        os.environ[VARIABLE] = str(folder.resolve())


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _fresh() -> Path:
    base = Path(".stratus") / "bench"
    number = 1
    while (base / str(number)).exists():
        number += 1
    return base / str(number)


def _command() -> str:
    return "stratus " + " ".join(sys.argv[1:])


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
