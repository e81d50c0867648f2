"""Directions and barriers: by hand, against a loop that walks from bar to bar, and through the engine of all labels."""

import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
from memory_tables import market, random_walk, view_of

from openbell.core.declare import Label, collect
from openbell.labels import directions
from openbell.quant.barriers import both_touched
from openbell.quant.reach import label_reach
from openbell.research.compute import evaluated, label_rows

LABELS = collect([directions], Label)
WARM = 24
#: Closes that go up and down by 1 % in turn: 20 log returns of one size around a mean of 0.
STEP = 0.01
SIGMA = STEP * math.sqrt(20 / 19)


def label(name, bars):
    ordered = bars.with_columns(pl.lit("A").alias("symbol"), pl.col("open").alias("fill_price"))
    return evaluated(ordered, [LABELS[name].expression.alias("label")], ["symbol"])["label"]


def after(*bars):
    """Bars (open, high, low) after a decision at row `WARM` at which the volatility of a bar is `SIGMA`."""
    close = [100.0 * math.exp(STEP * (at % 2)) for at in range(WARM + 1)]
    calm = [(each, each, each, each) for each in close]
    rows = [*calm, *((*bar, bar[1]) for bar in bars)]
    return pl.DataFrame(rows, schema=dict.fromkeys(("open", "high", "low", "close"), pl.Float64), orient="row")


def at_decision(name, *bars):
    return label(name, after(*bars))[WARM]


def test_the_declared_labels():
    assert set(LABELS) == {f"{kind}_{h}" for kind in ("direction", "barrier") for h in (1, 5, 10, 20)}
    for name, each in LABELS.items():
        found = label_reach(each)
        assert each.reads == "bars"
        assert (found.back, found.forward) == (21, each.horizon_sessions + name.startswith("direction"))


BAND = 0.5 * SIGMA * math.sqrt(5)


@pytest.mark.parametrize(
    ("made", "expected"),
    [(BAND * 1.01, 1), (BAND * 0.99, 0), (0.0, 0), (-BAND * 0.99, 0), (-BAND * 1.01, -1)],
)
def test_each_class_of_a_direction_and_the_edge_of_its_band(made, expected):
    """Check 59: BUY, HOLD and SELL can all be had; kills a band of another width or without the root of the horizon."""
    flat = [(200.0, 200.0, 200.0)] * 5
    assert at_decision("direction_5", *flat, (200.0 * (1 + made), 300.0, 100.0)) == expected


def test_the_entry_is_the_next_open_and_not_the_close_of_the_decision():
    """Trap 11: the open after a jump over night is what is paid; kills an entry at the close that was seen."""
    assert at_decision("direction_1", (150.0, 150.0, 150.0), (150.0, 150.0, 150.0)) == 0
    assert at_decision("direction_1", (100.0, 100.0, 100.0), (150.0, 150.0, 150.0)) == 1


def test_without_a_volatility_there_is_no_direction():
    flat = pl.DataFrame({name: [100.0] * 40 for name in ("open", "high", "low", "close")})
    assert label("direction_1", flat).null_count() == 40
    assert label("barrier_1", flat).null_count() == 40
    assert label("direction_1", after((1.0, 1.0, 1.0), (2.0, 2.0, 2.0)))[:20].null_count() == 20


AWAY = SIGMA * math.sqrt(5)
UP, DOWN = 100.0 * (1 + AWAY) + 1e-9, 100.0 * (1 - AWAY) - 1e-9
STILL = (100.0, 100.5, 99.5)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([STILL] * 5, 0),
        ([(100.0, UP, 99.5), *[STILL] * 4], 1),
        ([STILL, (100.0, 100.5, DOWN), (100.0, UP, 99.0), STILL, STILL], -1),
        ([*[STILL] * 4, (100.0, UP, 99.0)], 1),
        ([*[STILL] * 5, (100.0, UP, 99.0)], 0),
        ([STILL, (100.0, UP, DOWN), (100.0, UP, 99.0), STILL, STILL], 0),
        ([STILL, (UP, UP, DOWN), STILL, STILL, STILL], 1),
        ([STILL, (DOWN, UP, DOWN), STILL, STILL, STILL], -1),
    ],
    ids=["none", "at once", "the first counts", "the last bar", "too late", "both", "opened above", "opened below"],
)
def test_barriers_by_hand(bars, expected):
    """Both in one bar is 0 whatever comes later, unless the bar opened beyond one; too late a touch is none."""
    assert at_decision("barrier_5", *bars, STILL) == expected


def test_a_missing_bar_hides_what_comes_after_it_and_nothing_before():
    gone = (None, None, None)
    assert at_decision("barrier_5", (100.0, UP, 99.5), gone, STILL, STILL, STILL) == 1
    assert at_decision("barrier_5", STILL, gone, (100.0, UP, 99.0), STILL, STILL) is None
    assert at_decision("barrier_5", STILL, STILL, STILL) is None  # they are yet to come
    assert at_decision("barrier_5", gone, STILL, STILL, STILL, STILL) is None


def test_both_touched_is_what_cannot_be_told():
    def both(*bars):
        ordered = after(*bars).with_columns(pl.lit("A").alias("symbol"), pl.col("open").alias("fill_price"))
        return evaluated(ordered, [both_touched(5).alias("both")], ["symbol"])["both"][WARM]

    assert both(STILL, (100.0, UP, DOWN), STILL, STILL, STILL) is True
    assert both(STILL, (UP, UP, DOWN), STILL, STILL, STILL) is False
    assert both(*[STILL] * 5) is False
    assert both((100.0, UP, 99.5), (100.0, UP, DOWN), STILL, STILL, STILL) is False


def walked(bars, t, horizon):
    """The rule again, bar by bar."""
    close = np.log(bars["close"][t - 20 : t + 1].to_numpy())
    away = np.diff(close).std(ddof=1) * math.sqrt(horizon)
    entry = bars["open"][t + 1]
    upper, lower = entry * (1 + away), entry * (1 - away)
    for k in range(t + 1, t + horizon + 1):
        opened, top, bottom = (bars[name][k] for name in ("open", "high", "low"))
        if opened >= upper or opened <= lower:
            return 1 if opened >= upper else -1
        if top >= upper or bottom <= lower:
            return 0 if top >= upper and bottom <= lower else (1 if top >= upper else -1)
    return 0


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_barriers_against_a_loop(horizon):
    bars = pl.DataFrame(random_walk(160, seed=horizon))
    found = label(f"barrier_{horizon}", bars)
    ends = range(20, 160 - horizon)
    assert [found[t] for t in ends] == [walked(bars, t, horizon) for t in ends]
    assert found[:20].null_count() == 20
    assert len({found[t] for t in ends}) == 3


def test_the_engine_of_labels_gives_them_with_the_moment_they_are_known():
    """The tools of the stocks desk see them too; known when the furthest bar is."""
    tables, calendar = market(symbols=2, sessions=80)
    rows = label_rows(view_of(tables, calendar), [LABELS["direction_5"], LABELS["barrier_5"]])
    own = rows.filter(pl.col("symbol") == "S0")
    assert own["direction_5_known_at"][30] == calendar.closes[36]
    assert own["barrier_5_known_at"][30] == calendar.closes[35]
    bars = tables.frames["bars"].filter(pl.col("symbol") == "S0")
    assert own["barrier_5"][30] == walked(bars, 30, 5)
    assert set(own["direction_5"].drop_nulls().unique()) <= {-1.0, 0.0, 1.0}
