"""Prompts as files, filled with fenced evidence; one file a question."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template


@cache
def _template(name: str) -> Template:
    return Template(files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip())


def prompt(name: str, **values: str) -> str:
    """Return the prompt of that name with its `$placeholders` filled.

    Raises:
        KeyError: when a placeholder has no value.
    """
    return _template(name).substitute(values)
