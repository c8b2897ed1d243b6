"""A PostgreSQL of a test's own: real, on a socket in a temporary folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path:
    """Return the folder of the server's programs; skip when there is none (fail where CI promises one)."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    for place in places:
        if (place / "initdb").exists():
            return place
    if os.environ.get("CI"):
        pytest.fail("PostgreSQL is not installed, though CI promises it: apt-get install postgresql")
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


class Server:
    """A running server; `url` connects to it."""

    def __init__(self, folder: Path, binaries: Path, user: str) -> None:
        self.folder, self.binaries, self.user = folder, binaries, user
        self.url = f"postgresql:///postgres?host={folder}&user={user}"

    def run(self, *argv: str) -> None:
        """Run one of the server's programs, as a user that it accepts; it does not run as root."""
        root = os.geteuid() == 0
        account = pwd.getpwnam(self.user) if root else None
        subprocess.run(
            [str(self.binaries / argv[0]), *argv[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "-t", "60", "start")

    def stop(self) -> None:
        """Stop it at once, as a power cut does: what it called written has to be there afterwards."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")


@contextmanager
def server() -> Iterator[Server]:
    """Make, start and remove a server."""
    binaries = programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    made = Server(folder, binaries, user)
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        made.run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", user, "--no-locale", "-E", "UTF8")
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
