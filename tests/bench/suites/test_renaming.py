"""A renamed copy shows nothing of the original, behaves like it, and can be judged like it."""

from __future__ import annotations

import json
import os
import random
import re
from functools import cache
from pathlib import Path

import pytest

from stratus.bench.arena import Arena
from stratus.bench.oracles import judge
from stratus.bench.snapshot import figures, firing
from stratus.bench.suites import Scenario, Suite, lint_suite, load_suite, renamed
from stratus.bench.suites.linting import shown
from stratus.bench.suites.loading import app_of
from stratus.bench.suites.naming import Naming
from stratus.bench.suites.renaming import naming_of
from stratus.model.base import Json
from stratus.sim.apps.loader import load_application
from stratus.sim.cluster import EmbeddedCluster

LONG = bool(os.environ.get("STRATUS_LONG"))
LATER = pytest.mark.skipif(not LONG, reason="set STRATUS_LONG=1 for more scenarios")
SHOPS = (
    "hotel-reservation",
    *(
        pytest.param(name, marks=pytest.mark.skipif(not LONG, reason="set STRATUS_LONG=1 for all applications"))
        for name in ("social-network", "astronomy-shop")
    ),
)


def naming(**fields: object) -> Naming:
    usual: dict[str, object] = {
        "names": ["geo", "geo-pvc", "mongodb-geo", "mongod", "user", "shop"],
        "repositories": ["acme/geo"],
        "ports": [8083],
        "label_keys": ["acme.dev/name", "app"],
        "rng": random.Random(1),
        "binaries": ["mongod"],
    }
    return Naming(**{**usual, **fields})  # type: ignore[arg-type]


def test_whole_names_are_replaced_and_longer_ones_first() -> None:
    one = naming()
    geo, mongo, user = (one.names[n] for n in ("geo", "mongodb-geo", "user"))
    assert one.text("geo:8083 calls mongodb-geo:27017") == f"{geo}:{one.ports[8083]} calls {mongo}:27017"
    assert one.text("geo-pvc geo-other") == f"{one.names['geo-pvc']} {geo}-other"
    assert one.text("user-db users geography") == f"{user}-db users geography"
    assert one.text("GEO_ADDR POSTGRES_USER USER") == f"{geo.upper()}_ADDR POSTGRES_USER USER"
    assert one.text("geo.shop.svc.cluster.local") == f"{geo}.{one.names['shop']}.svc.cluster.local"


def test_words_of_a_schema_stay_and_keys_change_where_names_are() -> None:
    one = naming()
    geo = one.names["geo"]
    data = {
        "rate": 3,
        "kind": "user",
        "user": "admin",
        "programs": {"geo": {"protocol": "user", "command": "geo"}},
        "labels": {"app": "geo", "acme.dev/name": "geo", "tier": "x"},
        "command": ["mongod", "geo"],
        "args": ["mongod"],
        "containerPort": 8083,
        "periodSeconds": 8083,
        "image": "docker.io/acme/geo:1-geo",
        "ready": True,
    }
    made = one.data(data)
    assert made["rate"] == 3
    assert (made["kind"], made["user"]) == ("user", "admin")
    assert made["programs"] == {geo: {"protocol": "user", "command": geo}}
    assert made["labels"] == {one.keys["app"]: geo, one.keys["acme.dev/name"]: geo, "tier": "x"}
    assert made["command"] == ["mongod", geo], "what a tool's image calls its command is not up to the application"
    assert made["args"] == [one.names["mongod"]]
    assert (made["containerPort"], made["periodSeconds"]) == (one.ports[8083], 8083)
    assert made["image"] == f"docker.io/{one.images['acme/geo']}:1-{geo}"
    assert made["ready"] is True


def test_images_of_others_stay_and_patterns_over_own_ones_follow() -> None:
    one = naming()
    owner = one.images["acme/geo"].partition("/")[0]
    assert one.image("docker.io/library/mongo:4.4") == "docker.io/library/mongo:4.4"
    assert one.image("grafana/geo:1") == "grafana/geo:1"
    assert one.image("docker.io/acme/*") == f"docker.io/{owner}/*"


def test_two_names_never_become_one() -> None:
    one = naming(names=[f"name-{n}" for n in range(300)], ports=range(100))
    assert len(set(one.names.values())) == 300
    assert len(set(one.ports.values())) == 100


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Suite, Suite]]:
    folder = tmp_path_factory.mktemp("renamed")
    suites = [load_suite(n) for n in (("aiopslab", "itbench", "sregym") if LONG else ("aiopslab",))]
    if not LONG:
        some = tuple(s for s in suites[0].scenarios if s.app == "hotel-reservation" or "/" in s.app)
        suites[0] = suites[0].model_copy(update={"scenarios": some})
    return {s.name: (s, renamed(s, 11, folder / s.name)) for s in suites}


def test_everything_of_a_scenario_but_its_id_goes_by_other_names(copies: dict[str, tuple[Suite, Suite]]) -> None:
    for suite, copy in copies.values():
        assert shown(lint_copy(copy)) == ""
        for old, new in zip(suite.scenarios, copy.scenarios, strict=True):
            assert (old.id, old.tasks, old.truth.fault) == (new.id, new.tasks, new.truth.fault)
            assert len(old.faults) == len(new.faults)
            if old.faults and not old.truth.objects[0].startswith("Node/"):
                told = naming_for(old, suite, 11)
                said = json.dumps([new.truth.model_dump(), [c.model_dump() for c in new.original]], default=str)
                assert not [n for n in told.names if re.search(rf"(?<![\w]){re.escape(n)}(?![\w])", spoken(said))]


