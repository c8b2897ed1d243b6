"""The engine on the embedded cluster through the official client: real admission, controllers, managed fields."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl import compile_command
from stratus.errors import CommandRefused
from stratus.kit.clock import VirtualClock, parse_iso
from stratus.model.actions import PlannedWrite
from stratus.model.base import Json
from stratus.model.refs import ObjectRef
from stratus.settings import HealthSettings, Settings
from stratus.sim.api import ApiServer
from stratus.sim.controlplane import ControlPlane
from stratus.sim.furniture import furnish
from stratus.sim.generic import GenericRuntime
from stratus.sim.registry import ImageRegistry
from stratus.sim.store import Store
from stratus.sim.transport import in_process_api_client
from stratus.telemetry.base import Telemetry
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.essence import essence
from stratus.transaction.sampling import HealthProbe
from stratus.transaction.sqlite import SqliteJournal
from stratus.transaction.verdict import Conditions

START = parse_iso("2026-01-05T09:00:00Z")
SETTINGS = Settings(health=HealthSettings(settle_max=60.0))
OWN = ("Deployment", "Service", "ConfigMap", "Secret", "NetworkPolicy", "HorizontalPodAutoscaler")


class Room:
    """A small cluster with a client, an engine and a clock that costs nothing."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.clock, rng = VirtualClock(START), random.Random(7)
        self.store = Store(self.clock, rng)
        furnish(self.store, START, nodes=2)
        registry = ImageRegistry()
        self.control = ControlPlane(self.store, self.clock, rng, registry, GenericRuntime(registry))
        self.api = ApiServer(self.store, self.clock, rng=rng, drain=self.control.drain)
        self.control.admit = self.api.admit_pod
        self.client = in_process_api_client(self.api)
        self.cluster = KubeCluster(self.client)
        self.journal = journal
        self.control.drain()

    def close(self) -> None:
        self.cluster.close()
        self.client.close()
        self.control.close()
        self.api.close()

    def engine(self, identity: str = "one") -> TransactionEngine:
        probe = HealthProbe(
            reader=self.cluster.reader, telemetry=Telemetry(), clock=self.clock, settings=SETTINGS.health
        )
        return TransactionEngine(
            reader=self.cluster.reader,
            writer=self.cluster.writer,
            journal=self.journal,
            clock=self.clock,
            probe=probe,
            settings=SETTINGS,
            identity=identity,
        )

    def planned(self, command: str, manifest: str = "") -> tuple[PlannedWrite, ...]:
        found = compile_command(
            command, namespace="default", reader=self.cluster.reader, manifest=manifest, clock=self.clock
        )
        plans = []
        for write in found.writes:
            before = self.cluster.reader.get(write.target) if write.method != "POST" else None
            answer = self.cluster.rehearser.dry_run(write)
            after = None if write.method == "DELETE" else answer
            plans.append(
                PlannedWrite(write=write, command=command, reversibility="exact", pre_image=before, dry_run=after)
            )
        return tuple(plans)

    def run(self, command: str, manifest: str = "") -> None:
        """Do something as a person would, past the engine."""
        for plan in self.planned(command, manifest):
            self.cluster.writer.write(plan.write)
        self.clock.advance(20)

    def all(self) -> dict[tuple[str, str], Json]:
        """Return what people own in the namespace, without server-managed fields."""
        return {
            (kind, obj["metadata"]["name"]): essence({"kind": kind, **obj}) or {}
            for kind in OWN
            for obj in self.cluster.reader.list(kind, "default")
        }

    def uids(self, kind: str) -> set[str]:
        return {obj["metadata"]["uid"] for obj in self.cluster.reader.list(kind, "default")}


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80}]
        env: [{name: MODE, value: slow}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {uid: "1", metadata: "2", mode: slow}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: x}
