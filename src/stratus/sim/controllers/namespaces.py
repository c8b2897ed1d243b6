"""Gives each namespace its default ServiceAccount and root certificate, and empties the ones being deleted."""

from __future__ import annotations

from typing import ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import with_status
from stratus.sim.controllers.emptying import empty, merged, undiscovered
from stratus.sim.store import Change, Obj

ROOT_CA = "kube-root-ca.crt"
#: Seconds from a namespace's deletion to the first pass over its contents, and to the next after one that failed.
GRACE, AGAIN = 5.0, 0.9
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nRU1VTEFURUQ=\n-----END CERTIFICATE-----\n"


class NamespaceController(Controller):
    """Namespaces; keys are ("", name)."""

    name: ClassVar[str] = "namespace"
    component: ClassVar[str] = "namespace-controller"
    resources: ClassVar[tuple[str, ...]] = ("namespaces", "configmaps", "serviceaccounts")

    def on_change(self, change: Change) -> None:
        """A namespace, or one of its standard objects."""
        meta = change.object["metadata"]
        if change.resource == "namespaces":
            self.enqueue(("", meta["name"]))
            return
        namespace = meta.get("namespace")
        if (
            namespace
            and (change.type != "ADDED" and change.resource in ("configmaps", "serviceaccounts"))
            and meta["name"] in (ROOT_CA, "default")
        ):
            self.enqueue(("", namespace))

    def sync(self, key: Key) -> None:
        """Furnish or empty one namespace."""
        namespace = self.store.get("namespaces", "", key[1])
        if namespace is None:
            self.state.pop(key[1], None)
            return
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty(namespace, key[1])
            return
        if (namespace.get("status") or {}).get("phase") != "Active":
            namespace = self.store.update("namespaces", with_status(namespace, {"phase": "Active"}))
        account = self.store.get("serviceaccounts", key[1], "default")
        if account is None:
            body: Obj = {
                "kind": "ServiceAccount",
                "apiVersion": "v1",
                "metadata": {"name": "default", "namespace": key[1]},
            }
            self.store.create("serviceaccounts", body)
        root = self.store.get("configmaps", key[1], ROOT_CA)
        if root is None:
            self.store.create(
                "configmaps",
                {
                    "kind": "ConfigMap",
                    "apiVersion": "v1",
                    "metadata": {
                        "name": ROOT_CA,
                        "namespace": key[1],
                        "annotations": {"kubernetes.io/description": DESCRIPTION},
                    },
                    "data": {"ca.crt": CERTIFICATE},
                },
            )
        elif root.get("data") != {"ca.crt": CERTIFICATE}:
            self.store.update("configmaps", {**root, "data": {"ca.crt": CERTIFICATE}})

    def _empty(self, namespace: Obj, name: str) -> None:
        status = namespace.get("status") or {}
        if status.get("phase") != "Terminating":
            status = {**status, "phase": "Terminating"}
            namespace = self.store.update("namespaces", with_status(namespace, status))
        now, begun = self.clock.now(), parse_iso(namespace["metadata"]["deletionTimestamp"])
        due = self.state.get(name)
        if due is None:
            due = self.state[name] = now + GRACE
        if now < due - 1e-6:
            self.wake(("", name), due, "empty")
            return
        if not (namespace.get("spec") or {}).get("finalizers"):
            self._finalize(namespace, name)
            return
        missing = undiscovered(self.store)
        found = empty(self.store, name, now, begun, self._versions())
        current = self.store.get("namespaces", "", name)
        if current is None:
            return
        conditions = merged(status, found.conditions(missing), iso(now))
        current = self.store.update("namespaces", with_status(current, {**status, "conditions": conditions}))
        if found.done and not missing:
            self._finalize(current, name)
            return
        wait = found.estimate / 2 + 1.0 if found.estimate and not found.failed and not missing else AGAIN
        self.state[name] = now + wait
        self.wake(("", name), now + wait, "empty")

    def _finalize(self, namespace: Obj, name: str) -> None:
        """Nothing is left: take this controller's finalizer off."""
        spec = dict(namespace.get("spec") or {})
        rest = [f for f in spec.pop("finalizers", None) or () if f != "kubernetes"]
        if rest:
            spec["finalizers"] = rest
        gone = namespace
        if spec != (namespace.get("spec") or {}):
            gone = self.store.update("namespaces", {**namespace, "spec": spec})
        if not rest and not gone["metadata"].get("finalizers"):
            self.state.pop(name, None)
            if self.store.get("namespaces", "", name) is not None:
                self.store.delete("namespaces", "", name)
            return
        # Somebody else's finalizer holds it; the next change of the namespace is looked at.
        self.state[name] = self.clock.now()

    def _versions(self) -> dict[str, str]:
        return {
            crd["metadata"]["name"]: next((v["name"] for v in crd["spec"]["versions"] if v.get("storage")), "v1")
            for crd in self.store.list("customresourcedefinitions.apiextensions.k8s.io")
        }
