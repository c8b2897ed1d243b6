"""Vectors of the shipped runbooks' passages, computed beforehand, so that the first start embeds nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.errors import KnowledgeError
from stratus.knowledge.embedding import MODEL_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "vectors.safetensors"


def data_file() -> Path:
    """Return where the vectors lie in the package."""
    return Path(str(resources.files("stratus.knowledge").joinpath("data", FILE)))


def load(path: Path | None = None) -> dict[str, list[float]]:
    """Return unit vectors by content hash (`Passage.content`); empty when there is no file.

    Raises:
        KnowledgeError: when the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = path or data_file()
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="np") as file:
            meta = file.metadata() or {}
            if meta.get("model") != MODEL_NAME:
                return {}
            vectors = file.get_tensor("vectors").astype("float32")
            contents = [bytes(row).hex() for row in file.get_tensor("contents")]
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise KnowledgeError(f"the vectors in {path} cannot be read ({error}); reinstall the package") from error
    return dict(zip(contents, vectors.tolist(), strict=True))


def save(vectors: dict[str, list[float]], path: Path) -> None:
    """Write unit vectors by content hash, in half precision: a cosine changes by less than 0.001."""
    import numpy as np
    from safetensors.numpy import save as pack

    contents = sorted(vectors)
    tensors: dict[str, NDArray[Any]] = {
        "contents": np.array([list(bytes.fromhex(content)) for content in contents], dtype=np.uint8),
        "vectors": np.array([vectors[content] for content in contents], dtype=np.float16),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry of metadata: several would be written in a random order, and the file would never be the same twice.
    path.write_bytes(pack(tensors, metadata={"model": MODEL_NAME}))
