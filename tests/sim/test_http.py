"""The API on the network: TLS, identities, watches that end, exec frames, limits, and a clean end."""

import asyncio
import base64
import io
import json
import random
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import yaml

from stratus.kit.clock import VirtualClock
from stratus.sim.api import ApiServer, Request
from stratus.sim.http import BODY_LIMIT, HttpError, HttpFront, exit_status
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Store
from stratus.sim.tls import make_identity, subject

CORE = "/api/v1/namespaces/default"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    def run(namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        if argv == ["false"]:
            return ExecResult(stderr="no\n", exit_code=3)
        return ExecResult(stdout=" ".join(argv) + stdin.decode())

    clock, rng = VirtualClock(1767603600.0), random.Random(2)
    server = ApiServer(Store(clock, rng), clock, rng=rng, exec_backend=run, log_backend=lambda *a: "line\n")
    server.create("namespaces", {"metadata": {"name": "default"}})
    server.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})
    yield server
    server.close()


@pytest.fixture
def front(api: ApiServer) -> Iterator[HttpFront]:
    with HttpFront(api, lock=threading.RLock()) as served:
        yield served


@pytest.fixture
def plain(api: ApiServer) -> Iterator[HttpFront]:
    with HttpFront(api, lock=threading.RLock(), tls=False) as served:
        yield served


