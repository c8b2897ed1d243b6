"""CREATE, ALTER, DROP, GRANT, REVOKE, COMMENT."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.controlling import checked, setting_words
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.evaluate import Context, value_of
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.state import LETTERS, Field, Index, Relation, Role
from stratus.sim.apps.stores.postgres.statements import Answer, execute, statement, tag
from stratus.sim.apps.stores.postgres.tables import settings
from stratus.sim.apps.stores.postgres.values import cast

_FLAGS = ("superuser", "inherit", "createrole", "createdb", "login", "replication", "bypassrls")


def _need_super(session: Session, what: str) -> None:
    if not session.state.is_super(session.user):
        raise PgError(f"permission denied {what}", "42501")


def _need_owner(session: Session, relation: Relation) -> None:
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
        return _role(session, parser, login=word == "user")
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


def _if_not_exists(parser: Parser) -> bool:
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
    quiet = _if_not_exists(parser)
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
        _table_part(session, parser, made)
        if not parser.accept_op(","):
            parser.expect_op(")")
            break
    if parser.accept("with") or parser.accept("tablespace") or parser.accept("inherits") or parser.accept("partition"):
        raise unsupported("this kind of table")
    parser.end()
    session.catalog.relations[schema, name] = made
    session.lock(made, "AccessExclusiveLock")
    return tag("CREATE TABLE")


def _table_part(session: Session, parser: Parser, made: Relation) -> None:
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
    _column_rules(session, parser, made, made.columns[-1])


def _column_rules(session: Session, parser: Parser, made: Relation, column: Field) -> None:
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
    quiet = _if_not_exists(parser)
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
    quiet = _if_not_exists(parser)
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
    quiet = _if_not_exists(parser)
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
    _need_owner(session, relation)
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


# roles


def _role(session: Session, parser: Parser, *, login: bool) -> Answer:
    name = parser.label()
    me = session.state.roles.get(session.user)
    if me is None or not (me.createrole or me.superuser):
        raise PgError("permission denied to create role", "42501")
    if name in session.state.roles:
        raise PgError(f'role "{name}" already exists', "42710")
    role = Role(name, session.state.oid(), login=login)
    _role_options(session, parser, role)
    session.state.roles[name] = role
    return tag("CREATE ROLE")


def _role_options(session: Session, parser: Parser, role: Role) -> None:
    parser.accept("with")
    while parser.peek().kind != "end":
        token = parser.take()
        word = token.value
        if word in _FLAGS:
            setattr(role, word, True)
        elif word.startswith("no") and word[2:] in _FLAGS:
            setattr(role, word[2:], False)
        elif word in ("password", "encrypted", "unencrypted"):
            if word != "password":
                parser.expect("password")
            role.password = "" if parser.accept("null") else parser.string()
        elif word == "connection":
            parser.expect("limit")
            sign = -1 if parser.accept_op("-") else 1
            role.limit = sign * int(parser.take().text)
        elif word == "valid":
            parser.expect("until")
            text = parser.string()
            role.until = 0.0 if text == "infinity" else cast(text, "timestamp with time zone").timestamp()
        elif word == "in":
            if not parser.accept("role"):
                parser.expect("group")
            role.member_of.append(parser.label())
        elif word in ("sysid", "admin", "role", "user"):
            parser.take()
        else:
            parser.at -= 1
            raise PgError(f'unrecognized role option "{word}"', "42601", position=token.at)


# alter


@statement("alter")
def _alter(session: Session, parser: Parser) -> Answer:
    word = parser.take().value
    if word in ("role", "user", "group"):
        return _alter_role(session, parser)
    if word == "system":
        return _alter_system(session, parser)
    if word == "database":
        return _alter_database(session, parser)
    if word in ("table", "view"):
        return _alter_table(session, parser)
    if word == "schema":
        name = parser.label()
        if name not in session.catalog.schemas:
            raise PgError(f'schema "{name}" does not exist', "3F000")
        if parser.accept("owner", "to"):
            session.catalog.schemas[name] = parser.label()
        elif parser.accept("rename", "to"):
            session.catalog.schemas[parser.peek().value] = session.catalog.schemas.pop(name)
            for key in [k for k in session.catalog.relations if k[0] == name]:
                moved = session.catalog.relations.pop(key)
                moved.schema = parser.peek().value
                session.catalog.relations[moved.schema, moved.name] = moved
        return tag("ALTER SCHEMA")
    parser.at -= 1
    if word in ("default", "sequence", "index", "function", "type", "extension", "policy"):
        raise unsupported(f"ALTER {word.upper()}")
    raise parser.wrong()


def _alter_role(session: Session, parser: Parser) -> Answer:
    name = session.user if parser.accept("current_user") else parser.label()
    role = session.state.roles.get(name)
    if role is None:
        raise PgError(f'role "{name}" does not exist', "42704")
    me = session.state.roles.get(session.user)
    own = name == session.user and parser.is_word("set")
    if me is None or not (
        me.superuser or (me.createrole and not role.superuser) or own or _own_password(parser, name, session)
    ):
        raise PgError("permission denied to alter role", "42501", detail=_role_detail(role, session))
    if parser.accept("rename", "to"):
        role.name = parser.label()
        session.state.roles = {role.name if n == name else n: r for n, r in session.state.roles.items()}
        return tag("ALTER ROLE")
    if parser.accept("in", "database"):
        parser.label()
    if parser.accept("set"):
        key = _setting_name(parser)
        role.settings[key] = _setting_value(parser, key, kept=False)
    elif parser.accept("reset"):
        if parser.accept("all"):
            role.settings.clear()
        else:
            role.settings.pop(_setting_name(parser), None)
    else:
        _role_options(session, parser, role)
    return tag("ALTER ROLE")


def _own_password(parser: Parser, name: str, session: Session) -> bool:
    return name == session.user and (parser.is_word("password") or parser.is_word("with", "password"))


def _role_detail(role: Role, session: Session) -> str:
    if session.state.major() < 16:
        return ""
    attribute = "SUPERUSER" if role.superuser else "CREATEROLE"
    if role.superuser:
        return f"Only roles with the {attribute} attribute may alter roles with the {attribute} attribute."
    return f'Only roles with the {attribute} attribute and the ADMIN option on role "{role.name}" may alter this role.'


def _setting_name(parser: Parser) -> str:
    given = parser.label()
    found = {n.lower(): n for n in settings()}.get(given)
    if found is None:
        raise PgError(f'unrecognized configuration parameter "{given}"', "42704")
    return found


def _setting_value(parser: Parser, name: str, *, kept: bool = True) -> str:
    """Read a setting's value; `kept` in its unit, as the server keeps it, else as it was given."""
    if not parser.accept("to"):
        parser.expect_op("=")
    if parser.accept("default"):
        return settings()[name].value
    given = setting_words(parser)
    value = checked(name, given)
    return value if kept else given


