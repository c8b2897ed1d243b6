"""The register of incidents: enough on disk to find one again and go on after the process was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from stratus.errors import UnknownNameError, UsageError
from stratus.model.base import Noun
from stratus.settings import Settings


class EmbeddedSource(Noun):
    """The embedded cluster of an incident, rebuilt from its log of inputs."""

    app: str
    seed: int = 0
    fault: str = ""
    state_file: str = ""


class IncidentEntry(Noun):
    """One incident in the register.

    Attributes:
        status: `open` until its report is written.
        embedded: set when the incident lives on an embedded cluster.
    """

    id: str
    status: Literal["open", "ended"] = "open"
    settings: Settings
    embedded: EmbeddedSource | None = None
    kind: Literal["respond", "demo"] = "respond"


class Incidents:
    """Entries as JSON files below `state_dir/incidents`, each written whole and then renamed into place."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "incidents"

    def save(self, entry: IncidentEntry) -> None:
        """Write an entry durably.

        Raises:
            UsageError: the state directory cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{entry.id}.json"
            draft = path.with_suffix(".draft")
            with draft.open("w", encoding="utf-8") as file:
                file.write(entry.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise self._unwritable(error) from error

    def check(self) -> None:
        """Make sure that entries could be written.

        Raises:
            UsageError: the state directory cannot be written.
        """
        probe = self.folder / ".writable"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_text("", encoding="utf-8")
            probe.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the state directory {self.folder.parent} cannot be written ({error.strerror}): "
            "give --state-dir a writable folder"
        )

    def load(self, incident: str) -> IncidentEntry:
        """Read one entry.

        Raises:
            UnknownNameError: there is none of that id.
            UsageError: the file is damaged.
        """
        path = self.folder / f"{incident}.json"
        if "/" in incident or not path.is_file():
            known = ", ".join(e.id for e in self.all()) or "none"
            raise UnknownNameError(f"no incident {incident!r} in {self.folder.parent}; known: {known}")
        try:
            return IncidentEntry.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, json.JSONDecodeError) as error:
            raise UsageError(f"{path} is damaged and cannot be read; move it away to go on") from error

    def all(self) -> Iterator[IncidentEntry]:
        """Yield all readable entries by id."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield IncidentEntry.model_validate_json(path.read_text(encoding="utf-8"))
            except ValidationError:
                continue

    def unfinished(self, kind: str = "") -> list[IncidentEntry]:
        """Return the open entries, of one kind or all."""
        return [e for e in self.all() if e.status == "open" and kind in ("", e.kind)]
