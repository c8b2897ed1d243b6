"""The cluster on the right-hand side, prepared as the recorded one was: an embedded one, in process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stratus.conformance.golden import Golden

if TYPE_CHECKING:
    from stratus.sim.api import User
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.sim.store import Store

Json = dict[str, Any]
#: Who asks in the recordings; `anonymous` gives no credentials, `bad token` wrong ones.
ADMIN, VIEWER, NOBODY, ANONYMOUS, STRANGER = "admin", "viewer", "nobody", "anonymous", "bad token"
#: The first moment of a world that nothing recorded dates.
BEGIN = "2026-11-22T09:00:00Z"
AGENT = "api-client/1.0"
NODES = 4
#: Images that the nodes of the recordings held before anything began.
IMAGES = ("registry.local/demo/app:v1", "registry.local/demo/app:v2", "registry.local/demo/app:v3", "busybox:1.36")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; `obj` is the JSON it carries, None for other content. Header names are in lower case."""

    status: int
    text: str
    obj: Any = None
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class World(Protocol):
    """A cluster that requests can be sent to."""

    live: bool

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str | None = None,
        accept: str | None = None,
        user: str = ADMIN,
    ) -> Answer:
        """Send one request; `body` is bytes, text or JSON data."""
        ...

    def namespace(self, *names: str) -> None:
        """Make namespaces exist."""
        ...

    def place(self, obj: Json) -> None:
        """Make an object exist, as it was recorded as far as this cluster lets one."""
        ...

    def reach(self, moment: float) -> None:
        """Let the cluster's clock come to a moment, where it can be set."""
        ...

    def close(self) -> None:
        """Take everything back."""
        ...


class Side(Protocol):
    """What stands on the right-hand side of a comparison."""

    live: bool

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> World:
        """Return a cluster as it was when recording began.

        Args:
            namespaces: exist in it.
            running: controllers, scheduler and kubelets work; without, objects stay as they are placed.
            moment: present moment, epoch seconds.
        """
        ...


class EmbeddedSide:
    """Embedded clusters, each fresh."""

    live = False

    def __init__(self, golden: Golden) -> None:
        self._golden = golden

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> EmbeddedWorld:
        """Return an embedded cluster with the recorded nodes, users, images and custom resources."""
        world = EmbeddedWorld(self._golden.custom_resources, running=running, moment=moment)
        world.namespace(*namespaces)
        return world


class EmbeddedWorld:
    """An embedded cluster without an application, furnished as the recorded cluster was.

    Attributes:
        cluster: the cluster itself; its `api`, `store`, `clock` and `control` are at the suites' disposal.
    """

    live = False

    def __init__(self, crds: Iterable[Json] = (), *, running: bool = False, moment: float | None = None) -> None:
        from stratus.kit.clock import parse_iso
        from stratus.sim.cluster import EmbeddedCluster
        from stratus.sim.controllers.autoscaling import AutoscalerController
        from stratus.sim.furniture import node_object

        self.running = running
        self.cluster: EmbeddedCluster = EmbeddedCluster(
            app=None, nodes=1, warmup=0.0, system=False, epoch=parse_iso(BEGIN) if moment is None else moment
        )
        self.store, self.api = self.cluster.store, self.cluster.api
        if not running:
            self.api.drain = lambda: None
            self.cluster.control.close()
        # The recorded cluster had no metrics server and provided no storage.
        self.api.registry.withhold("metrics.k8s.io")
        unmetered(self.store)
        autoscaler = self.cluster.control.controllers["autoscaler"]
        assert isinstance(autoscaler, AutoscalerController)
        autoscaler.metered = False
        without_metrics(self.store)
        self.store.delete("storageclasses.storage.k8s.io", "", "standard")
        self.store.delete("nodes", "", "node1")
        now = self.cluster.clock.now()
        for number in range(1, NODES + 1):
            taints = [{"key": "dedicated", "value": "lab", "effect": "NoSchedule"}] if number > 2 else None
            self.store.create("nodes", node_object(f"node{number}", number, now, cpu="2", pods=60, taints=taints))
        for image in IMAGES:
            self.cluster.control.kubelet.images.preload(image, [f"node{n}" for n in range(1, NODES + 1)])
        self.store.create("clusterrolebindings.rbac.authorization.k8s.io", viewer_binding())
        self.namespace("default")
        for crd in crds:
            self.api.create("customresourcedefinitions.apiextensions.k8s.io", json.loads(json.dumps(crd)))

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str | None = None,
        accept: str | None = None,
        user: str = ADMIN,
        agent: str = AGENT,
    ) -> Answer:
        """Send one request in process, as the program that calls itself `agent`."""
        from stratus.sim.api import Request, Response, Watch

        headers = {"user-agent": agent}
        if media:
            headers["content-type"] = media
        if accept:
            headers["accept"] = accept
        answer = self.api.handle(Request(method, path, headers, raw(body), users()[user]))
        if isinstance(answer, Response):
            text = answer.body.decode("utf-8", "replace")
            named = {k.lower(): v for k, v in answer.headers.items()}
            obj = json.loads(text) if answer.content_type.startswith("application/json") and text else None
            return Answer(answer.status, text, obj, answer.content_type, named)
        status, text = getattr(answer, "status", 101), ""
        if isinstance(answer, Watch):
            text = answer.take().decode("utf-8", "replace")
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        return Answer(status, text, None, getattr(answer, "content_type", ""))

    def namespace(self, *names: str) -> None:
        """Make namespaces exist, with what controllers put into each."""
        for name in names:
            if self.store.get("namespaces", "", name) is None:
                self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}}, media="application/json")
            for kind, obj in (("serviceaccounts", default_account(name)), ("configmaps", root_certificate(name))):
                if self.store.get(kind, name, obj["metadata"]["name"]) is None:
                    path = f"/api/v1/namespaces/{name}/{kind}"
                    self.send("POST", path, obj, media="application/json", agent="kube-controller-manager")

    def place(self, obj: Json) -> None:
        """Put an object into the store exactly as it was recorded, version and all."""
        from stratus.sim.api.convert import inward

        group, _, version = obj["apiVersion"].rpartition("/")
        resource = self.api.registry.of_kind(group, version, obj["kind"])
        if resource is None:
            raise LookupError(f"no {obj['apiVersion']} {obj['kind']} is served")
        stored = inward(resource, json.loads(json.dumps(obj)))
        meta = stored["metadata"]
        self.store.delete(resource.stored, meta.get("namespace", ""), meta["name"])
        made = self.store.create(resource.stored, stored)
        kept = ("uid", "creationTimestamp", "generation", "resourceVersion")
        # The store dates, numbers and versions what is created; here it is as old as it was recorded.
        made["metadata"].update({k: meta[k] for k in kept if k in meta})
        self.store.rv = max(self.store.rv, int(meta.get("resourceVersion") or 0))

    def reach(self, moment: float) -> None:
        """Let the clock come to a moment."""
        self.cluster.clock.advance_to(max(moment, self.cluster.clock.now()))

    def refuse_protobuf(self) -> None:
        """Answer 415 to every protobuf body from now on, as servers do that know JSON and YAML only."""
        from stratus.sim.api import Request, Response

        known = self.api.handle

        def handle(request: Request) -> Any:
            media = request.headers.get("content-type", "").partition(";")[0]
            if media != "application/vnd.kubernetes.protobuf":
                return known(request)
            text = (
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, application/yaml"
            )
            head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
            return Response(415, {**head, "message": text, "reason": "UnsupportedMediaType", "code": 415})

        # The one door, for callers in process and over the network alike.
        self.api.__dict__["handle"] = handle

    @property
    def lock(self) -> threading.RLock:
        """Return the lock that whoever touches the cluster holds."""
        return self.cluster.lock

    def close(self) -> None:
        """End the cluster."""
        self.cluster.close()


