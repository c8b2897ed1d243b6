"""The grammar of kubectl command lines: verbs, flags and what stays outside, read from `data/grammar.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import yaml

from stratus.cluster.kubectl.words import split_words
from stratus.errors import CommandRefused

Kind = str
"""b, v, m or o: see the data file."""


@dataclass(frozen=True)
class Verb:
    """One verb: flags by name with their kind, short forms by letter, the read it is (empty: a change).

    `declined` says what to do instead of a flag that kubectl has and this verb has not.
    """

    name: str
    flags: dict[str, Kind]
    short: dict[str, str]
    read: str = ""
    declined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parsed:
    """A command line after the grammar, before anything is looked up.

    Attributes:
        verb: such as `scale`, `set image`, `rollout undo`.
        words: what is neither verb nor flag.
        flags: flag name -> values in order; a switch has `true` or `false`.
        tail: words after `--`; None when there is no `--`.
        namespace: from -n; empty when not said.
        read: the kind of read, empty for a change.
    """

    verb: str
    words: tuple[str, ...] = ()
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tail: tuple[str, ...] | None = None
    namespace: str = ""
    read: str = ""

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a flag."""
        return self.flags[name][-1] if name in self.flags else default

    def many(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag."""
        return self.flags.get(name, ())

    def on(self, name: str, default: bool = False) -> bool:
        """Return whether a switch is on."""
        return self.one(name) == "true" if name in self.flags else default

    def __contains__(self, name: str) -> bool:
        return name in self.flags


@dataclass(frozen=True)
class Grammar:
    """All that is known of the language: verbs, other words for them, refused verbs, and flags never accepted."""

    verbs: dict[str, Verb]
    aliases: dict[str, str]
    refused: dict[str, dict[str, str]]
    forbidden: dict[str, str]
    instead: dict[str, str]


@cache
def grammar() -> Grammar:
    """Read the grammar shipped beside this module."""
    text = (files("stratus.cluster.kubectl") / "data" / "grammar.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    verbs = {}
    for name, row in data["verbs"].items():
        flags: dict[str, Kind] = {}
        short = {}
        for rows in [*(data["sets"][s] for s in row.get("sets", ())), row.get("flags", {})]:
            for spelled, kind in rows.items():
                long, _, letter = spelled.partition(",")
                flags[long] = kind
                if letter:
                    short[letter] = long
        verbs[name] = Verb(name, flags, short, row.get("read", ""), row.get("declined", {}))
    forbidden = {flag: group for group, flags in data["forbidden_flags"].items() for flag in flags}
    return Grammar(verbs, data["aliases"], data["refused"], forbidden, data["instead"])


def parse_command(line: str | Sequence[str]) -> Parsed:
    """Parse a kubectl command line, given as text or as its words, with or without `kubectl` in front.

    Raises:
        CommandRefused: it is no kubectl command we know, or it asks for what no command here may do. Codes:
            `empty`, `shell_syntax`, `unbalanced_quote`, `unknown_verb`, `unsupported_verb`, `interactive`,
            `unknown_flag`, `forbidden_flag`, `missing_value`, `bad_value`, `contradictory_flags`, `dry_run`.
    """
    words = list(split_words(line) if isinstance(line, str) else line)
    if words and words[0].rpartition("/")[2] == "kubectl":
        words = words[1:]
    namespaces: list[str] = []
    verb, rest = _take_verb(words, namespaces)
    parsed = _take_flags(verb, rest, namespaces)
    _check(parsed)
    return parsed


def _take_verb(words: list[str], namespaces: list[str]) -> tuple[Verb, list[str]]:
    known = grammar()
    name = ""
    rest = list(words)
    while True:
        rest = _take_namespaces(rest, namespaces)
        if not rest:
            break
        word = rest[0]
        if not name and word.startswith("-"):
            _refuse_flag(word, "")
        longer = f"{name} {word}".strip()
        longer = known.aliases.get(longer, longer)
        if word.startswith("-") or not any(v == longer or v.startswith(f"{longer} ") for v in known.verbs):
            break
        name, rest = longer, rest[1:]
    if name in known.verbs:
        if name == "create" and rest and not any(w.startswith(("-f", "--filename")) for w in rest):
            raise _unknown(f"create {rest[0]}")
        return known.verbs[name], rest
    if not name and not rest:
        raise CommandRefused("The command is empty", code="empty", hint="give a kubectl command")
    spoken = f"{name} {rest[0]}".strip() if rest else name
    for code, verbs in known.refused.items():
        if rest and not name and rest[0] in verbs:
            raise CommandRefused(f"`kubectl {rest[0]}` is not available here", code=code, hint=verbs[rest[0]])
    raise _unknown(spoken)


def _unknown(spoken: str) -> CommandRefused:
    family = sorted(v for v in grammar().verbs if v.partition(" ")[0] == spoken.partition(" ")[0])
    known = family or sorted({v.partition(" ")[0] for v in grammar().verbs})
    near = get_close_matches(spoken, grammar().verbs, 1, 0.7)
    meant = f"write `kubectl {near[0]}`; " if near else ""
    return CommandRefused(
        f"`{spoken}` is not a kubectl command that is understood here",
        code="unknown_verb",
        hint=f"{meant}use one of: " + ", ".join(known),
    )


def _take_namespaces(rest: list[str], namespaces: list[str]) -> list[str]:
    """Take namespace flags from the front, in every spelling of kubectl."""
    while rest:
        word = rest[0]
        if word in ("-n", "--namespace"):
            if len(rest) < 2:
                raise _missing(word)
            namespaces.append(rest[1])
            rest = rest[2:]
        elif word.startswith("--namespace="):
            namespaces.append(word.partition("=")[2])
            rest = rest[1:]
        elif word.startswith("-n") and not word.startswith("--") and word != "-n":
            namespaces.append(word[2:].removeprefix("="))
            rest = rest[1:]
        else:
            break
    return rest


def _take_flags(verb: Verb, rest: list[str], namespaces: list[str]) -> Parsed:
    words: list[str] = []
    flags: dict[str, list[str]] = {}
    tail: tuple[str, ...] | None = None
    while rest := _take_namespaces(rest, namespaces):
        word = rest.pop(0)
        if word == "--":
            tail = tuple(rest)
            break
        if word.startswith("--"):
            name, eq, value = word[2:].partition("=")
            rest = _take_one(verb, name, word, value if eq else None, rest, flags)
        elif word.startswith("-") and len(word) > 1:
            rest = _take_short(verb, word, rest, flags)
        else:
            words.append(word)
    return Parsed(
        verb=verb.name,
        words=tuple(words),
        flags={name: tuple(values) for name, values in flags.items()},
        tail=tail,
        namespace=_only("namespace", namespaces),
        read=verb.read,
    )


def _take_short(verb: Verb, word: str, rest: list[str], flags: dict[str, list[str]]) -> list[str]:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = verb.short.get(letter)
        if name is None:
            _refuse_flag(f"-{letter}", verb.name)
        elif verb.flags[name] == "b" and not letters.startswith("="):
            flags.setdefault(name, []).append("true")
        else:
            value = letters.removeprefix("=") if letters else None
            return _take_one(verb, name, f"-{letter}", value, rest, flags)
    return rest


def _take_one(
    verb: Verb, name: str, word: str, value: str | None, rest: list[str], flags: dict[str, list[str]]
) -> list[str]:
    kind = verb.flags.get(name)
    if kind is None:
        _refuse_flag(word, verb.name)
    if kind == "b":
        value = "true" if value is None else value.lower()
        if value not in ("true", "false"):
            raise CommandRefused(f"{word} is a switch", code="bad_value", hint=f"say --{name} or --{name}=false")
    elif value is None and kind == "o":
        value = ""
    elif value is None:
        if not rest:
            raise _missing(word)
        value, rest = rest[0], rest[1:]
    flags.setdefault(name, []).append(value or "")
    if kind != "m" and len(set(flags[name])) > 1:
        raise _contradiction(name, flags[name])
    return rest


def _refuse_flag(word: str, verb: str) -> NoReturn:
    name = word.lstrip("-").partition("=")[0]
    known = grammar().verbs.get(verb)
    name = name if word.startswith("--") else name[:1]
    group = grammar().forbidden.get(name)
    hint = known.declined.get(name) if known else None
    watches = bool(hint and known and known.read)
    code = "interactive" if watches or group == "interactive" else "forbidden_flag"
    if hint:
        raise CommandRefused(f"The flag {word.partition('=')[0]} is not allowed", code=code, hint=hint)
    if group:
        hints = {
            "declined": grammar().instead.get(name, ""),
            "cluster": "leave it out: the cluster and the identity are chosen before",
            "file": "files of this machine cannot be named; give the content itself (--from-literal, -p, `-f -`)",
            "raw": "name the object instead",
            "interactive": "leave it out; nobody sits at a terminal here",
        }
        raise CommandRefused(f"The flag {word.partition('=')[0]} is not allowed", code=code, hint=hints[group])
    shown = ", ".join(f"--{f}" for f in sorted(known.flags)) if known else "--namespace"
    near = get_close_matches(name, known.flags, 1, 0.7) if known else []
    meant = f"write --{near[0]}; " if near else ""
    raise CommandRefused(
        f"`kubectl {verb}` has no flag {word.partition('=')[0]} here"
        if verb
        else f"Unknown flag {word} before the verb",
        code="unknown_flag",
        hint=f"{meant}use only: --namespace, {shown}" if known else "begin with the verb, such as `kubectl get pods`",
    )


def _check(parsed: Parsed) -> None:
    if parsed.one("dry-run", "none") != "none":
        raise CommandRefused(
            "The command asks for a dry run",
            code="dry_run",
            hint="leave --dry-run out: every change is rehearsed on the server before it is made",
        )
    if "validate" in parsed and parsed.one("validate") not in ("", "true", "strict"):
        raise CommandRefused("Validation cannot be switched off", code="bad_value", hint="leave --validate out")
    if parsed.on("save-config") and parsed.verb not in ("create", "replace"):
        raise CommandRefused(
            f"`kubectl {parsed.verb}` keeps no record for a later apply here",
            code="forbidden_flag",
            hint="leave --save-config out, or write the object as a manifest for `kubectl apply -f -`",
        )


def _only(name: str, values: list[str]) -> str:
    if len(set(values)) > 1:
        raise _contradiction(name, values)
    if values and not values[0]:
        raise _missing(f"--{name}")
    return values[0] if values else ""


def _contradiction(name: str, values: Sequence[str]) -> CommandRefused:
    return CommandRefused(
        f"--{name} is given twice: {', '.join(values)}", code="contradictory_flags", hint=f"give --{name} once"
    )


def _missing(word: str) -> CommandRefused:
    return CommandRefused(f"The flag {word} needs a value", code="missing_value", hint=f"write {word} VALUE")
