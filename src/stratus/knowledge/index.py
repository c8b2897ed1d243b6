"""Vectors in Chroma: opened, kept in step with the passages, asked, and rebuilt when damaged."""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stratus.errors import KnowledgeError
from stratus.knowledge.passages import KINDS, Kind, Passage

LOG = logging.getLogger(__name__)

LAYOUT = "1"
"""Changes when what is stored with a passage changes; another layout is rebuilt."""

BATCH = 1000
"""Passages written at once; Chroma takes about five thousand."""

_GENERATION = re.compile(r"index-(\d+)")

Embed = Callable[[list[Passage]], list[list[float]]]


class Damaged(Exception):
    """The index on disk cannot be used; it holds nothing that the files do not."""


class VectorStore:
    """One Chroma client with a collection for each kind of passage.

    Vectors are always given explicitly: Chroma's own default would download a model.

    Args:
        folder: the generation's folder.
        model: name of the embedding model; vectors of another one are dropped.

    Raises:
        Damaged: when Chroma cannot open or read what is there.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self._client: Any = None
        self._collections: dict[Kind, Any] = {}
        try:
            with _damage(folder):
                self._client = _client(folder)
                for kind in KINDS:
                    self._collections[kind] = self._collection(kind, model)
        except BaseException:
            self.close()
            raise

    def sync(self, kind: Kind, passages: Mapping[str, Passage], fresh: Embed, *, known: set[str]) -> tuple[int, int]:
        """Make the collection hold exactly these passages; return how many were added and removed.

        Args:
            kind: which collection.
            passages: what it should hold, by key.
            fresh: gives the vectors of passages that the collection does not have.
            known: keys this client has seen or written before. Others that are stored already come from another
                process and are written once more: a client does not see in its vector index what others have
                written, until it writes itself.
        """
        collection = self._collections[kind]
        with _damage(self.folder):
            stored = set(collection.get(include=[])["ids"])
            stale = sorted(stored - passages.keys())
            absent = sorted(passages.keys() - (stored & known))
            for part in _parts(stale):
                collection.delete(ids=part)
        for part in _parts(absent):
            chosen = [passages[key] for key in part]
            vectors = fresh(chosen)
            with _damage(self.folder):
                collection.upsert(
                    ids=part,
                    embeddings=vectors,
                    documents=[passage.text for passage in chosen],
                    metadatas=[_metadata(passage) for passage in chosen],
                )
        return len(absent), len(stale)

    def stored(self, kind: Kind) -> set[str]:
        """Return the keys that the collection holds, after checking that its vectors can be read.

        Raises:
            Damaged: when they cannot.
        """
        collection = self._collections[kind]
        with _damage(self.folder):
            found = collection.get(include=["embeddings"])
        return set(found["ids"])

    def query(self, kind: Kind, vector: Sequence[float], count: int) -> dict[str, float]:
        """Return the cosine of the nearest passages by key, `count` at most."""
        if count <= 0:
            return {}
        with _damage(self.folder):
            found = self._collections[kind].query(
                query_embeddings=[list(vector)], n_results=count, include=["distances"]
            )
        return {key: 1.0 - distance for key, distance in zip(found["ids"][0], found["distances"][0], strict=True)}

    def vectors(self, kind: Kind, keys: Sequence[str]) -> dict[str, list[float]]:
        """Return the stored vectors of these passages."""
        if not keys:
            return {}
        with _damage(self.folder):
            found = self._collections[kind].get(ids=list(keys), include=["embeddings"])
        return {
            key: [float(value) for value in vector]
            for key, vector in zip(found["ids"], found["embeddings"], strict=True)
        }

    def close(self) -> None:
        """Release the client; harmless when done twice."""
        client, self._client, self._collections = self._client, None, {}
        if client is not None:
            client.close()

    def _collection(self, kind: Kind, model: str) -> Any:
        name, meta = f"stratus-{kind}", {"model": model, "layout": LAYOUT}
        options: dict[str, Any] = {"embedding_function": None, "configuration": {"hnsw": {"space": "cosine"}}}
        collection = self._client.get_or_create_collection(name, metadata=meta, **options)
        if {key: (collection.metadata or {}).get(key) for key in meta} != meta:
            LOG.info("the knowledge index was made with another model or layout: it is built anew")
            self._client.delete_collection(name)
            collection = self._client.create_collection(name, metadata=meta, **options)
        return collection


def open_store(folder: Path, model: str, fill: Callable[[VectorStore], None]) -> VectorStore:
    """Open the index below `folder` and fill it; a damaged one is thrown away and built anew, once.

    Everything in the index comes from files, so nothing is lost with it. A new index gets a new folder (`index-2` after
    `index-1`), because a client that failed to open is remembered by Chroma under its path.

    Raises:
        KnowledgeError: when the folder cannot be written, or the new index cannot be used either.
    """
    with _locked(folder):
        number = max(_generations(folder), default=1)
        for last in (False, True):
            path = folder / f"index-{number}"
            store: VectorStore | None = None
            try:
                store = VectorStore(path, model)
                fill(store)
            except Damaged as error:
                if store is not None:
                    store.close()
                if last or "locked" in str(error):
                    raise KnowledgeError(
                        f"the knowledge index in {path} cannot be used: {error}; "
                        f"remove {folder} or set another `state_dir`"
                    ) from error
                LOG.warning("the knowledge index in %s is damaged (%s): it is built anew from the files", path, error)
                shutil.rmtree(path, ignore_errors=True)
                number += 1
                continue
            except BaseException:
                if store is not None:
                    store.close()
                raise
            return store
    raise AssertionError("unreachable")


def _client(folder: Path) -> Any:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    # Given one by one, so that neither a `.env` file nor a variable of the environment can send anything anywhere.
    options: dict[str, Any] = {
        "_env_file": None,
        "anonymized_telemetry": False,
        "chroma_otel_collection_endpoint": "",
        "chroma_otel_granularity": "none",
        "allow_reset": False,
    }
    return chromadb.PersistentClient(path=str(folder), settings=ChromaSettings(**options))


def _metadata(passage: Passage) -> dict[str, str]:
    return {
        "id": passage.id, "title": passage.title, "section": passage.section, "path": passage.path,
        "content": passage.content,
    }  # fmt: skip


def _parts(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]


def _generations(folder: Path) -> list[int]:
    return [int(match[1]) for path in folder.iterdir() if (match := _GENERATION.fullmatch(path.name))]


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Turn whatever Chroma raises into `Damaged`; its errors have no tree that tells the causes apart."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # A panic in its native part derives from BaseException.
    except BaseException as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time open and fill the index."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise KnowledgeError(
            f"the knowledge index cannot be kept in {folder}: {error}; make it writable or set another `state_dir`"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
