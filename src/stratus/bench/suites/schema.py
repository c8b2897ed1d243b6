"""What a suite of scenarios may say: which application, what goes wrong, what is asked, the truth, and the oracles."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from stratus.bench.suites.checks import Check
from stratus.model.base import Noun
from stratus.model.diagnosis import FaultClass
from stratus.sim.faults.noise import Level
from stratus.sim.faults.scenario import Entry

Task = Literal["detection", "localization", "analysis", "mitigation"]
Complexity = Literal["low", "medium", "high"]
TASKS: tuple[Task, ...] = get_args(Task)

FaultUse = Entry
"""One fault of a scenario, with arguments and times, as in a scenario file of the embedded cluster."""


class Truth(Noun):
    """What is right; never shown to what is measured.

    Attributes:
        detection: something is wrong.
        objects: `Kind/name` of what to blame, any of them; empty: what the faults themselves say.
        localization: names of the components to point at, any of them; empty: those of `objects`.
        fault: class of the fault; `unknown`: what the faults say.
        level: the original's analysis, where it has that task: the level of the system.
        type: the type of the fault in that analysis.
        text: for people.
    """

    detection: bool = True
    objects: tuple[str, ...] = ()
    localization: tuple[str, ...] = ()
    fault: FaultClass = "unknown"
    level: str = ""
    type: str = ""
    text: str = ""


class StrictSpec(Noun):
    """What the strict oracle lets pass, where the general rule does not fit.

    Attributes:
        allow: globs over `Kind/name` of further objects that a repair may change or make.
        quiet: services whose figures do not count, because the healthy state of the scenario has none.
        shrink: workloads (`Kind/name`) that may have fewer pods than in the healthy state.
        must: checks that have to hold besides, for faults that neither traffic nor alerts show.
        alerts: names of alerts that may go on firing.
        share: least part of the healthy request rate.
        errors: most that the error rate may be above the healthy one.
        slower: most that the 99th percentile of the latency may be, in healthy ones.
    """

    allow: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    shrink: tuple[str, ...] = ()
    must: tuple[Check, ...] = ()
    alerts: tuple[str, ...] = ()
    share: float = Field(default=0.75, ge=0, le=1)
    errors: float = Field(default=0.02, ge=0, le=1)
    slower: float = Field(default=3.0, ge=1)


class Scenario(Noun):
    """One thing that goes wrong, and how an answer to it is judged.

    Attributes:
        id: within the suite.
        suite: filled in while loading.
        title: what happens, in a sentence.
        app: name of an application of the embedded cluster, or path of an application file beside the suite.
        family: kind of fault, to group results by.
        complexity: low, medium or high, to group results by.
        faults: what is injected; empty: nothing is.
        wait: seconds of cluster time that symptoms get to show, at most.
        noise: level that the scenario fixes; none: the run's.
        tasks: what is asked, with the original's id for it.
        truth: what is right.
        original: the original's oracle; all checks have to hold.
        lenient: why the original's oracle lets the injected state pass; empty: it does not.
        strict: what the strict oracle lets pass here.
        translated: how the original was translated, where it is not the same thing; empty: it is.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    suite: str = ""
    title: str
    app: str
    family: str
    complexity: Complexity = "medium"
    faults: tuple[FaultUse, ...] = ()
    wait: float = Field(default=300.0, gt=0)
    noise: Level | None = None
    tasks: dict[Task, str]
    truth: Truth = Truth()
    original: tuple[Check, ...] = ()
    lenient: str = ""
    strict: StrictSpec = StrictSpec()
    translated: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Scenario:
        if not self.tasks:
            raise ValueError("a scenario has at least one task")
        if self.truth.detection and not self.faults:
            raise ValueError("nothing is wrong where no fault is injected: say truth: {detection: false}")
        if "mitigation" in self.tasks and not self.original:
            raise ValueError("a scenario with the task mitigation needs checks of an `original` oracle")
        if "analysis" in self.tasks and not (self.truth.level and self.truth.type):
            raise ValueError("the task analysis needs truth.level and truth.type")
        return self

    @property
    def mitigation(self) -> bool:
        """Whether a repair is asked for."""
        return "mitigation" in self.tasks


class NotCovered(Noun):
    """A scenario of the original that is not here, and counts as missing.

    Attributes:
        id: the original's.
        reason: why it cannot be represented.
        tasks: of it that are missing.
    """

    id: str
    reason: str = Field(min_length=10)
    tasks: tuple[Task, ...]


class Suite(Noun):
    """A set of scenarios.

    Attributes:
        folder: where it was read from, empty for a generated one; paths of applications are relative to it.
        source: what it is after.
    """

    name: str
    title: str = ""
    source: str = ""
    folder: str = ""
    scenarios: tuple[Scenario, ...] = ()
    not_covered: tuple[NotCovered, ...] = ()

    def scenario(self, name: str) -> Scenario:
        """Return a scenario by its id, or by the original's id of one of its tasks.

        Raises:
            UnknownNameError: there is none.
        """
        from stratus.errors import UnknownNameError

        for one in self.scenarios:
            if one.id == name or name in one.tasks.values():
                return one
        raise UnknownNameError(f"the suite {self.name} has no scenario {name!r}")

    @property
    def coverage(self) -> float:
        """Part of the original's scenarios that are here."""
        whole = len(self.scenarios) + len(self.not_covered)
        return len(self.scenarios) / whole if whole else 0.0


class SuiteHead(Noun):
    """The file `suite.yaml` of a suite's folder.

    Attributes:
        name: what the suite is called.
        title: for people.
        source: what it is after.
        not_covered: what it leaves out of that.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = ""
    source: str = ""
    not_covered: tuple[NotCovered, ...] = ()
