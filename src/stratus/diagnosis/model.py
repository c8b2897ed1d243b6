"""The model reasoner: orders, rejects and extends what the rules found, chooses actions, writes missing commands."""

from __future__ import annotations

import re
from typing import Protocol, cast

from stratus.diagnosis.alternatives import plans_of
from stratus.diagnosis.answers import (
    NEW,
    NONE,
    WRITE,
    CommandAnswer,
    DiagnosisAnswer,
    OpenDiagnosisAnswer,
    PlanAnswer,
    diagnosis_answer,
    plan_answer,
)
from stratus.diagnosis.base import Reasoner
from stratus.diagnosis.looking import LookingGlass
from stratus.diagnosis.prompts import prompt
from stratus.diagnosis.prompts.rendering import command_lines, diagnosis_lines, fenced, observed_objects, plan_lines
from stratus.errors import BudgetSpent, ModelUnreachable, ReasoningError, StratusError
from stratus.llm.base import Thinker
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, FaultClass, Hypothesis
from stratus.model.refs import ObjectRef
from stratus.model.reports import ModelUsage

_STATED = {"low": 0.35, "medium": 0.6, "high": 0.85}
_FAILED = (ReasoningError, BudgetSpent, ModelUnreachable)
_MOST_ACTIONS = 4
_MOST_OBJECTS = 16
"""Objects that a new hypothesis may blame: each costs a dozen tokens of prompt."""


