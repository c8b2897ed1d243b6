"""Error texts are those of the usual clients, and say what went wrong where."""

from __future__ import annotations

import pytest

from stratus.sim.apps.wire import failure, misunderstood, too_late, wait_of
from stratus.sim.network import NoSuchHost, Refused, TimedOut

REFUSED, NAMELESS, SILENT = Refused("10.96.1.2", 80), NoSuchHost("db"), TimedOut("10.96.1.2", 80)


@pytest.mark.parametrize("protocol", ["grpc", "http", "mongodb", "memcached", "redis", "tcp"])
@pytest.mark.parametrize(
    ("connection", "said"),
    [(REFUSED, "connection refused"), (NAMELESS, "no such host"), (SILENT, "timeout")],
)
def test_every_client_says_what_happened(protocol: str, connection: NoSuchHost | Refused | TimedOut, said: str) -> None:
    text = failure(connection, protocol, "db", 80).lower()
    clients = {"redis": {"no such host": "name or service not known", "timeout": "timed out"}}
    assert clients.get(protocol, {}).get(said, said) in text


def test_the_usual_prefixes() -> None:
    assert failure(REFUSED, "grpc", "db", 80).startswith("rpc error: code = Unavailable desc = connection error")
    assert failure(SILENT, "grpc", "db", 80).startswith("rpc error: code = DeadlineExceeded")
    assert failure(REFUSED, "mongodb", "db", 27017).startswith("server selection error")
    assert failure(SILENT, "memcached", "db", 11211) == "memcache: connect timeout to db:11211"
    assert failure(REFUSED, "http", "db", 80).startswith('Get "http://db:80/": dial tcp 10.96.1.2:80')


def test_a_refusal_is_noticed_at_once_and_silence_only_after_the_timeout() -> None:
    assert wait_of(REFUSED, 3.0) < wait_of(NAMELESS, 3.0) < 0.01
    assert wait_of(SILENT, 3.0) == 3.0


def test_answers_that_come_too_late_or_make_no_sense() -> None:
    for protocol in ("grpc", "http", "mongodb"):
        assert "deadline exceeded" in too_late(protocol, "db", 1)
    assert "timeout" in too_late("memcached", "db", 1)
    assert "Unimplemented" in misunderstood("grpc", "geo", "GetProfiles")
    assert "404" in misunderstood("http", "geo", "GetProfiles")
    assert "geo" in misunderstood("tcp", "geo", "x")
