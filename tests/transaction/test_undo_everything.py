"""Do, then undo, gives back exactly what was: random objects and commands for every (verb, kind) of the registry.

A short sample runs always; `make undo-walk` runs long sequences, and `make e2e` the same on any real cluster.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import undo_objects as objects
import undo_walk
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from txn_kit import MemoryJournal
from undo_commands import MAKERS, Entry, entries
from undo_walk import Room, StrangersNamespace, Walked, attempt, embedded_source, furnish, groups, sequence, walk

from stratus.mitigation.reversibility import CUSTOM, reversibility_rules
from stratus.transaction import carrier
from stratus.transaction.inverse import Inverse
from stratus.transaction.sqlite import SqliteJournal
from stratus.wiring.sources import Source

LONG = bool(os.environ.get("STRATUS_LONG"))
EXAMPLES = int(os.environ.get("STRATUS_UNDO_EXAMPLES", "12"))
"""Sequences for each (verb, kind) of the long walk."""
ALL = entries()
GROUPS = groups(ALL)
QUICK = settings(
    max_examples=2, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)
THOROUGH = settings(QUICK, max_examples=EXAMPLES)


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with embedded_source() as found:
        yield found


@pytest.fixture
def room(source: Source) -> Room:
    return Room.on(source, MemoryJournal())


def test_every_entry_of_the_registry_has_a_generator() -> None:
    """Whoever adds a row to the registry has to say here what such a command and such an object look like."""
    assert [str(e) for e in ALL if (e.verb, e.form) not in MAKERS] == []
    assert sorted({e.kind for e in ALL} - {"Node"} - objects.BODIES.keys()) == []
    assert sorted(MAKERS.keys() - {(e.verb, e.form) for e in ALL}) == [], "generators of nothing"
    allowed = [rule for rule in reversibility_rules() if rule.allowed]
    assert {(verb, kind) for rule in allowed for verb in rule.verbs for kind in rule.kinds} == {
        (e.verb, CUSTOM if e.kind == objects.CUSTOM[1] else e.kind) for e in ALL
    }
    assert len(ALL) > 180


@pytest.mark.parametrize("group", GROUPS)
def test_each_change_is_taken_back_exactly(group: str, room: Room) -> None:
    """Each command of a kind by itself, on two random worlds."""
    done: set[Entry] = set()
    why: dict[str, str] = {}

    @QUICK
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with room.in_namespace():
            world, known = furnish(room, data.draw, GROUPS[group]), room.snapshot()
            for entry in GROUPS[group]:
                for _ in range(2):  # what is refused, such as a change to what is there already, is drawn anew
                    found = attempt(room, world, (entry,), known)
                    done.update(found.done)
                    why.update({name: f"{code}: {said}" for name, code, said in found.refused})
                    if found.done:
                        break

    run()
    assert [(str(e), why.get(str(e))) for e in GROUPS[group] if e not in done] == [], "never executed"


@pytest.mark.skipif(not LONG, reason="minutes of random sequences: set STRATUS_LONG=1")
@pytest.mark.parametrize("entry", ALL, ids=str)
def test_sequences_are_taken_back_exactly(entry: Entry, tmp_path) -> None:
    """Sequences of 1 to 20 commands around each (verb, kind), with the journal on disk."""
    found: list[Walked] = []
    with SqliteJournal(tmp_path / "journal.sqlite") as journal, embedded_source() as source:
        room = Room.on(source, journal)

        @THOROUGH
        @given(st.data())
        def run(data: st.DataObject) -> None:
            length = data.draw(st.integers(1, 20))
            with room.in_namespace():
                found.append(walk(room, data.draw, sequence(data.draw, entry, ALL, length)))

        run()
    assert any(entry in walked.done for walked in found), [r for w in found for r in w.refused if r[0] == str(entry)]
    assert max(len(walked.done) for walked in found) > (5 if EXAMPLES >= 12 else 0)


def test_a_short_sequence_of_everything(room: Room) -> None:
    """The shape of the long walk, a few times."""
    found: list[Walked] = []

    @settings(QUICK, max_examples=4)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        focus = data.draw(st.sampled_from(ALL))
        with room.in_namespace():
            found.append(walk(room, data.draw, sequence(data.draw, focus, ALL, data.draw(st.integers(1, 20)))))

    run()
    assert sum(len(walked.done) for walked in found) > 10


FORGETFUL = {
    "nothing is put back": lambda record, now, **more: Inverse(),
    "only what was created is taken away": lambda record, now, **more: (
        carrier_invert(record, now, **more) if record.before is None else Inverse()
    ),
}
carrier_invert = carrier.invert


@pytest.mark.parametrize("forgetful", FORGETFUL)
def test_an_undo_that_forgets_is_noticed(forgetful: str, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "invert", FORGETFUL[forgetful])

    @QUICK
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with room.in_namespace():
            walk(room, data.draw, (Entry("label", "ConfigMap"), Entry("set image", "Deployment")))

    with pytest.raises(AssertionError):
        run()


def test_the_comparison_does_not_trust_the_proof(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that forgets and calls it proved is found out by the objects themselves."""
    monkeypatch.setattr(carrier, "invert", lambda record, now, **more: Inverse())
    monkeypatch.setattr(carrier, "residue", lambda records, now, owners: ())

    @QUICK
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with room.in_namespace():
            walk(room, data.draw, (Entry("label", "ConfigMap"),))

    with pytest.raises(AssertionError, match="label --overwrite ConfigMap"):
        run()


