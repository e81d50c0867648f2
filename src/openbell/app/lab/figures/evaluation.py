"""Figures of what a training found: scores with intervals, what was said and what came, weights, drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from openbell.app.lab import theme

#: A bin of fewer is drawn hollow: its share jumps by more than the figure can tell.
FEW = 10
#: Dates of a rolling mean, and the features that a figure has room for.
ROLLING, MOST = 52, 20


def scores(rows: pl.DataFrame, measure: str) -> go.Figure:
    """A point and its interval per model, candidates above baselines, the best first; the line is chance.

    `rows`: ``model kind n score low high p_value proven``.
    """
    shown = rows.drop_nulls("score").reverse()
    figure = go.Figure()
    for proven, name, symbol in ((True, "proven", "diamond"), (False, "not proven", "circle")):
        part = shown.filter(pl.col("proven").fill_null(False) == proven)
        if part.is_empty():
            continue
        figure.add_scatter(
            x=part["score"].to_list(),
            y=[_named(model, kind, n) for model, kind, n in part.select("model", "kind", "n").iter_rows()],
            mode="markers", name=name, marker={"size": 11, "symbol": symbol},
            error_x=_bars(part, "score", "low", "high"),
            customdata=part.select(pl.col("low").fill_null(float("nan")), pl.col("high").fill_null(float("nan")),
                                   pl.col("p_value").fill_null(float("nan"))).rows(),
            hovertemplate="%{x:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})<br>p %{customdata[2]:.3f}",
        )  # fmt: skip
    order = [_named(model, kind, n) for model, kind, n in shown.select("model", "kind", "n").iter_rows()]
    figure.add_vline(x=0.0, line={"width": 1.5, "dash": "dot"})
    figure.update_layout(template="openbell", xaxis_title=measure, height=max(240, 120 + 38 * shown.height))
    figure.update_yaxes(categoryorder="array", categoryarray=order)
    return figure


def _named(model: str, kind: str, n: int) -> str:
    mark = " (baseline)" if kind == "baseline" else ""
    return f"{model}{mark}, n {n:,}"


def confusion(rows: pl.DataFrame, classes: Sequence[str], said: Sequence[str]) -> go.Figure:
    """Share of each row, of the class that happened, with the count in each cell.

    `rows`: ``actual said n``; a cell that is not there is 0.
    """
    counts = np.zeros((len(classes), len(said)), dtype=np.int64)
    for actual, word, n in rows.select("actual", "said", "n").iter_rows():
        counts[list(classes).index(actual), list(said).index(word)] += n
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    text = [[f"{n:,}<br>{share:.0%}" for n, share in zip(*pair, strict=True)]
            for pair in zip(counts, shares, strict=True)]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=list(said), y=[f"{name} (n {n:,})" for name, n in zip(classes, total[:, 0], strict=True)],
            text=text, texttemplate="%{text}", colorscale=[list(each) for each in theme.SEQUENTIAL], zmin=0, zmax=1,
            colorbar={"tickformat": ".0%", "title": {"text": "of the row"}},
            hovertemplate="happened %{y}<br>said %{x}<br>%{text}<extra></extra>", xgap=2, ygap=2,
        )
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="said", yaxis_title="happened",
                         height=max(260, 140 + 62 * len(classes)))  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return figure


def reliability(rows: pl.DataFrame, words: str, base: float | None) -> go.Figure:
    """How often something came over how likely it was said to be; `rows`: ``predicted observed low high n``."""
    part = rows.filter(pl.col("n") > 0).sort("predicted")
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="as said", line={"dash": "dot", "width": 1})
    if base is not None:
        figure.add_scatter(x=[0, 1], y=[base, base], mode="lines", name=f"base rate {base:.1%}",
                           line={"dash": "dash", "width": 1.5})  # fmt: skip
    hollow = ["circle-open" if n < FEW else "circle" for n in part["n"]]
    figure.add_scatter(
        x=part["predicted"].to_list(), y=part["observed"].to_list(), mode="lines+markers+text", name="came",
        error_y=_bars(part, "observed", "low", "high"), marker={"size": 9, "symbol": hollow},
        text=[f"{n:,}" for n in part["n"]], textposition="top center",
        customdata=part["n"].to_list(), hovertemplate="said %{x:.1%}, came %{y:.1%}, n %{customdata:,}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title=f"probability of {words}, as said",
                         yaxis_title="share that came")  # fmt: skip
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.08])
    return figure


def importance(rows: pl.DataFrame, measure: str) -> go.Figure:
    """The heaviest features of a model; `rows`: ``feature importance``."""
    part = rows.filter(pl.col("importance") > 0).sort("importance", descending=True).head(MOST).reverse()
    figure = go.Figure(go.Bar(x=part["importance"].to_list(), y=part["feature"].to_list(), orientation="h"))
    figure.update_layout(template="openbell", xaxis_title=measure, height=max(260, 100 + 22 * part.height))
    figure.update_yaxes(dtick=1)
    return figure


def summary(rows: pl.DataFrame, order: Sequence[str], words: str) -> go.Figure:
    """A point per session and feature: how far it moved the forecast; bright where its value was high for it.

    `rows`: ``session feature value contribution``. `order`: features, the heaviest first.
    """
    figure, shown = go.Figure(), list(order)[:MOST]
    for at, name in enumerate(shown):
        own = rows.filter(pl.col("feature") == name).sort("session")
        # Spread by their order in time, so that the figure is the same each time.
        spread = 0.5 * ((np.arange(own.height) * 0.618) % 1.0 - 0.5)
        rank = (own["value"].rank() / max(own["value"].drop_nulls().len(), 1)).fill_null(0.5)
        figure.add_scatter(
            x=own["contribution"].to_list(), y=(len(shown) - 1 - at + spread).tolist(), mode="markers", name=name,
            showlegend=False,
            marker={"size": 5, "opacity": 0.75, "color": rank.to_list(), "coloraxis": "coloraxis"},
            customdata=own.select(pl.col("session").cast(pl.String), pl.col("value").fill_null(float("nan"))).rows(),
            hovertemplate="%{customdata[0]}: %{customdata[1]:.4g} moved it by %{x:.4f}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.add_vline(x=0.0)
    figure.update_layout(
        template="openbell", xaxis_title=words, height=max(260, 110 + 24 * len(shown)),
        coloraxis={"colorscale": [[0.0, theme.LIGHT_COLOURS[1]], [1.0, theme.LIGHT_COLOURS[0]]], "cmin": 0, "cmax": 1,
                   "colorbar": {"title": {"text": "value"}, "tickvals": [0, 1], "ticktext": ["low", "high"]}},
    )  # fmt: skip
    figure.update_yaxes(tickvals=list(range(len(shown))), ticktext=shown[::-1], range=[-0.7, len(shown) - 0.3])
    return figure


def reasons(rows: pl.DataFrame, of: str, unit: str) -> go.Figure:
    """What each of the heaviest features added for or against a class; `rows`: ``feature value contribution``."""
    part = rows.head(MOST).reverse()
    named = [f"{name} = {'missing' if value is None else format(value, '.4g')}"
             for name, value in part.select("feature", "value").iter_rows()]  # fmt: skip
    colours = [theme.LIGHT_COLOURS[0] if each >= 0 else theme.LIGHT_COLOURS[1] for each in part["contribution"]]
    figure = go.Figure(go.Bar(x=part["contribution"].to_list(), y=named, orientation="h", marker={"color": colours}))
    figure.add_vline(x=0.0)
    figure.update_layout(template="openbell", xaxis_title=f"for (+) or against (−) {of}, {unit}",
                         height=max(260, 100 + 22 * part.height))  # fmt: skip
    figure.update_yaxes(dtick=1)
    return figure


def ics(rows: pl.DataFrame, name: str) -> go.Figure:
    """The rank IC of a model at each session, its rolling mean, and its mean over all."""
    own = rows.select("session", pl.col(name).fill_nan(None).alias("ic")).drop_nulls().sort("session")
    mean = float(own["ic"].mean() or 0.0)  # type: ignore[arg-type]
    rolling = own["ic"].rolling_mean(min(ROLLING, max(own.height, 1)))
    days = own["session"].to_list()
    figure = go.Figure()
    figure.add_scatter(x=days, y=own["ic"].to_list(), mode="markers", name="each session",
                       marker={"size": 4, "opacity": 0.35})  # fmt: skip
    figure.add_scatter(x=days, y=rolling.to_list(), mode="lines", name=f"mean of {ROLLING} sessions")
    figure.add_scatter(x=days[:1] + days[-1:], y=[mean, mean] if days else [], mode="lines",
                       name=f"mean of all {mean:+.4f}", line={"dash": "dash"})  # fmt: skip
    figure.add_hline(y=0.0, line={"width": 1.5, "dash": "dot"})
    figure.update_layout(template="openbell", xaxis_title="decision session", yaxis_title="rank IC")
    return figure


def drift(rolling: pl.DataFrame, name: str, *, limit: float, whole: float, window: int) -> go.Figure:
    """A rolling score (``log_loss`` or ``auc``) with the limit at which the watch rings and its value over the walk."""
    words = {"log_loss": "log-loss, nats per session", "auc": "area under the ROC curve"}[name]
    days = rolling["session"].to_list()
    figure = go.Figure()
    figure.add_scatter(x=days, y=rolling[name].to_list(), mode="lines", name=f"{window} sessions")
    for value, title, dash in ((whole, "over the walk", "dot"), (limit, "alarm limit", "dash")):
        figure.add_scatter(x=days[:1] + days[-1:], y=[value, value] if days else [], mode="lines",
                           name=f"{title} {value:.3f}", line={"dash": dash, "width": 1.5})  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title=words)
    return figure


def _bars(part: pl.DataFrame, value: str, low: str, high: str) -> dict[str, object]:
    """Error bars between bounds; a point without an interval has none."""
    above, below = part[high] - part[value], part[value] - part[low]
    return {"type": "data", "array": above.to_list(), "arrayminus": below.to_list(), "width": 4, "thickness": 1.5}
