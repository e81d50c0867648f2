"""Figures of the almanac: what stands in their data, that axes are named with units, that intervals are drawn."""

import datetime as dt

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from tests.research.almanac_world import made

from openbell.app.lab import theme
from openbell.app.lab.figures import almanac as figures
from openbell.app.lab.figures import almanac_studies as studies
from openbell.core.errors import BadInput, DataMissing
from openbell.research.almanac_bars import PatternBars, pattern_bars
from openbell.research.almanac_extremes import extremes, heatmap, rolling, survival, trend
from openbell.research.almanac_statistics import SERIES, SHOWN, statistics, table, year_lines
from openbell.research.almanac_studies import lead_lag_study
from openbell.research.almanac_studies_days import anomalies, clusters
from openbell.research.almanac_studies_risk import garch, risk

DAYS = tuple(day for day in (dt.date(2023, 1, 2) + dt.timedelta(days=n) for n in range(185)) if day.weekday() < 5)


@pytest.fixture(scope="module", autouse=True)
def _theme():
    theme.register()


@pytest.fixture(scope="module")
def almanac():
    return made(DAYS, minutes=60)


def is_named(figure):
    """Both axes have a title, and the figure has none of its own: the page says what it is."""
    assert isinstance(figure, go.Figure)
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    assert figure.layout.title.text is None
    figure.to_json()
    return True


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("measure", SHOWN)
def test_every_measure_of_every_series_is_drawn_as_it_is(almanac, series, measure):
    found = statistics(almanac, "weekday")
    figure = figures.pattern(found, series, measure)
    assert is_named(figure)
    assert list(figure.data[0].y) == found.rows[f"{series}_{measure}"].to_list()
    unit = {"change": "%", "range": "points", "range_pct": "% of the open"}[series]
    wanted = f"({unit})²" if measure == "variance" else unit
    assert figure.layout.yaxis.title.text.endswith(wanted)


def test_intervals_of_means_and_medians_are_drawn(almanac):
    found = statistics(almanac, "hour")
    bars = figures.pattern(found, "range", "median").data[0]
    assert list(bars.error_y.array) == pytest.approx(
        (found.rows["range_median_high"] - found.rows["range_median"]).to_list()
    )
    line = figures.pattern(found, "change", "mean", kind="line")
    assert [each.name for each in line.data] == ["mean", "its interval", "its interval"]
    assert line.data[2].fill == "tonexty"
    assert figures.pattern(found, "range", "variance").data[0].error_y.array is None


def planted(n):
    """Two hours, one with an edge, `n` sessions."""
    random = np.random.default_rng(0)
    rows = pl.DataFrame({"session": [DAYS[0]] * 2 * n, "hour": [9, 10] * n, "change": random.normal(size=2 * n)})
    rows = rows.with_columns(pl.col("change") + 5.0 * (pl.col("hour") == 10), range=pl.lit(1.0), range_pct=pl.lit(1.0))
    return table(PatternBars("hour", rows, {9: "09:00", 10: "10:00"}, ()))


def test_a_star_is_only_over_what_is_significant():
    stars = figures.pattern(planted(40)).data[1]
    assert list(stars.x) == ["10:00"]
    assert len(figures.pattern(planted(40), "range", "mean").data) == 1
    assert len(figures.pattern(planted(20)).data) == 1


def test_too_few_observations_are_hatched_and_have_no_interval():
    bars = figures.pattern(planted(20)).data[0]
    assert list(bars.marker.pattern.shape) == ["/", "/"]
    assert list(bars.error_y.array) == [None, None]
    assert list(figures.pattern(planted(40)).data[0].marker.pattern.shape) == ["", ""]


def test_figures_of_extremes(almanac):
    found = extremes(almanac)
    rows = survival(found, step_minutes=60)
    figure = figures.survival(rows)
    assert is_named(figure)
    assert list(figure.data[1].y) == rows.filter(pl.col("extreme") == "low")["share"].to_list()
    for by in ("weekday", "month"):
        counted = heatmap(found, by=by, step_minutes=60)
        drawn = figures.heatmap(counted)
        assert is_named(drawn)
        share = counted.filter((pl.col("label") == "20:00") & (pl.col(by) == counted[by].max()))["share"].item()
        at = list(drawn.data[0].x).index("20:00")
        assert drawn.data[0].z[-1][at] == share
        assert drawn.data[0].y[0].endswith(f"(n {counted['n'][0]})")
    moved = rolling(found)
    assert list(figures.rolling(moved).data[0].y) == moved["median"].drop_nulls().to_list()
    assert is_named(figures.rolling(moved))
    assert is_named(figures.trend(found.rows, trend(found)))
    with pytest.raises(BadInput, match="only 10 sessions"):
        figures.rolling(moved.head(10))


def test_the_line_of_the_trend_is_theil_sens(almanac):
    found = extremes(almanac)
    line = trend(found).line
    drawn = figures.trend(found.rows, trend(found)).data[1]
    assert list(drawn.y) == pytest.approx([line.intercept, line.intercept + line.slope * (found.n - 1)])


def test_distributions(almanac):
    bars = pattern_bars(almanac, "weekday")
    boxes = figures.box(bars, "range").data[0]
    monday = bars.rows.filter(pl.col("weekday") == 1)["range"].to_numpy()
    assert (boxes.q1[0], boxes.median[0], boxes.upperfence[0]) == pytest.approx(
        tuple(np.quantile(monday, [0.25, 0.5, 0.95]))
    )
    violins = figures.violin(bars)
    assert len(violins.data) == 5
    assert is_named(violins)
    assert is_named(figures.box(bars))
    rows = pl.DataFrame({"minute": np.arange(100), "change": np.ones(100)})
    with pytest.raises(BadInput, match="100 distributions"):
        figures.violin(PatternBars("minute", rows, {at: str(at) for at in range(100)}, ()))
    with pytest.raises(BadInput, match="Did you mean `range`"):
        figures.box(bars, "ranges")


def test_figures_of_studies(almanac):
    days = almanac.days
    change = days["change_pct"]
    pairs = studies.scatter(days["range_pct"], 2 * days["range_pct"] + 1, x_title="a, %", y_title="b, %")
    assert is_named(pairs)
    assert pairs.data[1].name == "least squares, slope 2"
    lags = lead_lag_study(change, change.shift(2), most=4)
    bars = studies.lead_lag(lags, names=("ES", "NQ")).data[0]
    assert list(bars.marker.pattern.shape) == ["" if each else "/" for each in lags.rows["significant"]]
    found = clusters(days, ("day_return_pct", "range_pct"), most=3)
    drawn = studies.clusters(found, "day_return_pct", "range_pct", x_title="return, %", y_title="range, %")
    assert sum(len(each.x) for each in drawn.data) == found.n
    with pytest.raises(BadInput, match="no column of the groups"):
        studies.clusters(found, "gap_pct", "range_pct", x_title="gap, %", y_title="range, %")
    assert is_named(drawn)
    assert is_named(studies.anomalies(anomalies(days)))
    assert is_named(studies.drawdown(risk(days["session"], change, replications=20)))
    assert is_named(studies.years(year_lines(days)))


def test_volatility_and_its_forecast_join(almanac):
    days = almanac.days
    found = garch(days["session"], days["change_pct"], horizon=5)
    figure = studies.volatility(found)
    assert is_named(figure)
    assert figure.data[1].y[0] == figure.data[0].y[-1]
    assert len(figure.data[1].x) == 6
    with pytest.raises(DataMissing, match="at least 3 pairs"):
        studies.scatter([1.0, np.nan], [1.0, 2.0], x_title="a", y_title="b")
