"""What one request meets at a program: its own work, the calls it makes, and everything that may go wrong there."""

from __future__ import annotations

import math

from stratus.sim.apps.chaos.disturbances import Disturbances
from stratus.sim.apps.dialects import spoken
from stratus.sim.apps.latency import ZERO, Span, beyond, mixed, plus
from stratus.sim.apps.paths import Answer, Fail, Hop, Outcome, again, capped, hop_of, merged, worded
from stratus.sim.apps.process import Proc
from stratus.sim.apps.routes import Route, Routes, Ways
from stratus.sim.apps.runtime import AppRuntime, noise
from stratus.sim.apps.schema import TRACED, Call, External, Operation, Target
from stratus.sim.apps.stores.base import Trouble
from stratus.sim.apps.wire import (
    cut_off,
    failure,
    misunderstood,
    no_connection,
    not_tls,
    too_late,
    turned_away,
    wait_of,
)
from stratus.sim.network import NoSuchHost, Reached
from stratus.sim.store import Obj

_SPREAD, _WAIT_SPREAD = 0.35, 0.2
_FULL = 0.96
#: Seconds in which callers go on asking a process that has died.
_NOTICED = 0.25
#: Seconds it takes to turn a request away.
_AWAY: Span = (0.0006, 1e-8)
_TRIP = 0.0004
FREE = (0.0, 0.0)
_BLIND: Span = (0.002, 1e-6)


