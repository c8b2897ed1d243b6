"""Ages and moments as kubectl writes them, and durations as it reads them; pure."""

from __future__ import annotations

import re
import time

from stratus.kit.clock import parse_iso

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def short(seconds: float) -> str:
    """Return an age in at most two units: `45s`, `3m20s`, `17m`, `5h3m`, `2d4h`, `12d`, `2y30d`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(0, whole)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, unit: str, small: int, below: str) -> str:
    return f"{large}{unit}{small}{below}" if small else f"{large}{unit}"


def age(stamp: str | None, now: float) -> str:
    """Return how long ago a timestamp is, `<unknown>` without one."""
    return short(now - parse_iso(stamp)) if stamp else "<unknown>"


def written(stamp: str | None) -> str:
    """Return a timestamp as `describe` shows it: `Sun, 22 Nov 2026 09:41:15 +0000`."""
    if not stamp:
        return "<unset>"
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(parse_iso(stamp)))


def seconds(text: str) -> float | None:
    """Read a duration such as `90s`, `1h30m`; None when it is none."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
