"""Scales workloads by the use of their pods, as a HorizontalPodAutoscaler says."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import is_true, key_of, pod_active, with_spec, with_status
from stratus.sim.quantity import format_milli, parse_quantity
from stratus.sim.store import Change, Obj

RESOURCE = "horizontalpodautoscalers.autoscaling"
#: Seconds between looks, over which a lower recommendation must hold, and the share within which nothing is done.
PERIOD, STABLE, TOLERANCE = 15.0, 300.0, 0.1
TARGETS = {
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
}


class _NoMetric(Exception):
    pass


class AutoscalerController(Controller):
    """HorizontalPodAutoscalers; `state` holds the recent recommendations per autoscaler."""

    name: ClassVar[str] = "autoscaler"
    component: ClassVar[str] = "horizontal-pod-autoscaler"
    resources: ClassVar[tuple[str, ...]] = (RESOURCE,)
    #: False in a cluster without a metrics server.
    metered = True

    def on_change(self, change: Change) -> None:
        """A new or changed autoscaler is looked at now; afterwards on its period."""
        if change.previous is None or change.previous["spec"] != change.object["spec"]:
            self.enqueue(key_of(change.object))

    def sync(self, key: Key) -> None:
        """One look at one autoscaler."""
        hpa = self.store.get(RESOURCE, *key)
        if hpa is None or "deletionTimestamp" in hpa["metadata"]:
            self.state.pop(key, None)
            return
        self.wake(key, self.clock.now() + PERIOD, "period")
        spec = hpa["spec"]
        ref = spec["scaleTargetRef"]
        resource = TARGETS.get(ref["kind"])
        target = self.store.get(resource, key[0], ref["name"]) if resource else None
        if resource is None or target is None:
            plural = (resource or ref["kind"].lower() + "s").partition(".")
            what = f'{"".join(plural)} "{ref["name"]}" not found'
            text = f"the HPA controller was unable to get the target's current scale: {what}"
            self.event(hpa, "Warning", "FailedGetScale", text.partition(": ")[2])
            self._write(hpa, {}, [("AbleToScale", "False", "FailedGetScale", text)])
            return
        current = target["spec"].get("replicas", 1)
        able = (
            "AbleToScale",
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        )
        if current == 0:
            off = (
                "ScalingActive",
                "False",
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            )
            self._write(hpa, {"currentReplicas": 0, "desiredReplicas": 0}, [able, off])
            return
        pods = [p for p in self.control.index.select(key[0], target["spec"].get("selector")) if pod_active(p)]
        try:
            desired, metrics, name = self._recommend(hpa, pods, current)
        except _NoMetric as problem:
            text = f"the HPA was unable to compute the replica count: {problem}"
            self.event(hpa, "Warning", "FailedGetResourceMetric", str(problem))
            failed = ("ScalingActive", "False", "FailedGetResourceMetric", text)
            self._write(hpa, {"currentReplicas": current}, [able, failed])
            return
        self._apply(hpa, key, resource, target, current, desired, metrics, name)

    def _apply(
        self, hpa: Obj, key: Key, resource: str, target: Obj, current: int, desired: int, metrics: list[Obj], name: str
    ) -> None:
        spec = hpa["spec"]
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        now = self.clock.now()
        window = ((spec.get("behavior") or {}).get("scaleDown") or {}).get("stabilizationWindowSeconds", STABLE)
        history = [(at, n) for at, n in self.state.get(key, []) if now - at < window]
        history.append((now, desired))
        self.state[key] = history
        stable = max(n for _, n in history) if desired < current else desired
        reason, text = "ReadyForNewScale", "recommended size matches current size"
        if stable != desired:
            reason, text = (
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            )
        ceiling = max(2 * current, 4)
        goal = max(least, min(most, min(stable, ceiling)))
        limited = ("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")
        if stable > most:
            limited = (
                "ScalingLimited",
                "True",
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
            )
        elif stable < least:
            limited = (
                "ScalingLimited",
                "True",
                "TooFewReplicas",
                "the desired replica count is less than the minimum replica count",
            )
        active = (
            "ScalingActive",
            "True",
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {name} resource utilization "
            "(percentage of request)",
        )
        fields: dict[str, Any] = {"currentReplicas": current, "desiredReplicas": goal, "currentMetrics": metrics}
        old = (hpa.get("status") or {}).get("lastScaleTime")
        if goal != current:
            above = "above" if goal > current else "below"
            why = (
                f"{name} resource utilization (percentage of request) {above} target"
                if goal > current
                else "All metrics below target"
            )
            self.store.update(resource, with_spec(target, replicas=goal))
            self.event(hpa, "Normal", "SuccessfulRescale", f"New size: {goal}; reason: {why}")
            old = iso(now)
            reason, text = "SucceededRescale", f"the HPA controller was able to update the target scale to {goal}"
        if old:
            fields["lastScaleTime"] = old
        self._write(hpa, fields, [("AbleToScale", "True", reason, text), active, limited])

    def _recommend(self, hpa: Obj, pods: list[Obj], current: int) -> tuple[int, list[Obj], str]:
        best, metrics, chosen = 0, [], "cpu"
        wanted = hpa["spec"].get("metrics") or [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }
        ]
        for metric in wanted:
            if metric.get("type") != "Resource":
                raise _NoMetric(f"unable to get metric: no {metric.get('type')} metrics are served in this cluster")
            name = metric["resource"]["name"]
            goal = metric["resource"]["target"]
            used, asked, ready = self._use(pods, name, "averageUtilization" in goal)
            if not ready:
                raise _NoMetric(
                    f"failed to get {name} utilization: did not receive metrics for targeted pods "
                    "(pods might be unready)"
                )
            average = used / ready
            now: Obj = {"averageValue": format_milli(average) if name == "cpu" else str(int(average))}
            if "averageUtilization" in goal:
                share = used / asked if asked else 0.0
                now = {"averageUtilization": int(share * 100), **now}
                ratio = share * 100 / goal["averageUtilization"]
            else:
                ratio = average / (parse_quantity(goal.get("averageValue") or goal.get("value")) or 1.0)
            metrics.append({"type": "Resource", "resource": {"name": name, "current": now}})
            count = current if abs(ratio - 1.0) <= TOLERANCE else math.ceil(ratio * ready)
            if count > best:
                best, chosen = count, name
        return best, metrics, chosen

    def _use(self, pods: list[Obj], name: str, needs_request: bool) -> tuple[float, float, int]:
        used = asked = 0.0
        ready = 0
        if not self.metered:
            raise _NoMetric(
                f"failed to get {name} utilization: unable to get metrics for resource {name}: unable to fetch metrics "
                "from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
            )
        for pod in pods:
            for container in pod["spec"].get("containers", ()):
                request = ((container.get("resources") or {}).get("requests") or {}).get(name)
                if needs_request and not request:
                    raise _NoMetric(
                        f"failed to get {name} utilization: missing request for {name} in container "
                        f"{container['name']} of Pod {pod['metadata']['name']}"
                    )
            if not is_true(pod, "Ready"):
                continue
            ready += 1
            for container in pod["spec"].get("containers", ()):
                cpu, memory = self.control.runtime.usage(pod, container)
                used += cpu if name == "cpu" else memory
                asked += parse_quantity(((container.get("resources") or {}).get("requests") or {}).get(name))
        return used, asked, ready

    def _write(self, hpa: Obj, fields: dict[str, Any], wanted: list[tuple[str, str, str, str]]) -> None:
        current = self.store.get(RESOURCE, *key_of(hpa))
        if current is None:
            return
        old = current.get("status") or {}
        conditions = []
        for type_, status, reason, message in wanted:
            found = next((c for c in old.get("conditions") or () if c["type"] == type_), None)
            since = found["lastTransitionTime"] if found and found["status"] == status else iso(self.clock.now())
            conditions.append(
                {"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
            )
        status_body = {**({"lastScaleTime": old["lastScaleTime"]} if "lastScaleTime" in old else {}), **fields}
        status_body.setdefault("desiredReplicas", old.get("desiredReplicas", 0))
        status_body["conditions"] = conditions
        if status_body != old:
            self.store.update(RESOURCE, with_status(current, status_body))
