"""Turns Services and pods into Endpoints and EndpointSlices: which address serves which port, ready or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import is_true, key_of, owner_reference, suffix
from stratus.sim.controllers.slices import plan, truncated
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
MANAGED = "endpointslice.kubernetes.io/managed-by"
SERVICE = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
OVER = "endpoints.kubernetes.io/over-capacity"


def resolve_port(port: Obj, pod: Obj) -> int | None:
    """Return the container port a Service port leads to in a pod; None when the pod has no port of that name."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target or port.get("port")
    for container in _port_holders(pod):
        for declared in container.get("ports") or ():
            if declared.get("name") == target and declared.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(declared["containerPort"])
    return None


def _port_holders(pod: Obj) -> list[Obj]:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*pod["spec"].get("containers", ()), *sidecars]


ENDED = ("Succeeded", "Failed")


class Group(NamedTuple):
    """Pods behind a Service that serve the same ports, and the entries of their slice."""

    ports: list[Obj]
    pods: list[Obj]
    endpoints: list[Obj]


class EndpointsController(Controller):
    """Services, and the pods behind them."""

    name: ClassVar[str] = "endpoints"
    component: ClassVar[str] = "endpoint-slice-controller"
    resources: ClassVar[tuple[str, ...]] = ("services", "pods", "endpoints", "endpointslices.discovery.k8s.io")

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        # Entries as they were made last, with the version of the pod: lists share what did not change.
        self._made: dict[str, dict[str, tuple[Obj, Obj]]] = {}
        # Services by one pair of their selector, so that a pod's change looks at those alone that could select it.
        self._by_pair: dict[tuple[str, str, str], dict[str, None]] = {}
        self._pair_of: dict[Key, tuple[str, str, str]] | None = None
        self._writing = False

    def _shared(self, pod: Obj, form: str, make: Callable[[Obj], Obj]) -> Obj:
        kept = self._made.setdefault(pod["metadata"]["uid"], {})
        known = kept.get(form)
        if known is not None and known[0] is pod:
            return known[1]
        entry = make(pod)
        if known is not None and known[1] == entry:
            entry = known[1]
        kept[form] = (pod, entry)
        return entry

    def _enter(self, service: Obj, *, gone: bool = False) -> None:
        """Enter a Service under the pair of its selector that fewest others have; or take it out."""
        pairs = self._pairs()
        key = key_of(service)
        before = pairs.pop(key, None)
        if before is not None:
            self._by_pair[before].pop(key[1], None)
        selector = service["spec"].get("selector")
        if selector and not gone:
            choices = [(key[0], label, value) for label, value in sorted(selector.items())]
            pair = min(choices, key=lambda choice: len(self._by_pair.get(choice, ())))
            pairs[key] = pair
            self._by_pair.setdefault(pair, {})[key[1]] = None

    def _pairs(self) -> dict[Key, tuple[str, str, str]]:
        if self._pair_of is None:
            self._pair_of = {}
            for service in self.store.list("services"):
                self._enter(service)
        return self._pair_of

    def _selecting(self, namespace: str, labels: dict[str, str]) -> list[Key]:
        """Return the keys of the Services that select these labels, sorted."""
        self._pairs()
        found = []
        for label, value in labels.items():
            for name in self._by_pair.get((namespace, label, value), ()):
                service = self.store.get("services", namespace, name)
                wanted = (service or {}).get("spec", {}).get("selector") or {}
                if wanted and all(labels.get(k) == v for k, v in wanted.items()):
                    found.append((namespace, name))
        return sorted(found)

    def on_change(self, change: Change) -> None:
        """A Service, or those that select (or selected) a pod."""
        obj = change.object
        namespace = obj["metadata"].get("namespace", "")
        if change.resource == "services":
            self._enter(obj, gone=change.type == "DELETED")
            self.enqueue(key_of(obj))
        elif change.resource == "endpoints":
            if change.type == "DELETED":
                self.enqueue(key_of(obj))
        elif change.resource == "pods":
            if change.type == "DELETED":
                self._made.pop(obj["metadata"]["uid"], None)
            if change.type == "MODIFIED" and change.previous is not None and _same(change.previous, obj):
                return
            labels = obj["metadata"].get("labels") or {}
            before = labels if change.previous is None else change.previous["metadata"].get("labels") or {}
            keys = self._selecting(namespace, labels)
            if before != labels:
                keys = sorted({*keys, *self._selecting(namespace, before)})
            for key in keys:
                self.enqueue(key)
        elif change.type != "ADDED" and not self._writing:
            # What others do to a slice of this controller's is taken back.
            labels = obj["metadata"].get("labels") or {}
            if change.previous is not None:
                labels = {**labels, **(change.previous["metadata"].get("labels") or {})}
            if labels.get(SERVICE) and labels.get(MANAGED) == "endpointslice-controller.k8s.io":
                self.enqueue((namespace, labels[SERVICE]))

    def sync(self, key: Key) -> None:
        """Bring the Endpoints and the EndpointSlice of one Service up to date."""
        service = self.store.get("services", *key)
        if service is None:
            if self.store.get("endpoints", *key) is not None:
                self.store.delete("endpoints", *key)
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        pods = self.control.index.select_labels(key[0], service["spec"]["selector"])
        groups: dict[tuple[Any, ...], Group] = {}
        declared = service["spec"].get("ports") or ()
        # Numbers are the same for every pod; only names have to be looked up in each.
        by_name = any(isinstance(port.get("targetPort"), str) for port in declared)
        ports: list[Obj] = []
        signature: tuple[Any, ...] | None = None
        # By age; they come in order of their names.
        for pod in sorted(pods, key=lambda p: p["metadata"]["creationTimestamp"]):
            status = pod.get("status", {})
            if not status.get("podIP") or status.get("phase") in ENDED:
                continue
            if signature is not None and not by_name:
                groups[signature].pods.append(pod)
                continue
            ports = []
            for port in declared:
                number = resolve_port(port, pod)
                if number is None:
                    continue
                entry = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
                if port.get("appProtocol"):
                    entry["appProtocol"] = port["appProtocol"]
                ports.append(entry)
            if not ports and declared:
                continue
            signature = tuple((p["name"], p["protocol"], p["port"], p.get("appProtocol")) for p in ports)
            groups.setdefault(signature, Group(ports, [], [])).pods.append(pod)
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        form, make = f"{key[1]}/slice/{publish}", partial(self._entry, publish, key[1])
        for group in groups.values():
            group.endpoints.extend([self._shared(pod, form, make) for pod in group.pods])
        self._slices(service, key, groups)
        self._endpoints(service, key, groups)

    # EndpointSlices

    def _slices(self, service: Obj, key: Key, groups: dict[tuple[Any, ...], Group]) -> None:
        mine = [
            o
            for resource, o in self.store.owned_by(service["metadata"]["uid"])
            if resource == "endpointslices.discovery.k8s.io"
            and (o["metadata"].get("labels") or {}).get(MANAGED) == "endpointslice-controller.k8s.io"
        ]
        labels = {
            **(service["metadata"].get("labels") or {}),
            MANAGED: "endpointslice-controller.k8s.io",
            SERVICE: key[1],
        }
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        wanted, spare = plan([(group.endpoints, group.ports) for group in groups.values()], mine)
        self._writing = True
        for old, found, ports in wanted:
            if old is not None:
                body = {**old, "endpoints": found, "ports": ports}
                body["metadata"] = {**old["metadata"], "labels": labels}
                if body == old:
                    continue
                annotations = {**(old["metadata"].get("annotations") or {}), TRIGGER: iso(self.clock.now())}
                body["metadata"]["annotations"] = annotations
                self.store.update("endpointslices.discovery.k8s.io", body)
                continue
            self.store.create(
                "endpointslices.discovery.k8s.io",
                {
                    "kind": "EndpointSlice",
                    "apiVersion": "discovery.k8s.io/v1",
                    "metadata": {
                        "name": f"{key[1]}-{suffix(self.control.rng)}",
                        "generateName": f"{key[1]}-",
                        "namespace": key[0],
                        "labels": labels,
                        "annotations": {TRIGGER: iso(self.clock.now())},
                        "ownerReferences": [owner_reference(service)],
                    },
                    "addressType": "IPv4",
                    "endpoints": found,
                    "ports": ports,
                },
            )
        for extra in spare:
            self.store.delete("endpointslices.discovery.k8s.io", *key_of(extra))
        self._writing = False

    def _entry(self, publish: bool, service: str, pod: Obj) -> Obj:
        node = self.store.get("nodes", "", pod["spec"].get("nodeName") or "")
        zone = ((node or {"metadata": {}})["metadata"].get("labels") or {}).get(ZONE, "")
        return _endpoint(pod, publish, service, zone)

    # Endpoints

    def _endpoints(self, service: Obj, key: Key, groups: dict[tuple[Any, ...], Group]) -> None:
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        form, make = f"{key[1]}/endpoints", partial(_address, key[1])
        subsets = []
        for group in groups.values():
            subset: Obj = {}
            ready: list[Obj] = []
            unready: list[Obj] = []
            for pod, endpoint in zip(group.pods, group.endpoints, strict=True):
                state = endpoint["conditions"]
                if state["terminating"] and not publish:
                    continue
                (ready if state["serving"] else unready).append(self._shared(pod, form, make))
            if ready:
                subset["addresses"] = sorted(ready, key=lambda a: a["ip"])
            if unready:
                subset["notReadyAddresses"] = sorted(unready, key=lambda a: a["ip"])
            if not subset:
                continue
            subset["ports"] = [
                {k: v for k, v in (("name", p["name"]), ("port", p["port"]), ("protocol", p["protocol"])) if v}
                for p in group.ports
            ]
            subsets.append(subset)
        subsets, over = truncated(subsets)
        labels = {
            **(service["metadata"].get("labels") or {}),
            "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        }
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        old = self.store.get("endpoints", *key)
        if old is not None:
            body = {k: v for k, v in old.items() if k != "subsets"}
            if subsets:
                body["subsets"] = subsets
            notes = {k: v for k, v in (old["metadata"].get("annotations") or {}).items() if k != OVER}
            notes |= {OVER: "truncated"} if over else {}
            body["metadata"] = {**old["metadata"], "labels": labels, "annotations": notes}
            if "annotations" not in old["metadata"] and not notes:
                del body["metadata"]["annotations"]
            if body != old:
                body["metadata"]["annotations"] = {**notes, TRIGGER: iso(self.clock.now())}
                self.store.update("endpoints", body)
            return
        body = {
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {
                "name": key[1],
                "namespace": key[0],
                "labels": labels,
                "annotations": {TRIGGER: iso(self.clock.now()), **({OVER: "truncated"} if over else {})},
            },
        }
        if subsets:
            body["subsets"] = subsets
        self.store.create("endpoints", body)


def _target(pod: Obj) -> Obj:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def _address(service: str, pod: Obj) -> Obj:
    address: Obj = {"ip": pod["status"]["podIP"]}
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service:
        address["hostname"] = pod["spec"]["hostname"]
    address["nodeName"] = pod["spec"].get("nodeName")
    address["targetRef"] = _target(pod)
    return address


def _endpoint(pod: Obj, publish: bool, service: str, zone: str) -> Obj:
    serving = publish or is_true(pod, "Ready")
    terminating = "deletionTimestamp" in pod["metadata"]
    endpoint: Obj = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": serving and (publish or not terminating),
            "serving": serving,
            "terminating": terminating,
        },
    }
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service:
        endpoint["hostname"] = pod["spec"]["hostname"]
    endpoint["targetRef"] = _target(pod)
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    if zone:
        endpoint["zone"] = zone
    return endpoint


def _same(before: Obj, after: Obj) -> bool:
    """Tell whether a change of a pod cannot matter to any Service."""
    old, new = before.get("status", {}), after.get("status", {})
    if not old.get("podIP") and not new.get("podIP"):
        return bool(before["metadata"].get("labels") == after["metadata"].get("labels"))
    return (
        before["metadata"].get("labels") == after["metadata"].get("labels")
        and before["metadata"].get("deletionTimestamp") == after["metadata"].get("deletionTimestamp")
        and old.get("podIP") == new.get("podIP")
        and (old.get("phase") in ENDED) == (new.get("phase") in ENDED)
        and is_true(before, "Ready") == is_true(after, "Ready")
        and before["spec"].get("nodeName") == after["spec"].get("nodeName")
    )