def raw(body: Any) -> bytes:
    """Return a body as bytes: bytes and text as they are, other data as JSON."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def users() -> dict[str, User | None]:
    """Return the users of the recordings; None is somebody whose credentials are wrong."""
    from stratus.sim.api import ANONYMOUS as UNKNOWN
    from stratus.sim.api import User

    certificate = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={'0' * 64}",)}
    everybody = "system:authenticated"
    return {
        ADMIN: User("kubernetes-admin", ("system:masters", everybody), extra=certificate),
        VIEWER: User("viewer", (everybody,), extra=certificate),
        NOBODY: User("nobody-user", ("nogroup", everybody), uid="uid-nobody"),
        ANONYMOUS: UNKNOWN,
        STRANGER: None,
    }


def viewer_binding(name: str = "viewer") -> Json:
    """Return the binding that lets the recordings' viewer read."""
    role = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{role}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": role, "name": "viewer"}],
    }


def without_metrics(store: Store) -> None:
    """Take what a metrics server brings with it out of the roles."""
    roles = "clusterroles.rbac.authorization.k8s.io"
    store.delete(roles, "", "system:aggregated-metrics-reader")
    for role in list(store.list(roles)):
        rules = [r for r in role.get("rules") or () if "metrics.k8s.io" not in (r.get("apiGroups") or ())]
        if rules != (role.get("rules") or []):
            store.update(roles, {**role, "rules": rules})


def default_account(namespace: str) -> Json:
    """Return the account that every namespace holds."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}


def root_certificate(namespace: str) -> Json:
    """Return the ConfigMap that every namespace holds."""
    text = "-----BEGIN CERTIFICATE-----\nUkVEQUNURUQ=\n-----END CERTIFICATE-----\n"
    note = (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
        "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
        "Kubernetes clusters."
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "kube-root-ca.crt",
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": note},
        },
        "data": {"ca.crt": text},
    }


def unmetered(store: Store) -> None:
    """Take away what a metrics server brings with it: its registration, and its role with the rules it lends."""
    roles, lent = "clusterroles.rbac.authorization.k8s.io", "system:aggregated-metrics-reader"
    store.delete("apiservices.apiregistration.k8s.io", "", "v1beta1.metrics.k8s.io")
    store.delete(roles, "", lent)
    for name in ("view", "edit", "admin"):
        role = store.get(roles, "", name)
        if role is not None:
            rules = [rule for rule in role["rules"] if rule.get("apiGroups") != ["metrics.k8s.io"]]
            store.update(roles, {**role, "rules": rules})
