"""Role-based access control over the roles and bindings in the store.

A request is allowed when some rule of some role bound to the user (by name, by group, as a service account) covers it.
What is bound to whom is indexed once and again only after a role or binding has changed, so that deciding costs what
the user's own rules cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stratus.sim.api.selectors import from_selector, labels_match
from stratus.sim.store import Change, Store

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"roles.{GROUP}", f"clusterroles.{GROUP}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{GROUP}", f"clusterrolebindings.{GROUP}"
_WATCHED = frozenset({ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS})
MASTERS = "system:masters"
_ACCOUNT = "system:serviceaccount:"
NODES = "system:nodes"
_NODE_BINDING: Obj = {
    "metadata": {"name": "system:node"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node"},
}


def aggregated(role: Obj, roles: Iterable[Obj]) -> list[Obj]:
    """Return the rules a role with an aggregationRule gathers: those of the selected roles, by name, told once."""
    chosen = [from_selector(s) for s in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    name, rules = role["metadata"]["name"], []
    for other in sorted(roles, key=lambda r: r["metadata"]["name"]):
        if other["metadata"]["name"] == name:
            continue
        labels = other["metadata"].get("labels")
        if any(s is not None and labels_match(s, labels) for s in chosen):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def path_covered(wanted: str, paths: Iterable[str]) -> bool:
    """Tell whether a path is one of those a rule names; a `*` at the end stands for anything."""
    return any(p == "*" or p == wanted or (p.endswith("*") and wanted.startswith(p[:-1])) for p in paths)


def resource_covered(wanted: str, named: Iterable[str]) -> bool:
    """Tell whether `pods/log` is named: as such, as `*`, or as `*/log`."""
    sub = wanted.partition("/")[2]
    return any(n in ("*", wanted) or (sub and n == f"*/{sub}") for n in named)


def rule_allows(rule: Obj, verb: str, group: str, resource: str, name: str) -> bool:
    """Tell whether a rule covers a verb on a resource (`pods`, `pods/log`)."""
    verbs = rule["verbs"]
    if verb not in verbs and "*" not in verbs:
        return False
    groups = rule.get("apiGroups") or ()
    if group not in groups and "*" not in groups:
        return False
    if not resource_covered(resource, rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames")
    return not names or name in names


class Rbac:
    """Decides by the roles and bindings in a store.

    Args:
        store: where they are; close it to stop following.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stale = True
        self._by_user: dict[str, list[tuple[str, Obj]]] = {}
        self._by_group: dict[str, list[tuple[str, Obj]]] = {}
        self._end = store.subscribe(self._on_change, *_WATCHED)

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def _on_change(self, change: Change) -> None:
        if change.resource in _WATCHED:
            self._stale = True

    # deciding

    def __call__(self, user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str, name: str) -> bool:
        """Decide as an authorizer; `resource` is `pods`, `deployments.apps/scale`, or a path that begins with `/`."""
        if MASTERS in groups:
            return True
        if resource.startswith("/"):
            return any(
                (verb in r["verbs"] or "*" in r["verbs"]) and path_covered(resource, r.get("nonResourceURLs") or ())
                for r in self.rules(user, groups, "")
            )
        whole, _, sub = resource.partition("/")
        plain, _, group = whole.partition(".")
        wanted = f"{plain}/{sub}" if sub else plain
        return any(rule_allows(r, verb, group, wanted, name) for r in self.rules(user, groups, namespace))

    def rules(self, user: str, groups: Iterable[str], namespace: str) -> Iterator[Obj]:
        """Yield the rules that hold for somebody: the cluster-wide ones, and those of one namespace unless it is ""."""
        if self._stale:
            self._index()
        seen: set[int] = set()
        found = [*self._by_user.get(user, ())]
        for group in groups:
            found += self._by_group.get(group, ())
        for where in ("", namespace) if namespace else ("",):
            for space, binding in found:
                if space != where or id(binding) in seen:
                    continue
                seen.add(id(binding))
                role = self.role_of(binding, space)
                yield from (role or {}).get("rules") or ()

    def reason(self, user: str, groups: tuple[str, ...], spec: Obj) -> str:
        """Return the words for why a review is answered with yes; empty when no binding is the reason."""
        if MASTERS in groups:
            return ""
        attributes = spec.get("resourceAttributes") or {}
        wanted = attributes.get("resource", "")
        if attributes.get("subresource"):
            wanted += f"/{attributes['subresource']}"
        verb, path = attributes.get("verb", ""), spec.get("nonResourceAttributes")
        for space, binding, who in self._found(user, groups):
            if space and space != attributes.get("namespace", ""):
                continue
            for rule in (self.role_of(binding, space) or {}).get("rules") or ():
                if path is not None:
                    verbs, named = rule["verbs"], rule.get("nonResourceURLs") or ()
                    good = (path.get("verb") in verbs or "*" in verbs) and path_covered(path.get("path", ""), named)
                else:
                    group, name = attributes.get("group", ""), attributes.get("name", "")
                    good = rule_allows(rule, verb, group, wanted, name)
                if good:
                    meta, ref = binding["metadata"], binding["roleRef"]
                    shown = f"{meta['name']}/{space}" if space else meta["name"]
                    kind = "RoleBinding" if space else "ClusterRoleBinding"
                    return f'RBAC: allowed by {kind} "{shown}" of {ref["kind"]} "{ref["name"]}" to {who}'
        return ""

    def _found(self, user: str, groups: Iterable[str]) -> Iterator[tuple[str, Obj, str]]:
        if self._stale:
            self._index()
        parts = user.split(":")
        who = f'User "{user}"'
        if user.startswith(_ACCOUNT) and len(parts) == 4:
            who = f'ServiceAccount "{parts[3]}/{parts[2]}"'
        for where in (False, True):
            for space, binding in self._by_user.get(user, ()):
                if bool(space) == where:
                    yield space, binding, who
            for group in groups:
                for space, binding in self._by_group.get(group, ()):
                    if bool(space) == where:
                        yield space, binding, f'Group "{group}"'

    def role_of(self, binding: Obj, namespace: str) -> Obj | None:
        """Return the role a binding in a namespace refers to; None when it is not there."""
        ref = binding["roleRef"]
        if ref["kind"] == "ClusterRole":
            return self._store.get(CLUSTER_ROLES, "", ref["name"])
        return self._store.get(ROLES, namespace, ref["name"])

    def _index(self) -> None:
        self._stale = False
        # Nodes are let in by an authorizer of their own, without a binding.
        self._by_user, self._by_group = {}, {NODES: [("", _NODE_BINDING)]}
        for resource in (CLUSTER_BINDINGS, BINDINGS):
            for binding in self._store.list(resource):
                space = binding["metadata"].get("namespace", "") if resource == BINDINGS else ""
                for subject in binding.get("subjects") or ():
                    name = subject["name"]
                    index = self._by_group if subject["kind"] == "Group" else self._by_user
                    if subject["kind"] == "ServiceAccount":
                        name = f"{_ACCOUNT}{subject.get('namespace') or space}:{name}"
                    index.setdefault(name, []).append((space, binding))

    # escalation

    def missing(self, user: str, groups: tuple[str, ...], namespace: str, wanted: Iterable[Obj]) -> list[Obj]:
        """Return the parts of rules that somebody does not hold, one verb, group, resource and name each."""
        if MASTERS in groups:
            return []
        held = list(self.rules(user, groups, namespace))
        out = []
        for part in _pieces(wanted):
            if not any(_holds(rule, part) for rule in held):
                out.append(part)
        return out


