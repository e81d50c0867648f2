"""Pictures of an option decision as inline SVG; the page's colours and legends name what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.app.reports.charts import BENCHMARK, EQUAL, INK, MUTED, POLICY, svg_chart, year_axis
from openbell.app.reports.options_curves import ProfitCurves, StateMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What matplotlib draws, and the property of the page that takes its place.
GOOD, BAD = "#0c0101", "#0c0202"
_SERIES = tuple(f"#0d01{at:02d}" for at in range(1, 7))
_PROPERTIES: Mapping[str, str] = {
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    **{colour: f"var(--c{at})" for at, colour in enumerate(_SERIES, start=1)},
}
_WIDE, _HALF = (6.4, 3.7), (6.4, 3.9)


def _coloured(svg: str) -> str:
    for colour, prop in _PROPERTIES.items():
        svg = svg.replace(colour, prop)
    return svg


def _money_axis(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"{'−' if usd < 0 else ''}${abs(usd):,.0f}"))


def _price_axis(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))


def payoff_chart(curves: ProfitCurves) -> str:
    """Profit over the price of the underlying, today and at the near expiry, with the likely moves and breakevens."""
    at, end = curves.prices, curves.expiry_usd

    def draw(axes: Axes) -> None:
        axes.axvspan(curves.low, curves.high, color=BENCHMARK, alpha=0.13, linewidth=0)
        axes.fill_between(at, end, 0.0, where=end >= 0, color=GOOD, alpha=0.16, linewidth=0)
        axes.fill_between(at, end, 0.0, where=end <= 0, color=BAD, alpha=0.16, linewidth=0)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.axvline(curves.spot, color=MUTED, linewidth=1.1, linestyle=":")
        axes.plot(at, curves.today_usd, color=EQUAL, linewidth=1.5, linestyle=(0, (4, 2)))
        axes.plot(at, end, color=POLICY, linewidth=2.0)
        inside = [each for each in curves.breakevens if at[0] <= each <= at[-1]]
        axes.plot(inside, np.zeros(len(inside)), "o", color=INK, ms=5)
        for each in inside:
            left = each < curves.spot
            place, side = ((-6, 6), "right") if left else ((6, 6), "left")
            axes.annotate(f"{each:,.2f}", (each, 0.0), xytext=place, ha=side, textcoords="offset points", fontsize=9.5)
        axes.set_xlim(at[0], at[-1])
        axes.margins(y=0.09)
        axes.set_xlabel("price of the underlying")
        _price_axis(axes)
        _money_axis(axes)

    return _coloured(svg_chart("payoff", "Profit today and at the near expiry", draw, _WIDE))


def smile_chart(rows: pl.DataFrame, legs: pl.DataFrame, spot: float, window: tuple[float, float]) -> str:
    """Volatility over strikes, one line per expiry, with the legs on it.

    `rows` as `options_curves.smile`; `legs` has ``expiry``, ``strike``, ``ratio``, ``iv``; `window` of strikes.
    """
    shown = rows.filter(pl.col("strike").is_between(*window))
    expiries = shown["expiry"].unique().sort().to_list()

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        axes.axvline(spot, color=MUTED, linewidth=1.1, linestyle=":")
        for number, expiry in enumerate(expiries):
            part = shown.filter(pl.col("expiry") == expiry)
            line = "-" if number == 0 else (0, (4, 2))
            colour = POLICY if number == 0 else EQUAL
            axes.plot(part["strike"].to_numpy(), part["iv"].to_numpy(), color=colour, linestyle=line, linewidth=1.5)
        for row in legs.drop_nulls("iv").iter_rows(named=True):
            bought = row["ratio"] > 0
            axes.plot(
                row["strike"],
                row["iv"],
                "^" if bought else "v",
                ms=10,
                color=GOOD if bought else BAD,
                markeredgewidth=0,
            )
        axes.margins(x=0.02, y=0.12)
        axes.set_xlabel("strike")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _price_axis(axes)

    return _coloured(svg_chart("smile", "Implied volatility over strikes, with the legs", draw, _WIDE))


def map_chart(of: StateMap) -> str:
    """Every past day as a faint dot, the similar ones by what the chosen parameters made on them, and today."""
    won, lost = of.made > 0, of.made <= 0
    dull = ~won & ~lost

    def draw(axes: Axes) -> None:
        _dots(axes, of.past)
        for mask, marker, colour in ((won, "^", GOOD), (lost, "v", BAD), (dull, "o", POLICY)):
            axes.plot(*of.similar[mask].T, marker, ms=6, color=colour, alpha=0.85, markeredgewidth=0)
        axes.plot(*of.today, "*", ms=17, color=EQUAL, markeredgecolor=INK, markeredgewidth=0.7)
        axes.set_xlabel(f"{of.axes[0]}  ({of.share[0]:.0%})")
        axes.set_ylabel(f"{of.axes[1]}  ({of.share[1]:.0%})")
        axes.grid(visible=True, axis="both")

    return _coloured(svg_chart("states", "Past days by the state of their market", draw, _HALF))


def _dots(axes: Axes, places: np.ndarray) -> None:
    """Many dots as one element: each a line of no length with round ends."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.repeat(places, 2, axis=0)
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(places))
    path = Path(corners, codes)
    path.should_simplify = False
    axes.add_patch(PathPatch(path, fill=False, edgecolor=MUTED, linewidth=2.6, alpha=0.28, capstyle="round"))
    axes.update_datalim(places)
    axes.autoscale_view()


