"""What Kafka's administration tools and console clients ask of a broker, and what it answers."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

from stratus.sim.apps.stores.brokers import Broker

Answer = dict[str, Any]
#: Settings of topics that the broker knows, with what they are when nobody says.
TOPIC_SETTINGS = {
    "retention.ms": "604800000", "retention.bytes": "-1", "cleanup.policy": "delete", "max.message.bytes": "1048588",
    "segment.bytes": "1073741824", "min.insync.replicas": "1", "compression.type": "producer",
    "segment.ms": "604800000", "delete.retention.ms": "86400000", "flush.messages": "9223372036854775807",
    "unclean.leader.election.enable": "false", "message.timestamp.type": "CreateTime",
}  # fmt: skip
_NAME = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def administer(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    """Carry out one request: `do` says which; the answer has `error` when it is refused."""
    handler = _HANDLERS.get(str(request.get("do")))
    return handler(broker, request, now, addresses) if handler is not None else {"error": "UNSUPPORTED_VERSION"}


def topic_id(name: str) -> str:
    """Return a topic's identifier."""
    digest = hashlib.sha256(name.encode()).digest()
    import base64

    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def member_id(group: str, pod: str) -> tuple[str, str]:
    """Return (client id, member id) of a consumer."""
    client = f"consumer-{group}-1"
    return client, f"{client}-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{group} {pod}')}"


