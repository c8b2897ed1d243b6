"""Faults of the embedded cluster: what goes wrong is data; each is a change of objects or of application state."""

from stratus.sim.faults.engine import FaultEngine
from stratus.sim.faults.schema import FaultSpec

__all__ = ["FaultEngine", "FaultSpec"]
