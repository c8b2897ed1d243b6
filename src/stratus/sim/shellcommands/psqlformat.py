"""How psql prints: aligned and unaligned tables, records, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DISPLAY, _RIGHT = 60, 10


@dataclass
class Style:
    """How results are printed."""

    aligned: bool = True
    tuples: bool = False
    expanded: bool = False
    quiet: bool = False
    separator: str = "|"
    ending: str = "\n"
    null: str = ""
    footer: bool = True
    csv: bool = False


def _count(number: int) -> str:
    return f"({number} row{'' if number == 1 else 's'})"


def table(answer: dict[str, Any], style: Style) -> str:
    """Return a result as it is printed."""
    columns: list[str] = answer["columns"]
    rows = [[style.null if v is None else str(v) for v in row] for row in answer["rows"]]
    title, counted = answer.get("title", ""), answer.get("counted", True)
    footers = list(answer.get("footers", ()))
    if style.csv:
        lines = ([",".join(_quoted(c) for c in columns)] if not style.tuples else []) + [
            ",".join(_quoted(c) for c in row) for row in rows
        ]
        return "".join(f"{line}\n" for line in lines)
    if counted and style.footer and not style.tuples and (not style.expanded or not rows):
        footers.append(_count(len(rows)))
    if style.tuples:
        footers = []
    if answer.get("plain"):
        style = Style(**{**style.__dict__, "expanded": False})
    if style.expanded and (rows or not counted):
        return _records(columns, rows, title, style, footers)
    if not style.aligned:
        return _unaligned(columns, rows, title, style, footers)
    if style.expanded:
        return f"{footers[-1]}\n\n" if footers else ""
    return _aligned(columns, rows, answer["right"], title, style, footers)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text


def _width(text: str) -> int:
    return max((len(line) for line in text.split("\n")), default=0)


def _aligned(
    columns: list[str], rows: list[list[str]], right: list[bool], title: str, style: Style, footers: list[str]
) -> str:
    widths = [max(_width(c), *(_width(r[n]) for r in rows), 0) if rows else _width(c) for n, c in enumerate(columns)]
    if style.tuples and rows:
        widths = [max(_width(c), *(_width(r[n]) for r in rows)) for n, c in enumerate(columns)]
    out = []
    if not style.tuples:
        whole = sum(widths) + 3 * len(columns) - 1
        if title:
            out.append(" " * max((whole - len(title)) // 2, 0) + title)
        cells = []
        for name, width in zip(columns, widths, strict=True):
            spare = width - len(name)
            cells.append(" " + " " * (spare // 2) + name + " " * (spare - spare // 2) + " ")
        out.append("|".join(cells))
        out.append("+".join("-" * (w + 2) for w in widths))
    for row in rows:
        out += _lines(row, widths, right)
    out += footers
    return "".join(f"{line}\n" for line in out) + "\n"


def _lines(row: list[str], widths: list[int], right: list[bool]) -> list[str]:
    parts = [cell.split("\n") for cell in row]
    height = max((len(p) for p in parts), default=1)
    out = []
    for at in range(height):
        line = ""
        for number, part in enumerate(parts):
            text = part[at] if at < len(part) else ""
            more = at < len(part) - 1
            last = number == len(parts) - 1
            if right[number]:
                text = text.rjust(widths[number])
            elif not last or more:
                text = text.ljust(widths[number])
            line += " " + text + ("+" if more else "" if last else " ") + ("" if last else "|")
        out.append(line)
    return out


def _unaligned(columns: list[str], rows: list[list[str]], title: str, style: Style, footers: list[str]) -> str:
    out = [] if style.tuples else ([title] if title else []) + [style.separator.join(columns)]
    out += [style.separator.join(row) for row in rows] + footers
    return "".join(f"{line}{style.ending}" for line in out)


def _records(columns: list[str], rows: list[list[str]], title: str, style: Style, footers: list[str]) -> str:
    out = [] if style.tuples or not title else [title]
    if not style.aligned:
        for number, row in enumerate(rows):
            if number:
                out.append("")
            out += [f"{name}{style.separator}{value}" for name, value in zip(columns, row, strict=True)]
        return "".join(f"{line}\n" for line in out)
    head = max((_width(c) for c in columns), default=0)
    data = max((_width(v) for row in rows for v in row), default=0)
    for number, row in enumerate(rows, 1):
        rule = "-" * (head + 1) + "+" + "-" * (data + 1)
        if not style.tuples:
            mark = f"-[ RECORD {number} ]"
            out.append(mark + rule[len(mark) :])
        elif number > 1:
            out.append(rule)
        for name, value in zip(columns, row, strict=True):
            parts = value.split("\n")
            for at, part in enumerate(parts):
                more = at < len(parts) - 1
                label = name if at == 0 else ""
                text = f"{part:<{data}}+" if more else part
                out.append(f"{label:<{head}} | {text}")
    return "".join(f"{line}\n" for line in [*out, *footers]) + "\n"


def error_text(answer: dict[str, Any], query: str, prefix: str = "") -> str:
    """Return an error as it is printed, pointing at the place in the query."""
    lines = [f"{prefix}{answer['severity']}:  {answer['message']}"]
    if answer.get("position") is not None:
        lines += pointed(query, int(answer["position"]))
    if answer.get("detail"):
        lines.append(f"DETAIL:  {answer['detail']}")
    if answer.get("hint"):
        lines.append(f"HINT:  {answer['hint']}")
    return "".join(f"{line}\n" for line in lines)


def pointed(query: str, at: int) -> list[str]:
    """Return the line of a query and a mark below the place."""
    start = query.rfind("\n", 0, at) + 1
    end = query.find("\n", at)
    end = len(query) if end < 0 else end
    number = query.count("\n", 0, at) + 1
    line, place = query[start:end].replace("\t", " "), at - start
    begin, stop, before, after = 0, len(line), False, False
    if stop > _DISPLAY:
        if place + _RIGHT <= _DISPLAY:
            stop, after = _DISPLAY, True
        else:
            if place + _RIGHT < stop:
                stop, after = place + _RIGHT, True
            if stop - begin > _DISPLAY:
                begin, before = stop - _DISPLAY, True
    lead = f"LINE {number}: " + ("..." if before else "")
    text = lead + line[begin:stop] + ("..." if after else "")
    return [text, " " * (len(lead) + place - begin) + "^"]
