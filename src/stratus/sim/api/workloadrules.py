"""Rules of workloads: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import internals
from stratus.sim.api.cron import schedule_problem
from stratus.sim.api.names import check_labels
from stratus.sim.api.podvalidation import non_negative, validate_pod_spec
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule, int_or_percent, label_selector, over_hundred
from stratus.sim.api.selectors import from_selector, labels_match
from stratus.sim.api.status import Problems

Obj = dict[str, Any]


def _workload(o: Obj, word: str, problems: Problems, *, restart: tuple[str, ...] = ("Always",)) -> None:
    spec = o["spec"]
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    good = False
    if selector is None:
        problems.required("spec.selector")
    else:
        good = label_selector("spec.selector", selector, problems)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            problems.invalid("spec.selector", selector, f"empty selector is invalid for {word}")
            good = False
            if word != "deployment":
                return
        elif not good:
            problems.invalid("spec.selector", selector, "invalid label selector")
    template = spec.get("template") or {}
    if selector is None or good:
        requirements = from_selector(selector)
        if requirements is None or not labels_match(requirements, labels):
            problems.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    check_labels(labels, "spec.template.labels", problems)
    claims = tuple(c.get("metadata", {}).get("name", "") for c in spec.get("volumeClaimTemplates") or ())
    validate_pod_spec("spec.template.spec", template.get("spec") or {}, problems, restart=restart, claims=claims)


def _deployment(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    non_negative("spec.replicas", spec.get("replicas"), problems)
    _workload(o, "deployment", problems)
    strategy = spec.get("strategy") or {}
    path, kind = "spec.strategy", strategy.get("type")
    if kind == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            problems.forbidden(f"{path}.rollingUpdate", text)
    elif kind == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        down = int_or_percent(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), problems)
        up = int_or_percent(f"{path}.rollingUpdate.maxSurge", rolling.get("maxSurge"), problems)
        if down == 0 and up == 0:
            text = "may not be 0 when `maxSurge` is 0"
            problems.invalid(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), text)
        over_hundred(f"{path}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), problems)
    else:
        problems.unsupported(f"{path}.type", kind, ["Recreate", "RollingUpdate"])
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and 0 <= deadline <= ready:
        problems.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _same_selector(o: Obj, old: Obj, problems: Problems) -> None:
    if o["spec"].get("selector") != old["spec"].get("selector"):
        problems.invalid("spec.selector", o["spec"].get("selector"), IMMUTABLE)


def _replica_set(o: Obj, problems: Problems) -> None:
    non_negative("spec.replicas", o["spec"].get("replicas"), problems)
    non_negative("spec.minReadySeconds", o["spec"].get("minReadySeconds"), problems)
    _workload(o, "replicaset", problems)


def _daemon_set(o: Obj, problems: Problems) -> None:
    _workload(o, "daemonset", problems)
    kind = (o["spec"].get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        problems.unsupported("spec.updateStrategy.type", kind, ["RollingUpdate", "OnDelete"])


def _stateful_set(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        problems.invalid("spec.podManagementPolicy", spec.get("podManagementPolicy"), text)
    kind = (spec.get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        problems.invalid("spec.updateStrategy", spec.get("updateStrategy"), "must be 'RollingUpdate' or 'OnDelete'")
    non_negative("spec.replicas", spec.get("replicas"), problems)
    _workload(o, "statefulset", problems)


_STATEFUL_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def _stateful_set_update(o: Obj, old: Obj, problems: Problems) -> None:
    a = {k: v for k, v in o["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    b = {k: v for k, v in old["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    if a != b:
        listed = ", ".join(f"'{f}'" for f in _STATEFUL_CHANGEABLE[:-1])
        text = f"updates to statefulset spec for fields other than {listed} and '{_STATEFUL_CHANGEABLE[-1]}'"
        problems.forbidden("spec", f"{text} are forbidden")


def _job_spec(path: str, spec: Obj, problems: Problems) -> None:
    for field in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        non_negative(f"{path}.{field}", spec.get(field), problems)
    template = (spec.get("template") or {}).get("spec") or {}
    before = len(problems.causes)
    policy = template.get("restartPolicy")
    validate_pod_spec(
        f"{path}.template.spec", {**template, "restartPolicy": "Never"} if policy == "Always" else template, problems
    )
    if policy == "Always" and len(problems.causes) >= before:
        problems.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    uid, selector = o["metadata"].get("uid"), spec.get("selector") or {}
    if not spec.get("manualSelector"):
        for key, want in (
            ("controller-uid", uid),
            ("batch.kubernetes.io/controller-uid", uid),
            ("job-name", o["metadata"].get("name")),
            ("batch.kubernetes.io/job-name", o["metadata"].get("name")),
        ):
            if key in labels and labels[key] != want:
                problems.invalid(f"spec.template.metadata.labels[{key}]", labels, f"must be '{want}'")
        match = selector.get("matchLabels") or {}
        if selector and match not in (
            {"batch.kubernetes.io/controller-uid": uid},
            {"controller-uid": uid},
        ):
            problems.invalid("spec.selector", selector, "`selector` not auto-generated")
    _job_spec("spec", spec, problems)
    requirements = from_selector(selector)
    if requirements and not labels_match(requirements, labels):
        problems.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _without_placement(template: Obj) -> Obj:
    gone = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    spec = {k: v for k, v in (template.get("spec") or {}).items() if k not in gone}
    return {"spec": spec}


def _job_update(o: Obj, old: Obj, problems: Problems) -> None:
    spec, before = o["spec"], old["spec"]
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "manualSelector"):
        if spec.get(field) != before.get(field):
            problems.invalid(f"spec.{field}", spec.get(field), IMMUTABLE)
    if spec.get("completions") != before.get("completions") and spec.get("completionMode") != "Indexed":
        problems.invalid("spec.completions", spec.get("completions"), IMMUTABLE)
    a, b = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend"):
        # What steers scheduling may be changed before a job starts.
        if _without_placement(a) != _without_placement(b):
            shown = internals.dump("io.k8s.api.core.v1.PodSpec", a.get("spec") or {})
            problems.invalid("spec.template.spec", shown, IMMUTABLE)
    elif a != b:
        shown = internals.dump("io.k8s.api.core.v1.PodTemplateSpec", a)
        problems.invalid("spec.template", shown, IMMUTABLE)


def _cron_job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    text = spec.get("schedule", "")
    if not text:
        problems.required("spec.schedule")
    elif problem := schedule_problem(text):
        problems.invalid("spec.schedule", text, problem)
    zone = spec.get("timeZone")
    if zone is not None:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            problems.invalid("spec.timeZone", zone, f"unknown time zone {zone}")
    if spec.get("concurrencyPolicy") not in ("Allow", "Forbid", "Replace"):
        problems.unsupported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ["Allow", "Forbid", "Replace"])
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    _job_spec("spec.jobTemplate.spec", (spec.get("jobTemplate") or {}).get("spec") or {}, problems)


CREATE: dict[str, Rule] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "CronJob": _cron_job,
}
UPDATE: dict[str, Change] = {
    "Deployment": _same_selector,
    "ReplicaSet": _same_selector,
    "DaemonSet": _same_selector,
    "StatefulSet": _stateful_set_update,
    "Job": _job_update,
}
