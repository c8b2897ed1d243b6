"""Health from objects and figures: unknown is None, zero pods never pass, hanging rollouts show."""

from __future__ import annotations

import copy

import pytest
from txn_fake import obj

from stratus.errors import ClusterUnreachable, Forbidden, TelemetryUnreachable
from stratus.kit.clock import iso
from stratus.model.alerts import Alert
from stratus.model.evidence import SeriesPoint, ServiceSeries
from stratus.model.health import SystemHealth
from stratus.settings import HealthSettings
from stratus.telemetry.base import Telemetry
from stratus.transaction.health import assess, patience, score, settled
from stratus.transaction.sampling import HealthProbe

SETTINGS = HealthSettings()
NOW = 1_767_600_000.0


def pod(name, app="web", *, ready=True, port=80, status=None, **meta):
    body = obj(
        "Pod", name, labels={"app": app}, spec={"containers": [{"name": "c", "ports": [{"containerPort": port}]}]}
    )
    body["metadata"] |= meta
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    container = {"name": "c", "restartCount": 0, "state": {"running": {}}, **(status or {})}
    body["status"] = {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}
    return body


def workload(name="web", *, kind="Deployment", replicas=2, conditions=(), **status):
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}},
    }
    return obj(kind, name, spec=spec, status={"conditions": list(conditions), **status})


def service(name="web", *, selector=None, ports=None):
    ports = ports or [{"name": "http", "port": 80, "targetPort": 80}]
    return obj("Service", name, spec={"selector": selector or {"app": name}, "ports": ports})


def slice_of(name="web", pods=(), *, port=80, ready=True):
    return obj(
        "EndpointSlice", f"{name}-x", labels={"kubernetes.io/service-name": name},
        ports=[{"name": "http", "port": port}],
        endpoints=[{"addresses": [f"10.0.0.{i}"], "conditions": {"ready": ready}, "targetRef": {"name": p}}
                   for i, p in enumerate(pods)],
    )  # fmt: skip


def look(points=None, **objects):
    found = assess(objects, points or {}, now=NOW, settings=SETTINGS)
    return {row.service: row for row in found}


def everything(**changes):
    base = {
        "Deployment": [workload()],
        "Pod": [pod("a"), pod("b")],
        "Service": [service()],
        "EndpointSlice": [slice_of(pods=("a", "b"))],
    }
    return look(**{**base, **changes})["web"]


def test_all_well():
    row = everything()
    assert (row.availability, row.ready, row.desired, row.endpoints, row.crashing) == (1.0, 2, 2, 2, 0)
    assert (row.error_rate, row.latency_p99, row.request_rate, row.source) == (None, None, None, "objects")
    assert row.score == pytest.approx(0.5)


def test_half_ready():
    row = everything(Pod=[pod("a"), pod("b", ready=False)], EndpointSlice=[slice_of(pods=("a",))])
    assert row.availability == 0.5
    assert row.score == pytest.approx(0.5 * 0.5 - 0.3 * 0.5)


def test_zero_wanted_is_not_available():
    row = everything(Deployment=[workload(replicas=0)], Pod=[], EndpointSlice=[])
    assert (row.availability, row.desired, row.endpoints) == (0.0, 0, 0)
    assert look(Deployment=[workload(replicas=0)])["web"].availability == 0.0


def test_no_pods_at_all_are_not_available():
    assert everything(Pod=[], EndpointSlice=[]).availability == 0.0


def test_selector_that_matches_nothing():
    row = everything(Service=[service(selector={"app": "nobody"})], EndpointSlice=[slice_of(pods=())])
    assert (row.ready, row.endpoints, row.availability) == (2, 0, 0.0)


def test_port_that_leads_nowhere():
    row = everything(EndpointSlice=[slice_of(pods=("a", "b"), port=8080)])
    assert (row.endpoints, row.availability) == (0, 0.0)
    silent = [copy.deepcopy(p) for p in (pod("a"), pod("b"))]
    for one in silent:
        del one["spec"]["containers"][0]["ports"]
    assert everything(Pod=silent, EndpointSlice=[slice_of(pods=("a", "b"), port=8080)]).availability == 1.0
    unresolved = slice_of(pods=("a", "b"))
    unresolved["ports"] = []
    assert everything(EndpointSlice=[unresolved]).availability == 0.0


def test_one_of_two_ports_leads_nowhere():
    ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
    item = slice_of(pods=("a", "b"))
    item["ports"].append({"name": "admin", "port": 9999})
    row = everything(Service=[service(ports=ports)], EndpointSlice=[item])
    assert (row.endpoints, row.availability) == (2, 0.5)


def test_endpoints_unknown():
    objects = {"Deployment": [workload()], "Pod": [pod("a"), pod("b")], "Service": [service()]}
    row = look(**objects)["web"]
    assert (row.endpoints, row.availability) == (None, 1.0)


