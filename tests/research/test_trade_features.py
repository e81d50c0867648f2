"""Features of trades: batch and request agree, the market is that of the session before, and what is refused."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from feature_bars import declared
from made_up_days import CALENDAR, index_bars, made, made_facts, market

from openbell.core.declare import Feature
from openbell.core.errors import BadInput, DeclarationError, LeakFound
from openbell.research.made_up_trades import made_up_bars
from openbell.research.trade_facts import facts
from openbell.research.trade_features import (
    MARKET,
    check_trade_feature,
    market_columns,
    null_counts,
    trade_features,
    with_market,
)

FEATURES = {name: each for name, each in declared().items() if each.reads == "trades"}


def of_one(expression, name="planted", reads="trades"):
    return Feature(name, "planted", "Planted.", {}, expression, reads, "x")


def whole(rows):
    """From a stored row to its features, as training and a request do it."""
    return trade_features(facts(with_market(rows, market()), commission_usd=0.65, sessions=CALENDAR), FEATURES)


def same(a, b):
    assert a.columns == b.columns
    for name in a.columns:
        x, y = (each[name].fill_null(float("nan")).to_numpy() for each in (a, b))
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9, err_msg=name)


def test_batch_and_one_by_one_are_equal():
    """Checks 14 and 35: a golden equality of every feature to 1e-9; a row never sees another, whatever their number."""
    rows = made().sample(40, seed=1)
    batch = whole(rows)
    same(batch, pl.concat([whole(rows[i : i + 1]) for i in range(rows.height)]))
    same(batch[:7], whole(rows[:7]))
    assert not batch[0].equals(batch[1])


def test_a_request_without_market_or_predictions_has_nulls_and_they_are_counted():
    """Checks 15 and 38: nothing stands in the place of what is missing."""
    bare = made()[:3].with_columns(
        pl.lit(None, pl.Float64).alias(name)
        for name in (
            "predicted",
            "target1",
            "target2",
            "short_term",
            "long_term",
            "call_delta",
            "put_delta",
            "low",
            "high",
        )
    )
    said = trade_features(facts(bare, commission_usd=0.65), FEATURES)
    assert said.schema == dict.fromkeys(FEATURES, pl.Float64)
    of_market = [name for name, each in FEATURES.items() if each.family == "trade_market"]
    of_predictions = [name for name, each in FEATURES.items() if each.family == "trade_predictions"]
    assert said.select(of_market).null_count().row(0) == (3,) * len(of_market)
    assert set(said["has_delta_data"]) == {0.0}
    missing = [name for name in of_predictions if name != "has_delta_data"]
    assert said.select(missing).null_count().row(0) == (3,) * len(missing)
    counts = null_counts(said)
    assert counts.to_list() == [sum(value is None for value in row) for row in said.rows()]
    assert null_counts(whole(made()[:3])).max() < counts.min()


def test_what_is_not_finite_is_null():
    rows = made_facts()[:4].with_columns(pl.lit(0.0).alias("price"))
    said = trade_features(
        rows, {"x": of_one(1.0 / pl.col("price"), "x"), "y": of_one(pl.col("price") / pl.col("price"), "y")}
    )
    assert said.null_count().row(0) == (4, 4)


def test_market_by_a_second_formula():
    """Every column of the market on a random session, from the bars before it, by loops."""
    bars, volatility = index_bars()
    own = made_up_bars(bars).filter(symbol="QQQ").sort("session")
    at = 700
    day = own["session"][at]
    said = market().filter(symbol="QQQ", session=day).row(0, named=True)
    close = own["close"].to_numpy()[: at + 1]
    returns = np.diff(np.log(close))
    up = down = 0.0
    for place, change in enumerate(np.diff(close)):
        weight = 1.0 if place == 0 else 1 / 14
        up, down = up + weight * (max(change, 0.0) - up), down + weight * (max(-change, 0.0) - down)
    low, high = own["low"].to_numpy()[at - 19 : at + 1].min(), own["high"].to_numpy()[at - 19 : at + 1].max()
    index = volatility["close"].to_numpy()[at - 19 : at + 1]
    wanted = {
        "previous_close": close[-1], "sma20": close[-20:].mean(), "momentum5": close[-1] / close[-6] - 1,
        "volatility20": returns[-20:].std(ddof=1) * np.sqrt(252), "rsi14": 100 * up / (up + down),
        "price_position": (close[-1] - low) / (high - low), "vix": index[-1], "vix_sma20": index.mean(),
        "vix_change": index[-1] - index[-2], "market_volatility": returns[-20:].std(ddof=1) * np.sqrt(252),
    }  # fmt: skip
    assert tuple(wanted) == MARKET
    for name, value in wanted.items():
        assert said[name] == pytest.approx(value, rel=1e-9), name
    index_row = market().filter(symbol="SPX", session=day).row(0, named=True)
    assert index_row["market_volatility"] == pytest.approx(index[-1] / 100)


def test_nothing_of_a_day_stands_beside_its_trades():
    """Check 4: bars from the trade's session on may say anything. Kills: an as-of join that takes the same day."""
    bars, volatility = index_bars()
    rows = made().filter(pl.col("date") == pl.col("date").max())
    day = rows["date"][0]
    odd = [
        x.with_columns(pl.when(pl.col("session") >= day).then(1e9).otherwise("close").alias("close"))
        for x in (bars, volatility)
    ]
    later = market_columns(made_up_bars(odd[0]), odd[1])
    assert with_market(rows, later).equals(with_market(rows, market()))
    before = market().filter(pl.col("session") < day)
    assert with_market(rows, before).equals(with_market(rows, market()))
    previous = CALENDAR.shift(day, -1)
    spx = with_market(rows, market()).filter(symbol="SPX")["previous_close"].unique().to_list()
    assert spx == bars.filter(symbol="SPX", session=previous)["close"].to_list()