def spoken(text: str) -> str:
    """Return a truth without the words that are not names: classes, levels, kinds of checks, and paths of fields."""
    return re.sub(r'"(?:fault|level|type|text|check|path|command|differs)": (?:"[^"]*"|\[[^\]]*\])', "", text)


def lint_copy(copy: Suite) -> tuple[object, ...]:
    folder = Path(copy.folder)
    files = set(folder.glob("app-*.yaml"))
    inner = folder.parent / f"{copy.name}-lint"
    inner.mkdir(exist_ok=True)
    (inner / "suite.yaml").write_text("name: copy\n")
    (inner / "faults.yaml").write_text((folder / "faults.yaml").read_text())
    data = [s.model_dump(mode="json", exclude={"suite"}) for s in copy.scenarios]
    (inner / "all.yaml").write_text(json.dumps({"scenarios": data}))
    assert files
    return lint_suite(inner)  # type: ignore[return-value]


def naming_for(scenario: Scenario, suite: Suite, seed: int) -> Naming:
    return _naming(app_of(scenario, suite.folder), seed)


@cache
def _naming(app: str, seed: int) -> Naming:
    return naming_of(load_application(app), random.Random(f"{seed}/{Path(app).stem}"))


def images(cluster: EmbeddedCluster) -> set[str]:
    return {c["image"] for p in cluster.store.list("pods") for c in p["spec"]["containers"]}


def own(obj: Json, public: set[str]) -> str:
    """Return an object's text without what is nobody's own: images of public tools, and their commands."""
    text = json.dumps(obj)
    for image in public:
        text = text.replace(image, "").replace(image.partition(":")[0], "")
    return re.sub(r'"command": \["\w+"', "", text)


@pytest.mark.parametrize("shop", SHOPS)
def test_no_original_name_is_served_and_the_copy_is_as_healthy(
    copies: dict[str, tuple[Suite, Suite]], shop: str
) -> None:
    suite, copy = copies["aiopslab"]
    old, new = next((o, n) for o, n in zip(suite.scenarios, copy.scenarios, strict=True) if o.app == shop)
    told = naming_for(old, suite, 11)
    left = re.compile("|".join(rf"(?<!\w){re.escape(n)}(?!\w)" for n in sorted(told.originals())))
    with EmbeddedCluster(app=new.app) as cluster, EmbeddedCluster(app=shop) as original:
        assert firing(cluster) == set()
        assert len(figures(cluster)) == len(figures(original))
        rates = [sorted(round(f.rate or 0.0) for f in figures(c).values()) for c in (cluster, original)]
        assert rates[0] == rates[1]
        spaces = {o["metadata"]["name"] for o in cluster.store.list("namespaces")}
        assert len(spaces) == len(list(original.store.list("namespaces"))) + 1
        found, public = [], images(cluster) & images(original)
        assert not any("hotelreservation" in image for image in public)
        for resource in cluster.store.resources():
            for obj in cluster.store.list(resource):
                meta = obj["metadata"]
                if meta.get("namespace", "").startswith("kube-") or meta["name"].startswith(
                    ("system:", "system-", "kube-")
                ):
                    continue
                found += [(resource, meta["name"], m[0]) for m in left.finditer(own(obj, public))]
        assert found == []
        replicas = [o["spec"]["replicas"] for o in cluster.store.list("deployments.apps", cluster.namespace)]
        assert any(r > 1 for r in replicas)


def test_a_copy_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: Path) -> None:
    suite = load_suite("aiopslab")
    small = suite.model_copy(update={"scenarios": suite.scenarios[-3:]})
    one, two, other = (renamed(small, s, tmp_path / f) for s, f in ((5, "a"), (5, "b"), (6, "c")))
    texts = [[p.read_text() for p in sorted(Path(r.folder).glob("*.yaml"))] for r in (one, two, other)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert [s.truth for s in one.scenarios] == [s.truth for s in two.scenarios] != [s.truth for s in other.scenarios]


@pytest.mark.parametrize(
    ("name", "scenario"),
    [
        pytest.param("aiopslab", "k8s_target_port-misconfig-1", marks=LATER),
        pytest.param("aiopslab", "redeploy_without_PV", marks=LATER),
        pytest.param("aiopslab", "flower_model_misconfig", marks=LATER),
        pytest.param("aiopslab", "user_unregistered_mongodb-1", marks=LATER),
        pytest.param("itbench", "scenario-17", marks=LATER),
        pytest.param("itbench", "scenario-36", marks=LATER),
        pytest.param("itbench", "scenario-105", marks=LATER),
        pytest.param("sregym", "network_policy_block", marks=LATER),
        pytest.param("sregym", "service_dns_resolution_failure_social_network", marks=LATER),
        pytest.param("sregym", "trainticket_f17_nested_sql_select_clause_error", marks=LATER),
        pytest.param("sregym", "valkey_auth_disruption", marks=LATER),
    ],
)
def test_the_oracles_hold_on_a_copy(copies: dict[str, tuple[Suite, Suite]], name: str, scenario: str) -> None:
    copy = copies[name][1]
    with Arena.open(copy.scenario(scenario), suite=copy) as arena:
        arena.inject()
        with arena.branch() as idle:
            seen = judge(idle, idle.finish(most=0))
            assert (seen.original.passed or False, seen.strict.passed) == (False, False)
        for fault in reversed(arena.cluster.injected()):
            arena.cluster.heal(fault)
        seen = judge(arena, arena.finish())
        assert seen.original.passed is not False, seen.original.findings
        assert seen.strict.passed, seen.strict.findings
