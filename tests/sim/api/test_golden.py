"""Replay of recordings of a real cluster: defaulting, validation, patches, printing, protobuf bodies.

Objects and texts are compared whole; what a recording cannot fix (uids, versions, random names, allocated addresses,
the work of controllers) is left out. Each test states how many of the recorded cases must agree, so that a change
that loses one shows.
"""

import base64
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from stratus.kit.clock import parse_iso
from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.api.convert import inward
from stratus.sim.api.tables import Printer
from stratus.sim.schema import protobuf, types
from stratus.sim.schema.decode import Decoder

GOLDEN = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).resolve().parents[4] / "shared/data/golden")
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings in {GOLDEN} (set STRATUS_GOLDEN)")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
VERSIONED = re.compile(r"(record \(|current: )\d+")


def records(name: str) -> list[dict[str, Any]]:
    path = GOLDEN / name
    text = gzip.decompress(path.read_bytes()).decode() if name.endswith(".gz") else path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def place(api: ApiServer, stored: str, obj: dict[str, Any]) -> None:
    """Put an object into the store exactly as it was recorded, version and all."""
    store, meta = api.store, obj["metadata"]
    key = (stored, meta.get("namespace", ""), meta["name"])
    store.delete(*key)
    made = store.create(stored, obj)
    kept = {k: meta[k] for k in ("uid", "creationTimestamp", "generation", "resourceVersion") if k in meta}
    store._objects[stored][key[1]][key[2]] = {**made, "metadata": {**made["metadata"], **kept}}
    store._sorted[stored] = None
    store._sorted_in.clear()
    store.rv = max(store.rv, int(meta.get("resourceVersion", 0)))


def widgets() -> dict[str, Any]:
    for record in records("defaulting.jsonl"):
        if record["kind"] == "CustomResourceDefinition":
            found: dict[str, Any] = record["request"]
            return found
    raise AssertionError("no CRD in the recordings")


def prepared(make: Any, *namespaces: str) -> ApiServer:
    api: ApiServer = make.api()
    for name in namespaces:
        make.namespace(api, name)
    for name, value in (("system-cluster-critical", 2000000000), ("system-node-critical", 2000001000)):
        api.store.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": name}, "value": value})
    api.create("customresourcedefinitions.apiextensions.k8s.io", widgets())
    return api


def send(api: ApiServer, method: str, path: str, body: Any, media: str | None, accept: str | None = None) -> Response:
    headers = {"user-agent": "api-client/1.0"}
    if media:
        headers["content-type"] = media
    if accept:
        headers["accept"] = accept
    raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    answer = api.handle(Request(method, path, headers, raw))
    if not isinstance(answer, Response):
        answer.close()  # type: ignore[union-attr]
        return Response(200, {})
    return answer


