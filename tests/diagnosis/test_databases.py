"""What logs and objects say of a database's refusals becomes facts; what they do not say does not."""

from __future__ import annotations

from typing import Any

import pytest
from builders import app, case, container, edge, node, observation, said, series

from stratus.diagnosis.rules import RulesReasoner
from stratus.model.diagnosis import Hypothesis

MONGO = container("mongo", image="registry.example:5000/mongo:7@sha256:aa")
ROLE = "ERR call to db failed: (Unauthorized) not authorized on orders to execute command { find: 1 }"
LOGIN = "ERR call to db failed: auth error: (AuthenticationFailed) Authentication failed."
PRINCIPAL = '{"c":"ACCESS","msg":"Checking authorization failed","attr":{"principalName":"otto"}}'
TABLE = 'ERROR rpc "select" of db: permission denied for table products'
PASSWORD = 'ERROR db: FATAL: password authentication failed for user "otto"'
OOM = "fail: cannot reach db: OOM command not allowed when used memory > 'maxmemory'"
SCRIPT = "CREATE TABLE catalog.products (id TEXT);\nGRANT SELECT, INSERT ON ALL TABLES IN SCHEMA catalog TO otto;"
SECRET = {"secretKeyRef": {"name": "login", "key": "word"}}
USER = {"secretKeyRef": {"name": "login", "key": "user"}}


def read(
    server: dict[str, Any], *logs: Any, env: list[dict[str, Any]] | None = None, more: Any = (), **spec: Any
) -> Any:
    client = container("app", env=env or [{"name": "DB", "value": "db:27017"}])
    look = observation(
        *app("front", client), *app("db", server, **spec), node(), *more, series=(series("front", errors=0.5),),
        edges=(edge("front", "db", errors=5),), logs=tuple(entry for lines in logs for entry in lines),
    )  # fmt: skip
    found = RulesReasoner().diagnose(case(look)).hypotheses
    return next((h for h in found if h.object.name == "db" and h.facts), None)


def facts(found: Hypothesis | None) -> dict[str, Any]:
    return dict(found.facts) if found is not None else {}


def test_a_lost_role() -> None:
    found = read(MONGO, said("front", *[ROLE] * 3), said("db", *[PRINCIPAL] * 3))
    assert found.fault == "auth_failure"
    known = {k: found.facts.get(k) for k in ("mongodb_role", "container", "db_user", "db_role", "database")}
    assert known == {
        "mongodb_role": True, "container": "mongo", "db_user": "otto", "db_role": "readWrite", "database": "orders",
    }  # fmt: skip


def test_a_role_on_the_servers_own_databases_is_never_given() -> None:
    admin = ROLE.replace("orders", "admin")
    assert "mongodb_role" not in facts(read(MONGO, said("front", *[admin] * 3), said("db", *[PRINCIPAL] * 3)))


def test_a_refused_login_and_where_its_password_stands() -> None:
    env = [{"name": "DB", "value": "db:27017"}, {"name": "MONGO_USER", "valueFrom": USER},
           {"name": "MONGO_PASSWORD", "valueFrom": SECRET}]  # fmt: skip
    known = facts(read(MONGO, said("front", *[LOGIN] * 3), env=env))
    assert known["mongodb_login"] is True
    assert known["db_user"] == "Secret/login#user"
    assert known["db_password_from"] == "Secret/login#word"
    named = facts(read(MONGO, said("front", *[LOGIN] * 3), said("db", *[PRINCIPAL] * 3), env=env))
    assert named["db_user"] == "otto"


@pytest.mark.parametrize(
    "env",
    [
        [{"name": "DB", "value": "db:27017"}, {"name": "CACHE_USER", "value": "x"},
         {"name": "CACHE_PASSWORD", "value": "y"}],
        [{"name": "DB", "value": "db:27017"}, {"name": "MONGO_PASSWORD", "valueFrom": SECRET}],
        [{"name": "DB", "value": "mongodb://otto:one@db/x"}, {"name": "DB2", "value": "mongodb://otto:two@db/x"}],
        [{"name": "DB", "value": "db:27017"}],
    ],
)  # fmt: skip
def test_a_password_that_is_not_known_for_sure_is_none(env: list[dict[str, Any]]) -> None:
    known = facts(read(MONGO, said("front", *[LOGIN] * 3), said("db", *[PRINCIPAL] * 3), env=env))
    assert "db_password_from" not in known


def test_no_fact_holds_a_secret() -> None:
    env = [{"name": "DB", "value": "postgres://otto:hunter2@db/shop"}]
    known = facts(read(container("pg", image="postgres:17"), said("front", *[PASSWORD] * 3), env=env))
    assert known["db_password_from"] == "Deployment/front#app/DB!password"
    assert known["postgresql_login"] is True
    assert "hunter2" not in str(known)


def scripted(text: str) -> dict[str, Any]:
    meta = {"name": "init", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"init.sql": text}}


def lost_right(script: str, line: str = TABLE) -> dict[str, Any]:
    env = [{"name": "DB", "value": "postgres://otto:x@db/shop"}]
    volumes = [{"name": "init", "configMap": {"name": "init"}}]
    server = container("pg", image="postgres:17")
    return facts(read(server, said("front", *[line] * 3), env=env, more=(scripted(script),), volumes=volumes))


def test_a_lost_right_that_a_script_grants() -> None:
    known = lost_right(SCRIPT)
    assert {k: known.get(k) for k in ("postgresql_right", "db_user", "db_table", "db_right")} == {
        "postgresql_right": True, "db_user": "otto", "db_table": "catalog.products", "db_right": "SELECT",
    }  # fmt: skip
    assert lost_right(SCRIPT, TABLE.replace("select", "insert"))["db_right"] == "INSERT"


@pytest.mark.parametrize(
    "script",
    [
        "",
        SCRIPT.replace("otto", "else"),
        SCRIPT.replace("SELECT, ", ""),
        SCRIPT.replace("SCHEMA catalog", "SCHEMA other"),
    ],
)
def test_a_right_that_no_script_grants_is_not_given(script: str) -> None:
    assert "db_right" not in lost_right(script)


def test_a_setting_that_is_not_the_declared_one() -> None:
    found = read(container("cache", image="valkey/valkey:9"), said("front", *[OOM] * 4))
    assert found.fault == "memory_pressure"
    assert (found.facts["db_setting"], found.facts["db_setting_value"]) == ("maxmemory", "0")
    args = ["valkey-server", "--maxmemory", "64mb"]
    declared = read(container("cache", image="redis:7", args=args), said("front", *[OOM] * 4))
    assert declared.facts["db_setting_value"] == "64mb"


def test_one_hiccup_of_a_cache_is_no_finding() -> None:
    assert "redis_setting" not in facts(read(container("cache", image="redis:7"), said("front", OOM)))


def test_what_is_no_database_gets_no_such_facts() -> None:
    known = facts(read(container("x", image="registry.example/mongo/web:1"), said("front", *[ROLE] * 3)))
    assert not any(k.startswith(("mongodb", "postgresql", "redis", "db_")) for k in known)
