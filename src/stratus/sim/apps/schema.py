"""What an application file may say. Times are milliseconds where a name ends in `_ms`, else seconds; CPU is in
milliseconds of one core; memory is MiB. Every field is explained at its class and in docs/reference/applications.md,
which is made from here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from stratus.sim.apps.parts import (
    Account,
    Build,
    Check,
    Crash,
    Datastore,
    External,
    Login,
    LogStyle,
    Mix,
    Part,
    Registry,
    Startup,
    Table,
    Value,
)

Protocol = Literal["http", "grpc", "thrift", "mongodb", "memcached", "redis", "postgresql", "kafka", "tcp"]

Client = Literal["go", "node", "java", "dotnet", "rust", "envoy", "core"]

#: Protocols whose servers write spans of their own; the others only show as time of the caller.
TRACED: frozenset[str] = frozenset({"http", "grpc", "thrift"})


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
        span: its name in traces, where several operations go by the same name; empty: its own.
        memory: MiB held for each request of this kind per second, beyond what the program says.
        calls: calls made while a request is served.
    """

    wait_ms: float = Field(default=0.5, ge=0)
    cpu_ms: float = Field(default=1.0, ge=0)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    path: str = ""
    span: str = ""
    memory: float = Field(default=0.0, ge=0)
    calls: tuple[Call, ...] = ()


class Consumer(Part):
    """Messages that a program takes from a topic; each is worked on like a request for an operation.

    Attributes:
        broker: a key of the program's `targets`.
        topic: what is consumed.
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


class Work(Part):
    """What a program does without being asked: pollers, reporters, producers of messages.

    Attributes:
        operation: a key of the program's `operations`.
        rate: how often per second each process does it.
    """

    operation: str
    rate: float = Field(gt=0)


class Effect(Part):
    """What a feature flag, or a setting read at the start, changes while it is on.

    Attributes:
        flag: name of a feature flag; it is read again and again, so a change acts at once.
        setting, pattern: or a setting whose whole value matches a regular expression.
        when: variants or values of the flag at which it acts; empty: all values but false, 0, off and nothing.
        by_value: the numbers below hold for a flag of value 1; a greater value makes for more of it.
        operations: what is affected; empty: all operations.
        error_rate, message: share of requests that fail, and with what.
        wait_ms: time added to every request; `slower`: factor on its waiting.
        cpu: factor on the CPU time of a request.
        cores: CPU used beside the requests.
        pause_ms, pause_every: the process stands still for that long, once in so many seconds (collecting garbage).
        memory: MiB more at once; `leak`: MiB more with every second; `leak_per_thousand`: MiB more with every thousand
            requests.
        calls: factor on the calls to some of the `targets`.
        unreachable: targets that the program asks at a wrong address meanwhile.
        misses: cache targets in which it finds nothing meanwhile.
        unready: it says of itself that it is not ready: gRPC health checks and HTTP probes of `/` fail.
        rate: factor on the requests of a load, or on the pace of consumers; `requests`: factors on some kinds of a
            load's requests (operations of its `mix`).
        log: lines written now and then while it acts.
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
    leak_per_thousand: float = Field(default=0.0, ge=0)
    calls: dict[str, float] = Field(default_factory=dict)
    unreachable: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    unready: bool = False
    rate: float = Field(default=1.0, ge=0)
    requests: dict[str, float] = Field(default_factory=dict)
    log: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_cause(self) -> Effect:
        if bool(self.flag) == (self.setting is not None):
            raise ValueError("name either a `flag` or a `setting` that turns the effect on")
        return self


