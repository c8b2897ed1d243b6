"""Every shipped change inside a container, on emulated databases: done, proved, taken back as if it had never been."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.cluster.kube import KubeCluster
from stratus.knowledge.execs import filled
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.model.actions import Compensable, PlannedWrite
from stratus.model.health import HealthVector
from stratus.model.refs import ObjectRef
from stratus.settings import HealthSettings, Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.memory import MemoryJournal

SETTINGS = Settings(health=HealthSettings(samples=2, sample_interval=1.0))


class Looking:
    """A probe for which all is always the same."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster

    def sample(self, namespaces: tuple[str, ...] = ()) -> HealthVector:
        return HealthVector(at=self.cluster.clock.now())

    def settled(self, namespaces: tuple[str, ...] = ()) -> bool:
        return True

    def patience(self, namespaces: tuple[str, ...] = ()) -> float:
        return 0.0


@pytest.fixture(scope="module")
def clusters() -> Iterator[dict[str, EmbeddedCluster]]:
    hotel = EmbeddedCluster(app="hotel-reservation", seed=0, warmup=5.0)
    shop = EmbeddedCluster(app="astronomy-shop", seed=0, warmup=5.0)
    with hotel, shop:
        yield {"mongo": hotel, "sql": shop}


@pytest.fixture
def cluster(request: pytest.FixtureRequest, clusters: dict[str, EmbeddedCluster]) -> Iterator[EmbeddedCluster]:
    with clusters[request.param].fork() as fork:
        yield fork


def stated(book_id: str, words: str, workload: tuple[str, str], **facts: Any) -> Compensable:
    target = ObjectRef(api_version="apps/v1", kind="Deployment", namespace=workload[0], name=workload[1])
    book = next(b for b in shipped_runbooks() if b.id == book_id)
    action = next(a for a in book.actions if a.text.startswith(words))
    return filled(book, action, target, facts)


def engine(cluster: EmbeddedCluster) -> TransactionEngine:
    kube = KubeCluster(cluster.api_client())
    return TransactionEngine(
        reader=kube.reader, writer=kube.writer, executor=kube.executor, journal=MemoryJournal(), clock=cluster.clock,
        probe=Looking(cluster), settings=SETTINGS, identity="test",
    )  # fmt: skip


def run(cluster: EmbeddedCluster, workload: tuple[str, str], *words: str) -> str:
    """Run a command in a database, as somebody with a shell would."""
    kube = KubeCluster(cluster.api_client())
    pod = next(p for p in kube.reader.list("pods", workload[0]) if p["metadata"]["name"].startswith(workload[1]))
    container = pod["spec"]["containers"][0]["name"]
    done = kube.executor.run(workload[0], pod["metadata"]["name"], container, words)
    assert done.exit_code == 0, done
    return done.stdout


def shape(cluster: EmbeddedCluster, workload: tuple[str, str]) -> object:
    """Return what of a database such a change is about."""
    if workload == RATE:
        return {n: (u.password, sorted(u.roles)) for n, u in cluster.runtime.databases[workload].users.items()}
    if workload == SQL:
        rights = "SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants ORDER BY 1, 2, 3"
        users = "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"
        return [run(cluster, SQL, *PSQL, text) for text in (rights, users)]
    return run(cluster, CACHE, "valkey-cli", "CONFIG", "GET", "*")


def plan(one: Compensable) -> PlannedWrite:
    write = one.write(one.change.command)
    return PlannedWrite(write=write, command=one.text, reversibility="compensable", compensable=one)


RATE = ("hotel-reservation", "mongodb-rate")
SQL = ("astronomy-shop", "postgresql")
CACHE = ("astronomy-shop", "valkey-cart")
PSQL = ("psql", "-U", "root", "-d", "otel", "-c")
MONGO_FACTS = {"container": "hotel-reserv-rate-mongo", "db_user": "admin"}
SQL_FACTS = {"container": "postgresql", "db_user": "otelu"}
PASSWORD = "Secret/mongodb-credentials#password"
DSN = "Deployment/product-catalog#product-catalog/DB_CONNECTION_STRING!password"


def break_mongo_role(found: Any) -> None:
    found.revoke("admin", ("readWrite@rate-db",))


def break_mongo_user(found: Any) -> None:
    found.drop_user("admin")


CASES = {
    "a role of MongoDB": (
        "mongo", RATE, break_mongo_role,
        ("mongodb-user", "Grant", RATE, {**MONGO_FACTS, "db_role": "readWrite", "database": "rate-db"}),
    ),
    "a user of MongoDB": (
        "mongo", RATE, break_mongo_user,
        ("mongodb-user", "Create", RATE, {**MONGO_FACTS, "db_password_from": PASSWORD}),
    ),
    "a user of MongoDB whose name stands in a Secret": (
        "mongo", RATE, break_mongo_user,
        ("mongodb-user", "Create", RATE,
         {**MONGO_FACTS, "db_user": "Secret/mongodb-credentials#username", "db_password_from": PASSWORD}),
    ),
    "a right of PostgreSQL": (
        "sql", SQL, "REVOKE SELECT ON catalog.products FROM otelu",
        ("postgresql-user", "Grant", SQL, {**SQL_FACTS, "db_table": "catalog.products", "db_right": "SELECT"}),
    ),
    "a password of PostgreSQL": (
        "sql", SQL, "ALTER USER otelu WITH PASSWORD 'rotated'",
        ("postgresql-user", "Set", SQL, {**SQL_FACTS, "db_password_from": DSN}),
    ),
    "a setting of Valkey": (
        "sql", CACHE, "CONFIG SET maxmemory 100kb",
        ("cache-setting", "Set", CACHE,
         {"container": "valkey-cart", "db_setting": "maxmemory", "db_setting_value": "0"}),
    ),
}  # fmt: skip


def spoil(cluster: EmbeddedCluster, workload: tuple[str, str], how: Any) -> None:
    """Bring the fault about."""
    if not isinstance(how, str):
        how(cluster.runtime.databases[workload])
    elif workload == SQL:
        run(cluster, SQL, *PSQL, how)
    else:
        run(cluster, CACHE, "valkey-cli", *how.split())


@pytest.mark.parametrize(("cluster", "name"), [(c[0], name) for name, c in CASES.items()], indirect=["cluster"])
def test_done_and_taken_back(cluster: EmbeddedCluster, name: str) -> None:
    _, workload, how, (book, words, target, facts) = CASES[name]
    well = shape(cluster, workload)
    spoil(cluster, workload, how)
    ill = shape(cluster, workload)
    assert ill != well
    made = engine(cluster)
    one = stated(book, words, target, **facts)
    done = made.begin("i", "t", (plan(one),), workload[0])
    assert done.state == "applied", done.reason
    cured = shape(cluster, workload)
    if isinstance(cured, dict):  # rights beyond the service's own are left to people
        password, roles = cured["admin"]
        assert password == "admin"
        assert "readWrite@rate-db" in roles
    else:
        assert cured == well
    undone = made.undo("t", "to see whether it can")
    assert undone.state == "undone", undone.reason
    assert shape(cluster, workload) == ill
    assert "otelp" not in done.model_dump_json()
    assert made.begin("i", "again", (plan(one),), workload[0]).state == "applied"
    third = made.begin("i", "third", (plan(one),), workload[0])
    if "password" not in name:  # whose check cannot tell a right password from a wrong one
        assert third.state == "undone", "what is well is left alone"
        assert "does not show" in third.writes[0].error
