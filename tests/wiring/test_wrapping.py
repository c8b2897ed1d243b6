"""`stratus.transaction(...)`: a user's own change is kept when nothing got worse, and taken back otherwise."""

# ruff: noqa: PT012 - what has to raise is the end of a block, with all that stands in it

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stratus
from stratus import EmbeddedCluster, Settings, TransactionUndone
from stratus.errors import (
    ClusterUnreachable,
    CommandRefused,
    JournalError,
    LeaseLost,
    TransactionError,
    UsageError,
)
from stratus.settings import LimitSettings, PolicySettings
from stratus.wiring.journals import read_journal, told
from stratus.wiring.wrapping import transaction

APP = "hotel-reservation"


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedCluster]:
    """An application that has served for ten minutes."""
    cluster = EmbeddedCluster(app=APP, seed=3)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(running: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A copy of it for one test."""
    twin = running.fork()
    yield twin
    twin.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a state directory of the test's own."""
    return Settings(state_dir=tmp_path / "state", identity="test")


def spec(cluster: EmbeddedCluster, name: str = "frontend", resource: str = "deployments.apps") -> dict[str, Any]:
    found = cluster.store.get(resource, APP, name)
    assert found is not None
    return found["spec"]


def test_a_harmless_change_is_kept(cluster, settings):
    with stratus.transaction(cluster, scope=APP, settings=settings) as t:
        step = t.kubectl("kubectl scale deploy/frontend --replicas=3")
        assert step.diff == ("spec.replicas: 1 -> 3",)
        assert spec(cluster)["replicas"] == 3  # at once, not at the end
        t.kubectl("label deploy/frontend tier=web")
    assert t.transaction.state == "committed"
    assert t.verdict is not None
    assert t.verdict.verdict == "UNCHANGED"
    assert spec(cluster)["replicas"] == 3
    with read_journal(settings) as journal:
        assert told(journal, t.id) == t.transaction
        journal.verify()


@pytest.mark.parametrize(
    ("command", "worse"),
    [
        ("scale deploy/frontend --replicas=0", "desired"),
        ("set image deploy/frontend *=yinfangchen/hotelreservation:no-such-tag", "crashing"),
        ('patch svc frontend --type merge -p \'{"spec":{"selector":{"app":"nobody"}}}\'', "endpoints"),
    ],
)
def test_a_change_that_makes_something_worse_is_taken_back(command, worse, cluster, settings):
    before = spec(cluster), spec(cluster, resource="services")
    with (
        pytest.raises(TransactionUndone, match=rf"REGRESSED.*{worse}.*proved by reading back") as told_,
        stratus.transaction(cluster, scope=APP, settings=settings) as t,
    ):
        t.kubectl(command)
    assert told_.value.transaction == t.transaction
    assert t.transaction.state == "undone"
    assert t.transaction.undo_proof is not None
    assert t.transaction.undo_proof.proved
    assert (spec(cluster), spec(cluster, resource="services")) == before
    assert told_.value.exit_code == 4


def test_what_is_made_has_to_be_well_by_itself(cluster, settings):
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: fresh}
spec:
  replicas: 1
  selector: {matchLabels: {app: fresh}}
  template:
    metadata: {labels: {app: fresh}}
    spec: {containers: [{name: c, image: "IMAGE"}]}
