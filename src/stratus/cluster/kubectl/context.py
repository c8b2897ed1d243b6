"""What compiling one command needs, and the small helpers that all verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from json import loads
from typing import Any

from stratus.cluster.base import ClusterReader
from stratus.cluster.kubectl.grammar import Parsed
from stratus.errors import CommandRefused, UnknownNameError
from stratus.kit.clock import Clock
from stratus.kit.patches import Rules, strategic_diff
from stratus.model.actions import ApiRead, ApiWrite, PatchType
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ObjectRef

JSON_PATCH: PatchType = "application/json-patch+json"
MERGE: PatchType = "application/merge-patch+json"
STRATEGIC: PatchType = "application/strategic-merge-patch+json"
APPLY: PatchType = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Context:
    """One command being compiled.

    Attributes:
        parsed: the command after the grammar.
        reader: where objects are looked up.
        namespace: the one the command acts in.
        manifest: text that stands for standard input (`-f -`); empty when there is none.
        clock: for annotations that carry a time.
    """

    parsed: Parsed
    reader: ClusterReader
    namespace: str
    manifest: str
    clock: Clock

    def resource(self, word: str) -> ApiResource:
        """Resolve a resource type; an unknown one is a refusal."""
        try:
            return self.reader.resource(word)
        except UnknownNameError as problem:
            raise CommandRefused(
                str(problem), code="unknown_kind", hint="use a resource type that the cluster serves"
            ) from problem

    def place(self, resource: ApiResource, namespace: str = "") -> str:
        """Return the namespace an object of that type is in: empty when cluster-scoped."""
        return (namespace or self.namespace) if resource.namespaced else ""

    def ref(self, resource: ApiResource, name: str, namespace: str = "") -> ObjectRef:
        """Name an object; what could not stand in a path of the API is refused."""
        check_segment(name, "name")
        check_segment(namespace, "namespace")
        return ObjectRef(
            api_version=resource.api_version,
            kind=resource.kind,
            name=name,
            namespace=self.place(resource, namespace),
        )

    def write(self, method: Any, resource: ApiResource, target: ObjectRef, body: Any, **more: Any) -> ApiWrite:
        """Make a write."""
        if self.parsed.one("field-manager"):
            more.setdefault("field_manager", self.parsed.one("field-manager"))
        return ApiWrite(
            method=method, target=target, plural=resource.plural, namespaced=resource.namespaced, body=body, **more
        )

    def patch(self, found: Found, kind: PatchType, body: Any, **more: Any) -> ApiWrite:
        """Make a PATCH of an object that was found."""
        return self.write("PATCH", found.resource, found.ref, body, patch_type=kind, **more)

    def number(self, flag: str, default: int | None = None, least: int | None = None) -> int:
        """Read a whole number from a flag."""
        text = self.parsed.one(flag)
        if not text and default is not None:
            return default
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or (least is not None and value < least):
            bound = f" of at least {least}" if least is not None else ""
            raise refuse("bad_value", f"--{flag} needs a whole number{bound}, not {text!r}", f"write --{flag}=N")
        return value


@dataclass(frozen=True)
class Found:
    """An object that a command names, as it is now."""

    resource: ApiResource
    ref: ObjectRef
    obj: Json = field(default_factory=dict)

    def __str__(self) -> str:
        return f'{self.resource.full_name} "{self.ref.name}"'


@dataclass(frozen=True)
class Outcome:
    """What a verb compiles to."""

    writes: tuple[ApiWrite, ...] = ()
    reads: tuple[ApiRead, ...] = ()


def refuse(code: str, message: str, hint: str = "") -> CommandRefused:
    """Make a refusal."""
    return CommandRefused(message, code=code, hint=hint)


def check_segment(text: str, what: str) -> None:
    """Refuse a name that could not stand in a path of the API, or would lead to another."""
    if text in (".", "..") or any(c in text for c in "/%?#\\ ") or not text.isprintable():
        raise refuse("bad_value", f"{text!r} cannot be the {what} of an object", f"give the plain {what}")


def pairs(words: tuple[str, ...], what: str) -> dict[str, str]:
    """Read KEY=VALUE words; a key twice with different values is refused."""
    found: dict[str, str] = {}
    for word in words:
        key, eq, value = word.partition("=")
        if not eq or not key:
            raise refuse("bad_value", f"{word!r} is not {what} of the form KEY=VALUE", "write KEY=VALUE")
        if found.get(key, value) != value:
            raise refuse("bad_value", f"{key!r} is given two values", "give each key once")
        found[key] = value
    return found


@cache
def _table() -> tuple[Rules, Mapping[str, str]]:
    data = loads((files("stratus.cluster.kubectl") / "data" / "strategic.json").read_text(encoding="utf-8"))
    return Rules(data["types"]), data["kinds"]


def strategic_type(ref: ObjectRef) -> str:
    """Return the name of the merge rules of a kind; empty when it has none (custom resources)."""
    return _table()[1].get(f"{ref.api_version}/{ref.kind}", "")


def rules() -> Rules:
    """Return the merge rules of the built-in kinds."""
    return _table()[0]


def strategic_writes(ctx: Context, found: Found, after: Json, **more: Any) -> tuple[ApiWrite, ...]:
    """Return the strategic patch that makes `after` of an object; nothing when it is so already."""
    body = strategic_diff(found.obj, after, rules(), strategic_type(found.ref))
    return (ctx.patch(found, STRATEGIC, body, **more),) if body else ()
