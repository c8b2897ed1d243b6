"""One address for all telemetry protocols: their paths do not overlap."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from stratus.sim.apps.runtime import AppRuntime, workload_of
from stratus.sim.store import Store
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.served.alertmanager import AlertmanagerApi
from stratus.sim.telemetry.served.jaeger import JaegerApi
from stratus.sim.telemetry.served.loki import Labels, Line, LokiApi
from stratus.sim.telemetry.served.prometheus import PrometheusApi
from stratus.sim.telemetry.served.requests import Asked, BadRequest, Reply, text, told

_INDEX = """Telemetry of an embedded cluster.

/metrics                     what a Prometheus scrapes
/api/v1/...                  Prometheus
/api/v2/...                  Alertmanager
/api/services, /api/traces   Jaeger
/loki/api/v1/...             Loki
"""


class ContainerStreams:
    """The log lines of all containers, with the labels that collectors give them."""

    def __init__(self, store: Store, runtime: AppRuntime) -> None:
        self._store = store
        self._runtime = runtime

    def streams(self) -> Iterable[tuple[Labels, list[Line]]]:
        """Return the labels and the lines, oldest first, of every container there is."""
        for pod in self._store.list("pods"):
            meta = pod["metadata"]
            workload = workload_of(pod)
            for container in [*(pod["spec"].get("initContainers") or ()), *pod["spec"].get("containers", ())]:
                lines: list[Line] = []
                for previous in (True, False):
                    lines += self._runtime.logs(pod, container, previous=previous, since=None, limit=-1)
                if lines:
                    lines.sort(key=lambda line: line[0])
                    yield (
                        {
                            "namespace": meta["namespace"],
                            "pod": meta["name"],
                            "container": container["name"],
                            "app": workload,
                            "service_name": workload,
                            "node_name": pod["spec"].get("nodeName", ""),
                        },
                        lines,
                    )


class TelemetryApi:
    """Answers requests of all protocols; the lock is held meanwhile, so that a question sees one moment."""

    def __init__(self, observatory: Observatory, store: Store, runtime: AppRuntime, lock: threading.RLock) -> None:
        self._lock = lock
        self._apis = (
            PrometheusApi(observatory),
            AlertmanagerApi(observatory),
            LokiApi(observatory, ContainerStreams(store, runtime)),
            JaegerApi(observatory),
        )

    def handle(self, method: str, target: str, body: bytes = b"", content: str = "") -> Reply:
        """Return the answer to a request."""
        try:
            asked = Asked.of(method, target, body, content)
        except (BadRequest, ValueError) as error:
            return text(f"{error}\n", 400)
        if asked.path in ("", "/"):
            return text(_INDEX)
        if asked.path == "/ready":
            return text("ready\n")
        if method not in ("GET", "HEAD", "POST", "DELETE"):
            return told({"error": f"method {method} is not allowed"}, 405)
        with self._lock:
            for api in self._apis:
                found = api.answer(asked)
                if found is not None:
                    return found
        return text("404 page not found\n", 404)
