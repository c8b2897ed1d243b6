"""The ledger: ids that stay, statuses that are kept, evidence with numbers of its own."""

from __future__ import annotations

from builders import app, case, container, deployment, event, node, observation, pod, replica_set, service, template

from stratus.diagnosis.rules import RulesReasoner
from stratus.model.diagnosis import Hypothesis
from stratus.model.evidence import Observation


def broken_image() -> Observation:
    old, new = template("web", container()), template("web", container(image="registry.example/app:none"))
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x": not found'}}
    stuck = pod("web", 2, new, ready=False, age=120.0, state=waiting)
    return observation(
        deployment("web", new, ready=0), replica_set("web", 1, old), replica_set("web", 2, new, replicas=1, age=120.0),
        stuck, service("web"), node(), event(stuck, "Failed", "Error: ImagePullBackOff"), *app("quiet"),
    )  # fmt: skip


def test_one_cause_is_one_hypothesis() -> None:
    one = case(broken_image())
    assert {a.detector for a in one.detection.anomalies} >= {"image-pull", "no-endpoints"}
    found = RulesReasoner().diagnose(one).hypotheses
    assert [(h.id, h.fault) for h in found] == [("H1", "image_pull")]
    assert found[0].facts["good_image"] == "registry.example/app:1"


def test_ids_are_stable_and_new_ones_go_on() -> None:
    one = case(broken_image())
    first = RulesReasoner().diagnose(one).hypotheses[0]
    renamed = first.model_copy(update={"id": "H7", "status": "tried"})
    again = RulesReasoner().diagnose(case(broken_image(), ledger=(renamed,), round=2)).hypotheses
    assert [(h.id, h.status) for h in again] == [("H7", "tried")]
    assert again[0].confidence < first.confidence


def test_a_cause_no_longer_seen_is_refuted_unless_it_was_tried() -> None:
    one = case(observation(*app("web"), node()))
    old = [
        Hypothesis(id="H1", fault="image_pull", summary="s", object=case_ref("a"), confidence=0.9),
        Hypothesis(id="H2", fault="bad_env", summary="s", object=case_ref("b"), confidence=0.9, status="tried"),
    ]
    found = RulesReasoner().diagnose(one.model_copy(update={"ledger": tuple(old)}))
    assert {h.id: h.status for h in found.hypotheses} == {"H1": "refuted", "H2": "tried"}
    assert found.chosen == ""


def case_ref(name: str):  # type: ignore[no-untyped-def]
    from stratus.diagnosis.world import reference

    return reference("Deployment", "shop", name)


def test_evidence_ids_are_unique_and_from_one_on() -> None:
    found = RulesReasoner().diagnose(case(broken_image())).hypotheses
    ids = [e.id for h in found for e in (*h.evidence_for, *h.evidence_against)]
    assert ids == [f"E{i}" for i in range(1, len(ids) + 1)]


def test_evidence_is_redacted() -> None:
    old = template("web", container(env=[{"name": "DB_PASSWORD", "value": "right"}]))
    new = template("web", container(env=[{"name": "DB_PASSWORD", "value": "hunter2hunter2"}]))
    dead = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    last = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-03-01T11:59:30Z"}}
    look = observation(
        deployment("web", new, ready=0), replica_set("web", 1, old), replica_set("web", 2, new, replicas=1, age=120.0),
        pod("web", 2, new, ready=False, age=120.0, state=dead, last=last, restarts=3), service("web"), node(),
    )  # fmt: skip
    found = RulesReasoner().diagnose(case(look)).hypotheses[0]
    assert found.fault == "bad_env"
    assert all("hunter2" not in e.summary for e in found.evidence_for)


def test_the_reasoning_cites_its_evidence() -> None:
    diagnosis = RulesReasoner().diagnose(case(broken_image()))
    assert "Most plausible" in diagnosis.reasoning
    assert "[E1]" in diagnosis.reasoning


def test_nothing_wrong_nothing_chosen() -> None:
    diagnosis = RulesReasoner().diagnose(case(observation(*app("web"), node())))
    assert diagnosis.hypotheses == ()
    assert diagnosis.chosen == ""
    assert diagnosis.reasoning
