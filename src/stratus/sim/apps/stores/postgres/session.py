"""One client's session: connecting, transactions, and running one statement after another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.locks import conflicts, mode_of
from stratus.sim.apps.stores.postgres.objects import Backend, Catalog, Relation
from stratus.sim.apps.stores.postgres.readers import system_table
from stratus.sim.apps.stores.postgres.select import run_select
from stratus.sim.apps.stores.postgres.state import PostgresState
from stratus.sim.apps.stores.postgres.tables import setting_seconds
from stratus.sim.apps.stores.postgres.tokens import split
from stratus.sim.apps.stores.postgres.values import is_number, written

_IN_FAILED = "current transaction is aborted, commands ignored until end of transaction block"


@dataclass
class Session:
    """A connection.

    Attributes:
        waited: seconds its statements have taken so far (sleeping, waiting for locks).
        block: it is in a transaction block; `failed`: which has failed.
        before: what the server held when the transaction began, to go back to.
        locks: (table oid, mode) held until the transaction ends; `rows` shares of tables by oid.
    """

    state: PostgresState
    now: float
    user: str
    database: str
    address: str
    application: str = "psql"
    pid: int = 0
    waited: float = 0.0
    block: bool = False
    failed: bool = False
    before: PostgresState | None = None
    begun: float = 0.0
    locks: list[tuple[int, str]] = field(default_factory=list)
    rows: dict[int, float] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    search: str = ""
    notices: list[dict[str, Any]] = field(default_factory=list)
    session_user: str = ""
    query: str = ""
    slept: float = 0.0
    ended: bool = False

    @property
    def moment(self) -> float:
        """Return the session's present."""
        return self.now + self.waited

    @property
    def catalog(self) -> Catalog:
        """Return the database it is connected to."""
        return self.state.catalogs[self.database]

    def time(self, at: float | None = None) -> datetime:
        """Return a moment as a value."""
        return datetime.fromtimestamp(self.moment if at is None else at, UTC)

    def setting(self, name: str) -> str:
        """Return a setting's value in this session."""
        return self.own[name] if name in self.own else self.state.effective(name, self.user, self.database)

    def path(self) -> list[str]:
        """Return the schemas in which names without one are looked for."""
        words = [w.strip().strip('"') for w in self.setting("search_path").split(",")]
        return [self.user if w == "$user" else w for w in words if w]

    def notice(self, message: str, severity: str = "NOTICE", *, detail: str = "", hint: str = "") -> None:
        """Tell the client something beside the answer."""
        self.notices.append({"severity": severity, "message": message, "detail": detail, "hint": hint})

    # tables

    def find(self, name: tuple[str, ...], at: int | None = None) -> Relation:
        """Return a table or view.

        Raises:
            PgError: there is none, or it is out of reach.
        """
        if len(name) == 3 and name[0] != self.database:
            raise PgError(f'cross-database references are not implemented: "{".".join(name)}"', "0A000", position=at)
        if len(name) > 1:
            schema = name[-2]
            if schema not in self.catalog.schemas:
                raise PgError(f'relation "{schema}.{name[-1]}" does not exist', "42P01", position=at)
            if not self.state.may_enter(self.user, self.catalog, schema):
                raise PgError(f"permission denied for schema {schema}", "42501", position=at)
            found = self.catalog.relations.get((schema, name[-1]))
        else:
            places = [s for s in self.path() if self.state.may_enter(self.user, self.catalog, s)]
            found = next((r for s in places if (r := self.catalog.relations.get((s, name[0])))), None)
        if found is None:
            raise PgError(f'relation "{".".join(name[-2:])}" does not exist', "42P01", position=at)
        return found

    def need(self, relation: Relation, letter: str) -> None:
        """Refuse what the role has no right to.

        Raises:
            PgError: it has none.
        """
        if not self.state.may_use(self.user, self.catalog, relation, letter):
            kind = "view" if relation.kind == "v" else "table"
            raise PgError(f"permission denied for {kind} {relation.name}", "42501")

    def read(self, name: tuple[str, ...], at: int, locking: str = "") -> tuple[list[str], list[list[Any]]]:
        """Return the columns and rows of a table, a view or something the server keeps itself.

        Raises:
            PgError: it does not exist, or may not be read.
        """
        schema = name[-2] if len(name) > 1 else ""
        if schema in ("", "pg_catalog", "information_schema"):
            found = system_table(self, schema, name[-1])
            if found is not None:
                return found
        relation = self.find(name, at)
        self.need(relation, "r")
        if relation.kind == "v":
            from stratus.sim.apps.stores.postgres.parser import Parser

            return run_select(Parser(relation.query).query(), self)
        if locking:
            self.need(relation, "w")
            self.rows[relation.oid] = 1.0
        self.lock(relation, "RowShareLock" if locking else "AccessShareLock")
        return relation.names(), [list(r) for r in relation.rows]

    # locks and time

    def lock(self, relation: Relation, mode: str) -> None:
        """Take a lock, waiting for it if need be.

        Raises:
            PgError: it takes longer than a timeout allows.
        """
        holders = [
            b for b in self.state.live(self.moment) if any(o == relation.oid and conflicts(m, mode) for o, m in b.locks)
        ]
        if holders:
            self.wait(max(b.until for b in holders) - self.moment, "lock")
        if (relation.oid, mode) not in self.locks:
            self.locks.append((relation.oid, mode))

    def wait_for_rows(self, relation: Relation) -> None:
        """Wait for whoever keeps rows of a table from being changed."""
        holders = [b for b in self.state.live(self.moment) if relation.oid in b.rows]
        if holders:
            self.wait(max(b.until for b in holders) - self.moment, "lock")

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass.

        Raises:
            PgError: a timeout ends it.
        """
        limits = [("statement timeout", setting_seconds(self.setting("statement_timeout")))]
        if why == "lock":
            limits.append(("lock timeout", setting_seconds(self.setting("lock_timeout"))))
        name, least = min(((n, s) for n, s in limits if s), key=lambda e: e[1], default=("", math.inf))
        if seconds > least:
            self.waited += least
            raise PgError(f"canceling statement due to {name}", "57014")
        self.waited += seconds

    # transactions

    def begin(self) -> None:
        """Begin a transaction, so that it can be taken back."""
        if self.before is None:
            self.before, self.begun = self.state.clone(), self.moment

    def finish(self, *, keep: bool) -> None:
        """End the transaction, keeping what it did or not."""
        if self.before is not None and not keep:
            for name in ("roles", "catalogs", "next_oid"):
                setattr(self.state, name, getattr(self.before, name))
        self.before = None
        self.block = self.failed = False
        self.locks, self.rows = [], {}

    def linger(self, until: float, state: str, wait: tuple[str, str]) -> None:
        """Let others see this session until a moment, with what it holds."""
        self.state.backends[self.pid] = Backend(
            self.pid, self.database, self.user, self.application, self.address, self.now, self.begun or self.now,
            self.moment,
            state, self.query, until, wait, list(self.locks), dict(self.rows),
        )  # fmt: skip

    # statements

    def run(self, sql: str) -> list[dict[str, Any]]:
        """Run the statements of one message: all of them, or none of what they change.

        Returns:
            Answers in order; an error is the last one.
        """
        answers: list[dict[str, Any]] = []
        try:
            pieces = split(sql)
        except PgError as error:
            return [self._error(error)]
        single = not self.block
        for statement, at in pieces:
            answer = self._one(statement, at)
            answers.append(answer)
            if answer["kind"] == "error":
                break
        if single and not self.block:
            self.finish(keep=not answers or answers[-1]["kind"] != "error")
        return answers

    def _error(self, error: PgError) -> dict[str, Any]:
        if self.block:
            self.failed = True
        return {**error.told(), "notices": self._told()}

    def _told(self) -> list[dict[str, Any]]:
        told, self.notices = self.notices, []
        return told

    def _one(self, statement: str, at: int) -> dict[str, Any]:
        from stratus.sim.apps.stores.postgres.statements import execute, is_ending

        self.query = statement
        self.state.transactions += 1
        try:
            if self.failed and not is_ending(statement):
                raise PgError(_IN_FAILED, "25P02")
            self.begin()
            start = self.waited
            answer = execute(self, statement)
            if self.waited - start >= 1.0:
                # Long enough for others to notice.
                until, self.waited = self.moment, start
                self.linger(until, "active", self._waiting())
                self.waited = until - self.now
        except PgError as error:
            if error.position is not None:
                error.position += at
            return self._error(error)
        except RecursionError:
            return self._error(PgError("stack depth limit exceeded", "54001"))
        return {**answer, "notices": self._told()}

    def _waiting(self) -> tuple[str, str]:
        return ("Timeout", "PgSleep") if "pg_sleep" in self.query.lower() else ("Lock", "relation")


def as_rows(
    names: list[str], rows: list[list[Any]], tag: str = "", numeric: frozenset[int] = frozenset()
) -> dict[str, Any]:
    """Return rows as the server sends them: texts, and which columns are numbers (`numeric`: known to be)."""
    right = [
        (n in numeric or any(is_number(r[n]) for r in rows)) and all(r[n] is None or is_number(r[n]) for r in rows)
        for n in range(len(names))
    ]
    texts = [[written(v) for v in row] for row in rows]
    return {"kind": "rows", "columns": names, "rows": texts, "right": right, "tag": tag or f"SELECT {len(rows)}"}


def connect(state: PostgresState, request: dict[str, Any], now: float, peer: str) -> Session | str:
    """Open a session, or return why it is refused."""
    user, database = request["user"], request.get("database") or request["user"]
    address = peer.rpartition(":")[0]
    trusted = bool(request.get("local")) or address in ("127.0.0.1", "")
    why = state.refusal(user, request.get("password"), database, trusted, now)
    if why:
        return why
    state.next_pid += 1
    shown = "" if request.get("local") else address
    session = Session(state, now, user, database, shown, request.get("application") or "psql", state.next_pid)
    session.session_user = user
    return session


def run(state: PostgresState, request: dict[str, Any], now: float, peer: str) -> dict[str, Any]:
    """Run a client's steps.

    Args:
        state: the server.
        request: `user`, `password`, `database`, `local`, and `steps`: {"sql": text}, {"meta": command, "args": [...]},
            or {"connect": {...}}; `stop` at the first error; `single` transaction; `open` is for how many seconds the
            client stays connected after the last step.
        now: the moment; `peer`: the client's address.

    Returns:
        `refused` (empty when connected), and for each step that ran a list of answers.
    """
    from stratus.sim.apps.stores.postgres.meta import describe

    for pid in [p for p, b in state.backends.items() if b.until <= now]:
        del state.backends[pid]
    opened = connect(state, request, now, peer)
    facts = {"version": state.version, "super": state.is_super(request["user"])}
    if isinstance(opened, str):
        return {"refused": opened, "results": [], "seconds": 0.0, **facts}
    session = opened
    results: list[list[dict[str, Any]]] = []
    if request.get("single"):
        session.block = True
        session.begin()
    for step in request["steps"]:
        if "sql" in step:
            answers = session.run(step["sql"])
        elif "meta" in step:
            try:
                answers = describe(session, step["meta"], step.get("args", []))
            except PgError as error:
                answers = [error.told()]
        else:
            answers = _reconnect(session, {**request, **{k: v for k, v in step["connect"].items() if v}}, peer)
        results.append(answers)
        if session.ended or (request.get("stop") and any(a["kind"] == "error" for a in answers)):
            break
    if request.get("single"):
        session.finish(keep=not any(a["kind"] == "error" for r in results for a in r))
    stays = float(request.get("open") or 0.0)
    if session.block and stays > session.waited:
        session.waited, until = max(session.waited, 0.0), now + stays
        session.linger(
            until, "idle in transaction" + (" (aborted)" if session.failed else ""), ("Client", "ClientRead")
        )
    if session.block:
        # What was not committed is taken back when the client is gone.
        session.finish(keep=False)
    return {"refused": "", "results": results, "seconds": session.waited, "pid": session.pid, **facts}


def _reconnect(session: Session, wanted: dict[str, Any], peer: str) -> list[dict[str, Any]]:
    opened = connect(session.state, wanted, session.moment, peer)
    if isinstance(opened, str):
        return [{**PgError(opened, "08006", severity="FATAL").told(), "connecting": True}]
    session.finish(keep=False)
    for name in ("user", "database", "address", "pid", "session_user"):
        setattr(session, name, getattr(opened, name))
    session.own = {}
    return [{"kind": "connected", "database": session.database, "user": session.user}]


__all__ = ["Session", "as_rows", "connect", "mode_of", "run"]
