"""A folder of recordings: which files it has, and their records."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from stratus.errors import UsageError

Json = dict[str, Any]


class Golden:
    """Reads recordings; a file may be there gzipped (`x.jsonl.gz`) or plain (`x.jsonl`), under either name.

    Args:
        folder: holds files and folders named as in the README of the recordings.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"no folder of recordings at {folder}: name one with --golden")
        self.folder = folder

    def path(self, name: str) -> Path | None:
        """Return where a file (or folder) of this name is, gzipped or not; None when it is missing."""
        stem = name.removesuffix(".gz")
        for candidate in (name, stem, f"{stem}.gz"):
            found = self.folder / candidate
            if found.exists():
                return found
        return None

    def has(self, name: str) -> bool:
        """Tell whether the folder has a file."""
        return self.path(name) is not None

    def text(self, name: str) -> str:
        """Return the text of a file, unpacked.

        Raises:
            UsageError: it is missing or cannot be read.
        """
        found = self.path(name)
        if found is None:
            raise UsageError(f"{self.folder} has no {name}")
        try:
            data = found.read_bytes()
            return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as problem:
            raise UsageError(f"{found} cannot be read: {problem}") from problem

    def records(self, name: str) -> list[Json]:
        """Return the records of a file of JSON lines.

        Raises:
            UsageError: a line is not a JSON object; the message names it.
        """
        found = []
        for number, line in enumerate(self.text(name).splitlines(), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as problem:
                raise UsageError(f"{self.folder / name}, line {number}: not JSON ({problem})") from problem
            if not isinstance(record, dict):
                raise UsageError(f"{self.folder / name}, line {number}: a record is a JSON object")
            found.append(record)
        return found

    def document(self, name: str) -> Any:
        """Return a file that is one JSON document.

        Raises:
            UsageError: it is missing or not JSON.
        """
        try:
            return json.loads(self.text(name))
        except ValueError as problem:
            raise UsageError(f"{self.folder / name}: not JSON ({problem})") from problem

    @cached_property
    def custom_resources(self) -> list[Json]:
        """Return the custom resource definitions that existed throughout the recordings."""
        if not self.has("defaulting.jsonl"):
            return []
        return [
            record["request"]
            for record in self.records("defaulting.jsonl")
            if record.get("kind") == "CustomResourceDefinition" and "request" in record
        ]
