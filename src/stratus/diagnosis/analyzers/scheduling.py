"""Pods that no node takes: resources, selectors and affinity, taints, cordons, volumes."""

from __future__ import annotations

import json
import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import container_of, differences
from stratus.diagnosis.resources import cpu_text, memory_text
from stratus.diagnosis.world import Workload, World, event_note, live_pods, note, reference
from stratus.kit.kube import condition, created, dig, event_message, labels_of, moment, name_of, pod_finished, quantity
from stratus.model.base import Json

_SHORT = re.compile(r"Insufficient (?P<what>[\w.\-/]*\w)")
_AFFINITY = "didn't match Pod's node affinity/selector"
_ANTI = re.compile(r"didn't match pod (?:anti-)?affinity rules|didn't satisfy existing pods anti-affinity rules")
_CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found|unbound immediate PersistentVolumeClaims'
                    r"|available persistent volumes to bind|volume node affinity conflict")  # fmt: skip
_SYSTEM_TAINTS = ("node-role.kubernetes.io/", "node.kubernetes.io/")


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload with pods that cannot be scheduled."""
    found = []
    for w in world.workloads:
        for pod in live_pods(w.pods):
            scheduled = condition(pod, "PodScheduled")
            if scheduled.get("status") != "False" or dig(pod, "spec", "nodeName"):
                continue
            events = world.events(pod, "FailedScheduling")
            text = scheduled.get("message") or (event_message(events[-1]) if events else "")
            finding = _finding(world, w, pod, text)
            finding.pro.insert(0, note("object", f"pod {name_of(pod)} is Pending: {text}", pod, service=w.service,
                                       at=moment(scheduled.get("lastTransitionTime")) or created(pod)))  # fmt: skip
            finding.pro += [event_note(e, pod, w.service) for e in events[-1:] if event_message(e) != text]
            finding.facts.setdefault("pod", name_of(pod))
            found.append(finding)
            break
        if w.kind == "DaemonSet" and not w.wanted and (astray := _nowhere(world, w)) is not None:
            found.append(astray)
    return found


def _nowhere(world: World, w: Workload) -> Finding | None:
    """A DaemonSet that wants no pod because no node matches it, and that was not always so."""
    good = w.back[0] if w.back else None
    diffs = differences(good.template, w.template) if good else []
    if good is None or not any(d.area == "scheduling" for d in diffs):
        return None
    finding = _selector(world, w, {}, "")
    finding.impact = 1.0
    finding.pro.append(note("object", f"{w.title} is meant for 0 nodes", w.obj, service=w.service))
    went_back(finding, w, good, diffs)
    return finding


def _finding(world: World, w: Workload, pod: Json, text: str) -> Finding:
    """Sort the scheduler's words; where several reasons are given, what was changed comes first."""
    good = w.back[0] if w.back else None
    diffs = differences(good.template, w.template) if good else []
    changed = {d.path for d in diffs if d.area == "scheduling"}
    short = _SHORT.findall(text)
    finding: Finding | None = None
    if _CLAIM.search(text):
        finding = _claim(world, w)
    elif "free ports" in text:
        ports = [
            str(p["hostPort"])
            for c in w.spec.get("containers") or ()
            for p in c.get("ports") or ()
            if p.get("hostPort")
        ]
        told = f"{w.title}: every node that would do has its host port {', '.join(ports)} taken"
        finding = about(w, "unschedulable_selector", told, 0.85, settled=True)
    elif _AFFINITY in text and ("nodeSelector" in changed or "affinity" in changed or not short):
        finding = _selector(world, w, pod, text)
    elif short:
        finding = _resources(world, w, short)
    elif _AFFINITY in text:
        finding = _selector(world, w, pod, text)
    elif _ANTI.search(text):
        rule = "podAntiAffinity" if "anti-affinity" in text else "podAffinity"
        finding = about(w, "unschedulable_selector", f"{w.title}: its {rule} rule leaves no node for its pods", 0.88,
                        settled=True, affinity=rule)  # fmt: skip
    elif "were unschedulable" in text:
        finding = _cordoned(world, w, None)
    elif "taint" in text:
        finding = _taint(world, w)
    if finding is None:
        finding = about(w, "unschedulable_selector", f"{w.title}: no node takes its pods", 0.6)
    relevant = [d for d in diffs if d.area in ("scheduling", "resources", "volumes")]
    if good is not None and relevant:
        went_back(finding, w, good, diffs)
        finding.confidence = max(finding.confidence, 0.95)
    return finding


