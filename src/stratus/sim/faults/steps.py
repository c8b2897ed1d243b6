"""The mechanisms of faults: each a typed change of objects or of application state, for any workload."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from stratus.sim.apps.schema import Part

Workload = Literal["Deployment", "StatefulSet", "DaemonSet"]


class Step(Part):
    """One change; `after` is seconds after the injection, `namespace` defaults to the application's."""

    # An argument such as 95 may stand where a text is meant.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

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


class PatchTemplate(OnWorkload):
    """Change anything in the pod template (init containers, affinity, ...) with a strategic merge patch.

    Attributes:
        template: the patch; `container` does not matter here.
    """

    do: Literal["patch-template"]
    template: dict[str, Any]


class SetSelector(Step):
    """Replace a Service's selector, or (`add`) demand further labels."""

    do: Literal["set-selector"]
    service: str
    selector: dict[str, str]
    add: bool = False


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


class SetSecretKey(Step):
    """Change a key of a Secret, or (null) remove it; the value is plain text."""

    do: Literal["set-secret-key"]
    secret: str
    key: str
    value: str | None = None


class SetFlag(Step):
    """Switch a feature flag: the variant that a flag of a flagd document gives by default.

    Attributes:
        config_map, key: where the document is.
        flag, variant: which flag, and which of its variants; a variant that it does not know is refused.
    """

    do: Literal["set-flag"]
    config_map: str = "flagd-config"
    key: str = "demo.flagd.json"
    flag: str
    variant: str = "on"


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


class Remember(Step):
    """Note a field of an object, to put it back when the fault is healed whoever changed it: what follows from a fault
    by way of a controller, such as the size an autoscaler chooses.

    Attributes:
        path: of the field, with dots.
    """

    do: Literal["remember"]
    kind: str
    name: str
    path: str = Field(pattern=r"^[A-Za-z]+([.][A-Za-z]+)*$")


class Taint(Step):
    """Taint a node, beside the taints it has."""

    do: Literal["taint"]
    node: str
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Cordon(Step):
    """Make a node take no further pods."""

    do: Literal["cordon"]
    node: str


class DnsAnswer(Step):
    """Let cluster DNS deny a name: a template in CoreDNS's configuration, which is made when there is none.

    Attributes:
        host: the full name, such as `web.default.svc.cluster.local`.
        rcode: what is answered.
    """

    do: Literal["dns-answer"]
    host: str = Field(pattern=r"^[a-z0-9.-]+$")
    rcode: Literal["NXDOMAIN", "SERVFAIL", "REFUSED"] = "NXDOMAIN"


class DeletePods(Step):
    """Delete pods at once: those with some labels, or all of the namespace; their controllers make new ones.

    Attributes:
        on_heal: delete them again when the fault is healed, so that they start with what is then restored.
    """

    do: Literal["delete-pods"]
    labels: dict[str, str] = Field(default_factory=dict)
    on_heal: bool = False


class KillContainer(Step):
    """Kill a container of each pod of a workload; the kubelet starts it again."""

    do: Literal["kill-container"]
    kind: Workload = "Deployment"
    name: str
    container: str = ""
    reason: str = "Error"
    exit_code: int = 137


class Chaos(Step):
    """Create an object of chaos-mesh (with its definition), whose deletion ends it.

    Attributes:
        kind: PodChaos, NetworkChaos, StressChaos, HTTPChaos, JVMChaos, IOChaos, TimeChaos, DNSChaos, KernelChaos.
        labels: of the pods it is about, in the step's namespace; goes into `spec.selector`.
        spec: the rest of its spec; `mode: all` unless it says otherwise.
        schedule: a cron expression: the object is wrapped into a Schedule.
    """

    do: Literal["chaos"]
    kind: Literal[
        "PodChaos", "NetworkChaos", "StressChaos", "HTTPChaos", "JVMChaos", "IOChaos", "TimeChaos", "DNSChaos",
        "KernelChaos",
    ]  # fmt: skip
    name: str
    labels: dict[str, str]
    spec: dict[str, Any] = Field(default_factory=dict)
    schedule: str = ""


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


class Exec(Step):
    """Run a command in the first running pod of a workload, as `kubectl exec` does: what a datastore then looks like
    is taken back as state, unless `undo` names a command for it.

    Attributes:
        must: the command has to end with code 0.
    """

    do: Literal["exec"]
    kind: Workload = "Deployment"
    name: str
    container: str = ""
    command: list[str] = Field(min_length=1)
    undo: list[str] | None = None
    must: bool = True


class Surge(Step):
    """Multiply the users' requests; several surges multiply each other."""

    do: Literal["surge"]
    factor: float = Field(gt=0)


class ImageGone(Step):
    """Images matching a glob over `host/repository:tag` can no longer be pulled, and nodes lose theirs.

    Attributes:
        error: what the runtime says; empty: that it is not found.
    """

    do: Literal["image-gone"]
    image: str
    error: str = ""


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
    SetImage | SetEnv | SetCommand | SetResources | SetProbe | SetNodeSelector | PatchTemplate | Restart | Scale
    | SetSelector | SetTargetPort | SetKey | SetSecretKey | SetFlag | Create | Delete | Patch | Remember | Taint
    | Cordon | DnsAnswer | DeletePods | KillContainer | Chaos | NetworkChaos | ChangeDatabase | Exec | Surge | ImageGone
    | StopKubelet | TellEvent,
    Field(discriminator="do"),
]  # fmt: skip
#: The mechanisms by the name a step gives in `do`.
MECHANISMS: dict[str, type[Step]] = {
    get_args(kind.model_fields["do"].annotation)[0]: kind for kind in get_args(get_args(AnyStep)[0])
}
STEPS: TypeAdapter[list[AnyStep]] = TypeAdapter(list[AnyStep])
