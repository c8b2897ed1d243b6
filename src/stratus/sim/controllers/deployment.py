"""Rolls Deployments forward: finds or creates the new ReplicaSet, moves replicas to it, and reports progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from stratus.kit.clock import parse_iso
from stratus.sim.controllers import deploymentstatus as report
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    begin_deletion,
    chooser,
    content_hash,
    controller_ref,
    key_of,
    matches,
    owner_reference,
    released,
    scaled,
    with_meta,
    with_spec,
    with_status,
)
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

PREFIX = "deployment.kubernetes.io/"
REVISION, DESIRED, MAXIMUM = PREFIX + "revision", PREFIX + "desired-replicas", PREFIX + "max-replicas"
HISTORY = PREFIX + "revision-history"
HASH = "pod-template-hash"
#: Annotations of a Deployment that its ReplicaSets do not get.
OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)


def limits(deployment: Obj) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) in pods; never both 0."""
    spec = deployment["spec"]
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    replicas = spec.get("replicas", 1)
    surge = scaled(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def revision_of(obj: Obj) -> int:
    """Return the revision an object is annotated with, 0 without one."""
    notes = obj["metadata"].get("annotations")
    text = notes.get(REVISION) if notes else None
    return int(text) if text and text.isdigit() else 0


def _age(rs: Obj) -> tuple[str, str]:
    return rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]


