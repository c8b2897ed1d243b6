"""The embedded cluster: store, API, control plane, application, telemetry and faults under one clock and lock."""

from __future__ import annotations

import base64
import copy
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from stratus.errors import StratusError, UsageError
from stratus.kit.clock import Timer, VirtualClock, iso, parse_iso
from stratus.kit.jsoncopy import copied
from stratus.sim.api import ApiServer, Request, Response, User
from stratus.sim.api.access.calling import RecordedCalls
from stratus.sim.apps.loader import Loaded, load_application
from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.apps.traffic import Traffic
from stratus.sim.controlplane import ControlPlane
from stratus.sim.faults.engine import FaultEngine, FaultSpec
from stratus.sim.faults.noise import OFF, Level
from stratus.sim.faults.scenario import Scenario
from stratus.sim.faults.timing import NOW, Timing
from stratus.sim.filesystem import to_bytes, to_text
from stratus.sim.furniture import furnish
from stratus.sim.identities import Access
from stratus.sim.persist import InputLog
from stratus.sim.recording import RecordingApi, request_of
from stratus.sim.registry import ImageRegistry, digest_of
from stratus.sim.runtime import ExecResult
from stratus.sim.sessions import ContainerSession, Sessions
from stratus.sim.signing import Signer
from stratus.sim.store import Obj, Store
from stratus.sim.streams.conversation import Ran
from stratus.sim.streams.forwarding import Ask, Reply
from stratus.sim.system import furnish_system
from stratus.sim.telemetry.history import History
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.ports import embedded_telemetry
from stratus.sim.telemetry.rules import Rules, load_rules, shipped_rules
from stratus.sim.turnstile import Turnstile
from stratus.telemetry.base import Telemetry

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from stratus.sim.http import HttpFront
    from stratus.sim.telemetry.served import TelemetryApi, TelemetryFront

EPOCH = "2026-01-05T09:00:00Z"
#: Seconds of cluster time between two computations of traffic.
TICK = 5.0
#: When following the wall clock: seconds between two steps, and between two notes in the state file.
STEP, NOTED = 0.05, 1.0
#: Inputs after which the state file notes where the cluster is.
MARKED = 50


class ClusterClosed(StratusError):
    """The embedded cluster was closed; open a new one."""


