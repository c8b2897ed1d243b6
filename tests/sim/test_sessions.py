"""Shells that live as long as their client: state between pieces, ends, attaching, and the log of inputs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import Request, Upgrade
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.streams.channels import STDERR, STDOUT
from stratus.sim.streams.conversation import Conversation

CORE = "/api/v1/namespaces/default"


def pod(name: str, **container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "busybox:1.36", **container}], "restartPolicy": "Never"}
    return {"metadata": {"name": name}, "spec": spec}


def start(cluster: EmbeddedCluster, body: dict[str, Any]) -> None:
    assert cluster.api.handle(Request("POST", f"{CORE}/pods", obj=body)).status == 201
    cluster.advance(5)


def connect(cluster: EmbeddedCluster, target: str, *, tty: bool = False) -> Conversation:
    flags = "stdin=true&stdout=true" + ("&tty=true" if tty else "&stderr=true")
    answer = cluster.api.handle(Request("GET", f"{CORE}/pods/{target}{'&' if '?' in target else '?'}{flags}"))
    assert isinstance(answer, Upgrade), answer.obj
    assert answer.open is not None
    conversation = answer.open()
    conversation.begin()
    return conversation


def said(conversation: Conversation, channel: int = STDOUT) -> str:
    return b"".join(data for at, data in conversation.take() if at == channel).decode()


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=None, warmup=0.0) as made:
        start(made, pod("p", args=["sleep", "3600"]))
        yield made


def test_a_shell_remembers_what_it_was_told(cluster: EmbeddedCluster) -> None:
    shell = connect(cluster, "p/exec?command=sh")
    shell.feed(b"x=4; cd /tmp\nf() { echo $1; }\n")
    shell.feed(b"f $x; pw")
    assert said(shell) == ""
    shell.feed(b"d\n")
    assert said(shell) == "4\n/tmp\n"
    shell.feed(b"nosuch\n")
    assert "not found" in said(shell, STDERR)
    shell.feed(b"if true; then\n")
    assert shell.take() == []
    shell.feed(b"echo yes; fi\nexit 5\n")
    assert said(shell) == "yes\n"
    assert shell.status is not None
    assert shell.status["details"]["causes"] == [{"reason": "ExitCode", "message": "5"}]


def test_the_end_of_input_ends_it_with_the_last_status(cluster: EmbeddedCluster) -> None:
    shell = connect(cluster, "p/exec?command=sh")
    shell.feed(b"echo a; false")
    shell.end()
    assert shell.status is not None
    assert shell.status["details"]["causes"][0]["message"] == "1"
    open_ended = connect(cluster, "p/exec?command=sh")
    open_ended.feed(b"while true; do\n")
    open_ended.end()
    assert "unexpected end of file" in said(open_ended, STDERR)
    assert open_ended.status is not None
    assert open_ended.status["details"]["causes"][0]["message"] == "2"


def test_a_terminal_echoes_prompts_and_interrupts(cluster: EmbeddedCluster) -> None:
    shell = connect(cluster, "p/exec?command=sh", tty=True)
    assert said(shell) == "/ # "
    shell.feed(b"cd /tmp\r")
    assert said(shell) == "cd /tmp\r\n/tmp # "
    shell.feed(b"for i in 1 2; do\r")
    assert said(shell).endswith("> ")
    shell.feed(b"echo $i; done\r")
    assert said(shell) == "echo $i; done\r\n1\r\n2\r\n/tmp # "
    shell.feed(b"sleep infinity\r")
    assert said(shell) == "sleep infinity\r\n"  # it is busy: no prompt
    shell.feed(b"\x03")
    assert said(shell) == "^C\r\n/tmp # "
    shell.feed(b"echo $?\r")
    assert said(shell) == "echo $?\r\n130\r\n/tmp # "
    shell.resize(b'{"Width": 80, "Height": 24}')
    shell.resize(b"nonsense")
    assert shell.size == (80, 24)
    shell.feed(b"\x04")
    assert shell.status == {"metadata": {}, "status": "Success"}


def test_a_container_that_ends_takes_its_shells_along(cluster: EmbeddedCluster) -> None:
    shell = connect(cluster, "p/exec?command=sh")
    shell.feed(b"echo a\n")
    cluster.api.handle(Request("DELETE", f"{CORE}/pods/p?gracePeriodSeconds=0"))
    cluster.advance(5)
    shell.feed(b"echo b\n")
    assert said(shell) == "a\n"
    assert shell.status is not None
    assert shell.status["details"]["causes"][0]["message"] == "137"


def test_two_clients_do_not_hear_each_other_and_share_the_files(cluster: EmbeddedCluster) -> None:
    one, two = connect(cluster, "p/exec?command=sh"), connect(cluster, "p/exec?command=sh")
    one.feed(b"x=1; echo mine > /tmp/f\n")
    two.feed(b"echo [$x]; cat /tmp/f\n")
    assert said(two) == "[]\nmine\n"
    assert said(one) == ""


def test_attaching_to_a_shell_that_waits(cluster: EmbeddedCluster) -> None:
    start(cluster, pod("t", args=["sh"], stdin=True, stdinOnce=True, tty=True))
    assert cluster.store.get("pods", "default", "t")["status"]["phase"] == "Running"
    shell = connect(cluster, "t/attach?container=c", tty=True)
    assert said(shell) == "/ # "
    shell.feed(b"echo hi; exit 3\r")
    assert said(shell) == "echo hi; exit 3\r\nhi\r\n"
    assert shell.status == {"metadata": {}, "status": "Success"}
    cluster.advance(3)
    ended = cluster.store.get("pods", "default", "t")["status"]
    assert ended["phase"] == "Failed"
    assert ended["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert cluster.api.handle(Request("GET", f"{CORE}/pods/t/log")).body == b"hi\n"


def test_who_attaches_sees_what_is_written_from_then_on(cluster: EmbeddedCluster) -> None:
    start(cluster, pod("w", args=["sh", "-c", "echo one; sleep 60; echo two; sleep 60"]))
    watching = connect(cluster, "w/attach?container=c")
    woken = []
    watching.on_ready = lambda: woken.append(True)
    assert watching.take() == []
    watching.feed(b"nobody reads this\n")
    cluster.advance(60)
    assert woken
    assert said(watching) == "two\n"
    cluster.advance(70)
    assert watching.take() == []
    assert watching.status == {"metadata": {}, "status": "Success"}
    watching.close()


def test_pieces_are_inputs_that_a_state_file_replays(tmp_path: Path) -> None:
    state = tmp_path / "cluster.db"
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as cluster:
        start(cluster, pod("p", args=["sleep", "3600"]))
        start(cluster, pod("t", args=["sh"], stdin=True))
        shell = connect(cluster, "p/exec?command=sh")
        shell.feed(b"x=kept\n")
        shell.feed(b"echo $x > /tmp/f\n")
        attached = connect(cluster, "t/attach?container=c")
        attached.feed(b"echo from inside\nexit 1\n")
        cluster.advance(5)
        before = dump(cluster)
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as again:
        assert dump(again) == before
        assert again.api.exec_backend("default", "p", "c", ["cat", "/tmp/f"], b"").stdout == "kept\n"
        assert again.api.handle(Request("GET", f"{CORE}/pods/t/log")).body == b"from inside\n"
        # A new shell has a number of its own.
        shell = connect(again, "p/exec?command=sh")
        shell.feed(b"echo [$x]\n")
        assert said(shell) == "[]\n"


def test_commands_run_once_their_input_is_whole(cluster: EmbeddedCluster) -> None:
    at_once = connect(cluster, "p/exec?command=ls&command=/")
    assert at_once.status is not None
    assert "tmp" in said(at_once)
    waits = connect(cluster, "p/exec?command=cat")
    waits.feed(b"\xff\x00binary")
    assert waits.status is None
    waits.end()
    assert waits.take() == [(STDOUT, b"\xff\x00binary")]
    typed = connect(cluster, "p/exec?command=cat", tty=True)
    typed.feed(b"hello\r\x04")
    assert said(typed) == "hello\r\nhello\r\n"
    stopped = connect(cluster, "p/exec?command=cat", tty=True)
    stopped.feed(b"\x03")
    assert stopped.status is not None
    assert stopped.status["details"]["causes"][0]["message"] == "130"


def test_a_program_that_is_not_there_is_an_error_of_the_runtime(cluster: EmbeddedCluster) -> None:
    for command in ("nosuch", "bash"):  # a small image has no bash
        gone = connect(cluster, f"p/exec?command={command}")
        assert gone.status is not None
        assert gone.status["reason"] == "InternalError"
        assert "executable file not found in $PATH: unknown" in gone.status["message"]
        assert gone.take() == []
