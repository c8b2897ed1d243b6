"""OpenAPI documents: what they say of types and paths, in version 3 and 2, and where their texts come from."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import Request, Response, descriptions
from stratus.sim.api.openapischemas import allowed_values

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CORE = "io.k8s.api.core.v1."
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def crd(**names: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    return {
        "metadata": {"name": "cogs.x.example.com"},
        "spec": {
            "group": "x.example.com",
            "names": {"plural": "cogs", "kind": "Cog", **names},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                          "subresources": {"scale": {"specReplicasPath": ".spec.size",
                                                     "statusReplicasPath": ".status.size"}}}],
        },
    }  # fmt: skip


def index(call: Any) -> dict[str, str]:
    paths = json.loads(call("GET", "/openapi/v3")[1])["paths"]
    return {name: entry["serverRelativeURL"] for name, entry in paths.items()}


def schemas(call: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = call("GET", f"/openapi/v3/{name}")[1]["components"]["schemas"]
    return found


def test_the_index_names_every_document_and_each_is_whole(call: Any) -> None:
    listed = index(call)
    assert {"api", "apis", "api/v1", "apis/apps", "apis/apps/v1", "version"} <= set(listed)
    for name, url in listed.items():
        status, doc = call("GET", url)
        assert status == 200, name
        assert doc["paths"], name
        known = doc["components"].get("schemas", {})
        wanted = set(re.findall(r'#/components/schemas/([^"]+)', json.dumps(doc)))
        assert wanted <= set(known), name


def test_unknown_documents_are_empty_404s(call: Any) -> None:
    assert call("GET", "/openapi/v3/apis/nope/v1") == (404, "")


def test_hashes_change_with_definitions_only(call: Any) -> None:
    before = index(call)
    assert index(call) == before
    assert call("POST", CRDS, crd())[0] == 201
    after = index(call)
    assert {k for k in after if after[k] != before.get(k)} == {"apis/x.example.com/v1"}
    changed = crd()
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "a cog"
    version = call("GET", f"{CRDS}/cogs.x.example.com")[1]["metadata"]["resourceVersion"]
    changed["metadata"]["resourceVersion"] = version
    assert call("PUT", f"{CRDS}/cogs.x.example.com", changed)[0] == 200
    assert index(call)["apis/x.example.com/v1"] != after["apis/x.example.com/v1"]
    assert schemas(call, "apis/x.example.com/v1")["com.example.x.v1.Cog"]["description"] == "a cog"


def test_types_say_what_may_be_in_them(call: Any) -> None:
    found = schemas(call, "api/v1")
    container = found[CORE + "Container"]
    assert container["required"] == ["name"]
    assert container["properties"]["imagePullPolicy"]["enum"] == ["Always", "IfNotPresent", "Never"]
    ports = container["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert ports["x-kubernetes-patch-merge-key"] == "containerPort"
    assert found[CORE + "ContainerPort"]["properties"]["protocol"]["default"] == "TCP"
    pod = found[CORE + "Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert pod["properties"]["spec"]["allOf"] == [{"$ref": f"#/components/schemas/{CORE}PodSpec"}]
    assert pod["properties"]["spec"]["default"] == {}
    assert found[CORE + "PodList"]["properties"]["items"]["items"] == {"$ref": f"#/components/schemas/{CORE}Pod"}
    selector = found["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]
    assert selector["x-kubernetes-map-type"] == "atomic"
    options = found["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]["x-kubernetes-group-version-kind"]
    assert options == [{"group": "", "kind": "DeleteOptions", "version": "v1"}]
    apps = schemas(call, "apis/apps/v1")["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]
    assert {"group": "apps", "kind": "DeleteOptions", "version": "v1"} in apps["x-kubernetes-group-version-kind"]


def test_allowed_values_are_known_for_enumerated_fields_only() -> None:
    assert allowed_values(CORE + "ServiceSpec", "type") == ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    assert allowed_values(CORE + "ServiceSpec", "externalName") == []


def test_paths_say_what_can_be_done(call: Any) -> None:
    _, doc = call("GET", "/openapi/v3/apis/apps/v1")
    base = "/apis/apps/v1/namespaces/{namespace}/deployments"
    listing, item = doc["paths"][base], doc["paths"][f"{base}/{{name}}"]
    assert set(listing) == {"get", "post", "delete", "parameters"}
    assert [p["name"] for p in listing["parameters"]] == ["namespace", "pretty"]
    assert listing["get"]["operationId"] == "listAppsV1NamespacedDeployment"
    assert listing["delete"]["x-kubernetes-action"] == "deletecollection"
    assert set(item["put"]["responses"]) == {"200", "201", "401"}
    assert "application/apply-patch+yaml" in item["patch"]["requestBody"]["content"]
    scale = doc["paths"][f"{base}/{{name}}/scale"]["get"]
    assert scale["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert doc["paths"]["/apis/apps/v1/deployments"]["get"]["operationId"] == "listAppsV1DeploymentForAllNamespaces"
    assert "/apis/apps/v1/watch/deployments" in doc["paths"]
    core = call("GET", "/openapi/v3/api/v1")[1]["paths"]
    assert core["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["get"]["x-kubernetes-action"] == "connect"
    gone = core["/api/v1/namespaces/{namespace}/pods/{name}"]["delete"]["responses"]["200"]
    assert gone["content"]["application/json"]["schema"]["$ref"].endswith(".Pod")
    kept = core["/api/v1/namespaces/{namespace}/configmaps/{name}"]["delete"]["responses"]["200"]
    assert kept["content"]["application/json"]["schema"]["$ref"].endswith(".Status")


def test_custom_resources_have_documents_of_their_own(call: Any) -> None:
    call("POST", CRDS, crd())
    _, doc = call("GET", "/openapi/v3/apis/x.example.com/v1")
    assert doc["info"]["title"] == "Kubernetes CRD Swagger"
    cog = doc["components"]["schemas"]["com.example.x.v1.Cog"]
    assert cog["properties"]["metadata"]["allOf"][0]["$ref"].endswith("ObjectMeta")
    assert cog["properties"]["spec"]["properties"]["size"] == {"type": "integer"}
    assert "com.example.x.v1.CogList" in doc["components"]["schemas"]
    patch = doc["paths"]["/apis/x.example.com/v1/namespaces/{namespace}/cogs/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    scale = doc["paths"]["/apis/x.example.com/v1/namespaces/{namespace}/cogs/{name}/scale"]["get"]
    assert scale["x-kubernetes-group-version-kind"]["kind"] == "Cog"


# version 2


def fields(raw: bytes) -> list[tuple[int, Any]]:
    """Read one protobuf message into (number, value) pairs."""
    out: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = raw[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(raw):
        key = varint()
        if key & 7 == 0:
            out.append((key >> 3, varint()))
        else:
            assert key & 7 == 2
            size = varint()
            out.append((key >> 3, raw[at : at + size]))
            at += size
    return out


def test_version_2_says_the_same_of_types(call: Any) -> None:
    call("POST", CRDS, crd())
    status, doc = call("GET", "/openapi/v2")
    assert (status, doc["swagger"]) == (200, "2.0")
    container = doc["definitions"][CORE + "Container"]
    assert container["properties"]["livenessProbe"]["$ref"] == f"#/definitions/{CORE}Probe"
    assert "default" not in doc["definitions"][CORE + "ContainerPort"]["properties"]["protocol"]
    assert doc["definitions"]["com.example.x.v1.Cog"]["properties"]["spec"]["type"] == "object"
    post = doc["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert post["parameters"][0]["schema"]["$ref"] == f"#/definitions/{CORE}Pod"
    assert set(re.findall(r'#/definitions/([^"]+)', json.dumps(doc))) <= set(doc["definitions"])


def test_version_2_in_protobuf_names_every_type(api: Any) -> None:
    answer = api.handle(Request("GET", "/openapi/v2", {"accept": PROTOBUF}))
    assert isinstance(answer, Response)
    assert answer.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    document = dict(fields(answer.body))
    assert document[1] == b"2.0"
    types = {}
    for _, named in fields(document[9]):
        name, schema = (value for _, value in fields(named))
        types[name.decode()] = fields(schema)
    assert len(types) > 500
    pod = types[CORE + "Pod"]
    extensions = [dict(fields(v)) for number, v in pod if number == 31]
    assert [e[1] for e in extensions] == [b"x-kubernetes-group-version-kind"]
    assert json.loads(dict(fields(extensions[0][2]))[2]) == [{"group": "", "kind": "Pod", "version": "v1"}]
    properties = next(v for number, v in pod if number == 25)
    assert {fields(p)[0][1] for _, p in fields(properties)} >= {b"metadata", b"spec", b"status"}


# texts


@pytest.fixture
def only_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no texts but those of the client's models."""
    real = descriptions._folder

    def folder(package: str, below: str) -> Path | None:
        return real(package, below) if package == "kubernetes" else None

    descriptions._definitions.cache_clear()
    descriptions.of_type.cache_clear()
    monkeypatch.setattr(descriptions, "_folder", folder)
    yield  # type: ignore[misc]
    descriptions._definitions.cache_clear()
    descriptions.of_type.cache_clear()


