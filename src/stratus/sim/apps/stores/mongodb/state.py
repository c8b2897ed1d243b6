"""What a MongoDB server holds, and how programs fare that use it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, State, Trouble

#: Roles that allow everything in a database (or, granted in `admin`, in all).
_GREAT = frozenset({"root", "dbOwner", "readWriteAnyDatabase", "__system"})
#: Kinds of commands, and the roles that allow them.
ALLOWING = {
    "read": frozenset({"read", "readWrite", "dbOwner", "readAnyDatabase", "readWriteAnyDatabase", "root", "__system"}),
    "write": frozenset({"readWrite", "dbOwner", "readWriteAnyDatabase", "root", "__system"}),
    "index": frozenset({"readWrite", "dbAdmin", "dbOwner", "dbAdminAnyDatabase", "readWriteAnyDatabase", "root",
    "__system"}),
    "users": frozenset({"root", "userAdmin", "userAdminAnyDatabase", "dbOwner", "__system"}),
    "cluster": frozenset({"root", "clusterAdmin", "clusterMonitor", "clusterManager", "__system"}),
    "kill": frozenset({"root", "clusterAdmin", "hostManager", "__system"}),
}  # fmt: skip
#: When the documents were written that are there at first, in seconds since the epoch.
_BEGINNING = 1_767_600_000
_EVERYWHERE = frozenset(
    {"root", "readAnyDatabase", "readWriteAnyDatabase", "userAdminAnyDatabase", "dbAdminAnyDatabase"}
)


@dataclass(slots=True)
class User:
    """A user and its roles as `role@database`."""

    password: str
    roles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Collection:
    """Documents, and the indexes over them: name -> keys."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    indexes: dict[str, dict[str, Any]] = field(default_factory=lambda: {"_id_": {"_id": 1}})


@dataclass(slots=True)
class Operation:
    """Something that takes long: who runs it, on what, and until when."""

    number: int
    namespace: str
    user: str
    begun: float
    until: float
    command: str


