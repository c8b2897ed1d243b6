"""Change windows and freezes: whether a namespace may be changed at a moment, and when it may again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from stratus.rules import DAYS, ChangeWindow, Freeze
from stratus.settings import PolicySettings

CLOSED = "change_window"
"""Code of the refusal of a plan whose time has not come."""
AHEAD = 15
"""Days that are looked ahead for the next moment at which a change is allowed; a week holds every window."""


def closed(settings: PolicySettings, namespaces: Iterable[str], at: float) -> tuple[str, str]:
    """Return why nothing may be changed at a moment, and when it may be again; both empty when it may.

    Args:
        settings: windows and freezes.
        namespaces: those that would be changed; empty for an object of the cluster, which every rule is for.
        at: epoch seconds.
    """
    spaces = sorted(set(namespaces)) or [""]
    why = next((reason for space in spaces if (reason := _closed(settings, space, at))), "")
    if not why:
        return "", ""
    opening = _opening(settings, spaces, at)
    return why, f"it may be changed from {opening}" if opening else f"not within the next {AHEAD} days"


def inside(window: ChangeWindow, at: float) -> bool:
    """Tell whether a moment lies in a weekly window; times are those of the clocks on the walls of its zone."""
    local = datetime.fromtimestamp(at, ZoneInfo(window.zone))
    minute = local.hour * 60 + local.minute
    start, end = _minutes(window.start), _minutes(window.end)
    if start < end:
        return start <= minute < end and _on(window, local)
    # Over midnight: what comes after it belongs to the day on which the window began.
    return (minute >= start and _on(window, local)) or (minute < end and _on(window, local - timedelta(days=1)))


def frozen(freeze: Freeze, at: float) -> bool:
    """Tell whether a moment lies in a freeze."""
    start, end = (_epoch(text, freeze.zone) for text in (freeze.start, freeze.end))
    return start <= at < end


def _closed(settings: PolicySettings, namespace: str, at: float) -> str:
    for freeze in settings.freezes:
        if _is_for(freeze.namespaces, namespace) and frozen(freeze, at):
            return f"the freeze {freeze.name!r} lasts until {freeze.end} ({freeze.zone})"
    windows = [w for w in settings.windows if _is_for(w.namespaces, namespace)]
    if not windows or any(inside(window, at) for window in windows):
        return ""
    names = ", ".join(repr(w.name) for w in windows)
    return f"{namespace or 'the cluster'} may be changed in the windows {names} only, and none is open"


def _opening(settings: PolicySettings, namespaces: Sequence[str], at: float) -> str:
    """Return the next moment at which all namespaces may be changed, in UTC; windows and freezes begin at edges."""
    edges = {_epoch(freeze.end, freeze.zone) for freeze in settings.freezes}
    for window in settings.windows:
        zone = ZoneInfo(window.zone)
        today = datetime.fromtimestamp(at, zone).date()
        for ahead in range(AHEAD):
            day = datetime.combine(today + timedelta(days=ahead), datetime.min.time())
            start = day + timedelta(minutes=_minutes(window.start))
            edges.add(start.replace(tzinfo=zone).timestamp())
    for edge in sorted(e for e in edges if at < e <= at + AHEAD * 86_400):
        if not any(_closed(settings, namespace, edge) for namespace in namespaces):
            return datetime.fromtimestamp(edge, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return ""


def _is_for(patterns: Sequence[str], namespace: str) -> bool:
    """An object of the cluster belongs to no namespace and is under every rule."""
    return not patterns or not namespace or any(fnmatchcase(namespace, pattern) for pattern in patterns)


def _on(window: ChangeWindow, day: datetime) -> bool:
    return not window.days or DAYS[day.weekday()] in window.days


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _epoch(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()
