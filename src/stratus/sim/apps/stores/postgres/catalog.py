"""What the server tells of itself: pg_catalog and information_schema, made up on reading."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.base import Peer
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.locks import conflicts, mode_of
from stratus.sim.apps.stores.postgres.state import Backend, Relation, Role
from stratus.sim.apps.stores.postgres.tables import settings
from stratus.sim.apps.stores.postgres.values import Named

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


def _time(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None


# sessions


def peer_pid(session: Session, address: str, number: int) -> int:
    """Return the pid of a connection that a program keeps open."""
    return 100 + zlib.crc32(f"{session.state.started} {address} {number}".encode()) % 30000


def _peers(session: Session) -> list[tuple[int, str, int, Peer]]:
    """Return (pid, address, port, program) of the connections that programs keep open."""
    found = []
    for address, peer in sorted(session.state.callers.items()):
        for number in range(min(int(peer.connections + 0.999), 120)):
            pid = peer_pid(session, address, number)
            found.append((pid, address, 32768 + zlib.crc32(f"{address} {number}".encode()) % 28000, peer))
    return found


def _query_of(peer: Peer, relation: Relation | None) -> str:
    verb = peer.operation.split(" ")[0].lower() or "select"
    table = f"{relation.schema}.{relation.name}" if relation is not None else ""
    if not table:
        return "SELECT 1"
    if verb == "insert":
        return f"INSERT INTO {table} VALUES ($1, $2)"  # noqa: S608 (only shown)
    if verb in ("update", "delete"):
        start = "UPDATE {} SET id = $1" if verb == "update" else "DELETE FROM {} WHERE id = $1"
        return start.format(table)
    columns = ", ".join(relation.names()[:4]) if relation is not None else "*"
    return f"SELECT {columns} FROM {table}"  # noqa: S608 (only shown)


def _table_of(session: Session, peer: Peer) -> Relation | None:
    catalog = session.state.catalogs.get(peer.database or peer.user)
    tables = [r for r in catalog.relations.values() if r.kind == "r"] if catalog is not None else []
    wanted = [r for r in tables if f"{r.schema}.{r.name}" in peer.tables or r.name in peer.tables]
    return next(iter(wanted or tables), None)


def _holder(session: Session, peer: Peer) -> tuple[Backend, Relation, str] | None:
    """Return who keeps a program's requests waiting, with the table and the lock it wants."""
    verb = peer.operation.split(" ")[0].lower()
    mode = mode_of("r" if verb in ("", "select", "find", "get") else "w")
    catalog = session.state.catalogs.get(peer.database or peer.user)
    for backend in session.state.live(session.moment):
        for relation in catalog.relations.values() if catalog is not None else ():
            if peer.tables and not ({relation.name, f"{relation.schema}.{relation.name}"} & set(peer.tables)):
                continue
            held = any(oid == relation.oid and conflicts(m, mode) for oid, m in backend.locks)
            if held or (relation.oid in backend.rows and verb in ("update", "delete")):
                return backend, relation, mode
    return None


def _activity(
    session: Session, pid: int, database: str, user: str, application: str, address: str, port: int | None,
    begun: float,
    transaction: float, query_at: float, state: str, wait: tuple[str, str], query: str, kind: str = "client backend",
) -> dict[str, Any]:  # fmt: skip
    catalog, role = session.state.catalogs.get(database), session.state.roles.get(user)
    mine = session.state.is_super(session.user) or session.state.reaches(session.user, user)
    full = (
        mine
        or session.state.reaches(session.user, "pg_monitor")
        or session.state.reaches(session.user, "pg_read_all_stats")
    )
    return {
        "datid": catalog.oid if catalog is not None else None, "datname": database or None, "pid": pid,
        "leader_pid": None,
        "usesysid": role.oid if role is not None else None, "usename": user or None, "application_name": application,
        "client_addr": (address or None) if full else None, "client_hostname": None,
        "client_port": (port if address else -1) if full and kind == "client backend" else None,
        "backend_start": _time(begun), "xact_start": _time(transaction) if full else None,
        "query_start": _time(query_at) if full else None, "state_change": _time(query_at) if full else None,
        "wait_event_type": (wait[0] or None) if full else None, "wait_event": (wait[1] or None) if full else None,
        "state": (state or None) if full else None, "backend_xid": None, "backend_xmin": None, "query_id": None,
        "query": query if full else "<insufficient privilege>", "backend_type": kind,
    }  # fmt: skip


