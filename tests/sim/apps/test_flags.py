"""Feature flags: read live from a ConfigMap by way of the process that serves them, and what they switch on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stratus.sim.apps.effects import Flag, Mods, read_flags
from stratus.sim.apps.schema import Effect
from stratus.sim.cluster import EmbeddedCluster

from .building import NS, Obj, application, edge, errors, procs, program, rate, started, tick, workload

EFFECTS: list[Obj] = [
    {"flag": "fails", "error_rate": 0.5, "message": "flagged"},
    {"flag": "percent", "by_value": True, "error_rate": 1.0, "message": "some"},
    {"flag": "slow", "by_value": True, "wait_ms": 1, "operations": ["get"]},
    {"flag": "busy", "cores": 0.5},
    {"flag": "leaks", "by_value": True, "leak": 1},
    {"flag": "lost", "unreachable": ["store"]},
    {"flag": "cold-cache", "misses": ["cache"]},
    {"flag": "chatty", "calls": {"store": 4}},
    {"flag": "pauses", "pause_ms": 800, "pause_every": 4},
    {"setting": {"env": "MODE", "default": "plain"}, "pattern": "slow-.*", "wait_ms": 300},
]


def flags(**on: Any) -> str:
    names = {e["flag"] for e in EFFECTS if "flag" in e}
    table = {n: {"state": "ENABLED", "variants": {"on": on.get(n.replace("-", "_"), True), "off": 0}} for n in names}
    for name, flag in table.items():
        flag["defaultVariant"] = "on" if name.replace("-", "_") in on else "off"
    return json.dumps({"flags": table})


def shop() -> Obj:
    calls = [
        {"to": "cache", "operation": "get", "on_error": "miss"},
        {"to": "store", "operation": "get", "missed": "cache"},
    ]
    targets = {
        "cache": {"address": {"default": "cache:80"}, "protocol": "redis", "hit": 0.75},
        "store": {"address": {"default": "store:80"}, "protocol": "http"},
        "flags": {"address": {"env": "FLAGD_HOST", "default": "flags"}, "port": {"default": "80"}, "protocol": "tcp"},
    }
    front = program("front", {"get": {"cpu_ms": 1, "calls": calls}}, targets=targets, flags="flags", effects=EFFECTS)
    served = program("flags", {"*": {"cpu_ms": 0.1}}, flag_file="/etc/flagd/demo.flagd.json")
    volume = {"name": "flags", "configMap": {"name": "flagd-config"}}
    mount = {"volumeMounts": [{"name": "flags", "mountPath": "/etc/flagd"}]}
    meta = {"name": "flagd-config"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"demo.flagd.json": flags()}}
    objects = [
        config, *workload("front"), *workload("store"), *workload("cache"),
        *workload("flags", container=mount, volumes=[volume]),
    ]  # fmt: skip
    others = {n: program(n, {"get": {"cpu_ms": 0.5}}) for n in ("store", "cache")}
    return application({"front": front, "flags": served, **others}, objects, 40.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with started(tmp_path_factory.mktemp("flags"), shop()) as cluster:
        yield cluster


@pytest.fixture
def cluster(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


def switch(cluster: EmbeddedCluster, **on: Any) -> None:
    cluster.faulting.hands.patch("ConfigMap", NS, "flagd-config", {"data": {"demo.flagd.json": flags(**on)}})
    cluster.advance(10)


def test_with_all_flags_off_nothing_is_different(cluster: EmbeddedCluster) -> None:
    assert errors(cluster) == 0
    assert procs(cluster, "front")[0].mods is None


def test_a_change_of_the_config_map_acts_at_once_and_so_does_its_end(cluster: EmbeddedCluster) -> None:
    switch(cluster, fails=True)
    assert errors(cluster) == pytest.approx(0.5, abs=0.01)
    assert edge(cluster, "", "front").message == "flagged"
    lines = [text for _, text in procs(cluster, "front")[0].lines]
    assert any("get failed: flagged" in line for line in lines)
    switch(cluster)
    assert errors(cluster) == 0


def test_a_value_says_how_strong_an_effect_is(cluster: EmbeddedCluster) -> None:
    switch(cluster, percent=0.25)
    assert errors(cluster) == pytest.approx(0.25, abs=0.01)
    before = edge(cluster, "", "front").p99
    switch(cluster, slow=700)
    assert edge(cluster, "", "front").p99 > before + 0.6


def test_flags_that_nobody_answers_for_are_off(cluster: EmbeddedCluster) -> None:
    switch(cluster, fails=True)
    cluster.faulting.hands.patch("Deployment", NS, "flags", {"spec": {"replicas": 0}})
    cluster.advance(60)
    assert errors(cluster) == 0


def test_cpu_beside_the_requests_counts_and_takes_room(cluster: EmbeddedCluster) -> None:
    before = procs(cluster, "front")[0].cpu
    switch(cluster, busy=True)
    (proc,) = procs(cluster, "front")
    assert proc.cpu == pytest.approx(before + 0.5, abs=0.05)
    assert proc.room == pytest.approx(0.5)


def test_a_leak_grows_with_time(cluster: EmbeddedCluster) -> None:
    switch(cluster, leaks=2)
    before = procs(cluster, "front")[0].memory
    cluster.advance(60)
    assert (procs(cluster, "front")[0].memory - before) / 2**20 == pytest.approx(120, rel=0.1)


def test_targets_caches_and_calls_can_be_switched(cluster: EmbeddedCluster) -> None:
    normal = rate(cluster, "store")
    assert normal == pytest.approx(rate(cluster, "front") / 4, rel=0.01)
    switch(cluster, cold_cache=True)
    assert rate(cluster, "store") == pytest.approx(rate(cluster, "front"), rel=0.01)
    switch(cluster, chatty=True)
    assert rate(cluster, "store") == pytest.approx(rate(cluster, "front"), rel=0.01)
    switch(cluster, lost=True)
    assert errors(cluster) == pytest.approx(0.25, abs=0.01)
    assert "no such host" in edge(cluster, "front", "store").message


def test_a_process_that_stands_still_makes_some_requests_very_slow(cluster: EmbeddedCluster) -> None:
    before = tick(cluster).services[NS, "front"]
    switch(cluster, pauses=True)
    after = tick(cluster).services[NS, "front"]
    assert after.p99 > before.p99 + 0.3


def test_a_setting_switches_at_the_start_of_the_process(cluster: EmbeddedCluster) -> None:
    container = {"name": "front", "env": [{"name": "MODE", "value": "slow-log"}]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    media = "application/strategic-merge-patch+json"
    cluster.faulting.hands.patch("Deployment", NS, "front", patch, media)
    cluster.advance(60)
    assert edge(cluster, "", "front").p99 > 0.3


def test_flag_documents_are_read_as_flagd_reads_them() -> None:
    document = {
        "flags": {
            "a": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
            "b": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
            "c": {"state": "ENABLED", "variants": {"10%": 0.1}, "defaultVariant": "10%"},
            "d": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "typo"},
            "e": "nonsense",
        }
    }
    assert read_flags(json.dumps(document)) == {"a": Flag("on", True), "c": Flag("10%", 0.1)}
    assert read_flags("{") == read_flags("[]") == read_flags('{"flags": 3}') == {}


@pytest.mark.parametrize(
    ("flag", "effect", "strength"),
    [
        (Flag("on", True), {}, 1.0),
        (Flag("off", False), {}, 0.0),
        (Flag("x", 0), {}, 0.0),
        (Flag("x", "off"), {}, 0.0),
        (Flag("50%", 0.5), {"by_value": True}, 0.5),
        (Flag("50%", 0.5), {}, 1.0),
        (Flag("on", True), {"by_value": True}, 1.0),
        (Flag("5sec", 5000), {"when": ["10sec"]}, 0.0),
        (Flag("5sec", 5000), {"when": ["5sec"]}, 1.0),
    ],
)
def test_how_much_of_an_effect_a_flag_asks_for(flag: Flag, effect: dict[str, Any], strength: float) -> None:
    assert flag.strength(Effect(flag="f", **effect)) == strength


def test_effects_add_up() -> None:
    mods = Mods()
    mods.add(Effect(flag="a", slower=3, cpu=2, wait_ms=10), 1.0)
    mods.add(Effect(flag="b", slower=2, operations=("get",), rate=5), 2.0)
    assert mods.of(mods.slower, "get", 1.0) == pytest.approx(9.0)
    assert mods.of(mods.slower, "put", 1.0) == pytest.approx(3.0)
    assert mods.of(mods.wait, "put", 0.0) == pytest.approx(0.01)
    assert mods.rate == pytest.approx(9.0)