@pytest.mark.usefixtures("only_client")
def test_texts_come_from_the_client(call: Any) -> None:
    text, of = descriptions.of_type(CORE + "Container")
    assert text.startswith("A single application container")
    assert "image" in of["image"].lower()
    assert of["imagePullPolicy"]
    container = schemas(call, "api/v1")[CORE + "Container"]
    assert container["properties"]["image"]["description"] == of["image"]
    # A field that refers to a type is told of in the words about the type.
    probe = descriptions.of_type(CORE + "Probe")[0]
    assert container["properties"]["livenessProbe"]["description"] == probe


@pytest.mark.usefixtures("only_client")
def test_types_of_one_name_in_several_groups_are_told_apart() -> None:
    core, events = descriptions.of_type(CORE + "Event"), descriptions.of_type("io.k8s.api.events.v1.Event")
    assert "involvedObject" in core[1] or "message" in core[1]
    assert "note" in events[1]
    assert core[0]
    assert events[0]


def test_unknown_types_have_no_texts() -> None:
    assert descriptions.of_type("com.example.x.v1.Nothing") == ("", {})
    assert descriptions.parameters("core_v1_api", "no_such_method") == {}
    assert descriptions.parameters("no_such_api", "list") == {}


def test_parameters_are_told_of_by_the_clients_methods() -> None:
    found = descriptions.parameters("core_v1_api", "list_namespaced_pod")
    assert "continue" in found
    assert "limit" in found["limit"]
