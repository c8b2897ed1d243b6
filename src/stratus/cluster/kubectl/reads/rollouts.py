"""`kubectl rollout status|history`: how far a rollout is now, and the revisions there are."""

from __future__ import annotations

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, bare
from stratus.cluster.kubectl.reads.columns import tabbed
from stratus.cluster.kubectl.reads.getting import as_json, as_yaml
from stratus.cluster.kubectl.reads.podtext import pod_template
from stratus.kit.kube import controller, dig
from stratus.kit.patches import strategic_apply
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

_REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"
_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def status(look: Look) -> ReadAnswer:
    """Run `rollout status`: the state now; nothing is waited for."""
    lines: list[str] = []
    done = True
    for obj in _rolling(look):
        wanted = look.option("revision")
        held = (obj["metadata"].get("annotations") or {}).get(_REVISION, "")
        if wanted and obj["kind"] == "Deployment" and wanted != held:
            raise Failed(f"error: desired revision ({wanted}) is different from the running revision ({held})")
        line, finished = _state(obj)
        lines.append(line)
        done = done and finished
    waited = look.on("watch", True) and not done
    complaint = "(the state now: nothing is waited for; ask again later)" if waited else ""
    return ReadAnswer(text="".join(f"{line}\n" for line in lines), complaint=complaint, exit_code=1 if waited else 0)


def _rolling(look: Look) -> list[Json]:
    found = [o for target in look.read.targets for o in look.objects(target)]
    if not found:
        raise Failed(f"error: no resources found in {look.read.namespace} namespace")
    for obj in found:
        if obj["kind"] not in _KINDS:
            raise Failed(f"error: no status viewer has been implemented for {obj['kind']}")
    return found


def _state(obj: Json) -> tuple[str, bool]:
    meta, spec, held = obj["metadata"], obj["spec"], obj.get("status") or {}
    if meta.get("generation", 0) > held.get("observedGeneration", 0):
        return f"Waiting for {obj['kind'].lower()} {meta['name']!r} spec update to be observed...".replace(
            "'", '"'
        ), False
    return {"Deployment": _deployment, "StatefulSet": _stateful, "DaemonSet": _daemon}[obj["kind"]](
        meta["name"], spec, held
    )


def _deployment(name: str, spec: Json, held: Json) -> tuple[str, bool]:
    late = any(
        c.get("type") == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded"
        for c in held.get("conditions") or ()
    )
    if late:
        raise Failed(f'error: deployment "{name}" exceeded its progress deadline')
    wanted, updated = spec.get("replicas", 1), held.get("updatedReplicas", 0)
    total, available = held.get("replicas", 0), held.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _stateful(name: str, spec: Json, held: Json) -> tuple[str, bool]:
    wanted, ready = spec.get("replicas", 1), held.get("readyReplicas", 0)
    if dig(spec, "updateStrategy", "type") == "OnDelete":
        raise Failed("error: rollout status is only available for RollingUpdate strategy type")
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    updated = held.get("updatedReplicas", 0)
    partition = dig(spec, "updateStrategy", "rollingUpdate", "partition", default=0)
    if partition:
        below = wanted - partition
        if updated < below:
            waiting = "Waiting for partitioned roll out to finish: "
            return f"{waiting}{updated} out of {below} new pods have been updated...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    revision = held.get("updateRevision")
    if revision != held.get("currentRevision"):
        return f"waiting for statefulset rolling update to complete {updated} pods at revision {revision}...", False
    total = held.get("currentReplicas", 0)
    return f"statefulset rolling update complete {total} pods at revision {held.get('currentRevision')}...", True


def _daemon(name: str, spec: Json, held: Json) -> tuple[str, bool]:
    wanted, updated = held.get("desiredNumberScheduled", 0), held.get("updatedNumberScheduled", 0)
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new pods have been updated...", False
    if held.get("numberAvailable", 0) < wanted:
        return f"{waiting}{held.get('numberAvailable', 0)} of {wanted} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


def history(look: Look) -> ReadAnswer:
    """Run `rollout history`."""
    blocks = []
    for obj in _rolling(look):
        resource = look.resource(_ref(obj))
        title = f"{resource.singular or resource.kind.lower()}.{resource.group}/{obj['metadata']['name']}"
        revisions = _revisions(look, obj)
        wanted = look.option("revision")
        if wanted and wanted != "0":
            if not wanted.isdigit() or int(wanted) not in revisions:
                raise Failed(f"error: unable to find the specified revision {wanted}")
            holder = revisions[int(wanted)]
            if look.option("output") in ("yaml", "json"):
                shown = bare(holder)
                blocks.append(as_json(shown) if look.option("output") == "json" else as_yaml(shown))
                continue
            blocks.append(
                tabbed("\n".join([f"{title} with revision #{wanted}", *pod_template(_template(obj, holder))])) + "\n"
            )
            continue
        rows = ["REVISION\tCHANGE-CAUSE"]
        for number, holder in sorted(revisions.items()):
            rows.append(f"{number}\t{(holder['metadata'].get('annotations') or {}).get(_CAUSE) or '<none>'}")
        blocks.append(f"{title} \n" + tabbed("\n".join(rows)) + "\n")
    return ReadAnswer(text="\n".join(blocks))


def _ref(obj: Json) -> ObjectRef:
    return ObjectRef.of(obj)


def _revisions(look: Look, obj: Json) -> dict[int, Json]:
    kind = "apps/v1/ReplicaSet" if obj["kind"] == "Deployment" else "apps/v1/ControllerRevision"
    found: dict[int, Json] = {}
    for held in look.reader.list(kind, obj["metadata"].get("namespace")):
        owner = controller(held)
        if owner is None or owner[2] != obj["metadata"].get("uid"):
            continue
        number = held.get("revision") or (held["metadata"].get("annotations") or {}).get(_REVISION)
        if str(number).isdigit():
            found[int(str(number))] = held
    return found


def _template(obj: Json, holder: Json) -> Json:
    if holder["kind"] != "ControllerRevision":
        return dict(holder["spec"]["template"])
    from stratus.cluster.kubectl.context import rules, strategic_type

    made = strategic_apply(obj, holder.get("data") or {}, rules(), strategic_type(_ref(obj)))
    return dict(made["spec"]["template"])
