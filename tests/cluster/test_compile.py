"""Compiling beside the recordings: expansion, refusals that need the cluster, reads, and what really happens then."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl import compile_command
from stratus.errors import CommandRefused, Invalid
from stratus.kit.clock import VirtualClock
from stratus.model.actions import ApiWrite, CompiledCommand
from stratus.model.refs import ObjectRef
from stratus.sim.api import ApiServer
from stratus.sim.store import Store
from stratus.sim.transport import in_process_api_client

NS = "shop"


def workload(name: str, *, kind: str = "Deployment", **labels: str) -> dict[str, Any]:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "initContainers": [{"name": "prepare", "image": "busybox:1.36"}],
                    "containers": [
                        {"name": "main", "image": "app:1", "env": variables},
                        {"name": "side", "image": "side:1", "ports": [{"containerPort": 80}]},
                    ],
                },
            },
        },
    }  # fmt: skip


class Lab:
    """An embedded API server, commands run against it."""

    def __init__(self) -> None:
        self.clock = VirtualClock(1_700_000_000.0)
        rng = random.Random(3)
        self.cluster = KubeCluster(in_process_api_client(ApiServer(Store(self.clock, rng), self.clock, rng=rng)))
        for space in (NS, "other"):
            self.post("v1", "Namespace", {"metadata": {"name": space}}, "")
        for obj in (workload("cart", tier="back"), workload("web", tier="front"), workload("db", kind="StatefulSet")):
            self.post("apps/v1", obj["kind"], obj, NS)
        self.post("apps/v1", "Deployment", workload("cart", tier="back"), "other")
        self.post("v1", "ConfigMap", {"metadata": {"name": "conf"}, "data": {"uid": "u", "metadata": "m"}}, NS)
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
        self.post("v1", "Service", service, NS)
        self.post("v1", "Node", {"metadata": {"name": "n1"}}, "")

    def post(self, api_version: str, kind: str, body: dict[str, Any], namespace: str) -> None:
        resource = self.cluster.reader.resource(f"{api_version}/{kind}")
        ref = ObjectRef(api_version=api_version, kind=kind, name=body["metadata"]["name"], namespace=namespace)
        body = {"apiVersion": api_version, "kind": kind, **body}
        self.cluster.writer.write(
            ApiWrite(method="POST", target=ref, plural=resource.plural, namespaced=resource.namespaced, body=body)
        )

    def compile(self, line: Any, manifest: str = "") -> CompiledCommand:
        return compile_command(line, namespace=NS, reader=self.cluster.reader, manifest=manifest, clock=self.clock)

    def run(self, line: Any, manifest: str = "") -> CompiledCommand:
        command = self.compile(line, manifest)
        for write in command.writes:
            self.cluster.rehearser.dry_run(write)
            self.cluster.writer.write(write)
        return command

    def get(self, word: str, name: str, namespace: str = NS) -> Any:
        resource = self.cluster.reader.resource(word)
        space = namespace if resource.namespaced else ""
        return self.cluster.reader.get(
            ObjectRef(api_version=resource.api_version, kind=resource.kind, name=name, namespace=space)
        )

    def refused(self, line: Any, manifest: str = "") -> CommandRefused:
        with pytest.raises(CommandRefused) as found:
            self.compile(line, manifest)
        assert found.value.code
        return found.value


@pytest.fixture
def lab() -> Lab:
    return Lab()


def container(obj: Any, name: str = "main") -> Any:
    spec = obj["spec"]["template"]["spec"]
    return next(c for c in [*spec["containers"], *spec["initContainers"]] if c["name"] == name)


def test_changes_do_what_they_say(lab: Lab) -> None:
    lab.run("kubectl scale deploy/cart deploy/web --replicas=5")
    lab.run("set image deploy/cart main=app:2 prepare=busybox:1.37")
    lab.run("set env deploy/cart -c main A- B=22 C=3")
    lab.run("set resources deploy/cart -c=main --limits=cpu=200m,memory=64Mi --requests=cpu=50m")
    lab.run("set serviceaccount deploy cart robot")
    cart = lab.get("deploy", "cart")
    assert cart["spec"]["replicas"] == lab.get("deploy", "web")["spec"]["replicas"] == 5
    assert container(cart)["image"] == "app:2"
    assert container(cart, "prepare")["image"] == "busybox:1.37"
    assert container(cart)["env"] == [{"name": "B", "value": "22"}, {"name": "C", "value": "3"}]
    assert "env" not in container(cart, "side")
    assert container(cart)["resources"] == {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "50m"}}
    assert cart["spec"]["template"]["spec"]["serviceAccountName"] == "robot"
    lab.run("set selector svc web app=web,version=2")
    assert lab.get("svc", "web")["spec"]["selector"] == {"app": "web", "version": "2"}


def test_selectors_and_all_become_one_write_for_each_object(lab: Lab) -> None:
    chosen = lab.compile("scale deploy -l tier=back --replicas=0")
    assert [w.target.name for w in chosen.writes] == ["cart"]
    everything = lab.compile("scale deploy,sts --all --replicas=0")
    assert [(w.plural, w.target.name) for w in everything.writes] == [
        ("deployments", "cart"), ("deployments", "web"), ("statefulsets", "db"),
    ]  # fmt: skip
    assert {w.target.namespace for w in everything.writes} == {NS}, "the other namespace stays out"
    wide = lab.compile("label deploy --all -A x=y")
    assert [w.target.namespace for w in wide.writes] == ["other", NS, NS]
    assert lab.compile("delete cm -l nothing=here").writes == ()


def test_the_same_again_is_nothing_to_do(lab: Lab) -> None:
    for line in (
        "set image deploy/cart main=app:2",
        "set env deploy/cart X=1",
        "set selector svc/web app=z",
        "set sa deploy/cart r",
        "label deploy cart a=b",
        "annotate deploy cart a=b",
        "taint node n1 k=v:NoSchedule --overwrite",
        "cordon n1",
    ):
        assert lab.run(line).mutating
        assert not lab.run(line).mutating, line


def test_labels_and_annotations(lab: Lab) -> None:
    assert lab.refused("label deploy cart tier=other").code == "would_overwrite"
    lab.run("label deploy cart tier=other new=1 --overwrite")
    lab.run("label deploy cart new-")
    lab.run(["annotate", "deploy", "cart", "note=a; b | c $(d) # e"])
    meta = lab.get("deploy", "cart")["metadata"]
    assert meta["labels"] == {"tier": "other"}
    assert meta["annotations"]["note"] == "a; b | c $(d) # e"
    assert not lab.compile("label deploy cart nothere-").mutating


def test_a_data_key_named_like_metadata_is_only_data(lab: Lab) -> None:
    lab.run("""patch cm conf --type=merge -p '{"data": {"uid": null, "metadata": "changed"}}'""")
    assert lab.get("cm", "conf")["data"] == {"metadata": "changed"}


def test_patches_of_all_kinds(lab: Lab) -> None:
    lab.run("""patch deploy cart --type=json -p '[{"op": "replace", "path": "/spec/replicas", "value": 7}]'""")
    side = '{"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:2"}]}}}}'
    lab.run(f"patch deploy cart -p '{side}'")
    lab.run('patch deploy cart --subresource=scale --type=merge -p \'{"spec": {"replicas": 3}}\'')
    cart = lab.get("deploy", "cart")
    assert cart["spec"]["replicas"] == 3
    assert container(cart, "side")["image"] == "s:2"
    assert container(cart)["image"] == "app:1"


def test_restart_uses_the_given_clock(lab: Lab) -> None:
    lab.run("rollout restart deploy/cart sts/db")
    stamps = lab.get("deploy", "cart")["spec"]["template"]["metadata"]["annotations"]
    assert stamps == {"kubectl.kubernetes.io/restartedAt": "2023-11-14T22:13:20Z"}


def test_pause_and_resume(lab: Lab) -> None:
    lab.run("rollout pause deploy/cart")
    assert lab.get("deploy", "cart")["spec"]["paused"] is True
    assert lab.refused("rollout pause deploy/cart").code == "precondition"
    assert lab.refused("rollout restart deploy/cart").code == "precondition"
    lab.run("rollout resume deploy/cart")
    assert not lab.get("deploy", "cart")["spec"].get("paused")


APPLIED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: fresh}
data: {a: "1", b: "2", when: 2024-01-02, octal: "012", yes: "no"}
"""


