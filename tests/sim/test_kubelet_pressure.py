"""Nodes that run short of memory, disk or process ids: what they say, whom they drive away, whom they refuse."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim.kubelet.pressure import TRANSITION
from stratus.sim.quantity import parse_quantity


@pytest.fixture(autouse=True)
def exact(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let containers hold exactly what their pod's annotation says, without the noise of real measurements."""

    def usage(pod: dict[str, Any], container: dict[str, Any]) -> tuple[float, float]:
        if lab.runtime.process(pod, container) is None:
            return 0.0, 0.0
        held = (pod["metadata"].get("annotations") or {}).get("sim.stratus.dev/memory", "16Mi")
        return 0.001, parse_quantity(held)

    monkeypatch.setattr(lab.runtime, "usage", usage)


def pod(name: str, memory: str = "", node: str = "node1", **spec: Any) -> dict[str, Any]:
    """Return a pod that holds some memory (through the annotation that says so)."""
    container: dict[str, Any] = {"name": "app", "image": "nginx:1.25"}
    if "requests" in spec:
        container["resources"] = {"requests": {"memory": spec.pop("requests")}}
    meta: dict[str, Any] = {"name": name, "labels": {"app": name}}
    if memory:
        meta["annotations"] = {"sim.stratus.dev/memory": memory}
    pinned = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [container], "nodeSelector": pinned, "terminationGracePeriodSeconds": 1, **spec},
    }


def pressed(lab: Any, type_: str = "MemoryPressure", node: str = "node1") -> tuple[str, str]:
    found = next(c for c in lab.get("Node", node)["status"]["conditions"] if c["type"] == type_)
    return found["status"], found["reason"]


def taints(lab: Any, node: str = "node1") -> list[str]:
    return [t["key"] for t in lab.get("Node", node)["spec"].get("taints", ())]


def phase(lab: Any, name: str) -> tuple[str, str]:
    status = lab.get("Pod", name)["status"]
    return status["phase"], status.get("reason", "")


def test_memory_runs_short_and_the_greediest_goes(lab: Any) -> None:
    # 16 GiB less 400 MiB for the node itself and 15934 MiB leave 50 MiB.
    lab.apply(pod("modest", "7Gi", requests="7Gi"))
    lab.apply(pod("greedy", "8Gi", requests="1Gi"))
    lab.apply(pod("small", "574Mi"))
    lab.advance(30)
    assert phase(lab, "greedy") == ("Failed", "Evicted")
    assert phase(lab, "modest")[0] == phase(lab, "small")[0] == "Running"
    assert pressed(lab) == ("True", "KubeletHasInsufficientMemory")
    assert taints(lab) == ["node.kubernetes.io/memory-pressure"]
    message = lab.get("Pod", "greedy")["status"]["message"]
    assert message.startswith("The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. ")
    assert "Container app was using " in message
    assert message.endswith("Ki, request is 1Gi, has larger consumption of memory. ")
    (event,) = lab.events(reason="Evicted")
    assert (event["type"], event["message"]) == ("Warning", message)
    target = next(c for c in lab.get("Pod", "greedy")["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (target["reason"], target["message"]) == ("TerminationByKubelet", message)
    reasons = {(e["reason"], e["message"]) for e in lab.events() if e["involvedObject"]["kind"] == "Node"}
    assert ("EvictionThresholdMet", "Attempting to reclaim memory") in reasons
    assert ("NodeHasInsufficientMemory", "Node node1 status is now: NodeHasInsufficientMemory") in reasons


def test_the_pressure_is_over_five_minutes_after_it_has_gone(lab: Any) -> None:
    lab.apply(pod("greedy", "15930Mi"))
    lab.advance(30)
    assert phase(lab, "greedy") == ("Failed", "Evicted")
    lab.advance(TRANSITION - 60)
    assert pressed(lab)[0] == "True"
    lab.advance(120)
    assert pressed(lab) == ("False", "KubeletHasSufficientMemory")
    assert taints(lab) == []
    rv = lab.store.rv
    lab.advance(1200)
    assert lab.store.rv == rv


def test_under_pressure_only_some_pods_are_taken(lab: Any) -> None:
    lab.control.kubelet.evictor.press("node1", "memory")
    lab.control.drain()
    assert pressed(lab)[0] == "True"
    lab.apply(pod("waits"))
    lab.advance(2)
    assert lab.get("Pod", "waits")["spec"].get("nodeName") is None
    straight = pod("straight")
    straight["spec"]["nodeName"] = "node1"
    lab.apply(straight)
    lab.advance(2)
    status = lab.get("Pod", "straight")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    assert status["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    burstable = pod("burstable", requests="64Mi")
    burstable["spec"]["nodeName"] = "node1"
    lab.apply(burstable)
    lab.advance(2)
    assert lab.get("Pod", "burstable")["status"]["phase"] == "Running"
    lab.control.kubelet.evictor.relieve("node1", "memory")
    lab.advance(TRANSITION + 30)
    assert pressed(lab)[0] == "False"
    assert lab.get("Pod", "waits")["spec"].get("nodeName") == "node1"


def test_disk_pressure_evicts_one_pod_after_another_by_priority(lab: Any) -> None:
    for name, rank in (("low", 1), ("high", 1000)):
        lab.store.create(
            "priorityclasses.scheduling.k8s.io",
            {
                "kind": "PriorityClass",
                "apiVersion": "scheduling.k8s.io/v1",
                "metadata": {"name": name},
                "value": rank,
            },
        )
        lab.apply(pod(f"{name}-pod", priorityClassName=name))
    lab.advance(10)
    lab.control.kubelet.evictor.press("node1", "disk")
    lab.control.drain()
    lab.advance(3)
    assert (phase(lab, "low-pod"), phase(lab, "high-pod")[0]) == (("Failed", "Evicted"), "Running")
    assert "The node was low on resource: ephemeral-storage. " in lab.get("Pod", "low-pod")["status"]["message"]
    assert pressed(lab, "DiskPressure") == ("True", "KubeletHasDiskPressure")
    assert taints(lab) == ["node.kubernetes.io/disk-pressure"]
    lab.advance(20)
    assert phase(lab, "high-pod") == ("Failed", "Evicted")


def test_a_deployment_moves_to_another_node(lab: Any) -> None:
    template = {
        "metadata": {"labels": {"app": "d"}, "annotations": {"sim.stratus.dev/memory": "15930Mi"}},
        "spec": {"containers": [{"name": "app", "image": "nginx:1.25"}], "terminationGracePeriodSeconds": 1},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "d"}}, "template": template}
    lab.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})
    lab.advance(40)
    evicted = [p for p in lab.pods() if p["status"].get("reason") == "Evicted"]
    assert evicted
    assert len({p["spec"]["nodeName"] for p in lab.pods() if p["spec"].get("nodeName")}) > 1


