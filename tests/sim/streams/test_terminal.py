"""A terminal in line mode: echo, corrections, interrupts and ends."""

import pytest

from stratus.sim.streams.terminal import END, INTERRUPT, LINE_LIMIT, Terminal, shown


@pytest.mark.parametrize(
    ("keys", "pieces", "screen"),
    [
        ("ls\r", ["ls\n"], "ls\r\n"),
        ("lx\x7fs\r", ["ls\n"], "lx\b \bs\r\n"),
        ("\x7f\r", ["\n"], "\r\n"),
        ("echo one two\x17\r", ["echo one \n"], "echo one two\b \b\b \b\b \b\r\n"),
        ("rm -rf\x15ls\r", ["ls\n"], "rm -rf" + "\b \b" * 6 + "ls\r\n"),
        ("sleep\x03", [INTERRUPT], "sleep^C\r\n"),
        ("\x04", [END], ""),
        ("cat\x04", ["cat"], "cat"),
        ("\x1b[Als\x1b[1;5C\r", ["ls\n"], "ls\r\n"),
        ("\x1bOAls\r", ["Als\n"], "Als\r\n"),
        ("a\x00b\r", ["ab\n"], "ab\r\n"),
    ],
)
def test_keys(keys: str, pieces: list[str], screen: str) -> None:
    terminal = Terminal()
    got = [piece for key in keys for piece in terminal.type(key)]
    assert got == pieces
    assert terminal.seen() == screen
    assert terminal.seen() == ""


def test_a_line_has_a_limit() -> None:
    terminal = Terminal()
    assert terminal.type("x" * (LINE_LIMIT + 10) + "\r") == ["x" * LINE_LIMIT + "\n"]


def test_output_gets_carriage_returns_once() -> None:
    assert shown("a\nb\r\nc") == "a\r\nb\r\nc"
