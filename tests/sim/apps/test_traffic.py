"""Traffic: flows add up, causes show where they are, and symptoms show where they are felt."""

from __future__ import annotations

import pytest

from stratus.model.evidence import CallEdge
from stratus.sim.apps.figures import Tick
from stratus.sim.cluster import EmbeddedCluster

NS = "hotel-reservation"


def last(cluster: EmbeddedCluster) -> Tick:
    tick = cluster.history.last(cluster.clock.now())
    assert tick is not None
    return tick


def edges(cluster: EmbeddedCluster, seconds: float = 60.0) -> dict[tuple[str, str, str], CallEdge]:
    now = cluster.clock.now()
    found = cluster.telemetry().traces.edges((NS,), now - seconds, now)  # type: ignore[union-attr]
    return {(e.caller, e.callee, e.operation): e for e in found}


def use(cluster: EmbeddedCluster, workload: str) -> tuple[float, float]:
    found = [u for u in last(cluster).use if u.pod.rsplit("-", 2)[0] == workload]
    assert len(found) == 1
    return found[0].cpu, found[0].throttled


def test_rates_follow_the_mix_down_the_call_graph(hotel: EmbeddedCluster) -> None:
    services = last(hotel).services
    entry = services[NS, "frontend"].rate
    assert entry == pytest.approx(60, rel=0.1)
    assert services[NS, "search"].rate == pytest.approx(0.6 * entry, rel=0.05)
    for name in ("geo", "rate"):
        assert services[NS, name].rate == pytest.approx(services[NS, "search"].rate, rel=1e-6)
    assert services[NS, "profile"].rate == pytest.approx(0.99 * entry, rel=0.05)
    assert services[NS, "recommendation"].rate == pytest.approx(0.39 * entry, rel=0.05)
    assert all(s.error_rate == 0 for s in services.values())


def test_databases_write_no_spans_and_only_show_as_their_callers_own_time(hotel: EmbeddedCluster) -> None:
    names = {name for _, name in last(hotel).services}
    assert not {n for n in names if n.startswith(("mongodb", "memcached"))}
    rate = edges(hotel)["search", "rate", "GetRates"]
    geo = edges(hotel)["search", "geo", "Nearby"]
    assert rate.self_time_p99 > 3 * geo.self_time_p99


def test_latency_adds_up_along_the_path(hotel: EmbeddedCluster) -> None:
    found = edges(hotel)
    search, rate = found["frontend", "search", "Nearby"], found["search", "rate", "GetRates"]
    entry = found["", "frontend", "search"]
    assert rate.latency_p99 < search.latency_p99 < entry.latency_p99 < 0.1
    assert all(e.self_time_p99 <= e.latency_p99 + 1e-9 for e in found.values())


