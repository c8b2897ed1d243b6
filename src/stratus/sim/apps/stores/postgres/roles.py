"""Roles: CREATE, ALTER, and what depends on one."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.controlling import setting_name, setting_value
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.objects import Role
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.statements import Answer, tag
from stratus.sim.apps.stores.postgres.values import cast

_FLAGS = ("superuser", "inherit", "createrole", "createdb", "login", "replication", "bypassrls")


# roles
def make_role(session: Session, parser: Parser, *, login: bool) -> Answer:
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


def alter_role(session: Session, parser: Parser) -> Answer:
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
        key = setting_name(parser)
        role.settings[key] = setting_value(parser, key, kept=False)
    elif parser.accept("reset"):
        if parser.accept("all"):
            role.settings.clear()
        else:
            role.settings.pop(setting_name(parser), None)
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


def check_dependents(session: Session, name: str) -> None:
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