"""


@pytest.fixture
def room(journal: SqliteJournal) -> Iterator[Room]:
    made = Room(journal)
    made.run("kubectl create -f -", MANIFEST)
    yield made
    made.close()


COMMANDS = (
    "kubectl scale deployment/web --replicas=4",
    "kubectl set image deployment/web web=nginx:1.28",
    "kubectl set env deployment/web MODE=fast EXTRA=1",
    "kubectl set env deployment/web MODE-",
    "kubectl set resources deployment/web --limits=cpu=200m,memory=128Mi --requests=cpu=100m",
    "kubectl label deployment/web tier=front",
    "kubectl label deployment/web app-",
    "kubectl annotate service/web note=hello",
    "kubectl rollout restart deployment/web",
    'kubectl patch service web -p \'{"spec":{"selector":{"app":"other"}}}\'',
    "kubectl patch deployment web --type=json "
    '-p \'[{"op":"add","path":"/spec/template/spec/containers/0/args","value":["-v"]}]\'',
    'kubectl patch configmap conf --type=merge -p \'{"data":{"uid":null,"metadata":"9","more":"3"}}\'',
    "kubectl set selector service/web app=web,tier=front",
    "kubectl create configmap fresh --from-literal=a=b",
    "kubectl create deployment extra --image=nginx:1.27",
    "kubectl expose deployment web --name=again --port=81",
    "kubectl autoscale deployment web --min=1 --max=3 --cpu-percent=50",
    "kubectl delete configmap conf",
    "kubectl delete secret key",
    "kubectl delete service web",
    "kubectl delete deployment web",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_kubectl_does_is_taken_back_exactly(command: str, room: Room) -> None:
    before = room.all()
    plans = room.planned(command)
    assert plans
    engine = room.engine()
    txn = engine.begin("i", "t", plans, "default")
    assert txn.state == "applied", txn.reason
    assert room.all() != before
    txn = engine.undo("t", "test")
    assert txn.state == "undone", txn.reason
    assert room.all() == before


def test_rollout_undo_is_taken_back(room: Room) -> None:
    room.run("kubectl set image deployment/web web=nginx:1.28")
    before = room.all()
    engine = room.engine()
    engine.begin("i", "t", room.planned("kubectl rollout undo deployment/web"), "default")
    assert room.all() != before
    assert engine.undo("t", "test").state == "undone"
    assert room.all() == before


def test_history_survives_the_deletion_of_a_deployment(room: Room) -> None:
    room.run("kubectl set image deployment/web web=nginx:1.28")
    pods, sets = room.uids("Pod"), room.uids("ReplicaSet")
    assert len(sets) == 2
    engine = room.engine()
    engine.begin("i", "t", room.planned("kubectl delete deployment web"), "default")
    assert room.uids("Pod") == pods
    assert engine.undo("t", "test").state == "undone"
    room.clock.advance(20)
    assert (room.uids("Pod"), room.uids("ReplicaSet")) == (pods, sets)


FAULTS = {
    "bad image": (
        "kubectl set image deployment/web web=nginx:does-not-exist",
        "kubectl set image deployment/web web=nginx:1.27",
    ),
    "scaled to zero": ("kubectl scale deployment/web --replicas=0", "kubectl scale deployment/web --replicas=2"),
    "wrong selector": (
        "kubectl patch service web -p '{\"spec\":{\"selector\":{\"app\":\"webb\"}}}'",
        "kubectl patch service web -p '{\"spec\":{\"selector\":{\"app\":\"web\"}}}'",
    ),
    "wrong port": (
        "kubectl patch service web -p '{\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":8080}]}}'",
        "kubectl patch service web -p '{\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":80}]}}'",
    ),
    "too big": (
        "kubectl set resources deployment/web --requests=cpu=900",
        "kubectl set resources deployment/web --requests=cpu=10m",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_healed_and_judged_from_objects(fault: str, room: Room) -> None:
    """A useless change first, which is undone; then the right one, which is kept."""
    inject, heal = FAULTS[fault]
    room.run(inject)
    room.clock.advance(60)
    broken = room.all()
    engine = room.engine()
    conditions = Conditions(services=("default/web",))
    engine.begin("i", "t1", room.planned("kubectl set env deployment/web GUESS=1"), "default")
    report = engine.validate("t1", conditions)
    assert report.verdict in ("UNCHANGED", "REGRESSED"), report.reason
    assert engine.undo("t1", report.reason).state == "undone"
    assert room.all() == broken
    room.clock.advance(30)
    engine.begin("i", "t2", room.planned(heal), "default")
    report = engine.validate("t2", conditions)
    assert report.verdict == "RESOLVED", report
    assert report.from_objects_only
    assert engine.commit("t2").state == "committed"


def test_silencing_is_seen(room: Room) -> None:
    room.run("kubectl set image deployment/web web=nginx:does-not-exist")
    engine = room.engine()
    engine.begin("i", "t", room.planned("kubectl scale deployment/web --replicas=0"), "default")
    assert engine.validate("t", Conditions(services=("default/web",))).verdict == "REGRESSED"
    assert engine.undo("t", "silenced").state == "undone"


def test_an_autoscaler_in_between(room: Room) -> None:
    before = room.all()
    engine = room.engine()
    engine.begin("i", "t", room.planned("kubectl set image deployment/web web=nginx:1.28"), "default")
    room.run("kubectl scale deployment/web --replicas=5")
    assert engine.undo("t", "test").state == "undone"
    after = room.all()
    web = after[("Deployment", "web")]
    assert web["spec"].pop("replicas") == 5
    before[("Deployment", "web")]["spec"].pop("replicas")
    assert after == before


def test_refused_kinds(room: Room) -> None:
    room.run("kubectl create namespace other")
    plans = room.planned("kubectl delete namespace other")
    with pytest.raises(CommandRefused):
        room.engine().begin("i", "t", plans, "default")


def test_lease_on_a_real_api(room: Room) -> None:
    engine = room.engine()
    engine.begin("i", "t", room.planned("kubectl scale deployment/web --replicas=3"), "default")
    ref = ObjectRef(api_version="coordination.k8s.io/v1", kind="Lease", namespace="default", name="stratus-writer")
    lease = room.cluster.reader.get(ref)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "one"
    room.clock.advance(31)
    (txn,) = room.engine("two").recover()
    assert txn.state == "undone"
    assert (room.cluster.reader.get(ref) or {})["spec"].get("holderIdentity") is None
