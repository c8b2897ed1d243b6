"""The shipped runbooks are whole and sound; wrong ones are refused with file and field."""

from __future__ import annotations

import re
import shlex
import typing
from pathlib import Path

import pytest

from stratus.cluster.kubectl.grammar import parse_command
from stratus.errors import KnowledgeError
from stratus.knowledge import frontmatter, runbooks
from stratus.knowledge.runbooks import (
    command_problems,
    load_runbooks,
    read_folder,
    read_runbook,
    shipped_folder,
    shipped_runbooks,
)
from stratus.knowledge.templates import fill_command
from stratus.knowledge.vocabulary import vocabulary
from stratus.model.diagnosis import FaultClass
from stratus.model.knowledge import Runbook
from stratus.settings import Settings

GOOD = {
    "id": "squeak",
    "title": "It squeaks",
    "faults": ["bad_env"],
    "actions": [
        {
            "text": "Scale {name} to {replicas}",
            "command": "kubectl -n {namespace} scale {kind}/{name} --replicas={replicas}",
            "needs": ["replicas"],
            "undo": "Scale back.",
        }
    ],
}


def write(folder: Path, data: dict[str, object], body: str = "## Symptoms\n\nIt squeaks.\n") -> Path:
    path = folder / "book.md"
    path.write_text(frontmatter.dump(data, body) if body else frontmatter.dump(data, "x").removesuffix("x\n"))
    return path


def changed(**fields: object) -> dict[str, object]:
    return {**GOOD, **fields}


def with_action(**fields: object) -> dict[str, object]:
    return changed(actions=[{**GOOD["actions"][0], **fields}])


def test_every_class_of_cause_but_unknown_has_a_runbook():
    treated = {fault for book in shipped_runbooks() for fault in book.faults}
    assert treated == set(typing.get_args(FaultClass)) - {"unknown"}


def test_every_shipped_runbook_has_the_same_chapters():
    for book in shipped_runbooks():
        headings = re.findall(r"^## (.*)$", book.body, re.MULTILINE)
        assert headings == ["Symptoms", "How to confirm", "Action", "Undo", "What not to do"], book.id
        assert len(book.symptoms) >= 3, book.id
        assert book.checks, book.id
        assert book.actions, book.id
        assert any(action.command or action.exec for action in book.actions), book.id
        assert Path(book.path).name == f"{book.id}.md", "the file is named after the id"


def test_shipped_paths_are_the_same_on_every_machine():
    assert {book.path.partition("/")[0] for book in shipped_runbooks()} == {"runbooks"}


def test_checks_only_read():
    reading = {"get", "describe", "logs", "top", "events", "rollout history", "rollout status", "set env"}
    for book in shipped_runbooks():
        for check in book.checks:
            assert not list(command_problems(check)), (book.id, check)
            tokens = [token for token in shlex.split(check)[1:] if token not in ("-n", "{namespace}", "kube-system")]
            verb = tokens[0] if tokens[0] not in ("rollout", "set") else " ".join(tokens[:2])
            assert verb in reading, (book.id, check)
            assert verb != "set env" or tokens[-1] == "--list", check


def test_every_namespaced_command_names_its_namespace():
    for book in shipped_runbooks():
        for action in book.actions:
            tokens = shlex.split(action.command)
            if tokens and not {"cordon", "uncordon", "taint", "label"} & set(tokens):
                assert tokens[1:3] == ["-n", "{namespace}"], (book.id, action.command)


def test_commands_that_widen_what_is_allowed_are_marked_as_risky():
    risk = {book.id: book.risk for book in shipped_runbooks()}
    assert {risk[id] for id in ("network-blocked", "auth-failure", "rbac-denied", "admission-refused")} == {"high"}


def test_nothing_shipped_deletes_data():
    for book in shipped_runbooks():
        for action in book.actions:
            if " delete " in action.command:
                assert re.search(r" delete (pod|networkpolicy) ", action.command), (book.id, action.command)


def test_rollback_comes_first_where_it_is_offered_for_the_blamed_workload():
    for book in shipped_runbooks():
        lines = [action.command for action in book.actions]
        undo = "kubectl -n {namespace} rollout undo {kind}/{name} --to-revision={revision}"
        if undo in lines and book.id not in ("network-degraded", "rollout-stuck"):
            assert lines.index(undo) == 0, book.id


def test_every_shipped_command_is_in_the_grammar():
    """Commands inside a container are not in it: they are stated as `exec`, with their compensation."""
    words = vocabulary()
    known = {name: word.example for name, word in {**words.always, **words.facts}.items()}
    for book in shipped_runbooks():
        for template in (*book.checks, *(action.command for action in book.actions)):
            if template:
                parse_command(fill_command(template, known))


def test_own_runbook_joins_and_replaces(tmp_path, write_runbook):
    write_runbook(tmp_path, "conveyor")
    write_runbook(tmp_path / "deeper", "oom-killed", title="Ours")
    (tmp_path / "README.md").write_text("not a runbook")
    books = {book.id: book for book in load_runbooks(Settings(runbooks_dir=tmp_path))}
    assert books["oom-killed"].title == "Ours"
    assert books["conveyor"].path == str(tmp_path / "conveyor.md")
    assert len(books) == len(shipped_runbooks()) + 1


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(KnowledgeError, match="does not exist; create it or correct `runbooks_dir`"):
        load_runbooks(Settings(runbooks_dir=tmp_path / "none"))


