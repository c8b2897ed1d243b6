"""How containers behave as far as objects tell, and for which settings of theirs that holds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from stratus.kit.kube import moment
from stratus.sim.controllers.common import controller_ref
from stratus.sim.store import Obj

Lookup = Callable[[str, str, str], Obj | None]
"""Finds an object by resource, namespace and name."""
Place = tuple[str, str, str]
"""(namespace, workload, container)."""
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
#: Times as long as it ran before it failed that a container has to run to be taken for well.
OUTLIVED = 1.5
#: Seconds for which a fresh container has to run before anything is read from it.
FRESH = 20.0


@dataclass(frozen=True, slots=True)
class Manner:
    """What a container does once it is started with settings under which it was seen.

    Attributes:
        kind: it runs on, ends by itself, or cannot be started at all.
        after: seconds until it ends.
        ready: whether it passes its readiness probe; None when that was not seen.
        started: whether it passes its startup probe.
        passes: the checks that it is known to pass, see `checks`.
        readiness: the readiness probe it was seen with.
        stays: it is to run on, so that any end of it is a failure.
        leans_on: names of Services that its settings speak of; empty for one that is well.
        told: what was seen of its end, for the runtime's message.
    """

    kind: Literal["runs", "ends", "refused"]
    after: float = 0.0
    code: int = 0
    reason: str = ""
    told: str = ""
    ready: bool | None = True
    started: bool = True
    passes: frozenset[str] = frozenset()
    readiness: str = ""
    stays: bool = False
    leans_on: tuple[str, ...] = ()

    @property
    def ill(self) -> bool:
        """Tell whether it fails, or was not seen to get ready."""
        if self.kind == "ends":
            return self.stays or self.code != 0
        return self.kind == "refused" or not self.ready or not self.started

    @property
    def alike(self) -> tuple[Any, ...]:
        """What two pods of one workload have to agree on."""
        return self.kind, self.code, bool(self.ready), self.started


def workload_of(pod: Obj) -> str:
    """Return the name of what manages a pod (the Deployment behind its ReplicaSet), else the pod's own."""
    owner = controller_ref(pod)
    if owner is None:
        return str(pod["metadata"].get("name") or pod["metadata"].get("generateName", ""))
    name = str(owner["name"])
    return (name.rpartition("-")[0] or name) if owner["kind"] == "ReplicaSet" else name


def place_of(pod: Obj, container: Obj) -> Place:
    """Return where a container belongs, across the pods of its workload."""
    return pod["metadata"].get("namespace", ""), workload_of(pod), container["name"]


# settings


def settings_of(pod: Obj, container: Obj, lookup: Lookup) -> str:
    """Return in short all that decides how a container's process behaves, as far as objects say.

    That is its image and command, its environment and files with the content of what they refer to, what it may use
    and do, and what may end it; not its labels, its place, or what asks whether it is ready.
    """
    spec, space = pod["spec"], pod["metadata"].get("namespace", "")
    volumes = {v["name"]: v for v in spec.get("volumes") or ()}
    before = () if container in (spec.get("initContainers") or ()) else spec.get("initContainers") or ()
    parts = [
        [container.get(k) for k in ("image", "command", "args", "workingDir", "securityContext", "lifecycle", "stdin")],
        [container.get(k) for k in ("livenessProbe", "startupProbe")],
        ((container.get("resources") or {}).get("limits") or {}).get("memory"),
        [_variable(entry, space, lookup) for entry in container.get("env") or ()],
        [_source(entry, space, lookup) for entry in container.get("envFrom") or ()],
        [_mount(m, volumes.get(m["name"], {}), space, lookup) for m in container.get("volumeMounts") or () if _own(m)],
        [spec.get(k) or None for k in ("securityContext", "hostNetwork", "dnsPolicy", "dnsConfig")],
        spec.get("serviceAccountName") or "default",
        spec.get("hostAliases"),
        [[c.get("image"), c.get("command"), c.get("args")] for c in before],
    ]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _data(lookup: Lookup, resource: str, space: str, name: str) -> Obj | None:
    found = lookup(resource, space, name)
    return None if found is None else {**(found.get("binaryData") or {}), **(found.get("data") or {})}


def _variable(entry: Obj, space: str, lookup: Lookup) -> list[Any]:
    source = entry.get("valueFrom") or {}
    for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        ref = source.get(field)
        if ref:
            return [entry["name"], (_data(lookup, resource, space, ref.get("name", "")) or {}).get(ref.get("key"))]
    return [entry["name"], entry.get("value"), source or None]


def _source(entry: Obj, space: str, lookup: Lookup) -> list[Any]:
    found: list[Any] = [entry.get("prefix")]
    for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if entry.get(field):
            found.append(_data(lookup, resource, space, entry[field].get("name", "")))
    return found


def _own(mount: Obj) -> bool:
    """Tell whether a mount is the template's own: every pod is given one for its token, each under another name."""
    return mount.get("mountPath") != TOKENS


def _mount(mount: Obj, volume: Obj, space: str, lookup: Lookup) -> Any:
    rest = {k: v for k, v in volume.items() if k != "name"}
    return [mount, rest, [_data(lookup, resource, space, name) for resource, name in _files(volume)]]


def _files(volume: Obj) -> Iterator[tuple[str, str]]:
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        if source.get("configMap"):
            yield "configmaps", source["configMap"].get("name", "")
        if source.get("secret"):
            yield "secrets", source["secret"].get("secretName") or source["secret"].get("name", "")


