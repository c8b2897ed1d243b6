"""From a compiled read to its answer: which module runs it, what failures say, how long it may get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from stratus.cluster.base import ClusterReader, ClusterRehearser
from stratus.cluster.kubectl.compiler import compile_command
from stratus.cluster.kubectl.context import refuse
from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, UsageOf, said_by_server
from stratus.errors import ClusterError
from stratus.kit.clock import Clock, SystemClock
from stratus.kit.text import redact
from stratus.model.actions import ApiRead

MOST_CHARACTERS = 20_000
"""Longest text of an answer: some 5000 tokens."""

_RUNNERS = {
    "get": ("getting", "run"),
    "describe": ("describing", "run"),
    "logs": ("logs", "run"),
    "top": ("topping", "run"),
    "events": ("events", "run"),
    "rollout-status": ("rollouts", "status"),
    "rollout-history": ("rollouts", "history"),
    "can-i": ("catalog", "can_i"),
    "api-resources": ("catalog", "resources"),
    "version": ("catalog", "version"),
    "explain": ("explaining", "run"),
    "diff": ("diffing", "run"),
}
_FROM_THE_END = frozenset({"logs", "events"})


def run_command(
    line: str | Sequence[str],
    *,
    namespace: str,
    reader: ClusterReader,
    manifest: str = "",
    clock: Clock | None = None,
    usage: UsageOf | None = None,
    rehearser: ClusterRehearser | None = None,
    most: int = MOST_CHARACTERS,
) -> ReadAnswer:
    """Compile a command line that only reads, and run it.

    Raises:
        CommandRefused: it is none, or it would change something (`not_a_read`).
        ClusterUnreachable: the cluster could not be read.
    """
    try:
        compiled = compile_command(line, namespace=namespace, reader=reader, manifest=manifest, clock=clock)
    except ClusterError as error:
        return _failed(said_by_server(error))
    if compiled.writes or not compiled.reads:
        raise refuse("not_a_read", f"`{compiled.verb}` changes something", "only look: use get, describe, logs, events")
    (read,) = compiled.reads
    return run_read(read, reader=reader, clock=clock, usage=usage, rehearser=rehearser, most=most)


def run_read(
    read: ApiRead,
    *,
    reader: ClusterReader,
    clock: Clock | None = None,
    usage: UsageOf | None = None,
    rehearser: ClusterRehearser | None = None,
    most: int = MOST_CHARACTERS,
) -> ReadAnswer:
    """Run a compiled read and return what it shows.

    Secrets show the sizes of their values only, and what looks like a password or token in texts is taken out.

    Args:
        read: what to show.
        reader: where from. Printing by the server is used where the reader has it (`ClusterPrinter`).
        clock: for ages; None: the system's.
        usage: figures for `top`.
        rehearser: lets `diff` ask the server; without one, the merge is done here.
        most: longest text in characters; a longer one is cut, and says so.

    Raises:
        CommandRefused: an option is wrong in itself (`bad_value`).
        ClusterUnreachable: the cluster could not be read.
    """
    module, function = _RUNNERS[read.verb]
    runner: Callable[[Look], ReadAnswer] = getattr(import_module(f"stratus.cluster.kubectl.reads.{module}"), function)
    look = Look(read=read, reader=reader, clock=clock or SystemClock(), usage=usage, rehearser=rehearser)
    try:
        answer = runner(look)
    except Failed as failed:
        return _failed(str(failed), failed.exit_code)
    except ClusterError as error:
        return _failed(said_by_server(error))
    text, cut = cut_to(redact(answer.text), most, from_end=read.verb in _FROM_THE_END)
    return answer.model_copy(update={"text": text, "complaint": redact(answer.complaint), "cut": cut})


def _failed(said: str, code: int = 1) -> ReadAnswer:
    return ReadAnswer(complaint=redact(said), exit_code=code)


def cut_to(text: str, most: int, *, from_end: bool = False) -> tuple[str, bool]:
    """Return whole lines of a text up to a length, with a line that says what is missing.

    Args:
        text: the text.
        most: characters of it that may stay.
        from_end: keep the last lines (of a log) instead of the first.
    """
    if len(text) <= most:
        return text, False
    lines = text.splitlines(keepends=True)
    kept, used = 0, 0
    for line in reversed(lines) if from_end else lines:
        if used + len(line) > most:
            break
        kept, used = kept + 1, used + len(line)
    missing = len(lines) - kept
    note = f"(cut: {missing} of {len(lines)} lines are not shown; ask for less: a name, -l, --tail, -o jsonpath)\n"
    if from_end:
        return note + "".join(lines[missing:]), True
    return "".join(lines[:kept]) + note, True
