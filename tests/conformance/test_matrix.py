"""Counting: shares, what is asked for, JSON and the page."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stratus.conformance.matrix import FileResult, Matrix, Outcome, Score
from stratus.conformance.page import page


def outcome(case: str, passed: bool = True, **more: object) -> Outcome:
    return Outcome(case=case, kind=str(more.pop("kind", "Pod")), passed=passed, **more)  # type: ignore[arg-type]


def result(*outcomes: Outcome, **more: object) -> FileResult:
    return FileResult(name="a.jsonl", about="all of it", outcomes=outcomes, **more)  # type: ignore[arg-type]


def test_a_share_is_met_or_not() -> None:
    assert Score(total=0, passed=0, least=1.0).met
    assert Score(total=50, passed=49, least=0.98).met
    assert not Score(total=50, passed=48, least=0.98).met
    assert Score(total=2, passed=0).met
    assert Score(total=3, passed=2, least=0.5).data() == {
        "total": 3, "passed": 2, "rate": 0.6667, "least": 0.5, "met": True,
    }  # fmt: skip


def test_what_is_out_of_scope_is_not_counted_and_told() -> None:
    found = result(outcome("1"), outcome("2", False, reason="no such user", out_of_scope=True), least=1.0)
    assert (found.score.total, found.score.passed) == (1, 1)
    assert found.met
    assert found.data()["out_of_scope"] == [{"case": "2", "kind": "Pod", "reason": "no such user"}]
    assert found.data()["failing"] == []


def test_a_measure_counts_the_cases_that_have_it() -> None:
    found = result(
        outcome("1", measures={"status": True}),
        outcome("2", False, measures={"status": True, "causes": False}, reason="text"),
        outcome("3", False, measures={"status": False, "causes": False}, reason="code"),
        measures={"status": 0.5, "causes": 0.5},
    )
    measured = found.measured()
    assert (measured["status"].passed, measured["status"].total) == (2, 3)
    assert (measured["causes"].passed, measured["causes"].total) == (0, 2)
    assert measured["status"].met
    assert not measured["causes"].met
    assert not found.met
    assert [f["case"] for f in found.data()["failing"]] == ["2", "3"]


def test_parts_of_cases_are_added_up_and_told() -> None:
    found = result(
        outcome("1", parts={"sequences": (3, 4), "others": (1, 1)}),
        outcome("2", parts={"sequences": (2, 2)}),
        outcome("3", False, parts={"sequences": (0, 9)}, out_of_scope=True),
    )
    assert found.data()["parts"] == {
        "sequences": {"total": 6, "passed": 5, "rate": 0.8333},
        "others": {"total": 1, "passed": 1, "rate": 1.0},
    }
    assert "|  | sequences | 5 | 6 | 83.3% |  |" in page(Matrix(files=(found,)))
    assert found.score.total == 2
    assert "parts" not in result(outcome("1")).data()


def test_a_passed_case_with_a_missed_measure_is_listed() -> None:
    found = result(outcome("1", measures={"indirect": False}), measures={"indirect": None})
    assert found.score.passed == 1
    assert [f["case"] for f in found.data()["failing"]] == ["1"]
    assert found.met


def test_kinds_are_sorted_and_counted() -> None:
    found = result(outcome("1", kind="Service"), outcome("2", kind="Pod"), outcome("3", False, kind="Pod", reason="x"))
    assert {k: (s.passed, s.total) for k, s in found.kinds().items()} == {"Pod": (1, 2), "Service": (1, 1)}
    assert list(found.kinds()) == ["Pod", "Service"]


def test_the_keys_of_the_json() -> None:
    matrix = Matrix(files=(result(outcome("1"), least=0.9, measures={"m": None}),), missing=("b.jsonl",))
    data = matrix.data()
    assert set(data) == {
        "schema", "against", "total", "passed", "rate", "met", "files", "missing", "not_replayed",
    }  # fmt: skip
    assert data["schema"] == 1
    assert set(data["files"]["a.jsonl"]) == {
        "total", "passed", "rate", "least", "met", "about", "measures", "kinds", "failing", "out_of_scope",
    }  # fmt: skip
    assert data["missing"] == ["b.jsonl"]


def test_nouns_do_not_change() -> None:
    with pytest.raises(ValidationError):
        outcome("1").passed = False  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Outcome(case="1", kind="Pod", passed=True, surprise=1)  # type: ignore[call-arg]


def test_the_page_lists_every_difference_once_and_escapes_it() -> None:
    bad = outcome("7/`x` | y", False, reason="a | b\nc `d`", measures={"causes": False})
    matrix = Matrix(
        files=(result(outcome("1"), bad, measures={"causes": 0.85}),),
        missing=("b.jsonl",),
        not_replayed={"c": "why not"},
    )
    text = page(matrix)
    assert text.count("a | b c `d`") == 1
    assert "``" in text
    assert "(causes)" in text
    assert "| a.jsonl | all of it | 1 | 2 | 50.0% |  |" in text
    assert "|  | causes | 0 | 1 | 0.0% | 85% |" in text
    assert "- b.jsonl" in text
    assert "- c: why not" in text
    assert text.endswith("\n")