def test_the_market_of_few_and_of_many_rows_is_the_same():
    rows = (
        made()
        .sample(60, seed=2)
        .with_columns(pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("known_at").alias("known_at"))
    )
    thin = market().filter(pl.Series(np.random.default_rng(0).random(market().height)) < 0.6)
    few = pl.concat([with_market(rows[i : i + 4], thin) for i in range(0, 60, 4)])
    assert with_market(rows, thin).equals(few)
    assert few["vix"].null_count() < 60


def test_a_market_that_stopped_is_not_carried_on():
    rows = made().filter(pl.col("date") == pl.col("date").max())
    old = market().filter(pl.col("session") < rows["date"][0] - dt.timedelta(days=8))
    assert with_market(rows, old).select(MARKET).null_count().row(0) == (rows.height,) * len(MARKET)


def test_symbols_without_bars_have_the_volatility_index_alone():
    bars, volatility = index_bars()
    said = with_market(made()[:32], market_columns(bars, volatility)).filter(symbol="TSLA").row(0, named=True)
    assert said["previous_close"] is None
    assert said["market_volatility"] is None, "the index is no measure of one stock"
    assert said["vix"] is not None


def test_joining_twice_changes_nothing_and_keeps_rows():
    rows = made().sample(fraction=1.0, shuffle=True, seed=5)
    once = with_market(rows, market())
    assert once.select(rows.columns).equals(rows)
    assert with_market(once, market()).equals(once)


def test_duplicates_of_the_market_are_refused():
    bars, volatility = index_bars()
    with pytest.raises(BadInput, match="bars has a session twice"):
        market_columns(pl.concat([bars, bars[:1]]), volatility)
    with pytest.raises(BadInput, match="volatility index has a session twice"):
        market_columns(bars, pl.concat([volatility, volatility[:1]]))


@pytest.mark.parametrize(
    ("feature", "error", "said"),
    [
        (of_one(pl.col("close"), reads="bars"), DeclarationError, "reads `bars`"),
        (of_one(pl.col("pric")), DeclarationError, "Did you mean `price`"),
        (of_one(pl.col("closing") - pl.col("predicted")), DeclarationError, "`closing`"),
        (of_one(pl.col("profit_usd") + 0.0), DeclarationError, "`profit_usd`"),
        (of_one(pl.col("win").cast(pl.Float64)), DeclarationError, "`win`"),
        (of_one(pl.col("price").shift(1)), LeakFound, "its own row alone"),
        (of_one(pl.col("price") - pl.col("price").mean()), LeakFound, "aggregates a whole column"),
        (of_one(pl.col("price").mean().over("symbol")), LeakFound, "Over"),
    ],
)
def test_what_no_feature_of_trades_may_read(feature, error, said):
    with pytest.raises(error, match=said):
        check_trade_feature(feature)
