"""What running a read needs and gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stratus.cluster.base import ClusterPrinter, ClusterReader, ClusterRehearser
from stratus.errors import ClusterError
from stratus.kit.clock import Clock
from stratus.model.actions import ApiRead
from stratus.model.base import Json, Noun
from stratus.model.evidence import Usage
from stratus.model.refs import ApiResource, ObjectRef

UsageOf = Callable[[tuple[str, ...]], tuple[Usage, ...] | None]
"""Gives the use of resources by the containers of namespaces; None when nothing measures it."""


class ReadAnswer(Noun):
    """What a read shows.

    Attributes:
        text: as kubectl would print it.
        complaint: what kubectl would say on its error output; empty when there is nothing to say.
        exit_code: as of kubectl: 1 of `diff` and `auth can-i` is an answer, not a failure.
        cut: whether the text was shortened; it says so itself.
    """

    text: str = ""
    complaint: str = ""
    exit_code: int = 0
    cut: bool = False

    @property
    def shown(self) -> str:
        """Text and complaint together, for whoever reads both."""
        return "\n".join(part.rstrip("\n") for part in (self.text, self.complaint) if part) or "(nothing)"


class Failed(Exception):
    """A read that kubectl would end with an error; the message is what it would say."""

    def __init__(self, said: str, exit_code: int = 1) -> None:
        super().__init__(said)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Look:
    """One read being run.

    Attributes:
        read: what to show.
        reader: where from; nothing here writes.
        clock: for ages.
        usage: for `top`.
        rehearser: for `diff` by the server; None: the merge is done here.
    """

    read: ApiRead
    reader: ClusterReader
    clock: Clock
    usage: UsageOf | None = None
    rehearser: ClusterRehearser | None = None

    def option(self, name: str, default: str = "") -> str:
        """Return an option's value."""
        return self.read.options.get(name, default)

    def on(self, name: str, default: bool = False) -> bool:
        """Return whether a switch is on."""
        return self.option(name) == "true" if name in self.read.options else default

    @property
    def words(self) -> list[str]:
        """The words of a read without objects."""
        return self.option("words").split()

    @property
    def everywhere(self) -> bool:
        """Whether all namespaces are meant."""
        return self.on("all-namespaces")

    def resource(self, ref: ObjectRef) -> ApiResource:
        """Return the resource type of an object."""
        return self.reader.resource(f"{ref.api_version}/{ref.kind}")

    def printer(self) -> ClusterPrinter | None:
        """Return the reader's own printing, when it has any."""
        return self.reader if isinstance(self.reader, ClusterPrinter) else None

    def objects(self, ref: ObjectRef) -> list[Json]:
        """Return the objects that a target means: the one of its name, or all that the options choose.

        Raises:
            Failed: a named one does not exist.
        """
        resource = self.resource(ref)
        kind = f"{ref.api_version}/{ref.kind}"
        if ref.name:
            found = self.reader.get(ref)
            if found is None:
                if self.on("ignore-not-found"):
                    return []
                raise Failed(not_found(resource, ref.name))
            return [{"apiVersion": ref.api_version, "kind": ref.kind, **found}]
        space = None if self.everywhere or not resource.namespaced else self.read.namespace
        return self.reader.list(
            kind, space, label_selector=self.option("selector"), field_selector=self.option("field-selector")
        )


def not_found(resource: ApiResource, name: str) -> str:
    """Return what is said of an object that does not exist."""
    return f'Error from server (NotFound): {resource.full_name} "{name}" not found'


def bare(obj: Json) -> Json:
    """Return an object without the record of who owns which field."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def said_by_server(error: ClusterError) -> str:
    """Return what kubectl says of an error answer."""
    return f"Error from server ({error.reason or error.status}): {_REQUEST.sub('', str(error))}"


_REQUEST = re.compile(r" \((?:GET|POST|PATCH|PUT|DELETE) /\S+\)\.?$")


def without_secrets(obj: Any) -> Any:
    """Return an object whose Secrets show the size of a value instead of the value."""
    if isinstance(obj, list):
        return [without_secrets(one) for one in obj]
    if not isinstance(obj, dict):
        return obj
    if isinstance(obj.get("items"), list):
        return {**obj, "items": without_secrets(obj["items"])}
    if obj.get("kind") != "Secret":
        return obj
    hidden = {**obj}
    for field in ("data", "stringData"):
        if isinstance(obj.get(field), dict):
            hidden[field] = {key: f"[{size(value)} bytes]" for key, value in obj[field].items()}
    meta = obj.get("metadata") or {}
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if not k.endswith("last-applied-configuration")}
    return {**hidden, "metadata": {**meta, **({"annotations": notes} if meta.get("annotations") else {})}}


def size(value: Any) -> int:
    """Return how many bytes a base64 text holds."""
    text = str(value or "")
    return max(0, len(text) * 3 // 4 - text[-2:].count("="))
