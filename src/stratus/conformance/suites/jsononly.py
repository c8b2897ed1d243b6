"""json_only_server*.jsonl: kubectl and a server that reads no protobuf bodies, which kubectl does not get around."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.kubectl import Kubectl
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import difference, plain
from stratus.conformance.served import served
from stratus.conformance.suites.base import Chosen, Json, attempt
from stratus.conformance.suites.sessions import printed
from stratus.conformance.world import EmbeddedWorld, Side

_WATCHES = ("watch=true", "watch=1")


class JsonOnly:
    """The commands, in order, in front of one such server, print what was recorded."""

    name: ClassVar[str] = "json_only_server.jsonl"
    about: ClassVar[str] = "standard output, standard error and exit code of the real kubectl"
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = True

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Run the commands in front of one cluster, for each goes on with what the one before left."""
        world = side.world("jo", running=True)
        assert isinstance(world, EmbeddedWorld)
        try:
            world.refuse_protobuf()
            with Kubectl() as kubectl, served(world, kubectl) as (desk, _):
                for record in golden.records(self.name):
                    case = f"{record['id']}/{' '.join(record['argv'][1:])}"[:120]
                    if not chosen(case):
                        continue

                    def run(case: str = case, record: Json = record) -> Outcome:
                        ran = desk.run(record)
                        problems = [] if ran.exit_code == record["exit_code"] else [f"exit code {ran.exit_code}"]
                        said = printed(record, ran, desk.server)
                        problems += [said] if said else []
                        return Outcome(
                            case=case, kind=record["argv"][1], passed=not problems, reason="; ".join(problems)[:600]
                        )

                    yield attempt(case, record["argv"][1], run)
        finally:
            world.close()


class JsonOnly132:
    """The requests that an older kubectl sent get the recorded answers; that kubectl itself is not run."""

    name: ClassVar[str] = "json_only_server_kubectl132.jsonl"
    about: ClassVar[str] = "status and refusal of each request that kubectl 1.32 sent (the program itself is not run)"
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Send the requests to one cluster, in order."""
        world = side.world("jo", running=True)
        assert isinstance(world, EmbeddedWorld)
        try:
            world.refuse_protobuf()
            for record in golden.records(self.name):
                case = f"{record['id']}/{' '.join(record['argv'][1:])}"[:120]
                if not chosen(case):
                    continue

                def run(case: str = case, record: Json = record) -> Outcome:
                    problems = [found for request in record["requests"] if (found := _send(world, request))]
                    world.reach(world.cluster.clock.now() + float(record.get("seconds") or 0))
                    return Outcome(
                        case=case, kind=record["argv"][1], passed=not problems, reason="; ".join(problems)[:600]
                    )

                yield attempt(case, record["argv"][1], run)
        finally:
            world.close()


def _send(world: EmbeddedWorld, request: Json) -> str:
    body = request.get("body", request.get("body_raw"))
    if request.get("body_protobuf_base64"):
        body = base64.b64decode(request["body_protobuf_base64"])
    path = request["path"]
    if any(mark in path for mark in _WATCHES):
        # A watch goes on from a version of the recorded cluster.
        return ""
    answer = world.send(request["method"], path, body, media=request.get("content_type"), accept="application/json")
    if answer.status != request["status"]:
        return f"{request['method']} {path}: status {answer.status}, recorded {request['status']}"
    wanted = request.get("response")
    if request["status"] >= 400 and isinstance(wanted, dict) and plain(answer.obj) != plain(wanted):
        return f"{request['method']} {path}: {difference(answer.obj, wanted)}"
    return ""
