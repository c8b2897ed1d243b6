"""Shared pieces of the knowledge tests: embedders, settings, tickets."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from stratus.errors import KnowledgeError
from stratus.knowledge.embedding import MiniLMEmbedder, model_folder
from stratus.knowledge.lexical import words
from stratus.model.knowledge import Ticket
from stratus.settings import Settings


class WordEmbedder:
    """A stand-in for a model: a vector has a one for each word, so texts that share words are near. Counts its work."""

    model = "words-for-tests"
    dimensions = 1536

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in words(text) or ["nothing"]:
            vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimensions] += 1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]


@pytest.fixture
def word_embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture(scope="session")
def minilm() -> MiniLMEmbedder:
    try:
        model_folder()
    except KnowledgeError as error:
        pytest.skip(str(error))
    return MiniLMEmbedder()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def ticket() -> Ticket:
    return Ticket(
        id="INC-7",
        title="Parcel labels were not printed",
        opened_at=1_700_000_000.0,
        services=("depot/printer",),
        symptoms=("labels queue up", "printer answers 500"),
        fault="bad_env",
        object="depot/Deployment/printer",
        resolution="The variable PAPER was set back to a4.",
        commands=("kubectl -n depot set env deployment/printer PAPER=a4",),
        tried=("a restart",),
        log_templates=("unsupported paper format <*> for tray <*>",),
        tags=("printing",),
    )


RUNBOOK = """---
id: {id}
title: {title}
faults: [bad_env]
symptoms: [{symptom}]
risk: low
actions:
  - text: Set it right on {{kind}} {{name}}
    command: kubectl -n {{namespace}} scale {{kind}}/{{name}} --replicas={{replicas}}
    needs: [replicas]
    undo: Scale back.
---

## Symptoms

{text}
"""


@pytest.fixture
def write_runbook():
    """Return a function that writes a valid runbook into a folder."""

    def write(
        folder: Path, id: str, *, title: str = "", symptom: str = "the conveyor squeaks",
        text: str = "The conveyor squeaks because nobody oiled it.",
    ) -> Path:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{id}.md"
        path.write_text(RUNBOOK.format(id=id, title=title or f"About {id}", symptom=symptom, text=text))
        return path

    return write
