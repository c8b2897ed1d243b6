"""Fusing two rankings into citations."""

from __future__ import annotations

import itertools

from stratus.knowledge.lexical import Hit
from stratus.knowledge.passages import Passage
from stratus.knowledge.retrieval import Floors, cite


def passage(id: str, section: str = "s", kind: str = "runbook") -> Passage:
    return Passage(kind=kind, id=id, title=id.upper(), section=section, text=f"{id} {section}", path=f"{id}.md")


PASSAGES = {f"{id}{section}": passage(id, section) for id, section in itertools.product("abc", "12")}


def test_agreement_of_both_rankings_wins():
    vector = {"a1": 0.9, "b1": 0.8, "c1": 0.5}
    lexical = {"b1": Hit(9.0, 0.9), "c1": Hit(8.0, 0.8), "a1": Hit(0.1, 0.4)}
    assert [c.id for c in cite(PASSAGES, vector, lexical, limit=3)] == ["b", "a", "c"]


def test_document_is_cited_once_by_the_passage_nearest_in_meaning():
    found = cite(PASSAGES, {"a1": 0.5, "a2": 0.7}, {"a1": Hit(9.0, 1.0)}, limit=5)
    assert [(c.id, c.passage, c.title, c.path, c.score) for c in found] == [("a", "a 2", "A", "a.md", 0.7)]


def test_weak_matches_are_left_out():
    floors = Floors(similarity=0.4, coverage=0.5, least=0.2)
    assert floors.passed(0.4, 0.0)
    assert floors.passed(0.2, 0.5)
    assert not floors.passed(0.39, 0.49), "a little of both is not enough"
    assert not floors.passed(0.19, 1.0), "the same words with another meaning"
    vector = {"a1": 0.39, "b1": 0.41, "c1": 0.3}
    lexical = {"a1": Hit(1.0, 0.49), "c1": Hit(1.0, 0.5)}
    assert {c.id for c in cite(PASSAGES, vector, lexical, limit=5, floors=floors)} == {"b", "c"}


def test_without_vectors_the_score_is_the_coverage():
    found = cite(PASSAGES, {}, {"a1": Hit(3.0, 0.6)}, limit=5, floors=Floors(similarity=1.1, least=0.0))
    assert [(c.id, c.passage, c.score) for c in found] == [("a", "a 1", 0.6)]


def test_found_by_words_only_shows_its_own_similarity():
    found = cite(PASSAGES, {"b1": 0.8, "a2": 0.25}, {"a1": Hit(3.0, 0.9)}, limit=5)
    assert {c.id: c.score for c in found} == {"b": 0.8, "a": 0.25}


def test_scores_are_clipped_and_unknown_keys_ignored():
    found = cite(PASSAGES, {"a1": 1.0000002, "gone": 0.99}, {"gone": Hit(9.0, 1.0)}, limit=5)
    assert [(c.id, c.score) for c in found] == [("a", 1.0)]


def test_ties_are_broken_by_name_whatever_the_order():
    for keys in itertools.permutations(["a1", "b1", "c1"]):
        assert [c.id for c in cite(PASSAGES, dict.fromkeys(keys, 0.5), {}, limit=2)] == ["a", "b"]


def test_same_id_in_two_kinds_is_two_documents():
    passages = {"x": passage("a", kind="ticket"), "y": passage("a", kind="log")}
    assert {c.kind for c in cite(passages, {"x": 0.8, "y": 0.7}, {}, limit=5)} == {"ticket", "log"}


def test_limit():
    vector = {"a1": 0.9, "b1": 0.8, "c1": 0.7}
    assert [c.id for c in cite(PASSAGES, vector, {}, limit=2)] == ["a", "b"]
    assert cite(PASSAGES, vector, {}, limit=0) == ()