def _alter_system(session: Session, parser: Parser) -> Answer:
    if session.block:
        raise PgError("ALTER SYSTEM cannot run inside a transaction block", "25001")
    reset = parser.accept("reset")
    if not reset:
        parser.expect("set")
    if reset and parser.accept("all"):
        _need_super(session, "to perform ALTER SYSTEM RESET ALL")
        session.state.saved.clear()
        return tag("ALTER SYSTEM")
    name = _setting_name(parser)
    if not session.state.is_super(session.user):
        raise PgError(f'permission denied to set parameter "{name}"', "42501")
    if settings()[name].context == "internal":
        raise PgError(f'parameter "{name}" cannot be changed', "55P02")
    if reset:
        session.state.saved.pop(name, None)
    else:
        session.state.saved[name] = _setting_value(parser, name)
    return tag("ALTER SYSTEM")


def reload(session: Session) -> None:
    """Let the saved settings count that need no restart."""
    state = session.state
    for name in {*state.saved, *state.config}:
        if settings()[name].context in ("postmaster", "internal"):
            continue
        if name in state.saved:
            state.config[name] = state.saved[name]
        else:
            state.config.pop(name, None)
    state.reloaded = session.moment


def _alter_database(session: Session, parser: Parser) -> Answer:
    name = parser.label()
    catalog = session.state.catalogs.get(name)
    if catalog is None:
        raise PgError(f'database "{name}" does not exist', "3D000")
    if not session.state.is_super(session.user) and not session.state.reaches(session.user, catalog.owner):
        raise PgError(f"must be owner of database {name}", "42501")
    parser.accept("with")
    if parser.accept("set"):
        key = _setting_name(parser)
        catalog.settings[key] = _setting_value(parser, key, kept=False)
    elif parser.accept("reset"):
        if parser.accept("all"):
            catalog.settings.clear()
        else:
            catalog.settings.pop(_setting_name(parser), None)
    elif parser.accept("owner", "to"):
        catalog.owner = parser.label()
    elif parser.accept("rename", "to"):
        if name == session.database:
            raise PgError("current database cannot be renamed", "0A000")
        catalog.name = parser.label()
        session.state.catalogs = {catalog.name if n == name else n: c for n, c in session.state.catalogs.items()}
    elif parser.accept("connection", "limit"):
        sign = -1 if parser.accept_op("-") else 1
        catalog.limit = sign * int(parser.take().text)
    elif parser.accept("allow_connections"):
        parser.accept_op("=")
        catalog.allowed = parser.take().value in ("true", "on")
    else:
        raise parser.wrong()
    return tag("ALTER DATABASE")


