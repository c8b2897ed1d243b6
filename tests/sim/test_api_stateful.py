"""Random sequences of API operations on a whole cluster never break what every Kubernetes keeps to.

A thousand operations by default, ten thousand with STRATUS_LONG=1. After every operation: versions only grow, a dry run
has changed nothing, what watchers saw adds up to what a list says, and no Service leads to anything but the pods that
match it. At the end of every life, when time has passed: nothing is left behind by an owner that has gone, nothing
waits for a deletion that nobody holds up, and every workload has the replicas it was last told to have.
"""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stratus.sim.api import Request, Watch
from stratus.sim.cluster import EmbeddedCluster, dump

LIVES, STEPS = (300, 50) if os.environ.get("STRATUS_LONG") else (25, 40)
NAMES = st.sampled_from(("a", "b", "c"))
SPACES = st.sampled_from(("default", "other"))
APPS = st.sampled_from(("x", "y"))
POLICIES = st.sampled_from(("Background", "Foreground", "Orphan"))
WORKLOADS = {"deployments": "Deployment", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet"}
WATCHED = {
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "configmaps": "/api/v1/configmaps",
    "deployments.apps": "/apis/apps/v1/deployments",
    "replicasets.apps": "/apis/apps/v1/replicasets",
    "endpointslices.discovery.k8s.io": "/apis/discovery.k8s.io/v1/endpointslices",
}
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
APPLY, JSON = "application/apply-patch+yaml", "application/json"
Obj = dict[str, Any]


def template(app: str, image: str) -> Obj:
    """A pod template of one small container."""
    probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 4, "periodSeconds": 5}
    container = {"name": "c", "image": image, "ports": [{"containerPort": 80}], "readinessProbe": probe}
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]},
    }


def workload(kind: str, name: str, app: str, replicas: int, image: str) -> Obj:
    """A Deployment, StatefulSet or ReplicaSet."""
    spec: Obj = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": app}},
        "template": template(app, image),
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


