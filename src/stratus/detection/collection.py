"""Telemetry collection: one consistent look at objects, events, series, traces, usage and logs.

A source that is missing or fails costs only itself: it is noted under `missing`, and what is missing is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from stratus.cluster.base import ClusterReader
from stratus.detection.changes import change_records
from stratus.errors import ClusterError, ClusterUnreachable, StratusError, UnknownNameError
from stratus.kit.kube import (
    containers_of,
    controller,
    moment,
    name_of,
    namespace_of,
    pod_finished,
    pod_ready,
    selects,
)
from stratus.kit.text import line as shown
from stratus.model.base import Json
from stratus.model.evidence import CallEdge, LogLine, Observation, ServiceSeries, Usage
from stratus.telemetry.base import Telemetry

NAMESPACED = (
    "Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision", "Service", "EndpointSlice",
    "ConfigMap", "Secret", "Event", "Job", "CronJob", "HorizontalPodAutoscaler", "NetworkPolicy",
    "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "ServiceAccount", "Ingress",
)  # fmt: skip
CLUSTER_WIDE = ("Node", "StorageClass")
ESSENTIAL = frozenset({"Pod", "Service", "Deployment"})
"""Without these nothing can be said about health from objects."""
EXPERIMENTS = frozenset({"chaos-mesh.org", "litmuschaos.io"})
"""API groups of chaos engineering, whose objects are looked at where the cluster serves them."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_POD_LOGS = 24
_NAMED_LOGS = 4
"""Pods at most whose logs are read because somebody complains of being refused by them."""
_REFUSED = re.compile(
    r"(?i)not authori[sz]ed|unauthori[sz]ed|authentication|permission denied|access denied|noauth|wrongpass"
)
_TAIL = 120
_Found = TypeVar("_Found")


def collect(
    reader: ClusterReader,
    telemetry: Telemetry,
    namespaces: tuple[str, ...],
    *,
    now: float,
    window: float,
    step: float,
    baseline: float,
    protected: tuple[str, ...] = (),
) -> Observation:
    """Look at everything once.

    Args:
        namespaces: where to look; empty: everywhere but in the protected ones.
        now: epoch seconds of the look.
        window: seconds of telemetry before now that are the present.
        step: seconds between two points of a series.
        baseline: seconds before the window that are the normal state.
        protected: namespaces left out when none is named.

    Raises:
        ClusterUnreachable: when the cluster answers nothing at all; a part that fails is noted under `missing`.
    """
    missing: dict[str, str] = {}
    objects = _objects(reader, namespaces, protected, missing)
    if not namespaces:
        namespaces = tuple(
            sorted({namespace_of(o) for o in objects.get("Pod", ())} | {namespace_of(o) for o in objects["Service"]})
        )
    start = now - window - baseline
    metrics, traces = telemetry.metrics, telemetry.traces
    series: tuple[ServiceSeries, ...] = ()
    usage: tuple[Usage, ...] = ()
    if metrics is None:
        missing["metrics"] = "no metrics source is configured"
    else:
        series = _try("metrics", missing, lambda: metrics.service_series(namespaces, start, now, step), ())
        usage = _try("usage", missing, lambda: metrics.usage(namespaces, now), ())
    edges: tuple[CallEdge, ...] = ()
    before: tuple[CallEdge, ...] = ()
    if traces is None:
        missing["traces"] = "no trace source is configured"
    else:
        edges = _try("traces", missing, lambda: traces.edges(namespaces, now - window, now), ())
        before = _try("traces", missing, lambda: traces.edges(namespaces, start, now - window), ())
    if telemetry.logs is None:
        missing["logs"] = "no log store is configured; container logs are read from the cluster"
    if telemetry.alerts is None:
        missing["alerts"] = "no alert source is configured"
    blind = metrics is None and traces is None
    logs = _logs(reader, telemetry, objects, series, edges, blind, now - window - baseline, now, missing)
    return Observation(
        at=now,
        window=window,
        namespaces=namespaces,
        objects=objects,
        series=series,
        edges=edges,
        baseline_edges=before,
        usage=usage,
        logs=logs,
        missing=missing,
    )


def _try(source: str, missing: dict[str, str], ask: Callable[[], _Found], instead: _Found) -> _Found:
    try:
        return ask()
    except StratusError as error:
        missing[source] = shown(str(error) or type(error).__name__)
        return instead


def _objects(
    reader: ClusterReader, namespaces: tuple[str, ...], protected: tuple[str, ...], missing: dict[str, str]
) -> dict[str, tuple[Json, ...]]:
    found: dict[str, tuple[Json, ...]] = {}
    down: ClusterUnreachable | None = None
    answered = False
    raw: list[Json] = []
    experiments = _experiments(reader)
    for kind in (*NAMESPACED, *CLUSTER_WIDE, *experiments):
        items: list[Json] = []
        for namespace in (namespaces or (None,)) if kind in NAMESPACED else (None,):
            try:
                items += reader.list(experiments.get(kind, kind), namespace)
                answered = True
            except UnknownNameError:
                answered = True
                missing[kind] = "the cluster does not serve this kind"
            except ClusterUnreachable as error:
                down = down or error
                missing[kind] = shown(str(error))
            except ClusterError as error:
                answered = True
                missing[kind] = shown(str(error))
        if not namespaces and kind in NAMESPACED:
            items = [o for o in items if namespace_of(o) not in protected]
        raw += items
        found[kind] = tuple(slimmed(o) for o in items)
    if down is not None and not answered:
        raise down
    found["Change"] = change_records(raw)
    return found


