"""The protocol walked exhaustively: every placement of failures and crashes for plans of up to three writes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest

from stratus.errors import TransactionError
from stratus.transaction.protocol import (
    COMMITTABLE,
    HARMLESS,
    MAX_ATTEMPTS,
    MAX_UNDO_ATTEMPTS,
    WRAPPED,
    Event,
    Ledger,
    Step,
    committable,
    decide,
    ending,
    evolve,
    recovery_wish,
)

MOST_WRAPPED = 2
VERDICTS = ("RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN")


@dataclass(frozen=True)
class World:
    """What really happened: how often each write (and each undo) took effect, and what the disk remembers."""

    ledger: Ledger
    forward: tuple[int, ...]
    back: tuple[int, ...]
    intents: frozenset[tuple[str, int]]
    crashes: int
    troubles: int
    judged_good: bool = False
    """A verdict allowed the commit."""


def start(k: int) -> World:
    ledger = evolve(Ledger(), Event("begun", k))
    return World(ledger, (0,) * k, (0,) * k, frozenset(), 0, 0)


def opened() -> World:
    """A user's own transaction: begun without a write, filled later."""
    return World(evolve(Ledger(), Event("begun", 0, WRAPPED)), (), (), frozenset(), 0, 0)


def more(world: World) -> World:
    """The user asks for one more write."""
    return journal(replace(world, forward=(*world.forward, 0), back=(*world.back, 0)), Event("extended", 1))


def bump(counts: tuple[int, ...], i: int) -> tuple[int, ...]:
    return (*counts[:i], counts[i] + 1, *counts[i + 1 :])


def journal(world: World, event: Event) -> World:
    return replace(world, ledger=evolve(world.ledger, event))


def crash(world: World) -> World:
    """The process dies; another one takes over and says so in the journal before anything else."""
    dead = replace(world, crashes=world.crashes + 1)
    return journal(dead, Event("resumed")) if not world.ledger.ended else dead


def outcomes(world: World, wish: str) -> list[tuple[World, str]]:
    """Return every world that carrying out the next command can lead to, each with the wish that then holds."""
    command = decide(world.ledger, wish)
    i, order = command.index, command.order
    found: list[World] = []
    trouble = replace(world, troubles=world.troubles + 1)
    may = world.troubles < 2
    if order == "measure":
        found = [journal(world, Event("measured"))]
    elif order == "intend":
        found = [journal(replace(world, intents=world.intents | {("do", i)}), Event("intended", i))]
    elif order == "send":
        assert ("do", i) in world.intents, "a write without a durable intent"
        done = replace(world, forward=bump(world.forward, i))
        found = [journal(done, Event("outcome", i, "done"))]
        if may:
            lost_after = replace(done, troubles=trouble.troubles)
            found += [
                journal(trouble, Event("outcome", i, "failed")),
                journal(trouble, Event("outcome", i, "retry")),
                journal(trouble, Event("outcome", i, "in_doubt")),
                journal(lost_after, Event("outcome", i, "in_doubt")),
            ]
        if world.crashes < 2:
            found.append(crash(done))  # sent, and dead before the outcome is on disk
    elif order == "resolve":
        # The cluster is asked. It counts from zero: a forward write took effect iff its count is above the undos.
        there = world.forward[i] > world.back[i]
        found = [journal(world, Event("resolved", i, "done" if there else "absent"))]
        if may:
            found.append(journal(trouble, Event("resolved", i, "unknown")))
    elif order == "seal":
        found = [journal(world, Event("sealed"))]
    elif order == "await_verdict":
        for verdict in VERDICTS:
            judged = journal(world, Event("judged", 0, verdict))
            good = verdict in (HARMLESS if world.ledger.wrapped else COMMITTABLE)
            found.append(replace(judged, judged_good=good))
        return [(w, "commit" if w.judged_good else "undo") for w in found]
    elif order == "stop" and world.ledger.wrapped and wish == "forward":
        # All that was asked for is done: the user wants more, or has had enough, or changes their mind.
        grown = [(more(world), "forward")] if len(world.forward) < MOST_WRAPPED else []
        dead = [] if world.crashes >= 2 else [(w, recovery_wish(w.ledger)) for w in (crash(world),)]
        return [*grown, (world, "seal"), (world, "undo"), *dead]
    elif order == "commit":
        found = [journal(world, Event("committed"))]
    elif order == "begin_undo":
        found = [journal(world, Event("undo_begun"))]
    elif order == "plan_undo":
        if world.forward[i] > world.back[i]:
            found = [journal(replace(world, intents=world.intents | {("undo", i)}), Event("undo_intended", i))]
            if may:
                found.append(journal(trouble, Event("undo_outcome", i, "conflict")))
        else:  # the inverse of what is gone already is nothing
            found = [journal(world, Event("undo_outcome", i, "undone"))]
    elif order == "send_undo":
        assert ("undo", i) in world.intents, "an undo without a durable intent"
        done = replace(world, back=bump(world.back, i))
        found = [journal(done, Event("undo_outcome", i, "undone"))]
        if may:
            found += [
                journal(trouble, Event("undo_outcome", i, "retry")),
                journal(replace(done, troubles=trouble.troubles), Event("undo_outcome", i, "retry")),
                journal(trouble, Event("undo_outcome", i, "failed")),
            ]
        if world.crashes < 2:
            found.append(crash(done))
    elif order == "prove":
        clean = all(f == b for f, b in zip(world.forward, world.back, strict=True))
        found = [journal(world, Event("proved", 0, "yes" if clean else "no"))]
    elif order == "end":
        found = [journal(world, Event("ended", 0, ending(world.ledger)))]
    else:
        pytest.fail(f"{order} gives nothing to do, and {world} has not ended")
    result = [(w, wish) for w in found]
    if world.crashes < 2:  # dead before the command, and dead right after its event
        for w in (world, *found):
            if w.crashes == world.crashes and not w.ledger.ended:
                dead = crash(w)
                result.append((dead, recovery_wish(dead.ledger)))
    return [(w, recovery_wish(w.ledger) if w.crashes > world.crashes else h) for w, h in result]


