"""The roles and bindings a cluster begins with, from a data file, as objects of the store."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from stratus.sim.store import Store

Obj = dict[str, Any]
CLUSTER_ROLES = "clusterroles.rbac.authorization.k8s.io"
CLUSTER_BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
_API = "rbac.authorization.k8s.io"
_CONTROLLER = "system:controller:"
_WORDS = {"R": "get,list,watch", "W": "create,delete,deletecollection,patch,update"}


def _rule(text: str) -> Obj:
    parts = text.split(" ")
    if parts[0].startswith("/"):
        paths = ["*"] if parts[0] == "/*" else parts[0].split(",")
        return {"verbs": parts[1].split(","), "nonResourceURLs": paths}
    groups, names, verbs = parts[:3]
    rule: Obj = {
        "verbs": _WORDS.get(verbs, verbs).split(","),
        "apiGroups": ["" if g == "-" else g for g in groups.split(",")],
        "resources": names.split(","),
    }
    if len(parts) > 3:
        rule["resourceNames"] = parts[3].split(",")
    return rule


def _meta(kind: str, name: str, labels: dict[str, str]) -> Obj:
    # Their uids come from their names: the cluster's generator is for what happens in the cluster.
    digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()
    uid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
    shown = {"kubernetes.io/bootstrapping": "rbac-defaults", **labels}
    return {
        "name": name,
        "uid": uid,
        "labels": shown,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }


def _subject(kind: str, name: str) -> Obj:
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": "kube-system"}
    return {"kind": kind, "apiGroup": _API, "name": name}


@cache
def _made() -> tuple[tuple[str, Obj], ...]:
    text = resources.files("stratus.sim.api.access").joinpath("roles.json").read_text("utf-8")
    data = json.loads(text)
    out: list[tuple[str, Obj]] = []
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    roles: dict[str, Obj] = {}
    for name, entry in data["clusterroles"].items():
        labels = {f"{prefix}{to}": "true" for to in entry.get("to", ())}
        role: Obj = {"kind": "ClusterRole", "apiVersion": f"{_API}/v1", "metadata": _meta("ClusterRole", name, labels)}
        if "aggregate" in entry:
            chosen = [{"matchLabels": {f"{prefix}{to}": "true"}} for to in entry["aggregate"]]
            role["aggregationRule"] = {"clusterRoleSelectors": chosen}
        role["rules"] = [_rule(r) for r in entry.get("rules", ())]
        roles[name] = role
        out.append((CLUSTER_ROLES, role))
    from stratus.sim.api.access.rbac import aggregated

    # A role may gather from one that gathers itself: view, then edit, then admin.
    for name in ("view", "edit", "admin"):
        roles[name]["rules"] = aggregated(roles[name], list(roles.values()))
    bindings: dict[str, list[str]] = dict(data["clusterrolebindings"])
    for name in roles:
        if name.startswith(_CONTROLLER):
            bindings[name] = [name, "ServiceAccount", name.removeprefix(_CONTROLLER)]
    for name, (role_name, kind, *subjects) in bindings.items():
        binding = {
            "kind": "ClusterRoleBinding",
            "apiVersion": f"{_API}/v1",
            "metadata": _meta("ClusterRoleBinding", name, {}),
            **({"subjects": [_subject(kind, subject) for subject in subjects]} if subjects else {}),
            "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": role_name},
        }
        out.append((CLUSTER_BINDINGS, binding))
    return tuple(out)


def furnish_roles(store: Store) -> None:
    """Create the built-in roles and bindings that are not there yet."""
    for resource, obj in _made():
        if store.get(resource, "", obj["metadata"]["name"]) is None:
            store.create(resource, obj)
