"""The families of the signals desk: second formulas in NumPy, bounds on any bars, and the proofs on bars of a session.

Daily tables have no quotes and no running session, so `openbell audit features` switches off what stands on them; here
their causality and their look-backs are proven on made-up bars of 15 minutes that have both.
"""

import math

import numpy as np
import polars as pl
import pytest
from feature_bars import declared, one_symbol
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tables import market, random_walk
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtr
from session_bars import FAMILIES, OWN, computed, within_sessions

from openbell.features.microstructure import normal_share
from openbell.quant.reach import feature_reach, lookback
from openbell.research.audit import FINITE_TOLERANCE, OFF, RECURSIVE_TOLERANCE, audit_features
from openbell.research.compute import evaluated, roots
from openbell.research.feature_quality import declared_range


def windows(x, n):
    return sliding_window_view(np.asarray(x, dtype=float), n)


def same(ours, theirs, *, tolerance=1e-9):
    """`theirs` belongs to the last rows; everything before them is null."""
    start = len(ours) - len(theirs)
    assert np.isnan(ours[:start]).all()
    np.testing.assert_allclose(ours[start:], theirs, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def walk():
    return random_walk(780, 3)


@pytest.fixture(scope="module")
def bars(walk):
    return within_sessions(walk)


@pytest.fixture(scope="module")
def ours(bars):
    return computed(bars, *OWN)


@pytest.fixture(scope="module")
def r(walk):
    return np.diff(np.log(walk["close"]))


def test_the_requested_parameters_are_there():
    """S3.01 and S3.03: each indicator with the parameters of the request, here or in the families beside."""
    names = set(declared())
    for window in (5, 10, 20, 50, 200):
        assert {f"price_vs_sma_{window}", f"price_vs_ema_{window}"} <= names | {"price_vs_ema_50"}
    assert {"rsi_14", "rsi_30", "macd_relative", "macd_signal_relative", "macd_histogram_relative"} <= names
    assert {"bb_position", "bb_width", "stochastic_k", "stochastic_d", "williams_r", "cci", "atr_relative_14"} <= names
    assert {"spread_ticks", "spread_relative", "buy_pressure_10", "sell_pressure_10"} <= names
    assert {"session_vwap_deviation", "volume_near_close_30", "support_distance_20", "breakout_20"} <= names


def test_at_least_fifty_indicators_need_neither_quotes_nor_a_session():
    """S3.01: what is there on every frame of bars, a daily table with nothing but prices and volume included."""
    desk = (*FAMILIES, "oscillators", "momentum", "trend", "ranges", "volatility", "volume", "statistics")
    from openbell.quant.expressions import SHARED

    plain = [
        each
        for each in declared().values()
        if each.family in desk and not {"bid", "ask"} & set(roots(each.expression, SHARED))
        and not any(root.startswith("session_") for root in roots(each.expression, SHARED))
    ]  # fmt: skip
    assert len({each.doc for each in plain}) >= 100, "distinct definitions, the windows of one counted once"


# Formulas


def test_orders_and_crossings_of_averages(walk, ours):
    close = walk["close"]
    means = {n: np.r_[np.full(n - 1, np.nan), windows(close, n).mean(axis=1)] for n in (5, 10, 20, 50, 200)}
    pairs = [(f, s) for f in means for s in means if f < s]
    order = np.mean([np.sign(means[f] - means[s]) for f, s in pairs], axis=0)
    same(ours["sma_order"], order[199:])
    side = np.sign(means[5] - means[20])
    same(ours["sma_crossing_5_20"], (side[24:] - side[19:-5]) / 2)
    assert set(ours["sma_crossing_5_20"][24:]) == {-1.0, 0.0, 1.0}
    same(ours["sma_slope_50"], means[50][54:] / means[50][49:-5] - 1)


def test_averages_of_a_price_that_stands_still_do_not_cross():
    """Rounding is no crossing: three decimals that no binary holds, after a wild time, for 300 rows."""
    walk = random_walk(600, 5)
    for name in ("open", "high", "low", "close"):
        walk[name][300:] = 33.337
    got = computed(one_symbol(walk), "sma_order", "sma_crossing_5_20", "ema_crossing_5_20")
    assert set(got["sma_order"][500:]) == {0.0}
    assert set(got["sma_crossing_5_20"][500:]) == {0.0}
    assert not np.isnan(got["ema_crossing_5_20"][500:]).any()


def test_sums_of_returns_and_ichimoku(walk, ours):
    c, h, low = walk["close"], walk["high"], walk["low"]
    change = {n: np.r_[np.full(n, np.nan), c[n:] / c[:-n] - 1] for n in (10, 15, 20, 30)}
    parts = [
        k * np.r_[np.full(m - 1, np.nan), windows(change[n], m).mean(axis=1)]
        for k, n, m in ((1, 10, 10), (2, 15, 10), (3, 20, 10), (4, 30, 15))
    ]
    same(ours["know_sure_thing"], np.sum(parts, axis=0)[44:])
    same(ours["detrended_price_20"], (c[8:-11] - windows(c, 20).mean(axis=1)) / c[19:])
    mid = {n: np.r_[np.full(n - 1, np.nan), (windows(h, n).max(1) + windows(low, n).min(1)) / 2] for n in (9, 26, 52)}
    same(ours["ichimoku_conversion_to_base"], ((mid[9] - mid[26]) / c)[25:])
    first, second = (mid[9] + mid[26])[51:-26] / 2, mid[52][51:-26]
    top, bottom, now = np.maximum(first, second), np.minimum(first, second), c[77:]
    away = np.where(now > top, now - top, np.where(now < bottom, now - bottom, 0.0)) / now
    same(ours["ichimoku_cloud_distance"], away)
    assert set(np.sign(away)) == {-1.0, 0.0, 1.0}


def test_strength_by_hand(walk, ours):
    o, h, low, c, v = (walk[name] for name in ("open", "high", "low", "close", "volume"))
    before = c[:-1]
    true = np.maximum(h[1:], before) - np.minimum(low[1:], before)
    top, bottom = np.maximum(h[1:], before), np.minimum(low[1:], before)
    path = windows(true, 14).sum(1) / (windows(top, 14).max(1) - windows(bottom, 14).min(1))
    same(ours["choppiness_14"], 100 * np.log(path) / math.log(14))
    trend = windows((c[1:] / before - 1) * v[1:], 20).sum(1) / windows(v[1:], 20).sum(1)
    same(ours["price_volume_trend_20"], trend)
    fall = c[13:] / windows(c, 14).max(1) - 1
    same(ours["ulcer_index_14"], np.sqrt((windows(fall, 14) ** 2).mean(1)))

    def four(x):
        return (x[3:] + 2 * x[2:-1] + 2 * x[1:-2] + x[:-3]) / 6

    same(ours["relative_vigor_10"], windows(four(c - o), 10).sum(1) / windows(four(h - low), 10).sum(1))


def recursive(x, alpha):
    """The exponential mean, step by step, from the first value."""
    out = np.empty(len(x))
    out[0] = x[0]
    for at in range(1, len(x)):
        out[at] = (1 - alpha) * out[at - 1] + alpha * x[at]
    return out


def test_recursions_step_by_step(walk, ours):
    h, low, c, v = (walk[name] for name in ("high", "low", "close", "volume"))
    middle = (h + low) / 2
    w = windows(middle, 10)
    placed = 2 * (middle[9:] - w.min(1)) / (w.max(1) - w.min(1)) - 1
    value = np.clip(recursive(placed, 0.33), -0.999, 0.999)[9:]
    fisher = recursive(np.log((1 + value) / (1 - value)), 0.5)
    np.testing.assert_allclose(ours["fisher_transform_10"][18:], fisher, rtol=1e-9, atol=1e-9)
    true = np.maximum(h[1:], c[:-1]) - np.minimum(low[1:], c[:-1])
    atr = np.r_[np.nan, recursive(true, 1 / 14)]
    usual = np.r_[np.full(13, np.nan), windows(v, 14).mean(1)]
    moved = np.r_[np.nan, np.diff(middle)] / atr * (h - low) / atr / (v / usual)
    np.testing.assert_allclose(ours["ease_of_movement_14"][60:], windows(moved, 14).mean(1)[47:], rtol=1e-8)
    half, away = windows(h, 14).max(1) - windows(low, 14).min(1), windows(h, 14).max(1) + windows(low, 14).min(1)
    two = [recursive(recursive(x, 0.5), 0.5) for x in (c[13:] - away / 2, half / 2)]
    np.testing.assert_allclose(ours["stochastic_momentum_14"][80:], (100 * two[0] / two[1])[67:], rtol=1e-9)


# Microstructure


def test_spreads_of_the_quotes(bars, ours):
    bid, ask, close = (bars[name].to_numpy() for name in ("bid", "ask", "close"))
    middle = (bid + ask) / 2
    same(ours["spread_ticks"], (ask - bid) * 100)
    same(ours["spread_relative"], (ask - bid) / middle)
    relative = (ask - bid) / middle
    same(ours["spread_ratio_20"], relative[19:] / windows(relative, 20).mean(1))
    same(ours["effective_spread_20"], windows(2 * np.abs(close - middle) / middle, 20).mean(1))


def test_crossed_or_missing_quotes_have_no_spread_and_leave_the_ticks(walk):
    """A locked quote has a spread of 0; a crossed one, or a bid of 0, has none, and the tick rule takes over."""
    frame = one_symbol(walk)
    at = pl.int_range(pl.len())
    frame = frame.with_columns(
        pl.when(at == 50).then(pl.col("ask") * 1.01).when(at == 51).then(None).when(at == 52).then(0.0)
        .when(at == 53).then(pl.col("ask")).otherwise("bid").alias("bid")
    )  # fmt: skip
    got = computed(frame, "spread_relative", "order_flow_imbalance_5")
    assert np.isnan(got["spread_relative"][50:53]).all()
    assert got["spread_relative"][53] == 0.0
    assert not np.isnan(got["order_flow_imbalance_5"][50:60]).any()


def test_order_flow_by_the_quotes_and_by_the_ticks(walk):
    """Lee and Ready: off the middle the quotes say the side; at it and without quotes the last change."""
    n = 60
    close = np.full(n, 100.0)
    close[10:12], close[12:] = 101.0, 100.5
    v = np.arange(1.0, n + 1)
    flat = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": v}
    quotes = {"bid": np.full(n, np.nan), "ask": np.full(n, np.nan)}
    quotes["bid"][30:35], quotes["ask"][30:35] = 100.0, 100.4  # the close lies above the middle: bought
    quotes["bid"][35:40], quotes["ask"][35:40] = 100.6, 101.0  # below: sold
    frame = one_symbol(flat).with_columns(pl.Series(name, x, nan_to_null=True) for name, x in quotes.items())
    both = computed(frame, "order_flow_imbalance_5", "tick_imbalance_5")
    got, side = both["order_flow_imbalance_5"], np.zeros(n)
    side[10:12], side[12:14] = 1.0, -1.0  # one row of standing still keeps the side, the next one has none
    side[30:35], side[35:40] = 1.0, -1.0
    same(got, (windows(side * v, 5).sum(1) / windows(v, 5).sum(1))[2:])
    side[30:40] = 0.0
    same(both["tick_imbalance_5"], (windows(side * v, 5).sum(1) / windows(v, 5).sum(1))[2:])


def test_the_logistic_is_the_normal_distribution_within_what_it_says():
    x = np.linspace(-8, 8, 20_001)
    ours = pl.DataFrame({"x": x}).select(x=normal_share(pl.col("x")))["x"].to_numpy()
    error = np.abs(ours - ndtr(x))
    assert error.max() <= 1.5e-4
    assert error.max() > 1e-4, "the error that the docstring tells is not too modest either"
    odd = pl.DataFrame({"x": [-1e300, 1e300, None]}).select(x=normal_share(pl.col("x")))["x"].to_list()
    assert odd[0] == pytest.approx(0.0, abs=1e-15)
    assert odd[1] == pytest.approx(1.0, abs=1e-15)
    assert odd[2] is None


def test_bulk_volume_classification(walk, ours, r):
    """Against the normal distribution itself: shares agree within the logistic's error."""
    v = walk["volume"][50:]
    bought = v * ndtr(r[49:] / windows(r, 50).std(axis=1, ddof=1))
    imbalance = windows(2 * bought - v, 20).sum(1) / windows(v, 20).sum(1)
    same(ours["bulk_imbalance_20"], imbalance, tolerance=4e-4)
    vpin = windows(np.abs(2 * bought - v), 50).sum(1) / windows(v, 50).sum(1)
    same(ours["informed_trading_50"], vpin, tolerance=4e-4)
    usual = windows(walk["volume"], 100).mean(1)
    same(ours["buy_pressure_10"], windows(bought, 10).mean(1)[-len(usual) :] / usual, tolerance=4e-4)
    both = ours["buy_pressure_10"] + ours["sell_pressure_10"]
    np.testing.assert_allclose(both[99:], windows(walk["volume"], 10).mean(1)[90:] / usual, rtol=1e-9)


def test_vwap_is_that_of_the_session_so_far(walk, ours):
    typical = (walk["high"] + walk["low"] + walk["close"]) / 3
    for at in (0, 25, 26, 40, 779):
        rows = slice(at // 26 * 26, at + 1)
        vwap = np.average(typical[rows], weights=walk["volume"][rows])
        assert ours["session_vwap_deviation"][at] == pytest.approx(walk["close"][at] / vwap - 1, abs=1e-12)


def test_volume_by_price(walk, ours, compute):
    c, v = walk["close"], walk["volume"]
    typical = (walk["high"] + walk["low"] + c) / 3
    atr = compute(walk, "atr_14")["atr_14"]
    for at in range(100, 780, 37):
        rows = slice(at - 29, at + 1)
        near = np.abs(typical[rows] - c[at]) <= atr[at] / 2
        assert ours["volume_near_close_30"][at] == pytest.approx(v[rows][near].sum() / v[rows].sum(), abs=1e-12)
        point = typical[rows][v[rows].argmax()]
        assert ours["highest_volume_distance_30"][at] == pytest.approx((c[at] - point) / atr[at], rel=1e-9)
    w = windows(v, 30)
    same(ours["volume_concentration_30"], 30 * ((w / w.sum(1, keepdims=True)) ** 2).sum(1))


def test_kyle_amihud_and_roll(walk, ours, r):
    signed = np.sign(r) * walk["volume"][1:]
    slopes = [np.polyfit(x, y, 1)[0] for x, y in zip(windows(signed, 50), windows(r, 50), strict=True)]
    kyle = slopes * windows(walk["volume"], 50).mean(1)[1:]
    same(ours["kyle_lambda_50"], kyle, tolerance=1e-7)
    assert (kyle > 0).all()
    size, dollars = np.abs(np.expm1(r)), (walk["close"] * walk["volume"])[1:]
    near = windows(size, 10).sum(1)[90:] / windows(dollars, 10).sum(1)[90:]
    same(ours["illiquidity_ratio_10_100"], near / (windows(size, 100).sum(1) / windows(dollars, 100).sum(1)))
    pairs = zip(windows(r[1:], 50), windows(r[:-1], 50), strict=True)
    cov = np.array([np.cov(a, b, ddof=0)[0, 1] for a, b in pairs])
    same(ours["roll_spread_50"], 2 * np.sqrt(np.maximum(-cov, 0)), tolerance=1e-7)
    assert set(np.sign(cov)) == {-1.0, 1.0}


def test_roll_finds_the_spread_that_was_put_in():
    """Trades that bounce between bid and ask around a middle that hardly moves: the spread comes back."""
    rng = np.random.default_rng(1)
    middle = 100 * np.exp(np.cumsum(rng.normal(0, 1e-5, 4000)))
    close = middle * (1 + 0.002 * rng.choice([-1, 1], 4000))
    bars = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close, "volume": np.full(4000, 1e5)}
    got = computed(one_symbol(bars), "roll_spread_50")["roll_spread_50"]
    assert np.nanmean(got) == pytest.approx(0.004, rel=0.02)


def corwin_schultz(h, low, c):
    """The authors' two-day estimator with the adjustment for gaps, one pair at a time."""
    out = []
    for at in range(1, len(c)):
        top, bottom = h[at], low[at]
        if bottom > c[at - 1]:
            top, bottom = top - (bottom - c[at - 1]), c[at - 1]
        elif top < c[at - 1]:
            top, bottom = c[at - 1], bottom + (c[at - 1] - top)
        beta = math.log(h[at - 1] / low[at - 1]) ** 2 + math.log(top / bottom) ** 2
        gamma = math.log(max(top, h[at - 1]) / min(bottom, low[at - 1])) ** 2
        k = 3 - 2 * math.sqrt(2)
        alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
        out.append(max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0))
    return np.array(out)


