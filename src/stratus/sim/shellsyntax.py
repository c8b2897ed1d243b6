"""Reads the shell language that container commands and probes are written in, into a small tree."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.errors import StratusError


class ShellSyntaxError(StratusError):
    """The text is not a script this shell can read; the message is the shell's own."""


@dataclass(slots=True)
class Token:
    """A word (with its quoting kept) or an operator."""

    kind: str
    text: str


@dataclass(slots=True)
class Simple:
    """Assignments, a command with arguments, and redirections (fd, operator, word)."""

    assigns: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    redirects: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """Commands joined by pipes; `negate` for a leading `!`."""

    commands: list[Tree]
    negate: bool = False


@dataclass(slots=True)
class Sequence:
    """(connector before, part): `;`, `&&`, `||`; a part run in the background has `background`."""

    parts: list[tuple[str, Tree, bool]]


@dataclass(slots=True)
class If:
    """Conditions with their branches, and the else branch."""

    branches: list[tuple[Tree, Tree]]
    otherwise: Tree | None = None


@dataclass(slots=True)
class Loop:
    """while (or until) CONDITION do BODY."""

    condition: Tree
    body: Tree
    until: bool = False


@dataclass(slots=True)
class For:
    """for NAME in WORDS do BODY; None means the positional parameters."""

    name: str
    words: list[str] | None
    body: Tree


@dataclass(slots=True)
class Case:
    """case WORD in PATTERNS) BODY ;; esac."""

    word: str
    branches: list[tuple[list[str], Tree]]


@dataclass(slots=True)
class Group:
    """{ ... } or ( ... ), with redirections."""

    body: Tree
    subshell: bool
    redirects: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Function:
    """NAME() { ... }."""

    name: str
    body: Tree


Tree = Simple | Pipeline | Sequence | If | Loop | For | Case | Group | Function

_OPERATORS = (
    "&&", "||", ";;", "<<-", "<<", ">>", ">&", "<&", "&>", "|", "&", ";", "(", ")", "<", ">", "\n",
)  # fmt: skip
_RESERVED = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}", ")", "in"})


def _word_end(text: str, start: int) -> int:
    """Return where the word that starts at `start` ends, quotes and substitutions included."""
    i, depth = start, 0
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
            continue
        if c == "'":
            close = text.find("'", i + 1)
            if close < 0:
                raise ShellSyntaxError("sh: syntax error: unterminated quoted string")
            i = close + 1
            continue
        if c == '"':
            i = _quoted_end(text, i)
            continue
        if c == "`":
            close = text.find("`", i + 1)
            if close < 0:
                raise ShellSyntaxError("sh: syntax error: unterminated backquoted string")
            i = close + 1
            continue
        if c == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1) + 1
            continue
        if depth == 0 and (c in " \t\n;&|()<>"):
            return i
        i += 1
    return min(i, len(text))


def _quoted_end(text: str, start: int) -> int:
    i = start + 1
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
        elif c == '"':
            return i + 1
        elif c == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1) + 1
        else:
            i += 1
    raise ShellSyntaxError("sh: syntax error: unterminated quoted string")


def closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    pairs = {"(": ")", "{": "}"}
    open_, close = text[start], pairs[text[start]]
    depth, i = 0, start
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
            continue
        if c == "'" and open_ == "(":
            i = text.find("'", i + 1)
            if i < 0:
                break
        elif c == '"':
            i = _quoted_end(text, i) - 1
        elif c == open_:
            depth += 1
        elif c == close:
            depth -= 1
            if depth == 0:
                return i
        i += 1
    raise ShellSyntaxError(f'sh: syntax error: unexpected end of file (expecting "{close}")')


def tokenize(text: str) -> list[Token]:
    """Split a script into words and operators; here-documents become `<<` with their text as the word."""
    tokens: list[Token] = []
    waiting: list[tuple[Token, str, bool]] = []
    i = 0
    while i < len(text):
        c = text[i]
        if c in " \t\r":
            i += 1
            continue
        if text.startswith("\\\n", i):
            i += 2
            continue
        if c == "#":
            end = text.find("\n", i)
            i = len(text) if end < 0 else end
            continue
        operator = next((op for op in _OPERATORS if text.startswith(op, i)), None)
        if operator is None:
            end = _word_end(text, i)
            word = text[i:end]
            if word.isdigit() and text[end : end + 1] in ("<", ">"):
                tokens.append(Token("fd", word))
            else:
                tokens.append(Token("word", word))
            i = end
            continue
        i += len(operator)
        if operator in ("<<", "<<-"):
            while text[i : i + 1] in (" ", "\t"):
                i += 1
            end = _word_end(text, i)
            mark = text[i:end]
            i = end
            body = Token("word", "")
            tokens += [Token("op", "<<"), body]
            waiting.append((body, mark, operator == "<<-"))
            continue
        if operator == "\n":
            for body, mark, strip in waiting:
                i = _here_document(text, i, body, mark, strip)
            waiting.clear()
        tokens.append(Token("op", operator))
    return tokens


def _here_document(text: str, start: int, body: Token, mark: str, strip: bool) -> int:
    bare = mark.strip("'\"\\")
    lines = []
    position = start
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end]
        position = end + 1
        if strip:
            line = line.lstrip("\t")
        if line == bare:
            break
        lines.append(line)
    content = "".join(line + "\n" for line in lines)
    if bare != mark:
        body.text = "'" + content.replace("'", "'\\''") + "'"
    else:
        body.text = '"' + content.replace('"', '\\"') + '"'
    return position


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
        if not self._is("op", "<", ">", ">>", "<<", ">&", "<&", "&>"):
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
