"""sed, and programs that turn bytes into text and back."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from stratus.sim.filesystem import to_bytes, to_text
from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.filters import _input, expression, sources
from stratus.sim.shellcommands.values import _escape


@dataclass
class _Command:
    """One command of sed: where it acts, what it does."""

    name: str
    first: str | None = None
    last: str | None = None
    negated: bool = False
    pattern: re.Pattern[str] | None = None
    text: str = ""
    flags: str = ""
    inside: bool = False


class _BadScript(Exception):
    pass


def _address(script: str, at: int, extended: bool) -> tuple[str | None, int]:
    if at < len(script) and (script[at].isdigit() or script[at] == "$"):
        end = at + 1
        while end < len(script) and script[end].isdigit():
            end += 1
        return script[at:end], end
    if at < len(script) and script[at] == "/":
        end = _until(script, at + 1, "/")
        return "/" + expression(script[at + 1 : end], extended=extended), end + 1
    return None, at


def _until(text: str, at: int, mark: str) -> int:
    while at < len(text) and text[at] != mark:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise _BadScript("unterminated address regex or `s' command")
    return at


def _commands(script: str, extended: bool) -> list[_Command]:
    found: list[_Command] = []
    at = 0
    while at < len(script):
        if script[at] in " \t;\n}{":
            at += 1
            continue
        command = _Command("")
        command.first, at = _address(script, at, extended)
        if at < len(script) and script[at] == ",":
            command.last, at = _address(script, at + 1, extended)
        while at < len(script) and script[at] in " !":
            command.negated = command.negated or script[at] == "!"
            at += 1
        if at >= len(script):
            raise _BadScript("missing command")
        command.name = script[at]
        at += 1
        if command.name in "sy":
            at = _substitution(script, at, command, extended)
        elif command.name in "aic":
            end = script.find("\n", at)
            end = len(script) if end < 0 else end
            command.text = script[at:end].lstrip("\\ \n")
            at = end
        elif command.name not in "dpqDPn=":
            raise _BadScript(f"unknown command: `{command.name}'")
        found.append(command)
    return found


def _substitution(script: str, at: int, command: _Command, extended: bool) -> int:
    mark = script[at : at + 1]
    middle = _until(script, at + 1, mark)
    end = _until(script, middle + 1, mark)
    old = script[at + 1 : middle].replace(f"\\{mark}", mark)
    new = script[middle + 1 : end].replace(f"\\{mark}", mark)
    at = end + 1
    while at < len(script) and script[at] in "gipIe0123456789":
        command.flags += script[at]
        at += 1
    if command.name == "y":
        command.text = f"{_escape(old)}\0{_escape(new)}"
        return at
    command.pattern = re.compile(
        expression(old, extended=extended), re.IGNORECASE if "i" in command.flags.lower() else 0
    )
    command.text = new
    return at


def _replacement(match: re.Match[str], text: str) -> str:
    def one(part: re.Match[str]) -> str:
        found = part.group()
        if found == "&":
            return match.group()
        if found[1].isdigit():
            return match.group(int(found[1])) or "" if int(found[1]) <= len(match.groups()) else ""
        return {"n": "\n", "t": "\t"}.get(found[1], found[1])

    return re.sub(r"\\.|&", one, text, flags=re.DOTALL)


def _replacing(text: str) -> Callable[[re.Match[str]], str]:
    """Return what gives a match's replacement."""
    return lambda match: _replacement(match, text)


def _applies(command: _Command, line: str, number: int, last: bool) -> bool:
    def hit(address: str) -> bool:
        if address.startswith("/"):
            return re.search(address[1:], line) is not None
        return last if address == "$" else number == int(address)

    if command.first is None:
        return not command.negated
    if command.last is None:
        return hit(command.first) != command.negated
    if not command.inside:
        inside = command.inside = hit(command.first)
        if inside and command.last.isdigit() and int(command.last) <= number:
            command.inside = False
    else:
        inside = True
        if hit(command.last) or (command.last.isdigit() and number >= int(command.last)):
            command.inside = False
    return inside != command.negated


