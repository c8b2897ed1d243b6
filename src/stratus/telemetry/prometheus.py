"""Metrics and alerts from the HTTP API of Prometheus (or what speaks it: Thanos, Mimir, VictoriaMetrics)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stratus.model.alerts import Alert
from stratus.model.evidence import SeriesPoint, ServiceSeries, Usage
from stratus.telemetry.alertdata import alert_of, in_namespaces
from stratus.telemetry.http import HttpSource
from stratus.telemetry.promql import Bound, bind, matcher, number, presence, tables

Labels = dict[str, str]
Key = tuple[str, str]
Values = dict[Key, dict[float, float | None]]


class PrometheusMetrics:
    """The `Metrics` port: request figures by whichever metric conventions are there, container use from cAdvisor."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def service_series(
        self, namespaces: tuple[str, ...], start: float, end: float, step: float
    ) -> tuple[ServiceSeries, ...]:
        """Return request rate, error rate and p99 of every service at every step.

        Rates are averages over the last four steps (a minute at least). Without a namespace label in the metrics, all
        services are taken to be in the namespace asked for, when that is one.

        Raises:
            TelemetryUnreachable: Prometheus does not answer, or not as one.
        """
        window = round(max(4 * step, 60.0))
        grid = [start + i * step for i in range(int((end - start) / step + 1e-9) + 1)]
        found: dict[Key, ServiceSeries] = {}
        for bound in self._conventions(start, end):
            for key, series in self._by_convention(bound, namespaces, grid, step, window).items():
                found.setdefault(key, series)
        return tuple(found[key] for key in sorted(found))

    def usage(self, namespaces: tuple[str, ...], at: float) -> tuple[Usage, ...]:
        """Return CPU and memory use of containers at a moment; empty when there is no cAdvisor.

        Raises:
            TelemetryUnreachable: Prometheus does not answer, or not as one.
        """
        select = matcher("namespace", namespaces) if namespaces else 'namespace!=""'
        figures: dict[tuple[str, str, str], dict[str, float]] = {}
        for name, queries in tables().usage.items():
            for query in queries:
                rows = self._instant(query.replace("SELECT", select), at)
                for labels, value in rows:
                    key = (labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
                    if value is not None and all(key):
                        figures.setdefault(key, {})[name] = value
                if rows:
                    break
        measured = {k: v for k, v in figures.items() if "cpu_cores" in v or "memory_bytes" in v}
        return tuple(
            Usage(namespace=space, pod=pod, container=container, **values)
            for (space, pod, container), values in sorted(measured.items())
        )

    def _conventions(self, start: float, end: float) -> list[Bound]:
        """Ask which conventions are in use in the window."""
        bound = []
        for convention in tables().requests:
            rows = self._instant(presence(convention, round(max(end - start, 300.0))), end)
            made = bind(convention, [labels for labels, _ in rows])
            if made is not None:
                bound.append(made)
        return bound

    def _by_convention(
        self, bound: Bound, namespaces: tuple[str, ...], grid: list[float], step: float, window: int
    ) -> dict[Key, ServiceSeries]:
        def ask(query: Callable[[Sequence[str], int], str]) -> Values:
            rows = self._range(query(namespaces, window), grid, step)
            return {bound.identity(labels, namespaces): values for labels, values in rows}

        rates = ask(bound.rate)
        failures = ask(bound.failures) if bound.failed else {}
        latencies = ask(bound.latency)
        series = {}
        for key, rate in rates.items():
            if namespaces and bound.namespace and key[0] not in namespaces:
                continue
            points = tuple(
                _point(at, rate.get(at), failures.get(key, {}).get(at), latencies.get(key, {}).get(at), bound)
                for at in grid
            )
            series[key] = ServiceSeries(namespace=key[0], service=key[1], points=points)
        return series

    def _instant(self, query: str, at: float) -> list[tuple[Labels, float | None]]:
        path = "/api/v1/query"
        rows = self._result(path, {"query": query, "time": f"{at:.3f}"}, "vector")
        return [(row["metric"], number(row["value"][1])) for row in rows]

    def _range(self, query: str, grid: list[float], step: float) -> list[tuple[Labels, dict[float, float | None]]]:
        path = "/api/v1/query_range"
        asked = {"query": query, "start": f"{grid[0]:.3f}", "end": f"{grid[-1]:.3f}", "step": f"{step:g}"}
        rows = self._result(path, asked, "matrix")
        # Prometheus keeps milliseconds: put its moments back onto the grid
        near = {round(at * 1000): at for at in grid}
        return [
            (
                row["metric"],
                {near[t]: number(value) for at, value in row["values"] if (t := _nearest(near, float(at))) is not None},
            )
            for row in rows
        ]

    def _result(self, path: str, query: Mapping[str, str], kind: str) -> list[Any]:
        answer = self._source.get(path, query)
        try:
            if answer["status"] != "success" or answer["data"]["resultType"] != kind:
                raise self._source.odd(path)
            rows: list[Any] = answer["data"]["result"]
            for row in rows:
                row["metric"].items()
                row["value"][1] if kind == "vector" else row["values"][0][1]
        except (KeyError, TypeError, IndexError, AttributeError) as problem:
            raise self._source.odd(path) from problem
        return rows


class PrometheusAlerts:
    """The `Alerts` port on Prometheus' own rule evaluation, for where there is no Alertmanager."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def firing(self, namespaces: tuple[str, ...] = ()) -> tuple[Alert, ...]:
        """Return alerts that fire now.

        Raises:
            TelemetryUnreachable: Prometheus does not answer, or not as one.
        """
        path = "/api/v1/alerts"
        answer = self._source.get(path)
        try:
            rows = [
                alert_of(row["labels"], row.get("annotations"), row.get("activeAt"), "prometheus")
                for row in answer["data"]["alerts"]
                if row["state"] == "firing"
            ]
        except (KeyError, TypeError, AttributeError) as problem:
            raise self._source.odd(path) from problem
        return in_namespaces(rows, namespaces)


def _nearest(near: Mapping[int, float], at: float) -> int | None:
    moment = round(at * 1000)
    return next((t for t in (moment, moment - 1, moment + 1) if t in near), None)


def _point(at: float, rate: float | None, failures: float | None, latency: float | None, bound: Bound) -> SeriesPoint:
    share: float | None = None
    if bound.failed and rate:
        share = min(1.0, (failures or 0.0) / rate)
    return SeriesPoint(
        at=at,
        rate=rate,
        error_rate=share,
        latency_p99=None if latency is None else latency * bound.convention.unit,
    )
