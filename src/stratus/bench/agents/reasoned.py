"""Baselines with Stratus' own eyes and brain and a bare kubectl: what is left when there are no transactions.

They look through the same detection, get their diagnoses and plans through the same port from the same reasoner (rules
or a chat model), and wait as long for a change to show. What they lack is what Stratus adds: lint, rehearsal, the
gate, undo and its proof.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from stratus.bench.agents.hand import Hand
from stratus.bench.agents.senses import Senses
from stratus.bench.outcome import Attempted, Budget, Doors, Moments, Outcome
from stratus.model.actions import ActionPlan
from stratus.model.diagnosis import Diagnosis

UPFRONT = 3
"""Causes that are planned for at once by an agent that plans first."""


class Reasoned(ABC):
    """What the four share; each decides how it goes from diagnosis to action."""

    name = ""
    about = ""

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Look, and act in this agent's way when something is wrong."""
        from stratus.wiring.compose import rooms as wire

        settings = budget.settings(doors.settings).model_copy(update={"mode": "auto"})
        with wire(settings, doors.source, model=doors.model, knowledge=doors.knowledge) as rooms:
            senses = Senses(rooms, doors, budget)
            work = Work(senses, Hand(doors.source.cluster, rooms.clock, "default"), budget)
            healthy = senses.healthy()
            if healthy is None:
                return work.outcome("needs_human", detected=None)
            if healthy:
                return work.outcome("healthy", detected=False)
            work.hand.namespace = next(iter(senses.state["detection"].namespaces), "default")
            resolved = self.act(work)
            if resolved:
                senses.mark("mitigated")
            return work.outcome("resolved" if resolved else "unresolved", detected=True)

    @abstractmethod
    def act(self, work: Work) -> bool:
        """Try to repair; return whether the agent believes that it has."""


class Work:
    """One episode of such an agent: senses, hand, and what it has tried."""

    def __init__(self, senses: Senses, hand: Hand, budget: Budget) -> None:
        self.senses, self.hand, self.budget = senses, hand, budget
        self.attempts: list[Attempted] = []
        self.diagnosis: Diagnosis | None = None

    def think(self) -> Diagnosis:
        """Diagnose, and write it down."""
        self.diagnosis = self.senses.think()
        self.hand.say("diagnosis", self.diagnosis.reasoning or "nothing found")
        return self.diagnosis

    def run(self, plan: ActionPlan) -> list[str]:
        """Run all of a plan's commands, whatever each gives."""
        lines = self.senses.commands(plan)
        for line in lines:
            if self.hand.steps < self.budget.commands:
                self.hand.run(line)
        return lines

    def attempt(self, plan: ActionPlan) -> bool:
        """Run a plan and give it its time; return whether nothing is wrong any more."""
        clock = self.senses.rooms.clock
        started = clock.now()
        lines = self.run(plan)
        well = self.senses.settle()
        self.note(plan, started, well)
        if not well:
            self.senses.tried(plan, lines)
        return well

    def note(self, plan: ActionPlan, started: float, well: bool) -> None:
        """Write an attempt down."""
        verdict: Literal["RESOLVED", "UNCHANGED"] = "RESOLVED" if well else "UNCHANGED"
        ended = self.senses.rooms.clock.now()
        self.attempts.append(Attempted(started_at=started, ended_at=ended, summary=plan.summary, verdict=verdict))

    def outcome(self, state: str, *, detected: bool | None) -> Outcome:
        """Put the outcome together."""
        senses, hand, usage = self.senses, self.hand, self.senses.rooms.brain.usage()
        ranked = self.diagnosis.hypotheses if self.diagnosis is not None else ()
        alive = sorted((h for h in ranked if h.status != "refuted"), key=lambda h: -h.confidence)
        chosen = self.diagnosis.hypothesis(self.diagnosis.chosen) if self.diagnosis and self.diagnosis.chosen else None
        cause = chosen or next(iter(alive), None)
        blamed = [h.object.name for h in (*([cause] if cause else []), *alive)]
        where = f"{cause.object.namespace}/{cause.object.kind}/{cause.object.name}" if cause else ""
        return Outcome(
            state=state,
            detected=detected,
            localization=tuple(dict.fromkeys(blamed))[:5],
            root_cause=where,
            fault=cause.fault if cause else None,
            steps=hand.steps + len(self.attempts),
            model_calls=usage.model_calls,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            money=usage.cost,
            commands=tuple(hand.commands),
            refused=hand.refused,
            touched=tuple(sorted(hand.touched)),
            simulated=Moments(**senses.simulated),
            real=Moments(**senses.real),
            attempts=tuple(self.attempts),
            transcript=tuple(hand.transcript),
        )


class NoRetry(Reasoned):
    """Diagnoses, acts, and leaves it at that."""

    name, about = "no-retry", "diagnoses and acts once"

    def act(self, work: Work) -> bool:
        """Try the first plan."""
        plans = work.senses.plans(work.think(), 1)
        return work.attempt(plans[0][1]) if plans else False


class NaiveRetry(Reasoned):
    """Tries again and again, each change on top of those that failed."""

    name, about = "naive-retry", "diagnoses, acts, looks, and tries the next thing on top of what failed"

    def act(self, work: Work) -> bool:
        """Diagnose anew after each failure."""
        for _ in range(work.budget.attempts):
            plans = work.senses.plans(work.think(), 1)
            if not plans or work.senses.spent:
                return False
            if work.attempt(plans[0][1]):
                return True
        return False


class PlanExecute(Reasoned):
    """Plans first, then executes: no second thought."""

    name, about = "plan-execute", "plans for the likeliest causes first, then executes the plans in order"

    def act(self, work: Work) -> bool:
        """Plan for a few causes at once, and go through them until nothing is wrong."""
        plans = work.senses.plans(work.think(), UPFRONT)
        return any(work.attempt(plan) for _, plan in plans)


class React(Reasoned):
    """Thinks, acts and looks in turns of one command; with a chat model it is free in what it looks at."""

    name, about = "react", "thinks, runs one command, looks, and thinks again; no transaction"

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Reason by rules through the port, or in free text with a chat model."""
        if doors.thinks_by_rules:
            return super().solve(doors, budget)
        from stratus.bench.agents.chat import ChatReact

        return ChatReact().solve(doors, budget)

    def act(self, work: Work) -> bool:
        """One command, one look, one thought, until the budget is spent."""
        done: list[str] = []
        clock = work.senses.rooms.clock
        while work.hand.steps < work.budget.commands and not work.senses.spent:
            plans = work.senses.plans(work.think(), 1)
            if not plans or len(work.attempts) >= work.budget.attempts:
                return False
            plan = plans[0][1]
            lines = work.senses.commands(plan)
            fresh = next((line for line in lines if line not in done), None)
            if fresh is None:
                work.senses.tried(plan, lines)
                continue
            started = clock.now()
            work.hand.run(fresh)
            done.append(fresh)
            well = work.senses.settle()
            work.note(plan, started, well)
            if well:
                return True
            if fresh == lines[-1]:
                work.senses.tried(plan, lines)
        return False
