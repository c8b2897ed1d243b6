"""A rehearsal foretells what the gate would say, touches nothing, costs little, and says what it does not know."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sim" / "twin"))

from twin_kit import IMAGE, SHOP, Arena, Shown, deployment, script, service

from stratus.errors import ClusterUnreachable
from stratus.kit.clock import VirtualClock
from stratus.model.actions import ActionPlan, ApiWrite, MitigationPlan, PlannedWrite
from stratus.model.health import VerdictReport
from stratus.model.refs import ObjectRef
from stratus.model.rehearsals import Prediction
from stratus.settings import LimitSettings, Settings
from stratus.sim.cluster import dump
from stratus.sim.twin.cluster import TwinCluster
from stratus.transaction.cost import UndoCost
from stratus.wiring.rehearsing import INVISIBLE, STATE, TwinRehearsal, combined, unlike

WEB = {"ports": [{"containerPort": 80}], "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5}}


def planned(arena: Arena, obj: dict[str, Any], body: Any, *, method: str = "PATCH", subresource: str = "",
            reversibility: str = "exact") -> PlannedWrite:  # fmt: skip
    resource = arena.kube.reader.resource(obj["kind"])
    ref = ObjectRef(api_version=obj["apiVersion"], kind=obj["kind"], name=obj["metadata"]["name"], namespace=SHOP)
    kind = "application/strategic-merge-patch+json" if method == "PATCH" else None
    write = ApiWrite(
        method=method, target=ref, plural=resource.plural, body=body, patch_type=kind, subresource=subresource
    )
    return PlannedWrite(
        write=write,
        command=f"kubectl {method.lower()} {obj['kind']}",
        reversibility=reversibility,
        pre_image=arena.kube.reader.get(ref),
        dry_run=arena.kube.rehearser.dry_run(write),
    )


def plan(*writes: PlannedWrite) -> MitigationPlan:
    return MitigationPlan(plan=ActionPlan(hypothesis="H1", summary="do it", steps=()), writes=writes)


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}


def foretell(
    arena: Arena, *plans: MitigationPlan, services: tuple[str, ...] = ("shop/a",), settings: Settings | None = None,
    rehearsal: TwinRehearsal | None = None, **more: Any
) -> tuple[Prediction, ...]:  # fmt: skip
    given = rehearsal or TwinRehearsal(settings or Settings(), arena.kube.reader, arena.cluster.clock)
    return given.foretell(plans, namespaces=(SHOP,), services=services, served=more.get("served", {}))


@pytest.fixture
def stuck() -> Iterator[Arena]:
    """A release that crashes beside the one before, which still runs."""
    app = deployment("a", replicas=2, **WEB)
    with Arena(app, service("a"), deployment("b", **WEB), service("b")) as arena:
        arena.patch(app, container(**script("sleep 3; exit 1")))
        arena.cluster.advance(90)
        yield arena


BACK = container(image=IMAGE, command=None)


def test_a_repair_is_foretold_with_its_undo(stuck: Arena) -> None:
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), BACK)))
    assert (found.verdict, found.best, found.worst) == ("RESOLVED", "RESOLVED", "RESOLVED")
    assert found.rehearsed
    assert found.undo_exact is True
    assert (found.undo_rollouts, found.undo_requests) == (1, 1)
    assert found.blind == ()
    assert found.unavailable == 0, "the rollout keeps what is ready"
    assert "gone: shop/a" in found.reason
    assert found.cpu > 0
    assert {c.component for c in found.changes} >= {"shop/a availability"}


def test_the_cluster_itself_is_only_read(stuck: Arena) -> None:
    before = dump(stuck.cluster)
    foretell(stuck, plan(planned(stuck, deployment("a"), BACK)))
    assert dump(stuck.cluster) == before
    assert stuck.kube.reader.list("Lease", SHOP) == []


HARM: dict[str, Callable[[Arena], PlannedWrite]] = {
    "nobody is left": lambda a: planned(a, deployment("b"), {"spec": {"replicas": 0}}),
    "no node takes it": lambda a: planned(
        a, deployment("b"), {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}
    ),
    "it selects nothing": lambda a: planned(a, service("b"), {"spec": {"selector": {"app": "none"}}}),
    "it leads nowhere": lambda a: planned(a, service("b"), {"spec": {"ports": [{"port": 80, "targetPort": 81}]}}),
    "its config is not there": lambda a: planned(
        a, deployment("b"), container(envFrom=[{"configMapRef": {"name": "gone"}}])
    ),
    "what crashes there crashes here": lambda a: planned(a, deployment("a"), {"spec": {"replicas": 6}}),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_foretold(stuck: Arena, harm: str) -> None:
    (found,) = foretell(stuck, plan(HARM[harm](stuck)))
    assert found.verdict == "REGRESSED", found.text()
    assert found.worst == "REGRESSED"
    assert found.undo_exact is True


def test_what_changes_nothing_is_foretold_as_such(stuck: Arena) -> None:
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), {"metadata": {"labels": {"x": "y"}}})))
    assert found.verdict == "UNCHANGED"
    assert INVISIBLE not in found.blind, "the incident does show in objects"


def test_what_hangs_on_the_unknown_is_unknown(stuck: Arena) -> None:
    env = container(image=IMAGE, command=None, env=[{"name": "FAST", "value": "1"}])
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), env)))
    assert found.verdict == "UNKNOWN"
    assert (found.best, found.worst) == ("RESOLVED", "UNCHANGED")
    assert "main of shop/a" in found.blind[0]
    assert found.undo_exact is True


def test_an_image_that_nobody_has_seen_is_unknown(stuck: Arena) -> None:
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), container(image="nginx:1.99", command=None))))
    assert found.verdict == "UNKNOWN"
    assert any("nginx:1.99" in text for text in found.blind)


def test_where_the_incident_does_not_show_nothing_is_foretold() -> None:
    with Arena(deployment("a", **WEB), service("a")) as arena:
        (found,) = foretell(arena, plan(planned(arena, deployment("a"), {"metadata": {"labels": {"x": "y"}}})))
    assert found.verdict == "UNKNOWN"
    assert INVISIBLE in found.blind
    assert found.best == "UNCHANGED"


def test_admission_and_quota_count_in_the_twin() -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": SHOP},
             "spec": {"hard": {"pods": "1"}}}  # fmt: skip
    with Arena(quota, deployment("a", replicas=2, **WEB), service("a")) as arena:
        raised = planned(arena, quota, {"spec": {"hard": {"pods": "5"}}})
        small = planned(arena, deployment("a"), {"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}})
        enough, nothing = foretell(arena, plan(raised), plan(small))
    assert enough.verdict == "RESOLVED"
    assert nothing.verdict in ("UNCHANGED", "REGRESSED")


def test_pods_that_are_away_meanwhile_are_counted() -> None:
    app = deployment("a", replicas=3, **WEB)
    app["spec"]["strategy"] = {"type": "Recreate"}
    with Arena(app, service("a"), deployment("b", **WEB)) as arena:
        template = {"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}}
        (found,) = foretell(arena, plan(planned(arena, app, template)))
    assert found.unavailable == 3
    assert 0 < found.unavailable_seconds < 60


def test_what_was_seen_in_an_earlier_round_is_still_known(stuck: Arena) -> None:
    rehearsal = TwinRehearsal(Settings(), stuck.kube.reader, stuck.cluster.clock)
    foretell(stuck, plan(planned(stuck, deployment("a"), BACK)), rehearsal=rehearsal)
    stuck.patch(deployment("a"), BACK)
    stuck.cluster.advance(90)
    again = plan(planned(stuck, deployment("a"), container(**script("sleep 3; exit 1"))))
    (knows,) = foretell(stuck, again, rehearsal=rehearsal)
    (does_not,) = foretell(stuck, again)
    assert knows.verdict == "REGRESSED"
    assert does_not.verdict == "UNKNOWN"


# failing closed


def test_a_command_in_a_container_is_not_rehearsed(stuck: Arena) -> None:
    exec_ = planned(stuck, deployment("a"), BACK, reversibility="compensable")
    inside, plain = foretell(stuck, plan(exec_), plan(planned(stuck, deployment("a"), BACK)))
    assert (inside.rehearsed, inside.reason) == (False, STATE)
    assert plain.rehearsed, "the other plan is"


def test_its_cpu_time_is_bounded(stuck: Arena) -> None:
    ticks = iter(range(1, 10_000))
    rehearsal = TwinRehearsal(
        Settings(limits=LimitSettings(rehearsal_seconds=2.0)),
        stuck.kube.reader,
        stuck.cluster.clock,
        cpu=lambda: float(next(ticks)),
    )
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), BACK)), rehearsal=rehearsal)
    assert not found.rehearsed
    assert "limits.rehearsal_seconds" in found.reason


def test_the_size_of_a_twin_is_bounded(stuck: Arena) -> None:
    small = Settings(limits=LimitSettings(rehearsal_objects=3))
    both = foretell(stuck, *[plan(planned(stuck, deployment("a"), BACK))] * 2, settings=small)
    assert [p.foretold for p in both] == ["not rehearsed"] * 2
    assert "limits.rehearsal_objects" in both[0].reason


@pytest.mark.parametrize("error", [ClusterUnreachable("no route"), KeyError("spec"), RecursionError()])
def test_whatever_goes_wrong_it_says_so_and_raises_nothing(error: Exception) -> None:
    class Broken(Shown):
        def list(self, kind: str, namespace: str | None = None, **_: Any) -> list[dict[str, Any]]:
            raise error

    rehearsal = TwinRehearsal(Settings(), Broken({}), VirtualClock(0.0))
    (found,) = rehearsal.foretell([MitigationPlan(plan=ActionPlan(hypothesis="H", summary="s", steps=()))],
                                  namespaces=(SHOP,), services=(), served={})  # fmt: skip
    assert not found.rehearsed
    assert found.verdict == "UNKNOWN"
    assert found.reason


def test_strange_objects_break_no_incident(stuck: Arena) -> None:
    shown = Shown.of(stuck)
    for pod in shown.objects["Pod"]:
        pod["spec"] = None
    given = TwinRehearsal(Settings(), shown, stuck.cluster.clock)
    (found,) = foretell(stuck, plan(planned(stuck, deployment("a"), BACK)), rehearsal=given)
    assert not found.rehearsed
    assert "TypeError" in found.reason or "twin" in found.reason


def test_a_write_that_the_twin_refuses_is_no_good_sign(stuck: Arena) -> None:
    stale = planned(stuck, deployment("a"), BACK)
    stale = stale.model_copy(update={"write": stale.write.model_copy(update={"expect_version": "1", "method": "PUT",
                                                                            "patch_type": None})})  # fmt: skip
    (found,) = foretell(stuck, plan(stale))
    assert found.verdict not in ("RESOLVED", "IMPROVED")


def test_a_twin_that_is_not_as_observed_foretells_nothing(stuck: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    shot = stuck.look()
    with TwinCluster(shot) as twin:
        assert unlike(shot, twin, Settings().health) == []
        twin.store.delete("pods", SHOP, twin.store.list("pods", SHOP)[0]["metadata"]["name"])
        twin.store.delete("deployments.apps", SHOP, "b")
        found = unlike(shot, twin, Settings().health)
    assert any("shop/b" in line for line in found)
    monkeypatch.setattr("stratus.wiring.rehearsing.unlike", lambda *_: ["shop/a differs"])
    (blank,) = foretell(stuck, plan(planned(stuck, deployment("a"), BACK)))
    assert blank.reason == "the twin is not as what was observed: shop/a differs"


# putting two runs together


class _Fake:
    def __init__(self, verdict: str, *, doubts: tuple[str, ...] = (), visible: bool = True, exact: bool | None = True):
        self.verdict = VerdictReport(verdict=verdict, reason=f"why {verdict}")
        self.doubts, self.visible, self.exact = doubts, visible, exact
        self.cost, self.unavailable, self.seconds = UndoCost(patches=2, loses=("x",)), len(verdict), 1.0


def test_only_what_both_runs_agree_on_is_foretold() -> None:
    same = combined(_Fake("RESOLVED", doubts=("a",)), _Fake("RESOLVED", doubts=("a", "b")), ("c",), 0.5)  # type: ignore[arg-type]
    assert (same.verdict, same.reason, same.blind, same.cpu) == ("RESOLVED", "why RESOLVED", ("a", "b", "c"), 0.5)
    assert (same.undo_requests, same.undo_losses) == (2, 1)
    split = combined(_Fake("RESOLVED", doubts=("a",)), _Fake("REGRESSED"), (), 0.0)  # type: ignore[arg-type]
    assert (split.verdict, split.best, split.worst) == ("UNKNOWN", "RESOLVED", "REGRESSED")
    assert split.unavailable == len("REGRESSED"), "the worse of the two"


def test_an_undo_counts_as_exact_when_it_was_in_every_run() -> None:
    for exact, wanted in (((True, True), True), ((True, False), False), ((None, None), None), ((None, True), True)):
        first, other = (_Fake("RESOLVED", exact=e) for e in exact)
        assert combined(first, other, (), 0.0).undo_exact is wanted  # type: ignore[arg-type]


def test_harm_counts_though_the_incident_does_not_show() -> None:
    found = combined(_Fake("REGRESSED", visible=False), None, (), 0.0)  # type: ignore[arg-type]
    assert found.verdict == "REGRESSED"
    assert INVISIBLE in found.blind
    assert combined(_Fake("UNCHANGED", visible=False), None, (), 0.0).verdict == "UNKNOWN"  # type: ignore[arg-type]
    assert combined(_Fake("UNCHANGED"), None, (), 0.0).verdict == "UNCHANGED"  # type: ignore[arg-type]


def test_what_gets_worse_by_itself_is_not_blamed_on_the_plan() -> None:
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node1"}}
    stay = [{"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    ever = [{"key": "x", "operator": "Exists"}]
    app, well = deployment("a", pod={"tolerations": stay}, **WEB), deployment("b", pod={"tolerations": ever}, **WEB)
    with Arena(app, service("a"), well, service("b"), nodes=1) as arena:
        arena.patch(node, {"spec": {"unschedulable": True, "taints": [{"key": "x", "effect": "NoExecute"}]}})
        arena.cluster.advance(4)
        idle = planned(arena, app, {"metadata": {"labels": {"x": "y"}}})
        harm = planned(arena, well, {"spec": {"replicas": 0}})
        by_itself, both = foretell(arena, plan(idle), plan(harm))
    assert (by_itself.verdict, by_itself.by_itself) == ("REGRESSED", True), by_itself.text()
    assert "by itself" in by_itself.text()
    assert (both.verdict, both.by_itself) == ("REGRESSED", False), "nobody asked for fewer pods"
