"""What the shell's objects can do: databases, cursors, the replica set, and the functions beside them."""

from __future__ import annotations

import json
import re
from typing import Any

from stratus.sim.apps.stores.mongodb import accounts, collections
from stratus.sim.apps.stores.mongodb.documents import legacy, ordered
from stratus.sim.apps.stores.mongodb.script import Node, ScriptError
from stratus.sim.apps.stores.mongodb.session import NOTHING, Handle, Quit, Refused, Session
from stratus.sim.apps.stores.mongodb.state import Operation

_CONSTRUCTORS = ("ObjectId", "ISODate", "Date", "NumberInt", "NumberLong", "NumberDecimal", "Mongo", "UUID")


def show(session: Session, what: str) -> Any:
    """Carry out `show WHAT`."""
    if what in ("dbs", "databases"):
        session.need("read", "admin" if session.state.auth else session.database, "listDatabases: 1")
        names = sorted({"admin", "config", "local", *session.state.names})
        sizes = {n: _size(session, n) / 1e9 for n in names}
        if session.modern:
            return "\n".join(f"{n:<10}{sizes[n] * 1e6:>8.2f} KiB" for n in names)
        wide = max(len(n) for n in names)
        return "\n".join(f"{n:<{wide}}  {max(sizes[n], 0.0):.3f}GB" for n in names)
    if what in ("collections", "tables"):
        session.need("read", session.database, "listCollections: 1")
        return "\n".join(names_of(session, session.database)) or NOTHING
    if what == "users":
        session.need("users", session.database, "usersInfo: 1")
        return "\n".join(session.shown(accounts.shown(n, u)) for n, u in sorted(session.state.users.items()))
    if what in ("profile", "roles", "logs", "log"):
        return NOTHING
    raise ScriptError(f"Error: don't know how to show [{what}] :\nshellHelper.show@src/mongo/shell/utils.js:1211:11")


def names_of(session: Session, database: str) -> list[str]:
    """Return the names of a database's collections."""
    return sorted(p.partition(".")[2] for p in session.state.collections if p.partition(".")[0] == database)


def _size(session: Session, database: str) -> int:
    own = [c for p, c in session.state.collections.items() if p.partition(".")[0] == database]
    return 40960 + sum(8192 * len(c.indexes) + 200 * len(c.documents) for c in own)


# functions


def call_function(session: Session, name: str, given: list[Node]) -> Any:
    """Call a function of the shell."""
    arguments = [session.evaluate(g) for g in given]
    first = arguments[0] if arguments else None
    if name in ("print", "printjson"):
        if name == "printjson":
            session.out.append(session.shown(_plain(first)))
        else:
            session.out.append(" ".join(a if isinstance(a, str) else session.shown(_plain(a)) for a in arguments))
        return NOTHING
    if name == "tojson":
        return legacy(_plain(first))
    if name in _CONSTRUCTORS:
        return _construct(session, name, first)
    if name in ("quit", "exit"):
        raise Quit
    if name == "sleep":
        session.waited += float(first or 0) / 1000
        return NOTHING
    if name == "version":
        return session.state.version
    if name in ("load", "cls", "use"):
        if name == "use":
            session.database = str(first)
            return f"switched to db {first}"
        return NOTHING
    raise ScriptError(f"ReferenceError: {name} is not defined :\n@(shell eval):1:1")


def _construct(session: Session, name: str, first: Any) -> Any:
    if name in ("ObjectId", "UUID"):
        return {"$oid": str(first)} if first else session.state.identifier(session.moment)
    if name in ("ISODate", "Date"):
        if isinstance(first, str):
            from datetime import datetime

            try:
                return {"$date": datetime.fromisoformat(first.replace("Z", "+00:00")).timestamp()}
            except ValueError:
                raise ScriptError(f"Error: invalid ISO date: {first} :\n@(shell eval):1:1") from None
        return {"$date": first / 1000 if isinstance(first, int | float) else session.moment}
    if name == "NumberLong":
        return int(float(first or 0))
    if name in ("NumberInt", "NumberDecimal"):
        return int(float(first or 0)) if name == "NumberInt" else float(first or 0)
    return Handle("mongo")


def _plain(value: Any) -> Any:
    return value.rows if isinstance(value, Handle) and value.kind == "cursor" else value


# methods


