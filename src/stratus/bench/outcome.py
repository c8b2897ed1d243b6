"""What an agent is given in an episode, and what it has to show for itself afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from stratus.model.base import Json, Noun
from stratus.model.diagnosis import FaultClass
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.knowledge.base import KnowledgeBase
    from stratus.wiring.sources import Source


class Budget(Noun):
    """What any agent may spend on one episode; the same for all.

    Attributes:
        attempts: rounds of acting.
        commands: commands, reads of a chat model included.
        seconds: cluster time.
        model_calls, tokens: thinking.
    """

    attempts: int = Field(default=6, ge=1)
    commands: int = Field(default=40, ge=1)
    seconds: float = Field(default=3600.0, gt=0)
    model_calls: int = Field(default=40, ge=0)
    tokens: int = Field(default=200_000, ge=0)

    def settings(self, base: Settings) -> Settings:
        """Return settings that hold Stratus itself to this budget."""
        limits = base.limits.model_copy(
            update={
                "attempts": self.attempts,
                "incident_seconds": self.seconds,
                "model_calls": self.model_calls,
                "tokens": self.tokens,
            }
        )
        return base.model_copy(update={"limits": limits})


@dataclass(frozen=True)
class Doors:
    """The doors an agent has: the cluster's API, its telemetry and its clock; never the scenario.

    Attributes:
        source: cluster and telemetry, as anybody else would reach them.
        settings: mode, reasoner, seed and a state directory for this episode alone.
        model: a chat model in place of the one the settings name; None: as they say.
        knowledge: open runbooks, the same for every agent that reads them; None: opened when needed.
        wall: a monotonic clock, for real seconds.
    """

    source: Source
    settings: Settings
    wall: Callable[[], float]
    model: Any = None
    knowledge: KnowledgeBase | None = None

    @property
    def thinks_by_rules(self) -> bool:
        """Whether there is no chat model."""
        return self.model is None and self.settings.reasoner in ("", "rules")


class Moments(Noun):
    """When things were known or done, in seconds since the agent began; None: never."""

    detected: float | None = None
    located: float | None = None
    mitigated: float | None = None


class Line(Noun):
    """One line of a transcript."""

    at: float
    who: str
    text: str


class Attempted(Noun):
    """One change that was made, for the picture of an episode: from when to when, and how it ended."""

    started_at: float
    ended_at: float
    summary: str
    verdict: str = ""
    undone: bool = False


class Outcome(Noun):
    """What an agent did and said; judged elsewhere.

    Attributes:
        state: how it ended, in its own words: `resolved`, `healthy`, `unresolved`, `needs_human`, `none`.
        detected: whether it saw an incident; None: it does not tell.
        localization: names of objects or services to blame, most likely first.
        root_cause: `namespace/Kind/name`; empty: it does not tell. `fault`: its class.
        steps: times that it acted or looked by a command of its own.
        transactions, undos, proved: transactions, those taken back, and those of them proved by reading.
        refused, rewritten: commands that lint or the server refused, and those put differently afterwards.
        touched: objects written, as `namespace/Kind/name`.
        simulated, real: the same moments on the cluster's clock and on the wall's.
        report: Stratus' own report, shortened; None for others.
    """

    state: str
    detected: bool | None = None
    localization: tuple[str, ...] = ()
    root_cause: str = ""
    fault: FaultClass | None = None
    steps: int = 0
    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0
    transactions: int = 0
    undos: int = 0
    proved: int = 0
    commands: tuple[str, ...] = ()
    refused: int = 0
    rewritten: int = 0
    touched: tuple[str, ...] = ()
    simulated: Moments = Moments()
    real: Moments = Moments()
    attempts: tuple[Attempted, ...] = ()
    transcript: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    report: Json | None = None

    @property
    def claimed(self) -> bool:
        """Whether the agent says that the incident is over."""
        return self.state == "resolved"


class Solver(Protocol):
    """An agent that can be measured."""

    name: str
    about: str
    """What it is, in a sentence."""

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Work on whatever is wrong.

        Raises:
            StratusError: the episode cannot be played like this at all (a model is needed, say).
        """
        ...
