"""Text made safe and short: trimming, fencing, and redaction of what must not leave the cluster."""

from __future__ import annotations

import re

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        "[private key]",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), "[token]"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "[key id]"),
    (
        re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-(?:proj-)?|npm_|hf_)[A-Za-z0-9_-]{16,}"),
        "[token]",
    ),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"), "[key]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 [token]"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s:/@]*:[^\s/@]+@"), r"\1[credentials]@"),
    (
        re.compile(
            r"""(?ix)
            (["']?[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key
            |credential|auth[_-]?key)[\w-]*["']?\s*(?:=|:)\s*)   # a name that says so
            (?:"[^"\n]{1,}"|'[^'\n]{1,}'|(?!\[)[^\s,;&"'{}\[\]]+)
            """
        ),
        r"\1[redacted]",
    ),
    (re.compile(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"), "[email]"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def clean(text: str) -> str:
    """Drop terminal escapes, control and invisible formatting characters; tabs and newlines stay."""
    return _CONTROL.sub("", _ANSI.sub("", text))


def redact(text: str) -> str:
    """Replace passwords, tokens, keys, credentials in URLs and e-mail addresses; IP addresses and names stay."""
    text = clean(text)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


_SECRET_NAME = re.compile(r"(?i)passw|passwd|pwd|secret|token|api_?key|private_?key|access_?key|credential|auth_?key")


def secretive(name: str) -> bool:
    """Whether a setting of this name holds a secret, so that its value must not be shown or repeated."""
    return bool(_SECRET_NAME.search(name))


def trim(text: str, limit: int = 200) -> str:
    """Return one line of at most `limit` characters, whitespace collapsed, the cut marked by an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"


def line(text: str, limit: int = 200) -> str:
    """Return text from the cluster as one short redacted line."""
    return trim(redact(text), limit)


def fence(text: str, label: str = "data") -> str:
    """Wrap untrusted text so that its end cannot be forged from within."""
    mark = f"<<<{label}>>>"
    safe = clean(text).replace("<<<", "< < <").replace(">>>", "> > >")
    return f"{mark}\n{safe}\n<<<end of {label}>>>"
