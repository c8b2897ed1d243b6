"""The control endpoint of a served cluster: loopback only, one secret, JSON in and out; not in the Kubernetes API."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from stratus.errors import StratusError, UnreachableError, UsageError
from stratus.sim.commanding import Commands

#: What a control file's name ends in.
SUFFIX = ".control.json"
_BODY = 1024 * 1024
#: Seconds a command may take: advancing by days is work.
PATIENCE = 600.0


class NotServed(UnreachableError):
    """The cluster that a control file tells of does not answer."""


class ControlFront:
    """Serves `Commands` on a port of the loopback interface; a context manager.

    Every request is `POST /v1/VERB` with a JSON body and the token as bearer; answers are JSON, and errors are
    `{"error": text, "kind": "usage" | "unknown"}`.
    """

    def __init__(self, commands: Commands) -> None:
        self.token = secrets.token_urlsafe(32)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(commands, self.token))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="stratus-control", daemon=True
        )

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> ControlFront:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, path: Path, told: dict[str, Any]) -> None:
        """Write the control file: for its owner only, whole or not at all.

        Raises:
            UsageError: it cannot be written.
        """
        text = json.dumps({"control": self.port, "token": self.token, "pid": os.getpid(), **told}, indent=2) + "\n"
        write_private(path, text, "control file beside the kubeconfig")


def write_private(path: Path, text: str, what: str) -> None:
    """Put a file in place whole and for nobody else's eyes: who waits for it may use it as soon as it is there.

    Raises:
        UsageError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"the {what} cannot be written to {path} ({error.strerror})") from error


def _handler(commands: Commands, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            given = self.headers.get("Authorization", "")
            length = self.headers.get("Content-Length", "")
            if not hmac.compare_digest(given.encode("latin-1", "replace"), f"Bearer {token}".encode()):
                return self._answer(401, {"error": "the token is not the one of the control file", "kind": "usage"})
            if not length.isdecimal() or int(length) > _BODY:
                return self._answer(413, {"error": f"a body of at most {_BODY} bytes is needed", "kind": "usage"})
            root, _, verb = self.path.removeprefix("/").partition("/")
            if root != "v1" or not verb:
                return self._answer(404, {"error": f"no {self.path}; commands are /v1/VERB", "kind": "usage"})
            try:
                data = json.loads(self.rfile.read(int(length)) or b"{}")
            except (ValueError, RecursionError):
                return self._answer(400, {"error": "the body is no JSON", "kind": "usage"})
            try:
                return self._answer(200, commands.call(verb, data))
            except UsageError as error:
                return self._answer(400, {"error": str(error), "kind": "usage"})
            except StratusError as error:
                return self._answer(400, {"error": str(error), "kind": "unknown"})
            except Exception as error:
                return self._answer(500, {"error": f"unexpected {type(error).__name__}: {error}", "kind": "unknown"})

        def _answer(self, status: int, data: dict[str, Any]) -> None:
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    return Handler


class RemoteCommands:
    """The commands of a cluster that another process serves.

    Args:
        path: its control file.

    Raises:
        UsageError: the file cannot be read or is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            self.port, self.token = int(told["control"]), str(told["token"])
        except OSError as error:
            raise UsageError(f"the control file {path} cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path} is no control file of `stratus cluster up`") from None
        self.told: dict[str, Any] = {k: v for k, v in told.items() if k != "token"}

    def call(self, verb: str, data: Any) -> dict[str, Any]:
        """Carry out one command.

        Raises:
            NotServed: the cluster does not answer.
            UsageError, StratusError: as it says.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request("POST", f"/v1/{verb}", json.dumps(data), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotServed(
                f"the cluster of {self.path} does not answer ({error}): start it again with `stratus cluster up`, "
                "and remove the file if it was left behind"
            ) from None
        finally:
            connection.close()
        if answer.status == 200 and isinstance(found, dict):
            return found
        text = str(found.get("error", answer.status))
        raise (UsageError if found.get("kind") == "usage" else StratusError)(text)


__all__ = ["SUFFIX", "ControlFront", "NotServed", "RemoteCommands", "write_private"]
