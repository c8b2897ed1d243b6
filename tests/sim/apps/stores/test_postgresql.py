"""PostgreSQL: psql prints what the real one prints, and what the server holds acts on those who use it."""

from __future__ import annotations

import math
import shlex
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.apps.schema import Account, Datastore, Table
from stratus.sim.apps.stores.base import Boot, Caller, Peer, Trouble
from stratus.sim.apps.stores.postgres import PostgresState
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.tokens import split
from stratus.sim.shellcommands.psqlscript import pieces

from .bench import NOW, Bench, recorded

DATA = recorded("postgresql")
ROOT = Account(name="root", password="otel", roles=("superuser",))
PRODUCTS = Table(
    columns={"id": "text", "name": "text", "price": "bigint"},
    rows=(("A", "Lamp", 3), ("B", "Chair", 12), ("C", "Table", 34)),
)
SHOP = Datastore(
    kind="postgresql",
    auth=True,
    names=("shop",),
    accounts=(
        ROOT,
        Account(name="app", password="pw", roles=("readWrite@shop",)),
        Account(name="watcher", password="w", roles=("read@shop.catalog.products", "pg_monitor")),
    ),
    tables={"shop.catalog.products": PRODUCTS, "shop.sales.orders": Table(columns={"id": "bigint", "product": "text"})},
)


def started(datastore: Datastore, *argv: str) -> Bench:
    state = PostgresState.fresh(datastore)
    state.boot(datastore, Boot(NOW - 1000, ("postgres", *argv), durable=True))
    bench = Bench(state, 5432)
    bench.env = {"PGUSER": "root", "PGDATABASE": "shop"}
    return bench


@pytest.fixture
def shop() -> Bench:
    return started(SHOP)


def sql(bench: Bench, text: str, user: str = "root") -> str:
    return bench.out(f"psql -At -U {user} -c {shlex.quote(text)}")


def caller(
    operation: str = "select", *, user: str = "app", password: str = "pw", tables: tuple[str, ...] = ()
) -> Caller:
    return Caller(user, password, "shop", "readWrite", operation, True, tables)


def trouble(bench: Bench, operation: str = "select", **more: Any) -> Trouble | None:
    found: Trouble | None = bench.state.trouble(caller(operation, **more), bench.at)
    return found


# what psql prints


def clean(text: str) -> str:
    for old, new in (
        ("/usr/lib/postgresql/15/bin/psql", "psql"), ('"/tmp/pgd"', '"/var/run/postgresql"'),
        ("/tmp/pgd/", "/var/run/postgresql/"), ("15432", "5432"),
    ):  # fmt: skip
        text = text.replace(old, new)
    return text


def as_recorded() -> Bench:
    bench = started(Datastore(kind="postgresql", version="15.18", auth=True, names=("shop",), accounts=(ROOT,)))
    assert bench.run("psql -q -v ON_ERROR_STOP=1", DATA["base"]).exit_code == 0
    return bench


@pytest.mark.parametrize("session", DATA["sessions"], ids=lambda s: s["name"])
def test_sessions_read_as_those_of_a_real_server(session: dict[str, Any]) -> None:
    text = as_recorded().out("psql", "\n".join(session["commands"]) + "\n")
    assert text == clean(session["output"])


def test_command_lines_read_as_those_of_a_real_client() -> None:
    bench = as_recorded()
    bench.peer = "10.0.0.9:1"
    for line in DATA["lines"]:
        bench.env = {"PGUSER": "root", "PGDATABASE": "shop", **line["env"]}
        outcome = bench.run("psql " + " ".join(shlex.quote(a) for a in line["args"]), line["stdin"])
        said = (outcome.stdout(), outcome.stderr(), outcome.exit_code)
        assert said == (clean(line["stdout"]), clean(line["stderr"]), line["code"]), line["args"]


def test_later_versions_list_roles_and_databases_as_they_do(shop: Bench) -> None:
    roles = shop.out("psql -c '\\du'").splitlines()
    assert roles[1].split("|")[-1].strip() == "Attributes"
    assert "Locale Provider |" in shop.out("psql -l")


def test_the_server_is_asked_whether_it_is_ready(shop: Bench) -> None:
    assert shop.out("pg_isready") == "/var/run/postgresql:5432 - accepting connections\n"
    outcome = shop.run("pg_isready -h server -p 5433; echo $?")
    assert outcome.stdout() == "server:5433 - no response\n2\n"


