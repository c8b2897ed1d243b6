"""What clients of servers have in common: the words for a connection that was not made."""

from __future__ import annotations

_WORDS = {
    "no-host": "Name or service not known",
    "refused": "Connection refused",
    "timeout": "Connection timed out",
}


def unreachable(kind: str) -> str:
    """Return the C library's words for what became of a connection."""
    return _WORDS.get(kind, "Connection reset by peer")
