"""Error answers: the Status object with the texts, reasons and causes a real API server gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from stratus.errors import StratusError

_REASONS = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueNotFound": "Not found",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
}


class ApiError(StratusError):
    """A request was refused; `status` is the Status object to answer with."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.headers = headers or {}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
        if not reason:
            del self.status["reason"]
        if details is None:
            del self.status["details"]


class Problems:
    """Field errors of one object, in the order validation meets them."""

    __slots__ = ("causes",)

    def __init__(self) -> None:
        self.causes: list[dict[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self.causes)

    def _add(self, reason: str, path: str, text: str) -> None:
        self.causes.append({"reason": reason, "message": text, "field": path})

    def required(self, path: str, detail: str = "") -> None:
        """The field must be there."""
        self._add("FieldValueRequired", path, f"Required value{': ' + detail if detail else ''}")

    def invalid(self, path: str, value: Any, detail: str) -> None:
        """The value is of the right type but not allowed."""
        self._add("FieldValueInvalid", path, f"Invalid value: {show(value)}: {detail}")

    def unsupported(self, path: str, value: Any, allowed: Iterable[str]) -> None:
        """The value is none of an enumeration."""
        listed = ", ".join(json.dumps(a) for a in allowed)
        self._add("FieldValueNotSupported", path, f"Unsupported value: {show(value)}: supported values: {listed}")

    def forbidden(self, path: str, detail: str) -> None:
        """The field may not be set here."""
        self._add("FieldValueForbidden", path, f"Forbidden: {detail}")

    def duplicate(self, path: str, value: Any) -> None:
        """The value must be unique."""
        self._add("FieldValueDuplicate", path, f"Duplicate value: {show(value)}")

    def not_found(self, path: str, value: Any) -> None:
        """The value names nothing."""
        self._add("FieldValueNotFound", path, f"Not found: {show(value)}")

    def too_long(self, path: str, limit: int) -> None:
        """The value is longer than `limit` bytes."""
        self._add("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")

    def raw(self, reason: str, path: str, text: str) -> None:
        """Any other error, with its full text."""
        self._add(reason, path, text)

    def aggregate(self) -> str:
        """Return all errors as one text; identical ones are told once."""
        texts = list(dict.fromkeys(f"{c['field']}: {c['message']}" for c in self.causes))
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"

    def raise_for(self, group: str, kind: str, name: str) -> None:
        """Raise the 422 when there is at least one error."""
        if self.causes:
            raise invalid(group, kind, name, self)


def show(value: Any) -> str:
    """Write a value the way field errors do."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def qualified(kind: str, group: str) -> str:
    """Join kind or resource and group: `Deployment.apps`, `pods`."""
    return f"{kind}.{group}" if group else kind


def _details(name: str, group: str, kind: str, **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind, **more}
    return {k: v for k, v in found.items() if v}


def invalid(group: str, kind: str, name: str, problems: Problems) -> ApiError:
    """422 with the causes."""
    message = f'{qualified(kind, group)} "{name}" is invalid: {problems.aggregate()}'
    causes = problems.causes
    return ApiError(422, "Invalid", message, details=_details(name, group, kind, causes=causes))


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 for an object."""
    text = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", text, details=_details(name, group, resource))


def no_resource() -> ApiError:
    """404 for a path no resource answers to."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409 for a second object of the same name."""
    text = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, details=_details(name, group, resource))


class Moved(ApiError):
    """What a write was about changed while webhooks judged it: it is to be tried again, as the server itself does."""

    def __init__(self, plural: str, group: str, name: str) -> None:
        told = conflict(plural, group, name)
        super().__init__(told.code, told.status["reason"], told.message, details=told.status.get("details"))


def conflict(resource: str, group: str, name: str, why: str = "") -> ApiError:
    """409 for a stale version or a failed precondition."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    text = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", text, details=_details(name, group, resource))


def forbidden(resource: str, group: str, name: str, why: str) -> ApiError:
    """403 by authorisation or admission."""
    quoted = f' "{name}"' if name else ""
    text = f"{qualified(resource, group)}{quoted} is forbidden: {why}"
    return ApiError(403, "Forbidden", text, details=_details(name, group, resource))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """500 with the text of an unclassified error."""
    return ApiError(500, "", message)


def method_not_allowed() -> ApiError:
    """405."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def expired(message: str) -> ApiError:
    """410: the version asked for is no longer kept."""
    return ApiError(410, "Expired", message)


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def too_many_requests(message: str, causes: list[dict[str, str]], retry_after: int = 0) -> ApiError:
    """429, as evictions get it."""
    details: dict[str, Any] = {"causes": causes}
    headers = {}
    if retry_after:
        details["retryAfterSeconds"] = retry_after
        headers["Retry-After"] = str(retry_after)
    return ApiError(429, "TooManyRequests", message, details=details, headers=headers)
