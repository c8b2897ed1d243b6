"""Programs that look around in files: ls, find, stat, du, df, and dd, which fills them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from stratus.sim.filesystem import Node, permissions
from stratus.sim.shell import OutOfMemory, Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.process import _bytes
from stratus.sim.shellcommands.values import _content

_NAMES = {0: "root", 65534: "nobody"}


def human(size: float) -> str:
    """Return a size as `-h` shows it: 512, 1.5K, 12.3M."""
    units = ["", "K", "M", "G", "T"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.1f}{units[0]}" if units[0] else f"{size:.0f}"


def _dated(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%b %e %H:%M")


def _row(shell: Shell, path: str, name: str, node: Node, in_human: bool) -> str:
    links = 2 if node.kind == "dir" else 1
    size = 4096 if node.kind == "dir" else node.size
    shown = human(size) if in_human else str(size)
    user, group = (_NAMES.get(n, str(n)) for n in node.owner)
    target = f" -> {node.text}" if node.kind == "link" else ""
    node = shell.world.shown_mode(path, node)
    at = _dated(node.modified or shell.world.birth())
    return f"{permissions(node)} {links:>4} {user:<8} {group:<8} {shown:>9} {at} {name}{target}\n"


@program("ls")
def _ls(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    code = 0
    files: list[tuple[str, str, Node]] = []
    folders: list[tuple[str, str]] = []
    for name in operands or ["."]:
        path = shell.path(name)
        # What is mounted may change, so that it is asked for at the script's own moment.
        there = _content(shell, path) is not None or shell.world.is_dir(path)
        node = (shell.world.lookup(path) or shell.world.stat(path)) if there else shell.world.lookup(path)
        if node is None:
            shell.err(f"ls: {name}: No such file or directory\n")
            code = 1
        elif shell.world.is_dir(path) and "d" not in options and not (node.kind == "link" and "l" in options):
            folders.append((name, path))
        else:
            files.append((name, path, node))
    for name, path, node in files:
        shell.out(_row(shell, path, name, node, "h" in options) if "l" in options else f"{name}\n")
    several = len(operands) > 1 or "R" in options
    for number, (name, path) in enumerate(folders):
        if several:
            shell.out(("\n" if number or files else "") + f"{name}:\n")
        _folder(shell, path, name, options)
    return code


def _folder(shell: Shell, path: str, name: str, options: dict[str, str]) -> None:
    names = [n for n in shell.world.list_dir(path) if {"a", "A"} & set(options) or not n.startswith(".")]
    if "a" in options:
        names = [".", "..", *names]
    nodes = {n: shell.world.lookup(shell.path(f"{path}/{n}")) or Node("dir", mode=0o755) for n in names}
    if "t" in options:
        names.sort(key=lambda n: -nodes[n].modified)
    if "S" in options:
        names.sort(key=lambda n: -nodes[n].size)
    if "r" in options:
        names.reverse()
    if "l" in options:
        shell.out(f"total {sum(4 if n.kind == 'dir' else -(-n.size // 4096) * 4 for n in nodes.values())}\n")
    for each in names:
        inner = shell.path(f"{path}/{each}")
        shell.out(_row(shell, inner, each, nodes[each], "h" in options) if "l" in options else f"{each}\n")
    if "R" in options:
        for each in names:
            if each not in (".", "..") and nodes[each].kind == "dir":
                shell.out(f"\n{name.rstrip('/')}/{each}:\n")
                _folder(shell, f"{path.rstrip('/')}/{each}", f"{name.rstrip('/')}/{each}", options)


@program("find")
def _find(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    starts = []
    while words and not words[0].startswith(("-", "!", "(")):
        starts.append(words.pop(0))
    try:
        tests, depth, command = _tests(words)
    except ValueError as error:
        shell.err(f"find: {error}\n")
        return 1
    code = 0
    found: list[str] = []
    for start in starts or ["."]:
        if shell.world.lookup(shell.path(start)) is None and not shell.world.is_dir(shell.path(start)):
            shell.err(f"find: {start}: No such file or directory\n")
            code = 1
            continue
        _walk(shell, start, 0, depth, tests, found)
    if "-delete" in words:
        for name in reversed(found):
            shell.world.remove(shell.path(name))
    elif command:
        for name in found:
            shell.command([name if w == "{}" else w for w in command])
    else:
        shell.out("".join(f"{name}\n" for name in found))
    return code


def _tests(words: list[str]) -> tuple[list[tuple[str, str, bool]], int, list[str]]:
    tests: list[tuple[str, str, bool]] = []
    depth, negate, i = 1000, False, 0
    command: list[str] = []
    while i < len(words):
        word = words[i]
        i += 1
        if word in ("!", "-not"):
            negate = True
            continue
        if word in ("-print", "-delete", "-a", "-and", "-xdev", "-mount", "-print0"):
            continue
        if word == "-exec":
            while i < len(words) and words[i] not in (";", "+"):
                command.append(words[i])
                i += 1
            i += 1
            continue
        if word in ("-empty",):
            tests.append((word, "", negate))
        elif word in (
            "-name",
            "-iname",
            "-type",
            "-maxdepth",
            "-mindepth",
            "-size",
            "-path",
            "-mmin",
            "-mtime",
            "-perm",
            "-newer",
        ):
            if i >= len(words):
                raise ValueError(f"{word}: requires an argument")
            if word == "-maxdepth":
                depth = int(words[i]) if words[i].isdigit() else depth
            else:
                tests.append((word, words[i], negate))
            i += 1
        else:
            raise ValueError(f"unrecognized: {word}")
        negate = False
    return tests, depth, command


def _walk(
    shell: Shell, name: str, level: int, depth: int, tests: list[tuple[str, str, bool]], found: list[str]
) -> None:
    path = shell.path(name)
    node = shell.world.lookup(path) or Node("dir")
    if all(_passes(shell, name, node, level, test) for test in tests):
        found.append(name)
    if node.kind == "dir" and level < depth:
        for each in shell.world.list_dir(path):
            _walk(shell, f"{name.rstrip('/')}/{each}" if name != "/" else f"/{each}", level + 1, depth, tests, found)


def _passes(shell: Shell, name: str, node: Node, level: int, test: tuple[str, str, bool]) -> bool:
    kind, value, negate = test
    base = name.rstrip("/").rpartition("/")[2] or name
    if kind == "-name":
        result = fnmatchcase(base, value)
    elif kind == "-iname":
        result = fnmatchcase(base.lower(), value.lower())
    elif kind == "-path":
        result = fnmatchcase(name, value)
    elif kind == "-type":
        result = {"f": "file", "d": "dir", "l": "link"}.get(value) == node.kind
    elif kind == "-mindepth":
        result = level >= int(value)
    elif kind == "-empty":
        result = not shell.world.list_dir(shell.path(name)) if node.kind == "dir" else node.size == 0
    elif kind == "-size":
        unit = {"c": 1, "k": 1024, "M": 1024**2, "G": 1024**3}.get(value[-1:], 512)
        amount = float(re.sub(r"[^\d.]", "", value) or 0)
        size = -(-node.size // unit)
        result = size > amount if value[0] == "+" else size < amount if value[0] == "-" else size == amount
    elif kind in ("-mmin", "-mtime"):
        age = (shell.world.now() - (node.modified or shell.world.birth())) / (60 if kind == "-mmin" else 86400)
        amount = float(re.sub(r"[^\d.]", "", value) or 0)
        result = age > amount if value[0] == "+" else age < amount if value[0] == "-" else int(age) == int(amount)
    else:
        result = True
    return result != negate


@program("stat")
def _stat(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "cf")
    code = 0
    for name in operands:
        path = shell.path(name)
        node = shell.world.lookup(path)
        if node is None:
            shell.err(f"stat: can't stat '{name}': No such file or directory\n")
            code = 1
            continue
        node = shell.world.shown_mode(path, node)
        size = 4096 if node.kind == "dir" else node.size
        at = datetime.fromtimestamp(node.modified or shell.world.birth(), UTC)
        word = {"file": "regular file", "dir": "directory", "link": "symbolic link"}[node.kind]
        marks = {"%s": size, "%n": name, "%a": f"{node.mode:o}", "%A": permissions(node), "%F": word, "%U": "root",
                 "%G": "root", "%u": node.owner[0], "%g": node.owner[1], "%Y": int(at.timestamp()),
                 "%y": at.strftime("%Y-%m-%d %H:%M:%S.000000000 +0000")}  # fmt: skip
        if options.get("c"):
            shell.out("".join(str(marks.get(p, p)) for p in re.split(r"(%[a-zA-Z])", options["c"])) + "\n")
            continue
        stamp = marks["%y"]
        shell.out(
            f"  File: {name}\n  Size: {size:<10}\tBlocks: {-(-size // 512):<10} IO Block: 4096   {word}\n"
            f"Device: 39h/57d\tInode: 1048577     Links: {2 if node.kind == 'dir' else 1}\n"
            f"Access: ({node.mode:04o}/{permissions(node)})  Uid: ({node.owner[0]:>5}/    root)   "
            f"Gid: ({node.owner[1]:>5}/    root)\nAccess: {stamp}\nModify: {stamp}\nChange: {stamp}\n"
        )
    return code


@program("du")
def _du(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "d")
    deepest = int(options["d"]) if options.get("d", "").isdigit() else 0 if "s" in options else 1000
    code = 0
    for name in operands or ["."]:
        if shell.world.lookup(shell.path(name)) is None:
            shell.err(f"du: {name}: No such file or directory\n")
            code = 1
            continue
        _weigh(shell, name, 0, deepest, options)
    return code


def _weigh(shell: Shell, name: str, level: int, deepest: int, options: dict[str, str]) -> int:
    path = shell.path(name)
    node = shell.world.lookup(path) or Node("dir")
    blocks = 4 if node.kind == "dir" else -(-node.size // 4096) * 4
    if node.kind == "dir" and not (level and path in ("/proc", "/sys")):
        for each in shell.world.list_dir(path):
            blocks += _weigh(shell, f"{name.rstrip('/')}/{each}", level + 1, deepest, options)
    if level <= deepest and (node.kind == "dir" or not level or "a" in options):
        shown = human(blocks * 1024.0) if "h" in options else blocks // 1024 if "m" in options else blocks
        shell.out(f"{shown}\t{name}\n")
    return blocks


@program("df")
def _df(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "t")
    rows = shell.world.usage()
    if operands:
        wanted = []
        for name in operands:
            path = shell.path(name)
            if shell.world.lookup(path) is None:
                shell.err(f"df: {name}: can't find mount point\n")
                return 1
            wanted.append(
                max(
                    (r for r in rows if path == r[1] or path.startswith(r[1].rstrip("/") + "/")),
                    key=lambda r: len(r[1]),
                )
            )
        rows = wanted
    if "i" in options:
        shell.out("Filesystem              Inodes      Used Available Use% Mounted on\n")
        for device, where, *_ in rows:
            shell.out(f"{device:<20} {3907584:>9} {341211:>9} {3566373:>9} {9:>3}% {where}\n")
        return 0
    in_human = "h" in options
    first = "Size" if in_human else "1M-blocks" if "m" in options else "1K-blocks"
    shell.out(f"Filesystem           {first:>9}      Used Available Use% Mounted on\n")
    for device, where, size, used in rows:
        share = -(-int(used * 100) // int(size)) if size else 0
        scale = 1024.0**2 if "m" in options else 1024.0
        cells = [human(n) if in_human else str(int(n / scale)) for n in (size, used, max(size - used, 0.0))]
        shell.out(f"{device:<20} {cells[0]:>9} {cells[1]:>9} {cells[2]:>9} {share:>3}% {where}\n")
    return 0


@program("mount")
def _mount(shell: Shell, argv: list[str]) -> int:
    if len(argv) > 2:
        shell.err("mount: permission denied (are you root?)\n")
        return 1
    for line in (shell.world.read("/proc/mounts") or "").splitlines():
        device, where, kind, how = line.split()[:4]
        shell.out(f"{device} on {where} type {kind} ({how})\n")
    return 0


@program("umount", "swapoff", "swapon", "sysctl_w", "modprobe", "iptables", "insmod")
def _forbidden(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    if base == "iptables":
        shell.err("iptables: Permission denied (you must be root)\n")
        return 4
    shell.err(f"{base}: can't do that here: Operation not permitted\n")
    return 1


@program("dd")
def _dd(shell: Shell, argv: list[str]) -> int:
    values = dict(w.partition("=")[::2] for w in argv[1:])
    size = int(_bytes(values.get("bs", "512")))
    limit = shell.ask("memory_limit")
    if limit and size > limit:
        shell.sleep(0.5)
        raise OutOfMemory
    count = int(values["count"]) if values.get("count", "").isdigit() else 0
    source, goal = values.get("if", ""), values.get("of", "")
    endless = source in ("/dev/zero", "/dev/urandom", "/dev/random")
    if not goal or goal == "/dev/null" or not (endless or source):
        return 0
    if endless:
        node = Node("file", "", 0o644, shell.world.now() + shell.elapsed, zeros=size * max(count, 1))
    else:
        text = _content(shell, shell.path(source))
        if text is None:
            shell.err(f"dd: can't open '{source}': No such file or directory\n")
            return 1
        node = Node("file", text[: size * count] if count else text, 0o644, shell.world.now() + shell.elapsed)
    problem = shell.world.put(shell.path(goal), node)
    if problem:
        shell.err(
            f"dd: error writing '{goal}': {problem}\n"
            if "space" in problem
            else f"dd: can't open '{goal}': {problem}\n"
        )
        return 1
    seconds = node.size / 5e8
    shell.err(
        f"{count or 1}+0 records in\n{count or 1}+0 records out\n"
        f"{node.size} bytes ({human(node.size)}B) copied, {seconds:.6f} seconds, {human(5e8)}B/s\n"
    )
    return 0
