"""Every setting with its meaning and default; frozen. Environment and TOML are read by the command line only."""

from __future__ import annotations

import json
import re
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names; as text they are separated by commas."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@cache
def verdict_presets() -> dict[str, dict[str, Any]]:
    """Read the named policies of what counts as worse (`verdict_presets.json`), without their explanations."""
    table = json.loads(files("stratus").joinpath("verdict_presets.json").read_text(encoding="utf-8"))
    return {name: {k: v for k, v in row.items() if k != "why"} for name, row in table.items() if name != "about"}


COMPONENTS = (
    "availability", "pods", "endpoints", "crashing", "restarts", "error_rate", "latency_p99", "request_rate", "alerts",
)  # fmt: skip
"""Components of health that may be left out of the comparison; wanting nothing or vanishing always counts."""
ROOTED = ("availability", "endpoints", "error_rate", "request_rate")
"""Those that may not all be left out: without any of them nobody would notice that a service is dead."""


class Objective(_Group):
    """What is asked of some services, where it differs from the rest; the first that fits counts.

    Attributes:
        services: patterns of `namespace/name`, such as `shop/*`.
        latency_slo, error_floor: as in the health settings; None: as there.
    """

    services: Names = Field(min_length=1)
    latency_slo: float | None = Field(default=None, gt=0)
    error_floor: float | None = Field(default=None, ge=0, le=1)


class IgnoredAlert(_Group):
    """An alert that says nothing about whether a change has harmed; for a stated reason only.

    Attributes:
        name: pattern of the alert's name.
        reason: why; shown in the report.
    """

    name: str = Field(min_length=1)
    reason: str = Field(min_length=3)


class HealthSettings(_Group):
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


class ModelSettings(_Group):
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


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _clock_time(text: Any) -> Any:
    if isinstance(text, int) and 0 <= text < 1440:  # YAML reads 09:30 as a number to the base of 60
        text = f"{text // 60:02}:{text % 60:02}"
    if not isinstance(text, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text):
        raise ValueError(f"{text!r} is no time of day: write it as HH:MM")
    return text


def _moment(text: Any) -> Any:
    if isinstance(text, datetime):
        text = text.isoformat()
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write it as 2026-12-24T18:00") from None
    if found.tzinfo is not None:
        raise ValueError(f"{text!r} carries an offset: leave it out and name the zone")
    return found.isoformat(timespec="minutes")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of this machine: write one such as Europe/Paris or UTC") from None
    return name


ClockTime = Annotated[str, BeforeValidator(_clock_time)]
Moment = Annotated[str, BeforeValidator(_moment)]
Zone = Annotated[str, AfterValidator(_zone)]


class ChangeWindow(_Group):
    """Times of the week in which changes are allowed.

    Attributes:
        name: what it is called in messages.
        days: days on which it begins; empty: every day.
        start, end: `from` and `to`, times of day in its zone; an end that is not later is one of the next day.
        zone: time zone.
        namespaces: patterns of the namespaces it is for; empty: all.
    """

    name: str
    days: Annotated[tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], BeforeValidator(_split)] = ()
    start: ClockTime = Field(default="00:00", alias="from")
    end: ClockTime = Field(default="24:00", alias="to")
    zone: Zone = "UTC"
    namespaces: Names = ()


class Freeze(_Group):
    """A span in which nothing is changed, whatever windows say.

    Attributes:
        name: what it is called in messages.
        start, end: `from` and `to`, moments in its zone; the end is no longer part of it.
        zone: time zone.
        namespaces: patterns of the namespaces it is for; empty: all.
    """

    name: str
    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    zone: Zone = "UTC"
    namespaces: Names = ()

    @model_validator(mode="after")
    def _forward(self) -> Freeze:
        if self.end <= self.start:
            raise ValueError("to: a freeze has to end after it begins")
        return self


class BlastRadius(_Group):
    """How much one plan may touch, besides the limits of a transaction.

    Attributes:
        objects, namespaces: how many; None: no bound but `limits`.
        share: share of a workload's pods that may become unavailable at once; pods of one that serves nothing at all
            do not count.
    """

    objects: int | None = Field(default=None, ge=1)
    namespaces: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)


class ImageRules(_Group):
    """Which images a change may bring in, as patterns of `repository:tag`.

    Attributes:
        allow: only these (they count as known then); empty: those of repositories that run here already.
        deny: never these, whatever is allowed.
    """

    allow: Names = ()
    deny: Names = ()


class OwnerRule(_Group):
    """Somebody who keeps objects as they are from outside, besides those that are known.

    Attributes:
        name: such as `Crossplane`.
        managers: patterns of the field managers it writes as.
        labels, annotations: keys that its objects carry.
        source: where changes belong, for the message.
    """

    name: str
    managers: Names = ()
    labels: Names = ()
    annotations: Names = ()
    source: str = "its source"

    @model_validator(mode="after")
    def _recognisable(self) -> OwnerRule:
        if not (self.managers or self.labels or self.annotations):
            raise ValueError("managers, labels or annotations: name at least one by which its objects are known")
        return self


class PolicySettings(_Group):
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
