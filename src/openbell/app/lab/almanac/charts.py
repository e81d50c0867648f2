"""What a look at a scenario shows: what is kept, what it is worth, its figures and its main table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
from dash import html
from dash.development.base_component import Component

from openbell.app.almanac import Look
from openbell.app.almanac_tables import EXTREMES, PATTERNS, WINDOW
from openbell.app.lab import ui
from openbell.app.lab.figures import almanac as figures
from openbell.app.lab.figures import almanac_studies as studies
from openbell.app.lab.grids import grid
from openbell.core.errors import BadInput, OpenbellError
from openbell.research.almanac_metrics import METRICS
from openbell.research.almanac_scenario import Scenario

#: How the values by a key are drawn.
SHAPES: Mapping[str, str] = {"bar": "bars", "line": "line", "box": "box", "violin": "violin"}
MEASURES: Mapping[str, str] = {
    "mean": "mean", "trimmed_mean": "mean without the outer 5 %", "median": "median", "mode": "mode",
    "outlier_mean": "mean of the outliers",
}  # fmt: skip
#: Rows of a pattern that stand in its table; the export has all columns.
_COLUMNS = (
    "label", "n", "sufficient", "change_mean", "p", "p_adjusted", "significant", "change_trimmed_mean",
    "change_median", "change_mode", "change_outlier_mean", "change_variance", "range_mean", "range_pct_mean",
    "range_pct_variance",
)  # fmt: skip
_TITLES = {
    "label": "of", "change_mean": "change, mean %", "change_trimmed_mean": "trimmed %", "change_median": "median %",
    "change_mode": "mode %", "change_outlier_mean": "outliers, mean %", "change_variance": "variance, %²",
    "range_mean": "range, points", "range_pct_mean": "range, %", "range_pct_variance": "variance of the range, %²",
    "p_adjusted": "p adjusted", "significant": "beyond chance", "sufficient": "n ≥ 30",
}  # fmt: skip
Drawn = list[tuple[str, Any, str]]


def shown(look: Look, measure: str = "mean", shape: str = "bar") -> Component:
    """Everything that one look shows."""
    if measure not in MEASURES or shape not in SHAPES:
        raise BadInput(f"Measures are {', '.join(MEASURES)}; shapes are {', '.join(SHAPES)}.")
    kept = look.kept
    counts = [] if kept.counts.is_empty() else [
        ui.table("almanac-counts", kept.counts.rename({"not_known": "not known"}),
                 "What each filter passes by itself, and when its answer is known",
                 numbers=("passes", "fails", "not known"))
    ]  # fmt: skip
    said = html.Ul([html.Li(each) for each in dict.fromkeys((*look.told.sentences, *look.sentences))])
    return html.Div(
        [
            ui.section("What is kept", html.P(look.scenario.words()), ui.cards(_cards(look)), *counts),
            ui.section("Charts", *_figures(look, measure, shape)),
            ui.section("What it says", said),
            ui.section("Table", _table(look)),
        ],
        className="stack",
    )


def _cards(look: Look) -> dict[str, tuple[str, str]]:
    kept, found = look.kept, look.comparison
    enough = "enough to say something" if kept.sufficient else "fewer than 30: no evidence"
    told = {"Sessions kept": (f"{kept.n:,} of {kept.of:,}", enough)}
    if found is not None:
        unit = METRICS[look.scenario.metric]
        told[f"Mean {look.scenario.metric}"] = (
            f"{found.mean_first:.3g}",
            f"{unit.unit}; all others (the base rate) {found.mean_second:.3g}, n {found.n_second:,}",
        )
        told["Difference"] = (
            f"{found.difference:+.3g}",
            f"95 % from {found.low:.3g} to {found.high:.3g}; effect d {found.d:.2f}",
        )
    if look.p_adjusted is not None and found is not None:
        verdict = "beyond chance" if look.p_adjusted < 0.05 and kept.sufficient else "no evidence"
        told["p, adjusted"] = (f"{look.p_adjusted:.2g}", f"{verdict}; {found.p:.2g} before {look.looks:,} looks")
    told["Looks"] = (f"{look.looks:,}", f"different ones at {look.almanac.product}, this one included")
    return told


def _figures(look: Look, measure: str, shape: str) -> list[Component]:
    try:
        made = _DRAWN.get(look.scenario.statistic, _pattern)(look, measure, shape)
    except OpenbellError as failure:
        return [ui.note(str(failure))]
    if not made:
        return [ui.note("This statistic is a table alone.")]
    # Each in a box of its own: a figure that is itself a cell of a grid is stretched over its caption.
    shown = [html.Div(ui.figure(f"almanac-figure-{name}", drawn, label)) for name, drawn, label in made]
    return [html.Div(shown, className="columns" if len(shown) > 1 else "stack")]


def _beside(look: Look) -> str:
    return f"{look.kept.n:,} sessions of {look.almanac.product}, bars of {look.almanac.freq}"


def _pattern(look: Look, measure: str, shape: str) -> Drawn:
    found, bars = look.told.made["statistics"], look.told.made["bars"]
    word = MEASURES[measure]
    if shape in ("box", "violin"):
        drawn = figures.box if shape == "box" else figures.violin
        return [
            (name, drawn(bars, series), f"Distribution of the {what}. {_beside(look)}.")
            for name, series, what in (
                ("change", "change", "change from open to close of each bar"),
                ("range", "range_pct", "range, in % of the open"),
            )
        ]
    kind: Any = "line" if shape == "line" or found.by == "minute" else "bar"
    adjusted = f"Adjusted for {found.tests:,} means over {look.looks:,} looks. {figures.LEGEND}"
    return [
        ("change", figures.pattern(found, "change", measure, kind=kind),
         f"Change from open to close: {word}, with its 95 % interval. {_beside(look)}. {adjusted}"),
        ("change-variance", figures.pattern(found, "change", "variance", kind=kind), "Variance of the change."),
        ("range", figures.pattern(found, "range_pct", measure, kind=kind), f"Range, % of the open: {word}."),
        ("range-variance", figures.pattern(found, "range_pct", "variance", kind=kind), "Variance of the range."),
    ]  # fmt: skip


def _years(look: Look, measure: str, shape: str) -> Drawn:
    return [("years", studies.years(look.told.tables["lines"]), f"Each year since its beginning, %. {_beside(look)}.")]


def _survival(look: Look, measure: str, shape: str) -> Drawn:
    label = (
        "Share of sessions whose high and low of regular hours stood by each minute, with the 95 % interval at each. "
        f"{_beside(look)}."
    )
    return [("survival", figures.survival(look.told.tables["survival"]), label)]


def _heatmap(look: Look, measure: str, shape: str) -> Drawn:
    return [
        (name, figures.heatmap(frame), f"When the {name.partition('_')[0]} of regular hours was set, share of the "
         f"sessions of each {name.rpartition('_')[2]}; n beside each. {_beside(look)}.")
        for name, frame in look.told.tables.items()
    ]  # fmt: skip


def _rolling(look: Look, measure: str, shape: str) -> Drawn:
    return [
        (each, figures.rolling(look.told.tables[each], each, WINDOW),
         f"Median time of the {each} over {WINDOW} sessions, with its bootstrap interval. {_beside(look)}.")
        for each in EXTREMES
    ]  # fmt: skip


def _trend(look: Look, measure: str, shape: str) -> Drawn:
    rows = look.told.made["extremes"].rows
    return [
        (each, figures.trend(rows, look.told.made[each], each),
         f"Time of the {each} of each session and the line of Theil and Sen. {_beside(look)}.")
        for each in EXTREMES
    ]  # fmt: skip


def _extremes(look: Look, measure: str, shape: str) -> Drawn:
    rows = look.told.made["extremes"].rows
    x, y = rows["low_minute"].to_numpy(), rows["high_minute"].to_numpy()
    labels = rows["session"].to_list()
    titles = {"x_title": "low, minutes since the regular open", "y_title": "high, minutes since the regular open"}
    drawn = studies.scatter(x, y, labels=labels, **titles)
    return [("extremes", drawn, f"When each session set its low and its high. {_beside(look)}.")]


def _distribution(look: Look, measure: str, shape: str) -> Drawn:
    import plotly.graph_objects as go

    metric = METRICS[look.scenario.metric]
    values = look.told.tables["values"]["value"].to_list()
    title = f"{metric.about}, {metric.unit}"
    bins = go.Figure(go.Histogram(x=values, name="sessions"))
    bins.update_layout(template="openbell", xaxis_title=title, yaxis_title="sessions")
    one = go.Figure(go.Box(x=values, boxpoints="outliers", name="") if shape == "box" else
                    go.Violin(x=values, box_visible=True, meanline_visible=True, name=""))  # fmt: skip
    one.update_layout(template="openbell", xaxis_title=title, yaxis_title="density")
    return [
        ("histogram", bins, f"How often each value of {look.scenario.metric} was. {_beside(look)}."),
        ("violin", one, "The same as a density, with quartiles and mean."),
    ]


def _correlation(look: Look, measure: str, shape: str) -> Drawn:
    pairs, other = look.told.tables["pairs"], look.scenario.against or ""
    unit = METRICS[look.scenario.metric].unit
    names = (look.almanac.product, other)
    drawn = studies.scatter(
        pairs["other"].to_numpy(), pairs["value"].to_numpy(), labels=pairs["session"].to_list(),
        x_title=f"{other}, {look.scenario.metric}, {unit}", y_title=f"{names[0]}, {look.scenario.metric}, {unit}",
    )  # fmt: skip
    found: Drawn = [("pairs", drawn, f"Each session of both, n {pairs.height:,}, with the line of least squares.")]
    if "lags" in look.told.made:
        lags = studies.lead_lag(look.told.made["lags"], names=names)
        found.append(("lags", lags, "Correlation by lag; hatched bars are no more than chance over all lags."))
    return found


def _volatility(look: Look, measure: str, shape: str) -> Drawn:
    drawn = studies.volatility(look.told.made["garch"])
    return [("volatility", drawn, f"Volatility of each session by a GARCH(1,1), and its forecast. {_beside(look)}.")]


def _clusters(look: Look, measure: str, shape: str) -> Drawn:
    found = look.told.made["clusters"]
    titles = {"x_title": "open to close, %", "y_title": "range, % of the open"}
    drawn = studies.clusters(found, "day_return_pct", "range_pct", **titles)
    return [("clusters", drawn, f"Days by change and range, each group with its own shape. {_beside(look)}.")]


def _anomalies(look: Look, measure: str, shape: str) -> Drawn:
    drawn = studies.anomalies(look.told.made["anomalies"])
    return [("anomalies", drawn, f"How strange each day is by change, range, gap and volume. {_beside(look)}.")]


def _risk(look: Look, measure: str, shape: str) -> Drawn:
    drawn = studies.drawdown(look.told.made["risk"])
    return [("drawdown", drawn, f"How far below its last high the product stood. {_beside(look)}.")]


_DRAWN: Mapping[str, Callable[[Look, str, str], Drawn]] = {
    **dict.fromkeys(PATTERNS, _pattern),
    "years": _years,
    "survival": _survival,
    "heatmap": _heatmap,
    "rolling": _rolling,
    "trend": _trend,
    "extremes": _extremes,
    "distribution": _distribution,
    "correlation": _correlation,
    "volatility": _volatility,
    "clusters": _clusters,
    "regimes": lambda look, measure, shape: [],
    "anomalies": _anomalies,
    "levels": lambda look, measure, shape: [],
    "risk": _risk,
}


def _table(look: Look) -> Component:
    name, frame = next(iter(look.told.tables.items()))
    wide = set(_COLUMNS) <= set(frame.columns)
    rows = frame.select(_COLUMNS) if wide else frame
    caption = f"{name}: {rows.height:,} rows. p is adjusted for every row and every look. The export has all columns."
    plain = rows.with_columns(pl.col(pl.Boolean).replace_strict({True: "yes", False: "no"}, return_dtype=pl.String))
    return grid("almanac-table", plain, caption if wide else f"{name}: {rows.height:,} rows.", titles=_TITLES)


def patterned(scenario: Scenario) -> bool:
    """Whether measure and shape make a difference."""
    return scenario.statistic in PATTERNS or scenario.statistic == "distribution"
