"""Two engines at once on one cluster and one journal, interleaved step by step as a seed says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from txn_fake import FakeCluster, deployment, obj, ref, request
from txn_kit import SETTINGS, Died, engine_on

from stratus.errors import LeaseLost, TransactionError
from stratus.model.actions import PlannedWrite
from stratus.transaction.lock import holder
from stratus.transaction.verdict import Conditions

STUCK = 0.003
"""Chance that a process stands still at a step for twice the life of its Lease."""


class Baton:
    """Lets one thread run at a time and hands on at every step: the same seed gives the same interleaving.

    Who sleeps is passed over until its time has come; time passes only when all sleep.
    """

    def __init__(self, seed: int, clock: Any) -> None:
        self.rng, self.clock = random.Random(seed), clock
        self.turns: dict[str, threading.Event] = {}
        self.asleep: dict[str, float] = {}
        self.alive: list[str] = []
        self.failures: list[BaseException] = []

    def run(self, parts: dict[str, Callable[[], None]]) -> None:
        """Run all parts to their ends; raises what one of them raised."""
        self.turns = {name: threading.Event() for name in parts}
        self.alive = list(parts)
        threads = [threading.Thread(target=self._part, args=(name, work), name=name) for name, work in parts.items()]
        for thread in threads:
            thread.start()
        self.turns[self.alive[0]].set()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _part(self, name: str, work: Callable[[], None]) -> None:
        self.turns[name].wait()
        try:
            work()
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.alive.remove(name)
            if self.alive:
                self.turns[self._next()].set()

    def _next(self) -> str:
        awake = [name for name in self.alive if self.asleep.get(name, 0.0) <= self.clock.now()]
        if not awake:
            first = min(self.alive, key=lambda name: self.asleep[name])
            self.clock.sleep(self.asleep[first] - self.clock.now())
            awake = [first]
        return self.rng.choice(awake)

    def step(self) -> None:
        """Hand on, or not, as the seed says."""
        me = threading.current_thread().name
        if me not in self.turns:
            return
        other = self._next()
        if other != me:
            self.turns[me].clear()
            self.turns[other].set()
            self.turns[me].wait()

    def sleep(self, seconds: float) -> None:
        """Be passed over for some time."""
        me = threading.current_thread().name
        if me not in self.turns:
            self.clock.sleep(seconds)
            return
        self.asleep[me] = self.clock.now() + seconds
        self.step()


class SharedClock:
    """Both engines live in one time."""

    def __init__(self, inner: Any, baton: Baton) -> None:
        self.inner, self.baton = inner, baton

    def now(self) -> float:
        return float(self.inner.now())

    def sleep(self, seconds: float) -> None:
        self.baton.sleep(seconds)


class Contest:
    """Engines `a` and `b` make `count` transactions between them in one scope; each adds keys of its own.

    Attributes:
        wrong: writes that were stored while somebody else held the Lease.
        kept: transactions that were committed, by id.
    """

    def __init__(self, clock: Any, open_journal: Callable[[], Any], *, count: int, seed: int, deaths: bool) -> None:
        self.baton = Baton(seed, clock)
        self.clock = SharedClock(clock, self.baton)
        self.cluster = FakeCluster(self.clock)
        self.cluster.put(deployment("web"))
        self.cluster.put(obj("ConfigMap", "conf", data={"base": "1"}))
        self.cluster.before_write = self._watch
        self.open_journal, self.count, self.deaths = open_journal, count, deaths
        self.wrong: list[str] = []
        self.kept: set[str] = set()
        self.lost = self.died = self.stuck = 0

    def run(self) -> None:
        """Let both work until all is done."""
        self.baton.run({name: lambda name=name: self._work(name) for name in ("a", "b")})

    def _watch(self, write: Any) -> None:
        lease = self.cluster.objects.get(("Lease", "shop", "stratus-writer"))
        me = threading.current_thread().name
        if not holder(lease).startswith(f"{me}-"):
            self.wrong.append(f"{me} wrote {write.target} while {holder(lease) or 'nobody'} held the lock")

    def _work(self, name: str) -> None:
        rng = random.Random(f"{name} {self.count}")
        life, number = 0, 0
        with self.open_journal() as journal:
            while number < self.count // 2:
                txn = f"{name}-{number}"
                try:
                    self._one(journal, f"{name}-{life}", txn, rng)
                    number += 1
                except LeaseLost:
                    self.lost += 1
                    self.clock.sleep(1.0)
                except TransactionError:
                    number += 1  # the other has finished it while this one stood still
                except Died:
                    self.died += 1
                    life += 1
                    self._recover(journal, f"{name}-{life}")
            self._recover(journal, f"{name}-{life}")

    def _recover(self, journal: Any, identity: str) -> None:
        for _ in range(200):
            self._engine(journal, identity).recover()
            if not journal.open_transactions():
                return
            self.clock.sleep(SETTINGS.lease_seconds)

    def _engine(self, journal: Any, identity: str, dies_at: int = -1) -> Any:
        count = iter(range(100_000))

        def trip(step: str) -> None:
            self.baton.step()
            if self.baton.rng.random() < STUCK:
                self.stuck += 1
                self.baton.sleep(SETTINGS.lease_seconds * 2)
            if next(count) == dies_at:
                raise Died(step)

        return engine_on(
            self.cluster, journal, identity=identity, healed=lambda c: True, tripwire=trip, clock=self.clock
        )

    def _one(self, journal: Any, identity: str, txn: str, rng: random.Random) -> None:
        """One transaction: a key of its own in the shared ConfigMap, and one replica more or less."""
        if txn in journal.list():
            return  # made in an earlier life and finished by a recovery
        dies_at = rng.randrange(12, 60) if self.deaths and rng.random() < 0.1 else -1
        engine = self._engine(journal, identity, dies_at)
        engine.open(txn, ("shop",), incident="i")
        engine.extend(txn, (patch("ConfigMap", "conf", {"data": {txn: "1"}}),))
        engine.extend(txn, (patch("Deployment", "web", {"metadata": {"labels": {"last": txn}}}),))
        engine.seal(txn)
        report = engine.validate(txn, Conditions())
        if report.verdict == "UNCHANGED" and rng.random() < 0.7:
            engine.commit(txn)
            self.kept.add(txn)
        else:
            engine.undo(txn, "for the contest")

    def verify(self, journal: Any) -> None:
        """Nothing is open, nothing lost, nothing written twice, and never were there two writers."""
        assert self.wrong == []
        assert journal.open_transactions() == ()
        journal.verify()
        reader = engine_on(self.cluster, journal, identity="reader")
        found = {t.id: t for t in reader.list()}
        assert len(found) == self.count
        states = {t.state for t in found.values()}
        assert states <= {"committed", "undone"}, states
        committed = {name for name, t in found.items() if t.state == "committed"}
        assert self.kept <= committed
        data = self.cluster.objects[ref("ConfigMap", "conf").key]["data"]
        assert set(data) - {"base"} == committed, "what is there is what was committed"
        stored = [who for who, _, _ in self.cluster.applied]
        assert len(stored) == len(set(stored)), "a write took effect twice"


def patch(kind: str, name: str, body: dict[str, Any]) -> PlannedWrite:
    """A merge patch, as planned."""
    write = request("PATCH", kind, name, body, patch_type="application/merge-patch+json")
    return PlannedWrite(write=write, command=f"patch {name}", reversibility="exact")
