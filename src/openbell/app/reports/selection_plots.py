"""The pictures of a tournament as PNG, for places that show no page: the same tournament gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from openbell.app.reports.charts import growth_ticks, percent_axis, year_axis
from openbell.app.reports.selection_board import Board
from openbell.quant.performance import drawdowns
from openbell.research.contest import BASELINE, BENCHMARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The page's colours in its light dress: paper is light.
COLOURS = ("#1759b8", "#0b7a66", "#a3306f", "#7a6200", "#5d46b8", "#a8432a")
_LINES: dict[str, tuple[str, Any, float]] = {
    BENCHMARK: ("#6b7280", ":", 1.6),
    BASELINE: ("#b4640a", (0, (4, 2)), 1.6),
}
_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#c9c6bc",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e2e0d8",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.parse_math": False,
}


def equity_curves(of: Board) -> bytes:
    """``equity_curves.png``: the top five by weighted score against the benchmark and equal weight."""
    rank = dict(of.ranking.select("entrant", "rank").iter_rows())
    names = [*of.top, BASELINE, BENCHMARK]
    labels = [f"{rank[name]}  {name}" for name in of.top] + _references(of)
    best = "Top five by weighted score" if of.top else "Nobody was back-tested"
    return _picture(of, names, labels, f"{best}, {of.tries:,} tries")


def champion_vs_benchmark(of: Board) -> bytes:
    """``champion_vs_benchmark.png``: the champion, or, said in the title, who leads without being one."""
    leader = of.leader
    if leader is None:
        title = "No champion: nobody was back-tested"
    elif of.stays:
        title = f"Nobody new: {leader} stays in office"
    elif of.contest.champion is None:
        title = f"No champion. {leader} leads by weighted score and did not pass every gate"
    else:
        title = f"Champion: {leader}, chosen among {of.tries:,} tries on these sessions"
    own = [] if leader is None else [leader]
    return _picture(of, [*own, BASELINE, BENCHMARK], [*own, *_references(of)], title)


def _references(of: Board) -> list[str]:
    return ["equal weight", of.benchmark_name]


def _picture(of: Board, names: Sequence[str], labels: Sequence[str], title: str) -> bytes:
    """Growth above, drawdowns below, on one time axis."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        page = Figure(figsize=(10.5, 7.2), layout="constrained", facecolor="white", dpi=110)
        FigureCanvasAgg(page)
        growth, fall = page.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        _draw(of, names, labels, growth, fall)
        contest = of.contest
        page.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", wrap=True)
        growth.set_title(
            f"{contest.desk} desk, {contest.first} to {contest.last}, {of.sessions:,} sessions, out of sample, after "
            f"costs; the hold-out from {contest.holdout_first} on is not read",
            loc="left",
            fontsize=9,
            color="#5d6875",
        )
        return _png(page)


def _draw(of: Board, names: Sequence[str], labels: Sequence[str], growth: Axes, fall: Axes) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    equity = of.contest.equity
    dates = equity["session"].to_numpy()
    own = [name for name in names if name not in _LINES]
    handles = []
    for name in reversed(names):
        line = _LINES.get(name)
        colour, style, width = line or (COLOURS[own.index(name) % len(COLOURS)], "-", 1.7)
        values = equity[name].to_numpy()
        handles += growth.plot(dates, values / values[0], color=colour, linestyle=style, linewidth=width)
        fall.plot(dates, drawdowns(values), color=colour, linestyle=style, linewidth=0.7 * width)
    growth.set_yscale("log")
    growth.yaxis.set_major_locator(FixedLocator(growth_ticks(*growth.get_ylim())))
    growth.yaxis.set_minor_locator(NullLocator())
    growth.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}×"))
    growth.set_ylabel("growth of 1, logarithmic")
    growth.legend(handles[::-1], labels, loc="upper left", handlelength=2.6)
    fall.set_ylabel("drawdown")
    percent_axis(fall)
    year_axis(fall)


def _png(page: Figure) -> bytes:
    out = io.BytesIO()
    # Matplotlib writes its own version into the file unless it is told not to.
    page.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
