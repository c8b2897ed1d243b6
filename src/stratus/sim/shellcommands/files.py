"""Programs that read and change files."""

from __future__ import annotations

from dataclasses import replace

from stratus.sim.filesystem import Node, with_mode
from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.values import _content

_NOT_THERE = "No such file or directory"


@program("cat")
def _cat(shell: Shell, argv: list[str]) -> int:
    files = [w for w in argv[1:] if not w.startswith("-") or w == "-"]
    numbered = any(w.startswith("-") and "n" in w for w in argv[1:])
    if not files:
        files = ["-"]
    code, number = 0, 0
    for name in files:
        text = shell.stdin if name == "-" else _content(shell, shell.path(name))
        if text is None:
            is_dir = shell.world.is_dir(shell.path(name))
            shell.err(
                f"cat: read error: {name}: Is a directory\n" if is_dir else f"cat: can't open '{name}': {_NOT_THERE}\n"
            )
            code = 1
        elif numbered:
            for line in text.splitlines(keepends=True):
                number += 1
                shell.out(f"{number:>6}\t{line}")
        else:
            shell.out(text)
    return code


@program("mkdir")
def _mkdir(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "m")
    code = 0
    for name in operands:
        path = shell.path(name)
        if shell.world.is_dir(path) or _content(shell, path) is not None:
            if "p" not in options or not shell.world.is_dir(path):
                shell.err(f"mkdir: can't create directory '{name}': File exists\n")
                code = 1
            continue
        if "p" not in options and not shell.world.is_dir(path.rpartition("/")[0] or "/"):
            shell.err(f"mkdir: can't create directory '{name}': {_NOT_THERE}\n")
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
    for name in _options(argv, "dtr")[1]:
        path = shell.path(name)
        if shell.world.is_dir(path):
            continue
        problem = shell.world.write(path, "", True)
        if problem:
            shell.err(f"touch: {name}: {_NOT_THERE if problem == 'nonexistent directory' else problem}\n")
            code = 1
    return code


