"""What the server's JSON parser says of a text that is no JSON."""

from __future__ import annotations

import re

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


def json_error(body: bytes, error: ValueError) -> str:
    """Return the parser's complaint about a body that cannot be parsed."""
    text = body.decode("utf-8", "replace").strip()
    wants = str(error).partition(":")[0]
    if not text:
        return "unexpected end of JSON input"
    for word in ("null", "true", "false"):
        if text[0] == word[0]:
            for got, want in zip(text, word, strict=False):
                if got != want:
                    return f"invalid character '{got}' in literal {word} (expecting '{want}')"
    at = getattr(error, "pos", 0)
    if at >= len(text):
        return "unexpected end of JSON input"
    place = {
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Extra data": "after top-level value",
    }.get(wants, "looking for beginning of value")
    if wants == "Expecting ',' delimiter":
        # The parser does not say which of the two it was in.
        depth: list[str] = []
        for char in _STRINGS.sub("", text[:at]):
            if char in "{[":
                depth.append(char)
            elif char in "}]" and depth:
                depth.pop()
        place = "after array element" if depth[-1:] == ["["] else "after object key:value pair"
    return f"invalid character '{text[at]}' {place}"