def _alter_table(session: Session, parser: Parser) -> Answer:
    quiet = parser.accept("if", "exists")
    parser.accept("only")
    at = parser.peek().at
    name = parser.qualified()
    try:
        relation = session.find(name, at)
    except PgError as error:
        if not quiet or error.code != "42P01":
            raise PgError(error.message, error.code) from None
        session.notice(f'relation "{name[-1]}" does not exist, skipping')
        return tag("ALTER TABLE")
    _need_owner(session, relation)
    session.lock(relation, "AccessExclusiveLock")
    while True:
        _alteration(session, parser, relation)
        if not parser.accept_op(","):
            break
    parser.end()
    return tag("ALTER TABLE")


def _alteration(session: Session, parser: Parser, relation: Relation) -> None:
    relations = session.catalog.relations
    if parser.accept("rename"):
        if parser.accept("to"):
            del relations[relation.schema, relation.name]
            relation.name = parser.label()
            relations[relation.schema, relation.name] = relation
            return
        parser.accept("column")
        column = _field(parser, relation)
        parser.expect("to")
        column.name = parser.label()
    elif parser.accept("set", "schema"):
        del relations[relation.schema, relation.name]
        relation.schema = parser.label()
        relations[relation.schema, relation.name] = relation
    elif parser.accept("owner", "to"):
        relation.owner = parser.label()
    elif parser.accept("add"):
        if (
            parser.is_word("constraint")
            or parser.is_word("primary")
            or parser.is_word("unique")
            or parser.is_word("foreign")
        ):
            _table_part(session, parser, relation)
            return
        parser.accept("column")
        quiet = _if_not_exists(parser)
        name = parser.label()
        if name in relation.names():
            if quiet:
                session.notice(f'column "{name}" of relation "{relation.name}" already exists, skipping')
                return
            raise PgError(f'column "{name}" of relation "{relation.name}" already exists', "42701")
        column = Field(name, parser.type_name())
        relation.columns.append(column)
        _column_rules(session, parser, relation, column)
        value = (
            value_of(Parser(column.default).expression(), Context(session))
            if column.default and "nextval" not in column.default
            else None
        )
        for row in relation.rows:
            row.append(cast(value, column.type))
    elif parser.accept("drop"):
        if parser.accept("constraint"):
            label = parser.label()
            if not any(i.name == label for i in relation.indexes):
                raise PgError(f'constraint "{label}" of relation "{relation.name}" does not exist', "42704")
            relation.indexes = [i for i in relation.indexes if i.name != label]
            return
        parser.accept("column")
        parser.accept("if", "exists")
        at = relation.columns.index(_field(parser, relation))
        gone = relation.columns.pop(at).name
        relation.indexes = [i for i in relation.indexes if gone not in i.columns]
        for row in relation.rows:
            del row[at]
        parser.accept("cascade")
    elif parser.accept("alter"):
        parser.accept("column")
        column = _field(parser, relation)
        if parser.accept("set", "not", "null"):
            column.nullable = False
        elif parser.accept("drop", "not", "null"):
            column.nullable = True
        elif parser.accept("drop", "default"):
            column.default = ""
        elif parser.accept("set", "default"):
            start = parser.peek().at
            parser.expression()
            column.default = parser.sql[start : parser.peek().at].strip()
        elif parser.accept("type") or parser.accept("set", "data", "type"):
            kind = parser.type_name()
            if parser.accept("using"):
                parser.expression()
            at = relation.columns.index(column)
            for row in relation.rows:
                row[at] = cast(row[at], kind)
            column.type = kind
        else:
            raise parser.wrong()
    else:
        raise unsupported("this ALTER TABLE")


