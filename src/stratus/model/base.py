"""The root of all nouns: frozen, strict, comparable by value, readable in a notebook."""

from __future__ import annotations

from html import escape
from typing import Any

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]
"""A Kubernetes object or other JSON document as plain Python data."""


class Noun(BaseModel):
    """A frozen value object; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def _repr_html_(self) -> str:
        """Show the filled fields as a small table in notebooks."""
        rows = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value in (None, "", (), {}):
                continue
            text = str(value)
            shown = text if len(text) <= 300 else text[:297] + "..."
            rows.append(f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(shown)}</td></tr>")
        return f"<table><caption>{escape(type(self).__name__)}</caption>{''.join(rows)}</table>"
