"""Rules of quotas and limit ranges."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldrules
from stratus.sim.api.fieldrules import STANDARD
from stratus.sim.api.names import qualified_problems
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_SCOPES = frozenset(
    {"BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
     "VolumeAttributesClass"}
)  # fmt: skip
_COMPUTE = frozenset({"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_LIMIT_KINDS = ("Container", "PersistentVolumeClaim", "Pod")


def _quota(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    hard = spec.get("hard") or {}
    for name, value in hard.items():
        here = f"spec.hard[{name}]"
        fieldrules.resource_name(here, name, problems)
        if "/" not in name and name not in STANDARD and not name.startswith(("requests.hugepages-", "hugepages-")):
            problems.invalid(here, name, "must be a standard resource for quota")
        fieldrules.amount(here, name, value, problems)
    _scopes(spec.get("scopes") or [], hard, problems)


def _scopes(scopes: list[str], hard: Obj, problems: Problems) -> None:
    path = "spec.scopes"
    for scope in scopes:
        if scope not in _SCOPES:
            problems.invalid(path, scopes, "unsupported scope")
        for name in hard:
            allowed = {"pods"} if scope == "BestEffort" else _COMPUTE
            if scope != "VolumeAttributesClass" and name in STANDARD and name not in allowed:
                problems.invalid(path, scopes, "unsupported scope applied to resource")
    for pair in ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"}):
        if pair <= set(scopes):
            problems.invalid(path, scopes, "conflicting scopes")


def _quota_update(o: Obj, old: Obj, problems: Problems) -> None:
    new, was = ((x.get("spec") or {}).get("scopes") or [] for x in (o, old))
    if set(new) != set(was):
        problems.invalid("spec.scopes", new, IMMUTABLE)


def _limit_range(o: Obj, problems: Problems) -> None:
    kinds: set[str] = set()
    for index, item in enumerate((o.get("spec") or {}).get("limits") or ()):
        here, kind = f"spec.limits[{index}]", item.get("type", "")
        found = qualified_problems(kind)
        for problem in found:
            problems.invalid(f"{here}.type", kind, problem)
        if not found and "/" not in kind and kind not in _LIMIT_KINDS:
            problems.invalid(f"{here}.type", kind, "must be a standard limit type or fully qualified")
        if kind in kinds:
            problems.duplicate(f"{here}.type", kind)
        kinds.add(kind)
        _limit(here, item, kind, problems)


def _limit(here: str, item: Obj, kind: str, problems: Problems) -> None:
    for field in ("max", "min"):
        for name in item.get(field) or ():
            _limited(f"{here}.{field}[{name}]", name, kind, problems)
    if kind == "Pod":
        for field in ("default", "defaultRequest"):
            if item.get(field):
                problems.forbidden(f"{here}.{field}", "may not be specified when `type` is 'Pod'")
    else:
        for field in ("default", "defaultRequest"):
            for name in item.get(field) or ():
                _limited(f"{here}.{field}[{name}]", name, kind, problems)
    for name in item.get("maxLimitRequestRatio") or ():
        _limited(f"{here}.maxLimitRequestRatio[{name}]", name, kind, problems)
    if kind == "PersistentVolumeClaim" and not any("storage" in (item.get(f) or {}) for f in ("min", "max")):
        text = "either minimum or maximum storage value is required, but neither was provided"
        problems.required(f"{here}.limits", text)
    fields = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
    values = {f: item.get(f) or {} for f in fields}
    for name in sorted({n for v in values.values() for n in v}):
        _bounds(here, name, {f: values[f].get(name) for f in fields}, problems)


def _limited(path: str, name: str, kind: str, problems: Problems) -> None:
    if kind in ("Pod", "Container"):
        fieldrules.container_resource(path, name, problems)
    else:
        fieldrules.resource_name(path, name, problems)


def _bounds(here: str, name: str, of: dict[str, Any], problems: Problems) -> None:
    high, low, default, request = of["max"], of["min"], of["default"], of["defaultRequest"]
    number = {k: parse(v) for k, v in of.items() if v is not None}

    def above(a: str, b: str) -> bool:
        return a in number and b in number and number[a] > number[b]

    if above("min", "max"):
        problems.invalid(f"{here}.min[{name}]", low, f"min value {low} is greater than max value {high}")
    at = f"{here}.defaultRequest[{name}]"
    if above("min", "defaultRequest"):
        problems.invalid(at, request, f"min value {low} is greater than default request value {request}")
    if above("defaultRequest", "max"):
        problems.invalid(at, request, f"default request value {request} is greater than max value {high}")
    if above("defaultRequest", "default"):
        text = f"default request value {request} is greater than default limit value {default}"
        problems.invalid(at, request, text)
    at = f"{here}.default[{name}]"
    if above("min", "default"):
        problems.invalid(at, low, f"min value {low} is greater than default value {default}")
    if above("default", "max"):
        problems.invalid(at, high, f"default value {default} is greater than max value {high}")
    ratio, at = of["maxLimitRequestRatio"], f"{here}.maxLimitRequestRatio[{name}]"
    if ratio is not None:
        if number["maxLimitRequestRatio"] < 1:
            problems.invalid(at, ratio, f"ratio {ratio} is less than 1")
        if "min" in number and "max" in number and number["min"]:
            limit = number["max"] / number["min"]
            if number["maxLimitRequestRatio"] > limit:
                shown = f"{float(limit):f}"
                problems.invalid(at, ratio, f"ratio {ratio} is greater than max/min = {shown}")
    both = "default" in number and "defaultRequest" in number
    if both and not fieldrules.may_overcommit(name) and number["default"] != number["defaultRequest"]:
        text = f"default value {default} must equal to defaultRequest value {request} in {name}"
        problems.invalid(f"{here}.defaultRequest[{name}]", request, text)


CREATE: dict[str, Rule] = {"ResourceQuota": _quota, "LimitRange": _limit_range}
UPDATE: dict[str, Change] = {"ResourceQuota": _quota_update}
