"""The paths of OpenAPI documents: which operations each resource has, their parameters, bodies and answers."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import descriptions
from stratus.sim.api.openapischemas import REF
from stratus.sim.api.resources import GroupVersion, Resource, Subresource
from stratus.sim.api.strategies import RETURNS_DELETED
from stratus.sim.schema import types

Obj = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_STATUS, _DELETE, _PATCH, _WATCH = (_META + n for n in ("Status", "DeleteOptions", "Patch", "WatchEvent"))
_JSON, _PROTO, _YAML = "application/json", "application/vnd.kubernetes.protobuf", "application/yaml"
_LIST = ("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
         "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch")  # fmt: skip
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_REMOVE = ("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents",
           "propagationPolicy")  # fmt: skip
_COLLECTION = (*(p for p in _LIST if p not in ("allowWatchBookmarks", "watch")), *_REMOVE)
_BOOLEANS = frozenset(
    {
        "allowWatchBookmarks", "sendInitialEvents", "watch", "force", "orphanDependents", "follow", "previous", "stdin",
        "ignoreStoreReadErrorWithClusterBreakingPotential", "insecureSkipTLSVerifyBackend", "stdout", "stderr",
        "timestamps", "tty",
    }
)  # fmt: skip
_NUMBERS = frozenset(
    {"limit", "timeoutSeconds", "gracePeriodSeconds", "limitBytes", "ports", "sinceSeconds", "tailLines"}
)
_LOG = ("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds",
        "stream", "tailLines", "timestamps")  # fmt: skip
#: What connecting subresources take, by kind of their options.
_CONNECT = {
    "PodAttachOptions": ("container", "stderr", "stdin", "stdout", "tty"),
    "PodExecOptions": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "PodPortForwardOptions": ("ports",),
    "PodProxyOptions": ("path",),
    "NodeProxyOptions": ("path",),
    "ServiceProxyOptions": ("path",),
}
_PATCH_TYPES = tuple(
    f"application/{t}"
    for t in ("apply-patch+yaml", "json-patch+json", "merge-patch+json", "strategic-merge-patch+json")
)
#: Client methods whose signatures tell about parameters.
_TOLD_BY = ("list_namespaced_pod", "patch_namespaced_pod", "delete_namespaced_pod", "read_namespaced_pod_log",
            "connect_get_namespaced_pod_exec", "connect_get_namespaced_pod_portforward")  # fmt: skip


def _camel(text: str) -> str:
    words = re.split(r"[.\-]", text)
    return "".join(w[:1].upper() + w[1:] for w in words)


def _title(gv: GroupVersion) -> str:
    return _camel(gv.group.removesuffix(".k8s.io") or "core") + _camel(gv.version)


def tag_of(group: str, version: str = "") -> str:
    """Return the tag of a group's or group version's operations: `rbacAuthorization_v1`."""
    title = _camel(group.removesuffix(".k8s.io") or "core")
    tag = title[:1].lower() + title[1:]
    return f"{tag}_{version}" if version else tag


def _about(name: str) -> str:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=TLS)(?=V)", "_", name).lower()
    for method in _TOLD_BY:
        found = descriptions.parameters("core_v1_api", method)
        if text := found.get(snake):
            return text
    return ""


def _parameter(name: str, *, text: str = "") -> Obj:
    kind = "boolean" if name in _BOOLEANS else "integer" if name in _NUMBERS else "string"
    out: Obj = {"name": name, "in": "query"}
    if text := text or _about(name):
        out["description"] = text
    return {**out, "schema": {"type": kind, "uniqueItems": True}}


def _in_path(name: str, text: str) -> Obj:
    schema = {"type": "string", "uniqueItems": True}
    return {"name": name, "in": "path", "description": text, "required": True, "schema": schema}


class _Writer:
    """Writes the operations of one resource."""

    def __init__(self, gv: GroupVersion, resource: Resource, schema: str, listed: str) -> None:
        self.gv, self.resource, self.schema, self.listed = gv, resource, schema, listed
        self.title = _title(gv)
        self.prefix = f"/apis/{gv.group}/{gv.version}" if gv.group else f"/api/{gv.version}"
        self.scope = "Namespaced" if resource.namespaced else ""
        self.space = "namespaces/{namespace}/" if resource.namespaced else ""
        self.used: set[str] = {_STATUS} if "delete" in resource.verbs else set()
        self.paths: dict[str, dict[str, Obj]] = {}

    def media(self, schema: str, *, stream: bool = False) -> Obj:
        kinds = [_JSON, _YAML] if self.resource.custom else [_JSON, _PROTO, _YAML]
        if stream and not self.resource.custom:
            kinds = [_JSON, f"{_JSON};stream=watch", _PROTO, f"{_PROTO};stream=watch", _YAML]
        self.used.add(schema)
        return {kind: {"schema": {"$ref": REF + schema}} for kind in kinds}

    def body(self, schema: str, *, required: bool = True) -> Obj:
        self.used.add(schema)
        kinds = (_JSON, _YAML) if self.resource.custom else ("*/*",)
        content = {kind: {"schema": {"$ref": REF + schema}} for kind in kinds}
        return {"content": content, **({"required": True} if required else {})}

    def operation(
        self,
        path: str,
        method: str,
        action: str,
        ident: str,
        text: str,
        schema: str,
        *,
        query: tuple[str, ...] = (),
        codes: tuple[str, ...] = ("200",),
        kind: tuple[str, str, str] | None = None,
        body: Obj | None = None,
        stream: bool = False,
        pretty: bool = True,
        content: Obj | None = None,
        about: str = "",
    ) -> None:
        group, version, name = kind or (self.gv.group, self.gv.version, self.resource.kind)
        words = {"200": "OK", "201": "Created", "202": "Accepted"}
        answer = content if content is not None else self.media(schema, stream=stream)
        responses: Obj = {c: {"description": words[c], "content": answer} for c in codes}
        responses["401"] = {"description": "Unauthorized"}
        parameters = [_parameter(p) for p in query]
        if pretty:
            parameters.append(_parameter("pretty"))
        if "{namespace}" in path:
            parameters.append(_in_path("namespace", "object name and auth scope, such as for teams and projects"))
        if "{name}" in path:
            parameters.append(_in_path("name", f"name of the {about or name}"))
        if "{path}" in path:
            parameters.append(_in_path("path", "path to the resource"))
        parameters.sort(key=lambda p: (p["name"], p["in"]))
        out: Obj = {"tags": [tag_of(self.gv.group, self.gv.version)], "description": text, "operationId": ident}
        out["parameters"] = parameters
        if body is not None:
            out["requestBody"] = body
        out["responses"] = responses
        out["x-kubernetes-action"] = action
        out["x-kubernetes-group-version-kind"] = {"group": group, "version": version, "kind": name}
        self.paths.setdefault(path, {})[method] = out

    # what an object's own paths offer

    def resource_paths(self) -> None:
        r, kind, t = self.resource, self.resource.kind, self.title
        base = f"{self.prefix}/{self.space}{r.name}"
        article = kind if kind.endswith("s") else _articled(kind)
        listing = "list or watch" if "watch" in r.verbs and not r.custom else "list"
        if "list" in r.verbs:
            text = f"{listing} objects of kind {kind}"
            self.operation(base, "get", "list", f"list{t}{self.scope}{kind}", text, self.listed, query=_LIST,
                           stream=True)  # fmt: skip
            if r.namespaced:
                self.operation(f"{self.prefix}/{r.name}", "get", "list", f"list{t}{kind}ForAllNamespaces", text,
                               self.listed, query=_LIST, stream=True)  # fmt: skip
        if "create" in r.verbs:
            self.operation(base, "post", "post", f"create{t}{self.scope}{kind}", f"create {article}", self.schema,
                           query=_WRITE, codes=("200", "201", "202"), body=self.body(self.schema))  # fmt: skip
        if "deletecollection" in r.verbs:
            self.operation(base, "delete", "deletecollection", f"delete{t}Collection{self.scope}{kind}",
                           f"delete collection of {kind}", _STATUS, query=_LIST if r.custom else _COLLECTION,
                           body=None if r.custom else self.body(_DELETE, required=False))  # fmt: skip
        self._item(f"{base}/{{name}}", r.verbs, "", self.schema, None)
        for sub in r.subresources.values():
            self._subresource(base, sub)
        if "watch" in r.verbs and not r.custom:
            self._watches()

    def _item(
        self, path: str, verbs: tuple[str, ...], sub: str, schema: str, other: tuple[str, str, str] | None
    ) -> None:
        r, kind, t = self.resource, self.resource.kind, self.title
        tail = "".join(w[:1].upper() + w[1:] for w in [sub]) if sub else ""
        of = f"{sub} of the specified {kind}" if sub else f"the specified {kind}"
        if "get" in verbs:
            query = ("resourceVersion",) if r.custom else ()
            self.operation(path, "get", "get", f"read{t}{self.scope}{kind}{tail}", f"read {of}", schema, query=query,
                           kind=other)  # fmt: skip
        if "update" in verbs:
            self.operation(path, "put", "put", f"replace{t}{self.scope}{kind}{tail}", f"replace {of}", schema,
                           query=_WRITE, codes=("200", "201"), body=self.body(schema), kind=other)  # fmt: skip
        if "delete" in verbs:
            article = kind if kind.endswith("s") else _articled(kind)
            answer = schema if r.stored in RETURNS_DELETED else _STATUS
            self.operation(path, "delete", "delete", f"delete{t}{self.scope}{kind}{tail}", f"delete {article}", answer,
                           query=_REMOVE, codes=("200", "202"), body=self.body(_DELETE, required=False),
                           kind=other)  # fmt: skip
        if "patch" in verbs:
            kinds = _PATCH_TYPES[:3] if r.custom else _PATCH_TYPES
            body = {"content": {k: {"schema": {"$ref": REF + _PATCH}} for k in kinds}, "required": True}
            self.used.add(_PATCH)
            codes = ("200",) if r.custom else ("200", "201")
            self.operation(path, "patch", "patch", f"patch{t}{self.scope}{kind}{tail}", f"partially update {of}",
                           schema, query=(*_WRITE, "force"), codes=codes, body=body, kind=other)  # fmt: skip

    def _subresource(self, base: str, sub: Subresource) -> None:
        r, kind, t = self.resource, self.resource.kind, self.title
        path = f"{base}/{{name}}/{sub.name}"
        tail = sub.name[:1].upper() + sub.name[1:]
        if sub.kind in _CONNECT:
            self._connect(path, sub, tail)
            return
        if sub.name == "log":
            content = {k: {"schema": {"type": "string"}} for k in (_JSON, _PROTO, "text/plain", _YAML)}
            self.operation(path, "get", "get", f"read{t}{self.scope}{kind}Log", f"read log of the specified {kind}", "",
                           query=_LOG, content=content, pretty=False)  # fmt: skip
            return
        found = types.of_kind(sub.group, sub.version, sub.kind)
        schema = self.schema if sub.kind == kind or found is None else found.name
        other = None if sub.kind == kind or r.custom else (sub.group, sub.version, sub.kind)
        if "create" in sub.verbs:
            text = f"create {sub.name} of {_articled(kind)}"
            self.operation(path, "post", "post", f"create{t}{self.scope}{kind}{tail}", text, schema,
                            query=_WRITE, codes=("200", "201", "202"), body=self.body(schema),
                           kind=other)  # fmt: skip
        verbs = tuple(v for v in sub.verbs if v != "create")
        self._item(path, verbs, sub.name, schema, other)

    def _connect(self, path: str, sub: Subresource, tail: str) -> None:
        kind, t = self.resource.kind, self.title
        content = {"*/*": {"schema": {"type": "string"}}}
        proxied = sub.name == "proxy"
        methods = ("get", "put", "post", "delete", "options", "head", "patch") if proxied else ("get", "post")
        for at, end in ((path, ""), (f"{path}/{{path}}", "WithPath"))[: 2 if proxied else 1]:
            for method in methods:
                word = method.capitalize()
                self.operation(at, method, "connect", f"connect{t}{word}{self.scope}{kind}{tail}{end}",
                               f"connect {method.upper()} requests to {sub.name} of {kind}", "",
                               query=_CONNECT[sub.kind], content=content, pretty=False,
                               kind=(sub.group, sub.version, sub.kind))  # fmt: skip

    def _watches(self) -> None:
        r, kind, t = self.resource, self.resource.kind, self.title
        many = (f"watch individual changes to a list of {kind}. deprecated: use the 'watch' parameter with a list "
                "operation instead.")  # fmt: skip
        one = (f"watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list "
               "operation instead, filtered to a single item with the 'fieldSelector' parameter.")  # fmt: skip
        base = f"{self.prefix}/watch/{self.space}{r.name}"
        self.operation(base, "get", "watchlist", f"watch{t}{self.scope}{kind}List", many, _WATCH, query=_LIST,
                       stream=True)  # fmt: skip
        if r.namespaced:
            self.operation(f"{self.prefix}/watch/{r.name}", "get", "watchlist", f"watch{t}{kind}ListForAllNamespaces",
                           many, _WATCH, query=_LIST, stream=True)  # fmt: skip
        if "get" in r.verbs:
            self.operation(f"{base}/{{name}}", "get", "watch", f"watch{t}{self.scope}{kind}", one, _WATCH, query=_LIST,
                           stream=True)  # fmt: skip


def _articled(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIOU' else 'a'} {kind}"


def add(gv: GroupVersion, resource: Resource, schema: str, listed: str, paths: Obj) -> list[str]:
    """Add a resource's paths; return the names of all types they refer to."""
    writer = _Writer(gv, resource, schema, listed)
    writer.resource_paths()
    for path, operations in writer.paths.items():
        paths[path] = _hoisted(operations)
    return sorted(writer.used - {"", listed})


