"""tar and gzip: how files are copied into containers and out of them."""

from __future__ import annotations

import gzip as gz
import io
import tarfile
import zlib

from stratus.sim.filesystem import Node, to_bytes, to_text
from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import program

_LETTERS_WITH_VALUE = "fCTXb"
_LONG_WITH_VALUE = frozenset(
    {"file", "directory", "exclude", "strip-components", "transform", "owner", "group", "mode"}
)


class _Request:
    """What a command line asks of tar."""

    def __init__(self, words: list[str]) -> None:
        self.flags: set[str] = set()
        self.file = "-"
        self.where = "."
        self.excluded: list[str] = []
        self.strip = 0
        self.names: list[str] = []
        pending: list[str] = []
        for number, word in enumerate(words):
            if pending:
                self._value(pending.pop(0), word)
            elif word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                if name in _LONG_WITH_VALUE:
                    pending += [] if equals else [name]
                    if equals:
                        self._value(name, value)
                else:
                    short = {"create": "c", "extract": "x", "list": "t", "verbose": "v", "gzip": "z", "to-stdout": "O"}
                    self.flags.add(short.get(name, name))
            elif (word.startswith("-") and len(word) > 1) or (number == 0 and not word.startswith("-")):
                letters = word.lstrip("-")
                for position, letter in enumerate(letters):
                    if letter not in _LETTERS_WITH_VALUE:
                        self.flags.add(letter)
                        continue
                    rest = letters[position + 1 :]
                    if word.startswith("-") and rest:
                        self._value(letter, rest)
                        break
                    pending.append(letter)
            else:
                self.names.append(word)

    def _value(self, name: str, value: str) -> None:
        if name in ("f", "file"):
            self.file = value
        elif name in ("C", "directory"):
            self.where = value
        elif name == "exclude":
            self.excluded.append(value.strip("/"))
        elif name == "strip-components":
            self.strip = int(value) if value.isdigit() else 0


@program("tar")
def _tar(shell: Shell, argv: list[str]) -> int:
    wish = _Request(argv[1:])
    saved = shell.cwd
    where = shell.path(wish.where)
    if not shell.world.is_dir(where):
        shell.err(f"tar: can't change directory to '{wish.where}': No such file or directory\n")
        return 1
    archive = shell.path(wish.file) if wish.file != "-" else "-"
    shell.cwd = where
    try:
        if "c" in wish.flags:
            return _create(shell, wish, archive)
        if "x" in wish.flags or "t" in wish.flags:
            return _extract(shell, wish, archive)
    finally:
        shell.cwd = saved
    shell.err("tar: must specify one of -c, -x or -t\n")
    return 1


def _create(shell: Shell, wish: _Request, archive: str) -> int:
    if not wish.names:
        shell.err("tar: empty archive\n")
        return 1
    buffer = io.BytesIO()
    code = 0
    told: list[str] = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as out:
        for name in wish.names:
            path = shell.path(name)
            if shell.world.lookup(path) is None:
                shell.err(f"tar: {name}: No such file or directory\n")
                code = 1
                continue
            if name.startswith("/") and not told:
                shell.err("tar: removing leading '/' from member names\n")
            _add(shell, wish, out, path, name.lstrip("/") or ".", told)
    if code:
        shell.err("tar: error exit delayed from previous errors\n")
    data = buffer.getvalue()
    if "z" in wish.flags:
        data = gz.compress(data, mtime=0)
    listing = "".join(f"{line}\n" for line in told) if "v" in wish.flags else ""
    if archive == "-":
        shell.err(listing)
        shell.out(to_text(data))
        return code
    shell.out(listing)
    problem = shell.world.write(archive, to_text(data), False)
    if problem:
        shell.err(f"tar: can't open '{wish.file}': {problem}\n")
        return 1
    return code


