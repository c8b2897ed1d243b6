"""An ordinary workload that is none of our applications, and ten ways to break it with plain kubectl.

Nothing here knows the embedded cluster: the same manifests and commands run on any cluster. The image and its path are
settings, since not every cluster may pull from the same registry.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

IMAGE = os.environ.get("STRATUS_E2E_IMAGE", "nginx:1.27")
BAD_IMAGE = IMAGE.rpartition(":")[0] + ":0.0.0-does-not-exist"

START = (
    'if [ "$MODE" != production ]; then echo "unknown MODE: $MODE, expected production" >&2; exit 1; fi; '
    "exec nginx -g 'daemon off;'"
)


def manifests(namespace: str) -> str:
    """Return the workload: a ConfigMap, a web Deployment with its Service, and a bystander that nobody may touch."""
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: web-config, namespace: {namespace}}}
data: {{GREETING: hello, COLOUR: green}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {namespace}, labels: {{app: web}}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: {IMAGE}
        command: [sh, -c, {json.dumps(START)}]
        ports: [{{name: http, containerPort: 80}}]
        env:
        - {{name: MODE, value: production}}
        - name: GREETING
          valueFrom: {{configMapKeyRef: {{name: web-config, key: GREETING}}}}
        readinessProbe:
          httpGet: {{path: /, port: 80}}
          periodSeconds: 2
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 80}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: bystander, namespace: {namespace}, labels: {{app: bystander}}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: bystander}}}}
  template:
    metadata: {{labels: {{app: bystander}}}}
    spec:
      containers:
      - name: web
        image: {IMAGE}
        ports: [{{containerPort: 80}}]
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: bystander, namespace: {namespace}}}
spec:
  selector: {{app: bystander}}
  ports: [{{port: 80}}]
"""


@dataclass(frozen=True)
class Fault:
    """One way to break the workload.

    Attributes:
        commands: kubectl argument lists, without the namespace.
        faults: classes of cause that are a right answer.
        objects: `Kind/name` that are a right answer.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    faults: frozenset[str]
    objects: frozenset[str]


def _patch(kind: str, name: str, patch: str, how: str = "strategic") -> tuple[str, ...]:
    return ("patch", kind, name, f"--type={how}", "-p", patch)


def _container(body: str) -> str:
    return '{"spec":{"template":{"spec":{"containers":[{"name":"web",' + body + "}]}}}}"


WEB = frozenset({"Deployment/web"})

FAULTS = (
    Fault("bad-image", (("set", "image", "deployment/web", f"web={BAD_IMAGE}"),), frozenset({"image_pull"}), WEB),
    Fault("scaled-to-zero", (("scale", "deployment/web", "--replicas=0"),), frozenset({"scaled_to_zero"}), WEB),
    Fault(
        "wrong-selector",
        (_patch("service", "web", '{"spec":{"selector":{"app":"wbe"}}}'),),
        frozenset({"selector_mismatch", "no_endpoints"}),
        frozenset({"Service/web"}),
    ),
    Fault(
        "wrong-target-port",
        (_patch("service", "web", '[{"op":"replace","path":"/spec/ports/0/targetPort","value":9999}]', "json"),),
        frozenset({"wrong_target_port"}),
        frozenset({"Service/web"}),
    ),
    Fault(
        "missing-config-key",
        (
            _patch("configmap", "web-config", '[{"op":"remove","path":"/data/GREETING"}]', "json"),
            ("rollout", "restart", "deployment/web"),
        ),
        frozenset({"missing_config_key", "missing_config"}),
        frozenset({"ConfigMap/web-config", "Deployment/web"}),
    ),
    Fault(
        "failing-readiness-probe",
        (_patch("deployment", "web", _container('"readinessProbe":{"httpGet":{"path":"/","port":8081}}')),),
        frozenset({"probe_failing"}),
        WEB,
    ),
    Fault(
        "impossible-request",
        (("set", "resources", "deployment/web", "-c", "web", "--requests=cpu=500"),),
        frozenset({"unschedulable_resources"}),
        WEB,
    ),
    Fault(
        "crashing-command",
        (_patch("deployment", "web", _container('"command":["sh","-c","echo boom >&2; exit 1"]')),),
        frozenset({"crash_loop", "bad_command", "bad_change"}),
        WEB,
    ),
    Fault(
        "bad-env",
        (("set", "env", "deployment/web", "MODE=prodction"),),
        frozenset({"bad_env", "crash_loop", "bad_change"}),
        WEB,
    ),
    Fault(
        "unschedulable-node-selector",
        (_patch("deployment", "web", '{"spec":{"template":{"spec":{"nodeSelector":{"disk":"does-not-exist"}}}}}'),),
        frozenset({"unschedulable_selector"}),
        WEB,
    ),
)
