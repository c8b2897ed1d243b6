"""What the load of one tick does to a program: CPU, work piled up, requests waiting, connections taken, memory."""

from __future__ import annotations

from stratus.sim.apps.process import Proc
from stratus.sim.apps.runtime import noise

MIB = 1048576.0
#: Most that waiting requests and work caught up make of the calls further on.
_CATCHING_UP = 3.0
#: Share of its workers (or connections) that may be busy before waiting is reckoned as at the brink.
_BRINK = 0.97


class Accounts:
    """Books the load on programs, tick by tick; noise is a hash of seed, name and tick."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def book(
        self, proc: Proc, demand: float, served: float, asked: dict[str, float], held: float, seconds: float, tick: int
    ) -> None:
        """Book one tick: `demand` cores, `served` requests per second (`asked` by operation), `held` under way."""
        self._cpu(proc, demand, asked, seconds, tick)
        proc.rps = served
        self._workers(proc, served, held, seconds)
        proc.under_way = held if held else self._under_way(proc, served)
        self._memory(proc, served, asked, seconds, tick)

    @staticmethod
    def _under_way(proc: Proc, served: float) -> float:
        """Return about how many requests are in the process, from how long they compute and queue there."""
        if not proc.rps:
            return 0.0
        busy = min(proc.busy, _BRINK)
        return proc.demand / (1.0 - busy) + served * proc.backlog / max(proc.room, 1e-9)

    def _cpu(self, proc: Proc, demand: float, asked: dict[str, float], seconds: float, tick: int) -> None:
        beside = proc.mods.cores if proc.mods is not None else 0.0
        whole = demand + proc.program.cpu_idle
        cap = proc.room
        before = proc.backlog
        most = proc.program.queue * cap
        piled = before + (whole - cap) * seconds
        proc.demand = whole
        proc.backlog = min(max(piled, 0.0), most)
        proc.silent = min(max((piled - most) / (whole * seconds), 0.0), 1.0) if piled > most else 0.0
        worked = min(cap * seconds, before + whole * seconds)
        came = max(whole * (1.0 - proc.silent) * seconds, 1e-9)
        proc.through = min(worked / came, _CATCHING_UP) if before or proc.backlog else 1.0
        ratio = whole / cap
        proc.busy += 0.5 * (min(ratio, 1.5) - proc.busy)
        wiggle = 0.96 + 0.08 * noise(self.seed, "cpu", proc.uid, proc.container, tick)
        proc.cpu = min(proc.capacity, (whole + beside + before / seconds) * wiggle)
        share = min(proc.cpu / proc.capacity, 1.0) if proc.limit else 0.0
        pressed = min(max((max(share, min(ratio, 1.0) if proc.limit else 0.0) - 0.5) / 0.5, 0.0), 1.0)
        proc.throttled = 0.97 * pressed * pressed
        if proc.limit and proc.limit < 1.0 and asked:
            operations = proc.program.operations
            burst = max((o.cpu_ms / 1000.0 for name in asked if (o := operations.get(name)) is not None), default=0.0)
            if burst > 0.1 * proc.limit:
                proc.throttled = max(proc.throttled, min(0.6, share))

    @staticmethod
    def _workers(proc: Proc, served: float, held: float, seconds: float) -> None:
        """Let requests wait for workers: `held` is how many of those let in are worked on at the same time."""
        workers = proc.program.workers
        if not workers:
            return
        # What would be under way if nobody were turned away, per worker.
        wanted = held / max(1.0 - proc.shed, 1e-3) / workers
        if wanted > 1.0:
            proc.line = min(proc.line + served * (1.0 - 1.0 / wanted) * seconds, float(proc.program.waiting))
        else:
            gone = served * (1.0 / max(wanted, 1e-3) - 1.0) * seconds
            proc.line = max(proc.line - gone, 0.0)
        pace = served / max(wanted, 1e-3)
        full = wanted > 1.0 and proc.line >= proc.program.waiting - 1e-9
        proc.shed += 0.5 * ((1.0 - 1.0 / wanted if full else 0.0) - proc.shed)
        if proc.shed < 1e-3:
            proc.shed = 0.0
        rho = min(wanted, _BRINK)
        crowd = rho ** ((2.0 * (workers + 1)) ** 0.5) / (1.0 - rho)
        proc.line_wait = (max(proc.line, crowd) / pace) if pace > 1e-9 else 0.0

    @staticmethod
    def pools(proc: Proc, pooled: dict[tuple[int, str], list[float]], seconds: float) -> None:
        """Let calls wait for the connections of a program's pools."""
        for name, target in proc.program.targets.items():
            if not target.pool or ((id(proc), name) not in pooled and name not in proc.pools):
                continue
            calls, kept = pooled.get((id(proc), name), (0.0, 0.0))
            _, starved = proc.pools.get(name, (0.0, 0.0))
            wanted = kept / max(1.0 - starved, 1e-3) / target.pool
            if calls <= 1e-9:
                proc.pools.pop(name, None)
                continue
            each = kept / max(calls * (1.0 - starved), 1e-9)
            starved += 0.5 * (max(1.0 - 1.0 / max(wanted, 1e-6), 0.0) - starved)
            if starved < 1e-3:
                starved = 0.0
            rho = min(wanted, _BRINK)
            crowd = each / target.pool * rho ** ((2.0 * (target.pool + 1)) ** 0.5) / (1.0 - rho)
            proc.pools[name] = (target.pool_wait if wanted > 1.0 else min(crowd, target.pool_wait), starved)

    def _memory(self, proc: Proc, served: float, asked: dict[str, float], seconds: float, tick: int) -> None:
        build, program = proc.build, proc.program
        per_thousand = program.leak + (build.leak if build is not None else 0.0)
        proc.leaked += per_thousand * served * seconds / 1000.0
        extra = build.memory if build is not None else 0.0
        if proc.mods is not None:
            proc.leaked += (proc.mods.leak + proc.mods.leak_per_thousand * served / 1000.0) * seconds
            extra += proc.mods.memory
        waiting = program.memory_per_waiting * (proc.under_way + proc.line) if program.memory_per_waiting else 0.0
        for name, rate in asked.items():
            operation = program.operations.get(name)
            if operation is not None and operation.memory:
                extra += operation.memory * rate
        held = program.memory + extra + program.memory_per_rps * served + waiting
        breath = 0.985 + 0.03 * noise(self.seed, "memory", proc.uid, proc.container, tick // 12)
        proc.memory = (held * breath + proc.leaked) * MIB
