"""Which commands wait for their input."""

import shlex

import pytest

from stratus.sim.streams.input import client, enough, interpreter, reads


@pytest.mark.parametrize(
    "line",
    [
        "cat", "cat -", "cat a -", "tee /tmp/x", "tar -xmf - -C /tmp", "tar xf -", "tar xz", "sh", "bash -i", "grep x",
        "sh -c 'cat > /tmp/f'", "sh -c 'mkdir -p /x && tar xf -'", "head -n 5", "redis-cli", "redis-cli -h a -p 1",
        "psql -U a", "mongosh", "env A=b cat", "sh -c 'read x; echo $x'", "dd of=/x", "sort -k 2", "python3",
    ],
)  # fmt: skip
def test_these_read(line: str) -> None:
    assert reads(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "ls", "cat /etc/hosts", "tar cf - /etc", "tar xf a.tar", "sh -c 'echo hi'", "sh -c 'cat /etc/hosts'", "date",
        "grep x /f", "sh -c 'ls | cat'", "redis-cli ping", "redis-cli -h a ping", "psql -c 'select 1'", "env",
        "mongosh --eval 'db'", "sh script.sh", "python3 x.py", "sh -c 'cat < /etc/hosts'",
        "dd if=/x", "", "head -n 5 /f",
        "env A=b ls",
    ],
)  # fmt: skip
def test_these_do_not(line: str) -> None:
    assert not reads(shlex.split(line))


def test_shells_and_clients() -> None:
    assert interpreter(["/bin/sh"])
    assert interpreter(["bash", "-i"])
    assert not interpreter(["sh", "-c", "ls"])
    assert not interpreter(["sh", "-ec", "ls"])
    assert not interpreter(["sh", "x.sh"])
    assert not interpreter(["ls"])
    assert client(["psql"])
    assert not client(["psql", "--command=select 1"])
    assert not client(["cat"])


def test_enough() -> None:
    assert enough(["tar", "xf", "-"], b"x" * 512 + bytes(1024))
    assert not enough(["tar", "xf", "-"], b"x" * 512 + bytes(512))
    assert enough(["sh", "-c", "read a; read b"], b"1\n2\n")
    assert not enough(["sh", "-c", "read a; read b"], b"1\n")
    assert not enough(["sh", "-c", "read a; cat"], b"1\n")
    assert not enough(["cat"], b"1\n")