def call_method(session: Session, owner: Any, name: str, arguments: list[Any]) -> Any:
    """Call a method of something."""
    if isinstance(owner, Handle):
        handlers = {
            "db": _database, "collection": collections.call, "cursor": _cursor, "rs": _replica_set, "mongo": _mongo,
        }  # fmt: skip
        handler = handlers.get(owner.kind)
        if handler is not None:
            return handler(session, owner, name, arguments)
        if owner.kind in ("JSON", "EJSON") and name in ("stringify", "parse"):
            return json.dumps(_plain(arguments[0])) if name == "stringify" else json.loads(arguments[0])
        if owner.kind == "Object" and name == "keys":
            return list(arguments[0])
        if owner.kind == "console":
            return call_function(session, "print", [Node("literal", a) for a in arguments])
        if owner.kind == "Date" and name == "now":
            return int(session.moment * 1000)
    if isinstance(owner, list):
        return _cursor(session, Handle("cursor", rows=owner), name, arguments)
    if isinstance(owner, dict) and name in ("toString", "valueOf", "getTime", "str"):
        return session.shown(owner)
    if isinstance(owner, str) and name in ("toString", "trim", "toUpperCase", "toLowerCase"):
        return {"toString": owner, "trim": owner.strip(), "toUpperCase": owner.upper(), "toLowerCase": owner.lower()}[
            name
        ]
    raise ScriptError(f"TypeError: {name} is not a function :\n@(shell eval):1:1")


def _cursor(session: Session, owner: Handle, name: str, arguments: list[Any]) -> Any:
    first = arguments[0] if arguments else None
    rows = owner.rows
    if name == "sort" and isinstance(first, dict):
        for key, direction in reversed(first.items()):
            rows = ordered(rows, key, direction == -1)
        return Handle("cursor", owner.database, owner.name, rows, owner.shown)
    if name in ("limit", "skip"):
        count = int(first or 0)
        part = rows[count:] if name == "skip" else rows[:count] if count else rows
        return Handle("cursor", owner.database, owner.name, part, owner.shown)
    if name == "pretty":
        return Handle("cursor", owner.database, owner.name, rows, 1)
    if name in ("count", "size", "itcount"):
        return len(rows)
    if name == "toArray":
        return list(rows)
    if name in ("hasNext", "isExhausted"):
        return bool(rows) == (name == "hasNext")
    if name == "next":
        return rows.pop(0) if rows else None
    if name == "forEach" and isinstance(first, Handle) and first.kind == "function":
        for row in rows:
            call_function(session, first.name, [Node("literal", row)])
        return NOTHING
    if name == "explain":
        return collections.plan(session, owner)
    if name in ("hint", "maxTimeMS", "batchSize", "readPref", "comment", "allowDiskUse", "noCursorTimeout"):
        return owner
    if name in ("map", "forEach", "filter", "some", "every") and isinstance(first, Handle) and first.kind == "arrow":
        found = [session.apply(first, [row, number]) for number, row in enumerate(list(rows))]
        kept = {"map": found, "filter": [row for row, keep in zip(rows, found, strict=True) if keep]}
        return {**kept, "forEach": NOTHING, "some": any(found), "every": all(found)}[name]
    if name in ("indexOf", "includes"):
        at = rows.index(first) if first in rows else -1
        return at if name == "indexOf" else at >= 0
    if name == "join":
        return str("," if first is None else first).join(str(row) for row in rows)
    if name == "sort" and first is None:
        return sorted(rows, key=str)
    raise ScriptError(f"TypeError: cursor.{name} is not a function :\n@(shell eval):1:1")


def _mongo(session: Session, owner: Handle, name: str, arguments: list[Any]) -> Any:
    if name in ("getDBNames", "getDBs"):
        names = sorted({"admin", "config", "local", *session.state.names})
        return names if name == "getDBNames" else {"databases": [{"name": n} for n in names], "ok": 1}
    if name == "getDB":
        return Handle("db", str(arguments[0]))
    return NOTHING


