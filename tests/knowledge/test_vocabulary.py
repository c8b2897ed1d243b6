"""The vocabulary of facts: used, documented, and told the same in both places."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stratus.knowledge import frontmatter
from stratus.knowledge.runbooks import read_runbook, shipped_runbooks
from stratus.knowledge.templates import OBJECT_FACTS
from stratus.knowledge.vocabulary import vocabulary

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_facts_says_what_the_data_file_says():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| `(.*)` \|", (DOCS / "reference" / "facts.md").read_text(), re.MULTILINE)
    words = vocabulary()
    told = {name: (meaning, example) for name, meaning, example in rows}
    known = {
        name: (word.meaning, str(word.example).lower() if isinstance(word.example, bool) else str(word.example))
        for name, word in {**words.always, **words.facts}.items()
    }
    assert told == known


def test_object_facts_are_those_that_are_always_known():
    assert set(vocabulary().always) == set(OBJECT_FACTS)


def test_every_fact_is_a_word_of_lower_case():
    for name, word in vocabulary().facts.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert word.meaning
        if name.endswith("_json"):
            json.loads(str(word.example))


def test_facts_that_no_runbook_needs_are_context_only():
    needed = {name for book in shipped_runbooks() for action in book.actions for name in action.needs}
    assert set(vocabulary().facts) - needed == {"flag", "image", "port_name", "reason"}


def test_example_in_the_how_to_is_a_valid_runbook(tmp_path):
    page = (DOCS / "how-to" / "runbooks.md").read_text(encoding="utf-8")
    example = re.search(r"```markdown\n(.*?)```", page, re.DOTALL)
    assert example is not None
    (tmp_path / "x.md").write_text(example[1])
    assert read_runbook(tmp_path / "x.md").id == "queue-backlog"


@pytest.mark.parametrize(
    "noun_field", ["needs", "undo", "exec", "check_before", "compensation", "state", "symptoms", "tags", "risk"]
)
def test_the_how_to_explains_every_field(noun_field):
    assert f"`{noun_field}`" in (DOCS / "how-to" / "runbooks.md").read_text(encoding="utf-8")


def test_front_matter_is_put_together_as_it_is_taken_apart():
    data = {"id": "x", "note": "with: colon and \u00e9", "list": ["a", "b"]}
    assert frontmatter.parse(frontmatter.dump(data, "# Body\n"), "x") == (data, "# Body\n")
