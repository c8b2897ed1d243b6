"""From the load to figures: what requests meet on their way through the calls, computed, not played one by one.

Each tick has two passes over the call graph. First, for every operation of every running program: how often it
succeeds and how long it takes, given how busy everything is (queueing, throttling), who can be reached, what is
refused, and who gives up waiting. Then the load is sent along those paths, which gives rates, errors, CPU use, and how
busy things are at the next tick.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stratus.sim.apps.annotations import annotated_load
from stratus.sim.apps.figures import Tick, UseFigures
from stratus.sim.apps.flow import Flow, edge_figures, service_figures, span_figures
from stratus.sim.apps.latency import ZERO, Span, beyond, mixed, plus
from stratus.sim.apps.paths import Answer, Fail, Hop, Outcome, capped, hop_of, merged, worded
from stratus.sim.apps.process import Proc
from stratus.sim.apps.runtime import AppRuntime, noise
from stratus.sim.apps.schema import TRACED, Call, Load, Operation, Target, Value
from stratus.sim.apps.wire import failure, misunderstood, too_late, wait_of
from stratus.sim.controllers.common import matches
from stratus.sim.network import NoSuchHost, Reached, Refused, TimedOut
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Resources whose changes may change who reaches whom.
_WIRING = frozenset(
    {
        "pods", "services", "endpoints", "nodes", "namespaces", "networkpolicies.networking.k8s.io",
        "networkchaos.chaos-mesh.org",
    }
)  # fmt: skip
_SPREAD, _WAIT_SPREAD = 0.35, 0.2
_FULL = 0.96
MIB = 1048576.0
_ENTRY = Value(default="entry:0")


Route = tuple[list[tuple[Proc | None, Reached]] | NoSuchHost | Refused | TimedOut, tuple[str, str]]


class Traffic:
    """The users and the flows they cause.

    Attributes:
        surge: factor on the load's rate.
    """

    def __init__(
        self, load: Load | None, namespace: str, control: ControlPlane, runtime: AppRuntime, seed: int
    ) -> None:
        self._load = load
        self.namespace = namespace
        self.control = control
        self.runtime = runtime
        self.seed = seed
        self.surge = 1.0
        self._routes: dict[tuple[str, str, str], Route] = {}
        self._loads: list[tuple[str, Load]] | None = None
        self._known = -1
        self._chaos: list[Obj] = []
        self._outcomes: dict[tuple[int, str], Outcome] = {}
        self._answers: dict[tuple[int, str, str], Answer] = {}
        self._now = 0.0
        self._seconds = 5.0
        self._tick = 0
        runtime.judge = self.success
        self._unsubscribe = control.store.subscribe(self._on_change)

    def close(self) -> None:
        """Stop following the store."""
        self._unsubscribe()

    def _on_change(self, change: Change) -> None:
        if change.resource in _WIRING:
            self._known = -1
            if change.resource == "services":
                self._loads = None

    # one tick

    def run(self, now: float, seconds: float) -> Tick:
        """Compute the figures of the `seconds` that end now, and how busy everything is from here on."""
        self._seconds = seconds
        self._look(now)
        flow = Flow(self._outcomes)
        for namespace, load in self.loads():
            total = self.rate(load, now)
            whole = sum(m.share for m in load.mix)
            for mix in load.mix:
                wiggle = 1.0 + 0.08 * (noise(self.seed, mix.operation, self._tick) - 0.5)
                self._enter(flow, namespace, load, mix.operation, total * mix.share / whole * wiggle)
        live = self.runtime.live()
        for proc in live:
            mine = id(proc)
            asked = flow.asked.get(mine, {})
            self._account(proc, flow.demand.get(mine, 0.0), flow.served.get(mine, 0.0), asked, seconds)
        self._write(live, flow.lines, flow.asked, now, seconds)
        return Tick(
            now,
            seconds,
            {label: service_figures(s) for label, s in sorted(flow.services().items())},
            {edge: edge_figures(s) for edge, s in sorted(flow.edges.items())},
            tuple(self._use(live)),
            spans={served: span_figures(s) for served, s in sorted(flow.spans.items())},
        )

    def _look(self, now: float) -> None:
        """Forget what was worked out before; connections are kept as long as nothing changed that they rest on."""
        self._now, self._tick = now, int(now // self._seconds)
        if self._known != self.runtime.version:
            self._routes.clear()
            self._chaos = self.control.store.list("networkchaos.chaos-mesh.org")
            self._known = self.runtime.version
        self._outcomes.clear()
        self._answers.clear()

    def success(self, proc: Proc, operation: str) -> tuple[float, str]:
        """Return the share of requests for an operation that would succeed now, and the commonest error."""
        self._look(self.control.clock.now())
        found = self.outcome(proc, operation)
        if found is None:
            return 0.0, misunderstood(proc.program.protocol, proc.name, operation)
        return found.ok, max(found.fails, key=lambda f: (f.weight, f.message)).message if found.fails else ""

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

    def _enter(self, flow: Flow, namespace: str, load: Load, operation: str, rate: float) -> None:
        entry = Target(address=_ENTRY, protocol=load.protocol, timeout=load.timeout)
        host = load.host if "." in load.host else f"{load.host}.{namespace}"
        route = self._route(None, f"entry {host}:{load.port}", host, load.port)
        answer = self._ask(route, None, "entry", entry, operation, load.host, load.port)
        hop = hop_of("entry", entry, operation, answer, 1.0)
        flow.follow(None, ("", ""), hop, rate, 0)

    # who is reached

    def _route(self, proc: Proc | None, target: str, host: str, port: int) -> Route:
        key = (proc.uid if proc is not None else "", proc.container if proc is not None else "", target)
        found = self._routes.get(key)
        if found is None:
            found = self._routes[key] = self._connect(proc, host, port)
        return found

    def _connect(self, proc: Proc | None, host: str, port: int) -> Route:
        network = self.control.network
        source = self.control.store.get("pods", *proc.pod) if proc is not None else None
        home = proc.namespace if proc is not None else self.namespace
        name = host
        resolved = network.resolve(source, name) if name else None
        if resolved is not None and resolved.service is not None:
            meta = resolved.service["metadata"]
            label = (meta["namespace"], meta["name"])
        else:
            parts = name.split(".")
            bare = all(p.isdigit() for p in parts)
            label = (parts[1] if len(parts) > 1 and not bare else home, host if bare else parts[0])
        reached: list[tuple[Proc | None, Reached]] = []
        seen: set[str] = set()
        for choose in range(256):
            connection = network.connect(source, name, port, choose=choose)
            if not isinstance(connection, Reached):
                if not reached:
                    return connection, label
                break
            uid = connection.pod["metadata"]["uid"] if connection.pod is not None else ""
            if uid in seen:
                break
            seen.add(uid)
            callee = None
            if connection.pod is not None and connection.container is not None:
                callee = self.runtime.proc_in(connection.pod, connection.container)
            reached.append((callee, connection))
        return reached, label

    # what a request meets

    def outcome(self, proc: Proc, operation: str) -> Outcome | None:
        """Return what becomes of a request, None when the program does not know the operation."""
        key = (id(proc), operation)
        found = self._outcomes.get(key)
        if found is None:
            spec = proc.program.operations.get(operation) or proc.program.operations.get("*")
            if spec is None:
                return None
            # A call graph with a loop ends here: the inner request counts as answered at once.
            self._outcomes[key] = Outcome(1.0, ZERO, [], ZERO, 0.0)
            found = self._outcomes[key] = self._serve(proc, operation, spec)
        return found

    def _serve(self, proc: Proc, operation: str, spec: Operation) -> Outcome:
        build = proc.build
        cpu = spec.cpu_ms / 1000.0 * (build.cpu if build is not None else 1.0)
        database = self.runtime.databases.get((proc.namespace, proc.workload))
        if database is not None and proc.program.datastore is not None:
            cpu *= database.cost
        wait = spec.wait_ms / 1000.0 * (build.slower if build is not None else 1.0)
        wait *= 0.95 + 0.1 * noise(self.seed, proc.uid, operation, self._tick)
        own = self._own_time(proc, cpu, wait)
        fails: list[Fail] = []
        alive, span = 1.0, own
        bad = build.error_rate if build is not None else 0.0
        if bad:
            assert build is not None
            fails.append(Fail(bad, own, build.message))
            alive -= bad
        if spec.error_rate:
            share = alive * spec.error_rate * 2 * noise(self.seed, "e", proc.uid, operation, self._tick)
            fails.append(Fail(share, own, f"{operation}: internal error"))
            alive -= share
        missed: dict[str, float] = {}
        hops: list[Hop] = []
        for call in spec.calls:
            share = call.share * (missed.get(call.missed, 1.0) if call.missed else 1.0)
            if share <= 1e-9 or alive <= 1e-9:
                continue
            target = proc.program.targets[call.to]
            answer = self._call(proc, call, target)
            hop = hop_of(call.to, target, call.operation, answer, alive * share, target.retries)
            hops.append(hop)
            broken = sum(f.weight for f in answer.fails)
            if call.on_error == "miss":
                missed[call.to] = broken + answer.ok * (1.0 - self._hit(target, answer))
            fate = self._compose(call, target, answer, alive, span, own, min(share, 1.0), share)
            alive, span, own = fate[0], fate[1], fate[2]
            fails += fate[3]
        return Outcome(alive, span, merged(fails), own, cpu, hops)

    def _compose(
        self, call: Call, target: Target, answer: Answer, alive: float, span: Span, own: Span, part: float, share: float
    ) -> tuple[float, Span, Span, list[Fail]]:
        """Go through one call: (share still alive, duration so far, own time so far, new failures)."""
        tries = target.retries + 1
        broken = sum(f.weight for f in answer.fails)
        every = mixed([(answer.ok, answer.span), *((f.weight, f.span) for f in answer.fails)])
        hidden = target.protocol not in TRACED
        if call.on_error != "fail" or not broken:
            spent = every if broken else answer.span
            return alive, plus(span, spent, share), plus(own, spent, share) if hidden else own, []
        lost = broken**tries
        failing = mixed([(f.weight, f.span) for f in answer.fails])
        slow = (failing[0] * tries, failing[1] * tries)
        fails = []
        for fail in answer.fails:
            weight = alive * part * lost * fail.weight / broken
            took = (fail.span[0] * tries, fail.span[1] * tries)
            fails.append(Fail(weight, plus(span, took), fail.message, fail.here and hidden))
        good = plus(answer.span, failing, min(broken, 1.0)) if tries > 1 else answer.span
        left = alive * (1.0 - part * lost)
        through = share * (1.0 - lost) / max(1.0 - part * lost, 1e-9)
        if hidden:
            own = mixed([(1.0 - lost, plus(own, good, share)), (lost, plus(own, slow, part))])
        return left, plus(span, good, through), own, fails

    def _hit(self, target: Target, answer: Answer) -> float:
        """Return the share of look-ups a cache answers; a cache that has just started has little to give."""
        warm = 0.0
        for share, proc in answer.branches:
            age = self._now - proc.started_at
            warm += share * (1.0 - math.exp(-age / proc.program.warm) if proc.program.warm else 1.0)
        return target.hit * warm

    def _own_time(self, proc: Proc, cpu: float, wait: float) -> Span:
        """Return the time an operation takes in the program itself: waiting, computing, queueing for CPU."""
        cap = proc.capacity
        computing = cpu
        if cap < 1.0 and cpu > 0.1 * cap:
            # More than one period's quota: the rest waits for the next periods.
            computing += (cpu - 0.1 * cap) * (1.0 / cap - 1.0)
        busy = min(proc.busy, _FULL)
        queueing = computing * busy / (1.0 - busy)
        piled = proc.backlog / cap
        mean = wait + computing + queueing + piled
        var = (_SPREAD * wait) ** 2 + (_SPREAD * computing) ** 2 + (0.8 * queueing) ** 2 + (_WAIT_SPREAD * piled) ** 2
        return mean, var

    def _call(self, proc: Proc, call: Call, target: Target) -> Answer:
        key = (id(proc), call.to, call.operation)
        found = self._answers.get(key)
        if found is None:
            host, port = proc.addresses[call.to]
            route = self._route(proc, call.to, host, port)
            found = self._ask(route, proc, call.to, target, call.operation, host, port)
            self._answers[key] = found
        return found

    def _ask(
        self, route: Route, proc: Proc | None, name: str, target: Target, operation: str, host: str, port: int
    ) -> Answer:
        where, label = route
        if not isinstance(where, list):
            text = failure(where, target.protocol, host, port)
            took = wait_of(where, target.timeout)
            return Answer(0.0, ZERO, [Fail(1.0, (took, (0.05 * took) ** 2), text)], [], [], label)
        share = 1.0 / len(where)
        oks: list[tuple[float, Span]] = []
        fails: list[Fail] = []
        own: list[tuple[float, Span]] = []
        branches: list[tuple[float, Proc]] = []
        for callee, reached in where:
            delay, lost = self._disturbance(proc, reached.pod)
            weight = share
            if lost:
                text = too_late(target.protocol, host, port)
                fails.append(Fail(weight * lost, (target.timeout, 0.0), text))
                weight *= 1.0 - lost
            if callee is None:
                oks.append((weight, (0.002 + delay, 1e-6)))
                own.append((weight, (0.002, 1e-6)))
                continue
            branches.append((weight, callee))
            refused = self.runtime.refusal(proc, name, callee, operation) if proc is not None and target.login else ""
            found = None if refused else self.outcome(callee, operation)
            if found is None:
                text = refused or misunderstood(target.protocol, callee.name, operation)
                fails.append(Fail(weight, (0.002 + delay, 1e-6), text))
                own.append((weight, (0.002, 1e-6)))
                continue
            travel = (0.0004 + delay, (0.1 * delay) ** 2)
            own.append((weight, capped(found.own, target.timeout)))
            for fail in found.fails:
                text = worded(target.protocol, fail.message) if fail.here else fail.message
                spent = capped(plus(fail.span, travel), target.timeout)
                fails.append(Fail(weight * fail.weight, spent, text, fail.here))
            whole = plus(found.span, travel)
            late = beyond(whole, target.timeout) if whole[0] > 0.02 * target.timeout else 0.0
            if late > 1e-4:
                text = too_late(target.protocol, host, port)
                fails.append(Fail(weight * found.ok * late, (target.timeout, 0.0), text))
                whole = capped(whole, target.timeout)
            else:
                late = 0.0
            oks.append((weight * found.ok * (1.0 - late), whole))
        return Answer(sum(w for w, _ in oks), mixed(oks), merged(fails), own, branches, label)

    def _disturbance(self, proc: Proc | None, pod: Obj | None) -> tuple[float, float]:
        """Return (seconds of delay, share of calls lost) that NetworkChaos objects put on the way to or from a pod."""
        delay, kept = 0.0, 1.0
        for chaos in self._chaos:
            if "deletionTimestamp" in chaos["metadata"]:
                continue
            ends = [pod, self.control.store.get("pods", *proc.pod) if proc is not None else None]
            if not any(end is not None and _hits(chaos, end) for end in ends):
                continue
            spec = chaos.get("spec") or {}
            delay += _seconds((spec.get("delay") or {}).get("latency", ""))
            loss = parse_quantity(str((spec.get("loss") or {}).get("loss", "0")).rstrip("%")) / 100.0
            if spec.get("action") == "partition":
                loss = 1.0
            # Retransmission hides moderate loss; what is left surfaces as calls that time out, and as some delay.
            kept *= 1.0 - min(loss, 1.0) ** 3
            delay += 0.2 * loss / (1.0 - min(loss, 0.9))
        return delay, 1.0 - kept

    # what the load does to the programs

    def _account(self, proc: Proc, demand: float, served: float, asked: dict[str, float], seconds: float) -> None:
        whole = demand + proc.program.cpu_idle
        cap = proc.capacity
        before = proc.backlog
        proc.rps, proc.demand = served, whole
        proc.backlog = min(max(before + (whole - cap) * seconds, 0.0), proc.program.queue * cap)
        ratio = whole / cap
        proc.busy += 0.5 * (min(ratio, 1.5) - proc.busy)
        wiggle = 0.96 + 0.08 * noise(self.seed, "cpu", proc.uid, proc.container, self._tick)
        proc.cpu = min(cap, (whole + before / seconds) * wiggle)
        share = min(proc.cpu / cap, 1.0) if proc.limit else 0.0
        pressed = min(max((max(share, min(ratio, 1.0) if proc.limit else 0.0) - 0.5) / 0.5, 0.0), 1.0)
        proc.throttled = 0.97 * pressed * pressed
        if proc.limit and proc.limit < 1.0 and asked:
            burst = max(
                (o.cpu_ms / 1000.0 for name in asked if (o := proc.program.operations.get(name)) is not None),
                default=0.0,
            )
            if burst > 0.1 * proc.limit:
                proc.throttled = max(proc.throttled, min(0.6, share))
        extra = proc.build.memory if proc.build is not None else 0.0
        held = proc.program.memory + extra + proc.program.memory_per_rps * served
        breath = 0.985 + 0.03 * noise(self.seed, "memory", proc.uid, proc.container, self._tick // 12)
        proc.memory = held * MIB * breath

    def _use(self, live: list[Proc]) -> list[UseFigures]:
        return [
            UseFigures(p.pod[0], p.pod[1], p.container, p.cpu, p.limit, p.throttled, p.memory, p.memory_limit)
            for p in live
        ]

    # log lines

    def _write(
        self,
        live: list[Proc],
        lines: dict[tuple[int, str, str, str], float],
        asked: dict[int, dict[str, float]],
        now: float,
        seconds: float,
    ) -> None:
        by_id = {id(p): p for p in live}
        for (owner, target, operation, message), rate in sorted(lines.items(), key=lambda e: (e[0][1:], -e[1])):
            proc = by_id.get(owner)
            if proc is None:
                continue
            style = proc.program.logs
            count = min(rate * seconds, 3.0)
            whole = int(count) + (noise(self.seed, proc.uid, target, message, self._tick) < count - int(count))
            for number in range(whole):
                at = now - seconds * (whole - number) / (whole + 1)
                host, port = proc.addresses.get(target, ("", 0))
                template = style.error if target else style.failed
                told = message.replace('"', '\\"') if '"{message}"' in template else message
                proc.write(at, template, target=target, operation=operation, message=told, address=f"{host}:{port}")
            if target and whole:
                self._denied(proc, target, operation, message, now)
        for proc in live:
            style = proc.program.logs
            ops = asked.get(id(proc))
            if not ops:
                continue
            busiest = max(sorted(ops), key=lambda name: ops[name])
            if style.slow and (proc.backlog > 0.2 * proc.capacity or proc.busy > 0.9):
                found = self._outcomes.get((id(proc), busiest))
                ms = round((found.own[0] if found is not None else 0.0) * 1000)
                proc.write(now - 0.4, style.slow, operation=busiest, ms=ms)
            if style.access and self._tick % 12 == int(12 * noise(proc.uid, proc.container)):
                proc.write(now - 0.2, *style.access, operation=busiest, rate=f"{proc.rps:.1f}")

    def _denied(self, proc: Proc, target: str, operation: str, message: str, now: float) -> None:
        """Let a datastore tell of a login or operation that it refused."""
        answer = self._answers.get((id(proc), target, operation))
        if answer is None or proc.program.targets[target].login is None:
            return
        for _, server in answer.branches:
            if self.runtime.refusal(proc, target, server, operation) == message:
                user, reason = proc.logins[target][0], message.replace('"', '\\"')
                store = server.program.datastore
                server.write(now, *(store.denied if store is not None else ()), user=user, reason=reason)


def _hits(chaos: Obj, pod: Obj) -> bool:
    selector = (chaos.get("spec") or {}).get("selector") or {}
    spaces = selector.get("namespaces") or [chaos["metadata"].get("namespace", "")]
    if pod["metadata"]["namespace"] not in spaces:
        return False
    return matches({"matchLabels": selector.get("labelSelectors") or {}}, pod["metadata"].get("labels"))


def _seconds(text: str) -> float:
    """Read a Go duration of one unit (`250ms`, `10s`)."""
    for unit, factor in (("ms", 0.001), ("us", 1e-6), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            try:
                return float(text[: -len(unit)]) * factor
            except ValueError:
                return 0.0
    return 0.0
