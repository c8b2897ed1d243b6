"""Reads run over the ports: what is shown, what is hidden, what is cut, and that nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from completeness import stored
from twins import _OBJECTS, EXCERPT

from stratus.cluster.base import ClusterPrinter
from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl.reads import ReadAnswer, run_command
from stratus.cluster.kubectl.reads.columns import tabbed, table
from stratus.cluster.kubectl.reads.jsonpath import render, values
from stratus.cluster.kubectl.reads.running import cut_to
from stratus.cluster.kubectl.reads.spans import age, seconds, short
from stratus.conformance.golden import Golden
from stratus.conformance.world import NOBODY, EmbeddedSide, EmbeddedWorld, users
from stratus.errors import CommandRefused, NotFound
from stratus.kit.clock import iso
from stratus.model.evidence import Usage
from stratus.model.refs import ObjectRef
from stratus.sim.transport import in_process_api_client

NS = "shop"


class Desk:
    """A still cluster with the twins' objects, and reads of it."""

    def __init__(self, world: EmbeddedWorld) -> None:
        self.world = world
        self.cluster = KubeCluster(in_process_api_client(world.api))
        self.usage: tuple[Usage, ...] | None = None
        world.namespace(NS, "empty")
        made: dict[str, str] = {}
        for document in yaml.safe_load_all(_OBJECTS.replace("NS", NS)):
            for owner in document["metadata"].get("ownerReferences") or ():
                owner["uid"] = made[owner["uid"]]
            meta = document["metadata"]
            resource = self.cluster.reader.resource(f"{document['apiVersion']}/{document['kind']}")
            answer = world.send("POST", resource.path(meta.get("namespace", "")), document, media="application/json")
            assert answer.status == 201, answer.text
            made[f"UID-{document['kind']}-{meta['name']}"] = answer.obj["metadata"]["uid"]

    def read(self, line: str, manifest: str = "", **more: Any) -> ReadAnswer:
        more.setdefault("namespace", NS)
        usage = None if self.usage is None else (lambda spaces: self.usage)
        return run_command(
            line, reader=self.cluster.reader, manifest=manifest, clock=self.world.cluster.clock, usage=usage, **more
        )

    def status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        resource = self.cluster.reader.resource(kind)
        path = resource.path(NS, name, "status")
        answer = self.world.send("PATCH", path, {"status": status}, media="application/merge-patch+json")
        assert answer.status == 200, answer.text


def running(name: str) -> dict[str, Any]:
    return {**waiting(name, ""), "ready": True, "state": {"running": {"startedAt": iso(0)}}}


def waiting(name: str, reason: str) -> dict[str, Any]:
    held = {"waiting": {"reason": reason, "message": f"why {reason}"}}
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 3, "state": held}


@pytest.fixture
def desk() -> Iterator[Desk]:
    world = EmbeddedSide(Golden(EXCERPT)).world()
    yield Desk(world)
    world.close()


def test_every_read_leaves_everything_as_it_is(desk: Desk) -> None:
    before = stored(desk.world)
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {level: debug}}"
    for line in (
        "get all", "get pods -o wide", "get deploy,svc -o yaml", "describe all", "describe node shop-n1", "logs solo",
        "events", "rollout status deploy/web", "rollout history sts/db", "auth can-i --list", "auth can-i get pods",
        "explain pods.spec", "api-resources", "version", "diff -f -",
    ):  # fmt: skip
        desk.read(line, manifest if "-f" in line else "", rehearser=desk.cluster.rehearser)
    after = stored(desk.world)
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before)


def test_what_would_change_something_is_refused(desk: Desk) -> None:
    for line in ("scale deploy/web --replicas=0", "delete pod solo", "label deploy web a=b"):
        with pytest.raises(CommandRefused) as refused:
            desk.read(line)
        assert refused.value.code == "not_a_read"


