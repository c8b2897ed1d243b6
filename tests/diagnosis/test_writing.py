"""Sentences of the controlled grammar become kubectl lines; anything else is given up."""

from __future__ import annotations

import pytest
from builders import case, observation

from stratus.diagnosis.rules import RulesReasoner
from stratus.diagnosis.world import reference
from stratus.diagnosis.writing import command_for
from stratus.model.actions import ActionStep, Refusal

SENTENCES = [
    ("Scale Deployment web in namespace shop to 3 replicas.", "kubectl scale deployment/web --replicas=3 -n shop"),
    ("scale the deployment web to 1", "kubectl scale deployment/web --replicas=1"),
    ("Restart StatefulSet db in namespace shop.", "kubectl rollout restart statefulset/db -n shop"),
    ("Roll back Deployment web in namespace shop to revision 3.",
     "kubectl rollout undo deployment/web --to-revision=3 -n shop"),
    ("Roll back Deployment web to the previous revision", "kubectl rollout undo deployment/web"),
    ("Set the image of container app of Deployment web in namespace shop to r.io/app:1.2",
     "kubectl set image deployment/web app=r.io/app:1.2 -n shop"),
    ("Set MODE of container app of Deployment web in namespace shop to a b; c.",
     "kubectl set env deployment/web -c app 'MODE=a b; c' -n shop"),
    ("Set environment variable MODE of Deployment web to x", "kubectl set env deployment/web MODE=x"),
    ("Remove CRASH from container app of Deployment web in namespace shop.",
     "kubectl set env deployment/web -c app CRASH- -n shop"),
    ("Set the memory limit of container app of Deployment web to 256Mi.",
     "kubectl set resources deployment/web -c app --limits=memory=256Mi"),
    ("Set the CPU request of container app of Deployment web to 100m",
     "kubectl set resources deployment/web -c app --requests=cpu=100m"),
    ("Uncordon node node-2.", "kubectl uncordon node-2"),
    ("Delete NetworkPolicy deny in namespace shop.", "kubectl delete networkpolicy/deny -n shop"),
    ("Set the selector of Service web in namespace shop to app=web,tier=front.",
     "kubectl patch service/web --type=json -p '[{\"op\": \"replace\", \"path\": \"/spec/selector\", \"value\": "
     "{\"app\": \"web\", \"tier\": \"front\"}}]' -n shop"),
    ("Set key size of ConfigMap conf in namespace shop to 3",
     "kubectl patch configmap/conf --type=merge -p '{\"data\": {\"size\": \"3\"}}' -n shop"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "command"), SENTENCES)
def test_sentences(text: str, command: str) -> None:
    assert command_for(ActionStep(text=text)) == command


@pytest.mark.parametrize(
    "text",
    ["", "Make it work.", "Scale Deployment web to many replicas", "Delete everything in namespace shop",
     "Scale Deployment web; rm -rf / to 3", "Scale Deployment -o to 3", "kubectl delete ns shop"],
)  # fmt: skip
def test_other_texts_are_given_up(text: str) -> None:
    assert command_for(ActionStep(text=text)) == ""


def test_the_namespace_comes_from_the_target_when_the_sentence_leaves_it_out() -> None:
    step = ActionStep(text="Restart Deployment web.", target=reference("Deployment", "shop", "web"))
    assert command_for(step) == "kubectl rollout restart deployment/web -n shop"


def test_a_refused_command_is_not_repeated() -> None:
    reasoner, one = RulesReasoner(), case(observation())
    step = ActionStep(text="x", command="kubectl get pods")
    assert reasoner.command(step, one, ()) == "kubectl get pods"
    refusal = Refusal(command="kubectl get pods", code="c", message="m")
    assert reasoner.command(step, one, (refusal,)) == ""
    assert reasoner.usage().model_calls == 0
