"""One answer to several commands: split where a shell would start a new one, and nowhere else."""

from __future__ import annotations

import re

from stratus.model.actions import Refusal

_FENCE = re.compile(r"^\s*```[\w-]*\s*$", re.MULTILINE)
_PROMPT = re.compile(r"^\s*[$#>]\s+(?=kubectl\b)")


def split_commands(answer: str) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
    """Return the kubectl commands of an answer, in order, and refusals for whatever else stands in it.

    Code fences, a leading `$` and lines that are only a comment are dropped; a backslash at the end of a line joins it
    with the next. New commands begin after a line break, `;` or `&&` outside quotes. Everything else that means
    something to a shell stays in the command, for the grammar to refuse.
    """
    text = _FENCE.sub("", answer)
    if _outside_quotes(text, "<<"):
        return (), (_refusal(text, "a here-document is shell syntax"),)
    commands: list[str] = []
    refusals: list[Refusal] = []
    for piece in _pieces(text.replace("\\\n", " ")):
        line = _PROMPT.sub("", piece).strip().strip("`").strip()
        if not line:
            continue
        if line == "kubectl" or line.startswith("kubectl "):
            commands.append(line)
        else:
            refusals.append(_refusal(line, "only kubectl commands are understood"))
    return tuple(commands), tuple(refusals)


def _refusal(line: str, message: str) -> Refusal:
    return Refusal(
        command=line.strip()[:300],
        code="shell_syntax",
        message=message,
        hint="give one kubectl command a line, without pipes, redirections, substitutions or other programs",
    )


def _pieces(text: str) -> list[str]:
    pieces, current, quote, index = [], "", "", 0
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\" and quote == '"' and index + 1 < len(text):
                current += char
                index += 1
                char = text[index]
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "#" and not current.strip():
            # A line that is only a comment; its apostrophes must not swallow the lines after it.
            index = text.find("\n", index) if "\n" in text[index:] else len(text)
            continue
        elif char in "\n;" or text.startswith("&&", index):
            pieces.append(current)
            current = ""
            index += 1 if char in "\n;" else 2
            continue
        current += char
        index += 1
    return [*pieces, current]


def _outside_quotes(text: str, token: str) -> bool:
    quote = ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif text.startswith(token, index):
            return True
    return False
