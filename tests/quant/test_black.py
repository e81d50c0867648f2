"""European values and Greeks against QuantLib, 50 digits and the equation they must solve."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from openbell.core.errors import BadInput
from openbell.quant import black
from openbell.quant.black_kernel import exponential, logarithm, mills_ratio, normal_cdf

NAN = float("nan")
#: Largest difference from the oracle, in shares of the natural size of each: measured, then rounded up. All but the
#: price feel the rounding of ln(F / K) over the smallest deviation, 1e-4.
ERRORS = {"price": 2e-15, "delta": 1e-12, "gamma": 1e-12, "theta": 2e-12, "vega": 1e-12, "rho": 2e-12}


def grid() -> tuple[np.ndarray, ...]:
    """One hour to ten years, strikes to twelve deviations, volatility 1 % to 500 %, negative rates."""
    years = [1 / 8760, 1 / 365, 7 / 365, 0.5, 2.0, 10.0]
    sigma, away = [0.01, 0.1, 0.5, 2.0, 5.0], [-12, -6, -2, -0.5, 0, 0.1, 1, 4, 12]
    rates = [(-0.05, 0.02), (0.0, 0.0), (0.15, -0.02), (0.03, 0.08)]
    rows = np.array(
        [(w, t, v, a, r, q) for w, t, v, a, (r, q) in itertools.product([1.0, -1.0], years, sigma, away, rates)]
    )
    right, time, vol, z, rate, paid = rows.T
    strike = 100 * np.exp((rate - paid) * time + np.clip(z * vol * np.sqrt(time), -8, 8))
    return right, np.full(len(right), 100.0), strike, time, vol, rate, paid


def quantlib(row: tuple[float, ...]) -> list[float]:
    right, spot, strike, years, sigma, rate, paid = (float(each) for each in row)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if right > 0 else ql.Option.Put, strike)
    forward, discount = spot * math.exp((rate - paid) * years), math.exp(-rate * years)
    one = ql.BlackCalculator(payoff, forward, sigma * math.sqrt(years), discount)
    theta = one.theta(spot, years) / 365
    return [one.value(), one.delta(spot), one.gamma(spot), theta, one.vega(years), one.rho(years)]


def test_values_and_greeks_are_those_of_quantlib() -> None:
    """0DTE, deep in and out of the money, negative rates. Kills a wrong sign, unit or carry in any of the six."""
    given_ = grid()
    found = black.greeks(*given_)
    wanted = np.array([quantlib(row) for row in zip(*given_, strict=True)]).T
    _, spot, strike, years, sigma, rate, paid = given_
    size = np.maximum(spot * np.exp(-paid * years), strike * np.exp(-rate * years))
    root = sigma * np.sqrt(years)
    scales = {
        "price": size,
        "delta": np.exp(-paid * years),
        "gamma": np.exp(-paid * years) / (spot * root),
        "theta": size * (sigma / np.sqrt(years) + np.abs(rate) + np.abs(paid)) / 365,
        "vega": size * np.sqrt(years),
        "rho": strike * np.exp(-rate * years) * years,
    }
    errors = {
        name: float(np.max(np.abs(getattr(found, name) - wanted[at]) / scale))
        for at, (name, scale) in enumerate(scales.items())
    }
    assert {name: error for name, error in errors.items() if error > ERRORS[name]} == {}


def exact(right: float, spot, strike, years, sigma, rate, paid):
    s = sigma * mpmath.sqrt(years)
    d1 = (mpmath.log(spot / strike) + (rate - paid) * years) / s + s / 2
    asset, cash = spot * mpmath.exp(-paid * years), strike * mpmath.exp(-rate * years)
    return right * (asset * mpmath.ncdf(right * d1) - cash * mpmath.ncdf(right * (d1 - s)))


@pytest.mark.parametrize(
    "row",
    [
        (1, 100, 105, 0.25, 0.2, 0.03, 0.01),
        (-1, 100, 80, 1.5, 0.6, -0.02, 0.04),
        (-1, 5000, 5010, 1 / 365, 0.12, 0.05, 0.013),
        (1, 37, 20, 3.0, 1.2, 0.0, 0.0),
        (1, 240, 280, 7 / 365, 0.6, 0.045, 0.0),
    ],
)
def test_the_higher_greeks_are_derivatives_of_the_value(row) -> None:
    """50-digit derivatives of a formula written anew. Kills theta per year, charm with its sign turned."""
    right, *rest = row
    found = black.greeks(*row)
    with mpmath.workdps(50):
        point = tuple(mpmath.mpf(float(each)) for each in rest)

        def derivative(*orders: int) -> float:
            return float(mpmath.diff(lambda *x: exact(right, *x), point, orders))

        wanted = {
            "price": float(exact(right, *point)),
            "delta": derivative(1, 0, 0, 0, 0, 0),
            "gamma": derivative(2, 0, 0, 0, 0, 0),
            "theta": -derivative(0, 0, 1, 0, 0, 0) / 365,
            "vega": derivative(0, 0, 0, 1, 0, 0),
            "rho": derivative(0, 0, 0, 0, 1, 0),
            "vanna": derivative(1, 0, 0, 1, 0, 0),
            "vomma": derivative(0, 0, 0, 2, 0, 0),
            "charm": -derivative(1, 0, 1, 0, 0, 0) / 365,
        }
    for name, value in wanted.items():
        assert float(getattr(found, name)) == pytest.approx(value, rel=2e-12), name


def test_the_normal_distribution_is_exact_in_both_tails() -> None:
    """Check 24: the original's was off by 1.8e-4; ours by less than 1e-12, and relative to the tail itself."""
    x = np.linspace(-37, 37, 1501)
    found = np.array([normal_cdf(each) for each in x])
    assert np.max(np.abs(found - ndtr(x))) < 1e-15
    with mpmath.workdps(40):
        for each in (-36.5, -20.25, -8.0, -3.1, -0.01):
            assert normal_cdf(each) == pytest.approx(float(mpmath.ncdf(each)), rel=5e-13)
        for each in (0.0, 0.3, 1.0, 4.9, 5.0, 17.0, 37.6):
            exactly = mpmath.erfc(each / mpmath.sqrt(2)) * mpmath.exp(mpmath.mpf(each) ** 2 / 2)
            assert mills_ratio(each) == pytest.approx(float(exactly * mpmath.sqrt(mpmath.pi / 2)), rel=1e-15)
    assert normal_cdf(-math.inf) < 1e-300
    assert normal_cdf(math.inf) == 1.0


