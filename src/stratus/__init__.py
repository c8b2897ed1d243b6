"""Stratus takes a Kubernetes incident from alert to verified repair, and never leaves the system worse.

    from stratus import respond

    report = respond(embedded="hotel-reservation", fault="service-target-port", mode="auto")
    report.state, report.root_cause

Importing this package opens no socket, reads no kubeconfig and loads no model; names load on first use.
"""

from __future__ import annotations

import os as _os
from typing import TYPE_CHECKING, Any

_os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")  # Chroma's; nothing leaves the machine unless asked to
_os.environ.setdefault("LANGSMITH_TRACING", "false")
_os.environ.setdefault("LANGCHAIN_TRACING_V2", "false")

if TYPE_CHECKING:
    from stratus.flow.graph import incident_graph as build_graph
    from stratus.model.health import SystemHealth
    from stratus.model.reports import IncidentState, Report
    from stratus.settings import Settings
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.wiring.agent import StratusAgent
    from stratus.wiring.respond import respond, resume
    from stratus.wiring.wrapping import TransactionUndone, transaction

__version__ = "0.1.0"

_HOMES = {
    "respond": "stratus.wiring.respond",
    "resume": "stratus.wiring.respond",
    "StratusAgent": "stratus.wiring.agent",
    "build_graph": ("stratus.flow.graph", "incident_graph"),
    "SystemHealth": "stratus.model.health",
    "IncidentState": "stratus.model.reports",
    "Report": "stratus.model.reports",
    "Settings": "stratus.settings",
    "TransactionUndone": "stratus.wiring.wrapping",
    "EmbeddedCluster": "stratus.sim.cluster",
}

__all__ = [
    "EmbeddedCluster",
    "IncidentState",
    "Report",
    "Settings",
    "StratusAgent",
    "SystemHealth",
    "TransactionUndone",
    "build_graph",
    "respond",
    "resume",
    "transaction",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "transaction":  # the package of that name, which can be called
        return import_module("stratus.transaction")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stratus' has no attribute {name!r}")
    module, attribute = home if isinstance(home, tuple) else (home, name)
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
