"""A live cluster on the right-hand side: the same requests, in namespaces of our own, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratus.cli.main import main
from stratus.conformance.golden import Golden
from stratus.conformance.live import LiveSide, may_send
from stratus.conformance.runner import replay
from stratus.conformance.suites.base import OutOfScope
from stratus.conformance.world import ADMIN, NOBODY, VIEWER, EmbeddedWorld
from stratus.errors import ClusterUnreachable, UsageError

EXCERPTS = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def cluster(excerpts: Golden) -> Iterator[EmbeddedWorld]:
    world = EmbeddedWorld(excerpts.custom_resources, running=True)
    yield world
    world.close()


@pytest.fixture
def kubeconfig(cluster: EmbeddedWorld, tmp_path: Path) -> Iterator[Path]:
    with cluster.cluster.serve(follow_wall_clock=False) as front:
        path = tmp_path / "kubeconfig"
        path.write_text(front.kubeconfig())
        yield path


def settled(world: EmbeddedWorld) -> dict[str, list[str]]:
    """Return what is there of everything that a replay makes, when deletions are through."""
    with world.lock:
        world.reach(world.cluster.clock.now() + 60.0)
        kinds = ("namespaces", "configmaps", "deployments.apps", "clusterrolebindings.rbac.authorization.k8s.io")
        return {k: sorted(o["metadata"]["name"] for o in world.store.list(k)) for k in kinds}


def test_the_same_requests_agree_and_nothing_stays(excerpts: Golden, cluster: EmbeddedWorld, kubeconfig: Path) -> None:
    before = settled(cluster)
    with LiveSide(kubeconfig) as side:
        matrix = replay(excerpts, side, only=["discovery", "defaulting", "validation", "patches"])
        during = [n["metadata"]["name"] for n in cluster.store.list("namespaces")]
    assert matrix.against == "live"
    for result in matrix.files:
        assert [(o.case, o.reason) for o in result.counted if not o.passed] == []
        assert result.score.total > 0
    assert any(name.startswith("conformance-") and name.endswith("-gold-val") for name in during)
    assert not {"gold-def", "gold-val"} & set(during)
    assert settled(cluster) == before


def test_what_concerns_the_whole_cluster_is_left_alone(
    excerpts: Golden, cluster: EmbeddedWorld, kubeconfig: Path
) -> None:
    crds = "customresourcedefinitions.apiextensions.k8s.io"
    before = cluster.store.list(crds)
    with LiveSide(kubeconfig) as side:
        (result,) = replay(excerpts, side, only=["defaulting"]).files
    left = {o.kind: o.reason for o in result.left_out}
    assert left == {
        "CustomResourceDefinition": "writes an object of the whole cluster, which a live cluster is not asked to"
    }
    assert cluster.store.list(crds) == before


SPACE = "/api/v1/namespaces"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"{SPACE}/kube-system/secrets", True),
        ("POST", f"{SPACE}/gold/pods", True),
        ("DELETE", f"{SPACE}/gold/pods/a", True),
        ("PATCH", "/apis/apps/v1/namespaces/gold/deployments/a/scale", True),
        ("DELETE", f"{SPACE}/gold", True),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles?dryRun=All", True),
        ("PATCH", "/api/v1/nodes/n1?fieldManager=x&dryRun=All", True),
        # somebody else's
        ("POST", f"{SPACE}/golden/pods", False),  # begins like ours
        ("POST", f"{SPACE}/default/pods?x=/namespaces/gold", False),
        ("POST", f"{SPACE}/default/pods?dryRun=All", False),
        ("POST", f"{SPACE}/default/pods/a/eviction?dryRun=All", False),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", False),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles?x=dryRun=All", False),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles?dryRun=", False),
        # a body makes a DELETE deaf to its query
        ("DELETE", "/api/v1/nodes/n1?dryRun=All", False),
        ("DELETE", "/api/v1/namespaces/default?dryRun=All", False),
        ("DELETE", "/apis/apps/v1/deployments?dryRun=All", False),
        ("PUT", "/api/v1/nodes/n1/status?dryRun=All", False),
        # paths that are not what they seem
        ("DELETE", f"{SPACE}/gold/../default/pods/a", False),
        ("DELETE", f"{SPACE}/gold/%2e%2e/default", False),
        ("DELETE", f"{SPACE}//gold/pods", False),
        ("DELETE", "https://elsewhere/api/v1/namespaces/gold", False),
        ("DELETE", "/x/api/v1/namespaces/gold/pods", False),
        ("POST", "/version?dryRun=All", False),
    ],
)
def test_a_live_cluster_is_written_to_in_our_namespaces_only(method: str, path: str, allowed: bool) -> None:
    assert may_send(method, path, {"gold"}) is allowed


def test_a_recording_cannot_reach_out_of_its_namespace(cluster: EmbeddedWorld, kubeconfig: Path) -> None:
    """Whoever it is sent as: a real cluster may know a user of that name."""
    before = [n["metadata"]["name"] for n in cluster.store.list("nodes")]
    with LiveSide(kubeconfig) as side:
        world = side.world("gold")
        for user in (ADMIN, VIEWER, NOBODY):
            with pytest.raises(OutOfScope, match="the whole cluster"):
                world.send("DELETE", f"/api/v1/nodes/{before[0]}?dryRun=All", {}, media="application/json", user=user)
        world.close()
    assert [n["metadata"]["name"] for n in cluster.store.list("nodes")] == before


def test_files_that_need_recorded_moments_are_named(excerpts: Golden, kubeconfig: Path) -> None:
    with LiveSide(kubeconfig) as side:
        matrix = replay(excerpts, side, only=["kubectl", "lifecycles"])
    assert matrix.files == ()
    assert set(matrix.not_replayed) == {"kubectl.jsonl.gz", "lifecycles"}
    assert "recorded moments" in matrix.not_replayed["lifecycles"]


def test_other_users_are_impersonated(kubeconfig: Path) -> None:
    with LiveSide(kubeconfig) as side:
        world = side.world("gold-val")
        path = "/api/v1/namespaces/gold-val/configmaps"
        assert world.send("GET", path, user=ADMIN).status == 200
        assert world.send("GET", path, user=VIEWER).status == 200
        refused = world.send("GET", path, user=NOBODY)
        assert refused.status == 403
        assert 'User "nobody-user" cannot list' in refused.obj["message"]
        assert 'in the namespace "gold-val"' in refused.obj["message"]
        world.close()


def test_names_uids_and_versions_of_the_recordings_become_ours(cluster: EmbeddedWorld, kubeconfig: Path) -> None:
    recorded = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "a",
            "namespace": "gold-patch",
            "uid": "cb75687a-1690-4c5f-bbc6-57c986478b9f",
            "resourceVersion": "987654",
        },
        "data": {"a": "1"},
    }
    with LiveSide(kubeconfig) as side:
        world = side.world("gold-patch")
        world.place(recorded)
        path = "/api/v1/namespaces/gold-patch/configmaps/a"
        answer = world.send("PUT", path, {**recorded, "data": {"a": "2"}}, media="application/json")
        assert answer.status == 200, answer.text
        assert answer.obj["metadata"]["namespace"] == "gold-patch"
        real = [o for o in cluster.store.list("configmaps") if o["metadata"]["name"] == "a"]
        assert [o["data"] for o in real] == [{"a": "2"}]
        assert real[0]["metadata"]["namespace"].startswith("conformance-")
        world.close()
        assert world.send("GET", path).status == 404


def test_a_file_that_is_no_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("just: text\n")
    with pytest.raises(UsageError, match="cannot be used"):
        LiveSide(path)


def test_a_cluster_that_does_not_answer(kubeconfig: Path, tmp_path: Path) -> None:
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "dead"
    path.write_text(json.dumps(config))
    with pytest.raises(ClusterUnreachable, match=r"127\.0\.0\.1:1"):
        LiveSide(path)


def test_the_command(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["conformance", "--golden", str(EXCERPTS), "--against", str(kubeconfig), "--only", "patches,tables"]
    assert main([*arguments, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["against"] == "live"
    assert data["files"]["patches.jsonl.gz"]["passed"] == data["files"]["patches.jsonl.gz"]["total"] > 0
    assert list(data["not_replayed"]) == ["tables.jsonl.gz"]
