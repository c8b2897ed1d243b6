"""Fills the templates in alerts' labels and annotations: the part of Go's template language that rule files use."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from stratus.errors import StratusError

_ACTION = re.compile(r"\{\{(-?)(.*?)(-?)\}\}", re.DOTALL)
_WORD = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<path>[$.][\w.$]*|[A-Za-z_]\w*)|(?P<mark>[()|]))""",
    re.VERBOSE,
)
_VERB = re.compile(r"%([-+ 0#]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


class TemplateError(StratusError):
    """A template cannot be filled; the message says why."""


def fill_template(text: str, labels: Mapping[str, str], value: float) -> str:
    """Return a template's text for one alert; what cannot be filled says so in its place, as Prometheus does.

    Args:
        text: may hold `{{ $labels.x }}`, `{{ $value | humanize }}`, `{{ if ... }}...{{ else }}...{{ end }}` and such.
    """
    if "{{" not in text:
        return text
    try:
        parts = _parts(text)
        out, place = _run(parts, 0, {"labels": labels, "value": value})
        if place < len(parts):
            raise TemplateError(f"unexpected {parts[place][1]!r}")
        return out
    except TemplateError as error:
        return f"<error expanding template: {error}>"


@lru_cache(maxsize=512)
def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pieces of a template: ("text", ...) and ("action", ...); dashes have eaten their white space."""
    found: list[tuple[str, str]] = []
    place, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[place : match.start()]
        before = before.lstrip() if trim else before
        found.append(("text", before.rstrip() if match.group(1) else before))
        found.append(("action", match.group(2).strip()))
        place, trim = match.end(), bool(match.group(3))
    found.append(("text", text[place:].lstrip() if trim else text[place:]))
    return tuple(found)


def _run(
    parts: tuple[tuple[str, str], ...], place: int, scope: dict[str, Any], *, live: bool = True
) -> tuple[str, int]:
    """Fill until the end or an `else` or `end` of an enclosing block; returns the text and that place."""
    out: list[str] = []
    while place < len(parts):
        kind, text = parts[place]
        if kind == "text":
            out.append(text if live else "")
        elif text == "end" or text.split()[:1] == ["else"]:
            return "".join(out), place
        elif text.split()[:1] == ["if"]:
            done, place = _choice(parts, place, text[2:], scope, live=live)
            out.append(done)
        elif text.startswith("/*"):
            pass
        elif text.startswith("$") and ":=" in text:
            name, _, rest = text.partition(":=")
            if live:
                scope[name.strip()[1:]] = _pipeline(rest, scope)
        elif live:
            out.append(_told(_pipeline(text, scope)))
        place += 1
    return "".join(out), place


def _choice(
    parts: tuple[tuple[str, str], ...], place: int, condition: str, scope: dict[str, Any], *, live: bool
) -> tuple[str, int]:
    chosen, out = False, ""
    while True:
        holds = live and not chosen and (condition == "" or _truth(_pipeline(condition, scope)))
        text, place = _run(parts, place + 1, scope, live=holds)
        if place >= len(parts):
            raise TemplateError("unexpected end of an if")
        if holds:
            chosen, out = True, text
        action = parts[place][1]
        if action == "end":
            return out, place
        rest = action[4:].strip()
        condition = rest[2:].strip() if rest.startswith("if") else ""


def _truth(value: Any) -> bool:
    return bool(value) and not (isinstance(value, float) and value == 0)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        from stratus.sim.telemetry.promql.text import compact

        return compact(value)
    return str(value)


def _words(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while text[place:].strip():
        match = _WORD.match(text, place)
        if match is None:
            raise TemplateError(f"unexpected {text[place:].strip()[:20]!r}")
        found.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
        place = match.end()
    return found


def _pipeline(text: str, scope: Mapping[str, Any]) -> Any:
    words = _words(text)
    value, place = _piped(words, 0, scope)
    if place < len(words):
        raise TemplateError(f"unexpected {words[place][1]!r}")
    return value


def _piped(words: list[tuple[str, str]], place: int, scope: Mapping[str, Any]) -> tuple[Any, int]:
    value: Any = None
    first = True
    while True:
        terms: list[Any] = []
        name = ""
        while (place < len(words) and words[place][1] not in ("|", ")")) or (
            place < len(words) and words[place][0] == "string"
        ):
            kind, word = words[place]
            if kind == "mark":
                inner, place = _piped(words, place + 1, scope)
                if place >= len(words):
                    raise TemplateError("unclosed left paren")
                terms.append(inner)
            elif kind == "path" and word[0] not in "$." and not name and not terms:
                name = word
            else:
                terms.append(_term(kind, word, scope))
            place += 1
        if not first:
            terms.append(value)
        value = _call(name, terms) if name else (terms[0] if terms else None)
        if not name and (len(terms) != 1):
            raise TemplateError("can't give argument to non-function" if terms else "missing value for command")
        first = False
        if place >= len(words) or words[place][1] != "|":
            return value, place
        place += 1


def _term(kind: str, word: str, scope: Mapping[str, Any]) -> Any:
    if kind == "string":
        return word[1:-1] if word[0] == "`" else word[1:-1].encode().decode("unicode_escape")
    if kind == "number":
        return float(word) if any(c in word for c in ".eE") else int(word)
    if word in ("true", "false"):
        return word == "true"
    names = word.lstrip("$.").split(".") if word not in ("$", ".") else []
    if not names:
        return dict(scope)
    head = names[0]
    if word[0] == ".":
        head = {"Labels": "labels", "Value": "value", "ExternalLabels": "externalLabels"}.get(head, head)
    if head in ("externalLabels", "externalURL"):
        found: Any = {} if head == "externalLabels" else ""
    elif head in scope:
        found = scope[head]
    else:
        raise TemplateError(f"undefined variable {word!r}")
    for name in names[1:]:
        found = found.get(name, "") if isinstance(found, Mapping) else ""
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TemplateError(f"can't convert {value!r} to float") from None


def _four(value: float) -> str:
    """Return a number with four significant digits, without an exponent where Go has none."""
    if not math.isfinite(value):
        return {True: "+Inf", False: "-Inf"}[value > 0] if math.isinf(value) else "NaN"
    return f"{value:.4g}"


def humanize(value: Any) -> str:
    """Return a number with a metric prefix."""
    number = _number(value)
    if number == 0 or not math.isfinite(number):
        return _four(number)
    prefix, prefixes = "", ("k", "M", "G", "T", "P", "E", "Z", "Y")
    if abs(number) < 1:
        prefixes = ("m", "u", "n", "p", "f", "a", "z", "y")
    for prefix_next in prefixes:
        if abs(number) >= 1 and (abs(number) < 1000 or prefixes[0] == "m"):
            break
        number, prefix = (number * 1000 if prefixes[0] == "m" else number / 1000), prefix_next
    return f"{_four(number)}{prefix}"


def humanize1024(value: Any) -> str:
    """Return a number with a binary prefix."""
    number = _number(value)
    prefix = ""
    for prefix_next in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
        if abs(number) < 1024 or not math.isfinite(number):
            break
        number, prefix = number / 1024, prefix_next
    return f"{_four(number)}{prefix}"


def humanize_duration(value: Any) -> str:
    """Return seconds as days, hours, minutes and seconds."""
    number = _number(value)
    if not math.isfinite(number) or number == 0:
        return f"{_four(number)}s" if number == 0 else _four(number)
    sign, number = ("-", -number) if number < 0 else ("", number)
    if number >= 1:
        whole = int(number)
        days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {seconds}s"
        if minutes:
            return f"{sign}{minutes}m {seconds}s"
        return f"{sign}{number:.4g}s"
    prefix = ""
    for prefix_next in ("m", "u", "n", "p", "f", "a", "z", "y"):
        if number >= 1:
            break
        number, prefix = number * 1000, prefix_next
    return f"{sign}{number:.4g}{prefix}s"


def humanize_timestamp(value: Any) -> str:
    """Return epoch seconds as a date."""
    number = _number(value)
    if not math.isfinite(number):
        return _four(number)
    try:
        at = datetime.fromtimestamp(math.trunc(number * 1000) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise TemplateError(f"{number!r} is no time that can be told") from None
    fraction = f"{round(at.microsecond / 1000) / 1000:.3f}"[1:].rstrip("0").rstrip(".") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def printf(template: Any, *values: Any) -> str:
    """Return Go's Sprintf for the usual verbs."""
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        spec = f"%{flags}{width or ''}{'.' + precision if precision is not None else ''}"
        if verb in "feEgG":
            if not isinstance(value, int | float) or isinstance(value, (bool, int)):
                return f"%!{verb}({type(value).__name__.replace('str', 'string')}={_told(value)})"
            return str((spec + verb) % value) if math.isfinite(value) else _four(value)
        if verb == "d":
            if not isinstance(value, int):
                return f"%!d({'float64' if isinstance(value, float) else 'string'}={_told(value)})"
            return str((spec + "d") % value)
        if verb == "q":
            return f'"{value}"'
        return str((spec + "s") % _told(value))

    return _VERB.sub(one, str(template))


def _compare(op: str) -> Callable[..., bool]:
    table: dict[str, Callable[[Any, Any], bool]] = {
        "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
        "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    }  # fmt: skip

    def compare(first: Any, *others: Any) -> bool:
        try:
            return any(table[op](first, other) for other in others)
        except TypeError:
            raise TemplateError(f"error calling {op}: incompatible types for comparison") from None

    return compare


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": lambda v: f"{_number(v) * 100:.4g}%",
    "humanizeTimestamp": humanize_timestamp,
    "printf": printf,
    "title": lambda v: re.sub(r"(^|\s)(\w)", lambda m: m.group(1) + m.group(2).upper(), str(v)),
    "toUpper": lambda v: str(v).upper(),
    "toLower": lambda v: str(v).lower(),
    "match": lambda p, v: re.search(str(p), str(v)) is not None,
    "reReplaceAll": lambda p, r, v: re.sub(str(p), re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", str(r)), str(v)),
    "safeHtml": str,
    "print": lambda *v: "".join(_told(x) for x in v),
    "len": len,
    "not": lambda v: not _truth(v),
    "and": lambda *v: next((x for x in v if not _truth(x)), v[-1]),
    "or": lambda *v: next((x for x in v if _truth(x)), v[-1]),
    "index": lambda m, k: m.get(k, "") if isinstance(m, Mapping) else m[k],
    **{name: _compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
}


def _call(name: str, terms: list[Any]) -> Any:
    if name in ("true", "false"):
        return name == "true"
    function = _FUNCTIONS.get(name)
    if function is None:
        raise TemplateError(f'function "{name}" not defined')
    try:
        return function(*terms)
    except TypeError:
        raise TemplateError(f"wrong number of args for {name}: got {len(terms)}") from None
    except (re.error, IndexError, KeyError) as error:
        raise TemplateError(f"error calling {name}: {error}") from None
