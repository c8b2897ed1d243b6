"""Admission webhooks: which are asked about a request, what they are sent, and what their answers do."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Protocol

from stratus.sim.api.access.calling import Called, CallFailed
from stratus.sim.api.messages import User, dump
from stratus.sim.api.patches import json_patch
from stratus.sim.api.resources import Resource
from stratus.sim.api.selectors import from_selector, labels_match
from stratus.sim.api.status import ApiError, bad_request
from stratus.sim.store import Store

Obj = dict[str, Any]
Kind = tuple[str, str, str]
GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"
#: Annotation of a Service: the address where a program outside the cluster answers for it.
SERVED_AT = "stratus.dev/served-at"


class Caller(Protocol):
    """Makes one call: POSTs a body, returns the status and the body of the answer."""

    def __call__(self, url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called:
        """Call, or raise `CallFailed` with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One write (or connection) to be judged: objects in the served version."""

    resource: Resource
    subresource: str
    operation: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    dry_run: bool
    user: User
    #: (group, version, kind) of the objects when they are of another kind than the resource.
    kind: Kind | None = None


def _rule_matches(rule: Obj, ask: Question) -> bool:
    def has(values: Any, wanted: str) -> bool:
        return "*" in (values or ()) or wanted in (values or ())

    resource = ask.resource
    if not has(rule.get("operations"), ask.operation) or not has(rule.get("apiGroups"), resource.group):
        return False
    if not has(rule.get("apiVersions"), resource.version):
        return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != bool(ask.namespace and resource.stored != "namespaces"):
        return False
    for named in rule.get("resources") or ():
        whole, _, sub = named.partition("/")
        if whole in ("*", resource.name) and (sub in ("*", ask.subresource) if sub else not ask.subresource):
            return True
    return False


def matches(store: Store, hook: Obj, ask: Question) -> bool:
    """Tell whether a webhook wants to hear of a write."""
    if ask.resource.group == GROUP:
        # Nobody may lock themselves out of taking a webhook away.
        return False
    if not any(_rule_matches(rule, ask) for rule in hook.get("rules") or ()):
        return False
    chosen = from_selector(hook.get("namespaceSelector") or {})
    if chosen:
        if ask.resource.stored == "namespaces":
            space = ask.obj or ask.old
        else:
            space = store.get("namespaces", "", ask.namespace) if ask.namespace else None
        if (space is not None or not ask.namespace) and ask.resource.stored != "namespaces" and not ask.namespace:
            pass  # cluster-scoped objects are not chosen by namespace
        elif space is None or not labels_match(chosen, space["metadata"].get("labels")):
            return False
    chosen = from_selector(hook.get("objectSelector") or {})
    if chosen:
        labels = [o["metadata"].get("labels") for o in (ask.obj, ask.old) if o is not None and "metadata" in o]
        if not any(labels_match(chosen, one) for one in labels):
            return False
    return True


def review_of(ask: Question, hook: str) -> Obj:
    """Return the AdmissionReview that is sent; its uid is the same whenever the same is asked."""
    resource = ask.resource
    group, version, name = ask.kind or (resource.group, resource.version, resource.kind)
    kind = {"group": group, "version": version, "kind": name}
    what = {"group": resource.group, "version": resource.version, "resource": resource.name}
    user: Obj = {"username": ask.user.name, "groups": list(ask.user.groups)}
    if ask.user.uid:
        user["uid"] = ask.user.uid
    if ask.user.extra:
        user["extra"] = {k: list(v) for k, v in ask.user.extra.items()}
    options = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}.get(ask.operation)
    request: Obj = {
        "kind": kind,
        "resource": what,
        **({"subResource": ask.subresource} if ask.subresource else {}),
        "requestKind": kind,
        "requestResource": what,
        **({"requestSubResource": ask.subresource} if ask.subresource else {}),
        **({"name": ask.name} if ask.name else {}),
        **({"namespace": ask.namespace} if ask.namespace else {}),
        "operation": ask.operation,
        "userInfo": user,
        "object": ask.obj,
        "oldObject": ask.old,
        "dryRun": ask.dry_run,
        "options": {"kind": options, "apiVersion": "meta.k8s.io/v1"} if options else None,
    }
    digest = hashlib.sha256(hook.encode() + dump(request)).hexdigest()
    uid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": uid, **request}}


def _internal(why: str) -> ApiError:
    cause = {"message": why}
    text = f"Internal error occurred: {why}"
    return ApiError(500, "InternalError", text, details={"causes": [cause]})


def _denied(hook: str, result: Obj) -> ApiError:
    text = f'admission webhook "{hook}" denied the request'
    if result.get("message"):
        text += f": {result['message']}"
    else:
        text += f": {result['reason']}" if result.get("reason") else " without explanation"
    code = result.get("code") or 400
    more = {"details": result["details"]} if isinstance(result.get("details"), dict) else {}
    return ApiError(max(int(code), 400), result.get("reason", ""), text, **more)


class Webhooks:
    """Asks the webhooks registered in a store.

    Args:
        store: where they are registered.
        caller: makes the calls.
    """

    def __init__(self, store: Store, caller: Caller) -> None:
        self.store = store
        self.caller = caller

    def _hooks(self, resource: str) -> list[Obj]:
        return [hook for config in self.store.list(resource) for hook in config.get("webhooks") or ()]

    def mutate(self, ask: Question, warnings: list[str]) -> Obj | None:
        """Return the object as the mutating webhooks leave it; None when none of them changed it.

        Raises:
            ApiError: one of them refuses, or cannot be asked and must be.
        """
        hooks = self._hooks(MUTATING)
        if not hooks or ask.obj is None:
            return None
        now, changed = ask.obj, False
        again: list[Obj] = []
        for hook in hooks:
            new = self._patched(hook, ask, now, warnings)
            if new is not None and new != now:
                now, changed = new, True
                seen = [h for h in hooks[: hooks.index(hook)] if h.get("reinvocationPolicy") == "IfNeeded"]
                again += [h for h in seen if h not in again]
        for hook in again:
            new = self._patched(hook, ask, now, warnings)
            if new is not None:
                now = new
        return now if changed else None

    def _patched(self, hook: Obj, ask: Question, obj: Obj, warnings: list[str]) -> Obj | None:
        asked = replace(ask, obj=obj)
        answer = self._ask(hook, asked, warnings)
        if not answer or not answer.get("patch"):
            return None
        name = hook["name"]
        if answer.get("patchType") != "JSONPatch":
            self._failed(hook, f"unsupported patch type {json.dumps(answer.get('patchType', ''))}")
            return None
        try:
            operations = json.loads(base64.b64decode(answer["patch"], validate=True))
            new: Obj = json_patch(json.loads(dump(obj)), operations)
        except (ValueError, ApiError) as error:
            raise _internal(f'failed calling webhook "{name}": cannot apply its patch: {error}') from None
        return new

    def validate(self, ask: Question, warnings: list[str]) -> None:
        """Let the validating webhooks judge.

        Raises:
            ApiError: one of them refuses, or cannot be asked and must be.
        """
        for hook in self._hooks(VALIDATING):
            self._ask(hook, ask, warnings)

    def _failed(self, hook: Obj, why: str) -> None:
        if (hook.get("failurePolicy") or "Fail") == "Ignore":
            return
        raise _internal(f'failed calling webhook "{hook["name"]}": failed to call webhook: {why}')

    def _ask(self, hook: Obj, ask: Question, warnings: list[str]) -> Obj | None:
        if not matches(self.store, hook, ask):
            return None
        if ask.dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise bad_request(f'admission webhook "{hook["name"]}" does not support dry run')
        if hook.get("matchConditions"):
            self._failed(hook, "its matchConditions are CEL expressions, which this cluster does not evaluate")
            return None
        review = review_of(ask, hook["name"])
        timeout = float(hook.get("timeoutSeconds") or 10)
        try:
            url, server_name, shown = self._address(hook["clientConfig"], timeout)
            called = self.caller(url, server_name, hook["clientConfig"].get("caBundle") or "", dump(review), timeout)
            answer = self._answer(called, review["request"]["uid"], shown)
        except CallFailed as error:
            self._failed(hook, str(error))
            return None
        warnings += [str(w) for w in answer.get("warnings") or ()]
        if not answer.get("allowed"):
            raise _denied(hook["name"], answer.get("status") or {})
        return answer

    def _address(self, config: Obj, timeout: float) -> tuple[str, str, str]:
        """Return the URL to call, the name its certificate must be for ("" as in the URL), and the URL to show."""
        query = f"?timeout={timeout:g}s"
        if config.get("url"):
            return config["url"] + ("&" + query[1:] if "?" in config["url"] else query), "", config["url"] + query
        ref = config["service"]
        name, space, port = ref["name"], ref["namespace"], ref.get("port") or 443
        path = "/" + (ref.get("path") or "/").lstrip("/")
        host = f"{name}.{space}.svc"
        shown = f"https://{host}:{port}{path}{query}"
        service = self.store.get("services", space, name)
        if service is None:
            raise CallFailed(f'Post "{shown}": service "{name}" not found')
        place = (service["metadata"].get("annotations") or {}).get(SERVED_AT)
        if not place:
            # Containers here run no program that could judge: whatever is behind the Service, nobody answers.
            ready = any(
                (e.get("conditions") or {}).get("ready") is not False
                for s in self.store.list("endpointslices.discovery.k8s.io", space)
                if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
                for e in s.get("endpoints") or ()
            )
            if not ready:
                raise CallFailed(f'Post "{shown}": no endpoints available for service "{name}"')
            address = (service.get("spec") or {}).get("clusterIP", "")
            raise CallFailed(f'Post "{shown}": dial tcp {address}:{port}: connect: connection refused')
        return f"https://{place}{path}{query}", host, shown

    @staticmethod
    def _answer(called: Called, uid: str, shown: str) -> Obj:
        if not 200 <= called.status < 300:
            text = called.body.decode("utf-8", "replace").strip()
            raise CallFailed(text or f"the server answered with status {called.status}")
        try:
            review = json.loads(called.body)
            answer = review["response"]
            if review.get("kind") != "AdmissionReview" or not isinstance(answer, dict):
                raise ValueError("it is no AdmissionReview")
        except (ValueError, KeyError, TypeError) as error:
            raise CallFailed(f'Post "{shown}": the answer cannot be read: {error}') from None
        if answer.get("uid") != uid:
            raise CallFailed(f'expected response.uid="{uid}", got "{answer.get("uid", "")}"')
        return answer
