"""The official client works on the API in process: typed calls, patches, errors, watches, the dynamic client."""

import random
from collections.abc import Iterator

import pytest
from kubernetes import client, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException

from stratus.kit.clock import VirtualClock
from stratus.sim.api import ApiServer, Request
from stratus.sim.store import Store
from stratus.sim.transport import in_process_api_client


@pytest.fixture
def api() -> Iterator[ApiServer]:
    clock, rng = VirtualClock(1767603600.0), random.Random(1)
    server = ApiServer(Store(clock, rng), clock, rng=rng)
    server.handle(Request("POST", "/api/v1/namespaces", obj={"metadata": {"name": "default"}}))
    server.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})
    yield server
    server.close()


@pytest.fixture
def kube(api: ApiServer) -> Iterator[client.ApiClient]:
    with in_process_api_client(api) as made:
        yield made


def deployment(name: str) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}, {"name": "side", "image": "b:1"}]},
            },
        },
    }


def test_typed_calls_round_trip(kube: client.ApiClient) -> None:
    apps = client.AppsV1Api(kube)
    utils.create_from_dict(kube, deployment("web"))
    found = apps.read_namespaced_deployment("web", "default")
    assert found.spec.replicas == 2
    assert found.spec.strategy.rolling_update.max_surge == "25%"
    assert [d.metadata.name for d in apps.list_namespaced_deployment("default").items] == ["web"]
    assert apps.list_deployment_for_all_namespaces(label_selector="a=b").items == []


def test_a_dict_patch_is_strategic_and_keeps_the_other_container(kube: client.ApiClient) -> None:
    apps = client.AppsV1Api(kube)
    apps.create_namespaced_deployment("default", deployment("web"))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}}}
    done = apps.patch_namespaced_deployment("web", "default", patch)
    assert [c.image for c in done.spec.template.spec.containers] == ["nginx:2", "b:1"]
    scaled = apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 5}})
    assert scaled.spec.replicas == 5
    listed = apps.patch_namespaced_deployment(
        "web",
        "default",
        [{"op": "replace", "path": "/spec/replicas", "value": 7}],
        _content_type="application/json-patch+json",
    )
    assert listed.spec.replicas == 7


def test_errors_carry_the_status(kube: client.ApiClient) -> None:
    core = client.CoreV1Api(kube)
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_pod("nope", "default")
    assert caught.value.status == 404
    assert 'pods \\"nope\\" not found' in caught.value.body
    made = core.create_namespaced_config_map("default", {"metadata": {"name": "c"}, "data": {"a": "1"}})
    made.data = {"a": "2"}
    core.replace_namespaced_config_map("c", "default", made)
    made.data = {"a": "3"}
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("c", "default", made)
    assert stale.value.status == 409


def test_a_watch_tells_what_happened_and_ends(kube: client.ApiClient) -> None:
    core = client.CoreV1Api(kube)
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "c"}, "data": {"a": "1"}})
    core.patch_namespaced_config_map("c", "default", {"data": {"a": "2"}})
    core.delete_namespaced_config_map("c", "default")
    stream = watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=start, timeout_seconds=1)
    assert [(e["type"], e["object"].data["a"]) for e in stream] == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_a_watch_with_idle_lets_time_pass(api: ApiServer) -> None:
    rounds = []

    def idle() -> bool:
        rounds.append(1)
        if len(rounds) == 1:
            api.create("configmaps", {"metadata": {"name": "late", "namespace": "default"}})
        return len(rounds) < 3

    with in_process_api_client(api, idle=idle) as kube:
        stream = watch.Watch().stream(client.CoreV1Api(kube).list_namespaced_config_map, "default", timeout_seconds=1)
        assert [e["object"].metadata.name for e in stream] == ["late"]


def test_dynamic_client_and_server_side_apply(kube: client.ApiClient, tmp_path) -> None:
    dyn = dynamic.DynamicClient(kube, cache_file=str(tmp_path / "discovery"))
    maps = dyn.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    done = maps.server_side_apply(body, namespace="default", field_manager="mine")
    assert done.data.a == "1"
    assert done.metadata.managedFields[0].operation == "Apply"


def test_nothing_is_persisted_by_a_dry_run(kube: client.ApiClient, api: ApiServer) -> None:
    before = (api.store.rv, api.rng.getstate())
    client.CoreV1Api(kube).create_namespaced_config_map("default", {"metadata": {"generateName": "c"}}, dry_run="All")
    assert (api.store.rv, api.rng.getstate()) == before
