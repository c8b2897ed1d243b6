"""The pace read off a recording: which moments are taken, for which pod, and how far they reach."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.conformance.pace import AFTER, BURST, MOST, RecordedPace, likeness
from stratus.conformance.stories import Story, agreeing, compare, outline, steps
from stratus.conformance.suites.lifecycles import took_effect

BEGIN = 1000.0
Json = dict[str, Any]


def pod(uid: str = "u", name: str = "p", *, generated: str = "", **more: Any) -> Json:
    meta: Json = {"name": name, "uid": uid}
    if generated:
        meta |= {"generateName": generated, "ownerReferences": [{"kind": more.pop("owner", "ReplicaSet")}]}
    if more.pop("deleting", False):
        meta["deletionTimestamp"] = "2026-01-05T09:00:00Z"
    image = more.pop("image", "app:v1")
    return {"metadata": meta, "spec": {"containers": [{"name": "c", "image": image}]}, **more}


def status(number: int) -> Json:
    """Return one of many statuses that a kubelet may write."""
    return {"startTime": "2026-01-05T09:00:00Z", "phase": "Running", "number": number}


def change(t: float, obj: Json, kind: str = "MODIFIED") -> Json:
    return {"t": t, "type": kind, "kind": "Pod", "object": obj}


def event(t: float, reason: str, uid: str = "u", *, container: str = "c", component: str = "kubelet") -> Json:
    involved = {"uid": uid, "fieldPath": f"spec.containers{{{container}}}" if container else ""}
    return {
        "t": t, "type": "ADDED", "kind": "Event",
        "object": {"involvedObject": involved, "reason": reason, "source": {"component": component}},
    }  # fmt: skip


def pace(*records: Json) -> RecordedPace:
    return RecordedPace(records, BEGIN)


@pytest.fixture
def one() -> RecordedPace:
    return pace(
        change(0.1, pod(status={"phase": "Pending"}), "ADDED"),
        change(0.2, pod(status={"phase": "Pending", "conditions": []})),
        event(0.3, "Scheduled", container="", component="default-scheduler"),
        change(0.4, pod(status=status(1))),
        event(1.2, "FailedMount", container=""),
        event(1.5, "Pulled"),
        event(1.6, "Created"),
        event(1.8, "Started"),
        change(2.0, pod(status=status(2))),
        change(2.0 + BURST / 2, pod(status=status(3))),
        event(20.0, "Started"),
        change(30.0, pod(status=status(3), deleting=True)),
        event(31.0, "Killing"),
        change(31.2, pod(status=status(4), deleting=True)),
    )


def test_the_first_event_about_a_container_tells_that_the_sandbox_is_up(one: RecordedPace) -> None:
    assert one.sandbox(pod(), BEGIN + 0.6, BEGIN + 0.5) == pytest.approx(BEGIN + 1.5)
    assert one.sandbox(pod(), BEGIN + 1.7, BEGIN + 1.4) == pytest.approx(BEGIN + 1.5)
    assert one.sandbox(pod(), BEGIN + 1.7, BEGIN + 1.6) == BEGIN + 1.7


def test_a_container_starts_when_the_next_recorded_start_was_told(one: RecordedPace) -> None:
    assert BEGIN + 1.7 < one.start(pod(), "c", BEGIN + 1.5) < BEGIN + 1.8
    assert one.start(pod(), "c", BEGIN + 2.5) == BEGIN + 2.5
    assert BEGIN + 19.9 < one.start(pod(), "c", BEGIN + 19.0) < BEGIN + 20.0
    assert one.start(pod(), "other", BEGIN + 1.5) == BEGIN + 1.5


def test_nothing_is_held_back_longer_than_a_machine_may_take(one: RecordedPace) -> None:
    assert one.start(pod(), "c", BEGIN + 20.0 - MOST - 0.5) == BEGIN + 20.0 - MOST - 0.5
    assert one.write(pod(), BEGIN + 0.4 - MOST - 0.5) == BEGIN + 0.4 - MOST - 0.5


def test_statuses_are_written_when_kubelets_wrote(one: RecordedPace) -> None:
    # What the scheduler wrote is no kubelet's, nor is the mark for deletion.
    assert one.write(pod(), BEGIN + 0.2) == pytest.approx(BEGIN + 0.4 + AFTER)
    assert one.wrote(pod(), BEGIN + 0.401) == 0
    assert one.write(pod(), BEGIN + 0.5) == pytest.approx(BEGIN + 2.0 + AFTER)
    assert one.wrote(pod(), BEGIN + 2.001) == 1
    assert one.write(pod(), BEGIN + 2.001) == pytest.approx(BEGIN + 2.0 + BURST / 2 + AFTER)
    assert one.wrote(pod(), BEGIN + 2.1) == 0
    assert one.write(pod(), BEGIN + 2.1) == BEGIN + 2.1


def test_a_status_later_than_its_counterpart_does_not_wait_for_the_next(one: RecordedPace) -> None:
    assert one.write(pod(), BEGIN + 1.0) == BEGIN + 1.0
    assert one.wrote(pod(), BEGIN + 1.0) == 0
    assert one.write(pod(), BEGIN + 1.1) == pytest.approx(BEGIN + 2.0 + AFTER)


def test_a_status_without_a_counterpart_takes_none(one: RecordedPace) -> None:
    assert one.wrote(pod(), BEGIN + 0.3) == 0
    assert one.write(pod(), BEGIN + 0.3) == pytest.approx(BEGIN + 0.4 + AFTER)


def test_an_end_is_noticed_when_the_next_status_was_written(one: RecordedPace) -> None:
    assert one.notice(pod(), BEGIN + 1.0, BEGIN + 0.3) == pytest.approx(BEGIN + 0.4)
    assert one.notice(pod(), BEGIN + 1.0, BEGIN + 0.3, 1) == pytest.approx(BEGIN + 2.0)
    assert one.notice(pod(), BEGIN + 1.0, BEGIN + 0.3, 9) == BEGIN + 1.0


def test_a_pass_is_repeated_when_something_was_done_next_if_chance_allows(one: RecordedPace) -> None:
    assert one.retry(pod(), BEGIN + 12.0, BEGIN + 10.0, BEGIN + 16.0) == BEGIN + 12.0
    assert one.retry(pod(), BEGIN + 22.0, BEGIN + 19.0, BEGIN + 24.5) == pytest.approx(BEGIN + 20.0)


def test_a_stop_begins_when_it_was_told(one: RecordedPace) -> None:
    assert one.stop(pod(deleting=True), BEGIN + 30.2) == pytest.approx(BEGIN + 31.0)
    assert one.write(pod(deleting=True), BEGIN + 30.2) == pytest.approx(BEGIN + 31.2 + AFTER)
    # Before it is deleted nothing waits for what came after.
    assert one.stop(pod(), BEGIN + 30.2) == BEGIN + 30.2


def test_pods_with_generated_names_meet_in_order_and_once_more_in_order_of_deletion() -> None:
    def of(uid: str, **more: Any) -> Json:
        return pod(uid, f"web-{uid}", generated="web-", **more)

    found = pace(
        change(0.0, of("a"), "ADDED"), change(0.0, of("b"), "ADDED"),
        event(1.0, "Started", "a"), event(2.0, "Started", "b"),
        change(5.0, of("b", deleting=True)), event(5.5, "Killing", "b"),
        change(7.0, of("a", deleting=True)), event(7.5, "Killing", "a"),
    )  # fmt: skip
    assert found.start(of("x"), "c", BEGIN + 0.5) == pytest.approx(BEGIN + 1.0, abs=0.1)
    assert found.start(of("y"), "c", BEGIN + 0.5) == pytest.approx(BEGIN + 2.0, abs=0.1)
    assert found.start(of("z"), "c", BEGIN + 0.5) == BEGIN + 0.5
    assert found.stop(of("x", deleting=True), BEGIN + 5.1) == pytest.approx(BEGIN + 5.5)
    assert found.stop(of("y", deleting=True), BEGIN + 7.1) == pytest.approx(BEGIN + 7.5)


def test_likeness_is_the_name_or_owner_and_images() -> None:
    assert likeness(pod("u", "db-0")) == likeness(pod("v", "db-0", image="app:v2")) == "db-0"
    web = pod("u", "web-1", generated="web-")
    assert likeness(web) == likeness(pod("v", "web-2", generated="other-"))
    assert likeness(web) != likeness(pod("v", "web-2", generated="web-", image="app:v2"))
    assert likeness(web) != likeness(pod("v", "web-2", generated="web-", owner="Job"))


def test_what_nobody_could_see_must_be_a_step_that_some_pod_made() -> None:
    before = {"phase": "Pending"}
    waits = {"name": "c", "ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
    ended = {"name": "c", "ready": False, "state": {"terminated": {"reason": "Error", "exitCode": 1}}}
    found = pace()
    found.passed_over(pod(status=before), {"phase": "Pending", "containerStatuses": [waits]})
    found.passed_over(pod(status=before), {"phase": "Failed", "containerStatuses": [ended]})
    story = Story()
    story.unseen = found.unseen
    known = steps(
        [
            change(0, pod(status=before), "ADDED"),
            change(1, pod(status={"phase": "Pending", "containerStatuses": [waits]})),
            change(2, pod("v", status=before)),
        ]
    )
    assert known == {("Pending", "Pending waiting/ContainerCreating")}
    assert compare(story, Story(), known) == ["pod step in no recording: Pending -> Failed terminated/Error/1"]
    assert len(compare(story, Story())) == 2


def test_an_outline_leaves_out_names_and_texts() -> None:
    crash = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=c pod=p_n(u)"}
    first = {"name": "i", "ready": True, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
    second = {"name": "c", "ready": False, "state": {"waiting": crash}}
    found = {"phase": "Running", "initContainerStatuses": [first], "containerStatuses": [second]}
    assert outline(pod(status=found, deleting=True)) == (
        "Running deleting terminated/Completed/0+ready waiting/CrashLoopBackOff"
    )


def test_sequences_that_came_about_are_counted() -> None:
    ours, theirs = Story(), Story()
    for story, phases in ((ours, ("Pending",)), (theirs, ("Pending", "Running"))):
        for uid, phase in enumerate(phases):
            story.add("Pod", "ADDED", pod(str(uid), status={"phase": phase}))
    for story, reasons in ((ours, ("A", "B")), (theirs, ("A", "B"))):
        for reason in reasons:
            involved = {"kind": "Pod", "name": "p"}
            story.add("Event", "ADDED", {"involvedObject": involved, "type": "Normal", "reason": reason, "message": ""})
    assert agreeing(ours, theirs) == (2, 3)


@pytest.mark.parametrize(
    ("argv", "moment"),
    [
        (["apply", "-f", "-"], 2.0),
        (["set", "image", "deploy/web", "app=x"], 2.0),
        (["rollout", "undo", "deploy/web"], 2.0),
        (["rollout", "status", "deploy/web"], 1.0),
        (["delete", "pod", "p", "--wait=false"], 2.0),
        (["delete", "pod", "p"], 1.0),
        (["drain", "node1"], 1.0),
    ],
)
def test_a_command_has_its_effect_when_it_returns_unless_it_waits(argv: list[str], moment: float) -> None:
    assert took_effect({"t": 1.0, "t_end": 2.0, "argv": ["kubectl", "-n", "n", *argv]}) == moment