def edit(script: str, text: str, *, quiet: bool, extended: bool) -> str:
    """Return a text as sed leaves it."""
    commands = _commands(script, extended)
    lines = text.splitlines()
    out: list[str] = []
    for number, original in enumerate(lines, 1):
        line, shown, after, leaving = original, not quiet, [], False
        for command in commands:
            if not _applies(command, line, number, number == len(lines)):
                continue
            if command.name == "s" and command.pattern is not None:
                count = 0 if "g" in command.flags else 1
                line, hits = command.pattern.subn(_replacing(command.text), line, count)
                if hits and "p" in command.flags:
                    out.append(line)
            elif command.name == "y":
                old, _, new = command.text.partition("\0")
                line = line.translate({ord(a): b for a, b in zip(old, new, strict=False)})
            elif command.name == "p":
                out.append(line)
            elif command.name == "=":
                out.append(str(number))
            elif command.name == "i":
                out.append(command.text)
            elif command.name == "a":
                after.append(command.text)
            elif command.name == "c":
                line = command.text
            elif command.name in "dD":
                shown = False
                break
            elif command.name == "q":
                leaving = True
                break
        if shown:
            out.append(line)
        out += after
        if leaving:
            break
    body = "".join(f"{line}\n" for line in out)
    return body if text.endswith("\n") or not body else body[:-1]


@program("sed")
def _sed(shell: Shell, argv: list[str]) -> int:
    options, operands = _options([w for w in argv if not w.startswith("--in-place")], "ef")
    scripts = [argv[n + 1] for n, w in enumerate(argv[:-1]) if w == "-e"] or (
        [options["e"]] if options.get("e") else []
    )
    in_place = "i" in options or any(w.startswith("--in-place") for w in argv)
    script = "\n".join(scripts) if scripts else operands.pop(0) if operands else ""
    quiet, extended = "n" in options, bool({"E", "r"} & set(options))
    try:
        if not in_place:
            shell.status = 0
            shell.out(edit(script, _input(shell, operands, "sed"), quiet=quiet, extended=extended))
            return shell.status
        for name, text in sources(shell, operands, "sed"):
            problem = shell.world.write(shell.path(name), edit(script, text, quiet=quiet, extended=extended), False)
            if problem:
                shell.err(f"sed: can't create temp file '{name}XXXXXX': {problem}\n")
                return 1
    except (_BadScript, re.error) as error:
        shell.err(f"sed: {error}\n")
        return 1
    return 0


@program("base64")
def _base64(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "w")
    data = to_bytes(_input(shell, operands, "base64"))
    if "d" in options or "D" in options or "decode" in options:
        try:
            shell.out(to_text(base64.b64decode(data, validate=False)))
        except ValueError:
            shell.err("base64: invalid input\n")
            return 1
        return 0
    text = base64.b64encode(data).decode()
    width = int(options["w"]) if options.get("w", "").isdigit() else 76
    rows = [text[n : n + width] for n in range(0, len(text), width)] if width else [text]
    shell.out("\n".join(rows) + ("\n" if width else ""))
    return 0


@program("md5sum", "sha1sum", "sha256sum", "sha512sum")
def _digest(shell: Shell, argv: list[str]) -> int:
    names = [w for w in argv[1:] if not w.startswith("-") or w == "-"]
    kind = argv[0].rpartition("/")[2].removesuffix("sum")
    shell.status = 0
    for name, text in sources(shell, names, f"{kind}sum"):
        digest = hashlib.new(kind, to_bytes(text), usedforsecurity=False).hexdigest()
        shell.out(f"{digest}  {name if names else '-'}\n")
    return shell.status


@program("xxd", "hexdump", "od")
def _hex(shell: Shell, argv: list[str]) -> int:
    names = [w for w in argv[1:] if not w.startswith("-") and shell.world.stat(shell.path(w)) is not None]
    data = to_bytes(_input(shell, names, "hexdump"))
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        cells = " ".join(f"{b:02x}" for b in row)
        shell.out(f"{at:08x}  {cells:<47}  |{text}|\n")
    return 0


@program("xargs")
def _xargs(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    size, mark, zero = 0, "", False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("-n", "-L", "-P", "-I", "-d") and words:
            value = words.pop(0)
            size = int(value) if word in ("-n", "-L") else size
            mark = value if word == "-I" else mark
        elif word.startswith("-n") and word[2:].isdigit():
            size = int(word[2:])
        elif word.startswith("-I"):
            mark = word[2:] or "{}"
        elif word == "-0":
            zero = True
    command = words or ["echo"]
    items = shell.stdin.split("\0") if zero else shell.stdin.splitlines() if mark else shell.stdin.split()
    items = [i for i in items if i]
    saved, shell.stdin = shell.stdin, ""
    code = 0
    try:
        if mark:
            for item in items:
                code = (shell.command([w.replace(mark, item.strip()) for w in command]) and 123) or code
            return code
        if not items and "-r" in argv:
            return 0
        groups = [items[n : n + size] for n in range(0, len(items), size)] if size else [items]
        for group in groups:
            code = (shell.command([*command, *group]) and 123) or code
    finally:
        shell.stdin = saved
    return code
