"""What the server tells of itself: pg_catalog and information_schema, made up on reading."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.postgres.activity import query_of, table_of
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.objects import Relation, Role
from stratus.sim.apps.stores.postgres.tables import settings
from stratus.sim.apps.stores.postgres.values import Named

if TYPE_CHECKING:
    from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.readers import moment_of, reader


# roles and databases
def _role(role: Role, *, secret: bool = False) -> dict[str, Any]:
    return {
        "rolname": role.name, "rolsuper": role.superuser, "rolinherit": role.inherit, "rolcreaterole": role.createrole,
        "rolcreatedb": role.createdb, "rolcanlogin": role.login, "rolreplication": role.replication,
        "rolconnlimit": role.limit, "rolpassword": (scram(role) if secret else "********"),
        "rolvaliduntil": moment_of(role.until), "rolbypassrls": role.bypassrls,
        "rolconfig": [f"{k}={v}" for k, v in role.settings.items()] or None, "oid": role.oid,
    }  # fmt: skip


def scram(role: Role) -> str | None:
    """Return a password as the server keeps it."""
    return role.verifier(role.password) if role.password else None


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
         "usebypassrls": r.bypassrls, "passwd": "********", "valuntil": moment_of(r.until),
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
            "sessions": 20, "stats_reset": moment_of(session.state.started),
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
    from stratus.sim.apps.stores.postgres.serverfunctions import relation_size

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
         "n_dead_tup": r.dead, "n_mod_since_analyze": sum(r.changes.values()), "last_vacuum": moment_of(r.vacuumed),
         "last_autovacuum": None, "last_analyze": moment_of(r.analyzed), "last_autoanalyze": None,
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
            "query": query_of(peer, table_of(session, peer)), "calls": calls, "total_exec_time": calls * 0.41,
            "mean_exec_time": 0.41, "rows": calls,
        })  # fmt: skip
    return rows


@reader("pg_stat_bgwriter")
def _bgwriter(session: Session) -> list[dict[str, Any]]:
    return [{"checkpoints_timed": 12, "checkpoints_req": 1, "buffers_clean": 0, "maxwritten_clean": 0,
    "buffers_alloc": 812,
             "stats_reset": moment_of(session.state.started)}]  # fmt: skip


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
