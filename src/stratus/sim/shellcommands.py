"""The programs a container's shell knows: files, text, processes, names and connections, and small servers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from stratus.sim.shell import Forever, OutOfMemory, Shell, _Exit

Program = Callable[[Shell, list[str]], int]
COMMANDS: dict[str, Program] = {}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
CURL_VALUED = frozenset(
    {"--max-time", "--connect-timeout", "--request", "--data", "--header", "--output", "--write-out", "--retry"}
    | {"--retry-delay", "--user", "--cacert", "--user-agent", "--data-raw", "--json"}
)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def program(*names: str) -> Callable[[Program], Program]:
    """Register a program under its names."""

    def register(fn: Program) -> Program:
        for name in names:
            COMMANDS[name] = fn
        return fn

    return register


def _options(argv: list[str], valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Split arguments into short or long options and operands; letters in `valued` take a value."""
    options: dict[str, str] = {}
    operands: list[str] = []
    i = 1
    while i < len(argv):
        word = argv[i]
        if word == "--":
            operands += argv[i + 1 :]
            break
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            options[name] = value
        elif word.startswith("-") and len(word) > 1:
            for position, letter in enumerate(word[1:], 1):
                if letter in valued:
                    value = word[position + 1 :]
                    if not value:
                        i += 1
                        value = argv[i] if i < len(argv) else ""
                    options[letter] = value
                    break
                options[letter] = ""
        else:
            operands.append(word)
        i += 1
    return options, operands


# output and values


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


# tests


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


# files


@program("cat")
def _cat(shell: Shell, argv: list[str]) -> int:
    files = [w for w in argv[1:] if not w.startswith("-") or w == "-"]
    if not files:
        shell.out(shell.stdin)
        return 0
    code = 0
    for name in files:
        text = shell.stdin if name == "-" else _content(shell, shell.path(name))
        if text is None:
            why = "read error: Is a directory" if shell.world.is_dir(shell.path(name)) else "No such file or directory"
            lead = "" if "directory" in why and why.startswith("read") else "can't open "
            quoted = name if not lead else f"'{name}'"
            shell.err(f"cat: {lead}{quoted}: {why}\n")
            code = 1
        else:
            shell.out(text)
    return code


