"""What a PostgreSQL server holds, and how programs fare that use it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, State, Trouble
from stratus.sim.apps.stores.postgres.expressions import canonical_type
from stratus.sim.apps.stores.postgres.locks import conflicts, mode_of
from stratus.sim.apps.stores.postgres.objects import Backend, Catalog, Field, Index, Relation, Role
from stratus.sim.apps.stores.postgres.tables import setting_seconds, settings

_ALL_TABLE = "arwdDxt"


LETTERS = {
    "insert": "a", "select": "r", "update": "w", "delete": "d", "truncate": "D", "references": "x", "trigger": "t",
    "maintain": "m", "usage": "U", "create": "C", "connect": "c", "temporary": "T", "temp": "T", "execute": "X",
}  # fmt: skip


_FIRST_OID, _FIRST_PID = 16384, 52


@dataclass(slots=True)
class PostgresState(State):
    """A server.

    Attributes:
        config: settings as they are in force where they differ from the usual ones; `saved` those of ALTER SYSTEM,
            which count after a reload or, for some, after a restart.
        backends: sessions that go on, by pid.
    """

    kind: ClassVar[str] = "postgresql"

    version: str = "17.6"
    auth: bool = True
    roles: dict[str, Role] = field(default_factory=dict)
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    backends: dict[int, Backend] = field(default_factory=dict)
    started: float = field(default=0.0, repr=False, compare=False)
    reloaded: float = field(default=0.0, repr=False, compare=False)
    next_oid: int = _FIRST_OID
    next_pid: int = field(default=_FIRST_PID, repr=False, compare=False)
    transactions: int = field(default=740, repr=False, compare=False)
    name: str = field(default="", repr=False, compare=False)

    @classmethod
    def fresh(cls, datastore: Datastore) -> PostgresState:
        """Return the state a datastore has at first."""
        state = cls()
        state.version = datastore.version or state.version
        state.auth = datastore.auth
        supers = [a.name for a in datastore.accounts if "superuser" in a.roles]
        owner = supers[0] if supers else "postgres"
        state.roles[owner] = Role(owner, 10, "", True, True, True, True, True, True, True)
        for name in ("pg_monitor", "pg_read_all_data", "pg_read_all_stats", "pg_signal_backend", "pg_write_all_data"):
            state.roles[name] = Role(name, state.oid(), login=False)
        for name in ("postgres", "template0", "template1"):
            state.catalogs[name] = Catalog(name, state.oid(), owner, {"public": "pg_database_owner"})
            state.catalogs[name].schema_acl["public"] = {"": "U"}
        state.catalogs["template0"].allowed = False
        for name in datastore.names:
            state.make_database(name, owner)
        for account in datastore.accounts:
            role = state.roles.setdefault(account.name, Role(account.name, state.oid()))
            role.password = account.password
        for path, table in datastore.tables.items():
            state._place(
                path, table.columns, [list(r) for r in table.rows if not isinstance(r, dict)], table.owner or owner
            )
        for account in datastore.accounts:
            for entry in account.roles:
                state.grant_entry(account.name, entry)
        return state

    def oid(self) -> int:
        """Return a number for something new."""
        self.next_oid += 1
        return self.next_oid - 1

    def make_database(self, name: str, owner: str) -> Catalog:
        """Make a database."""
        made = self.catalogs[name] = Catalog(name, self.oid(), owner, {"public": "pg_database_owner"})
        made.schema_acl["public"] = {"": "U"}
        return made

    def _place(self, path: str, columns: dict[str, str], rows: list[list[Any]], owner: str) -> None:
        from stratus.sim.apps.stores.postgres.values import cast

        parts = path.split(".")
        database, schema, name = (parts[0], "public", parts[1]) if len(parts) == 2 else (parts[0], *parts[1:3])
        catalog = self.catalogs.get(database) or self.make_database(database, owner)
        catalog.schemas.setdefault(schema, owner)
        made = [Field(c, canonical_type(k)) for c, k in columns.items()]
        if made:
            made[0].nullable = False
        table = Relation(name, schema, owner, self.oid(), columns=made)
        table.rows = [[cast(v, made[n].type) for n, v in enumerate(row)] for row in rows]
        if made:
            table.indexes.append(Index(f"{name}_pkey", [made[0].name], True, True, self.oid()))
        catalog.relations[schema, name] = table

    def all_rights(self) -> str:
        """Return the letters of all rights on a table."""
        return _ALL_TABLE + ("m" if self.major() >= 17 else "")

    def grant_entry(self, name: str, entry: str) -> None:
        """Give a role what an entry of an account says: an attribute, a membership or a right."""
        role = self.roles[name]
        what, at, where = entry.partition("@")
        if not at:
            if what in ("superuser", "createdb", "createrole", "replication", "bypassrls"):
                setattr(role, what, True)
            elif what == "nologin":
                role.login = False
            else:
                role.member_of.append(what)
            return
        database, _, path = where.partition(".")
        catalog = self.catalogs.get(database)
        if catalog is None:
            return
        letters = {"read": "r", "readWrite": "arwd"}.get(what, LETTERS.get(what.lower(), ""))
        catalog.acl = {"": "Tc", catalog.owner: "CTc", **(catalog.acl or {}), name: "c"} if path == "" else catalog.acl
        for (schema, table), relation in catalog.relations.items():
            if path in ("", table, f"{schema}.{table}"):
                catalog.schema_acl.setdefault(schema, {catalog.schemas.get(schema, catalog.owner): "UC"})[name] = "U"
                relation.acl = {relation.owner: self.all_rights(), **(relation.acl or {}), name: letters}

    def clone(self) -> PostgresState:
        """Return an independent copy."""
        twin = PostgresState(**{f.name: getattr(self, f.name) for f in fields(self)})
        twin.roles = {
            n: Role(**{f.name: getattr(r, f.name) for f in fields(r)}) for n, r in self.roles.items()
        }  # fmt: skip
        for role in twin.roles.values():
            role.member_of, role.settings = list(role.member_of), dict(role.settings)
        twin.catalogs = {n: c.clone() for n, c in self.catalogs.items()}
        twin.config, twin.saved, twin.callers = dict(self.config), dict(self.saved), dict(self.callers)
        twin.backends = {
            p: Backend(**{f.name: getattr(b, f.name) for f in fields(b)}) for p, b in self.backends.items()
        }
        for backend in twin.backends.values():
            backend.locks, backend.rows = list(backend.locks), dict(backend.rows)
        return twin

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew: sessions are gone, saved settings count; without a lasting disk all is as at first."""
        if self.started and not boot.durable:
            again = type(self).fresh(datastore)
            again.callers, again.cost = self.callers, self.cost
            for each in fields(again):
                setattr(self, each.name, getattr(again, each.name))
        self.backends.clear()
        self.started = self.reloaded = boot.at
        self.name = boot.name
        self.config = dict(self.saved)
        words = list(boot.argv)
        for number, word in enumerate(words):
            given = word[2:] if word.startswith("-c") and "=" in word else ""
            if word in ("-c", "--config") and number + 1 < len(words):
                given = words[number + 1]
            elif word.startswith("--") and "=" in word:
                given = word[2:].replace("-", "_")
            name, equals, value = given.partition("=")
            if equals and name.strip() in settings():
                self.config[name.strip()] = value.strip().strip("'")

    # settings

    def setting(self, name: str) -> str:
        """Return a setting's value as it is in force for the whole server."""
        return self.config.get(name, settings()[name].value)

    def effective(self, name: str, user: str, database: str) -> str:
        """Return a setting's value for a session of a role in a database."""
        role, catalog = self.roles.get(user), self.catalogs.get(database)
        if role is not None and name in role.settings:
            return role.settings[name]
        if catalog is not None and name in catalog.settings:
            return catalog.settings[name]
        return self.setting(name)

    # rights

    def reaches(self, user: str, name: str) -> bool:
        """Tell whether a role has the rights of another."""
        seen: set[str] = set()
        waiting = [user]
        while waiting:
            here = waiting.pop()
            if here == name:
                return True
            role = self.roles.get(here)
            if role is not None and here not in seen:
                seen.add(here)
                waiting += role.member_of
        return False

    def is_super(self, user: str) -> bool:
        """Tell whether a role may do everything."""
        role = self.roles.get(user)
        return role is not None and role.superuser

    def allowed(self, user: str, acl: dict[str, str] | None, owner: str, letter: str, usual: str = "") -> bool:
        """Tell whether a role has a right on something."""
        if self.is_super(user) or self.reaches(user, owner):
            return True
        if acl is None:
            return letter in usual
        return any(letter in letters and (not name or self.reaches(user, name)) for name, letters in acl.items())

    def may_use(self, user: str, catalog: Catalog, relation: Relation, letter: str) -> bool:
        """Tell whether a role has a right on a table."""
        if letter == "r" and self.reaches(user, "pg_read_all_data"):
            return True
        if letter in "awd" and self.reaches(user, "pg_write_all_data"):
            return True
        return self.allowed(user, relation.acl, relation.owner, letter)

    def may_enter(self, user: str, catalog: Catalog, schema: str) -> bool:
        """Tell whether a role may look into a schema."""
        if schema in ("pg_catalog", "information_schema") or self.reaches(user, "pg_read_all_data"):
            return True
        owner = catalog.schemas.get(schema, "")
        return self.allowed(
            user, catalog.schema_acl.get(schema, {}), catalog.owner if owner.startswith("pg_") else owner, "U"
        )

    # connections

    def refusal(self, user: str, password: str | None, database: str, trusted: bool, now: float) -> str:
        """Return why a connection is refused, without its severity; empty when it is not."""
        role = self.roles.get(user)
        if not trusted and self.auth:
            if password is None:
                return "fe_sendauth: no password supplied"
            expired = role is not None and 0 < role.until < now
            if role is None or not role.accepts(password) or expired:
                return f'password authentication failed for user "{user}"'
        if role is None:
            return f'role "{user}" does not exist'
        if not role.login:
            return f'role "{user}" is not permitted to log in'
        catalog = self.catalogs.get(database)
        if catalog is None:
            return f'database "{database}" does not exist'
        if not catalog.allowed:
            return f'database "{database}" is not currently accepting connections'
        if not self.allowed(user, catalog.acl, catalog.owner, "c", "Tc"):
            return f'permission denied for database "{database}"'
        if self.open_connections() >= self.most() and not role.superuser:
            return self.no_slots()
        return self._limited(role, catalog)

    def _limited(self, role: Role, catalog: Catalog) -> str:
        mine = sum(1 for b in self.backends.values() if b.user == role.name)
        if 0 <= role.limit <= mine and not role.superuser:
            return f'too many connections for role "{role.name}"'
        here = sum(1 for b in self.backends.values() if b.database == catalog.name)
        if 0 <= catalog.limit <= here and not role.superuser:
            return f'too many connections for database "{catalog.name}"'
        return ""

    def most(self) -> float:
        """Return how many connections ordinary roles may have together."""
        return float(self.setting("max_connections")) - float(self.setting("superuser_reserved_connections"))

    def open_connections(self) -> float:
        """Return how many connections there are."""
        return sum(p.connections for p in self.callers.values()) + len(self.backends)

    # what it is to others

    def live(self, now: float) -> list[Backend]:
        """Return the sessions that have not ended."""
        return [b for b in self.backends.values() if b.until > now]

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """Return what is the matter with a caller's requests."""
        user = caller.user or next(iter(self.roles), "postgres")
        if caller.logs_in:
            database = caller.database or user
            why = self.refusal_of_callers(user, caller.password, database, now)
            if why:
                return Trouble(f"FATAL:  {why}")
        else:
            return None
        catalog = self.catalogs[database]
        tables = self._touched(catalog, caller)
        verb = caller.operation.split(" ")[0].split(".")[-1].lower()
        letter = _letter(verb)
        for relation in tables:
            if not self.may_enter(user, catalog, relation.schema):
                return Trouble(f"ERROR:  permission denied for schema {relation.schema}")
            if letter and not self.may_use(user, catalog, relation, letter):
                return Trouble(f"ERROR:  permission denied for table {relation.name}")
        missing = [n for n in caller.tables if not any(n in (r.name, f"{r.schema}.{r.name}") for r in tables)]
        if missing:
            return Trouble(f'ERROR:  relation "{missing[0]}" does not exist')
        readonly = self.effective("default_transaction_read_only", user, database) == "on"
        if readonly and letter in ("a", "w", "d"):
            return Trouble(f"ERROR:  cannot execute {verb.upper()} in a read-only transaction")
        return self._blocked(user, database, tables, letter or "r", now)

    def refusal_of_callers(self, user: str, password: str, database: str, now: float) -> str:
        """Return why a program is refused, whose connections are counted apart."""
        kept, self.callers = self.callers, {}
        try:
            return self.refusal(user, password, database, False, now)
        finally:
            self.callers = kept

    def _touched(self, catalog: Catalog, caller: Caller) -> list[Relation]:
        """Return the tables that a request is about: those it is known to use, those it names, or all."""
        words = {w.strip('"').lower() for w in re.findall(r'[\w."]+', caller.operation)}
        found = [
            r for r in catalog.relations.values()
            if r.kind == "r" and ({r.name, f"{r.schema}.{r.name}"} & (set(caller.tables) or words))
        ]  # fmt: skip
        if found or caller.tables:
            return found
        return [r for r in catalog.relations.values() if r.kind == "r"]

    def _blocked(self, user: str, database: str, tables: list[Relation], letter: str, now: float) -> Trouble | None:
        mine = mode_of(letter)
        worst, share = 0.0, 0.0
        for backend in self.live(now):
            for relation in tables:
                whole = any(oid == relation.oid and conflicts(mode, mine) for oid, mode in backend.locks)
                rows = backend.rows.get(relation.oid, 0.0) if letter in ("w", "d") else 0.0
                if whole or rows:
                    worst = max(worst, backend.until - now)
                    share = max(share, 1.0 if whole else rows)
        if not share:
            return None
        limits = {
            "lock timeout": setting_seconds(self.effective("lock_timeout", user, database)),
            "statement timeout": setting_seconds(self.effective("statement_timeout", user, database)),
        }
        name, seconds = min(((n, s) for n, s in limits.items() if s), key=lambda e: e[1], default=("", math.inf))
        if seconds < worst:
            return Trouble(f"ERROR:  canceling statement due to {name}", share, seconds)
        return Trouble("", share, math.inf)

    def crowd(self) -> Trouble | None:
        """Return what becomes of connections when there are more than the server takes."""
        wanted, most = self.open_connections(), self.most()
        return Trouble(f"FATAL:  {self.no_slots()}", 1.0 - most / wanted) if wanted > most else None

    def no_slots(self) -> str:
        """Return what an ordinary role is told when there are no more connections for it."""
        if self.major() >= 16:
            return "remaining connection slots are reserved for roles with the SUPERUSER attribute"
        return "remaining connection slots are reserved for non-replication superuser connections"

    def major(self) -> int:
        """Return the major version."""
        digits = self.version.split(".")[0]
        return int(digits) if digits.isdigit() else 17

    def memory(self, now: float) -> float:
        """Return the bytes that sessions and rows take."""
        rows = sum(len(r.rows) for c in self.catalogs.values() for r in c.relations.values())
        return rows * 120.0 + self.open_connections() * 1.2e6

    def drop_user(self, name: str) -> None:
        """Remove a role, and all rights it was given."""
        self.roles.pop(name, None)
        for catalog in self.catalogs.values():
            for acl in [catalog.acl, *catalog.schema_acl.values(), *(r.acl for r in catalog.relations.values())]:
                if acl is not None:
                    acl.pop(name, None)

    def revoke(self, name: str, roles: tuple[str, ...]) -> None:
        """Take attributes, memberships or rights from a role, in the words in which accounts are given them."""
        role = self.roles.get(name)
        for entry in roles if role is not None else ():
            what, at, where = entry.partition("@")
            assert role is not None
            if not at:
                if hasattr(role, what):
                    setattr(role, what, False)
                role.member_of = [m for m in role.member_of if m != what]
                continue
            database, _, path = where.partition(".")
            letters = {"read": "r", "readWrite": "arwd"}.get(what, LETTERS.get(what.lower(), ""))
            for (schema, table), relation in (
                self.catalogs[database].relations.items() if database in self.catalogs else ()
            ):
                if path in ("", table, f"{schema}.{table}") and relation.acl and name in relation.acl:
                    relation.acl[name] = "".join(c for c in relation.acl[name] if c not in letters)

    def talk(self, request: dict[str, Any], now: float, peer: str) -> Any:
        """Run a client's statements; see `stratus.sim.apps.stores.postgres.session`."""
        from stratus.sim.apps.stores.postgres.session import run

        return run(self, request, now, peer)


def _letter(verb: str) -> str:
    """Return the right that a kind of request needs."""
    known = {"find": "", "read": "r", "get": "r", "query": "r", "write": "a", "save": "a", "list": "r"}
    return known.get(verb, LETTERS.get(verb, "r"))
