"""Figures of the almanac's patterns: statistics by the clock and the calendar, and when highs and lows are set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.quant.trend_tests import Trend
from openbell.research.almanac_bars import PatternBars
from openbell.research.almanac_statistics import SERIES, SHOWN, PatternStatistics

Kind = Literal["bar", "line"]
#: What the axes call the keys and the series, with their units.
KEY_TITLES = {
    "hour": "hour of the exchange's clock in which a bar begins",
    "minute": "end of the minute, exchange's clock",
    "part": "part of the trading session",
    "weekday": "weekday",
    "week_of_month": "days of the month",
    "week": "ISO week",
    "month": "month",
}
_SERIES_TITLES = {"change": ("change", "%"), "range": ("range", "points"), "range_pct": ("range", "% of the open")}
#: A grey that can be seen through, on light and on dark.
BAND = "rgba(128, 140, 155, 0.28)"
#: The same where it is a line on its own.
LINE = "#808c9b"
#: What to say beside a figure of `pattern`.
LEGEND = (
    "Hatched or hollow: fewer than 30 observations, without an interval. A star: the mean change differs from 0 once "
    "adjusted for every row that was looked at."
)
#: More groups than this cannot be told apart as shapes.
MOST_SHAPES = 60


def measure_title(series: str, measure: str) -> str:
    """What the axis of a measure of a series is called, with its unit."""
    if series not in SERIES:
        raise unknown("series of the almanac", series, SERIES)
    if measure not in SHOWN:
        raise unknown("measure of the almanac", measure, SHOWN)
    name, unit = _SERIES_TITLES[series]
    word = "5 % trimmed mean" if measure == "trimmed_mean" else measure.replace("_", " ")
    return f"{word} of the {name}, {'(' + unit + ')²' if measure == 'variance' else unit}"


def pattern(
    found: PatternStatistics, series: str = "change", measure: str = "mean", *, kind: Kind | None = None
) -> go.Figure:
    """A measure by a key of the calendar, with its interval where it has one.

    Means of the change carry their 95 % interval, medians their binomial one. Rows with too few observations are
    hatched (as a line: hollow), rows that are significant once adjusted carry a star.
    """
    title, column = measure_title(series, measure), f"{series}_{measure}"
    rows = found.rows.filter(pl.col(column).is_not_null())
    drawn = kind or ("line" if found.by == "minute" else "bar")
    low, high = _bounds(rows, series, measure)
    shared = {
        "x": rows["label"].to_list(),
        "y": rows[column].to_list(),
        "customdata": rows.select("n", "p_adjusted").rows(),
        "hovertemplate": "%{x}: %{y:.4g}, n %{customdata[0]:,}<extra></extra>",
        "name": title.split(" of ")[0],
    }
    figure = go.Figure()
    if drawn == "bar":
        shape = ["" if enough else "/" for enough in rows["sufficient"]]
        spread = None if low is None or high is None else _error(rows[column], low, high)
        figure.add_bar(**shared, marker={"pattern": {"shape": shape}}, error_y=spread)
    else:
        hollow = ["circle" if enough else "circle-open" for enough in rows["sufficient"]]
        mode = "lines" if rows.height > MOST_SHAPES else "lines+markers"
        figure.add_scatter(**shared, mode=mode, marker={"symbol": hollow, "size": 7})
        if low is not None and high is not None:
            add_band(figure, shared["x"], low, high, "its interval")
    _add_stars(figure, rows, column, high)
    if series == "change":
        figure.add_hline(y=0.0)
    figure.update_layout(template="openbell", xaxis_title=KEY_TITLES[found.by], yaxis_title=title)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=shared["x"], nticks=min(len(rows), 24))
    return figure


def _bounds(rows: pl.DataFrame, series: str, measure: str) -> tuple[list[float] | None, list[float] | None]:
    """The interval of the measure, where it has one; rows with too few observations have none to show."""
    enough = pl.when(pl.col("sufficient"))
    if measure == "median":
        both = rows.select(enough.then(pl.col(f"{series}_median_{side}")).alias(side) for side in ("low", "high"))
        return both["low"].to_list(), both["high"].to_list()
    if measure != "mean" or series != "change":
        return None, None
    from scipy.stats import t

    error = rows.select(enough.then(pl.col("change_error")).fill_null(np.nan)).to_series().to_numpy()
    half = t.ppf(0.975, np.maximum(rows["n"].to_numpy() - 1, 1)) * error
    mean = rows["change_mean"].to_numpy()
    return _plain(mean - half), _plain(mean + half)


def _plain(values: np.ndarray) -> list[float]:
    return [None if np.isnan(each) else float(each) for each in values]  # type: ignore[misc]


def _error(middle: pl.Series, low: list[float], high: list[float]) -> dict[str, object]:
    above, below = pl.Series(high, dtype=pl.Float64) - middle, middle - pl.Series(low, dtype=pl.Float64)
    return {
        "type": "data",
        "array": above.to_list(),
        "arrayminus": below.to_list(),
        "width": 3,
        "thickness": 1.5,
        "color": LINE,
    }


def _add_stars(figure: go.Figure, rows: pl.DataFrame, column: str, high: list[float] | None) -> None:
    """A star over every significant row, in a change only: nothing else is tested."""
    if not column.startswith("change_") or not rows["significant"].any():
        return
    tops = rows[column].to_list() if high is None else [a if b is None else max(a, b) for a, b in zip(
        rows[column].to_list(), high, strict=True)]  # fmt: skip
    starred = rows.with_columns(top=pl.Series(tops, dtype=pl.Float64)).filter("significant")
    figure.add_scatter(
        x=starred["label"].to_list(), y=starred["top"].to_list(), mode="markers", name="mean differs from 0, adjusted",
        marker={"symbol": "star", "size": 11}, customdata=starred["p_adjusted"].to_list(),
        hovertemplate="%{x}: adjusted p %{customdata:.2g}<extra></extra>",
    )  # fmt: skip


def add_band(figure: go.Figure, x: Sequence[Any], low: Sequence[Any], high: Sequence[Any], name: str) -> None:
    """A grey band behind a line; it is broken where a bound is missing."""
    for y, fill in ((low, None), (high, "tonexty")):
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"width": 0, "color": BAND}, fill=fill, fillcolor=BAND, name=name,
            showlegend=fill is not None, hoverinfo="skip",
        )  # fmt: skip


def survival(rows: pl.DataFrame) -> go.Figure:
    """Share of sessions whose high and low stood by each minute, with Wilson's interval at each."""
    figure = go.Figure()
    parts = [
        (name, dash, rows.filter(pl.col("extreme") == name)) for name, dash in (("high", "solid"), ("low", "dash"))
    ]
    for name, dash, part in parts:
        figure.add_scatter(
            x=part["minute"].to_list(), y=part["share"].to_list(), mode="lines", name=f"{name} of the session",
            line={"dash": dash, "shape": "hv"}, hovertemplate=f"{name} set by minute %{{x}}: %{{y:.1%}}<extra></extra>",
        )  # fmt: skip
    for name, _, part in parts:
        x, low, high = (part[column].to_list() for column in ("minute", "low", "high"))
        add_band(figure, x, low, high, f"interval of the {name}")
    figure.update_layout(
        template="openbell",
        xaxis_title="minutes since the open",
        yaxis_title=f"share of {int(rows['n'][0]):,} sessions whose extreme was set",
    )
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return figure


