"""Analyzers: each reads one side of the world and hands in findings. They know Kubernetes, no application."""

from __future__ import annotations

from collections.abc import Callable

from stratus.diagnosis import databases
from stratus.diagnosis.analyzers import (
    admission,
    changes,
    configs,
    crashes,
    experiments,
    flags,
    images,
    logs,
    network,
    nodes,
    probes,
    requests,
    scaling,
    scheduling,
    services,
)
from stratus.diagnosis.finding import Finding
from stratus.diagnosis.world import World

Analyzer = Callable[[World], list[Finding]]

ANALYZERS: dict[str, Analyzer] = {
    "images": images.analyze,
    "configs": configs.analyze,
    "crashes": crashes.analyze,
    "scheduling": scheduling.analyze,
    "probes": probes.analyze,
    "admission": admission.analyze,
    "services": services.analyze,
    "scaling": scaling.analyze,
    "network": network.analyze,
    "nodes": nodes.analyze,
    "experiments": experiments.analyze,
    "flags": flags.analyze,
    "changes": changes.analyze,
    "requests": requests.analyze,
    "logs": logs.analyze,
    "databases": databases.analyze,
}
"""All analyzers by name, most specific first."""


def findings(world: World) -> list[Finding]:
    """Run all analyzers; each finding carries its analyzer's name."""
    found = []
    for name, analyze in ANALYZERS.items():
        for finding in analyze(world):
            finding.analyzer = name
            databases.enrich(world, finding)
            found.append(finding)
    return found
