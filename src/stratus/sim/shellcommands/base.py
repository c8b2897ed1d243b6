"""How programs are registered and how they read their options."""

from __future__ import annotations

import re
from collections.abc import Callable

from stratus.sim.shell import Shell

Program = Callable[[Shell, list[str]], int]
COMMANDS: dict[str, Program] = {}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
CURL_VALUED = frozenset(
    {"--max-time", "--connect-timeout", "--request", "--data", "--header", "--output", "--write-out", "--retry"}
    | {"--retry-delay", "--user", "--cacert", "--user-agent", "--data-raw", "--json"}
)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def program(*names: str) -> Callable[[Program], Program]:
    """Register a program under its names."""

    def register(fn: Program) -> Program:
        for name in names:
            COMMANDS[name] = fn
        return fn

    return register


def _options(argv: list[str], valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Split arguments into short or long options and operands; letters in `valued` take a value."""
    options: dict[str, str] = {}
    operands: list[str] = []
    i = 1
    while i < len(argv):
        word = argv[i]
        if word == "--":
            operands += argv[i + 1 :]
            break
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            options[name] = value
        elif word.startswith("-") and len(word) > 1:
            for position, letter in enumerate(word[1:], 1):
                if letter in valued:
                    value = word[position + 1 :]
                    if not value:
                        i += 1
                        value = argv[i] if i < len(argv) else ""
                    options[letter] = value
                    break
                options[letter] = ""
        else:
            operands.append(word)
        i += 1
    return options, operands
