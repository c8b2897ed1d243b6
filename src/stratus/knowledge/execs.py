"""Changes inside containers as runbooks state them: checked when read, filled with facts when used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stratus.errors import KnowledgeError
from stratus.kit.references import FILTERS, REFERENCE, Source
from stratus.knowledge.templates import PLACEHOLDER, fill_text, placeholders, values
from stratus.model.actions import Compensable, ContainerChange, ContainerCheck, ContainerCommand
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.model.refs import ObjectRef

LONGEST = 10
"""Seconds that a command may take: it has ended, or was ended, before anybody else may look."""
SHELLS = ("sh", "ash", "bash", "dash", "zsh")
SECRET = re.compile(r"\{secret:([a-z][a-z0-9_]*)\|([a-z]+)\}")
"""`{secret:FACT|FILTER}`: the value that the fact says where to find, written for a language."""
VALUE = re.compile(r"\{([a-z][a-z0-9_]*)\|([a-z]+)\}")
"""`{FACT|FILTER}`: the fact itself, or what it says where to find, written for a language."""
_STATE = re.compile(r"\$\{\{ *state")
_HARMLESS = re.compile(r"[\w.@:+=/-]+", re.ASCII)
_PARTS = ("state", "check_before", "command", "check_after", "compensation", "check_undone")


def parts(change: ContainerChange) -> Iterator[tuple[str, ContainerCommand]]:
    """Yield the six commands of a change with their names, in the order in which they are used."""
    for name in _PARTS:
        yield name, getattr(change, name)


def exec_problems(change: ContainerChange) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong) for what would make a change unsafe to run or impossible to take back."""
    if not change.container.strip():
        yield "container", "say in which container"
    for name, one in parts(change):
        for problem in _command_problems(one):
            yield name, problem
        if name != "compensation" and _STATE.search(one.stdin):
            yield name, "only `compensation` may use what `state` printed"
        if isinstance(one, ContainerCheck) and not (one.contains or one.lacks or one.changed):
            yield name, "say what its output has to contain, to lack, or that it has changed"
    if change.command == change.compensation:
        yield "compensation", "is the command itself"
    if change.check_before.changed:
        yield "check_before", "nothing has changed before the command"


def _command_problems(one: ContainerCommand) -> Iterable[str]:
    argv = one.argv
    limit = argv[1] if argv[:1] == ("timeout",) and len(argv) > 2 else ""
    if not (limit.isdigit() and 0 < int(limit) <= LONGEST):
        yield f"its words begin with `timeout SECONDS`, of {LONGEST} at most: what is not answered has to end"
    for word in argv:
        if SECRET.search(word) or VALUE.search(word) or REFERENCE.search(word):
            yield "a secret never stands among the words of a command, which audit logs keep: send it as `stdin`"
        if "\n" in word.strip():
            yield "a word of a command is one line"
    if (script := shell_script(argv)) and placeholders(script):
        yield "a shell's script is stated literally, without placeholders: give values as further words or as `stdin`"
    for fact, _ in SECRET.findall(one.stdin):
        if not fact.endswith("_from"):
            yield f"`{fact}` holds no reference: only a fact ending in `_from` does"
    for _, filter_ in (*SECRET.findall(one.stdin), *VALUE.findall(one.stdin)):
        if filter_ not in FILTERS:
            yield f"`{filter_}` is no way to write a value; there are {', '.join(FILTERS)}"


def shell_script(argv: tuple[str, ...]) -> str:
    """Return the script that a shell among the words of a command is given, or empty."""
    for i, word in enumerate(argv):
        if word.rpartition("/")[2] in SHELLS:
            rest = argv[i + 1 :]
            at = next((n for n, w in enumerate(rest) if w.startswith("-") and "c" in w), None)
            return rest[at + 1] if at is not None and at + 1 < len(rest) else ""
    return ""


def exec_facts(change: ContainerChange) -> tuple[str, ...]:
    """Return the names of all facts that a change uses, each once."""
    found = list(placeholders(change.container))
    for _, one in parts(change):
        texts = [*one.argv, one.stdin, *(getattr(one, "contains", ())), *(getattr(one, "lacks", ()))]
        found += [name for text in texts for name in placeholders(text)]
        found += [fact for fact, _ in (*SECRET.findall(one.stdin), *VALUE.findall(one.stdin))]
    return tuple(dict.fromkeys(found))