def test_a_strangers_namespace_is_not_touched(room: Room) -> None:
    room.namespace = "default"
    with pytest.raises(StrangersNamespace, match="default"):
        room.plan("label configmap kube-root-ca.crt a=b")
    room.namespace = ""
    with pytest.raises(StrangersNamespace):
        room.plan("label configmap kube-root-ca.crt a=b")


REFUSED = (
    ("delete widget widget-x", "operator may delete data", "--type=merge"),
    ("delete pvc data", "data on the volume", "workload"),
    ("delete namespace NAMESPACE", "everything in the namespace", "one object"),
    ("delete serviceaccount default", "tokens issued", "RoleBinding"),
    ("delete crd widgets.undo.example.org", "all objects of the kind", "one by one"),
    ("label namespace NAMESPACE a=b", "security, network and quota", "object in it"),
    ("create namespace other", "others have put into it", "that is there"),
    ("create job once --image=nginx", "outside the cluster", "scale or restart"),
    ("create cronjob often --image=nginx --schedule=@daily", "outside the cluster", "scale or restart"),
)


@pytest.mark.parametrize(("line", "why", "hint"), REFUSED, ids=[line for line, _, _ in REFUSED])
def test_what_cannot_be_taken_back_is_refused_with_a_reason_and_a_way_out(
    line: str, why: str, hint: str, room: Room
) -> None:
    with room.in_namespace() as namespace:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        room.send(
            "POST", {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}
        )
        room.send(
            "POST", {"apiVersion": objects.CUSTOM[0], "kind": objects.CUSTOM[1], "metadata": {"name": "widget-x"}}
        )
        before = room.snapshot()
        (refusal,) = room.plan(line.replace("NAMESPACE", namespace)).refusals
        assert refusal.code == "irreversible", refusal
        assert why in refusal.message
        assert hint in refusal.hint
        assert room.snapshot() == before


def test_a_custom_resource_is_neither_made_nor_rewritten_by_apply(room: Room) -> None:
    text = '{"apiVersion": "undo.example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}'
    with room.in_namespace():
        for line in ("create -f -", "apply -f -", "apply --server-side -f -"):
            (refusal,) = room.plan(line, text).refusals
            assert (refusal.code, "cannot be seen" in refusal.message) == ("irreversible", True), line


def test_the_list_of_fields_that_are_not_compared_is_the_engines() -> None:
    pod = {"kind": "Pod", "metadata": {"name": "p", "uid": "u", "labels": {}}, "spec": {"nodeName": "n", "uid": 1}}
    assert undo_walk.bare(pod) == {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"uid": 1}}
    data = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"uid": "1", "status": "x"}}
    assert undo_walk.bare(data) == data
