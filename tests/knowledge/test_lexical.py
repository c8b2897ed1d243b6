"""Terms and BM25."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.knowledge.lexical import Bm25, stem, words


def test_compounds_give_themselves_and_their_parts():
    assert words("ImagePullBackOff") == ["imagepullbackoff", "imag", "pull", "back", "off"]
    assert words("OOMKilled") == ["oomkill", "oom", "kill"]
    assert words("targetPort:8080") == ["targetport", "target", "port", "8080"]
    assert "config" in words("missing_config_key")


@pytest.mark.parametrize(
    ("one", "other"),
    [("probes", "probe"), ("scheduled", "scheduling"), ("policies", "policy"), ("running", "runs"), ("nodes", "node"),
     ("failed", "failing"), ("killed", "kills"), ("classes", "class")],
)  # fmt: skip
def test_forms_of_a_word_meet(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("port", "pod"), ("quota", "quote"), ("taint", "tail"), ("dns", "den")])
def test_different_words_stay_apart(one, other):
    assert stem(one) != stem(other)


def test_rare_words_weigh_more_and_repetition_saturates():
    index = Bm25({"a": "pod quota", "b": "pod pod pod pod pod", "c": "pod node"})
    hits = index.search("pod quota")
    assert max(hits, key=lambda key: hits[key].score) == "a"
    assert hits["a"].coverage == pytest.approx(1.0)
    assert hits["b"].coverage < 0.5


def test_shorter_text_wins_with_the_same_words():
    hits = Bm25({"short": "quota exceeded", "long": "quota exceeded " + "filler " * 50}).search("quota")
    assert hits["short"].score > hits["long"].score


def test_no_common_word_no_hit():
    index = Bm25({"a": "pod quota"})
    assert index.search("banana") == {}
    assert index.search("the of and") == {}
    assert index.search("") == {}
    assert Bm25({}).search("pod") == {}


def test_unknown_names_lower_the_coverage_but_do_not_decide():
    index = Bm25({"a": "quota exceeded", "b": "node lost", "c": "probe failed"})
    assert index.search("quota exceeded")["a"].coverage > index.search("quota exceeded for zyx77")["a"].coverage > 0.5


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=6), st.text(max_size=40))
def test_any_text_is_taken(texts, query):
    for hit in Bm25(texts).search(query).values():
        assert hit.score > 0
        assert 0 < hit.coverage <= 1.0 + 1e-9
