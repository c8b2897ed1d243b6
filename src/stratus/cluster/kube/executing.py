"""Running one command in a container over the official client's WebSocket; what became of it is never guessed."""

from __future__ import annotations

import json
import ssl
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from stratus.cluster.kube.answers import error_of, no_answer
from stratus.cluster.kube.channel import CONNECT_TIMEOUT, Channel
from stratus.cluster.kube.requests import check_segments
from stratus.cluster.writer import WRITE_SECONDS, CommandResult
from stratus.errors import ClusterError, ClusterUnreachable
from stratus.model.base import Json

GRACE = 2.0
"""Seconds beyond a command's own time limit until its answer is given up."""
_CONNECTING = threading.Lock()


class KubeExecutor:
    """A `ClusterExecutor`. One command is one connection, opened once."""

    def __init__(self, channel: Channel) -> None:
        self.__channel = channel

    def run(self, namespace: str, pod: str, container: str, argv: tuple[str, ...], stdin: str = "") -> CommandResult:
        """Run a command in a container and return what it wrote and its exit code."""
        check_segments(namespace, pod)
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        query += [("command", word) for word in argv]
        url = f"{quote(path, safe='/:')}?{urlencode(query)}"
        doing = f"exec in {namespace}/{pod} ({container}): {argv[0] if argv else ''}"
        client, headers, address = self.__channel.upgrade(url)
        direct = getattr(client.rest_client.pool_manager, "run_command", None)
        if direct is not None:  # an in-process server, which no WebSocket can lead to
            out, err, status, code = direct(address, stdin.encode())
            if code >= 400:
                raise error_of(code, status, doing=doing, changes=False)
        else:
            out, err, status = _converse(client.configuration, address, headers, stdin.encode(), doing)
        return _result(out, err, status, doing)


def _converse(configuration: Any, url: str, headers: Json, stdin: bytes, doing: str) -> tuple[bytes, bytes, Json]:
    from kubernetes.stream import ws_client

    client = _connected(configuration, ws_client.get_websocket_url(url), headers, doing)  # type: ignore[no-untyped-call]
    out, err, told = bytearray(), bytearray(), bytearray()
    places = ((ws_client.STDOUT_CHANNEL, out), (ws_client.STDERR_CHANNEL, err), (ws_client.ERROR_CHANNEL, told))
    until = time.monotonic() + WRITE_SECONDS + GRACE
    try:
        if stdin:
            client.write_channel(ws_client.STDIN_CHANNEL, stdin)
            client.close_channel(ws_client.STDIN_CHANNEL)
        while client.is_open() and not told and time.monotonic() < until:
            client.update(timeout=max(0.0, until - time.monotonic()))
            for channel, text in places:
                if channel in client._channels:
                    text += client.read_channel(channel)
        for channel, text in places:
            if channel in client._channels:
                text += client.read_channel(channel)
    except Exception as problem:
        raise no_answer(f"the connection broke: {' '.join(str(problem).split())}", doing=doing) from problem
    finally:
        _close(client)
    try:
        status = json.loads(bytes(told))
    except ValueError as problem:
        raise no_answer("the connection ended without saying how the command did", doing=doing) from problem
    return bytes(out), bytes(err), status


def _close(client: Any) -> None:
    """Say goodbye and let go of the socket, which the client keeps once the server has closed it."""
    with suppress(Exception):
        client.close()
    with suppress(Exception):
        client.sock.shutdown()


def _connected(configuration: Any, url: str, headers: Json, doing: str) -> Any:
    import websocket
    from kubernetes.stream import ws_client

    where = f"The Kubernetes API at {configuration.host}"
    with _CONNECTING:  # the time limit of connecting is a setting of the whole WebSocket library
        before = websocket.getdefaulttimeout()
        websocket.setdefaulttimeout(CONNECT_TIMEOUT)
        try:
            return ws_client.WSClient(configuration, url, headers, False, binary=True)  # type: ignore[no-untyped-call]
        except websocket.WebSocketBadStatusException as problem:
            body = problem.resp_body or b""
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
            # Refused before anything ran, whatever the number is.
            raise error_of(int(problem.status_code), _object(text), doing=doing, changes=False) from problem
        except (ConnectionRefusedError, ssl.SSLError, websocket.WebSocketAddressException) as problem:
            raise ClusterUnreachable(f"{where} cannot be reached: {' '.join(str(problem).split())}") from problem
        except Exception as problem:
            # The request may have been taken up, and only the answer to it be lost.
            raise no_answer(" ".join(str(problem).split()) or type(problem).__name__, doing=doing) from problem
        finally:
            websocket.setdefaulttimeout(before)


def _result(out: bytes, err: bytes, status: Json, doing: str) -> CommandResult:
    code = 0
    if status.get("status") != "Success":
        causes = (status.get("details") or {}).get("causes") or ()
        told = next((c.get("message") for c in causes if c.get("reason") == "ExitCode"), None)
        if told is None or not str(told).isdigit():
            said = str(status.get("message") or "it failed")
            raise ClusterError(f"{said} ({doing})", status=int(status.get("code") or 500), reason="InternalError")
        code = int(told)
    return CommandResult(out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), code)


def _object(text: str) -> Json | None:
    try:
        found = json.loads(text)
    except ValueError:
        return {"message": " ".join(text.split())[:300]} if text.strip() else None
    return found if isinstance(found, dict) else None
