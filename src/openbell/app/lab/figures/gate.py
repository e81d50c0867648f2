"""Figures of the gate's walk-forward: what was said and what happened, calibration over time, money by who decides."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

#: A bin with fewer trades is not drawn: its share jumps by more than the picture can tell.
LEAST_DRAWN = 30


def reliability(rows: pl.DataFrame, shown: str) -> go.Figure:
    """Share of wins over the probability that was said, of the model `shown` with its interval and of the price."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="as said", line={"width": 1, "dash": "dot"})
    for name, symbol, dash in ((shown, "circle", "solid"), ("price", "square", "dash")):
        part = rows.filter((pl.col("model") == name) & (pl.col("n") >= LEAST_DRAWN)).sort("bin")
        figure.add_scatter(
            x=part["said"].to_list(), y=part["observed"].to_list(), mode="lines+markers", name=name,
            marker={"symbol": symbol}, line={"dash": dash}, customdata=part["n"].to_list(),
            error_y=_bounds(part, "observed") if name == shown else None,
            hovertemplate="said %{x:.1%}, won %{y:.1%}, n %{customdata:,}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="probability of a win, as said", yaxis_title="share that won")
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    return figure


def calibration(quarters: pl.DataFrame, shown: str) -> go.Figure:
    """By quarter, how much more often trades won than was said, of the model `shown` and of the price."""
    figure = go.Figure()
    for name, symbol, dash in ((shown, "circle", "solid"), ("price", "square", "dash")):
        part = quarters.filter(pl.col("model") == name).sort("quarter")
        words = pl.format("{} Q{}", pl.col("quarter").dt.year(), pl.col("quarter").dt.quarter())
        figure.add_scatter(
            x=part.select(words).to_series().to_list(), y=part["gap"].to_list(), mode="lines+markers", name=name,
            marker={"symbol": symbol}, line={"dash": dash}, error_y=_bounds(part, "gap") if name == shown else None,
        )  # fmt: skip
    figure.add_hline(y=0.0)
    figure.update_layout(
        template="openbell", xaxis_title="quarter", yaxis_title="won more (+) or less (−) often than said"
    )
    figure.update_yaxes(tickformat="+.1%")
    return figure


def money(daily: pl.DataFrame) -> go.Figure:
    """Cumulative USD of one unit of every trade taken: by each model, by the price alone, and of all trades."""
    names = {"take_all": "every trade taken", "price": "by the price alone"}
    figure = go.Figure()
    for name in (each for each in daily.columns if each != "session"):
        dash = {"take_all": "dot", "price": "dash"}.get(name, "solid")
        figure.add_scatter(
            x=daily["session"].to_list(), y=daily[name].cum_sum().to_list(), mode="lines", name=names.get(name, name),
            line={"dash": dash},
        )  # fmt: skip
    figure.add_hline(y=0.0)
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title="cumulative profit, USD")
    figure.update_yaxes(tickformat="$,.0f")
    return figure


def _bounds(part: pl.DataFrame, name: str) -> dict[str, object]:
    """Error bars from ``x_low`` to ``x_high``; a point without an interval has none."""
    above, below = part[f"{name}_high"] - part[name], part[name] - part[f"{name}_low"]
    return {"type": "data", "array": above.to_list(), "arrayminus": below.to_list(), "width": 3, "thickness": 1.5}
