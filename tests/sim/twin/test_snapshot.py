"""A snapshot reads what a twin needs, within bounds, and says what it could not see."""

from __future__ import annotations

import pytest
from twin_kit import SHOP, Arena, Shown, change, config, deployment, health, service

from stratus.errors import ClusterUnreachable
from stratus.sim.twin.cluster import TwinCluster
from stratus.sim.twin.snapshot import NoTwin, kinds, stored_as, take

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": SHOP},
    "data": {"password": "aHVudGVyMg=="},
}
USES = {"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]}


def elsewhere(name: str, **container: object) -> list[dict[str, object]]:
    app = deployment(name, **container)
    app["metadata"]["namespace"] = "other"
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}, app]


def test_it_holds_the_namespace_whole_and_of_others_only_pods() -> None:
    with Arena(deployment("a"), service("a"), config("c", k="v"), *elsewhere("b")) as arena:
        shot = arena.look()
        assert {o["metadata"]["name"] for o in shot.kind("Deployment")} == {"a"}
        assert [p["metadata"]["namespace"] for p in shot.around] == ["other"]
        assert shot.kind("Node")
        assert shot.count() == sum(map(len, shot.objects.values())) + 1
        assert shot.blind == ()


def test_pods_elsewhere_take_room_and_are_not_followed() -> None:
    big = {"resources": {"requests": {"cpu": "3500m"}}}
    with Arena(deployment("a", replicas=0, **big), *elsewhere("b", **big), nodes=1) as arena, arena.twin() as twin:
        change(twin, "deployments.apps", "a", replicas=1)
        twin.advance(60)
        assert health(twin)["a"][1] == 0, "the node is full with what is not followed"
        assert twin.store.list("pods", "other"), "and nobody takes for garbage what has no owner in the twin"
        assert twin.store.list("deployments.apps", "other") == []


def test_without_a_namespace_there_is_nothing_to_copy() -> None:
    with pytest.raises(NoTwin, match="no namespace"):
        take(Shown({}), ["", ""], now=0.0, most=10)


def test_too_much_is_not_copied_and_pods_elsewhere_go_first() -> None:
    with Arena(deployment("a"), *elsewhere("b")) as arena:
        whole = arena.look()
        own = whole.count() - len(whole.around)
        assert arena.look(most=own).around == []
        assert "room is left on the nodes" in arena.look(most=own).blind[0]
        assert arena.look(most=own + 1).around
        with pytest.raises(NoTwin, match=r"limits\.rehearsal_objects"):
            arena.look(most=5)


@pytest.mark.parametrize("kind", kinds()["essential"])
def test_without_what_is_essential_there_is_no_twin(kind: str) -> None:
    shown = Shown({k: [] for k in (*kinds()["namespaced"], *kinds()["cluster"])}, forbidden=(kind,))
    with pytest.raises(NoTwin, match=f"{kind} objects cannot be read"):
        take(shown, [SHOP], now=0.0, most=10)


def test_a_cluster_that_does_not_answer_is_an_error_not_an_empty_twin() -> None:
    class Down(Shown):
        def list(self, kind: str, namespace: str | None = None, **_: object) -> list[dict[str, object]]:
            raise ClusterUnreachable("no route")

    with pytest.raises(ClusterUnreachable):
        take(Down({}), [SHOP], now=0.0, most=10)


def test_secrets_that_may_not_be_read_are_what_running_containers_prove() -> None:
    with Arena(SECRET, deployment("a", **USES), config("c")) as arena:
        shown, now = Shown.of(arena, forbidden=("Secret",)), arena.cluster.clock.now()
    shot = take(shown, [SHOP], now=now, most=1000)
    assert "Secret" in shot.unseen
    assert any("Secrets" in text for text in shot.blind)
    with TwinCluster(shot) as twin:
        found = twin.store.get("secrets", SHOP, "s")
        assert found is not None
        assert found["data"] == {"password": ""}
        twin.store.delete("pods", SHOP, twin.store.list("pods", SHOP)[0]["metadata"]["name"])
        twin.control.drain()
        twin.advance(30)
        assert health(twin)["a"][1] == 1, "a new pod finds the Secret that the old one ran with"


def test_kinds_that_are_not_served_are_named() -> None:
    table = kinds()
    shown = Shown({k: [] for k in (*table["namespaced"], *table["cluster"]) if k != "RuntimeClass"})
    shot = take(shown, [SHOP], now=0.0, most=10)
    assert shot.unseen["RuntimeClass"] == "the cluster does not serve this kind"


def test_webhooks_that_judge_pods_are_not_asked_and_it_says_so() -> None:
    def hook(kind: str, resources: list[str], operations: list[str]) -> dict[str, object]:
        rule = {"resources": resources, "operations": operations}
        return {"kind": kind, "metadata": {"name": kind.lower()}, "webhooks": [{"name": f"{kind}.x", "rules": [rule]}]}

    base = {k: [] for k in (*kinds()["namespaced"], *kinds()["cluster"])}
    valid, mutate = kinds()["asked"]
    shown = Shown(
        {
            **base,
            valid: [hook(valid, ["pods"], ["CREATE"])],
            mutate: [hook(mutate, ["deployments"], ["*"]), hook("Other", ["*"], ["DELETE"])],
        }
    )
    assert take(shown, [SHOP], now=0.0, most=10).blind == (f"what webhook {valid}.x says of new pods: it is not asked",)


def test_every_kind_has_its_place_in_a_store() -> None:
    with Arena(seconds=0) as arena:
        for kind in (*kinds()["namespaced"], *kinds()["cluster"]):
            resource = arena.kube.reader.resource(kind)
            assert stored_as(kind) == resource.full_name
    with pytest.raises(KeyError):
        stored_as("Nothing")
