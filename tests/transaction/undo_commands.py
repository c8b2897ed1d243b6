"""Random kubectl commands for every (verb, kind) of the registry of reversible changes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import undo_objects as objects
from hypothesis import strategies as st
from undo_objects import CUSTOM, Draw, Json

from stratus.mitigation.reversibility import CUSTOM as CUSTOM_RULE
from stratus.mitigation.reversibility import reversibility_rules


@dataclass(frozen=True)
class Entry:
    """One (verb, kind) of the registry that may be executed.

    Attributes:
        form: `new` for what creates, `scale` for the subresource, or the condition of the rule; empty for the rest.
    """

    verb: str
    kind: str
    form: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.verb, self.kind, self.form) if part)


def entries() -> tuple[Entry, ...]:
    """Return every (verb, kind) that the registry allows."""
    found: dict[Entry, None] = {}
    for rule in reversibility_rules():
        form = "new" if rule.writes == ("POST",) else "scale" if rule.writes == ("PATCH/scale",) else rule.when
        for verb in rule.verbs if rule.allowed else ():
            for kind in rule.kinds:
                found[Entry(verb, CUSTOM[1] if kind == CUSTOM_RULE else kind, form)] = None
    return tuple(found)


@dataclass
class World:
    """What a command is drawn for.

    Attributes:
        names: the objects of each kind.
        get: reads one of them.
        pods: the pods that belong to a Deployment.
    """

    draw: Draw
    names: dict[str, list[str]]
    get: Callable[[str, str], Json]
    pods: Callable[[str], list[Json]]
    made: int = 0

    def pick(self, kind: str) -> str:
        return str(self.draw(st.sampled_from(self.names[kind])))

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, least: int, most: int) -> int:
        return int(self.draw(st.integers(least, most)))

    def fresh(self) -> str:
        self.made += 1
        return f"new-{self.made}-{self.draw(objects.word)}"


Command = tuple[str, str]
"""The line without `kubectl`, and what it reads from standard input."""
Maker = Callable[[World, str, str], Command]
MAKERS: dict[tuple[str, str], Maker] = {}
"""By (verb, form); the index test wants one for every entry of the registry."""


def maker(*keys: str) -> Callable[[Maker], Maker]:
    """Register a generator for verbs, each written `verb` or `verb/form`."""

    def register(function: Maker) -> Maker:
        for key in keys:
            verb, _, form = key.partition("/")
            MAKERS[(verb, form)] = function
        return function

    return register


def command(entry: Entry, world: World) -> Command:
    """Draw a command for an entry."""
    return MAKERS[(entry.verb, entry.form)](world, entry.kind, entry.form)


def _pairs(values: dict[str, str]) -> str:
    return " ".join(shlex.quote(f"{k}={v}") for k, v in values.items())


def _count(world: World, kind: str, name: str) -> int:
    """Another number of replicas than there is."""
    now = world.get(kind, name)["spec"].get("replicas", 1)
    return int(world.one(*(n for n in range(6) if n != now)))


@maker("scale")
def _scale(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    return f"scale {kind} {name} --replicas={_count(world, kind, name)}", ""


@maker("patch/scale")
def _patch_scale(world: World, kind: str, form: str) -> Command:
    name, how = world.pick(kind), world.one("merge", "json")
    count = _count(world, kind, name)
    body: Any = {"spec": {"replicas": count}}
    if how == "json":
        body = [{"op": "replace", "path": "/spec/replicas", "value": count}]
    return f"patch {kind} {name} --subresource=scale --type={how} -p {shlex.quote(json.dumps(body))}", ""


def _containers(world: World, kind: str, name: str) -> list[str]:
    spec = world.get(kind, name)["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    spec = spec if kind == "Pod" else spec["template"]["spec"]
    return [c["name"] for c in spec["containers"]]


@maker("set image")
def _set_image(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    which = world.one(*_containers(world, kind, name), "*")
    return f"set image {kind}/{name} {shlex.quote(which)}={world.one(*objects.IMAGES)}", ""


@maker("set env")
def _set_env(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    plain = st.text(st.characters(codec="ascii", exclude_categories=("Cc",), exclude_characters="`"), max_size=12)
    values = world.draw(st.dictionaries(st.sampled_from(("A", "B_1", "MODE", "FROM_MAP", "POD_IP")), plain, min_size=1))
    gone = [f"{k}-" for k in ("WHO", "C") if world.draw(st.booleans())]
    return f"set env {kind}/{name} {_pairs(values)} {' '.join(gone)}".strip(), ""


@maker("set resources")
def _set_resources(world: World, kind: str, form: str) -> Command:
    limits = f"cpu={world.number(1, 4)},memory={world.one('256Mi', '1Gi', '2G')}"
    asked = f" --requests=cpu={world.one('1m', '10m', '0')}" if world.draw(st.booleans()) else ""
    return f"set resources {kind}/{world.pick(kind)} --limits={limits}{asked}", ""


@maker("set serviceaccount")
def _set_account(world: World, kind: str, form: str) -> Command:
    return f"set serviceaccount {kind}/{world.pick(kind)} {world.draw(objects.word)}", ""


@maker("set selector")
def _set_selector(world: World, kind: str, form: str) -> Command:
    chosen = world.draw(st.dictionaries(objects.word, objects.word, min_size=1, max_size=3))
    return f"set selector {kind}/{world.pick(kind)} {','.join(f'{k}={v}' for k, v in chosen.items())}", ""


@maker("set subject")
def _set_subject(world: World, kind: str, form: str) -> Command:
    who = world.one("--user={}", "--group={}", "--serviceaccount=default:{}").format(world.draw(objects.word))
    return f"set subject {kind}/{world.pick(kind)} {who}", ""


@maker("label")
def _label(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    held = sorted((world.get(kind, name)["metadata"].get("labels") or {}).keys() - {"app", "kubernetes.io/os"})
    return f"label --overwrite {kind} {name} {_keys(world, held, objects.value)}", ""


@maker("annotate")
def _annotate(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    held = sorted((world.get(kind, name)["metadata"].get("annotations") or {}).keys())
    held = [k for k in held if not k.startswith(("deployment.kubernetes.io/", "deprecated.", "node", "csi.", "kube"))]
    plain = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="`"), max_size=12)
    return f"annotate --overwrite {kind} {name} {_keys(world, held, plain)}", ""


def _keys(world: World, held: list[str], values: Any) -> str:
    """Set some, remove some of those that are there."""
    chosen = world.draw(st.dictionaries(objects.key, values, min_size=1, max_size=3))
    gone = [k for k in held if k not in chosen and world.draw(st.booleans())]
    return " ".join([_pairs(chosen), *(f"{k}-" for k in gone)])


def _another(world: World, kind: str, name: str) -> Json:
    """An object that may stand in the place of one, as a manifest."""
    if kind == "Node":
        return {"metadata": {"labels": world.draw(objects.labels)}, "spec": {"unschedulable": world.one(True, False)}}
    return objects.manifest(world.draw, kind, name, like=world.get(kind, name))


def _portions(found: Json) -> Json:
    """What of a manifest may be patched."""
    meta = {k: v for k, v in found["metadata"].items() if k in ("labels", "annotations")}
    return {"metadata": meta, **{k: v for k, v in found.items() if k not in ("apiVersion", "kind", "metadata", "type")}}


@maker("patch")
def _patch(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    new = _portions(_another(world, kind, name))
    if kind == "Job":
        new.get("spec", {}).pop("template", None)
    how = world.one("merge", "json") if kind == CUSTOM[1] else world.one("strategic", "merge", "json")
    body: Any = new
    if how == "json":
        old = world.get(kind, name)
        body = []
        for top, fields in new.items():
            if not isinstance(fields, dict):
                body.append({"op": "add", "path": f"/{top}", "value": fields})
                continue
            if not isinstance(old.get(top), dict):
                body.append({"op": "add", "path": f"/{top}", "value": {}})
            for field, content in fields.items():
                where = field.replace("~", "~0").replace("/", "~1")
                body.append({"op": "add", "path": f"/{top}/{where}", "value": content})
    if how == "strategic":
        _retain(kind, new.get("spec", {}))
    if how == "merge":
        # A key with null is taken away: part of what is there, each time another part.
        for top in ("data", "spec") if kind in ("ConfigMap", CUSTOM[1]) else ():
            for field in sorted((world.get(kind, name).get(top) or {}).keys() - new.get(top, {}).keys()):
                if world.draw(st.booleans()):
                    new.setdefault(top, {})[field] = None
    return f"patch {kind} {name} --type={how} -p {shlex.quote(json.dumps(body))}", ""


def _retain(kind: str, spec: Json) -> None:
    """Say of fields that exclude each other which of them goes, as a strategic patch has to."""
    if kind == "Deployment" and "rollingUpdate" not in spec["strategy"]:
        spec["strategy"]["$retainKeys"] = ["type"]
    if kind in ("StatefulSet", "DaemonSet"):
        spec["updateStrategy"].setdefault("rollingUpdate", None)
    if kind == "PodDisruptionBudget":
        spec |= {bound: spec.get(bound) for bound in ("minAvailable", "maxUnavailable")}


@maker("apply")
def _apply(world: World, kind: str, form: str) -> Command:
    how = world.one("", " --server-side --force-conflicts")
    name = world.pick(kind)
    if kind == "Node":
        found = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": world.draw(objects.labels)}}
        return f"apply{how} -f -", json.dumps(found)
    return f"apply{how} -f -", json.dumps(_whole(world, kind, name))


@maker("replace")
def _replace(world: World, kind: str, form: str) -> Command:
    name = world.pick(kind)
    if kind == "Node":
        found = world.get(kind, name)
        found["metadata"]["labels"] |= world.draw(objects.labels)
        return "replace -f -", json.dumps(found)
    return "replace -f -", json.dumps(_whole(world, kind, name))


def _whole(world: World, kind: str, name: str) -> Json:
    found = _another(world, kind, name)
    if kind == "Job":
        found["spec"] = {**world.get(kind, name)["spec"], **found["spec"]}
    return found


@maker("create/new", "apply/new")
def _make(world: World, kind: str, form: str) -> Command:
    found = objects.manifest(world.draw, kind, world.fresh())
    return world.one("create -f -", "apply -f -", "apply --server-side -f -"), json.dumps(found)


@maker("autoscale/new")
def _autoscale(world: World, kind: str, form: str) -> Command:
    least = world.number(1, 3)
    share = world.number(1, 99)
    return f"autoscale deployment {world.pick('Deployment')} --min={least} --max={least + 2} --cpu-percent={share}", ""


@maker("expose/new")
def _expose(world: World, kind: str, form: str) -> Command:
    name = world.pick("Deployment")
    return f"expose deployment {name} --name={world.fresh()} --port={world.number(1, 9999)}", ""


@maker("delete", "delete/not_token", "delete/not_orphan")
def _delete(world: World, kind: str, form: str) -> Command:
    return f"delete {kind} {world.pick(kind)}", ""


@maker("delete/orphan")
def _orphan(world: World, kind: str, form: str) -> Command:
    return f"delete {kind} {world.pick(kind)} --cascade=orphan", ""


@maker("delete/owned")
def _delete_pod(world: World, kind: str, form: str) -> Command:
    found = world.pods(world.pick("Deployment"))
    return f"delete pod {world.one(*found)['metadata']['name'] if found else 'none-left'}", ""


@maker("taint")
def _taint(world: World, kind: str, form: str) -> Command:
    effect = world.one("NoSchedule", "PreferNoSchedule")
    return (
        f"taint --overwrite node {world.pick(kind)} {world.draw(objects.word)}={world.draw(objects.word)}:{effect}",
        "",
    )


@maker("drain", "drain/owned")
def _drain(world: World, kind: str, form: str) -> Command:
    """Only pods of one Deployment, so that on a shared cluster no stranger's pod is moved."""
    owner = world.pick("Deployment")
    where = sorted({p["spec"]["nodeName"] for p in world.pods(owner) if p["spec"].get("nodeName")})
    node = world.one(*where) if where else world.pick("Node")
    return f"drain {node} --pod-selector=app={owner} --ignore-daemonsets --delete-emptydir-data", ""


def _named(verb: str, how: str) -> Maker:
    return lambda world, kind, form: (f"{verb} {how.format(kind=kind, name=world.pick(kind))}", "")


for _verb in ("rollout restart", "rollout undo", "rollout pause", "rollout resume"):
    MAKERS[(_verb, "")] = _named(_verb, "{kind}/{name}")
for _verb in ("cordon", "uncordon"):
    MAKERS[(_verb, "")] = _named(_verb, "{name}")

NEEDS: dict[str, tuple[str, ...]] = {
    "drain": ("Deployment", "Node"),
    "autoscale": ("Deployment",),
    "expose": ("Deployment",),
    "delete/owned": ("Deployment",),
}
"""Kinds that have to be there besides, by verb or verb/form."""
