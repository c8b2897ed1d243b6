"""Other names for everything an application calls by a name of its own, put consistently into any data about it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Any

from stratus.model.base import Json

#: Field names whose values are words of a schema, not names.
WORDS = frozenset(
    ("protocol", "kind", "client", "do", "check", "apiVersion", "on_error", "action", "mode", "type", "effect",
     "policyTypes", "operator", "reason", "component", "class", "method", "pattern", "apiGroups", "resources", "verbs",
     "scope", "fault", "family", "complexity", "imagePullPolicy", "restartPolicy", "concurrencyPolicy",
     "storageClassName", "accessModes", "dnsPolicy", "at_start", "level", "flag", "variant", "error", "plural",
     "singular", "listKind")
)  # fmt: skip
#: Fields whose keys are names, whatever they look like.
NAMED = frozenset(
    ("programs", "targets", "operations", "calls", "requests", "data", "stringData", "labels", "matchLabels",
     "selector", "labelSelectors", "externals", "tables", "topics", "nodeSelector", "annotations", "patch")
)  # fmt: skip
#: Fields that hold references to images, or patterns over them.
IMAGES = frozenset(("image", "existing", "missing"))
#: Fields whose numbers are ports.
PORTS = frozenset(("port", "ports", "containerPort", "targetPort", "target_port", "equals"))
#: Label keys of recommended practice, which every application may have.
COMMON = ("app.kubernetes.io/", "helm.sh/", "kubernetes.io/")
#: What an address variable is called after the name of what it is the address of.
ADDRESS = ("_SERVICE_ADDR", "_ADDR", "_PORT", "_HOST", "_URL")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "za", "bri",
              "clo", "dra", "fle", "gri", "plo", "ska", "tre", "vlo")  # fmt: skip
_HOLDERS = frozenset(("labels", "matchLabels", "selector", "labelSelectors"))


class Naming:
    """A mapping from an application's names to others.

    Args:
        names: what is renamed: of objects, containers, namespaces and the application.
        repositories: `owner/name` of the images that are the application's own.
        ports: numbers that get others.
        label_keys: keys of labels that get others.
        rng: where the other names come from.
        binaries: commands of images that are not the application's own: what they are called is not up to it.
    """

    def __init__(
        self,
        names: Iterable[str],
        repositories: Iterable[str],
        ports: Iterable[int],
        label_keys: Iterable[str],
        rng: random.Random,
        binaries: Iterable[str] = (),
    ) -> None:
        self._binaries = frozenset(binaries)
        wanted = sorted(set(names))
        self._taken = {part for name in wanted for part in name.split("-")} | set(wanted)
        self.names = {name: self.word(rng) for name in wanted}
        old_ports = sorted(set(ports))
        self.ports = dict(zip(old_ports, rng.sample(range(18000, 28000), len(old_ports)), strict=True))
        self.keys = {key: f"{self.word(rng)}.dev/{self.word(rng)}" for key in sorted(set(label_keys))}
        owners = {r.partition("/")[0]: self.word(rng) for r in sorted(set(repositories))}
        self.images = {r: f"{owners[r.partition('/')[0]]}/{self.word(rng)}" for r in sorted(set(repositories))}
        self._owners = owners
        variables = {
            f"{old.upper().replace('-', '_')}{end}": f"{new.upper()}{end}"
            for old, new in self.names.items()
            for end in ADDRESS
        }
        self._text = _pattern([*self.names, *variables, *(k for k in self.keys if "/" in k or "." in k)])
        self._all = {**self.names, **variables, **self.keys}
        self._port = _port_pattern(self.ports)

    def word(self, rng: random.Random) -> str:
        """Return a name that nobody has yet."""
        while True:
            word = "".join(rng.choice(_SYLLABLES) for _ in range(3))
            if word not in self._taken:
                self._taken.add(word)
                return word

    def text(self, text: str) -> str:
        """Return a text with the other names and ports in it."""
        said = self._text.sub(lambda m: self._all[m[0]], text)
        return self._port.sub(lambda m: f"{m[1]}{self.ports[int(m[2])]}", said) if self._port is not None else said

    def image(self, text: str) -> str:
        """Return a reference to an image (or a pattern) with other names, where it is one of the application's own."""
        for old, new in sorted(self.images.items(), key=lambda one: -len(one[0])):
            if re.search(rf"(^|/){re.escape(old)}([:*]|$)", text):
                place, _, tag = text.replace(old, new).partition(":")
                return f"{place}:{self.text(tag)}" if tag else place
        for old, new in self._owners.items():
            if re.search(rf"(^|/){re.escape(old)}/\*", text):
                return text.replace(f"{old}/", f"{new}/")
        return text

    def data(self, value: Any, field: str = "", holder: str = "") -> Any:
        """Return data with the other names in it.

        Args:
            value: a document, or a part of one.
            field: the field that holds it; `holder`: the one around that.
        """
        if isinstance(value, dict):
            return {self._key(k, field): self.data(v, str(k), field) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(v, field, holder) for v in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return self.ports.get(value, value) if field in PORTS else value
        if not isinstance(value, str):
            return value
        if (field in WORDS and holder not in NAMED) or (field == "command" and value in self._binaries):
            return value
        if field in IMAGES or self._is_image(value):
            return self.image(value)
        if field in ("key", "label") and value in self.keys:
            return self.keys[value]
        if value.isdigit() and int(value) in self.ports:
            return str(self.ports[int(value)])
        return self.text(value)

    def _is_image(self, value: str) -> bool:
        return any(value.startswith((f"{r}:", f"docker.io/{r}", f"ghcr.io/{r}", f"quay.io/{r}")) for r in self.images)

    def _key(self, key: Any, field: str) -> Any:
        if not isinstance(key, str):
            return key
        if field in _HOLDERS and key in self.keys:
            return self.keys[key]
        if field in NAMED or any(mark in key for mark in "-./"):
            return self.text(key)
        return key

    def originals(self) -> set[str]:
        """Return the names that must not occur any more, but those that are words of other things as well."""
        return {*self.names, *self.images, *(k for k in self.keys if "/" in k or "." in k)}


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    ordered = sorted(set(names), key=len, reverse=True)
    return re.compile(r"(?<![A-Za-z0-9_])(?:" + "|".join(map(re.escape, ordered)) + r")(?![A-Za-z0-9_])")


def _port_pattern(ports: dict[int, int]) -> re.Pattern[str] | None:
    if not ports:
        return None
    numbers = "|".join(str(p) for p in sorted(ports, reverse=True))
    return re.compile(rf"((?<=[A-Za-z)}}]):|\"port\":\s*)({numbers})(?!\d)")


def label_keys_of(objects: Iterable[Json]) -> set[str]:
    """Return the keys of labels that an application's selectors go by, but those of common practice."""
    found: set[str] = set()
    for obj in objects:
        spec = obj.get("spec") or {}
        selector = spec.get("selector") or {}
        found |= set(selector.get("matchLabels") or (selector if obj["kind"] == "Service" else ()))
    return {k for k in found if not k.startswith(COMMON)}


__all__ = ["COMMON", "Naming", "label_keys_of"]
