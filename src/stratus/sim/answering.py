"""What processes of containers answer: probes over the network and by command, and requests for files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.sim.processes import HttpReply
from stratus.sim.runtime import ExecResult, ProbeResult
from stratus.sim.shell import Outcome
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.containerworld import ContainerWorld
    from stratus.sim.generic import GenericRuntime


def port_of(container: Obj, value: Any) -> int | None:
    """Return the port that a probe means by a number or a name."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isdigit():
        return int(value)
    for declared in container.get("ports") or ():
        if declared.get("name") == value:
            return int(declared["containerPort"])
    return None


def by_network(
    runtime: GenericRuntime, pod: Obj, container: Obj, probe: Obj, listener_of: Callable[[Obj, int], Obj | None]
) -> ProbeResult:
    """Answer a probe that asks over the network."""
    ip = pod.get("status", {}).get("podIP") or "127.0.0.1"
    seconds = probe.get("timeoutSeconds") or 1
    for kind in ("httpGet", "tcpSocket", "grpc"):
        if probe.get(kind) is not None:
            action, found = kind, probe[kind]
            break
    else:
        return ProbeResult(True)
    port = port_of(container, found.get("port"))
    if port is None:
        return ProbeResult(False, f"couldn't find port: {found.get('port')}")
    host = found.get("host") or ip
    listener = listener_of(pod, port)
    refused = f"dial tcp {host}:{port}: connect: connection refused"
    if action == "tcpSocket":
        return ProbeResult(True) if listener is not None else ProbeResult(False, refused)
    if action == "grpc":
        # A plain web server does not get through the handshake.
        plain = listener is not None and runtime.registry.is_described(listener["image"])
        if listener is not None and not (plain and runtime.behaviour(listener).http):
            return ProbeResult(True)
        return ProbeResult(
            False,
            f'timeout: failed to connect service "{host}:{port}" within {seconds}s: context deadline exceeded',
        )
    scheme = (found.get("scheme") or "HTTP").lower()
    path = found.get("path") or "/"
    path = path if path.startswith("/") else f"/{path}"
    url = f"{scheme}://{host}:{port}{path}"
    if listener is None:
        return ProbeResult(False, f'Get "{url}": {refused}')
    if scheme == "https" and port not in (443, 8443, 6443, 9443, 10250):
        return ProbeResult(False, f'Get "{url}": http: server gave HTTP response to HTTPS client')
    reply = runtime.http(pod, listener, port, "GET", path)
    if not reply.status:
        return ProbeResult(False, f'Get "{url}": EOF')
    if 200 <= reply.status < 400:
        return ProbeResult(True)
    return ProbeResult(False, f"HTTP probe failed with statuscode: {reply.status}")


def unanswered(pod: Obj, container: Obj, probe: Obj) -> str:
    """Return what a probe over the network finds whose packets nobody takes, empty for one that runs a command."""
    host, seconds = pod.get("status", {}).get("podIP") or "127.0.0.1", probe.get("timeoutSeconds") or 1
    for kind in ("httpGet", "tcpSocket", "grpc"):
        found = probe.get(kind)
        if found is None:
            continue
        where = f"{found.get('host') or host}:{port_of(container, found.get('port'))}"
        if kind == "tcpSocket":
            return f"dial tcp {where}: i/o timeout"
        if kind == "grpc":
            return f'timeout: failed to connect service "{where}" within {seconds}s: context deadline exceeded'
        url = f"{(found.get('scheme') or 'HTTP').lower()}://{where}/{(found.get('path') or '/').lstrip('/')}"
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    return ""


def by_command(runtime: GenericRuntime, pod: Obj, probe: Obj, outcome: Outcome | ExecResult) -> ProbeResult:
    """Answer a probe that ran a command, from what the command did."""
    argv = probe["exec"].get("command") or []
    seconds = float(probe.get("timeoutSeconds") or 1)
    if isinstance(outcome, ExecResult):
        # The runtime could not even start the command: that counts neither way.
        number = hashlib.sha256(f"{pod['metadata']['uid']} {argv} {runtime.now()}".encode()).hexdigest()
        start = f'rpc error: code = Unknown desc = failed to exec in container: failed to start exec "{number}": '
        return ProbeResult(False, start + outcome.stderr.strip(), errored=True)
    if outcome.exit_code is None or outcome.elapsed > seconds:
        shown = f"{int(seconds)}s"
        return ProbeResult(False, f'command timed out: "{" ".join(argv)}" timed out after {shown}')
    text = "".join(t for _, _, t in outcome.lines)
    return ProbeResult(outcome.exit_code == 0, text)


def static(world: ContainerWorld, root: str, path: str, *, listing: bool) -> HttpReply:
    """Answer a request for a file."""
    target = f"{root.rstrip('/')}/{path.lstrip('/')}".rstrip("/") or "/"
    text = world.read(target)
    if text is None and world.is_dir(target):
        text = world.read(f"{target.rstrip('/')}/index.html")
        if text is None and listing:
            text = "".join(f"<li>{name}</li>\n" for name in world.list_dir(target))
    if text is None:
        return HttpReply(404, "404 Not Found\n")
    return HttpReply(200, text)
