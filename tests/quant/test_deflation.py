"""Deflation: the papers' own figures, an independent library, and what a count of trials must never do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purgedcv import deflated_sharpe_ratio, min_track_record_length, probabilistic_sharpe_ratio
from scipy.stats import kurtosis, skew

from openbell.core.errors import BadInput
from openbell.quant.deflation import (
    Moments,
    annualised,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    extended_trials,
    minimum_track_record,
    probabilistic_sharpe,
)


def moments(sharpe: float, skewness: float, kurt: float, n: int) -> Moments:
    return Moments(np.array(sharpe), np.array(skewness), np.array(kurt), n)


def correlated(n: int, k: int, rho: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sqrt(rho) * rng.standard_normal((n, 1)) + np.sqrt(1 - rho) * rng.standard_normal((n, k))


@pytest.mark.parametrize(("skewness", "kurt", "worth"), [(-2.448, 10.164, 0.913), (0.0, 3.0, 0.982)])
def test_the_hedge_fund_of_the_paper(skewness, kurt, worth):
    """Bailey and Lopez de Prado (2012), section 4.2: 24 months at a Sharpe ratio of 0.458 a month."""
    assert float(probabilistic_sharpe(moments(0.458, skewness, kurt, 24))) == pytest.approx(worth, abs=5e-4)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurt", "worth"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_analyst_of_the_paper(trials, skewness, kurt, worth):
    """Bailey and Lopez de Prado (2014): 5 years at 2.5 a year out of trials with a variance of 1/2 a year."""
    bar = expected_maximum_sharpe(trials, 0.5 / 250)
    if trials == 100:
        assert bar == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(moments(2.5 / np.sqrt(250), skewness, kurt, 1250), benchmark=bar)
    assert float(found) == pytest.approx(worth, abs=5e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_formulas_are_those_of_purgedcv(seed):
    rng = np.random.default_rng(seed)
    returns = 0.0006 + 0.01 * rng.standard_t(4, 700)
    theirs = Moments(
        np.array(returns.mean() / returns.std()),
        np.array(skew(returns, bias=False)),
        np.array(kurtosis(returns, bias=False, fisher=False)),
        700,
    )
    for bar in (0.0, 0.02, 0.1):
        oracle = probabilistic_sharpe_ratio(returns, bar)
        assert float(probabilistic_sharpe(theirs, benchmark=bar)) == pytest.approx(oracle, abs=1e-12)
        assert float(probabilistic_sharpe(Moments.of(returns), benchmark=bar)) == pytest.approx(oracle, abs=2e-3)
    for trials in (1, 2, 7, 500):
        bar = expected_maximum_sharpe(trials, 0.03**2)
        oracle = deflated_sharpe_ratio(returns, trials, 0.03**2)
        assert float(probabilistic_sharpe(theirs, benchmark=bar)) == pytest.approx(oracle, abs=1e-12)
        ours = deflated_sharpe(returns, trials=trials, variance=0.03**2)
        assert float(ours.probability) == pytest.approx(oracle, abs=2e-3)
    for bar, confidence in ((0.0, 0.95), (0.01, 0.99)):
        oracle = min_track_record_length(0.06, bar, 1 - confidence, float(theirs.skew), float(theirs.kurtosis))
        found = minimum_track_record(
            Moments(np.array(0.06), theirs.skew, theirs.kurtosis, 2), benchmark=bar, confidence=confidence
        )
        assert float(found) == oracle


def test_moments_are_scipy_s_and_columns_stand_alone():
    values = np.random.default_rng(3).standard_t(5, (400, 3)) * [1.0, 100.0, 1e-4] + [0.1, 0.0, 1e-5]
    found = Moments.of(values)
    np.testing.assert_allclose(found.skew, skew(values), rtol=1e-10)
    np.testing.assert_allclose(found.kurtosis, kurtosis(values, fisher=False), rtol=1e-10)
    np.testing.assert_allclose(found.sharpe, values.mean(axis=0) / values.std(axis=0), rtol=1e-10)
    alone = [float(Moments.of(values[:, at]).sharpe) for at in range(3)]
    np.testing.assert_allclose(found.sharpe, alone, rtol=1e-12)
    assert float(annualised(0.1)) == pytest.approx(0.1 * np.sqrt(252))


def test_the_track_record_is_long_enough_and_not_too_long():
    """Inverse of the probability: reached at the minimum, not one observation before."""
    at = minimum_track_record(moments(0.08, -0.5, 6.0, 2), benchmark=0.01)
    assert float(probabilistic_sharpe(moments(0.08, -0.5, 6.0, int(at)), benchmark=0.01)) >= 0.95
    assert float(probabilistic_sharpe(moments(0.08, -0.5, 6.0, int(at) - 1), benchmark=0.01)) < 0.95
    assert float(minimum_track_record(moments(0.01, 0.0, 3.0, 2), benchmark=0.01)) == np.inf


def test_constants_are_worth_no_number():
    """A constant gain has no Sharpe ratio: neither 0 nor infinite, and no probability of 1."""
    values = np.column_stack([np.full(100, 0.1), np.zeros(100), np.random.default_rng(0).standard_normal(100)])
    assert np.isnan(deflated_sharpe(values, trials=3).probability).tolist() == [True, True, False]
    assert np.isnan(minimum_track_record(Moments.of(values))[:2]).all()
    assert float(probabilistic_sharpe(Moments.of(np.array([1.0, -1.0])))) == 0.5


@settings(max_examples=60, deadline=None)
@given(
    sharpe=st.floats(0.0, 0.3),
    skewness=st.floats(-2.0, 2.0),
    more=st.floats(0.0, 10.0),
    trials=st.floats(1.0, 500.0),
    n=st.integers(30, 3000),
)
def test_more_trials_are_worth_less_and_more_time_is_worth_more(sharpe, skewness, more, trials, n):
    kurt = 1.0 + skewness**2 + more
    worth = [
        float(probabilistic_sharpe(moments(sharpe, skewness, kurt, n), benchmark=expected_maximum_sharpe(each, 1 / n)))
        for each in (1.0, trials, 2 * trials)
    ]
    assert 0.0 <= worth[2] <= worth[1] <= worth[0] <= 1.0
    longer = probabilistic_sharpe(moments(sharpe, skewness, kurt, 2 * n))
    assert float(longer) >= float(probabilistic_sharpe(moments(sharpe, skewness, kurt, n))) - 1e-12


def test_the_expected_maximum_is_that_of_draws():
    """Second formula: the mean of the largest of N standard normals, within the approximation's own 4 %."""
    rng = np.random.default_rng(0)
    for trials in (5, 20, 100):
        largest = rng.standard_normal((20_000, trials)).max(axis=1).mean()
        assert expected_maximum_sharpe(trials, 4.0) == pytest.approx(2 * largest, rel=0.04)
    assert expected_maximum_sharpe(1, 1.0) == 0.0
    between = [expected_maximum_sharpe(number, 1.0) for number in np.linspace(1, 4, 61)]
    assert (np.diff(between) > 0).all()


