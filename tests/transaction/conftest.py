"""Makes the fake cluster and the builders beside this file importable, and builds engines on them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import postgres_server
from txn_fake import FakeCluster

from stratus.kit.clock import VirtualClock
from stratus.transaction.sqlite import SqliteJournal


@pytest.fixture
def clock() -> VirtualClock:
    """Return a virtual clock that starts in 2026."""
    return VirtualClock(1_767_600_000.0)


@pytest.fixture
def cluster(clock: VirtualClock) -> FakeCluster:
    """Return an empty fake cluster on the clock."""
    return FakeCluster(clock)


@pytest.fixture
def journal(tmp_path: Path):
    """Return an SQLite journal, closed afterwards."""
    with SqliteJournal(tmp_path / "journal.db") as found:
        yield found


@pytest.fixture(scope="session")
def postgres():
    """Run one PostgreSQL for all tests that want one."""
    with postgres_server.server() as found:
        yield found


@pytest.fixture
def database(postgres):
    """Return the address of an empty database of the test's own."""
    import psycopg

    name = f"t{os.urandom(4).hex()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url.replace("///postgres?", f"///{name}?")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
