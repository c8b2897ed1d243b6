"""awk, as far as one-liners go: patterns, fields, variables, arrays, printf and the usual functions."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.awkreader import AwkError, Reader
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.filters import _input
from stratus.sim.shellcommands.values import _escape

_STEPS = 100_000


class _Next(Exception):
    pass


class _Leave(Exception):
    pass


class Awk:
    """One run of a program over records."""

    def __init__(self, text: str, variables: dict[str, str]) -> None:
        self.rules = Reader(text).rules()
        self.names: dict[str, Any] = {"FS": " ", "OFS": " ", "ORS": "\n", "NR": 0.0, "NF": 0.0, "RS": "\n", **variables}
        self.arrays: dict[str, dict[str, Any]] = {}
        self.fields: list[str] = [""]
        self.out: list[str] = []
        self.code = 0
        self.steps = 0
        self.open: set[int] = set()

    def run(self, text: str) -> None:
        """Go through a text."""
        try:
            self._all("BEGIN")
            if any(not (p is not None and p == ("mark", "BEGIN")) for p, _ in self.rules):
                for line in text.splitlines():
                    self._record(line)
                    try:
                        self._main()
                    except _Next:
                        continue
            self._all("END")
        except _Leave:
            return

    def _all(self, mark: str) -> None:
        for pattern, body in self.rules:
            if pattern == ("mark", mark) and body is not None:
                self.do(body)

    def _main(self) -> None:
        for number, (pattern, body) in enumerate(self.rules):
            if pattern is not None and pattern[0] == "mark":
                continue
            if pattern is None or self._hit(number, pattern):
                if body is None:
                    self.out.append(self.fields[0] + str(self.names["ORS"]))
                else:
                    self.do(body)

    def _hit(self, number: int, pattern: Any) -> bool:
        if pattern[0] != "range":
            return _true(self.value(pattern))
        if number not in self.open and not _true(self.value(pattern[1])):
            return False
        self.open.add(number)
        if _true(self.value(pattern[2])):
            self.open.discard(number)
        return True

    def _record(self, line: str) -> None:
        self.names["NR"] = self.names["FNR"] = float(self.names["NR"]) + 1
        self._split(line)

    def _split(self, line: str) -> None:
        self.fields = [line, *self.parts(line, str(self.names["FS"]))]
        self.names["NF"] = float(len(self.fields) - 1)

    @staticmethod
    def parts(line: str, mark: str) -> list[str]:
        """Return the parts of a text between separators."""
        if mark == " ":
            return line.split()
        if not line:
            return []
        plain = (len(mark) == 1 and mark not in ".*+?^$[(\\") or mark == "|"
        return line.split(mark) if plain else re.split(mark, line)

    # statements

    def do(self, node: Any) -> None:
        """Carry out a statement."""
        self.steps += 1
        if self.steps > _STEPS:
            raise AwkError("the program does not end")
        kind = node[0]
        if kind == "block":
            for inner in node[1]:
                self.do(inner)
        elif kind == "expr":
            self.value(node[1])
        elif kind == "print":
            texts = [_text(self.value(a)) for a in node[1]] or [self.fields[0]]
            self.out.append(str(self.names["OFS"]).join(texts) + str(self.names["ORS"]))
        elif kind == "printf":
            self.out.append(_formatted([self.value(a) for a in node[1]]))
        elif kind == "if":
            chosen = node[2] if _true(self.value(node[1])) else node[3]
            if chosen is not None:
                self.do(chosen)
        elif kind in ("while", "for"):
            self._loop(node)
        elif kind == "forin":
            for key in list(self.arrays.get(node[2], {})):
                self.names[node[1]] = key
                self.do(node[3])
        elif kind == "delete":
            if node[2] is None:
                self.arrays.pop(node[1], None)
            else:
                self.arrays.get(node[1], {}).pop(self._key(node[2]), None)
        elif kind == "next":
            raise _Next
        elif kind == "exit":
            self.code = int(_number(self.value(node[1]))) if node[1] is not None else 0
            raise _Leave

    def _loop(self, node: Any) -> None:
        first, condition, step, body = (None, node[1], None, node[2]) if node[0] == "while" else node[1:]
        if first is not None:
            self.do(first)
        while condition is None or _true(self.value(condition)):
            self.do(body)
            if step is not None:
                self.do(step)

    # expressions

    def _key(self, nodes: list[Any]) -> str:
        return "\x1c".join(_text(self.value(n)) for n in nodes)

    def value(self, node: Any) -> Any:
        """Return what an expression is worth: a text or a number."""
        self.steps += 1
        if self.steps > _STEPS:
            raise AwkError("the program does not end")
        kind = node[0]
        if kind in ("number", "string"):
            return node[1]
        if kind == "var":
            return self.names.get(node[1], "")
        if kind == "field":
            place = int(_number(self.value(node[1])))
            return self.fields[place] if 0 <= place < len(self.fields) else ""
        if kind == "item":
            return self.arrays.setdefault(node[1], {}).get(self._key(node[2]), "")
        if kind == "regex":
            return float(re.search(node[1], self.fields[0]) is not None)
        if kind == "join":
            return _text(self.value(node[1])) + _text(self.value(node[2]))
        if kind == "choice":
            return self.value(node[2 if _true(self.value(node[1])) else 3])
        if kind == "inside":
            return float(_text(self.value(node[1])) in self.arrays.get(node[2], {}))
        if kind == "assign":
            return self._assign(node[1], self.value(node[2]))
        if kind == "after":
            before = _number(self.value(node[1]))
            self._assign(node[1], before + (1 if node[2] == "+" else -1))
            return before
        if kind == "unary":
            inner = self.value(node[2])
            return float(not _true(inner)) if node[1] == "!" else -_number(inner) if node[1] == "-" else _number(inner)
        if kind == "binary":
            return self._operate(node[1], node[2], node[3])
        return self._call(node[1], node[2])

    def _assign(self, target: Any, value: Any) -> Any:
        if target[0] == "var":
            self.names[target[1]] = value
        elif target[0] == "item":
            self.arrays.setdefault(target[1], {})[self._key(target[2])] = value
        else:
            place = int(_number(self.value(target[1])))
            if place == 0:
                self._split(_text(value))
            elif 0 < place < 1000:
                self.fields += [""] * (place + 1 - len(self.fields))
                self.fields[place] = _text(value)
                self.fields[0] = str(self.names["OFS"]).join(self.fields[1:])
                self.names["NF"] = float(len(self.fields) - 1)
        return value

    def _operate(self, operator: str, left: Any, right: Any) -> Any:
        if operator in ("&&", "||"):
            first = _true(self.value(left))
            if first == (operator == "||"):
                return float(first)
            return float(_true(self.value(right)))
        if operator in ("~", "!~"):
            pattern = right[1] if right[0] == "regex" else _text(self.value(right))
            return float((re.search(pattern, _text(self.value(left))) is not None) == (operator == "~"))
        one, other = self.value(left), self.value(right)
        if operator in ("<", ">", "<=", ">=", "==", "!="):
            if not (_is_number(one) and _is_number(other)):
                one, other = _text(one), _text(other)
            else:
                one, other = _number(one), _number(other)
            return float({"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other,
            "==": one == other,
                          "!=": one != other}[operator])  # fmt: skip
        a, b = _number(one), _number(other)
        if operator in "/%" and b == 0:
            raise AwkError("division by zero")
        if operator == "^":
            return a**b if abs(b) < 1000 else 0.0
        return (
            {"+": a + b, "-": a - b, "*": a * b}[operator] if operator in "+-*" else a / b if operator == "/" else a % b
        )

    def _call(self, name: str, args: list[Any]) -> Any:
        if name in ("sub", "gsub"):
            return self._substitute(name, args)
        if name == "split":
            mark = _text(self.value(args[2])) if len(args) > 2 else str(self.names["FS"])
            parts = self.parts(_text(self.value(args[0])), mark)
            self.arrays[args[1][1]] = {str(n): p for n, p in enumerate(parts, 1)}
            return float(len(parts))
        if name == "length" and args and args[0][0] == "var" and args[0][1] in self.arrays:
            return float(len(self.arrays[args[0][1]]))
        if name == "match":
            pattern = args[1][1] if args[1][0] == "regex" else _text(self.value(args[1]))
            found = re.search(pattern, _text(self.value(args[0])))
            self.names["RSTART"] = float(found.start() + 1) if found else 0.0
            self.names["RLENGTH"] = float(found.end() - found.start()) if found else -1.0
            return self.names["RSTART"]
        values = [self.value(a) for a in args]
        first = values[0] if values else self.fields[0]
        if name == "length":
            return float(len(_text(first)))
        if name in ("toupper", "tolower"):
            return _text(first).upper() if name == "toupper" else _text(first).lower()
        if name == "substr":
            text, begin = _text(first), int(_number(values[1])) - 1
            end = begin + int(_number(values[2])) if len(values) > 2 else len(text)
            return text[max(begin, 0) : max(end, 0)]
        if name == "index":
            return float(_text(first).find(_text(values[1])) + 1)
        if name in ("int", "sqrt"):
            return float(int(_number(first))) if name == "int" else max(_number(first), 0.0) ** 0.5
        if name == "sprintf":
            return _formatted(values)
        if name in ("systime", "rand", "srand"):
            return 0.0
        raise AwkError(f"call to undefined function {name}")

    def _substitute(self, name: str, args: list[Any]) -> float:
        pattern = args[0][1] if args[0][0] == "regex" else _text(self.value(args[0]))
        text = _text(self.value(args[1]))
        target = args[2] if len(args) > 2 else ("field", ("number", 0.0))

        def replaced(match: re.Match[str]) -> str:
            return re.sub(r"\\&|&", lambda m: "&" if len(m.group()) > 1 else match.group(), text)

        fresh, hits = re.subn(pattern, replaced, _text(self.value(target)), count=0 if name == "gsub" else 1)
        if hits:
            self._assign(target, fresh)
        return float(hits)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, float) or re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", str(value)) is not None
    )


def _number(value: Any) -> float:
    if isinstance(value, float):
        return value
    found = re.match(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", str(value))
    return float(found.group()) if found else 0.0


def _text(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value == value // 1 and abs(value) < 1e16 else f"{value:.6g}"
    return str(value)


def _true(value: Any) -> bool:
    return bool(value) if isinstance(value, float) else (_number(value) != 0 if _is_number(value) else value != "")


def _formatted(values: list[Any]) -> str:
    shape, rest = _text(values[0]) if values else "", list(values[1:])

    def one(match: re.Match[str]) -> str:
        spec = match.group()
        if spec == "%%":
            return "%"
        value = rest.pop(0) if rest else ""
        if spec[-1] in "di":
            return (spec[:-1] + "d") % int(_number(value))
        if spec[-1] in "feEgG":
            return spec % _number(value)
        if spec[-1] in "xXoc":
            return spec % (int(_number(value)) if spec[-1] != "c" else (_text(value)[:1] or " "))
        return spec % _text(value)

    return re.sub(r"%[-+ 0#]*\d*(?:\.\d+)?[diouxXfeEgGsc]|%%", one, shape)


@program("awk", "gawk", "mawk")
def _awk(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "Fvf")
    given = [argv[n + 1] for n, w in enumerate(argv[:-1]) if w == "-v"]
    variables = {k: _escape(v) for k, _, v in (g.partition("=") for g in given)}
    if options.get("F"):
        variables["FS"] = "\t" if options["F"] in ("t", "\\t") else options["F"]
    if not operands and not options.get("f"):
        shell.err("awk: no program text\n")
        return 2
    text = (shell.world.read(shell.path(options["f"])) or "") if options.get("f") else operands.pop(0)
    try:
        awk = Awk(text, variables)
    except AwkError as error:
        shell.err(f"awk: {error}\n")
        return 2
    problem = ""
    try:
        awk.run(_input(shell, operands, "awk"))
    except (AwkError, re.error, TypeError, ValueError) as error:
        problem = str(error)
    except _Next:
        pass
    if problem:
        shell.out("".join(awk.out))
        shell.err(f"awk: {problem}\n")
        return 2
    shell.out("".join(awk.out))
    return awk.code
