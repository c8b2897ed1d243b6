"""The scripts that come with Kafka: topics, consumer groups, settings, console clients."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stratus.sim.shell import Forever, Shell
from stratus.sim.shellcommands.base import program

_MANY = ("--topic", "--group", "--add-config", "--delete-config", "--config", "--property", "--entity-name")
_FLAGS = frozenset(
    {"--list", "--describe", "--create", "--delete", "--alter", "--members", "--state", "--verbose", "--offsets"}
    | {"--all-groups", "--all-topics", "--execute", "--dry-run", "--reset-offsets", "--to-earliest", "--to-latest"}
    | {"--to-current", "--from-beginning", "--if-exists", "--if-not-exists", "--under-replicated-partitions", "--all"}
    | {"--unavailable-partitions", "--exclude-internal", "--export", "--version", "--help"}
)


class _Usage(Exception):
    """The words are wrong; the text says how."""


class _Lost(Exception):
    """There is no broker to talk to; the exit code says so."""


class _Wish:
    """What a command line asks for."""

    def __init__(self, argv: list[str]) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        words = list(argv[1:])
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if word in _FLAGS:
                self.flags.add(word)
            elif word.startswith("--") and equals:
                self.values.setdefault(name, []).append(value)
            elif word.startswith("--"):
                if not words:
                    raise _Usage(f"Option {word.lstrip('-')} requires an argument")
                self.values.setdefault(word, []).append(words.pop(0))
            else:
                raise _Usage(f"{word} is not a recognized option")

    def one(self, *names: str) -> str:
        """Return an option's value, empty without it."""
        return next((self.values[n][-1] for n in names if n in self.values), "")

    def address(self, name: str) -> tuple[str, int]:
        """Return the broker's address."""
        text = self.one("--bootstrap-server", "--broker-list")
        if not text:
            raise _Usage(f"Missing required argument {name}")
        host, _, port = text.split(",")[0].rpartition(":")
        return (host, int(port)) if host and port.isdigit() else (text, 9092)


Script = Callable[[Shell, _Wish], int]


def _stamp(shell: Shell) -> str:
    moment = datetime.fromtimestamp(shell.world.now() + shell.elapsed, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03d}"


def _ask(shell: Shell, wish: _Wish, what: str, call: str, **request: Any) -> dict[str, Any]:
    """Ask the broker; say why there is no answer."""
    host, port = wish.address("[bootstrap-server]")
    kind, address, answer = shell.ask("talk", host, port, "kafka", request)
    if kind == "reached" and answer is not None:
        found: dict[str, Any] = answer
        return found
    if kind == "no-host":
        shell.err(
            f"[{_stamp(shell)}] WARN Couldn't resolve server {host}:{port} from bootstrap.servers as DNS resolution "
            f"failed for {host} (org.apache.kafka.clients.ClientUtils)\n"
        )
        shell.err(
            'Exception in thread "main" org.apache.kafka.common.KafkaException: Failed to create new KafkaAdminClient\n'
        )
        raise _Lost
    where = f"({host}/{address or host}:{port})"
    shell.err(
        f"[{_stamp(shell)}] WARN [AdminClient clientId=adminclient-1] Connection to node -1 {where} could not be "
        "established. Node may not be available. (org.apache.kafka.clients.NetworkClient)\n"
    )
    shell.sleep(60.0)
    shell.err(f"Error while executing {what} command : Timed out waiting for a node assignment. Call: {call}\n")
    raise _Lost


def _failed(shell: Shell, what: str, text: str, kind: str, tool: str) -> int:
    shell.err(f"Error while executing {what} command : {text}\n")
    shell.err(
        f"[{_stamp(shell)}] ERROR org.apache.kafka.common.errors.{kind}: {text}\n (org.apache.kafka.tools.{tool})\n"
    )
    return 1


def _guarded(shell: Shell, argv: list[str], body: Script) -> int:
    try:
        wish = _Wish(argv)
        if "--version" in wish.flags:
            shell.out("3.9.0\n")
            return 0
        return body(shell, wish)
    except _Usage as problem:
        shell.err(f"{problem}\n")
        return 1
    except _Lost:
        return 1


def _register(name: str) -> Callable[[Script], Script]:
    """Register a script under its names."""

    def register(fn: Script) -> Script:
        @program(f"{name}.sh", name)
        def run(shell: Shell, argv: list[str]) -> int:
            return _guarded(shell, argv, fn)

        return fn

    return register


# topics


