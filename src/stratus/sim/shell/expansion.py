"""Expansion of words: parameters, commands, arithmetic, fields and file names."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from stratus.sim.shell.arithmetic import ArithmeticProblem, evaluate
from stratus.sim.shell.core import Core, Sink
from stratus.sim.shell.lexer import closing
from stratus.sim.shell.nodes import ShellSyntaxError
from stratus.sim.shell.parser import parse
from stratus.sim.shell.world import Exit

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expanding(Core):
    """A shell as far as it expands words."""

    def expand_one(self, word: str) -> str:
        """Expand a word without splitting it."""
        return "".join(text for text, _ in self._pieces(word))

    def expand(self, word: str) -> list[str]:
        """Expand a word, splitting unquoted results at blanks and matching file names."""
        if word in ('"$@"', "$@", '"${@}"'):
            return list(self.args)
        pieces = self._pieces(word)
        if not pieces:
            return []
        fields: list[str] = []
        current: str | None = None
        for text, quoted in pieces:
            if quoted:
                current = (current or "") + text
                continue
            parts = re.split(r"[ \t\n]+", text)
            if len(parts) == 1:
                current = (current or "") + text if text or current is not None else None
                continue
            if parts[0]:
                current = (current or "") + parts[0]
            if current is not None:
                fields.append(current)
            fields.extend(p for p in parts[1:-1])
            current = parts[-1] or None
        if current is not None:
            fields.append(current)
        if "*" in word and not any(q for _, q in pieces):
            fields = [name for f in fields for name in self._glob(f)]
        return fields

    def _glob(self, pattern: str) -> list[str]:
        if "*" not in pattern and "?" not in pattern:
            return [pattern]
        head, _, tail = pattern.rpartition("/")
        names = self.world.list_dir(self.path(head or ("/" if pattern.startswith("/") else ".")))
        found = [f"{head}/{n}" if "/" in pattern else n for n in names if fnmatchcase(n, tail) and n[0] != "."]
        return found or [pattern]

    def _pieces(self, word: str) -> list[tuple[str, bool]]:
        pieces: list[tuple[str, bool]] = []
        i = 0
        literal = ""
        if word.startswith("~") and (len(word) == 1 or word[1] == "/"):
            literal, i = self.env.get("HOME", "/root"), 1
        while i < len(word):
            c = word[i]
            if c == "\\":
                # An escaped character is literal and never splits.
                pieces.append((literal, True))
                literal = ""
                pieces.append((word[i + 1 : i + 2], True))
                i += 2
            elif c == "'":
                close = word.find("'", i + 1)
                if close < 0:
                    literal += c
                    i += 1
                    continue
                pieces.append((literal, True))
                literal = ""
                pieces.append((word[i + 1 : close], True))
                i = close + 1
            elif c == '"':
                pieces.append((literal, True))
                literal = ""
                text, i = self._double(word, i + 1)
                pieces.append((text, True))
            elif c in "$`":
                text, end = self._dollar(word, i)
                if end == i:
                    literal += c
                    i += 1
                    continue
                if literal:
                    pieces.append((literal, True))
                    literal = ""
                pieces.append((text, False))
                i = end
            else:
                literal += c
                i += 1
        if literal:
            pieces.append((literal, "*" not in literal and "?" not in literal))
        return [p for p in pieces if p[0] or p[1]] if any(p[0] for p in pieces) or any(q in word for q in "'\"") else []

    def _double(self, word: str, i: int) -> tuple[str, int]:
        text = ""
        while i < len(word) and word[i] != '"':
            c = word[i]
            if c == "\\" and word[i + 1 : i + 2] in ('"', "\\", "$", "`"):
                text += word[i + 1]
                i += 2
            elif c == "\\" and word[i + 1 : i + 2] == "\n":
                i += 2
            elif c in "$`":
                value, end = self._dollar(word, i)
                if end == i:
                    text += c
                    i += 1
                else:
                    text += value
                    i = end
            else:
                text += c
                i += 1
        return text, i + 1

    def _dollar(self, word: str, i: int) -> tuple[str, int]:
        """Expand what starts at `i`; an unchanged index means there is nothing to expand."""
        if word[i] == "`":
            close = word.find("`", i + 1)
            return (self.capture(word[i + 1 : close].replace("\\`", "`")), close + 1) if close >= 0 else ("", i)
        rest = word[i + 1 :]
        if rest.startswith("(("):
            end = closing(word, i + 1)
            return str(self.arithmetic(word[i + 3 : end - 1])), end + 1
        if rest.startswith("("):
            end = closing(word, i + 1)
            return self.capture(word[i + 2 : end]), end + 1
        if rest.startswith("{"):
            end = closing(word, i + 1)
            return self._braces(word[i + 2 : end]), end + 1
        found = NAME.match(rest)
        if found:
            return self._value(found.group()), i + 1 + found.end()
        if rest[:1] in ("?", "$", "#", "!", "@", "*", "-") or rest[:1].isdigit():
            return self._special(rest[0]), i + 2
        return "", i

    def _value(self, name: str) -> str:
        """Return a variable's value; with `set -u` there must be one."""
        found = self.env.get(name)
        if found is None and self.nounset:
            self.complain(f"{name}: unbound variable" if self.name == "bash" else f"{name}: parameter not set")
            raise Exit(2)
        return found or ""

    def _special(self, name: str) -> str:
        if name == "?":
            return str(self.status)
        if name == "$":
            return "1"
        if name == "#":
            return str(len(self.args))
        if name in "@*":
            return " ".join(self.args)
        if name == "0":
            return self.name
        if name.isdigit():
            return self.args[int(name) - 1] if int(name) <= len(self.args) else ""
        return ""

    def _braces(self, body: str) -> str:
        if body.startswith("#") and len(body) > 1:
            return str(len(self.env.get(body[1:], "")))
        found = re.match(r"([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?])(:?[-=?+]|%%?|##?|/{1,2}|:)?", body)
        if not found:
            return ""
        name, operator = found.group(1), found.group(2) or ""
        known = self.env.get(name) if NAME.fullmatch(name) else self._special(name)
        value = known or ""
        argument = body[found.end() :]
        if not operator:
            return self._value(name) if known is None and NAME.fullmatch(name) else value
        missing = known is None or (operator.startswith(":") and not value)
        kind = operator[-1]
        if kind == "-":
            return self.expand_one(argument) if missing else value
        if kind == "=":
            if missing:
                self.env[name] = value = self.expand_one(argument)
            return value
        if kind == "+":
            return "" if missing else self.expand_one(argument)
        if kind == "?":
            if missing:
                text = self.expand_one(argument) or "parameter not set"
                self.complain(f"{name}: {text}")
                raise Exit(2)
            return value
        pattern = self.expand_one(argument)
        if operator in ("%", "%%", "#", "##"):
            return _strip(value, operator, pattern)
        if operator.startswith("/"):
            old, _, new = pattern.partition("/")
            return value.replace(old, new, -1 if operator == "//" else 1)
        start, _, length = pattern.partition(":")
        begin = self.arithmetic(start or "0")
        begin = max(begin + len(value), 0) if begin < 0 else begin
        if not length:
            return value[begin:]
        size = self.arithmetic(length)
        return value[begin : begin + size] if size >= 0 else value[begin:size]

    def capture(self, text: str) -> str:
        """Run a command substitution and return its output without the final newlines."""
        sink: Sink = []
        env, cwd = dict(self.env), self.cwd
        self._sinks.append(sink)
        try:
            self.node(parse(text))
        except Exit as ended:
            self.status = ended.code
        except ShellSyntaxError as error:
            sink.append(("err", f"{error}\n"))
            self.status = 2
        finally:
            self._sinks.pop()
            self.env, self.cwd = env, cwd
        for stream, line in sink:
            if stream == "err":
                self.err(line)
        return "".join(line for stream, line in sink if stream == "out").rstrip("\n")

    def arithmetic(self, text: str) -> int:
        """Evaluate an arithmetic expression; a wrong one ends the script."""
        try:
            return evaluate(self.expand_one(text.replace('"', "")), self.env)
        except ArithmeticProblem as problem:
            self.complain(f"arithmetic syntax error: {problem}" if str(problem) != "divide by zero" else str(problem))
            raise Exit(2) from None


def _strip(value: str, operator: str, pattern: str) -> str:
    indexes = range(len(value) + 1)
    if operator[0] == "%":
        order = reversed(indexes) if operator == "%" else iter(indexes)
        return next((value[:i] for i in order if fnmatchcase(value[i:], pattern)), value)
    order = iter(indexes) if operator == "#" else reversed(indexes)
    return next((value[i:] for i in order if fnmatchcase(value[:i], pattern)), value)