def test_apply_creates_changes_removes_and_keeps_what_others_added(lab: Lab) -> None:
    assert [w.method for w in lab.run("apply -f -", APPLIED).writes] == ["POST"]
    assert lab.get("cm", "fresh")["data"]["when"] == "2024-01-02", "YAML dates are text, as for kubectl"
    lab.run("""patch cm fresh --type=merge -p '{"data": {"theirs": "x"}}'""")
    changed = APPLIED.replace('b: "2", ', "").replace('a: "1"', 'a: "9"')
    assert [w.method for w in lab.run("apply -f -", changed).writes] == ["PATCH"]
    data = lab.get("cm", "fresh")["data"]
    assert (data["a"], data["theirs"], "b" in data) == ("9", "x", False)
    assert not lab.run("apply -f -", changed).mutating


def test_several_documents_and_lists_become_several_writes(lab: Lab) -> None:
    both = APPLIED + "---\n" + APPLIED.replace("fresh", "second") + "---\n"
    assert [w.target.name for w in lab.compile("apply -f -", both).writes] == ["fresh", "second"]
    assert [w.target.name for w in lab.compile("create -f -", both).writes] == ["fresh", "second"]
    lab.run("create -f -", both)
    assert [w.method for w in lab.run("delete -f -", both).writes] == ["DELETE", "DELETE"]
    assert lab.get("cm", "second") is None


