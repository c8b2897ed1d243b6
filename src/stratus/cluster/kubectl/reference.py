"""The grammar as tables for the documentation: verbs with their flags, and what is never accepted."""

from __future__ import annotations

from stratus.cluster.kubectl.grammar import Verb, grammar

_GROUPS = {
    "cluster": "the cluster and the identity are chosen before",
    "file": "files of the machine cannot be named; the content itself is given",
    "raw": "objects are named, not paths; nothing is sent past the grammar",
    "interactive": "nobody sits at a terminal",
    "declined": "",
}


def grammar_table() -> list[str]:
    """Return the Markdown lines of the reference."""
    known = grammar()
    changes = [v for v in known.verbs.values() if not v.read]
    reads = [v for v in known.verbs.values() if v.read]
    lines = [
        "## Commands that change something",
        "",
        "Flags that only shape the output of kubectl are accepted and change nothing; `--dry-run` may only be `none`,",
        "since every change is rehearsed on the server anyway. `-n` goes with every verb.",
        "",
        *_verbs(changes),
        "## Commands that read",
        "",
        "Compiled to reads and run by `stratus.cluster.kubectl.reads`, which holds a reader and nothing that writes.",
        "",
        *_verbs(reads),
        "## What is refused",
        "",
        "| command | instead |",
        "|---|---|",
    ]
    for verbs in known.refused.values():
        lines += [f"| `{verb}` | {hint or 'nothing'} |" for verb, hint in sorted(verbs.items())]
    lines += ["", "| flags | why |", "|---|---|"]
    for group, reason in _GROUPS.items():
        flags = sorted(flag for flag, of in known.forbidden.items() if of == group)
        if reason:
            lines.append(f"| {_listed(flags)} | {reason} |")
        else:
            lines += [f"| {_listed([flag])}, where it is not listed above | {known.instead[flag]} |" for flag in flags]
    return lines


def _verbs(verbs: list[Verb]) -> list[str]:
    rows = ["| command | flags |", "|---|---|"]
    return [*rows, *(f"| `{v.name}` | {_listed(sorted(v.flags))} |" for v in verbs), ""]


def _listed(flags: list[str]) -> str:
    return ", ".join(f"`--{flag}`" if len(flag) > 1 else f"`-{flag}`" for flag in flags) or "none"
