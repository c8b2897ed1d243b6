"""Programs that print, compute and wait, and the test command."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from stratus.sim.shell import Forever, Shell
from stratus.sim.shellcommands.base import _DURATION, _UNITS, program


@program("echo")
def _echo(shell: Shell, argv: list[str]) -> int:
    words, newline, escapes = argv[1:], True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        newline = newline and "n" not in words[0]
        escapes = escapes or "e" in words[0]
        words = words[1:]
    text = " ".join(words)
    if escapes:
        text = _escape(text)
    shell.out(text + ("\n" if newline else ""))
    return 0


def _escape(text: str) -> str:
    table = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0", "a": "\a"}
    return re.sub(r"\\([ntr\\0a])", lambda m: table[m.group(1)], text)


@program("printf")
def _printf(shell: Shell, argv: list[str]) -> int:
    if len(argv) < 2:
        return 1
    shape, values = _escape(argv[1]), argv[2:]

    def fill() -> str:
        def value(match: re.Match[str]) -> str:
            if match.group() == "%%":
                return "%"
            text = values.pop(0) if values else ""
            if match.group()[-1] in "di":
                return (
                    match.group()[:-1].replace("%", "%") % () + text
                    if len(match.group()) == 2
                    else (match.group() % int(text or 0))
                )
            return match.group() % text if len(match.group()) > 2 else text

        return re.sub(r"%%|%[-0-9.]*[sdi]", value, shape)

    text = fill()
    while values and "%" in argv[1]:
        text += fill()
    shell.out(text)
    return 0


@program("true")
def _true(shell: Shell, argv: list[str]) -> int:
    return 0


@program("false")
def _false(shell: Shell, argv: list[str]) -> int:
    return 1


@program("sleep", "usleep")
def _sleep(shell: Shell, argv: list[str]) -> int:
    total = 0.0
    if len(argv) < 2:
        shell.err("sleep: missing operand\n")
        return 1
    for word in argv[1:]:
        if word in ("infinity", "inf"):
            raise Forever
        found = _DURATION.fullmatch(word)
        if not found:
            shell.err(f"sleep: invalid number '{word}'\n")
            return 1
        total += float(found.group(1)) * _UNITS[found.group(2)]
    shell.sleep(total / (1e6 if argv[0].endswith("usleep") else 1.0))
    return 0


@program("date")
def _date(shell: Shell, argv: list[str]) -> int:
    moment = datetime.fromtimestamp(shell.world.now() + shell.elapsed, UTC)
    shape = next((w[1:] for w in argv[1:] if w.startswith("+")), "")
    if shape:
        shell.out(moment.strftime(shape.replace("%s", str(int(moment.timestamp())))) + "\n")
    else:
        shell.out(moment.strftime("%a %b %e %H:%M:%S UTC %Y") + "\n")
    return 0


@program("seq")
def _seq(shell: Shell, argv: list[str]) -> int:
    numbers = [int(w) for w in argv[1:] if w.lstrip("-").isdigit()]
    first, step, last = (
        (1, 1, numbers[0])
        if len(numbers) == 1
        else ((numbers[0], 1, numbers[1]) if len(numbers) == 2 else (numbers[0], numbers[1], numbers[2]))
    )
    shell.out("".join(f"{n}\n" for n in range(first, last + (1 if step > 0 else -1), step or 1)))
    return 0


@program("expr")
def _expr(shell: Shell, argv: list[str]) -> int:
    value = shell.arithmetic(" ".join(argv[1:]).replace("\\", ""))
    shell.out(f"{value}\n")
    return int(value == 0)


@program("yes")
def _yes(shell: Shell, argv: list[str]) -> int:
    raise Forever


@program("test", "[", "[[")
def _test(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0] in ("[", "[["):
        if not words or words[-1] not in ("]", "]]"):
            shell.err(f"{shell.name}: [: missing ]\n")
            return 2
        words = words[:-1]
    try:
        return int(not _or(shell, words))
    except ValueError as error:
        shell.err(f"{shell.name}: {error}\n")
        return 2


def _or(shell: Shell, words: list[str]) -> bool:
    for joiner, every in (("-o", False), ("||", False), ("-a", True), ("&&", True)):
        if joiner in words and len(words) > 3:
            at = words.index(joiner)
            left, right = _or(shell, words[:at]), _or(shell, words[at + 1 :])
            return (left and right) if every else (left or right)
    return _one(shell, words)


def _one(shell: Shell, words: list[str]) -> bool:
    if not words:
        return False
    if words[0] == "!" and len(words) > 1:
        return not _one(shell, words[1:])
    if len(words) == 1:
        return bool(words[0])
    if len(words) == 2:
        return _unary(shell, words[0], words[1])
    left, operator, right = words[0], words[1], words[2]
    if operator in ("=", "=="):
        return left == right
    if operator == "!=":
        return left != right
    if operator == "=~":
        return re.search(right, left) is not None
    if operator in ("-eq", "-ne", "-lt", "-le", "-gt", "-ge"):
        for text in (left, right):
            if not re.fullmatch(r"\s*-?\d+\s*", text):
                raise ValueError(f"{text}: bad number")
        a, b = int(left), int(right)
        return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}[operator]
    if operator in ("<", ">"):
        return left < right if operator == "<" else left > right
    raise ValueError(f"{operator}: unknown operand")


def _unary(shell: Shell, operator: str, value: str) -> bool:
    if operator == "-n":
        return bool(value)
    if operator == "-z":
        return not value
    path = shell.path(value)
    text = _content(shell, path)
    is_dir = shell.world.is_dir(path)
    if operator == "-f":
        return text is not None
    if operator == "-d":
        return is_dir
    if operator == "-s":
        return bool(text) or is_dir
    if operator in ("-e", "-r", "-w", "-L", "-h"):
        return text is not None or is_dir
    if operator == "-x":
        return is_dir or shell.world.has_program(value)
    raise ValueError(f"{operator}: unknown operand")


def _content(shell: Shell, path: str) -> str | None:
    """Read a file; what is mounted may change, so it is asked for at the script's own moment."""
    return shell.ask("mounted", path) if shell.ask("is_mounted", path) else shell.world.read(path)
