"""DROP."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.defining import need_owner
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.roles import check_dependents
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.statements import Answer, statement, tag


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
        need_owner(session, relation)
        session.lock(relation, "AccessExclusiveLock")
        del catalog.relations[relation.schema, relation.name]
    elif kind == "index":
        for relation in catalog.relations.values():
            found = next((i for i in relation.indexes if i.name == bare), None)
            if found is not None:
                need_owner(session, relation)
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
        check_dependents(session, bare)
        state.drop_user(bare)
    else:
        if bare not in catalog.extensions:
            return absent(f'extension "{bare}" does not exist', "42704")
        catalog.extensions.remove(bare)
    return None
