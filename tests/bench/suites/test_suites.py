"""The shipped suites: complete, sound, and honest about what is missing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stratus.bench.suites import Suite, lint_suite, load_suite, suite_names, suites_folder
from stratus.bench.suites.linting import shown
from stratus.bench.suites.pages import coverage_page, schema_page
from stratus.errors import UnknownNameError, UsageError
from stratus.sim.apps.loader import load_application

SHIPPED = ("aiopslab", "itbench", "sregym")
#: Of the original: scenarios, and the least part that has to be here.
WHOLE = {"aiopslab": (34, 0.95), "itbench": (67, 0.90), "sregym": (60, 0.90)}


@pytest.fixture(params=SHIPPED)
def suite(request: pytest.FixtureRequest) -> Suite:
    return load_suite(request.param)


def test_the_suites_are_found_by_name() -> None:
    assert suite_names() == (*SHIPPED, "catalogue")


def test_each_covers_what_it_has_to_and_names_the_rest(suite: Suite) -> None:
    whole, least = WHOLE[suite.name]
    assert len(suite.scenarios) + len(suite.not_covered) == whole
    assert suite.coverage >= least
    ids = [*(s.id for s in suite.scenarios), *(n.id for n in suite.not_covered)]
    assert max(Counter(ids).values()) == 1
    assert all(len(n.reason.split()) > 5 for n in suite.not_covered)


def test_every_registered_id_of_the_first_is_there_once() -> None:
    ids = [i for s in load_suite("aiopslab").scenarios for i in s.tasks.values()]
    assert len(ids) == len(set(ids)) == 89
    tasks = Counter(t for s in load_suite("aiopslab").scenarios for t in s.tasks)
    assert tasks == {"detection": 34, "localization": 28, "analysis": 13, "mitigation": 14}


def test_the_linter_has_nothing_to_say(suite: Suite) -> None:
    assert shown(lint_suite(suite.folder)) == ""


def test_every_scenario_says_what_is_right(suite: Suite) -> None:
    for one in suite.scenarios:
        if one.faults:
            assert one.truth.objects, one.id
            assert one.truth.localization, one.id
            assert one.truth.fault != "unknown", one.id
        else:
            assert not one.truth.detection


def test_no_original_oracle_is_missing_where_a_repair_is_asked_for(suite: Suite) -> None:
    assert all(s.original for s in suite.scenarios if s.mitigation)


def test_truths_come_from_the_faults_unless_said() -> None:
    suite = load_suite("aiopslab")
    port = suite.scenario("k8s_target_port-misconfig-2")
    assert (port.truth.objects, port.truth.fault) == (("Service/text-service",), "wrong_target_port")
    assert suite.scenario("k8s_target_port-misconfig-analysis-2") == port


def test_applications_beside_the_suites_can_be_read() -> None:
    files = sorted((suites_folder() / "apps").glob("*.yaml"))
    assert len(files) == 3
    assert all(load_application(str(f)).objects for f in files)


def test_the_catalogue_is_a_suite_of_all_faults_that_need_nothing() -> None:
    found = load_suite("catalogue")
    assert len(found.scenarios) > 150
    assert not found.scenario("hotel-reservation.noise").truth.detection
    assert found.scenario("social-network.scaled-to-zero").mitigation


def test_the_pages_tell_all_of_it() -> None:
    page, schema = coverage_page(), schema_page()
    for name in SHIPPED:
        suite = load_suite(name)
        for one in (*suite.scenarios, *suite.not_covered):
            assert f"| `{one.id}` |" in page
        assert f"{suite.coverage:.1%}" in page
    assert "| `not_covered` |" in schema
    described = re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", schema.partition("## Checks")[0], re.MULTILINE)
    assert [name for name, meaning in described if not meaning.strip()] == []


# a suite of a user's own

SCENARIO: dict[str, Any] = {
    "id": "port",
    "title": "A wrong port",
    "app": "hotel-reservation",
    "family": "service-port",
    "faults": [{"fault": "any-wrong-target-port", "arguments": {"service": "geo"}}],
    "tasks": {"detection": "port"},
}


def write(folder: Path, *scenarios: dict[str, Any], head: str = "name: mine\n") -> Path:
    import yaml

    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_text(head)
    (folder / "all.yaml").write_text(yaml.safe_dump({"scenarios": list(scenarios)}))
    return folder


def test_a_folder_of_ones_own_is_a_suite(tmp_path: Path) -> None:
    import yaml

    folder = write(tmp_path / "mine", SCENARIO)
    (folder / "single.yaml").write_text(yaml.safe_dump({**SCENARIO, "id": "single"}))
    suite = load_suite(folder)
    assert [s.id for s in suite.scenarios] == ["port", "single"]
    assert suite.coverage == 1.0
    assert lint_suite(folder) == ()


def test_a_change_of_a_file_is_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", SCENARIO)
    assert len(load_suite(folder).scenarios) == 1
    write(folder, SCENARIO, {**SCENARIO, "id": "another"})
    assert len(load_suite(folder).scenarios) == 2


def test_its_own_faults_and_applications_are_used(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", {**SCENARIO, "faults": [{"fault": "mine"}], "app": "../app.yaml"})
    app = suites_folder() / "apps" / "book-shop.yaml"
    (tmp_path / "app.yaml").write_text(app.read_text())
    (folder / "faults.yaml").write_text(
        "faults:\n  - {id: mine, description: mine, steps: [{do: scale, name: ratings, replicas: 0}],"
        " truth: {object: Deployment/ratings, fault: scaled_to_zero}}\n"
    )
    assert load_suite(folder).scenarios[0].truth.objects == ("Deployment/ratings",)
    assert lint_suite(folder) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": {}}, "at least one task"),
        ({"tasks": {"repair": "x"}}, "tasks.repair"),
        ({"faults": []}, "nothing is wrong"),
        ({"tasks": {"mitigation": "x"}}, "original"),
        ({"tasks": {"analysis": "x"}}, "truth.level"),
        ({"surprise": 1}, "surprise: unknown field"),
        ({"original": [{"check": "telepathy"}]}, "original.0"),
        ({"id": "a b"}, "id"),
        ({"wait": 0}, "wait"),
    ],
)
def test_a_scenario_that_is_wrong_is_told_with_its_field(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write(tmp_path / "mine", {**SCENARIO, **change})
    with pytest.raises(UsageError, match=re.escape(said)):
        load_suite(folder)
    findings = lint_suite(folder)
    assert any(said in f.message and f.level == "error" for f in findings)


@pytest.mark.parametrize(
    ("change", "said", "level"),
    [
        ({"faults": [{"fault": "no-such"}]}, "has no fault 'no-such'", "error"),
        ({"faults": [{"fault": "any-wrong-target-port"}]}, "give a value for service", "error"),
        ({"faults": SCENARIO["faults"] * 2}, "occurs twice", "error"),
        ({"app": "no-such-app"}, "no-such-app", "error"),
        ({"truth": {"objects": ["Service/gio"], "localization": ["geo"]}}, "there is no Service/gio", "warning"),
        ({"truth": {"localization": ["gio"]}}, "nothing is called gio", "warning"),
        ({"original": [{"check": "endpoints", "service": "gio"}]}, "no service gio", "warning"),
        ({"original": [{"check": "rolled_out", "object": "Deployment/gio"}]}, "no Deployment/gio", "warning"),
    ],
)
def test_the_linter_knows_the_application_and_its_faults(
    tmp_path: Path, change: dict[str, Any], said: str, level: str
) -> None:
    findings = lint_suite(write(tmp_path / "mine", {**SCENARIO, **change}))
    assert [f.level for f in findings] == [level], shown(findings)
    assert said in shown(findings)


def test_the_linter_tells_everything_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", SCENARIO, SCENARIO, {**SCENARIO, "id": "x", "faults": [{"fault": "no-such"}]})
    (folder / "empty.yaml").write_text("scenarios: []\n")
    (folder / "bad.yaml").write_text("scenarios: [\n")
    said = shown(lint_suite(folder))
    for part in ("two scenarios have this id", "no fault 'no-such'", "holds no scenario", "not YAML"):
        assert part in said


def test_a_folder_that_is_no_suite_is_refused(tmp_path: Path) -> None:
    assert "suite.yaml" in shown(lint_suite(tmp_path))
    with pytest.raises(UnknownNameError, match="aiopslab"):
        load_suite(tmp_path / "nothing")
    assert "name" in shown(lint_suite(write(tmp_path / "mine", SCENARIO, head="title: x\n")))
    with pytest.raises(UsageError, match="two scenarios"):
        load_suite(write(tmp_path / "twice", SCENARIO, SCENARIO))
