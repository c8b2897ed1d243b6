"""Ports to read a Kubernetes cluster and to rehearse a write; writing is in `writer`, apart on purpose."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from stratus.model.actions import ApiWrite
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef


@runtime_checkable
class ClusterReader(Protocol):
    """Reading; holds no method that could change anything.

    All methods raise `ClusterUnreachable` when the API does not answer, `Forbidden` when the identity may not read.
    Objects are raw JSON as served (camelCase), with managedFields.
    """

    def identity(self) -> ClusterIdentity:
        """Say which cluster this is."""
        ...

    def resources(self) -> tuple[ApiResource, ...]:
        """Return API discovery: the preferred version of every resource (no subresources). Cached."""
        ...

    def resource(self, word: str) -> ApiResource:
        """Resolve `deploy`, `deployment`, `deployments.apps`, `Deployment`, `apps/v1/Deployment` ...

        Raises:
            UnknownNameError: when no resource answers to that word.
        """
        ...

    def get(self, ref: ObjectRef) -> Json | None:
        """Return the object, or None when it does not exist."""
        ...

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """Return all objects of a kind (each with its apiVersion and kind), paging as needed.

        `namespace=None` means all namespaces; `kind` is anything `resource()` resolves.
        """
        ...

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        previous: bool = False,
        tail_lines: int = 200,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> str:
        """Return a container's log; empty when there is none (not started, no previous run)."""
        ...

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        """Ask a SelfSubjectAccessReview; `resource` is `plural[.group]`."""
        ...


@runtime_checkable
class ClusterRehearser(Protocol):
    """Dry runs on the server: admission and validation happen, nothing is stored."""

    def dry_run(self, write: ApiWrite) -> Json:
        """Return the object that the write would give (the Status or object of a DELETE).

        Raises:
            ClusterError: as the real write would (Invalid, Forbidden, NotFound, Conflict ...).
        """
        ...


@runtime_checkable
class ClusterPrinter(Protocol):
    """What a server knows about showing its objects; a reader may have it besides. Reading only."""

    def table(
        self, kind: str, namespace: str | None = None, *, name: str = "", labels: str = "", fields: str = ""
    ) -> Json:
        """Return a `meta.k8s.io/v1` Table of objects with their metadata, as the server lays it out.

        Raises:
            NotFound: the named object does not exist.
        """
        ...

    def openapi(self, api_version: str) -> Json:
        """Return the OpenAPI v3 document of a group version; empty when the server has none."""
        ...

    def rules(self, namespace: str) -> Json:
        """Return what this identity may do in a namespace: the status of a SelfSubjectRulesReview."""
        ...

    def can_reach(self, verb: str, url: str) -> bool:
        """Ask whether this identity may use a path that is no resource, such as `/healthz`."""
        ...

    def part(self, ref: ObjectRef, subresource: str) -> Json | None:
        """Return a subresource of an object (`scale`, `status`), or None when there is none."""
        ...
