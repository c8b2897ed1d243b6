"""`kubectl set image|env|resources|selector|serviceaccount`: strategic patches of the difference."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from stratus.cluster.kubectl.context import Context, Found, Outcome, pairs, refuse, strategic_writes
from stratus.cluster.kubectl.targets import find
from stratus.cluster.kubectl.verbs.accessing import subjects
from stratus.kit.kube import quantity
from stratus.model.actions import ApiWrite
from stratus.model.base import Json

_ENV_NAME = re.compile(r"^[^=\s]+$")
_IMAGE = re.compile(r"^[^\s]+$")
_NOT_ENV = re.compile(r"[^a-zA-Z0-9_]")
_TEMPLATES = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


def compile_verb(ctx: Context) -> Outcome:
    """Compile the `set` verbs."""
    verb = {
        "set image": _image,
        "set env": _env,
        "set resources": _resources,
        "set selector": _selector,
        "set serviceaccount": _service_account,
        "set subject": _subjects,
    }[ctx.parsed.verb]
    return verb(ctx)


def pod_spec(found: Found, obj: Json) -> Json:
    """Return the pod spec inside an object, or refuse when it has none."""
    spec: Json = obj
    for key in _TEMPLATES.get(found.resource.kind, ("spec", "template", "spec")):
        spec = spec.get(key) or {}
    if not spec.get("containers"):
        raise refuse("not_applicable", f"{found} has no pod template", "name a workload, such as deployment/NAME")
    return spec


def _containers(spec: Json, pattern: str = "*") -> list[Json]:
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [c for c in every if fnmatchcase(c["name"], pattern)]


def _changed(ctx: Context, found: tuple[Found, ...], change: Callable[[Found, Json], None]) -> Outcome:
    """Apply a change to a copy of every object's pod spec and return the patches."""
    writes: list[ApiWrite] = []
    for one in found:
        after = copy.deepcopy(one.obj)
        change(one, pod_spec(one, after))
        writes += strategic_writes(ctx, one, after)
    return Outcome(writes=tuple(writes))


