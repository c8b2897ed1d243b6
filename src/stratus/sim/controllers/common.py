"""What controllers share: reading conditions, owners and selectors, and writing copies instead of changing objects."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

from stratus.kit.clock import iso, parse_iso
from stratus.sim.store import Obj, Store

#: The letters of generated names and hashes (no vowels, so that no words appear).
SAFE = "bcdfghjklmnpqrstvwxz2456789"


class AdmissionDenied(Exception):
    """A pod may not be created; the text is the server's."""


class NamespaceTerminating(AdmissionDenied):
    """A pod's namespace is being deleted: controllers say nothing and do not try again."""


def suffix(rng: random.Random, length: int = 5) -> str:
    """Draw the random end of a generated name."""
    return "".join(rng.choice(SAFE) for _ in range(length))


def safe_encode(text: str) -> str:
    """Map any text to the safe letters, one for one."""
    return "".join(SAFE[ord(c) % len(SAFE)] for c in text)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def content_hash(value: Any, collisions: int = 0) -> str:
    """Return the short hash of a template: FNV-1a of its canonical JSON, in safe letters."""
    return _hashed(_canonical(value) + (str(collisions) if collisions else ""))


# Clusters of one application hash the same templates.
@lru_cache(maxsize=1024)
def _hashed(text: str) -> str:
    h = 2166136261
    for byte in text.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return safe_encode(str(h))


def spread(*parts: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the parts: noise without a generator."""
    first, *rest = parts
    h = _begun(str(first))
    for part in rest:
        h = _more(h, f"\x00{part}")
    h ^= h >> 15
    h = (h * 2246822519) & 0xFFFFFFFF
    h ^= h >> 13
    return h / 4294967296.0


def _more(h: int, text: str) -> int:
    for byte in text.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


# The noise of one pod begins with its uid, again and again.
@lru_cache(maxsize=4096)
def _begun(text: str) -> int:
    return _more(2166136261, text)


def key_of(obj: Obj) -> tuple[str, str]:
    """Return (namespace, name)."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def with_status(obj: Obj, status: Obj) -> Obj:
    """Return a copy with another status."""
    return {**obj, "status": status}


def with_spec(obj: Obj, **fields: Any) -> Obj:
    """Return a copy with some fields of spec replaced."""
    return {**obj, "spec": {**obj["spec"], **fields}}


def with_meta(obj: Obj, **fields: Any) -> Obj:
    """Return a copy with some fields of metadata replaced; None removes one."""
    meta = {**obj["metadata"], **fields}
    return {**obj, "metadata": {k: v for k, v in meta.items() if v is not None}}


def released(obj: Obj, *path: str) -> Obj:
    """Return a copy in which nobody is noted as owner of a field any more: a controller has taken it over.

    Args:
        obj: the object as it is about to be stored.
        path: the field's place, such as `spec`, `taints`.
    """
    entries = obj["metadata"].get("managedFields")
    if not entries:
        return obj
    keys = [part if part.startswith("k:") else f"f:{part}" for part in path]
    kept = []
    for entry in entries:
        fields = _without(entry.get("fieldsV1") or {}, keys)
        if fields:
            kept.append({**entry, "fieldsV1": fields})
    return with_meta(obj, managedFields=kept or None)


def _without(fields: Obj, keys: list[str]) -> Obj | None:
    """Return a set of fields less one; None when nothing is left, an empty one when only the place itself is."""
    head, rest = keys[0], keys[1:]
    if head not in fields or (rest and not fields[head]):
        return fields
    inner = _without(fields[head], rest) if rest else None
    out = {k: v for k, v in fields.items() if k != head}
    if inner is not None:
        return {**fields, head: inner}
    if not out:
        return None
    return {} if set(out) == {"."} else out


def with_annotations(obj: Obj, **annotations: str) -> Obj:
    """Return a copy with annotations added (names with `__` for the slash are not needed: pass a dict by `**`)."""
    return with_meta(obj, annotations={**(obj["metadata"].get("annotations") or {}), **annotations})


def controller_ref(obj: Obj) -> Obj | None:
    """Return the ownerReference of the managing controller, if any."""
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            return ref  # type: ignore[no-any-return]
    return None


def owner_reference(owner: Obj) -> Obj:
    """Return the reference that makes `owner` the controller of something."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def matches(selector: Obj | None, labels: dict[str, str] | None) -> bool:
    """Tell whether a LabelSelector (matchLabels, matchExpressions) selects labels; an absent one selects nothing."""
    if selector is None:
        return False
    have = labels or {}
    wanted = selector.get("matchLabels")
    if wanted and not wanted.items() <= have.items():
        return False
    expressions = selector.get("matchExpressions")
    return not expressions or all(_expression(expr, have) for expr in expressions)


def chooser(selector: Obj | None) -> Callable[[dict[str, str] | None], bool]:
    """Return `matches` for one selector, to be asked of many labels."""
    if selector is None or selector.get("matchExpressions") or not selector.get("matchLabels"):
        return partial(matches, selector)
    wanted = selector["matchLabels"].items()
    return lambda labels: wanted <= (labels or {}).items()


def _expression(expr: Obj, have: dict[str, str]) -> bool:
    key, operator, values = expr.get("key", ""), expr.get("operator"), expr.get("values") or []
    if operator == "In":
        return key in have and have[key] in values
    if operator == "NotIn":
        return key not in have or have[key] not in values
    if operator == "Exists":
        return key in have
    if operator == "DoesNotExist":
        return key not in have
    return False


def condition(obj: Obj, type_: str) -> Obj | None:
    """Return one condition of an object's status, or None."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found.get("type") == type_:
            return found  # type: ignore[no-any-return]
    return None


def is_true(obj: Obj, type_: str) -> bool:
    """Tell whether a condition is there and True."""
    found = condition(obj, type_)
    return found is not None and found.get("status") == "True"


def pod_active(pod: Obj) -> bool:
    """Tell whether a pod counts as a replica: neither finished nor on its way out."""
    return (
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]
    )


