"""Forward and discount from put-call parity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import carry, parity


def chain(forward, rate, years, strikes, half=0.2, seed=None):
    """Quotes of options with parity in them: calls and puts around a hump of time value."""
    discount = np.exp(-rate * years)
    k = np.asarray(strikes, float)
    time_value = 0.05 * forward * np.exp(-0.5 * ((k - forward) / (0.05 * forward)) ** 2) + 2.0
    call = discount * np.maximum(forward - k, 0) + time_value
    put = discount * np.maximum(k - forward, 0) + time_value
    width = np.broadcast_to(half, k.shape).copy()
    shift = np.zeros((2, len(k))) if seed is None else np.random.default_rng(seed).uniform(-0.8, 0.8, (2, len(k)))
    call, put = call + shift[0] * width, put + shift[1] * width
    return k, call - width, call + width, put - width, put + width


K = np.arange(3500.0, 5500.0, 25.0)


def test_exact_quotes_give_the_forward_to_rounding_and_the_rate_to_its_own_error():
    found = parity.forward_and_discount(*chain(4510.0, 0.05, 0.5, K), 0.5)
    # The prior of 3 % pulls the rate by a share of the squared errors, no more.
    assert abs(found.rate - 0.05) < 0.02 * (found.rate_error / 0.03) ** 2 + 1e-12
    assert found.forward == pytest.approx(4510.0, abs=1e-3)
    assert found.discount == pytest.approx(np.exp(-found.rate * 0.5), rel=1e-14)
    assert (found.strikes, found.rejected, found.why_not) == (len(K), 0, None)
    assert found.within_bounds


def test_a_known_rate_is_taken_as_it_is():
    found = parity.forward_and_discount(*chain(4510.0, 0.05, 0.5, K), 0.5, rate=0.05)
    assert found.discount == np.exp(-0.025)
    assert found.forward == pytest.approx(4510.0, abs=1e-9)
    # By hand: every interval is ± 0.4 around D (F - K), so the bounds are 0.4 / D off.
    assert found.forward_high - 4510.0 == pytest.approx(0.4 / np.exp(-0.025), rel=1e-9)
    assert 4510.0 - found.forward_low == pytest.approx(0.4 / np.exp(-0.025), rel=1e-9)
    assert found.residual_bound == pytest.approx(0.0, abs=1e-8)


def test_negative_rates_are_rates():
    found = parity.forward_and_discount(*chain(3000.0, -0.006, 2.0, np.arange(2000.0, 4000.0, 20.0)), 2.0)
    assert found.discount > 1
    assert found.rate == pytest.approx(-0.006, abs=2e-4)


@settings(max_examples=25, deadline=None)
@given(
    forward=st.floats(50, 6000),
    rate=st.floats(-0.02, 0.12),
    years=st.floats(0.003, 3.0),
    seed=st.integers(0, 10**6),
    reverse=st.booleans(),
)
def test_the_forward_lies_in_what_all_quotes_allow(forward, rate, years, seed, reverse):
    """Noise within the quotes: no quote contradicts the forward but by what the discount was smoothed."""
    strikes = np.linspace(0.7, 1.3, 41) * forward
    columns = chain(forward, rate, years, strikes, half=0.001 * forward, seed=seed)
    if reverse:
        columns = tuple(each[::-1] for each in columns)
    found = parity.forward_and_discount(*columns, years)
    assert found.why_not is None
    assert abs(found.forward - forward) < 0.0012 * forward
    assert found.within_bounds or found.forward_low > found.forward_high
    assert abs(found.moved) < 0.0012 * forward


@pytest.mark.parametrize("side", ["low", "high", "spread out"])
def test_bad_quotes_are_rejected_and_counted(side):
    """A fifth of the strikes is 40 points off (stale, or of another day); least squares would follow."""
    k, cb, ca, pb, pa = chain(4510.0, 0.04, 0.25, K, seed=3)
    bad = {"low": np.s_[:16], "high": np.s_[-16:], "spread out": np.s_[::5]}[side]
    cb[bad] += 40.0
    ca[bad] += 40.0
    found = parity.forward_and_discount(k, cb, ca, pb, pa, 0.25)
    assert found.rejected == 16
    assert found.strikes == len(K) - 16
    assert found.forward == pytest.approx(4510.0, abs=0.3)
    assert found.rate == pytest.approx(0.04, abs=0.01)
    assert found.within_bounds
    # Given the rate, the rejected strikes leave no trace.
    good = np.setdiff1d(np.arange(len(K)), np.arange(len(K))[bad])
    without = parity.forward_and_discount(k[good], cb[good], ca[good], pb[good], pa[good], 0.25, rate=0.04)
    known = parity.forward_and_discount(k, cb, ca, pb, pa, 0.25, rate=0.04)
    assert known.forward == pytest.approx(without.forward, abs=1e-9)
    assert (known.forward_low, known.forward_high) == (without.forward_low, without.forward_high)


def test_tight_quotes_count_more_than_wide_ones():
    k, cb, ca, pb, pa = chain(4510.0, 0.04, 0.25, K, half=np.where(np.abs(K - 4510) < 150, 0.1, 8.0))
    far = np.abs(K - 4510) >= 150
    cb[far] += 3.0
    ca[far] += 3.0
    assert parity.forward_and_discount(k, cb, ca, pb, pa, 0.25, rate=0.04).forward == pytest.approx(4510.0, abs=0.05)


def test_one_strike_is_no_forward():
    """The expiry with one strike of the issue."""
    found = parity.forward_and_discount(*chain(4510.0, 0.04, 0.25, [4500.0]), 0.25)
    assert np.isnan(found.forward)
    assert np.isnan(found.discount)
    assert found.why_not == (
        "Parity needs 3 strikes with both a call and a put that have a bid; this expiry has 1, so it has no forward "
        "and no discount."
    )
    assert not found.within_bounds


def test_quotes_without_a_bid_or_crossed_are_not_used():
    k, cb, ca, pb, pa = chain(100.0, 0.04, 0.25, [90.0, 95.0, 100.0, 105.0, 110.0])
    cb[0] = 0.0
    pb[1] = np.nan
    ca[2] = cb[2] - 0.01
    found = parity.forward_and_discount(k, cb, ca, pb, pa, 0.25)
    assert "has 2" in found.why_not
    assert parity.intervals(k, cb, ca, pb, pa).strike.tolist() == [105.0, 110.0]


@pytest.mark.parametrize("years", [0.0, -0.01, float("nan")])
def test_an_expiry_that_is_over_has_no_forward(years):
    assert "was over" in parity.forward_and_discount(*chain(100.0, 0.0, 0.1, [90.0, 95.0, 100.0]), years).why_not


def test_calls_and_puts_of_different_days_are_refused():
    k, cb, ca, pb, pa = chain(4510.0, 0.04, 0.25, K)
    shift = np.linspace(-300, 300, len(K)) * np.where(np.arange(len(K)) % 2, 1, -1)
    found = parity.forward_and_discount(k, cb + shift, ca + shift, pb, pa, 0.25, rate=0.04)
    assert "contradict" in found.why_not


def test_a_rate_no_market_pays_is_a_fault_of_the_quotes():
    found = parity.forward_and_discount(*chain(4510.0, 0.9, 1.0, K), 1.0)
    assert "no market pays" in found.why_not


def test_a_strike_twice_and_unequal_columns_are_refused():
    with pytest.raises(BadInput, match="once per expiry"):
        parity.forward_and_discount(*chain(100.0, 0.0, 0.1, [90.0, 90.0, 100.0]), 0.1)
    with pytest.raises(BadInput, match="one strike, call bid"):
        parity.intervals([1.0, 2.0], [1.0], [1.0], [1.0], [1.0])


def test_short_expiries_take_their_rate_from_longer_ones():
    """A day before expiry half a cent in the slope is 10 % per year; the neighbours know better."""
    years = np.array([1 / 365, 5 / 365, 0.08, 0.25, 0.5, 1.0])
    rows = []
    for at, time in enumerate(years):
        k, cb, ca, pb, pa = chain(4510.0, 0.05, time, K, half=0.4)
        tilt = 2e-4 * (k - 4510.0) * (at == 0)
        rows.append(parity.intervals(k, cb + tilt, ca + tilt, pb, pa))
    own = parity.own_rate(rows[0], years[0])[0]
    assert abs(own - 0.05) > 0.05
    found = parity.together(rows, years)
    assert [round(each.rate, 2) for each in found] == [0.05] * 6
    assert all(abs(each.forward - 4510.0) < 0.05 for each in found)


def test_one_faulty_expiry_does_not_bend_the_others():
    years = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    seen = np.full(6, 0.05)
    seen[2] = 0.40
    curve = parity.rate_curve(years, seen, np.full(6, 0.002))
    assert np.all(np.abs(curve[[0, 1, 4, 5]] - 0.05) < 0.01)


def test_an_exact_curve_is_kept_and_order_does_not_matter():
    years = np.array([0.1, 1.0, 5.0])
    seen = np.array([0.01, 0.02, 0.03])
    np.testing.assert_allclose(parity.rate_curve(years, seen, np.full(3, 1e-7)), seen, atol=1e-6)
    error = np.array([0.01, 0.002, 0.001])
    np.testing.assert_allclose(
        parity.rate_curve(years[::-1], seen[::-1], error[::-1])[::-1], parity.rate_curve(years, seen, error), rtol=1e-12
    )
    with pytest.raises(BadInput, match="above 0"):
        parity.rate_curve([0.0], [0.01], [0.01])


def test_together_keeps_the_order_and_the_refusals():
    rows = [parity.intervals(*chain(100.0, 0.03, t, k)) for t, k in ((0.2, [90.0, 100.0]), (0.1, np.arange(80.0, 121)))]
    found = parity.together(rows, [0.2, 0.1])
    assert found[0].why_not is not None
    assert found[1].forward == pytest.approx(100.0, abs=1e-6)
    assert parity.together([], []) == []


def test_forwards_run_back_to_the_spot():
    years = np.array([2 / 365, 0.05, 0.1, 0.2, 0.5, 1.0])
    forward = 4500.0 * np.exp((0.05 - 0.015) * years)
    discount = np.exp(-0.05 * years)
    spot = carry.implied_spot(years, forward, discount, np.full(6, 0.3))
    assert spot == pytest.approx(4500.0, rel=1e-5)
    found = carry.carry(4500.0, years, forward, discount)
    assert (found.rate, found.dividend_yield) == (pytest.approx(0.05), pytest.approx(0.015))
    # One expiry alone: the forward discounted.
    assert carry.implied_spot([0.5], [100.0], [0.97], [0.1]) == pytest.approx(97.0)
    assert np.isnan(carry.implied_spot([], [], [], []))
    with pytest.raises(BadInput, match="half-widths"):
        carry.implied_spot([0.5], [100.0], [0.97], [0.0])
    with pytest.raises(BadInput, match="at least one"):
        carry.carry(100.0, [], [], [])


def test_the_bounds_move_a_forward_that_a_quote_contradicts():
    """Forty strikes say 100.00 ± 0.10; one says 100.055 ± 0.04, so that below 100.015 it would be free money."""
    k = np.arange(80.0, 121.0)
    call, put = np.maximum(100.0 - k, 0) + 3.0, np.maximum(k - 100.0, 0) + 3.0
    half = np.full(41, 0.05)
    call[20], half[20] = call[20] + 0.055, 0.02
    found = parity.forward_and_discount(k, call - half, call + half, put - half, put + half, 0.1, rate=0.0)
    assert found.rejected == 0
    assert found.forward_low == pytest.approx(100.015)
    assert found.forward == found.forward_low
    assert 0.005 < found.moved < 0.015
