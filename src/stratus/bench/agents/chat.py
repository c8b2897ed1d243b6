"""Free agents on a chat model: ReAct with tools, and the turns that it shares with the one at a shell."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from stratus.bench.agents.hand import Hand
from stratus.bench.outcome import Budget, Doors, Moments, Outcome
from stratus.errors import BudgetSpent, ReasoningError, UsageError
from stratus.kit.clock import SystemClock
from stratus.llm.base import Answer, Thinker

HISTORY = 9000
"""Characters of the conversation that are shown again, the newest last."""
WAIT = 30.0
"""Seconds of cluster time after a change, before the next turn."""

TASK = (
    "You are on call for applications on Kubernetes, and there may be an incident. Find out whether something is "
    "wrong, what the root cause is, and repair it. Change as little as you can."
)
SYSTEM = f"{TASK} You work in turns: each turn you think, then use exactly one tool; its output is shown to you."
TOOLS = (
    "Tools: kubectl (argument: one kubectl command line), alerts (argument empty), metrics (argument empty: request "
    "rate, error rate and p99 of every service), submit (ends the work; fill `state`, `object` and `services`)."
)


class Turn(BaseModel):
    """One turn of a ReAct agent."""

    thought: str = ""
    tool: Literal["kubectl", "alerts", "metrics", "submit"]
    argument: str = ""
    state: Literal["", "resolved", "unresolved", "healthy"] = ""
    object: str = Field(default="", description="root cause as Kind/name, with submit")
    services: list[str] = Field(default_factory=list, description="services to blame, likeliest first, with submit")


class Talk:
    """A conversation with tools under a budget."""

    def __init__(self, doors: Doors, budget: Budget) -> None:
        from stratus.llm.providers import chat_model
        from stratus.llm.thinker import ChatThinker

        settings = budget.settings(doors.settings)
        if doors.thinks_by_rules:
            raise UsageError("this agent needs a chat model: give --reasoner PROVIDER:MODEL")
        name = settings.reasoner if doors.model is None else type(doors.model).__name__
        chat = doors.model if doors.model is not None else chat_model(name, settings.model)
        limits, waits = settings.limits, SystemClock()
        self.thinker: Thinker = ChatThinker(chat, name=name, settings=settings.model, limits=limits, clock=waits)
        clock = doors.source.clock
        assert clock is not None, "episodes are played on embedded clusters"
        self.clock, self.doors, self.budget = clock, doors, budget
        self.began, self.real = clock.now(), doors.wall()
        self.telemetry = doors.source.telemetry(doors.settings)
        self.hand = Hand(doors.source.cluster, clock, self._namespace())
        self.said: list[str] = []
        self.changed_at: float | None = None

    def ask(self, schema: type[Answer], system: str, tools: str) -> Answer | None:
        """Return the next turn; None when the model has nothing usable to say, or the budget is spent."""
        history = "\n".join(self.said)[-HISTORY:]
        left = self.budget.commands - self.hand.steps
        prompt = f"{tools}\nNamespace: {self.hand.namespace}. Turns left: {left}.\n\nSo far:\n{history or '(nothing)'}"
        try:
            return self.thinker.ask(schema, system=system, prompt=prompt)
        except (ReasoningError, BudgetSpent) as error:
            self.hand.say("model", f"gave up: {error}")
            return None

    def kubectl(self, line: str) -> str:
        """Run a line, and wait a little when it changed something."""
        before = len(self.hand.commands)
        _, text = self.hand.run(line)
        if len(self.hand.commands) > before:
            self.changed_at = self.clock.now()
            self.clock.sleep(WAIT)
        return text

    def look(self, tool: str) -> str:
        """Return alerts or metrics as text."""
        self.hand.steps += 1
        if tool == "alerts":
            source = self.telemetry.alerts
            firing = source.firing() if source is not None else ()
            return "\n".join(f"{a.name} {a.severity} {a.namespace}/{a.service}" for a in firing) or "no alert fires"
        source_ = self.telemetry.metrics
        now = self.clock.now()
        series = source_.service_series((), now - 60.0, now, 15.0) if source_ is not None else ()
        rows = []
        for s in series:
            p = s.points[-1] if s.points else None
            if p is not None:
                errors, p99 = p.error_rate or 0.0, p.latency_p99 or 0.0
                rows.append(f"{s.namespace}/{s.service} rate={p.rate or 0:.1f}/s errors={errors:.1%} p99={p99:.3f}s")
        return "\n".join(rows) or "no metrics"

    def outcome(self, state: str, cause: str = "", services: tuple[str, ...] = ()) -> Outcome:
        """Put the outcome together."""
        usage, hand = self.thinker.usage(), self.hand
        ended, real = self.clock.now() - self.began, round(self.doors.wall() - self.real, 3)
        resolved = state == "resolved"
        seen = state != "healthy"
        named = cause.rsplit("/", 1)[-1]
        where = f"{hand.namespace}/{cause}" if cause.count("/") == 1 else cause
        return Outcome(
            state=state,
            detected=seen,
            localization=tuple(dict.fromkeys(n for n in (named, *services) if n))[:5],
            root_cause=where,
            steps=hand.steps,
            model_calls=usage.model_calls,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            money=usage.cost,
            commands=tuple(hand.commands),
            refused=hand.refused,
            touched=tuple(sorted(hand.touched)),
            simulated=Moments(
                detected=ended if seen else None,
                located=ended if named else None,
                mitigated=(self.changed_at or self.clock.now()) - self.began if resolved else None,
            ),
            real=Moments(
                detected=real if seen else None,
                located=real if named else None,
                mitigated=real if resolved else None,
            ),
            transcript=tuple(hand.transcript),
        )

    def _namespace(self) -> str:
        alerts = self.telemetry.alerts
        spaces = [a.namespace for a in alerts.firing() if a.namespace] if alerts is not None else []
        if spaces:
            return spaces[0]
        kept = self.doors.settings.policy.protected_namespaces
        busy = [d["metadata"]["namespace"] for d in self.doors.source.cluster.reader.list("deployments")]
        return next((space for space in busy if space not in kept), "default")


class ChatReact:
    """ReAct: thought, action, observation, on any chat model."""

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Talk until the model submits or the budget is spent."""
        talk = Talk(doors, budget)
        while talk.hand.steps < budget.commands:
            turn = talk.ask(Turn, SYSTEM, TOOLS)
            if turn is None:
                break
            talk.hand.say("model", f"{turn.thought} -> {turn.tool} {turn.argument}".strip())
            if turn.tool == "submit":
                return talk.outcome(turn.state or "unresolved", turn.object, tuple(turn.services))
            text = talk.kubectl(turn.argument) if turn.tool == "kubectl" else talk.look(turn.tool)
            talk.said.append(
                f"Thought: {turn.thought}\nAction: {turn.tool} {turn.argument}\nObservation: {text[:1500]}"
            )
        return talk.outcome("unresolved")
