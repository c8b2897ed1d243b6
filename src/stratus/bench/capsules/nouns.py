"""What a capsule holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stratus.model.actions import ActionPlan
from stratus.model.base import Json, Noun
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis
from stratus.model.reports import Report
from stratus.transaction.journal import Entry


class Round(Noun):
    """One round of thinking.

    Attributes:
        case: what the reasoner was shown.
        diagnosis: what it said.
        plan: what it wanted to do; None: nothing.
    """

    case: Case
    diagnosis: Diagnosis
    plan: ActionPlan | None = None


class Capsule(Noun):
    """One incident.

    Attributes:
        format: version of this form.
        incident: its id.
        reasoner: who thought.
        app, seed, fault: the embedded cluster it lived on, and the fault it was started from; empty for a real one.
        rounds: evidence and conclusions, in order.
        turns: a model's turns, as recorded; empty when rules thought, or nobody recorded.
        journal: rows of its transactions, their texts redacted; the hashes are those of the journal.
        chain: rows of the journal that were verified when the capsule was made.
        report: as the incident ended; None: it had not ended.
        versions: of what took part.
        hidden: how many values were taken out.
    """

    format: Literal["1"] = "1"
    incident: str
    reasoner: str = "rules"
    app: str = ""
    seed: int = 0
    fault: str = ""
    rounds: tuple[Round, ...] = ()
    turns: tuple[Json, ...] = ()
    journal: tuple[Entry, ...] = ()
    chain: int = 0
    report: Report | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    hidden: int = 0


class Seal(Noun):
    """Who vouches for a capsule.

    Attributes:
        sha256: of its content, as hex.
        key: public Ed25519 key, as hex.
        signature: over the content, as hex.
    """

    algorithm: Literal["ed25519"] = "ed25519"
    sha256: str
    key: str
    signature: str