def _database(session: Session, owner: Handle, name: str, arguments: list[Any]) -> Any:
    state, where = session.state, owner.database
    first = arguments[0] if arguments else None
    if name in accounts.COMMANDS:
        return accounts.call(session, where, name, arguments)
    if name == "getSiblingDB":
        return Handle("db", str(first))
    if name == "getCollection":
        return Handle("collection", where, str(first))
    if name == "getMongo":
        return Handle("mongo")
    simple = {"getName": where, "version": state.version, "getReplicationInfo": {"errmsg": "not a replica set"}}
    if name in simple:
        return simple[name]
    if name in ("getCollectionNames", "getCollectionInfos"):
        session.need("read", where, f'listCollections: 1, $db: "{where}"')
        names = names_of(session, where)
        return names if name.endswith("Names") else [{"name": n, "type": "collection"} for n in names]
    if name == "createCollection":
        session.need("write", where, f'create: "{first}"')
        if f"{where}.{first}" in state.collections:
            raise Refused(f"a collection '{where}.{first}' already exists", 48, "NamespaceExists")
        state.collection(f"{where}.{first}")
        return {"ok": 1}
    if name == "dropDatabase":
        session.need("index", where, "dropDatabase: 1")
        for path in [p for p in state.collections if p.partition(".")[0] == where]:
            del state.collections[path]
        there = where in state.names
        state.names = [n for n in state.names if n != where]
        return {"dropped": where, "ok": 1} if there else {"ok": 1}
    if name in ("isMaster", "hello", "serverStatus", "stats", "hostInfo", "serverBuildInfo", "serverCmdLineOpts"):
        return _status(session, where, name)
    if name == "currentOp":
        return _operations(session)
    if name == "killOp":
        session.need("kill", "admin", f"killOp: 1, op: {first}")
        state.operations.pop(int(first or 0), None)
        return {"info": "attempting to kill op", "ok": 1}
    if name in ("adminCommand", "runCommand"):
        return _command(session, "admin" if name == "adminCommand" else where, first)
    if name in ("getProfilingStatus", "getProfilingLevel", "setProfilingLevel"):
        before = state.profile
        if name == "setProfilingLevel":
            session.need("index", where, f"profile: {first}")
            state.profile = int(first or 0)
        status = {"was": before, "slowms": 100, "sampleRate": 1}
        return before if name == "getProfilingLevel" else {**status, "ok": 1} if name.startswith("set") else status
    if name in ("getLastError", "logout", "printReplicationInfo", "enableFreeMonitoring"):
        return NOTHING
    if name == "shutdownServer":
        session.need("kill", "admin", "shutdown: 1")
        raise ScriptError("Error: shutdown by the shell is not part of this emulation; delete the pod instead")
    if name == "printCollectionStats":
        return NOTHING
    raise ScriptError(f"TypeError: db.{name} is not a function :\n@(shell eval):1:1")


def _status(session: Session, where: str, name: str) -> dict[str, Any]:
    state = session.state
    host = f"{state.name or 'localhost'}:27017"
    if name in ("isMaster", "hello"):
        told: dict[str, Any] = {"ismaster": True} if name == "isMaster" else {"isWritablePrimary": True}
        if state.replica_set:
            told |= {"setName": state.replica_set, "hosts": [host], "primary": host, "me": host}
        return {**told, "maxBsonObjectSize": 16777216, "maxWireVersion": 9, "readOnly": False, "ok": 1}
    if name == "serverBuildInfo":
        return {"version": state.version, "modules": [], "allocator": "tcmalloc", "bits": 64, "ok": 1}
    if name == "hostInfo":
        session.need("cluster", "admin", "hostInfo: 1")
        return {"system": {"hostname": state.name, "numCores": 2, "memSizeMB": 7957}, "os": {"type": "Linux"}, "ok": 1}
    if name == "serverCmdLineOpts":
        session.need("cluster", "admin", "getCmdLineOpts: 1")
        parsed: dict[str, Any] = {"security": {"authorization": "enabled"}} if state.auth else {}
        if state.tls != "disabled":
            parsed["net"] = {"tls": {"mode": state.tls}}
        return {"argv": ["mongod"], "parsed": parsed, "ok": 1}
    if name == "stats":
        session.need("read", where, "dbStats: 1")
        own = {p: c for p, c in state.collections.items() if p.partition(".")[0] == where}
        documents = sum(len(c.documents) for c in own.values())
        return {
            "db": where, "collections": len(own), "views": 0, "objects": documents,
            "avgObjSize": 200 if documents else 0,
            "dataSize": documents * 200, "storageSize": 8192 * len(own),
            "indexes": sum(len(c.indexes) for c in own.values()),
            "indexSize": 8192 * sum(len(c.indexes) for c in own.values()), "ok": 1,
        }  # fmt: skip
    session.need("cluster", "admin", "serverStatus: 1")
    connections = int(sum(p.connections for p in state.callers.values()) + 0.999) + 1
    work = int(state.work)
    return {
        "host": host, "version": state.version, "process": "mongod", "pid": {"$long": 1},
        "uptime": int(session.moment - state.started), "localTime": {"$date": session.moment},
        "connections": {"current": connections, "available": 838860 - connections, "totalCreated": connections + 12,
                        "active": 1},
        "network": {"bytesIn": {"$long": work * 210}, "bytesOut": {"$long": work * 620},
        "numRequests": {"$long": work}},
        "opcounters": {"insert": 0, "query": work, "update": 0, "delete": 0, "getmore": 0, "command": state.commands},
        "mem": {"bits": 64, "resident": 110, "virtual": 1560, "supported": True},
        "security": {"authentication": {"mechanisms": {}}}, "ok": 1,
    }  # fmt: skip


