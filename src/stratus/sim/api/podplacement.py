"""Validation of what steers a pod's place: tolerations, affinity, spreading."""

from __future__ import annotations

import json
from typing import Any

from stratus.sim.api import fieldrules, internals
from stratus.sim.api.fieldrules import maybe_one_of, one_of
from stratus.sim.api.names import label_problems, qualified_problems, subdomain_problems, value_problems
from stratus.sim.api.rulebase import label_selector
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TAINT = "io.k8s.api.core.v1.Taint"
_TOLERATION = "io.k8s.api.core.v1.Toleration"


def tolerations(path: str, listed: list[Obj], problems: Problems) -> None:
    """Check tolerations."""
    for index, t in enumerate(listed):
        here, operator = f"{path}[{index}]", t.get("operator") or ""
        if t.get("key"):
            fieldrules.qualified(f"{here}.key", t["key"], problems)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            problems.invalid(f"{here}.operator", operator, text)
        if t.get("tolerationSeconds") is not None and t.get("effect") != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            problems.invalid(f"{here}.effect", t.get("effect", ""), text)
        if operator in ("", "Equal"):
            if found := value_problems(t.get("value") or ""):
                problems.invalid(f"{here}.operator", t["value"], ";".join(found))
        elif operator == "Exists":
            if t.get("value"):
                text = "value must be empty when `operator` is 'Exists'"
                problems.invalid(f"{here}.operator", internals.dump(_TOLERATION, t), text)
        else:
            problems.unsupported(f"{here}.operator", operator, ["Equal", "Exists"])
        if t.get("effect"):
            maybe_one_of(f"{here}.effect", t["effect"], EFFECTS, problems)


def node_selector(path: str, selector: Obj, problems: Problems) -> None:
    """Check a selector of nodes: terms of which one must hold."""
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        problems.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        _node_term(f"{path}.nodeSelectorTerms[{index}]", term, problems)


def _node_term(path: str, term: Obj, problems: Problems) -> None:
    for index, e in enumerate(term.get("matchExpressions") or ()):
        here, operator, values = f"{path}.matchExpressions[{index}]", e.get("operator", ""), e.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                problems.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                problems.forbidden(f"{here}.values", text)
        elif operator in ("Gt", "Lt"):
            if len(values) != 1:
                text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                problems.required(f"{here}.values", text)
        else:
            problems.invalid(f"{here}.operator", operator, "not a valid selector operator")
        for problem in qualified_problems(e.get("key", "")):
            problems.invalid(f"{here}.key", e.get("key", ""), problem)
        for at, value in enumerate(values):
            for problem in value_problems(value):
                problems.invalid(f"{here}.values[{at}]", value, problem)
    for index, e in enumerate(term.get("matchFields") or ()):
        here, operator, values = f"{path}.matchFields[{index}]", e.get("operator", ""), e.get("values") or []
        if operator in ("In", "NotIn"):
            if len(values) != 1:
                text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
                problems.required(f"{here}.values", text)
        else:
            problems.invalid(f"{here}.operator", operator, "not a valid selector operator")
        if e.get("key") != "metadata.name":
            problems.invalid(f"{here}.key", e.get("key", ""), "not a valid field selector key")
        else:
            for at, value in enumerate(values):
                for problem in subdomain_problems(value):
                    problems.invalid(f"{here}.values[{at}]", value, problem)


def _weight(path: str, weight: Any, problems: Problems) -> None:
    if not 1 <= (weight or 0) <= 100:
        problems.invalid(path, weight or 0, "must be in the range 1-100")


def affinity(path: str, given: Obj, problems: Problems) -> None:
    """Check affinity to nodes and pods."""
    node = given.get("nodeAffinity")
    if node is not None:
        here = f"{path}.nodeAffinity"
        if node.get(_REQUIRED) is not None:
            node_selector(f"{here}.{_REQUIRED}", node[_REQUIRED], problems)
        for index, term in enumerate(node.get(_PREFERRED) or ()):
            _weight(f"{here}.{_PREFERRED}[{index}].weight", term.get("weight"), problems)
            _node_term(f"{here}.{_PREFERRED}[{index}].preference", term.get("preference") or {}, problems)
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = given.get(kind) or {}
        for index, term in enumerate(pods.get(_REQUIRED) or ()):
            _pod_term(f"{path}.{kind}.{_REQUIRED}[{index}]", term, problems)
        for index, weighted in enumerate(pods.get(_PREFERRED) or ()):
            here = f"{path}.{kind}.{_PREFERRED}[{index}]"
            _weight(f"{here}.weight", weighted.get("weight"), problems)
            _pod_term(f"{here}.podAffinityTerm", weighted.get("podAffinityTerm") or {}, problems)


def _pod_term(path: str, term: Obj, problems: Problems) -> None:
    for field in ("labelSelector", "namespaceSelector"):
        if term.get(field) is not None:
            label_selector(f"{path}.{field}", term[field], problems)
    for name in term.get("namespaces") or ():
        for problem in label_problems(name):
            problems.invalid(f"{path}.namespace", name, problem)
    _topology_key(f"{path}.topologyKey", term.get("topologyKey", ""), problems)


def _topology_key(path: str, key: str, problems: Problems) -> None:
    if not key:
        problems.required(path, "can not be empty")
    fieldrules.qualified(path, key, problems)


def spreading(path: str, constraints: list[Obj], problems: Problems) -> None:
    """Check topology spread constraints."""
    for index, c in enumerate(constraints):
        here, key, policy = f"{path}[{index}]", c.get("topologyKey", ""), c.get("whenUnsatisfiable", "")
        if (c.get("maxSkew") or 0) <= 0:
            problems.invalid(f"{here}.maxSkew", c.get("maxSkew", 0), "must be greater than zero")
        _topology_key(f"{here}.topologyKey", key, problems)
        if policy not in ("DoNotSchedule", "ScheduleAnyway"):
            problems.unsupported(f"{here}.whenUnsatisfiable", policy, ["DoNotSchedule", "ScheduleAnyway"])
        if any((o.get("topologyKey", ""), o.get("whenUnsatisfiable", "")) == (key, policy)
               for o in constraints[index + 1 :]):  # fmt: skip
            problems.duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {policy}}}")
        least = c.get("minDomains")
        if least is not None:
            if least <= 0:
                problems.invalid(f"{here}.minDomains", least, "must be greater than zero")
            if policy != "DoNotSchedule":
                text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {policy}"
                problems.invalid(f"{here}.minDomains", least, text)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            maybe_one_of(f"{here}.{field}", c.get(field), ("Honor", "Ignore"), problems)
        if c.get("labelSelector") is not None:
            label_selector(f"{here}.labelSelector", c["labelSelector"], problems)


def taints(path: str, listed: list[Obj], problems: Problems) -> None:
    """Check a node's taints."""
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(listed):
        here, key, effect = f"{path}[{index}]", taint.get("key", ""), taint.get("effect", "")
        fieldrules.qualified(f"{here}.key", key, problems)
        if found := value_problems(taint.get("value") or ""):
            problems.invalid(f"{here}.value", taint["value"], ";".join(found))
        one_of(f"{here}.effect", effect, EFFECTS, problems)
        if (key, effect) in seen:
            shown = json.dumps(internals.dump(_TAINT, taint), separators=(",", ":"))
            text = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
            problems.raw("FieldValueDuplicate", here, text)
        seen.add((key, effect))
