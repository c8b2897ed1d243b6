"""Lint as a sequence: rehearsal, rewriting, refusals by the server, earlier attempts."""

from __future__ import annotations

import json

import pytest

from stratus.errors import ClusterUnreachable, Conflict, Forbidden, InDoubt, Invalid, Throttled
from stratus.mitigation.linting import lint
from stratus.model.actions import ActionPlan, ActionStep, ApiWrite, MitigationPlan
from stratus.model.reports import Attempt
from stratus.settings import Settings

from .world import (
    Grammar,
    World,
    blames,
    case_for,
    codes,
    lint_one,
    make,
    owner,
    plan_of,
    ref,
    scale,
    set_image,
    template,
    web,
    write,
)


def lint_lines(world: World, grammar: Grammar, *lines: str, **more: object) -> MitigationPlan:
    return lint(
        plan_of(*lines),
        case_for(world),
        reader=world,
        rehearser=world,
        settings=Settings(),
        allowed_namespaces=("shop",),
        compile_command=grammar,
        **more,  # type: ignore[arg-type]
    )


# --- sequences


def test_later_commands_see_what_earlier_ones_would_leave() -> None:
    world, grammar = World(web()), Grammar()
    first = grammar.add("kubectl 1", "scale", scale("web", 5))
    second = grammar.add("kubectl 2", "set image", set_image("web", "registry.local/shop/web:v1"))
    third = grammar.add("kubectl 3", "scale", scale("web", 5))
    plan = lint_lines(world, grammar, first, second, third)
    assert plan.executable
    assert [w.diff for w in plan.writes] == [
        ("spec.replicas: 3 -> 5",),
        ("spec.template.spec.containers[web].image: registry.local/shop/web:v2 -> registry.local/shop/web:v1",),
    ]
    assert plan.writes[1].pre_image is not None
    assert plan.writes[1].pre_image["spec"]["replicas"] == 5
    assert plan.writes[1].dry_run is not None
    assert plan.writes[1].dry_run["spec"]["replicas"] == 5
    assert [c.command for c in plan.commands] == [first, second, third], "a command without effect is not hidden"
    assert world.objects[("Deployment", "shop", "web")] == web(), "nothing was written"


def test_the_grammar_reads_through_the_overlay() -> None:
    seen: list[object] = []

    class Reading(Grammar):
        def __call__(self, line, *, namespace, reader):  # type: ignore[no-untyped-def]
            seen.append(reader.get(ref("Deployment", "web"))["spec"]["replicas"])
            seen.append([o["spec"]["replicas"] for o in reader.list("deployments", "shop")])
            return super().__call__(line, namespace=namespace, reader=reader)

    world, grammar = World(web()), Reading()
    first = grammar.add("kubectl 1", "scale", scale("web", 5))
    second = grammar.add("kubectl 2", "scale", scale("web", 6))
    assert lint_lines(world, grammar, first, second).executable
    assert seen == [3, [3], 5, [5]]


def test_an_object_made_earlier_in_the_plan_can_be_merge_patched_only() -> None:
    world, grammar = World(), Grammar()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    made = grammar.add("kubectl make", "create", write("POST", "ConfigMap", "c", body))
    patched = grammar.add("kubectl patch", "patch", write("PATCH", "ConfigMap", "c", {"data": {"b": "2"}}))
    plan = lint_lines(world, grammar, made, patched)
    assert plan.executable
    assert plan.writes[1].diff == ("data.b: (none) -> 2",)
    strategic = write("PATCH", "ConfigMap", "c", {}, patch_type="application/strategic-merge-patch+json")
    other = grammar.add("kubectl strategic", "patch", strategic)
    assert codes(lint_lines(world, grammar, made, other)) == ["not_rehearsable"]


def test_deleting_and_making_anew_is_not_one_rehearsal() -> None:
    world, grammar = World(make("ConfigMap", "c", data={})), Grammar()
    gone = grammar.add("kubectl gone", "delete", write("DELETE", "ConfigMap", "c"))
    body = {"kind": "ConfigMap", "metadata": {"name": "c"}}
    again = grammar.add("kubectl again", "create", write("POST", "ConfigMap", "c", body))
    patched = grammar.add("kubectl patch", "patch", write("PATCH", "ConfigMap", "c", {"data": {"b": "2"}}))
    assert codes(lint_lines(world, grammar, gone, again)) == ["not_rehearsable"]
    assert codes(lint_lines(world, grammar, gone, patched)) == ["not_found"]


def test_a_refused_command_leaves_no_trace_in_what_follows() -> None:
    world, grammar = World(web(), web("cart")), Grammar()
    bad = grammar.add("kubectl bad", "scale", scale("web", 1), write("DELETE", "Namespace", "shop"))
    good = grammar.add("kubectl good", "scale", scale("web", 2))
    plan = lint_lines(world, grammar, bad, good)
    assert not plan.executable
    assert [w.diff for w in plan.writes] == [("spec.replicas: 3 -> 2",)]
    assert [r.command for r in plan.refusals] == [bad]


