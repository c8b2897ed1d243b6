"""What a twin had to guess: each guess is remembered, and one run may take the good ends, another the bad ones."""

from __future__ import annotations


class Doubts:
    """The guesses of one run.

    Attributes:
        pessimist: take the bad end of every guess.
        met: what was guessed, in words, in the order in which it came up.
    """

    def __init__(self, *, pessimist: bool = False) -> None:
        self.pessimist = pessimist
        self.met: dict[str, None] = {}

    def well(self, what: str) -> bool:
        """Say whether something unknown goes well in this run."""
        self.met[what] = None
        return not self.pessimist
