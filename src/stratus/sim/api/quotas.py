"""ResourceQuotas: what objects count for, which quotas see them, what is used, and what would be too much."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stratus.sim.api.podspec import qos_class
from stratus.sim.api.status import forbidden
from stratus.sim.schema.quantity import form_of, parse, render
from stratus.sim.store import Change, Store

Obj = dict[str, Any]
Amounts = dict[str, Fraction]
QUOTAS = "resourcequotas"
#: Resources that have a name of their own in quotas, beside `count/RESOURCE`.
_COUNTED = frozenset(
    {"services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas"}
)
#: What of a pod counts under its bare name too, as what is requested.
_BARE = frozenset({"cpu", "memory", "ephemeral-storage"})
#: What containers must say when a quota counts it.
_MUST = frozenset({"requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory"})
#: Updates of these can raise what they count for.
GROWING = frozenset({"services", "persistentvolumeclaims", "pods"})
ONE = Fraction(1)


def pod_amounts(spec: Obj) -> dict[str, Amounts]:
    """Return what a whole pod requests and is limited to, sidecars, init containers and overhead included."""
    out: dict[str, Amounts] = {}
    for field in ("requests", "limits"):
        total: Amounts = {}
        sidecars: Amounts = {}
        peak: Amounts = {}
        for container in spec.get("containers") or ():
            for name, value in ((container.get("resources") or {}).get(field) or {}).items():
                total[name] = total.get(name, Fraction(0)) + parse(value)
        for container in spec.get("initContainers") or ():
            asked = {n: parse(v) for n, v in ((container.get("resources") or {}).get(field) or {}).items()}
            if container.get("restartPolicy") == "Always":
                for name, number in asked.items():
                    sidecars[name] = sidecars.get(name, Fraction(0)) + number
                    total[name] = total.get(name, Fraction(0)) + number
                asked = sidecars
            else:
                asked = {n: v + sidecars.get(n, Fraction(0)) for n, v in asked.items()}
            for name, number in asked.items():
                peak[name] = max(peak.get(name, number), number)
        for name, number in peak.items():
            total[name] = max(total.get(name, number), number)
        for name, value in (spec.get("overhead") or {}).items():
            if field == "requests" or name in total:
                total[name] = total.get(name, Fraction(0)) + parse(value)
        out[field] = total
    return out


def usage(resource: str, obj: Obj) -> Amounts:
    """Return what an object counts for under quotas."""
    out = {f"count/{resource}": ONE}
    if resource in _COUNTED:
        out[resource] = ONE
    spec = obj.get("spec") or {}
    if resource == "pods":
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return out
        out["pods"] = ONE
        amounts = pod_amounts(spec)
        for name, value in amounts["requests"].items():
            out[f"requests.{name}"] = value
            if name in _BARE or name.startswith("hugepages-"):
                out[name] = value
        for name, value in amounts["limits"].items():
            out[f"limits.{name}"] = value
    elif resource == "services":
        kind, ports = spec.get("type"), spec.get("ports") or ()
        if kind == "LoadBalancer":
            out["services.loadbalancers"] = ONE
            if spec.get("allocateLoadBalancerNodePorts") is False:
                ports = [p for p in ports if p.get("nodePort")]
        if kind in ("NodePort", "LoadBalancer"):
            out["services.nodeports"] = Fraction(len(ports))
    elif resource == "persistentvolumeclaims":
        asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        named = spec.get("storageClassName")
        named = (obj["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class", named)
        prefix = f"{named}.storageclass.storage.k8s.io"
        if named:
            out[f"{prefix}/persistentvolumeclaims"] = ONE
        if asked is not None:
            out["requests.storage"] = parse(asked)
            if named:
                out[f"{prefix}/requests.storage"] = parse(asked)
    return out


# scopes


def _across_namespaces(spec: Obj) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        group = (spec.get("affinity") or {}).get(kind) or {}
        terms = list(group.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            t.get("podAffinityTerm") or {} for t in group.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False


def _matches(expression: Obj, pod: Obj) -> bool:
    scope, operator = str(expression.get("scopeName")), expression.get("operator", "Exists")
    spec, values = pod["spec"], expression.get("values") or ()
    if scope == "PriorityClass":
        have = spec.get("priorityClassName") or ""
        found = {
            "In": have in values,
            "NotIn": have not in values,
            "Exists": bool(have),
            "DoesNotExist": not have,
        }
        return found.get(operator, False)
    deadline: bool = spec.get("activeDeadlineSeconds") is not None
    if scope in ("Terminating", "NotTerminating"):
        return deadline == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (qos_class(spec) == "BestEffort") == (scope == "BestEffort")
    return scope == "CrossNamespacePodAffinity" and _across_namespaces(spec)


def sees(quota: Obj, resource: str, obj: Obj) -> bool:
    """Tell whether an object is within the scopes of a quota; a quota with scopes sees nothing but pods."""
    spec = quota["spec"]
    expressions = [{"scopeName": s, "operator": "Exists"} for s in spec.get("scopes") or ()]
    expressions += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not expressions:
        return True
    return resource == "pods" and all(_matches(e, obj) for e in expressions)


def _resource_of(name: str) -> str:
    """Return the stored resource that a name in a quota counts."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name in _COUNTED:
        return name
    if name.startswith("services."):
        return "services"
    if name == "requests.storage" or ".storageclass.storage.k8s.io/" in name:
        return "persistentvolumeclaims"
    return "pods"


