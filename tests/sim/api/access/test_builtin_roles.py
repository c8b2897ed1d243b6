"""The roles and bindings a cluster begins with: complete, bound to whom they are for, and no wider than they say."""

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.sim.api.access.builtin import CLUSTER_BINDINGS, CLUSTER_ROLES, furnish_roles
from stratus.sim.api.access.rbac import Rbac


@pytest.fixture
def rbac(api: Any) -> Iterator[Rbac]:
    furnish_roles(api.store)
    found = Rbac(api.store)
    yield found
    found.close()


def may(rbac: Rbac, user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str = "") -> bool:
    return rbac(user, groups, verb, resource, namespace, "")


def test_nodes_are_let_in_without_a_binding(api: Any, rbac: Rbac) -> None:
    binding = api.store.get(CLUSTER_BINDINGS, "", "system:node")
    assert "subjects" not in binding
    user, groups = "system:node:node1", ("system:nodes", "system:authenticated")
    assert may(rbac, user, groups, "list", "services")
    assert may(rbac, user, groups, "patch", "nodes/status")
    assert not may(rbac, user, groups, "create", "deployments.apps", "default")
    assert not may(rbac, "system:node:node1", ("system:authenticated",), "list", "services")


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("deployment-controller", "create", "replicasets.apps", True),
        ("deployment-controller", "create", "pods", False),
        ("replicaset-controller", "create", "pods", True),
        ("replicaset-controller", "delete", "nodes", False),
        ("generic-garbage-collector", "delete", "widgets.example.com", True),
        ("generic-garbage-collector", "create", "pods", False),
        ("horizontal-pod-autoscaler", "update", "statefulsets.apps/scale", True),
        ("horizontal-pod-autoscaler", "update", "statefulsets.apps", False),
        ("namespace-controller", "deletecollection", "secrets", True),
        ("node-controller", "delete", "pods", True),
        ("none-controller", "get", "pods", False),
    ],
)
def test_controllers_may_what_they_do(rbac: Rbac, account: str, verb: str, resource: str, allowed: bool) -> None:
    user = f"system:serviceaccount:kube-system:{account}"
    groups = ("system:serviceaccounts", "system:authenticated")
    assert may(rbac, user, groups, verb, resource, "kube-system") is allowed
    # An account of the same name elsewhere is somebody else.
    assert not may(rbac, f"system:serviceaccount:default:{account}", groups, verb, resource, "kube-system")


def test_every_binding_leads_to_a_role(api: Any, rbac: Rbac) -> None:
    roles = {o["metadata"]["name"] for o in api.store.list(CLUSTER_ROLES)}
    bindings = api.store.list(CLUSTER_BINDINGS)
    assert {b["roleRef"]["name"] for b in bindings} <= roles
    controllers = {r for r in roles if r.startswith("system:controller:")}
    assert controllers <= {b["metadata"]["name"] for b in bindings}
    assert len(controllers) == 39
