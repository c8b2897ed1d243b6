"""Every setting with its meaning and default; frozen. Environment and TOML are read by the command line only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names; as text they are separated by commas."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthSettings(_Group):
    """How health is measured and compared.

    Attributes:
        weight_availability, weight_error_rate, weight_latency: the formula's weights.
        latency_slo: seconds of p99 at which the latency term is one half.
        samples: samples before and after a transaction that are compared.
        sample_interval: seconds between two samples.
        settle_min: seconds to wait at least after a transaction before the first sample that counts.
        settle_max: seconds after which an unsettled rollout is judged as it is.
        alerts_max: seconds after which an incident of which nothing but alerts is left is judged as it is: many look
            back for minutes, and fall silent that much later than what they watch.
        quiet: seconds for which the incident's conditions must stay cleared before RESOLVED.
        min_difference: smallest difference of a rate or share that ever counts as a change.
        error_floor: error rate below which a service counts as serving well.
    """

    weight_availability: float = 0.5
    weight_error_rate: float = 0.3
    weight_latency: float = 0.2
    latency_slo: float = Field(default=1.0, gt=0)
    samples: int = Field(default=5, ge=2)
    sample_interval: float = Field(default=3.0, gt=0)
    settle_min: float = Field(default=5.0, ge=0)
    settle_max: float = Field(default=180.0, gt=0)
    alerts_max: float = Field(default=480.0, ge=0)
    quiet: float = Field(default=10.0, ge=0)
    min_difference: float = Field(default=0.02, gt=0)
    error_floor: float = Field(default=0.02, ge=0)


class LimitSettings(_Group):
    """Bounds of one incident; reaching one undoes what is open and asks for a human.

    Attributes:
        attempts: mitigation attempts (each ends committed or undone).
        commands: mutating commands in one transaction (K).
        objects: objects touched by one transaction.
        unavailable_pods: pods that a transaction may make unavailable at once.
        transaction_seconds: wall time of one transaction, validation included.
        incident_seconds: wall time of one incident.
        oscillation_seconds: how far back kept changes are looked at for a to and fro.
        repair_rounds: times a refused command may be rewritten.
        candidates: plans of one round that are rehearsed and compared.
        rehearsal_seconds: CPU time of the rehearsals of one round.
        rehearsal_objects: objects that a twin is made of at most.
        model_calls, tokens, cost: thinking, per incident (cost in US dollars).
    """

    attempts: int = Field(default=6, ge=1)
    commands: int = Field(default=20, ge=1)
    objects: int = Field(default=20, ge=1)
    unavailable_pods: int = Field(default=50, ge=0)
    transaction_seconds: float = Field(default=900.0, gt=0)
    incident_seconds: float = Field(default=3600.0, gt=0)
    oscillation_seconds: float = Field(default=86_400.0, ge=0)
    repair_rounds: int = Field(default=3, ge=0)
    candidates: int = Field(default=3, ge=1)
    rehearsal_seconds: float = Field(default=5.0, gt=0)
    rehearsal_objects: int = Field(default=5000, ge=1)
    model_calls: int = Field(default=60, ge=0)
    tokens: int = Field(default=400_000, ge=0)
    cost: float = Field(default=5.0, ge=0)


class ModelSettings(_Group):
    """The chat model.

    Attributes:
        temperature: sampling temperature.
        timeout: seconds for one call.
        price_in, price_out: US dollars per million tokens, for the report.
        max_tokens: longest answer.
    """

    temperature: float = 0.0
    timeout: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    max_tokens: int = 1024


class PolicySettings(_Group):
    """What may be changed.

    Attributes:
        namespaces: namespaces in which writes are allowed; empty: those of the incident.
        protected_namespaces: never written, whatever else is said.
        protected_label: objects with this label set to `true` are never written.
        kinds: kinds that may be written; those of custom resources with their API group.
        scale_max: largest replica count that may be asked for.
        exec_runbooks: ids of the runbooks (`*` stands for anything) whose commands may be run in containers, with the
            compensation that they state; empty: none is ever run.
    """

    namespaces: Names = ()
    protected_namespaces: Names = ("kube-system", "kube-public", "kube-node-lease")
    protected_label: str = "stratus.dev/protected"
    kinds: Names = (
        "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Service", "ConfigMap", "Secret", "Job",
        "CronJob", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount",
        "Node", "Role", "RoleBinding", "ResourceQuota", "LimitRange",
        # Experiments of chaos engineering, so that one which hurts users can be paused.
        "PodChaos.chaos-mesh.org", "NetworkChaos.chaos-mesh.org", "StressChaos.chaos-mesh.org",
        "HTTPChaos.chaos-mesh.org", "JVMChaos.chaos-mesh.org", "DNSChaos.chaos-mesh.org", "IOChaos.chaos-mesh.org",
        "TimeChaos.chaos-mesh.org", "Schedule.chaos-mesh.org", "ChaosEngine.litmuschaos.io",
    )  # fmt: skip
    scale_max: int = 50
    exec_runbooks: Names = ("*",)


class Settings(_Group):
    """Everything Stratus can be told.

    Attributes:
        mode: observe (detect and diagnose), suggest (and plan), dry-run (and rehearse on the server),
            approve (ask before each execution), auto.
        namespaces: where to look; empty: those of the alerts, else all but the protected.
        rehearsal: whether plans are run on a twin of the cluster first: auto (where that is possible), on (what cannot
            be rehearsed is not executed without a person), off.
        reasoner: `rules`, or `PROVIDER:MODEL` such as `openai:gpt-4o`.
        kubeconfig: path of a kubeconfig; None: in-cluster or the default one.
        context: kubeconfig context; empty: the current one.
        prometheus, alertmanager, jaeger, loki: base URLs; empty: none.
        embedded: application to run on an embedded cluster instead; empty: a real cluster.
        fault: fault to inject into the embedded application.
        alert: file with an alert document, or `-` for stdin; empty: look for what is wrong.
        report_dir: where report.json, report.md and report.html are written; None: nowhere.
        state_dir: journal, checkpoints, knowledge index, reports.
        journal: address of a PostgreSQL (`postgresql://user@host/database`) that holds the journal, so that several
            engines share one memory of transactions; empty: an SQLite file in `state_dir`.
        runbooks_dir: further runbooks besides the shipped ones.
        embedder: `minilm` (torch-free) or `sentence-transformers`.
        window: seconds of telemetry that detection and diagnosis look back on.
        step: seconds between telemetry points.
        baseline: seconds before the window taken as the normal state.
        lease_seconds: lifetime of the writer's Lease without renewal.
        lease_namespace: namespace of the Lease; empty: the namespace being changed.
        identity: name of this engine; empty: host name and process id.
        seed: seed of everything random.
        ablate: parts switched off, to measure what each brings (`tnr`, `undo`, `rag`, `rehearsal`, `rules`, `model`,
            `rediagnosis`). For measuring on embedded clusters only.
    """

    mode: Literal["observe", "suggest", "dry-run", "approve", "auto"] = "suggest"
    namespaces: Names = ()
    rehearsal: Literal["auto", "on", "off"] = "auto"
    reasoner: str = "rules"
    kubeconfig: Path | None = None
    context: str = ""
    prometheus: str = ""
    alertmanager: str = ""
    jaeger: str = ""
    loki: str = ""
    embedded: str = ""
    fault: str = ""
    alert: str = ""
    report_dir: Path | None = None
    state_dir: Path = Path(".stratus")
    journal: str = ""
    runbooks_dir: Path | None = None
    embedder: Literal["minilm", "sentence-transformers"] = "minilm"
    window: float = Field(default=300.0, gt=0)
    step: float = Field(default=15.0, gt=0)
    baseline: float = Field(default=600.0, gt=0)
    lease_seconds: float = Field(default=30.0, gt=0)
    lease_namespace: str = ""
    identity: str = ""
    seed: int = 0
    ablate: Names = ()
    health: HealthSettings = HealthSettings()
    limits: LimitSettings = LimitSettings()
    model: ModelSettings = ModelSettings()
    policy: PolicySettings = PolicySettings()
