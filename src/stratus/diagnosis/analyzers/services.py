"""Services that do not lead to their pods: selector, target port, pods that are not ready, no Service at all."""

from __future__ import annotations

from stratus.diagnosis.analyzers.configs import applied
from stratus.diagnosis.finding import Finding
from stratus.diagnosis.world import Workload, World, live_pods, note, reference
from stratus.kit.kube import (
    dangling,
    dig,
    labels_of,
    name_of,
    namespace_of,
    pod_ready,
    pod_spec_of,
    port_fits,
    port_names,
    port_numbers,
    probe_ports,
    ready_addresses,
    selects,
    slices_of,
    target_of,
)
from stratus.kit.text import secretive
from stratus.model.base import Json
from stratus.model.refs import ObjectRef


def analyze(world: World) -> list[Finding]:
    """Return findings about Services."""
    found: list[Finding] = []
    for service in world.services:
        selector = dig(service, "spec", "selector", default={})
        if not selector or dig(service, "spec", "type") == "ExternalName":
            continue
        pods = [p for p in world.observation.of("Pod", namespace_of(service)) if selects(selector, labels_of(p))]
        pods = live_pods(pods)
        if not pods:
            found += _selects_nothing(world, service, selector)
            continue
        found += _selects_strangers(world, service, pods)
        if any(pod_ready(p) for p in pods):
            found += _ports(world, service, pods)
        else:
            found.append(_not_ready(world, service, pods))
    found += _missing(world)
    return found


def _finding(service: Json, fault: str, summary: str, confidence: float, **facts: object) -> Finding:
    return Finding(
        fault=fault,  # type: ignore[arg-type]
        object=ObjectRef.of(service, api_version="v1", kind="Service"),
        summary=summary,
        confidence=confidence,
        service=name_of(service),
        facts={k: v for k, v in facts.items() if v is not None},
        impact=1.0,
    )


def spelled(selector: dict[str, str]) -> str:
    """Write a selector as `k=v,k=v`."""
    return ",".join(f"{k}={v}" for k, v in sorted(selector.items()))


# ── selectors ──


def _selects_nothing(world: World, service: Json, selector: dict[str, str]) -> list[Finding]:
    namespace, name = namespace_of(service), name_of(service)
    among = [
        w for w in world.workloads if w.namespace == namespace and w.kind in ("Deployment", "StatefulSet", "DaemonSet")
    ]
    meant = [w for w in among if selects(selector, w.labels)]
    if meant:
        return []  # the selector is right; the workload has no pods, which others explain
    owner, why, score = meant_for(world, service, selector, among)
    changed = world.changed_at("Service", namespace, name)
    if owner is None:
        finding = _finding(service, "no_endpoints", f"Service {name}: its selector {spelled(selector)} matches no pod, "
                           "and no workload looks like the one it is for", 0.4 if changed else 0.25)  # fmt: skip
        finding.pro.append(note("object", f"Service {name} has no endpoints", service, service=name, at=changed))
        return [finding]
    right = right_selector(service, selector, owner)
    finding = _finding(
        service, "selector_mismatch",
        f"Service {name}: its selector {spelled(selector)} matches no pod; {owner.title} is what it is for",
        0.95 if score >= 4 else 0.8 if score >= 2 else 0.6,
        selector=spelled(right), selector_json=_json(right), workload=f"{owner.kind.lower()}/{owner.name}",
    )  # fmt: skip
    finding.settled = True
    finding.workload = owner.ref.key
    finding.pro.append(note("object", f"Service {name} selects {spelled(selector)}, its pods would have "
                            f"{spelled(owner.labels)}", service, service=name, at=changed))  # fmt: skip
    finding.pro.append(note("object", f"{owner.title} is meant: {why}", owner.obj, service=name))
    if changed:
        finding.pro.append(note("change", f"Service {name} was changed after it was made", service, at=changed))
    return [finding]


def _json(value: object) -> str:
    import json

    return json.dumps(value, sort_keys=True)


