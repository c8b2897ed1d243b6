"""Events of the newer kind, which become series; where no event is written; floods by type."""

from __future__ import annotations

import random
from typing import Any

from stratus.kit.clock import VirtualClock
from stratus.sim.events import QUIET, EventRecorder
from stratus.sim.store import Store


def subject(version: str = "7", namespace: str = "default") -> dict[str, Any]:
    meta = {"name": "p", "namespace": namespace, "uid": "u", "resourceVersion": version}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta}


def recorder() -> tuple[VirtualClock, Store, EventRecorder]:
    clock = VirtualClock(1000.0)
    store = Store(clock, random.Random(0))
    return clock, store, EventRecorder(store, clock)


def fail(events: EventRecorder, version: str = "7", message: str = "nowhere to go") -> None:
    events.record_new(
        subject(version), "Warning", "FailedScheduling", message, "default-scheduler", "Scheduling", "here"
    )


def shown(store: Store) -> list[int]:
    return [(e.get("series") or {}).get("count", 1) for e in store.list("events")]


def test_a_repeat_makes_a_series_of_two() -> None:
    clock, store, events = recorder()
    fail(events)
    assert shown(store) == [1]
    (event,) = store.list("events")
    assert (event.get("count"), event["eventTime"]) == (None, "1970-01-01T00:16:40.000000Z")
    clock.advance(1)
    fail(events)
    assert shown(store) == [2]
    (event,) = store.list("events")
    assert event["series"]["lastObservedTime"] == "1970-01-01T00:16:41.000000Z"


def test_further_repeats_are_written_when_it_has_been_quiet() -> None:
    clock, store, events = recorder()
    moments: list[float] = []
    events.arm = moments.append
    for _ in range(5):
        fail(events)
        clock.advance(10)
    assert shown(store) == [2]
    assert moments
    clock.advance(QUIET)
    events.end_series(clock.now())
    assert shown(store) == [5]
    fail(events)
    assert shown(store) == [5, 1]


def test_another_version_of_the_object_is_another_event() -> None:
    _, store, events = recorder()
    fail(events, "7")
    fail(events, "8")
    fail(events, "8")
    assert sorted(shown(store)) == [1, 2]


def test_long_series_are_written_every_half_hour() -> None:
    clock, store, events = recorder()
    for _ in range(10):
        fail(events)
        clock.advance(300)
    assert 7 <= shown(store)[0] <= 10


def test_nothing_is_written_in_a_namespace_that_is_being_deleted() -> None:
    _, store, events = recorder()
    meta = {"name": "going", "deletionTimestamp": "1970-01-01T00:16:40Z"}
    store.create("namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": meta})
    events.record(subject(namespace="going"), "Normal", "Killing", "Stopping container app", "kubelet", host="n")
    events.record_new(
        subject(namespace="going"), "Normal", "Scheduled", "assigned", "default-scheduler", "Binding", "here"
    )
    assert store.list("events") == []


def test_a_flood_of_warnings_leaves_room_for_the_rest() -> None:
    _, store, events = recorder()
    for number in range(40):
        events.record(subject(), "Warning", "BackOff", "again", "kubelet", host="n")
        if number % 4 == 0:
            events.record(subject(), "Normal", "Pulled", "there", "kubelet", host="n")
    counts = {e["reason"]: e["count"] for e in store.list("events")}
    assert counts == {"BackOff": 25, "Pulled": 10}
    for _ in range(40):
        events.record(subject(), "Warning", "BackOff", "again", "kubelet", host="another")
    assert sum(e["count"] for e in store.list("events") if e["reason"] == "BackOff") == 50


def test_a_copy_goes_on_counting_alone() -> None:
    clock, store, events = recorder()
    fail(events)
    twin = EventRecorder(store, clock)
    twin.copy_state(events)
    fail(twin)
    assert shown(store) == [2]
    assert next(iter(events._series.values())).count == 1