def test_with_no_memory_left_the_kernel_kills(lab: Any) -> None:
    lab.apply(pod("guarded", "8Gi", requests="8Gi"))
    lab.apply(pod("hog", "9Gi"))
    lab.advance(20)
    ended = lab.get("Pod", "hog")["status"]["containerStatuses"][0]
    last = ended["state"].get("terminated") or ended["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)
    assert lab.get("Pod", "guarded")["status"]["containerStatuses"][0]["restartCount"] == 0
    events = lab.events(reason="SystemOOM")
    assert events[0]["message"].startswith("System OOM encountered, victim process: app, pid: ")
    assert events[0]["involvedObject"]["kind"] == "Node"


def writer(script: str, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    for field in ("volumeMounts", "resources"):
        if field in spec:
            container[field] = spec.pop(field)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def test_what_is_written_has_limits(lab: Any) -> None:
    volumes = [{"name": "scratch", "emptyDir": {"sizeLimit": "10Mi"}}]
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    script = "dd if=/dev/zero of=/scratch/big bs=1M count=20; sleep 1000"
    lab.apply(writer(script, volumes=volumes, volumeMounts=mounts))
    lab.advance(30)
    status = lab.get("Pod", "p")["status"]
    assert (status["reason"], status["message"]) == (
        "Evicted",
        'Usage of EmptyDir volume "scratch" exceeds the limit "10Mi". ',
    )


def test_a_container_may_write_so_much_beside_its_image(lab: Any) -> None:
    limits = {"limits": {"ephemeral-storage": "10Mi"}}
    first = writer("dd if=/dev/zero of=/tmp/big bs=1M count=20; sleep 1000", resources=limits)
    first["spec"]["containers"].append({"name": "other", "image": "nginx:1.25"})
    lab.apply(first)
    lab.advance(30)
    message = 'Container app exceeded its local ephemeral storage limit "10Mi". '
    assert lab.get("Pod", "p")["status"]["message"] == message


def test_all_containers_together_too(lab: Any) -> None:
    limits = {"limits": {"ephemeral-storage": "10Mi"}}
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    script = "dd if=/dev/zero of=/v/big bs=1M count=15; sleep 1000"
    lab.apply(writer(script, resources=limits, volumes=volumes, volumeMounts=mounts))
    lab.advance(30)
    message = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "
    assert lab.get("Pod", "p")["status"]["message"] == message


def test_who_keeps_the_limits_stays(lab: Any) -> None:
    limits = {"limits": {"ephemeral-storage": "10Mi"}}
    lab.apply(writer("dd if=/dev/zero of=/tmp/small bs=1M count=5; sleep 1000", resources=limits))
    lab.advance(60)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


def test_a_fork_is_under_the_same_pressure(lab: Any) -> None:
    lab.control.kubelet.evictor.press("node2", "pid")
    lab.control.drain()
    clock, rng = VirtualClock(lab.clock.now()), random.Random(1)
    store = lab.store.fork(clock, rng)
    twin = lab.control.fork(store, clock, rng)
    twin.kubelet.evictor.relieve("node2", "pid")
    clock.advance(TRANSITION + 30)
    assert "pid" not in twin.kubelet.evictor.pressures.get("node2", {})
    lab.advance(TRANSITION + 30)
    assert pressed(lab, "PIDPressure", "node2")[0] == "True"
    twin.close()
