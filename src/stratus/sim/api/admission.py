"""Admission: what the server adds to pods and refuses on grounds beyond the object itself."""

from __future__ import annotations

import random
from typing import Any

from stratus.sim.api.quotas import pod_amounts
from stratus.sim.api.status import ApiError, forbidden
from stratus.sim.schema.quantity import form_of, parse, render
from stratus.sim.store import Store

Obj = dict[str, Any]
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def suffix(rng: random.Random) -> str:
    """Draw the five letters after a generated name."""
    return "".join(rng.choice(_SAFE) for _ in range(5))


def admit_pod(store: Store, rng: random.Random, pod: Obj) -> None:
    """Complete a new (fresh, owned) pod in place: account, token volume, priority, tolerations, limits.

    Raises:
        ApiError: 403 when something it needs is missing or a limit is broken.
    """
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    # This part of admission runs before a name is generated, and says so in its refusals.
    name = pod["metadata"].get("generateName") or pod["metadata"].get("name") or ""
    _priority(store, name, spec)
    _limits(store, namespace, pod)
    _account(store, rng, namespace, name, pod)
    default_tolerations(spec)


def _account(store: Store, rng: random.Random, namespace: str, name: str, pod: Obj) -> None:
    spec = pod["spec"]
    if (pod["metadata"].get("annotations") or {}).get("kubernetes.io/config.mirror"):
        return
    wanted = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = wanted
    account = store.get("serviceaccounts", namespace, wanted)
    if account is None:
        why = f'error looking up service account {namespace}/{wanted}: serviceaccount "{wanted}" not found'
        raise forbidden("pods", "", name, why)
    mount = spec.get("automountServiceAccountToken")
    if mount is None:
        mount = account.get("automountServiceAccountToken", True)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = list(account["imagePullSecrets"])
    if not mount:
        return
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    bare = [c for c in containers if all(m.get("mountPath") != _TOKENS for m in c.get("volumeMounts") or ())]
    if not bare:
        return
    volume = next((v["name"] for v in spec.get("volumes") or () if v["name"].startswith("kube-api-access-")), "")
    if not volume:
        volume = f"kube-api-access-{suffix(rng)}"
        field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
        sources = [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ]
        projected = {"name": volume, "projected": {"sources": sources, "defaultMode": 420}}
        spec["volumes"] = [*(spec.get("volumes") or ()), projected]
    for container in bare:
        entry = {"name": volume, "readOnly": True, "mountPath": _TOKENS}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), entry]


