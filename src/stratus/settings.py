"""Every setting with its meaning and default; frozen. Environment and TOML are read by the command line only."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from stratus.rules import (
    COMPONENTS,
    ROOTED,
    BlastRadius,
    ChangeWindow,
    Freeze,
    Group,
    IgnoredAlert,
    ImageRules,
    Names,
    Objective,
    OwnerRule,
    verdict_presets,
)


class HealthSettings(Group):
    """How health is measured and compared.

    Attributes:
        preset: named policy that the values not given are taken from: strict, balanced or tolerant.
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
        alpha_better, alpha_worse: chance that nothing has changed and some figure counts as better, or as worse.
        rate_drop: share of the traffic served well that may be lost before it counts.
        components: components of health that are compared.
        objectives: services of which something else is asked.
        ignored_alerts: alerts that do not count, each with a reason.
    """

    preset: Literal["strict", "balanced", "tolerant"] = "balanced"
    weight_availability: float = Field(default=0.5, ge=0)
    weight_error_rate: float = Field(default=0.3, ge=0)
    weight_latency: float = Field(default=0.2, ge=0)
    latency_slo: float = Field(default=1.0, gt=0)
    samples: int = Field(default=5, ge=2)
    sample_interval: float = Field(default=3.0, gt=0)
    settle_min: float = Field(default=5.0, ge=0)
    settle_max: float = Field(default=180.0, gt=0)
    alerts_max: float = Field(default=480.0, ge=0)
    quiet: float = Field(default=10.0, ge=0)
    min_difference: float = Field(default=0.02, gt=0)
    error_floor: float = Field(default=0.02, ge=0)
    alpha_better: float = Field(default=0.01, gt=0, le=0.01)
    alpha_worse: float = Field(default=0.03, gt=0, le=0.05)
    rate_drop: float = Field(default=0.3, gt=0, lt=0.5)
    components: Names = COMPONENTS
    objectives: tuple[Objective, ...] = ()
    ignored_alerts: tuple[IgnoredAlert, ...] = ()

    def of(self, service: str) -> HealthSettings:
        """Return what is asked of one service, `namespace/name`."""
        for one in self.objectives:
            if any(fnmatchcase(service, pattern) for pattern in one.services):
                asked = {"latency_slo": one.latency_slo, "error_floor": one.error_floor}
                return self.model_copy(update={k: v for k, v in asked.items() if v is not None})
        return self

    def ignores(self, alert: str) -> str:
        """Return an alert's name and why it does not count; empty when it does."""
        why = next((one.reason for one in self.ignored_alerts if fnmatchcase(alert, one.name)), "")
        return f"{alert}: {why}" if why else ""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**verdict_presets().get(str(given.get("preset", "balanced")), {}), **given}

    @model_validator(mode="after")
    def _sane(self) -> HealthSettings:
        if unknown := sorted(set(self.components) - set(COMPONENTS)):
            raise ValueError(f"components: {', '.join(unknown)} is none of {', '.join(COMPONENTS)}")
        if not set(self.components) & set(ROOTED):
            raise ValueError(f"components: at least one of {', '.join(ROOTED)} has to count")
        if self.weight_availability <= 0:
            raise ValueError("weight_availability: health without availability is none")
        return self


class LimitSettings(Group):
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
        looks: times that a model may look at the cluster with read commands before each diagnosis (a call each).
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
    looks: int = Field(default=0, ge=0)
    candidates: int = Field(default=3, ge=1)
    rehearsal_seconds: float = Field(default=5.0, gt=0)
    rehearsal_objects: int = Field(default=5000, ge=1)
    model_calls: int = Field(default=60, ge=0)
    tokens: int = Field(default=400_000, ge=0)
    cost: float = Field(default=5.0, ge=0)


class ModelSettings(Group):
    """The chat model.

    Attributes:
        temperature: sampling temperature.
        timeout: seconds for one call.
        price_in, price_out: US dollars per million tokens, for the report.
        max_tokens: longest answer.
        record: keep each turn, redacted, in `turns.jsonl` of the state directory, for capsules and replays.
    """

    temperature: float = 0.0
    timeout: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    max_tokens: int = 1024
    record: bool = True


class PolicySettings(Group):
    """What may be changed.

    Attributes:
        namespaces: namespaces in which writes are allowed; empty: those of the incident.
        protected_namespaces: never written, whatever else is said.
        protected_label: objects with this label set to `true` are never written.
        kinds: kinds that may be written; those of custom resources with their API group.
        scale_max: largest replica count that may be asked for.
        protected_labels: further labels whose objects are never written, each with a pattern of its value.
        privileges: privileges of containers that a change may add, such as `hostNetwork`.
        images: which images may be brought in.
        blast_radius: how much one plan may touch.
        windows: when changes are allowed; a namespace that none is for may be changed at any time.
        freezes: when nothing is changed.
        owners: who else keeps objects as they are.
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
    protected_labels: dict[str, str] = Field(default_factory=dict)
    privileges: Names = ()
    images: ImageRules = ImageRules()
    blast_radius: BlastRadius = BlastRadius()
    windows: tuple[ChangeWindow, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    owners: tuple[OwnerRule, ...] = ()
    exec_runbooks: Names = ("*",)


class Settings(Group):
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
        policy_file: YAML file that says what may be changed, when, and what counts as worse; it has the last word.
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
    policy_file: Path | None = None
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
    health: HealthSettings = Field(default_factory=HealthSettings)
    limits: LimitSettings = LimitSettings()
    model: ModelSettings = ModelSettings()
    policy: PolicySettings = PolicySettings()
