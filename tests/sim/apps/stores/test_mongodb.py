"""MongoDB: users, roles and collections, reached with the shells, and what they are to those who use them."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.apps.schema import Account, Datastore, Table
from stratus.sim.apps.stores.base import Boot, Caller, Peer
from stratus.sim.apps.stores.mongodb import Database, User
from stratus.sim.shell import Outcome

from .bench import NOW, Bench

ROLE = "[{role: 'readWrite', db: 'geo-db'}]"
GEO = Table(
    rows=({"hotelId": "1", "lat": 37.7867, "lon": -122.4112}, {"hotelId": "2", "lat": 37.7854, "lon": -122.4005})
)
STORE = Datastore(
    auth=True,
    names=("geo-db",),
    accounts=(
        Account(name="root", password="root", roles=("root@admin",)),
        Account(name="admin", password="admin", roles=("readWrite@geo-db",)),
        Account(name="reader", password="r", roles=("read@geo-db",)),
    ),
    tables={"geo-db.geo": GEO},
)


@pytest.fixture
def bench() -> Bench:
    state = Database.fresh(STORE)
    state.boot(STORE, Boot(NOW - 500, ("mongod", "--auth"), name="mongodb-geo-1"))
    return Bench(state, 27017)


def run(bench: Bench, script: str, *, user: str = "root", database: str = "admin", shell: str = "mongo") -> Outcome:
    password = {"root": "root", "admin": "admin", "reader": "r"}.get(user, "x")
    return bench.run(f"{shell} --quiet {database} -u {user} -p {password} --eval {shlex.quote(script)}")


def caller(user: str = "admin", password: str = "admin", database: str = "geo-db", operation: str = "find") -> Caller:
    return Caller(user, password, database, "readWrite", operation, True)


# what callers get


def test_a_user_with_its_role_may_and_others_may_not(bench: Bench) -> None:
    state = bench.state
    assert state.trouble(caller(), NOW) is None
    for wrong in (caller(password="x"), caller(user="nobody")):
        found = state.trouble(wrong, NOW)
        assert found is not None
        assert "AuthenticationFailed" in found.text
    denied = state.trouble(caller(database="rate-db"), NOW)
    assert denied is not None
    assert denied.text == '(Unauthorized) not authorized on rate-db to execute command { find: "rate-db" }'
    anonymous = state.trouble(Caller(operation="find"), NOW)
    assert anonymous is not None
    state.auth = False
    assert state.trouble(caller(user="nobody"), NOW) is None


def test_a_role_is_revoked_and_granted_again(bench: Bench) -> None:
    assert run(bench, f"db.revokeRolesFromUser('admin', {ROLE})").exit_code == 0
    assert bench.state.trouble(caller(), NOW) is not None
    assert run(bench, f"db.grantRolesToUser('admin', {ROLE})").exit_code == 0
    assert bench.state.trouble(caller(), NOW) is None
    assert bench.state.users["admin"].roles == ["readWrite@geo-db"]


def test_faults_revoke_and_drop(bench: Bench) -> None:
    bench.state.revoke("admin", ("readWrite@geo-db",))
    assert bench.state.users["admin"].roles == []
    bench.state.drop_user("admin")
    assert "admin" not in bench.state.users


# users


def test_a_user_is_dropped_and_created(bench: Bench) -> None:
    script = f"use admin\ndb.dropUser('admin');\ndb.createUser({{user: 'admin', pwd: 'new', roles: {ROLE}}})"
    assert run(bench, script).exit_code == 0
    assert bench.state.login("admin", "new") == ""
    assert bench.state.may("admin", "readWrite", "geo-db")
    again = run(bench, "db.createUser({user: 'admin', pwd: 'x', roles: []})")
    assert again.exit_code == 1
    assert 'User "admin@admin" already exists' in again.stderr()


def test_only_those_who_may_grant_can(bench: Bench) -> None:
    before = {n: User(u.password, list(u.roles)) for n, u in bench.state.users.items()}
    plain = bench.run("mongo --quiet --eval \"db.dropUser('admin')\"")
    weak = run(bench, "db.dropUser('root')", user="admin")
    wrong = bench.run("mongo --quiet -u root -p no --eval \"db.dropUser('admin')\"")
    assert [r.exit_code for r in (plain, weak, wrong)] == [1, 1, 1]
    assert "not authorized" in plain.stderr()
    assert "Authentication failed" in wrong.stderr()
    assert bench.state.users == before


def test_users_are_shown_without_passwords(bench: Bench) -> None:
    shown = run(bench, "db.getUsers()").stdout()
    assert [u["user"] for u in json.loads(shown)] == ["admin", "reader", "root"]
    assert "pwd" not in shown
    assert json.loads(run(bench, "printjson(db.getUser('admin'))").stdout())["roles"] == [
        {"role": "readWrite", "db": "geo-db"}
    ]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("nonsense(1)", "ReferenceError: nonsense is not defined"),
        ("db.grantRolesToUser('ghost', [])", "Could not find user"),
        ("db.grantRolesToUser('admin', [)", "SyntaxError"),
        ("db.createUser({pwd: 'x', roles: []})", "must not be empty"),
        ("db.geo.find({$bad: 1})", "unknown top level operator: $bad"),
        ("db.nope()", "db.nope is not a function"),
        ("'unclosed", "SyntaxError"),
        ("for (;;) {}", "write single calls"),
        ("db.adminCommand({nope: 1})", "no such command: 'nope'"),
    ],
)
def test_bad_scripts_fail_as_the_shell_does(bench: Bench, script: str, said: str) -> None:
    before = bench.state.clone()
    result = run(bench, script)
    assert result.exit_code == 1
    assert said in result.stderr()
    assert (bench.state.users, bench.state.collections) == (before.users, before.collections)


# where scripts come from, and how things are printed


def test_a_script_on_standard_input_and_sibling_databases(bench: Bench) -> None:
    text = f'db.getSiblingDB("admin").revokeRolesFromUser("admin", {ROLE})\n'
    assert bench.run("mongosh --quiet -uroot -proot", text).exit_code == 0
    assert bench.state.users["admin"].roles == []
    bench.files["/tmp/x.js"] = "print('from a file')"
    assert bench.run("mongo --quiet admin /tmp/x.js").stdout() == "from a file\n"
    found = bench.run("mongo --quiet mongodb://root:root@server:27017/geo-db?authSource=admin --eval 'db.geo.count()'")
    assert found.stdout() == "2\n"


def test_both_shells_print_as_they_do(bench: Bench) -> None:
    query = "db.geo.find({hotelId: '1'}, {_id: 0})"
    assert run(bench, query, database="geo-db").stdout() == '{ "hotelId" : "1", "lat" : 37.7867, "lon" : -122.4112 }\n'
    assert (
        run(bench, query, database="geo-db", shell="mongosh").stdout()
        == "[ { hotelId: '1', lat: 37.7867, lon: -122.4112 } ]\n"
    )
    assert (
        run(bench, "db.geo.getIndexes()", database="geo-db")
        .stdout()
        .startswith('[\n\t{\n\t\t"v" : 2,\n\t\t"key" : {\n')
    )
    assert run(bench, "show dbs").stdout().splitlines()[0] == "admin   0.000GB"
    assert run(bench, "show collections", database="geo-db").stdout() == "geo\n"
    assert run(bench, "db.geo.find().sort({lat: 1}).limit(1).toArray()[0].hotelId", database="geo-db").stdout() == "2\n"
    assert run(bench, "print('n=' + db.geo.count())", database="geo-db").stdout() == "n=2\n"
    lines = bench.out("mongo admin -u root -p root --eval 'db.version()'").splitlines()
    assert lines[0] == "MongoDB shell version v4.4.6"
    assert lines[-1] == "4.4.6"


def test_a_server_that_is_not_there(bench: Bench) -> None:
    lost = bench.run("mongo --port 27018 --eval 1")
    assert lost.exit_code == 1
    assert "couldn't connect to server 127.0.0.1:27018" in lost.stderr()
    assert (
        bench.run("mongosh --port 27018 --eval 1").stderr()
        == "MongoNetworkError: connect ECONNREFUSED 127.0.0.1:27018\n"
    )
    assert "ENOTFOUND nowhere" in bench.run("mongosh --host nowhere --eval 1").stderr()


# documents


def test_documents_are_written_found_changed_and_removed(bench: Bench) -> None:
    def geo(script: str) -> str:
        return run(bench, script, user="admin", database="geo-db").stdout().strip()

    assert geo("db.geo.insert({_id: 9, hotelId: '9', tags: ['a', 'b']})") == 'WriteResult({ "nInserted" : 1 })'
    assert "E11000 duplicate key" in run(bench, "db.geo.insert({_id: 9})", database="geo-db").stderr()
    assert geo("db.geo.count({tags: 'a'})") == "1"
    assert geo("db.geo.update({_id: 9}, {$set: {lat: 1}, $inc: {n: 2}})") == (
        'WriteResult({ "nMatched" : 1, "nUpserted" : 0, "nModified" : 1 })'
    )
    assert geo("db.geo.find({lat: {$lt: 30}, n: {$in: [1, 2]}}).count()") == "1"
    assert geo("db.geo.aggregate([{$match: {lat: {$gt: 0}}}, {$group: {_id: null, most: {$max: '$lat'}}}])") == (
        '{ "_id" : null, "most" : 37.7867 }'
    )
    assert geo("db.geo.distinct('hotelId').length") == "3"
    assert json.loads(geo("db.geo.deleteMany({hotelId: {$ne: '1'}})")) == {"acknowledged": True, "deletedCount": 2}
    assert len(bench.state.collections["geo-db.geo"].documents) == 1


def test_readers_may_not_write(bench: Bench) -> None:
    assert run(bench, "db.geo.count()", user="reader", database="geo-db").stdout() == "2\n"
    refused = run(bench, "db.geo.remove({})", user="reader", database="geo-db")
    assert "not authorized on geo-db" in refused.stderr()
    modern = run(bench, "db.geo.deleteMany({})", user="reader", database="geo-db", shell="mongosh")
    assert modern.stderr().startswith("MongoServerError: not authorized on geo-db to execute command")
    assert "not authorized on admin" in run(bench, "db.serverStatus()", user="reader").stderr()


def test_a_lost_index_makes_everything_slow_until_it_is_back(bench: Bench) -> None:
    assert "IXSCAN" in run(bench, "printjson(db.geo.find().explain())", database="geo-db").stdout()
    assert run(bench, "db.geo.dropIndex('hotelId_1')", database="geo-db").exit_code == 0
    assert bench.state.cost == 6.0
    bench.state.callers = {"10.244.1.7": Peer(3.0, "admin", "geo-db", "geo", "find", ("geo",))}
    assert "COLLSCAN" in run(bench, "db.currentOp()").stdout()
    assert run(bench, "db.geo.createIndex({hotelId: 1})", database="geo-db").exit_code == 0
    assert bench.state.cost == 1.0
    bench.state.cost = 4.0
    names = run(bench, "print(db.geo.getIndexes().length)", database="geo-db").stdout()
    assert names == "1\n", "a fault that makes queries slow has lost the index"


# the server


def test_long_operations_are_seen_and_killed(bench: Bench) -> None:
    outcome = run(bench, "db.geo.find({$where: 'sleep(60000) || true'})", database="geo-db")
    assert outcome.elapsed == 60.0
    number = run(bench, "db.currentOp().inprog[0].opid").stdout().strip()
    assert run(bench, f"db.killOp({number})").exit_code == 0
    assert run(bench, "db.currentOp().inprog.length").stdout() == "0\n"


def test_the_server_tells_of_itself(bench: Bench) -> None:
    bench.state.callers = {"10.244.1.7": Peer(3.0)}
    status = json.loads(run(bench, "JSON.stringify(db.serverStatus().connections)").stdout())
    assert status["current"] == 4
    assert json.loads(run(bench, "printjson(db.stats())", database="geo-db").stdout())["objects"] == 2
    assert "not running with --replSet" in run(bench, "rs.status()").stderr()
    bench.state.boot(STORE, Boot(NOW, ("mongod", "--replSet", "rs0", "--tlsMode=requireTLS"), name="m-0"))
    assert "no replset config has been received" in run(bench, "rs.status()").stderr()
    assert run(bench, "rs.initiate()").exit_code == 0
    assert run(bench, "rs.status().members[0].stateStr").stdout() == "PRIMARY\n"
    assert run(bench, "db.serverCmdLineOpts().parsed.net.tls.mode").stdout() == "requireTLS\n"


def test_copies_are_independent(bench: Bench) -> None:
    twin = bench.state.clone()
    assert repr(twin) == repr(bench.state)
    run(
        bench, "db.geo.updateMany({}, {$set: {lat: 0}}); db.getSiblingDB('admin').dropUser('reader')", database="geo-db"
    )
    assert [d["lat"] for d in twin.collections["geo-db.geo"].documents] == [37.7867, 37.7854]
    assert "reader" in twin.users


PARTS = ["db", ".", "geo", "find", "(", ")", "{", "}", "a", ":", "1", "'x'", "[", "]", ",", "count", "$set", "+", "!",
"use", "show",
         "printjson", ";", "\n", "rs", "status", "/re/", "new", "var", "=", "?", "insert", "$where",
         "sort"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_no_script_breaks_the_server(parts: list[str]) -> None:
    state = Database.fresh(STORE)
    answer = state.talk({"user": "root", "password": "root", "database": "geo-db", "script": "".join(parts)}, NOW, "")
    assert set(answer) == {"refused", "out", "error", "seconds", "version"}


# functions of one expression


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("[1, 2, 3].filter(n => n > 1).map(n => n * 2).forEach(n => print(n))", "4\n6\n"),
        ("print([1, 2].map((n, at) => n + at).join('-'))", "1-3\n"),
        ("print(['a', 'b'].indexOf('b') + ' ' + ['a'].includes('b'))", "1 false\n"),
        ("var x = 5; print([1].map(n => n + x)[0]); print([1, 7].some(n => n > x))", "6\ntrue\n"),
        ("print([(1 + 2) * 3, (4)][0])", "9\n"),
        ("print([[1, 2], [3]].map(r => r.map(n => n + 1).join(',')).join(';'))", "2,3;4\n"),
        ("print([2, 1].every(n => n > 0)); print(['b', 'a'].sort().join(''))", "true\nab\n"),
        ("db.geo.find().forEach(d => print(d.hotelId))", "1\n2\n"),
        (
            "db.getSiblingDB('admin').runCommand({usersInfo: 'admin'}).users"
            ".forEach(u => u.roles.forEach(r => print(r.role + '@' + r.db)))",
            "readWrite@geo-db\n",
        ),
    ],
)
def test_functions_of_one_expression(bench: Bench, script: str, said: str) -> None:
    assert run(bench, script, database="geo-db").stdout().startswith(said)


def test_a_functions_parameter_is_gone_after_it(bench: Bench) -> None:
    assert "n is not defined" in run(bench, "[1].map(n => n); print(n)").stderr()


@pytest.mark.parametrize("script", ["[1].map(n => { return n })", "[1].map(function (n) { return n })"])
def test_other_functions_are_not_known_and_said_so(bench: Bench, script: str) -> None:
    assert "this emulated shell knows no" in run(bench, script).stderr()
