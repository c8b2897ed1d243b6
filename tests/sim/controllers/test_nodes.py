"""Nodes that come, fall silent, recover and go, and what becomes of their pods."""

from __future__ import annotations

from typing import Any

from stratus.sim.furniture import node_object
from stratus.sim.kubelet.timing import lengthened, on_beat


def pod(name: str, node: str = "node1", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "nginx:1.25"}
    chosen = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "nodeSelector": chosen, "terminationGracePeriodSeconds": 1, **spec},
    }


def ready(lab: Any, node: str = "node1") -> tuple[str, str, str]:
    found = next(c for c in lab.get("Node", node)["status"]["conditions"] if c["type"] == "Ready")
    return found["status"], found["reason"], found["message"]


def of_node(lab: Any, node: str = "node1") -> list[tuple[str, str, bool]]:
    return [
        (e["reason"], e["source"]["component"], "uid" in e["involvedObject"])
        for e in lab.events()
        if e["involvedObject"]["kind"] == "Node" and e["involvedObject"]["name"] == node
    ]


def test_a_node_is_registered_when_it_comes_and_removed_when_it_goes(lab: Any) -> None:
    assert of_node(lab) == []
    lab.store.create("nodes", node_object("node9", 9, lab.clock.now()))
    lab.control.drain()
    assert of_node(lab, "node9") == [("RegisteredNode", "node-controller", True)]
    lab.request("DELETE", "/api/v1/nodes/node9")
    assert of_node(lab, "node9")[-1] == ("RemovingNode", "node-controller", True)


def test_pods_outlive_their_node_by_a_while(lab: Any) -> None:
    lab.apply(pod("p"))
    lab.advance(5)
    lab.history.clear()
    lab.request("DELETE", "/api/v1/nodes/node1")
    lab.advance(30)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"
    lab.advance(40)
    assert lab.get("Pod", "p") is None
    last = [c.object for _, c in lab.history if c.object["kind"] == "Pod"][-1]
    target = next(c for c in last["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (last["status"]["phase"], target["reason"], target["message"]) == (
        "Failed",
        "DeletionByPodGC",
        "PodGC: node no longer exists",
    )


def test_a_node_that_comes_back_in_time_keeps_its_pods(lab: Any) -> None:
    lab.apply(pod("p"))
    lab.advance(5)
    saved = lab.get("Node", "node1")
    lab.request("DELETE", "/api/v1/nodes/node1")
    lab.advance(10)
    lab.store.create("nodes", {**saved, "metadata": {"name": "node1", "labels": saved["metadata"]["labels"]}})
    lab.control.drain()
    lab.advance(120)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


def test_a_short_silence_is_no_news(lab: Any) -> None:
    lab.control.kubelet.stop_node("node1")
    lab.advance(30)
    lab.control.kubelet.start_node("node1")
    lab.advance(60)
    assert of_node(lab) == []
    assert ready(lab)[0] == "True"


def test_after_a_long_silence_the_kubelet_needs_a_second_report(lab: Any) -> None:
    lab.control.kubelet.stop_node("node1")
    lab.advance(400)
    assert ready(lab) == ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    assert of_node(lab) == [("NodeNotReady", "node-controller", True)]
    lab.control.kubelet.start_node("node1")
    lab.control.drain()
    assert ready(lab) == (
        "False",
        "KubeletNotReady",
        "PLEG is not healthy: pleg was last seen active 6m40s ago; threshold is 3m0s",
    )
    lab.advance(6)
    assert ready(lab)[0] == "True"
    assert of_node(lab)[1:] == [
        ("NodeNotReady", "kubelet", False),
        ("NodeHasSufficientMemory", "kubelet", False),
        ("NodeHasNoDiskPressure", "kubelet", False),
        ("NodeHasSufficientPID", "kubelet", False),
        ("NodeReady", "kubelet", False),
    ]
    assert "taints" not in lab.get("Node", "node1")["spec"]


def test_silence_again_before_it_has_recovered(lab: Any) -> None:
    lab.control.kubelet.stop_node("node1")
    lab.advance(400)
    lab.control.kubelet.start_node("node1")
    lab.advance(2)
    lab.control.kubelet.stop_node("node1")
    lab.advance(100)
    assert ready(lab)[0] == "Unknown"


def test_beats_come_once_a_second_and_delays_are_lengthened() -> None:
    for moment in (100.0, 100.3, 100.999, 7.5):
        beat = on_beat(moment, "node1")
        assert moment <= beat < moment + 1.0
        assert on_beat(beat, "node1") - beat < 1e-6
    assert {round(on_beat(m, "node2") % 1.0, 6) for m in (3.0, 4.2, 99.9)} == {round(on_beat(0.0, "node2") % 1.0, 6)}
    for number in range(50):
        assert 10.0 <= lengthened(10.0, "node1", "uid", number) <= 15.0
