"""Rules of workloads that keep pods running: Deployments, ReplicaSets, StatefulSets, DaemonSets and their like."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import internals
from stratus.sim.api.fieldrules import dns_label, maybe_one_of, non_negative
from stratus.sim.api.podvalidation import validate_template
from stratus.sim.api.rulebase import (
    IMMUTABLE,
    Change,
    Rule,
    int_or_percent,
    label_selector,
    over_hundred,
    selects,
    usable,
)
from stratus.sim.api.status import Problems
from stratus.sim.api.storagerules import claim_spec

Obj = dict[str, Any]
_APPS = "io.k8s.api.apps.v1."
_MISMATCH = "`selector` does not match template `labels`"


def _labels(spec: Obj) -> Any:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels")


def _empty(selector: Obj) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def _matches(spec: Obj, problems: Problems) -> None:
    if not selects(spec.get("selector"), _labels(spec)):
        problems.invalid("spec.template.metadata.labels", _labels(spec), _MISMATCH)


def _always(template: Obj, kind: str, problems: Problems) -> None:
    """Insist on pods that are restarted and never end by themselves."""
    spec, path = template.get("spec") or {}, "spec.template.spec"
    if spec.get("restartPolicy") != "Always":
        problems.unsupported(f"{path}.restartPolicy", spec.get("restartPolicy", ""), ["Always"])
    if spec.get("activeDeadlineSeconds") is not None:
        problems.forbidden(f"{path}.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def _selected_template(spec: Obj, word: str, problems: Problems) -> None:
    """Check selector and template of a Deployment or ReplicaSet."""
    selector = spec.get("selector")
    if selector is None:
        problems.required("spec.selector")
    else:
        label_selector("spec.selector", selector, problems)
        if _empty(selector):
            problems.invalid("spec.selector", selector, f"empty selector is invalid for {word}")
    if selector is not None and not usable(selector):
        problems.invalid("spec.selector", selector, "invalid label selector")
        return
    if selector is None or not _empty(selector):
        _matches(spec, problems)
    template = spec.get("template") or {}
    validate_template("spec.template", template, problems)
    _always(template, "ReplicaSet", problems)


def _deployment(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    non_negative("spec.replicas", spec.get("replicas"), problems)
    _selected_template(spec, "deployment", problems)
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
        shown = internals.dump(_APPS + "DeploymentStrategy", strategy)
        problems.unsupported(path, shown, ["Recreate", "RollingUpdate"])
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and deadline <= ready:
        problems.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _same_selector(o: Obj, old: Obj, problems: Problems) -> None:
    if o["spec"].get("selector") != old["spec"].get("selector"):
        problems.invalid("spec.selector", o["spec"].get("selector"), IMMUTABLE)


def _replica_set(o: Obj, problems: Problems) -> None:
    non_negative("spec.replicas", o["spec"].get("replicas"), problems)
    non_negative("spec.minReadySeconds", o["spec"].get("minReadySeconds"), problems)
    _selected_template(o["spec"], "deployment", problems)


def _daemon_set(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is not None:
        label_selector("spec.selector", selector, problems)
    if selector is None or usable(selector):
        _matches(spec, problems)
    if selector is not None and _empty(selector):
        problems.invalid("spec.selector", selector, "empty selector is invalid for daemonset")
    validate_template("spec.template", template, problems)
    _always(template, "DaemonSet", problems)
    _daemon_strategy("spec.updateStrategy", spec.get("updateStrategy") or {}, problems)
    for field in ("minReadySeconds", "revisionHistoryLimit"):
        non_negative(f"spec.{field}", spec.get(field), problems)


def _daemon_strategy(path: str, strategy: Obj, problems: Problems) -> None:
    kind = strategy.get("type")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        shown = internals.dump(_APPS + "DaemonSetUpdateStrategy", strategy)
        problems.unsupported(path, shown, ["RollingUpdate", "OnDelete"])
        return
    rolling = strategy.get("rollingUpdate") or {}
    values = {}
    for field in ("maxUnavailable", "maxSurge"):
        values[field] = int_or_percent(f"{path}.rollingUpdate.{field}", rolling.get(field), problems)
    for field in values:
        over_hundred(f"{path}.rollingUpdate.{field}", rolling.get(field), problems)
    if values["maxUnavailable"] and values["maxSurge"]:
        text = "may not be set when maxUnavailable is non-zero"
        problems.invalid(f"{path}.rollingUpdate.maxSurge", rolling.get("maxSurge"), text)
    elif not values["maxUnavailable"] and not values["maxSurge"]:
        problems.required(f"{path}.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0")


def _daemon_set_update(o: Obj, old: Obj, problems: Problems) -> None:
    _same_selector(o, old, problems)


def _stateful_set(o: Obj, problems: Problems) -> None:
    _stateful_spec(o["spec"], problems, created=True)


def _stateful_spec(spec: Obj, problems: Problems, *, created: bool) -> None:
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        problems.invalid("spec.podManagementPolicy", spec.get("podManagementPolicy"), text)
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "RollingUpdate":
        if rolling is not None:
            here = "spec.updateStrategy.rollingUpdate"
            non_negative(f"{here}.partition", rolling.get("partition"), problems)
            if rolling.get("maxUnavailable") is not None:
                number = int_or_percent(f"{here}.maxUnavailable", rolling["maxUnavailable"], problems)
                if number == 0:
                    problems.invalid(f"{here}.maxUnavailable", rolling["maxUnavailable"], "cannot be 0")
                over_hundred(f"{here}.maxUnavailable", rolling["maxUnavailable"], problems)
    elif kind == "OnDelete":
        if rolling is not None:
            shown = internals.dump(_APPS + "RollingUpdateStatefulSetStrategy", rolling)
            text = "only allowed for updateStrategy 'RollingUpdate'"
            problems.invalid("spec.updateStrategy.rollingUpdate", shown, text)
    else:
        shown = internals.dump(_APPS + "StatefulSetUpdateStrategy", strategy)
        problems.invalid("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        here = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
        maybe_one_of(here, retention.get(field), ("Retain", "Delete"), problems)
    if created:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            claim_spec(f"spec.volumeClaimTemplates[{index}].spec", claim.get("spec") or {}, problems)
    for field in ("replicas", "minReadySeconds"):
        non_negative(f"spec.{field}", spec.get(field), problems)
    non_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"), problems)
    if created and spec.get("serviceName"):
        dns_label("spec.serviceName", spec["serviceName"], problems)
    _stateful_template(spec, problems)


def _stateful_template(spec: Obj, problems: Problems) -> None:
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        problems.required("spec.selector")
    else:
        label_selector("spec.selector", selector, problems)
        if _empty(selector):
            problems.invalid("spec.selector", selector, "empty selector is invalid for statefulset")
    if selector is not None and not usable(selector):
        problems.invalid("spec.selector", selector, "")
    else:
        if selector is None or not _empty(selector):
            _matches(spec, problems)
        claims = tuple(c.get("metadata", {}).get("name", "") for c in spec.get("volumeClaimTemplates") or ())
        validate_template("spec.template", template, problems, claims=claims)
    _always(template, "StatefulSet", problems)


_STATEFUL_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def _stateful_set_update(o: Obj, old: Obj, problems: Problems) -> None:
    _stateful_spec(o["spec"], problems, created=False)
    a = {k: v for k, v in o["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    b = {k: v for k, v in old["spec"].items() if k not in _STATEFUL_CHANGEABLE}
    if a != b:
        listed = ", ".join(f"'{f}'" for f in _STATEFUL_CHANGEABLE[:-1])
        text = f"updates to statefulset spec for fields other than {listed} and '{_STATEFUL_CHANGEABLE[-1]}'"
        problems.forbidden("spec", f"{text} are forbidden")


def _replication_controller(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    non_negative("spec.minReadySeconds", spec.get("minReadySeconds"), problems)
    if not spec.get("selector"):
        problems.required("spec.selector")
    non_negative("spec.replicas", spec.get("replicas"), problems)
    if spec.get("template") is None:
        problems.required("spec.template")
        return
    template = spec["template"]
    if spec.get("selector"):
        labels = _labels(spec) or {}
        if any(labels.get(k) != v for k, v in spec["selector"].items()):
            problems.invalid("spec.template.metadata.labels", _labels(spec), _MISMATCH)
    validate_template("spec.template", template, problems)
    inner = template.get("spec") or {}
    if inner.get("restartPolicy") != "Always":
        problems.unsupported("spec.template.spec.restartPolicy", inner.get("restartPolicy", ""), ["Always"])
    if inner.get("activeDeadlineSeconds") is not None:
        text = "activeDeadlineSeconds in ReplicationController is not Supported"
        problems.forbidden("spec.template.spec.activeDeadlineSeconds", text)


def _pod_template(o: Obj, problems: Problems) -> None:
    validate_template("template", o.get("template") or {}, problems)


def _revision(o: Obj, problems: Problems) -> None:
    if o.get("data") is None:
        problems.required("data", "data is mandatory")
    non_negative("revision", o.get("revision", 0), problems)


def _revision_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("data") != old.get("data"):
        problems.invalid("data", o.get("data"), IMMUTABLE)


CREATE: dict[str, Rule] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "ReplicationController": _replication_controller,
    "PodTemplate": _pod_template,
    "ControllerRevision": _revision,
}
UPDATE: dict[str, Change] = {
    "Deployment": _same_selector,
    "ReplicaSet": _same_selector,
    "DaemonSet": _daemon_set_update,
    "StatefulSet": _stateful_set_update,
    "ControllerRevision": _revision_update,
}
