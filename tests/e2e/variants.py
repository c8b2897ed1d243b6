"""Workloads of many shapes and ways to break them, with what a right answer is; plain manifests and plain kubectl."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from target import Target
from workload import BAD_IMAGE, IMAGE

NAME = "api"
GUARD = (
    'if [ "$LEVEL" != info ]; then echo "invalid LEVEL: $LEVEL" >&2; exit 1; fi; '
    'if [ "${TIER:-fast}" != fast ]; then echo "unknown TIER: $TIER" >&2; exit 1; fi; exec nginx -g "daemon off;"'
)
RECREATE = {"type": "Recreate"}
ALL_AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
CRASH = frozenset({"crash_loop", "bad_command", "bad_change"})

Fault = Callable[[Target, str], None]


@dataclass(frozen=True)
class Variant:
    """One workload and one way in which it is broken.

    Attributes:
        faults: commands that break it, given the namespace; none: its first revision is broken.
        classes, kinds: right answers: classes of cause, and kinds of the object to blame (which is named `api...`).
        spec, container: what differs in its pod spec and in its main container.
        service: what differs in its Service's spec.
        states: ends that are right.
        setup: makes it by other means than the manifests.
        scope: `namespace`, `cluster` (no namespace is given) or `alert` (an alert names the service).
    """

    name: str
    classes: frozenset[str]
    kinds: frozenset[str] = frozenset({"Deployment"})
    faults: tuple[Fault, ...] = ()
    kind: str = "Deployment"
    replicas: int = 1
    strategy: dict[str, Any] | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)
    states: tuple[str, ...] = ("resolved",)
    setup: Fault | None = None
    scope: str = "namespace"

    def manifests(self) -> str:
        """Return the workload, its Service and configuration, and a bystander of the same image."""
        main = {
            "name": "main",
            "image": IMAGE,
            "ports": [{"name": "serve", "containerPort": 80}],
            "env": [{"name": "LEVEL", "value": "info"}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 2},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            **self.container,
        }
        main = {k: v for k, v in main.items() if v is not None}
        spec = {**self.spec, "containers": [main, *self.spec.get("containers", ())]}
        workload: dict[str, Any] = {
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME, "tier": "front"}}, "spec": spec},
        }
        if self.kind != "DaemonSet":
            workload["replicas"] = self.replicas
        if self.kind == "StatefulSet":
            workload["serviceName"] = NAME
        if self.strategy:
            workload["strategy"] = self.strategy
        service = {"selector": {"app": NAME}, "ports": [{"port": 8080, "targetPort": 80}], **self.service}
        plain = {"name": "main", "image": IMAGE, "ports": [{"containerPort": 80}]}
        other = {"selector": {"matchLabels": {"app": "other"}},
                 "template": {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [plain]}}}  # fmt: skip
        docs = [
            _object("v1", "ConfigMap", f"{NAME}-conf", data={"tier": "fast", "app.ini": "x=1"}),
            _object("apps/v1", "Deployment", "other", spec=other),
        ]
        if self.setup is None:
            docs.append(_object("apps/v1", self.kind, NAME, spec=workload))
            docs.append(_object("v1", "Service", NAME, spec=service))
        return "\n---\n".join(json.dumps(doc) for doc in docs)


def _object(version: str, kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **body}


def run(*arguments: str) -> Fault:
    """Break it with one kubectl command."""
    return lambda target, namespace: void(target.kubectl(*arguments, "-n", namespace))


def void(_: object) -> None:
    """Forget what a command printed."""


def patch(kind: str, name: str, body: Any, how: str = "strategic") -> Fault:
    """Break it with a patch."""
    return run("patch", kind, name, f"--type={how}", "-p", json.dumps(body))


def pods(kind: str = "deployment", container: str = "main", **body: Any) -> Fault:
    """Break it by a change to its main container."""
    return patch(kind, NAME, {"spec": {"template": {"spec": {"containers": [{"name": container, **body}]}}}})


def wait(seconds: float) -> Fault:
    """Let time pass between two commands."""
    return lambda target, namespace: target.wait(seconds)


def replace(*path: str | int, kind: str, value: Any) -> Fault:
    """Break it by applying its own manifest with one field changed."""

    def apply(target: Target, namespace: str) -> None:
        docs = [json.loads(d) for d in Variant("same", frozenset(), replicas=2).manifests().split("\n---\n")]
        spot: Any = next(d for d in docs if d["kind"] == kind and d["metadata"]["name"] == NAME)
        for step in path[:-1]:
            spot = spot[step]
        spot[path[-1]] = value
        target.kubectl("apply", "-n", namespace, "-f", "-", stdin="\n---\n".join(json.dumps(d) for d in docs))

    return apply


def created(target: Target, namespace: str) -> None:
    """Make the workload as a tutorial does: nothing declared, nothing probed, nothing applied."""
    target.kubectl("create", "deployment", NAME, f"--image={IMAGE}", "--replicas=2", "-n", namespace)
    target.kubectl("expose", "deployment", NAME, "--port=8080", "--target-port=80", "-n", namespace)


def key(name: str, kind: str = "configMapKeyRef", of: str = f"{NAME}-conf") -> dict[str, Any]:
    """Return a variable read from a key."""
    return {"name": "TIER", "valueFrom": {kind: {"name": of, "key": name}}}


LEVEL = {"name": "LEVEL", "value": "info"}
MOUNT = {
    "spec": {"volumes": [{"name": "conf", "configMap": {"name": f"{NAME}-conf", "items": [
        {"key": "app.ini", "path": "app.ini"}]}}]},
    "container": {"volumeMounts": [{"name": "conf", "mountPath": "/etc/app"}]},
}  # fmt: skip
SIDECAR = {"containers": [{"name": "helper", "image": IMAGE, "command": ["sh", "-c", "while true; do sleep 5; done"]}]}
NOWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"zone": "mars"}}}}}
WRONG_SELECTOR = patch("service", NAME, {"spec": {"selector": {"app": "apj"}}})
SERVICE = frozenset({"Service"})

VARIANTS = (
    # all old pods are gone
    Variant("recreate-image", frozenset({"image_pull"}), replicas=3, strategy=RECREATE,
            faults=(run("set", "image", f"deployment/{NAME}", f"main={BAD_IMAGE}"),), scope="cluster"),
    Variant("all-at-once-request", frozenset({"unschedulable_resources"}), replicas=3, strategy=ALL_AT_ONCE,
            faults=(run("set", "resources", f"deployment/{NAME}", "-c", "main", "--requests=memory=900Gi"),)),
    # a crash that takes its time, seen by no probe
    Variant("late-crash", CRASH, replicas=2, container={"readinessProbe": None},
            faults=(pods(command=["sh", "-c", "sleep 20; echo fatal >&2; exit 3"]), wait(45.0))),
    # Services
    Variant("named-port", frozenset({"wrong_target_port"}), SERVICE,
            service={"ports": [{"port": 8080, "targetPort": "serve"}]}, scope="alert",
            faults=(patch("service", NAME, [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": "srve"}],
                          "json"),)),
    Variant("sidecar-selector", frozenset({"selector_mismatch", "no_endpoints"}), SERVICE, spec=SIDECAR,
            faults=(run("set", "env", "deployment/other", "COLOUR=blue"), wait(15.0), WRONG_SELECTOR)),
    # made by hand: nothing declared, nothing probed, nothing applied
    Variant("by-hand-zero", frozenset({"scaled_to_zero"}), setup=created, replicas=2,
            faults=(run("scale", f"deployment/{NAME}", "--replicas=0"),)),
    # the first revision is broken already
    Variant("first-image", frozenset({"image_pull"}), container={"image": BAD_IMAGE}),
    Variant("first-command", CRASH, container={"command": ["ngnix-typo"]}),
    Variant("first-probe", frozenset({"probe_failing"}),
            container={"readinessProbe": {"httpGet": {"path": "/", "port": 8099}, "periodSeconds": 2}}),
    Variant("first-node", frozenset({"unschedulable_selector"}), spec={"nodeSelector": {"zone": "mars"}}),
    Variant("first-request", frozenset({"unschedulable_resources"}),
            container={"resources": {"requests": {"cpu": "900"}}}),
    Variant("first-key", frozenset({"missing_config_key"}), container={"env": [LEVEL, key("teir")]}),
    Variant("first-secret", frozenset({"missing_config"}), frozenset({"Secret", "Deployment"}),
            container={"env": [LEVEL, key("tier", "secretKeyRef", f"{NAME}-secret")]}, states=("unresolved",)),
    # configuration
    Variant("value-read-at-start", frozenset({"bad_change", "bad_env", "crash_loop"}),
            frozenset({"ConfigMap", "Deployment"}),
            container={"command": ["sh", "-c", GUARD], "env": [LEVEL, key("tier")]},
            faults=(patch("configmap", f"{NAME}-conf", {"data": {"tier": "bogus"}}, "merge"),
                    run("rollout", "restart", f"deployment/{NAME}"), wait(90.0))),
    Variant("mounted-key", frozenset({"missing_config_key"}), frozenset({"ConfigMap"}), strategy=RECREATE, **MOUNT,
            faults=(patch("configmap", f"{NAME}-conf", [{"op": "remove", "path": "/data/app.ini"}], "json"),
                    run("rollout", "restart", f"deployment/{NAME}"))),
    # a changed manifest
    Variant("applied-selector", frozenset({"selector_mismatch", "no_endpoints"}), SERVICE, replicas=2,
            faults=(replace("spec", "selector", kind="Service", value={"app": "api-v2"}),)),
    # two at once: each repair shows only in part
    Variant("zero-and-port", frozenset({"scaled_to_zero", "wrong_target_port"}), frozenset({"Deployment", "Service"}),
            replicas=3, faults=(
                run("scale", f"deployment/{NAME}", "--replicas=0"),
                patch("service", NAME, [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 81}], "json"))),
    # other controllers
    Variant("stateful-image", frozenset({"image_pull"}), frozenset({"StatefulSet"}), kind="StatefulSet", replicas=2,
            faults=(run("set", "image", f"statefulset/{NAME}", f"main={BAD_IMAGE}"), wait(30.0))),
    Variant("stateful-env", frozenset({"bad_env"}), frozenset({"StatefulSet"}), kind="StatefulSet", replicas=2,
            container={"command": ["sh", "-c", GUARD]},
            faults=(run("set", "env", f"statefulset/{NAME}", "LEVEL=shout"), wait(30.0))),
    Variant("daemon-node", frozenset({"unschedulable_selector"}), frozenset({"DaemonSet"}), kind="DaemonSet",
            faults=(patch("daemonset", NAME, NOWHERE),)),
)  # fmt: skip