def test_corwin_and_schultz(walk, ours):
    h, low, c = (walk[name].copy() for name in ("high", "low", "close"))
    same(ours["corwin_schultz_spread_20"], windows(corwin_schultz(h, low, c), 20).mean(1))
    gap = {name: x * np.where(np.arange(780) // 60 % 2, 1.2, 1.0) for name, x in walk.items()}
    got = computed(one_symbol(gap), "corwin_schultz_spread_20")["corwin_schultz_spread_20"]
    same(got, windows(corwin_schultz(gap["high"], gap["low"], gap["close"]), 20).mean(1))


def test_realised_volatilities(walk, ours, r):
    same(ours["realised_volatility_10"], np.sqrt((windows(r, 10) ** 2).sum(1)))
    a = np.abs(r)
    bipower = math.pi / 2 * 30 / 29 * windows(a[1:] * a[:-1], 29).sum(1)
    same(ours["jump_share_30"], np.clip(1 - bipower / (windows(r, 30) ** 2).sum(1), 0, 1))
    o, h, low, c = (np.log(walk[name]) for name in ("open", "high", "low", "close"))
    k = 0.34 / (1.34 + 21 / 19)
    ranged = ((h - c) * (h - o) + (low - c) * (low - o))[1:]
    variance = (
        windows(o[1:] - c[:-1], 20).var(1, ddof=1) + k * windows((c - o)[1:], 20).var(1, ddof=1)
        + (1 - k) * windows(ranged, 20).mean(1)
    )  # fmt: skip
    same(ours["yang_zhang_volatility_20"], np.sqrt(252 * variance))


# Breakouts


def test_breakouts_compare_with_the_rows_before(walk, ours, compute):
    h, low, c, v = (walk[name] for name in ("high", "low", "close", "volume"))
    top, bottom = windows(h, 20).max(1)[:-1], windows(low, 20).min(1)[:-1]
    side = (c[20:] > top) * 1.0 - (c[20:] < bottom) * 1.0
    same(ours["breakout_20"], side)
    heavy = v[20:] >= 1.5 * windows(v, 20).mean(1)[:-1]
    same(ours["confirmed_breakout_20"], side * heavy)
    assert 0 < np.abs(side * heavy).sum() < np.abs(side).sum()
    atr = compute(walk, "atr_14")["atr_14"]
    np.testing.assert_allclose(ours["resistance_distance_20"][20:], (top - c[20:]) / atr[20:], rtol=1e-9)
    np.testing.assert_allclose(ours["support_distance_20"][20:], (c[20:] - bottom) / atr[20:], rtol=1e-9)
    for at in range(100, 780, 31):
        near = (h[at - 20 : at] >= top[at - 20] - atr[at] / 2).sum()
        assert ours["resistance_touches_20"][at] == near >= 1
        assert ours["support_touches_20"][at] == (low[at - 20 : at] <= bottom[at - 20] + atr[at] / 2).sum()
    pivot = (h + low + c)[:-1] / 3
    np.testing.assert_allclose(ours["pivot_distance"][20:], ((c[1:] - pivot) / atr[1:])[19:], rtol=1e-9)


def test_narrow_inside_and_outside_bars(walk, ours):
    h, low = walk["high"], walk["low"]
    width = h - low
    same(ours["narrowest_range_7"], (width[6:] <= windows(width, 7).min(1)) * 1.0)
    outside = (h[1:] > h[:-1]) & (low[1:] < low[:-1])
    inside = (h[1:] <= h[:-1]) & (low[1:] >= low[:-1])
    same(ours["inside_or_outside_bar"], outside * 1.0 - inside * 1.0)


@pytest.mark.parametrize(("count", "minutes"), [(26, 15.0), (78, 5.0), (390, 1.0), (7, 60.0), (1, 390.0)])
def test_the_opening_range_stands_for_the_rest_of_its_session(count, minutes):
    """On every frame: the range at the end of the first bar that ends 30 minutes or more after the open."""
    walk = random_walk(1600, 11)
    frame = within_sessions(walk, bars=count, minutes=minutes)
    got = computed(frame, "opening_range_position", "opening_range_breakout")
    first = next(row for row in range(count) if (row + 1) * minutes >= 30)
    for at in range(0, 1600, 7):
        start = at // count * count
        rows = slice(start, min(at, start + first) + 1)
        top, bottom = walk["high"][rows].max(), walk["low"][rows].min()
        close = walk["close"][at]
        assert got["opening_range_position"][at] == pytest.approx(
            (close - bottom) / (top - bottom), rel=1e-9, abs=1e-12
        )
        assert got["opening_range_breakout"][at] == (close > top) * 1.0 - (close < bottom) * 1.0
    if count > first + 1:
        assert set(got["opening_range_breakout"]) == {-1.0, 0.0, 1.0}


def test_an_opening_range_is_never_that_of_the_session_before():
    """The bars around the open are missing: the first one that is there ends the range of its own session."""
    walk = random_walk(260, 12)
    frame = within_sessions(walk, missing=range(130, 136))
    got = computed(frame, "opening_range_position")["opening_range_position"]
    assert np.isnan(got[130:136]).all()
    top, bottom = walk["high"][130:137].max(), walk["low"][130:137].min()
    assert got[140] == pytest.approx((walk["close"][140] - bottom) / (top - bottom), rel=1e-9)


def test_the_session_so_far(walk, ours):
    at, rows = 40, slice(26, 41)
    top, bottom = walk["high"][rows].max(), walk["low"][rows].min()
    assert ours["session_position"][at] == pytest.approx((walk["close"][at] - bottom) / (top - bottom))
    assert ours["session_return"][at] == pytest.approx(walk["close"][at] / walk["open"][26] - 1)
    assert ours["session_progress"][at] == pytest.approx(15 * 15 / 390)


# What holds for all of them


BOUNDED = {name: declared_range(each.unit) for name, each in OWN.items() if declared_range(each.unit)}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0005, 0.01, 0.08]), st.booleans())
def test_units_that_state_a_range_keep_it(seed, volatility, with_quotes):
    """Check 58: minimum and maximum of every bounded indicator, on calm and wild bars, with and without quotes."""
    frame = within_sessions(random_walk(390, seed, volatility=volatility))
    if not with_quotes:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("bid", "ask"))
    expressions = [OWN[name].expression.cast(pl.Float64).alias(name) for name in BOUNDED]
    found = evaluated(frame, expressions, [])
    for name, (low, high) in BOUNDED.items():
        values = found[name].drop_nulls()
        slack = 1e-9 * max(abs(low), abs(high))
        assert values.is_empty() or (values.min() >= low - slack and values.max() <= high + slack), name