def _split(words: tuple[str, ...], is_argument: Callable[[str], bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part the words that name objects from the arguments behind them."""
    at = next((i for i, w in enumerate(words) if is_argument(w)), len(words))
    return words[:at], words[at:]


def _image(ctx: Context) -> Outcome:
    names, arguments = _split(ctx.parsed.words, lambda w: "=" in w)
    images = pairs(arguments, "an image")
    if not images:
        raise refuse("missing_argument", "No image is given", "write CONTAINER=IMAGE")
    for container, image in images.items():
        if not _IMAGE.match(image):
            raise refuse("bad_value", f"{image!r} is not an image for container {container!r}", "write CONTAINER=IMAGE")

    def change(found: Found, spec: Json) -> None:
        for container, image in images.items():
            chosen = _containers(spec) if container == "*" else [c for c in _containers(spec) if c["name"] == container]
            if not chosen:
                raise _no_container(found, spec, container)
            for one in chosen:
                one["image"] = image

    return _changed(ctx, find(ctx, names), change)


def _env(ctx: Context) -> Outcome:
    names, arguments = _split(ctx.parsed.words, lambda w: "=" in w or w.endswith("-"))
    if ctx.parsed.on("list"):
        from stratus.cluster.kubectl.verbs.reading import read_of

        return read_of(ctx, "get", names)
    arguments += ctx.parsed.many("env")
    sets = pairs(tuple(w for w in arguments if "=" in w), "a variable")
    removed = [w[:-1] for w in arguments if "=" not in w and w.endswith("-")]
    stray = [w for w in arguments if "=" not in w and not w.endswith("-")]
    if stray:
        raise refuse("bad_value", f"{stray[0]!r} is not a variable", "write NAME=VALUE to set and NAME- to remove")
    taken = _taken_over(ctx)
    if not sets and not removed and not taken:
        raise refuse("missing_argument", "No variable is given", "write NAME=VALUE to set and NAME- to remove")
    for name in (*sets, *removed):
        if not name or not _ENV_NAME.match(name):
            raise refuse("bad_value", f"{name!r} is not a name for a variable", "write NAME=VALUE")
    if set(sets) & set(removed):
        raise refuse("bad_value", "A variable is both set and removed", "do one of them")
    pattern = ctx.parsed.one("containers", "*")
    wanted: dict[str, Json] = {**taken, **{name: {"name": name, "value": value} for name, value in sets.items()}}
    wanted = {name: wanted[name] for name in (*sets, *(n for n in taken if n not in sets))}

    def change(found: Found, spec: Json) -> None:
        for container in _containers(spec, pattern):
            env = [e for e in container.get("env") or () if e["name"] not in removed]
            for name, entry in wanted.items():
                old = next((e for e in env if e["name"] == name), None)
                if old is not None and not ctx.parsed.on("overwrite", True) and old != entry:
                    raise refuse(
                        "would_overwrite",
                        f"{found} has {name} already, and --overwrite is false",
                        "leave --overwrite=false out",
                    )
                if old is None:
                    env.append(dict(entry))
                else:
                    env[env.index(old)] = dict(entry)
            if env or container.get("env"):
                container["env"] = env
            if not env:
                container.pop("env", None)

    objects = find(ctx, names)
    having = [one for one in objects if _containers(pod_spec(one, one.obj), pattern)]
    if objects and not having:  # of several, kubectl passes over those without such a container
        raise _no_container(objects[0], pod_spec(objects[0], objects[0].obj), pattern)
    return _changed(ctx, objects, change)


def _taken_over(ctx: Context) -> dict[str, Json]:
    """Return the variables that `--from=configmap/NAME|secret/NAME` refers to, by name."""
    source = ctx.parsed.one("from")
    keys = {key for text in ctx.parsed.many("keys") for key in text.split(",") if key}
    if not source:
        if keys or ctx.parsed.one("prefix"):
            raise refuse("missing_argument", "--keys and --prefix need --from", "write --from=configmap/NAME")
        return {}
    word, _, name = source.partition("/")
    resource = ctx.resource(word)
    reference = {"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"}.get(resource.kind)
    if reference is None or resource.group or not name:
        raise refuse("bad_value", f"--from={source} is no source", "write --from=configmap/NAME or --from=secret/NAME")
    held = ctx.reader.get(ctx.ref(resource, name))
    if held is None:
        raise refuse("not_found", f"{resource.kind} {name} does not exist", "check name and namespace")
    known = sorted(held.get("data") or {})
    if keys - set(known):
        raise refuse(
            "not_found",
            f"{resource.kind} {name} has no key {sorted(keys - set(known))[0]!r}",
            f"its keys are: {', '.join(known) or 'none'}",
        )
    found: dict[str, Json] = {}
    for key in known:
        if not keys or key in keys:
            variable = ctx.parsed.one("prefix") + _NOT_ENV.sub("_", key).upper()
            found[variable] = {"name": variable, "valueFrom": {reference: {"key": key, "name": name}}}
    return found


def _resources(ctx: Context) -> Outcome:
    wanted = {kind: pairs(tuple(filter(None, ctx.parsed.one(kind).split(","))), "an amount") for kind in _AMOUNTS}
    if not any(wanted.values()):
        raise refuse(
            "missing_argument", "Neither --limits nor --requests is given", "write --limits=cpu=200m,memory=64Mi"
        )
    for amounts in wanted.values():
        for name, value in amounts.items():
            if quantity(value) is None or (quantity(value) or 0.0) < 0:
                raise refuse("bad_value", f"{value!r} is not an amount of {name}", "write amounts as 200m, 1, 64Mi")
    pattern = ctx.parsed.one("containers", "*")

    def change(found: Found, spec: Json) -> None:
        chosen = _containers(spec, pattern)
        if not chosen:
            raise _no_container(found, spec, pattern)
        for container in chosen:
            resources = {**(container.get("resources") or {})}
            for kind, amounts in wanted.items():
                if amounts:
                    resources[kind] = {**(resources.get(kind) or {}), **amounts}
            container["resources"] = resources

    return _changed(ctx, find(ctx, ctx.parsed.words), change)


_AMOUNTS = ("limits", "requests")


def _selector(ctx: Context) -> Outcome:
    names, arguments = ctx.parsed.words[:-1], ctx.parsed.words[-1:]
    if not arguments or "=" not in arguments[0] or any(sign in arguments[0] for sign in ("!=", "==", " ", "(")):
        raise refuse("bad_value", "No selector of the form KEY=VALUE,... is given", "write service/NAME KEY=VALUE")
    selector = pairs(tuple(arguments[0].split(",")), "a label")
    writes: list[ApiWrite] = []
    for found in find(ctx, names):
        if (found.resource.group, found.resource.kind) != ("", "Service"):
            raise refuse("not_applicable", f"The selector of {found} cannot be set", "name a service")
        after = copy.deepcopy(found.obj)
        after["spec"]["selector"] = selector
        writes += strategic_writes(ctx, found, after, expect_version=ctx.parsed.one("resource-version"))
    return Outcome(writes=tuple(writes))


def _service_account(ctx: Context) -> Outcome:
    names, account = ctx.parsed.words[:-1], ctx.parsed.words[-1:]
    if not names or not account or "/" in account[0] or not account[0]:
        raise refuse("missing_argument", "No service account is given", "write deployment/NAME SERVICEACCOUNT")

    def change(found: Found, spec: Json) -> None:
        spec["serviceAccountName"] = account[0]

    return _changed(ctx, find(ctx, names), change)


def _subjects(ctx: Context) -> Outcome:
    wanted = subjects(ctx)
    if not wanted:
        raise refuse("missing_argument", "No subject is given", "write --user=NAME, or --serviceaccount=NAMESPACE:NAME")
    writes: list[ApiWrite] = []
    for found in find(ctx, ctx.parsed.words):
        if found.resource.kind not in ("RoleBinding", "ClusterRoleBinding"):
            raise refuse("not_applicable", f"{found} has no subjects", "name a rolebinding or clusterrolebinding")
        held = found.obj.get("subjects") or []
        after = {**found.obj, "subjects": [*held, *(s for s in wanted if s not in held)]}
        writes += strategic_writes(ctx, found, after)
    return Outcome(writes=tuple(writes))


def _no_container(found: Found, spec: Json, name: str) -> Exception:
    known = ", ".join(c["name"] for c in _containers(spec))
    return refuse("no_such_container", f"{found} has no container {name!r}", f"its containers are: {known}")
