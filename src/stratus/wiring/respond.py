"""`respond`: one incident from alert to report, resumable at every step."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stratus.errors import StratusError, UsageError
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Diagnosis
from stratus.model.reports import ModelUsage, Report, TimelineEntry
from stratus.settings import Settings
from stratus.wiring.incidents import EmbeddedSource, IncidentEntry, Incidents
from stratus.wiring.interrupts import interruptible
from stratus.wiring.sources import Source, open_embedded, open_kubernetes, show_fault, source_of

if TYPE_CHECKING:
    from stratus.flow.rooms import Rooms
    from stratus.flow.state import State
    from stratus.knowledge.base import KnowledgeBase
    from stratus.telemetry.base import Telemetry

log = logging.getLogger(__name__)

ENDED = ("committed", "undone", "undo_incomplete", "needs_human")

Listener = Callable[[TimelineEntry], None]


class ApprovalPending(StratusError):
    """The plan waits for a person; approve or reject it by the incident's id.

    Attributes:
        incident: id to approve or reject.
        proposal: what would be executed: summary, commands, diff, undo.
        report: the incident as it stands, the proposal in `pending`.
    """

    exit_code = 4

    def __init__(self, incident: str, proposal: dict[str, Any], state_dir: Path, report: Report) -> None:
        where = "" if state_dir == Settings().state_dir else f" --state-dir {state_dir}"
        super().__init__(
            f"incident {incident} waits for approval: run `stratus approve {incident}{where}` or "
            f"`stratus reject {incident}{where}`"
        )
        self.incident = incident
        self.proposal = proposal
        self.report = report


class NotTakenBack(StratusError):
    """What was under way could not be taken back as a whole; a person has to look."""

    exit_code = 4

    def __init__(self, transactions: list[str]) -> None:
        names = ", ".join(transactions)
        super().__init__(f"interrupted, and not all could be taken back: see `stratus txn show` for {names}")


def respond(
    alerts: Any = None,
    *,
    cluster: Any = None,
    embedded: str | None = None,
    fault: str = "",
    seed: int | None = None,
    namespaces: tuple[str, ...] | list[str] = (),
    mode: str | None = None,
    reasoner: Any = None,
    telemetry: Telemetry | None = None,
    knowledge: KnowledgeBase | None = None,
    settings: Settings | None = None,
    incident: str = "",
    kind: Literal["respond", "demo"] = "respond",
    approve: Callable[[dict[str, Any]], bool] | None = None,
    on_event: Listener | None = None,
) -> Report:
    """Take an incident from alert to verified repair, and return its report.

    Args:
        alerts: an alert document (Alertmanager webhook or API, Prometheus API, one alert) as text or data;
            None: look for what is wrong.
        cluster: an official `ApiClient`, a `KubeCluster` or an `EmbeddedCluster`; None: see `embedded`, else the
            kubeconfig of the settings.
        embedded: name (or file) of an application: run it on an embedded cluster.
        fault: fault to inject into the embedded application.
        seed: seed of the embedded cluster; None: that of the settings.
        namespaces: where to look; empty: where the alerts are, else everywhere allowed.
        mode: observe, suggest, dry-run, approve or auto; None: as in the settings.
        reasoner: `rules`, `PROVIDER:MODEL`, a LangChain chat model, or a `Brain` of your own; None: as in the settings.
        telemetry: metrics, logs, traces and alerts to use instead of those of the settings.
        knowledge: runbooks and tickets to use instead of those of the settings.
        settings: everything else; None: defaults.
        incident: id for a new incident, or of an unfinished one to go on with.
        kind: what the register says of it; a demo is found again by `stratus demo`.
        approve: in mode `approve`, decides on a proposal; None: raise `ApprovalPending`.
        on_event: called with each line of the timeline as it happens.

    Raises:
        UsageError: something given cannot be used.
        UnreachableError: the cluster or a needed service does not answer.
        ApprovalPending: mode `approve` without a decision.
    """
    chosen = settings or Settings()
    changes: dict[str, Any] = {}
    if mode is not None:
        changes["mode"] = mode
    if namespaces:
        changes["namespaces"] = tuple(namespaces)
    if isinstance(reasoner, str):
        changes["reasoner"] = reasoner
    if seed is not None:
        changes["seed"] = seed
    if changes:
        chosen = Settings.model_validate({**chosen.model_dump(), **changes})
    model = reasoner if reasoner is not None and not isinstance(reasoner, str) else None
    if alerts is not None:
        from stratus.detection.alerts import parse_alerts

        # bad input is refused before anything starts; what goes into the state is plain data
        alerts = [alert.model_dump() for alert in parse_alerts(plain(alerts))]
    register = Incidents(chosen.state_dir)
    name = incident or new_id()
    known = {e.id: e for e in register.all()}.get(name) if incident else None
    entry = known or IncidentEntry(
        id=name, settings=chosen, kind=kind, embedded=_embedded(chosen, embedded, fault, name)
    )
    register.save(entry)  # before the cluster is made, so that a kill during that is found again
    with ExitStack() as stack:
        source = source_of(cluster) if cluster is not None else stack.enter_context(_source(entry))
        run = stack.enter_context(
            open_run(entry, source, register, telemetry=telemetry, model=model, knowledge=knowledge)
        )
        return run.go(alerts, approve=approve, on_event=on_event)


def plain(alerts: Any) -> Any:
    """Return alerts as plain data, whether they came as nouns of ours, as text or as a document."""
    if isinstance(alerts, Alert):
        return alerts.model_dump()
    return [plain(a) for a in alerts] if isinstance(alerts, (list, tuple)) else alerts


def new_id() -> str:
    """Make up an incident id."""
    return "inc-" + os.urandom(4).hex()


def _embedded(settings: Settings, app: str | None, fault: str, name: str) -> EmbeddedSource | None:
    if app is None:
        if fault:
            raise UsageError("a fault can only be injected into an embedded cluster: give --embedded APP as well")
        return None
    folder = settings.state_dir / "clusters"
    return EmbeddedSource(app=app, seed=settings.seed, fault=fault, state_file=str(folder / f"{name}.sqlite"))


@contextmanager
def _source(entry: IncidentEntry) -> Iterator[Source]:
    if entry.embedded is None:
        with open_kubernetes(entry.settings) as source:
            yield source
    else:
        e = entry.embedded
        with open_embedded(e.app, seed=e.seed, state_file=Path(e.state_file)) as source:
            yield source


class Run:
    """One incident's graph with its rooms, able to start, to go on, and to be interrupted."""

    def __init__(self, entry: IncidentEntry, source: Source, rooms: Rooms, graph: Any, register: Incidents) -> None:
        self.entry = entry
        self.source = source
        self.rooms = rooms
        self.graph = graph
        self.register = register
        self.config = {"configurable": {"thread_id": entry.id}}

    def go(
        self,
        alerts: Any = None,
        *,
        hint: Diagnosis | None = None,
        approve: Callable[[dict[str, Any]], bool] | None = None,
        on_event: Listener | None = None,
    ) -> Report:
        """Start the incident, or go on from its last checkpoint, and return the report."""
        from langgraph.types import Command

        state = self.graph.get_state(self.config)
        started = bool(state.values) or bool(state.next)
        pending = _pending(state)
        step: Any
        if pending is not None and approve is not None:
            step = Command(resume="approved" if approve(pending) else "rejected")
        elif pending is not None:
            raise self._waits(state.values, pending)
        elif started:
            step = None
        else:
            step = {
                "incident": self.entry.id,
                "alerts": alerts,
                "mode": self.entry.settings.mode,
                "namespaces": list(self.entry.settings.namespaces),
                "hint": hint,
            }
            if self.entry.embedded is not None and self.entry.embedded.fault:
                show_fault(self.source, self.entry.embedded.fault)
            self._recover()
        seen = len(state.values.get("timeline", ())) if started else 0
        try:
            with interruptible():
                while True:
                    seen = self._advance(step, seen, on_event)
                    state = self.graph.get_state(self.config)
                    pending = _pending(state)
                    if pending is None:
                        break
                    if approve is None:
                        raise self._waits(state.values, pending)
                    step = Command(resume="approved" if approve(pending) else "rejected")
        except KeyboardInterrupt:
            self.take_back("interrupted by the user")
            raise
        report: Report = self.graph.get_state(self.config).values["report"]
        self.register.save(self.entry.model_copy(update={"status": "ended"}))
        return report

    def _waits(self, values: State, proposal: dict[str, Any]) -> ApprovalPending:
        from stratus.flow.nodes.reporting import ReportNodes

        report = ReportNodes(lambda _: self.rooms).waiting(values, proposal)
        return ApprovalPending(self.entry.id, proposal, self.entry.settings.state_dir, report)

    def _advance(self, step: Any, seen: int, on_event: Listener | None) -> int:
        stream = self.graph.stream(step, self.config, stream_mode="updates", subgraphs=True, durability="sync")
        for _namespace, update in stream:
            for change in update.values():
                timeline = change.get("timeline", ()) if isinstance(change, dict) else ()
                for line in timeline[seen:]:
                    if on_event is not None:
                        on_event(line)
                seen = max(seen, len(timeline))
        return seen

    def _recover(self) -> None:
        """Finish what other, killed runs left open on this cluster before anything new is begun."""
        for done in self.rooms.engine.recover():
            log.warning("transaction %s of an earlier run: %s (%s)", done.id, done.state, done.reason)

    def take_back(self, reason: str) -> None:
        """Undo the transaction under way, if there is one, and leave the incident ended."""
        values = self.graph.get_state(self.config).values
        left = []
        for transaction in self.rooms.engine.list():
            if transaction.incident == self.entry.id and transaction.state not in ENDED:
                done = self.rooms.engine.undo(transaction.id, reason)
                if done.state != "undone":
                    left.append(done.id)
        log.warning("incident %s %s; state was %s", self.entry.id, reason, values.get("state", "starting"))
        self.register.save(self.entry.model_copy(update={"status": "ended"}))
        if left:
            raise NotTakenBack(left)


