"""Policy as data: the groups of values that say what may be changed, when, and what counts as worse; frozen."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names; as text they are separated by commas."""


class Group(BaseModel):
    """Values that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@cache
def verdict_presets() -> dict[str, dict[str, Any]]:
    """Read the named policies of what counts as worse (`verdict_presets.json`), without their explanations."""
    table = json.loads(files("stratus").joinpath("verdict_presets.json").read_text(encoding="utf-8"))
    return {name: {k: v for k, v in row.items() if k != "why"} for name, row in table.items() if name != "about"}


COMPONENTS = (
    "availability", "pods", "endpoints", "crashing", "restarts", "error_rate", "latency_p99", "request_rate", "alerts",
)  # fmt: skip
"""Components of health that may be left out of the comparison; wanting nothing or vanishing always counts."""
ROOTED = ("availability", "endpoints", "error_rate", "request_rate")
"""Those that may not all be left out: without any of them nobody would notice that a service is dead."""


class Objective(Group):
    """What is asked of some services, where it differs from the rest; the first that fits counts.

    Attributes:
        services: patterns of `namespace/name`, such as `shop/*`.
        latency_slo, error_floor: as in the health settings; None: as there.
    """

    services: Names = Field(min_length=1)
    latency_slo: float | None = Field(default=None, gt=0)
    error_floor: float | None = Field(default=None, ge=0, le=1)


class IgnoredAlert(Group):
    """An alert that says nothing about whether a change has harmed; for a stated reason only.

    Attributes:
        name: pattern of the alert's name.
        reason: why; shown in the report.
    """

    name: str = Field(min_length=1)
    reason: str = Field(min_length=3)


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _clock_time(text: Any) -> Any:
    if isinstance(text, int) and 0 <= text < 1440:  # YAML reads 09:30 as a number to the base of 60
        text = f"{text // 60:02}:{text % 60:02}"
    if not isinstance(text, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text):
        raise ValueError(f"{text!r} is no time of day: write it as HH:MM")
    return text


def _moment(text: Any) -> Any:
    if isinstance(text, datetime):
        text = text.isoformat()
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write it as 2026-12-24T18:00") from None
    if found.tzinfo is not None:
        raise ValueError(f"{text!r} carries an offset: leave it out and name the zone")
    return found.isoformat(timespec="minutes")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of this machine: write one such as Europe/Paris or UTC") from None
    return name


ClockTime = Annotated[str, BeforeValidator(_clock_time)]
Moment = Annotated[str, BeforeValidator(_moment)]
Zone = Annotated[str, AfterValidator(_zone)]


class ChangeWindow(Group):
    """Times of the week in which changes are allowed.

    Attributes:
        name: what it is called in messages.
        days: days on which it begins; empty: every day.
        start, end: `from` and `to`, times of day in its zone; an end that is not later is one of the next day.
        zone: time zone.
        namespaces: patterns of the namespaces it is for; empty: all.
    """

    name: str
    days: Annotated[tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], BeforeValidator(_split)] = ()
    start: ClockTime = Field(default="00:00", alias="from")
    end: ClockTime = Field(default="24:00", alias="to")
    zone: Zone = "UTC"
    namespaces: Names = ()


class Freeze(Group):
    """A span in which nothing is changed, whatever windows say.

    Attributes:
        name: what it is called in messages.
        start, end: `from` and `to`, moments in its zone; the end is no longer part of it.
        zone: time zone.
        namespaces: patterns of the namespaces it is for; empty: all.
    """

    name: str
    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    zone: Zone = "UTC"
    namespaces: Names = ()

    @model_validator(mode="after")
    def _forward(self) -> Freeze:
        if self.end <= self.start:
            raise ValueError("to: a freeze has to end after it begins")
        return self


class BlastRadius(Group):
    """How much one plan may touch, besides the limits of a transaction.

    Attributes:
        objects, namespaces: how many; None: no bound but `limits`.
        share: share of a workload's pods that may become unavailable at once; pods of one that serves nothing at all
            do not count.
    """

    objects: int | None = Field(default=None, ge=1)
    namespaces: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)


class ImageRules(Group):
    """Which images a change may bring in, as patterns of `repository:tag`.

    Attributes:
        allow: only these (they count as known then); empty: those of repositories that run here already.
        deny: never these, whatever is allowed.
    """

    allow: Names = ()
    deny: Names = ()


class OwnerRule(Group):
    """Somebody who keeps objects as they are from outside, besides those that are known.

    Attributes:
        name: such as `Crossplane`.
        managers: patterns of the field managers it writes as.
        labels, annotations: keys that its objects carry.
        source: where changes belong, for the message.
    """

    name: str
    managers: Names = ()
    labels: Names = ()
    annotations: Names = ()
    source: str = "its source"

    @model_validator(mode="after")
    def _recognisable(self) -> OwnerRule:
        if not (self.managers or self.labels or self.annotations):
            raise ValueError("managers, labels or annotations: name at least one by which its objects are known")
        return self
