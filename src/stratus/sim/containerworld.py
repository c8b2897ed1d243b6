"""What a process in a container sees: its files and mounts, the network, and the programs of its image."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from stratus.sim.containerfiles import ContainerFiles, normal
from stratus.sim.network import NoSuchHost, Reached, Refused, Turned
from stratus.sim.quantity import parse_quantity
from stratus.sim.registry import ImageBehaviour
from stratus.sim.shellcommands import known_programs
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.generic import GenericRuntime, Process

#: Names of programs, paths and images that somebody chose because they do not exist.
ABSENT = re.compile(
    r"no[-_/ ]?such|does[-_]?not|do[-_]?not[-_]?exist|non-?exist|missing|not-?found|invalid|bogus|typo|wrong|broken"
    r"|(^|[-_/.])(nope|bad|fake)([-_/.]|$)|xxx",
    re.IGNORECASE,
)
TOOL_DIRS = ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin")
#: Tools that small images lack.
LACKING = {
    "busybox": {"curl", "bash", "python", "python3", "dig", "getent", "stress", "stress-ng", "zsh"},
    "alpine": {"curl", "bash", "python", "python3", "dig", "stress", "stress-ng", "zsh"},
}
#: Clients of servers, and the images that hold them.
CLIENTS = {
    "redis-cli": re.compile(r"redis|valkey|keydb|dragonfly"),
    "valkey-cli": re.compile(r"valkey"),
    "mongo": re.compile(r"mongo"),
    "mongosh": re.compile(r"mongo"),
    **dict.fromkeys(
        ("psql", "pg_isready", "createdb", "dropdb", "createuser", "dropuser"),
        re.compile(r"postgres|timescale|pgvector|spilo|pgbouncer|patroni"),
    ),
}
_KAFKA = re.compile(r"kafka-[a-z-]+(\.sh)?")
SERVERS = {
    "redis-server": 6379, "valkey-server": 6379, "mongod": 27017, "memcached": 11211, "postgres": 5432, "mysqld": 3306,
    "nginx": 80, "httpd-foreground": 80, "apache2": 80, "rabbitmq-server": 5672,
}  # fmt: skip
_FLAG = re.compile(
    r"--?(?:http-?|listen-?|server-?|grpc-?|web\.)?(?:port|listen|addr|address|bind|listen-address)(?:=(.*))?$"
)


def flag_ports(argv: list[str]) -> frozenset[int]:
    """Return the ports that a program's flags tell it to listen on."""
    found = set()
    for position, word in enumerate(argv):
        match = _FLAG.fullmatch(word)
        short = word == "-p"
        if not match and not short:
            continue
        value = match.group(1) if match and match.group(1) is not None else ""
        if not value and position + 1 < len(argv):
            value = argv[position + 1]
        number = value.strip("'\"").rpartition(":")[2]
        if number.isdigit():
            found.add(int(number))
    return frozenset(found)


