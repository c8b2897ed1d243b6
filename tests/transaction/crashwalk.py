"""Everything that can happen at every step of a transaction: run each pair once, and say how it ended.

python tests/transaction/crashwalk.py > docs/reference/crash-walk.md
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from txn_fake import FakeCluster, create, deployment, obj, ref, rehearsed, set_data, set_image
from txn_inside import ROLE, Database, granting
from txn_kit import INCIDENT, SETTINGS, Died, MemoryJournal, engine_on

from stratus.errors import ClusterUnreachable, JournalError, LeaseLost, StratusError, TransactionError
from stratus.kit.clock import VirtualClock
from stratus.model.transactions import Transaction
from stratus.transaction.carrier import write_key
from stratus.transaction.sqlite import SqliteJournal

ALLOWED = ("not begun", "committed", "undone", "needs_human", "undo_incomplete")
PHASES = (
    ("before anything is sent", ("lock", "journal:begun", "journal:measured", "journal:intended:0")),
    ("around a write", ("write", "journal:outcome", "journal:intended", "journal:resolved")),
    ("between writes and verdict", ("journal:sealed", "journal:judged")),
    ("committing", ("journal:committed",)),
    ("undoing", ("journal:undo_begun", "journal:undo_intended", "undo", "journal:undo_outcome")),
    ("proving and ending", ("journal:proved", "journal:ended")),
)


def phase(name: str) -> str:
    """Return the part of a transaction that a step belongs to."""
    for text, starts in PHASES:
        if any(name.startswith(start) for start in starts):
            return text
    raise AssertionError(f"no phase for {name}")


class JumpyClock:
    """A clock that can be set wrong."""

    def __init__(self) -> None:
        self.inner, self.jump = VirtualClock(1_767_600_000.0), 0.0

    def now(self) -> float:
        return self.inner.now() + self.jump

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class Disk:
    """A journal on a disk that can be full."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.full = inner, False
        self.entries, self.list = inner.entries, inner.list
        self.open_transactions, self.verify = inner.open_transactions, inner.verify

    def append(self, *args: Any, **options: Any) -> Any:
        if self.full:
            raise JournalError("cannot write to the journal: database or disk is full")
        return self.inner.append(*args, **options)

    def close(self) -> None:
        self.inner.close()


class Stage:
    """One run: a cluster with two changes, a creation and a command to be made, and what happens in it."""

    def __init__(self, good: bool, journal: Any) -> None:
        self.good, self.journal, self.clock = good, Disk(journal), JumpyClock()
        self.happened = False
        self.cluster = FakeCluster(self.clock)
        self.cluster.put(deployment("web", image="web:bad"))
        self.cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
        self.database = Database(self.cluster)
        self.writes = (
            rehearsed(self.cluster, set_image("web", "web:2")),
            rehearsed(self.cluster, set_data("conf", mode="fast", new="x")),
            rehearsed(self.cluster, create(obj("ConfigMap", "made", data={"a": "b"}))),
            granting(),
        )

    def healed(self, cluster: FakeCluster) -> bool:
        """The incident is over when the image is right, in runs that are to end well."""
        web = cluster.objects.get(ref("Deployment", "web").key)
        made = cluster.objects.get(ref("ConfigMap", "made").key)
        image = web["spec"]["template"]["spec"]["containers"][0]["image"] if web else ""
        return self.good and image == "web:2" and made is not None and ROLE in self.database.roles

    def engine(self, identity: str, tripwire: Callable[[str], None] = lambda name: None) -> Any:
        """An engine on this stage."""
        return engine_on(
            self.cluster,
            self.journal,
            identity=identity,
            healed=self.healed,
            tripwire=tripwire,
            clock=self.clock,
            executor=self.database,
        )


def go(stage: Stage, tripwire: Callable[[str], None]) -> None:
    """The way of a transaction, as the graph walks it."""
    engine = stage.engine("engine-1", tripwire)
    done = engine.begin("i1", "t1", stage.writes, "shop")
    if done.state in ("applied", "verifying"):
        report = engine.validate("t1", INCIDENT)
        if report.verdict in ("RESOLVED", "IMPROVED"):
            engine.commit("t1")
        else:
            engine.undo("t1", report.reason)


# what can happen


def kill(stage: Stage) -> None:
    raise Died("kill -9")


def answer(word: str, times: int = 1) -> Callable[[Stage], None]:
    def happens(stage: Stage) -> None:
        stage.cluster.faults = [word] * times

    return happens


def away(stage: Stage) -> None:
    stage.cluster.read_faults = [ClusterUnreachable("connection refused")] * 40


def disk(stage: Stage) -> None:
    stage.journal.full = True


def clock(seconds: float) -> Callable[[Stage], None]:
    def happens(stage: Stage) -> None:
        stage.clock.jump += seconds

    return happens


