"""Predictions and agreement as nouns: what they say, and how they are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.model.rehearsals import Agreement, Prediction

VERDICTS = ("RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN")
NOT = Prediction(rehearsed=False, reason="too many objects")


def said(verdict: str) -> Prediction:
    return Prediction(verdict=verdict)


def test_a_prediction_says_all_that_counts() -> None:
    text = Prediction(
        verdict="UNKNOWN",
        best="RESOLVED",
        worst="REGRESSED",
        reason="it hangs on x",
        blind=("how a runs", "whether b can be pulled", "c"),
        unavailable=2,
        unavailable_seconds=12.4,
        undo_exact=True,
    ).text()
    for part in ("UNKNOWN: it hangs on x", "at best RESOLVED, at worst REGRESSED", "how a runs; whether b",
                 "2 pods unavailable for 12 s", "undo exact"):  # fmt: skip
        assert part in text
    assert "; c" not in text
    assert Prediction(verdict="UNCHANGED", undo_exact=False).text() == "UNCHANGED; undo NOT exact"
    assert "1 pod unavailable" in Prediction(verdict="RESOLVED", unavailable=1).text()
    assert NOT.text() == "not rehearsed: too many objects"
    assert (NOT.foretold, said("IMPROVED").foretold) == ("not rehearsed", "IMPROVED")


def test_pairs_are_counted_and_halves_left_out() -> None:
    table = Agreement.of(
        [
            (said("RESOLVED"), "RESOLVED"),
            (said("RESOLVED"), "IMPROVED"),
            (said("RESOLVED"), "REGRESSED"),
            (said("UNCHANGED"), "UNKNOWN"),
            (said("UNKNOWN"), "RESOLVED"),
            (NOT, "UNCHANGED"),
            (None, "RESOLVED"),
            (said("RESOLVED"), None),
        ]
    )
    assert table.total == 6
    assert table.said == 4
    assert table.exact == 1
    assert table.right == 3, "kept as foretold twice, taken back as foretold once"
    assert table.count(("RESOLVED",), ("REGRESSED",)) == 1
    assert table.text() == "4 of 6 foretold, 3 kept or taken back as foretold, 1 with the very verdict"


def test_a_table_has_a_row_for_what_was_foretold_only() -> None:
    rows = Agreement.of([(said("RESOLVED"), "REGRESSED"), (NOT, "RESOLVED")]).rows()
    assert rows == [
        ("foretold", *VERDICTS),
        ("RESOLVED", "0", "0", "0", "1", "0"),
        ("not rehearsed", "1", "0", "0", "0", "0"),
    ]
    assert Agreement().rows() == []
    assert Agreement().text() == "no executed attempt was rehearsed"


PAIRS = st.lists(st.tuples(st.sampled_from([*map(said, VERDICTS), NOT]), st.sampled_from(VERDICTS)), max_size=12)


@given(PAIRS, PAIRS)
def test_tables_add_up(one: list[tuple[Prediction, str]], other: list[tuple[Prediction, str]]) -> None:
    whole = Agreement.of([*one, *other])
    summed = Agreement.of(one) + Agreement.of(other)
    assert summed.rows() == whole.rows()
    assert summed.total == len(one) + len(other)
    assert whole.exact <= whole.right <= whole.said <= whole.total


def test_adding_changes_neither() -> None:
    one, other = Agreement.of([(said("RESOLVED"), "RESOLVED")]), Agreement.of([(said("RESOLVED"), "RESOLVED")])
    assert (one + other).total == 2
    assert (one.total, other.total) == (1, 1)


def test_a_strange_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict"):
        Prediction(verdict="FINE")
