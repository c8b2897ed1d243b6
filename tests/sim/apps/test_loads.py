"""The load: from outside or from pods that make it, with flags that flood; and what lies outside the cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stratus.errors import UsageError

from .building import NS, Obj, application, edge, errors, procs, program, rate, started, tick, workload


def flags(on: bool) -> str:
    variants = {"on": 10, "off": 0}
    flood = {"state": "ENABLED", "variants": variants, "defaultVariant": "on" if on else "off"}
    return json.dumps({"flags": {"flood": flood}})


def crowd() -> Obj:
    effects = [{"flag": "flood", "rate": 2, "by_value": True}]
    bots = program("bots", {}, flags="self", flag_file="/etc/flags/flags.json", effects=effects)
    bots["targets"] = {"self": {"address": {"default": "bots:80"}, "protocol": "tcp"}}
    meta = {"name": "flags"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"flags.json": flags(False)}}
    volume = {"name": "flags", "configMap": {"name": "flags"}}
    mount = {"volumeMounts": [{"name": "flags", "mountPath": "/etc/flags"}]}
    objects = [config, *workload("front"), *workload("bots", container=mount, volumes=[volume], replicas=2)]
    programs = {"front": program("front", {"get": {"cpu_ms": 1}}), "bots": bots}
    return application(programs, objects, 20.0, load={"program": "bots"})


def test_pods_make_the_load_a_flag_floods_it_and_without_pods_there_is_none(tmp_path: Path) -> None:
    with started(tmp_path, crowd()) as cluster:
        normal = rate(cluster, "front")
        assert normal == pytest.approx(20, rel=0.15)
        assert (NS, "bots", "front", "get") in tick(cluster).edges
        hands = cluster.faulting.hands
        hands.patch("ConfigMap", NS, "flags", {"data": {"flags.json": flags(True)}})
        cluster.advance(10)
        assert rate(cluster, "front") == pytest.approx(11 * normal, rel=0.1)
        hands.patch("ConfigMap", NS, "flags", {"data": {"flags.json": flags(False)}})
        hands.patch("Deployment", NS, "bots", {"spec": {"replicas": 1}})
        cluster.advance(60)
        assert rate(cluster, "front") == pytest.approx(normal, rel=0.15)
        hands.patch("Deployment", NS, "bots", {"spec": {"replicas": 0}})
        cluster.advance(60)
        assert (NS, "front") not in tick(cluster).services


def outward(host: str, **outside: float | str) -> Obj:
    to = {"out": {"address": {"default": f"{host}:443"}, "protocol": "http", "timeout": 1}}
    front = program("front", {"get": {"cpu_ms": 1, "calls": [{"to": "out", "operation": "ask"}]}}, targets=to)
    return application({"front": front}, workload("front"), 20.0, externals={"api.partner": outside})


def test_something_outside_answers_as_described(tmp_path: Path) -> None:
    with started(tmp_path, outward("api.partner", wait_ms=200, error_rate=0.3, message="429 slow down"), 60) as cluster:
        found = edge(cluster, "front", "api.partner")
        assert found.p99 > 0.2
        assert errors(cluster) == pytest.approx(0.3, abs=0.01)
        assert found.message == "429 slow down"


@pytest.mark.parametrize(("host", "said"), [("api.nowhere", "no such host"), ("www.example-site.org", "")])
def test_other_names_outside_resolve_when_they_are_public(tmp_path: Path, host: str, said: str) -> None:
    with started(tmp_path, outward(host), 60) as cluster:
        (found,) = [e for (_, a, _, _), e in tick(cluster).edges.items() if a == "front"]
        assert said in found.message
        assert errors(cluster) == (1.0 if said else 0.0)


def test_something_outside_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with started(tmp_path, outward("api.partner", wait_ms=3000), 60) as cluster:
        assert errors(cluster) == 1.0
        assert edge(cluster, "front", "api.partner").p99 == pytest.approx(1, rel=0.05)


def told_where() -> Obj:
    bots = program("bots", {}, targets={"shop": {"address": {"env": "SHOP"}, "protocol": "http"}})
    env = {"env": [{"name": "SHOP", "value": "http://front:80"}, {"name": "USERS", "value": "4"}]}
    objects = [*workload("front"), *workload("bots", container=env)]
    programs = {"front": program("front", {"get": {"cpu_ms": 1}, "other": {"cpu_ms": 1}}), "bots": bots}
    mix = [{"operation": "get", "share": 3}, {"operation": "other", "share": 1}]
    load = {"program": "bots", "target": "shop", "users": {"env": "USERS"}, "mix": mix}
    return application(programs, objects, 5.0, load=load)


def test_a_load_generator_is_told_where_to_go_and_how_many_it_is(tmp_path: Path) -> None:
    with started(tmp_path, told_where(), 60) as cluster:
        assert rate(cluster, "front") == pytest.approx(20, rel=0.15)
        assert set(tick(cluster).users) == {(NS, "get"), (NS, "other")}
        hands = cluster.faulting.hands
        env = [{"name": "USERS", "value": "8"}]
        part = {"spec": {"template": {"spec": {"containers": [{"name": "bots", "env": env}]}}}}
        hands.patch("Deployment", NS, "bots", part, "application/strategic-merge-patch+json")
        cluster.advance(60)
        assert rate(cluster, "front") == pytest.approx(40, rel=0.15)
        env[0] = {"name": "SHOP", "value": "http://nowhere:80"}
        hands.patch("Deployment", NS, "bots", part, "application/strategic-merge-patch+json")
        cluster.advance(60)
        asked, failed = tick(cluster).users[NS, "get"]
        assert asked == pytest.approx(failed) == pytest.approx(30, rel=0.15)
        assert (NS, "front") not in tick(cluster).services


def test_users_are_counted_whoever_makes_the_load(tmp_path: Path) -> None:
    with started(tmp_path, told_where(), 60) as cluster:
        text = cluster.observatory.scrape()
        assert (
            f'locust_requests_num_requests{{instance="load-generator:8089",job="load-generator",method="GET",name="/get",namespace="{NS}"}}'
            in text
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"load": {"target": "shop"}}, "name it"),
        ({"load": {"program": "bots", "target": "store"}}, "has no target 'store'"),
        ({"effects": [{"setting": {"env": "X"}, "requests": {"gone": 2}}]}, "no requests for 'gone' in load.mix"),
    ],
)
def test_a_load_that_does_not_fit_its_program_is_refused(tmp_path: Path, change: Obj, said: str) -> None:
    app = told_where()
    if "load" in change:
        app["load"] = {k: v for k, v in app["load"].items() if k not in ("program", "target", "users")} | change["load"]
    else:
        app["programs"]["bots"] |= change
    with pytest.raises(UsageError, match=said):
        started(tmp_path, app)


def workers(rate: float = 8.0) -> Obj:
    """`bots` ask `front` of their own accord; every such request takes memory there."""
    calls = [{"to": "front", "operation": "put"}]
    bots = program("bots", {"poll": {"cpu_ms": 5, "calls": calls}}, works=[{"operation": "poll", "rate": rate}])
    bots["targets"] = {"front": {"address": {"default": "front:80"}, "protocol": "http"}}
    front = program("front", {"get": {"cpu_ms": 1}, "put": {"cpu_ms": 1, "memory": 4}}, memory=50)
    return application({"front": front, "bots": bots}, [*workload("front"), *workload("bots", replicas=2)], 10.0)


def test_programs_work_of_their_own_accord(tmp_path: Path) -> None:
    with started(tmp_path, workers(), 60) as cluster:
        found = edge(cluster, "bots", "front")
        assert found.calls == pytest.approx(2 * 8)
        assert procs(cluster, "bots")[0].cpu == pytest.approx(8 * 0.005, rel=0.15)
        assert procs(cluster, "front")[0].memory / 2**20 == pytest.approx(50 + 4 * 16, rel=0.03)
        assert set(tick(cluster).users) == {(NS, "get")}, "it is no user who asks"
        cluster.inject("any-scaled-to-zero", workload="bots")
        cluster.advance(30)
        assert procs(cluster, "front")[0].memory / 2**20 == pytest.approx(50, rel=0.03)


def test_work_is_an_operation_of_the_program(tmp_path: Path) -> None:
    app = workers()
    app["programs"]["bots"]["works"] = [{"operation": "rest", "rate": 1}]
    with pytest.raises(UsageError, match=r"works\.0\.operation: no operation 'rest'"):
        started(tmp_path, app)
