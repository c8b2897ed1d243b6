"""The smaller parts of an application file: settings, logins, starts, datastores, log lines, builds, images. Times are
milliseconds where a name ends in `_ms`, else seconds; memory is MiB."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Part(BaseModel):
    """A piece of an application file: unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(Part):
    """Where a program takes a setting from; the first source that has it wins.

    Attributes:
        env: name of an environment variable.
        file: path of a JSON (or YAML) document inside the container.
        key: where in the document the setting is (dots go deeper).
        pattern: regular expression that cuts the setting out of a longer text (a connection string): the first group
            of its first match; a text that it does not match holds no setting.
        default: what is built in; None: the program does not start without the setting.
    """

    env: str = ""
    file: str = ""
    key: str = ""
    pattern: str = ""
    default: str | None = None

    @field_validator("pattern")
    @classmethod
    def _groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        if pattern and not groups:
            raise ValueError("put the part that is the setting into parentheses")
        return pattern

    @model_validator(mode="after")
    def _complete(self) -> Value:
        if bool(self.file) != bool(self.key):
            raise ValueError("`file` and `key` belong together: the document and the key in it")
        if not self.env and not self.file and self.default is None:
            raise ValueError("name a source: `env`, `file` with `key`, or `default`")
        return self


class Login(Part):
    """How a program logs in to a datastore and what it needs there.

    Attributes:
        user, password: where the program takes them from.
        database: where the role is needed; `role`: which one.
        tables: of PostgreSQL, those that it uses (`schema.table`); empty: all of the database.
    """

    user: Value
    password: Value
    database: str = ""
    role: str = "readWrite"
    tables: tuple[str, ...] = ()


class Check(Part):
    """A setting that is read at the start and must look right, else the program ends.

    Attributes:
        value: where the setting comes from.
        exit_code: how the program ends when the value does not match.
        pattern: regular expression the whole value must match.
        log: lines written before the end; `{value}` stands for what was found.
    """

    value: Value
    pattern: str = ".*"
    log: tuple[str, ...] = ()
    exit_code: int = 2


class Startup(Part):
    """How a program starts.

    Attributes:
        seconds: from the start until it serves.
        log: lines it writes meanwhile.
        ready: lines it writes when it serves.
        wait: seconds it tries to reach targets that are needed at the start.
        exit_code: how it ends when it cannot start.
        checks: settings that must look right.
        unreachable, refused_login, missing: lines before it ends because a target does not answer, does not accept
            the login, or a setting without default is missing; `{target}`, `{address}`, `{message}`, `{setting}`.
    """

    seconds: float = Field(default=1.0, ge=0)
    log: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    wait: float = Field(default=30.0, ge=0)
    exit_code: int = 2
    unreachable: tuple[str, ...] = ("cannot reach {target} at {address}: {message}",)
    refused_login: tuple[str, ...] = ("cannot log in to {target} at {address}: {message}",)
    missing: tuple[str, ...] = ("missing setting {setting}",)
    checks: tuple[Check, ...] = ()


class Account(Part):
    """A user of a datastore.

    Attributes:
        name, password: what it logs in with.
        roles: what it may do, each as `role@database`.
    """

    name: str
    password: str
    roles: tuple[str, ...] = ()


class Table(Part):
    """A table or collection that a datastore has at first.

    Attributes:
        columns: for tables, names and types (`text`, `integer`, `bigint`, `numeric`, `boolean`, `timestamptz`...), the
            first one the primary key; empty for collections.
        owner: the user it belongs to; empty: the first superuser.
        rows: what is in it: for tables, lists of values in the order of the columns; for collections, documents.
    """

    columns: dict[str, str] = Field(default_factory=dict)
    owner: str = ""
    rows: tuple[tuple[Any, ...] | dict[str, Any], ...] = ()


