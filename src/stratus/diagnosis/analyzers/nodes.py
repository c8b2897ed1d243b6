"""Nodes that are not ready or under pressure, Jobs that fail, rollouts that do not move, pods that hang in init."""

from __future__ import annotations

import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import differences
from stratus.diagnosis.world import Workload, World, live_pods, note
from stratus.kit.kube import condition, containers_of, controller, dig, moment, name_of, pod_finished
from stratus.model.base import Json
from stratus.model.diagnosis import FaultClass
from stratus.model.refs import ObjectRef

_HOST = re.compile(
    r"\b(?:nslookup|nc -z[vw]*|wget|curl|getent hosts|dig)\b[^\n;|&]*?\s(?:https?://)?([a-z0-9-]+)(?=[.:\s/;'\"]|$)"
)


def analyze(world: World) -> list[Finding]:
    """Return findings about nodes, Jobs, stuck rollouts and init containers that hang."""
    found = [f for node in world.observation.of("Node") if (f := _node(world, node))]
    for w in world.workloads:
        if w.kind == "Job":
            found += _job(world, w)
        elif w.kind != "Pod":
            found += _stuck(world, w)
            found += _hanging(world, w)
    return found


def _node(world: World, node: Json) -> Finding | None:
    name, ref = name_of(node), ObjectRef.of(node, api_version="v1", kind="Node")
    hosted = [
        w for w in world.workloads if any(dig(p, "spec", "nodeName") == name and not pod_finished(p) for p in w.pods)
    ]
    ready = condition(node, "Ready")
    bad = ready if ready and ready.get("status") != "True" else None
    fault: FaultClass = "node_not_ready"
    word = "is not ready"
    confidence = 0.93
    if bad is None:
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"):
            if condition(node, kind).get("status") == "True":
                bad, word, confidence = condition(node, kind), f"is under {kind}", 0.7
                fault = "memory_pressure" if kind == "MemoryPressure" else "node_not_ready"
    if bad is None:
        return None
    down = [w for w in hosted if w.down]
    finding = Finding(
        fault,
        ref,
        f"Node {name} {word}: {bad.get('message') or bad.get('reason', '')}",
        confidence if hosted else 0.3,
        service=(down or hosted)[0].service if hosted else "",
        facts={"node": name},
        impact=min(1.0, 0.2 * len(hosted)),
        settled=True,
    )
    finding.pro.append(
        note(
            "object",
            f"Node {name}: {bad.get('type')}={bad.get('status')}: {bad.get('message', '')}",
            node,
            at=moment(bad.get("lastTransitionTime")),
        )
    )
    if hosted:
        finding.pro.append(note("object", f"on it are pods of {', '.join(w.name for w in hosted[:6])}", node))
    return finding


def _job(world: World, w: Workload) -> list[Finding]:
    failed = condition(w.obj, "Failed")
    at = moment(failed.get("lastTransitionTime"))
    if failed.get("status") != "True" or world.now - at > 1800.0:
        return []
    text = f"Job {w.name} failed: {failed.get('message') or failed.get('reason', '')}"
    finding = about(w, "job_failing", text, 0.8)
    finding.impact = 0.2
    owner = controller(w.obj)
    if owner and owner[0] == "CronJob":
        finding.facts["cron_job"] = owner[1]
    finding.pro.append(note("object", text, w.obj, at=at))
    lines = [e for e in world.logs(w.pods) if e.text.strip()]
    finding.pro += [note("log", e.text, w.obj, at=e.at) for e in lines[-1:]]
    return [finding]


def _stuck(world: World, w: Workload) -> list[Finding]:
    """A rollout that does not move, told in case nothing explains it; a paused one explains itself."""
    if dig(w.obj, "spec", "paused"):
        newest = w.revisions[0] if w.revisions else None
        if newest is not None and differences(newest.template, w.template):
            finding = about(
                w,
                "rollout_stuck",
                f"{w.title} is paused, and its latest change has not been rolled out",
                0.5,
                paused=True,
            )
            finding.pro.append(note("object", "spec.paused is true", w.obj, service=w.service))
            return [finding]
    partition = dig(w.obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    progressing = condition(w.obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded" or (w.down == 1.0 and w.pods):
        why = (
            "its rollout has timed out" if progressing.get("reason") == "ProgressDeadlineExceeded" else "none is ready"
        )
        finding = about(w, "rollout_stuck", f"{w.title}: {w.ready} of {w.wanted} pods ready, {why}", 0.4)
        if partition:
            finding.facts["partition"] = partition
        if dig(w.obj, "spec", "paused"):
            finding.facts["paused"] = True
        good = w.back[0] if w.back else None
        if good is not None:
            went_back(finding, w, good, differences(good.template, w.template))
            finding.confidence = 0.5
        finding.pro.append(note("object", str(progressing.get("message", why)), w.obj, service=w.service))
        return [finding]
    return []


def _hanging(world: World, w: Workload) -> list[Finding]:
    """An init container that runs and runs: what does it wait for?"""
    for pod in live_pods(w.pods):
        for c in containers_of(pod):
            if not c.init or not c.running or world.now - c.started < 60 or c.spec.get("restartPolicy") == "Always":
                continue
            text = " ".join(str(t) for t in [*(c.spec.get("command") or ()), *(c.spec.get("args") or ())])
            hosts = [h for h in _HOST.findall(text) if h]
            lost = [h for h in hosts if world.find_service(w.namespace, h) is None]
            good = w.back[0] if w.back and pod in w.newest_pods else None
            if lost:
                summary = f"{w.title}: init container {c.name} waits for {lost[0]}, and there is no such Service"
                finding = about(w, "dependency_address", summary, 0.85, settled=True, container=c.name)
            else:
                summary = f"{w.title}: init container {c.name} has been running for {world.now - c.started:.0f} s"
                finding = about(w, "rollout_stuck", summary, 0.6, container=c.name)
            finding.pro.append(note("object", f"pod {name_of(pod)}: {summary}", pod, service=w.service, at=c.started))
            finding.pro += [note("log", e.text, pod) for e in world.logs([pod])[-1:] if e.container == c.name]
            if good is not None:
                went_back(finding, w, good, differences(good.template, w.template))
                finding.confidence = max(finding.confidence, 0.9)
            return [finding]
    return []