def meant_for(
    world: World, service: Json, selector: dict[str, str], among: list[Workload]
) -> tuple[Workload | None, str, float]:
    """Return the workload a Service was most likely made for, why, and how sure that is (2 is fair, 4 is sure)."""
    name = name_of(service)
    was = dig(applied(service), "spec", "selector", default={})
    best: tuple[float, Workload, str] | None = None
    rivals = 0
    for w in among:
        score = 0.0
        why: list[str] = []
        if was and was != selector and selects(was, w.labels):
            score, why = score + 5, [*why, f"the Service was applied with selector {spelled(was)}"]
        if w.name == name:
            score, why = score + 3, [*why, "it has the same name"]
        elif w.name.startswith(f"{name}-") or name.startswith(f"{w.name}-"):
            score, why = score + 1, [*why, "its name is alike"]
        shared = [k for k, v in selector.items() if w.labels.get(k) == v]
        if shared:
            score, why = score + 1.5 * len(shared), [*why, f"it has the labels {', '.join(shared)}"]
        own = [k for k, v in labels_of(service).items() if w.labels.get(k) == v]
        if own:
            score, why = score + 0.5 * len(own), [*why, "it shares the Service's own labels"]
        ports = [target_of(p) for p in dig(service, "spec", "ports", default=[])]
        if ports and all(port_fits(w.spec, p) for p in ports):
            score, why = score + 1, [*why, "it has the Service's target ports"]
        elif ports and all(port_fits(w.spec, p) is False for p in ports):
            score -= 1
        if any(name_of(s) != name for s in w.services):
            score -= 2  # another Service leads there already
        if not w.wanted:
            score -= 1
        if best is not None and score == best[0]:
            rivals += 1
        if best is None or score > best[0]:
            best, rivals = (score, w, "; ".join(why)), 0
    if best is None or best[0] < 1 or (rivals and best[0] < 3):
        return None, "", 0.0
    return best[1], best[2], best[0]


def right_selector(service: Json, selector: dict[str, str], w: Workload) -> dict[str, str]:
    """Return the selector that leads to the workload and stays closest to what is there."""
    was = dig(applied(service), "spec", "selector", default={})
    if was and selects(was, w.labels):
        return dict(was)
    kept = {k: w.labels[k] for k in selector if k in w.labels}
    own: dict[str, str] = dig(w.obj, "spec", "selector", "matchLabels", default={})
    if kept and (set(kept) & set(own) or not own):
        return kept
    return dict(own) or dict(w.labels)


def _selects_strangers(world: World, service: Json, pods: list[Json]) -> list[Finding]:
    """A Service that leads to another workload's pods while the one of its own name is led to by none."""
    namespace, name = namespace_of(service), name_of(service)
    own = next((w for w in world.workloads if w.namespace == namespace and w.name == name
                and w.kind in ("Deployment", "StatefulSet")), None)  # fmt: skip
    selector = dig(service, "spec", "selector", default={})
    if own is None or own.services or not own.wanted or selects(selector, own.labels):
        return []
    right = right_selector(service, selector, own)
    changed = world.changed_at("Service", namespace, name)
    sure = 0.6 + (0.2 if changed else 0.0) + (0.1 if (namespace, name) in world.focus else 0.0)
    finding = _finding(
        service, "selector_mismatch",
        f"Service {name}: its selector {spelled(selector)} leads to other pods than those of {own.title}", sure,
        selector=spelled(right), selector_json=_json(right), workload=f"{own.kind.lower()}/{own.name}",
    )  # fmt: skip
    others = sorted({name_of(p) for p in pods})
    finding.pro.append(note("object", f"Service {name} leads to {', '.join(others[:3])}", service, at=changed))
    finding.pro.append(note("object", f"no Service leads to {own.title}", own.obj, service=name))
    return [finding]


# ── ports ──


