"""`stratus bench` as typed: what it writes, how it ends, and what it says to nonsense."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stratus.bench.record import RUN, save, write_whole
from stratus.cli.main import main

from ..bench.episodes import outcome, plan, record, scenario

Said = tuple[int, str, str]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    # the command may set it for its workers; after the test it is as it was
    monkeypatch.setenv("STRATUS_BENCH_SUITES", os.environ.get("STRATUS_BENCH_SUITES", ""))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    capsys.readouterr()
    code = main(["bench", *words])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out, captured.err


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of two agents, as if it had been played."""
    out = tmp_path / "finished"
    found = [record(scenario(f"s{i}"), strict=i < 3) for i in range(4)]
    found += [record(scenario(f"s{i}"), solver="react", strict=i < 1) for i in range(4)]
    return kept(out, found)


def kept(out: Path, found: list) -> Path:
    write_whole(out / RUN, plan(*found).model_dump_json())
    for one in found:
        save(out, one)
    return out


RUN_ONE = ("run", "--only", "hotel-reservation.wrong-target-port", "--solver", "noop", "--out")


def test_a_run_writes_logs_a_summary_and_a_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = said(capsys, *RUN_ONE, "one", "--json", "sum.json", "--html", "report.html")
    assert code == 0
    assert "1/1 catalogue--hotel-reservation.wrong-target-port--noop--rules--off--s0 none" in out
    summary = json.loads((tmp_path / "sum.json").read_text())
    assert summary["suites"]["catalogue"]["noop"]["episodes"] == 1
    assert "emulated" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "one" / RUN).is_file()
    again, _, err = said(capsys, *RUN_ONE, "one")
    assert again == 2
    assert "stratus bench resume one" in err
    code, out, _ = said(capsys, "resume", "one", "--json", "-")
    assert code == 0
    assert json.loads(out)["overall"]["noop"]["mitigation_strict"]["value"] == 0.0


def test_the_list_shows_suites_solvers_and_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "list")
    assert code == 0
    for word in ("catalogue", "naive-retry", "stratus-no-undo", "restart-pods"):
        assert word in out
    code, out, _ = said(capsys, "list", "--suite", "catalogue")
    assert code == 0
    assert "hotel-reservation.wrong-target-port" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("run", "--suite", "nothing"), "no suite 'nothing'"),
        (("run", "--suite", ""), "at least one --suite"),
        (("run", "--solver", ","), "at least one --suite and one --solver"),
        (("run", "--solver", "nobody"), "no solver 'nobody'"),
        (("run", "--ablate", "everything"), "no solver 'stratus-no-everything'"),
        (("run", "--noise", "loud"), "--noise is one of off, on, heavy"),
        (("run", "--seeds", "0"), "greater than or equal to 1"),
        (("run", "--only", "ghost"), "no scenario ghost"),
        (("run", "--suites", "/no/such/folder"), "no folder /no/such/folder"),
        (("resume", "/no/such/run"), "no run in /no/such/run"),
        (("rescore", "/no/such/run"), "no episodes in /no/such/run"),
        (("report", "/no/such/run"), "no run in /no/such/run"),
        (("compare", "/no/a", "/no/b"), "no episodes in /no/a"),
    ],
)
def test_nonsense_gets_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert complaint in " ".join(err.split())


def test_a_shell_without_a_model_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(
        capsys, "run", "--only", "hotel-reservation.wrong-target-port", "--solver", "shell", "--out", "x"
    )
    assert code == 2
    assert "--reasoner PROVIDER:MODEL" in err


def test_two_solvers_are_compared(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    both = (str(finished), str(finished))
    code, _, err = said(capsys, "compare", *both)
    assert code == 2
    assert "several solvers (react, stratus)" in err
    code, out, _ = said(capsys, "compare", *both, "--solver-a", "react", "--solver-b", "stratus", "--json", "-")
    assert code == 0
    healed = next(row for row in json.loads(out) if row["mark"] == "mitigation_strict")
    assert (healed["first"], healed["second"], healed["ratio"], healed["n"]) == (0.25, 0.75, 3.0, 4)
    code, out, _ = said(capsys, "compare", *both, "--solver-a", "react", "--solver-b", "stratus")
    assert "mitigation_strict" in out
    assert "3.00" in out


def test_a_report_of_several_runs(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    other = kept(tmp_path / "other", [record(solver="noop", told=outcome(state="none"), strict=False)])
    code, out, _ = said(capsys, "report", str(finished), str(other), "--html", "all.html", "--json", "all.json")
    assert code == 0
    assert "report: all.html" in out
    assert set(json.loads((tmp_path / "all.json").read_text())["overall"]) == {"noop", "react", "stratus"}
    code, out, _ = said(capsys, "report", str(finished))
    assert code == 0
    assert (finished / "report.html").is_file()


def test_a_damaged_log_is_named(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    victim = sorted((finished / "episodes").iterdir())[0]
    victim.write_text("{")
    for command in ("report", "rescore"):
        code, _, err = said(capsys, command, str(finished))
        assert code == 2
        assert victim.name in err


def test_how_it_ended_is_in_the_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Judging again ends as a run does; what is in the logs decides."""

    def ends(name: str, found: list) -> int:
        return said(capsys, "rescore", str(kept(tmp_path / name, found)))[0]

    bad = {"evidence": {}, "strict": None, "original": None}
    assert ends("good", [record(**bad)]) == 0
    assert ends("worse", [record(violations=("worse",), **bad)]) == 1
    assert ends("malice", [record(solver="malicious", violations=("worse",), **bad)]) == 1
    assert ends("others", [record(solver="react", violations=("worse",), **bad)]) == 0
    assert ends("lost", [record(error="the model was away", **bad)]) == 3


def test_an_unfinished_run_says_how_to_go_on(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    sorted((finished / "episodes").iterdir())[0].unlink()
    for path in (finished / "episodes").iterdir():
        assert path.is_file()
    from stratus.bench.record import records

    for one in records(finished):
        save(finished, one.model_copy(update={"evidence": {}}))
    code, out, _ = said(capsys, "rescore", str(finished))
    assert code == 3
    assert "1 episode(s) are left: stratus bench resume" in " ".join(out.split())


def test_a_folder_of_its_own_is_found_for_every_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / ".stratus" / "bench" / "1").mkdir(parents=True)
    code, _, _ = said(capsys, *RUN_ONE[:-1])
    assert code == 0
    assert (tmp_path / ".stratus" / "bench" / "2" / RUN).is_file()


def test_a_suite_is_linted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = said(capsys, "lint", str(tmp_path))
    assert code == 2
    assert "error: " in out
    assert "suite.yaml" in out
    good = (
        "id: mine\ntitle: x\napp: hotel-reservation\nfamily: noop\ntasks: {detection: d}\ntruth: {detection: false}\n"
    )
    (tmp_path / "suite.yaml").write_text("name: my-suite\n")
    (tmp_path / "one.yaml").write_text(good)
    code, out, _ = said(capsys, "lint", str(tmp_path))
    assert (code, "error" in out) == (0, False)
