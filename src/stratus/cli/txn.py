"""`stratus txn`: the journal, without any model."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from stratus.cli.options import Config, Context, Json, Kubeconfig, StateDir
from stratus.cli.output import console
from stratus.errors import UsageError
from stratus.kit.clock import SystemClock, iso, parse_iso
from stratus.wiring.config import load_settings

if TYPE_CHECKING:
    from stratus.model.transactions import Transaction
    from stratus.settings import Settings
    from stratus.transaction.engine import TransactionEngine

app = typer.Typer(help="List, show, undo and check transactions.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False, state_dir: StateDir = None, config: Config = None) -> int:
    """List all transactions, newest first."""
    from stratus.wiring.journals import read_journal, told

    with read_journal(load_settings({"state_dir": state_dir}, config)) as journal:
        found = [told(journal, name) for name in reversed(journal.list())]
    if as_json:
        sys.stdout.write("[" + ",\n".join(t.model_dump_json(by_alias=True) for t in found) + "]\n")
        return 0
    table = Table(Column("id", no_wrap=True), "when", "scope", "state", "verdict", "writes", "reason", box=None)
    for t in found:
        verdict = t.verdict.verdict if t.verdict else ""
        table.add_row(t.id, iso(t.created_at), t.scope, t.state, verdict, str(len(t.writes)), t.reason)
    console().print(table if found else "no transactions")
    return 0


@app.command("show")
def show(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction.")],
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Show one transaction: writes, verdict, undo and its proof."""
    from stratus.wiring.journals import read_journal, told

    with read_journal(load_settings({"state_dir": state_dir}, config)) as journal:
        found = told(journal, transaction)
    if as_json:
        sys.stdout.write(found.model_dump_json(by_alias=True, indent=1) + "\n")
        return 0
    _print(found)
    return 0


@app.command("diff")
def diff(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction.")],
    live: Annotated[bool, typer.Option("--live", help="Compare with what is in the cluster now.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Show what a transaction changed, object by object; with --live, what is different now from before it."""
    from stratus.wiring.journals import changes

    settings = load_settings({"state_dir": state_dir, "kubeconfig": kubeconfig, "context": context}, config)
    found = changes(settings, transaction, live=live)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        return 0
    out = console()
    for name, lines in found.items():
        out.print(name, style="bold", markup=False)
        for line in lines:
            out.print("  " + line, markup=False)
        if not lines:
            out.print("  no difference", style="dim")
    return 0


@app.command("redo")
def redo(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction.")],
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Do an undone transaction once more; it is kept only if nothing gets worse."""
    from stratus.wiring.journals import redo as again

    settings = load_settings({"state_dir": state_dir, "kubeconfig": kubeconfig, "context": context}, config)
    done = again(settings, transaction)
    _ended(done, as_json=as_json)
    return 0 if done.state == "committed" else 4


@app.command("prune")
def prune(
    before: Annotated[str, typer.Option("--before", help="Age, such as 90d or 12h, or a day, such as 2026-01-31.")],
    archive: Annotated[Path, typer.Option("--archive", help="New file that the rows are moved into.")],
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Move old, ended transactions from the journal into an archive; the rest stays verifiable."""
    from stratus.wiring.journals import read_journal

    settings = load_settings({"state_dir": state_dir}, config)
    with read_journal(settings) as journal:
        count = journal.prune(_moment(before), archive)
    console().print(f"{count} rows moved to {archive}" if count else "nothing is old enough", markup=False)
    return 0


@app.command("undo")
def undo(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost and meet.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Undo a transaction, committed or not, and prove it by reading back."""
    settings = load_settings({"state_dir": state_dir, "kubeconfig": kubeconfig, "context": context}, config)
    if dry_run:
        from stratus.wiring.journals import undo_preview

        cost, conflicts = undo_preview(settings, transaction)
        if as_json:
            told = {"cost": cost.model_dump(), "text": cost.text(), "conflicts": list(conflicts)}
            sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        else:
            out = console()
            out.print(f"undoing {transaction}: {cost.text()}", markup=False)
            for field in conflicts:
                out.print(f"  changed by somebody else since, and would be left alone: {field}", markup=False)
        return 4 if conflicts else 0
    with _engine(settings, transaction) as engine:
        done = engine.undo(transaction, "asked for by a person", reopen=True)
    return _ended(done, as_json=as_json)


@app.command("resume")
def resume(
    kubeconfig: Kubeconfig = None, context: Context = None, state_dir: StateDir = None, config: Config = None
) -> int:
    """Finish what a killed process left open: committed and verified, or undone and verified."""
    settings = load_settings({"state_dir": state_dir, "kubeconfig": kubeconfig, "context": context}, config)
    code = 0
    with _engine(settings, "") as engine:
        for done in engine.recover():
            code = max(code, _ended(done, as_json=False))
    return code


@app.command("verify")
def verify(
    archive: Annotated[Path | None, typer.Option("--archive", help="Check a file made by `txn prune` instead.")] = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Check the journal's hash chain from its first entry to its last."""
    from stratus.wiring.journals import read_journal

    if archive is not None:
        from stratus.transaction.sqljournal import verify_archive

        count, first, last = verify_archive(archive)
        console().print(f"the archive is whole: {count} entries, from {first[:12]} to {last[:12]}")
        return 0

    with read_journal(load_settings({"state_dir": state_dir}, config)) as journal:
        count = journal.verify()
    console().print(f"the journal is whole: {count} entries")
    return 0


@contextmanager
def _engine(settings: Settings, transaction: str) -> Iterator[TransactionEngine]:
    from stratus.wiring.journals import open_engine

    with open_engine(settings, transaction) as engine:
        yield engine


def _moment(text: str) -> float:
    """Read an age or a day as epoch seconds."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match:
        seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
        return SystemClock().now() - int(match[1]) * seconds
    try:
        return parse_iso(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        raise UsageError(f"--before {text!r} is neither an age (90d, 12h) nor a day (2026-01-31)") from None


def _ended(done: Transaction, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(done.model_dump_json(by_alias=True, indent=1) + "\n")
    else:
        _print(done)
    return 0 if done.state in ("undone", "committed") else 4


def _print(t: Transaction) -> None:
    out = console()
    out.print(f"[bold]{t.id}[/]  {t.state}  scope {t.scope}  incident {t.incident}  {iso(t.created_at)}")
    if t.reason:
        out.print(f"reason   {t.reason}", markup=False)
    for w in t.writes:
        out.print(f"  {w.index}  {w.state:<10} {w.command}", markup=False)
        if w.compensable is None:
            out.print(f"     {w.write.method} {w.write.path}", style="dim", markup=False)
        else:
            one = w.compensable
            out.print(f"     {one.text} (runbook {one.runbook}, container {one.change.container})", markup=False)
            undo = " ".join(one.change.compensation.stdin.split()) or " ".join(one.change.compensation.argv)
            out.print(f"     compensation: {undo}", style="dim", markup=False)
        if w.error:
            out.print(f"     {w.error}", style="red", markup=False)
        for field in w.conflicts:
            out.print(f"     changed by somebody else since: {field}", style="red", markup=False)
    if t.verdict:
        out.print(f"verdict  {t.verdict.verdict}: {t.verdict.reason}", markup=False)
    if t.undo_proof:
        said = "proved" if t.undo_proof.proved else "NOT proved"
        out.print(f"undo     {said}, {t.undo_proof.checked} object(s) read back")
        for line in (*t.undo_proof.differences, *t.undo_proof.not_identical):
            out.print("         " + line, markup=False)
