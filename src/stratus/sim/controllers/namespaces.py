"""Gives each namespace its default ServiceAccount and root certificate, and empties the ones being deleted."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, with_status
from stratus.sim.store import Change, Obj

ROOT_CA = "kube-root-ca.crt"
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
    resources: ClassVar[tuple[str, ...]] = ("*",)

    def on_change(self, change: Change) -> None:
        """A namespace, its standard objects, or anything leaving a namespace that is being emptied."""
        meta = change.object["metadata"]
        if change.resource == "namespaces":
            self.enqueue(("", meta["name"]))
            return
        namespace = meta.get("namespace")
        if namespace and (
            namespace in self.state
            or (
                (change.type != "ADDED" and change.resource in ("configmaps", "serviceaccounts"))
                and meta["name"] in (ROOT_CA, "default")
            )
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
        self.state[name] = True
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            status = {**(namespace.get("status") or {}), "phase": "Terminating"}
            namespace = self.store.update("namespaces", with_status(namespace, status))
        left = False
        for resource in self.store.resources():
            for obj in self.store.list(resource, name):
                if resource == "events":
                    self.store.delete(resource, name, obj["metadata"]["name"])
                    continue
                if "deletionTimestamp" not in obj["metadata"]:
                    begin_deletion(self.store, resource, obj, self.clock.now())
                if self.store.get(resource, name, obj["metadata"]["name"]) is not None:
                    left = True
        if left:
            return
        self.state.pop(name, None)
        spec = {k: v for k, v in (namespace.get("spec") or {}).items() if k != "finalizers"}
        gone = self.store.update("namespaces", {**namespace, "spec": spec})
        if self.store.get("namespaces", "", name) is gone and not gone["metadata"].get("finalizers"):
            self.store.delete("namespaces", "", name)
