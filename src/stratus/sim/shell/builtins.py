"""Commands that the shell itself carries out."""

from __future__ import annotations

import re

from stratus.sim.shell.expansion import NAME, Expanding
from stratus.sim.shell.nodes import ShellSyntaxError
from stratus.sim.shell.parser import parse
from stratus.sim.shell.world import Break, Continue, Exit, Forever, Return


class Builtins(Expanding):
    """A shell as far as its own commands go; each is a method `_do_NAME` that takes the arguments."""

    def builtin(self, name: str, args: list[str]) -> int | None:
        """Run one of the shell's own commands; None when there is none of that name."""
        found = getattr(self, f"_do_{name}", None) if name.isidentifier() else None
        if found is not None:
            return int(found(args))
        if name == ".":
            return self._do_source(args)
        return 0 if name == ":" else None

    def _run_text(self, text: str) -> int:
        try:
            return self.node(parse(text))
        except ShellSyntaxError as error:
            self.err(f"{error}\n")
            return 2

    def _number(self, command: str, args: list[str], default: int) -> int:
        """Return the first argument as a number."""
        if not args:
            return default
        if not re.fullmatch(r"[-+]?\d{1,9}", args[0]):
            self.complain(f"{command}: Illegal number: {args[0]}")
            raise Exit(2)
        return int(args[0])

    def _do_exit(self, args: list[str]) -> int:
        raise Exit(self._number("exit", args, self.status))

    def _do_return(self, args: list[str]) -> int:
        raise Return(self._number("return", args, self.status))

    def _do_break(self, args: list[str]) -> int:
        raise Break(max(self._number("break", args, 1), 1))

    def _do_continue(self, args: list[str]) -> int:
        raise Continue(max(self._number("continue", args, 1), 1))

    def _do_exec(self, args: list[str]) -> int:
        if not args:
            return 0
        raise Exit(self.command(args))

    def _known(self, name: str) -> str:
        """Say what a command's name stands for; empty when for nothing."""
        if name in self.functions:
            return "function"
        if name in (".", ":") or (name.isidentifier() and hasattr(self, f"_do_{name}")):
            return "builtin"
        return "program" if name and self.world.has_program(name) else ""

    def _do_command(self, args: list[str]) -> int:
        if args[:1] not in (["-v"], ["-V"]):
            return self.command(args[1:] if args[:1] == ["-p"] else args)
        code = 0
        for name in args[1:]:
            kind = self._known(name)
            path = name if kind != "program" or "/" in name else f"{program_dir(name)}/{name}"
            if not kind:
                code = 127
                if args[0] == "-V":
                    self.err(f"{name}: not found\n")
                continue
            said = {"function": f"{name} is a function", "builtin": f"{name} is a shell builtin"}
            self.out((path if args[0] == "-v" else said.get(kind, f"{name} is {path}")) + "\n")
        return code

    def _do_type(self, args: list[str]) -> int:
        return self._do_command(["-V", *args])

    def _do_eval(self, args: list[str]) -> int:
        return self._run_text(" ".join(args))

    def _do_source(self, args: list[str]) -> int:
        text = self.world.read(self.path(args[0])) if args else None
        if text is None:
            self.complain(f".: can't open '{args[0] if args else ''}': No such file or directory")
            return 2
        return self._run_text(text)

    def _do_export(self, args: list[str]) -> int:
        for arg in args:
            name, equals, value = arg.partition("=")
            if name.startswith("-"):
                continue
            if not NAME.fullmatch(name):
                self.complain(f"export: {name}: bad variable name")
                return 2
            if equals:
                self.env[name] = value
            self.exported.add(name)
        if not args or args == ["-p"]:
            for name in sorted(self.exported & set(self.env)):
                self.out(f"export {name}='{self.env[name]}'\n")
        return 0

    def _do_local(self, args: list[str]) -> int:
        for arg in args:
            name, equals, value = arg.partition("=")
            if NAME.fullmatch(name):
                self.env[name] = value if equals else self.env.get(name, "")
        return 0

    _do_readonly = _do_declare = _do_typeset = _do_local

    def _do_unset(self, args: list[str]) -> int:
        for name in args:
            self.env.pop(name, None)
            self.functions.pop(name, None)
        return 0

    def _do_set(self, args: list[str]) -> int:
        if not args:
            self.out("".join(f"{k}='{v}'\n" for k, v in sorted(self.env.items())))
        for position, arg in enumerate(args):
            if arg == "--":
                self.args = args[position + 1 :]
                break
            if arg[:1] not in ("-", "+") or len(arg) < 2:
                if args[position - 1] not in ("-o", "+o") or not position:
                    self.args = args[position:]
                    break
                self.pipefail = args[position - 1] == "-o" if arg == "pipefail" else self.pipefail
                continue
            if "e" in arg[1:]:
                self.errexit = arg[0] == "-"
            if "u" in arg[1:]:
                self.nounset = arg[0] == "-"
        return 0

    def _do_shift(self, args: list[str]) -> int:
        count = self._number("shift", args, 1)
        if count < 0 or count > len(self.args):
            self.complain("shift: can't shift that many")
            raise Exit(2)
        self.args = self.args[count:]
        return 0

    def _do_cd(self, args: list[str]) -> int:
        wanted = args[0] if args else self.env.get("HOME", "/")
        if wanted == "-":
            wanted = self.env.get("OLDPWD", self.cwd)
            self.out(f"{wanted}\n")
        target = self.path(wanted)
        if not self.world.is_dir(target):
            self.complain(f"cd: can't cd to {wanted}: No such file or directory")
            return 2
        self.env["OLDPWD"], self.cwd = self.cwd, target
        self.env["PWD"] = target
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
                found = re.search(r"exit\s+(\d{1,3})", args[0])
                self.outcome.term_code = int(found.group(1)) if found else 0
        return 0

    def _do_read(self, args: list[str]) -> int:
        if not self.stdin:
            return 1
        line, _, self.stdin = self.stdin.partition("\n")
        names = [a for a in args if not a.startswith("-")] or ["REPLY"]
        separator = self.env.get("IFS")
        if separator is not None and not separator.strip():
            separator = None if separator else ""
        if separator == "":
            fields = [line]
        elif len(names) == 1:
            fields = [line.strip() if separator is None else line]
        else:
            fields = line.split(separator, len(names) - 1)
        for position, name in enumerate(names):
            self.env[name] = fields[position].strip() if position < len(fields) else ""
        return 0

    def _do_let(self, args: list[str]) -> int:
        return int(all(self.arithmetic(a) == 0 for a in args))

    def _do_jobs(self, args: list[str]) -> int:
        return 0

    _do_hash = _do_disown = _do_times = _do_alias = _do_unalias = _do_shopt = _do_history = _do_jobs


_IN_BIN = frozenset(
    {"sh", "ls", "cat", "ps", "kill", "grep", "sed", "date", "df", "mount", "cp", "mv", "rm", "mkdir", "sleep"}
)


def program_dir(name: str) -> str:
    """Return the directory in which a program is found."""
    return "/bin" if name in _IN_BIN else "/usr/bin"