@settings(deadline=None)
@given(st.floats(-700, 700), st.floats(1e-300, 1e300))
def test_own_exponential_and_logarithm_are_those_of_the_library(x: float, y: float) -> None:
    assert exponential(x) == pytest.approx(math.exp(x), rel=5e-16)
    assert logarithm(y) == pytest.approx(math.log(y), rel=5e-16, abs=1e-300)
    assert logarithm(1 + 1e-9 * x) == pytest.approx(math.log(1 + 1e-9 * x), rel=5e-16, abs=1e-300)


CONTRACT = st.tuples(
    st.sampled_from([1.0, -1.0]),
    st.floats(1.0, 1e4),
    st.floats(-2.0, 2.0),
    st.floats(1e-4, 5.0),
    st.floats(0.01, 3.0),
    st.floats(-0.05, 0.2),
    st.floats(-0.05, 0.2),
)


@settings(max_examples=200, deadline=None)
@given(CONTRACT)
def test_parity_bounds_and_the_equation_of_black_and_scholes(row) -> None:
    """Parity of values and deltas, no value outside its bounds, and theta that pays for gamma, carry and interest."""
    right, spot, log, years, sigma, rate, paid = row
    strike = spot * math.exp(log)
    one, other = (black.greeks(each, spot, strike, years, sigma, rate, paid) for each in (right, -right))
    asset, cash = spot * math.exp(-paid * years), strike * math.exp(-rate * years)
    size = max(asset, cash)
    assert one.price - other.price == pytest.approx(right * (asset - cash), abs=1e-14 * size)
    assert one.delta - other.delta == pytest.approx(right * math.exp(-paid * years), abs=1e-14)
    assert max(right * (asset - cash), 0) - 1e-15 * size <= one.price <= (asset if right > 0 else cash) * (1 + 1e-15)
    drift = 365 * one.theta + (rate - paid) * spot * one.delta + 0.5 * (sigma * spot) ** 2 * one.gamma
    assert drift == pytest.approx(rate * one.price, abs=1e-12 * size * (1 + sigma / math.sqrt(years)))


@settings(max_examples=100, deadline=None)
@given(CONTRACT)
def test_value_rises_with_volatility_and_falls_with_the_calls_strike(row) -> None:
    right, spot, log, years, sigma, _, _ = row
    strikes = spot * np.exp(log + np.linspace(0, 0.5, 7))
    ladder = black.prices(right, spot, strikes, years, sigma)
    assert np.all(right * np.diff(ladder) <= 1e-15 * strikes[-1])
    slope = np.diff(ladder) / np.diff(strikes)
    assert np.all(np.diff(slope) >= -1e-12), "a butterfly never costs less than nothing"
    wilder = black.prices(right, spot, strikes[0], years, sigma * np.linspace(1, 2, 7))
    assert np.all(np.diff(wilder) >= -2e-15 * strikes[0])