def rival(stage: Stage) -> None:
    """Somebody else holds the Lease now, as after a long pause of this process."""
    key = ("Lease", "shop", "stratus-writer")
    lease = stage.cluster.objects.get(key)
    if lease is not None:
        spec = {**lease["spec"], "holderIdentity": "rival", "leaseTransitions": lease["spec"]["leaseTransitions"] + 1}
        stage.cluster.objects[key] = {**lease, "spec": spec, "metadata": {**lease["metadata"], "resourceVersion": "9"}}


def edit(kind: str, name: str, change: Callable[[dict[str, Any]], None], who: str) -> Callable[[Stage], None]:
    def happens(stage: Stage) -> None:
        if ref(kind, name).key in stage.cluster.objects:
            stage.cluster.edit(ref(kind, name), change, manager=who)

    return happens


def removed(kind: str, name: str) -> Callable[[Stage], None]:
    def happens(stage: Stage) -> None:
        stage.cluster.objects.pop(ref(kind, name).key, None)

    return happens


def in_database(change: Callable[[list[str]], None]) -> Callable[[Stage], None]:
    def happens(stage: Stage) -> None:
        change(stage.database.roles)

    return happens


def taken(roles: list[str]) -> None:
    if ROLE in roles:
        roles.remove(ROLE)


def elsewhere(stage: Stage) -> None:
    stage.database.stop()
    stage.database.start("db-1")


def terminating(stage: Stage) -> None:
    if ref("ConfigMap", "conf").key in stage.cluster.objects:
        stage.cluster.edit(
            ref("ConfigMap", "conf"),
            lambda o: o["metadata"].update(deletionTimestamp="2026-01-05T09:00:00Z", finalizers=["a/b"]),
        )


HAPPENINGS: dict[str, Callable[[Stage], None]] = {
    "kill -9": kill,
    "409 at the next write": answer("conflict"),
    "422 at the next write": answer("invalid"),
    "429 at the next write": answer("throttled"),
    "429, ten times": answer("throttled", 10),
    "500, stored nevertheless": answer("stored_500"),
    "503, not stored": answer("unavailable"),
    "time-out, not stored": answer("lost_before"),
    "time-out after it was stored": answer("lost_after"),
    "time-outs, three in a row": answer("lost_before", 3),
    "connection refused": answer("unreachable"),
    "the API cannot be read": away,
    "disk full or read-only": disk,
    "clock jumps an hour ahead": clock(3600.0),
    "clock jumps an hour back": clock(-3600.0),
    "Lease lost to a rival": rival,
    "an HPA scales": edit("Deployment", "web", lambda o: o["spec"].update(replicas=7), "hpa"),
    "a person edits another field": edit("ConfigMap", "conf", lambda o: o["data"].update(theirs="1"), "person"),
    "a person edits the same field": edit("ConfigMap", "conf", lambda o: o["data"].update(mode="theirs"), "person"),
    "GitOps puts the image back": edit(
        "Deployment",
        "web",
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="web:bad"),
        "gitops",
    ),
    "somebody deletes an object": removed("ConfigMap", "conf"),
    "somebody deletes what was made": removed("ConfigMap", "made"),
    "an object is terminating": terminating,
    "a person grants another role": in_database(lambda roles: roles.append("theirs")),
    "a person takes the role away": in_database(taken),
    "the database's pod is replaced": elsewhere,
}
EDITS = {name for name in HAPPENINGS if name.startswith(("an HPA", "a person", "GitOps", "somebody", "an object"))}


def steps(good: bool) -> list[str]:
    """Return the names of all steps of an undisturbed run."""
    names: list[str] = []
    go(Stage(good, MemoryJournal()), names.append)
    return names


@dataclass
class Outcome:
    """How one run ended.

    Attributes:
        end: one of `ALLOWED`.
        problems: what must never be.
    """

    at: str
    happening: str
    good: bool
    end: str
    problems: list[str]


@contextmanager
def journals(happening: str) -> Iterator[Callable[[], Any]]:
    """Real files for what is about the disk, memory for the rest."""
    if not happening.startswith("disk"):
        yield MemoryJournal
        return
    with tempfile.TemporaryDirectory() as folder:
        made = []

        def make() -> SqliteJournal:
            made.append(SqliteJournal(Path(folder) / f"{len(made)}.db"))
            return made[-1]

        yield make
        for one in made:
            one.close()


