"""Defaults of a pod's spec, as every template and pod gets them when it is read."""

from __future__ import annotations

from typing import Any

from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]


def default_pod_spec(spec: Obj) -> None:
    """Fill in a (fresh, owned) pod spec in place."""
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        _container(container)
    for container in spec.get("ephemeralContainers") or ():
        _container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def default_pod_only(spec: Obj) -> None:
    """Fill in what only a pod has, not a template: service links, ports of the node, requests that follow limits."""
    spec.setdefault("enableServiceLinks", True)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for port in container.get("ports") or () if spec.get("hostNetwork") else ():
            if not port.get("hostPort") and port.get("containerPort"):
                port["hostPort"] = port["containerPort"]
        resources = container.get("resources") or {}
        limits = resources.get("limits")
        if limits:
            requests = resources.setdefault("requests", {})
            for name, value in limits.items():
                requests.setdefault(name, value)


def pull_policy(image: str) -> str:
    """Return the policy of an image without one: Always for the tag `latest`, named or meant."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rsplit("/", 1)[-1].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def _container(container: Obj) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", pull_policy(container.get("image", "")))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for env in container.get("env") or ():
        ref = (env.get("valueFrom") or {}).get("fieldRef")
        if ref is not None:
            ref.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name) is not None:
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and hook.get("httpGet") is not None:
            _http(hook["httpGet"])


def _http(action: Obj) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def _probe(probe: Obj) -> None:
    if probe.get("httpGet") is not None:
        _http(probe["httpGet"])
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(name, value)


def _items(source: Obj) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef") is not None:
            item["fieldRef"].setdefault("apiVersion", "v1")


def _volume(volume: Obj) -> None:
    sources = [k for k in volume if k != "name"]
    if not sources:
        volume["emptyDir"] = {}
        return
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(name)
        if source is None:
            continue
        source.setdefault("defaultMode", 420)
        _items(source)
        for part in source.get("sources") or ():
            if part.get("downwardAPI") is not None:
                _items(part["downwardAPI"])
            if part.get("serviceAccountToken") is not None:
                part["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template is not None:
        template.get("spec", {}).setdefault("volumeMode", "Filesystem")
    default_source(volume)


_SOURCES: dict[str, Obj] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_source(volume: Obj) -> None:
    """Fill in the defaults of network disks, in a volume of a pod or of the cluster."""
    for name, values in _SOURCES.items():
        if volume.get(name) is not None:
            for field, value in values.items():
                volume[name].setdefault(field, value)


def qos_class(spec: Obj) -> str:
    """Return Guaranteed, Burstable or BestEffort."""
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    guaranteed = True
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources = container.get("resources") or {}
        found = set()
        for name, value in (resources.get("requests") or {}).items():
            if name in ("cpu", "memory") and (number := parse(value)):
                requests[name] = requests.get(name, 0) + number
        for name, value in (resources.get("limits") or {}).items():
            if name in ("cpu", "memory") and (number := parse(value)):
                limits[name] = limits.get(name, 0) + number
                found.add(name)
        if found != {"cpu", "memory"}:
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    if (
        guaranteed
        and all(limits.get(name) == value for name, value in requests.items())
        and len(requests) == len(limits)
    ):
        return "Guaranteed"
    return "Burstable"
