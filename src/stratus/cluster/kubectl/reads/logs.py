"""`kubectl logs`: of a pod, of the pods of a workload, or of those a selector chooses."""

from __future__ import annotations

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, not_found, said_by_server
from stratus.cluster.kubectl.reads.describing_workloads import selector_text
from stratus.cluster.kubectl.reads.spans import seconds
from stratus.errors import ClusterError
from stratus.kit.clock import parse_iso
from stratus.kit.kube import dig
from stratus.model.base import Json

MOST_LINES = 500
"""Lines of one container where the command asks for all of them."""
_BY_SELECTOR = 10
_DEFAULT = "kubectl.kubernetes.io/default-container"
_OWNING = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Service")


def run(look: Look) -> ReadAnswer:
    """Run `logs`."""
    said: list[str] = []
    pods = _pods(look, said)
    text: list[str] = []
    code = 0
    for pod in pods:
        for name in _containers(look, pod, said):
            try:
                lines, complaint = _log(look, pod, name)
            except ClusterError as error:
                lines, complaint = [], said_by_server(error)
            if complaint:
                said.append(complaint)
                code = code if look.on("ignore-errors") else 1
            mark = f"[pod/{pod['metadata']['name']}/{name}] " if look.on("prefix") else ""
            text += [mark + line for line in lines]
    shown = "".join(f"{line}\n" for line in text)
    if look.option("limit-bytes"):
        shown = shown.encode()[: int(look.option("limit-bytes"))].decode("utf-8", "ignore")
    return ReadAnswer(text=shown, complaint="\n".join(said), exit_code=code)


def _pods(look: Look, said: list[str]) -> list[Json]:
    targets = look.read.targets
    if not targets:
        raise Failed("error: expected 'logs (POD | TYPE/NAME) [CONTAINER]'")
    target = targets[0]
    if target.kind == "Pod":
        found = look.objects(target)
        if not target.name and not found:
            said.append(f"No resources found in {look.read.namespace} namespace.")
        return sorted(found, key=lambda p: str(p["metadata"]["name"]))
    if target.kind not in _OWNING:
        raise Failed(f"error: no logs of a {target.kind}: name a pod, or one of {', '.join(_OWNING)}")
    owner = look.reader.get(target)
    if owner is None:
        raise Failed(not_found(look.resource(target), target.name))
    chosen = dig(owner, "spec", "selector", default={})
    selector = selector_text(
        chosen if "matchLabels" in chosen or "matchExpressions" in chosen else {"matchLabels": chosen}
    )
    pods = look.reader.list("v1/Pod", target.namespace, label_selector=selector)
    if not pods or selector == "<none>":
        raise Failed(f"error: {target.kind} {target.name} has no pods")
    pods = sorted(pods, key=_preference)
    if look.on("all-pods"):
        return sorted(pods, key=lambda p: str(p["metadata"]["name"]))
    if len(pods) > 1:
        said.append(f"Found {len(pods)} pods, using pod/{pods[0]['metadata']['name']}")
    return pods[:1]


def _preference(pod: Json) -> tuple[bool, bool, str, str]:
    """Prefer a pod that is placed and ready, then the one that has been there longest."""
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in dig(pod, "status", "conditions", default=[])
    )
    meta = pod["metadata"]
    return (not dig(pod, "spec", "nodeName"), not ready, str(meta.get("creationTimestamp", "")), str(meta["name"]))


def _containers(look: Look, pod: Json, said: list[str]) -> list[str]:
    spec = pod["spec"]
    usual = [c["name"] for c in spec.get("containers") or ()]
    initial = [c["name"] for c in spec.get("initContainers") or ()]
    asked = look.option("container") or " ".join(look.words)
    if asked:
        if asked not in (*usual, *initial):
            pod_name, known = pod["metadata"]["name"], _known(usual, initial)
            raise Failed(f"error: container {asked} is not valid for pod {pod_name} out of: {known}")
        return [asked]
    if look.on("all-containers"):
        return [*initial, *usual]
    default = (pod["metadata"].get("annotations") or {}).get(_DEFAULT)
    name = str(default) if default in usual else str(usual[0])
    if len(usual) + len(initial) > 1 and default is None:
        said.append(f'Defaulted container "{name}" out of: {_known(usual, initial)}')
    return [name]


def _known(usual: list[str], initial: list[str]) -> str:
    return ", ".join([*usual, *(f"{name} (init)" for name in initial)])


def _log(look: Look, pod: Json, name: str) -> tuple[list[str], str]:
    """Return the lines of one container, and what there is to say about them."""
    meta, previous = pod["metadata"], look.on("previous")
    by_selector = not look.read.targets[0].name
    tail = int(look.option("tail") or (_BY_SELECTOR if by_selector else -1))
    since = _since(look)
    lines = look.reader.logs(
        meta["namespace"],
        meta["name"],
        container=name,
        previous=previous,
        tail_lines=tail if 0 <= tail < MOST_LINES else MOST_LINES + 1,
        since_seconds=since,
        timestamps=look.on("timestamps"),
    ).splitlines()
    if not lines and (why := _why_none(pod, name, previous)):
        return [], why
    if tail < 0 or tail > MOST_LINES:
        more = len(lines) > MOST_LINES
        said = (
            f"(cut: only the last {MOST_LINES} lines of {name} are shown; ask for others with --since)" if more else ""
        )
        return lines[-MOST_LINES:], said
    return lines[len(lines) - tail :] if tail else [], ""


def _since(look: Look) -> int | None:
    if look.option("since"):
        span = seconds(look.option("since"))
        if span is None:
            raise Failed(f"error: --since={look.option('since')} is no duration: write --since=10m")
        return max(1, round(span))
    if look.option("since-time"):
        return max(1, round(look.clock.now() - parse_iso(look.option("since-time"))))
    return None


def _why_none(pod: Json, name: str, previous: bool) -> str:
    """Say why a container has no log, when its state tells."""
    statuses = [
        *dig(pod, "status", "containerStatuses", default=[]),
        *dig(pod, "status", "initContainerStatuses", default=[]),
    ]
    status = next((s for s in statuses if s["name"] == name), None)
    where = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
    if previous and not (status or {}).get("lastState"):
        return f"Error from server (BadRequest): previous terminated {where} not found"
    waiting = dig(status or {}, "state", "waiting", "reason")
    if waiting and not previous and not (status or {}).get("lastState"):
        return f"Error from server (BadRequest): {where} is waiting to start: {_told(status or {}, waiting)}"
    return ""


def _told(status: Json, reason: str) -> str:
    return {
        "ImagePullBackOff": "trying and failing to pull image",
        "ErrImagePull": "image can't be pulled",
    }.get(reason, str(dig(status, "state", "waiting", "message") or reason))
