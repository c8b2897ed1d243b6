"""Rankings by meaning and by words, fused into citations; a weak match is none."""

from __future__ import annotations

from collections.abc import Mapping

from stratus.knowledge.lexical import Hit
from stratus.knowledge.passages import Passage
from stratus.model.base import Noun
from stratus.model.diagnosis import Citation

RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009)."""


class Floors(Noun):
    """What a document must reach to count as a match.

    Attributes:
        similarity: cosine of query and passage that is enough by itself.
        coverage: share of the query's information found in the passage that is enough, together with `least`.
        least: cosine below which the same words are taken for chance.
    """

    similarity: float = 0.33
    coverage: float = 0.5
    least: float = 0.2

    def passed(self, similarity: float, coverage: float) -> bool:
        """Whether a document with these two figures is a match."""
        return similarity >= self.similarity or (coverage >= self.coverage and similarity >= self.least)


def cite(
    passages: Mapping[str, Passage],
    vector: Mapping[str, float],
    lexical: Mapping[str, Hit],
    *,
    limit: int,
    floors: Floors | None = None,
) -> tuple[Citation, ...]:
    """Fuse two rankings of passages into one of documents, each cited by its best passage.

    A document (a runbook, a ticket, the logs of an incident) is ranked by its best passage in each ranking; ranks, not
    scores, are added up (reciprocal rank fusion), because cosines and BM25 have no common scale.

    Args:
        passages: by key.
        vector: cosine by key; empty when there is no embedder.
        lexical: hit by key.
        limit: documents to return at most.
        floors: what a match must reach.

    Returns:
        Citations, best first by fused rank. The score is the cosine, or the coverage when there is no vector; it lies
        in [0, 1] and says how sure the match is, so it need not fall from one citation to the next.
    """
    floors = floors or Floors()
    cosines = {key: min(1.0, max(0.0, value)) for key, value in vector.items() if key in passages}
    by_meaning = _best(passages, cosines)
    by_words = _best(passages, {key: hit.score for key, hit in lexical.items() if key in passages})
    fused: dict[tuple[str, str], float] = {}
    for ranking in (by_meaning, by_words):
        ordered = sorted(ranking, key=lambda document: (-ranking[document][0], document))
        for rank, document in enumerate(ordered, start=1):
            fused[document] = fused.get(document, 0.0) + 1.0 / (RANK_CONSTANT + rank)
    found: list[Citation] = []
    for document in sorted(fused if limit > 0 else (), key=lambda document: (-fused[document], document)):
        by_meaning_key = by_meaning.get(document, (0.0, ""))[1]
        by_words_key = by_words.get(document, (0.0, ""))[1]
        similarity = cosines.get(by_meaning_key, 0.0)
        coverage = lexical[by_words_key].coverage if by_words_key else 0.0
        if not floors.passed(similarity, coverage):
            continue
        passage = passages[by_meaning_key or by_words_key]
        score = similarity if vector else coverage
        found.append(
            Citation(
                kind=passage.kind, id=passage.id, title=passage.title, passage=passage.text, score=round(score, 4),
                path=passage.path,
            )
        )  # fmt: skip
        if len(found) == limit:
            break
    return tuple(found)


def _best(passages: Mapping[str, Passage], scores: Mapping[str, float]) -> dict[tuple[str, str], tuple[float, str]]:
    """Return for each document its best score and the passage that has it."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for key, score in scores.items():
        document = (passages[key].kind, passages[key].id)
        if document not in best or (score, key) > best[document]:
            best[document] = (score, key)
    return best
