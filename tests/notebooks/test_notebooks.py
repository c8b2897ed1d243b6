"""The notebooks run from their first cell to their last, and show what they promise."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LIMIT = 120
"""Seconds that one cell may take."""

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'stratus-sre[notebook]'")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'stratus-sre[notebook]'")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'stratus-sre[notebook]'")

pytestmark = [
    pytest.mark.slow,
    # what the Jupyter client leaves to the garbage collector is not ours
    pytest.mark.filterwarnings("default::ResourceWarning"),
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
]


@pytest.fixture
def _kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `python3` the interpreter that runs the tests, whatever kernels are installed elsewhere."""
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    for name in ("JUPYTER_PATH", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


@pytest.fixture
def run(_kernel: None, tmp_path: Path) -> Callable[[str], list[Any]]:
    """Runs a notebook in an empty folder and returns its code cells with their outputs; none has an error."""

    def ran(name: str) -> list[Any]:
        folder = tmp_path / "work"
        folder.mkdir()
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        cells = [c for c in client.execute().cells if c.cell_type == "code"]
        for cell in cells:
            assert not [o for o in cell.outputs if o.output_type == "error"], cell.source
            stderr = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")
            assert not stderr, f"a newcomer would wonder about this: {stderr[:600]}"
        return cells

    return ran


def test_the_first_incident_runs_and_shows_what_it_promises(run: Callable[[str], list[Any]]) -> None:
    cells = run("01-first-incident.ipynb")
    printed = {cell.source: text(cell) for cell in cells}
    assert "resolved after 2 attempts" in found(printed, "report = respond(")
    tries = found(printed, "for attempt in report.attempts").splitlines()
    assert ["REGRESSED" in tries[0], "undone and proved" in tries[0]] == [True, True]
    assert ["RESOLVED" in tries[1], "kept" in tries[1]] == [True, True]
    assert "<table" in shown(cells, "report = respond(", "text/html")
    assert "<svg" in shown(cells, "health_chart(report)", "text/html")
    assert "Validation" in shown(cells, "SVG(svg())", "image/svg+xml")
    report = next(c for c in cells if c.source.strip() == "report")
    html = report.outputs[-1].data["text/html"]
    assert "mongodb-rate" in html
    assert html.startswith("<iframe srcdoc=")  # its style sheet must not reach into the notebook
    assert "sandbox" in html
    assert "scaled_to_zero" in found(printed, "agent.diagnose()")
    assert "resolved" in found(printed, "agent.mitigate_with_tnr").lower()
    assert float(shown(cells, "SystemHealth(error_rate", "text/plain")) < 0.5


def test_a_change_of_ones_own_is_kept_or_taken_back(run: Callable[[str], list[Any]]) -> None:
    cells = run("02-transaction.ipynb")
    printed = {cell.source: text(cell) for cell in cells}
    assert "UNCHANGED -> committed" in found(printed, "--replicas=3")
    assert "REGRESSED" in found(printed, "patch svc frontend")
    worse = found(printed, "t.verdict.changes")
    assert "frontend endpoints" in worse
    assert "undo proved: True after reading 1 object back" in worse
    assert "was taken back, proved by reading back" in found(printed, "RuntimeError")
    assert shown(cells, "RuntimeError", "text/plain") == "1"
    refusals = found(printed, "CommandRefused").splitlines()
    assert [line.split(" - ")[0] for line in refusals] == ["irreversible", "shell_syntax"]


@pytest.mark.skipif(
    not os.environ.get("STRATUS_LONG"), reason="a quarter of a minute: set STRATUS_LONG=1 (`make long`)"
)
def test_agents_are_measured(run: Callable[[str], list[Any]]) -> None:
    cells = run("03-benchmark.ipynb")
    printed = {cell.source: text(cell) for cell in cells}
    assert "truth: ('Deployment/" in found(printed, "load_suite")
    rows = found(printed, "run(plan, out)").splitlines()
    assert len(rows) == 6
    ours = [row for row in rows if " stratus " in row]
    assert ["repaired True" in row for row in ours] == [True, True]
    assert any("undone 1" in row for row in ours)
    assert "stratus      strict 100%" in found(printed, "summarise(")
    assert "TNR violations 0" in found(printed, "summarise(")
    assert "1 undone" in shown(cells, "HTML(episode", "text/html")
    assert "6 judged again, 0 differently" in found(printed, "rescore(out)")
    assert "repaired: True cause named: False" in found(printed, "class Scaler")
    assert shown(cells, "page(read_plan", "text/plain") == "True"


def test_notebooks_are_kept_without_outputs() -> None:
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None), path.name


def text(cell: Any) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def found(printed: dict[str, str], source: str) -> str:
    return next(out for code, out in printed.items() if source in code)


def shown(cells: list[Any], source: str, kind: str) -> str:
    cell = next(c for c in cells if source in c.source)
    return str(next(o.data[kind] for o in cell.outputs if o.output_type == "execute_result"))
