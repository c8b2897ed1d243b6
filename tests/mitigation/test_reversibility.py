"""The registry: default deny, no two rules for one change, and a page that is up to date."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

import stratus.sim.schema
from stratus.mitigation.reversibility import ANY, CUSTOM, classify, reversibility_rules, reversibility_table
from stratus.model.refs import BUILT_IN_GROUPS
from stratus.settings import PolicySettings

from .world import make, owner, write

SERVED = Path(stratus.sim.schema.__file__).with_name("resources.json")


def test_every_rule_says_what_a_reader_must_know() -> None:
    for rule in reversibility_rules():
        assert rule.undo or rule.reason, rule
        if rule.reversibility in ("equivalent", "rewritable"):
            assert rule.differs, rule
        if rule.reversibility == "rewritable":
            assert rule.rewrite, rule
            assert rule.rewritten, rule
        if not rule.allowed:
            assert rule.reason, rule
            assert rule.hint or rule.reversibility == "compensable", rule


def test_no_change_falls_under_two_rules() -> None:
    exclusive = {frozenset(p) for p in (("owned", "unowned"), ("orphan", "not_orphan"), ("token", "not_token"))}
    for one, other in combinations(reversibility_rules(), 2):
        same = all(set(getattr(one, f)) & set(getattr(other, f)) for f in ("verbs", "kinds", "writes"))
        if same:
            assert frozenset((one.when, other.when)) in exclusive, (one, other)


def test_what_is_allowed_is_a_kind_that_policy_knows() -> None:
    kinds = set(PolicySettings().kinds)
    for rule in reversibility_rules():
        if rule.allowed:
            assert set(rule.kinds) <= kinds | {CUSTOM}, rule


def test_every_built_in_kind_has_rows_of_its_own() -> None:
    """Whatever the server serves under its own groups: somebody has thought about it, and said why it is refused."""
    named = {kind for rule in reversibility_rules() for kind in rule.kinds} - {CUSTOM}
    groups = json.loads(SERVED.read_text(encoding="utf-8"))
    served = {
        (group["group"], row["kind"])
        for group in groups
        for row in group["resources"]
        if {"create", "update", "patch", "delete"} & set(row["verbs"])
    }
    assert len(served) > 50
    assert {kind for _, kind in served} == named
    assert {group for group, _ in served} <= BUILT_IN_GROUPS


@pytest.mark.parametrize("verb", ["label", "patch", "apply", "create", "delete", "scale", "sing"])
def test_a_kind_with_a_built_in_name_is_custom_all_the_same(verb: str) -> None:
    method = {"create": "POST", "delete": "DELETE"}.get(verb, "PATCH")
    built_in = write(method, "Service", "x")
    target = built_in.target.model_copy(update={"api_version": "serving.knative.dev/v1"})
    rule = classify(verb, built_in.model_copy(update={"target": target}), make("Service", "x"))
    assert rule.kinds == (CUSTOM,)
    assert rule.allowed == (verb in ("label", "patch", "apply"))


def test_what_is_left_over_comes_last() -> None:
    """`any` never stands in for a rule that names the verb."""
    page = reversibility_table()
    assert "everything else" in page
    for rule in reversibility_rules():
        assert (ANY in rule.verbs) == (rule.verbs == (ANY,)), rule
        assert not (rule.allowed and ANY in (*rule.verbs, *rule.writes)), rule
    held = make("Namespace", "x")
    assert "what others have put" in classify("create", write("POST", "Namespace", "x"), None).reason
    assert "everything in the namespace" in classify("delete", write("DELETE", "Namespace", "x"), held).reason
    assert "labels decide" in classify("label", write("PATCH", "Namespace", "x"), held).reason


@pytest.mark.parametrize(
    ("verb", "method", "kind", "subresource", "expected"),
    [
        ("scale", "PATCH", "Deployment", "scale", "exact"),
        ("scale", "DELETE", "Deployment", "", "irreversible"),  # the verb does not cover what it compiled to
        ("set image", "PATCH", "Deployment", "", "exact"),
        ("set image", "PATCH", "Service", "", "irreversible"),
        ("patch", "PATCH", "Deployment", "status", "irreversible"),
        ("rollout restart", "PATCH", "Deployment", "", "equivalent"),
        ("rollout undo", "PATCH", "DaemonSet", "", "equivalent"),
        ("create configmap", "POST", "ConfigMap", "", "exact"),  # by its first word
        ("run", "POST", "Pod", "", "irreversible"),
        ("create job", "POST", "Job", "", "irreversible"),
        ("exec", "POST", "Pod", "exec", "compensable"),
        ("delete", "DELETE", "PersistentVolumeClaim", "", "irreversible"),
        ("delete", "DELETE", "Namespace", "", "irreversible"),
        ("delete", "DELETE", "ClusterRole", "", "irreversible"),
        ("delete", "DELETE", "Service", "", "exact"),
        ("sing", "PATCH", "Deployment", "", "irreversible"),
        ("", "PATCH", "Deployment", "", "irreversible"),
    ],
)
def test_classes(verb: str, method: str, kind: str, subresource: str, expected: str) -> None:
    rule = classify(verb, write(method, kind, "x", subresource=subresource), make(kind, "x"))
    assert rule.reversibility == expected
    assert rule.allowed == (expected in ("exact", "equivalent"))


def test_a_pod_may_go_when_something_brings_it_back() -> None:
    gone = write("DELETE", "Pod", "p")
    assert classify("delete", gone, make("Pod", "p", metadata=owner("ReplicaSet", "r"))).reversibility == "equivalent"
    assert classify("delete", gone, make("Pod", "p")).reversibility == "irreversible"
    unmanaged = make("Pod", "p", metadata={"ownerReferences": [{"kind": "X", "name": "x", "uid": "u"}]})
    assert classify("delete", gone, unmanaged).reversibility == "irreversible"


def test_a_secret_may_go_unless_it_holds_a_token_or_cannot_be_read() -> None:
    gone = write("DELETE", "Secret", "s")
    assert classify("delete", gone, make("Secret", "s", type="Opaque")).reversibility == "exact"
    token = make("Secret", "s", type="kubernetes.io/service-account-token")
    assert classify("delete", gone, token).reversibility == "irreversible"
    assert classify("delete", gone, None).reversibility == "irreversible"


def test_a_workload_is_parked_unless_its_dependents_are_kept() -> None:
    held = make("Deployment", "d")
    orphaning = write("DELETE", "Deployment", "d", {"propagationPolicy": "Orphan"})
    for body in (None, {}, {"propagationPolicy": "Background"}, {"propagationPolicy": "Foreground"}):
        assert classify("delete", write("DELETE", "Deployment", "d", body), held).reversibility == "rewritable"
    assert classify("delete", orphaning, held).reversibility == "exact"


def test_a_server_side_apply_that_creates_is_a_creation() -> None:
    applied = write("PATCH", "ConfigMap", "c", {}, patch_type="application/apply-patch+yaml")
    assert "deleted" in classify("apply", applied, None).undo
    assert "set back" in classify("apply", applied, make("ConfigMap", "c")).undo
