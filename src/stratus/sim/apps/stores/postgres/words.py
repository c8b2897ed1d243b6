"""Goes through the words of a statement."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.errors import syntax
from stratus.sim.apps.stores.postgres.tokens import Token, tokenize

#: Words that cannot be the name of a column or table as they are, or an alias without AS.
RESERVED = frozenset(
    {"all", "and", "any", "array", "as", "asc", "both", "case", "cast", "check", "collate", "column", "constraint"}
    | {
        "create",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
    }
    | {
        "grant",
        "group",
        "having",
        "in",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "not",
        "null",
        "offset",
        "on",
    }
    | {"only", "or", "order", "primary", "references", "returning", "select", "some", "table", "then", "to", "trailing"}
    | {
        "true",
        "union",
        "unique",
        "user",
        "using",
        "when",
        "where",
        "window",
        "with",
        "natural",
        "join",
        "inner",
        "left",
    }
    | {"right", "full", "cross", "is", "isnull", "notnull", "like", "ilike", "similar", "set", "values"}
)


class Words:
    """A statement's words, and how far it has been read."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens = tokenize(sql)
        if len(self.tokens) > 1 and self.tokens[-2].text == ";" and self.tokens[-2].kind == "op":
            # The semicolon is the end, and errors at the end point at it.
            last = self.tokens[-2]
            self.tokens[-2:] = [Token("end", ";", "", last.at)]
        self.at = 0
        self._depth = 0

    # words

    def peek(self, ahead: int = 0) -> Token:
        """Return the next word, or one further on."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Return the next word and go past it."""
        token = self.peek()
        self.at += 1
        return token

    def is_word(self, *words: str) -> bool:
        """Tell whether the next words are these."""
        return all(self.peek(n).word() == w for n, w in enumerate(words))

    def is_op(self, *texts: str) -> bool:
        """Tell whether the next word is one of these operators."""
        return self.peek().kind == "op" and self.peek().text in texts

    def accept(self, *words: str) -> bool:
        """Go past some words if they come next."""
        if not self.is_word(*words):
            return False
        self.at += len(words)
        return True

    def accept_op(self, text: str) -> bool:
        """Go past an operator if it comes next."""
        if not self.is_op(text):
            return False
        self.at += 1
        return True

    def expect(self, *words: str) -> None:
        """Go past some words.

        Raises:
            PgError: they do not come next.
        """
        for word in words:
            if not self.accept(word):
                raise self.wrong()

    def expect_op(self, text: str) -> None:
        """Go past an operator, which must come next."""
        if not self.accept_op(text):
            raise self.wrong()

    def wrong(self) -> Exception:
        """Return the error about the next word."""
        token = self.peek()
        return syntax(token.text, token.at)

    def name(self) -> str:
        """Return a name, which must come next."""
        token = self.peek()
        if token.kind == "quoted" or (token.kind == "name" and token.value not in RESERVED):
            self.at += 1
            return token.value
        raise self.wrong()

    def label(self) -> str:
        """Return a name after AS, where nothing is reserved."""
        token = self.take()
        if token.kind not in ("name", "quoted"):
            self.at -= 1
            raise self.wrong()
        return token.value

    def qualified(self) -> tuple[str, ...]:
        """Return a name with what stands before it."""
        parts = [self.name()]
        while self.accept_op("."):
            parts.append(self.label())
        return tuple(parts)

    def string(self) -> str:
        """Return a string, which must come next."""
        if self.peek().kind != "string":
            raise self.wrong()
        return self.take().value

    def end(self) -> None:
        """There must be nothing more."""
        if self.peek().kind != "end":
            raise self.wrong()
