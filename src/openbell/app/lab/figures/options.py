"""Figures of option chains and structures: smiles with what is fitted, profit over prices, similar days."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

_PERCENT, _USD = ".0%", "$,.0f"


def smile(points: pl.DataFrame, curves: pl.DataFrame, spot: float) -> go.Figure:
    """Volatility over strikes: quotes with the width of bid and ask, the slice's own fit and the surface's.

    `points` and `curves` as `looks.options.smile_points` and `smile_curves` give them; `spot` in points.
    """
    figure = go.Figure()
    for right, symbol in (("PUT", "triangle-down"), ("CALL", "triangle-up")):
        part = points.filter(pl.col("right") == right)
        below, above = ((part[one] - part[other]).to_list() for one, other in (("iv", "low"), ("high", "iv")))
        figure.add_scatter(
            x=part["strike"].to_list(), y=part["iv"].to_list(), mode="markers", name=f"{right.lower()}s, mid",
            marker={"symbol": symbol, "size": 7},
            error_y={"type": "data", "array": above, "arrayminus": below, "thickness": 1, "width": 0},
        )  # fmt: skip
    for name, word, dash in (("svi", "SVI of this expiry", "solid"), ("ssvi", "SSVI surface of all", "dash")):
        known = curves.drop_nulls(name)
        figure.add_scatter(
            x=known["strike"].to_list(), y=known[name].to_list(), mode="lines", name=word, line={"dash": dash}
        )
    figure.add_vline(x=spot, line_dash="dot", annotation_text=f"spot {spot:,.2f}")
    figure.update_layout(template="openbell", xaxis_title="strike, points", yaxis_title="implied volatility per year")
    figure.update_yaxes(tickformat=_PERCENT, rangemode="tozero")
    return figure


def payoff(curves: pl.DataFrame, spot: float, breakevens: Sequence[float], expiry: str) -> go.Figure:
    """Profit over the price of the underlying, now and at the near expiry; `curves` as `payoff_curves` gives them."""
    at = curves["price"].to_list()
    figure = go.Figure()
    figure.add_scatter(x=at, y=curves["expiry_usd"].to_list(), mode="lines", name=f"at {expiry}", line={"width": 3})
    figure.add_scatter(x=at, y=curves["today_usd"].to_list(), mode="lines", name="now", line={"dash": "dash"})
    figure.add_hline(y=0.0)
    figure.add_vline(x=spot, line_dash="dot", annotation_text=f"spot {spot:,.2f}", annotation_position="top right")
    inside = [each for each in breakevens if at[0] <= each <= at[-1]]
    figure.add_scatter(
        x=inside, y=[0.0] * len(inside), mode="markers+text", name="breaks even", text=[f"{x:,.2f}" for x in inside],
        textposition="bottom center", marker={"size": 9, "symbol": "diamond"},
    )  # fmt: skip
    figure.update_layout(
        template="openbell", xaxis_title="price of the underlying, points", yaxis_title="profit of one unit, USD"
    )
    figure.update_yaxes(tickformat=_USD)
    return figure


def similar(days: pl.DataFrame) -> go.Figure:
    """What the chosen parameters made on each similar day, over how unlike today the day was.

    `days` has ``session``, ``distance`` and ``return_on_risk``, null where a day could not be simulated.
    """
    known = days.drop_nulls("return_on_risk")
    figure = go.Figure()
    for word, mask, symbol in (("won", pl.col("return_on_risk") > 0, "triangle-up"),
                               ("lost or nothing", pl.col("return_on_risk") <= 0, "triangle-down")):  # fmt: skip
        part = known.filter(mask)
        figure.add_scatter(
            x=part["distance"].to_list(), y=part["return_on_risk"].to_list(), mode="markers",
            name=f"{word}: {part.height}", marker={"symbol": symbol, "size": 9},
            text=part["session"].cast(pl.String).to_list(),
            hovertemplate="%{text}<br>distance %{x:.2f}<br>%{y:+.1%} of the risk<extra></extra>",
        )  # fmt: skip
    figure.add_hline(y=0.0)
    figure.update_layout(
        template="openbell", xaxis_title="distance from today's market, standard deviations",
        yaxis_title="result, fraction of the maximum loss",
    )  # fmt: skip
    figure.update_yaxes(tickformat="+.0%")
    return figure
