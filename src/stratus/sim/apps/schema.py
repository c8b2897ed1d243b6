"""What an application file may say. Times are milliseconds where a name ends in `_ms`, else seconds; CPU is in
milliseconds of one core; memory is MiB. Every field is explained at its class; `data/hotel-reservation.yaml` is the
worked example to copy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Protocol = Literal["http", "grpc", "thrift", "mongodb", "memcached", "redis", "postgresql", "kafka", "tcp"]

#: Protocols whose servers write spans of their own; the others only show as time of the caller.
TRACED: frozenset[str] = frozenset({"http", "grpc", "thrift"})


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
        port: where the port comes from when the address is told without it.
        protocol: decides error texts and whether the callee writes spans.
        timeout: seconds after which the caller gives up an attempt. The callee goes on working all the same.
        retries: further attempts after a failed one; `backoff`: seconds before the first of them, doubling each time.
        retry_budget: further attempts at most, as a share of all first attempts; none: as many as `retries` allows.
        pool: connections, and so calls under way, that one process has at most; 0: as many as it likes.
        pool_wait: seconds a call waits for a free connection before it fails.
        tls: whether the program speaks TLS to the target (`true`, `yes`, `on`, `1`, `require...`); none: it does not.
        login: for datastores with users.
        hit: for caches: share of look-ups that find something when the cache is warm.
        at_start: what the program does at its start when it cannot reach the target (or log in): `wait` (up to
            `startup.wait` seconds, then it ends with an error), or `go` (it starts all the same).
    """

    address: Value
    port: Value | None = None
    protocol: Protocol = "grpc"
    timeout: float = Field(default=1.0, gt=0)
    retries: int = Field(default=0, ge=0, le=5)
    backoff: float = Field(default=0.0, ge=0)
    retry_budget: float | None = Field(default=None, ge=0)
    pool: int = Field(default=0, ge=0)
    pool_wait: float = Field(default=1.0, gt=0)
    tls: Value | None = None
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
        topic: for brokers: the call puts a message there, which programs that consume the topic take up later.
        together: it runs at the same time as the call before it; they take as long as the slower one.
        wait: false: the request does not wait for the answer, and an error of the call does not matter to it.
        on_error: `fail` the request, `ignore`, or (caches) count it as a `miss`.
    """

    to: str
    operation: str = ""
    share: float = Field(default=1.0, ge=0)
    missed: str = ""
    topic: str = ""
    together: bool = False
    wait: bool = True
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


class Consumer(Part):
    """Messages that a program takes from a topic; each is worked on like a request for an operation.

    Attributes:
        broker: a key of the program's `targets`.
        group: the consumer group; its members share the messages.
        operation: a key of the program's `operations`.
        workers: messages that one process works on at the same time.
        on_error: `skip` a message whose work failed, or `retry` it until it succeeds, with all others waiting.
    """

    broker: str
    topic: str
    group: str
    operation: str
    workers: int = Field(default=1, ge=1)
    on_error: Literal["skip", "retry"] = "skip"


class Effect(Part):
    """What a feature flag, or a setting read at the start, changes while it is on.

    Attributes:
        flag: name of a feature flag; it is read again and again, so a change acts at once.
        setting, pattern: or a setting whose whole value matches a regular expression.
        when: variants or values of the flag at which it acts; empty: all values but false, 0, off and nothing.
        by_value: the numbers below hold for a flag of value 1; a greater value makes for more of it.
        operations: what is affected; empty: all operations.
        error_rate, message: share of requests that fail, and with what.
        wait_ms: time added to every request; `slower`: factor on its waiting, `cpu`: on its CPU time.
        cores: CPU used beside the requests.
        pause_ms, pause_every: the process stands still for that long, once in so many seconds (collecting garbage).
        memory: MiB more at once; `leak`: MiB more with every second.
        calls: factor on the calls to some of the `targets`.
        unreachable: targets that the program asks at a wrong address meanwhile.
        misses: cache targets in which it finds nothing meanwhile.
        rate: factor on the requests of a load, or on the pace of consumers.
    """

    flag: str = ""
    setting: Value | None = None
    pattern: str = ".+"
    when: tuple[str, ...] = ()
    by_value: bool = False
    operations: tuple[str, ...] = ()
    error_rate: float = Field(default=0.0, ge=0, le=1)
    message: str = "internal error"
    wait_ms: float = Field(default=0.0, ge=0)
    slower: float = Field(default=1.0, gt=0)
    cpu: float = Field(default=1.0, gt=0)
    cores: float = Field(default=0.0, ge=0)
    pause_ms: float = Field(default=0.0, ge=0)
    pause_every: float = Field(default=10.0, gt=0)
    memory: float = Field(default=0.0, ge=0)
    leak: float = Field(default=0.0, ge=0)
    calls: dict[str, float] = Field(default_factory=dict)
    unreachable: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    rate: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _one_cause(self) -> Effect:
        if bool(self.flag) == (self.setting is not None):
            raise ValueError("name either a `flag` or a `setting` that turns the effect on")
        return self


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
        kind: which server it is: decides its command line clients and its error texts.
        tls: where the server's TLS mode comes from; `require...` turns away callers that do not speak TLS.
        password: where the password of servers without users (Redis, Valkey) comes from.
        topics: of a broker, with the number of their partitions; others come into being when first written to.
        auth: whether logins and roles are checked.
        accounts: who exists at first.
        denied: log lines of the server when a login or an operation is refused; `{user}`, `{reason}`.
        names: databases that exist.
    """

    kind: Literal["mongodb", "redis", "memcached", "postgresql", "kafka"] = "mongodb"
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
        prefix: put before every line; `{time}` is RFC 3339 with seconds, `{date}` with milliseconds, `{stamp}` like
            `2026-Jan-05 09:00:00.000000`, `{slashed}` like `2026/01/05 09:00:00`.
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
        memory: MiB at rest; `memory_per_rps`: MiB more for each request per second; `memory_per_waiting`: MiB more
            for each request that is under way or waits.
        leak: MiB lost for good with every thousand requests.
        queue: seconds of CPU work that pile up at most; requests beyond are never answered.
        workers: requests worked on at the same time, waiting for others included; 0: as many as come.
        waiting: requests that wait for a worker at most; further ones are turned away at once.
        cold, cold_seconds: factor on the CPU time right after the start, and how long it takes to wear off.
        warm: for caches, seconds after the start in which the hit share grows to its normal level.
        graceful: whether it answers what it has begun before it ends, when its pod is deleted.
        flags: a key of `targets`: where it asks for feature flags.
        flag_file: the program serves feature flags itself, from this file in its container.
        effects: what flags and settings do to it.
        consumes: topics whose messages it works on.
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
    memory_per_waiting: float = Field(default=0.0, ge=0)
    leak: float = Field(default=0.0, ge=0)
    queue: float = Field(default=5.0, gt=0)
    workers: int = Field(default=0, ge=0)
    waiting: int = Field(default=100, ge=0)
    cold: float = Field(default=1.0, ge=1)
    cold_seconds: float = Field(default=20.0, gt=0)
    warm: float = Field(default=0.0, ge=0)
    graceful: bool = True
    flags: str = ""
    flag_file: str = ""
    effects: tuple[Effect, ...] = ()
    consumes: tuple[Consumer, ...] = ()
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
                if call.together and number == 0:
                    raise ValueError(f"{where}.together: it is the first call, there is none before it")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> Program:
        named = [("flags", self.flags)] if self.flags else []
        named += [(f"consumes.{n}.broker", c.broker) for n, c in enumerate(self.consumes)]
        for number, effect in enumerate(self.effects):
            where = f"effects.{number}"
            named += [(f"{where}.{f}", t) for f in ("calls", "unreachable", "misses") for t in getattr(effect, f)]
            for name in effect.operations:
                if name not in self.operations:
                    raise ValueError(f"{where}.operations: no operation {name!r}")
            if effect.flag and not self.flags and not self.flag_file:
                raise ValueError(f"{where}.flag: say in `flags` which of the targets tells the program its flags")
        for where, name in named:
            if name not in self.targets:
                raise ValueError(
                    f"{where}: no target {name!r}; targets are: {', '.join(sorted(self.targets)) or 'none'}"
                )
        for number, consumer in enumerate(self.consumes):
            if consumer.operation not in self.operations:
                raise ValueError(f"consumes.{number}.operation: no operation {consumer.operation!r}")
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
        leak: MiB lost for good with every thousand requests.
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
    """One kind of request of the load generator; `share` counts against the sum of all."""

    operation: str
    share: float = Field(gt=0)