class Clusters(RuleBasedStateMachine):
    """One cluster, its watchers, and what has been asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = EmbeddedCluster(app=None, nodes=3, warmup=0.0)
        self.version = self.cluster.store.rv
        self.watches: dict[str, Watch] = {}
        self.seen: dict[str, dict[tuple[str, str], Obj]] = {}
        self.at: dict[str, str] = {}
        self.dry = False

    @initialize()
    def begin(self) -> None:
        """Make the second namespace and start to watch."""
        status, _ = self.call(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
        )
        assert status == 201
        for resource in WATCHED:
            self.look(resource)

    def teardown(self) -> None:
        """Let things settle, then look for what is left over or missing."""
        try:
            for _ in range(3):
                self.cluster.advance(200)
            self.watchers_agree()
            self.no_orphans()
            self.nothing_hangs()
            self.converged()
        finally:
            for watch in self.watches.values():
                watch.close()
            self.cluster.close()

    # requests

    def call(self, method: str, target: str, body: Obj | None = None, media: str = JSON) -> tuple[int, Obj]:
        """One request; in a dry run the cluster has to be the same afterwards, byte for byte."""
        payload = b"" if body is None else json.dumps(body).encode()
        before = dump(self.cluster) if self.dry else b""
        if self.dry:
            target += f"{'&' if '?' in target else '?'}dryRun=All"
        answer = self.cluster.api.handle(Request(method, target, {"content-type": media}, payload))
        assert answer.status < 500, (method, target, body, answer.body)
        if self.dry:
            assert dump(self.cluster) == before, (method, target)
        return answer.status, json.loads(answer.body)

    def look(self, resource: str) -> None:
        """List, and watch from there."""
        status, found = self.call_wet("GET", WATCHED[resource])
        assert status == 200
        self.seen[resource] = {self.key(o): o for o in found["items"]}
        self.at[resource] = found["metadata"]["resourceVersion"]
        self.resume(resource, self.at[resource])

    def resume(self, resource: str, version: str) -> None:
        """Watch from a version on."""
        target = f"{WATCHED[resource]}?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
        watch = self.cluster.api.handle(Request("GET", target, {}, b""))
        assert isinstance(watch, Watch)
        self.watches[resource] = watch

    def call_wet(self, method: str, target: str) -> tuple[int, Obj]:
        """A request outside any dry run."""
        dry, self.dry = self.dry, False
        try:
            return self.call(method, target)
        finally:
            self.dry = dry

    @staticmethod
    def key(obj: Obj) -> tuple[str, str]:
        """Where an object is."""
        return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

    # operations

    @rule(dry=st.booleans())
    @precondition(lambda self: True)
    def dry_or_not(self, dry: bool) -> None:
        """Whether what follows is a dry run."""
        self.dry = dry

    @rule(
        resource=st.sampled_from(sorted(WORKLOADS)),
        space=SPACES,
        name=NAMES,
        app=APPS,
        replicas=st.integers(0, 4),
    )
    def create_workload(self, resource: str, space: str, name: str, app: str, replicas: int) -> None:
        """A new workload; its selector names the workload as well, so that none fights another over pods."""
        kind = WORKLOADS[resource]
        body = workload(kind, name, f"{app}-{kind.lower()}-{name}", replicas, "nginx:1.25")
        status, _ = self.call("POST", f"/apis/apps/v1/namespaces/{space}/{resource}", body)
        assert status in (201, 409, 403, 404)

    @rule(resource=st.sampled_from(sorted(WORKLOADS)), space=SPACES, name=NAMES, replicas=st.integers(0, 4))
    def scale(self, resource: str, space: str, name: str, replicas: int) -> None:
        """The scale subresource."""
        target = f"/apis/apps/v1/namespaces/{space}/{resource}/{name}/scale"
        self.call("PATCH", target, {"spec": {"replicas": replicas}}, MERGE)

    @rule(space=SPACES, name=NAMES, tag=st.sampled_from(("1.24", "1.25", "does-not-exist")))
    def roll(self, space: str, name: str, tag: str) -> None:
        """A new image by strategic merge."""
        body = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"nginx:{tag}"}]}}}}
        self.call("PATCH", f"/apis/apps/v1/namespaces/{space}/deployments/{name}", body, STRATEGIC)

    @rule(
        resource=st.sampled_from((*sorted(WORKLOADS), "daemonsets")),
        space=SPACES,
        name=NAMES,
        policy=st.sampled_from(("Background", "Foreground")),
    )
    def delete_workload(self, resource: str, space: str, name: str, policy: str) -> None:
        """A deletion that takes what is owned along."""
        target = f"/apis/apps/v1/namespaces/{space}/{resource}/{name}?propagationPolicy={policy}"
        self.call("DELETE", target)

    @rule(space=SPACES, name=NAMES, app=APPS)
    def daemonset(self, space: str, name: str, app: str) -> None:
        """One pod a node."""
        body = workload("DaemonSet", name, f"ds-{app}-{name}", 0, "nginx:1.25")
        del body["spec"]["replicas"]
        self.call("POST", f"/apis/apps/v1/namespaces/{space}/daemonsets", body)

    @rule(space=SPACES, name=NAMES, code=st.sampled_from((0, 1)), policy=POLICIES, gone=st.booleans())
    def job(self, space: str, name: str, code: int, policy: str, gone: bool) -> None:
        """A Job that succeeds or fails, or the end of one."""
        if gone:
            self.call("DELETE", f"/apis/batch/v1/namespaces/{space}/jobs/{name}?propagationPolicy={policy}")
            return
        spec = template("job", "busybox:1.36")["spec"] | {"restartPolicy": "Never"}
        spec["containers"][0]["command"] = ["sh", "-c", f"exit {code}"]
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 1, "template": {"spec": spec}},
        }
        self.call("POST", f"/apis/batch/v1/namespaces/{space}/jobs", body)

    @rule(data=st.data(), space=SPACES, name=NAMES)
    def service(self, data: st.DataObject, space: str, name: str) -> None:
        """A Service in front of some pods, or of nothing yet; a second time its selector is changed."""
        pods = self.cluster.store.list("pods", space)
        known = {v for p in pods for k, v in (p["metadata"].get("labels") or {}).items() if k == "app"}
        chosen = {"app": data.draw(st.sampled_from(sorted(known) or ["nobody"]))}
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": chosen, "ports": [{"port": 80}]},
        }
        status, _ = self.call("POST", f"/api/v1/namespaces/{space}/services", body)
        if status == 409:
            self.call("PATCH", f"/api/v1/namespaces/{space}/services/{name}", {"spec": {"selector": chosen}}, MERGE)

    @rule(space=SPACES, name=NAMES)
    def delete_service(self, space: str, name: str) -> None:
        """The end of a Service."""
        self.call("DELETE", f"/api/v1/namespaces/{space}/services/{name}")

    @rule(data=st.data(), grace=st.sampled_from((0, 1, 30)))
    def delete_pod(self, data: st.DataObject, grace: int) -> None:
        """Any pod that exists."""
        pods = self.cluster.store.list("pods")
        if pods:
            space, name = self.key(data.draw(st.sampled_from([{"metadata": p["metadata"]} for p in pods])))
            self.call("DELETE", f"/api/v1/namespaces/{space}/pods/{name}?gracePeriodSeconds={grace}")

    @rule(data=st.data(), labels=st.sampled_from(({"app": None}, {"app": "stray"}, {"extra": "1"})))
    def label_pod(self, data: st.DataObject, labels: Obj) -> None:
        """A pod leaves its ReplicaSet's selection, or gets another label."""
        pods = [p for p in self.cluster.store.list("pods") if "deletionTimestamp" not in p["metadata"]]
        if pods:
            space, name = self.key(data.draw(st.sampled_from([{"metadata": p["metadata"]} for p in pods])))
            self.call("PATCH", f"/api/v1/namespaces/{space}/pods/{name}", {"metadata": {"labels": labels}}, MERGE)

    @rule(space=SPACES, name=NAMES, owner=NAMES, held=st.booleans())
    def owned_configmap(self, space: str, name: str, owner: str, held: bool) -> None:
        """A ConfigMap that another one owns (or that a finalizer holds)."""
        meta: Obj = {"name": name}
        above = self.cluster.store.get("configmaps", space, owner)
        if above is not None and owner != name:
            uid = above["metadata"]["uid"]
            meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}]
        if held:
            meta["finalizers"] = ["example.com/held"]
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"k": "v"}}
        self.call("POST", f"/api/v1/namespaces/{space}/configmaps", body)

    @rule(space=SPACES, name=NAMES, policy=POLICIES)
    def delete_configmap(self, space: str, name: str, policy: str) -> None:
        """With each propagation policy."""
        self.call("DELETE", f"/api/v1/namespaces/{space}/configmaps/{name}?propagationPolicy={policy}")

    @rule(space=SPACES, name=NAMES)
    def release(self, space: str, name: str) -> None:
        """Take the finalizers of a ConfigMap away."""
        body = {"metadata": {"finalizers": None}}
        self.call("PATCH", f"/api/v1/namespaces/{space}/configmaps/{name}", body, MERGE)

    @rule(space=SPACES, name=NAMES, value=st.sampled_from("123"), manager=st.sampled_from(("m", "n")))
    def apply(self, space: str, name: str, value: str, manager: str) -> None:
        """Server-side apply; the same manager applying the same once more changes nothing."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {manager: value}}
        target = f"/api/v1/namespaces/{space}/configmaps/{name}?fieldManager={manager}&force=true"
        status, first = self.call("PATCH", target, body, APPLY)
        if status in (200, 201) and not self.dry:
            status, again = self.call("PATCH", target, body, APPLY)
            assert status == 200
            assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    @rule(space=SPACES, name=NAMES, stale=st.booleans())
    def replace(self, space: str, name: str, stale: bool) -> None:
        """A PUT with the version that is stored, or with one that is not: the latter is refused."""
        stored = self.cluster.store.get("configmaps", space, name)
        if stored is None:
            return
        version = "1" if stale else stored["metadata"]["resourceVersion"]
        meta = {**stored["metadata"], "resourceVersion": version}
        body = {**stored, "metadata": meta, "data": {"k": "put"}}
        status, _ = self.call("PUT", f"/api/v1/namespaces/{space}/configmaps/{name}", body)
        assert status == (409 if stale else 200)

    @rule(space=SPACES)
    def delete_collection(self, space: str) -> None:
        """All ConfigMaps of a namespace that have no owner."""
        self.call("DELETE", f"/api/v1/namespaces/{space}/configmaps?labelSelector=absent%3Dx")
        self.call("DELETE", f"/apis/apps/v1/namespaces/{space}/statefulsets")

    @rule()
    def other_namespace(self) -> None:
        """The second namespace goes, with all that is in it, and comes back when it has gone."""
        if self.cluster.store.get("namespaces", "", "other") is None:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
            self.call("POST", "/api/v1/namespaces", body)
        else:
            self.call("DELETE", "/api/v1/namespaces/other")

    @rule(number=st.integers(1, 3), off=st.booleans())
    def cordon(self, number: int, off: bool) -> None:
        """A node takes no new pods, or takes them again."""
        nodes = self.cluster.store.list("nodes")
        name = nodes[number - 1]["metadata"]["name"]
        self.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": off}}, MERGE)

    @rule(seconds=st.sampled_from((0.0, 0.4, 3.0, 20.0)))
    def time_passes(self, seconds: float) -> None:
        """Nothing is asked for a while."""
        self.cluster.advance(seconds)

    @rule(resource=st.sampled_from(sorted(WATCHED)))
    def break_a_watch(self, resource: str) -> None:
        """A connection breaks; the watcher goes on from the last version it saw, or lists again."""
        self.drain(resource)
        self.watches[resource].close()
        self.resume(resource, self.at[resource])
        events = self.watches[resource].events()
        if any(e["type"] == "ERROR" for e in events):
            self.look(resource)
        else:
            assert events == []

    # invariants

    def drain(self, resource: str) -> None:
        """Take what a watcher was sent."""
        seen = self.seen[resource]
        for event in self.watches[resource].events():
            kind, obj = event["type"], event["object"]
            self.at[resource] = obj["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            assert kind in ("ADDED", "MODIFIED", "DELETED"), event
            assert (self.key(obj) in seen) == (kind != "ADDED"), (kind, self.key(obj))
            if kind == "DELETED":
                del seen[self.key(obj)]
            else:
                seen[self.key(obj)] = obj

    @invariant()
    def versions_grow(self) -> None:
        """The version of the cluster never goes back, and no object is newer than it."""
        assert self.cluster.store.rv >= self.version
        self.version = self.cluster.store.rv
        for resource in self.cluster.store.resources():
            for obj in self.cluster.store.list(resource):
                assert int(obj["metadata"]["resourceVersion"]) <= self.version

    @invariant()
    def watchers_agree(self) -> None:
        """What the events add up to is what a list says."""
        for resource in self.watches:
            self.drain(resource)
            _, found = self.call_wet("GET", WATCHED[resource])
            listed = {self.key(o): o for o in found["items"]}
            assert set(listed) == set(self.seen[resource]), resource
            for key, obj in listed.items():
                mine = self.seen[resource][key]
                assert mine["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"], (resource, key)
                assert mine.get("status") == obj.get("status"), (resource, key)
                assert mine.get("spec") == obj.get("spec"), (resource, key)

    @invariant()
    def endpoints_are_the_ready_pods_that_match(self) -> None:
        """Worked out here from pods and selectors alone."""
        store = self.cluster.store
        for service in store.list("services"):
            wanted = service["spec"].get("selector")
            if not wanted:
                continue
            space, name = self.key(service)
            expected = set()
            for pod in store.list("pods", space):
                labels = pod["metadata"].get("labels") or {}
                conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions") or ()}
                if (
                    all(labels.get(k) == v for k, v in wanted.items())
                    and conditions.get("Ready") == "True"
                    and "deletionTimestamp" not in pod["metadata"]
                    and pod["status"].get("phase") == "Running"
                ):
                    expected.add(pod["status"]["podIP"])
            slices = [
                s
                for s in store.list("endpointslices.discovery.k8s.io", space)
                if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
            ]
            found = {
                address
                for s in slices
                for endpoint in s.get("endpoints") or ()
                if endpoint["conditions"]["ready"]
                for address in endpoint["addresses"]
            }
            assert found == expected, (space, name)

    # at the end

    def no_orphans(self) -> None:
        """Every owner that an object names exists, in the version of it that is named."""
        store = self.cluster.store
        uids = {o["metadata"]["uid"] for r in store.resources() for o in store.list(r)}
        for resource in store.resources():
            for obj in store.list(resource):
                owners = [ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()]
                held = obj["metadata"].get("finalizers") and "deletionTimestamp" in obj["metadata"]
                assert not owners or held or any(uid in uids for uid in owners), (resource, self.key(obj))

    def nothing_hangs(self) -> None:
        """What is being deleted is held by a finalizer, itself or what it contains."""
        store = self.cluster.store
        held_spaces = {
            self.key(o)[0]
            for r in store.resources()
            for o in store.list(r)
            if "example.com/held" in (o["metadata"].get("finalizers") or ())
        }
        for resource in store.resources():
            for obj in store.list(resource):
                if "deletionTimestamp" not in obj["metadata"]:
                    continue
                if resource == "namespaces":
                    assert obj["metadata"]["name"] in held_spaces
                else:
                    finalizers = obj["metadata"].get("finalizers") or []
                    blocked = "foregroundDeletion" in finalizers and self.key(obj)[0] in held_spaces
                    assert "example.com/held" in finalizers or blocked, (resource, self.key(obj))

    def blocked(self, sts: Obj) -> bool:
        """Tell whether a pod that strayed from a StatefulSet keeps the name that the next one has to have."""
        space, name = self.key(sts)
        uid = sts["metadata"]["uid"]
        named = (self.cluster.store.get("pods", space, f"{name}-{n}") for n in range(4))
        return any(
            pod is not None and all(ref["uid"] != uid for ref in pod["metadata"].get("ownerReferences") or ())
            for pod in named
        )

    def converged(self) -> None:
        """Every workload that could have its replicas has them."""
        store = self.cluster.store
        usable = [n for n in store.list("nodes") if not n["spec"].get("unschedulable")]
        for resource in ("deployments.apps", "statefulsets.apps", "replicasets.apps"):
            for obj in store.list(resource):
                if "deletionTimestamp" in obj["metadata"]:
                    continue
                space = store.get("namespaces", "", self.key(obj)[0])
                if space is None or "deletionTimestamp" in space["metadata"]:
                    continue
                status = obj.get("status") or {}
                assert status.get("observedGeneration") == obj["metadata"]["generation"], (resource, self.key(obj))
                if resource == "statefulsets.apps" and self.blocked(obj):
                    continue
                image = obj["spec"]["template"]["spec"]["containers"][0]["image"]
                if image.endswith("does-not-exist") or not usable:
                    continue
                assert status.get("readyReplicas", 0) == obj["spec"]["replicas"], (resource, self.key(obj), status)


Clusters.TestCase.settings = settings(
    max_examples=LIVES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestClusters = Clusters.TestCase
