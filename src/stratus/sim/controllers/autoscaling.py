"""Scales workloads by the use of their pods, as a HorizontalPodAutoscaler says."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import condition, key_of, matches, with_spec, with_status
from stratus.sim.controllers.replicas import (
    NoMetric,
    Pods,
    Proposal,
    by_average,
    by_utilization,
    containers_of,
    is_unready,
    requests,
    shown,
)
from stratus.sim.controllers.scalingrules import Memory, Verdict, scaled, settle, tolerance
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Change, Obj

RESOURCE = "horizontalpodautoscalers.autoscaling"
#: Seconds between looks, and from an autoscaler's creation to the first one.
PERIOD = 15.0
TARGETS = {
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}
CPU: Obj = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_NO_SERVER = (
    "unable to get metrics for resource {}: unable to fetch metrics from resource metrics API: the server could not "
    "find the requested resource (get pods.metrics.k8s.io)"
)
_NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
_UNREADY = "did not receive metrics for targeted pods (pods might be unready)"
_TRUE, _FALSE = "True", "False"
Condition = tuple[str, str, str, str]


class _Failed(Exception):
    """A look ends early: ScalingActive's reason, what the event of that reason says, and the whole error's text."""

    def __init__(self, reason: str, text: str, whole: str) -> None:
        super().__init__(text)
        self.reason, self.text, self.whole = reason, text, whole


class AutoscalerController(Controller):
    """HorizontalPodAutoscalers; `state` holds what each remembers."""

    name: ClassVar[str] = "autoscaler"
    component: ClassVar[str] = "horizontal-pod-autoscaler"
    resources: ClassVar[tuple[str, ...]] = (RESOURCE,)
    #: False in a cluster without a metrics server.
    metered = True

    def on_change(self, change: Change) -> None:
        """A new autoscaler is looked at after a period, then on every period."""
        key = key_of(change.object)
        if change.type == "DELETED":
            self.state.pop(key, None)
            self.control.timers.cancel((self.name, key, "period"))
        elif (self.name, key, "period") not in self.control.timers:
            self.wake(key, self.clock.now() + PERIOD, "period")

    def sync(self, key: Key) -> None:
        """One look at one autoscaler."""
        hpa = self.store.get(RESOURCE, *key)
        if hpa is None or "deletionTimestamp" in hpa["metadata"]:
            self.state.pop(key, None)
            return
        self.wake(key, self.clock.now() + PERIOD, "period")
        memory = self.state.setdefault(key, Memory([], [], []))
        spec = hpa["spec"]
        found = self._target(hpa, spec["scaleTargetRef"], key[0])
        if found is None:
            return
        resource, target = found
        able = (
            *("AbleToScale", _TRUE, "SucceededGetScale"),
            "the HPA controller was able to get the target's current scale",
        )
        current = int(target["spec"].get("replicas", 1))
        least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
        if not memory.recommended:
            memory.recommended.append((self.clock.now(), current))
        if current == 0:
            off = "scaling is disabled since the replica count of the target is zero"
            self._write(hpa, {"desiredReplicas": 0}, [able, ("ScalingActive", _FALSE, "ScalingDisabled", off)], 0)
            return
        if current > most or current < least:
            side, bound, goal = ("above", "MaxReplicas", most) if current > most else ("below", "MinReplicas", least)
            why = f"Current number of replicas {side} Spec.{bound}"
            self._scale(hpa, memory, resource, target, goal, why, [able], None)
            return
        try:
            proposal, metrics, active = self._compute(hpa, target, current, key)
        except _Failed as problem:
            text = f"the HPA was unable to compute the replica count: {problem.text}"
            if problem.reason in ("AmbiguousSelector", "InvalidSelector"):
                text = problem.text
            self.event(hpa, "Warning", problem.reason, problem.text)
            self.event(hpa, "Warning", "FailedComputeMetricsReplicas", problem.whole)
            fields = {} if problem.reason == "AmbiguousSelector" else {"currentMetrics": [{"type": ""}]}
            self._write(hpa, fields, [able, ("ScalingActive", _FALSE, problem.reason, text)], current)
            return
        verdict = settle(spec.get("behavior"), memory, self.clock.now(), current, proposal.replicas, least, most)
        why = f"{proposal.name} above target" if verdict.replicas > current else "All metrics below target"
        self._scale(hpa, memory, resource, target, verdict.replicas, why, [able, active], (verdict, metrics))

    def _target(self, hpa: Obj, ref: Obj, namespace: str) -> tuple[str, Obj] | None:
        """Return the workload to scale; None (and told) when there is none."""
        group = ref.get("apiVersion", "").rpartition("/")[0]
        resource = TARGETS.get(ref["kind"])
        if resource is not None and resource.partition(".")[2] != group:
            resource = None
        target = self.store.get(resource, namespace, ref["name"]) if resource else None
        if resource is not None and target is not None:
            return resource, target
        plural = resource or self._custom(ref["kind"], group)
        own = self.store.get(plural, namespace, ref["name"]) if plural and not resource else None
        if own is not None and "replicas" in (own.get("spec") or {}):
            # A custom resource with a scale of the usual form.
            return plural, own
        what = (
            f'{plural} "{ref["name"]}" not found'
            if plural
            else f'no matches for kind "{ref["kind"]}" in group "{group}"'
        )
        self.event(hpa, "Warning", "FailedGetScale", what)
        text = f"the HPA controller was unable to get the target's current scale: {what}"
        self._write(hpa, {}, [("AbleToScale", _FALSE, "FailedGetScale", text)], None)
        return None

    def _custom(self, kind: str, group: str) -> str:
        for crd in self.store.list("customresourcedefinitions.apiextensions.k8s.io"):
            if crd["spec"]["group"] == group and crd["spec"]["names"]["kind"] == kind:
                return str(crd["metadata"]["name"])
        return ""

    # metrics

    def _compute(self, hpa: Obj, target: Obj, current: int, key: Key) -> tuple[Proposal, list[Obj], Condition]:
        selector = self._selector(target)
        if selector is None:
            self.event(hpa, "Warning", "SelectorRequired", "selector is required")
            text = "the HPA target's scale is missing a selector"
            raise _Failed("InvalidSelector", text, "selector is required")
        pods = self.control.index.select(key[0], selector)
        rivals = self._rivals(key, pods)
        if len(rivals) > 1:
            shown_as = ",".join(f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items()))
            text = (
                f"pods by selector {shown_as} are controlled by multiple HPAs: "
                f"[{' '.join('/'.join(r) for r in sorted(rivals))}]"
            )
            raise _Failed("AmbiguousSelector", text, text)
        best: Proposal | None = None
        metrics: list[Obj] = []
        problems: list[tuple[str, str, str]] = []
        wanted = hpa["spec"].get("metrics") or [CPU]
        for metric in wanted:
            try:
                found = self._metric(metric, pods, current, hpa["spec"].get("behavior"))
            except _Failed as problem:
                metrics.append({"type": ""})
                problems.append((problem.reason, problem.text, problem.whole))
                continue
            metrics.append(found.current)
            if best is None or found.replicas > best.replicas:
                best = found
        if problems and (best is None or best.replicas < current):
            reason, text, whole = problems[0]
            count = f"{len(problems)} invalid out of {len(wanted)}"
            raise _Failed(reason, text, f"invalid metrics ({count}), first error is: {whole}")
        assert best is not None
        said = f"the HPA was able to successfully calculate a replica count from {best.name}"
        return best, metrics, ("ScalingActive", _TRUE, "ValidMetricFound", said)

    @staticmethod
    def _selector(target: Obj) -> Obj | None:
        """Return whose pods a target's scale counts: a selector, or the text of one in a custom resource's status."""
        found = target["spec"].get("selector")
        if isinstance(found, dict):
            return found if "matchLabels" in found or "matchExpressions" in found else {"matchLabels": found}
        text = (
            found or (target.get("status") or {}).get("selector") or (target.get("status") or {}).get("labelSelector")
        )
        if not isinstance(text, str) or not text:
            return None
        pairs = [part.partition("=")[::2] for part in text.replace("==", "=").split(",")]
        return {"matchLabels": {name.strip(): value.strip() for name, value in pairs}}

    def _rivals(self, key: Key, pods: list[Obj]) -> set[Key]:
        """Return the autoscalers that have any of the pods for theirs; the others must have been looked at before."""
        found = {key}
        for other in self.store.list(RESOURCE, key[0]):
            ref = other["spec"]["scaleTargetRef"]
            resource = TARGETS.get(ref["kind"])
            target = self.store.get(resource, key[0], ref["name"]) if resource else None
            if key_of(other) == key or key_of(other) not in self.state or target is None:
                continue
            if any(matches(target["spec"].get("selector"), p["metadata"].get("labels")) for p in pods):
                found.add(key_of(other))
        return found

    def _metric(self, metric: Obj, pods: list[Obj], current: int, behavior: Obj | None) -> Proposal:
        kind = metric.get("type", "")
        low, high = tolerance(behavior, "scaleDown"), tolerance(behavior, "scaleUp")
        if kind == "Resource":
            return self._resource(metric["resource"], "", pods, current, (low, high))
        if kind == "ContainerResource":
            part = metric["containerResource"]
            return self._resource(part, part["container"], pods, current, (low, high))
        if kind == "Pods":
            name = metric["pods"]["metric"]["name"]
            text = f"unable to get metric {name}: {_NO_CUSTOM}"
            raise _Failed("FailedGetPodsMetric", text, f"failed to get pods metric value: {text}")
        if kind == "Object":
            part = metric["object"]
            thing = part["describedObject"]
            space = pods[0]["metadata"]["namespace"] if pods else "default"
            where = f"{thing['kind']} on {space} {thing['name']}"
            text = f"unable to get metric {part['metric']['name']}: {where}/{_NO_CUSTOM}"
            raise _Failed("FailedGetObjectMetric", text, f"failed to get object metric value: {text}")
        if kind == "External":
            part = metric["external"]["metric"]
            space = pods[0]["metadata"]["namespace"] if pods else "default"
            chosen = part.get("selector")
            text = (
                f"unable to get external metric {space}/{part['name']}/{_selector(chosen)}: unable to fetch metrics "
                "from external metrics API: the server could not find the requested resource "
                f"(get {part['name']}.external.metrics.k8s.io)"
            )
            named = f"failed to get {part['name']} external metric"
            whole = f"{named} value: {named}: {text}"
            raise _Failed("FailedGetExternalMetric", text, whole)
        text = f'unknown metric source type "{kind}"'
        raise _Failed("InvalidMetricSourceType", text, text)

    def _resource(
        self, part: Obj, container: str, pods: list[Obj], current: int, bounds: tuple[float, float]
    ) -> Proposal:
        name, goal = part["name"], part["target"]
        label = "container resource" if container else "resource"
        share = goal.get("averageUtilization")
        what = "utilization" if share is not None else "usage"
        reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
        try:
            group = self._group(pods, name, container, share is not None)
            if share is not None:
                count, percent, average = by_utilization(group, float(share), current, *bounds)
                now: Obj = {"averageUtilization": int(percent), "averageValue": shown(name, average)}
                title = f"{name} {label} utilization (percentage of request)"
            else:
                wanted = parse_quantity(goal.get("averageValue") or goal.get("value")) or 1.0
                count, average = by_average(group, wanted, current, *bounds)
                now, title = {"averageValue": shown(name, average)}, f"{name} {label}"
        except NoMetric as problem:
            text = f"failed to get {name} {what}: {problem}"
            raise _Failed(reason, text, f"failed to get {name} {label} metric value: {text}") from None
        entry: Obj = {"name": name, "current": now, **({"container": container} if container else {})}
        field = "containerResource" if container else "resource"
        return Proposal(count, title, {"type": "ContainerResource" if container else "Resource", field: entry})

    def _group(self, pods: list[Obj], name: str, container: str, asks: bool) -> Pods:
        """Sort the pods of a target by how they count, and measure them."""
        if not self.metered:
            raise NoMetric(_NO_SERVER.format(name))
        found = Pods()
        alive = [
            p
            for p in pods
            if "deletionTimestamp" not in p["metadata"]
            and (p.get("status") or {}).get("phase") not in ("Failed", "Succeeded")
        ]
        now = self.clock.now()
        for pod in alive:
            own, status = pod["metadata"]["name"], pod.get("status") or {}
            if status.get("phase") == "Pending":
                found.unready.append(own)
                continue
            ready = condition(pod, "Ready")
            since = parse_iso(ready["lastTransitionTime"]) if ready and ready.get("lastTransitionTime") else None
            started = parse_iso(status["startTime"]) if status.get("startTime") else None
            key = key_of(pod)
            running = {c["name"] for c in self.control.kubelet.serving(key)}
            chosen = containers_of(pod, container)
            if not chosen or any(c["name"] not in running for c in chosen):
                found.missing.append(own)
            elif is_unready(pod, name, started, since, now):
                found.unready.append(own)
            else:
                use = [self.control.runtime.usage(pod, c)[0 if name == "cpu" else 1] for c in chosen]
                found.measured[own] = sum(use)
                found.ready += 1
        if asks:
            found.asked = requests(alive, name, container)
        if not found.measured:
            raise NoMetric(_UNREADY)
        return found

    # writing

    def _scale(
        self,
        hpa: Obj,
        memory: Memory,
        resource: str,
        target: Obj,
        goal: int,
        why: str,
        conditions: list[Condition],
        computed: tuple[Verdict, list[Obj]] | None,
    ) -> None:
        current = int(target["spec"].get("replicas", 1))
        fields: dict[str, Any] = {"desiredReplicas": goal}
        told = list(conditions)
        if computed is not None:
            verdict, fields["currentMetrics"] = computed
            told.append(("AbleToScale", _TRUE, *verdict.able))
            told.append(("ScalingLimited", _TRUE if verdict.limited else _FALSE, *verdict.limit))
        if goal != current:
            now = self.clock.now()
            self.store.update(resource, with_spec(target, replicas=goal))
            self.event(hpa, "Normal", "SuccessfulRescale", f"New size: {goal}; reason: {why}")
            scaled(hpa["spec"].get("behavior"), memory, now, current, goal)
            fields["lastScaleTime"] = iso(now)
            text = f"the HPA controller was able to update the target scale to {goal}"
            told.append(("AbleToScale", _TRUE, "SucceededRescale", text))
        self._write(hpa, fields, told, current)

    def _write(self, hpa: Obj, fields: dict[str, Any], wanted: list[Condition], current: int | None) -> None:
        """Write the status; conditions that are not spoken of stay, and of two for one type the last counts."""
        stored = self.store.get(RESOURCE, *key_of(hpa))
        if stored is None:
            return
        old = stored.get("status") or {}
        conditions: list[Obj] = list(old.get("conditions") or ())
        for type_, status, reason, message in wanted:
            place = next((n for n, c in enumerate(conditions) if c["type"] == type_), None)
            since = iso(self.clock.now())
            if place is not None and conditions[place]["status"] == status:
                since = conditions[place]["lastTransitionTime"]
            entry = {"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
            if place is None:
                conditions.append(entry)
            else:
                conditions[place] = entry
        body: Obj = {
            "currentMetrics": None,
            "desiredReplicas": 0,
            **{k: v for k, v in old.items() if k != "conditions"},
        }
        body.update(fields)
        if current is not None:
            body.pop("currentReplicas", None)
            if current:
                body["currentReplicas"] = current
        body["conditions"] = conditions
        if body != old:
            self.store.update(RESOURCE, with_status(stored, body))


def _selector(selector: Obj | None) -> str:
    if selector is None:
        return "nil"
    labels = " ".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    )
