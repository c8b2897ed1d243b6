"""Commands about hashes, lists, sets and sorted sets."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, bulk, many, number
from stratus.sim.apps.stores.redis.session import SYNTAX, Session, command, integer
from stratus.sim.apps.stores.redis.state import Entry, Kind
from stratus.sim.apps.stores.redis.strings import _float, shown_float


def _held(session: Session, key: str, kind: Kind, empty: Any, *, count: bool = True) -> Any:
    found = session.find(key, kind, count=count)
    return found.value if found is not None else empty


# hashes


@command("hset", "hmset")
def _hset(session: Session, words: list[str]) -> Reply:
    name = words[0].lower()
    if len(words) % 2:
        raise RedisError(f"ERR wrong number of arguments for '{name}' command")
    held: dict[str, str] = session.make(words[1], "hash", {}).value
    before = len(held)
    held.update(zip(words[2::2], words[3::2], strict=True))
    return OK if name == "hmset" else number(len(held) - before)


@command("hsetnx")
def _hsetnx(session: Session, words: list[str]) -> Reply:
    held = session.make(words[1], "hash", {}).value
    if words[2] in held:
        return number(0)
    held[words[2]] = words[3]
    return number(1)


@command("hget")
def _hget(session: Session, words: list[str]) -> Reply:
    return bulk(_held(session, words[1], "hash", {}).get(words[2]))


@command("hmget")
def _hmget(session: Session, words: list[str]) -> Reply:
    held = _held(session, words[1], "hash", {})
    return many([held.get(f) for f in words[2:]])


@command("hgetall", "hkeys", "hvals")
def _hgetall(session: Session, words: list[str]) -> Reply:
    held = _held(session, words[1], "hash", {})
    name = words[0].lower()
    if name == "hgetall":
        return many([part for pair in held.items() for part in pair])
    return many(list(held if name == "hkeys" else held.values()))


@command("hlen")
def _hlen(session: Session, words: list[str]) -> Reply:
    return number(len(_held(session, words[1], "hash", {})))


@command("hexists")
def _hexists(session: Session, words: list[str]) -> Reply:
    return number(words[2] in _held(session, words[1], "hash", {}))


@command("hdel")
def _hdel(session: Session, words: list[str]) -> Reply:
    held = _held(session, words[1], "hash", {}, count=False)
    gone = [held.pop(f) for f in dict.fromkeys(words[2:]) if f in held]
    session.tidy(words[1])
    return number(len(gone))


@command("hincrby")
def _hincrby(session: Session, words: list[str]) -> Reply:
    by = integer(words[3])
    entry = session.find(words[1], "hash")
    old = entry.value.get(words[2], "0") if entry is not None else "0"
    try:
        value = integer(old) + by
    except RedisError:
        raise RedisError("ERR hash value is not an integer") from None
    session.make(words[1], "hash", {}).value[words[2]] = str(value)
    return number(value)


# lists


@command("lpush", "rpush", "lpushx", "rpushx")
def _push(session: Session, words: list[str]) -> Reply:
    name = words[0].lower()
    if name.endswith("x") and session.find(words[1], "list") is None:
        return number(0)
    held: list[str] = session.make(words[1], "list", []).value
    if name.startswith("l"):
        held[:0] = reversed(words[2:])
    else:
        held.extend(words[2:])
    return number(len(held))


@command("lpop", "rpop")
def _pop(session: Session, words: list[str]) -> Reply:
    count = integer(words[2]) if len(words) > 2 else None
    if count is not None and count < 0:
        raise RedisError("ERR value is out of range, must be positive")
    entry = session.find(words[1], "list")
    if entry is None:
        return NIL
    left = words[0].lower() == "lpop"
    taken = [entry.value.pop(0 if left else -1) for _ in range(min(1 if count is None else count, len(entry.value)))]
    session.tidy(words[1])
    return bulk(taken[0]) if count is None else many(taken)


def _bounds(first: int, last: int, size: int) -> tuple[int, int]:
    first = max(first + size, 0) if first < 0 else first
    return first, (last + size if last < 0 else last) + 1


@command("lrange")
def _lrange(session: Session, words: list[str]) -> Reply:
    first, last = integer(words[2]), integer(words[3])
    held = _held(session, words[1], "list", [])
    first, end = _bounds(first, last, len(held))
    return many(held[first : max(end, 0)])


@command("llen")
def _llen(session: Session, words: list[str]) -> Reply:
    return number(len(_held(session, words[1], "list", [])))


@command("lindex")
def _lindex(session: Session, words: list[str]) -> Reply:
    at = integer(words[2])
    held = _held(session, words[1], "list", [])
    return bulk(held[at] if -len(held) <= at < len(held) else None)


@command("lset")
def _lset(session: Session, words: list[str]) -> Reply:
    entry = session.find(words[1], "list")
    if entry is None:
        raise RedisError("ERR no such key")
    at = integer(words[2])
    if not -len(entry.value) <= at < len(entry.value):
        raise RedisError("ERR index out of range")
    entry.value[at] = words[3]
    return OK


@command("lrem")
def _lrem(session: Session, words: list[str]) -> Reply:
    count = integer(words[2])
    held: list[str] = _held(session, words[1], "list", [], count=False)
    places = [i for i, v in enumerate(held) if v == words[3]]
    places = places[:count] if count > 0 else places[count:] if count < 0 else places
    for at in reversed(places):
        del held[at]
    session.tidy(words[1])
    return number(len(places))


@command("ltrim")
def _ltrim(session: Session, words: list[str]) -> Reply:
    held: list[str] = _held(session, words[1], "list", [], count=False)
    first, end = _bounds(integer(words[2]), integer(words[3]), len(held))
    held[:] = held[first : max(end, 0)]
    session.tidy(words[1])
    return OK


# sets


@command("sadd")
def _sadd(session: Session, words: list[str]) -> Reply:
    held: dict[str, None] = session.make(words[1], "set", {}).value
    before = len(held)
    held.update(dict.fromkeys(words[2:]))
    return number(len(held) - before)


@command("srem")
def _srem(session: Session, words: list[str]) -> Reply:
    held = _held(session, words[1], "set", {}, count=False)
    gone = [1 for m in dict.fromkeys(words[2:]) if held.pop(m, 0) is None]
    session.tidy(words[1])
    return number(len(gone))


@command("smembers")
def _smembers(session: Session, words: list[str]) -> Reply:
    return many(list(_held(session, words[1], "set", {})))


@command("scard")
def _scard(session: Session, words: list[str]) -> Reply:
    return number(len(_held(session, words[1], "set", {})))


@command("sismember")
def _sismember(session: Session, words: list[str]) -> Reply:
    return number(words[2] in _held(session, words[1], "set", {}))


# sorted sets


def _sorted(held: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(held.items(), key=lambda m: (m[1], m[0]))


@command("zadd")
def _zadd(session: Session, words: list[str]) -> Reply:
    at = 2
    flags = set()
    while at < len(words) and words[at].upper() in ("NX", "XX", "GT", "LT", "CH", "INCR"):
        flags.add(words[at].upper())
        at += 1
    pairs = words[at:]
    if len(pairs) % 2 or not pairs:
        raise RedisError(SYNTAX)
    scores = [_float(s) for s in pairs[::2]]
    held: dict[str, float] = session.make(words[1], "zset", {}).value
    added = changed = 0
    for score, member in zip(scores, pairs[1::2], strict=True):
        if ("NX" in flags and member in held) or ("XX" in flags and member not in held):
            continue
        added += member not in held
        changed += held.get(member) != score
        held[member] = score
    session.tidy(words[1])
    return number(changed if "CH" in flags else added)


@command("zrange", "zrevrange")
def _zrange(session: Session, words: list[str]) -> Reply:
    first, last = integer(words[2]), integer(words[3])
    options = {w.upper() for w in words[4:]}
    if options - {"WITHSCORES", "REV"}:
        raise RedisError(SYNTAX)
    found = _sorted(_held(session, words[1], "zset", {}))
    if "REV" in options or words[0].lower() == "zrevrange":
        found.reverse()
    first, end = _bounds(first, last, len(found))
    found = found[first : max(end, 0)]
    if "WITHSCORES" in options:
        return many([part for member, score in found for part in (member, shown_float(score))])
    return many([member for member, _ in found])


@command("zscore")
def _zscore(session: Session, words: list[str]) -> Reply:
    score = _held(session, words[1], "zset", {}).get(words[2])
    return bulk(None if score is None else shown_float(score))


@command("zcard")
def _zcard(session: Session, words: list[str]) -> Reply:
    return number(len(_held(session, words[1], "zset", {})))


@command("zrank")
def _zrank(session: Session, words: list[str]) -> Reply:
    names = [m for m, _ in _sorted(_held(session, words[1], "zset", {}))]
    return number(names.index(words[2])) if words[2] in names else NIL


@command("zincrby")
def _zincrby(session: Session, words: list[str]) -> Reply:
    by = _float(words[2])
    held = session.make(words[1], "zset", {}).value
    held[words[3]] = held.get(words[3], 0.0) + by
    return bulk(shown_float(held[words[3]]))


@command("zrem")
def _zrem(session: Session, words: list[str]) -> Reply:
    held = _held(session, words[1], "zset", {}, count=False)
    gone = [held.pop(m) for m in dict.fromkeys(words[2:]) if m in held]
    session.tidy(words[1])
    return number(len(gone))


@command("hscan", "sscan", "zscan")
def _scan_inside(session: Session, words: list[str]) -> Reply:
    kinds: dict[str, Kind] = {"h": "hash", "s": "set", "z": "zset"}
    integer(words[2])
    held = _held(session, words[1], kinds[words[0][0].lower()], {})
    upper = [w.upper() for w in words]
    pattern = words[upper.index("MATCH") + 1] if "MATCH" in upper[3:-1] else "*"
    found: list[str] = []
    for name, value in held.items():
        if fnmatchcase(name, pattern):
            found += [name] if value is None else [name, value if isinstance(value, str) else shown_float(value)]
    return many(["0", tuple(found)])


__all__ = ["Entry"]