def test_a_wrong_port_fails_the_edge_and_everyone_above_but_nobody_else(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-target-port")
    hotel.advance(60)
    found = edges(hotel, 30)
    broken = found["search", "geo", "Nearby"]
    assert broken.errors == broken.calls > 0
    assert "connect: connection refused" in broken.message
    above = found["frontend", "search", "Nearby"]
    assert above.errors == above.calls
    assert above.message == ""
    assert found["", "frontend", "recommend"].errors == 0
    assert last(hotel).services[NS, "frontend"].error_rate == pytest.approx(0.6, abs=0.02)
    assert (NS, "geo") not in last(hotel).services
    assert (NS, "rate") not in last(hotel).services


def test_a_name_that_does_not_resolve_says_so(hotel: EmbeddedCluster) -> None:
    hotel.inject("bad-env-address")
    hotel.advance(60)
    broken = edges(hotel, 20)["search", "rates", "GetRates"]
    assert "lookup rates on 10.96.0.10:53: no such host" in broken.message


def test_a_policy_makes_calls_wait_until_the_caller_gives_up(hotel: EmbeddedCluster) -> None:
    hotel.inject("network-policy-block")
    hotel.advance(60)
    broken = edges(hotel, 30)["frontend", "recommendation", "GetRecommendations"]
    assert broken.errors == broken.calls
    assert broken.latency_p99 == pytest.approx(3.0, rel=0.2)
    assert "i/o timeout" in broken.message


def test_a_bad_build_fails_by_itself_and_the_message_is_its_own(hotel: EmbeddedCluster) -> None:
    hotel.inject("bad-build-errors")
    hotel.advance(60)
    edge = edges(hotel, 30)["frontend", "recommendation", "GetRecommendations"]
    assert edge.errors / edge.calls == pytest.approx(0.45, abs=0.02)
    assert "index out of range" in edge.message
    assert last(hotel).services[NS, "recommendation"].error_rate == pytest.approx(0.45, abs=0.01)


def test_a_canary_among_good_replicas_fails_its_share(hotel: EmbeddedCluster) -> None:
    hotel.faulting.hands.patch("Deployment", NS, "recommendation", {"spec": {"replicas": 3, "paused": True}})
    hotel.advance(30)
    meta = {"name": "canary", "labels": {"io.kompose.service": "recommendation"}}
    canary = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    template = hotel.store.get("deployments.apps", NS, "recommendation")["spec"]["template"]["spec"]  # type: ignore[index]
    container = {**template["containers"][0], "image": "yinfangchen/hotelreservation:v1.5.0-rc1"}
    spec = {"containers": [container], "volumes": [v for v in template["volumes"] if v["name"] == "config"]}
    hotel.faulting.hands.send("POST", f"/api/v1/namespaces/{NS}/pods", {**canary, "spec": spec})
    hotel.advance(30)
    assert last(hotel).services[NS, "recommendation"].error_rate == pytest.approx(0.45 / 4, abs=0.01)


def test_cpu_that_does_not_suffice_piles_up_work_and_is_throttled(hotel: EmbeddedCluster) -> None:
    before = edges(hotel)["search", "rate", "GetRates"]
    assert use(hotel, "rate")[1] < 0.05
    hotel.inject("cpu-limit-cut")
    hotel.advance(90)
    after = edges(hotel, 30)["search", "rate", "GetRates"]
    cpu, throttled = use(hotel, "rate")
    assert cpu == pytest.approx(0.03, rel=0.05)
    assert throttled > 0.9
    assert after.self_time_p99 > 50 * before.self_time_p99
    assert after.errors > 0
    assert "DeadlineExceeded" in after.message
    hotel.heal("cpu-limit-cut")
    hotel.advance(60)
    healed = edges(hotel, 20)["search", "rate", "GetRates"]
    assert healed.errors == 0
    assert healed.self_time_p99 < 2 * before.self_time_p99


def test_more_replicas_share_the_load(hotel: EmbeddedCluster) -> None:
    hotel.inject("cpu-limit-cut")
    hotel.advance(60)
    hotel.faulting.hands.patch("Deployment", NS, "rate", {"spec": {"replicas": 4}})
    hotel.advance(60)
    found = [u for u in last(hotel).use if u.pod.startswith("rate-")]
    assert len(found) == 4
    assert max(u.cpu for u in found) < 0.02
    assert edges(hotel, 20)["search", "rate", "GetRates"].errors == 0


def test_a_cache_that_is_gone_sends_its_load_to_the_database(hotel: EmbeddedCluster) -> None:
    before = use(hotel, "mongodb-profile")[0]
    hotel.inject("any-scaled-to-zero", workload="memcached-profile")
    hotel.advance(40)
    assert use(hotel, "mongodb-profile")[0] > 8 * before
    assert last(hotel).services[NS, "profile"].error_rate == 0
    text = hotel.telemetry().logs.tail(NS, service="profile", limit=50)  # type: ignore[union-attr]
    assert any("memcache: no servers configured or available" in line.text for line in text)
    hotel.heal("any-scaled-to-zero")
    hotel.advance(15)
    warming = use(hotel, "mongodb-profile")[0]
    hotel.advance(120)
    assert use(hotel, "mongodb-profile")[0] == pytest.approx(before, rel=0.2)
    assert warming > 1.5 * before


def test_chaos_on_the_network_is_an_object_and_ends_with_it(hotel: EmbeddedCluster) -> None:
    hotel.inject("network-delay", delay="800ms")
    hotel.advance(30)
    slow = edges(hotel, 20)["frontend", "profile", "GetProfiles"]
    assert slow.latency_p99 > 0.8
    assert slow.latency_p99 > slow.self_time_p99 + 0.6
    chaos = "/apis/chaos-mesh.org/v1alpha1/namespaces/hotel-reservation/networkchaos/delay-profile"
    hotel.faulting.hands.send("DELETE", chaos)
    hotel.advance(30)
    assert edges(hotel, 20)["frontend", "profile", "GetProfiles"].latency_p99 < 0.1


def test_moderate_loss_is_delay_and_heavy_loss_is_errors(hotel: EmbeddedCluster) -> None:
    hotel.inject("network-loss", loss="20")
    hotel.advance(30)
    mild = edges(hotel, 20)["frontend", "reservation", "CheckAvailability"]
    hotel.heal("network-loss")
    hotel.inject("network-loss", loss="95")
    hotel.advance(30)
    heavy = edges(hotel, 20)["frontend", "reservation", "CheckAvailability"]
    assert mild.errors / mild.calls < 0.05
    assert mild.latency_p99 > 0.05
    assert heavy.errors / heavy.calls > 0.7


def test_a_program_of_another_kind_does_not_understand(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-binary")
    hotel.inject("any-wrong-target-port", service="profile", target_port=8083)
    hotel.advance(60)
    edge = edges(hotel, 20)["frontend", "profile", "GetProfiles"]
    assert "Unimplemented" in edge.message
    assert edge.errors == edge.calls


def test_noise_is_small_and_the_same_every_time(hotel: EmbeddedCluster) -> None:
    with hotel.fork() as twin:
        hotel.advance(300)
        twin.advance(300)
        mine, other = hotel.history.between(0, 1e12), twin.history.between(0, 1e12)
        assert list(mine) == list(other)
    rates = [t.services[NS, "frontend"].rate for t in mine[-60:]]
    assert len(set(rates)) > 50
    assert max(rates) < 1.3 * min(rates)
