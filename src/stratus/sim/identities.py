"""Who may do what on an embedded cluster: an administrator, and a viewer who reads everything but secrets."""

from __future__ import annotations

from stratus.sim.api import User

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
_CLOSED = frozenset({"secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"})


def may(user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str, name: str) -> bool:
    """Decide one request as the API server's authorizer: only viewers are bound."""
    if VIEWERS not in groups:
        return True
    if resource in _REVIEWS:
        return verb == "create"
    return verb in _READS and resource not in _CLOSED