def neutral(obj: Any, *, managed: bool = True) -> Any:
    """Return an object without what differs from run to run."""
    text = re.sub(r"kube-api-access-\w{5}", "kube-api-access-xxxxx", UID.sub("UID", json.dumps(obj)))
    out = json.loads(text)
    meta = out.get("metadata", {})
    for field in ("resourceVersion", "creationTimestamp"):
        meta.pop(field, None)
    (meta.get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    if meta.get("annotations") == {}:
        del meta["annotations"]
    entries = [e for e in meta.pop("managedFields", None) or [] if not re.search("controller|scheduler", e["manager"])]
    for entry in entries:
        entry.pop("time", None)
    if managed:
        meta["managedFields"] = entries
    if out.get("status", {}).get("lastPhaseTransitionTime"):
        out["status"]["lastPhaseTransitionTime"] = "T"
    return out


def without_allocation(obj: Any, asked: dict[str, Any]) -> Any:
    spec = obj.get("spec") or {}
    if obj.get("kind") != "Service":
        return obj
    if spec.get("clusterIP") != "None" and not asked.get("clusterIP"):
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    for port in spec.get("ports") or ():
        port.pop("nodePort", None)
    spec.pop("healthCheckNodePort", None)
    return obj


def agree(results: dict[str, bool], least: int) -> None:
    """Insist on a number of agreeing cases, naming those that do not."""
    good = sum(results.values())
    assert good >= least, (good, len(results), [name for name, ok in results.items() if not ok])


def test_defaulting(make: Any) -> None:
    api = prepared(make, "gold-def")
    results = {}
    for index, record in enumerate(records("defaulting.jsonl")):
        if "request" not in record or record["kind"] == "CustomResourceDefinition":
            continue
        asked = record["request"]
        answer = send(api, "POST", record["path"], asked, "application/json")
        want = record["create"]
        name = f"{index}/{record['case']}"
        if answer.status >= 400:
            results[name] = answer.obj == want["object"]
            continue
        got, real = (without_allocation(neutral(o), asked.get("spec") or {}) for o in (answer.obj, want["object"]))
        if asked["metadata"].get("generateName"):
            got["metadata"]["name"] = real["metadata"]["name"]
        results[name] = answer.status == want["status"] and got == real
    agree(results, 103)
    api.close()


def seed(api: ApiServer, record: dict[str, Any]) -> None:
    """Make the objects a recorded request refers to."""
    spec = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
    base, apps = "/api/v1/namespaces/gold-val", "/apis/apps/v1/namespaces/gold-val"
    selector = {"selector": {"matchLabels": {"app": "ex"}}}
    template = {"template": {"metadata": {"labels": {"app": "ex"}}, "spec": spec}}
    request = record.get("request")
    named = isinstance(request, dict) and (request.get("metadata") or {}).get("name") == "ex"
    if "/ex" in record["path"] or named:
        for path, obj in [
            (f"{base}/configmaps", {"metadata": {"name": "ex"}, "data": {"a": "b"}}),
            (f"{base}/pods", {"metadata": {"name": "ex"}, "spec": {"nodeSelector": {"no": "where"}, **spec}}),
            (f"{apps}/deployments", {"metadata": {"name": "ex"}, "spec": {"replicas": 0, **selector, **template}}),
            (
                "/apis/shop.example.com/v1/namespaces/gold-val/widgets",
                {"metadata": {"name": "ex"}, "spec": {"size": 3}},
            ),
        ]:
            api.handle(Request("POST", path, obj=obj))
    if "taken" in record["case"]:
        ports = [{"port": 80, "nodePort": 30777}]
        service = {"metadata": {"name": "tk"}, "spec": {"type": "NodePort", "clusterIP": "10.96.0.1", "ports": ports}}
        api.handle(Request("POST", f"{base}/services", obj=service))
    if "/node1" in record["path"]:
        place(
            api, "nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "spec": {}, "status": {}}
        )


#: Quotas, limits and dying namespaces are checked in test_admission.py and test_crud.py with objects of their own.
_ELSEWHERE = re.compile(r"quota: |limitrange: |terminating|delete ns again|accept yaml")


def test_validation(make: Any) -> None:
    exact, statuses = {}, {}
    for index, record in enumerate(records("validation.jsonl")):
        if not record["user"].startswith("kubernetes-admin") or _ELSEWHERE.search(record["case"]):
            continue
        api = prepared(make, "gold-val")
        if existing := record.get("existing_object"):
            group, _, version = existing["apiVersion"].rpartition("/")
            found = api.registry.of_kind(group, version, existing["kind"])
            assert found is not None
            place(api, found.stored, existing)
        else:
            seed(api, record)
        body = record["request"] if record.get("request") is not None else record.get("request_raw")
        answer = send(api, record["method"], record["path"], body, record.get("content_type"), record.get("accept"))
        name = f"{index}/{record['case']}"
        statuses[name] = answer.status == record["status"]
        exact[name] = statuses[name]
        if record["status"] >= 400 and isinstance(record["response"], dict):
            got, want = (
                VERSIONED.sub(r"\1N", UID.sub("U", json.dumps(o, sort_keys=True)))
                for o in (answer.obj, record["response"])
            )
            exact[name] = got == want
        if record.get("warning_header"):
            exact[name] &= answer.headers.get("Warning") == ", ".join(record["warning_header"])
        api.close()
    agree(statuses, len(statuses) - 1)
    agree(exact, len(exact) - 10)


PATH = re.compile(r"(?:/api/(v1)|/apis/([^/]+)/([^/]+))(?:/namespaces/([^/]+))?/([^/?]+)(?:/([^/?]+))?")


def test_patches(make: Any) -> None:
    results = {}
    for index, record in enumerate(records("patches.jsonl.gz")):
        match = PATH.match(record["path"])
        assert match is not None
        core, group, version, namespace, plural, _ = match.groups()
        api = prepared(make, *([namespace] if namespace else []))
        resource = api.registry.find(group or "", core or version, plural)
        assert resource is not None
        before = record["before"]
        if before:
            place(api, resource.stored, inward(resource, before))
            # The latest time in the answer is the time of the request.
            entries = (record.get("after") or before)["metadata"].get("managedFields", ())
            times = [parse_iso(e["time"]) for e in entries if e.get("time")]
            api.clock.advance_to(max([api.clock.now(), *times]))  # type: ignore[attr-defined]
        answer = send(api, "PATCH", record["path"], record["patch"], record["patch_type"])
        name = f"{index}/{record['case']} {record['step']}"
        want = record.get("after") or record["error"]
        if record["status"] >= 400 or answer.status >= 400:
            got, real = (UID.sub("U", json.dumps(o, sort_keys=True)) for o in (answer.obj, want))
            results[name] = answer.status == record["status"] and got == real
        else:
            got, real = (without_allocation(neutral(o), {}) for o in (answer.obj, want))
            if "/status" not in record["path"]:
                # Controllers go on writing status while a patch is under way.
                got.pop("status", None)
                real.pop("status", None)
            results[name] = answer.status == record["status"] and got == real
        if record.get("warning_header"):
            results[name] &= answer.headers.get("Warning") == record["warning_header"]
        api.close()
    agree(results, 213)


def test_tables(make: Any) -> None:
    api = prepared(make)
    results = {}
    for index, record in enumerate(records("tables.jsonl.gz")):
        table = record.get("table")
        objects = [record["object"]] if "object" in record else (record.get("list") or {}).get("items")
        if not table or not objects:
            continue
        match = PATH.match(record["path"])
        assert match is not None
        core, group, version, _, plural, _ = match.groups()
        resource = api.registry.find(group or "", core or version, plural)
        assert resource is not None
        columns = [(c["name"], c["type"], c["format"], c["priority"]) for c in table["columnDefinitions"]]
        want = [row["cells"] for row in table["rows"]]
        stamps = [
            parse_iso(o["metadata"]["creationTimestamp"]) for o in objects if o["metadata"].get("creationTimestamp")
        ]
        good = False
        # The moment of printing was not recorded: one that explains every age must exist. Ages carry fractions the
        # objects do not show, so cells that are ages may differ by a second.
        for moment in range(int(max(stamps or [0])), int(max(stamps or [0])) + 3600):
            printer = Printer(resource, float(moment), "None")
            rows = [row["cells"] for row in printer.table(objects, {})["rows"]]
            if len(rows) == len(want) and all(_same_row(a, b) for a, b in zip(rows, want, strict=True)):
                found = [(c["name"], c["type"], c["format"], c["priority"]) for c in printer.columns]
                good = found == columns
                break
            if not any(re.fullmatch(r"\d+[smhd].*", str(cell)) for row in want for cell in row):
                break
        results[f"{index}/{record['kind']}"] = good
    agree(results, len(results) - 13)
    api.close()


AGE = re.compile(r"(\d+)s|(\d+)m(\d+)s")


def _seconds(text: str) -> int | None:
    match = AGE.fullmatch(text)
    if not match:
        return None
    return int(match[1]) if match[1] else 60 * int(match[2]) + int(match[3])


def _same_row(got: list[Any], want: list[Any]) -> bool:
    if len(got) != len(want):
        return False
    for a, b in zip(got, want, strict=True):
        if a == b:
            continue
        x, y = (_seconds(v) if isinstance(v, str) else None for v in (a, b))
        if x is None or y is None or abs(x - y) > 2:
            return False
    return True


def test_protobuf_bodies_of_kubectl() -> None:
    results = {}
    for record in records("kubectl.jsonl.gz"):
        for request in record["requests"]:
            body, decoded = request.get("body_protobuf_base64"), request.get("body_decoded")
            if not body or not decoded:
                continue
            version, kind, raw = protobuf.envelope(base64.b64decode(body))
            group, _, bare = version.rpartition("/")
            found = types.of_kind(group, bare, kind)
            assert found is not None, kind
            both = []
            for source in (protobuf.decode(found, raw), decoded):
                obj = Decoder().decode(found, source)
                for field in ("apiVersion", "kind", "status"):
                    obj.pop(field, None)
                obj["metadata"].pop("creationTimestamp", None)
                obj["metadata"].pop("namespace", None)
                both.append(obj)
            results[" ".join(record["argv"])] = both[0] == both[1]
    agree(results, len(results))
    assert len(results) > 20
