"""``model_selection_report.html``: the verdict in one sentence, then everything it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbell.app.reports import selection_charts as charts
from openbell.app.reports import selection_tables as tables
from openbell.app.reports.figures import Figure, TooFew
from openbell.app.reports.selection_board import Board, as_figure, board
from openbell.quant.intervals import Estimate
from openbell.research.contest import BASELINE, BENCHMARK, Contest

SECTIONS: tuple[tuple[str, str], ...] = (
    ("leaderboard", "Leaderboard"),
    ("search", "Search and luck"),
    ("curves", "Curves"),
    ("grid", "Models by allocators"),
    ("gates", "Gates"),
    ("costs", "Costs"),
    ("regimes", "Regimes"),
    ("training", "Training"),
    ("tuning", "Tuning"),
    ("coverage", "Intervals"),
    ("features", "Features"),
    ("failures", "Failures"),
    ("notes", "Notes"),
)
#: Names beyond these are counted in a sentence; the tables name all.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out, in a headline and one sentence; `tone` is ``act`` or ``rest``."""

    headline: str
    sentence: str
    tone: str


def verdict(of: Board) -> Verdict:
    """Champion or none, and which gate stopped whom."""
    contest, entrants = of.contest, of.ranking.height
    stopped = [row for row in tables.gate_counts(of) if row["first"]]
    by_gate = "; ".join(f"{row['gate']} stopped {_names(row['first'])}" for row in stopped)
    others = f" Of the others, {by_gate}." if by_gate else ""
    if contest.champion is not None:
        passed = f"passed all {len(of.gates)} gates" if of.gates else "was chosen"
        sentence = f"{contest.champion} {passed}, one of {of.ranking['eligible'].sum()} among {entrants} entrants."
        return Verdict(f"Champion: {contest.champion}", sentence + others, "act")
    if of.stays:
        sentence = f"{of.leader} stays in office: it passed every gate, and nobody beat it."
        return Verdict("The champion in office stays", sentence + others, "rest")
    return Verdict("No champion", _refusal(of, by_gate), "rest")


def _refusal(of: Board, by_gate: str) -> str:
    incumbent, entrants = of.contest.incumbent, of.ranking.height
    kept = "production is unchanged" + (f" ({incumbent} stays in office)" if incumbent else "")
    if not entrants:
        return f"Nobody could be back-tested, so {kept}."
    return f"No entrant of {entrants} passed every gate, so {kept}" + (f": {by_gate}." if by_gate else ".")


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def headline_figures(of: Board) -> list[Figure | TooFew]:
    """Sharpe ratio and active return of the leader, with interval, n, tries and base rate."""
    if of.leader is None:
        return []
    row: dict[str, Any] = of.row(of.leader)
    bounds = (row["sharpe_lower"], row["sharpe_upper"])
    whole = None not in (row["sharpe"], *bounds)
    ratio = Estimate(row["sharpe"], *(bounds if whole else (None, None)), row["n"], 0.95, 1)
    plain = of.curves[BASELINE].sharpe.value
    beside = as_figure(f"Sharpe ratio of {of.leader}", ratio, plain, "equal weight", of.tries)
    return [of.added[of.leader], beside]


def legends(of: Board) -> dict[str, list[dict[str, str]]]:
    """What each colour of the pictures means, for the page."""
    own = [
        {"label": _called(of, name), "colour": charts.series_property(at), "style": ""}
        for at, name in enumerate(of.top)
    ]
    return {
        "legend_own": own,
        "legend_entries": [
            *own,
            {"label": "equal weight", "colour": "var(--equal)", "style": "dashed"},
            {"label": of.benchmark_name, "colour": "var(--bench)", "style": "dotted"},
        ],
        "legend_coverage": [
            {"label": "adaptive", "colour": "var(--policy)", "style": ""},
            {"label": "conformal", "colour": "var(--equal)", "style": "dashed"},
        ],
    }


def _called(of: Board, name: str) -> str:
    return f"{name} (champion)" if name == of.contest.champion else name


def drawn(of: Board) -> list[str]:
    """Columns of the curves: the top entrants, equal weight, the benchmark."""
    return [*of.top, BASELINE, BENCHMARK]


def _charts(of: Board) -> dict[str, Any]:
    contest = of.contest
    made: dict[str, Any] = {
        "growth": charts.growth_chart(contest.equity, drawn(of), key="top"),
        "underwater": _underwater(of),
        "coverage": {
            model: charts.coverage_chart(part, f"{at}")
            for at, ((model,), part) in enumerate(contest.calibration.group_by("model", maintain_order=True))
        },
    }
    if tables.costs(of)["rows"]:
        made["costs"] = charts.cost_chart(contest.costs, of.top)
    return made


def _underwater(of: Board) -> str:
    """The leader's drawdown in the colour that the legend gives it; without a leader, equal weight's."""
    equity, leader = of.contest.equity, of.leader
    if leader is None:
        return charts.underwater_chart(equity, BASELINE, [BENCHMARK], key="top")
    return charts.underwater_chart(equity, leader, [BASELINE, BENCHMARK], key="top", at=of.top.index(leader))


def context(of: Board) -> dict[str, Any]:
    """What the template is given."""
    contest = of.contest
    rows, trained = tables.leaderboard(of), tables.training(of)
    sharpes = [{"low": curve.sharpe.low, "high": curve.sharpe.high} for curve in of.curves.values()]
    bounds = [{"low": row["sharpe_lower"], "high": row["sharpe_upper"]} for row in rows]
    grids = [
        ("Sharpe ratio", "number", False, tables.grid(of, "sharpe")),
        ("Active return a year", "percent", True, tables.grid(of, "active_return")),
    ]
    return {
        "board": of,
        "contest": contest,
        "verdict": verdict(of),
        "leader": None if of.leader is None else of.row(of.leader),
        "tiles": headline_figures(of),
        "sections": SECTIONS,
        "rows": rows,
        "sharpe_span": tables.span_of([*bounds, *sharpes], "low", "high"),
        "references": [("equal weight", of.curves[BASELINE]), (of.benchmark_name, of.curves[BENCHMARK])],
        "significance": tables.significance(of),
        "unsaid": [title for name, (title, _) in tables.MEANINGS.items() if name not in contest.significance],
        "grids": grids,
        "incomplete": incomplete(of),
        "gates": tables.gate_counts(of),
        "stops": tables.stops(of),
        "costs": tables.costs(of),
        "regimes": tables.regimes(of),
        "training": trained,
        "ic_span": tables.span_of(trained, "rank_ic_lower", "rank_ic_upper"),
        "tuning": tables.tuning(of),
        "coverage": tables.coverage(of),
        "importance": tables.importance(of),
        "shap": tables.shap(of),
        "failures": tables.failures(of),
        "fallbacks": tables.fallbacks(of),
        "parameters": [(name.replace("_", " "), tables.plain(value)) for name, value in contest.parameters.items()],
        "charts": _charts(of),
        **legends(of),
    }


def incomplete(of: Board) -> list[str]:
    """Models that lack a back-test with one of the allocators."""
    return [model for model, cells in tables.grid(of, "sharpe")["rows"] if None in cells]


def write_model_selection(contest: Contest | Board) -> str:
    """One self-contained page that opens offline: the same tournament gives the same bytes.

    Raises
    ------
    Refused
        On a tournament that read its hold-out, lacks its tries, or holds a figure without its n (check 5).
    """
    from openbell.app.reports.page import render

    of = contest if isinstance(contest, Board) else board(contest)
    values: Mapping[str, Any] = context(of)
    return render("model_selection.html.jinja", values)