@pytest.mark.parametrize(
    ("line", "wants"),
    [
        ("get pods -w", "leave it out"),
        ("get pods --watch", "leave it out"),
        ("logs -f solo", "--tail"),
        ("logs solo --follow", "--tail"),
        ("events -w", "leave it out"),
        ("get pods -o go-template={{.}}", "jsonpath"),
        ("get pods -o jsonpath", "jsonpath='"),
        ("get pods -o jsonpath={.items[", "jsonpath"),
        ("describe -f x.yaml", "-f -"),
        ("exec solo -- ls", ""),
        ("port-forward solo 80", ""),
    ],
)
def test_watching_and_other_formats_are_refused_with_a_way_out(desk: Desk, line: str, wants: str) -> None:
    with pytest.raises(CommandRefused) as refused:
        desk.read(line)
    assert wants in refused.value.hint
    assert refused.value.hint


def test_tables_are_the_servers(desk: Desk) -> None:
    rows = desk.read("get deploy").text.splitlines()
    assert rows[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert [r.split()[0] for r in rows[1:]] == ["api", "web"]
    assert "CONTAINERS" in desk.read("get deploy -o wide").text
    both = desk.read("get deploy,svc").text
    assert "deployment.apps/web" in both
    assert "\n\n" in both
    assert desk.read("get deploy web api").text.count("\n") == 3
    assert desk.read("get pods -A").text.startswith("NAMESPACE")
    assert desk.read("get deploy --no-headers").text.startswith("api")
    assert "tier=front" in desk.read("get deploy --show-labels").text
    assert desk.read("get deploy -L tier").text.splitlines()[0].endswith("TIER")
    assert [r.split()[0] for r in desk.read("get deploy --sort-by=.spec.replicas").text.splitlines()[1:]] == [
        "api",
        "web",
    ]
    assert desk.read("get deploy -l tier=front --no-headers").text.split()[0] == "web"
    assert desk.read("get widgets").text.splitlines()[0].split() == ["NAME", "SIZE", "AGE"]


def test_a_reader_that_lays_nothing_out_is_enough(desk: Desk) -> None:
    reader = desk.cluster.reader

    class Plain:
        identity, resources, resource = reader.identity, reader.resources, reader.resource
        get, list, logs, can_i = reader.get, reader.list, reader.logs, reader.can_i

    assert not isinstance(Plain(), ClusterPrinter)
    shown = run_command("get deploy", namespace=NS, reader=Plain(), clock=desk.world.cluster.clock)
    assert [row.split()[0] for row in shown.text.splitlines()] == ["NAME", "api", "web"]
    gone = run_command("get deploy nope", namespace=NS, reader=Plain(), clock=desk.world.cluster.clock)
    assert (gone.exit_code, gone.complaint) == (1, 'Error from server (NotFound): deployments.apps "nope" not found')
    assert run_command("explain pods", namespace=NS, reader=Plain()).exit_code == 1
    assert run_command("auth can-i --list", namespace=NS, reader=Plain()).exit_code == 1
    assert run_command("auth can-i get pods", namespace=NS, reader=Plain()).text == "yes\n"


def test_other_forms(desk: Desk) -> None:
    assert desk.read("get deploy -o name").text == "deployment.apps/api\ndeployment.apps/web\n"
    assert desk.read("get deploy web -o jsonpath={.spec.replicas}").text == "2"
    found = desk.read("get deploy -o custom-columns=N:.metadata.name,I:.spec.template.spec.containers[*].image").text
    assert found.splitlines()[2].split() == ["web", "registry.local/demo/app:v2,registry.local/demo/side:v1"]
    document = yaml.safe_load(desk.read("get cm conf -o yaml").text)
    assert document["data"]["level"] == "info"
    assert "managedFields" not in document["metadata"]
    assert "managedFields" in desk.read("get cm conf -o yaml --show-managed-fields").text
    assert '"kind": "List"' in desk.read("get cm -o json").text
    scale = yaml.safe_load(desk.read("get deploy web --subresource=scale -o yaml").text)
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}}"
    assert desk.read("get -f - -o name", manifest).text == "configmap/conf\n"


