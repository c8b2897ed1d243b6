"""Do, then undo, over HTTPS: random commands for every (verb, kind), in a namespace that the test makes and deletes.

On the embedded cluster a few kinds are enough, since `tests/transaction/test_undo_everything.py` has them all; on a
real cluster (`make e2e`) all of them run. Nodes are only touched there when STRATUS_E2E_NODES is set, because others
may be using them, and custom resources when the identity may install a CustomResourceDefinition.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from target import KUBECONFIG, Target

sys.path.insert(0, str(Path(__file__).parents[1] / "transaction"))

import undo_objects as objects
from undo_commands import Entry, entries
from undo_walk import MARK, Room, StrangersNamespace, attempt, furnish, groups, sequence, walk

from stratus.cluster.kube import KubeCluster
from stratus.errors import AlreadyExists, ClusterError, Forbidden
from stratus.model.refs import ObjectRef
from stratus.settings import Settings
from stratus.transaction.sqlite import SqliteJournal
from stratus.wiring.sources import Source

pytestmark = pytest.mark.e2e

ALL = entries()
GROUPS = groups(ALL)
FEW = ("ConfigMap", "Service", "Widget")
"""Groups that run on the embedded cluster."""
NODES = bool(os.environ.get("STRATUS_E2E_NODES")) or not KUBECONFIG
ROUNDS = int(os.environ.get("STRATUS_UNDO_EXAMPLES", "2"))
SOME = settings(
    max_examples=ROUNDS, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)


@contextmanager
def widgets(room: Room) -> Iterator[bool]:
    """Serve widgets for a while; False where the identity may not. A definition that is there already stays."""
    try:
        room.send("POST", objects.WIDGETS)
    except Forbidden:
        yield False
        return
    except AlreadyExists:
        yield True
        return
    try:
        yield True
    finally:
        room.send("DELETE", objects.WIDGETS)


@pytest.fixture(scope="module")
def room(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    cluster = KubeCluster.from_settings(Settings(kubeconfig=target.kubeconfig))
    try:
        with SqliteJournal(tmp_path_factory.mktemp("undo") / "journal.sqlite") as journal:
            room = Room.on(Source(cluster, target.clock), journal, nodes=NODES)
            with widgets(room) as served:
                if served:
                    assert room.until(lambda: _served(room)), "the custom resource is not served"
                room.kinds = tuple(k for k in objects.VERSIONS if served or k != objects.CUSTOM[1])
                yield room
    finally:
        cluster.close()


def _served(room: Room) -> bool:
    try:
        return room.reader.list("/".join(objects.CUSTOM), "default") is not None
    except ClusterError:
        return False


def usable(room: Room, wanted: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Leave out what this identity may not do here."""
    found = tuple(e for e in wanted if e.kind in room.kinds or (e.kind == "Node" and room.nodes))
    return found if room.nodes else tuple(e for e in found if e.verb != "drain")


@pytest.mark.parametrize("group", GROUPS if KUBECONFIG else FEW)
def test_each_change_is_taken_back_exactly(group: str, room: Room) -> None:
    wanted = usable(room, GROUPS[group])
    if not wanted:
        pytest.skip("nodes or custom resources are not to be touched here")
    done: set[Entry] = set()

    @SOME
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with room.in_namespace():
            world = furnish(room, data.draw, wanted)
            for entry in wanted:
                done.update(attempt(room, world, (entry,)).done)

    run()
    assert len(done) > len(wanted) / 2, sorted(str(e) for e in wanted if e not in done)


def test_a_sequence_is_taken_back_exactly(room: Room) -> None:
    among = usable(room, ALL)

    @SOME
    @given(st.data())
    def run(data: st.DataObject) -> None:
        focus = data.draw(st.sampled_from(among))
        with room.in_namespace():
            walk(room, data.draw, sequence(data.draw, focus, among, data.draw(st.integers(1, 20))))

    run()


def test_only_a_namespace_of_its_own_is_touched(room: Room, target: Target, namespace: str) -> None:
    """Another namespace, even an empty or a similar one, is refused before anything is read or written."""
    room.namespace = namespace
    try:
        with pytest.raises(StrangersNamespace, match=namespace):
            room.plan("label service web a=b")
        target.kubectl("annotate", "namespace", namespace, f"{MARK}=another")
        with pytest.raises(StrangersNamespace):
            room.plan("label service web a=b")
    finally:
        room.namespace = ""


def test_the_namespace_goes_with_the_test(room: Room) -> None:
    with room.in_namespace() as name:
        ref = ObjectRef(api_version="v1", kind="Namespace", name=name)
        assert room.reader.get(ref) is not None
    found = room.reader.get(ref)
    assert found is None or "deletionTimestamp" in found["metadata"]
