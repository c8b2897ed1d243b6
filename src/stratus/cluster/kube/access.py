"""Where the official client and its credentials come from; every way in which that fails says so in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stratus.errors import ClusterUnreachable, UsageError


def default_path() -> Path | None:
    """Return the kubeconfig that kubectl would use (the first existing one of `KUBECONFIG`), or None."""
    listed = os.environ.get("KUBECONFIG", "")
    paths = [Path(p).expanduser() for p in listed.split(os.pathsep) if p] or [Path("~/.kube/config").expanduser()]
    return next((p for p in paths if p.is_file()), None)


def in_cluster_here() -> bool:
    """Whether this process runs in a pod with a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def client_from_kubeconfig(path: Path, context: str) -> Any:
    """Return an ApiClient for a context of a kubeconfig; the empty context is the current one.

    Raises:
        UsageError: the file cannot be read, is no kubeconfig, or lacks the context.
        ClusterUnreachable: its credentials cannot be used (a missing certificate file, a failing plug-in).
    """
    import yaml
    from kubernetes import client, config

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise UsageError(f"The kubeconfig {path} does not exist. Name one with --kubeconfig") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"The kubeconfig {path} cannot be read: {problem}") from problem
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise UsageError(f"The kubeconfig {path} is not YAML: {' '.join(str(problem).split())}") from problem
    _check(path, document, context)
    configuration = client.Configuration()
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(path),
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    except Exception as problem:
        raise ClusterUnreachable(
            f"The credentials of the kubeconfig {path} cannot be used: {' '.join(str(problem).split())}"
        ) from problem
    return _client(configuration)


def client_in_cluster() -> Any:
    """Return an ApiClient for the service account of the pod we run in.

    Raises:
        UsageError: not in a pod.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as problem:
        raise UsageError(
            f"No in-cluster credentials: {' '.join(str(problem).split())} Name a kubeconfig with --kubeconfig"
        ) from problem
    return _client(configuration)


def _client(configuration: Any) -> Any:
    from kubernetes import client

    try:
        return client.ApiClient(configuration=configuration)
    except Exception as problem:  # a certificate file that is not there or not one
        raise ClusterUnreachable(
            f"The TLS settings of the kubeconfig cannot be used: {' '.join(str(problem).split())}"
        ) from problem


def _check(path: Path, document: object, context: str) -> None:
    """Refuse what the client library would answer with a riddle."""
    if not isinstance(document, dict) or not isinstance(document.get("clusters"), list) or not document["clusters"]:
        raise UsageError(f"{path} is not a kubeconfig: it lists no clusters")
    contexts = [c.get("name") for c in document.get("contexts") or () if isinstance(c, dict)]
    wanted = context or document.get("current-context") or ""
    if not wanted:
        raise UsageError(f"The kubeconfig {path} has no current-context. Name one of: {_listed(contexts)}")
    if wanted not in contexts:
        raise UsageError(f"The kubeconfig {path} has no context {wanted!r}. It has: {_listed(contexts)}")
    entry = next(c for c in document["contexts"] if isinstance(c, dict) and c.get("name") == wanted)
    cluster = (entry.get("context") or {}).get("cluster") if isinstance(entry.get("context"), dict) else None
    found = next((c for c in document["clusters"] if isinstance(c, dict) and c.get("name") == cluster), None)
    server = (found.get("cluster") or {}).get("server") if found and isinstance(found.get("cluster"), dict) else None
    if not isinstance(server, str) or not server:
        raise UsageError(f"The context {wanted!r} of {path} names the cluster {cluster!r}, which has no server there")


def _listed(names: list[Any]) -> str:
    return ", ".join(str(n) for n in names) or "none"
