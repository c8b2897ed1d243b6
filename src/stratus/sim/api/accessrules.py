"""Rules of roles, their bindings, and webhooks."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import fieldrules
from stratus.sim.api.fieldrules import maybe_one_of
from stratus.sim.api.rulebase import Change, Rule, label_selector
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def _rules(namespaced: bool) -> Rule:
    def fn(o: Obj, problems: Problems) -> None:
        for index, rule in enumerate(o.get("rules") or ()):
            _policy(f"rules[{index}]", rule, namespaced, problems)
        aggregation = o.get("aggregationRule")
        if namespaced or aggregation is None:
            return
        path, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            problems.required(path, text)
        for index, selector in enumerate(selectors):
            label_selector(f"{path}[{index}]", selector, problems)

    return fn


def _policy(here: str, rule: Obj, namespaced: bool, problems: Problems) -> None:
    if not rule.get("verbs"):
        problems.required(f"{here}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            text = "namespaced rules cannot apply to non-resource URLs"
            problems.invalid(f"{here}.nonResourceURLs", urls, text)
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            problems.invalid(f"{here}.nonResourceURLs", urls, text)
        return
    if not rule.get("apiGroups"):
        problems.required(f"{here}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        problems.required(f"{here}.resources", "resource rules must supply at least one resource")


def _binding(namespaced: bool) -> Rule:
    kinds = ["Role", "ClusterRole"] if namespaced else ["ClusterRole"]

    def fn(o: Obj, problems: Problems) -> None:
        ref = o.get("roleRef") or {}
        if ref.get("apiGroup") != _GROUP:
            problems.unsupported("roleRef.apiGroup", ref.get("apiGroup", ""), [_GROUP])
        if ref.get("kind", "") not in kinds:
            problems.unsupported("roleRef.kind", ref.get("kind", ""), kinds)
        if not ref.get("name"):
            problems.required("roleRef.name")
        else:
            fieldrules.path_segment("roleRef.name", ref["name"], problems)
        for index, subject in enumerate(o.get("subjects") or ()):
            _subject(f"subjects[{index}]", subject, namespaced, problems)

    return fn


def _subject(here: str, subject: Obj, namespaced: bool, problems: Problems) -> None:
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if not subject.get("name"):
        problems.required(f"{here}.name")
    if kind == "ServiceAccount":
        if subject.get("name"):
            fieldrules.subdomain(f"{here}.name", subject["name"], problems)
        if group:
            problems.unsupported(f"{here}.apiGroup", group, [""])
        # A RoleBinding may leave out an account's namespace; it then names nobody.
        if not namespaced and not subject.get("namespace"):
            problems.required(f"{here}.namespace")
    elif kind in ("User", "Group"):
        if group != _GROUP:
            problems.unsupported(f"{here}.apiGroup", group, [_GROUP])
    else:
        problems.unsupported(f"{here}.kind", kind, _SUBJECTS)


def _binding_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("roleRef") != old.get("roleRef"):
        ref = o["roleRef"]
        shown = {"APIGroup": ref.get("apiGroup"), "Kind": ref.get("kind"), "Name": ref.get("name")}
        problems.invalid("roleRef", shown, "cannot change roleRef")


# webhooks

_VERBS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_EFFECTS = ("None", "NoneOnDryRun")
_REVIEWS = ("v1", "v1beta1")


def _webhooks(o: Obj, problems: Problems) -> None:
    names: set[str] = set()
    for index, hook in enumerate(o.get("webhooks") or ()):
        here, name = f"webhooks[{index}]", hook.get("name", "")
        _reviews(f"{here}.admissionReviewVersions", hook.get("admissionReviewVersions") or [], problems)
        if name in names:
            problems.duplicate(f"{here}.name", name)
        names.add(name)
        _hook(here, hook, problems)


def _reviews(path: str, versions: list[str], problems: Problems) -> None:
    if not versions:
        problems.required(path, "must specify one of v1, v1beta1")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            problems.invalid(f"{path}[{index}]", version, "duplicate version")
    if not any(v in _REVIEWS for v in versions):
        problems.invalid(path, versions, "must include at least one of v1, v1beta1")


def _hook(here: str, hook: Obj, problems: Problems) -> None:
    name = hook.get("name", "")
    if not name:
        problems.required(f"{here}.name")
    else:
        fieldrules.subdomain(f"{here}.name", name, problems)
        if len(name.split(".")) < 3:
            text = "should be a domain with at least three segments separated by dots"
            problems.invalid(f"{here}.name", name, text)
    for index, rule in enumerate(hook.get("rules") or ()):
        _operations(f"{here}.rules[{index}]", rule, problems)
    maybe_one_of(f"{here}.failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore"), problems)
    maybe_one_of(f"{here}.matchPolicy", hook.get("matchPolicy"), ("Equivalent", "Exact"), problems)
    effects = hook.get("sideEffects")
    if effects is None:
        problems.required(f"{here}.sideEffects", "must specify one of None, NoneOnDryRun")
    else:
        maybe_one_of(f"{here}.sideEffects", effects, _EFFECTS, problems)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        problems.invalid(f"{here}.timeoutSeconds", seconds, text)
    for field in ("namespaceSelector", "objectSelector"):
        if hook.get(field) is not None:
            label_selector(f"{here}.{field}", hook[field], problems)
    client(f"{here}.clientConfig", hook.get("clientConfig") or {}, problems)
    maybe_one_of(f"{here}.reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"), problems)


def _operations(here: str, rule: Obj, problems: Problems) -> None:
    for field in ("operations", "apiGroups", "apiVersions", "resources"):
        if not rule.get(field):
            problems.required(f"{here}.{field}")
        elif "*" in rule[field] and len(rule[field]) > 1 and field != "resources":
            text = "if '*' is present, must not specify other " + {"apiGroups": "API groups"}.get(
                field, "API versions" if field == "apiVersions" else "operations"
            )
            problems.invalid(f"{here}.{field}", rule[field], text)
    for index, verb in enumerate(rule.get("operations") or ()):
        maybe_one_of(f"{here}.operations[{index}]", verb, _VERBS, problems)
    maybe_one_of(f"{here}.scope", rule.get("scope"), _SCOPES, problems)


def client(here: str, config: Obj, problems: Problems) -> None:
    """Check where a webhook is called."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        problems.required(here, "exactly one of url or service is required")
    elif url is not None:
        _url(f"{here}.url", url, problems)
    elif service is not None:
        for field in ("name", "namespace"):
            if not service.get(field):
                problems.required(f"{here}.service.{field}", f"service {field} is required")
        port = service.get("port", 443)
        if not 1 <= port <= 65535:
            text = "port is not valid: must be between 1 and 65535, inclusive"
            problems.invalid(f"{here}.service.port", port, text)


