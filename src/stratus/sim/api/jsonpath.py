"""The JSONPath of printer columns: fields, indexes, slices, wildcards, filters; the first match counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Step = Callable[[list[Any]], list[Any]]
_TOKEN = re.compile(
    r"""\.\.(?P<deep>[\w-]+)                      # every field of that name below
      | \.(?P<field>(?:\\.|[^.\[\]\\])+)          # .name, dots within it escaped
      | \[\s*'(?P<quoted>(?:\\.|[^'])*)'\s*\]     # ['name']
      | \[\s*"(?P<double>(?:\\.|[^"])*)"\s*\]
      | \[\s*\?\((?P<filter>.*?)\)\s*\]           # [?(@.type=="Ready")]
      | \[(?P<index>[^\]]*)\]                     # [0], [-1], [1:3], [*]
    """,
    re.X,
)
_FILTER = re.compile(r"\s*@(?P<path>[^=!<>\s]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*$")
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def find(path: str, value: Any) -> list[Any]:
    """Return everything a path such as `.status.conditions[?(@.type=="Ready")].status` leads to, in order."""
    found = [value]
    for step in _steps(path):
        found = step(found)
    return found


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...]:
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$").removeprefix("@")
    if text and text[0] not in ".[":
        text = f".{text}"
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return (lambda _: [],)  # nothing such a path could find; definitions with one are refused elsewhere
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    groups = {k: v for k, v in match.groupdict().items() if v is not None}
    kind, text = next(iter(groups.items()))
    if kind == "deep":
        return lambda values: [v for value in values for v in _below(value, text)]
    if kind == "filter":
        return _filter(text)
    if kind == "index":
        return _index(text.strip())
    if kind == "field" and text == "*":
        return lambda values: [v for value in values for v in _each(value)]
    name = re.sub(r"\\(.)", r"\1", text)
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _each(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _below(value: Any, name: str) -> list[Any]:
    out = [value[name]] if isinstance(value, dict) and name in value else []
    for part in _each(value):
        out += _below(part, name)
    return out


def _index(text: str) -> Step:
    if text == "*":
        return lambda values: [v for value in values for v in _each(value)]
    if ":" in text:
        bounds = [int(part) if part.strip() else None for part in text.split(":")]
        return lambda values: [v for value in values if isinstance(value, list) for v in value[slice(*bounds)]]
    try:
        at = int(text)
    except ValueError:
        return lambda _: []
    return lambda values: [v[at] for v in values if isinstance(v, list) and -len(v) <= at < len(v)]


def _filter(text: str) -> Step:
    match = _FILTER.match(text)
    if match is None:
        return lambda _: []
    path, op = match["path"], match["op"]
    if op is None:
        return lambda values: [v for value in values for v in _each(value) if find(path, v)]
    wanted = _literal(match["value"])

    def holds(item: Any) -> bool:
        found = find(path, item)
        if not found:
            return False
        if op in ("==", "!="):
            return bool((found[0] == wanted) is (op == "=="))
        both_numbers = isinstance(found[0], int | float) and isinstance(wanted, int | float)
        both_texts = isinstance(found[0], str) and isinstance(wanted, str)
        return (both_numbers or both_texts) and _ORDERED[op](found[0], wanted)

    return lambda values: [v for value in values for v in _each(value) if holds(v)]


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


def write(value: Any) -> str:
    """Write a found value as text: strings bare, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