"""
    with (
        pytest.raises(TransactionUndone, match=rf"{APP}/fresh created"),
        stratus.transaction(cluster, scope=APP, settings=settings) as t,
    ):
        t.kubectl("apply -f -", stdin=manifest.replace("IMAGE", "nginx:does-not-exist"))
    assert cluster.store.get("deployments.apps", APP, "fresh") is None
    with stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("apply -f -", stdin=manifest.replace("IMAGE", "nginx:1.27"))
    assert t.transaction.state == "committed"


def test_an_exception_takes_everything_back_and_goes_on(cluster, settings):
    before = spec(cluster)
    with pytest.raises(KeyError) as raised, stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("scale deploy/frontend --replicas=4")
        raise KeyError("the user's own trouble")
    assert raised.value.__notes__ == [f"transaction {t.id} was taken back, proved by reading back"]
    assert spec(cluster) == before
    assert "KeyError" in t.transaction.reason


def test_an_interrupt_takes_everything_back(cluster, settings):
    before = spec(cluster)
    with pytest.raises(KeyboardInterrupt), stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("scale deploy/frontend --replicas=4")
        raise KeyboardInterrupt
    assert spec(cluster) == before
    assert t.transaction.state == "undone"


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ClusterUnreachable("gone")], ids=["ctrl-c", "unreachable"])
def test_trouble_while_it_is_judged_takes_everything_back_too(trouble, cluster, settings, monkeypatch):
    """The block is over, the rollout is being waited for, and somebody presses Ctrl-C."""
    before = spec(cluster)

    def broken(*_: Any) -> Any:
        raise trouble

    with (
        pytest.raises(trouble if isinstance(trouble, type) else type(trouble)) as raised,
        stratus.transaction(cluster, scope=APP, settings=settings) as t,
    ):
        t.kubectl("scale deploy/frontend --replicas=4")
        monkeypatch.setattr(t._engine, "validate", broken)
    assert spec(cluster) == before
    assert t.transaction.state == "undone"
    assert raised.value.__notes__ == [f"transaction {t.id} was taken back, proved by reading back"]


def test_trouble_after_the_commit_undoes_nothing(cluster, settings, monkeypatch):
    with pytest.raises(KeyboardInterrupt), stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("scale deploy/frontend --replicas=4")
        commit = t._engine.commit

        def interrupted(name: str) -> Any:
            commit(name)
            raise KeyboardInterrupt

        monkeypatch.setattr(t._engine, "commit", interrupted)
    assert t.transaction.state == "committed"
    assert spec(cluster)["replicas"] == 4


def test_a_journal_that_fails_at_the_end_does_not_hide_what_happened(cluster, settings, monkeypatch):
    with pytest.raises(KeyError) as raised, stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("scale deploy/frontend --replicas=4")

        def broken(*_: Any) -> Any:
            raise JournalError("the disk is gone")

        for name in ("show", "undo"):
            monkeypatch.setattr(t._engine, name, broken)
        raise KeyError("the user's own trouble")
    assert "is still open (the disk is gone); `stratus txn resume` takes it back" in raised.value.__notes__[0]


def test_a_killed_process_is_finished_by_the_next_transaction(cluster, settings):
    before = spec(cluster)
    killed = transaction(cluster, scope=APP, settings=settings)
    first = killed.__enter__()
    first.kubectl("scale deploy/frontend --replicas=4")
    first._engine._live.clear()  # gone without a word; its Lease runs out
    with stratus.transaction(cluster, scope=APP, settings=settings.model_copy(update={"identity": "next"})) as t:
        assert spec(cluster) == before
    assert first.transaction.state == "undone"
    assert t.transaction.state == "committed"
    with pytest.raises(TransactionUndone):  # the first wakes up after all, and learns of it
        killed.__exit__(None, None, None)


def test_others_are_locked_out(cluster, settings):
    other = settings.model_copy(update={"identity": "other", "state_dir": settings.state_dir.parent / "other"})
    with stratus.transaction(cluster, scope=APP, settings=settings):
        holder = cluster.store.get("leases.coordination.k8s.io", APP, "stratus-writer")
        assert holder is not None
        assert holder["spec"]["holderIdentity"] == "test"
        impatient = other.model_copy(update={"lease_seconds": 1.0})
        with (
            pytest.raises(LeaseLost, match="test holds the lock"),
            stratus.transaction(cluster, scope=APP, settings=impatient),
        ):
            raise AssertionError("two writers")


def test_refusals_send_nothing_and_leave_it_open(cluster, settings):
    before = spec(cluster)
    with stratus.transaction(cluster, scope=APP, settings=settings) as t:
        for command, code in (
            ("get pods", "read"),
            ("scale deploy/frontend --replicas=3 | tee x", "shell_syntax"),
            ("delete ns default", "irreversible"),
            ("scale deploy/no-such --replicas=2", "not_found"),
            ("create configmap x -n kube-system --from-literal=a=b", "protected_namespace"),
            ("label svc/kubernetes -n default a=b", "namespace"),
            ("scale deploy/frontend --replicas=500", "scale"),
            ("frobnicate deploy/frontend", "unknown_verb"),
        ):
            with pytest.raises(CommandRefused) as refused:
                t.kubectl(command)
            assert refused.value.code == code, (command, str(refused.value))
        assert spec(cluster) == before
        assert t.kubectl("scale deploy/frontend --replicas=1").diff == ()  # it is like that: nothing to send
        t.kubectl("scale deploy/frontend --replicas=2")
    assert [len(t.steps), len(t.transaction.writes)] == [2, 1]
    with pytest.raises(TransactionError, match="has ended"):
        t.kubectl("scale deploy/frontend --replicas=1")


def test_the_server_refuses_a_write(cluster, settings):
    """What was rehearsed is not accepted when it is sent: what was done before is taken back."""
    before = spec(cluster)
    with (
        pytest.raises(TransactionUndone, match="was not kept"),
        transaction(cluster, scope=APP, settings=settings) as t,
    ):
        t.kubectl("scale deploy/frontend --replicas=2")
        planned = t._plan("label deploy/frontend a=b", "")
        bad = planned[0].model_copy(
            update={
                "write": planned[0].write.model_copy(update={"body": {"metadata": {"labels": {"a": "not valid!"}}}})
            }
        )
        t._plan = lambda command, stdin: (bad,)
        t.kubectl("label deploy/frontend a=b")
    assert spec(cluster) == before


def test_a_person_may_use_images_that_nothing_has_run_yet(cluster, settings):
    """What a model could be talked into is refused to the agent; a person asks for it by name."""
    with stratus.transaction(cluster, scope=APP, settings=settings) as t:
        t.kubectl("create deployment extra --image=nginx:1.27")
    assert t.transaction.state == "committed"


def test_limits_and_policy_are_those_of_the_settings(cluster, settings):
    few = settings.model_copy(
        update={"limits": LimitSettings(commands=1), "policy": PolicySettings(kinds=("Deployment",))}
    )
    with stratus.transaction(cluster, scope=APP, settings=few) as t:
        with pytest.raises(CommandRefused, match="Service objects may not be changed"):
            t.kubectl("label svc/frontend a=b")
        t.kubectl("label deploy/frontend a=b")
        with pytest.raises(TransactionError, match="at most 1 are allowed"):
            t.kubectl("label deploy/frontend c=d")
    assert t.transaction.state == "committed"


@pytest.mark.parametrize("scope", ["", (), ("",)])
def test_a_scope_is_needed(scope, cluster, settings):
    with pytest.raises(UsageError, match="needs a scope"), stratus.transaction(cluster, scope=scope, settings=settings):
        raise AssertionError("opened")


def test_neighbours_in_other_namespaces_count_when_watched(cluster, settings):
    """Only `watch` (or the scope) makes another namespace's health part of the verdict."""
    with stratus.transaction(cluster, scope="default", watch=(APP,), settings=settings) as t:
        t.kubectl("create configmap note --from-literal=a=b")
        services = {s.namespace for s in t.transaction.health_before[0].services}
    assert APP in services


def test_the_door_has_the_name_of_the_room():
    import stratus.transaction.engine as engine

    assert callable(stratus.transaction)
    assert stratus.transaction.engine is engine