def _hoisted(operations: dict[str, Obj]) -> Obj:
    """Move the parameters all operations of a path share to the path."""
    every = [[str(p) for p in o["parameters"]] for o in operations.values()]
    shared = [p for p in next(iter(operations.values()))["parameters"] if all(str(p) in e for e in every)]
    texts = {str(p) for p in shared}
    out: Obj = {}
    for method, operation in operations.items():
        own = [p for p in operation["parameters"] if str(p) not in texts]
        kept = {k: v for k, v in operation.items() if k != "parameters"}
        out[method] = {**kept, "parameters": own} if own else kept
    if shared:
        out["parameters"] = shared
    return out


def available(gv: GroupVersion) -> Obj:
    """Return the path that lists a group version's resources."""
    path = f"/apis/{gv.group}/{gv.version}/" if gv.group else f"/api/{gv.version}/"
    tag, ident = tag_of(gv.group, gv.version), f"get{_title(gv)}APIResources"
    return {path: {"get": _about_server(tag, "get available resources", ident, _META + "APIResourceList")}}


def _about_server(tag: str, text: str, ident: str, schema: str, kinds: tuple[str, ...] = (_JSON, _PROTO, _YAML)) -> Obj:
    shape: Obj = {"$ref": REF + schema} if schema else {"type": "string"}
    responses = {
        "200": {"description": "OK", "content": {kind: {"schema": shape} for kind in kinds}},
        "401": {"description": "Unauthorized"},
    }
    return {"tags": [tag], "description": text, "operationId": ident, "responses": responses}


