"""The root of all nouns: frozen, strict, comparable by value."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]
"""A Kubernetes object or other JSON document as plain Python data."""


class Noun(BaseModel):
    """A frozen value object; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