def _priority(store: Store, name: str, spec: Obj) -> None:
    wanted = spec.get("priorityClassName")
    classes = store.list("priorityclasses.scheduling.k8s.io")
    policy = "PreemptLowerPriority"
    if not wanted:
        default = next((c for c in classes if c.get("globalDefault")), None)
        value = 0
        if default is not None:
            spec["priorityClassName"] = default["metadata"]["name"]
            value, policy = default["value"], default.get("preemptionPolicy", policy)
    else:
        found = store.get("priorityclasses.scheduling.k8s.io", "", wanted)
        if found is not None:
            value, policy = found["value"], found.get("preemptionPolicy", policy)
        elif wanted in _PRIORITIES:
            value = _PRIORITIES[wanted]
        else:
            raise forbidden("pods", "", name, f"no PriorityClass with name {wanted} was found")
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def default_tolerations(spec: Obj) -> None:
    """Let a (fresh, owned) pod spec stay five minutes on a node that is not ready or not reachable."""
    tolerations = list(spec.get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        covered = any(
            t.get("key") in (key, None, "")
            and t.get("effect") in ("NoExecute", None, "")
            and (t.get("operator") == "Exists" or t.get("key") == key)
            for t in tolerations
        )
        if not covered:
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = tolerations


def _limits(store: Store, namespace: str, pod: Obj) -> None:
    ranges = store.list("limitranges", namespace)
    if not ranges:
        return
    spec = pod["spec"]
    changed: list[str] = []
    for limit in ranges:
        for item in limit["spec"].get("limits") or ():
            if item.get("type") != "Container":
                continue
            for word, group in (("init container", "initContainers"), ("container", "containers")):
                for container in spec.get(group) or ():
                    set_now: dict[str, list[str]] = {}
                    resources = container["resources"] = {**(container.get("resources") or {})}
                    for field, source in (("limits", "default"), ("requests", "defaultRequest")):
                        for name, value in sorted((item.get(source) or {}).items()):
                            have = resources[field] = {**(resources.get(field) or {})}
                            if name not in have:
                                have[name] = value
                                set_now.setdefault(field, []).append(name)
                    for field in ("requests", "limits"):
                        if names := set_now.get(field):
                            changed.append(f"{', '.join(names)} {field[:-1]} for {word} {container['name']}")
    if changed:
        # The server says in the order container by container, requests before limits.
        annotations = pod["metadata"]["annotations"] = dict(pod["metadata"].get("annotations") or {})
        annotations["kubernetes.io/limit-ranger"] = "LimitRanger plugin set: " + "; ".join(changed)
    for limit in ranges:
        check_limits(limit, "pods", pod)


def check_limits(limit: Obj, resource: str, obj: Obj) -> None:
    """Hold a pod or claim against one LimitRange.

    Raises:
        ApiError: 403 with every limit that is broken.
    """
    problems: list[str] = []
    name = obj["metadata"].get("name", "")
    for item in limit["spec"].get("limits") or ():
        kind = item.get("type")
        if resource == "pods" and kind == "Container":
            for container in (*(obj["spec"].get("initContainers") or ()), *(obj["spec"].get("containers") or ())):
                _check(item, kind, container.get("resources") or {}, problems)
        elif resource == "pods" and kind == "Pod":
            _check(item, kind, pod_resources(obj["spec"]), problems)
        elif resource == "persistentvolumeclaims" and kind == "PersistentVolumeClaim":
            resources = obj["spec"].get("resources") or {}
            _check(item, kind, {"requests": resources.get("requests") or {}, "limits": {}}, problems)
    if problems:
        raise forbidden(resource, "", name, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _check(item: Obj, kind: str, resources: Obj, problems: list[str]) -> None:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, low in sorted((item.get("min") or {}).items()):
        request, limit = requests.get(name), limits.get(name)
        text = f"minimum {name} usage per {kind} is {low}"
        if request is None:
            problems.append(f"{text}.  No request is specified")
        elif parse(request) < parse(low):
            problems.append(f"{text}, but request is {request}")
        if limit is not None and parse(limit) < parse(low):
            problems.append(f"{text}, but limit is {limit}")
    for name, high in sorted((item.get("max") or {}).items()):
        request, limit = requests.get(name), limits.get(name)
        text = f"maximum {name} usage per {kind} is {high}"
        if kind == "PersistentVolumeClaim":
            limit = None
        elif limit is None:
            problems.append(f"{text}.  No limit is specified")
        elif parse(limit) > parse(high):
            problems.append(f"{text}, but limit is {limit}")
            continue
        if request is not None and parse(request) > parse(high):
            problems.append(f"{text}, but request is {request}")
    for name, ratio in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        request, limit = requests.get(name), limits.get(name)
        if request is not None and limit is not None and parse(request):
            found = parse(limit) / parse(request)
            if found > parse(ratio):
                text = f"{name} max limit to request ratio per {kind} is {ratio}"
                problems.append(f"{text}, but provided ratio is {float(found):f}")


def pod_resources(spec: Obj) -> dict[str, dict[str, str]]:
    """Return what a whole pod requests and is limited to, as quantities."""
    out: dict[str, dict[str, str]] = {}
    for field, amounts in pod_amounts(spec).items():
        forms = {
            name: form_of(value)
            for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
            for name, value in ((container.get("resources") or {}).get(field) or {}).items()
        }
        out[field] = {name: render(value, forms.get(name, "decimal")) for name, value in amounts.items()}
    return out


def check_namespace(store: Store, resource: str, group: str, namespace: str, name: str) -> None:
    """Refuse a new object in a namespace that is not there or is going.

    Raises:
        ApiError: 404 or 403.
    """
    found = store.get("namespaces", "", namespace)
    if found is None:
        text = f'namespaces "{namespace}" not found'
        raise ApiError(404, "NotFound", text, details={"name": namespace, "kind": "namespaces"})
    if found["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = forbidden(resource, group, name, why)
        cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
        error.status["details"]["causes"] = [{**cause, "field": "metadata.namespace"}]
        raise error
