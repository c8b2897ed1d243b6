"""How fast and how far an autoscaler may go: stabilisation, policies, and limits, as pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Seconds over which a lower recommendation must hold when nothing else is said.
STABLE = 300.0
#: The share around the target within which nothing is done.
TOLERANCE = 0.1
_UP: dict[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN: dict[str, Any] = {
    "stabilizationWindowSeconds": None,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
#: (moment, number of replicas), oldest first.
Moments = list[tuple[float, int]]
MATCHES = ("ReadyForNewScale", "recommended size matches current size")
LOWER = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
HIGHER = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
MOST = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
LEAST = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


@dataclass(slots=True)
class Memory:
    """What an autoscaler remembers: recommendations, and by how many replicas it scaled up and down."""

    recommended: Moments
    up: Moments
    down: Moments


@dataclass(frozen=True, slots=True)
class Verdict:
    """The number of replicas to have, and the two conditions that explain it: (reason, message)."""

    replicas: int
    able: tuple[str, str]
    limited: bool
    limit: tuple[str, str]


def rules(behavior: dict[str, Any] | None, direction: str) -> dict[str, Any]:
    """Return the rules of a direction (`scaleUp`, `scaleDown`), completed as the API completes them."""
    default = _UP if direction == "scaleUp" else _DOWN
    own = (behavior or {}).get(direction) or {}
    return {**default, **{k: v for k, v in own.items() if v is not None}}


def tolerance(behavior: dict[str, Any] | None, direction: str) -> float:
    """Return the share around the target within which nothing is done."""
    value = ((behavior or {}).get(direction) or {}).get("tolerance")
    if value is None:
        return TOLERANCE
    text = str(value)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def settle(
    behavior: dict[str, Any] | None, memory: Memory, now: float, current: int, desired: int, least: int, most: int
) -> Verdict:
    """Turn a recommendation into a number of replicas; `memory` takes note of it."""
    if behavior is None:
        return _plain(memory, now, current, desired, least, most)
    up, down = rules(behavior, "scaleUp"), rules(behavior, "scaleDown")
    stable, why = _stabilized(up, down, memory, now, current, desired)
    able = why if stable != desired else MATCHES
    goal, limit = _limited(up, down, memory, now, current, stable, least, most)
    return Verdict(goal, able, goal != stable, limit)


def _plain(memory: Memory, now: float, current: int, desired: int, least: int, most: int) -> Verdict:
    recent = [n for at, n in memory.recommended if now - at < STABLE]
    stable = max([desired, *recent])
    memory.recommended = [(at, n) for at, n in memory.recommended if now - at < STABLE] + [(now, desired)]
    able = LOWER if stable != desired else MATCHES
    ceiling = max(2 * current, 4)
    highest, too_many = (ceiling, FAST_UP) if most > ceiling else (most, MOST)
    if stable < least:
        return Verdict(least, able, True, LEAST)
    if stable > highest:
        return Verdict(highest, able, True, too_many)
    return Verdict(stable, able, False, WITHIN)


def _stabilized(
    up: dict[str, Any], down: dict[str, Any], memory: Memory, now: float, current: int, desired: int
) -> tuple[int, tuple[str, str]]:
    up_window = float(up.get("stabilizationWindowSeconds") or 0)
    down_window = down.get("stabilizationWindowSeconds")
    down_window = STABLE if down_window is None else float(down_window)
    lowest = min([desired, *(n for at, n in memory.recommended if at > now - up_window)])
    highest = max([desired, *(n for at, n in memory.recommended if at > now - down_window)])
    longest = max(up_window, down_window)
    memory.recommended = [(at, n) for at, n in memory.recommended if now - at <= longest] + [(now, desired)]
    stable = min(max(current, lowest), highest)
    return stable, (HIGHER if desired >= current else LOWER)


def _limited(
    up: dict[str, Any],
    down: dict[str, Any],
    memory: Memory,
    now: float,
    current: int,
    desired: int,
    least: int,
    most: int,
) -> tuple[int, tuple[str, str]]:
    if desired > current:
        limit = max(_up_limit(up, memory, now, current), current)
        highest, why = (limit, FAST_UP) if most > limit else (most, MOST)
        if desired > highest:
            return highest, why
    elif desired < current:
        limit = min(_down_limit(down, memory, now, current), current)
        lowest, why = (limit, FAST_DOWN) if least < limit else (least, LEAST)
        if desired < lowest:
            return lowest, why
    if desired < least:
        return least, LEAST
    if desired > most:
        return most, MOST
    return desired, WITHIN


def _start(memory: Memory, now: float, current: int, period: float) -> int:
    """Return how many replicas there were a period ago."""
    added = sum(n for at, n in memory.up if at > now - period)
    removed = sum(n for at, n in memory.down if at > now - period)
    return current - added + removed


def _up_limit(rule: dict[str, Any], memory: Memory, now: float, current: int) -> int:
    if rule["selectPolicy"] == "Disabled":
        return current
    found: list[int] = []
    for policy in rule["policies"]:
        start = _start(memory, now, current, float(policy["periodSeconds"]))
        value = int(policy["value"])
        found.append(start + value if policy["type"] == "Pods" else math.ceil(start * (1.0 + value / 100.0)))
    return min(found) if rule["selectPolicy"] == "Min" else max(found)


def _down_limit(rule: dict[str, Any], memory: Memory, now: float, current: int) -> int:
    if rule["selectPolicy"] == "Disabled":
        return current
    found: list[int] = []
    for policy in rule["policies"]:
        start = _start(memory, now, current, float(policy["periodSeconds"]))
        value = int(policy["value"])
        found.append(start - value if policy["type"] == "Pods" else int(start * (1.0 - value / 100.0)))
    return max(found) if rule["selectPolicy"] == "Min" else min(found)


def scaled(behavior: dict[str, Any] | None, memory: Memory, now: float, current: int, goal: int) -> None:
    """Take note of a change of the number of replicas, for the policies' periods."""
    longest = max(
        (float(p["periodSeconds"]) for d in ("scaleUp", "scaleDown") for p in rules(behavior, d)["policies"]), default=0
    )
    kept = memory.up if goal > current else memory.down
    kept[:] = [(at, n) for at, n in kept if now - at <= longest]
    kept.append((now, abs(goal - current)))
