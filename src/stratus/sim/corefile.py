"""CoreDNS's configuration, as far as it decides which names of the cluster are denied."""

from __future__ import annotations

import re
from functools import lru_cache

from stratus.sim.store import Obj

#: What CoreDNS is installed with.
COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""
_TEMPLATE = re.compile(r"\btemplate\s+(?:IN|ANY)\s+(?:A|ANY)\b([^{\n]*)\{([^}]*)\}")


def denial(host: str, rcode: str) -> str:
    """Return the piece of a Corefile that denies a name."""
    pattern = host.replace(".", "\\.")
    return f"    template ANY ANY {host} {{\n       match ^{pattern}\\.$\n       rcode {rcode}\n    }}\n"


def denied(config_map: Obj | None, name: str) -> bool:
    """Tell whether a Corefile denies a full name of the cluster."""
    text = ((config_map or {}).get("data") or {}).get("Corefile", "")
    return "template" in text and any(_says_no(*rule, name) for rule in _rules(text))


def _says_no(zones: tuple[str, ...], pattern: str, name: str) -> bool:
    inside = not zones or any(zone == "." or name == zone or name.endswith(f".{zone}") for zone in zones)
    try:
        return inside and (not pattern or re.search(pattern, f"{name}.") is not None)
    except re.error:
        return False


@lru_cache(maxsize=32)
def _rules(text: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    found = []
    for zones, body in _TEMPLATE.findall(re.sub(r"#[^\n]*", "", text)):
        lines = dict(line.strip().partition(" ")[::2] for line in body.splitlines() if line.strip())
        if lines.get("rcode", "NOERROR").strip() in ("NXDOMAIN", "SERVFAIL", "REFUSED"):
            found.append((tuple(z.rstrip(".") for z in zones.split()), lines.get("match", "").strip()))
    return tuple(found)