def _add(shell: Shell, wish: _Request, out: tarfile.TarFile, path: str, name: str, told: list[str]) -> None:
    """Add a node, and what is below it, to an archive."""
    node = shell.world.lookup(path)
    if node is None or any(name == e or name.startswith(e + "/") for e in wish.excluded):
        return
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = node.mode, int(node.modified)
    info.uid, info.gid = node.owner
    info.uname, info.gname = ("root", "root") if node.owner == (0, 0) else ("", "")
    data = b""
    if node.kind == "dir":
        info.type = tarfile.DIRTYPE
    elif node.kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, node.text
    else:
        data = to_bytes(shell.world.read(path) or "")
        info.size = len(data)
    out.addfile(info, io.BytesIO(data))
    told.append(name + ("/" if node.kind == "dir" else ""))
    if node.kind == "dir":
        for each in shell.world.list_dir(path):
            _add(shell, wish, out, f"{path.rstrip('/')}/{each}", f"{name}/{each}", told)


def _extract(shell: Shell, wish: _Request, archive: str) -> int:
    text = shell.stdin if archive == "-" else shell.world.read(archive)
    if text is None:
        shell.err(f"tar: can't open '{wish.file}': No such file or directory\n")
        return 1
    data = to_bytes(text)
    try:
        if data[:2] == b"\x1f\x8b":
            data = gz.decompress(data)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as source:
            return _unpack(shell, wish, source)
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        shell.err("tar: invalid tar magic\n" if data.strip(b"\0") else "tar: short read\n")
        return 1


def _unpack(shell: Shell, wish: _Request, source: tarfile.TarFile) -> int:
    code = 0
    wanted = [n.strip("/") for n in wish.names]
    for member in source:
        parts = [p for p in member.name.split("/") if p not in ("", ".")]
        if ".." in parts:
            shell.err(f"tar: name with '..' skipped: '{member.name}'\n")
            continue
        name = "/".join(parts[wish.strip :])
        if not name or (wanted and not any(member.name == w or member.name.startswith(w + "/") for w in wanted)):
            continue
        if "t" in wish.flags:
            shell.out(name + ("/" if member.isdir() else "") + "\n")
            continue
        if "O" in wish.flags:
            body = source.extractfile(member) if member.isfile() else None
            shell.out(to_text(body.read()) if body is not None else "")
            continue
        problem = _place(shell, wish, source, member, name)
        if problem:
            shell.err(f"tar: can't open '{name}': {problem}\n")
            code = 1
            break
        if "v" in wish.flags:
            shell.out(f"{name}\n")
    return code


def _place(shell: Shell, wish: _Request, source: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> str:
    path = shell.path(name)
    at = float(member.mtime) if "m" not in wish.flags else shell.world.now() + shell.elapsed
    if member.isdir():
        if shell.world.is_dir(path):
            return ""
        return shell.world.mkdir(path, member.mode)
    parent = path.rpartition("/")[0] or "/"
    if not shell.world.is_dir(parent):
        problem = shell.world.mkdir(parent)
        if problem:
            return problem
    if member.issym():
        return shell.world.put(path, Node("link", member.linkname, 0o777, at))
    if member.islnk():
        found = shell.world.lookup(shell.path(member.linkname))
        return shell.world.put(path, found) if found is not None else "No such file or directory"
    if not member.isfile():
        return ""
    body = source.extractfile(member)
    return shell.world.put(path, Node("file", to_text(body.read() if body is not None else b""), member.mode, at))


@program("gzip", "gunzip", "zcat")
def _gzip(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    flags = {letter for w in argv[1:] if w.startswith("-") and w != "-" for letter in w.lstrip("-")}
    names = [w for w in argv[1:] if not w.startswith("-")]
    unpack = base in ("gunzip", "zcat") or "d" in flags
    for name in names or ["-"]:
        text = shell.stdin if name == "-" else shell.world.read(shell.path(name))
        if text is None:
            shell.err(f"{base}: {name}: No such file or directory\n")
            return 1
        try:
            data = gz.decompress(to_bytes(text)) if unpack else gz.compress(to_bytes(text), mtime=0)
        except (OSError, EOFError, zlib.error):
            shell.err(f"{base}: invalid magic\n")
            return 1
        if name == "-" or "c" in flags or base == "zcat":
            shell.out(to_text(data))
            continue
        path = shell.path(name)
        shell.world.write(path.removesuffix(".gz") if unpack else f"{path}.gz", to_text(data), False)
        if "k" not in flags:
            shell.world.remove(path)
    return 0
