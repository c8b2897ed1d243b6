"""Health checks of the server: `/healthz`, `/livez`, `/readyz`, each check by itself, and the list of them all."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from stratus.sim.api.messages import Response
from stratus.sim.api.routing import Query

_PLAIN = "text/plain; charset=utf-8"
_ENDPOINTS = ("healthz", "livez", "readyz")


@cache
def checks(endpoint: str) -> tuple[str, ...]:
    """Return the names of an endpoint's checks in the order they are told."""
    hooks: list[str] = json.loads(files("stratus.sim.schema").joinpath("health.json").read_text("utf-8"))["hooks"]
    if endpoint == "readyz":
        return ("ping", "log", "informer-sync", *hooks, "shutdown")
    return ("ping", "log", "etcd", "loopback-serving-certificate", *hooks)


def paths() -> list[str]:
    """Return all paths the checks answer on."""
    return [f"/{e}" for e in _ENDPOINTS] + [f"/{e}/{check}" for e in _ENDPOINTS for check in checks(e)]


def answer(path: str, query: Query) -> Response | None:
    """Answer a health path; None when it is none. The server that answers is healthy: it runs in this process."""
    endpoint, _, check = path.lstrip("/").partition("/")
    if endpoint not in _ENDPOINTS or (check and check not in checks(endpoint)):
        return None
    if check or not query.all("verbose"):
        return Response(200, body=b"ok", content_type=_PLAIN)
    left_out = set(query.all("exclude"))
    lines = [f"[+]{name} {'excluded: ok' if name in left_out else 'ok'}\n" for name in checks(endpoint)]
    return Response(200, body=f"{''.join(lines)}{endpoint} check passed\n".encode(), content_type=_PLAIN)
