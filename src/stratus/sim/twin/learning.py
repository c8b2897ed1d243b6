"""Reads from the pods of a snapshot how their containers behave, and which settings that holds for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from stratus.kit.kube import CONFIG_REASONS, PULL_REASONS, START_REASONS, created, moment, pod_finished, terminating
from stratus.sim.controllers.common import controller_ref
from stratus.sim.controllers.deployment import revision_of
from stratus.sim.store import Obj
from stratus.sim.twin.manners import (
    Lookup,
    Manner,
    Place,
    changed_at,
    checks,
    lacks,
    observed,
    place_of,
    probe_text,
    refers_to,
    services_named,
    settings_of,
    texts_of,
)

Known = dict[tuple[Place, str], Manner | None]
"""Manner by place and settings; None: its pods do not agree."""


Memory = dict[tuple[Place, str], tuple[Manner, dict[str, str]]]
"""What was seen at earlier looks: manner by place and settings, with how the Services stood that it leans on."""


@dataclass(frozen=True)
class Lesson:
    """What was learnt.

    Attributes:
        by_pod: manner and settings of each container seen, by (pod uid, container).
        known: manner by place and settings.
        running: images that were pulled, by node.
        unpulled: (pod, image, error) of pulls that failed.
    """

    by_pod: dict[tuple[str, str], tuple[Manner, str]] = field(default_factory=dict)
    known: Known = field(default_factory=dict)
    running: dict[str, set[str]] = field(default_factory=dict)
    unpulled: list[tuple[Obj, str, str]] = field(default_factory=list)


def learn(
    pods: Iterable[Obj],
    *,
    lookup: Lookup,
    services: Mapping[str, list[str]],
    replicasets: Iterable[Obj],
    served: Mapping[tuple[str, str], float],
    deployments: Iterable[Obj],
    now: float,
) -> Lesson:
    """Learn from everything that is to be seen.

    Args:
        pods: those of the namespaces that are followed.
        lookup: finds ConfigMaps and Secrets.
        services: names of the Services of each namespace.
        replicasets, deployments: the revisions, past ones included.
        served: when trouble began, by (namespace, workload), for those whose requests were answered well until then.
        now: epoch seconds.
    """
    lesson = Lesson()
    for pod in pods:
        # One on its way out tells how it is taken down, one that nobody owns will not come again.
        if not terminating(pod) and (not pod_finished(pod) or controller_ref(pod) is not None):
            _pod(lesson, pod, lookup, services, now)
    for deployment in deployments:
        _earlier(lesson, deployment, list(replicasets), lookup, served)
    return lesson


def _pod(lesson: Lesson, pod: Obj, lookup: Lookup, services: Mapping[str, list[str]], now: float) -> None:
    spec, status = pod["spec"], pod.get("status") or {}
    told = {
        s["name"]: s for k in ("containerStatuses", "initContainerStatuses") for s in status.get(k) or () if "name" in s
    }
    inits = spec.get("initContainers") or ()
    for container in (*inits, *(spec.get("containers") or ())):
        row = told.get(container["name"])
        if row is None:
            continue
        node = spec.get("nodeName", "")
        waiting = (row.get("state") or {}).get("waiting") or {}
        if row.get("imageID") or waiting.get("reason") in (CONFIG_REASONS | START_REASONS):
            lesson.running.setdefault(node, set()).add(container["image"])
        elif waiting.get("reason") in PULL_REASONS - {"InvalidImageName"}:
            lesson.unpulled.append((pod, container["image"], _pull_error(waiting)))
        ends = container in inits or spec.get("restartPolicy", "Always") != "Always"
        manner = observed(row, container, now, stays=container.get("restartPolicy") == "Always" or not ends)
        if manner is None:
            continue
        settings = settings_of(pod, container, lookup)
        space = pod["metadata"].get("namespace", "")
        if manner.ill:
            named = services_named(texts_of(pod, container, lookup), services.get(space, []))
            manner = replace(manner, leans_on=named)
        lesson.by_pod[pod["metadata"]["uid"], container["name"]] = (manner, settings)
        if not _outdated(pod, container, row, lookup):
            _note(lesson.known, (place_of(pod, container), settings), manner)


def _pull_error(waiting: Obj) -> str:
    text = str(waiting.get("message") or waiting.get("reason"))
    for marker in ("ErrImagePull: ", "RegistryUnavailable: "):
        if marker in text:
            return text.partition(marker)[2]
    return text


def _note(known: Known, key: tuple[Place, str], manner: Manner) -> None:
    if key not in known:
        known[key] = manner
        return
    there = known[key]
    if there is not None and there.alike != manner.alike:
        known[key] = None
    elif there is not None and manner.passes - there.passes:
        known[key] = replace(there, passes=there.passes | manner.passes)


def _outdated(pod: Obj, container: Obj, status: Obj, lookup: Lookup) -> bool:
    """Tell whether what a container reads was changed after it started: then it shows what the old content does."""
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
    shown = state.get("running") or state.get("terminated") or last
    # One that could not be started has no beginning of its own.
    begun = max(moment(shown.get("startedAt")), moment(shown.get("finishedAt")) if not _began(shown) else 0.0)
    space = pod["metadata"].get("namespace", "")
    found = (lookup(resource, space, name) for resource, name in refers_to(pod, container))
    return any(obj is not None and changed_at(obj) > begun for obj in found)


def _began(shown: Obj) -> bool:
    return moment(shown.get("startedAt")) > 0


def _earlier(
    lesson: Lesson, deployment: Obj, replicasets: list[Obj], lookup: Lookup, served: Mapping[tuple[str, str], float]
) -> None:
    """Learn of the revision that was current when requests were still answered well: it gets ready and runs.

    That is the one before the first that was made at about the time the trouble began, or after; else the present one.
    What pods of it show now counts more.
    """
    meta, space = deployment["metadata"], deployment["metadata"].get("namespace", "")
    onset = served.get((space, meta["name"]))
    if onset is None:
        return
    mine = [rs for rs in replicasets if (controller_ref(rs) or {}).get("uid") == meta["uid"]]
    ordered = sorted(mine, key=revision_of)
    late = next((i for i, rs in enumerate(ordered) if created(rs) >= onset - ABOUT), len(ordered))
    if late == 0:
        return
    until = created(ordered[late]) if late < len(ordered) else onset - ABOUT
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": meta["name"] + "-", "controller": True}
    spec = ordered[late - 1]["spec"]["template"].get("spec") or {}
    pod: Obj = {"metadata": {"namespace": space, "name": "", "ownerReferences": [owner]}, "spec": spec}
    inits = spec.get("initContainers") or ()
    for container in (*inits, *(spec.get("containers") or ())):
        read = [lookup(resource, space, name) for resource, name in refers_to(pod, container)]
        if any(obj is None or changed_at(obj) > until for obj in read) or lacks(pod, container, lookup):
            continue
        ends = container in inits and container.get("restartPolicy") != "Always"
        passes = checks(container, "readinessProbe", "livenessProbe", "startupProbe")
        manner = Manner("ends", 1.0) if ends else Manner("runs", passes=passes, readiness=probe_text(container))
        lesson.known.setdefault((place_of(pod, container), settings_of(pod, container, lookup)), manner)
        lesson.running.setdefault("", set()).add(container["image"])


#: Seconds before trouble was noticed within which a change may have brought it.
ABOUT = 120.0
