"""Past incidents as files: readable Markdown with front matter, one a ticket."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from stratus.errors import KnowledgeError
from stratus.kit.clock import iso
from stratus.knowledge import frontmatter
from stratus.model.knowledge import Ticket
from stratus.settings import Settings

LOG = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUFFIXES = (".md", ".json", ".yaml", ".yml")


def tickets_folder(settings: Settings) -> Path:
    """Return where tickets are kept."""
    return settings.state_dir / "tickets"


def file_name(id: str) -> str:
    """Return the file name of a ticket; an id that is no plain name gets a hash, so that no two ids share a file."""
    if _PLAIN.fullmatch(id):
        return f"{id}.md"
    slug = re.sub(r"[^A-Za-z0-9]+", "-", id).strip("-")[:60] or "ticket"
    return f"{slug}-{hashlib.sha256(id.encode()).hexdigest()[:12]}.md"


def write_ticket(folder: Path, ticket: Ticket) -> Path:
    """Write a ticket in one step (a reader sees the old file or the new); the same id replaces.

    Raises:
        KnowledgeError: when it has no id or the file cannot be written.
    """
    if not ticket.id.strip():
        raise KnowledgeError("a ticket needs an id")
    path = folder / file_name(ticket.id)
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(render(ticket), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise KnowledgeError(
            f"the ticket {ticket.id} cannot be written to {path}: {error}; "
            "make the folder writable or set another `state_dir`"
        ) from error
    return path


def render(ticket: Ticket) -> str:
    """Write a ticket as Markdown: all of it in the front matter, and again below for people."""
    data = {name: value for name, value in ticket.model_dump(mode="json").items() if value not in ("", [], 0.0)}
    lines = [f"# {ticket.title}", ""]
    if ticket.opened_at:
        lines += [f"Opened {iso(ticket.opened_at)}.", ""]
    for heading, entries in (
        ("Services", ticket.services),
        ("Symptoms", ticket.symptoms),
        ("Cause", (f"{ticket.fault.replace('_', ' ')} {ticket.object}".strip(),)),
        ("Resolution", (ticket.resolution,) if ticket.resolution else ()),
        ("Commands", tuple(f"`{command}`" for command in ticket.commands)),
        ("What did not help", ticket.tried),
        ("Logs", tuple(f"`{template}`" for template in ticket.log_templates)),
    ):
        if entries:
            lines += [f"## {heading}", "", *(f"- {entry}" for entry in entries), ""]
    return frontmatter.dump(data, "\n".join(lines))


def read_ticket(path: Path) -> Ticket:
    """Read a ticket from Markdown with front matter, JSON or YAML.

    In Markdown written by people, the text below the front matter stands for a missing `resolution`.

    Raises:
        KnowledgeError: naming the file and what is wrong with it.
    """
    where = str(path)
    if path.suffix == ".md":
        data, body = frontmatter.read(path)
        if "resolution" not in data and body.strip() and not body.startswith("# "):
            data["resolution"] = " ".join(body.split())
        return frontmatter.validate(Ticket, data, where)
    if path.suffix not in _SUFFIXES:
        raise KnowledgeError(f"{where}: a ticket is a file ending in {', '.join(_SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{where}: cannot be read: {error}") from error
    return frontmatter.validate(Ticket, _document(text, path), where)


def _document(text: str, path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise KnowledgeError(
            f"{path}: is not valid {path.suffix[1:].upper()}: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(data, dict):
        raise KnowledgeError(f"{path}: a ticket must be a mapping of fields, not {type(data).__name__}")
    return {str(key): value for key, value in data.items()}


def ticket_files(folder: Path) -> list[Path]:
    """Return the files that hold tickets, in a stable order."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir()
        if path.suffix in _SUFFIXES and not path.name.startswith(".") and path.stem.lower() != "readme"
    )  # fmt: skip


def read_tickets(folder: Path) -> dict[Path, Ticket]:
    """Read all tickets of a folder; one that cannot be read is left out with a warning, the others are not lost."""
    found: dict[Path, Ticket] = {}
    for path in ticket_files(folder):
        try:
            found[path] = read_ticket(path)
        except KnowledgeError as error:
            LOG.warning("left out of the knowledge: %s", error)
    return found
