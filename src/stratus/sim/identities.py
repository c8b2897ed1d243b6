"""Who may do what on an embedded cluster: roles and bindings decide, and a viewer beside them reads all but secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stratus.sim.api import User
from stratus.sim.api.access.rbac import Rbac

#: Members read; every write of theirs is refused, rehearsals included.
VIEWERS = "stratus:viewers"
VIEWER = User("viewer", (VIEWERS, "system:authenticated"))

_READS = frozenset({"get", "list", "watch", "head"})
_REVIEWS = frozenset(
    {
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "selfsubjectreviews.authentication.k8s.io",
    }
)
#: Readable by the verb, and yet more than reading.
_CLOSED = frozenset(
    {"secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"}
)


def may(user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str, name: str) -> bool:
    """Decide one request of somebody who only views."""
    if resource in _REVIEWS:
        return verb == "create"
    return verb in _READS and resource not in _CLOSED


class Access:
    """The authorizer of an embedded cluster.

    Viewers (who are none of Kubernetes' own: its role `view` reads neither nodes nor what custom resources there are)
    are bound by `may`, and no role adds to it; everybody else is bound by roles.

    Args:
        rbac: decides by roles and bindings.
    """

    def __init__(self, rbac: Rbac) -> None:
        self._rbac = rbac

    def __call__(self, user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str, name: str) -> bool:
        """Decide one request."""
        if VIEWERS in groups:
            return may(user, groups, verb, resource, namespace, name)
        return self._rbac(user, groups, verb, resource, namespace, name)

    def rules(self, user: str, groups: Iterable[str], namespace: str) -> list[dict[str, Any]]:
        """Return the rules that hold for somebody in a namespace."""
        if VIEWERS in groups:
            reads = ["get", "list", "watch"]
            return [
                {"verbs": reads, "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["get"], "nonResourceURLs": ["*"]},
            ]
        return list(self._rbac.rules(user, groups, namespace))
