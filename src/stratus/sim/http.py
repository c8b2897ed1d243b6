"""The API server on the network: HTTPS in a thread of its own, with watches, followed logs and exec over WebSocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from stratus.errors import StratusError
from stratus.sim import tls as tls_files
from stratus.sim.api import ANONYMOUS, ApiServer, Request, Response, Upgrade, User, Watch
from stratus.sim.identities import VIEWER, may
from stratus.sim.streams.conversation import exit_status
from stratus.sim.streams.following import LogStream
from stratus.sim.streams.serving import Streams

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web

#: Requests larger than this are refused, as a real API server refuses them.
BODY_LIMIT = 3 * 1024 * 1024
#: Bytes of a stream that are written at once.
_PIECE = 256 * 1024
#: Connections that may wait to be accepted.
_BACKLOG = 1024
#: Requests that are worked on at once; most of them wait for the lock, or for a webhook.
_WORKERS = 64

T = TypeVar("T")
_LOG = logging.getLogger("stratus.sim.http")


class HttpError(StratusError):
    """The server could not be started."""


class HttpFront:
    """Serves an `ApiServer`; a context manager.

    Args:
        api: what answers.
        host: address to listen on; anything but a loopback address is refused.
        port: TCP port, 0 for a free one.
        tls: HTTPS with a throw-away authority (then certificates and tokens identify the user); plain HTTP without.
        lock: held while a request is handled, so that nothing else touches the cluster meanwhile.
    """

    def __init__(
        self, api: ApiServer, *, host: str = "127.0.0.1", port: int = 0, tls: bool = True, lock: threading.RLock
    ) -> None:
        self.api = api
        self.host = host
        self.port = port
        self.lock = lock
        #: Seconds that the body of a request may take to arrive.
        self.patience = 60.0
        self.identity = (
            tls_files.make_identity(
                (host, "localhost", "127.0.0.1"),
                user="kubernetes-admin",
                groups=("system:masters",),
                authority=api.certifier(),
            )
            if tls
            else None
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._open: dict[asyncio.Task[Any], asyncio.Event] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._streams: Streams | None = None

    # life

    def start(self) -> HttpFront:
        """Start serving; returns when connections are accepted.

        Raises:
            HttpError: when the address cannot be used.
        """
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            raise HttpError(f"refusing to listen on {self.host}: the embedded cluster serves loopback addresses only")
        self._thread = threading.Thread(target=self._run, name="stratus-api", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise HttpError(f"cannot listen on {self.host}:{self.port}: {self._failure}; choose another port")
        return self

    def close(self) -> None:
        """End all watches and the server; returns when its thread has ended."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._stop.set)
        thread.join()
        self._thread = None

    def __enter__(self) -> HttpFront:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return f"{'https' if self.identity else 'http'}://{self.host}:{self.port}"

    def kubeconfig(self, *, user: str = "admin", groups: tuple[str, ...] = (), token: bool = False) -> str:
        """Return a kubeconfig for somebody.

        Args:
            user: `admin`, `viewer` who may read everything but secrets (every write is a 403, dry runs included), or
                any other name: roles and bindings decide what they may do, nothing at first.
            groups: the groups of such another user.
            token: identify the administrator by a bearer token and not by a client certificate.

        Raises:
            HttpError: somebody else than the administrator without TLS, where nobody is told apart.
        """
        if self.identity is None:
            if user != "admin":
                raise HttpError(f"{user!r} needs HTTPS: over plain HTTP everybody is the administrator")
            return self._kubeconfig(user, {})
        if user == "viewer":
            return self._kubeconfig(user, {"token": self._viewer_token()})
        if user == "admin" and token:
            return self._kubeconfig(user, {"token": self.identity.token})
        pair = (self.identity.client_cert, self.identity.client_key)
        if user != "admin":
            if not user or len(user) > 64 or any(len(g) > 64 or not g for g in groups):
                raise HttpError("names of users and groups have 1 to 64 characters")
            pair = self.api.certifier().client(user, groups)
        data = (base64.b64encode(part).decode() for part in pair)
        named = dict(zip(("client-certificate-data", "client-key-data"), data, strict=True))
        return self._kubeconfig(user, named)

    def _viewer_token(self) -> str:
        with self.lock:
            for token, known in self.api.tokens.items():
                if known == VIEWER:
                    return token
            token = secrets.token_urlsafe(24)
            self.api.tokens[token] = VIEWER
            self.api.authorizer = self.api.authorizer or may
            return token

    def _kubeconfig(self, name: str, user: dict[str, Any]) -> str:
        cluster: dict[str, Any] = {"server": self.url}
        if self.identity is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self.identity.ca).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stratus", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "stratus", "context": {"cluster": "stratus", "user": name, "namespace": "default"}}],
            "current-context": "stratus",
        }
        # JSON is YAML, and needs no writer.
        return json.dumps(config, indent=2) + "\n"

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        try:
            loop.run_until_complete(self._serve())
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()
            with contextlib.suppress(Exception):
                loop.run_until_complete(loop.shutdown_asyncgens())
            if self._pool is not None:
                self._pool.shutdown()
            loop.close()

    async def _serve(self) -> None:
        from aiohttp import web

        from stratus.sim import httphandler

        self._stop = asyncio.Event()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="stratus-request")
        self._streams = Streams(self._locked, self._stop)
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._entry)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.5, logger=httphandler.QUIET,
            handler_cancellation=True,
            lingering_time=2.0,
            max_line_size=httphandler.LINE, max_field_size=httphandler.FIELD, max_headers=httphandler.HEADERS,
        )  # fmt: skip
        await runner.setup()
        listener: asyncio.Server | None = None

        def connected() -> asyncio.Protocol:
            made: Any = runner.server()  # type: ignore[misc]
            made.__class__ = httphandler.Handler
            return made  # type: ignore[no-any-return]

        try:
            context = tls_files.server_context(self.identity) if self.identity is not None else None
            loop = asyncio.get_running_loop()
            listener = await loop.create_server(connected, self.host, self.port, ssl=context, backlog=_BACKLOG)
            self.port = listener.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()
            for changed in self._open.values():
                changed.set()
            if self._open:
                # Streams say goodbye themselves, so that clients see an end and not a broken connection.
                await asyncio.wait(list(self._open), timeout=1.0)
        finally:
            if listener is not None:
                listener.close()
            await runner.cleanup()
            await self._abandon()
            others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._abandon()

    @staticmethod
    async def _abandon() -> None:
        """Close what connections are left: TLS says goodbye and waits for an answer, for which nobody waits here."""
        for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
            transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)

    # requests

    def _user(self, request: web.Request) -> User | None:
        if self.identity is None:
            return User()
        given = request.headers.get("Authorization", "")
        if given.startswith("Bearer "):
            token = given.removeprefix("Bearer ").strip()
            if token == self.identity.token:
                return User()
            with self.lock:
                return self.api.authenticate(token)
        certificate = request.get_extra_info("peercert")
        if certificate:
            name, groups = tls_files.subject(certificate)
            return User(name, (*groups, "system:authenticated"))
        return ANONYMOUS

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        try:
            async with asyncio.timeout(self.patience):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}")
        except TimeoutError:
            return _refusal(504, "Timeout", "Timeout: request did not complete within the allotted timeout")
        except web.RequestPayloadError as error:
            return _refusal(400, "BadRequest", f"the body of the request cannot be read: {error}")
        except ConnectionError:
            # Whoever began the request is gone: nobody is there to be answered.
            return _refusal(400, "BadRequest", "the body of the request ended too early")
        headers = {k.lower(): v for k, v in request.headers.items()}
        groups = request.headers.getall("Impersonate-Group", [])
        if groups:
            headers["impersonate-group"] = ",".join(groups)
        user = self._user(request)
        asked = Request(request.method, request.raw_path, headers, body, user)

        def handle() -> Any:
            answer = self.api.handle(asked)
            if isinstance(answer, Response):
                _ = answer.body  # serialised under the lock: the objects are not touched afterwards
            return answer

        try:
            answer = await self._locked(handle)
        except StratusError as error:
            return _refusal(500, "InternalError", f"Internal error occurred: {error}")
        except Exception as error:
            _LOG.exception("a request could not be answered: %s %s", request.method, request.path)
            return _refusal(500, "InternalError", f"Internal error occurred: {type(error).__name__}: {error}")
        if isinstance(answer, Response):
            out = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
            if answer.content_type:
                out.headers["Content-Type"] = answer.content_type
            out.headers["Cache-Control"] = "no-cache, private"
            return out
        if isinstance(answer, Upgrade):
            assert self._streams is not None
            return await self._streams.serve(request, answer)
        return await self._stream(request, answer)

    async def _locked(self, work: Callable[[], T]) -> T:
        """Do something under the lock, not in the loop: who holds the lock for long keeps nobody from connecting."""

        def held() -> T:
            with self.lock:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._pool, held)

    async def _stream(self, request: web.Request, stream: Watch | LogStream) -> web.StreamResponse:
        from aiohttp import web

        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(changed.set)

        def look() -> tuple[bytes, bool]:
            return stream.take(), stream.done

        def expire() -> bytes:
            if isinstance(stream, Watch):
                stream.expire()
            return stream.take()

        stream.on_ready = wake
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = changed
        out = web.StreamResponse(status=stream.status, headers={"Content-Type": stream.content_type})
        out.headers["Cache-Control"] = "no-cache, private"
        deadline = loop.time() + stream.timeout if stream.timeout else None
        try:
            await out.prepare(request)
            assert self._stop is not None
            while not self._stop.is_set():
                changed.clear()
                data, done = await self._locked(look)
                if data:
                    await self._write(out, stream, data, changed)
                if done:
                    break
                wait = None
                if deadline is not None:
                    wait = deadline - loop.time()
                    if wait <= 0:
                        data = await self._locked(expire)
                        if data:
                            await out.write(data)
                        break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), wait)
            await out.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            if isinstance(stream, Watch) and stream.overrun:
                # Too slow: the connection is cut, and the client has to list again.
                self._cut(request)
        finally:
            stream.on_ready = None
            with contextlib.suppress(asyncio.CancelledError):
                await self._locked(stream.close)
            self._open.pop(task, None)
        return out

    async def _write(
        self, out: web.StreamResponse, stream: Watch | LogStream, data: bytes, changed: asyncio.Event
    ) -> None:
        """Send a piece of a stream; while the reader is slow, the stream is told so.

        Raises:
            ConnectionError: the reader is gone, or so slow that the stream gave it up.
        """
        for at in range(0, len(data), _PIECE):
            writing = asyncio.ensure_future(out.write(data[at : at + _PIECE]))
            waiting = asyncio.ensure_future(changed.wait())
            try:
                await asyncio.wait((writing,), timeout=0)
                while not writing.done() and isinstance(stream, Watch):
                    stream.slow = True
                    changed.clear()
                    if waiting.done():
                        waiting = asyncio.ensure_future(changed.wait())
                    await asyncio.wait((writing, waiting), return_when=asyncio.FIRST_COMPLETED)
                    if stream.overrun:
                        raise ConnectionResetError("the reader is too slow")
                await writing
            finally:
                changed.set()
                for task in (writing, waiting):
                    task.cancel()
                if isinstance(stream, Watch):
                    stream.slow = False

    @staticmethod
    def _cut(request: web.Request) -> None:
        transport: Any = request.transport
        if transport is not None:
            transport.abort()


def _refusal(code: int, reason: str, text: str) -> web.StreamResponse:
    """Return a refusal after which the connection ends: what is left of the request is not read."""
    from aiohttp import web

    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": text, "reason": reason,
        "code": code,
    }  # fmt: skip
    answer = web.json_response(status, status=code)
    answer.force_close()
    return answer


__all__ = ["BODY_LIMIT", "HttpError", "HttpFront", "exit_status"]
