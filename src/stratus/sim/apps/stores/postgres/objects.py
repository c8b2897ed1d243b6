"""Roles, tables, databases and sessions, as a server keeps them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

#: How a password begins that is given as the server keeps it.
VERIFIER = "SCRAM-SHA-256$"


@dataclass(slots=True)
class Role:
    """A role. The password is kept as it was given, which may be the form in which a server keeps it."""

    name: str
    oid: int = 10
    password: str = ""
    superuser: bool = False
    inherit: bool = True
    createrole: bool = False
    createdb: bool = False
    login: bool = True
    replication: bool = False
    bypassrls: bool = False
    limit: int = -1
    until: float = 0.0
    member_of: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def verifier(self, password: str) -> str:
        """Return a password of this role as the server keeps it; one that is given like that stays so."""
        if password.startswith(VERIFIER):
            return password
        return f"{VERIFIER}4096:{zlib.crc32(f'{self.name} {password}'.encode()):08x}"

    def accepts(self, password: str) -> bool:
        """Tell whether somebody may log in with a password; what the server keeps opens no door by itself."""
        if not self.password or password.startswith(VERIFIER):
            return False
        return self.verifier(password) == self.verifier(self.password)


@dataclass(slots=True)
class Field:
    """A column of a table."""

    name: str
    type: str
    nullable: bool = True
    default: str = ""


@dataclass(slots=True)
class Index:
    """An index of a table."""

    name: str
    columns: list[str]
    unique: bool = False
    primary: bool = False
    oid: int = 0


@dataclass(slots=True)
class Relation:
    """A table (`r`) or view (`v`). `acl` is letters of rights by role, empty for everybody; None: only the owner's."""

    name: str
    schema: str
    owner: str
    oid: int
    kind: str = "r"
    columns: list[Field] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    acl: dict[str, str] | None = None
    indexes: list[Index] = field(default_factory=list)
    query: str = ""
    dead: int = 0
    scans: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    vacuumed: float = 0.0
    analyzed: float = 0.0

    def names(self) -> list[str]:
        """Return the columns' names."""
        return [c.name for c in self.columns]

    def shown(self) -> str:
        """Return its name, with the schema if it is not the usual one."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    def primary(self) -> list[str]:
        """Return the columns of the primary key."""
        return next((i.columns for i in self.indexes if i.primary), [])

    def clone(self) -> Relation:
        """Return an independent copy."""
        return Relation(
            self.name, self.schema, self.owner, self.oid, self.kind,
            [Field(c.name, c.type, c.nullable, c.default) for c in self.columns], [list(r) for r in self.rows],
            None if self.acl is None else dict(self.acl),
            [Index(i.name, list(i.columns), i.unique, i.primary, i.oid) for i in self.indexes], self.query, self.dead,
            self.scans, dict(self.changes), self.vacuumed, self.analyzed,
        )  # fmt: skip


@dataclass(slots=True)
class Catalog:
    """One database: its schemas (owner by name, rights) and relations by (schema, name)."""

    name: str
    oid: int
    owner: str
    schemas: dict[str, str] = field(default_factory=dict)
    schema_acl: dict[str, dict[str, str]] = field(default_factory=dict)
    relations: dict[tuple[str, str], Relation] = field(default_factory=dict)
    acl: dict[str, str] | None = None
    limit: int = -1
    allowed: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=lambda: ["plpgsql"])

    def clone(self) -> Catalog:
        """Return an independent copy."""
        twin = Catalog(self.name, self.oid, self.owner, dict(self.schemas))
        twin.schema_acl = {n: dict(a) for n, a in self.schema_acl.items()}
        twin.relations = {k: r.clone() for k, r in self.relations.items()}
        twin.acl = None if self.acl is None else dict(self.acl)
        twin.limit, twin.allowed = self.limit, self.allowed
        twin.settings, twin.extensions = dict(self.settings), list(self.extensions)
        return twin


@dataclass(slots=True)
class Backend:
    """A session that goes on after the command that began it: it sleeps, or sits idle in a transaction.

    Attributes:
        locks: (table oid, mode); `rows` is how much of a table it keeps others from changing, by oid.
        until: when it ends.
    """

    pid: int
    database: str
    user: str
    application: str
    address: str
    begun: float
    transaction: float
    query_at: float
    state: str
    query: str
    until: float
    wait: tuple[str, str] = ("", "")
    locks: list[tuple[int, str]] = field(default_factory=list)
    rows: dict[int, float] = field(default_factory=dict)
