"""The files a process in a container sees: its image's, what was written since, and what is mounted over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from stratus.sim.disks import in_use
from stratus.sim.filesystem import Node, Tree
from stratus.sim.imagefiles import IMAGE_DIRS, IMAGE_FILES, READABLE, image_nodes, system_file
from stratus.sim.kubelet.environment import MountError, volume_files
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.generic import GenericRuntime, Process

_READ_ONLY = "Read-only file system"
_HOPS = 20
#: Directories of every image that anybody may write to, with the bit that keeps files to their owners.
_OPEN_DIRS = frozenset(f"/{name}" for name in ("tmp", "var/tmp", "dev/shm"))
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a path inside a container)
Mount = tuple[str, Obj, Obj]


def normal(path: str) -> str:
    """Return an absolute path without `.`, `..` and double slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class ContainerFiles:
    """The file system of one container.

    What the container's own process writes lies in `process.files`; what is written from outside by exec lies over it
    in `process.visited`, because a script that waits is run again from its start and must find its own files as it
    left them. Volumes that can be written to are trees of the runtime.
    """

    def __init__(self, runtime: GenericRuntime, pod: Obj, container: Obj, process: Process, visiting: bool) -> None:
        self.runtime = runtime
        self.pod = pod
        self.container = container
        self.process = process
        self.upper = process.visited if visiting else process.files
        self.layers = [process.visited, process.files] if visiting else [process.files]
        self._mounts: list[Mount] | None = None
        self._image: dict[str, Node] | None = None

    # what lies where

    def mounts(self) -> list[Mount]:
        """Return (path, mount, volume), deepest first."""
        if self._mounts is None:
            volumes = {v["name"]: v for v in self.pod["spec"].get("volumes") or ()}
            found = [
                (m["mountPath"].rstrip("/") or "/", m, volumes.get(m["name"], {}))
                for m in self.container.get("volumeMounts") or ()
            ]
            self._mounts = sorted(found, key=lambda entry: -len(entry[0]))
        return self._mounts

    def mount_of(self, path: str) -> Mount | None:
        """Return the mount that a path lies in."""
        for entry in self.mounts():
            if path == entry[0] or path.startswith(entry[0].rstrip("/") + "/"):
                return entry
        return None

    def _shared(self, entry: Mount) -> Tree | None:
        return self.runtime.shared(self.pod, entry[2])

    def _inner(self, entry: Mount, path: str) -> str:
        """Return where in its volume a path lies."""
        part = (entry[1].get("subPath") or "").strip("/")
        return normal(f"/{part}/{path[len(entry[0].rstrip('/')) :]}")

    def _mounted(self, entry: Mount) -> dict[str, Node]:
        """Return what a mount shows, by path in the container."""
        where, mount, volume = entry
        shared = self._shared(entry)
        if shared is not None:
            top = self._inner(entry, where)
            return {normal(f"{where}/{p[len(top.rstrip('/')) :]}"): n for p, n in shared.under(top)} | (
                {where: shared.nodes[top]} if top in shared.nodes and shared.nodes[top].kind == "file" else {}
            )
        status = self.pod.get("status") or {}
        try:
            files = volume_files(
                self.runtime.store, self.pod, volume, status.get("podIP", ""), status.get("hostIP", "")
            )
        except MountError:
            files = {}
        source = volume.get("configMap") or volume.get("secret") or volume.get("projected") or {}
        mode = int(source.get("defaultMode") or 0o644)
        at = self.process.started_at
        part = (mount.get("subPath") or mount.get("subPathExpr") or "").strip("/")
        if part and part in files:
            return {where: Node("file", files[part], mode, at)}
        lead = f"{part}/" if part else ""
        return {
            f"{where.rstrip('/')}/{name[len(lead) :]}": Node("file", text, mode, at)
            for name, text in files.items()
            if name.startswith(lead)
        }

    def image(self) -> dict[str, Node]:
        """Return what the image holds."""
        if self._image is None:
            self._image = image_nodes(self.runtime, self.pod, self.container, self.process.started_at)
        return self._image

    # single nodes

    def _own(self, path: str) -> Node | None:
        """Look a path up outside mounts."""
        for layer in self.layers:
            if path in layer.nodes:
                return layer.nodes[path]
            if layer.hides(path):
                return None
        found = self.image().get(path) if path in IMAGE_FILES else None
        return found if found is not None else system_file(self, path)

    def lookup(self, path: str) -> Node | None:
        """Return what is at a path; links are not followed at its end."""
        path = self._through(normal(path))
        entry = self.mount_of(path)
        if entry is None:
            return self._own(path) or (Node("dir", mode=0o755) if self._dir_below(path) else None)
        shared = self._shared(entry)
        if shared is not None:
            found = shared.nodes.get(self._inner(entry, path))
        else:
            found = self._mounted(entry).get(path)
        if found is None and ((shared is not None and path == entry[0]) or self._dir_below(path)):
            return Node("dir", mode=0o777, modified=self.process.started_at)
        return found

    def _through(self, path: str) -> str:
        """Follow the links in the directories of a path."""
        if not any(n.kind == "link" for layer in self.layers for n in layer.nodes.values()) and not self.mounts():
            return path
        hops = 0
        parts, done = path.strip("/").split("/"), ""
        while len(parts) > 1 and hops < _HOPS:
            step = f"{done}/{parts.pop(0)}"
            node = self._plain(step)
            if node is not None and node.kind == "link":
                hops += 1
                target = node.text if node.text.startswith("/") else f"{done}/{node.text}"
                parts, done = [*normal(target).strip("/").split("/"), *parts], ""
            else:
                done = step
        return f"{done}/{'/'.join(parts)}" if path != "/" else path

    def _plain(self, path: str) -> Node | None:
        entry = self.mount_of(path)
        if entry is None:
            return self._own(path)
        shared = self._shared(entry)
        return shared.nodes.get(self._inner(entry, path)) if shared is not None else None

    def follow(self, path: str) -> str:
        """Return where a path leads when all links are followed."""
        for _ in range(_HOPS):
            path = self._through(normal(path))
            node = self.lookup(path)
            if node is None or node.kind != "link":
                return path
            path = node.text if node.text.startswith("/") else f"{path.rpartition('/')[0]}/{node.text}"
        return path

    def stat(self, path: str) -> Node | None:
        """Return what is at a path, links followed."""
        return self.lookup(self.follow(path))

    def read(self, path: str) -> str | None:
        """Return a file's text, or None."""
        if self._never_written(normal(path)):
            return None
        found = self.stat(path)
        return found.content() if found is not None and found.kind == "file" else None

    def _never_written(self, path: str) -> bool:
        """Tell at a glance that there can be no file: nothing was written in the container, and nobody brings one."""
        return (
            path not in IMAGE_FILES
            and path not in READABLE
            and not path.startswith("/proc/")
            and not any(layer.nodes for layer in self.layers)
            and self.mount_of(path) is None
        )

    def is_dir(self, path: str) -> bool:
        """Tell whether a path is a directory."""
        found = self.stat(path)
        return found is not None and found.kind == "dir"

    def _dir_below(self, path: str) -> bool:
        path = path.rstrip("/") or "/"
        if path == "/" or any(where == path and not mount.get("subPath") for where, mount, _ in self.mounts()):
            return True
        if path in IMAGE_DIRS and not any(layer.hides(path) for layer in self.layers):
            return True
        return any(True for _ in self._below(path))

    def _below(self, top: str) -> Iterator[str]:
        """Return the paths below a directory, mounts included; the order does not matter."""
        start = top.rstrip("/") + "/"
        entry = self.mount_of(top) if top != "/" else None
        if entry is not None:
            yield from (p for p in self._mounted(entry) if p.startswith(start))
        else:
            hidden: list[Tree] = []
            for layer in self.layers:
                yield from (p for p, _ in layer.under(top) if not any(h.hides(p) for h in hidden))
                hidden.append(layer)
            for p in (*self.image(), *IMAGE_DIRS, *READABLE):
                if p.startswith(start) and len(p) > len(start) and not any(h.hides(p) for h in hidden):
                    yield p
        for where, _, _ in self.mounts():
            if where.startswith(start):
                yield where

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a directory."""
        path = self.follow(path)
        top = path.rstrip("/") + "/"
        return sorted({p[len(top) :].partition("/")[0] for p in self._below(path)} - {""})

    # changes

    def _problem(self, path: str) -> str:
        """Say why nothing can be written at a path; empty when it can."""
        entry = self.mount_of(path)
        if entry is not None:
            shared = self._shared(entry)
            return _READ_ONLY if shared is None or entry[1].get("readOnly") else ""
        if path.startswith(("/proc/", "/sys/")):
            return "Permission denied" if path.startswith("/proc/") else _READ_ONLY
        return _READ_ONLY if (self.container.get("securityContext") or {}).get("readOnlyRootFilesystem") else ""

    def put(self, path: str, node: Node) -> str:
        """Put a node at a path whose directory exists; return an error text."""
        path = self.follow(path) if node.kind == "file" else self._through(normal(path))
        problem = self._problem(path)
        if problem:
            return problem
        if not self.is_dir(path.rpartition("/")[0] or "/"):
            return "nonexistent directory"
        entry = self.mount_of(path)
        if entry is None:
            self.upper.put(path, node)
            return ""
        shared = self._shared(entry)
        assert shared is not None
        inner = self._inner(entry, path)
        if self._full(entry, shared, inner, node):
            return "No space left on device"
        shared.put(inner, node)
        return ""

    def _full(self, entry: Mount, shared: Tree, inner: str, node: Node) -> bool:
        room = self.capacity(entry)
        if not room or node.kind != "file":
            return False
        before = shared.nodes.get(inner)
        grows = node.size - (before.size if before is not None else 0)
        return grows > 0 and shared.size() + self.held(entry) + grows > room

    def held(self, entry: Mount) -> float:
        """Return the bytes of a claimed volume that are said to be in use."""
        claim = (entry[2].get("persistentVolumeClaim") or {}).get("claimName")
        if not claim:
            return 0.0
        return in_use(self.runtime.store.get("persistentvolumeclaims", self.pod["metadata"]["namespace"], claim))

    def capacity(self, entry: Mount) -> float:
        """Return the bytes a claimed volume holds; 0 when nothing limits it."""
        claim = (entry[2].get("persistentVolumeClaim") or {}).get("claimName")
        if not claim:
            return 0.0
        found = self.runtime.store.get("persistentvolumeclaims", self.pod["metadata"]["namespace"], claim) or {}
        size = ((found.get("status") or {}).get("capacity") or {}).get("storage")
        return parse_quantity(size) if size else 0.0

    def write(self, path: str, text: str, append: bool) -> str:
        """Write a file; return an error text."""
        if path in ("/dev/null", "/dev/stdout", "/dev/stderr") or path.startswith(("/dev/tcp", "/proc/1/fd/")):
            return ""
        before = self.stat(path)
        if before is not None and before.kind == "dir":
            return "Is a directory"
        at = self.process.started_at
        if before is None:
            return self.put(path, Node("file", text, 0o644, at))
        if append:
            text = before.content() + text
        return self.put(path, replace(before, text=text, zeros=0, modified=at))

    def remove(self, path: str) -> bool:
        """Remove a file or a tree."""
        path = self._through(normal(path))
        if self.lookup(path) is None or self._problem(path) or path == "/":
            return False
        entry = self.mount_of(path)
        if entry is None:
            self.upper.hide(path)
            return True
        shared = self._shared(entry)
        return shared is not None and shared.drop(self._inner(entry, path))

    def mkdir(self, path: str, mode: int = 0o755) -> str:
        """Make a directory and its parents."""
        path = normal(path)
        steps = path.strip("/").split("/")
        for number in range(1, len(steps) + 1):
            step = "/" + "/".join(steps[:number])
            found = self.stat(step)
            if found is not None:
                if found.kind != "dir":
                    return "Not a directory"
                continue
            problem = self.put(step, Node("dir", "", mode, self.process.started_at))
            if problem:
                return problem
        return ""

    def birth(self) -> float:
        """Return when the container's own process was started."""
        running = self.runtime.process(self.pod, self.container)
        return running.started_at if running is not None else self.process.started_at

    def shown_mode(self, path: str, node: Node) -> Node:
        """Return a node as it looks: some directories of images are open to all."""
        return replace(node, mode=0o1777) if path in _OPEN_DIRS and node.kind == "dir" else node

    def usage(self) -> list[tuple[str, str, float, float]]:
        """Return (device, mount point, bytes, used bytes) of what is mounted, the root first."""
        written = sum(layer.size() for layer in self.layers)
        found = [("overlay", "/", 62_671_093_760.0, 18_801_328_128.0 + written)]
        found.append(("tmpfs", "/dev", 67_108_864.0, 0.0))
        found.append(("shm", _SHARED_MEMORY, 67_108_864.0, 0.0))
        for where, _, volume in sorted(self.mounts(), key=lambda entry: entry[0]):
            shared = self.runtime.shared(self.pod, volume)
            room = self.capacity((where, {}, volume))
            if shared is None:
                found.append(("tmpfs", where, 8_344_000_000.0, 12_288.0))
            elif room:
                held = self.held((where, {}, volume))
                found.append(("/dev/sdb", where, room, min(float(shared.size()) + held, room)))
            else:
                medium = (volume.get("emptyDir") or {}).get("medium")
                device = "tmpfs" if medium == "Memory" else "/dev/sda1"
                used = 0.0 if medium == "Memory" else 18_801_328_128.0
                found.append((device, where, 62_671_093_760.0, used + shared.size()))
        return found
