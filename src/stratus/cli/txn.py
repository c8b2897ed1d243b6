"""`stratus txn`: the journal, without any model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from stratus.cli.options import Config, Context, Json, Kubeconfig, StateDir
from stratus.cli.output import console
from stratus.kit.clock import iso
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


@app.command("undo")
def undo(
    transaction: Annotated[str, typer.Argument(help="Id of the transaction.")],
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Undo a transaction, committed or not, and prove it by reading back."""
    settings = load_settings({"state_dir": state_dir, "kubeconfig": kubeconfig, "context": context}, config)
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
def verify(state_dir: StateDir = None, config: Config = None) -> int:
    """Check the journal's hash chain from its first entry to its last."""
    from stratus.wiring.journals import read_journal

    with read_journal(load_settings({"state_dir": state_dir}, config)) as journal:
        count = journal.verify()
    console().print(f"the journal is whole: {count} entries")
    return 0


@contextmanager
def _engine(settings: Settings, transaction: str) -> Iterator[TransactionEngine]:
    from stratus.wiring.journals import open_engine

    with open_engine(settings, transaction) as engine:
        yield engine


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
        out.print(f"     {w.write.method} {w.write.path}", style="dim", markup=False)
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
