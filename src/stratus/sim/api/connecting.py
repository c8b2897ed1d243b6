"""Getting into what runs: exec, attach, port-forward, and requests passed on to pods, Services and nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.sim.api.messages import Request, Response, Upgrade
from stratus.sim.api.resources import Resource
from stratus.sim.api.routing import Path, Query
from stratus.sim.api.status import ApiError, bad_request, internal
from stratus.sim.runtime import ExecResult
from stratus.sim.streams.attaching import Attached
from stratus.sim.streams.conversation import Command, Conversation, Interactive
from stratus.sim.streams.following import Follower, Line
from stratus.sim.streams.forwarding import HttpConversation, refused
from stratus.sim.streams.input import interpreter

if TYPE_CHECKING:
    from stratus.sim.api.server import Answer, ApiServer

Obj = dict[str, Any]


def container_names(spec: Obj) -> list[str]:
    """Return the names of all containers of a pod's spec."""
    groups = ("initContainers", "containers", "ephemeralContainers")
    return [c["name"] for g in groups for c in spec.get(g) or ()]


def container_status(pod: Obj, container: str) -> Obj | None:
    """Return the status of a container, None before it has one."""
    status = pod.get("status", {})
    for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(group) or ():
            if entry["name"] == container:
                return entry  # type: ignore[no-any-return]
    return None


def watched(server: ApiServer, pod: Obj, container: str) -> tuple[Follower, Callable[[], bool], Callable[[], bool]]:
    """Return what follows a container's present instance, whether that instance is there, and whether it runs."""
    meta = pod["metadata"]
    space, name, uid = meta["namespace"], meta["name"], meta["uid"]
    instance = (container_status(pod, container) or {}).get("containerID")

    def state() -> Obj | None:
        now = server.store.get("pods", space, name)
        if now is None or now["metadata"]["uid"] != uid:
            return None
        return container_status(now, container)

    def same() -> bool:
        found = state()
        return found is not None and found.get("containerID") == instance

    def alive() -> bool:
        found = state()
        return found is not None and same() and "running" in (found.get("state") or {})

    def read(before: bool, since: float | None) -> list[Line]:
        return server.log_lines(space, name, container, before, since) if state() is not None else []

    return Follower(read, same), alive, same


def _running(server: ApiServer, path: Path, query: Query) -> tuple[Obj, str]:
    """Return the pod and the name of the container that a client wants to get into.

    Raises:
        ApiError: there is none, or it does not run.
    """
    pod = server.rest.get(server.registry.find("", "v1", "pods"), path.namespace, path.name)  # type: ignore[arg-type]
    status = pod.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed"):
        raise bad_request(f"cannot exec into a container in a completed pod; current phase is {status['phase']}")
    container = query.get("container")
    names = container_names(pod["spec"])
    if container and container not in names:
        raise bad_request(f"container {container} is not valid for pod {path.name}")
    if not container:
        main = [c["name"] for c in pod["spec"].get("containers") or ()]
        if len(main) != 1:
            text = f"a container name must be specified for pod {path.name}, choose one of: [{' '.join(main)}]"
            raise bad_request(text)
        container = main[0]
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {path.name} does not have a host assigned")
    state = (container_status(pod, container) or {}).get("state") or {}
    if "running" not in state:
        raise internal(f'container not found ("{container}")')
    return pod, container


def _wanted(query: Query) -> Upgrade:
    """Return which streams a client wants."""
    wanted = Upgrade(
        stdin=query.flag("stdin"), stdout=query.flag("stdout"), stderr=query.flag("stderr"), tty=query.flag("tty")
    )
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return wanted


