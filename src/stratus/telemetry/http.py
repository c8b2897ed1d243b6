"""One GET to a telemetry service; whatever goes wrong is a `TelemetryUnreachable` of one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from stratus.errors import TelemetryUnreachable, UsageError
from stratus.kit.text import line

Query = Mapping[str, str | int | float | Sequence[str]]


class HttpSource:
    """A telemetry service at a base URL.

    Nothing is retried: a look at telemetry is cheap to repeat for the caller and misleading when it comes late.
    """

    def __init__(self, url: str, *, name: str, timeout: float = 10.0) -> None:
        """Name a service; nothing is sent.

        Args:
            url: base URL, with or without scheme and path prefix; `user:password@` is sent as basic authentication.
            name: what it is, such as `Prometheus`, for messages.
            timeout: seconds to wait for an answer; connecting is bounded by 5 s.

        Raises:
            UsageError: the URL cannot be used.
        """
        text = url.strip()
        text = text if "://" in text else f"http://{text}"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as problem:
            raise UsageError(f"The URL of {name} cannot be used: {line(url)}: {problem}") from problem
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"The URL of {name} cannot be used: {line(url)!r}. Write http://HOST:PORT")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.url = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
        self.name = name
        self._timeout = timeout
        self._auth = f"{parts.username}:{parts.password or ''}" if parts.username else ""
        self._pool: Any = None

    def get(self, path: str, query: Query | None = None) -> Any:
        """GET a JSON document.

        Raises:
            TelemetryUnreachable: no connection, no answer, an error answer, or something that is not JSON.
        """
        import urllib3
        from urllib3.exceptions import HTTPError

        if self._pool is None:
            self._pool = urllib3.PoolManager(retries=False, maxsize=2)
        headers = {"Accept": "application/json", "User-Agent": "stratus"}
        if self._auth:
            headers.update(urllib3.make_headers(basic_auth=self._auth))
        url = self.url + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        timeout = urllib3.Timeout(connect=min(5.0, self._timeout), read=self._timeout)
        try:
            answer = self._pool.request("GET", url, headers=headers, timeout=timeout)
        except (HTTPError, OSError) as problem:
            raise TelemetryUnreachable(f"{self.name} at {self.url} does not answer: {_said(problem)}") from problem
        if answer.status != 200:
            raise TelemetryUnreachable(
                f"{self.name} at {self.url} answered {path} with HTTP {answer.status}: {_message(answer.data)}"
            )
        try:
            return json.loads(answer.data)
        except ValueError as problem:
            raise TelemetryUnreachable(
                f"{self.name} at {self.url} answered {path} with something that is not JSON; check the URL"
            ) from problem

    def odd(self, path: str) -> TelemetryUnreachable:
        """Return the error for an answer of an unexpected form."""
        return TelemetryUnreachable(f"{self.name} at {self.url} answered {path} in an unknown form; check the URL")

    def close(self) -> None:
        """Close pooled connections."""
        if self._pool is not None:
            self._pool.clear()


def _said(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    return text.partition(": ")[2] or text if "object at 0x" in text else text


def _message(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return line(text, 200) or "no message"
    said = found.get("error") or found.get("message") if isinstance(found, dict) else None
    return line(str(said or text), 200)
