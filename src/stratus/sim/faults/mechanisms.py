"""How each kind of step changes the cluster, and how a change is taken back."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from stratus.errors import UsageError
from stratus.kit.clock import iso
from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.faults import schema as s
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.api.resources import Resource
    from stratus.sim.cluster import EmbeddedCluster

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
#: Kinds a step may name, and where they live.
_HOMES = {
    "Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "ReplicaSet": "apps", "Job": "batch",
    "NetworkPolicy": "networking.k8s.io", "Ingress": "networking.k8s.io", "NetworkChaos": "chaos-mesh.org",
    "HorizontalPodAutoscaler": "autoscaling", "PodDisruptionBudget": "policy", "StorageClass": "storage.k8s.io",
}  # fmt: skip
_CRD: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "networkchaos.chaos-mesh.org"},
    "spec": {
        "group": "chaos-mesh.org",
        "scope": "Namespaced",
        "names": {"kind": "NetworkChaos", "listKind": "NetworkChaosList", "plural": "networkchaos"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}
_OWN = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields")


@dataclass(slots=True)
class Before:
    """What a change replaced: an object as it was (None: it was not there), or a piece of application state."""

    what: str
    place: tuple[str, ...]
    was: Any


class Hands:
    """What mechanisms may touch: the API as an operator would, and the application's inner state."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster

    def now(self) -> float:
        """Return the cluster's present."""
        return self.cluster.clock.now()

    def call_at(self, at: float, fn: Callable[[], None]) -> None:
        """Run something later."""
        self.cluster.clock.call_at(at, fn)

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
        wanted = _HOMES.get(kind, "") if group is None else group
        for version in self.cluster.api.registry.groups().get(wanted, ()):
            found = self.cluster.api.registry.of_kind(wanted, version.version, kind)
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
        self.send("PATCH", self.path(resource, namespace, name), patch, media)
        return Before("object", (kind, namespace, name), was)


def named(hands: Hands, step: s.AnyStep) -> str:
    """Say what a step is about that is not there; empty when all is."""
    space = hands.space(step)
    kind, name = "", ""
    if isinstance(step, s.OnWorkload):
        kind, name = step.kind, step.name
    elif isinstance(step, s.SetSelector | s.SetTargetPort):
        kind, name = "Service", step.service
    elif isinstance(step, s.SetKey):
        kind, name = "ConfigMap", step.config_map
    elif isinstance(step, s.Delete | s.Patch | s.TellEvent):
        kind, name = step.kind, step.name
    elif isinstance(step, s.StopKubelet):
        kind, name = "Node", step.node
    elif isinstance(step, s.ChangeDatabase) and (space, step.workload) not in hands.cluster.runtime.databases:
        return f"no datastore of a workload {step.workload} in {space}"
    elif isinstance(step, s.Surge) and not hands.cluster.traffic.loads():
        return "the cluster has no application with a load"
    if not kind:
        return ""
    try:
        found = hands.find(kind, space, name)
    except UsageError as error:
        return str(error)
    if found is None:
        return f"there is no {kind} {name} in {space}"
    if isinstance(step, s.OnWorkload) and step.container:
        names = [c["name"] for c in found["spec"]["template"]["spec"]["containers"]]
        if step.container not in names:
            return f"{kind} {name} has no container {step.container}; it has {', '.join(names)}"
    if (
        isinstance(step, s.SetKey)
        and step.replace
        and step.replace[0] not in (found.get("data") or {}).get(step.key, "")
    ):
        return f"ConfigMap {name}: {step.key} does not contain {step.replace[0]!r}"
    return ""


def perform(hands: Hands, step: s.AnyStep, fault: str, number: int) -> list[Before]:
    """Carry a step out; return what it replaced.

    Raises:
        UsageError: what it is about is not there, or the API refuses.
    """
    missing = named(hands, step)
    if missing:
        raise UsageError(missing)
    space = hands.space(step)
    if isinstance(step, s.Scale):
        return [hands.patch(step.kind, space, step.name, {"spec": {"replicas": step.replicas}})]
    if isinstance(step, s.OnWorkload):
        return [_template(hands, step, space)]
    if isinstance(step, s.SetSelector):
        old = (hands.find("Service", space, step.service) or {})["spec"].get("selector") or {}
        new: dict[str, Any] = {**dict.fromkeys(old), **step.selector}
        return [hands.patch("Service", space, step.service, {"spec": {"selector": new}})]
    if isinstance(step, s.SetTargetPort):
        ports = copy.deepcopy((hands.find("Service", space, step.service) or {})["spec"]["ports"])
        chosen = [p for p in ports if not step.port or p["port"] == step.port]
        if not chosen:
            raise UsageError(f"Service {step.service} has no port {step.port}")
        chosen[0]["targetPort"] = step.target_port
        return [hands.patch("Service", space, step.service, {"spec": {"ports": ports}})]
    if isinstance(step, s.SetKey):
        value = step.value
        if step.replace is not None:
            data = (hands.find("ConfigMap", space, step.config_map) or {}).get("data") or {}
            value = data[step.key].replace(*step.replace)
        return [hands.patch("ConfigMap", space, step.config_map, {"data": {step.key: value}})]
    if isinstance(step, s.Patch):
        return [hands.patch(step.kind, space, step.name, step.patch)]
    if isinstance(step, s.Create):
        return [_create(hands, step.object, space)]
    if isinstance(step, s.Delete):
        was = hands.find(step.kind, space, step.name)
        hands.send("DELETE", hands.path(hands.resource(step.kind), space, step.name))
        return [Before("object", (step.kind, space, step.name), was)]
    if isinstance(step, s.NetworkChaos):
        return _chaos(hands, step, space)
    return _inner(hands, step, space, fault, number)