def test_a_hanging_rollout_shows():
    row = everything(Pod=[pod("a"), pod("b"), pod("c", ready=False)])
    assert row.availability == pytest.approx(2 / 3)
    failing = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    assert everything(Deployment=[workload(conditions=failing)]).crashing == 1
    refused = [{"type": "ReplicaFailure", "status": "True"}]
    assert everything(Deployment=[workload(conditions=refused)]).crashing == 1


@pytest.mark.parametrize(
    ("status", "count"),
    [
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, 1),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, 1),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, 0),
        ({"state": {"terminated": {"exitCode": 1}}}, 1),
        ({"state": {"terminated": {"exitCode": 0}}}, 0),
        ({"lastState": {"terminated": {"exitCode": 1, "finishedAt": iso(NOW - 3)}}}, 1),
        ({"lastState": {"terminated": {"exitCode": 1, "finishedAt": iso(NOW - 300)}}}, 0),
    ],
)
def test_error_states(status, count):
    assert everything(Pod=[pod("a"), pod("b", status=status)]).crashing == count


@pytest.mark.parametrize(
    ("ran", "since", "count"), [(20, 15, 1), (20, 35, 0), (2, 15, 0), (9000, 40, 1), (9000, 50, 0)]
)
def test_what_runs_a_while_before_it_fails_is_not_well_at_once(ran, since, count):
    ended = {"exitCode": 1, "startedAt": iso(NOW - 60 - since - ran), "finishedAt": iso(NOW - 60 - since)}
    status = {"state": {"running": {"startedAt": iso(NOW - since)}}, "lastState": {"terminated": ended}}
    assert everything(Pod=[pod("a"), pod("b", status=status)]).crashing == count
    ended["exitCode"] = 0
    assert everything(Pod=[pod("a"), pod("b", status=status)]).crashing == 0


def test_unschedulable_counts():
    lost = pod("b", ready=False)
    lost["status"]["conditions"].append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"})
    assert everything(Pod=[pod("a"), lost]).crashing == 1


def test_pods_on_their_way_out_are_the_past():
    old = pod("old", status={"restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}})
    old["metadata"]["deletionTimestamp"] = iso(NOW)
    row = everything(Pod=[pod("a"), pod("b"), old])
    assert (row.availability, row.crashing, row.restarts) == (1.0, 0, 0)


def test_figures():
    key = ("shop", "web")
    row = look({key: SeriesPoint(at=NOW, rate=50, error_rate=0.1, latency_p99=1.0)},
               Deployment=[workload()], Pod=[pod("a"), pod("b")])["web"]  # fmt: skip
    assert (row.request_rate, row.error_rate, row.latency_p99, row.source) == (50, 0.1, 1.0, "telemetry")
    assert row.score == pytest.approx(SystemHealth(0.1, 1.0, 1.0).score())
    assert score(1.0, 0.1, 1.0, SETTINGS) == pytest.approx(SystemHealth(0.1, 1.0, 1.0).score())
    outside = look({("shop", "gateway"): SeriesPoint(at=NOW, rate=1)})["gateway"]
    assert (outside.availability, outside.score) == (None, None)


def test_several_kinds_and_names():
    daemon = obj(
        "DaemonSet", "agent", spec={"selector": {"matchExpressions": [{"key": "app", "operator": "In",
                                                                       "values": ["agent"]}]}},
        status={"desiredNumberScheduled": 3},
    )  # fmt: skip
    rows = look(
        Deployment=[workload("web"), workload("web-blue")],
        DaemonSet=[daemon],
        Pod=[pod("a"), pod("b"), pod("g", "agent")],
        Service=[service("front", selector={"app": "web"}), obj("Service", "external", spec={})],
        EndpointSlice=[slice_of("front", ("a", "b"))],
    )
    assert set(rows) == {"web", "web-blue", "agent", "front"}
    assert rows["front"].availability == 1.0
    assert rows["agent"].availability == pytest.approx(1 / 3)
    assert rows["web-blue"].availability == 0.0


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("NotIn", ["x"], {"app": "y"}, True),
        ("NotIn", ["y"], {"app": "y"}, False),
        ("Exists", [], {"app": "y"}, True),
        ("DoesNotExist", [], {"app": "y"}, False),
        ("Unheard", [], {"app": "y"}, False),
    ],
)
def test_selector_expressions(operator, values, labels, holds):
    body = workload("web", replicas=1)
    body["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    one = pod("a")
    one["metadata"]["labels"] = labels
    assert look(Deployment=[body], Pod=[one])["web"].ready == int(holds)


def converged(**status):
    body = workload()
    body["status"] = {"observedGeneration": 3, "updatedReplicas": 2, "replicas": 2, "readyReplicas": 2, **status}
    body["metadata"]["generation"] = 3
    return body


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, True),
        ({"observedGeneration": 2}, False),
        ({"updatedReplicas": 1}, False),
        ({"replicas": 3}, False),
        ({"readyReplicas": 1}, False),
    ],
)
def test_settled(status, expected):
    assert settled({"Deployment": [converged(**status)]}) is expected


