"""NL2Kubectl: steps in words become command lines; refused ones are rewritten a bounded number of times."""

from __future__ import annotations

from stratus.cluster.base import ClusterReader, ClusterRehearser
from stratus.mitigation.base import CommandWriter
from stratus.mitigation.linting import Compile, lint
from stratus.mitigation.splitting import split_commands
from stratus.model.actions import ActionPlan, ActionStep, MitigationPlan, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis
from stratus.settings import Settings


def write_commands(
    plan: ActionPlan, case: Case, writer: CommandWriter, refusals: tuple[Refusal, ...] = ()
) -> ActionPlan:
    """Return the plan with one command a step: missing ones written, refused ones rewritten.

    An answer that holds several commands becomes several steps, so that each is compiled, recorded and undone by
    itself. A step whose writer gives up keeps what it had. The result equals the argument when nothing changed, and
    then another round is of no use.

    Args:
        plan: the plan as it came from diagnosis, or from the round before.
        case: shown to the writer.
        writer: the reasoner.
        refusals: what lint said about the commands of the round before; empty in the first round.
    """
    refused = {refusal.command for refusal in refusals if refusal.command}
    idle = any(r.code == "no_effect" and not r.command for r in refusals)  # of the plan as a whole
    steps: list[ActionStep] = []
    for step in plan.steps:
        again = idle or _concerned(step, refused)
        if step.command and not again:
            steps += _one_each(step, step.command)
            continue
        answer = writer.command(step, case, refusals if again else ())
        steps += _one_each(step, answer or step.command)
    return plan.model_copy(update={"steps": tuple(steps)})


def prepare(
    plan: ActionPlan,
    case: Case,
    *,
    writer: CommandWriter,
    reader: ClusterReader,
    rehearser: ClusterRehearser,
    settings: Settings,
    allowed_namespaces: tuple[str, ...],
    compile_command: Compile | None = None,
    hypothesis: Hypothesis | None = None,
) -> MitigationPlan:
    """Turn a plan into linted, rehearsed writes, repairing refused commands up to `limits.repair_rounds` times.

    Nothing is written. The result's refusals are those of the last round; a plan with any is not executable.

    Raises:
        ClusterUnreachable: the API does not answer.
    """
    told: tuple[Refusal, ...] = ()
    written = write_commands(plan, case, writer)
    for round_ in range(settings.limits.repair_rounds + 1):
        result = lint(
            written,
            case,
            reader=reader,
            rehearser=rehearser,
            settings=settings,
            allowed_namespaces=allowed_namespaces,
            compile_command=compile_command,
            hypothesis=hypothesis,
        )
        if not result.refusals or round_ == settings.limits.repair_rounds:
            break
        told += tuple(r for r in result.refusals if r not in told)
        rewritten = write_commands(written, case, writer, told)
        if rewritten == written:
            break
        written = rewritten
    return result


def _concerned(step: ActionStep, refused: set[str]) -> bool:
    if not step.command:
        return True
    commands, wrong = split_commands(step.command)
    return bool(refused & {*commands, *(r.command for r in wrong)})


def _one_each(step: ActionStep, answer: str) -> list[ActionStep]:
    commands, wrong = split_commands(answer)
    if wrong or not commands:
        # Kept whole: lint refuses it with a reason that the writer can act on.
        return [step.model_copy(update={"command": answer})]
    return [step.model_copy(update={"command": command}) for command in commands]
