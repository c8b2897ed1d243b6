"""Rehearsal in the flow: it spares writes that would have been undone, and where it errs the gate still decides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sim" / "twin"))

from twin_kit import SHOP, Arena, deployment, script, service

from stratus import Report, Settings, respond
from stratus.knowledge.memory import InMemoryKnowledge
from stratus.mitigation.foresight import PREDICTED
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.refs import ObjectRef
from stratus.model.reports import ModelUsage
from stratus.reporting.html import html
from stratus.reporting.markdown import markdown
from stratus.settings import LimitSettings
from stratus.sim.cluster import dump

WEB = {"ports": [{"containerPort": 80}], "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5}}
NO_NODE = """kubectl -n shop patch deployment db -p '{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}'"""
BACK = "kubectl -n shop rollout undo deployment/web --to-revision=1"


class Convinced:
    """A brain with given causes and one plan for each, in order of its confidence."""

    name = "convinced"

    def __init__(self, *causes: tuple[float, str]) -> None:
        self.hypotheses = tuple(
            Hypothesis(
                id=f"H{i}",
                fault="bad_change",
                summary=f"cause {i}",
                object=ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace=SHOP),
                confidence=confidence,
                facts={"command": command},
            )
            for i, (confidence, command) in enumerate(causes, start=1)
        )

    def diagnose(self, case: Case) -> Diagnosis:
        known = {h.id: h for h in case.ledger}
        ledger = tuple(known.get(h.id, h) for h in self.hypotheses)
        left = [h for h in ledger if h.status == "open"]
        return Diagnosis(hypotheses=ledger, chosen=left[0].id if left else "")

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        if hypothesis.status != "open":
            return None
        step = ActionStep(text="Do it.", command=hypothesis.facts["command"], target=hypothesis.object)
        return ActionPlan(hypothesis=hypothesis.id, summary=f"plan of {hypothesis.id}", steps=(step,))

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        plan = self.plan(case, hypothesis)
        return (plan,) if plan is not None else ()

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        return "" if refusals else step.command

    def usage(self) -> ModelUsage:
        return ModelUsage()


@pytest.fixture
def stuck() -> Iterator[Arena]:
    """A release of `web` that crashes beside the one before, which still runs; `db` is well."""
    app = deployment("web", replicas=2, **WEB)
    with Arena(app, service("web"), deployment("db", **WEB), service("db")) as arena:
        arena.patch(app, {"spec": {"template": {"spec": {"containers": [{"name": "main", **script("exit 1")}]}}}})
        arena.cluster.advance(120)
        yield arena


def run(arena: Arena, folder: Path, brain: Convinced, **settings: Any) -> Report:
    chosen = Settings.model_validate({"mode": "auto", "state_dir": folder, "namespaces": (SHOP,), **settings})
    return respond(cluster=arena.cluster, settings=chosen, reasoner=brain, knowledge=InMemoryKnowledge())


WRONG_FIRST = ((0.8, NO_NODE), (0.6, BACK))


def test_it_spares_a_write_that_would_have_been_undone(stuck: Arena, tmp_path: Path) -> None:
    with stuck.cluster.fork() as same:
        other = Arena.__new__(Arena)
        other.cluster, other.kube = same, None
        off = run(other, tmp_path / "off", Convinced(*WRONG_FIRST), rehearsal="off")
    on = run(stuck, tmp_path / "on", Convinced(*WRONG_FIRST))
    assert off.state == on.state == "resolved"
    assert [(a.hypothesis, a.verdict, a.undone) for a in off.attempts] == [
        ("H1", "REGRESSED", True),
        ("H2", "RESOLVED", False),
    ]
    assert [(a.hypothesis, a.verdict, a.undone) for a in on.attempts] == [("H2", "RESOLVED", False)]
    assert off.rehearsals == ()
    assert off.agreement.total == 0
    harm, cure = on.rehearsals
    assert (harm.hypothesis, harm.prediction.verdict, harm.held_back, harm.chosen) == ("H1", "REGRESSED", True, False)
    assert (cure.hypothesis, cure.prediction.verdict, cure.held_back, cure.chosen) == ("H2", "RESOLVED", False, True)
    assert on.root_cause is not None
    assert on.root_cause.summary == "cause 2"
    assert on.agreement.counts == {"RESOLVED": {"RESOLVED": 1}}
    assert on.attempts[0].prediction == cure.prediction
    assert off.mttr.total > on.mttr.total


THIRD_TIME = script(
    "if [ -f /data/b ]; then exit 1; fi; if [ -f /data/a ]; then touch /data/b; else touch /data/a; fi; sleep 100000"
)


def test_where_the_twin_errs_the_gate_still_takes_it_back(tmp_path: Path) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk", "namespace": SHOP},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    app = deployment(
        "web",
        replicas=2,
        pod={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}]},
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        **THIRD_TIME,
    )
    app["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    with Arena(claim, app, nodes=1) as arena:
        # One pod of the new revision finds no node; the program itself fails at its third start, which nobody can see.
        arena.patch(
            app,
            {
                "spec": {
                    "template": {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "99"}}}]}}
                }
            },
        )
        arena.cluster.advance(120)
        fits = "kubectl -n shop set resources deployment/web --requests=cpu=10m"
        report = run(arena, tmp_path, Convinced((0.8, fits)))
        assert arena.cluster.store.get("deployments.apps", SHOP, "web")["spec"]["template"]["spec"]["containers"][0][  # type: ignore[index]
            "resources"
        ] == {"requests": {"cpu": "99"}}
    (attempt,) = (a for a in report.attempts if a.executed)
    assert attempt.prediction is not None
    assert attempt.prediction.verdict == "RESOLVED"
    assert attempt.verdict in ("UNCHANGED", "REGRESSED")
    assert attempt.undone
    assert attempt.undo_proof is not None
    assert attempt.undo_proof.proved
    assert report.agreement.right == 0
    assert report.agreement.said == 1
    assert report.state != "resolved"


def test_with_nothing_but_harm_at_hand_a_person_is_asked(stuck: Arena, tmp_path: Path) -> None:
    before = {o["metadata"]["name"]: o["spec"] for o in stuck.cluster.store.list("deployments.apps", SHOP)}
    report = run(stuck, tmp_path, Convinced((0.8, NO_NODE)))
    assert report.state == "needs_human"
    assert report.exit_code == 4
    assert "REGRESSED" in report.timeline[-1].text
    (attempt,) = report.attempts
    assert not attempt.executed
    assert attempt.transaction == ""
    assert [r.code for r in attempt.refusals] == [PREDICTED]
    assert attempt.prediction is not None
    assert attempt.prediction.verdict == "REGRESSED"
    assert report.agreement.total == 0, "what was not executed has no outcome"
    assert {o["metadata"]["name"]: o["spec"] for o in stuck.cluster.store.list("deployments.apps", SHOP)} == before


def test_a_person_who_is_asked_sees_what_is_foretold_and_may_decide_otherwise(stuck: Arena, tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []

    def no(proposal: dict[str, Any]) -> bool:
        shown.append(proposal)
        return False

    chosen = Settings(mode="approve", state_dir=tmp_path, namespaces=(SHOP,))
    brain, blank = Convinced((0.8, NO_NODE)), InMemoryKnowledge()
    respond(cluster=stuck.cluster, settings=chosen, reasoner=brain, knowledge=blank, approve=no)
    (proposal,) = shown
    assert proposal["prediction"].startswith("REGRESSED")


@pytest.mark.parametrize("mode", ["suggest", "dry-run"])
def test_modes_that_change_nothing_rehearse_and_propose_the_best(stuck: Arena, tmp_path: Path, mode: str) -> None:
    before = dump(stuck.cluster)
    report = run(stuck, tmp_path, Convinced(*WRONG_FIRST), mode=mode)
    assert report.suggestion == (BACK,)
    assert [r.prediction.verdict for r in report.rehearsals] == ["REGRESSED", "RESOLVED"]
    assert dump(stuck.cluster) == before


def test_what_cannot_be_rehearsed_is_executed_as_ever_and_the_report_says_so(stuck: Arena, tmp_path: Path) -> None:
    few = LimitSettings(rehearsal_objects=2)
    report = run(stuck, tmp_path, Convinced((0.6, BACK)), limits=few)
    assert report.state == "resolved"
    assert report.agreement.counts == {"not rehearsed": {"RESOLVED": 1}}
    assert "limits.rehearsal_objects" in report.rehearsals[0].prediction.reason
    assert any("not rehearsed: more than 2 objects" in e.text for e in report.timeline if e.stage == "Rehearsal")


def test_what_has_to_be_rehearsed_and_cannot_is_left_to_a_person(stuck: Arena, tmp_path: Path) -> None:
    report = run(stuck, tmp_path, Convinced((0.6, BACK)), rehearsal="on", limits=LimitSettings(rehearsal_objects=2))
    assert report.state == "needs_human"
    assert report.attempts == (), "nothing was executed, and there is no other way to think of"
    assert report.rehearsals[0].held_back
    assert "could not be rehearsed" in report.timeline[-1].text


def test_it_can_be_ablated(stuck: Arena, tmp_path: Path) -> None:
    report = run(stuck, tmp_path, Convinced((0.6, BACK)), ablate=("rehearsal",))
    assert report.state == "resolved"
    assert report.rehearsals == ()
    assert report.attempts[0].prediction is None


def test_no_more_candidates_are_compared_than_asked_for(stuck: Arena, tmp_path: Path) -> None:
    scale = "kubectl -n shop scale deployment/web --replicas="
    causes = [(0.8, BACK), *((0.7, f"{scale}{i}") for i in (3, 4, 5))]
    for most in (1, 3):
        with stuck.cluster.fork() as same:
            other = Arena.__new__(Arena)
            other.cluster = same
            report = run(other, tmp_path / str(most), Convinced(*causes), limits=LimitSettings(candidates=most))
            assert len([r for r in report.rehearsals if r.attempt == 1]) == most


def test_causes_that_are_far_less_likely_are_not_compared(stuck: Arena, tmp_path: Path) -> None:
    report = run(stuck, tmp_path, Convinced((0.8, BACK), (0.39, NO_NODE)))
    assert [r.hypothesis for r in report.rehearsals] == ["H1"]


@pytest.mark.parametrize("render", [markdown, html], ids=["markdown", "html"])
def test_reports_show_what_was_foretold_and_how_it_fared(
    stuck: Arena, tmp_path: Path, render: Callable[[Report], str]
) -> None:
    report = run(stuck, tmp_path, Convinced(*WRONG_FIRST))
    text = render(report)
    for part in ("held back", "Rehearsals", "1 of 1 foretold", "plan of H1", "foretold"):
        assert part.lower() in text.lower()
    again = Report.model_validate_json(report.model_dump_json())
    assert again.agreement == report.agreement
    assert again.rehearsals == report.rehearsals


def test_rivals_pass_the_same_lint_at_the_same_hour(
    stuck: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stratus.flow.nodes import mitigation

    asked: list[dict[str, Any]] = []
    real = mitigation.lint

    def spy(*args: Any, **options: Any) -> Any:
        asked.append(options)
        return real(*args, **options)

    monkeypatch.setattr(mitigation, "lint", spy)
    run(stuck, tmp_path, Convinced(*WRONG_FIRST))
    assert len(asked) == 2
    assert all(options["at"] is not None for options in asked), "change windows and freezes hold for every candidate"
