"""Rehearsal on a twin: plans run through the transaction engine on a copy of what the reader shows, and are judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stratus.cluster.base import ClusterReader
from stratus.errors import StratusError
from stratus.kit.clock import Clock
from stratus.model.actions import MitigationPlan
from stratus.model.health import VerdictReport
from stratus.model.rehearsals import Prediction
from stratus.settings import HealthSettings, Settings
from stratus.telemetry.base import Telemetry
from stratus.transaction.cost import UndoCost, cost_of
from stratus.transaction.verdict import Conditions, cleared, judge

if TYPE_CHECKING:
    from stratus.model.health import HealthVector, ServiceHealth
    from stratus.model.transactions import Transaction
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.sim.store import Change
    from stratus.sim.twin.cluster import TwinCluster
    from stratus.sim.twin.learning import Memory
    from stratus.sim.twin.snapshot import Snapshot

log = logging.getLogger(__name__)

INVISIBLE = "what the application does: the incident does not show in objects"
STATE = "commands in containers change what an application holds, and a twin holds nothing"


class _OutOfTime(Exception):
    """The rehearsal has used up its CPU time."""


class TwinRehearsal:
    """A `Rehearsal` that makes one twin for each round and runs each plan on forks of it.

    Where a plan meets something that objects do not tell, it is run twice: once with everything unknown going well,
    once with all of it going badly. Only what both runs agree on is foretold.

    Args:
        reader: the cluster; nothing else of it is looked at, whatever cluster it is.
        clock: the cluster's time.
        cpu: seconds of CPU that this thread has used.
    """

    def __init__(
        self, settings: Settings, reader: ClusterReader, clock: Clock, *, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        self._settings, self._reader, self._clock, self._cpu = settings, reader, clock, cpu
        #: What was seen of containers in earlier rounds: a revision that failed then is known to fail.
        self._memory: Memory = {}

    def foretell(
        self,
        plans: Sequence[MitigationPlan],
        *,
        namespaces: tuple[str, ...],
        services: tuple[str, ...],
        served: Mapping[str, float],
    ) -> tuple[Prediction, ...]:
        """Return a prediction for each plan. See `mitigation.foresight.Rehearsal`."""
        begun = self._cpu()
        until = begun + self._settings.limits.rehearsal_seconds
        spaces = {*namespaces, *(w.write.target.namespace for p in plans for w in p.writes)} - {""}
        found: list[Prediction] = []
        try:
            with self._twin(tuple(sorted(spaces)), served) as twin:
                for plan in plans:
                    found.append(self._foretold(twin, plan, tuple(sorted(namespaces)), services, until, begun))
                    begun = self._cpu()
        except StratusError as error:
            return tuple(_not(str(error)) for _ in plans)
        except Exception as error:  # whatever a strange object does to the twin, the incident goes on without it
            log.warning("no twin could be made", exc_info=True)
            return tuple(_not(f"no twin could be made: {type(error).__name__}: {error}") for _ in plans)
        return tuple(found)

    @contextmanager
    def _twin(self, namespaces: tuple[str, ...], served: Mapping[str, float]) -> Iterator[TwinCluster]:
        from stratus.sim.twin.cluster import TwinCluster
        from stratus.sim.twin.snapshot import NoTwin, take

        now, most = self._clock.now(), self._settings.limits.rehearsal_objects
        snapshot = take(self._reader, namespaces, now=now, most=most)
        with TwinCluster(snapshot, served=served, memory=self._memory) as twin:
            self._memory = {**self._memory, **twin.runtime.remembers()}
            strange = unlike(snapshot, twin, self._settings.health)
            if strange:
                raise NoTwin(f"the twin is not as what was observed: {'; '.join(strange[:3])}")
            yield twin

    def _foretold(
        self,
        twin: TwinCluster,
        plan: MitigationPlan,
        namespaces: tuple[str, ...],
        services: tuple[str, ...],
        until: float,
        begun: float,
    ) -> Prediction:
        if any(planned.reversibility == "compensable" for planned in plan.writes):
            return _not(STATE)
        try:
            first = self._run(twin, plan, namespaces, services, until, pessimist=False)
            other = self._run(twin, plan, namespaces, services, until, pessimist=True) if first.doubts else None
            worse = first.worse if first.verdict.verdict == "REGRESSED" else set()
            alone = bool(worse) and worse <= self._alone(twin, first.seconds_taken, namespaces, until)
        except _OutOfTime:
            limit = self._settings.limits.rehearsal_seconds
            return _not(f"it takes more than {limit:g} s of CPU time (limits.rehearsal_seconds)")
        except StratusError as error:
            return _not(f"the twin refused it: {error}")
        except Exception as error:
            log.warning("a rehearsal failed", exc_info=True)
            return _not(f"the rehearsal failed: {type(error).__name__}: {error}")
        found = combined(first, other, twin.snapshot.blind, self._cpu() - begun)
        return found.model_copy(update={"by_itself": alone and found.verdict == "REGRESSED"})

    def _alone(self, twin: TwinCluster, seconds: float, namespaces: tuple[str, ...], until: float) -> set[str]:
        """Return what gets worse in as much time when nothing is done."""
        from stratus.sim.twin.glance import Glance
        from stratus.transaction.sampling import HealthProbe

        health = self._settings.health
        with twin.fork() as fork:
            pace = _Pace(fork, lambda: self._cpu() > until)
            probe = HealthProbe(reader=Glance(fork), telemetry=Telemetry(), clock=pace, settings=health)

            def samples() -> list[HealthVector]:
                found = []
                for _ in range(health.samples):
                    found.append(probe.sample(namespaces))
                    pace.sleep(health.sample_interval)
                return found

            before = samples()
            pace.sleep(max(0.0, seconds - 2 * health.samples * health.sample_interval))
            return worse_in(judge(before, samples(), Conditions(), health))

    def _run(
        self,
        twin: TwinCluster,
        plan: MitigationPlan,
        namespaces: tuple[str, ...],
        services: tuple[str, ...],
        until: float,
        *,
        pessimist: bool,
    ) -> Run:
        """Execute, judge and take back a plan on a fork, by the code that does so on the cluster."""
        from stratus.cluster.kube import KubeCluster
        from stratus.sim.twin.glance import Glance
        from stratus.transaction.engine import TransactionEngine
        from stratus.transaction.memory import MemoryJournal
        from stratus.transaction.sampling import HealthProbe

        settings, conditions = self._settings, Conditions(services=services)
        with twin.fork(pessimist=pessimist) as fork:
            pace = _Pace(fork, lambda: self._cpu() > until)
            kube = KubeCluster(fork.api_client())
            probe = HealthProbe(reader=Glance(fork), telemetry=Telemetry(), clock=pace, settings=settings.health)
            engine = TransactionEngine(
                reader=kube.reader,
                writer=kube.writer,
                journal=MemoryJournal(),
                clock=pace,
                probe=probe,
                settings=settings,
                identity="rehearsal",
            )
            outage = _Outage(fork)
            name, scope = "rehearsal", plan.writes[0].write.target.namespace or "cluster"
            done = engine.begin(name, name, plan.writes, scope, watch=namespaces)
            if done.state != "applied":
                return Run(VerdictReport(verdict="UNCHANGED", reason=f"refused: {done.reason}"), done, fork, outage)
            verdict = engine.validate(name, conditions)
            outage.end()
            taken = fork.clock.now() - twin.clock.now()
            done = engine.show(name)
            cost = cost_of(done, lambda _: None)
            seen = bool(cleared(done.health_before, conditions, settings.health))
            met = tuple(fork.doubts.met)
            exact = engine.undo(name, "rehearsed").state == "undone"
            return Run(verdict, done, fork, outage, cost=cost, visible=seen, doubts=met, exact=exact, taken=taken)


class Run:
    """What came of one run of a plan.

    Attributes:
        visible: the incident showed in the twin's objects before.
        doubts: what had to be guessed.
        exact: whether taking it back was proved; None when nothing was to be taken back.
        taken: seconds of the twin's time until it was judged.
    """

    def __init__(
        self,
        verdict: VerdictReport,
        done: Transaction,
        fork: TwinCluster,
        outage: _Outage,
        *,
        cost: UndoCost | None = None,
        visible: bool = True,
        doubts: tuple[str, ...] = (),
        exact: bool | None = None,
        taken: float = 0.0,
    ) -> None:
        self.verdict, self.done, self.cost = verdict, done, cost
        self.visible, self.exact = visible, exact
        self.doubts = doubts or tuple(fork.doubts.met)
        self.unavailable, self.seconds, self.seconds_taken = outage.most, outage.seconds, taken

    @property
    def worse(self) -> set[str]:
        """The components that got worse."""
        return worse_in(self.verdict)


def worse_in(report: VerdictReport) -> set[str]:
    """Return the components that a verdict finds worse."""
    return {c.component for c in report.changes if c.direction == "worse"}


def combined(first: Run, other: Run | None, blind: tuple[str, ...], cpu: float) -> Prediction:
    """Return what can be said for sure after a run in which all went well, and one in which nothing did."""
    best, unknown = first.verdict, list(first.doubts)
    worst = other.verdict if other is not None else best
    unknown += [d for d in other.doubts if d not in unknown] if other is not None else []
    verdict, reason = best.verdict, best.reason
    if best.verdict != worst.verdict:
        verdict, reason = "UNKNOWN", "it hangs on what objects do not tell"
    elif best.verdict == "UNCHANGED" and not first.visible:
        verdict, reason = "UNKNOWN", "nothing that shows in objects changes"
    if not first.visible:
        unknown.append(INVISIBLE)
    cost = first.cost or UndoCost()
    exact = [run.exact for run in (first, other) if run is not None and run.exact is not None]
    return Prediction(
        verdict=verdict,
        best=best.verdict,
        worst=worst.verdict,
        reason=reason,
        blind=(*unknown, *blind),
        changes=tuple(c for c in best.changes if c.direction != "same"),
        undo=cost.text() if first.cost is not None else "",
        undo_rollouts=cost.rollouts,
        undo_requests=cost.patches + cost.creates + cost.deletes,
        undo_seconds=cost.seconds,
        undo_losses=len(cost.loses),
        undo_exact=all(exact) if exact else None,
        unavailable=max(run.unavailable for run in (first, other) if run is not None),
        unavailable_seconds=round(max(run.seconds for run in (first, other) if run is not None), 1),
        cpu=round(cpu, 4),
    )


def _not(why: str) -> Prediction:
    return Prediction(rehearsed=False, reason=why)


class _Pace:
    """A clock whose sleep lets the twin's time pass, as long as there is CPU time for it."""

    def __init__(self, fork: EmbeddedCluster, over: Callable[[], bool]) -> None:
        self._fork, self._over = fork, over

    def now(self) -> float:
        """Return the twin's present."""
        return self._fork.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass there."""
        if self._over():
            raise _OutOfTime
        if seconds > 0:
            self._fork.advance(seconds)


class _Outage:
    """Counts pods that were ready when a run began and are not meanwhile, workload by workload."""

    def __init__(self, fork: EmbeddedCluster) -> None:
        from stratus.sim.twin.manners import workload_of

        self._clock, self._of = fork.clock, workload_of
        self._ready: dict[str, tuple[str, str]] = {}
        for pod in fork.store.list("pods"):
            self._enter(pod)
        self._had: dict[tuple[str, str], int] = {}
        for place in self._ready.values():
            self._had[place] = self._had.get(place, 0) + 1
        self._have = dict(self._had)
        self.most, self.seconds = 0, 0.0
        self._missing, self._since = 0, fork.clock.now()
        self._stop = fork.store.subscribe(self._follow, "pods")

    def _enter(self, pod: dict[str, Any]) -> None:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        if any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions):
            self._ready[pod["metadata"]["uid"]] = (pod["metadata"].get("namespace", ""), self._of(pod))

    def _follow(self, change: Change) -> None:
        uid = change.object["metadata"]["uid"]
        before = self._ready.pop(uid, None)
        if change.type != "DELETED":
            self._enter(change.object)
        now = self._ready.get(uid)
        if before == now:
            return
        for place, step in ((before, -1), (now, 1)):
            if place is not None:
                self._have[place] = self._have.get(place, 0) + step
        self._count()

    def _count(self) -> None:
        at = self._clock.now()
        if self._missing:
            self.seconds += at - self._since
        self._since = at
        self._missing = sum(max(0, had - self._have.get(place, 0)) for place, had in self._had.items())
        self.most = max(self.most, self._missing)

    def end(self) -> None:
        """Count no further."""
        self._count()
        self._stop()


def unlike(snapshot: Snapshot, twin: TwinCluster, settings: HealthSettings) -> list[str]:
    """Return in which services a fresh twin's health is not that of the objects it was made of; empty: in none."""
    from stratus.sim.twin.glance import Glance
    from stratus.transaction.health import assess
    from stratus.transaction.sampling import KINDS

    now, glance = snapshot.at, Glance(twin)
    shown = {kind: [{"kind": kind, **obj} for obj in snapshot.kind(kind)] for kind in KINDS}
    spaces = snapshot.namespaces
    copied = {kind: [{"kind": kind, **obj} for space in spaces for obj in glance.list(kind, space)] for kind in KINDS}
    wanted, found = (assess(objects, {}, now=now, settings=settings) for objects in (shown, copied))
    rows = {(s.namespace, s.service): s for s in found}
    return [
        f"{one.namespace}/{one.service} {_vital(one)}, there {_vital(rows.get((one.namespace, one.service)))}"
        for one in wanted
        if _vital(one) != _vital(rows.get((one.namespace, one.service)))
    ]


def _vital(health: ServiceHealth | None) -> str:
    if health is None:
        return "is absent"
    share = "?" if health.availability is None else f"{health.availability:.2f}"
    ends = "" if health.endpoints is None else f", {health.endpoints} endpoints"
    return f"{share} available, {health.ready}/{health.desired} ready{ends}, {health.crashing} failing"


__all__ = ["Run", "TwinRehearsal", "combined", "unlike"]
