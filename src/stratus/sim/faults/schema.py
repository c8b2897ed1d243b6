"""What a fault file may say: faults with arguments, each a list of steps, each step one mechanism (see steps.py)."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, model_validator

from stratus.model.diagnosis import FaultClass
from stratus.sim.apps.schema import Part
from stratus.sim.faults.steps import STEPS, AnyStep, Scale, SetImage

_PLACE = re.compile(r"\$\{(\w+)\}")


class Truth(Part):
    """What an honest diagnosis would say, for scoring: never read by anything that diagnoses.

    Attributes:
        object: `Kind/name` of the object to blame; `also` lists others that count.
        fault: its class in the diagnosis vocabulary.
        repair: what puts it right.
    """

    object: str
    also: tuple[str, ...] = ()
    fault: FaultClass = "unknown"
    repair: str = ""


class FaultSpec(Part):
    """A fault.

    Attributes:
        arguments: names that `${name}` in the steps stands for, with defaults; null: must be given.
        steps: the changes; they are checked once the arguments are in place.
        alerts: alerts that should fire.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = Field(min_length=1)
    truth: Truth | None = None
    alerts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> FaultSpec:
        if all(v is not None for v in self.arguments.values()):
            self.resolve({})
        return self

    def expected(self, arguments: dict[str, Any] | None = None) -> Truth | None:
        """Return what an honest diagnosis would say, arguments put in."""
        if self.truth is None:
            return None
        return Truth.model_validate(_filled(self.truth.model_dump(), {**self.arguments, **(arguments or {})}))

    def resolve(self, arguments: dict[str, Any]) -> list[AnyStep]:
        """Return the steps with arguments put in.

        Raises:
            ValueError: an argument is unknown or missing, or a step does not come out right.
        """
        unknown = sorted(set(arguments) - set(self.arguments))
        if unknown:
            known = ", ".join(sorted(self.arguments)) or "none"
            raise ValueError(f"unknown argument {', '.join(unknown)}; this fault takes: {known}")
        values = {**self.arguments, **arguments}
        missing = sorted(name for name, value in values.items() if value is None)
        if missing:
            raise ValueError(f"give a value for {', '.join(missing)}")
        return STEPS.validate_python(_filled(list(self.steps), values))


class FaultFile(Part):
    """A file of faults."""

    faults: tuple[FaultSpec, ...]


def _filled(part: Any, values: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        return {_filled(k, values): _filled(v, values) for k, v in part.items()}
    if isinstance(part, list | tuple):
        return [_filled(v, values) for v in part]
    if not isinstance(part, str) or "${" not in part:
        return part
    whole = _PLACE.fullmatch(part)
    if whole and whole.group(1) in values:
        return values[whole.group(1)]
    return _PLACE.sub(lambda m: str(values.get(m.group(1), m.group(0))), part)


__all__ = ["AnyStep", "FaultFile", "FaultSpec", "Scale", "SetImage", "Truth"]
