"""Rules of autoscalers and disruption budgets."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldrules
from stratus.sim.api.fieldrules import maybe_one_of
from stratus.sim.api.rulebase import Rule, int_or_percent, label_selector, over_hundred
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")


def _autoscaler(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    low, high, metrics = spec.get("minReplicas"), spec.get("maxReplicas", 0), spec.get("metrics") or []
    if low is not None and low < 1:
        problems.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        problems.required("spec.maxReplicas", "must be set and greater than 0")
    if low is not None and high < low:
        problems.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    _reference("spec.scaleTargetRef", spec.get("scaleTargetRef") or {}, problems)
    for index, metric in enumerate(metrics):
        _metric(f"spec.metrics[{index}]", metric, problems)
    if low == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        problems.forbidden("spec.metrics", text)
    behavior = spec.get("behavior") or {}
    for side in ("scaleUp", "scaleDown"):
        if behavior.get(side) is not None:
            _scaling(f"spec.behavior.{side}", behavior[side], problems)


def _reference(path: str, ref: Obj, problems: Problems) -> None:
    for field in ("kind", "name"):
        if not ref.get(field):
            problems.required(f"{path}.{field}")
        else:
            fieldrules.path_segment(f"{path}.{field}", ref[field], problems)


def _metric(path: str, metric: Obj, problems: Problems) -> None:
    kind = metric.get("type", "")
    if not kind:
        problems.required(f"{path}.type", "must specify a metric source type")
    if kind not in _TYPES:
        problems.unsupported(f"{path}.type", kind, _TYPES)
    present = [t[:1].lower() + t[1:] for t in ("Object", "External", "Pods", "Resource", "ContainerResource")]
    present = [field for field in present if metric.get(field) is not None]
    if present:
        _SOURCES[present[0]](f"{path}.{present[0]}", metric[present[0]], problems)
    wanted = kind[:1].lower() + kind[1:]
    if kind in _TYPES and metric.get(wanted) is None:
        problems.required(f"{path}.{wanted}", "must populate information for the given metric source")
    if len(present) != 1:
        for field in present:
            if field != wanted:
                text = "must populate the given metric source only"
                problems.forbidden(f"{path}.{field}", text)


def _identifier(path: str, metric: Obj, problems: Problems) -> None:
    if not metric.get("name"):
        problems.required(f"{path}.name", "must specify a metric name")
    else:
        fieldrules.path_segment(f"{path}.name", metric["name"], problems)


def _target(path: str, target: Obj, problems: Problems) -> None:
    kind = target.get("type", "")
    if not kind:
        problems.required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        problems.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if target.get(field) is not None and parse(target[field]) <= 0:
            problems.invalid(f"{path}.{field}", target[field], "must be positive")
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        problems.invalid(f"{path}.averageUtilization", percent, "must be greater than 0")


def _object(path: str, source: Obj, problems: Problems) -> None:
    _reference(f"{path}.describedObject", source.get("describedObject") or {}, problems)
    _identifier(f"{path}.metric", source.get("metric") or {}, problems)
    target = source.get("target") or {}
    _target(f"{path}.target", target, problems)
    if target.get("value") is None and target.get("averageValue") is None:
        text = "must set either a target value for metric or a per-pod target"
        problems.required(f"{path}.target.averageValue", text)


def _external(path: str, source: Obj, problems: Problems) -> None:
    _identifier(f"{path}.metric", source.get("metric") or {}, problems)
    target = source.get("target") or {}
    _target(f"{path}.target", target, problems)
    both = [target.get(f) is not None for f in ("value", "averageValue")]
    if not any(both):
        text = "must set either a target value for metric or a per-pod target"
        problems.required(f"{path}.target.averageValue", text)
    elif all(both):
        text = "may not set both a target value for metric and a per-pod target"
        problems.forbidden(f"{path}.target.value", text)


def _pods(path: str, source: Obj, problems: Problems) -> None:
    _identifier(f"{path}.metric", source.get("metric") or {}, problems)
    target = source.get("target") or {}
    _target(f"{path}.target", target, problems)
    if target.get("averageValue") is None or parse(target["averageValue"]) <= 0:
        problems.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _resource(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("name"):
        problems.required(f"{path}.name", "must specify a resource name")
    target = source.get("target") or {}
    _target(f"{path}.target", target, problems)
    both = [target.get(f) is not None for f in ("averageUtilization", "averageValue")]
    if not any(both):
        text = "must set either a target raw value or a target utilization"
        problems.required(f"{path}.target.averageUtilization", text)
    elif all(both):
        text = "may not set both a target raw value and a target utilization"
        problems.forbidden(f"{path}.target.averageValue", text)


def _container(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("container"):
        problems.required(f"{path}.container", "must specify a container")
    _resource(path, source, problems)


_SOURCES = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container,
}


def _scaling(path: str, rules: Obj, problems: Problems) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        problems.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > 3600:
        problems.invalid(f"{path}.stabilizationWindowSeconds", window, "must be less than or equal to 3600")
    maybe_one_of(f"{path}.selectPolicy", rules.get("selectPolicy"), ("Disabled", "Max", "Min"), problems)
    if not rules.get("policies"):
        problems.required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        here = f"{path}.policies[{index}]"
        if policy.get("type") not in ("Percent", "Pods"):
            problems.unsupported(f"{here}.type", policy.get("type", ""), ["Percent", "Pods"])
        for field in ("value", "periodSeconds"):
            if policy.get(field, 0) <= 0:
                problems.invalid(f"{here}.{field}", policy.get(field, 0), "must be greater than zero")
        if policy.get("periodSeconds", 0) > 1800:
            problems.invalid(f"{here}.periodSeconds", policy["periodSeconds"], "must be less than or equal to 1800")


def _budget(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = {"MinAvailable": spec["minAvailable"], "Selector": spec.get("selector"),
                 "MaxUnavailable": spec["maxUnavailable"],
                 "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}  # fmt: skip
        problems.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        int_or_percent(f"spec.{field}", spec.get(field), problems)
        over_hundred(f"spec.{field}", spec.get(field), problems)
    if spec.get("selector") is not None:
        label_selector("spec.selector", spec["selector"], problems)
    policies = ("AlwaysAllow", "IfHealthyBudget")
    maybe_one_of("spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"), policies, problems)


CREATE: dict[str, Rule] = {"HorizontalPodAutoscaler": _autoscaler, "PodDisruptionBudget": _budget}
