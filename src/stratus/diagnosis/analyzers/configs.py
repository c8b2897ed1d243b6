"""Configuration that is referenced and not there: ConfigMaps, Secrets, keys; and values that have drifted."""

from __future__ import annotations

import difflib
import json
import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import Revision, differences, references
from stratus.diagnosis.world import Workload, World, event_note, live_pods, note, reference
from stratus.kit.kube import (
    CONFIG_REASONS,
    annotations_of,
    containers_of,
    created,
    dig,
    event_message,
    name_of,
    spec_containers,
)
from stratus.kit.text import secretive
from stratus.model.base import Json
from stratus.model.evidence import Evidence

_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret) (?:(?P<ns>[\w.-]+)/)?(?P<name>[\w.-]+)"
)
_ITEM = re.compile(r"references non-existent (?:config|secret) key: (?P<key>[\w./-]+)")
_GONE = re.compile(r'(?P<kind>configmap|secret)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_KINDS = {"configmap": "ConfigMap", "secret": "Secret"}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload and missing reference, and ConfigMaps whose values differ from what was applied."""
    found = []
    for w in world.workloads:
        seen: set[tuple[str, str, str]] = set()
        for pod in live_pods(w.pods):
            for text, cite in _complaints(world, w, pod):
                parsed = _parse(w, text)
                if parsed is None or parsed in seen:
                    continue
                seen.add(parsed)
                kind, name, key = parsed
                finding = _key(world, w, kind, name, key) if key else _missing(world, w, kind, name)
                finding.pro.insert(0, cite)
                finding.facts.setdefault("pod", name_of(pod))
                found.append(finding)
    return found


def _complaints(world: World, w: Workload, pod: Json) -> list[tuple[str, Evidence]]:
    found = []
    for c in containers_of(pod):
        if c.waiting in CONFIG_REASONS:
            text = f"pod {name_of(pod)}: {c.waiting}: {c.message}"
            found.append((c.message, note("object", text, pod, service=w.service, at=created(pod))))
    if dig(pod, "status", "phase") == "Pending":
        for event in world.events(pod, "FailedMount", "Failed")[-6:]:
            found.append((event_message(event), event_note(event, pod, w.service)))
    return found


def _parse(w: Workload, text: str) -> tuple[str, str, str] | None:
    """Return (kind, name, key) of what is missing; the key is empty when the whole object is."""
    if match := _KEY.search(text):
        return (match["kind"], match["name"], match["key"])
    if match := _GONE.search(text):
        return (_KINDS[match["kind"].lower()], match["name"], "")
    if match := _ITEM.search(text):
        for volume in w.spec.get("volumes") or ():
            for field, kind, named in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                items = dig(volume, field, "items", default=[])
                if any(i.get("key") == match["key"] for i in items):
                    return (kind, str(dig(volume, field, named, default="")), match["key"])
    return None


def _before(w: Workload, reference_: tuple[str, str, str]) -> Revision | None:
    """Return an earlier revision that did without this reference."""
    return next((r for r in w.back if reference_ not in references(r.template.get("spec") or {})), None)


def _missing(world: World, w: Workload, kind: str, name: str) -> Finding:
    good = _before(w, (kind, name, ""))
    if good is None:
        keyed = [r for r in references(w.spec) if r[:2] == (kind, name) and r[2]]
        good = next((g for ref in keyed if (g := _before(w, ref))), None)
    there = [name_of(o) for o in world.observation.of(kind, w.namespace)]
    needed = {k for k_, n, k in references(w.spec) if (k_, n) == (kind, name) and k}
    alike = _alike(name, [n for n in there if needed <= _keys(world, kind, w.namespace, n)])
    text = f"{w.title} needs {kind} {name}, which does not exist"
    facts: Json = {"workload": f"{w.kind.lower()}/{w.name}", **_place(w, kind, name, "")}
    facts["config_map" if kind == "ConfigMap" else "secret"] = name
    if len(needed) == 1 and "env" in facts:
        facts["key"] = next(iter(needed))
    if kind == "ConfigMap" and (without := _without(w, name)):
        facts["optional_json"] = without
    if alike and kind == "ConfigMap":
        facts["good_config_map"] = alike
    finding = about(w, "missing_config", text, 0.95, settled=True, **facts)
    if good is not None:
        went_back(finding, w, good, differences(good.template, w.template))
    else:
        finding.object = reference(kind, w.namespace, name)
    if alike:
        finding.pro.append(note("object", f"there is a {kind} {alike}", reference(kind, w.namespace, alike)))
    return finding


def _keys(world: World, kind: str, namespace: str, name: str) -> set[str]:
    obj = world.observation.find(kind, namespace, name) or {}
    return set(obj.get("data") or ()) | set(obj.get("binaryData") or ())


def _without(w: Workload, name: str) -> str:
    """Return a JSON patch that lets the containers start without a ConfigMap, empty when they do not refer to it."""
    ops = []
    for group in ("initContainers", "containers"):
        for number, c in enumerate(w.spec.get(group) or ()):
            for field, path in (("env", "valueFrom/configMapKeyRef"), ("envFrom", "configMapRef")):
                for place, entry in enumerate(c.get(field) or ()):
                    ref = dig(entry, *path.split("/"), default={})
                    if ref.get("name") == name and not ref.get("optional"):
                        spot = f"/spec/template/spec/{group}/{number}/{field}/{place}/{path}/optional"
                        ops.append({"op": "add", "path": spot, "value": True})
    return json.dumps(ops) if ops else ""


def _alike(name: str, among: list[str]) -> str:
    """Return the one that is so alike that a slip of the pen explains it, or empty."""
    close = difflib.get_close_matches(name, [n for n in among if n != name], n=1, cutoff=0.75)
    return close[0] if close else ""


def _place(w: Workload, kind: str, name: str, key: str) -> Json:
    """Return where a reference stands: container and variable, or volume."""
    field = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
    for c in spec_containers(w.spec):
        for env in c.get("env") or ():
            ref = dig(env, "valueFrom", field, default={})
            if ref.get("name") == name and (not key or ref.get("key") == key):
                return {"container": c["name"], "env": env["name"]}
    for volume in w.spec.get("volumes") or ():
        ref = volume.get("configMap" if kind == "ConfigMap" else "secret") or {}
        if name in (ref.get("name"), ref.get("secretName")):
            return {"volume": volume["name"]}
    return {}


def _key(world: World, w: Workload, kind: str, name: str, key: str) -> Finding:
    """A key is missing: was it taken out of the object, or does the workload ask for a wrong one?"""
    obj = world.observation.find(kind, w.namespace, name)
    place = _place(w, kind, name, key)
    good = _before(w, (kind, name, key))
    facts: Json = {"key": key, "workload": f"{w.kind.lower()}/{w.name}", **place}
    facts["config_map" if kind == "ConfigMap" else "secret"] = name
    clues: list[Evidence] = []
    keys = sorted(_keys(world, kind, w.namespace, name))
    unused = [k for k in keys if not any((kind, name, k) in references(o.spec) for o in world.workloads)]
    alike = _alike(key, unused) or _alike(key, keys)
    if alike:
        facts["good_key"] = alike
        clues.append(note("object", f"{kind} {name} has a key {alike}", obj))
    value, why = (
        (None, "")
        if kind == "Secret" or secretive(key)
        else _lost_value(world, w, name, key, alike, place.get("env", ""))
    )
    if value is not None:
        facts["value"] = value
        clues.append(note("object", why, obj))
    changed = world.changed_at(kind, w.namespace, name)
    if changed:
        clues.append(note("change", f"{kind} {name} was changed after it was made", obj, at=changed))
    text = f"{w.title} needs key {key} of {kind} {name}, which has " + (", ".join(keys[:6]) or "no keys")
    finding = about(w, "missing_config_key", text, 0.95, settled=True, **facts)
    finding.pro += clues
    if good is not None:
        went_back(finding, w, good, differences(good.template, w.template))
    elif obj is not None and (changed or w.back or not alike):
        # A key that nobody took away and that is a slip from one that is there: the workload asks for the wrong one.
        finding.object = reference(kind, w.namespace, name)
        if w.back:
            finding.pro.append(note("change", f"{w.title} needed that key in its earlier revision too", w.obj))
    return finding


def applied(obj: Json | None) -> Json:
    """Return an object as it was last applied with `kubectl apply`, empty when it was not."""
    if obj is None:
        return {}
    try:
        found = json.loads(annotations_of(obj).get(LAST_APPLIED, "") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lost_value(world: World, w: Workload, name: str, key: str, alike: str, env: str) -> tuple[str | None, str]:
    """Return (value, where from) for a key that has vanished; None when nothing remembers it."""
    obj = world.observation.find("ConfigMap", w.namespace, name)
    was = applied(obj).get("data") or {}
    if key in was:
        return str(was[key]), f"ConfigMap {name} was last applied with a value for {key}"
    data = (obj or {}).get("data") or {}
    if alike and difflib.SequenceMatcher(None, key.lower(), alike.lower()).ratio() >= 0.85:
        return str(data.get(alike, "")), f"key {alike} looks like the renamed {key}"
    for other in world.observation.of("ConfigMap"):
        if name_of(other) == name and dig(other, "metadata", "namespace") == w.namespace:
            continue
        if key in (other.get("data") or {}) and set(data) <= set(other["data"]):
            return str(other["data"][key]), f"ConfigMap {name_of(other)} has the same keys and {key}"
    if env:
        for revision in w.revisions[1:]:
            for c in spec_containers(revision.template.get("spec") or {}):
                for e in c.get("env") or ():
                    if e["name"] == env and e.get("value"):
                        return str(e["value"]), f"revision {revision.number} set {env} itself"
    return None, ""
