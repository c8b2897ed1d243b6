"""Which tables the server makes up on reading."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.postgres.errors import PgError

if TYPE_CHECKING:
    from stratus.sim.apps.stores.postgres.session import Session


Table = tuple[list[str], list[list[Any]]]


_READERS: dict[str, Callable[[Session], list[dict[str, Any]]]] = {}


_EMPTY = {
    "pg_stat_replication": "pid usename application_name client_addr state sent_lsn replay_lsn write_lag sync_state",
    "pg_replication_slots": "slot_name plugin slot_type database active restart_lsn wal_status",
    "pg_prepared_xacts": "transaction gid prepared owner database",
    "pg_stat_progress_vacuum": "pid datname relid phase",
    "pg_stat_subscription": "subid subname pid", "pg_publication": "oid pubname", "pg_stat_wal_receiver": "pid status",
    "pg_stat_progress_create_index": "pid datname relid phase", "pg_inherits": "inhrelid inhparent inhseqno",
    "pg_constraint": "oid conname connamespace contype conrelid confrelid",
    "pg_proc": "oid proname pronamespace proowner",
    "pg_trigger": "oid tgrelid tgname", "pg_description": "objoid classoid objsubid description",
    "pg_sequences": "schemaname sequencename sequenceowner last_value",
}  # fmt: skip


def reader(
    *names: str,
) -> Callable[[Callable[[Session], list[dict[str, Any]]]], Callable[[Session], list[dict[str, Any]]]]:
    """Register what makes up a table."""

    def register(fn: Callable[[Session], list[dict[str, Any]]]) -> Callable[[Session], list[dict[str, Any]]]:
        for name in names:
            _READERS[name] = fn
        return fn

    return register


def system_table(session: Session, schema: str, name: str) -> Table | None:
    """Return a table that the server makes up, None when there is none of that name."""
    from stratus.sim.apps.stores.postgres import activity, catalog  # noqa: F401

    key = f"information_schema.{name}" if schema == "information_schema" else name
    found = _READERS.get(key)
    if found is None:
        if key in _EMPTY and schema != "information_schema":
            return _EMPTY[key].split(), []
        return None
    if key in ("pg_shadow", "pg_authid") and not session.state.is_super(session.user):
        raise PgError(f"permission denied for table {key}", "42501")
    rows = found(session)
    shape = found(session) if rows else []
    names = list(shape[0]) if shape else _shape(key)
    return names, [[row[n] for n in names] for row in rows]


def _shape(key: str) -> list[str]:
    return _SHAPES.get(key, "").split()


_SHAPES = {
    "pg_locks": "locktype database relation mode granted pid waitstart",
    "pg_stat_user_tables": "relid schemaname relname seq_scan n_live_tup n_dead_tup",
    "pg_tables": "schemaname tablename tableowner tablespace hasindexes hasrules hastriggers rowsecurity",
    "pg_views": "schemaname viewname viewowner definition",
    "pg_indexes": "schemaname tablename indexname tablespace indexdef",
    "pg_auth_members": "roleid member grantor admin_option",
    "pg_db_role_setting": "setdatabase setrole setconfig",
    "information_schema.tables": "table_catalog table_schema table_name table_type",
    "information_schema.columns": "table_schema table_name column_name ordinal_position data_type is_nullable",
    "information_schema.role_table_grants": "grantor grantee table_catalog table_schema table_name privilege_type",
    "information_schema.table_privileges": "grantor grantee table_catalog table_schema table_name privilege_type",
    "pg_stat_user_indexes": "relid indexrelid schemaname relname indexrelname idx_scan idx_tup_read idx_tup_fetch",
    "pg_statio_user_tables": "relid schemaname relname heap_blks_read heap_blks_hit",
    "pg_index": "indexrelid indrelid indisunique indisprimary indisvalid",
    "pg_attribute": "attrelid attname atttypid attnum attnotnull attisdropped",
    "pg_stat_statements": "userid dbid query calls total_exec_time mean_exec_time rows",
}


def moment_of(at: float) -> datetime | None:
    """Return a moment as a value; nothing for none."""
    return datetime.fromtimestamp(at, UTC) if at else None
