"""Compiling what came later: run, subjects, variables from elsewhere, overrides, records for a later apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from test_reads import NS, Desk
from twins import EXCERPT

from stratus.cluster.kubectl import compile_command
from stratus.conformance.golden import Golden
from stratus.conformance.world import EmbeddedSide
from stratus.errors import CommandRefused
from stratus.model.actions import ApiWrite


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    world = EmbeddedSide(Golden(EXCERPT)).world()
    yield Desk(world)
    world.close()


def writes(desk: Desk, line: str, manifest: str = "") -> tuple[ApiWrite, ...]:
    found = compile_command(line, namespace=NS, reader=desk.cluster.reader, manifest=manifest).writes
    for write in found:
        desk.cluster.rehearser.dry_run(write)
    return found


def only(desk: Desk, line: str, manifest: str = "") -> Any:
    (write,) = writes(desk, line, manifest)
    return write.body


def code(desk: Desk, line: str) -> str:
    with pytest.raises(CommandRefused) as refused:
        writes(desk, line)
    assert refused.value.hint
    return refused.value.code


def test_run_makes_a_pod_and_perhaps_a_service(desk: Desk) -> None:
    pod, service = writes(desk, "run fresh --image=nginx --port=80 --expose --env=A=1 --env=B=x=y -- serve -v")
    assert (pod.method, pod.path) == ("POST", f"/api/v1/namespaces/{NS}/pods")
    (container,) = pod.body["spec"]["containers"]
    assert container == {
        "name": "fresh",
        "image": "nginx",
        "args": ["serve", "-v"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}],
        "ports": [{"containerPort": 80}],
    }
    assert pod.body["metadata"]["labels"] == service.body["spec"]["selector"] == {"run": "fresh"}
    assert "labels" not in service.body["metadata"]
    assert service.body["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    labelled = writes(desk, "run fresh --image=nginx --port=80 --expose -l a=b --restart=Never --command -- sh")
    assert labelled[1].body["metadata"]["labels"] == labelled[1].body["spec"]["selector"] == {"a": "b"}
    assert labelled[0].body["spec"]["containers"][0]["command"] == ["sh"]
    assert labelled[0].body["spec"]["restartPolicy"] == "Never"
    more = only(desk, "run fresh --image=nginx --privileged --image-pull-policy=Never --annotations=k=v")
    assert more["spec"]["containers"][0]["securityContext"] == {"privileged": True}
    assert more["spec"]["containers"][0]["imagePullPolicy"] == "Never"
    assert more["metadata"]["annotations"] == {"k": "v"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("run", "missing_argument"),
        ("run fresh sh --image=a", "missing_argument"),
        ("run fresh --image='a b'", "missing_argument"),
        ("run fresh --image=a --restart=Sometimes", "bad_value"),
        ("run fresh --image=a --command", "missing_argument"),
        ("run fresh --image=a --env=1", "bad_value"),
        ("run fresh --image=a --port=x", "bad_value"),
        ("run fresh --image=a --expose", "missing_argument"),
        ("run solo --image=a", "already_exists"),
        ("run fresh --image=a --rm", "interactive"),
        ("run fresh --image=a --overrides=[]", "bad_patch"),
        ("run fresh --image=a --override-type=json --overrides='{}'", "bad_patch"),
        ('run fresh --image=a --overrides=\'{"kind":"Job"}\'', "bad_patch"),
        ('run fresh --image=a --overrides=\'{"metadata":{"name":"x"}}\'', "bad_patch"),
    ],
)
def test_a_run_that_is_none(desk: Desk, line: str, wanted: str) -> None:
    assert code(desk, line) == wanted


def test_overrides_are_merged_in_either_way(desk: Desk) -> None:
    text = json.dumps({"spec": {"containers": [{"name": "fresh", "workingDir": "/x"}]}})
    merged = only(
        desk, f"run other --image=nginx --overrides='{text.replace('fresh', 'x').replace('workingDir', 'image')}'"
    )
    assert merged["spec"]["containers"] == [{"name": "x", "image": "/x"}]
    joined = only(desk, f"run fresh --image=nginx --override-type=strategic --overrides='{text}'")
    assert joined["spec"]["containers"] == [{"name": "fresh", "image": "nginx", "workingDir": "/x"}]
    service = only(
        desk, 'expose deploy web --port=80 --name=w2 --overrides=\'{"spec":{"sessionAffinity":"ClientIP"}}\''
    )
    assert service["spec"]["sessionAffinity"] == "ClientIP"


def test_subjects_are_added_and_those_there_are_kept(desk: Desk) -> None:
    robot = {"kind": "ServiceAccount", "name": "robot", "namespace": NS}
    body = only(desk, f"set subject rolebinding readers --user=u,v --group=g --serviceaccount={NS}:robot,{NS}:extra")
    rbac = "rbac.authorization.k8s.io"
    assert body["subjects"] == [
        robot,
        {"kind": "User", "apiGroup": rbac, "name": "u"},
        {"kind": "User", "apiGroup": rbac, "name": "v"},
        {"kind": "Group", "apiGroup": rbac, "name": "g"},
        {"kind": "ServiceAccount", "name": "extra", "namespace": NS},
    ]
    assert writes(desk, f"set subject rolebinding readers --serviceaccount={NS}:robot") == ()
    assert code(desk, "set subject role reader --user=u") == "not_applicable"
    assert code(desk, "set subject rolebinding readers") == "missing_argument"
    assert code(desk, "set subject rolebinding readers --serviceaccount=robot") == "bad_value"


def variables(desk: Desk, line: str) -> dict[str, Any]:
    entries = only(desk, line)["spec"]["template"]["spec"]["containers"][0]["env"]
    return {e["name"]: e.get("value") or e.get("valueFrom") for e in entries if "$patch" not in e}


def test_variables_from_a_configmap_or_secret(desk: Desk) -> None:
    found = variables(desk, "set env deploy/api --from=cm/conf")
    assert list(found) == ["APP_PROPERTIES", "LEVEL", "METADATA", "UID"]
    assert found["APP_PROPERTIES"] == {"configMapKeyRef": {"name": "conf", "key": "app.properties"}}
    found = variables(desk, "set env deploy/api --from=secret/creds --prefix=s_ --keys=pass-word X=1")
    assert found == {"X": "1", "s_PASS_WORD": {"secretKeyRef": {"name": "creds", "key": "pass-word"}}}
    assert variables(desk, "set env deploy/api --from=cm/conf --keys=level LEVEL=mine") == {"LEVEL": "mine"}
    assert code(desk, "set env deploy/api --from=deploy/web") == "bad_value"
    assert code(desk, "set env deploy/api --from=cm/nope") == "not_found"
    assert code(desk, "set env deploy/api --from=cm/conf --keys=nope") == "not_found"
    assert code(desk, "set env deploy/api --prefix=X_") == "missing_argument"


def test_objects_without_the_container_are_passed_over_unless_all_are(desk: Desk) -> None:
    assert [w.target.name for w in writes(desk, "set env deploy --all X=1 -c side")] == ["web"]
    assert code(desk, "set env deploy/api X=1 -c side") == "no_such_container"
    assert code(desk, "set resources deploy --all --limits=cpu=1 -c side") == "no_such_container"


def test_a_record_for_a_later_apply(desk: Desk) -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}, data: {a: b}}"
    note = "kubectl.kubernetes.io/last-applied-configuration"
    for line, name in (("create --save-config -f -", "fresh"), ("replace --save-config -f -", "conf")):
        body = only(desk, line, manifest.replace("NAME", name))
        assert json.loads(body["metadata"]["annotations"][note])["data"] == {"a": "b"}
        plain = only(desk, line.replace("--save-config ", ""), manifest.replace("NAME", name))
        assert note not in (plain["metadata"].get("annotations") or {})
    assert code(desk, "create cm fresh --save-config") == "forbidden_flag"


def test_rules_in_the_order_of_their_groups_and_rules_of_others(desk: Desk) -> None:
    body = only(desk, "create role fresh --verb=get --resource=deployments.apps,pods,statefulsets.apps")
    assert [(r["apiGroups"], r["resources"]) for r in body["rules"]] == [
        ([""], ["pods"]),
        (["apps"], ["deployments", "statefulsets"]),
    ]
    body = only(desk, "create clusterrole fresh --aggregation-rule=a=b,c=d")
    assert body["aggregationRule"] == {"clusterRoleSelectors": [{"matchLabels": {"a": "b", "c": "d"}}]}
    assert code(desk, "create clusterrole fresh --aggregation-rule=a=b --verb=get") == "contradictory_flags"


def test_autoscalers_are_for_what_can_be_scaled(desk: Desk) -> None:
    assert code(desk, "autoscale ds agent --max=3") == "not_applicable"
    metrics = only(desk, "autoscale deploy web --max=3 --cpu=70 --memory=64")["spec"]["metrics"]
    assert [m["resource"]["target"]["averageValue"] for m in metrics] == ["70m", "64Mi"]
    assert "minReplicas" not in only(desk, "autoscale deploy web --min=0 --max=3")["spec"]
    assert only(desk, "autoscale deploy web --min=2 --max=3")["spec"]["minReplicas"] == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("scale deploy/web --replica=2", "write --replicas; "),
        ("set imge deploy/web main=a", "write `kubectl set image`; "),
        ("rollout restrat deploy/web", "write `kubectl rollout restart`; "),
        ("scale deploy/webb --replicas=2", "there are: web, api"),
    ],
)
def test_a_slip_of_the_pen_is_told_what_was_meant(desk: Desk, line: str, words: str) -> None:
    with pytest.raises(CommandRefused) as refused:
        writes(desk, line)
    assert words in refused.value.hint


def test_flags_of_kubectl_that_are_declined_say_what_to_do(desk: Desk) -> None:
    for line in (
        "drain shop-n1 --disable-eviction",
        "replace -f - --force",
        "replace -f - --grace-period=0",
        "apply -f - --force",
        "apply -f - --cascade=orphan",
        "apply -f - --subresource=status",
        "create -f - --selector=a=b",
    ):
        with pytest.raises(CommandRefused) as refused:
            writes(desk, line, "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}}")
        assert refused.value.code == "forbidden_flag", line
        assert refused.value.hint