def test_what_is_not_there_is_told_as_kubectl_does(desk: Desk) -> None:
    gone = desk.read("get cm conf nope")
    assert gone.exit_code == 1
    assert gone.text.count("\n") == 2
    assert gone.complaint == 'Error from server (NotFound): configmaps "nope" not found'
    assert desk.read("get cm nope --ignore-not-found") == ReadAnswer()
    none = desk.read("get hpa")
    assert (none.exit_code, none.complaint) == (0, "No resources found in shop namespace.")
    assert desk.read("describe cm nope").exit_code == 1
    assert desk.read("logs nope").complaint == 'Error from server (NotFound): pods "nope" not found'
    assert desk.read("rollout status deploy/nope").exit_code == 1
    assert "unable to find" in desk.read("rollout history deploy/web --revision=9").complaint


def test_secrets_are_never_shown(desk: Desk) -> None:
    for line in (
        "get secret creds -o yaml",
        "get secrets -o json",
        "get secret creds -o jsonpath={.data}",
        "get secret creds -o jsonpath-as-json={.data}",
        "get secret creds -o custom-columns=D:.data.user",
        "describe secret creds",
    ):
        answer = desk.read(line)
        assert answer.text, line
        assert not {"bWU=", "cHc=", "me", "pw"} & set(answer.text.replace('"', " ").split()), line
    assert "2 bytes" in desk.read("describe secret creds").text
    text = "{apiVersion: v1, kind: Secret, metadata: {name: creds}, data: {user: b3RoZXI=}}"
    assert "b3RoZXI=" not in desk.read("diff -f -", text, rehearser=desk.cluster.rehearser).text


def test_a_description_holds_what_matters(desk: Desk) -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": iso(0), "finishedAt": iso(9)}
    status = {**waiting("main", "CrashLoopBackOff"), "lastState": {"terminated": ended}}
    desk.status("pods", "solo", {"phase": "Pending", "containerStatuses": [status]})
    text = desk.read("describe pod solo").text
    for part in (
        "CrashLoopBackOff",
        "why CrashLoopBackOff",
        "OOMKilled",
        "137",
        "Restart Count:  3",
        "Events:",
        "registry.local/demo/app:v1",
    ):
        assert part in text, part
    text = desk.read("describe deploy web").text
    words = " ".join(text.split())
    for part in (
        "2 desired",
        "NewReplicaSet: web-2",
        "OldReplicaSets: web-1",
        "set to the key 'level' of config map 'conf'",
        "cpu: 200m",
        "9090/TCP",
    ):
        assert part in words, part
    assert "app=web,tier=front" in desk.read("describe svc web").text
    assert "dedicated=lab:NoExecute" in desk.read("describe node shop-n2").text
    assert "Size:" in desk.read("describe widget w1").text
    assert "Schedule:" in desk.read("describe cronjob tick").text
    assert desk.read("describe pod so").text.startswith("Name:")
    assert "one object" in desk.read("describe deploy").complaint


def test_logs(desk: Desk) -> None:
    lines = "".join(f"line {n}\n" for n in range(1000))
    asked: list[tuple[str, str, bool, int | None]] = []

    def backend(ns: str, pod: str, container: str, previous: bool, tail: int | None, since: Any, stamps: bool) -> str:
        asked.append((pod, container, previous, tail))
        return "".join(lines.splitlines(keepends=True)[-(tail or 0) :])

    desk.world.api.read_lines, desk.world.api.log_backend = None, backend
    desk.status("pods", "web-2-abc", {"containerStatuses": [running("main")]})
    assert desk.read("logs web-2-abc --tail=2").text == "line 998\nline 999\n"
    whole = desk.read("logs web-2-abc")
    assert whole.text.count("\n") == 500
    assert "cut: only the last 500 lines" in whole.complaint
    assert desk.read("logs deploy/web --tail=1 --prefix").text == "[pod/web-2-abc/main] line 999\n"
    assert desk.read("logs -l app=web").text.count("\n") == 10
    assert desk.read("logs web-2-abc --limit-bytes=6 --tail=1").text.rstrip() == "line 9"
    assert desk.read("logs web-2-abc -c nope").complaint.endswith("out of: main")
    assert desk.read("logs web-2-abc --since=soon").exit_code == 1
    assert desk.read("logs cm/conf").exit_code == 1
    assert {a[1] for a in asked} == {"main"}