@program("rm", "rmdir", "unlink")
def _rm(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    base = argv[0].rpartition("/")[2]
    deep = bool({"r", "R", "recursive"} & set(options))
    code = 0
    for name in operands:
        path = shell.path(name)
        if base == "rmdir" and shell.world.list_dir(path):
            shell.err(f"rmdir: '{name}': Directory not empty\n")
            code = 1
        elif base == "rm" and shell.world.is_dir(path) and not deep and _is_link(shell, path) is None:
            shell.err(f"rm: '{name}' is a directory\n")
            code = 1
        elif not shell.world.remove(path) and "f" not in options:
            why = "Read-only file system" if shell.world.lookup(path) is not None else _NOT_THERE
            shell.err(f"{base}: can't remove '{name}': {why}\n")
            code = 1
    return code


def _is_link(shell: Shell, path: str) -> Node | None:
    found = shell.world.lookup(path)
    return found if found is not None and found.kind == "link" else None


@program("cp", "mv", "install")
def _cp(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "tm")
    base = argv[0].rpartition("/")[2]
    if len(operands) < 2:
        shell.err(f"{base}: missing file operand\n")
        return 1
    deep = base == "mv" or bool({"r", "R", "a"} & set(options))
    target = shell.path(operands[-1])
    code = 0
    for name in operands[:-1]:
        source = shell.path(name)
        node = shell.world.stat(source)
        if node is None:
            shell.err(f"{base}: can't stat '{name}': {_NOT_THERE}\n")
            code = 1
            continue
        if node.kind == "dir" and not deep:
            shell.err(f"{base}: omitting directory '{name}'\n")
            code = 1
            continue
        goal = f"{target}/{source.rpartition('/')[2]}" if shell.world.is_dir(target) else target
        problem = _copy(shell, source, goal)
        if problem:
            shell.err(f"{base}: can't create '{goal}': {problem}\n")
            code = 1
        elif base == "mv" and not shell.world.remove(source):
            shell.err(f"mv: can't remove '{name}': Read-only file system\n")
            code = 1
    return code


def _copy(shell: Shell, source: str, goal: str) -> str:
    """Copy a file or a tree; return an error text."""
    node = shell.world.stat(source)
    if node is None:
        return ""
    if node.kind != "dir":
        at = shell.world.now() + shell.elapsed
        text = _content(shell, source) if node.zeros == 0 else node.text
        return shell.world.put(goal, replace(node, text=text or "", modified=at))
    problem = shell.world.mkdir(goal)
    for name in [] if problem or goal.startswith(source + "/") else shell.world.list_dir(source):
        problem = problem or _copy(shell, f"{source}/{name}", f"{goal}/{name}")
    return problem


@program("chmod")
def _chmod(shell: Shell, argv: list[str]) -> int:
    operands = [w for w in argv[1:] if w not in ("-R", "-v", "-f", "--recursive")]
    if len(operands) < 2:
        shell.err("chmod: missing operand\n")
        return 1
    deep = any(w in ("-R", "--recursive") for w in argv[1:])
    code = 0
    for name in operands[1:]:
        code = _change(shell, shell.path(name), name, operands[0], deep) or code
    return code


def _change(shell: Shell, path: str, name: str, wanted: str, deep: bool) -> int:
    node = shell.world.stat(path)
    if node is None:
        shell.err(f"chmod: {name}: {_NOT_THERE}\n")
        return 1
    mode = new_mode(node.mode, wanted, node.kind == "dir")
    if mode is None:
        shell.err(f"chmod: invalid mode '{wanted}'\n")
        return 1
    problem = shell.world.put(path, with_mode(node, mode))
    if problem:
        shell.err(f"chmod: {name}: {problem}\n")
        return 1
    if deep and node.kind == "dir":
        for each in shell.world.list_dir(path):
            _change(shell, f"{path.rstrip('/')}/{each}", each, wanted, deep)
    return 0


def new_mode(mode: int, wanted: str, is_dir: bool) -> int | None:
    """Return permission bits after `chmod`, None for a mode that is none."""
    if wanted and all(c in "01234567" for c in wanted):
        return int(wanted, 8) & 0o7777
    shifts = {"u": (6,), "g": (3,), "o": (0,), "a": (6, 3, 0)}
    for clause in wanted.split(","):
        at = next((i for i, c in enumerate(clause) if c in "+-="), -1)
        if at < 0 or any(c not in "ugoa" for c in clause[:at]) or any(c not in "rwxXst" for c in clause[at + 1 :]):
            return None
        bits = 0
        for letter in clause[at + 1 :]:
            bits |= {"r": 4, "w": 2, "x": 1, "X": 1 if is_dir or mode & 0o111 else 0}.get(letter, 0)
        for shift in {s for who in clause[:at] or "a" for s in shifts[who]}:
            if clause[at] == "+":
                mode |= bits << shift
            elif clause[at] == "-":
                mode &= ~(bits << shift)
            else:
                mode = (mode & ~(7 << shift)) | (bits << shift)
    return mode


@program("chown", "chgrp")
def _chown(shell: Shell, argv: list[str]) -> int:
    operands = [w for w in argv[1:] if not w.startswith("-")]
    for name in operands[1:]:
        if shell.world.stat(shell.path(name)) is None:
            shell.err(f"{argv[0].rpartition('/')[2]}: {name}: {_NOT_THERE}\n")
            return 1
    return 0


@program("ln")
def _ln(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    if not operands:
        shell.err("ln: missing file operand\n")
        return 1
    target = operands[0]
    name = operands[1] if len(operands) > 1 else target.rpartition("/")[2]
    path = shell.path(name)
    if shell.world.is_dir(path) and "n" not in options:
        path = f"{path.rstrip('/')}/{target.rstrip('/').rpartition('/')[2]}"
    if shell.world.lookup(path) is not None:
        if "f" not in options:
            shell.err(f"ln: {name}: File exists\n")
            return 1
        shell.world.remove(path)
    node: Node | None = Node("link", target, 0o777, shell.world.now() + shell.elapsed)
    if "s" not in options:
        node = shell.world.lookup(shell.path(target))
        if node is None:
            shell.err(f"ln: {target}: {_NOT_THERE}\n")
            return 1
    assert node is not None
    problem = shell.world.put(path, node)
    if problem:
        shell.err(f"ln: {name}: {problem}\n")
    return int(bool(problem))


@program("readlink", "realpath")
def _readlink(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    base = argv[0].rpartition("/")[2]
    code = 0
    for name in operands:
        path = shell.path(name)
        node = shell.world.lookup(path)
        if base == "readlink" and "f" not in options:
            if node is None or node.kind != "link":
                code = 1
                continue
            shell.out(f"{node.text}\n")
            continue
        if node is None and base == "realpath":
            shell.err(f"realpath: {name}: {_NOT_THERE}\n")
            code = 1
            continue
        shell.out(f"{shell.world.follow(path)}\n")
    return code


@program("basename", "dirname")
def _basename(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    if len(argv) < 2:
        shell.err(f"{base}: missing operand\n")
        return 1
    name = argv[1].rstrip("/") or "/"
    if base == "dirname":
        shell.out((name.rpartition("/")[0] or ("/" if name.startswith("/") else ".")) + "\n")
        return 0
    last = name.rpartition("/")[2] or "/"
    if len(argv) > 2 and last != argv[2]:
        last = last.removesuffix(argv[2])
    shell.out(f"{last}\n")
    return 0


@program("mktemp")
def _mktemp(shell: Shell, argv: list[str]) -> int:
    number = sum(1 for n in shell.world.list_dir("/tmp") if n.startswith("tmp."))  # noqa: S108
    path = f"/tmp/tmp.{number:06d}"  # noqa: S108
    problem = shell.world.mkdir(path) if "-d" in argv else shell.world.write(path, "", False)
    shell.out(f"{path}\n" if not problem else "")
    return int(bool(problem))


@program("truncate")
def _truncate(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "s")
    from stratus.sim.shellcommands.process import _bytes

    size = int(_bytes(options.get("s", "0")))
    for name in operands:
        path = shell.path(name)
        text = (_content(shell, path) or "")[:size]
        problem = shell.world.put(path, Node("file", text, 0o644, shell.world.now(), zeros=max(size - len(text), 0)))
        if problem:
            shell.err(f"truncate: {name}: {problem}\n")
            return 1
    return 0


@program("sync", "stty", "ulimit", "umask", "renice", "nice_", "clear", "reset", "tput", "setterm")
def _quiet(shell: Shell, argv: list[str]) -> int:
    return 0


@program("tee")
def _tee(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    code = 0
    for name in operands:
        problem = shell.world.write(shell.path(name), shell.stdin, "a" in options)
        if problem:
            shell.err(f"tee: {name}: {problem}\n")
            code = 1
    shell.out(shell.stdin)
    return code


@program("pwd")
def _pwd(shell: Shell, argv: list[str]) -> int:
    shell.out(f"{shell.cwd}\n")
    return 0
