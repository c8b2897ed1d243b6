"""The program that measures the embedded cluster says what breaks a promise, and why something was not measured."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "embedded_cluster.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    found = importlib.util.spec_from_file_location("measure_embedded_cluster", FILE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_promise_is_broken_by_more_or_by_nothing(program: ModuleType) -> None:
    rows = [{"row": name, "value": most} for name, most in program.BOUNDS.items()]
    assert program.broken(rows) == []
    rows[0] = {**rows[0], "value": rows[0]["value"] + 0.1}
    rows[1] = {**rows[1], "value": None, "note": "it failed"}
    found = program.broken(rows)
    assert [text.partition(":")[0] for text in found] == [rows[0]["row"], rows[1]["row"]]
    assert program.broken([*rows[2:], {"row": "get over HTTP, ours : kmock", "value": 1.1}])[-1].startswith("get over")


@pytest.mark.parametrize("python", [None, "/nowhere/python", sys.executable])
def test_kmock_is_left_out_with_a_reason(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, python: str | None
) -> None:
    real = program.asked_over_http

    def asked(interpreter: str, whom: str) -> dict[str, float]:
        return {"get": 100.0} if whom == "stratus" else real(interpreter, whom)

    monkeypatch.setattr(program, "asked_over_http", asked)
    first, last = program.beside_kmock(python, 2)
    assert first == {"row": "get over HTTP, µs", "value": 100.0}
    assert last["value"] is None
    assert {None: "--kmock-python", "/nowhere/python": "No such file", sys.executable: "kmock"}[python] in last["note"]


def test_both_sides_are_compared_by_their_medians(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([100.0, 900.0, 300.0, 700.0, 200.0, 800.0])
    monkeypatch.setattr(program, "asked_over_http", lambda python, whom: {"get": next(answers)})
    rows = {row["row"]: row["value"] for row in program.beside_kmock("python", 3)}
    assert rows == {
        "get over HTTP, µs": 200.0,
        "get over HTTP, kmock, µs": 800.0,
        "get over HTTP, ours : kmock": 0.25,
    }
