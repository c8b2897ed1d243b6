"""`StratusAgent`: the class of the published example, on the same engine as everything else."""

from __future__ import annotations

from typing import Any

from stratus.errors import UsageError
from stratus.model.diagnosis import Detection, Diagnosis
from stratus.model.reports import IncidentState, Report
from stratus.settings import Settings
from stratus.telemetry.base import Telemetry
from stratus.wiring.incidents import IncidentEntry, Incidents
from stratus.wiring.respond import new_id, open_run
from stratus.wiring.sources import source_of


class StratusAgent:
    """An agent that holds one incident at a time.

    Args:
        llm: a LangChain chat model, a name such as `openai:gpt-4o`, or None to think by rules.
        k8s_client: an official kubernetes `ApiClient` (or an API object made with one), a `KubeCluster`, or an
            `EmbeddedCluster`.
        telemetry: a `stratus.telemetry.base.Telemetry`, the URL of a Prometheus, or None: an embedded cluster brings
            its own, on a real one health then comes from objects.
        settings: everything else.

    Attributes:
        state: where the incident stands.
        detection, diagnosis, report: what is known so far; None before.
    """

    def __init__(
        self, llm: Any = None, k8s_client: Any = None, telemetry: Any = None, *, settings: Settings | None = None
    ) -> None:
        if k8s_client is None:
            raise UsageError("StratusAgent needs k8s_client: an ApiClient, a KubeCluster or an EmbeddedCluster")
        base = settings or Settings()
        changes: dict[str, Any] = {"mode": "auto"}
        if isinstance(llm, str):
            changes["reasoner"] = llm
        if isinstance(telemetry, str):
            changes["prometheus"] = telemetry
        self.settings = Settings.model_validate({**base.model_dump(), **changes})
        self.state = IncidentState.DETECTING
        self.detection: Detection | None = None
        self.diagnosis: Diagnosis | None = None
        self.report: Report | None = None
        self._model = llm if llm is not None and not isinstance(llm, str) else None
        self._source = source_of(k8s_client)
        self._telemetry = telemetry if isinstance(telemetry, Telemetry) else None
        self._values: dict[str, Any] = {}

    def detect_failure(self, alerts: Any = None) -> Detection:
        """Verify alerts (an alert document, a list of alerts, or None to look around) and say what is wrong."""
        self.state = IncidentState.DETECTING
        values = self._stage("detection", {"alerts": alerts}, fresh=True)
        self.detection = values["detection"]
        if not self.detection.anomalous:
            self.state = IncidentState.HEALTHY if self.detection.anomalous is False else IncidentState.NEEDS_HUMAN
        return self.detection

    def diagnose(self) -> Diagnosis:
        """Reason from the detection to ranked root causes.

        Raises:
            UsageError: `detect_failure` has not found anything to diagnose.
        """
        if self.detection is None or not self.detection.anomalous:
            raise UsageError("nothing to diagnose: call detect_failure(alerts) first, and only on an incident")
        self.state = IncidentState.DIAGNOSING
        self.diagnosis = self._stage("diagnosis", {})["diagnosis"]
        return self.diagnosis

    def mitigate_with_tnr(self, diagnosis: Diagnosis | None = None) -> Report:
        """Repair under Transactional No-Regression: what does not help is undone and proved, then thought over again.

        Args:
            diagnosis: what `diagnose` returned; None: it is made anew.
        """
        if self.detection is None:
            self.detect_failure()
        self.state = IncidentState.MITIGATING
        settings = self.settings
        entry = IncidentEntry(id=new_id(), settings=settings)
        register = Incidents(settings.state_dir)
        alerts = self._values.get("alerts")
        with open_run(entry, self._source, register, telemetry=self._telemetry, model=self._model) as run:
            self.report = run.go(alerts, hint=diagnosis, on_event=lambda line: self._follow(line.stage))
        self.state = self.report.state
        return self.report

    def _follow(self, stage: str) -> None:
        states = {"Validation": IncidentState.VALIDATING, "Undo": IncidentState.ROLLED_BACK,
                  "LogAnalysis": IncidentState.DIAGNOSING, "NL2Kubectl": IncidentState.MITIGATING}  # fmt: skip
        self.state = states.get(stage, self.state)

    def _stage(self, name: str, values: dict[str, Any], *, fresh: bool = False) -> dict[str, Any]:
        from stratus.flow.graph import stage_graph
        from stratus.wiring.compose import rooms as wire

        with wire(self.settings, self._source, telemetry=self._telemetry, model=self._model) as rooms:
            before = {} if fresh else self._values
            start = {"incident": "inc-stage", "mode": "auto", "namespaces": list(self.settings.namespaces), **before}
            self._values = dict(stage_graph(name, lambda _state: rooms).invoke({**start, **values}))
        return self._values
