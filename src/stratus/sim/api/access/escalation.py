"""Nobody gives away what they do not hold: the checks on writing roles and bindings."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.access.rbac import CLUSTER_ROLES, GROUP, Rbac, aggregated, compact, show_rule
from stratus.sim.api.messages import User
from stratus.sim.api.resources import Resource
from stratus.sim.api.status import forbidden, not_found
from stratus.sim.store import Store

Obj = dict[str, Any]


def check(rbac: Rbac, store: Store, user: User, resource: Resource, obj: Obj, old: Obj | None) -> None:
    """Refuse a role with rules, or a binding to a role with rules, that the writer does not hold.

    Raises:
        ApiError: 403 naming the rules; 404 when the role to be bound is not there.
    """
    if resource.group != GROUP or "system:masters" in user.groups:
        return
    meta = obj["metadata"]
    name, space = meta.get("name", ""), meta.get("namespace", "")
    if resource.name in ("roles", "clusterroles"):
        same = ("rules", "aggregationRule")
        if old is not None and all(old.get(f) == obj.get(f) for f in same):
            return
        if rbac(user.name, user.groups, "escalate", resource.qualified, space, name):
            return
        rules = list(obj.get("rules") or ())
        if obj.get("aggregationRule"):
            # Whoever gathers may come to hold anything.
            rules += aggregated(obj, store.list(CLUSTER_ROLES))
            rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
    else:
        if old is not None and old.get("roleRef") == obj.get("roleRef") and old.get("subjects") == obj.get("subjects"):
            return
        ref = obj["roleRef"]
        kind = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        if rbac(user.name, user.groups, "bind", f"{kind}.{GROUP}", space, ref["name"]):
            return
        role = rbac.role_of(obj, space)
        if role is None:
            raise not_found(kind, GROUP, ref["name"])
        rules = list(role.get("rules") or ())
    missing = compact(rbac.missing(user.name, user.groups, space, rules))
    if missing:
        groups = " ".join(f'"{g}"' for g in user.groups)
        why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
        raise forbidden(resource.name, GROUP, name, why + "\n".join(show_rule(m) for m in missing))