def check_end(world: World) -> None:
    ledger = world.ledger
    statuses = [step.status for step in ledger.steps]
    for forward, back in zip(world.forward, world.back, strict=True):
        assert forward in (0, 1), "a write took effect twice"
        assert back <= forward, "something was undone that was not done, or twice"
    if ledger.ended == "committed":
        assert world.judged_good
        assert ledger.verdict in (HARMLESS if ledger.wrapped else COMMITTABLE)
        assert world.forward == (1,) * len(statuses)
        assert world.back == (0,) * len(statuses)
    elif ledger.ended == "undone":
        assert world.forward == world.back, "called undone while something is left"
        assert ledger.proved is True
    else:
        assert ledger.ended in ("needs_human", "undo_incomplete")
        named = {"conflict", "unknown", "undo_failed"} & set(statuses)
        assert named or ledger.proved is False, "escalated without a named reason"
        # the rest is undone all the same
        for status, forward, back in zip(statuses, world.forward, world.back, strict=True):
            if status not in ("conflict", "unknown", "undo_failed"):
                assert forward == back


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_way_ends_well(k):
    assert walk(start(k)) > 100 * k


def test_every_way_of_a_wrapped_transaction_ends_well():
    assert walk(opened()) > 400


def walk(first: World) -> int:
    """Follow every path from a beginning to its ends, check those, and return how many worlds there are."""
    todo: list[tuple[World, str]] = [(first, "forward")]
    seen = set(todo)
    ends: dict[str, int] = {}
    while todo:
        world, wish = todo.pop()
        if world.ledger.ended:
            check_end(world)
            ends[world.ledger.ended] = ends.get(world.ledger.ended, 0) + 1
            continue
        following = outcomes(world, wish)
        assert following
        for nxt in following:
            assert all(f <= 1 for f in nxt[0].forward), f"a write took effect twice: {nxt[0]}"
            if nxt not in seen:
                seen.add(nxt)
                todo.append(nxt)
    assert set(ends) == {"committed", "undone", "needs_human", "undo_incomplete"}
    return len(seen)


def test_no_path_commits_without_a_good_verdict():
    for verdict, steps in itertools.product((None, *VERDICTS), ("done", "failed", "in_doubt", "planned")):
        ledger = Ledger(steps=(Step(steps),), begun=True, measured=True, sealed=steps == "done", verdict=verdict)
        allowed = verdict in COMMITTABLE and steps == "done"
        assert committable(ledger) is allowed
        assert (recovery_wish(ledger) == "commit") is allowed
        if not allowed:
            with pytest.raises(TransactionError):
                evolve(ledger, Event("committed"))
            assert decide(ledger, "commit").order != "commit"
    undoing = replace(Ledger(steps=(Step("done"),), begun=True, sealed=True, verdict="RESOLVED"), undoing=True)
    assert not committable(undoing)


