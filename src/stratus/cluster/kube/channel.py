"""One HTTP exchange with the API server through the official client's request path, typed errors included."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from stratus.cluster.kube.answers import error_of, no_answer
from stratus.errors import ClusterUnreachable, InDoubt
from stratus.model.base import Json

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection; an API server that is there answers in milliseconds."""

_HANDSHAKE = ("certificate", "hostname", "handshake", "wrong_version", "unknown_ca", "wrong version", "unsupported")


@dataclass(frozen=True)
class Answer:
    """A good answer.

    Attributes:
        status: HTTP status, 2xx.
        content_type: as served.
        data: the body.
        doing: the request in words, for errors about the body.
    """

    status: int
    content_type: str
    data: bytes
    doing: str

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")


class Channel:
    """Requests with one identity; every failure is one of Stratus' own exceptions.

    Nothing that could change something is ever retried: where the client's own pool would retry or redirect, a pool of
    the same configuration without either is made instead, so that the caller's client stays as it is.
    """

    def __init__(self, api_client: Any, *, timeout: float) -> None:
        self._client, self._owned = _quiet(api_client)
        self._timeout = (min(CONNECT_TIMEOUT, timeout), timeout)

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._client.configuration.host).rstrip("/")

    def close(self) -> None:
        """Close pooled connections, if they are ours."""
        if self._owned:
            self._client.rest_client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        changes: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and return its good answer.

        Args:
            method: HTTP method.
            path: path below the server's address; parts are quoted here.
            query: query parameters.
            body: JSON body.
            content_type: of the body.
            accept: wanted media types.
            changes: whether the request could change something; decides between unreachable and in doubt.
            timeout: seconds to wait for the answer; None: the channel's own.

        Raises:
            ClusterUnreachable: no connection, or a read that was not answered.
            InDoubt: a change that was sent and not answered, or answered by a failure of the server.
            ClusterError: any other error answer.
        """
        doing = f"{method} {path}"
        headers = {"Accept": accept, "User-Agent": "stratus"}
        if body is not None:
            headers["Content-Type"] = content_type
        url = quote(path, safe="/:@+,~") + (f"?{urlencode(query)}" if query else "")
        wait = self._timeout if timeout is None else (self._timeout[0], timeout)
        try:
            method, url, headers, _, _ = self._client.param_serialize(
                method, url, header_params=headers, auth_settings=["BearerToken"]
            )
            headers.update({"Accept": accept, "User-Agent": "stratus"})
            answer, data = self._exchange(method, url, headers, body, wait)
        except Exception as problem:
            raise self._translated(problem, doing=doing, changes=changes) from problem
        status = int(answer.status)
        if 200 <= status < 300:
            return Answer(status, str(answer.headers.get("Content-Type") or ""), data, doing)
        raise error_of(status, _status_object(data), doing=doing, changes=changes)

    def _exchange(self, method: str, url: str, headers: Any, body: Any, wait: tuple[float, float]) -> tuple[Any, bytes]:
        from urllib3.exceptions import ProtocolError

        for last in (method != "GET", True):
            try:
                answer = self._client.call_api(method, url, headers, body, None, _request_timeout=wait)
                return answer, answer.read() or b""
            except ProtocolError:
                if last:  # a GET may have met a pooled connection that the server had just closed
                    raise
        raise AssertionError("unreachable")

    def upgrade(self, url: str) -> tuple[Any, dict[str, str], str]:
        """Return the client, the headers and the whole address for a request that asks for streams.

        Args:
            url: path and query below the server's address, quoted.
        """
        _, address, headers, _, _ = self._client.param_serialize("GET", url, auth_settings=["BearerToken"])
        return self._client, {**headers, "User-Agent": "stratus"}, address

    def json(self, method: str, path: str, *, changes: bool = False, **more: Any) -> Json:
        """As `call`, reading the body as a JSON object."""
        answer = self.call(method, path, changes=changes, **more)
        try:
            found = json.loads(answer.data)
        except ValueError as problem:
            if changes:
                raise no_answer("the answer is not JSON", doing=answer.doing) from problem
            raise ClusterUnreachable(
                f"{self.server} does not answer like a Kubernetes API server: {answer.text[:80]!r} is not JSON. "
                f"Check the server's address in the kubeconfig ({answer.doing})"
            ) from problem
        if not isinstance(found, dict):
            raise ClusterUnreachable(f"{self.server} answered {answer.doing} with something that is not an object")
        return found

    def _translated(self, problem: Exception, *, doing: str, changes: bool) -> Exception:
        """Say what a failed exchange means; never returns for what is not a transport failure."""
        from urllib3 import exceptions as u

        from stratus.errors import StratusError

        if isinstance(problem, StratusError):
            return problem
        while isinstance(problem, u.MaxRetryError) and isinstance(problem.reason, Exception):
            problem = problem.reason
        text = _one_line(problem)
        where = f"The Kubernetes API at {self.server}"
        if isinstance(problem, u.NewConnectionError | u.ConnectTimeoutError | u.ProxyError | ConnectionRefusedError):
            return ClusterUnreachable(f"{where} cannot be reached: {text}. Check its address and the network")
        if isinstance(problem, u.LocationValueError | u.LocationParseError | u.URLSchemeUnknown):
            return ClusterUnreachable(f"{where} has no usable address: {text}. Check `server` in the kubeconfig")
        tls = isinstance(problem, u.SSLError) or (
            type(problem).__name__ == "ApiException" and getattr(problem, "status", None) == 0
        )
        if tls and any(word in text.lower() for word in _HANDSHAKE):
            return ClusterUnreachable(
                f"{where} cannot be trusted or does not trust us: {text}. "
                "Check certificate-authority and client certificate in the kubeconfig"
            )
        transport = tls or isinstance(problem, u.HTTPError | OSError)
        if not transport:
            raise problem
        if changes:
            return no_answer(text, doing=doing)
        return ClusterUnreachable(f"{where} does not answer: {text} ({doing})")


def _quiet(api_client: Any) -> tuple[Any, bool]:
    """Return a client that neither retries nor redirects, and whether it is ours to close."""
    import urllib3

    pool = api_client.rest_client.pool_manager
    if not isinstance(pool, urllib3.PoolManager):
        return api_client, False  # an in-process transport: it has nothing to retry
    configuration = copy.copy(api_client.configuration)
    configuration.retries = False
    configuration.client_go_retries = False
    client = type(api_client)(configuration=configuration)
    client.default_headers = dict(api_client.default_headers)
    client.cookie = api_client.cookie
    return client, True


def _one_line(problem: Exception) -> str:
    reason = getattr(problem, "reason", None)
    text = str(reason if isinstance(reason, str) and reason else problem)
    text = " ".join(text.split())
    # urllib3 puts the repr of a connection object in front of what happened
    return text.split("object at 0x")[-1].partition(": ")[2] or text if "object at 0x" in text else text


def _status_object(data: bytes) -> Json | None:
    try:
        found = json.loads(data)
    except ValueError:
        text = " ".join(data.decode("utf-8", "replace").split())[:300]
        return {"message": text} if text else None
    return found if isinstance(found, dict) else None


__all__ = ["CONNECT_TIMEOUT", "Answer", "Channel", "InDoubt"]
