"""From a command line to typed writes or reads: the grammar, then the verb's own module."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from importlib import import_module

from stratus.cluster.base import ClusterReader
from stratus.cluster.kubectl.context import Context, Outcome, check_segment, refuse
from stratus.cluster.kubectl.grammar import parse_command
from stratus.kit.clock import Clock, SystemClock
from stratus.model.actions import CompiledCommand

_VERBS = {
    "scale": "scaling",
    "set": "setting",
    "patch": "patching",
    "label": "labelling",
    "annotate": "labelling",
    "taint": "nodes",
    "cordon": "nodes",
    "uncordon": "nodes",
    "drain": "nodes",
    "delete": "deleting",
    "rollout": "rolling",
    "apply": "applying",
    "replace": "applying",
    "create": "creating",
    "expose": "exposing",
    "autoscale": "exposing",
    "run": "running",
}
"""First word of a changing verb -> module in `verbs` that compiles it."""


def compile_command(
    line: str | Sequence[str],
    *,
    namespace: str,
    reader: ClusterReader,
    manifest: str = "",
    clock: Clock | None = None,
) -> CompiledCommand:
    """Compile a kubectl command to what it would send, without sending anything.

    Objects are looked up through the reader, selectors and `--all` expanded to one write for each object. A command
    that the real kubectl would find nothing to do for compiles to no writes. A command that would fail for one of its
    objects is refused as a whole.

    Args:
        line: the command, with or without `kubectl`; text is split without a shell.
        namespace: the namespace when the command names none.
        reader: where objects and resource types are looked up.
        manifest: the text that `-f -` reads.
        clock: for the time of `rollout restart`; None: the system's.

    Raises:
        CommandRefused: with a stable code and a hint how to say it so that it would be accepted.
        ClusterError, ClusterUnreachable: the cluster could not be read.
    """
    parsed = parse_command(line)
    text = line.strip() if isinstance(line, str) else shlex.join(line)
    check_segment(parsed.namespace or namespace, "namespace")
    ctx = Context(
        parsed=parsed,
        reader=reader,
        namespace=parsed.namespace or namespace,
        manifest=manifest,
        clock=clock or SystemClock(),
    )
    if manifest and "filename" not in parsed:
        raise refuse("manifest_not_used", "A manifest is given, but the command does not read it", "add `-f -`")
    outcome = _compile(ctx)
    return CompiledCommand(command=text, verb=parsed.verb, writes=outcome.writes, reads=outcome.reads)


def _compile(ctx: Context) -> Outcome:
    if ctx.parsed.read:
        from stratus.cluster.kubectl.verbs import reading

        return reading.compile_read(ctx)
    name = ctx.parsed.verb.partition(" ")[0]
    module = import_module(f"stratus.cluster.kubectl.verbs.{_VERBS[name]}")
    verb: Callable[[Context], Outcome] = module.compile_verb
    return verb(ctx)
