"""What active chaos does to connections, to programs, and to names, read from the objects' status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stratus.sim.apps.chaos import selection
from stratus.sim.apps.chaos.selection import GROUP, UNREADABLE, duration, share, size, struck
from stratus.sim.apps.effects import ALL, Mods
from stratus.sim.apps.process import Proc
from stratus.sim.apps.schema import Operation
from stratus.sim.apps.wire import cut_off
from stratus.sim.store import Obj, Store

MIB = 1048576.0
#: Bytes that a call moves, for limits of bandwidth.
_BYTES = 20_000.0
_RATES = {"bps": 1.0, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9, "tbps": 1e12}

Pods = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Way:
    """A disturbance between pods: `others` empty means all; `hosts` are names outside the cluster."""

    pods: Pods
    others: Pods
    hosts: tuple[str, ...]
    delay: float
    jitter: float
    lost: float

    def lies_between(self, one: tuple[str, str] | None, other: tuple[str, str] | None, host: str) -> bool:
        """Tell whether a call from `one` to `other` (None: outside) passes here."""
        if one not in self.pods and other not in self.pods:
            return False
        if not self.others and not self.hosts:
            return True
        if other is None and one in self.pods and any(host == h or fnmatchcase(host, h) for h in self.hosts):
            return True
        return (one in self.pods and other in self.others) or (other in self.pods and one in self.others)


class Disturbances:
    """Active chaos, looked up when something has changed. Nothing is changed here."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._ways: list[Way] | None = None
        self._programs: list[tuple[str, Obj, frozenset[tuple[str, str, str]]]] = []
        self._names: list[tuple[Pods, tuple[str, ...], str]] = []

    def forget(self) -> None:
        """An object has changed."""
        self._ways = None

    def _read(self) -> list[Way]:
        if self._ways is None:
            self._ways, self._programs, self._names = [], [], []
            for kind, (plural, _) in selection.KINDS.items():
                for obj in self.store.list(f"{plural}.{GROUP}"):
                    hit = struck(obj)
                    if not hit:
                        continue
                    pods = frozenset((space, name) for space, name, _ in hit)
                    spec = obj.get("spec") or {}
                    if kind == "NetworkChaos":
                        self._ways += _way(obj, spec, pods)
                    elif kind == "DNSChaos":
                        patterns = tuple(str(p) for p in spec.get("patterns") or ("*",))
                        self._names.append((pods, patterns, str(spec.get("action", "error"))))
                    elif kind != "PodChaos":
                        self._programs.append((kind, spec, hit))
        return self._ways

    @property
    def on_ways(self) -> bool:
        """Tell whether any connection is disturbed."""
        return bool(self._read())

    def on_way(self, proc: Proc | None, pod: Obj | None, host: str) -> tuple[float, float, float]:
        """Return (seconds of delay, jitter, share of calls lost) between a program and a pod or a host outside."""
        delay, jitter, kept = 0.0, 0.0, 1.0
        one = proc.pod if proc is not None else None
        other = (pod["metadata"]["namespace"], pod["metadata"]["name"]) if pod is not None else None
        for way in self._read():
            if way.lies_between(one, other, host):
                delay += way.delay
                jitter += way.jitter
                # Retransmission hides moderate loss; what is left surfaces as calls that time out, and some delay.
                kept *= 1.0 - way.lost**3
                delay += 0.2 * way.lost / (1.0 - min(way.lost, 0.9))
        return delay, jitter, 1.0 - kept

    def name(self, pod: tuple[str, str] | None, host: str) -> str:
        """Return what happens to a pod's look-up of a name: empty (nothing), `error` or `random`."""
        self._read()
        for pods, patterns, action in self._names:
            if pod in pods and any(host == p or fnmatchcase(host, p) for p in patterns):
                return action
        return ""

    def on_program(self, proc: Proc, mods: Mods | None) -> Mods | None:
        """Return what chaos changes about a program, on top of `mods`."""
        self._read()
        for kind, spec, hit in self._programs:
            if (*proc.pod, "") not in hit and (*proc.pod, proc.container) not in hit:
                continue
            mods = mods or Mods()
            try:
                _ACTS[kind](proc, spec, mods)
            except UNREADABLE:
                # Nothing validates these specs; what cannot be read does nothing.
                continue
        return mods


def _way(obj: Obj, spec: Obj, pods: Pods) -> list[Way]:
    try:
        return [_way_of(obj, spec, pods)]
    except UNREADABLE:
        return []


