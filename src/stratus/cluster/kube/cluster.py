"""`KubeCluster`: one set of credentials, three separate ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from stratus.cluster.kube.changing import KubeRehearser, KubeWriter
from stratus.cluster.kube.channel import Channel
from stratus.cluster.kube.executing import KubeExecutor
from stratus.cluster.kube.reader import KubeReader
from stratus.errors import UsageError
from stratus.settings import Settings


class KubeCluster:
    """A cluster through an ApiClient of the official `kubernetes` package.

    Building one sends nothing; the first call of a port does. Nothing is retried: a read that fails says so, and
    whether a write without an answer happened is the transaction's question.

    Attributes:
        reader: `KubeReader`, a `ClusterReader` without any way to write.
        rehearser: `KubeRehearser`, a `ClusterRehearser`.
        writer: `KubeWriter`, a `ClusterWriter`; only the transaction engine is handed it.
        executor: `KubeExecutor`, a `ClusterExecutor`; the same holds.
    """

    def __init__(self, api_client: Any, *, timeout: float = 30.0, writer_client: Any = None) -> None:
        """Wrap a client.

        Args:
            api_client: `kubernetes.client.ApiClient`, for reading, rehearsing and (unless told otherwise) writing.
            timeout: seconds to wait for an answer; connecting is bounded by 5 s.
            writer_client: another ApiClient for the writer's and rehearser's own identity.
        """
        self._channels = [Channel(api_client, timeout=timeout)]
        if writer_client is not None:
            self._channels.append(Channel(writer_client, timeout=timeout))
        self.reader = KubeReader(self._channels[0])
        self.rehearser = KubeRehearser(self._channels[-1])
        self.writer = KubeWriter(self._channels[-1])
        self.executor = KubeExecutor(self._channels[-1])

    @classmethod
    def from_kubeconfig(cls, path: Path | str, context: str = "", *, timeout: float = 30.0) -> Self:
        """Use a context of a kubeconfig; the empty context is its current one.

        Raises:
            UsageError: the file cannot be read, is no kubeconfig, or lacks the context.
            ClusterUnreachable: its credentials cannot be used.
        """
        from stratus.cluster.kube.access import client_from_kubeconfig

        return cls(client_from_kubeconfig(Path(path).expanduser(), context), timeout=timeout)

    @classmethod
    def in_cluster(cls, *, timeout: float = 30.0) -> Self:
        """Use the service account of the pod this process runs in.

        Raises:
            UsageError: not in a pod.
        """
        from stratus.cluster.kube.access import client_in_cluster

        return cls(client_in_cluster(), timeout=timeout)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Use the kubeconfig of the settings, else the pod's service account, else the default kubeconfig.

        Raises:
            UsageError: there is none of them, or it cannot be used.
            ClusterUnreachable: its credentials cannot be used.
        """
        from stratus.cluster.kube.access import default_path, in_cluster_here

        if settings.kubeconfig is not None:
            return cls.from_kubeconfig(settings.kubeconfig, settings.context)
        if in_cluster_here() and not settings.context:
            return cls.in_cluster()
        path = default_path()
        if path is None:
            raise UsageError(
                "No cluster is configured: there is no kubeconfig at KUBECONFIG or ~/.kube/config. "
                "Name one with --kubeconfig, or try the embedded cluster with --embedded"
            )
        return cls.from_kubeconfig(path, settings.context)

    def close(self) -> None:
        """Close pooled connections."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
