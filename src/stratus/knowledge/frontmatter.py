"""Markdown files with YAML front matter: taken apart, checked against a noun, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stratus.errors import KnowledgeError

FENCE = "---"

T = TypeVar("T", bound=BaseModel)


def read(path: Path) -> tuple[dict[str, Any], str]:
    """Read a file and take it apart, see `parse`.

    Raises:
        KnowledgeError: when the file cannot be read or has no usable front matter.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> tuple[dict[str, Any], str]:
    """Return the front matter as a mapping and the Markdown below it.

    Raises:
        KnowledgeError: naming `where`, when there is no front matter or it is not a YAML mapping.
    """
    import yaml

    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != FENCE:
        raise KnowledgeError(f"{where}: line 1: the file must start with front matter between two lines `{FENCE}`")
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise KnowledgeError(f"{where}: the front matter is not closed by a line `{FENCE}`")
    try:
        data = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 2}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise KnowledgeError(f"{where}: {line}the front matter is not valid YAML: {problem}") from error
    if not isinstance(data, dict):
        raise KnowledgeError(f"{where}: the front matter must be a mapping of fields, not {type(data).__name__}")
    return {str(key): value for key, value in data.items()}, "\n".join(lines[end + 1 :]).strip() + "\n"


def dump(data: dict[str, Any], body: str) -> str:
    """Put front matter and Markdown together."""
    import yaml

    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return f"{FENCE}\n{front}{FENCE}\n\n{body.strip()}\n"


def validate(noun: type[T], data: dict[str, Any], where: str) -> T:
    """Build a noun, turning the first thing wrong into one clear line.

    Raises:
        KnowledgeError: naming the file and the field.
    """
    try:
        return noun.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the front matter"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise KnowledgeError(f"{where}: field `{field}`: {first['msg']}{more}") from error
