"""Memcached: it says what the real one says, forgets when told, and counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Peer
from stratus.sim.apps.stores.memcached import Memcached

from .bench import NOW, Bench, recorded


def server(*argv: str) -> Memcached:
    state = Memcached()
    state.boot(Datastore(kind="memcached"), Boot(NOW - 100, ("memcached", *argv)))
    return state


def say(state: Memcached, text: str, at: float = NOW) -> str:
    return state.talk({"text": text}, at, "127.0.0.1:1")


@pytest.mark.parametrize("session", recorded("memcached")["sessions"], ids=lambda s: s["sent"][:12].strip())
def test_it_answers_as_a_real_server(session: dict[str, Any]) -> None:
    assert say(server(), session["sent"]) == session["said"]


def test_figures_are_those_of_the_server() -> None:
    state = server("-m", "128", "-c", "50")
    state.work, state.found = 1000.0, 900.0
    state.callers = {"10.244.1.5": Peer(4.0, hit=0.9)}
    text = say(state, "set a 0 0 1\r\nx\r\nget a\r\nget b\r\nstats\r\n")
    lines = text.split("\r\n")
    wanted = {
        "uptime": 100, "cmd_get": 1002, "get_hits": 901, "get_misses": 101, "limit_maxbytes": 134217728,
        "max_connections": 50, "curr_connections": 6,
    }  # fmt: skip
    assert [n for n, v in wanted.items() if f"STAT {n} {v}" not in lines] == []
    assert "{" not in text
    assert "STAT maxconns 50\r\n" in say(state, "stats settings\r\n")
    assert say(state, "stats reset\r\n") == "RESET\r\n"
    assert "STAT cmd_get 0\r\n" in say(state, "stats\r\n")


def test_items_age_and_are_forgotten() -> None:
    state = server()
    say(state, "set a 0 10 1\r\nx\r\nset b 0 0 1\r\ny\r\n")
    assert "VALUE a" in say(state, "get a\r\n", NOW + 9)
    assert say(state, "get a\r\n", NOW + 10) == "END\r\n"
    assert say(state, "flush_all 60\r\n") == "OK\r\n"
    assert "VALUE b" in say(state, "get b\r\n", NOW + 59)
    assert say(state, "get b\r\n", NOW + 60) == "END\r\n"
    assert state.emptied == NOW + 60


def test_a_full_server_makes_room() -> None:
    state = server("-m", "1")
    for n in range(3):
        say(state, f"set k{n} 0 0 500000\r\n{'x' * 500000}\r\n")
    assert list(state.items) == ["k1", "k2"]
    assert "STAT evictions 1\r\n" in say(state, "stats\r\n")
    assert "too large" in say(state, f"set big 0 0 1100000\r\n{'x' * 1100000}\r\n")


def test_more_connections_than_it_takes_wait() -> None:
    state = server("-c", "10")
    state.callers = {"a": Peer(5.0), "b": Peer(5.0)}
    assert state.crowd() is None
    state.callers["c"] = Peer(10.0)
    found = state.crowd()
    assert found is not None
    assert (found.text, found.share) == ("", 0.5)


def test_people_reach_it_with_nc_and_telnet() -> None:
    bench = Bench(server(), 11211)
    assert bench.out("echo version | nc localhost 11211") == "VERSION 1.6.18\r\n"
    assert "STAT curr_items 0\r\n" in bench.out("printf 'stats\\r\\nquit\\r\\n' | nc -w 1 server 11211")
    assert "OK\r\n" in bench.out("(echo flush_all; sleep 1) | telnet localhost 11211")
    assert bench.state.emptied == NOW
    assert bench.run("nc -z localhost 11211").exit_code == 0


def test_copies_are_independent() -> None:
    state = server()
    say(state, "set a 0 0 1\r\nx\r\n")
    twin = state.clone()
    say(state, "append a 0 0 1\r\ny\r\ndelete b\r\n")
    assert (twin.items["a"].value, state.items["a"].value) == ("x", "xy")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["get", "set", "a", "b", "0", "1", "x\r\n", "\r\n", "delete", "incr", "stats", "noreply", "-1", "flush_all"]
        ),
        max_size=12,
    )
)
def test_nothing_that_is_sent_breaks_it(words: list[str]) -> None:
    state = server()
    assert isinstance(say(state, " ".join(words)), str)
    assert state.clone() == state