def has_claims(pod: Obj) -> bool:
    """Tell whether a pod has volumes that are claims, its own or ones made for it."""
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim") or volume.get("ephemeral"):
            return True
    return False


def pod_finished(pod: Obj) -> bool:
    """Tell whether a pod has Succeeded or Failed."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def ready_since(pod: Obj) -> float | None:
    """Return when the pod became Ready (epoch seconds), or None while it is not."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True":
        return None
    return parse_iso(found["lastTransitionTime"])


def pod_available(pod: Obj, min_ready: int, now: float) -> bool:
    """Tell whether a pod has been Ready for `min_ready` seconds."""
    since = ready_since(pod)
    return since is not None and (min_ready <= 0 or since + min_ready <= now)


def scaled(value: Any, total: int, *, up: bool) -> int:
    """Resolve an int-or-percent against a total, rounding up or down."""
    if isinstance(value, str):
        if value.endswith("%"):
            exact = int(value[:-1]) * total / 100
            return math.ceil(exact) if up else math.floor(exact)
        return int(value)
    return int(value or 0)


def image_list(spec: Obj) -> list[str]:
    """Return the images of a pod spec's containers in order."""
    return [c.get("image", "") for c in spec.get("containers") or ()]


def begin_deletion(store: Store, resource: str, obj: Obj, now: float, *, grace: int | None = None) -> None:
    """Delete an object as the API server would: finalizers, and for running pods the grace period, come first."""
    meta = obj["metadata"]
    if resource == "pods" and obj.get("spec", {}).get("nodeName") and not pod_finished(obj):
        wanted = obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        if "deletionTimestamp" in meta:
            return
        if wanted > 0:
            grown = {"generation": meta["generation"] + 1} if "generation" in meta else {}
            marked = with_meta(obj, deletionTimestamp=iso(now + wanted), deletionGracePeriodSeconds=wanted, **grown)
            store.update(resource, marked)
            return
    if meta.get("finalizers"):
        if "deletionTimestamp" not in meta:
            grown = {"generation": meta["generation"] + 1} if "generation" in meta else {}
            store.update(resource, with_meta(obj, deletionTimestamp=iso(now), deletionGracePeriodSeconds=0, **grown))
        return
    store.delete(resource, meta.get("namespace", ""), meta["name"])


def pod_from_template(template: Obj, owner: Obj, name: str, *, generate: str = "") -> Obj:
    """Return the pod a controller makes of its template."""
    source = template.get("metadata") or {}
    meta: Obj = {"name": name}
    if generate:
        meta["generateName"] = generate
    meta["namespace"] = owner["metadata"].get("namespace", "")
    for field in ("labels", "annotations", "finalizers"):
        if source.get(field):
            meta[field] = source[field]
    meta["ownerReferences"] = [owner_reference(owner)]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": dict(template.get("spec") or {}),
        "status": {"phase": "Pending"},
    }


def deletion_rank(pod: Obj, crowded: dict[str, int]) -> tuple[Any, ...]:
    """Order pods for scaling down, first to go first, as a ReplicaSet ranks them."""
    status = pod.get("status", {})
    phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
    since = ready_since(pod)
    restarts = max((c.get("restartCount", 0) for c in status.get("containerStatuses") or ()), default=0)
    cost = int((pod["metadata"].get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", 0))
    node = pod.get("spec", {}).get("nodeName", "")
    return (
        bool(node),
        phase,
        since is not None,
        cost,
        -crowded.get(node, 0),
        -(since or 0.0),
        -restarts,
        -parse_iso(pod["metadata"]["creationTimestamp"]),
        pod["metadata"]["name"],
    )


def names_of(objs: Iterable[Obj]) -> list[str]:
    """Return the names of objects, sorted."""
    return sorted(o["metadata"]["name"] for o in objs)