def filled(book: Runbook, action: RunbookAction, target: ObjectRef, facts: Mapping[str, Any]) -> Compensable:
    """Fill an action's change with an object and facts; references to secrets stay references.

    Raises:
        KnowledgeError: the action has no change inside a container, a fact is missing, or a value could end the text
            around it or be read as an option.
    """
    if action.exec is None:
        raise KnowledgeError(f"`{action.text}` of runbook {book.id} runs nothing inside a container")
    known = values(target, facts)
    change = action.exec
    text = fill_text(action.text, {**dict.fromkeys(placeholders(action.text), ""), **known, "kind": target.kind})
    return Compensable(
        runbook=book.id,
        text=text,
        workload=target.model_copy(update={"uid": ""}),
        change=ContainerChange(
            container=_fill(change.container, known),
            **{name: _command(one, known) for name, one in parts(change)},
        ),
    )


def instances(books: Iterable[Runbook], fault: str, target: ObjectRef, facts: Mapping[str, Any]) -> list[Compensable]:
    """Return every change that runbooks state for a fault and that these facts fill."""
    found = []
    for book in books:
        for action in book.actions if fault in book.faults else ():
            if action.exec is None or any(facts.get(name) in (None, "") for name in action.needs):
                continue
            try:
                found.append(filled(book, action, target, facts))
            except KnowledgeError:
                continue
    return found


def exec_line(one: Compensable) -> str:
    """Return a change as the command line that a person would type; secrets are references in it."""
    workload, command = one.workload, one.change.command
    words = ["kubectl", "exec", "-i", f"{workload.kind.lower()}/{workload.name}", "-n", workload.namespace]
    line = shlex.join([*words, "-c", one.change.container, "--", *command.argv])
    return f"{line} <<< {shlex.quote(' '.join(command.stdin.split()))}" if command.stdin else line


def is_exec(line: str) -> bool:
    """Tell whether a command line wants to run something in a container, however it is spelled."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    words = words[1:] if words[:1] == ["kubectl"] else words
    value = False
    for word in words:
        if value:
            value = False
        elif word in ("-n", "--namespace"):
            value = True
        elif not word.startswith("-"):
            return word == "exec"
    return False


def same_line(one: str, other: str) -> bool:
    """Tell whether two command lines have the same words."""
    try:
        return shlex.split(one) == shlex.split(other)
    except ValueError:
        return one == other


def _command(one: ContainerCommand, known: Mapping[str, Any]) -> ContainerCommand:
    text = SECRET.sub(lambda m: _reference(m[1], m[2], known), one.stdin)
    text = VALUE.sub(lambda m: _value(m[1], m[2], known), text)
    change: dict[str, Any] = {"argv": tuple(_fill(word, known) for word in one.argv), "stdin": _fill(text, known)}
    if isinstance(one, ContainerCheck):
        change["contains"] = tuple(_fill(text, known) for text in one.contains)
        change["lacks"] = tuple(_fill(text, known) for text in one.lacks)
    return one.model_copy(update=change)


def _reference(fact: str, filter_: str, known: Mapping[str, Any]) -> str:
    value = str(known.get(fact) or "")
    if Source.read(value) is None:
        raise KnowledgeError(f"{fact} does not say where a value is to be found: {value!r}")
    return f"${{{{ {value} | {filter_} }}}}"


def _value(fact: str, filter_: str, known: Mapping[str, Any]) -> str:
    if Source.read(str(known.get(fact) or "")) is not None:
        return _reference(fact, filter_, known)
    return _fill(f"{{{fact}}}", known)


def _fill(template: str, known: Mapping[str, Any]) -> str:
    """Fill a text; whatever language it is in, a value is one plain word in it."""

    def value(match: re.Match[str]) -> str:
        found = known.get(match[1])
        text = str(found if found is not None else "")
        if not _HARMLESS.fullmatch(text) or text.startswith("-"):
            raise KnowledgeError(f"the value of {match[1]}, {text!r}, may not be put into a command for a container")
        return text

    return PLACEHOLDER.sub(value, template)
