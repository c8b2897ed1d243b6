"""Noise: what else goes on in a cluster, harmless and unrelated to any fault, the same for the same seed."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from stratus.errors import StratusError
from stratus.sim.apps.schema import Part
from stratus.sim.faults.hands import STRATEGIC, Before, Hands
from stratus.sim.faults.takeback import take_back
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.faults.engine import FaultEngine

Level = Literal["off", "on", "heavy"]
OFF: Level = "off"


class Warn(Part):
    """An event that means nothing.

    Attributes:
        about: kind of the object it is told about; one that no fault is about is chosen.
    """

    about: Literal["Deployment", "Node", "Pod"]
    type: Literal["Normal", "Warning"] = "Warning"
    reason: str
    message: str
    component: str


class Decoy(Part):
    """A harmless change of a Deployment (`rollout`: of its pod template), a Service or a ConfigMap."""

    kind: Literal["Deployment", "Service", "ConfigMap"]
    patch: dict[str, Any]
    rollout: bool = False


class Strength(Part):
    """How much goes on: seconds between two pieces of noise, on average, and the shares of each sort."""

    every: float = Field(gt=0)
    events: float = Field(ge=0)
    decoys: float = Field(ge=0)
    flaps: float = Field(ge=0)
    bystanders: int = Field(default=0, ge=0)


class NoiseFile(Part):
    """The data of the noise: levels, events, decoys, and bystanders with pods that come and go."""

    levels: dict[str, Strength]
    events: tuple[Warn, ...]
    decoys: tuple[Decoy, ...]
    namespace: str
    bystanders: tuple[dict[str, Any], ...]


@lru_cache(maxsize=1)
def noise_data() -> NoiseFile:
    """Return the shipped data of the noise."""
    text = resources.files("stratus.sim.faults").joinpath("data", "noise.yaml").read_text(encoding="utf-8")
    return NoiseFile.model_validate(yaml.safe_load(text))


@dataclass(slots=True)
class Noise:
    """The noise of one cluster.

    Attributes:
        level: how much of it.
        left: pieces that may still come; None: as many as there are.
        made: pieces so far; the choice of each depends on the seed and this number alone.
        before: what its changes replaced: switching it off takes them back.
        due: when the next piece comes.
    """

    level: Level = OFF
    left: int | None = None
    made: int = 0
    before: list[Before] = field(default_factory=list)
    due: float | None = None
    _hands: Hands | None = None
    _engine: FaultEngine | None = None

    def attach(self, hands: Hands, engine: FaultEngine) -> None:
        """Work on a cluster from now on."""
        self._hands, self._engine = hands, engine
        if self.due is not None:
            self._arm(self.due)

    def fork(self) -> Noise:
        """Return a copy that can be attached to a fork of the cluster."""
        return Noise(self.level, self.left, self.made, [copy.copy(b) for b in self.before], self.due)

    def set(self, level: Level, budget: int | None = None) -> None:
        """Make noise from now on, `budget` pieces at most; `off` also takes back what it has changed."""
        assert self._hands is not None
        assert self._engine is not None
        if self.before and level == OFF:
            changes, self.before = self.before, []
            others = [b for one in self._engine.active.values() for b in one.before]
            take_back(self._hands, changes, others)
            self._hands.settle()
        self.level, self.left, self.due = level, budget, None
        if level != OFF:
            self._invite()
            self._arm(self._hands.now() + self._pause())

    # choosing

    def _dice(self, *what: object) -> float:
        """Return a number in [0, 1) that depends on the seed, the number of the piece and what it is for."""
        assert self._hands is not None
        text = "/".join(map(str, (self._hands.cluster.seed, "noise", self.made, *what)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / float(1 << 56)

    def _one_of(self, choices: list[Any], what: str) -> Any:
        return choices[int(self._dice(what) * len(choices))] if choices else None

    def _pause(self) -> float:
        return round(noise_data().levels[self.level].every * (0.5 + self._dice("pause")), 1)

    def _arm(self, at: float) -> None:
        assert self._hands is not None
        self.due = at

        def happen() -> None:
            if self.due == at and self.level != OFF:
                self._happen()

        self._hands.call_at(at, happen)

    # doing

    def _happen(self) -> None:
        assert self._hands is not None
        if self.left is not None and self.left <= 0:
            self.due = None
            return
        strength = noise_data().levels[self.level]
        roll = self._dice("sort") * (strength.events + strength.decoys + strength.flaps)
        try:
            if roll < strength.events:
                self._tell()
            elif roll < strength.events + strength.decoys:
                self._decoy()
            else:
                self._flap()
        except StratusError:
            pass  # Somebody has removed or forbidden what it was to be about: then there is less noise.
        self.made += 1
        self.left = None if self.left is None else self.left - 1
        self._hands.settle()
        self._arm(self._hands.now() + self._pause())

    def _bystanding(self, kind: str) -> list[Obj]:
        """Return the objects of a kind, of the application and the bystanders, that no injected fault is about."""
        assert self._hands is not None
        assert self._engine is not None
        touched = {name for _, name in self._engine.touched()}
        stored = self._hands.resource(kind, "apps" if kind == "Deployment" else "").stored
        spaces = [""] if kind == "Node" else [self._hands.cluster.namespace, noise_data().namespace]
        found = [o for space in spaces for o in self._hands.cluster.store.list(stored, space or None)]
        return [
            o
            for o in found
            if o["metadata"]["name"] not in touched
            and not any(o["metadata"]["name"].startswith(f"{name}-") for name in touched)
            and not o["metadata"]["name"].startswith("kube-")
        ]

    def _tell(self) -> None:
        assert self._hands is not None
        event = self._one_of(list(noise_data().events), "event")
        target = self._one_of(self._bystanding(event.about), "about")
        if target is not None:
            self._hands.cluster.control.events.record(target, event.type, event.reason, event.message, event.component)

    def _decoy(self) -> None:
        assert self._hands is not None
        decoy = self._one_of(list(noise_data().decoys), "decoy")
        choices = self._bystanding(decoy.kind)
        if decoy.rollout:
            choices = [o for o in choices if self._rolls_gently(o)]
        target = self._one_of(choices, "whom")
        if target is None:
            return
        meta = target["metadata"]
        patch = _filled(decoy.patch, str(self.made))
        self.before.append(self._hands.patch(decoy.kind, meta["namespace"], meta["name"], patch, STRATEGIC))

    def _rolls_gently(self, deployment: Obj) -> bool:
        """Tell whether a rollout disturbs nobody: a new pod is ready before the old one goes, and it keeps no data."""
        assert self._hands is not None
        spec, meta = deployment["spec"], deployment["metadata"]
        strategy = spec.get("strategy") or {}
        return (
            strategy.get("type") != "Recreate"
            and not any("persistentVolumeClaim" in v for v in spec["template"]["spec"].get("volumes") or ())
            and (meta["namespace"], meta["name"]) not in self._hands.cluster.runtime.databases
            and bool(spec.get("replicas", 1))
        )

    def _flap(self) -> None:
        """Let a container end that nobody depends on."""
        assert self._hands is not None
        cluster = self._hands.cluster
        labels = {p["metadata"]["name"] for p in cluster.store.list("pods", noise_data().namespace)}
        pods = [(noise_data().namespace, name) for name in sorted(labels)]
        key = self._one_of(pods, "pod")
        pod = cluster.store.get("pods", *key) if key is not None else None
        if pod is not None:
            container = pod["spec"]["containers"][0]["name"]
            cluster.control.kubelet.restart_container(key, container, reason="Error", exit_code=1)

    def _invite(self) -> None:
        """Bring in the bystanders of the level: workloads of a namespace of their own."""
        assert self._hands is not None
        data = noise_data()
        wanted = data.bystanders[: data.levels[self.level].bystanders]
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": data.namespace}}
        for obj in [space, *wanted] if wanted else []:
            if self._hands.find(obj["kind"], data.namespace, obj["metadata"]["name"]) is None:
                self.before.append(self._hands.create(copy.deepcopy(obj), data.namespace))
        self._hands.settle()


def _filled(part: Any, number: str) -> Any:
    if isinstance(part, dict):
        return {k: _filled(v, number) for k, v in part.items()}
    if isinstance(part, list):
        return [_filled(v, number) for v in part]
    return part.replace("${n}", number) if isinstance(part, str) else part
