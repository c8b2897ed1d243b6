"""Everything that stands between a decided write and the store: roles, Pod Security, webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stratus.kit.clock import iso
from stratus.sim.api.access import escalation, noderestriction, podsecurity
from stratus.sim.api.access.calling import call
from stratus.sim.api.access.rbac import Rbac
from stratus.sim.api.access.webhooks import MUTATING, VALIDATING, Kind, Question, Webhooks
from stratus.sim.api.bodies import decode_object
from stratus.sim.api.convert import inward, outward
from stratus.sim.api.messages import ADMIN, User
from stratus.sim.api.resources import Resource
from stratus.sim.api.status import forbidden
from stratus.sim.schema.decode import Parsed
from stratus.sim.store import Store

Obj = dict[str, Any]
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
CSR = "certificatesigningrequests.certificates.k8s.io"
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
        self,
        resource: Resource,
        operation: str,
        obj: Obj | None,
        old: Obj | None,
        sub: str,
        dry_run: bool,
        kind: Kind | None = None,
    ) -> Question:
        meta = (obj or old or {})["metadata"]
        space = meta["name"] if resource.stored == "namespaces" else meta.get("namespace", "")
        shown = outward(resource, obj) if obj is not None else None
        before = outward(resource, old) if old is not None else None
        rehearsal = dry_run or self.rehearsal
        return Question(
            resource, sub, operation, space, meta.get("name", ""), shown, before, rehearsal, self.user, kind
        )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Stay who is asking, though others may be served while a webhook thinks."""
        before = self.user, self.guarded
        try:
            yield
        finally:
            self.user, self.guarded = before

    def mutate(
        self, resource: Resource, obj: Obj, old: Obj | None, sub: str, dry_run: bool, warnings: list[str]
    ) -> Obj:
        """Return an object (in storage form) as admission changes it.

        Raises:
            ApiError: a webhook refuses.
        """
        if old is None and resource.stored == "persistentvolumeclaims":
            obj = self._storage_class(obj)
        elif old is None and resource.stored == CSR:
            obj = self._requested(obj)
        elif resource.stored == CSR and old is not None and sub in ("approval", "status"):
            obj = self._dated(obj, old)
        if not self.store.count(MUTATING) or sub == "scale":
            return obj
        ask = self._question(resource, "CREATE" if old is None else "UPDATE", obj, old, sub, dry_run)
        with self._asking():
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
        if self.user.name.startswith(noderestriction.NODE):
            noderestriction.check(self.store, self.user, resource, obj, old, sub)
        if resource.stored == CSR and obj is not None:
            self._certificates(obj, old, sub)
        if self.store.count(VALIDATING) and sub != "scale":
            operation = "DELETE" if obj is None else "CREATE" if old is None else "UPDATE"
            with self._asking():
                self.webhooks.validate(self._question(resource, operation, obj, old, sub, dry_run), warnings)

    def connect(self, resource: Resource, namespace: str, name: str, sub: str, options: Obj) -> None:
        """Judge that somebody connects to an object (exec, attach, port-forward, proxy).

        Raises:
            ApiError: a webhook refuses.
        """
        kind = ("", options["apiVersion"], options["kind"])
        self.below(resource, "CONNECT", namespace, name, sub, kind, options, None, False, [])

    def below(
        self,
        resource: Resource,
        operation: str,
        namespace: str,
        name: str,
        sub: str,
        kind: Kind,
        obj: Obj,
        old: Obj | None,
        dry_run: bool,
        warnings: list[str],
    ) -> Obj:
        """Judge what is written under an object and is of a kind of its own (a Scale, an Eviction); return it changed.

        Raises:
            ApiError: it is refused.
        """
        if self.user.name.startswith(noderestriction.NODE):
            noderestriction.check_below(self.store, self.user, resource, namespace, name, sub, obj)
        if not self.store.count(MUTATING) and not self.store.count(VALIDATING):
            return obj
        rehearsal = dry_run or self.rehearsal
        ask = Question(resource, sub, operation, namespace, name, obj, old, rehearsal, self.user, kind)
        with self._asking():
            new = self.webhooks.mutate(ask, warnings)
            self.webhooks.validate(replace(ask, obj=new or obj), warnings)
        return new or obj

    def _certificates(self, csr: Obj, old: Obj | None, sub: str) -> None:
        """Hold a request for a certificate, its approval and its signing against what its signer demands.

        Raises:
            ApiError: 403.
        """
        name, signer = csr["metadata"]["name"], csr["spec"].get("signerName", "")
        if old is None:
            if signer == "kubernetes.io/kube-apiserver-client" and "system:masters" in _organisations(csr):
                text = f"use of {signer} signer with system:masters group is not allowed"
                raise forbidden("certificatesigningrequests", "certificates.k8s.io", name, text)
            return
        verb = {"approval": "approve", "status": "sign"}.get(sub)
        if verb is None or not self.guarded or (old.get("status") or {}) == (csr.get("status") or {}):
            return
        names = (signer, signer.partition("/")[0] + "/*")
        user = self.user
        if not any(self.rbac(user.name, user.groups, verb, "signers.certificates.k8s.io", "", n) for n in names):
            text = f'user not permitted to {verb} requests with signerName "{signer}"'
            raise forbidden("certificatesigningrequests", "certificates.k8s.io", name, text)

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

    def _dated(self, csr: Obj, old: Obj) -> Obj:
        """Give conditions that are new their moments."""
        now = iso(self.store.clock.now())
        before = {c["type"]: c for c in (old.get("status") or {}).get("conditions") or ()}
        conditions = []
        for given in (csr.get("status") or {}).get("conditions") or ():
            was = before.get(given["type"])
            condition = {**given, "status": given.get("status") or "True"}
            if not condition.get("lastUpdateTime"):
                condition["lastUpdateTime"] = now
            if not condition.get("lastTransitionTime"):
                same = was is not None and was.get("status") == condition["status"]
                condition["lastTransitionTime"] = was["lastTransitionTime"] if same and was is not None else now
            conditions.append(condition)
        return {**csr, "status": {**(csr.get("status") or {}), "conditions": conditions}} if conditions else csr


def _organisations(csr: Obj) -> list[str]:
    import base64

    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        request = x509.load_pem_x509_csr(base64.b64decode(csr["spec"].get("request") or ""))
    except ValueError:
        return []
    return [str(a.value) for a in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
