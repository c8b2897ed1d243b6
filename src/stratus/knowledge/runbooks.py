"""Runbooks: Markdown files with front matter, found, parsed and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from stratus.errors import KnowledgeError
from stratus.knowledge import frontmatter
from stratus.knowledge.execs import exec_facts, exec_problems, is_exec
from stratus.knowledge.templates import placeholders, split
from stratus.knowledge.vocabulary import vocabulary
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.settings import Settings

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHELL = re.compile(r"[|;&<>`]|\$\(|\$\{|\$[A-Za-z_]|\\$")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def shipped_folder() -> Path:
    """Return the folder of the shipped runbooks, in an installed package or in a source checkout.

    Raises:
        KnowledgeError: when neither exists.
    """
    package = Path(__file__).resolve().parent
    installed, checkout = package / "runbooks", package.parents[2] / "runbooks"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise KnowledgeError(
        f"the shipped runbooks are neither in {installed} nor in {checkout}; reinstall the package stratus-sre"
    )


def load_runbooks(settings: Settings) -> tuple[Runbook, ...]:
    """Return the shipped runbooks, those added to `state_dir/runbooks`, and those of `settings.runbooks_dir`, by id.

    Of two with the same id the later in this order counts.

    Raises:
        KnowledgeError: naming file and field, when one is wrong or the folder does not exist.
    """
    found = {book.id: book for book in shipped_runbooks()}
    if own_folder(settings).is_dir():
        found |= {book.id: book for book in read_folder(own_folder(settings))}
    if settings.runbooks_dir is not None:
        if not settings.runbooks_dir.is_dir():
            raise KnowledgeError(
                f"the folder of runbooks {settings.runbooks_dir} does not exist; create it or correct `runbooks_dir`"
            )
        found |= {book.id: book for book in read_folder(settings.runbooks_dir)}
    return tuple(found[id] for id in sorted(found))


def own_folder(settings: Settings) -> Path:
    """Return where runbooks are kept that were added with `stratus knowledge add`."""
    return settings.state_dir / "runbooks"


def copy_runbook(path: Path, folder: Path, id: str) -> Path:
    """Copy a checked runbook into a folder, under its id; the same id replaces.

    Raises:
        KnowledgeError: when the folder cannot be written.
    """
    target = folder / f"{id}.md"
    temporary = folder / f".{id}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(path.read_bytes())
        temporary.replace(target)
    except OSError as error:
        raise KnowledgeError(
            f"the runbook {id} cannot be written to {target}: {error}; "
            "make the folder writable or set another `state_dir`"
        ) from error
    return target


def shipped_runbooks() -> tuple[Runbook, ...]:
    """Return the runbooks that come with the package; their paths read `runbooks/NAME.md` on every machine."""
    folder = shipped_folder()
    return tuple(
        book.model_copy(update={"path": f"runbooks/{Path(book.path).relative_to(folder).as_posix()}"})
        for book in read_folder(folder)
    )


def runbook_files(folder: Path) -> list[Path]:
    """Return the Markdown files below a folder, READMEs left out, in a stable order."""
    return sorted(path for path in folder.rglob("*.md") if path.is_file() and path.stem.lower() != "readme")


def read_folder(folder: Path) -> tuple[Runbook, ...]:
    """Read and check all runbooks of one folder.

    Raises:
        KnowledgeError: when one is wrong, or two have the same id.
    """
    books: dict[str, Runbook] = {}
    for path in runbook_files(folder):
        book = read_runbook(path)
        if book.id in books:
            raise KnowledgeError(f"{path}: field `id`: `{book.id}` is also the id of {books[book.id].path}")
        books[book.id] = book
    return tuple(books.values())


def read_runbook(path: Path) -> Runbook:
    """Read and check one runbook.

    Raises:
        KnowledgeError: naming the file and the field that is wrong.
    """
    data, body = frontmatter.read(path)
    where = str(path)
    for field in ("body", "path"):
        if field in data:
            raise KnowledgeError(f"{where}: field `{field}` does not belong into the front matter")
    book = frontmatter.validate(Runbook, {**data, "body": body, "path": where}, where)
    for field, problem in problems(book):
        raise KnowledgeError(f"{where}: field `{field}`: {problem}")
    return book


def problems(book: Runbook) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong with it) for what the noun's types cannot say."""
    if not ID.fullmatch(book.id):
        yield "id", f"`{book.id}` must be lower-case words joined by hyphens"
    if not book.title.strip():
        yield "title", "must not be empty"
    if not book.faults:
        yield "faults", "must name at least one class of cause"
    if not book.body.strip():
        yield "body", "the file has no text below the front matter"
    for n, action in enumerate(book.actions):
        for field, problem in _action_problems(action):
            yield f"actions.{n}.{field}", problem


def _action_problems(action: RunbookAction) -> Iterator[tuple[str, str]]:
    words = vocabulary()
    known = {*words.always, *words.facts}
    if not action.text.strip():
        yield "text", "must not be empty"
    for name in action.needs:
        if name not in words.facts:
            yield "needs", f"`{name}` is not in the vocabulary of facts (docs/reference/facts.md)"
    used = [("text", placeholders(action.text)), ("command", placeholders(action.command))]
    if action.exec is not None:
        used.append(("exec", exec_facts(action.exec)))
    for field, names in used:
        for name in names:
            if name not in known:
                yield field, f"`{{{name}}}` is not in the vocabulary of facts (docs/reference/facts.md)"
            elif name in words.facts and name not in action.needs:
                yield field, f"`{{{name}}}` is used but not listed in `needs`"
    for problem in command_problems(action.command):
        yield "command", problem
    if (action.command or action.exec) and not action.undo.strip():
        yield "undo", "say how the command is taken back"
    if action.exec is not None:
        if action.command:
            yield "command", "an action has a command or an `exec`, not both"
        for part, problem in exec_problems(action.exec):
            yield f"exec.{part}", problem
    elif is_exec(action.command):
        yield "command", "a command inside a container is stated as `exec`, with its compensation and checks"


def command_problems(command: str) -> Iterable[str]:
    """Return what keeps a template from being one plain kubectl command line."""
    if not command:
        return
    if "\n" in command.strip():
        yield "a command is one line"
        return
    if _SHELL.search(_QUOTED.sub("", command)):
        yield "a command has no shell syntax (pipes, redirections, variables, several commands)"
        return
    try:
        tokens = split(command)
    except KnowledgeError as error:
        yield str(error)
        return
    if tokens[:1] != ["kubectl"]:
        yield "a command starts with `kubectl`"
