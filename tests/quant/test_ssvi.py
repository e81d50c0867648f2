"""The surface of six numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.quant import ssvi, svi

TRUE = np.array([0.02, 0.05, 3.0, -0.6, 1.1, 0.4])
parameters = st.tuples(
    st.floats(1e-3, 1.0),
    st.floats(1e-3, 1.0),
    st.floats(0.05, 40.0),
    st.floats(-0.98, 0.98),
    st.floats(1e-3, 1.0),
    st.floats(0.01, 0.5),
).map(lambda p: np.array([*p[:4], 2 * p[4] / (1 + abs(p[3])), p[5]]))


def quotes(p=TRUE, years=(0.02, 0.08, 0.25, 1.0), deviations=2.0, count=25):
    """Log-moneyness, maturity and volatility of a surface."""
    rows = []
    for time in years:
        scale = np.sqrt(ssvi.at_the_money_variance(p, time))
        k = np.linspace(-deviations, deviations, count) * scale
        rows.append(np.stack([k, np.full(count, time), np.sqrt(ssvi.total_variance(p, k, time) / time)]))
    return np.concatenate(rows, axis=1)


def test_the_vectorised_surface_equals_the_kernel():
    """Kills any difference of formula or of column order, pull near 0 and no time left included."""
    from openbell.quant import surface_kernel as kernel

    assert (ssvi.SHORT, ssvi.LONG, ssvi.REVERSION, ssvi.RHO, ssvi.ETA, ssvi.GAMMA) == (
        kernel.SHORT, kernel.LONG, kernel.REVERSION, kernel.RHO, kernel.ETA, kernel.GAMMA,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    n = 400
    p = np.stack([rng.uniform(1e-3, 1, n), rng.uniform(1e-3, 1, n), rng.uniform(1e-9, 40, n), rng.uniform(-1, 1, n),
                  rng.uniform(0.01, 2, n), rng.uniform(0.01, 0.5, n)], axis=1)  # fmt: skip
    k, years = rng.normal(0, 0.5, n), rng.uniform(0, 5, n)
    years[:5], p[5:10, 2] = (0.0, -1.0, 1e-9, 1e-4, 10.0), 1e-12
    theta = [kernel.at_the_money_variance(a, b, c, t) for (a, b, c), t in zip(p[:, :3], years, strict=True)]
    expected = [kernel.ssvi(v, x, *row[3:]) for v, x, row in zip(theta, k, p, strict=True)]
    np.testing.assert_allclose(ssvi.total_variance(p, k, years), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ssvi.at_the_money_variance(p, years), theta, rtol=1e-12, atol=1e-12)


def test_broadcasting_nan_rows_and_wrong_shapes():
    table = ssvi.total_variance(TRUE, np.zeros((3, 1)), np.array([0.1, 0.2]))
    assert table.shape == (3, 2)
    both = np.stack([TRUE, np.full(6, np.nan)])
    assert np.isnan(ssvi.total_variance(both, 0.1, 0.5)).tolist() == [False, True]
    with pytest.raises(BadInput, match="6 parameters"):
        ssvi.total_variance(np.ones(5), 0.0, 1.0)
    with pytest.raises(BadInput, match="6 finite"):
        ssvi.slice_at(both[1], 0.5)


@settings(max_examples=60, deadline=None)
@given(p=parameters, years=st.tuples(st.floats(0.001, 6.0), st.floats(1.01, 4.0)))
def test_the_constraints_leave_no_static_arbitrage(p, years):
    """Every slice within the constraints: g >= 0 on a dense grid, Lee's wings, and none below an earlier one."""
    assert ssvi.why_not_free(p) is None
    near, far = ssvi.slice_at(p, years[0]), ssvi.slice_at(p, years[0] * years[1])
    for each in (near, far):
        assert each.least_butterfly >= -1e-9
        assert each.steepest_wing <= 2
    assert svi.crossings([near, far], -10.0, 10.0) == []
    k = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(near.total_variance(k), ssvi.total_variance(p, k, years[0]), rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(3, -0.95, "eta"), (5, 0.6, "gamma"), (5, 0.0, "gamma"), (0, -0.1, "above 0"), (2, np.nan, "missing")],
)
def test_a_surface_with_arbitrage_is_named(at, value, words):
    p = TRUE.copy()
    p[at] = value
    assert words in ssvi.why_not_free(p)


def test_a_surface_is_found_again_from_its_own_quotes():
    k, years, sigma = quotes()
    found = ssvi.fit_surface(k, years, sigma)
    assert found.error < 2e-4
    np.testing.assert_allclose(ssvi.total_variance(found.parameters, k, years), sigma**2 * years, rtol=0.02)
    assert found.years.tolist() == [0.02, 0.08, 0.25, 1.0]
    assert found.expiry_error.max() < 5e-4
    assert ssvi.why_not_free(found.parameters) is None


def test_a_few_wild_quotes_do_not_bend_it_and_the_order_does_not_matter():
    k, years, sigma = quotes()
    wild = sigma.copy()
    wild[[3, 40, 77]] += 0.5
    found = ssvi.fit_surface(k, years, wild)
    clean = np.delete(np.arange(len(k)), [3, 40, 77])
    missed = np.sqrt(ssvi.total_variance(found.parameters, k, years) / years) - sigma
    assert np.abs(missed[clean]).mean() < 0.004
    turned = ssvi.fit_surface(k[::-1], years[::-1], wild[::-1])
    np.testing.assert_array_equal(turned.parameters, found.parameters)


def test_each_expiry_counts_the_same():
    """300 strikes do not outvote 3 of an expiry hours later that contradict them by 4 points: both give way alike."""
    many, few = quotes(years=(0.1,), count=300), quotes(years=(0.1001,), count=3, deviations=1.0)
    few[2] += 0.04
    found = ssvi.fit_surface(*np.concatenate([many, few], axis=1))
    assert found.quotes == 21 + 3
    ratio = found.expiry_error[0] / found.expiry_error[1]
    assert 0.4 < ratio < 2.5


def test_a_steeper_smile_than_allowed_ends_at_the_bound():
    p = TRUE.copy()
    p[ssvi.ETA] = 3.0
    k, years, sigma = quotes(p)
    found = ssvi.fit_surface(k, years, sigma).parameters
    assert ssvi.why_not_free(found) is None
    assert found[ssvi.ETA] * (1 + abs(found[ssvi.RHO])) == pytest.approx(2.0, abs=0.01)


def test_too_few_quotes_and_unequal_columns_are_refused():
    k, years, sigma = quotes(years=(0.1,), count=7)
    with pytest.raises(DataMissing, match="at least 8 quotes with a volatility; there were 7"):
        ssvi.fit_surface(k, years, sigma)
    with pytest.raises(DataMissing, match="there were 0"):
        ssvi.fit_surface(k, years, np.full(7, np.nan))
    with pytest.raises(BadInput, match="one log-moneyness"):
        ssvi.fit_surface(k, years[:3], sigma)
