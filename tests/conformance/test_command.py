"""`stratus conformance`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stratus.cli.main import main

EXCERPTS = Path(__file__).resolve().parents[1] / "golden"

QUICK = "discovery,defaulting,validation,patches,tables"


def run(*arguments: str) -> int:
    return main(["conformance", *arguments])


def test_the_matrix_is_printed_per_file_and_per_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--golden", str(EXCERPTS), "--only", QUICK) == 0
    out = capsys.readouterr().out
    for word in ("discovery", "defaulting.jsonl", "validation.jsonl", "status_and_reason", "patches.jsonl.gz", "95%"):
        assert word in out
    assert "defaulting.jsonl by kind" in out
    assert "ConfigMap" in out


def test_json_on_standard_output_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--golden", str(EXCERPTS), "--only", "defaulting.jsonl, patches.jsonl.gz", "--json") == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert list(data["files"]) == ["defaulting.jsonl", "patches.jsonl.gz"]
    found = data["files"]["defaulting.jsonl"]
    assert (found["total"], found["passed"], found["rate"], found["met"]) == (5, 5, 1.0, True)
    assert found["failing"] == []
    assert found["kinds"]["ConfigMap"] == {"total": 1, "passed": 1, "rate": 1.0}
    assert "defaulting.jsonl: 5 of 5" in captured.err


def test_json_into_a_file_beside_the_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "matrix.json"
    assert run("--golden", str(EXCERPTS), "--only", "tables", "--json", str(target)) == 0
    assert json.loads(target.read_text())["files"]["tables.jsonl.gz"]["total"] == 3
    assert "tables.jsonl.gz" in capsys.readouterr().out


def test_json_to_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--golden", str(EXCERPTS), "--only", "tables", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_one_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--golden", str(EXCERPTS), "--only", "validation", "--case", "0", "--json") == 0
    found = json.loads(capsys.readouterr().out)["files"]["validation.jsonl"]
    assert found["total"] == 1


def test_the_page_names_no_place_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--golden", str(EXCERPTS), "--only", QUICK, "--markdown") == 0
    page = capsys.readouterr().out
    assert page.startswith("# Agreement with a real Kubernetes\n")
    assert str(EXCERPTS) not in page
    assert "/tmp" not in page
    assert "## patches.jsonl.gz" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--golden", "/nowhere/at/all"], "no folder of recordings at /nowhere/at/all"),
        (["--golden", str(EXCERPTS), "--only", "nope"], "no file of recordings is called 'nope'; there are discovery,"),
        (["--golden", str(EXCERPTS), "--only", "tables", "--case", "no such"], "no case 'no such' in tables.jsonl.gz"),
        (["--golden", str(EXCERPTS), "tables"], "what is 'tables' for?"),
        (["--golden", str(EXCERPTS), "--markdown", "--json"], "both want the standard output"),
        (["--golden", str(EXCERPTS), "--against", "/nowhere/config"], "kubeconfig /nowhere/config does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_check_ends_with_one_when_too_little_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A folder of somebody else's recordings, in the same form: one manifest that no Kubernetes stores like this.
    record = json.loads((EXCERPTS / "defaulting.jsonl").read_text().splitlines()[0])
    record["case"] = "foreign"
    record["create"]["object"]["data"] = {"other": "value"}
    (tmp_path / "defaulting.jsonl").write_text(json.dumps(record) + "\n")
    assert run("--golden", str(tmp_path)) == 0
    assert run("--golden", str(tmp_path), "--check") == 1
    captured = capsys.readouterr().out
    assert "0/foreign: create: data" in captured
    assert "missing, not replayed: validation.jsonl" in captured
    assert run("--golden", str(EXCERPTS), "--only", "defaulting", "--check") == 0


def test_a_foreign_folder_with_some_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("patches.jsonl", "validation.jsonl"):
        shutil.copy(EXCERPTS / name, tmp_path / name)
    assert run("--golden", str(tmp_path), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["files"]) == {"validation.jsonl", "patches.jsonl.gz"}
    assert {"discovery", "lifecycles", "kubectl.jsonl.gz"} <= set(data["missing"])
    assert data["met"]


def test_failures_are_cut_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for line in (EXCERPTS / "patches.jsonl").read_text().splitlines():
        record = json.loads(line)
        record["status"] = 299
        lines.append(json.dumps(record))
    (tmp_path / "patches.jsonl").write_text("\n".join(lines) + "\n")
    assert run("--golden", str(tmp_path), "--failures", "1") == 0
    out = capsys.readouterr().out
    assert out.count("recorded 299") == 1
    assert f"and {len(lines) - 1} more" in out
