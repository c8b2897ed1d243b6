"""Commands about strings and numbers."""

from __future__ import annotations

import math

from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, bulk, many, number
from stratus.sim.apps.stores.redis.session import NOT_INTEGER, SYNTAX, Session, command, integer
from stratus.sim.apps.stores.redis.state import Entry

_LONGEST = 536_870_912
_SHOWN = 1 << 20


def text_of(entry: Entry | None) -> str | None:
    """Return a string's content; of very many zeros only the first."""
    return None if entry is None else entry.value + "\0" * min(entry.zeros, _SHOWN)


def _size(entry: Entry | None) -> int:
    return 0 if entry is None else len(entry.value.encode("utf-8", "surrogateescape")) + entry.zeros


@command("get")
def _get(session: Session, words: list[str]) -> Reply:
    return bulk(text_of(session.find(words[1], "string", count=True)))


def _until(session: Session, unit: str, text: str, name: str) -> float:
    """Return the moment that an option like `EX 10` stands for."""
    amount = integer(text)
    if amount <= 0:
        raise RedisError(f"ERR invalid expire time in '{name}' command")
    return {
        "EX": session.moment + amount,
        "PX": session.moment + amount / 1000,
        "EXAT": float(amount),
        "PXAT": amount / 1000,
    }[unit]


@command("set")
def _set(session: Session, words: list[str]) -> Reply:
    key, value = words[1], words[2]
    options = [w.upper() for w in words[3:]]
    expires, keep, only, give = 0.0, False, "", False
    at = 0
    while at < len(options):
        word = options[at]
        if word in ("NX", "XX") and not only:
            only = word
        elif word == "GET":
            give = True
        elif word == "KEEPTTL":
            keep = True
        elif word in ("EX", "PX", "EXAT", "PXAT") and at + 1 < len(options) and not expires:
            expires = _until(session, word, words[4 + at], "set")
            at += 1
        else:
            raise RedisError(SYNTAX)
        at += 1
    before = session.find(key, "string") if give else session.find(key)
    old = bulk(text_of(before)) if give else NIL
    if (only == "NX" and before is not None) or (only == "XX" and before is None):
        return old
    session.keys[key] = Entry("string", value, before.expires if keep and before is not None else expires)
    return old if give else OK


@command("setnx")
def _setnx(session: Session, words: list[str]) -> Reply:
    if session.find(words[1]) is not None:
        return number(0)
    session.keys[words[1]] = Entry("string", words[2])
    return number(1)


@command("setex", "psetex")
def _setex(session: Session, words: list[str]) -> Reply:
    name = words[0].lower()
    expires = _until(session, "EX" if name == "setex" else "PX", words[2], name)
    session.keys[words[1]] = Entry("string", words[3], expires)
    return OK


@command("getset")
def _getset(session: Session, words: list[str]) -> Reply:
    old = text_of(session.find(words[1], "string"))
    session.keys[words[1]] = Entry("string", words[2])
    return bulk(old)


@command("getdel")
def _getdel(session: Session, words: list[str]) -> Reply:
    old = text_of(session.find(words[1], "string"))
    session.drop(words[1])
    return bulk(old)


@command("mget")
def _mget(session: Session, words: list[str]) -> Reply:
    found = [session.find(k, count=True) for k in words[1:]]
    return many([text_of(e) if e is not None and e.kind == "string" else None for e in found])


@command("mset", "msetnx")
def _mset(session: Session, words: list[str]) -> Reply:
    name = words[0].lower()
    if len(words) % 2 == 0:
        raise RedisError(f"ERR wrong number of arguments for '{name}' command")
    pairs = list(zip(words[1::2], words[2::2], strict=True))
    if name == "msetnx" and any(session.find(k) is not None for k, _ in pairs):
        return number(0)
    for key, value in pairs:
        session.keys[key] = Entry("string", value)
    return OK if name == "mset" else number(1)


@command("incr", "decr", "incrby", "decrby")
def _incr(session: Session, words: list[str]) -> Reply:
    by = integer(words[2]) if len(words) > 2 else 1
    entry = session.find(words[1], "string")
    value = integer(entry.value) if entry is not None else 0
    value += -by if words[0].lower().startswith("decr") else by
    if not -(1 << 63) <= value < 1 << 63:
        raise RedisError("ERR increment or decrement would overflow")
    session.keys[words[1]] = Entry("string", str(value), entry.expires if entry is not None else 0.0)
    return number(value)


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or text != text.strip():
        raise RedisError("ERR value is not a valid float")
    return value


def shown_float(value: float) -> str:
    """Return a number as the server prints it."""
    if value == int(value) and abs(value) < 1e17:
        return str(int(value))
    return f"{value:.17g}" if repr(value) == f"{value:.17g}" else repr(value)


@command("incrbyfloat")
def _incrbyfloat(session: Session, words: list[str]) -> Reply:
    by = _float(words[2])
    entry = session.find(words[1], "string")
    value = shown_float((_float(entry.value) if entry is not None else 0.0) + by)
    session.keys[words[1]] = Entry("string", value, entry.expires if entry is not None else 0.0)
    return bulk(value)


@command("append")
def _append(session: Session, words: list[str]) -> Reply:
    entry = session.make(words[1], "string", "")
    entry.value = (text_of(entry) or "") + words[2]
    entry.zeros = 0
    return number(_size(entry))


@command("strlen")
def _strlen(session: Session, words: list[str]) -> Reply:
    return number(_size(session.find(words[1], "string")))


@command("getrange", "substr")
def _getrange(session: Session, words: list[str]) -> Reply:
    text = text_of(session.find(words[1], "string")) or ""
    first, last = integer(words[2]), integer(words[3])
    first = max(first + len(text), 0) if first < 0 else first
    last = last + len(text) if last < 0 else last
    return bulk(text[first : last + 1])


@command("setrange")
def _setrange(session: Session, words: list[str]) -> Reply:
    at = integer(words[2])
    if at < 0:
        raise RedisError("ERR offset is out of range")
    if at + len(words[3]) > _LONGEST:
        raise RedisError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    if not words[3]:
        return number(_size(session.find(words[1], "string")))
    entry = session.make(words[1], "string", "")
    size = _size(entry)
    if at + len(words[3]) > max(size, _SHOWN):
        # So long that only its size matters.
        entry.value, entry.zeros = (
            entry.value[:at] + words[3],
            max(at + len(words[3]) - len(entry.value[:at] + words[3]), 0),
        )
    else:
        text = (text_of(entry) or "").ljust(at, "\0")
        entry.value, entry.zeros = text[:at] + words[3] + text[at + len(words[3]) :], 0
    return number(_size(entry))


__all__ = ["NOT_INTEGER", "shown_float", "text_of"]
