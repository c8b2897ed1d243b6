"""Astronomy Shop: its topology, what every flag does, what breaks what, and where orders go."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stratus.sim.apps.loader import load_application
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.telemetry.served.traces import traces_of

from .building import edge, errors, procs, rate, tick

NS = "astronomy-shop"
GET = "oteldemo.ProductCatalogService/GetProduct"
#: Port of each service, and whom it asks.
TOPOLOGY: dict[str, tuple[int, set[str]]] = {
    "ad": (8080, set()),
    "cart": (8080, {"valkey-cart"}),
    "checkout": (8080, {"cart", "currency", "email", "kafka", "payment", "product-catalog", "shipping"}),
    "currency": (8080, set()),
    "email": (8080, set()),
    "frontend": (
        8080,
        {
            "ad", "cart", "checkout", "currency", "product-catalog", "product-reviews", "recommendation", "shipping",
        },
    ),
    "frontend-proxy": (8080, {"frontend", "image-provider"}),
    "image-provider": (8081, set()),
    "llm": (8000, set()),
    "payment": (8080, set()),
    "product-catalog": (8080, {"postgresql"}),
    "product-reviews": (3551, {"llm", "postgresql", "product-catalog"}),
    "quote": (8080, set()),
    "recommendation": (8080, {"product-catalog"}),
    "shipping": (8080, {"quote"}),
    "load-generator": (8089, {"frontend-proxy"}),
    "flagd": (8013, set()),
    "kafka": (9092, set()),
    "valkey-cart": (6379, set()),
    "postgresql": (5432, set()),
}  # fmt: skip
WATCHERS = {"otel-collector", "jaeger", "prometheus", "grafana", "opensearch"}


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app="astronomy-shop", warmup=180) as cluster:
        yield cluster


@pytest.fixture
def shop(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


def written(cluster: EmbeddedCluster, workload: str) -> str:
    return "\n".join(text for p in procs(cluster, workload) for _, text in p.lines)


def flag(cluster: EmbeddedCluster, name: str, variant: str = "on", seconds: float = 60) -> None:
    cluster.inject("any-flag", flag=name, variant=variant)
    cluster.advance(seconds)


def set_env(cluster: EmbeddedCluster, workload: str, **env: str) -> None:
    containers = [{"name": workload, "env": [{"name": k, "value": v} for k, v in env.items()]}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    cluster.faulting.hands.patch("Deployment", NS, workload, patch, "application/strategic-merge-patch+json")


def lag(cluster: EmbeddedCluster, group: str) -> float:
    return next(q.lag for q in tick(cluster).queues if q.group == group)


def status(cluster: EmbeddedCluster, workload: str) -> dict[str, Any]:
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["name"].startswith(f"{workload}-")]
    found: dict[str, Any] = max(pods, key=lambda p: p["metadata"]["creationTimestamp"])["status"]["containerStatuses"][
        0
    ]
    return found


# the topology


def test_every_service_is_there_with_its_port_labels_and_addresses() -> None:
    objects = load_application("astronomy-shop").objects
    services = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
    assert set(services) == set(TOPOLOGY) | WATCHERS
    for name, (port, _) in TOPOLOGY.items():
        assert services[name]["ports"][0]["port"] == port
        assert services[name]["selector"] == {"opentelemetry.io/name": name}
    deployments = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Deployment"}
    assert set(deployments) >= set(TOPOLOGY) | {"accounting", "fraud-detection"}
    for name in (*TOPOLOGY, "accounting", "fraud-detection"):
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/component"] == name
    checkout = deployments["checkout"]["spec"]["template"]["spec"]["containers"][0]["env"]
    env = {e["name"]: e.get("value") for e in checkout}
    assert env["PRODUCT_CATALOG_ADDR"] == "product-catalog:8080"
    assert env["KAFKA_ADDR"] == "kafka:9092"
    assert env["EMAIL_ADDR"] == "http://email:8080"


def test_all_flags_of_the_demo_are_there_and_off() -> None:
    (config,) = [o for o in load_application("astronomy-shop").objects if o["metadata"]["name"] == "flagd-config"]
    flags = json.loads(config["data"]["demo.flagd.json"])["flags"]
    assert set(flags) == {
        "adFailure", "adHighCpu", "adManualGc", "cartFailure", "emailMemoryLeak", "failedReadinessProbe",
        "imageSlowLoad", "kafkaQueueProblems", "llmInaccurateResponse", "llmRateLimitError",
        "loadGeneratorFloodHomepage", "paymentFailure", "paymentUnreachable", "productCatalogFailure",
        "recommendationCacheFailure",
    }  # fmt: skip
    assert {f["defaultVariant"] for f in flags.values()} == {"off"}
    app = load_application("astronomy-shop").app
    asked = {e.flag for p in app.programs.values() for e in p.effects}
    assert asked == set(flags), "every flag acts, and nothing asks for one that is not there"


def test_everything_runs_and_calls_go_as_the_topology_says(shop: EmbeddedCluster) -> None:
    pods = shop.store.list("pods", NS)
    assert len(pods) == 29
    for pod in pods:
        assert all(c["ready"] and not c["restartCount"] for c in pod["status"]["containerStatuses"]), pod["metadata"]
    found = tick(shop)
    assert all(s.error_rate == 0 for s in found.services.values())
    asked: dict[str, set[str]] = {}
    for _, caller, _, callee, _, _ in found.links:
        asked.setdefault(caller, set()).add(callee)
    for name, (_, callees) in TOPOLOGY.items():
        assert asked.get(name, set()) - {"accounting", "fraud-detection"} == callees, name
    assert asked["accounting"] == {"postgresql"}
    assert not {c for c in asked if not c}, "all requests come from the load generator"


def test_users_browse_and_one_request_in_twenty_is_an_order(shop: EmbeddedCluster) -> None:
    users = {operation: asked for (_, operation), (asked, failed) in tick(shop).users.items() if not failed}
    whole = sum(users.values())
    assert whole == pytest.approx(14, rel=0.15)
    products = users["GET /api/products/{productId}"] + users["GET /api/products/OLJCESPC7Z"]
    assert 0.3 < products / whole < 0.4
    orders = users["POST /api/checkout"]
    assert 0.04 < orders / whole < 0.08
    assert rate(shop, "payment", NS) == pytest.approx(orders, rel=0.02)
    # Both ways to ask for a product go by one name in traces.
    names = {operation for (_, service, operation) in tick(shop).spans if service == "product-catalog"}
    assert names == {GET, "oteldemo.ProductCatalogService/ListProducts"}


def test_no_alert_fires_in_normal_life(shop: EmbeddedCluster) -> None:
    shop.advance(600)
    alerts = shop.telemetry().alerts
    assert alerts is not None
    assert alerts.firing() == ()


def test_traces_begin_at_the_load_generator_and_reach_the_last_service(shop: EmbeddedCluster) -> None:
    shop.advance(120)
    traces = [t for one in shop.history.between(0, shop.clock.now()) for t in traces_of(one)]
    roots = {(t.spans[0].service, t.spans[0].kind) for t in traces}
    assert roots == {("load-generator", "client")}
    orders = [t for t in traces if t.spans[0].operation == "POST /api/checkout"]
    assert orders
    assert {s.service for s in orders[-1].spans if s.kind == "server"} >= {
        "frontend-proxy", "frontend", "checkout", "cart", "payment", "shipping", "quote", "email", "currency",
    }  # fmt: skip
    assert {"publish orders"} == {s.operation for s in orders[-1].spans if s.kind == "producer"}
    flag(shop, "paymentFailure", "100%", seconds=30)
    broken = [t for t in traces_of(tick(shop)) if t.spans[0].operation == "POST /api/checkout"]
    assert all(t.spans[0].failed and "Invalid token" in t.spans[0].message for t in broken)


# orders


def test_an_order_is_booked_and_looked_at_for_fraud(shop: EmbeddedCluster) -> None:
    queues = {q.group: q for q in tick(shop).queues}
    assert set(queues) == {"accounting", "fraud-detection"}
    assert all(q.topic == "orders" and q.members == 1 and q.lag < 1 for q in queues.values())
    orders = rate(shop, "checkout", NS)
    assert rate(shop, "accounting", NS) == pytest.approx(orders, rel=0.05)
    inserts = [e.calls for k, e in tick(shop).links.items() if k[1] == "accounting"]
    assert sum(inserts) == pytest.approx(3.7 * orders, rel=0.05)


def test_orders_wait_for_a_consumer_that_is_away_and_are_caught_up(shop: EmbeddedCluster) -> None:
    orders = rate(shop, "checkout", NS)
    shop.inject("scaled-to-zero")
    shop.advance(120)
    waiting = lag(shop, "accounting")
    assert waiting == pytest.approx(120 * orders, rel=0.15)
    assert lag(shop, "fraud-detection") < 1
    assert errors(shop, "checkout", NS) == 0, "nobody who orders notices"
    shop.heal("scaled-to-zero")
    shop.advance(60)
    assert lag(shop, "accounting") < 1


def test_orders_are_taken_without_kafka_but_nobody_hears_of_them(shop: EmbeddedCluster) -> None:
    set_env(shop, "checkout", KAFKA_ADDR="kafka:9999")
    shop.advance(60)
    assert errors(shop, "checkout", NS) == 0
    assert (NS, "accounting") not in tick(shop).services
    assert "kafka: client has run out of available brokers" in written(shop, "checkout")


# flags


def test_ad_failure_fails_one_in_ten(shop: EmbeddedCluster) -> None:
    flag(shop, "adFailure")
    assert errors(shop, "ad", NS) == pytest.approx(0.1, abs=0.01)
    assert "GetAds Failed with status io.grpc.StatusRuntimeException: UNAVAILABLE" in written(shop, "ad")
    assert "14 UNAVAILABLE" in edge(shop, "frontend", "ad").message


def test_ad_high_cpu_uses_cpu(shop: EmbeddedCluster) -> None:
    before = procs(shop, "ad")[0].cpu
    flag(shop, "adHighCpu")
    assert procs(shop, "ad")[0].cpu > 3.5 > 10 * before
    assert "High CPU-Load problempattern enabled" in written(shop, "ad")


def test_ad_manual_gc_makes_pauses(shop: EmbeddedCluster) -> None:
    before = tick(shop).services[NS, "ad"].p95
    flag(shop, "adManualGc")
    assert tick(shop).services[NS, "ad"].p95 > 1.5 > 10 * before
    assert errors(shop, "ad", NS) == 0


def test_cart_failure_leaves_carts_full_but_orders_go_through(shop: EmbeddedCluster) -> None:
    flag(shop, "cartFailure")
    found = {op: e for (_, _, b, op), e in tick(shop).edges.items() if b == "cart"}
    empty = found["oteldemo.CartService/EmptyCart"]
    assert empty.errors == pytest.approx(empty.calls)
    assert found["oteldemo.CartService/GetCart"].errors == 0
    assert errors(shop, "checkout", NS) == 0
    assert errors(shop, "cart", NS) > 0.1
    assert "Can't access cart storage" in written(shop, "cart")


def test_failed_readiness_probe_takes_the_cart_out(shop: EmbeddedCluster) -> None:
    flag(shop, "failedReadinessProbe")
    assert not status(shop, "cart")["ready"]
    assert status(shop, "cart")["restartCount"] == 0
    events = [e["message"] for e in shop.store.list("events", NS) if e["reason"] == "Unhealthy"]
    assert any('service unhealthy (responded with "NOT_SERVING")' in m for m in events)
    assert errors(shop, "checkout", NS) == 1.0
    shop.heal("any-flag")
    shop.advance(30)
    assert status(shop, "cart")["ready"]


@pytest.mark.parametrize(("variant", "seconds"), [("5sec", 5), ("10sec", 10)])
def test_image_slow_load_delays_images_only(shop: EmbeddedCluster, variant: str, seconds: float) -> None:
    flag(shop, "imageSlowLoad", variant)
    found = {op: e for (_, a, b, op), e in tick(shop).edges.items() if (a, b) == ("load-generator", "frontend-proxy")}
    assert found["GET /images/products/{picture}"].p99 > seconds
    assert found["GET /api/cart"].p99 < 0.5


def test_kafka_queue_problems_flood_the_queue_and_slow_one_consumer(shop: EmbeddedCluster) -> None:
    orders = rate(shop, "checkout", NS)
    flag(shop, "kafkaQueueProblems")
    assert lag(shop, "fraud-detection") > 50 * 60 * orders * 0.8
    assert lag(shop, "accounting") < lag(shop, "fraud-detection")
    assert "sleeping 1 second" in written(shop, "fraud-detection")
    assert "overloading queue now" in written(shop, "checkout")


def test_the_home_page_is_flooded(shop: EmbeddedCluster) -> None:
    before = rate(shop, "frontend", NS)
    flag(shop, "loadGeneratorFloodHomepage")
    assert rate(shop, "frontend", NS) > before + 120
    assert rate(shop, "checkout", NS) == pytest.approx(0.8, rel=0.2)


@pytest.mark.parametrize(("variant", "share"), [("25%", 0.25), ("90%", 0.95), ("100%", 1.0)])
def test_payment_failure_fails_a_share_of_charges(shop: EmbeddedCluster, variant: str, share: float) -> None:
    flag(shop, "paymentFailure", variant)
    assert errors(shop, "payment", NS) == pytest.approx(share, abs=0.01)
    assert errors(shop, "checkout", NS) == pytest.approx(share, abs=0.01)
    assert "Payment request failed. Invalid token." in written(shop, "payment")


def test_payment_unreachable_is_checkouts_doing(shop: EmbeddedCluster) -> None:
    flag(shop, "paymentUnreachable")
    assert errors(shop, "checkout", NS) == 1.0
    assert (NS, "payment") not in tick(shop).services
    assert "no such host" in written(shop, "checkout")


def test_product_catalog_failure_is_about_one_product(shop: EmbeddedCluster) -> None:
    flag(shop, "productCatalogFailure")
    users = tick(shop).users
    asked, failed = users[NS, "GET /api/products/OLJCESPC7Z"]
    assert failed == pytest.approx(asked)
    assert users[NS, "GET /api/products/{productId}"][1] == 0
    assert errors(shop, "product-catalog", NS) == pytest.approx(0.1, abs=0.02)
    assert "Product Catalog Fail Feature Flag Enabled" in written(shop, "product-catalog")


def test_recommendation_cache_failure_ends_in_oom(shop: EmbeddedCluster) -> None:
    flag(shop, "recommendationCacheFailure", seconds=120)
    assert tick(shop).services[NS, "recommendation"].p95 > 0.15
    shop.advance(180)
    assert status(shop, "recommendation")["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_email_memory_leak_grows_with_orders(shop: EmbeddedCluster) -> None:
    before = procs(shop, "email")[0].memory
    flag(shop, "emailMemoryLeak", "10x", seconds=120)
    grown = (procs(shop, "email")[0].memory - before) / 2**20
    assert grown == pytest.approx(120 * rate(shop, "email", NS) * 0.1, rel=0.3)
    shop.heal("any-flag")
    flag(shop, "emailMemoryLeak", "1000x")
    assert status(shop, "email")["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_flags_of_the_language_model(shop: EmbeddedCluster) -> None:
    flag(shop, "llmRateLimitError")
    assert errors(shop, "llm", NS) == pytest.approx(0.5, abs=0.01)
    assert "429" in written(shop, "product-reviews")
    assert errors(shop, "frontend", NS) == 0
    shop.heal("any-flag")
    flag(shop, "llmInaccurateResponse")
    assert errors(shop, "llm", NS) == 0
    assert "Returning an inaccurate response" in written(shop, "llm")


def test_flags_are_off_when_nobody_serves_them(shop: EmbeddedCluster) -> None:
    flag(shop, "paymentFailure", "100%")
    shop.inject("any-scaled-to-zero", workload="flagd")
    shop.advance(60)
    assert errors(shop, "payment", NS) == 0


# what depends on what


def test_without_valkey_there_are_no_carts(shop: EmbeddedCluster) -> None:
    shop.inject("any-scaled-to-zero", workload="valkey-cart")
    shop.advance(60)
    assert errors(shop, "cart", NS) == 1.0
    assert errors(shop, "checkout", NS) == 1.0
    assert errors(shop, "ad", NS) == 0
    # cart itself goes on, but does not come up again.
    shop.faulting.hands.send("DELETE", f"/api/v1/namespaces/{NS}/pods/{procs(shop, 'cart')[0].pod[1]}")
    shop.advance(120)
    assert not procs(shop, "cart")


def test_without_postgresql_nothing_can_be_sold_and_nothing_is_booked(shop: EmbeddedCluster) -> None:
    shop.inject("any-scaled-to-zero", workload="postgresql")
    shop.advance(60)
    for service in ("product-catalog", "recommendation", "checkout"):
        assert errors(shop, service, NS) == 1.0
    assert errors(shop, "cart", NS) == 0
    assert "Connection refused" in written(shop, "product-catalog")


def test_a_password_in_valkey_shuts_the_cart_out(shop: EmbeddedCluster) -> None:
    shop.inject("cache-password-set")
    shop.advance(90)
    assert "NOAUTH" in written(shop, "cart") or not procs(shop, "cart")
    assert errors(shop, "checkout", NS) == 1.0
    assert status(shop, "cart")["restartCount"] >= 1
    # Taking the password out heals without anybody healing the fault.
    hands = shop.faulting.hands
    (pod,) = [p for p in shop.store.list("pods", NS) if p["metadata"]["name"].startswith("valkey-cart-")]
    reset = ["valkey-cli", "-a", "invalid_pass", "CONFIG", "SET", "requirepass", ""]
    assert hands.cluster.runtime.exec(pod, pod["spec"]["containers"][0], reset, "").stdout.strip().endswith("OK")
    shop.advance(240)
    assert status(shop, "cart")["ready"]
    assert errors(shop, "checkout", NS) == 0


def test_rights_in_postgresql_matter_by_schema(shop: EmbeddedCluster) -> None:
    shop.inject("database-rights-revoked")
    shop.advance(30)
    assert errors(shop, "product-catalog", NS) == 1.0
    assert "permission denied for table products" in written(shop, "product-catalog")
    reviews = [e for k, e in tick(shop).links.items() if (k[1], k[3]) == ("product-reviews", "postgresql")]
    assert reviews
    assert not any(e.errors for e in reviews)


def test_a_full_valkey_takes_nothing_more_but_still_gives(shop: EmbeddedCluster) -> None:
    shop.inject("cache-memory-bound")
    shop.advance(30)
    found = {op: e for (_, _, b, op), e in tick(shop).edges.items() if b == "cart"}
    assert found["oteldemo.CartService/AddItem"].errors > 0
    assert found["oteldemo.CartService/GetCart"].errors == 0
    assert "OOM command not allowed" in written(shop, "cart")


def test_an_address_that_is_missing_breaks_calls_and_not_the_start(shop: EmbeddedCluster) -> None:
    shop.inject("missing-address")
    shop.advance(60)
    assert status(shop, "frontend")["ready"]
    found = [e for (_, a, b, _), e in tick(shop).edges.items() if a == "frontend" and b == "undefined"]
    assert found
    assert all(e.errors == pytest.approx(e.calls) for e in found)
    assert "Name resolution failed for target dns:undefined" in written(shop, "frontend")
    assert errors(shop, "checkout", NS) == 0


def test_a_program_that_is_not_told_its_port_does_not_start(shop: EmbeddedCluster) -> None:
    shop.inject("port-not-told")
    shop.advance(60)
    assert status(shop, "payment")["restartCount"] >= 1
    assert errors(shop, "checkout", NS) == 1.0


def test_a_program_listens_where_it_is_told_to(shop: EmbeddedCluster) -> None:
    set_env(shop, "email", EMAIL_PORT="8090")
    shop.advance(60)
    assert status(shop, "email")["ready"]
    assert "connection refused" in edge(shop, "checkout", "email").message
    assert errors(shop, "checkout", NS) == 0, "an order does not fail for a letter"


def test_more_users_are_more_requests(shop: EmbeddedCluster) -> None:
    before = rate(shop, "frontend-proxy", NS)
    set_env(shop, "load-generator", LOCUST_USERS="30")
    shop.advance(60)
    assert rate(shop, "frontend-proxy", NS) == pytest.approx(3 * before, rel=0.15)


def test_images_of_one_repository_are_told_apart_by_their_tags(shop: EmbeddedCluster) -> None:
    image = {"name": "currency", "image": "ghcr.io/open-telemetry/demo:2.2.0-ad"}
    patch = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    hands = shop.faulting.hands
    hands.patch("Deployment", NS, "currency", patch)
    template = {"spec": {"template": {"spec": {"containers": [image]}}}}
    hands.patch("Deployment", NS, "currency", template, "application/strategic-merge-patch+json")
    shop.advance(60)
    # The ad service is not told its port there.
    assert status(shop, "currency")["restartCount"] >= 1
    assert errors(shop, "checkout", NS) == 1.0


# the emulation itself


def test_the_same_seed_and_inputs_give_the_same_cluster_and_a_fork_goes_on_alike() -> None:
    def life(seed: int) -> tuple[bytes, bytes]:
        with EmbeddedCluster(app="astronomy-shop", seed=seed, warmup=60) as cluster:
            flag(cluster, "cartFailure", seconds=30)
            with cluster.fork() as twin:
                twin.advance(30)
                cluster.advance(30)
                assert written(twin, "cart") == written(cluster, "cart")
                return dump(cluster), dump(twin)

    first, twin = life(3)
    assert first == twin
    assert life(3)[0] == first
    assert life(4)[0] != first


def test_a_fork_costs_milliseconds(shop: EmbeddedCluster) -> None:
    spent = []
    for _ in range(5):
        begun = time.process_time()
        shop.fork().close()
        spent.append(time.process_time() - begun)
    assert statistics.median(spent) < 0.05
