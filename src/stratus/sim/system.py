"""What runs in kube-system of a cluster that has been up for a while: CoreDNS behind kube-dns, and kube-proxy."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

SYSTEM = "kube-system"


def furnish_system(control: ControlPlane) -> None:
    """Create the objects of kube-system that are not there yet, and let their pods be up at once.

    Call it on a control plane whose nodes exist, before anything else is created.
    """
    store = control.store
    text = resources.files("stratus.sim").joinpath("data/system.json").read_text(encoding="utf-8")
    made = False
    for entry in json.loads(text):
        obj: Obj = entry["object"]
        meta = obj["metadata"]
        if store.get(entry["resource"], meta.get("namespace", ""), meta["name"]) is None:
            store.create(entry["resource"], obj)
            made = True
    if not made:
        return
    kubelet = control.kubelet
    for workload in [*store.list("deployments.apps", SYSTEM), *store.list("daemonsets.apps", SYSTEM)]:
        kubelet.preload(*(c["image"] for c in workload["spec"]["template"]["spec"]["containers"]))
    control.drain()
    for pod in control.index.in_namespace(SYSTEM):
        _start(control, pod)
    control.drain()


def _start(control: ControlPlane, pod: Obj) -> None:
    """Let a pod that its node has taken be running and ready now."""
    kubelet = control.kubelet
    key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
    state: Any = kubelet.pods.get(key)
    if state is None or not state.mounted:
        return
    control.timers.cancel(("kubelet", key, "sandbox"))
    kubelet.on_timer(key, "sandbox")
    for container in state.containers.values():
        if container.running is not None:
            container.running.started = container.running.ready = True
    current = control.store.get("pods", *key)
    if current is not None:
        kubelet.report(current)