@reader("pg_stat_activity")
def activity_rows(session: Session) -> list[dict[str, Any]]:
    """Return the rows of pg_stat_activity."""
    state, now = session.state, session.moment
    rows = []
    for number, kind in enumerate(
        ("checkpointer", "background writer", "walwriter", "autovacuum launcher", "logical replication launcher")
    ):
        event = {
            "checkpointer": "CheckpointerMain",
            "background writer": "BgWriterHibernate",
            "walwriter": "WalWriterMain",
        }
        wait = ("Activity", event.get(kind, "AutoVacuumMain" if "auto" in kind else "LogicalLauncherMain"))
        user = next(iter(state.roles)) if kind.startswith("logical") else ""
        rows.append(_activity(session, 27 + number, "", user, "", "", None, state.started, 0, 0, "", wait, "", kind))
    for pid, address, port, peer in _peers(session):
        holder = _holder(session, peer)
        table = _table_of(session, peer)
        begun = state.started + (pid % 400)
        begun = min(begun, now)
        if holder is None:
            at = now - (pid % 40) / 10
            rows.append(
                _activity(session, pid, peer.database, peer.user, peer.name, address, port, begun, 0, at, "idle",
                          ("Client", "ClientRead"), _query_of(peer, table))
            )  # fmt: skip
        else:
            at = max(now - 5.0, holder[0].query_at)
            rows.append(
                _activity(session, pid, peer.database, peer.user, peer.name, address, port, begun, at, at, "active",
                          ("Lock", "relation"), _query_of(peer, holder[1]))
            )  # fmt: skip
    for b in state.live(now):
        rows.append(
            _activity(session, b.pid, b.database, b.user, b.application, b.address, 40000 + b.pid, b.begun,
            b.transaction,
                      b.query_at, b.state, b.wait, b.query)
        )  # fmt: skip
    rows.append(
        _activity(session, session.pid, session.database, session.session_user, session.application, session.address,
                  40000 + session.pid, session.now, session.begun or now, now, "active", ("", ""), session.query)
    )  # fmt: skip
    return rows


def blockers(session: Session, pid: int) -> list[int]:
    """Return the pids of those who keep a session waiting."""
    for found, _, _, peer in _peers(session):
        if found == pid:
            holder = _holder(session, peer)
            return [holder[0].pid] if holder is not None else []
    return []


@reader("pg_locks")
def _locks(session: Session) -> list[dict[str, Any]]:
    state, rows = session.state, []

    def row(
        pid: int, database: str, oid: int | None, mode: str, granted: bool, kind: str = "relation"
    ) -> dict[str, Any]:
        catalog = state.catalogs.get(database)
        return {
            "locktype": kind, "database": catalog.oid if catalog is not None and oid else None, "relation": oid,
            "page": None,
            "tuple": None, "virtualxid": f"3/{pid}" if kind == "virtualxid" else None, "transactionid": None,
            "classid": None,
            "objid": None, "objsubid": None, "virtualtransaction": f"3/{pid}", "pid": pid, "mode": mode,
            "granted": granted,
            "fastpath": granted and mode in ("AccessShareLock", "ExclusiveLock"),
            "waitstart": None if granted else session.time(max(session.moment - 5.0, state.started)),
        }  # fmt: skip

    for b in state.live(session.moment):
        rows.append(row(b.pid, b.database, None, "ExclusiveLock", True, "virtualxid"))
        rows += [row(b.pid, b.database, oid, mode, True) for oid, mode in b.locks]
    for pid, _, _, peer in _peers(session):
        holder = _holder(session, peer)
        if holder is not None:
            rows.append(row(pid, peer.database, None, "ExclusiveLock", True, "virtualxid"))
            rows.append(row(pid, peer.database, holder[1].oid, holder[2], False))
    rows += [row(session.pid, session.database, oid, mode, True) for oid, mode in session.locks]
    rows.append(row(session.pid, session.database, 12073, "AccessShareLock", True))
    rows.append(row(session.pid, session.database, None, "ExclusiveLock", True, "virtualxid"))
    return rows


# roles and databases


