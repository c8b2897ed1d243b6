"""Pod templates, containers and volumes as `describe` and `rollout history` show them; lines with tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.cluster.kubectl.reads.spans import written
from stratus.kit.kube import dig
from stratus.model.base import Json

Lines = list[str]


def indent(lines: Lines, by: int = 2) -> Lines:
    """Return lines moved to the right."""
    return [" " * by + line if line else line for line in lines]


def several(
    title: str, pairs: dict[str, Any] | None, *, sign: str = "=", hide: Callable[[str], bool] | None = None
) -> Lines:
    """Return labels or annotations, one a line, the title before the first."""
    shown = [f"{k}{sign}{v}" for k, v in sorted((pairs or {}).items()) if not (hide and hide(k))]
    return [f"{title}:\t{line}" if not at else f"\t{line}" for at, line in enumerate(shown)] or [f"{title}:\t<none>"]


def notes(pairs: dict[str, Any] | None) -> Lines:
    """Return annotations: long ones below their key, cut; the record of an apply left out."""
    shown = []
    for key, value in sorted((pairs or {}).items()):
        if key.endswith("last-applied-configuration"):
            continue
        text = str(value).rstrip("\n")
        if "\n" in text or len(key) + len(text) > 138:
            shown += [
                f"{key}:",
                *(f"  {line if len(line) <= 140 else line[:138] + '...'}" for line in text.split("\n")),
            ]
        else:
            shown.append(f"{key}: {text}")
    return [f"Annotations:\t{line}" if not at else f"\t{line}" for at, line in enumerate(shown)] or [
        "Annotations:\t<none>"
    ]


def pod_template(template: Json) -> Lines:
    """Return a pod template."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    lines = several("Labels", meta.get("labels"))
    if meta.get("annotations"):
        lines += notes(meta["annotations"])
    if spec.get("serviceAccountName"):
        lines.append(f"Service Account:\t{spec['serviceAccountName']}")
    if spec.get("initContainers"):
        lines += ["Init Containers:", *containers(spec["initContainers"], None)]
    lines += ["Containers:", *containers(spec.get("containers") or [], None), *volumes(spec)]
    if spec.get("topologySpreadConstraints"):
        lines.append(f"Topology Spread Constraints:\t{len(spec['topologySpreadConstraints'])}")
    if spec.get("priorityClassName"):
        lines.append(f"Priority Class Name:\t{spec['priorityClassName']}")
    return ["Pod Template:", *indent([*lines, *placement(spec)])]


def placement(spec: Json) -> Lines:
    """Return node selectors and tolerations."""
    return [*several("Node-Selectors", spec.get("nodeSelector")), *tolerations(spec)]


def tolerations(spec: Json) -> Lines:
    """Return tolerations."""
    found = []
    for toleration in sorted(spec.get("tolerations") or (), key=lambda t: str(t.get("key", ""))):
        text = str(toleration.get("key") or "")
        text += f"={toleration['value']}" if toleration.get("value") else ""
        text += f":{toleration['effect']}" if toleration.get("effect") else ""
        if toleration.get("operator") == "Exists" and not toleration.get("value"):
            text += " op=Exists" if text else "op=Exists"
        if toleration.get("tolerationSeconds") is not None:
            text += f" for {toleration['tolerationSeconds']}s"
        found.append(text)
    return [f"Tolerations:\t{line}" if not at else f"\t{line}" for at, line in enumerate(found)] or [
        "Tolerations:\t<none>"
    ]


def containers(specs: list[Json], statuses: dict[str, Json] | None) -> Lines:
    """Return containers; with the state of each when statuses are given."""
    lines: Lines = []
    for spec in specs:
        status = (statuses or {}).get(spec["name"])
        pad = "  " if statuses is not None else " "
        lines.append(f"{pad}{spec['name']}:")
        lines += indent(_container(spec, status, live=statuses is not None), 4)
    return lines


