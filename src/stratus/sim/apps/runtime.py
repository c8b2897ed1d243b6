"""Plays the containers that an application describes, and leaves all others to the generic runtime."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.annotations import annotated_program
from stratus.sim.apps.chaos.controller import ChaosController
from stratus.sim.apps.process import Key, Proc, fill
from stratus.sim.apps.schema import Application, Build, Program
from stratus.sim.apps.settings import read_settings
from stratus.sim.apps.stores import hosting
from stratus.sim.apps.stores.base import Caller, State, Trouble
from stratus.sim.apps.stores.brokers import Broker
from stratus.sim.apps.stores.topics import administer
from stratus.sim.apps.wire import failure, not_tls, too_late
from stratus.sim.containerworld import ContainerWorld
from stratus.sim.controllers.common import controller_ref, key_of
from stratus.sim.disks import no_space
from stratus.sim.generic import MIB, RUNC, GenericRuntime, HttpReply, Process
from stratus.sim.network import Reached
from stratus.sim.quantity import parse_quantity
from stratus.sim.registry import ImageRegistry, InvalidReference, parse_reference
from stratus.sim.runtime import ProbeResult, Run
from stratus.sim.shell import Outcome
from stratus.sim.shellcommands import known_programs
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Cores a container may use when it has no limit.
UNLIMITED = 4.0
#: Seconds between two looks of a program that waits for what it needs.
RETRY = 2.0
STOPS_AFTER = 0.2


def noise(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts alone."""
    return zlib.crc32("\x00".join(map(str, parts)).encode()) / 4294967296.0


def workload_of(pod: Obj) -> str:
    """Return the name of what manages a pod (the Deployment behind its ReplicaSet), else the pod's own."""
    owner = controller_ref(pod)
    if owner is None:
        return str(pod["metadata"]["name"])
    name = str(owner["name"])
    return (name.rpartition("-")[0] or name) if owner["kind"] == "ReplicaSet" else name


