"""Names such as `openai:gpt-4o` to LangChain chat models, through a registry of lazy factories."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stratus.errors import UnknownNameError, UsageError
from stratus.settings import ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Factory = Callable[[str, ModelSettings, Mapping[str, str]], "BaseChatModel"]

_PLACEHOLDER_KEY = "no-key-needed"
"""Local servers want no key, but the client insists on one."""


@dataclass(frozen=True)
class ProviderRow:
    """One row of `providers.yaml`."""

    name: str
    package: str
    module: str
    class_name: str
    arguments: dict[str, str]
    key: tuple[str, ...] = ()
    key_argument: str = ""
    base_url: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    client_timeout: str = ""


@cache
def provider_rows() -> dict[str, ProviderRow]:
    """Read the table of providers shipped beside this module."""
    raw = yaml.safe_load(files(__package__).joinpath("providers.yaml").read_text(encoding="utf-8"))
    return {
        name: ProviderRow(
            name=name,
            package=row["package"],
            module=row["module"],
            class_name=row["class"],
            arguments=row["arguments"],
            key=tuple(row.get("key", ())),
            key_argument=row.get("key_argument", ""),
            base_url=tuple(row.get("base_url", ())),
            needs=tuple(row.get("needs", ())),
            client_timeout=row.get("client_timeout", ""),
        )
        for name, row in raw.items()
    }


def known_providers() -> tuple[str, ...]:
    """Return the names that may stand before the colon."""
    return tuple(sorted(_factories()))


def chat_model(name: str, settings: ModelSettings, environ: Mapping[str, str] | None = None) -> BaseChatModel:
    """Build the chat model called `PROVIDER:MODEL`.

    Args:
        name: such as `openai:gpt-4o`, `ollama:qwen2.5:1.5b`, `scripted:turns.yaml`, `recorded:turns.jsonl`.
        settings: temperature, time limit, longest answer.
        environ: where keys and base URLs are looked up; the process environment when None.

    Raises:
        UnknownNameError: the provider is not known; the message lists those that are.
        UsageError: the name has no model, a key or address is missing, or the provider's package is not installed.
    """
    provider, _, model = name.partition(":")
    factory = _factories().get(provider)
    if factory is None:
        raise UnknownNameError(
            f"unknown model provider {provider!r} in {name!r}: use one of {', '.join(known_providers())}, "
            "as PROVIDER:MODEL"
        )
    if not model:
        raise UsageError(f"{name!r} names no model: write {provider}:MODEL, for example {_example(provider)}")
    return factory(model, settings, os.environ if environ is None else environ)


def _example(provider: str) -> str:
    return {"openai": "openai:gpt-4o", "scripted": "scripted:turns.yaml", "recorded": "recorded:turns.jsonl"}.get(
        provider, f"{provider}:NAME-OF-THE-MODEL"
    )


@cache
def _factories() -> dict[str, Factory]:
    found: dict[str, Factory] = {name: partial(_from_row, row) for name, row in provider_rows().items()}
    found["scripted"] = _scripted
    found["recorded"] = _recorded
    return found


def _from_row(row: ProviderRow, model: str, settings: ModelSettings, environ: Mapping[str, str]) -> BaseChatModel:
    for variable in row.needs:
        if not environ.get(variable):
            raise UsageError(f"{row.name}: needs the environment variable {variable}; set it and try again")
    has_key = any(environ.get(variable) for variable in row.key)
    base_url = next((environ[variable] for variable in row.base_url if environ.get(variable)), "")
    if row.key and not has_key and not base_url:
        local = f", or {row.base_url[0]} for a local server" if row.base_url else ""
        raise UsageError(f"{row.name}: no key: set {row.key[0]}{local}")
    values: dict[str, Any] = {
        "model": model,
        "temperature": settings.temperature,
        "timeout": settings.timeout,
        "retries": 0,  # the thinker retries itself, on a clock, and counts each call
        "max_tokens": settings.max_tokens,
    }
    arguments = {theirs: values[ours] for ours, theirs in row.arguments.items()}
    if base_url:
        arguments["base_url"] = base_url
    if row.key_argument:
        arguments[row.key_argument] = next((environ[v] for v in row.key if environ.get(v)), _PLACEHOLDER_KEY)
    if row.client_timeout:
        arguments[row.client_timeout] = {"timeout": settings.timeout}
    cls = _load_class(row)
    try:
        built: BaseChatModel = cls(**arguments)
    except Exception as error:  # each provider has its own exception for a bad setting
        raise UsageError(f"{row.name}:{model} cannot be set up: {_first_line(error)}") from error
    return built


def _load_class(row: ProviderRow) -> Any:
    try:
        module = importlib.import_module(row.module)
    except ImportError as error:
        raise UsageError(
            f"{row.name}: the package {row.package} is not installed: pip install {row.package} ({_first_line(error)})"
        ) from error
    return getattr(module, row.class_name)


def _scripted(path: str, settings: ModelSettings, environ: Mapping[str, str]) -> BaseChatModel:
    from stratus.llm.scripted import load_script

    return load_script(Path(path))


def _recorded(path: str, settings: ModelSettings, environ: Mapping[str, str]) -> BaseChatModel:
    from stratus.llm.recorded import load_recording

    return load_recording(Path(path))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