def _role(role: Role, *, secret: bool = False) -> dict[str, Any]:
    return {
        "rolname": role.name, "rolsuper": role.superuser, "rolinherit": role.inherit, "rolcreaterole": role.createrole,
        "rolcreatedb": role.createdb, "rolcanlogin": role.login, "rolreplication": role.replication,
        "rolconnlimit": role.limit, "rolpassword": (scram(role) if secret else "********"),
        "rolvaliduntil": _time(role.until), "rolbypassrls": role.bypassrls,
        "rolconfig": [f"{k}={v}" for k, v in role.settings.items()] or None, "oid": role.oid,
    }  # fmt: skip


def scram(role: Role) -> str | None:
    """Return a password as the server keeps it."""
    if not role.password:
        return None
    mark = zlib.crc32(f"{role.name} {role.password}".encode())
    return f"SCRAM-SHA-256$4096:{mark:08x}"


@reader("pg_roles")
def _roles(session: Session) -> list[dict[str, Any]]:
    return [_role(r) for r in session.state.roles.values()]


@reader("pg_authid")
def _authid(session: Session) -> list[dict[str, Any]]:
    return [_role(r, secret=True) for r in session.state.roles.values()]


@reader("pg_user", "pg_shadow")
def _users(session: Session) -> list[dict[str, Any]]:
    return [
        {"usename": r.name, "usesysid": r.oid, "usecreatedb": r.createdb, "usesuper": r.superuser,
        "userepl": r.replication,
         "usebypassrls": r.bypassrls, "passwd": "********", "valuntil": _time(r.until),
         "useconfig": [f"{k}={v}" for k, v in r.settings.items()] or None}
        for r in session.state.roles.values() if r.login
    ]  # fmt: skip


@reader("pg_auth_members")
def _members(session: Session) -> list[dict[str, Any]]:
    roles = session.state.roles
    return [
        {"roleid": roles[m].oid, "member": r.oid, "grantor": 10, "admin_option": False}
        for r in roles.values() for m in r.member_of if m in roles
    ]  # fmt: skip


def acl_items(acl: dict[str, str] | None, owner: str) -> list[str] | None:
    """Return rights as `{role=letters/giver}`."""
    return [f"{name}={letters}/{owner}" for name, letters in acl.items()] if acl is not None else None


@reader("pg_database")
def _databases(session: Session) -> list[dict[str, Any]]:
    roles = session.state.roles
    return [
        {"oid": c.oid, "datname": c.name, "datdba": roles[c.owner].oid if c.owner in roles else 10, "encoding": 6,
         "datlocprovider": "c", "datistemplate": c.name.startswith("template"), "datallowconn": c.allowed,
         "datconnlimit": c.limit, "datfrozenxid": 730, "datminmxid": 1, "dattablespace": 1663,
         "datcollate": "en_US.utf8",
         "datctype": "en_US.utf8", "datacl": acl_items(c.acl, c.owner)}
        for c in session.state.catalogs.values()
    ]  # fmt: skip


@reader("pg_stat_database")
def _stat_database(session: Session) -> list[dict[str, Any]]:
    rows = []
    for c in session.state.catalogs.values():
        here = [p for p in session.state.callers.values() if p.database == c.name]
        mine = sum(1 for b in session.state.live(session.moment) if b.database == c.name) + (c.name == session.database)
        done = int(session.state.work) if here else 0
        changed = {
            k: sum(r.changes.get(k, 0) for r in c.relations.values()) for k in ("inserted", "updated", "deleted")
        }
        rows.append({
            "datid": c.oid, "datname": c.name, "numbackends": int(sum(p.connections for p in here) + 0.999) + mine,
            "xact_commit": done + session.state.transactions // 4, "xact_rollback": 2,
            "blks_read": 412 + len(c.relations) * 8,
            "blks_hit": done * 6 + 24011, "tup_returned": done * 12 + 210_111, "tup_fetched": done * 4 + 5120,
            "tup_inserted": changed["inserted"], "tup_updated": changed["updated"], "tup_deleted": changed["deleted"],
            "conflicts": 0, "temp_files": 0, "temp_bytes": 0, "deadlocks": 0, "checksum_failures": None,
            "sessions": 20, "stats_reset": _time(session.state.started),
        })  # fmt: skip
    return rows


