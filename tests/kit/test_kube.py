"""Pure readings of raw objects."""

from __future__ import annotations

import pytest

from stratus.kit.kube import (
    addresses,
    containers_of,
    dangling,
    label_selects,
    moment,
    pod_ready,
    port_fits,
    quantity,
    ready_addresses,
    selects,
    target_of,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2.0), ("64Mi", 64 * 2**20), ("1e3", 1000.0), ("1G", 1e9), ("100k", 1e5), (3, 3.0)],
)
def test_quantities(text: object, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "5 Mi", None])
def test_what_is_no_quantity_is_unknown(text: object) -> None:
    assert quantity(text) is None


def test_malformed_times_are_unknown() -> None:
    assert moment("yesterday") == 0.0
    assert moment(None) == 0.0
    assert moment("1970-01-01T00:01:00Z") == 60.0


def test_an_empty_service_selector_matches_nothing() -> None:
    assert not selects({}, {"app": "web"})
    assert selects({"app": "web"}, {"app": "web", "x": "y"})
    assert not selects({"app": "web", "tier": "a"}, {"app": "web"})


def test_label_selectors() -> None:
    assert label_selects({}, {"a": "b"})
    assert not label_selects(None, {"a": "b"})
    within = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}
    assert label_selects(within, {"a": "c"})
    assert not label_selects(within, {"a": "d"})
    assert not label_selects({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {})
    assert label_selects({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {})
    assert not label_selects({"matchExpressions": [{"key": "a", "operator": "Guess"}]}, {"a": "b"})


@pytest.mark.parametrize(
    ("port", "target"),
    [
        ({"port": 80}, 80),
        ({"port": 80, "targetPort": 8080}, 8080),
        ({"port": 80, "targetPort": "8080"}, 8080),
        ({"port": 80, "targetPort": "http"}, "http"),
    ],
)
def test_target_ports(port: dict[str, object], target: int | str) -> None:
    assert target_of(port) == target


def test_ports_fit_what_is_declared_or_probed() -> None:
    spec = {
        "containers": [
            {
                "name": "a",
                "ports": [{"name": "http", "containerPort": 80}],
                "livenessProbe": {"tcpSocket": {"port": 81}},
            }
        ]
    }
    assert port_fits(spec, 80) is True
    assert port_fits(spec, 81) is True
    assert port_fits(spec, "http") is True
    assert port_fits(spec, 99) is False
    assert port_fits(spec, "grpc") is False
    assert port_fits({"containers": [{"name": "a"}]}, 99) is None


def test_ready_addresses_count_unknown_as_ready() -> None:
    slices = [
        {
            "endpoints": [
                {"addresses": ["1", "2"], "conditions": {"ready": True}},
                {"addresses": ["3"], "conditions": {}},
            ]
        },
        {"endpoints": [{"addresses": ["4"], "conditions": {"ready": False}}]},
    ]
    assert ready_addresses(slices) == 3


def test_a_terminating_pod_does_not_serve() -> None:
    pod = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert pod_ready(pod)
    pod["metadata"] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert not pod_ready(pod)


def test_containers_without_status_are_shown() -> None:
    (view,) = containers_of({"spec": {"containers": [{"name": "a"}]}})
    assert (view.name, view.waiting, view.restarts, view.running, view.ended) == ("a", "", 0, False, {})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("web:80", [("shop", "web", 80)]),
        ("http://web:80/path", [("shop", "web", 80)]),
        ("web.other.svc.cluster.local:80", [("other", "web", 80)]),
        ("a:1,b:2", [("shop", "a", 1), ("shop", "b", 2)]),
        ("redis://cache:6379/0", [("shop", "cache", 6379)]),
        ("postgres://u:p@db:5432/x", [("shop", "db", 5432)]),
        ("localhost:80", []),
        ("127.0.0.1:80", []),
        ("https://api.example.com:443/x", []),
        ("12:30", []),
        ("plain text", []),
    ],
)
def test_addresses_in_settings(value: str, found: list[tuple[str, str, int]]) -> None:
    assert addresses(value, "shop") == found


def test_dangling_addresses() -> None:
    spec = {
        "containers": [
            {"name": "a", "env": [{"name": "OK", "value": "web:80"}, {"name": "PORT", "value": "web:81"},
                                  {"name": "HOST", "value": "nobody:80"}, {"name": "FAR", "value": "x.away.svc:1"},
                                  {"name": "HEADLESS", "value": "db:1234"}]}
        ]
    }  # fmt: skip
    services = [
        {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}},
        {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}},
    ]
    assert [(e, what) for _, e, _, _, _, what in dangling(spec, "shop", services)] == [
        ("PORT", "port"),
        ("HOST", "service"),
    ]
