"""Mitigation: NL2Kubectl, Linting, Approval, Execution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from langgraph.types import interrupt

from stratus.cluster.base import ClusterReader
from stratus.cluster.kubectl import compile_command
from stratus.errors import BudgetSpent, CommandRefused, LeaseLost, TransactionError
from stratus.flow.nodes.detection import namespaces_of
from stratus.flow.nodes.story import case_of, spent, told
from stratus.flow.rooms import Rooms, RoomsFor
from stratus.flow.state import State
from stratus.mitigation.calendar import CLOSED, closed
from stratus.mitigation.linting import lint
from stratus.mitigation.nl2kubectl import write_commands
from stratus.model.actions import ActionPlan, MitigationPlan, Refusal
from stratus.model.cases import Case
from stratus.model.refs import ObjectRef
from stratus.model.reports import IncidentState
from stratus.transaction.breakers import OSCILLATION
from stratus.transaction.cost import cost_of_plan, start_seconds

log = logging.getLogger(__name__)

ENDINGS = {
    "suggest": "mode suggest: the plan is proposed, nothing is changed",
    "dry-run": "mode dry-run: the plan was rehearsed on the server, nothing is changed",
}


STOPS = {"forbidden": "the identity may not make the change", CLOSED: "it is not the time for a change"}
"""Refusals that no other command gets around, by their code."""


class MitigationNodes:
    """From steps in words to an executed transaction; only Execution changes anything."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def nl2kubectl(self, state: State) -> State:
        """Write the commands that are missing, and rewrite those that lint refused."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        plan, refusals = state["plan"], state.get("refusals", ())
        assert plan is not None, "the edge to Mitigation needs a plan"
        written = write_commands(plan, case_of(state, rooms), rooms.brain, refusals)
        first = not refusals
        left = rooms.settings.limits.repair_rounds if first else state.get("repairs", 0) - 1
        if not first and written == plan:
            left = 0  # nothing was rewritten: another round would say the same
        return {
            "state": IncidentState.MITIGATING,
            "plan": written,
            "repairs": max(0, left),
            "timeline": told(
                state, rooms, "NL2Kubectl", *(s.command or f"no command for: {s.text}" for s in written.steps)
            ),
            "spent": spent(state, "mitigate", watch()),
        }

    def linting(self, state: State) -> State:
        """Compile, check against policy and the reversibility registry, dry-run on the server, and show the diff."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        plan, case = state["plan"], case_of(state, rooms)
        assert plan is not None, "the edge to Mitigation needs a plan"
        result = linted(rooms, state, plan, case)
        known = state.get("refusals", ())
        refusals = (*known, *(r for r in result.refusals if r not in known)) if result.refusals else ()
        lines = [line for write in result.writes for line in write.diff][:8]
        lines += [write.note for write in result.writes if write.note]
        if result.executable:
            lines.append("undo: " + cost_of_plan(result.writes, pod_start(case)).text())
        lines += [f"refused: {r.message}" for r in result.refusals]
        news: State = {
            "mitigation": result,
            "commands": result.commands,
            "refusals": refusals,
            "timeline": told(state, rooms, "Linting", *lines, severity="warning" if result.refusals else "info"),
        }
        mode = state.get("mode", "suggest")
        if result.executable and mode in ENDINGS:
            news["ending"] = ENDINGS[mode]
            news["state"] = IncidentState.UNRESOLVED
        elif result.refusals and (why := ending_of(result.refusals)):
            news["repairs"] = 0
            news["ending"] = why
            news["state"] = IncidentState.NEEDS_HUMAN
        news["spent"] = spent(state, "mitigate", watch())
        return news

    def approval(self, state: State) -> State:
        """Wait for a person; a node of its own, since it runs again from its top when the answer comes.

        The yes is for what was shown: Execution refuses the plan if anything of it has changed by its turn to write.
        """
        rooms = self.rooms_for(state)
        mitigation = state["mitigation"]
        assert mitigation is not None, "the edge to Approval needs a linted plan"
        answer = interrupt(proposal(state, mitigation, case_of(state, rooms)))
        approved = answer == "approved"
        news: State = {
            "approval": "approved" if approved else "rejected",
            "timeline": told(state, rooms, "Approval", "approved" if approved else "rejected by a person"),
        }
        if not approved:
            news["ending"] = "a person rejected the plan; nothing was changed"
            news["state"] = IncidentState.NEEDS_HUMAN
        return news

    def execution(self, state: State) -> State:
        """Run the plan as one transaction; run again after a crash, it goes on instead of doing things twice."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        mitigation = state["mitigation"]
        assert mitigation is not None, "the edge to Execution needs a linted plan"
        name = f"{state['incident']}-{len(state.get('attempts', ())) + 1}"
        if late := too_late(rooms, name, mitigation):
            return {
                "refusals": (*state.get("refusals", ()), late),
                "timeline": told(state, rooms, "Execution", f"nothing sent: {late.message}", severity="warning"),
                "ending": ending_of((late,)),
                "state": IncidentState.NEEDS_HUMAN,
                "spent": spent(state, "mitigate", watch()),
            }
        scope = mitigation.writes[0].write.target.namespace or "cluster"
        try:
            done = rooms.engine.begin(
                state["incident"],
                name,
                mitigation.writes,
                scope,
                watch=affected(state),
                stale=lambda: overtaken_by(rooms.reader, mitigation),
            )
        except (CommandRefused, BudgetSpent) as error:
            code = error.code if isinstance(error, CommandRefused) else f"limit_{error.limit}"
            refusal = Refusal(command="", code=code, message=str(error))
            news: State = {
                "refusals": (*state.get("refusals", ()), refusal),
                "timeline": told(state, rooms, "Execution", f"refused, nothing sent: {error}", severity="warning"),
                "spent": spent(state, "mitigate", watch()),
            }
            if code == OSCILLATION or isinstance(error, BudgetSpent):
                # A breaker: another plan of the same size or of the same to and fro is no better.
                news["ending"] = f"a breaker stopped the repair: {error}"
                news["state"] = IncidentState.NEEDS_HUMAN
            return news
        except LeaseLost as error:
            return {
                "ending": f"another engine is at work here: {error}",
                "state": IncidentState.NEEDS_HUMAN,
                "timeline": told(state, rooms, "Execution", str(error), severity="warning"),
                "spent": spent(state, "mitigate", watch()),
            }
        lines = [f"transaction {done.id}: {done.state}"] + [f"failed: {w.error}" for w in done.writes if w.error]
        return {
            "transaction": name,
            "timeline": told(state, rooms, "Execution", *lines),
            "spent": spent(state, "mitigate", watch()),
        }


def ending_of(refusals: Sequence[Refusal]) -> str:
    """Return why no other command would be let through either; empty when one might."""
    first = refusals[0]
    if any(r.code != first.code for r in refusals) or first.code not in STOPS:
        return ""
    return f"{STOPS[first.code]}: {first.message}" + (f"; {first.hint}" if first.code == CLOSED else "")


def too_late(rooms: Rooms, name: str, mitigation: MitigationPlan) -> Refusal | None:
    """Return the refusal of a plan that was let through or approved in its time, which is over; else None.

    A transaction that has begun is finished, whatever the time.
    """
    try:
        rooms.engine.show(name)
    except TransactionError:
        spaces = {planned.write.target.namespace for planned in mitigation.writes}
        why, again = closed(rooms.settings.policy, spaces, rooms.clock.now())
        return Refusal(command="", code=CLOSED, message=why, hint=again) if why else None
    return None


def linted(rooms: Rooms, state: State, plan: ActionPlan, case: Case) -> MitigationPlan:
    """Compile and check a plan; nothing is written. Where it may be executed, the hour of the day counts, too."""
    return lint(
        plan,
        case,
        reader=rooms.reader,
        rehearser=rooms.rehearser,
        settings=rooms.settings,
        allowed_namespaces=allowed_namespaces(state, plan),
        compile_command=partial(compile_command, clock=rooms.clock),
        at=None if state.get("mode", "suggest") in ENDINGS else rooms.clock.now(),
    )


def allowed_namespaces(state: State, plan: ActionPlan) -> tuple[str, ...]:
    """Return where this incident may write: the namespaces asked for or alerted on, else the affected ones."""
    asked = namespaces_of(state)
    if asked:
        return asked
    return tuple(dict.fromkeys(step.target.namespace for step in plan.steps if step.target and step.target.namespace))


def affected(state: State) -> tuple[str, ...]:
    """Return the namespaces of the incident's services: their health counts wherever the repair writes."""
    detection = state.get("detection")
    spaces = (name.partition("/")[0] for name in detection.services) if detection is not None else ()
    return tuple(sorted(set(spaces) - {""}))


