"""Oracles: the original ones of the benchmarks, and a strict one beside each; both judge snapshots."""

from stratus.bench.oracles.judging import Judgement, OracleResult, judge, judge_records
from stratus.bench.oracles.strict import strict

__all__ = ["Judgement", "OracleResult", "judge", "judge_records", "strict"]
