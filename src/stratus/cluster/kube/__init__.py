"""The cluster ports on the official Kubernetes client, speaking raw JSON."""

from stratus.cluster.kube.cluster import KubeCluster

__all__ = ["KubeCluster"]
