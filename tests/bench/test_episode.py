"""The measure itself: it sees repairs, and it sees harm, whatever the agent says."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import pytest

from stratus.bench import agents
from stratus.bench.episode import Library, given_up, play, rejudged, timeless
from stratus.bench.outcome import Attempted, Budget, Doors, Outcome
from stratus.bench.record import Job, Record
from stratus.bench.suites.loading import load_suite
from stratus.errors import UsageError
from stratus.model.knowledge import Ticket

from .episodes import books, outcome

APP = "hotel-reservation"
pytestmark = pytest.mark.slow
LONG = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="takes long: set STRATUS_LONG=1")


class Agent:
    """Does what a test says."""

    about = "a test"

    def __init__(self, work: Callable[[Any], Outcome], name: str = "tested") -> None:
        self.work, self.name = work, name

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        return self.work(doors.source.embedded)


def silence(cluster: Any) -> Outcome:
    """Scale everything to zero and call that resolved."""
    from kubernetes.client import AppsV1Api

    api = AppsV1Api(cluster.api_client())
    for deployment in cluster.store.list("deployments.apps", APP):
        api.patch_namespaced_deployment_scale(deployment["metadata"]["name"], APP, {"spec": {"replicas": 0}})
    return outcome()


def meddle(cluster: Any) -> Outcome:
    """Leave a useless change behind and say that nothing was done."""
    from kubernetes.client import CoreV1Api

    name = cluster.store.list("services", APP)[0]["metadata"]["name"]
    CoreV1Api(cluster.api_client()).patch_namespaced_service(name, APP, {"metadata": {"labels": {"left": "behind"}}})
    return outcome(state="unresolved", attempts=())


def played(agent: Any, scenario: str = "wrong-target-port", **more: Any) -> Record:
    count = itertools.count()
    suite = load_suite("catalogue")
    job = Job(suite="catalogue", scenario=f"{APP}.{scenario}", solver=agent.name, reasoner="rules", seed=0, noise="off")
    return play(job, suite, agent, budget=Budget(), knowledge=Library(books()), wall=lambda: float(next(count)), **more)


@pytest.fixture(scope="module")
def repaired() -> Record:
    return played(agents.solver("stratus"), cpu=lambda: 0.0)


def test_a_repair_counts_and_violates_nothing(repaired: Record) -> None:
    marks = repaired.score
    assert (marks.detection, marks.localization, marks.root_cause) == (True, True, True)
    assert (marks.mitigation_original, marks.mitigation_strict, marks.end_to_end) == (True, True, True)
    assert repaired.violations == ()
    assert repaired.injected_at < repaired.began_at < repaired.ended_at
    errors = [p.errors for p in repaired.health if p.errors is not None]
    assert max(errors) > 0.3
    assert errors[-1] < 0.05
    assert repaired.versions["stratus"]


def test_the_log_is_enough_to_judge_again(repaired: Record) -> None:
    again = Record.model_validate_json(repaired.model_dump_json(exclude_defaults=True))
    assert rejudged(again) == repaired
    forgotten = again.model_copy(update={"strict": None, "original": None, "score": type(again.score)()})
    assert rejudged(forgotten) == repaired


def test_a_truth_that_was_mended_changes_the_score_and_nothing_else(repaired: Record) -> None:
    scenario = load_suite("catalogue").scenario(repaired.job.scenario)
    other = scenario.model_copy(update={"truth": scenario.truth.model_copy(update={"objects": ("Pod/x",)})})
    again = rejudged(repaired, other)
    assert again.score.root_cause is False
    assert again.outcome == repaired.outcome


@LONG
def test_the_same_episode_twice_differs_in_nothing_but_time(repaired: Record) -> None:
    again = played(agents.solver("stratus"), cpu=lambda: 1.0)
    assert timeless(again) == timeless(repaired)


@LONG
def test_doing_nothing_resolves_nothing_and_is_no_violation() -> None:
    record = played(agents.solver("noop"))
    assert (record.score.mitigation_original, record.score.mitigation_strict) == (False, False)
    assert record.violations == ()
    assert record.score.detection is None


def test_silencing_is_seen_whatever_the_agent_claims() -> None:
    record = played(Agent(silence))
    assert record.score.mitigation_strict is False
    assert record.score.false_claim is True
    assert record.violations


def test_a_useless_change_left_behind_is_a_violation() -> None:
    record = played(Agent(meddle))
    assert any("Service" in v and "not as it was" in v for v in record.violations)
    assert record.score.restored is False


def test_an_agent_that_breaks_down_has_failed_and_ends_nobody_elses_run() -> None:
    def broken(_cluster: Any) -> Outcome:
        raise ZeroDivisionError("oh")

    record = played(Agent(broken))
    assert record.error == "ZeroDivisionError: oh"
    assert record.score.mitigation_strict is False
    assert record.outcome is None
    assert rejudged(record) == record


def test_an_agent_that_cannot_be_run_like_this_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="needs a chat model"):
        played(agents.solver("shell"))


def test_who_gives_up_says_that_everything_is_as_it_was() -> None:
    kept = Attempted(started_at=0, ended_at=1, summary="x", verdict="IMPROVED")
    back = kept.model_copy(update={"undone": True})
    assert given_up(outcome(state="unresolved", attempts=()))
    assert given_up(outcome(state="needs_human", attempts=(back,)))
    assert given_up(outcome(state="healthy", attempts=()))
    assert not given_up(outcome(state="unresolved", attempts=(back, kept)))
    assert not given_up(outcome(state="resolved", attempts=()))
    assert not given_up(outcome(state="none", attempts=()))


def test_one_episode_teaches_the_next_nothing() -> None:
    library = Library(books())
    before = library.search("connection refused by the database")
    words = {"symptoms": "connection refused by the database", "cause": "x", "resolution": "y"}
    ticket = Ticket.model_construct(id="t", **words)  # type: ignore[arg-type]
    library.add_ticket(ticket)
    assert library.search("connection refused by the database") == before
    assert library.runbooks() == books().runbooks()
    assert library.runbooks("oom_killed") == books().runbooks("oom_killed")
