"""Validation, Commit and Undo: the doors through which every mitigation ends."""

from __future__ import annotations

from stratus.flow.edges import overtaken
from stratus.flow.nodes.story import Mood, spent, told
from stratus.flow.rooms import Rooms, RoomsFor
from stratus.flow.state import State
from stratus.model.diagnosis import Hypothesis
from stratus.model.health import Verdict, VerdictReport
from stratus.model.reports import Attempt, IncidentState
from stratus.model.transactions import Transaction

JUDGED = ("applied", "verifying", "committed")
"""States in which a transaction's writes are all done."""


MOODS: dict[Verdict, Mood] = {"RESOLVED": "good", "IMPROVED": "good", "REGRESSED": "bad"}


class ValidationNodes:
    """The TNR gate and its two ways out."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def validate(self, state: State) -> State:
        """Compare health after with health before; without a transaction nothing has changed."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        name = state.get("transaction", "")
        health = state.get("health", ())
        if not name:
            verdict = VerdictReport(verdict="UNCHANGED", reason="nothing was executed")
        elif (done := rooms.engine.show(name)).state not in JUDGED:
            # A write was refused, or another engine recovered it: it is undone already, and only the proof is left.
            verdict = done.verdict or VerdictReport(verdict="UNCHANGED", reason=f"not executed: {done.reason}")
        else:
            verdict = rooms.engine.validate(name, state["conditions"])
            done = rooms.engine.show(name)
            health = (*health, *done.health_before, *done.health_after)
        verdict = verdict.model_copy(update={"reason": with_names(verdict.reason, state)})
        mood = MOODS.get(verdict.verdict, "warning")
        return {
            "state": IncidentState.VALIDATING,
            "verdict": verdict,
            "health": health,
            "timeline": told(state, rooms, "Validation", f"{verdict.verdict}: {verdict.reason}", severity=mood),
            "spent": spent(state, "mitigate", watch()),
        }

    def commit(self, state: State) -> State:
        """Keep the change; RESOLVED ends the incident, IMPROVED looks for what is left."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        done = rooms.engine.commit(state["transaction"])
        verdict = state["verdict"]
        resolved = verdict is not None and verdict.verdict == "RESOLVED"
        news: State = {
            "attempts": (*state.get("attempts", ()), attempt_of(state, rooms, done)),
            "ledger": marked(state, "confirmed" if resolved else "tried"),
            "timeline": told(state, rooms, "Commit", f"transaction {done.id} committed", severity="good"),
        }
        if resolved:
            news["state"] = IncidentState.RESOLVED
            news["ending"] = "resolved and verified"
        elif (tripped := budget(state, rooms)) is not None:
            news["state"], news["ending"] = tripped
        else:
            news["state"] = IncidentState.DIAGNOSING
        news["spent"] = spent(state, "mitigate", watch())
        return news

    def undo(self, state: State) -> State:
        """Take everything back, prove it, and decide whether to think again."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        name, verdict = state.get("transaction", ""), state.get("verdict")
        done: Transaction | None = None
        lines: list[str] = ["nothing to undo"]
        mood: Mood = "info"
        if name:
            done = rooms.engine.undo(name, verdict.reason if verdict else "no verdict")
            proof = done.undo_proof
            if done.state == "undone" and proof is not None and proof.proved:
                lines, mood = [f"transaction {name} undone; {proof.checked} object(s) read back, no difference"], "good"
            elif done.state != "undone":
                lines, mood = [f"transaction {name}: {done.state}: {done.reason}"], "bad"
        news: State = {
            "attempts": (*state.get("attempts", ()), attempt_of(state, rooms, done)),
            "ledger": state.get("ledger", ()) if overtaken(state) else marked(state, "tried"),
            "timeline": told(state, rooms, "Undo", *lines, severity=mood),
            "state": IncidentState.ROLLED_BACK,
        }
        if done is not None and done.state in ("undo_incomplete", "needs_human"):
            news["state"] = IncidentState.NEEDS_HUMAN
            news["ending"] = f"the undo could not be completed: {done.reason}"
        elif (tripped := budget(state, rooms)) is not None:
            news["state"], news["ending"] = tripped
        news["spent"] = spent(state, "mitigate", watch())
        return news


def with_names(reason: str, state: State) -> str:
    """Return a verdict's reason with alerts called by name: the gate itself knows them by fingerprint."""
    for alert in state.get("verified", ()):
        where = alert.service or alert.namespace
        reason = reason.replace(alert.fingerprint, f"{alert.name} ({where})" if where else alert.name)
    return reason


def marked(state: State, status: str) -> tuple[Hypothesis, ...]:
    """Return the ledger with the hypothesis of this attempt marked."""
    plan = state.get("plan")
    number = plan.hypothesis if plan else ""
    return tuple(h.model_copy(update={"status": status}) if h.id == number else h for h in state.get("ledger", ()))


def budget(state: State, rooms: Rooms) -> tuple[IncidentState, str] | None:
    """Return how the incident ends because no further attempt is allowed, or None."""
    limits = rooms.settings.limits
    elapsed = rooms.clock.now() - state.get("started_at", rooms.clock.now())
    if elapsed >= limits.incident_seconds:
        text = f"{elapsed:.0f} s spent on the incident, the limit is {limits.incident_seconds:.0f} s"
        return IncidentState.NEEDS_HUMAN, text
    tries = len(state.get("attempts", ())) + 1
    if tries >= limits.attempts:
        return IncidentState.UNRESOLVED, f"{tries} attempts made, the limit; a person should look"
    return None


def attempt_of(state: State, rooms: Rooms, done: Transaction | None) -> Attempt:
    """Write down one try with all that a reader needs to judge it."""
    plan, mitigation, verdict = state.get("plan"), state.get("mitigation"), state.get("verdict")
    if overtaken(state):
        mitigation = None  # it was neither tried nor refuted: the same commands may be right for what is there now
    commands = tuple(c.command for c in mitigation.commands) if mitigation else ()
    writes = tuple(w.write for w in mitigation.writes) if mitigation else ()
    executed = done is not None and any(w.state != "failed" for w in done.writes)
    return Attempt(
        number=len(state.get("attempts", ())) + 1,
        hypothesis=plan.hypothesis if plan else "",
        summary=plan.summary if plan else "",
        transaction=done.id if done else "",
        commands=commands,
        writes=writes,
        diff=tuple(f"{w.write.target}: {line}" for w in mitigation.writes for line in w.diff) if mitigation else (),
        refusals=state.get("refusals", ()),
        executed=executed,
        verdict=verdict.verdict if verdict else None,
        verdict_report=verdict,
        health_before=verdict.before if verdict else None,
        health_after=verdict.after if verdict else None,
        undone=done is not None and done.state == "undone",
        undo_proof=done.undo_proof if done else None,
        started_at=done.created_at if done else rooms.clock.now(),
        ended_at=(done.ended_at or rooms.clock.now()) if done else rooms.clock.now(),
        prediction=state.get("prediction") if mitigation is not None else None,
        note=done.reason if done else "; ".join(r.message for r in state.get("refusals", ())),
    )
