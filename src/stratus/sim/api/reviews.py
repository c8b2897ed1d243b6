"""Questions about access: may I, may they, who am I."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stratus.kit.clock import iso
from stratus.sim.api.access.tokens import AUDIENCE
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
        review["metadata"] = {"creationTimestamp": iso(server.clock.now())}
    elif name == "selfsubjectrulesreviews":
        review["status"] = _rules(server, user, spec.get("namespace", ""))
    elif name == "tokenreviews":
        review["status"] = _token(server, spec.get("token", ""), spec.get("audiences") or [])
    else:
        _check(review, resource)
        whom = user
        if name != "selfsubjectaccessreviews":
            whom = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        review["status"] = _decide(server, whom, spec)
    review.setdefault("metadata", {})
    return Response(201, review)


def _token(server: ApiServer, token: str, audiences: list[str]) -> Obj:
    known = server.tokens.get(token)
    good, why = audiences or [AUDIENCE], ""
    if known is None:
        known, good, why = server.issuer.check(token, audiences)
    if known is None:
        return {"user": {}, "error": why}
    return {"authenticated": True, "user": _user_info(known), "audiences": good}


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
    if not allowed:
        return {"allowed": False}
    why = server.rbac.reason(user.name, user.groups, spec)
    return {"allowed": True, "reason": why} if why else {"allowed": True}


def _rules(server: ApiServer, user: User, namespace: str) -> Obj:
    """List what a user may do in a namespace: the rules that hold, where somebody is held to rules at all."""
    if server.authorizer is None:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        return {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
    found = getattr(server.authorizer, "rules", server.rbac.rules)(user.name, user.groups, namespace)
    rules = list(found)
    return {
        "resourceRules": [r for r in rules if not r.get("nonResourceURLs")],
        "nonResourceRules": [r for r in rules if r.get("nonResourceURLs")],
        "incomplete": False,
    }
