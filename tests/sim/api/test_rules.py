"""What each kind insists on: one wrong value at a time, with the cause a real server gives for it."""

import copy
from typing import Any

import pytest

REQUIRED, INVALID, UNSUPPORTED = "FieldValueRequired", "FieldValueInvalid", "FieldValueNotSupported"
FORBIDDEN, DUPLICATE, MISSING = "FieldValueForbidden", "FieldValueDuplicate", "FieldValueNotFound"
NEGATIVE = "must be greater than or equal to 0"
Cause = tuple[str, str, str]

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
SELECTED = {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}
JOB = {**TEMPLATE["spec"], "restartPolicy": "Never"}
HOOK = {
    "name": "a.b.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    "clientConfig": {"url": "https://x.io/y"},
}  # fmt: skip
SCHEMA = {"openAPIV3Schema": {"type": "object"}}
#: A good object of each kind, and where it is made.
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "Pod": ("/api/v1/namespaces/default/pods", {"spec": TEMPLATE["spec"]}),
    "Deployment": ("/apis/apps/v1/namespaces/default/deployments", {"spec": SELECTED}),
    "ReplicaSet": ("/apis/apps/v1/namespaces/default/replicasets", {"spec": SELECTED}),
    "DaemonSet": ("/apis/apps/v1/namespaces/default/daemonsets", {"spec": SELECTED}),
    "StatefulSet": ("/apis/apps/v1/namespaces/default/statefulsets", {"spec": {**SELECTED, "serviceName": "s"}}),
    "ReplicationController": ("/api/v1/namespaces/default/replicationcontrollers",
                              {"spec": {"selector": {"app": "a"}, "template": TEMPLATE}}),
    "Job": ("/apis/batch/v1/namespaces/default/jobs", {"spec": {"template": {"spec": JOB}}}),
    "CronJob": ("/apis/batch/v1/namespaces/default/cronjobs",
                {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": JOB}}}}}),
    "Service": ("/api/v1/namespaces/default/services", {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}),
    "Endpoints": ("/api/v1/namespaces/default/endpoints",
                  {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                      {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
    "Ingress": ("/apis/networking.k8s.io/v1/namespaces/default/ingresses",
                {"spec": {"rules": [{"host": "a.io", "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
    "IngressClass": ("/apis/networking.k8s.io/v1/ingressclasses", {"spec": {"controller": "x.io/y"}}),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
                      {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}],
                                                                "ports": [{"port": 80}]}]}}),
    "PersistentVolumeClaim": ("/api/v1/namespaces/default/persistentvolumeclaims",
                              {"spec": {"accessModes": ["ReadWriteOnce"],
                                        "resources": {"requests": {"storage": "1Gi"}}}}),
    "PersistentVolume": ("/api/v1/persistentvolumes",
                         {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                                   "hostPath": {"path": "/x"}}}),
    "StorageClass": ("/apis/storage.k8s.io/v1/storageclasses", {"provisioner": "x.io/y"}),
    "CSIDriver": ("/apis/storage.k8s.io/v1/csidrivers", {"spec": {}}),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
                                {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "x"}}}),
    "PodDisruptionBudget": ("/apis/policy/v1/namespaces/default/poddisruptionbudgets",
                            {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}),
    "Role": ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
             {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1/clusterroles",
                    {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
                    {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]}),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                           {"roleRef": {"kind": "ClusterRole", "name": "r"},
                            "subjects": [{"kind": "User", "name": "u"}]}),
    "ResourceQuota": ("/api/v1/namespaces/default/resourcequotas", {"spec": {"hard": {"pods": "1"}}}),
    "LimitRange": ("/api/v1/namespaces/default/limitranges", {"spec": {"limits": [{"type": "Container"}]}}),
    "ConfigMap": ("/api/v1/namespaces/default/configmaps", {"data": {"a": "b"}}),
    "Secret": ("/api/v1/namespaces/default/secrets", {"data": {"a": "Yg=="}}),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1/priorityclasses", {"value": 10}),
    "Lease": ("/apis/coordination.k8s.io/v1/namespaces/default/leases", {"spec": {"holderIdentity": "a"}}),
    "RuntimeClass": ("/apis/node.k8s.io/v1/runtimeclasses", {"handler": "runc"}),
    "Node": ("/api/v1/nodes", {"spec": {}}),
    "ValidatingWebhookConfiguration": ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                                       {"webhooks": [HOOK]}),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                                 {"spec": {"group": "x.io", "names": {"plural": "cogs", "kind": "Cog"},
                                           "scope": "Namespaced",
                                           "versions": [{"name": "v1", "served": True, "storage": True,
                                                         "schema": SCHEMA}]}}),
}  # fmt: skip
NAMES = {"CustomResourceDefinition": "cogs.x.io", "CSIDriver": "csi.x.io"}