def test_every_write_of_a_command_is_recorded() -> None:
    """Known mistakes 7 and 8: of several objects or calls only one was recorded."""
    world = World(*(make("ConfigMap", n, data={"k": "v"}) for n in "abc"))
    plan = lint_one(world, "delete", *(write("DELETE", "ConfigMap", n) for n in "abc"))
    assert [w.write.target.name for w in plan.writes] == ["a", "b", "c"]
    assert all(w.pre_image is not None and w.diff == ("deleted",) for w in plan.writes)


def test_one_bad_object_refuses_the_whole_command() -> None:
    world = World(make("ConfigMap", "a", data={}), make("ConfigMap", "b", "kube-system", data={}))
    changes = (write("DELETE", "ConfigMap", "a"), write("DELETE", "ConfigMap", "b", namespace="kube-system"))
    plan = lint_one(world, "delete", *changes)
    assert codes(plan) == ["protected_namespace"]
    assert plan.writes == ()


def test_several_commands_in_one_step_are_all_seen() -> None:
    world, grammar = World(web()), Grammar()
    grammar.add("kubectl 1", "scale", scale("web", 5))
    grammar.add("kubectl 2", "set image", set_image("web", "registry.local/shop/web:v1"))
    plan = lint_lines(world, grammar, "kubectl 1 && kubectl 2")
    assert [c.command for c in plan.commands] == ["kubectl 1", "kubectl 2"]
    assert len(plan.writes) == 2


# --- rehearsal and reversibility


def test_a_restart_is_rehearsed_and_recorded_like_anything_else() -> None:
    """Known mistake 2: `rollout restart` knows no --dry-run, so it ran for real with nothing recorded."""
    body = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01"}}}}}
    world = World(web())
    change = write("PATCH", "Deployment", "web", body, patch_type="application/strategic-merge-patch+json")
    plan = lint_one(world, "rollout restart", change)
    assert plan.executable
    assert world.tried == [change]
    assert plan.writes[0].reversibility == "equivalent"
    assert plan.writes[0].pre_image == web()
    assert "revision" in plan.writes[0].note


def test_deleting_a_workload_parks_it_instead_and_says_so() -> None:
    world = World(web())
    plan = lint_one(world, "delete", write("DELETE", "Deployment", "web", {"propagationPolicy": "Background"}))
    (planned,) = plan.writes
    assert planned.reversibility == "rewritable"
    assert planned.write.method == "PATCH"
    assert planned.write.path == "/apis/apps/v1/namespaces/shop/deployments/web"
    assert planned.diff == ("metadata.labels[stratus.dev/parked]: (none) -> true", "spec.replicas: 3 -> 0")
    assert "instead of deleted" in planned.note
    assert all(w.method != "DELETE" for w in world.tried)


def test_deleting_a_workload_and_keeping_its_pods_is_exact() -> None:
    plan = lint_one(World(web()), "delete", write("DELETE", "Deployment", "web", {"propagationPolicy": "Orphan"}))
    assert plan.writes[0].reversibility == "exact"
    assert plan.writes[0].write.method == "DELETE"


def test_an_eviction_takes_the_pod_away() -> None:
    world = World(make("Pod", "web-1", metadata=owner("ReplicaSet", "web-r")))
    plan = lint_one(world, "drain", write("POST", "Pod", "web-1", {}, subresource="eviction"))
    assert plan.executable, plan.refusals
    assert plan.writes[0].diff == ("deleted",)
    assert plan.writes[0].dry_run is None


def test_nothing_is_ever_sent_but_dry_runs() -> None:
    """Known mistake 17 lies with the rehearser; here: lint holds nothing else that could send."""
    world = World(web())
    lint_one(world, "scale", scale("web", 5))
    assert not hasattr(world, "write")
    assert [w.method for w in world.tried] == ["PATCH"]


def test_what_would_change_nothing_is_said() -> None:
    plan = lint_one(World(web()), "scale", scale("web", 3))
    assert codes(plan) == ["no_effect"]
    assert plan.refusals[0].command == "kubectl it"
    assert not plan.executable


def test_reads_alone_are_no_repair_and_no_error() -> None:
    """Known mistake 13 lies with the grammar; here: a read, whatever its answer, is neither refused nor written."""
    world, grammar = World(web()), Grammar()
    assert codes(lint_lines(world, grammar, "kubectl get pods")) == ["no_effect"]
    grammar.add("kubectl 1", "scale", scale("web", 5))
    plan = lint_lines(world, grammar, "kubectl get pods", "kubectl 1", "kubectl get pods")
    assert plan.executable
    assert len(plan.commands) == 3
    assert len(plan.writes) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Invalid("spec.replicas: must be positive", status=422, reason="Invalid"), "invalid"),
        (Forbidden("admission webhook denied", status=403, reason="Forbidden"), "forbidden"),
        (Conflict("changed", status=409, reason="Conflict"), "conflict"),
        (Throttled("disruption budget", status=429, reason="TooManyRequests"), "throttled"),
        (InDoubt("no answer"), "in_doubt"),
    ],
)
def test_the_servers_objections_become_refusals(error: Exception, code: str) -> None:
    world = World(web())
    world.fail["Deployment"] = error  # type: ignore[assignment]
    plan = lint_one(world, "scale", scale("web", 5))
    assert codes(plan) == [code]
    assert str(error) in plan.refusals[0].message
    assert plan.refusals[0].hint


