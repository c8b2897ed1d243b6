"""Reads the shell language that container commands and probes are written in, into a small tree."""

from __future__ import annotations

from stratus.sim.shell.lexer import tokenize
from stratus.sim.shell.nodes import (
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Sequence,
    ShellSyntaxError,
    Simple,
    Token,
    Tree,
)

_RESERVED = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}", ")", "in"})


class Parser:
    """Builds the tree from tokens."""

    def __init__(self, text: str) -> None:
        self.tokens = tokenize(text)
        self.at = 0

    def parse(self) -> Tree:
        """Read the whole script."""
        node = self._sequence(())
        if self.at < len(self.tokens):
            raise ShellSyntaxError(f'sh: syntax error: unexpected "{self._shown()}"')
        return node

    # tokens

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _shown(self) -> str:
        token = self._peek()
        return (
            "newline"
            if token is not None and token.text == "\n"
            else token.text
            if token is not None
            else "end of file"
        )

    def _is(self, kind: str, *texts: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == kind and token.text in texts

    def _newlines(self) -> None:
        while self._is("op", "\n"):
            self.at += 1

    def _expect(self, *texts: str) -> None:
        self._newlines()
        token = self._peek()
        if token is None or token.text not in texts:
            raise ShellSyntaxError(f'sh: syntax error: unexpected {self._shown()} (expecting "{texts[0]}")')
        self.at += 1

    # grammar

    def _sequence(self, ends: tuple[str, ...]) -> Tree:
        parts: list[tuple[str, Tree, bool]] = []
        connector = ";"
        while True:
            while self._is("op", "\n") or (self._is("op", ";") and parts):
                self.at += 1
            token = self._peek()
            if token is None or (token.text in ends) or (token.kind == "op" and token.text in (")", ";;")):
                break
            node = self._pipeline()
            background = False
            following = ";"
            if self._is("op", "&&", "||"):
                following = self.tokens[self.at].text
                self.at += 1
                self._newlines()
            elif self._is("op", "&"):
                background = True
                self.at += 1
            elif self._is("op", ";", "\n"):
                self.at += 1
            parts.append((connector, node, background))
            connector = following
        if len(parts) == 1 and not parts[0][2]:
            return parts[0][1]
        return Sequence(parts)

    def _pipeline(self) -> Tree:
        negate = False
        while self._is("word", "!"):
            negate = not negate
            self.at += 1
        commands = [self._command()]
        while self._is("op", "|"):
            self.at += 1
            self._newlines()
            commands.append(self._command())
        if len(commands) == 1 and not negate:
            return commands[0]
        return Pipeline(commands, negate)

    def _command(self) -> Tree:
        token = self._peek()
        if token is None:
            raise ShellSyntaxError("sh: syntax error: unexpected end of file")
        if token.kind == "op" and token.text == "(":
            self.at += 1
            body = self._sequence((")",))
            self._expect(")")
            return Group(body, True, self._redirects())
        if token.kind == "word":
            if token.text == "{":
                self.at += 1
                body = self._sequence(("}",))
                self._expect("}")
                return Group(body, False, self._redirects())
            if token.text == "if":
                return self._wrapped(self._if())
            if token.text in ("while", "until"):
                self.at += 1
                condition = self._sequence(("do",))
                self._expect("do")
                body = self._sequence(("done",))
                self._expect("done")
                return self._wrapped(Loop(condition, body, token.text == "until"))
            if token.text == "for":
                return self._wrapped(self._for())
            if token.text == "case":
                return self._wrapped(self._case())
            if token.text in _RESERVED:
                raise ShellSyntaxError(f'sh: syntax error: unexpected "{token.text}"')
        return self._simple()

    def _wrapped(self, node: Tree) -> Tree:
        redirects = self._redirects()
        return Group(node, False, redirects) if redirects else node

    def _if(self) -> Tree:
        self._expect("if")
        branches = []
        condition = self._sequence(("then",))
        self._expect("then")
        branches.append((condition, self._sequence(("elif", "else", "fi"))))
        otherwise: Tree | None = None
        while True:
            if self._is("word", "elif"):
                self.at += 1
                condition = self._sequence(("then",))
                self._expect("then")
                branches.append((condition, self._sequence(("elif", "else", "fi"))))
            elif self._is("word", "else"):
                self.at += 1
                otherwise = self._sequence(("fi",))
            else:
                self._expect("fi")
                return If(branches, otherwise)

    def _for(self) -> Tree:
        self._expect("for")
        name = self._peek()
        if name is None:
            raise ShellSyntaxError("sh: syntax error: bad for loop variable")
        self.at += 1
        words: list[str] | None = None
        self._newlines()
        if self._is("word", "in"):
            self.at += 1
            words = []
            while (token := self._peek()) is not None and token.kind == "word":
                words.append(token.text)
                self.at += 1
        while self._is("op", ";", "\n"):
            self.at += 1
        self._expect("do")
        body = self._sequence(("done",))
        self._expect("done")
        return For(name.text, words, body)

    def _case(self) -> Tree:
        self._expect("case")
        word = self._peek()
        if word is None:
            raise ShellSyntaxError("sh: syntax error: unexpected end of file")
        self.at += 1
        self._expect("in")
        branches: list[tuple[list[str], Tree]] = []
        while True:
            self._newlines()
            if self._is("word", "esac"):
                self.at += 1
                return Case(word.text, branches)
            if self._is("op", "("):
                self.at += 1
            patterns = []
            while (token := self._peek()) is not None and not (token.kind == "op" and token.text == ")"):
                if token.kind == "word":
                    patterns.append(token.text)
                self.at += 1
            self._expect(")")
            body = self._sequence(("esac",))
            branches.append((patterns, body))
            if self._is("op", ";;"):
                self.at += 1

    def _redirects(self) -> list[tuple[int, str, str]]:
        found = []
        while (entry := self._redirect()) is not None:
            found.append(entry)
        return found

    def _redirect(self) -> tuple[int, str, str] | None:
        start = self.at
        fd = -1
        if (token := self._peek()) is not None and token.kind == "fd":
            fd = int(token.text)
            self.at += 1
        if not self._is("op", "<", ">", ">>", "<<", "<<<", ">&", "<&", "&>", "&>>", ">|"):
            self.at = start
            return None
        operator = self.tokens[self.at].text
        self.at += 1
        word = self._peek()
        if word is None or word.kind not in ("word", "fd"):
            raise ShellSyntaxError(f"sh: syntax error: unexpected {self._shown()}")
        self.at += 1
        if fd < 0:
            fd = 0 if operator.startswith("<") else 1
        return fd, operator, word.text

    def _simple(self) -> Tree:
        command = Simple()
        while True:
            redirect = self._redirect()
            if redirect is not None:
                command.redirects.append(redirect)
                continue
            token = self._peek()
            if token is None or token.kind == "op":
                break
            self.at += 1
            name, equals, value = token.text.partition("=")
            if not command.words and equals and name.isidentifier():
                command.assigns.append((name, value))
                continue
            command.words.append(token.text)
            if len(command.words) == 1 and self._is("op", "(") and self._after_is(")"):
                self.at += 2
                self._newlines()
                return Function(token.text, self._command())
        if not command.words and not command.assigns and not command.redirects:
            raise ShellSyntaxError(f'sh: syntax error: unexpected "{self._shown()}"')
        return command

    def _after_is(self, text: str) -> bool:
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        return following is not None and following.text == text


def parse(text: str) -> Tree:
    """Read a script.

    Raises:
        ShellSyntaxError: with the shell's own message.
    """
    return Parser(text).parse()
