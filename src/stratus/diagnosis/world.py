"""The case as a world of workloads, Services and calls: the index that all analyzers read."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from stratus.diagnosis.history import Revision, once_ran, references
from stratus.kit.kube import (
    addresses,
    annotations_of,
    condition,
    containers_of,
    controller,
    created,
    desired_replicas,
    dig,
    event_about,
    event_message,
    event_time,
    labels_of,
    name_of,
    namespace_of,
    pod_finished,
    pod_ready,
    ready_replicas,
    selects,
    terminating,
)
from stratus.kit.text import line
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.evidence import CallEdge, Evidence, EvidenceKind, LogLine, ServiceSeries
from stratus.model.refs import ObjectRef

_API = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
        "Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1", "Service": "v1", "ConfigMap": "v1", "Secret": "v1",
        "Node": "v1", "ServiceAccount": "v1", "ResourceQuota": "v1", "LimitRange": "v1",
        "PersistentVolumeClaim": "v1", "NetworkPolicy": "networking.k8s.io/v1",
        "HorizontalPodAutoscaler": "autoscaling/v2"}  # fmt: skip
FIGURES = ("error-rate", "latency", "traffic-gone")
"""Detectors of what users feel."""
_PLACE = re.compile(r"HOST|ADDR|SERVER|SERVICE|URL|URI|ENDPOINT")
"""Names of variables that say where something is."""
BEFORE = 600.0
"""Seconds before the first sign within which a change is a suspect."""
AFTER = 60.0
"""And seconds after it, as the first sign may be measured early or late."""


@dataclass
class Workload:
    """Something that keeps pods alive, with its pods, revisions and the Services in front of it."""

    obj: Json
    pods: list[Json] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    services: list[Json] = field(default_factory=list)
    undone: int = 0
    """Rollbacks of it that were tried in this incident and did not help."""

    @property
    def kind(self) -> str:
        """The kind, such as Deployment."""
        return str(self.obj.get("kind", ""))

    @property
    def name(self) -> str:
        """The name."""
        return name_of(self.obj)

    @property
    def namespace(self) -> str:
        """The namespace."""
        return namespace_of(self.obj)

    @property
    def ref(self) -> ObjectRef:
        """The object's name."""
        return ObjectRef.of(self.obj, api_version=_API.get(self.kind, "v1"))

    @property
    def title(self) -> str:
        """`Deployment web`."""
        return f"{self.kind} {self.name}"

    @property
    def service(self) -> str:
        """The first Service in front, else the workload's own name."""
        return name_of(self.services[0]) if self.services else self.name

    @property
    def template(self) -> Json:
        """The pod template; a bare pod is its own."""
        if self.kind == "Pod":
            return {"metadata": self.obj.get("metadata", {}), "spec": self.obj.get("spec", {})}
        found = dig(self.obj, "spec", "template", default={})
        return found if isinstance(found, dict) else {}

    @property
    def spec(self) -> Json:
        """The pod spec."""
        found = self.template.get("spec")
        return found if isinstance(found, dict) else {}

    @property
    def labels(self) -> dict[str, str]:
        """The pods' labels."""
        found: dict[str, str] = dig(self.template, "metadata", "labels", default={})
        return found

    @property
    def wanted(self) -> int:
        """Pods wanted."""
        return 1 if self.kind == "Pod" else desired_replicas(self.obj)

    @property
    def ready(self) -> int:
        """Pods ready, as seen or as its status says, whichever is less when both are known."""
        seen = sum(1 for p in self.pods if pod_ready(p))
        return seen if self.kind == "Pod" else min(seen, ready_replicas(self.obj)) if self.pods else 0

    @property
    def down(self) -> float:
        """Share of the wanted pods that is not ready, 0..1."""
        return max(0.0, 1.0 - self.ready / self.wanted) if self.wanted else 0.0

    @cached_property
    def back(self) -> list[Revision]:
        """Earlier revisions to go back to, best first, without those that were tried already."""
        return once_ran(self.revisions, self.template)[self.undone :]

    @property
    def newest_pods(self) -> list[Json]:
        """Pods of the newest revision; all pods when revisions are unknown."""
        if not self.revisions:
            return self.pods
        newest = self.revisions[0].name
        mine = [
            p
            for p in self.pods
            if (controller(p) or ("", "", ""))[1] == newest
            or labels_of(p).get("controller-revision-hash") in (newest, newest.rpartition("-")[2])
        ]
        return mine if self.kind == "Deployment" else mine or self.pods

    def container(self, name: str) -> Json:
        """Return a container of the template by name, empty when there is none."""
        every = [*(self.spec.get("initContainers") or ()), *(self.spec.get("containers") or ())]
        return next((c for c in every if c.get("name") == name), {})