def plain(name: str) -> tuple[Obj, str]:
    """Return the path of a document about the server or a group, and the type it answers with."""
    if name == "version":
        info = "io.k8s.apimachinery.pkg.version.Info"
        text = "get the version information for this server"
        return {"/version/": {"get": _about_server("version", text, "getCodeVersion", info, (_JSON,))}}, info
    if name == ".well-known/openid-configuration":
        text = "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'"
        found = _about_server("WellKnown", text, "getServiceAccountIssuerOpenIDConfiguration", "", (_JSON,))
        return {f"/{name}/": {"get": found}}, ""
    if name == "openid/v1/jwks":
        text = "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)"
        kinds = ("application/jwk-set+json",)
        found = _about_server("openid", text, "getServiceAccountIssuerOpenIDKeyset", "", kinds)
        return {f"/{name}/": {"get": found}}, ""
    if name in ("api", "apis"):
        kind = _META + ("APIVersions" if name == "api" else "APIGroupList")
        ident = "getCoreAPIVersions" if name == "api" else "getAPIVersions"
        tag = "core" if name == "api" else "apis"
        return {f"/{name}/": {"get": _about_server(tag, "get available API versions", ident, kind)}}, kind
    group, kind = name.removeprefix("apis/"), _META + "APIGroup"
    ident = f"get{_camel(group.removesuffix('.k8s.io'))}APIGroup"
    return {f"/{name}/": {"get": _about_server(tag_of(group), "get information of a group", ident, kind)}}, kind
