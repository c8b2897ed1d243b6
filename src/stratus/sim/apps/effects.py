"""What is different about a program just now: feature flags, settings and chaos, added up for one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from stratus.sim.apps.schema import Effect

#: Values of a flag that mean that it is off.
_OFF = frozenset({"", "off", "false", "0", "0.0", "none", "null", "disabled"})
ALL = "*"


@dataclass(frozen=True, slots=True)
class Flag:
    """A feature flag as it is served now: the chosen variant and its value."""

    variant: str
    value: Any

    def strength(self, effect: Effect) -> float:
        """Return how much of an effect the flag asks for; 0 when it is off."""
        plain = str(self.value).lower()
        if effect.when:
            if self.variant not in effect.when and plain not in {w.lower() for w in effect.when}:
                return 0.0
        elif plain in _OFF:
            return 0.0
        if not effect.by_value:
            return 1.0
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return 1.0
        return max(float(self.value), 0.0)


@dataclass(slots=True)
class Mods:
    """Changes to a program's normal behaviour; times in seconds, memory in MiB, `*` stands for every operation.

    Attributes:
        errors: (share, message) by operation.
        wait, slower, cpu: seconds more, and factors, by operation.
        dead: share of requests that are never answered, by operation.
        cores: CPU used beside the requests; `threads`: how many compete for it.
        pauses: (length, interval) of moments in which everything stands still.
        leak: MiB lost with every second, `leak_per_thousand` with every thousand requests.
        unready: it says of itself that it is not ready.
        requests: factors on kinds of requests of a load.
        log: lines written now and then.
    """

    errors: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    wait: dict[str, float] = field(default_factory=dict)
    slower: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    cores: float = 0.0
    threads: float = 0.0
    pauses: list[tuple[float, float]] = field(default_factory=list)
    memory: float = 0.0
    leak: float = 0.0
    leak_per_thousand: float = 0.0
    calls: dict[str, float] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)
    misses: set[str] = field(default_factory=set)
    unready: bool = False
    rate: float = 1.0
    requests: dict[str, float] = field(default_factory=dict)
    log: tuple[str, ...] = ()

    def add(self, effect: Effect, strength: float) -> None:
        """Put an effect on top, so many times as strong as it is written."""
        for name in effect.operations or (ALL,):
            if effect.error_rate:
                share = min(effect.error_rate * strength, 1.0)
                self.errors.setdefault(name, []).append((share, effect.message))
            if effect.wait_ms:
                self.wait[name] = self.wait.get(name, 0.0) + effect.wait_ms / 1000.0 * strength
            for table, factor in ((self.slower, effect.slower), (self.cpu, effect.cpu)):
                if factor != 1.0:
                    table[name] = table.get(name, 1.0) * _scaled(factor, strength)
        self.cores += effect.cores * strength
        self.threads += effect.cores * strength
        if effect.pause_ms:
            self.pauses.append((effect.pause_ms / 1000.0 * strength, effect.pause_every))
        self.memory += effect.memory * strength
        self.leak += effect.leak * strength
        self.leak_per_thousand += effect.leak_per_thousand * strength
        for table, factors in ((self.calls, effect.calls), (self.requests, effect.requests)):
            for name, factor in factors.items():
                table[name] = table.get(name, 1.0) * _scaled(factor, strength)
        self.unreachable.update(effect.unreachable)
        self.misses.update(effect.misses)
        self.unready = self.unready or effect.unready
        self.rate *= _scaled(effect.rate, strength)
        self.log += effect.log

    def of(self, table: dict[str, float], operation: str, neutral: float) -> float:
        """Return a figure for one operation: its own with the one for all, added (neutral 0) or multiplied (1)."""
        all_, own = table.get(ALL, neutral), table.get(operation, neutral)
        return all_ + own if neutral == 0.0 else all_ * own

    def errors_of(self, operation: str) -> Iterable[tuple[float, str]]:
        """Return (share, message) of the failures of one operation."""
        return [*self.errors.get(ALL, ()), *self.errors.get(operation, ())]


def _scaled(factor: float, strength: float) -> float:
    """Return a factor so many times as strong; one that makes less of something stays as it is."""
    return 1.0 + (factor - 1.0) * strength if factor > 1.0 else factor


@lru_cache(maxsize=64)
def read_flags(text: str) -> dict[str, Flag]:
    """Read a flagd document (`flags.NAME.{state, variants, defaultVariant}`); what cannot be read holds no flags."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    found: dict[str, Flag] = {}
    flags = document.get("flags") if isinstance(document, dict) else None
    for name, flag in (flags or {}).items() if isinstance(flags, dict) else ():
        if not isinstance(flag, dict) or flag.get("state", "ENABLED") != "ENABLED":
            continue
        variants, chosen = flag.get("variants"), str(flag.get("defaultVariant", ""))
        if isinstance(variants, dict) and chosen in variants:
            found[name] = Flag(chosen, variants[chosen])
    return found
