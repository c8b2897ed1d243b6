"""Commands in containers: let through only when they are, word for word, what a runbook states for what was found."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from stratus.knowledge.execs import exec_line, instances, same_line
from stratus.mitigation import podspec
from stratus.mitigation.policy import Policy, check_target
from stratus.model.actions import Compensable, CompiledCommand, PlannedWrite, Refusal
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis

SHOWN = 3
"""Commands that a refusal names at most as those that would be let through."""


def stated(case: Case, policy: Policy) -> Iterator[Compensable]:
    """Yield every change inside a container that an enabled runbook states for a cause that an analyzer found.

    What a model believes fills no command: text from the cluster could have talked it into a user, a role, a pod.
    """
    books = [b for b in case.runbooks if any(fnmatchcase(b.id, p) for p in policy.settings.exec_runbooks)]
    causes = [policy.hypothesis, *case.ledger] if policy.hypothesis is not None else [*case.ledger]
    seen: list[Hypothesis] = []
    for cause in causes:
        if cause.analyzer in ("", "model") or cause.status == "refuted" or cause in seen:
            continue
        seen.append(cause)
        yield from instances(books, cause.fault, cause.object, cause.facts)


def find(line: str, case: Case, policy: Policy) -> Compensable | Refusal:
    """Return the runbook's change that a command line is, or why it is none."""
    known = list(stated(case, policy))
    for one in known:
        if same_line(exec_line(one), line):
            return one
    if not policy.settings.exec_runbooks:
        message, hint = "commands in containers are switched off (policy.exec_runbooks)", ""
    else:
        message = "no runbook states this command, word for word, for a cause that was found"
        hint = "; or ".join(f"`{exec_line(one)}`" for one in known[:SHOWN])
    return Refusal(
        command=line,
        code="exec",
        message=f"what a command does inside a container cannot be seen, and {message}",
        hint=hint or "change the object instead (`kubectl set`, `kubectl patch`)",
    )


def check(one: Compensable, before: Json | None, policy: Policy, line: str) -> list[Refusal]:
    """Return the objections to running a change where it wants to run."""
    write = one.write(one.change.command)
    if before is None:
        hint = "name a workload that is there"
        return [Refusal(command=line, code="not_found", message=f"{one.workload} does not exist", hint=hint)]
    if refusals := check_target(write, before, policy, line):
        return refusals
    names = [str(c.get("name")) for c in podspec.pod_spec(before).get("containers") or ()]
    if one.change.container not in names:
        message = f"{one.workload} has no container {one.change.container}"
        return [Refusal(command=line, code="not_found", message=message, hint=f"its containers: {', '.join(names)}")]
    return []


def planned(one: Compensable, before: Json, line: str) -> tuple[CompiledCommand, PlannedWrite]:
    """Return the command and its write, ready for the engine."""
    write = one.write(one.change.command)
    place = f"in container {one.change.container} of a pod of {one.workload}"
    note = (
        f"the server cannot rehearse a command {place}; its check has to show the fault before it is run, and its "
        f"compensation, which runbook {one.runbook} states, takes it back"
    )
    return (
        CompiledCommand(command=line, verb="exec", writes=(write,)),
        PlannedWrite(
            write=write,
            command=line,
            reversibility="compensable",
            pre_image=before,
            diff=(f"{place}: {one.text}",),
            note=note,
            compensable=one,
        ),
    )
