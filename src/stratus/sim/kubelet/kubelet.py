"""Runs pods, from volumes and sandbox to termination; one object plays the kubelets of all nodes."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, ClassVar

from stratus.kit.clock import parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, pod_finished, spread, with_meta, with_status
from stratus.sim.kubelet.environment import ConfigError, environment, mount_all, secret_data
from stratus.sim.kubelet.images import ImageManager, go_duration
from stratus.sim.kubelet.probing import Prober
from stratus.sim.kubelet.state import ContainerState, Instance, PodState
from stratus.sim.kubelet.status import initialized, phase_of, pod_status, should_restart, unknown_end
from stratus.sim.runtime import Run
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Seconds from binding to a running sandbox, and from there to what the next pass sees.
SANDBOX, STARTED, RELIST = 0.4, 0.06, 1.0
#: A pass that failed is repeated after RETRY to 1.5 RETRY seconds.
RETRY = 10.0
#: A volume that cannot be set up is tried again after 0.5 s, doubled up to this many seconds.
MOUNT_MOST = 122.0


class Kubelet(Controller):
    """All kubelets; `state` maps a pod's key to its PodState."""

    name: ClassVar[str] = "kubelet"
    component: ClassVar[str] = "kubelet"
    resources: ClassVar[tuple[str, ...]] = ("pods",)

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self.pods: dict[Key, PodState] = {}
        self.images = ImageManager(self, control.registry)
        self.prober = Prober(self)
        #: Nodes whose kubelet does not act at present.
        self.silent: dict[str, None] = {}
        self._addresses: dict[str, int] = {}

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
        specs = [*pod["spec"].get("containers", ()), *(pod["spec"].get("initContainers") or ())]
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
        self.control.node_silent(node)

    def start_node(self, node: str) -> None:
        """The kubelet of a node is back and looks after everything it missed."""
        self.silent.pop(node, None)
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
        self._ended(pod, state, found, exit_code, reason, "")
        return True

    def reconsider(self, key: Key, container: str, run: Run) -> None:
        """Replace what will become of a running container (for runtimes whose processes change their mind)."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        found = state.containers.get(container) if state is not None else None
        if pod is not None and found is not None and found.running is not None:
            found.running.run = run
            self._expect(pod, found, run)

    def evict(self, key: Key, message: str) -> None:
        """End a pod for want of a resource on its node, as the eviction manager does."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        if pod is None or state is None or state.finished:
            return
        self.control.events.record(pod, "Warning", "Evicted", message, self.component, host=state.node)
        self._condemn(pod, state, ("Failed", "Evicted", message), grace=0.0)

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

    # small helpers

    def tell(self, pod: Obj, type_: str, reason: str, message: str, spec: Obj, container: ContainerState) -> None:
        """Record an event about one container."""
        group = "initContainers" if container.init else "containers"
        self.control.events.record(
            pod,
            type_,
            reason,
            message,
            self.component,
            host=pod["spec"].get("nodeName", ""),
            field_path=f"spec.{group}{{{spec['name']}}}",
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
        status = pod_status(current, state, host, self.clock.now())
        if status == current.get("status"):
            return current
        return self.store.update("pods", with_status(current, status))

    def _spec(self, pod: Obj, name: str) -> Obj | None:
        for spec in [*(pod["spec"].get("initContainers") or ()), *pod["spec"].get("containers", ())]:
            if spec["name"] == name:
                return spec  # type: ignore[no-any-return]
        return None

    def _retry(self, pod: Obj, state: PodState, *, soon: bool = False) -> None:
        state.passes += 1
        noise = spread(state.uid, state.passes)
        delay = 0.25 + 0.75 * noise if soon else RETRY * (1.0 + 0.5 * noise)
        self.wake_pod(pod, self.clock.now() + delay, "pass")

    # changes and timers

    def on_change(self, change: Change) -> None:
        """Pods that are bound, marked for deletion, changed in spec, or gone."""
        pod = change.object
        key = key_of(pod)
        if change.type == "DELETED":
            state = self.pods.get(key)
            if state is not None and state.uid == pod["metadata"]["uid"]:
                self._abandon(pod, state, key)
            return
        if not pod["spec"].get("nodeName"):
            return
        before = change.previous
        if (
            before is None
            or not before["spec"].get("nodeName")
            or (before["spec"] is not pod["spec"] and before["spec"] != pod["spec"])
            or before["metadata"].get("deletionTimestamp") != pod["metadata"].get("deletionTimestamp")
        ):
            self.enqueue(key)

    def on_timer(self, key: Key, tag: str) -> None:
        """A moment of a pod has come."""
        pod, state = self.store.get("pods", *key), self.pods.get(key)
        if pod is None or state is None or pod["metadata"]["uid"] != state.uid:
            return
        what, _, rest = tag.partition(" ")
        if what == "exit":
            self._exits(pod, state, rest)
            return
        if what == "poll":
            self._polls(pod, state, rest)
            return
        if state.node in self.silent:
            return
        if what == "probe":
            kind, _, name = rest.partition(" ")
            spec, container = self._spec(pod, name), state.containers.get(name)
            if spec is not None and container is not None:
                self.prober.run(pod, spec, state, container, kind)
        elif what == "sandbox":
            self._sandbox_up(pod, state)
        elif what == "pulled":
            self._act(pod, state)
        elif what == "finish":
            self._finish(pod, state)
        elif what == "deadline":
            text = "Pod was active on the node longer than the specified deadline"
            self.control.events.record(pod, "Normal", "DeadlineExceeded", text, self.component, host=state.node)
            self._condemn(pod, state, ("Failed", "DeadlineExceeded", text))
        elif what == "killed":
            self._kill_now(pod, state, rest)
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
            self._forget(key, state)
            state = None
        if state is None:
            if pod_finished(pod):
                if "deletionTimestamp" in pod["metadata"]:
                    self._remove(pod)
                return
            state = self._admit(pod, key)
            if "deletionTimestamp" not in pod["metadata"]:
                self._mount(self.report(pod), state)
                return
        if "deletionTimestamp" in pod["metadata"]:
            self._terminate(pod, state)
            return
        if state.finished:
            return
        pod = self.report(pod)
        if state.verdict is not None:
            return
        if not state.mounted:
            self._mount(pod, state)
        elif state.sandbox:
            self._act(pod, state)

    # start

    def _admit(self, pod: Obj, key: Key) -> PodState:
        spec = pod["spec"]
        containers = {}
        for entry in spec.get("initContainers") or ():
            sidecar = entry.get("restartPolicy") == "Always"
            containers[entry["name"]] = ContainerState(entry["name"], init=True, sidecar=sidecar)
        for entry in spec.get("containers") or ():
            containers[entry["name"]] = ContainerState(entry["name"])
        now = self.clock.now()
        state = PodState(pod["metadata"]["uid"], spec["nodeName"], now, containers)
        self.pods[key] = state
        if spec.get("activeDeadlineSeconds"):
            self.wake_pod(pod, now + spec["activeDeadlineSeconds"], "deadline")
        return state

    def _mount(self, pod: Obj, state: PodState) -> None:
        problems = mount_all(self.store, pod)
        now = self.clock.now()
        if problems:
            for volume, text in problems:
                message = f'MountVolume.SetUp failed for volume "{volume}" : {text}'
                self.control.events.record(pod, "Warning", "FailedMount", message, self.component, host=state.node)
            delay = min(MOUNT_MOST, 0.5 * 2.0**state.mount_failures)
            state.mount_failures += 1
            self.wake_pod(pod, now + delay, "pass")
            return
        state.mounted = True
        self.wake_pod(pod, now + SANDBOX * (0.8 + 0.4 * spread(state.uid)), "sandbox")

    def _address(self, node: str) -> str:
        stored = self.store.get("nodes", "", node)
        cidr = ((stored or {}).get("spec") or {}).get("podCIDR") or "10.244.0.0/24"
        base = cidr.partition("/")[0].rpartition(".")[0]
        for _ in range(253):
            number = self._addresses.get(node, 1) % 254 + 1
            number = 2 if number < 2 else number
            self._addresses[node] = number
            if self.control.index.by_ip(f"{base}.{number}") is None:
                break
        return f"{base}.{self._addresses[node]}"

    def _sandbox_up(self, pod: Obj, state: PodState) -> None:
        if state.terminating or state.verdict is not None or state.sandbox:
            return
        state.sandbox = True
        state.workers_at = self.clock.now()
        if pod["spec"].get("hostNetwork"):
            node = self.store.get("nodes", "", state.node) or {}
            addresses = (node.get("status") or {}).get("addresses") or [{}]
            state.ip = addresses[0].get("address", "")
        else:
            state.ip = self._address(state.node)
        self._act(self.report(pod), state)

    # acting

    def _act(self, pod: Obj, state: PodState) -> None:
        """Start what should run and does not."""
        if state.terminating or state.verdict is not None or not state.sandbox or state.finishing:
            return
        spec = pod["spec"]
        failed = False
        for entry in spec.get("initContainers") or ():
            container = state.containers[entry["name"]]
            current = container.current
            if container.sidecar:
                if container.running is None:
                    failed = self._start(pod, entry, state, container) is False
                    if failed:
                        break
                    # What comes after a sidecar is started in a pass of its own.
                    return
                if not container.running.started:
                    return
                continue
            if current is not None and current.running:
                return
            if current is not None and current.exit_code == 0:
                continue
            if any(c.current is not None for c in state.containers.values() if not c.init):
                continue
            if current is not None and not should_restart(pod, container, current):
                self._maybe_finish(pod, state)
                return
            failed = self._start(pod, entry, state, container) is False
            if failed:
                break
            return
        if not failed and initialized(state):
            for entry in spec.get("containers") or ():
                container = state.containers[entry["name"]]
                if container.running is not None:
                    continue
                if container.current is not None and not should_restart(pod, container, container.current):
                    continue
                started = self._start(pod, entry, state, container)
                if started is None:
                    return
                failed = failed or started is False
        if failed:
            # The sandbox's start is an event of its own, so the first failure is looked at again soon.
            self._retry(pod, state, soon=state.passes == 0)
        else:
            self._maybe_finish(pod, state)

    def _start(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState) -> bool | None:
        """Start a container; True when it runs, False when it failed, None while its image is on the way."""
        now = self.clock.now()
        ended = container.current
        if ended is not None and container.pulling is None:
            since = ended.finished_at or now
            if container.backoff.holds(since, now):
                meta = pod["metadata"]
                whole = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
                text = f"Back-off restarting failed container {spec['name']} in pod {whole}"
                self.tell(pod, "Warning", "BackOff", text, spec, container)
                wait = go_duration(container.backoff.delay)
                container.error = (
                    "CrashLoopBackOff",
                    f"back-off {wait} restarting failed container={spec['name']} pod={whole}",
                )
                return False
            container.backoff.next(now)
        outcome = self.images.ensure(pod, spec, state, container)
        if outcome != "ready":
            return None if outcome == "busy" else False
        host = (pod.get("status") or {}).get("hostIP", "")
        try:
            env = environment(self.store, pod, spec, state.ip, host)
        except ConfigError as error:
            container.error = ("CreateContainerConfigError", str(error))
            self.tell(pod, "Warning", "Failed", f"Error: {error}", spec, container)
            return False
        self.tell(pod, "Normal", "Created", "Container created", spec, container)
        restart = ended.restart + 1 if ended is not None else 0
        run = self.control.runtime.start(pod, spec, env, restart)
        image = self.control.registry.canonical(spec["image"])
        digest = self.control.registry.digest(image)
        seed = f"{state.uid} {spec['name']} {restart}"
        instance = Instance(
            id="containerd://" + hashlib.sha256(seed.encode()).hexdigest(),
            restart=restart,
            started_at=now,
            run=run,
            image=image,
            image_id=digest,
        )
        if ended is not None:
            container.last = ended
        container.current = instance
        if run.reason == "StartError":
            instance.finished_at = now
            instance.exit_code = run.exit_code or 128
            instance.reason, instance.message = "StartError", run.message
            container.error = ("RunContainerError", run.message)
            self.tell(pod, "Warning", "Failed", f"Error: {run.message}", spec, container)
            self.control.runtime.stop(pod, spec)
            return False
        container.error = None
        self.tell(pod, "Normal", "Started", "Container started", spec, container)
        self.prober.begin(pod, spec, state, container, instance)
        self._expect(pod, container, run)
        self.wake_pod(pod, now + STARTED, "report")
        return True

    def _expect(self, pod: Obj, container: ContainerState, run: Run) -> None:
        now = self.clock.now()
        self.control.timers.cancel((self.name, key_of(pod), f"exit {container.name}"))
        self.control.timers.cancel((self.name, key_of(pod), f"poll {container.name}"))
        if run.exit_after is not None:
            # A process that ends at once is still seen running for a moment.
            self.wake_pod(pod, now + max(run.exit_after, STARTED + 0.02), f"exit {container.name}")
        elif run.poll_after is not None:
            self.wake_pod(pod, now + max(run.poll_after, 0.05), f"poll {container.name}")

    def _polls(self, pod: Obj, state: PodState, name: str) -> None:
        container, spec = state.containers.get(name), self._spec(pod, name)
        if container is None or spec is None or container.running is None or container.running.killed_for:
            return
        container.running.run = self.control.runtime.poll(pod, spec)
        self._expect(pod, container, container.running.run)

    # ends

    def _exits(self, pod: Obj, state: PodState, name: str) -> None:
        container = state.containers.get(name)
        if container is None or container.running is None:
            return
        run = container.running.run
        if container.running.killed_for:
            return
        self._ended(pod, state, container, run.exit_code, run.reason or "", run.message)

    def _ended(
        self, pod: Obj, state: PodState, container: ContainerState, code: int, reason: str, message: str
    ) -> None:
        instance = container.running
        spec = self._spec(pod, container.name)
        if instance is None or spec is None:
            return
        now = self.clock.now()
        instance.finished_at = now
        instance.exit_code = code
        instance.reason = reason or ("Completed" if code == 0 else "Error")
        instance.message = message
        instance.ready = False
        instance.started = False
        key = key_of(pod)
        tags = [f"exit {container.name}", f"poll {container.name}", f"killed {container.name}"]
        tags += [f"probe {kind} {container.name}" for kind in ("startup", "liveness", "readiness")]
        self.control.timers.cancel_key(self.name, key, tags)
        self.control.runtime.stop(pod, spec)
        if state.terminating or state.verdict is not None:
            self._check_gone(pod, state)
            return
        if instance.killed_for == "restart":
            self._act(pod, state)
            self.wake_pod(pod, now + 0.1, "pass")
            return
        noise = spread(state.uid, container.name, instance.restart)
        self.wake_pod(pod, now + 0.05 + 0.75 * noise * RELIST, "pass")

    def kill(
        self,
        pod: Obj,
        spec: Obj,
        state: PodState,
        container: ContainerState,
        message: str,
        *,
        grace: float | None = None,
        restart: bool = False,
    ) -> None:
        """Send a running container SIGTERM, and SIGKILL when its grace period is over."""
        instance = container.running
        if instance is None:
            return
        now = self.clock.now()
        self.tell(pod, "Normal", "Killing", message, spec, container)
        instance.killed_for = "restart" if restart else "stop"
        allowed = float(pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace)
        wait = self._pre_stop(spec)
        needed = instance.run.stops_after
        at = min(allowed, wait + (needed if needed is not None else allowed))
        self.wake_pod(pod, now + at + 0.05, f"killed {container.name}")

    @staticmethod
    def _pre_stop(spec: Obj) -> float:
        hook = (spec.get("lifecycle") or {}).get("preStop") or {}
        if hook.get("sleep"):
            return float(hook["sleep"].get("seconds", 0))
        words = " ".join((hook.get("exec") or {}).get("command") or ()).split()
        for first, second in itertools.pairwise(words):
            if first.endswith("sleep") and second.replace(".", "", 1).isdigit():
                return float(second)
        return 0.0

    def _kill_now(self, pod: Obj, state: PodState, name: str) -> None:
        container = state.containers.get(name)
        if container is None or container.running is None:
            return
        run = container.running.run
        allowed = float(pod["spec"].get("terminationGracePeriodSeconds", 30))
        forced = run.stops_after is None or run.stops_after > allowed
        code = 137 if forced else run.stop_code
        self._ended(pod, state, container, code, "Error" if code else "Completed", "")

    def _stop_all(self, pod: Obj, state: PodState, grace: float | None) -> None:
        for name, container in state.containers.items():
            spec = self._spec(pod, name)
            if spec is not None and container.running is not None:
                if container.running.killed_for == "stop":
                    continue
                self.kill(pod, spec, state, container, f"Stopping container {name}", grace=grace)

    def _condemn(self, pod: Obj, state: PodState, verdict: tuple[str, str, str], grace: float | None = None) -> None:
        if state.verdict is not None or state.finished:
            return
        state.verdict = verdict
        self._stop_all(pod, state, grace)
        self.report(pod)
        self._check_gone(pod, state)

    def _terminate(self, pod: Obj, state: PodState) -> None:
        if not state.terminating:
            state.terminating = True
            stop = parse_iso(pod["metadata"]["deletionTimestamp"]) - self.clock.now()
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            self._stop_all(pod, state, max(min(grace, max(stop, 0.0) + 1.0), 0.0) if grace else 0.0)
            for container in state.containers.values():
                # Nothing is started any more, so why the last start failed is no longer told.
                container.error = None if container.current is None else container.error
            self.report(pod)
        self._check_gone(pod, state)

    def _check_gone(self, pod: Obj, state: PodState) -> None:
        if all(c.running is None for c in state.containers.values()):
            now = self.clock.now()
            self.wake_pod(pod, now + (0.3 if state.sandbox else 0.05), "finish")

    def _maybe_finish(self, pod: Obj, state: PodState) -> None:
        if state.finishing or phase_of(pod, state) not in ("Succeeded", "Failed"):
            return
        if any(c.running is not None and not c.sidecar for c in state.containers.values()):
            return
        state.finishing = True
        for name, container in state.containers.items():
            spec = self._spec(pod, name)
            if spec is not None and container.running is not None:
                self.kill(pod, spec, state, container, f"Stopping container {name}")
        self.wake_pod(pod, self.clock.now() + 1.1, "finish")

    def _finish(self, pod: Obj, state: PodState) -> None:
        """The sandbox is gone: report the final phase, and let a deleted pod go."""
        if any(c.running is not None for c in state.containers.values()):
            self.wake_pod(pod, self.clock.now() + 0.2, "finish")
            return
        state.finished = True
        if state.terminating and state.sandbox:
            for name, container in state.containers.items():
                if container.current is None:
                    container.current = unknown_end(self.clock.now(), self._spec(pod, name) or {})
        pod = self.report(pod)
        if state.terminating:
            self._remove(pod)

    def _remove(self, pod: Obj) -> None:
        key = key_of(pod)
        current = self.store.get("pods", *key)
        if current is None:
            return
        self.store.update("pods", with_meta(current, deletionGracePeriodSeconds=0))
        left = self.store.get("pods", *key)
        if left is not None and not left["metadata"].get("finalizers"):
            self.store.delete("pods", *key)

    def _abandon(self, pod: Obj, state: PodState, key: Key) -> None:
        for name, container in state.containers.items():
            spec = self._spec(pod, name)
            if spec is not None and container.running is not None:
                if not container.running.killed_for:
                    self.tell(pod, "Normal", "Killing", f"Stopping container {name}", spec, container)
                container.running.finished_at = self.clock.now()
                self.control.runtime.stop(pod, spec)
        self._forget(key, state)

    def _forget(self, key: Key, state: PodState) -> None:
        del self.pods[key]
        tags = ["pass", "report", "sandbox", "pulled", "finish", "deadline"]
        for name in state.containers:
            tags += [f"exit {name}", f"poll {name}", f"killed {name}"]
            tags += [f"probe {kind} {name}" for kind in ("startup", "liveness", "readiness")]
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
        self._addresses = dict(other._addresses)
