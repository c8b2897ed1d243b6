"""Reading typed answers out of what models write."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from stratus.errors import ReasoningError
from stratus.llm.answers import describe, fit, read_answer


class Choice(BaseModel):
    reason: str = Field(default="", max_length=40)
    best: Literal["H1", "H2", "NONE"]
    rejected: list[Literal["H1", "H2"]] = []
    weight: int = Field(default=5, ge=1, le=10)
    note: str | None = None


GOOD = {"reason": "r", "best": "H2", "rejected": ["H1"], "weight": 3, "note": None}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=2)}\n```",
        f"Sure! Here it is:\n```\n{json.dumps(GOOD)}\n```\nAnything else?",
        f"The logs say {{not json}} but the answer is {json.dumps(GOOD)} as you see.",
        f"<think>maybe {{'best': 'H1'}}</think>\n{json.dumps(GOOD)}",
        json.dumps({"answer": GOOD}),
        json.dumps({"properties": GOOD}),
        json.dumps(GOOD)[:-1] + ",}",
        str(GOOD),  # Python literals
        json.dumps(GOOD)[:-1],  # cut off before the last brace
        json.dumps({**GOOD, "extra": {"a": 1}}),
        json.dumps({**GOOD, "best": "h2", "rejected": "H1"}),
        json.dumps({**GOOD, "best": "H2: the selector does not match", "rejected": ["H1", "H1", "H9"]}),
        json.dumps({**GOOD, "weight": "3", "note": "null"}),
    ],
)
def test_reads_what_is_plainly_meant(text: str) -> None:
    answer = read_answer(text, Choice)
    assert answer.best == "H2"
    assert answer.rejected == ["H1"]
    assert answer.weight == 3
    assert answer.note is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("I think it is the selector.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"best": "H7"}', "best"),
        ('{"best": "H1 or H2"}', "best"),
        ('{"reason": "x"}', "best: Field required"),
        ("{" * 5000, "no JSON object"),
    ],
)
def test_says_what_is_wrong_with_the_rest(text: str, says: str) -> None:
    with pytest.raises(ReasoningError, match=says):
        read_answer(text, Choice)


def test_numbers_are_clamped_and_texts_cut() -> None:
    answer = read_answer(json.dumps({"best": "NONE", "weight": 10**12, "reason": "x" * 500}), Choice)
    assert answer.weight == 10
    assert answer.reason == "x" * 40


def test_the_complaint_is_about_the_object_that_looks_most_like_an_answer() -> None:
    with pytest.raises(ReasoningError, match="best: Input should be 'H1', 'H2' or 'NONE'"):
        read_answer('{"x": 1} {"best": "later", "reason": "r"}', Choice)


def test_the_shape_names_every_choice() -> None:
    assert describe(Choice) == (
        '{"reason": <text, at most 40 characters>, "best": "H1" | "H2" | "NONE", "rejected": ["H1" | "H2", ...], '
        '"weight": <number>, "note": <text> | null}'
    )


@given(st.text(max_size=300))
def test_never_fails_in_another_way(text: str) -> None:
    try:
        read_answer(text, Choice)
    except ReasoningError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["best", "reason", "rejected", "weight", "note"]), json_values))
def test_fitting_never_fails_and_never_undoes_a_valid_value(data: dict[str, object]) -> None:
    schema = Choice.model_json_schema()
    fitted = fit(data, schema)
    assert set(fitted) <= set(data)
    assert fit(GOOD, schema) == GOOD
