"""Reads application files: shipped ones by name, others by path."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from stratus.errors import UnknownNameError, UsageError
from stratus.sim.apps.schema import Application

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MANIFESTS = ".manifests"

Obj = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """An application and its objects, as read.

    Attributes:
        digest: of all the text it was read from; two that are equal behave alike.
        folder: where it was found, for files that go with it.
    """

    app: Application
    objects: tuple[Obj, ...]
    digest: str
    folder: Traversable


def read_yaml(text: str, where: str) -> list[Any]:
    """Return the documents of a YAML text.

    Raises:
        UsageError: it is not YAML; the message names the line.
    """
    try:
        return [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"{where}{at}: this is not YAML ({getattr(error, 'problem', None) or error})") from None


def explain(error: ValidationError, where: str, text: str = "") -> str:
    """Say what is wrong with a document: one line per problem, each with the path of the field and what to do.

    Args:
        text: the document, to tell the line of every problem.
    """
    lines = []
    for problem in error.errors():
        place = problem["loc"]
        path = ".".join(str(part) for part in place)
        said = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            said = f"unknown field{_meant(place)}"
        elif problem["type"] == "missing":
            said = "Field required: add it here"
        at = _line(text, place) if text else 0
        lines.append(f"{where}{f', line {at}' if at else ''}: {path + ': ' if path else ''}{said}")
    return "\n".join(lines)


def _line(text: str, place: tuple[int | str, ...]) -> int:
    """Return the line of a field in a YAML text, or of the innermost thing around it that is there; 0: unknown."""
    node = yaml.compose(text, Loader=_Loader)
    at = 0
    for part in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    found, at = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            at = found.start_mark.line + 1
        if found is None:
            return at
        node = found
    return at


def _meant(place: tuple[int | str, ...]) -> str:
    """Return which fields there are where an unknown one was found."""
    model: Any = Application if place[0] in Application.model_fields or len(place) == 1 else None
    for part in place[:-1]:
        if model is None:
            return ""
        model = _model_at(model, part)
    if model is None:
        return ""
    known = sorted(model.model_fields)
    near = get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; fields here are: {', '.join(known)}"


def _model_at(model: Any, part: int | str) -> Any:
    """Return the model one step into another: of a field, of the values of a mapping, or of the entries of a list."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        found = model.model_fields.get(str(part))
        inner = found.annotation if found is not None else None
    else:
        inner = model
        arguments = [a for a in get_args(model) if a is not Ellipsis]
        if arguments:
            inner = arguments[-1]
    while get_args(inner) and type(None) in get_args(inner):
        inner = next(a for a in get_args(inner) if a is not type(None))
    return inner if get_args(inner) or (isinstance(inner, type) and issubclass(inner, BaseModel)) else None


def shipped() -> tuple[str, ...]:
    """Return the names of the applications that come with the package."""
    names = [f.name for f in resources.files("stratus.sim.apps").joinpath("data").iterdir()]
    found = {n.removesuffix(".yaml") for n in names if n.endswith(".yaml")}
    return tuple(sorted(n for n in found if not n.endswith(_MANIFESTS)))


def load_application(name: str | Path) -> Loaded:
    """Read a shipped application by name, or a file.

    Raises:
        UnknownNameError: no such application; the message lists those that are shipped.
        UsageError: the file cannot be read or says something that is not understood.
    """
    if isinstance(name, str) and name in shipped():
        return _shipped(name)
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return _read(path, str(path))
    raise UnknownNameError(f"no application {str(name)!r}; shipped are: {', '.join(shipped())}; or give a YAML file")


@lru_cache(maxsize=8)
def _shipped(name: str) -> Loaded:
    return _read(resources.files("stratus.sim.apps").joinpath("data", f"{name}.yaml"), f"application {name}")


def _text(file: Traversable, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} cannot be read ({error})") from None


def _read(file: Traversable, where: str) -> Loaded:
    text = _text(file, where)
    documents = read_yaml(text, where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{where}: an application file is one YAML mapping (name, namespace, programs ...)")
    try:
        app = Application.model_validate(documents[0])
    except ValidationError as error:
        raise UsageError(explain(error, where, text)) from None
    digest = sha256(text.encode())
    folder = file.parent if isinstance(file, Path) else resources.files("stratus.sim.apps").joinpath("data")
    objects: list[Obj] = []
    for name in app.manifests:
        inner = f"{where}: manifests {name}"
        content = _text(folder.joinpath(name), inner)
        digest.update(content.encode())
        objects += [_checked(d, f"{inner}, object {n + 1}") for n, d in enumerate(read_yaml(content, inner))]
    objects += [_checked(d, f"{where}: objects.{n}") for n, d in enumerate(app.objects)]
    _check_load(app, objects, where, text)
    return Loaded(app, tuple(objects), digest.hexdigest(), folder)


def _check_load(app: Application, objects: list[Obj], where: str, text: str) -> None:
    """Refuse a load that knocks where no Service is, as far as the application's objects tell."""
    services = {o["metadata"]["name"]: o.get("spec") or {} for o in objects if o["kind"] == "Service"}
    if app.load is None or not services or "." in app.load.host:
        return
    if app.load.host not in services:
        known = ", ".join(sorted(services))
        line = _line(text, ("load", "host"))
        raise UsageError(f"{where}, line {line}: load.host: no Service {app.load.host!r}; Services are: {known}")
    ports = [p.get("port") for p in services[app.load.host].get("ports") or ()]
    if app.load.port not in ports:
        line = _line(text, ("load", "port"))
        shown = ", ".join(map(str, ports)) or "none"
        raise UsageError(f"{where}, line {line}: load.port: Service {app.load.host!r} has the ports: {shown}")


def _checked(document: Any, where: str) -> Obj:
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise UsageError(f"{where}: a Kubernetes object has apiVersion, kind and metadata.name")
    if not (document.get("metadata") or {}).get("name"):
        raise UsageError(f"{where}: {document['kind']} has no metadata.name")
    return document