@reader("pg_settings")
def _settings(session: Session) -> list[dict[str, Any]]:
    state, rows = session.state, []
    for name, s in sorted(settings().items()):
        value = session.setting(name)
        source = "session" if name in session.own else "configuration file" if name in state.config else "default"
        pending = name in state.saved and state.saved[name] != state.config.get(name) and s.context == "postmaster"
        rows.append({
            "name": name, "setting": value, "unit": s.unit or None, "category": s.category, "short_desc": s.short,
            "extra_desc": None, "context": s.context, "vartype": s.vartype, "source": source, "min_val": s.low or None,
            "max_val": s.high or None, "enumvals": list(s.choices) or None, "boot_val": s.value, "reset_val": value,
            "sourcefile": None, "sourceline": None, "pending_restart": pending,
        })  # fmt: skip
    return rows


@reader("pg_file_settings")
def _file_settings(session: Session) -> list[dict[str, Any]]:
    return [
        {"sourcefile": "/var/lib/postgresql/data/postgresql.auto.conf", "sourceline": n + 3, "seqno": n + 1,
        "name": name,
         "setting": value, "applied": True, "error": None}
        for n, (name, value) in enumerate(session.state.saved.items())
    ]  # fmt: skip


@reader("pg_hba_file_rules")
def _hba(session: Session) -> list[dict[str, Any]]:
    lines = [
        ("local", None, "trust"),
        ("host", "127.0.0.1", "trust"),
        ("host", "::1", "trust"),
        ("host", "all", "scram-sha-256"),
    ]
    return [
        {"rule_number": n + 1, "line_number": 117 + n, "type": kind, "database": ["all"], "user_name": ["all"],
         "address": address, "netmask": None, "auth_method": method, "options": None, "error": None}
        for n, (kind, address, method) in enumerate(lines)
    ]  # fmt: skip


# tables


def _owner_oid(session: Session, name: str) -> int:
    role = session.state.roles.get(name)
    return role.oid if role is not None else 10


def schema_oid(session: Session, name: str) -> int:
    """Return a schema's number."""
    fixed = {"pg_catalog": 11, "public": 2200, "information_schema": 13000}
    return fixed.get(name, 20000 + zlib.crc32(f"{session.database} {name}".encode()) % 10000)


@reader("pg_namespace")
def _namespaces(session: Session) -> list[dict[str, Any]]:
    names = {
        "pg_catalog": session.catalog.owner,
        "information_schema": session.catalog.owner,
        **session.catalog.schemas,
    }
    return [
        {"oid": schema_oid(session, n), "nspname": n, "nspowner": _owner_oid(session, o),
         "nspacl": acl_items(session.catalog.schema_acl.get(n), o)}
        for n, o in names.items()
    ]  # fmt: skip


def _each(session: Session, kind: str = "") -> list[Relation]:
    found = sorted(session.catalog.relations.values(), key=lambda r: r.oid)
    return [r for r in found if not kind or r.kind == kind]


@reader("pg_class")
def _classes(session: Session) -> list[dict[str, Any]]:
    from stratus.sim.apps.stores.postgres.functions import relation_size

    rows = []
    for r in _each(session):
        base = {
            "relnamespace": schema_oid(session, r.schema), "relowner": _owner_oid(session, r.owner), "relam": 2,
            "reltablespace": 0, "relhasindex": bool(r.indexes), "relisshared": False, "relpersistence": "p",
        }  # fmt: skip
        rows.append({
            "oid": r.oid, "relname": r.name, **base, "relkind": r.kind, "relpages": relation_size(r) // 8192,
            "reltuples": float(len(r.rows)), "relnatts": len(r.columns), "relacl": acl_items(r.acl, r.owner),
            "relfrozenxid": 730,
        })  # fmt: skip
        rows += [
            {"oid": i.oid, "relname": i.name, **base, "relkind": "i", "relpages": 2, "reltuples": float(len(r.rows)),
             "relnatts": len(i.columns), "relacl": None, "relfrozenxid": 0}
            for i in r.indexes
        ]  # fmt: skip
    return rows


@reader("pg_tables")
def _tables(session: Session) -> list[dict[str, Any]]:
    return [
        {"schemaname": r.schema, "tablename": r.name, "tableowner": r.owner, "tablespace": None,
         "hasindexes": bool(r.indexes), "hasrules": False, "hastriggers": False, "rowsecurity": False}
        for r in _each(session, "r")
    ]  # fmt: skip


@reader("pg_views")
def _views(session: Session) -> list[dict[str, Any]]:
    return [
        {"schemaname": r.schema, "viewname": r.name, "viewowner": r.owner, "definition": f" {r.query};"}
        for r in _each(session, "v")
    ]


