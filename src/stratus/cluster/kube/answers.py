"""From an HTTP answer, or the lack of one, to the typed errors of `stratus.errors`; pure."""

from __future__ import annotations

from stratus.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    InDoubt,
    Invalid,
    NotFound,
    Throttled,
)
from stratus.model.base import Json

_BY_STATUS: dict[int, type[ClusterError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    410: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: Throttled,
}


def error_of(status: int, body: Json | None, *, doing: str, changes: bool) -> ClusterError:
    """Turn an error answer into the exception that says it.

    Args:
        status: HTTP status, 300 or more.
        body: the Status object, when the answer was one.
        doing: the request in words, such as `PATCH /apis/apps/v1/...`.
        changes: whether the request could have changed something. Then an answer of the kind 5xx leaves open
            whether it did (a time-out of the storage is told so), and `InDoubt` is the only honest error.
    """
    said = str((body or {}).get("message") or "").strip() or f"HTTP {status} without a message"
    reason = str((body or {}).get("reason") or "")
    text = f"{said} ({doing})"
    kind = _BY_STATUS.get(status, ClusterError)
    if status == 401:
        text = f"The API server does not accept the credentials: {said}. Check the kubeconfig's user ({doing})"
    elif status == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    elif status == 422 and "metadata.uid" in said and "immutable" in said:
        kind = Conflict  # the uid was sent as a precondition: another object of that name is there now
    elif changes and ((status >= 500 and status != 501) or status == 408):
        kind = InDoubt
        text = f"The server failed while writing: {said}. Read the object to know whether it happened ({doing})"
    return kind(text, status=status, reason=reason, body=dict(body or {}))


def no_answer(problem: str, *, doing: str) -> InDoubt:
    """Return the error for a write that was sent and not answered."""
    return InDoubt(
        f"No answer to a write that was sent: {problem}. Read the object to know whether it happened ({doing})",
        reason="NoAnswer",
    )
