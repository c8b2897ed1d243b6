"""A query language of our own making for the embedded cluster's series: PromQL, as Prometheus 2 understands it."""

from stratus.sim.telemetry.promql.evaluator import Engine, Query
from stratus.sim.telemetry.promql.parser import PromQLError, parse
from stratus.sim.telemetry.promql.series import Database, Series

__all__ = ["Database", "Engine", "PromQLError", "Query", "Series", "parse"]
