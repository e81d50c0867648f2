"""Measures of grouped values: scipy and pandas as oracles, hand-worked modes, coverage of the intervals."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS

from openbell.core.errors import BadInput
from openbell.quant.value_statistics import (
    MEASURES,
    binomial_ranks,
    grouped_value_statistics,
    newey_west_lags,
    value_statistics,
)

VALUES = np.random.default_rng(1).gamma(2.0, 1.0, 137)


def test_centres_and_tails_are_those_of_scipy_and_pandas():
    found, series = value_statistics(VALUES), pd.Series(VALUES)
    low, high = series.quantile(0.05), series.quantile(0.95)
    assert found.mean == pytest.approx(series.mean())
    assert found.median == pytest.approx(series.median())
    assert found.variance == pytest.approx(series.var())
    assert found.outlier_mean == pytest.approx(series[(series < low) | (series > high)].mean())
    assert found.outlier_mean_low == pytest.approx(series[series < low].mean())
    assert found.outlier_mean_high == pytest.approx(series[series > high].mean())


def test_trimmed_mean_is_scipys_and_not_the_middle_of_two_quantiles():
    """Check 67."""
    found = value_statistics(VALUES).trimmed_mean
    assert found == pytest.approx(stats.trim_mean(VALUES, 0.05))
    assert abs(found - np.quantile(VALUES, [0.05, 0.95]).mean()) > 0.3


@pytest.mark.parametrize("n", [1, 2, 19, 20, 39, 40, 41, 100])
def test_trimming_cuts_the_floor_of_a_twentieth_at_each_end(n):
    values = np.random.default_rng(n).normal(size=n)
    assert value_statistics(values).trimmed_mean == pytest.approx(stats.trim_mean(values, 0.05))


def test_median_bounds_are_order_statistics_of_the_binomial():
    """Check 67: n 20 has the 6th and the 15th value (Conover, table A3), not mean -+ 1.96 s / sqrt n."""
    values = np.column_stack([np.arange(10.0), np.arange(10.0, 20.0)]).ravel()  # neighbours lie on opposite sides
    found = value_statistics(values)
    assert binomial_ranks(20, 0.95)[20] == 6
    assert (found.median_low, found.median_high) == (5.0, 14.0)


@pytest.mark.parametrize("n", [6, 7, 20, 101, 500])
def test_binomial_ranks_are_the_largest_that_cover(n):
    rank = int(binomial_ranks(n, 0.95)[n])
    assert 1 - 2 * stats.binom.cdf(rank - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(rank, n, 0.5) < 0.95


def test_five_values_have_no_interval_of_the_median():
    found = value_statistics(np.arange(5.0))
    assert math.isnan(found.median_low)
    assert math.isnan(found.median_high)
    assert not math.isnan(value_statistics(np.array([2.0, 5, 1, 4, 0, 3])).median_low)


def test_median_interval_covers_independent_and_dependent_values():
    """Binomial ranks alone hold the median of a series with autocorrelation 0.7 in some 70 of 100."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(150, 300))
    for at in range(1, 300):
        noise[:75, at] += 0.7 * noise[:75, at - 1]
    rows = grouped_value_statistics(noise.ravel(), np.repeat(np.arange(150), 300), 150)
    held = ((rows["median_low"] <= 0) & (rows["median_high"] >= 0)).to_numpy()
    narrow = np.sort(noise[:75], axis=1)[:, [132, 167]]
    assert held[75:].mean() > 0.9
    assert held[:75].mean() > 0.85
    assert ((narrow[:, 0] <= 0) & (narrow[:, 1] >= 0)).mean() < 0.8


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ([4.0], 4.0),
        ([1.0, 2.0], 1.5),
        ([0, 0, 0, 1, 2, 3, -1], 0.0),
        ([1.0, 1.2, 5.0, 9.0], 1.1),  # the denser half is 1 and 1.2
        ([1, 1, 2, 2, 3, 3], 2.0),  # three equally dense ones: the middle
        ([-1, -1, -2, -2, -3, -3], -2.0),
    ],
)
def test_half_sample_mode_by_hand(values, mode):
    assert value_statistics(values).mode == pytest.approx(mode)


def test_mode_finds_the_peak_of_a_skewed_distribution():
    """Of a lognormal with sigma 1 the mode is exp(-1) = 0.37, its median 1 and its mean 1.65."""
    values = np.exp(np.random.default_rng(6).normal(size=40_000))
    assert value_statistics(values).mode == pytest.approx(math.exp(-1), abs=0.12)


def test_error_of_the_mean_is_newey_wests():
    """statsmodels' HAC with n / (n - 1), where values resemble each other."""
    noise = np.random.default_rng(2).normal(size=250)
    for at in range(1, 250):
        noise[at] += 0.5 * noise[at - 1]
    lags = int(newey_west_lags(250)[250])
    assert lags == math.floor(4 * 2.5 ** (2 / 9))
    fit = OLS(noise, np.ones(250)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True)
    found = value_statistics(noise)
    assert found.error == pytest.approx(fit.bse[0])
    assert found.p == pytest.approx(fit.pvalues[0])


def test_alternating_values_are_not_more_certain_than_independent_ones():
    values = np.tile([1.0, -0.9], 50)
    found = value_statistics(values)
    assert found.error == pytest.approx(values.std(ddof=1) / 10)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)


def test_missing_values_are_counted_and_a_constant_has_no_p():
    found = value_statistics([2.0, np.nan, 2.0, np.nan, 2.0])
    assert (found.n, found.missing, found.mean, found.mode, found.variance) == (3, 2, 2.0, 2.0, 0.0)
    assert math.isnan(found.p)
    assert math.isnan(found.outlier_mean)
    assert not found.sufficient
    assert value_statistics(np.arange(30.0)).sufficient


def test_nothing_at_all_is_undefined_and_not_zero():
    found = value_statistics([np.nan])
    assert (found.n, found.missing) == (0, 1)
    assert all(math.isnan(getattr(found, name)) for name in MEASURES)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-20, 20)), min_size=1, max_size=80))
def test_groups_are_what_each_would_be_alone(rows):
    """Interleaved groups keep their own order, and empty ones are null."""
    group, values = (np.array(each) for each in zip(*rows, strict=True))
    together = grouped_value_statistics(values / 4.0, group, 5)
    for at in range(5):
        alone = value_statistics(values[group == at] / 4.0)
        for name in MEASURES:
            got = together[name][at]
            assert (math.isnan(getattr(alone, name)) and got is None) or got == getattr(alone, name)
        assert together["n"][at] == alone.n


@pytest.mark.parametrize(
    ("values", "group", "groups", "words"),
    [
        ([1.0, np.inf], [0, 0], 1, "1 of 2 values are infinite"),
        ([1.0], [0, 0], 1, "there were 2"),
        ([1.0], [1], 1, "numbered 0 to 0; there were 1 to 1"),
        ([1.0], [-1], 1, "there were -1"),
    ],
)
def test_refusals(values, group, groups, words):
    with pytest.raises(BadInput, match=words):
        grouped_value_statistics(values, group, groups)
    with pytest.raises(BadInput, match=r"was 1\.5"):
        value_statistics([1.0], level=1.5)
