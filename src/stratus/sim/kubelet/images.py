"""Brings images to nodes: pull policy, pulls that take time, back-off, and the events that tell about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stratus.sim.controllers.common import spread
from stratus.sim.kubelet.state import ContainerState, PodState
from stratus.sim.registry import ImageRegistry, InvalidReference, Pull
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet

Outcome = Literal["ready", "busy", "failed"]


def go_duration(seconds: float) -> str:
    """Write a duration as Go does, to the millisecond: `215ms`, `1.5s`, `1m20s`."""
    milli = round(seconds * 1000)
    if milli < 1000:
        return f"{milli}ms"
    minutes, rest = divmod(milli, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    if not minutes:
        return f"{text}s"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{text}s"


class ImageManager:
    """The images on each node, and pulls under way."""

    def __init__(self, kubelet: Kubelet, registry: ImageRegistry) -> None:
        self.kubelet = kubelet
        self.registry = registry
        self.present: dict[str, dict[str, str]] = {}

    def preload(self, image: str, nodes: list[str]) -> None:
        """Put an image on nodes as if it had been pulled there before."""
        for node in nodes:
            self.present.setdefault(node, {})[self.registry.canonical(image)] = ""

    def ensure(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState) -> Outcome:
        """Have the container's image on its node; on failure the container's error is set."""
        image = spec.get("image", "")
        try:
            canonical = self.registry.canonical(image)
        except InvalidReference as error:
            text = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {error}'
            self.kubelet.tell(pod, "Warning", "InspectFailed", text, spec, container)
            container.error = ("InvalidImageName", text)
            self._failed(pod, spec, container, "InvalidImageName")
            return "failed"
        held = canonical in self.present.get(state.node, {})
        policy = spec.get("imagePullPolicy") or ("Always" if canonical.endswith(":latest") else "IfNotPresent")
        if container.pulling is not None:
            return self._finish(pod, spec, state, container, canonical)
        if policy == "Never" and not held:
            text = f'Container image "{image}" is not present with pull policy of Never'
            self.kubelet.tell(pod, "Warning", "ErrImageNeverPull", text, spec, container)
            container.error = ("ErrImageNeverPull", text)
            self._failed(pod, spec, container, "ErrImageNeverPull")
            return "failed"
        if held and policy != "Always":
            text = f'Container image "{image}" already present on machine and can be accessed by the pod'
            self.kubelet.tell(pod, "Normal", "Pulled", text, spec, container)
            return "ready"
        now = self.kubelet.clock.now()
        if container.pull_backoff.holds(container.pull_backoff.updated, now) and container.pull_error is not None:
            text = f'Back-off pulling image "{image}"'
            self.kubelet.tell(pod, "Normal", "BackOff", text, spec, container)
            container.error = ("ImagePullBackOff", f"{text}: {container.pull_error[0]}: {container.pull_error[1]}")
            self._failed(pod, spec, container, "ImagePullBackOff")
            return "failed"
        self.kubelet.tell(pod, "Normal", "Pulling", f'Pulling image "{image}"', spec, container)
        pull = self._resolve(pod, image)
        seconds = 0.2 + 0.2 * spread(canonical, state.uid) if held and not pull.error else pull.seconds
        container.pulling = (image, now, now + seconds)
        self.kubelet.wake_pod(pod, now + seconds, "pulled")
        return "busy"

    def _resolve(self, pod: Obj, image: str) -> Pull:
        secrets = [ref.get("name", "") for ref in pod["spec"].get("imagePullSecrets") or ()]
        return self.registry.pull(image, credentials=self.kubelet.registry_credentials(pod, secrets))

    def _finish(self, pod: Obj, spec: Obj, state: PodState, container: ContainerState, canonical: str) -> Outcome:
        now = self.kubelet.clock.now()
        image, begun, done = container.pulling or ("", now, now)
        if now < done - 1e-9:
            return "busy"
        container.pulling = None
        pull = self._resolve(pod, image)
        if pull.error:
            self.kubelet.tell(
                pod, "Warning", "Failed", f'Failed to pull image "{image}": {pull.error}', spec, container
            )
            container.pull_backoff.next(now)
            container.pull_error = ("ErrImagePull", pull.error)
            container.error = ("ErrImagePull", pull.error)
            self._failed(pod, spec, container, "ErrImagePull")
            return "failed"
        took = go_duration(done - begun)
        text = (
            f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: {pull.size} bytes.'
        )
        self.kubelet.tell(pod, "Normal", "Pulled", text, spec, container)
        self.present.setdefault(state.node, {})[canonical] = ""
        container.pull_error = None
        container.pull_backoff.delay = 0.0
        return "ready"

    def _failed(self, pod: Obj, spec: Obj, container: ContainerState, reason: str) -> None:
        self.kubelet.tell(pod, "Warning", "Failed", f"Error: {reason}", spec, container)
