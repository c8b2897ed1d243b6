"""Whom programs reach: connections worked out from the objects, kept as long as nothing changed that they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.sim.apps.chaos.disturbances import Disturbances
from stratus.sim.apps.process import Proc
from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.ingress import ADDRESS as INGRESS
from stratus.sim.network import NoSuchHost, Reached, Refused, TimedOut, Turned

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


class Ways(list[tuple[Proc | None, Reached]]):
    """Whom the connections of a name go to in turn; `broken`: what those of them meet that reach nobody."""

    broken: tuple[Refused | TimedOut | Turned, ...] = ()


#: Who is reached (or why nobody), and the (namespace, name) under which it was asked for.
Route = tuple[list[tuple[Proc | None, Reached]] | NoSuchHost | Refused | TimedOut | Turned, tuple[str, str]]
Key = tuple[str, str, str]
#: Most endpoints of one Service that a caller spreads its calls over.
MOST = 256


class Routes:
    """Routes by caller and target.

    Attributes:
        before: whom each caller reached before the last change, to tell which connections were cut.
    """

    def __init__(self, control: ControlPlane, runtime: AppRuntime, namespace: str, disturbances: Disturbances) -> None:
        self.control = control
        self.runtime = runtime
        self.namespace = namespace
        self.disturbances = disturbances
        self.before: dict[Key, list[Proc]] = {}
        self._now: dict[Key, Route] = {}

    def forget(self) -> None:
        """Something changed: work the routes out anew when they are asked for."""
        for key, (where, _) in self._now.items():
            if isinstance(where, list) and key not in self.before:
                self.before[key] = [p for p, _ in where if p is not None]
        self._now.clear()

    def settle(self) -> None:
        """Forget whom callers reached before."""
        self.before.clear()

    def key(self, proc: Proc | None, target: str) -> Key:
        """Return the key of a caller's target."""
        return (proc.uid, proc.container, target) if proc is not None else ("", "", target)

    def find(self, proc: Proc | None, target: str, host: str, port: int) -> Route:
        """Return whom a program (None: somebody outside) reaches at an address."""
        key = self.key(proc, target)
        found = self._now.get(key)
        if found is None:
            found = self._now[key] = self._connect(proc, host, port)
        return found

    def _connect(self, proc: Proc | None, host: str, port: int) -> Route:
        network = self.control.network
        source = self.control.store.get("pods", *proc.pod) if proc is not None else None
        home = proc.namespace if proc is not None else self.namespace
        resolved = network.resolve(source, host) if host else None
        if resolved is not None and resolved.service is not None:
            meta = resolved.service["metadata"]
            label = (meta["namespace"], meta["name"])
        else:
            parts = host.split(".")
            bare = all(p.isdigit() for p in parts)
            outside = resolved is not None and len(parts) > 1
            label = (
                parts[1] if len(parts) > 1 and not bare and not outside else home,
                host if bare or outside else parts[0],
            )
        behind = network.behind(source, host, port) if resolved is None or resolved.service is None else None
        if behind is not None:
            label = behind
        twisted = self.disturbances.name(proc.pod if proc is not None else None, host)
        if twisted:
            return (NoSuchHost(host) if twisted == "error" else TimedOut(host, port, "DNS answers at random")), label
        reached, broken = Ways(), []
        seen: set[str] = set()
        # A name with one address need not be looked up for every endpoint behind it.
        alone = resolved is not None and len(resolved.addresses) == 1 and source is not None
        address = resolved.addresses[0] if resolved is not None and alone else ""
        most = network.ways(source, resolved.addresses, port) if resolved is not None and behind is None else MOST
        for choose in range(min(most, MOST)):
            if address and address != INGRESS:
                connection = network.deliver(source, address, port, choose=choose)
            else:
                connection = network.connect(source, host, port, choose=choose)
            if isinstance(connection, NoSuchHost):
                return connection, label
            if not isinstance(connection, Reached):
                broken.append(connection)
                if behind is not None or (not reached and choose + 1 >= min(most, MOST)):
                    break
                continue
            uid = connection.pod["metadata"]["uid"] if connection.pod is not None else ""
            if uid in seen:
                break
            seen.add(uid)
            callee = None
            if connection.pod is not None and connection.container is not None:
                callee = self.runtime.proc_in(connection.pod, connection.container)
            reached.append((callee, connection))
        if not reached and broken:
            return broken[0], label
        reached.broken = tuple(broken)
        return reached, label
