"""Lets chaos objects act: picks the pods once, injects, writes it down in the status, and recovers when they end."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any, ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.apps.chaos.selection import (
    GROUP,
    KINDS,
    NOT_COVERED,
    RESOURCES,
    SCHEDULES,
    UNREADABLE,
    duration,
    selected,
)
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, with_meta, with_status
from stratus.sim.controllers.cronjob import Schedule
from stratus.sim.store import Change, Obj

FINALIZER = "chaos-mesh/records"
PAUSED = "experiment.chaos-mesh.org/pause"
PAUSE_IMAGE = "registry.k8s.io/pause:3.9"
_IMAGES = "chaos-mesh.org/images."
#: Actions of PodChaos that happen once.
_ONCE = frozenset({"pod-kill", "container-kill"})
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class ChaosController(Controller):
    """Reconciles every kind of chaos object, and Schedules of them. What it knows is in the objects' status."""

    name: ClassVar[str] = "chaos-mesh"
    component: ClassVar[str] = "chaos-controller-manager"
    resources: ClassVar[tuple[str, ...]] = (*RESOURCES, SCHEDULES)

    def on_change(self, change: Change) -> None:
        """Mark an object; its kind goes into the key."""
        meta = change.object["metadata"]
        self.enqueue((f"{change.resource}/{meta.get('namespace', '')}", meta["name"]))

    def sync(self, key: Key) -> None:
        """Bring one object nearer to what it should do now."""
        resource, _, namespace = key[0].partition("/")
        obj = self.store.get(resource, namespace, key[1])
        if obj is None:
            return
        if resource == SCHEDULES:
            self._schedule(obj, key)
        else:
            self._chaos(resource, obj, key)

    # chaos

    def _chaos(self, resource: str, obj: Obj, key: Key) -> None:
        meta = obj["metadata"]
        experiment = (obj.get("status") or {}).get("experiment") or {}
        if "deletionTimestamp" in meta:
            self._finish(resource, obj, experiment)
            return
        if FINALIZER not in (meta.get("finalizers") or ()):
            self.event(obj, "Normal", "FinalizerInited", "Finalizer has been inited")
            obj = self.store.update(resource, with_meta(obj, finalizers=[*(meta.get("finalizers") or ()), FINALIZER]))
        if not experiment.get("containerRecords") and not (obj.get("status") or {}).get("conditions"):
            self._begin(resource, obj, key)
            return
        paused = (meta.get("annotations") or {}).get(PAUSED) == "true"
        over = self._ends(obj)
        stop = paused or (over is not None and self.clock.now() >= over - 1e-9)
        running = experiment.get("desiredPhase") == "Run"
        if stop and running:
            text = (
                ("Paused", "Experiment has been paused") if paused else ("TimeUp", "Time up according to the duration")
            )
            self.event(obj, "Normal", *text)
            self._recover(resource, obj, "Stop", paused=paused)
        elif not stop and not running:
            self._inject(resource, obj, list(experiment.get("containerRecords") or ()))

    def _ends(self, obj: Obj) -> float | None:
        """Return when an object stops acting by itself, None when only its deletion ends it."""
        spec = obj.get("spec") or {}
        if not spec.get("duration") or (obj["kind"] == "PodChaos" and spec.get("action") in _ONCE):
            return None
        return parse_iso(obj["metadata"]["creationTimestamp"]) + duration(spec["duration"])

    def _begin(self, resource: str, obj: Obj, key: Key) -> None:
        spec = obj.get("spec") or {}
        text = "no pod is selected"
        pods: list[Obj] = []
        records: list[Obj] = []
        try:
            pods = selected(self.store, obj, spec)
            records = [r for pod in pods for r in self._records(obj, pod, ".")]
            # (HTTPChaos has a `target` as well, but there it is a word.)
            if isinstance(spec.get("target"), dict):
                others = selected(self.store, obj, spec["target"])
                records += [r for pod in others for r in self._records(obj, pod, ".Target")]
        except UNREADABLE as error:
            pods, text = [], f"the spec cannot be read ({error})"
        if not pods:
            self.event(obj, "Warning", "Failed", f"Failed to select targets: {text}")
            self._note(resource, obj, [], "Run", selected_=False, injected=False)
            return
        if obj["kind"] in NOT_COVERED:
            self.event(
                obj, "Warning", "Failed", f"Failed to apply chaos: {obj['kind']} needs a kernel: not covered here"
            )
            self._note(resource, obj, records, "Run", selected_=True, injected=False)
            return
        self.event(obj, "Normal", "Started", "Experiment has started")
        over = self._ends(obj)
        if over is not None:
            self.wake(key, max(over, self.clock.now()), "over")
        self._inject(resource, obj, records)

    @staticmethod
    def _records(obj: Obj, pod: Obj, selector: str) -> list[Obj]:
        place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        names = (obj.get("spec") or {}).get("containerNames") or ()
        places = [f"{place}/{name}" for name in names] or [place]
        return [{"id": p, "selectorKey": selector, "phase": "Not Injected"} for p in places]

    def _inject(self, resource: str, obj: Obj, records: list[Obj]) -> None:
        now = iso(self.clock.now())
        done = []
        for record in records:
            event = {"operation": "Apply", "timestamp": now, "type": "Succeeded"}
            count = int(record.get("injectedCount", 0)) + 1
            done.append({**record, "phase": "Injected", "injectedCount": count, "events": [event]})
            self.event(obj, "Normal", "Applied", f"Successfully apply chaos for {record['id']}")
        self._note(resource, obj, done, "Run", selected_=True, injected=True)
        if obj["kind"] == "PodChaos":
            self._pods(obj, done, begin=True)

    def _recover(self, resource: str, obj: Obj, phase: str, *, paused: bool = False) -> Obj:
        records = []
        for record in ((obj.get("status") or {}).get("experiment") or {}).get("containerRecords") or ():
            if record.get("phase") == "Injected":
                self.event(obj, "Normal", "Recovered", f"Successfully recover chaos for {record['id']}")
                count = int(record.get("recoveredCount", 0)) + 1
                record = {**record, "phase": "Not Injected", "recoveredCount": count}
            records.append(record)
        before = ((obj.get("status") or {}).get("experiment") or {}).get("containerRecords") or []
        obj = self._note(resource, obj, records, phase, selected_=True, injected=False, recovered=True, paused=paused)
        if obj["kind"] == "PodChaos":
            self._pods(obj, [r for r in before if r.get("phase") == "Injected"], begin=False)
        return obj

    def _finish(self, resource: str, obj: Obj, experiment: Obj) -> None:
        if experiment.get("desiredPhase") == "Run":
            obj = self._recover(resource, obj, "Stop")
        left = [f for f in obj["metadata"].get("finalizers") or () if f != FINALIZER]
        if len(left) < len(obj["metadata"].get("finalizers") or ()):
            self.store.update(resource, with_meta(obj, finalizers=left or None))

    def _note(
        self,
        resource: str,
        obj: Obj,
        records: list[Obj],
        phase: str,
        *,
        selected_: bool,
        injected: bool,
        recovered: bool = False,
        paused: bool = False,
    ) -> Obj:
        states = {"Selected": selected_, "AllInjected": injected, "AllRecovered": recovered, "Paused": paused}
        conditions = [{"type": t, "status": "True" if on else "False"} for t, on in states.items()]
        status: dict[str, Any] = {
            "conditions": conditions,
            "experiment": {"containerRecords": records, "desiredPhase": phase},
        }
        return self.store.update(resource, with_status(obj, status))

    # PodChaos

    def _pods(self, obj: Obj, records: list[Obj], *, begin: bool) -> None:
        action = (obj.get("spec") or {}).get("action")
        for record in records:
            space, name, *container = str(record["id"]).split("/")
            pod = self.store.get("pods", space, name)
            if pod is None:
                continue
            if action == "pod-kill" and begin:
                grace = int((obj.get("spec") or {}).get("gracePeriod") or 0)
                begin_deletion(self.store, "pods", pod, self.clock.now(), grace=grace)
            elif action == "container-kill" and begin:
                for entry in container or [c["name"] for c in pod["spec"]["containers"]]:
                    self.control.kubelet.restart_container((space, name), entry, reason="Error", exit_code=137)
            elif action == "pod-failure":
                self._swap(pod, begin=begin)

    def _swap(self, pod: Obj, *, begin: bool) -> None:
        """Let all containers of a pod run an image that does nothing, or their own again."""
        meta = pod["metadata"]
        kept = {k: v for k, v in (meta.get("annotations") or {}).items() if not k.startswith(_IMAGES)}
        if begin:
            kept |= {f"{_IMAGES}{c['name']}": c["image"] for c in pod["spec"]["containers"]}
        own = meta.get("annotations") or {}
        containers = [
            {**c, "image": PAUSE_IMAGE if begin else own.get(f"{_IMAGES}{c['name']}", c["image"])}
            for c in pod["spec"]["containers"]
        ]
        changed = with_meta(pod, annotations=kept or None)
        self.store.update("pods", {**changed, "spec": {**pod["spec"], "containers": containers}})
        key = (meta["namespace"], meta["name"])
        for entry in containers:
            instance = self.control.kubelet.instance(key, entry["name"])
            if instance is not None:
                self.control.kubelet.restart_container(key, entry["name"], reason="Completed", exit_code=0)

    # Schedules

    def _schedule(self, obj: Obj, key: Key) -> None:
        if "deletionTimestamp" in obj["metadata"]:
            return
        last = ((obj.get("status") or {}).get("time")) or obj["metadata"]["creationTimestamp"]
        moment = self._next(str((obj.get("spec") or {}).get("schedule", "")), parse_iso(last))
        if moment is None:
            if not (obj.get("status") or {}).get("failed"):
                self.event(obj, "Warning", "Failed", "Failed to parse the schedule")
                self.store.update(SCHEDULES, with_status(obj, {"failed": True}))
            return
        if (obj["metadata"].get("annotations") or {}).get(PAUSED) == "true":
            return
        if self.clock.now() < moment - 1e-9:
            self.wake(key, moment, "due")
            return
        self._spawn(obj)

    @staticmethod
    def _next(text: str, after: float) -> float | None:
        if text.startswith("@every"):
            every = duration(text.removeprefix("@every").strip())
            return after + every if every > 0 else None
        try:
            found = Schedule(text).after(datetime.fromtimestamp(after, UTC))
        except ValueError:
            return None
        return found.timestamp() if found is not None else None

    def _spawn(self, obj: Obj) -> None:
        """Create the next object of a schedule, unless the last one still acts and that is forbidden."""
        spec, meta = obj.get("spec") or {}, obj["metadata"]
        kind = str(spec.get("type", ""))
        plural, field = KINDS.get(kind, ("", ""))
        now = self.clock.now()
        body = spec.get(field) if field else None
        mine = {"time": iso(now), "active": []}
        if body is None:
            self.event(obj, "Warning", "Failed", f"Failed to create a new object: no {kind or 'type'} in the spec")
            self.store.update(SCHEDULES, with_status(obj, mine))
            return
        resource = f"{plural}.{GROUP}"
        children = [c for c in self.store.list(resource, meta.get("namespace", "")) if self._owns(obj, c)]
        active = [c for c in children if self._active(c)]
        if active and spec.get("concurrencyPolicy", "Forbid") == "Forbid":
            self.event(
                obj,
                "Warning",
                "Forbid",
                f"Forbid spawning new job because: {active[0]['metadata']['name']} is still running",
            )
            self.store.update(SCHEDULES, with_status(obj, mine))
            return
        name = f"{meta['name']}-{_suffix(meta.get('uid', ''), now)}"
        owner = {
            "apiVersion": f"{GROUP}/v1alpha1", "kind": "Schedule", "name": meta["name"], "uid": meta["uid"],
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        child: Obj = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": meta.get("namespace", ""),
                "labels": {"managed-by": meta["name"]},
                "ownerReferences": [owner],
            },
            "spec": body,
        }
        self.store.create(resource, child)
        self.event(obj, "Normal", "Spawned", f"Create new object: {name}")
        self.store.update(SCHEDULES, with_status(obj, mine))
        spare = [c for c in children if not self._active(c)]
        spare.sort(key=lambda c: (c["metadata"]["creationTimestamp"], c["metadata"]["name"]))
        for old in spare[: max(len(spare) + 1 - int(spec.get("historyLimit") or 1), 0)]:
            begin_deletion(self.store, resource, old, now)

    @staticmethod
    def _owns(obj: Obj, child: Obj) -> bool:
        return any(r.get("uid") == obj["metadata"]["uid"] for r in child["metadata"].get("ownerReferences") or ())

    def _active(self, child: Obj) -> bool:
        over = self._ends(child)
        if over is None:
            return bool(child["kind"] != "PodChaos" or (child.get("spec") or {}).get("action") not in _ONCE)
        return self.clock.now() < over - 1e-9


def _suffix(uid: str, now: float) -> str:
    number = zlib.crc32(f"{uid}/{now}".encode())
    text = ""
    for _ in range(5):
        number, place = divmod(number, len(_LETTERS))
        text += _LETTERS[place]
    return text