# who may do what


@pytest.mark.parametrize(
    ("change", "operation", "said"),
    [
        ("ALTER ROLE app PASSWORD 'other'", "select", 'FATAL:  password authentication failed for user "app"'),
        ("ALTER ROLE app NOLOGIN", "select", 'FATAL:  role "app" is not permitted to log in'),
        ("DROP OWNED", "select", None),
        ("REVOKE SELECT ON catalog.products FROM app", "select", "ERROR:  permission denied for table products"),
        ("REVOKE SELECT ON catalog.products FROM app", "insert", None),
        ("REVOKE INSERT ON ALL TABLES IN SCHEMA sales FROM app", "insert",
        "ERROR:  permission denied for table orders"),
        ("REVOKE USAGE ON SCHEMA catalog FROM app", "select", "ERROR:  permission denied for schema catalog"),
        ("REVOKE CONNECT ON DATABASE shop FROM PUBLIC, app", "select", 'FATAL:  permission denied for database "shop"'),
        ("ALTER DATABASE shop ALLOW_CONNECTIONS false", "select",
         'FATAL:  database "shop" is not currently accepting connections'),
        ("ALTER ROLE app VALID UNTIL '2020-01-01'", "select", 'FATAL:  password authentication failed for user "app"'),
        ("ALTER DATABASE shop SET default_transaction_read_only = on", "insert",
         "ERROR:  cannot execute INSERT in a read-only transaction"),
        ("DROP TABLE catalog.products", "select catalog.products", None),
    ],
)  # fmt: skip
def test_rights_decide_what_callers_get(shop: Bench, change: str, operation: str, said: str | None) -> None:
    assert trouble(shop, operation) is None
    sql(shop, change)
    found = trouble(shop, operation)
    assert (found.text if found is not None else None) == said


def test_a_program_that_needs_a_table_misses_it(shop: Bench) -> None:
    assert trouble(shop, tables=("catalog.products",)) is None
    sql(shop, "ALTER TABLE catalog.products RENAME TO things")
    found = trouble(shop, tables=("catalog.products",))
    assert found is not None
    assert found.text == 'ERROR:  relation "catalog.products" does not exist'


def test_faults_in_the_words_of_accounts(shop: Bench) -> None:
    shop.state.revoke("app", ("readWrite@shop",))
    found = trouble(shop)
    assert found is not None
    assert "permission denied for table" in found.text
    shop.state.drop_user("app")
    gone = trouble(shop)
    assert gone is not None
    assert gone.text == 'FATAL:  password authentication failed for user "app"'


# locks


def hold(bench: Bench, statement: str, seconds: int = 600) -> None:
    """Let somebody do something in a transaction and then sit there."""
    bench.run(f"(echo 'BEGIN;'; echo {shlex.quote(statement)}; sleep {seconds}) | psql -q")


def test_a_lock_keeps_callers_waiting_until_its_holder_ends(shop: Bench) -> None:
    hold(shop, "LOCK TABLE catalog.products;")
    found = trouble(shop, tables=("catalog.products",))
    assert found is not None
    assert (found.text, found.share, found.waits) == ("", 1.0, math.inf)
    assert trouble(shop, tables=("sales.orders",)) is None
    shop.at += 601
    assert trouble(shop, tables=("catalog.products",)) is None


