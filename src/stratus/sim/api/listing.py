"""Reading: one object, lists with limit and continue, watches; as objects, Tables or metadata only, in JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from stratus.kit.clock import Clock
from stratus.sim.api.convert import outward
from stratus.sim.api.messages import Request, Response
from stratus.sim.api.resources import Resource
from stratus.sim.api.routing import Path, Query
from stratus.sim.api.selectors import fields_match, labels_match, parse_fields, parse_labels
from stratus.sim.api.snapshots import continued, exactly, key_of, write_continue
from stratus.sim.api.status import ApiError, bad_request, not_found
from stratus.sim.api.tables import Printer
from stratus.sim.api.watch import Watch
from stratus.sim.api.yamlform import dump_yaml
from stratus.sim.leases import LEASES, renewed, reported
from stratus.sim.store import Store

Obj = dict[str, Any]
_SERVED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PLAIN, _TABLE, _PARTIAL, _PARTIAL_LIST = "", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"


class Form:
    """The representation a client accepts: `as_` is "", Table or PartialObjectMetadata(List), in a meta version."""

    __slots__ = ("as_", "protobuf", "version", "yaml")

    def __init__(self, as_: str, yaml: bool = False, version: str = "v1", protobuf: bool = False) -> None:
        self.as_ = as_
        self.yaml = yaml
        self.protobuf = protobuf
        self.version = version


_PLAIN_FORM = Form(_PLAIN)


def accepts(request: Request) -> Form:
    """Return the first representation in Accept that can be given.

    Raises:
        ApiError: 406 when there is none.
    """
    header = request.headers.get("accept", "")
    if not header or header == "application/json":
        return _PLAIN_FORM
    for part in header.split(","):
        media, *params = [p.strip() for p in part.split(";")]
        options = dict(p.split("=", 1) for p in params if "=" in p)
        if media in ("*/*", "application/*", "application/json", "application/vnd.kubernetes.protobuf"):
            as_ = options.get("as", "")
            if media == "application/vnd.kubernetes.protobuf":
                if "," in header or as_:
                    continue  # answered in JSON, which typed clients accept as well
                return Form(_PLAIN, protobuf="stream" not in options)
            if not as_:
                return _PLAIN_FORM
            known = options.get("g") == "meta.k8s.io" and options.get("v") in ("v1", "v1beta1")
            if known and as_ in (_TABLE, _PARTIAL, _PARTIAL_LIST):
                return Form(as_, version=options["v"])
        elif media in ("application/yaml", "text/yaml"):
            return Form(_PLAIN, True)
    if "protobuf" in header:
        return _PLAIN_FORM
    if any(media in header for media in _SERVED):
        raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(_SERVED)}")
    available = ", ".join((*_SERVED, *(f"{media};stream=watch" for media in _SERVED if "yaml" not in media)))
    text = f"406: Not Acceptable\n\nAvailable representations: {available}"
    raise ApiError(406, "NotAcceptable", text, details={})


def _misfit(resource: Resource, form: Form, is_list: bool) -> ApiError:
    """Return the refusal of the representation of a list for one object, or the other way round."""
    package = resource.group.partition(".")[0] if resource.group not in ("", "events.k8s.io") else "core"
    go = "unstructured.Unstructured" if resource.custom else f"{package}.{resource.kind}"
    what = f"is a list (*{go}List)" if is_list else f"is not a list (*{go})"
    return ApiError(406, "NotAcceptable", f"you requested {form.as_}, but the requested object {what}")


def _integer(query: Query, name: str) -> int:
    text = query.get(name)
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def partial(obj: Obj, version: str = "v1") -> Obj:
    """Return an object's metadata alone."""
    return {"kind": _PARTIAL, "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def _included(query: Query) -> str:
    """Return what of each object comes with its row.

    Raises:
        ApiError: 400 for a word that means nothing.
    """
    include = query.get("includeObject") or "Metadata"
    if include not in ("None", "Metadata", "Object"):
        why = f"Invalid value: {json.dumps(include)}: must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: includeObject: {why}")
    return include


def respond(form: Form, obj: Obj, status: int = 200) -> Response:
    """Return an object in the form asked for."""
    if form.yaml:
        return Response(status, obj, body=dump_yaml(obj).encode(), content_type="application/yaml")
    if form.protobuf and (body := _in_protobuf(obj)) is not None:
        return Response(status, obj, body=body, content_type="application/vnd.kubernetes.protobuf")
    return Response(status, obj)


def _in_protobuf(obj: Obj) -> bytes | None:
    """Return an object or list in protobuf; None for kinds that have no such form."""
    from stratus.sim.schema import protobufwrite, types

    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    item = types.of_kind(group, version, str(obj.get("kind", "")).removesuffix("List")) if "items" in obj else None
    return protobufwrite.document(obj, item_type=item)