def test_copies_are_one_trial_and_strangers_are_as_many_as_they_are():
    one = correlated(800, 1, 0.0, 0)
    assert effective_trials(np.repeat(one, 12, axis=1)) == pytest.approx(1.0, abs=1e-3)
    assert effective_trials(one) == 1.0
    assert effective_trials(-2 * one + 3) == 1.0
    assert effective_trials(correlated(4000, 30, 0.0, 1)) == pytest.approx(30, rel=0.03)
    assert effective_trials(np.repeat(correlated(4000, 2, 0.0, 2), 15, axis=1)) == pytest.approx(2, abs=0.1)


def test_a_crowd_of_copies_hides_no_search():
    """Kills the participation ratio (1.2 here) and the entropy of the spectrum (1.6)."""
    searched = correlated(2000, 10, 0.0, 3)
    crowded = np.hstack([searched, np.repeat(searched[:, :1], 60, axis=1)])
    assert effective_trials(crowded) == pytest.approx(effective_trials(searched), rel=0.05)


def test_more_correlation_is_fewer_trials():
    rhos = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
    found = [effective_trials(correlated(3000, 20, rho, 4)) for rho in rhos]
    assert (np.diff(found) < 0).all()
    assert found[-1] < 2.5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(2, 12), rho=st.floats(0.0, 0.95))
def test_a_count_of_trials_lies_between_one_and_all_whatever_their_order_and_scale(seed, k, rho):
    rng = np.random.default_rng(seed)
    values = correlated(300, k, rho, seed)
    found = effective_trials(values)
    assert 1.0 <= found <= k
    assert effective_trials(values[:, rng.permutation(k)]) == pytest.approx(found, rel=1e-6)
    assert effective_trials(values * rng.uniform(0.1, 10.0, k)) == pytest.approx(found, rel=0.05)
    assert effective_trials(np.column_stack([values, np.full(300, 0.3)])) == found
    more = np.column_stack([values, rng.standard_normal(300)])
    assert effective_trials(more) > found - 0.05


def test_the_unseen_trials_are_as_alike_as_the_seen():
    assert extended_trials(20.0, 20, 500) == pytest.approx(500)
    assert extended_trials(1.0, 20, 500) == 1.0
    assert extended_trials(4.0, 16, 256) == pytest.approx(16.0)
    assert extended_trials(4.0, 16, 3) == pytest.approx(4.0)
    assert extended_trials(1.0, 1, 40) == 40.0
    near = effective_trials(correlated(6000, 200, 0.6, 5))
    guessed = extended_trials(effective_trials(correlated(6000, 20, 0.6, 5)), 20, 200)
    assert guessed == pytest.approx(near, rel=0.25)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Moments.of([0.1]), "at least 2"),
        (lambda: Moments.of([0.1, np.nan, 0.2]), "1 of 3 were not"),
        (lambda: effective_trials(np.zeros(5)), r"shape \(n, k\)"),
        (lambda: expected_maximum_sharpe(0.5, 1.0), "was 0.5"),
        (lambda: expected_maximum_sharpe(float("nan"), 1.0), "was nan"),
        (lambda: expected_maximum_sharpe(5, -1.0), "was -1.0"),
        (lambda: probabilistic_sharpe(moments(0.1, 0, 3, 10), benchmark=np.inf), "was inf"),
        (lambda: probabilistic_sharpe(moments(1.0, 5.0, 3.0, 10)), "No sample"),
        (lambda: minimum_track_record(moments(0.1, 0, 3, 10), confidence=0.5), "was 0.5"),
        (lambda: extended_trials(30.0, 20, 50), "was 30.0"),
    ],
)
def test_what_makes_no_sense_is_refused(call, said):
    with pytest.raises(BadInput, match=said):
        call()
