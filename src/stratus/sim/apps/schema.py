"""What an application file may say. Times are milliseconds where a name ends in `_ms`, else seconds; CPU is in
milliseconds of one core; memory is MiB. Every field is explained at its class; `data/hotel-reservation.yaml` is the
worked example to copy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Protocol = Literal["http", "grpc", "mongodb", "memcached", "redis", "tcp"]

#: Protocols whose servers write spans of their own; the others only show as time of the caller.
TRACED: frozenset[str] = frozenset({"http", "grpc"})


class Part(BaseModel):
    """A piece of an application file: unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(Part):
    """Where a program takes a setting from; the first source that has it wins.

    Attributes:
        env: name of an environment variable.
        file: path of a JSON (or YAML) document inside the container, with `key` (dots go deeper).
        default: what is built in; None: the program does not start without the setting.
    """

    env: str = ""
    file: str = ""
    key: str = ""
    default: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Value:
        if bool(self.file) != bool(self.key):
            raise ValueError("`file` and `key` belong together: the document and the key in it")
        if not self.env and not self.file and self.default is None:
            raise ValueError("name a source: `env`, `file` with `key`, or `default`")
        return self


class Login(Part):
    """How a program logs in to a datastore and what it needs there."""

    user: Value
    password: Value
    database: str = ""
    role: str = "readWrite"


class Target(Part):
    """Another process that a program calls.

    Attributes:
        address: `host:port`.
        protocol: decides error texts and whether the callee writes spans.
        timeout: seconds after which the caller gives up.
        retries: further attempts after a failed one.
        login: for datastores with users.
        hit: for caches: share of look-ups that find something when the cache is warm.
        at_start: what the program does at its start when it cannot reach the target (or log in): `wait` (up to
            `startup.wait` seconds, then it ends with an error), or `go` (it starts all the same).
    """

    address: Value
    protocol: Protocol = "grpc"
    timeout: float = Field(default=1.0, gt=0)
    retries: int = Field(default=0, ge=0, le=5)
    login: Login | None = None
    hit: float = Field(default=0.0, ge=0, le=1)
    at_start: Literal["wait", "go"] = "go"


class Call(Part):
    """One call made while an operation is served, in order.

    Attributes:
        to: a key of the program's `targets`.
        operation: what is asked of the other side.
        share: calls per request.
        missed: name of a cache target: the call is made only for what that cache did not have.
        on_error: `fail` the request, `ignore`, or (caches) count it as a `miss`.
    """

    to: str
    operation: str = ""
    share: float = Field(default=1.0, ge=0)
    missed: str = ""
    on_error: Literal["fail", "ignore", "miss"] = "fail"


class Operation(Part):
    """What serving one request costs.

    Attributes:
        wait_ms: time spent without CPU (disk, locks).
        cpu_ms: CPU time.
        error_rate: share of requests that fail in normal life.
        path: for HTTP, where it is asked for (`/` and the operation's name, too).
    """

    wait_ms: float = Field(default=0.5, ge=0)
    cpu_ms: float = Field(default=1.0, ge=0)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    path: str = ""
    calls: tuple[Call, ...] = ()


class Check(Part):
    """A setting that is read at the start and must look right, else the program ends.

    Attributes:
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
    """A user of a datastore; roles are `role@database`."""

    name: str
    password: str
    roles: tuple[str, ...] = ()


class Datastore(Part):
    """State kept across pods of one workload.

    Attributes:
        auth: whether logins and roles are checked.
        accounts: who exists at first.
        denied: log lines of the server when a login or an operation is refused; `{user}`, `{reason}`.
        names: databases that exist.
    """

    auth: bool = False
    accounts: tuple[Account, ...] = ()
    names: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class LogStyle(Part):
    """How a program writes.

    Attributes:
        prefix: put before every line; `{time}` is RFC 3339 with seconds, `{date}` with milliseconds.
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


class Program(Part):
    """One program: the process that a container with a certain image and command runs.

    Attributes:
        image: glob over the image's `host/repository`, without tag (`docker.io/library/` is implied as usual).
        command: first word of the command that starts it; empty: what the image starts by itself (or any command).
        ports: TCP ports it listens on.
        protocol: what it speaks there.
        operations: what it can be asked; `*` answers anything not listed.
        memory: MiB at rest; `memory_per_rps`: MiB more for each request per second.
        queue: seconds of work that pile up at most before new work is thrown away.
        warm: for caches, seconds after the start in which the hit share grows to its normal level.
    """

    image: str
    command: str = ""
    ports: tuple[int, ...] = ()
    protocol: Protocol = "grpc"
    operations: dict[str, Operation] = Field(default_factory=dict)
    targets: dict[str, Target] = Field(default_factory=dict)
    startup: Startup = Startup()
    memory: float = Field(default=20.0, ge=0)
    memory_per_rps: float = Field(default=0.0, ge=0)
    cpu_idle: float = Field(default=0.002, ge=0)
    queue: float = Field(default=5.0, gt=0)
    warm: float = Field(default=0.0, ge=0)
    datastore: Datastore | None = None
    logs: LogStyle = LogStyle()

    @model_validator(mode="after")
    def _known_targets(self) -> Program:
        for name, operation in self.operations.items():
            for number, call in enumerate(operation.calls):
                where = f"operations.{name}.calls.{number}"
                if call.to not in self.targets:
                    known = ", ".join(sorted(self.targets)) or "none"
                    raise ValueError(f"{where}.to: no target {call.to!r}; targets are: {known}")
                if call.missed and call.missed not in {c.to for c in operation.calls[:number]}:
                    raise ValueError(f"{where}.missed: no earlier call of this operation goes to {call.missed!r}")
        return self


class Crash(Part):
    """A build that ends by itself."""

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
    """

    image: str
    program: str = ""
    error_rate: float = Field(default=0.0, ge=0, le=1)
    message: str = "internal error"
    slower: float = Field(default=1.0, gt=0)
    cpu: float = Field(default=1.0, gt=0)
    memory: float = 0.0
    crash: Crash | None = None


class Mix(Part):
    """One kind of request of the load generator; `share` counts against the sum of all."""

    operation: str
    share: float = Field(gt=0)


class Load(Part):
    """The users.

    Attributes:
        host, port: where they knock: a Service of the application's namespace.
        rate: requests per second; it swings by `swing` (share) in a slow wave.
        timeout: seconds after which a user gives up.
    """

    host: str
    port: int
    protocol: Protocol = "http"
    rate: float = Field(gt=0)
    swing: float = Field(default=0.05, ge=0, lt=1)
    timeout: float = Field(default=10.0, gt=0)
    mix: tuple[Mix, ...] = Field(min_length=1)


class Registry(Part):
    """Images that do, or do not, exist, beyond the rules of the image registry: globs over `host/repository:tag`."""

    missing: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()


class Application(Part):
    """An application: objects to create, and what its programs do.

    Attributes:
        namespace: where it lives unless another is asked for.
        manifests: files beside this one with Kubernetes objects, in the order in which they are created.
        objects: further Kubernetes objects, written here.
        wait: seconds within which everything should be up after the deployment.
    """

    name: str
    description: str = ""
    namespace: str
    manifests: tuple[str, ...] = ()
    objects: tuple[dict[str, Any], ...] = ()
    load: Load | None = None
    programs: dict[str, Program] = Field(default_factory=dict)
    builds: tuple[Build, ...] = ()
    registry: Registry = Registry()
    wait: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _known_programs(self) -> Application:
        for number, build in enumerate(self.builds):
            if build.program and build.program not in self.programs:
                raise ValueError(f"builds.{number}.program: no program {build.program!r}")
        return self