def test_an_object_that_cannot_be_read_cannot_be_undone() -> None:
    world = World(make("Secret", "s", data={}))
    world.unreadable.add("Secret")
    plan = lint_one(world, "patch", write("PATCH", "Secret", "s", {"data": {"a": "Yg=="}}))
    assert codes(plan) == ["forbidden"]
    assert not world.tried


def test_an_unreachable_cluster_is_not_a_refusal() -> None:
    class Gone(World):
        def dry_run(self, write: ApiWrite) -> dict[str, object]:
            raise ClusterUnreachable("no route")

    with pytest.raises(ClusterUnreachable):
        lint_one(Gone(web()), "scale", scale("web", 5))


def test_secrets_stay_out_of_the_difference() -> None:
    world = World(make("Secret", "s", data={"password": "b2xk"}))
    plan = lint_one(world, "patch", write("PATCH", "Secret", "s", {"data": {"password": "bmV3"}}))
    assert plan.writes[0].diff == ("data.password: (hidden) -> (hidden)",)


# --- earlier attempts


def attempt(plan: MitigationPlan, number: int, verdict: str) -> Attempt:
    return Attempt(
        number=number,
        hypothesis="H1",
        summary="s",
        writes=tuple(w.write for w in plan.writes),
        executed=True,
        verdict=verdict,  # type: ignore[arg-type]
        undone=verdict != "IMPROVED",
    )


def test_what_was_undone_is_not_done_again_until_something_has_improved() -> None:
    world = World(web(), web("cart"))
    done = lint_one(world, "scale", scale("web", 5))
    other = lint_one(world, "scale", scale("cart", 5))
    failed = attempt(done, 1, "UNCHANGED")

    def again(*attempts: Attempt) -> list[str]:
        return codes(lint_one(world, "scale", scale("web", 5), case=case_for(world, attempts=attempts)))

    assert again(failed) == ["already_tried"]
    assert again(failed, attempt(other, 2, "REGRESSED")) == ["already_tried"]
    assert again(failed, attempt(other, 2, "IMPROVED")) == []
    assert again(attempt(other, 1, "UNCHANGED")) == []
    assert again(failed.model_copy(update={"executed": False})) == []


def test_a_second_restart_is_the_same_whatever_the_time() -> None:
    def restart(moment: str) -> ApiWrite:
        body = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": moment}}}}}
        return write("PATCH", "Deployment", "web", body)

    world = World(web())
    done = lint_one(world, "rollout restart", restart("2026-01-01T00:00:00Z"))
    case = case_for(world, attempts=(attempt(done, 1, "UNCHANGED"),))
    assert codes(lint_one(world, "rollout restart", restart("2026-01-02T09:30:00+01:00"), case=case)) == [
        "already_tried"
    ]


# --- steps


def test_a_step_without_command_is_refused() -> None:
    plan = ActionPlan(hypothesis="H1", summary="s", steps=(ActionStep(text="Think hard."),))
    world = World(web())
    result = lint(
        plan,
        case_for(world),
        reader=world,
        rehearser=world,
        settings=Settings(),
        allowed_namespaces=("shop",),
        compile_command=Grammar(),
    )
    assert codes(result) == ["no_command"]
    assert "Think hard." in result.refusals[0].message


def test_the_grammar_is_given_the_namespace_of_the_step() -> None:
    world, grammar = World(web()), Grammar()
    line = grammar.add("kubectl 1", "scale", scale("web", 5))
    plan = ActionPlan(
        hypothesis="H1",
        summary="s",
        steps=(ActionStep(text="a", command=line, target=ref("Deployment", "web")), ActionStep(text="b", command=line)),
    )
    lint(
        plan,
        case_for(world),
        reader=world,
        rehearser=world,
        settings=Settings(),
        allowed_namespaces=("first", "shop"),
        compile_command=grammar,
        hypothesis=blames("Deployment", "web"),
    )
    assert grammar.namespaces == ["shop", "first"]


def test_a_linted_plan_survives_the_checkpoint() -> None:
    plan = lint_one(World(web()), "patch", template("web", {"name": "web", "env": [{"name": "A", "value": "1"}]}))
    again = MitigationPlan.model_validate(json.loads(plan.model_dump_json()))
    assert again == plan
