"""The risk-neutral density of a smile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from openbell.core.errors import BadInput
from openbell.quant import ssvi, svi
from openbell.quant.density import Density

SMILE = svi.Svi(0.002, 0.05, -0.4, 0.01, 0.08)
FLAT = svi.Svi(0.04, 1e-12, 0.0, 0.0, 1.0)


def moments(density):
    """Total probability and mean by Gauss-Legendre panels over ln(S), apart from the grid's own rule."""
    ends = np.log(density.grid[:: (len(density.grid) - 1) // 400] / density.forward)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    middle, half = 0.5 * (ends[1:] + ends[:-1]), 0.5 * np.diff(ends)
    price = density.forward * np.exp(middle[:, None] + half[:, None] * nodes)
    mass = density.pdf(price) * price * weights * half[:, None]
    return mass.sum(), (mass * price).sum() / density.forward


@settings(max_examples=40, deadline=None)
@given(
    p=st.tuples(
        st.floats(1e-3, 0.5), st.floats(1e-3, 0.5), st.floats(0.1, 20), st.floats(-0.95, 0.9), st.floats(0.02, 0.98),
        st.floats(0.05, 0.5),
    ),
    years=st.floats(0.001, 3.0),
)  # fmt: skip
def test_positive_one_in_total_and_its_mean_the_forward(p, years):
    """The issue: integrates to 1 within 1e-6 and its mean is the forward within 1e-6, both by an outside rule and by
    the trapezoid on the density's own grid.
    """
    row = np.array([*p[:4], 2 * p[4] / (1 + abs(p[3])), p[5]])
    density = Density(4500.0, ssvi.slice_at(row, years))
    total, mean = moments(density)
    assert abs(total - 1) < 1e-6
    assert abs(mean - 1) < 1e-6
    pdf = density.pdf(density.grid)
    assert pdf.min() >= 0
    assert abs(np.trapezoid(pdf, density.grid) - 1) < 1e-5
    assert np.all(np.diff(density.cdf(density.grid)) >= -1e-13)


def test_a_flat_smile_is_lognormal():
    density = Density(100.0, FLAT)
    exact = stats.lognorm(0.2, scale=100.0 * np.exp(-0.02))
    x = np.array([20.0, 60.0, 90.0, 100.0, 130.0, 250.0])
    np.testing.assert_allclose(density.pdf(x), exact.pdf(x), rtol=1e-8)
    np.testing.assert_allclose(density.cdf(x), exact.cdf(x), rtol=1e-8)
    np.testing.assert_allclose(density.quantile([0.01, 0.5, 0.99]), exact.ppf([0.01, 0.5, 0.99]), rtol=1e-8)
    # E[S; S < x] = F N(ln(x / F) / s - s / 2).
    np.testing.assert_allclose(
        density.partial_expectation(x), 100.0 * stats.norm.cdf(np.log(x / 100.0) / 0.2 - 0.1), rtol=1e-7
    )


def test_cdf_and_partial_expectation_are_the_integrals_of_the_density():
    density = Density(4500.0, SMILE)
    for x in (3500.0, 4400.0, 4600.0):
        below, _ = integrate.quad(density.pdf, density.grid[0], x, epsabs=1e-12, limit=400, points=[0.9 * x])
        first, _ = integrate.quad(lambda s: s * float(density.pdf(s)), density.grid[0], x, limit=400, points=[0.9 * x])
        assert float(density.cdf(x)) == pytest.approx(below, abs=1e-9)
        assert float(density.partial_expectation(x)) == pytest.approx(first, rel=1e-8)


def test_prices_under_the_density_are_those_of_the_smile():
    """K F(K) - E[S; S < K] is Black's undiscounted put at the smile's volatility."""
    density = Density(4500.0, SMILE)
    for strike in (3600.0, 4500.0, 4900.0):
        root = float(np.sqrt(SMILE.total_variance(np.log(strike / 4500.0))))
        d1 = np.log(4500.0 / strike) / root + root / 2
        put = strike * stats.norm.cdf(root - d1) - 4500.0 * stats.norm.cdf(-d1)
        found = strike * density.cdf(strike) - density.partial_expectation(strike)
        assert float(found) == pytest.approx(put, rel=1e-9)


def test_quantiles_invert_the_distribution_at_every_level():
    density = Density(4500.0, SMILE)
    p = np.array([1e-8, 0.001, 0.25, 0.5, 0.9, 0.9999])
    np.testing.assert_allclose(density.cdf(density.quantile(p)), p, atol=1e-12)
    assert density.quantile(np.array([[0.0], [1.0]])).ravel().tolist() == [0.0, np.inf]
    with pytest.raises(BadInput, match="between 0 and 1"):
        density.quantile(1.5)


def test_the_ends_of_the_line():
    density = Density(4500.0, SMILE)
    assert density.cdf(np.array([-5.0, 0.0, np.inf])).tolist() == [0.0, 0.0, 1.0]
    assert density.pdf(np.array([-5.0, 0.0])).tolist() == [0.0, 0.0]
    assert density.partial_expectation(np.array([0.0, np.inf])).tolist() == [0.0, 4500.0]
    with pytest.raises(BadInput, match="NaN"):
        density.cdf(np.nan)
    assert density.cdf(density.grid[0]) < 1e-11
    assert 4500.0 - density.partial_expectation(density.grid[-1]) < 1e-7


def test_a_smile_with_arbitrage_and_a_forward_below_zero_are_refused():
    with pytest.raises(BadInput, match="butterfly arbitrage, so it has no density"):
        Density(100.0, svi.Svi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153))
    with pytest.raises(BadInput, match="forward above 0; was nan"):
        Density(float("nan"), SMILE)
