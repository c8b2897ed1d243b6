"""What can be asked of an embedded cluster beside Kubernetes: faults, noise, time. Questions and answers are JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from stratus.errors import UsageError
from stratus.kit.clock import iso
from stratus.sim.apps.loader import explain
from stratus.sim.apps.schema import Part
from stratus.sim.faults.noise import Level
from stratus.sim.faults.scenario import Entry, Scenario
from stratus.sim.faults.schema import FaultSpec

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.sim.faults.engine import Injection

#: The longest step of time in one command: a week.
LONGEST = 7 * 86400.0


class _Heal(Part):
    names: tuple[str, ...] = ()
    all: bool = False


class _Advance(Part):
    seconds: float = Field(ge=0, le=LONGEST, allow_inf_nan=False)


class _Noise(Part):
    level: Level
    budget: int | None = Field(default=None, ge=0)


class Commands:
    """Commands on a cluster, for the command line and the control endpoint.

    Args:
        cluster: which.
        down: ends the process that serves it; None: nobody serves it.
    """

    def __init__(self, cluster: EmbeddedCluster, down: Callable[[], None] | None = None) -> None:
        self.cluster = cluster
        self._down = down
        self._verbs: dict[str, Callable[[Any], dict[str, Any]]] = {
            "status": lambda _: status(self.cluster),
            "faults": lambda _: {"faults": [described(f) for f in self.cluster.faults()]},
            "inject": self._inject,
            "scenario": self._scenario,
            "heal": self._heal,
            "advance": self._advance,
            "noise": self._noise,
            "down": self._end,
        }

    def call(self, verb: str, data: Any) -> dict[str, Any]:
        """Carry out one command.

        Raises:
            StratusError: it cannot be done; nothing was changed.
        """
        found = self._verbs.get(verb)
        if found is None:
            raise UsageError(f"no command {verb!r}; there are {', '.join(sorted(self._verbs))}")
        try:
            return found(data)
        except ValidationError as error:
            raise UsageError(explain(error, verb)) from None

    def _inject(self, data: Any) -> dict[str, Any]:
        entry = Entry.model_validate(data)
        with self.cluster.lock:
            self.cluster.inject(entry.fault, alias=entry.name, timing=entry.timing(), **entry.arguments)
            found = self.cluster.faulting.active.get(entry.name or entry.fault)
            return {"injected": injected(found)} if found is not None else {}

    def _scenario(self, data: Any) -> dict[str, Any]:
        with self.cluster.lock:
            self.cluster.play(Scenario.model_validate(data))
            return {"injected": list(self.cluster.injected())}

    def _heal(self, data: Any) -> dict[str, Any]:
        asked = _Heal.model_validate(data)
        with self.cluster.lock:
            names = self.cluster.injected()[::-1] if asked.all else asked.names
            if not asked.all and not names:
                raise UsageError("say what to heal: names of injected faults, or all of them")
            for name in names:
                self.cluster.faulting.check_injected(name)
            left: dict[str, list[str]] = {}
            for name in names:
                one = self.cluster.faulting.active[name]
                known = len(one.problems)
                self.cluster.heal(name)
                left.update({name: one.problems[known:]} if one.problems[known:] else {})
            return {"healed": list(names), "not_taken_back": left}

    def _advance(self, data: Any) -> dict[str, Any]:
        self.cluster.advance(_Advance.model_validate(data).seconds)
        return {"now": iso(self.cluster.clock.now())}

    def _noise(self, data: Any) -> dict[str, Any]:
        asked = _Noise.model_validate(data)
        self.cluster.set_noise(asked.level, asked.budget)
        return {"noise": asked.level, "budget": asked.budget}

    def _end(self, _: Any) -> dict[str, Any]:
        if self._down is None:
            raise UsageError("nobody serves this cluster: there is nothing to end")
        self._down()
        return {"ends": True}


def described(fault: FaultSpec) -> dict[str, Any]:
    """Return a fault of the catalogue as data."""
    return {
        "id": fault.id,
        "description": " ".join(fault.description.split()),
        "arguments": fault.arguments,
        "mechanisms": list(dict.fromkeys(step["do"] for step in fault.steps)),
        "alerts": list(fault.alerts),
        "truth": fault.truth.model_dump() if fault.truth is not None else None,
    }


def injected(one: Injection) -> dict[str, Any]:
    """Return an injected fault as data; moments are RFC 3339."""
    coming = min((at for at, _, _ in one.pending), default=None)
    return {
        "name": one.name,
        "fault": one.fault,
        "state": one.state,
        "arguments": one.arguments,
        "injected": iso(one.at),
        "begun": iso(one.begun) if one.begun is not None else None,
        "rounds": one.rounds,
        "next": iso(coming) if coming is not None else None,
        "problems": list(one.problems),
    }


def status(cluster: EmbeddedCluster) -> dict[str, Any]:
    """Return how a cluster is: objects, traffic, alerts, faults, noise."""
    with cluster.lock:
        now = cluster.clock.now()
        pods, nodes = cluster.store.list("pods"), cluster.store.list("nodes")
        tick = cluster.history.last(now)
        services = tick.services if tick is not None else {}
        alerts = cluster.telemetry().alerts
        firing = alerts.firing() if alerts is not None else ()
        noise = cluster.faulting.noise
        return {
            "application": cluster.application,
            "namespace": cluster.namespace,
            "seed": cluster.seed,
            "now": iso(now),
            "nodes": {"all": len(nodes), "ready": sum(_is(n, "Ready") for n in nodes)},
            "pods": {"all": len(pods), "ready": sum(_is(p, "Ready") for p in pods)},
            "services": [
                {
                    "namespace": space,
                    "service": name,
                    "requests_per_second": round(found.rate, 2),
                    "error_rate": round(found.error_rate, 4),
                    "p99_ms": round(found.p99 * 1000.0, 1),
                }
                for (space, name), found in services.items()
            ],
            "alerts": sorted({a.name for a in firing}),
            "faults": [injected(one) for one in cluster.faulting.active.values()],
            "noise": {"level": noise.level, "made": noise.made, "left": noise.left},
        }


def _is(obj: dict[str, Any], condition: str) -> bool:
    found = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == condition and c["status"] == "True" for c in found)
