"""Label and field selectors: parsed once, then matched against objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from stratus.sim.api.status import bad_request

Obj = dict[str, Any]
Requirement = tuple[str, str, tuple[str, ...]]

_TOKEN = re.compile(r"\s*(==|=|!=|!|,|\(|\)|<|>|[^\s=!,()<>]+)")


def _tokens(text: str) -> list[str]:
    out, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            break
        out.append(match[1])
        at = match.end()
    return out


_PUNCTUATION = {"==", "=", "!=", "!", ",", "(", ")", "<", ">"}


def _problem(detail: str) -> Exception:
    return bad_request(f"unable to parse requirement: {detail}")


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse `a=b,c!=d,e in (f,g),h,!i` into (key, operator, values).

    Raises:
        ApiError: 400 with the parser's text.
    """
    tokens = _tokens(text)
    at = 0
    out: list[Requirement] = []

    def peek() -> str:
        return tokens[at] if at < len(tokens) else ""

    while at < len(tokens):
        if peek() in _PUNCTUATION and peek() != "!":
            raise bad_request(f"found '{peek()}', expected: !, identifier, or 'end of string'")
        negate = False
        if peek() == "!":
            negate = True
            at += 1
        key = peek()
        if key in _PUNCTUATION or not key:
            raise _problem(f"found '{key}', expected: identifier")
        at += 1
        op = peek()
        if negate or op in ("", ","):
            out.append((key, "!" if negate else "exists", ()))
        elif op in ("=", "==", "!="):
            at += 1
            value = peek()
            if value in ("", ","):
                value = ""
            elif value in _PUNCTUATION:
                raise _problem(f"found '{value}', expected: identifier")
            else:
                at += 1
            out.append((key, "!=" if op == "!=" else "=", (value,)))
        elif op in ("in", "notin"):
            at += 1
            if peek() != "(":
                raise _problem(f"found '{peek()}' expected: '('")
            at += 1
            values = []
            while at < len(tokens) and peek() != ")":
                if peek() != ",":
                    values.append(peek())
                at += 1
            if peek() != ")":
                raise _problem("found '', expected: ',' or ')'")
            at += 1
            out.append((key, op, tuple(values or [""])))
        elif op in ("<", ">"):
            at += 1
            out.append((key, op, (peek(),)))
            at += 1
        else:
            raise _problem(f"found '{op}', expected: in, notin, =, ==, !=, gt, lt")
        if at < len(tokens):
            if peek() != ",":
                raise bad_request(f"found '{peek()}', expected: ',' or 'end of string'")
            at += 1
            if peek() == "" or (peek() in _PUNCTUATION and peek() != "!"):
                raise bad_request(f"found '{peek()}', expected: identifier after ','")
    return tuple(out)


def labels_match(requirements: tuple[Requirement, ...], labels: dict[str, str] | None) -> bool:
    """Tell whether labels satisfy all requirements."""
    labels = labels or {}
    for key, op, values in requirements:
        have = labels.get(key)
        if op in ("=", "in"):
            good = have is not None and have in values
        elif op in ("!=", "notin"):
            good = have is None or have not in values
        elif op == "exists":
            good = have is not None
        elif op == "!":
            good = have is None
        else:
            try:
                good = have is not None and (int(have) > int(values[0])) == (op == ">") and int(have) != int(values[0])
            except ValueError:
                good = False
        if not good:
            return False
    return True