class AppRuntime(GenericRuntime):
    """A ContainerRuntime that knows an application's programs.

    Attributes:
        procs: programs by (pod uid, container), the present run of each; `past` the run before.
        databases: state of datastores by (namespace, workload); `brokers` that of message brokers.
        version: grows whenever something changes that the store does not show (who serves, who may log in).
        judge: says which share of requests for an operation succeeds now, and with what message the others fail.
        response: says how many seconds an answer for an operation (empty: a sign of life) takes now.
    """

    def __init__(self, registry: ImageRegistry, app: Application | None = None) -> None:
        super().__init__(registry)
        self.app = app
        self.procs: dict[Key, Proc] = {}
        self.past: dict[Key, Proc] = {}
        self.databases: dict[tuple[str, str], State] = {}
        self.brokers: dict[tuple[str, str], Broker] = {}
        self.version = 0
        self.judge: Callable[[Proc, str], tuple[float, str]] | None = None
        self.response: Callable[[Proc, str], float] | None = None
        self._matched: dict[tuple[str, ...], str | None] = {}
        for pattern in app.registry.existing if app is not None else ():
            registry.add_rule(pattern, exists=True)
        for pattern in app.registry.missing if app is not None else ():
            registry.add_rule(pattern, exists=False)

    def attach(self, control: ControlPlane) -> None:
        """Become the runtime of a control plane, which gets the controller of chaos objects with it."""
        super().attach(control)
        if ChaosController.name not in control.controllers:
            control.add(ChaosController(control))

    def fork(self, control: ControlPlane) -> AppRuntime:
        """Return a copy that lives in a forked control plane."""
        twin = super().fork(control)
        assert isinstance(twin, AppRuntime)
        twin.procs = {k: p.clone() for k, p in self.procs.items()}
        twin.past = {k: p.clone() for k, p in self.past.items()}
        twin.databases = {k: d.clone() for k, d in self.databases.items()}
        twin.brokers = {k: b.clone() for k, b in self.brokers.items()}
        return twin

    def forget(self, uid: str) -> None:
        """A pod is gone for good."""
        super().forget(uid)
        for table in (self.procs, self.past):
            for key in [k for k in table if k[0] == uid]:
                del table[key]
        self.version += 1

    # which program

    def program_of(self, pod: Obj, container: Obj, argv: list[str]) -> tuple[str, Program] | None:
        """Return the name and description of the program a container runs, None when nothing describes it."""
        declared = annotated_program(pod, container)
        if isinstance(declared, Program):
            return workload_of(pod), declared
        name = self._of_app(container, argv)
        return (name, self.app.programs[name]) if self.app is not None and name is not None else None

    def _of_app(self, container: Obj, argv: list[str]) -> str | None:
        if self.app is None:
            return None
        key = (container["image"], *argv)
        if key not in self._matched:
            self._matched[key] = self._match(container["image"], argv)
        return self._matched[key]

    def _match(self, image: str, argv: list[str]) -> str | None:
        assert self.app is not None
        try:
            parse_reference(image)
        except InvalidReference:
            return None
        base = argv[0].rpartition("/")[2] if argv else ""
        if base in known_programs():
            return None
        for name, program in self.app.programs.items():
            if not fits(image, program.image):
                continue
            wanted = program.command
            if not wanted or wanted == base or (wanted.startswith("-") and wanted in argv[1:]):
                return name
        return None

    def _misses(self, image: str, word: str) -> bool:
        """Tell whether an image of the application, which holds its programs under their names, lacks a command."""
        if self.app is None or not word or word.rpartition("/")[2] in known_programs():
            return False
        return any(fits(image, p.image) and p.command[:1].isalnum() for p in self.app.programs.values())

    def build_of(self, image: str, program: str) -> Build | None:
        """Return what is special about an image of a program, if anything."""
        full = parse_reference(image).full
        for build in self.app.builds if self.app is not None else ():
            if build.program in ("", program) and fnmatchcase(full, build.image):
                return build
        return None

    # life

    def start(self, pod: Obj, container: Obj, env: dict[str, str], restart: int) -> Run:
        """Start a container; a program of the application reads its settings, waits for what it needs, then serves."""
        key = (pod["metadata"]["uid"], container["name"])
        run = super().start(pod, container, env, restart)
        before = self.procs.pop(key, None)
        if before is not None:
            self.past[key] = before
        self.version += 1
        process = self.running[key]
        if run.reason == "StartError":
            return run
        found = self.program_of(pod, container, process.argv)
        if found is None:
            problem = annotated_program(pod, container)
            if isinstance(problem, str):
                process.outcome.lines.append((0.0, "err", problem + "\n"))
            word = process.argv[0] if process.argv else ""
            if self._misses(container["image"], word):
                text = f'{RUNC}exec: "{word}": executable file not found in $PATH: unknown'
                return self._refuse(process, text, 128)
            return run
        proc = self._proc(pod, container, found, process, restart)
        self.procs[key] = proc
        proc.write(proc.started_at, *proc.program.startup.log)
        if run.exit_code and run.exit_after is not None:
            proc.phase = "ending"
            return run
        process.outcome = Outcome(program=process.argv[0] if process.argv else "")
        process.app = True
        return self._begin(pod, container, proc, process)

    def _proc(self, pod: Obj, container: Obj, found: tuple[str, Program], process: Process, restart: int) -> Proc:
        name, program = found
        limits = (container.get("resources") or {}).get("limits") or {}
        cpu = parse_quantity(limits.get("cpu"))
        build = self.build_of(container["image"], name)
        proc = Proc(
            name=name,
            program=program,
            build=build,
            pod=key_of(pod),
            uid=pod["metadata"]["uid"],
            container=container["name"],
            workload=workload_of(pod),
            started_at=self.now(),
            restart=restart,
            capacity=min(cpu or UNLIMITED, program.threads or UNLIMITED, UNLIMITED),
            limit=cpu,
            memory_limit=parse_quantity(limits.get("memory")),
            memory=self._memory(pod, container, process),
            cpu=program.cpu_idle,
            ports=frozenset(program.ports),
        )
        datastore = program.datastore or hosting.implied(program.protocol)
        if datastore is not None:
            place = (proc.namespace, proc.workload)
            if place not in self.databases:
                state = hosting.create(datastore)
                if state is not None:
                    self.databases[place] = state
            if place in self.databases:
                boot = hosting.boot_of(pod, container, process.argv, process.env, self.now())
                self.databases[place].boot(datastore, boot)
        return proc

    def _begin(self, pod: Obj, container: Obj, proc: Proc, process: Process) -> Run:
        startup = proc.program.startup
        now = proc.started_at
        crash = proc.build.crash if proc.build is not None else None
        if crash is not None:
            for number, line in enumerate(crash.log):
                proc.write(now + crash.after * (number + 1) / (len(crash.log) + 1), line)
            proc.phase = "ending"
            return Run(exit_after=crash.after, exit_code=crash.exit_code)
        world = ContainerWorld(self, pod, container, process)
        load = self.app.load if self.app is not None else None
        users = load.users if load is not None and load.program == proc.name else None
        settings = read_settings(proc.program, process.env, world.read, users)
        if settings.doomed is not None:
            lines, code = settings.doomed
            after = min(0.4, startup.seconds / 2)
            proc.write(now + after, *lines)
            proc.phase = "ending"
            return Run(exit_after=after, exit_code=code)
        proc.addresses, proc.logins = settings.addresses, settings.logins
        proc.switched, proc.tls, proc.demands_tls = settings.switched, settings.tls, settings.demands_tls
        proc.ports, proc.users = settings.ports, settings.users
        proc.deadline = now + startup.seconds + startup.wait
        return Run(poll_after=max(startup.seconds, 0.05), stops_after=STOPS_AFTER)

    def poll(self, pod: Obj, container: Obj) -> Run:
        """Go on with a program that starts: it serves, goes on waiting, or gives up."""
        proc = self.procs.get((pod["metadata"]["uid"], container["name"]))
        if proc is None:
            return super().poll(pod, container)
        if proc.phase not in ("starting", "waiting"):
            return Run(stops_after=STOPS_AFTER)
        now = self.now()
        problem = self._needs(pod, proc)
        if problem is None:
            proc.phase, proc.ready_at = "serving", now
            proc.write(now, *proc.program.startup.ready)
            self.version += 1
            return Run(stops_after=STOPS_AFTER)
        lines, fatal = problem
        if fatal or now >= proc.deadline:
            proc.write(now, *lines)
            proc.phase = "ending"
            return Run(exit_after=0.1, exit_code=proc.program.startup.exit_code, stops_after=STOPS_AFTER)
        proc.phase = "waiting"
        return Run(poll_after=min(RETRY, max(proc.deadline - now, 0.05)), stops_after=STOPS_AFTER)

    def _needs(self, pod: Obj, proc: Proc) -> tuple[list[str], bool] | None:
        """Return the lines about the first thing missing at the start, and whether waiting is useless."""
        startup = proc.program.startup
        for name, target in proc.program.targets.items():
            if target.at_start != "wait":
                continue
            host, port = proc.addresses[name]
            address = f"{host}:{port}"
            reached = self.network.connect(pod, host, port)
            if not isinstance(reached, Reached):
                text = failure(reached, target.protocol, host, port)
                return [fill(line, target=name, address=address, message=text) for line in startup.unreachable], False
            if reached.pod is None or reached.container is None:
                continue
            server = self.procs.get((reached.pod["metadata"]["uid"], reached.container["name"]))
            found = self.trouble(proc, name, server, "find") if server is not None else None
            if server is not None and server.demands_tls and name not in proc.tls:
                found = Trouble(not_tls(target.protocol, host, port))
            if found is not None and found.share > 0.5:
                text = found.text or too_late(target.protocol, host, port)
                lines = startup.refused_login
                return [fill(line, target=name, address=address, message=text) for line in lines], not found.waits
        return None

    def text_of(self, proc: Proc, path: str) -> str | None:
        """Return a file's text as a program finds it in its container now."""
        pod, process = self.store.get("pods", *proc.pod), self.running.get((proc.uid, proc.container))
        if pod is None or process is None:
            return None
        container = next((c for c in pod["spec"]["containers"] if c["name"] == proc.container), None)
        return ContainerWorld(self, pod, container, process).read(path) if container is not None else None

    def cost_of(self, proc: Proc) -> float:
        """Return the factor on the CPU time of a datastore's operations."""
        database = self.databases.get((proc.namespace, proc.workload))
        return database.cost if database is not None else 1.0

    def broker_of(self, proc: Proc) -> Broker:
        """Return what a program holds as a message broker; topics its description names exist from the start."""
        place = (proc.namespace, proc.workload)
        found = self.brokers.get(place)
        if found is None:
            found = self.brokers[place] = Broker()
            for name, partitions in (
                proc.program.datastore.topics if proc.program.datastore is not None else {}
            ).items():
                found.topic(name, partitions)
        return found

    def state_of(self, proc: Proc) -> State | None:
        """Return what a program holds as a datastore."""
        return self.databases.get((proc.namespace, proc.workload))

    def trouble(self, proc: Proc, target: str, server: Proc, operation: str) -> Trouble | None:
        """Return what is the matter with a program's requests to a datastore, None when nothing is."""
        state = self.state_of(server)
        if state is None:
            return None
        pod = self.store.get("pods", *server.pod)
        full = no_space(self, pod, state.kind, operation) if pod is not None and pod["spec"].get("volumes") else ""
        if full:
            return Trouble(full)
        login = proc.program.targets[target].login
        user, password = proc.logins.get(target, ("", ""))
        caller = Caller(user, password, operation=operation)
        if login is not None:
            caller = Caller(user, password, login.database, login.role, operation, True, login.tables)
        return state.trouble(caller, self.now()) or state.crowd()

    def talk(self, pod: Obj, container: Obj, port: int, protocol: str, request: Any, peer: str) -> Any:
        """Let a client talk to what listens on a port; None when that speaks something else."""
        proc = self.proc_in(pod, container)
        if proc is None:
            return super().talk(pod, container, port, protocol, request, peer)
        if protocol == "kafka" and proc.program.protocol == "kafka":
            return administer(self.broker_of(proc), request, self.now(), self.addresses_of(proc.namespace))
        state = self.state_of(proc)
        if state is None or hosting.SPOKEN.get(state.kind) != protocol:
            return None
        if protocol == "mongodb" and proc.demands_tls and not request.get("tls"):
            return None
        return state.talk(request, self.now(), peer)

    def addresses_of(self, namespace: str) -> dict[str, str]:
        """Return the addresses of a namespace's pods by name."""
        pods = self.store.list("pods", namespace)
        return {p["metadata"]["name"]: str((p.get("status") or {}).get("podIP") or "") for p in pods}

    def stop(self, pod: Obj, container: Obj) -> None:
        """The process has ended."""
        super().stop(pod, container)
        proc = self.procs.get((pod["metadata"]["uid"], container["name"]))
        if proc is not None:
            if proc.phase == "serving":
                proc.ended_at, proc.abrupt = self.now(), "deletionTimestamp" not in pod["metadata"]
            proc.phase = "ending"
        self.version += 1

    # reads

    def live(self) -> list[Proc]:
        """Return the programs whose processes run, in order of their start."""
        return [p for k, p in self.procs.items() if (r := self.running.get(k)) is not None and r.ended_at is None]

    def proc_in(self, pod: Obj, container: Obj) -> Proc | None:
        """Return the application's program that runs in a container."""
        key = (pod["metadata"]["uid"], container["name"])
        process = self.running.get(key)
        return self.procs.get(key) if process is not None and process.ended_at is None else None

    def listens(self, pod: Obj, container: Obj) -> frozenset[int]:
        """Return the ports served now."""
        proc = self.procs.get((pod["metadata"]["uid"], container["name"]))
        if proc is None:
            return super().listens(pod, container)
        alive = self.proc_in(pod, container) is not None
        return proc.ports if alive and proc.serves(self.now()) else frozenset()

    def http(self, pod: Obj, container: Obj, port: int, method: str, path: str, data: str = "") -> HttpReply:
        """Answer one HTTP request."""
        proc = self.proc_in(pod, container)
        if proc is None:
            return super().http(pod, container, port, method, path, data)
        if proc.program.protocol != "http":
            return HttpReply(0)
        name = self._asked(proc, path)
        if name == "" and proc.mods is not None and proc.mods.unready:
            return HttpReply(503, "not ready\n")
        if name == "":
            return HttpReply(200, "ok\n")
        if name is None:
            return HttpReply(404, "404 page not found\n")
        ok, message = self.judge(proc, name) if self.judge is not None else (1.0, "")
        return HttpReply(200, "ok\n") if ok >= 0.5 else HttpReply(500, f"{message}\n")

    def probe(self, pod: Obj, container: Obj, probe: Obj) -> ProbeResult:
        """Answer one probe: a program that is too busy to answer in time fails it like any other request."""
        action = next((k for k in ("httpGet", "grpc") if probe.get(k) is not None), "")
        port = self._probe_port(pod, container, probe[action].get("port")) if action else None
        listener = self._listener(pod, port) if port is not None else None
        proc = self.proc_in(pod, listener) if listener is not None else None
        if proc is None or self.response is None:
            if port is None:
                return super().probe(pod, container, probe)
            return self._asked_by_network(pod, container, probe, lambda _pod, _port: listener)
        if action == "grpc" and proc.mods is not None and proc.mods.unready and proc.serves(self.now()):
            return ProbeResult(False, 'service unhealthy (responded with "NOT_SERVING")')
        path = str(probe[action].get("path") or "/")
        seconds = float(probe.get("timeoutSeconds") or 1)
        name = self._asked(proc, path) if action == "httpGet" else ""
        if self.response(proc, name or "") <= seconds:
            return self._asked_by_network(pod, container, probe, lambda _pod, _port: listener)
        if action == "grpc":
            return ProbeResult(False, f"timeout: health rpc did not complete within {seconds:g}s")
        host = probe[action].get("host") or (pod.get("status") or {}).get("podIP") or "127.0.0.1"
        scheme = str(probe[action].get("scheme") or "HTTP").lower()
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return ProbeResult(False, f'Get "{scheme}://{host}:{port}{path if path[0] == "/" else "/" + path}": {late}')

    @staticmethod
    def _asked(proc: Proc, path: str) -> str | None:
        """Return the operation a path stands for; empty: just whether anybody is there, None: nothing."""
        bare = path.partition("?")[0]
        name = next((n for n, o in proc.program.operations.items() if bare in (o.path, f"/{n}")), None)
        if name is None and bare in ("/", ""):
            return ""
        return name if name is not None or "*" not in proc.program.operations else "*"

    def logs(
        self, pod: Obj, container: Obj, *, previous: bool, since: float | None, limit: int
    ) -> list[tuple[float, str]]:
        """Return the last lines of the present (or previous) run."""
        key = (pod["metadata"]["uid"], container["name"])
        proc = (self.past if previous else self.procs).get(key)
        if proc is None:
            return super().logs(pod, container, previous=previous, since=since, limit=limit)
        return log_lines(proc, self.now(), since, limit)

    def _memory(self, pod: Obj, container: Obj, process: Process) -> float:
        found = self.program_of(pod, container, process.argv)
        if found is None:
            return super()._memory(pod, container, process)
        name, program = found
        build = self.build_of(container["image"], name)
        return (program.memory + (build.memory if build is not None else 0.0)) * MIB

    def usage(self, pod: Obj, container: Obj) -> tuple[float, float]:
        """Return (cores, bytes)."""
        proc = self.proc_in(pod, container)
        return super().usage(pod, container) if proc is None else (proc.cpu, proc.memory)


@lru_cache(maxsize=4096)
def fits(image: str, pattern: str) -> bool:
    """Tell whether an image matches a glob over `host/repository`, or over `host/repository:tag` if it has a colon."""
    reference = parse_reference(image)
    return fnmatchcase(reference.full if ":" in pattern else reference.name, pattern)


def log_lines(proc: Proc, now: float, since: float | None, limit: int) -> list[tuple[float, str]]:
    """Return the lines a program has written up to now, oldest first."""
    lines = [e for e in proc.lines if e[0] <= now + 1e-9 and (since is None or e[0] >= since)]
    lines.sort(key=lambda e: e[0])
    return lines[-limit:] if limit >= 0 else lines
