"""A cluster on a virtual clock for the tests of what runs behind the API, with a few kubectl verbs in process."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stratus.kit.clock import VirtualClock, iso, parse_iso
from stratus.sim.api import ApiServer, Request
from stratus.sim.controlplane import ControlPlane
from stratus.sim.furniture import furnish
from stratus.sim.generic import GenericRuntime
from stratus.sim.registry import ImageRegistry
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Change, Obj, Store

START = parse_iso("2026-01-05T09:00:00Z")
ALIASES = {
    "deploy": "Deployment", "deployment": "Deployment", "ds": "DaemonSet", "sts": "StatefulSet", "job": "Job",
    "cm": "ConfigMap", "configmap": "ConfigMap", "pod": "Pod", "svc": "Service", "quota": "ResourceQuota",
    "pdb": "PodDisruptionBudget", "namespace": "Namespace", "node": "Node", "rs": "ReplicaSet",
    "hpa": "HorizontalPodAutoscaler",
}  # fmt: skip
KINDS = {
    "Namespace": ("/api/v1", "namespaces"), "Node": ("/api/v1", "nodes"), "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"), "ConfigMap": ("/api/v1", "configmaps"), "Secret": ("/api/v1", "secrets"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"), "ResourceQuota": ("/api/v1", "resourcequotas"),
    "LimitRange": ("/api/v1", "limitranges"), "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"), "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"), "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"), "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"), "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
}  # fmt: skip
CLUSTER = {"Namespace", "Node", "PersistentVolume", "StorageClass"}
PATCHES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


class Lab:
    """Store, clock, API and control plane; every change is kept with its moment."""

    def __init__(self, seed: int = 0, nodes: int = 3) -> None:
        self.clock = VirtualClock(START)
        self.rng = random.Random(seed)
        self.store = Store(self.clock, self.rng)
        furnish(self.store, START, nodes=nodes)
        self.registry = ImageRegistry()
        self.runtime = GenericRuntime(self.registry)
        self.control = ControlPlane(self.store, self.clock, self.rng, self.registry, self.runtime)
        self.api = ApiServer(self.store, self.clock, rng=self.rng, drain=self.control.drain, exec_backend=self._exec)
        self.control.admit = self.api.admit_pod
        self.history: list[tuple[float, Change]] = []
        self.store.subscribe(lambda change: self.history.append((self.clock.now() - START, change)))
        self.control.drain()

    def close(self) -> None:
        self.control.close()
        self.api.close()

    # the API

    def request(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", ok: bool = True
    ) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": kind, "accept": "application/json"}
        answer = self.api.handle(Request(method, path, headers, data))
        if ok:
            assert answer.status < 300, (method, path, answer.obj)
        return answer.obj

    def path(self, kind: str, namespace: str, name: str = "") -> str:
        prefix, plural = KINDS[kind]
        space = "" if kind in CLUSTER else f"/namespaces/{namespace}"
        return f"{prefix}{space}/{plural}" + (f"/{name}" if name else "")

    def apply(self, manifest: str | Obj, namespace: str = "default", *, ok: bool = True) -> None:
        documents = yaml.safe_load_all(manifest) if isinstance(manifest, str) else [manifest]
        for obj in documents:
            if not obj:
                continue
            where = obj["metadata"].get("namespace", namespace)
            found = self.get(obj["kind"], obj["metadata"]["name"], where)
            if found is None:
                self.request("POST", self.path(obj["kind"], where), obj, ok=ok)
            else:
                target = self.path(obj["kind"], where, obj["metadata"]["name"])
                self.request("PATCH", target, obj, kind=PATCHES["strategic"])

    def get(self, kind: str, name: str, namespace: str = "default") -> Obj | None:
        prefix, plural = KINDS[kind]
        group = prefix.split("/")[2] if prefix.startswith("/apis/") else ""
        resource = f"{plural}.{group}" if group else plural
        return self.store.get(resource, "" if kind in CLUSTER else namespace, name)

    def patch(self, kind: str, name: str, patch: Any, namespace: str = "default", how: str = "strategic") -> Obj:
        return self.request("PATCH", self.path(kind, namespace, name), patch, kind=PATCHES[how])

    def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        self.request("DELETE", self.path(kind, namespace, name), options or None)

    def _exec(self, namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        return self.exec(pod, argv, namespace=namespace, container=container)

    def exec(self, pod: str, argv: list[str], *, namespace: str = "default", container: str = "") -> ExecResult:
        stored = self.store.get("pods", namespace, pod)
        assert stored is not None
        spec = next(c for c in stored["spec"]["containers"] if not container or c["name"] == container)
        result = self.runtime.exec(stored, spec, argv, "")
        self.control.drain()
        return result

    # looking

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def pods(self, namespace: str = "default", **labels: str) -> list[Obj]:
        return [
            p
            for p in self.store.list("pods", namespace)
            if all((p["metadata"].get("labels") or {}).get(k) == v for k, v in labels.items())
        ]

    def events(self, namespace: str = "default", reason: str = "") -> list[Obj]:
        return [e for e in self.store.list("events", namespace) if not reason or e["reason"] == reason]

    def logs(self, pod: str, namespace: str = "default", *, previous: bool = False, container: int = 0) -> list[str]:
        stored = self.store.get("pods", namespace, pod)
        assert stored is not None
        spec = stored["spec"]["containers"][container]
        return [text for _, text in self.runtime.logs(stored, spec, previous=previous, since=None, limit=1000)]

    # kubectl's verbs, as far as the recordings use them

    def kubectl(self, argv: list[str], namespace: str, stdin: str = "") -> Any:
        verb, rest = argv[0], argv[1:]
        flags = {a.partition("=")[0]: a.partition("=")[2] for a in rest if a.startswith("--")}
        words: list[str] = []
        position = 0
        while position < len(rest):
            if rest[position] in ("-p", "-l", "-o", "-f"):
                flags[rest[position]] = rest[position + 1]
                position += 2
                continue
            if not rest[position].startswith("-"):
                words.append(rest[position])
            position += 1
        return getattr(self, f"_kubectl_{verb}")(words, flags, namespace, stdin)

    def _target(self, words: list[str]) -> tuple[str, str, list[str]]:
        if "/" in words[0]:
            short, _, name = words[0].partition("/")
            return ALIASES[short], name, words[1:]
        return ALIASES[words[0]], words[1] if len(words) > 1 else "", words[2:]

    def _kubectl_apply(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        self.apply(stdin, namespace)

    def _kubectl_create(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        key, _, value = flags["--from-literal"].partition("=")
        self.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": words[1]}, "data": {key: value}}, namespace
        )

    def _kubectl_set(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        what, words = words[0], words[1:]
        kind, name, pairs = self._target(words)
        if what == "selector":
            self.patch(kind, name, {"spec": {"selector": dict(p.split("=") for p in pairs)}}, namespace, "merge")
            return
        stored = self.get(kind, name, namespace)
        assert stored is not None
        first = stored["spec"]["template"]["spec"]["containers"][0]["name"]
        if what == "image":
            containers = [{"name": p.split("=")[0], "image": p.split("=")[1]} for p in pairs]
        elif what == "env":
            containers = [{"name": first, "env": [{"name": p.split("=")[0], "value": p.split("=")[1]} for p in pairs]}]
        else:
            resources = {
                part: dict(p.split("=") for p in flags[f"--{part}"].split(","))
                for part in ("requests", "limits")
                if f"--{part}" in flags
            }
            containers = [{"name": first, "resources": resources}]
        self.patch(kind, name, {"spec": {"template": {"spec": {"containers": containers}}}}, namespace)

    def _kubectl_patch(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        kind, name, _ = self._target(words)
        self.patch(kind, name, json.loads(flags["-p"]), namespace, flags.get("--type", "strategic"))

    def _kubectl_scale(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        kind, name, _ = self._target(words)
        target = self.path(kind, namespace, name) + "/scale"
        self.request("PATCH", target, {"spec": {"replicas": int(flags["--replicas"])}}, kind=PATCHES["merge"])

    def _kubectl_label(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        kind, name, pairs = self._target(words)
        self.patch(kind, name, {"metadata": {"labels": dict(p.split("=") for p in pairs)}}, namespace, "merge")

    def _kubectl_taint(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        node = self.get("Node", words[1])
        assert node is not None
        taints = list(node["spec"].get("taints") or ())
        for word in words[2:]:
            if word.endswith("-"):
                taints = [t for t in taints if t["key"] != word[:-1]]
            else:
                pair, _, effect = word.partition(":")
                key, _, value = pair.partition("=")
                taints.append({"key": key, "value": value, "effect": effect})
        self.patch("Node", words[1], {"spec": {"taints": taints or None}}, how="merge")

    def _kubectl_uncordon(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        self.patch("Node", words[0], {"spec": {"unschedulable": None}}, how="merge")

    def _kubectl_drain(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        self.patch("Node", words[0], {"spec": {"unschedulable": True}}, how="merge")
        key, _, value = flags["--pod-selector"].partition("=")
        for pod in self.pods(namespace, **{key: value}):
            if pod["spec"].get("nodeName") == words[0]:
                meta = {"name": pod["metadata"]["name"], "namespace": namespace}
                body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
                self.request("POST", self.path("Pod", namespace, meta["name"]) + "/eviction", body, ok=False)

    def _kubectl_delete(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        options: Obj = {}
        policy = {"orphan": "Orphan", "background": "Background", "foreground": "Foreground"}
        options["propagationPolicy"] = policy[flags.get("--cascade") or "background"]
        if "--grace-period" in flags:
            options["gracePeriodSeconds"] = int(flags["--grace-period"])
        if "-l" in flags:
            key, _, value = flags["-l"].partition("=")
            names = [p["metadata"]["name"] for p in self.pods(namespace, **{key: value})]
            kind = ALIASES[words[0]]
        else:
            kind, name, _ = self._target(words)
            names = [name]
        for name in names:
            self.delete(kind, name, namespace, **options)

    def _kubectl_rollout(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        verb, (kind, name, _) = words[0], self._target(words[1:])
        if verb == "restart":
            stamp = {"kubectl.kubernetes.io/restartedAt": iso(self.clock.now())}
            template = {"metadata": {"annotations": stamp}}
            self.patch(kind, name, {"spec": {"template": template}}, namespace)
        elif verb == "undo":
            self._undo(kind, name, namespace, int(flags.get("--to-revision") or 0))

    def _undo(self, kind: str, name: str, namespace: str, revision: int) -> None:
        stored = self.get(kind, name, namespace)
        assert stored is not None
        if kind != "Deployment":
            revisions = [
                o for r, o in self.store.owned_by(stored["metadata"]["uid"]) if r == "controllerrevisions.apps"
            ]
            revisions.sort(key=lambda o: o["revision"])
            self.patch(kind, name, revisions[-2]["data"], namespace)
            return
        note = "deployment.kubernetes.io/revision"
        sets = [o for r, o in self.store.owned_by(stored["metadata"]["uid"]) if r == "replicasets.apps"]
        sets.sort(key=lambda rs: int(rs["metadata"]["annotations"][note]))
        chosen = (
            sets[-2]
            if not revision
            else next(rs for rs in sets if rs["metadata"]["annotations"][note] == str(revision))
        )
        template = json.loads(json.dumps(chosen["spec"]["template"]))
        template["metadata"]["labels"].pop("pod-template-hash")
        self.patch(kind, name, [{"op": "replace", "path": "/spec/template", "value": template}], namespace, "json")

    def _kubectl_get(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> None:
        return None

    def _kubectl_exec(self, words: list[str], flags: dict[str, str], namespace: str, stdin: str) -> ExecResult:
        pods = self.pods(namespace)
        return self.exec(pods[0]["metadata"]["name"], words[1:], namespace=namespace)


@pytest.fixture
def lab() -> Iterator[Lab]:
    found = Lab()
    yield found
    found.close()


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    made: list[Lab] = []

    def make(**options: Any) -> Lab:
        made.append(Lab(**options))
        return made[-1]

    yield make
    for found in made:
        found.close()


@pytest.fixture(scope="session")
def golden() -> Path:
    folder = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).parents[3] / "shared" / "data" / "golden")
    if not folder.is_dir():
        pytest.skip(f"the recordings of a real cluster are not here ({folder}); set STRATUS_GOLDEN")
    return folder
