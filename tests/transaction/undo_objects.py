"""Random objects of every kind that the registry lets Stratus change: Hypothesis strategies that give manifests.

`manifest(kind, name)` gives a new object; with `like`, another one that may stand in its place: what the API server
keeps fixed once an object exists (selectors, types of Secrets, templates of Jobs) is taken over from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Draw = Callable[..., Any]

CUSTOM = ("undo.example.org/v1", "Widget")
VERSIONS = {
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1", "Pod": "v1",
    "Service": "v1", "ConfigMap": "v1", "Secret": "v1", "Job": "batch/v1", "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2", "Ingress": "networking.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1", "ServiceAccount": "v1",
    "Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1", "ResourceQuota": "v1",
    "LimitRange": "v1", CUSTOM[1]: CUSTOM[0],
}  # fmt: skip
"""Kinds with a generator, and the version in which it writes them. Nodes are taken as they are."""

WIDGETS: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.undo.example.org"},
    "spec": {
        "group": "undo.example.org",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}

IMAGES = ("nginx:1.27", "nginx:1.28", "redis:7", "busybox:1.36", "registry.k8s.io/pause:3.10")
TRICKY = ("uid", "metadata", "status", "resourceVersion", "generation", "spec", "name", "labels", "a.b", "A_b-c.conf")
"""Keys of data that have been mistaken for fields of the object."""

word = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
value = st.one_of(word, st.sampled_from(("", "true", "1", "007", "1e3", "null", "v1.2_x")))
key = st.one_of(word, st.builds("{}/{}".format, st.sampled_from(("example.org", "undo.test")), word))
labels = st.dictionaries(key, value, max_size=4)
text = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=30)
annotations = st.dictionaries(key, text, max_size=3)
data = st.dictionaries(st.one_of(st.sampled_from(TRICKY), word), text, max_size=5)
port = st.integers(1, 65535)
cpu = st.sampled_from(("1m", "10m", "0.1", "250m", "1"))
memory = st.sampled_from(("1Mi", "64Mi", "128M", "0.5Gi", "1e6"))
base64 = st.sampled_from(("", "YQ==", "c2VjcmV0", "AAEC/w=="))


def unique(strategy: Any, by: str, *, least: int = 0, most: int = 3) -> Any:
    """Lists of objects of which no two have the same value of a field."""
    return st.lists(strategy, min_size=least, max_size=most, unique_by=lambda item: item[by])


def maybe(**fields: Any) -> Any:
    """Objects with each of the fields or without."""
    return st.fixed_dictionaries({}, optional=fields)


amounts = maybe(cpu=cpu, memory=memory)
probe = st.fixed_dictionaries(
    {"tcpSocket": st.fixed_dictionaries({"port": st.just(80)})},
    optional={"periodSeconds": st.integers(1, 60), "failureThreshold": st.integers(1, 9)},
)
variable = st.one_of(
    st.fixed_dictionaries({"name": st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True), "value": text}),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(("POD_IP", "WHO")),
            "valueFrom": st.just({"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}),
        }
    ),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(("FROM_MAP", "MODE")),
            "valueFrom": st.just({"configMapKeyRef": {"name": "absent", "key": "k", "optional": True}}),
        }
    ),
)
resources = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"requests": st.just({"cpu": "1m", "memory": "1Mi"})}, optional={"limits": st.just({"cpu": "2"})}
    ),
    st.fixed_dictionaries({"limits": amounts}),
)
container = st.fixed_dictionaries(
    {"name": st.sampled_from(("main", "side", "proxy")), "image": st.sampled_from(IMAGES)},
    optional={
        "ports": unique(st.fixed_dictionaries({"containerPort": port}), "containerPort"),
        "env": unique(variable, "name"),
        "resources": resources,
        "args": st.lists(word, max_size=3),
        "imagePullPolicy": st.sampled_from(("Always", "IfNotPresent")),
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": st.sampled_from(([], [{"name": "scratch", "mountPath": "/scratch"}])),
        "terminationMessagePolicy": st.sampled_from(("File", "FallbackToLogsOnError")),
        "securityContext": maybe(readOnlyRootFilesystem=st.booleans(), allowPrivilegeEscalation=st.just(False)),
    },
)
toleration = st.fixed_dictionaries(
    {"key": word, "operator": st.just("Exists")}, optional={"effect": st.sampled_from(("NoSchedule", "NoExecute"))}
)


@st.composite
def pod_specs(draw: Draw, *, restart: str = "Always") -> Json:
    """Pod specifications."""
    containers = draw(unique(container, "name", least=1))
    if restart != "Always":
        containers = [{k: v for k, v in c.items() if not k.endswith("Probe")} for c in containers]
    more = draw(
        maybe(
            terminationGracePeriodSeconds=st.integers(0, 60),
            tolerations=unique(toleration, "key", most=2),
            hostAliases=unique(
                st.fixed_dictionaries(
                    {
                        "ip": st.sampled_from(("10.0.0.1", "10.0.0.2")),
                        "hostnames": st.lists(word, min_size=1, max_size=2, unique=True),
                    }
                ),
                "ip",
            ),
            nodeSelector=st.sampled_from(({}, {"kubernetes.io/os": "linux"})),
            securityContext=maybe(runAsUser=st.integers(0, 65535), fsGroup=st.integers(0, 65535)),
            dnsConfig=st.fixed_dictionaries(
                {"options": unique(st.fixed_dictionaries({"name": word, "value": word}), "name")}
            ),
            enableServiceLinks=st.booleans(),
            automountServiceAccountToken=st.booleans(),
            imagePullSecrets=st.sampled_from(([], [{"name": "absent"}])),
        )
    )
    volumes = [{"name": "scratch", "emptyDir": {}}]
    if draw(st.booleans()):
        volumes.append({"name": "conf", "configMap": {"name": "absent", "optional": True}})
    return {"containers": containers, "volumes": volumes, "restartPolicy": restart, **more}


def _template(draw: Draw, name: str, **more: Any) -> Json:
    found = {"labels": {**draw(labels), "app": name}}
    if draw(st.booleans()):
        found["annotations"] = draw(annotations)
    return {"metadata": found, "spec": draw(pod_specs(**more))}


def _deployment(draw: Draw, name: str, like: Json | None) -> Json:
    rolling = st.fixed_dictionaries(
        {
            "maxSurge": st.sampled_from((1, 2, "25%")),
            "maxUnavailable": st.sampled_from((0, 1, "25%")),
        }
    )
    rolls = st.fixed_dictionaries({"type": st.just("RollingUpdate"), "rollingUpdate": rolling})
    strategy = st.one_of(st.just({"type": "Recreate"}), rolls)
    more = draw(maybe(minReadySeconds=st.integers(0, 5), progressDeadlineSeconds=st.integers(60, 900)))
    return {
        "spec": {
            "replicas": draw(st.integers(0, 4)),
            "selector": {"matchLabels": {"app": name}},
            "strategy": draw(strategy),
            "template": _template(draw, name),
            **more,
        }
    }


def _stateful_set(draw: Draw, name: str, like: Json | None) -> Json:
    fixed = {k: like["spec"][k] for k in ("serviceName", "podManagementPolicy") if k in like["spec"]} if like else {}
    if like is None:
        fixed = {"serviceName": "absent", "podManagementPolicy": draw(st.sampled_from(("OrderedReady", "Parallel")))}
    update = st.fixed_dictionaries(
        {"type": st.just("RollingUpdate"), "rollingUpdate": st.fixed_dictionaries({"partition": st.integers(0, 2)})}
    )
    return {
        "spec": {
            "replicas": draw(st.integers(0, 3)),
            "selector": {"matchLabels": {"app": name}},
            "updateStrategy": draw(st.one_of(st.just({"type": "OnDelete"}), update)),
            "template": _template(draw, name),
            **fixed,
        }
    }


def _daemon_set(draw: Draw, name: str, like: Json | None) -> Json:
    update = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    chosen = st.sampled_from(({"type": "OnDelete"}, {"type": "RollingUpdate"}, update))
    return {
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "updateStrategy": draw(chosen),
            "template": _template(draw, name),
        }
    }


def _replica_set(draw: Draw, name: str, like: Json | None) -> Json:
    return {
        "spec": {
            "replicas": draw(st.integers(0, 3)),
            "selector": {"matchLabels": {"app": name}},
            "template": _template(draw, name),
        }
    }


def _pod(draw: Draw, name: str, like: Json | None) -> Json:
    if like is None:
        return {"spec": draw(pod_specs())}
    containers = [{**c, "image": draw(st.sampled_from(IMAGES))} for c in like["spec"]["containers"]]
    return {"spec": {**like["spec"], "containers": containers}}


def _service(draw: Draw, name: str, like: Json | None) -> Json:
    kind = draw(st.sampled_from(("ClusterIP", "ClusterIP", "NodePort")))
    ports = draw(
        unique(
            st.fixed_dictionaries(
                {"name": word, "port": st.integers(1, 9999)},
                optional={
                    "targetPort": st.one_of(port, st.just("http")),
                    "protocol": st.sampled_from(("TCP", "UDP")),
                    "appProtocol": st.just("http"),
                },
            ),
            "name",
            least=1,
        )
    )
    ports = list({p["port"]: p for p in ports}.values())
    more = draw(
        maybe(
            sessionAffinity=st.sampled_from(("None", "ClientIP")),
            publishNotReadyAddresses=st.booleans(),
            internalTrafficPolicy=st.sampled_from(("Cluster", "Local")),
        )
    )
    selector = {"app": draw(word), **draw(st.dictionaries(word, word, max_size=2))}
    return {"spec": {"type": kind, "ports": ports, "selector": selector, **more}}


def _config_map(draw: Draw, name: str, like: Json | None) -> Json:
    found: Json = {"data": draw(data)}
    if draw(st.booleans()):
        found["binaryData"] = {"bytes": draw(base64)}
    return found


def _secret(draw: Draw, name: str, like: Json | None) -> Json:
    kind = like.get("type", "Opaque") if like else draw(st.sampled_from(("Opaque", "example.org/own")))
    return {"type": kind, "data": draw(st.dictionaries(st.one_of(st.sampled_from(TRICKY), word), base64, max_size=4))}


def _job_spec(draw: Draw, name: str) -> Json:
    template = _template(draw, name, restart="Never")
    return {"suspend": True, "backoffLimit": draw(st.integers(0, 6)), "parallelism": 1, "template": template}


def _job(draw: Draw, name: str, like: Json | None) -> Json:
    """Jobs that do not run: what a running one has done cannot be compared."""
    if like is None:
        return {"spec": _job_spec(draw, name)}
    return {"spec": {"suspend": True, "parallelism": draw(st.integers(1, 4)), "backoffLimit": draw(st.integers(0, 6))}}


def _cron_job(draw: Draw, name: str, like: Json | None) -> Json:
    more = draw(
        maybe(
            concurrencyPolicy=st.sampled_from(("Allow", "Forbid", "Replace")),
            startingDeadlineSeconds=st.integers(10, 600),
            timeZone=st.sampled_from(("Etc/UTC", "Europe/Paris")),
        )
    )
    spec = _job_spec(draw, name)
    spec["template"]["metadata"].pop("labels")
    return {
        "spec": {
            "schedule": draw(st.sampled_from(("0 0 1 1 *", "@yearly", "5 4 3 2 1"))),
            "suspend": draw(st.booleans()),
            "jobTemplate": {"metadata": {"labels": draw(labels)}, "spec": spec},
            **more,
        }
    }


def _autoscaler(draw: Draw, name: str, like: Json | None) -> Json:
    metric = st.builds(
        lambda name, share: {
            "type": "Resource",
            "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": share}},
        },
        st.sampled_from(("cpu", "memory")),
        st.integers(1, 100),
    )
    more = draw(
        maybe(
            behavior=st.fixed_dictionaries(
                {"scaleDown": st.fixed_dictionaries({"stabilizationWindowSeconds": st.integers(0, 600)})}
            )
        )
    )
    least = draw(st.integers(1, 3))
    return {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "absent"},
            "minReplicas": least,
            "maxReplicas": draw(st.integers(least, 9)),
            "metrics": draw(st.lists(metric, min_size=1, max_size=2, unique_by=lambda m: m["resource"]["name"])),
            **more,
        }
    }


def _ingress(draw: Draw, name: str, like: Json | None) -> Json:
    backend = st.builds(lambda name, port: {"service": {"name": name, "port": {"number": port}}}, word, port)
    paths = unique(
        st.fixed_dictionaries(
            {
                "path": st.builds("/{}".format, word),
                "pathType": st.sampled_from(("Prefix", "Exact")),
                "backend": backend,
            }
        ),
        "path",
        least=1,
    )
    rules = draw(
        unique(
            st.fixed_dictionaries(
                {"host": st.builds("{}.example.org".format, word), "http": st.fixed_dictionaries({"paths": paths})}
            ),
            "host",
        )
    )
    spec: Json = {"rules": rules} if rules else {"defaultBackend": draw(backend)}
    if draw(st.booleans()):
        spec["ingressClassName"] = draw(word)
    return {"spec": spec}


def _network_policy(draw: Draw, name: str, like: Json | None) -> Json:
    peer = st.one_of(
        st.builds(lambda found: {"podSelector": {"matchLabels": found}}, st.dictionaries(word, word, max_size=2)),
        st.builds(lambda found: {"namespaceSelector": {"matchLabels": found}}, st.dictionaries(word, word, max_size=1)),
        st.just({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
    )
    ports = st.lists(st.fixed_dictionaries({"port": port, "protocol": st.sampled_from(("TCP", "UDP"))}), max_size=2)
    rule = st.fixed_dictionaries({}, optional={"from": st.lists(peer, min_size=1, max_size=2), "ports": ports})
    return {
        "spec": {
            "podSelector": {"matchLabels": draw(st.dictionaries(word, word, max_size=2))},
            "policyTypes": ["Ingress"],
            "ingress": draw(st.lists(rule, max_size=2)),
        }
    }


def _budget(draw: Draw, name: str, like: Json | None) -> Json:
    bound = draw(
        st.one_of(
            st.builds(lambda n: {"minAvailable": n}, st.sampled_from((0, 1, "50%"))),
            st.builds(lambda n: {"maxUnavailable": n}, st.sampled_from((1, "10%"))),
        )
    )
    return {"spec": {"selector": {"matchLabels": draw(st.dictionaries(word, word, min_size=1, max_size=2))}, **bound}}


def _service_account(draw: Draw, name: str, like: Json | None) -> Json:
    named = unique(st.fixed_dictionaries({"name": word}), "name", most=2)
    return draw(maybe(automountServiceAccountToken=st.booleans(), imagePullSecrets=named, secrets=named))


def _role(draw: Draw, name: str, like: Json | None) -> Json:
    rule = st.fixed_dictionaries(
        {
            "apiGroups": st.sampled_from(([""], ["apps"], ["", "apps"])),
            "resources": st.sampled_from((["pods"], ["configmaps", "services"], ["deployments"])),
            "verbs": st.lists(st.sampled_from(("get", "list", "watch")), min_size=1, max_size=3, unique=True),
        },
        optional={"resourceNames": st.lists(word, min_size=1, max_size=2, unique=True)},
    )
    return {"rules": draw(st.lists(rule, max_size=3))}


def _role_binding(draw: Draw, name: str, like: Json | None) -> Json:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "absent"}
    user = st.builds(lambda n: {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": n}, word)
    account = st.builds(lambda n: {"kind": "ServiceAccount", "name": n, "namespace": "default"}, word)
    return {"roleRef": role, "subjects": draw(unique(st.one_of(user, account), "name"))}


def _quota(draw: Draw, name: str, like: Json | None) -> Json:
    """Quotas so wide that no other object of the test meets them."""
    what = st.sampled_from(
        ("count/widgets.undo.example.org", "services.loadbalancers", "count/leases.coordination.k8s.io")
    )
    return {"spec": {"hard": draw(st.dictionaries(what, st.integers(500, 900).map(str), min_size=1, max_size=3))}}


def _limit_range(draw: Draw, name: str, like: Json | None) -> Json:
    claims = st.fixed_dictionaries(
        {
            "type": st.just("PersistentVolumeClaim"),
            "min": st.fixed_dictionaries({"storage": st.sampled_from(("1Mi", "1Ki"))}),
            "max": st.fixed_dictionaries({"storage": st.sampled_from(("1Gi", "100Gi"))}),
        }
    )
    return {"spec": {"limits": draw(st.lists(claims, min_size=1, max_size=1))}}


def _widget(draw: Draw, name: str, like: Json | None) -> Json:
    """Anything at all, the way custom resources come."""
    leaf = st.one_of(st.booleans(), st.integers(-9, 9), text)
    tree = st.recursive(
        leaf,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(key, inner, max_size=3)),
        max_leaves=6,
    )
    return {"spec": draw(st.dictionaries(key, tree, max_size=4))}


BODIES: dict[str, Callable[..., Json]] = {
    "Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set, "ReplicaSet": _replica_set,
    "Pod": _pod, "Service": _service, "ConfigMap": _config_map, "Secret": _secret, "Job": _job, "CronJob": _cron_job,
    "HorizontalPodAutoscaler": _autoscaler, "Ingress": _ingress, "NetworkPolicy": _network_policy,
    "PodDisruptionBudget": _budget, "ServiceAccount": _service_account, "Role": _role, "RoleBinding": _role_binding,
    "ResourceQuota": _quota, "LimitRange": _limit_range, CUSTOM[1]: _widget,
}  # fmt: skip


def manifest(draw: Draw, kind: str, name: str, like: Json | None = None) -> Json:
    """Draw an object of a kind; with `like`, one that may take its place."""
    meta: Json = {"name": name, "labels": draw(labels), "annotations": draw(annotations)}
    body = BODIES[kind](draw, name, like)
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": meta, **body}
