"""What logs say in so many words: a name that does not resolve, a refused connection, credentials, missing rights."""

from __future__ import annotations

import re
from collections import Counter

from stratus.diagnosis.analyzers.requests import AUTH
from stratus.diagnosis.analyzers.services import lost_service
from stratus.diagnosis.finding import Finding, about
from stratus.diagnosis.history import references
from stratus.diagnosis.world import Workload, World, live_pods, note, reference
from stratus.kit.kube import dig, name_of, port_numbers
from stratus.kit.text import secretive
from stratus.model.base import Json
from stratus.model.evidence import LogLine

_NAME = r"(?-i:[a-z](?:[a-z0-9.-]*[a-z0-9])?)"
_WHERE = rf"(?:{_NAME}|\d{{1,3}}(?:\.\d{{1,3}}){{3}})"
_NO_HOST = re.compile(
    rf"(?i)(?:lookup|resolve|resolution for|getaddrinfo \w+|host)[: ]+['\"]?(?P<host>{_NAME})['\"]?"
    r".*?(?:no such host|not known|not found|nxdomain|server misbehaving|failure)"
)
_REFUSED = re.compile(
    rf"(?i)(?<![\w.-])(?P<host>{_WHERE}):(?P<port>\d{{2,5}})(?!\w)"
    r".*?(?:connection refused|connect: |timed? ?out|i/o timeout|unreachable|unavailable)"
    rf"|(?:connect(?:ion)?|dial)\w* .*?to (?P<host2>{_WHERE}):(?P<port2>\d{{2,5}})(?!\w)"
)
_RBAC = re.compile(
    r'User "system:serviceaccount:(?P<ns>[\w-]+):(?P<sa>[\w-]+)" cannot (?P<verb>\w+) resource "(?P<what>[\w./]+)"'
)
_BAD = re.compile(
    r"(?i)error|fail|fatal|panic|refused|denied|cannot|unable|exception|no such host|timeout|unauth|not auth"
)
MANY = 2
"""Lines of a kind that make a clue; a single one may be a hiccup."""


def analyze(world: World) -> list[Finding]:
    """Return findings that logs suggest, for workloads in trouble or on the failing path."""
    found: list[Finding] = []
    auth: list[tuple[str, Finding]] = []
    for w in world.workloads:
        if world.focus and not (world.on_path(w.service) or world.unwell(w)):
            continue
        start = world.onset - 60 if world.onset else world.now - 900
        lines = [e for e in world.logs(live_pods(w.pods)) if (e.at >= start or not e.at) and _BAD.search(e.text)]
        if lines:
            for finding in _clues(world, w, lines):
                if finding.fault == "auth_failure":
                    auth.append((w.service, finding))
                else:
                    found.append(finding)
    # who only repeats a complaint of what it calls is no witness of its own
    witnesses = {service for service, _ in auth}
    return found + [f for _, f in auth if f.object.name not in witnesses or f.service == f.object.name]


def _clues(world: World, w: Workload, lines: list[LogLine]) -> list[Finding]:
    found: list[Finding] = []
    hosts: Counter[tuple[str, int]] = Counter()
    lost: Counter[str] = Counter()
    last: dict[object, LogLine] = {}
    auth = []
    for entry in lines:
        if match := _RBAC.search(entry.text):
            finding = about(
                w,
                "rbac_denied",
                f"{w.title}: its ServiceAccount {match['sa']} may not {match['verb']} {match['what']}",
                0.85,
                service_account=match["sa"],
            )
            finding.pro.append(note("log", entry.text, w.obj, service=w.service, at=entry.at))
            return [finding]
        if match := _NO_HOST.search(entry.text):
            lost[match["host"]] += 1
            last[match["host"]] = entry
        elif match := _REFUSED.search(entry.text):
            key = (match["host"] or match["host2"], int(match["port"] or match["port2"]))
            hosts[key] += 1
            last[key] = entry
        elif AUTH.search(entry.text):
            auth.append(entry)
    for host, count in lost.most_common(2):
        if count >= MANY or not w.ready:
            found.append(_unresolved(world, w, host, last[host], count))
    for key, count in hosts.most_common(2):
        if count >= MANY or not w.ready:
            found += _refused(world, w, *key, last[key], count)
    if len(auth) >= MANY or (auth and not w.ready):
        found.append(_auth(world, w, auth))
    return found


def _service(world: World, w: Workload, host: str) -> Json | None:
    """Return the Service that a host name or cluster IP means."""
    parts = host.split(".")
    if re.fullmatch(r"[\d.]+", host):
        return next((s for s in world.services if dig(s, "spec", "clusterIP") == host), None)
    namespace = parts[1] if len(parts) > 1 else w.namespace
    return world.find_service(namespace, parts[0])


