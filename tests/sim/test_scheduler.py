"""Where pods go, and the scheduler's words when they go nowhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "registry.k8s.io/pause:3.9", **spec.pop("container", {})}
    labels = spec.pop("labels", {"app": "x"})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], **spec},
    }


def node_of(lab: Any, name: str) -> str | None:
    return lab.get("Pod", name)["spec"].get("nodeName")


def why(lab: Any, name: str) -> str:
    conditions = lab.get("Pod", name)["status"]["conditions"]
    found = next(c for c in conditions if c["type"] == "PodScheduled")
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    return found["message"]


def requests(**amounts: str) -> dict[str, Any]:
    return {"resources": {"requests": amounts}}


NO_HELP = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


def test_spreads_equal_pods(lab: Any) -> None:
    lab.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {
                "replicas": 6,
                "selector": {"matchLabels": {"app": "d"}},
                "template": {
                    "metadata": {"labels": {"app": "d"}},
                    "spec": {"containers": [{"name": "c", "image": "nginx"}]},
                },
            },
        }
    )
    assert set(Counter(p["spec"]["nodeName"] for p in lab.pods(app="d")).values()) == {2}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"container": requests(cpu="100")}, "3 Insufficient cpu"),
        ({"container": requests(memory="1Ti")}, "3 Insufficient memory"),
        ({"container": requests(cpu="100", memory="1Ti")}, "3 Insufficient cpu, 3 Insufficient memory"),
        ({"nodeSelector": {"disk": "ssd"}}, "3 node(s) didn't match Pod's node affinity/selector"),
    ],
)
def test_nowhere_to_go(lab: Any, spec: dict[str, Any], reason: str) -> None:
    lab.apply(pod("p", **spec))
    assert why(lab, "p") == f"0/3 nodes are available: {reason}. no new claims to deallocate, {NO_HELP}"
    (event,) = lab.events(reason="FailedScheduling")
    assert event["message"] == why(lab, "p")
    assert (event["type"], event["reportingComponent"], event["eventTime"] is not None) == (
        "Warning",
        "default-scheduler",
        True,
    )


def test_taints_and_cordons(lab: Any) -> None:
    lab.kubectl(["taint", "node", "node1", "team=a:NoSchedule"], "default")
    lab.kubectl(["taint", "node", "node2", "team=a:NoSchedule"], "default")
    lab.patch("Node", "node3", {"spec": {"unschedulable": True}}, how="merge")
    lab.apply(pod("p"))
    assert "1 node(s) were unschedulable, 2 node(s) had untolerated taint(s)" in why(lab, "p")
    lab.apply(pod("t", tolerations=[{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}]))
    assert node_of(lab, "t") in ("node1", "node2")
    lab.apply(pod("e", tolerations=[{"operator": "Exists"}]))
    assert node_of(lab, "e") is not None
    lab.patch("Node", "node3", {"spec": {"unschedulable": None}}, how="merge")
    lab.advance(1)
    assert node_of(lab, "p") == "node3"


def test_node_affinity(lab: Any) -> None:
    lab.patch("Node", "node2", {"metadata": {"labels": {"zone": "b", "cores": "16"}}}, how="merge")
    terms = [
        {
            "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["b"]},
                {"key": "cores", "operator": "Gt", "values": ["8"]},
            ]
        }
    ]
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    lab.apply(pod("p", affinity=required))
    assert node_of(lab, "p") == "node2"
    preferred = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]}}  # fmt: skip
    lab.apply(pod("q", affinity=preferred))
    assert node_of(lab, "q") == "node2"


def test_pod_affinity_and_anti_affinity(lab: Any) -> None:
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "solo"}}}]}}  # fmt: skip
    for number in range(4):
        lab.apply(pod(f"s{number}", labels={"app": "solo"}, affinity=apart))
    assert len({node_of(lab, f"s{n}") for n in range(3)}) == 3
    assert "3 node(s) didn't match pod anti-affinity rules" in why(lab, "s3")
    assert "3 No preemption victims found for incoming pod" in why(lab, "s3")
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "solo"}}}]}}  # fmt: skip
    lab.delete("Pod", "s1", gracePeriodSeconds=0)
    lab.delete("Pod", "s2", gracePeriodSeconds=0)
    lab.delete("Pod", "s3", gracePeriodSeconds=0)
    lab.apply(pod("friend", affinity=near))
    assert node_of(lab, "friend") == node_of(lab, "s0")
    far = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "nobody"}}}]}}  # fmt: skip
    lab.apply(pod("lonely", affinity=far))
    assert "3 node(s) didn't match pod affinity rules" in why(lab, "lonely")
    lab.apply(pod("plain", labels={"app": "solo"}))
    assert node_of(lab, "plain") != node_of(lab, "s0")


def test_topology_spread(lab: Any) -> None:
    for number, zone in ((1, "a"), (2, "a"), (3, "b")):
        lab.patch("Node", f"node{number}", {"metadata": {"labels": {"zone": zone}}}, how="merge")
    rule = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "s"}},
    }
    for number in range(4):
        lab.apply(pod(f"p{number}", labels={"app": "s"}, topologySpreadConstraints=[rule]))
    zones = Counter("b" if node_of(lab, f"p{n}") == "node3" else "a" for n in range(4))
    assert zones == {"a": 2, "b": 2}
    lab.patch("Node", "node3", {"spec": {"unschedulable": True}}, how="merge")
    lab.apply(pod("p4", labels={"app": "s"}, topologySpreadConstraints=[rule]))
    lab.apply(pod("p5", labels={"app": "s"}, topologySpreadConstraints=[rule]))
    assert "2 node(s) didn't match pod topology spread constraints" in why(lab, "p5")


def test_host_ports(lab: Any) -> None:
    for number in range(4):
        lab.apply(pod(f"p{number}", container={"ports": [{"containerPort": 80, "hostPort": 8080}]}))
    assert "3 node(s) didn't have free ports for the requested pod ports" in why(lab, "p3")


def test_room_that_comes_free_is_used(lab: Any) -> None:
    for number in range(4):
        lab.apply(pod(f"p{number}", container=requests(cpu="3")))
    assert "3 Insufficient cpu" in why(lab, "p3")
    assert "3 No preemption victims found for incoming pod" in why(lab, "p3")
    lab.delete("Pod", "p0", gracePeriodSeconds=0)
    lab.advance(1)
    assert node_of(lab, "p3") is not None


def test_no_nodes(make_lab: Any) -> None:
    lab = make_lab(nodes=0)
    lab.apply(pod("p"))
    assert why(lab, "p") == "no nodes available to schedule pods"


def test_claims(lab: Any) -> None:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    lab.apply(pod("p", volumes=[volume]))
    assert why(lab, "p") == '0/3 nodes are available: persistentvolumeclaim "data" not found. not found'
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    lab.apply(claim)
    lab.advance(5)
    stored = lab.get("PersistentVolumeClaim", "data")
    assert stored["status"]["phase"] == "Bound"
    assert stored["spec"]["storageClassName"] == "standard"
    assert node_of(lab, "p") is not None
    lab.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "odd"},
               "spec": {**claim["spec"], "storageClassName": "none"}})  # fmt: skip
    lab.apply(pod("q", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "odd"}}]))
    assert "pod has unbound immediate PersistentVolumeClaims" in why(lab, "q")
    assert lab.events(reason="ProvisioningFailed")[0]["message"] == 'storageclass.storage.k8s.io "none" not found'


def counted(lab: Any, name: str) -> int:
    """Return how often the scheduler has said that it found no node for a pod."""
    found = [e for e in lab.events(reason="FailedScheduling") if e["involvedObject"]["name"] == name]
    return sum((e.get("series") or {}).get("count", 1) for e in found)


def test_only_what_may_help_makes_a_waiting_pod_be_looked_at_again(lab: Any) -> None:
    lab.apply(pod("small", container=requests(cpu="1")))
    lab.apply(pod("picky", nodeSelector={"disk": "ssd"}))
    lab.apply(pod("big", container=requests(cpu="3500m"), nodeSelector={"kubernetes.io/hostname": "node1"}))
    where = node_of(lab, "small")
    lab.advance(5)
    assert (counted(lab, "picky"), node_of(lab, "picky")) == (1, None)
    # Room on a node is of no use to a pod that waits for a label.
    lab.delete("Pod", "small", gracePeriodSeconds=0)
    lab.advance(5)
    assert counted(lab, "picky") == 1
    # Nor is the removal of a taint, or a node that is cordoned.
    lab.patch("Node", "node2", {"spec": {"unschedulable": True}}, how="merge")
    lab.patch("Node", "node2", {"spec": {"unschedulable": None}}, how="merge")
    lab.advance(5)
    assert counted(lab, "picky") == 1
    lab.patch("Node", "node3", {"metadata": {"labels": {"disk": "ssd"}}}, how="merge")
    assert node_of(lab, "picky") == "node3"
    assert where is not None


def test_a_taint_that_stays_is_no_news(lab: Any) -> None:
    taint = {"key": "dedicated", "value": "lab", "effect": "NoSchedule"}
    for number in (1, 2, 3):
        lab.patch("Node", f"node{number}", {"spec": {"taints": [taint]}}, how="merge")
    lab.apply(pod("p"))
    assert "3 node(s) had untolerated taint(s)" in why(lab, "p")
    other = {"key": "maintenance", "effect": "NoExecute"}
    lab.patch("Node", "node1", {"spec": {"taints": [taint, other]}}, how="merge")
    lab.advance(2)
    assert counted(lab, "p") == 1
    lab.patch("Node", "node1", {"spec": {"taints": None}}, how="merge")
    assert node_of(lab, "p") == "node1"


def test_the_five_minute_look_comes_anyway(lab: Any) -> None:
    lab.apply(pod("p", nodeSelector={"disk": "ssd"}))
    lab.advance(310)
    assert counted(lab, "p") == 2


def test_pods_tied_to_one_node_say_so(lab: Any) -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node2"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    lab.apply(pod("p", affinity=affinity, container=requests(cpu="100")))
    assert why(lab, "p") == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        f"no new claims to deallocate, {NO_HELP}"
    )
    lab.apply(pod("fits", affinity=affinity))
    assert node_of(lab, "fits") == "node2"


def test_pods_held_by_a_gate(lab: Any) -> None:
    lab.apply(pod("p", schedulingGates=[{"name": "example.com/wait"}]))
    lab.advance(5)
    (found,) = lab.get("Pod", "p")["status"]["conditions"]
    assert (found["status"], found["reason"]) == ("False", "SchedulingGated")
    assert not lab.events(reason="FailedScheduling")
    lab.patch("Pod", "p", {"spec": {"schedulingGates": None}}, how="merge")
    assert node_of(lab, "p") is not None


def test_waiting_pods_are_served_by_priority(lab: Any) -> None:
    for name, value in (("low", 1), ("high", 100)):
        body = {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name},
            "value": value,
            "preemptionPolicy": "Never",
        }
        lab.store.create("priorityclasses.scheduling.k8s.io", body)
    pinned = {"kubernetes.io/hostname": "node1"}
    lab.apply(pod("holder", container=requests(cpu="4"), nodeSelector=pinned))
    for name in ("low", "high"):
        entry = pod(name, container=requests(cpu="3"), nodeSelector=pinned, priorityClassName=name)
        entry["spec"]["preemptionPolicy"] = "Never"
        lab.apply(entry)
    lab.delete("Pod", "holder", gracePeriodSeconds=0)
    lab.advance(1)
    # The one of low priority has waited longer.
    assert (node_of(lab, "high"), node_of(lab, "low")) == ("node1", None)
