"""Shared by the tests of the cluster room: a small API server of their own, over HTTP and HTTPS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_kube_api import FakeKubeApi, certificate


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of recordings of a real Kubernetes, or skip."""
    folder = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).parents[3] / "shared" / "data" / "golden")
    if not folder.is_dir():
        pytest.skip(f"no recordings of a real Kubernetes at {folder} (set STRATUS_GOLDEN)")
    return folder


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A throw-away certificate for localhost and its key."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def api() -> Iterator[FakeKubeApi]:
    """A small API server over plain HTTP."""
    with FakeKubeApi() as server:
        yield server


@pytest.fixture
def secure_api(tls: tuple[Path, Path]) -> Iterator[FakeKubeApi]:
    """The same over HTTPS, asking for a bearer token."""
    with FakeKubeApi(tls=tls, token="s3cret") as server:
        yield server
