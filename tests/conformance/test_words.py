"""What is made alike in printed texts, and what must not be."""

from __future__ import annotations

import pytest

from stratus.conformance.normal import difference, neutral, plain, text_difference, without_allocation
from stratus.conformance.suites.discovery import spelled_out
from stratus.conformance.words import alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pod/web-54475c5bdb-6wncr deleted", "pod/web-7c9d5b6f7c-x2lkq deleted"),
        ("db-gwdj8   1/1", "db-x2lkq 1/1"),
        ("NAME   AGE\nweb    5m", "NAME        AGE\nweb         2d3h"),
        ("crash 0/1 Error 3 (20s ago) 39s", "crash 0/1 Error 3 (4m1s ago) 5m"),
        ("5m (x4 over 10m) Normal", "12s (x4 over 3h) Normal"),
        ("uid: cb75687a-1690-4c5f-bbc6-57c986478b9f", "uid: 15dba07e-2c71-4fd4-97c0-d8d0494baf9b"),
        ('resourceVersion: "28041"', 'resourceVersion: "7"'),
        ("since 2026-11-22T09:40:32Z", "since 2026-01-05T09:00:00Z"),
        ("Sun, 22 Nov 2026 09:40:32 +0000", "Mon, 05 Jan 2026 09:00:00 +0000"),
        ("10.244.1.190", "10.244.2.7"),
        ("E1122 09:41:30.123456   12345 memcache.go:265] x", "E0105 01:02:03.000001 7 memcache.go:265] x"),
        ("80:30777/TCP", "80:31234/TCP"),
    ],
)
def test_runs_are_made_alike(one: str, other: str) -> None:
    assert alike(one) == alike(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout=1s period=10s", "timeout=2s period=10s"),
        ("crash 0/1 Error 3 (20s ago)", "crash 0/1 Error 4 (20s ago)"),
        ("(x4 over 10m)", "(x5 over 10m)"),
        ("web 1/1", "web 2/2"),
        ("replicas: 2", "replicas: 3"),
        ("deployment.apps/web scaled", "deployment.apps/api scaled"),
        ("10.96.0.1", "10.99.0.1"),
        ("image: nginx:1.27", "image: nginx:1.28"),
        ("80/TCP", "81/TCP"),
        ("a b", "a\nb"),
    ],
)
def test_what_counts_stays_different(one: str, other: str) -> None:
    assert alike(one) != alike(other)


def test_the_address_of_the_server_is_that_of_the_recordings() -> None:
    text = "running at https://127.0.0.1:40123, dial tcp 127.0.0.1:40123"
    assert alike(text, "https://127.0.0.1:40123") == "running at https://10.199.0.1:6443, dial tcp 10.199.0.1:6443"


def test_credentials_of_a_kubeconfig_are_left_out() -> None:
    ours = "- cluster:\n    certificate-authority-data: DATA+OMITTED\n    server: x\nusers:\n- name: a\n"
    ours += "  user:\n    token: REDACTED\n"
    assert alike(ours) == alike("- cluster:\n    server: x\nusers:\n- name: a\n  user: {}\n")


def test_objects_lose_what_differs_by_run_only() -> None:
    obj = {
        "metadata": {
            "name": "a",
            "uid": "cb75687a-1690-4c5f-bbc6-57c986478b9f",
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-22T09:40:32Z",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "managedFields": [
                {"manager": "kube-controller-manager", "time": "x"},
                {"manager": "api-client", "time": "2026-11-22T09:40:32Z", "fieldsV1": {"f:data": {}}},
            ],
        },
        "data": {"a": "b"},
    }
    assert neutral(obj) == {
        "metadata": {
            "name": "a",
            "uid": "UID",
            "managedFields": [{"manager": "api-client", "fieldsV1": {"f:data": {}}}],
        },
        "data": {"a": "b"},
    }
    assert "managedFields" not in neutral(obj, managed=False)["metadata"]
    assert obj["metadata"]["resourceVersion"] == "7"  # type: ignore[index]


def test_only_what_a_server_allocates_is_left_out_of_services() -> None:
    service = {
        "kind": "Service",
        "spec": {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ports": [{"port": 80, "nodePort": 30001}]},
    }
    assert without_allocation({**service, "spec": {**service["spec"]}}, {})["spec"] == {"ports": [{"port": 80}]}  # type: ignore[dict-item]
    asked = without_allocation({**service, "spec": {**service["spec"]}}, {"clusterIP": "10.96.1.1"})  # type: ignore[dict-item]
    assert asked["spec"]["clusterIP"] == "10.96.1.1"
    headless = {"kind": "Service", "spec": {"clusterIP": "None"}}
    assert without_allocation(headless, {})["spec"] == {"clusterIP": "None"}


def test_differences_are_placed() -> None:
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == ""
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "a[1].b: 2, recorded 3"
    assert difference({"a": 1, "c": 2}, {"a": 1, "b": 2}) == "b: missing, recorded 2; c: 2, not in the recording"
    assert difference([1], [1, 2]) == ": 1 entries [1], recorded 2 [1, 2]"
    long = "x" * 300
    assert difference(long + "a", long + "b").startswith("value, from character 260:")


def test_refusals_are_compared_whole_but_for_uids_times_and_versions() -> None:
    one = {"message": "uid cb75687a-1690-4c5f-bbc6-57c986478b9f at 2026-11-22T09:40:32Z (current: 12)", "code": 409}
    other = {"message": "uid 15dba07e-2c71-4fd4-97c0-d8d0494baf9b at 2026-11-22T09:40:33Z (current: 13)", "code": 409}
    assert plain(one) == plain(other)
    assert plain(one) != plain({**one, "code": 422})


def test_lines_that_differ_are_numbered() -> None:
    assert text_difference("a\nb\n", "a\nb\n") == ""
    assert text_difference("a\nb", "a\nc") == "line 2: 'b', recorded 'c'"
    assert text_difference("a", "a\nc") == "line 2: nothing, recorded 'c'"
    assert text_difference("a", "a\n") == "line ends differ"


def test_shared_parameters_are_spelled_out_and_media_types_are_sets() -> None:
    shared = {
        "swagger": "2.0",
        "parameters": {"limit-x": {"name": "limit", "in": "query"}},
        "paths": {"/a": {"get": {"parameters": [{"$ref": "#/parameters/limit-x"}], "produces": ["b", "a"]}}},
    }
    inline = {
        "swagger": "2.0",
        "paths": {"/a": {"get": {"parameters": [{"name": "limit", "in": "query"}], "produces": ["a", "b"]}}},
    }
    assert spelled_out(shared) == spelled_out(inline)
    inline["paths"]["/a"]["get"]["parameters"][0]["in"] = "path"  # type: ignore[index]
    assert spelled_out(shared) != spelled_out(inline)
    assert spelled_out({"openapi": "3.0.0", "parameters": 1}) == {"openapi": "3.0.0", "parameters": 1}
