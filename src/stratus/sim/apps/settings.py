"""Finds out what a starting program is told by its environment and files, and whether that will do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from stratus.sim.apps.process import fill
from stratus.sim.apps.schema import Program, Value

Read = Callable[[str], str | None]


class MissingSetting(Exception):
    """A setting without default is nowhere to be found; the text names it."""


@dataclass
class Settings:
    """What a program read at its start.

    Attributes:
        ports: where it listens; `users`: by how much the load that it makes is multiplied.
        switched: numbers of the program's effects that its settings turn on; `tls`: targets it speaks TLS to.
        demands_tls: it turns away callers that do not speak TLS.
        doomed: (lines, exit code) when it cannot start with what it read.
    """

    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()
    users: float = 1.0
    switched: frozenset[int] = frozenset()
    tls: frozenset[str] = frozenset()
    demands_tls: bool = False
    doomed: tuple[tuple[str, ...], int] | None = None


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return None


def look_up(value: Value, env: Mapping[str, str], read: Read) -> str:
    """Return a setting.

    Raises:
        MissingSetting: there is none and no default.
    """
    if value.env and value.env in env:
        told = _cut(value, env[value.env])
        if told is not None:
            return told
        if value.default is None:
            raise MissingSetting(f"{value.env} (cannot read {env[value.env]!r})")
    if value.file:
        text = read(value.file)
        if text is None:
            if value.default is None:
                raise MissingSetting(f"{value.key}: open {value.file}: no such file or directory")
        else:
            found = _document(text)
            for part in [value.key] if isinstance(found, dict) and value.key in found else value.key.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            told = _cut(value, str(found)) if found is not None else None
            if told is not None:
                return told
            if value.default is None:
                raise MissingSetting(f"{value.key} in {value.file}")
    if value.default is None:
        raise MissingSetting(value.env)
    return value.default


def _cut(value: Value, text: str) -> str | None:
    """Return the part of a text that is the setting; None when there is none in it."""
    if not value.pattern:
        return text
    match = re.search(value.pattern, text)
    return match.group(1) if match is not None else None


def split_address(text: str) -> tuple[str, int]:
    """Take `host:port` apart (scheme, user and path are dropped); a port that is no number is 0."""
    bare = text.strip().partition("://")[2] or text.strip()
    bare = bare.partition("/")[0].rpartition("@")[2]
    host, colon, port = bare.rpartition(":")
    if not colon:
        return bare, 0
    return host, int(port) if port.isdigit() and int(port) < 65536 else 0


def read_settings(program: Program, env: Mapping[str, str], read: Read, users: Value | None = None) -> Settings:
    """Return what a program takes from its surroundings; `users` says where the size of the load is that it makes."""
    found = Settings()
    startup = program.startup
    for check in startup.checks:
        try:
            value = look_up(check.value, env, read)
        except MissingSetting as error:
            found.doomed = (tuple(fill(line, setting=error) for line in startup.missing), startup.exit_code)
            return found
        if not re.fullmatch(check.pattern, value):
            found.doomed = (tuple(fill(line, value=value) for line in check.log), check.exit_code)
            return found
    try:
        found.ports = frozenset(program.ports)
        if program.listens is not None:
            found.ports = frozenset((_port(program.listens, env, read), *program.ports[1:]))
        if users is not None:
            found.users = _number(look_up(users, env, read))
        for name, target in program.targets.items():
            host, port = split_address(look_up(target.address, env, read))
            if target.port is not None and not port:
                port = split_address(":" + look_up(target.port, env, read))[1]
            found.addresses[name] = (host, port)
            if target.login is not None:
                user, password = (look_up(v, env, read) for v in (target.login.user, target.login.password))
                found.logins[name] = (user, password)
    except MissingSetting as error:
        found.doomed = (tuple(fill(line, setting=error) for line in startup.missing), startup.exit_code)
    found.switched = frozenset(
        n
        for n, e in enumerate(program.effects)
        if e.setting is not None and re.fullmatch(e.pattern, _optional(e.setting, env, read))
    )
    secured = ((n, t.tls) for n, t in program.targets.items() if t.tls is not None)
    found.tls = frozenset(n for n, value in secured if is_on(_optional(value, env, read)))
    mode = program.datastore.tls if program.datastore is not None else None
    found.demands_tls = mode is not None and is_on(_optional(mode, env, read))
    return found


def _port(value: Value, env: Mapping[str, str], read: Read) -> int:
    """Return a port to listen on; what is no number (such as the address of a Service of that name) is none."""
    text = look_up(value, env, read).strip()
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise MissingSetting(f"{value.env or value.key} ({text!r} is no port)")
    return int(text)


def _number(text: str) -> float:
    """Return how much a text says; nothing when it is no number."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


def is_on(text: str) -> bool:
    """Tell whether a setting's text asks for TLS."""
    return text.strip().lower() in ("true", "yes", "on", "1") or text.strip().lower().startswith("require")


def _optional(value: Value, env: Mapping[str, str], read: Read) -> str:
    try:
        return look_up(value, env, read)
    except MissingSetting:
        return ""
