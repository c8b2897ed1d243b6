"""LangGraph checkpoints on SQLite, with exactly our nouns allowed back in."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from stratus.errors import UsageError


@contextmanager
def checkpoints(path: Path) -> Iterator[Any]:
    """Open (and create) the checkpoint store; a LangGraph checkpointer inside the `with`.

    Raises:
        UsageError: the file cannot be opened or written.
    """
    from langgraph.checkpoint.sqlite import SqliteSaver

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            f"checkpoints cannot be kept in {path} ({error}): give --state-dir a writable folder"
        ) from error
    try:
        saver = SqliteSaver(connection, serde=serializer())
        saver.setup()
        yield saver
    finally:
        connection.close()


@cache
def serializer() -> Any:
    """Return the serializer that gives every noun of `stratus.model` back as what it was."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(allowed_msgpack_modules=list(_nouns()))


def _nouns() -> Iterator[tuple[str, str]]:
    package = importlib.import_module("stratus.model")
    modules = [module.name for module in pkgutil.iter_modules(package.__path__, "stratus.model.")]
    for module in [*modules, "stratus.transaction.comparing"]:
        for name, thing in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            if thing.__module__ == module and (hasattr(thing, "model_fields") or issubclass(thing, Enum)):
                yield (module, name)
    # What an incident that began under an earlier version has stored: the names are known there still.
    yield from (("stratus.transaction.verdict", name) for name in ("Baseline", "Conditions"))
