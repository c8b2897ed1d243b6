"""On every recorded session that changes something, compiled writes do what kubectl did; few are left out."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import pytest
from completeness import SCOPE, Outcome, evaluate, listed, page

from stratus.cluster.kubectl import compiler

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kubectl-compiler.md"
EXCERPT, WRITES = Path(__file__).parents[1] / "golden", "kubectl-writes.jsonl"


@pytest.fixture(scope="module")
def outcomes(golden: Path) -> list[Outcome]:
    return evaluate(golden)


def test_what_is_in_scope_results_in_the_recorded_objects_without_exception(outcomes: list[Outcome]) -> None:
    left_out = listed("by_design") | listed("stricter") | listed("unknown")
    wrong = [o for o in outcomes if o.kind in ("different", "declined") and o.id not in left_out]
    assert not wrong, "\n".join(f"{o.id}: {o.command}: {o.code} {o.detail}" for o in wrong)


def test_what_is_left_out_really_has_to_be(outcomes: list[Outcome]) -> None:
    kinds = {o.id: o for o in outcomes}
    for part in SCOPE:
        for number, row in listed(part).items():
            assert kinds[number].kind in ("different", "declined"), f"{number} is fine: take it off the list"
            assert row.get("code", kinds[number].code) == kinds[number].code


def test_the_list_is_short_and_argued(outcomes: list[Outcome]) -> None:
    rows = [row for part in SCOPE.values() for row in part]
    assert all(len(row["reason"]) > 30 for row in rows)
    assert sum(len(row["sessions"]) for row in rows) <= 33
    counts = Counter(o.kind for o in outcomes)
    assert counts["same"] >= 209
    assert counts["same"] + counts["refused"] + counts["nothing"] >= 379
    assert sum(o.objects for o in outcomes if o.kind == "same") >= 240


def test_the_page_is_up_to_date(outcomes: list[Outcome]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(outcomes), (
        "run: python tests/cluster/completeness.py > docs/reference/kubectl-compiler.md"
    )


def test_an_excerpt_is_always_held_against_the_compiler() -> None:
    found = evaluate(EXCERPT, WRITES)
    assert len(found) >= 12
    assert {o.kind for o in found} == {"same"}, [o for o in found if o.kind != "same"]


def test_a_wrong_write_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is no formality: each write with one field less, or none at all, is told apart."""
    true = compiler._compile

    def without(drop: str) -> None:
        def compiled(ctx: object) -> object:
            outcome = true(ctx)  # type: ignore[arg-type]
            writes = [w.model_copy(update={"body": copy.deepcopy(w.body)}) for w in outcome.writes]
            for write in writes:
                if drop == "label" and isinstance(write.body, dict) and write.method in ("POST", "PATCH"):
                    write.body.setdefault("metadata", {}).setdefault("labels", {})["stray"] = "x"
            kept = () if drop == "all" else writes[:-1] if drop == "last" else writes
            return type(outcome)(writes=tuple(kept), reads=outcome.reads)

        monkeypatch.setattr(compiler, "_compile", compiled)

    for drop in ("label", "all", "last"):
        without(drop)
        assert {o.kind for o in evaluate(EXCERPT, WRITES, every=5)} & {"different"}, drop
