"""Runbooks and tickets cut into passages that can be embedded, found and cited."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal

from stratus.knowledge.templates import PLACEHOLDER
from stratus.model.base import Noun
from stratus.model.knowledge import Runbook, Ticket

Kind = Literal["runbook", "ticket", "log"]
KINDS: tuple[Kind, ...] = ("runbook", "ticket", "log")

MAX_WORDS = 150
"""Longer texts are cut between paragraphs: the model reads 256 tokens, about 150 words of technical English."""

_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$")


class Passage(Noun):
    """A piece of stored knowledge.

    Attributes:
        kind: what it was cut from.
        id: id of the runbook or ticket.
        title: its title.
        section: heading or role of the piece within it.
        text: the piece itself, shown when cited.
        path: file it stands in.
    """

    kind: Kind
    id: str
    title: str
    section: str
    text: str
    path: str = ""

    @property
    def indexed(self) -> str:
        """What is embedded and searched: the piece with its title, so that it stands for itself.

        A log template is searched as it is: it should meet log lines like it, not stories about it.
        """
        return self.text if self.kind == "log" else f"{self.title}\n{self.text}"

    @property
    def content(self) -> str:
        """Hash of what is embedded, as hex; the same text has the same vector."""
        return hashlib.sha256(self.indexed.encode()).hexdigest()

    @property
    def key(self) -> str:
        """Identity of the piece in the index, as hex; changes with anything that a citation shows."""
        text = "\0".join((self.kind, self.id, self.title, self.section, self.text, self.path))
        return hashlib.sha256(text.encode()).hexdigest()


def of_runbook(book: Runbook) -> tuple[Passage, ...]:
    """Cut a runbook: its signs first, then its actions, then its text section by section."""
    faults = ", ".join(fault.replace("_", " ") for fault in book.faults)
    signs = [f"{book.title} ({faults}).", *(f"{symptom}." for symptom in book.symptoms)]
    if book.tags:
        signs.append(f"Keywords: {', '.join(book.tags)}.")
    pieces = [("signs", " ".join(signs))]
    if book.actions:
        texts = (PLACEHOLDER.sub(lambda match: match[1].replace("_", " "), action.text) for action in book.actions)
        pieces.append(("actions", " ".join(f"{text}." for text in texts)))
    pieces += _sections(book.body)
    return tuple(
        Passage(kind="runbook", id=book.id, title=book.title, section=section, text=text, path=book.path)
        for section, text in pieces
    )


def of_ticket(ticket: Ticket, path: str = "") -> tuple[Passage, ...]:
    """Cut a ticket: its story as one passage, and each log template of the incident as one."""
    story = [f"{ticket.title}."]
    if ticket.symptoms:
        story.append(f"Symptoms: {'; '.join(ticket.symptoms)}.")
    if ticket.fault != "unknown":
        story.append(f"Cause: {ticket.fault.replace('_', ' ')}{f' of {ticket.object}' if ticket.object else ''}.")
    if ticket.services:
        story.append(f"Services: {', '.join(ticket.services)}.")
    if ticket.resolution:
        story.append(f"Resolution: {ticket.resolution}")
    if ticket.commands:
        story.append(f"Commands: {'; '.join(ticket.commands)}.")
    if ticket.tried:
        story.append(f"Did not help: {'; '.join(ticket.tried)}.")
    if ticket.tags:
        story.append(f"Keywords: {', '.join(ticket.tags)}.")
    found = [
        Passage(kind="ticket", id=ticket.id, title=ticket.title, section=f"story {n}", text=text, path=path)
        for n, text in enumerate(_cut(story, " "), start=1)
    ]
    for n, template in enumerate(dict.fromkeys(ticket.log_templates), start=1):
        found.append(
            Passage(kind="log", id=ticket.id, title=ticket.title, section=f"log {n}", text=template, path=path)
        )
    return tuple(found)


def _sections(markdown: str) -> list[tuple[str, str]]:
    """Split Markdown at its headings, and long sections between paragraphs."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in markdown.splitlines():
        heading = _HEADING.match(line)
        if heading:
            sections.append((heading[1], []))
        else:
            sections[-1][1].append(line)
    found: list[tuple[str, str]] = []
    for heading_text, lines in sections:
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()]
        cuts = _cut(paragraphs, "\n\n")
        for n, text in enumerate(cuts, start=1):
            found.append((heading_text if len(cuts) == 1 else f"{heading_text} ({n})", text))
    return found


def _cut(parts: Iterable[str], joint: str) -> list[str]:
    """Join parts as long as the whole stays short enough to be read by the model."""
    pieces: list[str] = []
    for part in parts:
        if pieces and len(pieces[-1].split()) + len(part.split()) <= MAX_WORDS:
            pieces[-1] += joint + part
        else:
            pieces.append(part)
    return pieces
