"""From the load to figures: what requests meet on their way through the calls, computed, not played one by one.

Each tick has two passes over the call graph. First, for every operation of every running program: how often it
succeeds and how long it takes, given how busy everything is (queueing, throttling), who can be reached, what is
refused, and who gives up waiting. Then the load is sent along those paths, which gives rates, errors, CPU use, and how
busy things are at the next tick.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stratus.sim.apps.accounting import MIB, Accounts
from stratus.sim.apps.annotations import annotated_load
from stratus.sim.apps.chaos.disturbances import Disturbances
from stratus.sim.apps.consuming import Messages
from stratus.sim.apps.figures import StoreFigures, Tick, UseFigures
from stratus.sim.apps.flags import Flags
from stratus.sim.apps.flow import Flow, edge_figures, link_figures, service_figures, span_figures
from stratus.sim.apps.latency import mixed
from stratus.sim.apps.paths import Hop, hop_of
from stratus.sim.apps.process import Proc
from stratus.sim.apps.routes import Routes
from stratus.sim.apps.runtime import AppRuntime, noise
from stratus.sim.apps.schema import Application, Load, Target, Value
from stratus.sim.apps.serving import Serving
from stratus.sim.apps.stores.base import Peer
from stratus.sim.apps.telling import Telling
from stratus.sim.apps.wire import misunderstood
from stratus.sim.store import Change

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Resources whose changes may change who reaches whom.
_WIRING = frozenset(
    {"pods", "services", "endpoints", "nodes", "namespaces", "networkpolicies.networking.k8s.io", "configmaps"}
    | {"endpointslices.discovery.k8s.io", "ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io", "secrets"}
)
#: Seconds that stand for an answer that does not come.
NEVER = 1e6
#: Protocols of servers that keep state and connections.
STATEFUL = frozenset({"redis", "postgresql", "mongodb", "memcached"})
_ENTRY = Value(default="entry:0")


class Traffic:
    """The users and the flows they cause.

    Attributes:
        surge: factor on the load's rate.
    """

    def __init__(
        self,
        load: Load | None,
        namespace: str,
        control: ControlPlane,
        runtime: AppRuntime,
        seed: int,
    ) -> None:
        self._load = load
        self.namespace = namespace
        self.control = control
        self.runtime = runtime
        self.seed = seed
        self.surge = 1.0
        app: Application | None = runtime.app
        externals = app.externals if app is not None else {}
        self.disturbances = Disturbances(control.store)
        self.routes = Routes(control, runtime, namespace, self.disturbances)
        self.serving = Serving(self.routes, runtime, self.disturbances, externals, seed)
        self.flags = Flags(self.routes, runtime)
        self.messages = Messages(self.routes, runtime, self.serving)
        self.accounts = Accounts(seed)
        self._loads: list[tuple[str, Load]] | None = None
        self._known = -1
        self._tick = 0
        self._telling = Telling(self.serving, runtime, seed)
        for host in externals:
            if host not in control.network.outside:
                control.network.outside = (*control.network.outside, host)
        runtime.judge, runtime.response = self.success, self.response
        self._unsubscribe = control.store.subscribe(self._on_change)

    def close(self) -> None:
        """Stop following the store."""
        self._unsubscribe()

    def _on_change(self, change: Change) -> None:
        if change.resource in _WIRING or change.resource.endswith("projectcalico.org"):
            self._known = -1
            if change.resource == "services":
                self._loads = None
        elif change.resource.endswith(".chaos-mesh.org"):
            self._known = -1
            self.disturbances.forget()

    # one tick

    def run(self, now: float, seconds: float) -> Tick:
        """Compute the figures of the `seconds` that end now, and how busy everything is from here on."""
        self._look(now, seconds)
        live = self.runtime.live()
        flow = Flow(self.serving.outcomes)
        for namespace, load in self.loads():
            self._send(flow, namespace, load, now)
        for proc in live:
            if proc.program.works and proc.serves(now):
                self._work(flow, proc)
        self.messages.produce(flow, live, seconds)
        self.messages.consume(flow, live, now, seconds)
        for proc in live:
            mine = id(proc)
            asked = flow.asked.get(mine, {})
            demand, served = flow.demand.get(mine, 0.0), flow.served.get(mine, 0.0)
            self.accounts.book(proc, demand, served, asked, flow.held.get(mine, 0.0), seconds, self._tick)
            self.accounts.pools(proc, flow.pooled, seconds)
            state = self.runtime.state_of(proc)
            if state is not None:
                proc.memory += state.memory(now)
                state.work += served * seconds
                shares = [p.hit for p in state.callers.values() if p.hit]
                state.found += served * seconds * (sum(shares) / len(shares) if shares else 0.0)
        if self.runtime.databases:
            self._count_callers(live)
        self._telling.write(live, flow.lines, flow.asked)
        self.routes.settle()
        return Tick(
            now,
            seconds,
            {label: service_figures(s) for label, s in sorted(flow.services().items())},
            {edge: edge_figures(s) for edge, s in sorted(flow.edges.items())},
            tuple(self._use(live)),
            queues=self.messages.figures() if self.runtime.brokers else (),
            spans={served: span_figures(s) for served, s in sorted(flow.spans.items())},
            links=link_figures(flow),
            users=dict(sorted(flow.users.items())),
            stores=tuple(self._stores(live, now)),
        )

    def _count_callers(self, live: list[Proc]) -> None:
        """Tell every datastore who keeps connections to it open, and how many."""
        found: dict[tuple[str, str], dict[str, Peer]] = {place: {} for place in self.runtime.databases}
        for proc in live:
            if proc.phase == "ending":
                continue
            for name, target in proc.program.targets.items():
                if target.protocol not in STATEFUL or name not in proc.addresses:
                    continue
                where, _ = self.routes.find(proc, name, *proc.addresses[name])
                if not isinstance(where, list):
                    continue
                for callee, _ in where:
                    held = found.get((callee.namespace, callee.workload)) if callee is not None else None
                    if held is not None:
                        pod = self.control.store.get("pods", *proc.pod) or {}
                        address = str((pod.get("status") or {}).get("podIP") or proc.pod[1])
                        held[address] = self._peer(proc, name, target, len(where))
        for place, peers in found.items():
            self.runtime.databases[place].callers = peers

    @staticmethod
    def _peer(proc: Proc, name: str, target: Target, servers: int) -> Peer:
        """Return what a datastore sees of a program that keeps connections to it."""
        login = target.login
        calls = (c for o in proc.program.operations.values() for c in o.calls if c.to == name)
        return Peer(
            (float(target.pool) or 1.0 + math.ceil(proc.under_way)) / servers,
            proc.logins.get(name, ("", ""))[0],
            login.database if login is not None else "",
            proc.workload,
            next((c.operation for c in calls), ""),
            login.tables if login is not None else (),
            target.hit,
        )

    def _look(self, now: float, seconds: float) -> None:
        """Forget what was worked out before; connections are kept as long as nothing changed that they rest on."""
        self._tick = int(now // seconds)
        if self._known != self.runtime.version:
            self.routes.forget()
            self._known = self.runtime.version
        self.serving.look(now, seconds)
        self.flags.look()
        for proc in self.runtime.live():
            proc.mods = self.disturbances.on_program(proc, self.flags.mods(proc))

    def _glance(self, proc: Proc) -> None:
        """Look at one program between two ticks: what there is around it matters only if it has to do with others."""
        now = self.control.clock.now()
        if self._known != self.runtime.version and (proc.program.targets or proc.program.flag_file):
            self._look(now, self.serving.seconds)
            return
        self.serving.look(now, self.serving.seconds)
        if not proc.program.targets and not proc.program.flag_file:
            proc.mods = self.disturbances.on_program(proc, self.flags.mods(proc))

    def success(self, proc: Proc, operation: str) -> tuple[float, str]:
        """Return the share of requests for an operation that would succeed now, and the commonest error."""
        self._glance(proc)
        found = self.serving.outcome(proc, operation)
        if found is None:
            return 0.0, misunderstood(proc.program.protocol, proc.name, operation)
        return found.ok, max(found.fails, key=lambda f: (f.weight, f.message)).message if found.fails else ""

    def response(self, proc: Proc, operation: str) -> float:
        """Return the seconds after which an answer may be expected now; empty: of a mere sign of life."""
        if operation:
            self._glance(proc)
            found = self.serving.outcome(proc, operation)
            if found is not None:
                return mixed(found.parts())[0] if found.silent < 0.5 else NEVER
        if proc.mods is not None and proc.mods.of(proc.mods.dead, operation, 0.0) >= 0.5:
            return NEVER
        return NEVER if proc.silent >= 0.5 else proc.backlog / proc.room + proc.line_wait

    # the load

    def loads(self) -> list[tuple[str, Load]]:
        """Return (namespace, load): the application's own, and those that Services carry as annotations."""
        if self._loads is None:
            self._loads = [(self.namespace, self._load)] if self._load is not None else []
            for service in self.control.store.list("services"):
                load = annotated_load(service)
                if load is not None:
                    self._loads.append((service["metadata"]["namespace"], load))
        return self._loads

    def rate(self, load: Load, now: float) -> float:
        """Return the requests per second of a load at a moment."""
        wave = 1.0 + load.swing * math.sin(2 * math.pi * now / 1800.0)
        jitter = 1.0 + 0.04 * (noise(self.seed, "load", self._tick) - 0.5)
        return load.rate * self.surge * wave * jitter

    def _send(self, flow: Flow, namespace: str, load: Load, now: float) -> None:
        """Send a load's requests on their way, from outside or from the pods that make them."""
        sources: list[Proc | None] = [None]
        if load.program:
            sources = [
                p for p in self.runtime.live() if p.name == load.program and p.namespace == namespace and p.serves(now)
            ]
        whole = sum(m.share for m in load.mix)
        for source in sources:
            total = self.rate(load, now) / len(sources)
            factors: dict[str, float] = {}
            if source is not None:
                total *= source.users
                if source.mods is not None:
                    total *= source.mods.rate
                    factors = source.mods.requests
            for mix in load.mix:
                wiggle = 1.0 + 0.08 * (noise(self.seed, mix.operation, self._tick) - 0.5)
                rate = total * mix.share / whole * wiggle * factors.get(mix.operation, 1.0)
                self._enter(flow, namespace, load, source, mix.operation, rate)

    def _enter(self, flow: Flow, namespace: str, load: Load, source: Proc | None, operation: str, rate: float) -> None:
        entry = Target(address=_ENTRY, protocol=load.protocol, timeout=load.timeout, retries=load.retries)
        host, port = load.host, load.port
        if load.target and source is not None:
            host, port = source.addresses[load.target]
            route = self.routes.find(source, load.target, host, port)
        else:
            whole = host if "." in host else f"{host}.{namespace}"
            route = self.routes.find(source, f"entry {whole}:{port}", whole, port)
        answer = self.serving.ask(route, None, "entry", entry, operation, host, port)
        hop = hop_of("entry", entry, operation, answer, 1.0, load.retries)
        label = ("", "") if source is None else (source.namespace, source.workload)
        asked, failed = flow.users.get((namespace, operation), (0.0, 0.0))
        flow.users[namespace, operation] = (asked + rate * hop.calls, failed + rate * hop.errors)
        flow.follow(None, label, hop, rate, 0)

    def _work(self, flow: Flow, proc: Proc) -> None:
        """Let a program do what it does without being asked."""
        label = (proc.namespace, proc.workload)
        for work in proc.program.works:
            if self.serving.outcome(proc, work.operation) is not None:
                hop = Hop("", label, work.operation, True, 1.0, 0.0, [], [], "", "", [(1.0, proc)])
                flow.serve(proc, hop, work.rate, 1)

    def _stores(self, live: list[Proc], now: float) -> Iterator[StoreFigures]:
        for proc in live:
            store = proc.program.datastore
            if store is None or store.kind == "kafka" or not proc.serves(now):
                continue
            state = self.runtime.databases.get((proc.namespace, proc.workload))
            peers = state.callers.values() if state is not None else ()
            bound = getattr(state, "limit", None)
            yield StoreFigures(
                proc.namespace,
                proc.workload,
                store.kind,
                math.ceil(sum(p.connections for p in peers)),
                math.ceil(proc.under_way),
                proc.rps,
                MIB + state.memory(now) if state is not None and store.kind in ("redis", "valkey") else proc.memory,
                float(bound()) if bound is not None else 0.0,
            )

    def _use(self, live: list[Proc]) -> list[UseFigures]:
        return [
            UseFigures(p.pod[0], p.pod[1], p.container, p.cpu, p.limit, p.throttled, p.memory, p.memory_limit)
            for p in live
        ]
