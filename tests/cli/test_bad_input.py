"""Bad input gives one clear line and a documented exit code, no traceback, and leaves nothing half done."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from stratus.cli.main import main

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: t}}}}]
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "STRATUS_CONFIG", "OPENAI_API_KEY", "OPENAI_BASE_URL", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kubeconfig(tmp_path: Path, server: str) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=server), encoding="utf-8")
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out, captured.err


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("stratus: ")]
    assert len(lines) == 1, err
    return lines[0]


def test_a_kubeconfig_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "respond", "--kubeconfig", "/no/such/file", "--json")
    assert (code, out) == (2, "")
    assert "/no/such/file" in one_line(err)


@pytest.mark.parametrize("text", ["", "{", "just text", "apiVersion: v1\nkind: Pod\n", "\x00\x01"])
def test_a_kubeconfig_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad"
    path.write_text(text, encoding="utf-8")
    code, out, err = run(capsys, "respond", "--kubeconfig", str(path), "--json")
    assert (code, out) == (2, "")
    assert "bad" in one_line(err)


def test_an_unknown_context(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://127.0.0.1:1")
    code, _, err = run(capsys, "respond", "--kubeconfig", path, "--context", "nope")
    assert code == 2
    assert "nope" in one_line(err)


def test_an_unreachable_api(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, f"https://127.0.0.1:{closed_port()}")
    code, out, err = run(capsys, "respond", "--kubeconfig", path, "--json")
    assert (code, out) == (5, "")
    assert "127.0.0.1" in one_line(err)


def test_something_that_is_no_kubernetes_api(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        server.close()
        path = kubeconfig(tmp_path, "https://256.256.256.256:6443")
        code, _, err = run(capsys, "respond", "--kubeconfig", path)
    assert code == 5
    one_line(err)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '"text"', '{"alerts": 3}', '{"labels": {}}', '{"alerts": [{"labels": {"a": "b"}}]}']
)
def test_a_malformed_alert(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    alert = tmp_path / "alert.json"
    alert.write_text(text, encoding="utf-8")
    code, out, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--alert", str(alert), "--json")
    assert (code, out) == (2, "")
    assert "alert" in one_line(err)
    assert not (tmp_path / ".stratus" / "journal.sqlite").exists()


def test_an_alert_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--alert", "/no/such/alert.json")
    assert code == 2
    assert "/no/such/alert.json" in one_line(err)


@pytest.mark.parametrize("name", ["gpt", "nobody:model", "openai:", ":x", "scripted:/no/such/file"])
def test_an_unknown_reasoner(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--reasoner", name, "--json")
    assert (code, out) == (2, "")
    one_line(err)


def test_a_model_without_a_key_says_which_variable(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--reasoner", "openai:gpt-4o")
    assert code == 2
    assert "OPENAI_API_KEY" in one_line(err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("respond", "--mode", "yolo"),
        ("respond", "--no-such-option"),
        ("respond", "--embedded", "no-such-application"),
        ("respond", "--embedded", "hotel-reservation", "--fault", "no-such-fault"),
        ("respond", "--embedded", "hotel-reservation", "--kubeconfig", "x"),
        ("respond", "--kubeconfig", "x", "--fault", "y"),
        ("respond", "--config", "/no/such/file.toml"),
        ("resume", "no-such-incident"),
        ("approve", "no-such-incident"),
        ("txn", "list"),
        ("txn", "show", "x"),
        ("graph", "--stage", "nope"),
        ("no-such-command",),
        ("knowledge", "add", "/no/such/runbook.md"),
        ("cluster", "up", "--app", "no-such-application"),
        ("cluster", "up", "--fault", "no-such-fault"),
    ],
    ids=" ".join,
)
def test_usage_errors_are_two(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert one_line(err)


def test_a_state_directory_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    code, out, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--state-dir", str(blocker), "--json")
    assert (code, out) == (2, "")
    assert "--state-dir" in one_line(err)


def test_a_report_directory_that_cannot_be_written_does_not_lose_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    arguments = [
        "respond",
        "--embedded",
        "hotel-reservation",
        "--mode",
        "observe",
        "--json",
        "--report-dir",
        str(blocker),
    ]
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert json.loads(out)["state"] == "healthy"
    assert "--report-dir" in one_line(err)


def test_an_unreachable_prometheus_is_unknown_not_healthy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, f"https://127.0.0.1:{closed_port()}")
    code, _, err = run(capsys, "doctor", "--kubeconfig", path, "--prometheus", f"http://127.0.0.1:{closed_port()}")
    assert code == 5
    assert "Traceback" not in err


def test_help_is_there_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "respond", "txn", "knowledge", "cluster", "doctor", "graph", "serve", "resume"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage" in out


def test_an_interrupt_is_one_line_and_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stratus.wiring.respond.respond", interrupted)
    code, out, err = run(capsys, "respond", "--embedded", "hotel-reservation", "--json")
    assert (code, out) == (130, "")
    assert "taken back" in one_line(err)