def good(kind: str) -> dict[str, Any]:
    """Return a good object of a kind."""
    return {"metadata": {"name": NAMES.get(kind, "x")}, **copy.deepcopy(GOOD[kind][1])}


def put(obj: Any, place: str, value: Any) -> None:
    """Set what a path such as `spec.ports[0].port` names; None takes it away."""
    parts = place.replace("[", ".[").split(".")
    for part in parts[:-1]:
        obj = obj[int(part[1:-1])] if part.startswith("[") else obj.setdefault(part, {})
    last: Any = int(parts[-1][1:-1]) if parts[-1].startswith("[") else parts[-1]
    if value is None:
        del obj[last]
    else:
        obj[last] = value


def causes(obj: dict[str, Any]) -> list[Cause]:
    return [(c["reason"], c["field"], c["message"]) for c in obj["details"]["causes"]]


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_good_objects_are_taken(call: Any, kind: str) -> None:
    status, obj = call("POST", f"{GOOD[kind][0]}?dryRun=All", good(kind))
    assert status == 201, obj


C0, T0 = "spec.containers[0]", "spec.template.spec.containers[0]"
AFFINITY = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
ANTI = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"
ALWAYS = 'Unsupported value: "Never": supported values: "Always"'
P0 = "spec.rules[0].http.paths[0]"
M0 = "spec.metrics[0]"
NFS = {"name": "v", "nfs": {"server": "", "path": "x"}}
CUSTOM = "spec.versions[0].schema.openAPIV3Schema"


def unsupported(value: str, *allowed: str) -> str:
    listed = ", ".join(f'"{a}"' for a in allowed)
    return f'Unsupported value: "{value}": supported values: {listed}'