def worth_chart(paths: pl.DataFrame, candidates: Sequence[str], baselines: Sequence[str]) -> str:
    """Cumulative utility of each strategy, in units of risk: candidates whole, baselines broken."""
    dates = paths["session"].to_numpy()

    def draw(axes: Axes) -> None:
        for at, name in enumerate(baselines):
            colour, line = _baseline(at)
            axes.plot(dates, paths[name].cum_sum().to_numpy(), color=colour, linestyle=line, linewidth=1.4)
        for at, name in enumerate(candidates):
            axes.plot(dates, paths[name].cum_sum().to_numpy(), color=_SERIES[at % len(_SERIES)], linewidth=1.9)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.set_ylabel("units of risk")
        year_axis(axes)

    return _coloured(svg_chart("worth", "Cumulative utility of every strategy, out of sample", draw, (6.4, 3.8)))


def _baseline(at: int) -> tuple[str, object]:
    return ((EQUAL, (0, (4, 2))), (BENCHMARK, (0, (1.2, 1.8))), (MUTED, (0, (7, 2, 1.5, 2))))[at % 3]


def worth_legend(candidates: Sequence[str], baselines: Sequence[str]) -> list[dict[str, str]]:
    """The key of `worth_chart`."""
    lines = (("var(--equal)", "dashed"), ("var(--bench)", "dotted"), ("var(--muted)", "dashed"))
    own = [
        {"label": name, "colour": f"var(--c{at % len(_SERIES) + 1})", "style": ""} for at, name in enumerate(candidates)
    ]
    return own + [
        {"label": name, "colour": lines[at % 3][0], "style": lines[at % 3][1]} for at, name in enumerate(baselines)
    ]


def exposure_chart(daily: pl.DataFrame, column: str, label: str) -> str:
    """One exposure of the account at each close; a break where a Greek of a held contract is unknown."""
    values = daily[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def draw(axes: Axes) -> None:
        axes.fill_between(daily["session"].to_numpy(), values, 0.0, color=POLICY, alpha=0.15, linewidth=0, step="post")
        axes.step(daily["session"].to_numpy(), values, where="post", color=POLICY, linewidth=1.3)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        if column != "positions":
            _money_axis(axes)
        year_axis(axes)

    return _coloured(svg_chart(f"exposure-{column}", f"{label} at each close", draw, (6.4, 2.6)))
