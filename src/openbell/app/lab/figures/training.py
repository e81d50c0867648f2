"""Figures of a training: the score of each model in each fold, with its interval."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl


def folds(rows: pl.DataFrame, measure: str) -> go.Figure:
    """A point per model and fold with its interval, where there is one; 0 is what was known without the model.

    `rows`: ``model fold first last n score low high``.
    """
    figure = go.Figure()
    models = rows["model"].unique(maintain_order=True).to_list()
    for at, model in enumerate(models):
        own = rows.filter(pl.col("model") == model).sort("fold").drop_nulls("score")
        above = [None if high is None else high - score for score, high in own.select("score", "high").iter_rows()]
        below = [None if low is None else score - low for score, low in own.select("score", "low").iter_rows()]
        shift = 0.5 * (at - (len(models) - 1) / 2) / max(len(models), 1)
        figure.add_scatter(
            x=[fold + shift for fold in own["fold"].to_list()],
            y=own["score"].to_list(),
            name=model,
            mode="markers",
            marker={"size": 9},
            error_y={"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4},
            customdata=own.select("first", "last", "n").rows(),
            hovertemplate="%{y:.4f}<br>%{customdata[0]} to %{customdata[1]}<br>n = %{customdata[2]:,}",
        )
    ticks = rows.group_by("fold").agg(pl.first("first"), pl.max("n")).sort("fold")
    figure.update_layout(template="openbell", xaxis_title="fold, by its first session", yaxis_title=measure)
    figure.update_xaxes(
        zeroline=False,
        tickvals=ticks["fold"].to_list(),
        ticktext=[f"{first}<br>n = {n:,}" for first, n in ticks.select("first", "n").iter_rows()],
    )
    figure.add_hline(y=0.0, line={"width": 1.5, "dash": "dot"})
    return figure
