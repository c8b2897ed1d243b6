"""psql, pg_isready and the small programs that come with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import program
from stratus.sim.shellcommands.psqlformat import Style, error_text, table
from stratus.sim.shellcommands.psqlscript import Piece, pieces
from stratus.sim.shellcommands.talking import unreachable

_SOCKET = "/var/run/postgresql/.s.PGSQL."
_VALUED = {
    "-U": "user", "--username": "user", "-d": "database", "--dbname": "database", "-h": "host", "--host": "host",
    "-p": "port", "--port": "port", "-F": "separator", "--field-separator": "separator", "-R": "ending",
    "-v": "variable",
    "--set": "variable", "--variable": "variable", "-o": "output", "--output": "output", "-P": "pset", "--pset": "pset",
    "-L": "log", "--record-separator": "ending",
}  # fmt: skip
_FLAGS = {
    "-t": "tuples", "--tuples-only": "tuples", "-A": "unaligned", "--no-align": "unaligned", "-x": "expanded",
    "--expanded": "expanded", "-q": "quiet", "--quiet": "quiet", "-l": "list", "--list": "list", "-X": "",
    "--no-psqlrc": "",
    "-w": "no-password", "--no-password": "no-password", "-W": "", "--password": "", "-1": "single",
    "--single-transaction": "single", "-a": "echo", "--echo-all": "echo", "-e": "echo", "--csv": "csv", "-b": "",
    "-n": "",
    "-E": "", "--echo-hidden": "", "-s": "", "-S": "", "-H": "", "-z": "", "-0": "",
}  # fmt: skip


@dataclass
class _Wish:
    """What the command line asks for."""

    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    actions: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def _read(argv: list[str]) -> _Wish:
    wish = _Wish()
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            wish.rest += words
            break
        if word.startswith("--") and equals and (name in _VALUED or name in ("--command", "--file")):
            words.insert(0, value)
            word = name
        if word in ("-c", "--command", "-f", "--file") and words:
            wish.actions.append(("c" if word in ("-c", "--command") else "f", words.pop(0)))
        elif word in _VALUED and words:
            _keep(wish, _VALUED[word], words.pop(0))
        elif word in _FLAGS:
            wish.flags.add(_FLAGS[word])
        elif word.startswith("-") and len(word) > 2 and word[1] != "-":
            short, more = word[:2], word[2:]
            if short in _VALUED:
                _keep(wish, _VALUED[short], more)
            elif short in ("-c", "-f"):
                wish.actions.append((short[1], more))
            elif short in _FLAGS:
                wish.flags.add(_FLAGS[short])
                words.insert(0, "-" + more)
            else:
                wish.problem = word
                return wish
        elif word.startswith("-") and len(word) > 1:
            wish.problem = word
            return wish
        else:
            wish.rest.append(word)
    return wish


def _keep(wish: _Wish, name: str, value: str) -> None:
    if name == "variable":
        key, _, text = value.partition("=")
        wish.variables[key] = text
    elif name == "pset":
        key, _, text = value.partition("=")
        if key in ("expanded", "x"):
            wish.flags.add("expanded")
        elif key == "tuples_only":
            wish.flags.add("tuples")
        elif key == "format" and text in ("unaligned", "csv"):
            wish.flags.add(text)
        else:
            wish.values[key] = text
    else:
        wish.values[name] = value


@dataclass
class _Target:
    """Where to connect, and as whom."""

    host: str
    port: int
    user: str
    database: str
    password: str | None

    def request(self) -> dict[str, Any]:
        """Return it as the server wants it."""
        return {"user": self.user, "database": self.database, "password": self.password, "local": not self.host}


def _conninfo(text: str) -> dict[str, str]:
    if "://" in text:
        parts = urlsplit(text)
        found = {
            "host": parts.hostname or "", "port": str(parts.port or ""), "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""), "database": parts.path.lstrip("/"),
        }  # fmt: skip
        return {k: v for k, v in found.items() if v}
    found = dict(re.findall(r"(\w+)\s*=\s*'?([^'\s]*)'?", text))
    if "dbname" in found:
        found["database"] = found.pop("dbname")
    return found


def _target(shell: Shell, wish: _Wish) -> _Target:
    env, values = shell.env, dict(wish.values)
    rest = list(wish.rest)
    if "database" not in values and rest:
        values["database"] = rest.pop(0)
    if "user" not in values and rest:
        values["user"] = rest.pop(0)
    if "=" in values.get("database", "") or "://" in values.get("database", ""):
        values = {**values, **_conninfo(values.pop("database"))}
    user = values.get("user") or env.get("PGUSER") or "root"
    host = values.get("host") or env.get("PGHOST") or ""
    port = values.get("port") or env.get("PGPORT") or "5432"
    return _Target(
        "" if host.startswith("/") else host,
        int(port) if port.isdigit() else 5432,
        user,
        values.get("database") or env.get("PGDATABASE") or user,
        values.get("password") or env.get("PGPASSWORD"),
    )


def _where(target: _Target, address: str) -> str:
    if not target.host:
        return f'connection to server on socket "{_SOCKET}{target.port}" failed: '
    shown = f" ({address})" if address and address != target.host else ""
    return f'connection to server at "{target.host}"{shown}, port {target.port} failed: '


def _refused(shell: Shell, target: _Target, kind: str, address: str, name: str) -> int:
    """Say that the server cannot be reached."""
    if kind == "no-host":
        shell.err(f'{name}: error: could not translate host name "{target.host}" to address: {unreachable(kind)}\n')
    elif not target.host:
        asking = "\n\tIs the server running locally and accepting connections on that socket?"
        shell.err(f"{name}: error: {_where(target, address)}No such file or directory{asking}\n")
    else:
        asking = "\n\tIs the server running on that host and accepting TCP/IP connections?"
        shell.err(f"{name}: error: {_where(target, address)}{unreachable(kind)}{asking}\n")
    return 2


def ask(shell: Shell, target: _Target, request: dict[str, Any], name: str) -> dict[str, Any] | int:
    """Send a session to the server; return its answers, or an exit code after saying why there are none."""
    kind, address, answer = shell.ask("talk", target.host or "127.0.0.1", target.port, "postgresql", request)
    if kind == "timeout":
        shell.sleep(130.0)
    if kind != "reached":
        return _refused(shell, target, kind, address, name)
    if answer is None:
        shell.err(f"{name}: error: {_where(target, address)}received invalid response to SSL negotiation: H\n")
        return 2
    if answer["refused"]:
        severity = "" if answer["refused"].startswith("fe_") else "FATAL:  "
        shell.err(f"{name}: error: {_where(target, address)}{severity}{answer['refused']}\n")
        return 2
    found: dict[str, Any] = answer
    return found


@program("psql")
def _psql(shell: Shell, argv: list[str]) -> int:
    if argv[1:2] in (["--version"], ["-V"]):
        shell.out("psql (PostgreSQL) 17.6 (Debian 17.6-1.pgdg12+1)\n")
        return 0
    wish = _read(argv)
    if wish.problem:
        odd = wish.problem
        what = f"unrecognized option '{odd}'" if odd.startswith("--") else f"invalid option -- '{odd[1]}'"
        shell.err(f'{argv[0]}: {what}\npsql: hint: Try "psql --help" for more information.\n')
        return 1
    target = _target(shell, wish)
    if "list" in wish.flags:
        wish.actions = [("c", "\\l")]
        if "database" not in wish.values and not wish.rest:
            target.database = "postgres"
    script = _script(shell, wish)
    if isinstance(script, int):
        return script
    steps, shown = _steps(script, wish)
    request = {
        **target.request(), "steps": steps, "single": "single" in wish.flags and len(script) > 0,
        "stop": wish.variables.get("ON_ERROR_STOP", "") in ("1", "on", "true"),
        "open": shell.stdin_open if not wish.actions else 0.0,
        "application": shell.env.get("PGAPPNAME", "psql"),
    }  # fmt: skip
    answer = ask(shell, target, request, "psql")
    if isinstance(answer, int):
        return answer
    code = _Printer(shell, wish, target, answer).run(shown)
    shell.sleep(float(answer["seconds"]))
    return code


def _script(shell: Shell, wish: _Wish) -> list[Piece] | int:
    """Return what is to be done, in order."""
    if not wish.actions:
        return pieces(shell.stdin, wish.variables)
    found: list[Piece] = []
    for kind, text in wish.actions:
        if kind == "c":
            found += [Piece("meta", text.strip(), 0)] if text.lstrip().startswith("\\") else [Piece("whole", text, 0)]
            continue
        body = shell.stdin if text == "-" else shell.world.read(shell.path(text))
        if body is None:
            shell.err(f"psql: error: {text}: No such file or directory\n")
            return 1
        found += [Piece(p.kind, p.text, p.line, text) for p in pieces(body, wish.variables)]
    return found


_REMOTE = re.compile(r"\\(d\w*\+?|l\+?|list\+?|z|conninfo)\b")


def _steps(script: list[Piece], wish: _Wish) -> tuple[list[dict[str, Any]], list[Piece]]:
    """Return what is sent to the server, and all pieces with what is done here."""
    steps: list[dict[str, Any]] = []
    for piece in script:
        if piece.kind in ("sql", "whole"):
            steps.append({"sql": piece.text})
        elif piece.kind == "meta":
            words = piece.text.split()
            name = words[0][1:].rstrip(";")
            if name in ("c", "connect"):
                piece.kind = "connect"
                given = [w for w in words[1:] if w != "-"]
                steps.append(
                    {
                        "connect": {
                            "database": given[0].rstrip(";") if given else "",
                            "user": given[1] if len(given) > 1 else "",
                        }
                    }
                )
            elif _REMOTE.match(words[0]):
                piece.kind = "remote"
                steps.append({"meta": name, "args": [w.rstrip(";") for w in words[1:]]})
    return steps, script


class _Printer:
    """Prints answers as they come, with the style that the script sets on its way."""

    def __init__(self, shell: Shell, wish: _Wish, target: _Target, answer: dict[str, Any]) -> None:
        self.shell = shell
        self.target = target
        self.results = iter(answer["results"])
        flags = wish.flags
        self.style = Style(
            aligned="unaligned" not in flags, tuples="tuples" in flags, expanded="expanded" in flags,
            quiet="quiet" in flags,
            separator=wish.values.get("separator", "|"), null=wish.values.get("null", ""), csv="csv" in flags,
            ending=wish.values.get("ending", "\n"),
        )  # fmt: skip
        self.stops = wish.variables.get("ON_ERROR_STOP", "") in ("1", "on", "true")
        self.echo = "echo" in flags
        self.timing = self.lost = False
        self.whole = bool(wish.actions)

    def run(self, script: list[Piece]) -> int:
        """Print everything; return the exit code."""
        code = 0
        for piece in script:
            if piece.kind in ("sql", "whole", "remote", "connect"):
                answers = next(self.results, None)
                if answers is None:
                    break
                failed = self._answers(piece, answers)
                if self.lost:
                    return 2
                if failed and self.stops:
                    return 3 if piece.kind != "whole" else 1
                if piece.kind == "whole":
                    code = int(failed)
                if failed and any(a.get("severity") == "FATAL" for a in answers) and piece.kind != "connect":
                    self.shell.err("server closed the connection unexpectedly\n")
                    return 2
            elif piece.kind == "meta" and not self._local(piece.text):
                break
        return code

    def _answers(self, piece: Piece, answers: list[dict[str, Any]]) -> bool:
        failed = False
        if self.echo and piece.kind == "sql":
            self.shell.out(f"{piece.text}\n")
        prefix = f"psql:{piece.file}:{piece.line}: " if piece.file and piece.file != "-" else ""
        for answer in answers:
            for notice in answer.get("notices", ()):
                self.shell.err(error_text({**notice, "position": None}, "", prefix))
            kind = answer["kind"]
            if kind == "error" and answer.get("connecting"):
                self.shell.err(f"\\connect: {_where(self.target, '')}FATAL:  {answer['message']}\n")
                self.lost = failed = True
            elif kind == "error":
                self.shell.err(error_text(answer, piece.text, prefix))
                failed = True
            elif kind == "rows":
                self.shell.out(table(answer, _once(self.style, piece)))
                if (
                    answer["tag"]
                    and not answer["tag"].startswith(("SELECT", "SHOW", "EXPLAIN"))
                    and not self.style.quiet
                ):
                    self.shell.out(f"{answer['tag']}\n")
            elif kind == "tag" and not self.style.quiet:
                self.shell.out(f"{answer['tag']}\n")
            elif kind == "said":
                self.shell.err(f"{answer['text']}\n")
            elif kind == "told":
                self.shell.out(f"{answer['text']}\n")
            elif kind == "connected":
                self.target.database, self.target.user = answer["database"], answer["user"]
                if not self.style.quiet:
                    self.shell.out(
                        f'You are now connected to database "{answer["database"]}" as user "{answer["user"]}".\n'
                    )
        if self.timing and piece.kind == "sql":
            self.shell.out("Time: 0.412 ms\n")
        return failed

    def _local(self, text: str) -> bool:
        """Do what psql does by itself; return whether it goes on."""
        words = text.split()
        name, args = words[0][1:], words[1:]
        style = self.style
        quiet = style.quiet
        if name in ("q", "quit"):
            return False
        if name == "x":
            style.expanded = not style.expanded if not args else args[0] in ("on", "1", "true")
            self._tell(f"Expanded display is {'on' if style.expanded else 'off'}.", quiet)
        elif name == "t":
            style.tuples = not style.tuples if not args else args[0] in ("on", "1", "true")
            self._tell(f"Tuples only is {'on' if style.tuples else 'off'}.", quiet)
        elif name == "a":
            style.aligned = not style.aligned
            self._tell(f"Output format is {'aligned' if style.aligned else 'unaligned'}.", quiet)
        elif name == "timing":
            self.timing = not self.timing if not args else args[0] == "on"
            self._tell(f"Timing is {'on' if self.timing else 'off'}.", quiet)
        elif name == "echo":
            self.shell.out(" ".join(a.strip("'") for a in args) + "\n")
        elif name == "pset" and args:
            self._pset(args, quiet)
        elif name == "set":
            if args[:1] == ["ON_ERROR_STOP"]:
                self.stops = args[1:] != ["off"]
        elif name in ("!",):
            self.shell.command(["sh", "-c", " ".join(args)])
        elif name in ("?", "h", "help"):
            self.shell.out(
                "General\n  \\q                     quit psql\nInformational\n  \\d  \\dt  \\du  \\l  \\dn\n"
            )
        elif name not in (
            "encoding",
            "unset",
            "o",
            "g",
            "errverbose",
            "watch",
            "gset",
            "password",
            "prompt",
            "if",
            "endif",
        ):
            self.shell.err(f"invalid command \\{name}\n")
        return True

    def _pset(self, args: list[str], quiet: bool) -> None:
        name, value = args[0], args[1].strip("'") if len(args) > 1 else ""
        if name == "null":
            self.style.null = value
            self._tell(f'Null display is "{value}".', quiet)
        elif name == "format":
            self.style.aligned, self.style.csv = value != "unaligned", value == "csv"
            self._tell(f"Output format is {value}.", quiet)
        elif name == "pager":
            self._tell("Pager usage is off.", quiet)
        elif name == "tuples_only":
            self.style.tuples = value != "off"
        elif name == "footer":
            self.style.footer = value != "off"
        elif name == "fieldsep":
            self.style.separator = value

    def _tell(self, text: str, quiet: bool) -> None:
        if not quiet:
            self.shell.out(f"{text}\n")


def _once(style: Style, piece: Piece) -> Style:
    if not piece.expanded:
        return style
    return Style(**{**style.__dict__, "expanded": True})


@program("pg_isready")
def _isready(shell: Shell, argv: list[str]) -> int:
    wish = _read([w for w in argv if w not in ("-q", "--quiet")])
    target = _target(shell, wish)
    quiet = "-q" in argv or "--quiet" in argv
    where = f"{target.host or '/var/run/postgresql'}:{target.port}"
    kind, _, answer = shell.ask(
        "talk", target.host or "127.0.0.1", target.port, "postgresql", {**target.request(), "steps": []}
    )
    if kind == "timeout":
        shell.sleep(3.0)
    up = kind == "reached" and answer is not None
    text = "accepting connections" if up else "no response"
    if not quiet:
        shell.out(f"{where} - {text}\n")
    return 0 if up else 2


@program("createdb", "dropdb", "createuser", "dropuser")
def _small(shell: Shell, argv: list[str]) -> int:
    name = argv[0].rpartition("/")[2]
    wish = _read([w for w in argv if w not in ("--if-exists", "-s", "--superuser", "-e", "-i", "-P")])
    what = wish.rest[0] if wish.rest else ""
    wish.rest = []
    if not what and name != "createdb":
        shell.err(f"{name}: error: missing required argument {'database' if name == 'dropdb' else 'role'} name\n")
        return 1
    wish.values.setdefault("database", "postgres")
    target = _target(shell, wish)
    quoted = '"' + (what or target.user).replace('"', '""') + '"'
    quiet = "IF EXISTS " if "--if-exists" in argv else ""
    sql = {
        "createdb": f"CREATE DATABASE {quoted}", "dropdb": f"DROP DATABASE {quiet}{quoted}",
        "createuser": f"CREATE ROLE {quoted} LOGIN{' SUPERUSER' if '-s' in argv or '--superuser' in argv else ''}",
        "dropuser": f"DROP ROLE {quiet}{quoted}",
    }[name]  # fmt: skip
    answer = ask(shell, target, {**target.request(), "steps": [{"sql": sql}]}, name)
    if isinstance(answer, int):
        return 1
    for each in answer["results"][0]:
        if each["kind"] == "error":
            verb = "creation" if name.startswith("create") else "removal"
            kind = "database" if name.endswith("db") else "role"
            of = f' "{what}"' if name in ("dropdb", "dropuser") else ""
            shell.err(f"{name}: error: {kind} {verb}{' of' if of else ''}{of} failed: ERROR:  {each['message']}\n")
            return 1
    return 0