def test_settled_daemons_and_manual_updates():
    daemon = obj("DaemonSet", "d", spec={}, status={"desiredNumberScheduled": 2, "updatedNumberScheduled": 1,
                                                    "numberReady": 2})  # fmt: skip
    assert not settled({"DaemonSet": [daemon]})
    daemon["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert settled({"DaemonSet": [daemon]})
    paused = converged(updatedReplicas=0)
    paused["spec"]["paused"] = True
    assert settled({"Deployment": [paused]})
    assert settled({})


def test_patience_is_the_longest_run_that_failed():
    ended = {"exitCode": 137, "startedAt": iso(NOW - 100), "finishedAt": iso(NOW - 40)}
    clean = {"exitCode": 0, "startedAt": iso(NOW - 900), "finishedAt": iso(NOW - 40)}
    gone = pod("gone", status={"lastState": {"terminated": {**ended, "startedAt": iso(NOW - 999)}}})
    gone["metadata"]["deletionTimestamp"] = iso(NOW)
    pods = [
        pod("a", status={"lastState": {"terminated": ended}}),
        pod("b", status={"state": {"terminated": clean}}),
        pod("c"),
        gone,
    ]
    assert patience({"Pod": pods}) == 60.0
    assert patience({}) == 0.0


class Source:
    """Metrics and alerts as a test says."""

    def __init__(self, series=(), alerts=(), error=None):
        self.series, self.alerts, self.error = series, alerts, error

    def service_series(self, namespaces, start, end, step):
        if self.error:
            raise self.error
        return self.series

    def firing(self, namespaces=()):
        if self.error:
            raise self.error
        return self.alerts


def probe(cluster, **telemetry):
    return HealthProbe(
        reader=cluster, telemetry=Telemetry(**telemetry), clock=cluster.clock, namespaces=("shop",), settings=SETTINGS
    )


def filled(cluster):
    for body in (workload(), service(), slice_of(pods=("a", "b")), pod("a"), pod("b")):
        cluster.put(body)
    return cluster


def series(at, **figures):
    points = (SeriesPoint(at=at - 15, rate=9.0), SeriesPoint(at=at, **figures), SeriesPoint(at=at + 1))
    return (ServiceSeries(namespace="shop", service="web", points=points),)


def test_probe_without_sources(cluster):
    vector = probe(filled(cluster)).sample()
    assert vector.missing == {}
    assert vector.alerts is None
    assert vector.service("shop", "web").source == "objects"
    assert probe(cluster).settled() is True
    assert probe(cluster).sample(("other",)).services == ()


def test_probe_with_sources(cluster):
    now = cluster.clock.now()
    alert = Alert(name="High", severity="critical", starts_at=900.0)
    quiet = Alert(name="Old", status="resolved")
    found = probe(
        filled(cluster),
        metrics=Source(series(now, rate=5.0, error_rate=0.5, latency_p99=2.0)),
        alerts=Source(alerts=(alert, quiet)),
    ).sample()
    row = found.service("shop", "web")
    assert (row.request_rate, row.error_rate, row.latency_p99, row.source) == (5.0, 0.5, 2.0, "telemetry")
    assert found.alerts == {alert.fingerprint: "critical"}
    assert found.alert_starts == {alert.fingerprint: 900.0}


def test_what_does_not_answer_is_missing_not_healthy(cluster):
    away = Source(error=TelemetryUnreachable("no route"))
    vector = probe(filled(cluster), metrics=away, alerts=away).sample()
    assert set(vector.missing) == {"metrics", "alerts"}
    assert vector.alerts is None
    cluster.list = lambda *a, **k: (_ for _ in ()).throw(ClusterUnreachable("down"))
    vector = probe(cluster).sample()
    assert "objects" in vector.missing
    assert probe(cluster).settled() is False


def test_one_forbidden_kind(cluster):
    original = cluster.list

    def guarded(kind, namespace=None, **more):
        if kind == "EndpointSlice":
            raise Forbidden("no")
        return original(kind, namespace, **more)

    filled(cluster)
    cluster.list = guarded
    vector = probe(cluster).sample()
    assert set(vector.missing) == {"endpoints"}
    assert vector.service("shop", "web").endpoints is None


def test_old_figures_are_no_figures(cluster):
    old = series(cluster.clock.now() - 300, rate=5.0, error_rate=0.0)
    vector = probe(filled(cluster), metrics=Source(old)).sample()
    assert "only old figures of shop/web" in vector.missing["metrics"]
    assert vector.service("shop", "web").error_rate is None
