"""A small cluster with CoreDNS, kube-proxy, a web application and a client, up for twenty seconds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.system import furnish_system

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def net(make_lab: Any) -> Any:
    from networld import APP, Net

    lab = make_lab()
    furnish_system(lab.control)
    lab.apply(APP)
    lab.advance(20)
    return Net(lab)
