"""A twin is as what was observed, goes on as that does, knows nothing else, and says what it guesses."""

from __future__ import annotations

from typing import Any

import pytest
from twin_kit import IMAGE, SHOP, Arena, Shown, change, config, deployment, health, reasons, script, service

from stratus.sim.twin.cluster import TwinCluster
from stratus.sim.twin.snapshot import take

PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}
WRONG = {"httpGet": {"path": "/", "port": 81}, "periodSeconds": 5}
WEB = {"ports": [{"containerPort": 80}]}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "few", "namespace": SHOP},
    "spec": {"hard": {"pods": "1"}},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "disk", "namespace": SHOP},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "there-is-none",
    },
}
ON_DISK = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}]}

STATES: dict[str, list[dict[str, Any]]] = {
    "well": [deployment("a", replicas=2, readinessProbe=PROBE, **WEB), service("a")],
    "no image": [deployment("a", image="nginx:does-not-exist"), service("a")],
    "no such name": [deployment("a", image="Not An Image")],
    "crashes": [deployment("a", **script("sleep 3; exit 2")), service("a")],
    "crashes late": [deployment("a", **script("sleep 25; exit 1"))],
    "no program": [deployment("a", command=["/there/is/none"])],
    "no config": [deployment("a", envFrom=[{"configMapRef": {"name": "gone"}}])],
    "no mount": [deployment("a", pod={"volumes": [{"name": "v", "configMap": {"name": "gone"}}]})],
    "no room": [deployment("a", resources={"requests": {"cpu": "99"}})],
    "no node": [deployment("a", pod={"nodeSelector": {"disk": "ssd"}})],
    "not ready": [deployment("a", readinessProbe=WRONG, **WEB), service("a")],
    "killed": [deployment("a", livenessProbe={**WRONG, "failureThreshold": 1}, **WEB)],
    "quota": [QUOTA, deployment("a", replicas=3), service("a")],
    "no disk": [CLAIM, deployment("a", pod=ON_DISK)],
    "waits": [deployment("a", pod={"initContainers": [{"name": "i", **script("sleep 100000")}]})],
    "fails first": [deployment("a", pod={"initContainers": [{"name": "i", **script("exit 3")}]})],
    "wanted zero times": [deployment("a", replicas=0), service("a")],
}


@pytest.mark.parametrize("state", STATES)
def test_it_begins_as_observed_and_goes_on_as_that_does(state: str) -> None:
    with Arena(*STATES[state], seconds=100) as arena, arena.twin() as twin:
        assert health(twin) == health(arena.cluster)
        assert reasons(twin) == reasons(arena.cluster)
        versions = {p["metadata"]["name"]: p["metadata"]["uid"] for p in arena.cluster.store.list("pods", SHOP)}
        assert {p["metadata"]["name"]: p["metadata"]["uid"] for p in twin.store.list("pods", SHOP)} == versions
        for cluster in (arena.cluster, twin):
            cluster.advance(90)
        assert health(twin) == health(arena.cluster)
        assert not twin.doubts.met, "nothing new was started, so nothing was guessed"


def test_it_is_made_of_what_a_reader_shows_alone() -> None:
    with Arena(*STATES["crashes"], seconds=100) as arena:
        shown = Shown.of(arena)
        now, wanted = arena.cluster.clock.now(), health(arena.cluster)
    # The cluster is closed and gone; a reader over plain data is all there is.
    with TwinCluster(take(shown, [SHOP], now=now, most=5000)) as twin:
        assert health(twin) == wanted
        assert twin.injected() == ()
        assert not twin.runtime.procs
        assert twin.application == ""


