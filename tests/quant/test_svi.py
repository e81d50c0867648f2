"""One smile in five numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from openbell.core.errors import BadInput, DataMissing
from openbell.quant import svi, svi_search

TRUE = svi.Svi(0.002, 0.05, -0.4, 0.01, 0.08)
K = np.linspace(-0.35, 0.2, 45)


def test_derivatives_and_g_against_their_definitions():
    """w by hand at one point; w' and w'' by differences; g as the density over Black's by differences of prices."""
    assert float(TRUE.total_variance(0.07)) == pytest.approx(0.002 + 0.05 * (-0.4 * 0.06 + 0.1), rel=1e-14)
    h = 1e-4
    w, slope, bend = TRUE.derivatives(K)
    up, down = TRUE.total_variance(K + h), TRUE.total_variance(K - h)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(bend, (up - 2 * w + down) / h**2, atol=1e-4)


def test_the_counterexample_of_axel_vogt_has_butterfly_arbitrage():
    """Gatheral and Jacquier (2014), section 2.2; where g is least, a butterfly of Black's prices costs less than 0."""
    bad = svi.Svi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
    grid = bad.check_grid()
    k = float(grid[np.argmin(bad.butterfly(grid))])
    strike = np.exp(k) + np.array([-0.01, 0.0, 0.01])
    root = np.sqrt(bad.total_variance(np.log(strike)))
    d1 = -np.log(strike) / root + root / 2
    call = stats.norm.cdf(d1) - strike * stats.norm.cdf(d1 - root)
    assert call[0] - 2 * call[1] + call[2] < 0
    assert bad.least_butterfly < -0.03
    # And the density is g times Black's.
    black = stats.norm.pdf(d1[1] - root[1]) / strike[1] / root[1]
    assert (call[0] - 2 * call[1] + call[2]) / 0.01**2 == pytest.approx(bad.least_butterfly * black, rel=0.01)
    fit = svi.fit(np.linspace(-1.5, 1.5, 61), bad.total_variance(np.linspace(-1.5, 1.5, 61)), np.full(61, 1e6))
    assert fit.constrained
    assert fit.slice.least_butterfly >= 0
    assert fit.error < 0.02


@pytest.mark.parametrize(("field", "value"), [("b", -0.1), ("rho", 1.0), ("sigma", 0.0), ("a", -0.1)])
def test_numbers_that_are_no_slice_are_refused(field, value):
    numbers = {"a": 0.002, "b": 0.05, "rho": -0.4, "m": 0.01, "sigma": 0.08, field: value}
    with pytest.raises(BadInput, match="SVI needs"):
        svi.Svi(**numbers)


def test_coordinates_go_there_and_back():
    raw = TRUE.raw
    np.testing.assert_allclose(svi_search.raw_of(svi_search.coordinates(raw)), raw, rtol=1e-9, atol=1e-12)