def index_text(relation: Relation, name: str) -> str:
    """Return what would create an index."""
    found = next(i for i in relation.indexes if i.name == name)
    kind = "UNIQUE INDEX" if found.unique else "INDEX"
    return f"CREATE {kind} {found.name} ON {relation.schema}.{relation.name} USING btree ({', '.join(found.columns)})"


@reader("pg_indexes")
def _indexes(session: Session) -> list[dict[str, Any]]:
    return [
        {"schemaname": r.schema, "tablename": r.name, "indexname": i.name, "tablespace": None,
        "indexdef": index_text(r, i.name)}
        for r in _each(session, "r") for i in r.indexes
    ]  # fmt: skip


@reader("pg_index")
def _index_rows(session: Session) -> list[dict[str, Any]]:
    return [
        {"indexrelid": i.oid, "indrelid": r.oid, "indisunique": i.unique, "indisprimary": i.primary, "indisvalid": True}
        for r in _each(session, "r") for i in r.indexes
    ]  # fmt: skip


@reader("pg_attribute")
def _attributes(session: Session) -> list[dict[str, Any]]:
    return [
        {"attrelid": r.oid, "attname": c.name, "atttypid": c.type, "atttypmod": -1, "attnum": n,
        "attnotnull": not c.nullable,
         "attisdropped": False, "atthasdef": bool(c.default)}
        for r in _each(session) for n, c in enumerate(r.columns, 1)
    ]  # fmt: skip


@reader("pg_stat_user_tables", "pg_stat_all_tables")
def _stat_tables(session: Session) -> list[dict[str, Any]]:
    work = int(session.state.work)
    return [
        {"relid": r.oid, "schemaname": r.schema, "relname": r.name, "seq_scan": r.scans + work,
        "seq_tup_read": work * len(r.rows),
         "idx_scan": 0 if not r.indexes else work // 2, "idx_tup_fetch": work // 2,
         "n_tup_ins": r.changes.get("inserted", 0),
         "n_tup_upd": r.changes.get("updated", 0), "n_tup_del": r.changes.get("deleted", 0), "n_live_tup": len(r.rows),
         "n_dead_tup": r.dead, "n_mod_since_analyze": sum(r.changes.values()), "last_vacuum": _time(r.vacuumed),
         "last_autovacuum": None, "last_analyze": _time(r.analyzed), "last_autoanalyze": None,
         "vacuum_count": int(bool(r.vacuumed))}
        for r in _each(session, "r")
    ]  # fmt: skip


