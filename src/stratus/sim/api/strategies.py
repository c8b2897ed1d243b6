"""What each kind does to a new or changed object before it is validated and stored."""

from __future__ import annotations

import copy
from typing import Any

from stratus.sim.api import crds
from stratus.sim.api.admission import default_tolerations
from stratus.sim.api.podspec import qos_class
from stratus.sim.api.resources import Resource

Obj = dict[str, Any]

#: Resources whose status may be given when they are created.
STATUS_ON_CREATE = frozenset({"nodes", "componentstatuses", "certificatesigningrequests.certificates.k8s.io"})
#: Resources a PUT creates when they are not there.
CREATE_ON_UPDATE = frozenset(
    {
        "leases.coordination.k8s.io",
        "events",
        "endpoints",
        "limitranges",
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "nodes",
        "services_never",
    }
)
#: Resources that cannot be replaced without naming the version that is replaced.
NEEDS_VERSION = frozenset(
    {
        "leases.coordination.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "podtemplates",
        "priorityclasses.scheduling.k8s.io",
        "apiservices.apiregistration.k8s.io",
    }
)
#: Where the real store keeps resources that are not kept under their name; conflicts tell of it.
STORED_UNDER = {
    "services": "services/specs",
    "endpoints": "services/endpoints",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "ingresses.networking.k8s.io": "ingress",
    "apiservices.apiregistration.k8s.io": "apiregistration.k8s.io/apiservices",
    "customresourcedefinitions.apiextensions.k8s.io": "apiextensions.k8s.io/customresourcedefinitions",
}
#: Resources whose DELETE answers with the object instead of a Status.
RETURNS_DELETED = frozenset(
    {
        "pods",
        "services",
        "serviceaccounts",
        "persistentvolumeclaims",
        "persistentvolumes",
        "resourcequotas",
        "podtemplates",
        "deviceclasses.resource.k8s.io",
        "resourceclaims.resource.k8s.io",
        "resourceclaimtemplates.resource.k8s.io",
        "resourceslices.resource.k8s.io",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "volumeattributesclasses.storage.k8s.io",
    }
)


def resets_status(resource: Resource) -> bool:
    """Tell whether the status a client sends with a new object is ignored."""
    return "status" in resource.subresources and resource.stored not in STATUS_ON_CREATE


def prepare_create(resource: Resource, obj: Obj, now: str = "") -> None:
    """Finish a new (fresh, owned) object, whose uid is set, in place."""
    stored = resource.stored
    if stored == "pods":
        status = obj.setdefault("status", {})
        status["phase"] = "Pending"
        status["qosClass"] = qos_class(obj["spec"])
        if (obj["spec"].get("terminationGracePeriodSeconds") or 0) < 0:
            obj["spec"]["terminationGracePeriodSeconds"] = 1
    elif stored == "namespaces":
        obj["status"] = {"phase": "Active"}
        finalizers = obj.setdefault("spec", {}).get("finalizers") or []
        if "kubernetes" not in finalizers:
            obj["spec"]["finalizers"] = [*finalizers, "kubernetes"]
    elif stored == "jobs.batch":
        _job(obj)
    elif stored in ("persistentvolumeclaims", "persistentvolumes"):
        obj["status"] = {"phase": "Pending"}
        if stored == "persistentvolumes":
            obj["status"]["lastPhaseTransitionTime"] = now
        holder = "pvc" if stored == "persistentvolumeclaims" else "pv"
        finalizers = obj["metadata"].get("finalizers") or []
        if f"kubernetes.io/{holder}-protection" not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, f"kubernetes.io/{holder}-protection"]
    elif stored == "customresourcedefinitions.apiextensions.k8s.io":
        obj["status"] = crds.new_status(obj)
    elif stored == "nodes":
        _node_taints(obj)
    elif resource.custom and "status" in resource.subresources:
        obj.pop("status", None)
    meta = obj["metadata"]
    if meta.get("generateName") == "":
        del meta["generateName"]


def mark_templates(resource: Resource, obj: Obj, old: Obj | None) -> None:
    """Number a DaemonSet's templates in the annotation old clients read."""
    if resource.stored != "daemonsets.apps":
        return
    key = "deprecated.daemonset.template.generation"
    meta = obj["metadata"]
    number = 1
    if old is not None:
        before = (old["metadata"].get("annotations") or {}).get(key, "1")
        number = int(before) if before.isdigit() else 1
        number += old["spec"].get("template") != obj["spec"].get("template")
    meta["annotations"] = {**(meta.get("annotations") or {}), key: str(number)}


