"""The official Kubernetes client without a socket: a stand-in for its connection pool that calls the API in process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from stratus.sim.api import ADMIN, ApiServer, Request, Response, Upgrade, User

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

#: Where the in-process server pretends to be; nothing ever connects to it.
ADDRESS = "http://stratus.invalid"


class _Stream(Protocol):
    def take(self) -> bytes: ...

    @property
    def done(self) -> bool: ...

    def close(self) -> None: ...


class InProcessResponse:
    """What the client expects of a urllib3 response."""

    def __init__(
        self, status: int, headers: dict[str, str], data: bytes, chunks: Callable[[], Iterator[bytes]]
    ) -> None:
        from urllib3 import HTTPHeaderDict

        self.status = status
        self.reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        self.headers = HTTPHeaderDict(headers)
        self._data = data
        self._chunks = chunks
        self.closed = False

    @property
    def data(self) -> bytes:
        """Return the whole body."""
        return self._data if self._data else b"".join(self._chunks())

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        """Return the whole body, whatever amount is asked for."""
        return self.data

    def getheaders(self) -> Any:
        """Return the headers."""
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return one header."""
        found: str | None = self.headers.get(name, default)
        return found

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body piece by piece."""
        if self._data:
            yield self._data
        yield from self._chunks()

    def close(self) -> None:
        """Stop reading."""
        self.closed = True

    def release_conn(self) -> None:
        """Nothing to give back."""


class InProcessPool:
    """Replaces `ApiClient.rest_client.pool_manager`.

    Args:
        api: what answers.
        user: the identity of all requests.
        lock: held while a request is handled; none when one thread does everything.
        idle: called when a watch has nothing to give; it lets time pass and returns whether to go on waiting. Without
            it a watch ends once it has told what happened so far.
    """

    def __init__(
        self,
        api: ApiServer,
        *,
        user: User = ADMIN,
        lock: threading.RLock | None = None,
        idle: Callable[[], bool] | None = None,
    ) -> None:
        self.api = api
        self.user = user
        self.lock: Any = lock if lock is not None else nullcontext()
        self.idle = idle

    def request(
        self, method: str, url: str, body: Any = None, fields: Any = None, headers: Any = None, **_: Any
    ) -> InProcessResponse:
        """Answer one request as urllib3's pool would."""
        target = url.removeprefix(ADDRESS)
        if fields:
            pairs = fields.items() if isinstance(fields, dict) else fields
            target += ("&" if "?" in target else "?") + urlencode(list(pairs))
        low = {k.lower(): v for k, v in (headers or {}).items()}
        raw = body if isinstance(body, bytes) else (body or "").encode() if isinstance(body, str) or not body else None
        request = Request(method, target, low, raw if raw is not None else json.dumps(body).encode(), self.user)
        with self.lock:
            answer = self.api.handle(request)
            if isinstance(answer, Response):
                out = {"Content-Type": answer.content_type, **answer.headers}
                return InProcessResponse(answer.status, out, answer.body, lambda: iter(()))
        if isinstance(answer, Upgrade):
            # A WebSocket cannot be had here; callers in process use `run_command`.
            text = json.dumps({"kind": "Status", "status": "Failure", "message": "exec needs a WebSocket", "code": 400})
            return InProcessResponse(400, {"Content-Type": "application/json"}, text.encode(), lambda: iter(()))
        return InProcessResponse(200, {"Content-Type": answer.content_type}, b"", lambda: self._follow(answer))

    def run_command(self, url: str, stdin: bytes) -> tuple[bytes, bytes, dict[str, Any], int]:
        """Answer a request for exec without its streams: (stdout, stderr, Status, HTTP code)."""
        from stratus.sim.streams.conversation import exit_status

        request = Request("GET", url.removeprefix(ADDRESS), {}, b"", self.user)
        with self.lock:
            answer = self.api.handle(request)
            if isinstance(answer, Upgrade) and answer.run is not None:
                result = answer.run(stdin)
                return result.out, result.err, exit_status(result), 101
        if isinstance(answer, Response):
            return b"", b"", json.loads(answer.body), answer.status
        return b"", b"", {"status": "Failure", "message": "this is no request to run a command"}, 400

    def _follow(self, stream: _Stream) -> Iterator[bytes]:
        try:
            while True:
                with self.lock:
                    data, done = stream.take(), stream.done
                if data:
                    yield data
                if done:
                    return
                if not data and (self.idle is None or not self.idle()):
                    return
        finally:
            with self.lock:
                stream.close()

    def clear(self) -> None:
        """Nothing to close."""


def in_process_api_client(
    api: ApiServer,
    *,
    user: User = ADMIN,
    lock: threading.RLock | None = None,
    idle: Callable[[], bool] | None = None,
) -> ApiClient:
    """Return an official client that talks to the server in this process (see `InProcessPool` for the arguments)."""
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    configuration.host = ADDRESS
    configuration.proxy = None
    client = ApiClient(configuration)
    client.rest_client.pool_manager.clear()
    pool: Any = InProcessPool(api, user=user, lock=lock, idle=idle)
    client.rest_client.pool_manager = pool
    return client
