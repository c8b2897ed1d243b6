"""Pods that are not let in: quota, limit ranges, a missing ServiceAccount, policies, webhooks."""

from __future__ import annotations

import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import differences
from stratus.diagnosis.resources import cpu_text, memory_text
from stratus.diagnosis.world import Workload, World, note, reference
from stratus.kit.kube import condition, dig, event_message, event_time, name_of, quantity
from stratus.model.base import Json

_QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[\w.-]+), requested: (?P<asked>[^ ]+(?:,[^ ]+)*), used: (?P<used>\S+), "
    r"limited: (?P<hard>\S+)"
)
_MUST = re.compile(r"failed quota: (?P<quota>[\w.-]+): must specify (?P<what>[\w.,;:\s-]+)")
_ACCOUNT = re.compile(r'service ?account "(?P<name>[^"]+)" not found', re.IGNORECASE)
_LIMIT = re.compile(r"(?:maximum|minimum) (?P<what>\w+) usage per (?:Container|Pod) is (?P<bound>[^,.]+)")
_HOOK = re.compile(r'admission webhook "(?P<name>[^"]+)" denied|failed calling webhook "(?P<down>[^"]+)"')
_SECURITY = re.compile(r"violates PodSecurity")
RECENT = 1800.0


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload whose pods are refused."""
    found = []
    for w in world.workloads:
        text, cite, at = _refusal(world, w)
        if not text:
            continue
        finding = _finding(world, w, text)
        finding.pro.insert(0, note("event", text, cite, service=w.service, at=at))
        found.append(finding)
    return found


def _refusal(world: World, w: Workload) -> tuple[str, Json, float]:
    """Return the newest refusal of a pod of the workload, empty when it gets its pods."""
    owners = [w.obj]
    if w.kind == "Deployment":
        sets = [world.observation.find("ReplicaSet", w.namespace, r.name) for r in w.revisions[:1]]
        owners += [s for s in sets if s is not None]
    if w.wanted and len(w.newest_pods) >= w.wanted and not (w.kind == "Deployment" and not w.newest_pods):
        return "", w.obj, 0.0
    best: tuple[float, str, Json] = (0.0, "", w.obj)
    for owner in owners:
        failure = condition(owner, "ReplicaFailure")
        if failure.get("status") == "True":
            best = max(best, (1.0, str(failure.get("message", "")), owner), key=lambda b: b[0])
        for event in world.events(owner, "FailedCreate")[-1:]:
            if world.now - event_time(event) < RECENT or failure.get("status") == "True":
                best = max(best, (event_time(event), event_message(event), owner), key=lambda b: b[0])
    return best[1], best[2], best[0]


def _finding(world: World, w: Workload, text: str) -> Finding:
    good = w.back[0] if w.back else None
    diffs = differences(good.template, w.template) if good else []
    workload = f"{w.kind.lower()}/{w.name}"
    relevant: tuple[str, ...] = ("resources", "identity", "security", "container", "other")
    if match := _ACCOUNT.search(text):
        finding = about(
            w,
            "service_account_missing",
            f"{w.title}: its ServiceAccount {match['name']} does not exist",
            0.95,
            settled=True,
            service_account=match["name"],
            workload=workload,
        )
        was = dig(good.template, "spec", "serviceAccountName", default="default") if good else ""
        there = [name_of(a) for a in world.observation.of("ServiceAccount", w.namespace)]
        choice = [a for a in (was, w.name) if a and a in there and a != match["name"]]
        if choice:
            finding.facts["good_service_account"] = choice[0]
        relevant = ("identity",)
    elif match := _QUOTA.search(text):
        finding = _quota(world, w, match, workload)
        relevant = ("resources",)
    elif match := _MUST.search(text):
        finding = about(
            w,
            "quota_exceeded",
            f"{w.title}: ResourceQuota {match['quota']} demands {match['what'].strip()}, "
            "which its containers do not state",
            0.93,
            settled=True,
            quota=match["quota"],
            workload=workload,
        )
        finding.object = reference("ResourceQuota", w.namespace, match["quota"])
        containers = w.spec.get("containers") or ()
        if containers:
            finding.facts["container"] = containers[0]["name"]
        relevant = ("resources",)
    else:
        finding = _refused(world, w, text, workload)
    mine = [d for d in diffs if d.area in relevant]
    if good is not None and mine:
        went_back(finding, w, good, diffs)
        finding.object = w.ref
    finding.impact = max(finding.impact, 0.3 + 0.7 * w.down)
    return finding


def _quota(world: World, w: Workload, match: re.Match[str], workload: str) -> Finding:
    asked, used, hard = (_amounts(match[k]) for k in ("asked", "used", "hard"))
    key = next((k for k in asked if _sum(used.get(k, "0"), asked[k]) > (quantity(hard.get(k, "0")) or 0.0)), "")
    key = key or next(iter(asked), "")
    lacking = max(1, w.wanted - len(w.pods))
    need = _sum(used.get(key, "0"), asked.get(key, "0"), times=lacking)
    text = f"{w.title}: ResourceQuota {match['quota']} allows {hard.get(key)} of {key}, {used.get(key)} are used"
    finding = about(
        w,
        "quota_exceeded",
        text,
        0.93,
        settled=True,
        quota=match["quota"],
        quota_key=key,
        quota_value=_text(key, need),
        workload=workload,
    )
    finding.object = reference("ResourceQuota", w.namespace, match["quota"])
    changed = world.changed_at("ResourceQuota", w.namespace, match["quota"])
    if changed:
        finding.pro.append(note("change", f"ResourceQuota {match['quota']} was changed", finding.object, at=changed))
    return finding


def _amounts(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _sum(used: str, asked: str, times: int = 1) -> float:
    return (quantity(used) or 0.0) + times * (quantity(asked) or 0.0)


def _text(key: str, amount: float) -> str:
    if "memory" in key or "storage" in key:
        return memory_text(amount)
    return cpu_text(amount) if "cpu" in key else str(int(amount))


def _refused(world: World, w: Workload, text: str, workload: str) -> Finding:
    if match := _LIMIT.search(text):
        finding = about(
            w,
            "admission_refused",
            f"{w.title}: a LimitRange bounds {match['what']} to {match['bound']}",
            0.92,
            settled=True,
            workload=workload,
        )
        name = {"memory": "memory_limit", "cpu": "cpu_limit"}.get(match["what"])
        if name and "maximum" in text and len(w.spec.get("containers") or ()) == 1:
            finding.facts[name] = match["bound"].strip()
            finding.facts["container"] = w.spec["containers"][0]["name"]
        ranges = world.observation.of("LimitRange", w.namespace)
        if ranges and not w.back and "container" not in finding.facts:
            finding.object = reference("LimitRange", w.namespace, name_of(ranges[0]))
        return finding
    if match := _HOOK.search(text):
        name = match["name"] or match["down"]
        state = "refuses its pods" if match["name"] else "does not answer"
        return about(
            w, "admission_refused", f"{w.title}: admission webhook {name} {state}", 0.9, settled=True, workload=workload
        )
    if _SECURITY.search(text):
        return about(
            w,
            "admission_refused",
            f"{w.title}: its pods violate the namespace's PodSecurity level",
            0.92,
            settled=True,
            workload=workload,
        )
    fault = "rbac_denied" if "cannot create resource" in text else "admission_refused"
    return about(w, fault, f"{w.title}: its pods are refused: {text}", 0.85, settled=True, workload=workload)  # type: ignore[arg-type]
