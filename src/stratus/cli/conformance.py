"""`stratus conformance`: replay recordings of a real Kubernetes and show where the embedded cluster differs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratus.cli.output import console
from stratus.errors import UsageError

if TYPE_CHECKING:
    from stratus.conformance.matrix import Matrix


def conformance(
    golden: Annotated[Path, typer.Option("--golden", help="Folder of recordings.", envvar="STRATUS_GOLDEN")],
    file: Annotated[
        str, typer.Argument(help="With --json: the file to write instead of the standard output (-).")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the matrix as JSON, into FILE if one follows.")
    ] = False,
    only: Annotated[str, typer.Option("--only", help="Replay these files only (comma-separated).")] = "",
    case: Annotated[str, typer.Option("--case", help="Replay one case (its id, or the part before a slash).")] = "",
    against: Annotated[
        Path | None, typer.Option("--against", help="Kubeconfig of a live cluster to compare with the recordings.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the matrix as a Markdown page.")] = False,
    check: Annotated[bool, typer.Option("--check", help="End with 1 when less agrees than is asked for.")] = False,
    failures: Annotated[int, typer.Option("--failures", help="Show so many failing cases per file.", min=0)] = 10,
) -> int:
    """Replay recordings of a real Kubernetes and print how much agrees, per file and per kind."""
    from stratus.conformance.golden import Golden
    from stratus.conformance.page import page
    from stratus.conformance.runner import replay

    if file and not as_json:
        raise UsageError(
            f"what is {file!r} for? A file is written with --json FILE; files to replay are named by --only"
        )
    json_to = (file or "-") if as_json else ""
    if markdown and json_to == "-":
        raise UsageError("--markdown and --json both want the standard output: write the JSON into a file")
    quiet = markdown or json_to == "-"
    folder = Golden(golden)
    out = console(machine=quiet)

    def tell(name: str, passed: int, total: int) -> None:
        out.print(f"{name}: {passed} of {total}", style="dim", markup=False)

    wanted = [name for name in only.split(",") if name.strip()]
    if against is not None:
        from stratus.conformance.live import LiveSide

        with LiveSide(against) as side:
            matrix = replay(folder, side, only=wanted, case=case, tell=tell)
    else:
        matrix = replay(folder, only=wanted, case=case, tell=tell)
    if case and not matrix.score.total and not any(f.left_out for f in matrix.files):
        raise UsageError(f"no case {case!r} in {', '.join(f.name for f in matrix.files) or 'these files'}")
    if json_to:
        text = json.dumps(matrix.data(), indent=1, ensure_ascii=False) + "\n"
        if json_to == "-":
            sys.stdout.write(text)
        else:
            Path(json_to).write_text(text, encoding="utf-8")
    if markdown:
        sys.stdout.write(page(matrix))
    elif json_to != "-":
        show(matrix, failures)
    sys.stdout.flush()
    return 1 if check and not matrix.met else 0


def show(matrix: Matrix, failures: int) -> None:
    """Print the matrix for people."""
    from rich.table import Table

    out = console()
    table = Table(title=f"Agreement with the recordings ({matrix.against})")
    for heading in ("file", "passed", "of", "rate", "asked"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for file in matrix.files:
        rows = [(file.name, file.score), *((f"  {name}", score) for name, score in file.measured().items())]
        for name, score in rows:
            asked = "" if score.least is None else f"{score.least:.0%}"
            style = "" if score.met else "red"
            table.add_row(name, str(score.passed), str(score.total), f"{score.rate:.1%}", asked, style=style)
    out.print(table)
    for file in matrix.files:
        kinds = Table(title=f"{file.name} by kind")
        for heading in ("kind", "passed", "of"):
            kinds.add_column(heading, justify="left" if heading == "kind" else "right")
        for name, score in file.kinds().items():
            kinds.add_row(
                name, str(score.passed), str(score.total), style="" if score.passed == score.total else "yellow"
            )
        out.print(kinds)
        failing = [o for o in file.counted if not o.passed]
        for outcome in failing[:failures]:
            out.print(f"  {outcome.case}: {outcome.reason}", markup=False)
        if len(failing) > failures:
            out.print(f"  and {len(failing) - failures} more (--failures N, or --json)", style="dim", markup=False)
        for outcome in file.left_out:
            out.print(f"  not counted: {outcome.case}: {outcome.reason}", style="dim", markup=False)
    for name in matrix.missing:
        out.print(f"missing, not replayed: {name}", style="yellow", markup=False)
    for name, why in matrix.not_replayed.items():
        out.print(f"not replayed: {name}: {why}", style="yellow", markup=False)
