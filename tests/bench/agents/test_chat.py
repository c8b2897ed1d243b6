"""Free agents on a chat model, with a scripted one: turns, tools, budgets, and nonsense."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.bench import agents
from stratus.bench.agents.chat import Talk
from stratus.bench.agents.shell import filtered, typed_in
from stratus.bench.outcome import Budget, Doors, Outcome
from stratus.errors import UsageError
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.sources import embedded_source, show_fault

pytestmark = pytest.mark.slow
APP = "hotel-reservation"


@pytest.fixture(scope="module")
def faulty() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=APP) as cluster:
        show_fault(embedded_source(cluster), "scaled-to-zero")
        yield cluster


Doored = Callable[..., Doors]


@pytest.fixture
def doored(faulty: EmbeddedCluster, tmp_path: Path) -> Iterator[Doored]:
    ticks = itertools.count()
    with faulty.fork() as cluster:

        def make(*answers: Any) -> Doors:
            script = Script.model_validate({"turns": [{"answer": a} for a in answers]})
            model = ScriptedChatModel(script=script) if answers else None
            return Doors(embedded_source(cluster), Settings(state_dir=tmp_path), lambda: float(next(ticks)), model)

        yield make


def solved(name: str, doors: Doors, **budget: int) -> Outcome:
    return agents.solver(name).solve(doors, Budget(**budget))


def victim(cluster: EmbeddedCluster | None) -> str:
    assert cluster is not None
    found = (d for d in cluster.store.list("deployments.apps", APP) if d["spec"]["replicas"] == 0)
    return str(next(found)["metadata"]["name"])


def test_react_repairs_by_its_own_commands(doored: Doored, faulty: EmbeddedCluster) -> None:
    name = victim(faulty)
    doors = doored(
        {"thought": "what fires?", "tool": "alerts"},
        {"thought": "who fails?", "tool": "metrics"},
        {"thought": "look", "tool": "kubectl", "argument": "kubectl get deployments"},
        {"thought": "scale it", "tool": "kubectl", "argument": f"kubectl scale deployment/{name} --replicas=1"},
        {"tool": "submit", "state": "resolved", "object": f"Deployment/{name}", "services": [name]},
    )
    told = solved("react", doors)
    assert told.claimed
    assert told.root_cause == f"{APP}/Deployment/{name}"
    assert told.localization == (name,)
    assert told.commands == (f"kubectl scale deployment/{name} --replicas=1",)
    assert told.model_calls == 5
    assert told.tokens_in > 0
    assert told.simulated.mitigated is not None
    assert f"Deployment/{name} ready=0/0" in doors.model.prompts[3]
    assert "HighRequestErrorRate" in doors.model.prompts[1]
    assert "errors=" in doors.model.prompts[2]


def test_what_was_seen_is_shown_again(doored: Doored) -> None:
    said = "kubectl get services"
    doors = doored({"tool": "kubectl", "argument": said}, {"tool": "submit", "state": "unresolved"})
    talk_rules = Script.model_validate(
        {
            "turns": [
                {"answer": {"tool": "kubectl", "argument": said}},
                {"when": "Service/frontend", "answer": {"tool": "submit", "state": "healthy"}},
            ]
        }
    )
    again = Doors(doors.source, doors.settings, doors.wall, ScriptedChatModel(script=talk_rules))
    told = solved("react", again)
    assert (told.state, told.detected) == ("healthy", False)


def test_nonsense_and_an_empty_budget_end_in_unresolved(doored: Doored) -> None:
    told = solved("react", doored("I do not know", "still not", "no"))
    assert told.state == "unresolved"
    assert any("gave up" in line.text for line in told.transcript)
    told = solved("react", doored({"tool": "alerts"}, {"tool": "alerts"}, {"tool": "alerts"}), commands=2)
    assert (told.state, told.steps) == ("unresolved", 2)
    told = solved("react", doored({"tool": "alerts"}, {"tool": "alerts"}), model_calls=1)
    assert (told.state, told.model_calls) == ("unresolved", 1)


def test_a_shell_types_pipes_and_submits(doored: Doored, faulty: EmbeddedCluster) -> None:
    name = victim(faulty)
    doors = doored(
        {"command": "kubectl get deployments | grep 0/0"},
        {"command": f"$ kubectl scale deployment/{name} --replicas=1"},
        {"command": "sleep 60"},
        {"command": f"submit resolved Deployment/{name}"},
    )
    told = solved("shell", doors)
    assert told.claimed
    assert told.root_cause == f"{APP}/Deployment/{name}"
    assert len(told.commands) == 1
    assert told.model_calls == 4


def test_without_a_model_there_is_no_shell(doored: Doored) -> None:
    with pytest.raises(UsageError, match="needs a chat model"):
        solved("shell", doored())


def test_the_small_shell(doored: Doored) -> None:
    talk = Talk(doored("x"), Budget())
    assert "command not found" in typed_in(talk, "curl http://example.org")
    assert typed_in(talk, "kubectl get pods | grep -c geo | wc -l").isdigit()
    assert "Service/frontend" in typed_in(talk, "kubectl get svc | grep 'frontend|nothing' | head -1")
    before = talk.clock.now()
    assert typed_in(talk, "sleep 10") == ""
    assert talk.clock.now() == before + 10
    typed_in(talk, "sleep 99999")
    assert talk.clock.now() <= before + 10 + 120


def test_filters() -> None:
    text = "alpha\nBeta\ngamma"
    assert filtered(text, "grep a") == text
    assert filtered(text, "grep -i beta") == "Beta"
    assert filtered(text, "grep -v a$") == ""
    assert filtered(text, r"grep 'Be\|ga'") == "Beta\ngamma"
    assert filtered(text, "head -1") == "alpha"
    assert filtered(text, "head -n 2") == "alpha\nBeta"
    assert filtered(text, "tail -1") == "gamma"
    assert filtered(text, "wc -l") == "3"
    assert "error" in filtered(text, "grep 'x")
    assert filtered(text, "grep [").startswith("grep: ")
    assert filtered(text, "awk x") == "awk: command not found"
