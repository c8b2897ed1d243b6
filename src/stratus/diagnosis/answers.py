"""The typed answers a model is asked for: flat, enumerated, made anew for each question."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import yaml
from pydantic import BaseModel, Field, create_model, model_validator

from stratus.model.diagnosis import FaultClass

NEW, NONE, WRITE = "NEW", "NONE", "WRITE"

FAULTS: tuple[str, ...] = get_args(FaultClass)


@cache
def fault_kinds() -> dict[str, tuple[str, ...]]:
    """Return the kinds of object that each class of cause can blame; a class without entry can blame any."""
    raw = yaml.safe_load(files("stratus.diagnosis.prompts").joinpath("fault_kinds.yaml").read_text(encoding="utf-8"))
    return {fault: tuple(kinds) for fault, kinds in raw.items()}


class DiagnosisAnswer(BaseModel):
    """Which hypothesis; the ids are narrowed to those at hand by `diagnosis_answer`."""

    reason: str = Field(default="", max_length=400)
    best: str
    rejected: list[str] = []
    confidence: Literal["low", "medium", "high"] = "medium"


class OpenDiagnosisAnswer(DiagnosisAnswer):
    """The same where a cause that nobody listed may be named."""

    new_fault: str | None = None
    new_object: str | None = None

    @model_validator(mode="after")
    def _new_is_whole(self) -> OpenDiagnosisAnswer:
        if self.best != NEW:
            return self
        if not (self.new_fault and self.new_object):
            raise ValueError("best is NEW, so new_fault and new_object must be given")
        kinds, kind = fault_kinds().get(self.new_fault, ()), self.new_object.split("/")[1]
        if kinds and kind not in kinds:
            raise ValueError(f"{self.new_fault} can only blame a {' or '.join(kinds)}, and {self.new_object} is none")
        return self


class PlanAnswer(BaseModel):
    """Which action; narrowed by `plan_answer`."""

    reason: str = Field(default="", max_length=300)
    choice: str
    steps: list[str] = Field(default=[], max_length=4)

    @model_validator(mode="after")
    def _written_has_steps(self) -> PlanAnswer:
        if self.choice == WRITE and not any(step.strip() for step in self.steps):
            raise ValueError("choice is WRITE, so steps must be given")
        return self


class CommandAnswer(BaseModel):
    """One command line."""

    command: str = Field(max_length=1000)


def diagnosis_answer(
    open_ids: tuple[str, ...], objects: tuple[str, ...], *, look: bool = False
) -> type[DiagnosisAnswer]:
    """Return the schema for a diagnosis among these hypotheses, with NEW only when there are objects to name.

    `look` adds the wish to see more first, as commands that read.
    """
    best = (*open_ids, *((NEW,) if objects else ()), NONE)
    ids = _literal(open_ids or (NONE,))
    fields: dict[str, Any] = {
        "best": (_literal(best), ...),
        "rejected": (list[ids], []),  # type: ignore[valid-type]
    }
    if look:
        fields["look"] = (list[str], Field(default=[], max_length=6))
    if not objects:
        return create_model("DiagnosisAnswer", __base__=DiagnosisAnswer, **fields)
    fields["new_fault"] = (_literal(FAULTS) | None, None)
    fields["new_object"] = (_literal(objects) | None, None)
    return create_model("DiagnosisAnswer", __base__=OpenDiagnosisAnswer, **fields)


def plan_answer(actions: tuple[str, ...]) -> type[PlanAnswer]:
    """Return the schema for a choice among these actions."""
    return create_model("PlanAnswer", __base__=PlanAnswer, choice=(_literal((*actions, WRITE, NONE)), ...))


def _literal(values: tuple[str, ...]) -> Any:
    if TYPE_CHECKING:
        return cast(Any, str)
    return Literal[values]
