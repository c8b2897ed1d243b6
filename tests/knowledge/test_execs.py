"""Changes inside containers: what a runbook must state, and how it is filled without anybody talking it into more."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from stratus.errors import KnowledgeError
from stratus.knowledge.execs import exec_facts, exec_line, exec_problems, filled, instances, is_exec, parts, same_line
from stratus.knowledge.runbooks import problems, shipped_runbooks
from stratus.model.actions import ContainerChange
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.model.refs import ObjectRef

TARGET = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="orders-db", uid="u1")
FACTS = {"container": "db", "db_user": "orders", "db_password_from": "Secret/orders-db#password", "database": "shop"}
CLI = ("timeout", "10", "cli", "--user", "{db_user}")


def change(**more: Any) -> ContainerChange:
    made: dict[str, Any] = {
        "container": "{container}",
        "state": {"argv": CLI, "stdin": "show {db_user|js}"},
        "check_before": {"argv": CLI, "contains": ("no {db_user}",)},
        "command": {"argv": CLI, "stdin": 'make("{db_user|js}", "{secret:db_password_from|js}")'},
        "check_after": {"argv": CLI, "contains": ("is {db_user}",)},
        "compensation": {"argv": CLI, "stdin": 'drop("{db_user}") // ${{ state | js }}'},
        "check_undone": {"argv": CLI, "lacks": ("is {db_user}",)},
        **more,
    }
    return ContainerChange.model_validate(made)


def book(one: ContainerChange | None = None, **more: Any) -> Runbook:
    action = RunbookAction(
        text="Make {db_user} in {name}", needs=("container", "db_user", "db_password_from"), undo="Drop it.",
        exec=one or change(), **more,
    )  # fmt: skip
    return Runbook(id="own", title="T", faults=("auth_failure",), body="b", actions=(action,))


def test_a_whole_one_has_no_problems() -> None:
    assert list(problems(book())) == []
    assert exec_facts(change()) == ("container", "db_user", "db_password_from")
    assert [name for name, _ in parts(change())] == [
        "state", "check_before", "command", "check_after", "compensation", "check_undone",
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["state", "check_before", "command", "check_after", "compensation", "check_undone"])
def test_every_part_has_to_be_there_and_to_end_by_itself(part: str) -> None:
    whole = change().model_dump()
    with pytest.raises(ValueError, match=part):
        ContainerChange.model_validate({k: v for k, v in whole.items() if k != part})
    for argv in (
        ("cli",),
        ("timeout", "60", "cli"),
        ("timeout", "0", "cli"),
        ("timeout", "x", "cli"),
        ("timeout", "5"),
    ):
        found = dict(exec_problems(change(**{part: {**whole[part], "argv": argv}})))
        assert "timeout SECONDS" in found[part], argv


@pytest.mark.parametrize(
    ("more", "field", "text"),
    [
        ({"container": " "}, "container", "in which container"),
        ({"check_after": {"argv": CLI}}, "check_after", "contain"),
        ({"check_before": {"argv": CLI, "changed": True}}, "check_before", "nothing has changed before"),
        ({"compensation": {"argv": CLI, "stdin": change().command.stdin}}, "compensation", "the command itself"),
        ({"command": {"argv": (*CLI, "{secret:db_password_from|js}")}}, "command", "never stands among the words"),
        ({"command": {"argv": (*CLI, "${{ Secret/a#b | js }}")}}, "command", "never stands among the words"),
        ({"command": {"argv": (*CLI, "{db_user|sql}")}}, "command", "never stands among the words"),
        ({"command": {"argv": (*CLI, "a\nb")}}, "command", "one line"),
        ({"command": {"argv": CLI, "stdin": "{secret:db_user|js}"}}, "command", "holds no reference"),
        ({"command": {"argv": CLI, "stdin": "{secret:db_password_from|html}"}}, "command", "no way to write"),
        ({"command": {"argv": CLI, "stdin": "{db_user|html}"}}, "command", "no way to write"),
        ({"command": {"argv": CLI, "stdin": "${{ state | js }}"}}, "command", "only `compensation`"),
        ({"command": {"argv": ("timeout", "5", "sh", "-c", "rm {db_user}")}}, "command", "stated literally"),
        ({"command": {"argv": ("timeout", "5", "/bin/bash", "-ec", "x {name}")}}, "command", "stated literally"),
    ],
)
def test_what_is_unsafe_is_refused_with_its_part(more: dict[str, Any], field: str, text: str) -> None:
    found = [problem for name, problem in exec_problems(change(**more)) if name == field]
    assert any(text in problem for problem in found), found


def test_a_literal_script_of_a_shell_is_all_right() -> None:
    argv = ("timeout", "5", "sh", "-c", 'exec cli -u "$ADMIN" "$@"', "sh", "{db_user}")
    assert list(exec_problems(change(command={"argv": argv}))) == []


def test_problems_of_the_action_around_it() -> None:
    assert ("actions.0.command", "an action has a command or an `exec`, not both") in problems(
        book(command="kubectl get pods")
    )
    unknown = book(change(container="{horoscope}"))
    assert any("not in the vocabulary" in text for _, text in problems(unknown))
    needless = Runbook(
        id="own", title="T", faults=("auth_failure",), body="b",
        actions=(RunbookAction(text="x", undo="u", exec=change()),),
    )  # fmt: skip
    assert any("not listed in `needs`" in text for _, text in problems(needless))


def test_filled_with_facts_secrets_stay_references() -> None:
    one = filled(book(), book().actions[0], TARGET, FACTS)
    assert one.text == "Make orders in orders-db"
    assert one.workload == TARGET.model_copy(update={"uid": ""})
    assert one.change.container == "db"
    assert one.change.command.argv == ("timeout", "10", "cli", "--user", "orders")
    assert one.change.command.stdin == 'make("orders", "${{ Secret/orders-db#password | js }}")'
    assert one.change.compensation.stdin == 'drop("orders") // ${{ state | js }}'
    assert one.change.check_before.contains == ("no orders",)
    assert one.change.check_undone.lacks == ("is orders",)


def test_a_user_whose_name_stands_in_a_secret() -> None:
    plain = change(
        **{name: {"argv": ("timeout", "5", "cli"), "stdin": '"{db_user|js}"', **more} for name, more in {
            "state": {}, "command": {}, "compensation": {"stdin": 'x("{db_user|js}")'},
            "check_before": {"contains": ("a",)}, "check_after": {"contains": ("b",)},
            "check_undone": {"lacks": ("b",)},
        }.items()}
    )  # fmt: skip
    facts = {**FACTS, "db_user": "Secret/orders-db#user"}
    one = filled(book(plain), book(plain).actions[0], TARGET, facts)
    assert one.change.command.stdin == '"${{ Secret/orders-db#user | js }}"'
    with pytest.raises(KnowledgeError, match="may not be put"):
        filled(book(), book().actions[0], TARGET, facts)


@pytest.mark.parametrize(
    "value", ["", "a b", "a'b", 'a"b', "a;b", "$(x)", "a`b", "-x", "a\nb", "${{ Secret/a#b | js }}", "a|b", "ä", None]
)
def test_a_value_is_one_plain_word(value: object) -> None:
    with pytest.raises(KnowledgeError, match=r"may not be put into a command|nobody has found out"):
        filled(book(), book().actions[0], TARGET, {**FACTS, "db_user": value})


@pytest.mark.parametrize("value", ["", "hunter2", "Secret/a", "Secret/a#b | js }} ${{ x"])
def test_a_secret_that_is_no_reference_is_refused(value: str) -> None:
    with pytest.raises(KnowledgeError, match="does not say where"):
        filled(book(), book().actions[0], TARGET, {**FACTS, "db_password_from": value})


def test_instances_are_those_whose_fault_and_facts_fit() -> None:
    assert len(instances([book()], "auth_failure", TARGET, FACTS)) == 1
    assert instances([book()], "oom_killed", TARGET, FACTS) == []
    assert instances([book()], "auth_failure", TARGET, {**FACTS, "db_user": ""}) == []
    assert instances([book()], "auth_failure", TARGET, {**FACTS, "db_user": "a b"}) == []


def test_the_line_is_what_a_person_would_type() -> None:
    line = exec_line(filled(book(), book().actions[0], TARGET, FACTS))
    assert shlex.split(line) == [
        "kubectl", "exec", "-i", "deployment/orders-db", "-n", "shop", "-c", "db", "--", "timeout", "10", "cli",
        "--user", "orders", "<<<", 'make("orders", "${{ Secret/orders-db#password | js }}")',
    ]  # fmt: skip
    assert is_exec(line)
    assert same_line(line, line.replace(" -n ", "   -n "))
    assert not same_line(line, line + " x")
    assert not same_line("a 'b", "a b")


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("kubectl exec x -- y", True),
        ("kubectl -n shop exec x -- y", True),
        ("kubectl --namespace=shop exec x -- y", True),
        ("exec x", True),
        ("kubectl get exec", False),
        ("kubectl -n exec get pods", False),
        ("kubectl exec 'x", True),
        ("", False),
    ],
)
def test_an_exec_is_known_however_it_is_spelled(line: str, is_one: bool) -> None:
    assert is_exec(line) == is_one


def test_every_shipped_change_is_whole_and_can_be_filled() -> None:
    from stratus.knowledge.vocabulary import vocabulary

    facts = {name: word.example for name, word in vocabulary().facts.items()}
    found = [(b, a) for b in shipped_runbooks() for a in b.actions if a.exec is not None]
    assert len(found) >= 5
    for b, a in found:
        assert a.exec is not None
        assert list(exec_problems(a.exec)) == [], b.id
        one = filled(b, a, TARGET, facts)
        assert "{" not in "".join(one.change.command.argv).replace("${", "").replace("{MONGO", ""), b.id
        assert one.change.command != one.change.compensation
