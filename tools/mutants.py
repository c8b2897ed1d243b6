"""Break the transaction room on purpose, one way at a time, and see whether its tests notice.

    .venv/bin/python tools/mutants.py [--list] [NAME ...]

Each mutant of `tests/transaction/mutants.json` replaces one piece of text in a copy of the source tree; the tests of
the transaction room run on the copy and have to fail; the test that `tests/transaction/MUTANTS.md` names is asked
first. Prints a Markdown table; ends with 1 when a mutant survives.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "transaction"
SLOW = ("test_crash_walk.py", "test_rivals.py", "test_undo_everything.py")
"""Asked only where nothing quicker has failed."""
TABLE = TESTS / "MUTANTS.md"
NOTHING = 4
"""How pytest ends when a test is not there any more."""
SPEC = "test_spec.py"
"""Is about the model, not about the code."""


def caught_before() -> dict[str, str]:
    """Return by mutant the test that has failed on it, as the table of the last run says."""
    rows = re.findall(r"^\| ([\w-]+) \|.*\| `([^`]+)` \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: test for name, test in rows if (TESTS / test.partition("::")[0]).is_file()}


def caught(mutant: dict[str, str], folder: Path) -> str:
    """Return the first test that fails on the mutant, or empty when all pass."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "runbooks", folder / "runbooks")  # found beside the sources
    path = source / "stratus" / mutant["file"]
    text = path.read_text(encoding="utf-8")
    if text.count(mutant["old"]) != 1:
        sys.exit(f"mutant {mutant['name']}: its text stands {text.count(mutant['old'])} times in {mutant['file']}")
    path.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
    slow = [str(TESTS / name) for name in SLOW]
    all_others = [str(TESTS), *(f"--ignore={name}" for name in (*slow, str(TESTS / SPEC)))]
    known = caught_before().get(mutant["name"])
    for chosen in (*([[str(TESTS / known)]] if known else []), all_others, slow):
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *chosen]
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
        if run.returncode and run.returncode != NOTHING:
            failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            return failed[0].split(" ")[1].rpartition("/")[2] if failed else f"exit code {run.returncode}"
    return ""


def main() -> int:
    """Run the mutants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    mutants = json.loads((TESTS / "mutants.json").read_text(encoding="utf-8"))
    chosen = [m for m in mutants if not options.names or m["name"] in options.names]
    if options.list:
        sys.stdout.write("\n".join(m["name"] for m in chosen) + "\n")
        return 0
    survivors = 0
    sys.stdout.write("| mutant | what is broken | first test that fails |\n|---|---|---|\n")
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            test = caught(mutant, Path(folder))
        survivors += not test
        sys.stdout.write(f"| {mutant['name']} | {mutant['what']} | {f'`{test}`' if test else '**survives**'} |\n")
        sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
