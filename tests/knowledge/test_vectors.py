"""Vectors shipped with the package are those the model gives today."""

from __future__ import annotations

import numpy as np
import pytest

from stratus.errors import KnowledgeError
from stratus.knowledge import precompute, vectors
from stratus.knowledge.store import open_knowledge


def test_shipped_vectors_are_up_to_date_and_equal_fresh_ones(minilm):
    wanted, shipped = precompute.wanted(), vectors.load()
    assert wanted.keys() == shipped.keys(), "a runbook was edited: run `python -m stratus.knowledge.precompute`"
    some = sorted(wanted)[::12]
    fresh = np.array(minilm.embed([wanted[content] for content in some]))
    kept = np.array([shipped[content] for content in some])
    assert np.abs(fresh - kept).max() < 5e-4, "half precision"
    assert ((fresh * kept).sum(axis=1) > 0.9999).all()


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "deep" / "v.safetensors"
    vectors.save({"bb": [0.0, 1.0], "aa": [0.6, 0.8]}, path)
    loaded = vectors.load(path)
    assert list(loaded) == ["aa", "bb"]
    assert loaded["aa"] == pytest.approx([0.6, 0.8], abs=1e-3)
    first = path.read_bytes()
    vectors.save({"aa": [0.6, 0.8], "bb": [0.0, 1.0]}, path)
    assert path.read_bytes() == first, "the same vectors give the same file"


def test_no_file_means_no_vectors_and_another_model_too(tmp_path, monkeypatch):
    assert vectors.load(tmp_path / "none") == {}
    vectors.save({"aa": [1.0]}, tmp_path / "v")
    monkeypatch.setattr(vectors, "MODEL_NAME", "another")
    assert vectors.load(tmp_path / "v") == {}


def test_damaged_file_is_told_and_gone_round(tmp_path, monkeypatch, settings, minilm, caplog):
    broken = tmp_path / "v"
    broken.write_bytes(b"not tensors")
    with pytest.raises(KnowledgeError, match=r"cannot be read .*; reinstall"):
        vectors.load(broken)
    monkeypatch.setattr(vectors, "data_file", lambda: broken)
    monkeypatch.setattr("stratus.knowledge.runbooks.shipped_runbooks", lambda: ())
    with open_knowledge(settings, embedder=minilm) as knowledge:
        assert knowledge.search("anything") == ()
    assert "embedded anew" in caplog.text


def test_command_writes_and_checks(tmp_path, capsys, monkeypatch, word_embedder):
    monkeypatch.setattr(precompute, "embedder", lambda name: word_embedder)
    output = ["--output", str(tmp_path / "v")]
    assert precompute.main(["--check", *output]) == 1
    assert precompute.main(output) == 0
    assert precompute.main(["--check", *output]) == 0
    assert f"{len(precompute.wanted())} vectors written" in capsys.readouterr().out
