"""A query language of our own making for the embedded cluster's series: PromQL, as Prometheus 2 understands it."""
