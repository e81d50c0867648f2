"""Studies of samples: scipy and statsmodels as oracles, hand-worked effect sizes, and what the sentences say."""

import math

import numpy as np
import pytest
from scipy import stats

from openbell.core.errors import BadInput, DataMissing
from openbell.research.almanac_studies import (
    correlation_study,
    lead_lag_study,
    mean_study,
    normality,
    two_samples,
)

RANDOM = np.random.default_rng(12)
FIRST, SECOND = RANDOM.normal(0.8, 1.0, 60), RANDOM.normal(0.0, 2.0, 45)


def test_welchs_test_is_scipys():
    found = two_samples(FIRST, SECOND)
    wanted = stats.ttest_ind(FIRST, SECOND, equal_var=False)
    assert (found.t, found.p, found.degrees) == pytest.approx((wanted.statistic, wanted.pvalue, wanted.df))
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))
    assert (found.n, found.n_first, found.n_second, found.sufficient) == (105, 60, 45, True)


def test_cohens_d_by_hand():
    """Means 3 and 6, variances 2.5 and 10, five values each: d = -3 / 2.5, and se^2 = 10 / 25 + 1.44 / 20."""
    found = two_samples([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert found.d == pytest.approx(-1.2)
    half = 1.959964 * math.sqrt(10 / 25 + 1.44 / 20)
    assert (found.d_low, found.d_high) == pytest.approx((-1.2 - half, -1.2 + half), rel=1e-6)
    assert "a large effect (d -1.20)" in found.sentences[-2]
    assert found.sentences[0].startswith("5 values of the smaller sample are too few")


@pytest.mark.slow
def test_interval_of_d_covers_it():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        found = two_samples(random.normal(0.5, 1, 40), random.normal(0, 1, 50))
        held += found.d_low <= 0.5 <= found.d_high
    assert held > 178


def test_samples_that_do_not_vary_have_no_test():
    found = two_samples([2.0] * 5, [3.0] * 5)
    assert math.isnan(found.p)
    assert found.difference == -1.0
    assert "nothing to test" in found.sentences[-2]


def test_missing_values_are_counted():
    found = two_samples(np.r_[FIRST, np.nan], SECOND, names=("Mondays", "other days"))
    assert (found.missing, found.t) == (1, two_samples(FIRST, SECOND).t)
    assert found.sentences[0] == "1 missing values are left out."
    assert "Mondays and other days differ" in found.sentences[1]


def test_normality_is_scipys():
    found = normality(FIRST)
    assert found.jarque_bera == pytest.approx(stats.jarque_bera(FIRST).pvalue)
    assert found.dagostino == pytest.approx(stats.normaltest(FIRST).pvalue)
    assert found.shapiro == pytest.approx(stats.shapiro(FIRST).pvalue)
    assert found.normal
    heavy = normality(np.random.default_rng(0).standard_t(3, 500))
    assert not heavy.normal
    assert "is not normal" in heavy.sentences[-1]


def test_tests_that_do_not_apply_are_none():
    assert normality(FIRST[:19]).dagostino is None
    assert normality(np.random.default_rng(1).normal(size=5001)).shapiro is None
    with pytest.raises(DataMissing, match=r"All 10 values are 2: there is no spread"):
        normality([2.0] * 10)
    with pytest.raises(DataMissing, match="at least 8 values; there were 7"):
        normality(FIRST[:7])


def test_mean_with_its_interval():
    values = np.random.default_rng(5).normal(0.1, 1.0, 400)
    found = mean_study(values)
    assert found.low < found.measures.mean < found.high
    width = stats.t.ppf(0.975, 399) * found.measures.error
    assert found.high - found.measures.mean == pytest.approx(width)
    assert "is not told apart from 0" in mean_study(values - values.mean()).sentences[-1]
    assert "differs from 0" in mean_study(values + 1).sentences[-1]
    with pytest.raises(BadInput, match="1 of 4 values are infinite"):
        mean_study([1.0, 2.0, 3.0, np.inf])


def test_correlation_in_words():
    found = correlation_study(FIRST[:45], FIRST[:45] + SECOND)
    assert found.sentences[-1].startswith("The series move together")
    assert "does not vary" in correlation_study(FIRST, np.ones(60)).sentences[-1]
    assert not correlation_study(FIRST[:20], SECOND[:20]).sufficient


def test_lead_lag_in_words_names_who_leads():
    x = np.random.default_rng(2).normal(size=150)
    found = lead_lag_study(x[2:], x[:-2], names=("the index", "the stock"))
    assert found.rows.filter("significant")["lag"].to_list() == [2]
    assert found.sentences[-1].startswith("Largest with the index 2 rows ahead: r 1.000")
    assert "the stock 2 rows ahead" in lead_lag_study(x[:-2], x[2:], names=("the index", "the stock")).sentences[-1]
    noise = lead_lag_study(x, np.random.default_rng(3).normal(size=150))
    assert "no more than chance makes over so many lags" in noise.sentences[-1]
