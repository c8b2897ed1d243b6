"""Create, update and delete of any resource: the order of steps a real API server takes, on the store."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stratus.kit.clock import Clock, iso
from stratus.sim.api import admission, crds, managed, nodes, quotas, strategies, validation
from stratus.sim.api.allocator import ServiceAllocator
from stratus.sim.api.convert import inward, outward
from stratus.sim.api.resources import Registry, Resource
from stratus.sim.api.status import (
    Moved,
    Problems,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    internal,
    invalid,
    not_found,
)
from stratus.sim.api.warnings import warnings_of
from stratus.sim.schema.decode import Decoder
from stratus.sim.store import GENERATED, Store, StoreConflict

if TYPE_CHECKING:
    from stratus.sim.api.access.gate import Gate

Obj = dict[str, Any]


@dataclass(slots=True)
class Options:
    """How a write is meant.

    Attributes:
        dry_run: decide and answer, store nothing, use up nothing.
        manager: the field manager.
        track: keep managedFields (off for the cluster's own components).
        force: take over fields in an apply.
        warnings: what the answer warns of.
        emptied: lists the client gave empty (holder, field), which are stored as none.
    """

    dry_run: bool = False
    manager: str = "unknown"
    track: bool = True
    force: bool = False
    warnings: list[str] = field(default_factory=list)
    emptied: list[tuple[Obj, str]] = field(default_factory=list)


@dataclass(slots=True)
class DeleteOptions:
    """What a DELETE asks for."""

    grace: int | None = None
    policy: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False
    #: Webhooks judge the deletion; they have judged an eviction already.
    judged: bool = True


@lru_cache(maxsize=256)
def _skeleton_text(type_name: str) -> str:
    from stratus.sim.schema import types

    return json.dumps(Decoder().decode(types.named(type_name), {}))


def node_of(resource: Resource) -> nodes.Node:
    """Return the merge schema of a resource."""
    if resource.type is not None:
        return nodes.of_type(resource.type)
    return nodes.of_custom(resource.schema)


class Rest:
    """The object level of the API: everything below HTTP, above the store."""

    def __init__(self, store: Store, clock: Clock, rng: random.Random, registry: Registry) -> None:
        self.store = store
        self.clock = clock
        self.rng = rng
        self.registry = registry
        self.allocator = ServiceAllocator(store)
        self.gate: Gate | None = None
        self.ledger = quotas.Ledger(store)

    def close(self) -> None:
        """Stop following the store."""
        self.allocator.close()
        self.ledger.close()

    def rng_for(self, options: Options | DeleteOptions) -> random.Random:
        """Return the cluster's generator, or for a dry run a throw-away one, so that nothing is consumed."""
        return random.Random(self.store.rv) if options.dry_run else self.rng

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Return a stored object.

        Raises:
            ApiError: 404.
        """
        obj = self.store.get(resource.stored, namespace, name)
        if obj is None:
            raise not_found(resource.name, resource.group, name)
        return obj

    # create

    def create(self, resource: Resource, namespace: str, obj: Obj, options: Options, *, apply: Any = None) -> Obj:
        """Store a new object given complete (decoded, defaulted) in the served version; return it in storage form.

        Raises:
            ApiError: whatever speaks against it.
        """
        rng, begun = self.rng_for(options), self.store.rv
        meta = obj["metadata"] = dict(obj.get("metadata") or {})
        self._scope(resource, namespace, meta)
        if meta.get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        given_managed = meta.get("managedFields")
        for gone in (
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "managedFields",
            "generation",
        ):
            meta.pop(gone, None)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._generated(resource, namespace, meta["generateName"], rng)
        if resource.namespaced:
            admission.check_namespace(self.store, resource.name, resource.group, namespace, meta.get("name", ""))
        problems = Problems()
        meta["uid"] = (
            random.Random(f"{self.store.rv}/{meta.get('name')}").randbytes(16).hex()
            if options.dry_run
            else self.store.new_uid()
        )
        if options.dry_run:
            u = meta["uid"]
            meta["uid"] = f"{u[:8]}-{u[8:12]}-4{u[13:16]}-a{u[17:20]}-{u[20:]}"
        meta["creationTimestamp"] = iso(self.clock.now())
        if resource.stored in GENERATED or resource.custom:
            meta["generation"] = 1
        strategies.mark_templates(resource, obj, None)
        node = node_of(resource)
        tracked: list[Obj] = []
        if options.track and apply is None:
            for holder, key in options.emptied:
                holder[key] = []
            tracked = self._tracked(resource, node, None, obj, options, "", given_managed)
            for holder, key in options.emptied:
                holder[key] = None
        obj = inward(resource, obj)
        obj["metadata"] = meta = dict(obj["metadata"])
        if resource.stored == "pods":
            admission.admit_pod(self.store, rng, obj)
        if self.gate is not None:
            obj = self.gate.mutate(resource, obj, None, "", options.dry_run, options.warnings)
            meta = obj["metadata"]
        strategies.prepare_create(resource, obj, meta["creationTimestamp"])
        allocation = Problems()
        if resource.stored == "services":
            self.allocator.assign(obj, None, rng, allocation)
        validation.validate_create(resource, obj, problems)
        problems.raise_for(resource.group, resource.kind, meta.get("name", ""))
        allocation.raise_for(resource.group, resource.kind, meta.get("name", ""))
        options.warnings += warnings_of(obj)
        if resource.stored == "persistentvolumeclaims":
            for limit in self.store.list("limitranges", namespace):
                admission.check_limits(limit, "persistentvolumeclaims", obj)
        if self.gate is not None:
            self.gate.validate(resource, obj, None, "", options.dry_run, options.warnings)
            if resource.stored == "services" and self.store.rv != begun:
                # Others were served meanwhile, and may have got the address.
                raise Moved(resource.name, resource.group, meta["name"])
        hit = quotas.check(self.store, self.ledger, resource.name, resource.group, obj)
        existing = self.store.get(resource.stored, meta.get("namespace", ""), meta["name"])
        if existing is not None:
            error = already_exists(resource.name, resource.group, meta["name"])
            if existing["metadata"].get("deletionTimestamp"):
                error.status["message"] = f"object is being deleted: {error.message}"
            raise error
        if apply is not None:
            tracked = apply(obj)
        if tracked:
            meta["managedFields"] = tracked
        if options.dry_run:
            return obj
        quotas.charge(self.store, hit)
        return self.store.create(resource.stored, obj)

    def _scope(self, resource: Resource, namespace: str, meta: Obj) -> None:
        if resource.namespaced:
            if meta.get("namespace") and meta["namespace"] != namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)

    def _generated(self, resource: Resource, namespace: str, prefix: str, rng: random.Random) -> str:
        for _ in range(8):
            name = prefix[:58] + admission.suffix(rng)
            if self.store.get(resource.stored, namespace, name) is None:
                break
        return name

    def _tracked(
        self,
        resource: Resource,
        node: nodes.Node,
        old: Obj | None,
        new: Obj,
        options: Options,
        subresource: str,
        given: list[Obj] | None = None,
    ) -> list[Obj]:
        """Return managedFields after a write; `given` are those the client sent, which count before the stored ones."""
        if old is None:
            old = json.loads(_skeleton_text(resource.type.name)) if resource.type else {"metadata": {}}
        if given and all(managed.well_formed(entry) for entry in given):
            old = {**old, "metadata": {**(old.get("metadata") or {}), "managedFields": given}}
        return managed.track_update(
            node,
            old,
            new,
            manager=options.manager,
            api_version=resource.group_version,
            now=iso(self.clock.now()),
            subresource=subresource,
            has_status="status" in resource.subresources,
        )

    # update

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        options: Options,
        *,
        subresource: str = "",
        require_version: bool = False,
        apply: Any = None,
    ) -> tuple[Obj, bool]:
        """Replace an object by one given complete in the served version; return it (stored form) and whether it is new.

        Raises:
            ApiError: whatever speaks against it.
        """
        meta = obj["metadata"] = dict(obj.get("metadata") or {})
        if meta.get("name") and meta["name"] != name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        if not meta.get("name"):
            meta["name"] = name
        self._scope(resource, namespace, meta)
        old = self.store.get(resource.stored, namespace, name)
        if old is None:
            if resource.stored in strategies.CREATE_ON_UPDATE and not subresource:
                meta.pop("resourceVersion", None)
                return self.create(resource, namespace, obj, options), True
            raise not_found(resource.name, resource.group, name)
        old_meta = old["metadata"]
        if require_version and meta.get("uid") and meta["uid"] != old_meta["uid"]:
            place = strategies.STORED_UNDER.get(resource.qualified, resource.name)
            place = f"{resource.group}/{place}" if resource.custom else place
            key = f"/registry/{place}/{namespace + '/' if namespace else ''}{name}"
            why = (
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old_meta['uid']}"
            )
            raise conflict(resource.name, resource.group, name, why)
        version = meta.get("resourceVersion")
        if version and not str(version).isdigit():
            raise internal(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if version and version != "0" and version != old_meta["resourceVersion"]:
            raise conflict(resource.name, resource.group, name)
        if require_version and not version and (resource.custom or resource.stored in strategies.NEEDS_VERSION):
            problems = Problems()
            problems.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource.group, resource.name, name, problems)
        problems, allocation = Problems(), Problems()
        self._immutable_meta(resource, meta, old_meta, problems, apply is not None or not require_version)
        for same in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
            if same in old_meta:
                meta[same] = old_meta[same]
            else:
                meta.pop(same, None)
        meta.pop("selfLink", None)
        if "generateName" in old_meta:
            meta.setdefault("generateName", old_meta["generateName"])
        meta["resourceVersion"] = old_meta["resourceVersion"]
        given_managed = meta.pop("managedFields", None)
        cleared = given_managed in ([], [{}])
        if "managedFields" in old_meta:
            meta["managedFields"] = old_meta["managedFields"]
        new = inward(resource, obj)
        if new is obj:
            new = {**obj}
        new["metadata"] = dict(new["metadata"])
        new = strategies.prepare_update(resource, new, old, subresource)
        if self.gate is not None:
            new = self.gate.mutate(resource, new, old, subresource, options.dry_run, options.warnings)
        asked = new
        if subresource != "status" and resource.stored == "daemonsets.apps":
            # The number is the server's doing: the client does not come to own it.
            asked = {**new, "metadata": dict(new["metadata"])}
            strategies.mark_templates(resource, new, old)
        if resource.stored == "services" and not subresource:
            new["metadata"] = dict(new["metadata"])
            asked = {**new, "spec": {**new["spec"], "ports": [dict(p) for p in new["spec"].get("ports") or ()]}}
            new["spec"] = {**new["spec"], "ports": [dict(p) for p in new["spec"].get("ports") or ()]}
            if not new["spec"]["ports"]:
                del new["spec"]["ports"]
            self.allocator.assign(new, old, self.rng_for(options), allocation)
        if resource.stored == "customresourcedefinitions.apiextensions.k8s.io":
            new = json.loads(json.dumps(new))
        validation.validate_update(resource, new, old, subresource, problems)
        problems.raise_for(resource.group, resource.kind, name)
        allocation.raise_for(resource.group, resource.kind, name)
        options.warnings += warnings_of(new)
        if self.gate is not None:
            self.gate.validate(resource, new, old, subresource, options.dry_run, options.warnings)
            if self.store.get(resource.stored, namespace, name) is not old:
                raise Moved(resource.name, resource.group, name)
        hit = []
        if resource.stored == "persistentvolumeclaims" and not subresource and "deletionTimestamp" not in old_meta:
            for limit in self.store.list("limitranges", namespace):
                admission.check_limits(limit, "persistentvolumeclaims", new)
        if subresource in ("", "resize") and resource.stored in quotas.GROWING:
            hit = quotas.check(self.store, self.ledger, resource.name, resource.group, new, old)
        new_meta = new["metadata"]
        if "generation" in old_meta and subresource != "status" and strategies.grown(resource, new, old):
            new_meta["generation"] = old_meta["generation"] + 1
        if cleared:
            new_meta.pop("managedFields", None)
        elif apply is not None:
            tracked = apply(new)
            new_meta["managedFields"] = tracked
            if not tracked:
                del new_meta["managedFields"]
        elif options.track:
            tracked = self._tracked(
                resource,
                node_of(resource),
                outward(resource, old),
                outward(resource, asked),
                options,
                subresource,
                given_managed,
            )
            if tracked:
                new_meta["managedFields"] = tracked
            else:
                new_meta.pop("managedFields", None)
        if _only_times(new, old):
            return old, False
        if options.dry_run:
            return new, False
        quotas.charge(self.store, hit)
        try:
            return self.store.update(resource.stored, new), False
        except StoreConflict:
            raise conflict(resource.name, resource.group, name) from None

    def _immutable_meta(self, resource: Resource, meta: Obj, old: Obj, problems: Problems, check_uid: bool) -> None:
        if check_uid and meta.get("uid") and meta["uid"] != old["uid"]:
            for _ in range(2):
                problems.invalid("metadata.uid", meta["uid"], "field is immutable")
        if "deletionTimestamp" in old:
            added = [f for f in meta.get("finalizers") or () if f not in (old.get("finalizers") or ())]
            if added:
                listed = ", ".join(f'"{f}"' for f in added)
                text = "no new finalizers can be added if the object is being deleted, found new finalizers"
                for _ in range(2):
                    problems.forbidden("metadata.finalizers", f"{text} []string{{{listed}}}")
        if meta.get("deletionTimestamp") and meta["deletionTimestamp"] != old.get("deletionTimestamp"):
            for _ in range(2):
                problems.invalid("metadata.deletionTimestamp", meta["deletionTimestamp"], "field is immutable")

    # delete

    def delete(self, resource: Resource, namespace: str, name: str, options: DeleteOptions) -> tuple[Obj, bool]:
        """Delete an object, or begin to; return its last state and whether it is gone.

        Raises:
            ApiError: 404, 403, or 409 for a failed precondition.
        """
        old = self.get(resource, namespace, name)
        meta = old["metadata"]
        self._preconditions(resource, old, options)
        if self.gate is not None:
            if options.judged:
                self.gate.validate(resource, None, old, "", options.dry_run, [])
            if self.store.get(resource.stored, namespace, name) is not old:
                raise Moved(resource.name, resource.group, name)
        if resource.stored == "namespaces":
            if name in ("default", "kube-system", "kube-public"):
                raise forbidden("namespaces", "", name, "this namespace may not be deleted")
            return self._delete_namespace(old, options)
        if resource.stored == crds.CRDS:
            return self._delete_definition(old, options)
        finalizers = self._finalizers(meta, options)
        grace = self._grace(resource, old, options)
        waits = bool(finalizers) or bool(grace)
        now = self.clock.now()
        if not waits:
            last = old
            if resource.stored == "pods":
                # A pod that goes at once is still seen to be told to.
                last_meta = {**meta, "deletionGracePeriodSeconds": 0}
                last_meta.setdefault("deletionTimestamp", iso(now))
                if "generation" in meta and "deletionTimestamp" not in meta:
                    last_meta["generation"] = meta["generation"] + 1
                last = {**old, "metadata": last_meta}
            if options.dry_run:
                return last, True
            if last is not old:
                return self.store.update(resource.stored, last), True
            gone = self.store.delete(resource.stored, namespace, name)
            return gone or old, True
        new_meta = {**meta, "finalizers": finalizers}
        if not finalizers:
            del new_meta["finalizers"]
        if "deletionTimestamp" not in meta or (
            grace is not None and grace < (meta.get("deletionGracePeriodSeconds") or 0)
        ):
            new_meta["deletionTimestamp"] = iso(now + (grace or 0))
            new_meta["deletionGracePeriodSeconds"] = grace or 0
            if "generation" in meta and "deletionTimestamp" not in meta:
                new_meta["generation"] = meta["generation"] + 1
        new = {**old, "metadata": new_meta}
        if options.dry_run:
            return new, False
        if new == old:
            return old, False
        stored = self.store.update(resource.stored, new)
        return stored, self.store.get(resource.stored, namespace, name) is None

    def _preconditions(self, resource: Resource, old: Obj, options: DeleteOptions) -> None:
        meta = old["metadata"]
        for given, have, word, verb in (
            (options.uid, meta["uid"], "UID", "deleted and then recreated"),
            (options.resource_version, meta["resourceVersion"], "ResourceVersion", "modified"),
        ):
            if given and given != have:
                why = (
                    f"the {word} in the precondition ({given}) does not match the {word} in record ({have}). "
                    f"The object might have been {verb}"
                )
                raise conflict(resource.kind, resource.group, meta["name"], why)

    @staticmethod
    def _finalizers(meta: Obj, options: DeleteOptions) -> list[str]:
        finalizers = list(meta.get("finalizers") or ())
        if options.policy:
            finalizers = [f for f in finalizers if f not in ("orphan", "foregroundDeletion")]
            if options.policy == "Orphan":
                finalizers.append("orphan")
            elif options.policy == "Foreground":
                finalizers.append("foregroundDeletion")
        return finalizers

    @staticmethod
    def _grace(resource: Resource, old: Obj, options: DeleteOptions) -> int | None:
        """Return the seconds a pod gets to end; None or 0 when it goes at once."""
        if resource.stored != "pods":
            return None
        spec = old["spec"]
        if not spec.get("nodeName") or old.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        grace = options.grace
        if grace is None:
            grace = spec.get("terminationGracePeriodSeconds")
            if grace is None:
                grace = 30
        return 1 if grace < 0 else grace

    def _delete_definition(self, old: Obj, options: DeleteOptions) -> tuple[Obj, bool]:
        new = crds.marked(old, iso(self.clock.now()))
        if not options.dry_run and "deletionTimestamp" not in old["metadata"]:
            new = self.store.update(crds.CRDS, new)
        return new, False

    def _delete_namespace(self, old: Obj, options: DeleteOptions) -> tuple[Obj, bool]:
        meta = old["metadata"]
        if "deletionTimestamp" in meta:
            return old, False
        new = {
            **old,
            "metadata": {**meta, "deletionTimestamp": iso(self.clock.now())},
            "status": {**(old.get("status") or {}), "phase": "Terminating"},
        }
        if options.dry_run:
            return new, False
        stored = self.store.update("namespaces", new)
        return stored, self.store.get("namespaces", "", meta["name"]) is None


def _only_times(new: Obj, old: Obj) -> bool:
    """Tell whether two objects differ in nothing but bookkeeping."""
    if {k: v for k, v in new.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}:
        return False
    skip = ("managedFields", "resourceVersion")
    a = {k: v for k, v in new["metadata"].items() if k not in skip}
    b = {k: v for k, v in old["metadata"].items() if k not in skip}
    if a != b:
        return False

    def timeless(meta: Obj) -> list[Obj]:
        return [{k: v for k, v in e.items() if k != "time"} for e in meta.get("managedFields") or ()]

    return timeless(new["metadata"]) == timeless(old["metadata"])
