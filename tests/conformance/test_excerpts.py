"""The records in the repository agree, each file of them; and every file is among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.runner import replay, stem
from stratus.conformance.suites import all_suites

NAMES = [stem(s.name) for s in all_suites()]
SLOW = {stem(s.name) for s in all_suites() if s.slow}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in SLOW])
def test_every_excerpt_agrees(name: str, excerpts: Golden) -> None:
    (result,) = replay(excerpts, only=[name]).files
    assert result.score.total > 0
    assert [o.reason for o in result.counted if not o.passed] == []
    assert result.met


@pytest.mark.parametrize("name", sorted(SLOW))
def test_every_excerpt_for_the_real_kubectl_agrees(name: str, excerpts: Golden, kubectl: Path) -> None:
    (result,) = replay(excerpts, only=[name]).files
    assert result.score.total > 0
    assert [(o.case, o.reason) for o in result.counted if not o.passed] == []


def test_the_measures_of_a_session_are_all_taken(excerpts: Golden, kubectl: Path) -> None:
    (result,) = replay(excerpts, only=["kubectl"], case="250").files
    (outcome,) = result.outcomes
    assert outcome.measures == {
        "objects": True, "exit_code": True, "output": True, "requests": True, "indirect": True,
    }  # fmt: skip


def test_nothing_is_counted_twice(excerpts: Golden) -> None:
    for result in replay(excerpts, only=["validation", "patches", "discovery"]).files:
        cases = [o.case for o in result.outcomes]
        assert len(cases) == len(set(cases))
