"""Policy as data: images, privileges, protected labels, owners, blast radius and windows, each with its neighbour."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.kit.clock import parse_iso
from stratus.model.actions import ApiWrite, MitigationPlan
from stratus.model.base import Json
from stratus.rules import BlastRadius, ChangeWindow, Freeze, ImageRules, OwnerRule
from stratus.settings import PolicySettings, Settings

from .world import World, codes, lint_one, make, owner, pods, ref, scale, set_image, template, web, write


def policy(**more: Any) -> Settings:
    return Settings(policy=PolicySettings(**more))


# --- images

HERE = "registry.local/shop/web"
IMAGES = [
    # what the rules say, the image, for an agent, for a person
    (ImageRules(), f"{HERE}:v3", [], []),
    (ImageRules(), "evil.example/x:1", ["unknown_image"], []),
    (ImageRules(deny=("*:latest",)), f"{HERE}:latest", ["denied_image"], ["denied_image"]),
    (ImageRules(deny=("*:latest",)), HERE, ["denied_image"], ["denied_image"]),
    (ImageRules(deny=("*:latest",)), f"{HERE}:v3", [], []),
    (ImageRules(allow=("registry.local/*",)), "registry.local/other/thing:1", [], []),
    (ImageRules(allow=("registry.local/*",)), "evil.example/x:1", ["denied_image"], ["denied_image"]),
    (ImageRules(allow=("registry.local/*",), deny=("*/o",)), "registry.local/o", ["denied_image"], ["denied_image"]),
    (ImageRules(allow=("registry.local:5000/*",)), "registry.local:5000/web", [], []),
    (ImageRules(deny=("registry.local/*@sha256:*",)), f"{HERE}@sha256:0a", ["denied_image"], ["denied_image"]),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "image", "agent", "person"), IMAGES)
def test_images(rules: ImageRules, image: str, agent: list[str], person: list[str]) -> None:
    settings = policy(images=rules)
    change = set_image("web", image)
    assert codes(lint_one(World(web()), "set image", change, settings=settings)) == agent
    assert codes(lint_one(World(web()), "set image", change, settings=settings, author="person")) == person


def test_an_image_that_is_there_already_is_not_brought_in() -> None:
    """A workload with an image that policy denies may still be scaled."""
    settings = policy(images=ImageRules(deny=("*",)))
    assert codes(lint_one(World(web()), "scale", scale("web", 5), settings=settings)) == []


# --- privileges and labels


def test_a_privilege_may_be_named_and_no_other_comes_with_it() -> None:
    change = write("PATCH", "Deployment", "web", {"spec": {"template": {"spec": {"hostNetwork": True}}}})
    refused = lint_one(World(web()), "patch", change)
    assert codes(refused) == ["privilege"]
    named = refused.refusals[0].message.rpartition(" gain ")[2]
    assert codes(lint_one(World(web()), "patch", change, settings=policy(privileges=(named,)))) == []
    both = write("PATCH", "Deployment", "web", {"spec": {"template": {"spec": {"hostNetwork": True, "hostPID": True}}}})
    assert codes(lint_one(World(web()), "patch", both, settings=policy(privileges=(named,)))) == ["privilege"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("critical-db", ["protected_object"]), ("Critical-DB", ["protected_object"]), ("canary", [])],
)
def test_protected_labels(value: str, expected: list[str]) -> None:
    settings = policy(protected_labels={"tier": "critical-*"})
    held = web(labels={"tier": value})
    assert codes(lint_one(World(held), "scale", scale("web", 5), settings=settings)) == expected


def test_a_protecting_label_is_neither_set_nor_changed_nor_removed() -> None:
    settings = policy(protected_labels={"tier": "critical-*"})
    for held, wanted in (({}, "critical-db"), ({"tier": "canary"}, "stable"), ({"tier": "canary"}, None)):
        change = write("PATCH", "Deployment", "web", {"metadata": {"labels": {"tier": wanted}}})
        refused = lint_one(World(web(labels=held)), "label", change, settings=settings)
        assert codes(refused) == ["protected_label"], (held, wanted)
    other = write("PATCH", "Deployment", "web", {"metadata": {"labels": {"team": "a"}}})
    assert codes(lint_one(World(web(labels={"tier": "canary"})), "label", other, settings=settings)) == []


# --- owners

CROSSPLANE = OwnerRule(
    name="Crossplane", managers=("*.crossplane.io",), labels=("crossplane.io/composite",), source="the Composition"
)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"managedFields": [{"manager": "apiextensions.crossplane.io"}]}, ["gitops"]),
        ({"managedFields": [{"manager": "apiextensions.crossplane.io", "subresource": "status"}]}, []),
        ({"labels": {"crossplane.io/composite": "x"}}, ["gitops"]),
        ({"annotations": {"crossplane.io/composite": "x"}}, ["gitops"]),
        ({"managedFields": [{"manager": "kubectl-edit"}]}, []),
    ],
)
def test_owners_that_the_operator_names(marks: Json, expected: list[str]) -> None:
    plan = lint_one(World(web(**marks)), "scale", scale("web", 5), settings=policy(owners=(CROSSPLANE,)))
    assert codes(plan) == expected
    if expected:
        assert plan.refusals[0].hint == "change the Composition"
    assert codes(lint_one(World(web(**marks)), "scale", scale("web", 5))) == [], "only when it is told"


def test_an_owner_that_nothing_tells_is_no_rule() -> None:
    with pytest.raises(ValueError, match="at least one by which"):
        OwnerRule(name="x")


# --- blast radius


def serving(name: str = "web", replicas: int = 4, ready: int = 4, **spec: Any) -> Json:
    held = web(name, replicas)
    held["spec"] |= spec
    return {**held, "status": {"readyReplicas": ready}}


RECREATE = {"strategy": {"type": "Recreate"}}
HALF = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}}


@pytest.mark.parametrize(
    ("held", "change", "share", "expected"),
    [
        (serving(**RECREATE), set_image("web", f"{HERE}:v3"), 0.5, ["blast_radius"]),
        (serving(**RECREATE), set_image("web", f"{HERE}:v3"), 1.0, []),
        (serving(**RECREATE, ready=0), set_image("web", f"{HERE}:v3"), 0.5, []),  # nothing to lose
        (serving(**HALF), set_image("web", f"{HERE}:v3"), 0.5, []),
        (serving(**HALF), set_image("web", f"{HERE}:v3"), 0.4, ["blast_radius"]),
        (serving(), scale("web", 1), 0.5, ["blast_radius"]),
        (serving(), scale("web", 2), 0.5, []),
        (serving(), scale("web", 8), 0.1, []),
        (serving(), write("PATCH", "Deployment", "web", {"metadata": {"labels": {"a": "b"}}}), 0.1, []),
    ],
)
def test_the_share_of_a_workloads_pods(held: Json, change: ApiWrite, share: float, expected: list[str]) -> None:
    verb = "scale" if change.subresource == "scale" else "patch"
    plan = lint_one(World(held), verb, change, settings=policy(blast_radius=BlastRadius(share=share)))
    assert codes(plan) == expected
    if expected:
        assert f"at most {share:.0%}" in plan.refusals[0].message


def test_pods_that_are_deleted_count_for_their_controller() -> None:
    kept = make("ReplicaSet", "web-1", spec={"replicas": 4, **pods()}, status={"readyReplicas": 4})
    names = [f"web-1-{i}" for i in range(3)]
    ill = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    owned = [make("Pod", name, metadata=owner("ReplicaSet", "web-1"), **ill) for name in names]
    for pod in owned:
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
    deletions = [write("DELETE", "Pod", name) for name in names]
    settings = policy(blast_radius=BlastRadius(share=0.5))
    assert codes(lint_one(World(kept, *owned), "delete", *deletions[:2], settings=settings)) == []
    plan = lint_one(World(kept, *owned), "delete", *deletions, settings=settings)
    assert codes(plan) == ["blast_radius"]
    assert "3 of 4 pods of shop/ReplicaSet/web-1" in plan.refusals[0].message


def test_objects_and_namespaces_of_one_plan() -> None:
    objects = [make("ConfigMap", name, space, data={}) for name in "ab" for space in ("shop", "bar")]
    changes = [
        write("PATCH", "ConfigMap", name, {"data": {"k": "v"}}, namespace=space)
        for name in "ab"
        for space in ("shop", "bar")
    ]

    def found(radius: BlastRadius, *writes: ApiWrite) -> MitigationPlan:
        settings = policy(blast_radius=radius)
        return lint_one(World(*objects), "patch", *writes, settings=settings, allowed_namespaces=("shop", "bar"))

    assert codes(found(BlastRadius(), *changes)) == []
    assert codes(found(BlastRadius(objects=3), *changes)) == ["blast_radius"]
    assert codes(found(BlastRadius(objects=4, namespaces=2), *changes)) == []
    assert codes(found(BlastRadius(namespaces=1), *changes)) == ["blast_radius"]
    assert codes(found(BlastRadius(namespaces=1), changes[0], changes[2])) == []


# --- windows

MONDAY, SUNDAY = parse_iso("2026-01-05T12:00:00Z"), parse_iso("2026-01-04T12:00:00Z")
OFFICE = policy(windows=(ChangeWindow(name="office", days=("mon",), start="09:00", end="17:00"),))


def test_a_plan_waits_for_its_window() -> None:
    def found(at: float | None, settings: Settings = OFFICE, **more: Any) -> MitigationPlan:
        return lint_one(World(web()), "scale", scale("web", 5), settings=settings, at=at, **more)

    assert codes(found(MONDAY)) == []
    refused = found(SUNDAY)
    assert codes(refused) == ["change_window"]
    assert "office" in refused.refusals[0].message
    assert "2026-01-05 09:00 UTC" in refused.refusals[0].hint
    assert codes(found(SUNDAY, author="person")) == ["change_window"], "people have limits, too"
    assert codes(found(None)) == [], "what is only proposed may be proposed at any time"
    freeze = Freeze(name="x", start="2026-01-01T00:00", end="2026-02-01T00:00", namespaces=("shop",))
    assert codes(found(MONDAY, policy(freezes=(freeze,)))) == ["change_window"]
    assert codes(found(MONDAY, policy(freezes=(freeze.model_copy(update={"namespaces": ("other",)}),)))) == []


def test_a_plan_with_more_than_its_time_against_it_is_told_the_rest_first() -> None:
    """A command that could never be executed is not kept back for the next window."""
    refused = lint_one(World(web()), "set image", set_image("web", "evil.example/x:1"), settings=OFFICE, at=SUNDAY)
    assert codes(refused) == ["unknown_image"]


def test_the_window_of_an_object_of_the_cluster() -> None:
    node = make("Node", "n", spec={})
    change = write("PATCH", "Node", "n", {"spec": {"unschedulable": True}})
    from .world import blames

    settings = policy(windows=(ChangeWindow(name="office", days=("mon",), namespaces=("shop",)),))
    more: dict[str, Any] = {"settings": settings, "hypothesis": blames("Node", "n")}
    assert codes(lint_one(World(node), "cordon", change, at=SUNDAY, **more)) == ["change_window"]
    assert codes(lint_one(World(node), "cordon", change, at=MONDAY, **more)) == []
    assert ref("Node", "n").namespace == ""


def test_a_template_change_without_pods_is_no_blast() -> None:
    held = serving(replicas=0, ready=0, **RECREATE)
    change = template("web", {"name": "web", "image": f"{HERE}:v3"})
    assert codes(lint_one(World(held), "patch", change, settings=policy(blast_radius=BlastRadius(share=0.1)))) == []