def _field(parser: Parser, relation: Relation) -> Field:
    name = parser.label()
    found = next((c for c in relation.columns if c.name == name), None)
    if found is None:
        raise PgError(f'column "{name}" of relation "{relation.name}" does not exist', "42703")
    return found


# drop


@statement("drop")
def _drop(session: Session, parser: Parser) -> Answer:
    word = parser.take().value
    if word == "owned":
        raise unsupported("DROP OWNED")
    kind = {"user": "role", "group": "role"}.get(word, word)
    if kind not in ("table", "view", "index", "schema", "database", "role", "extension"):
        parser.at -= 1
        if kind in ("function", "sequence", "type", "trigger", "materialized", "policy"):
            raise unsupported(f"DROP {kind.upper()}")
        raise parser.wrong()
    parser.accept("concurrently")
    quiet = parser.accept("if", "exists")
    names = [parser.qualified()]
    while parser.accept_op(","):
        names.append(parser.qualified())
    cascade = parser.accept("cascade")
    parser.accept("restrict")
    force = parser.accept("with") or parser.accept_op("(")
    for name in names:
        _drop_one(session, kind, name, quiet, cascade or force)
    return tag(f"DROP {kind.upper()}")


def _drop_one(session: Session, kind: str, name: tuple[str, ...], quiet: bool, cascade: bool) -> None:
    state, catalog, bare = session.state, session.catalog, name[-1]

    def absent(text: str, code: str) -> None:
        if not quiet:
            raise PgError(text, code)
        session.notice(f"{text}, skipping")

    if kind in ("table", "view"):
        try:
            relation = session.find(name)
        except PgError:
            return absent(f'{kind} "{bare}" does not exist', "42P01")
        if (relation.kind == "v") != (kind == "view"):
            raise PgError(
                f'"{bare}" is not a {kind}',
                "42809",
                hint=f"Use DROP {'VIEW' if kind == 'table' else 'TABLE'} to remove it.",
            )
        _need_owner(session, relation)
        session.lock(relation, "AccessExclusiveLock")
        del catalog.relations[relation.schema, relation.name]
    elif kind == "index":
        for relation in catalog.relations.values():
            found = next((i for i in relation.indexes if i.name == bare), None)
            if found is not None:
                _need_owner(session, relation)
                session.lock(relation, "AccessExclusiveLock")
                relation.indexes.remove(found)
                return None
        absent(f'index "{bare}" does not exist', "42704")
    elif kind == "schema":
        if bare not in catalog.schemas:
            return absent(f'schema "{bare}" does not exist', "3F000")
        inside = [k for k in catalog.relations if k[0] == bare]
        if inside and not cascade:
            detail = "\n".join(f"table {s}.{n} depends on schema {s}" for s, n in inside)
            raise PgError(
                f"cannot drop schema {bare} because other objects depend on it", "2BP01", detail=detail,
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )  # fmt: skip
        for key in inside:
            del catalog.relations[key]
        del catalog.schemas[bare]
    elif kind == "database":
        if session.block:
            raise PgError("DROP DATABASE cannot run inside a transaction block", "25001")
        found_db = state.catalogs.get(bare)
        if found_db is None:
            return absent(f'database "{bare}" does not exist', "3D000")
        if bare == session.database:
            raise PgError("cannot drop the currently open database", "55006")
        users = sum(1 for p in state.callers.values() if p.database == bare)
        users += sum(1 for b in state.live(session.moment) if b.database == bare)
        if users and not cascade:
            one = users == 1
            count = f"There {'is' if one else 'are'} {users:g} other session{'' if one else 's'} using the database."
            raise PgError(f'database "{bare}" is being accessed by other users', "55006", detail=count)
        if not state.is_super(session.user) and not state.reaches(session.user, found_db.owner):
            raise PgError(f"must be owner of database {bare}", "42501")
        del state.catalogs[bare]
    elif kind == "role":
        if bare not in state.roles:
            return absent(f'role "{bare}" does not exist', "42704")
        if bare == session.user:
            raise PgError("current user cannot be dropped", "55006")
        me = state.roles.get(session.user)
        if me is None or not (me.superuser or me.createrole):
            raise PgError("permission denied to drop role", "42501")
        _check_dependents(session, bare)
        state.drop_user(bare)
    else:
        if bare not in catalog.extensions:
            return absent(f'extension "{bare}" does not exist', "42704")
        catalog.extensions.remove(bare)
    return None