class Serving:
    """Outcomes of requests at one moment; all are forgotten at the next.

    Attributes:
        outcomes: by (id of program, operation).
        answers: by (id of program, target, operation): what a caller gets.
    """

    def __init__(
        self, routes: Routes, runtime: AppRuntime, disturbances: Disturbances, externals: dict[str, External], seed: int
    ) -> None:
        self.routes = routes
        self.runtime = runtime
        self.disturbances = disturbances
        self.externals = externals
        self.seed = seed
        self.now, self.tick, self.seconds = 0.0, 0, 5.0
        self.outcomes: dict[tuple[int, str], Outcome] = {}
        self.answers: dict[tuple[int, str, str], Answer] = {}

    def look(self, now: float, seconds: float) -> None:
        """Begin a moment."""
        self.now, self.seconds, self.tick = now, seconds, int(now // seconds)
        self.outcomes.clear()
        self.answers.clear()

    def outcome(self, proc: Proc, operation: str) -> Outcome | None:
        """Return what becomes of a request, None when the program does not know the operation."""
        key = (id(proc), operation)
        found = self.outcomes.get(key)
        if found is None:
            spec = proc.program.operations.get(operation) or proc.program.operations.get("*")
            if spec is None:
                return None
            # A call graph with a loop ends here: the inner request counts as answered at once.
            self.outcomes[key] = Outcome(1.0, ZERO, [], ZERO, 0.0)
            found = self.outcomes[key] = self._serve(proc, operation, spec)
        return found

    # in the program

    def _serve(self, proc: Proc, operation: str, spec: Operation) -> Outcome:
        cpu, wait = self._costs(proc, operation, spec)
        own = self._own_time(proc, cpu, wait)
        fails: list[Fail] = []
        alive = 1.0
        if proc.shed:
            fails.append(Fail(proc.shed, _AWAY, turned_away(proc.program.protocol)))
            alive -= proc.shed
        let_in = alive
        silent = alive * proc.silent
        if proc.mods is not None and proc.mods.dead:
            silent += (alive - silent) * min(proc.mods.of(proc.mods.dead, operation, 0.0), 1.0)
        alive -= silent
        admitted = alive
        if proc.line_wait:
            own = plus(own, (proc.line_wait, (_WAIT_SPREAD * proc.line_wait) ** 2))
        span = own
        for share, message in self._own_errors(proc, operation, spec):
            fails.append(Fail(alive * share, own, message))
            alive -= alive * share
        alive, span, own, hops = self._calls(proc, spec.calls, alive, span, own, fails)
        outcome = Outcome(alive, span, merged(fails), own, let_in * cpu, hops, silent)
        if proc.program.workers and admitted > 1e-9:
            worked = [(f.weight, f.span[0]) for f in fails if f.span is not _AWAY]
            whole = alive * span[0] + sum(weight * took for weight, took in worked)
            outcome.held = max(whole - admitted * proc.line_wait, 1e-6)
        return outcome

    def _costs(self, proc: Proc, operation: str, spec: Operation) -> tuple[float, float]:
        """Return (CPU seconds, seconds of waiting) of one request."""
        build = proc.build
        cpu = spec.cpu_ms / 1000.0 * (build.cpu if build is not None else 1.0)
        if proc.program.datastore is not None:
            cpu *= self.runtime.cost_of(proc)
        program = proc.program
        if program.cold > 1.0:
            cpu *= 1.0 + (program.cold - 1.0) * math.exp(-max(self.now - proc.ready_at, 0.0) / program.cold_seconds)
        wait = spec.wait_ms / 1000.0 * (build.slower if build is not None else 1.0)
        wait *= 0.95 + 0.1 * noise(self.seed, proc.uid, operation, self.tick)
        mods = proc.mods
        if mods is not None:
            cpu *= mods.of(mods.cpu, operation, 1.0)
            wait = wait * mods.of(mods.slower, operation, 1.0) + mods.of(mods.wait, operation, 0.0)
        return cpu, wait

    def _own_errors(self, proc: Proc, operation: str, spec: Operation) -> list[tuple[float, str]]:
        found = []
        if proc.build is not None and proc.build.error_rate:
            found.append((proc.build.error_rate, proc.build.message))
        if spec.error_rate:
            share = spec.error_rate * 2 * noise(self.seed, "e", proc.uid, operation, self.tick)
            found.append((min(share, 1.0), f"{operation}: internal error"))
        if proc.mods is not None:
            found += proc.mods.errors_of(operation)
        return found

    def _own_time(self, proc: Proc, cpu: float, wait: float) -> Span:
        """Return the time an operation takes in the program itself: waiting, computing, queueing for CPU."""
        cap = proc.room
        computing = cpu
        if cap < 1.0 and cpu > 0.1 * cap:
            # More than one period's quota: the rest waits for the next periods.
            computing += (cpu - 0.1 * cap) * (1.0 / cap - 1.0)
        busy = min(proc.busy, _FULL)
        queueing = computing * busy / (1.0 - busy)
        piled = proc.backlog / cap
        mean = wait + computing + queueing + piled
        var = (_SPREAD * wait) ** 2 + (_SPREAD * computing) ** 2 + (0.8 * queueing) ** 2 + (_WAIT_SPREAD * piled) ** 2
        own: Span = (mean, var)
        for length, every in proc.mods.pauses if proc.mods is not None else ():
            # Who arrives during a standstill waits for half of it on average.
            own = plus(own, (length / 2, length * length / 12), min(length / every, 1.0))
        return own

    # the calls

    def _calls(
        self, proc: Proc, calls: tuple[Call, ...], alive: float, span: Span, own: Span, fails: list[Fail]
    ) -> tuple[float, Span, Span, list[Hop]]:
        """Go through the calls: (share still alive, duration, own time, hops); failures are added to `fails`."""
        missed: dict[str, float] = {}
        hops: list[Hop] = []
        # Where the present group of calls that run together began, and how long its slowest takes.
        base, base_own, slowest = span, own, ZERO
        for call in calls:
            share = call.share * (missed.get(call.missed, 1.0) if call.missed else 1.0)
            if proc.mods is not None and proc.mods.calls:
                share *= proc.mods.calls.get(call.to, 1.0)
            if share <= 1e-9 or alive <= 1e-9:
                continue
            target = proc.program.targets[call.to]
            answer = self._call(proc, call, target)
            hop = hop_of(call.to, target, call.operation, answer, alive * share, target.retries)
            hop.topic = call.topic
            hops.append(hop)
            broken = sum(f.weight for f in answer.fails)
            if call.on_error == "miss":
                missed[call.to] = broken + answer.ok * (1.0 - self._hit(proc, call.to, target, answer))
            if not call.wait:
                continue
            if not call.together:
                base, base_own, slowest = span, own, ZERO
            begun, begun_own = base, base_own
            left, after, after_own, lost = compose(
                call, target, answer, alive, begun, begun_own, min(share, 1.0), share
            )
            alive = left
            fails += lost
            took = (after[0] - begun[0], after[1] - begun[1])
            if took[0] >= slowest[0]:
                span, own, slowest = after, after_own, took
        return alive, span, own, hops

    def _hit(self, proc: Proc, name: str, target: Target, answer: Answer) -> float:
        """Return the share of look-ups a cache answers; a cache that has just started has little to give."""
        if proc.mods is not None and name in proc.mods.misses:
            return 0.0
        warm = 0.0
        for share, cache in answer.branches:
            state = self.runtime.state_of(cache)
            age = self.now - max(cache.started_at, state.emptied if state is not None else 0.0)
            warm += share * (1.0 - math.exp(-age / cache.program.warm) if cache.program.warm else 1.0)
        return target.hit * min(warm, 1.0)

    def _call(self, proc: Proc, call: Call, target: Target) -> Answer:
        key = (id(proc), call.to, call.operation)
        found = self.answers.get(key)
        if found is None:
            host, port = proc.addresses[call.to]
            if proc.mods is not None and call.to in proc.mods.unreachable:
                route: Route = (NoSuchHost(f"bad-{host}"), (proc.namespace, host))
            else:
                route = self.routes.find(proc, call.to, host, port)
            found = self.ask(route, proc, call.to, target, call.operation, host, port)
            if found.fails and proc.program.client != "go":
                for fail in found.fails:
                    fail.message = spoken(proc.program.client, fail.message, host, port)
            self.answers[key] = found
        return found

    # the way there and back

    def ask(
        self, route: Route, proc: Proc | None, name: str, target: Target, operation: str, host: str, port: int
    ) -> Answer:
        """Return what a caller gets for one attempt of a call."""
        where, label = route
        if not isinstance(where, list):
            text = failure(where, target.protocol, host, port)
            took = wait_of(where, target.timeout)
            return Answer(0.0, ZERO, [Fail(1.0, (took, (0.05 * took) ** 2), text)], [], [], label)
        quick = self._undisturbed(where, proc, name, target, operation, label)
        if quick is not None:
            return quick
        gathered = _Gathered()
        waited, starved = proc.pools.get(name, (0.0, 0.0)) if proc is not None else (0.0, 0.0)
        torn = self._torn(proc, name, where, gathered, target, host, port, 1.0 - starved)
        broken = where.broken if isinstance(where, Ways) else ()
        share = (1.0 - starved) * (1.0 - torn) / (len(where) + len(broken))
        for connection in broken:
            took = wait_of(connection, target.timeout)
            gathered.fail(share, (took, (0.05 * took) ** 2), failure(connection, target.protocol, host, port))
        for callee, reached in where:
            delay, jitter, lost = 0.0, 0.0, 0.0
            weight = share
            if self.disturbances.on_ways:
                delay, jitter, lost = self.disturbances.on_way(proc, reached.pod, host)
            if lost:
                gathered.fail(weight * lost, (target.timeout, 0.0), too_late(target.protocol, host, port))
                weight *= 1.0 - lost
            travel: Span = (_TRIP + delay, (0.1 * delay + jitter) ** 2)
            if callee is None:
                self._beyond(gathered, weight, travel, target, reached.pod, host)
                continue
            gathered.branches.append((weight, callee))
            self._at(gathered, weight, travel, proc, name, callee, target, operation, host, port)
        if waited or starved:
            gathered.wait((waited, (0.5 * waited) ** 2))
            gathered.fail(starved, (target.pool_wait, 1e-6), no_connection(name, target.pool, target.pool_wait))
        if len(gathered.oks) == 1 and not gathered.fails:
            weight, span = gathered.oks[0]
            return Answer(weight, span, [], gathered.own, gathered.branches, label, starved)
        return Answer(
            sum(w for w, _ in gathered.oks),
            mixed(gathered.oks),
            merged(gathered.fails),
            gathered.own,
            gathered.branches,
            label,
            starved,
        )

    def _undisturbed(
        self,
        where: list[tuple[Proc | None, Reached]],
        proc: Proc | None,
        name: str,
        target: Target,
        operation: str,
        label: tuple[str, str],
    ) -> Answer | None:
        """Return the answer of the one endpoint there is, the short way; None when anything at all is the matter."""
        callee = where[0][0]
        if (
            len(where) > 1
            or (isinstance(where, Ways) and where.broken)
            or callee is None
            or self.disturbances.on_ways
            or self.routes.before
        ):
            return None
        if callee.demands_tls or (proc is not None and proc.pools.get(name, FREE)[0] > 1e-6):
            return None
        stateful = proc is not None and self.runtime.state_of(callee) is not None
        if stateful and proc is not None and self.runtime.trouble(proc, name, callee, operation) is not None:
            return None
        found = self.outcome(callee, operation)
        if found is None or found.fails or found.silent or found.span[0] > 0.02 * target.timeout:
            return None
        span = (found.span[0] + _TRIP, found.span[1])
        return Answer(found.ok, span, [], [(1.0, found.own)], [(1.0, callee)], label)

    def _at(
        self,
        gathered: _Gathered,
        weight: float,
        travel: Span,
        proc: Proc | None,
        name: str,
        callee: Proc,
        target: Target,
        operation: str,
        host: str,
        port: int,
    ) -> None:
        """Take one endpoint's part of the calls."""
        trouble: Trouble | None = None
        if callee.demands_tls and proc is not None and name not in proc.tls:
            trouble = Trouble(not_tls(target.protocol, host, port))
        elif proc is not None and (target.login is not None or self.runtime.state_of(callee) is not None):
            trouble = self.runtime.trouble(proc, name, callee, operation)
        if trouble is not None:
            part = weight * trouble.share
            if trouble.waits >= target.timeout or not trouble.text:
                gathered.fail(part, (target.timeout, 0.0), too_late(target.protocol, host, port))
            else:
                gathered.fail(part, plus(plus(_BLIND, travel), (trouble.waits, 0.0)), trouble.text)
            gathered.own.append((part, _BLIND))
            weight -= part
            if weight <= 1e-9:
                return
        found = self.outcome(callee, operation)
        if found is None:
            gathered.fail(weight, plus(_BLIND, travel), misunderstood(target.protocol, callee.name, operation))
            gathered.own.append((weight, _BLIND))
            return
        gathered.own.append((weight, capped(found.own, target.timeout)))
        for fail in found.fails:
            text = worded(target.protocol, fail.message) if fail.here else fail.message
            spent = capped(plus(fail.span, travel), target.timeout)
            gathered.fails.append(Fail(weight * fail.weight, spent, text, fail.here))
        if found.silent:
            gathered.fail(weight * found.silent, (target.timeout, 0.0), too_late(target.protocol, host, port))
        whole = plus(found.span, travel)
        late = beyond(whole, target.timeout) if whole[0] > 0.02 * target.timeout else 0.0
        if late > 1e-4:
            gathered.fail(weight * found.ok * late, (target.timeout, 0.0), too_late(target.protocol, host, port))
            whole = capped(whole, target.timeout)
        else:
            late = 0.0
        gathered.oks.append((weight * found.ok * (1.0 - late), whole))

    def _beyond(
        self, gathered: _Gathered, weight: float, travel: Span, target: Target, pod: Obj | None, host: str
    ) -> None:
        """Take the calls to something that no application describes, or that is outside the cluster."""
        outside = self.externals.get(host) if pod is None else None
        took: Span = _BLIND
        if outside is not None:
            took = (outside.wait_ms / 1000.0, (_SPREAD * outside.wait_ms / 1000.0) ** 2)
            if outside.error_rate:
                gathered.fail(weight * outside.error_rate, plus(took, travel), outside.message)
                weight *= 1.0 - outside.error_rate
        whole = plus(took, travel)
        if whole[0] > target.timeout:
            gathered.fail(weight, (target.timeout, 0.0), too_late(target.protocol, host, 0))
            return
        gathered.oks.append((weight, whole))
        gathered.own.append((weight, took))

    def _torn(
        self,
        proc: Proc | None,
        name: str,
        where: list[tuple[Proc | None, Reached]],
        gathered: _Gathered,
        target: Target,
        host: str,
        port: int,
        weight: float,
    ) -> float:
        """Return the share of this tick's calls that died with an endpoint that has ended since the last one."""
        before = self.routes.before.get(self.routes.key(proc, name))
        if not before:
            return 0.0
        torn = 0.0
        for callee in before:
            if callee.ended_at is None or callee.ended_at < self.now - self.seconds - 1e-9:
                continue
            successor = next((p for p, _ in where if p is not None and p.uid == callee.uid), None)
            gone = 0.0
            if successor is not None:
                gone = max(min(successor.ready_at, self.now) - callee.ended_at, 0.0)
            elif callee.abrupt:
                gone = _NOTICED
            if callee.abrupt or not callee.program.graceful:
                gone += self._length(callee)
            torn += min(gone / self.seconds, 1.0) / len(before)
        torn = min(torn, 1.0)
        if torn > 1e-6:
            gathered.fail(weight * torn, (0.002, 1e-6), cut_off(target.protocol, host, port))
            return torn
        return 0.0

    @staticmethod
    def _length(callee: Proc) -> float:
        """Return how long requests were under way at a process."""
        return callee.under_way / callee.rps if callee.rps > 1e-6 else 0.0


class _Gathered:
    """Parts of an answer while its endpoints are gone through."""

    __slots__ = ("branches", "fails", "oks", "own")

    def __init__(self) -> None:
        self.oks: list[tuple[float, Span]] = []
        self.fails: list[Fail] = []
        self.own: list[tuple[float, Span]] = []
        self.branches: list[tuple[float, Proc]] = []

    def fail(self, weight: float, span: Span, text: str) -> None:
        """Add a way in which a share of the calls fails between caller and callee."""
        self.fails.append(Fail(weight, span, text))

    def wait(self, span: Span) -> None:
        """Let every call wait for a connection before it begins."""
        self.oks = [(weight, plus(took, span)) for weight, took in self.oks]
        self.fails = [Fail(f.weight, plus(f.span, span), f.message, f.here) for f in self.fails]


def compose(
    call: Call, target: Target, answer: Answer, alive: float, span: Span, own: Span, part: float, share: float
) -> tuple[float, Span, Span, list[Fail]]:
    """Go through one call: (share still alive, duration so far, own time so far, new failures)."""
    if not answer.fails:
        hidden = target.protocol not in TRACED
        return alive, plus(span, answer.span, share), plus(own, answer.span, share) if hidden else own, []
    broken = min(sum(f.weight for f in answer.fails), 1.0)
    every = mixed([(answer.ok, answer.span), *((f.weight, f.span) for f in answer.fails)])
    hidden = target.protocol not in TRACED
    if call.on_error != "fail" or not broken:
        spent = every if broken else answer.span
        return alive, plus(span, spent, share), plus(own, spent, share) if hidden else own, []
    more = again(broken, target.retries, target.retry_budget)
    lost = min(max(broken - more * (1.0 - broken), 0.0), 1.0)
    goes = min(more / broken, target.retries) if target.retry_budget is not None else float(target.retries)
    pauses = target.backoff * (2.0**goes - 1.0)
    failing = mixed([(f.weight, f.span) for f in answer.fails])
    tries = 1.0 + goes
    slow = (failing[0] * tries + pauses, failing[1] * tries)
    fails = []
    for fail in answer.fails:
        weight = alive * part * lost * fail.weight / broken
        took = (fail.span[0] * tries + pauses, fail.span[1] * tries)
        fails.append(Fail(weight, plus(span, took), fail.message, fail.here and hidden))
    good = plus(answer.span, (failing[0] + target.backoff, failing[1]), broken) if target.retries else answer.span
    left = alive * (1.0 - part * lost)
    through = share * (1.0 - lost) / max(1.0 - part * lost, 1e-9)
    if hidden:
        own = mixed([(1.0 - lost, plus(own, good, share)), (lost, plus(own, slow, part))])
    return left, plus(span, good, through), own, fails