def _topics(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    return {
        "topics": [
            {
                "name": name,
                "id": topic_id(name),
                "ends": [int(e) for e in topic.ends],
                "configs": broker.configs.get(name, {}),
            }
            for name, topic in sorted(broker.topics.items())
        ]
    }


def _create(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    name = str(request["topic"])
    if name in broker.topics:
        return {"error": f"Topic '{name}' already exists.", "kind": "TopicExistsException"}
    if not name or len(name) > 249 or not set(name) <= _NAME or name in (".", ".."):
        why = f"Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics"
        return {"error": f"{why}, '.', '_' and '-'", "kind": "InvalidTopicException"}
    count, replicas = int(request.get("partitions") or broker.partitions), int(request.get("replicas") or 1)
    if count < 1:
        why = "Number of partitions was set to an invalid non-positive value."
        return {"error": why, "kind": "InvalidPartitionsException"}
    if replicas > 1:
        why = (
            f"Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} cannot"
        )
        return {"error": f"{why} be reached because only 1 broker(s) are registered.",
                "kind": "InvalidReplicationFactorException"}  # fmt: skip
    unknown = [k for k in request.get("configs", {}) if k not in TOPIC_SETTINGS]
    if unknown:
        return {"error": f"Unknown topic config name: {unknown[0]}", "kind": "InvalidConfigurationException"}
    broker.topic(name, count)
    if request.get("configs"):
        broker.configs[name] = dict(request["configs"])
    return {}


def _delete(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    if request["topic"] not in broker.topics:
        return {"error": "missing"}
    broker.forget(str(request["topic"]))
    return {}


def _enlarge(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    topic, wanted = broker.topics.get(str(request["topic"])), int(request["partitions"])
    if topic is None:
        return {"error": "missing"}
    if wanted <= len(topic.ends):
        what = "more" if wanted < len(topic.ends) else "already"
        why = f"Topic currently has {len(topic.ends)} partitions, which is higher than the requested {wanted}."
        if what == "already":
            why = f"Topic already has {wanted} partition(s)."
        return {"error": why, "kind": "InvalidPartitionsException"}
    topic.ends += [0.0] * (wanted - len(topic.ends))
    for (_, name), offsets in broker.groups.items():
        if name == request["topic"]:
            offsets += [0.0] * (wanted - len(offsets))
    return {}


def _configure(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    name = str(request["topic"])
    if name not in broker.topics:
        return {"error": "missing"}
    for key in [*request.get("add", {}), *request.get("remove", ())]:
        if key not in TOPIC_SETTINGS:
            return {"error": f"Unknown topic config name: {key}", "kind": "InvalidConfigurationException"}
    held = broker.configs.setdefault(name, {})
    held.update(request.get("add", {}))
    for key in request.get("remove", ()):
        held.pop(key, None)
    return {}


def _groups(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    found: dict[str, dict[str, Any]] = {}
    for (group, topic), offsets in sorted(broker.groups.items()):
        held = found.setdefault(group, {"name": group, "rows": [], "members": []})
        pods = broker.members.get((group, topic), ())
        for pod in pods:
            client, member = member_id(group, pod)
            entry = {"pod": pod, "client": client, "member": member, "host": addresses.get(pod, ""), "partitions": []}
            if not any(m["pod"] == pod for m in held["members"]):
                held["members"].append(entry)
        ends = broker.topics[topic].ends if topic in broker.topics else []
        for number, end in enumerate(ends):
            at = offsets[number] if number < len(offsets) else 0.0
            pod = pods[number % len(pods)] if pods else ""
            client, member = member_id(group, pod) if pod else ("", "")
            for each in held["members"]:
                if each["pod"] == pod:
                    each["partitions"].append([topic, number])
            held["rows"].append(
                {
                    "topic": topic, "partition": number, "at": int(at), "end": int(end), "member": member,
                    "host": addresses.get(pod, ""), "client": client,
                }
            )  # fmt: skip
    return {"groups": list(found.values())}


def _reset(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    group = str(request["group"])
    names = sorted({t for g, t in broker.groups if g == group})
    if any(broker.members.get((group, t)) for t in names):
        why = f"Assignments can only be reset if the group '{group}' is inactive, but the current state is Stable."
        return {"error": why}
    wanted = request.get("topics") or names
    missing = [t for t in wanted if t not in broker.topics]
    if missing:
        return {"error": f"Topic {missing[0]} does not exist"}
    rows = []
    for name in wanted:
        ends = broker.topics[name].ends
        offsets = broker.groups.get((group, name)) or [0.0] * len(ends)
        fresh = [_moved(request, at, end) for at, end in zip(offsets, ends, strict=True)]
        rows += [{"topic": name, "partition": n, "at": int(at)} for n, at in enumerate(fresh)]
        if request.get("execute"):
            broker.groups[group, name] = fresh
            broker.members.setdefault((group, name), ())
    return {"rows": rows}


def _moved(request: dict[str, Any], at: float, end: float) -> float:
    how, amount = request["how"], float(request.get("amount") or 0)
    if how == "earliest":
        return 0.0
    if how == "latest":
        return end
    if how == "current":
        return at
    return min(max(amount if how == "offset" else at + amount, 0.0), end)


def _forget_group(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    group = str(request["group"])
    keys = [k for k in broker.groups if k[0] == group]
    if not keys:
        return {"error": "The group id does not exist.", "kind": "GroupIdNotFoundException"}
    if any(broker.members.get(k) for k in keys):
        return {"error": "The group is not empty.", "kind": "GroupNotEmptyException"}
    for key in keys:
        del broker.groups[key]
        broker.members.pop(key, None)
    return {}


def _write(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    name = str(request["topic"])
    topic = broker.topic(name)
    most = int(broker.configs.get(name, {}).get("max.message.bytes", TOPIC_SETTINGS["max.message.bytes"]))
    for text in request["texts"]:
        if len(text) > most:
            why = "The request included a message larger than the max message size the server will accept."
            return {"error": why, "kind": "RecordTooLargeException"}
        number = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[0] % len(topic.ends)
        kept = broker.kept.setdefault(name, [])
        kept.append((number, int(topic.ends[number]), text))
        del kept[:-1000]
        topic.ends[number] += 1.0
    return {}


def _read(broker: Broker, request: dict[str, Any], now: float, addresses: dict[str, str]) -> Answer:
    topic = broker.topics.get(str(request["topic"]))
    if topic is None:
        return {"error": "missing"}
    kept = broker.kept.get(str(request["topic"]), [])
    group = request.get("group")
    begin = [0.0] * len(topic.ends) if request.get("beginning") else list(topic.ends)
    if group and (group, request["topic"]) in broker.groups:
        begin = broker.groups[group, request["topic"]]
    found = [list(m) for m in kept if m[1] >= int(begin[m[0]])]
    others = int(sum(e - b for e, b in zip(topic.ends, begin, strict=True))) - len(found)
    most = request.get("most")
    if group:
        broker.groups[group, str(request["topic"])] = list(topic.ends)
        broker.members.setdefault((group, str(request["topic"])), ())
    # Of messages that programs wrote only their number is known; they were written in a form nobody can read anyway.
    return {"texts": found[:most] if most else found, "others": max(others, 0)}


_HANDLERS: dict[str, Callable[[Broker, dict[str, Any], float, dict[str, str]], Answer]] = {
    "topics": _topics, "create": _create, "delete": _delete, "enlarge": _enlarge, "configure": _configure,
    "groups": _groups, "reset": _reset, "forget": _forget_group, "write": _write, "read": _read,
}  # fmt: skip