def _check_dependents(session: Session, name: str) -> None:
    lines = []
    for catalog in session.state.catalogs.values():
        if catalog.owner == name:
            lines.append(f"owner of database {catalog.name}")
        elif catalog.acl and name in catalog.acl:
            lines.append(f"privileges for database {catalog.name}")
        if catalog.name != session.database:
            count = sum(1 for r in catalog.relations.values() if r.owner == name or (r.acl and name in r.acl))
            if count:
                lines.append(f"{count} object{'s' if count != 1 else ''} in database {catalog.name}")
            continue
        for schema, acl in catalog.schema_acl.items():
            if name in acl:
                lines.append(f"privileges for schema {schema}")
        for relation in catalog.relations.values():
            if relation.owner == name:
                lines.append(f"owner of table {relation.schema}.{relation.name}")
            elif relation.acl and name in relation.acl:
                lines.append(f"privileges for table {relation.shown()}")
    if lines:
        text = f'role "{name}" cannot be dropped because some objects depend on it'
        raise PgError(text, "2BP01", detail="\n".join(lines))


# rights


@statement("grant", "revoke")
def _grant(session: Session, parser: Parser) -> Answer:
    giving = parser.tokens[0].value == "grant"
    if not giving:
        parser.accept("grant", "option", "for")
    words: list[str] = []
    while not parser.is_word("on") and not parser.is_word("to") and not parser.is_word("from"):
        token = parser.take()
        if token.kind == "end":
            parser.at -= 1
            raise parser.wrong()
        if token.text == "(":
            raise unsupported("rights on columns")
        if token.text != ",":
            words.append(token.value)
    answer = tag("GRANT" if giving else "REVOKE")
    if not parser.accept("on"):
        return _membership(session, parser, words, giving)
    kind = "table"
    everything = False
    if parser.accept("all", "tables", "in", "schema") or parser.accept("all", "sequences", "in", "schema"):
        everything = True
    elif parser.peek().word() in ("table", "database", "schema", "sequence", "function"):
        kind = parser.take().value
    names = [parser.qualified()]
    while parser.accept_op(","):
        names.append(parser.qualified())
    parser.expect("to" if giving else "from")
    roles = _grantees(session, parser)
    letters = _letters(session, words, kind)
    for name in names:
        for role in roles:
            _set_rights(session, kind, name, role, letters, giving, everything)
    return answer


