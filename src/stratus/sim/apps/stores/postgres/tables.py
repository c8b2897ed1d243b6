"""The server's settings, as pg_settings describes them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its usual value in its unit, what kind it is, and when a change counts (`context`)."""

    value: str
    unit: str
    vartype: str
    context: str
    category: str
    short: str
    choices: tuple[str, ...] = ()
    low: str = ""
    high: str = ""


@cache
def settings() -> dict[str, Setting]:
    """Return all settings by name."""
    file = resources.files("stratus.sim.apps.stores.postgres").joinpath("data", "settings.json")
    return {
        name: Setting(entry[0], entry[1], entry[2], entry[3], entry[4], entry[5], tuple(entry[6]), entry[7], entry[8])
        for name, entry in json.loads(file.read_text("utf-8")).items()
    }


def setting_seconds(text: str) -> float:
    """Return the seconds of a timeout: `500`, `500ms`, `5s`, `1min`; 0 for none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if not found:
        return 0.0
    return float(found.group(1)) * _UNITS.get(found.group(2) or "ms", 1e-3)


def bytes_of(text: str, unit: str = "") -> float | None:
    """Return the bytes of a size: `128MB`, `4kB`; bare numbers count in the setting's unit."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|)\s*", text)
    if not found:
        return None
    units = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "8kB": 8192, "": 1}
    return float(found.group(1)) * units.get(found.group(2) or unit, 1)


def shown(name: str, value: str) -> str:
    """Return a setting's value as SHOW prints it."""
    known = settings()[name]
    if known.vartype not in ("integer", "real") or not known.unit or not value.lstrip("-").isdigit():
        return value
    number = int(value)
    if number <= 0:
        return value
    if known.unit in ("8kB", "kB", "B", "MB"):
        size = number * {"8kB": 8192, "kB": 1024, "B": 1, "MB": 1 << 20}[known.unit]
        for unit, factor in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
            if size % factor == 0:
                return f"{size // factor}{unit}"
        return f"{size}B"
    scale = {"ms": 1, "s": 1000, "min": 60_000}.get(known.unit, 1)
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)):
        if number * scale % factor == 0:
            return f"{number * scale // factor}{unit}"
    return value


def stored(name: str, text: str) -> str | None:
    """Return a value as it is kept, in the setting's unit; None when it is not one for it."""
    known = settings()[name]
    text = text.strip()
    if known.vartype == "bool":
        low = text.lower()
        if low in ("on", "true", "yes", "1", "t"):
            return "on"
        return "off" if low in ("off", "false", "no", "0", "f") else None
    if known.vartype == "enum":
        return text.lower() if text.lower() in known.choices else None
    if known.vartype not in ("integer", "real"):
        return text
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    if known.unit in ("8kB", "kB", "B", "MB"):
        size = bytes_of(text)
        return None if size is None else str(int(size / {"8kB": 8192, "kB": 1024, "B": 1, "MB": 1 << 20}[known.unit]))
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)", text)
    if not found or known.unit not in _UNITS:
        return None
    return f"{float(found.group(1)) * _UNITS[found.group(2)] / _UNITS[known.unit]:.0f}"
