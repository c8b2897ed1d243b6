"""Names of Kubernetes objects."""

from __future__ import annotations

from typing import Self

from stratus.model.base import Json, Noun

BUILT_IN_GROUPS = frozenset(
    (
        "", "apps", "autoscaling", "batch", "policy", "admissionregistration.k8s.io", "apiextensions.k8s.io",
        "apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io",
        "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io",
        "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
    )
)  # fmt: skip
"""API groups that every API server serves by itself; kinds of all others are custom resources."""


class ObjectRef(Noun):
    """Which object is meant; written `namespace/Kind/name` (`/Kind/name` when cluster-scoped)."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity without version and uid: (type, namespace, name)."""
        return (self.type_name, self.namespace, self.name)

    @property
    def group(self) -> str:
        """API group; empty for core."""
        return self.api_version.rpartition("/")[0]

    @property
    def custom(self) -> bool:
        """Whether the kind is of none of the built-in API groups, whatever it is called."""
        return self.group not in BUILT_IN_GROUPS

    @property
    def type_name(self) -> str:
        """`Deployment`, and `Certificate.cert-manager.io` for a custom resource."""
        return f"{self.kind}.{self.group}" if self.custom else self.kind

    @classmethod
    def of(cls, obj: Json, *, kind: str = "", api_version: str = "") -> Self:
        """Name an object as served; list items may lack kind and apiVersion, then the arguments stand in."""
        meta = obj.get("metadata", {})
        return cls(
            api_version=obj.get("apiVersion") or api_version,
            kind=obj.get("kind") or kind,
            name=meta.get("name", ""),
            namespace=meta.get("namespace", "") or "",
            uid=meta.get("uid", "") or "",
        )


class ApiResource(Noun):
    """One row of API discovery."""

    api_version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """API group; empty for core."""
        return self.api_version.rpartition("/")[0]

    @property
    def full_name(self) -> str:
        """`deployments.apps`, or `pods` in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Build the request path below the server's address."""
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)


class ClusterIdentity(Noun):
    """Which cluster this is, for journals and reports."""

    server: str
    uid: str = ""
    """uid of the kube-system Namespace: the cluster's own identity, the same whatever its address."""
    version: str = ""
    embedded: bool = False


class Scope(Noun):
    """What an incident may look at and touch."""

    namespaces: tuple[str, ...]
    services: tuple[str, ...] = ()
    """Services named by the alerts; empty: all of the namespaces."""
