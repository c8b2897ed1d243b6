"""The agent in an orchestrator that behaves as AIOpsLab's: text in, one fenced action out."""

from __future__ import annotations

import ast
import asyncio
import os
import re

import pytest
from handed import Handed, hypothesis, report

from stratus.bench.external.aiopslab import AIOpsLabAgent, action, solution, task_of
from stratus.bench.external.solving import Bench, blamed, category, classes, narrative
from stratus.errors import UsageError
from stratus.model.diagnosis import FaultClass
from stratus.settings import Settings

SUMMARY = "Service Name: Any App\nNamespace: test-any\nDescription: rooms to let\nSupported Operations:\n  - look"
ASKS = {
    "detection": "You are assigned to detect anomalies in a deployed service.",
    "localization": "You are assigned to localize the root cause of a fault: find the faulty components.",
    "analysis": "You are assigned to do root cause analysis: submit a dict with 'system_level' and 'fault_type'.",
    "mitigation": "You are assigned to mitigate anomalies in a deployed service.",
}
BLOCK = re.compile(r"```\s*\n(.*?)\n```", re.DOTALL)


class Orchestrator:
    """Asks for actions and reads them by the rules of the grammar; knows one action that ends a task."""

    def __init__(self, task: str) -> None:
        self.task, self.submitted, self.steps = task, None, 0

    def init_problem(self):
        return f"{ASKS[self.task]}\n\nService Details:\n{SUMMARY}\n", "answer with one action", {"submit": "Submit."}

    def read(self, reply: str) -> tuple[str, list]:
        blocks = BLOCK.findall(reply)
        assert len(blocks) == 1, "exactly one fenced block without a language"
        name, _, rest = blocks[0].partition("(")
        call = ast.parse(f"f({rest.rpartition(')')[0]})", mode="eval").body
        assert isinstance(call, ast.Call)
        return name.strip(), [ast.literal_eval(a) for a in call.args]

    async def start(self, agent, max_steps: int = 5):
        state = "Please take the next action"
        for _ in range(max_steps):
            self.steps += 1
            name, args = self.read(await agent.get_action(state))
            if name == "submit":
                self.submitted = args
                return
            state = f"unknown action {name}\nPlease take the next action"


def play(task: str, agent: AIOpsLabAgent) -> Orchestrator:
    lab = Orchestrator(task)
    agent.init_context(*lab.init_problem())
    asyncio.run(lab.start(agent))
    return lab


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("detection", ["Yes"]),
        ("localization", [["geo"]]),
        ("analysis", [{"system_level": "Virtualization", "fault_type": "Operation Error"}]),
        ("mitigation", []),
    ],
)
def test_each_task_ends_in_one_step(task, expected):
    bench = Handed(report(hypothesis()))
    lab = play(task, AIOpsLabAgent(bench))
    assert (lab.submitted, lab.steps) == (expected, 1)
    assert bench.asked == [("auto" if task == "mitigation" else "observe", ("test-any",))]


@pytest.mark.parametrize(("task", "expected"), [("detection", ["No"]), ("localization", [[]]), ("analysis", [])])
def test_nothing_wrong(task, expected):
    assert play(task, AIOpsLabAgent(Handed(report(state="healthy")))).submitted == expected


def test_what_cannot_be_known_is_not_called_healthy():
    assert play("detection", AIOpsLabAgent(Handed(report(state="needs_human")))).submitted == ["Yes"]


def test_an_agent_works_on_one_problem_after_the_other():
    bench = Handed(report(hypothesis()), report(state="healthy"))
    agent = AIOpsLabAgent(bench)
    assert play("detection", agent).submitted == ["Yes"]
    assert play("detection", agent).submitted == ["No"]
    assert len(bench.asked) == 2


def test_asked_again_it_says_the_same_and_does_nothing():
    bench = Handed(report(hypothesis()))
    agent = AIOpsLabAgent(bench, task="localization")
    agent.init_context("no namespace told", "", {})
    assert [asyncio.run(agent.get_action("x")) for _ in range(2)] == ['```\nsubmit(["geo"])\n```'] * 2
    assert bench.asked == [("observe", ())]


def test_bad_input():
    with pytest.raises(UsageError, match="init_context"):
        asyncio.run(AIOpsLabAgent(Handed()).get_action("x"))
    with pytest.raises(UsageError, match="task="):
        task_of("do something")
    assert task_of("do something", 'submit({"system_level": ...})') == "analysis"


@pytest.mark.parametrize("value", ["it's", 'a "quote"', "back\\slash", ["a", "b"], {"k": "v"}, 3, None, True])
def test_arguments_are_read_back(value):
    assert Orchestrator("detection").read(action("submit", value)) == ("submit", [value])


def test_every_class_has_its_two_categories():
    levels = {"Hardware", "Operating System", "Virtualization", "Application"}
    kinds = {"Misconfiguration", "Code Defect", "Authentication Issue", "Network/Storage Issue", "Operation Error",
             "Dependency Problem"}  # fmt: skip
    assert set(classes()) == set(FaultClass.__args__)
    for level, kind in classes().values():
        assert level in levels
        assert kind in kinds


@pytest.mark.parametrize(
    ("ledger", "name"),
    [
        ((hypothesis("Service", "rate"),), "rate"),
        ((hypothesis("ConfigMap", "flags", service="ad"),), "ad"),
        ((hypothesis("Node", "n1", service=""),), "n1"),
        ((), "search"),
    ],
)
def test_who_is_to_blame(ledger, name):
    assert blamed(report(*ledger)) == name


def test_no_cause_has_no_category_and_is_told_so():
    assert category(report()) is None
    assert solution("analysis", report()) == ()
    assert "no cause could be named" in narrative(report())
    assert narrative(report(state="healthy")) == "No incident was found."
    told = narrative(report(hypothesis(), hypothesis(name="rate", id="H2", summary="rate is slow")))
    assert "Deployment/geo in namespace hotel" in told
    assert "Less likely: rate is slow" in told


@pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="half a minute; set STRATUS_LONG=1")
@pytest.mark.parametrize("task", ["detection", "localization", "mitigation"])
def test_on_a_cluster(task, tmp_path):
    """The whole way: a cluster with a fault, through the orchestrator, to a Service that has its endpoints again."""
    from stratus.sim.cluster import EmbeddedCluster

    with EmbeddedCluster(app="hotel-reservation", seed=0) as cluster:
        cluster.inject("scaled-to-zero")
        cluster.advance(180.0)
        zero = [d for d in cluster.store.list("deployments.apps") if d["spec"]["replicas"] == 0]
        lab = play(task, AIOpsLabAgent(Bench(Settings(state_dir=tmp_path), cluster=cluster)))
        left = [d for d in cluster.store.list("deployments.apps") if d["spec"]["replicas"] == 0]
    expected = {"detection": ["Yes"], "localization": [[zero[0]["metadata"]["name"]]], "mitigation": []}
    assert lab.submitted == expected[task]
    assert bool(left) is (task != "mitigation")
