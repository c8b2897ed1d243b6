"""What collections can do."""

from __future__ import annotations

import json
from typing import Any

from stratus.sim.apps.stores.mongodb.documents import QueryError, changed, matches, ordered, sort_key, value_at
from stratus.sim.apps.stores.mongodb.script import ScriptError
from stratus.sim.apps.stores.mongodb.session import Handle, Refused, Session

Document = dict[str, Any]
_READS = frozenset(
    {
        "find",
        "findOne",
        "count",
        "countDocuments",
        "estimatedDocumentCount",
        "distinct",
        "aggregate",
        "getIndexes",
        "stats",
    }
    | {"explain", "dataSize", "storageSize", "totalSize", "getIndexKeys", "exists", "isCapped"}
)
_INDEX = frozenset({"createIndex", "ensureIndex", "dropIndex", "dropIndexes", "drop", "reIndex", "createIndexes"})


def call(session: Session, owner: Handle, name: str, arguments: list[Any]) -> Any:
    """Call a method of a collection."""
    action = "read" if name in _READS else "index" if name in _INDEX else "write"
    verb = {"findOne": "find", "countDocuments": "aggregate", "insertOne": "insert", "insertMany": "insert"}.get(
        name, name
    )
    if name == "getName":
        return owner.name
    session.need(action, owner.database, f'{verb}: "{owner.name}", $db: "{owner.database}"')
    handler = _METHODS.get(name)
    if handler is None:
        if name in ("getDB", "getFullName"):
            return Handle("db", owner.database) if name == "getDB" else f"{owner.database}.{owner.name}"
        raise ScriptError(f"TypeError: db.{owner.name}.{name} is not a function :\n@(shell eval):1:1")
    return handler(session, owner, arguments)


def _path(owner: Handle) -> str:
    return f"{owner.database}.{owner.name}"


def _documents(session: Session, owner: Handle) -> list[Document]:
    found = session.state.collections.get(_path(owner))
    return found.documents if found is not None else []


def _query(arguments: list[Any]) -> Document:
    first = arguments[0] if arguments else None
    if first is None:
        return {}
    if not isinstance(first, dict):
        raise QueryError("Expected field filter to be of type object")
    query = {"_id": first} if set(first) == {"$oid"} else first
    # A wrong query is one whatever there is to be found.
    matches({}, query)
    return query


def _projected(document: Document, projection: Any) -> Document:
    if not isinstance(projection, dict) or not projection:
        return document
    keep = [k for k, v in projection.items() if v and k != "_id"]
    if keep:
        chosen = {k: document[k] for k in document if k in keep}
        return chosen if projection.get("_id") in (0, False) else {"_id": document.get("_id"), **chosen}
    return {k: v for k, v in document.items() if k not in projection}


def _find(session: Session, owner: Handle, arguments: list[Any]) -> Handle:
    from stratus.sim.apps.stores.mongodb.commands import slow

    query = _query(arguments)
    slow(session, _path(owner), query)
    projection = arguments[1] if len(arguments) > 1 else None
    rows = [_projected(d, projection) for d in _documents(session, owner) if matches(d, query)]
    return Handle("cursor", owner.database, owner.name, rows)


def _find_one(session: Session, owner: Handle, arguments: list[Any]) -> Any:
    rows = _find(session, owner, arguments).rows
    return rows[0] if rows else None if session.modern else "null"


def _count(session: Session, owner: Handle, arguments: list[Any]) -> int:
    query = _query(arguments)
    return sum(1 for d in _documents(session, owner) if matches(d, query))


def _distinct(session: Session, owner: Handle, arguments: list[Any]) -> list[Any]:
    query = arguments[1] if len(arguments) > 1 else {}
    found: dict[str, Any] = {}
    for document in _documents(session, owner):
        value = value_at(document, str(arguments[0]))
        for each in value if isinstance(value, list) else [value]:
            if each is not None and matches(document, query):
                found.setdefault(json.dumps(each, sort_keys=True), each)
    return sorted(found.values(), key=sort_key)


def _insert(session: Session, owner: Handle, arguments: list[Any]) -> Any:
    first = arguments[0] if arguments else None
    many = isinstance(first, list)
    added: list[Document] = []
    collection = session.state.collection(_path(owner))
    for document in first if isinstance(first, list) else [first]:
        if not isinstance(document, dict):
            raise QueryError("no object passed to insert!")
        whole = {"_id": document.get("_id") or session.state.identifier(session.moment), **document}
        if any(d["_id"] == whole["_id"] for d in collection.documents):
            shown = session.shown(whole["_id"], flat=True)
            text = f"E11000 duplicate key error collection: {_path(owner)} index: _id_ dup key: {{ _id: {shown} }}"
            raise Refused(text, 11000, "DuplicateKey")
        collection.documents.append(whole)
        added.append(whole["_id"])
    if session.modern:
        ids = {str(n): i for n, i in enumerate(added)}
        return {"acknowledged": True, "insertedIds": ids} if many else {"acknowledged": True, "insertedId": added[0]}
    return f'WriteResult({{ "nInserted" : {len(added)} }})'


