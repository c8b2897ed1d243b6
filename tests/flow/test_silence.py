"""A configured source that does not answer is unknown, and unknown is never healthy."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus import EmbeddedCluster, Settings, respond
from stratus.errors import TelemetryUnreachable
from stratus.telemetry.base import Telemetry


class Dead:
    """Answers nothing, whatever it is asked."""

    def __getattr__(self, name: str) -> object:
        def refuse(*_: object, **__: object) -> object:
            raise TelemetryUnreachable("http://127.0.0.1:9 does not answer: check the URL")

        return refuse


@pytest.mark.parametrize("source", ["metrics", "alerts"])
def test_a_dead_source_is_not_a_healthy_system(source: str, tmp_path: Path) -> None:
    with EmbeddedCluster(app="hotel-reservation") as cluster:
        telemetry = Telemetry(**{source: Dead()})
        report = respond(cluster=cluster, telemetry=telemetry, settings=Settings(state_dir=tmp_path, mode="auto"))
    assert report.state == "needs_human"
    assert report.exit_code == 4
    assert "does not answer" in report.timeline[-1].text


def test_a_source_that_was_never_configured_is_said_and_does_not_alarm(tmp_path: Path) -> None:
    with EmbeddedCluster(app="hotel-reservation") as cluster:
        report = respond(cluster=cluster, telemetry=Telemetry(), settings=Settings(state_dir=tmp_path, mode="auto"))
    assert report.state == "healthy"
    assert any("No metrics source" in note for note in report.notes)