def _same_template(rs: Obj, deployment: Obj) -> bool:
    mine, wanted = rs["spec"]["template"], deployment["spec"]["template"]
    if mine.get("spec") != wanted.get("spec"):
        return False
    meta = dict(mine.get("metadata") or {})
    labels = {k: v for k, v in (meta.pop("labels", None) or {}).items() if k != HASH}
    other = dict(wanted.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    other.pop("creationTimestamp", None)
    return labels == (other.pop("labels", None) or {}) and meta == other


def _acknowledged(change: Change) -> bool:
    """Tell whether a ReplicaSet's controller has only noted that it has seen the spec, with the counts as they were."""
    before, after = change.previous, change.object
    if before is None or change.type != "MODIFIED" or before.get("spec") != after.get("spec"):
        return False
    old, new = dict(before.get("status") or {}), dict(after.get("status") or {})
    seen = old.pop("observedGeneration", None)
    new.pop("observedGeneration", None)
    if seen is None or old != new:
        return False
    return bool({**before["metadata"], "resourceVersion": ""} == {**after["metadata"], "resourceVersion": ""})


class DeploymentController(Controller):
    """Deployments and their ReplicaSets."""

    name: ClassVar[str] = "deployment"
    component: ClassVar[str] = "deployment-controller"
    resources: ClassVar[tuple[str, ...]] = ("deployments.apps", "replicasets.apps", "pods")

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self._as_of = -1
        self._compared: dict[str, tuple[Obj, Obj, bool]] = {}
        self._told: Obj | None = None
        self._limited: tuple[Obj, tuple[int, int]] | None = None

    def _limits(self, deployment: Obj) -> tuple[int, int]:
        """Return (maxSurge, maxUnavailable); worked out again only for another spec."""
        spec = deployment["spec"]
        if self._limited is None or self._limited[0] is not spec:
            self._limited = (spec, limits(deployment))
        return self._limited[1]

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Pods that are gone."""
        return change == "DELETED"

    def on_change(self, change: Change) -> None:
        """A Deployment, the Deployment of a ReplicaSet, or (for Recreate) of a pod that has gone."""
        namespace = change.object["metadata"].get("namespace", "")
        if change.resource == "deployments.apps":
            # Its own counts ask nothing of it, but for the last: a finished rollout is cleaned up after.
            if change.previous is None or change.previous is not self._told or self._done(change):
                self.enqueue(key_of(change.object))
        elif change.resource == "replicasets.apps":
            if change.type == "DELETED":
                self._compared.pop(change.object["metadata"]["uid"], None)
            owner = controller_ref(change.object)
            if owner is not None and owner["kind"] == "Deployment":
                # What it has just asked of a ReplicaSet is news to that one's controller only.
                if change.previous is None or (change.previous is not self._told and not _acknowledged(change)):
                    self.enqueue((namespace, owner["name"]))
            elif owner is None and change.type != "DELETED":
                labels = change.object["metadata"].get("labels")
                for candidate in self.store.list("deployments.apps", namespace):
                    if matches(candidate["spec"].get("selector"), labels):
                        self.enqueue(key_of(candidate))
        elif change.type == "DELETED":
            owner = controller_ref(change.object)
            rs = self.store.get("replicasets.apps", namespace, owner["name"]) if owner is not None else None
            top = controller_ref(rs) if rs is not None else None
            if top is not None:
                self.enqueue((namespace, top["name"]))

    @staticmethod
    def _done(change: Change) -> bool:
        return report.complete(change.object, change.object.get("status") or {})

    def sync(self, key: Key) -> None:
        """One pass over one Deployment."""
        deployment = self.store.get("deployments.apps", *key)
        if deployment is None:
            return
        # As long as the store stays at this version, what was read is what is there.
        self._as_of = self.store.rv
        sets = self._claim(deployment)
        if "deletionTimestamp" in deployment["metadata"]:
            self._status(deployment, sets, self._new_set(deployment, sets))
            return
        deployment = self._note_pause(deployment)
        if deployment["spec"].get("paused") or self._is_scaling(deployment, sets):
            new = self._existing(deployment, sets)
            deployment = self.store.get("deployments.apps", *key) or deployment
            sets = self._refresh(sets)
            new = self._refresh([new])[0] if new is not None else None
            self._scale(deployment, sets, new)
            sets = self._refresh(sets)
            new = self._refresh([new])[0] if new is not None else None
            if deployment["spec"].get("paused"):
                self._clean_up(deployment, sets, new)
            self._status(deployment, sets, new, progress=False)
            return
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            self._recreate(deployment, sets, key)
        else:
            self._roll(deployment, sets, key)

    # ReplicaSets

    def _claim(self, deployment: Obj) -> list[Obj]:
        uid, selector = deployment["metadata"]["uid"], deployment["spec"].get("selector")
        fits = chooser(selector)
        mine = []
        for resource, rs in self.store.owned_by(uid):
            if resource != "replicasets.apps":
                continue
            if fits(rs["metadata"].get("labels")):
                mine.append(rs)
            elif "deletionTimestamp" not in rs["metadata"]:
                others = [r for r in rs["metadata"]["ownerReferences"] if r["uid"] != uid]
                self.store.update(resource, with_meta(rs, ownerReferences=others or None))
        if "deletionTimestamp" in deployment["metadata"]:
            return mine
        free = self.store.without_controller("replicasets.apps", deployment["metadata"]["namespace"])
        held = {rs["metadata"]["name"] for rs in mine} if free else set()
        for rs in free:
            if (
                rs["metadata"]["name"] not in held
                and "deletionTimestamp" not in rs["metadata"]
                and matches(selector, rs["metadata"].get("labels"))
            ):
                refs = [*(rs["metadata"].get("ownerReferences") or ()), owner_reference(deployment)]
                mine.append(self.store.update("replicasets.apps", with_meta(rs, ownerReferences=refs)))
        return mine

    def _refresh(self, sets: list[Obj]) -> list[Obj]:
        if self.store.rv == self._as_of:
            return sets
        return self.store.present("replicasets.apps", sets)

    def _new_set(self, deployment: Obj, sets: list[Obj]) -> Obj | None:
        """Return the oldest ReplicaSet with the Deployment's template; none is compared that is as it was."""
        wanted = deployment["spec"]["template"]
        equal = []
        for rs in sets:
            mine, uid = rs["spec"]["template"], rs["metadata"]["uid"]
            known = self._compared.get(uid)
            if known is None or known[0] is not mine or known[1] is not wanted:
                known = self._compared[uid] = (mine, wanted, _same_template(rs, deployment))
            if known[2]:
                equal.append(rs)
        return min(equal, key=_age) if equal else None

    def _existing(self, deployment: Obj, sets: list[Obj]) -> Obj | None:
        """Return the new ReplicaSet if it is there, with its revision and the Deployment's brought up to date."""
        new = self._new_set(deployment, sets)
        if new is None:
            return None
        newest_old = max([revision_of(rs) for rs in sets if rs is not new], default=0)
        wanted = dict(new["metadata"].get("annotations") or {})
        for name, value in (deployment["metadata"].get("annotations") or {}).items():
            if name not in OWN_ANNOTATIONS:
                wanted[name] = value
        mine = revision_of(new)
        if mine < newest_old + 1:
            if mine:
                history = [h for h in wanted.get(HISTORY, "").split(",") if h]
                wanted[HISTORY] = ",".join([*history, str(mine)])
            wanted[REVISION] = str(newest_old + 1)
        min_ready = deployment["spec"].get("minReadySeconds", 0)
        if new["spec"].get("minReadySeconds", 0) != min_ready:
            new = self.store.update(
                "replicasets.apps", with_spec(with_meta(new, annotations=wanted), minReadySeconds=min_ready)
            )
        elif wanted != (new["metadata"].get("annotations") or {}):
            new = self.store.update("replicasets.apps", with_meta(new, annotations=wanted))
        fresh = self._with_revision(deployment, wanted[REVISION])
        if report.progressing(fresh) is None and report.has_deadline(fresh):
            message = f'Found new replica set "{new["metadata"]["name"]}"'
            fresh = report.set_condition(fresh, "Progressing", "True", "FoundNewReplicaSet", message, self.clock.now())
        if fresh is not deployment:
            self.store.update("deployments.apps", fresh)
        return new

    @staticmethod
    def _with_revision(deployment: Obj, revision: str) -> Obj:
        annotations = deployment["metadata"].get("annotations") or {}
        if annotations.get(REVISION) == revision:
            return deployment
        return released(
            with_meta(deployment, annotations={**annotations, REVISION: revision}), "metadata", "annotations", REVISION
        )

    def _create(self, deployment: Obj, sets: list[Obj]) -> Obj:
        spec = deployment["spec"]
        meta = deployment["metadata"]
        collisions = (deployment.get("status") or {}).get("collisionCount", 0)
        while True:
            digest = content_hash(spec["template"], collisions)
            name = f"{meta['name']}-{digest}"
            if self.store.get("replicasets.apps", meta["namespace"], name) is None:
                break
            collisions += 1
        template = dict(spec["template"])
        source = dict(template.get("metadata") or {})
        labels = {**(source.get("labels") or {}), HASH: digest}
        template["metadata"] = {**source, "labels": labels}
        selector = dict(spec.get("selector") or {})
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: digest}
        revision = str(max((revision_of(rs) for rs in sets), default=0) + 1)
        surge, _ = self._limits(deployment)
        replicas = spec.get("replicas", 1)
        annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in OWN_ANNOTATIONS} | {
            DESIRED: str(replicas),
            MAXIMUM: str(replicas + surge),
            REVISION: revision,
        }
        first = self._room(deployment, sets, 0)
        rs_spec: Obj = {"replicas": first}
        if spec.get("minReadySeconds"):
            rs_spec["minReadySeconds"] = spec["minReadySeconds"]
        rs_spec |= {"selector": selector, "template": template}
        new = self.store.create(
            "replicasets.apps",
            {
                "kind": "ReplicaSet",
                "apiVersion": "apps/v1",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "labels": labels,
                    "annotations": annotations,
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": rs_spec,
                "status": {"replicas": 0},
            },
        )
        if first > 0:
            text = f"Scaled up replica set {name} from 0 to {first}"
            self.event(deployment, "Normal", "ScalingReplicaSet", text)
        fresh = self._with_revision(deployment, revision)
        if collisions:
            fresh = with_status(fresh, {**(fresh.get("status") or {}), "collisionCount": collisions})
        if report.has_deadline(fresh):
            message = f'Created new replica set "{name}"'
            fresh = report.set_condition(
                fresh, "Progressing", "True", "NewReplicaSetCreated", message, self.clock.now()
            )
        self.store.update("deployments.apps", fresh)
        return new

    def _room(self, deployment: Obj, sets: list[Obj], current: int) -> int:
        """Return how many replicas the new ReplicaSet may have now."""
        replicas = deployment["spec"].get("replicas", 1)
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return int(replicas)
        surge, _ = self._limits(deployment)
        total = sum(rs["spec"].get("replicas", 0) for rs in sets)
        free = replicas + surge - total
        if free <= 0:
            return current
        return int(current + max(0, min(free, replicas - current)))

    def _set_replicas(self, deployment: Obj, rs: Obj, replicas: int) -> bool:
        surge, _ = self._limits(deployment)
        desired = deployment["spec"].get("replicas", 1)
        before = rs["spec"].get("replicas", 0)
        wanted = {
            **(rs["metadata"].get("annotations") or {}),
            DESIRED: str(desired),
            MAXIMUM: str(desired + surge),
        }
        changed = with_meta(with_spec(rs, replicas=replicas), annotations=wanted)
        if before != replicas:
            changed = released(changed, "spec", "replicas")
        self._told = self.store.get("replicasets.apps", *key_of(rs))
        self.store.update("replicasets.apps", changed)
        self._told = None
        if before == replicas:
            return False
        way = "up" if replicas > before else "down"
        name = rs["metadata"]["name"]
        self.event(
            deployment, "Normal", "ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {replicas}"
        )
        return True

    # the two strategies

    def _roll(self, deployment: Obj, sets: list[Obj], key: Key) -> None:
        new = self._existing(deployment, sets)
        deployment = self.store.get("deployments.apps", *key) or deployment
        if new is None:
            new = self._create(deployment, sets)
            sets = [*sets, new]
            deployment = self.store.get("deployments.apps", *key) or deployment
        sets = self._refresh(sets)
        new = self._refresh([new])[0]
        moved = self._grow(deployment, sets, new) or self._shrink(deployment, sets, new)
        sets = self._refresh(sets)
        new = self._refresh([new])[0]
        if not moved and report.complete(deployment, deployment.get("status") or {}):
            self._clean_up(deployment, sets, new)
            sets = self._refresh(sets)
        self._status(deployment, sets, new)

    def _grow(self, deployment: Obj, sets: list[Obj], new: Obj) -> bool:
        current, wanted = new["spec"].get("replicas", 0), deployment["spec"].get("replicas", 1)
        if current == wanted:
            return False
        goal = wanted if current > wanted else self._room(deployment, sets, current)
        return goal != current and self._set_replicas(deployment, new, goal)

    def _shrink(self, deployment: Obj, sets: list[Obj], new: Obj) -> bool:
        uid = new["metadata"]["uid"]
        old = [rs for rs in sets if rs["metadata"]["uid"] != uid]
        if not any(rs["spec"].get("replicas", 0) for rs in old):
            return False
        old.sort(key=_age)
        _, unavailable = self._limits(deployment)
        floor = deployment["spec"].get("replicas", 1) - unavailable
        total = sum(rs["spec"].get("replicas", 0) for rs in sets)
        starting = new["spec"].get("replicas", 0) - (new.get("status") or {}).get("availableReplicas", 0)
        allowed = total - floor - starting
        if allowed <= 0:
            return False
        gone = 0
        for rs in old:
            size = rs["spec"].get("replicas", 0)
            sick = size - (rs.get("status") or {}).get("availableReplicas", 0)
            count = min(allowed - gone, sick)
            if count > 0:
                self._set_replicas(deployment, rs, size - count)
                gone += count
        sets, old = self._refresh(sets), self._refresh(old)
        available = sum((rs.get("status") or {}).get("availableReplicas", 0) for rs in sets)
        spare = available - floor
        moved = gone
        for rs in old:
            size = rs["spec"].get("replicas", 0)
            count = min(size, spare)
            if spare > 0 and count > 0:
                self._set_replicas(deployment, rs, size - count)
                spare -= count
                moved += count
        return moved > 0

    def _recreate(self, deployment: Obj, sets: list[Obj], key: Key) -> None:
        new = self._existing(deployment, sets)
        deployment = self.store.get("deployments.apps", *key) or deployment
        sets = self._refresh(sets)
        old = [rs for rs in sets if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]
        shrunk = False
        for rs in sorted(old, key=_age):
            if rs["spec"].get("replicas", 0):
                shrunk = self._set_replicas(deployment, rs, 0) or shrunk
        if shrunk or any(self._has_pods(rs) for rs in old):
            sets = self._refresh(sets)
            self._status(deployment, sets, self._refresh([new])[0] if new is not None else None)
            return
        if new is None:
            new = self._create(deployment, sets)
            sets = [*sets, new]
            deployment = self.store.get("deployments.apps", *key) or deployment
        new = self._refresh([new])[0]
        wanted = deployment["spec"].get("replicas", 1)
        if new["spec"].get("replicas", 0) != wanted:
            self._set_replicas(deployment, new, wanted)
        elif report.complete(deployment, deployment.get("status") or {}):
            self._clean_up(deployment, sets, new)
        self._status(deployment, self._refresh(sets), self._refresh([new])[0])

    def _has_pods(self, rs: Obj) -> bool:
        return any(
            resource == "pods" and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            for resource, pod in self.store.owned_by(rs["metadata"]["uid"])
        )

    # scaling and cleaning up

    @staticmethod
    def _is_scaling(deployment: Obj, sets: list[Obj]) -> bool:
        wanted = deployment["spec"].get("replicas", 1)
        for rs in sets:
            if rs["spec"].get("replicas", 0) > 0:
                noted = (rs["metadata"].get("annotations") or {}).get(DESIRED)
                if noted is not None and noted != str(wanted):
                    return True
        return False

    def _scale(self, deployment: Obj, sets: list[Obj], new: Obj | None) -> None:
        wanted = deployment["spec"].get("replicas", 1)
        active = [rs for rs in sets if rs["spec"].get("replicas", 0) > 0]
        if len(active) <= 1:
            only = active[0] if active else (new or (max(sets, key=_age) if sets else None))
            if only is not None:
                self._set_replicas(deployment, only, wanted)
            return
        saturated = new is not None and (
            new["spec"].get("replicas", 0) == wanted
            and (new.get("status") or {}).get("availableReplicas", 0) == wanted
            and (new["metadata"].get("annotations") or {}).get(DESIRED) == str(wanted)
        )
        if saturated:
            for rs in active:
                if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]:
                    self._set_replicas(deployment, rs, 0)
            return
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return
        surge, _ = self._limits(deployment)
        allowed = wanted + surge if wanted > 0 else 0
        to_add = allowed - sum(rs["spec"].get("replicas", 0) for rs in active)
        active.sort(key=lambda rs: (-rs["spec"]["replicas"], _age(rs)))
        sizes: dict[str, int] = {}
        added = 0
        for rs in active:
            size = rs["spec"]["replicas"]
            change = self._proportion(rs, wanted, surge, to_add - added) if to_add else 0
            sizes[rs["metadata"]["name"]] = size + change
            added += change
        for position, rs in enumerate(active):
            size = sizes[rs["metadata"]["name"]]
            if position == 0 and to_add:
                size = max(0, size + to_add - added)
            self._set_replicas(deployment, rs, size)

    @staticmethod
    def _proportion(rs: Obj, wanted: int, surge: int, room: int) -> int:
        size = rs["spec"]["replicas"]
        if wanted == 0:
            share = -size
        else:
            noted = int((rs["metadata"].get("annotations") or {}).get(MAXIMUM, 0)) or 1
            share = int(size * (wanted + surge) / noted + 0.5) - size
        return int(min(share, room) if room > 0 else max(share, room))

    def _clean_up(self, deployment: Obj, sets: list[Obj], new: Obj | None) -> None:
        keep = deployment["spec"].get("revisionHistoryLimit", 10)
        old = [rs for rs in sets if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]
        old = [rs for rs in old if "deletionTimestamp" not in rs["metadata"]]
        for rs in sorted(old, key=lambda rs: (revision_of(rs), _age(rs)))[: max(0, len(old) - keep)]:
            if rs["spec"].get("replicas", 0) == 0 and (rs.get("status") or {}).get("replicas", 0) == 0:
                begin_deletion(self.store, "replicasets.apps", rs, self.clock.now())

    # status

    def _note_pause(self, deployment: Obj) -> Obj:
        if not report.has_deadline(deployment):
            return deployment
        found = report.progressing(deployment)
        if found is not None and found.get("reason") == "ProgressDeadlineExceeded":
            return deployment
        noted = found is not None and found.get("reason") == "DeploymentPaused"
        paused = bool(deployment["spec"].get("paused"))
        if paused == noted:
            return deployment
        reason, text = (
            ("DeploymentPaused", "Deployment is paused") if paused else ("DeploymentResumed", "Deployment is resumed")
        )
        changed = report.set_condition(deployment, "Progressing", "Unknown", reason, text, self.clock.now())
        return self.store.update("deployments.apps", changed)

    def _status(self, deployment: Obj, sets: list[Obj], new: Obj | None, *, progress: bool = True) -> None:
        now = self.clock.now()
        current = self.store.get("deployments.apps", *key_of(deployment))
        if current is None:
            return
        status: dict[str, Any] = report.calculate(current, sets, new, self._limits(current)[1], now)
        if progress:
            status = report.judge(current, status, sets, new, now)
        if status != (current.get("status") or {}):
            self._told = current
            current = self.store.update("deployments.apps", with_status(current, status))
            self._told = None
        found = report.progressing(current)
        if (
            found is not None
            and report.has_deadline(current)
            and found.get("reason") not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused")
            and not report.complete(current, status)
        ):
            due = parse_iso(found["lastUpdateTime"]) + current["spec"].get("progressDeadlineSeconds", 600) + 1.0
            self.wake(key_of(current), max(due, now), "deadline")