def test_it_keeps_identities_and_versions_for_preconditions() -> None:
    with Arena(*STATES["well"]) as arena, arena.twin() as twin:
        for resource in ("deployments.apps", "services", "nodes"):
            for obj in arena.cluster.store.list(resource, SHOP if resource != "nodes" else None):
                mine = twin.store.get(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                assert mine is not None
                assert mine["metadata"]["uid"] == obj["metadata"]["uid"]
                if resource != "deployments.apps":  # a controller may have looked at it again
                    assert mine["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
        assert twin.store.rv >= arena.cluster.store.rv - 1


def test_what_happens_in_a_twin_does_not_happen_elsewhere() -> None:
    with Arena(*STATES["well"]) as arena, arena.twin() as twin, twin.fork() as fork:
        before = health(arena.cluster)
        change(fork, "deployments.apps", "a", replicas=0)
        fork.advance(60)
        assert health(fork)["a"][1] == 0
        assert health(twin) == before == health(arena.cluster)


# what it knows


def test_more_of_the_same_behaves_the_same() -> None:
    with Arena(*STATES["well"], deployment("b", **script("sleep 3; exit 2"))) as arena, arena.twin() as twin:
        change(twin, "deployments.apps", "a", replicas=4)
        change(twin, "deployments.apps", "b", replicas=2)
        twin.advance(60)
        assert health(twin)["a"][1] == 4
        assert health(twin)["b"][1] == 0, "a copy of what crashes crashes"
        assert not twin.doubts.met


@pytest.mark.parametrize(
    "difference",
    [
        {"image": "nginx:1.28"},
        {"command": ["nginx", "-g", "daemon off;"]},
        {"args": ["--fast"]},
        {"env": [{"name": "MODE", "value": "new"}]},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"securityContext": {"runAsUser": 1000}},
    ],
    ids=lambda d: next(iter(d)),
)
def test_settings_that_nobody_has_seen_are_a_doubt(difference: dict[str, Any]) -> None:
    with Arena(*STATES["well"]) as arena, arena.twin() as twin:
        ends = {}
        for pessimist in (False, True):
            with twin.fork(pessimist=pessimist) as fork:
                change(fork, "deployments.apps", "a", **difference)
                fork.advance(90)
                assert any("main of shop/a" in d or "pulled" in d for d in fork.doubts.met)
                ends[pessimist] = health(fork)["a"]
        assert ends[False][4] == 0
        assert ends[False][1] == 2
        assert ends[True][4] > 0, "at worst it does not come up"
        assert not twin.doubts.met, "the doubts are the run's, not the twin's"


def test_labels_resources_asked_for_and_places_change_no_behaviour() -> None:
    with Arena(*STATES["well"]) as arena, arena.twin() as twin:
        change(twin, "deployments.apps", "a", resources={"requests": {"cpu": "10m"}})
        twin.advance(90)
        assert health(twin)["a"][1:] == (2, 2, 2, 0)
        assert not twin.doubts.met


def test_a_revision_that_still_runs_is_known_to_run() -> None:
    good = deployment("a", replicas=2, readinessProbe=PROBE, **WEB)
    with Arena(good, service("a")) as arena:
        arena.patch(good, {"spec": {"template": {"spec": {"containers": [{"name": "main", **script("exit 1")}]}}}})
        arena.cluster.advance(90)
        with arena.twin() as twin:
            change(twin, "deployments.apps", "a", image=IMAGE, command=None)
            twin.advance(90)
            assert health(twin)["a"][1:] == (2, 2, 2, 0)
            assert not twin.doubts.met


def broken_release() -> Arena:
    good = deployment("a", readinessProbe=PROBE, pod={}, **WEB)
    good["spec"]["strategy"] = {"type": "Recreate"}
    arena = Arena(good, service("a"), seconds=600)
    arena.patch(good, {"spec": {"template": {"spec": {"containers": [{"name": "main", "args": ["--crash"]}]}}}})
    return arena


def test_the_revision_that_served_before_the_trouble_is_known_to_serve() -> None:
    with broken_release() as arena:
        onset = arena.cluster.clock.now() + 5
        arena.cluster.advance(90)
        for served, known in (({"shop/a": onset}, True), ({}, False), ({"shop/a": onset + 4000}, False)):
            with arena.twin(served=served) as twin:
                change(twin, "deployments.apps", "a", args=None)
                twin.advance(60)
                assert (not twin.doubts.met) is known


def test_what_was_seen_at_an_earlier_look_is_remembered() -> None:
    bad = deployment("a", **script("exit 4"))
    bad["spec"]["strategy"] = {"type": "Recreate"}
    with Arena(bad) as arena:
        with arena.twin() as twin:
            memory = twin.runtime.remembers()
        arena.patch(bad, {"spec": {"template": {"spec": {"containers": [{"name": "main", **script("sleep 1d")}]}}}})
        arena.cluster.advance(90)
        for known in (memory, None):
            with arena.twin(memory=known) as twin:
                change(twin, "deployments.apps", "a", **script("exit 4"))
                twin.advance(60)
                assert bool(twin.doubts.met) is (known is None)
                assert (health(twin)["a"][4] > 0) is (known is not None)


# what it cannot know


def test_a_restart_with_config_that_was_edited_meanwhile_is_a_doubt() -> None:
    app = deployment("a", envFrom=[{"configMapRef": {"name": "c"}}])
    for edited in (False, True):
        with Arena(config("c", MODE="old"), app) as arena:
            if edited:
                arena.patch(config("c"), {"data": {"MODE": "new"}})
            with arena.twin() as twin:
                pod = twin.store.list("pods", SHOP)[0]
                twin.store.delete("pods", SHOP, pod["metadata"]["name"])
                twin.control.drain()
                twin.advance(30)
                assert bool(twin.doubts.met) is edited


def test_what_fails_may_stop_failing_when_what_it_leans_on_changes() -> None:
    app = deployment("a", env=[{"name": "DB", "value": "tcp://db:5432/x"}], **script("sleep 2; exit 1"))
    with Arena(app, service("db", 5432), service("other")) as arena, arena.twin() as twin:
        for name, doubted in (("other", False), ("db", True)):
            with twin.fork() as fork:
                found = fork.store.get("services", SHOP, name)
                assert found is not None
                fork.store.update("services", {**found, "spec": {**found["spec"], "selector": {"app": "elsewhere"}}})
                fork.control.drain()
                fork.advance(200)
                assert bool(fork.doubts.met) is doubted, name


def test_what_is_well_stays_well_whatever_it_leans_on() -> None:
    app = deployment("a", env=[{"name": "DB", "value": "db"}])
    with Arena(app, service("db", 5432)) as arena, arena.twin() as twin:
        twin.store.delete("services", SHOP, "db")
        twin.control.drain()
        twin.advance(60)
        assert health(twin)["a"][1] == 1
        assert not twin.doubts.met


def test_another_probe_is_a_doubt_unless_its_answer_is_known() -> None:
    live = {**PROBE, "initialDelaySeconds": 1}
    app = deployment("a", readinessProbe=WRONG, livenessProbe=live, **WEB)
    with Arena(app, service("a")) as arena, arena.twin() as twin:
        assert health(twin)["a"][1] == 0
        for probe, doubted, ready in ((PROBE, False, 1), ({"tcpSocket": {"port": 80}}, False, 1), (None, False, 1),
                                      ({"httpGet": {"path": "/x", "port": 80}}, True, 1)):  # fmt: skip
            with twin.fork() as fork:
                change(fork, "deployments.apps", "a", readinessProbe=probe)
                fork.advance(90)
                assert bool(fork.doubts.met) is doubted, probe
                assert health(fork)["a"][1] == ready
        with twin.fork(pessimist=True) as fork:
            change(fork, "deployments.apps", "a", readinessProbe={"httpGet": {"path": "/x", "port": 80}})
            fork.advance(90)
            assert health(fork)["a"][1] == 0


def test_autoscalers_are_not_fed_with_made_up_figures() -> None:
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a", "namespace": SHOP},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
            "minReplicas": 1,
            "maxReplicas": 5,
        },
    }
    app = deployment("a", replicas=3, resources={"requests": {"cpu": "100m"}})
    with Arena(app, hpa, seconds=10) as arena, arena.twin() as twin, twin.fork() as fork:
        for cluster in (twin, fork):
            cluster.advance(600)
            found = cluster.store.get("deployments.apps", SHOP, "a")
            assert found is not None
            assert found["spec"]["replicas"] == 3
