"""Which commands read their standard input, and when they have read enough of it."""

from __future__ import annotations

import re
import shlex

SHELLS = frozenset({"sh", "ash", "bash", "dash", "zsh"})
#: Read files named as operands, and their input when there are none (or `-`); with how many operands that are none.
_FILTERS = {
    "cat": 0, "head": 0, "tail": 0, "wc": 0, "sort": 0, "uniq": 0, "md5sum": 0, "sha1sum": 0, "sha256sum": 0, "nl": 0,
    "base64": 0, "gzip": 0, "gunzip": 0, "zcat": 0, "od": 0, "hexdump": 0, "xxd": 0, "less": 0, "more": 0, "rev": 0,
    "cut": 0, "grep": 1, "egrep": 1, "sed": 1, "awk": 1, "jq": 1,
}  # fmt: skip
#: Options of filters that take the next word.
_VALUED = frozenset({"-n", "-c", "-d", "-f", "-F", "-k", "-t", "-w", "-A", "-B", "-C"})
_ALWAYS = frozenset({"tee", "tr", "xargs", "read"})
#: Clients that read commands from their input when no command is given; the options that give one.
CLIENTS = {
    "psql": ("-c", "--command", "-f", "--file", "-l", "--list", "--version", "-V"),
    "mysql": ("-e", "--execute", "--version"),
    "mongosh": ("--eval", "--version", "-f", "--file"),
    "mongo": ("--eval", "--version"),
    "redis-cli": (), "valkey-cli": (), "kafka-console-producer.sh": (), "python": ("-c", "-m", "--version"),
    "python3": ("-c", "-m", "--version"), "node": ("-e", "--version"),
}  # fmt: skip
_REDIS_VALUED = frozenset({"-h", "-p", "-a", "-n", "-u", "--user", "--pass", "-s", "-r", "-i"})


def _base(argv: list[str]) -> str:
    return argv[0].rpartition("/")[2] if argv else ""


def _operands(words: list[str]) -> list[str]:
    out, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in _VALUED:
            skip = True
        elif not word.startswith("-") or word == "-":
            out.append(word)
    return out


def interpreter(argv: list[str]) -> bool:
    """Tell whether a command is a shell that takes its commands from its input."""
    if _base(argv) not in SHELLS:
        return False
    for word in argv[1:]:
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            return False
        if not word.startswith(("-", "+")):
            return False
    return True


def client(argv: list[str]) -> bool:
    """Tell whether a command is a client that takes its commands, line by line, from its input."""
    base = _base(argv)
    if base not in CLIENTS:
        return False
    if base in ("redis-cli", "valkey-cli"):
        words = iter(argv[1:])
        for word in words:
            if word in _REDIS_VALUED:
                next(words, None)
            elif not word.startswith("-"):
                return False
        return True
    if base in ("python", "python3", "node") and any(not w.startswith("-") for w in argv[1:]):
        return False
    given = CLIENTS[base]
    taken = ((word, option) for word in argv[1:] for option in given)
    return not any(w == g or w.startswith(f"{g}=") or (len(g) == 2 and w.startswith(g)) for w, g in taken)


def reads(argv: list[str]) -> bool:
    """Tell whether a command waits for its standard input to end."""
    base, words = _base(argv), argv[1:]
    if base in SHELLS:
        if interpreter(argv):
            return True
        at = next((i for i, w in enumerate(words) if w.startswith("-") and "c" in w and not w.startswith("--")), None)
        return at is not None and at + 1 < len(words) and any(reads(c) for c in _commands(words[at + 1]))
    if base == "timeout":
        rest = words
        while rest and rest[0].startswith("-"):
            rest = rest[1:]
        return reads(rest[1:])
    if base in ("env", "nohup", "nice", "time", "exec"):
        rest = [w for w in words if "=" not in w and not w.startswith("-")]
        return bool(rest) and reads(rest)
    if base in _ALWAYS or client(argv):
        return True
    if base in _FILTERS:
        operands = _operands(words)
        return len(operands) <= _FILTERS[base] or "-" in operands
    if base == "tar":
        return _extracts(words) and ("-" in words or not any("f" in w for w in words[:2]))
    if base == "dd":
        return not any(w.startswith("if=") for w in words)
    return False


def _extracts(words: list[str]) -> bool:
    first = words[0] if words else ""
    return any(w in ("--extract", "--get", "--list") for w in words) or bool(
        re.fullmatch(r"-?[A-Za-z]*[xt][A-Za-z]*", first)
    )


def _commands(script: str) -> list[list[str]]:
    """Return the commands of a script that are not behind a pipe and have no input redirected; roughly."""
    out = []
    for piece in re.split(r"&&|\|\||[;\n&]", script):
        first = piece.partition("|")[0].strip()
        if "<" in first:
            continue
        first = re.sub(r"\d?>{1,2}\s*&?\S+", "", first)
        try:
            words = shlex.split(first)
        except ValueError:
            words = first.split()
        while words and words[0] in ("if", "then", "else", "do", "while", "until", "!", "{", "(", "exec"):
            words = words[1:]
        if words:
            out.append(words)
    return out


def enough(argv: list[str], data: bytes) -> bool:
    """Tell whether a command that reads needs no more: an archive that has ended, as many lines as it asks for."""
    base = _base(argv)
    if base == "tar":
        return len(data) >= 1024 and len(data) % 512 == 0 and not data[-1024:].strip(b"\0")
    if base in SHELLS and not interpreter(argv):
        commands = [c for w in argv[1:] for c in _commands(w)]
        asked = sum(c[0] == "read" for c in commands)
        others = any(reads(c) for c in commands if c[0] != "read")
        return 0 < asked <= data.count(b"\n") and not others
    return False
