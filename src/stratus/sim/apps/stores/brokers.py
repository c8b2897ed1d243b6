"""State of message brokers: topics, their partitions, and how far each consumer group has come."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Topic:
    """Messages written so far, by partition; parts of messages count until they are whole."""

    ends: list[float]

    def clone(self) -> Topic:
        """Return an independent copy."""
        return Topic(list(self.ends))


@dataclass(slots=True)
class Broker:
    """What a broker holds: numbers only, no contents.

    Attributes:
        partitions: how many a topic gets that comes into being when first written to.
        topics: by name.
        groups: (group, topic) -> committed offset by partition.
        members: (group, topic) -> names of the pods that consumed it in the last tick.
        writers: topic -> (namespace, name) of who wrote to it last, with messages per second.
        configs: settings of topics that differ from the broker's.
        kept: the messages whose text is known, because somebody wrote them by hand: topic -> (partition, offset, text).
    """

    partitions: int = 1
    topics: dict[str, Topic] = field(default_factory=dict)
    groups: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    members: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    writers: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    configs: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def clone(self) -> Broker:
        """Return an independent copy."""
        return Broker(
            self.partitions,
            {n: t.clone() for n, t in self.topics.items()},
            {k: list(v) for k, v in self.groups.items()},
            dict(self.members),
            dict(self.writers),
            {n: dict(c) for n, c in self.configs.items()},
            {n: list(k) for n, k in self.kept.items()},
        )

    def topic(self, name: str, partitions: int = 0) -> Topic:
        """Return a topic, creating it if need be."""
        found = self.topics.get(name)
        if found is None:
            found = self.topics[name] = Topic([0.0] * max(partitions or self.partitions, 1))
        return found

    def forget(self, name: str) -> None:
        """Delete a topic, and what groups have read of it."""
        for table in (self.topics, self.writers, self.configs, self.kept):
            table.pop(name, None)
        for key in [k for k in self.groups if k[1] == name]:
            del self.groups[key]
            self.members.pop(key, None)

    def produce(self, name: str, count: float) -> None:
        """Write messages, spread evenly over the partitions."""
        topic = self.topic(name)
        share = count / len(topic.ends)
        topic.ends = [end + share for end in topic.ends]

    def committed(self, group: str, name: str) -> list[float]:
        """Return the offsets of a group, which starts at the end of what is there when it is first seen."""
        topic = self.topic(name)
        offsets = self.groups.get((group, name))
        if offsets is None:
            offsets = self.groups[group, name] = list(topic.ends)
        if len(offsets) < len(topic.ends):
            offsets += [0.0] * (len(topic.ends) - len(offsets))
        return offsets

    def lag(self, group: str, name: str) -> float:
        """Return how many messages a group has yet to take."""
        topic, offsets = self.topics.get(name), self.groups.get((group, name))
        if topic is None or offsets is None:
            return 0.0
        return sum(max(end - at, 0.0) for end, at in zip(topic.ends, offsets, strict=True))

    def consume(self, group: str, name: str, most: float) -> float:
        """Commit up to `most` messages for a group, evenly over its partitions' lags; return how many there were."""
        offsets = self.committed(group, name)
        ends = self.topics[name].ends
        waiting = sum(max(end - at, 0.0) for end, at in zip(ends, offsets, strict=True))
        if waiting <= 0.0 or most <= 0.0:
            return 0.0
        part = min(most / waiting, 1.0)
        for number, end in enumerate(ends):
            offsets[number] += part * max(end - offsets[number], 0.0)
        return waiting * part
