"""How many requests the API server has served, and how fast: what changed the objects, and what a cluster asks anyway.

Requests that read are not counted one by one, because reading changes nothing here; nodes and control plane ask at a
pace that is known. No request of this API server is slow: durations have a shape that never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stratus.sim.telemetry.objectlog import Version
from stratus.sim.telemetry.promql.series import Floats, array
from stratus.sim.telemetry.samples import LabelKey, Sample

TOTAL, DURATION = "apiserver_request_total", "apiserver_request_duration_seconds"
NAMES = (TOTAL, f"{DURATION}_bucket", f"{DURATION}_count", f"{DURATION}_sum")
#: (verb, resource, per node, for the control plane): requests per second that come all the time.
_STEADY = (
    ("GET", "leases.coordination.k8s.io", 0.0, 1.0),
    ("PUT", "leases.coordination.k8s.io", 0.1, 1.0),
    ("GET", "nodes", 0.1, 0.0),
    ("PATCH", "nodes", 0.1 / 3, 0.0),
    ("LIST", "pods", 0.002, 0.004),
    ("WATCH", "pods", 0.0024, 0.007),
    ("WATCH", "services", 0.0048, 0.005),
    ("WATCH", "configmaps", 0.0024, 0.002),
)
#: Upper bounds of durations in seconds, with the share of requests below, for reading and for writing.
_SHAPE = (
    ("0.005", 0.64, 0.41), ("0.025", 0.97, 0.95), ("0.05", 0.99, 0.985), ("0.1", 0.997, 0.995), ("0.2", 0.999, 0.998),
    ("0.4", 1.0, 0.9995), ("0.6", 1.0, 1.0), ("0.8", 1.0, 1.0), ("1", 1.0, 1.0), ("2", 1.0, 1.0), ("5", 1.0, 1.0),
    ("10", 1.0, 1.0), ("30", 1.0, 1.0), ("60", 1.0, 1.0), ("+Inf", 1.0, 1.0),
)  # fmt: skip
_READS, _WRITES = 0.0061, 0.0094
_CODES = {"POST": "201"}
Kind = tuple[str, str]
"""(verb, resource)."""


class ApiRequests:
    """Counts of requests by verb and resource.

    Attributes:
        begun: when the cluster's life began, epoch seconds.
    """

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self._at: dict[Kind, list[float]] = {}
        self._counts: dict[Kind, list[float]] = {}

    def copy(self) -> ApiRequests:
        """Return an independent copy."""
        twin = ApiRequests(self.begun)
        twin._at = {k: list(v) for k, v in self._at.items()}
        twin._counts = {k: list(v) for k, v in self._counts.items()}
        return twin

    def note(self, at: float, versions: Iterable[Version]) -> None:
        """Count the changes that a scrape at some moment is the first to see."""
        for kind, more in _kinds(versions).items():
            moments, counts = self._at.setdefault(kind, []), self._counts.setdefault(kind, [])
            moments.append(at)
            counts.append((counts[-1] if counts else 0.0) + more)

    def trim(self, start: float) -> None:
        """Forget what was before a moment, but for its sum."""
        for kind, moments in self._at.items():
            old = sum(at < start for at in moments) - 1
            if old > 0:
                del moments[:old], self._counts[kind][:old]

    def series(self, name: str, grid: Floats, nodes: int) -> Iterator[tuple[LabelKey, Floats]]:
        """Return (labels, values on the grid of scrapes) of a metric's series."""
        for kind in self._known():
            moments = self._at.get(kind)
            values = np.maximum(grid - self.begun, 0.0) * _steady(kind, nodes)
            if moments:
                place = np.searchsorted(array(moments), grid, side="right") - 1
                values = values + np.where(place >= 0, array(self._counts[kind])[np.maximum(place, 0)], 0.0)
            yield from _told(name, kind, np.floor(values + 0.5))

    def samples(self, now: float, nodes: int, late: Iterable[Version]) -> list[Sample]:
        """Return all samples of this moment; `late` are changes that no scrape has seen yet."""
        more = _kinds(late)
        found: list[Sample] = []
        for kind in sorted({*self._known(), *more}):
            counts = self._counts.get(kind)
            steady = max(now - self.begun, 0.0) * _steady(kind, nodes)
            whole = np.floor(array([steady + (counts[-1] if counts else 0.0) + more.get(kind, 0.0)]) + 0.5)
            for name in NAMES:
                found += [(name, labels, float(values[0])) for labels, values in _told(name, kind, whole)]
        return found

    def _known(self) -> list[Kind]:
        return sorted({*((verb, resource) for verb, resource, _, _ in _STEADY), *self._at})


def _kinds(versions: Iterable[Version]) -> dict[Kind, float]:
    found: dict[Kind, float] = {}
    for one in versions:
        verb = "POST" if one.before is None else "DELETE" if one.now is None else "PATCH"
        if one.before is not None and one.now is not None and one.before.get("spec") != one.now.get("spec"):
            verb = "PUT"
        kind = (verb, one.key[0])
        found[kind] = found.get(kind, 0.0) + 1.0
    return found


def _steady(kind: Kind, nodes: int) -> float:
    return sum(each * nodes + own for verb, resource, each, own in _STEADY if (verb, resource) == kind)


def _told(name: str, kind: Kind, counts: Floats) -> Iterator[tuple[LabelKey, Floats]]:
    verb, resource = kind
    plain, _, group = resource.partition(".")
    names = {
        "component": "apiserver",
        "group": group,
        "resource": plain,
        "scope": "resource",
        "verb": verb,
        "version": "v1",
    }
    if name == TOTAL:
        yield _key({**names, "code": _CODES.get(verb, "200")}), counts
        return
    if verb == "WATCH":
        return
    reads = verb in ("GET", "LIST")
    if name.endswith("_count"):
        yield _key(names), counts
    elif name.endswith("_sum"):
        yield _key(names), np.round(counts * (_READS if reads else _WRITES), 6)
    else:
        for bound, reading, writing in _SHAPE:
            yield _key({**names, "le": bound}), np.floor(counts * (reading if reads else writing) + 0.5)


def _key(labels: dict[str, str]) -> LabelKey:
    return tuple(sorted((k, v) for k, v in labels.items() if v))


__all__ = ["NAMES", "ApiRequests"]
