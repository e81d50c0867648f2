"""Charts of a tournament and of a tear sheet as inline SVG; names stand in the page's legend, not in the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.app.reports.charts import (
    BENCHMARK,
    EQUAL,
    INK,
    MUTED,
    POLICY,
    growth_ticks,
    percent_axis,
    svg_chart,
    year_axis,
)
from openbell.quant.performance import drawdowns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What matplotlib draws, and the property of the page that takes its place.
SERIES: Mapping[str, str] = {f"#0b010{at}": f"var(--c{at})" for at in range(1, 7)}
_LINES: Mapping[str, tuple[str, object, float]] = {
    "benchmark": (BENCHMARK, ":", 1.6),
    "equal_weight": (EQUAL, (0, (4, 2)), 1.6),
}
_SIZE = (6.4, 3.6)


def series_colour(at: int) -> str:
    """The colour of the series at place `at`, as matplotlib draws it."""
    colours = list(SERIES)
    return colours[at % len(colours)]


def series_property(at: int) -> str:
    """The same colour as the page's own property, for a legend."""
    return SERIES[series_colour(at)]


def _coloured(svg: str) -> str:
    for colour, prop in SERIES.items():
        svg = svg.replace(colour, prop)
    return svg


def _line(name: str, at: int) -> tuple[str, object, float]:
    return _LINES.get(name) or (series_colour(at), "-", 1.5)


def _each(names: Sequence[str]) -> list[tuple[str, tuple[str, object, float]]]:
    """Each curve with its colour, line and width: the references do not use up a colour."""
    own = [name for name in names if name not in _LINES]
    return [(name, _line(name, own.index(name) if name in own else 0)) for name in names]


def growth_chart(equity: pl.DataFrame, names: Sequence[str], *, key: str, logarithmic: bool = True) -> str:
    """Growth of 1 of each of `names`, the references dashed and dotted."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    dates = equity["session"].to_numpy()

    def draw(axes: Axes) -> None:
        for name, (colour, line, width) in reversed(_each(names)):
            axes.plot(dates, equity[name].to_numpy() / equity[name][0], color=colour, linestyle=line, linewidth=width)  # type: ignore[arg-type]
        if logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(FixedLocator(growth_ticks(*axes.get_ylim())))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}×"))
        year_axis(axes)

    title = "Growth of 1 after costs" + (", logarithmic" if logarithmic else "")
    return _coloured(svg_chart(f"{key}-growth", title, draw, _SIZE))


def underwater_chart(equity: pl.DataFrame, name: str, references: Sequence[str], *, key: str, at: int = 0) -> str:
    """Fall from the highest mark so far of one curve, filled, before the references; `at` is its place in a legend."""
    dates = equity["session"].to_numpy()
    lines = [(name, (_LINES.get(name) or (series_colour(at), "-", 1.8))), *_each(references)]

    def draw(axes: Axes) -> None:
        for each, (colour, line, width) in reversed(lines):
            fall = drawdowns(equity[each].to_numpy())
            if each == name:
                axes.fill_between(dates, fall, 0.0, color=colour, alpha=0.18, linewidth=0)
            axes.plot(dates, fall, color=colour, linestyle=line, linewidth=0.8 * width)  # type: ignore[arg-type]
        percent_axis(axes)
        year_axis(axes)

    return _coloured(svg_chart(f"{key}-underwater", "Drawdown after costs", draw, _SIZE))


def cost_chart(costs: pl.DataFrame, names: Sequence[str]) -> str:
    """Active return of each of `names` over what a trade costs: columns ``entrant``, ``cost_bp``, ``active_return``."""

    def draw(axes: Axes) -> None:
        for name, (colour, _, width) in reversed(_each(names)):
            part = costs.filter(pl.col("entrant") == name).sort("cost_bp").drop_nulls("active_return")
            axes.plot(
                part["cost_bp"].to_numpy(), part["active_return"].to_numpy(), "o-", ms=4, color=colour, linewidth=width
            )
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.set_xticks(sorted(costs["cost_bp"].unique().to_list()))
        axes.set_xlabel("bp on every trade")
        percent_axis(axes)

    return _coloured(svg_chart("costs", "Active return over costs", draw, (6.4, 3.2)))


def coverage_chart(part: pl.DataFrame, key: str) -> str:
    """Coverage of one model's intervals over time, plain and adaptive, beside the nominal one."""
    part = part.sort("session")
    dates = part["session"].to_numpy()

    def draw(axes: Axes) -> None:
        for name, colour, line in (
            ("coverage", EQUAL, (0, (4, 2))),
            ("adaptive_coverage", POLICY, "-"),
        ):
            values = part[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            axes.plot(dates, values, color=colour, linestyle=line, linewidth=1.6)  # type: ignore[arg-type]
        axes.axhline(float(part["nominal"][0]), color=INK, linewidth=0.9)
        percent_axis(axes)
        year_axis(axes)

    return svg_chart(f"coverage-{key}", "Coverage of the intervals over time", draw, (6.4, 2.8))


def yearly_chart(years: Sequence[int], ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return of each calendar year, beside the benchmark's."""
    at = np.arange(len(years))

    def draw(axes: Axes) -> None:
        axes.bar(at - 0.2, ours, width=0.38, color=POLICY, alpha=0.85)
        axes.bar(at + 0.2, theirs, width=0.38, color=BENCHMARK, alpha=0.6)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.set_xticks(at, [str(year) for year in years])
        axes.tick_params(axis="x", length=0, rotation=0 if len(years) < 11 else 60)
        percent_axis(axes)

    return svg_chart("years", "Return by calendar year", draw, (6.4, 3.2))


def rolling_chart(dates: np.ndarray, ours: np.ndarray, theirs: np.ndarray, *, name: str, percent: bool) -> str:
    """A rolling measure of the curve and of its benchmark."""

    def draw(axes: Axes) -> None:
        axes.plot(dates, theirs, color=BENCHMARK, linestyle=":", linewidth=1.5)
        axes.plot(dates, ours, color=POLICY, linewidth=1.6)
        if percent:
            percent_axis(axes)
            axes.set_ylim(bottom=0.0)
        else:
            axes.axhline(0.0, color=INK, linewidth=0.9)
        year_axis(axes)

    return svg_chart(f"rolling-{name}", f"Rolling {name}", draw, (6.4, 3.0))


def distribution_chart(r: np.ndarray, *, value_at_risk: float, expected_shortfall: float) -> str:
    """Histogram of daily returns with the two tail measures."""

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        axes.hist(r, bins=min(60, max(10, round(2 * len(r) ** (1 / 3)))), color=POLICY, alpha=0.7)
        for value, line, name in (
            (value_at_risk, "-", "VaR 95 %"),
            (expected_shortfall, (0, (4, 2)), "CVaR 95 %"),
        ):
            axes.axvline(value, color=EQUAL, linewidth=1.4, linestyle=line, label=f"{name}: {value:.2%}")  # type: ignore[arg-type]
        axes.axvline(0.0, color=MUTED, linewidth=0.9)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        axes.set_ylabel("sessions")
        axes.legend(loc="upper right", handlelength=2.2, borderaxespad=0.2)

    return svg_chart("distribution", "Distribution of daily returns", draw, (6.4, 3.2))