@reader("pg_stat_user_indexes")
def _stat_indexes(session: Session) -> list[dict[str, Any]]:
    return [
        {"relid": r.oid, "indexrelid": i.oid, "schemaname": r.schema, "relname": r.name, "indexrelname": i.name,
         "idx_scan": int(session.state.work) // 2, "idx_tup_read": int(session.state.work) // 2, "idx_tup_fetch": 0}
        for r in _each(session, "r") for i in r.indexes
    ]  # fmt: skip


@reader("pg_statio_user_tables")
def _statio(session: Session) -> list[dict[str, Any]]:
    return [
        {"relid": r.oid, "schemaname": r.schema, "relname": r.name, "heap_blks_read": 1,
        "heap_blks_hit": int(session.state.work)}
        for r in _each(session, "r")
    ]  # fmt: skip


@reader("pg_extension")
def _extensions(session: Session) -> list[dict[str, Any]]:
    return [
        {"oid": 13000 + n, "extname": name, "extowner": 10, "extnamespace": 11, "extrelocatable": False,
        "extversion": "1.0"}
        for n, name in enumerate(session.catalog.extensions)
    ]  # fmt: skip


@reader("pg_stat_statements")
def _statements(session: Session) -> list[dict[str, Any]]:
    if "pg_stat_statements" not in session.catalog.extensions:
        raise PgError('relation "pg_stat_statements" does not exist', "42P01")
    rows = []
    for peer in session.state.callers.values():
        calls = int(session.state.work / max(len(session.state.callers), 1))
        rows.append({
            "userid": _owner_oid(session, peer.user), "dbid": session.catalog.oid,
            "query": _query_of(peer, _table_of(session, peer)), "calls": calls, "total_exec_time": calls * 0.41,
            "mean_exec_time": 0.41, "rows": calls,
        })  # fmt: skip
    return rows


@reader("pg_stat_bgwriter")
def _bgwriter(session: Session) -> list[dict[str, Any]]:
    return [{"checkpoints_timed": 12, "checkpoints_req": 1, "buffers_clean": 0, "maxwritten_clean": 0,
    "buffers_alloc": 812,
             "stats_reset": _time(session.state.started)}]  # fmt: skip


@reader("pg_tablespace")
def _tablespaces(session: Session) -> list[dict[str, Any]]:
    return [
        {"oid": 1663, "spcname": "pg_default", "spcowner": 10},
        {"oid": 1664, "spcname": "pg_global", "spcowner": 10},
    ]


@reader("pg_db_role_setting")
def _role_settings(session: Session) -> list[dict[str, Any]]:
    rows = [
        {"setdatabase": 0, "setrole": r.oid, "setconfig": [f"{k}={v}" for k, v in r.settings.items()]}
        for r in session.state.roles.values() if r.settings
    ]  # fmt: skip
    return rows + [
        {"setdatabase": c.oid, "setrole": 0, "setconfig": [f"{k}={v}" for k, v in c.settings.items()]}
        for c in session.state.catalogs.values() if c.settings
    ]  # fmt: skip


# information_schema


@reader("information_schema.tables")
def _info_tables(session: Session) -> list[dict[str, Any]]:
    return [
        {"table_catalog": session.database, "table_schema": r.schema, "table_name": r.name,
         "table_type": "BASE TABLE" if r.kind == "r" else "VIEW"}
        for r in _each(session)
    ]  # fmt: skip


@reader("information_schema.schemata")
def _info_schemata(session: Session) -> list[dict[str, Any]]:
    return [
        {"catalog_name": session.database, "schema_name": row["nspname"],
        "schema_owner": session.catalog.schemas.get(row["nspname"], session.catalog.owner)}
        for row in _namespaces(session)
    ]  # fmt: skip


@reader("information_schema.columns")
def _info_columns(session: Session) -> list[dict[str, Any]]:
    return [
        {"table_catalog": session.database, "table_schema": r.schema, "table_name": r.name, "column_name": c.name,
         "ordinal_position": n, "column_default": c.default or None, "is_nullable": "YES" if c.nullable else "NO",
         "data_type": c.type}
        for r in _each(session) for n, c in enumerate(r.columns, 1)
    ]  # fmt: skip


@reader("information_schema.role_table_grants", "information_schema.table_privileges")
def _info_grants(session: Session) -> list[dict[str, Any]]:
    names = {
        "a": "INSERT",
        "r": "SELECT",
        "w": "UPDATE",
        "d": "DELETE",
        "D": "TRUNCATE",
        "x": "REFERENCES",
        "t": "TRIGGER",
    }
    rows = []
    for r in _each(session):
        for role, letters in (r.acl or {r.owner: "arwdDxt"}).items():
            rows += [
                {"grantor": r.owner, "grantee": role or "PUBLIC", "table_catalog": session.database,
                "table_schema": r.schema,
                 "table_name": r.name, "privilege_type": names[c], "is_grantable": "YES" if role == r.owner else "NO"}
                for c in letters if c in names
            ]  # fmt: skip
    return rows


def named_object(session: Session, value: Any, kind: str) -> Any:
    """Return what `::regclass` and its relatives give: a name for a number, a checked name for a name."""
    if value is None:
        return None
    if kind == "regrole":
        return next((r.name for r in session.state.roles.values() if value in (r.oid, r.name)), str(value))
    if kind != "regclass":
        return str(value)
    if isinstance(value, int) or str(value).isdigit():
        return _named_class(session, int(value))
    name = str(value)
    relation = session.find(tuple(p.strip('"') for p in name.split(".")))
    visible = relation.schema in session.path()
    return Named(relation.name if visible else f"{relation.schema}.{relation.name}", relation.oid)


def _named_class(session: Session, oid: int) -> Named:
    for row in _classes(session):
        if row["oid"] == oid:
            found = next((r for r in _each(session) if r.oid == oid), None)
            visible = found is None or found.schema in session.path()
            return Named(row["relname"] if visible or found is None else f"{found.schema}.{found.name}", oid)
    return Named({12073: "pg_locks"}.get(oid, str(oid)), oid)
