"""What psql's backslash commands show of the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.objects import Relation, Role
from stratus.sim.apps.stores.postgres.serverfunctions import database_size, relation_size, size_pretty
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.values import written

Answers = list[dict[str, Any]]


def _table(title: str, columns: list[str], rows: list[list[str | None]], **more: Any) -> dict[str, Any]:
    right = more.pop("right", [False] * len(columns))
    return {"kind": "rows", "title": title, "columns": columns, "rows": rows, "right": right, "tag": "", **more}


def _said(text: str) -> dict[str, Any]:
    return {"kind": "said", "text": text}


def _pattern(text: str) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    """Read a pattern like `schema.na*me`."""
    schema, dot, name = text.rpartition(".")

    def compiled(part: str) -> re.Pattern[str]:
        quoted = part.startswith('"') and part.endswith('"') and len(part) > 1
        body = part[1:-1] if quoted else part.lower()
        return re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in body) + r"\Z")

    return (compiled(schema) if dot else None), compiled(name or "*")


def describe(session: Session, command: str, args: list[str]) -> Answers:
    """Return what a backslash command shows.

    Raises:
        PgError: it cannot be shown.
    """
    bare = command.rstrip("+S").replace("S", "")
    plus = "+" in command
    pattern = args[0] if args else ""
    handler = _COMMANDS.get(bare)
    if handler is None:
        return [_said(f"invalid command \\{command}")]
    return handler(session, pattern, plus)


# databases and roles


def _acl(acl: dict[str, str] | None, owner: str) -> str:
    return "\n".join(f"{name}={letters}/{owner}" for name, letters in acl.items()) if acl is not None else ""


def _databases(session: Session, pattern: str, plus: bool) -> Answers:
    major = session.state.major()
    names = ["Name", "Owner", "Encoding"]
    names += (
        ["Collate", "Ctype", "ICU Locale", "Locale Provider"] if major < 16 else ["Locale Provider", "Collate", "Ctype"]
    )
    names += [] if major < 16 else ["ICU Locale" if major == 16 else "Locale", "ICU Rules"]
    names.append("Access privileges")
    _, wanted = _pattern(pattern or "*")
    rows: list[list[str | None]] = []
    for catalog in sorted(session.state.catalogs.values(), key=lambda c: c.name):
        if not wanted.match(catalog.name):
            continue
        acl = catalog.acl
        if catalog.name.startswith("template") and acl is None:
            acl = {"": "c", catalog.owner: "CTc"}
        collate = "en_US.utf8"
        middle = [collate, collate, "", "libc"] if major < 16 else ["libc", collate, collate, "", ""]
        row: list[str | None] = [catalog.name, catalog.owner, "UTF8", *middle, _acl(acl, catalog.owner)]
        if plus:
            row += [size_pretty(database_size(catalog)), "pg_default", ""]
        rows.append(row)
    if plus:
        names += ["Size", "Tablespace", "Description"]
    return [_table("List of databases", names, rows, counted=True)]


def _attributes(role: Role) -> str:
    words = [
        word for on, word in (
            (role.superuser, "Superuser"), (not role.inherit, "No inheritance"), (role.createrole, "Create role"),
            (role.createdb, "Create DB"), (not role.login, "Cannot login"), (role.replication, "Replication"),
            (role.bypassrls, "Bypass RLS"),
        ) if on
    ]  # fmt: skip
    text = ", ".join(words)
    if role.limit >= 0:
        limit = "No connections" if not role.limit else f"{role.limit} connection{'s' if role.limit != 1 else ''}"
        text += ("\n" if text else "") + limit
    if role.until:
        text += ("\n" if text else "") + f"Password valid until {written(datetime.fromtimestamp(role.until, UTC))}"
    return text


def _roles(session: Session, pattern: str, plus: bool) -> Answers:
    _, wanted = _pattern(pattern or "*")
    rows: list[list[str | None]] = []
    old = session.state.major() < 16
    for role in sorted(session.state.roles.values(), key=lambda r: r.name):
        if (role.name.startswith("pg_") and not pattern) or not wanted.match(role.name):
            continue
        row: list[str | None] = [role.name, _attributes(role)]
        rows.append([*row, "{" + ",".join(role.member_of) + "}"] if old else row)
    names = ["Role name", "Attributes"] + (["Member of"] if old else [])
    if not rows and pattern:
        return [_said(f'Did not find any role named "{pattern}".')]
    return [_table("List of roles", names, rows, counted=False)]


def _schemas(session: Session, pattern: str, plus: bool) -> Answers:
    _, wanted = _pattern(pattern or "*")
    rows: list[list[str | None]] = []
    for name, owner in sorted(session.catalog.schemas.items()):
        if wanted.match(name):
            row: list[str | None] = [name, owner]
            rows.append(row + ([_acl(session.catalog.schema_acl.get(name), owner), ""] if plus else []))
    names = ["Name", "Owner"] + (["Access privileges", "Description"] if plus else [])
    return [_table("List of schemas", names, rows, counted=True)]


# relations


def _matching(session: Session, pattern: str, kinds: str) -> list[Relation]:
    schema, name = _pattern(pattern or "*")
    found = []
    for relation in sorted(session.catalog.relations.values(), key=lambda r: (r.schema, r.name)):
        if relation.kind not in kinds or not name.match(relation.name):
            continue
        if schema.match(relation.schema) if schema is not None else relation.schema in session.path():
            found.append(relation)
    return found


def _listing(kinds: str) -> Callable[[Session, str, bool], Answers]:
    def show(session: Session, pattern: str, plus: bool) -> Answers:
        rows: list[list[str | None]] = []
        for r in _matching(session, pattern, kinds):
            row: list[str | None] = [r.schema, r.name, "table" if r.kind == "r" else "view", r.owner]
            rows.append(row + (["permanent", "heap", size_pretty(relation_size(r)), ""] if plus else []))
        if not rows:
            return [_nothing("relation", pattern)]
        names = ["Schema", "Name", "Type", "Owner"]
        names += ["Persistence", "Access method", "Size", "Description"] if plus else []
        return [_table("List of relations", names, rows, counted=True)]

    return show


def _nothing(what: str, pattern: str) -> dict[str, Any]:
    return _said(f'Did not find any {what} named "{pattern}".' if pattern else f"Did not find any {what}s.")


def _indexes(session: Session, pattern: str, plus: bool) -> Answers:
    schema, name = _pattern(pattern or "*")
    rows: list[list[str | None]] = []
    for r in sorted(session.catalog.relations.values(), key=lambda r: (r.schema, r.name)):
        if not (schema.match(r.schema) if schema is not None else r.schema in session.path()):
            continue
        rows += [
            [r.schema, i.name, "index", r.owner, r.name]
            for i in sorted(r.indexes, key=lambda i: i.name)
            if name.match(i.name)
        ]
    if not rows:
        return [_nothing("relation", pattern)]
    return [_table("List of relations", ["Schema", "Name", "Type", "Owner", "Table"], rows, counted=True)]


def _describe(session: Session, pattern: str, plus: bool) -> Answers:
    if not pattern:
        return _listing("rv")(session, "", plus)
    found = _matching(session, pattern, "rv")
    if not found:
        return [_said(f'Did not find any relation named "{pattern}".')]
    return [_one(session, r) for r in found]


def _one(session: Session, relation: Relation) -> dict[str, Any]:
    rows: list[list[str | None]] = [
        [c.name, c.type, "", "" if c.nullable else "not null", c.default] for c in relation.columns
    ]
    footers = []
    if relation.indexes:
        footers.append("Indexes:")
        for index in sorted(relation.indexes, key=lambda i: (not i.primary, i.name)):
            kind = (
                "PRIMARY KEY, " if index.primary else "UNIQUE, " if index.unique and index.name.endswith("_idx") else ""
            )
            if index.unique and not index.primary and index.name.endswith("_key"):
                kind = "UNIQUE CONSTRAINT, "
            footers.append(f'    "{index.name}" {kind}btree ({", ".join(index.columns)})')
    title = f'{"Table" if relation.kind == "r" else "View"} "{relation.schema}.{relation.name}"'
    return _table(
        title, ["Column", "Type", "Collation", "Nullable", "Default"], rows, footers=footers, counted=False, plain=True
    )


def _privileges(session: Session, pattern: str, plus: bool) -> Answers:
    rows: list[list[str | None]] = [
        [r.schema, r.name, "table" if r.kind == "r" else "view", _acl(r.acl, r.owner), "", ""]
        for r in _matching(session, pattern, "rv")
    ]
    names = ["Schema", "Name", "Type", "Access privileges", "Column privileges", "Policies"]
    return [_table("Access privileges", names, rows, counted=True)]


def _extensions(session: Session, pattern: str, plus: bool) -> Answers:
    rows: list[list[str | None]] = [
        [n, "1.0", "pg_catalog" if n == "plpgsql" else "public", ""] for n in sorted(session.catalog.extensions)
    ]
    return [_table("List of installed extensions", ["Name", "Version", "Schema", "Description"], rows, counted=True)]


def _settings(session: Session, pattern: str, plus: bool) -> Answers:
    rows: list[list[str | None]] = []
    for role in session.state.roles.values():
        if role.settings:
            rows.append([role.name, "", "\n".join(f"{k}={v}" for k, v in role.settings.items())])
    for catalog in session.state.catalogs.values():
        if catalog.settings:
            rows.append(["", catalog.name, "\n".join(f"{k}={v}" for k, v in catalog.settings.items())])
    if not rows:
        return [_said("Did not find any settings.")]
    return [_table("List of settings", ["Role", "Database", "Settings"], rows, counted=True)]


def _empty(title: str, names: str) -> Callable[[Session, str, bool], Answers]:
    return lambda session, pattern, plus: [_table(title, names.split("|"), [], counted=True)]


def _connection(session: Session, pattern: str, plus: bool) -> Answers:
    where = f'on host "{pattern}"' if pattern else 'via socket in "/var/run/postgresql"'
    return [
        _told(f'You are connected to database "{session.database}" as user "{session.user}" {where} at port "5432".')
    ]


def _told(text: str) -> dict[str, Any]:
    return {"kind": "told", "text": text}


_COMMANDS: dict[str, Callable[[Session, str, bool], Answers]] = {
    "l": _databases,
    "list": _databases,
    "du": _roles,
    "dg": _roles,
    "dn": _schemas,
    "dt": _listing("r"),
    "dv": _listing("v"),
    "dtv": _listing("rv"),
    "di": _indexes,
    "d": _describe,
    "dp": _privileges,
    "z": _privileges,
    "dx": _extensions,
    "drds": _settings,
    "df": _empty("List of functions", "Schema|Name|Result data type|Argument data types|Type"),
    "ds": lambda session, pattern, plus: [_nothing("relation", pattern)],
    "dm": lambda session, pattern, plus: [_nothing("relation", pattern)],
    "conninfo": _connection,
}

__all__ = ["PgError", "describe"]
