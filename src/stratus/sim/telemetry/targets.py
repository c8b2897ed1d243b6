"""The targets a Prometheus would scrape, and the labels it adds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from stratus.sim.store import Obj
from stratus.sim.telemetry.samples import Sample, conditions

#: (prefixes of names, job, instance).
_TARGETS = (
    (("kube_",), "kube-state-metrics", "kube-state-metrics:8080"),
    (("container_",), "kubelet", ""),
    (("traces_",), "otel-collector", "otel-collector:8889"),
    (("istio_", "request_result"), "service-mesh", "service-mesh:15020"),
    (("kafka_",), "kafka-exporter", "kafka-exporter:9308"),
    (("redis_",), "redis-exporter", "redis-exporter:9121"),
    (("mongodb_",), "mongodb-exporter", "mongodb-exporter:9216"),
    (("pg_",), "postgres-exporter", "postgres-exporter:9187"),
    (("memcached_",), "memcached-exporter", "memcached-exporter:9150"),
    (("locust_",), "load-generator", "load-generator:8089"),
    (("apiserver_",), "apiserver", "kubernetes.default.svc:443"),
)


@lru_cache(maxsize=1024)
def target_of(name: str) -> tuple[str, str]:
    """Return (job, instance) of a metric; empty for what is not scraped."""
    for prefixes, job, instance in _TARGETS:
        if name.startswith(prefixes):
            return job, instance
    return "", ""


def with_target(name: str, labels: dict[str, str]) -> dict[str, str]:
    """Return labels with the metric's name and its target's labels."""
    job, instance = target_of(name)
    labels["__name__"] = name
    if job:
        labels.setdefault("job", job)
    if instance:
        labels.setdefault("instance", instance)
    return labels


def target_samples(nodes: Iterable[Obj]) -> list[Sample]:
    """Return which targets are up."""
    found: list[Sample] = []
    for _, job, instance in _TARGETS[:1] + _TARGETS[2:3] + _TARGETS[-1:]:
        found.append(("up", (("instance", instance), ("job", job)), 1.0))
    for node in nodes:
        ready = dict(conditions(node)).get("Ready") == "true"
        found.append(("up", (("instance", node["metadata"]["name"]), ("job", "kubelet")), float(ready)))
    return found