def test_server_side_apply_keeps_the_manager_kubectl_would_use(lab: Lab) -> None:
    write = lab.run("apply --server-side --force-conflicts -f -", APPLIED).writes[0]
    assert (write.field_manager, write.force, write.patch_type) == ("kubectl", True, "application/apply-patch+yaml")
    assert lab.get("cm", "fresh")["data"]["a"] == "1"


def test_replace_is_bound_to_the_version_that_was_read(lab: Lab) -> None:
    version = lab.get("cm", "conf")["metadata"]["resourceVersion"]
    write = lab.compile("replace -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {}").writes[0]
    assert write.expect_version == version


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ("", "no_manifest"),
        ("{", "bad_manifest"),
        ("- 1", "bad_manifest"),
        ("a: b", "bad_manifest"),
        ("apiVersion: v1\nkind: ConfigMap", "bad_manifest"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "bad_manifest"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 3}", "bad_manifest"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, name: b}", "bad_manifest"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}", "generate_name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}", "namespace_mismatch"),
        ("apiVersion: v1\nkind: Gizmo\nmetadata: {name: a}", "unknown_kind"),
        ("apiVersion: nope/v1\nkind: ConfigMap\nmetadata: {name: a}", "unknown_kind"),
        (APPLIED + "---" + APPLIED, "bad_manifest"),
        ("!!python/object/apply:os.system ['true']", "bad_manifest"),
    ],
)
def test_manifests_that_are_refused(lab: Lab, manifest: str, code: str) -> None:
    for verb in ("apply", "create", "replace", "delete"):
        assert lab.refused(f"{verb} -f -", manifest).code == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("scale deploy/nope --replicas=1", "not_found"),
        ("scale deploy/cart --replicas=many", "bad_value"),
        ("scale gizmo/x --replicas=1", "unknown_kind"),
        ("scale deploy --replicas=1", "no_object"),
        ("scale --replicas=1", "no_object"),
        ("scale deploy/cart web --replicas=1", "ambiguous_objects"),
        ("scale deploy cart -l a=b --replicas=1", "ambiguous_objects"),
        ("scale deploy --all -l a=b --replicas=1", "ambiguous_objects"),
        ("scale deploy cart cart --replicas=1", "ambiguous_objects"),
        ("scale deploy -l '' --replicas=1", "bad_value"),
        ("scale svc/web --replicas=1", "not_applicable"),
        ("set image deploy/cart nope=i", "no_such_container"),
        ("set image deploy/cart", "missing_argument"),
        ("set image svc/web a=b", "not_applicable"),
        ("set env deploy/cart A=1 A=2", "bad_value"),
        ("set env deploy/cart A=1 A-", "bad_value"),
        ("set env deploy/cart", "missing_argument"),
        ("set env deploy/cart -c nope A=1", "no_such_container"),
        ("set resources deploy/cart --limits=cpu=lots", "bad_value"),
        ("set selector svc/web", "bad_value"),
        ("patch deploy cart -p '[]'", "bad_patch"),
        ("patch deploy cart --type=json -p '{}'", "bad_patch"),
        ("""patch deploy cart --type=json -p '[{"op": "destroy", "path": "/spec"}]'""", "bad_patch"),
        ("""patch deploy cart -p '{"metadata": {"name": "other"}}'""", "bad_patch"),
        ("patch deploy cart", "missing_argument"),
        ("label deploy cart", "missing_argument"),
        ("label deploy cart a=b a-", "bad_value"),
        ("label deploy cart 'a=b c'", "bad_value"),
        ("annotate deploy cart 'bad key=1'", "bad_value"),
        ("taint node n1 k=v:Sometimes", "bad_value"),
        ("taint node n1 k-", "not_found"),
        ("taint deploy cart k=v:NoSchedule", "not_applicable"),
        ("cordon", "no_object"),
        ("cordon deploy/cart", "not_applicable"),
        ("delete deploy", "no_object"),
        ("delete deploy cart nope", "not_found"),
        ("delete deploy cart --cascade=perhaps", "bad_value"),
        ("delete pod x --force --grace-period=5", "bad_value"),
        ("rollout undo svc/web", "not_applicable"),
        ("rollout undo deploy/cart", "not_found"),
        ("rollout pause sts/db", "not_applicable"),
        ("create cm conf --from-literal=a=b", "already_exists"),
        ("create cm", "missing_argument"),
        ("create cm a b", "missing_argument"),
        ("create cm x -- sh", "bad_value"),
        ("create deployment x", "missing_argument"),
        ("create job x --from=deploy/cart", "bad_value"),
        ("create service clusterip x", "missing_argument"),
        ("create role x --verb=get --resource=gizmos", "unknown_kind"),
        ("create pdb x --selector=a=b", "missing_argument"),
        ("expose deploy/cart --port=http", "bad_value"),
        ("expose deploy/web", "already_exists"),
        ("autoscale deploy/cart --min=3 --max=2", "bad_value"),
        ("autoscale deploy/cart", "bad_value"),
        ("apply -f manifest.yaml", "file_not_allowed"),
        ("apply -f https://example.com/x.yaml", "file_not_allowed"),
        ("apply", "no_manifest"),
        ("get gizmos", "unknown_kind"),
        ("explain", "missing_argument"),
        ("auth can-i get", "missing_argument"),
    ],
)  # fmt: skip
def test_refusals_that_need_the_cluster(lab: Lab, line: str, code: str) -> None:
    refusal = lab.refused(line)
    assert refusal.code == code
    assert refusal.hint
    assert "\n" not in str(refusal)


