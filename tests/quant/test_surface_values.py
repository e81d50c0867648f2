"""Contracts on surfaces: parity, prices as integrals over the surface's own density, volatilities that reprice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.market.surface_scalars import FITTED
from openbell.quant.black import prices
from openbell.quant.ssvi import total_variance
from openbell.quant.surface_values import at_the_money_volatility, surface_greeks, surface_values
from openbell.quant.surface_values_kernel import black_deviation
from openbell.quant.surfaces import Surfaces

DAYS = np.arange("2021-03-01", "2021-03-11", dtype="datetime64[D]")


def surfaces(parameters: list[float], *, spot: float = 4000.0, rate: float = 0.03, paid: float = 0.012) -> Surfaces:
    n = len(DAYS)
    one = np.ones(n)
    return Surfaces(
        sessions=DAYS,
        spot=spot * (1 + 0.01 * np.arange(n)),
        settle=spot * one,
        rate=rate * one,
        dividend_yield=paid * one,
        parameters=np.tile(parameters, (n, 1)).astype(float),
        spread=FITTED.spread("SPX"),
        increment=5 * one,
        modelled=one > 0,
    )


USUAL = [0.03, 0.05, 4.0, -0.6, 1.2, 0.4]


@st.composite
def admissible(draw: st.DrawFn) -> list[float]:
    """Six numbers inside the bounds that keep a surface free of arbitrage."""
    rho = draw(st.floats(-0.9, 0.6))
    share = draw(st.floats(0.1, 1.0))
    short, long = (draw(st.floats(0.004, 0.6)) for _ in range(2))
    return [short, long, draw(st.floats(0.5, 20.0)), rho, 2 * share / (1 + abs(rho)), draw(st.floats(0.05, 0.5))]


def log_density(parameters: list[float], years: float, k: np.ndarray) -> np.ndarray:
    """Density of ln(S_T / F) by Gatheral's formula, w' and w'' by central differences."""
    step = 1e-4
    low, w, high = (total_variance(np.array(parameters), k + shift, years) for shift in (-step, 0.0, step))
    first, second = (high - low) / (2 * step), (high - 2 * w + low) / step**2
    g = (1 - 0.5 * k * first / w) ** 2 - 0.25 * first**2 * (1 / w + 0.25) + 0.5 * second
    return g / np.sqrt(2 * np.pi * w) * np.exp(-0.5 * (-k / np.sqrt(w) - 0.5 * np.sqrt(w)) ** 2)


@settings(max_examples=25, deadline=None)
@given(
    parameters=admissible(),
    days=st.integers(3, 200),
    strikes=st.lists(st.floats(0.7, 1.35), min_size=4, max_size=4),
    ratios=st.lists(st.integers(-3, 3), min_size=4, max_size=4),
)
def test_the_value_of_any_structure_is_its_payoff_under_a_positive_density(
    parameters: list[float], days: int, strikes: list[float], ratios: list[int]
) -> None:
    """Check 2's ground: what is paid at mid is what is expected, so nothing has an edge before costs."""
    made, right = surfaces(parameters), np.array([1.0, -1.0, 1.0, -1.0])
    strike = 4000.0 * np.array(strikes)
    priced = surface_values(made, 0, right, strike, DAYS[0] + days)
    # Dense where short expiries live, and far enough out for the fattest tails.
    k = 8.0 * np.linspace(-1, 1, 50_001) ** 3
    density = log_density(parameters, days / 365, k)
    assert density.min() > -1e-9
    terminal = priced.forward[0] * np.exp(k)
    payoff = sum(
        m * np.maximum(r * (terminal - x), 0.0) for m, r, x in zip(ratios, right, strike, strict=True)
    ) + np.zeros_like(k)
    expected = priced.discount[0] * np.trapezoid(payoff * density, k)
    # The trapezoids' own error, for each leg that is held.
    assert priced.value @ np.array(ratios) == pytest.approx(expected, abs=4000.0 * 1e-5 * max(1, np.abs(ratios).sum()))


@settings(max_examples=40, deadline=None)
@given(parameters=admissible(), strike=st.floats(1500.0, 9000.0), days=st.integers(1, 400), row=st.integers(0, 9))
def test_put_call_parity_is_exact_and_the_volatility_gives_the_value(
    parameters: list[float], strike: float, days: int, row: int
) -> None:
    made = surfaces(parameters)
    both = surface_values(made, row, [1.0, -1.0], strike, DAYS[row] + days)
    assert both.value[0] - both.value[1] == pytest.approx(
        both.discount[0] * (both.forward[0] - strike), abs=1e-9 * (4000 + strike)
    )
    again = prices([1, -1], both.forward, strike, both.years, both.volatility, both.discount)
    assert again == pytest.approx(both.value, abs=1e-9 * 4000)
    greeks = surface_greeks(made, [row, row], [1.0, -1.0], [strike, strike], both)
    assert greeks.delta[0] - greeks.delta[1] == pytest.approx(np.exp(-0.012 * days / 365), abs=1e-12)
    assert greeks.gamma[0] == pytest.approx(greeks.gamma[1], rel=1e-9)


