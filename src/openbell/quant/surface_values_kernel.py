"""Contracts on the surfaces of many sessions, compiled. Imported only where they are valued: numba imports slowly."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from openbell.quant.black_kernel import black
from openbell.quant.surface_kernel import (
    ETA,
    GAMMA,
    LONG,
    REVERSION,
    RHO,
    SHORT,
    at_the_money_variance,
    option_value,
    ssvi,
)

#: Rows of what `fill_values` writes.
VALUE, VOLATILITY, AT_THE_MONEY = range(3)
VALUES = 3
_STEPS = 200


class Grid(NamedTuple):
    """The arrays of `Surfaces` by row."""

    day: np.ndarray
    spot: np.ndarray
    rate: np.ndarray
    dividend_yield: np.ndarray
    parameters: np.ndarray
    displacement: float
    clock: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def black_deviation(right: float, forward: float, strike: float, value: float) -> float:
    """Deviation sigma sqrt(T) at which Black's undiscounted value is `value`; NaN where there is none.

    Worked on the option out of the money, whose value is all time value, by halving: to the last bit of the deviation.
    """
    outside = -1.0 if strike < forward else 1.0
    time_value = value - (right * (forward - strike) if right != outside else 0.0)
    if not 0.0 < time_value < min(forward, strike):
        return 0.0 if time_value == 0.0 else math.nan
    low, high = 0.0, 1.0
    while black(outside, forward, strike, high) < time_value and high < 64.0:
        high *= 2.0
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if black(outside, forward, strike, middle) < time_value:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _on_parameters(row: np.ndarray, forward: float, strike: float, years: float) -> tuple[float, float]:
    """Volatilities of the surface at `strike` and at the forward."""
    theta = at_the_money_variance(row[SHORT], row[LONG], row[REVERSION], years)
    total = ssvi(theta, math.log(strike / forward), row[RHO], row[ETA], row[GAMMA])
    return math.sqrt(total / years), math.sqrt(theta / years)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _on_clock(forward: float, strike: float, years: float, displacement: float, variance: float) -> tuple[float, float]:
    """Black volatilities of a displaced lognormal at `strike` and at the forward."""
    deviation = math.sqrt(variance)
    found = np.empty(2)
    for i in range(2):
        at = strike if i == 0 else forward
        outside = -1.0 if at < forward else 1.0
        value = black(outside, forward + displacement, at + displacement, deviation)
        found[i] = black_deviation(outside, forward, at, value) / math.sqrt(years)
    return found[0], found[1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_values(
    grid: Grid,
    row: np.ndarray,
    right: np.ndarray,
    strike: np.ndarray,
    day: np.ndarray,
    last: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write value, Black volatility and at-the-money volatility of n contracts to `out` (3, n).

    `day` is the calendar day of each expiry, `last` its place on the clock (unused without one). NaN on rows without a
    surface and after the expiry; on the day of the expiry the value is the intrinsic one and there is no volatility.
    """
    on_clock = math.isfinite(grid.displacement)
    for i in range(len(row)):
        r = row[i]
        years = (day[i] - grid.day[r]) / 365.0
        out[:, i] = math.nan
        if years < 0.0 or not (on_clock or math.isfinite(grid.parameters[r, SHORT])):
            continue
        variance = grid.clock[last[i]] - grid.clock[r] if on_clock else math.nan
        out[VALUE, i] = option_value(
            right[i],
            strike[i],
            years,
            grid.spot[r],
            grid.rate[r],
            grid.dividend_yield[r],
            grid.parameters[r],
            grid.displacement,
            variance,
        )
        if years > 0.0:
            forward = grid.spot[r] * math.exp((grid.rate[r] - grid.dividend_yield[r]) * years)
            if on_clock:
                found = _on_clock(forward, strike[i], years, grid.displacement, variance)
            else:
                found = _on_parameters(grid.parameters[r], forward, strike[i], years)
            out[VOLATILITY, i], out[AT_THE_MONEY, i] = found
