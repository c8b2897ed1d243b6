"""ALTER."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.controlling import setting_name, setting_value
from stratus.sim.apps.stores.postgres.defining import column_rules, if_not_exists, need_owner, need_super, table_part
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.evaluate import Context, value_of
from stratus.sim.apps.stores.postgres.objects import Field, Relation
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.roles import alter_role
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.statements import Answer, statement, tag
from stratus.sim.apps.stores.postgres.tables import settings
from stratus.sim.apps.stores.postgres.values import cast


# alter
@statement("alter")
def _alter(session: Session, parser: Parser) -> Answer:
    word = parser.take().value
    if word in ("role", "user", "group"):
        return alter_role(session, parser)
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


def _alter_system(session: Session, parser: Parser) -> Answer:
    if session.block:
        raise PgError("ALTER SYSTEM cannot run inside a transaction block", "25001")
    reset = parser.accept("reset")
    if not reset:
        parser.expect("set")
    if reset and parser.accept("all"):
        need_super(session, "to perform ALTER SYSTEM RESET ALL")
        session.state.saved.clear()
        return tag("ALTER SYSTEM")
    name = setting_name(parser)
    if not session.state.is_super(session.user):
        raise PgError(f'permission denied to set parameter "{name}"', "42501")
    if settings()[name].context == "internal":
        raise PgError(f'parameter "{name}" cannot be changed', "55P02")
    if reset:
        session.state.saved.pop(name, None)
    else:
        session.state.saved[name] = setting_value(parser, name)
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
        key = setting_name(parser)
        catalog.settings[key] = setting_value(parser, key, kept=False)
    elif parser.accept("reset"):
        if parser.accept("all"):
            catalog.settings.clear()
        else:
            catalog.settings.pop(setting_name(parser), None)
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
    need_owner(session, relation)
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
            table_part(session, parser, relation)
            return
        parser.accept("column")
        quiet = if_not_exists(parser)
        name = parser.label()
        if name in relation.names():
            if quiet:
                session.notice(f'column "{name}" of relation "{relation.name}" already exists, skipping')
                return
            raise PgError(f'column "{name}" of relation "{relation.name}" already exists', "42701")
        column = Field(name, parser.type_name())
        relation.columns.append(column)
        column_rules(session, parser, relation, column)
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