def _pending(state: Any) -> dict[str, Any] | None:
    """Return the proposal a graph is waiting on, or None."""
    for interrupt in state.interrupts:
        value: dict[str, Any] = interrupt.value
        return value
    return None


@contextmanager
def open_run(
    entry: IncidentEntry,
    source: Source,
    register: Incidents,
    *,
    telemetry: Telemetry | None = None,
    model: Any = None,
    knowledge: KnowledgeBase | None = None,
) -> Iterator[Run]:
    """Wire an incident's rooms and compile its graph on SQLite checkpoints."""
    from stratus.flow.graph import incident_graph
    from stratus.wiring.checkpoints import checkpoints
    from stratus.wiring.compose import rooms as wire

    register.save(entry)
    with (
        checkpoints(entry.settings.state_dir / "checkpoints.sqlite") as saver,
        wire(
            entry.settings, source, telemetry=telemetry, model=model, spent=_spent(saver, entry.id), knowledge=knowledge
        ) as rooms,
    ):
        yield Run(entry, source, rooms, incident_graph(lambda _state: rooms, checkpointer=saver), register)


def _spent(saver: Any, incident: str) -> ModelUsage | None:
    """Return what an incident had cost at its last checkpoint; None for a new one."""
    found = saver.get_tuple({"configurable": {"thread_id": incident}})
    usage = found.checkpoint["channel_values"].get("usage") if found is not None else None
    return ModelUsage.model_validate(usage) if usage else None


def resume(
    incident: str,
    *,
    settings: Settings | None = None,
    cluster: Any = None,
    approve: Callable[[dict[str, Any]], bool] | None = None,
    on_event: Listener | None = None,
) -> Report:
    """Go on with an unfinished incident from its last checkpoint.

    Raises:
        UnknownNameError: there is no incident of that id in the state directory.
    """
    register = Incidents((settings or Settings()).state_dir)
    entry = register.load(incident)
    with ExitStack() as stack:
        source = source_of(cluster) if cluster is not None else stack.enter_context(_source(entry))
        run = stack.enter_context(open_run(entry, source, register))
        return run.go(None, approve=approve, on_event=on_event)