def pod_start(case: Case) -> Callable[[ObjectRef], float | None]:
    """Return how long pods of a workload took to get ready, from those that were observed."""

    def seconds(workload: ObjectRef) -> float | None:
        mine = [p for p in case.observation.of("Pod", workload.namespace) if owned_by(p, workload)]
        return start_seconds(mine)

    return seconds


def owned_by(pod: dict[str, Any], workload: ObjectRef) -> bool:
    """Tell whether a pod belongs to a workload, by its controller's name (that of a Deployment has a hash behind)."""
    owners = [r["name"] for r in pod["metadata"].get("ownerReferences") or () if r.get("controller")]
    return any(name == workload.name or name.rpartition("-")[0] == workload.name for name in owners)


def proposal(state: State, mitigation: MitigationPlan, case: Case) -> dict[str, Any]:
    """Return what a person is asked to approve; the shape other LangGraph tools know is in `action_requests`."""
    return {
        "incident": state["incident"],
        "summary": mitigation.plan.summary,
        "commands": [c.command for c in mitigation.commands],
        "diff": [line for w in mitigation.writes for line in w.diff],
        "notes": [w.note for w in mitigation.writes if w.note],
        "undo": cost_of_plan(mitigation.writes, pod_start(case)).text(),
        "prediction": foretold.text() if (foretold := state.get("prediction")) is not None else "not rehearsed",
        "action_requests": [
            {"id": str(i), "name": w.write.method, "args": {"path": w.write.path, "body": w.write.body}}
            for i, w in enumerate(mitigation.writes)
        ],
    }


def changed_since(reader: ClusterReader, mitigation: MitigationPlan) -> str | None:
    """Return the first object whose specification is not what was shown for approval, or None.

    Only the first write to an object has the real object as its pre-image; later ones build on planned states.
    """
    first = {planned.write.target.key: planned for planned in reversed(mitigation.writes)}
    for planned in first.values():
        before, now = planned.pre_image, reader.get(planned.write.target)
        if (before is None) != (now is None) or (before and now and own(before) != own(now)):
            return str(planned.write.target)
    return None


def overtaken_by(reader: ClusterReader, mitigation: MitigationPlan) -> str | None:
    """Say what changed between the plan and its turn to write, or None."""
    changed = changed_since(reader, mitigation)
    return f"{changed} has changed since it was made" if changed is not None else None


def own(obj: dict[str, Any]) -> dict[str, Any]:
    """Return what a person or a controller decides on an object: all but its status and bookkeeping."""
    meta = obj.get("metadata", {})
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    return {**rest, "uid": meta.get("uid"), "labels": meta.get("labels"), "annotations": meta.get("annotations")}
