"""Figures of a back-test: the account beside what stood beside it, and how far each lay below its highest."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

#: Dashes of the curves, so that they are told apart without colour; the account is solid.
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def growth(curves: pl.DataFrame) -> go.Figure:
    """What 1 became, on a logarithmic scale where every value is above 0; a line per column but ``session``."""
    figure = go.Figure()
    names = [name for name in curves.columns if name != "session"]
    for at, name in enumerate(names):
        figure.add_scatter(
            x=curves["session"].to_list(), y=curves[name].to_list(), mode="lines", name=name,
            line={"dash": _DASHES[at % len(_DASHES)], "width": 2.4 if at == 0 else 1.5},
            hovertemplate="%{y:.3f}",
        )  # fmt: skip
    positive = all((curves[name].drop_nulls() > 0).all() for name in names)
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title="what 1 became", hovermode="x unified")
    figure.update_yaxes(type="log" if positive else "linear")
    return figure


def underwater(drawdowns: pl.DataFrame) -> go.Figure:
    """Drawdown of each curve; the first is filled."""
    figure = go.Figure()
    for at, name in enumerate(each for each in drawdowns.columns if each != "session"):
        figure.add_scatter(
            x=drawdowns["session"].to_list(), y=drawdowns[name].to_list(), mode="lines", name=name,
            line={"dash": _DASHES[at % len(_DASHES)], "width": 2.0 if at == 0 else 1.2},
            fill="tozeroy" if at == 0 else None,
        )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title="below the highest so far")
    figure.update_yaxes(tickformat=".0%")
    return figure


def by_costs(rows: pl.DataFrame) -> go.Figure:
    """Sharpe ratio with its interval at multiples of the costs; `rows`: ``bp sharpe sharpe_low sharpe_high``."""
    part = rows.drop_nulls("sharpe").sort("bp")
    above, below = part["sharpe_high"] - part["sharpe"], part["sharpe"] - part["sharpe_low"]
    figure = go.Figure()
    figure.add_scatter(
        x=part["bp"].to_list(), y=part["sharpe"].to_list(), mode="lines+markers", name="Sharpe ratio",
        error_y={"type": "data", "array": above.to_list(), "arrayminus": below.to_list(), "thickness": 1.5},
    )  # fmt: skip
    figure.add_hline(y=0.0, line={"width": 1.5, "dash": "dot"})
    figure.update_layout(template="openbell", xaxis_title="cost of each side, bp", yaxis_title="Sharpe ratio, a year")
    return figure