class Ledger:
    """What is used under each quota, kept up to date object by object.

    A quota's sums are made when they are first asked for, and go along with every change from then on: asking costs
    the same however many objects there are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sums: dict[tuple[str, str], tuple[Obj, Amounts]] = {}
        self._busy: dict[str, int] = {}
        self._end = store.subscribe(self._on_change)

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def used(self, quota: Obj) -> Amounts:
        """Return what is used of everything that a quota limits."""
        meta = quota["metadata"]
        key = (meta["namespace"], meta["name"])
        found = self._sums.get(key)
        if found is not None and found[0] == quota["spec"]:
            return found[1]
        hard = quota["spec"].get("hard") or {}
        sums: Amounts = dict.fromkeys(hard, Fraction(0))
        for resource in sorted({_resource_of(name) for name in hard}):
            for obj in self._store.list(resource, meta["namespace"]):
                self._add(sums, quota, resource, obj, 1)
        if found is None:
            self._busy[key[0]] = self._busy.get(key[0], 0) + 1
        self._sums[key] = (quota["spec"], sums)
        return sums

    @staticmethod
    def _add(sums: Amounts, quota: Obj, resource: str, obj: Obj, sign: int) -> None:
        if not sees(quota, resource, obj):
            return
        for name, value in usage(resource, obj).items():
            if name in sums:
                sums[name] += sign * value

    def _on_change(self, change: Change) -> None:
        if not self._busy:
            return
        meta = change.object["metadata"]
        namespace = meta.get("namespace", "")
        if namespace not in self._busy:
            return
        gone = change.resource == QUOTAS and change.type == "DELETED"
        if gone and self._sums.pop((namespace, meta["name"]), None) is not None:
            self._busy[namespace] -= 1
            if not self._busy[namespace]:
                del self._busy[namespace]
        for (space, _), (spec, sums) in self._sums.items():
            if space != namespace:
                continue
            quota = {"spec": spec}
            before = change.object if change.type == "DELETED" else change.previous
            if before is not None:
                self._add(sums, quota, change.resource, before, -1)
            if change.type != "DELETED":
                self._add(sums, quota, change.resource, change.object, 1)


def form(name: str, hard: str) -> str:
    """Return the form in which a figure of a quota is written."""
    return "binary" if "memory" in name or "storage" in name else form_of(hard)


def written(quota: Obj, sums: Amounts) -> dict[str, str]:
    """Return the used figures as a quota's status shows them."""
    hard = quota["spec"].get("hard") or {}
    return {name: render(sums[name], form(name, value)) for name, value in hard.items()}


def check(
    store: Store, ledger: Ledger, resource: str, group: str, obj: Obj, old: Obj | None = None
) -> list[tuple[Obj, dict[str, str]]]:
    """Hold a new or changed object against its namespace's quotas; return (quota, its `used` afterwards) of those hit.

    Raises:
        ApiError: 403 when a quota would be exceeded, or a pod leaves open what a quota counts.
    """
    namespace = obj["metadata"].get("namespace", "")
    if not namespace or not store.count(QUOTAS):
        return []
    quotas = store.list(QUOTAS, namespace)
    if not quotas:
        return []
    qualified = f"{resource}.{group}" if group else resource
    new, name = usage(qualified, obj), obj["metadata"].get("name", "")
    before = usage(qualified, old) if old is not None else {}
    updates = []
    for quota in quotas:
        hard = quota["spec"].get("hard") or {}
        if not sees(quota, qualified, obj):
            continue
        was = before if old is not None and sees(quota, qualified, old) else {}
        if resource == "pods" and old is None:
            _must_specify(quota, hard, obj, name)
        grows = {n: new[n] - was.get(n, 0) for n in sorted(hard) if n in new and new[n] > was.get(n, 0)}
        if not grows:
            continue
        used = ledger.used(quota)
        over = [n for n, more in grows.items() if used[n] + more > parse(hard[n])]
        if over:

            def told(values: Amounts, names: list[str] = over, hard: Obj = hard) -> str:
                return ",".join(f"{n}={render(values[n], form(n, hard[n]))}" for n in names)

            limited = ",".join(f"{n}={hard[n]}" for n in over)
            sums = f"requested: {told(grows)}, used: {told(used)}, limited: {limited}"
            raise forbidden(resource, group, name, f"exceeded quota: {quota['metadata']['name']}, {sums}")
        shown = (quota.get("status") or {}).get("used") or {}
        after = {n: render(used[n] + more, form(n, hard[n])) for n, more in grows.items()}
        updates.append((quota, {**shown, **after}))
    return updates


def charge(store: Store, updates: list[tuple[Obj, dict[str, str]]]) -> None:
    """Write down what `check` found to be used from now on."""
    for quota, used in updates:
        status = {**(quota.get("status") or {}), "hard": quota["spec"].get("hard") or {}, "used": used}
        store.update(QUOTAS, {**quota, "status": status})


def _must_specify(quota: Obj, hard: Obj, pod: Obj, name: str) -> None:
    missing: dict[str, list[str]] = {}
    for container in (*(pod["spec"].get("initContainers") or ()), *(pod["spec"].get("containers") or ())):
        resources = container.get("resources") or {}
        for n in sorted(hard):
            if n not in _MUST:
                continue
            field, _, key = n.rpartition(".")
            if key not in (resources.get(field or "requests") or {}):
                missing.setdefault(n, []).append(container["name"])
    if missing:
        text = "; ".join(f"{n} for: {','.join(names)}" for n, names in missing.items())
        raise forbidden("pods", "", name, f"failed quota: {quota['metadata']['name']}: must specify {text}")
