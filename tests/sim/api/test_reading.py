"""Lists, selectors, tables, watches and discovery."""

import json
from typing import Any

import pytest

from stratus.sim.api import Request, Watch
from stratus.sim.api.durations import human
from stratus.sim.api.selectors import labels_match, parse_labels

CORE = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize(
    ("text", "labels", "want"),
    [
        ("a=b", {"a": "b"}, True), ("a==b", {"a": "c"}, False), ("a!=b", {}, True), ("a", {"a": ""}, True), ("!a", {"a": ""}, False),  # noqa: E501
        ("a in (b,c)", {"a": "c"}, True), ("a notin (b, c)", {"a": "c"}, False), ("a notin (b)", {}, True), ("a=b,c", {"a": "b"}, False),  # noqa: E501
        ("example.com/x=1", {"example.com/x": "1"}, True), ("a>3", {"a": "5"}, True), ("a<3", {"a": "5"}, False), ("a=", {"a": ""}, True),  # noqa: E501
    ],
)  # fmt: skip
def test_label_selectors(text: str, labels: dict, want: bool) -> None:
    assert labels_match(parse_labels(text), labels) is want


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("labelSelector=a%3D%3D%3Db", "unable to parse requirement: found '=', expected: identifier"),
        ("labelSelector=a%3Db%3Dc", "found '=', expected: ',' or 'end of string'"),
        ("labelSelector=%3Db", "found '=', expected: !, identifier, or 'end of string'"),
        ("labelSelector=a,,b", "found ',', expected: identifier after ','"),
        ("labelSelector=a+in+b", "unable to parse requirement: found 'b' expected: '('"),
        ("fieldSelector=foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("fieldSelector=spec.x%3D1", "field label not supported: spec.x"),
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_bad_queries(call: Any, query: str, text: str) -> None:
    status, obj = call("GET", f"{CORE}/pods?{query}")
    assert (status, obj["message"]) == (400, text)


def test_field_selectors(call: Any, make: Any, api: Any) -> None:
    for name in ("a", "b"):
        call("POST", f"{CORE}/pods", make.pod(name))
    make.run_pod(api, "a")

    def names(selector: str) -> list[str]:
        return [o["metadata"]["name"] for o in call("GET", f"/api/v1/pods?fieldSelector={selector}")[1]["items"]]

    assert names("spec.nodeName%3Dnode1") == ["a"]
    assert names("status.phase!%3DRunning") == ["b"]
    assert names("metadata.name%3Da,metadata.namespace%3Ddefault") == ["a"]
    assert names("spec.nodeName%3D") == ["b"]


def test_tables_and_metadata(call: Any, make: Any, api: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    make.run_pod(api, "p")
    api.clock.advance(214)
    _, table = call("GET", f"{CORE}/pods", accept=TABLE)
    assert table["kind"] == "Table"
    assert [c["name"] for c in table["columnDefinitions"] if not c["priority"]] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]
    assert table["rows"][0]["cells"][:6] == ["p", "1/1", "Running", "0", "3m34s", "10.0.0.9"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert call("GET", f"{CORE}/pods?includeObject=None", accept=TABLE)[1]["rows"][0]["object"] is None
    assert call("GET", f"{CORE}/pods?includeObject=Object", accept=TABLE)[1]["rows"][0]["object"]["spec"]
    assert call("GET", f"{CORE}/pods?includeObject=X", accept=TABLE)[0] == 400
    _, meta = call("GET", f"{CORE}/pods/p", accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
    assert set(meta) == {"kind", "apiVersion", "metadata"}
    assert call("GET", f"{CORE}/pods", accept="application/nope")[0] == 406
    assert call("GET", f"{CORE}/pods/p", accept="application/yaml")[1].startswith("apiVersion: v1\n")


def waiting(reason: str, ready: bool = False) -> dict:
    return {"name": "c", "ready": ready, "restartCount": 3, "state": {"waiting": {"reason": reason}}}


@pytest.mark.parametrize(
    ("status", "deleted", "want"),
    [
        ({"phase": "Pending"}, False, "Pending"),
        ({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}, False, "CrashLoopBackOff"),
        ({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}, False, "ImagePullBackOff"),
        ({"phase": "Running"}, True, "Terminating"),
        ({"phase": "Failed", "reason": "Evicted"}, False, "Evicted"),
        ({"phase": "Failed", "containerStatuses": [
            {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}, False, "OOMKilled"),  # noqa: E501
        ({"phase": "Pending", "initContainerStatuses": [
            {"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}, False, "Init:Error"),  # noqa: E501
        ({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 0, "state": {"running": {}}}]}, False, "Init:0/1"),  # noqa: E501
    ],
)  # fmt: skip
def test_pod_status_words(status: dict, deleted: bool, want: str) -> None:
    from stratus.sim.api.podstatus import pod_row

    meta = {"name": "p", "creationTimestamp": "2026-01-05T09:00:00Z"}
    if deleted:
        meta["deletionTimestamp"] = "2026-01-05T09:00:00Z"
    obj = {
        "metadata": meta,
        "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]},
        "status": status,
    }
    assert pod_row(obj, 1767603600.0)[2] == want


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (214, "3m34s"), (600, "10m"), (10799, "179m"), (10800, "3h"), (15600, "4h20m"), (28800, "8h"),  # noqa: E501
        (172799, "47h"), (172800, "2d"), (273600, "3d4h"), (700000, "8d"), (63072000, "2y"), (-1, "0s"), (-5, "<invalid>"),  # noqa: E501
    ],
)  # fmt: skip
def test_durations(seconds: float, want: str) -> None:
    assert human(seconds) == want


def watch(api: Any, path: str, **headers: str) -> Watch:
    answer = api.handle(Request("GET", path, headers))
    assert isinstance(answer, Watch)
    return answer


def told(stream: Watch) -> list[tuple[str, str]]:
    return [(e["type"], e["object"]["metadata"].get("name", "")) for e in stream.events()]


def test_a_watch_tells_changes_and_resumes(call: Any, api: Any) -> None:
    start = call("GET", f"{CORE}/configmaps")[1]["metadata"]["resourceVersion"]
    live = watch(api, f"{CORE}/configmaps?watch=1&resourceVersion={start}")
    ready = []
    live.on_ready = lambda: ready.append(1)
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    call("PATCH", f"{CORE}/configmaps/a", {"data": {"x": "1"}}, MERGE)
    call("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    call("POST", "/api/v1/namespaces/other/configmaps", {"metadata": {"name": "b"}})
    call("DELETE", f"{CORE}/configmaps/a")
    want = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert len(ready) == 3
    assert told(live) == want
    assert told(watch(api, f"{CORE}/configmaps?watch=true&resourceVersion={start}")) == want
    live.close()
    assert live.done


def test_a_watch_with_a_selector_sees_objects_come_and_go(call: Any, api: Any) -> None:
    live = watch(api, f"{CORE}/configmaps?watch=1&labelSelector=k%3D1&resourceVersion={api.store.rv}")
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    assert told(live) == []
    call("PATCH", f"{CORE}/configmaps/a", {"metadata": {"labels": {"k": "1"}}}, MERGE)
    call("PATCH", f"{CORE}/configmaps/a", {"data": {"x": "1"}}, MERGE)
    call("PATCH", f"{CORE}/configmaps/a", {"metadata": {"labels": {"k": "2"}}}, MERGE)
    events = live.events()
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[2]["object"]["metadata"]["labels"] == {"k": "1"}
    assert int(events[2]["object"]["metadata"]["resourceVersion"]) == api.store.rv
    live.close()


def test_initial_events_end_in_an_annotated_bookmark(call: Any, api: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    live = watch(api, f"{CORE}/configmaps?{query}")
    events = live.events()
    assert [e["type"] for e in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    live.expire()
    assert [json.loads(line)["type"] for line in live.take().splitlines()] == ["BOOKMARK"]
    assert live.done


def test_an_old_version_is_gone(call: Any, api: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    api.store.expire()
    live = watch(api, f"{CORE}/configmaps?watch=1&resourceVersion=1")
    event = live.events()[0]
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert live.done


def test_tables_in_a_watch_have_their_columns_once(call: Any, api: Any) -> None:
    for name in ("a", "b"):
        call("POST", f"{CORE}/configmaps", {"metadata": {"name": name}})
    live = watch(api, f"{CORE}/configmaps?watch=1&resourceVersion=0", accept=TABLE)
    tables = [e["object"] for e in live.events()]
    assert [bool(t["columnDefinitions"]) for t in tables] == [True, False]
    assert tables[1]["rows"][0]["cells"] == ["b", 0, "0s"]
    live.close()


def test_discovery_in_both_forms(call: Any) -> None:
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    _, new = call("GET", "/apis", accept=aggregated)
    _, old = call("GET", "/apis")
    assert [g["metadata"]["name"] for g in new["items"]] == [g["name"] for g in old["groups"]]
    apps = next(g for g in new["items"] if g["metadata"]["name"] == "apps")["versions"][0]["resources"]
    scale = next(r for r in apps if r["resource"] == "deployments")["subresources"][0]
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    _, core = call("GET", "/api", accept=aggregated)
    pods = next(r for r in core["items"][0]["versions"][0]["resources"] if r["resource"] == "pods")
    kinds = {s["subresource"]: s["responseKind"] for s in pods["subresources"]}
    assert kinds["eviction"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    _, listed = call("GET", "/api/v1")
    assert {"pods", "pods/log", "services", "serviceaccounts/token"} <= {r["name"] for r in listed["resources"]}
    assert call("GET", "/apis/apps")[1]["preferredVersion"]["version"] == "v1"
    assert call("GET", "/version")[1]["minor"] == "36"
    assert call("GET", "/readyz") == (200, "ok")
    assert call("GET", "/openapi/v2")[1]["swagger"] == "2.0"


def test_openapi_has_what_kubectl_needs(call: Any) -> None:
    _, text = call("GET", "/openapi/v3")
    index = json.loads(text)  # served as plain text
    url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    _, doc = call("GET", url)
    patch = doc["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {p["name"] for p in patch["parameters"]}
    schemas = doc["components"]["schemas"]
    template = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert template["x-kubernetes-patch-merge-key"] == "name"
    text = json.dumps(doc)
    for name in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert name in schemas
