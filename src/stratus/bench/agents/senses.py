"""The senses and the brain of Stratus without its hands: what baselines with the same brain share."""

from __future__ import annotations

from stratus.bench.outcome import Budget, Doors
from stratus.flow.nodes.detection import DetectionNodes
from stratus.flow.nodes.diagnosis import DiagnosisNodes, look
from stratus.flow.nodes.story import case_of
from stratus.flow.rooms import Rooms
from stratus.flow.state import State
from stratus.model.actions import ActionPlan
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.reports import Attempt

SETTLE = 180.0
"""Seconds that a change is given to show its effect, as many as Stratus gives one."""
LOOK = 30.0
"""Seconds between two looks meanwhile."""


class Senses:
    """Looks at the cluster with Stratus' own detection, and thinks through its own port.

    Args:
        rooms: wired as for Stratus; the engine in them is not used.
    """

    def __init__(self, rooms: Rooms, doors: Doors, budget: Budget) -> None:
        self.rooms, self._budget = rooms, budget
        self._detecting = DetectionNodes(lambda _state: rooms)
        self._diagnosing = DiagnosisNodes(lambda _state: rooms)
        self.began = rooms.clock.now()
        self._wall = doors.wall
        self._real = doors.wall()
        self.simulated: dict[str, float] = {}
        self.real: dict[str, float] = {}
        self.state: State = {"incident": "inc-bench", "mode": "auto", "namespaces": list(doors.settings.namespaces)}

    def mark(self, moment: str) -> None:
        """Note that something is known or done now."""
        self.simulated[moment] = round(self.rooms.clock.now() - self.began, 3)
        self.real[moment] = round(self._wall() - self._real, 3)

    def healthy(self) -> bool | None:
        """Look; None: not to be known."""
        state: State = {**self.state, "missing": {}}
        for node in (
            self._detecting.alert_monitor,
            self._detecting.telemetry_collection,
            self._detecting.anomaly_detection,
        ):
            state = {**state, **node(state)}
        found = state["detection"].anomalous
        if found and "detected" not in self.simulated:
            self.mark("detected")
        state.pop("ending", None)
        self.state = state
        return None if found is None else not found

    def settle(self) -> bool:
        """Give the last change its time; return whether nothing is wrong any more."""
        until = self.rooms.clock.now() + SETTLE
        while self.rooms.clock.now() < until:
            self.rooms.clock.sleep(LOOK)
            if self.healthy():
                return True
        return False

    def think(self) -> Diagnosis:
        """Diagnose what was seen last, with what was tried as evidence."""
        state: State = {**self.state, **self._diagnosing.log_analysis(self.state)}
        if state["round"] > 1:
            state["observation"] = look(state, self.rooms)
        state = {**state, **self._diagnosing.root_cause_analysis(state)}
        if "located" not in self.simulated:
            self.mark("located")
        self.state = state
        return state["diagnosis"]

    def plans(self, diagnosis: Diagnosis, most: int) -> list[tuple[Hypothesis, ActionPlan]]:
        """Return plans for the likeliest hypotheses, the chosen one first."""
        case = case_of({**self.state, "ledger": diagnosis.hypotheses}, self.rooms)
        first = diagnosis.hypothesis(diagnosis.chosen) if diagnosis.chosen else None
        rest = [h for h in diagnosis.hypotheses if h.status == "open" and h is not first]
        found = []
        for hypothesis in [first, *rest] if first else []:
            plan = self.rooms.brain.plan(case, hypothesis)
            if plan is not None and plan.steps:
                found.append((hypothesis, plan))
            if len(found) == most:
                break
        return found

    def commands(self, plan: ActionPlan) -> list[str]:
        """Return the plan's command lines, those missing written by the brain."""
        case = case_of(self.state, self.rooms)
        lines = (step.command or self.rooms.brain.command(step, case, ()) for step in plan.steps)
        return [line for line in lines if line]

    def tried(self, plan: ActionPlan, commands: list[str]) -> None:
        """Remember that a plan was tried and did not help."""
        number = len(self.state.get("attempts", ())) + 1
        attempt = Attempt(
            number=number,
            hypothesis=plan.hypothesis,
            summary=plan.summary,
            commands=tuple(commands),
            executed=True,
            verdict="UNCHANGED",
            started_at=self.rooms.clock.now(),
            ended_at=self.rooms.clock.now(),
        )
        ledger = tuple(
            h.model_copy(update={"status": "tried"}) if h.id == plan.hypothesis else h
            for h in self.state.get("ledger", ())
        )
        self.state = {**self.state, "attempts": (*self.state.get("attempts", ()), attempt), "ledger": ledger}

    @property
    def spent(self) -> bool:
        """Whether the time is up."""
        return self.rooms.clock.now() - self.began >= self._budget.seconds
