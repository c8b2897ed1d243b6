"""A small embedded cluster with a workload that belongs to no application, broken and repaired with kubectl lines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stratus.cluster.kube.cluster import KubeCluster
from stratus.cluster.kubectl.compiler import compile_command
from stratus.detection.anomaly import detect
from stratus.detection.collection import collect
from stratus.diagnosis.logs import mine
from stratus.diagnosis.rules import RulesReasoner
from stratus.kit.clock import VirtualClock, iso, parse_iso
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection, Diagnosis, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.knowledge import Runbook
from stratus.model.reports import Attempt
from stratus.settings import Settings
from stratus.sim.api import ApiServer
from stratus.sim.controlplane import ControlPlane
from stratus.sim.furniture import furnish
from stratus.sim.generic import GenericRuntime
from stratus.sim.registry import ImageRegistry
from stratus.sim.store import Store
from stratus.sim.transport import in_process_api_client
from stratus.telemetry.base import Telemetry

START = parse_iso("2026-01-05T09:00:00Z")
IMAGE = "registry.local/demo/app:v1"

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-settings, namespace: shop}
data: {greeting: hello, colour: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      containers:
        - name: app
          image: registry.local/demo/app:v1
          ports: [{name: http, containerPort: 80}]
          env:
            - name: GREETING
              valueFrom: {configMapKeyRef: {name: web-settings, key: greeting}}
            - {name: MODE, value: normal}
          readinessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 5}
          resources: {requests: {cpu: 50m, memory: 32Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop, labels: {app: other}}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec:
      containers:
        - {name: app, image: "registry.local/demo/app:v2", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: other}, ports: [{port: 8080}]}
"""


class Lab:
    """The cluster, its clock, and the eyes and hands of a person with kubectl."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        rng = random.Random(7)
        self.store = Store(self.clock, rng)
        furnish(self.store, START, nodes=3)
        registry = ImageRegistry()
        self.runtime = GenericRuntime(registry)
        self.control = ControlPlane(self.store, self.clock, rng, registry, self.runtime)
        self.api = ApiServer(self.store, self.clock, rng=rng, drain=self.control.drain, log_backend=self._logs)
        self.control.admit = self.api.admit_pod
        self.control.drain()
        self.cluster = KubeCluster(in_process_api_client(self.api))
        self.attempts: list[Attempt] = []
        self.ledger: tuple[Hypothesis, ...] = ()
        self.runbooks: tuple[Runbook, ...] = ()

    def close(self) -> None:
        """Close clients and threads."""
        self.cluster.close()
        self.control.close()
        self.api.close()

    def _logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        previous: bool,
        tail: int | None,
        since: int | None,
        stamps: bool,
    ) -> str:
        stored = self.store.get("pods", namespace, pod)
        assert stored is not None
        every = [*(stored["spec"].get("initContainers") or ()), *stored["spec"]["containers"]]
        spec = next(c for c in every if not container or c["name"] == container)
        rows = self.runtime.logs(stored, spec, previous=previous, since=None, limit=tail or 200)
        return "".join(f"{iso(at)} {text}\n" if stamps else f"{text}\n" for at, text in rows)

    def kubectl(self, line: str, manifest: str = "", manager: str = "kubectl") -> None:
        """Run a changing command as kubectl would, under its own name."""
        compiled = compile_command(
            line, namespace="shop", reader=self.cluster.reader, manifest=manifest, clock=self.clock
        )
        for write in compiled.writes:
            self.cluster.writer.write(write.model_copy(update={"field_manager": manager}))

    def apply(self, manifest: str) -> None:
        """Apply a manifest, document by document."""
        for document in manifest.split("\n---\n"):
            self.kubectl("kubectl apply -f -", document, "kubectl-client-side-apply")

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def look(self, telemetry: Telemetry | None = None) -> Observation:
        """Collect."""
        return collect(
            self.cluster.reader, telemetry or Telemetry(), ("shop",), now=self.clock.now(), window=300, step=15,
            baseline=600,
        )  # fmt: skip

    def detection(self, observation: Observation | None = None) -> Detection:
        """Detect."""
        return detect(observation or self.look(), (), health=Settings().health, now=self.clock.now())

    def case(self) -> Case:
        """Write the case file."""
        observation = self.look()
        found = self.detection(observation)
        return Case(
            incident="inc-1", detection=found, observation=observation, templates=mine(observation, found.onset),
            attempts=tuple(self.attempts), ledger=self.ledger, round=len(self.attempts) + 1, runbooks=self.runbooks,
        )  # fmt: skip

    def diagnose(self) -> tuple[Case, Diagnosis, Hypothesis]:
        """Diagnose; the chosen hypothesis comes along."""
        case = self.case()
        diagnosis = RulesReasoner().diagnose(case)
        chosen = diagnosis.hypothesis(diagnosis.chosen)
        assert chosen is not None, (diagnosis.reasoning, [a.summary for a in case.detection.anomalies])
        return case, diagnosis, chosen

    def repair(self) -> list[str]:
        """Diagnose, plan and run the plan; return its commands."""
        case, _, chosen = self.diagnose()
        plan = RulesReasoner().plan(case, chosen)
        assert plan is not None
        for step in plan.steps:
            self.kubectl(step.command)
        return [s.command for s in plan.steps]

    def workload(self, name: str = "web") -> dict[str, Any]:
        """Return a Deployment as stored."""
        found = self.store.get("deployments.apps", "shop", name)
        assert found is not None
        return found


@contextmanager
def lab() -> Iterator[Lab]:
    """A cluster in which everything has been well for ten minutes."""
    one = Lab()
    try:
        one.apply(MANIFEST)
        one.advance(600)
        yield one
    finally:
        one.close()
