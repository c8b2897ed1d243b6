"""The commands and settings of the server, as it describes them itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how many words it takes (negative: at least), what kind it is, and where its keys are."""

    name: str
    arity: int
    flags: frozenset[str]
    first: int
    last: int
    step: int
    categories: frozenset[str]
    subcommands: tuple[str, ...] = ()

    def keys(self, words: list[str]) -> list[str]:
        """Return the keys among a command's words."""
        if not self.first:
            return []
        last = self.last if self.last >= 0 else len(words) + self.last
        return words[self.first : last + 1 : self.step]

    def fits(self, count: int) -> bool:
        """Tell whether a number of words is right."""
        return count == self.arity if self.arity > 0 else count >= -self.arity


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is at first, of which type, whether it is fixed while the server runs."""

    value: str
    type: str = "text"
    choices: tuple[str, ...] = ()
    fixed: bool = False


def _data(name: str) -> Any:
    file = resources.files("stratus.sim.apps.stores.redis").joinpath("data", name)
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def commands() -> dict[str, Command]:
    """Return all commands by name."""
    return {
        name: Command(name, e[0], frozenset(e[1]), e[2], e[3], e[4], frozenset(e[5]), tuple(e[6]) if len(e) > 6 else ())
        for name, e in _data("commands.json").items()
    }


@cache
def settings() -> dict[str, Setting]:
    """Return all settings by name."""
    return {
        name: Setting(e["value"], e.get("type", "text"), tuple(e.get("choices", ())), e.get("fixed", False))
        for name, e in _data("settings.json").items()
    }


@cache
def categories() -> frozenset[str]:
    """Return the names of all categories of commands."""
    return frozenset(c for command in commands().values() for c in command.categories)


@cache
def information() -> dict[str, list[tuple[str, str]]]:
    """Return what INFO says, section by section: (field, value or place for it)."""
    return {section: [(f, v) for f, v in rows] for section, rows in _data("info.json").items()}


def memory_value(text: str) -> int | None:
    """Read `100mb`, `1g`, `4096`."""
    units = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
    digits = text.rstrip("bBkKmMgG")
    unit = units.get(text[len(digits) :].lower())
    return int(digits) * unit if digits.isdigit() and unit is not None else None
