"""Objects an API server keeps of itself: the services behind its group versions, flow schemas and priority levels."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files

from stratus.kit.clock import iso
from stratus.sim.store import Change, Obj, Store

SERVICES = "apiservices.apiregistration.k8s.io"
METRICS = ("metrics.k8s.io", "v1beta1")
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"
_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_SUBJECTS = {"g": ("Group", "group"), "u": ("User", "user"), "s": ("ServiceAccount", "serviceAccount")}


def furnish_standing(store: Store, now: float) -> None:
    """Create what an API server finds or makes when it starts, where it is not there yet."""
    for resource, obj in _made(iso(now)):
        if store.get(resource, "", obj["metadata"]["name"]) is None:
            store.create(resource, obj)


class Registrations:
    """Keeps an APIService for every served version of every definition."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._end = store.subscribe(self._on_change, _CRDS)

    def close(self) -> None:
        """Stop following definitions."""
        self._end()

    def _on_change(self, change: Change) -> None:
        if change.resource != _CRDS:
            return
        spec = change.object["spec"]
        for version in spec["versions"]:
            name = f"{version['name']}.{spec['group']}"
            there = self._store.get(SERVICES, "", name) is not None
            served = bool(version.get("served")) and (change.type != "DELETED" or self._needed(spec, version["name"]))
            if served and not there:
                # The uid follows from the definition's, so that nothing is drawn for it.
                made = service(
                    spec["group"], version["name"], 1000, 100, "true", change.object["metadata"].get("uid", "")
                )
                made["status"]["conditions"][0]["lastTransitionTime"] = change.object["metadata"]["creationTimestamp"]
                self._store.create(SERVICES, made)
            elif there and not served:
                self._store.delete(SERVICES, "", name)

    def _needed(self, gone: Obj, version: str) -> bool:
        """Tell whether another definition of the group serves the version."""
        return any(
            crd["spec"]["group"] == gone["group"] and v["name"] == version and v.get("served")
            for crd in self._store.list(_CRDS)
            for v in crd["spec"]["versions"]
        )


def service(group: str, version: str, priority: int, rank: int, managed: str, seed: str = "") -> Obj:
    """Return the APIService of a group version that is served here."""
    name = f"{version}.{group}"
    spec: Obj = {"version": version, "groupPriorityMinimum": priority, "versionPriority": rank}
    if group:
        spec = {"group": group, **spec}
    return {
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {"name": name, "uid": _uid(f"APIService/{name}/{seed}"), "labels": {_MANAGED: managed}},
        "spec": spec,
        "status": {"conditions": [_available("Local", "Local APIServices are always available")]},
    }


def _available(reason: str, message: str) -> Obj:
    return {"type": "Available", "status": "True", "lastTransitionTime": None, "reason": reason, "message": message}


def _uid(seed: str) -> str:
    # Derived from the name: the cluster's generator is for what happens in the cluster.
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


@lru_cache(maxsize=4)
def _made(moment: str) -> tuple[tuple[str, Obj], ...]:
    """Return the objects with their resources; stores share them, since nothing stored is ever changed in place."""
    data = json.loads(files("stratus.sim.schema").joinpath("standing.json").read_text("utf-8"))
    out = []
    for group, (priority, versions) in data["apiservices"].items():
        out += [(SERVICES, service(group, v, priority, rank, "onstart")) for v, rank in versions.items()]
    metrics = service(*METRICS, 100, 100, "")
    del metrics["metadata"]["labels"]
    metrics["spec"]["insecureSkipTLSVerify"] = True
    metrics["spec"]["service"] = {"namespace": "kube-system", "name": "metrics-server", "port": 443}
    metrics["status"]["conditions"] = [_available("Passed", "all checks passed")]
    out.append((SERVICES, metrics))
    cidr = {"kind": "ServiceCIDR", "apiVersion": "networking.k8s.io/v1", "spec": {"cidrs": [data["servicecidr"]]}}
    meta = {"name": "kubernetes", "uid": _uid("ServiceCIDR/kubernetes")}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": None, "reason": ""}
    ready["message"] = "Kubernetes Service CIDR is ready"
    out.append(("servicecidrs.networking.k8s.io", {**cidr, "metadata": meta, "status": {"conditions": [ready]}}))
    out += [(f"prioritylevelconfigurations.{_FLOW}", _level(n, v)) for n, v in data["prioritylevels"].items()]
    out += [(f"flowschemas.{_FLOW}", _schema(n, *v)) for n, v in data["flowschemas"].items()]
    for _, obj in out:
        for condition in obj["status"].get("conditions") or ():
            condition["lastTransitionTime"] = moment
    return tuple(out)


def _flow(kind: str, name: str, spec: Obj, status: Obj) -> Obj:
    annotations = {"apf.kubernetes.io/autoupdate-spec": "true"}
    meta = {"name": name, "uid": _uid(f"{kind}/{name}"), "annotations": annotations}
    return {"kind": kind, "apiVersion": f"{_FLOW}/v1", "metadata": meta, "spec": spec, "status": status}


def _level(name: str, numbers: list[int] | None) -> Obj:
    if numbers is None:
        spec: Obj = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
        return _flow("PriorityLevelConfiguration", name, spec, {})
    shares, lendable, *queuing = numbers
    response: Obj = {"type": "Reject"}
    if queuing:
        named = dict(zip(("queues", "handSize", "queueLengthLimit"), queuing, strict=True))
        response = {"type": "Queue", "queuing": named}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
    return _flow("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited}, {})


def _schema(name: str, level: str, precedence: int, method: str, subjects: list[str], rules: list[str]) -> Obj:
    rule: Obj = {"subjects": [_subject(s) for s in subjects]}
    for text in rules:
        if text == "*":
            everything = {
                "verbs": ["*"],
                "apiGroups": ["*"],
                "resources": ["*"],
                "clusterScope": True,
                "namespaces": ["*"],
            }
            rule["resourceRules"] = [everything]
            rule["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        elif text.startswith("/"):
            rule["nonResourceRules"] = [{"verbs": ["get"], "nonResourceURLs": text.split(",")}]
        else:
            rule.setdefault("resourceRules", []).append(_resources(*text.split()))
    spec: Obj = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
    if method:
        spec["distinguisherMethod"] = {"type": method}
    spec["rules"] = [rule]
    message = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" and it exists'
    found = {"type": "Dangling", "status": "False", "lastTransitionTime": None, "reason": "Found", "message": message}
    return _flow("FlowSchema", name, spec, {"conditions": [found]})


def _resources(verbs: str, group: str, names: str, cluster: str = "") -> Obj:
    found: Obj = {"verbs": verbs.split(","), "apiGroups": [group.strip("-")], "resources": names.split(",")}
    return found | ({"clusterScope": True} if cluster else {}) | {"namespaces": ["*"]}


def _subject(text: str) -> Obj:
    mark, _, name = text.partition(":")
    kind, field = _SUBJECTS[mark]
    if field == "serviceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, field: {"namespace": namespace, "name": account}}
    return {"kind": kind, field: {"name": name}}