def test_the_holder_is_found_and_ended(shop: Bench) -> None:
    shop.state.callers = {"10.244.1.7": Peer(2.0, "app", "shop", "products", "select", ("catalog.products",))}
    hold(shop, "LOCK TABLE catalog.products;")
    holder = sql(shop, "select pid from pg_stat_activity where state = 'idle in transaction'").strip()
    waiting = sql(shop, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
    assert waiting == "2\n"
    blocked = (
        "select distinct blocking.pid, blocking.query from pg_locks waits join pg_locks holds on holds.relation = "
        "waits.relation and holds.pid <> waits.pid join pg_stat_activity blocking on blocking.pid = holds.pid "
        "where not waits.granted and holds.granted"
    )
    assert sql(shop, blocked) == f"{holder}|LOCK TABLE catalog.products;\n"
    pids = "select distinct unnest_pid from pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) as unnest_pid"
    assert sql(shop, pids) == f"{holder}\n"
    assert sql(shop, f"select pg_cancel_backend({holder})") == "t\n"
    assert trouble(shop, tables=("catalog.products",)) is not None, "it runs nothing that could be cancelled"
    assert sql(shop, f"select pg_terminate_backend({holder})") == "t\n"
    assert trouble(shop, tables=("catalog.products",)) is None
    assert "is not a PostgreSQL backend process" in sql(shop, f"select pg_terminate_backend({holder})")


def test_timeouts_end_the_waiting_with_their_own_error(shop: Bench) -> None:
    hold(shop, "LOCK TABLE catalog.products;")
    sql(shop, "ALTER ROLE app SET lock_timeout = '2s'")
    found = trouble(shop, tables=("catalog.products",))
    assert found is not None
    assert (found.text, found.waits) == ("ERROR:  canceling statement due to lock timeout", 2.0)
    outcome = shop.run("PGOPTIONS= psql -c \"set lock_timeout = '3s'\" -c 'select * from catalog.products'")
    assert "canceling statement due to lock timeout" in outcome.stderr()
    assert outcome.elapsed == 3.0


def test_rows_changed_and_not_committed_keep_others_from_changing_them(shop: Bench) -> None:
    hold(shop, "UPDATE catalog.products SET price = 1 WHERE id = 'A';")
    assert trouble(shop, "select", tables=("catalog.products",)) is None
    found = trouble(shop, "update", tables=("catalog.products",))
    assert found is not None
    assert found.share == pytest.approx(1 / 3)
    assert sql(shop, "select price from catalog.products where id = 'A'") == "3\n", "it was never committed"


def test_a_sleeping_statement_is_seen_and_can_be_cancelled(shop: Bench) -> None:
    outcome = shop.run("psql -c 'BEGIN; LOCK TABLE sales.orders; SELECT pg_sleep(300)'")
    assert outcome.elapsed == 300.0
    asleep = "select state, wait_event from pg_stat_activity where wait_event = 'PgSleep'"
    assert sql(shop, asleep) == "active|PgSleep\n"
    assert trouble(shop, "insert", tables=("sales.orders",)) is not None
    sql(shop, "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
    assert trouble(shop, "insert", tables=("sales.orders",)) is None


# connections, settings, restarts


def test_too_many_connections_turn_callers_away(shop: Bench) -> None:
    shop.state.callers = {f"10.244.1.{n}": Peer(40.0, "app", "shop") for n in range(3)}
    found = shop.state.crowd()
    assert found is not None
    assert found.text == "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"
    assert found.share == pytest.approx(1 - 97 / 120)
    assert "remaining connection slots" in shop.out("psql -U app -c 'select 1'")
    assert sql(shop, "select count(*) from pg_stat_activity where usename = 'app'") == "120\n"
    sql(shop, "ALTER SYSTEM SET max_connections = 200")
    assert shop.state.crowd() is not None, "it counts only after a restart"
    shop.state.boot(SHOP, Boot(NOW, ("postgres",), durable=True))
    assert shop.state.crowd() is None


def test_settings_of_the_command_line_and_reloads(shop: Bench) -> None:
    assert sql(started(SHOP, "-c", "max_connections=20"), "show max_connections") == "20\n"
    sql(shop, "ALTER SYSTEM SET statement_timeout = '7s'")
    assert sql(shop, "show statement_timeout") == "0\n"
    assert sql(shop, "select pg_reload_conf(); show statement_timeout") == "t\n7s\n"


def test_without_a_lasting_disk_a_restart_begins_anew(shop: Bench) -> None:
    sql(shop, "DELETE FROM catalog.products; ALTER ROLE app PASSWORD 'x'")
    twin = shop.state.clone()
    twin.boot(SHOP, Boot(NOW, ("postgres",), durable=True))
    shop.state.boot(SHOP, Boot(NOW, ("postgres",)))
    assert sql(shop, "select count(*) from catalog.products") == "3\n"
    assert trouble(shop) is None
    shop.state = twin
    assert sql(shop, "select count(*) from catalog.products") == "0\n"


def test_copies_are_independent(shop: Bench) -> None:
    hold(shop, "LOCK TABLE catalog.products;")
    twin = shop.state.clone()
    assert repr(twin) == repr(shop.state)
    sql(shop, "INSERT INTO sales.orders VALUES (1, 'A'); CREATE ROLE x; ALTER ROLE app SET work_mem = '8MB'")
    assert twin.catalogs["shop"].relations["sales", "orders"].rows == []
    assert "x" not in twin.roles
    assert twin.roles["app"].settings == {}


def test_only_the_mighty_see_what_others_do(shop: Bench) -> None:
    shop.state.callers = {"10.244.1.7": Peer(1.0, "app", "shop", "products", "select", ("catalog.products",))}
    query = "select query from pg_stat_activity where usename = 'app'"
    assert sql(shop, query, "watcher") == "SELECT id, name, price FROM catalog.products\n"
    sql(shop, "REVOKE pg_monitor FROM watcher")
    assert sql(shop, query, "watcher") == "<insufficient privilege>\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select datname, numbackends from pg_stat_database where datname = 'shop'", "shop|1\n"),
        ("select relname, n_live_tup from pg_stat_user_tables order by 1", "orders|0\nproducts|3\n"),
        ("select c.relkind from pg_class c join pg_namespace n on n.oid = relnamespace where relname = 'orders'",
         "r\n"),
        ("select 'catalog.products'::regclass", "catalog.products\n"),
        ("select indexdef from pg_indexes where tablename = 'products'",
         "CREATE UNIQUE INDEX products_pkey ON catalog.products USING btree (id)\n"),
        ("select table_name from information_schema.tables where table_schema = 'sales'", "orders\n"),
        ("select column_name, data_type from information_schema.columns where table_name = 'orders'",
        "id|bigint\nproduct|text\n"),
        ("select setting, unit from pg_settings where name = 'shared_buffers'", "16384|8kB\n"),
        ("select pg_size_pretty(pg_database_size('shop'))", "7473 kB\n"),
        ("select now() - pg_postmaster_start_time()", "00:16:40\n"),
        ("select privilege_type from information_schema.role_table_grants where grantee = 'app' order by 1 limit 1",
         "DELETE\n"),
    ],
)  # fmt: skip
def test_the_server_tells_of_itself(shop: Bench, text: str, said: str) -> None:
    assert sql(shop, text) == said


