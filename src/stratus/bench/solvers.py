"""Agents that can be measured: ours, and baselines with the same cluster in their hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.errors import UnknownNameError
from stratus.model.reports import Report
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.bench.episode import Solver
    from stratus.sim.cluster import EmbeddedCluster


def ours(cluster: EmbeddedCluster, settings: Settings) -> Report | None:
    """Stratus, as configured."""
    from stratus.wiring.respond import respond

    return respond(cluster=cluster, settings=settings)


def noop(_cluster: EmbeddedCluster, _settings: Settings) -> Report | None:
    """Does nothing."""
    return None


def restart(cluster: EmbeddedCluster, _settings: Settings) -> Report | None:
    """Deletes every pod of the application's namespaces once: the loop that solves some published scenarios."""
    from stratus.cluster.kube import KubeCluster
    from stratus.model.actions import ApiWrite
    from stratus.model.refs import ObjectRef

    kube = KubeCluster(cluster.api_client())
    for pod in kube.reader.list("pods"):
        ref = ObjectRef.of(pod, kind="Pod", api_version="v1")
        if not ref.namespace.startswith("kube-"):
            kube.writer.write(ApiWrite(method="DELETE", target=ref, plural="pods"))
    cluster.advance(120.0)
    return None


SOLVERS: dict[str, Solver] = {"stratus": ours, "noop": noop, "restart-pods": restart}


def solver(name: str) -> Solver:
    """Return a solver by name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in SOLVERS:
        raise UnknownNameError(f"no solver {name!r}; known: {', '.join(SOLVERS)}")
    return SOLVERS[name]