class EmbeddedCluster:
    """A Kubernetes cluster in this process, with an application under load, on a clock of its own.

    Nothing happens by itself: time passes in `advance` (or while `serve` follows the wall clock). All methods may be
    called from several threads.

    Args:
        app: name of a shipped application, path of an application file, or None for an empty cluster.
        seed: the same seed and the same inputs give the same cluster, byte for byte.
        nodes: number of worker nodes.
        state_file: where every input is written down before it takes effect; an existing file is replayed, so a
            process killed at any moment goes on where it was.
        warmup: seconds of normal life before anything else, so that telemetry has a baseline.
        namespace: where the application lives; None: as the application says.
        rules: file of alert rules in place of the shipped ones.
        faults: file of further faults.
        images: file of rules about images, over the shipped ones.
        noise: how much else goes on: `off`, `on` or `heavy`; `noise_budget`: at most so many pieces of it.
        system: whether cluster DNS and kube-proxy are there as objects in kube-system; without, both are taken for
            granted.
        epoch: moment at which the cluster's life begins (before the warm-up), epoch seconds; None: always the same.

    Raises:
        UsageError: the application, the rules or the state file cannot be used.
    """

    def __init__(
        self,
        *,
        app: str | Path | None = "hotel-reservation",
        seed: int = 0,
        nodes: int = 3,
        state_file: Path | None = None,
        warmup: float = 600.0,
        namespace: str | None = None,
        rules: Path | None = None,
        faults: Path | None = None,
        epoch: float | None = None,
        images: Path | None = None,
        noise: Level = OFF,
        noise_budget: int | None = None,
        system: bool = True,
    ) -> None:
        if nodes < 1:
            raise UsageError(f"a cluster needs at least one node, not {nodes}")
        self.lock = threading.RLock()
        self.seed = seed
        self._closed = False
        self._replaying = False
        self._log: InputLog | None = None
        self._unnoted = False
        self._noted, self._noted_at = 0, 0.0
        self._loaded = load_application(app) if app is not None else None
        self.namespace = namespace or (self._loaded.app.namespace if self._loaded is not None else "default")
        chosen = load_rules(rules) if rules is not None else shipped_rules()
        self.clock = VirtualClock(parse_iso(EPOCH) if epoch is None else epoch)
        self._rng = random.Random(seed)
        self.store = Store(self.clock, self._rng)
        self.registry, self.runtime = self._containers()
        if images is not None:
            # After the application's own rules: what the user says counts most.
            self.registry.read(images)
        self._furnish(nodes)
        self.control = ControlPlane(self.store, self.clock, self._rng, self.registry, self.runtime)
        self._assemble(chosen, History(), FaultEngine.load(self._loaded, faults))
        made = {
            "app": self._loaded.app.name if self._loaded is not None else None,
            "digest": self._loaded.digest if self._loaded is not None else "",
            "seed": seed,
            "nodes": nodes,
            "warmup": warmup,
            "namespace": self.namespace,
            **({} if epoch is None else {"epoch": epoch}),
            **({} if images is None else {"images": digest_of(images)}),
            **({} if noise == OFF else {"noise": [noise, noise_budget]}),
            **({} if system else {"system": False}),
        }
        if state_file is not None:
            self._log = InputLog.open(Path(state_file), made)
        try:
            self._start(warmup, system)
            if noise != OFF:
                self.faulting.noise.set(noise, noise_budget)
            self._noted_at = self.clock.now()
            if self._log is not None:
                self._replay()
        except BaseException:
            self.close()
            raise

    def _assemble(self, rules: Rules, history: History, faults: FaultEngine) -> None:
        """Put together what hangs on store, clock and control plane."""
        self.turnstile = Turnstile(self.lock)
        self.api = RecordingApi(
            self._record,
            self.lock,
            self.store,
            self.clock,
            exec_backend=self._exec,
            log_backend=self._logs,
            rng=self._rng,
            drain=self._drain,
            usage_backend=self._usage,
        )
        self.control.admit = self.api.admit_pod
        self.api.authorizer = Access(self.api.rbac)
        self._calls = self.api.gate.webhooks.caller = RecordedCalls(self._answered, away=self.turnstile.out)
        self.history = history
        load = self._loaded.app.load if self._loaded is not None else None
        self.traffic = Traffic(load, self.namespace, self.control, self.runtime, self.seed)
        self.observatory = Observatory(rules, self.store, history, self.runtime, self.clock.now, self.clock.now())
        self.api.scrape = self.observatory.scrape
        self.sessions = Sessions(self.control)
        self.signer = Signer(self.store, self.api.certifier)
        self.api.read_lines, self.api.shells, self.api.ports = self._lines, self._shell, self._port
        self.faulting = faults
        faults.attach(self)
        self._next_tick: Timer | None = None

    def _containers(self) -> tuple[ImageRegistry, AppRuntime]:
        """Return what images there are, and what plays containers."""
        registry = ImageRegistry()
        return registry, AppRuntime(registry, self._loaded.app if self._loaded is not None else None)

    def _furnish(self, nodes: int) -> None:
        """Put in what is there before anything follows the store."""
        furnish(self.store, self.clock.now(), nodes=nodes)

    @property
    def application(self) -> str:
        """Return the name of the application; empty without one."""
        return self._loaded.app.name if self._loaded is not None else ""

    # life

    def _start(self, warmup: float, system: bool) -> None:
        self.control.drain()
        if system:
            furnish_system(self.control)
        if self._loaded is not None:
            self._deploy(self._loaded)
        self._arm((int(self.clock.now() // TICK) + 1) * TICK)
        if self._loaded is not None:
            self.clock.advance(max(warmup, 0.0))

    def _deploy(self, loaded: Loaded) -> None:
        names = {o["metadata"]["name"] for o in loaded.objects if o["kind"] == "Namespace"}
        if self.namespace not in names and self.store.get("namespaces", "", self.namespace) is None:
            self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for number, obj in enumerate(loaded.objects):
            self._apply(obj, f"object {number + 1} ({obj['kind']} {obj['metadata']['name']})")

    def _apply(self, obj: Obj, where: str = "") -> None:
        """Create an object as `kubectl create` would; what has no namespace goes into the application's."""
        group, _, version = obj["apiVersion"].rpartition("/")
        kinds = [r for r in self.api.registry.groups() if r == group]
        found = self.api.registry.of_kind(group, version, obj["kind"]) if kinds or not group else None
        if found is None:
            raise UsageError(f"{where}: the cluster serves no {obj['apiVersion']} {obj['kind']}")
        # Built-in kinds are read into new objects; what is custom is taken as it comes.
        obj = copied(obj) if found.custom else {**obj, "metadata": dict(obj["metadata"])}
        path = f"/apis/{obj['apiVersion']}" if group else f"/api/{version}"
        if found.namespaced:
            space = obj["metadata"].setdefault("namespace", self.namespace)
            path += f"/namespaces/{space}"
        answer = ApiServer.handle(
            self.api,
            Request("POST", f"{path}/{found.name}?fieldManager=kubectl-create", {"user-agent": "kubectl"}, obj=obj),
        )
        if isinstance(answer, Response) and answer.status >= 300:
            raise UsageError(f"{where}: {(answer.obj or {}).get('message', answer.status)}")

    def close(self) -> None:
        """End the cluster; its state file can be opened again."""
        with self.lock:
            self.turnstile.settle()
            if self._closed:
                return
            self._closed = True
            try:
                self._flush()
                if self._noted:
                    self._mark()
            finally:
                if self._next_tick is not None:
                    self._next_tick.cancel()
                self.traffic.close()
                self.observatory.close()
                self.control.close()
                self.api.close()
                if self._log is not None:
                    self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _alive(self) -> None:
        if self._closed:
            raise ClusterClosed("this embedded cluster was closed; open a new one (or its state file again)")

    # time

    def _arm(self, at: float) -> None:
        self._next_tick = self.clock.call_at(at, self._tick)

    def _tick(self) -> None:
        now = self.clock.now()
        self._arm(now + TICK)
        self.history.add(self.traffic.run(now, TICK))
        held = 0.0
        for proc in self.runtime.live():
            held += proc.memory
            if proc.memory_limit and proc.memory > proc.memory_limit:
                self.control.kubelet.restart_container(proc.pod, proc.container, reason="OOMKilled", exit_code=137)
        self.control.kubelet.evictor.consider(held)
        self.control.drain()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass in the cluster.

        Raises:
            ValueError: a negative duration.
        """
        with self.lock:
            self._alive()
            if seconds < 0:
                raise ValueError(f"cannot advance a cluster by {seconds} s: time does not run backwards")
            self.turnstile.settle()
            target = self.clock.now() + seconds
            self._note("advance", {"to": target})
            self.clock.advance_to(target)
            self.api.pulse()

    def _follow(self, target: float) -> None:
        """Advance to a moment of the wall clock; the state file hears of it once a second or before the next input."""
        with self.lock:
            if self._closed or target <= self.clock.now() or self.turnstile.busy:
                return
            self.clock.advance_to(target)
            self.api.pulse()
            self._unnoted = True
            if target - self._noted_at >= NOTED:
                self._flush()

    def _flush(self) -> None:
        if self._unnoted and self._log is not None and not self._replaying:
            self._unnoted = False
            self._log.append("advance", {"to": self.clock.now()})
        self._unnoted = False
        self._noted_at = self.clock.now()

    # inputs

    def _record(self, data: dict[str, Any] | None) -> None:
        """A request is about to be handled; `data` describes one that may change something."""
        self._alive()
        if data is not None:
            self._note("request", data)

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        if self._log is not None and not self._replaying:
            self._flush()
            self._noted += 1
            if self._noted % MARKED == 0:
                self._mark()
            self._log.append(kind, data)

    def _mark(self) -> None:
        """Write down where the cluster is, so that a replay can tell whether it comes to the same."""
        if self._log is not None and not self._replaying:
            self._log.append("mark", {"now": self.clock.now(), "rv": self.store.rv})

    def _replay(self) -> None:
        assert self._log is not None
        self._replaying = True
        self._coming = deque(list(self._log.inputs())[1:])
        self._calls.replayed = self._answer_of
        try:
            while self._coming:
                kind, data = self._coming.popleft()
                if kind != "answer":
                    self._take(kind, data)
        finally:
            self._calls.replayed = None
            self.signer.forget()
            self._replaying = False

    def _answer_of(self, asked: str) -> dict[str, Any] | None:
        """Return what was once answered, after what came between the question and the answer."""
        while self._coming:
            kind, data = self._coming.popleft()
            if kind != "answer":
                self._take(kind, data)
            elif data["asked"] == asked:
                return data
        return None

    def _answered(self, data: dict[str, Any]) -> None:
        """What a webhook answered is an input; it comes amid another one, so no mark is set with it."""
        if self._log is not None:
            self._log.append("answer", data)

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "mark":
            if data != {"now": self.clock.now(), "rv": self.store.rv}:
                raise UsageError(
                    f"the state file leads to version {self.store.rv} at {iso(self.clock.now())} here, and led to "
                    f"{data['rv']} at {iso(data['now'])} when it was written: another version of the emulation wrote "
                    "it; remove it to start afresh"
                )
        elif kind == "advance":
            self.clock.advance_to(data["to"])
        elif kind == "request":
            self.api.handle(request_of(data))
        elif kind == "exec":
            stdin = base64.b64decode(data["stdin"])
            self._exec(data["namespace"], data["pod"], data["container"], data["argv"], stdin)
        elif kind == "session":
            self._input(data)
        elif kind == "inject":
            with suppress(UsageError):  # It was refused then, too, after it had been written down.
                when = Timing.model_validate(data.get("timing") or {})
                self.inject(data["fault"], alias=data.get("alias", ""), timing=when, **data["arguments"])
        elif kind == "noise":
            self.set_noise(data["level"], data["budget"])
        elif kind == "heal":
            self.heal(data["fault"])
        else:
            raise UsageError(f"the state file holds an input of an unknown kind {kind!r}; remove it to start afresh")

    # the containers behind the API

    def _drain(self) -> None:
        self.control.drain()
        if not self._replaying:
            self.signer.work(self.api)

    def _spec(self, namespace: str, pod: str, container: str) -> tuple[Obj, Obj] | None:
        found = self.store.get("pods", namespace, pod)
        if found is None:
            return None
        spec = found["spec"]
        groups = ("containers", "initContainers", "ephemeralContainers")
        for entry in [c for group in groups for c in spec.get(group) or ()]:
            if entry["name"] == container:
                return found, entry
        return None

    def _exec(self, namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        with self.lock:
            self._alive()
            found = self._spec(namespace, pod, container)
            if found is None:
                return ExecResult("", f"container {container} of pod {pod} is not there\n", 1)
            data = {"namespace": namespace, "pod": pod, "container": container, "argv": argv}
            self._note("exec", {**data, "stdin": base64.b64encode(stdin).decode()})
            result = self.runtime.exec(*found, argv, to_text(stdin))
            self.control.drain()
            self.api.pulse()
            return result

    def _shell(self, pod: Obj, container: str, argv: list[str] | None) -> ContainerSession | None:
        """Return a shell in a container for a client that sends it commands; None when there is no shell to talk to."""
        found = self._spec(pod["metadata"]["namespace"], pod["metadata"]["name"], container)
        return self.sessions.open(found, argv, self._input) if found is not None else None

    def _input(self, data: dict[str, Any]) -> Ran:
        """Carry out one piece of input of a shell in a container."""
        with self.lock:
            self._alive()
            self._note("session", data)
            ran = self.sessions.play(data, self._spec(data["namespace"], data["pod"], data["container"]))
            self.control.drain()
            self.api.pulse()
            return ran

    def _port(self, pod: Obj, port: int) -> Ask | None:
        """Return what answers requests to a port of a pod."""
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        serving = self.control.kubelet.serving(key)
        listener = next((c for c in serving if port in self.runtime.listens(pod, c)), None)
        if listener is None:
            return None

        def ask(method: str, path: str, body: bytes) -> Reply:
            reply = self.runtime.http(pod, listener, port, method, path, to_text(body))
            return Reply(reply.status, to_bytes(reply.body))

        return ask

    def _lines(
        self, namespace: str, pod: str, container: str, previous: bool, since: float | None
    ) -> list[tuple[float, str]]:
        found = self._spec(namespace, pod, container)
        return self.runtime.logs(*found, previous=previous, since=since, limit=-1) if found is not None else []

    def _logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        previous: bool,
        tail_lines: int | None,
        since_seconds: float | None,
        timestamps: bool,
    ) -> str:
        found = self._spec(namespace, pod, container)
        if found is None:
            return ""
        since = self.clock.now() - since_seconds if since_seconds is not None else None
        limit = tail_lines if tail_lines is not None else -1
        lines = self.runtime.logs(*found, previous=previous, since=since, limit=limit)
        return "".join(f"{iso(at)[:-1] + '.000000000Z ' if timestamps else ''}{text}\n" for at, text in lines)

    def _usage(self, pod: Obj) -> dict[str, tuple[float, float]]:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        return {c["name"]: self.runtime.usage(pod, c) for c in self.control.kubelet.serving(key)}

    # reaching it

    def api_client(self, *, user: User | None = None) -> ApiClient:
        """Return an official client that talks to this cluster in process."""
        from stratus.sim.transport import in_process_api_client

        self._alive()
        if user is None:
            return in_process_api_client(self.api, lock=self.lock)
        return in_process_api_client(self.api, user=user, lock=self.lock)

    @contextmanager
    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        follow_wall_clock: bool = True,
        speed: float = 1.0,
    ) -> Iterator[HttpFront]:
        """Serve the API over HTTPS; within, cluster time follows the wall clock, `speed` times as fast, if wanted."""
        from stratus.sim.http import HttpFront

        self._alive()
        stop = threading.Event()
        with HttpFront(self.api, host=host, port=port, tls=tls, lock=self.lock) as front:
            ticker = None
            if follow_wall_clock:
                ticker = threading.Thread(target=self._ticks, args=(stop, speed), name="stratus-clock", daemon=True)
                ticker.start()
            try:
                yield front
            finally:
                stop.set()
                if ticker is not None:
                    ticker.join()

    def _ticks(self, stop: threading.Event, speed: float) -> None:
        begun, base = time.monotonic(), self.clock.now()
        while not stop.wait(STEP):
            target = base + (time.monotonic() - begun) * speed
            if target < self.clock.now():
                # Somebody advanced the clock by hand: go on from there.
                begun, base = time.monotonic(), self.clock.now()
                continue
            self._follow(target)

    def serve_telemetry(self, *, host: str = "127.0.0.1", port: int = 0) -> TelemetryFront:
        """Return a front, to be entered or started, that serves telemetry over plain HTTP.

        Under one address: `/metrics` for a scraper, and the query protocols of Prometheus, Alertmanager, Jaeger, Loki.
        """
        from stratus.sim.telemetry.served import TelemetryFront

        return TelemetryFront(self.telemetry_api(), host=host, port=port)

    def telemetry_api(self) -> TelemetryApi:
        """Return what answers the telemetry protocols, without a socket."""
        from stratus.sim.telemetry.served import TelemetryApi

        self._alive()
        return TelemetryApi(self.observatory, self.store, self.runtime, self.lock)

    def telemetry(self) -> Telemetry:
        """Return the telemetry ports of this cluster."""
        return embedded_telemetry(self.history, self.observatory, self.control, self.runtime, self.lock)

    # faults

    def faults(self) -> list[FaultSpec]:
        """Return the faults that can be injected, sorted by id."""
        return self.faulting.known()

    def inject(self, fault_id: str, /, *, alias: str = "", timing: Timing = NOW, **arguments: Any) -> None:
        """Let a fault begin; `arguments` replace the ones the fault names.

        Args:
            fault_id: which fault.
            alias: name to heal it by; needed only when the same fault is injected twice.
            timing: when it begins, how long and how often it is there, and how it grows.
            **arguments: of the fault.

        Raises:
            UnknownNameError: no such fault.
            UsageError: an argument is unknown, missing, or names nothing.
        """
        with self.lock:
            self._alive()
            self.turnstile.settle()
            self.faulting.check(fault_id, arguments, name=alias, timing=timing)
            data: dict[str, Any] = {"fault": fault_id, "arguments": arguments}
            if alias:
                data["alias"] = alias
            if timing != NOW:
                data["timing"] = timing.model_dump(exclude_none=True)
            self._note("inject", data)
            self.faulting.inject(fault_id, arguments, name=alias, timing=timing)

    def play(self, scenario: Scenario) -> None:
        """Inject all faults of a scenario, with its noise; either all of it can be, or nothing happens.

        Raises:
            UnknownNameError, UsageError: as `inject`, naming the entry.
        """
        with self.lock:
            self._alive()
            scenario.check(self.faulting, self.application)
            if scenario.noise is not None:
                self.set_noise(scenario.noise, scenario.noise_budget)
            for entry in scenario.faults:
                self.inject(entry.fault, alias=entry.name, timing=entry.timing(), **entry.arguments)

    def set_noise(self, level: Level, budget: int | None = None) -> None:
        """Make noise unrelated to any fault from now on, `budget` pieces at most; `off` takes its changes back."""
        with self.lock:
            self._alive()
            self.turnstile.settle()
            if level not in get_args(Level):
                raise UsageError(f"no noise level {level!r}; there are {', '.join(get_args(Level))}")
            self._note("noise", {"level": level, "budget": budget})
            self.faulting.noise.set(level, budget)

    def heal(self, fault_id: str) -> None:
        """Take back what an injected fault has changed, and only that: fields that others set since stay as they are.

        Raises:
            UsageError: the fault was not injected.
        """
        with self.lock:
            self._alive()
            self.turnstile.settle()
            self.faulting.check_injected(fault_id)
            self._note("heal", {"fault": fault_id})
            self.faulting.heal(fault_id)

    def injected(self) -> tuple[str, ...]:
        """Return the faults injected and not healed, in the order of injection."""
        return self.faulting.injected()

    # copies

    def fork(self) -> Self:
        """Return an independent copy of the cluster as it is now: what is tried there does not happen here.

        The copy has no state file and is not served; close it when done.
        """
        with self.lock:
            self._alive()
            self.turnstile.settle()
            twin = type(self).__new__(type(self))
            twin.lock = threading.RLock()
            twin.seed, twin.namespace, twin._loaded = self.seed, self.namespace, self._loaded
            twin._closed, twin._replaying, twin._log = False, False, None
            twin._unnoted, twin._noted, twin._noted_at = False, 0, 0.0
            twin.clock = VirtualClock(self.clock.now())
            twin._rng = random.Random()
            twin._rng.setstate(self._rng.getstate())
            twin.store = self.store.fork(twin.clock, twin._rng)
            twin.registry = copy.deepcopy(self.registry)
            twin.control = self.control.fork(twin.store, twin.clock, twin._rng)
            runtime = twin.control.runtime
            assert isinstance(runtime, AppRuntime)
            twin.runtime = runtime
            runtime.registry = twin.registry
            twin.control.registry = twin.registry
            twin.control.kubelet.images.registry = twin.registry
            twin._assemble(self.observatory.rules, self.history.copy(), self.faulting.fork())
            twin.api.gate.rehearsal = True
            twin.traffic.surge = self.traffic.surge
            twin.observatory.copy_state(self.observatory)
            if self._next_tick is not None:
                twin._arm(self._next_tick.at)
            return twin


def dump(cluster: EmbeddedCluster) -> bytes:
    """Return everything in the store as bytes, for comparing two clusters."""
    store = cluster.store
    whole = {resource: store.list(resource) for resource in store.resources()}
    return json.dumps({"rv": store.rv, "objects": whole}, sort_keys=True, separators=(",", ":")).encode()