def _insert_new(session: Session, owner: Handle, arguments: list[Any]) -> Any:
    before = len(_documents(session, owner))
    told = _insert(session, owner, arguments)
    if session.modern:
        return told
    ids = [d["_id"] for d in _documents(session, owner)[before:]]
    if isinstance(arguments[0], list):
        return {"acknowledged": True, "insertedIds": ids}
    return {"acknowledged": True, "insertedId": ids[0]}


def _updating(one: bool, new: bool) -> Any:
    def update(session: Session, owner: Handle, arguments: list[Any]) -> Any:
        query, change = _query(arguments), arguments[1]
        options = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], dict) else {}
        documents = _documents(session, owner)
        places = [n for n, d in enumerate(documents) if matches(d, query)]
        if one and not options.get("multi"):
            places = places[:1]
        modified = 0
        for place in places:
            fresh = changed(documents[place], change)
            modified += fresh != documents[place]
            documents[place] = fresh
        upserted = None
        if not places and options.get("upsert"):
            plain = {k: v for k, v in query.items() if not k.startswith("$") and not isinstance(v, dict)}
            fresh = changed({"_id": session.state.identifier(session.moment), **plain}, change)
            session.state.collection(_path(owner)).documents.append(fresh)
            upserted = fresh["_id"]
        if not new:
            count = 1 if upserted is not None else 0
            return f'WriteResult({{ "nMatched" : {len(places)}, "nUpserted" : {count}, "nModified" : {modified} }})'
        told: Document = {"acknowledged": True, "matchedCount": len(places), "modifiedCount": modified}
        if session.modern:
            return {"acknowledged": True, "insertedId": upserted, "matchedCount": len(places),
            "modifiedCount": modified,
                    "upsertedCount": int(upserted is not None)}  # fmt: skip
        return told if upserted is None else {**told, "upsertedId": upserted}

    return update


def _removing(one: bool, new: bool) -> Any:
    def remove(session: Session, owner: Handle, arguments: list[Any]) -> Any:
        query = _query(arguments)
        if not arguments:
            raise QueryError("remove needs a query")
        documents = _documents(session, owner)
        gone = [d for d in documents if matches(d, query)]
        just_one = one or (len(arguments) > 1 and arguments[1] in (True, 1, {"justOne": True}))
        gone = gone[:1] if just_one else gone
        marks = {id(d) for d in gone}
        documents[:] = [d for d in documents if id(d) not in marks]
        return (
            {"acknowledged": True, "deletedCount": len(gone)} if new else f'WriteResult({{ "nRemoved" : {len(gone)} }})'
        )

    return remove


def _drop(session: Session, owner: Handle, arguments: list[Any]) -> bool:
    return session.state.collections.pop(_path(owner), None) is not None


def _create_index(session: Session, owner: Handle, arguments: list[Any]) -> Any:
    keys = arguments[0]
    if not isinstance(keys, dict) or not keys:
        raise Refused("Index keys cannot be empty.", 67, "CannotCreateIndex")
    options = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], dict) else {}
    name = str(options.get("name") or "_".join(f"{k}_{v}" for k, v in keys.items()))
    new = _path(owner) not in session.state.collections
    collection = session.state.collection(_path(owner))
    shown = session.state.indexes_of(_path(owner))
    before = len(shown)
    collection.indexes = {**shown, name: keys}
    # What was slow for want of an index is fast again.
    session.state.cost = min(session.state.cost, 1.0) if name not in shown else session.state.cost
    if session.modern:
        return name
    told: Document = {
        "createdCollectionAutomatically": new,
        "numIndexesBefore": before,
        "numIndexesAfter": len(collection.indexes),
    }
    return {**told, "ok": 1} if name not in shown else {**told, "note": "all indexes already exist", "ok": 1}


def _drop_index(session: Session, owner: Handle, arguments: list[Any]) -> Document:
    collection = session.state.collections.get(_path(owner))
    wanted = arguments[0] if arguments else "*"
    names = session.state.indexes_of(_path(owner))
    if isinstance(wanted, dict):
        wanted = next((n for n, k in names.items() if k == wanted), "")
    if collection is None:
        raise Refused("ns not found", 26, "NamespaceNotFound")
    if wanted == "_id_":
        raise Refused("cannot drop _id index", 72, "InvalidOptions")
    if wanted != "*" and wanted not in names:
        raise Refused(f"index not found with name [{wanted}]", 27, "IndexNotFound")
    gone = [n for n in names if n != "_id_" and wanted in ("*", n)]
    collection.indexes = {n: k for n, k in names.items() if n not in gone}
    if gone:
        # Every query has to look at all documents now.
        session.state.cost = max(session.state.cost, 6.0)
    return {"nIndexesWas": len(names), "ok": 1}


