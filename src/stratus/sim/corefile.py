"""CoreDNS's configuration: the text taken apart into server blocks and plugins, or the error CoreDNS gives."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

#: What CoreDNS is installed with.
COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
#: Where a CoreDNS container finds it, as its messages name it.
PATH = "/etc/coredns/Corefile"
_PLUGINS = (
    "root metadata geoip cancel tls quic grpc_server https timeouts multisocket reload nsid bufsize bind debug trace "
    "ready health pprof prometheus errors log dnstap local dns64 acl any chaos loadbalance tsig cache rewrite header "
    "dnssec autopath minimal template transfer hosts route53 azure clouddns k8s_external kubernetes file auto "
    "secondary etcd loop forward grpc erratic whoami on sign view nomad import"
)
_KUBERNETES = (
    "endpoint tls kubeconfig apiserver_qps apiserver_burst apiserver_max_inflight namespaces namespace_labels labels "
    "pods endpoint_pod_names noendpoints fallthrough ignore ttl transfer multicluster startup_timeout"
)
_FORWARD = (
    "except force_tcp prefer_udp expire max_age max_fails tls tls_servername policy health_check max_concurrent next "
    "failfast_all_unhealthy_upstreams failover max_idle_conns max_connect_attempts"
)
#: Plugins that are compiled in; others are unknown directives. Then: what some of them know inside their block.
PLUGINS = frozenset(_PLUGINS.split())
KUBERNETES, FORWARD = frozenset(_KUBERNETES.split()), frozenset(_FORWARD.split())
TEMPLATE = frozenset(("match", "answer", "additional", "authority", "rcode", "ederror", "upstream", "fallthrough"))
RCODES = frozenset(
    ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "NOTAUTH", "NOTZONE")
)
_TOKEN = re.compile(r'"((?:\\"|[^"])*)"|`([^`]*)`|(\S+)')
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")


class CorefileError(Exception):
    """CoreDNS does not take this configuration; the text is CoreDNS's."""


@dataclass(frozen=True, slots=True)
class Line:
    """One directive or property: its words, where it stands, and the block behind it."""

    words: tuple[str, ...]
    number: int
    block: tuple[Line, ...] | None = None

    @property
    def name(self) -> str:
        """Return the first word."""
        return self.words[0]


@dataclass(frozen=True, slots=True)
class Server:
    """One server block: the zones it answers for, its port, and its plugins by name in the order written."""

    zones: tuple[str, ...]
    port: int
    plugins: tuple[Line, ...]

    def all(self, name: str) -> list[Line]:
        """Return every use of a plugin."""
        return [p for p in self.plugins if p.name == name]

    def has(self, name: str) -> bool:
        """Tell whether a plugin is used."""
        return any(p.name == name for p in self.plugins)


@dataclass(frozen=True, slots=True)
class Corefile:
    """A configuration CoreDNS takes."""

    servers: tuple[Server, ...]

    def has(self, name: str) -> bool:
        """Tell whether any server uses a plugin."""
        return any(s.has(name) for s in self.servers)

    def ports(self) -> frozenset[int]:
        """Return the ports CoreDNS serves: DNS, and health, readiness and metrics where they are configured."""
        found = {s.port for s in self.servers}
        for name, default in (("health", 8080), ("ready", 8181), ("prometheus", 9153)):
            for server in self.servers:
                for line in server.all(name):
                    address = line.words[1] if len(line.words) > 1 else ""
                    tail = address.rpartition(":")[2]
                    found.add(int(tail) if tail.isdigit() else default)
        return frozenset(found)

    def reload_seconds(self) -> float | None:
        """Return the seconds between two looks at the file, None when it is read once."""
        for server in self.servers:
            for line in server.all("reload"):
                return _seconds(line.words[1]) if len(line.words) > 1 else 30.0
        return None

    def server(self, name: str, port: int = 53) -> Server | None:
        """Return the server block with the longest zone that holds a name."""
        best: tuple[int, Server] | None = None
        for server in self.servers:
            if server.port != port:
                continue
            for zone in server.zones:
                if in_zone(name, zone) and (best is None or len(zone) > best[0]):
                    best = (len(zone), server)
        return best[1] if best is not None else None


def in_zone(name: str, zone: str) -> bool:
    """Tell whether a name (without its last dot) lies in a zone."""
    bare = zone.rstrip(".").lower()
    name = name.rstrip(".").lower()
    return not bare or name == bare or name.endswith(f".{bare}")


def denial(host: str, rcode: str) -> str:
    """Return the piece of a Corefile that denies a name."""
    pattern = host.replace(".", "\\.")
    inside = (f"match ^{pattern}\\.$", f"rcode {rcode}", "fallthrough")
    return f"    template ANY ANY {host} {{\n" + "".join(f"       {line}\n" for line in inside) + "    }\n"


