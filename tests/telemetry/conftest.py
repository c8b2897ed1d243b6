"""Shared by the telemetry tests: a small HTTP server that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from stratus.telemetry.http import HttpSource


class Answering:
    """An HTTP server on loopback.

    Attributes:
        routes: path -> a JSON document, a text, (status, document), or a function of the query giving one of these.
        asked: what was asked, as (path, query, headers).
    """

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(url.query).items()}
                outer.asked.append((url.path, query, dict(self.headers)))
                answer = outer.routes.get(url.path, (404, {"error": "no such page"}))
                if isinstance(answer, Callable):  # type: ignore[arg-type]
                    answer = answer(query)
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.sources: list[HttpSource] = []

    def source(self, name: str = "Prometheus", path: str = "", **more: Any) -> HttpSource:
        """Return a source of this server, closed with it."""
        made = HttpSource(self.url + path, name=name, **more)
        self.sources.append(made)
        return made

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for made in self.sources:
            made.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A server that answers as it is told."""
    with Answering() as server:
        yield server