def _grantees(session: Session, parser: Parser) -> list[str]:
    found = []
    while True:
        name = parser.label()
        if name == "public":
            name = ""
        elif name in ("current_user", "session_user"):
            name = session.user
        elif name not in session.state.roles:
            raise PgError(f'role "{name}" does not exist', "42704")
        found.append(name)
        if not parser.accept_op(","):
            break
    parser.accept("with", "grant", "option")
    parser.accept("cascade")
    return found


def _letters(session: Session, words: list[str], kind: str) -> str:
    if words and words[0] == "all":
        return {"table": session.state.all_rights(), "database": "CTc", "schema": "UC", "sequence": "rwU"}.get(
            kind, "X"
        )
    found = ""
    for word in words:
        if word not in LETTERS:
            raise PgError(f'unrecognized privilege type "{word}"', "42601")
        found += LETTERS[word]
    return found


def _membership(session: Session, parser: Parser, names: list[str], giving: bool) -> Answer:
    parser.expect("to" if giving else "from")
    for role in _grantees(session, parser):
        for name in names:
            if name not in session.state.roles:
                raise PgError(f'role "{name}" does not exist', "42704")
            held = session.state.roles[role].member_of
            if giving:
                if name not in held:
                    held.append(name)
                else:
                    session.notice(
                        f'role "{role}" has already been granted membership in role "{name}" by role "{session.user}"'
                    )
            elif name in held:
                held.remove(name)
            else:
                session.notice(f'role "{role}" is not a member of role "{name}"', "WARNING")
    return tag("GRANT ROLE" if giving else "REVOKE ROLE")


def _changed(
    acl: dict[str, str] | None, usual: dict[str, str], role: str, letters: str, giving: bool
) -> dict[str, str]:
    found = dict(usual if acl is None else acl)
    held = found.get(role, "")
    order = "arwdDxtmXUCTc"
    kept = set(held) | set(letters) if giving else set(held) - set(letters)
    if kept:
        found[role] = "".join(c for c in order if c in kept)
    else:
        found.pop(role, None)
    return found


def _set_rights(
    session: Session, kind: str, name: tuple[str, ...], role: str, letters: str, giving: bool, everything: bool
) -> None:
    state, catalog = session.state, session.catalog
    if kind == "database":
        target = state.catalogs.get(name[-1])
        if target is None:
            raise PgError(f'database "{name[-1]}" does not exist', "3D000")
        if not state.reaches(session.user, target.owner) and not state.is_super(session.user):
            raise PgError(f"permission denied for database {name[-1]}", "42501")
        target.acl = _changed(target.acl, {"": "Tc", target.owner: "CTc"}, role, letters, giving)
    elif kind == "schema":
        schema = name[-1]
        if schema not in catalog.schemas:
            raise PgError(f'schema "{schema}" does not exist', "3F000")
        owner = catalog.schemas[schema]
        if not state.is_super(session.user) and not state.reaches(session.user, owner):
            raise PgError(f"permission denied for schema {schema}", "42501")
        catalog.schema_acl[schema] = _changed(catalog.schema_acl.get(schema), {owner: "UC"}, role, letters, giving)
    elif kind == "table":
        if everything and name[-1] not in catalog.schemas:
            raise PgError(f'schema "{name[-1]}" does not exist', "3F000")
        relations = (
            [r for r in catalog.relations.values() if r.schema == name[-1]] if everything else [session.find(name)]
        )
        for relation in relations:
            if not state.is_super(session.user) and not state.reaches(session.user, relation.owner):
                raise PgError(f"permission denied for table {relation.name}", "42501")
            relation.acl = _changed(relation.acl, {relation.owner: state.all_rights()}, role, letters, giving)


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


__all__ = ["execute", "reload"]
