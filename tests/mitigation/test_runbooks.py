"""Every command that a runbook or a built-in remedy may give has a verb that lint can let through."""

from __future__ import annotations

import pytest

from stratus.cluster.kubectl import parse_command
from stratus.diagnosis.planning import remedies
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.knowledge.templates import fill_command, placeholders
from stratus.mitigation.reversibility import reversibility_rules

NEVER_ALONE = {"create job"}
"""Commands that a runbook may name for people, and that an autonomous plan is refused: they run code."""

SAMPLES = {
    "kind": "deployment",
    "workload": "deployment/web",
    "selector": "app=web",
    "taint": "dedicated=batch:NoSchedule",
    "revision": 3,
    "replicas": 2,
    "cpu_request": "100m",
    "cpu_limit": "1",
    "memory_request": "64Mi",
    "memory_limit": "128Mi",
}
TEMPLATES = sorted(
    {a.command for book in shipped_runbooks() for a in book.actions if a.command}
    | {step.command for remedy in remedies() for step in remedy.steps}
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_verb_is_in_the_registry(template: str) -> None:
    known = {name: SAMPLES.get(name, "{}" if name.endswith("_json") else "1") for name in placeholders(template)}
    parsed = parse_command(fill_command(template, known))
    if parsed.read or parsed.verb in NEVER_ALONE:
        return
    words = {parsed.verb, parsed.verb.split(" ", 1)[0]}
    assert any(rule.allowed and words & set(rule.verbs) for rule in reversibility_rules()), parsed.verb


def test_there_is_something_to_check() -> None:
    assert len(TEMPLATES) > 30
