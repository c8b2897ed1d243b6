"""Redis and Valkey: their client prints what the real one prints, and their state acts on callers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, Peer
from stratus.sim.apps.stores.redis import RedisState, Valkey
from stratus.sim.apps.stores.redis.tables import commands, memory_value
from stratus.sim.shellcommands.rediscli import split

from .bench import NOW, Bench, recorded

DATA = recorded("redis")
LIMITS = ("client list",)


def server(cls: type[RedisState] = RedisState, *argv: str) -> RedisState:
    state = cls()
    state.boot(Datastore(kind="redis"), Boot(NOW - 100, ("redis-server", "--save", "", *argv)))
    return state


@pytest.fixture
def bench() -> Bench:
    return Bench(server(), 6379)


@pytest.mark.parametrize("session", DATA["sessions"], ids=lambda s: f"{s['name']}-{s['mode']}")
def test_sessions_read_as_those_of_a_real_server(bench: Bench, session: dict[str, Any]) -> None:
    option = " --no-raw" if session["mode"] == "tty" else ""
    outcome = bench.run(f"redis-cli{option}", "\n".join(session["commands"]) + "\n")
    assert outcome.stdout().replace("\r\n", "\n") == session["stdout"]
    assert outcome.stderr() == session["stderr"]


def test_command_lines_read_as_those_of_a_real_client(bench: Bench) -> None:
    for line in DATA["lines"]:
        text = line["line"].replace(":16379", ":6379")
        outcome = bench.run(text)
        if any(limit in text for limit in LIMITS):
            continue
        said = (outcome.stdout(), outcome.stderr(), outcome.exit_code)
        assert said == (line["stdout"], line["stderr"].replace(":16379", ":6379"), line["code"]), text


def test_info_has_all_sections_of_the_real_one(bench: Bench) -> None:
    bench.run("redis-cli set a 1; redis-cli get a; redis-cli get b; redis-cli setex c 50 x")
    text = bench.out("redis-cli info").replace("\r", "")
    for line in (
        "# Server",
        "# Keyspace",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "db0:keys=2,expires=1,avg_ttl=50000",
    ):
        assert line in text.splitlines()
    assert bench.out("redis-cli info memory").startswith("# Memory\r\n")
    assert "# Server" not in bench.out("redis-cli info memory")
    assert "{" not in text


def test_valkey_says_what_it_is() -> None:
    text = Bench(server(Valkey), 6379).out("valkey-cli info server")
    assert "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\n" in text


def test_keys_age_with_the_clock(bench: Bench) -> None:
    bench.run("redis-cli set a 1 EX 10; redis-cli set b 1")
    bench.at += 4
    assert bench.out("redis-cli ttl a") == "6\n"
    bench.at += 6
    assert bench.out("redis-cli get a; redis-cli exists a; redis-cli dbsize") == "\n0\n1\n"
    assert "a" in bench.state.databases[0], "a read forgets nothing"
    bench.run("redis-cli set c 1")
    assert "a" not in bench.state.databases[0]
    assert bench.state.expired == 1


def test_settings_of_the_command_line_count() -> None:
    state = server(RedisState, "--requirepass", "secret", "--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru")
    bench = Bench(state, 6379)
    assert bench.out("redis-cli ping") == "NOAUTH Authentication required.\n\n"
    assert bench.out("redis-cli --no-auth-warning -a secret config get maxmemory") == "maxmemory\n2097152\n"


def caller(operation: str = "GET", password: str = "", user: str = "") -> Caller:
    return Caller(user=user, password=password, operation=operation)


def test_a_password_keeps_callers_out(bench: Bench) -> None:
    state = bench.state
    assert state.trouble(caller(), NOW) is None
    bench.run("redis-cli config set requirepass secret")
    found = state.trouble(caller(), NOW)
    assert found is not None
    assert found.text == "NOAUTH Authentication required."
    assert state.trouble(caller(password="secret"), NOW) is None
    wrong = state.trouble(caller(password="other"), NOW)
    assert wrong is not None
    assert wrong.text.startswith("WRONGPASS")
    bench.run("redis-cli --no-auth-warning -a secret config set requirepass ''")
    assert state.trouble(caller(), NOW) is None


def test_a_full_server_refuses_writes_only(bench: Bench) -> None:
    bench.run("redis-cli config set maxmemory 2mb; redis-cli setrange big 3000000 x")
    assert bench.state.memory(NOW) > 3_000_000
    for operation, refused in (
        ("SET cart", True),
        ("HSET", True),
        ("GET", False),
        ("HGETALL", False),
        ("putItem", True),
    ):
        found = bench.state.trouble(caller(operation), NOW)
        assert (found is not None and found.text.startswith("OOM")) == refused, operation
    bench.run("redis-cli config set maxmemory-policy allkeys-lru")
    assert bench.state.trouble(caller("SET"), NOW) is None
    assert bench.state.evicted == 1
    assert bench.state.emptied == NOW


def test_users_may_do_what_their_rules_say(bench: Bench) -> None:
    bench.run("redis-cli acl setuser app on '>pw' '~*' +@read")
    assert bench.state.trouble(caller("GET", "pw", "app"), NOW) is None
    found = bench.state.trouble(caller("SET", "pw", "app"), NOW)
    assert found is not None
    assert found.text == "NOPERM this user has no permissions to run the 'set' command"
    bench.state.drop_user("app")
    assert bench.state.trouble(caller("GET", "pw", "app"), NOW) is not None


def test_a_sleeping_server_answers_nobody(bench: Bench) -> None:
    bench.state.set("enable-debug-command", "yes")
    outcome = bench.run("redis-cli debug sleep 5; echo after")
    assert (outcome.stdout(), outcome.elapsed) == ("OK\nafter\n", 5.0)
    stalled = bench.state.trouble(caller(), NOW + 4)
    assert stalled is not None
    assert stalled.waits == math.inf
    assert bench.state.trouble(caller(), NOW + 5) is None
    assert bench.out("redis-cli slowlog len") == "1\n"


def test_too_many_clients_are_turned_away(bench: Bench) -> None:
    bench.run("redis-cli config set maxclients 10")
    bench.state.callers = {"10.244.1.7": Peer(6.0), "10.244.2.9": Peer(4.0)}
    assert bench.state.crowd() is None
    assert "addr=10.244.1.7:38005" in bench.out("redis-cli client list")
    bench.state.callers["10.244.1.8"] = Peer(30.0)
    found = bench.state.crowd()
    assert found is not None
    assert (found.text, found.share) == ("ERR max number of clients reached", 0.75)


def test_a_new_process_has_forgotten_what_was_in_memory(bench: Bench) -> None:
    bench.run("redis-cli config set requirepass x; redis-cli -a x set a 1")
    twin = bench.state.clone()
    bench.state.boot(Datastore(kind="redis"), Boot(NOW, ("redis-server",)))
    assert (bench.state.databases[0], bench.state.setting("requirepass"), bench.state.emptied) == ({}, "", NOW)
    twin.boot(Datastore(kind="redis"), Boot(NOW, ("redis-server",), durable=True))
    assert (list(twin.databases[0]), twin.setting("requirepass")) == (["a"], "")


def test_copies_are_independent(bench: Bench) -> None:
    bench.run("redis-cli hset h a 1; redis-cli rpush l 1; redis-cli set s 1")
    twin = bench.state.clone()
    assert twin == bench.state
    assert repr(twin) == repr(bench.state)
    bench.run("redis-cli hset h a 2; redis-cli rpush l 2; redis-cli flushall; redis-cli config set timeout 5")
    assert [e.value for e in twin.databases[0].values()] == [{"a": "1"}, ["1"], "1"]
    assert twin.config != bench.state.config


@pytest.mark.parametrize(
    ("text", "value"),
    [("100mb", 104857600), ("1k", 1000), ("1kb", 1024), ("2G", 2 * 10**9), ("5", 5), ("x", None), ("", None)],
)
def test_memory_values(text: str, value: int | None) -> None:
    assert memory_value(text) == value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('set a "b c"', ["set", "a", "b c"]),
        (r'set a "b\nc\""', ["set", "a", 'b\nc"']),
        (r"set a 'it\'s'", ["set", "a", "it's"]),
        ('set "unclosed', None),
        ('set "a"b', None),
        ("", []),
    ],
)
def test_lines_are_split_as_the_client_does(line: str, words: list[str] | None) -> None:
    assert split(line) == words


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(commands())),
            st.lists(st.sampled_from(["a", "b", "1", "-1", "x y", "*", "", "EX", "10"])),
        ),
        max_size=6,
    )
)
def test_no_command_breaks_the_server(script: list[tuple[str, list[str]]]) -> None:
    bench = Bench(server(), 6379)
    request = {"login": None, "database": 0, "commands": [[name, *words] for name, words in script]}
    answer = bench.state.talk(request, NOW, "127.0.0.1:1")
    assert all(reply[0] in ("status", "error", "int", "bulk", "text", "nil", "list") for reply in answer["replies"])
    assert bench.state.clone() == bench.state
