"""Settings from a TOML file, the environment and the command line, in that order of rising precedence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stratus.errors import SettingsError
from stratus.settings import Settings

FILE_NAME = "stratus.toml"
PREFIX = "STRATUS_"


def load_settings(overrides: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Put the settings together.

    Args:
        overrides: values from the command line; None values are left out; dotted names reach into groups
            (`health.samples`).
        config: TOML file; else `$STRATUS_CONFIG`, else `./stratus.toml` if it is there.

    Returns:
        Frozen settings. Environment variables are named `STRATUS_MODE`, `STRATUS_HEALTH__SAMPLES` and so on.

    Raises:
        SettingsError: a file cannot be read, or a value does not fit; the message names the field.
    """
    from pydantic import ValidationError
    from pydantic_settings import (
        BaseSettings,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
        TomlConfigSettingsSource,
    )
    from pydantic_settings import (
        SettingsError as Malformed,
    )

    path = _config_file(config)

    class Loaded(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=PREFIX,
            env_nested_delimiter="__",
            frozen=True,
            extra="forbid",
            nested_model_default_partial_update=True,
            enable_decoding=False,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
            if path is not None:
                sources.append(TomlConfigSettingsSource(settings_cls, path))
            return tuple(sources)

    try:
        loaded = Loaded(**_nested(overrides or {}))
    except ValidationError as error:
        where = f" in {path}" if path is not None else ""
        said = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        raise SettingsError(f"settings do not fit{where}: {said}") from error
    except (Malformed, ValueError) as error:
        raise SettingsError(f"settings cannot be read{f' from {path}' if path else ''}: {error}") from error
    from stratus.wiring.policyfile import with_policy

    return with_policy(Settings.model_validate(loaded.model_dump()))


def _config_file(given: Path | None) -> Path | None:
    named = given or (Path(os.environ["STRATUS_CONFIG"]) if os.environ.get("STRATUS_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"no configuration file at {named}: give --config an existing TOML file")
        return named
    local = Path(FILE_NAME)
    return local if local.is_file() else None


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        if value is None:
            continue
        *groups, leaf = name.split(".")
        at = tree
        for group in groups:
            at = at.setdefault(group, {})
        at[leaf] = value
    return tree
