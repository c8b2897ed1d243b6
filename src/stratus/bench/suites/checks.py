"""What an original oracle looks at, as data: small checks that a scenario lists, each answered from a snapshot."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stratus.model.base import Noun

Path = str | tuple[str | int, ...]
"""Steps into an object: `spec.ports.0.targetPort`; a step into a list is an index or an entry's `name`. A list of
steps in place of the text lets a step have dots."""


class PodWalk(Noun):
    """No container waits in a crash loop, has ended with an error or is unready.

    Attributes:
        namespace: where; empty: the application's.
        any_wait: every reason to wait counts, not only a crash loop.
        ready: unready containers count.
        skip_unborn: pods without container statuses, such as those that no node takes, are passed over.
    """

    check: Literal["pod_walk"] = "pod_walk"
    namespace: str = ""
    any_wait: bool = False
    ready: bool = True
    skip_unborn: bool = True


class AllReady(Noun):
    """Every pod of a namespace (empty: the application's) is running and ready."""

    check: Literal["all_ready"] = "all_ready"
    namespace: str = ""


class Baseline(Noun):
    """Every Deployment that was there before is there, wants a pod at least, has all it wants, and no pod ails."""

    check: Literal["baseline"] = "baseline"


class FieldIs(Noun):
    """A field of an object; exactly one of the conditions is given.

    Attributes:
        object: `Kind/name`, or `Kind/namespace/name` outside the application's namespace.
        path: of the field: steps with dots between, or a list of steps; into a list by number or an entry's `name`.
        equals: the wanted value.
        differs: an unwanted value.
        contains: what has to be in the list (or text).
        absent: the field is not there.
        as_before: it is what it was in the healthy state.
    """

    check: Literal["field"] = "field"
    object: str
    path: Path
    equals: Any = None
    differs: Any = None
    contains: Any = None
    absent: bool = False
    as_before: bool = False

    @model_validator(mode="after")
    def _one_condition(self) -> FieldIs:
        given = [self.equals is not None, self.differs is not None, self.contains is not None]
        if sum((*given, self.absent, self.as_before)) != 1:
            raise ValueError("give one of equals, differs, contains, absent and as_before")
        return self


class Exists(Noun):
    """An object is there (`gone`: is not)."""

    check: Literal["exists"] = "exists"
    object: str
    gone: bool = False


class NoneOf(Noun):
    """No object of a kind has a field (anywhere in the application's namespace, or without one)."""

    check: Literal["none_of"] = "none_of"
    kind: str
    path: Path


class Available(Noun):
    """A workload wants a number of pods, and so many are available."""

    check: Literal["available"] = "available"
    object: str
    replicas: int = 1


class AtMost(Noun):
    """A workload wants a number of pods at most, and has no more."""

    check: Literal["at_most"] = "at_most"
    object: str
    replicas: int = 1


class RolledOut(Noun):
    """A workload wants a pod at least, and all it wants are of its newest template and ready."""

    check: Literal["rolled_out"] = "rolled_out"
    object: str


class PodNamed(Noun):
    """A pod whose name contains a text is there."""

    check: Literal["pod_named"] = "pod_named"
    part: str


class Endpoints(Noun):
    """A Service has a ready endpoint."""

    check: Literal["endpoints"] = "endpoints"
    service: str


class AlertsCleared(Noun):
    """Throughout the last two minutes no alert fires that did not fire in the healthy state.

    Attributes:
        ignore: names that do not count.
    """

    check: Literal["alerts_cleared"] = "alerts_cleared"
    ignore: tuple[str, ...] = ()


class Served(Noun):
    """A service answers: at `share` of its healthy rate at least, and with `errors` at most.

    Attributes:
        service: which; empty: all of the application.
    """

    check: Literal["served"] = "served"
    service: str = ""
    share: float = Field(default=0.5, ge=0, le=1)
    errors: float = Field(default=0.05, ge=0, le=1)


class Steady(Noun):
    """No container of a workload has been restarted in the last two minutes."""

    check: Literal["steady"] = "steady"
    object: str


class Reaches(Noun):
    """From a pod of a workload, a name resolves and a port answers."""

    check: Literal["reaches"] = "reaches"
    source: str
    host: str
    port: int


class Exec(Noun):
    """A command in a pod of a workload ends with code 0 and prints a text (`output`, whole, blanks around it cut)."""

    check: Literal["exec"] = "exec"
    object: str
    command: tuple[str, ...]
    output: str | None = None


class Admits(Noun):
    """Another pod like those of a workload would be let in (`bare`: without its resources)."""

    check: Literal["admits"] = "admits"
    object: str
    bare: bool = False


Check = Annotated[
    PodWalk
    | AllReady
    | Baseline
    | FieldIs
    | Exists
    | NoneOf
    | Available
    | AtMost
    | RolledOut
    | PodNamed
    | Endpoints
    | AlertsCleared
    | Served
    | Steady
    | Reaches
    | Exec
    | Admits,
    Field(discriminator="check"),
]
LIVE = (Reaches, Exec, Admits)
"""Checks that have to try something; what came of it is noted in the snapshot."""


def key_of(check: Reaches | Exec | Admits) -> str:
    """Return what the outcome of a live check is kept under."""
    return check.model_dump_json(exclude_defaults=False)


def steps_of(path: Path) -> tuple[str | int, ...]:
    """Return the steps of a path."""
    parts = path.split(".") if isinstance(path, str) else path
    return tuple(int(p) if isinstance(p, str) and p.isdigit() else p for p in parts)


MISSING = object()


def dig(obj: Any, path: Path) -> Any:
    """Return the value at a path, or `MISSING`."""
    for step in steps_of(path):
        if isinstance(obj, dict):
            obj = obj.get(str(step), MISSING)
        elif isinstance(obj, list | tuple):
            if isinstance(step, int):
                obj = obj[step] if step < len(obj) else MISSING
            else:
                obj = next((o for o in obj if isinstance(o, dict) and o.get("name") == step), MISSING)
        else:
            return MISSING
        if obj is MISSING:
            return MISSING
    return obj
