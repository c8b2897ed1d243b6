"""Starts pods: admission to the node, volumes, sandbox, and containers in their order with pulls and back-off."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from stratus.kit.clock import iso
from stratus.sim.controllers.attaching import PATIENCE, AttachController
from stratus.sim.controllers.common import condition, key_of, spread, with_status
from stratus.sim.kubelet import hooks, timing
from stratus.sim.kubelet.admitting import refusal
from stratus.sim.kubelet.environment import ConfigError, environment, mount_all, must_not_be_root
from stratus.sim.kubelet.images import go_duration
from stratus.sim.kubelet.state import ContainerState, Instance, PodState
from stratus.sim.kubelet.status import initialized, phase_of, should_restart
from stratus.sim.podresources import qos_class
from stratus.sim.runtime import Run
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet


class Starter:
    """What happens to a pod from its arrival on a node until its containers run."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self.addresses: dict[str, int] = {}

    # the pod

    def admit(self, pod: Obj, key: tuple[str, str]) -> PodState | None:
        """Take a pod in; None when the node refuses it (which its status then says)."""
        spec = pod["spec"]
        pressed = self.kubelet.evictor.rejects(pod, spec["nodeName"]) if self.kubelet.evictor.pressures else None
        if pressed is not None:
            self._reject(pod, "Evicted", pressed)
            return None
        if condition(pod, "PodScheduled") is None:
            refused = refusal(self.kubelet.control, pod)
            if refused is not None:
                self._reject(pod, *refused)
                return None
        containers = {}
        for entry in spec.get("initContainers") or ():
            sidecar = entry.get("restartPolicy") == "Always"
            containers[entry["name"]] = ContainerState(entry["name"], init=True, sidecar=sidecar)
        for entry in spec.get("containers") or ():
            containers[entry["name"]] = ContainerState(entry["name"])
        now = self.kubelet.clock.now()
        state = PodState(pod["metadata"]["uid"], spec["nodeName"], now, containers)
        self.kubelet.pods[key] = state
        if spec.get("activeDeadlineSeconds"):
            due = timing.on_beat(now + spec["activeDeadlineSeconds"], state.node)
            self.kubelet.wake_pod(pod, due, "deadline")
        return state

    def _reject(self, pod: Obj, reason: str, message: str) -> None:
        kubelet = self.kubelet
        kubelet.control.events.record(
            pod, "Warning", reason, message, kubelet.component, host=pod["spec"].get("nodeName", "")
        )
        status = {
            "observedGeneration": pod["metadata"].get("generation", 1),
            "phase": "Failed",
            "message": f"Pod was rejected: {message}",
            "reason": reason,
            "startTime": iso(kubelet.clock.now()),
            "qosClass": (pod.get("status") or {}).get("qosClass") or qos_class(pod["spec"]),
        }
        kubelet.store.update("pods", with_status(pod, status))

    def mount(self, pod: Obj, state: PodState) -> None:
        """Set up the volumes, then the sandbox; what is missing is waited for."""
        problems = mount_all(self.kubelet.store, pod)
        now = self.kubelet.clock.now()
        if problems:
            for volume, text in problems:
                message = f'MountVolume.SetUp failed for volume "{volume}" : {text}'
                self.kubelet.control.events.record(
                    pod, "Warning", "FailedMount", message, self.kubelet.component, host=state.node
                )
            delay = min(timing.MOUNT_MOST, 0.5 * 2.0**state.mount_failures)
            state.mount_failures += 1
            self.kubelet.wake_pod(pod, now + delay, "pass")
            return
        attach = self.kubelet.control.controllers["attach"]
        assert isinstance(attach, AttachController)
        waits = attach.hinders(pod)
        if waits is not None:
            # It is called again as soon as that changes.
            if now >= state.started_at + PATIENCE * (state.mount_failures + 1) - 1e-6:
                state.mount_failures += 1
                self.kubelet.control.events.record(
                    pod, "Warning", "FailedMount", waits, self.kubelet.component, host=state.node
                )
            self.kubelet.wake_pod(pod, state.started_at + PATIENCE * (state.mount_failures + 1), "pass")
            return
        state.mounted = True
        state.workers_at = now
        at = now + timing.SANDBOX * (0.85 + 0.4 * spread(state.uid))
        self.kubelet.wake_pod(pod, self.kubelet.pace.sandbox(pod, at, now + timing.SANDBOX_LEAST), "sandbox")

    def _address(self, node: str) -> str:
        stored = self.kubelet.store.get("nodes", "", node)
        cidr = ((stored or {}).get("spec") or {}).get("podCIDR") or "10.244.0.0/24"
        base = cidr.partition("/")[0].rpartition(".")[0]
        for _ in range(253):
            number = self.addresses.get(node, 1) % 254 + 1
            number = 2 if number < 2 else number
            self.addresses[node] = number
            if self.kubelet.control.index.by_ip(f"{base}.{number}") is None:
                break
        return f"{base}.{self.addresses[node]}"

    def sandbox_up(self, pod: Obj, state: PodState) -> None:
        """The sandbox runs and has its address: containers come next."""
        if state.terminating or state.verdict is not None or state.sandbox:
            return
        state.sandbox = True
        if pod["spec"].get("hostNetwork"):
            node = self.kubelet.store.get("nodes", "", state.node) or {}
            addresses = (node.get("status") or {}).get("addresses") or [{}]
            state.ip = addresses[0].get("address", "")
        else:
            state.ip = self._address(state.node)
        self.act(self.kubelet.report(pod), state)

    # its containers

    def act(self, pod: Obj, state: PodState) -> bool:
        """Start what should run and does not; return whether another try was arranged.

        Whether a container backs off is judged by the ends known when the pass began: one that was killed in this
        very pass, to be restarted, counts from its end before that.
        """
        if state.terminating or state.verdict is not None or not state.sandbox or state.finishing:
            return False
        self._debuggers(pod, state)
        if pod["spec"].get("imagePullSecrets"):
            self._pull_secrets(pod, state)
        failed = self._initialise(pod, state)
        if failed is None:
            return False
        if not failed and initialized(state):
            for entry in pod["spec"].get("containers") or ():
                container = state.containers[entry["name"]]
                if container.running is not None:
                    continue
                if container.current is not None and not should_restart(pod, container, container.current, entry):
                    continue
                started = self._start(pod, entry, state, container)
                if started is None:
                    return False
                failed = failed or started is False
        if failed:
            self._retry(pod, state)
        else:
            self._maybe_finish(pod, state)
        return failed

    def _pull_secrets(self, pod: Obj, state: PodState) -> None:
        """Say which of the pull secrets are not there, while there is something to start."""
        if all(c.running is not None or c.pulling is not None for c in state.containers.values() if c.main):
            return
        names = [ref.get("name", "") for ref in pod["spec"]["imagePullSecrets"]]
        gone = [n for n in names if self.kubelet.store.get("secrets", pod["metadata"]["namespace"], n) is None]
        if gone:
            text = (
                f"Unable to retrieve some image pull secrets ({', '.join(gone)}); "
                "attempting to pull the image may not succeed."
            )
            self.kubelet.control.events.record(
                pod, "Warning", "FailedToRetrieveImagePullSecret", text, self.kubelet.component, host=state.node
            )

    def _debuggers(self, pod: Obj, state: PodState) -> None:
        """Start the ephemeral containers that have not been started; they wait for nobody, and each runs once."""
        for entry in pod["spec"].get("ephemeralContainers") or ():
            name = entry["name"]
            container = state.containers.setdefault(name, ContainerState(name, ephemeral=True))
            if container.current is None and self._start(pod, entry, state, container) is False:
                self._retry(pod, state)

    def _maybe_finish(self, pod: Obj, state: PodState) -> None:
        """Wind a pod up once nothing of it is left to run but sidecars."""
        if state.finishing or phase_of(pod, state) not in ("Succeeded", "Failed"):
            return
        if any(c.running is not None and not c.sidecar and not c.ephemeral for c in state.containers.values()):
            return
        state.finishing = True
        self.kubelet.ender.stop_all(pod, state, None)
        now = self.kubelet.clock.now()
        at = self.kubelet.pace.notice(pod, now + 1.1, now + timing.NOTICE_LEAST, len(state.unwritten))
        self.kubelet.wake_pod(pod, at, "finish")

    def _initialise(self, pod: Obj, state: PodState) -> bool | None:
        """Go through the init containers: True when one failed to start, False when all are done, None to wait."""
        for entry in pod["spec"].get("initContainers") or ():
            container = state.containers[entry["name"]]
            current = container.current
            if container.sidecar:
                if container.running is None:
                    # What comes after a sidecar is started in a pass of its own.
                    return True if self._start(pod, entry, state, container) is False else None
                if not container.running.started:
                    return None
                continue
            if current is not None and current.running:
                return None
            if current is not None and current.exit_code == 0:
                continue
            if any(c.current is not None for c in state.containers.values() if c.main):
                continue
            if current is not None and not should_restart(pod, container, current, entry):
                self._maybe_finish(pod, state)
                return None
            return True if self._start(pod, entry, state, container) is False else None
        return False

    def _retry(self, pod: Obj, state: PodState) -> None:
        """A pass has failed: another one follows, at the latest when a crashed container may start again."""
        now = self.kubelet.clock.now()
        state.passes += 1
        starts = [c.current for c in state.containers.values() if c.current is not None]
        failed_now = any(i.reason == "StartError" and i.finished_at == now for i in starts)
        if failed_now or (state.passes == 1 and not starts):
            # A new sandbox, or a container that has come to nothing, is an event of its own: another pass comes soon.
            at = now + 0.25 + 0.75 * spread(state.uid, "sandbox") * timing.RELIST
        else:
            waits = [c.retry_at - now for c in state.containers.values() if c.retry_at > now]
            least = min([timing.RETRY, *waits])
            at = timing.on_beat(now + timing.lengthened(least, state.node, state.uid, state.passes), state.node)
            at = self.kubelet.pace.retry(pod, at, now + least, now + least * timing.LONGEST + 1.0)
        self.kubelet.wake_pod(pod, at, "pass")

    def _start(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState) -> bool | None:
        """Start a container; True when it runs, False when it failed, None while its image is on the way."""
        kubelet = self.kubelet
        now = kubelet.clock.now()
        ended = container.current
        known = container.last if ended is not None and ended.killed_for == "restart" and not ended.seen else ended
        if ended is not None:
            ended.seen = True
        if container.making is None:
            if known is not None and container.pulling is None:
                if self._backs_off(pod, spec, container, known, now):
                    return False
                container.backoff.next(now)
            outcome = kubelet.images.ensure(pod, spec, state, container)
            if outcome != "ready":
                return None if outcome == "busy" else False
            container.making = kubelet.pace.start(pod, spec["name"], now)
            if container.making > now:
                state.busy_until = container.making
                kubelet.wake_pod(pod, container.making, "pulled")
        if container.making > now:
            return None
        container.making = None
        host = (pod.get("status") or {}).get("hostIP", "")
        try:
            env = environment(kubelet.store, pod, spec, state.ip, host)
            if kubelet.control.registry.is_described(spec["image"]):
                must_not_be_root(pod, spec)
        except ConfigError as error:
            container.error = ("CreateContainerConfigError", str(error))
            kubelet.tell(pod, "Warning", "Failed", f"Error: {error}", spec, container)
            return False
        kubelet.tell(pod, "Normal", "Created", "Container created", spec, container)
        restart = ended.restart + 1 if ended is not None else 0
        run = kubelet.control.runtime.start(pod, spec, env, restart)
        image = kubelet.control.registry.canonical(spec["image"])
        seed = f"{state.uid} {spec['name']} {restart}"
        instance = Instance(
            id="containerd://" + hashlib.sha256(seed.encode()).hexdigest(),
            restart=restart,
            started_at=now,
            run=run,
            image=image,
            image_id=kubelet.control.registry.digest(image),
        )
        if ended is not None:
            container.last = ended
        container.current = instance
        if run.reason == "StartError":
            self._not_started(pod, spec, container, instance)
            return False
        container.error = None
        kubelet.tell(pod, "Normal", "Started", "Container started", spec, container)
        kubelet.prober.begin(pod, spec, state, container, instance)
        self.expect(pod, container, run)
        kubelet.wake_pod(pod, now + timing.STARTED, "report")
        kubelet.evictor.started(pod, spec, state.node)
        return self._post_start(pod, spec, state, container, instance)

    def _backs_off(self, pod: Obj, spec: Obj, container: ContainerState, ended: Instance, now: float) -> bool:
        """Tell whether a container that has ended may not be started yet, and say so."""
        since = ended.finished_at or now
        if not container.backoff.holds(since, now):
            return False
        meta = pod["metadata"]
        whole = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        text = f"Back-off restarting failed container {spec['name']} in pod {whole}"
        self.kubelet.tell(pod, "Warning", "BackOff", text, spec, container)
        wait = go_duration(container.backoff.delay)
        text = f"back-off {wait} restarting failed container={spec['name']} pod={whole}"
        container.error = ("CrashLoopBackOff", text)
        container.retry_at = since + container.backoff.delay
        return True

    def _not_started(self, pod: Obj, spec: Obj, container: ContainerState, instance: Instance) -> None:
        """The runtime could not start the process at all."""
        run = instance.run
        instance.finished_at = self.kubelet.clock.now()
        instance.exit_code = run.exit_code or 128
        instance.reason, instance.message = "StartError", run.message
        container.error = ("RunContainerError", run.message)
        self.kubelet.tell(pod, "Warning", "Failed", f"Error: {run.message}", spec, container)
        self.kubelet.control.runtime.stop(pod, spec)

    def _post_start(
        self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, instance: Instance
    ) -> bool | None:
        """Run the postStart hook; a container whose hook fails is killed and counts as not started.

        Until a hook has ended, neither the status nor the next container comes: None then.
        """
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if not hook:
            return True
        text = hooks.run(self.kubelet, pod, spec, hook)
        if not text or container.current is not instance:
            wait = hooks.takes(hook)
            if wait > 0 and container.running is not None:
                self.kubelet.wake_pod(pod, self.kubelet.clock.now() + wait + timing.STARTED, "report")
                return None
            return True
        self.kubelet.tell(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", spec, container)
        self.kubelet.ender.kill(pod, spec, state, container, "FailedPostStartHook")
        container.error = ("PostStartHookError", text)
        return True

    def expect(self, pod: Obj, container: ContainerState, run: Run) -> None:
        """Set the moment at which a process ends by itself, or is looked at again."""
        kubelet, now = self.kubelet, self.kubelet.clock.now()
        key = key_of(pod)
        kubelet.control.timers.cancel((kubelet.name, key, f"exit {container.name}"))
        kubelet.control.timers.cancel((kubelet.name, key, f"poll {container.name}"))
        if run.exit_after is not None:
            # A process that ends at once is still seen running for a moment.
            kubelet.wake_pod(pod, now + max(run.exit_after, timing.STARTED + 0.02), f"exit {container.name}")
        elif run.poll_after is not None:
            kubelet.wake_pod(pod, now + max(run.poll_after, 0.05), f"poll {container.name}")

    def polls(self, pod: Obj, state: PodState, name: str) -> None:
        """Look again at a process whose fate depends on what happens around it."""
        container, spec = state.containers.get(name), self.kubelet.spec_of(pod, name)
        if container is None or spec is None or container.running is None or container.running.killed_for:
            return
        container.running.run = self.kubelet.control.runtime.poll(pod, spec)
        self.expect(pod, container, container.running.run)
