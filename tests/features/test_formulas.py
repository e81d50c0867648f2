"""Features against a second formula, written out in NumPy from the definition."""

import math

import numpy as np
import pytest
from memory_tables import random_walk
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats


@pytest.fixture(scope="module")
def walk():
    return random_walk(900, 3)


def windows(x, n):
    return sliding_window_view(np.asarray(x, dtype=float), n)


def same(ours, theirs, *, tolerance=1e-9):
    """`theirs` belongs to the last rows; everything before them is null."""
    start = len(ours) - len(theirs)
    assert np.isnan(ours[:start]).all()
    np.testing.assert_allclose(ours[start:], theirs, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def r(walk):
    return np.diff(np.log(walk["close"]))


@pytest.mark.parametrize("window", [5, 10, 20, 50, 100])
def test_historical_volatility(walk, compute, r, window):
    """20 returns need 21 closes; sample deviation, annualised with 252."""
    same(compute(walk, f"hv_{window}d")[f"hv_{window}d"], windows(r, window).std(axis=1, ddof=1) * math.sqrt(252))


def test_parkinson_uses_squared_log_range(walk, compute):
    """Check 56: the root of the mean of squares, not the mean of roots."""
    squared = np.log(walk["high"] / walk["low"]) ** 2
    theirs = np.sqrt(windows(squared, 20).mean(axis=1) / (4 * math.log(2)) * 252)
    same(compute(walk, "parkinson_vol")["parkinson_vol"], theirs)
    roots = windows(np.sqrt(squared), 20).mean(axis=1) * math.sqrt(252 / (4 * math.log(2)))
    assert (theirs > roots * 1.01).any()


def test_garman_klass_and_rogers_satchell(walk, compute):
    o, h, low, c = (np.log(walk[name]) for name in ("open", "high", "low", "close"))
    ours = compute(walk, "garman_klass_vol", "rogers_satchell_vol")
    gk = 0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2
    same(ours["garman_klass_vol"], np.sqrt(windows(gk, 20).mean(axis=1) * 252))
    rs = (h - c) * (h - o) + (low - c) * (low - o)
    same(ours["rogers_satchell_vol"], np.sqrt(windows(rs, 20).mean(axis=1) * 252))


@pytest.mark.parametrize("window", [20, 100])
def test_moments(walk, compute, r, window):
    ours = compute(walk, f"return_skew_{window}", f"return_kurtosis_{window}")
    same(ours[f"return_skew_{window}"], stats.skew(windows(r, window), axis=1), tolerance=1e-7)
    same(ours[f"return_kurtosis_{window}"], stats.kurtosis(windows(r, window), axis=1), tolerance=1e-7)


@pytest.mark.parametrize("window", [50, 100])
def test_autocorrelation(walk, compute, r, window):
    theirs = [np.corrcoef(r[at - window + 1 : at + 1], r[at - window : at])[0, 1] for at in range(window, len(r))]
    same(compute(walk, f"autocorrelation_{window}")[f"autocorrelation_{window}"], theirs, tolerance=1e-8)


def test_momentum(walk, compute):
    c = walk["close"]
    ours = compute(walk, "momentum_12_1", "return_1d", "return_200d", "momentum_consensus", "momentum_acceleration_20")
    same(ours["momentum_12_1"], c[231:-21] / c[:-252] - 1)
    same(ours["return_1d"], c[1:] / c[:-1] - 1)
    same(ours["return_200d"], c[200:] / c[:-200] - 1)
    signs = [np.sign(c[200:] / c[200 - n : -n] - 1) for n in (5, 10, 20, 50, 100, 200)]
    same(ours["momentum_consensus"], np.mean(signs, axis=0))
    same(ours["momentum_acceleration_20"], (c[40:] / c[20:-20] - 1) - (c[20:-20] / c[:-40] - 1))


def test_statistics_of_returns(walk, compute, r):
    ours = compute(walk, "rolling_sharpe_50", "variance_ratio_5_100", "up_day_share_20", "information_discreteness_100")
    w = windows(r, 50)
    same(ours["rolling_sharpe_50"], w.mean(axis=1) / w.std(axis=1, ddof=1) * math.sqrt(252), tolerance=1e-8)
    five = np.log(walk["close"][5:] / walk["close"][:-5])
    ratio = windows(five, 100).var(axis=1, ddof=1) / (5 * windows(r[4:], 100).var(axis=1, ddof=1))
    same(ours["variance_ratio_5_100"], ratio, tolerance=1e-8)
    same(ours["up_day_share_20"], (windows(r, 20) > 0).mean(axis=1))
    w = windows(r, 100)
    discreteness = np.sign(w.sum(axis=1)) * ((w < 0).mean(axis=1) - (w > 0).mean(axis=1))
    same(ours["information_discreteness_100"], discreteness)


def test_trend_strength_is_r_squared(walk, compute):
    x = windows(np.log(walk["close"]), 50)
    k = np.arange(50)
    theirs = [np.corrcoef(k, row)[0, 1] ** 2 for row in x]
    same(compute(walk, "trend_strength_50")["trend_strength_50"], theirs, tolerance=1e-7)


def test_volume_features(walk, compute, r):
    v, c = walk["volume"], walk["close"]
    ours = compute(walk, "volume_vs_avg", "amihud_20", "vwap_distance_20", "chaikin_money_flow_20", "obv_ratio_20")
    same(ours["volume_vs_avg"], v[19:] / windows(v, 20).mean(axis=1))
    illiquidity = np.abs(c[1:] / c[:-1] - 1) / (c[1:] * v[1:] / 1e6)
    same(ours["amihud_20"], np.log1p(windows(illiquidity, 20).mean(axis=1)))
    typical = (walk["high"] + walk["low"] + c) / 3
    vwap = windows(typical * v, 20).sum(axis=1) / windows(v, 20).sum(axis=1)
    same(ours["vwap_distance_20"], c[19:] / vwap - 1)
    place = (2 * c - walk["high"] - walk["low"]) / (walk["high"] - walk["low"])
    same(ours["chaikin_money_flow_20"], windows(place * v, 20).sum(axis=1) / windows(v, 20).sum(axis=1))
    signed = np.sign(r) * v[1:]
    same(ours["obv_ratio_20"], windows(signed, 20).sum(axis=1) / windows(v[1:], 20).sum(axis=1))


def test_regime_bands_by_definition(walk, compute):
    """One definition: each state follows from the columns it is said to follow from."""
    ours = compute(
        walk, "trend_regime", "hv_regime", "volume_regime", "hv_combined_state", "adx_14", "di_plus_14",
        "di_minus_14", "macd", "hv_rank", "volume_vs_avg", "days_since_regime_change",
    )  # fmt: skip
    for at in range(600, len(walk["close"])):
        adx, up, macd = ours["adx_14"][at], ours["di_plus_14"][at] > ours["di_minus_14"][at], ours["macd"][at]
        if adx < 20:
            trend = 2
        elif up:
            trend = 4 if adx >= 25 and macd > 0 else 3
        else:
            trend = 0 if adx >= 25 and macd < 0 else 1
        assert ours["trend_regime"][at] == trend
        volatility = sum(ours["hv_rank"][at] > edge for edge in (25, 40, 60, 75))
        assert ours["hv_regime"][at] == volatility
        relative = ours["volume_vs_avg"][at]
        volume = 0 if relative < 0.8 else 2 if relative > 1.5 else 1
        assert ours["hv_combined_state"][at] == 15 * trend + 3 * volatility + volume
    states, since = ours["trend_regime"], ours["days_since_regime_change"]
    for at in range(700, len(states)):
        changed = next((n for n in range(60) if states[at - n] != states[at - n - 1]), 60)
        assert since[at] == changed
    assert set(states[600:]) == {0, 1, 2, 3, 4}


def nearest_swings(high, close, at):
    """Swing highs of five bars confirmed by row `at`, of the last 60, above the close: the two nearest."""
    found = []
    for confirmed in range(at - 59, at + 1):
        turn = confirmed - 2
        five = high[turn - 2 : turn + 3]
        if high[turn] >= five.max() and high[turn] > high[turn + 1 : turn + 3].max() and high[turn] > close[at]:
            found.append(high[turn])
    found = sorted(found)
    return [*found, math.nan, math.nan][:2]


def test_support_and_resistance(walk, compute):
    """R1 < R2 above the close, S1 > S2 below it, from confirmed swings of 60 sessions, or projected."""
    names = ("resistance_level", "resistance_2", "support_level", "support_2", "distance_to_resistance",
             "distance_to_support", "position_in_range", "range_width", "distance_to_swing_high",
             "distance_to_swing_low", "swing_range_width", "atr_14")  # fmt: skip
    ours = compute(walk, *names)
    projected = 0
    for at in range(200, 700, 7):
        c, step = walk["close"][at], 1 + 2 * ours["atr_14"][at] / walk["close"][at]
        r1, r2 = nearest_swings(walk["high"], walk["close"], at)
        s1, s2 = (-x for x in nearest_swings(-walk["low"], -walk["close"], at))
        np.testing.assert_allclose(ours["distance_to_swing_high"][at], r1 / c - 1, rtol=1e-9)
        np.testing.assert_allclose(ours["distance_to_swing_low"][at], 1 - s1 / c, rtol=1e-9)
        np.testing.assert_allclose(ours["swing_range_width"][at], (r1 - s1) / c, rtol=1e-9)
        projected += math.isnan(r1)
        r1, s1 = (c * step if math.isnan(r1) else r1), (c / step if math.isnan(s1) else s1)
        r2, s2 = (r1 * step if math.isnan(r2) else r2), (s1 / step if math.isnan(s2) else s2)
        got = [ours[name][at] for name in names[:4]]
        np.testing.assert_allclose(got, [r1, r2, s1, s2], rtol=1e-12)
        assert 0 < got[3] < got[2] < c < got[0] < got[1]
        told = [ours[name][at] for name in names[4:8]]
        np.testing.assert_allclose(
            told, [r1 / c - 1, 1 - s1 / c, (c - s1) / (r1 - s1), (r1 - s1) / c], rtol=1e-9, atol=1e-12
        )
    assert projected > 3, "a price above all its swings has a level too"


@pytest.mark.parametrize("projected", [True, False])
def test_days_in_range_counts_closes_between_yesterdays_levels(walk, compute, projected):
    name = "days_in_range" if projected else "days_between_swings"
    ours = compute(walk, name, "resistance_level", "support_level", "distance_to_swing_high", "distance_to_swing_low")
    c, top, bottom = walk["close"], ours["resistance_level"].copy(), ours["support_level"].copy()
    if not projected:
        top[np.isnan(ours["distance_to_swing_high"])] = np.nan
        bottom[np.isnan(ours["distance_to_swing_low"])] = np.nan
    inside = np.r_[False, (c[1:] <= top[:-1]) & (c[1:] >= bottom[:-1])]
    for at in range(300, 800):
        run = next((n for n in range(60) if not inside[at - n]), 60)
        assert ours[name][at] == run


def test_breakout_probability_rises_towards_an_edge(walk, compute):
    """The original's edge factor was inverted: in the middle of the range it must be lowest, all else equal."""
    for name, place in (
        ("breakout_probability", "position_in_range"), ("swing_breakout_score", "position_between_swings"),
    ):  # fmt: skip
        ours = compute(walk, name, place, "adx_14", "hv_20d", "hv_100d")
        p = ours[name]
        z = (
            -2 + 2 * np.abs(2 * ours[place] - 1)
            + np.clip(ours["hv_20d"] / ours["hv_100d"] - 1, -1, 1) + (ours["adx_14"] - 20) / 20
        )  # fmt: skip
        np.testing.assert_allclose(p[600:], (1 / (1 + np.exp(-z)))[600:], rtol=1e-9)
        assert ((p[600:] > 0) & (p[600:] < 1))[np.isfinite(p[600:])].all()
    assert np.isnan(p[600:]).any(), "the swings alone have no edge on some days"


def test_sessions_since_new_high(walk, compute):
    ours = compute(walk, "sessions_since_new_high")["sessions_since_new_high"]
    new_high = np.r_[np.zeros(59, bool), windows(walk["close"], 60).max(axis=1) <= walk["close"][59:]]
    for at in range(120, 900):
        assert ours[at] == next((n for n in range(60) if new_high[at - n]), 60)
    assert ours[120:].max() == 60
