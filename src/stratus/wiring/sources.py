"""Where a cluster comes from: a kubeconfig, the pod's own service account, an API client, or the embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.errors import UsageError
from stratus.kit.clock import Clock
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.cluster.kube import KubeCluster
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.telemetry.base import Telemetry


@dataclass(frozen=True)
class Source:
    """A cluster and what comes with it.

    Attributes:
        clock: the cluster's own clock when its time is virtual; None for real clusters.
        embedded: the embedded cluster behind it, or None.
    """

    cluster: KubeCluster
    clock: Clock | None = None
    embedded: EmbeddedCluster | None = None

    @property
    def emulated(self) -> bool:
        """Whether figures measured here are emulated."""
        return self.embedded is not None

    def telemetry(self, settings: Settings) -> Telemetry:
        """Return the telemetry of the embedded cluster, or what the settings name."""
        if self.embedded is not None:
            return self.embedded.telemetry()
        from stratus.telemetry.compose import telemetry_from_settings

        return telemetry_from_settings(settings, self.cluster.reader)


class EmbeddedClock:
    """The embedded cluster's time: sleeping advances it, and the advance is part of its durable log."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster

    def now(self) -> float:
        """Return the cluster's present, epoch seconds."""
        return self.cluster.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass in the cluster."""
        if seconds > 0:
            self.cluster.advance(seconds)


def embedded_source(cluster: EmbeddedCluster) -> Source:
    """Wrap an embedded cluster, reached in process through the official client."""
    from stratus.cluster.kube import KubeCluster

    return Source(KubeCluster(cluster.api_client()), EmbeddedClock(cluster), cluster)


@contextmanager
def open_embedded(app: str, *, seed: int = 0, state_file: Path | None = None) -> Iterator[Source]:
    """Start an embedded cluster, or rebuild it from its state file.

    Raises:
        UsageError: no such application.
    """
    from stratus.sim.cluster import EmbeddedCluster

    if state_file is not None:
        state_file.parent.mkdir(parents=True, exist_ok=True)
    cluster = EmbeddedCluster(app=app, seed=seed, state_file=state_file)
    try:
        yield embedded_source(cluster)
    finally:
        cluster.close()


def show_fault(source: Source, fault: str) -> None:
    """Inject a fault into the embedded cluster (unless it is there already) and wait until its symptoms show.

    Called before an incident's first step only, so that an incident that goes on is not given more time or faults.

    Raises:
        UsageError: no such fault, or the cluster is not an embedded one.
    """
    if source.embedded is None:
        raise UsageError("a fault can only be injected into an embedded cluster: give --embedded APP as well")
    if fault not in source.embedded.injected():
        source.embedded.inject(fault)
    wait_for_symptoms(source.embedded)


def wait_for_symptoms(cluster: EmbeddedCluster, *, limit: float = 900.0, step: float = 15.0) -> None:
    """Let time pass until an alert fires, `limit` seconds at most; a fault without alert is looked for all the same."""
    alerts = cluster.telemetry().alerts
    waited = 0.0
    while waited < limit and not (alerts is not None and alerts.firing()):
        cluster.advance(step)
        waited += step


@contextmanager
def open_kubernetes(settings: Settings) -> Iterator[Source]:
    """Connect to the cluster that the settings name.

    Raises:
        UsageError: the kubeconfig cannot be used.
        ClusterUnreachable: the API does not answer.
    """
    from stratus.cluster.kube import KubeCluster

    cluster = KubeCluster.from_settings(settings)
    try:
        yield Source(cluster)
    finally:
        cluster.close()


def source_of(thing: Any) -> Source:
    """Accept what a library user has at hand: an embedded cluster, a `KubeCluster`, or an official API client.

    Raises:
        UsageError: it is none of these.
    """
    from stratus.cluster.kube import KubeCluster

    if isinstance(thing, Source):
        return thing
    if isinstance(thing, KubeCluster):
        return Source(thing)
    if hasattr(thing, "advance") and hasattr(thing, "api_client") and callable(thing.api_client):
        return embedded_source(thing)
    client = getattr(thing, "api_client", thing)
    if hasattr(client, "rest_client"):
        return Source(KubeCluster(client))
    raise UsageError(
        f"cannot use a {type(thing).__name__} as a cluster: give a kubernetes ApiClient "
        "(or an API object made with one), a stratus KubeCluster or an EmbeddedCluster"
    )
