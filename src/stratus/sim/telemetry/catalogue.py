"""Types and descriptions of metrics."""

from __future__ import annotations

_PARTS = ("_bucket", "_sum", "_count")
_WORDS = {
    "kube_": "Of the object's state",
    "container_": "Of the container, as its node measures it",
    "traces_span_metrics_": "Of spans, counted by service, operation, kind and status",
    "istio_": "Of requests between workloads of the mesh",
    "kafka_": "Of topics and consumer groups",
    "redis_": "Of Redis and Valkey, as their exporter asks them",
    "pg_": "Of PostgreSQL, as its exporter asks it",
    "mongodb_": "Of MongoDB, as its exporter asks it",
    "memcached_": "Of memcached, as its exporter asks it",
    "apiserver_": "Of the API server's requests",
    "locust_": "Of the load generator's requests",
    "probe_": "Of a probe from outside",
}


def type_of(name: str) -> tuple[str, str]:
    """Return (family, type) of a metric."""
    for part in _PARTS:
        base = name.removesuffix(part)
        if base != name and base.endswith(("_milliseconds", "_seconds")):
            return base, "histogram"
    return name, "counter" if name.endswith("_total") else "gauge"


def help_of(family: str) -> str:
    """Return a line about a family of metrics."""
    for prefix, words in _WORDS.items():
        if family.startswith(prefix):
            return f"{words}: {family.removeprefix(prefix).removesuffix('_total').replace('_', ' ')}."
    return {"up": "Whether the target could be scraped."}.get(family, f"{family.replace('_', ' ')}.")
