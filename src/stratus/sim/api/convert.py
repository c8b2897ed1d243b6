"""Two versions of one object: autoscalers of v1 and v2, events of the core group and of events.k8s.io."""

from __future__ import annotations

import copy
import json
from typing import Any

from stratus.sim.api.custom import prune_and_default
from stratus.sim.api.resources import Resource

Obj = dict[str, Any]
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENT_BACK = {v: k for k, v in _EVENT_NAMES.items()}
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"


def outward(resource: Resource, obj: Obj) -> Obj:
    """Return a stored object as the given resource serves it (the object itself when nothing differs)."""
    if resource.group == "events.k8s.io":
        out = {_EVENT_NAMES.get(k, k): v for k, v in obj.items()}
        out["apiVersion"] = "events.k8s.io/v1"
        for name in ("reportingController", "reportingInstance"):
            if not out.get(name):
                out.pop(name, None)
        return out
    if resource.group == "autoscaling" and resource.version == "v1":
        return _to_v1(obj)
    if resource.custom and obj.get("apiVersion") != resource.group_version:
        # What another version does not declare is not shown there, what it defaults is filled in.
        shown: Obj = copy.deepcopy({**obj, "apiVersion": resource.group_version})
        prune_and_default(resource.schema, shown)
        return shown
    return obj


def inward(resource: Resource, obj: Obj) -> Obj:
    """Return an object of the given resource in its storage form."""
    if resource.group == "events.k8s.io":
        out = {_EVENT_BACK.get(k, k): v for k, v in obj.items()}
        out["apiVersion"] = "v1"
        # The core group writes these even when they are empty.
        out.setdefault("reportingComponent", "")
        out.setdefault("reportingInstance", "")
        out.setdefault("source", {})
        out.setdefault("firstTimestamp", None)
        out.setdefault("lastTimestamp", None)
        return out
    if resource.group == "autoscaling" and resource.version == "v1":
        return _to_v2(obj)
    if resource.custom and resource.version != resource.storage_version:
        return {**obj, "apiVersion": f"{resource.group}/{resource.storage_version}"}
    return obj


def _to_v1(obj: Obj) -> Obj:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    new_spec = {k: v for k, v in spec.items() if k not in ("metrics", "behavior")}
    new_status = {k: v for k, v in status.items() if k not in ("currentMetrics", "conditions")}
    others = []
    for metric in spec.get("metrics") or ():
        found = metric.get("resource") or {}
        target = found.get("target", {})
        if metric.get("type") == "Resource" and found.get("name") == "cpu" and "averageUtilization" in target:
            new_spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(metric)
    current = []
    for metric in status.get("currentMetrics") or ():
        found = metric.get("resource") or {}
        now = found.get("current", {})
        if metric.get("type") == "Resource" and found.get("name") == "cpu" and "averageUtilization" in now:
            new_status["currentCPUUtilizationPercentage"] = now["averageUtilization"]
        current.append(metric)
    extra: Obj = {}
    if others:
        extra[_METRICS] = [_metric_v1(m) for m in others]
    if spec.get("behavior"):
        extra[_BEHAVIOR] = _behavior_v1(spec["behavior"])
    if status.get("conditions"):
        extra[_CONDITIONS] = status["conditions"]
    if current:
        extra[_CURRENT] = [_metric_v1(m) for m in current]
    meta = obj["metadata"]
    if extra:
        annotations = {**(meta.get("annotations") or {})}
        for key, value in extra.items():
            annotations[key] = json.dumps(value, separators=(",", ":"))
        meta = {**meta, "annotations": annotations}
    new_status.setdefault("currentReplicas", 0)
    new_status.setdefault("desiredReplicas", 0)
    return {**obj, "apiVersion": "autoscaling/v1", "metadata": meta, "spec": new_spec, "status": new_status}


