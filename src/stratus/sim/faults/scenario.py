"""Scenarios: several faults with arguments and onsets, and noise, in a small file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, model_validator

from stratus.errors import StratusError, UsageError
from stratus.sim.apps.loader import explain, read_yaml
from stratus.sim.apps.schema import Part
from stratus.sim.faults.noise import Level
from stratus.sim.faults.timing import Ramp, Timing

if TYPE_CHECKING:
    from stratus.sim.faults.engine import FaultEngine


class Entry(Part):
    """One fault of a scenario; the times are those of `Timing`.

    Attributes:
        fault: its id; `name`: what to heal it by, needed when a fault occurs twice.
        arguments: in place of the fault's own.
    """

    fault: str
    name: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    onset: float = Field(default=0.0, ge=0)
    duration: float | None = Field(default=None, gt=0)
    every: float | None = Field(default=None, gt=0)
    times: int | None = Field(default=None, ge=1)
    ramp: Ramp | None = None

    @model_validator(mode="after")
    def _times_make_sense(self) -> Entry:
        self.timing()
        return self

    def timing(self) -> Timing:
        """Return when the fault is there."""
        return Timing(onset=self.onset, duration=self.duration, every=self.every, times=self.times, ramp=self.ramp)


class Scenario(Part):
    """What happens to a cluster.

    Attributes:
        name, description: for people.
        app: application it is written for; empty: any.
        noise: level to set; none: as it is. `noise_budget`: pieces of noise at most.
        faults: what goes wrong, and when.
    """

    name: str = ""
    description: str = ""
    app: str = ""
    noise: Level | None = None
    noise_budget: int | None = Field(default=None, ge=0)
    faults: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Scenario:
        if not self.faults and self.noise is None:
            raise ValueError("a scenario has `faults`, or `noise`")
        return self

    def check(self, engine: FaultEngine, app: str) -> None:
        """Say what keeps the scenario from being played on a cluster with some application.

        Raises:
            UsageError: naming the entry.
        """
        if self.app and self.app != app:
            raise UsageError(f"the scenario is written for {self.app}, and the cluster runs {app or 'no application'}")
        from stratus.sim.faults.engine import makes

        names: set[str] = set()
        made: set[str] = set()
        for number, entry in enumerate(self.faults):
            where = f"faults.{number}"
            name = entry.name or entry.fault
            if name in names:
                raise UsageError(f"{where}: {name} occurs twice; give each a `name` of its own")
            names.add(name)
            try:
                steps = engine.check(entry.fault, entry.arguments, name=entry.name, timing=entry.timing(), made=made)
            except StratusError as error:
                raise type(error)(f"{where}: {error}") from None
            for step in steps:
                made |= makes(step)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        UsageError: it cannot be read, or with the path of the field that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the scenario {path} cannot be read ({error})") from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, where: str) -> Scenario:
    """Read a scenario from its text.

    Raises:
        UsageError: with the path of the field that is wrong.
    """
    documents = read_yaml(text, where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{where}: a scenario is one YAML mapping with a list of `faults`")
    try:
        return Scenario.model_validate(documents[0])
    except ValidationError as error:
        raise UsageError(explain(error, where)) from None
