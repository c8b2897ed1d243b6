"""NetworkPolicies are read as the network would apply them."""

from __future__ import annotations

from typing import Any

import pytest
from builders import NOW, app, case, edge, node, observation, series

from stratus.diagnosis.rules import RulesReasoner
from stratus.kit.clock import iso
from stratus.model.diagnosis import Hypothesis


def policy(name: str = "deny", *, age: float = 130.0, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": iso(NOW - age)},
        "spec": {"podSelector": {"matchLabels": {"app": "back"}}, "policyTypes": ["Ingress"], **spec},
    }  # fmt: skip


def blocked(*policies: dict[str, Any]) -> list[Hypothesis]:
    look = observation(
        *app("front"), *app("back"), node(), *policies,
        edges=(edge("", "front", errors=900), edge("front", "back", errors=900, message="i/o timeout")),
        baseline_edges=(edge("", "front"), edge("front", "back")),
        series=(series("front", errors=0.9),),
    )  # fmt: skip
    found = RulesReasoner().diagnose(case(look)).hypotheses
    return [h for h in found if h.fault == "network_blocked"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"ingress": []},
        {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}]},
        {"ingress": [{"ports": [{"port": 9999}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}]},
        {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]}]},
        {"policyTypes": ["Egress", "Ingress"], "egress": [], "ingress": []},
    ],
)
def test_policies_that_shut_the_caller_out(spec: dict[str, Any]) -> None:
    (found,) = blocked(policy(**spec))
    assert (found.object.name, found.facts["workload"]) == ("deny", "deployment/back")
    assert found.confidence > 0.85


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{}]},
        {"ingress": [{"from": [{"podSelector": {}}]}]},
        {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}], "ports": [{"port": 8080}]}]},
        {"ingress": [{"ports": [{"port": 8000, "endPort": 9000}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
        {"policyTypes": ["Egress"], "egress": [{}]},
        {"podSelector": {"matchLabels": {"app": "nobody"}}},
    ],
)
def test_policies_that_let_the_caller_in(spec: dict[str, Any]) -> None:
    assert blocked(policy(**spec)) == []


def test_another_policy_may_let_in_what_one_does_not() -> None:
    assert blocked(policy(), policy("allow", ingress=[{"from": [{"podSelector": {}}]}])) == []


def test_a_policy_that_is_plainly_not_enforced_is_hardly_suspected() -> None:
    look = observation(
        *app("front"), *app("back"), node(), policy(),
        edges=(edge("", "front", errors=900), edge("front", "back")),
        baseline_edges=(edge("", "front"), edge("front", "back")), series=(series("front", errors=0.9),),
    )  # fmt: skip
    found = [h for h in RulesReasoner().diagnose(case(look)).hypotheses if h.fault == "network_blocked"]
    assert all(h.confidence <= 0.25 and h.evidence_against for h in found)


def test_the_repair_opens_the_policy_before_it_is_deleted() -> None:
    look = observation(*app("front"), *app("back"), node(), policy(), series=(series("back", rate=0.0),))
    one = case(look)
    (found,) = [h for h in RulesReasoner().diagnose(one).hypotheses if h.fault == "network_blocked"]
    plan = RulesReasoner().plan(one, found)
    assert plan is not None
    assert plan.steps[0].command.startswith("kubectl patch networkpolicy/deny -n shop --type=merge")