def _ports(world: World, service: Json, pods: list[Json]) -> list[Finding]:
    namespace, name = namespace_of(service), name_of(service)
    ready = [p for p in pods if pod_ready(p)]
    specs = [pod_spec_of(p) for p in ready]
    ports = dig(service, "spec", "ports", default=[])
    before = {_port_key(p): target_of(p) for p in dig(applied(service), "spec", "ports", default=[])}
    changed = world.changed_at("Service", namespace, name)
    felt = (namespace, name) in world.focus
    found = []
    for index, port in enumerate(ports):
        target = target_of(port)
        fits = [port_fits(s, target) for s in specs]
        was = before.get(_port_key(port))
        right = right_target(service, port, target, specs[0], was)
        facts = {"port": port.get("port"), "port_name": port.get("name"), "port_index": index, "target_port": right}
        declared = port_numbers(specs[0])
        if all(fit is False for fit in fits):
            confidence = 0.95 if right is not None else 0.7
            why = f"its pods have {', '.join(map(str, declared)) or 'no port of that name'}"
        elif was is not None and was != target and (felt or (namespace, name) in world.troubled):
            confidence, why = 0.75, f"it was applied with target port {was}"
        elif felt and not declared and target not in probe_ports(specs[0]) and probe_ports(specs[0]):
            confidence, why = 0.6, f"its pods answer probes on {', '.join(map(str, sorted(probe_ports(specs[0]))))}"
        else:
            continue
        finding = _finding(service, "wrong_target_port", f"Service {name}: port {port.get('port')} leads to {target}, "
                           f"but {why}", confidence, **facts)  # fmt: skip
        finding.settled = all(fit is False for fit in fits)
        owner = world.behind(name, namespace)
        if owner is not None:
            finding.workload = owner.ref.key
            finding.facts["workload"] = f"{owner.kind.lower()}/{owner.name}"
        finding.pro.append(note("object", f"Service {name}: targetPort {target}; {len(ready)} ready pods; {why}",
                                service, service=name, at=changed))  # fmt: skip
        if changed:
            finding.pro.append(note("change", f"Service {name} was changed after it was made", service, at=changed))
        series = world.series(namespace, name)
        if series and not felt and any((p.rate or 0) > 0 and not p.error_rate for p in series.points[-3:]):
            finding.con.append(note("metric", f"requests to {name} succeed", service, service=name))
            finding.confidence = 0.15
            finding.settled = False
        found.append(finding)
    return found


def _port_key(port: Json) -> object:
    return port.get("name") or port.get("port")


def right_target(service: Json, port: Json, target: int | str, spec: Json, was: int | str | None) -> int | str | None:
    """Return the target port that was meant, or None when several would do."""
    if was is not None and was != target and port_fits(spec, was) is not False:
        return was
    numbers, names = port_numbers(spec), port_names(spec)
    taken = {target_of(p) for p in dig(service, "spec", "ports", default=[]) if p is not port}
    free = [n for n in numbers if n not in taken and not any(names.get(str(t)) == n for t in taken)]
    if port.get("name") in names and names[port["name"]] in free:
        return str(port["name"]) if isinstance(target, str) else names[port["name"]]
    if port.get("port") in free:
        return int(port["port"])
    if len(free) == 1:
        return free[0]
    if isinstance(target, str):
        import difflib

        close = difflib.get_close_matches(target, list(names), n=1, cutoff=0.6)
        if close:
            return close[0]
    probed = sorted(probe_ports(spec) & set(free) or (probe_ports(spec) if not numbers else set()))
    if len(probed) == 1:
        return probed[0]
    return free[0] if free else None


# ── endpoints ──


def _not_ready(world: World, service: Json, pods: list[Json]) -> Finding:
    """None of the pods is ready: a symptom, told in case nothing explains it."""
    name = name_of(service)
    finding = _finding(service, "no_endpoints", f"Service {name}: none of its {len(pods)} pods is ready", 0.45)
    owner = world.behind(name, namespace_of(service))
    if owner is not None:
        finding.workload = owner.ref.key
        finding.facts["workload"] = f"{owner.kind.lower()}/{owner.name}"
    ready = ready_addresses(slices_of(service, world.observation.of("EndpointSlice", namespace_of(service))))
    finding.pro.append(note("object", f"{ready} ready endpoints behind Service {name}", service, service=name))
    return finding


