"""The telemetry protocols on the network: plain HTTP on a loopback address, in threads of its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from stratus.errors import StratusError

if TYPE_CHECKING:
    from types import TracebackType

    from stratus.sim.telemetry.served.routes import TelemetryApi

#: Bytes of a request's body, and seconds to wait for the rest of a request.
MOST, PATIENCE = 1024 * 1024, 20.0


class TelemetryFrontError(StratusError):
    """The front could not be started."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server

    def _serve(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > MOST:
            self.send_error(413 if length.isdigit() else 400)
            return
        body = self.rfile.read(int(length))
        reply = self.server.api.handle(self.command, self.path, body, self.headers.get("Content-Type") or "")
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = _serve

    def log_message(self, *_: Any) -> None:
        """Say nothing: whoever asks knows."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A port that was just free is free again.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], api: TelemetryApi) -> None:
        self.api = api
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class TelemetryFront:
    """Serves a `TelemetryApi`; a context manager.

    Args:
        api: what answers.
        host: address to listen on; anything but a loopback address is refused.
        port: TCP port, 0 for a free one.
    """

    def __init__(self, api: TelemetryApi, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.api = api
        self.host = host
        self.port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the base address of all protocols."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> TelemetryFront:
        """Start serving; returns when connections are accepted.

        Raises:
            TelemetryFrontError: when the address cannot be used.
        """
        if self.host not in ("127.0.0.1", "localhost"):
            raise TelemetryFrontError(
                f"refusing to listen on {self.host}: the telemetry of an embedded cluster is served on loopback only"
            )
        try:
            self._server = _Server((self.host, self.port), self.api)
        except OSError as error:
            raise TelemetryFrontError(
                f"cannot serve telemetry on {self.host}:{self.port}: {error.strerror}; choose another port"
            ) from error
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="stratus-telemetry", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """End the server; returns when its thread has ended."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> TelemetryFront:
        return self if self._server is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
