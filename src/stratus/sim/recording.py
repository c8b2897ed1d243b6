"""Requests as data: an API server that tells of each request before handling it, and the way back from the data."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any

from stratus.sim.api import ApiServer, Request, Response, User
from stratus.sim.api.server import Answer
from stratus.sim.identities import VIEWERS

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_KEPT_HEADERS = ("content-type", "accept", "user-agent")
_KEPT_PREFIX = "impersonate-"


class RecordingApi(ApiServer):
    """Handles requests one at a time, and calls `record` before each.

    Args:
        record: gets the request as JSON data when it may change something, None when it only reads; what it raises
            keeps the request from being handled.
        lock: held while a request is handled.

    Attributes:
        scrape: gives what a scraper of `/metrics` gets.
    """

    def __init__(
        self, record: Callable[[dict[str, Any] | None], None], lock: threading.RLock, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._record = record
        self._lock = lock
        self.scrape: Callable[[], str] | None = None

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        with self._lock:
            self._record(request_data(request) if may_change(request) else None)
            return super().handle(request)

    def _non_resource(self, request: Request, path: str, user: User) -> Response:
        found = super()._non_resource(request, path, user)
        if path == "/metrics" and request.method == "GET" and self.scrape is not None:
            return Response(200, body=self.scrape().encode(), content_type=EXPOSITION)
        return found


def may_change(request: Request) -> bool:
    """Tell whether a request can have an effect (a failed login, a read, a dry run or what a viewer asks cannot)."""
    user = request.user
    return (
        request.method not in _READS
        and user is not None
        and VIEWERS not in user.groups
        and "dryRun=All" not in request.target
    )


def request_data(request: Request) -> dict[str, Any]:
    """Return all of a request that decides what it does (and no credentials)."""
    user = request.user
    assert user is not None
    data: dict[str, Any] = {
        "method": request.method,
        "target": request.target,
        "headers": {k: v for k, v in request.headers.items() if k in _KEPT_HEADERS or k.startswith(_KEPT_PREFIX)},
        "user": [user.name, list(user.groups)],
    }
    if user.uid or user.extra:
        data["user"] += [user.uid, {k: list(v) for k, v in user.extra.items()}]
    if request.obj is not None:
        data["obj"] = request.obj
    else:
        data["body"] = base64.b64encode(request.body).decode()
    return data


def request_of(data: Mapping[str, Any]) -> Request:
    """Return the request that some data describes."""
    name, groups, *more = data["user"]
    uid, extra = more or ("", {})
    user = User(name, tuple(groups), uid, {k: tuple(v) for k, v in extra.items()})
    body = base64.b64decode(data.get("body", ""))
    return Request(data["method"], data["target"], data["headers"], body, user, obj=data.get("obj"))
