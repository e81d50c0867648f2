"""Pictures of the gate's walk as inline SVG: what was said and what happened, money by day, calibration over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.app.reports.charts import BENCHMARK, EQUAL, INK, MUTED, POLICY, percent_axis, svg_chart, year_axis
from openbell.core.trade_rows import LEVELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What matplotlib draws, and the property of the page that takes its place.
_SERIES = tuple(f"#0e01{at:02d}" for at in range(1, 7))
_PROPERTIES: Mapping[str, str] = {colour: f"var(--c{at})" for at, colour in enumerate(_SERIES, start=1)}
#: What taking every trade, and the price alone, look like in every picture.
_REFERENCES: Mapping[str, tuple[str, object, str, str]] = {
    "take_all": (BENCHMARK, ":", "var(--bench)", "dotted"),
    "price": (EQUAL, (0, (4, 2)), "var(--equal)", "dashed"),
}
_SIZE = (6.4, 3.7)
#: A bin with fewer trades is not drawn: its share jumps by more than the picture can tell.
LEAST_DRAWN = 30


def _coloured(svg: str) -> str:
    for colour, prop in _PROPERTIES.items():
        svg = svg.replace(colour, prop)
    return svg


def reliability_chart(rows: pl.DataFrame, shown: str) -> str:
    """What happened over what was said, of the model `shown` with its intervals and of the price; `rows` by bin."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
        for name, colour, mark in (("price", EQUAL, "s"), (shown, POLICY, "o")):
            part = rows.filter((pl.col("model") == name) & (pl.col("n") >= LEAST_DRAWN)).sort("bin")
            if name == shown:
                bounds = part.drop_nulls("observed_low")
                low, high = bounds["observed_low"].to_numpy(), bounds["observed_high"].to_numpy()
                axes.vlines(bounds["said"].to_numpy(), low, high, color=colour, linewidth=2.2, alpha=0.4)
            line = "-" if name == shown else (0, (4, 2))
            axes.plot(part["said"].to_numpy(), part["observed"].to_numpy(), mark, ms=5, color=colour, linestyle=line,
                      linewidth=1.4)  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("probability of a win, as said")
        axes.set_ylabel("share that won")
        _percents(axes)

    return svg_chart("gate-reliability", "What was said and what happened", draw, _SIZE)


def _percents(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def money_chart(daily: pl.DataFrame, models: Sequence[str]) -> str:
    """Cumulative USD of one unit of every trade taken: each of `models`, the price alone, and taking every trade."""
    dates = daily["session"].to_numpy()

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter

        for name, (colour, line, _, _) in _REFERENCES.items():
            axes.plot(dates, daily[name].cum_sum().to_numpy(), color=colour, linestyle=line, linewidth=1.6)  # type: ignore[arg-type]
        for at, name in reversed(list(enumerate(models))):
            axes.plot(dates, daily[name].cum_sum().to_numpy(), color=_SERIES[at % len(_SERIES)], linewidth=1.7)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"{'−' if usd < 0 else ''}${abs(usd):,.0f}"))
        year_axis(axes)

    return _coloured(svg_chart("gate-money", "Cumulative profit by who decides", draw, _SIZE))


def money_legend(models: Sequence[str]) -> list[dict[str, str]]:
    """The key of `money_chart`."""
    own = [{"label": name, "colour": f"var(--c{at % len(_SERIES) + 1})", "style": ""} for at, name in enumerate(models)]
    names = {"take_all": "every trade taken", "price": "by the price alone"}
    return own + [{"label": names[name], "colour": each[2], "style": each[3]} for name, each in _REFERENCES.items()]


def calibration_chart(quarters: pl.DataFrame, shown: str) -> str:
    """By quarter, how much more often trades won than was said, of the model `shown` and of the price."""

    def draw(axes: Axes) -> None:
        axes.axhline(0.0, color=INK, linewidth=0.9)
        for name, colour, mark in (("price", EQUAL, "s"), (shown, POLICY, "o")):
            part = quarters.filter(pl.col("model") == name).sort("quarter")
            dates = part["quarter"].to_numpy()
            if name == shown:
                known = part["gap_low"].is_not_null().to_numpy()
                low, high = (part[each].cast(pl.Float64).to_numpy()[known] for each in ("gap_low", "gap_high"))
                axes.vlines(dates[known], low, high, color=colour, linewidth=2.2, alpha=0.4)
            line = "-" if name == shown else (0, (4, 2))
            axes.plot(dates, part["gap"].to_numpy(), mark, ms=5, color=colour, linestyle=line, linewidth=1.3)
        axes.set_ylabel("won more (+) or less (−) than said")
        percent_axis(axes)
        year_axis(axes)
        axes.margins(x=0.04)

    return svg_chart("gate-calibration", "Calibration by quarter", draw, _SIZE)


def weights_chart(weights: pl.DataFrame, shown: str) -> str:
    """Who speaks in each cell: the mean weight of every level of the hierarchy, as one bar of length 1."""
    part = weights.filter(pl.col("model") == shown).sort("symbol", "strategy", descending=True)
    labels = [f"{symbol} {strategy}" for symbol, strategy in part.select("symbol", "strategy").iter_rows()]
    at = np.arange(len(labels))

    def draw(axes: Axes) -> None:
        left = np.zeros(len(labels))
        for number, level in enumerate(LEVELS):
            width = part[f"weight_{level}"].to_numpy()
            axes.barh(at, width, left=left, height=0.74, color=_SERIES[number % len(_SERIES)], alpha=0.8, linewidth=0)
            left = left + width
        for place, n in zip(at, part["effective_n"].to_list(), strict=True):
            if n is None:
                continue
            axes.annotate(f"{n:,.0f}", (1.0, place), xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize=8, color=MUTED)  # fmt: skip
        axes.set_yticks(at, labels, fontsize=8)
        axes.set_xlim(0, 1.0)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)

    height = max(2.2, 0.9 + 0.19 * len(labels))
    return _coloured(svg_chart("gate-weights", "Weight of each level by symbol and strategy", draw, (6.4, height)))


def weights_legend() -> list[dict[str, str]]:
    """The key of `weights_chart`."""
    return [
        {"label": level.replace("_", " and "), "colour": f"var(--c{at})", "style": ""}
        for at, level in enumerate(LEVELS, start=1)
    ]
