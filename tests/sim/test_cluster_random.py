"""Random lives of a cluster: figures stay possible, nothing breaks, and a replay comes to the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from stratus.errors import UsageError
from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster, dump

NS = "hotel-reservation"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NS}/deployments"


def write(cluster: EmbeddedCluster, method: str, path: str, body: object = None) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    cluster.api.handle(Request(method, path, {"content-type": "application/merge-patch+json"}, data))


def one_step(cluster: EmbeddedCluster, rng: random.Random) -> None:
    kind = rng.choice(("advance", "advance", "inject", "inject", "heal", "scale", "pod", "service", "fork"))
    names = [d["metadata"]["name"] for d in cluster.store.list("deployments.apps", NS)]
    if kind == "advance":
        cluster.advance(rng.choice((0.0, 1.3, 5.0, 20.0, 61.0)))
    elif kind == "inject":
        fault = rng.choice([f for f in cluster.faults() if not f.id.startswith("any-")])
        try:
            cluster.inject(fault.id)
        except UsageError:
            return  # it is there already, or something it is about has gone
    elif kind == "heal" and cluster.injected():
        cluster.heal(rng.choice(cluster.injected()))
    elif kind == "scale":
        write(cluster, "PATCH", f"{DEPLOYMENTS}/{rng.choice(names)}/scale", {"spec": {"replicas": rng.randrange(4)}})
    elif kind == "pod":
        pods = cluster.store.list("pods", NS)
        if pods:
            write(cluster, "DELETE", f"/api/v1/namespaces/{NS}/pods/{rng.choice(pods)['metadata']['name']}")
    elif kind == "service":
        write(
            cluster,
            "PATCH",
            f"/api/v1/namespaces/{NS}/services/geo",
            {"metadata": {"labels": {"n": str(rng.random())}}},
        )
    elif kind == "fork":
        with cluster.fork() as twin:
            twin.advance(10)


def check(cluster: EmbeddedCluster) -> None:
    tick = cluster.history.last(cluster.clock.now())
    assert tick is not None
    for figures in tick.services.values():
        assert figures.rate >= 0
        assert 0 <= figures.error_rate <= 1
        assert 0 <= figures.p95 <= figures.p99 * 1.03
        assert figures.p99 < 60
    for edge in tick.edges.values():
        assert 0 <= edge.errors <= edge.calls
        assert 0 <= edge.own_p99 <= edge.p99 + 1e-9
    for use in tick.use:
        assert 0 <= use.cpu <= (use.cpu_limit or 4.0) + 1e-9
        assert 0 <= use.throttled <= 1
        assert use.memory > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_random_life_stays_possible_and_is_replayed_exactly(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "state.db"
    with EmbeddedCluster(state_file=path, warmup=30, seed=seed) as cluster:
        for _ in range(25):
            one_step(cluster, rng)
            check(cluster)
        wanted = dump(cluster), list(cluster.history.between(0, 1e12)), cluster.injected()
    with EmbeddedCluster(state_file=path, warmup=30, seed=seed) as cluster:
        assert (dump(cluster), list(cluster.history.between(0, 1e12)), cluster.injected()) == wanted
