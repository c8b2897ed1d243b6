"""Text in columns, as kubectl lays it out; pure."""

from __future__ import annotations

from collections.abc import Sequence

_GAP = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, headers: bool = True) -> str:
    """Return a table of one line a row, columns three blanks apart, the last one not padded."""
    lines = [list(header), *rows] if headers else list(rows)
    if not lines:
        return ""
    widths = [max(len(line[at]) for line in lines) + _GAP for at in range(len(lines[0]))]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)) + line[-1] + "\n"
        for line in lines
    )


def tabbed(text: str, gap: int = 2) -> str:
    """Turn tabs into blanks so that cells one below the other begin in the same place.

    A column is what neighbouring lines have before the same tab; a line without that tab ends it.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    _align(lines, 0, len(lines), 0, gap)
    return "\n".join("".join(cells) for cells in lines)


def _align(lines: list[list[str]], start: int, end: int, column: int, gap: int) -> None:
    at = start
    while at < end:
        if len(lines[at]) - 1 <= column:
            at += 1
            continue
        last = at
        while last < end and len(lines[last]) - 1 > column:
            last += 1
        width = max(len(lines[i][column]) for i in range(at, last))
        width += gap if width else 0
        for i in range(at, last):
            lines[i][column] = lines[i][column].ljust(width)
        _align(lines, at, last, column + 1, gap)
        at = last
