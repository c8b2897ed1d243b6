"""A durable log of everything that came into an embedded cluster from outside, written before it takes effect."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stratus.errors import UsageError

#: Grows when the same inputs would no longer give the same cluster, or are written differently.
FORMAT = 1

Input = tuple[str, dict[str, Any]]


class InputLog:
    """Inputs in order; the first row says how the cluster was made.

    Each `append` is on disk (SQLite, synchronous=FULL) when it returns. The file belongs to one process at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # It holds request bodies, Secrets among them: nobody else's business.
            path.touch(mode=0o600)
        except OSError as error:
            raise UsageError(f"the state file {path} cannot be used ({error.strerror}); name another one") from None
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
            try:
                # Two processes that each go on from the same inputs would contradict each other.
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("CREATE TABLE IF NOT EXISTS inputs (n INTEGER PRIMARY KEY, kind TEXT, data TEXT)")
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("COMMIT")
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            hint = "another process has it open" if "locked" in str(error) else str(error)
            raise UsageError(f"the state file {path} cannot be used ({hint}); name another one, or remove it") from None

    @classmethod
    def open(cls, path: Path, made: dict[str, Any]) -> InputLog:
        """Open a log; a new one notes how the cluster is made, an old one must have been made the same way.

        Raises:
            UsageError: it is not such a log, or of a cluster made otherwise.
        """
        log = cls(path)
        wanted = {"format": FORMAT, **made}
        try:
            first = next(log.inputs(), None)
            if first is None:
                log.append("made", wanted)
                return log
            if first[0] != "made":
                raise UsageError(f"the state file {path} does not begin as it should; remove it to start afresh")
            different = sorted(k for k in {*first[1], *wanted} if first[1].get(k) != wanted.get(k))
            if different:
                shown = ", ".join(f"{k}: {first[1].get(k)!r}, asked for {wanted.get(k)!r}" for k in different)
                raise UsageError(
                    f"the state file {path} belongs to a cluster made differently ({shown}); "
                    "open it as it was made, or remove it to start afresh"
                )
        except BaseException:
            log.close()
            raise
        return log

    @classmethod
    def made(cls, path: Path) -> dict[str, Any]:
        """Return how the cluster of an existing state file was made.

        Raises:
            UsageError: there is no such file, or it is none.
        """
        if not path.is_file():
            raise UsageError(f"there is no state file {path}; `stratus cluster up --state {path}` makes one")
        log = cls(path)
        try:
            first = next(log.inputs(), None)
        finally:
            log.close()
        if first is None or first[0] != "made":
            raise UsageError(f"the state file {path} does not begin as it should; remove it to start afresh")
        return first[1]

    def append(self, kind: str, data: dict[str, Any]) -> None:
        """Write one input down, durably.

        Raises:
            UsageError: the disk does not take it; the input must then not take effect.
        """
        try:
            self._db.execute(
                "INSERT INTO inputs (kind, data) VALUES (?, ?)",
                (kind, json.dumps(data, separators=(",", ":"), ensure_ascii=False)),
            )
        except sqlite3.Error as error:
            raise UsageError(f"the state file {self.path} cannot be written ({error}); nothing was changed") from None

    def inputs(self) -> Iterator[Input]:
        """Yield all inputs in order, the first included.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            for kind, data in self._db.execute("SELECT kind, data FROM inputs ORDER BY n"):
                yield kind, json.loads(data)
        except (sqlite3.Error, ValueError) as error:
            raise UsageError(f"the state file {self.path} is damaged ({error}); remove it to start afresh") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()
