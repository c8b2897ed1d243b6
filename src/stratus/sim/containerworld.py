"""What a process in a container sees: its files and mounts, the network, and the programs of its image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from stratus.sim.kubelet.environment import MountError, volume_files
from stratus.sim.network import NoSuchHost, Reached, Refused
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
IMAGE_DIRS = tuple(
    f"/{name}"
    for name in (
        *("", "bin", "etc", "tmp", "var", "usr", "home", "root", "opt", "proc", "dev", "run", "srv", "mnt"),
        *("var/run", "var/log", "var/lib", "var/tmp", "usr/bin", "usr/local", "usr/share", "app", "data"),
    )
)
#: Tools that small images lack.
LACKING = {
    "busybox": {"curl", "bash", "python", "python3", "dig", "getent", "stress", "stress-ng", "zsh"},
    "alpine": {"curl", "bash", "python", "python3", "dig", "stress", "stress-ng", "zsh"},
}
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


class ContainerWorld:
    """The surroundings of one container, for the shell."""

    def __init__(self, runtime: GenericRuntime, pod: Obj, container: Obj, process: Process) -> None:
        self.runtime = runtime
        self.pod = pod
        self.container = container
        self.process = process
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
        found = set()
        for path in self.list_all("/etc/nginx"):
            text = self.read(path) or ""
            found |= {int(p) for p in re.findall(r"^\s*listen\s+(?:[\w.\[\]:*]+:)?(\d+)", text, re.MULTILINE)}
        return frozenset(found)

    # files

    def mounts(self) -> list[tuple[str, Obj, Obj]]:
        """Return (path, mount, volume), deepest first."""
        volumes = {v["name"]: v for v in self.pod["spec"].get("volumes") or ()}
        found = [
            (m["mountPath"].rstrip("/") or "/", m, volumes.get(m["name"], {}))
            for m in self.container.get("volumeMounts") or ()
        ]
        return sorted(found, key=lambda entry: -len(entry[0]))

    def _mount_of(self, path: str) -> tuple[str, Obj, Obj] | None:
        for entry in self.mounts():
            if path == entry[0] or path.startswith(entry[0].rstrip("/") + "/"):
                return entry
        return None

    def _mounted_files(self, entry: tuple[str, Obj, Obj]) -> dict[str, str]:
        where, mount, volume = entry
        host = self.pod.get("status", {}).get("hostIP", "")
        ip = self.pod.get("status", {}).get("podIP", "")
        try:
            files = volume_files(self.runtime.store, self.pod, volume, ip, host)
        except MountError:
            files = {}
        shared = self.runtime.shared(self.pod, volume)
        if shared is not None:
            files = shared
        part = mount.get("subPath") or mount.get("subPathExpr")
        if part:
            if part in files:
                return {where: files[part]}
            return {f"{where}/{n[len(part) + 1 :]}": t for n, t in files.items() if n.startswith(part + "/")}
        return {f"{where.rstrip('/')}/{name}": text for name, text in files.items()}

    def _image_files(self) -> dict[str, str]:
        name = self.pod["metadata"]["name"]
        files = {
            "/etc/hostname": f"{name}\n",
            "/etc/hosts": f"127.0.0.1\tlocalhost\n{self.pod.get('status', {}).get('podIP', '')}\t{name}\n",
            "/etc/resolv.conf": self._resolv(),
            "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
            "/etc/os-release": 'NAME="Emulated Linux"\nID=emulated\n',
        }
        if "nginx" in self.container["image"]:
            files["/usr/share/nginx/html/index.html"] = "<h1>Welcome to nginx!</h1>\n"
        return files

    def _resolv(self) -> str:
        namespace = self.pod["metadata"]["namespace"]
        if self.pod["spec"].get("dnsPolicy") == "Default":
            return "nameserver 10.0.2.3\n"
        return (
            f"search {namespace}.svc.cluster.local svc.cluster.local cluster.local\n"
            f"nameserver {self.runtime.nameserver()}\noptions ndots:5\n"
        )

    def list_all(self, top: str) -> list[str]:
        """Return all files under a directory."""
        return sorted(p for p in self._all() if p.startswith(top.rstrip("/") + "/"))

    def _all(self) -> dict[str, str]:
        files = {**self._image_files(), **self.process.files}
        for entry in reversed(self.mounts()):
            files = {p: t for p, t in files.items() if not p.startswith(entry[0].rstrip("/") + "/")}
            files.update(self._mounted_files(entry))
        return files

    def read(self, path: str) -> str | None:
        """Return a file's text, or None."""
        entry = self._mount_of(path)
        if entry is not None:
            return self._mounted_files(entry).get(path)
        found = self.process.files.get(path)
        return found if found is not None else self._image_files().get(path)

    def write(self, path: str, text: str, append: bool) -> str:
        """Write a file; return an error text."""
        if path.startswith("/dev/"):
            return ""
        entry = self._mount_of(path)
        if entry is not None:
            shared = self.runtime.shared(self.pod, entry[2])
            if shared is None or entry[1].get("readOnly"):
                return "Read-only file system"
            name = path[len(entry[0].rstrip("/")) + 1 :]
            part = entry[1].get("subPath")
            name = f"{part}/{name}" if part else name
            shared[name] = shared.get(name, "") + text if append else text
            return ""
        if (self.container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
            return "Read-only file system"
        if not self.is_dir(path.rpartition("/")[0] or "/"):
            return "nonexistent directory"
        if self.is_dir(path):
            return "Is a directory"
        files = self.process.files
        files[path] = files.get(path, self._image_files().get(path, "")) + text if append else text
        return ""

    def remove(self, path: str) -> bool:
        """Remove a file or a tree."""
        found = False
        entry = self._mount_of(path)
        if entry is not None:
            shared = self.runtime.shared(self.pod, entry[2])
            if shared is not None:
                name = path[len(entry[0].rstrip("/")) + 1 :]
                for known in list(shared):
                    if known == name or known.startswith(name + "/"):
                        del shared[known]
                        found = True
            return found
        for known in list(self.process.files):
            if known == path or known.startswith(path + "/"):
                del self.process.files[known]
                found = True
        if path in self.process.dirs:
            self.process.dirs.discard(path)
            found = True
        return found

    def mkdir(self, path: str) -> str:
        """Make a directory and its parents."""
        if self._mount_of(path) is None and (self.container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
            return "Read-only file system"
        while path not in ("", "/"):
            self.process.dirs.add(path)
            path = path.rpartition("/")[0]
        return ""

    def is_dir(self, path: str) -> bool:
        """Tell whether a path is a directory."""
        path = path.rstrip("/") or "/"
        if path in IMAGE_DIRS or path in self.process.dirs:
            return True
        if any(where == path and not mount.get("subPath") for where, mount, _ in self.mounts()):
            return True
        return any(p.startswith(path + "/") for p in self._all())

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a directory."""
        top = path.rstrip("/") + "/"
        places = [*self._all(), *self.process.dirs, *IMAGE_DIRS, *(where for where, _, _ in self.mounts())]
        return sorted({p[len(top) :].partition("/")[0] for p in places if p.startswith(top) and len(p) > len(top)})

    # questions

    def ask(self, question: str, *details: Any) -> Any:
        """Answer a question about what may change."""
        return getattr(self, f"_ask_{question}")(*details)

    def _ask_is_mounted(self, path: str) -> bool:
        return self._mount_of(path) is not None

    def _ask_mounted(self, path: str) -> str | None:
        return self.read(path)

    def _ask_memory_limit(self) -> float:
        limits = (self.container.get("resources") or {}).get("limits") or {}
        return parse_quantity(limits.get("memory"))

    def _ask_address(self) -> str:
        return str(self.pod.get("status", {}).get("podIP", ""))

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

    def _ask_connect(self, host: str, port: int) -> tuple[str, str, None]:
        found = self.runtime.network.connect(self.pod, host, port)
        if isinstance(found, NoSuchHost):
            return "no-host", "", None
        kind = "reached" if isinstance(found, Reached) else "refused" if isinstance(found, Refused) else "timeout"
        return kind, found.address, None

    def _ask_http(
        self, host: str, port: int, path: str, method: str, data: str, scheme: str
    ) -> tuple[str, str, tuple[int, str] | None]:
        found = self.runtime.network.connect(self.pod, host, port)
        if isinstance(found, NoSuchHost):
            return "no-host", "", None
        if isinstance(found, Refused):
            return "refused", found.address, None
        if not isinstance(found, Reached):
            return "timeout", found.address, None
        if found.pod is None or found.container is None:
            return "reached", found.address, (200, "<!doctype html>\n")
        reply = self.runtime.http(found.pod, found.container, found.port, method, path, data)
        return "reached", found.address, (reply.status, reply.body)
