"""The part of LogQL that people use: selectors, line filters, label filters, and counting over time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stratus.sim.telemetry.promql.lexer import PromQLError, seconds_of, unquoted
from stratus.sim.telemetry.promql.nodes import Matcher, Selector
from stratus.sim.telemetry.promql.parser import parse

_RANGES = {"count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"}
_LOGFMT = re.compile(r'([\w.]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
_STAGE = re.compile(r"\s*(\|=|!=|\|~|!~|\|)\s*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
_FILTER = re.compile(r'([A-Za-z_]\w*)\s*(==|=~|!~|!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[\d.]+(?:ms|s|m|h)?)')

Labels = dict[str, str]
Stage = Callable[[str, Labels], tuple[str, Labels] | None]


@dataclass
class LogSelector:
    """Which lines: of streams that fit, through the stages."""

    matchers: tuple[Matcher, ...]
    stages: list[Stage] = field(default_factory=list)

    def fits(self, labels: Labels) -> bool:
        """Tell whether a stream is meant."""
        return all(m.matches(labels.get(m.label, "")) for m in self.matchers)

    def through(self, line: str, labels: Labels) -> tuple[str, Labels] | None:
        """Return a line and its labels after all stages, None when it is filtered out."""
        for stage in self.stages:
            found = stage(line, labels)
            if found is None:
                return None
            line, labels = found
        return line, labels


@dataclass
class Counting:
    """A metric query: PromQL over one invented series per log selector.

    Attributes:
        text: the PromQL, `logs` the (name, selector, of bytes) of its series.
    """

    text: str
    logs: list[tuple[str, LogSelector, bool]]


def parse_logql(text: str) -> LogSelector | Counting:
    """Read a query.

    Raises:
        PromQLError: it cannot be understood.
    """
    bare = text.strip()
    if bare.startswith("{"):
        selector, end = _selector(bare, 0)
        if bare[end:].strip():
            raise PromQLError(
                f"parse error at line 1, col {end + 1}: syntax error: unexpected {bare[end:].strip()[:20]!r}"
            )
        return selector
    logs: list[tuple[str, LogSelector, bool]] = []
    out, place = [], 0
    pattern = re.compile(r"\b(" + "|".join(sorted(_RANGES, key=len, reverse=True)) + r")\s*\(\s*(?=\{)")
    while (match := pattern.search(bare, place)) is not None:
        out.append(bare[place : match.start()])
        selector, end = _selector(bare, match.end())
        closing = re.match(r"\s*\[([^\]]+)\]\s*(offset\s+\S+?\s*)?\)", bare[end:])
        if closing is None:
            raise PromQLError("parse error: a range such as [5m] and a closing parenthesis belong behind the selector")
        window, offset, name = closing.group(1).strip(), closing.group(2) or "", f"logs:{len(logs)}"
        function = match.group(1)
        logs.append((name, selector, function.startswith("bytes")))
        inner = f"{name}[{window}] {offset}"
        if function == "absent_over_time":
            out.append(f"absent_over_time({inner})")
        else:
            over = "sum_over_time" if function.startswith("bytes") else "count_over_time"
            out.append(
                f"{over}({inner})" if function.endswith("time") else f"({over}({inner}) / {seconds_of(window):g})"
            )
        place = end + closing.end()
    out.append(bare[place:])
    if not logs:
        raise PromQLError('parse error: neither a stream selector such as {app="x"} nor a count over one')
    parse("".join(out))
    return Counting("".join(out), logs)


def _selector(text: str, place: int) -> tuple[LogSelector, int]:
    end = _closing(text, place)
    node = parse("logs" + text[place:end])
    assert isinstance(node, Selector)
    found = LogSelector(tuple(m for m in node.matchers if m.label != "__name__"))
    if not found.matchers or all(m.matches("") for m in found.matchers):
        raise PromQLError(
            "parse error: queries require at least one regexp or equality matcher that does not have an "
            "empty-compatible value"
        )
    while True:
        match = _STAGE.match(text, end)
        if match is None:
            return found, end
        op = match.group(1)
        if op == "|":
            stage, end = _piped(text, match.end())
        else:
            value = _STRING.match(text, match.end())
            if value is None:
                raise PromQLError(f"parse error: {op} needs a string")
            stage, end = _lines(op, unquoted(value.group())), value.end()
        found.stages.append(stage)


def _closing(text: str, place: int) -> int:
    """Return the place behind the brace that closes a selector."""
    here = text.find("}", place)
    while here >= 0:
        inner = text[place : here + 1]
        if len(_STRING.sub("", inner).split('"')) == 1:
            return here + 1
        here = text.find("}", here + 1)
    raise PromQLError("parse error: the selector is not closed")


def _lines(op: str, value: str) -> Stage:
    if op in ("|~", "!~"):
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise PromQLError(f"parse error: error parsing regexp: {error}") from None
        return lambda line, labels: (line, labels) if (pattern.search(line) is not None) == (op == "|~") else None
    return lambda line, labels: (line, labels) if (value in line) == (op == "|=") else None


def _piped(text: str, place: int) -> tuple[Stage, int]:
    word = re.compile(r"(json|logfmt)\b").match(text, place)
    if word is not None:
        return (_json if word.group() == "json" else _logfmt), word.end()
    match = _FILTER.match(text, place)
    if match is None:
        raise PromQLError(
            f"parse error: unknown stage {text[place : place + 20]!r}; known are json, logfmt and filters"
        )
    stages = [_labelled(*match.groups())]
    end = match.end()
    while (more := re.compile(r"\s*(?:,|and\b)\s*").match(text, end)) is not None:
        match = _FILTER.match(text, more.end())
        if match is None:
            raise PromQLError("parse error: a filter belongs behind `and`")
        stages.append(_labelled(*match.groups()))
        end = match.end()

    def every(line: str, labels: Labels) -> tuple[str, Labels] | None:
        return (line, labels) if all(stage(line, labels) is not None for stage in stages) else None

    return every, end


def _labelled(name: str, op: str, raw: str) -> Stage:
    if raw[0] in '"`':
        matcher = Matcher(name, "=" if op == "==" else op, unquoted(raw))
        if op in ("<", ">", "<=", ">="):
            raise PromQLError(f"parse error: {op} compares numbers")
        return lambda line, labels: (line, labels) if matcher.matches(labels.get(name, "")) else None
    bound = seconds_of(raw) if raw[-1].isalpha() else float(raw)
    tests: dict[str, Callable[[float], bool]] = {
        "<": lambda v: v < bound, ">": lambda v: v > bound, "<=": lambda v: v <= bound, ">=": lambda v: v >= bound,
        "=": lambda v: v == bound, "==": lambda v: v == bound, "!=": lambda v: v != bound,
    }  # fmt: skip
    if op not in tests:
        raise PromQLError(f"parse error: {op} compares strings")

    def compare(line: str, labels: Labels) -> tuple[str, Labels] | None:
        try:
            return (line, labels) if tests[op](float(labels.get(name, ""))) else None
        except ValueError:
            return None

    return compare


def _json(line: str, labels: Labels) -> tuple[str, Labels]:
    try:
        found = json.loads(line[line.index("{") :])
    except ValueError:
        return line, {**labels, "__error__": "JSONParserErr"}
    made = dict(labels)
    _flat(found, "", made)
    return line, made


def _flat(value: Any, name: str, out: Labels) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            label = re.sub(r"\W", "_", str(key))
            _flat(inner, f"{name}_{label}" if name else label, out)
    elif name and not isinstance(value, list) and value is not None:
        told = str(value).lower() if isinstance(value, bool) else str(value)
        out[f"{name}_extracted" if name in out else name] = told


def _logfmt(line: str, labels: Labels) -> tuple[str, Labels]:
    made = dict(labels)
    for key, quoted_value, plain in _LOGFMT.findall(line):
        name = re.sub(r"\W", "_", key)
        made[f"{name}_extracted" if name in labels else name] = quoted_value or plain
    return line, made


__all__ = ["Counting", "LogSelector", "parse_logql"]
