"""Steps that change what no object shows: datastores, the load, containers, kubelets, what registries hold."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from stratus.errors import UsageError
from stratus.sim.faults import steps as s
from stratus.sim.faults.hands import Before, Hands
from stratus.sim.store import Obj


def lacking(hands: Hands, step: s.AnyStep, space: str) -> str:
    """Say what an inner step needs that the emulation does not have; empty when all is there."""
    if isinstance(step, s.ChangeDatabase) and (space, step.workload) not in hands.cluster.runtime.databases:
        return f"no datastore of a workload {step.workload} in {space}"
    if isinstance(step, s.Surge) and not hands.cluster.traffic.loads():
        return "the cluster has no application with a load"
    return ""


def inner(hands: Hands, step: s.AnyStep, space: str) -> list[Before]:
    """Carry out a step that is about no object; return what it replaced."""
    cluster = hands.cluster
    if isinstance(step, s.ChangeDatabase):
        return [_database(hands, step, space)]
    if isinstance(step, s.Exec):
        return _exec(hands, step, space)
    if isinstance(step, s.Surge):
        return [Before("surge", (), None, step.factor)]
    if isinstance(step, s.ImageGone):
        cluster.registry.add_rule(step.image, exists=False, error=step.error)
        for images in cluster.control.kubelet.images.present.values():
            for name in [n for n in images if fnmatchcase(n, step.image)]:
                del images[name]
        return [Before("image", (step.image, step.error))]
    if isinstance(step, s.StopKubelet):
        cluster.control.kubelet.stop_node(step.node)
        return [Before("kubelet", (step.node,))]
    if isinstance(step, s.KillContainer):
        for pod, container in running(hands, space, step.kind, step.name, step.container):
            key = (space, pod["metadata"]["name"])
            cluster.control.kubelet.restart_container(key, container, reason=step.reason, exit_code=step.exit_code)
    elif isinstance(step, s.TellEvent):
        obj = hands.find(step.kind, space, step.name) or {}
        cluster.control.events.record(obj, step.type, step.reason, step.message, step.component)
    return []


def running(hands: Hands, space: str, kind: str, name: str, container: str) -> list[tuple[Obj, str]]:
    """Return the running pods of a workload, by name, with the container that is meant."""
    workload = hands.find(kind, space, name) or {}
    wanted = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    found = []
    for pod in hands.cluster.store.list("pods", space):
        labels = pod["metadata"].get("labels") or {}
        if (pod.get("status") or {}).get("phase") == "Running" and wanted.items() <= labels.items():
            found.append((pod, container or pod["spec"]["containers"][0]["name"]))
    return found


def delete_pods(hands: Hands, space: str, wanted: dict[str, str]) -> None:
    """Delete the pods of a namespace that have some labels, with little grace."""
    for pod in hands.cluster.store.list("pods", space):
        labels = pod["metadata"].get("labels") or {}
        if "deletionTimestamp" in pod["metadata"] or not wanted.items() <= labels.items():
            continue
        path = hands.path(hands.resource("Pod", ""), space, pod["metadata"]["name"])
        hands.send("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})


def _database(hands: Hands, step: s.ChangeDatabase, space: str) -> Before:
    database = hands.cluster.runtime.databases[space, step.workload]
    before = Before("store", (space, step.workload), database.clone())
    if step.drop:
        database.drop_user(step.user)
    elif step.revoke:
        database.revoke(step.user, tuple(step.revoke))
    if step.cost is not None:
        database.cost = step.cost
    before.after = database.clone()
    return before


def _exec(hands: Hands, step: s.Exec, space: str) -> list[Before]:
    pods = running(hands, space, step.kind, step.name, step.container)
    if not pods:
        raise UsageError(f"no pod of {step.kind} {step.name} in {space} is running")
    store: Any = hands.cluster.runtime.databases.get((space, step.name))
    before = Before("store", (space, step.name), store.clone() if store is not None else None)
    _run(hands, *pods[0], step.command, step.must)
    if step.undo is not None:
        return [Before("exec", (space, step.kind, step.name, step.container), step.undo)]
    if store is None:
        return []
    before.after = hands.cluster.runtime.databases[space, step.name].clone()
    return [before]


def _run(hands: Hands, pod: Obj, container: str, command: list[str], must: bool) -> None:
    spec = next((c for c in pod["spec"]["containers"] if c["name"] == container), None)
    if spec is None:
        raise UsageError(f"pod {pod['metadata']['name']} has no container {container}")
    result = hands.cluster.runtime.exec(pod, spec, command, "")
    if must and result.exit_code:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise UsageError(f"{' '.join(command)}: code {result.exit_code}: {said[-1] if said else 'no output'}")


def run_undo(hands: Hands, before: Before) -> None:
    """Run the command that takes an exec back, where a pod is there to run it in."""
    space, kind, name, container = before.place
    if hands.find(kind, space, name) is None:
        return
    for pod, inside in running(hands, space, kind, name, container)[:1]:
        _run(hands, pod, inside, before.was, False)
