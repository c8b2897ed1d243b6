"""Reports made up for tests of the adapters, and a bench that hands them out."""

from __future__ import annotations

from typing import Any

from stratus.bench.external.solving import Bench
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Hypothesis
from stratus.model.evidence import Evidence
from stratus.model.refs import ObjectRef
from stratus.model.reports import IncidentState, IncidentSummary, Report, RootCause
from stratus.settings import Settings


def hypothesis(kind: str = "Deployment", name: str = "geo", **fields: Any) -> Hypothesis:
    base: dict[str, Any] = {
        "id": "H1", "fault": "scaled_to_zero", "summary": f"{kind} {name} has no replicas", "service": name,
        "object": ObjectRef(api_version="apps/v1", kind=kind, name=name, namespace="hotel"), "confidence": 0.9,
        "evidence_for": (Evidence(id="E1", kind="object", summary="0 of 0 pods ready"),),
    }  # fmt: skip
    return Hypothesis.model_validate({**base, **fields})


def report(*ledger: Hypothesis, state: str = "unresolved", **fields: Any) -> Report:
    """Return a report that blames the first hypothesis, if there is one."""
    first = ledger[0] if ledger else None
    cause = None
    if first is not None:
        cause = RootCause(object=str(first.object), fault=first.fault, confidence=first.confidence,
                          summary=first.summary, evidence=first.evidence_for)  # fmt: skip
    alert = Alert(name="HighErrors", severity="critical", labels={"namespace": "hotel", "service": "search"})
    base: dict[str, Any] = {
        "incident": IncidentSummary(id="i", alerts=(alert, alert), services=("hotel/search", "hotel/geo")),
        "state": IncidentState(state), "mode": "observe", "root_cause": cause, "hypotheses": ledger,
    }  # fmt: skip
    return Report.model_validate({**base, **fields})


class Handed(Bench):
    """Answers with one report after the other, and remembers what it was asked."""

    def __init__(self, *reports: Report) -> None:
        super().__init__(Settings())
        object.__setattr__(self, "reports", list(reports))
        object.__setattr__(self, "asked", [])

    def solve(self, mode, namespaces=(), on_event=None):
        self.asked.append((mode, tuple(namespaces)))
        return self.reports.pop(0)
