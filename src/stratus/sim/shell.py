"""A small POSIX shell on virtual time: what a container's script writes, when it ends, and what it waits for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from stratus.sim.filesystem import Node
from stratus.sim.shellsyntax import (
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Sequence,
    ShellSyntaxError,
    Simple,
    Tree,
    closing,
    parse,
)

#: A script that has taken this many steps without an end counts as one that runs forever.
STEPS = 20_000
#: Seconds of a loop without any pause in it: it spins, and is taken to run forever.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class World(Protocol):
    """What a script can see and touch around it. `ask` answers what may change with time."""

    def ask(self, question: str, *details: Any) -> Any:
        """Answer a question about the outside (`connect`, `http`, `resolve`, `mounted`); plain data."""
        ...

    def read(self, path: str) -> str | None:
        """Return a file's text, or None."""
        ...

    def write(self, path: str, text: str, append: bool) -> str:
        """Write a file; return an error text, empty when it worked."""
        ...

    def remove(self, path: str) -> bool:
        """Remove a file or directory; return whether it was there."""
        ...

    def mkdir(self, path: str, mode: int = 0o755) -> str:
        """Make a directory and its parents; return an error text, empty when it worked."""
        ...

    def lookup(self, path: str) -> Node | None:
        """Return what is at a path, a link itself and not what it leads to."""
        ...

    def stat(self, path: str) -> Node | None:
        """Return what is at a path, links followed."""
        ...

    def put(self, path: str, node: Node) -> str:
        """Put a file, directory or link at a path; return an error text, empty when it worked."""
        ...

    def is_dir(self, path: str) -> bool:
        """Tell whether a path is a directory."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        ...

    def follow(self, path: str) -> str:
        """Return where a path leads when all links are followed."""
        ...

    def shown_mode(self, path: str, node: Node) -> Node:
        """Return a node with the permission bits it is shown with."""
        ...

    def birth(self) -> float:
        """Return when the container's own process was started."""
        ...

    def usage(self) -> list[tuple[str, str, float, float]]:
        """Return (device, mount point, bytes, used bytes) of what is mounted."""
        ...

    def has_program(self, name: str) -> bool:
        """Tell whether a program exists (a name in PATH or a path)."""
        ...

    def serves(self, argv: list[str]) -> frozenset[int] | None:
        """Return the ports a program of the image serves when run; None when it is not a server of the image."""
        ...

    def now(self) -> float:
        """Return the present moment."""
        ...


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class Forever(Exception):
    """The script goes on without an end from here."""


class Suspended(Exception):
    """What happens next depends on a moment that is still to come."""


class OutOfMemory(Exception):
    """The process wants more memory than there is."""


@dataclass(slots=True)
class Outcome:
    """What a script does, as far as can be said now.

    Attributes:
        lines: (seconds after the start, stream, text), streams `out` and `err`.
        exit_code: None while it runs.
        elapsed: seconds after the start at which it ends, waits, or begins to go on forever.
        waits: it is at a point where it asks about its surroundings again at `elapsed`.
        ports: ports it serves from `served_from` seconds on.
        ignores_term: SIGTERM does not end it.
        repeat: (start, period, lines per round) of an endless loop.
    """

    lines: list[tuple[float, str, str]] = field(default_factory=list)
    exit_code: int | None = None
    elapsed: float = 0.0
    waits: bool = False
    ports: frozenset[int] = frozenset()
    served_from: float = 0.0
    root: str = ""
    ignores_term: bool = False
    term_code: int | None = None
    oom: bool = False
    program: str = ""
    repeat: tuple[float, float, list[tuple[float, str, str]]] | None = None

    def stdout(self) -> str:
        """Return what went to standard output."""
        return "".join(text for _, stream, text in self.lines if stream == "out")

    def stderr(self) -> str:
        """Return what went to standard error."""
        return "".join(text for _, stream, text in self.lines if stream == "err")


