"""From settings to the telemetry at hand."""

from __future__ import annotations

from stratus.kit.clock import Clock
from stratus.settings import Settings
from stratus.telemetry.base import Alerts, Logs, Metrics, Telemetry, Traces
from stratus.telemetry.podreader import PodReader


def telemetry_from_settings(settings: Settings, reader: PodReader, clock: Clock | None = None) -> Telemetry:
    """Build the sources that the settings name; nothing is asked yet.

    Without Alertmanager, Prometheus' own alerts are used; without Loki, the cluster's container logs.

    Args:
        settings: `prometheus`, `alertmanager`, `jaeger` and `loki` are read.
        reader: the cluster, for its logs.
        clock: for the age of container logs; None: the system's.

    Raises:
        UsageError: a URL cannot be used.
    """
    from stratus.telemetry.http import HttpSource

    names: dict[str, str] = {}
    metrics: Metrics | None = None
    alerts: Alerts | None = None
    traces: Traces | None = None
    logs: Logs
    if settings.prometheus:
        from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics

        source = HttpSource(settings.prometheus, name="Prometheus")
        metrics, alerts = PrometheusMetrics(source), PrometheusAlerts(source)
        names["metrics"] = names["alerts"] = f"Prometheus {source.url}"
    if settings.alertmanager:
        from stratus.telemetry.alertmanager import AlertmanagerAlerts

        source = HttpSource(settings.alertmanager, name="Alertmanager")
        alerts = AlertmanagerAlerts(source)
        names["alerts"] = f"Alertmanager {source.url}"
    if settings.jaeger:
        from stratus.telemetry.jaeger import JaegerTraces

        source = HttpSource(settings.jaeger, name="Jaeger")
        traces = JaegerTraces(source)
        names["traces"] = f"Jaeger {source.url}"
    if settings.loki:
        from stratus.telemetry.loki import LokiLogs

        source = HttpSource(settings.loki, name="Loki")
        logs = LokiLogs(source)
        names["logs"] = f"Loki {source.url}"
    else:
        from stratus.telemetry.cluster_logs import ClusterLogs

        logs = ClusterLogs(reader, clock)
        names["logs"] = "container logs of the cluster"
    return Telemetry(metrics=metrics, logs=logs, traces=traces, alerts=alerts, names=names)