def test_reads_change_nothing_but_counters(shop: Bench) -> None:
    before = shop.state.clone()
    sql(shop, "select * from pg_stat_activity, catalog.products; select count(*) from pg_locks")
    for name in ("roles", "catalogs", "config", "saved", "backends"):
        assert getattr(before, name) == getattr(shop.state, name)


WORDS = [
    "select", "*", "from", "catalog.products", "where", "id", "=", "'A'", "1", "(", ")", ",", "and", "or", "not",
    "null", "count",
    "group", "by", "order", "limit", "union", "insert", "into", "values", "update", "set", "delete", "case", "when",
    "then",
    "end", "::int", "like", "'%'", "in", "between", "is", "as", "x", "join", "on", "price", "+", "/", "0", "alter",
    "table", "drop",
    "create", "role", "grant", "to", "app", "begin", ";", "rollback", "sum", "'x", "$$", "interval", "now()", ".",
    "distinct", "[",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_no_statement_breaks_the_server(words: list[str]) -> None:
    bench = started(SHOP)
    answer = bench.state.talk(
        {"user": "root", "database": "shop", "local": True, "steps": [{"sql": " ".join(words)}]}, NOW, ""
    )
    assert all(a["kind"] in ("rows", "tag", "error") for r in answer["results"] for a in r)
    assert repr(bench.state.clone()) == repr(bench.state)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab';\"-$/*\\\n():", max_size=40))
def test_scripts_are_split_without_losing_the_way(text: str) -> None:
    for piece in pieces(text, {}):
        assert piece.text
    with suppress(PgError):
        assert all(text[at:].startswith(part) for part, at in split(text))


def test_a_password_may_be_given_as_the_server_keeps_it(shop: Bench) -> None:
    """That is how a password is put back of which only the verifier is known."""
    kept = sql(shop, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
    before = next(line.strip() for line in kept.splitlines() if "SCRAM" in line)
    role = shop.state.roles["app"]
    password = role.password
    sql(shop, "ALTER ROLE app WITH PASSWORD 'other'")
    assert not role.accepts(password)
    assert before not in sql(shop, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
    sql(shop, f"ALTER ROLE app WITH PASSWORD '{before}'")
    assert role.accepts(password)
    assert not role.accepts("other")
    assert not role.accepts(before), "what the server keeps opens no door"
    assert before in sql(shop, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
