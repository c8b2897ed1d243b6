"""Request paths into what they name: group, version, namespace, resource, object, subresource."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True, slots=True)
class Path:
    """A resource path; `name` and `subresource` may be empty, `rest` is what follows a subresource."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str = ""
    subresource: str = ""
    rest: str = ""


class Query:
    """Query parameters; the first value counts."""

    __slots__ = ("_pairs",)

    def __init__(self, text: str) -> None:
        self._pairs = parse_qsl(text, keep_blank_values=True) if text else []

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for key, value in self._pairs if key == name]

    def flag(self, name: str) -> bool:
        """Tell whether a boolean parameter is on."""
        return self.get(name).lower() in ("1", "true", "t")


_NAMESPACE_SUBRESOURCES = ("status", "finalize")


def parse(path: str) -> Path | None:
    """Read a path under `/api/v1` or `/apis/GROUP/VERSION`; None when it names no resource."""
    parts = [unquote(p) for p in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/NS/pods is about pods, but /namespaces/NS and /namespaces/NS/status are about the namespace
    if (
        parts[0] == "namespaces"
        and len(parts) >= 3
        and not (group == "" and len(parts) == 3 and parts[2] in _NAMESPACE_SUBRESOURCES)
    ):
        namespace, parts = parts[1], parts[2:]
    parts += [""] * (3 - len(parts))
    if any("/" in part or part in (".", "..") for part in (namespace, *parts[:3])):
        # No name can be that; what was meant as a way out of here leads to no resource.
        return Path(group, version, "", "/")
    return Path(group, version, namespace, parts[0], parts[1], parts[2], "/".join(parts[3:]))