class World:
    """An observation seen as workloads, Services and calls between them.

    Attributes:
        now: epoch seconds of the look.
        onset: epoch seconds at which users began to feel it (the first sign when no figures tell), 0.0 when unknown;
            an old blemish elsewhere does not move it.
        workloads: every Deployment, StatefulSet, DaemonSet, free ReplicaSet, Job and bare pod.
        focus: services (namespace, name) that alerts or request figures name: what users feel.
        troubled: services (namespace, name) with an anomaly of any kind.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.observation = case.observation
        self.now = case.observation.at
        felt = [a.since for a in case.detection.anomalies if a.detector in FIGURES and a.since]
        self.onset = min(felt, default=case.detection.onset)
        self._events: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
        for event in self.observation.of("Event"):
            self._events[event_about(event)].append(event)
        for found in self._events.values():
            found.sort(key=event_time)
        self.services = self.observation.of("Service")
        self.workloads = self._workloads()
        self._logs: dict[tuple[str, str], list[LogLine]] = defaultdict(list)
        for entry in self.observation.logs:
            self._logs[(entry.namespace, entry.pod)].append(entry)
        self.troubled = {
            (a.namespace, a.service) for a in case.detection.anomalies if a.service and a.severity != "info"
        }
        self.focus = self._focus()
        self.callees: dict[str, set[str]] = defaultdict(set)
        self.callers: dict[str, set[str]] = defaultdict(set)
        for edge in (*self.observation.edges, *self.observation.baseline_edges):
            if edge.caller:
                self._call(edge.caller, edge.callee)
        for w in self.workloads:
            for c in w.spec.get("containers") or ():
                for env in c.get("env") or ():
                    for _, host, _ in addresses(str(env.get("value") or ""), w.namespace):
                        if host != w.service:
                            self._call(w.service, host)

        self.mentions = self._mentions()

    def _mentions(self) -> dict[str, set[str]]:
        """Services that that variables (a bare host), ConfigMaps or complaints name: perhaps called, and not traced."""
        known = {(namespace_of(s), name_of(s)) for s in self.services}
        found: dict[str, set[str]] = defaultdict(set)
        texts: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for obj in self.observation.of("ConfigMap"):
            named = {a[:2] for v in (obj.get("data") or {}).values() for a in addresses(str(v), namespace_of(obj))}
            texts[(namespace_of(obj), name_of(obj))] = named & known
        for w in self.workloads:
            for c in w.spec.get("containers") or ():
                hosts = {str(e.get("value")) for e in c.get("env") or () if _PLACE.search(str(e.get("name")))}
                found[w.service] |= {h for h in hosts if (w.namespace, h) in known}
            for kind, name, _ in references(w.spec):
                if kind == "ConfigMap":
                    found[w.service] |= {n for _, n in texts.get((w.namespace, name), ())}
            for entry in self.logs(w.pods)[-60:]:
                found[w.service] |= {n for a in addresses(entry.text, w.namespace) if (a[0], n := a[1]) in known}
            found[w.service].discard(w.service)
        return found

    def _call(self, caller: str, callee: str) -> None:
        self.callees[caller].add(callee)
        self.callers[callee].add(caller)

    # ── building ──

    def _workloads(self) -> list[Workload]:
        found: dict[tuple[str, str, str], Workload] = {}
        look = self.observation
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            for obj in look.of(kind):
                found[(kind, namespace_of(obj), name_of(obj))] = Workload(obj)
        sets: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
        for rs in look.of("ReplicaSet"):
            owner = controller(rs)
            if owner is not None and (owner[0], namespace_of(rs), owner[1]) in found:
                sets[(owner[0], namespace_of(rs), owner[1])].append(rs)
            elif owner is None:
                found[("ReplicaSet", namespace_of(rs), name_of(rs))] = Workload(rs)
        parent = {("ReplicaSet", key[1], name_of(rs)): key for key, group in sets.items() for rs in group}
        for pod in look.of("Pod"):
            owner = controller(pod)
            key = (owner[0], namespace_of(pod), owner[1]) if owner else ("Pod", namespace_of(pod), name_of(pod))
            key = parent.get(key, key)
            if key in found:
                found[key].pods.append(pod)
            elif owner is None:
                found[key] = Workload(pod, [pod])
        for key, w in found.items():
            w.revisions = self._of_sets(sets.get(key, [])) if key[0] == "Deployment" else self._of_history(w)
            w.services = [
                s
                for s in self.services
                if namespace_of(s) == w.namespace and selects(dig(s, "spec", "selector"), w.labels)
            ]
            w.services.sort(key=lambda s, w=w: (name_of(s) != w.name, name_of(s)))  # type: ignore[misc]
            w.undone = self._rollbacks(w)
        return list(found.values())

    def _of_sets(self, sets: list[Json]) -> list[Revision]:
        def number(rs: Json) -> int:
            text = annotations_of(rs).get("deployment.kubernetes.io/revision", "0")
            return int(text) if text.isdigit() else 0

        ordered = sorted(sets, key=lambda rs: (-number(rs), -created(rs)))
        return [
            Revision(
                number=number(rs),
                name=name_of(rs),
                template=dig(rs, "spec", "template", default={}),
                ready=int(dig(rs, "status", "readyReplicas", default=0)),
                replicas=int(dig(rs, "spec", "replicas", default=0)),
                created=created(rs),
                reign=max(0.0, (self.now if i == 0 else created(ordered[i - 1])) - created(rs)),
            )
            for i, rs in enumerate(ordered)
        ]

    def _of_history(self, w: Workload) -> list[Revision]:
        if w.kind not in ("StatefulSet", "DaemonSet"):
            return []
        mine = [
            r
            for r in self.observation.of("ControllerRevision", w.namespace)
            if (controller(r) or ("", "", ""))[:2] == (w.kind, w.name)
        ]
        ordered = sorted(mine, key=lambda r: -int(r.get("revision") or 0))
        return [
            Revision(
                number=int(r.get("revision") or 0),
                name=name_of(r),
                template=dig(r, "data", "spec", "template", default={}),
                ready=sum(
                    1
                    for p in w.pods
                    if pod_ready(p)
                    and labels_of(p).get("controller-revision-hash", "-")
                    in (name_of(r), name_of(r).rpartition("-")[2], labels_of(r).get("controller-revision-hash"))
                ),
                replicas=0,
                created=created(r),
                reign=max(0.0, (self.now if i == 0 else created(ordered[i - 1])) - created(r)),
            )
            for i, r in enumerate(ordered)
        ]

    def _rollbacks(self, w: Workload) -> int:
        """Count tries to roll this workload back that were taken back again."""
        spelled = {f"{kind}/{w.name}" for kind in (w.kind, w.kind.lower(), "deploy", "deployments")}
        spelled |= {f"{w.kind.lower()} {w.name}"}
        count = 0
        for attempt in self.case.attempts:
            if not attempt.executed or not attempt.undone:
                continue
            lines = [c for c in attempt.commands if "rollout undo" in c]
            count += any(any(s in c.split() or s in c for s in spelled) for c in lines)
        return count

    def _focus(self) -> set[tuple[str, str]]:
        """Services that users feel: named by alerts or by request figures."""
        found = {(a.namespace, a.service) for a in self.case.detection.anomalies if a.detector in FIGURES and a.service}
        for alert in self.case.detection.alerts:
            if alert.service and alert.verified is not False:
                known = [w for w in self.workloads if alert.service in (w.name, w.service)]
                namespace = alert.namespace or (known[0].namespace if known else "")
                found.add((namespace, known[0].service if known else alert.service))
            if pod := alert.labels.get("pod"):
                owners = [w for w in self.workloads if any(name_of(p) == pod for p in w.pods)]
                found |= {(w.namespace, w.service) for w in owners}
        return found

    # ── asking ──

    def events(self, obj: Json, *reasons: str) -> list[Json]:
        """Return the events about an object, oldest first, optionally of some reasons."""
        found = self._events.get((obj.get("kind", ""), namespace_of(obj), name_of(obj)), [])
        return [e for e in found if not reasons or e.get("reason") in reasons]

    def logs(self, pods: list[Json]) -> list[LogLine]:
        """Return the log lines of some pods, oldest first."""
        return sorted((e for p in pods for e in self._logs.get((namespace_of(p), name_of(p)), ())), key=lambda e: e.at)

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """Return a workload by kind and name."""
        return next((w for w in self.workloads if (w.kind, w.namespace, w.name) == (kind, namespace, name)), None)

    def users(self, service: str) -> set[str]:
        """Return who calls a service, by traces and settings, else who mentions it."""
        return self.callers.get(service) or {s for s, named in self.mentions.items() if service in named}

    def meant(self, namespace: str, host: str) -> str:
        """Return the Service that a name that leads nowhere was most likely meant to be, or empty."""
        names = [name_of(s) for s in self.services if namespace_of(s) == namespace]
        close = difflib.get_close_matches(host.split(".")[0], names, n=1, cutoff=0.75)
        return close[0] if close else ""

    def behind(self, service: str, namespace: str = "") -> Workload | None:
        """Return the workload behind a Service, or one of that name."""
        among = [
            w for w in self.workloads if w.kind not in ("Job", "Pod") and (not namespace or w.namespace == namespace)
        ]
        for test in (
            lambda w: any(name_of(s) == service for s in w.services),
            lambda w: w.name == service,
        ):
            for w in among:
                if test(w):
                    return w
        return None

    def find_service(self, namespace: str, name: str) -> Json | None:
        """Return a Service."""
        return self.observation.find("Service", namespace, name)

    def series(self, namespace: str, service: str) -> ServiceSeries | None:
        """Return the request figures of a service, or None."""
        return next((s for s in self.observation.series if (s.namespace, s.service) == (namespace, service)), None)

    def edges_to(self, service: str, *, before: bool = False) -> list[CallEdge]:
        """Return calls to a service, in the window or in the baseline."""
        edges = self.observation.baseline_edges if before else self.observation.edges
        return [e for e in edges if e.callee == service]

    def changes(self, kind: str, namespace: str, name: str) -> list[Json]:
        """Return what people and tools wrote to an object after its creation, oldest first."""
        return [
            c
            for c in self.observation.of("Change", namespace)
            if c["kind"] == kind and c["name"] == name and not c["created"]
        ]

    def changed_at(self, kind: str, namespace: str, name: str) -> float:
        """Return when an object was last changed, 0.0 when never or unknown."""
        return max((c["time"] for c in self.changes(kind, namespace, name)), default=0.0)

    def since(self, namespace: str, service: str) -> float:
        """Return the first sign of trouble of a service, else the incident's onset."""
        starts = [
            a.since
            for a in self.case.detection.anomalies
            if (a.namespace, a.service) == (namespace, service) and a.since and a.severity != "info"
        ]
        return min(starts, default=self.onset)

    def coincides(self, at: float, onset: float | None = None) -> bool:
        """Whether a change at some moment may have caused what began at the onset."""
        start = self.onset if onset is None else onset
        if not at:
            return False
        if not start:
            return self.now - at < 2 * BEFORE
        return start - BEFORE <= at <= start + AFTER

    @cached_property
    def path(self) -> set[str]:
        """Names of the services that users feel and of all that those call, directly or not."""
        seen = {name for _, name in self.focus}
        todo = list(seen)
        while todo:
            service = todo.pop()
            for callee in self.callees.get(service, set()) | self.mentions.get(service, set()):
                if callee not in seen:
                    seen.add(callee)
                    todo.append(callee)
        return seen

    def on_path(self, service: str) -> bool:
        """Whether a service may be why users suffer; unknown counts as yes when nobody says who suffers."""
        return not self.focus or service in self.path

    def unwell(self, w: Workload) -> bool:
        """Whether a workload shows any sign of trouble of its own."""
        return w.down > 0 or (w.namespace, w.service) in self.troubled