def _url(path: str, url: str, problems: Problems) -> None:
    form = "; desired format: https://host[/path]"
    match = re.fullmatch(r"(?:([a-zA-Z][a-zA-Z0-9+.-]*)://)?([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", url)
    if match is None:
        problems.required(path, f"url must be a valid URL{form}")
        return
    scheme, host = match[1] or "", match[2]
    if scheme != "https":
        problems.invalid(path, scheme, f"'https' is the only allowed URL scheme{form}")
    if not host:
        problems.invalid(path, host, f"host must be specified{form}")
    if "@" in host:
        problems.invalid(path, host.partition("@")[0], "user information is not permitted in the URL")
    if match[5]:
        problems.invalid(path, match[5][1:], "fragments are not permitted in the URL")
    if match[4]:
        problems.invalid(path, match[4][1:], "query parameters not permitted in the URL")


CREATE: dict[str, Rule] = {
    "Role": _rules(True),
    "ClusterRole": _rules(False),
    "RoleBinding": _binding(True),
    "ClusterRoleBinding": _binding(False),
    "ValidatingWebhookConfiguration": _webhooks,
    "MutatingWebhookConfiguration": _webhooks,
}
UPDATE: dict[str, Change] = {"RoleBinding": _binding_update, "ClusterRoleBinding": _binding_update}
