"""What an ingress controller does with a request: which Ingress and rule it follows, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratus.sim.controllers.common import is_true
from stratus.sim.store import Obj, Store

if TYPE_CHECKING:
    from stratus.sim.controllers.base import PodIndex

RESOURCE, CLASSES = "ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
LEGACY_CLASS = "kubernetes.io/ingress.class"
#: Controllers that an IngressClass may name and that run here; any other class is served by nobody.
SERVED = frozenset(
    {"k8s.io/ingress-nginx", "traefik.io/ingress-controller", "haproxy.org/ingress-controller/haproxy",
     "emulated.stratus.dev/ingress"}
)  # fmt: skip
#: Labels of an ingress controller's own pods: where there are any, one of them has to be ready.
GATE = {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"}
ADDRESS = "192.0.2.80"
_FAKE = "x509: certificate is valid for ingress.local, not {}"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a request goes: a Service's port, or an answer of the controller itself (`status` >= 0)."""

    address: str
    status: int = -1
    message: str = ""
    service: tuple[str, str] = ("", "")
    port: int | str = 0


class IngressRouter:
    """Ingresses as their controller reads them. All methods are reads."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def class_of(self, ingress: Obj) -> Obj | None:
        """Return the IngressClass an Ingress is of, None when there is none that is served."""
        name = ingress["spec"].get("ingressClassName")
        if name is None:
            name = (ingress["metadata"].get("annotations") or {}).get(LEGACY_CLASS)
        if name is None:
            for found in self.store.list(CLASSES):
                if (found["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
                    name = found["metadata"]["name"]
        found_class = self.store.get(CLASSES, "", name) if name else None
        if found_class is None or found_class["spec"].get("controller") not in SERVED:
            return None
        return found_class

    def served(self) -> list[Obj]:
        """Return the Ingresses that a controller serves, the oldest first."""
        found = [i for i in self.store.list(RESOURCE) if self.class_of(i) is not None]
        return sorted(
            found,
            key=lambda i: (i["metadata"]["creationTimestamp"], i["metadata"]["namespace"], i["metadata"]["name"]),
        )

    def address_of(self, host: str) -> str:
        """Return the address of the Ingress that names a host, empty when none has one."""
        for ingress in self.store.list(RESOURCE):
            if any(_host_fits(r.get("host", ""), host) for r in ingress["spec"].get("rules") or () if r.get("host")):
                for entry in ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
                    return str(entry.get("ip") or "")
        return ""

    def host_at(self, address: str) -> bool:
        """Tell whether an ingress controller has an address."""
        return address == ADDRESS and bool(self.served())

    def gate(self, index: PodIndex) -> Obj | None:
        """Return the controller's own pod, None where it does not run as one."""
        for namespace in self.store.list("namespaces"):
            for pod in index.select_labels(namespace["metadata"]["name"], GATE):
                if is_true(pod, "Ready"):
                    return pod
        return None

    def _gate_is_shut(self) -> bool:
        """Tell whether the controller runs as pods and none of them is ready."""
        workloads = [
            w
            for resource in ("deployments.apps", "daemonsets.apps")
            for w in self.store.list(resource)
            if all((w["spec"]["template"]["metadata"].get("labels") or {}).get(k) == v for k, v in GATE.items())
        ]
        if not workloads:
            return False
        return not any((w.get("status") or {}).get(f) for w in workloads for f in ("readyReplicas", "numberReady"))

    def site(self, host: str, path: str, *, tls: bool) -> Site:
        """Return where a request for a host and path goes."""
        if self._gate_is_shut():
            return Site("", 0, "connection refused")
        served = self.served()
        if tls:
            problem = self._certificate(served, host)
            if problem:
                return Site(ADDRESS, 0, problem)
        best: tuple[tuple[int, int, int], Obj, Obj] | None = None
        for ingress in served:
            for rule in ingress["spec"].get("rules") or ():
                name = rule.get("host") or ""
                if name and not _host_fits(name, host):
                    continue
                specific = 2 if name and not name.startswith("*") else 1 if name else 0
                for entry in (rule.get("http") or {}).get("paths") or ():
                    rank = _path_rank(entry, path)
                    if rank is None:
                        continue
                    key = (specific, *rank)
                    if best is None or key > best[0]:
                        best = (key, ingress, entry["backend"])
        if best is not None:
            return self._backend(best[1], best[2])
        for ingress in served:
            if ingress["spec"].get("defaultBackend") and self._may_default(ingress, host):
                return self._backend(ingress, ingress["spec"]["defaultBackend"])
        return Site(ADDRESS, 404, "404 page not found: default backend - 404")

    @staticmethod
    def _may_default(ingress: Obj, host: str) -> bool:
        """An Ingress's default backend takes what its own hosts leave over; without rules it takes everything."""
        rules = ingress["spec"].get("rules") or ()
        return not rules or any(not r.get("host") or _host_fits(r["host"], host) for r in rules)

    @staticmethod
    def _backend(ingress: Obj, backend: Obj) -> Site:
        service = backend.get("service")
        if not service:
            return Site(ADDRESS, 503, "503 Service Temporarily Unavailable")
        port = service.get("port") or {}
        key = (ingress["metadata"]["namespace"], service["name"])
        return Site(ADDRESS, service=key, port=port.get("number") or port.get("name") or 0)

    def _certificate(self, served: list[Obj], host: str) -> str:
        """Return why a client does not trust what it is shown for a host, empty when all is well."""
        for ingress in served:
            for entry in ingress["spec"].get("tls") or ():
                if not any(_host_fits(h, host) for h in entry.get("hosts") or ()):
                    continue
                space = ingress["metadata"]["namespace"]
                secret = self.store.get("secrets", space, entry.get("secretName") or "")
                data = (secret or {}).get("data") or {}
                if data.get("tls.crt") and data.get("tls.key"):
                    return ""
                return _FAKE.format(host)
        return _FAKE.format(host)


def _host_fits(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        head, _, tail = host.partition(".")
        return bool(head) and tail == pattern[2:]
    return pattern == host


def _path_rank(entry: Obj, path: str) -> tuple[int, int] | None:
    """Return how well a rule's path fits, None when it does not: longer ones win, exact ones among equals."""
    wanted = entry.get("path") or "/"
    kind = entry.get("pathType", "ImplementationSpecific")
    bare = path.partition("?")[0]
    if kind == "Exact":
        return (len(wanted), 1) if bare == wanted else None
    elements = [e for e in wanted.split("/") if e]
    if elements != [e for e in bare.split("/") if e][: len(elements)]:
        return None
    return len("/".join(elements)), 0
