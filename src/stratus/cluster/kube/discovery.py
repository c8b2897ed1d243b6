"""API discovery as rows, and the words people use for a kind resolved to one of them; pure."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.errors import UnknownNameError
from stratus.model.base import Json
from stratus.model.refs import ApiResource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def aggregated_rows(document: Json) -> list[ApiResource]:
    """Read an APIGroupDiscoveryList: every version of every resource, preferred versions first within a group."""
    rows = []
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale" and not version.get("resources"):
                continue
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for r in version.get("resources") or ():
                kind = (r.get("responseKind") or {}).get("kind", "")
                rows.append(
                    ApiResource(
                        api_version=api_version,
                        kind=kind,
                        plural=r["resource"],
                        singular=r.get("singularResource") or kind.lower(),
                        short_names=tuple(r.get("shortNames") or ()),
                        namespaced=r.get("scope") == "Namespaced",
                        verbs=tuple(r.get("verbs") or ()),
                        categories=tuple(r.get("categories") or ()),
                    )
                )
    return [r for r in rows if r.kind]


def legacy_rows(document: Json) -> list[ApiResource]:
    """Read an APIResourceList of one group version, without subresources."""
    return [
        ApiResource(
            api_version=document["groupVersion"],
            kind=r["kind"],
            plural=r["name"],
            singular=r.get("singularName") or r["kind"].lower(),
            short_names=tuple(r.get("shortNames") or ()),
            namespaced=bool(r.get("namespaced")),
            verbs=tuple(r.get("verbs") or ()),
            categories=tuple(r.get("categories") or ()),
        )
        for r in document.get("resources") or ()
        if "/" not in r["name"]
    ]


class Catalogue:
    """All resources of a server and the names they answer to.

    Of two resources that answer to a word, the one served first wins, as with kubectl: the core group, then the
    groups in the server's order.
    """

    def __init__(self, rows: Iterable[ApiResource]) -> None:
        self._all = tuple(rows)
        preferred: dict[tuple[str, str], ApiResource] = {}
        for row in self._all:
            preferred.setdefault((row.group, row.plural), row)
        self.preferred = tuple(preferred.values())

    def find(self, word: str) -> ApiResource:
        """Resolve a word: `deploy`, `deployments.apps`, `deployments.v1.apps`, `Deployment`, `apps/v1/Deployment`.

        Raises:
            UnknownNameError: when nothing answers to it.
        """
        word = word.strip()
        found = self._by_version(word) if "/" in word else self._by_name(word)
        if found is None:
            raise UnknownNameError(
                f"The server has no resource type {word!r}. Use a name such as `pods`, `deploy` or `deployments.apps` "
                "(`kubectl api-resources` lists them)"
            )
        return found

    def _by_version(self, word: str) -> ApiResource | None:
        api_version, _, name = word.rpartition("/")
        rows = [r for r in self._all if r.api_version == api_version]
        return self._match(name, rows)

    def _by_name(self, word: str) -> ApiResource | None:
        name, _, rest = word.partition(".")
        if not rest:
            return self._match(word, self.preferred)
        in_group = [r for r in self.preferred if r.group == rest]
        found = self._match(name, in_group)
        if found is not None:
            return found
        version, _, group = rest.partition(".")
        exact = [r for r in self._all if r.group == group and r.api_version.rpartition("/")[2] == version]
        found = self._match(name, exact)
        if found is not None:
            return found
        return self._match(name, [r for r in self.preferred if r.group.startswith(f"{rest}.")])

    @staticmethod
    def _match(name: str, rows: Iterable[ApiResource]) -> ApiResource | None:
        rows = list(rows)
        low = name.lower()
        for fits in (
            lambda r: low in (r.plural, r.singular),
            lambda r: low in r.short_names,
            lambda r: low == r.kind.lower(),
        ):
            for row in rows:
                if fits(row):
                    return row
        return None
