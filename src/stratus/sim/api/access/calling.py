"""Calls to programs outside the cluster, and their record: what they answered is an input like any other."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from stratus.errors import StratusError

Obj = dict[str, Any]
#: An answer larger than this is no judgement.
ANSWER_LIMIT = 4 * 1024 * 1024


class CallFailed(StratusError):
    """A webhook could not be asked; the text is what the server shows."""


@dataclass(frozen=True, slots=True)
class Called:
    """What was answered."""

    status: int
    body: bytes


class _Caller(Protocol):
    def __call__(self, url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called: ...


def call(url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called:
    """POST a body, really; `ca` (base64 of PEM) is who must have signed the server's certificate.

    Raises:
        CallFailed: the server cannot be reached, or is not who it should be.
    """
    import binascii
    import http.client
    import socket
    import ssl
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    sock: socket.socket | None = None
    try:
        sock = socket.create_connection((host, port), timeout=timeout)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if ca:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(cadata=base64.b64decode(ca).decode())
            sock = context.wrap_socket(sock, server_hostname=server_name or host)
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        connection.sock = sock
        path = parts.path or "/"
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Host": server_name or parts.netloc,
        }
        connection.request("POST", f"{path}?{parts.query}" if parts.query else path, body, headers)
        answer = connection.getresponse()
        data = answer.read(ANSWER_LIMIT + 1)
        if len(data) > ANSWER_LIMIT:
            raise CallFailed(f'Post "{url}": the answer is larger than {ANSWER_LIMIT} bytes')
        return Called(answer.status, data)
    except TimeoutError:
        raise CallFailed(f'Post "{url}": context deadline exceeded') from None
    except ssl.SSLCertVerificationError as error:
        raise CallFailed(f'Post "{url}": tls: failed to verify certificate: {error.verify_message}') from None
    except ConnectionRefusedError:
        raise CallFailed(f'Post "{url}": dial tcp {host}:{port}: connect: connection refused') from None
    except (OSError, http.client.HTTPException, binascii.Error, UnicodeDecodeError) as error:
        raise CallFailed(f'Post "{url}": {error}') from None
    finally:
        if sock is not None:
            sock.close()


class RecordedCalls:
    """Makes calls and notes their answers; what was noted before is answered from there, without a call.

    A cluster that is rebuilt from its inputs must not ask again: the other side may be gone, or think differently by
    now. Answers are found by what was asked, so one that was noted just before a crash fits whatever comes again.

    Args:
        note: writes one answer down, durably, before it takes effect.
        caller: makes the calls.
        away: what a call is made within; the lock is left to others there.

    Attributes:
        replayed: while an earlier life is played again: takes in what came before the answer to a question (by what
            was asked), and returns that answer; None when it was not noted any more.
    """

    def __init__(
        self,
        note: Callable[[Obj], None],
        caller: _Caller = call,
        away: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._note = note
        self._caller = caller
        self._away = away
        self._known: dict[str, list[Obj]] = {}
        self.replayed: Callable[[str], Obj | None] | None = None

    def remember(self, data: Obj) -> None:
        """Take in an answer noted in an earlier life."""
        self._known.setdefault(data["asked"], []).append(data)

    def forget(self) -> None:
        """From here on everything is asked afresh."""
        self._known.clear()

    def __call__(self, url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called:
        """Answer one call."""
        key = hashlib.sha256(url.encode() + b"\0" + body).hexdigest()
        known = self._known.get(key)
        data = known.pop(0) if known else self.replayed(key) if self.replayed is not None else None
        if data is None:
            try:
                with self._away():
                    called = self._caller(url, server_name, ca, body, timeout)
                shown = base64.b64encode(called.body).decode()
                data = {"asked": key, "status": called.status, "body": shown}
            except CallFailed as error:
                data = {"asked": key, "failed": str(error)}
            self._note(data)
        if "failed" in data:
            raise CallFailed(data["failed"])
        return Called(data["status"], base64.b64decode(data["body"]))
