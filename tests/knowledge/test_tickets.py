"""Tickets as files: round trip, hand-written ones, and damaged ones."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.errors import KnowledgeError
from stratus.knowledge import frontmatter
from stratus.knowledge.tickets import file_name, read_ticket, read_tickets, render, write_ticket
from stratus.model.knowledge import Ticket

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)


def test_ticket_comes_back_as_it_was_written(tmp_path, ticket):
    path = write_ticket(tmp_path / "deep" / "tickets", ticket)
    assert path.name == "INC-7.md"
    assert read_ticket(path) == ticket
    assert [item.name for item in path.parent.iterdir()] == ["INC-7.md"], "no temporary file is left"


@given(
    st.builds(
        Ticket,
        id=TEXT.filter(str.strip),
        title=TEXT,
        opened_at=st.floats(0, 2e9),
        symptoms=st.tuples(TEXT, TEXT),
        resolution=TEXT.filter(str.strip),
        log_templates=st.tuples(TEXT),
    )
)
def test_any_text_survives(ticket):
    data, _ = frontmatter.parse(render(ticket), "x")
    assert Ticket.model_validate({"resolution": "", "title": "", **data}) == ticket


def test_people_can_read_it(ticket):
    text = render(ticket)
    for part in ("# Parcel labels were not printed", "Opened 2023-11-14T22:13:20Z.", "## What did not help",
                 "- `unsupported paper format <*> for tray <*>`"):  # fmt: skip
        assert part in text


def test_every_id_has_a_file_of_its_own():
    ids = ["INC-7", "inc/7", "inc 7", "../../etc/passwd", ".hidden", "x" * 300, "日本", "a" * 100, "a" * 101, "I.md"]
    names = [file_name(id) for id in ids]
    assert len(set(names)) == len(ids)
    assert all("/" not in name and not name.startswith(".") and len(name) < 120 for name in names)


def test_ticket_without_an_id_is_refused(tmp_path):
    with pytest.raises(KnowledgeError, match="needs an id"):
        write_ticket(tmp_path, Ticket(id="", title="x"))


def test_unwritable_folder_says_what_to_do(tmp_path, ticket):
    (tmp_path / "file").write_text("")
    with pytest.raises(KnowledgeError, match=r"INC-7 cannot be written .*; make the folder writable or set another"):
        write_ticket(tmp_path / "file" / "tickets", ticket)


def test_hand_written_markdown_may_tell_the_resolution_below(tmp_path):
    path = tmp_path / "old.md"
    path.write_text("---\nid: OLD-1\ntitle: It broke\nfault: bad_env\n---\n\nWe put the\nvariable back.\n")
    assert read_ticket(path) == Ticket(
        id="OLD-1", title="It broke", fault="bad_env", resolution="We put the variable back."
    )


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_other_forms_are_read(tmp_path, ticket, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_text(json.dumps(ticket.model_dump(mode="json")))
    assert read_ticket(path) == ticket


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "{", r"t\.json: is not valid JSON"),
        ("t.yaml", "a: [", r"t\.yaml: is not valid YAML"),
        ("t.json", "[]", "must be a mapping of fields, not list"),
        ("t.json", '{"id": "x"}', "field `title`: Field required"),
        ("t.json", '{"id": "x", "title": "y", "mood": "bad"}', "field `mood`: Extra inputs"),
        ("t.json", '{"id": "x", "title": "y", "fault": "gremlins"}', "field `fault`"),
        ("t.md", "no front matter", "line 1: the file must start with front matter"),
        ("t.txt", "", "a ticket is a file ending in"),
    ],
)
def test_wrong_tickets_are_refused_with_file_and_field(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(KnowledgeError, match=message):
        read_ticket(path)


def test_absent_ticket_file(tmp_path):
    with pytest.raises(KnowledgeError, match=r"none\.json: cannot be read"):
        read_ticket(tmp_path / "none.json")


def test_one_damaged_file_does_not_hide_the_others(tmp_path, ticket, caplog):
    write_ticket(tmp_path, ticket)
    (tmp_path / "broken.md").write_text("---\nid: [\n---\n")
    (tmp_path / "notes.txt").write_text("not a ticket")
    (tmp_path / ".INC-9.md.1.tmp").write_text("half")
    with caplog.at_level(logging.WARNING):
        assert list(read_tickets(tmp_path).values()) == [ticket]
    assert "broken.md" in caplog.text
    assert read_tickets(tmp_path / "none") == {}