CASES: list[tuple[str, str, Any, list[Cause]]] = [
    # pods: what is required, enumerated, unique, within bounds
    ("Pod", f"{C0}.imagePullPolicy", "Now",
     [(UNSUPPORTED, f"{C0}.imagePullPolicy", unsupported("Now", "Always", "IfNotPresent", "Never"))]),
    ("Pod", f"{C0}.terminationMessagePolicy", "X",
     [(UNSUPPORTED, f"{C0}.terminationMessagePolicy", unsupported("X", "File", "FallbackToLogsOnError"))]),
    ("Pod", "spec.dnsPolicy", "X",
     [(UNSUPPORTED, "spec.dnsPolicy", unsupported("X", "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"))]),
    ("Pod", "spec.dnsPolicy", "None",
     [(REQUIRED, "spec.dnsConfig", "Required value: must provide `dnsConfig` when `dnsPolicy` is None")]),
    ("Pod", f"{C0}.ports", [{"containerPort": 80, "protocol": "ICMP"}],
     [(UNSUPPORTED, f"{C0}.ports[0].protocol", unsupported("ICMP", "SCTP", "TCP", "UDP"))]),
    ("Pod", f"{C0}.ports", [{"name": "80"}],
     [(INVALID, f"{C0}.ports[0].name", 'Invalid value: "80": must contain at least one letter (a-z)'),
      (REQUIRED, f"{C0}.ports[0].containerPort", "Required value")]),
    ("Pod", f"{C0}.env", [{"name": "a=b", "value": "x"}],
     [(INVALID, f"{C0}.env[0].name", 'Invalid value: "a=b": a valid environment variable name must consist only of '
                                     "printable ASCII characters other than '='")]),
    ("Pod", f"{C0}.env", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.restartPolicy"}}}],
     [(UNSUPPORTED, f"{C0}.env[0].valueFrom.fieldRef.fieldPath",
       unsupported("spec.restartPolicy", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                   "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"))]),
    ("Pod", f"{C0}.env", [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}],
     [(UNSUPPORTED, f"{C0}.env[0].valueFrom.resourceFieldRef.resource",
       unsupported("limits.gpu", "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                   "requests.ephemeral-storage", "requests.memory"))]),
    ("Pod", f"{C0}.env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
     [(REQUIRED, f"{C0}.env[0].valueFrom.secretKeyRef.key", "Required value")]),
    ("Pod", f"{C0}.envFrom", [{}],
     [(INVALID, f"{C0}.envFrom", 'Invalid value: "": must specify one of: `configMapRef` or `secretRef`')]),
    ("Pod", f"{C0}.volumeMounts", [{"mountPath": "/x"}],
     [(REQUIRED, f"{C0}.volumeMounts[0].name", "Required value"),
      (MISSING, f"{C0}.volumeMounts[0].name", 'Not found: ""')]),
    ("Pod", f"{C0}.resources", {"limits": {"x.io/gpu": "1"}, "requests": {"x.io/gpu": "2"}},
     [(INVALID, f"{C0}.resources.requests", 'Invalid value: "2": must be equal to x.io/gpu limit of 1')]),
    ("Pod", f"{C0}.resources", {"limits": {"x.io/gpu": "500m"}, "requests": {"x.io/gpu": "500m"}},
     [(INVALID, f"{C0}.resources.limits[x.io/gpu]", 'Invalid value: "500m": must be an integer'),
      (INVALID, f"{C0}.resources.requests[x.io/gpu]", 'Invalid value: "500m": must be an integer')]),
    ("Pod", f"{C0}.securityContext", {"runAsUser": -1},
     [(INVALID, f"{C0}.securityContext.runAsUser", "Invalid value: -1: must be between 0 and 2147483647, inclusive")]),
    ("Pod", f"{C0}.securityContext", {"seccompProfile": {"type": "Localhost"}},
     [(REQUIRED, f"{C0}.securityContext.seccompProfile.localhostProfile",
       "Required value: must be set when seccomp type is Localhost")]),
    ("Pod", f"{C0}.lifecycle", {"preStop": {}},
     [(REQUIRED, f"{C0}.lifecycle.preStop", "Required value: must specify a handler type")]),
    ("Pod", f"{C0}.lifecycle", {"preStop": {"sleep": {"seconds": 31}}},
     [(INVALID, f"{C0}.lifecycle.preStop.sleep",
       "Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)")]),
    ("Pod", f"{C0}.livenessProbe", {"httpGet": {"port": 80, "scheme": "FTP"}},
     [(UNSUPPORTED, f"{C0}.livenessProbe.httpGet.scheme", unsupported("FTP", "HTTP", "HTTPS"))]),
    ("Pod", f"{C0}.readinessProbe", {"tcpSocket": {"port": 0}},
     [(INVALID, f"{C0}.readinessProbe.tcpSocket.port", "Invalid value: 0: must be between 1 and 65535, inclusive")]),
    ("Pod", f"{C0}.readinessProbe", {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 1},
     [(INVALID, f"{C0}.readinessProbe.terminationGracePeriodSeconds",
       "Invalid value: 1: must not be set for readinessProbes")]),
    ("Pod", f"{C0}.startupProbe", {"exec": {}},
     [(REQUIRED, f"{C0}.startupProbe.exec.command", "Required value")]),
    ("Pod", "spec.initContainers", [{"name": "c", "image": "x"}],
     [(DUPLICATE, "spec.initContainers[0].name", 'Duplicate value: "c"')]),
    ("Pod", "spec.volumes", [NFS],
     [(REQUIRED, "spec.volumes[0].nfs.server", "Required value"),
      (INVALID, "spec.volumes[0].nfs.path", 'Invalid value: "x": must be an absolute path')]),
    ("Pod", "spec.volumes", [{"name": "v", "hostPath": {"path": "/a/../b", "type": "Pipe"}}],
     [(INVALID, "spec.volumes[0].hostPath.path", "Invalid value: \"/a/../b\": must not contain '..'"),
      (UNSUPPORTED, "spec.volumes[0].hostPath.type",
       unsupported("Pipe", "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
                   "Socket"))]),
    ("Pod", "spec.volumes", [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "/p"}]}}],
     [(INVALID, "spec.volumes[0].configMap.items[0].path", 'Invalid value: "/p": must be a relative path')]),
    ("Pod", "spec.volumes", [{"name": "v", "secret": {"secretName": "s", "defaultMode": 4096}}],
     [(INVALID, "spec.volumes[0].secret.defaultMode",
       "Invalid value: 4096: must be a number between 0 and 0777 (octal), both inclusive")]),
    ("Pod", "spec.tolerations", [{"key": "a", "operator": "Exists", "value": "b"}],
     [(INVALID, "spec.tolerations[0].operator",
       'Invalid value: {"Key":"a","Operator":"Exists","Value":"b","Effect":"","TolerationSeconds":null}: '
       "value must be empty when `operator` is 'Exists'")]),
    ("Pod", "spec.tolerations", [{"key": "a", "operator": "Exists", "effect": "Never"}],
     [(UNSUPPORTED, "spec.tolerations[0].effect",
       unsupported("Never", "NoSchedule", "PreferNoSchedule", "NoExecute"))]),
    ("Pod", AFFINITY, {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt"}]}]},
     [(REQUIRED, f"{AFFINITY}.nodeSelectorTerms[0].matchExpressions[0].values",
       "Required value: must be specified single value when `operator` is 'Lt' or 'Gt'")]),
    ("Pod", ANTI, [{"topologyKey": "", "labelSelector": {}}],
     [(REQUIRED, f"{ANTI}[0].topologyKey", "Required value: can not be empty"),
      (INVALID, f"{ANTI}[0].topologyKey", 'Invalid value: "": name part must be non-empty'),
      (INVALID, f"{ANTI}[0].topologyKey",
       "Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and "
       "end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
       "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')")]),
    ("Pod", "spec.topologySpreadConstraints",
     [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}],
     [(INVALID, "spec.topologySpreadConstraints[0].minDomains",
       "Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway")]),
    ("Pod", "spec.hostAliases", [{"ip": "1.2.3", "hostnames": ["a"]}],
     [(INVALID, "spec.hostAliases[0].ip",
       'Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')]),
    ("Pod", "metadata.generateName", "Bad_",
     [(INVALID, "metadata.generateName",
       "Invalid value: \"Bad_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
       "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
       "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")]),
    # workloads
    ("Deployment", f"{T0}.image", " nginx", []),
    ("Deployment", "spec.strategy", {"type": "Later"},
     [(UNSUPPORTED, "spec.strategy",
       'Unsupported value: {"Type":"Later","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"')]),
    ("Deployment", "spec.template.spec.restartPolicy", "Never",
     [(UNSUPPORTED, "spec.template.spec.restartPolicy", ALWAYS)]),
    ("Deployment", "spec.template.spec.activeDeadlineSeconds", 5,
     [(FORBIDDEN, "spec.template.spec.activeDeadlineSeconds",
       "Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported")]),
    ("Deployment", "spec.revisionHistoryLimit", -1,
     [(INVALID, "spec.revisionHistoryLimit", f"Invalid value: -1: {NEGATIVE}")]),
    ("ReplicaSet", "spec.selector", {},
     [(INVALID, "spec.selector", "Invalid value: {}: empty selector is invalid for deployment")]),
    ("DaemonSet", "spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
     [(REQUIRED, "spec.updateStrategy.rollingUpdate.maxUnavailable",
       "Required value: cannot be 0 when maxSurge is 0")]),
    ("DaemonSet", "spec.updateStrategy", {"type": "X"},
     [(UNSUPPORTED, "spec.updateStrategy",
       'Unsupported value: {"Type":"X","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"')]),
    ("StatefulSet", "spec.updateStrategy", {"type": "OnDelete", "rollingUpdate": {"partition": 1}},
     [(INVALID, "spec.updateStrategy.rollingUpdate",
       'Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for updateStrategy \'RollingUpdate\'')]),
    ("StatefulSet", "spec.persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Keep"},
     [(UNSUPPORTED, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", unsupported("Keep", "Retain", "Delete"))]),
    ("StatefulSet", "spec.serviceName", "a.b",
     [(INVALID, "spec.serviceName", 'Invalid value: "a.b": must not contain dots')]),
    ("StatefulSet", "spec.volumeClaimTemplates",
     [{"metadata": {"name": "d"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}],
     [(REQUIRED, "spec.volumeClaimTemplates[0].spec.accessModes",
       "Required value: at least 1 access mode is required")]),
    ("StatefulSet", "metadata.name", "a.b",
     [(INVALID, "metadata.name", 'Invalid value: "a.b": must not contain dots')]),
    ("ReplicationController", "spec.selector", {"app": "other"},
     [(INVALID, "spec.template.metadata.labels",
       'Invalid value: {"app":"a"}: `selector` does not match template `labels`')]),
    ("Job", "spec.completionMode", "Random",
     [(UNSUPPORTED, "spec.completionMode", unsupported("Random", "NonIndexed", "Indexed"))]),
    ("Job", "spec.backoffLimitPerIndex", 1,
     [(INVALID, "spec.backoffLimitPerIndex", "Invalid value: 1: requires indexed completion mode")]),
    ("Job", "spec.template.spec.restartPolicy", "Sometimes",
     [(UNSUPPORTED, "spec.template.spec.restartPolicy", unsupported("Sometimes", "Always", "OnFailure", "Never")),
      (UNSUPPORTED, "spec.template.spec.restartPolicy", unsupported("Sometimes", "OnFailure", "Never"))]),
    ("CronJob", "spec.timeZone", "Mars/Base",
     [(INVALID, "spec.timeZone", 'Invalid value: "Mars/Base": unknown time zone Mars/Base')]),
    ("CronJob", "spec.failedJobsHistoryLimit", -1,
     [(INVALID, "spec.failedJobsHistoryLimit", f"Invalid value: -1: {NEGATIVE}")]),
    # services and endpoints
    ("Service", "spec.ports[0].nodePort", 30000,
     [(FORBIDDEN, "spec.ports[0].nodePort", "Forbidden: may not be used when `type` is 'ClusterIP'")]),
    ("Service", "spec.ipFamilies", ["IPv5"],
     [(UNSUPPORTED, "spec.ipFamilies[0]", unsupported("IPv5", "IPv4", "IPv6"))]),
    ("Service", "spec.ipFamilyPolicy", "Both",
     [(UNSUPPORTED, "spec.ipFamilyPolicy", unsupported("Both", "PreferDualStack", "RequireDualStack", "SingleStack"))]),
    ("Service", "spec.externalIPs", ["127.0.0.1"],
     [(INVALID, "spec.externalIPs[0]",
       'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)')]),
    ("Service", "spec.loadBalancerSourceRanges", ["10.0.0.0/8"],
     [(FORBIDDEN, "spec.LoadBalancerSourceRanges",
       "Forbidden: may only be used when `type` is 'LoadBalancer'")]),
    ("Service", "spec.internalTrafficPolicy", "Near",
     [(UNSUPPORTED, "spec.internalTrafficPolicy", unsupported("Near", "Cluster", "Local"))]),
    ("Service", "spec.sessionAffinity", "ClientIP", []),
    ("Endpoints", "subsets[0].addresses[0].ip", "169.254.1.1",
     [(INVALID, "subsets[0].addresses[0].ip",
       'Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)')]),
    ("Endpoints", "subsets[0].addresses", None,
     [(REQUIRED, "subsets[0]", "Required value: must specify `addresses` or `notReadyAddresses`")]),
    ("EndpointSlice", "addressType", "IPX", [(UNSUPPORTED, "addressType", unsupported("IPX", "FQDN", "IPv4", "IPv6"))]),
    ("EndpointSlice", "endpoints[0].addresses", [],
     [(REQUIRED, "endpoints[0].addresses", "Required value: must contain at least 1 address")]),
    # ingresses and policies
    ("Ingress", "spec.rules[0].host", "10.0.0.1",
     [(INVALID, "spec.rules[0].host", 'Invalid value: "10.0.0.1": must be a DNS name, not an IP address')]),
    ("Ingress", f"{P0}.path", "/a/..", [(INVALID, f"{P0}.path", "Invalid value: \"/a/..\": cannot end with '/..'")]),
    ("Ingress", f"{P0}.pathType", "Regex",
     [(UNSUPPORTED, f"{P0}.pathType", unsupported("Regex", "Exact", "ImplementationSpecific", "Prefix"))]),
    ("Ingress", f"{P0}.backend", {},
     [(INVALID, f"{P0}.backend", 'Invalid value: "": resource or service backend is required')]),
    ("Ingress", f"{P0}.backend.service.port", {},
     [(REQUIRED, f"{P0}.backend", "Required value: port name or number is required")]),
    ("IngressClass", "spec.controller", "ingress",
     [(INVALID, "spec.controller",
       'Invalid value: "ingress": must be a domain-prefixed path (such as "acme.io/foo")')]),
    ("NetworkPolicy", "spec.ingress[0].from[0]", {},
     [(REQUIRED, "spec.ingress[0].from[0]", "Required value: must specify a peer")]),
    ("NetworkPolicy", "spec.ingress[0].ports[0].endPort", 20,
     [(INVALID, "spec.ingress[0].ports[0].endPort", "Invalid value: 80: must be greater than or equal to `port`")]),
    ("NetworkPolicy", "spec.ingress[0].from[0]", {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}},
     [(INVALID, "spec.ingress[0].from[0].ipBlock.except[0]",
       'Invalid value: "11.0.0.0/9": must be a strict subset of `cidr`')]),
    # storage
    ("PersistentVolumeClaim", "spec.volumeMode", "Tape",
     [(UNSUPPORTED, "spec.volumeMode", unsupported("Tape", "Block", "Filesystem"))]),
    ("PersistentVolumeClaim", "spec.accessModes", ["ReadWriteOncePod", "ReadWriteOnce"],
     [(FORBIDDEN, "spec.accessModes", "Forbidden: may not use ReadWriteOncePod with other access modes")]),
    ("PersistentVolume", "spec.persistentVolumeReclaimPolicy", "Burn",
     [(UNSUPPORTED, "spec.persistentVolumeReclaimPolicy", unsupported("Burn", "Delete", "Recycle", "Retain"))]),
    ("PersistentVolume", "spec.capacity", {"cpu": "1"},
     [(UNSUPPORTED, "spec.capacity", 'Unsupported value: {"cpu":"1"}: supported values: "storage"')]),
    ("PersistentVolume", "spec.nfs", {"server": "s", "path": "/x"},
     [(FORBIDDEN, "spec.nfs", "Forbidden: may not specify more than 1 volume type")]),
    ("StorageClass", "volumeBindingMode", "Later",
     [(UNSUPPORTED, "volumeBindingMode", unsupported("Later", "Immediate", "WaitForFirstConsumer"))]),
    ("CSIDriver", "spec.fsGroupPolicy", "All",
     [(UNSUPPORTED, "spec.fsGroupPolicy", unsupported("All", "File", "None", "ReadWriteOnceWithFSType"))]),
    # scaling
    ("HorizontalPodAutoscaler", "spec.metrics", [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target":
     {"type": "Value", "value": "1"}}}],
     [(REQUIRED, f"{M0}.pods.target.averageValue", "Required value: must specify a positive target averageValue")]),
    ("HorizontalPodAutoscaler", "spec.metrics", [{"type": "Resource", "resource": {"name": "cpu", "target":
     {"type": "Utilization", "averageUtilization": 0}}}],
     [(INVALID, f"{M0}.resource.target.averageUtilization", "Invalid value: 0: must be greater than 0")]),
    ("HorizontalPodAutoscaler", "spec.behavior", {"scaleUp": {"stabilizationWindowSeconds": 4000}},
     [(INVALID, "spec.behavior.scaleUp.stabilizationWindowSeconds",
       "Invalid value: 4000: must be less than or equal to 3600")]),
    ("HorizontalPodAutoscaler", "spec.behavior", {"scaleDown": {"selectPolicy": "Any"}},
     [(UNSUPPORTED, "spec.behavior.scaleDown.selectPolicy", unsupported("Any", "Disabled", "Max", "Min"))]),
    ("PodDisruptionBudget", "spec.unhealthyPodEvictionPolicy", "Any",
     [(UNSUPPORTED, "spec.unhealthyPodEvictionPolicy", unsupported("Any", "AlwaysAllow", "IfHealthyBudget"))]),
    # access
    ("Role", "rules[0].apiGroups", None,
     [(REQUIRED, "rules[0].apiGroups", "Required value: resource rules must supply at least one api group")]),
    ("ClusterRole", "rules[0].nonResourceURLs", ["/x"],
     [(INVALID, "rules[0].nonResourceURLs",
       'Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs')]),
    ("ClusterRole", "aggregationRule", {},
     [(REQUIRED, "aggregationRule.clusterRoleSelectors",
       "Required value: at least one clusterRoleSelector required if aggregationRule is non-nil")]),
    ("RoleBinding", "subjects[0]", {"kind": "ServiceAccount", "name": "a", "apiGroup": "x"},
     [(UNSUPPORTED, "subjects[0].apiGroup", unsupported("x", ""))]),
    ("ClusterRoleBinding", "subjects[0].kind", "Robot",
     [(UNSUPPORTED, "subjects[0].kind", unsupported("Robot", "ServiceAccount", "User", "Group"))]),
    ("ValidatingWebhookConfiguration", "webhooks[0].name", "a.b",
     [(INVALID, "webhooks[0].name",
       'Invalid value: "a.b": should be a domain with at least three segments separated by dots')]),
    ("ValidatingWebhookConfiguration", "webhooks[0].clientConfig.url", "http://x.io",
     [(INVALID, "webhooks[0].clientConfig.url",
       "Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]")]),
    ("ValidatingWebhookConfiguration", "webhooks[0].timeoutSeconds", 60,
     [(INVALID, "webhooks[0].timeoutSeconds",
       "Invalid value: 60: the timeout value must be between 1 and 30 seconds")]),
    # quotas
    ("ResourceQuota", "spec.scopes", ["BestEffort", "NotBestEffort"],
     [(INVALID, "spec.scopes", 'Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes')]),
    ("ResourceQuota", "spec.hard", {"pods": "1500m"},
     [(INVALID, "spec.hard[pods]", 'Invalid value: "1500m": must be an integer')]),
    ("LimitRange", "spec.limits[0]", {"type": "Pod", "default": {"cpu": "1"}},
     [(FORBIDDEN, "spec.limits[0].default", "Forbidden: may not be specified when `type` is 'Pod'")]),
    ("LimitRange", "spec.limits[0]", {"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}},
     [(INVALID, "spec.limits[0].maxLimitRequestRatio[cpu]", 'Invalid value: "500m": ratio 500m is less than 1')]),
    ("LimitRange", "spec.limits[0].type", "Thing",
     [(INVALID, "spec.limits[0].type",
       'Invalid value: "Thing": must be a standard limit type or fully qualified')]),
    # configuration and the rest
    ("ConfigMap", "data", {"..": "x"}, [(INVALID, "data[..]", "Invalid value: \"..\": must not be '..'")]),
    ("Secret", "type", "kubernetes.io/basic-auth",
     [(REQUIRED, "data[username]", "Required value"), (REQUIRED, "data[password]", "Required value")]),
    ("PriorityClass", "value", 2000000000,
     [(FORBIDDEN, "value", "Forbidden: maximum allowed value of a user defined priority is 1000000000")]),
    ("PriorityClass", "metadata.name", "system-mine",
     [(FORBIDDEN, "metadata.name",
       "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is "
       "not a known system priority class")]),
    ("Lease", "spec.leaseDurationSeconds", 0,
     [(INVALID, "spec.leaseDurationSeconds", "Invalid value: 0: must be greater than 0")]),
    ("Node", "spec.taints", [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}],
     [(DUPLICATE, "metadata.taints[1]",
       'Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key '
       "and effect pair")]),
    ("CustomResourceDefinition", "spec.scope", "Galaxy",
     [(UNSUPPORTED, "spec.scope", unsupported("Galaxy", "Cluster", "Namespaced"))]),
    ("CustomResourceDefinition", "spec.names.listKind", "Cog",
     [(INVALID, "spec.names.listKind", 'Invalid value: "Cog": kind and listKind may not be the same')]),
    ("CustomResourceDefinition", f"{CUSTOM}.properties", {"a": {"type": "text"}},
     [(UNSUPPORTED, f"{CUSTOM}.properties[a].type",
       unsupported("text", "array", "boolean", "integer", "number", "object", "string"))]),
    ("CustomResourceDefinition", "spec.versions[0].additionalPrinterColumns",
     [{"name": "A", "type": "text", "jsonPath": ".a"}],
     [(INVALID, "spec.versions[0].additionalPrinterColumns[0].type",
       'Invalid value: "text": must be one of boolean,date,integer,number,string')]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "place", "value", "want"), CASES, ids=[f"{k}-{p}-{n}" for n, (k, p, *_) in enumerate(CASES)]
)
def test_one_wrong_value_has_its_cause(call: Any, kind: str, place: str, value: Any, want: list[Cause]) -> None:
    obj = good(kind)
    put(obj, place, value)
    if place == "metadata.generateName":
        del obj["metadata"]["name"]
    status, answer = call("POST", f"{GOOD[kind][0]}?dryRun=All", obj)
    if not want:
        assert status == 201, answer
        return
    assert (status, answer.get("reason")) == (422, "Invalid"), answer
    found = causes(answer)
    if place == "metadata.generateName":
        found = found[:1]  # the name made from it is refused as well
    assert found == want


