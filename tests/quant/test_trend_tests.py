"""The trend test and slope in n log n: against scipy, against all pairs, and what autocorrelation does to them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.trend_tests import mann_kendall, theil_sen, trend

RANDOM = np.random.default_rng(7)
SERIES = {
    "smooth": RANDOM.normal(size=60),
    "few values": RANDOM.integers(0, 4, 60).astype(float),
    "one decimal": np.round(RANDOM.normal(size=61), 1),
    "walk": RANDOM.normal(size=59).cumsum(),
    "minutes of a session": RANDOM.integers(0, 1380, 64).astype(float),
    "rising": np.arange(20.0) ** 2,
    "falling": -np.arange(21.0),
    "constant but one": np.r_[np.zeros(30), 1.0],
    "large offset": 1e6 + np.round(RANDOM.normal(size=40), 2),
    "shortest": np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3]),
}


def all_slopes(x, y):
    """Every slope between two different times, formed one by one."""
    found = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(len(x)) if x[j] > x[i]]
    return np.sort(found)


@pytest.mark.parametrize("name", SERIES)
def test_s_and_tau_are_those_of_all_pairs(name):
    """Check 70: ties count as neither rising nor falling, and tau-b is scipy's."""
    y = SERIES[name]
    found = mann_kendall(y, autocorrelated=False)
    i, j = np.triu_indices(len(y), 1)
    assert found.s == np.sign(y[j] - y[i]).sum()
    assert found.tau == pytest.approx(stats.kendalltau(np.arange(len(y)), y).statistic)


def test_variance_with_ties_by_hand():
    """n 10 with a pair of 1, of 3 and of 5: (10 9 25 - 3 (2 1 9)) / 18 = 122; s 14, z = 13 / sqrt(122)."""
    found = mann_kendall(SERIES["shortest"], autocorrelated=False)
    assert found.variance == pytest.approx((10 * 9 * 25 - 3 * 2 * 1 * 9) / 18)
    assert found.z == pytest.approx((found.s - 1) / math.sqrt(122.0))
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


@pytest.mark.parametrize("name", SERIES)
def test_slope_and_interval_are_scipys(name):
    y = SERIES[name]
    found, wanted = theil_sen(y), stats.theilslopes(y, alpha=0.95)
    got = (found.slope, found.intercept, found.low, found.high)
    assert got == pytest.approx((wanted.slope, wanted.intercept, wanted.low_slope, wanted.high_slope), rel=1e-9)
    assert found.pairs == len(y) * (len(y) - 1) // 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(-6, 6)), min_size=10, max_size=40).filter(
        lambda rows: len({x for x, _ in rows}) > 1
    )
)
def test_slope_with_tied_times_and_values_is_the_median_of_all(rows):
    """Points in any order, with equal times and equal points: the pairs of equal times have no slope."""
    x, y = np.array(rows, dtype=float).T
    found = theil_sen(y, times=x)
    wanted = all_slopes(x, y)
    assert found.pairs == len(wanted)
    assert found.slope == pytest.approx(np.median(wanted), abs=1e-12)
    assert found.low <= found.slope <= found.high


def test_every_rank_is_found_in_a_series_too_long_to_open_up_at_once():
    """n 300 has 44,850 slopes, of which 1,200 are laid open: the search must close in on the right ones."""
    y = np.random.default_rng(3).integers(0, 30, 300).astype(float)
    found, wanted = theil_sen(y), all_slopes(np.arange(300.0), y)
    deviation = math.sqrt(mann_kendall(y, autocorrelated=False).variance)
    half = stats.norm.ppf(0.975) * deviation
    assert found.slope == pytest.approx(np.median(wanted), abs=1e-12)
    assert found.low == pytest.approx(wanted[round((44_850 - half) / 2) - 1], abs=1e-12)
    assert found.high == pytest.approx(wanted[round((44_850 + half) / 2)], abs=1e-12)


def test_a_constant_has_no_trend_and_no_slope():
    found = trend(np.full(50, 3.0))
    assert (found.test.s, found.test.z, found.test.p, found.test.variance) == (0, 0.0, 1.0, 0.0)
    assert math.isnan(found.test.tau)
    assert (found.line.slope, found.line.low, found.line.high, found.line.intercept) == (0.0, 0.0, 0.0, 3.0)


