"""The policy file: everything in it is documented, and what is wrong is named with file, line and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from stratus import EmbeddedCluster, respond
from stratus.cli.main import main
from stratus.errors import CommandRefused, SettingsError
from stratus.rules import ChangeWindow, verdict_presets
from stratus.settings import HealthSettings, PolicySettings, Settings
from stratus.wiring.config import load_settings
from stratus.wiring.policyfile import SECTIONS, apply_policy
from stratus.wiring.wrapping import transaction

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "policy.md"
APP = "hotel-reservation"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRATUS_CONFIG", raising=False)


def file(text: str) -> Path:
    path = Path("policy.yaml")
    path.write_text(text, encoding="utf-8")
    return path


def example() -> str:
    found = re.search(r"```yaml\n(version.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_example_is_valid() -> None:
    settings = apply_policy(Settings(), file(example()))
    assert settings.policy.windows[0].zone == "Europe/Paris"
    assert settings.policy.freezes[0].end == "2027-01-05T00:00"
    assert settings.health.objectives[0].latency_slo == 5.0
    assert settings.health.ignored_alerts[0].reason


def fields(group: type[BaseModel], given: Any) -> list[str]:
    """Return the fields of a group, and of the groups in it, that a document does not name."""
    missing = []
    for name, field in group.model_fields.items():
        key = field.alias or name
        if key not in given:
            missing.append(key)
            continue
        inner = [t for t in _types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
        for one in inner:
            part = given[key]
            missing += fields(one, part[0] if isinstance(part, list) else part)
    return missing


def _types(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", ())
    return [annotation, *(t for a in arguments for t in _types(a))]


def test_every_field_is_in_the_documented_example() -> None:
    document = yaml.safe_load(example())
    for section, (_, group) in SECTIONS.items():
        assert fields(group, document[section]) == [], section


def test_the_page_says_what_the_presets_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, preset in verdict_presets().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        numbers = [float(n) for n in re.findall(r"[\d.]+", row)]
        assert numbers == pytest.approx(
            [100 * preset[k] for k in ("alpha_better", "alpha_worse", "min_difference", "rate_drop")]
        ), row


WRONG = {
    "changes: {}": "policy.yaml:1: version: has to be 1",
    "version: 2": "policy.yaml:1: version: has to be 1",
    "version: 1\nrules: {}": "policy.yaml:2: rules: is no section",
    "- 1": "policy.yaml:1: a policy file is a mapping",
    "": "policy.yaml:1: a policy file is a mapping",
    "version: 1\nchanges:\n  scale_max: many": "policy.yaml:3: changes.scale_max: Input should be a valid integer",
    "version: 1\nchanges:\n  scale_maximum: 3": "policy.yaml:3: changes.scale_maximum: there is no such field",
    "version: 1\nchanges: 3": "policy.yaml:2: changes: is a mapping",
    "version: 1\nchanges:\n  windows:\n  - name: a\n    zone: Mars/Base": "policy.yaml:5: changes.windows[0].zone: 'M",
    "version: 1\nchanges:\n  windows:\n  - name: a\n  - zone: UTC": "policy.yaml:5: changes.windows[1].name: Field req",
    "version: 1\nchanges:\n  freezes:\n  - {name: a, from: soon, to: late}": "policy.yaml:4: changes.freezes[0].from",
    "version: 1\nverdict:\n\n  components: [latency_p99]": "policy.yaml:2: verdict: components: at least one of",
    "version: 1\nverdict:\n  components: [luck]": "policy.yaml:2: verdict: components: luck is none of",
    "version: 1\nverdict:\n  preset: lax": "policy.yaml:3: verdict.preset: Input should be 'strict'",
    "version: 1\nverdict:\n  alpha_worse: 0.5": "policy.yaml:3: verdict.alpha_worse: Input should be less than",
    "version: 1\nverdict:\n  ignored_alerts:\n  - name: X": "policy.yaml:4: verdict.ignored_alerts[0].reason: Field",
    "version: 1\nchanges:\n  kinds: [Pod]\n  kinds: [Node]": "policy.yaml:4: changes.kinds stands twice",
    "version: 1\nchanges: [": "policy.yaml:2: ",
    "version: 1\nchanges: !!python/object:os.system {}": "policy.yaml:2: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_file_line_and_field(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file(text)
    assert main(["policy", "check", "policy.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("stratus: " + WRONG[text]), said
    assert said.count("\n") == 1


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        apply_policy(Settings(), file("version: 1\nchanges:\n  scale_max: a\n  blast_radius:\n    share: 7"))
    assert "policy.yaml:3: changes.scale_max" in str(error.value)
    assert "policy.yaml:5: changes.blast_radius.share" in str(error.value)


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "absent.yaml"]) == 2
    assert "absent.yaml cannot be read" in capsys.readouterr().err
    assert main(["policy", "check"]) == 2
    assert "no policy file is set" in capsys.readouterr().err
    assert main(["respond", "--embedded", APP, "--policy", "absent.yaml"]) == 2


def test_it_goes_before_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    path = file("version: 1\nchanges: {scale_max: 5}\nverdict: {samples: 6}")
    monkeypatch.setenv("STRATUS_POLICY__SCALE_MAX", "500")
    monkeypatch.setenv("STRATUS_HEALTH__QUIET", "3")
    monkeypatch.setenv("STRATUS_POLICY_FILE", str(path))
    found = load_settings()
    assert found.policy.scale_max == 5
    assert (found.health.samples, found.health.quiet) == (6, 3.0), "what it does not name stays"


def test_a_preset_brings_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATUS_HEALTH__MIN_DIFFERENCE", "0.3")
    found = load_settings({"policy_file": file("version: 1\nverdict: {preset: strict, rate_drop: 0.1}")})
    strict = verdict_presets()["strict"]
    assert (found.health.min_difference, found.health.rate_drop) == (strict["min_difference"], 0.1)
    for name, values in verdict_presets().items():
        assert {k: getattr(HealthSettings(preset=name), k) for k in values} == values  # type: ignore[arg-type]
    assert HealthSettings() == HealthSettings(preset="balanced")


def test_check_says_whether_a_change_may_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(file('version: 1\nchanges: {windows: [{name: office, days: [mon], from: "09:00", to: "17:00"}]}'))
    assert main(["policy", "check", path, "--at", "2026-01-05T10:00:00Z"]) == 0
    assert "open" in capsys.readouterr().out
    assert main(["policy", "check", path, "--at", "2026-01-04T10:00:00Z", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["open"], found["changes"]["windows"][0]["from"]) == (False, "09:00")
    assert "2026-01-05 09:00 UTC" in found["opens"]
    assert main(["policy", "check", path, "--at", "soon"]) == 2


# --- an incident under a policy


@pytest.fixture(scope="module")
def broken() -> Any:
    cluster = EmbeddedCluster(app=APP, seed=11)
    cluster.inject("scaled-to-zero")
    cluster.advance(180)
    yield cluster
    cluster.close()


NEVER = "version: 1\nchanges: {freezes: [{name: stock-taking, from: 2000-01-01T00:00, to: 2200-01-01T00:00}]}"


def test_a_freeze_ends_an_incident_with_a_person_and_nothing_sent(broken: EmbeddedCluster, tmp_path: Path) -> None:
    """Given to the library directly, too: nobody has to have read the file before."""
    settings = Settings(mode="auto", state_dir=tmp_path / "s", policy_file=file(NEVER))
    with broken.fork() as cluster:
        before = cluster.store.list("deployments.apps", APP)
        report = respond(cluster=cluster, settings=settings)
        assert [d["spec"] for d in cluster.store.list("deployments.apps", APP)] == [d["spec"] for d in before]
    assert (report.state, report.exit_code) == ("needs_human", 4)
    assert "stock-taking" in report.timeline[-1].text
    assert [a.executed for a in report.attempts] in ([], [False])


def test_a_freeze_does_not_keep_a_proposal_back(broken: EmbeddedCluster, tmp_path: Path) -> None:
    settings = Settings(mode="suggest", state_dir=tmp_path / "s", policy_file=file(NEVER))
    with broken.fork() as cluster:
        report = respond(cluster=cluster, settings=settings)
    assert report.suggestion
    assert report.state == "unresolved"


def test_what_was_approved_in_time_is_not_executed_too_late(
    broken: EmbeddedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stratus.flow.nodes import mitigation

    with broken.fork() as cluster:
        now = cluster.clock.now()
        # The window closes between lint and the first write.
        monkeypatch.setattr(mitigation, "closed", lambda policy, spaces, at: ("the window has closed", "tomorrow"))
        report = respond(cluster=cluster, settings=Settings(mode="auto", state_dir=tmp_path / "s"))
        assert cluster.clock.now() >= now
        zeros = [d for d in cluster.store.list("deployments.apps", APP) if d["spec"]["replicas"] == 0]
    assert report.state == "needs_human"
    assert "the window has closed; tomorrow" in report.timeline[-1].text
    assert len(zeros) == 1, "nothing was sent"


def test_a_wrapped_change_keeps_to_the_calendar(broken: EmbeddedCluster, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "s", policy_file=file(NEVER))
    with (
        broken.fork() as cluster,
        pytest.raises(CommandRefused, match="stock-taking"),
        transaction(cluster, scope=APP, settings=settings) as t,
    ):
        t.kubectl("label deployment frontend a=b")


def test_nested_values_survive_being_written_down() -> None:
    settings = Settings(policy=PolicySettings(windows=(ChangeWindow(name="a", start="01:00"),)))
    assert Settings.model_validate(settings.model_dump()) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
