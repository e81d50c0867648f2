"""Values before expiry against QuantLib, against the payoff, and on a surface against the formula by hand."""

import math

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.quant.legs import CALL, PUT, UNDERLYING, Legs
from openbell.quant.payoffs import payoff, profile_by_valuation
from openbell.quant.surface_kernel import option_value
from openbell.quant.valuation import (
    GREEKS,
    far_value,
    far_value_on_surface,
    surface_volatility,
    value,
    value_on_surface,
    years_left,
)

LEGS = Legs(
    np.array([PUT, CALL, CALL, UNDERLYING], dtype=np.int8),
    np.array([4300.0, 4600.0, 4600.0, 0.0]),
    np.array([1, -2, 3, -1]),
    np.array(["2024-01-19", "2024-01-19", "2024-02-16", "NaT"], dtype="datetime64[D]"),
)
YEARS = years_left(LEGS, np.datetime64("2024-01-02"))
VOLATILITY = np.array([0.22, 0.15, 0.16, np.nan])
SURFACE = np.array([0.03, 0.05, 3.0, -0.7, 0.9, 0.4])
SPOTS = np.array([4100.0, 4450.0, 4600.0, 4805.5])
RATE, PAID = 0.045, 0.014


def test_years_are_calendar_days() -> None:
    np.testing.assert_allclose(YEARS * 365, [17, 17, 45, 0])
    with pytest.raises(BadInput, match="A leg expired on 2024-01-19, before 2024-01-20"):
        years_left(LEGS, np.datetime64("2024-01-20"))


def test_values_and_greeks_equal_quantlib() -> None:
    ql = pytest.importorskip("QuantLib")
    found = value(LEGS, SPOTS, YEARS, VOLATILITY, rate=RATE, dividend_yield=PAID)
    for leg in range(3):
        kind = ql.Option.Call if LEGS.right[leg] > 0 else ql.Option.Put
        for at, spot in enumerate(SPOTS):
            years, sigma = float(YEARS[leg]), float(VOLATILITY[leg])
            forward, discount = spot * math.exp((RATE - PAID) * years), math.exp(-RATE * years)
            black = ql.BlackCalculator(
                ql.PlainVanillaPayoff(kind, float(LEGS.strike[leg])), forward, sigma * years**0.5, discount
            )
            ratio = float(LEGS.ratio[leg])
            theirs = {
                "value": black.value(),
                "delta": black.delta(float(spot)),
                "gamma": black.gamma(float(spot)),
                "theta": black.theta(float(spot), years) / 365,
                "vega": black.vega(years),
                "rho": black.rho(years),
            }
            for name, number in theirs.items():
                assert getattr(found, name)[leg, at] == pytest.approx(ratio * number, rel=1e-9, abs=1e-9), name
    assert found.value[3].tolist() == (-SPOTS).tolist()
    assert found.delta[3].tolist() == [-1.0] * 4
    np.testing.assert_allclose(found.total("vega"), found.vega.sum(axis=0))


def test_at_expiry_the_value_is_the_payoff() -> None:
    """And at a price of 0, whose logarithm there is none of, calls are worth nothing and puts their strike."""
    spots = np.array([0.0, 4200.0, 4300.0, 4599.0, 4700.0])
    found = value(LEGS, spots, np.zeros(4), VOLATILITY, rate=RATE)
    np.testing.assert_allclose(found.total(), payoff(LEGS, spots), atol=1e-4)
    before = value(LEGS, np.array([0.0]), YEARS, VOLATILITY, rate=RATE, dividend_yield=PAID)
    discounted = 4300.0 * math.exp(-RATE * 17 / 365)
    np.testing.assert_allclose(before.value[:, 0], [discounted, 0.0, 0.0, 0.0], atol=1e-4)


