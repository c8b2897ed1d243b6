"""Ways that are short because they are taken often: each comes to the same as the long way it stands for."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim import containerfiles
from stratus.sim.api.names import label_problems, qualified_problems, subdomain_problems, value_problems
from stratus.sim.api.nodes import Node, item_key
from stratus.sim.apps.loader import load_application
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.controllers.base import Timers
from stratus.sim.controllers.common import chooser, content_hash, matches, safe_encode, spread
from stratus.sim.controllers.deployment import DeploymentController, limits
from stratus.sim.imagefiles import IMAGE_FILES, READABLE, image_nodes
from stratus.sim.registry import ImageRegistry
from stratus.sim.store import Change, Obj, Store

START = 1767603600.0
KEY = ("a", "b")


def fnv(text: str) -> int:
    h = 2166136261
    for byte in text.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


def stored(kind: str = "pods", **fields: Any) -> tuple[Store, Obj]:
    store = Store(VirtualClock(START), random.Random(3))
    meta = {"name": "p", "namespace": "d", "ownerReferences": [{"uid": "u", "kind": "ReplicaSet", "name": "r"}]}
    return store, store.create(kind, {"kind": "X", "metadata": meta, "spec": {"a": 1}, "status": {"n": 0}, **fields})


# numbers


@pytest.mark.parametrize("seed", range(5))
def test_uids_are_those_of_the_standard_library(seed: int) -> None:
    store = Store(VirtualClock(START), random.Random(seed))
    numbers = random.Random(seed)
    for _ in range(20):
        assert store.new_uid() == str(uuid.UUID(int=numbers.getrandbits(128), version=4))


def test_noise_depends_on_all_parts_as_on_one_text() -> None:
    for parts in [("u",), ("u", "c", "reap", 3), ("ü", "", 0.5), ("u", "c\x00", 1)]:
        h = fnv("\x00".join(map(str, parts)))
        h ^= h >> 15
        h = (h * 2246822519) & 0xFFFFFFFF
        h ^= h >> 13
        assert spread(*parts) == h / 4294967296.0


@pytest.mark.parametrize(("collisions", "tail"), [(0, ""), (12, "12")])
def test_the_hash_of_a_template_is_that_of_its_text(collisions: int, tail: str) -> None:
    template = {"spec": {"b": [1, "é"], "a": None}}
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    assert content_hash(template, collisions) == safe_encode(str(fnv(text + tail)))


# the store


def test_a_status_alone_is_written_without_touching_the_rest() -> None:
    store, pod = stored()
    changes: list[Change] = []
    store.subscribe(changes.append)
    before = json.dumps(pod)
    new = store.update("pods", {**pod, "status": {"n": 1}})
    assert json.dumps(pod) == before
    assert new["metadata"] == {**pod["metadata"], "resourceVersion": str(store.rv)}
    assert new["status"] == {"n": 1}
    assert store.get("pods", "d", "p") is new
    assert store.owned_by("u") == [("pods", new)]
    assert [(c.type, c.object, c.previous, c.rv) for c in changes] == [("MODIFIED", new, pod, store.rv)]
    assert store.changes_since(store.rv - 1, "pods") == changes


def test_the_same_status_again_is_no_change() -> None:
    store, pod = stored()
    rv = store.rv
    assert store.update("pods", {**pod, "status": {"n": 0}}) is pod
    assert store.rv == rv


def test_no_other_field_is_lost_on_the_short_way() -> None:
    store, found = stored("configmaps", data={"k": "1"})
    new = store.update("configmaps", {**found, "data": {"k": "2"}})
    assert store.get("configmaps", "d", "p") == new
    assert new["data"] == {"k": "2"}
    assert new["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("kind", "fields", "grows"),
    [
        ("pods", {"spec": {"a": 2}}, True),
        ("pods", {"spec": {"a": 1, "nodeName": "n"}}, False),
        ("pods", {"spec": {"a": 1}}, False),
        ("pods", {"status": {"n": 9}}, False),
        ("deployments.apps", {"spec": {"a": 1, "nodeName": "n"}}, True),
        ("endpointslices.discovery.k8s.io", {"ports": [1]}, True),
        ("endpointslices.discovery.k8s.io", {"status": {"n": 9}}, False),
    ],
)
def test_generations_count_what_is_wanted(kind: str, fields: Obj, grows: bool) -> None:
    store, found = stored(kind)
    assert store.update(kind, {**found, **fields})["metadata"]["generation"] == 1 + grows


def test_a_subscriber_that_fails_leaves_the_others_able_to_hear() -> None:
    store, pod = stored()
    heard: list[int] = []

    def fails(change: Change) -> None:
        store.update("pods", {**store.get("pods", "d", "p"), "status": {"n": change.rv}})  # waits, and is dropped
        raise RuntimeError("no")

    end = store.subscribe(fails)
    with pytest.raises(RuntimeError):
        store.update("pods", {**pod, "status": {"n": 1}})
    end()
    store.subscribe(lambda change: heard.append(change.rv))
    store.update("pods", {**store.get("pods", "d", "p"), "status": {"n": 7}})
    assert heard == [store.rv]


# timers


def test_what_is_set_while_timers_fire_comes_at_its_time() -> None:
    clock = VirtualClock(0.0)
    fired: list[tuple[float, str]] = []

    def fire(name: tuple[str, Any, str]) -> None:
        fired.append((clock.now(), name[2]))
        if name[2] == "first":
            timers.set(("c", KEY, "soon"), clock.now() + 1.0)
            timers.set(("c", KEY, "now"), clock.now())
            timers.set(("c", KEY, "late"), clock.now() + 9.0)

    timers = Timers(clock, fire)
    timers.set(("c", KEY, "first"), 5.0)
    clock.advance_to(20.0)
    assert fired == [(5.0, "first"), (5.0, "now"), (6.0, "soon"), (14.0, "late")]


def test_a_timer_that_fails_does_not_silence_the_rest() -> None:
    clock = VirtualClock(0.0)
    fired: list[str] = []

    def fire(name: tuple[str, Any, str]) -> None:
        if name[2] == "bad":
            timers.set(("c", KEY, "more"), 3.0)
            raise RuntimeError("no")
        fired.append(name[2])

    timers = Timers(clock, fire)
    timers.set(("c", KEY, "bad"), 1.0)
    timers.set(("c", KEY, "good"), 2.0)
    with pytest.raises(RuntimeError):
        clock.advance_to(5.0)
    clock.advance_to(5.0)
    assert fired == ["good", "more"]


# who hears of pods


def workload(kind: str, name: str, **spec: Any) -> Obj:
    template = {"spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]}}
    labels = {"app": name}
    whole: Obj = {"template": {**template, "metadata": {"labels": labels}}, **spec}
    if kind == "Job":
        whole["template"]["spec"] = {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", "exit 0"]}],
        }
    else:
        whole["selector"] = {"matchLabels": labels}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": whole,
    }


def test_controllers_that_do_not_mind_a_change_would_do_nothing() -> None:
    cluster = EmbeddedCluster(app=None, warmup=0.0)
    control, store = cluster.control, cluster.store
    asked: set[str] = set()

    def traces() -> tuple[Any, ...]:
        return (
            store.rv,
            len(control.timers),
            tuple(control._queue),
            [dict(c.state) for c in control.controllers.values()],
        )

    real = control._who_mind

    def checked(change: Change) -> Any:
        minding = real(change)
        for controller in control._watchers["pods"]:
            if controller.on_change not in minding:
                before = traces()
                controller.on_change(change)
                assert traces() == before, f"{controller.name} does mind {change.type}"
                asked.add(controller.name)
        return minding

    control._who_mind = checked  # type: ignore[method-assign]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    cluster.api.create(
        "persistentvolumeclaims",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "default"},
            "spec": claim,
        },
    )
    for kind, spec in (
        ("Deployment", {"replicas": 2}),
        ("StatefulSet", {"serviceName": "s"}),
        ("DaemonSet", {}),
        ("Job", {}),
    ):
        resource = f"{kind.lower()}s.{'batch' if kind == 'Job' else 'apps'}"
        cluster.api.create(resource, workload(kind, kind.lower(), **spec))
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": "default", "labels": {"app": "statefulset"}},
        "spec": {
            "containers": [{"name": "c", "image": "nginx:1.25"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    cluster.api.create("pods", bare)
    cluster.advance(60)
    for pod in store.list("pods", "default"):
        # A label less: given up by its owner, and taken by nobody.
        store.update("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"other": "x"}}})
        control.drain()
    cluster.advance(60)
    for pod in store.list("pods", "default"):
        store.delete("pods", "default", pod["metadata"]["name"])
        control.drain()
    cluster.close()
    assert {"attach", "daemonset", "deployment", "job", "replicaset", "statefulset"} <= asked


# files


def run_pod(lab: Any, image: str = "nginx:1.25", **container: Any) -> Obj:
    lab.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": image, **container}]},
        }
    )
    lab.advance(10)
    found: Obj = lab.store.get("pods", "default", "p")
    return found


@pytest.mark.parametrize("image", ["nginx:1.25", "busybox:1.36"])
def test_every_file_of_an_image_is_known_by_name(lab: Any, image: str) -> None:
    pod = run_pod(lab, image, command=["sleep", "9"])
    spec = pod["spec"]["containers"][0]
    found = image_nodes(lab.runtime, pod, spec, 0.0)
    assert set(found) <= IMAGE_FILES
    for path in (*found, *READABLE):
        assert lab.runtime.read_file(pod, spec, path) is not None, path


def test_files_that_a_container_writes_are_read(lab: Any) -> None:
    script = "echo bye > /dev/termination-log; ln -s /dev/termination-log /tmp/l; sleep 99"
    pod = run_pod(lab, "busybox:1.36", command=["sh", "-c", script])
    spec = pod["spec"]["containers"][0]
    assert lab.runtime.read_file(pod, spec, "/dev/termination-log") == "bye\n"
    assert lab.runtime.read_file(pod, spec, "/tmp/../tmp/l") == "bye\n"
    assert lab.runtime.read_file(pod, spec, "/tmp") is None


def test_what_nobody_can_have_written_is_not_looked_for(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = run_pod(lab)
    looked: list[str] = []
    monkeypatch.setattr(containerfiles.ContainerFiles, "stat", lambda self, path: looked.append(path))
    spec = pod["spec"]["containers"][0]
    assert lab.runtime.read_file(pod, spec, "/dev/termination-log") is None
    assert looked == []
    lab.runtime.read_file(pod, spec, "/var/run/secrets/kubernetes.io/serviceaccount/token")
    assert looked == ["/var/run/secrets/kubernetes.io/serviceaccount/token"]


# images


def test_a_pull_is_answered_anew_when_the_rules_change() -> None:
    registry = ImageRegistry()
    good = registry.pull("nginx:1.25")
    assert registry.pull("nginx:1.25") is good
    assert not good.error
    registry.add_rule("docker.io/library/nginx:1.25", False, error="gone")
    assert registry.pull("nginx:1.25").error == "gone"
    registry.remove_rule("docker.io/library/nginx:1.25", error="gone")
    assert registry.pull("nginx:1.25") == good
    registry.add_rule("docker.io/library/nginx:1.25", True, credentials=True)
    assert registry.pull("nginx:1.25").error
    assert not registry.pull("nginx:1.25", credentials={"docker.io"}).error


# status


def test_conditions_are_kept_until_they_say_something_else(lab: Any) -> None:
    pod = run_pod(lab)
    kubelet = lab.control.kubelet
    assert kubelet.report(pod) is pod
    before = {c["type"]: c for c in pod["status"]["conditions"]}
    state = kubelet.pods["default", "p"]
    state.containers["c"].current.ready = False
    lab.advance(5)
    after = {c["type"]: c for c in kubelet.report(pod)["status"]["conditions"]}
    assert list(after) == list(before)
    assert after["Initialized"] is before["Initialized"]
    assert after["Ready"]["status"] == "False"
    assert after["Ready"]["reason"] == "ContainersNotReady"
    assert after["Ready"]["lastTransitionTime"] > before["Ready"]["lastTransitionTime"]


def test_a_condition_that_others_changed_is_written_as_the_kubelet_sees_it(lab: Any) -> None:
    pod = run_pod(lab)
    wrong = [{**c, "message": "hello"} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
    lab.store.update("pods", {**pod, "status": {**pod["status"], "conditions": wrong}})
    again = lab.control.kubelet.report(pod)
    assert again["status"]["conditions"] == pod["status"]["conditions"]


def test_what_a_status_shows_of_resources_follows_the_spec(lab: Any) -> None:
    pod = run_pod(lab, resources={"requests": {"cpu": "100m"}})
    assert pod["status"]["resources"] == {"requests": {"cpu": "100m"}}
    spec = {**pod["spec"], "containers": [{**pod["spec"]["containers"][0], "resources": {"requests": {"cpu": "1"}}}]}
    changed = lab.store.update("pods", {**pod, "spec": spec})
    assert lab.control.kubelet.report(changed)["status"]["resources"] == {"requests": {"cpu": "1"}}


def test_a_condition_names_those_that_are_unready_now(lab: Any) -> None:
    lab.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": f"c{n}", "image": "nginx:1.25"} for n in range(2)]},
        }
    )
    lab.advance(10)
    state = lab.control.kubelet.pods["default", "p"]
    told = []
    for name, ready in (("c0", False), ("c1", False), ("c0", True)):
        state.containers[name].current.ready = ready
        status = lab.control.kubelet.report(lab.store.get("pods", "default", "p"))["status"]
        told.append(next(c["message"] for c in status["conditions"] if c["type"] == "Ready"))
    assert told == [f"containers with unready status: [{names}]" for names in ("c0", "c0 c1", "c1")]


# the API


@pytest.mark.parametrize("name", ["hotel-reservation", "astronomy-shop"])
def test_a_cluster_leaves_the_application_it_was_given_as_it_is(name: str) -> None:
    objects = load_application(name).objects
    before = json.dumps(objects)
    EmbeddedCluster(app=name, warmup=30.0).close()
    assert load_application(name).objects is objects
    assert json.dumps(objects) == before


def test_items_of_lists_are_named_as_before() -> None:
    ports = Node("list", keys=("protocol", "port"))
    assert item_key(ports, {"port": 80, "name": "é"}) == 'k:{"port":80,"protocol":"TCP"}'
    assert item_key(Node("list", keys=("name",)), {"name": 'a"é'}) == 'k:{"name":"a\\"\\u00e9"}'
    assert item_key(Node("list", set_list=True), {"a": 1}) == 'v:{"a":1}'


def test_names_are_judged_alike_the_second_time() -> None:
    for judge in (label_problems, subdomain_problems, qualified_problems, value_problems):
        for text in ("a", "-a", "A.b", "a/b/c", "/x", "x" * 300, ""):
            assert judge(text) == judge.__wrapped__(text) == judge(text)


@pytest.mark.parametrize(
    "selector",
    [
        None,
        {},
        {"matchLabels": {}},
        {"matchLabels": {"a": "1"}},
        {"matchLabels": {"a": "1", "b": "2"}},
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        {"matchLabels": {"b": "2"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
    ],
)
def test_a_chooser_chooses_what_its_selector_matches(selector: Obj | None) -> None:
    fits = chooser(selector)
    for labels in (None, {}, {"a": "1"}, {"a": "2"}, {"b": "2"}, {"a": "1", "b": "2", "c": "3"}):
        assert fits(labels) is matches(selector, labels), labels


def test_a_rollout_keeps_to_the_limits_of_the_present_spec() -> None:
    cluster = EmbeddedCluster(app=None, warmup=0.0)
    control = cluster.control
    found = cluster.api.create("deployments.apps", workload("Deployment", "web", replicas=8))
    deployments = control.controllers["deployment"]
    assert isinstance(deployments, DeploymentController)
    assert deployments._limits(found) == limits(found) == (2, 2)
    for rolling, wanted in (({"maxSurge": 5, "maxUnavailable": 0}, (5, 0)), ({"maxSurge": 0}, (0, 2)), ({}, (2, 2))):
        changed = {**found, "spec": {**found["spec"], "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}
        assert deployments._limits(changed) == limits(changed) == wanted
    assert deployments._limits(found) == (2, 2)
    cluster.close()


def test_nothing_is_remembered_of_pods_that_are_gone() -> None:
    cluster = EmbeddedCluster(app=None, warmup=0.0, system=False)
    cluster.api.create("deployments.apps", workload("Deployment", "web", replicas=2))
    cluster.advance(30)
    assert len(cluster.control._traits) == 2
    cluster.store.delete("deployments.apps", "default", "web")
    cluster.advance(120)
    assert cluster.store.list("pods") == []
    assert cluster.control._traits == {}
    cluster.close()
