"""Questions about access: may I, may they, who am I."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stratus.sim.api.bodies import decode_typed, read_document
from stratus.sim.api.messages import Request, Response, User
from stratus.sim.api.options import write_options
from stratus.sim.api.resources import Resource
from stratus.sim.api.routing import Query
from stratus.sim.api.status import Problems, invalid

if TYPE_CHECKING:
    from stratus.sim.api.server import ApiServer

Obj = dict[str, Any]
GROUPS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
KINDS = frozenset(
    {
        "selfsubjectaccessreviews",
        "subjectaccessreviews",
        "localsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "selfsubjectreviews",
        "tokenreviews",
    }
)


def answer(
    server: ApiServer, request: Request, resource: Resource, namespace: str, user: User, query: Query
) -> Response:
    """Answer one review."""
    options, validation = write_options(request, query, "create")
    parsed = read_document(request, resource.kind, resource.group, resource.version)
    review = decode_typed(
        resource.type, resource.kind, resource.group, resource.version, parsed, validation, options.warnings
    )
    spec = review.setdefault("spec", {})
    name = resource.name
    if name == "selfsubjectreviews":
        review.pop("spec", None)
        review["status"] = {"userInfo": _user_info(user)}
    elif name == "selfsubjectrulesreviews":
        review["status"] = _rules(server, user, spec.get("namespace", ""))
    elif name == "tokenreviews":
        known = server.tokens.get(spec.get("token", ""))
        review["status"] = {"authenticated": True, "user": _user_info(known)} if known else {"user": {}}
        if not known:
            review["status"]["error"] = "invalid bearer token"
    else:
        _check(review, resource)
        whom = user
        if name != "selfsubjectaccessreviews":
            whom = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        review["status"] = _decide(server, whom, spec)
    review.setdefault("metadata", {})
    return Response(201, review)


def _user_info(user: User) -> Obj:
    info: Obj = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {k: list(v) for k, v in user.extra.items()}
    return info


def _check(review: Obj, resource: Resource) -> None:
    spec = review["spec"]
    problems = Problems()
    have = [spec.get(k) is not None for k in ("resourceAttributes", "nonResourceAttributes")]
    if have.count(True) != 1:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        problems.invalid("spec.resourceAttributes", None, detail)
    if resource.name != "selfsubjectaccessreviews" and not spec.get("user") and not spec.get("groups"):
        problems.invalid("spec.user", "", "at least one of user or group must be specified")
    if problems:
        raise invalid("authorization.k8s.io", "", "", problems)


def _decide(server: ApiServer, user: User, spec: Obj) -> Obj:
    if server.authorizer is None:
        return {"allowed": True}
    attributes = spec.get("resourceAttributes")
    if attributes is None:
        path = spec["nonResourceAttributes"]
        allowed = server.authorizer(user.name, user.groups, path.get("verb", ""), path.get("path", ""), "", "")
    else:
        group, resource = attributes.get("group", ""), attributes.get("resource", "")
        qualified = f"{resource}.{group}" if group else resource
        if attributes.get("subresource"):
            qualified += f"/{attributes['subresource']}"
        allowed = server.authorizer(
            user.name, user.groups, attributes.get("verb", ""), qualified, attributes.get("namespace", ""),
            attributes.get("name", ""),
        )  # fmt: skip
    return {"allowed": True} if allowed else {"allowed": False}


def _rules(server: ApiServer, user: User, namespace: str) -> Obj:
    """List what a user may do: for each resource, the verbs that are allowed."""
    if server.authorizer is None:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        return {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
    rules = []
    for gv in server.registry.group_versions():
        by_verbs: dict[tuple[str, ...], list[str]] = {}
        for resource in gv.resources.values():
            verbs = tuple(
                v for v in resource.verbs
                if server.authorizer(user.name, user.groups, v, resource.qualified, namespace, "")
            )  # fmt: skip
            if verbs:
                by_verbs.setdefault(verbs, []).append(resource.name)
        for verbs, names in by_verbs.items():
            rules.append({"verbs": list(verbs), "apiGroups": [gv.group], "resources": names})
    return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
