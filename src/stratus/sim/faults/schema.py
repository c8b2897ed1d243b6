"""What a fault file may say: faults with arguments, each a list of steps, each step one mechanism."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from stratus.model.diagnosis import FaultClass
from stratus.sim.apps.schema import Part

Workload = Literal["Deployment", "StatefulSet", "DaemonSet"]
_PLACE = re.compile(r"\$\{(\w+)\}")


class Step(Part):
    """One change; `after` is seconds after the injection, `namespace` defaults to the application's."""

    after: float = Field(default=0.0, ge=0)
    namespace: str = ""


class OnWorkload(Step):
    """A change of a workload's pod template; `container` defaults to its first."""

    kind: Workload = "Deployment"
    name: str
    container: str = ""


class SetImage(OnWorkload):
    """Roll out another image."""

    do: Literal["set-image"]
    image: str


class SetEnv(OnWorkload):
    """Set an environment variable to a plain value, or (null) remove it."""

    do: Literal["set-env"]
    env: str
    value: str | None = None


class SetCommand(OnWorkload):
    """Replace the command or the args."""

    do: Literal["set-command"]
    command: list[str] | None = None
    args: list[str] | None = None


class SetResources(OnWorkload):
    """Change some limits or requests."""

    do: Literal["set-resources"]
    limits: dict[str, str] = Field(default_factory=dict)
    requests: dict[str, str] = Field(default_factory=dict)


class SetProbe(OnWorkload):
    """Set a probe, whole, or (null) remove it."""

    do: Literal["set-probe"]
    probe: Literal["readiness", "liveness", "startup"]
    value: dict[str, Any] | None = None


class SetNodeSelector(OnWorkload):
    """Replace the nodeSelector."""

    do: Literal["set-node-selector"]
    labels: dict[str, str]


class Restart(OnWorkload):
    """Restart the pods, as `kubectl rollout restart` does."""

    do: Literal["restart"]


class Scale(OnWorkload):
    """Change the number of replicas."""

    do: Literal["scale"]
    replicas: int = Field(ge=0)


class SetSelector(Step):
    """Replace a Service's selector."""

    do: Literal["set-selector"]
    service: str
    selector: dict[str, str]


class SetTargetPort(Step):
    """Change the targetPort of a Service's first port, or of the port with some number."""

    do: Literal["set-target-port"]
    service: str
    target_port: int | str
    port: int = 0


class SetKey(Step):
    """Change a key of a ConfigMap, or (null) remove it; `replace` changes a part of the present text instead."""

    do: Literal["set-key"]
    config_map: str
    key: str
    value: str | None = None
    replace: tuple[str, str] | None = None


class Create(Step):
    """Create an object."""

    do: Literal["create"]
    object: dict[str, Any]


class Delete(Step):
    """Delete an object."""

    do: Literal["delete"]
    kind: str
    name: str


class Patch(Step):
    """Patch any object with a merge patch."""

    do: Literal["patch"]
    kind: str
    name: str
    patch: dict[str, Any]


class NetworkChaos(Step):
    """Disturb the way to pods with some labels: a NetworkChaos object, whose deletion ends it."""

    do: Literal["network-chaos"]
    name: str
    labels: dict[str, str]
    delay: str = ""
    loss: str = ""


class ChangeDatabase(Step):
    """Change a datastore's state; `workload` owns it.

    Attributes:
        revoke: roles (`role@database`) taken from `user`; `drop` removes the user.
        cost: factor on the CPU of its operations.
    """

    do: Literal["database"]
    workload: str
    user: str = ""
    revoke: list[str] = Field(default_factory=list)
    drop: bool = False
    cost: float | None = Field(default=None, gt=0)


class Surge(Step):
    """Multiply the users' requests."""

    do: Literal["surge"]
    factor: float = Field(gt=0)


class ImageGone(Step):
    """Images matching a glob over `host/repository:tag` can no longer be pulled, and nodes lose theirs."""

    do: Literal["image-gone"]
    image: str


class StopKubelet(Step):
    """The kubelet of a node stops: its containers go on, but nobody hears of them any more."""

    do: Literal["stop-kubelet"]
    node: str


class TellEvent(Step):
    """Record an event about an object that means nothing."""

    do: Literal["event"]
    kind: str
    name: str
    type: Literal["Normal", "Warning"] = "Warning"
    reason: str
    message: str
    component: str = "kubelet"


AnyStep = Annotated[
    SetImage | SetEnv | SetCommand | SetResources | SetProbe | SetNodeSelector | Restart | Scale | SetSelector
    | SetTargetPort | SetKey | Create | Delete | Patch | NetworkChaos | ChangeDatabase | Surge | ImageGone
    | StopKubelet | TellEvent,
    Field(discriminator="do"),
]  # fmt: skip
STEPS: TypeAdapter[list[AnyStep]] = TypeAdapter(list[AnyStep])


class Truth(Part):
    """What an honest diagnosis would say, for scoring: never read by anything that diagnoses.

    Attributes:
        object: `Kind/name` of the object to blame; `also` lists others that count.
        fault: its class in the diagnosis vocabulary.
        repair: what puts it right.
    """

    object: str
    also: tuple[str, ...] = ()
    fault: FaultClass = "unknown"
    repair: str = ""


class FaultSpec(Part):
    """A fault.

    Attributes:
        arguments: names that `${name}` in the steps stands for, with defaults; null: must be given.
        steps: the changes; they are checked once the arguments are in place.
        alerts: alerts that should fire.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = Field(min_length=1)
    truth: Truth | None = None
    alerts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> FaultSpec:
        if all(v is not None for v in self.arguments.values()):
            self.resolve({})
        return self

    def expected(self, arguments: dict[str, Any] | None = None) -> Truth | None:
        """Return what an honest diagnosis would say, arguments put in."""
        if self.truth is None:
            return None
        return Truth.model_validate(_filled(self.truth.model_dump(), {**self.arguments, **(arguments or {})}))

    def resolve(self, arguments: dict[str, Any]) -> list[AnyStep]:
        """Return the steps with arguments put in.

        Raises:
            ValueError: an argument is unknown or missing, or a step does not come out right.
        """
        unknown = sorted(set(arguments) - set(self.arguments))
        if unknown:
            known = ", ".join(sorted(self.arguments)) or "none"
            raise ValueError(f"unknown argument {', '.join(unknown)}; this fault takes: {known}")
        values = {**self.arguments, **arguments}
        missing = sorted(name for name, value in values.items() if value is None)
        if missing:
            raise ValueError(f"give a value for {', '.join(missing)}")
        return STEPS.validate_python(_filled(list(self.steps), values))


class FaultFile(Part):
    """A file of faults."""

    faults: tuple[FaultSpec, ...]


def _filled(part: Any, values: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        return {_filled(k, values): _filled(v, values) for k, v in part.items()}
    if isinstance(part, list | tuple):
        return [_filled(v, values) for v in part]
    if not isinstance(part, str) or "${" not in part:
        return part
    whole = _PLACE.fullmatch(part)
    if whole and whole.group(1) in values:
        return values[whole.group(1)]
    return _PLACE.sub(lambda m: str(values.get(m.group(1), m.group(0))), part)
