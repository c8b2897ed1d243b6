"""Whole incidents: what is decided between the stages, on the embedded cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import AppsV1Api

from stratus import EmbeddedCluster, Report, Settings, respond
from stratus.flow.nodes.mitigation import changed_since
from stratus.model.actions import ActionPlan, ApiWrite, MitigationPlan, PlannedWrite
from stratus.model.refs import ObjectRef
from stratus.settings import LimitSettings
from stratus.wiring.checkpoints import checkpoints
from stratus.wiring.respond import ApprovalPending, _spent, resume
from stratus.wiring.sources import embedded_source, show_fault

APP = "hotel-reservation"


def broken(fault: str) -> EmbeddedCluster:
    cluster = EmbeddedCluster(app=APP)
    show_fault(embedded_source(cluster), fault)
    return cluster


def zeros(cluster: EmbeddedCluster) -> list[dict[str, Any]]:
    return [d for d in cluster.store.list("deployments.apps") if d["spec"]["replicas"] == 0]


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(state_dir=folder, **{"mode": "auto", **changes})


def test_the_attempt_limit_ends_undone_and_unresolved(tmp_path: Path) -> None:
    with broken("misleading-rollout") as cluster:
        report = respond(cluster=cluster, settings=settings(tmp_path, limits=LimitSettings(attempts=1)))
    assert (report.state, report.exit_code) == ("unresolved", 3)
    (attempt,) = report.attempts
    assert attempt.undone
    assert attempt.undo_proof is not None
    assert attempt.undo_proof.proved
    assert report.changes == ()
    assert "the limit" in report.timeline[-1].text


def test_a_resolved_incident_is_remembered_and_found_again(tmp_path: Path) -> None:
    from stratus.knowledge.store import open_knowledge

    with broken("scaled-to-zero") as cluster:
        report = respond(cluster=cluster, settings=settings(tmp_path))
    assert report.state == "resolved"
    assert report.root_cause is not None
    with open_knowledge(settings(tmp_path)) as base:
        (ticket,) = base.tickets()
        assert ticket.object == report.root_cause.object
        assert ticket.id in {c.id for c in base.search(ticket.title, kinds=("ticket",))}


def test_what_thinking_has_cost_is_in_the_checkpoint_of_an_unfinished_incident(tmp_path: Path) -> None:
    with broken("scaled-to-zero") as cluster:
        report = respond(cluster=cluster, settings=settings(tmp_path), incident="inc-x")
    with checkpoints(tmp_path / "checkpoints.sqlite") as saver:
        assert _spent(saver, "inc-x") == report.usage
        assert _spent(saver, "inc-of-nobody") is None


def test_approval_without_an_answer_waits_and_changes_nothing_until_it_comes(tmp_path: Path) -> None:
    with broken("scaled-to-zero") as cluster:
        with pytest.raises(ApprovalPending, match="approve inc-a") as waiting:
            respond(cluster=cluster, settings=settings(tmp_path, mode="approve"), incident="inc-a")
        assert waiting.value.proposal["commands"]
        assert waiting.value.proposal["diff"]
        assert waiting.value.proposal["undo"] == "1 patch, loses nothing"
        assert len(zeros(cluster)) == 1
        stands = waiting.value.report
        assert stands.pending == waiting.value.proposal
        assert (stands.state, stands.exit_code, stands.mode, stands.attempts) == ("needs_human", 4, "approve", ())
        assert stands.incident.id == "inc-a"
        assert stands.root_cause is not None
        assert stands.timeline[-1].text == "needs_human: a plan waits for approval"
        assert list(stands.suggestion) == stands.pending["commands"]
        with pytest.raises(ApprovalPending) as again:  # asked for once more without an answer
            resume("inc-a", settings=settings(tmp_path), cluster=cluster)
        assert again.value.report.pending == stands.pending
        report = resume("inc-a", settings=settings(tmp_path), cluster=cluster, approve=lambda _: True)
        assert zeros(cluster) == []
    assert report.state == "resolved"
    assert report.pending is None


def test_a_no_changes_nothing_and_goes_to_a_person(tmp_path: Path) -> None:
    with broken("scaled-to-zero") as cluster:
        report = respond(cluster=cluster, settings=settings(tmp_path, mode="approve"), approve=lambda _: False)
        assert len(zeros(cluster)) == 1
    assert (report.state, report.exit_code) == ("needs_human", 4)
    assert not any(a.executed for a in report.attempts)


def test_an_approval_is_void_when_its_object_has_changed_and_is_asked_for_anew(tmp_path: Path) -> None:
    asked: list[str] = []
    with broken("scaled-to-zero") as cluster:
        (deployment,) = zeros(cluster)
        name = deployment["metadata"]["name"]

        def approve(proposal: dict[str, Any]) -> bool:
            asked.append(proposal["summary"])
            if len(asked) == 1:
                labels = {"metadata": {"labels": {"touched": "by-somebody"}}}
                AppsV1Api(cluster.api_client()).patch_namespaced_deployment(name, APP, labels)
            return True

        report: Report = respond(cluster=cluster, settings=settings(tmp_path, mode="approve"), approve=approve)
        now = cluster.store.get("deployments.apps", APP, name)
    assert len(asked) == 2, "what was approved first was never executed"
    assert report.state == "resolved"
    assert [a.executed for a in report.attempts] == [False, True]
    assert now is not None
    assert now["metadata"]["labels"]["touched"] == "by-somebody"


class Reader:
    """Serves one object."""

    def __init__(self, obj: dict[str, Any] | None) -> None:
        self.obj = obj

    def get(self, _ref: ObjectRef) -> dict[str, Any] | None:
        return self.obj


def obj(replicas: int, **status: int) -> dict[str, Any]:
    return {"metadata": {"uid": "u"}, "spec": {"replicas": replicas}, "status": status}


def plan(*pre_images: dict[str, Any] | None) -> MitigationPlan:
    target = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")
    write = ApiWrite(method="PATCH", target=target, plural="deployments")
    writes = tuple(PlannedWrite(write=write, command="c", reversibility="exact", pre_image=p) for p in pre_images)
    return MitigationPlan(plan=ActionPlan(hypothesis="H1", summary="s", steps=()), writes=writes)


def test_only_the_first_write_to_an_object_is_compared_with_what_is_there() -> None:
    assert changed_since(Reader(obj(0)), plan(obj(0), obj(2))) is None  # type: ignore[arg-type]
    assert changed_since(Reader(obj(2)), plan(obj(0), obj(2))) is not None  # type: ignore[arg-type]


def test_status_is_no_change_and_appearing_or_vanishing_is() -> None:
    assert changed_since(Reader(obj(1, ready=0)), plan(obj(1, ready=1))) is None  # type: ignore[arg-type]
    assert changed_since(Reader(None), plan(obj(1))) is not None  # type: ignore[arg-type]
    assert changed_since(Reader(obj(1)), plan(None)) is not None  # type: ignore[arg-type]
