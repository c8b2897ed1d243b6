"""The same four kinds of requests over plain HTTP against the embedded cluster, or against kmock's emulator.

    python benchmarks/api_requests.py stratus|kmock

Prints CPU microseconds per request, client and server together in this process, as JSON. A program of its own, so
that each side runs in an interpreter that has it (and kmock, which brings a pytest plugin, stays out of others).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

#: So many objects, and requests of each kind but lists: few and many, as some servers get slower with each request.
COUNTS, LISTS = (30, 300), 10
SPACE = "/api/v1/namespaces/default/configmaps"


def config_map(number: int) -> dict[str, Any]:
    """A small object."""
    meta = {"name": f"c{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"key": "value"}}


async def per_request(url: str, objects: int) -> dict[str, float]:
    """CPU microseconds per request, for four kinds of requests and so many objects."""
    import aiohttp

    found: dict[str, float] = {}
    merge = {"Content-Type": "application/merge-patch+json"}
    async with aiohttp.ClientSession(url) as client:

        async def timed(name: str, method: str, path: Callable[[int], str], count: int, **options: Any) -> None:
            begun = time.process_time()
            for number in range(count):
                given = {k: v(number) if callable(v) else v for k, v in options.items()}
                async with client.request(method, path(number), **given) as answer:
                    await answer.read()
                    if answer.status >= 400:
                        raise RuntimeError(f"{name}: {answer.status}")
            found[name] = (time.process_time() - begun) / count * 1e6

        await timed("create", "POST", lambda _: SPACE, objects, json=config_map)
        await timed("get", "GET", lambda n: f"{SPACE}/c{n}", objects)
        changed = {"data": {"key": "other"}}
        await timed("merge patch", "PATCH", lambda n: f"{SPACE}/c{n}", objects, json=changed, headers=merge)
        await timed("list", "GET", lambda _: SPACE, LISTS)
        async with client.get(SPACE) as answer:
            items = [item for item in (await answer.json())["items"] if "key" in item["data"]]
        if len(items) != objects or any(item["data"] != {"key": "other"} for item in items):
            raise RuntimeError("what was written is not what is there")
    return found


def stratus(objects: int) -> dict[str, float]:
    """Against an embedded cluster."""
    from stratus.sim.cluster import EmbeddedCluster

    cluster = EmbeddedCluster(app=None, warmup=0.0)
    try:
        with cluster.serve(tls=False, follow_wall_clock=False) as front:
            return asyncio.run(per_request(front.url, objects))
    finally:
        cluster.close()


def kmock(objects: int) -> dict[str, float]:
    """Against kmock's emulator."""
    import kmock as package

    async def measure() -> dict[str, float]:
        emulator = package.KubernetesEmulator()
        verbs = ["get", "list", "watch", "create", "patch", "delete"]
        kind = {"kind": "ConfigMap", "namespaced": True, "verbs": verbs}
        emulator.resources[package.resource("", "v1", "configmaps")] = kind
        async with package.Server(emulator) as server:
            return await per_request(str(server.url), objects)

    return asyncio.run(measure())


if __name__ == "__main__":
    ask = {"stratus": stratus, "kmock": kmock}[sys.argv[1]]
    print(json.dumps({f"{name}, {count} objects": took for count in COUNTS for name, took in ask(count).items()}))