CHANGES: list[tuple[str, str, Any, list[Cause]]] = [
    ("ReplicaSet", "spec.selector.matchLabels", {"app": "b"},
     [(INVALID, "spec.template.metadata.labels",
       'Invalid value: {"app":"a"}: `selector` does not match template `labels`'),
      (INVALID, "spec.selector", 'Invalid value: {"matchLabels":{"app":"b"}}: field is immutable')]),
    ("StatefulSet", "spec.serviceName", "other",
     [(FORBIDDEN, "spec",
       "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
       "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
       "forbidden")]),
    ("PersistentVolume", "spec.hostPath.path", "/y",
     [(FORBIDDEN, "spec.persistentvolumesource",
       "Forbidden: spec.persistentvolumesource is immutable after creation\n"
       '@@ -2,7 +2,7 @@\n  "GCEPersistentDisk": null,\n  "AWSElasticBlockStore": null,\n  "HostPath": {\n'
       '-  "Path": "/x",'
       '\n+  "Path": "/y",\n   "Type": ""\n  },\n  "Glusterfs": null,\n')]),
    ("StorageClass", "provisioner", "z.io/y",
     [(FORBIDDEN, "provisioner", "Forbidden: updates to provisioner are forbidden.")]),
    ("StorageClass", "volumeBindingMode", "WaitForFirstConsumer",
     [(INVALID, "volumeBindingMode", 'Invalid value: "WaitForFirstConsumer": field is immutable')]),
    ("PriorityClass", "value", 11, [(FORBIDDEN, "value", "Forbidden: may not be changed in an update.")]),
    ("IngressClass", "spec.controller", "z.io/y",
     [(INVALID, "spec.controller", 'Invalid value: "z.io/y": field is immutable')]),
    ("RuntimeClass", "handler", "kata", [(INVALID, "handler", 'Invalid value: "kata": field is immutable')]),
    ("EndpointSlice", "addressType", "FQDN", [(INVALID, "addressType", 'Invalid value: "FQDN": field is immutable')]),
    ("ResourceQuota", "spec.scopes", ["Terminating"],
     [(INVALID, "spec.scopes", 'Invalid value: ["Terminating"]: field is immutable')]),
    ("CustomResourceDefinition", "spec.scope", "Cluster",
     [(INVALID, "spec.scope", 'Invalid value: "Cluster": field is immutable')]),
    ("Pod", "spec.activeDeadlineSeconds", 10, []),
    ("Pod", f"{C0}.image", "nginx:2", []),
    ("Deployment", "spec.replicas", 4, []),
    ("ConfigMap", "data", {"z": "y"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "place", "value", "want"), CHANGES, ids=[f"{k}-{p}" for k, p, *_ in CHANGES])
def test_what_may_change_and_what_not(call: Any, kind: str, place: str, value: Any, want: list[Cause]) -> None:
    path, _ = GOOD[kind]
    status, made = call("POST", path, good(kind))
    assert status == 201, made
    made = call("GET", f"{path}/{made['metadata']['name']}")[1]
    put(made, place, value)
    status, answer = call("PUT", f"{path}/{made['metadata']['name']}", made)
    assert status == (422 if want else 200), answer
    if want:
        assert causes(answer) == want


def test_a_pods_image_must_stay_named(call: Any) -> None:
    call("POST", GOOD["Pod"][0], good("Pod"))
    pod = call("GET", f"{GOOD['Pod'][0]}/x")[1]
    pod["spec"]["containers"][0]["image"] = ""
    _, answer = call("PUT", f"{GOOD['Pod'][0]}/x", pod)
    assert causes(answer) == [(REQUIRED, f"{C0}.image", "Required value")] * 2


def test_a_toleration_may_last_longer_but_not_change(call: Any) -> None:
    pod = good("Pod")
    pod["spec"]["tolerations"] = [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]
    call("POST", GOOD["Pod"][0], pod)
    found = call("GET", f"{GOOD['Pod'][0]}/x")[1]
    found["spec"]["tolerations"][0]["tolerationSeconds"] = 50
    status, found = call("PUT", f"{GOOD['Pod'][0]}/x", found)
    assert status == 200
    found["spec"]["tolerations"][0]["effect"] = "NoSchedule"
    del found["spec"]["tolerations"][0]["tolerationSeconds"]
    status, answer = call("PUT", f"{GOOD['Pod'][0]}/x", found)
    text = "Forbidden: existing toleration can not be modified except its tolerationSeconds"
    assert causes(answer) == [(FORBIDDEN, "spec.tolerations", text)]


def test_addresses_are_given_out_only_when_nothing_else_is_wrong(call: Any) -> None:
    service = good("Service")
    service["spec"].update(clusterIP="1.2.3.4", type="Nothing")
    _, answer = call("POST", GOOD["Service"][0], service)
    assert [c[1] for c in causes(answer)] == ["spec.type"]
    service["spec"]["type"] = "ClusterIP"
    _, answer = call("POST", GOOD["Service"][0], service)
    text = "failed to allocate IP 1.2.3.4: the provided network does not match the current range"
    assert causes(answer) == [(INVALID, "spec.clusterIPs", f'Invalid value: ["1.2.3.4"]: {text}')]


def test_ports_of_the_node_are_given_to_pods_not_to_templates(call: Any) -> None:
    pod, deployment = good("Pod"), good("Deployment")
    for spec in (pod["spec"], deployment["spec"]["template"]["spec"]):
        spec["hostNetwork"] = True
        spec["containers"][0]["ports"] = [{"containerPort": 80}]
    assert call("POST", GOOD["Pod"][0], pod)[1]["spec"]["containers"][0]["ports"][0]["hostPort"] == 80
    status, made = call("POST", GOOD["Deployment"][0], deployment)
    assert status == 201
    assert "hostPort" not in made["spec"]["template"]["spec"]["containers"][0]["ports"][0]
    deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = 81
    assert call("POST", GOOD["Deployment"][0], deployment)[0] == 422
