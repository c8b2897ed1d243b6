"""Measures the embedded cluster: start, rollout, scale, the cost of one change, and its API beside another test double.

    python benchmarks/embedded_cluster.py [--json FILE] [--check] [--quick] [--kmock-python PATH]

Every figure is CPU time of this process, the median of several rounds. Absolute times depend on the machine; the
ratios, made within one run, do not. `--check` exits with 1 when a bound that the documentation promises is broken.
`kmock` is measured beside the API with `--kmock-python`: an environment of its own (`pip install kmock`) has it, since
its pytest plugin does not get along with other tests.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster

Row = dict[str, Any]

#: What the documentation promises: name of a row, the most it may be, unit.
BOUNDS: dict[str, float] = {
    "start with an application, ms": 50.0,
    "rollout of 10 pods, ms": 20.0,
    "memory of 5,000 pods on 500 nodes, MiB": 1024.0,
    "change of one object among 5,000 pods : among 50": 2.0,
    "scale of one Deployment among 5,000 pods : among 50": 2.0,
}
APPLICATIONS = ("hotel-reservation", "social-network", "astronomy-shop")


def cpu(work: Callable[[], Any]) -> float:
    """CPU milliseconds of one call."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000.0


def median(work: Callable[[], Any], rounds: int) -> float:
    """Median CPU milliseconds of several calls after one that is not counted.

    Garbage is collected before them and not between them: a collection walks through all that the process holds and
    leaves the processor's caches cold, which no user's call does.
    """
    gc.collect()
    work()
    return statistics.median(cpu(work) for _ in range(rounds))


def call(cluster: EmbeddedCluster, method: str, target: str, body: Any = None, kind: str = "application/json") -> Any:
    """One request in process; raises when it is refused."""
    payload = json.dumps(body).encode() if body is not None else b""
    answer = cluster.api.handle(Request(method=method, target=target, headers={"content-type": kind}, body=payload))
    if answer.status >= 400:
        raise RuntimeError(f"{method} {target}: {answer.status} {answer.body[:300]!r}")
    return answer


def merge(cluster: EmbeddedCluster, target: str, body: Any) -> Any:
    """One merge patch."""
    return call(cluster, "PATCH", target, body, "application/merge-patch+json")


