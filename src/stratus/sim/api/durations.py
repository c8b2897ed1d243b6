"""Durations as kubectl and the server print them: `85s`, `3m34s`, `22h`, `3d4h`."""

from __future__ import annotations

from stratus.kit.clock import parse_iso


def human(seconds: float) -> str:
    """Write a duration with at most two units, coarser the longer it is."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    if s < 120:
        return f"{s}s"
    minutes = s // 60
    if minutes < 10:
        return f"{minutes}m{s % 60}s" if s % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = s // 3600
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    if hours < 24 * 365 * 8:
        return f"{years}y{days % 365}d" if days % 365 else f"{years}y"
    return f"{years}y"


def since(timestamp: str | None, now: float) -> str:
    """Write how long ago a timestamp was; `<unknown>` without one."""
    if not timestamp:
        return "<unknown>"
    return human(now - parse_iso(timestamp))