def test_a_manifest_that_no_flag_reads_is_told(lab: Lab) -> None:
    assert lab.refused("scale deploy/cart --replicas=1", APPLIED).code == "manifest_not_used"


def test_one_object_that_fails_refuses_the_whole_command(lab: Lab) -> None:
    lab.refused("set image deploy/cart deploy/nope main=app:9")
    assert container(lab.get("deploy", "cart"))["image"] == "app:1"


def test_writes_never_name_kubectl_as_their_manager_except_where_ownership_matters(lab: Lab) -> None:
    assert lab.compile("scale deploy/cart --replicas=1").writes[0].field_manager == "stratus"
    assert lab.compile("set image deploy/cart main=x --field-manager=me").writes[0].field_manager == "me"


def test_drain_evicts_only_what_comes_back(lab: Lab) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "1", "controller": True}
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    lab.post("v1", "ServiceAccount", {"metadata": {"name": "default"}}, NS)
    lab.post("v1", "Pod", {"metadata": {"name": "owned", "ownerReferences": [owner]}, "spec": spec}, NS)
    command = lab.compile("drain n1 --grace-period=5")
    assert [(w.method, w.path) for w in command.writes] == [
        ("PATCH", "/api/v1/nodes/n1"),
        ("POST", f"/api/v1/namespaces/{NS}/pods/owned/eviction"),
    ]
    assert command.writes[1].body["deleteOptions"] == {"gracePeriodSeconds": 5}
    lab.post("v1", "Pod", {"metadata": {"name": "alone"}, "spec": spec}, NS)
    assert lab.refused("drain n1 --force").code == "drain_blocked"


