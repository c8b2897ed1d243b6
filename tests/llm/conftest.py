"""A tiny OpenAI-compatible server whose answers a test lays out, one a request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FakeOpenAI:
    """Serves /v1/chat/completions from a list of (status, body | text); the last one repeats."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.usage = True
        self.release = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                fake.requests.append(json.loads(self.rfile.read(length)))
                fake.keys.append(self.headers.get("Authorization", ""))
                index = min(len(fake.requests) - 1, len(fake.answers) - 1)
                status, body = fake.answers[index]
                if body == "HANG":
                    fake.release.wait(20)
                    status, body = 200, "late"
                payload = json.dumps(fake.complete(body) if status == 200 else {"error": body}).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(payload)))
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(payload)
                except OSError:
                    pass  # the client gave up waiting

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def complete(self, body: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": body if isinstance(body, str) else None}
        finish = "stop"
        if isinstance(body, dict):
            finish = body.pop("finish_reason", "stop")
            message |= body
        document: dict[str, Any] = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        }
        if self.usage:
            document["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return document

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def fake_openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server = FakeOpenAI()
    try:
        yield server
    finally:
        server.close()
