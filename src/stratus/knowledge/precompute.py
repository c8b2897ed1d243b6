"""Compute the vectors of the shipped runbooks: run `python -m stratus.knowledge.precompute` after editing one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stratus.knowledge import vectors
from stratus.knowledge.base import Embedder
from stratus.knowledge.embedding import embedder
from stratus.knowledge.passages import of_runbook
from stratus.knowledge.runbooks import shipped_runbooks


def wanted() -> dict[str, str]:
    """Return the text to embed by content hash, for every passage of the shipped runbooks."""
    return {passage.content: passage.indexed for book in shipped_runbooks() for passage in of_runbook(book)}


def precompute(path: Path, model: Embedder) -> int:
    """Embed all passages and write them; return how many."""
    texts = wanted()
    vectors.save(dict(zip(texts, model.embed(list(texts.values())), strict=True)), path)
    return len(texts)


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with `--check` only say whether it is up to date (exit code 1: it is not)."""
    parser = argparse.ArgumentParser(prog="python -m stratus.knowledge.precompute", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a passage has no vector")
    parser.add_argument("--output", type=Path, default=vectors.data_file(), help="file to write")
    options = parser.parse_args(arguments)
    if options.check:
        stale = wanted().keys() ^ vectors.load(options.output).keys()
        sys.stdout.write(f"{len(stale)} passages differ\n")
        return 1 if stale else 0
    sys.stdout.write(f"{precompute(options.output, embedder('minilm'))} vectors written to {options.output}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
