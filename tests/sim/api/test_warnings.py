"""Warnings: what is allowed but seldom meant, told in the order the server tells it."""

from typing import Any

import pytest

from stratus.sim.api import Request
from stratus.sim.api.warnings import warnings_of

BOX = {"name": "c", "image": "x"}


def pod(**spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {}, "spec": {"containers": [BOX], **spec}}


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (pod(), []),
    (pod(nodeSelector={"beta.kubernetes.io/os": "linux", "mine": "x"}),
     ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead']),
    (pod(volumes=[{"name": "v", "gitRepo": {"repository": "r"}}]),
     ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"]),
    (pod(imagePullSecrets=[{"name": "a"}, {}]), ['spec.imagePullSecrets[1].name: invalid empty name ""']),
    (pod(topologySpreadConstraints=[{"maxSkew": 1}]),
     ["spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"]),
    (pod(containers=[{**BOX, "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}]),
     ['spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply']),
    (pod(containers=[{**BOX, "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                     {**BOX, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]),
     ["spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]"]),
    (pod(containers=[{**BOX, "ports": [{"containerPort": 80, "protocol": "TCP"},
                                       {"containerPort": 80, "protocol": "UDP"}]}]), []),
    ({"kind": "Service", "spec": {"externalIPs": ["1.2.3.4"]}},
     ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
    ({"kind": "Service", "spec": {}}, []),
    ({"kind": "ConfigMap", "data": {}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "want"), CASES)
def test_objects_and_their_warnings(obj: dict[str, Any], want: list[str]) -> None:
    assert warnings_of(obj) == want


@pytest.mark.parametrize(("kind", "place"), [("Deployment", "spec.template"), ("Job", "spec.template"),
                                             ("CronJob", "spec.jobTemplate.spec.template")])  # fmt: skip
def test_templates_are_looked_into(kind: str, place: str) -> None:
    key = "seccomp.security.alpha.kubernetes.io/pod"
    template = {"metadata": {"annotations": {key: "x"}},
                "spec": {"containers": [BOX], "volumes": [{"name": "v", "rbd": {}}]}}  # fmt: skip
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    assert warnings_of({"kind": kind, "spec": spec}) == [
        f'{place}.metadata.annotations[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead',
        f"{place}.spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
    ]


def test_odd_objects_have_no_warnings() -> None:
    for obj in ({}, {"spec": None}, {"spec": {"template": "x"}}, {"spec": {"template": {"spec": []}}}):
        assert warnings_of(obj) == []


def header(api: Any, method: str, path: str, obj: Any) -> str | None:
    found: str | None = api.handle(Request(method, path, obj=obj)).headers.get("Warning")
    return found


def test_warnings_travel_in_a_header_each_once(api: Any) -> None:
    path = "/api/v1/namespaces/default/pods"
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    obj = {"metadata": {"name": "p"}, "spec": {"containers": [{**BOX, "env": env}]}}
    text = (
        '299 - "spec.containers[0].env[1]: hides previous definition of \\"A\\", which may be dropped when using apply"'
    )
    assert header(api, "POST", f"{path}?dryRun=All", obj) == text
    assert header(api, "POST", path, obj) == text
    assert header(api, "GET", f"{path}/p", None) is None


def test_warnings_come_with_a_refusal_as_well(api: Any) -> None:
    obj = {"metadata": {"name": "Bad Name"}, "spec": {"containers": [BOX]}, "extra": 1}
    answer = api.handle(Request("POST", "/api/v1/namespaces/default/pods", obj=obj))
    assert answer.status == 422
    assert answer.headers["Warning"] == '299 - "unknown field \\"extra\\""'
