"""The whole folder: how many cases agree at least, file by file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.runner import replay

LONG = bool(os.environ.get("STRATUS_LONG"))
#: Cases that agree today of the files that no other test replays; a change that loses one shows.
LEAST = {"discovery": 113, "concurrency": 49, "json_only_server_kubectl132": 32}
#: One of most groups of commands, for the run that everybody makes.
SESSIONS = ["1", "33", "87", "130", "195", "346", "369", "422"]
READS = ["101", "148", "201", "209", "257", "302", "321", "357"]


@pytest.mark.parametrize("name", sorted(LEAST))
def test_at_least_so_many_agree(name: str, recordings: Golden) -> None:
    (result,) = replay(recordings, only=[name]).files
    differ = [f"{o.case}: {o.reason[:200]}" for o in result.counted if not o.passed]
    assert result.score.passed >= LEAST[name], "\n".join(differ)
    assert not result.left_out


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_of_each_group(session: str, recordings: Golden, kubectl: Path) -> None:
    (result,) = replay(recordings, only=["kubectl"], case=session).files
    assert result.score.total in (0, 1)
    assert [(o.case, o.reason) for o in result.counted if not o.measures["objects"]] == []


@pytest.mark.parametrize("read", READS)
def test_a_read_of_each_group(read: str, recordings: Golden, kubectl: Path) -> None:
    (result,) = replay(recordings, only=["reads"], case=read).files
    assert [(o.case, o.reason) for o in result.counted if not o.passed] == []


@pytest.mark.skipif(not LONG, reason="several minutes: set STRATUS_LONG=1")
@pytest.mark.parametrize("name", ["kubectl", "reads", "json_only_server"])
def test_everything_that_the_real_kubectl_does(name: str, recordings: Golden, kubectl: Path) -> None:
    (result,) = replay(recordings, only=[name]).files
    assert result.met, "\n".join(f"{o.case}: {o.reason[:200]}" for o in result.counted if not o.passed)