def test_bounded_indicators_use_their_range(ours):
    """A bound that is never neared is no bound; kills a factor of 100 that was forgotten."""
    for name, (low, high) in BOUNDED.items():
        values = ours[name][~np.isnan(ours[name])]
        if len(values):
            assert np.ptp(values) > 0.2 * (high - low) or name in ("informed_trading_50", "jump_share_30"), name


def test_nothing_moves_nothing_is_traded_nothing_is_infinite():
    """Flat prices and no volume: null, or the value that standing still has, never infinite and never NaN."""
    flat = {name: np.full(700, 10.0) for name in ("open", "high", "low", "close")} | {"volume": np.zeros(700)}
    found = evaluated(
        within_sessions(flat), [each.expression.cast(pl.Float64).alias(name) for name, each in OWN.items()], []
    )
    odd = found.select((~pl.all().is_finite()).sum()).row(0, named=True)
    assert {name: count for name, count in odd.items() if count} == {}
    for name in ("kyle_lambda_50", "roll_spread_50", "jump_share_30", "choppiness_14", "bulk_imbalance_20",
                 "session_vwap_deviation", "donchian_position_20", "opening_range_position"):  # fmt: skip
        assert found[name].null_count() == 700, name


@pytest.mark.parametrize("seed", [1, 2])
def test_without_the_future_every_value_is_the_same_bit_for_bit(seed):
    """Check 4, on bars within the session with a gap: each feature at each of several cuts."""
    frame = within_sessions(random_walk(700, seed), missing=(300, 301))
    expressions = [each.expression.cast(pl.Float64).alias(name) for name, each in OWN.items()]
    full = evaluated(frame, expressions, [])
    for at in (100, 299, 303, 512, 640):
        assert evaluated(frame[: at + 1], expressions, []).equals(full[: at + 1]), at


