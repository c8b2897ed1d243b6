"""The rights that two identities need, one that reads and one that writes, made from what the policy enables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from stratus.model.base import Json
from stratus.model.knowledge import Runbook
from stratus.settings import Settings

READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "get", "patch", "update"]


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files(__package__).joinpath("rbac.json").read_text(encoding="utf-8"))
    return table


def runs_commands(settings: Settings, books: Iterable[Runbook]) -> bool:
    """Tell whether any enabled runbook runs commands in containers."""
    enabled = settings.policy.exec_runbooks
    return any(
        action.exec is not None and any(fnmatchcase(book.id, pattern) for pattern in enabled)
        for book in books
        for action in book.actions
    )


def manifests(settings: Settings, books: Iterable[Runbook], namespaces: tuple[str, ...], *, home: str) -> list[Json]:
    """Return service accounts, roles and bindings for a reader and a writer.

    The reader may look everywhere and change nothing. The writer may change, in the given namespaces only, the kinds
    that the policy names, and run commands in containers only when an enabled runbook does.

    Args:
        namespaces: where may be written.
        home: namespace of the two service accounts.
    """
    made: list[Json] = [_object("ServiceAccount", "v1", name, home) for name in ("stratus-reader", "stratus-writer")]
    made += _granted("ClusterRole", "stratus-reader", "stratus-reader", home, _looking())
    rules, wide = _rules(settings, runs_commands(settings, books))
    for space in namespaces:
        made += _granted("Role", "stratus-writer", "stratus-writer", home, rules, space)
    if wide:
        made += _granted("ClusterRole", "stratus-writer-nodes", "stratus-writer", home, wide)
    # The writer reads before it writes; what it reads, the reader's role lets it.
    made.append(
        _binding("ClusterRoleBinding", "stratus-writer-reads", "ClusterRole", "stratus-reader", "stratus-writer", home)
    )
    return made


def _looking() -> list[Json]:
    groups: dict[str, list[str]] = defaultdict(list)
    for group, plural in _table()["kinds"].values():
        if group:
            groups[group].append(plural)
    rules = [_rule([group], sorted(plurals), READ) for group, plurals in sorted(groups.items())]
    # Named one by one: `*` would mean pods/exec as well, into which a mere `get` leads.
    core = _rule([""], list(_table()["looked_at"]), READ)
    return [
        core,
        *rules,
        _rule(["discovery.k8s.io"], ["endpointslices"], READ),
        _rule(["storage.k8s.io"], ["storageclasses"], READ),
    ]


def _rules(settings: Settings, inside: bool) -> tuple[list[Json], list[Json]]:
    table, groups, wide = _table(), defaultdict(list), []
    for kind in settings.policy.kinds:
        if kind not in table["kinds"]:
            continue
        group, plural = table["kinds"][kind]
        if kind in table["cluster_wide"]:
            wide.append(_rule([group], [plural], ["get", "patch", "update"]))
            continue
        groups[group].append(plural)
        if kind in table["scaled"]:
            groups[group].append(f"{plural}/scale")
        if kind == "Pod":
            groups[group].append("pods/eviction")
    rules = [_rule([group], sorted(plurals), WRITE) for group, plurals in sorted(groups.items())]
    rules.append(_rule(["coordination.k8s.io"], ["leases"], ["create", "get", "update"]))
    if inside:
        rules.append(_rule([""], ["pods/exec"], ["create", "get"]))
    return rules, wide


def _granted(kind: str, name: str, account: str, home: str, rules: list[Json], space: str = "") -> list[Json]:
    role = {**_object(kind, "rbac.authorization.k8s.io/v1", name, space), "rules": rules}
    binding = "RoleBinding" if kind == "Role" else "ClusterRoleBinding"
    return [role, _binding(binding, name, kind, name, account, home, space)]


def _binding(kind: str, name: str, role_kind: str, role: str, account: str, home: str, space: str = "") -> Json:
    return {
        **_object(kind, "rbac.authorization.k8s.io/v1", name, space),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }


def _object(kind: str, version: str, name: str, space: str) -> Json:
    meta = {"name": name, **({"namespace": space} if space else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}
