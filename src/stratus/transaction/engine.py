"""The transaction engine: begin, validate, commit or undo, and recover what was left open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from stratus.cluster.base import ClusterReader
from stratus.cluster.writer import ClusterExecutor, ClusterWriter
from stratus.errors import BudgetSpent, CommandRefused, LeaseLost, TransactionError
from stratus.kit.clock import Clock
from stratus.model.actions import PlannedWrite
from stratus.model.health import HealthVector, VerdictReport
from stratus.model.transactions import Transaction
from stratus.settings import Settings
from stratus.transaction.breakers import LOOK_BACK, check_oscillation
from stratus.transaction.carrier import Carrier, Tripwire, not_found, write_key
from stratus.transaction.inverse import named
from stratus.transaction.journal import Journal, Story, tell
from stratus.transaction.limits import admit
from stratus.transaction.lock import CLUSTER_SCOPE, LockSet, locks_for
from stratus.transaction.protocol import COMMITTABLE, HARMLESS, WRAPPED, committable, recovery_wish
from stratus.transaction.redoing import again
from stratus.transaction.sampling import Probe
from stratus.transaction.verdict import Conditions, cleared, judge, late, steady

STALE = "stale_plan"
"""Code of the refusal of a plan that was overtaken while it waited."""
UNFINISHED = 3
"""Times that an unfinished transaction in the scope is finished before a new one gives way."""
REACH = 30.0
"""Seconds that request figures may look back."""
PATIENCE = 1.5
"""Times as long as failing containers ran before they failed that they have to run now."""


class TransactionEngine:
    """The only thing in Stratus that writes to a cluster.

    Every method may be called again after a crash, by this or another engine on the same journal: what has happened
    is not done twice. A method that raises leaves the transaction open in the journal; `recover` finishes it.

    Args:
        writer: the one way to change the cluster; hand it to nobody else.
        executor: runs commands in containers; as the writer, for nobody else. None: such a write is refused.
        identity: name of this engine in locks; unique to the process.
        tripwire: called with the name of each durable step before and after it; for tests of crashes.
    """

    def __init__(
        self,
        *,
        reader: ClusterReader,
        writer: ClusterWriter,
        journal: Journal,
        clock: Clock,
        probe: Probe,
        settings: Settings,
        identity: str,
        tripwire: Tripwire = lambda name: None,
        executor: ClusterExecutor | None = None,
    ) -> None:
        self._reader, self._writer, self._journal = reader, writer, journal
        self._executor = executor
        self._clock, self._probe, self._settings = clock, probe, settings
        self._identity, self._tripwire = identity, tripwire
        self._live: dict[str, Carrier] = {}

    def begin(
        self,
        incident: str,
        txn_id: str,
        writes: tuple[PlannedWrite, ...],
        scope: str,
        *,
        watch: tuple[str, ...] = (),
        stale: Callable[[], str | None] = lambda: None,
    ) -> Transaction:
        """Execute writes as one transaction: all of them, or none.

        Takes the lock, samples health, and for each write journals intent and pre-image before sending it. A write
        that is refused undoes those before it; the transaction then returned is `undone` (or escalated), otherwise
        `applied`. Called again with the same id it continues, or returns the transaction as it ended.

        Args:
            scope: namespace to lock and watch besides those of the writes; `cluster`: none.
            watch: further namespaces whose health counts, such as those of the incident's services.
            stale: asked once the lock is held and before anything is journalled, for a new transaction only: why the
                plan no longer fits what is there, such as another engine's repair while this one waited; else None.

        Raises:
            CommandRefused: a write cannot be taken back, the plan is stale, or it would go on with a to and fro of
                kept changes; nothing was sent.
            BudgetSpent: a limit would be exceeded; nothing was sent.
            LeaseLost: another engine holds the lock.
            JournalError: the journal cannot be written; what was journalled before is finished by `recover`.
            ClusterUnreachable: the API does not answer; `recover` finishes what was begun.
        """
        story = self._story(txn_id)
        if story is None:
            admit(writes, self._settings.limits, inside=self._executor is not None)
            since = self._clock.now() - self._settings.limits.oscillation_seconds
            check_oscillation(self._latest(), writes, since=since)
            plans = _named(txn_id, writes, 0)
            home = "" if scope == CLUSTER_SCOPE else scope
            spaces = sorted({home, *(p.write.target.namespace for p in plans)} - {""})
            wide = any(not p.write.target.namespace for p in plans)
            self._begun(txn_id, incident, scope, spaces, wide, watch, plans, stale=stale)
        elif story.transaction.incident != incident or (
            [p.command for p in story.plans] != [p.command for p in writes]
        ):
            raise TransactionError(
                f"transaction {txn_id} of incident {story.transaction.incident} is in the journal with other writes; "
                "give the new one an id of its own"
            )
        with self._at_work(txn_id) as carrier:
            carrier.advance("undo" if carrier.ledger.undoing else "forward")
            return carrier.transaction

    def open(
        self,
        txn_id: str,
        scope: tuple[str, ...],
        *,
        incident: str = "",
        wide: bool = False,
        watch: tuple[str, ...] = (),
    ) -> Transaction:
        """Begin a transaction that `extend` fills write by write: lock its scope and sample health.

        It is kept when nothing got worse, not only when something got better: its writes are wanted for themselves.

        Args:
            scope: namespaces that may be written to; they are locked until the end.
            wide: whether objects without a namespace may be written to, too.
            watch: further namespaces whose health counts.

        Raises:
            TransactionError: the scope is empty, or there is a transaction with this id.
            LeaseLost: another engine holds a lock.
        """
        if not scope and not wide:
            raise TransactionError("a transaction needs a scope: name the namespaces that it may write to")
        if self._story(txn_id) is not None:
            raise TransactionError(f"transaction {txn_id} is in the journal; give the new one an id of its own")
        names = sorted(set(scope))
        said = ",".join(names) or CLUSTER_SCOPE
        self._begun(txn_id, incident, said, names, wide, watch, (), result=WRAPPED)
        with self._at_work(txn_id) as carrier:
            carrier.advance("forward")
            return carrier.transaction

    def extend(self, txn_id: str, writes: tuple[PlannedWrite, ...]) -> Transaction:
        """Execute further writes of an open transaction now.

        A write that is refused undoes all of the transaction; what is returned is then `undone` (or escalated).

        Raises:
            CommandRefused: a write cannot be taken back or lies outside of the scope; nothing was sent.
            BudgetSpent: a limit would be exceeded; nothing was sent.
            TransactionError: it has ended, or is sealed.
            LeaseLost: another engine has taken over.
        """
        story = self._wrapped(txn_id)
        admit((*story.plans, *writes), self._settings.limits, inside=self._executor is not None)
        for planned in writes:
            space = planned.write.target.namespace
            if space not in story.namespaces if space else not story.wide:
                raise CommandRefused(
                    f"{planned.write.target} is outside of the transaction's scope ({story.transaction.scope})",
                    code="scope",
                    hint="name its namespace (or cluster-wide objects) when the transaction is opened",
                )
        plans = _named(txn_id, writes, len(story.plans))
        with self._at_work(txn_id) as carrier:
            carrier.append("extended", index=len(plans), body={"writes": [p.model_dump(mode="json") for p in plans]})
            carrier.advance("forward")
            return carrier.transaction

    def seal(self, txn_id: str) -> Transaction:
        """Let an open transaction take no more writes, so that it can be validated."""
        story = self._wrapped(txn_id)
        if story.ledger.sealed:
            return story.transaction
        with self._at_work(txn_id) as carrier:
            carrier.advance("seal")
            return carrier.transaction

    def validate(self, txn_id: str, conditions: Conditions) -> VerdictReport:
        """Wait until things have settled, sample, judge and journal the verdict.

        Waits for rollouts to converge and figures to become steady, at most `health.settle_max` seconds. A verdict
        that is there already (unless UNKNOWN) is returned as it is.

        Raises:
            TransactionError: the transaction is not executed completely, or has ended without a verdict.
            LeaseLost: another engine has taken over.
        """
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        old = story.transaction.verdict
        if old is not None and (old.verdict != "UNKNOWN" or story.ledger.ended or story.ledger.undoing):
            return old
        if not story.ledger.sealed or story.ledger.undoing or story.ledger.ended:
            raise TransactionError(
                f"transaction {txn_id} is {story.transaction.state}: only one whose writes are all done is judged"
            )
        with self._at_work(txn_id) as carrier:
            after, report = self._judged(carrier, conditions)
            health = [v.model_dump(mode="json") for v in after]
            body = {"verdict": report.model_dump(mode="json"), "health": health}
            carrier.append("judged", result=report.verdict, body=body)
            return report

    def commit(self, txn_id: str) -> Transaction:
        """Keep the transaction.

        Raises:
            TransactionError: no journalled verdict RESOLVED or IMPROVED allows it.
            LeaseLost: another engine has taken over.
        """
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        if story.ledger.ended == "committed":
            return story.transaction
        if not committable(story.ledger):
            found = story.transaction.verdict
            raise TransactionError(
                f"transaction {txn_id} cannot be committed: its state is {story.transaction.state}, its verdict "
                f"{found.verdict if found else 'missing'}; only {' or '.join(_kept(story))} may stay"
            )
        with self._at_work(txn_id) as carrier:
            carrier.advance("commit", found.reason if (found := carrier.transaction.verdict) else "")
            return carrier.transaction

    def undo(self, txn_id: str, reason: str, *, reopen: bool = False) -> Transaction:
        """Take the transaction back, last write first, and prove it by reading.

        Ends `undone` when the proof holds, `needs_human` where somebody else's edit stands in the way (the rest is
        undone) or a write stays in doubt, `undo_incomplete` when something else is left.

        Args:
            reopen: also undo a transaction that was committed, or try again one whose undo was escalated.

        Raises:
            LeaseLost: another engine has taken over.
            ClusterUnreachable: the API does not answer; call again, or `recover`.
        """
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        if story.ledger.ended and (not reopen or story.ledger.ended == "undone"):
            if story.ledger.ended == "committed":
                raise TransactionError(f"transaction {txn_id} is committed; undoing it must be asked for explicitly")
            return story.transaction
        with self._at_work(txn_id, finished=True) as carrier:
            if carrier.ledger.ended:
                carrier.append("reopened", body={"reason": reason})
            carrier.advance("undo", reason)
            return carrier.transaction

    def redo(self, txn_id: str, new_id: str) -> Transaction:
        """Execute the writes of a transaction that was undone once more, as a new transaction.

        Each write is made on the object as it is now: fields that others changed since are kept, and where they
        changed what this one changed, nothing is sent.

        Returns:
            The new transaction, to be validated like any other; kept when nothing is worse.

        Raises:
            TransactionError: it is unknown, has not been undone, or an object has changed where it would write.
            CommandRefused, BudgetSpent, LeaseLost: as `begin`.
        """
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        if story.ledger.ended != "undone":
            raise TransactionError(
                f"transaction {txn_id} is {story.transaction.state}: only an undone one is done again"
            )
        if self._cluster() != story.transaction.cluster:
            raise TransactionError(f"transaction {txn_id} was made on another cluster ({story.transaction.cluster})")
        planned = again(story.transaction, story.plans, self._reader)
        incident, watch = story.transaction.incident, story.watched
        self.open(new_id, story.namespaces, incident=incident, wide=story.wide, watch=watch)
        try:
            done = self.extend(new_id, planned)
        except (CommandRefused, BudgetSpent) as error:
            self.undo(new_id, str(error))
            raise
        return self.seal(new_id) if done.state == "applying" or done.state == "applied" else done

    def recover(self) -> tuple[Transaction, ...]:
        """Finish every open transaction of this cluster that no live engine is working on.

        A transaction whose journalled verdict allows it is committed, any other undone; writes in doubt are resolved
        by reading. Those held by a live engine are left to it.

        Raises:
            JournalError: the journal is damaged; nothing is undone from it.
            ClusterUnreachable: the API does not answer.
        """
        left = [t for t in self._journal.open_transactions() if t not in self._live]
        if not left:
            return ()
        self._journal.verify()
        cluster, finished = self._cluster(), []
        for txn_id in left:
            story = self._story(txn_id)
            if story is None or story.transaction.cluster != cluster:
                continue
            try:
                with self._at_work(txn_id) as carrier:
                    wish = recovery_wish(carrier.ledger)
                    verdict = carrier.transaction.verdict
                    reason = verdict.reason if wish == "commit" and verdict else "its engine stopped before it was done"
                    carrier.advance(wish, reason)
                    finished.append(carrier.transaction)
            except LeaseLost:
                continue
        return tuple(finished)

    def list(self) -> tuple[Transaction, ...]:
        """Return all transactions of the journal, oldest first; the cluster is not asked."""
        stories = [self._story(txn) for txn in self._journal.list()]
        return tuple(s.transaction for s in stories if s is not None)

    def show(self, txn_id: str) -> Transaction:
        """Return one transaction; the cluster is not asked.

        Raises:
            TransactionError: it is not known.
        """
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        return story.transaction

    def _wrapped(self, txn_id: str) -> Story:
        story = self._story(txn_id)
        if story is None:
            raise not_found(txn_id)
        if not story.ledger.wrapped or story.ledger.ended or story.ledger.undoing:
            raise TransactionError(
                f"transaction {txn_id} takes no more writes: it is {story.transaction.state}"
                + ("" if story.ledger.wrapped else ", and was planned as a whole")
            )
        return story

    def _begun(
        self,
        txn_id: str,
        incident: str,
        scope: str,
        spaces: Sequence[str],
        wide: bool,
        watch: tuple[str, ...],
        plans: tuple[PlannedWrite, ...],
        *,
        result: str = "",
        stale: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Take the locks, finish what others left open in the scope, and put the beginning on disk."""
        cluster = self._cluster()
        locks = self._cleared(cluster, spaces, wide)
        body = {
            "incident": incident,
            "scope": scope,
            "cluster": cluster,
            "namespaces": list(spaces),
            "watched": sorted({*spaces, *watch}),
            "wide": wide,
            "identity": self._identity,
            "writes": [p.model_dump(mode="json") for p in plans],
        }
        try:
            if (why := stale()) is not None:
                raise CommandRefused(f"the plan is out of date: {why}", code=STALE, hint="look again")
            self._tripwire("journal:begun:0:before")
            self._journal.append(txn_id, 0, self._clock.now(), "begun", index=len(plans), result=result, body=body)
            self._tripwire("journal:begun:0:after")
        except Exception:
            locks.release()
            raise
        fresh = self._story(txn_id)
        assert fresh is not None
        self._live[txn_id] = self._carrier(fresh, locks)

    def _cleared(self, cluster: str, spaces: Sequence[str], wide: bool) -> LockSet:
        """Take the locks of a scope in which nothing is left unfinished.

        An engine that fell silent leaves half a transaction, and to build on that would make its undo a conflict.
        """
        locks = self._locks(tuple(spaces), wide)
        left: tuple[str, ...] = ()
        for _ in range(UNFINISHED):
            self._lock(locks)
            try:
                left = self._unfinished(cluster, spaces, wide)
            except Exception:
                locks.release()
                raise
            if not left:
                return locks
            locks.release()
            self.recover()
        raise LeaseLost(f"transaction {', '.join(left)} is unfinished in this scope; see `stratus txn resume`")

    def _latest(self) -> tuple[Transaction, ...]:
        """Return the latest transactions of this cluster, oldest first."""
        cluster = self._cluster()
        stories = [self._story(txn) for txn in self._journal.list()[-LOOK_BACK:]]
        return tuple(s.transaction for s in stories if s is not None and s.transaction.cluster == cluster)

    def _unfinished(self, cluster: str, spaces: Sequence[str], wide: bool) -> tuple[str, ...]:
        """Return the open transactions that overlap a scope, other than those at work here."""
        found = []
        for txn in self._journal.open_transactions():
            story = self._story(txn) if txn not in self._live else None
            if story is None or story.transaction.cluster != cluster:
                continue
            if set(story.namespaces) & set(spaces) or (wide and story.wide):
                found.append(txn)
        return tuple(found)

    def _story(self, txn_id: str) -> Story | None:
        return tell(self._journal.entries(txn_id))

    def _cluster(self) -> str:
        identity = self._reader.identity()
        return identity.uid or identity.server

    def _judged(self, carrier: Carrier, conditions: Conditions) -> tuple[tuple[HealthVector, ...], VerdictReport]:
        health, spaces = self._settings.health, carrier.story.watched
        begun = self._clock.now()
        deadline = min(begun + health.settle_max, carrier.deadline())
        silence = min(begun + max(health.settle_max, health.alerts_max), carrier.deadline())
        carrier.pause(health.settle_min)
        while not self._probe.settled(spaces) and self._clock.now() < deadline:
            carrier.pause(health.sample_interval)
        # As many samples as cover the time for which the incident has to stay quiet.
        count = max(health.samples, math.ceil(health.quiet / health.sample_interval) + 1)
        # A container that failed after a minute has to live longer than a minute now; never more than half the time.
        span = min(PATIENCE * carrier.story.patience, health.settle_max / 2)
        interval = max(health.sample_interval, span / (count - 1))
        before = carrier.transaction.health_before
        last: tuple[tuple[HealthVector, ...], VerdictReport] | None = None
        while True:
            after = carrier.samples(count, interval)
            report = judge(before, after, conditions, health)
            # Alerts fall silent later than what they watch; rates follow their windows: look until nothing moves.
            alerts = (*conditions.alerts, *late(before, after))
            only_alerts = alerts and not cleared(after, conditions.model_copy(update={"alerts": ()}), health)
            patient = silence if only_alerts and report.verdict == "IMPROVED" else deadline
            fresh = begun + REACH
            if report.verdict == "RESOLVED" and after[0].at < fresh and self._clock.now() < deadline:
                # Rates are means over some time: that all is well rests on figures of the time after the change.
                carrier.pause(fresh - after[0].at)
                continue
            if report.verdict == "RESOLVED" or self._clock.now() >= patient:
                return after, report
            still = last is not None and last[1].verdict == report.verdict and steady(last[0], after, health)
            if report.verdict != "UNKNOWN" and still and not only_alerts and self._probe.settled(spaces):
                return after, report
            last = (after, report)
            carrier.pause(health.sample_interval)

    @contextmanager
    def _at_work(self, txn_id: str, *, finished: bool = False) -> Iterator[Carrier]:
        """Hold the transaction: with its lock, as its only engine; whatever breaks ends this engine's hold on it.

        After an exception nobody here may go on as if nothing had happened: the next call starts from the journal,
        where a write that was under way is in doubt.
        """
        carrier = self._live.get(txn_id)
        try:
            if carrier is None or not carrier.locks.held:
                carrier = self._taken(txn_id, finished)
            else:
                carrier.locks.check()
            yield carrier
        except BaseException as error:
            carrier = self._live.pop(txn_id, carrier)
            told = isinstance(error, Exception | KeyboardInterrupt)  # who was told to stop takes back under a new lock
            if carrier is not None and told and not isinstance(error, LeaseLost):
                self._let_go(carrier.locks)
            raise
        if carrier.ledger.ended:
            self._live.pop(txn_id, None)
            carrier.locks.release()

    def _taken(self, txn_id: str, finished: bool) -> Carrier:
        story = self._story(txn_id)
        assert story is not None
        locks = self._locks(story.namespaces, story.wide)
        if story.ledger.ended and not finished:
            return self._carrier(story, locks)
        self._lock(locks)
        fresh = self._story(txn_id)  # its last holder may have gone on until the lock was ours
        assert fresh is not None
        carrier = self._carrier(fresh, locks)
        if not fresh.ledger.ended:
            carrier.append("resumed", body={"identity": self._identity})
            self._live[txn_id] = carrier
        return carrier

    def _lock(self, locks: LockSet) -> None:
        self._tripwire("lock:before")
        locks.acquire(self._settings.lease_seconds * 1.5)
        self._tripwire("lock:after")

    @staticmethod
    def _let_go(locks: LockSet) -> None:
        """Release after an error; if that fails, too, the lock runs out by itself."""
        try:
            locks.release()
        except Exception:
            locks.forget()

    def _carrier(self, story: Story, locks: LockSet) -> Carrier:
        return Carrier(
            reader=self._reader,
            writer=self._writer,
            journal=self._journal,
            clock=self._clock,
            probe=self._probe,
            settings=self._settings,
            tripwire=self._tripwire,
            story=story,
            locks=locks,
            executor=self._executor,
        )

    def _locks(self, namespaces: tuple[str, ...], wide: bool) -> LockSet:
        return locks_for(
            namespaces,
            wide,
            reader=self._reader,
            writer=self._writer,
            clock=self._clock,
            settings=self._settings,
            identity=self._identity,
        )


def _named(txn_id: str, writes: Sequence[PlannedWrite], first: int) -> tuple[PlannedWrite, ...]:
    """Choose the names that the server would make up, so that a write in doubt can be looked for."""
    return tuple(named(p, write_key(f"{txn_id}/{i}", 0)[8:13]) for i, p in enumerate(writes, start=first))


def _kept(story: Story) -> tuple[str, ...]:
    return HARMLESS if story.ledger.wrapped else COMMITTABLE
