"""What the API server adds to a new pod, and why it refuses one: service account, limits, quota, tolerations, QoS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stratus.sim.controllers.common import AdmissionDenied, pod_finished, suffix
from stratus.sim.quantity import add_quantities, format_bytes, format_milli, parse_quantity
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
GRACE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def container_defaults(container: Obj) -> Obj:
    """Return a container with the fields the API server fills in."""
    filled = dict(container)
    resources = dict(filled.get("resources") or {})
    limits = resources.get("limits") or {}
    if limits:
        requests = dict(resources.get("requests") or {})
        for name, value in limits.items():
            requests.setdefault(name, value)
        resources["requests"] = requests
    filled["resources"] = resources
    filled.setdefault("terminationMessagePath", "/dev/termination-log")
    filled.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in filled:
        image = filled.get("image", "")
        tail = image.rpartition("/")[2]
        latest = "@" not in tail and (":" not in tail or tail.endswith(":latest"))
        filled["imagePullPolicy"] = "Always" if latest else "IfNotPresent"
    if filled.get("ports"):
        filled["ports"] = [{"protocol": "TCP", **p} for p in filled["ports"]]
    return filled


def qos_class(spec: Obj) -> str:
    """Return Guaranteed, Burstable or BestEffort."""
    any_set, guaranteed = False, True
    for container in [*spec.get("containers", ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            asked, most = parse_quantity(requests.get(name)), parse_quantity(limits.get(name))
            if asked or most:
                any_set = True
            if not most or asked != most:
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def pod_requests(spec: Obj, part: str = "requests") -> dict[str, float]:
    """Return what a pod asks for (or is limited to), sidecars and init containers counted as the scheduler does."""
    total: dict[str, float] = {}
    sidecars: dict[str, float] = {}
    peak: dict[str, float] = {}
    for container in spec.get("initContainers") or ():
        asked = {k: parse_quantity(v) for k, v in ((container.get("resources") or {}).get(part) or {}).items()}
        if container.get("restartPolicy") == "Always":
            for name, value in asked.items():
                sidecars[name] = sidecars.get(name, 0.0) + value
            for name, value in sidecars.items():
                peak[name] = max(peak.get(name, 0.0), value)
        else:
            for name, value in asked.items():
                peak[name] = max(peak.get(name, 0.0), value + sidecars.get(name, 0.0))
    for container in spec.get("containers", ()):
        for name, value in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = total.get(name, 0.0) + parse_quantity(value)
    for name, value in sidecars.items():
        total[name] = total.get(name, 0.0) + value
    for name, value in peak.items():
        total[name] = max(total.get(name, 0.0), value)
    for name, value in (spec.get("overhead") or {}).items():
        total[name] = total.get(name, 0.0) + parse_quantity(value)
    return total


class PodAdmission:
    """Completes a pod and checks it; call it with the pod, get the pod to store.

    The API server uses the same object for pods that users create.
    """

    def __init__(self, control: ControlPlane) -> None:
        self.control = control
        self.store = control.store

    def __call__(self, pod: Obj) -> Obj:
        """Return the completed pod.

        Raises:
            AdmissionDenied: with the server's text.
        """
        namespace = pod["metadata"]["namespace"]
        home = self.store.get("namespaces", "", namespace)
        if home is not None and "deletionTimestamp" in home["metadata"]:
            shown = pod["metadata"].get("generateName") or pod["metadata"]["name"]
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise AdmissionDenied(f'pods "{shown}" is forbidden: {why}')
        spec: dict[str, Any] = dict(pod["spec"])
        spec["containers"] = [container_defaults(c) for c in spec.get("containers") or ()]
        if spec.get("initContainers"):
            spec["initContainers"] = [container_defaults(c) for c in spec["initContainers"]]
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        spec.setdefault("dnsPolicy", "ClusterFirst")
        self._service_account(pod, spec, namespace)
        spec.setdefault("securityContext", {})
        spec.setdefault("schedulerName", "default-scheduler")
        self._limit_ranges(pod, spec, namespace)
        self._tolerations(spec)
        self._priority(spec)
        spec.setdefault("enableServiceLinks", True)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        result = {**pod, "spec": spec, "status": {"phase": "Pending", "qosClass": qos_class(spec)}}
        self._quota(result, namespace)
        return result

    def _service_account(self, pod: Obj, spec: dict[str, Any], namespace: str) -> None:
        name = spec.get("serviceAccountName") or "default"
        account = self.store.get("serviceaccounts", namespace, name)
        if account is None:
            shown = pod["metadata"].get("generateName") or pod["metadata"]["name"]
            raise AdmissionDenied(
                f'pods "{shown}" is forbidden: error looking up service account {namespace}/{name}: '
                f'serviceaccount "{name}" not found'
            )
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        held = any(m.get("mountPath") == TOKEN_PATH for c in spec["containers"] for m in c.get("volumeMounts") or ())
        if not automount or held:
            return
        volume = f"kube-api-access-{suffix(self.control.rng)}"
        sources: list[Obj] = [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ]
        projected = {"name": volume, "projected": {"sources": sources, "defaultMode": 420}}
        spec["volumes"] = [*(spec.get("volumes") or ()), projected]
        mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_PATH}
        for group in ("initContainers", "containers"):
            if spec.get(group):
                spec[group] = [{**c, "volumeMounts": [*(c.get("volumeMounts") or ()), mount]} for c in spec[group]]

    @staticmethod
    def _tolerations(spec: dict[str, Any]) -> None:
        have = list(spec.get("tolerations") or ())
        for key in GRACE_TAINTS:
            covered = any(
                (t.get("key") in (key, None, ""))
                and t.get("effect") in ("NoExecute", None, "")
                and (t.get("operator") == "Exists" or t.get("key") == key)
                for t in have
            )
            if not covered:
                have.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
        spec["tolerations"] = have

    def _priority(self, spec: dict[str, Any]) -> None:
        if "priority" in spec:
            return
        value = 0
        name = spec.get("priorityClassName")
        if name:
            found = self.store.get("priorityclasses.scheduling.k8s.io", "", name)
            value = int(found["value"]) if found else {"system-node-critical": 2000001000}.get(name, 0)
        spec["priority"] = value

    def _limit_ranges(self, pod: Obj, spec: dict[str, Any], namespace: str) -> None:
        for limit_range in self.store.list("limitranges", namespace):
            for item in limit_range["spec"].get("limits") or ():
                if item.get("type") != "Container":
                    continue
                for group in ("initContainers", "containers"):
                    if spec.get(group):
                        spec[group] = [self._limited(pod, c, item) for c in spec[group]]

    @staticmethod
    def _limited(pod: Obj, container: Obj, item: Obj) -> Obj:
        resources = dict(container.get("resources") or {})
        limits = {**(item.get("default") or {}), **(resources.get("limits") or {})}
        requests = {**(item.get("defaultRequest") or {}), **(resources.get("requests") or {})}
        if limits:
            resources["limits"] = limits
        for name, value in limits.items():
            requests.setdefault(name, value)
        if requests:
            resources["requests"] = requests
        name = pod["metadata"]["name"]
        problems = []
        for resource, most in (item.get("max") or {}).items():
            if resource not in limits:
                problems.append(f"maximum {resource} usage per Container is {most}.  No limit is specified")
            elif parse_quantity(limits[resource]) > parse_quantity(most):
                problems.append(f"maximum {resource} usage per Container is {most}, but limit is {limits[resource]}")
        for resource, least in (item.get("min") or {}).items():
            if resource not in requests:
                problems.append(f"minimum {resource} usage per Container is {least}.  No request is specified")
            elif parse_quantity(requests[resource]) < parse_quantity(least):
                problems.append(
                    f"minimum {resource} usage per Container is {least}, but request is {requests[resource]}"
                )
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise AdmissionDenied(f'pods "{name}" is forbidden: {text}')
        return {**container, "resources": resources}

    def _quota(self, pod: Obj, namespace: str) -> None:
        quotas = self.store.list("resourcequotas", namespace)
        if not quotas:
            return
        asked = pod_quota_usage(pod)
        used: dict[str, float] | None = None
        for quota in quotas:
            if quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"):
                continue
            hard = quota["spec"].get("hard") or {}
            name = pod["metadata"]["name"]
            unset = sorted(
                r
                for r in hard
                if (r not in asked and r in ("cpu", "memory"))
                or (
                    r.startswith(("limits.", "requests."))
                    and r not in asked
                    and r.partition(".")[2] in ("cpu", "memory")
                )
            )
            if unset:
                holes = "; ".join(f"{r} for: {','.join(c['name'] for c in pod['spec']['containers'])}" for r in unset)
                raise AdmissionDenied(
                    f'pods "{name}" is forbidden: failed quota: {quota["metadata"]["name"]}: must specify {holes}'
                )
            if used is None:
                used = namespace_pod_usage(self.control.index.in_namespace(namespace))
            over = [r for r in sorted(hard) if asked.get(r) and used.get(r, 0.0) + asked[r] > parse_quantity(hard[r])]
            if over:
                raise AdmissionDenied(
                    f'pods "{name}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, '
                    f"requested: {','.join(f'{r}={show(r, asked[r])}' for r in over)}, "
                    f"used: {','.join(f'{r}={show(r, used.get(r, 0.0))}' for r in over)}, "
                    f"limited: {','.join(f'{r}={hard[r]}' for r in over)}"
                )


def show(resource: str, value: float) -> str:
    """Write a quota figure."""
    return format_bytes(value) if resource.endswith(("memory", "storage")) else format_milli(value)


def pod_quota_usage(pod: Obj) -> dict[str, float]:
    """Return what one pod adds to the quota resources."""
    usage: dict[str, float] = {"pods": 1.0, "count/pods": 1.0}
    for name, value in pod_requests(pod["spec"]).items():
        usage[name] = usage[f"requests.{name}"] = value
    for name, value in pod_requests(pod["spec"], "limits").items():
        usage[f"limits.{name}"] = value
    return usage


def namespace_pod_usage(pods: list[Obj]) -> dict[str, float]:
    """Return the sum over the pods of a namespace that are not finished."""
    total: dict[str, float] = {}
    for pod in pods:
        if not pod_finished(pod):
            for name, value in pod_quota_usage(pod).items():
                total[name] = total.get(name, 0.0) + value
    return total


def quota_text(resource: str, value: float) -> str:
    """Write a used figure for a ResourceQuota's status."""
    return add_quantities(resource, [value])