def test_the_compiled_derivatives_are_those_of_the_smile():
    """Each of 3 x 5 derivatives in the search's coordinates against differences of `curve`; kills any sign."""
    from openbell.quant.svi_kernel import smile_at

    p = svi_search.coordinates(TRUE.raw)
    value, slope = np.empty(3), np.empty((3, 5))
    for k in (-0.3, 0.0, 0.15):
        smile_at(k, p, svi_search.STEEPEST_WING, value, slope)
        exact = [each[0] for each in svi_search.curve(TRUE.raw, np.array([k]))]
        np.testing.assert_allclose(value, exact, rtol=1e-10)
        for at in range(5):
            step = np.zeros(5)
            step[at] = 1e-6
            up, down = (
                np.array([each[0] for each in svi_search.curve(svi_search.raw_of(p + s), np.array([k]))])
                for s in (step, -step)
            )
            np.testing.assert_allclose(slope[:, at], (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_smile_is_found_again_from_its_own_quotes():
    fit = svi.fit(K, TRUE.total_variance(K), np.full(len(K), 1e10), years=0.1)
    np.testing.assert_allclose(fit.slice.total_variance(K), TRUE.total_variance(K), rtol=1e-4)
    assert fit.error < 1e-5
    assert (fit.strikes, fit.constrained) == (45, False)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    level=st.floats(0.05, 1.2),
    years=st.floats(0.003, 3.0),
    skew=st.floats(-2.0, 1.0),
    count=st.integers(5, 60),
)
def test_whatever_the_quotes_the_slice_is_free_of_arbitrage(seed, level, years, skew, count):
    """Noise of 10 % on a tilted smile: arbitrage in the quotes, none in the slice, on a grid of its own."""
    rng = np.random.default_rng(seed)
    scale = level * np.sqrt(years)
    k = np.sort(rng.uniform(-3, 3, count)) * scale
    sigma = (
        level * np.clip(1 + skew * k / scale / 6 + 0.03 * (k / scale) ** 2, 0.1, None) * rng.uniform(0.9, 1.1, count)
    )
    found = svi.fit(k, sigma**2 * years, np.full(count, 1e4 / scale**4), years=years).slice
    assert found.steepest_wing <= 2
    grid = np.concatenate([np.linspace(-8 * scale, 8 * scale, 5001), np.linspace(-20, 20, 2001)])
    assert found.butterfly(grid).min() > -1e-6


def test_a_bad_quote_does_not_bend_the_smile():
    w = TRUE.total_variance(K)
    w[10] *= 4.0
    found = svi.fit(K, w, np.full(len(K), 1e8)).slice
    clean = np.arange(len(K)) != 10
    np.testing.assert_allclose(found.total_variance(K)[clean], TRUE.total_variance(K)[clean], rtol=0.01)


def test_weights_say_which_quotes_are_believed():
    w = TRUE.total_variance(K)
    lifted = np.where(K < -0.1, w * 1.2, w)
    weight = np.where(K < -0.1, 1e4, 1e9)
    found = svi.fit(K, lifted, weight).slice
    near = K >= -0.1
    np.testing.assert_allclose(found.total_variance(K)[near], w[near], rtol=2e-3)


def test_rows_with_nan_are_left_out_and_the_order_does_not_matter():
    w = TRUE.total_variance(K)
    w[3] = np.nan
    one = svi.fit(K, w, np.full(len(K), 1e8))
    assert one.strikes == 44
    other = svi.fit(K[::-1], w[::-1], np.full(len(K), 1e8))
    np.testing.assert_allclose(other.slice.total_variance(K), one.slice.total_variance(K), rtol=1e-6)


def test_few_strikes_and_unequal_columns_are_refused():
    with pytest.raises(DataMissing, match="at least 5 strikes with a volatility; there were 4"):
        svi.fit(K[:4], TRUE.total_variance(K[:4]), np.ones(4))
    with pytest.raises(BadInput, match="one log-moneyness"):
        svi.fit(K, K[:3], K)


def test_a_later_slice_is_lifted_over_an_earlier_one_or_left_where_its_quotes_say_otherwise():
    """Quotes 1 % below the floor are noise, and lifted; at half of it one of the two is wrong, and said to cross."""
    w, weight = TRUE.total_variance(K), np.full(len(K), 1.0 / (0.02 * TRUE.total_variance(0.0)) ** 2)
    near = svi.fit(K, 0.99 * w, weight, floor=TRUE)
    assert near.constrained
    assert np.all(near.slice.total_variance(K) > w * (1 - 2 * svi.CROSSED))
    assert svi.fit(K, 0.99 * w, weight).slice.total_variance(0.0) < 0.992 * TRUE.total_variance(0.0)
    far = svi.fit(K, 0.5 * w, weight, floor=TRUE)
    assert far.slice.total_variance(0.0) < 0.55 * TRUE.total_variance(0.0)
    beyond = svi.fit(K, 0.99 * w, weight, floor=TRUE, floor_between=(1.0, 2.0))
    assert not beyond.constrained


def test_crossing_slices_are_named():
    later = svi.Svi(0.001, 0.06, -0.4, 0.01, 0.08)
    (found,) = svi.crossings([TRUE, later], -0.4, 0.3)
    assert (found.earlier, found.later) == (0, 1)
    # By hand: the gap is 0.001 - 0.01 (rho x + root), largest where the latter is least, sigma sqrt(1 - rho^2).
    assert found.gap == pytest.approx(0.001 - 0.01 * 0.08 * np.sqrt(1 - 0.16), rel=1e-3)
    assert svi.crossings([later], -1, 1) == []
    assert svi.crossings([TRUE, svi.Svi(0.003, 0.05, -0.4, 0.01, 0.08)]) == []
