"""The crash walk: every happening at every step ends in an allowed state, and the published table says how."""

from __future__ import annotations

from pathlib import Path

import crashwalk
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "crash-walk.md"


@pytest.fixture(scope="module")
def outcomes() -> list[crashwalk.Outcome]:
    return crashwalk.walk()


def test_every_run_ends_in_an_allowed_state(outcomes):
    wrong = [o for o in outcomes if o.problems or o.end not in crashwalk.ALLOWED]
    assert not wrong, wrong[:3]
    assert len(outcomes) > 1500
    assert {o.end for o in outcomes} == set(crashwalk.ALLOWED)


def test_what_leaves_no_doubt_never_calls_a_human(outcomes):
    """Only strangers, and a server that refuses an undo, can keep a transaction from ending by itself."""
    for o in outcomes:
        if o.happening not in crashwalk.EDITS and not o.happening.startswith("422"):
            assert o.end in ("not begun", "committed", "undone"), o


def test_a_run_that_ends_well_is_kept_when_what_happened_is_over(outcomes):
    """An answer that says that nothing happened, and a process that goes on: tried again, and kept."""
    for o in outcomes:
        if o.good and o.happening in ("429 at the next write", "connection refused", "time-out, not stored"):
            assert o.end == "committed", o


def test_the_table_is_what_the_walk_gives(outcomes):
    assert PAGE.read_text(encoding="utf-8") == crashwalk.page(outcomes), (
        "run: python tests/transaction/crashwalk.py > docs/reference/crash-walk.md"
    )
