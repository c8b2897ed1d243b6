"""Running a script's tree: sequences, loops, pipelines and programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from stratus.sim.shell.core import Sink
from stratus.sim.shell.nodes import (
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
)
from stratus.sim.shell.parser import parse
from stratus.sim.shell.redirection import Redirecting
from stratus.sim.shell.world import Break, Continue, Exit, Forever, Outcome, OutOfMemory, Return, Suspended

#: A script that has taken this many steps without an end counts as one that runs forever.
STEPS = 20_000
#: Functions and files that call themselves end here.
DEEPEST = 60


class Shell(Redirecting):
    """One run of a script."""

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
        except (Exit, Return) as ended:
            code = ended.code
        except (Break, Continue):
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
        except ShellSyntaxError as error:
            # Something inside a word, found out only when it was expanded.
            self.err(f"{error}\n")
            code = 2
        except RecursionError:
            self.complain("stack overflow")
            code = 139
        return self._end(code)

    def _end(self, code: int) -> Outcome:
        self.outcome.exit_code = code & 255
        self.outcome.elapsed = self.elapsed
        return self.outcome

    # the tree

    def node(self, node: Tree) -> int:
        """Run a part of the tree; return its exit code."""
        self._steps += 1
        if self._steps > STEPS:
            raise Forever
        if isinstance(node, Simple):
            self.status = self._simple(node)
            if self.errexit and self.status and not self._guarded:
                raise Exit(self.status)
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
            self._case(node)
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
        except (Forever, Suspended, Exit):
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

    def _case(self, node: Case) -> None:
        word = self.expand_one(node.word)
        self.status = 0
        for patterns, body in node.branches:
            if any(fnmatchcase(word, self.expand_one(p)) for p in patterns):
                self.node(body)
                break

    def _round(self, body: Tree) -> bool:
        """Run a loop's body once; return whether the loop is left."""
        try:
            self.node(body)
        except Break as left:
            if left.levels > 1:
                raise Break(left.levels - 1) from None
            self.status = 0
            return True
        except Continue as skipped:
            if skipped.levels > 1:
                raise Continue(skipped.levels - 1) from None
        return False

    def _loop(self, node: Loop) -> None:
        endless = not node.until and _always(node.condition) and not _leaves(node.body)
        while True:
            if self._condition(node.condition) == node.until:
                self.status = 0
                return
            before, mark = self.elapsed, len(self.outcome.lines)
            asked = self._asked
            if self._round(node.body):
                return
            if self.elapsed == before and self._asked == asked and _always(node.condition) and not _leaves(node.body):
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
        self.status = 0
        for word in words:
            self.env[node.name] = word
            if self._round(node.body):
                break

    def _group(self, node: Group) -> None:
        def body() -> int:
            if not node.subshell:
                return self.node(node.body)
            env, cwd, functions, args = dict(self.env), self.cwd, dict(self.functions), self.args
            try:
                return self.node(node.body)
            except Exit as ended:
                self.status = ended.code
                return ended.code
            finally:
                self.env, self.cwd, self.functions, self.args = env, cwd, functions, args

        self.status = self.redirected(node.redirects, body)

    def _pipeline(self, node: Pipeline) -> int:
        self._guarded += node.negate
        codes = []
        try:
            saved = self.stdin, self.stdin_open
            began = self.elapsed
            try:
                for command in node.commands[:-1]:
                    self.stdin = self._piped(command)
                    codes.append(self.status)
                    # What follows has run all the while; what came before has stopped writing only now.
                    self.stdin_open = max(self.stdin_open, self.elapsed - began)
                status = self._inside(node.commands[-1]) if len(node.commands) > 1 else self.node(node.commands[-1])
            finally:
                self.stdin, self.stdin_open = saved
        finally:
            self._guarded -= node.negate
        if self.pipefail:
            status = next((c for c in reversed([*codes, status]) if c), 0)
        return int(status == 0) if node.negate else status

    def _inside(self, command: Tree) -> int:
        """Run the last command of a pipeline, which is a process of its own."""
        try:
            return self.node(command)
        except Exit as ended:
            self.status = ended.code
            return ended.code

    def _piped(self, command: Tree) -> str:
        """Run a command of a pipeline; return what it writes."""
        sink: Sink = []
        env, cwd = dict(self.env), self.cwd
        self._sinks.append(sink)
        try:
            self.node(command)
        except Exit as ended:
            self.status = ended.code
        finally:
            self._sinks.pop()
            self.env, self.cwd = env, cwd
            for stream, text in sink:
                if stream == "err":
                    self.err(text)
        return "".join(text for stream, text in sink if stream == "out")

    # simple commands

    def _simple(self, node: Simple) -> int:
        if not node.words:
            self.status = 0
            for name, value in node.assigns:
                self.env[name] = self.expand_one(value)
            return self.redirected(node.redirects, lambda: self.status)
        words = [w for word in node.words for w in self.expand(word)]
        saved = {name: self.env.get(name) for name, _ in node.assigns}
        exported = set(self.exported)
        for name, value in node.assigns:
            self.env[name] = self.expand_one(value)
            self.exported.add(name)
        try:
            return self.redirected(node.redirects, lambda: self.command(words))
        finally:
            if node.assigns:
                self.exported = exported
            for name, old in saved.items():
                if old is None:
                    self.env.pop(name, None)
                else:
                    self.env[name] = old

    def command(self, argv: list[str]) -> int:
        """Run a command given as words."""
        if not argv:
            return self.status
        name = argv[0]
        if name in self.functions:
            return self._call(self.functions[name], argv[1:])
        own = self.builtin(name, argv[1:])
        if own is not None:
            return own
        from stratus.sim.shellcommands import COMMANDS

        base = name.rpartition("/")[2]
        ports = self.world.serves(argv)
        if ports is not None:
            return self.serve(ports, name)
        program = COMMANDS.get(base)
        if program is not None and self.world.has_program(name):
            try:
                return program(self, argv)
            except (ValueError, IndexError, KeyError, OverflowError, re.error):
                # What real programs call a usage error; the shell goes on.
                self.err(f"{base}: invalid arguments\n")
                return 2
        if "/" in name and self.world.read(self.path(name)) is not None:
            return self._run_file(name, argv)
        if not self.world.has_program(name):
            missing = "No such file or directory" if "/" in name and self.name == "bash" else "not found"
            self.complain(f"{name}: {'command not found' if self.name == 'bash' and '/' not in name else missing}")
            return 127
        return self.serve(frozenset(), name)

    def _call(self, body: Tree, args: list[str]) -> int:
        saved, self.args = self.args, args
        self._deep += 1
        try:
            if self._deep > DEEPEST:
                self.complain("maximum function nesting level exceeded")
                raise Exit(2)
            return self.node(body)
        except Return as ended:
            return ended.code
        finally:
            self._deep -= 1
            self.args = saved

    def _run_file(self, name: str, argv: list[str]) -> int:
        path = self.path(name)
        found = self.world.stat(path)
        if found is not None and not found.mode & 0o111:
            self.complain(f"{name}: Permission denied")
            return 126
        saved, self.args = self.args, argv[1:]
        self._deep += 1
        try:
            if self._deep > DEEPEST:
                raise Exit(2)
            return self._run_text(self.world.read(path) or "")
        except Exit as ended:
            return ended.code
        finally:
            self._deep -= 1
            self.args = saved


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
