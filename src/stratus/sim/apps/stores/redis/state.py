"""What a Redis or Valkey server holds, and what it is to the programs that use it as a cache or store."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, State, Trouble
from stratus.sim.apps.stores.redis.tables import commands, memory_value, settings

Kind = Literal["string", "hash", "list", "set", "zset"]
#: Bytes the server itself takes, a key with its bookkeeping, and an element.
STARTUP, _PER_KEY, _PER_ELEMENT = 876_168, 72, 16
NOAUTH = "NOAUTH Authentication required."
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NO_PASSWORD_SET = (
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?"
)
OOM = "OOM command not allowed when used memory > 'maxmemory'."
#: Words in an operation's name that say that it writes, for operations that are no commands.
_WRITING = ("set", "put", "add", "push", "incr", "write", "store", "update", "save", "append", "insert", "create")


def digest(password: str) -> str:
    """Return how a password is kept."""
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(slots=True)
class Entry:
    """A key's value; `expires` is a moment, 0 for never; `zeros` are bytes of a string that were never written."""

    kind: Kind
    value: Any
    expires: float = 0.0
    zeros: int = 0

    def clone(self) -> Entry:
        """Return an independent copy."""
        value = self.value if isinstance(self.value, str) else type(self.value)(self.value)
        return Entry(self.kind, value, self.expires, self.zeros)

    def weight(self) -> int:
        """Return about how many bytes it takes."""
        if self.kind == "string":
            return len(self.value) + self.zeros
        if self.kind == "hash":
            return sum(len(k) + len(v) + _PER_ELEMENT for k, v in self.value.items())
        return sum(len(k) + _PER_ELEMENT for k in self.value)


@dataclass(slots=True)
class RedisUser:
    """A user: digests of its passwords, and the rules about its commands and keys in the order they were given."""

    enabled: bool = True
    nopass: bool = False
    passwords: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=lambda: ["-@all"])
    keys: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)

    @classmethod
    def default(cls) -> RedisUser:
        """Return the user that is there at first and may do anything."""
        return cls(True, True, [], ["+@all"], ["*"], ["*"])

    def clone(self) -> RedisUser:
        """Return an independent copy."""
        return RedisUser(
            self.enabled, self.nopass, list(self.passwords), list(self.commands), list(self.keys), list(self.channels)
        )

    def accepts(self, password: str) -> bool:
        """Tell whether a password is right."""
        return self.enabled and (self.nopass or digest(password) in self.passwords)

    def may(self, command: str, sub: str = "") -> bool:
        """Tell whether it may run a command."""
        known = commands().get(command)
        allowed = False
        for rule in self.commands:
            sign, name = rule[0], rule[1:]
            if name.startswith("@"):
                hit = name == "@all" or (known is not None and name[1:] in known.categories)
            else:
                hit = name in (command, f"{command}|{sub}")
            if hit:
                allowed = sign == "+"
        return allowed

    def reaches(self, key: str) -> bool:
        """Tell whether it may touch a key."""
        return any(fnmatchcase(key, pattern) for pattern in self.keys)