def _pieces(rules: Iterable[Obj]) -> Iterator[Obj]:
    """Cut rules into the smallest ones that say the same."""
    for rule in rules:
        for verb in rule.get("verbs") or ():
            for path in rule.get("nonResourceURLs") or ():
                yield {"verbs": [verb], "nonResourceURLs": [path]}
            for group in rule.get("apiGroups") or ():
                for resource in rule.get("resources") or ():
                    piece: Obj = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                    names = rule.get("resourceNames") or ()
                    yield from ({**piece, "resourceNames": [n]} for n in names) if names else (piece,)


def _holds(rule: Obj, piece: Obj) -> bool:
    verbs = rule["verbs"]
    if piece["verbs"][0] not in verbs and "*" not in verbs:
        return False
    if "nonResourceURLs" in piece:
        return path_covered(piece["nonResourceURLs"][0], rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if piece["apiGroups"][0] not in groups and "*" not in groups:
        return False
    if not resource_covered(piece["resources"][0], rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames")
    return not names or (piece.get("resourceNames") or [None])[0] in names


def compact(pieces: Iterable[Obj]) -> list[Obj]:
    """Join pieces that differ in their verb only, as the server does before it shows them."""
    out: dict[tuple[str, ...], Obj] = {}
    for p in pieces:
        key = (
            *(p.get("apiGroups") or ("-",)), *(p.get("resources") or ()), *(p.get("resourceNames") or ("",)),
            *(p.get("nonResourceURLs") or ()),
        )  # fmt: skip
        if key in out:
            out[key]["verbs"] += [v for v in p["verbs"] if v not in out[key]["verbs"]]
        else:
            out[key] = {**p, "verbs": list(p["verbs"])}
    return list(out.values())


def show_rule(rule: Obj) -> str:
    """Write a rule as refusals do."""

    def listed(values: Iterable[str]) -> str:
        return "[" + " ".join(f'"{v}"' for v in values) + "]"

    fields = (("nonResourceURLs", "NonResourceURLs"), ("apiGroups", "APIGroups"), ("resources", "Resources"))
    parts = [f"{shown}:{listed(rule[field])}" for field, shown in fields if rule.get(field)]
    if rule.get("resourceNames"):
        parts.append(f"ResourceNames:{listed(rule['resourceNames'])}")
    return "{" + ", ".join([*parts, f"Verbs:{listed(rule['verbs'])}"]) + "}"
