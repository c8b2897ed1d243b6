"""The summary: stable keys, right counts, parts that add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stratus.bench.record import RUN, save, write_whole
from stratus.bench.summary import Figures, agent_of, merged, summarise
from stratus.errors import UsageError

from .episodes import calm, outcome, plan, record, scenario

PROMISED = {
    "episodes", "covered", "detection", "false_alarms", "localization", "root_cause", "mitigation_original",
    "mitigation_strict", "end_to_end", "tnr_violations", "undo_fidelity", "transactions", "undos", "tokens",
    "model_calls", "ttd", "ttl", "ttm",
}  # fmt: skip


def some() -> list:
    failed = outcome(state="unresolved", undos=2, proved=1, transactions=3, refused=4, rewritten=1, tokens_in=10)
    return [
        record(seed=0),
        record(seed=1, told=failed, original=False, strict=False, violations=("worse", "and worse")),
        record(scenario("two", family="network", complexity="high"), seed=0, strict=False),
        record(scenario("two", family="network", complexity="high"), seed=1),
        record(calm(), outcome(state="healthy", detected=False, transactions=0, attempts=())),
        record(solver="noop", told=outcome(state="none", detected=None, transactions=0, touched=()), strict=False),
    ]


def test_the_keys_are_those_that_are_promised() -> None:
    found = some()
    text = json.loads(summarise(plan(*found), found).model_dump_json())
    block = text["suites"]["test"]["stratus"]
    assert block.keys() >= PROMISED
    for name in ("detection", "mitigation_strict", "tnr_violations", "covered"):
        assert block[name].keys() >= {"value", "low", "high", "n"}
    assert text["overall"].keys() == {"stratus", "noop"}
    assert text["emulated"] is True


def test_the_counts() -> None:
    found = some()
    block = summarise(plan(*found), found).suites["test"]["stratus"]
    assert (block.episodes, block.scenarios, block.errors) == (5, 3, 0)
    assert (block.covered.hits, block.covered.n) == (3, 4)
    assert (block.mitigation_strict.hits, block.mitigation_strict.n) == (2, 4)
    assert (block.mitigation_original.hits, block.mitigation_original.n) == (3, 4)
    assert (block.false_alarms.hits, block.false_alarms.n) == (0, 1)
    assert (block.tnr_violations.hits, block.tnr_violations.n, block.violations) == (1, 5, 2)
    assert (block.undo_fidelity.hits, block.undo_fidelity.n) == (1, 2)
    assert (block.transactions, block.undos, block.refused, block.rewritten) == (6, 2, 4, 1)
    assert (block.false_claims.hits, block.false_claims.n) == (1, 3)
    assert block.restored.hits == 2
    assert block.tokens.value == 2.0
    assert block.pass_k == {"1": 0.5, "2": 0.0}


def test_times_are_means_of_what_happened() -> None:
    found = some()
    block = summarise(plan(*found), found).overall["stratus"]
    assert (block.ttd.value, block.ttl.value, block.ttm.value) == (1.0, 2.0, 30.0)
    assert (block.mttr.value, block.mttr.n) == (90.0, 2)  # only of those that were repaired
    assert block.real_ttm.value == 0.9


def test_parts_add_up() -> None:
    found = some()
    block = summarise(plan(*found), found).overall["stratus"]
    assert set(block.by) == {"family", "app", "complexity", "noise"}
    assert set(block.by["family"]) == {"scaling", "network", "noop"}
    for parts in block.by.values():
        assert sum(p.episodes for p in parts.values()) == block.episodes
        assert sum(p.mitigation_strict.hits for p in parts.values()) == block.mitigation_strict.hits
    assert block.by["complexity"]["high"].mitigation_strict.n == 2


def test_an_episode_that_was_not_played_counts_as_failed() -> None:
    found = [record(), record(seed=1, error="the model is gone")]
    found[1] = found[1].model_copy(update={"score": found[1].score})
    block = summarise(plan(*found), found).overall["stratus"]
    assert block.errors == 1
    assert (block.mitigation_strict.hits, block.mitigation_strict.n) == (1, 2)
    assert block.ttd.n == 1


def test_another_reasoner_is_another_agent() -> None:
    other = record()
    other = other.model_copy(update={"job": other.job.model_copy(update={"reasoner": "openai:x"})})
    assert agent_of(other) == "stratus (openai:x)"
    assert set(summarise(plan(other), [record(), other]).overall) == {"stratus", "stratus (openai:x)"}


def test_no_episode_gives_no_figures() -> None:
    empty = summarise(plan(), [])
    assert empty.suites == {}
    assert Figures().mitigation_strict.value is None


def test_several_runs_become_one(tmp_path: Path) -> None:
    first, second = [record()], [record(solver="noop", told=outcome(state="none"), strict=False)]
    for name, found in (("a", first), ("b", second)):
        write_whole(tmp_path / name / RUN, plan(*found, command=f"run {name}").model_dump_json())
        for r in found:
            save(tmp_path / name, r)
    whole, found = merged([tmp_path / "a", tmp_path / "b"])
    assert whole.command == "run a; run b"
    assert set(summarise(whole, found).overall) == {"stratus", "noop"}
    with pytest.raises(UsageError, match="no run"):
        merged([tmp_path / "c"])
