"""Programs that read and change files."""

from __future__ import annotations

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.values import _content


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
