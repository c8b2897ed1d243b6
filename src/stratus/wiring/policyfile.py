"""The policy file: what may be changed, when, and what counts as worse, with errors that name file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.errors import SettingsError
from stratus.settings import HealthSettings, PolicySettings, Settings

if TYPE_CHECKING:
    from pydantic import ValidationError

SECTIONS: dict[str, tuple[str, type[PolicySettings] | type[HealthSettings]]] = {
    "changes": ("policy", PolicySettings),
    "verdict": ("health", HealthSettings),
}
"""Sections of the file, and the group of settings that each replaces values of."""
VERSION = 1


def with_policy(settings: Settings) -> Settings:
    """Return the settings with what their policy file says, which goes before everything else.

    Raises:
        SettingsError: the file cannot be read, or a value does not fit; the message names file, line and field.
    """
    return settings if settings.policy_file is None else apply_policy(settings, settings.policy_file)


def apply_policy(settings: Settings, path: Path) -> Settings:
    """Put a policy file over settings. Raises as `with_policy`."""
    document, lines = _read(path)
    change: dict[str, Any] = {"policy_file": path}
    for section, (name, group) in SECTIONS.items():
        given = document.get(section)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise _wrong(path, lines, (section,), "is a mapping of fields to values")
        held = getattr(settings, name).model_dump()
        if section == "verdict" and "preset" in given:
            held = {}  # a preset brings its own values; what is set elsewhere was chosen for another one
        change[name] = _checked(group, {**held, **given}, path, lines, section)
    return settings.model_copy(update=change)


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the policy file {path} cannot be read: {error}; give policy_file another path") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[tuple[str | int, ...], int] = {}
        if node is not None:
            _note(node, (), lines, path)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        said = getattr(error, "problem", None) or "it is not YAML"
        raise SettingsError(f"{where}: {said}: correct the syntax") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path}:1: a policy file is a mapping with the keys version, {', '.join(SECTIONS)}")
    for key in document:
        if key != "version" and key not in SECTIONS:
            raise _wrong(path, lines, (key,), f"is no section: use version, {', '.join(SECTIONS)}")
    if document.get("version") != VERSION:
        raise _wrong(path, lines, ("version",), f"has to be {VERSION}")
    return document, lines


def _note(node: Any, at: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], path: Path) -> None:
    """Write down on which line each field stands; a key twice is refused, because one would be lost."""
    import yaml

    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            if place in lines:
                raise SettingsError(f"{path}:{key.start_mark.line + 1}: {_dotted(place)} stands twice: keep one")
            lines[place] = key.start_mark.line + 1
            _note(value, place, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note(item, (*at, number), lines, path)


def _checked(
    group: type[PolicySettings] | type[HealthSettings],
    values: dict[str, Any],
    path: Path,
    lines: dict[tuple[str | int, ...], int],
    section: str,
) -> PolicySettings | HealthSettings:
    from pydantic import ValidationError

    try:
        return group.model_validate(values)
    except ValidationError as error:
        raise _wrong_values(path, lines, section, error) from error


def _wrong_values(
    path: Path, lines: dict[tuple[str | int, ...], int], section: str, error: ValidationError
) -> SettingsError:
    said = []
    for one in error.errors()[:5]:
        place = (section, *one["loc"])
        what = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            what = "there is no such field"
        said.append(str(_wrong(path, lines, place, what)))
    return SettingsError("; ".join(said))


def _wrong(path: Path, lines: dict[tuple[str | int, ...], int], place: Sequence[str | int], what: str) -> SettingsError:
    """Name file, line and field; of a field that is missing, the line of what should hold it."""
    known = next((lines[tuple(place[:n])] for n in range(len(place), -1, -1) if tuple(place[:n]) in lines), 1)
    return SettingsError(f"{path}:{known}: {_dotted(place)}: {what}")


def _dotted(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
