"""Logs: whole or not there, readable again, and small."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.bench.record import (
    RUN,
    Job,
    file_of,
    packed,
    read_plan,
    read_record,
    records,
    save,
    unpacked,
    write_whole,
)
from stratus.errors import UsageError

from .episodes import plan, record


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    one = record()
    save(tmp_path, one)
    assert read_record(file_of(tmp_path, one.job)) == one
    assert list(records(tmp_path)) == [one]


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    whole = plan(record())
    write_whole(tmp_path / RUN, whole.model_dump_json())
    assert read_plan(tmp_path) == whole


def test_a_name_of_a_job_is_a_file_name_and_its_own() -> None:
    job = Job(suite="s", scenario="a.b", solver="react", reasoner="openai:gpt/4 o", seed=3, noise="on")
    assert "/" not in job.name
    assert " " not in job.name
    assert ":" not in job.name
    others = {
        job.model_copy(update={k: v}).name
        for k, v in (("suite", "t"), ("scenario", "c"), ("solver", "noop"), ("seed", 4), ("noise", "off"))
    }
    assert len(others | {job.name}) == 6


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.json"
    write_whole(path, "old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_what_is_no_log_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(UsageError, match="cannot be read"):
        read_record(path)
    for text in ("", "{", "[]", '{"job": {}}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"x\.json is not the log of an episode"):
            read_record(path)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run in"):
        read_plan(tmp_path)
    with pytest.raises(UsageError, match="no episodes in"):
        list(records(tmp_path))
    (tmp_path / RUN).write_text("{}")
    with pytest.raises(UsageError, match="does not describe a run"):
        read_plan(tmp_path)


OBJECTS = st.dictionaries(st.sampled_from("abcdef"), st.text("xy", max_size=2), max_size=6)


@given(st.lists(OBJECTS, min_size=1, max_size=4))
def test_packing_loses_nothing(snapshots: list[dict[str, str]]) -> None:
    whole = {f"s{i}": {"at": i, "objects": dict(sorted(o.items()))} for i, o in enumerate(snapshots)}
    assert unpacked(packed(whole)) == whole


def test_packing_keeps_only_what_differs() -> None:
    many = {f"k{i}": "text" for i in range(100)}
    less = {k: v for k, v in many.items() if k != "k7"} | {"new": "x"}
    slim = packed({"first": {"objects": many}, "second": {"objects": less}})
    assert slim["second"]["objects"] == {"k7": None, "new": "x"}