class ContainerWorld(ContainerFiles):
    """The surroundings of one container, for the shell; `visiting` when it is an exec that looks around."""

    def __init__(
        self, runtime: GenericRuntime, pod: Obj, container: Obj, process: Process, *, visiting: bool = False
    ) -> None:
        super().__init__(runtime, pod, container, process, visiting)
        self.behaviour: ImageBehaviour = runtime.behaviour(container)
        self.described = runtime.registry.is_described(container["image"])

    def now(self) -> float:
        """Return when the process was started (the shell adds its own time)."""
        return self.process.started_at

    # programs

    def has_program(self, name: str) -> bool:
        """Tell whether the image holds a program."""
        base = name.rpartition("/")[2]
        own = {w.rpartition("/")[2] for w in (*self.behaviour.command[:1], *self.behaviour.entrypoint[:1])}
        if base in own and (name in self.behaviour.command or name in self.behaviour.entrypoint or "/" not in name):
            return True
        folder = name.rpartition("/")[0]
        if base in known_programs():
            if not self.behaviour.shell:
                return False
            image = self.runtime.registry.canonical(self.container["image"]).rpartition(":")[0].rpartition("/")[2]
            if base in LACKING.get(image, ()):
                return False
            if base in CLIENTS and not CLIENTS[base].search(self.container["image"]):
                return False
            if _KAFKA.fullmatch(base):
                return "kafka" in self.container["image"]
            if base in ("stress", "stress-ng"):
                return "stress" in self.container["image"] or not self.described
            return not folder or folder in TOOL_DIRS
        if self.described:
            return base in SERVERS and base in own
        return not ABSENT.search(name)

    def serves(self, argv: list[str]) -> frozenset[int] | None:
        """Return the ports of a server of the image."""
        base = argv[0].rpartition("/")[2]
        if base in known_programs() and base not in ("httpd-foreground",):
            return None
        if not self.has_program(argv[0]):
            return None
        if base == "agnhost" and argv[1:2]:
            return {"netexec": flag_ports(argv) or frozenset({8080}), "serve-hostname": frozenset({9376})}.get(
                argv[1], frozenset()
            )
        flags = flag_ports(argv[1:])
        if flags:
            return flags
        if base == "nginx":
            return self._nginx_ports() or frozenset({80} if self.behaviour.ports is None else self.behaviour.ports)
        if base in SERVERS and (self.behaviour.ports is None or not self.described):
            return frozenset({SERVERS[base]})
        return self.runtime.app_ports(self.pod, self.container, self.process.env)

    def _nginx_ports(self) -> frozenset[int]:
        """Return what a configuration that was mounted or written says; nothing when it is the image's own."""
        root = "/etc/nginx"
        mounted = [
            where for where, _, _ in self.mounts() if f"{where}/".startswith(f"{root}/") or where in (root, "/etc")
        ]
        if not mounted and not any(layer.nodes for layer in self.layers):
            return frozenset()
        paths = {path for top in (root, *mounted) for path in self._below(top) if path.startswith(f"{root}/")}
        main = self.read(f"{root}/nginx.conf") or ""
        if "conf.d" not in main:
            paths = {f"{root}/nginx.conf"}
        found: set[int] = set()
        for path in paths:
            text = self.read(path) or ""
            found |= {int(p) for p in re.findall(r"\blisten\s+(?:[\w.\[\]:*]+:)?(\d+)", text)}
        return frozenset(found)

    # questions

    def ask(self, question: str, *details: Any) -> Any:
        """Answer a question about what may change."""
        return getattr(self, f"_ask_{question}")(*details)

    def _ask_is_mounted(self, path: str) -> bool:
        return self.mount_of(normal(path)) is not None

    def _ask_mounted(self, path: str) -> str | None:
        return self.read(path)

    def _ask_memory_limit(self) -> float:
        limits = (self.container.get("resources") or {}).get("limits") or {}
        return parse_quantity(limits.get("memory"))

    def _ask_address(self) -> str:
        return str(self.pod.get("status", {}).get("podIP", ""))

    def _ask_identity(self) -> tuple[int, int]:
        """Return (user id, group id) of who runs commands in the container."""
        wide, own = self.pod["spec"].get("securityContext") or {}, self.container.get("securityContext") or {}
        uid = own.get("runAsUser", wide.get("runAsUser", 0))
        return int(uid), int(own.get("runAsGroup", wide.get("runAsGroup", 0)))

    def _ask_ports(self) -> list[int]:
        """Return the ports that are served in the pod."""
        return sorted(self.runtime.pod_ports(self.pod))

    def _ask_cpu(self) -> float:
        """Return the cores that the container uses."""
        return self.runtime.usage(self.pod, self.container)[0]

    def _ask_processes(self) -> list[tuple[int, str]]:
        return self.runtime.processes(self.pod, self.container)

    def _ask_is_base_image(self) -> bool:
        return self.described

    def _ask_declared_ports(self) -> frozenset[int]:
        return self.runtime.app_ports(self.pod, self.container, self.process.env)

    def _ask_signal(self, name: str) -> bool:
        return self.runtime.signal(self.pod, self.container, name)

    def _ask_resolve(self, name: str) -> tuple[str, list[str]] | None:
        found = self.runtime.network.resolve(self.pod, name)
        return None if found is None else (found.name, list(found.addresses))

    def _ask_nameserver(self) -> str | None:
        return self.runtime.nameserver() if self.runtime.network.dns_works(self.pod) else None

    def _ask_lookup(
        self, name: str, kind: str, server: str, plain: bool
    ) -> tuple[str, str, str, list[tuple[str, str, str, int]]]:
        found = self.runtime.network.lookup(self.pod, name, kind, server=server, plain=plain)
        return found.rcode, found.name, found.server, [(r.name, r.kind, r.value, r.ttl) for r in found.records]

    def _ask_talk(self, host: str, port: int, protocol: str, request: Any) -> tuple[str, str, Any]:
        """Let a client talk to a server; the answer is None when what listens there speaks something else."""
        found = self.runtime.network.connect(self.pod, host, port)
        if isinstance(found, NoSuchHost):
            return "no-host", "", None
        if not isinstance(found, Reached):
            return "refused" if isinstance(found, Refused) else "timeout", getattr(found, "address", ""), None
        if found.pod is None or found.container is None:
            return "reached", found.address, None
        here = found.pod["metadata"]["uid"] == self.pod["metadata"]["uid"]
        source = "127.0.0.1" if here else str((self.pod.get("status") or {}).get("podIP") or "127.0.0.1")
        peer = f"{source}:{40000 + zlib.crc32(self.pod['metadata']['name'].encode()) % 20000}"
        return (
            "reached",
            found.address,
            self.runtime.talk(found.pod, found.container, found.port, protocol, request, peer),
        )

    def _ask_say(self, host: str, port: int, text: str) -> tuple[str, str, str | None]:
        """Send a text to whatever listens, and return what it says."""
        for protocol in ("memcached", "redis"):
            kind, address, answer = self._ask_talk(host, port, protocol, {"text": text})
            if kind != "reached" or answer is not None:
                return kind, address, answer
        words = text.split("\n", 1)[0].split()
        if len(words) == 3 and words[2].startswith("HTTP/"):
            kind, address, reply = self._ask_http(host, port, words[1], words[0], "", "http")
            if kind == "reached" and reply is not None and reply[0]:
                status, body = reply
                return kind, address, f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        return "reached", "", None

    def _ask_connect(self, host: str, port: int) -> tuple[str, str, None]:
        found = self.runtime.network.connect(self.pod, host, port)
        if isinstance(found, NoSuchHost):
            return ("no-host" if found.rcode == "NXDOMAIN" else "no-dns"), "", None
        if isinstance(found, Turned):
            # Whatever it answers a request, it takes the connection.
            return "reached", found.address, None
        kind = "reached" if isinstance(found, Reached) else "refused" if isinstance(found, Refused) else "timeout"
        return kind, found.address, None

    def _ask_http(
        self,
        host: str,
        port: int,
        path: str,
        method: str,
        data: str,
        scheme: str,
        named: str = "",
        insecure: bool = False,
    ) -> tuple[str, str, tuple[int, str] | None]:
        network = self.runtime.network
        found = network.connect(self.pod, host, port, path=path, named=named, insecure=insecure)
        if isinstance(found, NoSuchHost):
            return ("no-host" if found.rcode == "NXDOMAIN" else "no-dns"), "", None
        if isinstance(found, Refused):
            return "refused", found.address, None
        if isinstance(found, Turned):
            kind = "reached" if found.status else "certificate"
            return kind, found.address, (found.status, f"{found.message}\n" if found.status else found.message)
        if not isinstance(found, Reached):
            return "timeout", found.address, None
        if found.pod is None and found.port == 6443:
            return "reached", found.address, _api_server(path)
        if found.pod is None or found.container is None:
            return "reached", found.address, (200, "<!doctype html>\n")
        reply = self.runtime.http(found.pod, found.container, found.port, method, path, data)
        return "reached", found.address, (reply.status, reply.body)


def _api_server(path: str) -> tuple[int, str]:
    """Return what the API server tells somebody who does not say who he is."""
    bare = path.partition("?")[0]
    if bare in ("/healthz", "/livez", "/readyz"):
        return 200, "ok"
    text = f'forbidden: User \\"system:anonymous\\" cannot get path \\"{bare}\\"'
    return 403, (
        '{\n  "kind": "Status",\n  "apiVersion": "v1",\n  "metadata": {},\n  "status": "Failure",\n'
        f'  "message": "{text}",\n  "reason": "Forbidden",\n  "details": {{}},\n  "code": 403\n}}'
    )
