"""Commands about keys as such: finding, counting, moving, ageing and forgetting them."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase

from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, bulk, many, number, status
from stratus.sim.apps.stores.redis.session import SYNTAX, Session, command, integer
from stratus.sim.apps.stores.redis.state import Entry


@command("del", "unlink")
def _del(session: Session, words: list[str]) -> Reply:
    return number(sum(session.drop(k) for k in words[1:]))


@command("exists", "touch")
def _exists(session: Session, words: list[str]) -> Reply:
    return number(sum(session.find(k, count=True) is not None for k in words[1:]))


@command("type")
def _type(session: Session, words: list[str]) -> Reply:
    found = session.find(words[1])
    return status(found.kind if found is not None else "none")


@command("keys")
def _keys(session: Session, words: list[str]) -> Reply:
    return many([k for k in session.state.keys(session.database, session.moment) if fnmatchcase(k, words[1])])


@command("scan")
def _scan(session: Session, words: list[str]) -> Reply:
    try:
        cursor = integer(words[1])
    except RedisError:
        raise RedisError("ERR invalid cursor") from None
    pattern, count, kind = "*", 10, ""
    rest = words[2:]
    if len(rest) % 2:
        raise RedisError(SYNTAX)
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        if name.upper() == "MATCH":
            pattern = value
        elif name.upper() == "COUNT":
            count = integer(value)
            if count < 1:
                raise RedisError(SYNTAX)
        elif name.upper() == "TYPE":
            kind = value.lower()
        else:
            raise RedisError(SYNTAX)
    keys = session.state.keys(session.database, session.moment)
    names = list(keys)
    page = names[cursor : cursor + count]
    following = cursor + count if cursor + count < len(names) else 0
    found = [n for n in page if fnmatchcase(n, pattern) and (not kind or keys[n].kind == kind)]
    return many([str(following), tuple(found)])


@command("randomkey")
def _randomkey(session: Session, words: list[str]) -> Reply:
    keys = list(session.state.keys(session.database, session.moment))
    # Reads draw no lots: which one it is depends on how many commands there have been.
    return bulk(keys[session.state.commands % len(keys)] if keys else None)


@command("dbsize")
def _dbsize(session: Session, words: list[str]) -> Reply:
    return number(len(session.state.keys(session.database, session.moment)))


@command("expire", "pexpire", "expireat", "pexpireat")
def _expire(session: Session, words: list[str]) -> Reply:
    amount = integer(words[2])
    found = session.find(words[1])
    if found is None:
        return number(0)
    name = words[0].lower()
    at = amount / (1000.0 if name.startswith("p") else 1.0) + (0.0 if name.endswith("at") else session.moment)
    condition = words[3].upper() if len(words) > 3 else ""
    if condition not in ("", "NX", "XX", "GT", "LT"):
        raise RedisError(f"ERR Unsupported option {words[3]}")
    before = found.expires or math.inf
    if (
        (condition == "NX" and found.expires)
        or (condition == "XX" and not found.expires)
        or (condition == "GT" and at <= before)
        or (condition == "LT" and at >= before)
    ):
        return number(0)
    if at <= session.moment:
        session.drop(words[1])
    else:
        found.expires = at
    return number(1)


@command("persist")
def _persist(session: Session, words: list[str]) -> Reply:
    found = session.find(words[1])
    if found is None or not found.expires:
        return number(0)
    found.expires = 0.0
    return number(1)


@command("ttl", "pttl", "expiretime", "pexpiretime")
def _ttl(session: Session, words: list[str]) -> Reply:
    found = session.find(words[1])
    if found is None:
        return number(-2)
    if not found.expires:
        return number(-1)
    name = words[0].lower()
    left = found.expires if name.endswith("time") else found.expires - session.moment
    return number(round(left * 1000) if name.startswith("p") else round(left))


@command("rename", "renamenx")
def _rename(session: Session, words: list[str]) -> Reply:
    found = session.find(words[1])
    if found is None:
        raise RedisError("ERR no such key")
    only_new = words[0].lower() == "renamenx"
    if only_new and session.find(words[2]) is not None:
        return number(0)
    del session.keys[words[1]]
    session.keys[words[2]] = found
    return number(1) if only_new else OK


def _database(text: str) -> int:
    try:
        index = integer(text)
    except RedisError:
        raise RedisError("ERR invalid DB index") from None
    if not 0 <= index < 16:
        raise RedisError("ERR DB index is out of range")
    return index


@command("select")
def _select(session: Session, words: list[str]) -> Reply:
    session.database = _database(words[1])
    return OK


@command("move")
def _move(session: Session, words: list[str]) -> Reply:
    goal = _database(words[2])
    if goal == session.database:
        raise RedisError("ERR source and destination objects are the same")
    there = session.state.databases.setdefault(goal, {})
    found = session.find(words[1])
    if found is None or words[1] in there:
        return number(0)
    there[words[1]] = session.keys.pop(words[1])
    return number(1)


@command("swapdb")
def _swapdb(session: Session, words: list[str]) -> Reply:
    one, other = _database(words[1]), _database(words[2])
    held = session.state.databases
    held[one], held[other] = held.get(other, {}), held.get(one, {})
    return OK


@command("flushdb", "flushall")
def _flush(session: Session, words: list[str]) -> Reply:
    if len(words) > 2 or (len(words) == 2 and words[1].upper() not in ("SYNC", "ASYNC")):
        raise RedisError(SYNTAX)
    if words[0].lower() == "flushall":
        session.state.databases.clear()
    else:
        session.state.databases.pop(session.database, None)
    session.state.emptied = session.moment
    return OK


@command("object")
def _object(session: Session, words: list[str]) -> Reply:
    if len(words) != 3:
        raise RedisError(f"ERR wrong number of arguments for 'object|{words[1].lower()}' command")
    found = session.find(words[2])
    if found is None:
        return NIL
    sub = words[1].lower()
    if sub == "encoding":
        return bulk(_encoding(found))
    return number(1 if sub == "refcount" else 0)


def _encoding(entry: Entry) -> str:
    if entry.kind == "string":
        if entry.value.lstrip("-").isdigit() and len(entry.value) < 19 and not entry.zeros:
            return "int"
        return "embstr" if entry.weight() <= 44 else "raw"
    small = len(entry.value) <= 128
    return {
        "hash": "listpack" if small else "hashtable", "list": "listpack" if small else "quicklist",
        "set": "listpack" if small else "hashtable", "zset": "listpack" if small else "skiplist",
    }[entry.kind]  # fmt: skip


@command("copy")
def _copy(session: Session, words: list[str]) -> Reply:
    found = session.find(words[1])
    if found is None or (session.find(words[2]) is not None and "REPLACE" not in [w.upper() for w in words[3:]]):
        return number(0)
    session.keys[words[2]] = found.clone()
    return number(1)
