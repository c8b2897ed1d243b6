"""The names of facts that analyzers find and runbooks need, from `data/facts.yaml`."""

from __future__ import annotations

import functools
from importlib import resources

from stratus.model.base import Noun


class FactName(Noun):
    """One word of the vocabulary: what it means, and an example of its value."""

    meaning: str
    example: str | int | bool


class Vocabulary(Noun):
    """All words: `always` come from the blamed object, `facts` from a hypothesis."""

    always: dict[str, FactName]
    facts: dict[str, FactName]


@functools.cache
def vocabulary() -> Vocabulary:
    """Return the shared vocabulary; read once."""
    import yaml

    text = resources.files("stratus.knowledge").joinpath("data/facts.yaml").read_text(encoding="utf-8")
    return Vocabulary.model_validate(yaml.safe_load(text))