def test_the_log_of_a_container_that_never_started_says_why(desk: Desk) -> None:
    desk.world.api.read_lines = None
    desk.world.api.log_backend = lambda *_: ""
    desk.status("pods", "solo", {"containerStatuses": [waiting("main", "ImagePullBackOff")]})
    answer = desk.read("logs solo")
    assert (answer.text, answer.exit_code) == ("", 1)
    assert "waiting to start: trying and failing to pull image" in answer.complaint
    assert "previous terminated" in desk.read("logs solo --previous").complaint


def test_top_tells_use_or_that_nobody_measures(desk: Desk) -> None:
    assert desk.read("top pods").exit_code == 1
    desk.usage = ()
    assert "Metrics API not available" in desk.read("top pods").complaint
    desk.usage = (
        Usage(namespace=NS, pod="solo", container="main", cpu_cores=0.25, memory_bytes=64 * 2**20),
        Usage(namespace=NS, pod="web-2-abc", container="main", cpu_cores=0.1, memory_bytes=10 * 2**20),
        Usage(namespace=NS, pod="web-2-abc", container="side", cpu_cores=0.3, memory_bytes=None),
    )
    answer = desk.read("top pods --sort-by=cpu --sum")
    rows = [row.split() for row in answer.text.splitlines()]
    assert rows[1:3] == [["web-2-abc", "400m", "10Mi"], ["solo", "250m", "64Mi"]]
    assert rows[-1] == ["650m", "74Mi"]
    assert answer.complaint == "not measured: agent-abc"
    assert desk.read("top pods --containers -l app=web").text.splitlines()[2].split() == [
        "web-2-abc",
        "side",
        "300m",
        "0Mi",
    ]
    assert desk.read("top node shop-n1").text.splitlines()[1].split()[:2] == ["shop-n1", "400m"]


def test_no_is_an_answer(desk: Desk) -> None:
    """Known mistake 13."""
    assert desk.read("auth can-i get pods").text == "yes\n"
    nobody = KubeCluster(in_process_api_client(desk.world.api, user=users()[NOBODY])).reader
    answer = run_command("auth can-i delete pods", namespace=NS, reader=nobody)
    assert (answer.text, answer.complaint, answer.exit_code) == ("no\n", "", 1)
    assert run_command("auth can-i delete pods -q", namespace=NS, reader=nobody) == ReadAnswer(exit_code=1)
    refused = run_command("get pods", namespace=NS, reader=nobody)
    assert refused.exit_code == 1
    assert refused.complaint.startswith("Error from server (Forbidden): pods is forbidden")
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {level: debug}}"
    for rehearser in (desk.cluster.rehearser, None):
        changed = desk.read("diff -f -", manifest, rehearser=rehearser)
        assert changed.exit_code == 1
        assert "-  level: info\n+  level: debug\n" in changed.text
        assert "last-applied" not in changed.text
        same = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {level: info}}"
        assert desk.read("diff -f -", same, rehearser=rehearser) == ReadAnswer()
    fresh = "{apiVersion: v1, kind: ConfigMap, metadata: {name: fresh}, data: {a: b}}"
    assert "+  a: b" in desk.read("diff -f -", fresh, rehearser=desk.cluster.rehearser).text


