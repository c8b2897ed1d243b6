"""What an incident stores between two nodes comes back as the nouns it was."""

from __future__ import annotations

import inspect
import typing
import warnings
from typing import Any

import pytest
from pydantic import BaseModel

from stratus.flow.state import State
from stratus.transaction.verdict import Baseline, Conditions
from stratus.wiring.checkpoints import _nouns, serializer

CONDITIONS = Conditions(alerts=("f",), services=("shop/web",), baseline={"shop/web": Baseline(request_rate=3.0)})


def test_conditions_come_back() -> None:
    packed = serializer().dumps_typed({"conditions": CONDITIONS})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert serializer().loads_typed(packed) == {"conditions": CONDITIONS}


@pytest.mark.parametrize("noun", [Baseline, Conditions])
def test_what_was_stored_before_a_noun_moved_is_known_still(noun: type, monkeypatch: pytest.MonkeyPatch) -> None:
    here = noun.__module__
    monkeypatch.setattr(noun, "__module__", "stratus.transaction.verdict")
    packed = serializer().dumps_typed(noun())
    monkeypatch.setattr(noun, "__module__", here)
    assert serializer().loads_typed(packed) == noun()


def test_every_noun_of_the_state_may_come_back() -> None:
    """A noun that moves to another module, or a new one, would be lost at the next restart without a word."""
    known = set(_nouns())
    missing = [n for n in _named(typing.get_type_hints(State)) if (n.__module__, n.__name__) not in known]
    assert missing == []


def _named(hints: Any) -> set[type]:
    found: set[type] = set()
    for hint in hints.values() if isinstance(hints, dict) else [hints]:
        if inspect.isclass(hint) and issubclass(hint, BaseModel) and hint not in found:
            found.add(hint)
            for field in hint.model_fields.values():
                found |= _named(field.annotation) if field.annotation is not hint else set()
        for inner in typing.get_args(hint):
            found |= _named(inner)
    return found
