"""Functions that tell of the server, and change how it runs."""

from __future__ import annotations

from typing import Any

from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.evaluate import Context
from stratus.sim.apps.stores.postgres.functions import STRICT, loose, strict
from stratus.sim.apps.stores.postgres.objects import Relation
from stratus.sim.apps.stores.postgres.state import LETTERS
from stratus.sim.apps.stores.postgres.tables import settings, shown
from stratus.sim.apps.stores.postgres.values import cast, written

# the server
_PAGE = 8192


def _position(transactions: int) -> str:
    """Return how far the log of all changes has come."""
    return f"0/{transactions * 4096 + 0x1500000:X}"


@strict("version", 0)
def _version(context: Context, args: list[Any]) -> str:
    version = context.session.state.version
    built = "on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit"
    return f"PostgreSQL {version} (Debian {version}-1.pgdg12+1) {built}"


for _names, _info in {
    "current_database current_catalog": lambda s: s.database, "current_user user current_role": lambda s: s.user,
    "session_user": lambda s: s.session_user, "pg_backend_pid": lambda s: s.pid,
    "current_schema": lambda s: next((p for p in s.path() if p in s.catalog.schemas), None),
    "pg_postmaster_start_time": lambda s: s.time(s.state.started),
    "pg_conf_load_time": lambda s: s.time(s.state.reloaded),
    "pg_is_in_recovery": lambda s: False, "txid_current pg_current_xact_id": lambda s: s.state.transactions,
    "pg_current_wal_lsn pg_current_wal_insert_lsn pg_last_wal_replay_lsn": lambda s: _position(s.state.transactions),
    "inet_server_addr": lambda s: None, "inet_server_port": lambda s: None,
    "inet_client_addr": lambda s: s.address or None,
    "pg_stat_reset pg_stat_statements_reset pg_stat_clear_snapshot": lambda s: "",
    "pg_rotate_logfile pg_switch_wal": lambda s: True, "lastval": lambda s: None,
    "pg_jit_available": lambda s: False, "pg_client_encoding": lambda s: "UTF8",
}.items():  # fmt: skip
    for _name in _names.split():
        STRICT[_name] = (0, 0, lambda context, args, fn=_info: fn(context.session))  # type: ignore[misc]


@strict("current_schemas", 1)
def _current_schemas(context: Context, args: list[Any]) -> list[str]:
    found = [p for p in context.session.path() if p in context.session.catalog.schemas]
    return ["pg_catalog", *found] if args[0] else found


@strict("current_setting", 1, 2)
def _current_setting(context: Context, args: list[Any]) -> str | None:
    name = {n.lower(): n for n in settings()}.get(str(args[0]).lower())
    if name is None:
        if args[0] in context.session.own:
            return context.session.own[args[0]]
        if args[0] in ("server_version", "server_version_num"):
            return context.session.state.version
        if len(args) > 1 and args[1]:
            return None
        raise PgError(f'unrecognized configuration parameter "{args[0]}"', "42704")
    return shown(name, context.session.setting(name))


@strict("set_config", 3)
def _set_config(context: Context, args: list[Any]) -> str:
    context.session.own[args[0]] = args[1]
    return str(args[1])


@strict("pg_reload_conf", 0)
def _reload(context: Context, args: list[Any]) -> bool:
    from stratus.sim.apps.stores.postgres.altering import reload

    if not context.session.state.is_super(context.session.user):
        raise PgError("permission denied for function pg_reload_conf", "42501")
    reload(context.session)
    return True


def _signal(context: Context, pid: int, *, ends: bool) -> bool:
    session, state = context.session, context.session.state
    backend = state.backends.get(pid)
    user = (
        backend.user
        if backend is not None
        else next((r["usename"] for r in activity(session) if r["pid"] == pid), None)
    )
    if user is None:
        session.notice(f"PID {pid} is not a PostgreSQL backend process", "WARNING")
        return False
    if (
        not state.is_super(session.user)
        and not state.reaches(session.user, str(user))
        and not state.reaches(session.user, "pg_signal_backend")
    ):
        verb = "terminate process" if ends else "cancel query"
        raise PgError(f"permission denied to {verb}", "42501")
    if pid == session.pid and ends:
        session.ended = True
        raise PgError("terminating connection due to administrator command", "57P01", severity="FATAL")
    if backend is not None and (ends or backend.state == "active"):
        del state.backends[pid]
    return True


@strict("pg_terminate_backend", 1, 2)
def _terminate(context: Context, args: list[Any]) -> bool:
    return _signal(context, args[0], ends=True)


@strict("pg_cancel_backend", 1)
def _cancel(context: Context, args: list[Any]) -> bool:
    return _signal(context, args[0], ends=False)


@strict("pg_blocking_pids", 1)
def _blocking(context: Context, args: list[Any]) -> list[int]:
    from stratus.sim.apps.stores.postgres.activity import blockers

    return blockers(context.session, args[0])


