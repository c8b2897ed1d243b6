"""Programs that pick, order and count lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stratus.sim.shell import Forever, OutOfMemory, Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.process import _bytes
from stratus.sim.shellcommands.values import _content, _escape


def sources(shell: Shell, names: list[str], who: str) -> Iterator[tuple[str, str]]:
    """Return (name, text) of files, or of standard input; tell of those that are not there."""
    if not names:
        yield "(standard input)", shell.stdin
    for name in names:
        text = shell.stdin if name == "-" else _content(shell, shell.path(name))
        if text is None:
            is_dir = shell.world.is_dir(shell.path(name))
            shell.err(f"{who}: {name}: {'Is a directory' if is_dir else 'No such file or directory'}\n")
            shell.status = 1
            continue
        yield name, text


def _input(shell: Shell, names: list[str], who: str = "cat") -> str:
    return "".join(text for _, text in sources(shell, names, who))


def expression(text: str, *, extended: bool) -> str:
    """Return a POSIX regular expression as Python writes it."""
    for name, chars in (("alpha", "a-zA-Z"), ("digit", "0-9"), ("alnum", "a-zA-Z0-9"), ("space", r"\s"), ("upper",
    "A-Z"),
                        ("lower", "a-z"), ("punct", r"!-/:-@\[-`{-~"), ("xdigit", "0-9a-fA-F")):  # fmt: skip
        text = text.replace(f"[:{name}:]", chars)
    if extended:
        return text
    out, i = "", 0
    while i < len(text):
        pair = text[i : i + 2]
        if pair in (r"\(", r"\)", r"\|", r"\{", r"\}", r"\+", r"\?"):
            out += pair[1]
            i += 2
        elif text[i] == "\\":
            out += pair
            i += 2
        elif text[i] in "(){}|+?":
            out += "\\" + text[i]
            i += 1
        elif text[i] == "[":
            end = text.find("]", i + 2)
            end = len(text) - 1 if end < 0 else end
            out += text[i : end + 1]
            i = end + 1
        else:
            out += text[i]
            i += 1
    return out


def _files(shell: Shell, names: list[str]) -> list[str]:
    """Return the files under some directories."""
    found: list[str] = []
    for name in names:
        if shell.world.is_dir(shell.path(name)):
            found += _files(shell, [f"{name.rstrip('/')}/{n}" for n in shell.world.list_dir(shell.path(name))])
        else:
            found.append(name)
    return found


@program("grep", "egrep", "fgrep", "zgrep", "rg")
def _grep(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    options, operands = _options(argv, "eABCmf")
    patterns = [argv[n + 1] for n, w in enumerate(argv[:-1]) if w == "-e"] or (
        [options["e"]] if options.get("e") else []
    )
    if not patterns:
        if not operands:
            shell.err(f"Usage: {base} [OPTION]... PATTERNS [FILE]...\n")
            return 2
        patterns = operands.pop(0).split("\n")
    fixed = "F" in options or base == "fgrep"
    extended = "E" in options or "P" in options or base in ("egrep", "rg")
    whole = "|".join(re.escape(p) if fixed else f"(?:{expression(p, extended=extended)})" for p in patterns)
    whole = rf"\b(?:{whole})\b" if "w" in options else f"^(?:{whole})$" if "x" in options else whole
    try:
        wanted = re.compile(whole, re.IGNORECASE if "i" in options else 0)
    except re.error:
        shell.err(f"{base}: bad regex '{patterns[0]}'\n")
        return 2
    deep = bool({"r", "R"} & set(options))
    if deep:
        operands = _files(shell, operands or ["."])
    named = ("H" in options or deep or len(operands) > 1) and "h" not in options
    hit = False
    shell.status = 0
    for name, text in sources(shell, operands, base):
        hit = _grep_one(shell, name if named else "", name, text, wanted, options) or hit
    return 2 if shell.status and not hit else int(not hit)


def _grep_one(shell: Shell, label: str, name: str, text: str, wanted: re.Pattern[str], options: dict[str, str]) -> bool:
    lines = text.splitlines()
    hits = [n for n, line in enumerate(lines) if (wanted.search(line) is not None) != ("v" in options)]
    if options.get("m", "").isdigit():
        hits = hits[: int(options["m"])]
    lead = f"{label}:" if label else ""
    if "q" in options:
        return bool(hits)
    if "c" in options:
        shell.out(f"{lead}{len(hits)}\n")
    elif "l" in options or "L" in options:
        shell.out(f"{name}\n" if bool(hits) == ("l" in options) else "")
    elif "o" in options:
        for n in hits:
            mark = f"{n + 1}:" if "n" in options else ""
            shell.out("".join(f"{lead}{mark}{m.group()}\n" for m in wanted.finditer(lines[n]) if m.group()))
    else:
        before = int(options.get("B") or options.get("C") or 0)
        after = int(options.get("A") or options.get("C") or 0)
        shown: set[int] = set()
        last = -1
        for n in hits:
            for k in range(max(n - before, 0), min(n + after + 1, len(lines))):
                if k in shown:
                    continue
                if (before or after) and last >= 0 and k > last + 1:
                    shell.out("--\n")
                mark = ":" if k in hits else "-"
                number = f"{k + 1}{mark}" if "n" in options else ""
                start = f"{label}{mark}" if label else ""
                shell.out(f"{start}{number}{lines[k]}\n")
                shown.add(k)
                last = k
    return bool(hits)


@program("head", "tail")
def _head(shell: Shell, argv: list[str]) -> int:
    first = argv[0].endswith("head")
    base = "head" if first else "tail"
    words = [w for w in argv if not re.fullmatch(r"-\d+", w)]
    options, operands = _options(words, "nc")
    short = next((w[1:] for w in argv if re.fullmatch(r"-\d+", w)), None)
    if "/dev/zero" in operands:
        size = _bytes(options["c"]) if options.get("c") else float("inf")
        if not first or size > float(shell.ask("memory_limit") or "inf"):
            shell.sleep(0.6)
            raise OutOfMemory
        shell.out("\0" * min(int(size), 1 << 20))
        return 0
    follows = not first and bool({"f", "F", "follow"} & set(options))
    if follows and (operands == ["/dev/null"] or not operands):
        raise Forever
    shell.status = 0
    several = len(operands) > 1
    for number, (name, text) in enumerate(sources(shell, operands, base)):
        if several and "q" not in options:
            shell.out(("\n" if number else "") + f"==> {name} <==\n")
        shell.out(_part(text, first, options, short))
    if follows:
        raise Forever
    return shell.status


def _part(text: str, first: bool, options: dict[str, str], short: str | None) -> str:
    if options.get("c"):
        size = int(_bytes(options["c"].lstrip("+-")))
        if options["c"].startswith("+"):
            return text[size - 1 :]
        return text[:size] if first else text[-size:] if size else ""
    lines = text.splitlines(keepends=True)
    wanted = short or options.get("n") or options.get("lines") or "10"
    count = int(wanted.lstrip("+-") or 0)
    if first:
        return "".join(lines[:-count] if wanted.startswith("-") and not short and count else lines[:count])
    return "".join(lines[count - 1 :] if wanted.startswith("+") else lines[-count:] if count else [])


@program("wc")
def _wc(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    wanted = [k for k in "lwcmL" if k in options] or list("lwc")
    total = dict.fromkeys("lwcmL", 0)
    rows = []
    shell.status = 0
    for name, text in sources(shell, operands, "wc"):
        size = len(text.encode("utf-8", "surrogateescape"))
        longest = max((len(line) for line in text.splitlines()), default=0)
        figures = {"l": text.count("\n"), "w": len(text.split()), "c": size, "m": len(text), "L": longest}
        for k, v in figures.items():
            total[k] = total[k] + v if k != "L" else max(total[k], v)
        rows.append((figures, f" {name}" if operands else ""))
    if len(rows) > 1:
        rows.append((total, " total"))
    for figures, label in rows:
        plain = " ".join(str(figures[k]) for k in wanted)
        shell.out((plain if len(rows) == 1 else " ".join(f"{figures[k]:>7}" for k in wanted)) + f"{label}\n")
    return shell.status


def _number(text: str) -> float:
    found = re.match(r"\s*([-+]?\d*\.?\d+)", text)
    return float(found.group(1)) if found else 0.0


def _human(text: str) -> float:
    found = re.match(r"\s*([-+]?\d*\.?\d+)\s*([KMGTP]?)", text)
    return float(found.group(1)) * 1024.0 ** "KMGTP".find(found.group(2) or "-").__add__(1) if found else 0.0


@program("sort")
def _sort(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "ktoS")
    lines = _input(shell, operands, "sort").splitlines()
    keys = [argv[n + 1] for n, w in enumerate(argv[:-1]) if w == "-k"] or ([options["k"]] if options.get("k") else [])
    separator = options.get("t") or None

    def value(line: str) -> tuple[object, ...]:
        found: list[object] = []
        for key in keys or [""]:
            match = re.match(r"(\d+)(?:\.\d+)?([a-zA-Z]*)(?:,(\d+))?", key)
            text, flags = line, "".join(options)
            if match:
                parts = line.split(separator)
                start, end = int(match.group(1)) - 1, int(match.group(3) or len(parts))
                text = (separator or " ").join(parts[start:end])
                flags += match.group(2)
            if "n" in flags or "g" in flags:
                found.append(_number(text))
            elif "h" in flags:
                found.append(_human(text))
            elif "V" in flags:
                found.append([int(p) if p.isdigit() else p for p in re.split(r"(\d+)", text)][1::2])
            else:
                found.append(text.lower() if "f" in flags else text)
        return tuple(found)

    flipped = "r" in options or any(re.match(r"\d+\w*r", k) for k in keys)
    # Lines that are alike are in the order of their bytes, unless they are to stay as they came.
    lines.sort(key=lambda line: (value(line), "" if "s" in options else line), reverse=flipped)
    if "u" in options:
        lines = list({(value(line) if keys else line): line for line in reversed(lines)}.values())[::-1]
    text = "".join(f"{line}\n" for line in lines)
    if options.get("o"):
        shell.world.write(shell.path(options["o"]), text, False)
    else:
        shell.out(text)
    return 0


@program("uniq")
def _uniq(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "fsw")
    groups: list[tuple[str, int]] = []
    for line in _input(shell, operands, "uniq").splitlines():
        same = groups and (groups[-1][0].lower() == line.lower() if "i" in options else groups[-1][0] == line)
        if same:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        else:
            groups.append((line, 1))
    for line, count in groups:
        if ("d" in options and count < 2) or ("u" in options and count > 1):
            continue
        shell.out(f"{count:>7} {line}\n" if "c" in options else f"{line}\n")
    return 0


def _spread(text: str) -> str:
    for name, chars in (
        ("upper", "A-Z"),
        ("lower", "a-z"),
        ("digit", "0-9"),
        ("alpha", "a-zA-Z"),
        ("alnum", "a-zA-Z0-9"),
    ):
        text = text.replace(f"[:{name}:]", chars)
    text = _escape(text.replace("[:space:]", " \t\n\r").replace("[:blank:]", " \t"))
    return re.sub(r"(.)-(.)", lambda m: "".join(chr(c) for c in range(ord(m[1]), ord(m[2]) + 1)), text, flags=re.DOTALL)


@program("tr")
def _tr(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    first = _spread(operands[0]) if operands else ""
    text = shell.stdin
    if "c" in options or "C" in options:
        others = sorted({c for c in text if c not in first})
        first = "".join(others)
    if "d" in options:
        text = "".join(c for c in text if c not in first)
    elif len(operands) > 1:
        second = _spread(operands[1])
        second += second[-1:] * max(0, len(first) - len(second))
        text = text.translate({ord(a): b for a, b in zip(first, second, strict=False)})
    if "s" in options:
        squeezed = _spread(operands[-1]) if "c" not in options else first
        text = re.sub(f"([{re.escape(squeezed)}])\\1+", r"\1", text) if squeezed else text
    shell.out(text)
    return 0


def ranges(text: str, size: int) -> list[int]:
    """Return the places that `1,3-5,7-` means, from 0."""
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = int(first or 1)
        end = int(last) if last else size if dash else begin
        found += [n - 1 for n in range(begin, min(end, size) + 1)]
    return found


@program("cut")
def _cut(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "dfcb")
    for line in _input(shell, operands, "cut").splitlines():
        chars = options.get("c") or options.get("b")
        if chars:
            shell.out("".join(line[n] for n in ranges(chars, len(line))) + "\n")
            continue
        separator = options.get("d") or "\t"
        parts = line.split(separator)
        if separator not in line:
            shell.out("" if "s" in options else f"{line}\n")
        else:
            shell.out(separator.join(parts[n] for n in ranges(options.get("f", "1"), len(parts))) + "\n")
    return 0


@program("rev", "tac", "nl", "paste", "column", "fold", "expand", "strings", "less", "more")
def _lines(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    options, operands = _options(argv, {"paste": "d", "column": "ts", "fold": "w"}.get(base, ""))
    texts = [text for _, text in sources(shell, operands, base)]
    lines = "".join(texts).splitlines()
    if base == "rev":
        lines = [line[::-1] for line in lines]
    elif base == "tac":
        lines.reverse()
    elif base == "nl":
        lines = [f"{n:>6}\t{line}" for n, line in enumerate(lines, 1)]
    elif base == "paste":
        mark = (options.get("d") or "\t")[:1]
        columns = [t.splitlines() for t in texts]
        if "s" in options or len(columns) == 1:
            lines = [mark.join(c) for c in columns] if "s" in options else columns[0]
        else:
            height = max(len(c) for c in columns)
            lines = [mark.join(c[n] if n < len(c) else "" for c in columns) for n in range(height)]
    elif base == "column" and lines:
        cells = [line.split(options.get("s") or None) for line in lines]
        wide = [max((len(r[n]) for r in cells if n < len(r)), default=0) for n in range(max(map(len, cells)))]
        lines = ["  ".join(c.ljust(wide[n]) for n, c in enumerate(row)).rstrip() for row in cells]
    shell.out("".join(f"{line}\n" for line in lines))
    return 0


@program("diff", "cmp", "comm")
def _diff(shell: Shell, argv: list[str]) -> int:
    import difflib

    base = argv[0].rpartition("/")[2]
    options, operands = _options(argv, "U")
    found = list(sources(shell, operands[:2], base))
    if len(found) < 2:
        return 2
    (one, left), (other, right) = found
    if left == right:
        return 0
    if base == "cmp":
        at = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
        shell.out(f"{one} {other} differ: char {at + 1}, line {left.count(chr(10), 0, at) + 1}\n")
    elif "q" in options:
        shell.out(f"Files {one} and {other} differ\n")
    else:
        shell.out(
            "".join(
                f"{line}\n"
                for line in difflib.unified_diff(left.splitlines(), right.splitlines(), one, other, lineterm="")
            )
        )
    return 1
