"""Kafka's scripts over a broker: topics, groups and their lags, settings, messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.apps.stores.brokers import Broker

from .bench import Bench

AT = "--bootstrap-server localhost:9092"
HEADS = (
    "GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID"
    "                                                HOST            CLIENT-ID"
)


@pytest.fixture
def bench() -> Bench:
    broker = Broker()
    broker.topic("orders", 1)
    broker.produce("orders", 130.0)
    broker.groups["fraud-detection", "orders"] = [120.0]
    broker.members["fraud-detection", "orders"] = ("fraud-1",)
    broker.groups["accounting", "orders"] = [100.0]
    broker.members["accounting", "orders"] = ()
    return Bench(broker, 9092)


def test_topics_are_listed_and_described(bench: Bench) -> None:
    assert bench.out(f"kafka-topics.sh {AT} --list") == "orders\n"
    first, second = bench.out(f"/opt/kafka/bin/kafka-topics.sh {AT} --describe --topic orders").splitlines()
    assert re.fullmatch(r"Topic: orders\tTopicId: \S{22}\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: ", first)
    assert second.startswith("\tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1")
    assert "does not exist as expected" in bench.out(f"kafka-topics.sh {AT} --describe --topic nope")


def test_topics_are_made_enlarged_and_deleted(bench: Bench) -> None:
    assert bench.out(f"kafka-topics.sh {AT} --create --topic new --partitions 3") == "Created topic new.\n"
    again = bench.run(f"kafka-topics.sh {AT} --create --topic new")
    assert again.exit_code == 1
    assert again.stderr().startswith("Error while executing topic command : Topic 'new' already exists.\n")
    assert bench.run(f"kafka-topics.sh {AT} --create --topic new --if-not-exists").exit_code == 0
    assert "replication factor of 3 cannot be reached" in bench.out(
        f"kafka-topics.sh {AT} --create --topic r --replication-factor 3"
    )
    assert bench.run(f"kafka-topics.sh {AT} --alter --topic orders --partitions 2").exit_code == 0
    assert bench.state.groups["accounting", "orders"] == [100.0, 0.0]
    assert "which is higher" in bench.out(f"kafka-topics.sh {AT} --alter --topic orders --partitions 1")
    assert bench.run(f"kafka-topics.sh {AT} --delete --topic orders").exit_code == 0
    assert (list(bench.state.topics), bench.state.groups) == (["new"], {})


def test_groups_show_their_lag(bench: Bench) -> None:
    assert bench.out(f"kafka-consumer-groups.sh {AT} --list") == "accounting\nfraud-detection\n"
    lines = bench.out(f"kafka-consumer-groups.sh {AT} --describe --group fraud-detection").split("\n")
    assert lines[0] == ""
    assert lines[1].split() == HEADS.split()
    row = lines[2].split()
    assert row[:6] == ["fraud-detection", "orders", "0", "120", "130", "10"]
    assert row[6].startswith("consumer-fraud-detection-1-")
    assert row[7:] == ["/10.244.1.9", "consumer-fraud-detection-1"]
    idle = bench.out(f"kafka-consumer-groups.sh {AT} --describe --group accounting")
    assert "Consumer group 'accounting' has no active members." in idle
    assert re.search(r"accounting +orders +0 +100 +130 +30 +- +- +-\n", idle)
    assert "Stable" in bench.out(f"kafka-consumer-groups.sh {AT} --describe --group fraud-detection --state")
    assert "#PARTITIONS" in bench.out(f"kafka-consumer-groups.sh {AT} --describe --group fraud-detection --members")
    assert "does not exist" in bench.out(f"kafka-consumer-groups.sh {AT} --describe --group nope")


@pytest.mark.parametrize(
    ("how", "offset"),
    [
        ("--to-earliest", 0),
        ("--to-latest", 130),
        ("--shift-by -30", 70),
        ("--to-offset 42", 42),
        ("--to-offset 999", 130),
    ],
)
def test_offsets_are_reset_when_nobody_reads(bench: Bench, how: str, offset: int) -> None:
    command = f"kafka-consumer-groups.sh {AT} --group accounting --topic orders --reset-offsets {how}"
    shown = bench.out(f"{command} --dry-run")
    assert bench.state.groups["accounting", "orders"] == [100.0]
    assert bench.out(f"{command} --execute") == shown
    assert bench.state.groups["accounting", "orders"] == [float(offset)]
    assert shown.split("\n")[2].split() == ["accounting", "orders", "0", str(offset)]
    assert "WARN: No action will be performed" in bench.out(command)


def test_a_group_that_reads_cannot_be_reset_or_deleted(bench: Bench) -> None:
    refused = bench.run(
        f"kafka-consumer-groups.sh {AT} --group fraud-detection --all-topics --reset-offsets --to-latest --execute"
    )
    assert refused.exit_code == 1
    assert "if the group 'fraud-detection' is inactive, but the current state is Stable" in refused.stderr()
    assert "The group is not empty." in bench.out(f"kafka-consumer-groups.sh {AT} --group fraud-detection --delete")
    assert "was successful" in bench.out(f"kafka-consumer-groups.sh {AT} --group accounting --delete")
    assert ("accounting", "orders") not in bench.state.groups


def test_settings_of_topics(bench: Bench) -> None:
    command = f"kafka-configs.sh {AT} --entity-type topics --entity-name orders"
    assert (
        bench.out(f"{command} --alter --add-config retention.ms=1000,max.message.bytes=5")
        == "Completed updating config for topic orders.\n"
    )
    assert "  retention.ms=1000 sensitive=false" in bench.out(f"{command} --describe")
    assert "Unknown topic config name: nope" in bench.out(f"{command} --alter --add-config nope=1")
    assert "RecordTooLargeException" in bench.out(f"echo too-long | kafka-console-producer.sh {AT} --topic orders")
    assert bench.run(f"{command} --alter --delete-config max.message.bytes").exit_code == 0
    assert bench.state.configs["orders"] == {"retention.ms": "1000"}


def test_messages_are_written_and_read(bench: Bench) -> None:
    assert bench.run(f"printf 'one\\ntwo\\n' | kafka-console-producer.sh {AT} --topic orders").exit_code == 0
    assert bench.state.topics["orders"].ends == [132.0]
    read = bench.run(f"kafka-console-consumer.sh {AT} --topic orders --from-beginning --max-messages 2")
    assert (read.stdout(), read.stderr()) == ("one\ntwo\n", "Processed a total of 2 messages\n")
    late = bench.run(f"kafka-console-consumer.sh {AT} --topic orders --timeout-ms 5000")
    assert (late.stdout(), late.elapsed, late.exit_code) == ("", 5.0, 0)
    assert bench.run(f"kafka-console-consumer.sh {AT} --topic orders").exit_code is None
    assert bench.out(f"kafka-get-offsets.sh {AT} --topic orders") == "orders:0:132\n"


def test_a_broker_that_is_not_there(bench: Bench) -> None:
    lost = bench.run("kafka-topics.sh --bootstrap-server localhost:9999 --list")
    assert (lost.exit_code, lost.elapsed) == (1, 60.0)
    assert "Timed out waiting for a node assignment" in lost.stderr()
    assert "Couldn't resolve server" in bench.out("kafka-topics.sh --bootstrap-server nowhere:9092 --list")
    assert "Missing required argument" in bench.out("kafka-topics.sh --list")
    assert bench.run(f"kafka-topics.sh {AT}").exit_code == 1


def test_copies_are_independent(bench: Bench) -> None:
    twin = bench.state.clone()
    bench.run(f"echo x | kafka-console-producer.sh {AT} --topic orders")
    bench.run(f"kafka-configs.sh {AT} --entity-type topics --entity-name orders --alter --add-config retention.ms=1")
    assert (twin.kept, twin.configs, twin.topics["orders"].ends) == ({}, {}, [130.0])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["kafka-topics", "kafka-consumer-groups.sh", "kafka-configs.sh", "kafka-console-consumer.sh"]),
    st.lists(st.sampled_from(["--list", "--describe", "--topic", "orders", "--group", "x", "--create", "--alter",
    "--delete", "--partitions",
                              "2", "--reset-offsets", "--to-latest", "--execute", "--entity-type", "topics"]),
                              max_size=6),
)  # fmt: skip
def test_no_command_line_breaks_them(name: str, words: list[str]) -> None:
    broker = Broker()
    broker.topic("orders", 2)
    outcome = Bench(broker, 9092).run(f"{name} {AT} {' '.join(words)}")
    assert outcome.exit_code in (None, 0, 1)
