"""The transaction protocol as two pure functions: what to do next, and what an event means.

`decide(ledger, wish)` names the one next command; the engine carries it out and journals what came of it as an
event; `evolve(ledger, event)` is the ledger after that event. Only journalled events move the ledger, so a process
that died is continued by folding its events and asking again.

    planned ──intended──▶ intended ──outcome──▶ done ──undo_intended──▶ reverting ──undo_outcome──▶ undone
       ▲                     │  │                ▲                          │                         conflict
       └──────retry──────────┘  └─resumed─▶ in_doubt ─resolved─▶ unknown    └─resumed─▶ done          undo_failed

A write is only sent while `intended`, which the ledger is in only after the event with the pre-image is on disk and
only in the life of the process that put it there: a `resumed` event turns every sent write into one in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

from stratus.errors import TransactionError
from stratus.model.health import Verdict
from stratus.model.transactions import TransactionState

Status = Literal[
    "planned", "intended", "in_doubt", "done", "failed", "unknown", "reverting", "undone", "conflict", "undo_failed"
]
EventKind = Literal[
    "begun", "resumed", "measured", "intended", "outcome", "resolved", "sealed", "judged", "committed",
    "undo_begun", "undo_intended", "undo_outcome", "proved", "ended", "reopened", "extended",
]  # fmt: skip
Wish = Literal["forward", "seal", "commit", "undo"]
"""What the caller wants: execute what is planned, add nothing more, keep it, or take it back."""
Order = Literal[
    "measure", "intend", "send", "resolve", "seal", "await_verdict", "commit", "begin_undo", "plan_undo", "send_undo",
    "prove", "end", "stop",
]  # fmt: skip

MAX_ATTEMPTS = 8
"""Times one write is tried when it is known that it was not applied."""
MAX_UNDO_ATTEMPTS = 40
"""Times the undo of one is: a server that is busy for some minutes is no reason to leave a change behind."""
COMMITTABLE: tuple[Verdict, ...] = ("RESOLVED", "IMPROVED")
"""Verdicts that let a repair stay."""
HARMLESS: tuple[Verdict, ...] = (*COMMITTABLE, "UNCHANGED")
"""Verdicts that let a user's own change stay: it is wanted for itself, so nothing has to get better by it."""
WRAPPED = "wrapped"
"""Result of the `begun` of a transaction that a user's own code fills, write by write."""


@dataclass(frozen=True)
class Step:
    """One planned write as the protocol sees it; `tries` counts forward, `undo_tries` backward."""

    status: Status = "planned"
    tries: int = 0
    undo_tries: int = 0


@dataclass(frozen=True)
class Ledger:
    """All the protocol knows about one transaction."""

    steps: tuple[Step, ...] = ()
    begun: bool = False
    measured: bool = False
    sealed: bool = False
    verdict: Verdict | None = None
    undoing: bool = False
    proved: bool | None = None
    ended: TransactionState | None = None
    wrapped: bool = False
    """Open for more writes until it is sealed, and kept when nothing is worse."""

    @property
    def touched(self) -> bool:
        """Whether anything may have been sent to the cluster."""
        return any(step.status != "planned" or step.tries for step in self.steps)


@dataclass(frozen=True)
class Event:
    """What happened, as far as the protocol cares.

    Attributes:
        index: the write it is about; the number of writes for `begun`, of further ones for `extended`.
        result: the outcome: `done`, `retry`, `failed`, `in_doubt` of a write; `done`, `absent`, `unknown` of a
            resolution; `undone`, `retry`, `conflict`, `failed` of an undo; `yes`, `no` of a proof; a verdict; an end.
    """

    kind: EventKind
    index: int = 0
    result: str = ""


@dataclass(frozen=True)
class Command:
    """The next thing to do, and to which write."""

    order: Order
    index: int = 0
    why: str = field(default="", compare=False)


def decide(ledger: Ledger, wish: Wish) -> Command:
    """Return the next command; `stop` and `await_verdict` give control back to the caller."""
    if ledger.ended:
        return Command("stop")
    for i, step in enumerate(ledger.steps):
        if step.status == "in_doubt":
            return Command("resolve", i)
    if ledger.undoing:
        return _backward(ledger)
    for i, step in enumerate(ledger.steps):
        if step.status in ("failed", "unknown"):
            what = "was refused" if step.status == "failed" else "cannot be told to have happened"
            return Command("begin_undo", i, f"write {i + 1} {what}")
        # Only reached in the life that intended it; once sent it is finished before anything else is done.
        if step.status == "intended":
            return Command("send", i)
    if wish == "undo":
        return Command("begin_undo")
    if wish == "commit":
        return Command("commit") if committable(ledger) else Command("stop")
    if not ledger.measured:
        return Command("measure")
    for i, step in enumerate(ledger.steps):
        if step.status == "planned":
            return Command("intend", i)
    if ledger.sealed:
        return Command("await_verdict")
    return Command("stop") if ledger.wrapped and wish != "seal" else Command("seal")


def committable(ledger: Ledger) -> bool:
    """Tell whether a journalled verdict allows this transaction to stay."""
    applied = ledger.sealed and all(step.status == "done" for step in ledger.steps)
    return applied and not ledger.undoing and ledger.verdict in (HARMLESS if ledger.wrapped else COMMITTABLE)


