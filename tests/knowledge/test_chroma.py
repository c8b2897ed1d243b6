"""The index on disk: only changes are embedded, files are the truth, damage is repaired, trouble is told."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading

import pytest

from stratus.errors import KnowledgeError
from stratus.knowledge import index
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.knowledge.store import open_knowledge
from stratus.knowledge.tickets import write_ticket
from stratus.model.knowledge import Ticket
from stratus.settings import Settings


@pytest.fixture
def small(monkeypatch, tmp_path, write_runbook):
    """Settings with two runbooks of our own and none shipped, so that embedding can be counted."""
    monkeypatch.setattr("stratus.knowledge.runbooks.shipped_runbooks", lambda: ())
    folder = tmp_path / "books"
    write_runbook(folder, "conveyor")
    write_runbook(folder, "crane", symptom="the crane leans", text="The crane leans towards the harbour.")
    return Settings(state_dir=tmp_path / "state", runbooks_dir=folder)


def ids(knowledge, query: str, **options: object) -> list[str]:
    return [citation.id for citation in knowledge.search(query, **options)]


def damage(settings: Settings, pattern: str, content: bytes | None) -> None:
    files = [path for path in (settings.state_dir / "knowledge").rglob(pattern) if path.is_file()]
    assert files, "the test must damage something"
    for path in files:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


def test_indexing_happens_once(small, word_embedder):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        first = knowledge.report
    assert first.added == first.embedded == first.passages == 6
    done = len(word_embedder.embedded)
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert knowledge.report.model_dump() == {"passages": 6, "added": 0, "removed": 0, "embedded": 0}
        assert len(word_embedder.embedded) == done
        assert ids(knowledge, "the conveyor squeaks") == ["conveyor"]


def test_only_what_changed_is_embedded_again(small, word_embedder, write_runbook):
    open_knowledge(small, embedder=word_embedder).close()
    word_embedder.embedded.clear()
    write_runbook(small.runbooks_dir, "crane", symptom="the crane leans", text="The crane sinks into the mud.")
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert (knowledge.report.added, knowledge.report.removed) == (1, 1)
        assert [text.splitlines()[-1] for text in word_embedder.embedded] == ["The crane sinks into the mud."]
        assert ids(knowledge, "crane sinks into the mud") == ["crane"]
        assert knowledge.search("crane sinks into the mud")[0].passage == "The crane sinks into the mud."


def test_removed_file_leaves_the_index(small, word_embedder):
    open_knowledge(small, embedder=word_embedder).close()
    (small.runbooks_dir / "crane.md").unlink()
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert (knowledge.report.removed, knowledge.report.embedded, knowledge.report.passages) == (3, 0, 3)
        assert ids(knowledge, "the crane leans towards the harbour") == []


def test_changes_are_seen_while_open(small, word_embedder, write_runbook):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert ids(knowledge, "the lift stands still") == []
        write_runbook(small.runbooks_dir, "lift", symptom="the lift stands still", text="The lift stands still.")
        assert ids(knowledge, "the lift stands still") == ["lift"]
        assert {book.id for book in knowledge.runbooks()} == {"conveyor", "crane", "lift"}
        (small.runbooks_dir / "lift.md").unlink()
        assert ids(knowledge, "the lift stands still") == []


def test_runbook_that_becomes_wrong_while_open_changes_nothing(small, word_embedder, caplog):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        (small.runbooks_dir / "crane.md").write_text("half saved")
        with caplog.at_level(logging.WARNING):
            assert ids(knowledge, "the crane leans towards the harbour") == ["crane"]
        assert "stays as it was" in caplog.text
        assert "crane.md" in caplog.text


def test_runbook_that_is_wrong_at_the_start_is_an_error(small, word_embedder):
    (small.runbooks_dir / "crane.md").write_text("half saved")
    with pytest.raises(KnowledgeError, match=r"crane\.md: line 1"):
        open_knowledge(small, embedder=word_embedder)


def test_tickets_are_files_and_come_back(small, word_embedder, ticket):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        knowledge.add_ticket(ticket)
        assert knowledge.tickets() == (ticket,)
        assert knowledge.search("parcel labels")[0].path == str(small.state_dir / "tickets" / "INC-7.md")
    word_embedder.embedded.clear()
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert knowledge.tickets() == (ticket,)
        assert word_embedder.embedded == []
        assert ids(knowledge, "parcel labels were not printed") == ["INC-7"]


def test_adding_the_same_ticket_again_embeds_nothing(small, word_embedder, ticket):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        knowledge.add_ticket(ticket)
        word_embedder.embedded.clear()
        knowledge.add_ticket(ticket)
        assert word_embedder.embedded == []
        assert len(knowledge.tickets()) == 1


def test_ticket_written_by_hand_is_replaced_by_its_id(small, word_embedder, ticket):
    write_ticket(small.state_dir / "tickets", ticket).rename(small.state_dir / "tickets" / "old-name.md")
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        knowledge.add_ticket(ticket.model_copy(update={"title": "Elevator stood still"}))
        assert [t.title for t in knowledge.tickets()] == ["Elevator stood still"]
    assert [path.name for path in (small.state_dir / "tickets").iterdir()] == ["INC-7.md"]


def test_files_are_added_by_what_they_are(small, word_embedder, ticket, tmp_path, write_runbook):
    book = write_runbook(tmp_path, "lift", symptom="the lift stands still", text="The lift stands still.")
    written = tmp_path / "t.json"
    written.write_text(json.dumps(ticket.model_dump(mode="json")))
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert knowledge.add_file(book) == "runbook lift"
        assert knowledge.add_file(written) == "ticket INC-7"
        assert ids(knowledge, "the lift stands still", kinds=("runbook",)) == ["lift"]
        (tmp_path / "bad.md").write_text("---\nid: x\nfaults: [gremlins]\n---\ntext\n")
        with pytest.raises(KnowledgeError, match=r"bad\.md: field"):
            knowledge.add_file(tmp_path / "bad.md")
    book.unlink()
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert "lift" in {book.id for book in knowledge.runbooks()}, "it was copied into the state folder"


def test_another_process_is_seen(small, word_embedder, ticket):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert ids(knowledge, "parcel labels were not printed") == []
        code = """