def test_a_resumed_write_is_in_doubt_and_never_sent_again():
    ledger = start(1).ledger
    for event in (Event("measured"), Event("intended", 0)):
        ledger = evolve(ledger, event)
    assert decide(ledger, "forward").order == "send"
    ledger = evolve(ledger, Event("resumed"))
    for wish in ("forward", "undo", "commit"):
        assert decide(ledger, wish).order == "resolve"


def test_retries_are_bounded():
    ledger = evolve(start(1).ledger, Event("measured"))
    for _ in range(MAX_ATTEMPTS):
        ledger = evolve(ledger, Event("intended", 0))
        ledger = evolve(ledger, Event("outcome", 0, "retry"))
    assert ledger.steps[0].status == "failed"
    assert decide(ledger, "forward").order == "begin_undo"
    ledger = replace(ledger, steps=(Step("done"),), undoing=True)
    for _ in range(MAX_UNDO_ATTEMPTS):
        assert ledger.steps[0].status == "done"
        ledger = evolve(ledger, Event("undo_intended", 0))
        ledger = evolve(ledger, Event("undo_outcome", 0, "retry"))
    assert ledger.steps[0].status == "undo_failed"


def test_undo_goes_backwards():
    ledger = Ledger(steps=(Step("done"), Step("failed"), Step("done")), begun=True, undoing=True)
    assert (decide(ledger, "undo").order, decide(ledger, "undo").index) == ("plan_undo", 2)
    ledger = replace(ledger, steps=(Step("done"), Step("failed"), Step("conflict")))
    assert decide(ledger, "undo").index == 0


@pytest.mark.parametrize(
    "event",
    [
        Event("begun", 1),
        Event("intended", 0),  # before health was measured
        Event("outcome", 0, "done"),  # of a write never intended
        Event("undo_outcome", 0, "undone"),
        Event("sealed"),
        Event("judged", 0, "RESOLVED"),
        Event("proved", 0, "yes"),
        Event("ended", 0, "undone"),
        Event("reopened"),
        Event("intended", 7),
    ],
)
def test_impossible_events_are_refused(event):
    with pytest.raises(TransactionError, match="where that cannot be"):
        evolve(start(1).ledger, event)


@pytest.mark.parametrize(
    ("events", "illegal"),
    [
        ((Event("begun", 1), Event("measured")), Event("extended", 1)),  # a plan is a whole
        ((Event("begun", 0, WRAPPED),), Event("extended", 1)),  # before health was measured
        ((Event("begun", 0, WRAPPED), Event("measured")), Event("extended", 0)),
        ((Event("begun", 0, WRAPPED), Event("measured"), Event("sealed")), Event("extended", 1)),
        ((Event("begun", 0, WRAPPED), Event("measured"), Event("undo_begun")), Event("extended", 1)),
        ((Event("begun", 0, WRAPPED), Event("measured"), Event("extended", 1)), Event("extended", 1)),  # one is open
        ((Event("begun", 0, WRAPPED), Event("undo_begun")), Event("measured")),
        ((), Event("begun", 1, "done")),
    ],
)
def test_what_may_not_follow_in_a_wrapped_transaction(events, illegal):
    ledger = Ledger()
    for event in events:
        ledger = evolve(ledger, event)
    with pytest.raises(TransactionError, match="where that cannot be"):
        evolve(ledger, illegal)


def test_a_wrapped_transaction_is_kept_when_nothing_changed_and_a_repair_is_not():
    done = Ledger(steps=(Step("done"),), begun=True, measured=True, sealed=True)
    for verdict, repair, wish in (("UNCHANGED", False, True), ("REGRESSED", False, False), ("UNKNOWN", False, False)):
        assert committable(replace(done, verdict=verdict)) is repair
        assert committable(replace(done, verdict=verdict, wrapped=True)) is wish
    assert recovery_wish(Ledger(begun=True, measured=True, wrapped=True, steps=(Step("done"),))) == "undo"


def test_reopening():
    ledger = Ledger(steps=(Step("conflict"), Step("unknown"), Step("undone")), begun=True, undoing=True)
    ledger = replace(ledger, proved=True, ended="needs_human")
    again = evolve(ledger, Event("reopened"))
    assert [s.status for s in again.steps] == ["done", "in_doubt", "undone"]
    assert (again.ended, again.proved) == (None, None)
    with pytest.raises(TransactionError):
        evolve(replace(ledger, ended="undone"), Event("reopened"))
