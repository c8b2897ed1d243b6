"""redis-cli and valkey-cli."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from stratus.sim.apps.stores.redis.replies import Reply, as_json, csv, raw, shown
from stratus.sim.shell import Forever, Shell
from stratus.sim.shellcommands.base import program
from stratus.sim.shellcommands.talking import unreachable

_VALUED = {
    "-h": "host", "-p": "port", "-a": "password", "--pass": "password", "-n": "database", "-u": "url", "-r": "repeat",
    "-i": "interval", "--user": "user", "--pattern": "pattern", "--count": "count", "-d": "", "-D": "", "-s": "",
    "--cacert": "", "--cert": "", "--key": "", "--sni": "", "-X": "", "--rdb": "", "--quoted-pattern": "",
    "--eval": "", "--tls-ciphers": "",
}  # fmt: skip
_PLAIN = frozenset(
    {"--raw", "--no-raw", "--csv", "--json", "-x", "-e", "-c", "--tls", "--insecure", "--no-auth-warning", "--scan"}
    | {"--bigkeys", "--memkeys", "--stat", "--latency", "--latency-history", "--askpass", "-2", "-3", "--verbose"}
)
_WARNING = "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.\n"


class _Wish:
    """What the command line asks for."""

    def __init__(self, shell: Shell, argv: list[str]) -> None:
        self.host, self.port, self.database = "127.0.0.1", 6379, 0
        self.user, self.password = "", ""
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}
        self.words: list[str] = []
        self.problem = ""
        self.warned = False
        at = 1
        while at < len(argv):
            word = argv[at]
            if word in _PLAIN:
                self.flags.add(word)
            elif word in _VALUED and at + 1 < len(argv):
                self.values[_VALUED[word]] = argv[at + 1]
                at += 1
            elif (
                word.startswith("-")
                and word[1:2].isalpha()
                and len(word) > 2
                and word[:2] in _VALUED
                and word[1] != "-"
            ):
                self.values[_VALUED[word[:2]]] = word[2:]
            elif word.startswith("-") and len(word) > 1:
                self.problem = f"Unrecognized option or bad number of args for: '{word}'\n"
                return
            else:
                self.words = argv[at:]
                break
            at += 1
        self._take(shell)

    def _take(self, shell: Shell) -> None:
        values = self.values
        if "url" in values:
            parts = urlsplit(values["url"])
            self.host, self.port = parts.hostname or self.host, parts.port or self.port
            self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
            self.database = int(parts.path[1:]) if parts.path[1:].isdigit() else 0
        self.host = values.get("host", self.host)
        self.port = int(values["port"]) if values.get("port", "").isdigit() else self.port
        self.database = int(values["database"]) if values.get("database", "").isdigit() else self.database
        self.user = values.get("user", self.user)
        given = values.get("password", "")
        self.warned = bool(given) and "--no-auth-warning" not in self.flags
        self.password = given or self.password or shell.env.get("REDISCLI_AUTH", "")

    def request(self, commands: list[list[str]]) -> dict[str, Any]:
        """Return what is sent for some commands."""
        login = [self.user, self.password] if self.password or self.user else None
        return {"login": login, "database": self.database, "commands": commands}


@program("redis-cli", "valkey-cli")
def _cli(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    if argv[1:2] in (["--version"], ["-v"]):
        shell.out("redis-cli 7.4.5\n" if base == "redis-cli" else "valkey-cli 8.1.3\n")
        return 0
    wish = _Wish(shell, argv)
    if wish.problem:
        shell.err(wish.problem)
        return 1
    if wish.warned:
        shell.err(_WARNING)
    if wish.flags & {"--scan", "--bigkeys", "--stat", "--latency", "--memkeys"}:
        return _mode(shell, wish)
    if wish.words:
        words = [*wish.words, shell.stdin] if "-x" in wish.flags else wish.words
        times = int(wish.values["repeat"]) if wish.values.get("repeat", "").isdigit() else 1
        commands = [words] * min(times, 1000)
    else:
        commands = []
        for line in shell.stdin.splitlines():
            words_ = split(line.strip())
            if words_ is None:
                commands.append(["\0"])
            elif words_ and words_[0].lower() in ("quit", "exit"):
                break
            elif words_:
                commands.append(words_)
    return _send(shell, wish, commands)


def _send(shell: Shell, wish: _Wish, commands: list[list[str]]) -> int:
    sent = [c for c in commands if c != ["\0"]]
    answer = _ask(shell, wish, sent)
    if answer is None:
        return 1
    code = 0
    replies = iter(answer["replies"])
    for words in commands:
        if words == ["\0"]:
            shell.out("Invalid argument(s)\n")
            continue
        reply = next(replies, None)
        if reply is None:
            break
        if reply[0] == "error" and words[0].lower() == "cluster" and "-e" not in wish.flags:
            # What this command says is never dressed up.
            reply = ["text", reply[1]]
        code = _show(shell, wish, reply) or code
        if words[0].lower() in ("monitor", "subscribe", "psubscribe") and reply[0] != "error":
            raise Forever
    shell.sleep(answer["seconds"])
    return code


def _ask(shell: Shell, wish: _Wish, commands: list[list[str]]) -> dict[str, Any] | None:
    kind, _, answer = shell.ask("talk", wish.host, wish.port, "redis", wish.request(commands))
    if kind != "reached":
        shell.err(f"Could not connect to Redis at {wish.host}:{wish.port}: {unreachable(kind)}\n")
        return None
    if answer is None:
        shell.err('Error: Protocol error, got "H" as reply type byte\n')
        return None
    if answer["login"]:
        shell.err(f"AUTH failed: {answer['login']}\n")
    if answer["select"]:
        shell.err(f"SELECT {wish.database} failed: {answer['select']}\n")
    found: dict[str, Any] = answer
    return found


def _show(shell: Shell, wish: _Wish, reply: Reply) -> int:
    if reply[0] == "error" and "-e" in wish.flags:
        shell.err(f"{reply[1]}\n")
        return 1
    if "--csv" in wish.flags:
        shell.out(csv(reply) + "\n")
    elif "--json" in wish.flags:
        shell.out(as_json(reply) + "\n")
    elif reply == ["text", ""]:
        return 0
    elif "--no-raw" in wish.flags or (shell.tty and "--raw" not in wish.flags):
        shell.out(shown(reply))
    else:
        text = raw(reply)
        shell.out(text if reply[0] == "text" and text.endswith("\n") else text + "\n")
    return 0


def _mode(shell: Shell, wish: _Wish) -> int:
    pattern = wish.values.get("pattern", "*")
    answer = _ask(shell, wish, [["KEYS", pattern], ["DBSIZE"], ["INFO", "memory"]])
    if answer is None:
        return 1
    keys, size, info = answer["replies"]
    if keys[0] == "error":
        shell.out(f"{keys[1]}\n")
        return 1
    names = [k[1] for k in keys[1]]
    if "--scan" in wish.flags:
        shell.out("".join(f"{n}\n" for n in names))
        return 0
    if "--stat" in wish.flags:
        used = next((r.partition(":")[2] for r in info[1].split("\r\n") if r.startswith("used_memory_human:")), "")
        shell.out("------- data ------ --------------------- load -------------------- - child -\n")
        shell.out("keys       mem      clients blocked requests            connections          \n")
        shell.out(f"{size[1]:<11}{used:<9}1       0       1 (+0)              1           \n")
        raise Forever
    if "--latency" in wish.flags:
        shell.out("min: 0, max: 1, avg: 0.21 (96 samples)\n")
        raise Forever
    weights = _ask(shell, wish, [["MEMORY", "USAGE", n] for n in names]) or {"replies": []}
    heaviest = max(zip(weights["replies"], names, strict=False), key=lambda w: w[0][1], default=None)
    shell.out("\n# Scanning the entire keyspace to find biggest keys as well as\n# average sizes per key type.\n\n")
    if heaviest is not None:
        shell.out(f"Biggest key found '\"{heaviest[1]}\"' with {heaviest[0][1]} bytes\n\n")
    shell.out(f"-------- summary -------\n\nSampled {len(names)} keys in the keyspace!\n")
    return 0


def split(line: str) -> list[str] | None:
    """Split a line into words as the client does; None when a quote is not closed."""
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        word = ""
        while at < len(line) and not line[at].isspace():
            quote = line[at]
            if quote not in "\"'":
                word += quote
                at += 1
                continue
            at += 1
            while True:
                if at >= len(line):
                    return None
                c = line[at]
                if c == quote:
                    at += 1
                    break
                if c == "\\" and at + 1 < len(line):
                    at += 1
                    c = line[at]
                    if quote == '"':
                        c = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}.get(c, c)
                    elif c != "'":
                        c = "\\" + c
                word += c
                at += 1
            if at < len(line) and not line[at].isspace():
                return None
        words.append(word)
    return words
