"""What lies under an object: status, scale, logs, eviction, binding, tokens, exec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.kit.clock import iso
from stratus.sim.api import managed, nodes, scaling
from stratus.sim.api.bodies import decode_object, decode_typed, media_type, read_document
from stratus.sim.api.connecting import attach, container_names, container_status, exec_, forward, proxy, watched
from stratus.sim.api.convert import outward
from stratus.sim.api.messages import Request, Response
from stratus.sim.api.options import write_options
from stratus.sim.api.patching import APPLY, read_patch
from stratus.sim.api.resources import Resource
from stratus.sim.api.rest import DeleteOptions
from stratus.sim.api.routing import Path, Query
from stratus.sim.api.selectors import from_selector, labels_match, write_labels
from stratus.sim.api.status import (
    ApiError,
    Moved,
    Problems,
    bad_request,
    conflict,
    internal,
    invalid,
    not_found,
    too_many_requests,
)
from stratus.sim.filesystem import to_bytes
from stratus.sim.schema import types
from stratus.sim.schema.decode import Decoder, Parsed
from stratus.sim.streams.following import LogStream

if TYPE_CHECKING:
    from stratus.sim.api.server import Answer, ApiServer

Obj = dict[str, Any]
Handler = Callable[["ApiServer", Request, Path, Resource, Query, str], "Answer"]


def _typed(request: Request, group: str, version: str, kind: str, warnings: list[str]) -> Obj:
    parsed = read_document(request, kind, group, version)
    return decode_typed(types.of_kind(group, version, kind), kind, group, version, parsed, "Ignore", warnings)


# status and other parts of the object itself


def _part(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Response:
    """Serve status, finalize, approval, ephemeralcontainers and resize: the whole object, one part writable."""
    stored = server.rest.get(resource, path.namespace, path.name) if media_type(request) != APPLY else None
    if verb == "get" and stored is not None:
        return server.lister.one(request, resource, outward(resource, stored), query)
    options, validation = write_options(request, query, "patch" if verb == "patch" else "update")
    if verb == "patch":
        new, created = server.patcher.patch(
            request, resource, path, options, validation, query, subresource=path.subresource
        )
    else:
        parsed = read_document(request, resource.kind, resource.group, resource.version)
        obj = decode_object(resource, parsed, validation, options.warnings)
        new, created = server.rest.update(
            resource, path.namespace, path.name, obj, options, subresource=path.subresource, require_version=True
        )
    return server.finish(request, resource, new, options, 201 if created else 200, query)


# scale


def _path_get(obj: Obj, path: str) -> Any:
    value: Any = obj
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _path_set(obj: Obj, path: str, value: Any) -> Obj:
    head, _, rest = path.strip(".").partition(".")
    return {**obj, head: _path_set(obj.get(head) or {}, rest, value) if rest else value}


def scale_of(resource: Resource, obj: Obj) -> Obj:
    """Return the Scale of a workload."""
    meta = obj["metadata"]
    kept = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    if resource.custom:
        paths = resource.scale or {}
        replicas = _path_get(obj, paths.get("specReplicasPath", ""))
        status: Obj = {"replicas": _path_get(obj, paths.get("statusReplicasPath", "")) or 0}
        selector = _path_get(obj, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else None
        if isinstance(selector, str) and selector:
            status["selector"] = selector
    else:
        replicas = obj["spec"].get("replicas")
        status = {"replicas": obj.get("status", {}).get("replicas", 0)}
        raw = obj["spec"].get("selector")
        if resource.stored == "replicationcontrollers":
            raw = {"matchLabels": raw or {}}
        text = write_labels(raw)
        if text:
            status["selector"] = text
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": spec, "status": status}


def _scale(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Response:
    old = server.rest.get(resource, path.namespace, path.name)
    scale = scale_of(resource, old)
    if verb == "get":
        return Response(200, scale)
    options, _ = write_options(request, query, "patch" if verb == "patch" else "update")
    scale_resource = Resource(
        "autoscaling", "v1", "scales", "Scale", True, "", (), "scales", types.of_kind("autoscaling", "v1", "Scale")
    )
    served, now = outward(resource, old), iso(server.clock.now())
    field = (resource.scale or {}).get("specReplicasPath", ".spec.replicas") if resource.custom else ".spec.replicas"
    entries: list[Obj] | None = None
    if verb == "patch" and media_type(request) == APPLY:
        config = server.patcher.configuration(request, scale_resource, path)
        wanted, entries = scaling.after_apply(served, field, scale, config, options.manager, now, options.force)
    elif verb == "patch":
        wanted = server.patcher.change(scale_resource, scale, read_patch(request), media_type(request))
    else:
        wanted = read_document(request, "Scale", "autoscaling", "v1").value
    new = decode_typed(
        scale_resource.type, "Scale", "autoscaling", "v1", Parsed(wanted, {}, []), "Ignore", options.warnings
    )
    new = server.gate.below(
        resource, "UPDATE", path.namespace, path.name, "scale", ("autoscaling", "v1", "Scale"), new, scale,
        options.dry_run, options.warnings,
    )  # fmt: skip
    if server.store.get(resource.stored, path.namespace, path.name) is not old:
        raise Moved(resource.name, resource.group, path.name)
    replicas = new.get("spec", {}).get("replicas", 0)
    problems = Problems()
    if replicas < 0:
        problems.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
    problems.raise_for("autoscaling", "Scale", path.name)
    if entries is None:
        entries = scaling.after_update(served, field, scale, new, options.manager, now)
    tracked = scaling.handed_back(served, field, entries, resource.group_version)
    changed = _path_set(served, field, replicas)
    version = new["metadata"].get("resourceVersion")
    changed["metadata"] = {**served["metadata"], **({"resourceVersion": version} if version else {})}
    stored, _ = server.rest.update(
        resource, path.namespace, path.name, changed, options, subresource="scale", apply=lambda new: tracked
    )
    if not options.dry_run:
        server.drain()
    return Response(200, scale_of(resource, stored))


# logs


def _positive(query: Query, name: str, path: Path) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    low = 1 if name == "sinceSeconds" else 0
    if number < low:
        problems = Problems()
        problems.invalid(name, number, f"must be greater than {'0' if low else 'or equal to 0'}")
        raise invalid("", "PodLogOptions", path.name, problems)
    return number


def _pick_container(spec: Obj, wanted: str, name: str) -> str:
    if wanted:
        if wanted not in container_names(spec):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    if len(containers) == 1 and not inits:
        return str(containers[0]["name"])
    if len(containers) == 1 and inits:
        listed = " ".join(c["name"] for c in containers)
        init_listed = " ".join(c["name"] for c in inits)
        text = f"a container name must be specified for pod {name}, choose one of: [{listed}]"
        raise bad_request(f"{text} or one of the init containers: [{init_listed}]")
    listed = " ".join(c["name"] for c in containers)
    text = f"a container name must be specified for pod {name}, choose one of: [{listed}]"
    if inits:
        text += f" or one of the init containers: [{' '.join(c['name'] for c in inits)}]"
    raise bad_request(text)


def _log(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    pod = server.rest.get(resource, path.namespace, path.name)
    tail, since = _positive(query, "tailLines", path), _positive(query, "sinceSeconds", path)
    container = _pick_container(pod["spec"], query.get("container"), path.name)
    previous = query.flag("previous")
    if not pod["spec"].get("nodeName"):
        return Response(204, body=b"", content_type="text/plain")
    state = container_status(pod, container)
    if previous:
        if not ((state or {}).get("lastState") or {}).get("terminated"):
            text = f'previous terminated container "{container}" in pod "{path.name}" not found'
            raise bad_request(text)
    elif state is None or (
        (state.get("state") or {}).get("waiting") is not None and not (state.get("lastState") or {}).get("terminated")
    ):
        waiting = ((state or {}).get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
            why = _IMAGE_TROUBLE.get(reason, "trying and failing to pull image")
            raise bad_request(f'container "{container}" in pod "{path.name}" is waiting to start: {why}')
        text = f'container "{container}" in pod "{path.name}" is waiting to start: {reason or "ContainerCreating"}'
        raise bad_request(text)
    since_seconds: float | None = since
    if query.get("sinceTime"):
        from stratus.kit.clock import parse_iso

        try:
            since_seconds = max(0.0, server.clock.now() - parse_iso(query.get("sinceTime")))
        except ValueError:
            raise bad_request(f'parsing time "{query.get("sinceTime")}": cannot be read') from None
    stamps = query.flag("timestamps")
    limit = _positive(query, "limitBytes", path)
    if query.flag("follow") and not previous:
        return _followed(server, pod, container, tail, since_seconds, stamps, limit)
    text = server.log_backend(path.namespace, path.name, container, previous, tail, since_seconds, stamps)
    body = to_bytes(text)
    return Response(200, body=body if limit is None else body[:limit], content_type="text/plain")


def _followed(
    server: ApiServer,
    pod: Obj,
    container: str,
    tail: int | None,
    since: float | None,
    stamps: bool,
    limit: int | None,
) -> LogStream:
    follower, alive, _ = watched(server, pod, container)
    first = follower.new()
    if since is not None:
        begin = server.clock.now() - since
        first = [line for line in first if line[0] >= begin]
    if tail is not None:
        first = first[-tail:] if tail else []
    stream = LogStream(follower, first, alive, timestamps=stamps, limit=limit)
    stream.on_close = server.follow(stream)
    return stream


_IMAGE_TROUBLE = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
    "InvalidImageName": "InvalidImageName",
    "ErrImageNeverPull": "container's image is not present with pull policy of Never",
}


# eviction


def _healthy(pod: Obj) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ())


def _evict(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    options, _ = write_options(request, query, "create")
    eviction = _typed(request, "policy", "v1", "Eviction", options.warnings)
    if eviction["metadata"].get("name", path.name) != path.name:
        raise bad_request("name in URL does not match name in Eviction object")
    pod = server.rest.get(resource, path.namespace, path.name)
    given = eviction.get("deleteOptions") or {}
    dry = options.dry_run or given.get("dryRun") == ["All"]
    server.gate.below(
        resource, "CREATE", path.namespace, path.name, "eviction", ("policy", "v1", "Eviction"), eviction, None, dry,
        options.warnings,
    )  # fmt: skip
    pod = server.rest.get(resource, path.namespace, path.name)
    phase = pod.get("status", {}).get("phase")
    if phase not in ("Succeeded", "Failed", "Pending") and not pod["metadata"].get("deletionTimestamp"):
        _spend_budget(server, pod, path.namespace, dry)
    pre = given.get("preconditions") or {}
    deletion = DeleteOptions(
        grace=given.get("gracePeriodSeconds"), policy=given.get("propagationPolicy") or "", uid=pre.get("uid") or "",
        resource_version=pre.get("resourceVersion") or "", dry_run=dry, judged=False,
    )  # fmt: skip
    if not dry:
        pod = _disrupted(server, pod)
    server.rest.delete(resource, path.namespace, path.name, deletion)
    if not dry:
        server.drain()
    return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _disrupted(server: ApiServer, pod: Obj) -> Obj:
    """Mark a pod as the eviction API does before it deletes it."""
    status = pod.get("status", {})
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": iso(server.clock.now()),
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    others = [c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"]
    return server.store.update("pods", {**pod, "status": {**status, "conditions": [*others, condition]}})


def _spend_budget(server: ApiServer, pod: Obj, namespace: str, dry: bool) -> None:
    """Take one disruption from the pod's budget.

    Raises:
        ApiError: 429 when it has none left, 500 when several budgets cover the pod.
    """
    budgets = []
    for budget in server.store.list("poddisruptionbudgets.policy", namespace):
        selector = from_selector(budget["spec"].get("selector"))
        if selector is not None and labels_match(selector, pod["metadata"].get("labels")):
            budgets.append(budget)
    if not budgets:
        return
    if len(budgets) > 1:
        raise internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    budget = budgets[0]
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    if not _healthy(pod):
        always = budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
        enough = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0
        if always or enough:
            return
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        text = "Cannot evict pod as it would violate the pod's disruption budget."
        cause = {
            "reason": "DisruptionBudget",
            "message": f"The disruption budget {name} is still being processed by the server.",
        }
        raise too_many_requests(text, [cause], 10)
    if status.get("disruptionsAllowed", 0) <= 0:
        text = "Cannot evict pod as it would violate the pod's disruption budget."
        message = (
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently"
        )
        raise too_many_requests(text, [{"reason": "DisruptionBudget", "message": message}])
    if dry:
        return
    disrupted = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: iso(server.clock.now())}
    new = {**status, "disruptionsAllowed": status["disruptionsAllowed"] - 1, "disruptedPods": disrupted}
    server.store.update("poddisruptionbudgets.policy", {**budget, "status": new})


# binding and tokens


def _bind(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    options, _ = write_options(request, query, "create")
    binding = _typed(request, "", "v1", "Binding", options.warnings)
    target = (binding.get("target") or {}).get("name")
    if not target:
        raise internal("target.name: Required value")
    server.gate.below(
        resource, "CREATE", path.namespace, path.name, "binding", ("", "v1", "Binding"), binding, None, options.dry_run,
        options.warnings,
    )  # fmt: skip
    pod = server.rest.get(resource, path.namespace, path.name)
    if pod["spec"].get("nodeName"):
        text = f'pod {path.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        text = f'Operation cannot be fulfilled on pods/binding "{path.name}": {text}'
        raise ApiError(409, "Conflict", text, details={"name": path.name, "kind": "pods/binding"})
    conditions = [c for c in pod.get("status", {}).get("conditions") or () if c["type"] != "PodScheduled"]
    conditions.append(
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": iso(server.clock.now())}
    )
    new = {
        **pod,
        "spec": {**pod["spec"], "nodeName": target},
        "status": {**pod.get("status", {}), "conditions": conditions},
    }
    if not options.dry_run:
        server.store.update("pods", new)
        server.drain()
    return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _bound(server: ApiServer, namespace: str, spec: Obj) -> Obj | None:
    """Return what a token is bound to, with its uid.

    Raises:
        ApiError: 404 when it is not there, 409 when it is another one of the same name.
    """
    ref = spec.get("boundObjectRef")
    if not ref:
        return None
    plural = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}.get(ref.get("kind", ""))
    if plural is None:
        raise bad_request(f'cannot bind token to object of type "{ref.get("kind", "")}"')
    found = server.store.get(plural, "" if plural == "nodes" else namespace, ref.get("name", ""))
    if found is None:
        raise not_found(plural, "", ref.get("name", ""))
    uid = found["metadata"]["uid"]
    if ref.get("uid") and ref["uid"] != uid:
        why = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. The object"
        raise conflict(plural, "", ref["name"], f"{why} might have been deleted and then recreated")
    return {"kind": ref["kind"], "name": ref["name"], "uid": uid}


def _token(server: ApiServer, request: Request, path: Path, resource: Resource, query: Query, verb: str) -> Answer:
    options, _ = write_options(request, query, "create")
    review = _typed(request, "authentication.k8s.io", "v1", "TokenRequest", options.warnings)
    account = server.store.get("serviceaccounts", path.namespace, path.name)
    if account is None:
        raise not_found(resource.name, resource.group, path.name)
    spec = review.setdefault("spec", {})
    seconds = spec.get("expirationSeconds")
    if seconds is None:
        seconds = spec["expirationSeconds"] = 3600
    problems = Problems()
    if seconds < 600:
        problems.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    problems.raise_for("authentication.k8s.io", "TokenRequest", "")
    server.gate.below(
        resource, "CREATE", path.namespace, path.name, "token", ("authentication.k8s.io", "v1", "TokenRequest"), review,
        None, options.dry_run, options.warnings,
    )  # fmt: skip
    now = server.clock.now()
    tracked = _token_fields(review, options.manager, iso(now))
    spec["audiences"] = spec.get("audiences") or ["https://kubernetes.default.svc.cluster.local"]
    spec.setdefault("boundObjectRef", None)
    token = server.issuer.issue(account, spec["audiences"], seconds, _bound(server, path.namespace, spec))
    uid = server.store.new_uid()
    meta = {"name": path.name, "namespace": path.namespace, "uid": uid, "creationTimestamp": iso(now)}
    review["metadata"] = {**meta, "managedFields": tracked}
    review["status"] = {"token": token, "expirationTimestamp": iso(now + seconds)}
    return Response(201, review)


def _token_fields(review: Obj, manager: str, now: str) -> list[Obj]:
    """Return what a request for a token notes about who asked for what."""
    kind = types.of_kind("authentication.k8s.io", "v1", "TokenRequest")
    assert kind is not None
    empty = Decoder().decode(kind, {})
    return managed.track_update(
        nodes.of_type(kind),
        {**empty, "metadata": {}},
        {**review, "metadata": {}},
        manager=manager,
        api_version="authentication.k8s.io/v1",
        now=now,
        subresource="token",
        has_status=True,
    )


HANDLERS: dict[str, Handler] = {
    "status": _part,
    "finalize": _part,
    "approval": _part,
    "ephemeralcontainers": _part,
    "resize": _part,
    "scale": _scale,
    "log": _log,
    "exec": exec_,
    "attach": attach,
    "portforward": forward,
    "proxy": proxy,
    "eviction": _evict,
    "binding": _bind,
    "token": _token,
}
