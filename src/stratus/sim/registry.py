"""Which container images exist, what pulling one costs or answers, and what it does by default: rules from a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from stratus.errors import UsageError
from stratus.sim.controllers.common import spread
from stratus.sim.quantity import parse_quantity

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class InvalidReference(Exception):
    """The text is not an image reference; the message is the runtime's."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart: `host/repository:tag`, or `@digest`."""

    host: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def name(self) -> str:
        """Return host/repository."""
        return f"{self.host}/{self.repository}"

    @property
    def full(self) -> str:
        """Return the whole reference, tag or digest included."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


@lru_cache(maxsize=4096)
def parse_reference(image: str) -> Reference:
    """Take an image reference apart, filling in docker.io, library/ and :latest.

    Raises:
        InvalidReference: with the runtime's text.
    """
    rest, _, digest = image.partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise InvalidReference("invalid reference format")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        host, path = head, tail
    else:
        host, path = "docker.io", rest
    last = path.rpartition("/")[2]
    tag = "latest"
    if ":" in last:
        cut = path.rindex(last) + last.index(":")
        path, tag = path[:cut], path[cut + 1 :]
    if path != path.lower():
        raise InvalidReference(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _HOST.fullmatch(host) or not _TAG.fullmatch(tag):
        raise InvalidReference("invalid reference format")
    if not path or not all(_COMPONENT.fullmatch(part) for part in path.split("/")):
        raise InvalidReference("invalid reference format")
    if host in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
        if "/" not in path:
            path = f"library/{path}"
    return Reference(host, path, tag, digest)


@dataclass(frozen=True, slots=True)
class Pull:
    """What pulling an image gives: an error text, or its size (bytes); `seconds` is what it takes either way."""

    seconds: float
    size: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class ImageBehaviour:
    """What an image does when it is started (see the comments of data/images.yaml)."""

    match: str = "*"
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    ports: tuple[int, ...] | None = None
    http: dict[str, Any] = field(default_factory=dict)
    runs: str = "forever"
    requires: tuple[dict[str, Any], ...] = ()
    crash: dict[str, Any] = field(default_factory=dict)
    shell: bool = True
    stop: dict[str, Any] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    memory: float = 16.0
    cpu: float = 0.001
    lopsided: bool = False

    @classmethod
    def read(cls, entry: dict[str, Any], where: str) -> ImageBehaviour:
        """Build one from an entry of the rule file.

        Raises:
            UsageError: an unknown field.
        """
        unknown = set(entry) - set(cls.__dataclass_fields__)
        if unknown:
            raise UsageError(f"{where}: unknown image fields {', '.join(sorted(unknown))}; see data/images.yaml")
        values = dict(entry)
        for name in ("command", "entrypoint", "log", "requires"):
            if name in values:
                values[name] = tuple(values[name])
        if values.get("ports") is not None:
            values["ports"] = tuple(values["ports"])
        return cls(**values)


class ImageRegistry:
    """All registries of the world, as far as the cluster can tell."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        base = _packaged() if data is None else data
        self._known: list[str] = []
        self._unknown: list[str] = []
        self._restricted: list[str] = []
        self._missing_tags: list[re.Pattern[str]] = []
        self._missing_repositories: list[re.Pattern[str]] = []
        self._rules: list[dict[str, Any]] = []
        self._images: list[ImageBehaviour] = []
        self._default = ImageBehaviour()
        self._behaviours: dict[str, ImageBehaviour] = {}
        #: What pulls answered under the present rules.
        self._pulls: dict[tuple[str, frozenset[str]], Pull] = {}
        self._merge(base, "data/images.yaml")

    @classmethod
    def load(cls, *paths: str | Path) -> ImageRegistry:
        """Return a registry with further rule files over the shipped one.

        Raises:
            UsageError: a file cannot be read or has an unknown shape.
        """
        registry = cls()
        for path in paths:
            registry.read(path)
        return registry

    def read(self, path: str | Path) -> None:
        """Put a rule file over what is known.

        Raises:
            UsageError: it cannot be read or has an unknown shape.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"cannot read the image rules {path}: {' '.join(str(error).split())}") from None
        self._merge(data or {}, str(path))

    def _merge(self, data: dict[str, Any], where: str) -> None:
        if not isinstance(data, dict):
            raise UsageError(f"{where}: image rules are a mapping; see data/images.yaml")
        unknown = set(data) - {"hosts", "tags", "repositories", "rules", "images", "default"}
        if unknown:
            raise UsageError(f"{where}: unknown sections {', '.join(sorted(unknown))}; see data/images.yaml")
        hosts = data.get("hosts") or {}
        self._known = [*hosts.get("known", ()), *self._known]
        self._unknown = [*hosts.get("unknown", ()), *self._unknown]
        self._restricted = [*hosts.get("restricted", ()), *self._restricted]
        for target, section in (
            (self._missing_tags, "tags"),
            (self._missing_repositories, "repositories"),
        ):
            for pattern in (data.get(section) or {}).get("missing", ()):
                try:
                    target.append(re.compile(pattern, re.IGNORECASE))
                except re.error as error:
                    raise UsageError(f"{where}: {section}.missing {pattern!r}: {error}") from None
        for rule in data.get("rules") or ():
            self._rules.append(_checked_rule(rule, where))
        described = [ImageBehaviour.read(entry, where) for entry in data.get("images") or ()]
        self._images = [*described, *self._images]
        if data.get("default"):
            self._default = ImageBehaviour.read(data["default"], where)
        self._behaviours.clear()
        self._pulls.clear()

    def add_rule(self, match: str, exists: bool, *, error: str = "", credentials: bool = False) -> None:
        """Add one rule that wins over all before it; `match` is a glob over host/repository:tag."""
        self._rules.append({"match": match, "exists": exists, "error": error, "credentials": credentials})
        self._pulls.clear()

    def remove_rule(self, match: str, *, error: str = "") -> None:
        """Drop the last added rule that made images matching a glob vanish; nothing happens when there is none."""
        for place in range(len(self._rules) - 1, -1, -1):
            rule = self._rules[place]
            if (rule["match"], rule["exists"], rule.get("error") or "") == (match, False, error):
                del self._rules[place]
                self._pulls.clear()
                return

    def describe(self, match: str, **fields: Any) -> None:
        """Say what images matching a glob over host/repository do when started."""
        self._images.insert(0, ImageBehaviour.read({"match": match, **fields}, "describe"))
        self._behaviours.clear()

    @staticmethod
    def canonical(image: str) -> str:
        """Return the full form of a reference: `nginx` is `docker.io/library/nginx:latest`.

        Raises:
            InvalidReference: the text is not an image reference.
        """
        return parse_reference(image).full

    @staticmethod
    def digest(canonical: str) -> str:
        """Return the image ID a runtime shows: repository@sha256:..."""
        reference = parse_reference(canonical)
        found = reference.digest or "sha256:" + hashlib.sha256(reference.full.encode()).hexdigest()
        return f"{reference.name}@{found}"

    def behaviour(self, image: str) -> ImageBehaviour:
        """Return what an image does; the default for one nobody described."""
        name = parse_reference(image).name
        found = self._behaviours.get(name)
        if found is None:
            found = next((b for b in self._images if fnmatchcase(name, b.match)), self._default)
            self._behaviours[name] = found
        return found

    def is_described(self, image: str) -> bool:
        """Tell whether a rule says what the image does."""
        return self.behaviour(image) is not self._default

    def exists(self, image: str) -> bool:
        """Tell whether a pull (with credentials) would succeed."""
        reference = parse_reference(image)
        return not self._problem(reference, frozenset({reference.host}))

    def pull(self, image: str, *, credentials: Iterable[str] = ()) -> Pull:
        """Return what pulling an image answers; `credentials` are registry hosts for which there are some."""
        key = (image, frozenset(credentials))
        found = self._pulls.get(key)
        if found is None:
            if len(self._pulls) >= 1024:
                self._pulls.clear()
            found = self._pulls[key] = self._pull(*key)
        return found

    def _pull(self, image: str, credentials: frozenset[str]) -> Pull:
        reference = parse_reference(image)
        problem = self._problem(reference, credentials)
        if problem:
            return Pull(0.05, error=problem)
        share = spread("image size", reference.full)
        rule = self._rule(reference) or {}
        size = int(rule["size"]) if "size" in rule else int(1_000_000 + 180_000_000 * share * share)
        return Pull(float(rule.get("seconds", round(0.4 + 3.0 * share, 3))), size)

    def _rule(self, reference: Reference) -> dict[str, Any] | None:
        return next((r for r in reversed(self._rules) if fnmatchcase(reference.full, r["match"])), None)

    def _problem(self, reference: Reference, credentials: frozenset[str]) -> str:
        rule = self._rule(reference)
        if rule is not None:
            if not rule["exists"]:
                return rule.get("error") or _not_found(reference)
            if rule.get("credentials") and reference.host not in credentials:
                return _unauthorized(reference)
            return ""
        host = reference.host
        if any(fnmatchcase(host, pattern) for pattern in self._unknown) or not any(
            fnmatchcase(host, pattern) for pattern in self._known
        ):
            return _no_host(reference)
        if any(p.fullmatch(reference.repository) for p in self._missing_repositories):
            return _denied(reference) if host == "docker.io" else _not_found(reference)
        if not reference.digest and any(p.fullmatch(reference.tag) for p in self._missing_tags):
            return _not_found(reference)
        if any(fnmatchcase(host, pattern) for pattern in self._restricted) and host not in credentials:
            return _unauthorized(reference)
        return ""


def _checked_rule(rule: Any, where: str) -> dict[str, Any]:
    if not isinstance(rule, dict) or "match" not in rule or not isinstance(rule.get("exists"), bool):
        raise UsageError(f"{where}: a rule is {{match: GLOB, exists: true|false}}, not {rule!r}")
    unknown = set(rule) - {"match", "exists", "error", "credentials", "size", "seconds"}
    if unknown:
        raise UsageError(f"{where}: unknown rule fields {', '.join(sorted(unknown))}")
    if "size" in rule:
        try:
            rule = {**rule, "size": parse_quantity(rule["size"])}
        except UsageError as error:
            raise UsageError(f"{where}: the size of {rule['match']}: {error}") from None
    checked: dict[str, Any] = rule
    seconds = rule.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise UsageError(f"{where}: the seconds of {rule['match']} are a number from 0 on, not {seconds!r}")
    return checked


def _prefix(code: str, reference: Reference) -> str:
    start = f"rpc error: code = {code} desc = " if code else ""
    return (
        f'{start}failed to pull and unpack image "{reference.full}": failed to resolve reference "{reference.full}": '
    )


def _not_found(reference: Reference) -> str:
    return f"{_prefix('NotFound', reference)}{reference.full}: not found"


def _denied(reference: Reference) -> str:
    return (
        f"{_prefix('', reference)}pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed"
    )


def _unauthorized(reference: Reference) -> str:
    scope = reference.host
    return (
        f"{_prefix('', reference)}failed to authorize: failed to fetch anonymous token: "
        f"unexpected status from GET request to https://{scope}/token: 401 Unauthorized"
    )


def _no_host(reference: Reference) -> str:
    target = reference.digest or reference.tag
    url = f"https://{reference.host}/v2/{reference.repository}/manifests/{target}"
    name = reference.host.partition(":")[0]
    return (
        f'{_prefix("", reference)}failed to do request: Head "{url}": '
        f"dial tcp: lookup {name} on 10.96.0.10:53: no such host"
    )


@lru_cache(maxsize=1)
def _packaged() -> dict[str, Any]:
    text = resources.files("stratus.sim").joinpath("data/images.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def digest_of(path: str | Path) -> str:
    """Return what tells one rule file from another.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UsageError(f"cannot read the image rules {path}: {error}") from None
