"""Names, labels, annotations and the rest of metadata: what they may look like."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from stratus.sim.api.resources import Resource
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = f"{_LABEL}(\\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME_PART})?"

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
NAME_PART_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME_PART}')"
)
VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    f"regex used for validation is '{_VALUE}')"
)

_RES = {text: re.compile(text) for text in (_LABEL, _SUBDOMAIN, _LABEL_1035, _NAME_PART, _VALUE)}
#: Kinds whose names are DNS labels; all others are subdomains, RBAC's are path segments.
_LABEL_NAMED = frozenset({"namespaces", "services", "statefulsets.apps"})
#: Kinds any name will do for.
_FREELY_NAMED = frozenset({"certificatesigningrequests.certificates.k8s.io"})
_PATH_NAMED = ("rbac.authorization.k8s.io",)


@lru_cache(maxsize=4096)
def label_problems(text: str) -> tuple[str, ...]:
    """Return why a text is no DNS label."""
    out: list[str] = []
    if len(text) > 63:
        out.append("must be no more than 63 characters")
    if not _RES[_LABEL].fullmatch(text):
        out.append("must not contain dots" if "." in text and _RES[_SUBDOMAIN].fullmatch(text) else LABEL_TEXT)
    return tuple(out)


@lru_cache(maxsize=4096)
def subdomain_problems(text: str) -> tuple[str, ...]:
    """Return why a text is no DNS subdomain."""
    out: list[str] = []
    if len(text) > 253:
        out.append("must be no more than 253 characters")
    if not _RES[_SUBDOMAIN].fullmatch(text):
        out.append(SUBDOMAIN_TEXT)
    return tuple(out)


@lru_cache(maxsize=4096)
def qualified_problems(text: str) -> tuple[str, ...]:
    """Return why a text is no qualified name such as `example.com/name`."""
    prefix, slash, name = text.rpartition("/")
    out: list[str] = []
    if slash:
        if "/" in prefix:
            return (
                "a qualified name "
                + NAME_PART_TEXT.removeprefix("name part ")
                + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            )
        if not prefix:
            out.append("prefix part must be non-empty")
        else:
            out += [f"prefix part {p}" for p in subdomain_problems(prefix)]
    if not name:
        out.append("name part must be non-empty")
    elif len(name) > 63:
        out.append("name part must be no more than 63 bytes")
    if not _RES[_NAME_PART].fullmatch(name):
        out.append(NAME_PART_TEXT)
    return tuple(out)


@lru_cache(maxsize=4096)
def value_problems(text: str) -> tuple[str, ...]:
    """Return why a text is no label value."""
    out: list[str] = []
    if len(text) > 63:
        out.append("must be no more than 63 bytes")
    if not _RES[_VALUE].fullmatch(text):
        out.append(VALUE_TEXT)
    return tuple(out)


def check_labels(labels: Obj | None, path: str, problems: Problems) -> None:
    """Check the keys and values of labels."""
    for key, value in (labels or {}).items():
        for problem in qualified_problems(key):
            problems.invalid(path, key, problem)
        for problem in value_problems(value):
            problems.invalid(path, value, problem)


_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})


def name_problems(resource: Resource, name: str) -> tuple[str, ...]:
    """Return why a name cannot be one of the resource's."""
    if resource.group in _PATH_NAMED:
        if name in (".", ".."):
            return (f"may not be '{name}'",)
        return tuple(f"may not contain '{c}'" for c in "/%" if c in name)
    if resource.stored in _FREELY_NAMED:
        return ()
    if resource.stored in _LABEL_NAMED:
        return label_problems(name)
    return subdomain_problems(name)


def check_metadata(resource: Resource, meta: Obj, problems: Problems, *, update: bool = False) -> None:
    """Check an object's metadata."""
    name = meta.get("name")
    if not update:
        prefix = meta.get("generateName")
        if prefix:
            # A prefix may end in what a name may not.
            for problem in name_problems(
                resource, f"{prefix[:-1]}a" if len(prefix) > 1 and prefix[-1] == "-" else prefix
            ):
                problems.invalid("metadata.generateName", prefix, problem)
        if not name:
            problems.required("metadata.name", "name or generateName is required")
        else:
            for problem in name_problems(resource, name):
                problems.invalid("metadata.name", name, problem)
    check_labels(meta.get("labels"), "metadata.labels", problems)
    size = 0
    for key, value in (meta.get("annotations") or {}).items():
        size += len(key) + len(value)
        for problem in qualified_problems(key.lower()):
            problems.invalid("metadata.annotations", key, problem)
    if size > 256 * 1024:
        problems.too_long("metadata.annotations", 256 * 1024)
    _owners(meta.get("ownerReferences") or [], problems)
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        found = qualified_problems(finalizer)
        for problem in found:
            problems.invalid("metadata.finalizers", finalizer, problem)
        if not found and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            problems.invalid(f"metadata.finalizers[{index}]", finalizer, detail)


def _owners(owners: list[Obj], problems: Problems) -> None:
    path = "metadata.ownerReferences"
    controllers = []
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                problems.invalid(f"{path}.{field}", owner.get(field, ""), "must not be empty")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        found = " and ".join(controllers[:2])
        detail = f'Only one reference can have Controller set to true. Found "true" in references for {found}'
        problems.invalid(path, owners, detail)