class RulesBrain(Reasoner, Protocol):
    """What the rules give the model to choose from."""

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Write a command for a well-known step; empty when the sentence is not understood."""
        ...


class ModelReasoner:
    """Thinks with a chat model over the rules' findings, and as the rules do when the model fails.

    One call a diagnosis, one a plan, one for each step whose command neither the plan nor the rules know, and one for
    each repair. The model may only name what is enumerated to it; what it writes in free text goes through lint like
    anything else.

    Args:
        thinker: the chat model behind typed answers.
        rules: candidates for hypotheses, plans and commands; decides when the model fails.
        name: as given to `--reasoner`.
        prompt_tokens: evidence is cut to about this many tokens a prompt.
        solid: confidence from which a finding of the rules is settled enough that the model may only order and reject;
            a cause of its own is asked for when there is no such finding left. More than 1.0: always. Weak models
            like to invent, and trying a solid finding first costs at most one undo.
        glass: lets the model look at the cluster before it decides; None: it has what it is shown.
    """

    def __init__(
        self,
        thinker: Thinker,
        rules: RulesBrain,
        name: str,
        *,
        prompt_tokens: int = 1500,
        solid: float = 0.6,
        glass: LookingGlass | None = None,
    ) -> None:
        self.name = name
        self._thinker = thinker
        self._rules = rules
        self._tokens = prompt_tokens
        self._solid = solid
        self._glass = glass
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the model failed and the rules decided, in order."""
        return tuple(self._notes)

    def usage(self) -> ModelUsage:
        """Return what thinking has cost so far."""
        return self._thinker.usage().model_copy(update={"reasoner": self.name})

    def diagnose(self, case: Case) -> Diagnosis:
        """Return the rules' ledger in the model's order, perhaps with one hypothesis more.

        Raises:
            ModelUnreachable: in the first round when the model never answered: then the user's choice of a model
                cannot be honoured, and nothing has been touched yet. Later the rules take over.
        """
        base = _with_ledger(self._rules.diagnose(case), case)
        open_ones = [h for h in base.hypotheses if _eligible(h, base)]
        settled = any(h.confidence >= self._solid for h in open_ones)
        objects = () if settled else observed_objects(case, [h.object for h in base.hypotheses], most=_MOST_OBJECTS)
        if not open_ones and not objects:
            return base
        ids = tuple(h.id for h in open_ones)
        try:
            answer = self._weighed(case, base, ids, objects)
        except _FAILED as error:
            if isinstance(error, ModelUnreachable) and case.round == 1 and not self.usage().model_calls:
                raise
            note = self._note(error)
            return base.model_copy(update={"reasoning": f"{note} {base.reasoning}".strip()})
        return _decided(base, answer, case)

    def _weighed(self, case: Case, base: Diagnosis, ids: tuple[str, ...], objects: tuple[str, ...]) -> DiagnosisAnswer:
        """Ask which hypothesis it is; the model may look at the cluster some times before it says."""
        space = next(iter(case.observation.namespaces), "default")
        asked: list[str] = []
        seen: list[str] = []
        left = self._glass.times if self._glass is not None else 0
        while True:
            extension = [
                "NEW = the evidence contradicts all of them: then `new_fault` and `new_object` from the values below."
                if objects
                else "",
                "NONE = no repair is worth trying.",
                prompt("look", namespace=space) if left else "",
            ]
            data = fenced(diagnosis_lines(case, base.hypotheses), self._tokens)
            if seen:
                data = f"{data}\n\nWhat you asked to see:\n{fenced(seen, self._tokens)}"
            question = prompt(
                "diagnose",
                round=str(case.round),
                data=data,
                choices=", ".join((*ids, *((NEW,) if objects else ()), NONE)),
                extension=" ".join(filter(None, extension)),
            )
            schema = diagnosis_answer(ids, objects, look=left > 0)
            answer = self._thinker.ask(schema, system=prompt("system"), prompt=question)
            wanted = [c for c in getattr(answer, "look", []) if c not in asked] if left else []
            if self._glass is None or not wanted:
                return answer
            asked += wanted
            seen += self._glass.look_at(wanted, space)
            left -= 1

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        """Return the plan the model chose or wrote, or the rules' own when the model fails; None when none is safe."""
        plans = plans_of(self._rules.plan, case, hypothesis, _MOST_ACTIONS)
        names = tuple(f"A{number}" for number in range(1, len(plans) + 1))
        question = prompt(
            "plan",
            data=fenced(plan_lines(case, hypothesis, plans), self._tokens),
            choices=", ".join((*names, WRITE, NONE)),
            namespace=hypothesis.object.namespace or "default",
        )
        try:
            answer = self._thinker.ask(plan_answer(names), system=prompt("system"), prompt=question)
        except _FAILED as error:
            note = self._note(error)
            first = plans[0] if plans else None
            return first and first.model_copy(update={"summary": f"{first.summary} ({note})"})
        if answer.choice == NONE:
            return None
        if answer.choice == WRITE:
            return _written(answer, hypothesis)
        return plans[names.index(answer.choice)]

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        """Return the rules' plans: to have something to compare with costs no call."""
        return tuple(plans_of(self._rules.plan, case, hypothesis, most))

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Return a command line for the step: the known one, the rules', else the model's; empty to give up."""
        refused = {refusal.command for refusal in refusals}
        if step.command and step.command not in refused and not refusals:
            return step.command
        known = self._rules.command(step, case, refusals)
        if known and known not in refused:
            return known
        namespace = (step.target.namespace if step.target else "") or next(iter(case.observation.namespaces), "default")
        question = prompt(
            "command",
            data=fenced(command_lines(case, step.text, step.target, refusals), self._tokens),
            namespace=namespace,
            repair="Write it so that the objection to the command refused before no longer holds." if refusals else "",
        )
        try:
            answer = self._thinker.ask(CommandAnswer, system=prompt("system"), prompt=question.rstrip())
        except _FAILED as error:
            self._note(error)
            return ""
        return answer.command.strip()

    def _note(self, error: StratusError) -> str:
        note = f"The rules decided, because the model gave no answer: {error}."
        self._notes.append(note)
        return note


def _eligible(hypothesis: Hypothesis, base: Diagnosis) -> bool:
    """Whether it may be chosen: it is open, or tried and the rules know another action for it."""
    return hypothesis.status == "open" or hypothesis.id == base.chosen


def _with_ledger(base: Diagnosis, case: Case) -> Diagnosis:
    """Give causes the ids they had in earlier rounds, and keep those that the rules did not raise again."""
    before = {(h.fault, h.object.key): h.id for h in case.ledger}
    used = _numbers((*base.hypotheses, *case.ledger))
    renamed: dict[str, str] = {}
    hypotheses: list[Hypothesis] = []
    for hypothesis in base.hypotheses:
        cause = (hypothesis.fault, hypothesis.object.key)
        number = before.get(cause, hypothesis.id)
        if cause not in before and number in before.values():
            used.append(max(used) + 1)
            number = f"H{used[-1]}"
        renamed[hypothesis.id] = number
        hypotheses.append(hypothesis.model_copy(update={"id": number}))
    held = {(h.fault, h.object.key) for h in hypotheses}
    hypotheses += [h for h in case.ledger if (h.fault, h.object.key) not in held]
    chosen = renamed.get(base.chosen, base.chosen)
    return base.model_copy(update={"hypotheses": tuple(hypotheses), "chosen": chosen})


def _numbers(hypotheses: tuple[Hypothesis, ...]) -> list[int]:
    return [int(m[1]) for h in hypotheses if (m := re.fullmatch(r"H(\d+)", h.id))] or [0]


def _decided(base: Diagnosis, answer: DiagnosisAnswer, case: Case) -> Diagnosis:
    """Return the ledger as the model ordered it.

    A rejected hypothesis goes to the end with half its confidence and stays open: a weak model may be wrong, and when
    all else has failed it is still worth a try that can be undone.
    """
    hypotheses = list(base.hypotheses)
    best = answer.best
    if isinstance(answer, OpenDiagnosisAnswer) and best == NEW:
        new = _new_hypothesis(answer, base, case)
        twin = next((h for h in hypotheses if (h.fault, h.object.key) == (new.fault, new.object.key)), None)
        if twin is None:
            hypotheses.append(new)
        best = new.id if twin is None else twin.id
    by_id = {h.id: h for h in hypotheses}
    open_ids = [h.id for h in hypotheses if _eligible(h, base)]
    rejected = [i for i in open_ids if i in answer.rejected and i != best]
    wanted = [best] if best in open_ids else []
    order = [*wanted, *(i for i in open_ids if i not in wanted and i not in rejected), *rejected]
    for number in rejected:
        by_id[number] = _with_confidence(by_id[number], by_id[number].confidence / 2)
    if best in order:
        by_id[best] = _with_confidence(by_id[best], (by_id[best].confidence + _STATED[answer.confidence]) / 2)
    # NONE counts when the model has something against every one of them: silence about a finding is no objection.
    given_up = best == NONE and set(rejected) == set(open_ids)
    others = [h.id for h in hypotheses if h.id not in order]
    reasoning = [f"The model: {answer.reason.strip()}" if answer.reason.strip() else "The model gave no reason."]
    if rejected:
        reasoning.append(f"It speaks against {', '.join(rejected)}.")
    return base.model_copy(
        update={
            "hypotheses": tuple(by_id[i] for i in (*order, *others)),
            "chosen": "" if given_up or not order else order[0],
            "reasoning": " ".join([*reasoning, base.reasoning]).strip(),
        }
    )


def _new_hypothesis(answer: OpenDiagnosisAnswer, base: Diagnosis, case: Case) -> Hypothesis:
    namespace, kind, name = cast(str, answer.new_object).split("/", 2)
    observed = case.observation.find(kind, namespace, name)
    ref = ObjectRef(api_version="v1", kind=kind, name=name, namespace=namespace)
    known = next((h.object for h in base.hypotheses if h.object.key == ref.key), None)
    if known is not None:
        ref = known
    elif observed is not None:
        ref = ObjectRef.of({"kind": kind, "apiVersion": "v1", **observed})
    return Hypothesis(
        id=f"H{max(_numbers(base.hypotheses)) + 1}",
        fault=cast(FaultClass, answer.new_fault),
        summary=answer.reason.strip() or f"{answer.new_fault} of {answer.new_object}",
        object=ref,
        service=name,
        confidence=_STATED[answer.confidence],
        analyzer="model",
    )


def _with_confidence(hypothesis: Hypothesis, confidence: float) -> Hypothesis:
    return hypothesis.model_copy(update={"confidence": round(min(1.0, max(0.0, confidence)), 3)})


def _written(answer: PlanAnswer, hypothesis: Hypothesis) -> ActionPlan:
    steps = []
    for text in answer.steps:
        sentence = text.strip().strip("`")
        if sentence:
            command = sentence if sentence.startswith("kubectl ") else ""
            steps.append(ActionStep(text=sentence, command=command, target=hypothesis.object))
    return ActionPlan(
        hypothesis=hypothesis.id,
        summary=answer.reason.strip() or f"Repair {hypothesis.object} as the model proposes",
        steps=tuple(steps),
        risk="medium",
    )
