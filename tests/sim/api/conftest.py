"""A server with a default namespace, and a short way to call it."""

import json
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Store

START = 1767603600.0
Call = Callable[..., Any]


def make_api(**kw: Any) -> ApiServer:
    clock, rng = VirtualClock(START), random.Random(5)
    server = ApiServer(Store(clock, rng), clock, rng=rng, **kw)
    add_namespace(server, "default")
    return server


def add_namespace(server: ApiServer, name: str) -> None:
    server.create("namespaces", {"metadata": {"name": name}})
    server.create("serviceaccounts", {"metadata": {"name": "default", "namespace": name}})


@pytest.fixture
def api() -> Iterator[ApiServer]:
    def run(namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        return ExecResult(stdout=f"{namespace}/{pod}/{container}: {' '.join(argv)}\n{stdin.decode()}", exit_code=0)

    def logs(
        namespace: str, pod: str, container: str, previous: bool, tail: int | None, since: Any, stamps: bool
    ) -> str:
        lines = [f"{container} line {i}{' (old)' if previous else ''}\n" for i in range(3)]
        return "".join(lines if tail is None else lines[len(lines) - tail :])

    server = make_api(exec_backend=run, log_backend=logs, usage_backend=lambda pod: {"c": (0.25, 64 * 1024 * 1024)})
    yield server
    server.close()


@pytest.fixture
def call(api: ApiServer) -> Call:
    """call(method, path, object, content type, **headers) -> (status, object)."""

    def do(
        method: str, target: str, obj: Any = None, media: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        body = b"" if obj is None else obj.encode() if isinstance(obj, str) else json.dumps(obj).encode()
        given = {
            "content-type": media,
            "user-agent": "tester/1.0",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        answer = api.handle(Request(method, target, given, body))
        assert isinstance(answer, Response), answer
        text = answer.body.decode()
        return answer.status, json.loads(text) if answer.content_type.startswith("application/json") else text

    return do


def deployment(name: str = "web", image: str = "nginx:1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            **spec,
        },
    }


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}], **spec}}


def run_pod(api: ApiServer, name: str, namespace: str = "default", ready: bool = True) -> None:
    """Play scheduler and kubelet: the pod runs on node1."""
    found = api.store.get("pods", namespace, name)
    assert found is not None
    statuses = [
        {
            "name": c["name"],
            "ready": ready,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-05T09:00:00Z"}},
        }
        for c in found["spec"]["containers"]
    ]
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {**found["status"], "phase": "Running", "podIP": "10.0.0.9", "conditions": conditions}
    new = {**found, "spec": {**found["spec"], "nodeName": "node1"}, "status": {**status, "containerStatuses": statuses}}
    api.store.update("pods", new)


@pytest.fixture
def make() -> SimpleNamespace:
    """Builders of manifests, and the play of scheduler and kubelet."""
    return SimpleNamespace(
        deployment=deployment, pod=pod, run_pod=run_pod, api=make_api, namespace=add_namespace, start=START
    )
