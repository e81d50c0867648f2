"""Forward and rate of American options, whose quotes obey parity only after they are made European."""

import numpy as np
import pytest

from openbell.quant import american, american_parity, black
from openbell.quant.american_parity import Pairs, RateSource, american_together

SPOT, YIELD = 450.0, 0.013
YEARS = np.array([8, 15, 36, 92, 180, 280]) / 365


def pairs(rate=0.05, paid=YIELD, years=YEARS, count=31, half=0.05):
    """Exact American values on a tilted smile."""
    out = []
    for time in years:
        forward = SPOT * np.exp((rate - paid) * time)
        k = np.linspace(-1.6, 1.6, count) * 0.18 * np.sqrt(time)
        strike = np.round(forward * np.exp(k))
        sigma = 0.18 - 0.3 * np.log(strike / forward)
        call, put = (american.american_prices(right, SPOT, strike, time, sigma, rate, paid) for right in (1, -1))
        out.append(Pairs(strike, call, put, np.full(count, half)))
    return out


def true_forwards(rate=0.05, paid=YIELD, years=YEARS):
    return SPOT * np.exp((rate - paid) * np.asarray(years))


def test_the_forward_and_the_rate_are_found_again():
    """Plain parity would have a rate that is off by more than 1.5 %, for puts are exercised early."""
    made = pairs()
    found, source, spot = american_together(made, YEARS)
    assert source is RateSource.AMERICAN
    rates = np.array([each.rate for each in found])
    assert np.ptp(rates) == 0
    assert rates[0] == pytest.approx(0.05, abs=5e-3)
    forward = np.array([each.forward for each in found])
    np.testing.assert_allclose(forward, true_forwards(), rtol=1.5e-4)
    raw = american_parity.Intervals(made[-1].strike, made[-1].call - made[-1].put, made[-1].half_width)
    assert abs(american_parity.own_rate(raw, YEARS[-1])[0] - 0.05) > 0.015
    assert spot == pytest.approx(SPOT, rel=2e-4)
    assert american_parity.spot_of(YEARS, found) == pytest.approx(SPOT, rel=2e-4)


def test_a_given_rate_is_taken_and_the_forward_is_closer_still():
    found, source, spot = american_together(pairs(), YEARS, np.full(6, 0.05))
    assert source is RateSource.GIVEN
    assert [each.rate for each in found] == [0.05] * 6
    np.testing.assert_allclose([each.forward for each in found], true_forwards(), rtol=3e-5)
    assert spot == pytest.approx(SPOT, rel=2e-4)
    # A put that is about to be exercised at any low volatility tells none, and is rejected where it tells a wrong one.
    assert sum(each.rejected for each in found) <= 1


def test_without_rates_and_dividends_nothing_is_exercised_and_the_rate_is_zero():
    found, source, _ = american_together(pairs(rate=0.0, paid=0.0), YEARS)
    assert source is RateSource.AMERICAN
    assert found[0].rate == pytest.approx(0.0, abs=3e-3)
    np.testing.assert_allclose([each.forward for each in found], SPOT, rtol=1e-4)


def test_short_expiries_alone_know_no_rate_and_take_the_assumed_one():
    found, source, _ = american_together(pairs(years=YEARS[:2]), YEARS[:2])
    assert source is RateSource.ASSUMED
    assert [each.rate for each in found] == [0.03, 0.03]
    np.testing.assert_allclose([each.forward for each in found], true_forwards(years=YEARS[:2]), rtol=1e-4)


def test_expiries_that_cannot_be_used_keep_their_place_and_their_sentence():
    made = pairs(years=YEARS[:4])
    made[1] = Pairs(*(getattr(made[1], name)[:2] for name in ("strike", "call", "put", "half_width")))
    years = YEARS[:4].copy()
    years[0] = -0.001
    found, _, _ = american_together(made, years)
    assert "was over" in found[0].why_not
    assert "this expiry has 2" in found[1].why_not
    assert [each.why_not for each in found[2:]] == [None, None]
    nothing = american_together([], np.empty(0))
    assert nothing[:2] == ([], RateSource.ASSUMED)
    assert np.isnan(nothing[2])


def test_a_bad_quote_is_not_believed():
    made = pairs()
    made[3].call[16] += 3.0
    found, _, _ = american_together(made, YEARS, np.full(6, 0.05))
    assert found[3].rejected >= 1
    assert found[3].forward == pytest.approx(true_forwards()[3], rel=1e-4)


def test_the_values_made_european_are_european():
    """One expiry at the true rate, yield and spot: the American mids become Black's values at the same volatility."""
    made = pairs(years=YEARS[4:5])[0].nearest(9)
    time = float(YEARS[4])
    forward = float(true_forwards(years=YEARS[4:5])[0])
    (rows,) = american_parity._made_european([made], YEARS[4:5], np.array([0.05]), np.array([forward]), SPOT)
    sigma = 0.18 - 0.3 * np.log(rows.strike / forward)
    call, put = (black.prices(right, forward, rows.strike, time, sigma, np.exp(-0.05 * time)) for right in (1, -1))
    np.testing.assert_allclose(rows.middle, call - put, atol=2e-5)
    assert len(rows.strike) == 9
    assert np.all(rows.half_width > 0.05)


def test_far_expiries_alone_find_the_spot_by_iteration():
    """The crossings of far expiries are off by the exercise of puts; the spot is the one that is its own outcome."""
    far = YEARS[3:]
    found, _, spot = american_together(pairs(years=far), far, np.full(3, 0.05))
    assert spot == pytest.approx(SPOT, rel=1e-4)
    np.testing.assert_allclose([each.forward for each in found], true_forwards(years=far), rtol=3e-5)
    made = [each.nearest(15) for each in pairs(years=far)]
    assert abs(american_parity._near_spot(made, far, np.full(3, 0.05)) - SPOT) > 0.2