@dataclass(slots=True)
class RedisState(State):
    """A server's keys by database, its settings as far as they differ from the usual ones, and its users.

    Attributes:
        started: when the process started; `stalled`: until when a command keeps everybody waiting.
        commands, connections, hits, misses, expired, evicted, errors, dirty: counters since then.
        peak: most bytes used since then.
    """

    kind: ClassVar[str] = "redis"

    version: str = "7.4.5"
    config: dict[str, str] = field(default_factory=dict)
    databases: dict[int, dict[str, Entry]] = field(default_factory=dict)
    users: dict[str, RedisUser] = field(default_factory=lambda: {"default": RedisUser.default()})
    started: float = field(default=0.0, repr=False, compare=False)
    stalled: float = 0.0
    commands: int = field(default=0, repr=False, compare=False)
    connections: int = field(default=0, repr=False, compare=False)
    hits: int = field(default=0, repr=False, compare=False)
    misses: int = field(default=0, repr=False, compare=False)
    expired: int = field(default=0, repr=False, compare=False)
    evicted: int = 0
    errors: int = field(default=0, repr=False, compare=False)
    dirty: int = field(default=0, repr=False, compare=False)
    saved: float = field(default=0.0, repr=False, compare=False)
    peak: int = field(default=0, repr=False, compare=False)
    name: str = field(default="", repr=False, compare=False)
    slow: list[tuple[int, float, int, list[str]]] = field(default_factory=list)

    @classmethod
    def fresh(cls, datastore: Datastore) -> RedisState:
        """Return the state a datastore has at first."""
        state = cls()
        if datastore.version:
            state.version = datastore.version
        for account in datastore.accounts:
            state.users[account.name] = RedisUser(True, False, [digest(account.password)], ["+@all"], ["*"], ["*"])
        state.databases[0] = {name: Entry("string", text) for name, text in datastore.keys.items()}
        return state

    def clone(self) -> RedisState:
        """Return an independent copy."""
        twin: RedisState = type(self)(**{f.name: getattr(self, f.name) for f in fields(self)})
        twin.config = dict(self.config)
        twin.databases = {n: {k: e.clone() for k, e in keys.items()} for n, keys in self.databases.items()}
        twin.users = {n: u.clone() for n, u in self.users.items()}
        twin.slow = list(self.slow)
        twin.callers = dict(self.callers)
        return twin

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew: settings come from the command line, keys from the disk if there is one."""
        again = type(self).fresh(datastore)
        again.cost, again.callers = self.cost, dict(self.callers)
        kept = self.databases if boot.durable and self.started else again.databases
        for each in fields(again):
            setattr(self, each.name, getattr(again, each.name))
        self.databases = kept
        self.started = self.saved = boot.at
        self.emptied = 0.0 if boot.durable else boot.at
        self.name = boot.name
        words = list(boot.argv)
        for number, word in enumerate(words):
            name = word[2:].lower()
            if word.startswith("--") and name in settings() and number + 1 < len(words):
                self.set(name, words[number + 1])

    # settings

    def setting(self, name: str) -> str:
        """Return a setting's value."""
        return self.config.get(name, settings()[name].value)

    def set(self, name: str, value: str) -> None:
        """Change a setting; a password is also the default user's."""
        if settings()[name].type == "memory":
            value = str(memory_value(value) or 0)
        self.config[name] = value
        if name == "requirepass":
            user = self.users["default"]
            user.nopass, user.passwords = not value, [digest(value)] if value else []

    # keys

    def keys(self, number: int, now: float) -> dict[str, Entry]:
        """Return the keys of a database that have not expired; a copy."""
        return {k: e for k, e in self.databases.get(number, {}).items() if not e.expires or e.expires > now}

    def used(self) -> int:
        """Return the bytes in use."""
        return STARTUP + sum(
            len(k) + _PER_KEY + e.weight() for keys in self.databases.values() for k, e in keys.items()
        )

    def limit(self) -> int:
        """Return `maxmemory`, 0 for none."""
        return int(self.setting("maxmemory"))

    def full(self, now: float) -> bool:
        """Tell whether writes are refused for want of memory."""
        limit = self.limit()
        if not limit or self.used() <= limit:
            return False
        policy = self.setting("maxmemory-policy")
        if policy == "noeviction":
            return True
        evictable = [
            e for keys in self.databases.values() for e in keys.values() if policy.startswith("allkeys") or e.expires
        ]
        return not evictable

    def evict(self, now: float) -> None:
        """Make room as the policy says; who goes first depends on the keys alone."""
        limit, policy = self.limit(), self.setting("maxmemory-policy")
        if not limit or policy == "noeviction":
            return
        while self.used() > limit:
            found = [
                (e.expires or math.inf, digest(k), number, k)
                for number, keys in self.databases.items()
                for k, e in keys.items()
                if policy.startswith("allkeys") or e.expires
            ]
            if not found:
                return
            _, _, number, key = min(found) if policy == "volatile-ttl" else min(found, key=lambda f: f[1:])
            del self.databases[number][key]
            self.evicted += 1
            self.emptied = now

    # what it is to others

    def memory(self, now: float) -> float:
        """Return the bytes that the keys take."""
        return float(self.used() - STARTUP)

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """Return what is the matter with a caller's requests."""
        if now < self.stalled:
            return Trouble(waits=math.inf)
        user = self.users.get(caller.user or "default")
        if caller.password or caller.user not in ("", "default"):
            if user is None or not user.accepts(caller.password):
                return Trouble(WRONGPASS)
            if user.nopass and not caller.user:
                return Trouble(NO_PASSWORD_SET)
        elif user is None or not user.nopass:
            return Trouble(NOAUTH)
        return self._refused(caller, user, now)

    def _refused(self, caller: Caller, user: RedisUser, now: float) -> Trouble | None:
        word = caller.operation.split(" ")[0].lower()
        known = commands().get(word)
        if known is not None and not user.may(word):
            return Trouble(f"NOPERM this user has no permissions to run the '{word}' command")
        if not self.full(now):
            return None
        writes = "denyoom" in known.flags if known is not None else any(w in word for w in _WRITING)
        return Trouble(OOM) if writes else None

    def crowd(self) -> Trouble | None:
        """Return what becomes of connections when there are more than the server takes."""
        wanted, most = sum(p.connections for p in self.callers.values()), float(self.setting("maxclients"))
        return Trouble("ERR max number of clients reached", 1.0 - most / wanted) if wanted > most else None

    def drop_user(self, name: str) -> None:
        """Remove a user."""
        self.users.pop(name, None)

    def talk(self, request: dict[str, Any], now: float, peer: str) -> Any:
        """Run a client's commands; see `stratus.sim.apps.stores.redis.session`."""
        from stratus.sim.apps.stores.redis.session import run, spoken

        return spoken(self, request["text"], now, peer) if "text" in request else run(self, request, now, peer)


@dataclass(slots=True)
class Valkey(RedisState):
    """The same under its other name."""

    kind: ClassVar[str] = "valkey"

    version: str = "8.1.3"