@dataclass(slots=True)
class Database(State):
    """One datastore's state.

    Attributes:
        auth: whether logins and roles are checked.
        names: databases that exist.
        collections: by `database.collection`.
        operations: what runs long, by number.
        replica_set: its name, if it is a member of one.
    """

    kind: ClassVar[str] = "mongodb"

    auth: bool = False
    users: dict[str, User] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    version: str = "4.4.6"
    collections: dict[str, Collection] = field(default_factory=dict)
    operations: dict[int, Operation] = field(default_factory=dict)
    replica_set: str = ""
    started: float = field(default=0.0, repr=False, compare=False)
    made: int = 0
    commands: int = field(default=0, repr=False, compare=False)
    profile: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    tls: str = "disabled"
    name: str = field(default="", repr=False, compare=False)

    @classmethod
    def fresh(cls, datastore: Datastore) -> Database:
        """Return the state a datastore has at first."""
        users = {a.name: User(a.password, list(a.roles)) for a in datastore.accounts}
        state = cls(auth=datastore.auth, users=users, names=list(datastore.names))
        state.version = datastore.version or state.version
        for path, table in datastore.tables.items():
            made = state.collection(path)
            for row in table.rows:
                document = dict(row) if isinstance(row, dict) else dict(zip(table.columns, row, strict=False))
                made.documents.append({"_id": document.pop("_id", state.identifier(0.0)), **document})
            first = next((k for k in (made.documents[0] if made.documents else {}) if k != "_id"), "")
            if first:
                made.indexes[f"{first}_1"] = {first: 1}
        return state

    def clone(self) -> Database:
        """Return an independent copy."""
        twin = Database(**{f.name: getattr(self, f.name) for f in fields(self)})
        twin.users = {n: User(u.password, list(u.roles)) for n, u in self.users.items()}
        twin.names, twin.callers = list(self.names), dict(self.callers)
        twin.collections = {
            n: Collection(copy.deepcopy(c.documents), copy.deepcopy(c.indexes)) for n, c in self.collections.items()
        }
        twin.operations, twin.parameters = dict(self.operations), dict(self.parameters)
        return twin

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew: users and documents stay; the command line says whether logins are checked."""
        words = [w for word in boot.argv for w in word.split("=", 1)]
        self.auth = datastore.auth or "--auth" in words
        self.replica_set = words[words.index("--replSet") + 1] if "--replSet" in words[:-1] else ""
        mode = next((words[n + 1] for n, w in enumerate(words[:-1]) if w in ("--tlsMode", "--sslMode")), "disabled")
        self.tls = mode
        self.operations.clear()
        self.started, self.name = boot.at, boot.name
        self.work = 0.0

    # what is there

    def collection(self, path: str) -> Collection:
        """Return a collection, making it if need be."""
        found = self.collections.get(path)
        if found is None:
            found = self.collections[path] = Collection()
            name = path.partition(".")[0]
            if name not in self.names and name != "admin":
                self.names.append(name)
        return found

    def identifier(self, now: float) -> dict[str, str]:
        """Return an identifier for a new document."""
        self.made += 1
        return {"$oid": f"{int(now or _BEGINNING):08x}5b1f0c0000{self.made:06x}"}

    def indexes_of(self, path: str) -> dict[str, dict[str, Any]]:
        """Return a collection's indexes; when operations cost more than usual, those that helped are gone."""
        found = self.collections[path].indexes if path in self.collections else {}
        return {n: k for n, k in found.items() if n == "_id_" or self.cost <= 1.0}

    # checks

    def login(self, user: str, password: str) -> str:
        """Return the server's refusal of a login; empty when it is accepted."""
        found = self.users.get(user)
        if not self.auth:
            return ""
        if found is None:
            return f'UserNotFound: Could not find user "{user}" for db "admin"'
        if found.password != password:
            return "AuthenticationFailed: SCRAM authentication failed, storedKey mismatch"
        return ""

    def may(self, user: str, role: str, database: str) -> bool:
        """Tell whether a user holds a role in a database."""
        if not self.auth:
            return True
        found = self.users.get(user)
        for held in found.roles if found is not None else ():
            name, _, where = held.partition("@")
            if name in _GREAT and where in ("admin", database):
                return True
            if name == role and where == database:
                return True
        return False

    def can(self, user: str, action: str, database: str) -> bool:
        """Tell whether a user may run a kind of command in a database."""
        if not self.auth:
            return True
        found = self.users.get(user)
        for held in found.roles if found is not None else ():
            name, _, where = held.partition("@")
            if name in ALLOWING[action] and (where == database or (where == "admin" and name in _EVERYWHERE)):
                return True
            if name in ALLOWING[action] and action in ("cluster", "kill", "users"):
                return True
        return False

    def refusal(self, user: str, password: str, role: str, database: str, command: str) -> str:
        """Return what a client is told when it cannot log in or may not run a command; empty when all is well."""
        if self.login(user, password):
            return (
                "connection() error occurred during connection handshake: auth error: sasl conversation error: unable "
                'to authenticate using mechanism "SCRAM-SHA-256": (AuthenticationFailed) Authentication failed.'
            )
        if not self.may(user, role, database):
            return f"(Unauthorized) not authorized on {database} to execute command {{ {command} }}"
        return ""

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """Return what is the matter with a caller's requests."""
        if not self.auth:
            return None
        if not caller.logs_in:
            text = self.refusal("", "", "readWrite", "test", caller.operation)
        else:
            asked = f'{caller.operation}: "{caller.database}"'
            text = self.refusal(caller.user, caller.password, caller.role, caller.database, asked)
        return Trouble(text) if text else None

    def memory(self, now: float) -> float:
        """Return the bytes that documents written since take."""
        return 400.0 * sum(len(c.documents) for c in self.collections.values())

    def drop_user(self, name: str) -> None:
        """Remove a user."""
        self.users.pop(name, None)

    def revoke(self, name: str, roles: tuple[str, ...]) -> None:
        """Take roles from a user."""
        if name in self.users:
            self.users[name].roles = [r for r in self.users[name].roles if r not in roles]

    def talk(self, request: dict[str, Any], now: float, peer: str) -> Any:
        """Run a shell's script; see `stratus.sim.apps.stores.mongodb.session`."""
        from stratus.sim.apps.stores.mongodb.session import run

        return run(self, request, now, peer)