def test_a_hundred_contracts_are_a_hundred_single_ones() -> None:
    rng = np.random.default_rng(5)
    made, row = surfaces(USUAL), rng.integers(0, 10, 100)
    right, strike = rng.choice([-1.0, 1.0], 100), rng.uniform(3000, 5000, 100)
    expiry = DAYS[row] + rng.integers(0, 90, 100)
    many = surface_values(made, row, right, strike, expiry)
    for i in range(0, 100, 7):
        one = surface_values(made, row[i], right[i], strike[i], expiry[i])
        for field in dataclasses.fields(many):
            assert np.array_equal(getattr(many, field.name)[i], getattr(one, field.name)[0], equal_nan=True), field.name


def test_the_day_of_the_expiry_is_intrinsic_and_after_it_there_is_nothing() -> None:
    made = surfaces(USUAL)
    spot = made.spot[4]
    last = surface_values(made, 4, [1.0, -1.0], spot - 25, DAYS[4])
    assert last.value == pytest.approx([25.0, 0.0])
    assert np.isnan(last.volatility).all()
    over = surface_values(made, 4, 1.0, 4000.0, DAYS[3])
    assert np.isnan(over.value).all()
    assert np.isnan(over.half_spread).all()


def test_a_session_without_a_surface_has_no_values() -> None:
    made = surfaces(USUAL)
    made.parameters[3] = np.nan
    found = surface_values(made, [2, 3, 4], 1.0, 4000.0, DAYS[9])
    assert np.isnan(found.value).tolist() == [False, True, False]
    assert np.isnan(found.half_spread).tolist() == [False, True, False]
    assert np.isnan(surface_greeks(made, [2, 3, 4], [1.0] * 3, [4000.0] * 3, found).delta).tolist() == [
        False,
        True,
        False,
    ]


def test_the_volatility_at_the_money_is_the_surface_s() -> None:
    expected = np.sqrt(total_variance(np.array(USUAL), 0.0, 30 / 365) / (30 / 365))
    assert at_the_money_volatility(surfaces(USUAL), [0, 5], 30) == pytest.approx([float(expected)] * 2, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(deviation=st.floats(0.002, 2.0), moneyness=st.floats(-3.0, 3.0), right=st.sampled_from([1.0, -1.0]))
def test_a_deviation_is_found_again(deviation: float, moneyness: float, right: float) -> None:
    strike = 100.0 * np.exp(moneyness * deviation)
    value = float(prices(right, 100.0, strike, 1.0, deviation))
    found = black_deviation(right, 100.0, strike, value)
    # Deep in the money the value's own last digits hold all that is left of the time value.
    assert prices(right, 100.0, strike, 1.0, found) == pytest.approx(value, abs=1e-12 * max(value, 100.0))


def test_no_deviation_gives_a_price_beyond_the_bounds() -> None:
    assert np.isnan(black_deviation(1.0, 100.0, 90.0, 9.0))
    assert np.isnan(black_deviation(-1.0, 100.0, 90.0, 95.0))
    assert black_deviation(1.0, 100.0, 90.0, 10.0) == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row": 10}, "from 0 to 9; had 10"),
        ({"row": -1}, "had -1"),
        ({"right": 0.0}, "was 0.0"),
        ({"strike": -5.0}, "was -5.0"),
        ({"strike": np.nan}, "was nan"),
        ({"expiry": np.datetime64("NaT")}, "needs the date"),
    ],
)
def test_what_is_no_contract_is_refused(change: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"row": 0, "right": 1.0, "strike": 4000.0, "expiry": DAYS[5]}
    with pytest.raises(BadInput, match=said):
        surface_values(surfaces(USUAL), **{**asked, **change})  # type: ignore[arg-type]


def test_a_clock_says_how_far_it_reaches() -> None:
    flat = dataclasses.replace(surfaces(USUAL, rate=0.0, paid=0.0), displacement=500.0, clock=np.linspace(0, 0.01, 12))
    later = np.concatenate([DAYS, DAYS[-1] + np.arange(1, 40)])
    with pytest.raises(BadInput, match="known up to 2021-03-10"):
        surface_values(flat, 0, 1.0, 4000.0, DAYS[-1] + 1)
    with pytest.raises(BadInput, match="known up to 2021-03-12"):
        surface_values(flat, 0, 1.0, 4000.0, DAYS[-1] + 3, calendar=later)
    # Total variance between the two sessions, whatever the calendar days between them; a Saturday is Friday's.
    found = surface_values(flat, 0, 1.0, 4000.0, later[11], calendar=later)
    assert found.value[0] == pytest.approx(float(prices(1, 4500.0, 4500.0, 1.0, np.sqrt(0.01))), rel=1e-12)
