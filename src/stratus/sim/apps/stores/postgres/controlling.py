"""Transactions, settings, locks, and the statements that look after tables."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.locks import NAMES
from stratus.sim.apps.stores.postgres.objects import Relation
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.select import run_select
from stratus.sim.apps.stores.postgres.session import Session, as_rows
from stratus.sim.apps.stores.postgres.statements import Answer, execute, statement, tag
from stratus.sim.apps.stores.postgres.tables import settings, shown, stored

_ISOLATION = (
    "isolation",
    "level",
    "read",
    "committed",
    "uncommitted",
    "repeatable",
    "serializable",
    "write",
    "only",
    ",",
)


def _modes(session: Session, parser: Parser) -> None:
    while parser.peek().value in _ISOLATION or parser.is_op(","):
        if parser.accept("read", "only"):
            session.own["transaction_read_only"] = "on"
            continue
        parser.take()
    parser.end()


@statement("begin", "start")
def _begin(session: Session, parser: Parser) -> Answer:
    word = parser.tokens[0].value
    if word == "start":
        parser.expect("transaction")
    elif not parser.accept("transaction"):
        parser.accept("work")
    _modes(session, parser)
    if session.block:
        session.notice("there is already a transaction in progress", "WARNING")
    session.block = True
    session.begun = session.moment
    return tag("BEGIN" if word == "begin" else "START TRANSACTION")


@statement("commit", "end")
def _commit(session: Session, parser: Parser) -> Answer:
    if not parser.accept("transaction"):
        parser.accept("work")
    parser.end()
    if not session.block:
        session.notice("there is no transaction in progress", "WARNING")
    failed = session.failed
    session.own.pop("transaction_read_only", None)
    session.finish(keep=not failed)
    return tag("ROLLBACK" if failed else "COMMIT")


@statement("rollback", "abort")
def _rollback(session: Session, parser: Parser) -> Answer:
    if not parser.accept("transaction"):
        parser.accept("work")
    if parser.accept("to"):
        raise unsupported("ROLLBACK TO SAVEPOINT")
    parser.end()
    if not session.block:
        session.notice("there is no transaction in progress", "WARNING")
    session.own.pop("transaction_read_only", None)
    session.finish(keep=False)
    return tag("ROLLBACK")


@statement("savepoint", "release")
def _savepoint(session: Session, parser: Parser) -> Answer:
    word = parser.tokens[0].value
    if not session.block:
        raise PgError(f"{word.upper()} can only be used in transaction blocks", "25P01")
    raise unsupported("a savepoint")


# settings


def _known(name: str) -> str:
    found = {n.lower(): n for n in settings()}.get(name.lower(), "")
    if not found and "." in name:
        return ""
    if not found:
        raise PgError(f'unrecognized configuration parameter "{name}"', "42704")
    return found


def setting_words(parser: Parser) -> str:
    """Read a setting's value: one or more words with commas between them."""
    words = []
    while True:
        token = parser.take()
        if token.kind in ("end",):
            raise parser.wrong()
        text = token.value if token.kind in ("string", "name", "quoted") else token.text
        if token.kind == "op" and token.text == "-":
            text = "-" + parser.take().text
        words.append(f'"{text}"' if token.kind == "quoted" else text)
        if not parser.accept_op(","):
            return ", ".join(words)


def checked(name: str, value: str) -> str:
    """Return a setting's value as it is kept.

    Raises:
        PgError: it is not one for that setting.
    """
    found = stored(name, value)
    known = settings()[name]
    if found is not None:
        if known.vartype == "integer" and known.low and not int(known.low) <= float(found) <= int(known.high):
            unit = f" {known.unit}" if known.unit else ""
            text = f"{found}{unit} is outside the valid range for parameter"
            raise PgError(f'{text} "{name}" ({known.low}{unit} .. {known.high}{unit})', "22023")
        return found
    if known.vartype == "bool":
        raise PgError(f'parameter "{name}" requires a Boolean value', "22023")
    hint = ""
    if known.vartype == "enum":
        hint = f"Available values: {', '.join(known.choices)}."
    elif known.unit in ("8kB", "kB", "B", "MB") and value[:1].isdigit():
        hint = 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".'
    elif known.unit in ("ms", "s", "min") and value[:1].isdigit():
        hint = 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".'
    raise PgError(f'invalid value for parameter "{name}": "{value}"', "22023", hint=hint)