def run(good: bool, position: int, name: str, happening: str, make: Callable[[], Any]) -> Outcome:
    """Let one thing happen at one step, go on, recover, and look at what is left."""
    stage = Stage(good, make())
    count = iter(range(10_000))

    def tripwire(step: str) -> None:
        if next(count) == position:
            assert step == name
            stage.happened = True
            HAPPENINGS[happening](stage)

    problems: list[str] = []
    try:
        go(stage, tripwire)
    except (Died, StratusError):
        pass
    except Exception as error:
        problems.append(f"{type(error).__name__}: {error}")
    if not stage.happened:
        problems.append("the step was not reached")
    stage.journal.full, stage.cluster.read_faults, stage.cluster.faults = False, [], []
    stage.clock.sleep(SETTINGS.lease_seconds * 3)  # whoever held the Lease is gone
    last = stage.engine("engine-2")
    for _ in range(3):
        try:
            last.recover()
            break
        except (LeaseLost, TransactionError) as error:
            problems.append(f"recovery: {error}")
            stage.clock.sleep(SETTINGS.lease_seconds * 3)
    problems += remains(stage)
    found = last.list()
    return Outcome(name, happening, good, found[0].state if found else "not begun", problems)


def remains(stage: Stage) -> list[str]:
    """Return what must never be left behind."""
    problems = []
    for i in range(len(stage.writes)):
        for kind in ("", "-undo"):
            if stage.cluster.writes_of(f"{write_key('t1', i)}{kind}") > 1:
                problems.append(f"write {i}{kind} took effect twice")
    if stage.database.ran.count(f"grant {ROLE}") > 1 or stage.database.ran.count(f"revoke {ROLE}") > 1:
        problems.append("a command in a container took effect twice")
    if stage.journal.open_transactions():
        problems.append("a transaction is still open")
    stage.journal.verify()
    engine = stage.engine("reader")
    for txn in engine.list():
        problems += _ended_well(stage, txn)
    return problems


def _ended_well(stage: Stage, txn: Transaction) -> list[str]:
    touched = {w.write.target.name for w in txn.writes}
    if txn.state == "committed":
        good = txn.verdict is not None and txn.verdict.verdict in ("RESOLVED", "IMPROVED")
        return [] if good and all(w.state == "done" for w in txn.writes) else ["committed without a good verdict"]
    if txn.state == "undone":
        if txn.undo_proof is None or not txn.undo_proof.proved:
            return ["called undone without a proof"]
        return _left_over(stage)
    if txn.state in ("needs_human", "undo_incomplete"):
        return [] if txn.reason and touched else ["escalated without a reason"]
    return [f"ended as {txn.state}"]


def _left_over(stage: Stage) -> list[str]:
    """Return what of the transaction is still there although it is called undone."""
    now = stage.cluster.objects
    web, conf = now.get(ref("Deployment", "web").key), now.get(ref("ConfigMap", "conf").key)
    left = []
    if web and web["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2":
        left.append("the image is still the new one")
    if conf and (conf["data"].get("mode") == "fast" or "new" in conf["data"]):
        left.append("the ConfigMap still has the new values")
    if ref("ConfigMap", "made").key in now:
        left.append("what was created is still there")
    if ROLE in stage.database.roles:
        left.append("the role is still there")
    return left


def walk() -> list[Outcome]:
    """Run every happening at every step, of a run that ends well and of one that is undone."""
    found = []
    for good in (True, False):
        names = steps(good)
        for happening in HAPPENINGS:
            with journals(happening) as make:
                found += [run(good, position, name, happening, make) for position, name in enumerate(names)]
    return found


def page(outcomes: list[Outcome]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Crash walk",
        "",
        "What follows when something happens at one step of a transaction: four writes (a changed Deployment, a",
        "changed ConfigMap, a created one, a command in a container that grants a role of a database, with its",
        "compensation) that are committed, and the same four that are undone. Each cell counts",
        "the runs by their end, after the process has gone on or another one has recovered. A step is every point",
        "before and after each entry of the journal, each write, each undo and the lock. In no run did a write take",
        "effect twice, was anything kept without a good verdict, anything called undone that was still there, a",
        "transaction left open, or a human called without a reason. Made by `python tests/transaction/crashwalk.py`;",
        "a test compares.",
        "",
        f"{len(outcomes)} runs.",
        "",
        "| happens | " + " | ".join(text for text, _ in PHASES) + " |",
        "|---|" + "---|" * len(PHASES),
    ]
    for happening in HAPPENINGS:
        cells = []
        for text, _ in PHASES:
            ends = Counter(o.end for o in outcomes if o.happening == happening and phase(o.at) == text)
            cells.append(", ".join(f"{end.replace('_', ' ')} {ends[end]}" for end in ALLOWED if ends[end]))
        lines.append(f"| {happening} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "`needs human`: a stranger's edit stands where the undo would write, or an object is gone or on its way out;",
        "the rest is undone and the report names the field. `undo incomplete`: the server refuses the undo as",
        "invalid, or what was undone is not as before when it is read back, because somebody has edited it since.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page(walk()))
