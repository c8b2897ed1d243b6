"""The register of incidents survives kills and damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.errors import UnknownNameError, UsageError
from stratus.settings import Settings
from stratus.wiring.incidents import EmbeddedSource, IncidentEntry, Incidents


def entry(name: str, **changes: object) -> IncidentEntry:
    return IncidentEntry.model_validate({"id": name, "settings": Settings(mode="auto"), **changes})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    register = Incidents(tmp_path)
    saved = entry("inc-1", embedded=EmbeddedSource(app="a", seed=3, fault="f", state_file="x.sqlite"))
    register.save(saved)
    assert register.load("inc-1") == saved


def test_saving_again_replaces(tmp_path: Path) -> None:
    register = Incidents(tmp_path)
    register.save(entry("inc-1"))
    register.save(entry("inc-1", status="ended"))
    assert [e.status for e in register.all()] == ["ended"]
    assert register.unfinished() == []


def test_unfinished_ones_are_found_by_kind(tmp_path: Path) -> None:
    register = Incidents(tmp_path)
    register.save(entry("a", kind="demo"))
    register.save(entry("b"))
    register.save(entry("c", kind="demo", status="ended"))
    assert [e.id for e in register.unfinished("demo")] == ["a"]
    assert [e.id for e in register.unfinished()] == ["a", "b"]


def test_a_half_written_draft_is_never_read(tmp_path: Path) -> None:
    register = Incidents(tmp_path)
    register.save(entry("inc-1"))
    (tmp_path / "incidents" / "inc-1.draft").write_text("{", encoding="utf-8")
    assert register.load("inc-1").id == "inc-1"


def test_a_damaged_entry_is_named_and_does_not_hide_the_others(tmp_path: Path) -> None:
    register = Incidents(tmp_path)
    register.save(entry("good"))
    (tmp_path / "incidents" / "bad.json").write_text("{", encoding="utf-8")
    assert [e.id for e in register.all()] == ["good"]
    with pytest.raises(UsageError, match=r"bad\.json is damaged"):
        register.load("bad")


@pytest.mark.parametrize("name", ["nope", "../../etc/passwd", ""])
def test_an_unknown_id_names_the_known_ones(tmp_path: Path, name: str) -> None:
    register = Incidents(tmp_path)
    register.save(entry("inc-7"))
    with pytest.raises(UnknownNameError, match="inc-7"):
        register.load(name)


def test_an_unwritable_state_directory_is_one_clear_line(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    for act in (lambda: Incidents(blocker).save(entry("a")), lambda: Incidents(blocker).check()):
        with pytest.raises(UsageError, match="--state-dir"):
            act()