class Load(Part):
    """The users.

    Attributes:
        host, port: where they knock: a Service of the application's namespace.
        rate: requests per second; it swings by `swing` (share) in a slow wave.
        timeout: seconds after which a user gives up.
        retries: how often a user tries again at once after an error.
        program: the load is made by this program (a load generator in a pod), and stops when none runs; its `flags`
            and `effects` (`rate`) act on the load.
    """

    host: str
    port: int
    protocol: Protocol = "http"
    rate: float = Field(gt=0)
    swing: float = Field(default=0.05, ge=0, lt=1)
    timeout: float = Field(default=10.0, gt=0)
    retries: int = Field(default=0, ge=0, le=5)
    program: str = ""
    mix: tuple[Mix, ...] = Field(min_length=1)


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
    """Images that do, or do not, exist, beyond the rules of the image registry: globs over `host/repository:tag`."""

    missing: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()


class Application(Part):
    """An application: objects to create, and what its programs do.

    Attributes:
        namespace: where it lives unless another is asked for.
        manifests: files beside this one with Kubernetes objects, in the order in which they are created.
        objects: further Kubernetes objects, written here.
        builds: images that behave differently from others of their program.
        externals: what there is outside the cluster, by host name.
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
    externals: dict[str, External] = Field(default_factory=dict)
    registry: Registry = Registry()
    wait: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _known_programs(self) -> Application:
        for number, build in enumerate(self.builds):
            if build.program and build.program not in self.programs:
                raise ValueError(f"builds.{number}.program: no program {build.program!r}")
        if self.load is not None and self.load.program and self.load.program not in self.programs:
            raise ValueError(f"load.program: no program {self.load.program!r}")
        return self
