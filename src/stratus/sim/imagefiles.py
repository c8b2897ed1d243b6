"""What every image holds, and the files that the kernel makes up: /proc, /sys and what the kubelet puts into /etc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.kit.clock import parse_iso
from stratus.sim.filesystem import Node
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.containerfiles import ContainerFiles
    from stratus.sim.generic import GenericRuntime

IMAGE_DIRS = tuple(
    f"/{name}"
    for name in (
        *("", "bin", "etc", "tmp", "var", "usr", "home", "root", "opt", "proc", "dev", "run", "srv", "mnt", "sbin"),
        *("var/run", "var/log", "var/lib", "var/tmp", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin", "usr/share"),
        *("app", "data", "dev/shm", "sys", "sys/fs", "sys/fs/cgroup", "proc/1", "proc/net", "lib", "usr/lib", "media"),
    )
)
_PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/sbin/nologin\ndaemon:x:2:2:daemon:/sbin:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
)
_GROUP = "root:x:0:root\nbin:x:1:root,bin,daemon\ndaemon:x:2:root,bin,daemon\nnobody:x:65534:\n"
_NGINX = "events {}\nhttp {\n    include /etc/nginx/conf.d/*.conf;\n}\n"
_NGINX_SITE = "server {\n    listen 80;\n    location / {\n        root /usr/share/nginx/html;\n    }\n}\n"
#: Memory of a node, in kB, when the objects do not say.
_NODE_KB = 8_148_364.0
#: Seconds a node had been up when it joined the cluster.
_UP = 86_400.0 * 12
#: Files made up on reading.
READABLE = (
    "/proc/meminfo", "/proc/cpuinfo", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/mounts", "/proc/stat",
    "/proc/1/cmdline", "/proc/1/environ", "/proc/1/status", "/proc/1/limits", "/proc/net/tcp", "/proc/net/dev",
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/pids.max", "/dev/null", "/dev/zero", "/dev/urandom",
)  # fmt: skip


#: Where an image, or the kubelet, may have put a file.
IMAGE_FILES = frozenset(
    {
        "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/etc/os-release",
        "/etc/nsswitch.conf", "/usr/share/nginx/html/index.html", "/etc/nginx/nginx.conf",
        "/etc/nginx/conf.d/default.conf",
    }
)  # fmt: skip


def image_nodes(runtime: GenericRuntime, pod: Obj, container: Obj, at: float) -> dict[str, Node]:
    """Return the files of an image, and those that the kubelet adds to it."""
    name = (pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]
    status = pod.get("status") or {}
    texts = {
        "/etc/hostname": f"{name}\n",
        "/etc/hosts": _hosts(pod, name, status.get("podIP", "")),
        "/etc/resolv.conf": resolv(runtime, pod),
        "/etc/passwd": _PASSWD,
        "/etc/group": _GROUP,
        "/etc/os-release": _os_release(container["image"]),
        "/etc/nsswitch.conf": "hosts: files dns\n",
    }
    if "nginx" in container["image"]:
        texts["/usr/share/nginx/html/index.html"] = "<h1>Welcome to nginx!</h1>\n"
        texts["/etc/nginx/nginx.conf"] = _NGINX
        texts["/etc/nginx/conf.d/default.conf"] = _NGINX_SITE
    return {path: Node("file", text, 0o644, at) for path, text in texts.items()}


def _hosts(pod: Obj, name: str, ip: str) -> str:
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "fe00::\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    subdomain = pod["spec"].get("subdomain")
    full = f"{name}.{subdomain}.{pod['metadata']['namespace']}.svc.cluster.local\t{name}" if subdomain else name
    if ip:
        lines.append(f"{ip}\t{full}")
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += [f"{a['ip']}\t" + "\t".join(a.get("hostnames") or ()) for a in aliases]
    return "".join(f"{line}\n" for line in lines)


def resolv(runtime: GenericRuntime, pod: Obj) -> str:
    """Return what the kubelet writes into /etc/resolv.conf."""
    namespace = pod["metadata"]["namespace"]
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    config = spec.get("dnsConfig") or {}
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    if policy == "Default" or (policy == "ClusterFirst" and spec.get("hostNetwork")):
        servers = ["10.0.2.3"]
    elif policy != "None":
        servers = [runtime.nameserver()]
        searches = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        options = {"ndots": "5"}
    servers += [s for s in config.get("nameservers") or () if s not in servers]
    searches += [s for s in config.get("searches") or () if s not in searches]
    for option in config.get("options") or ():
        options[option["name"]] = str(option.get("value") or "")
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {s}" for s in servers]
    if options:
        lines.append("options " + " ".join(f"{n}:{v}" if v else n for n, v in options.items()))
    return "".join(f"{line}\n" for line in lines)


def _os_release(image: str) -> str:
    if "alpine" in image or "busybox" in image:
        return 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n'
    return 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


def node_memory(files: ContainerFiles) -> float:
    """Return the memory of the node a container runs on, in kB."""
    node = files.runtime.store.get("nodes", "", files.pod["spec"].get("nodeName", "")) or {}
    size = ((node.get("status") or {}).get("capacity") or {}).get("memory")
    return parse_quantity(size) / 1024 if size else _NODE_KB


def node_cores(files: ContainerFiles) -> int:
    """Return the cores of the node a container runs on."""
    node = files.runtime.store.get("nodes", "", files.pod["spec"].get("nodeName", "")) or {}
    size = ((node.get("status") or {}).get("capacity") or {}).get("cpu")
    return max(int(parse_quantity(size)), 1) if size else 2


def memory_figures(files: ContainerFiles) -> dict[str, int]:
    """Return the kB of a node's memory as /proc/meminfo names them."""
    total = node_memory(files)
    _, used = files.runtime.usage(files.pod, files.container)
    busy = total * 0.3 + used / 1024
    cached = total * 0.32
    free = max(total - busy - cached, total * 0.01)
    return {
        "MemTotal": int(total), "MemFree": int(free), "MemAvailable": int(min(free + cached * 0.95, total)),
        "Buffers": int(total * 0.012), "Cached": int(cached), "SwapCached": 0, "Active": int(busy * 0.6),
        "Inactive": int(cached * 0.8), "SwapTotal": 0, "SwapFree": 0, "Dirty": 236, "Shmem": 12004,
    }  # fmt: skip


