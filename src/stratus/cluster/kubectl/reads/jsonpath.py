"""JSONPath templates as `-o jsonpath`, `--sort-by` and custom columns take them; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from stratus.cluster.kubectl.context import refuse

_HINT = "write for example -o jsonpath='{.items[*].metadata.name}'"
_FILTER = re.compile(r"^\s*(?P<left>.+?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*$", re.S)
_BARE = re.compile(r"^[A-Za-z_][\w-]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True)
class _Loop:
    path: str
    body: tuple[Any, ...]


def render(template: str, value: Any) -> str:
    """Fill a template: text as it stands, `{...}` replaced by what its path finds, several values a blank apart.

    Raises:
        CommandRefused: with code `bad_value`: the template is none.
    """
    body, rest = _parse(_pieces(template), closing=False)
    if rest:
        raise _bad(template, "an {end} without a {range}")
    return _filled(body, value, value)


def values(path: str, value: Any) -> list[Any]:
    """Return all that a path such as `.spec.containers[*].image` finds, braces and leading dot optional."""
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    if text and text[0] not in ".[$@":
        text = f".{text}"
    return _found(text, value, value)


def shown(value: Any) -> str:
    """Return a value as a template prints it: text plain, everything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _pieces(template: str) -> list[tuple[str, str]]:
    """Part a template into (`text`, ...) and (`code`, ...)."""
    pieces, at = [], 0
    while at < len(template):
        opening = template.find("{", at)
        if opening < 0:
            pieces.append(("text", template[at:]))
            break
        if opening > at:
            pieces.append(("text", template[at:opening]))
        closing = _closing(template, opening)
        pieces.append(("code", template[opening + 1 : closing].strip()))
        at = closing + 1
    return pieces


def _closing(template: str, opening: int) -> int:
    quote = ""
    at = opening + 1
    while at < len(template):
        char = template[at]
        if char == "\\":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "}":
            return at
        at += 1
    raise _bad(template, "a { that is never closed")


def _parse(pieces: list[tuple[str, str]], *, closing: bool) -> tuple[tuple[Any, ...], list[tuple[str, str]]]:
    body: list[Any] = []
    while pieces:
        (kind, text), pieces = pieces[0], pieces[1:]
        if kind == "text":
            body.append(("text", text))
        elif text == "end":
            if not closing:
                return tuple(body), [(kind, text), *pieces]
            return tuple(body), pieces
        elif text.startswith("range"):
            inner, pieces = _parse(pieces, closing=True)
            body.append(_Loop(text.removeprefix("range").strip(), inner))
        elif text[:1] in ("'", '"'):
            body.append(("text", _unquoted(text)))
        else:
            body.append(("path", text))
    if closing:
        raise _bad("{range ...}", "a {range} without its {end}")
    return tuple(body), []


def _filled(body: tuple[Any, ...], root: Any, here: Any) -> str:
    out = []
    for piece in body:
        if isinstance(piece, _Loop):
            out += [_filled(piece.body, root, one) for one in _found(piece.path, root, here)]
        elif piece[0] == "text":
            out.append(piece[1])
        else:
            out.append(" ".join(shown(v) for v in _found(piece[1], root, here)))
    return "".join(out)


def _found(path: str, root: Any, here: Any) -> list[Any]:
    text, found = path, [here]
    if text.startswith("$"):
        text, found = text[1:], [root]
    text = text.removeprefix("@")
    while text:
        found, text = _step(path, text, found, root)
    return found


def _step(path: str, text: str, found: list[Any], root: Any) -> tuple[list[Any], str]:
    if text.startswith(".."):
        name, rest = _name(path, text[2:])
        return [v for one in found for v in _deep(one, name)], rest
    if text.startswith("."):
        if text == ".":
            return found, ""
        if text[1] == "[":
            return found, text[1:]
        if text[1] == "*":
            return [v for one in found for v in _every(one)], text[2:]
        name, rest = _name(path, text[1:])
        return [one[name] for one in found if isinstance(one, dict) and name in one], rest
    if text.startswith("["):
        inner, rest = _bracket(path, text)
        return [v for one in found for v in _indexed(path, inner, one, root)], rest
    raise _bad(path, f"{text[:12]!r} where a step should be")


def _name(path: str, text: str) -> tuple[str, str]:
    name, at = "", 0
    while at < len(text) and text[at] not in ".[":
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        name += text[at]
        at += 1
    if not name or any(c in name for c in " {}()"):
        raise _bad(path, "a dot without a name")
    return name, text[at:]


def _bracket(path: str, text: str) -> tuple[str, str]:
    depth, quote = 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                return text[1:at].strip(), text[at + 1 :]
    raise _bad(path, "a [ that is never closed")


def _indexed(path: str, inner: str, value: Any, root: Any) -> list[Any]:
    if inner == "*":
        return _every(value)
    if inner.startswith("?(") and inner.endswith(")"):
        return [one for one in _every(value) if _holds(path, inner[2:-1], one, root)]
    found: list[Any] = []
    for part in _unioned(inner):
        if part[:1] in ("'", '"'):
            key = _unquoted(part)
            found += [value[key]] if isinstance(value, dict) and key in value else []
        elif re.fullmatch(r"-?\d+", part):
            number = int(part)
            found += [value[number]] if isinstance(value, list) and -len(value) <= number < len(value) else []
        elif re.fullmatch(r"-?\d*(?::-?\d*){1,2}", part):
            bounds = [int(b) if b else None for b in part.split(":")]
            found += value[slice(*bounds)] if isinstance(value, list) else []
        else:
            raise _bad(path, f"[{part}]")
    return found


def _unioned(inner: str) -> list[str]:
    return [p.strip() for p in re.findall(r"'[^']*'|\"[^\"]*\"|[^,]+", inner) if p.strip()]


def _holds(path: str, text: str, one: Any, root: Any) -> bool:
    for joined, all_of in (("&&", True), ("||", False)):
        if joined in text:
            parts = [_holds(path, part, one, root) for part in text.split(joined)]
            return all(parts) if all_of else any(parts)
    match = _FILTER.match(text)
    if match is None:
        raise _bad(path, f"the filter {text!r}")
    left = _operand(match["left"], one, root)
    if not match["op"]:
        return bool(left)
    right = _operand(match["right"], one, root)
    if not left or not right:
        return False
    a, b = left[0], right[0]
    if match["op"] in ("==", "!="):
        return (a == b) is (match["op"] == "==")
    if not isinstance(a, int | float | str) or type(a) is not type(b):
        return False
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[match["op"]]  # type: ignore[operator]


def _operand(text: str, one: Any, root: Any) -> list[Any]:
    text = text.strip()
    if text[:1] in ("@", "$", "."):
        return _found(text, root, one)
    if text[:1] in ("'", '"'):
        return [_unquoted(text)]
    try:
        return [json.loads(text)]
    except ValueError:
        return [text]


def _every(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else []


def _deep(value: Any, name: str) -> list[Any]:
    found = [value[name]] if isinstance(value, dict) and name in value else []
    return found + [v for one in _every(value) for v in _deep(one, name)]


def _unquoted(text: str) -> str:
    body = text[1:-1] if len(text) > 1 and text[-1] == text[0] else text[1:]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), body)


def _bad(template: str, what: str) -> Exception:
    return refuse("bad_value", f"{template!r} is not a JSONPath template: {what}", _HINT)
