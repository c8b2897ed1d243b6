"""Behaviour told by annotations, for workloads that no application file describes.

A pod template with `sim.stratus.dev/program` (a YAML or JSON mapping with the fields of `Program`, `image` left out)
behaves as that program in its first container:

    sim.stratus.dev/program: |
      ports: [8080]
      protocol: http
      targets: {store: {address: {env: STORE_ADDR, default: "store:6379"}, protocol: redis}}
      operations: {"*": {cpu_ms: 2, error_rate: 0.001, calls: [{to: store, operation: get}]}}

and a Service with `sim.stratus.dev/load` gets requests from outside (fields of `Load`; `host` and `port` are its own):

    sim.stratus.dev/load: "{rate: 20, mix: [{operation: get, share: 1}]}"
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from stratus.errors import UsageError
from stratus.sim.apps.loader import explain, read_yaml
from stratus.sim.apps.schema import Load, Program
from stratus.sim.store import Obj

PROGRAM, LOAD = "sim.stratus.dev/program", "sim.stratus.dev/load"


def annotated_program(pod: Obj, container: Obj) -> Program | str | None:
    """Return the program a pod's annotation describes, what is wrong with it, or None when there is none."""
    text = (pod["metadata"].get("annotations") or {}).get(PROGRAM)
    if not text or pod["spec"]["containers"][0]["name"] != container["name"]:
        return None
    return _program(text)


def annotated_load(service: Obj) -> Load | None:
    """Return the load a Service's annotation describes; one that cannot be read counts as none."""
    text = (service["metadata"].get("annotations") or {}).get(LOAD)
    ports = service["spec"].get("ports") or []
    if not text or not ports:
        return None
    return _load(text, service["metadata"]["name"], ports[0]["port"])


def _mapping(text: str, where: str) -> dict[str, Any]:
    documents = read_yaml(text, where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{where}: write one mapping")
    return documents[0]


@lru_cache(maxsize=256)
def _program(text: str) -> Program | str:
    try:
        return Program.model_validate({"image": "*", **_mapping(text, f"annotation {PROGRAM}")})
    except ValidationError as error:
        return explain(error, f"annotation {PROGRAM}")
    except UsageError as error:
        return str(error)


@lru_cache(maxsize=256)
def _load(text: str, host: str, port: int) -> Load | None:
    try:
        return Load.model_validate({"host": host, "port": port, **_mapping(text, f"annotation {LOAD}")})
    except (ValidationError, UsageError):
        return None