def system_file(files: ContainerFiles, path: str) -> Node | None:
    """Return a file that the kernel makes up, None when it makes none at this path."""
    if path not in READABLE and not path.startswith("/proc/self/"):
        return None
    return Node("file", _content(files, path.replace("/proc/self/", "/proc/1/")), 0o444, files.process.started_at)


def _content(files: ContainerFiles, path: str) -> str:
    process, pod, container = files.process, files.pod, files.container
    limits = (container.get("resources") or {}).get("limits") or {}
    name = path.rpartition("/")[2]
    if path.startswith("/dev/"):
        return ""
    if path.startswith("/sys/fs/cgroup/"):
        return _cgroup(files, name, limits)
    if path.startswith("/proc/1/"):
        running = files.runtime.process(pod, container) or process
        if name == "cmdline":
            return "".join(f"{w}\0" for w in running.argv)
        if name == "environ":
            return "".join(f"{k}={v}\0" for k, v in running.env.items())
        if name == "limits":
            return (
                "Limit                     Soft Limit           Hard Limit           Units     \n"
                "Max open files            1048576              1048576              files     \n"
            )
        kb = int(files.runtime.usage(pod, container)[1] / 1024)
        word = (running.argv[0] if running.argv else "").rpartition("/")[2]
        return f"Name:\t{word[:15]}\nState:\tS (sleeping)\nPid:\t1\nPPid:\t0\nThreads:\t1\nVmRSS:\t{kb:>8} kB\n"
    if name == "meminfo":
        return "".join(f"{k + ':':<16}{v:>8} kB\n" for k, v in memory_figures(files).items())
    if name == "cpuinfo":
        return "".join(
            f"processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel name\t: Emulated CPU\ncpu MHz\t\t: 2400.000\n\n"
            for n in range(node_cores(files))
        )
    if name == "loadavg":
        return load_average(files) + " 1/312 42\n"
    if name == "uptime":
        up = uptime(files)
        return f"{up:.2f} {up * node_cores(files) * 0.8:.2f}\n"
    if name == "version":
        return "Linux version 6.1.0-25-amd64 (emulated) #1 SMP PREEMPT_DYNAMIC\n"
    if name == "mounts":
        return "".join(mount_lines(files))
    if name == "stat":
        return "cpu  183211 1021 92112 9912213 2112 0 1023 0 0 0\n"
    if path == "/proc/net/tcp":
        return _sockets(files)
    if path == "/proc/net/dev":
        return (
            "Inter-|   Receive                                                |  Transmit\n"
            " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls "
            "carrier compressed\n"
            "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0 "
            "      0          0\n"
        )
    return ""


def _sockets(files: ContainerFiles) -> str:
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"]
    for number, port in enumerate(sorted(files.runtime.pod_ports(files.pod))):
        lines.append(
            f"{number:>4}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
            f"{20000 + number} 1 0000000000000000 100 0 0 10 0\n"
        )
    return "".join(lines)


def _cgroup(files: ContainerFiles, name: str, limits: Obj) -> str:
    cores, used = files.runtime.usage(files.pod, files.container)
    if name == "memory.max":
        limit = parse_quantity(limits.get("memory"))
        return f"{int(limit)}\n" if limit else "max\n"
    if name == "memory.current":
        return f"{int(used)}\n"
    if name == "cpu.max":
        limit = parse_quantity(limits.get("cpu"))
        return f"{int(limit * 100000)} 100000\n" if limit else "max 100000\n"
    if name == "cpu.stat":
        spent = int(cores * max(files.process.started_at - files.birth(), 0.0) * 1e6)
        return f"usage_usec {spent}\nuser_usec {spent * 7 // 10}\nsystem_usec {spent * 3 // 10}\n"
    if name == "memory.events":
        return "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"
    return "max\n"


def load_average(files: ContainerFiles) -> str:
    """Return the three figures of the load of the last minutes."""
    cores, _ = files.runtime.usage(files.pod, files.container)
    return f"{cores + 0.21:.2f} {cores + 0.18:.2f} {cores + 0.15:.2f}"


def uptime(files: ContainerFiles) -> float:
    """Return the seconds since the node was started."""
    node = files.runtime.store.get("nodes", "", files.pod["spec"].get("nodeName", "")) or {}
    begun = (node.get("metadata") or {}).get("creationTimestamp")
    now = files.runtime.now()
    return now - (parse_iso(begun) if begun else now) + _UP


def mount_lines(files: ContainerFiles) -> list[str]:
    """Return the lines of /proc/mounts."""
    lines = [
        "overlay / overlay rw,relatime 0 0\n",
        "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n",
        "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755 0 0\n",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0\n",
        "cgroup /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime 0 0\n",
    ]
    for where, mount, volume in sorted(files.mounts(), key=lambda entry: entry[0]):
        writable = files.runtime.shared(files.pod, volume) is not None and not mount.get("readOnly")
        device, kind = ("/dev/sdb", "ext4") if volume.get("persistentVolumeClaim") else ("tmpfs", "tmpfs")
        lines.append(f"{device} {where} {kind} {'rw' if writable else 'ro'},relatime 0 0\n")
    return lines