def exec_(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    """Answer a request to run a command in a container."""
    pod, container = _running(server, path, query)
    argv = query.all("command")
    if not argv:
        raise bad_request("you must specify at least 1 command for the container")
    wanted = _wanted(query)
    _connect_allowed(server, request, path, resource, query)

    def run(stdin: bytes) -> ExecResult:
        return server.exec_backend(path.namespace, path.name, container, argv, stdin)

    def open_() -> Conversation:
        waits = wanted.stdin
        if waits and interpreter(argv) and server.shells is not None:
            shell = server.shells(pod, container, argv)
            if shell is not None:
                return Interactive(shell, tty=wanted.tty)
            # There is no such program: that is found out at once, whatever input may come.
            waits = False
        return Command(argv, run, wanted=waits, tty=wanted.tty, exec_id=sandbox_of(pod, *argv))

    wanted.open, wanted.run = open_, run
    return wanted


def attach(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    """Answer a request to attach to a container's own process."""
    pod, container = _running(server, path, query)
    wanted = _wanted(query)
    _connect_allowed(server, request, path, resource, query)
    groups = ("containers", "initContainers", "ephemeralContainers")
    spec = next(c for g in groups for c in pod["spec"].get(g) or () if c["name"] == container)

    def open_() -> Conversation:
        follower, alive, _ = watched(server, pod, container)
        shell = None
        if wanted.stdin and spec.get("stdin") and server.shells is not None:
            shell = server.shells(pod, container, None)
        once = bool(spec.get("stdinOnce"))
        attached = Attached(follower, alive, shell, tty=bool(spec.get("tty")), once=once)
        attached.on_close = server.follow(attached)
        return attached

    wanted.open = open_
    return wanted


def forward(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    """Answer a request to forward ports of a pod."""
    pod = server.rest.get(resource, path.namespace, path.name)
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {path.name} does not have a host assigned")
    phase = pod.get("status", {}).get("phase")
    if phase != "Running":
        raise internal(f"pod not running: {phase}")
    _connect_allowed(server, request, path, resource, query)
    ports = []
    for text in ",".join(query.all("ports")).split(","):
        if text and not (text.isdecimal() and 0 < int(text) < 65536):
            raise bad_request(f'unable to parse "{text}" as a port: it is a number from 1 to 65535')
        if text:
            ports.append(int(text))

    def connect(port: int) -> HttpConversation | str:
        now = server.store.get("pods", path.namespace, path.name)
        if now is None or now["metadata"]["uid"] != pod["metadata"]["uid"]:
            return f"error forwarding port {port}: pod not found ({path.name}_{path.namespace})"
        ask = server.ports(now, port) if server.ports is not None else None
        return HttpConversation(ask) if ask is not None else refused(port, sandbox_of(now))

    return Upgrade(connect=connect, ports=tuple(ports))


def sandbox_of(pod: Obj, *more: str) -> str:
    """Return what a node calls a pod's sandbox (or something in it): 64 hexadecimal digits, always the same."""
    return hashlib.sha256("\0".join((pod["metadata"]["uid"], *more)).encode()).hexdigest()


def _connect_allowed(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query) -> None:
    """Let webhooks judge that somebody gets into a container.

    Raises:
        ApiError: one of them refuses.
    """
    kind = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}
    options: Obj = {"kind": kind[path.subresource], "apiVersion": "v1"}
    for name in ("stdin", "stdout", "stderr", "tty"):
        if query.flag(name):
            options[name] = True
    if query.get("container"):
        options["container"] = query.get("container")
    if query.all("command"):
        options["command"] = query.all("command")
    if query.all("ports"):
        options["ports"] = [int(p) for p in ",".join(query.all("ports")).split(",") if p.isdecimal()]
    server.gate.connect(resource, path.namespace, path.name, path.subresource, options)


# requests passed on


def _unreachable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", why)


def proxy(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    """Pass a request on to a pod, or to a pod behind a Service."""
    target, _, rest = request.target.partition("?")
    before, _, after = target.partition("/proxy")
    if not after:
        # Without the slash the links of what is served would lead astray.
        location = f"{before}/proxy/" + (f"?{rest}" if rest else "")
        return Response(301, body=b"", content_type="text/html; charset=utf-8", headers={"Location": location})
    scheme, name, port_text = _named(path.name)
    if resource.stored == "nodes":
        raise _unreachable(f"error trying to reach service: the kubelet of {name} serves nothing of its own here")
    if resource.stored == "services":
        pod, port = _behind(server, path.namespace, name, port_text)
    else:
        pod = server.rest.get(resource, path.namespace, name)
        port = _pod_port(pod, port_text)
    address = pod.get("status", {}).get("podIP", "")
    if not address:
        raise bad_request("address not allowed")
    ask = server.ports(pod, port) if server.ports is not None else None
    if ask is None:
        raise _unreachable(f"error trying to reach service: dial tcp {address}:{port}: connect: connection refused")
    reply = ask(request.method, after + (f"?{rest}" if rest else ""), request.body)
    if not reply.status:
        raise _unreachable(f"error trying to reach service: {'tls: ' if scheme == 'https' else ''}EOF")
    return Response(reply.status, body=reply.body, content_type=reply.content_type)


def _named(text: str) -> tuple[str, str, str]:
    """Return (scheme, name, port) of `[SCHEME:]NAME[:PORT]`.

    Raises:
        ApiError: 400 for another form.
    """
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) == 2:
        return "", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return parts[0], parts[1], parts[2]
    raise bad_request(f'invalid service request "{text}"')


def _pod_port(pod: Obj, text: str) -> int:
    if text.isdecimal():
        return int(text)
    declared = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if text:
        found = next((p for p in declared if p.get("name") == text), None)
    else:
        found = declared[0] if declared else None
    return int(found["containerPort"]) if found is not None else 80


def _behind(server: ApiServer, namespace: str, name: str, text: str) -> tuple[Obj, int]:
    """Return a ready pod behind a Service and the port there.

    Raises:
        ApiError: 404 without the Service, 503 without a port or pod.
    """
    services = server.registry.find("", "v1", "services")
    assert services is not None
    service = server.rest.get(services, namespace, name)
    ports = service["spec"].get("ports") or []
    if text:
        chosen = [p for p in ports if p.get("name") == text or str(p["port"]) == text]
    else:
        chosen = ports if len(ports) == 1 else [p for p in ports if not p.get("name")]
    if not chosen:
        raise _unreachable(f'no service port "{text}" found for service "{name}"')
    for piece in server.store.list("endpointslices.discovery.k8s.io", namespace):
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        numbers = [p["port"] for p in piece.get("ports") or () if p.get("name", "") == chosen[0].get("name", "")]
        for endpoint in piece.get("endpoints") or ():
            ref = endpoint.get("targetRef") or {}
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            pod = server.store.get("pods", namespace, ref.get("name", "")) if ref.get("kind") == "Pod" else None
            if ready and pod is not None and numbers:
                return pod, int(numbers[0])
    raise _unreachable(f'no endpoints available for service "{name}"')