def _node_taints(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(t.get("key") == "node.kubernetes.io/not-ready" and t.get("effect") == "NoSchedule" for t in taints):
        spec["taints"] = [*taints, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


def _job(obj: Obj) -> None:
    spec, meta = obj["spec"], obj["metadata"]
    if spec.get("manualSelector"):
        return
    uid, name = meta["uid"], meta.get("name", "")
    template = spec.setdefault("template", {})
    template_meta = template["metadata"] = dict(template.get("metadata") or {})
    labels = template_meta["labels"] = dict(template_meta.get("labels") or {})
    for key, value in (
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
        ("controller-uid", uid),
        ("job-name", name),
    ):
        labels.setdefault(key, value)
    selector = spec["selector"] = dict(spec.get("selector") or {})
    match = selector["matchLabels"] = dict(selector.get("matchLabels") or {})
    match.setdefault("batch.kubernetes.io/controller-uid", uid)
    if not meta.get("labels"):
        meta["labels"] = dict(labels)


def prepare_update(resource: Resource, obj: Obj, old: Obj, subresource: str) -> Obj:
    """Return what a write to the main resource or a subresource makes of the stored object."""
    if subresource == "status":
        meta = {**old["metadata"], "managedFields": obj["metadata"].get("managedFields")}
        for field in ("annotations", "labels") if not resource.custom else ():
            if field in obj["metadata"]:
                meta[field] = obj["metadata"][field]
        if resource.stored != "pods" and not resource.custom and "labels" in old["metadata"]:
            meta["labels"] = old["metadata"]["labels"]
        meta["resourceVersion"] = obj["metadata"].get("resourceVersion")
        return {**old, "metadata": meta, **({"status": obj["status"]} if "status" in obj else {})}
    if subresource == "approval":
        # An approval is a condition, and changes nothing else.
        given = (obj.get("status") or {}).get("conditions")
        status = {**(old.get("status") or {}), "conditions": given}
        return {**old, "metadata": {**obj["metadata"]}, "status": {k: v for k, v in status.items() if v is not None}}
    if "status" in resource.subresources:
        if "status" in old:
            obj["status"] = old["status"]
        else:
            obj.pop("status", None)
    if resource.stored == "namespaces" and subresource != "finalize":
        obj.setdefault("spec", {})["finalizers"] = old.get("spec", {}).get("finalizers")
    if resource.stored == crds.CRDS and not subresource:
        obj["status"] = crds.new_status(obj, old.get("status") or {})
    if resource.stored == "pods":
        _keep_pod_fields(obj, old, subresource)
    if resource.stored == "jobs.batch":
        _keep_job_fields(obj, old)
    return obj


def _keep_pod_fields(obj: Obj, old: Obj, subresource: str) -> None:
    spec, before = obj["spec"], old["spec"]
    if subresource == "ephemeralcontainers":
        obj["spec"] = {**before, "ephemeralContainers": spec.get("ephemeralContainers")}
    elif subresource == "resize":
        obj["spec"] = copy.deepcopy(before)
        for group in ("containers", "initContainers"):
            given = {c["name"]: c for c in spec.get(group) or ()}
            for container in obj["spec"].get(group) or ():
                for field in ("resources", "resizePolicy"):
                    value = given.get(container["name"], container).get(field)
                    if value is None:
                        container.pop(field, None)
                    else:
                        container[field] = value
    else:
        default_tolerations(spec)
        for field in (
            "serviceAccountName",
            "serviceAccount",
            "priority",
            "preemptionPolicy",
            "nodeName",
            "enableServiceLinks",
        ):
            if field not in spec and field in before:
                spec[field] = before[field]


def _keep_job_fields(obj: Obj, old: Obj) -> None:
    """Carry what creation generated, when a client sends the job as it was before."""
    spec, before = obj["spec"], old["spec"]
    if not spec.get("selector"):
        spec["selector"] = before.get("selector")


def grown(resource: Resource, obj: Obj, old: Obj) -> bool:
    """Tell whether a change of the main resource raises the generation."""
    if resource.stored == "deployments.apps" and obj["metadata"].get("annotations") != old["metadata"].get(
        "annotations"
    ):
        return True
    if resource.custom:
        skip = ("metadata", "status") if "status" in resource.subresources else ("metadata",)
        return {k: v for k, v in obj.items() if k not in skip} != {k: v for k, v in old.items() if k not in skip}
    if "spec" in obj or "spec" in old:
        return obj.get("spec") != old.get("spec")
    skip = ("metadata", "status")
    return {k: v for k, v in obj.items() if k not in skip} != {k: v for k, v in old.items() if k not in skip}
