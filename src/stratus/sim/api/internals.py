"""Values as the server's own types print them: refusals show these, with capitalised names and every empty field."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]
_CORE = "io.k8s.api.core.v1."
#: Names whose capitals are not those of their JSON form.
_NAMES = {
    "aws": "AWS", "api": "API", "cpu": "CPU", "csi": "CSI", "dns": "DNS", "fc": "FC", "fs": "FS", "gce": "GCE",
    "grpc": "GRPC", "http": "HTTP", "id": "ID", "ip": "IP", "iscsi": "ISCSI", "nfs": "NFS", "os": "OS", "rbd": "RBD",
    "se": "SE", "tcp": "TCP", "tls": "TLS", "tty": "TTY", "uid": "UID", "cidr": "CIDR", "ca": "CA", "url": "URL",
    "ttl": "TTL", "wwids": "WWIDs", "cephfs": "CephFS", "uuid": "UUID", "iqn": "IQN",
}  # fmt: skip
_WHOLE = {"ips": "IPs", "cephfs": "CephFS", "clusterIPs": "ClusterIPs", "storageos": "StorageOS", "gcePersistentDisk":
          "GCEPersistentDisk", "targetWWNs": "TargetWWNs", "clientIP": "ClientIP"}  # fmt: skip
#: Fields that live in the security context there, with where they stand in it.
_SHARED = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
_POD_ORDER = (
    "volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy", "terminationGracePeriodSeconds",
    "activeDeadlineSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName", "automountServiceAccountToken",
    "nodeName", "securityContext", "imagePullSecrets", "hostname", "subdomain", "setHostnameAsFQDN", "affinity",
    "schedulerName", "tolerations", "hostAliases", "priorityClassName", "priority", "preemptionPolicy", "dnsConfig",
    "readinessGates", "runtimeClassName", "overhead", "enableServiceLinks", "topologySpreadConstraints", "os",
    "schedulingGates", "resourceClaims", "resources", "hostnameOverride", "schedulingGroup",
)  # fmt: skip
_SECURITY_ORDER = (
    "seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups",
    "supplementalGroupsPolicy", "fsGroup", "fsGroupChangePolicy", "sysctls", "seccompProfile", "appArmorProfile",
    "seLinuxChangePolicy",
)  # fmt: skip
_ZERO = {"s": "", "b": False, "i": 0, "l": 0, "f": 0}


def go_field(name: str) -> str:
    """Return the Go name of a field: `dnsPolicy` is DNSPolicy, `image` is Image."""
    if name in _WHOLE:
        return _WHOLE[name]
    head = re.match(r"[a-z]+", name)
    if head and head[0] in _NAMES:
        return _NAMES[head[0]] + name[head.end() :]
    return name[:1].upper() + name[1:]


def dump(type_name: str, value: Obj | None) -> Any:
    """Return an object of a type as the server's own type has it."""
    if value is None:
        return None
    return _struct(types.named(type_name), value)


def _struct(kind: Type, value: Obj) -> Any:
    if kind.name == _CORE + "PodSpec":
        return _pod_spec(kind, value)
    if kind.opaque or kind.name.startswith("io.k8s.apimachinery."):
        return value
    out: Obj = {}
    for field in kind.fields.values():
        if field.name == "metadata":
            out.update(value.get("metadata") or {})
        elif not kind.kinds or field.name not in ("apiVersion", "kind"):
            out[go_field(field.name)] = _field(field, value.get(field.name))
    return out


def _pod_spec(kind: Type, value: Obj) -> Obj:
    out: Obj = {}
    for name in _POD_ORDER:
        if name != "securityContext":
            out[go_field(name)] = _field(kind.fields[name], value.get(name))
            continue
        context = value.get(name)
        inner = types.named(_CORE + "PodSecurityContext")
        shared = {go_field(f): _field(kind.fields[f], value.get(f)) for f in _SHARED}
        own = {go_field(f): _field(inner.fields[f], (context or {}).get(f)) for f in _SECURITY_ORDER}
        out["SecurityContext"] = {**shared, **own} if context is not None else None
    return out


def _field(field: Field, value: Any) -> Any:
    if value is None:
        if field.containers or "p" in field.flags:
            return None
        if "." not in field.base:
            return _ZERO.get(field.base)
        if field.base == types.QUANTITY:
            return "0"
        if field.base == types.INT_OR_STRING:
            return 0
        kind = types.named(field.base)
        return None if kind.opaque else _struct(kind, {})
    return _inner(field, 0, value)


def _inner(field: Field, depth: int, value: Any) -> Any:
    if depth < len(field.containers):
        if isinstance(value, dict):
            return {k: _inner(field, depth + 1, v) for k, v in sorted(value.items())}
        return [_inner(field, depth + 1, v) for v in value]
    if "." in field.base and isinstance(value, dict):
        return _struct(types.named(field.base), value)
    return value


def difference(type_name: str, new: Obj, old: Obj, *, only: list[str] | None = None) -> str:
    """Return how two objects of a type differ, line by line, as refusals show it; `only` names the fields compared."""

    def lines_of(value: Obj) -> list[str]:
        shown = dump(type_name, value)
        if only is not None:
            kept = [go_field(name) for name in only]
            shown = {name: shown[name] for name in kept}
        return json.dumps(shown, indent=1, ensure_ascii=False).splitlines()

    before, after = lines_of(old), lines_of(new)
    lines = list(difflib.unified_diff(before, after, n=3, lineterm=""))[2:]
    return "\n".join(lines) + "\n" if lines else ""
