"""Runbooks and tickets as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stratus.model.actions import ContainerChange
from stratus.model.base import Noun
from stratus.model.diagnosis import FaultClass


class RunbookAction(Noun):
    """One action of a runbook.

    Attributes:
        text: imperative sentence with `{placeholders}`.
        command: kubectl command template with `{placeholders}` filled from a hypothesis' object and facts
            (`{namespace}`, `{kind}`, `{name}`, and the fact names); empty when a person must act.
        needs: names of facts that must be known for the command to be usable.
        undo: in words, how it is taken back.
        exec: instead of `command`: a change inside a container, with its compensation and the checks of both; its
            words and input are templates, too.
    """

    text: str
    command: str = ""
    needs: tuple[str, ...] = ()
    undo: str = ""
    exec: ContainerChange | None = None


class Runbook(Noun):
    """A Markdown runbook: its front matter and its text."""

    id: str
    title: str
    faults: tuple[FaultClass, ...]
    """Classes of cause it treats."""
    symptoms: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    actions: tuple[RunbookAction, ...] = ()
    risk: Literal["low", "medium", "high"] = "low"
    tags: tuple[str, ...] = ()
    body: str = ""
    path: str = ""


class Ticket(Noun):
    """A past incident as it is remembered."""

    id: str
    title: str
    opened_at: float = 0.0
    services: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()
    fault: FaultClass = "unknown"
    object: str = ""
    resolution: str = ""
    commands: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    """What did not help, in words."""
    log_templates: tuple[str, ...] = ()
    tags: tuple[str, ...] = Field(default=())
