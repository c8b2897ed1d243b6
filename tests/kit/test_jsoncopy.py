"""A copied document is equal to its original and shares nothing with it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stratus.kit.jsoncopy import copied

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
documents = st.recursive(plain, lambda d: st.lists(d, max_size=4) | st.dictionaries(st.text(max_size=4), d, max_size=4))


def holders(value: Any) -> list[int]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [id(value)] if isinstance(value, dict | list) else []
    return own + [i for item in inner for i in holders(item)]


@given(documents)
def test_a_copy_is_equal_and_independent(document: Any) -> None:
    twin = copied(document)
    assert twin == document
    assert type(twin) is type(document)
    assert not {*holders(twin)} & {*holders(document)}


def test_order_stays_and_what_was_shared_is_no_longer() -> None:
    part = {"a": [1]}
    twin = copied({"z": part, "b": part})
    assert list(twin) == ["z", "b"]
    twin["z"]["a"].append(2)
    assert twin["b"] == part == {"a": [1]}