def _way_of(obj: Obj, spec: Obj, pods: Pods) -> Way:
    delay = spec.get("delay") or {}
    slow = duration(delay.get("latency"))
    jitter = duration(delay.get("jitter"))
    lost = share((spec.get("loss") or {}).get("loss"))
    lost = 1.0 - (1.0 - lost) * (1.0 - share((spec.get("corrupt") or {}).get("corrupt")))
    if spec.get("action") == "partition":
        lost = 1.0
    rate = str((spec.get("bandwidth") or {}).get("rate", "")).lower()
    for unit, factor in sorted(_RATES.items(), key=lambda e: -len(e[0])):
        if rate.endswith(unit):
            try:
                slow += _BYTES / max(float(rate[: -len(unit)]) * factor, 1.0)
            except ValueError:
                pass
            break
    others: Pods = frozenset()
    if spec.get("target"):
        others = _targets(obj)
    hosts = tuple(str(h) for h in spec.get("externalTargets") or ())
    return Way(pods, others, hosts, slow, jitter, lost)


def _targets(obj: Obj) -> Pods:
    records = ((obj.get("status") or {}).get("experiment") or {}).get("containerRecords") or ()
    found = set()
    for record in records:
        if record.get("selectorKey") == ".Target":
            parts = str(record["id"]).split("/")
            found.add((parts[0], parts[1]))
    # A target that selects nothing disturbs nothing.
    return frozenset(found) or frozenset({("", "")})


def _stress(proc: Proc, spec: Obj, mods: Mods) -> None:
    stressors = spec.get("stressors") or {}
    cpu = stressors.get("cpu") or {}
    if cpu:
        workers = float(cpu.get("workers") or 1)
        mods.cores += workers * float(cpu.get("load") or 100) / 100.0
        mods.threads += workers
    memory = stressors.get("memory") or {}
    if memory:
        whole = proc.memory_limit or 4096.0 * MIB
        mods.memory += size(memory.get("size", "256MB"), whole) / MIB


def _http(proc: Proc, spec: Obj, mods: Mods) -> None:
    if proc.program.protocol != "http" or (spec.get("port") and int(spec["port"]) not in proc.ports):
        return
    pattern = str(spec.get("path") or "*")
    for name, operation in proc.program.operations.items():
        if pattern not in ("*", "/*") and not any(fnmatchcase(p, pattern) for p in (operation.path, f"/{name}")):
            continue
        if spec.get("abort"):
            host = proc.workload
            mods.errors.setdefault(name, []).append((1.0, cut_off("http", host, int(spec.get("port") or 80))))
        if spec.get("delay"):
            mods.wait[name] = mods.wait.get(name, 0.0) + duration(spec["delay"])
        if any((spec.get(k) or {}).get("body") is not None for k in ("replace", "patch")):
            mods.errors.setdefault(name, []).append((1.0, "400 Bad Request: cannot read the body"))
        code = (spec.get("replace") or {}).get("code")
        if code and int(code) >= 400:
            mods.errors.setdefault(name, []).append((1.0, f"{code} (replaced on the way)"))


def _methods(operations: dict[str, Operation], method: str) -> list[str]:
    """Return the operations a Java method stands for: those of its name, else all."""
    same = [n for n in operations if n.lower().rpartition("/")[2] == method.lower()]
    return same or [ALL]


def _jvm(proc: Proc, spec: Obj, mods: Mods) -> None:
    action = spec.get("action")
    names = _methods(proc.program.operations, str(spec.get("method", "")))
    if action == "latency":
        for name in names:
            mods.wait[name] = mods.wait.get(name, 0.0) + float(spec.get("latency") or 0) / 1000.0
    elif action == "exception":
        for name in names:
            mods.errors.setdefault(name, []).append((1.0, str(spec.get("exception") or "java.lang.RuntimeException")))
    elif action == "stress":
        count = float(spec.get("cpuCount") or 0)
        mods.cores += count
        mods.threads += count
        if spec.get("memType"):
            mods.leak += 8.0
    elif action == "gc":
        mods.pauses.append((0.4, 2.0))


def _io(proc: Proc, spec: Obj, mods: Mods) -> None:
    part = share(spec.get("percent", 100))
    action = spec.get("action")
    if action == "latency":
        mods.wait[ALL] = mods.wait.get(ALL, 0.0) + part * duration(spec.get("delay"))
    elif action in ("fault", "mistake"):
        number = int(spec.get("errno") or 5)
        words = {5: "input/output error", 28: "no space left on device", 13: "permission denied"}
        path = spec.get("volumePath") or spec.get("path") or ""
        mods.errors.setdefault(ALL, []).append((part, f"{path}: {words.get(number, f'errno {number}')}"))


_ACTS: dict[str, Callable[[Proc, Obj, Mods], None]] = {
    "StressChaos": _stress,
    "HTTPChaos": _http,
    "JVMChaos": _jvm,
    "IOChaos": _io,
    "TimeChaos": lambda *_: None,
    "KernelChaos": lambda *_: None,
}
