"""The report of a run as one self-contained HTML file: no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stratus.bench.agents import OURS, WITHOUT
from stratus.bench.comparing import chosen, compare
from stratus.bench.intervals import Rate
from stratus.bench.page.charts import Spot, bars, colour_of, episode, scatter
from stratus.bench.record import Plan, Record
from stratus.bench.summary import Block, Summary, agent_of, summarise
from stratus.errors import UsageError
from stratus.model.base import Noun

NOT_TRYING = ("malicious",)
"""Agents that are not in the pictures of success: they do not want any."""
SHOWN = 3
"""Episodes that are drawn."""
LISTED = 400
"""Episodes of Stratus that are listed one by one."""


class Told(Noun):
    """What an ablation costs, against the whole of Stratus on the same episodes."""

    name: str
    n: int
    share: str
    difference: str
    decided: bool
    violations: int
    whole_violations: int


def page(plan: Plan, found: Sequence[Record]) -> str:
    """Return the report as an HTML document (UTF-8 text)."""
    summary = summarise(plan, found)
    names = sorted(summary.overall, key=lambda n: (not n.startswith(OURS), n))
    colours = colour_of(names)
    main = [n for n in names if not n.startswith(WITHOUT) and n not in NOT_TRYING]
    tokens = any((summary.overall[n].tokens.value or 0) > 0 for n in main)
    axis = "tokens an episode" if tokens else "processor seconds an episode"
    spots = [Spot(name=n, cost=_cost(summary.overall[n], tokens), success=_success(summary.overall[n])) for n in main]
    parts = [n for n in names if n == OURS or n.startswith(WITHOUT)]
    return _environment().get_template("bench.html.j2").render(
        summary=summary,
        plan=plan,
        names=names,
        main=main,
        colours=colours,
        ours=summary.overall.get(OURS),
        gaps=plan.coverage,
        by_family=_svg(bars(_by(summary, main, "family"), colours, "success by family")),
        by_app=_svg(bars(_by(summary, main, "app"), colours, "success by application")),
        by_complexity=_svg(bars(_by(summary, main, "complexity"), colours, "success by complexity")),
        cost=_svg(scatter(spots, colours, axis)),
        ablation=_svg(bars([(n, [(n, _success(summary.overall[n]))]) for n in parts], colours, "ablations"))
        if len(parts) > 1
        else "",
        told=told(found),
        drawn=[(r, _svg(episode(r))) for r in telling(found)],
        listed=sorted((r for r in found if r.job.solver == OURS), key=lambda r: r.job.name)[:LISTED],
    )  # fmt: skip


def told(found: Sequence[Record]) -> list[Told]:
    """Compare each ablation with the whole, episode by episode."""
    rows = []
    for name in sorted({r.job.solver for r in found if r.job.solver.startswith(WITHOUT)}):
        try:
            whole, less = chosen(found, OURS, "the run"), chosen(found, name, "the run")
            marks = {d.mark: d for d in compare(whole, less)}
        except UsageError:
            continue
        healed = marks["mitigation_strict"]
        common = whole.keys() & less.keys()
        rows.append(
            Told(
                name=name,
                n=healed.n,
                share=f"{healed.second or 0.0:.0%}",
                difference=healed.difference.text(),
                decided=healed.decided,
                violations=sum(bool(less[k].violations) for k in common),
                whole_violations=sum(bool(whole[k].violations) for k in common),
            )
        )
    return rows


def telling(found: Sequence[Record]) -> list[Record]:
    """Return the episodes that tell most: Stratus', with something undone and then repaired; else any with changes."""

    def worth(r: Record) -> tuple[bool, bool, bool, int, str]:
        tries = r.outcome.attempts if r.outcome else ()
        undone = any(a.undone for a in tries)
        return (
            r.job.solver != OURS,
            not (undone and r.score.mitigation_strict),
            not tries,
            -len(tries),
            r.job.name,
        )

    drawable = [r for r in found if len(r.health) > 1 and r.outcome is not None]
    first: dict[str, Record] = {}
    for record in sorted(drawable, key=worth):
        first.setdefault(record.job.scenario, record)
    return list(first.values())[:SHOWN]


def _by(summary: Summary, main: list[str], part: str) -> list[tuple[str, list[tuple[str, Rate]]]]:
    values = sorted({value for n in main for value in summary.overall[n].by.get(part, {})})
    rows = []
    for value in values:
        known = [(n, summary.overall[n].by[part].get(value)) for n in main]
        rows.append((value.rsplit("/", 1)[-1], [(n, f.mitigation_strict) for n, f in known if f is not None]))
    return rows


def _cost(block: Block, tokens: bool) -> float:
    return (block.tokens.value if tokens else block.cpu.value) or 0.0


def _success(block: Block) -> Rate:
    return block.mitigation_strict


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - our own SVG; names in it are escaped


@cache
def _environment() -> Environment:
    loaders = ChoiceLoader([PackageLoader("stratus.bench.page"), PackageLoader("stratus.reporting")])
    env = Environment(loader=loaders, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    env.filters["agent"] = agent_of
    return env
