"""What every implementation of the three cluster ports does; run over HTTP, HTTPS and the embedded cluster."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from stratus.cluster.base import ClusterPrinter, ClusterReader, ClusterRehearser
from stratus.cluster.kube import KubeCluster
from stratus.cluster.writer import ClusterWriter
from stratus.errors import AlreadyExists, Conflict, Invalid, NotFound, UnknownNameError
from stratus.model.actions import ApiWrite
from stratus.model.refs import ObjectRef

NS = "conformance"


def _over_http(request: pytest.FixtureRequest, stack: ExitStack) -> KubeCluster:
    from kubernetes import client

    server = request.getfixturevalue("api")
    return stack.enter_context(KubeCluster(client.ApiClient(client.Configuration(host=server.url))))


def _over_https(request: pytest.FixtureRequest, stack: ExitStack) -> KubeCluster:
    server = request.getfixturevalue("secure_api")
    cert, _ = request.getfixturevalue("tls")
    path = request.getfixturevalue("tmp_path") / "config"
    authority = base64.b64encode(cert.read_bytes()).decode()
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority-data": authority}}],
                "users": [{"name": "u", "user": {"token": server.token}}],
                "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "k",
            }
        )
    )
    return stack.enter_context(KubeCluster.from_kubeconfig(path))


def _embedded(request: pytest.FixtureRequest, stack: ExitStack) -> KubeCluster:
    import random

    from stratus.kit.clock import VirtualClock
    from stratus.sim.api import ApiServer
    from stratus.sim.store import Store
    from stratus.sim.transport import in_process_api_client

    clock, rng = VirtualClock(1_700_000_000.0), random.Random(1)
    api = ApiServer(Store(clock, rng), clock, rng=rng)
    made = stack.enter_context(KubeCluster(in_process_api_client(api)))
    system = ObjectRef(api_version="v1", kind="Namespace", name="kube-system")
    if made.reader.get(system) is None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
        made.writer.write(ApiWrite(method="POST", target=system, plural="namespaces", namespaced=False, body=body))
    return made


@pytest.fixture(params=[_over_http, _over_https, _embedded], ids=["http", "https", "embedded"])
def cluster(request: pytest.FixtureRequest) -> Iterator[KubeCluster]:
    with ExitStack() as stack:
        made = request.param(request, stack)
        space = ObjectRef(api_version="v1", kind="Namespace", name=NS)
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}}
        made.writer.write(ApiWrite(method="POST", target=space, plural="namespaces", namespaced=False, body=body))
        yield made


def config_map(name: str, data: dict[str, str], **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NS, "labels": labels},
        "data": data,
    }


def ref(name: str) -> ObjectRef:
    return ObjectRef(api_version="v1", kind="ConfigMap", name=name, namespace=NS)


def write(method: Any, name: str, body: Any = None, **more: Any) -> ApiWrite:
    return ApiWrite(method=method, target=ref(name), plural="configmaps", body=body, **more)


def create(cluster: KubeCluster, name: str, data: dict[str, str], **labels: str) -> dict[str, Any]:
    return cluster.writer.write(write("POST", name, config_map(name, data, **labels)))


def test_the_ports_are_separate_and_the_reader_cannot_write(cluster: KubeCluster) -> None:
    assert isinstance(cluster.reader, ClusterReader)
    assert isinstance(cluster.rehearser, ClusterRehearser)
    assert isinstance(cluster.writer, ClusterWriter)
    assert len({id(cluster.reader), id(cluster.rehearser), id(cluster.writer)}) == 3
    assert isinstance(cluster.reader, ClusterPrinter)
    public = {name for name, _ in inspect.getmembers(cluster.reader) if not name.startswith("_")}
    reading = {"identity", "resources", "resource", "get", "list", "logs", "can_i"}
    assert public == reading | {"table", "part", "openapi", "rules", "can_reach"}
    assert not isinstance(cluster.rehearser, ClusterWriter)


def test_identity_is_stable_and_carries_the_uid_of_kube_system(cluster: KubeCluster) -> None:
    one, two = cluster.reader.identity(), cluster.reader.identity()
    assert one == two
    assert one.version.startswith("v1.")
    assert one.uid


@pytest.mark.parametrize(
    ("word", "kind", "api_version"),
    [
        ("po", "Pod", "v1"),
        ("pods", "Pod", "v1"),
        ("Pod", "Pod", "v1"),
        ("deploy", "Deployment", "apps/v1"),
        ("deployments.apps", "Deployment", "apps/v1"),
        ("deployments.v1.apps", "Deployment", "apps/v1"),
        ("apps/v1/Deployment", "Deployment", "apps/v1"),
        ("ev", "Event", "v1"),
        ("hpa", "HorizontalPodAutoscaler", "autoscaling/v2"),
    ],
)
def test_words_resolve(cluster: KubeCluster, word: str, kind: str, api_version: str) -> None:
    found = cluster.reader.resource(word)
    assert (found.kind, found.api_version) == (kind, api_version)


def test_an_unknown_word_is_told(cluster: KubeCluster) -> None:
    with pytest.raises(UnknownNameError, match="gizmos"):
        cluster.reader.resource("gizmos")


def test_what_was_created_is_read_back(cluster: KubeCluster) -> None:
    made = create(cluster, "a", {"k": "v"})
    found = cluster.reader.get(ref("a"))
    assert found is not None
    assert found["data"] == {"k": "v"}
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert cluster.reader.get(ref("b")) is None


def test_lists_select_and_name_their_kind(cluster: KubeCluster) -> None:
    create(cluster, "one", {}, tier="front")
    create(cluster, "two", {}, tier="back")
    everything = cluster.reader.list("cm", NS)
    assert {o["metadata"]["name"] for o in everything} >= {"one", "two"}
    assert all((o["apiVersion"], o["kind"]) == ("v1", "ConfigMap") for o in everything)
    chosen = cluster.reader.list("configmaps", NS, label_selector="tier=back")
    assert [o["metadata"]["name"] for o in chosen] == ["two"]
    assert {o["metadata"]["name"] for o in cluster.reader.list("ConfigMap")} >= {"one", "two"}


def test_creating_twice_is_already_exists(cluster: KubeCluster) -> None:
    create(cluster, "a", {})
    with pytest.raises(AlreadyExists):
        create(cluster, "a", {})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_writing_to_nothing_is_not_found(cluster: KubeCluster, method: str) -> None:
    patch = "application/merge-patch+json" if method == "PATCH" else None
    body = None if method == "DELETE" else config_map("none", {})
    with pytest.raises(NotFound):
        cluster.writer.write(write(method, "none", body, patch_type=patch))


def test_patches(cluster: KubeCluster) -> None:
    create(cluster, "a", {"k": "v", "gone": "x"})
    merge = {"data": {"k": "w", "gone": None}}
    cluster.writer.write(write("PATCH", "a", merge, patch_type="application/merge-patch+json"))
    ops = [{"op": "add", "path": "/data/new", "value": "1"}]
    answer = cluster.writer.write(write("PATCH", "a", ops, patch_type="application/json-patch+json"))
    assert answer["data"] == {"k": "w", "new": "1"}


STALE = [
    ("PUT", None, "a"),
    ("PATCH", "application/merge-patch+json", {"data": {"k": "mine"}}),
    ("PATCH", "application/json-patch+json", [{"op": "replace", "path": "/data/k", "value": "mine"}]),
    ("DELETE", None, None),
]


@pytest.mark.parametrize(("method", "patch", "body"), STALE)
@pytest.mark.parametrize("precondition", ["expect_uid", "expect_version"])
def test_a_failed_precondition_is_a_conflict_and_changes_nothing(
    cluster: KubeCluster, method: str, patch: str | None, body: Any, precondition: str
) -> None:
    made = create(cluster, "a", {"k": "v"})
    if method == "PUT":
        body = config_map("a", {"k": "mine"})
    cluster.writer.write(write("PATCH", "a", {"data": {"k": "theirs"}}, patch_type="application/merge-patch+json"))
    stale = made["metadata"]["resourceVersion"] if precondition == "expect_version" else "another-uid"
    with pytest.raises(Conflict):
        cluster.writer.write(write(method, "a", body, patch_type=patch, **{precondition: stale}))
    found = cluster.reader.get(ref("a"))
    assert found is not None
    assert found["data"] == {"k": "theirs"}


@pytest.mark.parametrize(("method", "patch", "body"), STALE)
def test_a_kept_precondition_lets_the_write_through(
    cluster: KubeCluster, method: str, patch: str | None, body: Any
) -> None:
    meta = create(cluster, "a", {"k": "v"})["metadata"]
    if method == "PUT":
        body = config_map("a", {"k": "mine"})
    both = {"expect_uid": meta["uid"], "expect_version": meta["resourceVersion"]}
    cluster.writer.write(write(method, "a", body, patch_type=patch, **both))
    found = cluster.reader.get(ref("a"))
    assert (found is None) if method == "DELETE" else (found is not None and found["data"] == {"k": "mine"})


def test_a_broken_json_patch_with_kept_preconditions_is_invalid_not_conflict(cluster: KubeCluster) -> None:
    meta = create(cluster, "a", {"k": "v"})["metadata"]
    ops = [{"op": "test", "path": "/data/k", "value": "other"}]
    with pytest.raises(Invalid):
        cluster.writer.write(
            write("PATCH", "a", ops, patch_type="application/json-patch+json", expect_version=meta["resourceVersion"])
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_rehearsing_changes_nothing(cluster: KubeCluster, method: str) -> None:
    before = create(cluster, "a", {"k": "v"})
    name = "b" if method == "POST" else "a"
    patch = "application/merge-patch+json" if method == "PATCH" else None
    body = {"propagationPolicy": "Background"} if method == "DELETE" else config_map(name, {"k": "w"})
    answer = cluster.rehearser.dry_run(write(method, name, body, patch_type=patch))
    if method != "DELETE":
        assert answer["data"] == {"k": "w"}
    assert cluster.reader.get(ref("a")) == before
    assert cluster.reader.get(ref("b")) is None


def test_rehearsing_tells_what_writing_would(cluster: KubeCluster) -> None:
    create(cluster, "a", {})
    with pytest.raises(AlreadyExists):
        cluster.rehearser.dry_run(write("POST", "a", config_map("a", {})))
    with pytest.raises(NotFound):
        cluster.rehearser.dry_run(write("DELETE", "b"))


def test_unknown_fields_are_refused(cluster: KubeCluster) -> None:
    body = {
        "metadata": {"name": "web", "namespace": NS},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}},
    }
    body["spec"]["template"]["spec"] = {"containers": [{"name": "c", "image": "i"}]}  # type: ignore[index]
    target = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace=NS)
    cluster.writer.write(ApiWrite(method="POST", target=target, plural="deployments", body={
        "apiVersion": "apps/v1", "kind": "Deployment", **body,
    }))  # fmt: skip
    with pytest.raises(Invalid, match="bogus"):
        cluster.writer.write(
            ApiWrite(
                method="PATCH",
                target=target,
                plural="deployments",
                patch_type="application/merge-patch+json",
                body={"spec": {"bogus": 1}},
            )
        )


def test_asking_what_one_may(cluster: KubeCluster) -> None:
    assert cluster.reader.can_i("patch", "deployments.apps", NS) is True


def test_a_log_of_a_missing_pod_is_not_found(cluster: KubeCluster) -> None:
    with pytest.raises(NotFound):
        cluster.reader.logs(NS, "nobody")