class Program(Part):
    """One program: the process that a container with a certain image and command runs.

    Attributes:
        image: glob over the image's `host/repository` (`docker.io/library/` is implied as usual), or, with a colon,
            over `host/repository:tag`.
        command: first word of the command that starts it; empty: what the image starts by itself (or any command).
        ports: TCP ports it listens on; `listens`: where the first of them is told, if it can be told.
        protocol: what it speaks there.
        client: in whose words it tells of failed gRPC and HTTP calls: those of Go, Node.js, Java, .NET, Rust, Envoy, or
            of the libraries in C that C++, Python, Ruby and PHP use (`core`).
        operations: what it can be asked; `*` answers anything not listed.
        targets: the other processes it calls, by a name of your choice.
        startup: how it starts; `logs`: how it writes; `datastore`: the state it keeps, if it is a datastore.
        cpu_idle: cores it uses without any request.
        memory: MiB at rest; `memory_per_rps`: MiB more for each request per second; `memory_per_waiting`: MiB more
            for each request that is under way or waits.
        leak: MiB lost for good with every thousand requests.
        threads: cores it can use at the same time, whatever its container may use; 0: as many as there are.
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
        works: what it does without being asked.
    """

    image: str
    command: str = ""
    ports: tuple[int, ...] = ()
    listens: Value | None = None
    protocol: Protocol = "grpc"
    client: Client = "go"
    operations: dict[str, Operation] = Field(default_factory=dict)
    targets: dict[str, Target] = Field(default_factory=dict)
    startup: Startup = Startup()
    memory: float = Field(default=20.0, ge=0)
    memory_per_rps: float = Field(default=0.0, ge=0)
    cpu_idle: float = Field(default=0.002, ge=0)
    memory_per_waiting: float = Field(default=0.0, ge=0)
    leak: float = Field(default=0.0, ge=0)
    threads: float = Field(default=0.0, ge=0)
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
    works: tuple[Work, ...] = ()
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
        asked = [(f"consumes.{n}", c.operation) for n, c in enumerate(self.consumes)]
        asked += [(f"works.{n}", w.operation) for n, w in enumerate(self.works)]
        for where, operation in asked:
            if operation not in self.operations:
                raise ValueError(f"{where}.operation: no operation {operation!r}")
        return self


class Load(Part):
    """The users.

    Attributes:
        host, port: where they knock: a Service of the application's namespace.
        protocol: what they speak.
        mix: the kinds of their requests.
        rate: requests per second; `users`: a setting of `program` by which it is multiplied.
        swing: share by which the rate rises and falls in a slow wave.
        timeout: seconds after which a user gives up.
        retries: how often a user tries again at once after an error.
        program: the load is made by this program (a load generator in a pod), and stops when none runs; its `flags`
            and `effects` (`rate`, `requests`) act on the load.
        target: a key of that program's `targets`: where it is told to knock, in place of `host` and `port`.
    """

    host: str
    port: int
    protocol: Protocol = "http"
    rate: float = Field(gt=0)
    swing: float = Field(default=0.05, ge=0, lt=1)
    timeout: float = Field(default=10.0, gt=0)
    retries: int = Field(default=0, ge=0, le=5)
    program: str = ""
    target: str = ""
    users: Value | None = None
    mix: tuple[Mix, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Load:
        if (self.target or self.users is not None) and not self.program:
            raise ValueError("`target` and `users` are settings of a `program` that makes the load: name it")
        return self


class Application(Part):
    """An application: objects to create, and what its programs do.

    Attributes:
        name: what it is called; `description`: one sentence about it.
        namespace: where it lives unless another is asked for.
        manifests: files beside this one with Kubernetes objects, in the order in which they are created.
        objects: further Kubernetes objects, written here.
        load: the users, if anybody uses it.
        programs: what its containers run, by a name of your choice.
        registry: images that exist, or do not, beyond what the image registry's rules say.
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
        if self.load is not None and self.load.program:
            self._check_load(self.load)
        return self

    def _check_load(self, load: Load) -> None:
        """Refuse a load whose program is not there, or does not fit it."""
        program = self.programs.get(load.program)
        if program is None:
            raise ValueError(f"load.program: no program {load.program!r}")
        if load.target and load.target not in program.targets:
            known = ", ".join(sorted(program.targets)) or "none"
            raise ValueError(
                f"load.target: program {load.program!r} has no target {load.target!r}; targets are: {known}"
            )
        kinds = {m.operation for m in load.mix}
        for number, effect in enumerate(program.effects):
            for name in sorted(set(effect.requests) - kinds):
                where = f"programs.{load.program}.effects.{number}.requests"
                raise ValueError(
                    f"{where}: no requests for {name!r} in load.mix; there are: {', '.join(sorted(kinds))}"
                )


__all__ = [
    "TRACED",
    "Account",
    "Application",
    "Build",
    "Call",
    "Check",
    "Consumer",
    "Crash",
    "Datastore",
    "Effect",
    "External",
    "Load",
    "LogStyle",
    "Login",
    "Mix",
    "Operation",
    "Part",
    "Program",
    "Protocol",
    "Registry",
    "Startup",
    "Table",
    "Target",
    "Value",
    "Work",
]
