"""One client's session with the server: login, database, transactions, and what is checked before a command runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, status
from stratus.sim.apps.stores.redis.state import NO_PASSWORD_SET, NOAUTH, OOM, WRONGPASS, Entry, Kind, RedisState
from stratus.sim.apps.stores.redis.tables import Command, commands

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_INTEGER = "ERR value is not an integer or out of range"
SYNTAX = "ERR syntax error"
_FREE = frozenset({"auth", "hello", "quit", "reset"})
_QUEUELESS = frozenset({"multi", "exec", "discard", "watch", "quit", "reset"})
Handler = Callable[["Session", list[str]], Reply]
HANDLERS: dict[str, Handler] = {}


def command(*names: str) -> Callable[[Handler], Handler]:
    """Register what carries out commands; it is given the words, the command's name first."""

    def register(fn: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = fn
        return fn

    return register


@dataclass
class Session:
    """A connection. `user` is empty until a login that is needed; `waited` is how long its commands took."""

    state: RedisState
    now: float
    peer: str = "127.0.0.1:41234"
    user: str = ""
    database: int = 0
    name: str = ""
    queue: list[list[str]] | None = None
    spoilt: bool = False
    ended: bool = False
    waited: float = 0.0
    number: int = 0
    laid: dict[str, str] = field(default_factory=dict)

    # keys

    @property
    def moment(self) -> float:
        """Return the session's present."""
        return self.now + self.waited

    @property
    def keys(self) -> dict[str, Entry]:
        """Return the keys of the present database, expired ones included; for changes."""
        return self.state.databases.setdefault(self.database, {})

    def find(self, key: str, kind: Kind | None = None, *, count: bool = False) -> Entry | None:
        """Return what is at a key, if it has not expired.

        Raises:
            RedisError: it is of another kind than asked for.
        """
        found = self.state.databases.get(self.database, {}).get(key)
        if found is not None and found.expires and found.expires <= self.moment:
            found = None
        if count:
            self.state.hits += found is not None
            self.state.misses += found is None
        if found is not None and kind is not None and found.kind != kind:
            raise RedisError(WRONGTYPE)
        return found

    def make(self, key: str, kind: Kind, empty: Any) -> Entry:
        """Return what is at a key, or a new value."""
        found = self.find(key, kind)
        if found is None:
            found = self.keys[key] = Entry(kind, empty)
        return found

    def drop(self, key: str) -> bool:
        """Remove a key; return whether it was there."""
        there = self.find(key) is not None
        self.keys.pop(key, None)
        return there

    def tidy(self, key: str) -> None:
        """Remove a collection that has become empty."""
        found = self.keys.get(key)
        if found is not None and found.kind != "string" and not found.value:
            del self.keys[key]

    # running

    def run(self, words: list[str]) -> Reply:
        """Run one command."""
        self.state.commands += 1
        try:
            reply = self._checked(words)
        except RedisError as error:
            reply = ["error", str(error)]
        if reply[0] == "error":
            self.state.errors += 1
            if self.queue is not None and not str(reply[1]).startswith(("EXECABORT", "ERR MULTI", "ERR WATCH")):
                self.spoilt = True
        return reply

    def _checked(self, words: list[str]) -> Reply:
        name = words[0].lower()
        known = commands().get(name)
        if known is None:
            given = "".join(f"'{w[:128]}' " for w in words[1:21])
            raise RedisError(f"ERR unknown command '{words[0][:128]}', with args beginning with: {given}")
        sub = words[1].lower() if known.subcommands and len(words) > 1 else ""
        if sub and sub not in known.subcommands:
            raise RedisError(f"ERR unknown subcommand '{words[1][:128]}'. Try {name.upper()} HELP.")
        if not known.fits(len(words)):
            raise RedisError(f"ERR wrong number of arguments for '{name}' command")
        self._allowed(known, sub, words)
        if "denyoom" in known.flags and self.state.full(self.moment):
            raise RedisError(OOM)
        if self.queue is not None and name not in _QUEUELESS:
            self.queue.append(words)
            return status("QUEUED")
        return self.carry_out(known, words)

    def _allowed(self, known: Command, sub: str, words: list[str]) -> None:
        if known.name in _FREE:
            return
        if not self.user:
            default = self.state.users.get("default")
            if default is None or not default.nopass or not default.enabled:
                raise RedisError(NOAUTH)
            self.user = "default"
        user = self.state.users.get(self.user)
        if user is None:
            raise RedisError(NOAUTH)
        if not user.may(known.name, sub):
            full = f"{known.name}|{sub}" if sub else known.name
            raise RedisError(f"NOPERM this user has no permissions to run the '{full}' command")
        if not all(user.reaches(key) for key in known.keys(words)):
            raise RedisError("NOPERM this user has no permissions to access one of the keys used as arguments")

    def carry_out(self, known: Command, words: list[str]) -> Reply:
        """Run a command that has passed all checks."""
        handler = HANDLERS.get(known.name)
        if handler is None:
            raise RedisError(f"ERR the command '{known.name}' is not part of this emulation")
        reply = handler(self, words)
        if "write" in known.flags:
            self.state.dirty += 1
            self._purge()
            self.state.evict(self.moment)
        self.state.peak = max(self.state.peak, self.state.used() if "write" in known.flags else 0)
        return reply

    def _purge(self) -> None:
        for keys in self.state.databases.values():
            for key in [k for k, e in keys.items() if e.expires and e.expires <= self.moment]:
                del keys[key]
                self.state.expired += 1

    def login(self, user: str, password: str, *, named: bool) -> Reply:
        """Log in."""
        found = self.state.users.get(user)
        if found is not None and found.nopass and not named:
            raise RedisError(NO_PASSWORD_SET)
        if found is None or not found.accepts(password):
            raise RedisError(WRONGPASS)
        self.user = user
        return OK


def integer(text: str) -> int:
    """Read an integer argument.

    Raises:
        RedisError: it is none.
    """
    digits = text[1:] if text[:1] == "-" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19 or (digits[0] == "0" and len(digits) > 1):
        raise RedisError(NOT_INTEGER)
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise RedisError(NOT_INTEGER)
    return value


@command("multi")
def _multi(session: Session, words: list[str]) -> Reply:
    if session.queue is not None:
        raise RedisError("ERR MULTI calls can not be nested")
    session.queue, session.spoilt = [], False
    return OK


@command("exec")
def _exec(session: Session, words: list[str]) -> Reply:
    queue, spoilt = session.queue, session.spoilt
    if queue is None:
        raise RedisError("ERR EXEC without MULTI")
    session.queue, session.spoilt = None, False
    if spoilt:
        raise RedisError("EXECABORT Transaction discarded because of previous errors.")
    replies = []
    for entry in queue:
        try:
            replies.append(session.carry_out(commands()[entry[0].lower()], entry))
        except RedisError as error:
            replies.append(["error", str(error)])
    return ["list", replies]


@command("discard")
def _discard(session: Session, words: list[str]) -> Reply:
    if session.queue is None:
        raise RedisError("ERR DISCARD without MULTI")
    session.queue, session.spoilt = None, False
    return OK


@command("watch")
def _watch(session: Session, words: list[str]) -> Reply:
    if session.queue is not None:
        raise RedisError("ERR WATCH inside MULTI is not allowed")
    return OK


@command("unwatch")
def _unwatch(session: Session, words: list[str]) -> Reply:
    return OK


@command("auth")
def _auth(session: Session, words: list[str]) -> Reply:
    if len(words) > 3:
        raise RedisError(SYNTAX)
    named = len(words) == 3
    return session.login(words[1] if named else "default", words[-1], named=named)


@command("hello")
def _hello(session: Session, words: list[str]) -> Reply:
    from stratus.sim.apps.stores.redis.replies import many

    if len(words) > 1 and words[1] not in ("2", "3"):
        raise RedisError("NOPROTO unsupported protocol version")
    upper = [w.upper() for w in words]
    if "AUTH" in upper[2:]:
        at = upper.index("AUTH")
        if len(words) < at + 3:
            raise RedisError(SYNTAX)
        session.login(words[at + 1], words[at + 2], named=True)
    proto = int(words[1]) if len(words) > 1 else 2
    facts = ["server", "redis", "version", session.state.version, "proto", proto, "id", session.number]
    return many([*facts, "mode", "standalone", "role", "master", "modules", ()])


@command("quit")
def _quit(session: Session, words: list[str]) -> Reply:
    session.ended = True
    return OK


@command("reset")
def _reset(session: Session, words: list[str]) -> Reply:
    session.queue, session.database, session.user, session.name = None, 0, "", ""
    return status("RESET")


def spoken(state: RedisState, text: str, now: float, peer: str) -> str:
    """Answer commands that are written one a line, in the server's own protocol."""
    commands_ = [line.split() for line in text.replace("\r", "").split("\n") if line.strip()]
    replies = run(state, {"commands": commands_}, now, peer)["replies"]
    return "".join(encoded(r) for r in replies)


def encoded(reply: Reply) -> str:
    """Return a reply in the server's own protocol."""
    kind, value = reply
    if kind == "list":
        return f"*{len(value)}\r\n" + "".join(encoded(r) for r in value)
    if kind in ("bulk", "text"):
        return f"${len(str(value).encode('utf-8', 'surrogateescape'))}\r\n{value}\r\n"
    return {"status": f"+{value}", "error": f"-{value}", "int": f":{value}", "nil": "$-1"}[kind] + "\r\n"


def run(state: RedisState, request: dict[str, Any], now: float, peer: str) -> dict[str, Any]:
    """Run a client's commands.

    Args:
        state: the server.
        request: `login` ([user, password] or nothing), `database`, `commands` (lists of words).
        now: the moment; `peer`: the client's address.

    Returns:
        `login` and `select` (error texts, empty), `replies`, and `seconds` that the session took.
    """
    from stratus.sim.apps.stores.redis import collections, keyspace, server, strings, users  # noqa: F401

    state.connections += 1
    session = Session(state, now, peer, number=state.connections + 4)
    answer: dict[str, Any] = {"login": "", "select": "", "replies": [], "seconds": 0.0}
    login = request.get("login")
    if login:
        try:
            session.login(login[0] or "default", login[1], named=bool(login[0]))
        except RedisError as error:
            answer["login"] = str(error)
    if request.get("database"):
        reply = session.run(["SELECT", str(request["database"])])
        if reply[0] == "error":
            answer["select"] = reply[1]
    for words in request["commands"]:
        answer["replies"].append(session.run(words))
        if session.ended:
            break
    answer["seconds"] = session.waited
    answer["database"] = session.database
    return answer


__all__ = ["HANDLERS", "NIL", "NOT_INTEGER", "SYNTAX", "WRONGTYPE", "Session", "command", "integer", "run"]
