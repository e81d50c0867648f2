"""How far a market maker's quotes stand from the value of an option, compiled."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import numba
import numpy as np

#: Positions in the coefficients: the scale (log) and the exponents of value, years and volatility of the part that all
#: options pay; the scale (log) of what hedging an option in the money adds, and where it sets in; the least half-spread
#: in points below and above the price `BREAK`.
SCALE, VALUE, YEARS, VOLATILITY, INSIDE, MIDDLE, LOW, HIGH, BREAK = range(9)
COEFFICIENTS = 9
#: The fit saw no option with less than a day to go; nearer to expiry the spread stays that of one day, years.
SHORTEST = 1.0 / 365.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def half_spread(
    value: float,
    spot: float,
    strike: float,
    years: float,
    at_the_money_volatility: float,
    coefficients: np.ndarray,
) -> float:
    """Half the distance of ask and bid, points.

    With s the spot, v the value, T the years (a day at least) and a the at-the-money volatility per year::

        u = v / (s a sqrt(T))                                    about 0.4 at the money, above it in the money
        h = s (exp(SCALE) (v/s)^VALUE T^YEARS a^VOLATILITY + exp(INSIDE) u^4 / (u^4 + MIDDLE^4))
        h = max(h, LOW if v < BREAK else HIGH)

    The form has no unit: twice the spot, strike and value have twice the half-spread, above the least one. No ask
    stands above both spot and strike, which no option is worth more than. NaN where an input is NaN.
    """
    if math.isnan(value) or math.isnan(spot) or math.isnan(at_the_money_volatility):
        return math.nan
    least = float(coefficients[LOW] if value < coefficients[BREAK] else coefficients[HIGH])
    if value <= 0.0 or at_the_money_volatility <= 0.0:
        return least
    time = max(years, SHORTEST)
    relative = value / spot
    near = math.exp(coefficients[SCALE]) * relative ** coefficients[VALUE] * time ** coefficients[YEARS]
    near *= at_the_money_volatility ** coefficients[VOLATILITY]
    depth = (relative / (at_the_money_volatility * math.sqrt(time)) / coefficients[MIDDLE]) ** 4
    inside = math.exp(coefficients[INSIDE]) * depth / (1.0 + depth)
    return max(least, float(min(spot * (near + inside), max(spot, strike) - value)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def half_spreads(
    value: np.ndarray,
    spot: np.ndarray,
    strike: np.ndarray,
    years: np.ndarray,
    at_the_money_volatility: np.ndarray,
    coefficients: np.ndarray,
) -> np.ndarray:
    """`half_spread` of each of n options; all arrays but `coefficients` have shape (n,)."""
    found = np.empty(len(value))
    for i in range(len(value)):
        found[i] = half_spread(value[i], spot[i], strike[i], years[i], at_the_money_volatility[i], coefficients)
    return found
