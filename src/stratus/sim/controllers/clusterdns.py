"""CoreDNS as a program: what configuration each of its pods runs with, reloads, and configurations it refuses."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, spread
from stratus.sim.corefile import COREFILE, Corefile, CorefileError, parse
from stratus.sim.dnsserver import loops
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.containerworld import ContainerWorld
    from stratus.sim.generic import Process

VERSION = "1.12.3"
IMAGE = "coredns"
LOOPS = 'https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO 4547991504243258144.3688648895315093531."'
#: Seconds by which CoreDNS spreads its looks at the file.
JITTER = 0.5


class ClusterDns(Controller):
    """CoreDNS pods; `state` maps a pod's uid to (namespace, pod, container, text it runs with)."""

    name: ClassVar[str] = "dns"
    component: ClassVar[str] = "coredns"
    resources: ClassVar[tuple[str, ...]] = ("configmaps", "services")

    @property
    def installed(self) -> bool:
        """Tell whether this cluster's DNS is made of objects (it once had a kube-dns Service)."""
        return bool(self.state.get("installed"))

    def config(self, uid: str) -> Corefile | None:
        """Return what a pod answers by; None when it does not run CoreDNS."""
        found = self.state.get(uid)
        return parse(found[3]) if found is not None else None

    # the program

    @staticmethod
    def runs(container: Obj) -> bool:
        """Tell whether a container's image is CoreDNS."""
        image: str = container["image"]
        return image.rpartition("/")[2].partition(":")[0].partition("@")[0] == IMAGE

    def boot(self, pod: Obj, container: Obj, process: Process, world: ContainerWorld) -> int | None:
        """Start CoreDNS in a container; return its exit code when it does not stay up."""
        text = self._text(process.argv, world)
        lines = process.outcome.lines
        if text is None:
            lines.append((0.0, "err", "open /etc/coredns/Corefile: no such file or directory\n"))
            return 1
        try:
            config = parse(text)
        except CorefileError as error:
            lines.append((0.0, "err", f"{error}\n"))
            return 1
        zone = loops(config)
        told = [f".:{s.port}" if s.zones[0] == "." else f"{s.zones[0]}.:{s.port}" for s in config.servers]
        if config.has("reload"):
            told.append(_running(text))
        told += [f"CoreDNS-{VERSION}", "linux/amd64, go1.24.4, 51e11f1"]
        for line in told:
            lines.append((0.0, "out", line + "\n"))
        if zone:
            text = f'[FATAL] plugin/loop: Loop (127.0.0.1:46519 -> :53) detected for zone "{zone}", see {LOOPS}'
            lines.append((0.1, "err", text + "\n"))
            process.outcome.elapsed = 0.2
            return 1
        self.state[pod["metadata"]["uid"]] = (*key_of(pod), container["name"], text)
        process.outcome.ports = config.ports()
        process.outcome.program = process.argv[0] if process.argv else IMAGE
        process.app = True
        return None

    @staticmethod
    def _text(argv: list[str], world: ContainerWorld) -> str | None:
        """Return the configuration a process was started with."""
        path = ""
        for position, word in enumerate(argv):
            name, _, value = word.lstrip("-").partition("=")
            if word.startswith("-") and name == "conf":
                path = value or (argv[position + 1] if position + 1 < len(argv) else "")
        if not path:
            # Nobody says where it is: CoreDNS looks beside itself and finds nothing.
            return ""
        return world.read(path)

    def gone(self, uid: str) -> None:
        """A CoreDNS process has ended."""
        self.state.pop(uid, None)

    # reloads

    def on_change(self, change: Change) -> None:
        """A ConfigMap that a CoreDNS pod may read, or the Service of cluster DNS."""
        meta = change.object["metadata"]
        if change.resource == "services":
            if (meta["namespace"], meta["name"]) == ("kube-system", "kube-dns"):
                self.state["installed"] = True
            return
        for uid, found in list(self.state.items()):
            if uid == "installed" or found[0] != meta["namespace"]:
                continue
            every = parse(found[3]).reload_seconds()
            if every:
                # The file changes with the ConfigMap; CoreDNS looks at it every `every` seconds.
                self.wake((found[0], found[1]), self.clock.now() + every * (0.5 + JITTER * spread(uid)), "reload")

    def on_timer(self, key: Key, tag: str) -> None:
        """CoreDNS looks at its file."""
        from stratus.sim.containerworld import ContainerWorld
        from stratus.sim.generic import GenericRuntime

        pod = self.store.get("pods", *key)
        runtime = self.control.runtime
        found = self.state.get(pod["metadata"]["uid"]) if pod is not None else None
        if pod is None or found is None or not isinstance(runtime, GenericRuntime):
            return
        container = next((c for c in pod["spec"]["containers"] if c["name"] == found[2]), None)
        process = runtime.process(pod, container) if container is not None else None
        if container is None or process is None:
            return
        text = self._text(process.argv, ContainerWorld(runtime, pod, container, process))
        if text is None or text == found[3]:
            return
        at = self.clock.now() - process.started_at
        # A fork shares what a process has become of so far: go on with a copy.
        process.outcome = copy.copy(process.outcome)
        lines = process.outcome.lines = list(process.outcome.lines)
        try:
            config = parse(text)
        except CorefileError as error:
            lines.append((at, "out", "[INFO] Reloading\n"))
            lines.append((at, "out", f"[ERROR] Restart failed: {error}\n"))
            lines.append((at, "out", f"[ERROR] plugin/reload: Corefile changed but reload failed: {error}\n"))
            return
        for line in ("[INFO] Reloading", _running(text), "[INFO] Reloading complete"):
            lines.append((at, "out", line + "\n"))
        self.state[pod["metadata"]["uid"]] = (*found[:3], text)
        process.outcome.ports = config.ports()
        if hasattr(runtime, "version"):
            runtime.version += 1

    def sync(self, key: Key) -> None:
        """Nothing waits to be reconciled: reloads come with timers."""


def _running(text: str) -> str:
    digest = hashlib.sha512(text.encode()).hexdigest()
    return f"[INFO] plugin/reload: Running configuration SHA512 = {digest}"


__all__ = ["COREFILE", "ClusterDns"]