class Datastore(Part):
    """State kept across pods of one workload (of Redis, Valkey and Memcached: as long as a process runs).

    What a server is told by its arguments counts, too: `--requirepass`, `--maxmemory` of Redis and Valkey, `-m` and
    `-c` of Memcached, `-c name=value` of PostgreSQL, `--auth` and `--tlsMode` of MongoDB.

    Attributes:
        kind: which server it is: decides its command line clients, what its state is and its error texts.
        version: what the server says its version is; empty: a usual one.
        tables: what it holds at first: `database.schema.table` (PostgreSQL), `database.collection` (MongoDB).
        keys: string keys that it holds at first (Redis, Valkey).
        tls: where the server's TLS mode comes from; `require...` turns away callers that do not speak TLS.
        password: where the password of servers without users (Redis, Valkey) comes from.
        topics: of a broker, with the number of their partitions; others come into being when first written to.
        auth: whether logins and roles are checked.
        accounts: who exists at first. Roles of PostgreSQL are attributes (`superuser`, `createdb`, `createrole`,
            `nologin`), memberships (`pg_monitor`), and rights as `read@database`, `readWrite@database`,
            `PRIVILEGE@database.schema.table`; of MongoDB `role@database`.
        denied: log lines of the server when a login or an operation is refused; `{user}`, `{reason}`.
        names: databases that exist.
    """

    kind: Literal["mongodb", "redis", "valkey", "memcached", "postgresql", "kafka"] = "mongodb"
    version: str = ""
    tables: dict[str, Table] = Field(default_factory=dict)
    keys: dict[str, str] = Field(default_factory=dict)
    tls: Value | None = None
    password: Value | None = None
    topics: dict[str, int] = Field(default_factory=dict)
    auth: bool = False
    accounts: tuple[Account, ...] = ()
    names: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class LogStyle(Part):
    """How a program writes.

    Attributes:
        prefix: put before every line; `{time}` is RFC 3339 with seconds, `{date}` with milliseconds, `{utc}` with
            milliseconds and `Z`, `{stamp}` like `2026-Jan-05 09:00:00.000000`, `{slashed}` like `2026/01/05 09:00:00`,
            `{comma}` like `2026-01-05 09:00:00,000`, `{dotted}` the same with a dot, `{clf}` like
            `05/Jan/2026:09:00:00 +0000`, `{dayfirst}` like `05 Jan 2026 09:00:00.000`, `{millis}` milliseconds since
            1970.
        error: line for a failed call; `{target}`, `{operation}`, `{message}`, `{address}`.
        failed: line for a request that fails by itself; `{operation}`, `{message}`.
        access: lines written now and then in normal work; `{operation}`, `{rate}`.
        slow: line when the program is overloaded; `{operation}`, `{ms}`.
    """

    prefix: str = "{time} "
    error: str = "ERROR call to {target} failed: {message}"
    failed: str = "ERROR {operation} failed: {message}"
    access: tuple[str, ...] = ()
    slow: str = ""


class Crash(Part):
    """A build that ends by itself.

    Attributes:
        after: seconds after its start.
        exit_code: how it ends.
        log: lines it writes meanwhile.
    """

    after: float = Field(default=1.0, ge=0)
    exit_code: int = 2
    log: tuple[str, ...] = ()


class Build(Part):
    """What is special about some image: the first entry that matches a container counts.

    Attributes:
        image: glob over the whole reference, `host/repository:tag`.
        program: the program it holds a special build of; empty: all.
        error_rate, message: share of requests that fail, and with what.
        slower, cpu: factors on waiting and CPU time; `memory`: MiB more.
        leak: MiB lost for good with every thousand requests.
        crash: it ends by itself soon after its start.
    """

    image: str
    program: str = ""
    error_rate: float = Field(default=0.0, ge=0, le=1)
    message: str = "internal error"
    slower: float = Field(default=1.0, gt=0)
    cpu: float = Field(default=1.0, gt=0)
    memory: float = 0.0
    leak: float = Field(default=0.0, ge=0)
    crash: Crash | None = None


class Mix(Part):
    """One kind of request of the load.

    Attributes:
        operation: what is asked for, an operation of the program behind the Service.
        share: how often, against the sum of all shares.
    """

    operation: str
    share: float = Field(gt=0)


class External(Part):
    """Something outside the cluster that programs call by name.

    Attributes:
        ports: where it listens.
        wait_ms: how long it takes to answer.
        error_rate, message: share of calls that fail, and with what.
    """

    ports: tuple[int, ...] = (443,)
    wait_ms: float = Field(default=40.0, ge=0)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    message: str = "503 Service Unavailable"


class Registry(Part):
    """Images that do, or do not, exist, beyond the rules of the image registry.

    Attributes:
        missing: globs over `host/repository:tag` of images that cannot be pulled.
        existing: the same of images that can.
    """

    missing: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()