def _indexes(session: Session, owner: Handle, arguments: list[Any]) -> list[Document]:
    return [{"v": 2, "key": k, "name": n} for n, k in session.state.indexes_of(_path(owner)).items()]


def _stats(session: Session, owner: Handle, arguments: list[Any]) -> Document:
    documents = _documents(session, owner)
    indexes = session.state.indexes_of(_path(owner))
    return {
        "ns": _path(owner), "size": 200 * len(documents), "count": len(documents),
        "avgObjSize": 200 if documents else 0,
        "storageSize": 8192, "capped": False, "nindexes": len(indexes), "totalIndexSize": 8192 * len(indexes),
        "indexSizes": dict.fromkeys(indexes, 8192), "ok": 1,
    }  # fmt: skip


def plan(session: Session, owner: Handle) -> Document:
    """Return how a query is run."""
    scan = len(session.state.indexes_of(_path(owner))) < 2
    stage: Document = (
        {"stage": "COLLSCAN", "direction": "forward"} if scan else {"stage": "FETCH", "inputStage": {"stage": "IXSCAN"}}
    )
    return {"queryPlanner": {"plannerVersion": 1, "namespace": _path(owner), "winningPlan": stage}, "ok": 1}


def _aggregate(session: Session, owner: Handle, arguments: list[Any]) -> Handle:
    rows: list[Any] = list(_documents(session, owner))
    stages = arguments[0] if isinstance(arguments[0], list) else arguments
    for stage in stages:
        name, value = next(iter(stage.items()))
        if name == "$match":
            rows = [r for r in rows if matches(r, value)]
        elif name == "$limit":
            rows = rows[: int(value)]
        elif name == "$skip":
            rows = rows[int(value) :]
        elif name == "$sort":
            for key, direction in reversed(value.items()):
                rows = ordered(rows, key, direction == -1)
        elif name == "$project":
            rows = [_projected(r, value) for r in rows]
        elif name == "$count":
            rows = [{str(value): len(rows)}]
        elif name == "$group":
            rows = _grouped(rows, value)
        else:
            raise Refused(f"Unrecognized pipeline stage name: '{name}'", 40324, "Location40324")
    return Handle("cursor", owner.database, owner.name, rows)


def _operand(document: Document, expression: Any) -> Any:
    if isinstance(expression, str) and expression.startswith("$"):
        return value_at(document, expression[1:])
    if isinstance(expression, dict):
        return {k: _operand(document, v) for k, v in expression.items()}
    return expression


def _grouped(rows: list[Document], spec: Document) -> list[Document]:
    groups: dict[str, tuple[Any, list[Document]]] = {}
    for row in rows:
        key = _operand(row, spec.get("_id"))
        groups.setdefault(json.dumps(key, sort_keys=True), (key, []))[1].append(row)
    found = []
    for key, members in groups.values():
        made: Document = {"_id": key}
        for name, accumulator in spec.items():
            if name == "_id":
                continue
            operator, expression = next(iter(accumulator.items()))
            values = [_operand(m, expression) for m in members]
            numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
            results = {
                "$sum": sum(numbers), "$avg": sum(numbers) / len(numbers) if numbers else None, "$first": values[0],
                "$max": max(values, key=sort_key), "$min": min(values, key=sort_key), "$push": values,
                "$count": len(values),
            }  # fmt: skip
            if operator not in results:
                raise Refused(f"unknown group operator '{operator}'", 15952, "Location15952")
            made[name] = results[operator]
        found.append(made)
    return found


_METHODS: dict[str, Any] = {
    "find": _find, "findOne": _find_one, "count": _count, "countDocuments": _count, "estimatedDocumentCount": _count,
    "distinct": _distinct, "aggregate": _aggregate, "insert": _insert, "insertOne": _insert_new,
    "insertMany": _insert_new,
    "save": _insert, "update": _updating(True, False), "updateOne": _updating(True, True),
    "updateMany": _updating(False, True),
    "replaceOne": _updating(True, True), "remove": _removing(False, False), "deleteOne": _removing(True, True),
    "deleteMany": _removing(False, True), "drop": _drop, "createIndex": _create_index, "ensureIndex": _create_index,
    "dropIndex": _drop_index, "dropIndexes": _drop_index, "getIndexes": _indexes, "stats": _stats,
    "reIndex": lambda s, o, a: {"ok": 1}, "validate": lambda s, o, a: {"valid": True, "ok": 1},
    "dataSize": lambda s, o, a: 200 * len(_documents(s, o)), "storageSize": lambda s, o, a: 8192,
    "explain": lambda s, o, a: o, "totalSize": lambda s, o, a: 16384,
}  # fmt: skip