def _experiments(reader: ClusterReader) -> dict[str, str]:
    """Return the kinds of chaos engineering that are served, with the name to list them by; none when nobody says.

    They are listed in all namespaces: an experiment is often kept away from what it strikes.
    """
    try:
        served = reader.resources()
    except StratusError:
        return {}
    return {r.kind: f"{r.plural}.{r.group}" for r in served if r.group in EXPERIMENTS and "list" in r.verbs}


def slimmed(obj: Json) -> Json:
    """Return the object without managedFields, and a Secret without its values: only names and keys."""
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    slim = {**obj, "metadata": metadata}
    if obj.get("kind") == "Secret":
        slim["data"] = dict.fromkeys(obj.get("data") or {}, "")
        slim.pop("stringData", None)
        if metadata.get("annotations"):
            kept = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
            metadata["annotations"] = kept
    return slim


def _logs(
    reader: ClusterReader,
    telemetry: Telemetry,
    objects: dict[str, tuple[Json, ...]],
    series: tuple[ServiceSeries, ...],
    edges: tuple[CallEdge, ...],
    blind: bool,
    start: float,
    now: float,
    missing: dict[str, str],
) -> tuple[LogLine, ...]:
    """Read logs where something points: containers in trouble, services with errors; with no telemetry, everyone."""
    pods = objects.get("Pod", ())
    lines: dict[tuple[str, str, str, float, str], LogLine] = {}

    def keep(found: Iterable[LogLine]) -> None:
        for entry in found:
            lines.setdefault((entry.namespace, entry.pod, entry.container, entry.at, entry.text), entry)

    erring = {e.callee for e in edges if e.errors} | {e.caller for e in edges if e.errors and e.caller}
    erring |= {s.service for s in series if any((p.error_rate or 0) > 0 for p in s.points[-8:])}
    wanted = [p for p in pods if _troubled(p, now)]
    wanted += [p for p in _backing(erring, objects) if p not in wanted]
    if blind:
        seen = {controller(p) for p in wanted}
        for pod in pods:
            if pod not in wanted and not pod_finished(pod) and (owner := controller(pod)) not in seen:
                seen.add(owner)
                wanted.append(pod)
    if telemetry.logs is not None:
        source = telemetry.logs
        for namespace in sorted({namespace_of(p) for p in wanted}):
            for service in sorted(erring):
                keep(
                    _try(
                        "logs",
                        missing,
                        lambda n=namespace, s=service: source.tail(n, service=s, start=start, end=now, limit=_TAIL),  # type: ignore[misc]
                        (),
                    )
                )
    for pod in wanted[:_POD_LOGS]:
        keep(_of_pod(reader, pod, missing))
    # Who is refused by a server says so; whom the server refused, only its own log tells.
    named = _refusing(lines.values(), objects)
    for pod in [p for p in _backing(named, objects) if p not in wanted][:_NAMED_LOGS]:
        keep(_of_pod(reader, pod, missing))
    return tuple(sorted(lines.values(), key=lambda entry: (entry.at, entry.namespace, entry.pod, entry.container)))


def _of_pod(reader: ClusterReader, pod: Json, missing: dict[str, str]) -> list[LogLine]:
    """Return the newest log lines of a pod's containers, of the run before as well where one was restarted."""
    found: list[LogLine] = []
    for container in containers_of(pod):
        if not container.ended and not container.running:
            continue
        for previous in (False, True):
            if previous and not container.restarts:
                continue
            try:
                text = reader.logs(
                    namespace_of(pod),
                    name_of(pod),
                    container=container.name,
                    previous=previous,
                    tail_lines=_TAIL,
                    timestamps=True,
                )
            except StratusError as error:
                # a container without a log answers 400; only a log that may not be read is news
                if getattr(error, "status", 0) == 403:
                    missing["container logs"] = shown(str(error))
                continue
            found += parse_log(text, namespace_of(pod), name_of(pod), container.name)
    return found


def _refusing(lines: Iterable[LogLine], objects: dict[str, tuple[Json, ...]]) -> set[str]:
    """Return the services that lines about a refusal name."""
    names = {name_of(s) for s in objects.get("Service", ())}
    refusals = {entry.text for entry in lines if _REFUSED.search(entry.text)}
    words = {word for text in refusals for word in re.findall(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", text)}
    return names & words


def parse_log(text: str, namespace: str, pod: str, container: str) -> list[LogLine]:
    """Split a log with timestamps into lines; a line without one takes the time of the line before."""
    found = []
    at = 0.0
    for row in text.splitlines():
        head, _, rest = row.partition(" ")
        when = moment(_micro(head))
        if when:
            at = when
        else:
            rest = row
        if rest.strip():
            found.append(LogLine(at=at, namespace=namespace, pod=pod, container=container, text=rest[:2000]))
    return found


def _micro(stamp: str) -> str:
    """Cut nanoseconds to the microseconds that Python reads."""
    head, dot, rest = stamp.partition(".")
    if not dot or not rest[:1].isdigit():
        return stamp
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"


def _troubled(pod: Json, now: float) -> bool:
    if pod_finished(pod):
        return bool(pod["status"].get("phase") == "Failed")
    if not pod_ready(pod):
        return True
    return any(c.restarts and now - moment(c.ended.get("finishedAt")) < 3600 for c in containers_of(pod))


def _backing(services: set[str], objects: dict[str, tuple[Json, ...]]) -> list[Json]:
    """Return one running pod behind each named service."""
    found = []
    for service in objects.get("Service", ()):
        if name_of(service) not in services:
            continue
        selector = (service.get("spec") or {}).get("selector")
        for pod in objects.get("Pod", ()):
            labels = (pod.get("metadata") or {}).get("labels") or {}
            if namespace_of(pod) == namespace_of(service) and selects(selector, labels) and not pod_finished(pod):
                found.append(pod)
                break
    return found
