"""The formal model: SPIN finds no way around the promises, and finds one as soon as the protocol is broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[2] / "docs" / "spec" / "transaction.pml"
LONG = bool(os.environ.get("STRATUS_LONG"))


def check(folder: Path, text: str, *, define: tuple[str, ...] = (), liveness: bool = False) -> tuple[int, int, str]:
    """Return the number of errors, of states, and what the checker said."""
    for program in ("spin", "cc"):
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is not installed, though CI promises it: apt-get install spin gcc libc6-dev")
            pytest.skip(f"{program} is not installed: apt-get install spin gcc libc6-dev")
    (folder / "model.pml").write_text(text)

    def run(*argv: str) -> str:
        found = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        return found.stdout + found.stderr

    said = run("spin", *(f"-D{d}" for d in define), "-a", "model.pml")
    assert (folder / "pan.c").exists(), said
    kind = ("-DNFAIR=6",) if liveness else ("-DSAFETY", "-DNOCLAIM")
    said = run("cc", "-w", "-O2", "-DCOLLAPSE", *kind, "-o", "pan", "pan.c")
    assert (folder / "pan").exists(), said
    said = run("./pan", *(("-a", "-f", "-N", "ends") if liveness else ()), "-m400000", "-w22")
    (folder / "pan").unlink()
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"(\d+(?:\.\d+e\+\d+)?) states, stored", said)
    assert errors, said
    assert states, said
    assert "max search depth too small" not in said, said
    return int(errors[1]), int(float(states[1])), said


SMALL = ("CRASHES=1", "EDITS=0", "EXPIRIES=1", "LOSSES=1")
EDITED = ("CRASHES=1", "EDITS=1", "EXPIRIES=0", "LOSSES=1")


@pytest.mark.parametrize("define", [SMALL, EDITED], ids=["lease and losses", "edits and losses"])
def test_the_promises_hold(define, tmp_path):
    """One writer, no write without a durable intent, nothing twice, no stranger overwritten, only the three ends."""
    errors, states, said = check(tmp_path, SPEC.read_text(), define=define)
    assert errors == 0, said
    assert states > 10_000


def test_every_run_ends(tmp_path):
    errors, states, said = check(
        tmp_path, SPEC.read_text(), define=("CRASHES=1", "EDITS=0", "EXPIRIES=0", "LOSSES=1"), liveness=True
    )
    assert errors == 0, said
    assert states > 10_000


@pytest.mark.skipif(not LONG, reason="two minutes; set STRATUS_LONG=1 (`make spec`)")
@pytest.mark.parametrize(
    ("define", "liveness", "least"),
    [((), False, 20_000_000), (("CRASHES=1", "EDITS=1", "EXPIRIES=1", "LOSSES=1"), True, 5_000_000)],
    ids=["safety, two crashes", "liveness"],
)
def test_the_whole_model(define, liveness, least, tmp_path):
    errors, states, said = check(tmp_path, SPEC.read_text(), define=define, liveness=liveness)
    assert errors == 0, said
    assert states > least


MUTANTS = {
    "write before the intent is on disk": (
        "intent[i] = 1; pre_true[i] = KNOWN",
        "pre_true[i] = KNOWN",
        SMALL,
    ),
    "send without looking at the Lease": (
        "if :: MINE -> in_flight[me] = 1; stored = 0; answered = 1 :: else -> goto overtaken fi",
        "in_flight[me] = 1; stored = 0; answered = 1",
        SMALL,
    ),
    "ignore the resourceVersion when writing": (
        "        :: KNOWN ->                                     /* A3 */",
        "        :: true ->",
        SMALL,
    ),
    "ignore the resourceVersion when undoing": (
        "        :: KNOWN ->\n            assert(MINE);\n            assert(undoing",
        "        :: true ->\n            assert(MINE);\n            assert(undoing",
        EDITED,
    ),
    "append without having seen all events": (
        "#define APPEND(effect) atomic { if :: fresh[me] -> fresh[1 - me] = 0; effect :: else -> goto overtaken fi }",
        "#define APPEND(effect) atomic { effect }",
        ("CRASHES=1", "EDITS=0", "EXPIRIES=1", "LOSSES=0"),
    ),
    "take an unanswered write for lost": (
        "    :: changed[i] -> APPEND(step[i] = done)\n    :: !changed[i] -> APPEND(step[i] = planned)",
        "    :: true -> APPEND(step[i] = planned)",
        SMALL,
    ),
    "take an unanswered write for done": (
        "    :: changed[i] -> APPEND(step[i] = done)\n    :: !changed[i] -> APPEND(step[i] = planned)",
        "    :: true -> APPEND(step[i] = done)",
        SMALL,
    ),
    "commit whatever the verdict": (
        ":: i == N && !undoing && sealed && verdict == good -> goto commit",
        ":: i == N && !undoing && sealed -> goto commit",
        SMALL,
    ),
    "prove without reading": (
        "changed[k] && step[k] != conflict && step[k] != undo_failed -> clean = 0",
        "false",
        None,
    ),
    "repeat instead of undo": ("moves(i); changed[i] = 0; stored = 1", "moves(i); changed[i] = 1; stored = 1", SMALL),
    "call it undone although a stranger's edit stands there": (
        ":: k < N -> if :: step[k] == conflict || step[k] == undo_failed -> clean = 0 :: else -> skip fi; k++",
        ":: k < N -> k++",
        EDITED,
    ),
    "overwrite a stranger's edit": ("    :: foreign[i] -> APPEND(step[i] = conflict); goto backward\n", "", EDITED),
    "a request may outlive its sender's Lease (A1)": (
        "holder != NOBODY && !in_flight[holder] -> expiries++",
        "holder != NOBODY -> expiries++",
        SMALL,
    ),
    "give up instead of undoing": (
        "undo:\n    APPEND(undoing = 1);",
        "undo:\n    APPEND(end = needs_human); goto release;",
        SMALL,
    ),
}


@pytest.mark.skipif(not LONG, reason="half a minute; set STRATUS_LONG=1 (`make spec`)")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_protocol_is_found_out(name, tmp_path):
    old, new, define = MUTANTS[name]
    text = SPEC.read_text()
    assert text.count(old) >= 1, "the model has changed: adapt the mutant"
    if name == "ignore the resourceVersion when writing":
        define = ("CRASHES=0", "EDITS=1", "EXPIRIES=0", "LOSSES=0")
    broken = text.replace(old, new)
    if define is None:  # a proof that does not look hides only an undo that does not happen: break that as well
        define = SMALL
        broken = broken.replace("moves(i); changed[i] = 0; stored = 1", "stored = 1")
    errors, _, said = check(tmp_path, broken, define=define)
    assert errors > 0, said
