"""Measures what safety costs: journal, lock, rehearsal and proof per write, an undo, and a journal that has grown old.

    python benchmarks/transactions.py [--json FILE] [--check] [--quick] [--postgres URL]

Everything runs against an embedded cluster over HTTPS with the official client, so that a bare write costs what it
costs a user's script here; figures are ratios to that bare write, made within one run. PostgreSQL is measured on the
server of `--postgres`, or on one of its own when the programs are installed. `--check` exits with 1 when a promise is
broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "transaction"))

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl import compile_command
from stratus.model.actions import PlannedWrite
from stratus.settings import HealthSettings, Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.journal import GENESIS, digest
from stratus.transaction.postgres import PostgresJournal
from stratus.transaction.sampling import HealthProbe
from stratus.transaction.sqlite import SqliteJournal
from stratus.transaction.sqljournal import SqlJournal
from stratus.wiring.sources import embedded_source

Row = dict[str, Any]
WRITES = 20
#: What the documentation promises: row, the most it may be.
BOUNDS: dict[str, float] = {
    "undo of 20 writes with its proof, SQLite, s": 2.0,
    "journal of the entries: open, s": 1.0,
    "journal of the entries: list transactions, s": 2.0,
    "journal of the entries: verify, µs per entry": 40.0,
}


def timed(work: Callable[[], Any], rounds: int) -> float:
    """Median seconds of several calls after one that is not counted."""
    work()
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def planned(cluster: KubeCluster, line: str) -> tuple[PlannedWrite, ...]:
    """Compile a command and rehearse nothing."""
    compiled = compile_command(line, namespace="default", reader=cluster.reader)
    return tuple(PlannedWrite(write=w, command=line, reversibility="exact") for w in compiled.writes)


class Bench:
    """A served cluster with one ConfigMap for each write of a transaction."""

    def __init__(self, embedded: EmbeddedCluster, cluster: KubeCluster) -> None:
        self.embedded, self.cluster = embedded, cluster
        self.source = embedded_source(embedded)
        self.counter = iter(range(10_000_000))
        for number in range(WRITES):
            for write in planned(cluster, f"kubectl create configmap c{number} --from-literal=a=0"):
                cluster.writer.write(write.write)

    def commands(self, count: int) -> tuple[PlannedWrite, ...]:
        """A change for each of `count` objects, not made before."""
        value = next(self.counter)
        found: list[PlannedWrite] = []
        for number in range(count):
            body = f'{{"data":{{"a":"{value}"}}}}'
            found += planned(self.cluster, f"kubectl patch configmap c{number} --type merge -p '{body}'")
        return tuple(found)

    def engine(self, journal: SqlJournal) -> TransactionEngine:
        """An engine whose health samples take no waiting: it is the cost of the work that is measured."""
        quick = HealthSettings(samples=2, sample_interval=0.001, settle_min=0.0, settle_max=1.0, quiet=0.0)
        settings = Settings(health=quick)
        clock = self.source.clock
        assert clock is not None
        return TransactionEngine(
            reader=self.cluster.reader,
            writer=self.cluster.writer,
            journal=journal,
            clock=clock,
            probe=HealthProbe(
                reader=self.cluster.reader, telemetry=self.embedded.telemetry(), clock=clock, settings=quick
            ),
            settings=settings,
            identity="bench",
        )


def append(journal: SqlJournal, place: Iterator[int], body: Any) -> None:
    """Put one intent on disk."""
    journal.append("append", next(place), 0.0, "intended", body=body)


def per_write(bench: Bench, journals: dict[str, Callable[[], SqlJournal]], rounds: int) -> list[Row]:
    """What one write costs bare, and inside of a transaction."""
    writer, reader, rehearser = bench.cluster.writer, bench.cluster.reader, bench.cluster.rehearser

    plans = iter([bench.commands(WRITES) for _ in range(rounds + 1)])

    def bare() -> None:
        for one in next(plans):
            writer.write(one.write)

    base = timed(bare, rounds) / WRITES
    compiling = timed(lambda: bench.commands(WRITES), rounds)
    one = bench.commands(1)[0].write
    rows: list[Row] = [
        {"row": "bare write over HTTPS, µs", "value": base * 1e6},
        {"row": "compile a command : bare write", "value": compiling / WRITES / base},
        {
            "row": "read of the object before : bare write",
            "value": timed(lambda: reader.get(one.target), rounds * 5) / base,
        },
        {
            "row": "dry run on the server : bare write",
            "value": timed(lambda: rehearser.dry_run(one), rounds * 5) / base,
        },
    ]
    body = {"before": reader.get(one.target), "write": one.model_dump(mode="json")}
    for kind, make in journals.items():
        with make() as journal:
            engine = bench.engine(journal)
            locks = engine._locks(("default",), False)
            locks.acquire(60.0)
            rows.append({"row": f"check the lock, {kind} : bare write", "value": timed(locks.check, rounds * 5) / base})
            locks.release()
            names = iter(range(1_000_000))

            def whole(count: int, *, engine: TransactionEngine = engine, names: Iterator[int] = names) -> None:
                txn = f"t{next(names)}"
                engine.begin("bench", txn, bench.commands(count), "default")
                engine.undo(txn, "for the benchmark")

            def forward(
                count: int, *, engine: TransactionEngine = engine, names: Iterator[int] = names
            ) -> tuple[float, float]:
                txn, plan = f"t{next(names)}", bench.commands(count)
                begun = time.perf_counter()
                engine.begin("bench", txn, plan, "default")
                between = time.perf_counter()
                engine.undo(txn, "for the benchmark")
                return between - begun, time.perf_counter() - between

            whole(1)
            one_way = [forward(1) for _ in range(rounds)]
            many = [forward(WRITES) for _ in range(rounds)]
            few_s = statistics.median(f for f, _ in one_way)
            many_s, undo_s = (statistics.median(c) for c in zip(*many, strict=True))
            rows += [
                {
                    "row": f"one more write of a transaction, {kind} : bare write",
                    "value": (many_s - few_s) / (WRITES - 1) / base,
                },
                {
                    "row": f"transaction of {WRITES} writes, {kind} : {WRITES} bare writes",
                    "value": many_s / WRITES / base,
                },
                {
                    "row": f"undo of {WRITES} writes on {kind} : {WRITES} bare writes",
                    "value": undo_s / WRITES / base,
                },
                {"row": f"undo of {WRITES} writes with its proof, {kind}, s", "value": undo_s},
            ]
            # Last, for what is appended here is no story that an engine could read.
            journal.append("append", 0, 0.0, "begun", body={})
            took = timed(partial(append, journal, iter(range(1, 1_000_000)), body), rounds * 10)
            rows.append({"row": f"append an intent, {kind} : bare write", "value": took / base})
    return rows


def grown(entries: int) -> list[Row]:
    """A journal of many entries: ten to a transaction, as a repair of two writes leaves behind."""
    kinds = ("begun", "measured", "intended", "outcome", "intended", "outcome", "sealed", "judged", "committed")
    text = json.dumps(
        {"incident": "i", "scope": "s", "writes": [], "health": [], "pad": "x" * 400}, separators=(",", ":")
    )

    def rows() -> Iterator[tuple[Any, ...]]:
        prev, seq = GENESIS, 0
        while seq < entries:
            txn = f"t{seq // len(kinds)}"
            for n, kind in enumerate(kinds):
                seq += 1
                own = digest(prev, seq, txn, n, 1.0, kind, 0, "", text)
                yield seq, txn, n, 1.0, kind, 0, "", text, prev, own
                prev = own

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        SqliteJournal(path).close()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA synchronous=OFF")
            db.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?)", rows())
            db.execute("UPDATE head SET (seq, hash) = (SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1)")
            db.execute(
                "INSERT INTO txn (id, first, count, last, at) "
                "SELECT txn, MIN(seq), COUNT(*), 'committed', 1.0 FROM event GROUP BY txn"
            )
            db.commit()
        begun = time.perf_counter()
        journal = SqliteJournal(path)
        opened = time.perf_counter() - begun
        with journal:
            listed = timed(lambda: journal.list(), 3)
            open_ones = timed(lambda: journal.open_transactions(), 3)
            shown = timed(lambda: journal.entries("t17"), 3)
            begun = time.perf_counter()
            count = journal.verify()
            verified = time.perf_counter() - begun
            place = iter(range(1_000))
            appended = timed(
                lambda: journal.append(
                    "new", next(place), 2.0, "begun" if not journal.entries("new") else "resumed", body={}
                ),
                9,
            )
        size = path.stat().st_size / 2**20
    return [
        {"row": "journal of the entries: how many", "value": count},
        {"row": "journal of the entries: size, MiB", "value": size},
        {"row": "journal of the entries: open, s", "value": opened},
        {"row": "journal of the entries: list transactions, s", "value": listed},
        {"row": "journal of the entries: find the open ones, s", "value": open_ones},
        {"row": "journal of the entries: read one transaction, s", "value": shown},
        {"row": "journal of the entries: append, s", "value": appended},
        {"row": "journal of the entries: verify, s", "value": verified},
        {"row": "journal of the entries: verify, µs per entry", "value": verified / count * 1e6},
    ]


@contextlib.contextmanager
def postgres(url: str) -> Iterator[str]:
    """Give the address of a PostgreSQL, or empty when there is none."""
    if url:
        yield url
        return
    try:
        import psycopg  # noqa: F401
        from postgres_server import server

        with server() as found:
            yield found.url
    except BaseException as error:
        if type(error).__name__ not in ("Skipped", "ImportError", "ModuleNotFoundError"):
            raise
        yield ""


def measure(quick: bool, url: str) -> list[Row]:
    """All rows."""
    rounds = 3 if quick else 9
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, postgres(url) as address:
        journals: dict[str, Callable[[], SqlJournal]] = {"SQLite": lambda: SqliteJournal(Path(folder) / "j.sqlite")}
        if address:
            journals["PostgreSQL"] = lambda: PostgresJournal(address)
        else:
            rows.append({"row": "PostgreSQL", "value": None, "note": "not installed"})
        embedded = EmbeddedCluster(app=None, warmup=0.0)
        with embedded.serve(follow_wall_clock=False) as front:
            path = Path(folder) / "kubeconfig"
            path.write_text(front.kubeconfig())
            cluster = KubeCluster.from_settings(Settings(kubeconfig=path))
            rows = [*per_write(Bench(embedded, cluster), journals, rounds), *rows]
            cluster.close()
        embedded.close()
    return [*rows, *grown(100_000 if quick else 1_000_000)]


def broken(rows: list[Row]) -> list[str]:
    """The promises that these rows break."""
    values = {row["row"]: row["value"] for row in rows}
    return [
        f"{n}: {values.get(n)} where at most {m} is promised"
        for n, m in BOUNDS.items()
        if not (values.get(n) or 0) <= m
    ]


def main() -> int:
    """Run, print and optionally write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is broken")
    parser.add_argument("--quick", action="store_true", help="three rounds, a tenth of the entries")
    parser.add_argument("--postgres", default="", help="address of a PostgreSQL to measure on")
    options = parser.parse_args()
    rows = measure(options.quick, options.postgres)
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.3f}"
        bound = f"  (at most {BOUNDS[row['row']]:g})" if row["row"] in BOUNDS else ""
        print(f"{value:>14}  {row['row']}{bound}{'  ' + row['note'] if row.get('note') else ''}")
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    failures = broken(rows)
    for failure in failures:
        print("BROKEN:", failure)
    return 1 if options.check and failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
