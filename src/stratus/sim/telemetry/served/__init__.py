"""The protocols under which telemetry services are asked: Prometheus, Alertmanager, Jaeger, Loki."""

from stratus.sim.telemetry.served.front import TelemetryFront
from stratus.sim.telemetry.served.routes import TelemetryApi

__all__ = ["TelemetryApi", "TelemetryFront"]
