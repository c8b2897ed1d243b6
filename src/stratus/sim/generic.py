"""Plays any container image: runs its command on the small shell, serves its ports, answers probes, keeps logs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.sim import answering
from stratus.sim.containerworld import ABSENT, ContainerWorld, flag_ports
from stratus.sim.controllers.common import controller_ref, spread
from stratus.sim.filesystem import Node, Tree
from stratus.sim.kubelet.environment import expand
from stratus.sim.processes import HttpReply, Process, copied, fate, joined, written
from stratus.sim.quantity import parse_quantity
from stratus.sim.registry import ImageBehaviour, ImageRegistry
from stratus.sim.resolving import CLUSTER_DNS
from stratus.sim.runtime import ExecResult, ProbeResult, Run
from stratus.sim.shell import Outcome, Shell
from stratus.sim.store import Obj
from stratus.sim.streams.input import interpreter

if TYPE_CHECKING:
    from stratus.sim.apps.stores.base import State
    from stratus.sim.controlplane import ControlPlane
    from stratus.sim.network import Network
    from stratus.sim.store import Store

RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A pod annotation that sets how much memory its containers use (a quantity).
MEMORY_ANNOTATION = "sim.stratus.dev/memory"
MIB = 1048576.0

Key = tuple[str, str]


class GenericRuntime:
    """A ContainerRuntime for images nobody wrote a model of.

    Give it to a ControlPlane, which attaches itself. State is plain data keyed by (pod uid, container); `fork(control)`
    returns a copy for a forked control plane. Subclasses override `http`, `listens`, `usage` or `start` for the
    containers they know and call up for the rest.
    """

    def __init__(self, registry: ImageRegistry) -> None:
        self.registry = registry
        self.running: dict[Key, Process] = {}
        self.ended: dict[Key, Process] = {}
        self.volumes: dict[Key, Tree] = {}
        #: Containers and volumes by the pod's uid, so that forgetting one pod looks at no other.
        self._names: dict[str, dict[str, None]] = {}
        #: What servers hold that nobody described, by (namespace, workload).
        self.servers: dict[tuple[str, str], State] = {}
        self.learned: dict[tuple[str, ...], tuple[frozenset[int], frozenset[str]]] = {}
        self._control: ControlPlane | None = None

    # where it lives

    def attach(self, control: ControlPlane) -> None:
        """Become the runtime of a control plane."""
        self._control = control

    @property
    def control(self) -> ControlPlane:
        """Return the control plane this runtime belongs to."""
        if self._control is None:
            raise RuntimeError("the runtime is not attached to a control plane; hand it to ControlPlane(...)")
        return self._control

    @property
    def store(self) -> Store:
        """Return the cluster's objects."""
        return self.control.store

    @property
    def network(self) -> Network:
        """Return the cluster's network."""
        return self.control.network

    def now(self) -> float:
        """Return the present moment."""
        return self.control.clock.now()

    def fork(self, control: ControlPlane) -> GenericRuntime:
        """Return a copy that lives in a forked control plane."""
        twin = copy.copy(self)
        twin.running = {k: copied(p) for k, p in self.running.items()}
        twin.ended = {k: copied(p) for k, p in self.ended.items()}
        twin.volumes = {k: t.clone() for k, t in self.volumes.items()}
        twin._names = {uid: dict(names) for uid, names in self._names.items()}
        twin.learned = dict(self.learned)
        twin.servers = {place: state.clone() for place, state in self.servers.items()}
        twin._control = control
        return twin

    def forget(self, uid: str) -> None:
        """A pod is gone for good."""
        for name in self._names.pop(uid, ()):
            for table in (self.running, self.ended, self.volumes):
                table.pop((uid, name), None)

    def nameserver(self) -> str:
        """Return the cluster's DNS address."""
        return CLUSTER_DNS

    # images

    def behaviour(self, container: Obj) -> ImageBehaviour:
        """Return what a container's image does."""
        return self.registry.behaviour(container["image"])

    def _workload(self, pod: Obj, container: Obj) -> tuple[str, ...]:
        owner = controller_ref(pod)
        name = pod["metadata"]["name"]
        if owner is not None:
            name = owner["name"]
            if owner["kind"] == "ReplicaSet":
                name = name.rpartition("-")[0] or name
        image = self.registry.canonical(container["image"]).rpartition(":")[0]
        return pod["metadata"]["namespace"], name, container["name"], image

    def _learn(self, pod: Obj, container: Obj) -> tuple[frozenset[int], frozenset[str]]:
        """Fix, at a workload's first start, what the program in an unknown image listens on and answers.

        A later change of the pod's declared ports or probes then does not change the program, as in life.
        """
        key = self._workload(pod, container)
        found = self.learned.get(key)
        if found is not None:
            return found
        ports = {p["containerPort"] for p in container.get("ports") or () if p.get("protocol", "TCP") == "TCP"}
        paths = set()
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind) or {}
            for group in ("httpGet", "tcpSocket", "grpc"):
                if probe.get(group):
                    number = probe[group].get("port")
                    if isinstance(number, int) and not container.get("ports"):
                        ports.add(number)
                    path = probe[group].get("path")
                    if path and not ABSENT.search(path):
                        paths.add(path.partition("?")[0])
        if not ports:
            for service in self.store.list("services", pod["metadata"]["namespace"]):
                wanted = service["spec"].get("selector")
                labels = pod["metadata"].get("labels") or {}
                if wanted and all(labels.get(k) == v for k, v in wanted.items()):
                    targets = (p.get("targetPort", p["port"]) for p in service["spec"].get("ports") or ())
                    ports |= {t for t in targets if isinstance(t, int)}
        found = (frozenset(ports), frozenset(paths))
        self.learned[key] = found
        return found

    def app_ports(self, pod: Obj, container: Obj, env: dict[str, str]) -> frozenset[int]:
        """Return what the program of a container's image listens on."""
        behaviour = self.behaviour(container)
        if behaviour.ports is not None:
            return frozenset(behaviour.ports)
        if env.get("PORT", "").isdigit():
            return frozenset({int(env["PORT"])})
        return self._learn(pod, container)[0]

    # starting and stopping

    def start(self, pod: Obj, container: Obj, env: dict[str, str], restart: int) -> Run:
        """Start the container's process and work out what becomes of it."""
        key = (pod["metadata"]["uid"], container["name"])
        behaviour = self.behaviour(container)
        whole = {
            "PATH": PATH,
            "HOSTNAME": (pod["spec"].get("hostname") or pod["metadata"]["name"])[:63],
            "HOME": "/root",
            **env,
        }
        command = [expand(str(w), whole) for w in container.get("command") or ()]
        args = [expand(str(w), whole) for w in container.get("args") or ()]
        own = not command and not args
        if command:
            argv = command + args
        elif args:
            argv = self._with_args(container, behaviour, args)
        else:
            argv = list(behaviour.command)
        process = Process(argv, whole, self.now(), restart)
        if container.get("workingDir"):
            whole["PWD"] = container["workingDir"]
            self._begin_files(process)
        if key in self.running:
            self.ended[key] = self.running[key]
        self.running[key] = process
        self._names.setdefault(key[0], {})[key[1]] = None
        world = ContainerWorld(self, pod, container, process)
        if not argv:
            return self._refuse(process, "no command specified", 128)
        if own and behaviour.runs == "exits":
            for line in behaviour.log:
                process.outcome.lines.append((0.0, "out", line + "\n"))
            process.outcome.exit_code = 0
            return fate(process)
        if not own and not world.has_program(argv[0]) and world.read(argv[0]) is None:
            why = (
                f"stat {argv[0]}: no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
            )
            return self._refuse(process, f'{RUNC}exec: "{argv[0]}": {why}: unknown', 128)
        if self.control.dns.runs(container):
            process.outcome.exit_code = self.control.dns.boot(pod, container, process, world)
            return fate(process)
        ports = world.serves(argv)
        if own and ports is None:
            ports = self.app_ports(pod, container, whole)
        if ports is not None:
            return self._serve(pod, container, process, behaviour, ports)
        if container.get("stdin") and interpreter(argv):
            # A shell that waits for whoever attaches; as first process it does not mind SIGTERM.
            return Run(stops_after=None)
        return self._step(pod, container, process, horizon=0.0)

    @staticmethod
    def _begin_files(process: Process) -> None:
        """Let a process find the files it starts with, and none of those that it writes."""
        home = process.env.get("PWD", "").rstrip("/")
        process.files = Tree({home: Node("dir", mode=0o755, modified=process.started_at)} if home else {})

    def _with_args(self, container: Obj, behaviour: ImageBehaviour, args: list[str]) -> list[str]:
        if behaviour.entrypoint:
            return [*behaviour.entrypoint, *args]
        if not self.registry.is_described(container["image"]) or args[0].startswith("-"):
            return [*behaviour.command[:1], *args]
        return args

    @staticmethod
    def _refuse(process: Process, message: str, code: int) -> Run:
        process.outcome.exit_code = code
        return Run(exit_after=0.0, exit_code=code, reason="StartError", message=message)

    def _serve(
        self, pod: Obj, container: Obj, process: Process, behaviour: ImageBehaviour, ports: frozenset[int]
    ) -> Run:
        process.app = True
        outcome = process.outcome
        crash = behaviour.crash
        if crash and process.env.get(crash.get("env", "")) == str(crash.get("value", "1")):
            outcome.lines.append((0.0, "err", f"{crash.get('message', 'crashed')}\n"))
            outcome.exit_code = int(crash.get("code", 1))
            return fate(process)
        for need in behaviour.requires:
            if not any(process.env.get(name) for name in need["any"]):
                outcome.lines.append((0.0, "err", f"{need['message']}\n"))
                outcome.exit_code = int(need.get("code", 1))
                return fate(process)
        limit = parse_quantity(((container.get("resources") or {}).get("limits") or {}).get("memory"))
        if limit and self._memory(pod, container, process) > limit:
            outcome.oom, outcome.exit_code, outcome.elapsed = True, 137, 0.8
            return fate(process)
        for line in behaviour.log:
            outcome.lines.append((0.0, "out", line + "\n"))
        outcome.ports = ports
        outcome.program = process.argv[0]
        return fate(process)

    def _step(self, pod: Obj, container: Obj, process: Process, horizon: float) -> Run:
        """(Re-)run the script up to the present."""
        world = ContainerWorld(self, pod, container, process)
        if horizon > 0:
            # The script is run again from its start; what it asked before is in the journal.
            self._begin_files(process)
        shell = Shell(world, process.env, horizon=horizon, journal=process.journal)
        process.outcome = shell.run_words(process.argv)
        program = process.outcome.program.rpartition("/")[2]
        process.app = bool(program) and program not in ("nc", "httpd", "python")
        return fate(process, horizon)

    def poll(self, pod: Obj, container: Obj) -> Run:
        """Go on with a script that waits for something around it."""
        process = self.running[pod["metadata"]["uid"], container["name"]]
        return self._step(pod, container, process, self.now() - process.started_at)

    def stop(self, pod: Obj, container: Obj) -> None:
        """Note that the process has ended."""
        process = self.running.get((pod["metadata"]["uid"], container["name"]))
        if process is not None and process.ended_at is None:
            process.ended_at = self.now()
            if self.control.dns.runs(container):
                self.control.dns.gone(pod["metadata"]["uid"])

    def signal(self, pod: Obj, container: Obj, name: str) -> bool:
        """Send the container's first process a signal from inside; return whether it took effect."""
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        instance = self.control.kubelet.instance(key, container["name"])
        if instance is None or not instance.running or instance.run.stops_after is None or name in ("KILL", "9"):
            return False
        code = instance.run.stop_code
        return self.control.kubelet.restart_container(key, container["name"], reason="", exit_code=code)

    def shared(self, pod: Obj, volume: Obj) -> Tree | None:
        """Return the files of a volume that containers can write (they live as long as the pod or claim), or None."""
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim:
            return self.volumes.setdefault((f"pvc {pod['metadata']['namespace']}", claim), Tree())
        if any(volume.get(k) is not None for k in ("emptyDir", "hostPath", "ephemeral", "nfs", "csi")):
            uid, name = pod["metadata"]["uid"], volume["name"]
            self._names.setdefault(uid, {})[name] = None
            return self.volumes.setdefault((uid, name), Tree())
        return None

    # reads

    def written(self, pod: Obj, *, container: str = "", volume: str = "") -> float:
        """Return the bytes that a container has written beside its image, or that a volume of a pod's own holds."""
        if volume:
            tree = self.volumes.get((pod["metadata"]["uid"], volume))
            return float(tree.size()) if tree is not None else 0.0
        process = self.running.get((pod["metadata"]["uid"], container))
        return float(process.files.size() + process.visited.size()) if process is not None else 0.0

    def process(self, pod: Obj, container: Obj) -> Process | None:
        """Return the live process of a container."""
        found = self.running.get((pod["metadata"]["uid"], container["name"]))
        return found if found is not None and found.ended_at is None else None

    def processes(self, pod: Obj, container: Obj) -> list[tuple[int, str]]:
        """Return (pid, command line) of what runs in a container."""
        found = self.process(pod, container)
        return [(1, " ".join(found.argv))] if found is not None else []

    def pod_ports(self, pod: Obj) -> frozenset[int]:
        """Return the ports that the containers of a pod serve now."""
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        found = (self.listens(pod, c) for c in self.control.kubelet.serving(key))
        return frozenset(port for ports in found for port in ports)

    def listens(self, pod: Obj, container: Obj) -> frozenset[int]:
        """Return the ports served now."""
        process = self.process(pod, container)
        if process is None or self.now() < process.started_at + process.outcome.served_from - 1e-9:
            return frozenset()
        return process.outcome.ports

    def http(self, pod: Obj, container: Obj, port: int, method: str, path: str, data: str = "") -> HttpReply:
        """Answer one HTTP request to a port that is being served."""
        process = self.process(pod, container)
        if process is None:
            return HttpReply(0)
        bare = path.partition("?")[0]
        outcome = process.outcome
        program = outcome.program.rpartition("/")[2]
        if program == "nc":
            return HttpReply(0)
        if program in ("httpd", "python") and outcome.root:
            world = ContainerWorld(self, pod, container, process)
            return answering.static(world, outcome.root, bare, listing=program == "python")
        behaviour = self.behaviour(container)
        rules = behaviour.http or {}
        if self.registry.is_described(container["image"]) and not rules:
            return HttpReply(0)
        paths = rules.get("paths") or {}
        status = paths.get(bare)
        if status is None and behaviour.ports is None and bare in self._learn(pod, container)[1]:
            status = 200
        if status is None:
            status = rules.get("default", 404)
        body = "ok\n" if status < 400 else f"{status}\n"
        return HttpReply(int(status), body)

    def talk(self, pod: Obj, container: Obj, port: int, protocol: str, request: Any, peer: str) -> Any:
        """Let a client talk to what listens on a port; None when that speaks something else.

        A server that nobody described is what its command line and environment say, as long as its process runs.
        """
        from stratus.sim.apps.stores import hosting

        process = self.process(pod, container)
        described = hosting.generic(process.argv, process.env) if process is not None else None
        if process is None or described is None or hosting.SPOKEN.get(described.kind) != protocol:
            return None
        place = (pod["metadata"]["namespace"], self._workload(pod, container)[1])
        state = self.servers.get(place)
        if state is None or process.server_at != process.started_at:
            state = state or hosting.create(described)
            if state is None:
                return None
            state.boot(described, hosting.boot_of(pod, container, process.argv, process.env, process.started_at))
            self.servers[place] = state
            process.server_at = process.started_at
        return state.talk(request, self.now(), peer)

    # probes

    def _probe_port(self, pod: Obj, container: Obj, value: Any) -> int | None:
        return answering.port_of(container, value)

    def _listener(self, pod: Obj, port: int) -> Obj | None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for spec in self.control.kubelet.serving(key):
            if port in self.control.runtime.listens(pod, spec):
                return spec
        return None

    def probe(self, pod: Obj, container: Obj, probe: Obj) -> ProbeResult:
        """Answer one probe."""
        if probe.get("exec") is not None:
            outcome = self._inside(pod, container, probe["exec"].get("command") or [], "")
            return answering.by_command(self, pod, probe, outcome)
        return self._asked_by_network(pod, container, probe)

    def _asked_by_network(
        self, pod: Obj, container: Obj, probe: Obj, listener: Callable[[Obj, int], Obj | None] | None = None
    ) -> ProbeResult:
        """Answer a probe that asks over the network, `listener` saying who serves a port."""
        return answering.by_network(self, pod, container, probe, listener or self._listener)

    # exec

    def read_file(self, pod: Obj, container: Obj, path: str) -> str | None:
        """Return a file as the latest process of a container left it, None where there is none."""
        process = self.running.get((pod["metadata"]["uid"], container["name"]))
        return None if process is None else ContainerWorld(self, pod, container, process).read(path)

    def _inside(self, pod: Obj, container: Obj, argv: list[str], stdin: str) -> Outcome | ExecResult:
        process = self.process(pod, container)
        if process is None:
            return ExecResult("", f"container {container['name']} is not running\n", 1)
        # Files a command writes are the container's; times count from now.
        env = dict(process.env)
        visit = Process(process.argv, env, self.now(), process.restart, files=process.files, visited=process.visited)
        world = ContainerWorld(self, pod, container, visit, visiting=True)
        if not argv or (not world.has_program(argv[0]) and world.read(argv[0]) is None):
            name = argv[0] if argv else ""
            why = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
            text = (
                f'OCI runtime exec failed: exec failed: unable to start container process: exec: "{name}": {why}: '
                "unknown\n"
            )
            return ExecResult("", text, 126 if "/" in name else 127)
        return Shell(world, visit.env, stdin=stdin).run_words(argv)

    def exec(self, pod: Obj, container: Obj, argv: list[str], stdin: str) -> ExecResult:
        """Run a command inside a running container."""
        outcome = self._inside(pod, container, argv, stdin)
        if isinstance(outcome, ExecResult):
            return outcome
        code = outcome.exit_code
        # A command without an end is cut off, as a client would do in the end.
        return ExecResult(outcome.stdout(), outcome.stderr(), 130 if code is None else code)

    # logs and use

    def logs(
        self, pod: Obj, container: Obj, *, previous: bool, since: float | None, limit: int
    ) -> list[tuple[float, str]]:
        """Return the last lines of the present (or previous) run."""
        key = (pod["metadata"]["uid"], container["name"])
        process = (self.ended if previous else self.running).get(key)
        if process is None:
            return []
        end = process.ended_at if process.ended_at is not None else self.now()
        pieces = [(at, text) for at, _, text in written(process, end - process.started_at)]
        lines = [(process.started_at + at, text) for at, text in joined(pieces)]
        if since is not None:
            lines = [entry for entry in lines if entry[0] >= since]
        return lines[-limit:] if limit >= 0 else lines

    def _memory(self, pod: Obj, container: Obj, process: Process) -> float:
        wanted = (pod["metadata"].get("annotations") or {}).get(MEMORY_ANNOTATION)
        if wanted:
            return parse_quantity(wanted)
        return self.behaviour(container).memory * MIB if process.app else 1.2 * MIB

    def usage(self, pod: Obj, container: Obj) -> tuple[float, float]:
        """Return (cores, bytes); the noise depends on the pod and the minute only."""
        process = self.process(pod, container)
        if process is None:
            return 0.0, 0.0
        noise = spread(pod["metadata"]["uid"], container["name"], int(self.now() // 60))
        cpu = self.behaviour(container).cpu if process.app else 0.0001
        return cpu * (0.8 + 0.4 * noise), self._memory(pod, container, process) * (0.97 + 0.06 * noise)


__all__ = ["MEMORY_ANNOTATION", "GenericRuntime", "HttpReply", "Process", "flag_ports"]