def running_pod(api: ApiServer) -> None:
    pod = api.create(
        "pods",
        {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
    )
    status = {
        **pod["status"],
        "phase": "Running",
        "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}],
    }
    api.store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": "n"}, "status": status})


async def closing(session: aiohttp.ClientSession) -> None:
    await session.close()
    await asyncio.sleep(0.05)  # aiohttp finishes TLS shutdowns after close()


def trusting(front: HttpFront) -> ssl.SSLContext:
    assert front.identity is not None
    return ssl.create_default_context(cadata=front.identity.ca.decode())


def test_tokens_certificates_and_strangers(front: HttpFront) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(ssl=trusting(front))
        session = aiohttp.ClientSession(connector=connector)
        who = f"{front.url}/apis/authentication.k8s.io/v1/selfsubjectreviews"
        assert front.identity is not None
        for header, want in (
            ({"Authorization": f"Bearer {front.identity.token}"}, "kubernetes-admin"),
            ({}, "system:anonymous"),
        ):
            async with session.post(who, json={}, headers=header) as answer:
                assert (await answer.json())["status"]["userInfo"]["username"] == want
        async with session.get(f"{front.url}{CORE}/pods", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
        async with session.post(f"{front.url}{CORE}/serviceaccounts/default/token", json={}) as answer:
            token = (await answer.json())["status"]["token"]
        async with session.post(who, json={}, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert (await answer.json())["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        await closing(session)

    asyncio.run(main())


def test_a_client_certificate_names_its_user(front: HttpFront, tmp_path: Any) -> None:
    config = yaml.safe_load(front.kubeconfig())
    user = config["users"][0]["user"]
    pair = tmp_path / "pair.pem"
    pair.write_bytes(base64.b64decode(user["client-key-data"]) + base64.b64decode(user["client-certificate-data"]))
    context = trusting(front)
    context.load_cert_chain(pair)

    async def main() -> dict[str, Any]:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        async with session.post(f"{front.url}/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}) as answer:
            body: dict[str, Any] = await answer.json()
        await closing(session)
        return body

    info = asyncio.run(main())["status"]["userInfo"]
    assert info == {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}


def test_kubeconfigs() -> None:
    identity = make_identity(("127.0.0.1", "localhost"), user="u", groups=("g",))
    assert b"BEGIN CERTIFICATE" in identity.ca
    assert subject({"subject": ((("organizationName", "g"),), (("commonName", "u"),))}) == ("u", ("g",))


def test_a_watch_streams_and_ends_at_close(api: ApiServer) -> None:
    lock = threading.RLock()
    front = HttpFront(api, lock=lock, tls=False).start()

    async def main() -> list[str]:
        session = aiohttp.ClientSession()
        seen = []
        async with session.get(f"{front.url}{CORE}/configmaps?watch=1&resourceVersion={api.store.rv}") as answer:
            assert answer.status == 200

            def change() -> None:
                with lock:
                    api.create("configmaps", {"metadata": {"name": "a", "namespace": "default"}})

            await asyncio.to_thread(change)
            seen.append(json.loads(await answer.content.readline())["type"])
            closer = threading.Thread(target=front.close)
            closer.start()
            rest = await answer.content.read()
            seen.append(rest.decode())
            await asyncio.to_thread(closer.join)
        await closing(session)
        return seen

    assert asyncio.run(main()) == ["ADDED", ""]


def test_a_watch_ends_at_its_timeout_with_a_bookmark(plain: HttpFront) -> None:
    async def main() -> list[str]:
        session = aiohttp.ClientSession()
        path = f"{plain.url}{CORE}/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=1"
        async with session.get(path) as answer:
            lines = (await answer.content.read()).splitlines()
        await closing(session)
        return [json.loads(line)["type"] for line in lines]

    assert asyncio.run(main()) == ["BOOKMARK"]


@pytest.mark.parametrize(
    ("command", "stdin", "want"),
    [
        ("command=echo&command=hi", None, (b"echo hi", b"", {"metadata": {}, "status": "Success"})),
        ("command=cat&stdin=true", b" data", (b"cat data", b"", {"metadata": {}, "status": "Success"})),
        ("command=false", None, (b"", b"no\n", exit_status(ExecResult(exit_code=3)))),
    ],
)
def test_exec_frames(api: ApiServer, plain: HttpFront, command: str, stdin: bytes | None, want: tuple) -> None:
    running_pod(api)

    async def main() -> tuple[bytes, bytes, Any]:
        session = aiohttp.ClientSession()
        out = {1: b"", 2: b"", 3: b""}
        url = f"{plain.url}{CORE}/pods/p/exec?{command}&stdout=true&stderr=true"
        async with session.ws_connect(url, protocols=("v5.channel.k8s.io",)) as socket:
            assert socket.protocol == "v5.channel.k8s.io"
            if stdin is not None:
                await socket.send_bytes(b"\x00" + stdin)
                await socket.send_bytes(b"\xff\x00")
            async for message in socket:
                out[message.data[0]] += message.data[1:]
        await closing(session)
        return out[1], out[2], json.loads(out[3])

    assert asyncio.run(main()) == want


def test_exec_without_a_websocket_and_a_body_too_large(api: ApiServer, plain: HttpFront) -> None:
    running_pod(api)

    async def main() -> list[int]:
        session = aiohttp.ClientSession()
        codes = []
        async with session.post(f"{plain.url}{CORE}/pods/p/exec?command=ls") as answer:
            codes.append(answer.status)
        async with session.post(f"{plain.url}{CORE}/configmaps", data=io.BytesIO(b"x" * (BODY_LIMIT + 1))) as answer:
            codes.append(answer.status)
        async with session.get(f"{plain.url}{CORE}/pods/p/log") as answer:
            codes.append(answer.status)
            assert await answer.text() == "line\n"
        await closing(session)
        return codes

    assert asyncio.run(main()) == [400, 413, 200]


def test_followed_logs_end_with_the_pod(api: ApiServer, plain: HttpFront) -> None:
    running_pod(api)

    async def main() -> bytes:
        session = aiohttp.ClientSession()
        async with session.get(f"{plain.url}{CORE}/pods/p/log?follow=true") as answer:
            first = await answer.content.readline()
            await asyncio.to_thread(lambda: api.store.delete("pods", "default", "p"))
            rest = await answer.content.read()
        await closing(session)
        return first + rest

    assert asyncio.run(main()) == b"line\n"


def test_impersonation_over_plain_http(plain: HttpFront) -> None:
    async def main() -> Any:
        session = aiohttp.ClientSession()
        headers = {"Impersonate-User": "jane", "Impersonate-Group": "devs"}
        url = f"{plain.url}/apis/authentication.k8s.io/v1/selfsubjectreviews"
        async with session.post(url, json={}, headers=headers) as answer:
            body = await answer.json()
        await closing(session)
        return body["status"]["userInfo"]

    assert asyncio.run(main()) == {"username": "jane", "groups": ["devs", "system:authenticated"]}


def test_addresses_that_cannot_be_used(api: ApiServer, plain: HttpFront) -> None:
    with pytest.raises(HttpError, match="loopback addresses only"):
        HttpFront(api, lock=threading.RLock(), host="0.0.0.0").start()
    with pytest.raises(HttpError, match="choose another port"):
        HttpFront(api, lock=threading.RLock(), port=plain.port, tls=False).start()


def test_close_twice_and_serve_again(api: ApiServer) -> None:
    front = HttpFront(api, lock=threading.RLock(), tls=False).start()
    front.close()
    front.close()
    with HttpFront(api, lock=threading.RLock(), tls=False) as again:
        assert again.port
    assert api.handle(Request("GET", "/readyz")).status == 200
