"""When a fault is there: from when, for how long, how often, and how it grows."""

from __future__ import annotations

from pydantic import Field, model_validator

from stratus.sim.apps.schema import Part


class Ramp(Part):
    """A numeric argument that grows from `start` to its value.

    Attributes:
        argument: its name.
        start: its first value.
        over: seconds it takes.
        steps: how many changes are made on the way.
    """

    argument: str
    start: float
    over: float = Field(gt=0)
    steps: int = Field(default=6, ge=1, le=100)

    def at(self, end: float, step: int) -> float:
        """Return the argument's value after `step` of the changes; whole numbers stay whole."""
        value = self.start + (end - self.start) * min(step, self.steps) / self.steps
        whole = float(end).is_integer() and float(self.start).is_integer()
        return round(value) if whole and abs(end - self.start) >= self.steps else round(value, 6)


class Timing(Part):
    """When a fault is there, in seconds of the cluster's clock.

    Attributes:
        onset: from now until it begins.
        duration: after which it is taken back by itself; none: it stays until it is healed.
        every: from one beginning to the next; none: it comes once.
        times: how often it comes, with `every`; none: until it is healed.
        ramp: an argument that grows.
    """

    onset: float = Field(default=0.0, ge=0)
    duration: float | None = Field(default=None, gt=0)
    every: float | None = Field(default=None, gt=0)
    times: int | None = Field(default=None, ge=1)
    ramp: Ramp | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Timing:
        if self.every is not None and (self.duration is None or self.every <= self.duration):
            raise ValueError("`every` needs a `duration` that is shorter than it")
        if self.times is not None and self.every is None:
            raise ValueError("`times` needs `every`")
        if self.ramp is not None and self.duration is not None and self.ramp.over > self.duration:
            raise ValueError("the ramp takes longer than the fault's duration")
        return self


#: At once, and until it is healed.
NOW = Timing()
