"""Lint with the real grammar: command lines in, typed and rehearsed writes out; the known mistakes by number."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stratus.mitigation.nl2kubectl import prepare
from stratus.model.actions import ActionPlan, ActionStep, MitigationPlan
from stratus.model.diagnosis import Hypothesis
from stratus.settings import Settings

from .test_hostile_text import CORPUS, IDS, world
from .world import World, Writer, blames, case_for, make, owner, ref, web


def run(place: World, *answers: str, hypothesis: Hypothesis | None = None) -> MitigationPlan:
    step = ActionStep(text="Repair.", target=ref("Deployment", "web"))
    return prepare(
        ActionPlan(hypothesis="H1", summary="s", steps=(step,)),
        case_for(place),
        writer=Writer(*answers),
        reader=place,
        rehearser=place,
        settings=Settings(),
        allowed_namespaces=("shop",),
        hypothesis=hypothesis,
    )


def labelled(name: str, replicas: int = 3) -> dict[str, Any]:
    return web(name, replicas, labels={"app": name})


def history() -> World:
    """A Deployment with an older revision that ran another image."""
    held = labelled("web")
    held["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
    held["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    held["spec"]["template"]["metadata"] = {"labels": {"app": "web"}}
    sets = []
    for number, image in ((1, "registry.local/shop/web:v1"), (2, "registry.local/shop/web:v2")):
        template = copy.deepcopy(held["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
        template["spec"]["containers"][0]["image"] = image
        meta = {
            "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}
            ],
        }
        sets.append(make("ReplicaSet", f"web-h{number}", metadata=meta, spec={"replicas": 0, "template": template}))
    return World(held, *sets)


@pytest.mark.parametrize(
    ("line", "diff", "reversibility"),
    [
        ("kubectl -n shop scale deployment/web --replicas=5", "spec.replicas: 3 -> 5", "exact"),
        (
            "kubectl -n shop set image deployment/web web=registry.local/shop/web:v1",
            "spec.template.spec.containers[web].image: registry.local/shop/web:v2 -> registry.local/shop/web:v1",
            "exact",
        ),
        ("kubectl label deploy web tier=front -n shop", "metadata.labels.tier: (none) -> front", "exact"),
        (
            "kubectl rollout undo deployment/web",
            "spec.template.spec.containers[web].image: registry.local/shop/web:v2 -> registry.local/shop/web:v1",
            "equivalent",
        ),
        ("kubectl delete deployment web --cascade=orphan", "deleted", "exact"),
        ("kubectl delete deployment web", "spec.replicas: 3 -> 0", "rewritable"),
        ("kubectl create configmap extra --from-literal=a=b -n shop", "data.a: (none) -> b", "exact"),
    ],
)
def test_common_repairs(line: str, diff: str, reversibility: str) -> None:
    plan = run(history(), line)
    assert plan.executable, plan.refusals
    assert diff in plan.writes[0].diff
    assert plan.writes[0].reversibility == reversibility
    assert plan.writes[0].command == line


def test_a_restart_is_recorded() -> None:
    """Known mistake 2."""
    plan = run(history(), "kubectl rollout restart deployment/web")
    assert plan.executable
    assert plan.writes[0].reversibility == "equivalent"
    assert plan.writes[0].pre_image is not None


@pytest.mark.parametrize(
    "line",
    [
        "kubectl -n shop scale deployment/web --replicas=5 # just looking",
        "kubectl -n shop scale deployment/web --replicas=5 --dry-run=server | cat",
        "kubectl -n shop scale deployment/web --replicas=$(echo 5)",
        "kubectl -n shop scale deployment/web --replicas=`echo 5`",
        "kubectl -n shop apply -f - <<EOF\nkind: ConfigMap\nmetadata: {name: $(id)}\nEOF",
        "kubectl -n shop scale deployment/web --replicas=5 > /dev/null",
        "kubectl -n shop scale deployment/web --replicas=5 & kubectl delete ns shop",
        "kubectl -n shop exec web-1 -- reboot",
        "kubectl --kubeconfig=/tmp/k -n shop scale deployment/web --replicas=5",
        "kubectl --as=admin -n shop scale deployment/web --replicas=5",
        "kubectl edit deployment web",
    ],
)
def test_what_is_no_plain_kubectl_is_refused(line: str) -> None:
    """Known mistakes 1 and 2."""
    place = history()
    plan = run(place, line)
    assert not plan.executable
    assert plan.refusals
    assert plan.writes == ()
    assert place.tried == []


@pytest.mark.parametrize(
    "line",
    [
        "kubectl delete configmap a b",
        "kubectl delete configmap/a configmap/b",
        "kubectl delete cm -l app=x",
        "kubectl delete configmap --all",
        "kubectl delete configmap a -nshop && kubectl delete configmap b -n=shop",
        "kubectl delete cm a --namespace shop; kubectl delete cm b",
    ],
)
def test_every_object_of_a_command_is_recorded(line: str) -> None:
    """Known mistakes 7 and 8."""
    place = World(*(make("ConfigMap", n, metadata={"labels": {"app": "x"}}, data={"k": "v"}) for n in "ab"))
    plan = run(place, line)
    assert plan.executable, plan.refusals
    assert [w.write.target.name for w in plan.writes] == ["a", "b"]
    assert all(w.pre_image is not None for w in plan.writes)


@pytest.mark.parametrize("spelling", ["-n other", "-nother", "-n=other", "--namespace other", "--namespace=other"])
def test_no_spelling_of_a_namespace_is_missed(spelling: str) -> None:
    """Known mistake 8."""
    place = World(make("ConfigMap", "a", "other", data={"k": "v"}), make("ConfigMap", "a", data={"k": "v"}))
    plan = run(place, f"kubectl delete configmap a {spelling}")
    assert [r.code for r in plan.refusals] == ["namespace"]
    assert plan.writes == ()


def test_reads_are_reads() -> None:
    """Known mistake 13: `diff` and `auth can-i` answer by exit code; here they are typed reads and nothing runs."""
    place = history()
    plan = run(place, "kubectl auth can-i get pods\nkubectl get pods -n shop\nkubectl scale deploy/web --replicas=4")
    assert plan.executable, plan.refusals
    assert [c.mutating for c in plan.commands] == [False, False, True]
    assert len(place.tried) == 1


def test_two_changes_of_one_object_are_rehearsed_as_a_sequence() -> None:
    plan = run(
        history(),
        "kubectl set env deployment/web MODE=fast\nkubectl set image deployment/web web=registry.local/shop/web:v1",
    )
    assert plan.executable, plan.refusals
    container = (plan.writes[1].dry_run or {})["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.local/shop/web:v1"
    assert container["env"] == [{"name": "MODE", "value": "fast"}]
    assert len(plan.writes[1].diff) == 1


def test_going_back_after_a_change_in_the_same_plan_is_left_to_the_next_attempt() -> None:
    plan = run(history(), "kubectl set env deployment/web MODE=fast\nkubectl rollout undo deployment/web")
    assert [r.code for r in plan.refusals] == ["not_rehearsable"]


def test_a_repair_after_a_misspelt_name() -> None:
    wrong, right = (
        "kubectl -n shop scale deployment/wep --replicas=5",
        "kubectl -n shop scale deployment/web --replicas=5",
    )
    plan = run(history(), wrong, right)
    assert plan.executable
    assert plan.plan.steps[0].command == right


def test_drain_of_the_blamed_node_spares_what_nothing_brings_back() -> None:
    pod = make("Pod", "web-1", metadata=owner("ReplicaSet", "web-h2"), spec={"nodeName": "n1", "containers": []})
    place = World(make("Node", "n1", spec={}), pod)
    plan = run(place, "kubectl uncordon n1", hypothesis=blames("Node", "n1"))
    assert [r.code for r in plan.refusals] == ["no_effect"]
    held = World(make("Node", "n1", spec={"unschedulable": True}))
    assert run(held, "kubectl uncordon n1", hypothesis=blames("Node", "n1")).executable


@pytest.mark.parametrize("entry", CORPUS, ids=IDS)
def test_the_real_grammar_lets_no_hostile_command_through(entry: dict[str, Any]) -> None:
    place = world()
    plan = run(place, entry["obeyed"], hypothesis=blames("Deployment", "web"))
    assert not plan.executable, plan
    assert plan.refusals
    assert plan.writes == ()