@pytest.mark.parametrize(
    ("line", "verb", "targets", "options"),
    [
        ("get pods", "get", [("Pod", "")], {}),
        ("get deploy/cart svc/web -o yaml", "get", [("Deployment", "cart"), ("Service", "web")], {"output": "yaml"}),
        ("get deploy,svc -l a=b", "get", [("Deployment", ""), ("Service", "")], {"selector": "a=b"}),
        ("describe node n1", "describe", [("Node", "n1")], {}),
        ("logs cart-1 -c main --tail=20 -p", "logs", [("Pod", "cart-1")],
         {"container": "main", "tail": "20", "previous": "true"}),
        ("logs deploy/cart main", "logs", [("Deployment", "cart")], {"words": "main"}),
        ("logs -l app=cart", "logs", [("Pod", "")], {"selector": "app=cart"}),
        ("top pods --containers", "top", [("Pod", "")], {"containers": "true"}),
        ("top node n1", "top", [("Node", "n1")], {}),
        ("events --for deploy/cart", "events", [], {"for": "deploy/cart"}),
        ("rollout status deploy/cart --timeout=5s", "rollout-status", [("Deployment", "cart")], {"timeout": "5s"}),
        ("rollout history sts/db", "rollout-history", [("StatefulSet", "db")], {}),
        ("auth can-i delete pods", "can-i", [], {"words": "delete pods"}),
        ("explain pods.spec", "explain", [], {"words": "pods.spec"}),
        ("set env deploy/cart --list", "get", [("Deployment", "cart")], {"list": "true"}),
        ("label deploy cart --list", "get", [("Deployment", "cart")], {"list": "true"}),
    ],
)  # fmt: skip
def test_reads(lab: Lab, line: str, verb: str, targets: list[tuple[str, str]], options: dict[str, str]) -> None:
    command = lab.compile(line)
    assert not command.mutating
    (read,) = command.reads
    assert read.verb == verb
    assert [(t.kind, t.name) for t in read.targets] == targets
    assert read.options == options
    assert all(t.namespace == (NS if t.kind != "Node" else "") for t in read.targets)


def test_diff_reads_a_manifest(lab: Lab) -> None:
    (read,) = lab.compile("diff -f -", APPLIED).reads
    assert (read.verb, [t.name for t in read.targets]) == ("diff", ["fresh"])


def test_compiling_sends_nothing(lab: Lab) -> None:
    before = {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in lab.cluster.reader.list("deploy")}
    for line in ("scale deploy --all --replicas=0", "delete deploy --all", "rollout restart deploy"):
        assert lab.compile(line).mutating
    after = {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in lab.cluster.reader.list("deploy")}
    assert after == before


ESCAPES = ["..", "../../other/configmaps/conf", "a/b", "%2e%2e", "a?dryRun=All", "a#b", "a b", "a\\b"]


@pytest.mark.parametrize("name", ESCAPES)
def test_names_cannot_lead_out_of_their_namespace(lab: Lab, name: str) -> None:
    for words in (["delete", "cm", name], ["get", "cm", name], ["delete", "cm", "conf", "-n", name]):
        assert lab.refused(words).code in ("bad_value", "ambiguous_objects")
    assert lab.refused(["delete", "cm", "--all", "-n", name]).code == "bad_value"
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '{name}'}}"
    for verb in ("apply", "delete", "replace", "create"):
        assert lab.refused(f"{verb} -f -", manifest).code == "bad_value"
    write = ApiWrite(
        method="DELETE",
        target=ObjectRef(api_version="v1", kind="ConfigMap", name=name, namespace=NS),
        plural="configmaps",
    )
    if " " not in name:
        with pytest.raises(Invalid):
            lab.cluster.writer.write(write)
        with pytest.raises(Invalid):
            lab.cluster.reader.list("cm", name)
