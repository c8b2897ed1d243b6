"""Telemetry of the embedded cluster: what its traffic, containers and objects show, through the usual ports."""

from stratus.sim.telemetry.history import History
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.ports import embedded_telemetry
from stratus.sim.telemetry.rules import Rules, load_rules, shipped_rules

__all__ = ["History", "Observatory", "Rules", "embedded_telemetry", "load_rules", "shipped_rules"]
