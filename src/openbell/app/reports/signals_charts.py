"""Pictures of the signals desk as inline SVG: what was said and what happened, by how sure it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.app.reports.charts import EQUAL, INK, MUTED, POLICY, svg_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.4, 3.7)
#: A bin with fewer decisions is not drawn: its share jumps by more than the picture can tell.
LEAST_DRAWN = 30


def reliability_chart(rows: pl.DataFrame, commonest: float) -> str:
    """How often the likeliest class came true, over how likely it was said to be; `rows` of one model, by bin.

    `commonest` is the share of the commonest class: what naming it every time would have reached.
    """
    part = rows.filter(pl.col("n") >= LEAST_DRAWN).sort("bin")
    said, happened, low, high = (part[name].to_numpy() for name in ("predicted", "observed", "low", "high"))

    def draw(axes: Axes) -> None:
        axes.plot([1 / 3, 1], [1 / 3, 1], color=INK, linewidth=0.9)
        axes.axhline(commonest, color=EQUAL, linewidth=1.3, linestyle=(0, (4, 2)))
        axes.vlines(said, low, high, color=POLICY, linewidth=2.2, alpha=0.4)
        axes.plot(said, happened, "o-", ms=5, color=POLICY, linewidth=1.4)
        for x, y, n in zip(said, high, part["n"].to_list(), strict=True):
            axes.annotate(f"{n:,}", (x, y), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7.5,
                          color=MUTED)  # fmt: skip
        axes.set_xlim(0.3, 1.02)
        axes.set_ylim(0.0, 1.05)
        axes.set_xlabel("probability of the likeliest class, as said")
        axes.set_ylabel("share that came true")
        _percents(axes)

    return svg_chart("signals-reliability", "What was said and what happened", draw, _SIZE)


def bands_chart(rows: pl.DataFrame, commonest: float) -> str:
    """The share that came true in each band of confidence, with its interval; `rows` in order of the bands."""
    part = rows.filter(pl.col("n") > 0)
    at = np.arange(part.height)

    def draw(axes: Axes) -> None:
        bounds = part.with_row_index("place").drop_nulls("accuracy_low")
        axes.bar(at, part["accuracy"].to_numpy(), width=0.6, color=POLICY, alpha=0.55)
        places = bounds["place"].to_numpy()
        axes.vlines(
            places, bounds["accuracy_low"].to_numpy(), bounds["accuracy_high"].to_numpy(), color=INK, linewidth=1.3
        )
        axes.plot(at, part["confidence"].to_numpy(), "D", ms=5, color=EQUAL)
        axes.axhline(commonest, color=EQUAL, linewidth=1.3, linestyle=(0, (4, 2)))
        axes.set_xticks(at, [f"{band}\nn {n:,}" for band, n in part.select("band", "n").iter_rows()])
        axes.tick_params(axis="x", length=0)
        axes.set_ylim(0.0, 1.0)
        _percents(axes, both=False)

    return svg_chart("signals-bands", "Came true by confidence", draw, _SIZE)


def _percents(axes: Axes, *, both: bool = True) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis) if both else (axes.yaxis,):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