def test_two_runbooks_with_one_id_are_an_error(tmp_path, write_runbook):
    write_runbook(tmp_path / "a", "twin")
    write_runbook(tmp_path / "b", "twin")
    with pytest.raises(KnowledgeError, match=r"b/twin\.md: field `id`: `twin` is also the id of .*a/twin\.md"):
        read_folder(tmp_path)


def test_good_runbook_is_read(tmp_path):
    book = read_runbook(write(tmp_path, GOOD))
    assert (book.id, book.faults, book.actions[0].needs) == ("squeak", ("bad_env",), ("replicas",))
    assert book.body.startswith("## Symptoms")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(id="Not An Id"), "field `id`: `Not An Id` must be lower-case words"),
        (changed(title=" "), "field `title`: must not be empty"),
        (changed(faults=[]), "field `faults`: must name at least one"),
        (changed(faults=["gremlins"]), r"field `faults\.0`: Input should be 'image_pull'"),
        (changed(risk="huge"), "field `risk`: Input should be 'low'"),
        (changed(colour="red"), "field `colour`: Extra inputs are not permitted"),
        (changed(body="text"), "field `body` does not belong into the front matter"),
        ({"id": "x"}, r"field `title`: Field required \(and 1 more\)"),
        (with_action(text=""), r"field `actions\.0\.text`: must not be empty"),
        (with_action(needs=["replicas", "horoscope"]), r"`actions\.0\.needs`: `horoscope` is not in the vocabulary"),
        (with_action(text="Scale {horoscope}"), r"`actions\.0\.text`: `\{horoscope\}` is not in the vocabulary"),
        (with_action(needs=[]), r"`actions\.0\.text`: `\{replicas\}` is used but not listed in `needs`"),
        (with_action(undo=""), r"`actions\.0\.undo`: say how the command is taken back"),
        (with_action(command="helm rollback x"), r"`actions\.0\.command`: a command starts with `kubectl`"),
        (with_action(command="kubectl get pods | grep x"), "no shell syntax"),
        (with_action(command="kubectl get pods; rm -rf /"), "no shell syntax"),
        (with_action(command="kubectl get pods > file"), "no shell syntax"),
        (with_action(command="kubectl get pods $HOME"), "no shell syntax"),
        (with_action(command="kubectl get 'pods"), "cannot be split into arguments"),
        (with_action(command="kubectl get\npods"), "a command is one line"),
        (with_action(command="kubectl -n {namespace} exec x -- true"),
         r"actions\.0\.command`: a command inside a container is stated as `exec`"),
    ],
)  # fmt: skip
def test_wrong_runbook_is_refused_with_file_and_field(tmp_path, data, message):
    path = write(tmp_path, data)
    with pytest.raises(KnowledgeError, match=message) as caught:
        read_runbook(path)
    assert str(caught.value).startswith(str(path))


def test_text_is_required(tmp_path):
    with pytest.raises(KnowledgeError, match="field `body`: the file has no text"):
        read_runbook(write(tmp_path, GOOD, body=""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Just Markdown\n", "line 1: the file must start with front matter"),
        ("---\nid: x\n", "is not closed by a line `---`"),
        ("---\nid: [x\ntitle: y\n---\nbody\n", r"line \d: the front matter is not valid YAML"),
        ("---\n- a\n- b\n---\nbody\n", "must be a mapping of fields, not list"),
        ("", "line 1"),
    ],
)
def test_wrong_front_matter_is_refused(tmp_path, text, message):
    path = tmp_path / "x.md"
    path.write_text(text)
    with pytest.raises(KnowledgeError, match=message):
        read_runbook(path)


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "latin.md").write_bytes(b"---\nid: \xe9\n---\n")
    with pytest.raises(KnowledgeError, match=r"latin\.md: cannot be read"):
        read_runbook(tmp_path / "latin.md")
    with pytest.raises(KnowledgeError, match="cannot be read"):
        read_runbook(tmp_path / "none.md")


def test_shell_signs_inside_quotes_are_data():
    assert not list(command_problems("""kubectl exec x -- sh -c 'a | b'"""))


def test_installed_package_is_looked_at_before_the_checkout(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "stratus" / "knowledge"
    (package / "runbooks").mkdir(parents=True)
    monkeypatch.setattr(runbooks, "__file__", str(package / "runbooks.py"))
    assert shipped_folder() == package / "runbooks"


def test_package_without_runbooks_says_so(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "stratus" / "knowledge"
    package.mkdir(parents=True)
    monkeypatch.setattr(runbooks, "__file__", str(package / "runbooks.py"))
    with pytest.raises(KnowledgeError, match="reinstall the package stratus-sre"):
        shipped_folder()


def test_a_runbook_without_actions_is_allowed(tmp_path):
    data = {key: value for key, value in GOOD.items() if key != "actions"}
    assert isinstance(read_runbook(write(tmp_path, data)), Runbook)
