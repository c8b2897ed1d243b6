"""Makes alike what differs from run to run in what kubectl prints: names, uids, times, versions, addresses, widths."""

from __future__ import annotations

import re

from stratus.conformance.normal import TIME, UID

#: Letters that generated names are made of.
LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
#: Credentials in a printed kubeconfig, which the recordings do not show.
_CREDENTIALS = (
    (re.compile(r"^ *(certificate-authority|client-certificate|client-key)-data: .*\n", re.MULTILINE), ""),
    (re.compile(r"^( *)user:\n *token: REDACTED$", re.MULTILINE), r"\1user: {}"),
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (UID, "UID"),
    (TIME, "TIME"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "REDACTED.TOKEN.REDACTED"),
    (re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( UTC)?"), "TIME"),
    (re.compile(r"^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", re.MULTILINE), r"\1 "),
    # What the client notes about how a watch of its own ended depends on the moment at which it did.
    (re.compile(r"^[EWI] reflector\.go:\d+\] .*\n?", re.MULTILINE), ""),
    # A field of the documents, in YAML, JSON and describe; and the server's own words.
    (re.compile(r"(resourceVersion\"?[:=] ?\"?|Resource Version: +)\d+"), r"\1N"),
    # A generated pod of a generated ReplicaSet, and generated names alone.
    (re.compile(rf"(?<=[a-z0-9])-{LETTERS}{{8,10}}-{LETTERS}{{5}}(?![a-z0-9])"), "-HASH-NAME"),
    (re.compile(rf"(?<=[a-z0-9])-{LETTERS}{{8,10}}(?![a-z0-9])"), "-HASH"),
    (re.compile(rf"(?<=[a-z0-9])-{LETTERS}{{5}}(?![a-z0-9])"), "-NAME"),
    (re.compile(rf"\b{LETTERS}{{8,10}}\b(?=$|[\",\s])", re.MULTILINE), "HASH"),
    # Shown in digits alone by the recordings, and so without the quotes that YAML gives such digits.
    (re.compile(r"((?:machineID|systemUUID|bootID): )\"?[\da-f-]+\"?"), r"\1ID"),
    # Ages: as a column, in parentheses, "over" and "ago"; never settings such as timeout=1s.
    (re.compile(r"(?<![\w=:.\"-])(\d+y)?(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(?<=[ydhms])(?![\w.])"), "AGE"),
    (re.compile(r"<(invalid|unknown)>(?=$| ago|\s)", re.MULTILINE), "AGE"),
    (re.compile(r"\b10\.(96|244)\.\d+\.\d+\b"), "ADDRESS"),
    (re.compile(r"(?<=:)3[0-2]\d{3}(?=/)|(?<=nodePort: )\d+|(?<=\"nodePort\": )\d+"), "PORT"),
    (re.compile(r"(?<=/dir/)(LIVE|MERGED)-\d+"), r"\1-N"),
    (re.compile(r"kubectl-edit-\w*?\d+"), "kubectl-edit-N"),
    (re.compile(r"-{2,}"), "--"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def alike(text: str, server: str = "") -> str:
    """Return a printed text with what differs from run to run replaced; `server` is the address of this run's API."""
    if server:
        text = text.replace(server, "https://10.199.0.1:6443")
        text = text.replace(server.removeprefix("https://"), "10.199.0.1:6443")
    for pattern, word in (*_CREDENTIALS, *_RULES):
        text = pattern.sub(word, text)
    return text
