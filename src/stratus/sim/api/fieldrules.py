"""Rules single fields share across kinds: numbers, ports, keys, paths, addresses, names of resources, quantities."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from stratus.sim.api.names import label_problems, qualified_problems, subdomain_problems
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
NOT_NEGATIVE = "must be greater than or equal to 0"
IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_HEADER_TEXT = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
    "validation is '[-A-Za-z0-9]+')"
)
PROTOCOLS = ("SCTP", "TCP", "UDP")
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
#: Counted in whole numbers.
_WHOLE = frozenset(
    {
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip
STANDARD = frozenset(
    {
        *_CONTAINER, *_WHOLE, "requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage",
        "limits.cpu", "limits.memory", "limits.ephemeral-storage", "storage", "requests.hugepages-",
    }
)  # fmt: skip


def non_negative(path: str, value: Any, problems: Problems) -> None:
    """Refuse a negative number."""
    if value is not None and value < 0:
        problems.invalid(path, value, NOT_NEGATIVE)


def one_of(path: str, value: Any, allowed: tuple[str, ...], problems: Problems) -> None:
    """Refuse a value that is none of an enumeration; one that is not given is required."""
    if not value:
        problems.required(path)
    elif value not in allowed:
        problems.unsupported(path, value, allowed)


def maybe_one_of(path: str, value: Any, allowed: tuple[str, ...], problems: Problems) -> None:
    """Refuse a value that is given and none of an enumeration."""
    if value is not None and value not in allowed:
        problems.unsupported(path, value, allowed)


# ports


def port_number(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is no port number."""
    if not 1 <= (value or 0) <= 65535:
        problems.invalid(path, value or 0, "must be between 1 and 65535, inclusive")


def port_name_problems(value: str) -> list[str]:
    """Return why a text is no port name."""
    out = []
    if len(value) > 15:
        out.append("must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", value):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        out.append("must contain at least one letter (a-z)")
    if "--" in value:
        out.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        out.append("must not begin or end with a hyphen")
    return out


def port_name(path: str, value: str, problems: Problems) -> bool:
    """Refuse what is no port name; tell whether it is one."""
    found = port_name_problems(value)
    for problem in found:
        problems.invalid(path, value, problem)
    return not found


