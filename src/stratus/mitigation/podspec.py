"""What a pod template asks for, as sets that can be compared: privileges, protections, code, images."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from stratus.model.base import Json

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HARDENING = ("runAsNonRoot", "readOnlyRootFilesystem")


def pod_spec(obj: Json | None) -> Json:
    """Return the pod spec inside an object of any kind; empty when it has none."""
    spec = (obj or {}).get("spec") or {}
    if (obj or {}).get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    if isinstance(spec.get("template"), dict):
        spec = spec["template"].get("spec") or {}
    return spec if isinstance(spec, dict) and isinstance(spec.get("containers"), list) else {}


def privileges(obj: Json | None) -> frozenset[str]:
    """Return every way in which the pods reach beyond their container, such as `hostNetwork` or `privileged of web`."""
    spec = pod_spec(obj)
    found = {field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)}
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            found.add(f"hostPath {(volume['hostPath'] or {}).get('path', '')}")
        for source in (volume.get("projected") or {}).get("sources") or []:
            if "serviceAccountToken" in source:
                found.add("serviceAccountToken volume")
    found |= _root("pod", spec.get("securityContext") or {})
    for container in _containers(spec):
        name, context = container.get("name", ""), container.get("securityContext") or {}
        found |= {f"{field} of {name}" for field in ("privileged", "allowPrivilegeEscalation") if context.get(field)}
        found |= {f"capability {c} of {name}" for c in (context.get("capabilities") or {}).get("add") or []}
        found |= {f"procMount of {name}" for _ in [0] if context.get("procMount", "Default") != "Default"}
        found |= {f"hostPort {p['hostPort']} of {name}" for p in container.get("ports") or [] if p.get("hostPort")}
        found |= _root(name, context)
    return frozenset(found)


def protections(obj: Json | None) -> frozenset[str]:
    """Return what guards the pods or their neighbours: probes, limits, hardening."""
    spec = pod_spec(obj)
    found = {f"{field} of the pod" for field in _HARDENING if (spec.get("securityContext") or {}).get(field)}
    for container in _containers(spec):
        name, context = container.get("name", ""), container.get("securityContext") or {}
        found |= {f"{probe} of {name}" for probe in _PROBES if container.get(probe)}
        limits = (container.get("resources") or {}).get("limits") or {}
        found |= {f"{resource} limit of {name}" for resource in limits}
        found |= {f"{field} of {name}" for field in _HARDENING if context.get(field)}
        found |= {f"dropped capability {c} of {name}" for c in (context.get("capabilities") or {}).get("drop") or []}
    return frozenset(found)


def code(obj: Json | None) -> dict[str, str]:
    """Return what runs besides the image's own entry point, by place: commands, arguments, hooks, exec probes."""
    found = {}
    for container in _containers(pod_spec(obj)):
        name = container.get("name", "")
        for field in ("command", "args", "lifecycle"):
            if container.get(field):
                found[f"{field} of {name}"] = json.dumps(container[field], sort_keys=True)
        for probe in _PROBES:
            if (container.get(probe) or {}).get("exec"):
                found[f"{probe} command of {name}"] = json.dumps(container[probe]["exec"], sort_keys=True)
    return found


def service_account(obj: Json | None) -> str:
    """Return the service account the pods run as."""
    return str(pod_spec(obj).get("serviceAccountName") or "default")


def images(obj: Json | None) -> frozenset[str]:
    """Return the images of all containers."""
    return frozenset(str(c["image"]) for c in _containers(pod_spec(obj)) if c.get("image"))


def repository(image: str) -> str:
    """Return an image's repository without tag and digest; `docker.io/library/` is left out as the runtime adds it."""
    name = image.partition("@")[0]
    name = re.sub(r":[\w.-]+$", "", name) if ":" in name.rpartition("/")[2] else name
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/"):
        name = name.removeprefix(prefix)
    return name


def _containers(spec: Json) -> Iterator[dict[str, Any]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from (c for c in spec.get(field) or [] if isinstance(c, dict))


def _root(name: str, context: Json) -> set[str]:
    return {f"runAsUser 0 of {name}"} if context.get("runAsUser") == 0 else set()
