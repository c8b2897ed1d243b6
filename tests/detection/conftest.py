"""Make the builders of the diagnosis tests importable: both rooms look at the same kind of world."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from labs import Lab
from labs import lab as open_lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An embedded cluster with a workload of nobody's application, well for ten minutes."""
    with open_lab() as one:
        yield one
