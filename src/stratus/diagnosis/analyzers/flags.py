"""Feature flags that are on: documents of flags in ConfigMaps, as the OpenFeature project defines them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from stratus.diagnosis.analyzers.configs import applied
from stratus.diagnosis.finding import Finding
from stratus.diagnosis.history import references
from stratus.diagnosis.world import Workload, World, note, reference
from stratus.kit.kube import created, name_of, namespace_of
from stratus.kit.text import line
from stratus.model.base import Json

NEUTRAL = ("off", "disabled", "false", "none", "control", "default")
"""Names of variants that leave a program as it is, in order of preference."""
BASE, CHANGED, IN_TIME, NAMED, ALONE, SPOKEN = 0.32, 0.18, 0.12, 0.2, 0.08, 0.15
"""What is believed of a flag because it is on; because its ConfigMap was written later, and about when users began to
suffer; because it is named after a service that suffers; because no other is on; because a log speaks of it."""
CEILING = 0.93


@dataclass(frozen=True)
class Toggle:
    """A flag that is not in its neutral variant.

    Attributes:
        key: key of the ConfigMap whose value is the document.
        name: the flag.
        on, off: the variant it has, and the neutral one (as last applied, when that is known).
        drifted: it was applied with the neutral one.
    """

    key: str
    name: str
    on: str
    off: str
    drifted: bool = False

    def words(self) -> set[str]:
        """Return the words of the flag's name: `cartFailure` is `cart` and `failure`."""
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return {w.lower() for w in re.split(r"[^A-Za-z0-9]+", spaced) if w}

    def called_after(self, service: str) -> bool:
        """Whether every word of a service's name occurs in the flag's."""
        words = {w for w in re.split(r"[^a-z0-9]+", service.lower()) if w and w not in ("service", "svc")}
        return bool(words) and words <= self.words()


def analyze(world: World) -> list[Finding]:
    """Return one finding a ConfigMap in which flags are on that whoever suffers may read."""
    found = []
    for obj in world.observation.of("ConfigMap"):
        on = list(toggles(obj))
        if on and (finding := _finding(world, obj, on)) is not None:
            found.append(finding)
    return found


def is_flags(text: object) -> bool:
    """Whether a value of a ConfigMap is a document of flags."""
    return _document(text) is not None


def toggles(obj: Json) -> Iterator[Toggle]:
    """Yield the flags of a ConfigMap that are not neutral, or not as they were last applied."""
    was = applied(obj).get("data") or {}
    for key, text in sorted((obj.get("data") or {}).items()):
        document = _document(text)
        if document is None:
            continue
        before = _document(was.get(key)) or {}
        for name, flag in sorted(document.items()):
            if not isinstance(flag, dict) or flag.get("state", "ENABLED") != "ENABLED":
                continue
            on, variants = str(flag.get("defaultVariant", "")), flag.get("variants")
            if not isinstance(variants, dict) or on not in variants:
                continue
            old = before.get(name)
            earlier = str(old.get("defaultVariant", "")) if isinstance(old, dict) else ""
            drifted = earlier in variants and earlier != on
            off = earlier if drifted else _neutral(variants)
            if off and off != on and (drifted or variants[on] != variants[off]):
                yield Toggle(key, name, on, off, drifted)


def _document(text: object) -> Json | None:
    if not isinstance(text, str) or '"flags"' not in text:
        return None
    try:
        flags = json.loads(text).get("flags")
    except (ValueError, AttributeError, RecursionError):
        return None
    return flags if isinstance(flags, dict) else None


def _neutral(variants: Json) -> str:
    """Return the variant that changes nothing, or empty when none can be told."""
    lower = {str(v).lower(): str(v) for v in variants}
    for name in NEUTRAL:
        if name in lower:
            return lower[name]
    nothing = [str(name) for name, value in variants.items() if value is False or value in (0, "", None)]
    return nothing[0] if len(nothing) == 1 else ""


