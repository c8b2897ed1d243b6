"""Claims and volumes: binding, provisioning, reclaiming, resizing, attaching, and what pods are told meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": body}


def volume(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    body = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual",
        "hostPath": {"path": f"/mnt/{name}"},
        **spec,
    }
    labels = body.pop("labels", {})
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels}, "spec": body,
    }  # fmt: skip


def kind(name: str, provisioner: str = "rancher.io/local-path", **more: Any) -> dict[str, Any]:
    meta = {"name": name, **more.pop("meta", {})}
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": meta}
    return {**head, "provisioner": provisioner, **more}


def user(name: str = "user", claim_: str = "data", **spec: Any) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "busybox:1.36",
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "v", "mountPath": "/data"}],
    }
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim_}}]
    body = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def status(lab: Any, name: str = "data") -> Any:
    return lab.get("PersistentVolumeClaim", name)["status"]


def phase(lab: Any, name: str) -> str:
    return str(lab.get("PersistentVolume", name)["status"]["phase"])


def told(lab: Any, of: str = "PersistentVolumeClaim", namespace: str = "default") -> list[tuple[str, str, str]]:
    found = [e for e in lab.events(namespace) if e["involvedObject"]["kind"] == of]
    found.sort(key=lambda e: (e["firstTimestamp"] or "", e["metadata"]["name"]))
    return [(e["type"], e["reason"], e["message"]) for e in found]


def count(lab: Any, reason: str) -> int:
    return sum(e.get("count", 1) for e in lab.events(reason=reason))


# static volumes


def test_the_smallest_volume_that_fits_is_bound(lab: Any) -> None:
    for name, size in (("big", "9Gi"), ("mid", "3Gi"), ("small", "1Gi")):
        lab.apply(volume(name, size))
    assert phase(lab, "mid") == "Available"
    lab.apply(claim(size="2Gi", storageClassName="manual"))
    found = lab.get("PersistentVolumeClaim", "data")
    assert found["spec"]["volumeName"] == "mid"
    assert found["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "3Gi"}}
    assert found["metadata"]["annotations"] == {
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    bound = lab.get("PersistentVolume", "mid")
    assert (bound["status"]["phase"], bound["spec"]["claimRef"]["uid"]) == ("Bound", found["metadata"]["uid"])
    assert bound["status"]["lastPhaseTransitionTime"] == "2026-01-05T09:00:00Z"
    assert bound["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({}, True),
        ({"size": "2Gi"}, False),
        ({"accessModes": ["ReadWriteMany"]}, False),
        ({"volumeMode": "Block"}, False),
        ({"storageClassName": "other"}, False),
        ({"selector": {"matchLabels": {"tier": "fast"}}}, True),
        ({"selector": {"matchLabels": {"tier": "slow"}}}, False),
        ({"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}, True),
    ],
)
def test_what_a_claim_asks_for(lab: Any, spec: dict[str, Any], fits: bool) -> None:
    lab.request("POST", CLASSES, kind("other", "kubernetes.io/no-provisioner"))
    lab.request("POST", CLASSES, kind("manual", "kubernetes.io/no-provisioner"))
    lab.apply(volume("v", labels={"tier": "fast"}))
    lab.apply(claim(**{"storageClassName": "manual", **spec}))
    assert (status(lab)["phase"] == "Bound") is fits


def test_volumes_reserved_for_a_claim(lab: Any) -> None:
    lab.apply(volume("tiny-but-mine", "1Gi", claimRef={"namespace": "default", "name": "data"}))
    lab.apply(volume("foreign", claimRef={"namespace": "default", "name": "other"}))
    lab.apply(volume("free"))
    lab.apply(claim(storageClassName="manual"))
    assert lab.get("PersistentVolumeClaim", "data")["spec"]["volumeName"] == "tiny-but-mine"
    assert phase(lab, "foreign") == "Available"


def test_a_volume_asked_for_by_name(lab: Any) -> None:
    lab.apply(volume("v", "1Gi"))
    lab.apply(claim("one", "5Gi", storageClassName="manual", volumeName="v"))
    assert told(lab) == [
        ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "v": requested PV is too small')
    ]
    lab.apply(claim("two", storageClassName="manual", volumeName="v"))
    assert status(lab, "two")["phase"] == "Bound"
    assert (
        "pv.kubernetes.io/bound-by-controller" not in lab.get("PersistentVolumeClaim", "two")["metadata"]["annotations"]
    )
    lab.apply(claim("three", storageClassName="manual", volumeName="v"))
    assert told(lab)[-1] == ("Warning", "FailedBinding", 'volume "v" already bound to a different claim.')
    lab.apply(claim("four", storageClassName="manual", volumeName="none"))
    assert status(lab, "four") == {"phase": "Pending"}


def test_what_is_left_when_a_claim_goes(lab: Any) -> None:
    for name, spec in (
        ("keep", {"persistentVolumeReclaimPolicy": "Retain"}),
        ("scratch", {"persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/tmp/x"}}),
        ("host", {"persistentVolumeReclaimPolicy": "Delete"}),
        (
            "nfs",
            {"persistentVolumeReclaimPolicy": "Delete", "hostPath": None, "nfs": {"server": "10.0.0.9", "path": "/x"}},
        ),
    ):
        lab.apply(volume(name, **spec))
        lab.apply(claim(name, storageClassName="manual", volumeName=name))
        lab.delete("PersistentVolumeClaim", name)
    assert (phase(lab, "keep"), lab.get("PersistentVolume", "scratch")) == ("Released", None)
    assert (phase(lab, "host"), phase(lab, "nfs")) == ("Failed", "Failed")
    said = told(lab, "PersistentVolume")
    assert (
        "Warning",
        "VolumeFailedDelete",
        "host_path deleter only supports /tmp/.+ but received provided /mnt/host",
    ) in said
    assert lab.get("PersistentVolume", "nfs")["status"]["message"] == (
        'error getting deleter volume plugin for volume "nfs": no deletable volume plugin matched'
    )
    # A released volume is not given to anybody, not even to a claim of the same name.
    lab.apply(claim("keep", storageClassName="manual"))
    lab.advance(30)
    assert status(lab, "keep") == {"phase": "Pending"}
    lab.patch("PersistentVolume", "keep", {"spec": {"claimRef": None}}, how="merge")
    assert status(lab, "keep")["phase"] == "Bound"


def test_claims_and_volumes_in_use_are_protected(lab: Any) -> None:
    lab.apply(volume("v"))
    lab.apply(claim(storageClassName="manual"))
    lab.apply(user())
    lab.advance(10)
    lab.delete("PersistentVolumeClaim", "data")
    lab.delete("PersistentVolume", "v")
    lab.advance(30)
    assert "deletionTimestamp" in lab.get("PersistentVolumeClaim", "data")["metadata"]
    assert "deletionTimestamp" in lab.get("PersistentVolume", "v")["metadata"]
    lab.delete("Pod", "user")
    lab.advance(10)
    assert lab.get("PersistentVolumeClaim", "data") is None
    assert lab.get("PersistentVolume", "v") is None


def test_the_finalizers_that_protect_come_back(lab: Any) -> None:
    lab.apply(volume("v"))
    lab.apply(claim(storageClassName="manual"))
    for kind_, name in (("PersistentVolumeClaim", "data"), ("PersistentVolume", "v")):
        before = lab.get(kind_, name)["metadata"]["finalizers"]
        lab.patch(kind_, name, {"metadata": {"finalizers": None}}, how="merge")
        assert lab.get(kind_, name)["metadata"]["finalizers"] == before


def test_a_claim_that_lost_its_volume(lab: Any) -> None:
    lab.apply(volume("v"))
    lab.apply(claim(storageClassName="manual"))
    lab.delete("PersistentVolume", "v")
    assert status(lab)["phase"] == "Bound"
    lab.patch("PersistentVolume", "v", {"metadata": {"finalizers": None}}, how="merge")
    assert status(lab)["phase"] == "Lost"
    assert told(lab) == [
        ("Warning", "ClaimLost", "Bound claim has lost its PersistentVolume. Any data on the volume is lost!")
    ]


def test_local_volumes_draw_their_pods(lab: Any) -> None:
    lab.request(
        "POST", CLASSES, kind("local", "kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer")
    )
    lab.apply(claim(storageClassName="local"))
    assert told(lab)[-1][1:] == ("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    lab.apply(user())
    assert lab.get("Pod", "user")["spec"].get("nodeName") is None
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    lab.apply(volume("l", storageClassName="local", hostPath=None, local={"path": "/disk"}, nodeAffinity=affinity))
    lab.advance(20)
    assert lab.get("Pod", "user")["spec"]["nodeName"] == "node2"
    assert lab.get("PersistentVolumeClaim", "data")["spec"]["volumeName"] == "l"


# classes


def test_waiting_is_told_at_once_and_with_every_beat(lab: Any) -> None:
    lab.store.delete("storageclasses.storage.k8s.io", "", "standard")
    lab.advance(4)
    lab.apply(claim())
    text = "no persistent volumes available for this claim and no storage class is set"
    assert told(lab) == [("Normal", "FailedBinding", text)]
    lab.advance(12)
    assert count(lab, "FailedBinding") == 2
    lab.advance(45)
    assert count(lab, "FailedBinding") == 5
    lab.apply(claim("odd", storageClassName="nope"))
    assert told(lab)[-1] == ("Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "nope" not found')


def test_the_default_class_comes_late(lab: Any) -> None:
    lab.store.delete("storageclasses.storage.k8s.io", "", "standard")
    lab.apply(claim())
    assert "storageClassName" not in lab.get("PersistentVolumeClaim", "data")["spec"]
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    lab.request("POST", CLASSES, kind("later", meta=default))
    lab.advance(5)
    assert lab.get("PersistentVolumeClaim", "data")["spec"]["storageClassName"] == "later"
    assert status(lab)["phase"] == "Bound"


def test_provisioning_at_once(lab: Any) -> None:
    lab.request("POST", CLASSES, kind("now", reclaimPolicy="Delete", mountOptions=["noatime"]))
    lab.apply(claim(storageClassName="now"))
    lab.advance(3)
    found = lab.get("PersistentVolumeClaim", "data")
    name = f"pvc-{found['metadata']['uid']}"
    made = lab.get("PersistentVolume", name)
    assert (found["status"]["phase"], made["spec"]["mountOptions"]) == ("Bound", ["noatime"])
    assert made["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == "rancher.io/local-path"
    assert found["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == "rancher.io/local-path"
    assert sorted(r for _, r, _ in told(lab)) == ["ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"]
    lab.delete("PersistentVolumeClaim", "data")
    assert lab.get("PersistentVolume", name) is None


def test_the_shipped_class_waits_for_a_pod_and_keeps_it_where_it_is(lab: Any) -> None:
    lab.apply(claim())
    lab.advance(16)
    assert status(lab)["phase"] == "Pending"
    lab.apply(user(nodeSelector={"disk": "ssd"}))
    lab.advance(16)
    assert told(lab)[-1] == ("Normal", "WaitForPodScheduled", "waiting for pod user to be scheduled")
    lab.patch("Node", "node3", {"metadata": {"labels": {"disk": "ssd"}}}, how="merge")
    lab.advance(20)
    assert status(lab)["phase"] == "Bound"
    assert lab.get("Pod", "user")["status"]["phase"] == "Running"
    lab.delete("Pod", "user")
    lab.advance(5)
    lab.apply(user("again"))
    lab.advance(5)
    assert lab.get("Pod", "again")["spec"]["nodeName"] == "node3"


def test_a_provisioner_that_does_not_run(lab: Any) -> None:
    lab.request("POST", CLASSES, kind("cloud", "ebs.csi.aws.com"))
    lab.apply(claim(storageClassName="cloud"))
    lab.advance(60)
    assert status(lab) == {"phase": "Pending"}
    assert told(lab) == [
        (
            "Normal",
            "ExternalProvisioning",
            "Waiting for a volume to be created either by the external provisioner 'ebs.csi.aws.com' or manually by "
            "the system administrator. If volume creation is delayed, please verify that the provisioner is running "
            "and correctly registered.",
        )
    ]
    assert count(lab, "ExternalProvisioning") == 5
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "ebs.csi.aws.com"},
        "spec": {},
    }
    lab.request("POST", "/apis/storage.k8s.io/v1/csidrivers", driver)
    lab.advance(20)
    assert status(lab)["phase"] == "Bound"


def test_a_provisioner_that_fails(lab: Any) -> None:
    note = {"annotations": {"sim.stratus.dev/provisioning-error": "rpc error: code = ResourceExhausted desc = quota"}}
    lab.request("POST", CLASSES, kind("full", meta=note))
    lab.apply(claim(storageClassName="full"))
    lab.advance(40)
    assert ("Warning", "ProvisioningFailed",
            'failed to provision volume with StorageClass "full": rpc error: code = ResourceExhausted desc = quota',
            ) in told(lab)  # fmt: skip
    assert count(lab, "ProvisioningFailed") == 3
    lab.request("PATCH", f"{CLASSES}/full", {"metadata": {"annotations": None}}, kind="application/merge-patch+json")
    lab.advance(20)
    assert status(lab)["phase"] == "Bound"


# resizing


def grow(lab: Any, size: str, name: str = "data") -> Any:
    path = lab.path("PersistentVolumeClaim", "default", name)
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    return lab.request("PATCH", path, body, kind="application/merge-patch+json", ok=False)


def test_a_mounted_volume_grows(lab: Any) -> None:
    lab.apply(claim())
    lab.apply(user())
    lab.advance(20)
    name = lab.get("PersistentVolumeClaim", "data")["spec"]["volumeName"]
    grow(lab, "3Gi")
    assert [c["type"] for c in status(lab)["conditions"]] == ["Resizing"]
    lab.advance(1.5)
    (waiting,) = status(lab)["conditions"]
    assert (waiting["type"], waiting["message"]) == (
        "FileSystemResizePending",
        "Waiting for user to (re-)start a pod to finish file system resize of volume on node.",
    )
    assert (lab.get("PersistentVolume", name)["spec"]["capacity"], status(lab)["capacity"]) == (
        {"storage": "3Gi"}, {"storage": "1Gi"},
    )  # fmt: skip
    lab.advance(5)
    assert (status(lab)["capacity"], "conditions" in status(lab)) == ({"storage": "3Gi"}, False)
    node = lab.get("Pod", "user")["spec"]["nodeName"]
    done = f'MountVolume.NodeExpandVolume succeeded for volume "{name}" {node}'
    assert ("Normal", "FileSystemResizeSuccessful", done) in told(lab, "Pod")
    assert [r for _, r, _ in told(lab)][-3:] == ["Resizing", "FileSystemResizeRequired", "FileSystemResizeSuccessful"]


def test_an_unmounted_one_waits_for_a_pod(lab: Any) -> None:
    lab.request("POST", CLASSES, kind("now", allowVolumeExpansion=True))
    lab.apply(claim(storageClassName="now"))
    lab.advance(3)
    grow(lab, "2Gi")
    lab.advance(60)
    assert status(lab)["conditions"][0]["type"] == "FileSystemResizePending"
    lab.apply(user())
    lab.advance(10)
    assert status(lab)["capacity"] == {"storage": "2Gi"}


# mounting


def csi(lab: Any) -> None:
    driver = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "disk.csi.example.com"},
              "spec": {"attachRequired": True}}  # fmt: skip
    lab.request("POST", "/apis/storage.k8s.io/v1/csidrivers", driver)
    lab.request("POST", CLASSES, kind("disk", "disk.csi.example.com"))
    lab.apply(claim(storageClassName="disk"))
    lab.advance(3)


def test_a_volume_is_attached_to_one_node_at_a_time(lab: Any) -> None:
    csi(lab)
    name = lab.get("PersistentVolumeClaim", "data")["spec"]["volumeName"]
    lab.apply(user("first", nodeName="node1"))
    lab.advance(10)
    assert lab.get("Pod", "first")["status"]["phase"] == "Running"
    assert ("Normal", "SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{name}" ') in told(
        lab, "Pod"
    )
    (attachment,) = lab.store.list("volumeattachments.storage.k8s.io")
    assert (attachment["spec"]["nodeName"], attachment["status"]) == ("node1", {"attached": True})
    lab.apply(user("beside", nodeName="node1"))
    lab.apply(user("second", nodeName="node2"))
    lab.advance(10)
    assert lab.get("Pod", "beside")["status"]["phase"] == "Running"
    second = lab.get("Pod", "second")["status"]
    assert second["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"
    assert told(lab, "Pod")[-1] == (
        "Warning",
        "FailedAttachVolume",
        f'Multi-Attach error for volume "{name}" Volume is already used by pod(s) beside, first',
    )
    lab.advance(125)
    assert told(lab, "Pod")[-1] == (
        "Warning",
        "FailedMount",
        "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process "
        "volumes=[]: "
        "context deadline exceeded",
    )
    lab.delete("Pod", "first")
    lab.delete("Pod", "beside")
    lab.advance(15)
    assert lab.get("Pod", "second")["status"]["phase"] == "Running"
    assert [a["spec"]["nodeName"] for a in lab.store.list("volumeattachments.storage.k8s.io")] == ["node2"]


def test_shared_volumes_are_attached_to_many(lab: Any) -> None:
    csi(lab)
    lab.apply(claim("shared", storageClassName="disk", accessModes=["ReadWriteMany"]))
    lab.advance(3)
    for number in (1, 2):
        lab.apply(user(f"u{number}", "shared", nodeName=f"node{number}"))
    lab.advance(15)
    assert {lab.get("Pod", f"u{n}")["status"]["phase"] for n in (1, 2)} == {"Running"}


def test_a_pod_put_on_a_node_waits_for_its_claim(lab: Any) -> None:
    lab.apply(user(nodeName="node1"))
    lab.advance(130)
    assert lab.get("Pod", "user")["status"]["phase"] == "Pending"
    assert told(lab, "Pod")[-1] == (
        "Warning",
        "FailedMount",
        "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process "
        "volumes=[v]: error processing PVC default/data: failed to fetch PVC from API server: "
        'persistentvolumeclaims "data" not found',
    )
    lab.apply(volume("v"))
    lab.apply(claim(storageClassName="manual"))
    lab.advance(10)
    assert lab.get("Pod", "user")["status"]["phase"] == "Running"


def test_ephemeral_claims_live_as_long_as_their_pod(lab: Any) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    volumes = [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}}]
    lab.apply(user(volumes=volumes))
    lab.advance(20)
    found = lab.get("PersistentVolumeClaim", "user-v")
    assert (found["status"]["phase"], found["metadata"]["labels"]) == ("Bound", {"a": "b"})
    assert lab.get("Pod", "user")["status"]["phase"] == "Running"
    lab.delete("Pod", "user")
    lab.advance(20)
    assert lab.get("PersistentVolumeClaim", "user-v") is None
