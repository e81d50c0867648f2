"""Figures of what signals were worth: shares with their intervals and base rates, and how sure was how right."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl


def shares(rows: pl.DataFrame) -> go.Figure:
    """How often the called class came true in each group, with its interval, beside chance and what was said.

    `rows` as `looks.signals.groups` gives them; groups without a known outcome are left out.
    """
    known = rows.filter(pl.col("known") > 0).drop_nulls("accuracy")
    names = [f"{value} (n {n:,})" for value, n in known.select("value", "known").iter_rows()]
    above, below = known["accuracy_high"] - known["accuracy"], known["accuracy"] - known["accuracy_low"]
    figure = go.Figure()
    figure.add_bar(
        x=names, y=known["accuracy"].to_list(), name="came true", opacity=0.75,
        error_y={"type": "data", "array": above.to_list(), "arrayminus": below.to_list(), "thickness": 1.5},
    )  # fmt: skip
    for column, word, symbol in (("base_rate", "by chance", "line-ew"), ("mean_confidence", "as said", "diamond")):
        figure.add_scatter(
            x=names, y=known[column].to_list(), mode="markers", name=word,
            marker={"symbol": symbol, "size": 14 if symbol == "line-ew" else 9, "line": {"width": 3}},
        )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="group", yaxis_title="share of signals")
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return figure


def reliability(rows: pl.DataFrame) -> go.Figure:
    """How often the called class came true over how sure the signal was; `rows` of `Analytics.reliability`."""
    part = rows.filter(pl.col("n") > 0)
    above, below = part["high"] - part["observed"], part["observed"] - part["low"]
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="as said", line={"dash": "dot", "width": 1})
    figure.add_scatter(
        x=part["predicted"].to_list(), y=part["observed"].to_list(), mode="lines+markers", name="came true",
        error_y={"type": "data", "array": above.to_list(), "arrayminus": below.to_list(), "thickness": 1.5},
        customdata=part["n"].to_list(), hovertemplate="said %{x:.1%}, came true %{y:.1%}, n %{customdata:,}",
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="confidence, as said", yaxis_title="share that came true")
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    return figure
