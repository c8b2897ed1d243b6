"""Reckoning with resource quantities: what would suffice, and how it is written."""

from __future__ import annotations

from stratus.kit.kube import quantity

_MI = 2.0**20


def memory_text(size: float) -> str:
    """Write bytes as whole Mi, such as `512Mi`."""
    return f"{max(1, round(size / _MI))}Mi"


def cpu_text(cores: float) -> str:
    """Write cores as whole millicores, such as `250m`, or as cores when they are whole."""
    milli = max(1, round(cores * 1000))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def more_memory(limit: object, before: object = None) -> str | None:
    """Return a memory limit that would suffice: the earlier one when it was larger, else twice the present one."""
    now, was = quantity(limit), quantity(before)
    if was is not None and (now is None or was > now):
        return str(before)
    return memory_text(now * 2) if now else None


def more_cpu(limit: object, before: object = None) -> str | None:
    """Return a CPU limit that would suffice: the earlier one when it was larger, else twice the present one."""
    now, was = quantity(limit), quantity(before)
    if was is not None and (now is None or was > now):
        return str(before)
    return cpu_text(now * 2) if now else None
