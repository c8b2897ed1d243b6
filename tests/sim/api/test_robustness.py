"""Whatever is sent, the server answers: no request, however malformed, escapes as an exception."""

import copy
import json
import random
from typing import Any

import pytest

from stratus.sim.api import Request, Response

JUNK: list[Any] = [None, {}, [], "", "x", 0, -1, 1.5, True, [None], {"a": None}, [{}], "a" * 300, {"": ""}]
MEDIA = ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def manifests(make: Any) -> dict[str, dict[str, Any]]:
    target = {"type": "Utilization", "averageUtilization": 50}
    template = make.deployment()["spec"]["template"]
    rich = {
        "name": "c",
        "image": "nginx",
        "ports": [{"containerPort": 80, "name": "web"}],
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        "readinessProbe": {"httpGet": {"port": "web"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    spec = {
        "containers": [rich],
        "volumes": [{"name": "v", "configMap": {"name": "c"}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
    }
    core, apps = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
    return {
        f"{apps}/deployments": make.deployment(),
        f"{apps}/statefulsets": {**make.deployment(), "kind": "StatefulSet"},
        f"{core}/pods": {"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": spec},
        f"{core}/services": {"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}},  # noqa: E501
        f"{core}/configmaps": {"metadata": {"name": "web", "finalizers": ["a.b/c"]}, "data": {"a": "b"}},
        f"{core}/limitranges": {"metadata": {"name": "web"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "9"}}]}},  # noqa: E501
        "/apis/batch/v1/namespaces/default/jobs": {"metadata": {"name": "web"}, "spec": {"template": {**template, "spec": {**spec, "restartPolicy": "Never"}}}},  # noqa: E501
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": {
            "metadata": {"name": "web"},
            "spec": {
                "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        },
        "/apis/networking.k8s.io/v1/namespaces/default/ingresses": {
            "metadata": {"name": "web"},
            "spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]},  # noqa: E501
        },
    }  # fmt: skip


def damage(chance: random.Random, document: Any) -> None:
    """Break a document in one to three places."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            walk(value[key])

    walk(document)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(places)
        try:
            if chance.random() < 0.3:
                del holder[key]
            elif chance.random() < 0.2 and isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            else:
                holder[key] = copy.deepcopy(chance.choice(JUNK))
        except (KeyError, IndexError):
            continue


@pytest.mark.parametrize("seed", range(3))
def test_every_request_is_answered(make: Any, seed: int) -> None:
    api, chance = make.api(), random.Random(seed)
    known = manifests(make)
    codes = set()
    for _ in range(400):
        path = chance.choice(list(known))
        document = copy.deepcopy(known[path])
        damage(chance, document)
        body = json.dumps(document).encode()
        for method, target, headers in (
            ("POST", f"{path}?fieldManager=a", {"content-type": "application/json"}),
            ("PUT", f"{path}/web", {"content-type": "application/json"}),
            ("PATCH", f"{path}/web?fieldManager=b", {"content-type": chance.choice(MEDIA)}),
            ("GET", path, {"accept": TABLE}),
        ):
            answer = api.handle(Request(method, target, headers, body if method != "GET" else b""))
            assert isinstance(answer, Response)
            assert answer.body
            codes.add(answer.status)
    assert {200, 201, 400, 409, 422} <= codes
    api.close()


def test_strange_request_lines_are_answered(make: Any) -> None:
    api = make.api()
    for target in (
        "",
        "/",
        "//",
        "/api",
        "/api/",
        "/api/v1/",
        "/apis//",
        "/apis/apps/v1/namespaces//deployments",
        "/api/v1/%00",
        "/api/v1/namespaces/default/pods/a/b/c/d",
        "/x?y=%ff&watch=maybe",
    ):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            answer = api.handle(Request(method, target))
            assert answer.status >= 200, (method, target)
    api.close()
