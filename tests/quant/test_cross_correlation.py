"""Correlations of series that resemble their own past, now and by lag."""

import math

import numpy as np
import pytest
from scipy import stats

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.cross_correlation import correlation, effective_pairs, lead_lag

RANDOM = np.random.default_rng(8)
FIRST = RANDOM.normal(size=200)
SECOND = 0.5 * FIRST + RANDOM.normal(size=200)


def persistent(n, random, phi=0.9):
    noise = random.normal(size=n)
    for at in range(1, n):
        noise[at] += phi * noise[at - 1]
    return noise


def test_correlations_are_scipys():
    found = correlation(FIRST, SECOND)
    assert found.r == pytest.approx(stats.pearsonr(FIRST, SECOND).statistic)
    assert found.rho == pytest.approx(stats.spearmanr(FIRST, SECOND).statistic)


def test_uncertainty_of_all_pairs_is_scipys_where_all_count():
    """One side that swings back and one that stays: every pair counts, but none more than once."""
    random = np.random.default_rng(4)
    first, second = persistent(200, random, 0.7), persistent(200, random, -0.7)
    found = correlation(first, second)
    wanted = stats.pearsonr(first, second)
    assert found.effective_n == 200
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval(0.95)))


def test_effective_pairs_by_hand():
    """Bartlett's sum, written as a loop over the first ``sqrt(n)`` lags."""
    random = np.random.default_rng(1)
    a, b = persistent(120, random), persistent(120, random)
    total = 0.0
    for k in range(1, 11):
        ra, rb = (((x[k:] - x.mean()) * (x[:-k] - x.mean())).sum() / ((x - x.mean()) ** 2).sum() for x in (a, b))
        total += (1 - k / 120) * ra * rb
    assert effective_pairs(a, b) == pytest.approx(120 / (1 + 2 * total))


@pytest.mark.slow
def test_two_unrelated_walks_are_not_found_to_move_together():
    """Plain p values call some 45 of 100 pairs of series with autocorrelation 0.9 correlated."""
    random = np.random.default_rng(3)
    pairs = [(persistent(200, random), persistent(200, random)) for _ in range(100)]
    assert sum(stats.pearsonr(a, b).pvalue < 0.05 for a, b in pairs) > 30
    assert sum(correlation(a, b).p < 0.05 for a, b in pairs) <= 14


def test_missing_pairs_are_counted_and_a_constant_has_no_correlation():
    second = SECOND.copy()
    second[:5] = np.nan
    found = correlation(FIRST, second)
    assert (found.n, found.missing) == (195, 5)
    assert found.r == pytest.approx(np.corrcoef(FIRST[5:], SECOND[5:])[0, 1])
    flat = correlation(FIRST, np.full(200, 0.1))
    assert math.isnan(flat.r)
    assert math.isnan(flat.p)


def test_a_positive_lag_says_that_the_first_leads():
    found = lead_lag(FIRST[3:], FIRST[:-3], most=5)  # the second shows three rows later what the first showed
    assert found.best == 3
    assert found.r[found.lags == 3] == pytest.approx([1.0])
    assert found.n.tolist() == [192, 193, 194, 195, 196, 197, 196, 195, 194, 193, 192]
    assert lead_lag(FIRST[:-3], FIRST[3:], most=5).best == -3


def test_each_lag_is_the_correlation_of_its_own_pairs():
    found = lead_lag(FIRST, SECOND, most=4)
    for lag, r in zip(found.lags, found.r, strict=True):
        a, b = (FIRST[: 200 - lag], SECOND[lag:]) if lag >= 0 else (FIRST[-lag:], SECOND[: 200 + lag])
        assert r == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_many_lags_make_one_worth_less():
    found = lead_lag(FIRST, SECOND, most=10)
    at = int(np.flatnonzero(found.lags == 0)[0])
    assert found.p_adjusted[at] == pytest.approx(21 * found.p[at])
    assert lead_lag(FIRST, np.ones(200)).best is None


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: correlation(FIRST[:9], SECOND[:9]), DataMissing, "there were 9"),
        (lambda: correlation(FIRST, SECOND[:-1]), BadInput, "200 and 199"),
        (lambda: correlation(FIRST, np.r_[SECOND[:-1], np.inf]), BadInput, "infinite"),
        (lambda: correlation(FIRST, SECOND, level=2.0), BadInput, "was 2.0"),
        (lambda: lead_lag(FIRST, SECOND, most=0), BadInput, "was 0"),
        (lambda: lead_lag(FIRST[:12], SECOND[:12], most=5), DataMissing, "at least 15 rows; there were 12"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()