@pytest.mark.parametrize(("years", "sigma"), [(0.0, 0.3), (0.5, 0.0), (0.0, 0.0)])
def test_without_time_or_volatility_an_option_is_its_payoff(years: float, sigma: float) -> None:
    """Intrinsic against the forward, step delta, half of it at the kink, no gamma, vega, vanna or vomma."""
    rate, paid = 0.04, 0.01
    forward, discount = 100 * math.exp((rate - paid) * years), math.exp(-rate * years)
    strike = np.array([90.0, forward, 110.0])
    call, put = (black.greeks(each, 100.0, strike, years, sigma, rate, paid) for each in (1, -1))
    assert call.price == pytest.approx(discount * np.maximum(forward - strike, 0), abs=1e-13)
    assert put.price == pytest.approx(discount * np.maximum(strike - forward, 0), abs=1e-13)
    held = math.exp(-paid * years)
    assert call.delta[[0, 2]] == pytest.approx([held, 0.0])
    assert put.delta[[0, 2]] == pytest.approx([0.0, -held])
    if years == 0.0:
        assert call.delta[1] == 0.5
        assert put.delta[1] == -0.5
    for name in ("gamma", "vega", "vanna", "vomma"):
        assert np.all(getattr(call, name) == 0.0), name
    carried = (paid * 100 * held - rate * 90 * discount) / 365
    assert call.theta[0] == pytest.approx(carried)
    assert call.rho[0] == pytest.approx(90 * discount * years)
    near = black.greeks(1, 100.0, strike[[0, 2]], years or 1e-9, sigma or 1e-7, rate, paid)
    assert near.price == pytest.approx(call.price[[0, 2]], abs=1e-6)
    assert near.delta == pytest.approx(call.delta[[0, 2]], abs=1e-6)


def test_a_known_forward_and_discount_give_the_same_greeks() -> None:
    """With a spot the carry is what leads to the forward; without, Black-76: rho is the discount's alone."""
    years, rate, paid = np.array([0.1, 1.0]), np.array([0.05, -0.01]), np.array([0.01, 0.03])
    forward, discount = 100 * np.exp((rate - paid) * years), np.exp(-rate * years)
    plain = black.greeks(1, 100.0, 98.0, years, 0.3, rate, paid)
    same = black.forward_greeks(1, forward, 98.0, years, 0.3, discount, 100.0)
    for name in ("price", "delta", "gamma", "theta", "vega", "rho", "vanna", "vomma", "charm"):
        assert getattr(same, name) == pytest.approx(getattr(plain, name), rel=1e-11), name
    future = black.forward_greeks(1, forward, 98.0, years, 0.3, discount)
    assert future.rho == pytest.approx(-years * future.price)
    up, down = (black.prices(1, forward + h, 98.0, years, 0.3, discount) for h in (1e-3, -1e-3))
    assert future.delta == pytest.approx((up - down) / 2e-3, rel=1e-6)
    assert black.forward_greeks(1, 100.0, 90.0, 0.0, 0.3, 1.0).price == pytest.approx(10.0)


def test_shapes_broadcast_and_threads_change_nothing() -> None:
    strikes = np.linspace(80, 120, 5)
    table = black.prices(np.array([[1], [-1]]), 100.0, strikes, 0.5, 0.2, 0.99)
    assert table.shape == (2, 5)
    assert table[1, 3] == black.prices(-1, 100.0, strikes[3], 0.5, 0.2, 0.99)
    assert black.prices(1, 100.0, np.empty(0), 0.5, 0.2).shape == (0,)
    many = np.linspace(50, 150, 9001)
    one, two = (black.greeks(1, 100.0, many, 0.5, 0.2, 0.03, 0.0, threads=n) for n in (1, 3))
    assert np.array_equal(one.price, two.price)
    assert np.array_equal(one.charm, two.charm)


def test_what_is_not_known_stays_not_known() -> None:
    found = black.greeks(1, [100.0, NAN, 100.0], 100.0, 0.5, [0.2, 0.2, NAN], 0.03)
    assert np.isfinite(found.delta[0])
    assert np.isnan([found.price[1:], found.gamma[1:], found.charm[1:]]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"right": [1, 1, 0]}, r"`right` must be \+1 for a call or -1 for a put; row 2 was 0"),
        ({"strike": [90.0, -5.0, 0.0]}, r"`strike` must be above 0 and finite; row 1 was -5"),
        ({"forward": [100.0, 100.0, math.inf]}, r"`forward` must be above 0 and finite; row 2 was inf"),
        ({"years": [0.5, -0.1, 0.5]}, r"`years` must be 0 or more; row 1 was -0.1"),
        ({"volatility": [0.2, math.inf, -1]}, r"`volatility` must be 0 or more; row 1 was inf"),
        ({"discount": [1.0, 1.0, 0.0]}, r"`discount` must be above 0 and finite; row 2 was 0"),
        ({"strike": [1.0, 2.0]}, r"shapes that broadcast"),
    ],
)
def test_what_cannot_be_is_refused_by_its_row(change, words) -> None:
    terms = {"right": [1, 1, -1], "forward": 100.0, "strike": 95.0, "years": 0.5, "volatility": 0.2, "discount": 0.99}
    with pytest.raises(BadInput, match=words):
        black.prices(**{**terms, **change})
