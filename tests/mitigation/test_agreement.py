"""What the registry calls reversible, the transaction engine has an inverse for: two tables, one truth."""

from __future__ import annotations

import pytest

from stratus.mitigation.reversibility import CUSTOM, ReversibilityRule, reversibility_rules
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.refs import ObjectRef
from stratus.transaction.inverse import refusal

CASES = [
    (rule, kind, method)
    for rule in reversibility_rules()
    if rule.allowed
    for kind in rule.kinds
    for method in rule.writes
]


@pytest.mark.parametrize(
    ("rule", "kind", "method"), CASES, ids=[f"{r.verbs[0]}-{k}-{m.replace('/', '-')}" for r, k, m in CASES]
)
def test_the_engine_can_undo_what_lint_lets_through(rule: ReversibilityRule, kind: str, method: str) -> None:
    verb, _, subresource = method.partition("/")
    if rule.reversibility == "rewritable":
        verb, subresource = "PATCH", ""
    version = "example.org/v1" if kind == CUSTOM else "v1"
    target = ObjectRef(api_version=version, kind=kind, name="x", namespace="shop")
    write = ApiWrite(method=verb, target=target, plural="x", subresource=subresource)  # type: ignore[arg-type]
    planned = PlannedWrite(write=write, command="kubectl x", reversibility=rule.reversibility)
    assert refusal(planned) == ""


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("kind", ["Widget", "Service", "Deployment", "Pod"])
def test_the_engine_neither_makes_nor_deletes_custom_resources(kind: str, method: str) -> None:
    """Whatever they are called: a Service of another group is no Service."""
    target = ObjectRef(api_version="example.org/v1", kind=kind, name="x", namespace="shop")
    write = ApiWrite(method=method, target=target, plural="x")  # type: ignore[arg-type]
    assert f"{kind}.example.org" in refusal(PlannedWrite(write=write, command="kubectl x", reversibility="exact"))