def from_selector(selector: Obj | None) -> tuple[Requirement, ...] | None:
    """Turn a LabelSelector object into requirements; None (no selector) matches nothing."""
    if selector is None:
        return None
    out: list[Requirement] = [(k, "=", (v,)) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    for e in selector.get("matchExpressions") or ():
        out.append((e.get("key", ""), words.get(e.get("operator", ""), "exists"), tuple(e.get("values") or ())))
    return tuple(out)


def write_labels(selector: Obj | None) -> str:
    """Write a LabelSelector as text: `a=b,c in (d,e),!f`."""
    if not selector:
        return ""
    parts = [f"{k}={v}" for k, v in (selector.get("matchLabels") or {}).items()]
    for e in selector.get("matchExpressions") or ():
        values = ",".join(sorted(e.get("values") or ()))
        form = {"In": "{0} in ({1})", "NotIn": "{0} notin ({1})", "Exists": "{0}", "DoesNotExist": "!{0}"}
        parts.append(form.get(e.get("operator", ""), "{0}").format(e.get("key", ""), values))
    return ",".join(sorted(parts))


def _at(*path: str) -> Callable[[Obj], str]:
    def get(obj: Obj) -> str:
        value: Any = obj
        for key in path:
            if not isinstance(value, dict):
                return ""
            value = value.get(key)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    return get


def _count(obj: Obj) -> str:
    return str(obj.get("status", {}).get("replicas", 0))


_EVERYWHERE = {"metadata.name": _at("metadata", "name"), "metadata.namespace": _at("metadata", "namespace")}
_EVENT = {
    f"involvedObject.{f}": _at("involvedObject", f)
    for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
}

#: Field labels per stored resource, beyond metadata.name and metadata.namespace.
_FIELDS: dict[str, dict[str, Callable[[Obj], str]]] = {
    "pods": {
        "spec.nodeName": _at("spec", "nodeName"),
        "spec.restartPolicy": _at("spec", "restartPolicy"),
        "spec.schedulerName": _at("spec", "schedulerName"),
        "spec.serviceAccountName": _at("spec", "serviceAccountName"),
        "spec.hostNetwork": lambda o: "true" if o["spec"].get("hostNetwork") else "false",
        "status.phase": _at("status", "phase"),
        "status.podIP": _at("status", "podIP"),
        "status.podIPs": _at("status", "podIP"),
        "status.nominatedNodeName": _at("status", "nominatedNodeName"),
    },
    "events": {
        **_EVENT,
        "reason": _at("reason"),
        "reportingComponent": lambda o: o.get("reportingComponent") or (o.get("source") or {}).get("component", ""),
        "source": lambda o: (o.get("source") or {}).get("component", "") or o.get("reportingComponent", ""),
        "type": _at("type"),
    },
    "namespaces": {"status.phase": _at("status", "phase"), "name": _at("metadata", "name")},
    "nodes": {"spec.unschedulable": lambda o: "true" if o.get("spec", {}).get("unschedulable") else "false"},
    "secrets": {"type": _at("type")},
    "services": {"spec.clusterIP": _at("spec", "clusterIP"), "spec.type": _at("spec", "type")},
    "replicationcontrollers": {"status.replicas": _count},
    "replicasets.apps": {"status.replicas": _count},
    "jobs.batch": {"status.successful": lambda o: str(o.get("status", {}).get("succeeded", 0))},
    "certificatesigningrequests.certificates.k8s.io": {"spec.signerName": _at("spec", "signerName")},
}
_EVENTS_V1 = {
    **{
        f"regarding.{f}": _at("involvedObject", f)
        for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    "reportingController": _FIELDS["events"]["reportingComponent"],
    "reason": _at("reason"),
    "type": _at("type"),
}

FieldRequirement = tuple[Callable[[Obj], str], bool, str]


@lru_cache(maxsize=2048)
def parse_fields(text: str, resource: str, group: str = "", custom: bool = False) -> tuple[FieldRequirement, ...]:
    """Parse a field selector for a stored resource into (getter, equal, value).

    Raises:
        ApiError: 400 for bad syntax or a field the resource cannot be selected by.
    """
    if not text:
        return ()
    known = _FIELDS.get(resource, {})
    if resource == "events" and group:
        known = {**known, **_EVENTS_V1}
    out: list[FieldRequirement] = []
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        for op in ("!=", "==", "="):
            if op in part:
                name, _, value = part.partition(op)
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        getter = _EVERYWHERE.get(name) or known.get(name)
        if getter is None:
            if known or custom or resource == "pods":
                raise bad_request(f"field label not supported: {name}")
            raise bad_request(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')
        out.append((getter, op != "!=", re.sub(r"\\(.)", r"\1", value)))
    return tuple(out)


def fields_match(requirements: tuple[FieldRequirement, ...], obj: Obj) -> bool:
    """Tell whether an object satisfies a parsed field selector."""
    return all((getter(obj) == value) == equal for getter, equal, value in requirements)
