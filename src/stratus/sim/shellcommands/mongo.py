"""mongo and mongosh."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import program
from stratus.sim.shellcommands.talking import unreachable

_VALUED = frozenset(
    {"eval", "host", "port", "username", "password", "authenticationDatabase", "authenticationMechanism", "tlsCAFile"}
    | {"tlsCertificateKeyFile", "sslCAFile", "sslPEMKeyFile", "file", "u", "p", "f"}
)
_FAILED = "@(connect):2:6\nexception: connect failed\nexiting with code 1\n"


class _Wish:
    """What the command line asks for."""

    def __init__(self, argv: list[str]) -> None:
        self.values: dict[str, str] = {}
        self.evals: list[str] = []
        self.flags: set[str] = set()
        self.rest: list[str] = []
        words = list(argv[1:])
        while words:
            word = words.pop(0)
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                if name in _VALUED:
                    self._keep(name, value if equals else (words.pop(0) if words else ""))
                else:
                    self.flags.add(name)
            elif word.startswith("-") and len(word) > 1:
                if word[1] in _VALUED:
                    self._keep(word[1], word[2:] or (words.pop(0) if words else ""))
                else:
                    self.flags.add(word[1:])
            else:
                self.rest.append(word)

    def _keep(self, name: str, value: str) -> None:
        if name == "eval":
            self.evals.append(value)
        else:
            self.values[{"u": "username", "p": "password", "f": "file"}.get(name, name)] = value

    def target(self) -> tuple[str, int, str]:
        """Return (host, port, database); a connection string counts, and so does what it says of the login."""
        host, port, database = self.values.get("host", "127.0.0.1"), self.values.get("port", ""), "test"
        where = next((r for r in self.rest if not r.endswith(".js")), "")
        if "://" in where:
            parts = urlsplit(where)
            host, port = parts.hostname or host, str(parts.port or "")
            database = parts.path.lstrip("/") or "test"
            if parts.username:
                self.values.setdefault("username", unquote(parts.username))
                self.values.setdefault("password", unquote(parts.password or ""))
            if parse_qs(parts.query).get("tls", parse_qs(parts.query).get("ssl", [""]))[0] == "true":
                self.flags.add("tls")
        elif where:
            address, slash, name = where.rpartition("/")
            database = name
            host = address if slash else host
            if not slash and ":" in where:
                host, database = where, "test"
        if ":" in host:
            host, _, port = host.rpartition(":")
        return host, int(port) if port.isdigit() else 27017, database or "test"


@program("mongo", "mongosh")
def _mongo(shell: Shell, argv: list[str]) -> int:
    modern = argv[0].rpartition("/")[2] == "mongosh"
    wish = _Wish(argv)
    if "version" in wish.flags:
        shell.out("2.3.1\n" if modern else "MongoDB shell version v4.4.6\n")
        return 0
    script = _script(shell, wish)
    if script is None:
        return 1
    host, port, database = wish.target()
    request = {
        "user": wish.values.get("username", ""), "password": wish.values.get("password", ""), "database": database,
        "script": script, "modern": modern, "tls": bool(wish.flags & {"tls", "ssl"}),
        "eval": bool(wish.evals),
    }  # fmt: skip
    if wish.values.get("authenticationDatabase") and not wish.rest and database == "test" and "nodb" not in wish.flags:
        request["database"] = "test"
    kind, address, answer = shell.ask("talk", host, port, "mongodb", request)
    if kind != "reached" or answer is None:
        return _lost(shell, modern, host, port, address, kind if answer is None and kind != "reached" else "")
    return _told(shell, wish, modern, answer, host, port)


def _script(shell: Shell, wish: _Wish) -> str | None:
    if wish.evals:
        return "\n;\n".join(wish.evals)
    files = [r for r in wish.rest if r.endswith(".js")] + ([wish.values["file"]] if "file" in wish.values else [])
    if not files:
        return shell.stdin
    texts = []
    for name in files:
        text = shell.world.read(shell.path(name))
        if text is None:
            shell.err(f"couldn't load JavaScript file '{name}': file does not exist\nfailed to load: {name}\n")
            return None
        texts.append(text)
    return "\n".join(texts)


def _told(shell: Shell, wish: _Wish, modern: bool, answer: dict[str, Any], host: str, port: int) -> int:
    if answer["refused"]:
        if modern:
            shell.err(f"MongoServerError: {answer['refused']}\n")
        else:
            shell.err(f"Error: {answer['refused']} :\nconnect@src/mongo/shell/mongo.js:374:17\n{_FAILED}")
        return 1
    quiet = "quiet" in wish.flags
    if not quiet and not modern:
        shell.out(
            f"MongoDB shell version v4.4.6\nconnecting to: mongodb://{host}:{port}/?compressors=disabled"
            "&gssapiServiceName=mongodb\n"
        )
        shell.out(f"MongoDB server version: {answer['version']}\n")
    shell.out(answer["out"])
    shell.sleep(float(answer["seconds"]))
    if answer["error"]:
        shell.err(("" if modern else "uncaught exception: ") + answer["error"] + "\n")
        return 1
    return 0


def _lost(shell: Shell, modern: bool, host: str, port: int, address: str, kind: str) -> int:
    why = unreachable(kind) if kind else "the server closed the connection"
    if kind == "timeout":
        shell.sleep(30.0)
    if modern:
        code = {"no-host": f"getaddrinfo ENOTFOUND {host}", "timeout": "Server selection timed out after 30000 ms"}
        shell.err(f"MongoNetworkError: {code.get(kind, f'connect ECONNREFUSED {address or host}:{port}')}\n")
        return 1
    shell.err(
        f"Error: couldn't connect to server {host}:{port}, connection attempt failed: SocketException: Error "
        f"connecting to {host}:{port} ({address or host}:{port}) :: caused by :: {why} :\n"
        "connect@src/mongo/shell/mongo.js:374:17\n"
        f"{_FAILED}"
    )
    return 1