def _missing(world: World) -> list[Finding]:
    """Addresses in the environment that lead to no Service, or to a port that it does not have."""
    if "Service" in world.observation.missing:
        return []
    found: dict[tuple[str, str, str], Finding] = {}
    for w in world.workloads:
        if not w.wanted:
            continue
        for container, env, namespace, host, port, what in dangling(w.spec, w.namespace, world.services):
            target = world.workload("Deployment", namespace, host) or world.workload("StatefulSet", namespace, host)
            if what == "service" and target is not None and port_numbers(target.spec):
                key = ("Service", namespace, host)
                if key not in found:
                    found[key] = lost_service(target, namespace, host, port, w)
                continue
            key = (w.kind, w.namespace, f"{w.name}/{env}")
            found.setdefault(key, _address(world, w, container, env, host, port, what))
    return list(found.values())


def lost_service(target: Workload, namespace: str, host: str, port: int, caller: Workload) -> Finding:
    """Blame a Service that should stand in front of a workload and does not exist."""
    numbers = port_numbers(target.spec)
    right = port if port in numbers else numbers[0]
    finding = Finding(
        fault="no_endpoints",
        object=reference("Service", namespace, host),
        summary=f"there is no Service {host}, which {caller.title} calls and {target.title} would answer",
        confidence=0.93,
        service=host,
        workload=target.ref.key,
        facts={"missing_service": host, "port": port, "target_port": right,
               "workload": f"{target.kind.lower()}/{target.name}"},
        impact=1.0,
        settled=True,
    )  # fmt: skip
    finding.pro.append(note("object", f"{caller.title} calls {host}:{port}, and no Service has that name", caller.obj))
    finding.pro.append(note("object", f"{target.title} has {target.ready} ready pods and no Service", target.obj))
    return finding


def _address(world: World, w: Workload, container: str, env: str, host: str, port: int, what: str) -> Finding:
    from stratus.diagnosis.history import container_of, differences

    value = next((str(e.get("value", "")) for e in w.container(container).get("env") or () if e["name"] == env), "")
    finding = Finding(
        fault="dependency_address",
        object=w.ref,
        summary=f"{w.title}: {env} names {host}:{port}, and "
        + ("there is no such Service" if what == "service" else "that Service has no such port"),
        confidence=0.35,
        service=w.service,
        workload=w.ref.key,
        facts={"container": container, "env": env},
        impact=0.4,
    )
    finding.pro.append(
        note("object", f"{w.title} sets {env}" + ("" if secretive(env) else f"={value}"), w.obj, service=w.service)
    )
    if what == "port":
        service = world.find_service(w.namespace, host)
        ports = [p.get("port") for p in dig(service, "spec", "ports", default=[])]
        if len(ports) == 1:
            finding.facts["env_value"] = value.replace(f"{host}:{port}", f"{host}:{ports[0]}")
        finding.confidence = 0.6
        finding.pro.append(note("object", f"Service {host} has {', '.join(map(str, ports))}", service))
    good = w.back[0] if w.back else None
    if good is not None:
        was = next((e for e in container_of(good.template, container).get("env") or () if e["name"] == env), None)
        if was is None or was.get("value") != value:
            if was is None:
                finding.facts["extra_env"] = env
            elif was.get("value") and not secretive(env):
                finding.facts["env_value"] = was["value"]
            finding.facts["revision"] = good.number
            finding.confidence = 0.9
            finding.settled = True
            diffs = "; ".join(str(d) for d in differences(good.template, w.template)[:3])
            finding.pro.append(note("change", f"revision {good.number} differed: {diffs}", w.obj, service=w.service,
                                    at=w.revisions[0].created))  # fmt: skip
    if (w.namespace, w.service) in world.focus or (world.on_path(w.service) and world.focus):
        finding.confidence = min(0.93, finding.confidence + 0.15)
    spoken = [e for e in world.logs(w.pods) if f"{host}" in e.text and str(port) in e.text]
    if spoken:
        finding.confidence = min(0.95, finding.confidence + 0.15)
        finding.pro.append(note("log", spoken[-1].text, w.obj, service=w.service, at=spoken[-1].at))
    return finding
