"""The half-spread: its formula by a second hand, its least ticks, and what must hold for any coefficients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.surface_scalars import FITTED
from openbell.quant.spread_kernel import BREAK, COEFFICIENTS, HIGH, INSIDE, LOW, half_spread, half_spreads

SPX = FITTED.spread("SPX")


def by_hand(value: float, spot: float, years: float, volatility: float, c: np.ndarray) -> float:
    scale, power, of_years, of_volatility, inside, middle = c[:6]
    time = max(years, 1 / 365)
    u = value / (spot * volatility * math.sqrt(time))
    near = math.exp(scale) * (value / spot) ** power * time**of_years * volatility**of_volatility
    return spot * (near + math.exp(inside) * u**4 / (u**4 + middle**4))


@settings(max_examples=60, deadline=None)
@given(
    value=st.floats(5.0, 600.0),
    years=st.floats(0.003, 0.5),
    volatility=st.floats(0.06, 0.8),
    strike=st.floats(3000.0, 5000.0),
)
def test_it_is_the_formula_between_the_ticks_and_what_an_option_can_be_worth(
    value: float, years: float, volatility: float, strike: float
) -> None:
    expected = max(0.05, min(by_hand(value, 4000.0, years, volatility, SPX), max(4000.0, strike) - value))
    assert half_spread(value, 4000.0, strike, years, volatility, SPX) == pytest.approx(expected, rel=1e-12)


def test_the_least_half_spread_is_half_a_tick_of_the_price_below_and_above_three_points() -> None:
    assert half_spread(0.001, 4000.0, 4000.0, 0.02, 0.1, SPX) == 0.025
    assert half_spread(0.0, 4000.0, 9000.0, 0.02, 0.1, SPX) == 0.025
    free = SPX.copy()
    free[[0, INSIDE]] = -np.inf
    assert half_spread(2.99, 4000.0, 4000.0, 0.02, 0.1, free) == 0.025
    assert half_spread(3.0, 4000.0, 4000.0, 0.02, 0.1, free) == 0.05
    assert FITTED.spread("ETF")[[LOW, HIGH, BREAK]].tolist() == [0.005, 0.005, 3.0]
    assert len(SPX) == COEFFICIENTS


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.05, 20.0), value=st.floats(0.5, 300.0), kind=st.sampled_from(["SPX", "ETF", "STOCK"]))
def test_twice_the_size_is_twice_the_spread(scale: float, value: float, kind: str) -> None:
    ticks = FITTED.spread(kind)
    ticks[[LOW, HIGH]] = 0.0
    once = half_spread(value, 1000.0, 1010.0, 0.1, 0.2, ticks)
    assert half_spread(value * scale, 1000.0 * scale, 1010.0 * scale, 0.1, 0.2, ticks) == pytest.approx(once * scale)


@settings(max_examples=40, deadline=None)
@given(years=st.floats(0.01, 0.3), volatility=st.floats(0.08, 0.6), outside=st.floats(1.0, 40.0))
def test_an_option_in_the_money_is_dearer_to_trade_than_its_twin_outside(
    years: float, volatility: float, outside: float
) -> None:
    twin = half_spread(outside, 1000.0, 700.0, years, volatility, SPX)
    assert half_spread(outside + 300.0, 1000.0, 700.0, years, volatility, SPX) > twin


def test_nearer_than_a_day_it_stays_that_of_a_day() -> None:
    day = half_spread(10.0, 4000.0, 4000.0, 1 / 365, 0.2, SPX)
    assert half_spread(10.0, 4000.0, 4000.0, 0.0, 0.2, SPX) == day
    assert half_spread(10.0, 4000.0, 4000.0, 0.1 / 365, 0.2, SPX) == day
    assert half_spread(10.0, 4000.0, 4000.0, 5 / 365, 0.2, SPX) != day


@pytest.mark.parametrize("missing", [0, 1, 4])
def test_what_is_missing_stays_missing(missing: int) -> None:
    given_: list[float] = [10.0, 4000.0, 4000.0, 0.1, 0.2]
    given_[missing] = math.nan
    assert math.isnan(half_spread(*given_, SPX))


def test_arrays_are_the_single_values() -> None:
    rng = np.random.default_rng(3)
    n = 200
    value, spot, strike = rng.uniform(0, 900, n), rng.uniform(900, 5000, n), rng.uniform(800, 5000, n)
    years, volatility = rng.uniform(0, 1, n), rng.uniform(0.05, 1, n)
    many = half_spreads(value, spot, strike, years, volatility, SPX)
    single = [half_spread(*row, SPX) for row in zip(value, spot, strike, years, volatility, strict=True)]
    assert many.tolist() == single
