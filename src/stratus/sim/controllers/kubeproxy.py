"""kube-proxy as a program: which nodes follow the Services, and which live on with the rules they had."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.netindex import Backend, addresses_of
from stratus.sim.store import Change, Obj

LABELS = {"k8s-app": "kube-proxy"}
NAMESPACE = "kube-system"
#: A pod annotation of kube-proxy, for builds that send everything to one endpoint.
LOPSIDED = "sim.stratus.dev/lopsided"

#: Rules of one node: (namespace, Service, address, port, protocol) -> endpoints; address empty for a node port.
Rules = dict[tuple[str, str, str, int, str], list[Backend]]


class KubeProxies(Controller):
    """Nodes, by their kube-proxy pod.

    `state` holds per node without a running kube-proxy the rules the node was left with (those in its kernel go on),
    `managed` once there is a kube-proxy at all (without, Services work everywhere), `ran` for nodes where it has run,
    and the nodes where it is a build that does not spread connections.
    """

    name: ClassVar[str] = "kube-proxy"
    component: ClassVar[str] = "kube-proxy"
    resources: ClassVar[tuple[str, ...]] = ("pods", "nodes")

    def is_down(self, node: str) -> bool:
        """Tell whether a node's rules are not kept up to date."""
        return ("down", node) in self.state

    def is_lopsided(self, node: str) -> bool:
        """Tell whether a node sends all connections of a Service to one endpoint."""
        return ("lopsided", node) in self.state

    def kept(self, node: str, service: Key, address: str, port: int, protocol: str) -> list[Backend] | None:
        """Return the endpoints a node without kube-proxy still sends to; None: it has no rule."""
        rules: Rules = self.state.get(("down", node), {})
        return rules.get((*service, address, port, protocol))

    def on_change(self, change: Change) -> None:
        """A pod of kube-proxy, or a node."""
        obj = change.object
        if change.resource == "nodes":
            if self.state.get("managed"):
                if change.type == "ADDED":
                    self.enqueue(("", obj["metadata"]["name"]))
                elif change.type == "DELETED":
                    for what in ("down", "ran", "lopsided"):
                        self.state.pop((what, obj["metadata"]["name"]), None)
            return
        meta = obj["metadata"]
        if meta["namespace"] != NAMESPACE or (meta.get("labels") or {}).get("k8s-app") != LABELS["k8s-app"]:
            return
        if not self.state.get("managed"):
            self.state["managed"] = True
            for node in self.store.list("nodes"):
                self.enqueue(("", node["metadata"]["name"]))
        if obj["spec"].get("nodeName"):
            self.enqueue(("", obj["spec"]["nodeName"]))

    def _proxy(self, node: str) -> Obj | None:
        for pod in self.control.index.by_node.get(node, {}).values():
            meta = pod["metadata"]
            if meta["namespace"] == NAMESPACE and (meta.get("labels") or {}).get("k8s-app") == LABELS["k8s-app"]:
                statuses = (pod.get("status") or {}).get("containerStatuses") or ()
                if any((s.get("state") or {}).get("running") for s in statuses):
                    return pod
        return None

    def sync(self, key: Key) -> None:
        """See whether kube-proxy runs on one node."""
        node = key[1]
        if self.store.get("nodes", "", node) is None:
            return
        proxy = self._proxy(node)
        version = getattr(self.control.runtime, "version", None)
        before = (self.is_down(node), self.is_lopsided(node))
        if proxy is not None:
            self.state["ran", node] = True
            self.state.pop(("down", node), None)
            if self._is_lopsided_build(proxy):
                self.state["lopsided", node] = True
            else:
                self.state.pop(("lopsided", node), None)
        elif not self.is_down(node):
            self.state["down", node] = self._rules() if self.state.get(("ran", node)) else {}
        if version is not None and before != (self.is_down(node), self.is_lopsided(node)):
            setattr(self.control.runtime, "version", version + 1)  # noqa: B010

    def _is_lopsided_build(self, proxy: Obj) -> bool:
        if (proxy["metadata"].get("annotations") or {}).get(LOPSIDED) == "true":
            return True
        image = proxy["spec"]["containers"][0]["image"]
        return self.control.registry.behaviour(image).lopsided

    def _rules(self) -> Rules:
        """Return what kube-proxy leaves in the kernel when it stops."""
        index = self.control.network.addresses
        found: Rules = {}
        for service in self.store.list("services"):
            meta = service["metadata"]
            key = (meta["namespace"], meta["name"])
            for port in service["spec"].get("ports") or ():
                backends = index.backends(key, port)
                places: list[Any] = [*addresses_of(service), ""] if port.get("nodePort") else addresses_of(service)
                for address in places:
                    found[(*key, address, port["port"], port.get("protocol", "TCP"))] = list(backends)
        return found
