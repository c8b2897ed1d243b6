"""The control plane: changes become keys, keys are reconciled to quiescence, later work waits on timers."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

from stratus.errors import StratusError
from stratus.kit.clock import VirtualClock
from stratus.sim.controllers.base import Controller, Key, PodIndex, Timers
from stratus.sim.controllers.clusterdns import ClusterDns
from stratus.sim.controllers.common import AdmissionDenied, NamespaceTerminating, controller_ref, has_claims
from stratus.sim.controllers.kubeproxy import KubeProxies
from stratus.sim.controllers.nodes import NodeController
from stratus.sim.controllers.table import CONTROLLERS
from stratus.sim.events import TTL, EventRecorder
from stratus.sim.kubelet.kubelet import Kubelet
from stratus.sim.netindex import RESOURCES as FOLLOWED
from stratus.sim.network import Network
from stratus.sim.podresources import qos_class
from stratus.sim.registry import ImageRegistry
from stratus.sim.runtime import ContainerRuntime
from stratus.sim.scheduler import Scheduler
from stratus.sim.store import Change, Obj, Store

#: A drain that reconciles this many keys without coming to rest is a defect, not a busy cluster.
RUNAWAY = 200_000
#: The timers at which old events are dropped, and repeats of events written that have come to an end.
EXPIRY, SERIES = ("events", ("", ""), ""), ("events", ("", ""), "series")


class Runaway(StratusError):
    """The controllers did not come to rest; the message names the keys they keep turning."""


def _as_it_is(pod: Obj) -> Obj:
    """Admit a pod without an API server: nothing is checked, nothing completed."""
    return {**pod, "status": {"phase": "Pending", "qosClass": qos_class(pod["spec"]), **(pod.get("status") or {})}}


class ControlPlane:
    """Controllers, scheduler and kubelets over one store.

    Forking: every part keeps what it must remember between two passes as plain data (`Controller.state`, the
    kubelet's pod states, the event recorder's counters) and every pending moment as a record in `timers`.
    `fork` builds a control plane over the forked store, clock and generator, copies that data and re-arms the timers
    there; nothing is shared but the stored objects, which nobody mutates. A container runtime with state of its own
    is forked by its owner and handed in.
    """

    def __init__(
        self,
        store: Store,
        clock: VirtualClock,
        rng: random.Random,
        registry: ImageRegistry,
        runtime: ContainerRuntime,
        *,
        admit: Callable[[Obj], Obj] | None = None,
        replay: bool = True,
    ) -> None:
        self.store = store
        self.clock = clock
        self.rng = rng
        self.registry = registry
        self.runtime = runtime
        self.index = PodIndex()
        self.events = EventRecorder(store, clock)
        self.timers = Timers(clock, self._fire)
        self.events.arm = self._expect_series
        self.admit: Callable[[Obj], Obj] = admit or _as_it_is
        self._queue: dict[tuple[str, Key], None] = {}
        self._running = False
        #: What the controllers hear of was there before them.
        self.replaying = False
        self.controllers: dict[str, Controller] = {}
        self._watchers: dict[str, list[Controller]] = {}
        self._hearing: dict[str, tuple[Callable[[Change], None], ...]] = {}
        #: By uid of a pod: its owner references, what they come to, and whether it has claims.
        self._traits: dict[str, tuple[object, str, bool]] = {}
        self._minding: dict[tuple[str, str, bool], tuple[Callable[[Change], None], ...]] = {}
        for kind in CONTROLLERS:
            self.add(kind(self))
        self.scheduler = Scheduler(self)
        self.add(self.scheduler)
        self.kubelet = Kubelet(self)
        self.add(self.kubelet)
        dns, proxies = self.controllers["dns"], self.controllers["kube-proxy"]
        assert isinstance(dns, ClusterDns)
        assert isinstance(proxies, KubeProxies)
        self.dns = dns
        self.network = Network(store, self.index, self.kubelet.serving, runtime, dns=dns, proxies=proxies)
        self._attach(runtime)
        self._unsubscribe = store.subscribe(self._on_change)
        if replay:
            self._replay()

    def _attach(self, runtime: ContainerRuntime) -> None:
        attach = getattr(runtime, "attach", None)
        if attach is not None:
            attach(self)

    def add(self, controller: Controller) -> None:
        """Let one more controller follow the resources it names."""
        self.controllers[controller.name] = controller
        for resource in controller.resources:
            self._watchers.setdefault(resource, []).append(controller)
        self._hearing.clear()
        self._minding.clear()

    def _who_hear(self, resource: str) -> tuple[Callable[[Change], None], ...]:
        """Return what is to be told of changes of a resource: those that follow it, then those that follow all."""
        found = self._hearing.get(resource)
        if found is None:
            following = (*self._watchers.get(resource, ()), *self._watchers.get("*", ()))
            found = self._hearing[resource] = tuple(controller.on_change for controller in following)
        return found

    def _who_mind(self, change: Change) -> tuple[Callable[[Change], None], ...]:
        """Return what is to be told of a change of a pod: only those it can matter to."""
        pod, before = change.object, change.previous
        owners = pod["metadata"].get("ownerReferences")
        if before is not None and before["metadata"].get("ownerReferences") != owners:
            return self._who_hear("pods")
        uid = pod["metadata"]["uid"]
        known = self._traits.get(uid)
        if known is None or known[0] is not owners:
            owner = controller_ref(pod)
            known = self._traits[uid] = (owners, "" if owner is None else str(owner.get("kind")), has_claims(pod))
        if change.type == "DELETED":
            del self._traits[uid]
        key = (change.type, known[1], known[2])
        found = self._minding.get(key)
        if found is None:
            following = (*self._watchers.get("pods", ()), *self._watchers.get("*", ()))
            found = self._minding[key] = tuple(c.on_change for c in following if c.minds(*key))
        return found

    def _replay(self) -> None:
        """Tell the controllers of what is there already."""
        self.replaying = True
        for pod in self.store.list("pods"):
            self.index.put(pod)
        for resource in self.store.resources():
            for obj in self.store.list(resource):
                change = Change("ADDED", resource, obj, None, self.store.rv)
                for hear in self._who_hear(resource):
                    hear(change)
        self.replaying = False

    # input

    def enqueue(self, controller: str, key: Key) -> None:
        """Mark a key as dirty."""
        self._queue[controller, key] = None

    def _on_change(self, change: Change) -> None:
        resource = change.resource
        if resource == "events":
            if change.type == "ADDED":
                self._expect_expiry()
            return
        if resource == "pods":
            self.index.apply(change)
        elif resource in FOLLOWED:
            self.network.on_change(change)
        hearing = self._who_mind(change) if resource == "pods" else self._hearing.get(resource)
        for hear in hearing or self._who_hear(resource):
            hear(change)

    def _expect_expiry(self) -> None:
        if EXPIRY not in self.timers:
            self.timers.set(EXPIRY, self.clock.now() + TTL)

    def _expect_series(self, at: float) -> None:
        if SERIES not in self.timers:
            self.timers.set(SERIES, at)

    def _fire(self, name: tuple[str, Key, str]) -> None:
        controller, key, tag = name
        if controller == "events":
            upcoming = self.events.end_series(self.clock.now()) if tag == "series" else self.events.expire()
            if upcoming is not None:
                self.timers.set(name, max(upcoming, self.clock.now() + 1.0))
            return
        self.controllers[controller].on_timer(key, tag)
        self.drain()

    def admit_pod(self, pod: Obj) -> Obj:
        """Complete a new pod and check it.

        Raises:
            AdmissionDenied: with the server's text, whatever admission is in use.
        """
        meta = pod["metadata"]
        space = self.store.get("namespaces", "", meta.get("namespace", ""))
        if space is not None and "deletionTimestamp" in space["metadata"]:
            raise NamespaceTerminating(
                f'pods "{meta.get("generateName") or meta["name"]}" is forbidden: unable to create new content in '
                f"namespace {meta['namespace']} because it is being terminated"
            )
        try:
            return self.admit(pod)
        except StratusError as error:
            raise AdmissionDenied(str(error)) from None

    def node_silent(self, node: str) -> None:
        """A kubelet has stopped: the node controller will miss it."""
        nodes = self.controllers["node"]
        assert isinstance(nodes, NodeController)
        nodes.silent(node)

    def node_speaks(self, node: str) -> None:
        """A kubelet is back."""
        nodes = self.controllers["node"]
        assert isinstance(nodes, NodeController)
        nodes.speaks(node)

    # work

    def drain(self) -> int:
        """Reconcile dirty keys until none is left, at the present moment; return how many passes that took.

        Raises:
            Runaway: when the controllers do not come to rest.
        """
        if self._running:
            return 0
        self._running = True
        passes = 0
        queue = self._queue
        try:
            while queue:
                name, key = next(iter(queue))
                del queue[name, key]
                self.controllers[name].sync(key)
                passes += 1
                if passes > RUNAWAY:
                    turning = sorted({f"{n} {'/'.join(k)}" for n, k in queue})[:5]
                    raise Runaway(f"the controllers do not come to rest; still turning: {', '.join(turning)}")
        finally:
            self._running = False
        return passes

    # forks and end

    def fork(
        self, store: Store, clock: VirtualClock, rng: random.Random, runtime: ContainerRuntime | None = None
    ) -> ControlPlane:
        """Return a control plane that goes on from here over a forked store, clock and generator.

        `runtime` is the fork's own container runtime; a runtime with `fork(control)` (the generic one) is forked here
        when none is given.
        """
        fork_runtime = getattr(self.runtime, "fork", None)
        inner = runtime or (copy.copy(self.runtime) if fork_runtime is not None else self.runtime)
        twin = ControlPlane(store, clock, rng, self.registry, inner, replay=False)
        for pod in store.list("pods"):
            twin.index.put(pod)
        for name, controller in twin.controllers.items():
            controller.adopt_state(self.controllers[name])
        twin.events.copy_state(self.events)
        twin._queue = dict(self._queue)
        if runtime is None and fork_runtime is not None:
            twin.set_runtime(fork_runtime(twin))
        twin.timers.copy_from(self.timers)
        return twin

    def set_runtime(self, runtime: ContainerRuntime) -> None:
        """Let another container runtime play the processes from now on."""
        self.runtime = runtime
        self.network.runtime = runtime

    def close(self) -> None:
        """Stop following the store and take all timers off the clock."""
        self._unsubscribe()
        self.timers.stop()
