"""Cutting runbooks and tickets: nothing lost, nothing too long, identities that tell changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stratus.knowledge.passages import MAX_WORDS, of_runbook, of_ticket
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.model.knowledge import Runbook, Ticket

BOOK = Runbook(
    id="squeak", title="It squeaks", faults=("bad_env",), symptoms=("a noise",), tags=("oil",),
    body="Before.\n\n## First\n\nOne\ntwo.\n\nThree.\n\n## Second\n\nFour.\n", path="runbooks/squeak.md",
)  # fmt: skip


def test_runbook_is_cut_at_its_headings():
    cut = {passage.section: passage.text for passage in of_runbook(BOOK)}
    assert cut == {
        "signs": "It squeaks (bad env). a noise. Keywords: oil.",
        "": "Before.",
        "First": "One two.\n\nThree.",
        "Second": "Four.",
    }


def test_every_passage_carries_its_title_id_and_path():
    for passage in of_runbook(BOOK):
        assert passage.indexed.startswith("It squeaks\n")
        assert (passage.kind, passage.id, passage.path) == ("runbook", "squeak", "runbooks/squeak.md")


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_long_sections_are_cut_between_paragraphs_and_nothing_is_lost(lengths):
    paragraphs = [" ".join(f"w{n}x{i}" for i in range(length)) for n, length in enumerate(lengths)]
    body = "## Long\n\n" + "\n\n".join(paragraphs)
    texts = [p.text for p in of_runbook(BOOK.model_copy(update={"body": body})) if p.section.startswith("Long")]
    assert "\n\n".join(texts) == "\n\n".join(paragraphs)
    assert all(len(text.split()) <= max(MAX_WORDS, 200 if "\n\n" not in text else 0) for text in texts)


def test_no_shipped_passage_is_longer_than_the_model_reads(minilm):
    from tokenizers import Tokenizer

    from stratus.knowledge.embedding import model_folder

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for book in shipped_runbooks():
        for passage in of_runbook(book):
            assert len(tokenizer.encode(passage.indexed).ids) <= 256, (book.id, passage.section)


def test_keys_are_unique_and_tell_every_change():
    keys = [passage.key for book in shipped_runbooks() for passage in of_runbook(book)]
    assert len(keys) == len(set(keys))
    first = of_runbook(BOOK)[0]
    for field in ("id", "title", "section", "text", "path"):
        assert first.model_copy(update={field: "other"}).key != first.key, field
    assert first.model_copy(update={"path": "elsewhere"}).content == first.content, "the same text has the same vector"
    assert first.model_copy(update={"text": "other"}).content != first.content


def test_ticket_tells_its_whole_story(ticket):
    story = " ".join(passage.text for passage in of_ticket(ticket, "t.md") if passage.kind == "ticket")
    for part in (ticket.title, *ticket.symptoms, "bad env", ticket.object, *ticket.services, ticket.resolution,
                 *ticket.commands, *ticket.tried, *ticket.tags):  # fmt: skip
        assert part in story
    logs = [passage.text for passage in of_ticket(ticket) if passage.kind == "log"]
    assert logs == list(ticket.log_templates)


def test_bare_ticket_is_one_passage_and_double_templates_are_one():
    assert [p.text for p in of_ticket(Ticket(id="a", title="b"))] == ["b."]
    assert len(of_ticket(Ticket(id="a", title="b", log_templates=("x", "x", "y")))) == 3
