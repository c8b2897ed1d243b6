"""Runs pods, from volumes and sandbox to termination; one object plays the kubelets of all nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from stratus.sim import leases
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, pod_finished
from stratus.sim.kubelet import timing
from stratus.sim.kubelet.ending import Ender, timers_of
from stratus.sim.kubelet.environment import secret_data
from stratus.sim.kubelet.images import ImageManager
from stratus.sim.kubelet.pace import Pace
from stratus.sim.kubelet.pressure import Evictor
from stratus.sim.kubelet.probing import HANGING, Prober
from stratus.sim.kubelet.starting import Starter
from stratus.sim.kubelet.state import ContainerState, Instance, PodState
from stratus.sim.kubelet.status import pod_status
from stratus.sim.kubelet.writing import WRITE, StatusWriter, seen
from stratus.sim.runtime import Run
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Where a pod's spec lists containers.
GROUPS = ("containers", "initContainers", "ephemeralContainers")


class Kubelet(Controller):
    """All kubelets; `pods` maps a pod's key to what its kubelet knows of it.

    A pass over a pod first reports its status and then acts on it, as the real kubelet's sync does; `starter` brings
    containers up, `ender` brings them down, `prober` asks them how they are, `images` pulls, `evictor` drives pods
    away from nodes that run out of something.
    """

    name: ClassVar[str] = "kubelet"
    component: ClassVar[str] = "kubelet"
    resources: ClassVar[tuple[str, ...]] = ("pods",)

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self.pods: dict[Key, PodState] = {}
        self.images = ImageManager(self, control.registry)
        self.prober = Prober(self)
        self.starter = Starter(self)
        self.ender = Ender(self)
        self.evictor = Evictor(self)
        self.writer = StatusWriter(self)
        self.pace = Pace()
        #: Nodes whose kubelet does not act at present.
        self.silent: dict[str, None] = {}

    # what others ask

    def preload(self, *images: str) -> None:
        """Put images on every node, as if they had been pulled before."""
        nodes = [n["metadata"]["name"] for n in self.store.list("nodes")]
        for image in images:
            self.images.preload(image, nodes)

    def serving(self, key: Key) -> list[Obj]:
        """Return the specs of a pod's running containers."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        if pod is None or state is None:
            return []
        specs = [spec for group in GROUPS for spec in pod["spec"].get(group) or ()]
        return [s for s in specs if s["name"] in state.containers and state.containers[s["name"]].running is not None]

    def instance(self, key: Key, container: str) -> Instance | None:
        """Return the present or latest start of a container, None before the first."""
        state = self.pods.get(key)
        found = state.containers.get(container) if state is not None else None
        return (found.current or found.last) if found is not None else None

    def previous(self, key: Key, container: str) -> Instance | None:
        """Return the start before the present one, if any."""
        state = self.pods.get(key)
        found = state.containers.get(container) if state is not None else None
        return found.last if found is not None else None

    def stop_node(self, node: str) -> None:
        """The kubelet of a node stops: its containers go on, nothing is reported or changed any more."""
        self.silent[node] = None
        leases.stop(self.store, node, self.clock.now())
        self.control.node_silent(node)

    def start_node(self, node: str) -> None:
        """The kubelet of a node is back and looks after everything it missed."""
        self.silent.pop(node, None)
        leases.go_on(self.store, node)
        self.control.node_speaks(node)
        for key, state in self.pods.items():
            if state.node == node:
                self.enqueue(key)
        for key in self.control.index.by_node.get(node, {}):
            self.enqueue(key)

    def restart_container(self, key: Key, container: str, *, reason: str, exit_code: int = 137) -> bool:
        """End a running container now (a crash or an OOM kill from outside); return whether it ran."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        found = state.containers.get(container) if state is not None else None
        if pod is None or state is None or found is None or found.running is None:
            return False
        self.ender.ended(pod, state, found, exit_code, reason, "")
        return True

    def reconsider(self, key: Key, container: str, run: Run) -> None:
        """Replace what will become of a running container (for runtimes whose processes change their mind)."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        found = state.containers.get(container) if state is not None else None
        if pod is not None and found is not None and found.running is not None:
            found.running.run = run
            self.starter.expect(pod, found, run)

    def registry_credentials(self, pod: Obj, names: list[str]) -> frozenset[str]:
        """Return the registry hosts a pod's pull secrets hold credentials for."""
        hosts: set[str] = set()
        for name in names:
            secret = self.store.get("secrets", pod["metadata"]["namespace"], name)
            if secret is None:
                continue
            text = secret_data(secret).get(".dockerconfigjson", "")
            try:
                hosts.update(host.split("/")[2] if "://" in host else host for host in json.loads(text)["auths"])
            except (ValueError, KeyError, TypeError, IndexError):
                continue
        return frozenset(hosts)

    # what its parts share

    def tell(self, pod: Obj, type_: str, reason: str, message: str, spec: Obj, container: ContainerState) -> None:
        """Record an event about one container."""
        self.control.events.record(
            pod,
            type_,
            reason,
            message,
            self.component,
            host=pod["spec"].get("nodeName", ""),
            field_path=f"spec.{container.group}{{{spec['name']}}}",
        )

    def wake_pod(self, pod: Obj, at: float, tag: str) -> None:
        """Set a timer of one pod."""
        self.wake(key_of(pod), at, tag)

    def report(self, pod: Obj) -> Obj:
        """Write the pod's status; return the stored pod."""
        key = key_of(pod)
        current, state = self.store.get("pods", *key), self.pods.get(key)
        if current is None or state is None or current["metadata"]["uid"] != state.uid:
            return pod
        node = self.store.get("nodes", "", state.node)
        host = ""
        for address in ((node or {}).get("status") or {}).get("addresses") or ():
            if address.get("type") == "InternalIP":
                host = address.get("address", "")
        known = seen(current, state) if state.unwritten else current
        status = pod_status(known, state, host, self.clock.now())
        return current if status == known.get("status") else self.writer.put(current, state, status)

    @staticmethod
    def spec_of(pod: Obj, name: str) -> Obj | None:
        """Return the spec of one of a pod's containers."""
        for group in GROUPS:
            for spec in pod["spec"].get(group) or ():
                if spec["name"] == name:
                    return spec  # type: ignore[no-any-return]
        return None

    # changes and timers

    def on_change(self, change: Change) -> None:
        """Pods that are bound, marked for deletion, changed in spec, or gone."""
        pod = change.object
        key = key_of(pod)
        if change.type == "DELETED":
            state = self.pods.get(key)
            if state is not None and state.uid == pod["metadata"]["uid"]:
                self.ender.abandon(pod, state, key)
            return
        if not pod["spec"].get("nodeName"):
            return
        before = change.previous
        if (
            before is None
            or not before["spec"].get("nodeName")
            or (before["spec"] is not pod["spec"] and before["spec"] != pod["spec"])
            or before["metadata"].get("deletionTimestamp") != pod["metadata"].get("deletionTimestamp")
            or (pod["spec"].get("readinessGates") and before.get("status") != pod.get("status"))
        ):
            self.enqueue(key)

    def on_timer(self, key: Key, tag: str) -> None:
        """A moment of a pod (or, for the evictor, of a node) has come."""
        if tag == "pressure":
            self.evictor.look(key[1])
            return
        if tag.startswith(HANGING):
            self.prober.gives_up(key, tag)
            return
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        if pod is None or state is None or pod["metadata"]["uid"] != state.uid:
            return
        what, _, rest = tag.partition(" ")
        if what == "exit":
            self.ender.exits(pod, state, rest)
        elif what == "dead":
            self.ender.dead(pod, state, rest)
        elif what == "poll":
            self.starter.polls(pod, state, rest)
        elif state.node in self.silent:
            return
        elif what == "probe":
            kind, _, name = rest.partition(" ")
            spec, container = self.spec_of(pod, name), state.containers.get(name)
            if spec is not None and container is not None:
                self.prober.run(pod, spec, state, container, kind)
        elif what == "sandbox":
            self.starter.sandbox_up(pod, state)
        elif what == "pulled":
            self.starter.act(pod, state)
        elif what == "reap":
            self.ender.reap(pod, state, rest)
        elif what == "turn":
            self.ender.turn(pod, state, rest)
        elif what == "finish":
            self.ender.finish(pod, state)
        elif what == WRITE:
            self.writer.turn(pod, state)
        elif what == "remove":
            self.ender.remove(pod)
        elif what == "deadline":
            self.ender.overdue(pod, state)
        else:
            self.enqueue(key)

    def sync(self, key: Key) -> None:
        """One pass over one pod: report, then act."""
        pod = self.store.get("pods", *key)
        state = self.pods.get(key)
        if pod is None or not pod["spec"].get("nodeName"):
            return
        if pod["spec"]["nodeName"] in self.silent or self.store.get("nodes", "", pod["spec"]["nodeName"]) is None:
            return
        if state is not None and state.uid != pod["metadata"]["uid"]:
            self.forget(key, state)
            state = None
        if state is None:
            if pod_finished(pod):
                if "deletionTimestamp" in pod["metadata"]:
                    self.ender.remove(pod)
                return
            state = self.starter.admit(pod, key)
            if state is None:
                return
            if "deletionTimestamp" not in pod["metadata"]:
                self.starter.mount(self.report(pod), state)
                return
        if "deletionTimestamp" in pod["metadata"]:
            begins = self.clock.now() if state.terminating else self.pace.stop(pod, self.clock.now())
            if begins > self.clock.now():
                self.wake_pod(pod, begins, "stop")
            else:
                self.ender.terminate(pod, state)
            return
        if state.finished:
            return
        if state.busy_until > self.clock.now():
            # A pass is under way until the container that is being made runs.
            self.wake_pod(pod, state.busy_until, "pass")
            return
        pod = self.report(pod)
        if state.verdict is not None:
            return
        if not state.mounted:
            self.starter.mount(pod, state)
        elif state.sandbox:
            asked = self._ask(pod, state)
            if not self.starter.act(pod, state) and asked:
                state.passes += 1
                delay = timing.lengthened(timing.RESYNC, state.node, state.uid, state.passes)
                self.wake_pod(pod, timing.on_beat(self.clock.now() + delay, state.node), "pass")

    def _ask(self, pod: Obj, state: PodState) -> bool:
        """Have containers probed that run and are not ready; tell whether there are any."""
        asked = False
        for spec in [*pod["spec"].get("containers", ()), *(pod["spec"].get("initContainers") or ())]:
            if spec.get("readinessProbe"):
                asked = self.prober.asked(pod, spec, state.containers[spec["name"]]) or asked
        return asked

    def forget(self, key: Key, state: PodState) -> None:
        """Drop what is known of a pod that is gone."""
        del self.pods[key]
        tags = ["pass", "report", "sandbox", "pulled", "finish", "remove", "deadline", "stop", WRITE]
        for name in state.containers:
            tags += timers_of(name)
        self.control.timers.cancel_key(self.name, key, tags)
        forget = getattr(self.control.runtime, "forget", None)
        if forget is not None:
            forget(state.uid)

    # forks

    def adopt_state(self, other: Controller) -> None:
        """Take over the pods, images and addresses of another cluster's kubelets."""
        assert isinstance(other, Kubelet)
        self.pods = {key: state.clone() for key, state in other.pods.items()}
        self.images.present = {node: dict(images) for node, images in other.images.present.items()}
        self.silent = dict(other.silent)
        self.starter.addresses = dict(other.starter.addresses)
        self.evictor.adopt(other.evictor)
        self.prober.hanging = dict(other.prober.hanging)
