"""A Service that strayed from its manifest: what `kubectl apply` remembers against what the pods tell of themselves."""

from __future__ import annotations

import json
from typing import Any

from stratus.kit.kube import annotations_of, dig, port_fits, probe_ports, target_of

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def strayed(service: dict[str, Any], port: dict[str, Any], pod_spec: dict[str, Any]) -> bool:
    """Whether a Service port leads to where such a pod most likely does not listen, though its ports do not say.

    That takes three things: the pod neither declares nor probes the target, the manifest as last applied led
    elsewhere, and there the pod's own probes ask.
    """
    target = target_of(port)
    if port_fits(pod_spec, target) is not None:
        return False
    try:
        was = json.loads(annotations_of(service).get(LAST_APPLIED, "") or "{}")
    except ValueError:
        return False
    key = port.get("name") or port.get("port")
    before = [target_of(p) for p in dig(was, "spec", "ports", default=[]) if (p.get("name") or p.get("port")) == key]
    return bool(before) and before[0] != target and before[0] in probe_ports(pod_spec)
