"""Texts about types, fields and parameters, read from the installed Kubernetes client when a document is asked for.

Nothing is imported for it and no text is shipped: the sources of the `kubernetes` package are searched for the
models and methods in question. The package `kubernetes-validate`, where it is installed, has the same texts with
their line breaks, and those of fields that refer to another type; it is preferred.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: The release whose texts are wanted.
RELEASE = "v1.36.0"
_CLASS = re.compile(r'^class (\w+)\(.*?\):\n    """\n(.*?)\n(?:\n    Attributes:|    """)', re.S | re.M)
_FIELD = re.compile(r"^    (\w+): [^\n]*? = Field\((.*)\)$", re.M)
_TEXT = re.compile(r'(?<![\w_])description=("(?:[^"\\]|\\.)*")')
_ALIAS = re.compile(r'serialization_alias="(\w+)"')
_PARAMETER = re.compile(r'^        (\w+): Annotated\[[^\n]*?Field\([^\n]*?description=("(?:[^"\\]|\\.)*")', re.M)


@cache
def _folder(package: str, below: str) -> Path | None:
    found = find_spec(package)
    if found is None or not found.origin:
        return None
    folder = Path(found.origin).parent / below
    return folder if folder.exists() else None


@cache
def _models() -> dict[str, Path]:
    folder = _folder("kubernetes", "client/models")
    return {p.stem.replace("_", ""): p for p in folder.glob("*.py")} if folder else {}


@cache
def _definitions() -> dict[str, Any]:
    path = _folder("kubernetes_validate", f"kubernetes-json-schema/{RELEASE}-local/_definitions.json")
    if path is None:
        return {}
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))["$defs"]
    return found


def _model_path(name: str) -> Path | None:
    """Return the file of a type's model: `V1Pod`, or with the group where several groups have the name."""
    parts = name.split(".")
    if len(parts) < 3:
        return None
    group, version, struct = (p.replace("-", "").lower() for p in parts[-3:])
    models = _models()
    return models.get(version + struct) or models.get(group + version + struct)


@cache
def of_type(name: str) -> tuple[str, dict[str, str]]:
    """Return the text about a type and those about its fields by JSON name; empty where none is known."""
    found = _definitions().get(name)
    if found is not None:
        fields = {k: v["description"] for k, v in (found.get("properties") or {}).items() if v.get("description")}
        return found.get("description", ""), fields
    path = _model_path(name)
    if path is None:
        return "", {}
    source = path.read_text("utf-8")
    start = _CLASS.search(source)
    if start is None:
        return "", {}
    fields = {}
    for match in _FIELD.finditer(source, start.end()):
        text, alias = _TEXT.search(match[2]), _ALIAS.search(match[2])
        if text:
            fields[alias[1] if alias else match[1]] = str(ast.literal_eval(text[1]))
    return " ".join(start[2].split()), fields


@cache
def parameters(module: str, method: str) -> dict[str, str]:
    """Return the texts about a client method's parameters, such as `list_namespaced_pod` of `core_v1_api`."""
    folder = _folder("kubernetes", "client/api")
    path = folder / f"{module}.py" if folder else None
    if path is None or not path.exists():
        return {}
    source = path.read_text("utf-8")
    start = source.find(f"    def {method}(")
    if start < 0:
        return {}
    end = source.find(") ->", start)
    return {m[1].lstrip("_"): str(ast.literal_eval(m[2])) for m in _PARAMETER.finditer(source, start, end)}
