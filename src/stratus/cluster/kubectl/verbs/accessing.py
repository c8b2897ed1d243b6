"""The objects that `kubectl create KIND` makes of flags: access rights, quotas, budgets, priorities."""

from __future__ import annotations

from collections.abc import Callable

from stratus.cluster.kubectl.context import Context, pairs, refuse
from stratus.kit.kube import quantity
from stratus.model.base import Json

_RBAC = "rbac.authorization.k8s.io"


def _object(api_version: str, kind: str, name: str, **rest: object) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def _several(ctx: Context, flag: str) -> list[str]:
    values = [v for text in ctx.parsed.many(flag) for v in text.split(",") if v]
    return list(dict.fromkeys(values))


def role(ctx: Context, name: str) -> Json:
    """`create role|clusterrole NAME --verb=V --resource=R[.G][/SUB]`."""
    cluster = ctx.parsed.verb == "create clusterrole"
    verbs, names = _several(ctx, "verb"), _several(ctx, "resource-name")
    urls = _several(ctx, "non-resource-url")
    groups: dict[str, list[str]] = {}
    for text in _several(ctx, "resource"):
        word, _, sub = text.partition("/")
        resource = ctx.resource(word)
        groups.setdefault(resource.group, []).append(f"{resource.plural}/{sub}" if sub else resource.plural)
    aggregated = ctx.parsed.one("aggregation-rule")
    if aggregated:
        if verbs or groups or urls or names:
            raise refuse("contradictory_flags", "--aggregation-rule stands alone", "drop the other flags")
        chosen = pairs(tuple(aggregated.split(",")), "a label")
        rule = {"clusterRoleSelectors": [{"matchLabels": chosen}]}
        return _object(f"{_RBAC}/v1", "ClusterRole", name, aggregationRule=rule, rules=[])
    if not verbs or not (groups or urls):
        raise refuse("missing_argument", "--verb and --resource are needed", "write --verb=get --resource=pods")
    extra: Json = {"resourceNames": names} if names else {}
    rules: list[Json] = [
        {"verbs": verbs, "apiGroups": [group], "resources": found, **extra} for group, found in sorted(groups.items())
    ]
    if urls:
        rules.append({"verbs": verbs, "nonResourceURLs": urls})
    return _object(f"{_RBAC}/v1", "ClusterRole" if cluster else "Role", name, rules=rules)


def binding(ctx: Context, name: str) -> Json:
    """`create rolebinding|clusterrolebinding NAME --role=R --user=U --group=G --serviceaccount=NS:NAME`."""
    cluster = ctx.parsed.verb == "create clusterrolebinding"
    role_name, cluster_role = ctx.parsed.one("role"), ctx.parsed.one("clusterrole")
    if bool(role_name) == bool(cluster_role):
        raise refuse("missing_argument", "Exactly one role is needed", "write --role=NAME or --clusterrole=NAME")
    kind = "Role" if role_name else "ClusterRole"
    reference = {"apiGroup": _RBAC, "kind": kind, "name": role_name or cluster_role}
    body = _object(f"{_RBAC}/v1", "ClusterRoleBinding" if cluster else "RoleBinding", name, roleRef=reference)
    found = subjects(ctx)
    return {**body, "subjects": found} if found else body


def subjects(ctx: Context) -> list[Json]:
    """Return the subjects that --user, --group and --serviceaccount name, in that order."""
    found: list[Json] = [{"kind": "User", "apiGroup": _RBAC, "name": n} for n in _several(ctx, "user")]
    found += [{"kind": "Group", "apiGroup": _RBAC, "name": n} for n in _several(ctx, "group")]
    for text in _several(ctx, "serviceaccount"):
        space, _, account = text.partition(":")
        if not space or not account:
            raise refuse("bad_value", f"--serviceaccount={text} is incomplete", "write --serviceaccount=NAMESPACE:NAME")
        found.append({"kind": "ServiceAccount", "name": account, "namespace": space})
    return found


def quota(ctx: Context, name: str) -> Json:
    """`create quota NAME --hard=cpu=1,pods=2 [--scopes=S]`."""
    spec: Json = {}
    hard = pairs(tuple(filter(None, ctx.parsed.one("hard").split(","))), "an amount")
    for key, value in hard.items():
        if quantity(value) is None:
            raise refuse("bad_value", f"{value!r} is not an amount of {key}", "write amounts as 200m, 1, 64Mi")
    if hard:
        spec["hard"] = hard
    if ctx.parsed.one("scopes"):
        spec["scopes"] = _several(ctx, "scopes")
    return _object("v1", "ResourceQuota", name, spec=spec)


def disruption_budget(ctx: Context, name: str) -> Json:
    """`create poddisruptionbudget NAME --selector=K=V --min-available=N|--max-unavailable=N`."""
    selector = pairs(tuple(filter(None, ctx.parsed.one("selector").split(","))), "a label")
    least, most = ctx.parsed.one("min-available"), ctx.parsed.one("max-unavailable")
    if not selector:
        raise refuse("missing_argument", "--selector is needed", "write --selector=KEY=VALUE")
    if bool(least) == bool(most):
        raise refuse(
            "missing_argument", "Exactly one bound is needed", "write --min-available=N or --max-unavailable=N"
        )
    text = least or most
    if not text.removesuffix("%").isdigit():
        raise refuse("bad_value", f"{text!r} is neither a number nor a percentage", "write 1 or 50%")
    value: int | str = int(text) if text.isdigit() else text
    bound = {"minAvailable" if least else "maxUnavailable": value}
    return _object("policy/v1", "PodDisruptionBudget", name, spec={**bound, "selector": {"matchLabels": selector}})


def priority_class(ctx: Context, name: str) -> Json:
    """`create priorityclass NAME --value=N`."""
    body = _object("scheduling.k8s.io/v1", "PriorityClass", name, value=ctx.number("value"))
    if ctx.parsed.one("description"):
        body["description"] = ctx.parsed.one("description")
    if ctx.parsed.on("global-default"):
        body["globalDefault"] = True
    body["preemptionPolicy"] = ctx.parsed.one("preemption-policy", "PreemptLowerPriority")
    return body


GENERATORS: dict[str, Callable[[Context, str], Json]] = {
    "role": role,
    "clusterrole": role,
    "rolebinding": binding,
    "clusterrolebinding": binding,
    "quota": quota,
    "poddisruptionbudget": disruption_budget,
    "priorityclass": priority_class,
}
