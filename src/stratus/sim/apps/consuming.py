"""Messages on their way: producers write them to a broker, consumer groups take them up at the pace they can keep."""

from __future__ import annotations

from dataclasses import dataclass

from stratus.sim.apps.figures import QueueFigures
from stratus.sim.apps.flow import Flow
from stratus.sim.apps.paths import Hop
from stratus.sim.apps.process import Proc
from stratus.sim.apps.routes import Routes
from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.apps.schema import Consumer
from stratus.sim.apps.serving import Serving
from stratus.sim.apps.stores.brokers import Broker
from stratus.sim.apps.wire import failure, too_late

Label = tuple[str, str]


@dataclass(slots=True)
class Messages:
    """Moves messages through brokers, tick by tick."""

    routes: Routes
    runtime: AppRuntime
    serving: Serving

    def produce(self, flow: Flow, live: list[Proc], seconds: float) -> None:
        """Put what the flow produced into the topics."""
        by_id = {id(p): p for p in live}
        for (owner, topic), labels in flow.produced.items():
            broker = by_id.get(owner)
            if broker is None:
                continue
            held = self.runtime.broker_of(broker)
            held.produce(topic, sum(labels.values()) * seconds)
            held.writers[topic] = labels

    def consume(self, flow: Flow, live: list[Proc], now: float, seconds: float) -> None:
        """Let every consumer work on what it can; the work goes into the flow."""
        members: dict[tuple[Label, str, str], list[str]] = {}
        for proc in live:
            for consumer in proc.program.consumes if proc.serves(now) else ():
                self._one(flow, proc, consumer, seconds, members)
        for place, broker in self.runtime.brokers.items():
            for group, topic in broker.groups:
                broker.members[group, topic] = tuple(sorted(members.get((place, group, topic), ())))

    def _one(
        self,
        flow: Flow,
        proc: Proc,
        consumer: Consumer,
        seconds: float,
        members: dict[tuple[Label, str, str], list[str]],
    ) -> None:
        target = proc.program.targets[consumer.broker]
        host, port = proc.addresses[consumer.broker]
        where, _ = self.routes.find(proc, consumer.broker, host, port)
        if not isinstance(where, list):
            self._told(flow, proc, consumer, failure(where, target.protocol, host, port))
            return
        disturbances = self.serving.disturbances
        lost = 0.0
        if disturbances.on_ways:
            lost = min(disturbances.on_way(proc, reached.pod, host)[2] for _, reached in where)
        if lost > 0.99:
            self._told(flow, proc, consumer, too_late(target.protocol, host, port))
            return
        server = next((p for p, _ in where if p is not None), None)
        outcome = self.serving.outcome(proc, consumer.operation)
        if server is None or outcome is None:
            return
        place = (server.namespace, server.workload)
        broker = self.runtime.broker_of(server)
        broker.committed(consumer.group, consumer.topic)
        members.setdefault((place, consumer.group, consumer.topic), []).append(proc.pod[1])
        mean = sum(w * s[0] for w, s in outcome.parts())
        pace = consumer.workers / max(mean, 1e-4)
        if outcome.cpu > 0.0:
            pace = min(pace, proc.room / outcome.cpu)
        pace *= 1.0 - lost
        if proc.mods is not None:
            pace *= proc.mods.rate
        keeps = outcome.ok if consumer.on_error == "retry" else 1.0
        taken = broker.consume(consumer.group, consumer.topic, pace * keeps * seconds)
        stuck = broker.lag(consumer.group, consumer.topic) if keeps < 1e-6 else 0.0
        worked = min(taken / keeps, pace * seconds) if keeps >= 1e-6 else min(stuck, pace * seconds)
        if worked <= 1e-9:
            return
        self._flow(flow, proc, consumer, place, worked / seconds)

    @staticmethod
    def _told(flow: Flow, proc: Proc, consumer: Consumer, text: str) -> None:
        """Let a consumer write that it does not get at its broker."""
        key = (id(proc), consumer.broker, consumer.topic, text)
        flow.lines[key] = flow.lines.get(key, 0.0) + 1.0

    def _flow(self, flow: Flow, proc: Proc, consumer: Consumer, place: Label, rate: float) -> None:
        writers = self.runtime.brokers[place].writers.get(consumer.topic) or {place: 1.0}
        whole = sum(writers.values()) or 1.0
        outcome = self.serving.outcomes[id(proc), consumer.operation]
        label = (proc.namespace, proc.workload)
        parts = [p for p in outcome.parts() if p[0] > 0]
        failed = sum(f.weight for f in outcome.fails)
        born = [f for f in outcome.fails if f.here]
        message = max(born, key=lambda f: (f.weight, f.message)).message if born else ""
        for writer in sorted(writers):
            share = writers[writer] / whole
            own = [(1.0, outcome.own)]
            branches = [(1.0, proc)]
            hop = Hop("", label, consumer.operation, True, 1.0, failed, parts, own, message, "", branches)
            flow.follow(None, writer, hop, rate * share, 1, f"publish {consumer.topic}")

    def figures(self) -> tuple[QueueFigures, ...]:
        """Return how far every consumer group has come."""
        found = []
        for place in sorted(self.runtime.brokers):
            broker: Broker = self.runtime.brokers[place]
            for group, topic in sorted(broker.groups):
                ends = sum(broker.topics[topic].ends)
                lag = broker.lag(group, topic)
                members = len(broker.members.get((group, topic), ()))
                found.append(QueueFigures(place[0], place[1], topic, group, ends, lag, members))
        return tuple(found)