def _container(spec: Json, status: Json | None, *, live: bool) -> Lines:
    lines: Lines = []
    if status is not None:
        lines.append(f"Container ID:\t{status.get('containerID', '')}")
    lines.append(f"Image:\t{spec.get('image', '')}")
    if status is not None:
        lines.append(f"Image ID:\t{status.get('imageID', '')}")
    ports = spec.get("ports") or []
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        shown = ", ".join(
            f"{p.get(field, 0)}/{p.get('protocol', 'TCP')}" + (f" ({p['name']})" if p.get("name") else "")
            for p in ports
        )
        lines.append(f"{title}{'s' if len(ports) > 1 else ''}:\t{shown or '<none>'}")
    for title, field in (("Command", "command"), ("Args", "args")):
        if spec.get(field):
            lines += [f"{title}:", *(f"  {line}" for word in spec[field] for line in str(word).split("\n"))]
    if status is not None:
        lines += _states(status)
    resources = spec.get("resources") or {}
    for title in ("Limits", "Requests"):
        amounts = resources.get(title.lower())
        if amounts:
            lines += [f"{title}:", *(f"  {k}:\t{v}" for k, v in sorted(amounts.items()))]
    for title in ("Liveness", "Readiness", "Startup"):
        probe = spec.get(f"{title.lower()}Probe")
        if probe:
            lines.append(f"{title}:\t{probe_text(probe)}")
    lines += _environment(spec)
    mounts = [
        f"  {m['mountPath']} from {m['name']} ({'ro' if m.get('readOnly') else 'rw'}"
        + (f',path="{m["subPath"]}"' if m.get("subPath") else "")
        + ")"
        for m in sorted(spec.get("volumeMounts") or (), key=lambda m: str(m["mountPath"]))
    ]
    return [*lines, *(["Mounts:", *mounts] if mounts else ["Mounts:\t<none>"])]


def _states(status: Json) -> Lines:
    lines = _state("State", status.get("state") or {})
    if status.get("lastState"):
        lines += _state("Last State", status["lastState"])
    return [*lines, f"Ready:\t{status.get('ready', False)}", f"Restart Count:\t{status.get('restartCount', 0)}"]


def _state(title: str, state: Json) -> Lines:
    for word in ("running", "waiting", "terminated"):
        if word in state:
            held = state[word] or {}
            lines = [f"{title}:\t{word.capitalize()}"]
            for field, key in (("Reason", "reason"), ("Message", "message")):
                if held.get(key):
                    lines.append(f"  {field}:\t{held[key]}")
            if word == "terminated":
                lines.append(f"  Exit Code:\t{held.get('exitCode', 0)}")
                if held.get("signal"):
                    lines.append(f"  Signal:\t{held['signal']}")
            if word != "waiting":
                lines.append(f"  Started:\t{written(held.get('startedAt'))}")
            if word == "terminated":
                lines.append(f"  Finished:\t{written(held.get('finishedAt'))}")
            return lines
    return [f"{title}:\tWaiting"]


def _environment(spec: Json) -> Lines:
    lines: Lines = []
    for source in spec.get("envFrom") or ():
        kind = next((k for k in ("configMapRef", "secretRef") if k in source), "")
        held: Json = source.get(kind) or {}
        words = {"configMapRef": "ConfigMap", "secretRef": "Secret"}.get(kind, kind)
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        lines.append(f"  {held.get('name', '')}\t{words}{prefix}\tOptional: {str(held.get('optional', False)).lower()}")
    found: Lines = ["Environment Variables from:", *lines] if lines else []
    env = spec.get("env") or []
    if not env:
        return [*found, "Environment:\t<none>"]
    found.append("Environment:")
    for entry in env:
        source = entry.get("valueFrom") or {}
        optional = "\tOptional: {}"
        if not source:
            first, *rest = str(entry.get("value") or "").split("\n")
            found += [f"  {entry['name']}:\t{first}", *(f"\t{line}" for line in rest)]
        elif "fieldRef" in source:
            field = source["fieldRef"]
            found.append(f"  {entry['name']}:\t ({field.get('apiVersion', 'v1')}:{field['fieldPath']})")
        elif "resourceFieldRef" in source:
            ref = source["resourceFieldRef"]
            found.append(f"  {entry['name']}:\t ({ref.get('resource')})")
        else:
            kind, ref = next(iter(source.items()))
            where = "config map" if kind == "configMapKeyRef" else "secret" if kind == "secretKeyRef" else kind
            may = optional.format(str(ref.get("optional", False)).lower())
            found.append(
                f"  {entry['name']}:\t<set to the key '{ref.get('key')}' {_of(where)} '{ref.get('name')}'>{may}"
            )
    return found