def test_missing_values_are_left_out_with_their_times_and_counted():
    """A NaN takes its time along: the line stays 2 per unit, and would not if the values moved together."""
    y = 2.0 * np.arange(30.0)
    y[[3, 4, 17]] = np.nan
    found = trend(y)
    assert (found.line.slope, found.line.missing, found.line.n) == (2.0, 3, 27)
    assert (found.test.missing, found.test.n) == (3, 27)


def autoregressive(phi, n, random):
    noise = random.normal(size=n)
    for at in range(1, n):
        noise[at] += phi * noise[at - 1]
    return noise


def test_inflation_is_hamed_and_raos_by_hand():
    """The sum over all lags, written as a loop, on ranks of what the slope leaves."""
    y = autoregressive(-0.6, 80, np.random.default_rng(2)) + np.repeat([0.0, 3.0, 0.0, 3.0], 20)
    n, slope = len(y), theil_sen(y).slope
    ranks = stats.rankdata(y - slope * np.arange(n))
    ranks = ranks - ranks.mean()
    total = 0.0
    for k in range(1, n):
        r = (ranks[k:] * ranks[:-k]).sum() / (ranks**2).sum()
        if abs(r) > 1.959964 / math.sqrt(n):
            total += (n - k) * (n - k - 1) * (n - k - 2) * r
    wanted = 1 + 2 * total / (n * (n - 1) * (n - 2))
    assert wanted > 1.5
    assert mann_kendall(y).inflation == pytest.approx(wanted)
    assert mann_kendall(y).effective_n == pytest.approx(n / wanted)


def test_autocorrelation_is_not_taken_for_a_trend():
    """At an autocorrelation of 0.8 the plain test sees a trend in more than a third of trendless series."""
    random = np.random.default_rng(5)
    series = [autoregressive(0.8, 200, random) for _ in range(100)]
    plain = sum(mann_kendall(each, autocorrelated=False).p < 0.05 for each in series)
    adjusted = sum(mann_kendall(each).p < 0.05 for each in series)
    assert plain > 35
    assert adjusted <= 14  # the 99.9 % bound of a binomial of 100 and 5 %


def test_alternation_never_makes_a_series_count_for_more():
    y = np.tile([0.0, 1.0], 40) + 1e-3 * np.random.default_rng(0).normal(size=80)
    assert mann_kendall(y).inflation == 1.0


def test_the_interval_of_the_slope_widens_with_the_test():
    y = autoregressive(0.8, 200, np.random.default_rng(11))
    robust, plain = trend(y), trend(y, autocorrelated=False)
    assert robust.test.inflation > 2
    assert robust.line.low < plain.line.low < plain.line.high < robust.line.high
    assert robust.line.slope == plain.line.slope
    assert plain.line == theil_sen(y)


def test_the_same_series_gives_the_same_answer_under_scale_and_reflection():
    y = np.random.default_rng(4).integers(0, 50, 70).astype(float)
    found, turned = trend(y), trend(1000.0 - 4.0 * y)
    assert turned.test.s == -found.test.s
    assert turned.line.slope == pytest.approx(-4.0 * found.line.slope)
    assert (turned.line.low, turned.line.high) == pytest.approx((-4 * found.line.high, -4 * found.line.low))


@pytest.mark.parametrize(
    ("values", "more", "error", "words"),
    [
        (np.arange(9.0), {}, DataMissing, "at least 10 values; there were 9"),
        ([1.0, np.inf] * 10, {}, BadInput, "10 values"),
        (np.arange(20.0), {"times": np.zeros(20)}, BadInput, "rise strictly"),
        (np.arange(20.0), {"times": np.arange(19.0)}, BadInput, "there were 19"),
        (np.arange(20.0), {"level": 1.0}, BadInput, "was 1.0"),
    ],
)
def test_refusals(values, more, error, words):
    with pytest.raises(error, match=words):
        trend(values, **more)


def test_a_slope_needs_two_times():
    with pytest.raises(BadInput, match="all 12 are 5"):
        theil_sen(np.arange(12.0), times=np.full(12, 5.0))
    with pytest.raises(BadInput, match=r"`inflation` is at least 1; was 0\.5"):
        theil_sen(np.arange(12.0), inflation=0.5)