class Lister:
    """Answers reads from a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def one(self, request: Request, resource: Resource, obj: Obj, query: Query, *, status: int = 200) -> Response:
        """Answer with one object."""
        form = accepts(request)
        obj = self._alive(resource, obj)
        if form.as_ == _TABLE:
            version = obj["metadata"].get("resourceVersion", "")
            return Response(status, self._table(resource, [obj], query, version, form.version))
        if form.as_ == _PARTIAL:
            return Response(status, partial(obj, form.version))
        if form.as_ == _PARTIAL_LIST:
            raise _misfit(resource, form, False)
        if next(iter(obj)) != "kind":
            obj = {"kind": resource.kind, "apiVersion": resource.group_version} | obj
        return respond(form, obj, status)

    def _alive(self, resource: Resource, obj: Obj) -> Obj:
        """Return an object with the signs of life of its kubelet, which are not written down."""
        if resource.stored == LEASES:
            return renewed(obj, self.clock.now())
        return reported(self.store, obj, self.clock.now()) if resource.stored == "nodes" else obj

    def _table(
        self, resource: Resource, objects: list[Obj], query: Query, version: str, meta_version: str, **meta: Any
    ) -> Obj:
        printer = Printer(resource, self.clock.now(), _included(query), meta_version)
        return printer.table(objects, {**({"resourceVersion": version} if version else {}), **meta})

    def list(self, request: Request, resource: Resource, path: Path, query: Query) -> Response:
        """Answer a list."""
        labels = parse_labels(query.get("labelSelector"))
        fields = parse_fields(query.get("fieldSelector"), resource.stored, resource.group, resource.custom)
        limit = _integer(query, "limit")
        _integer(query, "timeoutSeconds")
        self._check_version(query)
        namespace = path.namespace if resource.namespaced and path.namespace else None
        version, more, remaining = str(self.store.rv), "", 0
        asked = query.get("resourceVersion")
        if query.get("continue"):
            found, version = continued(self.store, resource.stored, namespace, query.get("continue"))
        elif asked and query.get("resourceVersionMatch") == "Exact":
            found, version = exactly(self.store, resource.stored, namespace, int(asked)), asked
        else:
            found = self.store.list(resource.stored, namespace)
        if labels or fields:
            found = [o for o in found if labels_match(labels, o["metadata"].get("labels")) and fields_match(fields, o)]
        if asked == "0" and not query.get("continue") and not query.get("resourceVersionMatch"):
            # Any version will do: that is what is at hand, whole.
            limit = 0
        if 0 < limit < len(found):
            remaining = len(found) - limit
            found = found[:limit]
            more = write_continue(key_of(found[-1]), version)
        shown = [outward(resource, o) for o in found] if _converted(resource) else found
        if resource.stored in (LEASES, "nodes"):
            shown = [self._alive(resource, o) for o in shown]
        extra: Obj = {}
        if more:
            extra["continue"] = more
            if not labels and not fields:
                extra["remainingItemCount"] = remaining
        return self.answer(request, resource, shown, query, version=version, extra=extra)

    def answer(
        self,
        request: Request,
        resource: Resource,
        objects: list[Obj],  # type: ignore[valid-type]
        query: Query,
        *,
        version: str | None = None,
        extra: Obj | None = None,
    ) -> Response:
        """Answer with a list of objects already in the served version."""
        form = accepts(request)
        version = str(self.store.rv) if version is None else version
        meta = {**({"resourceVersion": version} if version else {}), **(extra or {})}
        if form.as_ == _TABLE:
            return Response(200, self._table(resource, objects, query, version, form.version, **(extra or {})))
        if form.as_ == _PARTIAL:
            raise _misfit(resource, form, True)
        if form.as_ == _PARTIAL_LIST:
            items = [partial(o, form.version) for o in objects]  # type: ignore[attr-defined]
            body = {
                "kind": _PARTIAL_LIST,
                "apiVersion": f"meta.k8s.io/{form.version}",
                "metadata": meta,
                "items": items,
            }
            return Response(200, body)
        if not resource.custom:
            # Items of a typed list carry no kind of their own.
            objects = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in objects]  # type: ignore[attr-defined]
        body = {"kind": resource.list_kind, "apiVersion": resource.group_version, "metadata": meta, "items": objects}
        return respond(form, body)

    def computed(
        self,
        request: Request,
        resource: Resource,
        objects: list[Obj],  # type: ignore[valid-type]
        path: Path,
        query: Query,
    ) -> Response:
        """Answer with objects that are worked out on request, one by name or all.

        Raises:
            ApiError: 404 when none has the name.
        """
        if not path.name:
            labels = parse_labels(query.get("labelSelector"))
            fields = parse_fields(query.get("fieldSelector"), resource.stored, resource.group, resource.custom)
            chosen = [
                o
                for o in objects  # type: ignore[attr-defined]
                if labels_match(labels, o["metadata"].get("labels")) and fields_match(fields, o)
            ]
            return self.answer(request, resource, chosen, query, version="")
        for obj in objects:  # type: ignore[attr-defined]
            if obj["metadata"]["name"] == path.name:
                shown = {"kind": resource.kind, "apiVersion": resource.group_version, **obj}
                return self.one(request, resource, shown, query)
        raise not_found(resource.name, resource.group, path.name)

    def _check_version(self, query: Query) -> None:
        text = query.get("resourceVersion")
        if not text:
            return
        if not text.isdigit():
            why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
            raise bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {why}')
        if int(text) > self.store.rv:
            details = {
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            }
            text = f"Timeout: Too large resource version: {text}, current: {self.store.rv}"
            raise ApiError(504, "Timeout", text, details=details, headers={"Retry-After": "1"})

    def watch(self, request: Request, resource: Resource, path: Path, query: Query) -> Watch:
        """Start a watch."""
        labels = parse_labels(query.get("labelSelector"))
        fields = parse_fields(query.get("fieldSelector"), resource.stored, resource.group, resource.custom)
        namespace = path.namespace if resource.namespaced and path.namespace else None
        timeout = _integer(query, "timeoutSeconds")
        version = query.get("resourceVersion")
        if version and not version.isdigit():
            why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise bad_request(f'invalid resource version: resourceVersion: Invalid value: "{version}": {why}')
        form = accepts(request)

        def select(obj: Obj) -> bool:
            meta = obj["metadata"]
            if namespace is not None and meta.get("namespace") != namespace:
                return False
            return labels_match(labels, meta.get("labels")) and fields_match(fields, obj)

        watch = Watch(
            self.store,
            resource.stored,
            select=select,
            render=self._renderer(resource, form, query),
            render_bookmark=self._bookmark(resource, form),
            timeout=float(timeout) if timeout else None,
            bookmarks=query.flag("allowWatchBookmarks"),
        )
        send = query.get("sendInitialEvents")
        if send.lower() in ("true", "1"):
            watch.start(None, self._selected(resource, namespace, select), True)
        elif version in ("", "0") and not send:
            # Whoever takes any version is told where the objects of the beginning end.
            told = version == "0" and query.flag("allowWatchBookmarks")
            watch.start(None, self._selected(resource, namespace, select), told)
        else:
            watch.start(int(version or 0) or self.store.rv, None, False)
        return watch

    def _selected(self, resource: Resource, namespace: str | None, select: Callable[[Obj], bool]) -> list[Obj]:  # type: ignore[valid-type]
        return [o for o in self.store.list(resource.stored, namespace) if select(o)]

    def _renderer(self, resource: Resource, form: Form, query: Query) -> Callable[[Obj], Obj]:
        if form.as_ == _TABLE:
            first = True

            def table(obj: Obj) -> Obj:
                nonlocal first
                version = obj["metadata"]["resourceVersion"]
                out = self._table(resource, [outward(resource, obj)], query, version, form.version)
                if not first:
                    out["columnDefinitions"] = None
                first = False
                return out

            return table
        if form.as_ in (_PARTIAL, _PARTIAL_LIST):
            return lambda obj: partial(outward(resource, obj), form.version)
        return lambda obj: outward(resource, obj)

    def _bookmark(self, resource: Resource, form: Form) -> Callable[[str, bool], Obj]:
        def bookmark(version: str, initial: bool) -> Obj:
            meta: Obj = {"resourceVersion": version, "creationTimestamp": None}
            if initial:
                meta["annotations"] = {"k8s.io/initial-events-end": "true"}
            if form.as_ == _TABLE:
                row = {
                    "cells": [],
                    "object": {"kind": _PARTIAL, "apiVersion": f"meta.k8s.io/{form.version}", "metadata": meta},
                }
                return {
                    "kind": "Table",
                    "apiVersion": f"meta.k8s.io/{form.version}",
                    "metadata": {"resourceVersion": version},
                    "columnDefinitions": None,
                    "rows": [row],
                }
            if form.as_ in (_PARTIAL, _PARTIAL_LIST):
                return {"kind": _PARTIAL, "apiVersion": f"meta.k8s.io/{form.version}", "metadata": meta}
            return {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": meta}

        return bookmark


def _converted(resource: Resource) -> bool:
    return (
        resource.custom
        or resource.group == "events.k8s.io"
        or (resource.group == "autoscaling" and resource.version == "v1")
    )