def _resources(world: World, w: Workload, short: list[str]) -> Finding:
    nodes = world.observation.of("Node")
    good = w.back[0] if w.back else None
    finding = about(w, "unschedulable_resources", "", 0.85, settled=True)
    told = []
    nothing: Json = {}
    impossible = False
    for what in dict.fromkeys(short):
        room = max((quantity(dig(n, "status", "allocatable", what, default="0")) or 0.0 for n in nodes), default=0.0)
        asks = [
            (quantity(dig(c, "resources", "requests", what, default="0")) or 0.0, c)
            for c in w.spec.get("containers") or ()
        ]
        total = sum(a for a, _ in asks)
        most, container = max(asks, key=lambda a: a[0], default=(0.0, nothing))
        finding.facts["container"] = container.get("name", "")
        told.append(f"{dig(container, 'resources', 'requests', what, default='0')} of {what}")
        if room and total > room:
            impossible = True
            finding.pro.append(note("object", f"the largest node has {_text(what, room)} of {what} to give, "
                                    f"the pod asks for {_text(what, total)}", w.obj, service=w.service))  # fmt: skip
        name = {"cpu": "cpu_request", "memory": "memory_request"}.get(what)
        if name is None:
            continue
        was = (
            dig(container_of(good.template, container.get("name", "")), "resources", "requests", what) if good else None
        )
        if was is not None and quantity(was) != most:
            finding.facts[name] = str(was)
        elif total:
            fits = _free(world, what)
            smaller = min(most, max(0.0, fits - (total - most)) * 0.9) if fits else most / 2
            if 0 < smaller < most:
                finding.facts[name] = _text(what, smaller)
        limit = dig(container, "resources", "limits", what)
        if limit is not None and name in finding.facts and good is not None:
            before = dig(container_of(good.template, container.get("name", "")), "resources", "limits", what)
            if before is not None and before != limit:
                finding.facts[name.replace("request", "limit")] = str(before)
    finding.summary = f"{w.title}: no node has the {' and '.join(told)} that a pod of it asks for"
    if impossible:
        finding.confidence = 0.95
    else:
        finding.con.append(note("object", "the request would fit an empty node: the cluster may just be full", w.obj))
        finding.confidence = 0.75
    return finding


def _text(what: str, amount: float) -> str:
    return cpu_text(amount) if what == "cpu" else memory_text(amount) if what == "memory" else f"{amount:g}"


def _free(world: World, what: str) -> float:
    """Return the most that any schedulable node has left."""
    best = 0.0
    for node in world.observation.of("Node"):
        if dig(node, "spec", "unschedulable"):
            continue
        room = quantity(dig(node, "status", "allocatable", what, default="0")) or 0.0
        for pod in world.observation.of("Pod"):
            if dig(pod, "spec", "nodeName") == name_of(node) and not pod_finished(pod):
                for c in dig(pod, "spec", "containers", default=[]):
                    room -= quantity(dig(c, "resources", "requests", what, default="0")) or 0.0
        best = max(best, room)
    return best


def _selector(world: World, w: Workload, pod: Json, text: str) -> Finding:
    nodes = world.observation.of("Node")
    selector = w.spec.get("nodeSelector") or dig(pod, "spec", "nodeSelector", default={})
    fitting = [n for n in nodes if all(labels_of(n).get(k) == v for k, v in selector.items())]
    if selector and not nodes:
        key = sorted(selector)[0]
        return about(w, "unschedulable_selector", f"{w.title}: no node matches its nodeSelector", 0.8, settled=True,
                     node_selector_key=key, node_selector_value=selector[key])  # fmt: skip
    for key, value in sorted(selector.items()):
        if not any(labels_of(n).get(key) == value for n in nodes):
            has = sorted({labels_of(n)[key] for n in nodes if key in labels_of(n)})
            text = f"{w.title}: its nodeSelector asks for {key}={value}, and no node has that label"
            finding = about(w, "unschedulable_selector", text, 0.95, settled=True, node_selector_key=key,
                            node_selector_value=value)  # fmt: skip
            if has:
                text = f"nodes have {key} with {', '.join(has[:5])}"
                finding.pro.append(note("object", text, w.obj, service=w.service))
            return finding
    if selector and not fitting:
        key = sorted(selector)[0]
        return about(w, "unschedulable_selector", f"{w.title}: no node has all labels of its nodeSelector", 0.92,
                     settled=True, node_selector_key=key, node_selector_value=selector[key])  # fmt: skip
    if fitting and all(dig(n, "spec", "unschedulable") for n in fitting):
        return _cordoned(world, w, fitting[0])
    if "taint" in text and fitting and any(dig(n, "spec", "taints") for n in fitting):
        return _taint(world, w)
    rule = dig(w.spec, "affinity", "nodeAffinity")
    if rule:
        return about(w, "unschedulable_selector", f"{w.title}: its nodeAffinity matches no node", 0.92, settled=True,
                     affinity="nodeAffinity")  # fmt: skip
    return about(w, "unschedulable_selector", f"{w.title}: its pods match no node", 0.7)