@_register("kafka-topics")
def _topics(shell: Shell, wish: _Wish) -> int:
    actions = wish.flags & {"--list", "--describe", "--create", "--delete", "--alter"}
    if len(actions) != 1:
        raise _Usage("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
    name = wish.one("--topic")
    if "--create" in actions:
        return _create(shell, wish, name)
    found = _ask(shell, wish, "topic", "listTopics", do="topics")["topics"]
    pattern = re.compile(name or ".*")
    found = [t for t in found if pattern.fullmatch(t["name"])]
    if "--list" in actions:
        shell.out("".join(f"{t['name']}\n" for t in found))
        return 0
    if name and not found:
        if "--if-exists" in wish.flags:
            return 0
        text = f"Topic '{name}' does not exist as expected"
        shell.err(
            f"Error while executing topic command : {text}\n[{_stamp(shell)}] ERROR "
            "java.lang.IllegalArgumentException: "
        )
        shell.err(f"{text}\n (org.apache.kafka.tools.TopicCommand)\n")
        return 1
    if "--describe" in actions:
        for topic in found:
            _describe(shell, topic)
        return 0
    for topic in found:
        if "--delete" in actions:
            _ask(shell, wish, "topic", "deleteTopics", do="delete", topic=topic["name"])
            continue
        count = wish.one("--partitions")
        if not count.isdigit():
            raise _Usage('Missing required argument "[partitions]"')
        answer = _ask(
            shell, wish, "topic", "createPartitions", do="enlarge", topic=topic["name"], partitions=int(count)
        )
        if answer.get("error"):
            return _failed(shell, "topic", answer["error"], answer["kind"], "TopicCommand")
    return 0


def _create(shell: Shell, wish: _Wish, name: str) -> int:
    if not name:
        raise _Usage('Missing required argument "[topic]"')
    configs = dict(c.partition("=")[::2] for c in wish.values.get("--config", []))
    answer = _ask(
        shell, wish, "topic", "createTopics", do="create", topic=name, partitions=wish.one("--partitions"),
        replicas=wish.one("--replication-factor"), configs=configs,
    )  # fmt: skip
    if answer.get("kind") == "TopicExistsException" and "--if-not-exists" in wish.flags:
        return 0
    if answer.get("error"):
        return _failed(shell, "topic", answer["error"], answer["kind"], "TopicCommand")
    shell.out(f"Created topic {name}.\n")
    return 0


def _describe(shell: Shell, topic: dict[str, Any]) -> None:
    configs = ",".join(f"{k}={v}" for k, v in topic["configs"].items())
    count = len(topic["ends"])
    shell.out(
        f"Topic: {topic['name']}\tTopicId: {topic['id']}\tPartitionCount: {count}\tReplicationFactor: 1\t"
        f"Configs: {configs}\n"
    )
    for number in range(count):
        shell.out(
            f"\tTopic: {topic['name']}\tPartition: {number}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: \n"
        )


@_register("kafka-get-offsets")
def _offsets(shell: Shell, wish: _Wish) -> int:
    name = wish.one("--topic")
    earliest = wish.one("--time") in ("-2", "earliest")
    for topic in _ask(shell, wish, "topic", "listOffsets", do="topics")["topics"]:
        if not name or re.fullmatch(name, topic["name"]):
            shell.out("".join(f"{topic['name']}:{n}:{0 if earliest else end}\n" for n, end in enumerate(topic["ends"])))
    return 0


# groups


@_register("kafka-consumer-groups")
def _groups(shell: Shell, wish: _Wish) -> int:
    name = wish.one("--group")
    found = _ask(shell, wish, "consumer group", "listConsumerGroups", do="groups")["groups"]
    if "--list" in wish.flags:
        if "--state" in wish.flags:
            shell.out(f"{'GROUP':<25} STATE\n")
            shell.out("".join(f"{g['name']:<25} {'Stable' if g['members'] else 'Empty'}\n" for g in found))
        else:
            shell.out("".join(f"{g['name']}\n" for g in found))
        return 0
    if not name and "--all-groups" not in wish.flags:
        raise _Usage("Option [describe] takes one of these options: [all-groups], [group]")
    chosen = [g for g in found if not name or g["name"] == name]
    if "--reset-offsets" in wish.flags:
        return _reset(shell, wish, name)
    if "--delete" in wish.flags:
        answer = _ask(shell, wish, "consumer group", "deleteConsumerGroups", do="forget", group=name)
        if answer.get("error"):
            shell.out(
                f"\nError: Deletion of some consumer groups failed:\n* Group '{name}' could not be deleted due to: "
                f"java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.{answer['kind']}: "
                f"{answer['error']}\n"
            )
            return 1
        shell.out(f"Deletion of requested consumer groups ('{name}') was successful.\n")
        return 0
    if "--describe" not in wish.flags:
        raise _Usage("Command must include exactly one action: --list, --describe, --delete, --reset-offsets")
    if not chosen:
        shell.err(f"\nError: Consumer group '{name}' does not exist.\n")
        return 1
    for group in chosen:
        if "--members" in wish.flags:
            _members(shell, group)
        elif "--state" in wish.flags:
            _state(shell, wish, group)
        else:
            _lags(shell, group)
    return 0


def _lags(shell: Shell, group: dict[str, Any]) -> None:
    if not group["members"]:
        shell.out(f"\nConsumer group '{group['name']}' has no active members.\n")
    rows = group["rows"]
    widths = [
        max(15, *(len(str(v)) for v in values)) if rows else 15
        for values in ([group["name"]], [r["topic"] for r in rows] or [""], [r["member"] for r in rows] or [""])
    ]
    shape = "\n%-{}s %-{}s %-10s %-15s %-15s %-15s %-{}s %-15s %s".format(*widths)
    heads = (
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    )
    shell.out(shape % heads)
    for row in rows:
        host = f"/{row['host']}" if row["host"] else "-"
        cells = (group["name"], row["topic"], row["partition"], row["at"], row["end"], max(row["end"] - row["at"], 0))
        shell.out(shape % (*cells, row["member"] or "-", host, row["client"] or "-"))
    shell.out("\n")


def _members(shell: Shell, group: dict[str, Any]) -> None:
    if not group["members"]:
        shell.out(f"\nConsumer group '{group['name']}' has no active members.\n")
        return
    wide = max(15, *(len(m["member"]) for m in group["members"]))
    name = max(15, len(group["name"]))
    shape = f"\n%-{name}s %-{wide}s %-15s %-20s %-15s"
    shell.out(shape % ("GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"))
    for each in group["members"]:
        shell.out(shape % (group["name"], each["member"], f"/{each['host']}", each["client"], len(each["partitions"])))
    shell.out("\n")


def _state(shell: Shell, wish: _Wish, group: dict[str, Any]) -> None:
    host, port = wish.address("[bootstrap-server]")
    name, coordinator = max(15, len(group["name"])), f"{host}:{port} (1)"
    shape = f"\n%-{name}s %-25s %-25s %-20s %s"
    shell.out(shape % ("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"))
    state = "Stable" if group["members"] else "Empty"
    strategy = "range" if group["members"] else ""
    shell.out(shape % (group["name"], coordinator, strategy, state, len(group["members"])) + "\n")


def _reset(shell: Shell, wish: _Wish, group: str) -> int:
    how, amount = "", ""
    for flag, name in (("--to-earliest", "earliest"), ("--to-latest", "latest"), ("--to-current", "current")):
        how = name if flag in wish.flags else how
    for option, name in (("--to-offset", "offset"), ("--shift-by", "shift")):
        if wish.one(option):
            how, amount = name, wish.one(option)
    if not how:
        raise _Usage(
            "Option [reset-offsets] takes one of these options: [to-offset], [shift-by], [to-earliest], [to-latest]"
        )
    if how in ("offset", "shift") and not re.fullmatch(r"-?\d+", amount):
        raise _Usage(f"Cannot parse argument '{amount}' of option {how}")
    topics = wish.values.get("--topic", [])
    if not topics and "--all-topics" not in wish.flags:
        raise _Usage("One of the reset scopes should be defined: --all-topics, --topic.")
    answer = _ask(
        shell, wish, "consumer group", "resetOffsets", do="reset", group=group, how=how, amount=amount,
        topics=[t.partition(":")[0] for t in topics], execute="--execute" in wish.flags,
    )  # fmt: skip
    if answer.get("error"):
        shell.err(f"\nError: {answer['error']}\n")
        return 1
    if "--execute" not in wish.flags and "--dry-run" not in wish.flags:
        shell.err("WARN: No action will be performed as the --execute option is missing.\n")
    shape = "\n%-30s %-30s %-10s %-15s"
    shell.out(shape % ("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"))
    shell.out("".join(shape % (group, r["topic"], r["partition"], r["at"]) for r in answer["rows"]) + "\n")
    return 0


# settings


@_register("kafka-configs")
def _configs(shell: Shell, wish: _Wish) -> int:
    kind = wish.one("--entity-type") or ("topics" if "--topic" in wish.values else "")
    name = wish.one("--entity-name", "--topic")
    if kind not in ("topics", "brokers"):
        raise _Usage("Invalid entity type, the entity type must be one of topics, clients, users, brokers")
    if "--describe" in wish.flags:
        topics = _ask(shell, wish, "config", "describeConfigs", do="topics")["topics"]
        if kind == "brokers":
            shell.out(f"Dynamic configs for broker {name or '1'} are:\n")
            return 0
        for topic in topics:
            if name in ("", topic["name"]):
                shell.out(f"Dynamic configs for topic {topic['name']} are:\n")
                for key, value in topic["configs"].items():
                    shell.out(f"  {key}={value} sensitive=false synonyms={{DYNAMIC_TOPIC_CONFIG:{key}={value}}}\n")
        return 0
    if "--alter" not in wish.flags or not name:
        raise _Usage("Command must include exactly one action: --describe, --alter")
    pairs = [p for text in wish.values.get("--add-config", []) for p in text.split(",")]
    add = dict(p.strip().partition("=")[::2] for p in pairs)
    remove = [k.strip() for text in wish.values.get("--delete-config", []) for k in text.split(",")]
    answer = _ask(shell, wish, "config", "incrementalAlterConfigs", do="configure", topic=name, add=add, remove=remove)
    if answer.get("error") == "missing":
        shell.err(f"Error while executing config command with args '--alter' : The topic '{name}' does not exist.\n")
        return 1
    if answer.get("error"):
        return _failed(shell, "config", answer["error"], answer["kind"], "ConfigCommand")
    shell.out(f"Completed updating config for topic {name}.\n")
    return 0


# console clients


@_register("kafka-console-producer")
def _producer(shell: Shell, wish: _Wish) -> int:
    name = wish.one("--topic")
    if not name:
        raise _Usage('Missing required argument "[topic]"')
    texts = [line for line in shell.stdin.splitlines() if line]
    answer = _ask(shell, wish, "producer", "metadata", do="write", topic=name, texts=texts)
    if answer.get("error"):
        shell.err(
            f"[{_stamp(shell)}] ERROR Error when sending message to topic {name} "
            "(org.apache.kafka.clients.producer.internals.ErrorLoggingCallback)\n"
        )
        shell.err(f"org.apache.kafka.common.errors.{answer['kind']}: {answer['error']}\n")
    return 0


@_register("kafka-console-consumer")
def _consumer(shell: Shell, wish: _Wish) -> int:
    name = wish.one("--topic", "--include", "--whitelist")
    if not name:
        raise _Usage("At least one of the following options is required: --topic, --include")
    most = wish.one("--max-messages")
    answer = _ask(
        shell, wish, "consumer", "metadata", do="read", topic=name, beginning="--from-beginning" in wish.flags,
        group=wish.one("--group"), most=int(most) if most.isdigit() else None,
    )  # fmt: skip
    if answer.get("error"):
        shell.err(
            f"[{_stamp(shell)}] WARN [Consumer clientId=console-consumer] Error while fetching metadata: "
            f"{{{name}=UNKNOWN_TOPIC_OR_PARTITION}} (org.apache.kafka.clients.NetworkClient)\n"
        )
        raise Forever
    shell.out("".join(f"{text}\n" for _, _, text in answer["texts"]))
    seen = len(answer["texts"]) + answer["others"]
    if most.isdigit() and seen >= int(most):
        shell.err(f"Processed a total of {most} messages\n")
        return 0
    if wish.one("--timeout-ms").isdigit():
        shell.sleep(int(wish.one("--timeout-ms")) / 1000)
        shell.err(
            f"[{_stamp(shell)}] ERROR Error processing message, terminating consumer process:  "
            "(kafka.tools.ConsoleConsumer$)\n"
        )
        shell.err(f"org.apache.kafka.common.errors.TimeoutException\nProcessed a total of {seen} messages\n")
        return 0
    raise Forever


@_register("kafka-broker-api-versions")
def _versions(shell: Shell, wish: _Wish) -> int:
    host, port = wish.address("[bootstrap-server]")
    _ask(shell, wish, "api versions", "describeCluster", do="topics")
    shell.out(f"{host}:{port} (id: 1 rack: null isFenced: false) -> (\n\tProduce(0): 0 to 11 [usable: 11]\n)\n")
    return 0
