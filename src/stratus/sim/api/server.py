"""The API server's front door: one request in, one answer out, without sockets."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from stratus.kit.clock import Clock
from stratus.kit.jsoncopy import copied
from stratus.sim.api import admission, discovery, health, openapi, quotas, reviews, subresources
from stratus.sim.api.access.gate import Gate
from stratus.sim.api.access.impersonation import impersonated
from stratus.sim.api.access.rbac import Rbac
from stratus.sim.api.access.tokens import Issuer
from stratus.sim.api.bodies import decode_object, read_document
from stratus.sim.api.components import ADDRESSES, addresses, components
from stratus.sim.api.convert import outward
from stratus.sim.api.crdnames import Naming
from stratus.sim.api.crds import Cleanup, stored_name
from stratus.sim.api.defaults import apply_defaults
from stratus.sim.api.listing import Lister
from stratus.sim.api.messages import ANONYMOUS, Request, Response, Upgrade, User
from stratus.sim.api.metrics import Metrics
from stratus.sim.api.options import check_list_options, delete_options, write_options
from stratus.sim.api.patching import Patcher
from stratus.sim.api.resources import CRDS, Registry, Resource
from stratus.sim.api.rest import DeleteOptions, Options, Rest
from stratus.sim.api.routing import Path, Query, parse
from stratus.sim.api.selectors import fields_match, labels_match, parse_fields, parse_labels
from stratus.sim.api.standing import Registrations
from stratus.sim.api.status import (
    ApiError,
    Moved,
    bad_request,
    forbidden,
    method_not_allowed,
    no_resource,
    unauthorized,
)
from stratus.sim.api.strategies import RETURNS_DELETED, prepare_create, resets_status
from stratus.sim.api.watch import Watch
from stratus.sim.controllers.common import AdmissionDenied
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Store
from stratus.sim.streams.conversation import Interpreter
from stratus.sim.streams.following import Line, LogStream
from stratus.sim.streams.forwarding import Ask

if TYPE_CHECKING:
    from stratus.sim.tls import Authority

Obj = dict[str, Any]
Answer = Response | Watch | LogStream | Upgrade
Authorizer = Callable[[str, tuple[str, ...], str, str, str, str], bool]
ExecBackend = Callable[[str, str, str, list[str], bytes], ExecResult]
LogBackend = Callable[[str, str, str, bool, int | None, float | None, bool], str]
UsageBackend = Callable[[Obj], dict[str, tuple[float, float]]]
#: How often a write is tried whose object changes while webhooks judge it.
TRIES = 5
LinesBackend = Callable[[str, str, str, bool, float | None], list[Line]]
ShellBackend = Callable[[Obj, str, list[str] | None], Interpreter | None]
PortBackend = Callable[[Obj, int], Ask | None]


class Follows(Protocol):
    """A stream of what a container writes: its reader is to look again from time to time."""

    on_ready: Callable[[], None] | None


def _no_exec(namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
    return ExecResult(stderr="this cluster runs no containers\n", exit_code=126)


def _no_logs(
    namespace: str,
    pod: str,
    container: str,
    previous: bool,
    tail_lines: int | None,
    since_seconds: float | None,
    timestamps: bool,
) -> str:
    return ""


class ApiServer:
    """A Kubernetes API over a store.

    Callers serialise `handle` with a lock of their own. After each write that was stored, `drain` is called, so that
    the controllers have come to rest before the answer is given.

    Args:
        store: the objects.
        clock: the cluster's time.
        exec_backend: plays a command in a container.
        log_backend: returns what a container wrote.
        rng: the cluster's generator; reads and dry runs do not use it.
        drain: runs the controllers to rest.
        usage_backend: (cpu cores, memory bytes) per container of a pod, for metrics.k8s.io.
        authorizer: (user, groups, verb, resource, namespace, name) -> allowed; everything is allowed without one.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        exec_backend: ExecBackend = _no_exec,
        log_backend: LogBackend = _no_logs,
        rng: random.Random,
        drain: Callable[[], None] = lambda: None,
        usage_backend: UsageBackend | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.rng = rng
        self.drain = drain
        self.exec_backend = exec_backend
        self.log_backend = log_backend
        self.authorizer = authorizer
        self.tokens: dict[str, User] = {}
        #: (namespace, pod, container, previous instance, since) -> (moment, line) of what a container wrote.
        self.read_lines: LinesBackend | None = None
        #: (pod, container, command; None: the container's own process) -> a shell that is sent commands piece by piece.
        self.shells: ShellBackend | None = None
        #: (pod, port) -> what answers requests to it; None when nobody listens there.
        self.ports: PortBackend | None = None
        #: Who signs the certificates of servers and users; made when it is first needed.
        self.authority: Authority | None = None
        self._followers: dict[int, Follows] = {}
        self._unfollow: Callable[[], None] = lambda: None
        self.registry = Registry(store)
        self.rest = Rest(store, clock, rng, self.registry)
        self.lister = Lister(store, clock)
        self.patcher = Patcher(self.rest)
        self.metrics = Metrics(store, clock, usage_backend)
        self.openapi = openapi.Documents(self.registry)
        self.cleanup = Cleanup(store)
        self.registrations = Registrations(store)
        self.naming = Naming(store, clock)
        self.rbac = Rbac(store)
        self.issuer = Issuer(store, clock)
        self.gate = self.rest.gate = Gate(store, self.rbac)

    def close(self) -> None:
        """Stop following the store."""
        self._unfollow()
        self._followers.clear()
        self.registry.close()
        self.rest.close()
        self.cleanup.close()
        self.registrations.close()
        self.naming.close()
        self.rbac.close()

    def handle(self, request: Request) -> Answer:
        """Answer one request; errors become Status answers."""
        try:
            return self._persistent(request)
        except ApiError as error:
            headers = dict(error.headers)
            return Response(error.code, error.status, headers=headers)
        except RecursionError:
            return Response(400, bad_request("the document is nested too deeply").status)

    def certifier(self) -> Authority:
        """Return who signs certificates for this cluster."""
        if self.authority is None:
            from stratus.sim.tls import Authority

            self.authority = Authority()
        return self.authority

    def _persistent(self, request: Request) -> Answer:
        """Answer a request; what moved under it while a webhook was asked is tried again."""
        for _ in range(TRIES - 1):
            try:
                return self._handle(request)
            except Moved:
                continue
        return self._handle(request)

    # what containers write

    def log_lines(self, namespace: str, pod: str, container: str, previous: bool, since: float | None) -> list[Line]:
        """Return (moment, line) of what a container wrote, from a moment on."""
        if self.read_lines is not None:
            return self.read_lines(namespace, pod, container, previous, since)
        text = self.log_backend(namespace, pod, container, previous, None, None, False)
        return [(0.0, line) for line in text.splitlines()]

    def follow(self, stream: Follows) -> Callable[[], None]:
        """Let a stream hear of it when containers may have written; return what ends that."""
        number = id(stream)
        if not self._followers:
            self._unfollow = self.store.subscribe(lambda change: self.pulse(), "pods")
        self._followers[number] = stream

        def end() -> None:
            if self._followers.pop(number, None) is not None and not self._followers:
                self._unfollow()

        return end

    def pulse(self) -> None:
        """Time has passed, or something has run: whoever follows a container looks again."""
        for stream in list(self._followers.values()):
            if stream.on_ready is not None:
                stream.on_ready()

    # one object level below HTTP, for callers in process

    def create(self, resource: str, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Create an object of a stored resource (`pods`, `deployments.apps`) with defaults, admission and validation.

        Raises:
            ApiError: as over HTTP.
        """
        found = self._stored(resource)
        namespace = obj["metadata"].get("namespace", "")
        path = f"namespaces/{namespace}/{found.name}" if found.namespaced else found.name
        prefix = f"/apis/{found.group_version}" if found.group else "/api/v1"
        answer = self._handle(Request("POST", f"{prefix}/{path}{'?dryRun=All' if dry_run else ''}", obj=obj))
        assert isinstance(answer, Response)
        created: Obj = answer.obj
        return created

    def admit_pod(self, pod: Obj) -> Obj:
        """Return a pod as it would be stored (defaults, account, tolerations, priority, limits, quota), not stored.

        Raises:
            AdmissionDenied: with the text the owner's FailedCreate event shows.
        """
        new: Obj = copied(pod)
        new.update(apiVersion="v1", kind="Pod")
        apply_defaults("", "v1", "Pod", new)
        meta = new["metadata"]
        try:
            admission.check_namespace(self.store, "pods", "", meta["namespace"], meta.get("name", ""))
            admission.admit_pod(self.store, self.rng, new)
            new = self.gate.admit_pod(self._stored("pods"), new)
            prepare_create(self._stored("pods"), new)
            hit = quotas.check(self.store, self.rest.ledger, "pods", "", new)
        except ApiError as error:
            raise AdmissionDenied(error.message) from error
        quotas.charge(self.store, hit)
        return new

    def _stored(self, resource: str) -> Resource:
        found = self.registry.stored(resource)
        if found is None:
            raise no_resource()
        return found

    # routing

    def _handle(self, request: Request) -> Answer:
        path, _, query_text = request.target.partition("?")
        user = self.gate.user = self._user(request)
        self.gate.guarded = self.authorizer is not None
        path = path if len(path) == 1 else path.rstrip("/")
        if not path.startswith(("/api/", "/apis/")):
            return self._non_resource(request, path, user)
        parsed = parse(path)
        if parsed is None or (parsed.group, parsed.version) == ("", ""):
            return self._group(request, path, user)
        served = self.registry.version(parsed.group, parsed.version)
        if served is None:
            if parsed.group in self.registry.groups():
                raise no_resource()
            return _plain_404()
        resource = self.registry.find(parsed.group, parsed.version, parsed.resource)
        if resource is None:
            if all(r.custom for r in served.resources.values()):
                return _plain_404()  # nobody has defined it
            raise no_resource()
        return self._resource(request, parsed, resource, Query(query_text), user)

    def _user(self, request: Request) -> User:
        user = request.user
        if user is None:
            raise unauthorized()
        return impersonated(user, request.headers, self.authorize)

    def authenticate(self, token: str) -> User | None:
        """Return whom a bearer token stands for; None when it is not good."""
        return self.tokens.get(token) or self.issuer.check(token)[0]

    def _authorize_path(self, user: User, method: str, path: str) -> None:
        verb = {"HEAD": "head", "GET": "get"}.get(method, method.lower())
        if self.authorizer is not None and not self.authorizer(user.name, user.groups, verb, path, "", ""):
            raise ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot {verb} path "{path}"', details={})

    def authorize(
        self, user: User, verb: str, resource: str, namespace: str, name: str, *, group: str = "", subresource: str = ""
    ) -> None:
        """Ask the authorizer.

        Raises:
            ApiError: 403 with the text of the real authorizer.
        """
        if self.authorizer is None:
            return
        qualified = (f"{resource}.{group}" if group else resource) + (f"/{subresource}" if subresource else "")
        if self.authorizer(user.name, user.groups, verb, qualified, namespace, name):
            return
        shown = f"{resource}/{subresource}" if subresource else resource
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot {verb} resource "{shown}" in API group "{group}" {where}'
        raise forbidden(resource, group, name, why)

    def _non_resource(self, request: Request, path: str, user: User) -> Response:
        self._authorize_path(user, request.method, path)
        if request.method != "GET" and path in ("/version", "/api", "/apis", "/"):
            raise method_not_allowed()
        accept = request.headers.get("accept", "")
        if (healthy := health.answer(path, Query(request.target.partition("?")[2]))) is not None:
            return healthy
        if path == "/version":
            return Response(200, discovery.VERSION, body=json.dumps(discovery.VERSION, indent=2).encode())
        if path in ("/api", "/apis"):
            return discovery.roots(self.registry, accept, path == "/api")
        if path == "/openapi/v2":
            return self.openapi.version_2(accept)
        if path == "/openapi/v3":
            return self.openapi.index()
        if path.startswith("/openapi/v3/"):
            found = self.openapi.document(path.removeprefix("/openapi/v3/"))
            return found or Response(404, body=b"", content_type="")
        if path == "/":
            return Response(200, {"paths": discovery.all_paths(self.registry)})
        return _plain_404()

    def _group(self, request: Request, path: str, user: User) -> Response:
        self._authorize_path(user, request.method, path)
        parts = path.strip("/").split("/")
        if parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(self.registry, parts[1])
            if found is not None:
                return found
            return _plain_404()
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        gv = self.registry.version(group, version)
        if gv is None:
            if group in self.registry.groups():
                raise no_resource()
            return _plain_404()
        if request.method != "GET":
            raise method_not_allowed()
        return discovery.resource_list(gv)

    def _resource(self, request: Request, path: Path, resource: Resource, query: Query, user: User) -> Answer:
        if not resource.deprecated:
            return self._served(request, path, resource, query, user)
        told = _warnings([resource.deprecated])
        try:
            answer = self._served(request, path, resource, query, user)
        except ApiError as error:
            error.headers["Warning"] = ", ".join(filter(None, (told, error.headers.get("Warning"))))
            raise
        if isinstance(answer, Response):
            answer.headers["Warning"] = ", ".join(filter(None, (told, answer.headers.get("Warning"))))
        return answer

    def _served(self, request: Request, path: Path, resource: Resource, query: Query, user: User) -> Answer:
        if path.subresource:
            return self._subresource(request, path, resource, query, user)
        method = request.method
        if resource.name in reviews.KINDS and resource.group in reviews.GROUPS:
            if method != "POST":
                raise method_not_allowed()
            if not resource.name.startswith("selfsubject") or user.name == ANONYMOUS.name:
                self.authorize(user, "create", resource.name, path.namespace, "", group=resource.group)
            return reviews.answer(self, request, resource, path.namespace, user, query)
        verb = _verb(method, path.name, query)
        homeless = resource.namespaced and not path.namespace
        if homeless and path.name:
            raise no_resource()
        homeless = homeless and verb == "create"
        if verb not in resource.verbs or homeless or (verb == "create" and path.name):
            raise method_not_allowed()
        if path.namespace and not resource.namespaced:
            raise no_resource()
        self.authorize(user, verb, resource.name, path.namespace, path.name, group=resource.group)
        if resource.group == "metrics.k8s.io":
            items = self.metrics.measured(resource, path, query)
            return self.lister.computed(request, resource, items, path, query)
        if resource.name == "componentstatuses" and not resource.group:
            return self.lister.computed(request, resource, components(), path, query)
        if resource.stored == ADDRESSES and verb in ("get", "list") and not query.flag("watch"):
            return self.lister.computed(request, resource, addresses(self.store), path, query)
        if verb == "get":
            obj = outward(resource, self.rest.get(resource, path.namespace, path.name))
            return self.lister.one(request, resource, obj, query)
        if verb in ("list", "watch"):
            check_list_options(query, verb == "watch" or query.flag("watch"))
            if verb == "watch" or query.flag("watch"):
                return self.lister.watch(request, resource, path, query)
            return self.lister.list(request, resource, path, query)
        return self._write(request, path, resource, query, verb)

    # writes

    def _write(self, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
        if verb == "delete":
            return self._delete(request, path, resource, query)
        if verb == "deletecollection":
            return self._delete_collection(request, path, resource, query)
        options, validation = write_options(request, query, verb)
        try:
            return self._change(request, path, resource, query, verb, options, validation)
        except ApiError as error:
            # What was noticed on the way is told with the refusal too.
            if options.warnings:
                error.headers["Warning"] = _warnings(options.warnings)
            raise

    def _change(
        self,
        request: Request,
        path: Path,
        resource: Resource,
        query: Query,
        verb: str,
        options: Options,
        validation: str,
    ) -> Response:
        status = 200
        if verb == "create":
            parsed = read_document(request, resource.kind, resource.group, resource.version)
            obj = decode_object(
                resource,
                parsed,
                validation,
                options.warnings,
                drop_status=resets_status(resource),
                emptied=options.emptied,
            )
            stored = self.rest.create(resource, path.namespace, obj, options)
            status = 201
        elif verb == "update":
            parsed = read_document(request, resource.kind, resource.group, resource.version)
            obj = decode_object(resource, parsed, validation, options.warnings)
            stored, new = self.rest.update(resource, path.namespace, path.name, obj, options, require_version=True)
            status = 201 if new else 200
        else:
            stored, new = self.patcher.patch(request, resource, path, options, validation, query)
            status = 201 if new else 200
        return self.finish(request, resource, stored, options, status, query)

    def finish(
        self, request: Request, resource: Resource, stored: Obj, options: Options, status: int, query: Query
    ) -> Response:
        """Let the controllers act on a write, then answer with what was written."""
        if not options.dry_run:
            self.drain()
        answer = self.lister.one(request, resource, outward(resource, stored), query, status=status)
        if options.warnings:
            answer.headers["Warning"] = _warnings(options.warnings)
        return answer

    def _delete(self, request: Request, path: Path, resource: Resource, query: Query) -> Response:
        options = delete_options(request, query)
        last, gone = self.rest.delete(resource, path.namespace, path.name, options)
        if resource.stored == CRDS and not gone and not options.dry_run:
            self._drop_custom(last)
        if not options.dry_run:
            self.drain()
        if resource.stored in RETURNS_DELETED or not gone:
            return self.lister.one(request, resource, outward(resource, last), query)
        meta = last["metadata"]
        details = {"name": meta["name"], "group": resource.group, "kind": resource.name, "uid": meta["uid"]}
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {k: v for k, v in details.items() if v},
        }
        return Response(200, body)

    def _drop_custom(self, crd: Obj) -> None:
        """Begin the deletion of all objects of a CRD that is going."""
        resource = self.registry.stored(stored_name(crd))
        for obj in self.store.list(stored_name(crd)) if resource is not None else ():
            meta = obj["metadata"]
            assert resource is not None
            self.rest.delete(resource, meta.get("namespace", ""), meta["name"], DeleteOptions())
        self.cleanup.settle(crd["metadata"]["name"])

    def _delete_collection(self, request: Request, path: Path, resource: Resource, query: Query) -> Response:
        options = delete_options(request, query)
        found = self._selected(resource, path, query)
        listed = []
        for obj in found:
            meta = obj["metadata"]
            each = DeleteOptions(grace=options.grace, policy=options.policy, dry_run=options.dry_run)
            last, _ = self.rest.delete(resource, meta.get("namespace", ""), meta["name"], each)
            listed.append(last)
        if not options.dry_run:
            self.drain()
        return self.lister.answer(request, resource, [outward(resource, o) for o in listed], query)

    def _selected(self, resource: Resource, path: Path, query: Query) -> list[Obj]:
        labels = parse_labels(query.get("labelSelector"))
        fields = parse_fields(query.get("fieldSelector"), resource.stored, resource.group, resource.custom)
        namespace = path.namespace if resource.namespaced and path.namespace else None
        return [
            obj
            for obj in self.store.list(resource.stored, namespace)
            if labels_match(labels, obj["metadata"].get("labels")) and fields_match(fields, obj)
        ]

    # subresources

    def _subresource(self, request: Request, path: Path, resource: Resource, query: Query, user: User) -> Answer:
        found = resource.subresources.get(path.subresource)
        if found is None:
            raise no_resource()
        verb = _verb(request.method, path.name, query)
        if path.subresource in ("exec", "attach", "portforward", "proxy") and verb in ("get", "create"):
            verb = "get" if request.method == "GET" else "create"
        if verb not in found.verbs or not path.name:
            raise method_not_allowed()
        self.authorize(
            user, verb, resource.name, path.namespace, path.name, group=resource.group, subresource=path.subresource
        )
        handler = subresources.HANDLERS.get(path.subresource)
        if handler is None:
            raise no_resource()
        return handler(self, request, path, resource, query, verb)


def _verb(method: str, name: str, query: Query) -> str:
    if method in ("GET", "HEAD"):
        return "get" if name else ("watch" if query.flag("watch") else "list")
    if method == "POST":
        return "create"
    return {
        "PUT": "update" if name else "",
        "PATCH": "patch" if name else "",
        "DELETE": "delete" if name else "deletecollection",
    }.get(method, "")


def _plain_404() -> Response:
    return Response(404, body=b"404 page not found\n", content_type="text/plain; charset=utf-8")


def _warnings(texts: list[str]) -> str:
    """Write warnings as one header; each is told once."""
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in dict.fromkeys(texts))
    return ", ".join(f'299 - "{text}"' for text in escaped)
