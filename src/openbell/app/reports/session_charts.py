"""Pictures of the session desk as inline SVG: what was said and what happened, drift, contributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.reports.charts import EQUAL, INK, MUTED, POLICY, svg_chart, year_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.4, 3.7)
#: A bin with fewer sessions is not drawn: its share jumps by more than the picture can tell.
LEAST_DRAWN = 10
#: Features and sessions of the picture of contributions.
MOST_FEATURES, MOST_SESSIONS = 10, 120


def reliability_chart(rows: pl.DataFrame, words: str, base: float) -> str:
    """How often something happened over how likely it was said to be; `rows` of one model and view, by bin.

    `words` say of what. `base` is how often it happened over all.
    """
    part = rows.filter(pl.col("n") >= LEAST_DRAWN).sort("bin")
    said, happened, low, high = (part[name].to_numpy() for name in ("predicted", "observed", "low", "high"))

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
        axes.axhline(base, color=EQUAL, linewidth=1.3, linestyle=(0, (4, 2)))
        axes.vlines(said, low, high, color=POLICY, linewidth=2.2, alpha=0.4)
        axes.plot(said, happened, "o-", ms=5, color=POLICY, linewidth=1.4)
        for x, y, n in zip(said, high, part["n"].to_list(), strict=True):
            axes.annotate(f"{n:,}", (x, y), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7.5,
                          color=MUTED)  # fmt: skip
        axes.set_xlim(0.0, 1.0)
        axes.set_ylim(0.0, 1.08)
        axes.set_xlabel(f"probability of {words}, as said")
        axes.set_ylabel("share that came")
        _percents(axes)

    return svg_chart("session-reliability", "What was said and what happened", draw, _SIZE)


def drift_chart(rows: pl.DataFrame, name: str, limit: float, whole: float) -> str:
    """A rolling score (``log_loss`` or ``auc``) with the limit at which the watch rings and its value over the walk."""
    dates, values = rows["session"].to_numpy(), rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    words = {"log_loss": "log-loss, nats a session", "auc": "area under the ROC curve"}[name]

    def draw(axes: Axes) -> None:
        axes.plot(dates, values, color=POLICY, linewidth=1.5)
        axes.axhline(whole, color=INK, linewidth=0.9)
        axes.axhline(limit, color=EQUAL, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.set_ylabel(words)
        year_axis(axes)

    return svg_chart(f"session-drift-{name}", f"Rolling {words}", draw, (6.4, 3.0))


def contributions_chart(rows: pl.DataFrame, order: list[str], words: str) -> str:
    """A point per session and feature: how far it moved the forecast, and whether its value was low or high.

    `rows` : of `research.session_reasons.contribution_rows`. `order` : features, the heaviest first.
    """
    shown = order[:MOST_FEATURES]
    latest = rows["session"].unique().sort().tail(MOST_SESSIONS)
    part = rows.filter(pl.col("feature").is_in(shown) & pl.col("session").is_in(latest.implode()))

    def draw(axes: Axes) -> None:
        for place, name in enumerate(shown):
            own = part.filter(pl.col("feature") == name).sort("session")
            # Points of equal contribution are spread by their order in time: the picture is the same each time.
            spread = 0.32 * ((np.arange(own.height) * 0.618) % 1.0 - 0.5)
            rank = own["value"].rank() / max(own["value"].drop_nulls().len(), 1)
            high = (rank.fill_null(0.5) > 0.5).to_numpy()
            at, moved = -place + spread, own["contribution"].to_numpy()
            for chosen, colour in ((~high, EQUAL), (high, POLICY)):
                axes.plot(moved[chosen], at[chosen], "o", ms=2.6, color=colour, alpha=0.7, markeredgewidth=0)
            axes.axhline(-place, color=MUTED, linewidth=0.4, alpha=0.4)
        axes.axvline(0.0, color=INK, linewidth=0.9)
        axes.set_yticks([-place for place in range(len(shown))], shown)
        axes.set_ylim(-len(shown) + 0.4, 0.6)
        axes.set_xlabel(words)
        axes.grid(visible=False)

    return svg_chart("session-contributions", "Contributions of each feature", draw, (6.4, 0.9 + 0.34 * len(shown)))


def _percents(axes: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
