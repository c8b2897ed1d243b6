"""Lint: compile, policy, reversibility, dry run on the server, diff; only what comes through may be executed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stratus.cluster.base import ClusterReader, ClusterRehearser
from stratus.errors import ClusterError, CommandRefused, InDoubt, NotFound, UsageError
from stratus.knowledge.execs import is_exec
from stratus.mitigation import containers, podspec
from stratus.mitigation.blast import check_radius
from stratus.mitigation.calendar import CLOSED, closed
from stratus.mitigation.diffing import differences
from stratus.mitigation.losses import losses
from stratus.mitigation.ownership import installer_note
from stratus.mitigation.policy import Author, Policy, check_change, check_target, effective_namespaces, unavailable_pods
from stratus.mitigation.rehearsal import NotRehearsable, OverlayReader, rehearse
from stratus.mitigation.restarts import lossy_restarts
from stratus.mitigation.reversibility import ReversibilityRule, classify, reversibility_rules
from stratus.mitigation.splitting import split_commands
from stratus.model.actions import (
    ActionPlan,
    ActionStep,
    ApiWrite,
    CompiledCommand,
    MitigationPlan,
    PlannedWrite,
    Refusal,
)
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis
from stratus.model.refs import ObjectRef
from stratus.model.reports import Attempt
from stratus.settings import LimitSettings, PolicySettings, Settings


class Compile(Protocol):
    """The grammar: one command line to its typed reads and writes."""

    def __call__(self, line: str, *, namespace: str, reader: ClusterReader) -> CompiledCommand:
        """Compile a line; raises `CommandRefused`, `UsageError` or `ClusterError`."""
        ...


@dataclass
class _Draft:
    """What has been let through so far."""

    reader: OverlayReader
    commands: list[CompiledCommand] = field(default_factory=list)
    writes: list[PlannedWrite] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    """Commands that would change nothing."""
    pods: int = 0

    def fork(self) -> _Draft:
        return _Draft(self.reader.fork(), [*self.commands], [*self.writes], [*self.idle], self.pods)


def lint(
    plan: ActionPlan,
    case: Case,
    *,
    reader: ClusterReader,
    rehearser: ClusterRehearser,
    settings: Settings,
    allowed_namespaces: tuple[str, ...],
    compile_command: Compile | None = None,
    hypothesis: Hypothesis | None = None,
    author: Author = "agent",
    at: float | None = None,
) -> MitigationPlan:
    """Compile and check all commands of a plan, as one sequence; nothing is written.

    Each command is compiled, checked and rehearsed against the state as the earlier ones would leave it. The result
    is executable only when nothing was refused and something would change.

    Args:
        plan: steps with their commands; a step without one is refused.
        case: supplies what is observed, and the earlier attempts.
        reader, rehearser: the cluster, without any method that writes.
        settings: policy and limits.
        allowed_namespaces: namespaces of the incident.
        compile_command: the grammar; kubectl's when None.
        hypothesis: the cause treated; looked up in the case's ledger when None.
        author: whose commands these are.
        at: when the plan would be executed, epoch seconds; None: not now, so that change windows are not asked.

    Raises:
        ClusterUnreachable: the API does not answer.
    """
    compiler = compile_command or _kubectl()
    namespaces = effective_namespaces(settings.policy, allowed_namespaces)
    cause = hypothesis or next((h for h in case.ledger if h.id == plan.hypothesis), None)
    policy = Policy(settings.policy, namespaces, cause, known_repositories(case, cause), author)
    draft = _Draft(OverlayReader(reader))
    refusals: list[Refusal] = []
    for step in plan.steps:
        if is_exec(step.command):
            refusals += _lint_exec(step.command, draft, case, policy)
            continue
        lines, wrong = split_commands(step.command)
        if not lines and not wrong:
            wrong = (Refusal(command="", code="no_command", message=f"no command is known for: {step.text}"),)
        refusals += wrong
        for line in lines:
            trial = draft.fork()
            found = _lint_line(line, step, trial, compiler, policy, namespaces, rehearser)
            refusals += found
            draft = draft if found else trial
    if not refusals:
        refusals = (
            _check_calendar(draft, settings.policy, at)
            or lossy_restarts(draft.writes)
            or check_radius(draft.writes, settings.policy.blast_radius, draft.reader)
            or _check_whole(draft, case.attempts, settings.limits)
        )
    return MitigationPlan(
        plan=plan, commands=tuple(draft.commands), writes=tuple(draft.writes), refusals=tuple(refusals)
    )


def known_repositories(case: Case, hypothesis: Hypothesis | None) -> frozenset[str]:
    """Return the image repositories that run, or ran, in what was observed: other images are not brought in."""
    found = {
        podspec.repository(image)
        for objects in case.observation.objects.values()
        for obj in objects
        for image in podspec.images(obj)
    }
    good = hypothesis.facts.get("good_image") if hypothesis is not None else None
    return frozenset(found | ({podspec.repository(good)} if isinstance(good, str) and good else set()))


def _kubectl() -> Compile:
    from stratus.cluster.kubectl import compile_command

    grammar: Compile = compile_command
    return grammar


def _lint_line(
    line: str,
    step: ActionStep,
    draft: _Draft,
    compiler: Compile,
    policy: Policy,
    namespaces: tuple[str, ...],
    rehearser: ClusterRehearser,
) -> list[Refusal]:
    """Add what the line compiles to to the draft, or return why not; a draft with refusals is thrown away."""
    default = step.target.namespace if step.target is not None and step.target.namespace else ""
    namespace = default or (namespaces[0] if namespaces else "default")
    try:
        compiled = compiler(line, namespace=namespace, reader=draft.reader)
    except CommandRefused as error:
        return [Refusal(command=line, code=error.code, message=str(error), hint=error.hint)]
    except UsageError as error:
        return [Refusal(command=line, code="unknown_name", message=str(error))]
    except ClusterError as error:
        return [_refused_by_server(line, error, None, draft.reader)]
    before_count = len(draft.writes)
    for write in compiled.writes:
        refusals = _lint_write(line, compiled.verb, write, draft, policy, rehearser)
        if refusals:
            return refusals
    draft.commands.append(compiled)
    if compiled.mutating and len(draft.writes) == before_count:
        draft.idle.append(line)
    return []


def _lint_exec(line: str, draft: _Draft, case: Case, policy: Policy) -> list[Refusal]:
    """Add a command in a container to the draft, or return why not."""
    one = containers.find(line, case, policy)
    if isinstance(one, Refusal):
        return [one]
    if refusals := check_target(one.write(one.change.command), None, policy, line):
        return refusals  # before anything is read: what is out of scope is not even looked at
    try:
        before = draft.reader.get(one.workload)
    except ClusterError as error:
        return [_refused_by_server(line, error, one.workload, draft.reader)]
    if refusals := containers.check(one, before, policy, line):
        return refusals
    assert before is not None
    command, write = containers.planned(one, before, line)
    draft.commands.append(command)
    draft.writes.append(write)
    return []


def _lint_write(
    line: str, verb: str, write: ApiWrite, draft: _Draft, policy: Policy, rehearser: ClusterRehearser
) -> list[Refusal]:
    # Before anything is read: an object out of scope is not even looked at.
    if refusals := check_target(write, None, policy, line):
        rule = classify(verb, write, None)
        # A kind that policy leaves out may have a better reason than that.
        known = refusals[0].code == "kind" and rule in reversibility_rules() and not rule.allowed
        return [_irreversible(line, write, rule)] if known else refusals
    try:
        before = draft.reader.get(write.target)
    except ClusterError as error:
        return [_refused_by_server(line, error, write.target, draft.reader)]
    creates = write.method == "POST" or write.patch_type == "application/apply-patch+yaml"
    if before is None and (not creates or write.subresource):
        missing = NotFound(f"{write.target} does not exist", status=404, reason="NotFound")
        return [_refused_by_server(line, missing, write.target, draft.reader)]
    rule = classify(verb, write, before)
    if not rule.allowed:
        return [_irreversible(line, write, rule)]
    if verb == "rollout undo" and write.target.key in draft.reader.overlay:
        # The revision that an earlier command of the plan makes is not there yet to be counted.
        return [_not_rehearsable(line, f"an earlier command changes {write.target}, whose revisions then differ")]
    if refusals := check_target(write, before, policy, line):
        return refusals
    if rule.reversibility == "rewritable":
        write = _rewritten(write, rule)
    try:
        after = rehearse(write, before, draft.reader, rehearser)
    except NotRehearsable as error:
        return [_not_rehearsable(line, str(error))]
    except ClusterError as error:
        return [_refused_by_server(line, error, write.target, draft.reader)]
    lost = [_lost(line, write, loss) for loss in losses(write, before, after)]
    if refusals := [*lost, *check_change(write, before, after, policy, line)]:
        return refusals
    diff = differences(before, after)
    draft.reader.put(write.target, after)
    if not diff:
        return []
    draft.pods += unavailable_pods(write, before, after)
    draft.writes.append(
        PlannedWrite(
            write=write,
            command=line,
            reversibility=rule.reversibility,
            pre_image=before,
            dry_run=after,
            diff=diff,
            note=_note(rule, before),
        )
    )
    return []


def _note(rule: ReversibilityRule, before: Json | None) -> str:
    parts = []
    if rule.reversibility == "rewritable":
        parts.append(rule.rewritten)
    if rule.differs and rule.reversibility != "exact":
        parts.append(f"not identical after an undo: {rule.differs}")
    if before is not None and (remark := installer_note(before)):
        parts.append(remark)
    return "; ".join(part.rstrip(".") for part in parts)


def _rewritten(write: ApiWrite, rule: ReversibilityRule) -> ApiWrite:
    return write.model_copy(
        update={"method": "PATCH", "patch_type": "application/merge-patch+json", "body": rule.rewrite}
    )


def _irreversible(line: str, write: ApiWrite, rule: ReversibilityRule) -> Refusal:
    return Refusal(
        command=line,
        code=rule.reversibility,
        message=f"{write.method} on {write.target} cannot be taken back: {rule.reason}",
        hint=rule.hint or "repair the object with scale, set, patch, label or rollout undo instead",
    )


def _not_rehearsable(line: str, message: str) -> Refusal:
    hint = "change the object in one command, or leave this to the next attempt"
    return Refusal(command=line, code="not_rehearsable", message=message, hint=hint)


def _lost(line: str, write: ApiWrite, loss: str) -> Refusal:
    return Refusal(
        command=line,
        code="irreversible",
        message=f"the change to {write.target} cannot be taken back as a whole: {loss}",
        hint="leave that field as it is",
    )


def _refused_by_server(line: str, error: ClusterError, ref: ObjectRef | None, reader: OverlayReader) -> Refusal:
    code = {404: "not_found", 409: "conflict", 429: "throttled", 403: "forbidden", 401: "forbidden"}.get(
        error.status, "in_doubt" if isinstance(error, InDoubt) else "invalid"
    )
    hint = {
        "not_found": _similar(ref, reader),
        "conflict": "the object is there already, or has changed: use patch or set",
        "throttled": "a disruption budget or the server asks to wait",
        "forbidden": "the identity may not do this: grant it, or choose another way",
        "invalid": "correct the field that the message names",
        "in_doubt": "ask again",
    }[code]
    return Refusal(command=line, code=code, message=str(error)[:500], hint=hint)


def _similar(ref: ObjectRef | None, reader: OverlayReader) -> str:
    """Name the objects that do exist, so that a misspelt name can be repaired."""
    if ref is None:
        return "check the kind and the name"
    try:
        names = sorted(o["metadata"]["name"] for o in reader.list(ref.kind, ref.namespace or None))
    except (ClusterError, UsageError):
        return "check the kind and the name"
    shown = ", ".join(names[:12]) or "none"
    return f"{ref.kind} objects in {ref.namespace or 'the cluster'}: {shown}"


def _check_calendar(draft: _Draft, policy: PolicySettings, at: float | None) -> list[Refusal]:
    """Return the objection to changing anything now."""
    if not draft.writes or at is None:
        return []
    why, again = closed(policy, {planned.write.target.namespace for planned in draft.writes}, at)
    return [Refusal(command="", code=CLOSED, message=why, hint=again)] if why else []


def _check_whole(draft: _Draft, attempts: Sequence[Attempt], limits: LimitSettings) -> list[Refusal]:
    """Return the objections to the plan as a whole."""

    def no(code: str, message: str, hint: str = "") -> list[Refusal]:
        return [Refusal(command="", code=code, message=message, hint=hint)]

    if not draft.writes:
        first = draft.idle[0] if draft.idle else ""
        message = "nothing would change: " + ("the object is like that already" if first else "these are only reads")
        return [
            Refusal(command=first, code="no_effect", message=message, hint="choose a command that changes the cause")
        ]
    commands = sum(1 for command in draft.commands if command.mutating)
    if commands > limits.commands or len(draft.writes) > limits.commands:
        return no("too_many_commands", f"{max(commands, len(draft.writes))} changes, at most {limits.commands} allowed")
    objects = len({planned.write.target.key for planned in draft.writes})
    if objects > limits.objects:
        return no("too_many_objects", f"{objects} objects would be touched, at most {limits.objects} allowed")
    if draft.pods > limits.unavailable_pods:
        return no(
            "blast_radius",
            f"{draft.pods} pods may become unavailable at once, at most {limits.unavailable_pods} allowed",
        )
    wanted = {_signature(planned.write) for planned in draft.writes}
    for attempt in _failed_since_progress(attempts):
        if attempt.writes and {_signature(write) for write in attempt.writes} == wanted:
            return no("already_tried", f"attempt {attempt.number} did the same and was undone", "try something else")
    return []


def _failed_since_progress(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return executed, undone attempts after the last one that was kept: progress may make an old idea right."""
    kept = max((i for i, a in enumerate(attempts) if a.verdict in ("IMPROVED", "RESOLVED")), default=-1)
    return [a for a in attempts[kept + 1 :] if a.executed]


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\"]*")


def _signature(write: ApiWrite) -> str:
    """Return what a write does, without the moment it does it at (a restart carries its time)."""
    body = _TIME.sub("TIME", json.dumps(write.body, sort_keys=True, default=str))
    return f"{write.method} {write.path} {body}"
