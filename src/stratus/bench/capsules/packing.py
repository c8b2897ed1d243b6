"""Makes a capsule of an incident: from its checkpoints, its journal rows and, where a model thought, its turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from stratus.bench.capsules.hiding import Hider
from stratus.bench.capsules.nouns import Capsule, Round
from stratus.errors import UsageError
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.settings import Settings
from stratus.transaction.journal import Entry

PACKAGES = ("stratus-sre", "langgraph", "langchain-core", "kubernetes", "chromadb", "pydantic")
TURNS = "turns.jsonl"
"""File of a state directory in which the turns of chat models are kept."""


def pack(incident: str, settings: Settings) -> Capsule:
    """Make a redacted capsule of an incident.

    Args:
        incident: its id.
        settings: those of its state directory.

    Raises:
        UnknownNameError: there is no such incident.
        UsageError: nothing was thought in it, so that there is nothing to replay.
        JournalError: the journal is damaged.
    """
    from stratus.wiring.incidents import Incidents

    entry = Incidents(settings.state_dir).load(incident)
    told = entry.settings.model_copy(update={"state_dir": settings.state_dir})
    states = list(history(incident, told))
    rounds = list(rounds_of(incident, states))
    if not rounds:
        raise UsageError(f"incident {incident} holds no diagnosis: there is nothing to replay")
    rows, chain = _journal(told, {a.transaction for s in states[-1:] for a in s.get("attempts", ()) if a.transaction})
    whole = Capsule(
        incident=incident,
        reasoner=told.reasoner,
        app=entry.embedded.app if entry.embedded else "",
        seed=entry.embedded.seed if entry.embedded else 0,
        fault=entry.embedded.fault if entry.embedded else "",
        rounds=tuple(rounds),
        turns=tuple(_turns(told, rounds)),
        journal=tuple(rows),
        chain=chain,
        report=states[-1].get("report") if states else None,
        versions={name: version(name) for name in PACKAGES},
    )
    return hidden(whole)


def hidden(capsule: Capsule) -> Capsule:
    """Return a capsule without secrets."""
    hider = Hider()
    safe = hider.hide(capsule.model_dump(mode="json", by_alias=True))
    return Capsule.model_validate({**safe, "hidden": hider.count})


def history(incident: str, settings: Settings) -> Iterator[Json]:
    """Yield the states of an incident's own graph, oldest first."""
    from stratus.wiring.checkpoints import checkpoints

    path = settings.state_dir / "checkpoints.sqlite"
    if not path.is_file():
        raise UsageError(f"there are no checkpoints in {settings.state_dir}: the incident was run elsewhere")
    with checkpoints(path) as saver:
        found = list(saver.list({"configurable": {"thread_id": incident, "checkpoint_ns": ""}}))
    for saved in sorted(found, key=lambda s: str(s.checkpoint["id"])):
        yield dict(saved.checkpoint["channel_values"])


def rounds_of(incident: str, states: list[Json]) -> Iterator[Round]:
    """Yield the rounds of thinking that a history of states tells of."""
    before: Json = {}
    done: set[int] = set()
    for state in states:
        number = int(state.get("round", 0))
        diagnosis = state.get("diagnosis")
        fresh = diagnosis is not None and diagnosis != before.get("diagnosis")
        if number and number not in done and (fresh or number > int(before.get("round", 0))) and diagnosis is not None:
            done.add(number)
            case = Case(
                incident=incident,
                detection=state["detection"],
                observation=state["observation"],
                templates=state.get("templates", ()),
                citations=state.get("citations", ()),
                ledger=before.get("ledger", ()),
                attempts=before.get("attempts", ()),
                round=number,
            )
            yield Round(case=case, diagnosis=diagnosis, plan=state.get("plan"))
        before = state


def _journal(settings: Settings, transactions: set[str]) -> tuple[list[Entry], int]:
    """Return the rows of some transactions, and how many rows were verified."""
    from stratus.wiring.journals import read_journal

    if not transactions:
        return [], 0
    with read_journal(settings) as journal:
        chain = journal.verify()
        rows = [row for name in sorted(transactions) for row in journal.entries(name)]
    return sorted(rows, key=lambda row: row.seq), chain


def _turns(settings: Settings, rounds: list[Round]) -> Iterator[Json]:
    """Yield the recorded turns of this incident: those whose prompt names it or is asked for again by a replay."""
    path = settings.state_dir / TURNS
    if settings.reasoner in ("", "rules") or not path.is_file():
        return
    from stratus.bench.capsules.replaying import prompts

    wanted = prompts(path, settings, rounds)
    for text in path.read_text(encoding="utf-8").splitlines():
        turn: Any = json.loads(text) if text.strip() else {}
        if turn.get("prompt") in wanted:
            yield turn