import sys
from pathlib import Path
import stratus.knowledge.runbooks as runbooks
runbooks.shipped_runbooks = lambda: ()
from stratus.knowledge.store import open_knowledge
from stratus.model.knowledge import Ticket
from stratus.settings import Settings
class Words:
    model = "words-for-tests"
    dimensions = 1536
    def embed(self, texts):
        return [[1.0] + [0.0] * 1535 for _ in texts]
with open_knowledge(Settings(state_dir=Path(sys.argv[1]), runbooks_dir=Path(sys.argv[2])), embedder=Words()) as k:
    assert k.report.added == 0, "what the first process indexed is there"
    k.add_ticket(Ticket.model_validate_json(sys.argv[3]))
"""
        arguments = [str(small.state_dir), str(small.runbooks_dir), ticket.model_dump_json()]
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
        assert ids(knowledge, "parcel labels were not printed") == ["INC-7"]
        assert ids(knowledge, "the crane leans towards the harbour") == ["crane"]


@pytest.mark.parametrize(
    ("pattern", "content"),
    [("chroma.sqlite3", b"garbage" * 9999), ("chroma.sqlite3", b""), ("*.bin", b"zz" * 500), ("*.bin", None)],
    ids=["garbage", "emptied", "broken vectors", "lost vectors"],
)
def test_damaged_index_is_built_anew(small, word_embedder, ticket, caplog, pattern, content):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        knowledge.add_ticket(ticket)
    damage(small, pattern, content)
    with caplog.at_level(logging.WARNING), open_knowledge(small, embedder=word_embedder) as knowledge:
        assert ids(knowledge, "the conveyor squeaks") == ["conveyor"]
        assert ids(knowledge, "parcel labels were not printed") == ["INC-7"]
    if pattern == "chroma.sqlite3" and content:
        assert "is damaged" in caplog.text
        assert "built anew" in caplog.text
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        assert knowledge.report.embedded == 0, "the new index lasts"


def test_index_that_fails_during_a_search_is_opened_again(small, word_embedder, caplog, monkeypatch):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        real, calls = index.VectorStore.query, []

        def fail_once(self, kind, vector, count):
            calls.append(kind)
            if len(calls) == 1:
                raise index.Damaged("InternalError: gone")
            return real(self, kind, vector, count)

        monkeypatch.setattr(index.VectorStore, "query", fail_once)
        with caplog.at_level(logging.WARNING):
            assert ids(knowledge, "the conveyor squeaks") == ["conveyor"]
        assert "opened again" in caplog.text


def test_index_that_fails_for_good_is_an_error(small, word_embedder, monkeypatch):
    def fail(self, kind, vector, count):
        raise index.Damaged("InternalError: gone")

    with open_knowledge(small, embedder=word_embedder) as knowledge:
        monkeypatch.setattr(index.VectorStore, "query", fail)
        with pytest.raises(KnowledgeError, match=r"cannot be searched: InternalError: gone; remove .*knowledge"):
            knowledge.search("x")


def test_index_that_cannot_even_be_built_is_an_error(small, word_embedder, monkeypatch):
    def fail(folder):
        raise RuntimeError("disk is full")

    monkeypatch.setattr(index, "_client", fail)
    with pytest.raises(KnowledgeError, match=r"cannot be used: RuntimeError: disk is full; remove .* or set another"):
        open_knowledge(small, embedder=word_embedder)


def test_locked_index_is_not_thrown_away(small, word_embedder, monkeypatch):
    open_knowledge(small, embedder=word_embedder).close()
    before = sorted(path.name for path in (small.state_dir / "knowledge").iterdir())

    def fail(folder):
        raise RuntimeError("(code: 5) database is locked")

    monkeypatch.setattr(index, "_client", fail)
    with pytest.raises(KnowledgeError, match="database is locked"):
        open_knowledge(small, embedder=word_embedder)
    assert sorted(path.name for path in (small.state_dir / "knowledge").iterdir()) == before


def test_unwritable_state_folder_says_what_to_do(tmp_path, word_embedder):
    (tmp_path / "file").write_text("")
    with pytest.raises(KnowledgeError, match=r"cannot be kept in .*; make it writable or set another `state_dir`"):
        open_knowledge(Settings(state_dir=tmp_path / "file"), embedder=word_embedder)


def test_read_only_state_folder_says_what_to_do(small, word_embedder, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(KnowledgeError, match="Permission denied"):
        open_knowledge(small, embedder=word_embedder)


def test_error_of_the_embedder_is_not_taken_for_damage(small, caplog):
    class Broken:
        model, dimensions = "broken", 3

        def embed(self, texts):
            raise KnowledgeError("the embedding model is not installed")

    with pytest.raises(KnowledgeError, match="not installed"):
        open_knowledge(small, embedder=Broken())
    assert "damaged" not in caplog.text


def test_vectors_of_another_model_are_dropped(small, word_embedder):
    class Other(type(word_embedder)):
        model, dimensions = "other", 64

    open_knowledge(small, embedder=word_embedder).close()
    other = Other()
    with open_knowledge(small, embedder=other) as knowledge:
        assert knowledge.report.embedded == 6
        assert ids(knowledge, "the crane leans towards the harbour")[0] == "crane"


def test_shipped_runbooks_are_not_embedded_at_the_first_start(settings, minilm):
    class Counting:
        model, dimensions, texts = minilm.model, 384, 0

        def embed(self, texts):
            Counting.texts += len(texts)
            return minilm.embed(texts)

    with open_knowledge(settings, embedder=Counting()) as knowledge:
        assert (knowledge.report.embedded, Counting.texts) == (0, 0)
        assert knowledge.report.added == knowledge.report.passages > 200
        assert len(knowledge.runbooks()) == len(shipped_runbooks())


def test_many_tickets_are_found_each(small, word_embedder):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        for n in range(30):
            write_ticket(small.state_dir / "tickets", Ticket(id=f"T{n}", title=f"gadget{n} broke in hall{n}"))
        for n in (0, 7, 29):
            assert ids(knowledge, f"gadget{n} hall{n}", kinds=("ticket",), limit=1) == [f"T{n}"]


def test_threads_may_share_it(small, word_embedder):
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        found: list[list[str]] = []

        def work(n: int) -> None:
            knowledge.add_ticket(Ticket(id=f"T{n}", title=f"gadget{n} broke"))
            found.append(ids(knowledge, f"gadget{n} broke", kinds=("ticket",), limit=1))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [[f"T{n}"] for n in range(6)]
        assert len(knowledge.tickets()) == 6


def test_nothing_is_sent_anywhere(small, word_embedder, monkeypatch, tmp_path):
    monkeypatch.setenv("CHROMA_OTEL_COLLECTION_ENDPOINT", "http://collector.example")
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "True")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ANONYMIZED_TELEMETRY=True\nSOMETHING=else\n")
    with open_knowledge(small, embedder=word_embedder) as knowledge:
        options = knowledge._store._client.get_settings()
        assert options.anonymized_telemetry is False
        assert not options.chroma_otel_collection_endpoint