def _metric_v1(metric: Obj) -> Obj:
    """Write a v2 metric in the older shape kept in annotations."""
    out: Obj = {"type": metric["type"]}
    name = metric["type"][:1].lower() + metric["type"][1:]
    source = metric.get(name) or {}
    values = source.get("target") or source.get("current") or {}
    prefix = "target" if "target" in source else "current"
    inner = {k: v for k, v in source.items() if k not in ("target", "current", "metric", "describedObject")}
    if "describedObject" in source:
        inner["target"] = source["describedObject"]
    if "averageUtilization" in values:
        inner[f"{prefix}AverageUtilization"] = values["averageUtilization"]
    if "averageValue" in values:
        inner["averageValue" if name == "object" else f"{prefix}AverageValue"] = values["averageValue"]
    if "value" in values:
        inner[f"{prefix}Value"] = values["value"]
    if source.get("metric"):
        inner["metricName"] = source["metric"].get("name", "")
        if source["metric"].get("selector"):
            inner["metricSelector" if name == "external" else "selector"] = source["metric"]["selector"]
    out[name] = {k: inner[k] for k in _METRIC_ORDER if k in inner}
    return out


#: The order of fields in the older metric types.
_METRIC_ORDER = (
    "target", "name", "metricName", "metricSelector", "targetValue", "currentValue", "targetAverageUtilization",
    "targetAverageValue", "currentAverageUtilization", "currentAverageValue", "selector", "averageValue", "container",
)  # fmt: skip
_RULES, _POLICY = ("scaleUp", "scaleDown"), ("type", "value", "periodSeconds")


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _behavior_v1(behavior: Obj) -> Obj:
    """Write scaling rules as the annotation keeps them: with the names of the server's own types."""
    out: Obj = {}
    for side in _RULES:
        rules = behavior.get(side)
        if rules is None:
            out[_capital(side)] = None
            continue
        policies = [{_capital(k): p.get(k) for k in _POLICY} for p in rules.get("policies") or ()] or None
        out[_capital(side)] = {
            "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"),
            "SelectPolicy": rules.get("selectPolicy"),
            "Policies": policies,
            "Tolerance": rules.get("tolerance"),
        }
    return out


def _behavior_v2(behavior: Obj | None) -> Obj | None:
    """Read scaling rules from the annotation; clients wrote them in either form."""
    if not isinstance(behavior, dict):
        return None

    def small(value: Any) -> Any:
        if isinstance(value, dict):
            return {k[:1].lower() + k[1:]: small(v) for k, v in value.items() if v is not None}
        return [small(v) for v in value] if isinstance(value, list) else value

    found: Obj = small(behavior)
    return found


def _metric_v2(metric: Obj) -> Obj:
    name = metric["type"][:1].lower() + metric["type"][1:]
    source = metric.get(name) or {}
    target: Obj = {}
    if "targetAverageUtilization" in source:
        target = {"type": "Utilization", "averageUtilization": source["targetAverageUtilization"]}
    elif "targetAverageValue" in source:
        target = {"type": "AverageValue", "averageValue": source["targetAverageValue"]}
    elif "targetValue" in source:
        target = {"type": "Value", "value": source["targetValue"]}
    if name == "object" and "averageValue" in source:
        target = {"type": "AverageValue", "averageValue": source["averageValue"]}
    inner = {k: v for k, v in source.items() if k in ("name", "container")}
    if name == "object" and "target" in source:
        inner["describedObject"] = source["target"]
    if "metricName" in source:
        inner["metric"] = {"name": source["metricName"]}
        selector = source.get("selector") or source.get("metricSelector")
        if selector:
            inner["metric"]["selector"] = selector
    return {"type": metric["type"], name: {**inner, "target": target}}


def _to_v2(obj: Obj) -> Obj:
    spec, meta = dict(obj.get("spec", {})), dict(obj["metadata"])
    annotations = dict(meta.get("annotations") or {})
    metrics = []
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    try:
        metrics += [_metric_v2(m) for m in json.loads(annotations.pop(_METRICS, "[]"))]
        behavior = _behavior_v2(json.loads(annotations.pop(_BEHAVIOR, "null")))
    except (ValueError, KeyError, TypeError, AttributeError):
        behavior = None
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if not metrics:
        target = {"type": "Utilization", "averageUtilization": 80}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    for key in (_CONDITIONS, _CURRENT):
        annotations.pop(key, None)
    if annotations:
        meta["annotations"] = annotations
    else:
        meta.pop("annotations", None)
    spec["metrics"] = metrics
    if behavior:
        spec["behavior"] = behavior
    status = {k: v for k, v in (obj.get("status") or {}).items() if k != "currentCPUUtilizationPercentage"}
    status.setdefault("currentMetrics", None)
    status.setdefault("desiredReplicas", 0)
    return {**obj, "apiVersion": "autoscaling/v2", "metadata": meta, "spec": spec, "status": status}
