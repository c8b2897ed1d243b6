"""Command line over environment over TOML over defaults; bad values name their field."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.errors import SettingsError
from stratus.settings import Settings
from stratus.wiring.config import load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRATUS_CONFIG", raising=False)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    assert load_settings() == Settings()
    assert load_settings().mode == "suggest"


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = toml(tmp_path, 'mode = "auto"\nseed = 1\n[health]\nsamples = 9\nquiet = 3.0\n')
    monkeypatch.setenv("STRATUS_HEALTH__SAMPLES", "7")
    monkeypatch.setenv("STRATUS_SEED", "2")
    settings = load_settings({"seed": 3, "reasoner": None}, path)
    assert (settings.mode, settings.seed, settings.health.samples, settings.health.quiet) == ("auto", 3, 7, 3.0)
    assert settings.health.weight_latency == Settings().health.weight_latency


def test_lists_are_comma_separated_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATUS_NAMESPACES", "shop, pay")
    monkeypatch.setenv("STRATUS_POLICY__NAMESPACES", "shop")
    settings = load_settings()
    assert settings.namespaces == ("shop", "pay")
    assert settings.policy.namespaces == ("shop",)


def test_foreign_variables_with_our_prefix_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATUS_E2E_KUBECONFIG", "x")
    assert load_settings() == Settings()


def test_the_local_file_and_the_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stratus.toml").write_text('mode = "approve"\n', encoding="utf-8")
    assert load_settings().mode == "approve"
    monkeypatch.setenv("STRATUS_CONFIG", str(toml(tmp_path, 'mode = "observe"\n')))
    assert load_settings().mode == "observe"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mode = "yolo"\n', "mode"),
        ("nope = 1\n", "nope"),
        ("[health]\nfoo = 1\n", r"health\.foo"),
        ("[limits]\nattempts = 0\n", r"limits\.attempts"),
        ("= 1", r"c\.toml"),
    ],
)
def test_a_bad_file_names_the_field_or_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings({}, toml(tmp_path, text))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no configuration file"):
        load_settings({}, tmp_path / "none.toml")


def test_a_bad_override_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="mode"):
        load_settings({"mode": "yolo"})


def test_what_to_work_on_comes_from_the_environment_and_files_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STRATUS_EMBEDDED", "hotel-reservation")
    settings = load_settings({}, toml(tmp_path, 'fault = "scaled-to-zero"\nalert = "a.json"\nreport_dir = "out"\n'))
    assert (settings.embedded, settings.fault, settings.alert) == ("hotel-reservation", "scaled-to-zero", "a.json")
    assert settings.report_dir == Path("out")
    assert load_settings({"embedded": ""}).embedded == "", "an explicit nothing wins"
