"""A cluster with CoreDNS and kube-proxy in kube-system, a web application, and a client to look from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "nginx:1.25", ports: [{containerPort: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8080, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {nodeName: node1, containers: [{name: c, image: "debian:12", command: [sleep, infinity]}]}
"""


class Net:
    """The cluster, seen from its client."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab

    def pod(self, name: str = "client", namespace: str = "default") -> Any:
        found = self.lab.get("Pod", name, namespace)
        assert found is not None
        return found

    def connect(self, host: str, port: int, source: str = "client", **how: Any) -> Any:
        return self.lab.control.network.connect(self.pod(source), host, port, **how)

    def outside(self, host: str, port: int, **how: Any) -> Any:
        return self.lab.control.network.connect(None, host, port, **how)

    def lookup(self, name: str, kind: str = "A", source: str = "client", **how: Any) -> Any:
        return self.lab.control.network.lookup(self.pod(source), name, kind, **how)

    def rcode(self, name: str, source: str = "client") -> str:
        return str(self.lookup(name, source=source).rcode)

    def corefile(self, change: Callable[[str], str], wait: float = 60.0) -> None:
        found = self.lab.get("ConfigMap", "coredns", "kube-system")
        text = change(found["data"]["Corefile"])
        self.lab.patch("ConfigMap", "coredns", {"data": {"Corefile": text}}, "kube-system", "merge")
        self.lab.advance(wait)

    def dns_pods(self) -> list[Any]:
        return list(self.lab.pods("kube-system", **{"k8s-app": "kube-dns"}))

    def restart_dns(self) -> None:
        for pod in self.dns_pods():
            self.lab.delete("Pod", pod["metadata"]["name"], "kube-system")
        self.lab.advance(30)


def policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
