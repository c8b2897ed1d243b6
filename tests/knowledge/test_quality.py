"""How well the right runbook is found: recall over realistic queries, and silence where nothing fits."""

from __future__ import annotations

import typing
from pathlib import Path

import numpy as np
import pytest
import yaml

from stratus.knowledge.memory import InMemoryKnowledge
from stratus.knowledge.passages import of_runbook
from stratus.knowledge.retrieval import cite
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.knowledge.store import open_knowledge
from stratus.model.diagnosis import FaultClass
from stratus.settings import Settings

QUERIES: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "queries.yaml").read_text(encoding="utf-8"))
CASES = [(fault, query) for fault, queries in QUERIES.items() for query in queries]
TREATS = {book.id: book.faults for book in shipped_runbooks()}
OFF_TOPIC = [
    "recipe for pancakes with maple syrup",
    "quarterly revenue of the marketing department",
    "who won the football match yesterday",
    "translate this poem into French",
    "book a flight to Lisbon for two people",
    "the cat sat on the mat",
    "best restaurants near the station",
    "what is the capital of Mongolia",
]


@pytest.fixture(scope="module")
def chroma(tmp_path_factory, minilm):
    with open_knowledge(Settings(state_dir=tmp_path_factory.mktemp("state")), embedder=minilm) as knowledge:
        yield knowledge


def rank(found, fault: str) -> int:
    """Position of the first runbook that treats the class, 99 when there is none."""
    return next((n for n, citation in enumerate(found, 1) if fault in TREATS[citation.id]), 99)


def recall(ranks: list[int], depth: int) -> float:
    return sum(n <= depth for n in ranks) / len(ranks)


def test_there_are_two_queries_for_every_class():
    assert set(QUERIES) == set(typing.get_args(FaultClass)) - {"unknown"}
    assert {len(queries) for queries in QUERIES.values()} == {2}


def test_hybrid_finds_the_right_runbook(chroma, record_property):
    ranks = [rank(chroma.search(query, kinds=("runbook",)), fault) for fault, query in CASES]
    record_property("recall@1", recall(ranks, 1))
    record_property("recall@3", recall(ranks, 3))
    missed = [case for case, n in zip(CASES, ranks, strict=True) if n > 3]
    assert recall(ranks, 3) >= 0.97, missed
    assert recall(ranks, 1) >= 0.85


def test_hybrid_is_at_least_as_good_as_either_half(chroma, minilm):
    passages = {passage.key: passage for book in shipped_runbooks() for passage in of_runbook(book)}
    stored = chroma._store.vectors("runbook", list(passages))
    matrix = np.array([stored[key] for key in passages])

    def nearest(query):
        cosines = matrix @ np.array(minilm.embed([query])[0])
        return cite(passages, dict(zip(passages, cosines.tolist(), strict=True)), {}, limit=5)

    words = InMemoryKnowledge(shipped_runbooks())
    figures = {}
    for name, search in (
        ("hybrid", lambda query: chroma.search(query, kinds=("runbook",))),
        ("vector", nearest),
        ("lexical", words.search),
    ):
        ranks = [rank(search(query), fault) for fault, query in CASES]
        figures[name] = (recall(ranks, 1), recall(ranks, 3))
    assert figures["hybrid"][1] >= max(figures["vector"][1], figures["lexical"][1]), figures
    assert figures["hybrid"][0] >= figures["vector"][0], figures
    assert figures["lexical"][1] >= 0.85, figures


@pytest.mark.parametrize("query", OFF_TOPIC)
def test_no_match_is_an_answer(chroma, query):
    assert chroma.search(query) == ()


def test_chroma_finds_the_nearest_as_an_exact_search_does(chroma, minilm):
    passages = {passage.key: passage for book in shipped_runbooks() for passage in of_runbook(book)}
    vectors = chroma._store.vectors("runbook", list(passages))
    assert len(vectors) == len(passages)
    matrix = np.array(list(vectors.values()))
    for _, query in CASES[:20]:
        asked = minilm.embed([query])[0]
        cosines = dict(zip(vectors, (matrix @ np.array(asked)).tolist(), strict=True))
        best = sorted(cosines, key=lambda key: -cosines[key])[:10]
        found = chroma._store.query("runbook", asked, 60)
        assert set(best) <= set(found)
        assert all(abs(found[key] - cosines[key]) < 1e-4 for key in best)