def deployment(name: str, replicas: int, *, probed: bool = False) -> dict[str, Any]:
    """A Deployment of one small container, with a readiness probe every five seconds if wanted."""
    container: dict[str, Any] = {
        "name": "web",
        "image": "nginx:1.25",
        "ports": [{"containerPort": 80}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    if probed:
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def service(name: str) -> dict[str, Any]:
    """The Service in front of it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    }


def ready(cluster: EmbeddedCluster) -> int:
    """Number of ready pods of the default namespace."""
    pods = json.loads(call(cluster, "GET", "/api/v1/namespaces/default/pods").body)["items"]
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", ())) for p in pods
    )


def starts(rounds: int) -> list[Row]:
    """A fresh cluster with each application, without warm-up; and ten minutes of life of each."""
    rows: list[Row] = []
    worst = 0.0
    for name in APPLICATIONS:

        def begin(name: str = name) -> None:
            EmbeddedCluster(app=name, warmup=0.0).close()

        try:
            took = median(begin, rounds)
        except Exception as error:
            rows.append({"row": f"start, {name}, ms", "value": None, "note": str(error)[:120]})
            continue
        worst = max(worst, took)
        rows.append({"row": f"start, {name}, ms", "value": took})

        def live(name: str = name) -> None:
            EmbeddedCluster(app=name, warmup=600.0).close()

        rows.append(
            {"row": f"start and ten minutes of traffic, {name}, ms", "value": median(live, max(2, rounds // 2))}
        )
    return [{"row": "start with an application, ms", "value": worst}, *rows]


def rollout(rounds: int) -> Row:
    """A new image for a Deployment of ten pods on a running cluster, until all are ready."""
    cluster = EmbeddedCluster(app=None, warmup=0.0)
    call(cluster, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment("web", 10, probed=True))
    call(cluster, "POST", "/api/v1/namespaces/default/services", service("web"))
    cluster.advance(60)
    tags = iter(range(1, 1000))

    def roll() -> None:
        container = {"name": "web", "image": f"nginx:1.{next(tags)}"}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        target = "/apis/apps/v1/namespaces/default/deployments/web"
        call(cluster, "PATCH", target, body, "application/strategic-merge-patch+json")
        cluster.advance(30)

    took = median(roll, rounds)
    if (
        ready(cluster) != 10
        or cluster.store.get("deployments.apps", "default", "web")["status"].get("updatedReplicas") != 10
    ):
        raise RuntimeError("the rollout did not end")
    cluster.close()
    return {"row": "rollout of 10 pods, ms", "value": took}


def probes(rounds: int) -> Row:
    """A minute of a hundred pods that are probed every five seconds: the cost of one probe, in microseconds."""
    cluster = EmbeddedCluster(app=None, warmup=0.0)
    call(cluster, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment("web", 100, probed=True))
    cluster.advance(60)
    took = median(lambda: cluster.advance(60), rounds)
    cluster.close()
    return {"row": "one probe, µs", "value": took * 1000.0 / (100 * 12)}


def filled(deployments: int, replicas: int, nodes: int) -> EmbeddedCluster:
    """A cluster with many pods, all of them ready."""
    cluster = EmbeddedCluster(app=None, nodes=nodes, warmup=0.0)
    for number in range(deployments):
        call(cluster, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment(f"d{number}", replicas))
        call(cluster, "POST", "/api/v1/namespaces/default/services", service(f"d{number}"))
    cluster.advance(120)
    if ready(cluster) != deployments * replicas:
        raise RuntimeError(f"{ready(cluster)} of {deployments * replicas} pods are ready")
    return cluster


def one_change(cluster: EmbeddedCluster, rounds: int) -> tuple[float, float]:
    """Cost of labelling one Deployment, and of scaling one of five pods up and down with all that follows."""
    call(cluster, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment("touched", 5))
    call(cluster, "POST", "/api/v1/namespaces/default/services", service("touched"))
    cluster.advance(60)
    target = "/apis/apps/v1/namespaces/default/deployments/touched"
    values = iter(range(10_000))

    def label() -> None:
        for _ in range(20):
            merge(cluster, target, {"metadata": {"annotations": {"round": str(next(values))}}})

    def scale() -> None:
        merge(cluster, target, {"spec": {"replicas": 6}})
        cluster.advance(20)
        merge(cluster, target, {"spec": {"replicas": 5}})
        cluster.advance(40)

    return median(label, rounds) / 20, median(scale, rounds)


def many(rounds: int) -> list[Row]:
    """5,000 pods on 500 nodes: in a process of its own for the memory; the cost of one change beside a small cluster.

    Both clusters have the same number of nodes: a pod that is placed looks at nodes, whatever runs on them.
    """
    small = filled(1, 50, 500)
    small_label, small_scale = one_change(small, rounds)
    small.close()
    begun = time.process_time()
    big = filled(100, 50, 500)
    made = (time.process_time() - begun) * 1000.0
    label, scale = one_change(big, rounds)
    listed = median(lambda: call(big, "GET", "/api/v1/pods"), 3)
    version = big.store.rv
    minute = cpu(lambda: big.advance(60))
    stream = big.api.handle(
        Request(method="GET", target=f"/api/v1/pods?watch=true&resourceVersion={version}", headers={}, body=b"")
    )
    watched = cpu(lambda: merge(big, "/apis/apps/v1/namespaces/default/deployments/touched", {"spec": {"replicas": 7}}))
    del stream
    rows: list[Row] = [
        {"row": "5,000 pods on 500 nodes made and ready, ms", "value": made},
        {"row": "list of 5,000 pods, ms", "value": listed},
        {"row": "scale with a watch on 5,000 pods, ms", "value": watched},
        {"row": "change of one object among 5,000 pods, ms", "value": label},
        {"row": "change of one object among 5,000 pods : among 50", "value": label / small_label},
        {"row": "scale of one Deployment among 5,000 pods, ms", "value": scale},
        {"row": "scale of one Deployment among 5,000 pods : among 50", "value": scale / small_scale},
        {"row": "a minute of 5,000 idle pods, ms", "value": minute},
        {"row": "memory of 5,000 pods on 500 nodes, MiB", "value": memory()},
    ]
    big.close()
    return rows


def memory() -> float:
    """Peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def asked_over_http(python: str, whom: str) -> dict[str, float]:
    """CPU microseconds per request of `api_requests.py`, run by an interpreter that has what it asks."""
    script = Path(__file__).resolve().parent / "api_requests.py"
    done = subprocess.run([python, str(script), whom], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def beside_kmock(kmock_python: str | None, rounds: int) -> list[Row]:
    """The API over plain HTTP beside kmock's emulator: each in a process of its own, by turns; medians."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    why = "not measured: --kmock-python PATH of an interpreter that has it (pip install kmock)"
    for _ in range(rounds):
        ours.append(asked_over_http(sys.executable, "stratus"))
        if kmock_python is not None:
            try:
                theirs.append(asked_over_http(kmock_python, "kmock"))
            except (OSError, RuntimeError) as error:
                kmock_python, why = None, str(error)[:120]
    rows: list[Row] = []
    for name in ours[0]:
        mine = statistics.median(found[name] for found in ours)
        rows.append({"row": f"{name} over HTTP, µs", "value": mine})
        if kmock_python is not None:
            other = statistics.median(found[name] for found in theirs)
            rows.append({"row": f"{name} over HTTP, kmock, µs", "value": other})
            rows.append({"row": f"{name} over HTTP, ours : kmock", "value": mine / other})
    return rows if kmock_python is not None else [*rows, {"row": "kmock", "value": None, "note": why}]


def measure(quick: bool, kmock_python: str | None) -> list[Row]:
    """All rows; those over 5,000 pods in a process of their own, so that its memory is theirs alone."""
    rounds = 3 if quick else 9
    rows = [*starts(rounds), rollout(rounds), probes(rounds), *beside_kmock(kmock_python, 1 if quick else 3)]
    own = [sys.executable, str(Path(__file__).resolve()), "--many", str(rounds)]
    rows.extend(json.loads(subprocess.run(own, check=True, stdout=subprocess.PIPE).stdout))
    return rows


def broken(rows: list[Row]) -> list[str]:
    """The promises that these rows break."""
    values = {row["row"]: row["value"] for row in rows}
    # Whoever is measured beside it serves less; it is not to serve it faster.
    bounds = BOUNDS | {name: 1.0 for name in values if name.endswith("ours : kmock")}
    return [
        f"{name}: {values.get(name)} where at most {most} is promised"
        for name, most in bounds.items()
        if values.get(name) is None or values[name] > most
    ]


def main() -> int:
    """Run, print and optionally write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is broken")
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    parser.add_argument("--kmock-python", metavar="PATH", help="interpreter that has kmock, to measure it beside")
    parser.add_argument("--many", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.many:
        print(json.dumps(many(options.many)))
        return 0
    rows = measure(options.quick, options.kmock_python)
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.2f}"
        bound = f"  (at most {BOUNDS[row['row']]:g})" if row["row"] in BOUNDS else ""
        print(f"{value:>10}  {row['row']}{bound}{'  ' + row['note'] if row.get('note') else ''}")
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    failures = broken(rows)
    for failure in failures:
        print("BROKEN:", failure)
    return 1 if options.check and failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