class Shell:
    """One run of a script.

    Answers to questions about the outside are kept in `journal`: running the same script again with it takes the
    same way up to where the journal ends. `horizon` is how far (seconds after the start) the present is; a question
    later than that suspends the run. None means there is no such limit (exec, probes): sleeping costs nothing there.
    """

    def __init__(
        self,
        world: World,
        env: dict[str, str],
        *,
        horizon: float | None = None,
        journal: list[Any] | None = None,
        args: list[str] | None = None,
        stdin: str = "",
        name: str = "sh",
    ) -> None:
        self.world = world
        self.env = dict(env)
        self.exported = set(env)
        self.horizon = horizon
        self.journal = journal if journal is not None else []
        self.args = args or []
        self.name = name
        self.stdin = stdin
        self.outcome = Outcome()
        self.elapsed = 0.0
        self.status = 0
        self.cwd = env.get("PWD") or "/"
        self.functions: dict[str, Tree] = {}
        self.errexit = False
        self._asked = 0
        self._steps = 0
        self._guarded = 0
        self._sinks: list[list[tuple[str, str]]] = []

    # running

    def run_script(self, text: str) -> Outcome:
        """Run a script text."""
        try:
            node = parse(text)
        except ShellSyntaxError as error:
            self.err(f"{error}\n")
            return self._end(2)
        return self._guard(lambda: self.node(node))

    def run_words(self, argv: list[str]) -> Outcome:
        """Run one command given as words, as `exec` does."""
        return self._guard(lambda: self.command(argv))

    def _guard(self, body: Callable[[], int]) -> Outcome:
        try:
            code = body()
        except _Exit as ended:
            code = ended.code
        except _Return as ended:
            code = ended.code
        except (_Break, _Continue):
            code = 0
        except Forever:
            self.outcome.elapsed = self.elapsed
            return self.outcome
        except Suspended:
            self.outcome.elapsed = self.elapsed
            self.outcome.waits = True
            return self.outcome
        except OutOfMemory:
            self.outcome.oom = True
            code = 137
        return self._end(code)

    def _end(self, code: int) -> Outcome:
        self.outcome.exit_code = code & 255
        self.outcome.elapsed = self.elapsed
        return self.outcome

    # output and questions

    def out(self, text: str) -> None:
        """Write to standard output."""
        self._emit("out", text)

    def err(self, text: str) -> None:
        """Write to standard error."""
        self._emit("err", text)

    def _emit(self, stream: str, text: str) -> None:
        if not text:
            return
        if self._sinks:
            self._sinks[-1].append((stream, text))
        else:
            self.outcome.lines.append((self.elapsed, stream, text))

    def ask(self, question: str, *details: Any) -> Any:
        """Ask about the outside, at the script's own moment."""
        if self._asked < len(self.journal):
            answer = self.journal[self._asked]
        else:
            if self.horizon is not None and self.elapsed > self.horizon + 1e-9:
                raise Suspended
            answer = self.world.ask(question, *details)
            self.journal.append(answer)
        self._asked += 1
        return answer

    def sleep(self, seconds: float) -> None:
        """Let the script's time pass."""
        if seconds == float("inf"):
            raise Forever
        self.elapsed += seconds

    def serve(self, ports: frozenset[int], program: str, root: str = "") -> int:
        """Become a server for good."""
        self.outcome.ports = ports
        self.outcome.served_from = self.elapsed
        self.outcome.program = program
        self.outcome.root = root
        raise Forever

    # the tree

    def node(self, node: Tree) -> int:
        """Run a part of the tree; return its exit code."""
        self._steps += 1
        if self._steps > STEPS:
            raise Forever
        if isinstance(node, Simple):
            self.status = self._simple(node)
            if self.errexit and self.status and not self._guarded:
                raise _Exit(self.status)
        elif isinstance(node, Sequence):
            self._sequence(node)
        elif isinstance(node, Pipeline):
            self.status = self._pipeline(node)
        elif isinstance(node, If):
            self._if(node)
        elif isinstance(node, Loop):
            self._loop(node)
        elif isinstance(node, For):
            self._for(node)
        elif isinstance(node, Case):
            word = self.expand_one(node.word)
            for patterns, body in node.branches:
                if any(fnmatchcase(word, self.expand_one(p)) for p in patterns):
                    self.node(body)
                    break
        elif isinstance(node, Function):
            self.functions[node.name] = node.body
            self.status = 0
        elif isinstance(node, Group):
            self._group(node)
        return self.status

    def _sequence(self, node: Sequence) -> None:
        for position, (connector, part, background) in enumerate(node.parts):
            if connector == "&&" and self.status != 0:
                continue
            if connector == "||" and self.status == 0:
                continue
            following = node.parts[position + 1][0] if position + 1 < len(node.parts) else ";"
            guarded = following in ("&&", "||")
            self._guarded += guarded
            try:
                if background:
                    self._background(part)
                else:
                    self.node(part)
            finally:
                self._guarded -= guarded

    def _background(self, part: Tree) -> None:
        elapsed = self.elapsed
        try:
            self.node(part)
        except (Forever, Suspended, _Exit):
            pass
        self.elapsed = elapsed
        self.status = 0

    def _condition(self, node: Tree) -> bool:
        self._guarded += 1
        try:
            return self.node(node) == 0
        finally:
            self._guarded -= 1

    def _if(self, node: If) -> None:
        for condition, body in node.branches:
            if self._condition(condition):
                self.node(body)
                return
        self.status = 0
        if node.otherwise is not None:
            self.node(node.otherwise)

    def _loop(self, node: Loop) -> None:
        endless = not node.until and _always(node.condition) and not _leaves(node.body)
        while True:
            if self._condition(node.condition) == node.until:
                self.status = 0
                return
            before, mark = self.elapsed, len(self.outcome.lines)
            asked = self._asked
            try:
                self.node(node.body)
            except _Break:
                self.status = 0
                return
            except _Continue:
                pass
            if self.elapsed == before and self._asked == asked and _always(node.condition):
                raise Forever
            if self.elapsed == before and self._asked != asked:
                # A busy wait still takes a moment per round.
                self.elapsed += 0.5
            if endless and not self._sinks:
                lines = [(at - before, stream, text) for at, stream, text in self.outcome.lines[mark:]]
                self.outcome.repeat = (before, self.elapsed - before, lines)
                raise Forever

    def _for(self, node: For) -> None:
        words = self.args if node.words is None else [w for word in node.words for w in self.expand(word)]
        for word in words:
            self.env[node.name] = word
            try:
                self.node(node.body)
            except _Break:
                break
            except _Continue:
                continue

    def _group(self, node: Group) -> None:
        def body() -> int:
            if not node.subshell:
                return self.node(node.body)
            env, cwd, functions = dict(self.env), self.cwd, dict(self.functions)
            try:
                return self.node(node.body)
            except _Exit as ended:
                self.status = ended.code
                return ended.code
            finally:
                self.env, self.cwd, self.functions = env, cwd, functions

        self.status = self._redirected(node.redirects, body)

    def _pipeline(self, node: Pipeline) -> int:
        self._guarded += node.negate
        try:
            saved = self.stdin
            for command in node.commands[:-1]:
                sink: list[tuple[str, str]] = []
                self._sinks.append(sink)
                try:
                    self.node(command)
                except _Exit as ended:
                    self.status = ended.code
                finally:
                    self._sinks.pop()
                    for stream, text in sink:
                        if stream == "err":
                            self.err(text)
                self.stdin = "".join(text for stream, text in sink if stream == "out")
            try:
                status = self.node(node.commands[-1])
            finally:
                self.stdin = saved
        finally:
            self._guarded -= node.negate
        return int(status == 0) if node.negate else status

    def _redirected(self, redirects: list[tuple[int, str, str]], body: Callable[[], int]) -> int:
        if not redirects:
            return body()
        sink: list[tuple[str, str]] = []
        saved = self.stdin
        targets: dict[str, tuple[str, str]] = {}
        for fd, operator, word in redirects:
            value = self.expand_one(word)
            if operator == "<<":
                self.stdin = value
            elif operator == "<":
                text = self.world.read(self.path(value))
                if text is None:
                    self.err(f"{self.name}: can't open {value}: no such file\n")
                    return 1
                self.stdin = text
            elif operator in (">", ">>"):
                stream = {1: "out", 2: "err"}.get(fd, "out")
                targets[stream] = (operator, value)
                if value not in ("/dev/null", "/dev/stdout", "/dev/stderr"):
                    problem = self.world.write(self.path(value), "", operator == ">>")
                    if problem:
                        self.err(f"{self.name}: can't create {value}: {problem}\n")
                        return 1
            elif operator == "&>":
                targets["out"] = targets["err"] = (">", value)
            elif operator == ">&":
                source, goal = {1: "out", 2: "err"}.get(fd, "out"), {"1": "out", "2": "err"}.get(value, "out")
                targets[source] = targets.get(goal, ("&", goal))
        if not targets:
            try:
                return body()
            finally:
                self.stdin = saved
        # Only what is redirected is held back, so that a server's other lines keep their times.
        self._sinks.append(sink)
        try:
            return body()
        finally:
            self._sinks.pop()
            self.stdin = saved
            self._deliver(sink, targets)

    def _deliver(self, sink: list[tuple[str, str]], targets: dict[str, tuple[str, str]]) -> None:
        for stream, text in sink:
            operator, value = targets.get(stream, ("&", stream))
            if operator == "&":
                self._emit(value, text)
            elif value == "/dev/null":
                continue
            elif value in ("/dev/stdout", "/proc/1/fd/1"):
                self._emit("out", text)
            elif value in ("/dev/stderr", "/proc/1/fd/2"):
                self._emit("err", text)
            else:
                self.world.write(self.path(value), text, True)

    def path(self, value: str) -> str:
        """Return an absolute, normalised path."""
        whole = value if value.startswith("/") else f"{self.cwd.rstrip('/')}/{value}"
        parts: list[str] = []
        for part in whole.split("/"):
            if part == "..":
                if parts:
                    parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    # simple commands

    def _simple(self, node: Simple) -> int:
        if not node.words:
            self.status = 0
            for name, value in node.assigns:
                self.env[name] = self.expand_one(value)
            return self._redirected(node.redirects, lambda: self.status)
        words = [w for word in node.words for w in self.expand(word)]
        saved = {name: self.env.get(name) for name, _ in node.assigns}
        for name, value in node.assigns:
            self.env[name] = self.expand_one(value)
        try:
            return self._redirected(node.redirects, lambda: self.command(words))
        finally:
            for name, old in saved.items():
                if old is None:
                    self.env.pop(name, None)
                else:
                    self.env[name] = old

    def command(self, argv: list[str]) -> int:
        """Run a command given as words."""
        if not argv:
            return 0
        name = argv[0]
        if name in self.functions:
            saved, self.args = self.args, argv[1:]
            try:
                return self.node(self.functions[name])
            except _Return as ended:
                return ended.code
            finally:
                self.args = saved
        special = getattr(self, f"_do_{name}", None) if name.isidentifier() else None
        if special is not None:
            return int(special(argv[1:]))
        if name == ".":
            return self._do_source(argv[1:])
        if name == ":":
            return 0
        from stratus.sim.shellcommands import COMMANDS

        base = name.rpartition("/")[2]
        ports = self.world.serves(argv)
        if ports is not None:
            return self.serve(ports, name)
        program = COMMANDS.get(base)
        if program is not None and self.world.has_program(name):
            return program(self, argv)
        if not self.world.has_program(name):
            if "/" in name and self.world.read(self.path(name)) is not None:
                return self._run_file(name, argv)
            self.err(f"{self.name}: {name}: not found\n")
            return 127
        return self.serve(frozenset(), name)

    def _run_file(self, name: str, argv: list[str]) -> int:
        text = self.world.read(self.path(name)) or ""
        saved, self.args = self.args, argv[1:]
        try:
            return self.node(parse(text))
        except ShellSyntaxError as error:
            self.err(f"{error}\n")
            return 2
        except _Exit as ended:
            return ended.code
        finally:
            self.args = saved

    def _do_exit(self, args: list[str]) -> int:
        raise _Exit(int(args[0]) if args and args[0].lstrip("-").isdigit() else self.status)

    def _do_return(self, args: list[str]) -> int:
        raise _Return(int(args[0]) if args and args[0].isdigit() else self.status)

    def _do_break(self, args: list[str]) -> int:
        raise _Break

    def _do_continue(self, args: list[str]) -> int:
        raise _Continue

    def _do_exec(self, args: list[str]) -> int:
        if not args:
            return 0
        raise _Exit(self.command(args))

    def _do_command(self, args: list[str]) -> int:
        if args[:1] in (["-v"], ["-V"]):
            from stratus.sim.shellcommands import COMMANDS

            name = args[1] if len(args) > 1 else ""
            if hasattr(self, f"_do_{name}") or name in COMMANDS or self.world.has_program(name):
                self.out(f"{name}\n")
                return 0
            return 127
        return self.command(args)

    def _do_eval(self, args: list[str]) -> int:
        try:
            return self.node(parse(" ".join(args)))
        except ShellSyntaxError as error:
            self.err(f"{error}\n")
            return 2

    def _do_source(self, args: list[str]) -> int:
        text = self.world.read(self.path(args[0])) if args else None
        if text is None:
            self.err(f"{self.name}: .: can't open '{args[0] if args else ''}': No such file or directory\n")
            return 2
        return self.node(parse(text))

    def _do_export(self, args: list[str]) -> int:
        for arg in args:
            name, equals, value = arg.partition("=")
            if equals:
                self.env[name] = value
            self.exported.add(name)
        return 0

    _do_readonly = _do_local = _do_export

    def _do_unset(self, args: list[str]) -> int:
        for name in args:
            self.env.pop(name, None)
        return 0

    def _do_set(self, args: list[str]) -> int:
        if args and args[0] == "--":
            self.args = args[1:]
            return 0
        for arg in args:
            if arg.startswith("-") and "e" in arg[1:] and arg != "-o":
                self.errexit = True
            elif arg.startswith("+") and "e" in arg[1:]:
                self.errexit = False
        return 0

    def _do_shift(self, args: list[str]) -> int:
        self.args = self.args[int(args[0]) if args else 1 :]
        return 0

    def _do_cd(self, args: list[str]) -> int:
        target = self.path(args[0] if args else self.env.get("HOME", "/"))
        if not self.world.is_dir(target):
            self.err(f"{self.name}: cd: can't cd to {args[0] if args else target}: No such file or directory\n")
            return 2
        self.cwd = target
        return 0

    def _do_wait(self, args: list[str]) -> int:
        if self.outcome.ports:
            raise Forever
        return 0

    def _do_trap(self, args: list[str]) -> int:
        signals = {"TERM", "SIGTERM", "15"}
        if len(args) >= 2 and signals & set(args[1:]):
            if args[0] == "":
                self.outcome.ignores_term = True
            else:
                found = re.search(r"exit\s+(\d+)", args[0])
                self.outcome.term_code = int(found.group(1)) if found else 0
        return 0

    def _do_read(self, args: list[str]) -> int:
        if not self.stdin:
            return 1
        line, _, self.stdin = self.stdin.partition("\n")
        names = [a for a in args if not a.startswith("-")] or ["REPLY"]
        fields = line.split(None, len(names) - 1) if len(names) > 1 else [line.strip()]
        for position, name in enumerate(names):
            self.env[name] = fields[position] if position < len(fields) else ""
        return 0

    def _do_let(self, args: list[str]) -> int:
        return int(all(self.arithmetic(a) == 0 for a in args))

    # expansion

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
                close = word.index("'", i + 1)
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
            close = word.index("`", i + 1)
            return self.capture(word[i + 1 : close]), close + 1
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
            return self.env.get(found.group(), ""), i + 1 + found.end()
        if rest[:1] in ("?", "$", "#", "!", "@", "*", "-") or rest[:1].isdigit():
            return self._special(rest[0]), i + 2
        return "", i

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
            return value
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
                self.err(f"{self.name}: {name}: {text}\n")
                raise _Exit(2)
            return value
        pattern = self.expand_one(argument)
        if operator in ("%", "%%", "#", "##"):
            return _strip(value, operator, pattern)
        if operator.startswith("/"):
            old, _, new = pattern.partition("/")
            return value.replace(old, new, -1 if operator == "//" else 1)
        start, _, length = pattern.partition(":")
        begin = int(start or 0)
        return value[begin : begin + int(length)] if length else value[begin:]

    def capture(self, text: str) -> str:
        """Run a command substitution and return its output without the final newlines."""
        sink: list[tuple[str, str]] = []
        env, cwd = dict(self.env), self.cwd
        self._sinks.append(sink)
        try:
            self.node(parse(text))
        except _Exit as ended:
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
        """Evaluate an arithmetic expression."""
        body = self.expand_one(text.replace('"', ""))
        found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(\+\+|--|[-+*/%]?=(?!=))\s*(.*)", body)
        if found:
            name, operator, rest = found.groups()
            old = int(self.env.get(name) or 0)
            if operator in ("++", "--"):
                self.env[name] = str(old + (1 if operator == "++" else -1))
                return old
            value = self.arithmetic(rest)
            if operator != "=":
                value = _binary(operator[0], old, value)
            self.env[name] = str(value)
            return value
        return _Arithmetic(body, self.env).value()


