"""Rules of Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import internals
from stratus.sim.api.cron import schedule_problem
from stratus.sim.api.fieldrules import maybe_one_of, non_negative, one_of
from stratus.sim.api.names import label_problems
from stratus.sim.api.podvalidation import validate_template
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule, label_selector, selects, usable
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_CORE = "io.k8s.api.core.v1."
_MISMATCH = "`selector` does not match template `labels`"
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def _job_spec(path: str, spec: Obj, problems: Problems) -> None:
    for field in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
                  "backoffLimitPerIndex", "maxFailedIndexes"):  # fmt: skip
        non_negative(f"{path}.{field}", spec.get(field), problems)
    _completion(path, spec, problems)
    if spec.get("podFailurePolicy") is not None:
        _failure_policy(f"{path}.podFailurePolicy", spec["podFailurePolicy"], spec, problems)
    replacement = ("Failed", "TerminatingOrFailed")
    maybe_one_of(f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), replacement, problems)
    template = spec.get("template") or {}
    validate_template(f"{path}.template", template, problems)
    policy, here = (template.get("spec") or {}).get("restartPolicy"), f"{path}.template.spec.restartPolicy"
    if policy in (None, "", "Always"):
        problems.required(here, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        problems.unsupported(here, policy, ["OnFailure", "Never"])
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        problems.invalid(here, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _completion(path: str, spec: Obj, problems: Problems) -> None:
    mode, indexed = spec.get("completionMode"), spec.get("completionMode") == "Indexed"
    maybe_one_of(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"), problems)
    if indexed:
        if spec.get("completions") is None:
            problems.required(f"{path}.completions", "when completion mode is Indexed")
        if (spec.get("parallelism") or 0) > 100000:
            text = "must be less than or equal to 100000 when completion mode is Indexed"
            problems.invalid(f"{path}.parallelism", spec["parallelism"], text)
    if not indexed and spec.get("backoffLimitPerIndex") is not None:
        text = "requires indexed completion mode"
        problems.invalid(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], text)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        problems.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")


def _failure_policy(path: str, policy: Obj, spec: Obj, problems: Problems) -> None:
    names = {c.get("name") for f in ("containers", "initContainers")
             for c in ((spec.get("template") or {}).get("spec") or {}).get(f) or ()}  # fmt: skip
    for index, rule in enumerate(policy.get("rules") or ()):
        here = f"{path}.rules[{index}]"
        one_of(f"{here}.action", rule.get("action"), _ACTIONS, problems)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is not None:
            _exit_codes(f"{here}.onExitCodes", codes, names, problems)
        for at, pattern in enumerate(conditions or ()):
            place = f"{here}.onPodConditions[{at}]"
            if not pattern.get("type"):
                problems.required(f"{place}.type")
            one_of(f"{place}.status", pattern.get("status"), ("False", "True", "Unknown"), problems)
        if codes is not None and conditions:
            text = "specifying both OnExitCodes and OnPodConditions is not supported"
            problems.invalid(here, "", text)
        elif codes is None and not conditions:
            problems.invalid(here, "", "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(path: str, codes: Obj, names: set[Any], problems: Problems) -> None:
    one_of(f"{path}.operator", codes.get("operator"), ("In", "NotIn"), problems)
    container = codes.get("containerName")
    if container is not None and container not in names:
        text = "must be one of the container or initContainer names in the pod template"
        problems.invalid(f"{path}.containerName", container, text)
    values = codes.get("values") or []
    if not values:
        problems.invalid(f"{path}.values", values, "at least one value is required")
    for index, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            problems.invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            problems.duplicate(f"{path}.values[{index}]", value)
    if values != sorted(values):
        problems.invalid(f"{path}.values", values, "must be ordered")


def _job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    uid, selector = o["metadata"].get("uid"), spec.get("selector") or {}
    if not spec.get("manualSelector"):
        _generated(o, labels, uid, selector, problems)
    _job_spec("spec", spec, problems)
    if spec.get("selector") is None:
        problems.required("spec.selector")
    else:
        label_selector("spec.selector", selector, problems)
    if usable(selector) and not selects(spec.get("selector"), labels):
        problems.invalid("spec.template.metadata.labels", labels, _MISMATCH)
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        host = f"{o['metadata'].get('name')}-{spec['completions'] - 1}"
        if found := label_problems(host):
            text = f'will not able to create pod with invalid DNS label "{host}": {", ".join(found)}'
            problems.invalid("metadata.name", o["metadata"].get("name"), text)


def _generated(o: Obj, labels: Obj, uid: Any, selector: Obj, problems: Problems) -> None:
    """Check what the server itself puts into a Job, when a client sent it."""
    name = o["metadata"].get("name")
    for key, want in (
        ("controller-uid", uid),
        ("batch.kubernetes.io/controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/job-name", name),
    ):
        if key in labels and labels[key] != want:
            problems.invalid(f"spec.template.metadata.labels[{key}]", labels, f"must be '{want}'")
    match = selector.get("matchLabels") or {}
    if selector and match not in ({"batch.kubernetes.io/controller-uid": uid}, {"controller-uid": uid}):
        problems.invalid("spec.selector", selector, "`selector` not auto-generated")


def _without_placement(template: Obj) -> Obj:
    gone = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    spec = {k: v for k, v in (template.get("spec") or {}).items() if k not in gone}
    return {"spec": spec}


def _job_update(o: Obj, old: Obj, problems: Problems) -> None:
    spec, before = o["spec"], old["spec"]
    indexed = spec.get("completionMode") == "Indexed"
    if spec.get("completions") != before.get("completions") and not (
        indexed and spec.get("completions") == spec.get("parallelism")
    ):
        problems.invalid("spec.completions", spec.get("completions"), IMMUTABLE)
    if spec.get("selector") != before.get("selector"):
        problems.invalid("spec.selector", spec.get("selector"), IMMUTABLE)
    a, b = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend"):
        # What steers scheduling may be changed before a job starts.
        if _without_placement(a) != _without_placement(b):
            shown = internals.dump(_CORE + "PodSpec", a.get("spec") or {})
            problems.invalid("spec.template.spec", shown, IMMUTABLE)
    elif a != b:
        problems.invalid("spec.template", internals.dump(_CORE + "PodTemplateSpec", a), IMMUTABLE)
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        if spec.get(field) != before.get(field):
            problems.invalid(f"spec.{field}", spec.get(field), IMMUTABLE)


def _cron_job(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    text = spec.get("schedule", "")
    if not text:
        problems.required("spec.schedule")
    elif problem := schedule_problem(text):
        problems.invalid("spec.schedule", text, problem)
    non_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"), problems)
    _zone("spec.timeZone", spec.get("timeZone"), problems)
    one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"), problems)
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    if inner.get("manualSelector"):
        problems.unsupported("spec.jobTemplate.spec.manualSelector", True, ["nil", "false"])
    _job_spec("spec.jobTemplate.spec", inner, problems)
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    if len(o["metadata"].get("name") or "") > 52:
        problems.invalid("metadata.name", o["metadata"]["name"], "must be no more than 52 characters")


def _zone(path: str, zone: str | None, problems: Problems) -> None:
    if zone is None:
        return
    if not zone:
        problems.invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    if zone.lower() == "local":
        problems.invalid(
            path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
        return
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        problems.invalid(path, zone, f"unknown time zone {zone}")


CREATE: dict[str, Rule] = {"Job": _job, "CronJob": _cron_job}
UPDATE: dict[str, Change] = {"Job": _job_update}