def recovery_wish(ledger: Ledger) -> Wish:
    """Say how a transaction that its engine left behind is finished: kept only if that was already earned."""
    return "commit" if committable(ledger) else "undo"


def ending(ledger: Ledger) -> TransactionState:
    """Name the end of an undo: anything but a complete and proved one is escalated."""
    statuses = {step.status for step in ledger.steps}
    if statuses & {"conflict", "unknown"}:
        return "needs_human"
    if "undo_failed" in statuses or ledger.proved is not True:
        return "undo_incomplete"
    return "undone"


def evolve(ledger: Ledger, event: Event) -> Ledger:
    """Return the ledger after an event.

    Raises:
        TransactionError: the event cannot follow: the journal is not one that this protocol wrote.
    """
    if event.kind == "begun":
        _check(not ledger.begun and event.result in ("", WRAPPED), event, ledger)
        return replace(ledger, begun=True, steps=(Step(),) * event.index, wrapped=event.result == WRAPPED)
    if event.kind == "reopened":  # a person asks for an undo, of what was kept or of what was left over
        _check(ledger.ended not in (None, "undone"), event, ledger)
        steps = tuple(_reopened(step) for step in ledger.steps)
        return replace(ledger, steps=steps, undoing=True, proved=None, ended=None)
    _check(ledger.begun and ledger.ended is None, event, ledger)
    match event.kind:
        case "resumed":
            return replace(ledger, steps=tuple(_interrupted(step) for step in ledger.steps))
        case "measured":
            _check(not ledger.touched and not ledger.undoing, event, ledger)
            return replace(ledger, measured=True)
        case "extended":
            quiet = ledger.wrapped and ledger.measured and not ledger.sealed and not ledger.undoing
            _check(quiet and event.index > 0 and all(s.status == "done" for s in ledger.steps), event, ledger)
            return replace(ledger, steps=(*ledger.steps, *(Step(),) * event.index))
        case "sealed":
            _check(all(step.status == "done" for step in ledger.steps) and not ledger.undoing, event, ledger)
            return replace(ledger, sealed=True)
        case "judged":
            _check(ledger.sealed and not ledger.undoing, event, ledger)
            return replace(ledger, verdict=cast(Verdict, event.result))
        case "committed":
            _check(committable(ledger), event, ledger)
            return replace(ledger, ended="committed")
        case "undo_begun":
            _check(not ledger.undoing, event, ledger)
            return replace(ledger, undoing=True)
        case "proved":
            _check(ledger.undoing, event, ledger)
            return replace(ledger, proved=event.result == "yes")
        case "ended":
            _check(ledger.undoing and event.result == ending(ledger), event, ledger)
            return replace(ledger, ended=cast(TransactionState, event.result))
    _check(event.index < len(ledger.steps), event, ledger)
    step = _moved(ledger, ledger.steps[event.index], event)
    return replace(ledger, steps=(*ledger.steps[: event.index], step, *ledger.steps[event.index + 1 :]))


def _backward(ledger: Ledger) -> Command:
    for i in reversed(range(len(ledger.steps))):
        step = ledger.steps[i]
        if step.status == "done":
            return Command("plan_undo", i)
        if step.status == "reverting":
            return Command("send_undo", i)
    return Command("prove") if ledger.proved is None else Command("end", why=ending(ledger))


def _interrupted(step: Step) -> Step:
    if step.status == "intended":
        return replace(step, status="in_doubt")
    if step.status == "reverting":  # an inverse is computed anew from what is there: sent or not makes no difference
        return replace(step, status="done")
    return step


def _reopened(step: Step) -> Step:
    if step.status == "unknown":
        return replace(step, status="in_doubt", undo_tries=0)
    if step.status in ("conflict", "undo_failed"):
        return replace(step, status="done", undo_tries=0)
    return step


def _moved(ledger: Ledger, step: Step, event: Event) -> Step:
    match event.kind, step.status, event.result:
        case "intended", "planned", _ if ledger.measured and not ledger.undoing:
            return replace(step, status="intended", tries=step.tries + 1)
        case "outcome", "intended", "done" | "failed" | "in_doubt" as result:
            return replace(step, status=result)
        case ("outcome", "intended", "retry") | ("resolved", "in_doubt", "absent"):
            return replace(step, status="planned" if step.tries < MAX_ATTEMPTS else "failed")
        case "resolved", "in_doubt", "done" | "unknown" as result:
            return replace(step, status=result)
        case "undo_intended", "done", _ if ledger.undoing:
            return replace(step, status="reverting", undo_tries=step.undo_tries + 1)
        case "undo_outcome", "done" | "reverting", "undone" | "conflict" as result:
            return replace(step, status=result)
        case "undo_outcome", "done" | "reverting", "failed":
            return replace(step, status="undo_failed")
        case "undo_outcome", "reverting", "retry":
            return replace(step, status="done" if step.undo_tries < MAX_UNDO_ATTEMPTS else "undo_failed")
    raise _illegal(event, ledger)


def _check(legal: bool, event: Event, ledger: Ledger) -> None:
    if not legal:
        raise _illegal(event, ledger)


def _illegal(event: Event, ledger: Ledger) -> TransactionError:
    return TransactionError(
        f"the journal says `{event.kind} {event.result}` of write {event.index} where that cannot be "
        f"({[step.status for step in ledger.steps]}); look at it with `stratus txn show` before anything is undone"
    )
