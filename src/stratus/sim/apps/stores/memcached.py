"""Memcached: items with flags and ages, its figures, and its text protocol."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, ClassVar

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, State, Trouble

_LONGEST_KEY, _LARGEST = 250, 1 << 20
_STORING = frozenset({"set", "add", "replace", "append", "prepend", "cas"})
_BAD_FORMAT = "CLIENT_ERROR bad command line format"


@cache
def _figures() -> dict[str, list[list[str]]]:
    text = resources.files("stratus.sim.apps.stores").joinpath("data", "memcached.json").read_text("utf-8")
    found: dict[str, list[list[str]]] = json.loads(text)
    return found


@dataclass(slots=True)
class Item:
    """A value as it was stored; `expires` is a moment, 0 for never; `mark` changes with every change."""

    value: str
    flags: int = 0
    expires: float = 0.0
    mark: int = 0


@dataclass(slots=True)
class Memcached(State):
    """Items and counters. What programs do is counted in `work` and `found`; their items are only numbers."""

    kind: ClassVar[str] = "memcached"

    version: str = "1.6.18"
    items: dict[str, Item] = field(default_factory=dict)
    room: int = 64 << 20
    most: int = 1024
    started: float = field(default=0.0, repr=False, compare=False)
    counts: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    marks: int = 0
    flush_at: float = 0.0

    @classmethod
    def fresh(cls, datastore: Datastore) -> Memcached:
        """Return the state a datastore has at first."""
        state = cls()
        state.version = datastore.version or state.version
        return state

    def clone(self) -> Memcached:
        """Return an independent copy."""
        twin = Memcached(**{f.name: getattr(self, f.name) for f in fields(self)})
        twin.items = {k: Item(i.value, i.flags, i.expires, i.mark) for k, i in self.items.items()}
        twin.counts, twin.callers = dict(self.counts), dict(self.callers)
        return twin

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew: nothing is kept."""
        again = type(self).fresh(datastore)
        again.cost, again.callers = self.cost, self.callers
        for each in fields(again):
            setattr(self, each.name, getattr(again, each.name))
        self.started = self.emptied = boot.at
        words = [w for word in boot.argv for w in word.split("=")]
        for word, following in pairwise(words):
            if word in ("-m", "--memory-limit") and following.isdigit():
                self.room = int(following) << 20
            elif word in ("-c", "--conn-limit") and following.isdigit():
                self.most = int(following)

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """It refuses nobody."""
        return None

    def crowd(self) -> Trouble | None:
        """Connections beyond its limit are not taken until others end."""
        wanted = sum(p.connections for p in self.callers.values())
        return Trouble("", 1.0 - self.most / wanted, math.inf) if wanted > self.most else None

    def limit(self) -> int:
        """Return the bytes it may hold."""
        return self.room

    def memory(self, now: float) -> float:
        """Return the bytes that the items take."""
        return float(sum(len(k) + len(i.value) + 56 for k, i in self.items.items()))

    # the protocol

    def _find(self, key: str, now: float) -> Item | None:
        found = self.items.get(key)
        return None if found is None or (found.expires and found.expires <= now) else found

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def talk(self, request: dict[str, Any], now: float, peer: str) -> str:
        """Answer what a client sends: `text` in the server's own protocol."""
        self._count("total_connections")
        if self.flush_at and now >= self.flush_at:
            self.items.clear()
            self.emptied, self.flush_at = self.flush_at, 0.0
        out: list[str] = []
        lines = request["text"].split("\n")
        lines = [line.removesuffix("\r") for line in lines]
        if lines and not lines[-1]:
            lines.pop()
        while lines:
            line = lines.pop(0)
            words = line.split()
            if words and words[0] == "quit":
                break
            said = self._line(words, lines, now)
            if said is not None:
                out.append(said)
        return "".join(f"{line}\r\n" for line in out)

    def _line(self, words: list[str], lines: list[str], now: float) -> str | None:
        name = words[0] if words else ""
        quiet = bool(words) and words[-1] == "noreply"
        if name in _STORING:
            said = self._store(name, words, lines, now)
        else:
            handler = getattr(self, f"_on_{name}", None) if name.isalpha() or name == "flush_all" else None
            said = handler(words[1:], now) if handler is not None else "ERROR"
        return None if quiet else said

    def _store(self, name: str, words: list[str], lines: list[str], now: float) -> str:
        needed = 6 if name == "cas" else 5
        if len([w for w in words if w != "noreply"]) != needed:
            return "ERROR"
        key, flags, age, size = words[1:5]
        if len(key) > _LONGEST_KEY or not (flags.isdigit() and size.isdigit() and age.lstrip("-").isdigit()):
            return _BAD_FORMAT
        data = lines.pop(0) if lines else ""
        if len(data) != int(size):
            return "CLIENT_ERROR bad data chunk" if len(data) < int(size) else "CLIENT_ERROR bad data chunk\r\nERROR"
        self._count("cmd_set")
        if int(size) > _LARGEST:
            return "SERVER_ERROR object too large for cache"
        found = self._find(key, now)
        if name == "cas":
            if found is None:
                return "NOT_FOUND"
            if str(found.mark) != words[5]:
                return "EXISTS"
        if (name == "add" and found is not None) or (name in ("replace", "append", "prepend") and found is None):
            return "NOT_STORED"
        seconds = int(age)
        expires = (
            0.0 if seconds == 0 else now - 1 if seconds < 0 else now + seconds if seconds < 2_592_000 else float(age)
        )
        self.marks += 1
        if name in ("append", "prepend") and found is not None:
            found.value = found.value + data if name == "append" else data + found.value
            found.mark = self.marks
        else:
            self.items[key] = Item(data, int(flags), expires, self.marks)
        while self.memory(now) > self.room and len(self.items) > 1:
            del self.items[next(iter(self.items))]
            self._count("evictions")
        return "STORED"

    def _on_get(self, args: list[str], now: float, marks: bool = False) -> str:
        if not args:
            return "ERROR"
        out = []
        for key in args:
            self._count("cmd_get")
            found = self._find(key, now)
            self._count("get_hits" if found is not None else "get_misses")
            if found is not None:
                mark = f" {found.mark}" if marks else ""
                out.append(f"VALUE {key} {found.flags} {len(found.value)}{mark}\r\n{found.value}")
        return "\r\n".join([*out, "END"])

    def _on_gets(self, args: list[str], now: float) -> str:
        return self._on_get(args, now, marks=True)

    def _on_delete(self, args: list[str], now: float) -> str:
        if not args:
            return "ERROR"
        there = self._find(args[0], now) is not None
        self.items.pop(args[0], None)
        return "DELETED" if there else "NOT_FOUND"

    def _on_incr(self, args: list[str], now: float, sign: int = 1) -> str:
        if len(args) < 2:
            return "ERROR"
        if not args[1].isdigit():
            return "CLIENT_ERROR invalid numeric delta argument"
        found = self._find(args[0], now)
        if found is None:
            return "NOT_FOUND"
        if not found.value.strip().isdigit():
            return "CLIENT_ERROR cannot increment or decrement non-numeric value"
        found.value = str(max(int(found.value) + sign * int(args[1]), 0) % (1 << 64))
        return found.value

    def _on_decr(self, args: list[str], now: float) -> str:
        return self._on_incr(args, now, sign=-1)

    def _on_touch(self, args: list[str], now: float) -> str:
        found = self._find(args[0], now) if args else None
        if len(args) < 2 or not args[1].isdigit():
            return "ERROR"
        if found is None:
            return "NOT_FOUND"
        self._count("cmd_touch")
        found.expires = now + int(args[1]) if int(args[1]) else 0.0
        return "TOUCHED"

    def _on_flush_all(self, args: list[str], now: float) -> str:
        self._count("cmd_flush")
        if args and args[0].isdigit() and int(args[0]):
            self.flush_at = now + int(args[0])
            return "OK"
        self.items.clear()
        self.emptied = now
        return "OK"

    def _on_version(self, args: list[str], now: float) -> str:
        return f"VERSION {self.version}"

    def _on_verbosity(self, args: list[str], now: float) -> str:
        return "OK" if args else "ERROR"

    def _on_stats(self, args: list[str], now: float) -> str:
        if args == ["reset"]:
            self.counts.clear()
            self.work = self.found = 0.0
            return "RESET"
        if args and args[0] not in ("settings", "items", "slabs", "conns", "sizes"):
            return "ERROR"
        if args and args[0] != "settings":
            rows = [["active_slabs", "0"], ["total_malloced", "0"]] if args[0] == "slabs" else []
        else:
            values = self._values(now)
            rows = [
                [n, v.format_map(values) if "{" in v else v] for n, v in _figures()["settings" if args else "stats"]
            ]
        return "\r\n".join([*(f"STAT {n} {v}" for n, v in rows), "END"])

    def _values(self, now: float) -> dict[str, str]:
        work, found = int(self.work), int(self.found)
        missed = work - found
        connections = int(sum(p.connections for p in self.callers.values()) + 0.999) + 2
        counts = {n: self.counts.get(n, 0) for n in ("cmd_get", "cmd_set", "get_hits", "get_misses", "evictions")}
        items = len(self.items) + min(missed, 2000)
        size = int(self.memory(now)) + min(missed, 2000) * 180
        return {
            "uptime": str(int(now - self.started)), "time": str(int(now)), "version": self.version,
            "max_connections": str(self.most), "connections": str(connections),
            "total_connections": str(connections + self.counts.get("total_connections", 0)),
            "gets": str(counts["cmd_get"] + work), "sets": str(counts["cmd_set"] + missed),
            "flushes": str(self.counts.get("cmd_flush", 0)), "touches": str(self.counts.get("cmd_touch", 0)),
            "hits": str(counts["get_hits"] + found), "misses": str(counts["get_misses"] + missed),
            "bytes_read": str(work * 40), "bytes_written": str(found * 180), "limit": str(self.room),
            "bytes": str(size), "items": str(items), "evictions": str(counts["evictions"]), "cpu": f"{work * 2e-5:.6f}",
        }  # fmt: skip