def _cordoned(world: World, w: Workload, node: Json | None) -> Finding:
    cordoned = [n for n in world.observation.of("Node") if dig(n, "spec", "unschedulable")]
    chosen = node or (cordoned[0] if cordoned else None)
    if chosen is None:
        return about(w, "unschedulable_taint", f"{w.title}: nodes are not schedulable", 0.6)
    name = name_of(chosen)
    finding = about(w, "unschedulable_taint", f"Node {name} is cordoned, and the pods of {w.title} have no other", 0.9,
                    settled=True, cordoned_node=name, node=name,
                    workload=f"{w.kind.lower()}/{w.name}")  # fmt: skip
    finding.object = reference("Node", "", name)
    ready = condition(chosen, "Ready").get("status") == "True"
    seen = note("object", f"Node {name} is {'ready' if ready else 'not ready'} and unschedulable", chosen)
    (finding.pro if ready else finding.con).append(seen)
    return finding


def _taint(world: World, w: Workload) -> Finding:
    """Find the taint that keeps the pods out: the one on the nodes that would otherwise fit, system taints last."""
    selector = w.spec.get("nodeSelector") or {}
    fitting = [n for n in world.observation.of("Node") if all(labels_of(n).get(k) == v for k, v in selector.items())]
    taints = [
        (str(t.get("key", "")).startswith(_SYSTEM_TAINTS), name_of(n), t)
        for n in fitting
        for t in dig(n, "spec", "taints", default=[])
        if t.get("effect") in ("NoSchedule", "NoExecute")
    ]
    if not taints:
        return about(w, "unschedulable_taint", f"{w.title}: every node has a taint its pods do not tolerate", 0.8)
    _, node, taint = min(taints, key=lambda t: (t[0], t[1]))
    value = f"={taint['value']}" if taint.get("value") else ""
    spelled = f"{taint['key']}{value}:{taint['effect']}"
    toleration = {"key": taint["key"], "operator": "Equal" if value else "Exists", "effect": taint["effect"]}
    if value:
        toleration["value"] = taint["value"]
    tolerations = [*(w.spec.get("tolerations") or ()), toleration]
    finding = about(w, "unschedulable_taint", f"{w.title}: its pods do not tolerate the taint {spelled}", 0.9,
                    settled=True, taint=spelled, node=node, tolerations_json=json.dumps(tolerations))  # fmt: skip
    finding.pro.append(note("object", f"Node {node} has the taint {spelled}", reference("Node", "", node)))
    return finding


def _claim(world: World, w: Workload) -> Finding:
    claims = {
        dig(v, "persistentVolumeClaim", "claimName"): v["name"]
        for v in w.spec.get("volumes") or ()
        if dig(v, "persistentVolumeClaim", "claimName")
    }
    known = world.observation.of("PersistentVolumeClaim", w.namespace)
    bound = [name_of(c) for c in known if dig(c, "status", "phase") == "Bound"]
    used = {
        dig(v, "persistentVolumeClaim", "claimName")
        for o in world.workloads
        if o is not w and o.namespace == w.namespace
        for v in o.spec.get("volumes") or ()
    }
    there = {name_of(c): c for c in known}
    for claim, volume in sorted(claims.items()):
        obj = there.get(claim)
        if obj is not None and dig(obj, "status", "phase") == "Bound":
            continue
        state = "does not exist" if obj is None else f"is {dig(obj, 'status', 'phase', default='not bound')}"
        text = f"{w.title}: its PersistentVolumeClaim {claim} {state}"
        finding = about(w, "volume_unbound", text, 0.93, settled=True,
                        volume=volume, workload=f"{w.kind.lower()}/{w.name}")  # fmt: skip
        free = [b for b in bound if b not in used and b != claim]
        if free:
            finding.facts["good_claim"] = free[0]
        if obj is not None:
            finding.pro += [event_note(e, obj, w.service) for e in world.events(obj)[-1:]]
            cls = dig(obj, "spec", "storageClassName", default="")
            classes = [name_of(s) for s in world.observation.of("StorageClass")]
            if cls and "StorageClass" not in world.observation.missing and cls not in classes:
                finding.pro.append(note("object", f"StorageClass {cls} does not exist", obj))
            if not w.back:
                finding.object = reference("PersistentVolumeClaim", w.namespace, claim)
        return finding
    return about(w, "volume_unbound", f"{w.title}: a volume of its pods cannot be bound", 0.85, settled=True)
