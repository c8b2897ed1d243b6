"""The loop between NL2Kubectl and Linting in the graph: a model that errs repairs its command, or is stopped."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from stratus.cluster.kube import KubeCluster
from stratus.diagnosis.model import ModelReasoner
from stratus.flow import edges
from stratus.flow.nodes.mitigation import MitigationNodes
from stratus.flow.state import State
from stratus.kit.clock import VirtualClock
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.llm.thinker import ChatThinker
from stratus.model.actions import ActionPlan, ActionStep, ApiWrite
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation
from stratus.model.refs import ObjectRef
from stratus.settings import LimitSettings, ModelSettings, Settings
from stratus.sim.api import ApiServer
from stratus.sim.store import Store
from stratus.sim.transport import in_process_api_client

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")
GOOD = "kubectl -n shop scale deployment/web --replicas=5"


class NoRules:
    name = "none"

    def command(self, *_: Any) -> str:
        return ""


class Rooms:
    """As many rooms as these nodes enter."""

    def __init__(self, limits: LimitSettings, *answers: str) -> None:
        self.clock = VirtualClock(1_700_000_000.0)
        rng = random.Random(11)
        store = Store(self.clock, rng)
        cluster = KubeCluster(in_process_api_client(ApiServer(store, self.clock, rng=rng)))
        self.reader, self.rehearser = cluster.reader, cluster.rehearser
        self.settings = Settings(limits=limits, mode="auto")
        script = {"turns": [{"answer": {"command": a}} for a in answers]}
        self.model = ScriptedChatModel(script=Script.model_validate(script))
        thinker = ChatThinker(
            self.model, name="scripted", settings=ModelSettings(), limits=limits, clock=VirtualClock()
        )
        self.brain = ModelReasoner(thinker, NoRules(), "scripted")  # type: ignore[arg-type]
        container = {"name": "web", "image": "registry.local/shop/web:v1"}
        spec = {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        }
        space = ObjectRef(api_version="v1", kind="Namespace", name="shop")
        for target, plural, body in ((space, "namespaces", {}), (WEB, "deployments", {"spec": spec})):
            meta = {"name": target.name, **({"namespace": target.namespace} if target.namespace else {})}
            whole = {"apiVersion": target.api_version, "kind": target.kind, "metadata": meta, **body}
            cluster.writer.write(
                ApiWrite(method="POST", target=target, plural=plural, namespaced=bool(target.namespace), body=whole)
            )
        self.versions = lambda: cluster.reader.get(WEB)["metadata"]["resourceVersion"]  # type: ignore[index]

    def knowledge(self) -> Any:
        class Nothing:
            @staticmethod
            def runbooks() -> tuple[()]:
                return ()

        return Nothing()

    def stopwatch(self) -> Any:
        return lambda: 0.0


def walk(rooms: Rooms) -> tuple[State, list[str]]:
    """Go through the two nodes as the graph does; return the last state and the way taken."""
    nodes = MitigationNodes(lambda state: cast(Any, rooms))
    held = rooms.reader.get(WEB)
    state: State = {
        "incident": "i1",
        "mode": "auto",
        "plan": ActionPlan(
            hypothesis="H1",
            summary="s",
            steps=(ActionStep(text="Let the front door serve everybody.", target=WEB),),
        ),
        "detection": Detection(anomalous=True, anomalies=(), services=("shop/web",)),
        "observation": Observation(at=0.0, window=60.0, namespaces=("shop",), objects={"Deployment": (held or {},)}),
    }
    way = []
    while True:
        state = {**state, **nodes.nl2kubectl(state)}
        state = {**state, **nodes.linting(state)}
        way.append(edges.after_linting(state))
        if way[-1] != "NL2Kubectl":
            return state, way
        assert len(way) < 20


def test_a_command_that_was_refused_is_repaired_and_goes_on() -> None:
    rooms = Rooms(LimitSettings(), "kubectl -n shop scale deployment/wep --replicas=5", GOOD)
    before = rooms.versions()
    state, way = walk(rooms)
    assert way == ["NL2Kubectl", "Rehearsal"]
    mitigation = state["mitigation"]
    assert mitigation is not None
    assert [w.diff for w in mitigation.writes] == [("spec.replicas: 2 -> 5",)]
    assert "there is: web" in rooms.model.prompts[1]
    assert state.get("refusals") == ()
    assert rooms.versions() == before, "nothing has been written yet"


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_one_that_never_gets_right_is_stopped_and_says_why(rounds: int) -> None:
    wrong = [f"kubectl -n shop scale deployment/web{n} --replicas=5" for n in range(9)]
    rooms = Rooms(LimitSettings(repair_rounds=rounds), *wrong)
    before = rooms.versions()
    state, way = walk(rooms)
    assert way == ["NL2Kubectl"] * rounds + ["__end__"]
    assert len(rooms.model.prompts) == rounds + 1
    mitigation = state["mitigation"]
    assert mitigation is not None
    assert not mitigation.executable
    assert {r.code for r in mitigation.refusals} == {"not_found"}
    assert any("refused" in entry.text for entry in state["timeline"])
    assert rooms.versions() == before


def test_a_model_that_only_looks_is_sent_back_too() -> None:
    rooms = Rooms(LimitSettings(), "kubectl -n shop get pods", GOOD)
    state, way = walk(rooms)
    assert way == ["NL2Kubectl", "Rehearsal"]
    assert "only reads" in rooms.model.prompts[1]
    assert state["mitigation"] is not None
