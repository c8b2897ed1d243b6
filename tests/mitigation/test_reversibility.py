"""The registry: default deny, no two rules for one change, and a page that is up to date."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from stratus.mitigation.reversibility import classify, main, reversibility_rules, reversibility_table
from stratus.settings import PolicySettings

from .world import make, owner, write

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reversibility.md"


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    main([str(tmp_path / "page.md")])
    fresh = (tmp_path / "page.md").read_text()
    assert fresh == reversibility_table()
    assert PAGE.read_text() == fresh, "run: python -m stratus.mitigation.reversibility docs/reference/reversibility.md"


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
            assert set(rule.kinds) <= kinds, rule


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
