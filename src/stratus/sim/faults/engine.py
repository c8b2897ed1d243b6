"""Injects faults: checks them, carries out their steps when due, remembers how things were, and can take them back."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stratus.errors import StratusError, UnknownNameError, UsageError
from stratus.kit.clock import Timer
from stratus.sim.apps.datastores import Database
from stratus.sim.apps.loader import Loaded, explain, read_yaml
from stratus.sim.faults.mechanisms import Before, Hands, named, perform, take_back
from stratus.sim.faults.schema import AnyStep, FaultFile, FaultSpec

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster


@dataclass(slots=True)
class Injection:
    """A fault that was injected: when, with what, and what it found.

    Attributes:
        before: what each change replaced, in order.
        pending: (moment, number of the step) still to come.
    """

    fault: str
    at: float
    steps: list[AnyStep]
    before: list[Before] = field(default_factory=list)
    pending: list[tuple[float, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parse_faults(text: str, where: str) -> tuple[FaultSpec, ...]:
    """Read a fault file.

    Raises:
        UsageError: with the path of the field that is wrong.
    """
    documents = read_yaml(text, where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{where}: a fault file is one YAML mapping with a list of `faults`")
    try:
        return FaultFile.model_validate(documents[0]).faults
    except ValidationError as error:
        raise UsageError(explain(error, where)) from None


class FaultEngine:
    """The faults of one cluster: those for any workload, those of its application, and a user's own."""

    def __init__(self, specs: tuple[FaultSpec, ...] = ()) -> None:
        self.specs = {spec.id: spec for spec in specs}
        self.active: dict[str, Injection] = {}
        self._timers: list[Timer] = []
        self._hands: Hands | None = None

    @classmethod
    def load(cls, loaded: Loaded | None, extra: Path | None = None) -> FaultEngine:
        """Return an engine with the shipped faults that fit an application, and those of a file.

        Raises:
            UsageError: a file cannot be read or understood.
        """
        folder = resources.files("stratus.sim.faults").joinpath("data")
        names = ["generic", *([loaded.app.name] if loaded is not None else [])]
        specs: list[FaultSpec] = []
        for name in names:
            file = folder.joinpath(f"{name}.yaml")
            if file.is_file():
                specs += parse_faults(file.read_text(encoding="utf-8"), f"faults of {name}")
        if extra is not None:
            try:
                text = extra.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the faults {extra} cannot be read ({error})") from None
            specs += parse_faults(text, str(extra))
        return cls(tuple(specs))

    def attach(self, cluster: EmbeddedCluster) -> None:
        """Work on a cluster from now on; what is still to come of a forked engine is set up again."""
        self._hands = Hands(cluster)
        for injection in self.active.values():
            for at, number in injection.pending:
                self._schedule(injection, at, number)

    def fork(self) -> FaultEngine:
        """Return a copy that can be attached to a fork of the cluster."""
        twin = FaultEngine(tuple(self.specs.values()))
        for name, one in self.active.items():
            twin.active[name] = Injection(
                one.fault, one.at, one.steps, copy.deepcopy(one.before), list(one.pending), list(one.problems)
            )
        return twin

    @property
    def hands(self) -> Hands:
        """Return what the mechanisms work with."""
        if self._hands is None:
            raise StratusError("the fault engine is not attached to a cluster")
        return self._hands

    # what there is

    def known(self) -> list[FaultSpec]:
        """Return all faults, sorted by id."""
        return [self.specs[name] for name in sorted(self.specs)]

    def injected(self) -> tuple[str, ...]:
        """Return the injected faults in order."""
        return tuple(self.active)

    # doing

    def check(self, fault: str, arguments: dict[str, Any]) -> list[AnyStep]:
        """Return a fault's steps, or say what is wrong with asking for it.

        Raises:
            UnknownNameError: no such fault.
            UsageError: a bad argument, an object that is not there, or the fault is active already.
        """
        spec = self.specs.get(fault)
        if spec is None:
            known = ", ".join(sorted(self.specs)) or "none"
            raise UnknownNameError(f"no fault {fault!r}; known are: {known}")
        if fault in self.active:
            raise UsageError(f"the fault {fault} is already injected; heal it first")
        try:
            steps = spec.resolve(arguments)
        except ValidationError as error:
            raise UsageError(explain(error, f"fault {fault}")) from None
        except ValueError as error:
            raise UsageError(f"fault {fault}: {error}") from None
        for step in steps:
            missing = named(self.hands, step)
            if missing:
                raise UsageError(f"fault {fault}: {missing}")
        return steps

    def check_injected(self, fault: str) -> None:
        """Say so when a fault is not active.

        Raises:
            UsageError: it is not.
        """
        if fault not in self.active:
            raise UsageError(f"the fault {fault} is not injected; injected are: {', '.join(self.active) or 'none'}")

    def inject(self, fault: str, arguments: dict[str, Any]) -> None:
        """Carry out a fault's first steps, and set timers for the others."""
        steps = self.check(fault, arguments)
        now = self.hands.now()
        injection = Injection(fault, now, steps)
        self.active[fault] = injection
        for number, step in enumerate(steps):
            if step.after <= 0:
                self._perform(injection, number)
            else:
                injection.pending.append((now + step.after, number))
                self._schedule(injection, now + step.after, number)

    def heal(self, fault: str) -> None:
        """Put back what a fault changed, last change first, and drop the steps still to come."""
        self.check_injected(fault)
        injection = self.active.pop(fault)
        injection.pending.clear()
        for before in reversed(injection.before):
            take_back(self.hands, before)
        self.hands.settle()

    def _schedule(self, injection: Injection, at: float, number: int) -> None:
        def due() -> None:
            if (at, number) in injection.pending:
                injection.pending.remove((at, number))
                self._perform(injection, number)

        self.hands.call_at(at, due)

    def _perform(self, injection: Injection, number: int) -> None:
        try:
            injection.before += perform(self.hands, injection.steps[number], injection.fault, number)
        except StratusError as error:
            # A later step may find that somebody has removed what it is about; that is no reason to stop the world.
            injection.problems.append(f"step {number + 1}: {error}")
            if injection.steps[number].after <= 0:
                raise UsageError(f"fault {injection.fault}, step {number + 1}: {error}") from None
        self.hands.settle()


__all__ = ["Database", "FaultEngine", "FaultSpec", "Injection", "parse_faults"]
