"""Answers in protobuf, for clients that take nothing else: what is read back is what was meant."""

from typing import Any

import pytest

from stratus.sim.api import Request, Response
from stratus.sim.schema import protobuf, protobufwrite, types
from stratus.sim.schema.decode import Decoder

PROTOBUF = "application/vnd.kubernetes.protobuf"
PODS = "/api/v1/namespaces/default/pods"


def ask(api: Any, path: str, accept: str) -> Response:
    answer = api.handle(Request("GET", path, {"accept": accept}))
    assert isinstance(answer, Response)
    return answer


def read_back(kind: Any, raw: bytes) -> dict[str, Any]:
    return Decoder().decode(kind, protobuf.decode(kind, raw))


RICH = {
    "metadata": {"name": "p", "labels": {"b": "1", "a": "2"}, "finalizers": ["x.io/y"]},
    "spec": {
        "containers": [
            {
                "name": "c", "image": "ä", "args": ["-x", ""],
                "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"port": "http"}, "initialDelaySeconds": 3},
                "readinessProbe": {"tcpSocket": {"port": 80}},
                "securityContext": {"runAsUser": 1000, "privileged": False},
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c", "defaultMode": 420}}],
        "terminationGracePeriodSeconds": 0,
    },
}  # fmt: skip


def test_one_object(api: Any) -> None:
    api.create("pods", {**RICH, "metadata": {**RICH["metadata"], "namespace": "default"}})
    plain = ask(api, f"{PODS}/p", "application/json").obj
    answer = ask(api, f"{PODS}/p", PROTOBUF)
    assert answer.content_type == PROTOBUF
    version, kind, raw = protobuf.envelope(answer.body)
    assert (version, kind) == ("v1", "Pod")
    found = types.of_kind("", "v1", "Pod")
    back = read_back(found, raw)
    for same in ("metadata", "spec", "status"):
        assert back[same] == plain[same], same


def test_lists(api: Any, make: Any) -> None:
    for name in ("a", "b"):
        api.create("pods", {**make.pod(name), "metadata": {"name": name, "namespace": "default"}})
    version, kind, raw = protobuf.envelope(ask(api, f"{PODS}?limit=1", PROTOBUF).body)
    assert (version, kind) == ("v1", "PodList")
    parts = list(protobuf._fields(raw))
    pod = types.of_kind("", "v1", "Pod")
    assert pod is not None
    assert [read_back(pod, p)["metadata"]["name"] for number, p in parts if number == 2] == ["a"]
    meta = protobuf.decode(types.named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"), parts[0][1])
    assert meta["remainingItemCount"] == 1


@pytest.mark.parametrize(
    "accept", [f"{PROTOBUF},application/json", "application/json", f"application/json,{PROTOBUF}", ""]
)
def test_who_takes_json_gets_json(api: Any, make: Any, accept: str) -> None:
    api.create("pods", {**make.pod(), "metadata": {"name": "p", "namespace": "default"}})
    assert ask(api, f"{PODS}/p", accept).content_type == "application/json"


def test_errors_and_custom_resources_stay_in_json(api: Any) -> None:
    assert ask(api, f"{PODS}/none", PROTOBUF).content_type == "application/json"
    assert protobufwrite.document({"apiVersion": "x.io/v1", "kind": "Cog", "metadata": {}}) is None


def test_numbers_times_and_raw_values() -> None:
    kind = types.of_kind("apps", "v1", "ControllerRevision")
    obj = {
        "metadata": {"name": "r", "creationTimestamp": "2026-01-05T09:00:00Z"},
        "data": {"a": [1, "ä"]},
        "revision": -3,
    }
    assert kind is not None
    back = protobuf.decode(kind, protobufwrite.message(kind, obj))
    assert back["metadata"]["creationTimestamp"] == "2026-01-05T09:00:00Z"
    assert (back["data"], back["revision"]) == ({"a": [1, "ä"]}, -3)
    lease = types.of_kind("coordination.k8s.io", "v1", "Lease")
    assert lease is not None
    spec = {"renewTime": "2026-01-05T09:00:00.123456Z"}
    assert protobuf.decode(lease, protobufwrite.message(lease, {"spec": spec}))["spec"] == spec
