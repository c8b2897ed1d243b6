"""What CoreDNS answers: a query taken through the plugins of its configuration, over records made of objects."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Protocol

from stratus.sim.corefile import Corefile, Line, Server, in_zone

#: Where a chain of ExternalNames and CNAMEs is given up.
DEEPEST = 8
#: Resolvers outside the cluster that answer.
UPSTREAMS = frozenset(
    {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220", "10.0.2.3"}
)


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; SRV values are `priority weight port target`. `service` is the Service it speaks of."""

    name: str
    kind: str
    value: str
    ttl: int = 30
    service: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: NOERROR (records may be empty), NXDOMAIN, SERVFAIL, REFUSED or TIMEOUT."""

    rcode: str
    records: tuple[Record, ...] = ()

    def of(self, kind: str) -> list[str]:
        """Return the values of one type."""
        return [r.value for r in self.records if r.kind == kind]


NXDOMAIN, SERVFAIL, REFUSED, NODATA = Reply("NXDOMAIN"), Reply("SERVFAIL"), Reply("REFUSED"), Reply("NOERROR")


class World(Protocol):
    """What CoreDNS looks things up in."""

    def cluster_record(self, name: str, kind: str, zone: str, options: dict[str, tuple[str, ...]]) -> Reply:
        """Return what the cluster's objects say about a name in the cluster's zone."""
        ...

    def reverse_record(self, address: str, zone: str) -> Reply:
        """Return the names of an address, NXDOMAIN when none of the cluster has it."""
        ...

    def outside_record(self, name: str, kind: str) -> Reply:
        """Return what resolvers outside the cluster say."""
        ...


def answer(config: Corefile, world: World, name: str, kind: str = "A", depth: int = 0) -> Reply:
    """Return CoreDNS's answer to one query; `name` without its last dot."""
    name = name.rstrip(".").lower()
    server = config.server(name)
    if server is None:
        return REFUSED
    asked = name
    for block in server.all("rewrite"):
        changed, kind, stop = _rewritten(block, name, kind)
        if changed != name or stop:
            name = changed
            if stop:
                break
    found = _through(config, server, world, name, kind, depth)
    if name != asked and found.records:
        # The client hears of the name it asked for.
        records = tuple(replace(r, name=asked) if r.name == name else r for r in found.records)
        found = Reply(found.rcode, records)
    return found


def _through(config: Corefile, server: Server, world: World, name: str, kind: str, depth: int) -> Reply:
    """Go through the plugins in the order in which CoreDNS chains them, which is not the order written."""
    for line in server.all("acl"):
        if _blocked(line, name):
            return REFUSED
    for line in server.all("template"):
        reply = _templated(line, server, name, kind)
        if reply is not None:
            return reply
    for line in server.all("hosts"):
        reply = _hosts(line, server, name, kind)
        if reply is not None:
            return reply
    for line in server.all("kubernetes"):
        reply = _kubernetes(config, line, server, world, name, kind, depth)
        if reply is not None:
            return reply
    for line in server.all("forward"):
        if in_zone(name, line.words[1]) and not _excepted(line, name):
            return _forwarded(line, world, name, kind)
    if server.has("erratic"):
        return SERVFAIL
    if server.has("whoami"):
        return NODATA
    return SERVFAIL


