"""Policies of what counts as worse: named presets with their error rates, objectives, components, ignored alerts."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from test_verdict import BROKEN, COMMIT, ILL, INCIDENT, noisy, row, served, web

from stratus.model.health import HealthVector, VerdictReport
from stratus.rules import COMPONENTS, IgnoredAlert, Objective, verdict_presets
from stratus.settings import HealthSettings
from stratus.transaction.health import score
from stratus.transaction.verdict import Conditions, judge

RUNS = 2000 if os.environ.get("STRATUS_LONG") else 120
"""Runs for each truth; the documented rates are those of the long run."""
BASE = {"samples": 5, "quiet": 5.0}
OTHERS = tuple(name for name in verdict_presets() if name != "balanced")
"""The default is measured by `test_verdict.py`."""


def policy(**more: Any) -> HealthSettings:
    return HealthSettings.model_validate({**BASE, **more})


def rate_of(preset: str, before: dict[str, Any], after: dict[str, Any], seed: int) -> float:
    """Return how often a change is kept."""
    random_, settings = random.Random(f"{preset}/{seed}"), policy(preset=preset)
    kept = [judge(noisy(random_, **before), noisy(random_, **after), INCIDENT, settings).verdict for _ in range(RUNS)]
    return sum(verdict in COMMIT for verdict in kept) / RUNS


WORSE = {
    "nothing changed": (BROKEN, BROKEN),
    "errors up": (BROKEN, {"web": {"error": 0.36}}),
    "a neighbour fails": (BROKEN, {"web": {"error": 0.0}, "db": {"error": 0.08}}),
    "a neighbour is slow": (BROKEN, {"web": {"error": 0.0}, "api": {"latency": 0.36}}),
    "traffic lost": (BROKEN, {"web": {"error": 0.0}, "cache": {"rate": 20.0}}),
}
BETTER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "healed": (BROKEN, {}),
    "much better": (BROKEN, {"web": {"error": 0.2}}),
    "latency healed": ({"web": {"latency": 3.0}}, {}),
    "slight incident healed": ({"web": {"error": 0.12}}, {}),
}


@pytest.mark.parametrize("truth", WORSE)
@pytest.mark.parametrize("preset", OTHERS)
def test_false_commits_at_most_one_in_a_hundred(preset: str, truth: str) -> None:
    found = rate_of(preset, *WORSE[truth], seed=1)
    print(f"{preset}, false commit, {truth}: {found:.4f}")
    assert found <= 0.01


@pytest.mark.parametrize("truth", BETTER)
@pytest.mark.parametrize("preset", OTHERS)
def test_false_aborts_at_most_one_in_twenty(preset: str, truth: str) -> None:
    found = 1 - rate_of(preset, *BETTER[truth], seed=2)
    print(f"{preset}, false abort, {truth}: {found:.4f}")
    assert found <= 0.05


def test_the_presets_differ_where_they_say_so() -> None:
    """A neighbour that loses a quarter of its traffic, and one that fails 1.5 %."""
    loss = (row(served(request_rate=10.0)), row(served(request_rate=7.5)))
    slight = (row(served(error_rate=0.0)), row(served(error_rate=0.015)))
    found = {name: [judge(*pair, Conditions(), policy(preset=name)).verdict for pair in (loss, slight)]
             for name in verdict_presets()}  # fmt: skip
    assert found == {
        "strict": ["REGRESSED", "REGRESSED"],
        "balanced": ["UNCHANGED", "UNCHANGED"],
        "tolerant": ["UNCHANGED", "UNCHANGED"],
    }


def decided(report: VerdictReport) -> list[str]:
    return [c.component for c in report.changes if c.decided]


# --- components


@pytest.mark.parametrize("component", [c for c in COMPONENTS if c != "alerts"])
def test_each_component_can_be_left_out(component: str) -> None:
    """What alone made it worse no longer does; it is not compared, and the report says so."""
    worse = {
        "availability": ({}, {"availability": 0.5}),
        "pods": ({}, {"ready": 1}),
        "endpoints": ({"endpoints": 1}, {"endpoints": 0}),
        "crashing": ({}, {"crashing": 1}),
        "error_rate": ({}, {"error_rate": 0.4}),
        "latency_p99": ({}, {"latency_p99": 5.0}),
        "request_rate": ({"request_rate": 10.0}, {"request_rate": 1.0}),
    }
    before, after = worse.get(component, ({}, {}))
    rows = [row(served(**before)), row(served(**after))]
    if component == "restarts":
        rows[1] = [v.model_copy(update={"services": (served(restarts=i),)}) for i, v in enumerate(rows[1])]
    whole = judge(*rows, Conditions(), policy())
    assert f"shop/web {component}" in decided(whole), whole
    without = judge(*rows, Conditions(), policy(components=[c for c in COMPONENTS if c != component]))
    assert f"shop/web {component}" not in {c.component for c in without.changes}
    assert f"not counted: {component}" in without.policy


def test_what_no_policy_can_switch_off() -> None:
    least = policy(components=["availability"])
    assert judge(row(web()), row(web(desired=0, availability=None)), Conditions(), least).verdict == "REGRESSED"
    assert judge(row(web(), web(service="api")), row(web()), Conditions(), least).verdict == "REGRESSED"
    gap = [v.model_copy(update={"missing": {"metrics": "away"}}) for v in row(web())]
    assert judge(row(web()), gap, Conditions(), least).verdict == "UNKNOWN"
    for components in ([], ["latency_p99", "alerts"], ["luck"]):
        with pytest.raises(ValueError, match="components"):
            policy(components=components)
    with pytest.raises(ValueError, match="weight_availability"):
        policy(weight_availability=0)


# --- objectives


def test_an_objective_is_for_the_services_it_names() -> None:
    settings = policy(
        objectives=[
            Objective(services=("shop/search-*",), latency_slo=10.0),
            Objective(services=("*",), error_floor=0.1),
        ]
    )
    assert (settings.of("shop/search-a").latency_slo, settings.of("shop/search-a").error_floor) == (10.0, 0.02)
    assert (settings.of("shop/web").latency_slo, settings.of("shop/web").error_floor) == (1.0, 0.1)
    assert settings.of("shop/web").min_difference == settings.min_difference


def test_an_objective_decides_what_is_slower_and_what_is_over() -> None:
    slow = (row(served(latency_p99=0.3)), row(served(latency_p99=0.5)))
    assert judge(*slow, Conditions(), policy()).verdict == "REGRESSED"
    lax = policy(objectives=[Objective(services=("shop/web",), latency_slo=20.0)])
    assert judge(*slow, Conditions(), lax).verdict == "UNCHANGED"
    other = policy(objectives=[Objective(services=("shop/api",), latency_slo=20.0)])
    assert judge(*slow, Conditions(), other).verdict == "REGRESSED"
    # An error rate of 4 % is what this service is asked to keep.
    healed = (row(served(error_rate=0.4)), row(served(error_rate=0.04)))
    assert judge(*healed, INCIDENT, policy()).verdict == "IMPROVED"
    asked = policy(objectives=[Objective(services=("shop/*",), error_floor=0.05)])
    assert judge(*healed, INCIDENT, asked).verdict == "RESOLVED"


def test_weights_change_the_score_and_the_report_shows_it() -> None:
    assert score(1.0, 0.5, 1.0, policy()) == pytest.approx(0.5 - 0.15 - 0.1)
    assert score(1.0, 0.5, 1.0, policy(weight_error_rate=1.0, weight_latency=0.0)) == pytest.approx(0.0)


# --- alerts


def alarmed(*rows: HealthVector, fingerprint: str = "f", **more: Any) -> list[HealthVector]:
    return [v.model_copy(update={"alerts": {fingerprint: "critical"}, **more}) for v in rows]


def silent(*rows: HealthVector) -> list[HealthVector]:
    return [v.model_copy(update={"alerts": {}}) for v in rows]


def test_an_ignored_alert_is_neither_better_nor_worse_and_is_named() -> None:
    why = {"ignored": {"f": "Nightly: fires during backups"}}
    before, after = silent(*row(web())), alarmed(*row(web()), **why)
    assert judge(before, alarmed(*row(web())), Conditions(), policy()).verdict == "REGRESSED"
    found = judge(before, after, Conditions(), policy())
    assert (found.verdict, found.ignored) == ("UNCHANGED", ("Nightly: fires during backups",))
    gone = judge(alarmed(*row(web()), **why), silent(*row(web())), Conditions(), policy())
    assert gone.verdict == "UNCHANGED", "that it falls silent is no merit"


def test_the_incidents_own_alert_is_never_ignored() -> None:
    why = {"ignored": {"f": "Nightly: fires during backups"}}
    ill, well = alarmed(*row(web(**ILL)), **why), alarmed(*row(web()), **why)
    own = Conditions(alerts=("f",), services=("shop/web",))
    assert judge(ill, well, own, policy()).verdict == "IMPROVED", "it still fires: not over"
    assert judge(ill, silent(*row(web())), own, policy()).verdict == "RESOLVED"
    # It alone decides, for better and for worse.
    assert judge(alarmed(*row(web(**ILL)), **why), silent(*row(web(**ILL))), own, policy()).verdict == "IMPROVED"
    assert judge(silent(*row(web())), well, own, policy()).verdict == "REGRESSED"


def test_alerts_are_ignored_by_the_pattern_of_their_name() -> None:
    settings = policy(ignored_alerts=[IgnoredAlert(name="Nightly*", reason="fires during backups")])
    assert settings.ignores("NightlyBackup") == "NightlyBackup: fires during backups"
    assert settings.ignores("Daily") == ""
    with pytest.raises(ValueError, match="reason"):
        IgnoredAlert.model_validate({"name": "x"})


# --- the numbers


def test_the_report_has_the_numbers_of_every_service() -> None:
    random_ = random.Random(5)
    before, after = noisy(random_, **BROKEN), noisy(random_, web={"error": 0.0}, db={"error": 0.2})
    found = judge(before, after, INCIDENT, policy())
    assert found.verdict == "REGRESSED"
    assert {s.service for s in found.services} == {"shop/web", "shop/api", "shop/db", "shop/cache"}
    first = found.services[0]
    assert (first.service, first.decided, first.direction) == ("shop/db", ("error_rate",), "worse")
    assert (first.samples_before, first.samples_after) == (5, 5)
    change = next(c for c in found.changes if c.component == "shop/db error_rate")
    values = [h.error_rate for v in after if (h := v.service("shop", "db")) is not None and h.error_rate is not None]
    mean = sum(values) / len(values)
    assert change.after == pytest.approx(mean)
    assert change.spread_after == pytest.approx((sum((v - mean) ** 2 for v in values) / 4) ** 0.5)
    assert (change.samples_before, change.samples_after) == (5, 5)
    assert change.noise_better is not None
    assert change.noise_better > change.noise >= policy().min_difference, "better asks for a smaller chance of error"
    assert change.decided
    healed = next(c for c in found.changes if c.component == "shop/web error_rate")
    assert (healed.direction, healed.decided) == ("better", False), "the verdict rests on what got worse"
    scores = [h.score for v in before if (h := v.service("shop", "web")) is not None and h.score is not None]
    web_now = next(s for s in found.services if s.service == "shop/web")
    assert web_now.before == (pytest.approx(sum(scores) / len(scores)) if scores else None)
    assert "balanced: one-sided Welch test, 3.0% for worse and 1.0% for better" in found.policy


def test_bounds_of_latency_say_their_scale() -> None:
    found = judge(row(served(latency_p99=0.1)), row(served(latency_p99=3.0)), Conditions(), policy())
    assert {c.component: c.scale for c in found.changes}["shop/web latency_p99"] == "term"


def test_states_of_objects_have_no_spread() -> None:
    found = judge(row(web()), row(web(**ILL)), Conditions(), policy())
    change = next(c for c in found.changes if c.component == "shop/web availability")
    assert (change.samples_before, change.spread_before, change.noise_better) == (0, None, None)


def test_the_chance_of_error_sets_the_bound() -> None:
    """A preset that asks for more certainty needs a larger difference on the same samples."""
    random_ = random.Random(3)
    before, after = noisy(random_), noisy(random_)

    def bounds(**more: float) -> tuple[float, float]:
        settings = policy(min_difference=0.0001, **more)
        found = judge(before, after, Conditions(), settings)
        change = next(c for c in found.changes if c.component == "shop/web error_rate")
        assert change.noise_better is not None
        return change.noise, change.noise_better

    sure, usual = bounds(alpha_worse=0.005, alpha_better=0.001), bounds()
    assert sure[0] > usual[0]
    assert sure[1] > usual[1]
    assert bounds(alpha_worse=0.05)[0] < usual[0]
