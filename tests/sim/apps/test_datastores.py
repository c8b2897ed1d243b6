"""A database's users and roles, and the client that changes them."""

from __future__ import annotations

import json

import pytest

from stratus.sim.apps.datastores import Database, User, client_words, run_client

ROOT = ["mongo", "admin", "-u", "root", "-p", "root", "--eval"]
ROLE = "[{role: 'readWrite', db: 'geo-db'}]"


@pytest.fixture
def database() -> Database:
    users = {"root": User("root", ["root@admin"]), "admin": User("admin", ["readWrite@geo-db"])}
    return Database(auth=True, users=users, names=["geo-db"])


def test_a_user_with_its_role_may_and_others_may_not(database: Database) -> None:
    assert database.refusal("admin", "admin", "readWrite", "geo-db", "find") == ""
    assert "AuthenticationFailed" in database.refusal("admin", "wrong", "readWrite", "geo-db", "find")
    assert "AuthenticationFailed" in database.refusal("nobody", "x", "readWrite", "geo-db", "find")
    assert "not authorized on rate-db" in database.refusal("admin", "admin", "readWrite", "rate-db", "find")
    assert database.refusal("root", "root", "readWrite", "rate-db", "find") == ""
    database.auth = False
    assert database.refusal("nobody", "x", "readWrite", "rate-db", "find") == ""


def test_a_role_is_revoked_and_granted_again(database: Database) -> None:
    assert run_client(database, [*ROOT, f"db.revokeRolesFromUser('admin', {ROLE})"], "").exit_code == 0
    assert not database.may("admin", "readWrite", "geo-db")
    assert run_client(database, [*ROOT, f"db.grantRolesToUser('admin', {ROLE})"], "").exit_code == 0
    assert database.may("admin", "readWrite", "geo-db")
    assert database.users["admin"].roles == ["readWrite@geo-db"]


def test_a_user_is_dropped_and_created(database: Database) -> None:
    script = f"use admin\ndb.dropUser('admin');\ndb.createUser({{user: 'admin', pwd: 'new', roles: {ROLE}}})"
    assert run_client(database, [*ROOT, script], "").exit_code == 0
    assert database.login("admin", "new") == ""
    assert database.may("admin", "readWrite", "geo-db")
    again = run_client(database, [*ROOT, "db.createUser({user: 'admin', pwd: 'x', roles: []})"], "")
    assert again.exit_code == 1
    assert "already exists" in again.stderr


def test_only_those_who_may_grant_can(database: Database) -> None:
    before = database.clone()
    plain = run_client(database, ["mongo", "--eval", "db.dropUser('admin')"], "")
    weak = run_client(database, ["mongo", "-u", "admin", "-p", "admin", "--eval", "db.dropUser('root')"], "")
    wrong = run_client(database, ["mongo", "-u", "root", "-p", "no", "--eval", "db.dropUser('admin')"], "")
    assert [r.exit_code for r in (plain, weak, wrong)] == [1, 1, 1]
    assert "not authorized" in plain.stderr
    assert "Authentication failed" in wrong.stderr
    assert database == before


def test_users_are_shown_without_passwords(database: Database) -> None:
    shown = run_client(database, [*ROOT, "db.getUsers()"], "").stdout
    assert [u["user"] for u in json.loads(shown)] == ["admin", "root"]
    assert "pwd" not in shown


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("nonsense(1)", "ReferenceError"),
        ("db.grantRolesToUser('ghost', [])", "Could not find user"),
        ("db.grantRolesToUser('admin', [)", "SyntaxError"),
        ("db.createUser({pwd: 'x', roles: []})", "must not be empty"),
    ],
)
def test_bad_scripts_fail_as_the_shell_does(database: Database, script: str, said: str) -> None:
    before = database.clone()
    result = run_client(database, [*ROOT, script], "")
    assert result.exit_code == 1
    assert said in result.stderr
    assert database == before


def test_a_script_on_standard_input_and_sibling_databases(database: Database) -> None:
    text = f'db.getSiblingDB("admin").revokeRolesFromUser("admin", {ROLE})\n'
    assert run_client(database, ["mongosh", "--quiet", "-uroot", "-proot"], text).exit_code == 0
    assert database.users["admin"].roles == []


def test_the_client_is_found_behind_a_shell() -> None:
    assert client_words(["/usr/bin/mongosh", "x"]) == ["/usr/bin/mongosh", "x"]
    assert client_words(["sh", "-c", "mongo --eval 'db.version()'"]) == ["mongo", "--eval", "db.version()"]
    assert client_words(["bash", "-c", "ls /"]) is None
    assert client_words(["sh", "-c", "mongo 'unclosed"]) is None
    assert client_words([]) is None
