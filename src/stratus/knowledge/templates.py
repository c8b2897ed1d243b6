"""Filling a runbook's command template with an object and the facts of a hypothesis."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from stratus.errors import KnowledgeError
from stratus.model.knowledge import RunbookAction
from stratus.model.refs import ObjectRef

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
"""`{name}`; a JSON object's brace is followed by a quote or a brace, never by a bare word, so the two cannot meet."""

OBJECT_FACTS = ("namespace", "kind", "name")
"""Always known: they come from the object the hypothesis blames."""

_CODE = re.compile(r"[\"'();]")
_HARMLESS = re.compile(r"[\w.@:/+=-]*")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names in a template, each once, in order."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(template)))


def usable(action: RunbookAction, facts: Mapping[str, Any]) -> bool:
    """Whether the action does something and all the facts it needs are known (present, not None, not empty text)."""
    return bool(action.command or action.exec) and all(facts.get(name) not in (None, "") for name in action.needs)


def values(target: ObjectRef, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Join the object's own names with the facts; the kind is written in lower case, as kubectl users do."""
    return {**facts, "namespace": target.namespace, "kind": target.kind.lower(), "name": target.name}


def fill_text(template: str, known: Mapping[str, Any]) -> str:
    """Fill a sentence; values appear as they are.

    Raises:
        KnowledgeError: when a placeholder has no value.
    """
    _require(template, known)
    return PLACEHOLDER.sub(lambda match: _plain(known[match[1]]), template)


def fill_command(template: str, known: Mapping[str, Any]) -> str:
    """Fill a kubectl command template; one value never becomes two arguments or a flag of its own.

    The line is split before it is filled. Inside an argument that is JSON (a patch), a placeholder within quotes
    is filled with escaped text; one without quotes stands for a whole JSON value: numbers and texts of digits
    become numbers, other texts strings, and a fact whose name ends in `_json` is put in as the JSON it is.

    Args:
        template: such as `kubectl -n {namespace} scale {kind}/{name} --replicas={replicas}`.
        known: values by name, see `values`.

    Returns:
        One line; arguments that need it are in single quotes.

    Raises:
        KnowledgeError: when a placeholder has no value, a value cannot stand in a command, or a patch would not
            be JSON any more.
    """
    _require(template, known)
    return shlex.join(_argument(token, known) for token in split(template))


def split(command: str) -> list[str]:
    """Split a command line into arguments, quotes removed.

    Raises:
        KnowledgeError: when a quote is not closed.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        raise KnowledgeError(f"the command `{command}` cannot be split into arguments: {error}") from error


def _require(template: str, known: Mapping[str, Any]) -> None:
    unknown = [name for name in placeholders(template) if known.get(name) is None]
    if unknown:
        raise KnowledgeError(f"`{template}` needs {', '.join(unknown)}, which nobody has found out")


def _argument(token: str, known: Mapping[str, Any]) -> str:
    if token.lstrip().startswith(('{"', "[{", '["', "{}")):
        return _json_argument(token, known)
    if _CODE.search(token):
        # Code in another language, such as a database shell's: a quote in a value would end the string around it.
        for name in placeholders(token):
            if not _HARMLESS.fullmatch(_plain(known[name])):
                raise KnowledgeError(f"the value of {name}, {known[name]!r}, may not be put into code (`{token}`)")
    filled = PLACEHOLDER.sub(lambda match: _plain(known[match[1]]), token)
    if _FORBIDDEN.search(filled):
        raise KnowledgeError(f"a value for `{token}` has a line break or a control character: not used in a command")
    if filled.startswith("-") and not token.startswith("-"):
        raise KnowledgeError(f"a value for `{token}` would be read as an option: {filled!r}")
    return filled


def _json_argument(token: str, known: Mapping[str, Any]) -> str:
    out: list[str] = []
    position = 0
    for match in PLACEHOLDER.finditer(token):
        out.append(token[position : match.start()])
        value = known[match[1]]
        if _inside_string("".join(out)):
            out.append(json.dumps(_plain(value), ensure_ascii=False)[1:-1])
        else:
            out.append(_json_value(match[1], value))
        position = match.end()
    out.append(token[position:])
    filled = "".join(out)
    try:
        return json.dumps(json.loads(filled), ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise KnowledgeError(f"the patch `{filled}` is not JSON: {error}") from error


def _inside_string(text: str) -> bool:
    """Whether JSON text read so far ends within a string."""
    return len(re.findall(r'(?<!\\)(?:\\\\)*"', text)) % 2 == 1


def _json_value(name: str, value: Any) -> str:
    if isinstance(value, str):
        if name.endswith("_json"):
            return value
        if re.fullmatch(r"0|[1-9]\d*", value):
            return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, Mapping) or (isinstance(value, Iterable) and not isinstance(value, bytes)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    raise KnowledgeError(f"a value of type {type(value).__name__} cannot stand in a command")