def _unresolved(world: World, w: Workload, host: str, entry: LogLine, count: int) -> Finding:
    service = _service(world, w, host)
    if service is None:
        finding = _nobody(world, w, host, 0)
    else:
        local = dig(w.spec, "dnsPolicy", default="ClusterFirst")
        if local == "Default":
            finding = about(
                w,
                "dns_failure",
                f"{w.title}: its dnsPolicy Default does not know the cluster's Services",
                0.9,
                settled=True,
            )
            if w.back:
                finding.facts["revision"] = w.back[0].number
        else:
            finding = about(
                w, "dns_failure", f"{w.title} cannot resolve {host}, although there is such a Service", 0.65
            )
    finding.pro.append(note("log", entry.text, w.obj, service=w.service, at=entry.at, lines=count))
    return finding


def _nobody(world: World, w: Workload, host: str, port: int) -> Finding:
    """A name that no Service has: the Service is gone, or the name is wrong in a variable or a ConfigMap."""
    short = host.split(".")[0]
    target = world.workload("Deployment", w.namespace, short) or world.workload("StatefulSet", w.namespace, short)
    if target is not None and port_numbers(target.spec):
        return lost_service(target, w.namespace, short, port or port_numbers(target.spec)[0], w)
    finding = about(w, "dependency_address", f"{w.title} looks for {host}, and there is no such Service", 0.6)
    meant = world.meant(w.namespace, short)
    for c in w.spec.get("containers") or ():
        for env in c.get("env") or ():
            value = str(env.get("value") or "")
            if _names(short, value):
                finding.facts.update(container=c["name"], env=env["name"])
                if meant and not secretive(env["name"]):
                    finding.facts["env_value"] = _renamed(value, short, meant)
                return finding
    for kind, name, _ in sorted(references(w.spec)):
        obj = world.observation.find("ConfigMap", w.namespace, name) if kind == "ConfigMap" else None
        for key, value in sorted(((obj or {}).get("data") or {}).items()):
            if not _names(short, str(value)):
                continue
            finding.object = reference("ConfigMap", w.namespace, name)
            finding.summary = f"ConfigMap {name} sends {w.title} to {host}, and there is no such Service"
            finding.confidence = 0.8 if meant else 0.65
            finding.facts.update(config_map=name, key=key, workload=f"{w.kind.lower()}/{w.name}")
            if meant and not secretive(key):
                finding.facts["value"] = _renamed(str(value), short, meant)
                finding.pro.append(note("object", f"there is a Service {meant}", obj, service=w.service))
            return finding
    return finding


def _names(host: str, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", text) is not None


def _renamed(text: str, host: str, meant: str) -> str:
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", meant, text)


def _refused(world: World, w: Workload, host: str, port: int, entry: LogLine, count: int) -> list[Finding]:
    service = _service(world, w, host)
    seen = note("log", entry.text, w.obj, service=w.service, at=entry.at, lines=count)
    if service is None:
        if "." in host:
            return []  # an address of the outside world or of a pod
        finding = _nobody(world, w, host, port)
        finding.pro.append(seen)
        return [finding]
    ports = [p.get("port") for p in dig(service, "spec", "ports", default=[])]
    if port not in ports and dig(service, "spec", "clusterIP") != "None":
        shown = ", ".join(map(str, ports))
        finding = about(w, "dependency_address", f"{w.title} calls {host}:{port}, and Service {host} has {shown}", 0.8)
        for c in w.spec.get("containers") or ():
            for env in c.get("env") or ():
                value = str(env.get("value") or "")
                if f"{host}:{port}" in value:
                    finding.facts.update(container=c["name"], env=env["name"])
                    if len(ports) == 1:
                        finding.facts["env_value"] = value.replace(f"{host}:{port}", f"{host}:{ports[0]}")
        finding.pro.append(seen)
        return [finding]
    target = world.behind(name_of(service), str(dig(service, "metadata", "namespace", default="")))
    name = name_of(service)
    if target is None:
        finding = Finding(
            "no_endpoints",
            reference("Service", w.namespace, name),
            f"{w.title} cannot reach {name}:{port}",
            0.4,
            service=name,
        )
    else:
        finding = about(target, "dependency_failure", f"{w.title} cannot reach {name}:{port}", 0.4)
    finding.pro.append(seen)
    return [finding]


def _auth(world: World, w: Workload, lines: list[LogLine]) -> Finding:
    """Credentials are refused: blame the called workload when the log names one, else the caller's own settings."""
    entry = lines[-1]
    others = world.callees.get(w.service, set()) | {name_of(s) for s in world.services}
    spoken = [n for n in others if n != w.service and re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", entry.text)]
    named = max(spoken, key=len, default="")
    target = world.behind(named, w.namespace) if named else None
    finding = about(
        target or w, "auth_failure", f"{w.title}: its credentials are refused" + (f" by {named}" if named else ""), 0.62
    )
    if named:
        finding.confidence = 0.7
    finding.service = w.service
    finding.pro.append(note("log", entry.text, w.obj, service=w.service, at=entry.at, lines=len(lines)))
    return finding
