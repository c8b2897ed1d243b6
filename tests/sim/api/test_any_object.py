"""Objects with anything in them: whatever a client sends, there is an answer, and refusals name what they refuse."""

import json
import random
from typing import Any

import pytest

from stratus.sim.api import Request, Response
from stratus.sim.api.resources import Resource
from stratus.sim.schema import types
from stratus.sim.schema.types import Type

TEXTS = ["", "a", "A_b", "x" * 70, "a/b", "10.0.0.0/8", "100Mi", "-5", "200%", "Always", "TCP", "..", "/abs", "Exists",
         "2020-01-01T00:00:00Z", "YQ==", "http"]  # fmt: skip
NUMBERS = [0, 1, -1, 80, 70000, 2**31 - 1]
ROUNDS = 1500


def value(rng: random.Random, base: str, containers: tuple[str, ...], depth: int) -> Any:
    if containers:
        inner = [value(rng, base, containers[1:], depth) for _ in range(rng.choice([0, 1, 1, 2]))]
        return {rng.choice(TEXTS) or "k": item for item in inner} if containers[0] == "{}" else inner
    if base == types.QUANTITY:
        return rng.choice(["1", "-1", "100m", "1Gi", "0", "1.5", "1u"])
    if base == types.INT_OR_STRING:
        return rng.choice([0, -1, 5, "50%", "abc", "http", 70000])
    if base in (types.TIME, types.MICRO_TIME):
        return "2020-01-01T00:00:00.000000Z" if base == types.MICRO_TIME else "2020-01-01T00:00:00Z"
    if "." in base:
        kind = types.named(base)
        return rng.choice([{}, "x", 1, {"a": 1}]) if kind.opaque else struct(rng, kind, depth + 1)
    return {"s": rng.choice(TEXTS), "b": rng.random() < 0.5, "f": 1.5, "y": rng.choice(["", "YWJj"])}.get(
        base, rng.choice(NUMBERS)
    )


def struct(rng: random.Random, kind: Type, depth: int = 0) -> dict[str, Any]:
    likely = 0.02 if depth > 8 else 0.35 if depth < 4 else 0.12
    return {
        f.name: value(rng, f.base, f.containers, depth)
        for f in kind.fields.values()
        if rng.random() < (0.75 if "r" in f.flags and depth < 9 else likely)
    }


def targets(api: Any) -> list[Resource]:
    return [
        r
        for gv in api.registry.group_versions()
        for r in gv.resources.values()
        if r.type is not None and {"create", "update", "delete"} <= set(r.verbs)
    ]


def send(api: Any, method: str, path: str, obj: Any = None) -> Response:
    body = b"" if obj is None else json.dumps(obj).encode()
    answer = api.handle(Request(method, path, {"content-type": "application/json"}, body))
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize("seed", [1, 2])
def test_every_object_gets_an_answer(api: Any, seed: int) -> None:
    rng = random.Random(seed)
    listed = targets(api)
    seen: set[tuple[str, int]] = set()
    for number in range(ROUNDS):
        resource = rng.choice(listed)
        assert resource.type is not None
        base = f"/apis/{resource.group_version}" if resource.group else "/api/v1"
        path = f"{base}/namespaces/default/{resource.name}" if resource.namespaced else f"{base}/{resource.name}"
        name = rng.choice([f"n{number}", f"n{number}", *TEXTS])
        made = {**struct(rng, resource.type), "metadata": {"name": name}}
        answer = send(api, "POST", path, {k: v for k, v in made.items() if k not in ("apiVersion", "kind")})
        seen.add((resource.kind, answer.status))
        assert answer.status in (201, 400, 403, 409, 422, 500), (resource.kind, answer.obj)
        if answer.status == 422:
            details = answer.obj["details"]
            assert details["causes"], answer.obj
            assert all(c["reason"] and c["message"] for c in details["causes"])
        if answer.status == 201:
            other = {**struct(rng, resource.type), "metadata": {"name": name}}
            again = send(
                api, "PUT", f"{path}/{name}", {k: v for k, v in other.items() if k not in ("apiVersion", "kind")}
            )
            assert again.status in (200, 400, 403, 404, 405, 409, 422, 500), (resource.kind, again.obj)
            send(api, "DELETE", f"{path}/{name}")
    assert {kind for kind, _ in seen} == {r.kind for r in listed}
    assert sum(status == 201 for _, status in seen) > 10
