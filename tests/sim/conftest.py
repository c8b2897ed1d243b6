"""A cluster on a virtual clock for the tests of what runs behind the API, with a few kubectl verbs in process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.conformance.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    found = Lab()
    yield found
    found.close()


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    made: list[Lab] = []

    def make(**options: Any) -> Lab:
        made.append(Lab(**options))
        return made[-1]

    yield make
    for found in made:
        found.close()


@pytest.fixture(scope="session")
def golden() -> Path:
    folder = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).parents[3] / "shared" / "data" / "golden")
    if not folder.is_dir():
        pytest.skip(f"the recordings of a real cluster are not here ({folder}); set STRATUS_GOLDEN")
    return folder
