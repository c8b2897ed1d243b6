"""Action planning: from a hypothesis and the runbooks at hand to steps with commands, none that failed already."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Literal

from stratus.errors import KnowledgeError
from stratus.knowledge.execs import exec_line, filled
from stratus.knowledge.templates import fill_command, fill_text, placeholders, split, usable, values
from stratus.model.actions import ActionPlan, ActionStep
from stratus.model.base import Json, Noun
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.model.refs import ObjectRef

Risk = Literal["low", "medium", "high"]
_RISKS: tuple[Risk, ...] = ("low", "medium", "high")
_REVISION = re.compile(r"--to-revision[= ]\d+")


class Remedy(Noun):
    """A built-in remedy: what to do about some faults when no runbook says it.

    Attributes:
        faults: classes of cause it treats.
        kinds: kinds of object it applies to; empty: any workload with a pod template.
        needs: facts that must be known; with `=`, the value that they must have.
        steps: text and command template of each step.
        expected: what should be seen afterwards.
    """

    faults: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    steps: tuple[RunbookAction, ...]
    expected: str = ""
    risk: Risk = "low"
    on_workload: bool = False
    """The steps are about the workload named in the facts, not about the blamed object."""


@functools.cache
def remedies() -> tuple[Remedy, ...]:
    """Return the built-in remedies in order of preference; read once."""
    import yaml

    text = resources.files("stratus.diagnosis").joinpath("remedies.yaml").read_text(encoding="utf-8")
    return tuple(Remedy.model_validate(item) for item in yaml.safe_load(text))


def make_plan(case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
    """Return steps for a hypothesis: from a fitting runbook, else built-in; None when nothing untried is known.

    An action is skipped when a fact it needs is unknown, when its command cannot be filled safely, or when an earlier
    attempt of this incident ran the same commands in vain.
    """
    if hypothesis.status == "refuted":
        return None
    tried = _tried(case)
    for plan in _offers(case, hypothesis):
        # One that was refused for what it was completed with may still do without.
        for offer in (_completed(plan, hypothesis), plan):
            if _fresh(offer, tried):
                return offer
    return None


def _offers(case: Case, hypothesis: Hypothesis) -> Iterator[ActionPlan]:
    """Yield what the runbooks say, then what is built in, in order of preference."""
    stated = [(book, action) for book in _by_relevance(case, hypothesis) for action in book.actions]
    if any(action.exec is not None and usable(action, hypothesis.facts) for _, action in stated):
        # What only starts processes anew is no match for what sets right what they are refused by.
        stated.sort(key=lambda pair: "rollout restart" in pair[1].command)
    for runbook, action in stated:
        if (plan := _from_runbook(hypothesis, runbook, action)) is not None:
            yield plan
    for remedy in remedies():
        if (plan := _from_remedy(hypothesis, remedy)) is not None:
            yield plan


def _by_relevance(case: Case, hypothesis: Hypothesis) -> list[Runbook]:
    """Return the runbooks for the fault, retrieved ones first, then by name."""
    scores = {c.id: c.score for c in case.citations if c.kind == "runbook"}
    fitting = [r for r in case.runbooks if hypothesis.fault in r.faults]
    return sorted(fitting, key=lambda r: (r.faults[0] != hypothesis.fault, -scores.get(r.id, 0.0), len(r.faults), r.id))


def _from_runbook(hypothesis: Hypothesis, runbook: Runbook, action: RunbookAction) -> ActionPlan | None:
    if not usable(action, hypothesis.facts):
        return None
    if not _suits(action.command, hypothesis.object):
        return None
    step = _inside(action, hypothesis, runbook) or _step(action, hypothesis.object, hypothesis.facts, runbook.id)
    if step is None:
        return None
    return ActionPlan(
        hypothesis=hypothesis.id,
        summary=f"{step.text} (runbook {runbook.title})",
        steps=(step,),
        expected=_expected(hypothesis),
        risk=runbook.risk,
    )


_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def _inside(action: RunbookAction, hypothesis: Hypothesis, runbook: Runbook) -> ActionStep | None:
    """Return the step of a change inside a container; lint accepts its line as long as the runbook states it."""
    if action.exec is None or hypothesis.object.kind not in _WORKLOADS:
        return None
    try:
        one = filled(runbook, action, hypothesis.object, hypothesis.facts)
    except KnowledgeError:
        return None
    return ActionStep(text=one.text, command=exec_line(one), target=hypothesis.object, runbook=runbook.id)


def _suits(command: str, target: ObjectRef) -> bool:
    """Whether a template that names `{kind}/{name}` after a workload verb can be meant for such an object."""
    verbs = ("rollout ", "set image", "set env", "set resources", "scale ")
    return not (any(v in command for v in verbs) and "{kind}/{name}" in command) or target.kind in (
        *_WORKLOADS, "ReplicaSet",
    )  # fmt: skip


def _from_remedy(hypothesis: Hypothesis, remedy: Remedy) -> ActionPlan | None:
    target, facts = hypothesis.object, hypothesis.facts
    if hypothesis.fault not in remedy.faults:
        return None
    if remedy.on_workload:
        kind, _, name = str(facts.get("workload", "")).partition("/")
        if not name:
            return None
        title = next((k for k in _WORKLOADS if k.lower() == kind), "")
        target = ObjectRef(api_version="apps/v1", kind=title or kind, name=name, namespace=target.namespace)
    if target.kind not in (remedy.kinds or _WORKLOADS) or not _needs(remedy.needs, facts):
        return None
    steps = []
    for action in remedy.steps:
        step = _step(action, target, facts, "")
        if step is None:
            return None
        steps.append(step)
    summary = steps[0].text if len(steps) == 1 else "; then ".join(s.text for s in steps)
    return ActionPlan(
        hypothesis=hypothesis.id,
        summary=summary,
        steps=tuple(steps),
        expected=remedy.expected or _expected(hypothesis),
        risk=remedy.risk,
    )


_AT_START = frozenset({"missing_config", "missing_config_key"})
"""Faults whose pods have not started yet: the kubelet reads the repaired object when it tries again."""
_TEMPLATE = re.compile(r"\b(?:rollout (?:undo|restart)|set (?:image|env|resources|serviceaccount)|patch)\b")


def _completed(plan: ActionPlan, hypothesis: Hypothesis) -> ActionPlan:
    """Add what a repair needs to take hold, when its own steps leave it out.

    Configuration is read when a container starts, and one that crashes is started again only after its back-off: who
    uses a repaired object is restarted. A StatefulSet waits for its broken pod before it updates any: it has to go.
    """
    facts, steps, last = hypothesis.facts, list(plan.steps), plan.steps[-1]
    namespace = hypothesis.object.namespace
    kind, _, name = str(facts.get("workload", "")).partition("/")
    about = next((k for k in _WORKLOADS if k.lower() == kind), "")
    written = [s for s in steps if re.search(r"\bpatch (?:configmap|secret)s?[/ ]", s.command)]
    restarts = any("rollout restart" in s.command or "rollout undo" in s.command for s in steps)
    if written and about and name and not restarts and hypothesis.fault not in _AT_START:
        target = ObjectRef(api_version="apps/v1", kind=about, name=name, namespace=namespace)
        steps.append(
            ActionStep(
                text=f"Restart {about} {name} in namespace {namespace}, which reads it when it starts.",
                command=f"kubectl rollout restart {kind}/{name} -n {namespace}",
                target=target,
            )
        )
    ordered = hypothesis.object if hypothesis.object.kind == "StatefulSet" else last.target
    pod = str(facts.get("pod") or "")
    changes = any(_TEMPLATE.search(s.command) and "statefulset/" in s.command.lower() for s in steps)
    if (
        ordered
        and ordered.kind == "StatefulSet"
        and pod
        and changes
        and not any("delete pod" in s.command for s in steps)
    ):
        steps.append(
            ActionStep(
                text=f"Delete pod {pod} in namespace {namespace}, which waits at the broken revision.",
                command=f"kubectl delete pod/{pod} -n {namespace}",
                target=ObjectRef(api_version="v1", kind="Pod", name=pod, namespace=namespace),
            )
        )
    if len(steps) == len(plan.steps):
        return plan
    return plan.model_copy(update={"steps": tuple(steps)})


def _needs(needs: Iterable[str], facts: Json) -> bool:
    for need in needs:
        name, equals, wanted = need.partition("=")
        value = facts.get(name)
        if value in (None, "") or (equals and str(value) != wanted):
            return False
    return True


def _step(action: RunbookAction, target: ObjectRef, facts: Json, runbook: str) -> ActionStep | None:
    if action.exec is not None:
        return None
    known = values(target, facts)
    try:
        command = fill_command(action.command, known)
        text = fill_text(action.text, {**dict.fromkeys(placeholders(action.text), ""), **known, "kind": target.kind})
    except KnowledgeError:
        return None
    return ActionStep(text=text, command=command, target=target, runbook=runbook)


def _expected(hypothesis: Hypothesis) -> str:
    where = hypothesis.service or hypothesis.object.name
    return f"{where} serves again: pods ready, endpoints present, errors and latency as before the incident"


def same(command: str) -> str:
    """Return a command in a form in which two spellings of one thing are equal.

    Revision numbers grow with every rollback that is taken back, so they are no part of it: the world already
    offers another revision when one was tried in vain.
    """
    try:
        words = split(_REVISION.sub("", command))
    except KnowledgeError:
        words = command.split()
    if words and words[0] == "kubectl":
        words = words[1:]
    flags: list[str] = []
    rest: list[str] = []
    skip = False
    for i, word in enumerate(words):
        if skip:
            skip = False
        elif word in ("-n", "--namespace", "-p", "--patch", "--type") and i + 1 < len(words):
            flags.append({"-n": "--namespace", "-p": "--patch"}.get(word, word) + "=" + words[i + 1])
            skip = True
        elif word.startswith("-n") and not word.startswith("--"):
            flags.append("--namespace=" + word[2:].lstrip("="))
        elif word.startswith("-"):
            flags.append(word)
        else:
            rest.append(word.lower() if "/" in word else word)
    return " ".join([*rest, *sorted(flags)])


def _tried(case: Case) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return the commands of attempts that ran and did not resolve the incident, and of those that were not let run."""
    ran: set[tuple[str, ...]] = set()
    refused: set[tuple[str, ...]] = set()
    for attempt in case.attempts:
        commands = attempt.commands or tuple(r.command for r in attempt.refusals)
        if not commands or attempt.verdict == "RESOLVED":
            continue
        (ran if attempt.executed else refused).add(_spelled(commands))
    return ran, refused


def _spelled(commands: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(same(c) for c in commands))


def _fresh(plan: ActionPlan, tried: tuple[set[tuple[str, ...]], set[tuple[str, ...]]]) -> bool:
    """Whether these commands have not failed yet.

    A rollback is offered with another revision once one was tried and taken back (see `Workload.back`), so one that
    ran before does not count against it; one that was refused does.
    """
    ran, refused = tried
    mine = _spelled(s.command for s in plan.steps)
    if any(part.startswith("rollout undo") for part in mine):
        return mine not in refused
    return mine not in ran and mine not in refused