def _operations(session: Session) -> dict[str, Any]:
    session.need("cluster", "admin", "currentOp: 1")
    state, now = session.state, session.moment
    found = []
    for operation in state.operations.values():
        if operation.until > now:
            secs = int(now - operation.begun)
            found.append({
                "type": "op", "host": f"{state.name}:27017", "desc": f"conn{operation.number}", "active": True,
                "opid": operation.number, "secs_running": {"$long": secs},
                "microsecs_running": {"$long": secs * 1000000},
                "op": "query", "ns": operation.namespace, "command": {"comment": operation.command},
                "planSummary": "COLLSCAN", "effectiveUsers": [{"user": operation.user, "db": "admin"}],
            })  # fmt: skip
    if state.cost > 1.5:
        for number, (address, peer) in enumerate(sorted(state.callers.items())):
            namespace = f"{peer.database or (state.names or ['test'])[0]}.{(peer.tables or ('data',))[0]}"
            found.append({
                "type": "op", "host": f"{state.name}:27017", "desc": f"conn{20 + number}", "client": f"{address}:50124",
                "active": True, "opid": 9000 + number, "secs_running": {"$long": 0}, "op": "query", "ns": namespace,
                "command": {"find": namespace.partition(".")[2]}, "planSummary": "COLLSCAN",
            })  # fmt: skip
    return {"inprog": found, "ok": 1}


def slow(session: Session, namespace: str, query: Any) -> None:
    """Let a query that sleeps in its `$where` run on, for others to see."""
    match = re.search(r"sleep\((\d+)\)", str(query.get("$where", ""))) if isinstance(query, dict) else None
    if match is None:
        return
    seconds = int(match.group(1)) / 1000
    number = 100 + len(session.state.operations) + session.state.commands
    session.state.operations[number] = Operation(
        number, namespace, session.user, session.moment, session.moment + seconds, str(query["$where"])
    )
    session.waited += seconds


def _command(session: Session, where: str, given: Any) -> Any:
    body = {given: 1} if isinstance(given, str) else given
    name = next(iter(body), "")
    if name in ("isMaster", "hello", "serverStatus", "hostInfo", "buildInfo", "dbStats", "getCmdLineOpts"):
        alias = {"buildInfo": "serverBuildInfo", "dbStats": "stats", "getCmdLineOpts": "serverCmdLineOpts"}
        return _status(session, where, alias.get(name, name))
    if name in accounts.COMMANDS or name in ("usersInfo",):
        return accounts.command(session, where, name, body)
    if name == "currentOp":
        return _operations(session)
    if name == "killOp":
        return _database(session, Handle("db", where), "killOp", [body.get("op")])
    if name == "ping":
        return {"ok": 1}
    if name == "listDatabases":
        session.need("read", "admin", "listDatabases: 1")
        names = sorted({"admin", "config", "local", *session.state.names})
        return {"databases": [{"name": n, "sizeOnDisk": _size(session, n), "empty": False} for n in names], "ok": 1}
    if name == "replSetGetStatus":
        return _replica_set(session, Handle("rs"), "status", [])
    if name in ("setParameter", "getParameter"):
        session.need("kill", "admin", f"{name}: 1")
        rest = {k: v for k, v in body.items() if k != name}
        if name == "setParameter":
            session.state.parameters.update(rest)
            return {"was": None, "ok": 1}
        return {**{k: session.state.parameters.get(k) for k in rest}, "ok": 1}
    if name in (
        "fsync",
        "logRotate",
        "connectionStatus",
        "top",
        "validate",
        "collStats",
        "setFeatureCompatibilityVersion",
    ):
        return {"ok": 1}
    raise Refused(f"no such command: '{name}'", 59, "CommandNotFound")


def _replica_set(session: Session, owner: Handle, name: str, arguments: list[Any]) -> Any:
    state = session.state
    session.need("cluster", "admin", "replSetGetStatus: 1")
    if name == "initiate" and state.replica_set and "initiated" not in state.parameters:
        state.parameters["initiated"] = True
        return {"info2": "no configuration specified. Using a default configuration for the set", "ok": 1}
    if not state.replica_set:
        raise Refused("not running with --replSet", 76, "NoReplicationEnabled")
    if "initiated" not in state.parameters:
        raise Refused("no replset config has been received", 94, "NotYetInitialized")
    member = {
        "_id": 0, "name": f"{state.name}:27017", "health": 1, "state": 1, "stateStr": "PRIMARY",
        "uptime": int(session.moment - state.started), "self": True,
    }  # fmt: skip
    if name == "status":
        return {"set": state.replica_set, "date": {"$date": session.moment}, "myState": 1, "members": [member], "ok": 1}
    if name in ("conf", "config"):
        return {"_id": state.replica_set, "version": 1, "members": [{"_id": 0, "host": member["name"]}]}
    return {"ok": 1}


__all__ = ["call_function", "call_method", "show", "slow"]