def refers_to(pod: Obj, container: Obj) -> Iterator[tuple[str, str]]:
    """Yield (resource, name) of the ConfigMaps and Secrets that a container reads."""
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if source.get(field):
                yield resource, source[field].get("name", "")
    for entry in container.get("envFrom") or ():
        for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if entry.get(field):
                yield resource, entry[field].get("name", "")
    mounted = {m["name"] for m in container.get("volumeMounts") or () if _own(m)}
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] in mounted:
            yield from _files(volume)


def lacks(pod: Obj, container: Obj, lookup: Lookup) -> bool:
    """Tell whether a key that a container's environment names is not there, be it optional or not."""
    space = pod["metadata"].get("namespace", "")
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            ref = source.get(field)
            if ref and ref.get("key") not in (_data(lookup, resource, space, ref.get("name", "")) or {}):
                return True
    return False


def changed_at(obj: Obj) -> float:
    """Return when an object was last written to, epoch seconds, as far as it says."""
    meta = obj["metadata"]
    times = [moment(entry.get("time")) for entry in meta.get("managedFields") or ()]
    return max([moment(meta.get("creationTimestamp")), *times])


def texts_of(pod: Obj, container: Obj, lookup: Lookup) -> str:
    """Return all the words that a container is given: command, environment, configuration."""
    space = pod["metadata"].get("namespace", "")
    found = [*map(str, container.get("command") or ()), *map(str, container.get("args") or ())]
    found += [str(entry.get("value") or "") for entry in container.get("env") or ()]
    for resource, name in refers_to(pod, container):
        if resource == "configmaps":
            found += map(str, (_data(lookup, resource, space, name) or {}).values())
    return "\n".join(found)


def services_named(text: str, names: list[str]) -> tuple[str, ...]:
    """Return which of these Services a text speaks of."""
    words = set(re.findall(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", text))
    return tuple(n for n in names if n in words)


# probes


def probe_text(container: Obj, kind: str = "readinessProbe") -> str:
    """Return a probe as one text, empty when there is none."""
    probe = container.get(kind)
    return json.dumps(probe, sort_keys=True) if probe else ""


def check(container: Obj, probe: Obj) -> str:
    """Return what a probe asks of a container, without how often: two probes with one text get one answer."""
    ports = {p.get("name"): p.get("containerPort") for p in container.get("ports") or () if p.get("name")}
    for handler in _HANDLERS:
        asked = probe.get(handler)
        if asked is not None:
            plain = {**asked, "port": ports.get(asked.get("port"), asked.get("port"))} if "port" in asked else asked
            return f"{handler} {json.dumps(plain, sort_keys=True)}"
    return ""


def checks(container: Obj, *kinds: str) -> frozenset[str]:
    """Return the checks of some of a container's probes, and that their ports accept connections."""
    found = set()
    for kind in kinds:
        probe = container.get(kind)
        if not probe:
            continue
        text = check(container, probe)
        found.add(text)
        handler, _, rest = text.partition(" ")
        if handler in ("httpGet", "tcpSocket") and "port" in (asked := json.loads(rest)):
            found.add(f"tcpSocket {json.dumps({'port': asked['port']})}")
    return frozenset(found)


# seeing


def observed(status: Obj, container: Obj, now: float, *, stays: bool = True) -> Manner | None:
    """Read a container's manner off its status; None when it has not done anything yet that tells.

    Args:
        status: its entry in the pod's status.
        container: its spec.
        now: epoch seconds of the look.
        stays: it is to run on, and is started again whenever it ends.
    """
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or last
    running = state.get("running")
    readiness = probe_text(container)
    if running:
        ran = now - moment(running.get("startedAt"))
        lasted = _lasted(last)
        if last and (stays or last.get("exitCode")) and ran <= max(OUTLIVED * lasted, FRESH):
            return _ends(last, readiness, ready=bool(status.get("ready")), stays=stays)
        if ran < FRESH and (not status.get("ready") or container.get("livenessProbe")):
            return None
        passes = checks(container, "livenessProbe", "startupProbe") if status.get("started") is not False else set()
        ready: bool | None = bool(status.get("ready"))
        if ready:
            passes = frozenset(passes) | checks(container, "readinessProbe")
        elif container.get("readinessProbe") and ran < _patience(container["readinessProbe"]):
            ready = None
        return Manner(
            "runs",
            ready=ready if stays else None,
            started=status.get("started") is not False,
            passes=frozenset(passes),
            readiness=readiness,
        )
    # How it was while it ran is not told any more: one that lasted will have been ready.
    return _ends(ended, readiness, ready=_lasted(ended) > FRESH, stays=stays) if ended else None


def _ends(ended: Obj, readiness: str, *, ready: bool, stays: bool) -> Manner:
    code, reason = int(ended.get("exitCode") or 0), str(ended.get("reason") or "")
    told = str(ended.get("message") or "")
    if reason in ("StartError", "ContainerCannotRun"):
        return Manner("refused", code=code or 128, reason="StartError", told=told, readiness=readiness)
    kept = reason if reason == "OOMKilled" else ""
    return Manner("ends", _lasted(ended), code, kept, told, ready=ready, readiness=readiness, stays=stays)


def _lasted(ended: Obj) -> float:
    # Whole seconds are told; what failed at once took a part of one.
    return max(0.3, moment(ended.get("finishedAt")) - moment(ended.get("startedAt"))) if ended else 0.0


def _patience(probe: Obj) -> float:
    """Return for how many seconds a probe may fail before that says something."""
    tries = int(probe.get("failureThreshold") or 3)
    return float(probe.get("initialDelaySeconds") or 0) + tries * float(probe.get("periodSeconds") or 10)
