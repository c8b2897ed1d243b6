"""What the server answers to what it cannot do."""

from __future__ import annotations

from typing import Any


class PgError(Exception):
    """A statement fails.

    Attributes:
        message, detail, hint: the server's texts; `code` is the SQLSTATE.
        position: offset in the statement's text of what is wrong, None when it is nowhere.
        severity: ERROR, or FATAL when the session ends.
    """

    def __init__(
        self,
        message: str,
        code: str = "XX000",
        *,
        position: int | None = None,
        detail: str = "",
        hint: str = "",
        severity: str = "ERROR",
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.position = message, code, position
        self.detail, self.hint, self.severity = detail, hint, severity

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": "error", "severity": self.severity, "code": self.code, "message": self.message,
            "detail": self.detail, "hint": self.hint, "position": self.position,
        }  # fmt: skip


def syntax(text: str, position: int) -> PgError:
    """Return the error about a word that does not belong where it is."""
    where = f'syntax error at or near "{text}"' if text else "syntax error at end of input"
    return PgError(where, "42601", position=position)


def unsupported(what: str) -> PgError:
    """Return the error about what a real server could do and this one cannot."""
    return PgError(f"{what} is not part of this emulated server", "0A000")