def _error(number: int, text: str) -> CorefileError:
    return CorefileError(f"{PATH}:{number} - Error during parsing: {text}")


def _words(text: str, number: int) -> list[str]:
    found = []
    for match in _TOKEN.finditer(text):
        quoted, raw, bare = match.groups()
        if bare is not None and bare.startswith("#"):
            break
        if bare is not None and bare.startswith(('"', "`")):
            raise _error(number, "Unexpected EOF")
        found.append(quoted.replace('\\"', '"') if quoted is not None else raw if raw is not None else bare)
    return found


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Return (line number, words), braces as words of their own where they open or close a block."""
    return [(n, words) for n, line in enumerate(text.splitlines(), 1) if (words := _words(line, n))]


def _block(lines: list[tuple[int, list[str]]], at: int) -> tuple[tuple[Line, ...], int]:
    """Read directives up to the closing brace; return them and the index after it."""
    found: list[Line] = []
    while at < len(lines):
        number, words = lines[at]
        if words == ["}"]:
            return tuple(found), at + 1
        if "}" in words[:-1] or (words[-1] == "}" and "{" not in words):
            raise CorefileError(f"{PATH}:{number} - Syntax error: Unexpected token '{words[-1]}', expecting '}}'")
        if words[0] == "{":
            raise _error(number, "Unexpected token '{'")
        if words[-1] == "{":
            inner, at = _block(lines, at + 1)
            found.append(Line(tuple(words[:-1]), number, inner))
            continue
        if words[-1] == "}" and "{" in words:
            cut = words.index("{")
            rest = words[cut + 1 : -1]
            inner = (Line(tuple(rest), number),) if rest else ()
            found.append(Line(tuple(words[:cut]), number, inner))
        else:
            found.append(Line(tuple(words), number))
        at += 1
    last = lines[-1][0] if lines else 1
    raise _error(last, "Unexpected EOF")


def _zone(key: str, number: int) -> tuple[str, int]:
    bare = re.sub(r"^(dns|tls|https|grpc|quic)://", "", key.rstrip(","))
    zone, colon, port = bare.rpartition(":")
    if not colon:
        zone, port = bare, "53"
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise CorefileError(f'{PATH}:{number} - Error during parsing: address "{key}": invalid port')
    try:
        network = ipaddress.ip_network(zone, strict=False)
        zone = _reverse(network)
    except ValueError:
        pass
    return (zone.rstrip(".") or "."), int(port)


def _reverse(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join([*reversed(octets), "in-addr.arpa"])


@lru_cache(maxsize=64)
def parse(text: str) -> Corefile:
    """Take a Corefile apart.

    Raises:
        CorefileError: CoreDNS would refuse it, with its message.
    """
    lines = _lines(text)
    servers: list[Server] = []
    snippets: dict[str, tuple[Line, ...]] = {}
    at = 0
    while at < len(lines):
        number, words = lines[at]
        keys = list(words)
        while keys[-1].endswith(",") and at + 1 < len(lines):
            at += 1
            keys += lines[at][1]
        if keys[-1] != "{":
            raise _error(number, f"Unknown directive '{keys[0]}'" if len(lines) > 1 else "Unexpected EOF")
        keys = [k for k in keys[:-1] if k]
        body, at = _block(lines, at + 1)
        if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
            snippets[keys[0][1:-1]] = body
            continue
        if not keys:
            raise _error(number, "Unexpected token '{'")
        zones = [_zone(k, number) for k in keys]
        plugins = _imported(body, snippets)
        for line in plugins:
            _check(line)
        for port in dict.fromkeys(port for _, port in zones):
            servers.append(Server(tuple(z for z, p in zones if p == port), port, plugins))
    seen: set[tuple[str, int]] = set()
    for server in servers:
        for zone in server.zones:
            if (zone, server.port) in seen:
                shown = "." if zone == "." else f"{zone}."
                raise CorefileError(f"cannot serve dns://{shown}:{server.port} - it is already defined")
            seen.add((zone, server.port))
    if not servers:
        # Without any server block CoreDNS answers every query with who asked.
        return Corefile((Server((".",), 53, (Line(("whoami",), 1), Line(("log",), 1))),))
    return Corefile(tuple(servers))


def _imported(body: tuple[Line, ...], snippets: dict[str, tuple[Line, ...]]) -> tuple[Line, ...]:
    found: list[Line] = []
    for line in body:
        if line.name != "import":
            found.append(line)
        elif len(line.words) > 1 and line.words[1] in snippets:
            found += _imported(snippets[line.words[1]], snippets)
        elif "*" not in "".join(line.words[1:]):
            raise _error(line.number, f"File to import not found: {' '.join(line.words[1:])}")
    return tuple(found)


def _check(line: Line) -> None:
    if line.name not in PLUGINS:
        raise _error(line.number, f"Unknown directive '{line.name}'")
    check = {"kubernetes": _kubernetes, "forward": _forward, "template": _template, "rewrite": _rewrite}.get(line.name)
    if check is not None:
        check(line)
    elif line.name == "hosts":
        for entry in line.block or ():
            _hosts_entry(entry)
    elif line.name == "cache":
        _cache(line)
    elif line.name == "reload" and len(line.words) > 1 and not _DURATION.fullmatch(line.words[1]):
        raise CorefileError(f'plugin/reload: time: invalid duration "{line.words[1]}"')


def _plugin(line: Line, text: str) -> CorefileError:
    return CorefileError(f"plugin/{line.name}: {text}")


def _arguments(line: Line, inner: Line) -> CorefileError:
    text = f"Wrong argument count or unexpected line ending after '{inner.words[-1]}'"
    return _plugin(line, f"{PATH}:{inner.number} - Error during parsing: {text}")


def _kubernetes(line: Line) -> None:
    for entry in line.block or ():
        if entry.name not in KUBERNETES:
            raise _plugin(line, f"{PATH}:{entry.number} - Error during parsing: unknown property '{entry.name}'")
        if entry.name == "pods":
            if len(entry.words) != 2:
                raise _arguments(line, entry)
            if entry.words[1] not in ("disabled", "insecure", "verified"):
                text = f"wrong value for pods: {entry.words[1]}, must be one of: disabled, verified, insecure"
                raise _plugin(line, text)
        if entry.name == "ttl":
            if len(entry.words) != 2:
                raise _arguments(line, entry)
            if not entry.words[1].isdigit() or int(entry.words[1]) > 3600:
                raise _plugin(line, f"ttl must be in range [0, 3600]: {entry.words[1]}")


def _forward(line: Line) -> None:
    if len(line.words) < 3:
        raise _arguments(line, line)
    for target in line.words[2:]:
        if target.startswith("/"):
            continue
        host = re.sub(r"^(dns|tls)://", "", target)
        head, colon, port = host.rpartition(":")
        bare = head if colon and port.isdigit() else host
        try:
            ipaddress.ip_address(bare.strip("[]"))
        except ValueError:
            raise _plugin(line, f'not an IP address or file: "{target}"') from None
    for entry in line.block or ():
        if entry.name not in FORWARD:
            raise _plugin(line, f"{PATH}:{entry.number} - Error during parsing: unknown property '{entry.name}'")


def _template(line: Line) -> None:
    if len(line.words) < 3:
        raise _arguments(line, line)
    if line.words[1].upper() not in ("IN", "ANY", "CH", "HS", "CLASS1"):
        raise _plugin(line, f"{PATH}:{line.number} - Error during parsing: invalid query class {line.words[1]}")
    for entry in line.block or ():
        if entry.name not in TEMPLATE:
            raise _arguments(line, entry)
        if entry.name == "match":
            if len(entry.words) < 2:
                raise _arguments(line, entry)
            for pattern in entry.words[1:]:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise _plugin(line, f"could not parse regex: {pattern}, {error}") from None
        if entry.name == "rcode" and (len(entry.words) != 2 or entry.words[1].upper() not in RCODES):
            raise _plugin(line, f"unknown rcode {' '.join(entry.words[1:])}")


def _rewrite(line: Line) -> None:
    if len(line.words) < 3 and not line.block:
        raise _plugin(line, f"a rule requires at least {2 if len(line.words) > 1 else 1} arguments")


def _hosts_entry(entry: Line) -> None:
    if entry.name in ("fallthrough", "ttl", "no_reverse", "reload"):
        return
    try:
        ipaddress.ip_address(entry.name)
    except ValueError:
        text = f"{PATH}:{entry.number} - Error during parsing: unknown property '{entry.name}'"
        raise CorefileError(f"plugin/hosts: {text}") from None


def _cache(line: Line) -> None:
    words = line.words[1:]
    if words and words[0].isdigit():
        words = words[1:]
    elif words and re.fullmatch(r"-?\d+", words[0]):
        raise _plugin(line, f"cache TTL can not be zero or negative: {words[0]}")
    for entry in line.block or ():
        if entry.name not in ("success", "denial", "prefetch", "serve_stale", "servfail", "disable", "keepttl"):
            raise _arguments(line, entry)


def _seconds(text: str) -> float:
    unit = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(n) * unit[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text))
