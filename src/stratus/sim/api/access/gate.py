"""Everything that stands between a decided write and the store: roles, Pod Security, webhooks."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.access import escalation, podsecurity
from stratus.sim.api.access.calling import call
from stratus.sim.api.access.rbac import Rbac
from stratus.sim.api.access.webhooks import MUTATING, VALIDATING, Question, Webhooks
from stratus.sim.api.bodies import decode_object
from stratus.sim.api.convert import inward, outward
from stratus.sim.api.messages import ADMIN, User
from stratus.sim.api.resources import Resource
from stratus.sim.schema.decode import Parsed
from stratus.sim.store import Store

Obj = dict[str, Any]
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_CSR = "certificatesigningrequests.certificates.k8s.io"
_WORKERS = {
    "ReplicaSet": "replicaset-controller",
    "StatefulSet": "statefulset-controller",
    "DaemonSet": "daemon-set-controller",
    "Job": "job-controller",
    "ReplicationController": "replication-controller",
}


def worker(pod: Obj) -> User:
    """Return the account of the controller that makes a pod."""
    kinds = [o["kind"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")]
    name = _WORKERS.get(kinds[0] if kinds else "", "replicaset-controller")
    groups = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
    return User(f"system:serviceaccount:kube-system:{name}", groups)


class Gate:
    """The admission of one server.

    Args:
        store: the objects.
        rbac: who holds what; used when `guarded`.
    """

    def __init__(self, store: Store, rbac: Rbac) -> None:
        self.store = store
        self.rbac = rbac
        self.webhooks = Webhooks(store, call)
        #: Who is asking now; set by the server for each request.
        self.user = ADMIN
        #: Whether rights are held against the user at all.
        self.guarded = False
        #: Everything is rehearsal (a fork): webhooks hear that it is a dry run.
        self.rehearsal = False

    def _question(
        self, resource: Resource, operation: str, obj: Obj | None, old: Obj | None, sub: str, dry_run: bool
    ) -> Question:
        meta = (obj or old or {})["metadata"]
        space = meta.get("name", "") if resource.stored == "namespaces" else meta.get("namespace", "")
        shown = outward(resource, obj) if obj is not None else None
        before = outward(resource, old) if old is not None else None
        return Question(
            resource, sub, operation, space, meta.get("name", ""), shown, before, dry_run or self.rehearsal, self.user
        )

    def mutate(
        self, resource: Resource, obj: Obj, old: Obj | None, sub: str, dry_run: bool, warnings: list[str]
    ) -> Obj:
        """Return an object (in storage form) as admission changes it.

        Raises:
            ApiError: a webhook refuses.
        """
        if old is None and resource.stored == "persistentvolumeclaims":
            obj = self._storage_class(obj)
        elif old is None and resource.stored == _CSR:
            obj = self._requested(obj)
        if not self.store.count(MUTATING):
            return obj
        ask = self._question(resource, "CREATE" if old is None else "UPDATE", obj, old, sub, dry_run)
        new = self.webhooks.mutate(ask, warnings)
        if new is None:
            return obj
        decoded = decode_object(resource, Parsed(new, {}, []), "Ignore", [])
        return {**inward(resource, decoded)}

    def validate(
        self, resource: Resource, obj: Obj | None, old: Obj | None, sub: str, dry_run: bool, warnings: list[str]
    ) -> None:
        """Judge a write that is otherwise in order; no object means that the old one goes.

        Raises:
            ApiError: it is refused.
        """
        if obj is not None and sub in ("", "ephemeralcontainers"):
            if self.guarded:
                escalation.check(self.rbac, self.store, self.user, resource, obj, old)
            podsecurity.check(self.store, resource.stored, obj, old, warnings)
        if self.store.count(VALIDATING):
            operation = "DELETE" if obj is None else "CREATE" if old is None else "UPDATE"
            self.webhooks.validate(self._question(resource, operation, obj, old, sub, dry_run), warnings)

    def connect(self, resource: Resource, namespace: str, name: str, sub: str, options: Obj) -> None:
        """Judge that somebody connects to an object (exec, attach, port-forward).

        Raises:
            ApiError: a webhook refuses.
        """
        if not self.store.count(MUTATING) and not self.store.count(VALIDATING):
            return
        ask = Question(resource, sub, "CONNECT", namespace, name, options, None, self.rehearsal, self.user)
        self.webhooks.mutate(ask, [])
        self.webhooks.validate(ask, [])

    def admit_pod(self, resource: Resource, pod: Obj) -> Obj:
        """Let the pod of a controller through as if the controller had sent it.

        Raises:
            ApiError: it is refused.
        """
        before, self.user = self.user, worker(pod)
        try:
            new = self.mutate(resource, pod, None, "", False, [])
            self.validate(resource, new, None, "", False, [])
            return new
        finally:
            self.user = before

    def _storage_class(self, claim: Obj) -> Obj:
        if claim["spec"].get("storageClassName") is not None or claim["spec"].get("volumeName"):
            return claim
        marked = [
            c
            for c in self.store.list("storageclasses.storage.k8s.io")
            if (c["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
        ]
        if not marked:
            return claim
        # The newest of several, the first by name among equals.
        newest = max(c["metadata"]["creationTimestamp"] for c in marked)
        name = next(c["metadata"]["name"] for c in marked if c["metadata"]["creationTimestamp"] == newest)
        return {**claim, "spec": {**claim["spec"], "storageClassName": name}}

    def _requested(self, csr: Obj) -> Obj:
        user = self.user
        spec = {k: v for k, v in csr["spec"].items() if k not in ("username", "uid", "groups", "extra")}
        spec["username"] = user.name
        spec["groups"] = list(user.groups)
        if user.uid:
            spec["uid"] = user.uid
        if user.extra:
            spec["extra"] = {k: list(v) for k, v in user.extra.items()}
        return {**csr, "spec": spec}