def setting_name(parser: Parser) -> str:
    """Read the name of a setting."""
    given = parser.label()
    found = {n.lower(): n for n in settings()}.get(given)
    if found is None:
        raise PgError(f'unrecognized configuration parameter "{given}"', "42704")
    return found


def setting_value(parser: Parser, name: str, *, kept: bool = True) -> str:
    """Read a setting's value; `kept` in its unit, as the server keeps it, else as it was given."""
    if not parser.accept("to"):
        parser.expect_op("=")
    if parser.accept("default"):
        return settings()[name].value
    given = setting_words(parser)
    value = checked(name, given)
    return value if kept else given


@statement("set")
def _set(session: Session, parser: Parser) -> Answer:
    if parser.accept("local") or parser.accept("session"):
        pass
    if parser.accept("transaction") or parser.accept("characteristics", "as", "transaction"):
        _modes(session, parser)
        return tag("SET")
    if parser.accept("role"):
        name = parser.label()
        if name not in session.state.roles:
            raise PgError(f'role "{name}" does not exist', "22023")
        if not session.state.is_super(session.session_user) and not session.state.reaches(session.session_user, name):
            raise PgError(f'permission denied to set role "{name}"', "42501")
        session.user = name
        return tag("SET")
    if parser.accept("time", "zone"):
        session.own["TimeZone"] = setting_words(parser)
        return tag("SET")
    given = parser.label()
    while parser.accept_op("."):
        given += "." + parser.label()
    name = _known(given)
    if not parser.accept("to"):
        parser.expect_op("=")
    if parser.accept("default"):
        session.own.pop(name, None)
        return tag("SET")
    value = setting_words(parser)
    parser.end()
    if not name:
        session.own[given] = value
        return tag("SET")
    context = settings()[name].context
    if context in ("postmaster", "internal"):
        what = "cannot be changed without restarting the server" if context == "postmaster" else "cannot be changed"
        raise PgError(f'parameter "{name}" {what}', "55P02")
    if context == "sighup":
        raise PgError(f'parameter "{name}" cannot be changed now', "55P02")
    if context == "superuser" and not session.state.is_super(session.user):
        raise PgError(f'permission denied to set parameter "{name}"', "42501")
    session.own[name] = checked(name, value)
    return tag("SET")


@statement("reset")
def _reset(session: Session, parser: Parser) -> Answer:
    if parser.accept("all"):
        session.own.clear()
        return tag("RESET")
    if parser.is_word("role"):
        session.user = session.session_user
        return tag("RESET")
    session.own.pop(_known(parser.label()), None)
    return tag("RESET")


@statement("show")
def _show(session: Session, parser: Parser) -> Answer:
    if parser.accept("all"):
        rows = [[n, shown(n, session.setting(n)), s.short] for n, s in sorted(settings().items())]
        return as_rows(["name", "setting", "description"], rows, "SHOW")
    if parser.accept("time", "zone"):
        return as_rows(["TimeZone"], [[session.setting("TimeZone")]], "SHOW")
    if parser.accept("transaction", "isolation", "level"):
        return as_rows(["transaction_isolation"], [["read committed"]], "SHOW")
    given = parser.label()
    while parser.accept_op("."):
        given += "." + parser.label()
    if given in ("server_version", "server_version_num"):
        text = session.state.version
        if given.endswith("num"):
            major, _, minor = text.partition(".")
            text = f"{int(major or 0) * 10000 + int(minor or 0)}"
        return as_rows([given], [[text]], "SHOW")
    name = _known(given)
    if not name:
        if given not in session.own:
            raise PgError(f'unrecognized configuration parameter "{given}"', "42704")
        return as_rows([given], [[session.own[given]]], "SHOW")
    return as_rows([name], [[shown(name, session.setting(name))]], "SHOW")


# locks and upkeep