def _of(where: str) -> str:
    return f"in {where}" if where == "secret" else f"of {where}"


def probe_text(probe: Json) -> str:
    """Return a probe in one line."""
    timing = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s successThreshold={probe.get('successThreshold', 1)} "
        f"failureThreshold={probe.get('failureThreshold', 3)}"
    )
    if "exec" in probe:
        return f"exec [{' '.join(dig(probe, 'exec', 'command', default=[]))}] {timing}"
    if "httpGet" in probe:
        http = probe["httpGet"]
        address = f"{str(http.get('scheme', 'HTTP')).lower()}://{http.get('host', '')}:{http.get('port', '')}"
        return f"http-get {address}{http.get('path', '')} {timing}"
    if "tcpSocket" in probe:
        return f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket'].get('port', '')} {timing}"
    if "grpc" in probe:
        return f"grpc <pod>:{probe['grpc'].get('port')} {probe['grpc'].get('service') or ''} {timing}"
    return f"unknown {timing}"


_VOLUMES = {
    "configMap": ("ConfigMap (a volume populated by a ConfigMap)", (("Name", "name"), ("Optional", "optional"))),
    "secret": ("Secret (a volume populated by a Secret)", (("SecretName", "secretName"), ("Optional", "optional"))),
    "emptyDir": (
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium", "medium"), ("SizeLimit", "sizeLimit")),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName"), ("ReadOnly", "readOnly")),
    ),
    "hostPath": ("HostPath (bare host directory volume)", (("Path", "path"), ("HostPathType", "type"))),
}


def volumes(spec: Json) -> Lines:
    """Return volumes."""
    if not spec.get("volumes"):
        return ["Volumes:\t<none>"]
    lines = ["Volumes:"]
    for volume in spec["volumes"]:
        lines += [f" {volume['name']}:", *volume_source(volume)]
    return lines


def volume_source(volume: Json) -> Lines:
    """Return what is behind a volume, or a persistent one."""
    kind = next((k for k in volume if k == "projected" or k in _VOLUMES), "")
    kind = kind or next((k for k, v in volume.items() if isinstance(v, dict) and k not in _NO_SOURCE), "")
    held = volume.get(kind) or {}
    if kind == "projected":
        return indent(_projected(held), 4)
    if kind not in _VOLUMES:
        return [f"    Type:\t{kind}", *(f"    {k}:\t{v}" for k, v in sorted(held.items()))]
    title, fields = _VOLUMES[kind]
    lines = [f"    Type:\t{title}"]
    for name, key in fields:
        value = held.get(key)
        value = ("<unset>" if key == "sizeLimit" else "") if value is None else value
        if key in ("optional", "readOnly"):
            value = str(bool(held.get(key))).lower()
        lines.append(f"    {name}:\t{value}")
    return lines


_NO_SOURCE = ("capacity", "claimRef", "nodeAffinity")


def _projected(held: Json) -> Lines:
    lines = ["Type:\tProjected (a volume that contains injected data from multiple sources)"]
    for source in held.get("sources") or ():
        if "serviceAccountToken" in source:
            lines.append(f"TokenExpirationSeconds:\t{source['serviceAccountToken'].get('expirationSeconds')}")
        elif "configMap" in source:
            optional = str(source["configMap"].get("optional", False)).lower()
            lines += [f"ConfigMapName:\t{source['configMap'].get('name')}", f"Optional:\t{optional}"]
        elif "secret" in source:
            lines += [f"SecretName:\t{source['secret'].get('name')}"]
        elif "downwardAPI" in source:
            lines.append("DownwardAPI:\ttrue")
    return lines
