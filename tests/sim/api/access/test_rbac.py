"""Roles that really deny: bindings, aggregation, names, paths, escalation, impersonation, reviews."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stratus.sim.api import ANONYMOUS, ApiServer, Request, Response, User
from stratus.sim.api.access.builtin import furnish_roles
from stratus.sim.api.access.rbac import path_covered, resource_covered
from stratus.sim.identities import VIEWER, Access

ROLES = "/apis/rbac.authorization.k8s.io/v1"
JANE = User("jane", ("dev", "system:authenticated"))
NOBODY = User("nobody", ("system:authenticated",))
ADMIN = User()
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def guarded(make: Any) -> Iterator[ApiServer]:
    api: ApiServer = make.api()
    furnish_roles(api.store)
    api.authorizer = Access(api.rbac)
    make.namespace(api, "other")
    yield api
    api.close()


@pytest.fixture
def ask(guarded: ApiServer) -> Ask:
    def do(user: User, method: str, path: str, obj: Any = None, **headers: str) -> tuple[int, Any]:
        low = {k.replace("_", "-"): v for k, v in headers.items()}
        answer = guarded.handle(Request(method, path, low, user=user, obj=obj))
        assert isinstance(answer, Response)
        return answer.status, answer.obj

    return do


def role(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more.pop("meta", {})}, "rules": list(rules), **more}


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": [group], **more}


def binding(name: str, kind: str, to: str, *subjects: dict[str, str]) -> dict[str, Any]:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to}
    return {"metadata": {"name": name}, "roleRef": ref, "subjects": list(subjects)}


def person(name: str, kind: str = "User") -> dict[str, str]:
    return {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def test_nobody_may_anything_and_is_told_what(ask: Ask) -> None:
    status, obj = ask(NOBODY, "GET", "/api/v1/namespaces/default/pods")
    text = 'pods is forbidden: User "nobody" cannot list resource "pods" in API group "" in the namespace "default"'
    assert (status, obj["message"], obj["reason"]) == (403, text, "Forbidden")
    status, obj = ask(NOBODY, "GET", "/metrics")
    assert (status, obj["message"]) == (403, 'forbidden: User "nobody" cannot get path "/metrics"')
    assert ask(ANONYMOUS, "GET", "/version")[0] == 200
    assert ask(ANONYMOUS, "GET", "/apis")[0] == 403
    assert ask(NOBODY, "GET", "/apis/apps/v1")[0] == 200
    assert ask(ADMIN, "GET", "/api/v1/namespaces/default/pods")[0] == 200


def test_a_binding_in_a_namespace_holds_there_only_and_ends_with_it(ask: Ask) -> None:
    path = f"{ROLES}/namespaces/default"
    assert (
        ask(ADMIN, "POST", f"{path}/rolebindings", binding("b", "ClusterRole", "view", person("dev", "Group")))[0]
        == 201
    )
    assert ask(JANE, "GET", "/api/v1/namespaces/default/pods")[0] == 200
    assert ask(JANE, "GET", "/api/v1/namespaces/default/secrets")[0] == 403
    assert ask(JANE, "GET", "/api/v1/namespaces/other/pods")[0] == 403
    assert ask(JANE, "GET", "/api/v1/pods")[0] == 403
    assert ask(JANE, "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}})[0] == 403
    assert ask(ADMIN, "DELETE", f"{path}/rolebindings/b")[0] == 200
    assert ask(JANE, "GET", "/api/v1/namespaces/default/pods")[0] == 403


def test_names_subresources_and_accounts(ask: Ask) -> None:
    path = f"{ROLES}/namespaces/default"
    rules = [rule("get", "configmaps", resourceNames=["one"]), rule("get", "pods/log"), rule("list", "*/scale", "apps")]
    ask(ADMIN, "POST", f"{path}/roles", role("r", *rules))
    account = {"kind": "ServiceAccount", "name": "robot", "namespace": "other"}
    ask(ADMIN, "POST", f"{path}/rolebindings", binding("b", "Role", "r", account))
    robot = User("system:serviceaccount:other:robot", ("system:authenticated",))
    assert ask(robot, "GET", "/api/v1/namespaces/default/configmaps/one")[0] == 404
    assert ask(robot, "GET", "/api/v1/namespaces/default/configmaps/two")[0] == 403
    assert ask(robot, "GET", "/api/v1/namespaces/default/configmaps")[0] == 403
    assert ask(robot, "GET", "/api/v1/namespaces/default/pods/p")[0] == 403
    assert ask(robot, "GET", "/api/v1/namespaces/default/pods/p/log")[0] == 404
    assert resource_covered("deployments/scale", ["*/scale"])
    assert not resource_covered("deployments", ["*/scale"])
    assert path_covered("/healthz/etcd", ["/healthz/*"])
    assert not path_covered("/healthzz", ["/healthz/*", "/healthz"])


def test_nobody_grants_what_they_do_not_hold(ask: Ask) -> None:
    path = f"{ROLES}/namespaces/default"
    ask(ADMIN, "POST", f"{path}/rolebindings", binding("b", "ClusterRole", "admin", person("jane")))
    status, obj = ask(JANE, "POST", f"{path}/roles", role("up", rule("get list", "nodes"), rule("get", "pods")))
    assert status == 403
    assert obj["message"] == (
        'roles.rbac.authorization.k8s.io "up" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    assert ask(JANE, "POST", f"{path}/roles", role("same", rule("get list", "pods")))[0] == 201
    up = [{"op": "add", "path": "/rules/0/verbs/-", "value": "escalate"}]
    media = "application/json-patch+json"
    assert ask(JANE, "PATCH", f"{path}/roles/same", up, content_type=media)[0] == 403
    to_root = binding("root", "ClusterRole", "cluster-admin", person("jane"))
    assert ask(JANE, "POST", f"{path}/rolebindings", to_root)[0] == 403
    assert ask(JANE, "POST", f"{path}/rolebindings", binding("v", "ClusterRole", "view", person("bob")))[0] == 201
    assert ask(JANE, "POST", f"{path}/rolebindings", binding("m", "Role", "missing", person("bob")))[0] == 404
    # Those who may bind or escalate may.
    grant = role("grant", rule("bind", "clusterroles", "rbac.authorization.k8s.io", resourceNames=["cluster-admin"]))
    ask(ADMIN, "POST", f"{ROLES}/clusterroles", grant)
    ask(ADMIN, "POST", f"{ROLES}/clusterrolebindings", binding("g", "ClusterRole", "grant", person("jane")))
    assert ask(JANE, "POST", f"{path}/rolebindings", to_root)[0] == 201
    assert ask(JANE, "POST", f"{path}/roles", role("up", rule("*", "*", "*")))[0] == 201


def test_impersonation_needs_the_right_and_takes_the_rights(ask: Ask) -> None:
    pods = "/api/v1/namespaces/default/pods"
    status, obj = ask(NOBODY, "GET", pods, impersonate_user="bob")
    cannot = 'User "nobody" cannot impersonate resource "users" in API group "" at the cluster scope'
    why = f'users "bob" is forbidden: {cannot}'
    assert (status, obj["message"]) == (403, why)
    status, obj = ask(ADMIN, "GET", pods, impersonate_user="bob")
    assert (status, 'User "bob" cannot list' in obj["message"]) == (403, True)
    assert ask(ADMIN, "GET", pods, impersonate_user="bob", impersonate_group="system:masters,x")[0] == 200
    assert ask(ADMIN, "GET", pods, impersonate_group="x")[0] == 400
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    _, obj = ask(ADMIN, "POST", who, {}, impersonate_user="system:serviceaccount:default:robot")
    groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert obj["status"]["userInfo"]["groups"] == groups
    # The right to act as one account is no right to act as a user or in a group.
    ask(ADMIN, "POST", f"{ROLES}/clusterroles", role("act", rule("impersonate", "serviceaccounts")))
    ask(ADMIN, "POST", f"{ROLES}/clusterrolebindings", binding("act", "ClusterRole", "act", person("jane")))
    assert ask(JANE, "POST", who, {}, impersonate_user="system:serviceaccount:default:robot")[0] == 201
    refused = ask(
        JANE,
        "POST",
        who,
        {},
        impersonate_user="system:serviceaccount:default:robot",
        impersonate_group="system:masters",
    )
    assert refused[0] == 403
    assert ask(JANE, "POST", who, {}, impersonate_user="kubernetes-admin")[0] == 403


def test_reviews_say_what_holds_and_why(ask: Ask) -> None:
    base = "/apis/authorization.k8s.io/v1"
    ask(ADMIN, "POST", f"{ROLES}/namespaces/default/rolebindings", binding("b", "ClusterRole", "edit", person("jane")))
    asked = {"verb": "delete", "resource": "deployments", "group": "apps", "namespace": "default"}
    _, obj = ask(JANE, "POST", f"{base}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": asked}})
    why = 'RBAC: allowed by RoleBinding "b/default" of ClusterRole "edit" to User "jane"'
    assert obj["status"] == {"allowed": True, "reason": why}
    elsewhere = {"spec": {"resourceAttributes": {**asked, "namespace": "other"}}}
    assert ask(JANE, "POST", f"{base}/selfsubjectaccessreviews", elsewhere)[1]["status"] == {"allowed": False}
    about = {"spec": {"user": "jane", "resourceAttributes": asked}}
    assert ask(NOBODY, "POST", f"{base}/subjectaccessreviews", about)[0] == 403
    assert ask(ADMIN, "POST", f"{base}/subjectaccessreviews", about)[1]["status"]["allowed"]
    _, obj = ask(NOBODY, "POST", f"{base}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
    assert [r["resources"] for r in obj["status"]["resourceRules"]] == [
        ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ["selfsubjectreviews"],
    ]
    assert len(obj["status"]["nonResourceRules"]) == 2


def test_built_in_roles_gather_and_do_not_use_up_the_generator(make: Any) -> None:
    api = make.api()
    before = api.rng.getstate()
    furnish_roles(api.store)
    assert api.rng.getstate() == before
    rules = {
        n: api.store.get("clusterroles.rbac.authorization.k8s.io", "", n)["rules"] for n in ("view", "edit", "admin")
    }
    assert all(r in rules["edit"] for r in rules["view"])
    assert all(r in rules["admin"] for r in rules["edit"])
    assert not any("secrets" in (r.get("resources") or ()) for r in rules["view"])
    api.close()


def test_the_viewer_of_stratus_reads_all_but_secrets(ask: Ask) -> None:
    assert ask(VIEWER, "GET", "/api/v1/nodes")[0] == 200
    assert ask(VIEWER, "GET", "/api/v1/secrets")[0] == 403
    assert (
        ask(VIEWER, "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", {"metadata": {"name": "x"}})[0] == 403
    )
