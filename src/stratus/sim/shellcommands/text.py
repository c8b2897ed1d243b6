"""Programs that filter text."""

from __future__ import annotations

import base64
import hashlib
import re

from stratus.sim.shell import Forever, OutOfMemory, Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.process import _bytes
from stratus.sim.shellcommands.values import _content, _escape


def _input(shell: Shell, names: list[str]) -> str:
    if not names:
        return shell.stdin
    return "".join(_content(shell, shell.path(n)) or "" for n in names)


@program("grep", "egrep", "fgrep")
def _grep(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "eABCm")
    pattern = options.get("e") or (operands.pop(0) if operands else "")
    if "F" in options:
        pattern = re.escape(pattern)
    elif "E" not in options and not argv[0].startswith("egrep"):
        pattern = pattern.replace("\\|", "|").replace("\\(", "(").replace("\\)", ")")
    flags = re.IGNORECASE if "i" in options else 0
    found = [
        line for line in _input(shell, operands).splitlines()
        if (re.search(pattern, line, flags) is not None) != ("v" in options)
    ]  # fmt: skip
    if "c" in options:
        shell.out(f"{len(found)}\n")
    elif "q" not in options:
        shell.out("".join(f"{line}\n" for line in found))
    return int(not found)


@program("head", "tail")
def _head(shell: Shell, argv: list[str]) -> int:
    options, operands = _options([w for w in argv if not re.fullmatch(r"-\d+", w)], "nc")
    short = next((w[1:] for w in argv if re.fullmatch(r"-\d+", w)), None)
    first = argv[0].endswith("head")
    if "/dev/zero" in operands:
        size = _bytes(options["c"]) if options.get("c") else float("inf")
        if not first or size > float(shell.ask("memory_limit") or "inf"):
            shell.sleep(0.6)
            raise OutOfMemory
        return 0
    if not first and ("f" in options or "F" in options):
        if operands == ["/dev/null"] or not operands:
            raise Forever
        for name in operands:
            shell.out(_content(shell, shell.path(name)) or "")
        raise Forever
    lines = _input(shell, operands).splitlines(keepends=True)
    count = int(short or options.get("n") or 10)
    shell.out("".join(lines[:count] if first else lines[-count:] if count else []))
    return 0


@program("wc")
def _wc(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    text = _input(shell, operands)
    figures = {"l": text.count("\n"), "w": len(text.split()), "c": len(text.encode())}
    wanted = [k for k in "lwc" if k in options] or list("lwc")
    shell.out(" ".join(str(figures[k]) for k in wanted) + "\n")
    return 0


@program("sort")
def _sort(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "kt")
    lines = sorted(_input(shell, operands).splitlines(), reverse="r" in options)
    if "u" in options:
        lines = list(dict.fromkeys(lines))
    shell.out("".join(f"{line}\n" for line in lines))
    return 0


@program("uniq")
def _uniq(shell: Shell, argv: list[str]) -> int:
    last: str | None = None
    for line in _input(shell, _options(argv)[1]).splitlines():
        if line != last:
            shell.out(f"{line}\n")
        last = line
    return 0


@program("tr")
def _tr(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)

    def spread(text: str) -> str:
        text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:space:]", " \t\n")
        text = _escape(text)
        return re.sub(r"(.)-(.)", lambda m: "".join(chr(c) for c in range(ord(m[1]), ord(m[2]) + 1)), text)

    first = spread(operands[0]) if operands else ""
    if "d" in options:
        shell.out("".join(c for c in shell.stdin if c not in first))
        return 0
    second = spread(operands[1]) if len(operands) > 1 else first
    second = second + second[-1:] * max(0, len(first) - len(second))
    shell.out(shell.stdin.translate({ord(a): b for a, b in zip(first, second, strict=False)}))
    return 0


@program("cut")
def _cut(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "dfc")
    for line in _input(shell, operands).splitlines():
        if options.get("c"):
            begin, _, end = options["c"].partition("-")
            shell.out(
                line[int(begin or 1) - 1 : int(end) if end else (None if "-" in options["c"] else int(begin))] + "\n"
            )
            continue
        separator = options.get("d") or "\t"
        parts = line.split(separator)
        wanted = [int(n) for n in re.findall(r"\d+", options.get("f", "1"))]
        if separator not in line:
            shell.out(f"{line}\n")
        else:
            shell.out(separator.join(parts[n - 1] for n in wanted if n <= len(parts)) + "\n")
    return 0


@program("sed")
def _sed(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "e")
    script = options.get("e") or (operands.pop(0) if operands else "")
    text = _input(shell, operands)
    found = re.fullmatch(r"s(.)(.*?)\1(.*?)\1([gi]*)", script)
    if found:
        pattern, new, flags = found.group(2), found.group(3), found.group(4)
        pattern = pattern.replace("\\(", "(").replace("\\)", ")")
        new = re.sub(r"(?<!\\)&", r"\\g<0>", new)
        text = "".join(
            re.sub(pattern, new, line, count=0 if "g" in flags else 1) for line in text.splitlines(keepends=True)
        )
    if "i" in options:
        for name in operands:
            shell.world.write(shell.path(name), text, False)
    else:
        shell.out(text)
    return 0


@program("awk")
def _awk(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "Fv")
    script = operands[0] if operands else ""
    found = re.search(r"print\s+([^}]*)", script)
    wanted = re.findall(r"\$(\d+|NF)", found.group(1)) if found else []
    for line in _input(shell, operands[1:]).splitlines():
        parts = line.split(options.get("F") or None)
        row = [
            line if n == "0" else (parts[-1] if n == "NF" and parts else parts[int(n) - 1])
            for n in wanted
            if n in ("0", "NF") or int(n) <= len(parts)
        ]
        shell.out(" ".join(row) + "\n" if wanted else f"{line}\n")
    return 0


@program("base64")
def _base64(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "w")
    data = _input(shell, operands)
    if "d" in options or "D" in options:
        shell.out(base64.b64decode(data).decode("utf-8", "replace"))
    else:
        shell.out(base64.b64encode(data.encode()).decode() + "\n")
    return 0


@program("md5sum", "sha256sum")
def _digest(shell: Shell, argv: list[str]) -> int:
    data = _input(shell, argv[1:]).encode()
    name = "sha256" if argv[0].startswith("sha256") else "md5"
    shell.out(f"{hashlib.new(name, data, usedforsecurity=False).hexdigest()}  {(argv[1:] or ['-'])[0]}\n")
    return 0


@program("xargs")
def _xargs(shell: Shell, argv: list[str]) -> int:
    command = [w for w in argv[1:] if not w.startswith("-")] or ["echo"]
    return shell.command([*command, *shell.stdin.split()])
