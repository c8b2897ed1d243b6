"""Resolves a container's environment and volumes from the objects it refers to, with the kubelet's error texts."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Any

from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj, Store

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
ConfigRef = tuple[str, str]


class ConfigError(Exception):
    """The container's configuration cannot be put together; the text is the kubelet's."""


class MountError(Exception):
    """A volume cannot be set up; the text is the kubelet's."""


def decoded(value: str) -> str:
    """Return a Secret's value as text (unreadable bytes replaced)."""
    try:
        return base64.b64decode(value, validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return value


def secret_data(secret: Obj) -> dict[str, str]:
    """Return a Secret's decoded contents."""
    data = {k: decoded(v or "") for k, v in (secret.get("data") or {}).items()}
    data.update(secret.get("stringData") or {})
    return data


def config_data(config: Obj) -> dict[str, str]:
    """Return a ConfigMap's contents, binary ones decoded."""
    data = {k: decoded(v or "") for k, v in (config.get("binaryData") or {}).items()}
    data.update({k: v or "" for k, v in (config.get("data") or {}).items()})
    return data


def expand(text: str, env: dict[str, str]) -> str:
    """Replace `$(NAME)` by its value where it is known, and `$$` by `$`."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        name = match.group(2)
        return env.get(name, match.group(0))

    return _REFERENCE.sub(value, text) if "$" in text else text


def field_value(pod: Obj, path: str, ip: str, host_ip: str) -> str:
    """Return what a downward API fieldRef gives."""
    meta, spec = pod["metadata"], pod["spec"]
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if found:
        return str((meta.get(found.group(1)) or {}).get(found.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        items = meta.get(path.partition(".")[2]) or {}
        return "\n".join(f'{k}="{v}"' for k, v in sorted(items.items()))
    simple = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": ip,
        "status.podIPs": ip,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
    }
    return str(simple.get(path, ""))


def service_variables(store: Store, namespace: str, links: bool) -> dict[str, str]:
    """Return the variables that announce Services to a container."""
    env: dict[str, str] = {}
    services = [s for s in store.list("services", namespace) if links] if links else []
    kubernetes = store.get("services", "default", "kubernetes")
    if kubernetes is not None and namespace != "default":
        services.append(kubernetes)
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or []
        if not address or address == "None" or not ports:
            continue
        known = tuple((p["port"], p.get("name", ""), p.get("protocol", "TCP")) for p in ports)
        env.update(_announced(service["metadata"]["name"], address, known))
    return env


@lru_cache(maxsize=4096)
def _announced(service: str, address: str, ports: tuple[tuple[int, str, str], ...]) -> dict[str, str]:
    """Return the variables of one Service; kept, so that thousands of containers share the texts."""
    name = service.upper().replace("-", "_")
    first, _, protocol = ports[0]
    env = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(first)}
    for number, called, _ in ports:
        if called:
            env[f"{name}_SERVICE_PORT_{called.upper().replace('-', '_')}"] = str(number)
    base = f"{name}_PORT_{first}_{protocol}"
    env[f"{name}_PORT"] = env[base] = f"{protocol.lower()}://{address}:{first}"
    env[f"{base}_PROTO"] = protocol.lower()
    env[f"{base}_PORT"] = str(first)
    env[f"{base}_ADDR"] = address
    return env


def _resource_value(container: Obj, pod: Obj, ref: Obj) -> str:
    name = ref.get("containerName")
    if name and name != container["name"]:
        container = next((c for c in pod["spec"].get("containers", ()) if c["name"] == name), container)
    group, _, resource = ref.get("resource", "").partition(".")
    amount = parse_quantity(((container.get("resources") or {}).get(group) or {}).get(resource))
    divisor = parse_quantity(ref.get("divisor") or "1") or 1.0
    return str(-(-int(amount * 1000) // int(divisor * 1000)))


def environment(store: Store, pod: Obj, container: Obj, ip: str, host_ip: str) -> dict[str, str]:
    """Return a container's environment.

    Raises:
        ConfigError: a ConfigMap, Secret or key is missing.
    """
    namespace = pod["metadata"]["namespace"]
    env = service_variables(store, namespace, pod["spec"].get("enableServiceLinks", True))
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for field, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            ref = source.get(field)
            if ref is None:
                continue
            found = store.get(f"{kind}s", namespace, ref.get("name", ""))
            if found is None:
                if ref.get("optional"):
                    continue
                raise ConfigError(f'{kind} "{ref.get("name", "")}" not found')
            data = config_data(found) if kind == "configmap" else secret_data(found)
            env.update({prefix + k: v for k, v in data.items()})
    for entry in container.get("env") or ():
        source = entry.get("valueFrom")
        if not source:
            env[entry["name"]] = expand(str(entry.get("value", "")), env)
            continue
        value = _from(store, pod, container, source, ip, host_ip)
        if value is not None:
            env[entry["name"]] = value
    return env


def _from(store: Store, pod: Obj, container: Obj, source: Obj, ip: str, host_ip: str) -> str | None:
    namespace = pod["metadata"]["namespace"]
    if source.get("fieldRef"):
        return field_value(pod, source["fieldRef"].get("fieldPath", ""), ip, host_ip)
    if source.get("resourceFieldRef"):
        return _resource_value(container, pod, source["resourceFieldRef"])
    for field, kind, shown in (
        ("configMapKeyRef", "configmap", "ConfigMap"),
        ("secretKeyRef", "secret", "Secret"),
    ):
        ref = source.get(field)
        if not ref:
            continue
        name, key, optional = ref.get("name", ""), ref.get("key", ""), bool(ref.get("optional"))
        found = store.get(f"{kind}s", namespace, name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'{kind} "{name}" not found')
        data = config_data(found) if kind == "configmap" else secret_data(found)
        if key not in data:
            if optional:
                return None
            raise ConfigError(f"couldn't find key {key} in {shown} {namespace}/{name}")
        return data[key]
    return ""


def must_not_be_root(pod: Obj, container: Obj) -> None:
    """Check a container whose image runs as root against what its security context asks for.

    Raises:
        ConfigError: it may not run as root but would.
    """
    mine, pods = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    if not mine.get("runAsNonRoot", pods.get("runAsNonRoot")):
        return
    user = mine.get("runAsUser", pods.get("runAsUser"))
    meta = pod["metadata"]
    where = f'(pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
    if user == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
    if user is None:
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def volume_files(store: Store, pod: Obj, volume: Obj, ip: str = "", host_ip: str = "") -> dict[str, str]:
    """Return the files (relative path to content) that a ConfigMap, Secret, downward or projected volume shows.

    Raises:
        MountError: what it refers to is missing.
    """
    namespace = pod["metadata"]["namespace"]
    if volume.get("configMap") is not None:
        ref = volume["configMap"]
        return _files(store, namespace, "configmap", ref.get("name", ""), ref)
    if volume.get("secret") is not None:
        ref = volume["secret"]
        return _files(store, namespace, "secret", ref.get("secretName", ""), ref)
    if volume.get("downwardAPI") is not None:
        return _downward(pod, volume["downwardAPI"], ip, host_ip)
    if volume.get("projected") is not None:
        files: dict[str, str] = {}
        for source in volume["projected"].get("sources") or ():
            if source.get("configMap"):
                files |= _files(store, namespace, "configmap", source["configMap"].get("name", ""), source["configMap"])
            elif source.get("secret"):
                files |= _files(store, namespace, "secret", source["secret"].get("name", ""), source["secret"])
            elif source.get("downwardAPI"):
                files |= _downward(pod, source["downwardAPI"], ip, host_ip)
            elif source.get("serviceAccountToken"):
                files[source["serviceAccountToken"].get("path", "token")] = f"token.{pod['metadata']['uid']}"
        return files
    return {}


def _files(store: Store, namespace: str, kind: str, name: str, ref: dict[str, Any]) -> dict[str, str]:
    found = store.get(f"{kind}s", namespace, name)
    if found is None:
        if ref.get("optional"):
            return {}
        raise MountError(f'{kind} "{name}" not found')
    data = config_data(found) if kind == "configmap" else secret_data(found)
    items = ref.get("items")
    if not items:
        return data
    files = {}
    for item in items:
        if item["key"] not in data:
            if ref.get("optional"):
                continue
            word = "config" if kind == "configmap" else "secret"
            raise MountError(f"references non-existent {word} key: {item['key']}")
        files[item.get("path", item["key"])] = data[item["key"]]
    return files


def _downward(pod: Obj, source: Obj, ip: str, host_ip: str) -> dict[str, str]:
    return {
        item["path"]: field_value(pod, item["fieldRef"].get("fieldPath", ""), ip, host_ip)
        for item in source.get("items") or ()
        if item.get("fieldRef")
    }


def mount_all(store: Store, pod: Obj) -> list[tuple[str, str]]:
    """Return (volume, what is wrong) for every volume of a pod that cannot be set up."""
    problems = []
    for volume in pod["spec"].get("volumes") or ():
        try:
            volume_files(store, pod, volume)
        except MountError as error:
            problems.append((volume["name"], str(error)))
    return problems


def config_refs(pod: Obj) -> set[ConfigRef]:
    """Return the (resource, name) of the ConfigMaps and Secrets a pod's volumes need."""
    refs: set[ConfigRef] = set()
    for volume in pod["spec"].get("volumes") or ():
        for source in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
            if source.get("configMap"):
                refs.add(("configmaps", source["configMap"].get("name", "")))
            if source.get("secret"):
                refs.add(("secrets", source["secret"].get("secretName") or source["secret"].get("name", "")))
    return refs