def target_port(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is neither a port number nor a port name."""
    if isinstance(value, str):
        port_name(path, value, problems)
    else:
        port_number(path, value, problems)


def protocol(path: str, value: Any, problems: Problems) -> None:
    """Refuse what is no transport protocol."""
    one_of(path, value, PROTOCOLS, problems)


# texts


def config_key_problems(key: str) -> list[str]:
    """Return why a text is no key of a ConfigMap or Secret."""
    out = []
    if len(key) > 253:
        out.append("must be no more than 253 characters")
    if not _KEY.fullmatch(key):
        out.append(_KEY_TEXT)
    if key == ".":
        out.append("must not be '.'")
    elif key == "..":
        out.append("must not be '..'")
    elif key.startswith(".."):
        out.append("must not start with '..'")
    return out


def config_key(path: str, key: str, problems: Problems) -> None:
    """Refuse what is no key of a ConfigMap or Secret."""
    for problem in config_key_problems(key):
        problems.invalid(path, key, problem)


def header_name(path: str, name: str, problems: Problems) -> None:
    """Refuse what is no HTTP header's name."""
    if not _HEADER.fullmatch(name):
        problems.invalid(path, name, _HEADER_TEXT)


def subdomain(path: str, value: str, problems: Problems) -> None:
    """Refuse what is no DNS subdomain."""
    for problem in subdomain_problems(value):
        problems.invalid(path, value, problem)


def dns_label(path: str, value: str, problems: Problems) -> None:
    """Refuse what is no DNS label."""
    for problem in label_problems(value):
        problems.invalid(path, value, problem)


def qualified(path: str, value: str, problems: Problems) -> None:
    """Refuse what is no qualified name."""
    for problem in qualified_problems(value):
        problems.invalid(path, value, problem)


def path_segment(path: str, value: str, problems: Problems) -> None:
    """Refuse what cannot be a part of a URL's path."""
    if value in (".", ".."):
        problems.invalid(path, value, f"may not be '{value}'")
        return
    for char in "/%":
        if char in value:
            problems.invalid(path, value, f"may not contain '{char}'")


def no_backsteps(path: str, value: str, problems: Problems) -> None:
    """Refuse a path that goes up."""
    if ".." in value.split("/"):
        problems.invalid(path, value, "must not contain '..'")


def descending_path(path: str, value: str, problems: Problems) -> None:
    """Refuse a path that is absolute or goes up."""
    if value.startswith("/"):
        problems.invalid(path, value, "must be a relative path")
    no_backsteps(path, value, problems)


def plain_path(path: str, value: str, problems: Problems) -> None:
    """Refuse a path that is not below where it is put, or looks reserved."""
    descending_path(path, value, problems)
    if value.startswith("..") and not value.startswith("../"):
        problems.invalid(path, value, "must not start with '..'")


# addresses


def is_ip(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip_address(path: str, value: str, problems: Problems) -> bool:
    """Refuse what is no IP address; tell whether it is one."""
    if is_ip(value):
        return True
    problems.invalid(path, value, IP_TEXT)
    return False


def network(value: str) -> Any:
    """Return the network a text names; None when it names none."""
    try:
        return ipaddress.ip_network(value, strict=False) if "/" in value else None
    except ValueError:
        return None


def cidr(path: str, value: str, problems: Problems) -> Any:
    """Refuse what is no CIDR; return the network it names."""
    found = network(value)
    if found is None:
        problems.invalid(path, value, CIDR_TEXT)
    return found


def endpoint_ip(path: str, value: str, problems: Problems) -> None:
    """Refuse addresses no endpoint can have."""
    found = ipaddress.ip_address(value)
    if found.is_unspecified:
        problems.invalid(path, value, f"may not be unspecified ({value})")
    if found.is_loopback:
        problems.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if found.is_link_local:
        problems.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if value.startswith("224.0.0.") or value.lower().startswith("ff02:"):
        problems.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


# resources


def is_native(name: str) -> bool:
    """Tell whether a resource is one Kubernetes itself knows."""
    return "/" not in name or "kubernetes.io/" in name


def may_overcommit(name: str) -> bool:
    """Tell whether requests may be below limits."""
    return is_native(name) and not name.startswith("hugepages-")


def is_standard(name: str) -> bool:
    """Tell whether a resource without a domain has a meaning."""
    return name in STANDARD or name.startswith(("hugepages-", "requests.hugepages-"))


def resource_name(path: str, name: str, problems: Problems) -> bool:
    """Refuse what is no resource's name; tell whether it is one."""
    found = qualified_problems(name)
    for problem in found:
        problems.invalid(path, name, problem)
    if found:
        return False
    if "/" not in name and not is_standard(name):
        problems.invalid(path, name, "must be a standard resource type or fully qualified")
        return False
    return True


def container_resource(path: str, name: str, problems: Problems) -> bool:
    """Refuse a resource a container cannot ask for; tell whether it can."""
    good = resource_name(path, name, problems)
    if "/" not in name:
        if name not in _CONTAINER and not name.startswith("hugepages-"):
            problems.invalid(path, name, "must be a standard resource for containers")
            return False
    elif not is_native(name) and name.startswith("requests."):
        problems.invalid(path, name, "doesn't follow extended resource name standard")
        return False
    return good


def amount(path: str, name: str, value: Any, problems: Problems) -> None:
    """Refuse a quantity that is negative, or not whole where only whole ones make sense."""
    number = parse(value)
    if number < 0:
        problems.invalid(path, value, NOT_NEGATIVE)
    whole = name in _WHOLE or not is_native(name)
    if whole and number.denominator != 1:
        problems.invalid(path, value, "must be an integer")


def requirements(path: str, given: Obj, problems: Problems) -> None:
    """Check requests against limits, and the names of both."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    names = [*limits, *requests]
    for name, value in limits.items():
        here = f"{path}.limits[{name}]"
        container_resource(here, name, problems)
        amount(here, name, value, problems)
    for name, value in requests.items():
        here = f"{path}.requests[{name}]"
        container_resource(here, name, problems)
        amount(here, name, value, problems)
        limit = limits.get(name)
        if limit is None:
            if not may_overcommit(name):
                problems.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif not may_overcommit(name):
            if parse(value) != parse(limit):
                problems.invalid(f"{path}.requests", value, f"must be equal to {name} limit of {limit}")
        elif parse(value) > parse(limit):
            problems.invalid(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limit}")
    if any(n.startswith("hugepages-") for n in names) and not any(n in ("cpu", "memory") for n in names):
        problems.forbidden(path, "HugePages require cpu or memory")