def activity(session: Any) -> list[dict[str, Any]]:
    """Return the rows of pg_stat_activity."""
    from stratus.sim.apps.stores.postgres.activity import activity_rows

    return activity_rows(session)


@strict("pg_advisory_lock pg_advisory_unlock pg_try_advisory_lock pg_advisory_unlock_all", 0, 2)
def _advisory(context: Context, args: list[Any]) -> bool:
    return True


# sizes
def relation_size(relation: Relation) -> int:
    """Return the bytes of a table on disk."""
    width = 28 + 8 * len(relation.columns)
    used = sum(width + sum(len(written(v) or "") for v in row) for row in relation.rows) + relation.dead * width
    return -(-used // _PAGE) * _PAGE


def indexes_size(relation: Relation) -> int:
    """Return the bytes of a table's indexes."""
    return len(relation.indexes) * (2 * _PAGE + -(-len(relation.rows) * 24 // _PAGE) * _PAGE)


def database_size(catalog: Any) -> int:
    """Return the bytes of a database."""
    return 7_602_703 + sum(relation_size(r) + indexes_size(r) for r in catalog.relations.values())


@strict("pg_size_pretty", 1)
def _size_pretty(context: Context, args: list[Any]) -> str:
    return size_pretty(int(args[0]))


def size_pretty(size: int) -> str:
    """Return a size as people read it."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    value = float(size)
    while abs(value) >= 10240 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{int(value + 0.5)} {units[0]}"


def _named(context: Context, value: Any) -> Relation | None:
    session = context.session
    if isinstance(value, int):
        return next((r for r in session.catalog.relations.values() if r.oid == value), None)
    parts = tuple(p.strip('"') for p in str(value).split("."))
    return session.find(parts)


@strict("pg_relation_size pg_table_size", 1, 2)
def _relation_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return relation_size(found) if found is not None else None


@strict("pg_indexes_size", 1)
def _indexes_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return indexes_size(found) if found is not None else None


@strict("pg_total_relation_size", 1)
def _total_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return relation_size(found) + indexes_size(found) if found is not None else None


@strict("pg_database_size", 1)
def _database_size(context: Context, args: list[Any]) -> int:
    found = next((c for c in context.session.state.catalogs.values() if args[0] in (c.name, c.oid)), None)
    if found is None:
        raise PgError(f'database "{args[0]}" does not exist', "3D000")
    return database_size(found)


@strict("pg_tablespace_size", 1)
def _tablespace_size(context: Context, args: list[Any]) -> int:
    return sum(database_size(c) for c in context.session.state.catalogs.values())


# rights and names
@strict("has_table_privilege", 2, 3)
def _has_table(context: Context, args: list[Any]) -> bool:
    user, table, right = args if len(args) == 3 else [context.session.user, *args]
    found = _named(context, table)
    letter = LETTERS.get(str(right).lower())
    if letter is None:
        raise PgError(f'unrecognized privilege type: "{right}"', "22023")
    return found is not None and context.session.state.may_use(user, context.session.catalog, found, letter)


@strict("has_schema_privilege", 2, 3)
def _has_schema(context: Context, args: list[Any]) -> bool:
    user, schema, _ = args if len(args) == 3 else [context.session.user, *args]
    return context.session.state.may_enter(user, context.session.catalog, schema)


@strict("has_database_privilege", 2, 3)
def _has_database(context: Context, args: list[Any]) -> bool:
    user, name, right = args if len(args) == 3 else [context.session.user, *args]
    state = context.session.state
    catalog = state.catalogs.get(name)
    if catalog is None:
        raise PgError(f'database "{name}" does not exist', "3D000")
    return state.allowed(user, catalog.acl, catalog.owner, LETTERS.get(str(right).lower(), "c"), "Tc")


@strict("pg_has_role", 2, 3)
def _has_role(context: Context, args: list[Any]) -> bool:
    user, role, _ = args if len(args) == 3 else [context.session.user, *args]
    return context.session.state.reaches(user, role)


@strict("pg_get_userbyid", 1)
def _user_by_id(context: Context, args: list[Any]) -> str:
    return next((r.name for r in context.session.state.roles.values() if r.oid == args[0]), f"unknown (OID={args[0]})")


@strict("pg_get_viewdef", 1, 2)
def _viewdef(context: Context, args: list[Any]) -> str | None:
    found = _named(context, args[0])
    return " " + found.query if found is not None else None


@loose("obj_description col_description shobj_description pg_get_expr pg_get_constraintdef")
def _no_description(context: Context, args: list[Any]) -> None:
    return None


@loose("format_type")
def _format_type(context: Context, args: list[Any]) -> str:
    return cast(args[0], "text") if args else ""


@strict("pg_table_is_visible pg_function_is_visible pg_type_is_visible", 1)
def _visible(context: Context, args: list[Any]) -> bool:
    found = _named(context, args[0])
    return found is not None and found.schema in context.session.path()
