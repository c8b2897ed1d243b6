"""An `ApiWrite` as the HTTP request that performs or rehearses it, preconditions included; pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from stratus.errors import Invalid
from stratus.model.actions import ApiWrite
from stratus.model.base import Json


@dataclass(frozen=True)
class HttpRequest:
    """Method, path below the server's address, query, body and its media type."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


def check_segments(*segments: str) -> None:
    """Refuse names that would lead a request to another path than the one they stand in.

    Raises:
        Invalid: a name, namespace or resource that is no single path segment.
    """
    for segment in segments:
        if segment in (".", "..") or any(char in segment for char in "/%?#\\") or not segment.isprintable():
            raise Invalid(f"{segment!r} cannot be a name in the Kubernetes API", status=400, reason="BadRequest")


def request_of(write: ApiWrite, *, dry_run: bool) -> HttpRequest:
    """Map a write to HTTP.

    Preconditions travel where the server checks them: in the DeleteOptions of a DELETE or an eviction, in the
    metadata of a PUT or of a merging PATCH, as `test` operations in front of a JSON patch. A DELETE with a body
    ignores its query, so `dryRun` always stands in its body (and in the query too, for those that read it there).
    """
    check_segments(write.target.name, write.target.namespace, write.plural, write.subresource)
    if write.method == "DELETE":
        options = _delete_options(write.body, write, dry_run)
        return HttpRequest("DELETE", write.path, {"dryRun": "All"} if dry_run else {}, options)
    query = {"fieldManager": write.field_manager, "fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    if write.method == "PATCH":
        kind = write.patch_type or "application/strategic-merge-patch+json"
        if kind == "application/apply-patch+yaml":
            query["force"] = "true" if write.force else "false"
        return HttpRequest("PATCH", write.path, query, _guarded(write, kind), kind)
    body = copy.deepcopy(write.body)
    if write.method == "PUT":
        body = _with_preconditions(body or {}, write)
    elif write.subresource == "eviction":
        body = dict(body or {})
        body["deleteOptions"] = _delete_options(body.get("deleteOptions"), write, dry_run)
        if not body["deleteOptions"]:
            del body["deleteOptions"]
    return HttpRequest(write.method, write.path, query, body)


def _delete_options(given: Json | None, write: ApiWrite, dry_run: bool) -> Json:
    options = dict(given or {})
    wanted = dict(options.get("preconditions") or {})
    if write.expect_uid:
        wanted["uid"] = write.expect_uid
    if write.expect_version:
        wanted["resourceVersion"] = write.expect_version
    if wanted:
        options["preconditions"] = wanted
    if dry_run:
        options["dryRun"] = ["All"]
    return options


def _with_preconditions(body: Json, write: ApiWrite) -> Json:
    wanted = {
        key: value for key, value in (("uid", write.expect_uid), ("resourceVersion", write.expect_version)) if value
    }
    if not wanted:
        return body
    return {**body, "metadata": {**(body.get("metadata") or {}), **wanted}}


def _guarded(write: ApiWrite, kind: str) -> Any:
    body = copy.deepcopy(write.body)
    if kind != "application/json-patch+json":
        return _with_preconditions(body or {}, write)
    tests = [
        {"op": "test", "path": path, "value": value}
        for path, value in (("/metadata/uid", write.expect_uid), ("/metadata/resourceVersion", write.expect_version))
        if value
    ]
    return [*tests, *(body or [])]
