"""What reads print, against what the real kubectl printed: the same lines, but for a short, argued list."""

from __future__ import annotations

from pathlib import Path

import pytest
from reads_golden import LONG, SCOPE, Shown, evaluate, failing, listed

from stratus.conformance.golden import Golden

EVERY = 1 if LONG else 12


@pytest.fixture(scope="module")
def shown(golden: Path) -> list[Shown]:
    return evaluate(golden, EVERY)


def test_reads_print_what_kubectl_printed(shown: list[Shown], golden: Path) -> None:
    failed = {r["id"] for r in Golden(golden).records("reads.jsonl.gz") if r["exit_code"] != 0}
    wrong = [s for s in shown if failing(s, listed(*SCOPE), failed)]
    assert not wrong, "\n".join(f"{s.id}: {s.command}: {s.kind}: {s.detail}" for s in wrong)


def test_the_list_is_no_longer_than_it_must_be(shown: list[Shown]) -> None:
    fine = {s.id for s in shown if s.kind == "same"}
    assert not fine & listed(*SCOPE)
    assert {s.id for s in shown if s.kind == "refused"} >= listed("not_offered") & {s.id for s in shown}
    assert len(listed("not_offered")) <= 16
    assert len(listed("differs")) <= 21


@pytest.mark.skipif(
    not LONG, reason="a twelfth of the reads by default; set STRATUS_LONG=1 for all (`make kubectl-twins`)"
)
def test_most_reads_are_the_same(shown: list[Shown]) -> None:
    assert sum(s.kind in ("same", "order") for s in shown) >= 230
