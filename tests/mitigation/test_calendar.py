"""Change windows and freezes: the wall clock of a zone, over midnight, and when clocks are set."""

from __future__ import annotations

import pytest

from stratus.kit.clock import parse_iso
from stratus.mitigation.calendar import closed, frozen, inside
from stratus.rules import ChangeWindow, Freeze
from stratus.settings import PolicySettings

OFFICE = ChangeWindow(name="office", days=("mon", "tue", "wed", "thu", "fri"), start="09:00", end="17:00")
NIGHT = ChangeWindow(name="night", days=("fri",), start="22:00", end="04:00")
PARIS = ChangeWindow(name="paris", start="02:30", end="03:30", zone="Europe/Paris")


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        (OFFICE, "2026-01-05T09:00:00Z", True),  # a Monday
        (OFFICE, "2026-01-05T08:59:59Z", False),
        (OFFICE, "2026-01-05T16:59:59Z", True),
        (OFFICE, "2026-01-05T17:00:00Z", False),
        (OFFICE, "2026-01-04T12:00:00Z", False),  # a Sunday
        (NIGHT, "2026-01-09T22:00:00Z", True),  # a Friday
        (NIGHT, "2026-01-10T03:59:00Z", True),  # still Friday's window
        (NIGHT, "2026-01-10T04:00:00Z", False),
        (NIGHT, "2026-01-10T22:30:00Z", False),  # Saturday has none
        (NIGHT, "2026-01-09T03:00:00Z", False),  # nor has Thursday
        (PARIS, "2026-01-05T01:30:00Z", True),
        (PARIS, "2026-07-06T00:30:00Z", True),  # summer time
        (PARIS, "2026-07-06T01:30:00Z", False),
        (PARIS, "2026-03-29T01:15:00Z", True),  # 03:15, a quarter past the hour that does not exist
        (PARIS, "2026-10-25T00:45:00Z", True),  # 02:45 for the first time
        (PARIS, "2026-10-25T01:45:00Z", True),  # 02:45 once more
        (ChangeWindow(name="always"), "2026-01-05T23:59:59Z", True),
        (ChangeWindow(name="whole day", start="08:00", end="08:00"), "2026-01-05T07:59:00Z", True),
    ],
)
def test_weekly_windows(window: ChangeWindow, moment: str, expected: bool) -> None:
    assert inside(window, parse_iso(moment)) == expected


def test_a_freeze_ends_at_its_end() -> None:
    freeze = Freeze(name="x", start="2026-12-20T00:00", end="2027-01-05T00:00", zone="Europe/Paris")
    assert not frozen(freeze, parse_iso("2026-12-19T22:59:59Z"))
    assert frozen(freeze, parse_iso("2026-12-19T23:00:00Z"))
    assert frozen(freeze, parse_iso("2027-01-04T22:59:59Z"))
    assert not frozen(freeze, parse_iso("2027-01-04T23:00:00Z"))


def test_a_namespace_that_no_window_is_for_is_open() -> None:
    settings = PolicySettings(windows=(OFFICE.model_copy(update={"namespaces": ("shop*",)}),))
    sunday = parse_iso("2026-01-04T12:00:00Z")
    assert closed(settings, ("other",), sunday) == ("", "")
    why, again = closed(settings, ("other", "shop-eu"), sunday)
    assert "shop-eu may be changed in the windows 'office' only" in why
    assert again == "it may be changed from 2026-01-05 09:00 UTC"
    assert closed(settings, (), sunday)[0], "what belongs to no namespace is under every rule"
    assert closed(settings, ("shop",), parse_iso("2026-01-05T12:00:00Z")) == ("", "")


def test_one_open_window_is_enough_and_a_freeze_closes_them_all() -> None:
    friday = parse_iso("2026-01-09T23:00:00Z")
    both = PolicySettings(windows=(OFFICE, NIGHT))
    assert closed(both, ("shop",), friday) == ("", "")
    freeze = Freeze(name="stock-taking", start="2026-01-09T00:00", end="2026-01-12T10:00")
    why, again = closed(both.model_copy(update={"freezes": (freeze,)}), ("shop",), friday)
    assert "'stock-taking'" in why
    assert again == "it may be changed from 2026-01-12 10:00 UTC", "when the freeze ends, in the office's hours"
    late = freeze.model_copy(update={"end": "2026-01-12T18:00"})
    _, again = closed(both.model_copy(update={"freezes": (late,)}), ("shop",), friday)
    assert again.endswith("2026-01-13 09:00 UTC"), "the next window after the freeze"


def test_a_freeze_for_long_says_that_it_is_not_soon() -> None:
    freeze = Freeze(name="x", start="2026-01-01T00:00", end="2026-12-01T00:00")
    _, again = closed(PolicySettings(freezes=(freeze,)), ("shop",), parse_iso("2026-01-09T23:00:00Z"))
    assert "not within" in again


def test_two_namespaces_open_together_or_not_at_all() -> None:
    rules = (
        ChangeWindow(name="a", start="09:00", end="12:00", namespaces=("a",)),
        ChangeWindow(name="b", start="11:00", end="14:00", namespaces=("b",)),
    )
    _, again = closed(PolicySettings(windows=rules), ("a", "b"), parse_iso("2026-01-05T09:30:00Z"))
    assert again == "it may be changed from 2026-01-05 11:00 UTC"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"from": "9:00"}, "write it as HH:MM"),
        ({"to": "25:00"}, "write it as HH:MM"),
        ({"zone": "Mars/Base"}, "no time zone"),
        ({"days": ["monday"]}, "mon"),
        ({"hours": 3}, "Extra inputs"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChangeWindow.model_validate({"name": "x", **given})


def test_times_as_yaml_reads_them() -> None:
    """YAML 1.1 takes 09:30 for a number to the base of 60, and a date for a date."""
    import yaml

    read = yaml.safe_load("{name: x, from: 9:30, to: 17:00}")
    assert (read["from"], ChangeWindow.model_validate(read).start) == (570, "09:30")
    freeze = yaml.safe_load("{name: x, from: 2026-12-20T00:00:00, to: 2027-01-05}")
    assert Freeze.model_validate(freeze).end == "2027-01-05T00:00"
    with pytest.raises(ValueError, match="name the zone"):
        Freeze.model_validate({"name": "x", "from": "2026-12-20T00:00:00+01:00", "to": "2027-01-01T00:00"})
    with pytest.raises(ValueError, match="end after it begins"):
        Freeze.model_validate({"name": "x", "from": "2026-12-20T00:00", "to": "2026-12-20T00:00"})
