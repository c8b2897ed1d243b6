"""A cluster of plain dictionaries that can be read and dry-run and has no way to be written."""

from __future__ import annotations

import copy
from typing import Any

from stratus.errors import AlreadyExists, ClusterError, CommandRefused, Forbidden, NotFound, UnknownNameError
from stratus.kit.patches import merge_apply
from stratus.model.actions import ActionPlan, ActionStep, ApiRead, ApiWrite, CompiledCommand, MitigationPlan, Refusal
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef
from stratus.settings import Settings

KINDS = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Pod": ("v1", "pods"),
    "Service": ("v1", "services"),
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Namespace": ("v1", "namespaces"),
    "Node": ("v1", "nodes"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
}
SHORT = {"Deployment": "deploy", "Service": "svc", "ConfigMap": "cm", "PersistentVolumeClaim": "pvc", "Namespace": "ns"}
CLUSTER_SCOPED = ("Namespace", "Node", "ClusterRole")


def ref(kind: str, name: str, namespace: str = "shop") -> ObjectRef:
    return ObjectRef(
        api_version=KINDS[kind][0], kind=kind, name=name, namespace="" if kind in CLUSTER_SCOPED else namespace
    )


def make(kind: str, name: str, namespace: str = "shop", **parts: Any) -> Json:
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", "generation": 1, **parts.pop("metadata", {})}
    if kind not in CLUSTER_SCOPED:
        meta["namespace"] = namespace
    return {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": meta, **parts}


def pods(*containers: Json, **spec: Any) -> Json:
    return {"template": {"metadata": {}, "spec": {"containers": list(containers), **spec}}}


def web(name: str = "web", replicas: int = 3, **metadata: Any) -> Json:
    container = {
        "name": "web",
        "image": "registry.local/shop/web:v2",
        "resources": {"limits": {"memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}},
    }
    return make("Deployment", name, metadata=metadata, spec={"replicas": replicas, **pods(container)})


def owner(kind: str, name: str) -> Json:
    return {"ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": True}]}


class World:
    """Implements `ClusterReader` and `ClusterRehearser` over objects in memory; `tried` lists all dry runs."""

    def __init__(self, *objects: Json) -> None:
        self.objects = {ObjectRef.of(o).key: o for o in objects}
        self.tried: list[ApiWrite] = []
        self.fail: dict[str, ClusterError] = {}
        """Dry runs that fail, by kind."""
        self.unreadable: set[str] = set()

    def identity(self) -> ClusterIdentity:
        return ClusterIdentity(server="memory")

    def resources(self) -> tuple[ApiResource, ...]:
        return tuple(
            ApiResource(api_version=version, kind=kind, plural=plural, namespaced=kind not in CLUSTER_SCOPED)
            for kind, (version, plural) in KINDS.items()
        )

    def resource(self, word: str) -> ApiResource:
        plain = word.rpartition("/")[2].partition(".")[0].lower()
        for row in self.resources():
            if plain in (row.kind.lower(), row.plural, SHORT.get(row.kind)):
                return row
        raise UnknownNameError(f"no resource {word}")

    def get(self, ref: ObjectRef) -> Json | None:
        if ref.kind in self.unreadable:
            raise Forbidden(f"may not read {ref.kind}", status=403, reason="Forbidden")
        found = self.objects.get(ref.key)
        return copy.deepcopy(found)

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        wanted = self.resource(kind).kind
        found = [copy.deepcopy(o) for k, o in self.objects.items() if k[0] == wanted and namespace in (None, k[1])]
        pairs = [pair.split("=", 1) for pair in label_selector.split(",") if "=" in pair]
        return [o for o in found if all((o["metadata"].get("labels") or {}).get(k) == v for k, v in pairs)]

    def logs(self, namespace: str, pod: str, **options: Any) -> str:
        return ""

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        return True

    def dry_run(self, write: ApiWrite) -> Json:
        self.tried.append(write)
        if write.target.kind in self.fail:
            raise self.fail[write.target.kind]
        held = self.objects.get(write.target.key)
        if write.method == "POST" and not write.subresource:
            if held is not None:
                raise AlreadyExists(f"{write.target} exists", status=409, reason="AlreadyExists")
            created: Json = copy.deepcopy(write.body)
            created["metadata"] = {**created["metadata"], "uid": "new", "namespace": write.target.namespace}
            return created
        if held is None:
            raise NotFound(f"{write.target} not found", status=404, reason="NotFound")
        if write.method == "DELETE" or write.subresource == "eviction":
            return {"kind": "Status", "status": "Success"}
        if write.subresource == "scale":
            return {"kind": "Scale", "metadata": held["metadata"], "spec": dict(write.body["spec"])}
        if write.method == "PUT":
            return copy.deepcopy(write.body)
        if write.patch_type == "application/strategic-merge-patch+json":
            return strategic(held, write.body)
        if write.patch_type == "application/json-patch+json":
            return json_patched(held, write.body)
        merged = merge_apply(held, write.body)
        assert isinstance(merged, dict)
        return merged


def strategic(held: Any, patch: Any) -> Any:
    """Enough of a strategic merge for containers, volumes and environment variables."""
    if isinstance(held, dict) and isinstance(patch, dict):
        out = copy.deepcopy(held)
        for key, value in patch.items():
            if value is None:
                out.pop(key, None)
            else:
                out[key] = strategic(held.get(key), value)
        return out
    if isinstance(held, list) and isinstance(patch, list) and all(isinstance(i, dict) and "name" in i for i in patch):
        items = {i["name"]: i for i in copy.deepcopy(held)}
        for item in patch:
            items[item["name"]] = strategic(items.get(item["name"]), item)
        return list(items.values())
    return copy.deepcopy(patch)


def json_patched(held: Json, operations: list[Json]) -> Json:
    """Enough of a JSON patch for adding, replacing and removing fields."""
    out: Any = copy.deepcopy(held)
    for operation in operations:
        *way, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        here = out
        for part in way:
            here = here[int(part)] if isinstance(here, list) else here[part]
        if operation["op"] == "remove":
            del here[int(last) if isinstance(here, list) else last]
        elif operation["op"] in ("add", "replace"):
            here[int(last) if isinstance(here, list) else last] = copy.deepcopy(operation["value"])
    found: Json = out
    return found


def write(method: str, kind: str, name: str, body: Any = None, *, namespace: str = "shop", **more: Any) -> ApiWrite:
    patch_type = more.pop("patch_type", "application/merge-patch+json" if method == "PATCH" else None)
    return ApiWrite(
        method=method,  # type: ignore[arg-type]
        target=ref(kind, name, namespace),
        plural=KINDS[kind][1],
        namespaced=kind not in CLUSTER_SCOPED,
        body=body,
        patch_type=patch_type,
        **more,
    )


def set_image(name: str, image: str, container: str = "web", **more: Any) -> ApiWrite:
    return template(name, {"name": container, "image": image}, **more)


def template(name: str, container: Json, kind: str = "Deployment", **more: Any) -> ApiWrite:
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return write("PATCH", kind, name, body, patch_type="application/strategic-merge-patch+json", **more)


def scale(name: str, replicas: int, kind: str = "Deployment") -> ApiWrite:
    return write("PATCH", kind, name, {"spec": {"replicas": replicas}}, subresource="scale")


class Grammar:
    """Compiles the lines a test lays out, `get` as a read, and nothing else."""

    def __init__(self, **lines: Any) -> None:
        self.lines: dict[str, tuple[str, tuple[ApiWrite, ...]]] = {}
        self.namespaces: list[str] = []

    def add(self, line: str, verb: str, *writes: ApiWrite) -> str:
        self.lines[line] = (verb, writes)
        return line

    def __call__(self, line: str, *, namespace: str, reader: Any) -> CompiledCommand:
        self.namespaces.append(namespace)
        if line.startswith("kubectl get"):
            return CompiledCommand(command=line, verb="get", reads=(ApiRead(verb="get"),))
        if line not in self.lines:
            raise CommandRefused(f"cannot compile {line}", code="grammar", hint="write it differently")
        verb, writes = self.lines[line]
        return CompiledCommand(command=line, verb=verb, writes=writes)


class Writer:
    """A `CommandWriter` with answers laid out in order."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[ActionStep, tuple[Refusal, ...]]] = []

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        self.asked.append((step, refusals))
        return self.answers.pop(0) if self.answers else ""


def case_for(world: World, **more: Any) -> Case:
    objects: dict[str, list[Json]] = {}
    for (kind, _, _), obj in world.objects.items():
        objects.setdefault(kind, []).append(obj)
    observation = Observation(
        at=1.0, window=60.0, namespaces=("shop",), objects={kind: tuple(found) for kind, found in objects.items()}
    )
    return Case(incident="i", detection=Detection(anomalous=True), observation=observation, **more)


def blames(kind: str, name: str, **facts: Any) -> Hypothesis:
    return Hypothesis(id="H1", fault="unknown", summary="s", object=ref(kind, name), confidence=0.5, facts=facts)


def plan_of(*lines: str) -> ActionPlan:
    steps = tuple(
        ActionStep(text=f"step {i}", command=line, target=ref("Deployment", "web")) for i, line in enumerate(lines)
    )
    return ActionPlan(hypothesis="H1", summary="repair", steps=steps)


def lint_one(world: World, verb: str, *writes: ApiWrite, **more: Any) -> MitigationPlan:
    """Lint a plan of one command that compiles to these writes."""
    from stratus.mitigation.linting import lint

    grammar = Grammar()
    line = grammar.add("kubectl it", verb, *writes)
    settings = more.pop("settings", Settings())
    return lint(
        plan_of(line),
        more.pop("case", None) or case_for(world),
        reader=world,
        rehearser=world,
        settings=settings,
        allowed_namespaces=more.pop("allowed_namespaces", ("shop",)),
        compile_command=grammar,
        **more,
    )


def codes(plan: MitigationPlan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]
