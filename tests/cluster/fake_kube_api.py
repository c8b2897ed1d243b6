"""A small Kubernetes API server for tests: real HTTP and TLS, a handful of kinds, and faults on demand."""

from __future__ import annotations

import copy
import datetime
import ipaddress
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]

# group version -> plural, kind, namespaced, short names, categories
KINDS: dict[str, list[tuple[str, str, bool, list[str], list[str]]]] = {
    "v1": [
        ("pods", "Pod", True, ["po"], ["all"]),
        ("services", "Service", True, ["svc"], ["all"]),
        ("configmaps", "ConfigMap", True, ["cm"], []),
        ("secrets", "Secret", True, [], []),
        ("events", "Event", True, ["ev"], []),
        ("namespaces", "Namespace", False, ["ns"], []),
        ("nodes", "Node", False, ["no"], []),
    ],
    "apps/v1": [
        ("deployments", "Deployment", True, ["deploy"], ["all"]),
        ("replicasets", "ReplicaSet", True, ["rs"], ["all"]),
    ],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, ["hpa"], ["all"])],
    "autoscaling/v1": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, ["hpa"], ["all"])],
    "events.k8s.io/v1": [("events", "Event", True, ["ev"], [])],
}


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class FakeKubeApi:
    """State of the server, and the thread that serves it.

    Attributes:
        requests: what was received, as (method, path with query, body).
        fault: called with (method, path) before a request is served; may answer `reset` (close the connection without
            an answer), `hang` (never answer), `after-reset` (do it, then close), or (status, Status object).
        aggregated: serve aggregated discovery.
        page: items in a page of a list.
        logs: (pod, container, previous) -> text.
        denied: verbs an access review denies.
    """

    def __init__(self, *, tls: tuple[Path, Path] | None = None, token: str = "") -> None:
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.fault: Callable[[str, str], Any] = lambda method, path: None
        self.aggregated = True
        self.page = 500
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.denied: set[str] = set()
        self.token = token
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)
        self._lock = threading.Lock()
        self.released = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet: two would wait for a delayed acknowledgement

            def log_message(self, *args: object) -> None:
                pass

            def _serve(self) -> None:
                fake._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that distrusts us, or a connection reset on purpose

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, tls))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> FakeKubeApi:
        self.create("v1", "namespaces", "", {"metadata": {"name": "kube-system"}})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # what tests look at and prepare

    def create(self, api_version: str, plural: str, namespace: str, obj: Json) -> Json:
        return self._store(self._key(api_version, plural, namespace, obj["metadata"]["name"]), obj, new=True)

    def find(self, api_version: str, plural: str, namespace: str, name: str) -> Json | None:
        return self.objects.get(self._key(api_version, plural, namespace, name))

    def writes(self) -> list[tuple[str, str, Any]]:
        return [r for r in self.requests if r[0] != "GET" and "selfsubject" not in r[1]]

    @staticmethod
    def _key(api_version: str, plural: str, namespace: str, name: str) -> str:
        root = "apis" if "/" in api_version else "api"
        middle = f"namespaces/{namespace}/" if namespace else ""
        return f"/{root}/{api_version}/{middle}{plural}/{name}"

    # serving

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length) if length else b""
        body = json.loads(raw) if raw else None
        with self._lock:
            self.requests.append((handler.command, handler.path, body))
        fault = self.fault(handler.command, handler.path)
        if fault == "reset":
            self._reset(handler)
            return
        if fault == "hang":
            self.released.wait(30)
            self._reset(handler)
            return
        try:
            if isinstance(fault, tuple):
                status, answer = fault
            else:
                if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
                    raise Refused(401, "Unauthorized", "Unauthorized")
                with self._lock:
                    status, answer = self._route(handler, body)
        except Refused as refused:
            status, answer = refused.code, _status(refused.code, refused.reason, str(refused))
        if fault == "after-reset":
            self._reset(handler)
            return
        text = answer if isinstance(answer, str) else json.dumps(answer)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        if isinstance(answer, dict) and answer.get("kind") == "APIGroupDiscoveryList":
            kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        data = text.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    @staticmethod
    def _reset(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def _route(self, handler: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any]:
        url = urlsplit(handler.path)
        path, query = unquote(url.path), {k: v[-1] for k, v in parse_qs(url.query).items()}
        method = handler.command
        if path == "/version":
            return 200, {"gitVersion": "v1.36.2"}
        if path.endswith("/selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            return 201, {**body, "status": {"allowed": wanted["verb"] not in self.denied}}
        if path in ("/api", "/apis"):
            return 200, self._discovery(path, handler.headers.get("Accept", ""))
        root, _, rest = path.lstrip("/").partition("/")
        parts = rest.split("/")
        width = 1 if root == "api" else 2
        api_version, parts = "/".join(parts[:width]), parts[width:]
        if api_version not in KINDS:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if not parts:
            return 200, _legacy_list(api_version)
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural, name, sub = (*parts, "", "")[:3]
        row = next((r for r in KINDS[api_version] if r[0] == plural), None)
        if row is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        key = self._key(api_version, plural, namespace, name)
        if sub == "log":
            return 200, self._log(key, name, query)
        if sub == "eviction":
            return self._evict(key, body)
        if method == "GET" and not name:
            return 200, self._list(api_version, row, namespace, query)
        if method == "GET":
            return 200, self._existing(key, plural, name)
        dry = "All" in query.get("dryRun", "")
        if method == "POST":
            return 201, self._post(key, api_version, row, namespace, body, dry)
        found = self._existing(key, plural, name)
        if method == "DELETE":
            options = body or ({"dryRun": ["All"]} if dry else {})  # the body wins over the query, as on the real one
            self._check(found, options.get("preconditions") or {})
            if not options.get("dryRun"):
                del self.objects[key]
            return 200, found
        if method == "PUT":
            changed = copy.deepcopy(body)
        else:
            changed = self._patched(found, body, handler.headers.get("Content-Type", ""), sub)
        self._check(found, changed["metadata"])
        if query.get("fieldValidation") == "Strict" and "bogus" in (changed.get("spec") or {}):
            raise Refused(400, "BadRequest", 'strict decoding error: unknown field "spec.bogus"')
        return 200, self._store(key, changed, dry=dry)

    def _patched(self, found: Json, body: Any, kind: str, sub: str) -> Json:
        if kind != "application/json-patch+json":
            return _merge(found, body)
        changed = copy.deepcopy(found)
        for op in body:
            *way, last = op["path"].lstrip("/").split("/")
            here = changed
            for step in way:
                here = here[step]
            if op["op"] == "test" and here.get(last) != op["value"]:
                raise Refused(422, "Invalid", "the server rejected our request due to an error in our request")
            if op["op"] in ("add", "replace"):
                here[last] = op["value"]
        return changed

    @staticmethod
    def _check(found: Json, wanted: Json) -> None:
        for key in ("uid", "resourceVersion"):
            if wanted.get(key) not in (None, found["metadata"][key]):
                raise Refused(409, "Conflict", "Operation cannot be fulfilled: the object has been modified")

    def _existing(self, key: str, plural: str, name: str) -> Json:
        if key not in self.objects:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        return self.objects[key]

    def _post(self, key: str, api_version: str, row: Any, namespace: str, body: Json, dry: bool) -> Json:
        key = self._key(api_version, row[0], namespace, body["metadata"]["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{row[0]} "{body["metadata"]["name"]}" already exists')
        obj = {"apiVersion": api_version, "kind": row[1], **body}
        obj["metadata"] = {**obj["metadata"], **({"namespace": namespace} if namespace else {})}
        return self._store(key, obj, new=True, dry=dry)

    def _store(self, key: str, obj: Json, *, new: bool = False, dry: bool = False) -> Json:
        obj = copy.deepcopy(obj)
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
        if new:
            obj["metadata"]["uid"] = f"uid-{next(self._uids)}"
        if not dry:
            self.objects[key] = obj
        return obj

    def _evict(self, key: str, body: Json) -> tuple[int, Json]:
        options = body.get("deleteOptions") or {}
        self._check(self.objects[key], options.get("preconditions") or {})
        if not options.get("dryRun"):
            del self.objects[key]
        return 201, _status(201, "", "")

    def _list(self, api_version: str, row: Any, namespace: str, query: dict[str, str]) -> Json:
        prefix = f"/{'apis' if '/' in api_version else 'api'}/{api_version}/"
        prefix += f"namespaces/{namespace}/{row[0]}/" if namespace else ""
        found = [o for k, o in sorted(self.objects.items()) if k.startswith(prefix) and f"/{row[0]}/" in k]
        for pair in filter(None, query.get("labelSelector", "").split(",")):
            label, _, value = pair.partition("=")
            found = [o for o in found if (o["metadata"].get("labels") or {}).get(label) == value]
        start = int(query.get("continue", 0))
        size = min(self.page, int(query.get("limit", 10**6)))
        rest = str(start + size) if start + size < len(found) else ""
        # items of a list carry neither apiVersion nor kind
        items = [{k: v for k, v in o.items() if k not in ("apiVersion", "kind")} for o in found[start : start + size]]
        return {"kind": f"{row[1]}List", "apiVersion": api_version, "metadata": {"continue": rest}, "items": items}

    def _log(self, key: str, pod: str, query: dict[str, str]) -> str:
        self._existing(key, "pods", pod)
        container, previous = query.get("container", "main"), query.get("previous") == "true"
        if (pod, container, previous) not in self.logs:
            said = f'previous terminated container "{container}" in pod "{pod}" not found'
            if not previous:
                said = f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating'
            raise Refused(400, "BadRequest", said)
        lines = self.logs[pod, container, previous].splitlines(keepends=True)
        return "".join(lines[-int(query["tailLines"]) :])

    def _discovery(self, path: str, accept: str) -> Json:
        versions = [v for v in KINDS if ("/" in v) == (path == "/apis")]
        if self.aggregated and "APIGroupDiscoveryList" in accept:
            groups: dict[str, list[str]] = {}
            for version in versions:
                groups.setdefault(version.rpartition("/")[0], []).append(version)
            return {
                "kind": "APIGroupDiscoveryList",
                "items": [
                    {
                        "metadata": {"name": group} if group else {},
                        "versions": [
                            {"version": v.rpartition("/")[2], "resources": [_aggregated(r) for r in KINDS[v]]}
                            for v in members
                        ],
                    }
                    for group, members in groups.items()
                ],
            }
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        names = list(dict.fromkeys(v.partition("/")[0] for v in versions))
        return {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": n,
                    "versions": [{"groupVersion": v} for v in reversed(versions) if v.startswith(f"{n}/")],
                    "preferredVersion": {"groupVersion": next(v for v in versions if v.startswith(f"{n}/"))},
                }
                for n in names
            ],
        }


def _aggregated(row: Any) -> Json:
    return {
        "resource": row[0],
        "responseKind": {"kind": row[1]},
        "scope": "Namespaced" if row[2] else "Cluster",
        "singularResource": row[1].lower(),
        "verbs": ["get", "list"],
        "shortNames": row[3],
        "categories": row[4],
    }


def _legacy_list(api_version: str) -> Json:
    rows = [
        {"name": r[0], "kind": r[1], "namespaced": r[2], "singularName": r[1].lower(), "shortNames": r[3], "verbs": []}
        for r in KINDS[api_version]
    ]
    rows.append({"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": []})
    return {"kind": "APIResourceList", "groupVersion": api_version, "resources": rows}


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


def _status(code: int, reason: str, message: str) -> Json:
    kind = "Success" if code < 300 else "Failure"
    return {"kind": "Status", "apiVersion": "v1", "status": kind, "message": message, "reason": reason, "code": code}


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, False, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "tls.crt", folder / "tls.key"
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path
