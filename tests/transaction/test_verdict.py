"""Verdicts on built and on noisy samples; the error rates that the reference page states are measured here."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.model.alerts import Alert
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation, SeriesPoint, ServiceSeries
from stratus.model.health import HealthVector, ServiceHealth
from stratus.settings import HealthSettings
from stratus.transaction.noise import margin, student_quantile
from stratus.transaction.verdict import Baseline, Conditions, cleared, conditions_of, judge, steady

SETTINGS = HealthSettings()
INCIDENT = Conditions(services=("shop/web",))


def web(**fields: Any) -> ServiceHealth:
    base: dict[str, Any] = {
        "service": "web", "namespace": "shop", "availability": 1.0, "ready": 2, "desired": 2, "endpoints": 2,
        "score": 0.5,
    }  # fmt: skip
    fields = {**base, **fields}
    if any(fields.get(k) is not None for k in ("error_rate", "latency_p99", "request_rate")):
        fields["source"] = "telemetry"
    return ServiceHealth(**fields)


def served(**fields: Any) -> ServiceHealth:
    return web(**{"error_rate": 0.0, "latency_p99": 0.1, "request_rate": 50.0, **fields})


ILL = {"availability": 0.5, "ready": 1, "endpoints": 1, "crashing": 1}


def row(*services: ServiceHealth, n: int = 5, alerts=None, missing=None, start=1000.0) -> list[HealthVector]:
    return [HealthVector(at=start + 3 * i, services=services, alerts=alerts, missing=missing or {}) for i in range(n)]


def verdict(before, after, conditions=INCIDENT, settings=SETTINGS):
    return judge(before, after, conditions, settings)


def directions(report):
    return {c.component.removeprefix("shop/web "): c.direction for c in report.changes}


def test_resolved_from_objects():
    report = verdict(row(web(**ILL)), row(web()))
    assert (report.verdict, report.from_objects_only) == ("RESOLVED", True)
    assert (report.samples_before, report.samples_after) == (5, 5)
    assert "is not fully available" in report.reason


def test_improved_when_some_is_left():
    report = verdict(row(web(availability=0.2, ready=1, desired=5, endpoints=1)),
                     row(web(availability=0.6, ready=3, desired=5, endpoints=3)))  # fmt: skip
    assert report.verdict == "IMPROVED"
    assert "left: shop/web is not fully available" in report.reason


def test_unchanged_and_regressed():
    assert verdict(row(web(**ILL)), row(web(**ILL))).verdict == "UNCHANGED"
    worse = verdict(row(web(**ILL)), row(web(availability=0.0, ready=0, endpoints=0, crashing=2)))
    assert worse.verdict == "REGRESSED"
    assert {"availability", "endpoints", "crashing"} <= {k for k, d in directions(worse).items() if d == "worse"}


def test_healthy_before_and_after_resolves_nothing():
    """What could not be seen to be wrong cannot be seen to be right: no change is kept for it."""
    assert verdict(row(web()), row(web())).verdict == "UNCHANGED"


def test_better_here_worse_there():
    other = {"service": "api", "namespace": "shop"}
    before = row(web(**ILL), web(**other))
    after = row(web(), web(**other, **ILL))
    report = verdict(before, after)
    assert report.verdict == "REGRESSED"
    assert "shop/api availability" in report.reason


def test_quiet_must_last():
    after = row(web(), n=2)
    report = verdict(row(web(**ILL)), after)
    assert report.verdict == "IMPROVED"
    assert "quiet for 3 s only" in report.reason
    assert verdict(row(web(**ILL)), after, settings=HealthSettings(quiet=2.0)).verdict == "RESOLVED"


@pytest.mark.parametrize("source", ["metrics", "alerts", "objects"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_missing_is_unknown(source, side):
    gap = row(web(), missing={source: "no route"})
    before, after = (gap, row(web())) if side == "before" else (row(web(**ILL)), gap)
    report = verdict(before, after)
    assert report.verdict == "UNKNOWN"
    assert "no route" in report.reason


def test_one_sample_is_never_enough():
    assert verdict(row(web(**ILL)), row(web(), n=1)).verdict == "UNKNOWN"
    assert verdict([], row(web())).verdict == "UNKNOWN"
    gaps = [*row(web(), n=1), *row(web(), n=4, missing={"metrics": "x"})]
    assert verdict(row(web(**ILL)), gaps).verdict == "UNKNOWN"
    some = [*row(web(), n=4), *row(web(), n=1, missing={"metrics": "x"}, start=1015.0)]
    assert verdict(row(web(**ILL)), some, settings=HealthSettings(quiet=5.0)).verdict == "RESOLVED"


def test_figures_that_vanish_are_unknown():
    report = verdict(row(served(error_rate=0.4)), row(served(error_rate=None, latency_p99=None, request_rate=None)))
    assert report.verdict == "UNKNOWN"
    endpoints = verdict(row(web(**ILL)), row(web(endpoints=None)))
    assert endpoints.verdict == "UNKNOWN"
    assert verdict(row(web(**ILL)), row(web(availability=None))).verdict == "UNKNOWN"


def test_contradiction_is_unknown():
    """Good figures of a service that nothing stands behind are not of now."""
    dead = {"availability": 0.0, "ready": 0, "endpoints": 0}
    report = verdict(row(served(error_rate=0.9, **dead)), row(served(error_rate=0.0, **dead)))
    assert report.verdict == "UNKNOWN"
    assert "telemetry against objects" in report.reason


class TestSilencing:
    """Mistake: the alert stops because nothing is left that could raise it."""

    def test_scaled_to_zero_while_half_served(self):
        after = row(web(availability=0.0, ready=0, desired=0, endpoints=0, crashing=0))
        report = verdict(row(web(**ILL)), after)
        assert report.verdict == "REGRESSED"
        assert directions(report)["desired"] == "worse"
        assert directions(report)["crashing"] != "better"

    def test_scaled_to_zero_while_nothing_was_served(self):
        dead = {"availability": 0.0, "ready": 0, "endpoints": 0}
        alerts = {"f1": "critical"}
        conditions = Conditions(alerts=("f1",), services=("shop/web",))
        report = verdict(
            row(web(**dead, crashing=2), alerts=alerts), row(web(**dead, desired=0), alerts={}), conditions
        )
        assert report.verdict == "REGRESSED"

    def test_wanting_less_is_no_availability(self):
        before = row(web(availability=2 / 3, ready=2, desired=3))
        report = verdict(before, row(web(availability=1.0, ready=1, desired=1, endpoints=1)))
        assert directions(report)["availability"] == "worse"

    def test_needless_scaling_up_is_no_improvement(self):
        report = verdict(row(web()), row(web(ready=6, desired=6, endpoints=6)))
        assert report.verdict == "UNCHANGED"
        partly = verdict(row(web(ready=1, desired=1, endpoints=1)), row(web(availability=2 / 3, ready=2, desired=3)))
        assert directions(partly)["availability"] == "same"

    def test_the_workload_is_deleted(self):
        assert "present" in verdict(row(web(**ILL)), row()).reason

    def test_traffic_ends(self):
        """Fewer errors, because nobody comes any more."""
        report = verdict(row(served(error_rate=0.5)), row(served(error_rate=0.0, request_rate=0.0)))
        assert report.verdict == "REGRESSED"
        assert directions(report)["request_rate"] == "worse"
        gone = verdict(row(served(error_rate=1.0)), row(served(error_rate=None, latency_p99=None, request_rate=0.0)))
        assert gone.verdict == "REGRESSED"


def test_traffic_must_come_back():
    conditions = Conditions(services=("shop/web",), baseline={"shop/web": Baseline(request_rate=100.0)})
    before = row(served(error_rate=0.5, request_rate=100.0))
    assert verdict(before, row(served(request_rate=95.0)), conditions).verdict == "RESOLVED"
    half = verdict(before, row(served(request_rate=45.0)), conditions)
    assert half.verdict == "IMPROVED"
    assert "does not get its earlier traffic" in half.reason
    blocked = row(served(request_rate=0.0, error_rate=None, latency_p99=None))
    assert verdict(blocked, row(served(request_rate=95.0)), conditions).verdict == "RESOLVED"
    assert verdict(blocked, row(served(request_rate=95.0))).verdict == "UNCHANGED"


@pytest.mark.parametrize(
    ("before", "after", "normal", "expected"),
    [
        (500.0, 50.0, 50.0, "same"),  # the surge is over
        (500.0, 41.0, 50.0, "same"),
        (500.0, 20.0, 50.0, "worse"),  # and with it users who were there before
        (500.0, 200.0, 50.0, "worse"),  # some of the surge is turned away
        (500.0, 50.0, None, "worse"),  # nobody knows what is normal
        (120.0, 50.0, 50.0, "worse"),  # that was no surge
    ],
)
def test_the_end_of_a_surge_is_no_loss(before, after, normal, expected):
    conditions = Conditions(services=("shop/web",), baseline={"shop/web": Baseline(request_rate=normal)})
    report = verdict(row(served(request_rate=before)), row(served(request_rate=after)), conditions)
    assert directions(report)["request_rate"] == expected


def test_the_normal_traffic_is_not_that_of_a_surge_nobody_had_called_an_incident_yet():
    points = tuple(SeriesPoint(at=float(at), rate=500.0 if at >= 480 else 10.0) for at in range(0, 900, 15))
    look = Observation(at=900.0, window=300.0, namespaces=("shop",), objects={},
                       series=(ServiceSeries(namespace="shop", service="web", points=points),))  # fmt: skip
    found = conditions_of(Detection(anomalous=True, services=("shop/web",), onset=600.0), look)
    assert found.baseline["shop/web"].request_rate == 10.0


def test_fewer_retries_are_no_loss():
    before = row(served(error_rate=0.7, request_rate=150.0))
    assert verdict(before, row(served(error_rate=0.0, request_rate=50.0))).verdict == "RESOLVED"


def test_failing_fast_is_not_being_fast():
    """A repaired service answers slower than one that refuses at once; that is no regression."""
    before = row(served(error_rate=0.95, latency_p99=0.002))
    assert verdict(before, row(served(latency_p99=0.4))).verdict == "RESOLVED"
    assert verdict(before, row(served(latency_p99=3.0))).verdict == "REGRESSED"
    # but of a service that works, slower is slower
    assert verdict(row(served(latency_p99=0.1)), row(served(latency_p99=0.4))).verdict == "REGRESSED"


def test_latency_incident():
    conditions = Conditions(services=("shop/web",), baseline={"shop/web": Baseline(latency_p99=0.1)})
    before = row(served(latency_p99=2.0))
    assert verdict(before, row(served(latency_p99=0.12)), conditions).verdict == "RESOLVED"
    assert verdict(before, row(served(latency_p99=0.8)), conditions).verdict == "IMPROVED"


class TestRestarts:
    """Restart counters: of pods that are gone they say nothing, growing ones say everything."""

    def test_of_old_pods_do_not_count(self):
        before = row(web(**ILL, restarts=7))
        assert verdict(before, row(web(restarts=0))).verdict == "RESOLVED"
        falling = [*row(web(restarts=7), n=1), *row(web(restarts=0), n=5, start=1003.0)]
        assert verdict(before, falling).verdict == "RESOLVED"

    def test_growing_is_not_resolved(self):
        growing = [row(web(restarts=i), n=1, start=1000.0 + 3 * i)[0] for i in range(5)]
        assert verdict(row(web(availability=0.5)), growing).verdict == "REGRESSED"
        assert verdict(row(web(**ILL)), growing).verdict == "IMPROVED"  # it crashed before, too; it is not over
        assert "restarts" in cleared(growing, INCIDENT, SETTINGS)[0]
        earlier = [row(web(**ILL, restarts=i), n=1, start=900.0 + 3 * i)[0] for i in range(5)]
        assert verdict(earlier, growing).verdict == "IMPROVED"


class TestAlerts:
    """Alerts of the incident, new ones, and sources that fail."""

    conditions = Conditions(alerts=("f1",), services=("shop/web",))

    def test_the_incident_s_own_must_be_quiet(self):
        before = row(web(**ILL), alerts={"f1": "critical"})
        assert verdict(before, row(web(), alerts={}), self.conditions).verdict == "RESOLVED"
        still = verdict(before, row(web(), alerts={"f1": "critical"}), self.conditions)
        assert still.verdict == "IMPROVED"
        last = [*row(web(), alerts={}, n=4), *row(web(), alerts={"f1": "critical"}, n=1, start=1012.0)]
        assert verdict(before, last, self.conditions).verdict == "IMPROVED"

    def test_only_alerts_went(self):
        before = row(web(), alerts={"f1": "critical"})
        assert verdict(before, row(web(), alerts={}), self.conditions).verdict == "RESOLVED"

    def test_a_new_lasting_alert_is_worse(self):
        before = row(web(**ILL), alerts={"f1": "critical"})
        assert verdict(before, row(web(), alerts={"f2": "warning"}), self.conditions).verdict == "REGRESSED"
        short = [*row(web(), alerts={"f2": "warning"}, n=2), *row(web(), alerts={}, n=3, start=1006.0)]
        assert verdict(before, short, self.conditions).verdict == "RESOLVED"
        assert verdict(before, row(web(), alerts={"f2": "info"}), self.conditions).verdict == "RESOLVED"

    def test_what_was_wrong_before_and_fires_now_is_no_news(self):
        before = row(web(**ILL), alerts={"f1": "critical"})
        late = {"f2": "critical", "f3": "warning"}

        def after(starts, n=5, start=1100.0):
            return [v.model_copy(update={"alert_starts": starts}) for v in row(web(), alerts=late, n=n, start=start)]

        old = verdict(before, after({"f2": 990.0, "f3": 950.0}), self.conditions)
        assert (old.verdict, directions(old)["alerts critical"]) == ("IMPROVED", "better")
        assert "alert f2 is firing" in old.reason, "nor is the incident over while they fire"
        quiet = [*after({"f2": 990.0, "f3": 950.0}, n=1), *row(web(), alerts={}, start=1103.0)]
        assert verdict(before, quiet, self.conditions).verdict == "IMPROVED"
        assert verdict(before, quiet[1:], self.conditions).verdict == "RESOLVED"
        # of one that began later, at the first sample, or nobody knows when, nothing is excused
        for start in (1000.0, 1003.0, 1100.0, 0.0):
            new = verdict(before, after({"f2": start, "f3": 950.0}), self.conditions)
            assert (new.verdict, directions(new)["alerts critical"]) == ("REGRESSED", "worse"), start
        assert verdict(before, after({"f3": 950.0}), self.conditions).verdict == "REGRESSED"
        # a condition that began anew while it was watched is a new one
        mixed = [*after({"f2": 990.0, "f3": 950.0}, n=4), *after({"f2": 1105.0, "f3": 950.0}, n=1, start=1112.0)]
        assert verdict(before, mixed, self.conditions).verdict == "REGRESSED"

    def test_a_source_that_stops_answering(self):
        before = row(web(**ILL), alerts={"f1": "critical"})
        assert verdict(before, row(web(), alerts=None), self.conditions).verdict == "UNKNOWN"

    def test_no_source_at_all(self):
        assert verdict(row(web(**ILL)), row(web()), self.conditions).verdict == "RESOLVED"


DARK = {"availability": 0.0, "endpoints": 0}


class TestPods:
    """Ready pods count by themselves, whether or not the Service leads to them."""

    def test_back_from_zero_behind_a_service_that_leads_elsewhere(self):
        report = verdict(row(web(**DARK, ready=0, desired=0)), row(web(**DARK, ready=2, desired=2)))
        assert (report.verdict, directions(report)["pods"]) == ("IMPROVED", "better")
        assert "is not fully available" in report.reason

    def test_losing_pods_behind_it_is_a_loss(self):
        report = verdict(row(web(**DARK, ready=2)), row(web(**DARK, ready=0)))
        assert (report.verdict, directions(report)["pods"]) == ("REGRESSED", "worse")

    def test_more_of_what_was_whole_is_nothing(self):
        report = verdict(row(web(**DARK, ready=2, desired=2)), row(web(**DARK, ready=4, desired=4)))
        assert (report.verdict, directions(report)["pods"]) == ("UNCHANGED", "same")


def test_unknown_services_of_the_incident():
    odd = Conditions(services=("shop/nobody",))
    assert verdict(row(web(**ILL)), row(web()), odd).verdict == "RESOLVED"
    two = row(web(**ILL), web(service="api", **ILL))
    assert verdict(two, row(web(), web(service="api", **ILL)), odd).verdict == "IMPROVED"
    assert cleared([], INCIDENT, SETTINGS) == ("no service is to be seen",)


def test_conditions_come_from_the_detection():
    alert = Alert(name="High", labels={"service": "web"})
    detection = Detection(
        anomalous=True, alerts=(alert, Alert(name="Old", status="resolved")), services=("shop/web",), onset=100.0
    )
    points = [SeriesPoint(at=float(t), rate=10.0 if t < 100 else 1.0, error_rate=0.01 if t < 100 else 0.9,
                          latency_p99=0.1) for t in range(50, 150, 10)]  # fmt: skip
    series = (ServiceSeries(namespace="shop", service="web", points=tuple(points)),)
    observation = Observation(at=150.0, window=100.0, namespaces=("shop",), series=series)
    found = conditions_of(detection, observation)
    assert found.alerts == (alert.fingerprint,)
    normal = found.baseline["shop/web"]
    assert (normal.request_rate, normal.error_rate, normal.latency_p99) == pytest.approx((10.0, 0.01, 0.1))
    assert conditions_of(detection).baseline == {}


def test_steady():
    assert steady(row(served()), row(served()), SETTINGS)
    assert not steady(row(served(error_rate=0.5)), row(served(error_rate=0.3)), SETTINGS)
    assert not steady(row(served(request_rate=10.0)), row(served(request_rate=50.0)), SETTINGS)
    assert not steady(row(web(crashing=1)), row(web()), SETTINGS)
    assert not steady(row(web()), row(), SETTINGS)


def test_student():
    for alpha, freedom, expected in ((0.05, 1, 6.3138), (0.05, 8, 1.8595), (0.025, 4, 2.7764), (0.001, 5, 5.8934)):
        assert student_quantile(alpha, freedom) == pytest.approx(expected, abs=1e-3)
    assert margin([1.0, 1.0], [2.0, 2.0], alpha=0.01, least=0.02) == 0.02
    assert margin([0.0, 1.0], [0.0, 1.0], alpha=0.01, least=0.02) > 1


# -- error rates ------------------------------------------------------------------------------------------------

SERVICES = ("web", "api", "db", "cache")
SIGMA = 0.01
"""Documented noise: standard deviation of error rates, and of latencies in units of the objective; rates 5 %."""
RUNS = 2000


def noisy(random_: random.Random, **means: dict[str, float]) -> list[HealthVector]:
    """Draw five samples of four services; `means` by service override error, latency, rate."""
    vectors = []
    for i in range(5):
        services = []
        for name in SERVICES:
            mean = {"error": 0.005, "latency": 0.2, "rate": 50.0, **means.get(name, {})}
            services.append(
                served(
                    service=name,
                    error_rate=min(1.0, max(0.0, random_.gauss(mean["error"], SIGMA))),
                    latency_p99=max(0.001, random_.gauss(mean["latency"], SIGMA)),
                    request_rate=max(0.0, random_.gauss(mean["rate"], 0.05 * mean["rate"])),
                )
            )
        vectors.append(HealthVector(at=1000.0 + 3 * i, services=tuple(services)))
    return vectors


def rate_of(verdicts: tuple[str, ...], before: dict, after: dict, seed: int) -> float:
    """Return how often one of the verdicts is given."""
    random_ = random.Random(seed)
    hits = 0
    for _ in range(RUNS):
        report = judge(noisy(random_, **before), noisy(random_, **after), INCIDENT, SETTINGS)
        hits += report.verdict in verdicts
    return hits / RUNS


COMMIT = ("RESOLVED", "IMPROVED")
BROKEN = {"web": {"error": 0.3}}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("nothing changed", BROKEN, BROKEN),
        ("errors up", BROKEN, {"web": {"error": 0.36}}),
        ("a neighbour fails", BROKEN, {"web": {"error": 0.0}, "db": {"error": 0.065}}),
        ("a neighbour is slow", BROKEN, {"web": {"error": 0.0}, "api": {"latency": 0.32}}),
        ("traffic lost", BROKEN, {"web": {"error": 0.0}, "cache": {"rate": 25.0}}),
    ],
)
def test_false_commits_at_most_one_in_a_hundred(name, before, after):
    found = rate_of(COMMIT, before, after, seed=1)
    print(f"false commit, {name}: {found:.4f}")
    assert found <= 0.01


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("healed", BROKEN, {}),
        ("much better", BROKEN, {"web": {"error": 0.2}}),
        ("latency healed", {"web": {"latency": 3.0}}, {}),
        ("slight incident healed", {"web": {"error": 0.08}}, {}),
    ],
)
def test_false_aborts_at_most_one_in_twenty(name, before, after):
    found = 1 - rate_of(COMMIT, before, after, seed=2)
    print(f"false abort, {name}: {found:.4f}")
    assert found <= 0.05


def test_what_was_created_has_to_be_well_by_itself():
    """It has no before: nothing would be worse by comparison."""
    made = web(service="made")
    created = Conditions(created=("shop/made",))
    assert verdict(row(web()), row(web(), made), created).verdict == "UNCHANGED"
    ill = verdict(row(web()), row(web(), web(service="made", **ILL)), created)
    assert ill.verdict == "REGRESSED"
    assert "shop/made created" in ill.reason
    # what came to be by somebody else's hand is not this transaction's
    assert verdict(row(web()), row(web(), web(service="made", **ILL)), Conditions()).verdict == "UNCHANGED"
