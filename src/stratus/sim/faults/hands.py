"""What mechanisms work with: the API as an operator would use it, and the inside of the emulation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stratus.errors import UsageError
from stratus.kit.clock import Timer
from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.faults import steps as s
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.api.resources import Resource
    from stratus.sim.cluster import EmbeddedCluster

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
#: The group of kinds that a step may name without saying where they live, when several groups serve such a kind.
_HOMES = {"Event": "", "HorizontalPodAutoscaler": "autoscaling", "NetworkPolicy": "networking.k8s.io"}


@dataclass(slots=True)
class Before:
    """One change, and all that taking it back needs.

    Attributes:
        what: object, created, deleted, store, surge, image, kubelet, field, pods or exec.
        place: what was changed: (kind, namespace, name), or whatever names a piece of state.
        was: how it was; `after`: how the change left it.
        step: number of the step that made it.
    """

    what: str
    place: tuple[str, ...]
    was: Any = None
    after: Any = None
    step: int = field(default=0)


class Hands:
    """What mechanisms may touch: the API as an operator would, and the application's inner state."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster

    def now(self) -> float:
        """Return the cluster's present."""
        return self.cluster.clock.now()

    def call_at(self, at: float, fn: Callable[[], None]) -> Timer:
        """Run something later."""
        return self.cluster.clock.call_at(at, fn)

    def settle(self) -> None:
        """Let the controllers come to rest, and everything be looked at anew."""
        self.cluster.runtime.version += 1
        self.cluster.control.drain()

    def space(self, step: s.Step) -> str:
        """Return the namespace a step works in."""
        return step.namespace or self.cluster.namespace

    def resource(self, kind: str, group: str | None = None) -> Resource:
        """Return where objects of a kind are served.

        Raises:
            UsageError: they are not.
        """
        groups = self.cluster.api.registry.groups()
        wanted = [group] if group is not None else [_HOMES[kind]] if kind in _HOMES else list(groups)
        for name in wanted:
            for version in groups.get(name, ()):
                found = self.cluster.api.registry.of_kind(name, version.version, kind)
                if found is not None:
                    return found
        raise UsageError(f"the cluster serves no kind {kind}")

    def find(self, kind: str, namespace: str, name: str) -> Obj | None:
        """Return a stored object."""
        resource = self.resource(kind)
        return self.cluster.store.get(resource.stored, namespace if resource.namespaced else "", name)

    def path(self, resource: Resource, namespace: str, name: str = "") -> str:
        """Return the request path of an object."""
        root = f"/apis/{resource.group_version}" if resource.group else "/api/v1"
        middle = f"/namespaces/{namespace}" if resource.namespaced else ""
        return f"{root}{middle}/{resource.name}{'/' + name if name else ''}"

    def send(self, method: str, path: str, body: Any = None, media: str = "application/json") -> Obj:
        """Make a request as an operator with kubectl.

        Raises:
            UsageError: the API refuses; the message is the server's.
        """
        data = b"" if body is None else json.dumps(body).encode()
        manager = "kubectl-create" if method == "POST" else "kubectl-edit"
        target = path if method == "DELETE" else f"{path}?fieldManager={manager}"
        request = Request(method, target, {"content-type": media, "user-agent": "kubectl"}, data)
        answer = ApiServer.handle(self.cluster.api, request)
        if not isinstance(answer, Response) or answer.status >= 300:
            text = (answer.obj or {}).get("message", answer.status) if isinstance(answer, Response) else "a stream"
            raise UsageError(f"{method} {path}: {text}")
        obj: Obj = answer.obj or {}
        return obj

    def patch(self, kind: str, namespace: str, name: str, patch: Obj, media: str = MERGE) -> Before:
        """Patch an object and return how it was."""
        resource = self.resource(kind)
        was = self.find(kind, namespace, name)
        if was is None:
            raise UsageError(f"there is no {kind} {name} in {namespace}")
        after = self.send("PATCH", self.path(resource, namespace, name), patch, media)
        return Before("object", (kind, namespace, name), was, after)

    def create(self, obj: Obj, namespace: str) -> Before:
        """Create an object, in a namespace unless it names one."""
        group = obj["apiVersion"].rpartition("/")[0]
        resource = self.resource(obj["kind"], group)
        meta = {**obj["metadata"]}
        if resource.namespaced:
            namespace = meta.setdefault("namespace", namespace)
        made = self.send("POST", self.path(resource, namespace), {**obj, "metadata": meta})
        place = (obj["kind"], group, namespace if resource.namespaced else "", made["metadata"]["name"])
        return Before("created", place, None, made["metadata"].get("uid"))