def test_rollouts_are_shown_as_they_are_now(desk: Desk) -> None:
    still = desk.read("rollout status deploy/web")
    assert still.exit_code == 1
    assert "nothing is waited for" in still.complaint
    assert desk.read("rollout status deploy/web --watch=false").exit_code == 0
    held = {"observedGeneration": 9, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    desk.status("deploy", "web", held)
    assert desk.read("rollout status deploy/web").text == 'deployment "web" successfully rolled out\n'
    desk.status("deploy", "web", {**held, "replicas": 3})
    assert "1 old replicas are pending termination" in desk.read("rollout status deploy/web").text
    desk.status("deploy", "web", {**held, "updatedReplicas": 1})
    assert "1 out of 2 new replicas have been updated" in desk.read("rollout status deploy/web").text
    desk.status("deploy", "web", {**held, "availableReplicas": 1})
    assert "1 of 2 updated replicas are available" in desk.read("rollout status deploy/web").text
    desk.status("deploy", "web", {**held, "conditions": [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]})  # fmt: skip
    assert "exceeded its progress deadline" in desk.read("rollout status deploy/web").complaint
    assert [r.split()[0] for r in desk.read("rollout history deploy/web").text.splitlines()] == [
        "deployment.apps/web", "REVISION", "1", "2"]  # fmt: skip
    assert "app:v1" in desk.read("rollout history deploy/web --revision=1").text
    assert "db:v1" in desk.read("rollout history sts/db --revision=1").text
    assert desk.read("rollout status cm/conf").exit_code == 1


def test_events(desk: Desk) -> None:
    now = desk.world.cluster.clock.now()
    for number, (kind, name, reason) in enumerate((("Pod", "solo", "BackOff"), ("Deployment", "web", "Scaled"))):
        event = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"e{number}", "namespace": NS}, "reason": reason,
            "type": "Warning" if number == 0 else "Normal", "message": f"message {number}", "count": number + 1,
            "firstTimestamp": iso(now - 300), "lastTimestamp": iso(now - 60 - number),
            "involvedObject": {"kind": kind, "name": name, "namespace": NS},
        }  # fmt: skip
        assert desk.world.send("POST", f"/api/v1/namespaces/{NS}/events", event, media="application/json").status == 201
    rows = desk.read("events").text.splitlines()
    assert [r.split()[-2:] for r in rows[1:]] == [["message", "1"], ["message", "0"]], "oldest first"
    assert "(x2 over 5m)" in rows[1]
    assert "Scaled" not in desk.read("events --for pod/solo").text
    assert "BackOff" not in desk.read("events --types=Normal").text
    assert "BackOff" in desk.read("describe pod solo").text
    assert desk.read("events", namespace="empty").complaint == "No events found in empty namespace."
    assert desk.read("events --for nope/x").exit_code == 1


def test_answers_are_bounded_and_say_so(desk: Desk) -> None:
    whole = desk.read("get all -o yaml")
    cut = desk.read("get all -o yaml", most=500)
    assert not whole.cut
    assert cut.cut
    assert len(cut.text) < 700
    assert whole.text.startswith(cut.text.rpartition("(cut:")[0])
    assert "lines are not shown" in cut.text
    assert cut_to("a\nb\nc\n", 4, from_end=True)[0].endswith("b\nc\n")
    assert cut_to("a\nb\n", 4) == ("a\nb\n", False)


def test_texts_are_redacted_and_harmless(desk: Desk) -> None:
    body = {"data": {"url": "db://admin:hunter2@db", "odd": "\x1b[31mred"}}
    path = f"/api/v1/namespaces/{NS}/configmaps/conf"
    assert desk.world.send("PATCH", path, body, media="application/merge-patch+json").status == 200
    for line in ("get cm conf -o yaml", "describe cm conf", "get cm conf -o jsonpath={.data}"):
        text = desk.read(line).text
        assert "hunter2" not in text
        assert "\x1b" not in text


def test_what_is_known_of_kinds_and_rights(desk: Desk) -> None:
    assert "widgets" in desk.read("api-resources --api-group=shop.example.com").text
    assert desk.read("api-resources --namespaced=false -o name").text.splitlines()[0] == "componentstatuses"
    assert desk.read("version").text.startswith("Server Version: v1.")
    assert "FIELD: containers <[]Container>" in desk.read("explain pods.spec.containers").text
    assert desk.read("explain pods.nope").exit_code == 1
    assert "[get list watch]" in desk.read("auth can-i --list").text or "[*]" in desk.read("auth can-i --list").text
    assert desk.read("auth can-i get /healthz").text == "yes\n"
    assert "not namespace scoped" in desk.read("auth can-i get nodes").complaint