def _template(hands: Hands, step: s.OnWorkload, space: str) -> Before:
    found = hands.find(step.kind, space, step.name) or {}
    containers = found["spec"]["template"]["spec"]["containers"]
    container = next(c for c in containers if c["name"] == (step.container or containers[0]["name"]))
    part: Obj = {"name": container["name"]}
    spec: Obj = {}
    meta: Obj = {}
    if isinstance(step, s.SetImage):
        part["image"] = step.image
    elif isinstance(step, s.SetEnv):
        if step.value is None:
            part["env"] = [{"$patch": "delete", "name": step.env}]
        else:
            part["env"] = [{"name": step.env, "value": step.value, "valueFrom": None}]
    elif isinstance(step, s.SetCommand):
        part.update({k: v for k, v in (("command", step.command), ("args", step.args)) if v is not None})
    elif isinstance(step, s.SetResources):
        part["resources"] = {k: v for k, v in (("limits", step.limits), ("requests", step.requests)) if v}
    elif isinstance(step, s.SetProbe):
        part[f"{step.probe}Probe"] = {"$patch": "replace", **step.value} if step.value is not None else None
    elif isinstance(step, s.SetNodeSelector):
        old = found["spec"]["template"]["spec"].get("nodeSelector") or {}
        spec["nodeSelector"] = {**dict.fromkeys(old), **step.labels}
    elif isinstance(step, s.Restart):
        meta = {"annotations": {"kubectl.kubernetes.io/restartedAt": iso(hands.now())}}
    if len(part) > 1:
        spec["containers"] = [part]
    template = {k: v for k, v in (("metadata", meta), ("spec", spec)) if v}
    return hands.patch(step.kind, space, step.name, {"spec": {"template": template}}, STRATEGIC)


def _create(hands: Hands, obj: Obj, space: str) -> Before:
    group = obj["apiVersion"].rpartition("/")[0]
    resource = hands.resource(obj["kind"], group)
    meta = {**obj["metadata"]}
    if resource.namespaced:
        space = meta.setdefault("namespace", space)
    hands.send("POST", hands.path(resource, space), {**obj, "metadata": meta})
    return Before("created", (obj["kind"], group, space if resource.namespaced else "", meta["name"]), None)


def _chaos(hands: Hands, step: s.NetworkChaos, space: str) -> list[Before]:
    if hands.cluster.store.get("customresourcedefinitions.apiextensions.k8s.io", "", _CRD["metadata"]["name"]) is None:
        _create(hands, copy.deepcopy(_CRD), "")
    spec: Obj = {"mode": "all", "selector": {"namespaces": [space], "labelSelectors": step.labels}, "direction": "to"}
    if step.delay:
        spec.update(action="delay", delay={"latency": step.delay, "correlation": "100", "jitter": "0ms"})
    else:
        spec.update(action="loss", loss={"loss": step.loss or "50", "correlation": "100"})
    obj = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {"name": step.name},
        "spec": spec,
    }
    return [_create(hands, obj, space)]


def _inner(hands: Hands, step: s.AnyStep, space: str, fault: str, number: int) -> list[Before]:
    cluster = hands.cluster
    if isinstance(step, s.ChangeDatabase):
        database = cluster.runtime.databases[space, step.workload]
        before = Before("database", (space, step.workload), database.clone())
        if step.drop:
            database.users.pop(step.user, None)
        elif step.revoke and step.user in database.users:
            user = database.users[step.user]
            user.roles = [r for r in user.roles if r not in step.revoke]
        if step.cost is not None:
            database.cost = step.cost
        return [before]
    if isinstance(step, s.Surge):
        before = Before("surge", (), cluster.traffic.surge)
        cluster.traffic.surge = step.factor
        return [before]
    if isinstance(step, s.ImageGone):
        cluster.registry.add_rule(step.image, exists=False)
        for images in cluster.control.kubelet.images.present.values():
            for name in [n for n in images if fnmatchcase(n, step.image)]:
                del images[name]
        return [Before("image", (step.image,), None)]
    if isinstance(step, s.StopKubelet):
        cluster.control.kubelet.stop_node(step.node)
        return [Before("kubelet", (step.node,), None)]
    if isinstance(step, s.TellEvent):
        obj = hands.find(step.kind, space, step.name) or {}
        cluster.control.events.record(obj, step.type, step.reason, step.message, step.component)
    return []


def take_back(hands: Hands, before: Before) -> None:
    """Undo one change. Objects get the spec and data they had; those that were created go, those deleted return."""
    cluster = hands.cluster
    if before.what == "database":
        cluster.runtime.databases[before.place[0], before.place[1]] = before.was.clone()
    elif before.what == "surge":
        cluster.traffic.surge = before.was
    elif before.what == "kubelet":
        cluster.control.kubelet.start_node(before.place[0])
    elif before.what == "image":
        cluster.registry.add_rule(before.place[0], exists=True)
    elif before.what == "created":
        kind, group, space, name = before.place
        resource = hands.resource(kind, group)
        if cluster.store.get(resource.stored, space, name) is not None:
            hands.send("DELETE", hands.path(resource, space, name))
    elif before.what == "object" and before.was is not None:
        kind, space, name = before.place
        resource = hands.resource(kind)
        current = hands.find(kind, space, name)
        wanted = {k: v for k, v in before.was.items() if k != "status"}
        wanted["metadata"] = {k: v for k, v in before.was["metadata"].items() if k not in _OWN}
        if current is None:
            hands.send("POST", hands.path(resource, space), wanted)
        else:
            wanted["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
            hands.send("PUT", hands.path(resource, space, name), wanted)
