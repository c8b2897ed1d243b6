"""A folder of recordings: names, endings, and what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stratus.conformance.golden import Golden
from stratus.errors import UsageError


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder of recordings at .*nowhere: name one with --golden"):
        Golden(tmp_path / "nowhere")


def test_a_file_is_found_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": 2}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"n": 3}\n'))
    golden = Golden(tmp_path)
    for name, numbers in (("a.jsonl", [1, 2]), ("a.jsonl.gz", [1, 2]), ("b.jsonl", [3]), ("b.jsonl.gz", [3])):
        assert golden.has(name)
        assert [r["n"] for r in golden.records(name)] == numbers
    assert not golden.has("c.jsonl")


def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n{"n":\n')
    (tmp_path / "b.jsonl").write_text("[1]\n")
    (tmp_path / "c.jsonl.gz").write_bytes(b"\x1f\x8bbroken")
    (tmp_path / "d.json").write_text("{")
    golden = Golden(tmp_path)
    with pytest.raises(UsageError, match=r"a\.jsonl, line 2: not JSON"):
        golden.records("a.jsonl")
    with pytest.raises(UsageError, match=r"b\.jsonl, line 1: a record is a JSON object"):
        golden.records("b.jsonl")
    with pytest.raises(UsageError, match=r"c\.jsonl\.gz cannot be read"):
        golden.records("c.jsonl")
    with pytest.raises(UsageError, match=r"d\.json: not JSON"):
        golden.document("d.json")
    with pytest.raises(UsageError, match=r"has no e\.jsonl"):
        golden.text("e.jsonl")


def test_custom_resources_come_from_the_manifests(tmp_path: Path, excerpts: Golden) -> None:
    assert [c["metadata"]["name"] for c in excerpts.custom_resources] == ["widgets.shop.example.com"]
    assert Golden(tmp_path).custom_resources == []
