"""GRANT and REVOKE."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.state import LETTERS
from stratus.sim.apps.stores.postgres.statements import Answer, statement, tag


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
