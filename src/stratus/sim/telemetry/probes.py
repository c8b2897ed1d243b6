"""Black-box probes of Services: whether something that is ready listens behind their first port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stratus.sim.store import Key, Obj
from stratus.sim.telemetry.samples import Sample

#: Namespaces whose Services nobody probes.
_QUIET = frozenset({"kube-system", "kube-public", "kube-node-lease", "default"})


def touched(key: Key, obj: Obj | None, state: Mapping[Key, Obj]) -> Iterable[tuple[str, str]]:
    """Return (namespace, name) of the Services whose probe a change of an object may turn."""
    if key[0] in ("services", "endpoints") and key[1] not in _QUIET:
        yield key[1], key[2]


def probe_samples(namespace: str, name: str, state: Mapping[Key, Obj]) -> list[Sample]:
    """Return the probe of a Service, with the namespace it is in and the address that was tried."""
    service = state.get(("services", namespace, name))
    if service is None or namespace in _QUIET or not service["spec"].get("ports"):
        return []
    port = service["spec"]["ports"][0]
    labels = (
        ("instance", f"{name}.{namespace}.svc.cluster.local:{port['port']}"),
        ("job", f"blackbox-{namespace}"),
        ("namespace", namespace),
    )
    return [("probe_success", labels, float(_answers(namespace, name, port.get("name", ""), state)))]


def _answers(namespace: str, name: str, port: str, state: Mapping[Key, Obj]) -> bool:
    endpoints = state.get(("endpoints", namespace, name))
    for subset in (endpoints or {}).get("subsets") or ():
        number = next((p["port"] for p in subset.get("ports") or () if p.get("name", "") == port), None)
        for address in subset.get("addresses") or ():
            pod = state.get(("pods", namespace, (address.get("targetRef") or {}).get("name", "")))
            if pod is None or number is None or _listens(pod, number):
                return number is not None
    return False


def _listens(pod: Obj, number: int) -> bool:
    """Tell whether a pod says that it listens on a port; one that says nothing may."""
    declared = [p["containerPort"] for c in pod["spec"].get("containers", ()) for p in c.get("ports") or ()]
    return not declared or number in declared
