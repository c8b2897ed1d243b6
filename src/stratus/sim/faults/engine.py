"""Injects faults: checks them, carries out their steps when due, remembers how things were, and can take them back."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stratus.errors import StratusError, UnknownNameError, UsageError
from stratus.sim.apps.loader import Loaded, explain, read_yaml
from stratus.sim.faults import steps as s
from stratus.sim.faults.hands import Before, Hands
from stratus.sim.faults.mechanisms import about, named, perform
from stratus.sim.faults.noise import OFF, Level, Noise
from stratus.sim.faults.schema import FaultFile, FaultSpec
from stratus.sim.faults.takeback import take_back
from stratus.sim.faults.timing import NOW, Timing

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster

#: What is to come of an injection: (moment, what, number); what is begin, step, ramp or end.
Due = tuple[float, str, int]


@dataclass(slots=True)
class Injection:
    """A fault that was injected: when, with what, and what it found.

    Attributes:
        name: what it is healed by: the fault's id unless another name was given.
        at: when it was injected; `begun`: when it (last) began.
        state: `waiting` for its onset, `active`, or `resting` until it comes again.
        rounds: how often it has begun.
        before: what each change replaced, in order.
        pending: what is still to come.
        problems: what could not be done, as sentences.
    """

    name: str
    fault: str
    at: float
    arguments: dict[str, Any]
    timing: Timing
    steps: list[s.AnyStep]
    state: str = "waiting"
    begun: float | None = None
    rounds: int = 0
    before: list[Before] = field(default_factory=list)
    pending: list[Due] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def clone(self) -> Injection:
        """Return an independent copy."""
        twin = copy.copy(self)
        # Objects of the store are never changed, only replaced: copies may share them.
        twin.before = [Before(b.what, b.place, _own(b, b.was), _own(b, b.after), b.step) for b in self.before]
        twin.pending, twin.problems = list(self.pending), list(self.problems)
        return twin


def _own(change: Before, value: Any) -> Any:
    return copy.deepcopy(value) if change.what == "store" else value


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


@cache
def shipped(name: str) -> tuple[FaultSpec, ...]:
    """Return the faults shipped for an application (`generic`: for any); none when there are none."""
    file = resources.files("stratus.sim.faults").joinpath("data", f"{name}.yaml")
    return parse_faults(file.read_text(encoding="utf-8"), f"faults of {name}") if file.is_file() else ()


class FaultEngine:
    """The faults of one cluster: those for any workload, those of its application, and a user's own."""

    def __init__(self, specs: tuple[FaultSpec, ...] = (), *, shipped_with: tuple[str, ...] = ()) -> None:
        self._own, self._shipped_with = specs, shipped_with
        self.active: dict[str, Injection] = {}
        self.noise = Noise()
        self._hands: Hands | None = None

    @cached_property
    def specs(self) -> dict[str, FaultSpec]:
        """Faults by id; the shipped ones are read when somebody asks, for most clusters never break."""
        all_of_them = [*(spec for name in self._shipped_with for spec in shipped(name)), *self._own]
        return {spec.id: spec for spec in all_of_them}

    @classmethod
    def load(cls, loaded: Loaded | None, extra: Path | None = None) -> FaultEngine:
        """Return an engine with the shipped faults that fit an application, and those of a file.

        Raises:
            UsageError: a file cannot be read or understood.
        """
        specs: tuple[FaultSpec, ...] = ()
        if extra is not None:
            try:
                text = extra.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the faults {extra} cannot be read ({error})") from None
            specs = parse_faults(text, str(extra))
        return cls(specs, shipped_with=("generic", *([loaded.app.name] if loaded is not None else [])))

    def attach(self, cluster: EmbeddedCluster) -> None:
        """Work on a cluster from now on; what is still to come of a forked engine is set up again."""
        self._hands = Hands(cluster)
        for injection in self.active.values():
            for due in injection.pending:
                self._schedule(injection, due)
        self.noise.attach(self._hands, self)

    def fork(self) -> FaultEngine:
        """Return a copy that can be attached to a fork of the cluster."""
        twin = FaultEngine(self._own, shipped_with=self._shipped_with)
        twin.active = {name: one.clone() for name, one in self.active.items()}
        twin.noise = self.noise.fork()
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
        """Return the names of what is injected and not healed, in order."""
        return tuple(self.active)

    def touched(self) -> set[tuple[str, str]]:
        """Return (kind, name) of the objects that the injected faults are about."""
        return {target for one in self.active.values() for step in one.steps if (target := about(step)) is not None}

    # doing

    def check(
        self, fault: str, arguments: dict[str, Any], *, name: str = "", timing: Timing = NOW, made: Iterable[str] = ()
    ) -> list[s.AnyStep]:
        """Return a fault's steps, or say what is wrong with asking for it.

        Args:
            fault: its id.
            arguments: in place of its own.
            name: what it is to be called; empty: as its id.
            timing: when it is to be there.
            made: `Kind/name` of objects that will have been made before it begins.

        Raises:
            UnknownNameError: no such fault.
            UsageError: a bad argument, an object that is not there, or the name is taken.
        """
        spec = self.specs.get(fault)
        if spec is None:
            known = ", ".join(sorted(self.specs)) or "none"
            raise UnknownNameError(f"no fault {fault!r}; known are: {known}")
        if (name or fault) in self.active:
            taken = self.active[name or fault].fault
            hint = "heal it first" if name else "heal it first, or give this one a name of its own"
            raise UsageError(
                f"the fault {fault} is already injected; {hint}"
                if taken == fault
                else f"the name {name} belongs to an injected fault {taken}; {hint}"
            )
        steps = self._resolve(spec, arguments)
        if timing.ramp is not None:
            self._check_ramp(spec, arguments, timing)
        existing = set(made)
        for step in steps:
            missing = named(self.hands, step)
            target = about(step)
            if missing and (target is None or "/".join(target) not in existing):
                raise UsageError(f"fault {fault}: {missing}")
            existing |= makes(step)
        return steps

    def _resolve(self, spec: FaultSpec, arguments: dict[str, Any]) -> list[s.AnyStep]:
        try:
            return spec.resolve(arguments)
        except ValidationError as error:
            raise UsageError(explain(error, f"fault {spec.id}")) from None
        except ValueError as error:
            raise UsageError(f"fault {spec.id}: {error}") from None

    def _check_ramp(self, spec: FaultSpec, arguments: dict[str, Any], timing: Timing) -> None:
        assert timing.ramp is not None
        values = {**spec.arguments, **arguments}
        end = values.get(timing.ramp.argument)
        if isinstance(end, bool) or not isinstance(end, int | float):
            numbers = [k for k, v in sorted(values.items()) if isinstance(v, int | float) and not isinstance(v, bool)]
            raise UsageError(
                f"fault {spec.id}: only an argument that is a number can grow; these are: "
                f"{', '.join(numbers) or 'none'}"
            )
        self._resolve(spec, {**arguments, timing.ramp.argument: timing.ramp.at(end, 0)})

    def check_injected(self, name: str) -> None:
        """Say so when a fault is not active.

        Raises:
            UsageError: it is not.
        """
        if name not in self.active:
            raise UsageError(f"the fault {name} is not injected; injected are: {', '.join(self.active) or 'none'}")

    def inject(self, fault: str, arguments: dict[str, Any], *, name: str = "", timing: Timing = NOW) -> None:
        """Carry out a fault's first steps, and set timers for the rest; when a step fails nothing of it stays."""
        steps = self.check(fault, arguments, name=name, timing=timing)
        now = self.hands.now()
        injection = Injection(name or fault, fault, now, dict(arguments), timing, steps)
        self.active[injection.name] = injection
        if timing.onset > 0:
            self._plan(injection, now + timing.onset, "begin")
            return
        try:
            self._begin(injection, strict=True)
        except UsageError:
            self.heal(injection.name)
            raise

    def heal(self, name: str) -> None:
        """Put back what a fault changed, last change first, and drop what is still to come of it."""
        self.check_injected(name)
        injection = self.active.pop(name)
        injection.pending.clear()
        self._take_back(injection)

    # what happens in time

    def _plan(self, injection: Injection, at: float, what: str, number: int = 0) -> None:
        due = (at, what, number)
        injection.pending.append(due)
        self._schedule(injection, due)

    def _schedule(self, injection: Injection, due: Due) -> None:
        def happen() -> None:
            if due in injection.pending:
                injection.pending.remove(due)
                if due[1] == "begin":
                    self._begin(injection)
                elif due[1] == "end":
                    self._end(injection)
                elif due[1] == "ramp":
                    self._grow(injection, due[2])
                else:
                    self._perform(injection, due[2])

        self.hands.call_at(due[0], happen)

    def _begin(self, injection: Injection, *, strict: bool = False) -> None:
        now, timing = self.hands.now(), injection.timing
        injection.state, injection.begun = "active", now
        injection.rounds += 1
        if timing.ramp is not None:
            self._set_ramp(injection, 0)
            for number in range(1, timing.ramp.steps + 1):
                self._plan(injection, now + timing.ramp.over * number / timing.ramp.steps, "ramp", number)
        if timing.duration is not None:
            self._plan(injection, now + timing.duration, "end")
        for number, step in enumerate(injection.steps):
            if step.after <= 0:
                self._perform(injection, number, strict=strict)
            else:
                self._plan(injection, now + step.after, "step", number)

    def _end(self, injection: Injection) -> None:
        timing = injection.timing
        injection.pending.clear()
        if timing.every is None or (timing.times is not None and injection.rounds >= timing.times):
            self.active.pop(injection.name, None)
        else:
            injection.state = "resting"
            assert injection.begun is not None
            self._plan(injection, injection.begun + timing.every, "begin")
        self._take_back(injection)

    def _take_back(self, injection: Injection) -> None:
        changes, injection.before = injection.before, []
        others = [b for one in self.active.values() if one is not injection for b in one.before]
        injection.problems += take_back(self.hands, changes, [*others, *self.noise.before])
        self._rouse()
        self.hands.settle()

    def _perform(self, injection: Injection, number: int, *, strict: bool = False) -> None:
        try:
            made = perform(self.hands, injection.steps[number])
        except StratusError as error:
            # A later step may find that somebody has removed what it is about; that is no reason to stop the world.
            injection.problems.append(f"step {number + 1}: {error}")
            if strict:
                raise UsageError(f"fault {injection.fault}, step {number + 1}: {error}") from None
            made = []
        for change in made:
            change.step = number
        injection.before += made
        self._rouse()
        self.hands.settle()

    def _rouse(self) -> None:
        """Let the load be what all surges together make it."""
        surge = 1.0
        for one in self.active.values():
            for change in one.before:
                surge *= change.after if change.what == "surge" else 1.0
        self.hands.cluster.traffic.surge = surge

    # growing

    def _set_ramp(self, injection: Injection, step: int) -> list[int]:
        """Put the argument's present value into the steps; return the numbers of those that changed."""
        ramp, spec = injection.timing.ramp, self.specs[injection.fault]
        assert ramp is not None
        end = {**spec.arguments, **injection.arguments}[ramp.argument]
        old, injection.steps = (
            injection.steps,
            self._resolve(spec, {**injection.arguments, ramp.argument: ramp.at(end, step)}),
        )
        return [i for i, (one, other) in enumerate(zip(old, injection.steps, strict=True)) if one != other]

    def _grow(self, injection: Injection, step: int) -> None:
        waiting = {number for _, what, number in injection.pending if what == "step"}
        for number in self._set_ramp(injection, step):
            if number in waiting:
                continue
            mine = [b for b in injection.before if b.step == number and b.what != "object"]
            if mine:
                # What is not a field of an object is replaced as a whole.
                injection.before = [b for b in injection.before if not any(b is m for m in mine)]
                take_back(self.hands, mine, [b for one in self.active.values() for b in one.before])
            self._perform(injection, number)


def makes(step: s.AnyStep) -> set[str]:
    """Return `Kind/name` of what a step creates."""
    if isinstance(step, s.Create):
        return {f"{step.object.get('kind')}/{(step.object.get('metadata') or {}).get('name')}"}
    if isinstance(step, s.Chaos):
        return {f"{'Schedule' if step.schedule else step.kind}/{step.name}"}
    return {f"NetworkChaos/{step.name}"} if isinstance(step, s.NetworkChaos) else set()


__all__ = ["OFF", "FaultEngine", "FaultSpec", "Injection", "Level", "Noise", "Timing", "parse_faults", "shipped"]