def test_greeks_are_the_slopes_of_the_value() -> None:
    """Delta, vega and theta of the whole position against differences of its own value."""
    step = 1e-3
    moved = [value(LEGS, SPOTS + s, YEARS, VOLATILITY, rate=RATE).total() for s in (-step, step)]
    found = value(LEGS, SPOTS, YEARS, VOLATILITY, rate=RATE)
    np.testing.assert_allclose(found.total("delta"), (moved[1] - moved[0]) / (2 * step), atol=1e-7)
    up, down = (value(LEGS, SPOTS, YEARS, VOLATILITY + s, rate=RATE).total() for s in (1e-5, -1e-5))
    np.testing.assert_allclose(found.total("vega"), (up - down) / 2e-5, rtol=1e-6)
    hour = np.where(LEGS.options, 1.0 / (365 * 24), 0.0)
    later, sooner = (value(LEGS, SPOTS, YEARS + s * hour, VOLATILITY, rate=RATE).total() for s in (-1, 1))
    np.testing.assert_allclose(found.total("theta"), (later - sooner) * 12, rtol=1e-4)


def test_a_surface_is_read_at_each_strike_time_and_spot() -> None:
    """Equal to the compiled value of one option on the surface that the simulator walks on."""
    found = value_on_surface(LEGS, SPOTS, YEARS, SURFACE, rate=RATE, dividend_yield=PAID)
    for leg in range(3):
        for at, spot in enumerate(SPOTS):
            kernel = option_value(
                float(LEGS.right[leg]), LEGS.strike[leg], YEARS[leg], spot, RATE, PAID, SURFACE, math.nan, math.nan
            )
            assert found.value[leg, at] == pytest.approx(LEGS.ratio[leg] * kernel, rel=1e-10)
    assert np.isnan(found.volatility[3]).all()
    assert found.volatility[0, 1] > found.volatility[1, 1]  # the put's side of the skew
    assert surface_volatility(SURFACE, np.array([4500.0]), 4500.0, 0.0).tolist() == [0.0]
    assert np.isnan(surface_volatility(np.full(6, np.nan), np.array([4500.0]), 4500.0, 0.1)).all()


def test_far_values_are_the_same_values() -> None:
    """What the profile of a calendar is made of equals `value` at the near expiry, on a surface and at one number."""
    left = np.array([28 / 365])
    one = Legs(LEGS.right[2:3], LEGS.strike[2:3], np.array([1]), LEGS.expiry[2:3])
    flat = far_value(lambda *_: 0.16, rate=RATE, dividend_yield=PAID)(SPOTS, 1.0, 4600.0, 28 / 365)
    np.testing.assert_allclose(
        flat, value(one, SPOTS, left, np.array([0.16]), rate=RATE, dividend_yield=PAID).total(), rtol=1e-12
    )
    on_surface = far_value_on_surface(SURFACE, rate=RATE, dividend_yield=PAID)
    np.testing.assert_allclose(
        on_surface(SPOTS, 1.0, 4600.0, 28 / 365),
        value_on_surface(one, SPOTS, left, SURFACE, rate=RATE, dividend_yield=PAID).total(),
        rtol=1e-12,
    )
    calendar = Legs(LEGS.right[1:3], LEGS.strike[1:3], np.array([-1, 1]), LEGS.expiry[1:3])
    found = profile_by_valuation(calendar, 40.0, on_surface)
    best = float(on_surface(np.array([4600.0]), 1.0, 4600.0, 28 / 365)[0]) - 40.0
    assert best <= found.max_profit <= best + 0.5  # with a skew the best price may lie beside the strike
    assert found.error <= 1e-7 * 4600


def test_shapes_and_missing_volatilities() -> None:
    assert set(GREEKS) <= {name for name in dir(value(LEGS, SPOTS, YEARS, VOLATILITY))}
    with pytest.raises(BadInput, match=r"`years` must have shape \(4,\)"):
        value(LEGS, SPOTS, YEARS[:2], VOLATILITY)
    with pytest.raises(BadInput, match=r"must be 0 or more; the lowest was -1"):
        value(LEGS, np.array([-1.0]), YEARS, VOLATILITY)
    missing = value(LEGS, SPOTS, YEARS, np.array([np.nan, 0.15, 0.16, np.nan]))
    assert np.isnan(missing.value[0]).all()
    assert np.isfinite(missing.value[1:]).all()
