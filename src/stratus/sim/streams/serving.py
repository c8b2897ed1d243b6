"""Carries conversations with containers over WebSockets and SPDY, in the loop of the HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stratus.sim.streams import channels, spdy
from stratus.sim.streams.conversation import Conversation
from stratus.sim.streams.forwarding import HttpConversation

if TYPE_CHECKING:
    from aiohttp import web

    from stratus.sim.api.messages import Upgrade

T = TypeVar("T")
Locked = Callable[[Callable[[], T]], Awaitable[T]]
#: Bytes of output in one message.
PIECE = 64 * 1024
#: Largest message a client may send.
MESSAGE_LIMIT = 3 * 1024 * 1024
SPDY = "SPDY/3.1"
#: Seconds to wait for the other side's goodbye.
CLOSING = 2.0
#: What is spoken on the streams of SPDY.
_COMMANDS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_FORWARD = "portforward.k8s.io"


class Wire:
    """A connection: messages in, messages out."""

    def messages(self) -> AsyncIterator[bytes | str]:
        """Yield what the client sends until it is gone."""
        raise NotImplementedError

    async def send(self, message: bytes | str) -> None:
        """Send one message; waits while the client is slow."""
        raise NotImplementedError


class SocketWire(Wire):
    """A WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def messages(self) -> AsyncIterator[bytes | str]:
        """Yield what the client sends until it is gone."""
        from aiohttp import WSMsgType

        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            yield message.data

    async def send(self, message: bytes | str) -> None:
        """Send one message."""
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)


