"""Charts as inline SVG: the same input gives the same bytes, and the page's colours decide how they look."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.quant.performance import drawdowns
from openbell.quant.significance import long_run_variance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours drawn by matplotlib, each replaced by a property of the page, so that light, dark and paper follow it.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
POLICY, EQUAL, BENCHMARK = "#0a0101", "#0a0202", "#0a0303"
_PROPERTIES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    POLICY: "var(--policy)",
    EQUAL: "var(--equal)",
    BENCHMARK: "var(--bench)",
}
STYLES: Mapping[str, tuple[str, str, float]] = {
    "benchmark": (BENCHMARK, ":", 1.4),
    "equal_weight": (EQUAL, (0, (4, 2)), 1.4),  # type: ignore[dict-item]
    "policy": (POLICY, "-", 2.0),
}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "font.family": "sans-serif",
    "font.size": 10.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "path.simplify": True,
    "path.simplify_threshold": 0.4,
    "legend.frameon": False,
    # A name from the data with a dollar in it is a name, not a formula.
    "text.parse_math": False,
}


def svg_chart(name: str, title: str, draw: Callable[[Axes], None], size: tuple[float, float]) -> str:
    """What `draw` puts on one pair of axes, as an element that can stand in a page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        page = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasSVG(page)
        axes = page.add_subplot()
        draw(axes)
        out = io.StringIO()
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.print_svg(out, metadata=empty)
    return _inline(out.getvalue(), name, title)


def _inline(text: str, name: str, title: str) -> str:
    """Without prolog, metadata, fixed size and the names of groups; colours and fonts are the page's."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    # Two decimals are enough for places, never for what is written on an axis: only inside tags.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(-?\d+\.\d{2})\d+", r"\1", tag[0]), text)
    box = re.search(r'viewBox="[^"]*"', text)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg {spaces} class="chart" {box[0] if box else ""}'
    title = escape(title, quote=True)
    opening = f'{head} role="img" aria-label="{title}"><title>{title}</title>'
    text = re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1)
    for colour, prop in _PROPERTIES.items():
        text = text.replace(colour, prop)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    return re.sub(r"\n\s*", "\n", text).strip()


def year_axis(axes: Axes) -> None:
    """Few and short dates along the bottom."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    places = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(places)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(places))
    axes.margins(x=0.01)


def percent_axis(axes: Axes, digits: int | None = None) -> None:
    """Fractions along the side, written as percentages; by default with the digits that their range needs."""
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=digits))


def equity_chart(equity: pl.DataFrame, curves: Mapping[str, str]) -> str:
    """Growth of 1 on a logarithmic axis: columns ``session`` and the keys of `curves`; their values are the labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    dates = equity["session"].to_numpy()

    def draw(axes: Axes) -> None:
        for name in (each for each in STYLES if each in curves):
            colour, line, width = STYLES[name]
            growth = equity[name].to_numpy() / equity[name][0]
            axes.plot(dates, growth, color=colour, linestyle=line, linewidth=width, label=curves[name])
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(growth_ticks(*axes.get_ylim())))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}×"))
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="upper left", handlelength=2.4, borderaxespad=0.2)
        year_axis(axes)

    return svg_chart("equity", "Growth of 1 after costs, logarithmic", draw, (6.4, 3.6))


def growth_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis: 1, 2, 5 per decade, or evenly spaced where the range is small."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    wide = high / low > 8.0
    found = LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
    return [float(each) for each in found.tick_values(low, high) if low <= each <= high and each > 0]


def drawdown_chart(equity: pl.DataFrame, curves: Mapping[str, str]) -> str:
    """Fall from the highest mark so far of each curve."""
    dates = equity["session"].to_numpy()

    def draw(axes: Axes) -> None:
        for name in (each for each in STYLES if each in curves):
            colour, line, width = STYLES[name]
            fall = drawdowns(equity[name].to_numpy())
            if name == "policy":
                axes.fill_between(dates, fall, 0.0, color=colour, alpha=0.18, linewidth=0)
            axes.plot(dates, fall, color=colour, linestyle=line, linewidth=width * 0.8)
        percent_axis(axes)
        year_axis(axes)

    return svg_chart("drawdown", "Drawdown after costs", draw, (6.4, 3.6))


def rolling_ic(ics: pl.Series, window: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean coefficient of each `window` dates and the half-width of its 95 % band, shape (n - window + 1,).

    The band is 1.96 standard errors under the dependence of a stationary bootstrap with mean block `block`.
    """
    windows = np.lib.stride_tricks.sliding_window_view(ics.to_numpy(), window)
    error = np.sqrt(long_run_variance(np.ascontiguousarray(windows.T), block) / window)
    return windows.mean(axis=1), 1.96 * error


def ic_chart(ics: pl.DataFrame, *, window: int, block: int) -> str:
    """Rolling mean of the per-date rank IC (columns ``session``, ``rank_ic``, no null) in its band."""
    mean, half = rolling_ic(ics["rank_ic"], window, block)
    dates = ics["session"].to_numpy()[window - 1 :]
    whole = float(ics["rank_ic"].mean())  # type: ignore[arg-type]

    def draw(axes: Axes) -> None:
        axes.fill_between(dates, mean - half, mean + half, color=POLICY, alpha=0.18, linewidth=0)
        axes.plot(dates, mean, color=POLICY, linewidth=1.6)
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.axhline(whole, color=EQUAL, linewidth=1.2, linestyle=(0, (4, 2)))
        where = {"xycoords": "axes fraction", "ha": "right", "va": "bottom"}
        axes.annotate(f"dashed: mean of all {len(ics)} dates, {whole:+.3f}", (1.0, 1.0), color=EQUAL, **where)
        year_axis(axes)

    return svg_chart("ic", f"Rank IC, rolling mean of {window} dates with its 95 % band", draw, (6.4, 3.4))


def quantile_chart(table: pl.DataFrame) -> str:
    """Mean outcome of each quantile with its interval, where it has one."""
    numbers = table["quantile"].to_list()
    averages = table["avg_return"].fill_null(float("nan")).to_numpy()
    low, high = (table[name].fill_null(float("nan")).to_numpy() for name in ("low", "high"))

    def draw(axes: Axes) -> None:
        axes.bar(numbers, averages, color=POLICY, alpha=0.75, width=0.66)
        axes.errorbar(
            numbers,
            averages,
            yerr=np.vstack([averages - low, high - averages]),
            fmt="none",
            ecolor=INK,
            capsize=3,
            elinewidth=1.1,
        )
        axes.axhline(0.0, color=INK, linewidth=0.9)
        axes.set_xticks(numbers, _quantile_names(numbers))
        axes.tick_params(axis="x", length=0)
        percent_axis(axes, 2)

    return svg_chart("quantiles", "Mean return by quantile of the score", draw, (6.4, 3.4))


def _quantile_names(numbers: Sequence[int]) -> list[str]:
    return [
        f"{each}\nlowest" if each == numbers[0] else f"{each}\nhighest" if each == numbers[-1] else f"{each}"
        for each in numbers
    ]


def history_chart(history: pl.DataFrame) -> str:
    """The account's own marks: ``session``, ``equity_usd``."""
    from matplotlib.ticker import StrMethodFormatter

    def draw(axes: Axes) -> None:
        axes.plot(history["session"].to_numpy(), history["equity_usd"].to_numpy(), color=POLICY, linewidth=1.8)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        year_axis(axes)

    return svg_chart("history", "Value of the account in USD", draw, (6.4, 2.6))