def _zones(words: tuple[str, ...], server: Server) -> tuple[str, ...]:
    found = []
    for word in words or server.zones:
        try:
            network = ipaddress.ip_network(word, strict=False)
            octets = str(network.network_address).split(".")[: network.prefixlen // 8]
            found.append(".".join([*reversed(octets), "in-addr.arpa"]))
        except ValueError:
            found.append(word)
    return tuple(found)


def _falls(line: Line, name: str, zones: tuple[str, ...]) -> bool:
    """Tell whether a plugin passes on a name that it does not know."""
    for entry in line.block or ():
        if entry.name == "fallthrough":
            return any(in_zone(name, z) for z in entry.words[1:] or zones)
    return False


# rewrite


def _rewritten(line: Line, name: str, kind: str) -> tuple[str, str, bool]:
    """Return (name, type, whether later rules are skipped)."""
    words = list(line.words[1:])
    if line.block is not None:
        inner = [list(e.words) for e in line.block if e.name in ("name", "type")]
        lead = words[:1] if words[:1] in (["stop"], ["continue"]) else []
        words = [*lead, *(inner[0] if inner else words[len(lead) :])]
    stop = True
    if words[:1] in (["stop"], ["continue"]):
        stop = words.pop(0) == "stop"
    if words[:1] == ["type"] and len(words) >= 3:
        return (name, words[2], stop) if kind == words[1] else (name, kind, False)
    if words[:1] != ["name"]:
        return name, kind, False
    words = words[1:]
    how = words.pop(0) if words[:1] and words[0] in ("exact", "prefix", "suffix", "substring", "regex") else "exact"
    if len(words) < 2:
        return name, kind, False
    old, new = words[0], words[1]
    changed = _renamed(how, old, new, name)
    return (changed, kind, stop) if changed is not None else (name, kind, False)


def _renamed(how: str, old: str, new: str, name: str) -> str | None:
    plain, target = old.rstrip(".").lower(), new.rstrip(".").lower()
    if how == "exact":
        return target if name == plain else None
    if how == "prefix":
        return target + name[len(plain) :] if name.startswith(plain) else None
    if how == "suffix":
        return name[: len(name) - len(plain)] + target if name.endswith(plain) else None
    if how == "substring":
        return name.replace(plain, target) if plain in name else None
    try:
        match = re.search(old, f"{name}.") or re.search(old, name)
    except re.error:
        return None
    if match is None:
        return None
    result = re.sub(
        r"\{(\d+)\}", lambda m: (match.group(int(m.group(1))) or "") if _has(match, m.group(1)) else "", new
    )
    return result.rstrip(".").lower()


def _has(match: re.Match[str], number: str) -> bool:
    return int(number) <= (match.re.groups or 0)


# acl, template, hosts


def _blocked(line: Line, name: str) -> bool:
    zones = line.words[1:]
    if zones and not any(in_zone(name, z) for z in zones):
        return False
    for entry in line.block or ():
        networks = [entry.words[i + 1] for i, w in enumerate(entry.words[:-1]) if w == "net"]
        everybody = not networks or any(n in ("*", "0.0.0.0/0", "10.244.0.0/16", "10.0.0.0/8") for n in networks)
        if entry.name in ("block", "filter") and everybody:
            return True
        if entry.name == "allow" and everybody:
            return False
    return False


def _templated(line: Line, server: Server, name: str, kind: str) -> Reply | None:
    wanted = line.words[2].upper()
    zones = _zones(line.words[3:], server)
    if not any(in_zone(name, z) for z in zones) or wanted not in ("ANY", kind):
        return None
    block = line.block or ()
    patterns = [p for e in block if e.name == "match" for p in e.words[1:]] or [".*"]
    match = next((m for p in patterns if (m := re.search(p, f"{name}.")) is not None), None)
    if match is None:
        return None if _falls(line, name, zones) else NXDOMAIN
    rcode = next((e.words[1].upper() for e in block if e.name == "rcode"), "NOERROR")
    if rcode != "NOERROR":
        return Reply(rcode)
    records = []
    for entry in block:
        if entry.name == "answer":
            for text in entry.words[1:]:
                record = _record(_filled(text, name, match))
                if record is not None:
                    records.append(record)
    if not any(e.name == "answer" for e in block) and not any(e.name == "rcode" for e in block):
        return NODATA
    return Reply("NOERROR", tuple(r for r in records if r.kind in (kind, "CNAME")))


def _filled(text: str, name: str, match: re.Match[str]) -> str:
    def value(found: re.Match[str]) -> str:
        what = found.group(1).strip()
        if what == ".Name":
            return f"{name}."
        if what.startswith(".Group."):
            return match.groupdict().get(what[7:]) or ""
        index = re.fullmatch(r"index \.Match (\d+)", what)
        if index and int(index.group(1)) <= (match.re.groups or 0):
            return match.group(int(index.group(1))) or ""
        return ""

    return re.sub(r"\{\{([^}]*)\}\}", value, text)


def _record(text: str) -> Record | None:
    words = text.split()
    if len(words) < 4:
        return None
    name, rest = words[0], words[1:]
    ttl = 3600
    if rest[0].isdigit():
        ttl, rest = int(rest[0]), rest[1:]
    if rest[0].upper() == "IN":
        rest = rest[1:]
    if len(rest) < 2:
        return None
    return Record(name.rstrip("."), rest[0].upper(), " ".join(rest[1:]).rstrip("."), ttl)


def _hosts(line: Line, server: Server, name: str, kind: str) -> Reply | None:
    words = line.words[1:]
    if words and (words[0].startswith("/") or "/" in words[0]):
        words = words[1:]
    zones = _zones(words, server)
    if not any(in_zone(name, z) for z in zones):
        return None
    addresses, known = [], False
    for entry in line.block or ():
        if entry.name in ("fallthrough", "ttl", "no_reverse", "reload"):
            continue
        if name in (w.rstrip(".").lower() for w in entry.words[1:]):
            known = True
            if (":" in entry.name) == (kind == "AAAA") and kind in ("A", "AAAA"):
                addresses.append(Record(name, kind, entry.name, 3600))
    if addresses:
        return Reply("NOERROR", tuple(addresses))
    if known:
        return NODATA
    return None if _falls(line, name, zones) else NXDOMAIN


# kubernetes, forward


def _kubernetes(
    config: Corefile, line: Line, server: Server, world: World, name: str, kind: str, depth: int
) -> Reply | None:
    zones = _zones(line.words[1:], server)
    zone = next((z for z in sorted(zones, key=len, reverse=True) if in_zone(name, z)), None)
    if zone is None:
        return None
    options = {e.name: e.words[1:] for e in line.block or ()}
    home = next((z for z in zones if not z.endswith("arpa")), "cluster.local").rstrip(".")
    if zone.endswith("in-addr.arpa"):
        octets = name[: -len(".in-addr.arpa")].split(".")
        reply = (
            world.reverse_record(".".join(reversed(octets)), home) if kind == "PTR" and len(octets) == 4 else NXDOMAIN
        )
    elif zone.endswith("arpa"):
        reply = NXDOMAIN
    else:
        reply = world.cluster_record(name, kind, zone.rstrip("."), options)
    if reply.rcode == "NXDOMAIN" and _falls(line, name, zones):
        return None
    target = reply.of("CNAME")
    if target and kind in ("A", "AAAA") and not reply.of(kind) and depth < DEEPEST:
        # What an ExternalName stands for is asked of this very server.
        further = answer(config, world, target[0], kind, depth + 1)
        service = reply.records[0].service
        more = tuple(replace(r, service=r.service or service) for r in further.records)
        if further.rcode == "NOERROR" and more:
            return Reply("NOERROR", (*reply.records, *more))
    return reply


def _excepted(line: Line, name: str) -> bool:
    return any(in_zone(name, z) for e in line.block or () if e.name == "except" for z in e.words[1:])


def _forwarded(line: Line, world: World, name: str, kind: str) -> Reply:
    if any(reaches(target) for target in line.words[2:]):
        return world.outside_record(name, kind)
    return SERVFAIL


def reaches(target: str) -> bool:
    """Tell whether a resolver that queries are forwarded to answers: the node's own, or a known public one."""
    if target.startswith("/"):
        return target == "/etc/resolv.conf"
    host = re.sub(r"^(dns|tls)://", "", target)
    head, colon, port = host.rpartition(":")
    return (head if colon and port.isdigit() else host) in UPSTREAMS


def loops(config: Corefile) -> str:
    """Return the zone in which queries come back to this very server (and the loop plugin stops it), else nothing."""
    for server in config.servers:
        if not server.has("loop"):
            continue
        for line in server.all("forward"):
            for target in line.words[2:]:
                host = re.sub(r"^(dns|tls)://", "", target)
                if host.rpartition(":")[0] in ("127.0.0.1", "[::1]", "10.96.0.10") or host in (
                    *("127.0.0.1", "::1", "10.96.0.10"),
                ):
                    return server.zones[0]
    return ""
