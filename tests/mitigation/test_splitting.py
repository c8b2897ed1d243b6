"""Splitting an answer into commands; known mistakes 1 and 7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.mitigation.splitting import split_commands

A, B = "kubectl -n shop scale deployment/a --replicas=1", "kubectl -n shop delete pod b"


@pytest.mark.parametrize(
    "answer",
    [
        f"{A}\n{B}",
        f"{A} && {B}",
        f"{A}; {B}",
        f"```bash\n$ {A}\n\n# then\n$ {B}\n```",
        f"`{A}`\n`{B}`",
        A.replace(" scale", " \\\n  scale") + "\n" + B,
        f"# don't forget the pod\n{A}\n# it's gone\n{B}",
    ],
)
def test_every_command_of_an_answer_is_seen(answer: str) -> None:
    """Known mistake 7: of two mutating calls in one turn only one was recorded."""
    commands, refusals = split_commands(answer)
    assert [" ".join(c.split()) for c in commands] == [A, B]
    assert refusals == ()


def test_quotes_hold_what_a_shell_would_split() -> None:
    line = """kubectl patch cm c -p '{"data":{"run":"a; b && c\nkubectl delete ns x"}}'"""
    assert split_commands(line) == ((line,), ())
    double = 'kubectl annotate deploy/web note="a \\" ; b"'
    assert split_commands(double) == ((double,), ())


@pytest.mark.parametrize(
    "answer",
    [
        "kubectl apply -f - <<EOF\nkind: Pod\n$(reboot)\nEOF",
        "kubectl get pods\nrm -rf /",
        "echo hi && kubectl get pods",
        "KUBECONFIG=/x kubectl get pods",
        "sudo kubectl delete ns x",
        "I think you should restart it.",
        "kubectlx get pods",
    ],
)
def test_other_programs_and_here_documents_are_refused(answer: str) -> None:
    """Known mistake 1: a heredoc with a substitution made a rehearsal run for real."""
    _, refusals = split_commands(answer)
    assert refusals
    assert {r.code for r in refusals} == {"shell_syntax"}
    assert all(r.hint for r in refusals)


def test_a_here_document_refuses_the_whole_answer() -> None:
    """Its lines are text, not commands, whatever they look like."""
    commands, refusals = split_commands("kubectl apply -f - <<EOF\nkubectl delete namespace x\nEOF")
    assert commands == ()
    assert "here-document" in refusals[0].message


@pytest.mark.parametrize("tail", [" # comment", " | sh", " > /tmp/x", " $(reboot)", " & reboot", " || reboot"])
def test_other_shell_syntax_stays_in_the_command_for_the_grammar_to_refuse(tail: str) -> None:
    """Known mistake 1: dropping a trailing comment here would hide that it was there."""
    commands, _ = split_commands(A + tail)
    assert commands == (A + tail,)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B, "kubectl annotate pod/p note='a;b'"]),
            st.sampled_from(["\n", " && ", "; ", "\n# it's a comment\n", "\n```\n", "\n$ "]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_command_is_lost_whatever_stands_between(parts: list[tuple[str, str]]) -> None:
    answer = "".join(command + between for command, between in parts).removesuffix("$ ")
    commands, refusals = split_commands(answer)
    assert list(commands) == [command for command, _ in parts]
    assert refusals == ()
