"""Documents: which ones a query means, how updates change them, how they are printed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]


class QueryError(Exception):
    """The query or update is wrong; the text is the server's."""


def value_at(document: Any, path: str) -> Any:
    """Return what is at a dotted path."""
    for part in path.split("."):
        if isinstance(document, list) and part.isdigit():
            document = document[int(part)] if int(part) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


def matches(document: Document, query: Document) -> bool:
    """Tell whether a document is one that a query means.

    Raises:
        QueryError: an operator is unknown.
    """
    for key, wanted in query.items():
        if key == "$or":
            hit = any(matches(document, q) for q in wanted)
        elif key == "$and":
            hit = all(matches(document, q) for q in wanted)
        elif key == "$nor":
            hit = not any(matches(document, q) for q in wanted)
        elif key in ("$where", "$comment", "$expr"):
            hit = True
        elif key.startswith("$"):
            raise QueryError(f"unknown top level operator: {key}")
        else:
            hit = _fits(value_at(document, key), wanted)
        if not hit:
            return False
    return True


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and any(k.startswith("$") for k in wanted) and not set(wanted) <= {"$oid", "$date"}:
        return all(_operator(name, value, operand, wanted) for name, operand in wanted.items())
    return value == wanted or (isinstance(value, list) and wanted in value)


def _operator(name: str, value: Any, operand: Any, whole: Document) -> bool:
    if name in ("$eq", "$ne"):
        return _fits(value, operand) == (name == "$eq")
    if name in ("$in", "$nin"):
        return any(_fits(value, o) for o in operand) == (name == "$in")
    if name == "$exists":
        return (value is not None) == bool(operand)
    if name == "$not":
        return not _fits(value, operand)
    if name == "$regex":
        flags = re.IGNORECASE if "i" in str(whole.get("$options", "")) else 0
        return isinstance(value, str) and re.search(str(operand), value, flags) is not None
    if name == "$options":
        return True
    if name == "$size":
        return isinstance(value, list) and len(value) == operand
    if name in ("$gt", "$gte", "$lt", "$lte"):
        if type(value) is not type(operand) and not all(isinstance(v, int | float) for v in (value, operand)):
            return False
        try:
            hit: bool = {
                "$gt": lambda: value > operand, "$gte": lambda: value >= operand, "$lt": lambda: value < operand,
                "$lte": lambda: value <= operand,
            }[name]()  # fmt: skip
        except TypeError:
            return False
        return hit
    raise QueryError(f"unknown operator: {name}")


def changed(document: Document, update: Document) -> Document:
    """Return a document as an update leaves it.

    Raises:
        QueryError: an operator is unknown.
    """
    if not any(k.startswith("$") for k in update):
        return {"_id": document.get("_id"), **{k: v for k, v in update.items() if k != "_id"}}
    fresh: Document = json.loads(json.dumps(document))
    for operator, values in update.items():
        if operator not in ("$set", "$unset", "$inc", "$push", "$rename", "$setOnInsert"):
            raise QueryError(f"Unknown modifier: {operator}")
        for path, value in values.items():
            _change(fresh, operator, path, value)
    return fresh


def _change(document: Document, operator: str, path: str, value: Any) -> None:
    *way, last = path.split(".")
    here: Any = document
    for part in way:
        here = here.setdefault(part, {}) if isinstance(here, dict) else {}
    if not isinstance(here, dict):
        raise QueryError(f"Cannot create field '{last}' in element")
    if operator == "$set":
        here[last] = value
    elif operator == "$unset":
        here.pop(last, None)
    elif operator == "$inc":
        before = here.get(last, 0)
        if not isinstance(before, int | float) or not isinstance(value, int | float):
            raise QueryError(f"Cannot apply $inc to a value of non-numeric type. {{{last}: {json.dumps(before)}}}")
        here[last] = before + value
    elif operator == "$push":
        here.setdefault(last, []).append(value)
    elif operator == "$rename":
        here[str(value)] = here.pop(last, None)


def sort_key(value: Any) -> tuple[int, Any]:
    """Return what a value is sorted by: kinds in the server's order."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 8, value
    if isinstance(value, int | float):
        return 1, value
    if isinstance(value, str):
        return 2, value
    return 3, json.dumps(value, sort_keys=True, default=str)


def ordered(documents: list[Any], path: str, backwards: bool) -> list[Any]:
    """Return documents in the order of what they have at a path."""
    return sorted(documents, key=lambda document: sort_key(value_at(document, path)), reverse=backwards)


# printing


def legacy(value: Any, indent: int = 0, *, flat: bool = False) -> str:
    """Return a value as the `mongo` shell prints it."""
    special = _special(value, '"')
    if special is not None:
        return special
    lead, end = ("\t" * (indent + 1), "\n" + "\t" * indent) if not flat else ("", "")
    join = ",\n" if not flat else ", "
    if isinstance(value, dict):
        if not value:
            return "{ }"
        inner = join.join(f'{lead}"{k}" : {legacy(v, indent + 1, flat=flat)}' for k, v in value.items())
        return "{ " + inner + " }" if flat else "{\n" + inner + end + "}"
    if isinstance(value, list):
        if not value:
            return "[ ]"
        inner = join.join(f"{lead}{legacy(v, indent + 1, flat=flat)}" for v in value)
        return "[ " + inner + " ]" if flat else "[\n" + inner + end + "]"
    return json.dumps(value, ensure_ascii=False)


def _special(value: Any, quote: str) -> str | None:
    if isinstance(value, dict):
        if set(value) == {"$oid"}:
            return f"ObjectId({quote}{value['$oid']}{quote})"
        if set(value) == {"$date"}:
            moment = datetime.fromtimestamp(value["$date"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            return f"ISODate({quote}{moment}{quote})"
        if set(value) == {"$long"}:
            return f"NumberLong({value['$long']})" if quote == '"' else f"Long({quote}{value['$long']}{quote})"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return None


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_$][\w$]*", name) else modern(name)


def modern(value: Any, indent: int = 0) -> str:
    """Return a value as `mongosh` prints it."""
    special = _special(value, "'")
    if special is not None:
        return special
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
    if isinstance(value, int | float):
        return json.dumps(value)
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{_key(k)}: {modern(v, indent + 2)}" for k, v in value.items()]
        marks = "{}"
    else:
        items = [modern(v, indent + 2) for v in value]
        marks = "[]"
    if not items:
        return marks
    line = f"{marks[0]} {', '.join(items)} {marks[1]}"
    if len(line) + indent <= 76 and "\n" not in line:
        return line
    return marks[0] + "\n" + ",\n".join(pad + i for i in items) + "\n" + " " * indent + marks[1]
