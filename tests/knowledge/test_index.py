"""The Chroma index by itself: large enough that its vectors are in files of their own."""

from __future__ import annotations

import random

import pytest

from stratus.errors import KnowledgeError
from stratus.knowledge.index import Damaged, VectorStore, open_store
from stratus.knowledge.passages import Passage

COUNT = 1100
"""Chroma writes its vector files only after a thousand."""


def vector(text: str) -> list[float]:
    values = [random.Random(text + str(n)).gauss(0, 1) for n in range(16)]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


PASSAGES = {
    passage.key: passage
    for passage in (Passage(kind="log", id=f"T{n}", title="t", section="s", text=f"line {n}") for n in range(COUNT))
}


def fill(store: VectorStore) -> None:
    stored = store.stored("log")
    store.sync("log", PASSAGES, lambda some: [vector(passage.text) for passage in some], known=stored)


@pytest.fixture
def folder(tmp_path):
    open_store(tmp_path, "m", fill).close()
    assert list(tmp_path.rglob("*.bin")), "vectors have files of their own"
    return tmp_path


def test_nearest_is_found_with_its_cosine(folder):
    store = open_store(folder, "m", fill)
    for key in list(PASSAGES)[::200]:
        found = store.query("log", vector(PASSAGES[key].text), 5)
        assert max(found, key=lambda k: found[k]) == key
        assert found[key] == pytest.approx(1.0, abs=1e-5)
    assert store.query("log", vector("x"), 0) == {}
    assert store.vectors("log", []) == {}
    store.close()
    store.close()


def test_sync_says_what_it_did(folder):
    store = open_store(folder, "m", lambda _: None)
    half = dict(list(PASSAGES.items())[: COUNT // 2])
    assert store.sync("log", half, lambda _: [], known=set(half)) == (0, COUNT - COUNT // 2)
    assert store.stored("log") == set(half)
    found = store.query("log", vector("line 3"), 60)
    assert set(found) <= set(half), "what was removed is not found"
    assert len(found) == 60
    store.close()


def test_what_others_wrote_is_written_again(folder):
    store = open_store(folder, "m", lambda _: None)
    some = dict(list(PASSAGES.items())[:10])
    written = []

    def fresh(passages):
        written.extend(passage.key for passage in passages)
        return [vector(passage.text) for passage in passages]

    assert store.sync("log", PASSAGES, fresh, known=set(PASSAGES) - set(some)) == (10, 0)
    assert set(written) == set(some)
    store.close()


@pytest.mark.parametrize("content", [b"zz" * 500, None], ids=["garbage", "gone"])
def test_damaged_vector_files_are_noticed_when_opening(folder, content, caplog):
    for path in folder.rglob("*.bin"):
        path.unlink()
        if content:
            path.write_bytes(content)
    store = open_store(folder, "m", fill)
    assert store.folder.name == "index-2"
    assert "is damaged" in caplog.text
    assert not (folder / "index-1").exists()
    assert max(store.query("log", vector("line 7"), 3).values()) == pytest.approx(1.0, abs=1e-5)
    store.close()
    again = open_store(folder, "m", fill)
    assert again.folder.name == "index-2", "the newest generation is used"
    again.close()


def test_damage_twice_is_an_error(tmp_path):
    def fail(store):
        raise Damaged("still broken")

    with pytest.raises(KnowledgeError, match=r"index-2 cannot be used: still broken; remove .* or set another"):
        open_store(tmp_path, "m", fail)


def test_interruption_is_not_damage(tmp_path, caplog):
    def interrupt(store):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path, "m", interrupt)
    assert caplog.text == ""
    open_store(tmp_path, "m", fill).close()