def note(
    kind: EvidenceKind,
    text: str,
    obj: ObjectRef | Json | None = None,
    *,
    service: str = "",
    at: float = 0.0,
    **data: object,
) -> Evidence:
    """Write down one observation, redacted and short; ids are given when all hypotheses are ranked."""
    ref = ObjectRef.of(obj) if isinstance(obj, dict) else obj
    return Evidence(id="", kind=kind, summary=line(text, 300), object=ref, service=service, at=at, data=dict(data))


def event_note(event: Json, obj: Json, service: str = "") -> Evidence:
    """Cite an event."""
    text = f"{event.get('reason', '')}: {event_message(event)}"
    return note("event", text, obj, service=service, at=event_time(event))


def reference(kind: str, namespace: str, name: str) -> ObjectRef:
    """Name an object that was not read, or does not exist."""
    return ObjectRef(api_version=_API.get(kind, "v1"), kind=kind, name=name, namespace=namespace)


def live_pods(pods: list[Json]) -> list[Json]:
    """Return the pods that are not on their way out."""
    return [p for p in pods if not pod_finished(p) and not terminating(p)]


def steady(pods: list[Json]) -> list[Json]:
    """Return pods that are ready and whose containers all run."""
    return [p for p in pods if pod_ready(p) and all(c.running for c in containers_of(p) if not c.init)]


def not_ready_since(pod: Json) -> float:
    """Return when a pod stopped being ready (or was made)."""
    from stratus.kit.kube import moment

    return moment(condition(pod, "Ready").get("lastTransitionTime")) or created(pod)
