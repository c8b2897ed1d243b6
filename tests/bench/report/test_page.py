"""The report of a run: every picture from the numbers, nothing from anywhere else, and readable in a real browser."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from stratus.bench.intervals import Rate, rate
from stratus.bench.outcome import Attempted
from stratus.bench.page import page, telling, told
from stratus.bench.page.charts import Spot, _apart, bars, colour_of, episode, scatter
from stratus.bench.record import Record

from ..episodes import calm, outcome, plan, record, scenario

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
UNDONE = Attempted(started_at=1045.0, ended_at=1060.0, summary="Scale <b>search</b>", verdict="REGRESSED", undone=True)
KEPT = Attempted(started_at=1060.0, ended_at=1088.0, summary="Scale geo", verdict="RESOLVED")


def run() -> list[Record]:
    found = [record(calm(), outcome(state="healthy", detected=False, attempts=(), transactions=0))]
    for i in range(12):
        asked = scenario(f"s{i}", family=("scaling", "network", "image")[i % 3], complexity=("low", "high")[i % 2])
        tries = (UNDONE, KEPT) if i == 4 else (KEPT,)
        found.append(record(asked, outcome(attempts=tries, undos=len(tries) - 1, proved=len(tries) - 1), strict=i < 10))
        found.append(record(asked, solver="react", strict=i < 5, violations=("worse",) if i == 11 else ()))
        found.append(record(asked, outcome(state="none", attempts=()), solver="noop", strict=False))
        found.append(record(asked, solver="stratus-no-undo", strict=i < 6))
        found.append(record(asked, outcome(state="unresolved"), solver="malicious", strict=False))
    return found


@pytest.fixture(scope="module")
def html() -> str:
    found = run()
    return page(plan(*found), found)


def test_it_says_what_it_is(html: str) -> None:
    assert "emulated" in html
    assert "stratus bench run" in html
    assert "3 of 4 scenarios covered" in html
    assert "{{" not in html
    assert "None" not in html


def test_it_asks_for_nothing(html: str) -> None:
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=", html)
    assert "url(" not in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_every_picture_is_there(html: str) -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == [
        "How to read this", "Results", "Safety and cost", "Success by family", "Success by complexity",
        "Success by application", "Cost against success", "What each part brings", "Health over time",
        "Episodes of Stratus",
    ]  # fmt: skip
    assert html.count("<svg") == 5 + 3


def test_what_others_say_is_text(html: str) -> None:
    assert "Scale <b>search</b>" not in html
    assert "Scale &lt;b&gt;search&lt;/b&gt;" in html


def test_who_wants_no_success_is_not_in_its_pictures(html: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "react" in pictures
    assert "malicious" not in pictures
    assert "malicious" in html


def test_the_telling_episode_comes_first() -> None:
    found = telling(run())
    assert found[0].job.scenario == "s4"
    assert len({r.job.scenario for r in found}) == len(found) == 3


def test_an_ablation_is_compared_with_the_whole() -> None:
    (less,) = told(run())
    assert (less.name, less.n, less.share, less.decided) == ("stratus-no-undo", 12, "50%", True)
    assert told([r for r in run() if r.job.solver != "stratus"]) == []


def test_a_bar_is_as_long_as_its_share() -> None:
    colours = colour_of(["a", "b"])
    half, none = rate([("1", True), ("2", False)]), Rate()
    drawn = bars([("family", [("a", half), ("b", none)]), ("empty", [("b", none)])], colours, "success")
    widths = [float(w) for w in re.findall(r'<rect[^>]* width="([\d.]+)"', drawn)]
    assert widths == [368.0]
    assert "50% of 2" in drawn
    assert "empty" not in drawn
    assert bars([("x", [("b", none)])], colours, "success") == ""


def test_success_is_up_and_cost_is_right() -> None:
    good, bad = rate([("1", True)]), rate([("1", False)])
    drawn = scatter(
        [Spot(name="a", cost=1.0, success=good), Spot(name="b", cost=100.0, success=bad)], colour_of(["a", "b"]), "s"
    )
    (ax, ay), (bx, by) = (map(float, m) for m in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn))
    assert ax < bx
    assert ay < by
    assert scatter([Spot(name="a", cost=1.0, success=Rate())], {"a": "#000"}, "s") == ""
    alone = scatter([Spot(name="a", cost=0.0, success=good)], {"a": "#000"}, "s")
    assert "nan" not in alone


def test_names_do_not_cover_each_other_and_stay_inside() -> None:
    for wanted in ([10.0, 10.0, 11.0, 90.0], [95.0, 96.0, 97.0], [1.0]):
        placed = _apart(wanted, 14.0, 100.0)
        assert all(b - a >= 14.0 for a, b in itertools.pairwise(placed))
        assert max(placed) <= 100.0


def test_an_episode_shows_the_fault_the_agent_and_what_it_changed() -> None:
    drawn = episode(record(told=outcome(attempts=(UNDONE, KEPT))))
    for words in ("fault", "agent begins", "agent ends", "1 undone", "2 kept", "var(--warnbg)", "var(--goodbg)"):
        assert words in drawn
    assert drawn.count("<path") == 2
    assert episode(record(health=())) == ""


def test_a_run_of_nobody_is_a_page_too() -> None:
    lone = [record(solver="noop", told=outcome(state="none", attempts=()), strict=False, health=())]
    text = page(plan(*lone), lone)
    assert "What each part brings" not in text
    assert "Health over time" not in text


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the package `chromium`")
def test_a_browser_shows_it_without_complaint(html: str, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    file = tmp_path / "bench.html"
    file.write_text(html, encoding="utf-8")
    picture = tmp_path / "bench.png"
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={picture}", "--window-size=1100,2400", "--hide-scrollbars", "--dump-dom",
    )  # fmt: skip
    done = subprocess.run([CHROMIUM, *flags, file.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    shown = unescape(re.sub(r"<[^>]+>", " ", done.stdout))
    for words in ("Success by family", "stratus-no-undo", "1 undone", "Cost against success"):
        assert words in shown
    assert picture.stat().st_size > 30_000