@program("ls")
def _ls(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    code = 0
    for name in operands or ["."]:
        path = shell.path(name)
        if shell.world.is_dir(path):
            names = [n for n in shell.world.list_dir(path) if "a" in options or not n.startswith(".")]
        elif _content(shell, path) is not None:
            names = [name]
        else:
            shell.err(f"ls: {name}: No such file or directory\n")
            code = 1
            continue
        if "l" in options:
            for entry in names:
                kind = "d" if shell.world.is_dir(f"{path.rstrip('/')}/{entry}") else "-"
                shell.out(f"{kind}rw-r--r--    1 root     root             0 Jan  5 09:00 {entry}\n")
        else:
            shell.out("".join(f"{entry}\n" for entry in names))
    return code


@program("mkdir")
def _mkdir(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "m")
    code = 0
    for name in operands:
        path = shell.path(name)
        if shell.world.is_dir(path):
            if "p" not in options:
                shell.err(f"mkdir: can't create directory '{name}': File exists\n")
                code = 1
            continue
        problem = shell.world.mkdir(path)
        if problem:
            shell.err(f"mkdir: can't create directory '{name}': {problem}\n")
            code = 1
    return code


@program("touch")
def _touch(shell: Shell, argv: list[str]) -> int:
    code = 0
    for name in _options(argv)[1]:
        problem = shell.world.write(shell.path(name), "", True)
        if problem:
            shell.err(f"touch: {name}: {problem}\n")
            code = 1
    return code


@program("rm", "rmdir")
def _rm(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    code = 0
    for name in operands:
        if not shell.world.remove(shell.path(name)) and "f" not in options:
            shell.err(f"rm: can't remove '{name}': No such file or directory\n")
            code = 1
    return code


@program("cp", "mv")
def _cp(shell: Shell, argv: list[str]) -> int:
    operands = _options(argv)[1]
    if len(operands) < 2:
        return 1
    target = shell.path(operands[-1])
    for name in operands[:-1]:
        text = _content(shell, shell.path(name))
        if text is None:
            shell.err(f"{argv[0]}: can't stat '{name}': No such file or directory\n")
            return 1
        goal = f"{target}/{name.rpartition('/')[2]}" if shell.world.is_dir(target) else target
        problem = shell.world.write(goal, text, False)
        if problem:
            shell.err(f"{argv[0]}: can't create '{goal}': {problem}\n")
            return 1
        if argv[0].endswith("mv"):
            shell.world.remove(shell.path(name))
    return 0


@program("chmod", "chown", "chgrp", "ln", "sync", "stty", "ulimit", "umask", "renice", "nice_")
def _quiet(shell: Shell, argv: list[str]) -> int:
    return 0


@program("tee")
def _tee(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    for name in operands:
        shell.world.write(shell.path(name), shell.stdin, "a" in options)
    shell.out(shell.stdin)
    return 0


@program("pwd")
def _pwd(shell: Shell, argv: list[str]) -> int:
    shell.out(f"{shell.cwd}\n")
    return 0


@program("find")
def _find(shell: Shell, argv: list[str]) -> int:
    start = next((w for w in argv[1:] if not w.startswith("-")), ".")

    def walk(path: str) -> None:
        shell.out(f"{path}\n")
        if shell.world.is_dir(shell.path(path)):
            for name in shell.world.list_dir(shell.path(path)):
                walk(f"{path.rstrip('/')}/{name}")

    walk(start)
    return 0


# text


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


# the process and its surroundings


@program("env", "printenv")
def _env(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0].endswith("printenv") and words:
        if words[0] not in shell.env:
            return 1
        shell.out(f"{shell.env[words[0]]}\n")
        return 0
    while words and (words[0].startswith("-") or "=" in words[0]):
        name, equals, value = words[0].partition("=")
        if equals:
            shell.env[name] = value
        words = words[1:]
    if words:
        return shell.command(words)
    shell.out("".join(f"{k}={v}\n" for k, v in shell.env.items()))
    return 0


@program("hostname")
def _hostname(shell: Shell, argv: list[str]) -> int:
    if "-i" in argv[1:]:
        shell.out(f"{shell.ask('address')}\n")
    else:
        shell.out(f"{shell.env.get('HOSTNAME', 'localhost')}\n")
    return 0


@program("uname")
def _uname(shell: Shell, argv: list[str]) -> int:
    node = shell.env.get("HOSTNAME", "localhost")
    shell.out(f"Linux {node} 6.1.0 #1 SMP x86_64 GNU/Linux\n" if "-a" in argv else "Linux\n")
    return 0


@program("whoami")
def _whoami(shell: Shell, argv: list[str]) -> int:
    shell.out("root\n")
    return 0


@program("id")
def _id(shell: Shell, argv: list[str]) -> int:
    shell.out("0\n" if "-u" in argv or "-g" in argv else "uid=0(root) gid=0(root) groups=0(root)\n")
    return 0


@program("nproc")
def _nproc(shell: Shell, argv: list[str]) -> int:
    shell.out("2\n")
    return 0


@program("ps")
def _ps(shell: Shell, argv: list[str]) -> int:
    shell.out("PID   USER     TIME  COMMAND\n")
    for number, line in shell.ask("processes"):
        shell.out(f"{number:>5} root      0:00 {line}\n")
    shell.out(f"{len(shell.ask('processes')) + 6:>5} root      0:00 {' '.join(argv)}\n")
    return 0


@program("pidof", "pgrep")
def _pidof(shell: Shell, argv: list[str]) -> int:
    wanted = argv[-1]
    found = [str(n) for n, line in shell.ask("processes") if wanted in line]
    shell.out(" ".join(found) + "\n" if found else "")
    return int(not found)


@program("kill", "killall", "pkill")
def _kill(shell: Shell, argv: list[str]) -> int:
    if "0" in argv[1:2] or "-0" in argv[1:2]:
        return 0
    if argv[-1] == "1":
        shell.ask("signal", next((w.lstrip("-") for w in argv[1:-1]), "TERM"))
    return 0


@program("which", "type")
def _which(shell: Shell, argv: list[str]) -> int:
    code = 0
    for name in argv[1:]:
        if name in COMMANDS and shell.world.has_program(name):
            shell.out(f"/bin/{name}\n")
        else:
            code = 1
    return code


@program("df")
def _df(shell: Shell, argv: list[str]) -> int:
    shell.out("Filesystem           1K-blocks      Used Available Use% Mounted on\n")
    shell.out("overlay               61202244  18360672  42841572  30% /\n")
    return 0


@program("free")
def _free(shell: Shell, argv: list[str]) -> int:
    shell.out("              total        used        free      shared  buff/cache   available\n")
    shell.out("Mem:        8148364     2412044     3105432       12004     2630888     5402116\n")
    return 0


@program("timeout")
def _timeout(shell: Shell, argv: list[str]) -> int:
    words = [w for w in argv[1:] if not w.startswith("-")]
    found = _DURATION.fullmatch(words[0]) if words else None
    limit = float(found.group(1)) * _UNITS[found.group(2)] if found else 0.0
    before = shell.elapsed
    try:
        code = shell.command(words[1:])
    except Forever:
        shell.elapsed = before + limit
        shell.outcome.ports = frozenset()
        return 143
    if shell.elapsed - before > limit > 0:
        shell.elapsed = before + limit
        return 143
    return code


@program("nohup", "nice", "time", "tini", "dumb-init", "setsid", "stdbuf", "catatonit", "su-exec", "gosu")
def _wrapper(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0].rpartition("/")[2] in ("su-exec", "gosu"):
        words = words[1:]
    while words and words[0].startswith("-"):
        words = words[1:]
    return shell.command(words)


@program("sh", "ash", "bash", "dash", "zsh")
def _sh(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    script: str | None = None
    while words and words[0].startswith(("-", "+")) and words[0] != "--":
        flags = words.pop(0)
        if "e" in flags and not flags.startswith("--"):
            shell.errexit = True
        if flags == "-o" and words:
            words.pop(0)
        if "c" in flags and not flags.startswith("--"):
            script = words.pop(0) if words else ""
            break
    if script is None:
        if words:
            script = _content(shell, shell.path(words[0]))
            if script is None:
                shell.err(f"{argv[0]}: can't open '{words[0]}': No such file or directory\n")
                return 2
        else:
            script = shell.stdin
    saved = (shell.name, shell.args, dict(shell.env), shell.errexit)
    shell.name = words[0] if words else argv[0].rpartition("/")[2]
    shell.args = words[1:]
    from stratus.sim.shellsyntax import ShellSyntaxError, parse

    try:
        return shell.node(parse(script))
    except ShellSyntaxError as error:
        shell.err(f"{error}\n")
        return 2
    except _Exit as ended:
        return ended.code
    finally:
        shell.name, shell.args, shell.env, shell.errexit = saved


@program("dd")
def _dd(shell: Shell, argv: list[str]) -> int:
    values = dict(w.partition("=")[::2] for w in argv[1:])
    size = _bytes(values.get("bs", "512"))
    limit = shell.ask("memory_limit")
    if limit and size > limit:
        shell.sleep(0.5)
        raise OutOfMemory
    return 0


@program("stress", "stress-ng")
def _stress(shell: Shell, argv: list[str]) -> int:
    options = {argv[i]: argv[i + 1] for i in range(len(argv) - 1)}
    amount = options.get("--vm-bytes")
    workers = int(options.get("--vm") or options.get("-m") or 1)
    limit = shell.ask("memory_limit")
    if amount and limit and _bytes(amount) * workers > limit:
        shell.out(f"stress: info: [1] dispatching hogs: 0 cpu, 0 io, {workers} vm, 0 hdd\n")
        shell.sleep(1.0)
        raise OutOfMemory
    seconds = options.get("--timeout") or options.get("-t")
    found = _DURATION.fullmatch(seconds or "")
    if found:
        shell.sleep(float(found.group(1)) * _UNITS[found.group(2)])
        return 0
    raise Forever


def _bytes(text: str) -> float:
    found = re.fullmatch(r"(\d+)\s*([kKmMgG]?)[iI]?[bB]?", text)
    if not found:
        return 0.0
    return float(found.group(1)) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[found.group(2).lower()]


# names and connections


@program("nslookup", "host", "dig")
def _nslookup(shell: Shell, argv: list[str]) -> int:
    names = [w for w in argv[1:] if not w.startswith(("-", "+", "@"))]
    if not names:
        return 1
    found = shell.ask("resolve", names[0])
    if argv[0].endswith("dig"):
        if found is not None:
            shell.out("".join(f"{address}\n" for address in found[1]))
        return 0
    server = shell.ask("nameserver")
    if server is None:
        shell.sleep(5.0)
        shell.err(";; connection timed out; no servers could be reached\n")
        return 1
    shell.out(f"Server:\t\t{server}\nAddress:\t{server}:53\n\n")
    if found is None:
        shell.out(f"** server can't find {names[0]}: NXDOMAIN\n\n")
        return 1
    shell.out("".join(f"Name:\t{found[0]}\nAddress: {address}\n" for address in found[1]) + "\n")
    return 0


@program("getent")
def _getent(shell: Shell, argv: list[str]) -> int:
    found = shell.ask("resolve", argv[-1])
    if found is None:
        return 2
    shell.out(f"{found[1][0]:<15} {found[0]}\n")
    return 0


@program("ping")
def _ping(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "cwWi")
    found = shell.ask("resolve", operands[0]) if operands else None
    if found is None:
        shell.err(f"ping: bad address '{operands[0] if operands else ''}'\n")
        return 1
    if not options.get("c"):
        raise Forever
    count = int(options["c"])
    shell.sleep(float(count))
    shell.out(f"PING {operands[0]} ({found[1][0]}): 56 data bytes\n\n--- {operands[0]} ping statistics ---\n")
    shell.out(f"{count} packets transmitted, {count} packets received, 0% packet loss\n")
    return 0


@program("nc", "ncat", "netcat", "telnet")
def _nc(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "pwieqsX")
    if "l" in options:
        port = options.get("p") or (operands[-1] if operands else "0")
        number = int(port) if port.isdigit() else 0
        return shell.serve(frozenset({number}), "nc")
    if len(operands) < 2 or not operands[1].isdigit():
        shell.err(f"{argv[0]}: missing host or port\n")
        return 1
    wait = float(options.get("w") or 0) or 10.0
    kind, address, _ = shell.ask("connect", operands[0], int(operands[1]))
    if kind == "reached":
        if "v" in options:
            shell.err(f"{operands[0]} ({address}:{operands[1]}) open\n")
        return 0
    if kind == "no-host":
        shell.err(f"{argv[0]}: bad address '{operands[0]}'\n")
    elif kind == "refused":
        if "v" in options or "z" not in options:
            shell.err(f"{argv[0]}: {operands[0]} ({address}:{operands[1]}): Connection refused\n")
    else:
        shell.sleep(wait)
        if "v" in options or "z" not in options:
            shell.err(f"{argv[0]}: {operands[0]} ({address}:{operands[1]}): Connection timed out\n")
    return 1


def _target(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname or "", port, path


def _limit(*texts: str | None) -> float:
    return next((float(t) for t in texts if t and t.replace(".", "", 1).isdigit()), 0.0)


@program("wget")
def _wget(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "OTtUP")
    urls = [w for w in operands if w]
    if not urls:
        shell.err("wget: missing URL\n")
        return 1
    scheme, host, port, path = _target(urls[0])
    quiet = "q" in options
    kind, address, answer = shell.ask("http", host, port, path, "GET", "", scheme)
    if kind == "no-host":
        shell.err(f"wget: bad address '{host}'\n")
        return 1
    if not quiet:
        shell.err(f"Connecting to {host} ({address}:{port})\n")
    if kind == "refused":
        shell.err(f"wget: can't connect to remote host ({address}): Connection refused\n")
        return 1
    if kind == "timeout":
        shell.sleep(_limit(options.get("T"), options.get("timeout")) or 60.0)
        shell.err("wget: download timed out\n")
        return 1
    status, body = answer if answer is not None else (0, "")
    if not status:
        shell.err("wget: error getting response\n")
        return 1
    if status >= 400:
        shell.err(f"wget: server returned error: HTTP/1.1 {status} {_reason(status)}\n")
        return 1
    if "spider" in options:
        return 0
    target = options.get("O") or options.get("output-document")
    if target in ("-", None) and target is not None:
        shell.out(body)
    elif target != "/dev/null":
        name = target or path.rpartition("/")[2].partition("?")[0] or "index.html"
        shell.world.write(shell.path(name), body, False)
    return 0


def _reason(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


@program("curl")
def _curl(shell: Shell, argv: list[str]) -> int:
    if "-V" in argv or "--version" in argv:
        shell.out("curl 8.9.1\n")
        return 0
    valued = CURL_VALUED
    words: list[str] = [argv[0]]
    longs: dict[str, str] = {}
    i = 1
    while i < len(argv):
        if argv[i] in valued:
            longs[argv[i]] = argv[i + 1] if i + 1 < len(argv) else ""
            i += 2
            continue
        words.append(argv[i])
        i += 1
    options, operands = _options(words, "mXdHowAuDekTFr")
    if not operands:
        shell.err("curl: (2) no URL specified\n")
        return 2
    scheme, host, port, path = _target(operands[0])
    silent = "s" in options and "S" not in options
    method = options.get("X") or longs.get("--request") or "GET"
    data = options.get("d") or longs.get("--data") or longs.get("--data-raw") or longs.get("--json") or ""
    if data and method == "GET":
        method = "POST"
    if "I" in options:
        method = "HEAD"
    kind, _address, answer = shell.ask("http", host, port, path, method, data, scheme)
    form = options.get("w") or longs.get("--write-out") or ""
    body, code, status = "", 0, 0
    if kind == "no-host":
        code, text = 6, f"Could not resolve host: {host}"
    elif kind == "refused":
        code, text = 7, f"Failed to connect to {host} port {port} after 1 ms: Could not connect to server"
    elif kind == "timeout":
        limit = _limit(options.get("m"), longs.get("--max-time"), longs.get("--connect-timeout"))
        shell.sleep(limit or 130.0)
        milli = int((limit or 130.0) * 1000)
        code = 28
        text = (
            f"Connection timed out after {milli} milliseconds"
            if limit
            else f"Failed to connect to {host} port {port} after {milli} ms: Could not connect to server"
        )
    else:
        status, body = answer if answer is not None else (0, "")
        text = ""
        if not status:
            code, text = 52, "Empty reply from server"
        elif status >= 400 and ("f" in options or "fail" in options):
            code, text, body = 22, f"The requested URL returned error: {status}", ""
    if code and not silent:
        shell.err(f"curl: ({code}) {text}\n")
    target = options.get("o") or longs.get("--output")
    if "i" in options or "I" in options:
        body = f"HTTP/1.1 {status} {_reason(status)}\r\nContent-Length: {len(body)}\r\n\r\n" + (
            "" if "I" in options else body
        )
    if target and target != "-":
        if target != "/dev/null":
            shell.world.write(shell.path(target), body, False)
    else:
        shell.out(body)
    if form:
        shell.out(
            _escape(form)
            .replace("%{http_code}", f"{status:03d}")
            .replace("%{response_code}", f"{status:03d}")
            .replace("%{time_total}", "0.004")
        )
    return code


# small servers


@program("httpd")
def _httpd(shell: Shell, argv: list[str]) -> int:
    options, _ = _options(argv, "phcru")
    number = options.get("p", "80").rpartition(":")[2]
    port = int(number) if number.isdigit() else 80
    root = shell.path(options.get("h") or shell.cwd)
    if not shell.world.is_dir(root):
        shell.err(f"httpd: can't change directory to '{options.get('h')}': No such file or directory\n")
        return 1
    if "f" not in options and "DFOREGROUND" not in "".join(argv):
        # It goes to the background; the script goes on.
        shell.outcome.ports |= {port}
        shell.outcome.root = root
        return 0
    return shell.serve(shell.outcome.ports | {port}, "httpd", root)


@program("python", "python3")
def _python(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    while words and words[0] in ("-u", "-B", "-O", "-W", "-X"):
        words = words[1:]
    if words[:2] == ["-m", "http.server"]:
        options, operands = _options(words[1:], "bd")
        port = int(operands[0]) if operands and operands[0].isdigit() else 8000
        shell.out(f"Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...\n")
        root = options.get("d") or options.get("directory") or shell.cwd
        return shell.serve(frozenset({port}), "python", shell.path(root))
    if words[:1] in (["--version"], ["-V"]):
        shell.out("Python 3.12.5\n")
        return 0
    if words[:1] == ["-c"]:
        return _python_code(shell, words[1] if len(words) > 1 else "")
    if words and not words[0].startswith("-"):
        if _content(shell, shell.path(words[0])) is None and shell.ask("is_base_image"):
            shell.err(f"{argv[0]}: can't open file '{shell.path(words[0])}': [Errno 2] No such file or directory\n")
            return 2
        return shell.serve(shell.ask("declared_ports"), "python")
    return 0


def _python_code(shell: Shell, code: str) -> int:
    found = re.search(r"(?:sys\.)?exit\((\d*)\)", code)
    for text in re.findall(r"print\((['\"])(.*?)\1\)", code):
        shell.out(f"{text[1]}\n")
    if "while True" in code or "serve_forever" in code:
        ports = frozenset(int(p) for p in re.findall(r"\(\s*['\"][^'\"]*['\"]\s*,\s*(\d{2,5})\s*\)", code))
        return shell.serve(ports, "python")
    for text in re.findall(r"sleep\((\d+(?:\.\d+)?)\)", code):
        shell.sleep(float(text))
    if "raise " in code:
        shell.err("Traceback (most recent call last):\n")
        return 1
    return int(found.group(1) or 0) if found else 0


def known_programs() -> frozenset[str]:
    """Return the names of all programs."""
    return frozenset(COMMANDS)
