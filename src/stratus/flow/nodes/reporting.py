"""Intake and Report: how an incident begins and ends."""

from __future__ import annotations

import logging
import uuid

from stratus.errors import KnowledgeError
from stratus.flow.nodes.story import told
from stratus.flow.rooms import RoomsFor
from stratus.flow.state import State
from stratus.model.base import Json
from stratus.model.reports import IncidentState, ModelUsage, Report, TimelineEntry
from stratus.reporting.notify import drafts
from stratus.reporting.report import Story, build_report, ticket_of

log = logging.getLogger(__name__)


class ReportNodes:
    """The first and the last node."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def intake(self, state: State) -> State:
        """Give the incident its name and its defaults."""
        name = state.get("incident") or f"inc-{uuid.uuid4().hex[:8]}"
        rooms = self.rooms_for({**state, "incident": name})
        return {
            "incident": name,
            "state": IncidentState.DETECTING,
            "mode": state.get("mode") or rooms.settings.mode,
            "namespaces": list(state.get("namespaces") or rooms.settings.namespaces),
            "started_at": rooms.clock.now(),
            "round": 0,
            "attempts": (),
            "rehearsals": (),
            "ledger": (),
            "timeline": (),
            "ending": "",
        }

    def intake_for_rehearsal(self, state: State) -> State:
        """As intake, but nothing will be executed."""
        return {**self.intake(state), "mode": "dry-run"}

    def waiting(self, state: State, proposal: Json) -> Report:
        """Return the report of an incident whose plan waits for a person, as it stands; nothing is remembered."""
        timeline = told(state, self.rooms_for(state), "Report", "needs_human: a plan waits for approval")
        report = build_report(self._story(state, IncidentState.NEEDS_HUMAN, timeline))
        return report.model_copy(update={"pending": proposal})

    def _story(self, state: State, end: IncidentState, timeline: tuple[TimelineEntry, ...]) -> Story:
        rooms = self.rooms_for(state)
        mitigation = state.get("mitigation")
        proposed = [c.command for c in mitigation.commands] if mitigation else []
        plan = state.get("plan")
        if not proposed and plan is not None:
            proposed = [step.command or step.text for step in plan.steps]
        executed = any(a.executed for a in state.get("attempts", ()))
        identity = rooms.reader.identity()
        return Story(
            id=state["incident"],
            mode=state.get("mode", rooms.settings.mode),
            state=end,
            started_at=state["started_at"],
            ended_at=rooms.clock.now(),
            detection=state.get("detection"),
            ledger=state.get("ledger", ()),
            chosen=plan.hypothesis if plan else "",
            attempts=state.get("attempts", ()),
            rehearsals=state.get("rehearsals", ()),
            suggestion=() if executed else tuple(proposed),
            citations=state.get("citations", ()),
            templates=state.get("templates", ()),
            health=state.get("health", ()),
            spent=state.get("spent", {}),
            timeline=timeline,
            missing=state.get("missing", {}),
            usage=ModelUsage.model_validate(state["usage"]) if state.get("usage") else rooms.brain.usage(),
            notes=(*rooms.notes, *getattr(rooms.brain, "notes", ())),
            cluster=identity.server,
            emulated=rooms.emulated,
        )

    def report(self, state: State) -> State:
        """Write the report, draft the notifications, and remember what was learnt."""
        rooms = self.rooms_for(state)
        end = state.get("state", IncidentState.NEEDS_HUMAN)
        timeline = told(state, rooms, "Report", f"{end.value}: {state.get('ending', '')}".rstrip(": "))
        report = build_report(self._story(state, end, timeline))
        report = report.model_copy(update={"notifications": drafts(report)})
        ticket = ticket_of(report, state.get("templates", ()))
        if ticket is not None:
            try:
                rooms.knowledge().add_ticket(ticket)
            except KnowledgeError as error:  # what was learnt is worth less than the report
                log.warning("the ticket could not be stored: %s", error)
        return {"state": end, "report": report, "timeline": timeline}
