"""What ends a Job, as pure tests on objects: index intervals, pod failure policies, success policies, back-off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stratus.kit.clock import parse_iso
from stratus.sim.controllers.common import pod_finished
from stratus.sim.store import Obj

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
BACKOFF_FIRST, BACKOFF_MOST = 10.0, 600.0


def intervals(numbers: Iterable[int]) -> str:
    """Write indexes as a Job's status does: `0-2,5`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def indexes(text: str | None) -> set[int]:
    """Read indexes written as intervals."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def index_of(pod: Obj) -> int | None:
    """Return a pod's completion index, if it has one."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdigit() else None


def noted(pod: Obj, name: str) -> int:
    """Return a number a pod is annotated with, 0 without one."""
    text = (pod["metadata"].get("annotations") or {}).get(name, "")
    return int(text) if text.isdigit() else 0


def backoff(failures: int) -> float:
    """Return how long after a failure a Job waits with the next pod (seconds)."""
    return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (failures - 1)) if failures > 0 else 0.0


def waits_for_failed(spec: Obj) -> bool:
    """Tell whether pods on their way out are replaced (and counted) only when they have failed."""
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def has_failed(pod: Obj, spec: Obj) -> bool:
    """Tell whether a pod counts as a failure."""
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Failed":
        return True
    return not waits_for_failed(spec) and "deletionTimestamp" in pod["metadata"] and phase != "Succeeded"


def end_time(pod: Obj, now: float) -> float:
    """Return when the last container of a pod ended; for one without, when it was marked for deletion or now."""
    found = [
        parse_iso(c["state"]["terminated"]["finishedAt"])
        for c in (pod.get("status") or {}).get("containerStatuses") or ()
        if (c.get("state", {}).get("terminated") or {}).get("finishedAt")
    ]
    return max(found, default=now)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a pod failure policy says of a failed pod: FailJob, FailIndex, Ignore or Count, and why."""

    action: str
    message: str = ""


def judge(pod: Obj, policy: Obj | None) -> Judgement:
    """Apply a pod failure policy to a failed pod; without a rule that matches, the failure counts."""
    meta = pod["metadata"]
    where = f"{meta['namespace']}/{meta['name']}"
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        codes = rule.get("onExitCodes")
        if codes:
            found = _exit(pod, codes)
            if found is not None:
                container, code = found
                text = (
                    f"Container {container} for pod {where} failed with exit code {code} "
                    f"matching {rule['action']} rule at index {number}"
                )
                return Judgement(rule["action"], text)
        elif rule.get("onPodConditions"):
            for wanted in rule["onPodConditions"]:
                for have in (pod.get("status") or {}).get("conditions") or ():
                    if have["type"] == wanted["type"] and have["status"] == wanted.get("status", "True"):
                        text = f"Pod {where} has condition {wanted['type']} matching {rule['action']} rule"
                        return Judgement(rule["action"], f"{text} at index {number}")
    return Judgement("Count")


def _exit(pod: Obj, codes: Obj) -> tuple[str, int] | None:
    status = pod.get("status") or {}
    for found in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        if codes.get("containerName") not in (None, "", found["name"]):
            continue
        ended = (found.get("state") or {}).get("terminated")
        if not ended or ended.get("exitCode", 0) == 0:
            continue
        listed = ended["exitCode"] in (codes.get("values") or ())
        if listed == (codes.get("operator") == "In"):
            return found["name"], ended["exitCode"]
    return None


def success_rule(policy: Obj | None, done: set[int], completions: int) -> int | None:
    """Return the number of the first success rule that is met, None while there is none."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        wanted = indexes(rule["succeededIndexes"]) if rule.get("succeededIndexes") else set(range(completions))
        hit = len(done & wanted)
        if hit >= (rule["succeededCount"] if rule.get("succeededCount") is not None else len(wanted)):
            return number
    return None


def ended(pod: Obj) -> bool:
    """Tell whether a pod has run its course."""
    return pod_finished(pod)
