"""Figures of the almanac's studies: scatter, correlation by lag, groups of days, volatility, drawdown, years."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import ArrayLike

from openbell.app.lab.figures.almanac import add_band
from openbell.core.errors import DataMissing, unknown
from openbell.research.almanac_studies import LeadLagStudy
from openbell.research.almanac_studies_days import Anomalies, Clusters
from openbell.research.almanac_studies_risk import Garch, Risk

#: Told apart without colour too.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "triangle-down")


def scatter(x: ArrayLike, y: ArrayLike, *, x_title: str, y_title: str, labels: Sequence[object] = ()) -> go.Figure:
    """Pairs of values and their line of least squares; pairs with a missing side are left out.

    Parameters
    ----------
    x, y : shape (n,). x_title, y_title : of the axes, with units. labels : of each pair, such as its session.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    there = np.isfinite(a) & np.isfinite(b)
    if there.sum() < 3:
        raise DataMissing(f"A scatter needs at least 3 pairs of values; there were {int(there.sum())}.")
    text = [str(each) for each, kept in zip(labels, there, strict=True) if kept] if len(labels) else None
    a, b = a[there], b[there]
    figure = go.Figure()
    figure.add_scatter(
        x=a.tolist(), y=b.tolist(), mode="markers", name=f"{len(a):,} pairs", text=text, opacity=0.6, marker={"size": 6}
    )
    if np.ptp(a) > 0:
        slope, intercept = np.polyfit(a, b, 1)
        ends = np.array([a.min(), a.max()])
        figure.add_scatter(
            x=ends.tolist(), y=(intercept + slope * ends).tolist(), mode="lines", line={"width": 3},
            name=f"least squares, slope {slope:.3g}",
        )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title=x_title, yaxis_title=y_title)
    return figure


def lead_lag(study: LeadLagStudy, *, names: tuple[str, str] = ("A", "B")) -> go.Figure:
    """Correlation by lag; hatched bars are no more than chance once adjusted for the number of lags."""
    rows = study.rows
    shape = ["" if kept else "/" for kept in rows["significant"]]
    figure = go.Figure()
    figure.add_bar(
        x=rows["lag"].to_list(), y=rows["r"].to_list(), marker={"pattern": {"shape": shape}}, name="correlation",
        customdata=rows.select("p_adjusted", "n").rows(), showlegend=False,
        hovertemplate="lag %{x}: %{y:.3f}, adjusted p %{customdata[0]:.2g}, n %{customdata[1]:,}<extra></extra>",
    )  # fmt: skip
    figure.add_hline(y=0.0)
    figure.update_layout(
        template="openbell",
        xaxis_title=f"lag, rows: above 0 {names[0]} leads, below 0 {names[1]}",
        yaxis_title="correlation",
    )
    return figure


def clusters(found: Clusters, x: str, y: str, *, x_title: str, y_title: str) -> go.Figure:
    """Days by two of the columns they were grouped by, one shape and colour for each group."""
    columns = [name for name in found.rows.columns if name not in ("session", "cluster")]
    for name in (x, y):
        if name not in columns:
            raise unknown("column of the groups", name, columns)
    figure = go.Figure()
    for key, n in found.centres.select("cluster", "n").rows():
        part = found.rows.filter(pl.col("cluster") == key)
        figure.add_scatter(
            x=part[x].to_list(), y=part[y].to_list(), mode="markers", name=f"group {key + 1} (n {n:,})",
            text=part["session"].cast(pl.String).to_list(), marker={"symbol": SYMBOLS[key % len(SYMBOLS)], "size": 7},
            opacity=0.7, hovertemplate="%{text}: %{x:.3g}, %{y:.3g}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title=x_title, yaxis_title=y_title)
    return figure


def anomalies(found: Anomalies) -> go.Figure:
    """How strange each day is; those that stand out are marked."""
    rows = found.rows.sort("session")
    figure = go.Figure()
    for flagged, name, symbol in ((False, "within", "circle"), (True, "stands out", "diamond")):
        part = rows.filter(pl.col("flagged") == flagged)
        figure.add_scatter(
            x=part["session"].to_list(), y=part["score"].to_list(), mode="markers", name=f"{name} (n {part.height:,})",
            marker={"symbol": symbol, "size": 9 if flagged else 5},
        )  # fmt: skip
    score = "largest robust z in size" if found.method == "robust_z" else "score of the isolation forest"
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title=score)
    return figure


def volatility(found: Garch) -> go.Figure:
    """Volatility of each session by the GARCH, returns behind it, and its forecast."""
    if not found.fitted:
        raise DataMissing(found.sentences[-1])
    rows = found.rows
    x, line = rows["session"].to_list(), rows["volatility_pct"].to_list()
    figure = go.Figure()
    figure.add_scatter(x=x, y=line, mode="lines", name="volatility by GARCH(1,1)")
    last, ahead = x[-1], found.forecast["volatility_pct"].to_list()
    # Sessions to come are drawn as weekdays: an axis of dates needs some.
    later = np.busday_offset(np.datetime64(last), np.arange(1, len(ahead) + 1), roll="forward")
    figure.add_scatter(
        x=[last, *(str(each) for each in later)], y=[line[-1], *ahead], mode="lines", name="forecast",
        line={"dash": "dash"},
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=rows["return_pct"].abs().to_list(), mode="markers", name="size of the return", opacity=0.35,
        marker={"size": 4},
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title="% per session")
    return figure


def drawdown(found: Risk) -> go.Figure:
    """How far below its last high the series stood."""
    rows = found.rows
    figure = go.Figure()
    figure.add_scatter(
        x=rows["session"].to_list(), y=rows["drawdown"].to_list(), mode="lines", fill="tozeroy", name="drawdown",
        showlegend=False,
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="session", yaxis_title="below the last high")
    figure.update_yaxes(tickformat=".0%")
    return figure


def years(rows: pl.DataFrame) -> go.Figure:
    """Every year's way by its sessions, the last one drawn bold, the range of all years before behind it."""
    every = rows["year"].unique().sort().to_list()
    if not every:
        raise DataMissing("There is no session with an open and a close, so no year to draw.")
    figure = go.Figure()
    for year in reversed(every):
        part = rows.filter(pl.col("year") == year)
        figure.add_scatter(
            x=part["day"].to_list(), y=part["change_pct"].to_list(), mode="lines", name=str(year),
            line={"width": 3 if year == every[-1] else 1.3}, text=part["session"].cast(pl.String).to_list(),
            hovertemplate="%{text}: %{y:+.1f} %<extra></extra>",
        )  # fmt: skip
    if len(every) > 3:
        before = rows.filter(pl.col("year") < every[-1]).group_by("day").agg(
            pl.col("change_pct").min().alias("low"), pl.col("change_pct").max().alias("high")
        ).sort("day")  # fmt: skip
        add_band(figure, before["day"].to_list(), before["low"].to_list(), before["high"].to_list(), "years before")
    figure.add_hline(y=0.0)
    figure.update_layout(
        template="openbell", xaxis_title="session of the year", yaxis_title="since the last close of the year before, %"
    )
    return figure
