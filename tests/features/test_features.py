"""What every feature must hold: names, documentation, bounds, nulls, no infinity, no future."""

import math

import numpy as np
import polars as pl
import pytest
from feature_bars import declared, one_symbol
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tables import random_walk

from openbell.quant.reach import feature_reach, lookback
from openbell.research.compute import evaluated

BARS = [each for each in declared().values() if each.reads == "bars"]
#: Families that the signals desk alone reads.
OF_SIGNALS = ("moving_averages", "strength", "microstructure", "breakouts")
#: Features that have values before their look-back is full: they look that far where nearer rows say nothing.
EARLIER = (
    "opening_range_position", "opening_range_breakout", "order_flow_imbalance_5", "order_flow_imbalance_20",
    "tick_imbalance_5", "tick_imbalance_20",
)  # fmt: skip

BOUNDS = {
    "rsi_14": (0, 100), "rsi_28": (0, 100), "rsi_2": (0, 100), "stochastic_k": (0, 100), "stochastic_d": (0, 100),
    "williams_r": (-100, 0), "mfi": (0, 100), "adx_14": (0, 100), "di_plus_14": (0, 100), "di_minus_14": (0, 100),
    "cmo_14": (-100, 100), "momentum_consensus": (-1, 1), "sma_alignment": (0, 1), "above_sma_200": (0, 1),
    "trend_strength_20": (0, 1), "trend_strength_50": (0, 1), "trend_persistence_50": (-1, 1),
    "autocorrelation_50": (-1, 1), "autocorrelation_100": (-1, 1), "price_volume_correlation_20": (-1, 1),
    "up_day_share_20": (0, 1), "upside_variance_share_50": (0, 1), "hv_rank": (0, 100), "obv_ratio_20": (-1, 1),
    "obv_trend_20": (-1, 1), "chaikin_money_flow_20": (-1, 1), "close_location": (0, 1), "close_location_20": (0, 1),
    "body_share": (-1, 1), "channel_position_50": (0, 1), "channel_position_252": (0, 1), "position_in_range": (0, 1),
    "days_in_range": (0, 60), "sessions_since_new_high": (0, 60), "breakout_probability": (0, 1),
    "trend_regime": (0, 4), "hv_regime": (0, 4), "volume_regime": (0, 2), "hv_combined_state": (0, 74),
    "days_since_regime_change": (0, 60), "crisis_indicator": (0, 1), "recovery_indicator": (0, 1),
    "vol_expansion": (0, 1), "hv_trend": (0, 1), "position_between_swings": (0, 1), "days_between_swings": (0, 60),
    "swing_breakout_score": (0, 1), "distance_from_high_252": (-1, 0),
    "information_discreteness_100": (-1, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def all_values():
    frame = pl.concat([one_symbol(random_walk(1400, seed)) for seed in (1, 2)])
    parts = [
        evaluated(part, [each.expression.cast(pl.Float64).alias(each.name) for each in BARS], [])
        for part in (frame[:1400], frame[1400:])
    ]
    return pl.concat(parts)


def test_families_and_count(features):
    assert 110 <= sum(each.family not in ("prices", *OF_SIGNALS) for each in BARS) <= 140
    assert {each.family for each in features.values()} == {
        "momentum", "trend", "volatility", "volume", "oscillators", "statistics", "ranges", "levels", "prices",
        "regime", "fundamentals", "support_resistance", "chain", "implied", "context", "trade_prices",
        "trade_predictions", "trade_times", "trade_market", *OF_SIGNALS, "option_metrics",
        "early_session", "session_regime", "cross_market",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(declared()))
def test_each_says_what_it_is_where_it_is_from_and_in_which_unit(features, name):
    each = features[name]
    assert "References\n----------" in each.doc
    assert each.unit
    assert lookback(each) >= 1
    assert feature_reach(each).forward == 0


def test_only_the_family_of_prices_holds_levels(features):
    """A level says nothing across names; the families that serve a cross-section have none."""
    levels = {each.name for each in BARS if each.unit in ("USD", "shares")}
    assert levels == {each.name for each in BARS if each.family == "prices"}


def test_scale_free_features_do_not_know_the_price_level(features):
    """Prices times 8 (a power of two, exact): the same features; kills a level that slipped into a family."""
    walk = random_walk(700, 4)
    scaled = {name: values * 8.0 if name != "volume" else values / 8.0 for name, values in walk.items()}
    # A spread in ticks hangs on the level by its meaning: it says how coarse the steps of the price are.
    chosen = [each for each in BARS if each.family != "prices" and each.name != "spread_ticks"]
    expressions = [each.expression.cast(pl.Float64).alias(each.name) for each in chosen]
    a, b = (evaluated(one_symbol(each), expressions, []) for each in (walk, scaled))
    for each in chosen:
        x, y = a[each.name].fill_null(-9.0).to_numpy(), b[each.name].fill_null(-9.0).to_numpy()
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9, err_msg=each.name)


def test_never_infinite_nor_nan(all_values):
    odd = all_values.select((~pl.all().is_finite()).sum()).row(0, named=True)
    assert {name: count for name, count in odd.items() if count} == {}


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_bounds_hold_and_are_used(all_values, name):
    """Check 58: minimum and maximum of every bounded indicator, on values that move through their range."""
    low, high = BOUNDS[name]
    values = all_values[name].drop_nulls()
    assert len(values) > 100
    assert low - 1e-9 <= values.min()
    assert values.max() <= high + 1e-9
    if name not in ("crisis_indicator", "sma_alignment"):
        assert values.n_unique() > 1


def test_a_short_history_gives_null_never_a_default(features):
    """Check 16: sma_200 on 199 sessions is null, on 200 it is not; check 15: nothing stands in its place."""
    walk = random_walk(200, 5)
    value = evaluated(one_symbol(walk), [features["sma_200"].expression.alias("x")], [])["x"]
    assert value[:199].null_count() == 199
    assert value[199] == pytest.approx(walk["close"].mean())


def test_each_is_null_before_its_window_is_full_and_not_after(all_values):
    """A finite look-back of n rows gives its first value at row n, unless the value is undefined there."""
    first = all_values[:1400]
    for each in BARS:
        found = feature_reach(each)
        levels = each.family == "levels" or "resistance" in each.name or "support" in each.name
        if found.recursive or levels or each.name in EARLIER:
            continue
        null = first[each.name].is_null()
        assert null[: found.back - 1].all(), each.name
        assert not null[found.back - 1 :].any(), each.name


@pytest.mark.parametrize("name", ["sma_20", "hv_20d", "return_5d", "stochastic_k", "cci", "mfi", "autocorrelation_50"])
def test_a_missing_session_makes_its_windows_null(features, name):
    """Sessions are not filled forward: a window that holds a missing one has no value, the first without it has."""
    frame = one_symbol(random_walk(300, 6))
    gap = pl.int_range(pl.len()) == 150
    columns = [pl.when(gap).then(None).otherwise(pl.col(c)).alias(c) for c in frame.columns if c != "symbol"]
    value = evaluated(frame.with_columns(columns), [features[name].expression.alias("x")], [])["x"]
    back = feature_reach(features[name]).back
    assert value[150] is None
    assert value[150 + back] is not None
    if name not in ("return_5d",):
        assert value[151 : 150 + back - 1].null_count() == back - 2


def test_recursions_go_on_behind_a_missing_session_but_not_through_a_desert(features):
    """One missing session does not end an EMA; a history with 10 % of its sessions missing has none to trust."""
    frame = one_symbol(random_walk(1200, 9))

    def rsi(gap):
        columns = [pl.when(gap).then(None).otherwise(pl.col(c)).alias(c) for c in frame.columns if c != "symbol"]
        return evaluated(frame.with_columns(columns), [features["rsi_14"].expression.alias("x")], [])["x"]

    at = pl.int_range(pl.len())
    once = rsi(at == 800)
    assert once[800] is None
    assert once[820:].null_count() == 0
    assert rsi(at % 10 == 0)[400:].null_count() == 800


def test_flat_prices_are_undefined_not_zero(features):
    """No movement: ratios over 0 are null; nothing becomes infinite, nothing becomes 50 by default."""
    n = 400
    flat = {name: np.full(n, 10.0) for name in ("open", "high", "low", "close")} | {"volume": np.full(n, 1e6)}
    names = ("rsi_14", "adx_14", "stochastic_k", "williams_r", "cci", "return_skew_20", "autocorrelation_50",
             "rolling_sharpe_20", "close_location", "bb_position", "volatility_ratio_10_50")  # fmt: skip
    got = evaluated(one_symbol(flat), [features[name].expression.alias(name) for name in names], [])
    assert got.null_count().row(0) == (n,) * len(names)


def test_zero_volume_gives_null_where_it_divides(features):
    walk = random_walk(120, 2)
    walk["volume"] = np.zeros(120)
    names = ("volume_vs_avg", "mfi", "obv_ratio_20", "amihud_20", "vwap_distance_20", "volume_change_1d")
    got = evaluated(one_symbol(walk), [features[name].expression.alias(name) for name in names], [])
    assert got.null_count().row(0) == (120,) * len(names)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(300, 699))
def test_truncation_gives_the_same_value(seed, at):
    """Check 4: every feature, recomputed with everything after row t removed, has the identical value at t."""
    frame = one_symbol(random_walk(700, seed))
    expressions = [each.expression.cast(pl.Float64).alias(each.name) for each in BARS]
    full, cut = evaluated(frame, expressions, []), evaluated(frame[: at + 1], expressions, [])
    assert full[at].rows() == cut[at].rows()


def test_levels_are_in_the_dollars_of_the_day(features):
    """An adjusted history of twice the quoted price gives levels that compare with the quote."""
    frame = one_symbol(random_walk(300, 1)).with_columns(pl.col("close") * 2, pl.col("high") * 2, pl.col("low") * 2)
    got = evaluated(frame, [features[name].expression.alias(name) for name in ("sma_20", "current_price")], [])
    quoted = frame["raw_close"]
    assert got["sma_20"][-1] == pytest.approx(quoted[-20:].mean())
    assert got["current_price"][-1] == quoted[-1]
    assert math.isclose(quoted[-1], frame["close"][-1] / 2)