@statement("lock")
def _lock(session: Session, parser: Parser) -> Answer:
    parser.accept("table")
    parser.accept("only")
    relations = []
    while True:
        at = parser.peek().at
        relations.append(session.find(parser.qualified(), at))
        if not parser.accept_op(","):
            break
    mode = "AccessExclusiveLock"
    if parser.accept("in"):
        words = []
        while not parser.is_word("mode"):
            if parser.peek().kind != "name":
                raise parser.wrong()
            words.append(parser.take().value)
        parser.take()
        mode = NAMES.get("".join(words), "")
        if not mode:
            raise parser.wrong()
    nowait = parser.accept("nowait")
    parser.end()
    if not session.block:
        raise PgError("LOCK TABLE can only be used in transaction blocks", "25P01")
    for relation in relations:
        if not session.state.may_use(session.user, session.catalog, relation, "w"):
            raise PgError(f"permission denied for table {relation.name}", "42501")
        before = session.waited
        if nowait and any(o == relation.oid for b in session.state.live(session.moment) for o, _ in b.locks):
            raise PgError(f'could not obtain lock on relation "{relation.name}"', "55P03")
        session.lock(relation, mode)
        session.slept += session.waited - before
    return tag("LOCK TABLE")


def _tables(session: Session, parser: Parser) -> list[Relation]:
    if parser.is_op("("):
        while not parser.accept_op(")"):
            if parser.take().kind == "end":
                raise parser.wrong()
    for word in ("full", "freeze", "verbose", "analyze"):
        parser.accept(word)
    if parser.peek().kind == "end":
        return [r for r in session.catalog.relations.values() if r.kind == "r"]
    found = []
    while True:
        at = parser.peek().at
        found.append(session.find(parser.qualified(), at))
        if not parser.accept_op(","):
            return found


@statement("vacuum", "analyze", "analyse", "reindex", "checkpoint", "cluster", "discard", "refresh")
def _upkeep(session: Session, parser: Parser) -> Answer:
    word = parser.tokens[0].value
    if word in ("checkpoint", "discard"):
        return tag("CHECKPOINT" if word == "checkpoint" else "DISCARD ALL")
    if word == "vacuum" and session.block:
        raise PgError("VACUUM cannot run inside a transaction block", "25001")
    if word == "reindex":
        return tag("REINDEX")
    for relation in _tables(session, parser):
        if word == "vacuum":
            relation.dead, relation.vacuumed = 0, session.moment
        relation.analyzed = session.moment
    return tag(word.upper())


@statement("explain")
def _explain(session: Session, parser: Parser) -> Answer:
    options = set()
    if parser.accept_op("("):
        while not parser.accept_op(")"):
            token = parser.take()
            if token.kind == "end":
                raise parser.wrong()
            options.add(token.value)
    while parser.peek().word() in ("analyze", "verbose"):
        options.add(parser.take().value)
    text = parser.sql[parser.peek().at :]
    inner = Parser(text)
    word = inner.peek().word()
    analyze = "analyze" in options
    if word not in ("select", "with"):
        if analyze:
            execute(session, text)
        return as_rows(["QUERY PLAN"], [[f"{word.capitalize()} on table  (cost=0.00..1.00 rows=0 width=0)"]], "EXPLAIN")
    query = inner.query()
    count = 0
    if analyze:
        _, rows = run_select(query, session)
        count = len(rows)
    lines = [[line] for line in _plan(session, query, analyze, count)]
    if analyze:
        lines += [["Planning Time: 0.081 ms"], ["Execution Time: 0.142 ms"]]
    return as_rows(["QUERY PLAN"], lines, "EXPLAIN")


def _plan(session: Session, query: t.Select, analyze: bool, count: int) -> list[str]:
    if not query.sources:
        return ["Result  (cost=0.00..0.01 rows=1 width=4)" + _actual(analyze, 1)]
    lines = []
    for depth, source in enumerate(query.sources):
        lead = "" if depth == 0 else "  " * depth + "->  "
        if not source.name:
            lines.append(f"{lead}Subquery Scan  (cost=0.00..1.00 rows=1 width=32)")
            continue
        names, rows = session.read(source.name, source.at)
        size = len(rows)
        cost = 1 + size * 0.01
        alias = f" {source.alias}" if source.alias else ""
        lines.append(
            f"{lead}Seq Scan on {source.name[-1]}{alias}  (cost=0.00..{cost:.2f} rows={max(size, 1)} "
            f"width={8 * len(names)}){_actual(analyze, count)}"
        )
    if query.where is not None:
        lines.append("  Filter: (condition)")
    return lines


def _actual(analyze: bool, count: int) -> str:
    return f" (actual time=0.010..0.020 rows={count} loops=1)" if analyze else ""


@statement("listen", "notify", "unlisten", "load")
def _quiet(session: Session, parser: Parser) -> Answer:
    return tag(parser.tokens[0].value.upper())
