"""Words: BM25 over passages, with the long names of Kubernetes taken apart."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

K1 = 1.2
B = 0.75
"""The usual constants of BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009)."""

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")
_LITTLE_WORDS = (
    "a an and are as at be but by can do does for from has have if in into is it its no not of on or so such than "
    "that the their them then there these they this to was were what when which while who will with"
)
_STOP = frozenset(_LITTLE_WORDS.split())


class Hit(NamedTuple):
    """How well a passage matches a query.

    Attributes:
        score: BM25; only comparable within one query.
        coverage: share of the query's information (inverse document frequency) found in the passage, 0..1.
    """

    score: float
    coverage: float


def words(text: str) -> list[str]:
    """Return the terms of a text: lower case, stop words dropped, endings cut.

    A compound such as `ImagePullBackOff` gives itself and its parts.
    """
    found: list[str] = []
    for word in _WORD.findall(text):
        lower = word.lower()
        if lower in _STOP:
            continue
        found.append(stem(lower))
        parts = _CAMEL.findall(word)
        if len(parts) > 1:
            found += [stem(part.lower()) for part in parts if len(part) > 1 and part.lower() not in _STOP]
    return found


def stem(word: str) -> str:
    """Cut the commonest English endings, so that `probes` meets `probe` and `scheduled` meets `scheduling`."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + replacement
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aefiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


class Bm25:
    """An index of texts by key, kept in memory.

    Args:
        texts: text by key.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._counts = {key: Counter(words(text)) for key, text in texts.items()}
        self._lengths = {key: sum(counts.values()) for key, counts in self._counts.items()}
        self._mean = sum(self._lengths.values()) / len(self._lengths) if self._lengths else 1.0
        self._holders: dict[str, list[str]] = {}
        for key, counts in self._counts.items():
            for word in counts:
                self._holders.setdefault(word, []).append(key)

    def search(self, query: str) -> dict[str, Hit]:
        """Return the texts that share at least one term with the query."""
        terms = set(words(query))
        weights = {term: self._information(term) for term in terms}
        total = sum(weights.values())
        scores: defaultdict[str, float] = defaultdict(float)
        covered: defaultdict[str, float] = defaultdict(float)
        # Sorted, so that floating point sums come out the same in every process.
        for term in sorted(terms):
            for key in self._holders.get(term, ()):
                frequency = self._counts[key][term]
                norm = K1 * (1.0 - B + B * self._lengths[key] / self._mean)
                scores[key] += weights[term] * frequency * (K1 + 1.0) / (frequency + norm)
                covered[key] += weights[term]
        return {key: Hit(score, covered[key] / total) for key, score in scores.items()}

    def _information(self, term: str) -> float:
        held, count = len(self._holders.get(term, ())), len(self._counts)
        information = math.log(1.0 + (count - held + 0.5) / (held + 0.5))
        # What no text has is mostly a name out of the cluster: it lowers the coverage, but must not decide it.
        return information if held else information / 4.0