def heatmap(rows: pl.DataFrame) -> go.Figure:
    """Share of each weekday's or month's sessions whose extreme fell into each slot of time."""
    by = "weekday" if "weekday" in rows.columns else "month"
    groups = rows.select(by, "name", "n").unique(maintain_order=True).sort(by)
    slots = rows.select("slot", "label").unique(maintain_order=True).sort("slot")
    ordered = rows.sort(by, "slot")
    shape = (groups.height, slots.height)
    shares, counts = (ordered[name].to_numpy().reshape(shape) for name in ("share", "count"))
    names = [f"{name} (n {n:,})" for name, n in groups.select("name", "n").rows()]
    figure = go.Figure(
        go.Heatmap(
            x=slots["label"].to_list(), y=names, z=shares.tolist(), customdata=counts.tolist(), zmin=0,
            # Above: beside it, a phone has little room left for the map.
            colorbar={"title": {"text": "share of sessions", "side": "top"}, "tickformat": ".0%",
                      "orientation": "h", "y": 1.0, "yanchor": "bottom", "thickness": 12, "nticks": 5},
            hovertemplate="%{y}, from %{x}: %{z:.1%} (%{customdata} sessions)<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        template="openbell", xaxis_title="beginning of the slot, exchange's clock", yaxis_title=by.replace("_", " ")
    )
    # Six labels fit beside each other on a phone, even turned by the browser where they would not.
    figure.update_xaxes(type="category", tickmode="array", tickvals=_spread(slots["label"].to_list(), 6))
    figure.update_yaxes(autorange="reversed")
    return figure


def _spread(labels: Sequence[str], most: int) -> list[str]:
    """At most so many of the labels, evenly apart, the first among them."""
    return list(labels[:: -(-len(labels) // most)]) if labels else []


def rolling(rows: pl.DataFrame, extreme: str = "high", window: int = 63) -> go.Figure:
    """Median time of the extreme over the latest sessions, with its bootstrap interval."""
    known = rows.filter(pl.col("median").is_not_null())
    if known.is_empty():
        raise BadInput(f"There are only {rows.height} sessions; a rolling median needs at least {window}.")
    x = known["session"].to_list()
    figure = go.Figure()
    figure.add_scatter(x=x, y=known["median"].to_list(), mode="lines", name=f"median over {window} sessions")
    add_band(figure, x, known["low"].to_list(), known["high"].to_list(), "95 % interval")
    figure.update_layout(
        template="openbell", xaxis_title="session", yaxis_title=f"time of the {extreme}, minutes since the open"
    )
    return figure


def trend(rows: pl.DataFrame, found: Trend, extreme: str = "high") -> go.Figure:
    """Time of the extreme of every session and the line of Theil and Sen through it."""
    x, line = rows["session"].to_list(), found.line
    ends = [0, rows.height - 1]
    figure = go.Figure()
    figure.add_scatter(
        x=x, y=rows[f"{extreme}_minute"].to_list(), mode="markers", name=f"{extreme} of a session", opacity=0.5,
        marker={"size": 5},
    )  # fmt: skip
    figure.add_scatter(
        x=[x[at] for at in ends], y=[line.intercept + line.slope * at for at in ends], mode="lines",
        name=f"Theil-Sen, p {found.test.p:.2g}", line={"width": 3},
    )  # fmt: skip
    figure.update_layout(
        template="openbell", xaxis_title="session", yaxis_title=f"time of the {extreme}, minutes since the open"
    )
    return figure


def violin(bars: PatternBars, series: str = "change") -> go.Figure:
    """Distribution of a series by a key, as a violin for each of its values."""
    groups = _groups(bars, series)
    figure = go.Figure()
    for label, values in groups:
        figure.add_violin(
            x=[label] * len(values), y=values.to_list(), name=label, points=False, meanline={"visible": True},
            showlegend=False, scalemode="width", line={"color": "#5b8fbf"}, hoverinfo="y+name",
        )  # fmt: skip
    return _distributed(figure, bars, series)


def box(bars: PatternBars, series: str = "change") -> go.Figure:
    """Quartiles of a series by a key; whiskers end at the 5 and 95 % quantiles, the dashed line is the mean."""
    groups = _groups(bars, series)
    at = {name: [values.quantile(q, "linear") for _, values in groups] for name, q in (
        ("lowerfence", 0.05), ("q1", 0.25), ("median", 0.5), ("q3", 0.75), ("upperfence", 0.95))}  # fmt: skip
    labels = [label for label, _ in groups]
    figure = go.Figure()
    figure.add_box(
        x=labels, **at, mean=[values.mean() for _, values in groups], boxmean=True, name="quartiles", showlegend=False,
    )  # fmt: skip
    return _distributed(figure, bars, series)


def _groups(bars: PatternBars, series: str) -> list[tuple[str, pl.Series]]:
    measure_title(series, "mean")
    rows = bars.rows.select(bars.by, series).drop_nulls()
    if rows.n_unique(bars.by) > MOST_SHAPES:
        raise BadInput(
            f"{rows.n_unique(bars.by):,} distributions side by side cannot be read; at most {MOST_SHAPES}. "
            "Ask by hour in place of minute."
        )
    parts = {key[0]: part[series] for key, part in rows.partition_by(bars.by, as_dict=True).items()}
    return [(f"{label} (n {len(parts[key]):,})", parts[key]) for key, label in bars.labels.items() if key in parts]


def _distributed(figure: go.Figure, bars: PatternBars, series: str) -> go.Figure:
    name, unit = _SERIES_TITLES[series]
    figure.update_layout(template="openbell", xaxis_title=KEY_TITLES[bars.by], yaxis_title=f"{name}, {unit}")
    figure.update_xaxes(type="category")
    return figure
