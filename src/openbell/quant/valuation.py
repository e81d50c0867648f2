"""A position before expiry: its value and its Greeks over prices of the underlying, at any moment.

European values by Black-Scholes-Merton. An American option is worth more by its right to be exercised early; see
`quant.american`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant import black, ssvi
from openbell.quant.legs import UNDERLYING, Legs
from openbell.quant.payoffs import FarValue

GREEKS = ("value", "delta", "gamma", "theta", "vega", "rho", "vanna", "vomma", "charm")
#: A price of 0 has no logarithm; this share of the strike stands for it.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Valuation:
    """Value and Greeks of each leg per unit of its ratio's sign and size, over prices of the underlying.

    Attributes
    ----------
    spots : (m,) points. volatility : (n, m) used for each leg, per year; NaN for the underlying.
    value : (n, m) points; ratio included, so that a sold option counts below 0; the other arrays likewise:
    delta per point of spot, gamma per point, theta per calendar day, vega per 1.00 of volatility, rho per 1.00 of rate,
    vanna (delta) and vomma (vega) per 1.00 of volatility, charm (delta) per calendar day.
    """

    spots: np.ndarray
    volatility: np.ndarray
    value: np.ndarray
    delta: np.ndarray
    gamma: np.ndarray
    theta: np.ndarray
    vega: np.ndarray
    rho: np.ndarray
    vanna: np.ndarray
    vomma: np.ndarray
    charm: np.ndarray

    def total(self, name: str = "value") -> np.ndarray:
        """The sum over the legs of one of `GREEKS`, (m,)."""
        return np.asarray(getattr(self, name).sum(axis=0))


def years_left(legs: Legs, day: np.datetime64) -> np.ndarray:
    """(n,) calendar days from `day` to each expiry over 365, as daily simulations count; 0 for the underlying.

    A leg that expired before `day` is refused.
    """
    days = np.where(legs.options, (legs.expiry - day).astype("timedelta64[D]").astype(np.float64), 0.0)
    if np.any(days < 0):
        raise BadInput(f"A leg expired on {legs.expiry[days < 0][0]}, before {day}; it has no value any more.")
    return np.asarray(days / 365.0)


def value(
    legs: Legs,
    spots: np.ndarray,
    years: np.ndarray,
    volatility: np.ndarray,
    *,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> Valuation:
    """Value and Greeks of each leg at prices `spots` of the underlying and one moment.

    Parameters
    ----------
    spots : (m,) points, 0 or above. years : (n,) each leg has left; 0 is its expiry: then the value is the payoff.
    volatility : (n,) one per leg for every price, or (n, m); per year; not read for a leg in the underlying.
    rate, dividend_yield : per year, continuously compounded.

    Raises
    ------
    BadInput
        On shapes that differ, and as `black.greeks`. A NaN volatility gives NaN.
    """
    at, left = np.atleast_1d(np.asarray(spots, dtype=np.float64)), np.asarray(years, dtype=np.float64)
    sigma = np.asarray(volatility, dtype=np.float64)
    n, m = len(legs.right), len(at)
    if left.shape != (n,) or sigma.shape not in ((n,), (n, m)):
        raise BadInput(
            f"`years` must have shape ({n},) and `volatility` ({n},) or ({n}, {m}); they had {left.shape} and "
            f"{sigma.shape}."
        )
    if not np.all(at >= 0):
        raise BadInput(f"Prices of the underlying must be 0 or more; the lowest was {np.min(at)}.")
    sigma = np.broadcast_to(sigma if sigma.ndim == 2 else sigma[:, None], (n, m))
    found = {name: np.zeros((n, m)) for name in GREEKS}
    for leg in range(n):
        ratio = float(legs.ratio[leg])
        if legs.right[leg] == UNDERLYING:
            found["value"][leg], found["delta"][leg] = ratio * at, ratio
            continue
        moved = np.maximum(at, _NOTHING * legs.strike[leg])
        terms = black.greeks(
            float(legs.right[leg]), moved, legs.strike[leg], left[leg], sigma[leg], rate, dividend_yield
        )
        for name in GREEKS:
            found[name][leg] = ratio * getattr(terms, "price" if name == "value" else name)
    return Valuation(at, np.where(legs.options[:, None], sigma, np.nan), **found)


def surface_volatility(
    parameters: np.ndarray,
    spots: np.ndarray,
    strike: float | np.ndarray,
    years: float | np.ndarray,
    *,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> np.ndarray:
    """Volatility per year of a surface at options, for prices of the underlying that broadcast with them.

    The surface keeps its shape in ln(strike / forward), so it moves with the underlying. 0 where no time is left.

    Parameters
    ----------
    parameters : (6,) as a row of `Surfaces.parameters`; NaN gives NaN.
    """
    spot, struck, left = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (spots, strike, years))
    )  # fmt: skip
    forward = np.maximum(spot, _NOTHING * struck) * np.exp((rate - dividend_yield) * left)
    total = ssvi.total_variance(parameters, np.log(struck / forward), left)
    return np.asarray(np.sqrt(np.divide(total, left, out=np.zeros(total.shape), where=left > 0)))


def value_on_surface(
    legs: Legs,
    spots: np.ndarray,
    years: np.ndarray,
    parameters: np.ndarray,
    *,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> Valuation:
    """As `value`, each leg at the surface's volatility for its strike, time and the price of the underlying.

    The Greeks are those of Black-Scholes-Merton at that volatility: delta leaves out that the smile moves with spot.

    Parameters
    ----------
    parameters : (6,) a row of `Surfaces.parameters`.
    """
    at = np.atleast_1d(np.asarray(spots, dtype=np.float64))
    strike = np.where(legs.options, legs.strike, 1.0)
    sigma = surface_volatility(
        parameters, at[None, :], strike[:, None], np.asarray(years)[:, None], rate=rate, dividend_yield=dividend_yield
    )
    return value(legs, at, years, sigma, rate=rate, dividend_yield=dividend_yield)


def far_value(
    volatility: Callable[[np.ndarray, float, float], np.ndarray | float],
    *,
    rate: float = 0.0,
    dividend_yield: float = 0.0,
) -> FarValue:
    """What `payoffs.profile_by_valuation` asks for, from a volatility of (spots, strike, years)."""

    def worth(spots: np.ndarray, right: float, strike: float, years: float) -> np.ndarray:
        at = np.maximum(spots, _NOTHING * strike)
        forward, discount = at * np.exp((rate - dividend_yield) * years), np.exp(-rate * years)
        return black.prices(right, forward, strike, years, volatility(at, strike, years), discount)

    return worth


def far_value_on_surface(parameters: np.ndarray, *, rate: float = 0.0, dividend_yield: float = 0.0) -> FarValue:
    """What `payoffs.profile_by_valuation` asks for, on a row (6,) of `Surfaces.parameters` that moves with spot."""

    def sigma(spots: np.ndarray, strike: float, years: float) -> np.ndarray:
        return surface_volatility(parameters, spots, strike, years, rate=rate, dividend_yield=dividend_yield)

    return far_value(sigma, rate=rate, dividend_yield=dividend_yield)