def test_each_follows_from_its_look_back():
    """Within 1e-9 (windows) or 1e-6 (recursions) of its standard deviation, and null where the whole history is."""
    n = 2600
    frame = within_sessions(random_walk(n, 4), missing=(1500, 2590))
    expressions = {name: each.expression.cast(pl.Float64).alias(name) for name, each in OWN.items()}
    full = evaluated(frame, list(expressions.values()), [])
    by_rows: dict[int, list[str]] = {}
    for name, each in OWN.items():
        by_rows.setdefault(lookback(each), []).append(name)
    for rows, names in by_rows.items():
        for at in (2200, 2591, 2595, n - 1):
            again = evaluated(frame[at - rows + 1 : at + 1], [expressions[name] for name in names], [])
            for name in names:
                told, found = full[name][at], again[name][-1]
                assert (told is None) == (found is None), (name, at)
                if told is not None:
                    tolerance = RECURSIVE_TOLERANCE if feature_reach(OWN[name]).recursive else FINITE_TOLERANCE
                    assert abs(told - found) <= tolerance * (full[name].std() or 1.0), (name, at)


def test_on_daily_bars_what_needs_a_session_is_switched_off_with_a_reason():
    """The stocks' engine and its audit go on without them; nothing raises, and nothing is silently left out."""
    tables, calendar = market(symbols=1, sessions=330)
    chosen = [OWN[name] for name in ("spread_relative", "session_return", "order_flow_imbalance_5", "aroon_up_25")]
    found = audit_features(tables, calendar, chosen, cuts=3)
    off = {each.feature: each.detail for each in found if each.proof == OFF}
    assert set(off) == {"spread_relative", "session_return", "order_flow_imbalance_5"}
    assert "bars of a day have no `bid`, `ask`" in off["spread_relative"]
    assert "`session_open`" in off["session_return"]
    assert all(each.passed for each in found)
    assert sum(each.feature == "aroon_up_25" for each in found) == 3
