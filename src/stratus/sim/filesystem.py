"""Files as containers and volumes hold them: contents, modes, owners and times, cheap to copy.

A content is text; bytes that are no UTF-8 are kept as lone surrogates (`surrogateescape`), so that nothing is lost on
the way from and to a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

#: Zeros that are shown of a file that was filled with more of them.
SHOWN_ZEROS = 1 << 20


def to_text(data: bytes) -> str:
    """Return bytes as text from which they can be had back."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Node:
    """A file, a directory or a symbolic link.

    Attributes:
        text: the content, or the link's target; `zeros` is how many zero bytes follow it.
        mode: permission bits; `owner` is (user id, group id); `modified` is in seconds since the epoch.
    """

    kind: Literal["file", "dir", "link"] = "file"
    text: str = ""
    mode: int = 0o644
    modified: float = 0.0
    owner: tuple[int, int] = (0, 0)
    zeros: int = 0

    @property
    def size(self) -> int:
        """Return the bytes it holds."""
        return len(self.text) + self.zeros if self.text.isascii() else len(to_bytes(self.text)) + self.zeros

    def content(self) -> str:
        """Return the whole content; of very many zeros only the first."""
        return self.text + "\0" * min(self.zeros, SHOWN_ZEROS) if self.zeros else self.text


@dataclass(slots=True)
class Tree:
    """Nodes by absolute path, over something below: `gone` are the paths below that were removed."""

    nodes: dict[str, Node] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def clone(self) -> Tree:
        """Return an independent copy; the nodes are shared, they never change."""
        return Tree(dict(self.nodes), set(self.gone))

    def put(self, path: str, node: Node) -> None:
        """Put a node in place of whatever was there."""
        self.nodes[path] = node

    def drop(self, path: str) -> bool:
        """Forget a node and all below it; return whether there was anything."""
        found = [p for p in self.nodes if p == path or p.startswith(path.rstrip("/") + "/")]
        for each in found:
            del self.nodes[each]
        return bool(found)

    def hide(self, path: str) -> None:
        """Let a path of the tree below, with all below it, be gone."""
        self.drop(path)
        self.gone.add(path)

    def hides(self, path: str) -> bool:
        """Tell whether a path of the tree below is gone."""
        return bool(self.gone) and any(path == g or path.startswith(g + "/") for g in self.gone)

    def under(self, top: str) -> Iterator[tuple[str, Node]]:
        """Return what lies below a directory."""
        start = top.rstrip("/") + "/"
        return ((p, n) for p, n in self.nodes.items() if p.startswith(start))

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(n.size for n in self.nodes.values() if n.kind == "file")


def with_mode(node: Node, mode: int) -> Node:
    """Return a node with other permission bits."""
    return replace(node, mode=mode)


def permissions(node: Node) -> str:
    """Return what `ls -l` shows: kind and permission bits."""
    first = {"dir": "d", "link": "l", "file": "-"}[node.kind]
    mode = 0o777 if node.kind == "link" else node.mode
    text = "".join(letter if mode & (1 << (8 - at)) else "-" for at, letter in enumerate("rwxrwxrwx"))
    if mode & 0o1000:
        text = text[:-1] + ("t" if text[-1] == "x" else "T")
    return first + text
