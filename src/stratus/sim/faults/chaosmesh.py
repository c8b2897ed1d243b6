"""The definitions of chaos-mesh's objects: chaos is an object like any other, and its deletion ends it."""

from __future__ import annotations

from typing import Any

from stratus.sim.store import Obj

GROUP = "chaos-mesh.org"
VERSION = f"{GROUP}/v1alpha1"
#: Kinds and their plurals.
PLURALS = {
    "PodChaos": "podchaos", "NetworkChaos": "networkchaos", "StressChaos": "stresschaos", "HTTPChaos": "httpchaos",
    "JVMChaos": "jvmchaos", "IOChaos": "iochaos", "TimeChaos": "timechaos", "DNSChaos": "dnschaos",
    "KernelChaos": "kernelchaos", "Schedule": "schedules",
}  # fmt: skip
#: The field of a Schedule's spec that holds the object, and the `type` that says so.
_FIELDS = {
    "PodChaos": "podChaos", "NetworkChaos": "networkChaos", "StressChaos": "stressChaos", "HTTPChaos": "httpChaos",
    "JVMChaos": "jvmChaos", "IOChaos": "ioChaos", "TimeChaos": "timeChaos", "DNSChaos": "dnsChaos",
    "KernelChaos": "kernelChaos",
}  # fmt: skip


def definition(kind: str) -> Obj:
    """Return the CustomResourceDefinition of a kind."""
    plural = PLURALS[kind]
    whole = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": whole, "status": whole}},
                    },
                }
            ],
        },
    }


def chaos(kind: str, name: str, namespace: str, labels: dict[str, str], spec: dict[str, Any], schedule: str) -> Obj:
    """Return a chaos object about the pods with some labels, wrapped into a Schedule when there is one."""
    selector = {"namespaces": [namespace], "labelSelectors": labels}
    inner: Obj = {"mode": "all", "selector": selector, **spec}
    if not schedule:
        return {"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": inner}
    wrapped = {"schedule": schedule, "concurrencyPolicy": "Forbid", "historyLimit": 1, "type": kind}
    spec = {**wrapped, _FIELDS[kind]: inner}
    return {"apiVersion": VERSION, "kind": "Schedule", "metadata": {"name": name}, "spec": spec}
