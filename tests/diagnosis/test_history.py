"""Revisions: what differs, and where to go back to."""

from __future__ import annotations

from builders import app, case, container, deployment, node, observation, pod, replica_set, service, template

from stratus.diagnosis.history import Revision, differences, once_ran
from stratus.diagnosis.world import World
from stratus.model.base import Json


def paths(old: Json, new: Json) -> list[tuple[str, str]]:
    return [(d.area, d.path) for d in differences(old, new)]


def test_each_part_of_a_template_has_its_area() -> None:
    old = template("web", container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    new = template(
        "web",
        container(image="registry.example/app:2", command=["x"], env=[{"name": "A", "value": "3"}],
                  resources={"limits": {"cpu": "1"}}, readinessProbe={"tcpSocket": {"port": 1}}),
        nodeSelector={"a": "b"}, serviceAccountName="s", volumes=[{"name": "v"}],
    )  # fmt: skip
    assert set(paths(old, new)) == {
        ("image", "image"), ("command", "command"), ("env", "env A"), ("env", "env B"), ("resources", "resources"),
        ("probe", "readinessProbe"), ("scheduling", "nodeSelector"), ("identity", "serviceAccountName"),
        ("volumes", "volumes"),
    }  # fmt: skip


def test_a_restart_is_no_difference() -> None:
    old, new = template("web"), template("web")
    new["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    new["metadata"]["labels"]["pod-template-hash"] = "abc"
    assert differences(old, new) == []


def test_secret_values_are_not_shown() -> None:
    old = template("web", container(env=[{"name": "API_TOKEN", "value": "old-value"}]))
    new = template("web", container(env=[{"name": "API_TOKEN", "value": "new-value"}]), container("side"))
    shown = " ".join(str(d) for d in differences(old, new))
    assert "value not shown" in shown
    assert "new-value" not in shown
    assert "container side was added" in shown


def revision(number: int, image: str, *, ready: int = 0, reign: float = 1000.0) -> Revision:
    return Revision(number, f"r{number}", template("web", container(image=image)), ready, 0, 0.0, reign)


def test_the_way_back_prefers_what_runs_then_what_reigned() -> None:
    now = template("web", container(image="i:9"))
    found = once_ran(
        [revision(5, "i:9"), revision(4, "i:8", reign=5), revision(3, "i:7"), revision(2, "i:6", ready=1)], now
    )
    assert [r.number for r in found] == [2, 3, 4]


def test_a_revision_equal_to_the_present_is_no_way_back() -> None:
    now = template("web", container(image="i:9"))
    assert once_ran([revision(2, "i:9"), revision(1, "i:9")], now) == []


def test_a_world_joins_pods_services_and_calls() -> None:
    front = app("front", container(env=[{"name": "BACK", "value": "http://back:80"}]))
    world = World(case(observation(*front, *app("back"), node())))
    w = world.behind("front")
    assert w is not None
    assert (w.kind, w.service, w.wanted, w.ready, w.down) == ("Deployment", "front", 1, 1, 0.0)
    assert world.callees["front"] == {"back"}
    assert world.callers["back"] == {"front"}


def test_pods_of_the_newest_revision_are_told_apart() -> None:
    old, new = template("web"), template("web", container(image="i:2"))
    look = observation(
        deployment("web", new), replica_set("web", 1, old, replicas=1, ready=1),
        replica_set("web", 2, new, replicas=1, age=50.0), pod("web", 1, old), pod("web", 2, new, ready=False, age=50.0),
        service("web"), node(),
    )  # fmt: skip
    w = World(case(look)).behind("web")
    assert w is not None
    assert [p["metadata"]["name"] for p in w.newest_pods] == ["web-2-0"]
    assert [r.number for r in w.back] == [1]