def _strip(value: str, operator: str, pattern: str) -> str:
    indexes = range(len(value) + 1)
    if operator[0] == "%":
        order = reversed(indexes) if operator == "%" else iter(indexes)
        return next((value[:i] for i in order if fnmatchcase(value[i:], pattern)), value)
    order = iter(indexes) if operator == "#" else reversed(indexes)
    return next((value[i:] for i in order if fnmatchcase(value[:i], pattern)), value)


def _binary(operator: str, a: int, b: int) -> int:
    if operator in "/%":
        if b == 0:
            return 0
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if operator == "/" else a - b * quotient
    return {"+": a + b, "-": a - b, "*": a * b}[operator]


class _Arithmetic:
    """A precedence parser for integer expressions."""

    LEVELS = (("||",), ("&&",), ("==", "!="), ("<=", ">=", "<", ">"), ("+", "-"), ("*", "/", "%"))

    def __init__(self, text: str, env: dict[str, str]) -> None:
        self.tokens = re.findall(r"\d+|[A-Za-z_]\w*|\|\||&&|==|!=|<=|>=|[-+*/%()<>!?:]", text)
        self.env = env
        self.at = 0

    def value(self) -> int:
        return self._level(0) if self.tokens else 0

    def _level(self, depth: int) -> int:
        if depth == len(self.LEVELS):
            return self._unary()
        left = self._level(depth + 1)
        while self.at < len(self.tokens) and self.tokens[self.at] in self.LEVELS[depth]:
            operator = self.tokens[self.at]
            self.at += 1
            right = self._level(depth + 1)
            if operator in "+-*/%":
                left = _binary(operator, left, right)
            else:
                left = int(
                    {
                        "||": bool(left or right),
                        "&&": bool(left and right),
                        "==": left == right,
                        "!=": left != right,
                        "<=": left <= right,
                        ">=": left >= right,
                        "<": left < right,
                        ">": left > right,
                    }[operator]
                )
        return left

    def _unary(self) -> int:
        token = self.tokens[self.at] if self.at < len(self.tokens) else "0"
        self.at += 1
        if token == "-":
            return -self._unary()
        if token == "+":
            return self._unary()
        if token == "!":
            return int(not self._unary())
        if token == "(":
            value = self._level(0)
            self.at += 1
            return value
        if token.isdigit():
            return int(token)
        text = self.env.get(token, "0")
        return int(text) if text.lstrip("-").isdigit() else 0


def _always(node: Tree) -> bool:
    """Tell whether a loop's condition is simply true."""
    if isinstance(node, Simple) and not node.redirects:
        return node.words in (["true"], [":"], ["/bin/true"], ["[", "1", "]"], ["[", "true", "]"])
    return False


def _leaves(node: Any) -> bool:
    """Tell whether a loop's body could end the loop or the script."""
    if isinstance(node, Simple):
        return bool(node.words) and node.words[0] in ("break", "exit", "return", "exec", "kill")
    if isinstance(node, Pipeline):
        return any(_leaves(c) for c in node.commands)
    if isinstance(node, Sequence):
        return any(_leaves(part) for _, part, _ in node.parts)
    if isinstance(node, If):
        inner = any(_leaves(c) or _leaves(b) for c, b in node.branches)
        return inner or (node.otherwise is not None and _leaves(node.otherwise))
    if isinstance(node, Loop):
        return _leaves(node.condition) or _leaves(node.body)
    if isinstance(node, For | Group | Function):
        return _leaves(node.body)
    if isinstance(node, Case):
        return any(_leaves(body) for _, body in node.branches)
    return False
