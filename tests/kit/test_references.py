"""References to secrets: read strictly, written so that no value ends the text around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.kit.references import REFERENCE, Source, connection_part, written


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Secret/db#password", Source("Secret", "db", "password")),
        ("Deployment/cart#app/DB_URL!password", Source("Deployment", "cart", "app/DB_URL", "password")),
        ("ConfigMap/a.b-c#key.with_all-of/it!user", Source("ConfigMap", "a.b-c", "key.with_all-of/it", "user")),
    ],
)
def test_a_source_is_read_as_it_is_written(text: str, source: Source) -> None:
    assert Source.read(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    "text", ["", "Secret/db", "Secret/../db#x", "Node/n#x", "secret/db#x", "Secret/db#x!host", "Secret/db#x y", "plain"]
)
def test_what_is_no_source(text: str) -> None:
    assert Source.read(text) is None


def test_references_are_found_with_their_filter() -> None:
    found = REFERENCE.findall("a ${{ Secret/db#x | js }} b ${{state:2|word}} ${{ }} $(c)")
    assert found == [("Secret/db#x", "js"), ("state:2", "word")]


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs"))))
def test_a_value_never_ends_the_text_around_it(value: str) -> None:
    assert json.loads(f'"{written(value, "js")}"') == value
    assert f"'{written(value, 'sql')}'".replace("''", "")[1:-1].count("'") == 0
    assert '"' not in written(value, "name").replace('""', "")
    word = written(value, "word")
    assert not set(word) & set(" \"'\n")
    assert word.encode().decode("unicode_escape").encode("latin-1") == value.encode()


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "\x7f", "\r"])
def test_a_line_break_goes_into_no_command(value: str) -> None:
    with pytest.raises(ValueError, match="line breaks"):
        written(value, "js")


def test_an_unknown_way_to_write() -> None:
    with pytest.raises(ValueError, match="no way"):
        written("x", "raw")


@pytest.mark.parametrize(
    ("text", "user", "password", "host", "database"),
    [
        ("postgres://otto:s%40id@db/shop?sslmode=disable", "otto", "s@id", "db", "shop"),
        ("mongodb://otto:said@db:27017/shop", "otto", "said", "db", "shop"),
        ("host=db user=otto password=said dbname=shop", "otto", "said", "db", "shop"),
        ("Host=db;Username=otto;Password=s a i d;Database=shop", "otto", "s a i d", "db", "shop"),
        ("Server=db;User Id=otto;Pwd=said;Initial Catalog=shop", "otto", "said", "db", "shop"),
        ("db:5432", "", "", "", ""),
        ("http://[bad", "", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_parts_of_connection_strings(text: str, user: str, password: str, host: str, database: str) -> None:
    found = [connection_part(text, part) for part in ("user", "password", "host", "database")]
    assert found == [user, password, host, database]