def test_the_printer_of_a_server(desk: Desk) -> None:
    reader = desk.cluster.reader
    assert reader.table("v1/ConfigMap", NS, name="conf")["rows"][0]["cells"][0] == "conf"
    with pytest.raises(NotFound):
        reader.table("v1/ConfigMap", NS, name="nope")
    missing = ObjectRef(api_version="apps/v1", kind="Deployment", name="nope", namespace=NS)
    assert reader.part(missing, "scale") is None
    assert reader.openapi("nope/v1") == {}
    assert reader.rules(NS)["resourceRules"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".items[*].n", ["a", "b", "c"]),
        ("{.items[0].n}", ["a"]),
        ("items[-1].n", ["c"]),
        (".items[0:2].n", ["a", "b"]),
        (".items[?(@.v>1)].n", ["b", "c"]),
        ('.items[?(@.n=="b")].v', [2]),
        ("..v", [1, 2, 3]),
        (".labels.a\\.b/c", ["x"]),
        (".labels['a.b/c']", ["x"]),
        (".items[0]['n','v']", ["a", 1]),
        (".nope.x", []),
        (".items[9]", []),
        ('.items[?(@.v==1 || @.v==3)].n', ["a", "c"]),
    ],
)  # fmt: skip
def test_paths(path: str, found: list[Any]) -> None:
    data = {"items": [{"n": "a", "v": 1}, {"n": "b", "v": 2}, {"n": "c", "v": 3}], "labels": {"a.b/c": "x"}}
    assert values(path, data) == found


def test_templates() -> None:
    data = {"items": [{"n": "a", "v": [1, 2]}, {"n": "b"}]}
    assert render('{range .items[*]}{.n}{"\\t"}{.v[*]}{"\\n"}{end}', data) == "a\t1 2\nb\t\n"
    assert render("n={.items[0]}", data) == 'n={"n":"a","v":[1,2]}'
    for wrong in ("{.items", "{range .items}", "{end}", "{.a[}", "{a}"):
        with pytest.raises(CommandRefused):
            render(wrong, data)


def test_columns_and_ages() -> None:
    assert table(["A", "LONG"], [["xx", "y"]]) == "A    LONG\nxx   y\n"
    assert tabbed("a:\tb\nlong:\tc\nalone\nx:\ty") == "a:     b\nlong:  c\nalone\nx:  y"
    spans = {0: "0s", 119: "119s", 125: "2m5s", 600: "10m", 10800: "3h", 11000: "3h3m", 172800: "2d", 800000: "9d"}
    assert {s: short(s) for s in spans} == spans
    assert (seconds("1h30m"), seconds("90s"), seconds("5"), seconds("x")) == (5400.0, 90.0, None, None)
    assert age(None, 0) == "<unknown>"


def test_what_lets_traffic_through_is_told(desk: Desk) -> None:
    rules = [
        {"ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        {"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {}}]},
    ]
    for name, spec in (
        ("some", {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": rules}),
        ("none", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    ):
        body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}
        path = f"/apis/networking.k8s.io/v1/namespaces/{NS}/networkpolicies"
        assert desk.world.send("POST", path, body, media="application/json").status == 201
    text = desk.read("describe netpol some").text
    for part in ("app=web", "To Port: 80-90/TCP", "CIDR: 10.0.0.0/8", "NamespaceSelector: a=b", "Not affecting egress"):
        assert part in text, part
    text = desk.read("describe netpol none").text
    assert "all pods in this namespace" in text
    assert text.count("Selected pods are isolated") == 2


def test_bounds_of_a_namespace_are_told(desk: Desk) -> None:
    assert "No resource quota." in desk.read("describe ns shop").text
    for plural, body in (
        ("resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "9"}}}),
        ("limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}),
    ):
        path = f"/api/v1/namespaces/{NS}/{plural}"
        assert desk.world.send("POST", path, body, media="application/json").status == 201
    words = " ".join(desk.read("describe ns shop").text.split())
    assert "pods 0 9" in words
    assert "Container cpu - 2" in words
    assert "Container" in desk.read("describe limits l").text
