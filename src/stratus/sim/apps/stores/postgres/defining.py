"""CREATE, and what else makes something."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.objects import Field, Index, Relation
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.roles import make_role
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.statements import Answer, statement, tag


def need_super(session: Session, what: str) -> None:
    if not session.state.is_super(session.user):
        raise PgError(f"permission denied {what}", "42501")


def need_owner(session: Session, relation: Relation) -> None:
    if not session.state.is_super(session.user) and not session.state.reaches(session.user, relation.owner):
        raise PgError(f"must be owner of table {relation.name}", "42501")


# create
@statement("create")
def _create(session: Session, parser: Parser) -> Answer:
    for word in ("or", "replace", "temp", "temporary", "unlogged", "global", "local"):
        parser.accept(word)
    unique = parser.accept("unique")
    word = parser.take().value
    makers = {
        "table": _table, "view": _view, "schema": _schema, "database": _database, "extension": _extension,
    }  # fmt: skip
    if word in makers:
        return makers[word](session, parser)
    if word == "index":
        return _index(session, parser, unique)
    if word in ("role", "user", "group"):
        return make_role(session, parser, login=word == "user")
    parser.at -= 1
    if word in (
        "function",
        "procedure",
        "trigger",
        "type",
        "sequence",
        "materialized",
        "policy",
        "rule",
        "domain",
        "aggregate",
    ):
        raise unsupported(f"CREATE {word.upper()}")
    raise parser.wrong()


def if_not_exists(parser: Parser) -> bool:
    return parser.accept("if", "not", "exists")


def _place(session: Session, name: tuple[str, ...], at: int) -> tuple[str, str]:
    """Return (schema, name) of something to be created."""
    if len(name) > 1:
        schema = name[-2]
        if schema not in session.catalog.schemas:
            raise PgError(f'schema "{schema}" does not exist', "3F000", position=at)
    else:
        schema = next((s for s in session.path() if s in session.catalog.schemas), "")
        if not schema:
            raise PgError("no schema has been selected to create in", "3F000", position=at)
    owner = session.catalog.schemas[schema]
    owner = session.catalog.owner if owner.startswith("pg_") else owner
    if not session.state.allowed(session.user, session.catalog.schema_acl.get(schema, {}), owner, "C"):
        raise PgError(f"permission denied for schema {schema}", "42501", position=at)
    return schema, name[-1]


def _table(session: Session, parser: Parser) -> Answer:
    quiet = if_not_exists(parser)
    at = parser.peek().at
    schema, name = _place(session, parser.qualified(), at)
    if (schema, name) in session.catalog.relations:
        if not quiet:
            raise PgError(f'relation "{name}" already exists', "42P07")
        session.notice(f'relation "{name}" already exists, skipping')
        return tag("CREATE TABLE")
    made = Relation(name, schema, session.user, session.state.oid())
    if parser.accept("as"):
        from stratus.sim.apps.stores.postgres.select import run_select
        from stratus.sim.apps.stores.postgres.values import type_of

        names, rows = run_select(parser.query(), session)
        parser.end()
        kinds = [next((type_of(r[n]) for r in rows if r[n] is not None), "text") for n in range(len(names))]
        made.columns = [Field(n, k) for n, k in zip(names, kinds, strict=True)]
        made.rows = rows
        session.catalog.relations[schema, name] = made
        return tag(f"SELECT {len(rows)}")
    parser.expect_op("(")
    while not parser.accept_op(")"):
        table_part(session, parser, made)
        if not parser.accept_op(","):
            parser.expect_op(")")
            break
    if parser.accept("with") or parser.accept("tablespace") or parser.accept("inherits") or parser.accept("partition"):
        raise unsupported("this kind of table")
    parser.end()
    session.catalog.relations[schema, name] = made
    session.lock(made, "AccessExclusiveLock")
    return tag("CREATE TABLE")


def table_part(session: Session, parser: Parser, made: Relation) -> None:
    if parser.accept("constraint"):
        parser.label()
    if (
        parser.is_word("primary", "key")
        or parser.is_word("unique")
        or parser.is_word("foreign")
        or parser.is_word("check")
    ):
        _constraint(session, parser, made)
        return
    name = parser.label()
    if name in made.names():
        raise PgError(f'column "{name}" specified more than once', "42701")
    serial = parser.peek().word() in ("serial", "bigserial")
    made.columns.append(Field(name, parser.type_name()))
    if serial:
        made.columns[-1].nullable = False
        made.columns[-1].default = f"nextval('{made.name}_{name}_seq'::regclass)"
    column_rules(session, parser, made, made.columns[-1])


def column_rules(session: Session, parser: Parser, made: Relation, column: Field) -> None:
    while not parser.is_op(",", ")") and parser.peek().kind != "end":
        if parser.accept("constraint"):
            parser.label()
        if parser.accept("not", "null"):
            column.nullable = False
        elif parser.accept("null"):
            column.nullable = True
        elif parser.accept("primary", "key"):
            column.nullable = False
            made.indexes.append(Index(f"{made.name}_pkey", [column.name], True, True, session.state.oid()))
        elif parser.accept("unique"):
            made.indexes.append(
                Index(f"{made.name}_{column.name}_key", [column.name], True, False, session.state.oid())
            )
        elif parser.accept("default"):
            start = parser.peek().at
            parser.expression()
            column.default = parser.sql[start : parser.peek().at].strip()
        elif parser.accept("references"):
            parser.qualified()
            _skip_group(parser)
            while parser.accept("on"):
                parser.take()
                parser.take()
        elif parser.accept("check"):
            _skip_group(parser)
        elif parser.accept("generated"):
            while not parser.is_op(",", ")") and parser.peek().kind != "end":
                parser.take()
            column.nullable = False
            column.default = f"nextval('{made.name}_{column.name}_seq'::regclass)"
        else:
            raise parser.wrong()


def _skip_group(parser: Parser) -> list[str]:
    """Go past something in parentheses; return its words."""
    words: list[str] = []
    if not parser.accept_op("("):
        return words
    depth = 1
    while depth:
        token = parser.take()
        if token.kind == "end":
            parser.at -= 1
            raise parser.wrong()
        if token.kind == "op" and token.text in "()":
            depth += 1 if token.text == "(" else -1
        else:
            words.append(token.value)
    return words


def _constraint(session: Session, parser: Parser, made: Relation) -> None:
    word = parser.take().value
    if word in ("primary", "foreign"):
        parser.expect("key")
    columns = [w for w in _skip_group(parser) if w != ","]
    if word in ("primary", "unique"):
        for name in columns:
            if name not in made.names():
                raise PgError(f'column "{name}" named in key does not exist', "42703")
        label = f"{made.name}_pkey" if word == "primary" else f"{made.name}_{'_'.join(columns)}_key"
        made.indexes.append(Index(label, columns, True, word == "primary", session.state.oid()))
        for column in made.columns:
            if word == "primary" and column.name in columns:
                column.nullable = False
    elif word == "foreign":
        parser.expect("references")
        parser.qualified()
        _skip_group(parser)
        while parser.accept("on"):
            parser.take()
            parser.take()


def _view(session: Session, parser: Parser) -> Answer:
    at = parser.peek().at
    schema, name = _place(session, parser.qualified(), at)
    parser.expect("as")
    text = parser.sql[parser.peek().at :]
    from stratus.sim.apps.stores.postgres.select import run_select

    names, _ = run_select(Parser(text).query(), session)
    made = Relation(name, schema, session.user, session.state.oid(), "v", query=text)
    made.columns = [Field(n, "text") for n in names]
    session.catalog.relations[schema, name] = made
    return tag("CREATE VIEW")


def _schema(session: Session, parser: Parser) -> Answer:
    quiet = if_not_exists(parser)
    name = parser.label()
    if not session.state.allowed(session.user, session.catalog.acl, session.catalog.owner, "C"):
        raise PgError(f"permission denied for database {session.database}", "42501")
    if name in session.catalog.schemas:
        if not quiet:
            raise PgError(f'schema "{name}" already exists', "42P06")
        session.notice(f'schema "{name}" already exists, skipping')
    else:
        session.catalog.schemas[name] = parser.label() if parser.accept("authorization") else session.user
    return tag("CREATE SCHEMA")


def _database(session: Session, parser: Parser) -> Answer:
    name = parser.label()
    if session.block:
        raise PgError("CREATE DATABASE cannot run inside a transaction block", "25001")
    role = session.state.roles.get(session.user)
    if role is None or not (role.createdb or role.superuser):
        raise PgError("permission denied to create database", "42501")
    if name in session.state.catalogs:
        raise PgError(f'database "{name}" already exists', "42P04")
    owner = session.user
    while parser.peek().kind != "end":
        if parser.accept("owner"):
            parser.accept_op("=")
            owner = parser.label()
            if owner not in session.state.roles:
                raise PgError(f'role "{owner}" does not exist', "42704")
        else:
            parser.take()
    session.state.make_database(name, owner)
    return tag("CREATE DATABASE")


def _extension(session: Session, parser: Parser) -> Answer:
    quiet = if_not_exists(parser)
    name = parser.label()
    if name in session.catalog.extensions:
        if not quiet:
            raise PgError(f'extension "{name}" already exists', "42710")
        session.notice(f'extension "{name}" already exists, skipping')
        return tag("CREATE EXTENSION")
    if name not in (
        "pg_stat_statements",
        "pgcrypto",
        "uuid-ossp",
        "pg_trgm",
        "hstore",
        "pgstattuple",
        "pg_buffercache",
    ):
        raise PgError(
            f'extension "{name}" is not available',
            "0A000",
            hint="The extension must first be installed on the system where PostgreSQL is running.",
        )
    session.catalog.extensions.append(name)
    return tag("CREATE EXTENSION")


def _index(session: Session, parser: Parser, unique: bool) -> Answer:
    concurrently = parser.accept("concurrently")
    quiet = if_not_exists(parser)
    name = "" if parser.is_word("on") else parser.label()
    parser.expect("on")
    parser.accept("only")
    at = parser.peek().at
    relation = session.find(parser.qualified(), at)
    if parser.accept("using"):
        parser.label()
    words = _skip_group(parser)
    columns = [w for w in words if w not in (",", "desc", "asc", "nulls", "first", "last")]
    for column in columns:
        if column not in relation.names():
            raise PgError(f'column "{column}" does not exist', "42703")
    need_owner(session, relation)
    name = name or f"{relation.name}_{'_'.join(columns)}_idx"
    if any(i.name == name for r in session.catalog.relations.values() for i in r.indexes):
        if not quiet:
            raise PgError(f'relation "{name}" already exists', "42P07")
        session.notice(f'relation "{name}" already exists, skipping')
        return tag("CREATE INDEX")
    if not concurrently:
        session.lock(relation, "ShareLock")
    relation.indexes.append(Index(name, columns, unique, False, session.state.oid()))
    return tag("CREATE INDEX")


@statement("comment", "reassign")
def _comment(session: Session, parser: Parser) -> Answer:
    if parser.tokens[0].value == "reassign":
        parser.expect("owned", "by")
        old = parser.label()
        parser.expect("to")
        new = parser.label()
        for relation in session.catalog.relations.values():
            relation.owner = new if relation.owner == old else relation.owner
        return tag("REASSIGN OWNED")
    return tag("COMMENT")