class Streams:
    """Serves what a request was upgraded to.

    Args:
        locked: runs a function while it holds the cluster's lock, not in the loop.
        stopping: set when the server ends.
    """

    def __init__(self, locked: Callable[[Callable[[], Any]], Awaitable[Any]], stopping: asyncio.Event) -> None:
        self._locked = locked
        self._stopping = stopping

    async def serve(self, request: web.Request, upgrade: Upgrade) -> web.StreamResponse:
        """Answer a request that asks for streams."""
        from aiohttp import web

        wanted = request.headers.get("Upgrade", "").lower()
        if "upgrade" not in request.headers.get("Connection", "").lower() or wanted not in ("websocket", "spdy/3.1"):
            text = f"unable to upgrade: missing upgrade headers in request: {_plain_headers(request)}"
            status = {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": text,
                "reason": "BadRequest", "code": 400,
            }  # fmt: skip
            return web.json_response(status, status=400)
        if wanted == "spdy/3.1":
            return await self._raw(request, upgrade)
        asked = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        if upgrade.connect is not None and channels.TUNNEL in asked:
            return await self._tunnel(request, upgrade)
        known = channels.PORT_FORWARD if upgrade.connect is not None else channels.REMOTE_COMMAND
        dialect = channels.negotiate(known, asked)
        if dialect is None:
            return web.Response(status=403)
        names = (dialect.name,) if dialect.name else ()
        socket = web.WebSocketResponse(protocols=names, max_msg_size=MESSAGE_LIMIT, timeout=CLOSING)
        await socket.prepare(request)
        wire = SocketWire(socket)
        with contextlib.suppress(ConnectionError):
            if upgrade.connect is not None:
                await self._forward_channels(wire, dialect, upgrade)
            else:
                await self._command_channels(wire, dialect, upgrade)
            await socket.close()
        return socket

    # exec and attach

    async def _command_channels(self, wire: Wire, dialect: channels.Dialect, upgrade: Upgrade) -> None:
        async def receive(conversation: Conversation) -> None:
            async for message in wire.messages():
                found = dialect.read(message)
                if found is None:
                    continue
                channel, data = found
                if channel == channels.STDIN and upgrade.stdin:
                    if data:
                        await self._locked(lambda data=data: conversation.feed(data))  # type: ignore[misc]
                elif channel == channels.RESIZE:
                    await self._locked(lambda data=data: conversation.resize(data))  # type: ignore[misc]
                elif channel == channels.CLOSE and dialect.closes and data == bytes([channels.STDIN]):
                    await self._locked(conversation.end)

        async def send(channel: int, data: bytes) -> None:
            if (channel == channels.STDOUT and not upgrade.stdout) or (
                channel == channels.STDERR and not upgrade.stderr
            ):
                return
            await wire.send(dialect.write(channel, data))

        status = await self._converse(upgrade, receive, send)
        if status is None:
            return
        if dialect.status:
            await wire.send(dialect.write(channels.ERROR, json.dumps(status).encode()))
        elif status["status"] != "Success":
            await wire.send(dialect.write(channels.ERROR, status["message"].encode()))

    async def _converse(
        self,
        upgrade: Upgrade,
        receive: Callable[[Conversation], Awaitable[None]],
        send: Callable[[int, bytes], Awaitable[None]],
    ) -> dict[str, Any] | None:
        """Let client and container talk until one of them ends; return the Status to tell a client still there."""
        assert upgrade.open is not None
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        opened: Conversation = await self._locked(upgrade.open)

        def wake() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ready.set)

        async def sending() -> dict[str, Any]:
            while True:
                ready.clear()
                out, status = await self._locked(lambda: (opened.take(), opened.status))
                for channel, data in out:
                    for at in range(0, len(data), PIECE):
                        await send(channel, data[at : at + PIECE])
                if status is not None:
                    return dict(status)
                await ready.wait()

        await self._locked(opened.begin)
        opened.on_ready = wake
        feeding = _Waking(opened, wake)
        reader = asyncio.ensure_future(receive(feeding))
        writer = asyncio.ensure_future(sending())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((reader, writer, stop), return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                return writer.result()
            if reader.done():
                with contextlib.suppress(ConnectionError):
                    reader.result()
            return None
        finally:
            opened.on_ready = None
            for task in (reader, writer, stop):
                task.cancel()
            await asyncio.gather(reader, writer, stop, return_exceptions=True)
            if opened.status is None and not self._stopping.is_set():
                # The client is gone: what reads its input to the end has now all of it.
                await self._locked(opened.end)
            await self._locked(opened.close)

    # port-forward over channels

    async def _forward_channels(self, wire: Wire, dialect: channels.Dialect, upgrade: Upgrade) -> None:
        assert upgrade.connect is not None
        connect, ports = upgrade.connect, upgrade.ports
        links: dict[int, HttpConversation] = {}
        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                await wire.send(dialect.write(channel, port.to_bytes(2, "little")))
            link = await self._locked(lambda port=port: connect(port))  # type: ignore[misc]
            if isinstance(link, str):
                await wire.send(dialect.write(2 * number + 1, link.encode()))
            else:
                links[2 * number] = link
        if not links:
            return

        async def receive() -> None:
            async for message in wire.messages():
                found = dialect.read(message)
                if found is None or found[0] not in links:
                    continue
                channel, data = found
                link = links[channel]
                out = await self._locked(lambda link=link, data=data: link.feed(data))  # type: ignore[misc]
                for at in range(0, len(out), PIECE):
                    await wire.send(dialect.write(channel, out[at : at + PIECE]))
                if link.closed:
                    del links[channel]
                    if not links:
                        return

        await self._until_stop(receive())

    async def _until_stop(self, work: Any) -> None:
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    # SPDY, in a WebSocket or bare

    async def _tunnel(self, request: web.Request, upgrade: Upgrade) -> web.StreamResponse:
        from aiohttp import web

        socket = web.WebSocketResponse(protocols=(channels.TUNNEL,), max_msg_size=MESSAGE_LIMIT, timeout=CLOSING)
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            await self._spdy(SocketWire(socket), upgrade)
            await socket.close()
        return socket

    async def _raw(self, request: web.Request, upgrade: Upgrade) -> web.StreamResponse:
        from aiohttp import web

        from stratus.sim.streams.hijack import Hijacked, Taken

        asked = ",".join(request.headers.getall("X-Stream-Protocol-Version", [])).replace(" ", "").split(",")
        known = (_FORWARD,) if upgrade.connect is not None else _COMMANDS
        chosen = next((p for p in asked if p in known), None)
        if chosen is None:
            if asked != [""]:
                text = f"unable to negotiate protocol: client supports {asked}, server supports {list(known)}"
                return web.Response(status=403, text=text)
            chosen = known[-1]
        wire = Hijacked(request)
        await wire.switch({"X-Stream-Protocol-Version": chosen})
        try:
            with contextlib.suppress(ConnectionError):
                await self._spdy(wire, upgrade, chosen)
        finally:
            wire.close()
        return Taken()

    async def _spdy(self, wire: Wire, upgrade: Upgrade, protocol: str = _FORWARD) -> None:
        work = _Forwarding(self, wire, upgrade) if upgrade.connect is not None else _Commanding(self, wire, upgrade)
        with contextlib.suppress(spdy.SpdyError):
            await self._until_stop(work.run(protocol))
        await wire.send(work.goodbye())


class _Waking(Conversation):
    """Passes input on, and wakes whoever sends the output."""

    def __init__(self, inner: Conversation, wake: Callable[[], None]) -> None:
        super().__init__()
        self._inner = inner
        self._wake = wake

    def feed(self, data: bytes) -> None:
        """Pass input on."""
        self._inner.feed(data)
        self._wake()

    def end(self) -> None:
        """Pass the end on."""
        self._inner.end()
        self._wake()

    def resize(self, data: bytes) -> None:
        """Pass the size on."""
        self._inner.resize(data)


class _Framed:
    """SPDY frames on a wire."""

    def __init__(self, streams: Streams, wire: Wire, upgrade: Upgrade) -> None:
        self.locked = streams._locked
        self.streams = streams
        self.wire = wire
        self.upgrade = upgrade
        self.session = spdy.SpdySession()

    async def flush(self) -> None:
        """Send what waits."""
        if self.session.outgoing:
            await self.wire.send(self.session.drain())

    def goodbye(self) -> bytes:
        """Return the last bytes."""
        self.session.go_away()
        return self.session.drain()

    async def events(self) -> AsyncIterator[spdy.Event]:
        """Yield what the client does, until it goes."""
        async for message in self.wire.messages():
            data = message.encode("latin-1", "replace") if isinstance(message, str) else message
            for event in self.session.receive(data):
                if isinstance(event, spdy.Gone):
                    return
                yield event
            await self.flush()


class _Forwarding(_Framed):
    """Forwarded ports: a data stream and an error stream for each connection."""

    async def run(self, protocol: str) -> None:
        """Serve until the client goes."""
        connect = self.upgrade.connect
        assert connect is not None
        #: Streams of a connection (error, data) by its number, and the connections by their data streams.
        pairs: dict[str, dict[str, int]] = {}
        links: dict[int, tuple[HttpConversation, int]] = {}
        async for event in self.events():
            if isinstance(event, spdy.Opened):
                kind, port = event.headers.get("streamtype", ""), event.headers.get("port", "")
                number = event.headers.get("requestid", port)
                if kind not in ("data", "error") or not port.isdecimal() or not 0 < int(port) < 65536:
                    self.session.reset(event.stream, spdy.REFUSED_STREAM)
                    continue
                self.session.accept(event.stream)
                pair = pairs.setdefault(number, {})
                pair[kind] = event.stream
                if len(pair) == 2:
                    del pairs[number]
                    link = await self.locked(lambda port=int(port): connect(port))  # type: ignore[misc]
                    if isinstance(link, str):
                        self.session.send(pair["error"], link.encode(), finish=True)
                        self.session.finish(pair["data"])
                    else:
                        links[pair["data"]] = (link, pair["error"])
            elif isinstance(event, spdy.Data) and event.stream in links:
                link, error = links[event.stream]
                out = await self.locked(lambda link=link, data=event.data: link.feed(data))  # type: ignore[misc]
                self.session.send(event.stream, out)
                if event.finished:
                    link.end()
                if link.closed:
                    del links[event.stream]
                    self.session.finish(event.stream)
                    self.session.finish(error)
            elif isinstance(event, spdy.Reset):
                links.pop(event.stream, None)
            await self.flush()


class _Commanding(_Framed):
    """A command: streams for its input and outputs, its errors, and the size of a terminal."""

    async def run(self, protocol: str) -> None:
        """Serve one command."""
        wanted = {"error"} | {n for n in ("stdin", "stdout", "stderr") if getattr(self.upgrade, n)}
        if self.upgrade.tty:
            wanted.discard("stderr")
            if protocol in _COMMANDS[:2]:
                wanted.add("resize")
        have: dict[str, int] = {}
        ended: set[int] = set()
        source = self.events()
        async for event in source:
            if isinstance(event, spdy.Opened):
                kind = event.headers.get("streamtype", "")
                if kind not in wanted or kind in have:
                    self.session.reset(event.stream, spdy.REFUSED_STREAM)
                    continue
                self.session.accept(event.stream)
                have[kind] = event.stream
                if event.finished:
                    ended.add(event.stream)
            elif isinstance(event, spdy.Data) and event.finished:
                ended.add(event.stream)
            if wanted <= set(have):
                break
        else:
            return
        await self.flush()

        async def receive(conversation: Conversation) -> None:
            stdin, resize = have.get("stdin"), have.get("resize")
            if stdin in ended:
                await self.locked(conversation.end)
            async for event in source:
                if isinstance(event, spdy.Data) and event.stream == stdin:
                    if event.data:
                        await self.locked(lambda data=event.data: conversation.feed(data))  # type: ignore[misc]
                    if event.finished:
                        await self.locked(conversation.end)
                elif isinstance(event, spdy.Data) and event.stream == resize and event.data:
                    await self.locked(lambda data=event.data: conversation.resize(data))  # type: ignore[misc]
                await self.flush()

        async def send(channel: int, data: bytes) -> None:
            name = "stdout" if channel == channels.STDOUT else "stderr"
            if name in have:
                self.session.send(have[name], data)
                await self.flush()

        status = await self.streams._converse(self.upgrade, receive, send)
        if status is None:
            return
        text = json.dumps(status) if protocol == _COMMANDS[0] else status.get("message", "")
        self.session.send(have["error"], text.encode(), finish=True)
        for name in ("stdout", "stderr"):
            if name in have:
                self.session.finish(have[name])
        await self.flush()
        # The client closes when it has read everything.
        async for _ in source:
            pass


def _plain_headers(request: web.Request) -> dict[str, str]:
    return {k: v for k, v in request.headers.items() if k.lower() in ("connection", "upgrade")}
