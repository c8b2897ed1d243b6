"""A user's own change as a transaction: executed write by write, kept when nothing got worse, else taken back."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from stratus.errors import CommandRefused, StratusError, TransactionError, UsageError
from stratus.kit.clock import Clock, SystemClock
from stratus.model.base import Noun
from stratus.settings import Settings
from stratus.wiring.journals import open_journal
from stratus.wiring.policyfile import with_policy
from stratus.wiring.sources import Source, open_kubernetes, source_of

if TYPE_CHECKING:
    from stratus.model.actions import PlannedWrite
    from stratus.model.health import VerdictReport
    from stratus.model.transactions import Transaction
    from stratus.telemetry.base import Telemetry
    from stratus.transaction.engine import TransactionEngine


class TransactionUndone(TransactionError):
    """The change was taken back, because something got worse, could not be judged, or was refused by the server.

    Attributes:
        transaction: as it ended: writes, verdict with its numbers, proof of the undo.
    """

    exit_code = 4

    def __init__(self, transaction: Transaction) -> None:
        proof = transaction.undo_proof
        proved = "taken back, proved by reading back" if transaction.state == "undone" else transaction.state
        super().__init__(
            f"transaction {transaction.id} was not kept: {transaction.reason}; {proved}"
            + (f" ({proof.checked} object(s))" if proof is not None and transaction.state == "undone" else "")
            + f"; see `stratus txn show {transaction.id}`"
        )
        self.transaction = transaction


class Step(Noun):
    """What one command of a wrapped transaction did.

    Attributes:
        diff: readable lines such as `spec.replicas: 2 -> 3`; empty when the object was like that already.
        notes: what an undo will not give back identically.
    """

    command: str
    diff: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class WrappedTransaction:
    """One open transaction in the hands of a user's code.

    Attributes:
        id: to be used with `stratus txn show | diff | undo`.
        steps: what was done so far.
    """

    def __init__(
        self,
        *,
        engine: TransactionEngine,
        source: Source,
        settings: Settings,
        clock: Clock,
        name: str,
        scope: tuple[str, ...],
    ) -> None:
        self._engine, self._source, self._settings, self._clock = engine, source, settings, clock
        self.id, self.scope = name, scope
        self.steps: list[Step] = []
        self._ended: Transaction | None = None

    @property
    def transaction(self) -> Transaction:
        """The transaction as the journal has it now, or had it at the end of the block."""
        return self._ended or self._engine.show(self.id)

    @property
    def verdict(self) -> VerdictReport | None:
        """How it was judged; None before its end."""
        return self.transaction.verdict

    def kubectl(self, command: str, *, stdin: str = "") -> Step:
        """Execute one changing kubectl command now, as part of the transaction.

        The command is compiled, checked against policy and reversibility and rehearsed on the server; then each of
        its writes is journalled with the object as it was, sent, and journalled again.

        Args:
            command: with or without the word `kubectl`; no shell syntax.
            stdin: the manifest that `-f -` reads.

        Raises:
            CommandRefused: it is not understood, not allowed, or could not be taken back; nothing was sent, and the
                transaction stays open.
            TransactionUndone: the server refused a write; all of the transaction has been taken back.
        """
        if self._ended is not None:
            raise TransactionError(f"transaction {self.id} has ended ({self._ended.state}); open another one")
        planned = self._plan(command, stdin)
        step = Step(
            command=command,
            diff=tuple(line for p in planned for line in p.diff),
            notes=tuple(dict.fromkeys(p.note for p in planned if p.note)),
        )
        if planned:
            done = self._engine.extend(self.id, planned)
            if done.state != "applied" and done.state != "applying":
                raise TransactionUndone(done)
        self.steps.append(step)
        return step

    def _plan(self, command: str, stdin: str) -> tuple[PlannedWrite, ...]:
        from stratus.cluster.kubectl import compile_command
        from stratus.mitigation.linting import lint
        from stratus.model.actions import ActionPlan, ActionStep
        from stratus.model.cases import Case
        from stratus.model.diagnosis import Detection
        from stratus.model.evidence import Observation

        text = command.strip()
        line = text if text.split(maxsplit=1)[:1] == ["kubectl"] else f"kubectl {text}"
        words = ActionStep(text=text, command=line)
        spaces = self.scope
        result = lint(
            ActionPlan(hypothesis="", summary=command, steps=(words,)),
            Case(
                incident=self.id,
                detection=Detection(anomalous=None),
                observation=Observation(at=self._clock.now(), window=0.0, namespaces=spaces),
            ),
            reader=self._source.cluster.reader,
            rehearser=self._source.cluster.rehearser,
            settings=self._settings,
            allowed_namespaces=spaces,
            compile_command=partial(compile_command, manifest=stdin, clock=self._clock),
            author="person",
            at=self._clock.now(),
        )
        idle = all(r.code == "no_effect" for r in result.refusals)
        if result.refusals and not (idle and any(c.mutating for c in result.commands)):
            first = result.refusals[0]
            if first.code == "no_effect":
                raise CommandRefused(
                    f"`{command}` reads: a transaction takes changes only",
                    code="read",
                    hint="read with a client of your own",
                )
            raise CommandRefused(f"`{command}`: {first.message}", code=first.code, hint=first.hint)
        return result.writes


@contextmanager
def transaction(
    cluster: Any = None,
    *,
    scope: str | tuple[str, ...] | list[str],
    watch: tuple[str, ...] | list[str] = (),
    telemetry: Telemetry | str | None = None,
    settings: Settings | None = None,
) -> Iterator[WrappedTransaction]:
    """Wrap changes of your own: they stay only if nothing got worse, and are taken back and proved otherwise.

        with stratus.transaction(cluster, scope="shop") as t:
            t.kubectl("set image deploy/web web=shop/web:2")
            t.kubectl("scale deploy/web --replicas=3")

    At the start the scope is locked (a Lease for each namespace) and health is sampled; at the end health is sampled
    again once rollouts have converged, and compared service by service. An exception in the block takes everything
    back and goes on. A process that is killed in the block leaves an open transaction that the next engine on the
    same journal (or `stratus txn resume`) takes back.

    Args:
        cluster: an official `ApiClient`, a `KubeCluster` or an `EmbeddedCluster`; None: the kubeconfig of the settings.
        scope: namespace, or namespaces, that may be changed.
        watch: further namespaces whose services must not get worse.
        telemetry: metrics and alerts, or the URL of a Prometheus; None: an embedded cluster brings its own; on a real
            one that of the settings, and without any, health comes from objects.
        settings: state directory (with the journal), limits, policy, health; None: defaults.

    Raises:
        TransactionUndone: at the end of the block: it was taken back; the message says why.
        LeaseLost: another engine is at work in the scope.
        UsageError: an argument cannot be used.
    """
    from stratus.telemetry.base import Telemetry as Sources
    from stratus.transaction.engine import TransactionEngine
    from stratus.transaction.sampling import HealthProbe

    spaces = (scope,) if isinstance(scope, str) else tuple(scope)
    if not spaces or not all(spaces):
        raise UsageError("a transaction needs a scope: give the namespace that it may change, or several")
    chosen = with_policy(settings or Settings())
    if isinstance(telemetry, str):
        chosen = chosen.model_copy(update={"prometheus": telemetry})
    with ExitStack() as stack:
        source = source_of(cluster) if cluster is not None else stack.enter_context(open_kubernetes(chosen))
        clock = source.clock or SystemClock()
        told = telemetry if isinstance(telemetry, Sources) else source.telemetry(chosen)
        journal = open_journal(chosen)
        stack.callback(journal.close)
        reader = source.cluster.reader
        engine = TransactionEngine(
            reader=reader,
            writer=source.cluster.writer,
            executor=source.cluster.executor,
            journal=journal,
            clock=clock,
            probe=HealthProbe(reader=reader, telemetry=told, clock=clock, settings=chosen.health),
            settings=chosen,
            identity=chosen.identity or f"{socket.gethostname()}-{os.getpid()}",
        )
        engine.recover()
        name = "txn-" + os.urandom(4).hex()
        engine.open(name, spaces, watch=tuple(watch))
        wrapped = WrappedTransaction(
            engine=engine, source=source, settings=chosen, clock=clock, name=name, scope=spaces
        )
        try:
            yield wrapped
            _finish(engine, name)
        except (Exception, KeyboardInterrupt) as error:
            _take_back(engine, name, error)
            raise
        finally:
            with suppress(TransactionError):  # what is on its way out says more than a journal that cannot be read
                wrapped._ended = engine.show(name)


def _take_back(engine: TransactionEngine, name: str, error: BaseException) -> None:
    """Undo after an exception in the block or at its end; what could not be undone is told with it."""
    if isinstance(error, TransactionUndone):
        return
    try:
        if engine.show(name).state == "committed":
            return
        done = engine.undo(name, f"{type(error).__name__}: {error}")
    except StratusError as problem:
        error.add_note(f"transaction {name} is still open ({problem}); `stratus txn resume` takes it back")
        return
    what = "was taken back, proved by reading back" if done.state == "undone" else f"ended {done.state}: {done.reason}"
    error.add_note(f"transaction {name} {what}")


def _finish(engine: TransactionEngine, name: str) -> None:
    """Judge what was done, and keep it or take it back."""
    from stratus.transaction.protocol import HARMLESS
    from stratus.transaction.verdict import Conditions

    found = engine.show(name)
    if found.state in ("undone", "undo_incomplete", "needs_human"):
        raise TransactionUndone(found)
    sealed = engine.seal(name)
    created = tuple(f"{w.write.target.namespace}/{w.write.target.name}" for w in sealed.writes if w.before is None)
    report = engine.validate(name, Conditions(created=created))
    if report.verdict in HARMLESS:
        engine.commit(name)
        return
    raise TransactionUndone(engine.undo(name, f"{report.verdict}: {report.reason}"))