def _finding(world: World, obj: Json, on: list[Toggle]) -> Finding | None:
    namespace, name = namespace_of(obj), name_of(obj)
    servers = [
        w for w in world.workloads
        if w.namespace == namespace and any(r[:2] == ("ConfigMap", name) for r in references(w.spec))
    ]  # fmt: skip
    suffering = _suffering(world, servers)
    if not suffering:
        return None
    at = world.changed_at("ConfigMap", namespace, name)
    scored = sorted(((_believed(world, t, at, on, suffering), t) for t in on), key=lambda p: (-p[0], p[1].name))
    chosen = _turn(world, name, [t for _, t in scored], suffering)
    if not chosen:
        return None
    confidence = next(c for c, t in scored if t == chosen[0])
    first = chosen[0]
    what = ", ".join(f"{t.name} ({t.on})" for t in chosen)
    text = f"ConfigMap {name}: feature flag {what} is on" if len(chosen) == 1 else (
        f"ConfigMap {name}: feature flags {what} are on")  # fmt: skip
    if at:
        text += f", written {world.now - at:.0f} s ago"
    service = next((s for s in suffering if first.called_after(s)), suffering[0])
    facts: Json = {"config_map": name, "key": first.key, "value": _healed(obj, first.key, chosen), "flag": first.name}
    if servers:
        facts["workload"] = f"{servers[0].kind.lower()}/{servers[0].name}"
    finding = Finding(
        "feature_flag", reference("ConfigMap", namespace, name), line(text, 280), min(confidence, CEILING),
        service=service, facts=facts, impact=0.6,
    )  # fmt: skip
    finding.pro.append(note("change" if at else "object", text, obj, service=service, at=at or created(obj)))
    if first.drifted:
        finding.pro.append(note("change", f"{first.name} was applied as {first.off}, and is {first.on}", obj))
    if first.called_after(service):
        finding.pro.append(note("object", f"the flag's name says {service}, which suffers", obj, service=service))
    for change in world.changes("ConfigMap", namespace, name)[-1:]:
        finding.pro.append(note("change", f"ConfigMap {name} was written by {change['manager']}", obj,
                                at=change["time"]))  # fmt: skip
    if not at and not first.drifted:
        finding.con.append(note("object", f"nobody has written ConfigMap {name} since it was made", obj))
    return finding


def _suffering(world: World, servers: list[Workload]) -> list[str]:
    """Return the services that may read these flags and are not well, those that users feel first."""
    serving = {n for w in servers for n in (w.service, w.name)}
    readers = serving | {c for s in serving for c in world.users(s)}
    felt = [n for _, n in sorted(world.focus) if n in readers]
    unwell = [w.service for w in world.workloads if w.service in readers and world.unwell(w)]
    behind = sorted(n for n in readers if world.focus and n in world.path)
    return list(dict.fromkeys([*felt, *unwell, *behind]))


def _believed(world: World, toggle: Toggle, at: float, on: list[Toggle], suffering: list[str]) -> float:
    confidence = BASE + (ALONE if len(on) == 1 else 0.0)
    if at or toggle.drifted:
        confidence += CHANGED
    if at and (world.coincides(at) or not world.onset):
        confidence += IN_TIME
    felt = {n for _, n in world.focus} | {n for _, n in world.troubled}
    if any(toggle.called_after(s) for s in felt):
        confidence += NAMED
    elif any(toggle.called_after(s) for s in suffering):
        confidence += NAMED / 2
    spoken = re.compile(rf"(?<![\w-]){re.escape(toggle.name)}(?![\w-])", re.IGNORECASE)
    if any(spoken.search(entry.text) for entry in world.observation.logs[-400:]):
        confidence += SPOKEN
    return confidence


def _turn(world: World, name: str, order: list[Toggle], suffering: list[str]) -> list[Toggle]:
    """Return what to switch off next: the flag most believed, then each other one, at last all together.

    Flags that are named after several services that suffer go together from the start.
    """
    felt = {n for _, n in world.focus}
    named = [t for t in order if any(t.called_after(s) for s in felt & set(suffering))]
    offers = [named] if len(named) > 1 else []
    offers += [[t] for t in order]
    if len(order) > 1 and sorted(t.name for t in named) != sorted(t.name for t in order):
        offers.append(order)
    key = order[0].key
    offers = [[t for t in offer if t.key == offer[0].key] for offer in offers]
    vain = sum(
        any("configmap" in c and name in c and f'"{key}"' in c for c in attempt.commands)
        for attempt in world.case.attempts
        if attempt.executed and attempt.undone
    )
    return offers[vain] if vain < len(offers) else []


def _healed(obj: Json, key: str, chosen: list[Toggle]) -> str:
    """Return the document with the chosen flags neutral, indented as people keep it."""
    document = json.loads(obj["data"][key])
    for toggle in chosen:
        document["flags"][toggle.name]["defaultVariant"] = toggle.off
    return json.dumps(document, indent=2)
